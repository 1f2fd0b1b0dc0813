// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem mm
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Memory management
 * Description: What the kernel's memory management does to memory that is on the device
 *
 * SUBTEST: madvise-%s
 * Description: Advice %arg[1] for memory on the device
 *
 * arg[1]:
 *
 * @normal:		MADV_NORMAL
 * @random:		MADV_RANDOM
 * @willneed:		MADV_WILLNEED
 * @hugepage:		MADV_HUGEPAGE
 * @nohugepage:		MADV_NOHUGEPAGE
 * @collapse:		MADV_COLLAPSE
 * @cold:		MADV_COLD
 * @pageout:		MADV_PAGEOUT
 * @mergeable:		MADV_MERGEABLE
 * @dontdump:		MADV_DONTDUMP
 * @populate-read:	MADV_POPULATE_READ, which brings it back
 * @populate-write:	MADV_POPULATE_WRITE, which brings it back
 *
 * SUBTEST: madvise-free
 * Description: After MADV_FREE pages are as they were or zero, for CPU and GPU alike
 *
 * SUBTEST: madvise-free-cpus
 * Description: Pages that wait in the LRU caches of several CPUs migrate at once
 *
 * SUBTEST: madvise-dontfork
 * Description: A child does not get memory on the device that is marked so
 *
 * SUBTEST: madvise-wipeonfork
 * Description: A child finds memory on the device that is marked so empty
 *
 * SUBTEST: madvise-remove
 * Description: A hole in shared memory reads as zero for the GPU
 *
 * SUBTEST: mlock
 * Description: Locked memory is right on both sides
 *
 * SUBTEST: userfaultfd-missing
 * Description: The GPU waits for userfaultfd, or gets an error, but never a zero page
 *
 * SUBTEST: userfaultfd-wp
 * Description: The GPU does not write what userfaultfd protects
 *
 * SUBTEST: userfaultfd-move
 * Description: UFFDIO_MOVE moves memory on the device, or fails and leaves it alone
 *
 * SUBTEST: userfaultfd-destroy
 * Description: Queue and VM can be destroyed while the GPU waits for userfaultfd
 *
 * SUBTEST: userfaultfd-parallel
 * Description: While the GPU waits for userfaultfd, other faults of the VM are served
 *
 * SUBTEST: userfaultfd-kill
 * Description: A process can be killed while its GPU waits for userfaultfd
 *
 * SUBTEST: proc-pagemap
 * Description: Looking into /proc/self/pagemap does not bring memory back
 *
 * SUBTEST: pagemap-scan
 * Description: PAGEMAP_SCAN reports each page on the device, as swapped, and moves none
 *
 * SUBTEST: pagemap-scan-write
 * Description: A write of CPU or GPU to memory on the device counts in PAGEMAP_SCAN
 *
 * SUBTEST: soft-dirty-round-trip
 * Description: Memory that goes to the device and back is soft-dirty where the CPU wrote it
 *
 * SUBTEST: soft-dirty-keep
 * Description: What only the GPU has written is soft-dirty, also after fork and mprotect
 *
 * SUBTEST: soft-dirty-write
 * Description: A write of CPU or GPU to memory on the device makes it soft-dirty
 *
 * SUBTEST: proc-smaps
 * Description: Memory on the device counts as resident in /proc/self/smaps
 *
 * SUBTEST: proc-mem
 * Description: Memory on the device is read and written through /proc/self/mem
 *
 * SUBTEST: process-vm-writev
 * Description: Another process writes memory on the device
 *
 * SUBTEST: ptrace
 * Description: A debugger reads and writes memory on the device
 *
 * SUBTEST: o-direct
 * Description: A block device reads and writes memory that was on the device
 *
 * SUBTEST: pin-longterm
 * Description: Pinned memory does not migrate, and the GPU uses it in place
 *
 * SUBTEST: vmsplice
 * Description: Memory in a pipe is used in place
 *
 * SUBTEST: io-uring
 * Description: Registered buffers of io_uring are read and written by files and the GPU
 *
 * SUBTEST: ksm
 * Description: A GPU write to a merged page is seen at one address only
 *
 * SUBTEST: vdso
 * Description: The GPU reads the vDSO and cannot write it
 *
 * SUBTEST: vvar
 * Description: The GPU cannot write the data of the vDSO
 *
 * SUBTEST: pfnmap
 * Description: An access to a mapping without struct pages is an error
 *
 * SUBTEST: mixedmap
 * Description: Pages that the kernel put into a mapping are used in place
 *
 * SUBTEST: dax
 * Description: Persistent memory that is mapped from a device is used in place
 *
 * SUBTEST: p2pdma
 * Description: An access to memory of another PCI device is an error
 *
 * SUBTEST: numa-balancing
 * Description: The search for the right node takes nothing from the device
 *
 * SUBTEST: secretmem
 * Description: An access to secret memory is an error
 *
 * SUBTEST: last-page
 * Description: The last page of the address space
 *
 * SUBTEST: first-page
 * Description: The lowest page that can be mapped
 *
 * SUBTEST: grow-and-shrink
 * Description: A mapping on the device grows and shrinks in place
 *
 * SUBTEST: thp-%s
 * Description: A huge page on the device %arg[1]
 *
 * arg[1]:
 *
 * @fork:		is shared after fork() and written by both sides
 * @mremap-part:	loses its middle to another address
 * @dontneed-part:	loses its middle
 * @mprotect-part:	becomes read-only in its middle
 * @fault-middle:	is mapped by pages and read by the CPU in its middle first
 *
 * SUBTEST: mixed-pages
 * Description: One GPU access to pages in swap, on the device, of zeros, and none
 *
 * SUBTEST: hugetlb-shared
 * Description: Shared huge pages are used in place by two processes
 *
 * SUBTEST: spawn
 * Description: A child that becomes another program does not disturb the GPU
 *
 * SUBTEST: busy-%s
 * Description: A process with its GPU at work %arg[1]
 *
 * arg[1]:
 *
 * @exit:		exits
 * @exec:		becomes another program
 * @abort:		is killed by a signal of its own
 *
 * SUBTEST: fair
 * Description: CPU and GPU count in the same page for a second, and both get on
 */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "igt_kmod.h"
#include "igt_syncobj.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("What the kernel's memory management does to memory on the device");

#define KIB		1024ul
#define MIB		(1024 * KIB)
#define PAGE		4096ul
#define PATTERN		0xa5a6a7a8a9aaabacull
#define SIZE		(64 * KIB)

#ifndef MADV_COLD
#define MADV_COLD		20
#define MADV_PAGEOUT		21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

static struct igt_devmem d;

static bool on_device(const void *addr, size_t size)
{
	return igt_devmem_location_is(&d, addr, size, DRM_DEVMEM_LOCATION_DEVICE);
}

static bool in_system(const void *addr, size_t size)
{
	return igt_devmem_location_is(&d, addr, size, DRM_DEVMEM_LOCATION_SYSTEM);
}

/* Memory with PATTERN in it, on the device */
static uint64_t *device_alloc(size_t size)
{
	uint64_t *p = igt_devmem_anon_alloc(size);

	memset(p, 1, size);
	igt_devmem_set(&d, p, PATTERN, size);
	return p;
}

/* The GPU still reads and writes the memory, and the CPU sees it. */
static void check_usable(uint64_t *p, size_t size)
{
	igt_assert_eq_u64(igt_devmem_peek(&d, p + size / 8 - 1), PATTERN);
	igt_devmem_poke(&d, p + 1, 1);
	igt_assert_eq_u64(p[1], 1);
	p[1] = PATTERN;
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 1), PATTERN);
	igt_devmem_expect_words(p, PATTERN, size);
}

/*
 * Advice
 */
static const struct advice {
	const char *name;
	int advice;
	bool comes_back;
} advices[] = {
	{ "normal", MADV_NORMAL, false },
	{ "random", MADV_RANDOM, false },
	{ "willneed", MADV_WILLNEED, false },
	{ "hugepage", MADV_HUGEPAGE, false },
	{ "nohugepage", MADV_NOHUGEPAGE, false },
	{ "cold", MADV_COLD, false },
	{ "pageout", MADV_PAGEOUT, false },
	{ "mergeable", MADV_MERGEABLE, false },
	{ "dontdump", MADV_DONTDUMP, false },
	{ "populate-read", MADV_POPULATE_READ, true },
	{ "populate-write", MADV_POPULATE_WRITE, true },
};

static void test_advice(const struct advice *advice)
{
	const size_t size = 2 * MIB + SIZE;
	uint64_t *p = device_alloc(size);

	igt_assert_eq(madvise(p, size, advice->advice), 0);
	if (advice->comes_back)
		igt_assert(in_system(p, size));
	else
		igt_assert(on_device(p, size));
	check_usable(p, size);
	igt_devmem_anon_free(p, size);
}

/* Fails for memory that is not there; what matters is that nothing is lost. */
static void test_advice_collapse(void)
{
	const size_t size = 4 * MIB;
	uint64_t *p = device_alloc(size);

	igt_assert_eq_u64(p[0], PATTERN);
	igt_assert(in_system(p, 2 * MIB));
	igt_assert(on_device(p + size / 16, 2 * MIB));
	if (madvise(p, size, MADV_COLLAPSE))
		igt_info("collapse: %s\n", strerror(errno));
	check_usable(p, size);
	igt_devmem_anon_free(p, size);
}

static void test_advice_free(void)
{
	uint64_t *p = device_alloc(SIZE), *copy = igt_devmem_shared_alloc(SIZE);
	size_t i;

	igt_assert_eq(madvise(p, SIZE, MADV_FREE), 0);
	igt_devmem_copy(&d.batch, copy, p, SIZE);
	igt_devmem_run(&d);
	for (i = 0; i < SIZE / 8; i++) {
		igt_assert(copy[i] == PATTERN || !copy[i]);
		igt_assert_eq_u64(copy[i], copy[i & ~(PAGE / 8 - 1)]);
		/* What was looked at can still be dropped, so not the other way round. */
		igt_assert(p[i] == copy[i] || !p[i]);
	}
	/* Memory that is written is kept. */
	igt_devmem_set(&d, p, 7, SIZE);
	igt_devmem_expect_words(p, 7, SIZE);
	igt_devmem_shared_free(copy, SIZE);
	igt_devmem_anon_free(p, SIZE);
}

