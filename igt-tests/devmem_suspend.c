// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem suspend
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Suspend and resume
 * Description: The device sleeps, which costs it the content of its memory, and wakes up
 *
 * SUBTEST: idle
 * Description: A device that nobody uses, again and again
 *
 * SUBTEST: invalid
 * Description: Bad requests are errors
 *
 * SUBTEST: memory
 * Description: Memory on the device comes back, and goes there again
 *
 * SUBTEST: in-place
 * Description: Memory that the GPU used in place
 *
 * SUBTEST: new-memory
 * Description: Memory that nobody has touched is zero afterwards
 *
 * SUBTEST: child
 * Description: Memory of a forked child whose parent has exited
 *
 * SUBTEST: running
 * Description: A batch is in the middle of a loop, and goes on with its registers
 *
 * SUBTEST: waiting
 * Description: A batch waits for memory
 *
 * SUBTEST: queued
 * Description: Batches wait in the ring and for others; each runs once, in order
 *
 * SUBTEST: faulting
 * Description: The GPU faults all the time, and the device sleeps ten times
 *
 * SUBTEST: prefetch
 * Description: A prefetch waits for a syncobj
 *
 * SUBTEST: objects
 * Description: VMs and queues come and go
 *
 * SUBTEST: held-fault
 * Description: A fault that does not end keeps the device awake
 *
 * SUBTEST: asleep
 * Description: Its file says that the device sleeps, or is about to
 *
 * SUBTEST: copy-fails
 * Description: Memory that can't be brought back keeps the device awake
 *
 * SUBTEST: peers
 * Description: One of two devices sleeps that use each other's memory
 *
 * SUBTEST: system-%s
 * Description: The whole system sleeps: %arg[1]
 * arg[1]:
 * @idle:	nobody uses the device
 * @memory:	memory on the device comes back
 * @in-place:	memory that the GPU used in place
 * @child:	memory of a forked child
 * @running:	a batch is in the middle of a loop
 * @queued:	batches wait in the ring
 * @faulting:	the GPU faults all the time
 * @prefetch:	a prefetch waits
 * @peers:	devices use each other's memory
 *
 * SUBTEST: system-callbacks
 * Description: The whole system sleeps, and the kernel calls the driver for it
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_aux.h"
#include "igt_core.h"
#include "igt_debugfs.h"
#include "igt_syncobj.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("The device sleeps and wakes up");

#define MIB		(1024 * 1024ul)
#define PAGE		4096ul
#define VALUE		0x1122334455667788ull

/* What the kernel says of failures that the tests cause */
#define EXPECTED_MESSAGES	"copy engine: [0-9]+ errors|devmem_copy_wait: [0-9]+ callbacks"

#define SYSTEM		DRM_DEVMEM_LOCATION_SYSTEM
#define DEVICE		DRM_DEVMEM_LOCATION_DEVICE
#define PEER		DRM_DEVMEM_LOCATION_PEER

/* Makes the kernel say whom it calls for sleep, and what it takes. */
#define PRINT_TIMES		"/sys/power/pm_print_times"

static struct igt_devmem d;

/* All of the system sleeps, not the device alone. */
static bool whole_system;

static int write_debugfs(int fd, const char *name, const char *text)
{
	int file = igt_debugfs_open(fd, name, O_WRONLY), err;

	igt_assert_fd(file);
	err = write(file, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
	close(file);
	return err;
}

/* Does the device sleep, or is it about to? */
static bool asleep(void)
{
	int file = igt_debugfs_open(d.fd, "sleep", O_RDONLY);
	char text[4];

	igt_assert_fd(file);
	igt_assert_eq(read(file, text, sizeof(text)), 2);
	close(file);
	return text[0] == '1';
}

/* Sleep and wake up; 0 or a negative error. */
static int request(int fd, const char *text)
{
	return write_debugfs(fd, "sleep", text);
}

static void nap(int fd)
{
	if (whole_system)
		igt_system_suspend_autoresume(SUSPEND_STATE_FREEZE, SUSPEND_TEST_PLATFORM);
	else
		igt_assert_eq(request(fd, "1"), 0);
}

/* The kernel's virtio transport of 9p has no PM operations: such a mount would be lost. */
static void require_system_can_sleep(void)
{
	FILE *file = fopen("/proc/mounts", "r");
	char line[512];
	bool can = true;

	igt_assert(file);
	while (fgets(line, sizeof(line), file))
		if (strstr(line, " 9p ") && strstr(line, "trans=virtio"))
			can = false;
	fclose(file);
	igt_require_f(can, "9p over virtio is mounted\n");
}

static void check_works(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);

	igt_devmem_set(&d, p, VALUE, 2 * MIB);
	igt_devmem_expect_words(p, VALUE, 2 * MIB);
	igt_devmem_anon_free(p, 2 * MIB);
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
}

