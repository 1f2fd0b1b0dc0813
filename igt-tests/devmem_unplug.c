// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem unplug
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Hot unplug
 * Description: The device goes while it is in use, and comes back
 *
 * SUBTEST: idle
 * Description: A device that nobody uses goes and comes back
 *
 * SUBTEST: invalid
 * Description: Bad requests to plug and unplug are errors
 *
 * SUBTEST: ioctls
 * Description: Each ioctl on a file of a device that has gone is ENODEV
 *
 * SUBTEST: live-pages
 * Description: Memory on the device comes back with its content
 *
 * SUBTEST: live-pages-child
 * Description: That holds for a forked child, also when the parent has exited
 *
 * SUBTEST: in-place
 * Description: Memory that the GPU used in place stays, and can change afterwards
 *
 * SUBTEST: replug-late-close
 * Description: The device comes back while a file of the old one is open
 *
 * SUBTEST: close-in-child
 * Description: The last file is closed by another process, after the device came back
 *
 * SUBTEST: busy
 * Description: A batch that runs ends with an error, and who waits for it wakes
 *
 * SUBTEST: queued
 * Description: So do batches that wait in the ring or for others
 *
 * SUBTEST: prefetch
 * Description: A prefetch that waits ends with an error in its result
 *
 * SUBTEST: at-%s
 * Description: The device goes while the driver is %arg[1]
 * arg[1]:
 *
 * @fault:		about to serve a fault
 * @migrated:		about to look the pages up
 * @bind:		about to write translations
 * @copy-to-device:	about to copy to the device
 * @copy-to-system:	about to copy to system memory for the CPU
 * @invalidate:		in an MMU notifier
 *
 * SUBTEST: racing
 * Description: CPU and GPU use the same memory while the device goes, again and again
 *
 * SUBTEST: peer-memory
 * Description: A device goes whose memory another one uses in place
 *
 * SUBTEST: peer-user
 * Description: A device goes that uses memory of another one in place
 *
 * SUBTEST: preferred
 * Description: To prefer a device that has gone moves nothing
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/sync_file.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "igt_syncobj.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("The device goes while it is in use, and comes back");

#define MIB		(1024 * 1024ul)
#define PAGE		4096ul
#define VALUE		0x1122334455667788ull

#define SYSTEM		DRM_DEVMEM_LOCATION_SYSTEM
#define DEVICE		DRM_DEVMEM_LOCATION_DEVICE
#define PEER		DRM_DEVMEM_LOCATION_PEER

#define DEVICES_FILE	"/sys/kernel/debug/devmem/devices"

static struct igt_devmem d;

static int request(const char *text)
{
	int fd = open(DEVICES_FILE, O_RDWR), err;

	igt_assert_fd(fd);
	err = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
	close(fd);
	return err;
}

static void unplug(void)
{
	igt_assert_eq(request("-0"), 0);
}

static void replug(void)
{
	igt_assert_eq(request("+0"), 0);
}

/* What a test that failed has left undone */
static void plug_all(int sig)
{
	int fd = open(DEVICES_FILE, O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, "+0", 2) < 0 && errno != EEXIST)
		fprintf(stderr, "device 0 does not come back\n");
	if (write(fd, "+1", 2) < 0 && errno != EEXIST && errno != EINVAL)
		fprintf(stderr, "device 1 does not come back\n");
	close(fd);
}

static void start(uint32_t flags)
{
	igt_devmem_init(&d, igt_devmem_open(), flags);
	igt_require(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY));
}

/* Let go of what is left of a device that has gone; its objects go with the file. */
static void forget(struct igt_devmem *old)
{
	close(old->fd);
	igt_devmem_shared_free(old->result, PAGE);
	igt_devmem_shared_free(old->pages, IGT_DEVMEM_MAX_RANGE / PAGE);
	igt_devmem_batch_fini(&old->batch);
}

/* A device that was plugged in works, and has all of its memory. */
static void check_works(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB), all;

	start(0);
	all = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE);
	igt_assert_lte_u64(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_SIZE) - 4 * MIB, all);
	igt_devmem_set(&d, p, VALUE, 2 * MIB);
	igt_devmem_expect_words(p, VALUE, 2 * MIB);
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
	igt_devmem_fini(&d);
	close(d.fd);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_idle(void)
{
	int i, fd;

	for (i = 0; i < 3; i++) {
		unplug();
		fd = __drm_open_driver_render(DRIVER_ANY);
		igt_assert_f(fd < 0, "a device that has gone can be opened\n");
		replug();
		check_works();
	}
}