static void test_advice_dontfork(void)
{
	uint64_t *p = device_alloc(SIZE);

	igt_assert_eq(madvise(p, SIZE, MADV_DONTFORK), 0);
	igt_fork(child, 1) {
		unsigned char vec[SIZE / PAGE];

		igt_assert_eq(mincore(p, SIZE, vec), -1);
		igt_assert_eq(errno, ENOMEM);
	}
	/* The memory is nobody else's: it can be written where it is. */
	igt_devmem_poke(&d, p, 3);
	igt_assert(on_device(p, SIZE));
	igt_waitchildren();
	igt_assert_eq_u64(p[0], 3);
	igt_devmem_expect_words(p + 1, PATTERN, SIZE - 8);
	igt_devmem_anon_free(p, SIZE);
}

static void test_advice_wipeonfork(void)
{
	uint64_t *p = device_alloc(SIZE);

	igt_assert_eq(madvise(p, SIZE, MADV_WIPEONFORK), 0);
	igt_fork(child, 1) {
		igt_devmem_expect_words(p, 0, SIZE);
		memset(p, 9, SIZE);
	}
	igt_waitchildren();
	igt_assert(on_device(p, SIZE));
	check_usable(p, SIZE);
	igt_devmem_anon_free(p, SIZE);
}

static void test_advice_remove(void)
{
	uint64_t *p = igt_devmem_shared_alloc(SIZE);

	igt_devmem_fill(&d.batch, p, PATTERN, 8, SIZE);
	igt_devmem_run(&d);
	igt_assert(igt_devmem_in_place(&d, p, SIZE));
	igt_assert_eq(madvise(p, SIZE / 2, MADV_REMOVE), 0);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 0);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + SIZE / 16), PATTERN);
	igt_devmem_expect_words(p, 0, SIZE / 2);
	igt_devmem_expect_words(p + SIZE / 16, PATTERN, SIZE / 2);
	igt_devmem_shared_free(p, SIZE);
}

/*
 * Each CPU keeps the last pages that it has freed lazily, and a reference to each, until
 * it has more. Whichever CPU migrates has to get at those of the others.
 */
static void test_advice_free_cpus(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	unsigned int cpu, cpus = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t before, one;

	igt_require_f(cpus > 1, "there is one CPU only\n");
	igt_assert_eq(madvise(p, 2 * MIB, MADV_NOHUGEPAGE), 0);
	igt_devmem_cpu_fill(p, PATTERN, 2 * MIB);
	igt_assert_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	for (cpu = 0; cpu < cpus; cpu++) {
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		igt_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
		igt_assert_eq(madvise(p + cpu * PAGE / 8, PAGE, MADV_FREE), 0);
	}
	igt_assert_eq(sched_setaffinity(0, sizeof(before), &before), 0);
	igt_devmem_set(&d, p, 9, 2 * MIB);
	igt_devmem_expect_words(p, 9, 2 * MIB);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_mlock(void)
{
	uint64_t *p = device_alloc(SIZE);

	igt_assert_eq(mlock(p, SIZE), 0);
	igt_assert(in_system(p, SIZE));
	check_usable(p, SIZE);
	igt_devmem_fill(&d.batch, p, 5, 8, SIZE);
	igt_devmem_run(&d);
	igt_assert_eq(munlock(p, SIZE), 0);
	igt_devmem_expect_words(p, 5, SIZE);
	igt_devmem_anon_free(p, SIZE);
}

/*
 * userfaultfd: a thread serves what comes
 */
struct handler {
	pthread_t thread;
	int fd;
	uint32_t stop;
	unsigned int events;
	void *source;
};

static void serve_event(struct handler *h, const struct uffd_msg *msg)
{
	uint64_t addr = msg->arg.pagefault.address & ~(PAGE - 1);
	struct uffdio_copy copy = { .dst = addr, .src = (uintptr_t)h->source, .len = PAGE };
	struct uffdio_writeprotect wp = { .range = { .start = addr, .len = PAGE } };

	h->events++;
	if (msg->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP)
		igt_assert_eq(ioctl(h->fd, UFFDIO_WRITEPROTECT, &wp), 0);
	else if (ioctl(h->fd, UFFDIO_COPY, &copy))
		igt_assert_eq(errno, EEXIST);
}

static void *handler_thread(void *arg)
{
	struct handler *h = arg;
	struct pollfd poll_fd = { .fd = h->fd, .events = POLLIN };
	struct uffd_msg msg;

	while (!__atomic_load_n(&h->stop, __ATOMIC_SEQ_CST)) {
		if (poll(&poll_fd, 1, 20) > 0 && read(h->fd, &msg, sizeof(msg)) == sizeof(msg))
			serve_event(h, &msg);
	}
	return NULL;
}

static void open_userfaultfd(struct handler *h, void *p, size_t size, uint64_t mode,
			     uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)p, .len = size }, .mode = mode,
	};

	*h = (struct handler){};
	h->fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	igt_require_f(h->fd >= 0, "no userfaultfd: %s\n", strerror(errno));
	igt_require_f(!ioctl(h->fd, UFFDIO_API, &api), "userfaultfd lacks features\n");
	igt_assert_eq(ioctl(h->fd, UFFDIO_REGISTER, &reg), 0);
	h->source = igt_devmem_shared_alloc(PAGE);
}

static void start_handler(struct handler *h)
{
	igt_assert_eq(pthread_create(&h->thread, NULL, handler_thread, h), 0);
}

static void end_handler(struct handler *h)
{
	__atomic_store_n(&h->stop, 1, __ATOMIC_SEQ_CST);
	igt_assert_eq(pthread_join(h->thread, NULL), 0);
	igt_devmem_shared_free(h->source, PAGE);
	close(h->fd);
}

static void test_userfaultfd_missing(void)
{
	uint64_t *p = igt_devmem_anon_alloc(SIZE);
	struct handler h;
	uint32_t error;
	size_t i;

	open_userfaultfd(&h, p, SIZE, UFFDIO_REGISTER_MODE_MISSING, 0);
	for (i = 0; i < PAGE / 8; i++)
		((uint64_t *)h.source)[i] = PATTERN;
	start_handler(&h);
	igt_devmem_load(&d.batch, 1, p, 8);
	igt_devmem_store_reg(&d.batch, d.result, 1, 8);
	error = __igt_devmem_run(&d);
	if (!error)
		igt_assert_eq_u64(*d.result, PATTERN);
	else
		igt_assert_eq(error, DRM_DEVMEM_ERROR_FAULT);
	igt_info("the GPU %s, %u events\n", error ? "got an error" : "waited", h.events);

	/* The CPU gets what the handler gives, everywhere; then so does the GPU. */
	igt_devmem_expect_words(p, PATTERN, SIZE);
	igt_assert_lt(0, h.events);
	check_usable(p, SIZE);
	end_handler(&h);
	igt_devmem_anon_free(p, SIZE);
}

/* Returns when the GPU waits for memory that nobody serves. */
static void wait_unserved(struct handler *h, uint64_t *p)
{
	struct pollfd poll_fd = { .fd = h->fd, .events = POLLIN };

	igt_devmem_load(&d.batch, 1, p, 8);
	igt_devmem_submit(&d);
	igt_assert_eq(poll(&poll_fd, 1, 10000), 1);
}

static void test_userfaultfd_destroy(void)
{
	uint64_t *p = igt_devmem_anon_alloc(SIZE);
	struct handler h;

	open_userfaultfd(&h, p, SIZE, UFFDIO_REGISTER_MODE_MISSING, 0);
	wait_unserved(&h, p);
	igt_devmem_fini(&d);
	igt_devmem_init(&d, d.fd, 0);
	igt_devmem_poke(&d, d.result, PATTERN);
	igt_assert_eq_u64(*d.result, PATTERN);
	close(h.fd);
	igt_devmem_poke(&d, p, PATTERN);
	igt_assert_eq_u64(*p, PATTERN);
	igt_devmem_shared_free(h.source, PAGE);
	igt_devmem_anon_free(p, SIZE);
}

static void test_userfaultfd_parallel(void)
{
	uint64_t *p = igt_devmem_anon_alloc(SIZE), *q = igt_devmem_anon_alloc(SIZE);
	struct igt_devmem second = d;
	struct handler h;

	second.queue = igt_devmem_queue_create(d.fd, d.vm);
	second.syncobj = syncobj_create(d.fd, 0);
	igt_devmem_batch_init(&second.batch, 64);
	open_userfaultfd(&h, p, SIZE, UFFDIO_REGISTER_MODE_MISSING, 0);
	wait_unserved(&h, p);

	/* To the device, by attributes back, and there is nothing left of it. */
	igt_devmem_poke(&second, q, PATTERN);
	igt_assert_eq_u64(*q, PATTERN);
	igt_devmem_madvise(d.fd, d.vm, q, SIZE, DRM_DEVMEM_ATTR_PREFERRED,
			   DRM_DEVMEM_PREFERRED_SYSTEM);
	igt_devmem_poke(&second, q, PATTERN + 1);
	igt_assert_eq_u64(*q, PATTERN + 1);
	igt_devmem_anon_free(q, SIZE);
	q = igt_devmem_anon_alloc(SIZE);
	igt_devmem_poke(&second, q, PATTERN);
	igt_assert_eq_u64(*q, PATTERN);

	start_handler(&h);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	end_handler(&h);
	igt_devmem_batch_fini(&second.batch);
	syncobj_destroy(d.fd, second.syncobj);
	igt_devmem_queue_destroy(d.fd, second.queue);
	igt_devmem_anon_free(q, SIZE);
	igt_devmem_anon_free(p, SIZE);
}

/* A thread that says something about memory */
struct adviser {
	void *p;
	uint32_t id;
};