static void test_idle(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		nap(d.fd);
		check_works();
	}
}

static void test_invalid(void)
{
	igt_assert_eq(request(d.fd, "0"), -EINVAL);
	igt_assert_eq(request(d.fd, "2"), -EINVAL);
	igt_assert_eq(request(d.fd, "x"), -EINVAL);
}

static void test_memory(void)
{
	const size_t size = 8 * MIB;
	uint64_t all = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE);
	uint64_t *huge, *small;
	int i;

	for (i = 0; i < 3; i++) {
		/* New each time, or thrash control would keep it from the device. */
		huge = igt_devmem_anon_alloc(size);
		small = igt_devmem_anon_alloc(size);
		igt_assert_eq(madvise(huge, size, MADV_HUGEPAGE), 0);
		igt_assert_eq(madvise(small, size, MADV_NOHUGEPAGE), 0);
		igt_devmem_set(&d, huge, VALUE + i, size);
		igt_devmem_set(&d, small, ~VALUE + i, size);
		nap(d.fd);
		igt_assert(igt_devmem_location_is(&d, huge, size, SYSTEM));
		igt_assert(igt_devmem_location_is(&d, small, size, SYSTEM));
		igt_assert(igt_devmem_pages_are(&d, huge, size,
						DRM_DEVMEM_RESIDENCY_GPU_MAPPED, 0));
		igt_assert(igt_devmem_vram_comes_back(d.fd, all - MIB));
		/* The GPU first in one, the CPU in the other */
		igt_assert_eq_u64(igt_devmem_peek(&d, huge), VALUE + i);
		igt_assert(igt_devmem_location_is(&d, huge, 2 * MIB, DEVICE));
		igt_devmem_expect_words(small, ~VALUE + i, size);
		igt_devmem_expect_words(huge, VALUE + i, size);
		igt_devmem_anon_free(huge, size);
		igt_devmem_anon_free(small, size);
	}
}

static void test_in_place(void)
{
	const size_t size = 4 * MIB;
	uint64_t *p = igt_devmem_shared_alloc(size);

	igt_devmem_fill(&d.batch, p, VALUE, 8, size);
	igt_devmem_run(&d);
	nap(d.fd);
	igt_devmem_expect_words(p, VALUE, size);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + size / 16), VALUE);
	igt_devmem_fill(&d.batch, p, ~VALUE, 8, size);
	igt_devmem_run(&d);
	igt_devmem_expect_words(p, ~VALUE, size);
	igt_devmem_shared_free(p, size);
}

static void test_new_memory(void)
{
	const size_t size = 8 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size), *q;

	/* So that VRAM has been touched */
	igt_devmem_set(&d, p, VALUE, size);
	nap(d.fd);
	q = igt_devmem_anon_alloc(size);
	igt_assert_eq_u64(igt_devmem_prefetch(&d, q, size, DEVICE, 0), size);
	igt_assert_eq_u64(igt_devmem_peek(&d, q + 1), 0);
	igt_devmem_expect_words(q, 0, size);
	igt_devmem_anon_free(p, size);
	igt_devmem_anon_free(q, size);
}

static void test_child(void)
{
	const size_t size = 2 * MIB;
	uint32_t *turn = igt_devmem_shared_alloc(PAGE);

	igt_fork(parent, 1) {
		uint64_t *p = igt_devmem_anon_alloc(size);

		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		igt_devmem_set(&d, p, VALUE, size);
		if (fork() == 0) {
			igt_devmem_set_turn(turn, 1);
			igt_devmem_wait_turn(turn, 2);
			igt_devmem_expect_words(p, VALUE, size);
			igt_devmem_set_turn(turn, 3);
			_exit(0);
		}
	}
	igt_waitchildren();
	igt_devmem_wait_turn(turn, 1);
	nap(d.fd);
	igt_devmem_set_turn(turn, 2);
	igt_devmem_wait_turn(turn, 3);
	igt_devmem_shared_free(turn, PAGE);
}