static void test_invalid(void)
{
	static const char * const bad[] = { "0", "+", "-", "+16", "-x", "*0", "-0x", "- 0" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		igt_assert_f(request(bad[i]) == -EINVAL, "'%s' is not EINVAL\n", bad[i]);
	igt_assert_eq(request("+0"), -EEXIST);
	unplug();
	igt_assert_eq(request("-0"), -ENODEV);
	replug();
	check_works();
}

/* What any file of DRM can do with syncobjs */
static void check_syncobjs_gone(void)
{
	struct drm_syncobj_create create = {};
	struct drm_syncobj_destroy destroy = { .handle = d.syncobj };
	struct drm_syncobj_handle handle = { .handle = d.syncobj };
	struct drm_syncobj_wait wait = { .handles = (uintptr_t)&d.syncobj, .count_handles = 1 };
	struct drm_syncobj_array array = { .handles = (uintptr_t)&d.syncobj, .count_handles = 1 };
	uint64_t point = 0;
	struct drm_syncobj_timeline_array points = {
		.handles = (uintptr_t)&d.syncobj, .points = (uintptr_t)&point, .count_handles = 1,
	};
	const struct {
		unsigned long request;
		void *arg;
	} calls[] = {
		{ DRM_IOCTL_SYNCOBJ_CREATE, &create },
		{ DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &handle },
		{ DRM_IOCTL_SYNCOBJ_WAIT, &wait },
		{ DRM_IOCTL_SYNCOBJ_RESET, &array },
		{ DRM_IOCTL_SYNCOBJ_SIGNAL, &array },
		{ DRM_IOCTL_SYNCOBJ_QUERY, &points },
		{ DRM_IOCTL_SYNCOBJ_DESTROY, &destroy },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++)
		igt_assert_f(ioctl(d.fd, calls[i].request, calls[i].arg) && errno == ENODEV,
			     "ioctl %#lx about a syncobj is not ENODEV\n", calls[i].request);
}

static void test_ioctls(void)
{
	struct drm_devmem_query_faults faults;
	struct drm_devmem_query_stats stats;
	struct drm_devmem_query_attrs attrs;
	struct drm_devmem_prefetch prefetch;
	struct drm_devmem_queue_query query;
	struct drm_devmem_madvise madvise;
	uint64_t value;
	uint32_t id;

	start(0);
	prefetch = (struct drm_devmem_prefetch){
		.vm_id = d.vm, .addr = (uintptr_t)d.result, .length = PAGE, .location = DEVICE };
	madvise = (struct drm_devmem_madvise){
		.vm_id = d.vm, .addr = (uintptr_t)d.result, .length = PAGE };
	attrs = (struct drm_devmem_query_attrs){
		.vm_id = d.vm, .addr = (uintptr_t)d.result, .length = PAGE };
	stats = (struct drm_devmem_query_stats){
		.vm_id = d.vm, .size = sizeof(struct drm_devmem_stats),
		.data = (uintptr_t)d.result };
	faults = (struct drm_devmem_query_faults){ .vm_id = d.vm };
	igt_devmem_end(&d.batch);
	unplug();

	igt_assert_eq(__igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE, &value), -ENODEV);
	igt_assert_eq(__igt_devmem_vm_create(d.fd, 0, &id), -ENODEV);
	igt_assert_eq(__igt_devmem_queue_create(d.fd, d.vm, &id), -ENODEV);
	igt_assert_eq(__igt_devmem_exec(d.fd, d.queue, d.batch.cmds, NULL, 0), -ENODEV);
	igt_assert_eq(__igt_devmem_queue_query(d.fd, d.queue, &query), -ENODEV);
	igt_assert_eq(__igt_devmem_residency(d.fd, d.vm, d.result, PAGE, d.pages), -ENODEV);
	igt_assert_eq(__igt_devmem_prefetch(d.fd, &prefetch), -ENODEV);
	igt_assert_eq(__igt_devmem_madvise(d.fd, &madvise), -ENODEV);
	igt_assert_eq(__igt_devmem_query_attrs(d.fd, &attrs), -ENODEV);
	igt_assert(ioctl(d.fd, DRM_IOCTL_DEVMEM_QUERY_STATS, &stats) && errno == ENODEV);
	igt_assert_eq(__igt_devmem_query_faults(d.fd, &faults), -ENODEV);
	check_syncobjs_gone();
	igt_assert_eq(__igt_devmem_queue_destroy(d.fd, d.queue), -ENODEV);
	igt_assert_eq(__igt_devmem_vm_destroy(d.fd, d.vm), -ENODEV);
	forget(&d);
	replug();
	check_works();
}