static void *advise(void *arg)
{
	struct adviser *adviser = arg;

	__atomic_store_n(&adviser->id, syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	igt_devmem_madvise(d.fd, d.vm, adviser->p, SIZE, DRM_DEVMEM_ATTR_PREFERRED,
			   DRM_DEVMEM_PREFERRED_SYSTEM);
	return NULL;
}

/* Returns when a thread waits for the fault in @p. */
static void wait_in_advice(struct adviser *adviser, void *p)
{
	pthread_t thread;
	uint32_t id;

	adviser->p = p;
	adviser->id = 0;
	igt_assert_eq(pthread_create(&thread, NULL, advise, adviser), 0);
	while (!(id = __atomic_load_n(&adviser->id, __ATOMIC_SEQ_CST)))
		usleep(1000);
	igt_assert_f(igt_devmem_thread_blocked(id, SYS_ioctl),
		     "advice does not wait for a fault in the same memory\n");
}

/* Files are closed in the order of their numbers, or the other way round. */
static void be_killed(bool device_first, uint32_t *turn)
{
	uint64_t *p = igt_devmem_anon_alloc(SIZE);
	struct adviser adviser;
	struct handler h;

	if (device_first)
		d.fd = drm_reopen_driver(d.fd);
	open_userfaultfd(&h, p, SIZE, UFFDIO_REGISTER_MODE_MISSING, 0);
	if (!device_first)
		d.fd = drm_reopen_driver(d.fd);
	igt_devmem_init(&d, d.fd, 0);
	wait_unserved(&h, p);
	wait_in_advice(&adviser, p);
	igt_devmem_set_turn(turn, 1);
	pause();
}

static void test_userfaultfd_kill(void)
{
	uint64_t before = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE);
	uint32_t *turn = igt_devmem_shared_alloc(PAGE);
	int i, tries, status;
	pid_t pid;

	for (i = 0; i < 2; i++) {
		igt_devmem_set_turn(turn, 0);
		pid = fork();
		igt_assert_lte(0, pid);
		if (!pid) {
			be_killed(i, turn);
			_exit(1);
		}
		igt_devmem_wait_turn(turn, 1);
		igt_assert_eq(kill(pid, SIGKILL), 0);
		for (tries = 0; tries < 500 && !waitpid(pid, &status, WNOHANG); tries++)
			usleep(20000);
		igt_assert_f(tries < 500, "the process does not die\n");
		igt_assert(WIFSIGNALED(status));
	}
	igt_assert(igt_devmem_vram_comes_back(d.fd, before - 64 * KIB));
	igt_devmem_shared_free(turn, PAGE);
}

static void test_userfaultfd_wp(void)
{
	uint64_t *p = device_alloc(SIZE);
	struct handler h;
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)p, .len = SIZE },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	uint32_t error;

	open_userfaultfd(&h, p, SIZE, UFFDIO_REGISTER_MODE_WP, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	igt_assert_eq(ioctl(h.fd, UFFDIO_WRITEPROTECT, &wp), 0);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 5), PATTERN);

	start_handler(&h);
	igt_devmem_store(&d.batch, p, 6, 8);
	error = __igt_devmem_run(&d);
	igt_info("the GPU %s, %u events\n", error ? "got an error" : "waited", h.events);
	/* A write that nobody was told of is the one thing that must not be. */
	igt_assert_eq_u64(p[0], error ? PATTERN : 6);
	if (!error)
		igt_assert_lt(0, h.events);
	p[0] = PATTERN;
	p[PAGE / 8] = PATTERN;
	igt_assert_lt(1, h.events);
	end_handler(&h);
	check_usable(p, SIZE);
	igt_devmem_anon_free(p, SIZE);
}

#ifndef UFFDIO_MOVE
struct uffdio_move {
	__u64 dst;
	__u64 src;
	__u64 len;
	__u64 mode;
	__s64 move;
};

#define UFFDIO_MOVE		_IOWR(UFFDIO, 0x05, struct uffdio_move)
#define UFFD_FEATURE_MOVE	0x10000
#endif

static void test_userfaultfd_move(void)
{
	uint64_t *from = device_alloc(SIZE), *to = igt_devmem_anon_alloc(SIZE);
	struct uffdio_move move = {
		.dst = (uintptr_t)to, .src = (uintptr_t)from, .len = SIZE,
	};
	struct handler h;

	open_userfaultfd(&h, to, SIZE, UFFDIO_REGISTER_MODE_MISSING, UFFD_FEATURE_MOVE);
	start_handler(&h);
	if (ioctl(h.fd, UFFDIO_MOVE, &move)) {
		igt_info("move: %s after %lld bytes\n", strerror(errno), (long long)move.move);
		igt_assert_lte_u64(move.move < 0 ? 0 : move.move, SIZE - 1);
		if (move.move < 0)
			move.move = 0;
	}
	end_handler(&h);
	igt_devmem_expect_words(to, PATTERN, move.move);
	igt_devmem_expect_words((char *)from + move.move, PATTERN, SIZE - move.move);
	if (move.move == (int64_t)SIZE)
		check_usable(to, SIZE);
	else if (!move.move)
		check_usable(from, SIZE);
	igt_devmem_anon_free(to, SIZE);
	igt_devmem_anon_free(from, SIZE);
}

/*
 * /proc
 */
static void test_proc_pagemap(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t *p = device_alloc(SIZE), entries[SIZE / PAGE];
	unsigned int i;

	igt_assert_fd(fd);
	igt_assert_eq(pread(fd, entries, sizeof(entries), (uintptr_t)p / PAGE * 8),
		      (int)sizeof(entries));
	/* Bit 63: present; bit 62: swapped, which is what a device page counts as. */
	for (i = 0; i < SIZE / PAGE; i++)
		igt_assert_eq_u64(entries[i] >> 62, 1);
	igt_assert(on_device(p, SIZE));
	check_usable(p, SIZE);
	igt_assert_eq(pread(fd, entries, sizeof(entries), (uintptr_t)p / PAGE * 8),
		      (int)sizeof(entries));
	for (i = 0; i < SIZE / PAGE; i++)
		igt_assert_eq_u64(entries[i] >> 62, 2);
	close(fd);
	igt_devmem_anon_free(p, SIZE);
}

/* The value of a line in the entry of the mapping at @addr, in KiB. */
static long smaps_value(const void *addr, const char *key)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	long value = -1;
	bool here = false;
	char line[512];

	igt_assert(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (uintptr_t)addr && (uintptr_t)addr < end;
		else if (here && !strncmp(line, key, strlen(key)))
			value = strtol(line + strlen(key), NULL, 10);
	}
	fclose(file);
	return value;
}

/* The interface of <linux/fs.h>, which older systems do not have */
struct pm_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

struct pm_scan {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define PM_SCAN		_IOWR('f', 16, struct pm_scan)
#define PM_WP_MATCHING	0x01
#define PM_WRITTEN	0x02
#define PM_PRESENT	0x08
#define PM_SWAPPED	0x10

/* How many pages of the range have one of the categories */
static size_t scan_pages_flags(int fd, const void *p, size_t size, uint64_t categories,
			       uint64_t flags)
{
	struct pm_region regions[32] = {};
	struct pm_scan scan = {
		.size = sizeof(scan), .flags = flags,
		.start = (uintptr_t)p, .end = (uintptr_t)p + size,
		.vec = (uintptr_t)regions, .vec_len = ARRAY_SIZE(regions),
		.category_anyof_mask = categories, .return_mask = categories,
	};
	size_t pages = 0;
	int i, count = ioctl(fd, PM_SCAN, &scan);

	igt_require_f(count >= 0 || errno != ENOTTY, "no PAGEMAP_SCAN\n");
	igt_assert_lte(0, count);
	for (i = 0; i < count; i++)
		pages += (regions[i].end - regions[i].start) / PAGE;
	return pages;
}

static size_t scan_pages(int fd, const void *p, size_t size, uint64_t categories)
{
	return scan_pages_flags(fd, p, size, categories, 0);
}

static void test_pagemap_scan(void)
{
	const size_t size = 2 * MIB + SIZE;
	uint64_t *p = device_alloc(size);
	int fd = open("/proc/self/pagemap", O_RDONLY);

	igt_assert_fd(fd);
	igt_assert_eq(scan_pages(fd, p, size, PM_SWAPPED), size / PAGE);
	igt_assert_eq(scan_pages(fd, p, size, PM_PRESENT), 0);
	igt_assert(on_device(p, size));
	/* The small ones come back, the large one stays. */
	igt_devmem_expect_words(p + 2 * MIB / 8, PATTERN, SIZE);
	igt_assert_eq(scan_pages(fd, p, size, PM_SWAPPED), 2 * MIB / PAGE);
	igt_assert_eq(scan_pages(fd, p, size, PM_PRESENT), SIZE / PAGE);
	igt_assert(on_device(p, 2 * MIB));
	close(fd);
	check_usable(p, size);
	igt_devmem_anon_free(p, size);
}

/* With MADV_HUGEPAGE the test is about huge pages, or about nothing. */
static void advise_pages(void *p, size_t size, int advice)
{
	igt_require_f(!madvise(p, size, advice), "no transparent huge pages\n");
}

static void require_as_advised(void *p, size_t size, int advice)
{
	if (advice == MADV_HUGEPAGE)
		igt_devmem_require_large(&d, p, size);
}

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED	0x2000
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC		0x8000
#endif

/* Pages of memory on the device are protected, and count as written from the next write. */
static void pagemap_scan_write(int advice, size_t chunk)
{
	const size_t size = 4 * chunk;
	uint64_t *p = igt_devmem_anon_alloc(size);
	int fd = open("/proc/self/pagemap", O_RDONLY);
	struct handler h;

	igt_assert_fd(fd);
	advise_pages(p, size, advice);
	open_userfaultfd(&h, p, size, UFFDIO_REGISTER_MODE_WP,
			 UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED);
	memset(p, 1, size);
	igt_devmem_set(&d, p, PATTERN, size);
	igt_assert(on_device(p, size));
	require_as_advised(p, size, advice);
	igt_assert_eq(scan_pages_flags(fd, p, size, PM_WRITTEN, PM_WP_MATCHING), size / PAGE);
	igt_assert_eq(scan_pages(fd, p, size, PM_WRITTEN), 0);
	igt_assert(on_device(p, size));

	/* One chunk is written by the GPU, one by the CPU, two are read. */
	igt_devmem_poke(&d, p, 3);
	p[chunk / 8] = 4;
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 2 * chunk / 8), PATTERN);
	igt_assert_eq_u64(p[3 * chunk / 8], PATTERN);
	igt_assert_eq(scan_pages(fd, p, PAGE, PM_WRITTEN), 1);
	igt_assert_eq(scan_pages(fd, p + chunk / 8, PAGE, PM_WRITTEN), 1);
	igt_assert_eq(scan_pages(fd, p + 2 * chunk / 8, 2 * chunk, PM_WRITTEN), 0);
	igt_assert_eq_u64(p[0], 3);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + chunk / 8), 4);

	igt_devmem_shared_free(h.source, PAGE);
	close(h.fd);
	close(fd);
	igt_devmem_anon_free(p, size);
}