static bool grows(const uint64_t *word)
{
	uint64_t first = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	int i;

	for (i = 0; i < 1000; i++) {
		if (__atomic_load_n(word, __ATOMIC_ACQUIRE) > first)
			return true;
		usleep(10000);
	}
	return false;
}

static void test_running(void)
{
	uint64_t *shared = igt_devmem_shared_alloc(PAGE), *p = igt_devmem_anon_alloc(PAGE);
	unsigned int loop, i;

	/* r1 in a register, p[0] on the device and shared[0] in place count the same. */
	loop = igt_devmem_alu(&d.batch, 1, 1, DRM_DEVMEM_ALU_ADD, 1);
	igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 3, p, 1, 8);
	igt_devmem_store_reg(&d.batch, shared, 1, 8);
	igt_devmem_load(&d.batch, 2, shared + 1, 8);
	igt_devmem_branch(&d.batch, 2, DRM_DEVMEM_COMPARE_EQ, 0, loop);
	igt_devmem_submit(&d);
	for (i = 0; i < 5; i++) {
		igt_assert(grows(shared));
		nap(d.fd);
	}
	igt_assert(grows(shared));
	__atomic_store_n(&shared[1], 1, __ATOMIC_RELEASE);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	d.batch.count = 0;
	igt_assert_eq(igt_devmem_queue_query(d.fd, d.queue).errors, 0);
	igt_assert_eq_u64(p[0], shared[0]);
	igt_devmem_anon_free(p, PAGE);
	igt_devmem_shared_free(shared, PAGE);
}

static void test_waiting(void)
{
	uint64_t *p = igt_devmem_anon_alloc(PAGE);

	p[0] = 0;
	igt_devmem_wait(&d.batch, p, DRM_DEVMEM_COMPARE_EQ, 1, 8);
	igt_devmem_store(&d.batch, d.result, VALUE, 8);
	*d.result = 0;
	igt_devmem_submit(&d);
	usleep(20000);
	nap(d.fd);
	igt_assert(!igt_devmem_done(&d, 0));
	__atomic_store_n(p, 1, __ATOMIC_RELEASE);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	d.batch.count = 0;
	igt_assert_eq_u64(*d.result, VALUE);
	igt_devmem_anon_free(p, PAGE);
}

#define JOBS	20

static void test_queued(void)
{
	uint64_t *shared = igt_devmem_shared_alloc(PAGE);
	struct igt_devmem_batch jobs[JOBS];
	uint32_t gate = syncobj_create(d.fd, 0), other = igt_devmem_queue_create(d.fd, d.vm);
	struct drm_devmem_sync wait = { .type = DRM_DEVMEM_SYNC_SYNCOBJ, .handle = d.syncobj };
	uint64_t expected = 0;
	int i;

	/* Each adds its number to three times what was there. */
	igt_devmem_wait(&d.batch, shared + 1, DRM_DEVMEM_COMPARE_EQ, 1, 8);
	igt_devmem_end(&d.batch);
	igt_devmem_exec(d.fd, d.queue, d.batch.cmds, NULL, 0);
	for (i = 0; i < JOBS; i++) {
		struct drm_devmem_sync done = {
			.type = DRM_DEVMEM_SYNC_SYNCOBJ, .flags = DRM_DEVMEM_SYNC_SIGNAL,
			.handle = i == JOBS - 1 ? gate : d.syncobj,
		};

		igt_devmem_batch_init(&jobs[i], 16);
		igt_devmem_load(&jobs[i], 1, shared, 8);
		igt_devmem_alu(&jobs[i], 1, 1, DRM_DEVMEM_ALU_MUL, 3);
		igt_devmem_alu(&jobs[i], 1, 1, DRM_DEVMEM_ALU_ADD, i);
		igt_devmem_store_reg(&jobs[i], shared, 1, 8);
		igt_devmem_end(&jobs[i]);
		/* The last one waits for the one before, on a queue of its own. */
		if (i == JOBS - 1) {
			struct drm_devmem_sync both[] = { wait, done };

			igt_devmem_exec(d.fd, other, jobs[i].cmds, both, 2);
		} else {
			igt_devmem_exec(d.fd, d.queue, jobs[i].cmds, &done, 1);
		}
	}
	nap(d.fd);
	igt_assert_eq_u64(shared[0], 0);
	__atomic_store_n(&shared[1], 1, __ATOMIC_RELEASE);
	nap(d.fd);
	igt_assert(syncobj_wait(d.fd, &gate, 1, igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS), 0,
				NULL));
	for (i = 0; i < JOBS; i++)
		expected = expected * 3 + i;
	igt_assert_eq_u64(shared[0], expected);
	for (i = 0; i < JOBS; i++)
		igt_devmem_batch_fini(&jobs[i]);
	d.batch.count = 0;
	igt_devmem_queue_destroy(d.fd, other);
	syncobj_destroy(d.fd, gate);
	igt_devmem_shared_free(shared, PAGE);
}