static void test_live_pages(void)
{
	const size_t size = 8 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size), *q = igt_devmem_anon_alloc(size);

	igt_assert_eq(madvise(p, size, MADV_HUGEPAGE), 0);
	igt_assert_eq(madvise(q, size, MADV_NOHUGEPAGE), 0);
	start(0);
	igt_devmem_set(&d, p, VALUE, size);
	igt_devmem_set(&d, q, ~VALUE, size);
	igt_assert(igt_devmem_location_is(&d, p, size, DEVICE));
	unplug();
	igt_devmem_expect_words(p, VALUE, size);
	igt_devmem_expect_words(q, ~VALUE, size);
	/* The VM of the old device still hears of what happens to the memory. */
	p[0] = 1;
	igt_assert_eq(munmap(q, size / 2), 0);
	forget(&d);
	replug();

	start(0);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 1);
	igt_assert_eq_u64(igt_devmem_peek(&d, q + size / 16), ~VALUE);
	igt_devmem_fini(&d);
	close(d.fd);
	igt_devmem_anon_free(p, size);
	igt_devmem_anon_free(q, size);
	check_works();
}

/* @parent_exits: who has the device open exits before the device goes. */
static void live_in_child(bool parent_exits)
{
	const size_t size = 4 * MIB;
	uint32_t *turn = igt_devmem_shared_alloc(PAGE);

	igt_fork(parent, 1) {
		uint64_t *p = igt_devmem_anon_alloc(size);

		start(0);
		igt_devmem_set(&d, p, VALUE, size);
		if (fork() == 0) {
			close(d.fd);
			igt_devmem_set_turn(turn, 1);
			igt_devmem_wait_turn(turn, 2);
			igt_devmem_expect_words(p, VALUE, size);
			igt_devmem_set_turn(turn, 3);
			_exit(0);
		}
		if (!parent_exits) {
			igt_devmem_wait_turn(turn, 3);
			igt_devmem_expect_words(p, VALUE, size);
			igt_devmem_set_turn(turn, 4);
		}
	}
	igt_devmem_wait_turn(turn, 1);
	if (parent_exits)
		igt_waitchildren();
	unplug();
	igt_devmem_set_turn(turn, 2);
	igt_devmem_wait_turn(turn, parent_exits ? 3 : 4);
	if (!parent_exits)
		igt_waitchildren();
	replug();
	check_works();
	igt_devmem_shared_free(turn, PAGE);
}

static void test_live_pages_child(void)
{
	live_in_child(false);
	live_in_child(true);
}

static void test_in_place(void)
{
	const size_t size = 4 * MIB;
	uint64_t *shared = igt_devmem_shared_alloc(size), *p = igt_devmem_anon_alloc(size);

	start(DRM_DEVMEM_VM_NO_MIGRATE);
	igt_devmem_fill(&d.batch, shared, VALUE, 8, size);
	igt_devmem_fill(&d.batch, p, ~VALUE, 8, size);
	igt_devmem_run(&d);
	unplug();
	igt_devmem_expect_words(shared, VALUE, size);
	igt_devmem_expect_words(p, ~VALUE, size);
	igt_assert_eq(mprotect(p, size / 2, PROT_READ), 0);
	igt_assert_eq(munmap((char *)shared + size / 2, size / 2), 0);
	igt_fork(child, 1)
		memset((char *)p + size / 2, 1, size / 2);
	igt_waitchildren();
	igt_devmem_expect_words(p, ~VALUE, size);
	forget(&d);
	igt_devmem_shared_free(shared, size / 2);
	igt_devmem_anon_free(p, size);
	replug();
	check_works();
}