static void test_pagemap_scan_write(void)
{
	pagemap_scan_write(MADV_NOHUGEPAGE, SIZE);
	pagemap_scan_write(MADV_HUGEPAGE, 2 * MIB);
}

/* From here on what is written becomes soft-dirty. */
static void clear_soft_dirty(void)
{
	igt_assert(igt_devmem_write_file("/proc/self/clear_refs", "4"));
}

/* Is each page of the range soft-dirty? Bit 55 of its entry says so. */
static void read_soft_dirty(const void *p, size_t size, bool *dirty)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;
	size_t i;

	igt_assert_fd(fd);
	for (i = 0; i < size / PAGE; i++) {
		igt_assert_eq(pread(fd, &entry, 8, ((uintptr_t)p / PAGE + i) * 8), 8);
		dirty[i] = entry >> 55 & 1;
	}
	close(fd);
}

static void require_soft_dirty(void)
{
	uint64_t *p = igt_devmem_anon_alloc(PAGE);
	bool dirty[2];

	p[0] = 1;
	clear_soft_dirty();
	read_soft_dirty(p, PAGE, &dirty[0]);
	p[0] = 2;
	read_soft_dirty(p, PAGE, &dirty[1]);
	igt_devmem_anon_free(p, PAGE);
	igt_require_f(!dirty[0] && dirty[1], "the kernel does not track soft-dirty pages\n");
}

/* The CPU writes every other page before memory goes to the device and comes back. */
static void soft_dirty_round_trip(int advice, size_t size)
{
	uint64_t *p = igt_devmem_anon_alloc(size);
	bool dirty[3][2 * MIB / PAGE];
	size_t i, written = 0;

	advise_pages(p, size, advice);
	memset(p, 1, size);
	require_as_advised(p, size, advice);
	clear_soft_dirty();
	for (i = 0; i < size / PAGE; i += 2)
		p[i * PAGE / 8] = PATTERN;
	read_soft_dirty(p, size, dirty[0]);
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, DRM_DEVMEM_LOCATION_DEVICE, 0), size);
	read_soft_dirty(p, size, dirty[1]);
	igt_assert(on_device(p, size));
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, DRM_DEVMEM_LOCATION_SYSTEM, 0), size);
	read_soft_dirty(p, size, dirty[2]);
	for (i = 0; i < size / PAGE; i++) {
		igt_assert(dirty[0][i] || i % 2);
		igt_assert_f(dirty[1][i] == dirty[0][i] && dirty[2][i] == dirty[0][i],
			     "page %zu: %u, on the device %u, back %u\n",
			     i, dirty[0][i], dirty[1][i], dirty[2][i]);
		written += dirty[0][i];
	}
	/* A huge page is written as a whole. */
	igt_assert_eq(written, advice == MADV_HUGEPAGE ? size / PAGE : size / PAGE / 2);
	igt_devmem_anon_free(p, size);
}

static void test_soft_dirty_round_trip(void)
{
	require_soft_dirty();
	soft_dirty_round_trip(MADV_NOHUGEPAGE, SIZE);
	soft_dirty_round_trip(MADV_HUGEPAGE, 2 * MIB);
}

/* One of four chunks on the device is written by the GPU, one by the CPU, two are read. */
static void soft_dirty_write(int advice, size_t chunk)
{
	const size_t pages = chunk / PAGE;
	uint64_t *p = igt_devmem_anon_alloc(4 * chunk);
	bool dirty[4 * 2 * MIB / PAGE];
	size_t i;

	advise_pages(p, 4 * chunk, advice);
	memset(p, 1, 4 * chunk);
	igt_devmem_set(&d, p, PATTERN, 4 * chunk);
	igt_assert(on_device(p, 4 * chunk));
	require_as_advised(p, 4 * chunk, advice);
	clear_soft_dirty();
	igt_devmem_poke(&d, p, 3);
	p[chunk / 8] = 4;
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 2 * chunk / 8), PATTERN);
	igt_assert_eq_u64(p[3 * chunk / 8], PATTERN);
	read_soft_dirty(p, 4 * chunk, dirty);
	igt_assert_f(dirty[0], "a write of the GPU is missing\n");
	igt_assert_f(dirty[pages], "a write of the CPU is missing\n");
	for (i = 2 * pages; i < 4 * pages; i++)
		igt_assert_f(!dirty[i], "page %zu was not written\n", i);
	igt_assert_eq_u64(p[0], 3);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + chunk / 8), 4);
	igt_devmem_anon_free(p, 4 * chunk);
}

static void test_soft_dirty_write(void)
{
	require_soft_dirty();
	soft_dirty_write(MADV_NOHUGEPAGE, SIZE);
	soft_dirty_write(MADV_HUGEPAGE, 2 * MIB);
}

/* What only the GPU has written, after the bits were cleared, is dirty and stays so. */
static void soft_dirty_keep(int advice, size_t chunk)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * chunk), *to = igt_devmem_anon_alloc(chunk);
	bool dirty[2 * 2 * MIB / PAGE];
	size_t i;

	advise_pages(p, 2 * chunk, advice);
	clear_soft_dirty();
	igt_devmem_set(&d, p, PATTERN, 2 * chunk);
	igt_assert(on_device(p, 2 * chunk));
	require_as_advised(p, 2 * chunk, advice);
	igt_fork(child, 1) {
		read_soft_dirty(p, 2 * chunk, dirty);
		for (i = 0; i < 2 * chunk / PAGE; i++)
			igt_assert_f(dirty[i], "page %zu of the child\n", i);
	}
	igt_waitchildren();
	igt_assert_eq(mprotect(p, chunk, PROT_READ), 0);
	igt_assert_eq(mprotect(p, chunk, PROT_READ | PROT_WRITE), 0);
	read_soft_dirty(p, 2 * chunk, dirty);
	igt_assert(on_device(p, 2 * chunk));
	for (i = 0; i < 2 * chunk / PAGE; i++)
		igt_assert_f(dirty[i], "page %zu\n", i);

	/* What has moved is dirty. */
	clear_soft_dirty();
	igt_assert(mremap(p, chunk, chunk, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	igt_assert(on_device(to, chunk));
	read_soft_dirty(to, chunk, dirty);
	for (i = 0; i < chunk / PAGE; i++)
		igt_assert_f(dirty[i], "page %zu has moved\n", i);
	igt_devmem_expect_words(to, PATTERN, chunk);
	igt_devmem_anon_free(to, chunk);
	igt_devmem_anon_free(p + chunk / 8, chunk);
}

static void test_soft_dirty_keep(void)
{
	require_soft_dirty();
	soft_dirty_keep(MADV_NOHUGEPAGE, SIZE);
	soft_dirty_keep(MADV_HUGEPAGE, 2 * MIB);
}

static void test_proc_smaps(void)
{
	uint64_t *p = device_alloc(SIZE);

	igt_assert_eq(smaps_value(p, "Rss:"), SIZE / KIB);
	igt_assert_eq(smaps_value(p, "Swap:"), 0);
	igt_assert(on_device(p, SIZE));
	check_usable(p, SIZE);
	igt_assert_eq(smaps_value(p, "Rss:"), SIZE / KIB);
	igt_devmem_anon_free(p, SIZE);
}

static void test_proc_mem(void)
{
	uint64_t *p = device_alloc(SIZE), word = 0;
	int fd = open("/proc/self/mem", O_RDWR);

	igt_assert_fd(fd);
	igt_assert_eq(pread(fd, &word, 8, (uintptr_t)(p + 3)), 8);
	igt_assert_eq_u64(word, PATTERN);
	igt_devmem_set(&d, p, 4, SIZE);
	word = PATTERN;
	igt_assert_eq(pwrite(fd, &word, 8, (uintptr_t)(p + 3)), 8);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 3), PATTERN);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 4), 4);
	close(fd);
	igt_devmem_set(&d, p, PATTERN, SIZE);
	check_usable(p, SIZE);
	igt_devmem_anon_free(p, SIZE);
}

static void test_process_vm_writev(void)
{
	uint64_t *p = device_alloc(SIZE);

	igt_fork(child, 1) {
		static char data[PAGE];
		struct iovec from = { data, PAGE }, to = { (char *)p + PAGE, PAGE };

		memset(data, 8, PAGE);
		igt_assert_eq(process_vm_writev(getppid(), &from, 1, &to, 1, 0), (int)PAGE);
	}
	igt_waitchildren();
	igt_assert_eq_u64(igt_devmem_peek(&d, p + PAGE / 8), 0x0808080808080808ull);
	igt_devmem_expect_words(p, PATTERN, PAGE);
	igt_devmem_expect_words(p + PAGE / 8, 0x0808080808080808ull, PAGE);
	igt_devmem_expect_words(p + PAGE / 4, PATTERN, SIZE - 2 * PAGE);
	igt_devmem_anon_free(p, SIZE);
}

