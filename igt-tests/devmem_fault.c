// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem fault
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Faults
 * Description: Faults of many queues and CPUs, and faults that fail
 *
 * SUBTEST: invalid-query
 * Description: Each bad argument of the query gives the error that is documented
 *
 * SUBTEST: report
 * Description: A fault that fails is reported with queue, address, access and reason
 *
 * SUBTEST: report-many
 * Description: The latest come first, and of too many the oldest are forgotten
 *
 * SUBTEST: report-queues
 * Description: The report tells queues apart, and VMs do not share one
 *
 * SUBTEST: merge
 * Description: Queues that fault on memory being served wait for that one fault
 *
 * SUBTEST: merge-fail
 * Description: When it fails, so do those that wanted the same
 *
 * SUBTEST: merge-rights
 * Description: A read is served by a write, and a write is not by a read
 *
 * SUBTEST: merge-destroy
 * Description: A queue that waits for the fault of another can be destroyed
 *
 * SUBTEST: not-merged
 * Description: A fault that is stuck holds up none in other memory of the same 2 MiB
 *
 * SUBTEST: limit-stuck
 * Description: A process that leaves too many stuck faults behind gets no new queue
 *
 * SUBTEST: limit-stuck-vms
 * Description: A process that leaves too many VMs with stuck faults behind gets no new VM
 *
 * SUBTEST: cpu-%s
 * Description: %arg[1] of the CPU take memory back from the device at the same time
 *
 * arg[1]:
 *
 * @threads:			threads, each a part of the memory
 * @threads-same-page:		threads, each page all at once
 * @processes:			processes, each a part of the memory
 * @processes-same-page:	processes, each page all at once
 *
 * SUBTEST: no-ban
 * Description: By default a VM goes on after a fault that failed
 *
 * SUBTEST: ban
 * Description: A VM that was created so is banned by the first fault that fails
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "igt_syncobj.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("Faults of many queues, and faults that fail");

#define MIB		(1024 * 1024ul)
#define PAGE		4096ul
#define QUEUES		4

static struct igt_devmem d;

static int query(uint32_t vm, struct drm_devmem_fault *faults, uint32_t room,
		 struct drm_devmem_query_faults *args)
{
	*args = (struct drm_devmem_query_faults){
		.vm_id = vm, .num = room, .data = (uintptr_t)faults,
	};
	return __igt_devmem_query_faults(d.fd, args);
}

static uint64_t total(void)
{
	struct drm_devmem_query_faults args;

	igt_assert_eq(query(d.vm, NULL, 0, &args), 0);
	return args.total;
}