static void test_replug_late_close(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	struct igt_devmem old;

	start(0);
	igt_devmem_set(&d, p, VALUE, 2 * MIB);
	old = d;
	unplug();
	replug();
	start(0);
	igt_devmem_set(&d, p, ~VALUE, 2 * MIB);
	igt_assert(igt_devmem_location_is(&d, p, 2 * MIB, DEVICE));
	forget(&old);
	igt_assert(igt_devmem_location_is(&d, p, 2 * MIB, DEVICE));
	igt_devmem_poke(&d, p, 1);
	igt_assert_eq_u64(p[0], 1);
	igt_devmem_fini(&d);
	close(d.fd);
	igt_devmem_anon_free(p, 2 * MIB);

	/* Nothing of the old one keeps the module. */
	igt_devmem_reload("");
	check_works();
}

static void test_close_in_child(void)
{
	uint32_t *turn = igt_devmem_shared_alloc(PAGE);

	start(0);
	igt_devmem_peek(&d, d.result);
	igt_fork(child, 1) {
		igt_devmem_wait_turn(turn, 1);
		close(d.fd);
	}
	unplug();
	replug();
	close(d.fd);
	igt_devmem_set_turn(turn, 1);
	igt_waitchildren();
	igt_devmem_shared_free(turn, PAGE);
	igt_devmem_reload("");
	check_works();
}

/* Waits on a word that nobody writes, until it is stopped. */
static void start_endless(struct igt_devmem *dev)
{
	dev->result[0] = 0;
	dev->batch.count = 0;
	igt_devmem_wait(&dev->batch, dev->result, DRM_DEVMEM_COMPARE_EQ, 1, 8);
	igt_devmem_submit(dev);
}

/* A sync file of a syncobj, which does not need the device any more */
static int sync_file(uint32_t syncobj)
{
	int file = syncobj_handle_to_fd(d.fd, syncobj,
					DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE);

	igt_assert_fd(file);
	return file;
}

static int file_status(int file)
{
	struct sync_fence_info fence = {};
	struct sync_file_info info = { .num_fences = 1, .sync_fence_info = (uintptr_t)&fence };

	igt_assert_eq(ioctl(file, SYNC_IOC_FILE_INFO, &info), 0);
	return fence.status;
}

struct waiter {
	pthread_t thread;
	int file;
	bool woke;
};

static void *wait_for_file(void *arg)
{
	struct waiter *w = arg;
	struct pollfd fd = { .fd = w->file, .events = POLLIN };

	w->woke = poll(&fd, 1, IGT_DEVMEM_TIMEOUT_NS / 1000000) == 1;
	return NULL;
}

static void start_waiter(struct waiter *w, int file)
{
	w->file = file;
	igt_assert_eq(pthread_create(&w->thread, NULL, wait_for_file, w), 0);
}

static void expect_woken(struct waiter *w, int status)
{
	pthread_join(w->thread, NULL);
	igt_assert_f(w->woke, "a waiter sleeps on\n");
	igt_assert_eq(file_status(w->file), status);
	close(w->file);
}

static void test_busy(void)
{
	struct waiter waiter;

	start(0);
	start_endless(&d);
	igt_assert(!igt_devmem_done(&d, 200 * 1000 * 1000));
	start_waiter(&waiter, sync_file(d.syncobj));
	unplug();
	expect_woken(&waiter, -ECANCELED);
	forget(&d);
	replug();
	check_works();
}

static void test_queued(void)
{
	struct drm_devmem_sync wait, signal = { .flags = DRM_DEVMEM_SYNC_SIGNAL };
	struct waiter waiters[3];
	uint32_t other, syncobj;

	start(0);
	other = igt_devmem_queue_create(d.fd, d.vm);
	syncobj = syncobj_create(d.fd, 0);
	start_endless(&d);
	start_waiter(&waiters[0], sync_file(d.syncobj));

	/* Behind it in the ring, and on another queue until the first has ended */
	wait = (struct drm_devmem_sync){ .handle = d.syncobj };
	signal.handle = syncobj;
	igt_devmem_exec(d.fd, d.queue, d.batch.cmds, &signal, 1);
	start_waiter(&waiters[1], sync_file(syncobj));
	igt_devmem_exec(d.fd, other, d.batch.cmds, (struct drm_devmem_sync []){ wait, signal }, 2);
	start_waiter(&waiters[2], sync_file(syncobj));

	igt_assert(!igt_devmem_done(&d, 200 * 1000 * 1000));
	unplug();
	expect_woken(&waiters[0], -ECANCELED);
	expect_woken(&waiters[1], -ECANCELED);
	expect_woken(&waiters[2], -ENODEV);
	forget(&d);
	replug();
	check_works();
}