static void test_ptrace(void)
{
	uint64_t *p = igt_devmem_anon_alloc(SIZE);
	pid_t pid = fork();
	int status;

	igt_assert_lte(0, pid);
	if (!pid) {
		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		igt_devmem_set(&d, p, PATTERN, SIZE);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))
			_exit(2);
		_exit(igt_devmem_peek(&d, p + 1) != 77 || p[0] != PATTERN || p[2] != PATTERN);
	}
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert(WIFSTOPPED(status));
	errno = 0;
	igt_assert_eq_u64(ptrace(PTRACE_PEEKDATA, pid, p + 1, NULL), PATTERN);
	igt_assert_eq(ptrace(PTRACE_POKEDATA, pid, p + 1, (void *)77), 0);
	igt_assert_eq(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_eq(status, 0);
	igt_devmem_anon_free(p, SIZE);
}

/*
 * Others that hold references to pages
 */
static void zram_reset(int sig)
{
	igt_devmem_write_file("/sys/block/zram0/reset", "1");
}

static void test_o_direct(void)
{
	uint64_t *p = device_alloc(SIZE);
	int fd;

	igt_require_f(!igt_kmod_load("zram", NULL), "no module zram\n");
	igt_require(igt_devmem_write_file("/sys/block/zram0/disksize", "16777216"));
	igt_install_exit_handler(zram_reset);
	fd = open("/dev/zram0", O_RDWR | O_DIRECT);
	igt_require_f(fd >= 0, "no /dev/zram0: %s\n", strerror(errno));
	igt_assert_eq(pwrite(fd, p, SIZE, 0), (int)SIZE);
	igt_devmem_set(&d, p, 1, SIZE);
	igt_assert_eq(pread(fd, p, SIZE, 0), (int)SIZE);
	check_usable(p, SIZE);
	close(fd);
	igt_devmem_anon_free(p, SIZE);
}

/* What the GPU uses in place stays there until its translations are taken away. */
static void forget_translations(void *addr, size_t size)
{
	igt_assert_eq(mprotect(addr, size, PROT_READ), 0);
	igt_assert_eq(mprotect(addr, size, PROT_READ | PROT_WRITE), 0);
}

/* The interface of the kernel's gup_test, as far as it is used here */
struct pin_longterm_test {
	uint64_t addr;
	uint64_t size;
	uint32_t flags;
};

#define PIN_LONGTERM_TEST_START		_IOW('g', 7, struct pin_longterm_test)
#define PIN_LONGTERM_TEST_STOP		_IO('g', 8)
#define PIN_LONGTERM_TEST_READ		_IOW('g', 9, uint64_t)
#define PIN_LONGTERM_TEST_FLAG_USE_WRITE	1

static void test_pin_longterm(void)
{
	uint64_t *p = device_alloc(SIZE), *copy = igt_devmem_shared_alloc(SIZE);
	struct pin_longterm_test pin = {
		.addr = (uintptr_t)p, .size = SIZE, .flags = PIN_LONGTERM_TEST_FLAG_USE_WRITE,
	};
	uint64_t dest = (uintptr_t)copy;
	int fd = open("/sys/kernel/debug/gup_test", O_RDWR);

	igt_require_f(fd >= 0, "no gup_test: %s\n", strerror(errno));
	igt_assert_eq(ioctl(fd, PIN_LONGTERM_TEST_START, &pin), 0);
	igt_assert(in_system(p, SIZE));
	igt_devmem_fill(&d.batch, p, 3, 8, SIZE);
	igt_devmem_run(&d);
	igt_assert(igt_devmem_in_place(&d, p, SIZE));
	/* Who pinned the pages sees what the GPU wrote: they are still the same. */
	igt_assert_eq(ioctl(fd, PIN_LONGTERM_TEST_READ, &dest), 0);
	igt_devmem_expect_words(copy, 3, SIZE);
	igt_assert_eq(ioctl(fd, PIN_LONGTERM_TEST_STOP), 0);
	close(fd);
	igt_devmem_expect_words(p, 3, SIZE);

	forget_translations(p, SIZE);
	igt_devmem_set(&d, p, PATTERN, SIZE);
	check_usable(p, SIZE);
	igt_devmem_shared_free(copy, SIZE);
	igt_devmem_anon_free(p, SIZE);
}

static void test_vmsplice(void)
{
	uint64_t *p = device_alloc(SIZE), *copy = igt_devmem_shared_alloc(SIZE);
	struct iovec vec = { p, 8 * PAGE };
	int fds[2];
	size_t i;

	igt_assert_eq(pipe(fds), 0);
	igt_assert_eq(vmsplice(fds[1], &vec, 1, 0), 8 * PAGE);
	igt_devmem_fill(&d.batch, p, 3, 8, SIZE);
	igt_devmem_run(&d);
	igt_assert(igt_devmem_in_place(&d, p, 8 * PAGE));
	igt_assert_eq(read(fds[0], copy, 8 * PAGE), 8 * PAGE);
	for (i = 0; i < PAGE; i++)
		igt_assert(copy[i] == PATTERN || copy[i] == 3);
	igt_devmem_expect_words(p, 3, SIZE);
	close(fds[0]);
	close(fds[1]);
	forget_translations(p, SIZE);
	igt_devmem_set(&d, p, PATTERN, SIZE);
	check_usable(p, SIZE);
	igt_devmem_shared_free(copy, SIZE);
	igt_devmem_anon_free(p, SIZE);
}

#define KSM	"/sys/kernel/mm/ksm/"

static void ksm_off(int sig)
{
	igt_devmem_write_file(KSM "run", "2");
	igt_devmem_write_file(KSM "run", "0");
}

static long ksm_shared(void)
{
	FILE *file = fopen(KSM "pages_shared", "r");
	long pages = -1;

	if (file && fscanf(file, "%ld", &pages) != 1)
		pages = -1;
	if (file)
		fclose(file);
	return pages;
}

/**
 * struct ring - an io_uring
 * @fd: its file
 * @params: of it
 * @rings: both rings
 * @sqes: what is submitted
 */
struct ring {
	int fd;
	struct io_uring_params params;
	char *rings;
	struct io_uring_sqe *sqes;
};

static void init_ring(struct ring *r)
{
	memset(r, 0, sizeof(*r));
	r->fd = syscall(SYS_io_uring_setup, 1, &r->params);
	igt_require_f(r->fd >= 0, "no io_uring: %s\n", strerror(errno));
	igt_require(r->params.features & IORING_FEAT_SINGLE_MMAP);
	r->rings = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQES);
	igt_assert(r->rings != MAP_FAILED && (void *)r->sqes != MAP_FAILED);
}

static void fini_ring(struct ring *r)
{
	munmap(r->rings, PAGE);
	munmap(r->sqes, PAGE);
	close(r->fd);
}

static uint32_t *ring_word(struct ring *r, uint32_t offset)
{
	return (uint32_t *)(r->rings + offset);
}

/* Transfer a registered buffer and wait for it. */
static void transfer(struct ring *r, int opcode, int file, void *p, size_t size)
{
	uint32_t *tail = ring_word(r, r->params.sq_off.tail);
	uint32_t *head = ring_word(r, r->params.cq_off.head);
	struct io_uring_cqe *cqe;

	r->sqes[0] = (struct io_uring_sqe){
		.opcode = opcode, .fd = file, .addr = (uintptr_t)p, .len = size,
	};
	*ring_word(r, r->params.sq_off.array) = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	igt_assert_eq(syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), 1);
	cqe = (struct io_uring_cqe *)(r->rings + r->params.cq_off.cqes);
	cqe += *head & *ring_word(r, r->params.cq_off.ring_mask);
	igt_assert_eq(cqe->res, size);
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
}

static void test_io_uring(void)
{
	uint64_t *p = device_alloc(SIZE), *copy = igt_devmem_shared_alloc(SIZE);
	struct iovec buffer = { p, SIZE };
	int file = syscall(SYS_memfd_create, "devmem", 0);
	struct ring r;

	igt_assert_fd(file);
	init_ring(&r);
	igt_assert_eq(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_BUFFERS, &buffer, 1), 0);
	igt_assert(in_system(p, SIZE));
	igt_devmem_fill(&d.batch, p, 3, 8, SIZE);
	igt_devmem_run(&d);
	igt_assert(igt_devmem_in_place(&d, p, SIZE));

	/* What the GPU wrote goes to the file, and what is in a file to the GPU. */
	transfer(&r, IORING_OP_WRITE_FIXED, file, p, SIZE);
	igt_assert_eq(pread(file, copy, SIZE, 0), SIZE);
	igt_devmem_expect_words(copy, 3, SIZE);
	memset(copy, 5, SIZE);
	igt_assert_eq(pwrite(file, copy, SIZE, 0), SIZE);
	transfer(&r, IORING_OP_READ_FIXED, file, p, SIZE);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + SIZE / 8 - 1), 0x0505050505050505ull);
	igt_devmem_expect_words(p, 0x0505050505050505ull, SIZE);

	igt_assert_eq(syscall(SYS_io_uring_register, r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0), 0);
	fini_ring(&r);
	close(file);
	forget_translations(p, SIZE);
	igt_devmem_set(&d, p, PATTERN, SIZE);
	check_usable(p, SIZE);
	igt_devmem_shared_free(copy, SIZE);
	igt_devmem_anon_free(p, SIZE);
}