static void test_invalid_query(void)
{
	struct drm_devmem_fault faults[DRM_DEVMEM_MAX_FAULTS];
	struct drm_devmem_query_faults args;
	unsigned int bit;

	igt_assert_eq(query(~0u, faults, 1, &args), -ENOENT);
	igt_assert_eq(query(0, faults, 1, &args), -ENOENT);
	for (bit = 0; bit < 32; bit++) {
		args = (struct drm_devmem_query_faults){ .vm_id = d.vm, .flags = 1u << bit };
		igt_assert_eq(__igt_devmem_query_faults(d.fd, &args), -EINVAL);
	}
	igt_devmem_store(&d.batch, NULL, 1, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq(query(d.vm, NULL, 1, &args), -EFAULT);
	igt_assert_eq(query(d.vm, NULL, 0, &args), 0);
	igt_assert_eq_u32(args.num, 1);
	igt_assert_eq(query(d.vm, faults, ~0u, &args), 0);
}

/* The batch fails, and this is what is reported. */
static void expect_report(const void *addr, uint32_t access, uint32_t reason)
{
	uint64_t before = total(), start = igt_devmem_deadline(0);
	struct drm_devmem_fault fault;
	struct drm_devmem_query_faults args;

	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq(query(d.vm, &fault, 1, &args), 0);
	igt_assert_eq_u64(args.total, before + 1);
	igt_assert_eq_u32(args.state, 0);
	igt_assert_eq_u64(fault.addr, (uintptr_t)addr);
	igt_assert_eq_u32(fault.access, access);
	igt_assert_eq_u32(fault.reason, reason);
	igt_assert_eq_u32(fault.queue_id, d.queue);
	igt_assert_eq_u32(fault.pad, 0);
	igt_assert_lte_u64(start, fault.time_ns);
	igt_assert_lte_u64(fault.time_ns, igt_devmem_deadline(0));
}

static void test_report(void)
{
	uint64_t *p = igt_devmem_anon_alloc(8 * MIB);
	char *kernel = (char *)0xffff888000000000ull;

	igt_assert_eq(munmap(p, 2 * MIB), 0);
	igt_devmem_load(&d.batch, 1, p + 3, 8);
	expect_report(p + 3, DRM_DEVMEM_ACCESS_READ, DRM_DEVMEM_FAULT_NOT_MAPPED);

	p += 2 * MIB / 8;
	igt_assert_eq(mprotect(p, 2 * MIB, PROT_READ), 0);
	igt_devmem_store(&d.batch, p + 5, 1, 8);
	expect_report(p + 5, DRM_DEVMEM_ACCESS_WRITE, DRM_DEVMEM_FAULT_READ_ONLY);

	p += 2 * MIB / 8;
	igt_assert_eq(mprotect(p, 2 * MIB, PROT_NONE), 0);
	igt_devmem_load(&d.batch, 1, p + 7, 8);
	expect_report(p + 7, DRM_DEVMEM_ACCESS_READ, DRM_DEVMEM_FAULT_NO_ACCESS);

	p += 2 * MIB / 8;
	igt_devmem_madvise(d.fd, d.vm, p, 2 * MIB, DRM_DEVMEM_ATTR_ATOMIC,
			   DRM_DEVMEM_ATOMIC_CPU);
	igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, p + 9, 1, 8);
	expect_report(p + 9, DRM_DEVMEM_ACCESS_ATOMIC, DRM_DEVMEM_FAULT_ATOMIC_POLICY);

	igt_devmem_load(&d.batch, 1, kernel, 8);
	expect_report(kernel, DRM_DEVMEM_ACCESS_READ, DRM_DEVMEM_FAULT_NO_ACCESS);
	igt_devmem_anon_free(p - 6 * MIB / 8, 8 * MIB);
}