static void test_prefetch(void)
{
	struct drm_devmem_prefetch_result *result = igt_devmem_shared_alloc(PAGE);
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	struct drm_devmem_sync syncs[2];
	struct drm_devmem_prefetch args;
	struct waiter waiter;
	uint32_t syncobj;

	start(0);
	syncobj = syncobj_create(d.fd, 0);
	start_endless(&d);
	syncs[0] = (struct drm_devmem_sync){ .handle = d.syncobj };
	syncs[1] = (struct drm_devmem_sync){
		.handle = syncobj, .flags = DRM_DEVMEM_SYNC_SIGNAL };
	args = (struct drm_devmem_prefetch){
		.vm_id = d.vm, .addr = (uintptr_t)p, .length = 2 * MIB, .location = DEVICE,
		.num_syncs = 2, .syncs = (uintptr_t)syncs, .result = (uintptr_t)result,
	};
	igt_assert_eq(__igt_devmem_prefetch(d.fd, &args), 0);
	start_waiter(&waiter, sync_file(syncobj));
	unplug();
	expect_woken(&waiter, -ENODEV);
	igt_assert_eq(result->done, 1);
	igt_assert_eq(result->error, ENODEV);
	igt_assert_eq_u64(result->bytes, 0);
	forget(&d);
	replug();
	check_works();
	igt_devmem_anon_free(p, 2 * MIB);
	igt_devmem_shared_free(result, PAGE);
}

static void *touch(void *arg)
{
	__atomic_fetch_add((uint64_t *)arg, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void at_point(const char *point)
{
	bool by_cpu = !strcmp(point, "copy-to-system") || !strcmp(point, "invalidate");
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	pthread_t thread;
	int stop;

	start(0);
	stop = igt_devmem_stop_open(d.fd);
	igt_devmem_expect_words(p, 0, 2 * MIB);
	/* What is to stop is a fault on p, and not one for the batch. */
	igt_devmem_peek(&d, d.result);
	if (by_cpu) {
		igt_devmem_set(&d, p, VALUE, 2 * MIB);
	} else {
		p[0] = VALUE;
		igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, p, 1, 8);
		igt_devmem_wait(&d.batch, d.result, DRM_DEVMEM_COMPARE_EQ, 1, 8);
	}
	igt_devmem_stop_set(stop, point);
	if (by_cpu)
		igt_assert_eq(pthread_create(&thread, NULL, touch, p), 0);
	else
		igt_devmem_submit(&d);
	igt_assert_f(igt_devmem_stop_reached(stop, point), "nobody comes to %s\n", point);

	unplug();
	if (by_cpu)
		pthread_join(thread, NULL);
	igt_devmem_stop_close(stop);
	forget(&d);
	/* The GPU's addition was made or not; the CPU's was, and nothing else changed. */
	if (by_cpu)
		igt_assert_eq_u64(p[0], VALUE + 1);
	else
		igt_assert(p[0] == VALUE || p[0] == VALUE + 1);
	igt_devmem_expect_words(p + 1, by_cpu ? VALUE : 0, 2 * MIB - 8);
	igt_devmem_anon_free(p, 2 * MIB);
	replug();
	check_works();
}

/* r1 counts how often the GPU has added one to @word. */
static void start_adding(uint64_t *word)
{
	unsigned int loop;

	d.batch.count = 0;
	loop = igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, word, 1, 8);
	igt_devmem_alu(&d.batch, 1, 1, DRM_DEVMEM_ALU_ADD, 1);
	igt_devmem_store_reg(&d.batch, d.result, 1, 8);
	igt_devmem_branch(&d.batch, 0, DRM_DEVMEM_COMPARE_EQ, 0, loop);
	igt_devmem_submit(&d);
}