static void test_ksm(void)
{
	uint64_t *p[2];
	int i, tries;

	igt_require_f(!ksm_shared(), "no KSM, or it is in use\n");
	for (i = 0; i < 2; i++) {
		p[i] = igt_devmem_anon_alloc(SIZE);
		memset(p[i], 6, SIZE);
		igt_assert_eq(madvise(p[i], SIZE, MADV_MERGEABLE), 0);
	}
	igt_install_exit_handler(ksm_off);
	igt_require(igt_devmem_write_file(KSM "pages_to_scan", "1000") &&
		    igt_devmem_write_file(KSM "sleep_millisecs", "5") &&
		    igt_devmem_write_file(KSM "run", "1"));
	for (tries = 0; tries < 300 && !ksm_shared(); tries++)
		usleep(10000);
	igt_require_f(ksm_shared() > 0, "KSM merges nothing\n");

	igt_assert_eq_u64(igt_devmem_peek(&d, p[0]), 0x0606060606060606ull);
	igt_devmem_fill(&d.batch, p[0], PATTERN, 8, SIZE);
	igt_devmem_run(&d);
	igt_assert_eq_u64(igt_devmem_peek(&d, p[1] + 1), 0x0606060606060606ull);
	igt_devmem_expect_words(p[1], 0x0606060606060606ull, SIZE);
	check_usable(p[0], SIZE);
	for (i = 0; i < 2; i++)
		igt_devmem_anon_free(p[i], SIZE);
}

/*
 * Special mappings
 */
static void expect_access(const void *addr, bool write, uint32_t error)
{
	if (write)
		igt_devmem_store(&d.batch, addr, 1, 8);
	else
		igt_devmem_load(&d.batch, 1, addr, 8);
	igt_assert_eq(__igt_devmem_run(&d), error);
}

/* The GPU can access it in no way, for @reason. */
static void expect_none(const void *addr, uint32_t reason)
{
	struct drm_devmem_fault fault = {};
	struct drm_devmem_query_faults args = {
		.vm_id = d.vm, .num = 1, .data = (uintptr_t)&fault,
	};
	int write;

	for (write = 0; write < 2; write++) {
		expect_access(addr, write, DRM_DEVMEM_ERROR_FAULT);
		args.num = 1;
		igt_assert_eq(__igt_devmem_query_faults(d.fd, &args), 0);
		igt_assert_eq_u64(fault.addr, (uintptr_t)addr);
		igt_assert_eq_u32(fault.reason, reason);
	}
}

static void test_vdso(void)
{
	uint64_t *vdso = (uint64_t *)getauxval(AT_SYSINFO_EHDR);

	igt_require_f(vdso, "no vDSO\n");
	igt_assert_eq_u64(igt_devmem_peek(&d, vdso), *vdso);
	expect_access(vdso, true, DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq_u64(igt_devmem_peek(&d, vdso), *vdso);
}

static void *find_mapping(const char *name)
{
	FILE *file = fopen("/proc/self/maps", "r");
	unsigned long start = 0;
	char line[512];

	igt_assert(file);
	while (!start && fgets(line, sizeof(line), file)) {
		if (strstr(line, name))
			start = strtoul(line, NULL, 16);
	}
	fclose(file);
	return (void *)start;
}

/* Some kernels have struct pages for it, so that it can be read. */
static void test_vvar(void)
{
	void *vvar = find_mapping("[vvar]");
	uint32_t error;

	igt_require_f(vvar, "no [vvar]\n");
	igt_devmem_load(&d.batch, 1, vvar, 8);
	error = __igt_devmem_run(&d);
	igt_assert(error == DRM_DEVMEM_ERROR_NONE || error == DRM_DEVMEM_ERROR_FAULT);
	expect_access(vvar, true, DRM_DEVMEM_ERROR_FAULT);
	igt_devmem_poke(&d, d.result, 1);
	igt_assert_eq_u64(*d.result, 1);
}

/* Registers of any device on the PCI bus will do; the GPU must not get there. */
static void test_pfnmap(void)
{
	void *registers = MAP_FAILED;
	glob_t files;
	size_t i;
	int fd;

	igt_require(!glob("/sys/bus/pci/devices/*/resource[0-5]", 0, NULL, &files));
	for (i = 0; i < files.gl_pathc && registers == MAP_FAILED; i++) {
		fd = open(files.gl_pathv[i], O_RDWR);
		registers = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	globfree(&files);
	igt_require_f(registers != MAP_FAILED, "no registers to map\n");
	expect_none(registers, DRM_DEVMEM_FAULT_NOT_MEMORY);
	igt_devmem_poke(&d, d.result, 1);
	igt_assert_eq_u64(*d.result, 1);
	munmap(registers, PAGE);
}

/* Does the mapping that @p is in have @flag, two letters as in smaps? */
static bool mapping_has_flag(const void *p, const char *flag)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	bool inside = false, has = false;
	char line[512];

	igt_assert(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start <= (uintptr_t)p && (uintptr_t)p < end;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			has = strstr(line, flag);
	}
	fclose(file);
	return has;
}

/* The rings of io_uring are pages of the kernel. */
static void test_mixedmap(void)
{
	uint32_t *entries, *index;
	struct ring r;

	init_ring(&r);
	igt_require_f(mapping_has_flag(r.rings, " mm"), "no VM_MIXEDMAP\n");
	entries = ring_word(&r, r.params.sq_off.ring_entries);
	index = ring_word(&r, r.params.sq_off.array);
	igt_devmem_load(&d.batch, 1, entries, 4);
	igt_devmem_store_reg(&d.batch, d.result, 1, 8);
	igt_devmem_store(&d.batch, index, 7, 4);
	igt_devmem_run(&d);
	igt_assert_eq_u64(*d.result, r.params.sq_entries);
	igt_assert_eq(*index, 7);
	igt_assert_eq_u64(igt_devmem_prefetch(&d, r.rings, PAGE, DRM_DEVMEM_LOCATION_DEVICE, 0), 0);
	*index = 8;
	igt_devmem_load(&d.batch, 1, index, 4);
	igt_devmem_store_reg(&d.batch, d.result, 1, 8);
	igt_devmem_run(&d);
	igt_assert_eq_u64(*d.result, 8);
	fini_ring(&r);
	expect_access(index, true, DRM_DEVMEM_ERROR_FAULT);
	igt_devmem_poke(&d, d.result, 1);
	igt_assert_eq_u64(*d.result, 1);
}

/* Who says so by this link can do without what is in it. */
#define DAX	"/dev/devmem-test-dax"

static uint64_t *map_dax(void)
{
	int fd = open(DAX, O_RDWR);
	void *p;

	igt_require_f(fd >= 0, "no device-dax at " DAX "\n");
	p = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	igt_require_f(p != MAP_FAILED, "no mapping of 2 MiB of " DAX "\n");
	return p;
}

static void test_dax(void)
{
	uint64_t *p = map_dax();

	igt_devmem_fill(&d.batch, p, PATTERN, 8, 2 * MIB);
	igt_devmem_run(&d);
	igt_assert(igt_devmem_in_place(&d, p, 2 * MIB));
	igt_devmem_expect_words(p, PATTERN, 2 * MIB);
	p[5] = 6;
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 5), 6);
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, 2 * MIB, DRM_DEVMEM_LOCATION_DEVICE, 0), 0);
	igt_devmem_poke(&d, p + PAGE / 8, 7);
	munmap(p, 2 * MIB);
	expect_access(p, true, DRM_DEVMEM_ERROR_FAULT);

	/* It stays when the mapping goes. */
	p = map_dax();
	igt_assert_eq_u64(p[5], 6);
	igt_assert_eq_u64(p[PAGE / 8], 7);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 6), PATTERN);
	munmap(p, 2 * MIB);
}

/* Memory behind a PCI device that is offered to others; the emulated bus can't reach it. */
static void test_p2pdma(void)
{
	struct drm_devmem_fault fault = {};
	struct drm_devmem_query_faults faults = {
		.vm_id = d.vm, .num = 1, .data = (uintptr_t)&fault,
	};
	uint64_t *p = MAP_FAILED;
	glob_t files;
	size_t i;
	int fd;

	igt_require_f(!glob("/sys/bus/pci/devices/*/p2pmem/allocate", 0, NULL, &files),
		      "no device offers memory\n");
	for (i = 0; i < files.gl_pathc && p == MAP_FAILED; i++) {
		fd = open(files.gl_pathv[i], O_RDWR);
		p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	globfree(&files);
	igt_require_f(p != MAP_FAILED, "no device has memory left\n");

	p[0] = 1;
	expect_access(p, false, DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq(__igt_devmem_query_faults(d.fd, &faults), 0);
	igt_assert_eq_u32(fault.reason, DRM_DEVMEM_FAULT_NOT_MEMORY);
	expect_access(p, true, DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, 2 * PAGE, DRM_DEVMEM_LOCATION_DEVICE, 0), 0);
	igt_assert_eq_u64(p[0], 1);
	igt_devmem_poke(&d, d.result, 1);
	igt_assert_eq_u64(*d.result, 1);
	munmap(p, 2 * PAGE);
}

/* What the test changes, to what, and what was there */
static struct {
	const char *path;
	const char *value;
	char saved[16];
} numa_settings[] = {
	{ .path = "/proc/sys/kernel/numa_balancing", .value = "1" },
	{ .path = "/sys/kernel/debug/sched/numa_balancing/scan_delay_ms", .value = "10" },
	{ .path = "/sys/kernel/debug/sched/numa_balancing/scan_period_min_ms", .value = "10" },
};

static void restore_numa_settings(int sig)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(numa_settings); i++)
		if (numa_settings[i].saved[0])
			igt_devmem_write_file(numa_settings[i].path, numa_settings[i].saved);
}

static void set_numa_settings(void)
{
	unsigned int i;
	FILE *file;

	igt_install_exit_handler(restore_numa_settings);
	for (i = 0; i < ARRAY_SIZE(numa_settings); i++) {
		file = fopen(numa_settings[i].path, "r");
		igt_require_f(file, "no %s\n", numa_settings[i].path);
		igt_assert_eq(fscanf(file, "%15s", numa_settings[i].saved), 1);
		fclose(file);
		igt_assert(igt_devmem_write_file(numa_settings[i].path, numa_settings[i].value));
	}
}

/* How often the kernel has gone over the memory of this process */
static unsigned long numa_scans(void)
{
	FILE *file = fopen("/proc/self/sched", "r");
	unsigned long scans = 0;
	char line[128];

	igt_require_f(file, "no /proc/self/sched\n");
	while (fgets(line, sizeof(line), file))
		sscanf(line, "mm->numa_scan_seq : %lu", &scans);
	fclose(file);
	return scans;
}