static void test_report_many(void)
{
	const unsigned int count = DRM_DEVMEM_MAX_FAULTS + 5;
	char *p = mmap(NULL, count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct drm_devmem_fault faults[DRM_DEVMEM_MAX_FAULTS + 1] = {};
	struct drm_devmem_query_faults args;
	uint64_t before = total();
	unsigned int i;

	igt_assert(p != MAP_FAILED);
	for (i = 0; i < count; i++) {
		igt_devmem_load(&d.batch, 1, p + i * PAGE, 8);
		igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	}
	igt_assert_eq(query(d.vm, faults, ARRAY_SIZE(faults), &args), 0);
	igt_assert_eq_u64(args.total, before + count);
	igt_assert_eq_u32(args.num, DRM_DEVMEM_MAX_FAULTS);
	for (i = 0; i < args.num; i++)
		igt_assert_eq_u64(faults[i].addr, (uintptr_t)p + (count - 1 - i) * PAGE);
	igt_assert_eq_u64(faults[i].addr, 0);

	memset(faults, 0, sizeof(faults));
	igt_assert_eq(query(d.vm, faults, 2, &args), 0);
	igt_assert_eq_u32(args.num, DRM_DEVMEM_MAX_FAULTS);
	igt_assert_eq_u64(faults[1].addr, (uintptr_t)p + (count - 2) * PAGE);
	igt_assert_eq_u64(faults[2].addr, 0);
	munmap(p, count * PAGE);
}

/*
 * A batch of its own that accesses one word, and where it signals its end. It tells that
 * it is about to. The batches share the first page of d.batch and what they write that of
 * d.result, which the GPU has mapped: each of them faults once.
 */
struct worker {
	uint32_t queue;
	uint32_t syncobj;
	uint32_t *begun;
};

static void worker_start(struct worker *w, uint32_t vm, void *addr, bool write)
{
	struct drm_devmem_sync sync = { .flags = DRM_DEVMEM_SYNC_SIGNAL };
	struct drm_devmem_cmd *cmds = &d.batch.cmds[d.batch.count];

	w->queue = igt_devmem_queue_create(d.fd, vm);
	w->syncobj = syncobj_create(d.fd, 0);
	w->begun = (uint32_t *)d.result + d.batch.count;
	*w->begun = 0;
	igt_devmem_store(&d.batch, w->begun, 1, 4);
	if (write)
		igt_devmem_store(&d.batch, addr, 1, 8);
	else
		igt_devmem_load(&d.batch, 1, addr, 8);
	igt_devmem_end(&d.batch);
	sync.handle = w->syncobj;
	igt_devmem_exec(d.fd, w->queue, cmds, &sync, 1);
}

static bool worker_done(struct worker *w, int64_t ns)
{
	return syncobj_wait(d.fd, &w->syncobj, 1, igt_devmem_deadline(ns), 0, NULL);
}

static uint32_t worker_end(struct worker *w)
{
	struct drm_devmem_queue_query q;

	igt_assert(worker_done(w, IGT_DEVMEM_TIMEOUT_NS));
	q = igt_devmem_queue_query(d.fd, w->queue);
	igt_devmem_queue_destroy(d.fd, w->queue);
	syncobj_destroy(d.fd, w->syncobj);
	return q.errors ? q.error : DRM_DEVMEM_ERROR_NONE;
}

static void test_report_queues(void)
{
	struct drm_devmem_query_faults args;
	struct drm_devmem_fault fault;
	struct worker w;
	uint32_t queue, vm = igt_devmem_vm_create(d.fd, 0);
	uint64_t before = total();

	worker_start(&w, d.vm, NULL, false);
	queue = w.queue;
	igt_assert_neq(queue, d.queue);
	igt_assert_eq(worker_end(&w), DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq(query(d.vm, &fault, 1, &args), 0);
	igt_assert_eq_u32(fault.queue_id, queue);
	igt_assert_eq_u64(args.total, before + 1);

	worker_start(&w, vm, NULL, true);
	queue = w.queue;
	igt_assert_eq(worker_end(&w), DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq_u64(total(), before + 1);
	igt_assert_eq(query(vm, &fault, 1, &args), 0);
	igt_assert_eq_u64(args.total, 1);
	igt_assert_eq_u32(fault.queue_id, queue);
	igt_devmem_vm_destroy(d.fd, vm);
}

/* Faults in this memory wait until somebody resolves them. */
static int block(char *p, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)p, size }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	/* A batch that maps the pages for those of the workers. */
	d.batch.count = 0;
	igt_devmem_poke(&d, d.result, 0);
	igt_assert_fd(uffd);
	igt_assert_eq(ioctl(uffd, UFFDIO_API, &api), 0);
	igt_assert_eq(ioctl(uffd, UFFDIO_REGISTER, &reg), 0);
	return uffd;
}

/* Have the GPU fault on a page by itself: a larger chunk would want all of its pages. */
static void single_out(char *page)
{
	igt_devmem_madvise(d.fd, d.vm, page, PAGE, DRM_DEVMEM_ATTR_PREFERRED,
			   DRM_DEVMEM_PREFERRED_DEVICE);
}

static int blocked_alloc(char **p)
{
	*p = igt_devmem_anon_alloc(2 * MIB);
	single_out(*p);
	return block(*p, 2 * MIB);
}

static void wait_blocked(int uffd)
{
	struct uffd_msg msg;
	int i;

	for (i = 0; i < 1000; i++) {
		if (read(uffd, &msg, sizeof(msg)) == sizeof(msg))
			return;
		usleep(10000);
	}
	igt_assert_f(false, "nobody faulted\n");
}

static void resolve(int uffd, char *p)
{
	struct uffdio_zeropage zero = { .range = { (uintptr_t)p, PAGE } };

	igt_assert_eq(ioctl(uffd, UFFDIO_ZEROPAGE, &zero), 0);
}

static uint64_t merged(void)
{
	return igt_devmem_stats(d.fd, d.vm).gpu_faults_merged;
}

/* Their faults come next. Nothing shows that they have come to wait for another one. */
static void wait_begun(struct worker *w, int count)
{
	int i;

	for (i = 0; i < count; i++)
		igt_devmem_wait_turn(w[i].begun, 1);
	sleep(1);
}

/* The first worker's fault is stuck; the others fault meanwhile. */
static void start_workers(struct worker *w, int uffd, char *p)
{
	int i;

	worker_start(&w[0], d.vm, p, false);
	wait_blocked(uffd);
	for (i = 1; i < QUEUES; i++)
		worker_start(&w[i], d.vm, p + 8 * i, false);
	wait_begun(&w[1], QUEUES - 1);
}

static void test_merge(void)
{
	uint64_t before = merged(), faults;
	struct worker w[QUEUES];
	char *p;
	int i, uffd = blocked_alloc(&p);

	faults = igt_devmem_stats(d.fd, d.vm).gpu_faults;
	start_workers(w, uffd, p);
	for (i = 0; i < QUEUES; i++)
		igt_assert(!worker_done(&w[i], 0));
	igt_assert_eq_u64(merged(), before);
	resolve(uffd, p);
	for (i = 0; i < QUEUES; i++)
		igt_assert_eq(worker_end(&w[i]), DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq_u64(merged(), before + QUEUES - 1);
	igt_assert_eq_u64(igt_devmem_stats(d.fd, d.vm).gpu_faults, faults + QUEUES);
	close(uffd);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_merge_fail(void)
{
	uint64_t before = merged(), failed = total();
	struct worker w[QUEUES];
	char *p;
	int i, uffd = blocked_alloc(&p);

	start_workers(w, uffd, p);
	igt_assert_eq(munmap(p, 2 * MIB), 0);
	/* Who is stuck looks again, and finds nothing. */
	close(uffd);
	for (i = 0; i < QUEUES; i++)
		igt_assert_eq(worker_end(&w[i]), DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq_u64(merged(), before + QUEUES - 1);
	igt_assert_eq_u64(total(), failed + QUEUES);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_merge_rights(void)
{
	uint64_t before = merged(), faults;
	struct worker reader, writer;
	char *p;
	int uffd = blocked_alloc(&p);

	/* What serves the write is good enough for the read. */
	faults = igt_devmem_stats(d.fd, d.vm).gpu_faults;
	worker_start(&writer, d.vm, p, true);
	wait_blocked(uffd);
	worker_start(&reader, d.vm, p, false);
	wait_begun(&reader, 1);
	resolve(uffd, p);
	igt_assert_eq(worker_end(&writer), DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq(worker_end(&reader), DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq_u64(merged(), before + 1);
	igt_assert_eq_u64(igt_devmem_stats(d.fd, d.vm).gpu_faults, faults + 2);
	igt_assert_eq_u64(*(uint64_t *)p, 1);
	close(uffd);
	igt_devmem_anon_free(p, 2 * MIB);

	/* The other way round both get what they need in the end. */
	uffd = blocked_alloc(&p);
	worker_start(&reader, d.vm, p, false);
	wait_blocked(uffd);
	worker_start(&writer, d.vm, p, true);
	wait_begun(&writer, 1);
	igt_assert(!worker_done(&writer, 0));
	resolve(uffd, p);
	igt_assert_eq(worker_end(&reader), DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq(worker_end(&writer), DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq_u64(*(uint64_t *)p, 1);
	close(uffd);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_merge_destroy(void)
{
	struct worker w[QUEUES];
	uint64_t before = merged();
	char *p;
	int i, uffd = blocked_alloc(&p);

	start_workers(w, uffd, p);
	igt_devmem_queue_destroy(d.fd, w[1].queue);
	igt_assert(worker_done(&w[1], IGT_DEVMEM_TIMEOUT_NS));
	syncobj_destroy(d.fd, w[1].syncobj);
	resolve(uffd, p);
	for (i = 0; i < QUEUES; i++)
		if (i != 1)
			igt_assert_eq(worker_end(&w[i]), DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq_u64(merged(), before + QUEUES - 2);
	close(uffd);
	igt_devmem_anon_free(p, 2 * MIB);
}

/* What is long enough for any fault that is not stuck, and less than batches have. */
#define SOON_NS		(5ll * 1000 * 1000 * 1000)

static void test_not_merged(void)
{
	struct worker stuck, other;
	uint64_t before = merged();
	char *p = igt_devmem_anon_alloc(2 * MIB);
	int uffd = block(p, MIB);

	worker_start(&stuck, d.vm, p, false);
	wait_blocked(uffd);
	worker_start(&other, d.vm, p + MIB, false);
	igt_assert_f(worker_done(&other, SOON_NS),
		     "a fault waits for one in other memory\n");
	igt_assert(!worker_done(&stuck, 0));
	close(uffd);
	igt_assert_eq(worker_end(&other), DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq(worker_end(&stuck), DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq_u64(merged(), before);
	igt_devmem_anon_free(p, 2 * MIB);
}

/* Faults of its queues that are gone that a process can leave behind */
#define STUCK_LIMIT	64

/* Leave a fault behind, if there is a queue for it. */
static int leave_stuck(int uffd, char *page)
{
	uint32_t queue;
	int err = __igt_devmem_queue_create(d.fd, d.vm, &queue);

	if (err)
		return err;
	d.batch.count = 0;
	igt_devmem_load(&d.batch, 1, page, 8);
	igt_devmem_end(&d.batch);
	igt_devmem_exec(d.fd, queue, d.batch.cmds, NULL, 0);
	wait_blocked(uffd);
	igt_devmem_queue_destroy(d.fd, queue);
	return 0;
}

/* A limit that was met is nothing to others, and nothing to the queue that there is. */
static void check_others_run(void)
{
	igt_fork(child, 1) {
		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		igt_devmem_poke(&d, d.result, 1);
		igt_assert_eq_u64(*d.result, 1);
	}
	igt_waitchildren();
	d.batch.count = 0;
	igt_devmem_poke(&d, d.result, 2);
	igt_assert_eq_u64(*d.result, 2);
}

static void test_limit_stuck(void)
{
	int64_t end = igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS);
	char *p = igt_devmem_anon_alloc(2 * MIB);
	int uffd, err = 0, count;
	uint32_t queue;

	/* Every other page: they have the same attribute, and none with its neighbour. */
	for (count = 0; count <= STUCK_LIMIT; count++)
		single_out(p + 2 * count * PAGE);
	uffd = block(p, 2 * MIB);
	for (count = 0; count <= STUCK_LIMIT; count++) {
		err = leave_stuck(uffd, p + 2 * count * PAGE);
		if (err)
			break;
	}
	igt_assert_eq(err, -EBUSY);
	igt_assert_eq(count, STUCK_LIMIT);

	check_others_run();

	close(uffd);
	do {
		igt_assert_f(igt_devmem_deadline(0) < end, "there is no queue any more\n");
		usleep(10000);
		err = __igt_devmem_queue_create(d.fd, d.vm, &queue);
	} while (err == -EBUSY);
	igt_assert_eq(err, 0);
	igt_devmem_queue_destroy(d.fd, queue);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 0);
	igt_devmem_anon_free(p, 2 * MIB);
}

/* VMs that are destroyed and live on that a process can have */
#define STUCK_VMS	32

/* Leave a VM behind that lives on, if there is one for it. */
static int leave_stuck_vm(int uffd, char *page)
{
	const uint32_t vm = d.vm;
	int err = __igt_devmem_vm_create(d.fd, 0, &d.vm);

	if (!err) {
		err = leave_stuck(uffd, page);
		igt_devmem_vm_destroy(d.fd, d.vm);
	}
	d.vm = vm;
	return err;
}

static void test_limit_stuck_vms(void)
{
	int64_t end = igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS);
	char *p = igt_devmem_anon_alloc(2 * MIB);
	int uffd, err = 0, count;
	uint32_t vm;

	uffd = block(p, 2 * MIB);
	for (count = 0; count <= STUCK_VMS; count++) {
		err = leave_stuck_vm(uffd, p + count * PAGE);
		if (err)
			break;
	}
	igt_assert_eq(err, -EBUSY);
	igt_assert_eq(count, STUCK_VMS);

	check_others_run();

	close(uffd);
	do {
		igt_assert_f(igt_devmem_deadline(0) < end, "there is no VM any more\n");
		usleep(10000);
		err = __igt_devmem_vm_create(d.fd, 0, &vm);
	} while (err == -EBUSY);
	igt_assert_eq(err, 0);
	igt_devmem_vm_destroy(d.fd, vm);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 0);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_no_ban(void)
{
	struct drm_devmem_query_faults args;

	igt_devmem_load(&d.batch, 1, NULL, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq(query(d.vm, NULL, 0, &args), 0);
	igt_assert_eq_u32(args.state, 0);
	igt_devmem_poke(&d, d.result, 3);
	igt_assert_eq_u64(*d.result, 3);
}

static void test_ban(void)
{
	uint64_t *word = igt_devmem_shared_alloc(PAGE);
	struct drm_devmem_prefetch prefetch = {
		.addr = (uintptr_t)word, .length = PAGE, .location = DRM_DEVMEM_LOCATION_DEVICE,
	};
	struct drm_devmem_query_faults args;
	struct igt_devmem other;
	uint32_t queue;

	igt_devmem_init(&other, d.fd, DRM_DEVMEM_VM_BAN_ON_FAULT);
	igt_devmem_poke(&other, word, 1);
	igt_assert_eq(query(other.vm, NULL, 0, &args), 0);
	igt_assert_eq_u32(args.state, 0);

	/* One queue waits for memory; the fault of another ends it. */
	igt_devmem_store(&other.batch, word, 2, 8);
	igt_devmem_wait(&other.batch, word, DRM_DEVMEM_COMPARE_EQ, 99, 8);
	igt_devmem_submit(&other);
	igt_devmem_wait_turn((uint32_t *)word, 2);
	igt_assert(!igt_devmem_done(&other, 0));
	queue = other.queue;
	other.queue = igt_devmem_queue_create(d.fd, other.vm);
	other.batch.count = 512;
	igt_devmem_load(&other.batch, 1, NULL, 8);
	igt_devmem_end(&other.batch);
	igt_devmem_exec(d.fd, other.queue, &other.batch.cmds[512], NULL, 0);
	igt_assert(igt_devmem_done(&other, 5ll * 1000 * 1000 * 1000));
	igt_assert_eq(igt_devmem_queue_query(d.fd, queue).error, DRM_DEVMEM_ERROR_FAULT);

	igt_assert_eq(query(other.vm, NULL, 0, &args), 0);
	igt_assert_eq_u32(args.state, DRM_DEVMEM_VM_BANNED);
	igt_assert_eq_u64(args.total, 1);
	igt_assert_eq(__igt_devmem_exec(d.fd, queue, other.batch.cmds, NULL, 0), -ECANCELED);
	igt_assert_eq(__igt_devmem_queue_create(d.fd, other.vm, &other.syncobj), -ECANCELED);
	prefetch.vm_id = other.vm;
	igt_assert_eq(__igt_devmem_prefetch(d.fd, &prefetch), -ECANCELED);

	/* Nobody else notices, and the VM can be destroyed. */
	igt_devmem_poke(&d, word, 3);
	igt_assert_eq_u64(*word, 3);
	igt_devmem_queue_destroy(d.fd, queue);
	igt_devmem_queue_destroy(d.fd, other.queue);
	igt_devmem_vm_destroy(d.fd, other.vm);
	igt_devmem_shared_free(word, PAGE);
}

/* Memory that several of the CPU want back, and how many they are. */
#define TAKERS		4
#define TAKEN		(4 * MIB)

/**
 * struct taker - a thread or process that takes memory back
 * @p: the memory
 * @first: byte that it begins with
 * @size: how much it wants
 * @add: to each word that it reads
 * @start: all of them leave here together
 */
struct taker {
	char *p;
	size_t first;
	size_t size;
	uint64_t add;
	pthread_barrier_t *start;
};

static void *take(void *arg)
{
	const struct taker *taker = arg;
	size_t at, end = taker->first + taker->size;

	pthread_barrier_wait(taker->start);
	for (at = taker->first; at < end; at += PAGE) {
		uint64_t *word = (uint64_t *)(taker->p + at);

		if (taker->add)
			__atomic_fetch_add(word, taker->add, __ATOMIC_SEQ_CST);
		else
			igt_assert_eq_u64(*word, at + 1);
	}
	return NULL;
}

static void take_by_threads(struct taker *takers)
{
	pthread_t threads[TAKERS];
	int i;

	for (i = 0; i < TAKERS; i++)
		igt_assert_eq(pthread_create(&threads[i], NULL, take, &takers[i]), 0);
	for (i = 0; i < TAKERS; i++)
		igt_assert_eq(pthread_join(threads[i], NULL), 0);
}

static void take_by_processes(struct taker *takers)
{
	igt_fork(child, TAKERS)
		take(&takers[child]);
	igt_waitchildren();
}

/* Migration passes over a page that another CPU refers to for a moment. */
static void give_all(char *p)
{
	int tries = 0;

	while (igt_devmem_prefetch(&d, p, TAKEN, DRM_DEVMEM_LOCATION_DEVICE,
				   DRM_DEVMEM_PREFETCH_WRITE) < TAKEN) {
		igt_assert_lt(tries++, 20);
		usleep(50000);
	}
}

/* Threads add one to what they read; processes only read, so that all see the same. */
static void test_cpu(bool processes, bool same_page)
{
	const uint64_t add = processes ? 0 : 1, total_add = same_page ? TAKERS * add : add;
	pthread_barrier_t *start = igt_devmem_shared_alloc(PAGE);
	char *p = igt_devmem_anon_alloc(TAKEN);
	struct taker takers[TAKERS];
	pthread_barrierattr_t attr;
	uint64_t before, round;
	size_t at;
	int i;

	igt_require(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY));
	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	igt_assert_eq(pthread_barrier_init(start, &attr, TAKERS), 0);
	igt_devmem_madvise(d.fd, d.vm, p, TAKEN, DRM_DEVMEM_ATTR_PREFERRED,
			   DRM_DEVMEM_PREFERRED_DEVICE);
	for (i = 0; i < TAKERS; i++) {
		takers[i] = (struct taker){ .p = p, .size = TAKEN, .add = add, .start = start };
		if (same_page)
			continue;
		takers[i].size /= TAKERS;
		takers[i].first = i * takers[i].size;
	}
	for (round = 0; round < 3; round++) {
		for (at = 0; at < TAKEN; at += PAGE)
			*(uint64_t *)(p + at) = at + 1;
		give_all(p);
		before = igt_devmem_stats(d.fd, d.vm).to_system_bytes;
		if (processes)
			take_by_processes(takers);
		else
			take_by_threads(takers);
		/* Each page came once, whoever wanted it. */
		igt_assert_eq_u64(igt_devmem_stats(d.fd, d.vm).to_system_bytes, before + TAKEN);
		igt_assert(igt_devmem_location_is(&d, p, TAKEN, DRM_DEVMEM_LOCATION_SYSTEM));
		for (at = 0; at < TAKEN; at += PAGE)
			igt_assert_eq_u64(*(uint64_t *)(p + at), at + 1 + total_add);
	}
	igt_devmem_anon_free(p, TAKEN);
	igt_devmem_shared_free(start, PAGE);
}

static void test_cpu_threads(void)
{
	test_cpu(false, false);
}

static void test_cpu_threads_same_page(void)
{
	test_cpu(false, true);
}

static void test_cpu_processes(void)
{
	test_cpu(true, false);
}

static void test_cpu_processes_same_page(void)
{
	test_cpu(true, true);
}

static const struct igt_devmem_subtest tests[] = {
	{ "invalid-query", "Errors are as documented", test_invalid_query },
	{ "report", "Faults that fail are reported", test_report },
	{ "report-many", "The latest faults are reported", test_report_many },
	{ "report-queues", "Queues and VMs are told apart", test_report_queues },
	{ "merge", "Faults on the same memory are served once", test_merge },
	{ "merge-fail", "Faults on the same memory fail together", test_merge_fail },
	{ "merge-rights", "Those that need more get it", test_merge_rights },
	{ "merge-destroy", "A queue can go while its fault waits", test_merge_destroy },
	{ "not-merged", "Faults in other memory do not wait", test_not_merged },
	{ "limit-stuck", "A process leaves so many faults behind", test_limit_stuck },
	{ "limit-stuck-vms", "A process leaves so many VMs behind", test_limit_stuck_vms },
	{ "cpu-threads", "Memory comes back in parts", test_cpu_threads },
	{ "cpu-threads-same-page", "A page comes back once", test_cpu_threads_same_page },
	{ "cpu-processes", "Memory comes back in parts", test_cpu_processes },
	{ "cpu-processes-same-page", "A page comes back once", test_cpu_processes_same_page },
	{ "no-ban", "A fault that fails is not the end", test_no_ban },
	{ "ban", "Unless the VM was created so", test_ban },
};

int igt_main()
{
	igt_fixture()
		igt_devmem_init(&d, igt_devmem_open(), 0);

	igt_devmem_subtests(tests, ARRAY_SIZE(tests));

	igt_devmem_close_fixture(&d);
}