static void test_faulting(void)
{
	const size_t size = 16 * MIB;
	char *p = igt_devmem_anon_alloc(size);
	unsigned int round, naps = 0;
	size_t i;

	igt_assert_eq(madvise(p, size, MADV_NOHUGEPAGE), 0);
	for (round = 0; naps < 10; round++) {
		for (i = 0; i < size; i += 256 * 1024)
			igt_devmem_fill(&d.batch, p + i, VALUE + round, 8, 256 * 1024);
		igt_devmem_submit(&d);
		do {
			nap(d.fd);
			naps++;
			/* For some faults */
			usleep(5000);
		} while (!igt_devmem_done(&d, 0) && naps < 50);
		igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
		d.batch.count = 0;
		igt_assert_eq(igt_devmem_queue_query(d.fd, d.queue).errors, 0);
		igt_devmem_expect_words(p, VALUE + round, size);
	}
	igt_info("%u naps in %u rounds\n", naps, round);
	igt_devmem_anon_free(p, size);
}

static void test_prefetch(void)
{
	struct drm_devmem_prefetch_result *result = (void *)d.result;
	const size_t size = 4 * MIB;
	char *p = igt_devmem_anon_alloc(size);
	struct drm_devmem_sync syncs[] = {
		{ .type = DRM_DEVMEM_SYNC_TIMELINE_SYNCOBJ, .value = 1,
		  .handle = syncobj_create(d.fd, 0) },
		{ .type = DRM_DEVMEM_SYNC_SYNCOBJ, .flags = DRM_DEVMEM_SYNC_SIGNAL,
		  .handle = d.syncobj },
	};
	struct drm_devmem_prefetch args = {
		.vm_id = d.vm, .addr = (uintptr_t)p, .length = size, .location = DEVICE,
		.num_syncs = 2, .syncs = (uintptr_t)syncs, .result = (uintptr_t)result,
	};
	struct igt_devmem_batch gate;

	/* A batch of another queue signals the point when it may. */
	uint32_t other = igt_devmem_queue_create(d.fd, d.vm);
	struct drm_devmem_sync signal = syncs[0];

	memset(p, 1, size);
	memset(result, 0, sizeof(*result));
	d.result[8] = 0;
	igt_devmem_batch_init(&gate, 16);
	igt_devmem_wait(&gate, &d.result[8], DRM_DEVMEM_COMPARE_EQ, 1, 8);
	igt_devmem_end(&gate);
	signal.flags = DRM_DEVMEM_SYNC_SIGNAL;
	igt_devmem_exec(d.fd, other, gate.cmds, &signal, 1);
	syncobj_reset(d.fd, &d.syncobj, 1);
	igt_assert_eq(__igt_devmem_prefetch(d.fd, &args), 0);
	nap(d.fd);
	igt_assert_eq(result->done, 0);
	__atomic_store_n(&d.result[8], 1, __ATOMIC_RELEASE);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	igt_assert_eq(result->error, 0);
	igt_assert_eq_u64(result->bytes, size);
	igt_devmem_expect_words(p, 0x0101010101010101ull, size);
	igt_devmem_batch_fini(&gate);
	igt_devmem_queue_destroy(d.fd, other);
	syncobj_destroy(d.fd, syncs[0].handle);
	igt_devmem_anon_free(p, size);
}