/* A thread that works on its memory, for pages of a single thread stay where they are. */
struct worker {
	pthread_t thread;
	uint64_t *word;
	uint32_t stop;
};

static void *worker_thread(void *arg)
{
	struct worker *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_SEQ_CST))
		__atomic_add_fetch(w->word, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* CPUs work on the first chunk of four, the GPU on the others. */
static void numa_balancing(int advice, size_t chunk)
{
	const size_t size = 4 * chunk;
	struct worker w = { .word = igt_devmem_anon_alloc(size) };
	int64_t end = igt_devmem_deadline(30ll * 1000 * 1000 * 1000);
	unsigned long scans;
	uint64_t rounds = 0, moved, *p = w.word;
	size_t i;

	advise_pages(p, size, advice);
	memset(p, 0, size);
	igt_devmem_set(&d, p + chunk / 8, 0, size - chunk);
	require_as_advised(p, size, advice);
	moved = igt_devmem_stats(d.fd, d.vm).to_system_bytes;
	igt_assert_eq(pthread_create(&w.thread, NULL, worker_thread, &w), 0);
	/* One can have begun before, the next goes over it all. */
	for (scans = numa_scans() + 2; numa_scans() < scans; rounds++) {
		igt_assert_f(igt_devmem_deadline(0) < end,
			     "nobody looks for the right node\n");
		for (i = chunk; i < size; i += chunk)
			igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0,
					  (char *)p + i, 1, 8);
		igt_devmem_run(&d);
	}
	__atomic_store_n(&w.stop, 1, __ATOMIC_SEQ_CST);
	igt_assert_eq(pthread_join(w.thread, NULL), 0);
	igt_assert(on_device((char *)p + chunk, size - chunk));
	igt_assert_eq_u64(igt_devmem_stats(d.fd, d.vm).to_system_bytes, moved);
	for (i = chunk; i < size; i += chunk)
		igt_assert_eq_u64(p[i / 8], rounds);
	igt_devmem_anon_free(p, size);
}

static void test_numa_balancing(void)
{
	igt_require_f(!access("/sys/devices/system/node/node1", F_OK), "one node only\n");
	set_numa_settings();
	/* A process has the settings that it was made with. */
	igt_fork(child, 1) {
		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		numa_balancing(MADV_NOHUGEPAGE, 64 * KIB);
		numa_balancing(MADV_HUGEPAGE, 2 * MIB);
	}
	igt_waitchildren();
	restore_numa_settings(0);
}

static void test_secretmem(void)
{
	int fd = syscall(SYS_memfd_secret, 0);
	uint64_t *p;

	igt_require_f(fd >= 0, "no secret memory: %s\n", strerror(errno));
	igt_assert_eq(ftruncate(fd, PAGE), 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	igt_require_f(p != MAP_FAILED, "no secret memory: %s\n", strerror(errno));
	p[0] = 5;
	expect_none(p, DRM_DEVMEM_FAULT_NO_ACCESS);
	igt_assert_eq_u64(p[0], 5);
	munmap(p, PAGE);
	close(fd);
}

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE	0x100000
#endif

static void use_page_at(uintptr_t addr)
{
	uint64_t *p = mmap((void *)addr, PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	igt_require_f(p == (void *)addr, "no page at %#lx: %s\n", addr, strerror(errno));
	p[0] = 1;
	igt_devmem_fill(&d.batch, p, PATTERN, 8, PAGE);
	igt_devmem_run(&d);
	igt_assert(on_device(p, PAGE));
	check_usable(p, PAGE);
	munmap(p, PAGE);
}

static void test_last_page(void)
{
	/* User space of x86-64 ends a page below 2^47. */
	const uintptr_t end = (1ul << 47) - PAGE;

	use_page_at(end - PAGE);
	expect_access((void *)end, false, DRM_DEVMEM_ERROR_FAULT);
	expect_access((void *)(end - 4), true, DRM_DEVMEM_ERROR_FAULT);
}

static void test_first_page(void)
{
	use_page_at(64 * KIB);
}

static void test_grow_and_shrink(void)
{
	const size_t size = 8 * PAGE;
	char *p = igt_devmem_anon_alloc(SIZE);

	igt_assert_eq(munmap(p + size, SIZE - size), 0);
	memset(p, 1, size);
	igt_devmem_set(&d, p, PATTERN, size);
	igt_assert(mremap(p, size, SIZE, 0) == p);
	igt_assert(on_device(p, size));
	igt_devmem_expect_words(p + size, 0, SIZE - size);
	igt_devmem_set(&d, p, PATTERN, SIZE);
	igt_assert(mremap(p, SIZE, size, 0) == p);
	expect_access(p + size, false, DRM_DEVMEM_ERROR_FAULT);
	check_usable((uint64_t *)p, size);
	igt_devmem_anon_free(p, SIZE);
}

/*
 * Huge pages on the device
 */
#define PART	(256 * KIB)

static char *huge_on_device(void)
{
	char *p = igt_devmem_anon_alloc(2 * MIB);

	advise_pages(p, 2 * MIB, MADV_HUGEPAGE);
	memset(p, 1, 2 * MIB);
	igt_devmem_set(&d, p, PATTERN, 2 * MIB);
	igt_devmem_require_large(&d, p, 2 * MIB);
	return p;
}

static void test_thp_fork(void)
{
	uint32_t *turn = igt_devmem_shared_alloc(PAGE);
	char *p = huge_on_device();

	igt_fork(child, 1) {
		memset(p + PART, 2, PART);
		igt_devmem_set_turn(turn, 1);
		igt_devmem_wait_turn(turn, 2);
		igt_devmem_expect_words(p, PATTERN, PART);
		igt_devmem_expect_words(p + PART, 0x0202020202020202ull, PART);
		igt_devmem_expect_words(p + 2 * PART, PATTERN, 2 * MIB - 2 * PART);
	}
	igt_devmem_wait_turn(turn, 1);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + PART), PATTERN);
	igt_devmem_fill(&d.batch, p + MIB, 3, 8, PART);
	igt_devmem_run(&d);
	igt_devmem_set_turn(turn, 2);
	igt_waitchildren();
	igt_devmem_expect_words(p, PATTERN, MIB);
	igt_devmem_expect_words(p + MIB, 3, PART);
	igt_devmem_expect_words(p + MIB + PART, PATTERN, MIB - PART);
	igt_devmem_anon_free(p, 2 * MIB);
	igt_devmem_shared_free(turn, PAGE);
}

static void test_thp_mremap_part(void)
{
	char *p = huge_on_device(), *to = igt_devmem_anon_alloc(PART);

	igt_assert(mremap(p + MIB, PART, PART, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	igt_assert_eq_u64(igt_devmem_peek(&d, to + 8), PATTERN);
	expect_access(p + MIB, false, DRM_DEVMEM_ERROR_FAULT);
	check_usable((uint64_t *)p, MIB);
	check_usable((uint64_t *)(p + MIB + PART), MIB - PART);
	check_usable((uint64_t *)to, PART);
	igt_devmem_anon_free(to, PART);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_thp_dontneed_part(void)
{
	char *p = huge_on_device();

	igt_assert_eq(madvise(p + MIB, PART, MADV_DONTNEED), 0);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + MIB), 0);
	igt_devmem_expect_words(p + MIB, 0, PART);
	check_usable((uint64_t *)p, MIB);
	check_usable((uint64_t *)(p + MIB + PART), MIB - PART);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_thp_mprotect_part(void)
{
	char *p = huge_on_device();

	igt_assert_eq(mprotect(p + MIB, PART, PROT_READ), 0);
	expect_access(p + MIB, true, DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + MIB), PATTERN);
	check_usable((uint64_t *)p, MIB);
	check_usable((uint64_t *)(p + MIB + PART), MIB - PART);
	igt_devmem_expect_words(p + MIB, PATTERN, PART);
	igt_devmem_anon_free(p, 2 * MIB);
}

/* The CPU's fault splits the folio, and the page it wants gets one of its own. */
static void test_thp_fault_middle(void)
{
	char *p = huge_on_device();

	igt_assert_eq(mprotect(p + PART, PAGE, PROT_READ), 0);
	igt_assert_eq(mprotect(p + PART, PAGE, PROT_READ | PROT_WRITE), 0);
	igt_assert(on_device(p, 2 * MIB));
	igt_devmem_expect_words(p + MIB, PATTERN, PAGE);
	igt_assert(in_system(p, 2 * MIB));
	igt_devmem_expect_words(p, PATTERN, 2 * MIB);
	check_usable((uint64_t *)p, 2 * MIB);
	igt_devmem_anon_free(p, 2 * MIB);
}

/* Pages by turns: in swap, on the device, zero page, never touched */
static void test_mixed_pages(void)
{
	char *p = igt_devmem_anon_alloc(SIZE);
	size_t i;

	igt_devmem_require_swap();
	for (i = 0; i < SIZE; i += 4 * PAGE) {
		memset(p + i, 1, PAGE);
		igt_devmem_swap_out(&d, p + i, PAGE);
		igt_assert_eq(__atomic_load_n(p + i + 2 * PAGE, __ATOMIC_RELAXED), 0);
	}
	for (i = 0; i < SIZE; i += 4 * PAGE)
		igt_devmem_store(&d.batch, p + i + PAGE, PATTERN, 8);
	igt_devmem_run(&d);
	for (i = 0; i < SIZE; i += 4 * PAGE)
		igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, p + i, 1, 8);
	igt_devmem_fill(&d.batch, p + SIZE - PAGE, 4, 8, PAGE);
	igt_devmem_run(&d);
	for (i = 0; i < SIZE; i += 4 * PAGE) {
		igt_devmem_expect_words(p + i, 0x0101010101010102ull, 8);
		igt_devmem_expect_words(p + i + 8, 0x0101010101010101ull, PAGE - 8);
		igt_devmem_expect_words(p + i + PAGE, PATTERN, 8);
		igt_devmem_expect_words(p + i + PAGE + 8, 0, PAGE - 8);
		igt_devmem_expect_words(p + i + 2 * PAGE, 0, PAGE);
		igt_devmem_expect_words(p + i + 3 * PAGE, i + 4 * PAGE == SIZE ? 4 : 0, PAGE);
	}
	igt_devmem_anon_free(p, SIZE);
}