struct racer {
	pthread_t thread;
	uint64_t *word;
	uint64_t added;
	bool stop;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	while (!__atomic_load_n(&r->stop, __ATOMIC_SEQ_CST)) {
		__atomic_fetch_add(r->word, 1, __ATOMIC_SEQ_CST);
		r->added++;
		usleep(200);
	}
	return NULL;
}

static void test_racing(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	struct racer racer;
	uint64_t by_gpu;
	int round, wait;

	for (round = 0; round < 8; round++) {
		start(0);
		p[0] = 0;
		d.result[0] = 0;
		racer = (struct racer){ .word = p };
		start_adding(p);
		igt_assert_eq(pthread_create(&racer.thread, NULL, race, &racer), 0);
		for (wait = 0; wait < 6000 && !__atomic_load_n(d.result, __ATOMIC_SEQ_CST); wait++)
			usleep(10000);
		usleep(round * 13000);
		unplug();
		__atomic_store_n(&racer.stop, true, __ATOMIC_SEQ_CST);
		pthread_join(racer.thread, NULL);

		/* What the GPU has counted is there; one more if it was stopped in between. */
		by_gpu = p[0] - racer.added;
		igt_info("%llu by the GPU, %llu by the CPU\n", (unsigned long long)by_gpu,
			 (unsigned long long)racer.added);
		igt_assert_lt_u64(0, by_gpu);
		igt_assert(by_gpu == d.result[0] || by_gpu == d.result[0] + 1);
		forget(&d);
		replug();
	}
	igt_devmem_anon_free(p, 2 * MIB);
	check_works();
}

/* Device 1 uses in place what is on device 0. */
static void start_peers(struct igt_devmem *peer, uint64_t *p, size_t size)
{
	struct drm_devmem_madvise args = {
		.addr = (uintptr_t)p, .length = size,
		.attr = DRM_DEVMEM_ATTR_PREFERRED, .value = DRM_DEVMEM_PREFERRED_FD,
	};

	igt_devmem_reload("num_devices=2 vram_size=32 job_timeout_ms=60000 peer_group_size=2");
	igt_devmem_init(&d, __drm_open_driver_another(0, DRIVER_ANY), 0);
	igt_devmem_init(peer, __drm_open_driver_another(1, DRIVER_ANY), 0);
	igt_require_f(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_PEER_GROUP) ==
		      igt_devmem_get_param(peer->fd, DRM_DEVMEM_PARAM_PEER_GROUP),
		      "devices cannot be peers on this machine\n");
	args.vm_id = peer->vm;
	args.device_fd = d.fd;
	igt_assert_eq(__igt_devmem_madvise(peer->fd, &args), 0);
	igt_devmem_fill(&peer->batch, p, VALUE, 8, size);
	igt_devmem_run(peer);
	igt_assert(igt_devmem_location_is(peer, p, size, PEER));
}

static void test_peer_memory(void)
{
	const size_t size = 4 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	struct igt_devmem peer;

	start_peers(&peer, p, size);
	unplug();
	igt_assert(igt_devmem_location_is(&peer, p, size, SYSTEM));
	igt_assert_eq_u64(igt_devmem_peek(&peer, p), VALUE);
	igt_devmem_fill(&peer.batch, p, ~VALUE, 8, size);
	igt_devmem_run(&peer);
	igt_devmem_expect_words(p, ~VALUE, size);
	igt_assert_eq_u64(igt_devmem_violations(peer.fd), 0);
	igt_devmem_fini(&peer);
	close(peer.fd);
	forget(&d);
	igt_devmem_anon_free(p, size);
	replug();
	igt_devmem_restore();
	check_works();
}

static void test_peer_user(void)
{
	const size_t size = 4 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	struct igt_devmem peer;

	start_peers(&peer, p, size);
	igt_assert_eq(request("-1"), 0);
	igt_assert(igt_devmem_location_is(&d, p, size, DEVICE));
	igt_assert_eq_u64(igt_devmem_peek(&d, p), VALUE);
	igt_devmem_fill(&d.batch, p, ~VALUE, 8, size);
	igt_devmem_run(&d);
	igt_devmem_expect_words(p, ~VALUE, size);
	forget(&peer);
	igt_assert_eq(request("+1"), 0);
	igt_devmem_init(&peer, __drm_open_driver_another(1, DRIVER_ANY), 0);
	igt_assert_eq_u64(igt_devmem_peek(&peer, p), ~VALUE);
	igt_devmem_fini(&peer);
	close(peer.fd);
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
	igt_devmem_fini(&d);
	close(d.fd);
	igt_devmem_anon_free(p, size);
	igt_devmem_restore();
	check_works();
}