static void test_objects(void)
{
	uint32_t *done = igt_devmem_shared_alloc(PAGE);
	int i;

	igt_fork(child, 2) {
		for (i = 0; i < 20; i++) {
			igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
			igt_devmem_poke(&d, d.result, VALUE + i);
			igt_assert_eq_u64(*d.result, VALUE + i);
			igt_devmem_fini(&d);
		}
		__atomic_add_fetch(done, 1, __ATOMIC_SEQ_CST);
	}
	for (i = 0; i < 10 || __atomic_load_n(done, __ATOMIC_SEQ_CST) < 2; i++) {
		igt_assert_lt(i, 5000);
		nap(d.fd);
		usleep(1000);
	}
	igt_waitchildren();
	igt_devmem_shared_free(done, PAGE);
}

/* How long the device waits for what is under way before it refuses to sleep */
static void set_timeout_ms(const char *ms)
{
	igt_assert_eq(write_debugfs(d.fd, "sleep_timeout_ms", ms), 0);
}

static void test_held_fault(void)
{
	uint64_t *p = igt_devmem_anon_alloc(PAGE);
	int stop = igt_devmem_stop_open(d.fd), err;

	igt_devmem_stop_set(stop, "fault");
	igt_devmem_store(&d.batch, p, VALUE, 8);
	igt_devmem_submit(&d);
	igt_assert(igt_devmem_stop_reached(stop, "fault"));
	set_timeout_ms("200");
	err = request(d.fd, "1");
	set_timeout_ms("10000");
	igt_assert_eq(err, -EBUSY);
	igt_devmem_stop_close(stop);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	d.batch.count = 0;
	igt_assert_eq(igt_devmem_queue_query(d.fd, d.queue).errors, 0);
	igt_assert_eq_u64(p[0], VALUE);
	nap(d.fd);
	igt_devmem_anon_free(p, PAGE);
}

static void test_asleep(void)
{
	int64_t end = igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS);
	uint64_t *p = igt_devmem_anon_alloc(PAGE);
	int stop = igt_devmem_stop_open(d.fd);

	igt_assert(!asleep());
	igt_devmem_stop_set(stop, "fault");
	igt_devmem_store(&d.batch, p, VALUE, 8);
	igt_devmem_submit(&d);
	igt_assert(igt_devmem_stop_reached(stop, "fault"));
	/* It waits for the fault. */
	igt_fork(child, 1)
		igt_assert_eq(request(d.fd, "1"), 0);
	while (!asleep()) {
		igt_assert(igt_devmem_deadline(0) < end);
		usleep(1000);
	}
	igt_devmem_stop_close(stop);
	igt_waitchildren();
	igt_assert(!asleep());
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	d.batch.count = 0;
	igt_assert_eq_u64(p[0], VALUE);
	igt_devmem_anon_free(p, PAGE);
}

static void set_fail_copy(const char *name, const char *value)
{
	char path[32];
	int file;

	snprintf(path, sizeof(path), "fail_copy/%s", name);
	file = igt_debugfs_open(d.fd, path, O_WRONLY);
	igt_require_f(file >= 0, "no injection of failures\n");
	igt_assert_eq(write(file, value, strlen(value)), strlen(value));
	close(file);
}

static void test_copy_fails(void)
{
	const size_t size = 2 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);

	igt_emit_ignore_dmesg_regex(EXPECTED_MESSAGES);
	set_fail_copy("verbose", "0");
	igt_devmem_set(&d, p, VALUE, size);
	set_fail_copy("times", "-1");
	set_fail_copy("probability", "100");
	igt_assert_eq(request(d.fd, "1"), -EBUSY);
	/* Still there, and the GPU goes on with it. */
	igt_assert(igt_devmem_location_is(&d, p, size, DEVICE));
	igt_assert_eq_u64(igt_devmem_peek(&d, p), VALUE);
	set_fail_copy("probability", "0");
	igt_devmem_expect_words(p, VALUE, size);
	igt_devmem_set(&d, p, ~VALUE, size);
	nap(d.fd);
	igt_devmem_expect_words(p, ~VALUE, size);
	igt_devmem_anon_free(p, size);
}