static void hugetlb_off(int sig)
{
	igt_devmem_write_file("/proc/sys/vm/nr_hugepages", "0");
}

static void test_hugetlb_shared(void)
{
	const size_t size = 4 * MIB;
	uint64_t *p;

	igt_require(igt_devmem_write_file("/proc/sys/vm/nr_hugepages", "4"));
	igt_install_exit_handler(hugetlb_off);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB,
		 -1, 0);
	igt_require_f(p != MAP_FAILED, "no huge pages: %s\n", strerror(errno));
	p[0] = 1;
	igt_fork(child, 1) {
		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		igt_assert_eq_u64(igt_devmem_peek(&d, p), 1);
		igt_devmem_fill(&d.batch, p, PATTERN, 8, size);
		igt_devmem_run(&d);
		igt_assert(igt_devmem_in_place(&d, p, size));
	}
	igt_waitchildren();
	igt_assert_eq_u64(igt_devmem_peek(&d, p + size / 8 - 1), PATTERN);
	igt_assert(in_system(p, size));
	check_usable(p, size);
	munmap(p, size);
}

/*
 * Processes
 */
static void become_another_program(void)
{
	int null = open("/dev/null", O_WRONLY);

	dup2(null, STDOUT_FILENO);
	execl("/proc/self/exe", "exec", "--list-subtests", NULL);
	igt_assert_f(false, "exec: %s\n", strerror(errno));
}

static void test_spawn(void)
{
	uint64_t *p = device_alloc(SIZE);
	int i;

	for (i = 0; i < 5; i++) {
		igt_fork(child, 1)
			become_another_program();
		igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, p, 1, 8);
		igt_devmem_run(&d);
		igt_waitchildren();
		igt_assert_eq_u64(igt_devmem_peek(&d, p), PATTERN + i + 1);
	}
	p[0] = PATTERN;
	check_usable(p, SIZE);
	igt_devmem_anon_free(p, SIZE);
}

enum ending { BUSY_EXIT, BUSY_EXEC, BUSY_ABORT };

static const char * const endings[] = {
	[BUSY_EXIT] = "exit", [BUSY_EXEC] = "exec", [BUSY_ABORT] = "abort",
};

static void test_busy(enum ending ending)
{
	uint64_t before = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE);
	uint64_t *shared = igt_devmem_shared_alloc(PAGE);
	pid_t pid = fork();
	int status;

	igt_assert_lte(0, pid);
	if (!pid) {
		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		igt_devmem_count_forever(&d, igt_devmem_anon_alloc(SIZE), shared);
		if (ending == BUSY_EXEC)
			become_another_program();
		if (ending == BUSY_ABORT)
			kill(getpid(), SIGKILL);
		_exit(0);
	}
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert(ending == BUSY_ABORT ? WIFSIGNALED(status) : WIFEXITED(status));

	/* The shared page is alive here: the GPU must have let go of it. */
	igt_assert(igt_devmem_vram_comes_back(d.fd, before - 64 * KIB));
	igt_devmem_expect_stopped(shared);
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
	igt_devmem_poke(&d, d.result, 1);
	igt_devmem_shared_free(shared, PAGE);
}

static void test_fair(void)
{
	uint64_t *words = igt_devmem_anon_alloc(SIZE);
	struct drm_devmem_stats stats;
	uint64_t gpu, cpu = 0;
	unsigned int loop;
	int64_t now, end, limit;

	loop = igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, words, 1, 8);
	igt_devmem_load(&d.batch, 1, d.result, 8);
	igt_devmem_branch(&d.batch, 1, DRM_DEVMEM_COMPARE_EQ, 0, loop);
	igt_devmem_submit(&d);
	/* A second, or what a slow machine needs */
	end = igt_devmem_deadline(1000000000);
	limit = end + 8000000000ll;
	do {
		__atomic_fetch_add(&words[1], 1, __ATOMIC_SEQ_CST);
		cpu++;
		gpu = __atomic_load_n(words, __ATOMIC_SEQ_CST);
		now = igt_devmem_deadline(0);
	} while (now < end || ((gpu < 20 || cpu < 20) && now < limit));
	__atomic_store_n(d.result, 1, __ATOMIC_SEQ_CST);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	d.batch.count = 0;
	igt_assert_eq(igt_devmem_queue_query(d.fd, d.queue).errors, 0);
	gpu = __atomic_load_n(words, __ATOMIC_SEQ_CST);
	stats = igt_devmem_stats(d.fd, d.vm);
	igt_info("CPU %llu, GPU %llu; %llu migrations there, %llu back\n",
		 (unsigned long long)cpu, (unsigned long long)gpu,
		 (unsigned long long)stats.to_device_count, (unsigned long long)stats.cpu_faults);
	igt_assert_eq_u64(words[1], cpu);
	/* Each side keeps a page that it got for a while, and gets it back often enough. */
	igt_assert_lte_u64(20, gpu);
	igt_assert_lte_u64(20, cpu);
	igt_devmem_anon_free(words, SIZE);
}

static const struct igt_devmem_subtest tests[] = {
	{ "madvise-collapse", "Collapsing loses nothing", test_advice_collapse },
	{ "madvise-free", "Freed lazily, never half", test_advice_free },
	{ "madvise-free-cpus", "Pages that were just freed lazily migrate",
	  test_advice_free_cpus },
	{ "madvise-dontfork", "Memory that a child does not get", test_advice_dontfork },
	{ "madvise-wipeonfork", "Memory that a child gets empty", test_advice_wipeonfork },
	{ "madvise-remove", "A hole in shared memory", test_advice_remove },
	{ "mlock", "Locked memory works", test_mlock },
	{ "userfaultfd-missing", "Missing pages are the handler's", test_userfaultfd_missing },
	{ "userfaultfd-wp", "Write protection of userfaultfd holds", test_userfaultfd_wp },
	{ "userfaultfd-move", "Moving pages loses nothing", test_userfaultfd_move },
	{ "userfaultfd-destroy", "The GPU's wait keeps nothing from going",
	  test_userfaultfd_destroy },
	{ "userfaultfd-parallel", "The GPU's wait holds up nobody else",
	  test_userfaultfd_parallel },
	{ "userfaultfd-kill", "The GPU's wait keeps nobody from dying",
	  test_userfaultfd_kill },
	{ "proc-pagemap", "Looking at page tables moves nothing", test_proc_pagemap },
	{ "pagemap-scan", "Scanning page tables moves nothing", test_pagemap_scan },
	{ "pagemap-scan-write", "A scan that protects sees each write",
	  test_pagemap_scan_write },
	{ "soft-dirty-round-trip", "Soft-dirty memory stays so", test_soft_dirty_round_trip },
	{ "soft-dirty-keep", "Memory on the device stays soft-dirty", test_soft_dirty_keep },
	{ "soft-dirty-write", "Writes are tracked on the device", test_soft_dirty_write },
	{ "proc-smaps", "Memory on the device counts as resident", test_proc_smaps },
	{ "proc-mem", "/proc/self/mem brings memory back", test_proc_mem },
	{ "process-vm-writev", "Another process can write", test_process_vm_writev },
	{ "ptrace", "A debugger can read and write", test_ptrace },
	{ "o-direct", "Block devices can read and write", test_o_direct },
	{ "pin-longterm", "Pinned memory stays", test_pin_longterm },
	{ "vmsplice", "Memory in a pipe stays", test_vmsplice },
	{ "io-uring", "Registered buffers stay", test_io_uring },
	{ "ksm", "Merged pages are copied before a GPU write", test_ksm },
	{ "vdso", "The vDSO is read-only", test_vdso },
	{ "vvar", "Data of the vDSO is read-only", test_vvar },
	{ "pfnmap", "No access without a struct page", test_pfnmap },
	{ "mixedmap", "Pages of the kernel are used in place", test_mixedmap },
	{ "dax", "Persistent memory is used in place", test_dax },
	{ "p2pdma", "Memory of another PCI device", test_p2pdma },
	{ "numa-balancing", "Looking for the right node takes nothing away",
	  test_numa_balancing },
	{ "secretmem", "Secrets stay secret", test_secretmem },
	{ "last-page", "Addresses end where they should", test_last_page },
	{ "first-page", "Low addresses work", test_first_page },
	{ "grow-and-shrink", "Mappings can grow and shrink", test_grow_and_shrink },
	{ "thp-fork", "A shared huge page is copied in parts", test_thp_fork },
	{ "thp-mremap-part", "A huge page can be moved in parts", test_thp_mremap_part },
	{ "thp-dontneed-part", "A huge page can be discarded in parts", test_thp_dontneed_part },
	{ "thp-mprotect-part", "A huge page can be protected in parts", test_thp_mprotect_part },
	{ "thp-fault-middle", "A huge page comes back by a fault in its middle",
	  test_thp_fault_middle },
	{ "mixed-pages", "Pages of all kinds next to each other", test_mixed_pages },
	{ "hugetlb-shared", "Shared huge pages are shared", test_hugetlb_shared },
	{ "spawn", "Starting programs does not disturb", test_spawn },
	{ "fair", "Neither side starves", test_fair },
};

int igt_main()
{
	unsigned int i = 0;

	igt_devmem_open_fixture(&d);

	for (i = 0; i < ARRAY_SIZE(advices); i++) {
		igt_describe("Advice changes neither data nor place, unless it says so");
		igt_subtest_f("madvise-%s", advices[i].name)
			test_advice(&advices[i]);
	}

	igt_devmem_subtests(tests, ARRAY_SIZE(tests));

	for (i = 0; i < ARRAY_SIZE(endings); i++) {
		igt_describe("The GPU stops when its process ends");
		igt_subtest_f("busy-%s", endings[i])
			test_busy(i);
	}

	igt_devmem_close_fixture(&d);
}