/* The device that is not @other; which number it has is up to the kernel. */
static int open_not(int other)
{
	struct stat a, b;
	int i, fd;

	igt_assert_eq(fstat(other, &a), 0);
	for (i = 0; i < 2; i++) {
		fd = __drm_open_driver_another(i, DRIVER_ANY);
		igt_assert_fd(fd);
		igt_assert_eq(fstat(fd, &b), 0);
		if (a.st_rdev != b.st_rdev)
			return fd;
		close(fd);
	}
	igt_assert_f(false, "no second device\n");
}

static void test_preferred(void)
{
	const size_t size = 2 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	struct drm_devmem_madvise args = {
		.addr = (uintptr_t)p, .length = size,
		.attr = DRM_DEVMEM_ATTR_PREFERRED, .value = DRM_DEVMEM_PREFERRED_FD,
	};
	struct igt_devmem peer;

	start_peers(&peer, p, size);
	unplug();
	args.vm_id = peer.vm;
	args.device_fd = d.fd;
	igt_assert_eq(__igt_devmem_madvise(peer.fd, &args), -ENODEV);
	igt_assert_eq_u64(igt_devmem_peek(&peer, p), VALUE);
	igt_assert(igt_devmem_location_is(&peer, p, size, SYSTEM));
	forget(&d);
	replug();

	/* It is not the same device; by a file of the new one it is. */
	igt_devmem_poke(&peer, p, 1);
	igt_assert(igt_devmem_location_is(&peer, p, size, SYSTEM));
	args.device_fd = open_not(peer.fd);
	igt_assert_eq(__igt_devmem_madvise(peer.fd, &args), 0);
	igt_devmem_poke(&peer, p, 2);
	igt_assert(igt_devmem_location_is(&peer, p, size, PEER));
	close(args.device_fd);
	igt_assert_eq_u64(p[0], 2);
	igt_devmem_fini(&peer);
	close(peer.fd);
	igt_devmem_anon_free(p, size);
	igt_devmem_restore();
	check_works();
}

static const struct {
	const char *name;
	const char *describe;
	void (*test)(void);
} tests[] = {
	{ "idle", "The device goes and comes back", test_idle },
	{ "invalid", "Bad requests are errors", test_invalid },
	{ "ioctls", "Each ioctl is ENODEV", test_ioctls },
	{ "live-pages", "Memory comes back with its content", test_live_pages },
	{ "live-pages-child", "Memory of a child does, too", test_live_pages_child },
	{ "in-place", "Memory used in place stays", test_in_place },
	{ "replug-late-close", "Old and new device do not meet", test_replug_late_close },
	{ "close-in-child", "The last file is closed late", test_close_in_child },
	{ "busy", "A batch that runs ends", test_busy },
	{ "queued", "Batches that wait end", test_queued },
	{ "prefetch", "A prefetch ends", test_prefetch },
	{ "racing", "CPU and GPU race with it", test_racing },
	{ "peer-memory", "Memory of a peer goes", test_peer_memory },
	{ "peer-user", "A user of a peer's memory goes", test_peer_user },
	{ "preferred", "A device that has gone gets no memory", test_preferred },
};

static const char * const points[] = {
	"fault", "migrated", "bind", "copy-to-device", "copy-to-system", "invalidate",
};

int igt_main()
{
	unsigned int i = 0;

	igt_fixture() {
		/* Loads the module, and skips all without a device. */
		close(igt_devmem_open());
		igt_require_f(!access(DEVICES_FILE, W_OK), "no " DEVICES_FILE "\n");
		igt_install_exit_handler(plug_all);
	}

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		igt_describe(tests[i].describe);
		igt_subtest(tests[i].name)
			tests[i].test();
	}

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		igt_describe("The device goes at a stop point");
		igt_subtest_f("at-%s", points[i])
			at_point(points[i]);
	}

	igt_fixture()
		igt_devmem_restore();
}