static void test_peers(void)
{
	const size_t size = 2 * MIB;
	struct igt_devmem other = {};
	uint64_t *p;
	int i;

	igt_devmem_init(&other, __drm_open_driver_another(1, DRIVER_ANY), 0);
	for (i = 0; i < 4; i++) {
		p = igt_devmem_anon_alloc(size);
		/* On the other device, used from here in place */
		igt_devmem_set(&other, p, VALUE + i, size);
		igt_devmem_madvise(d.fd, d.vm, p, size, DRM_DEVMEM_ATTR_MIGRATION,
				   DRM_DEVMEM_MIGRATION_NEVER);
		igt_assert_eq_u64(igt_devmem_peek(&d, p), VALUE + i);
		igt_assert(igt_devmem_location_is(&d, p, size, PEER));
		/* Who uses it, or who has it */
		nap(i % 2 ? d.fd : other.fd);
		igt_assert(igt_devmem_location_is(&d, p, size,
						  i % 2 && !whole_system ? PEER : SYSTEM));
		igt_assert_eq_u64(igt_devmem_peek(&d, p), VALUE + i);
		igt_assert_eq_u64(igt_devmem_peek(&other, p), VALUE + i);
		igt_devmem_expect_words(p, VALUE + i, size);
		igt_devmem_anon_free(p, size);
	}
	igt_assert_eq_u64(igt_devmem_violations(other.fd), 0);
	igt_devmem_fini(&other);
	close(other.fd);
}

/* Read the kernel's log on; is there something about @what? */
static bool log_has(int log, const char *what)
{
	char record[2048];

	while (igt_devmem_log_next(log, record, sizeof(record)))
		if (strstr(record, what))
			return true;
	return false;
}

static void restore_print_times(int sig)
{
	igt_devmem_write_file(PRINT_TIMES, "0");
}

static void test_callbacks(void)
{
	int log;

	igt_install_exit_handler(restore_print_times);
	igt_require_f(igt_devmem_write_file(PRINT_TIMES, "1"), "no CONFIG_PM_SLEEP_DEBUG\n");
	log = igt_devmem_log_open();
	nap(d.fd);
	restore_print_times(0);
	igt_assert(log_has(log, "calling devmem_pm_suspend"));
	igt_assert(log_has(log, "calling devmem_pm_resume"));
	close(log);
}

static const struct {
	const char *name;
	const char *describe;
	void (*test)(void);
	bool system;
	const char *options;
} tests[] = {
	{ "idle", "Nobody uses the device", test_idle, true, NULL },
	{ "invalid", "Bad requests are errors", test_invalid, false, NULL },
	{ "memory", "Memory on the device comes back", test_memory, true, NULL },
	{ "in-place", "Memory that the GPU used in place", test_in_place, true, NULL },
	{ "new-memory", "New memory is zero", test_new_memory, false, NULL },
	{ "child", "Memory of a forked child", test_child, true, NULL },
	{ "running", "A batch is in the middle of a loop", test_running, true, NULL },
	{ "waiting", "A batch waits for memory", test_waiting, false, NULL },
	{ "queued", "Batches wait in the ring", test_queued, true, NULL },
	{ "faulting", "The GPU faults all the time", test_faulting, true, NULL },
	{ "prefetch", "A prefetch waits", test_prefetch, true, NULL },
	{ "objects", "VMs and queues come and go", test_objects, false, NULL },
	{ "held-fault", "A fault does not end", test_held_fault, false, NULL },
	{ "asleep", "The device is about to sleep", test_asleep, false, NULL },
	{ "copy-fails", "Memory can't be brought back", test_copy_fails, false, NULL },
	{ "peers", "Devices use each other's memory", test_peers, true, "num_devices=2" },
};

static void run(const char *options, void (*test)(void))
{
	if (options)
		igt_devmem_reload(options);
	else
		igt_devmem_restore();
	/* Of several devices the first is to be opened before the second. */
	igt_devmem_init(&d, options ? __drm_open_driver_another(0, DRIVER_ANY) :
				      igt_devmem_open(), 0);
	igt_require(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY));
	if (whole_system)
		require_system_can_sleep();
	test();
	check_works();
	igt_devmem_fini(&d);
	close(d.fd);
}

int igt_main()
{
	unsigned int i = 0;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		igt_describe(tests[i].describe);
		igt_subtest(tests[i].name)
			run(tests[i].options, tests[i].test);
	}

	igt_fixture()
		whole_system = true;
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		igt_describe(tests[i].describe);
		if (tests[i].system)
			igt_subtest_f("system-%s", tests[i].name)
				run(tests[i].options, tests[i].test);
	}
	igt_describe("The kernel calls the driver");
	igt_subtest("system-callbacks")
		run(NULL, test_callbacks);

	igt_fixture()
		igt_devmem_restore();
}
