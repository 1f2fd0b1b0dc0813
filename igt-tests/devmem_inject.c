// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem inject
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Fault injection
 * Description: What fails on demand is an error as documented or goes another way,
 *		harms no data, leaks nothing, and works the next time
 *
 * SUBTEST: %s-nth
 * Description: The Nth use of %arg[1] fails, for each N of a round trip
 * arg[1]:
 *
 * @populate:		struct pages of device memory
 * @vram:		device memory for memory of a process
 * @table:		device memory for rings and page tables
 * @backing:		RAM for device memory that is touched first
 * @copy:		the copy engine
 * @map:		a mapping in the IOMMU
 *
 * SUBTEST: %s-always
 * Description: %arg[1] fails all the time
 * arg[1]:
 *
 * @populate:		struct pages of device memory
 * @vram:		device memory for memory of a process
 * @table:		device memory for rings and page tables
 * @backing:		RAM for device memory that is touched first
 * @copy:		the copy engine
 * @map:		a mapping in the IOMMU
 *
 * SUBTEST: peer-%s-nth
 * Description: The Nth use of %arg[1] fails while memory goes to a peer and back
 * arg[1]:
 *
 * @copy:		the copy engine
 * @map:		a mapping in the IOMMU
 *
 * SUBTEST: random-device
 * Description: Each of these fails now and then, under a mixed load
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "igt_debugfs.h"
#include "igt_syncobj.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("Failures on demand: of allocations, copies and mappings of a device");

#define KIB		1024ul
#define MIB		(1024 * KIB)
#define PAGE		4096ul
#define VALUE		0x1122334455667788ull

#define SYSTEM		DRM_DEVMEM_LOCATION_SYSTEM
#define DEVICE		DRM_DEVMEM_LOCATION_DEVICE
#define PEER		DRM_DEVMEM_LOCATION_PEER

#define DEVICES_FILE	"/sys/kernel/debug/devmem/devices"

/* Page tables stay with their VM; a queue and what is being given back may lag. */
#define SLACK		(256 * KIB)

/* What the kernel says of failures that the tests cause */
#define EXPECTED_MESSAGES	"copy engine: [0-9]+ errors|devmem_copy_wait: [0-9]+ callbacks"

static struct igt_devmem d;
static uint64_t vram_free;

/* Failures of a device. The directory of each is one of these. */

static const char * const points[] = { "populate", "vram", "table", "backing", "copy", "map" };

static int point_open(int fd, const char *point, const char *name, int mode)
{
	char path[64];

	snprintf(path, sizeof(path), "fail_%s/%s", point, name);
	return igt_debugfs_open(fd, path, mode);
}

static void point_write(int fd, const char *point, const char *name, long value)
{
	int file = point_open(fd, point, name, O_WRONLY), len;
	char text[24];

	igt_assert_fd(file);
	len = snprintf(text, sizeof(text), "%ld", value);
	igt_assert_eq(write(file, text, len), len);
	close(file);
}

static long point_read(int fd, const char *point, const char *name)
{
	int file = point_open(fd, point, name, O_RDONLY);
	char text[24] = {};

	igt_assert_fd(file);
	igt_assert_lt(0, read(file, text, sizeof(text) - 1));
	close(file);
	return atol(text);
}

static bool has_points(int fd)
{
	int file = point_open(fd, points[0], "probability", O_RDONLY);

	if (file >= 0)
		close(file);
	return file >= 0;
}

/* Once, the @nth time; or @times with a @percent of all, -1 for ever. */
static void point_arm(int fd, const char *point, long nth, long percent, long times)
{
	point_write(fd, point, "verbose", 0);
	point_write(fd, point, "space", nth);
	point_write(fd, point, "times", times);
	point_write(fd, point, "probability", percent);
}

/* Returns whether it has failed; for those armed once. */
static bool point_disarm(int fd, const char *point)
{
	point_write(fd, point, "probability", 0);
	return point_read(fd, point, "times") == 0;
}

/* SIGBUS is an error of the CPU's access, and can be tried again. */

static sigjmp_buf bus_jump;

static void bus_handler(int sig)
{
	siglongjmp(bus_jump, 1);
}

/* The CPU reads it all; false if that is SIGBUS, a failure of the test if it is wrong. */
static bool cpu_reads(const void *p, uint64_t value, size_t size)
{
	struct sigaction action = { .sa_handler = bus_handler }, old;
	static bool read;

	read = false;
	sigaction(SIGBUS, &action, &old);
	if (!sigsetjmp(bus_jump, 1)) {
		igt_devmem_expect_words(p, value, size);
		read = true;
	}
	sigaction(SIGBUS, &old, NULL);
	return read;
}

/* What a batch that failed says of it. */
static uint32_t last_reason(void)
{
	struct drm_devmem_fault fault = {};
	struct drm_devmem_query_faults args = {
		.vm_id = d.vm, .num = 1, .data = (uintptr_t)&fault,
	};

	igt_assert_eq(__igt_devmem_query_faults(d.fd, &args), 0);
	return args.num ? fault.reason : 0;
}

/*
 * The GPU fills it all; false if that is an error that a lack of memory can give:
 * of a fault that could not be served, or of an access without backing.
 */
static bool gpu_fills(void *p, uint64_t value, size_t size)
{
	uint32_t error, reason;

	igt_devmem_fill(&d.batch, p, value, 8, size);
	error = __igt_devmem_run(&d);
	if (error == DRM_DEVMEM_ERROR_NONE)
		return true;
	if (error == DRM_DEVMEM_ERROR_BUS)
		return false;
	igt_assert_eq_u32(error, DRM_DEVMEM_ERROR_FAULT);
	reason = last_reason();
	igt_assert_f(reason == DRM_DEVMEM_FAULT_NO_MEMORY || reason == DRM_DEVMEM_FAULT_NO_ACCESS,
		     "reason %u\n", reason);
	return false;
}

/* Prefetch, as far as it goes; returns how many bytes are there. */
static uint64_t prefetches(void *p, size_t size, uint32_t location)
{
	struct drm_devmem_prefetch_result *result = (void *)d.result;
	struct drm_devmem_sync sync = {
		.type = DRM_DEVMEM_SYNC_SYNCOBJ, .flags = DRM_DEVMEM_SYNC_SIGNAL,
		.handle = d.syncobj,
	};
	struct drm_devmem_prefetch args = {
		.vm_id = d.vm, .addr = (uintptr_t)p, .length = size, .location = location,
		.num_syncs = 1, .syncs = (uintptr_t)&sync, .result = (uintptr_t)result,
	};

	memset(result, 0, sizeof(*result));
	syncobj_reset(d.fd, &d.syncobj, 1);
	igt_assert_eq(__igt_devmem_prefetch(d.fd, &args), 0);
	igt_assert_f(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS), "prefetch did not end\n");
	igt_assert_eq(result->done, 1);
	igt_assert_f(!result->error || result->error == ENOMEM || result->error == ENOSPC,
		     "error %u\n", result->error);
	return result->bytes;
}

/* What GPU and CPU see is @value, and residency agrees with what is there. */
static void check_data(void *p, uint64_t value, size_t size)
{
	igt_assert_eq(igt_devmem_count(&d, p, size, SYSTEM) +
		      igt_devmem_count(&d, p, size, DEVICE), size / PAGE);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), value);
	igt_assert_eq_u64(igt_devmem_peek(&d, (char *)p + size - 8), value);
	igt_devmem_expect_words(p, value, size);
}

/* The device works as if nothing had happened, and all memory is there. */
static void check_device(void)
{
	const size_t size = 2 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);

	igt_devmem_set(&d, p, VALUE, size);
	igt_devmem_expect_words(p, VALUE, size);
	igt_devmem_anon_free(p, size);
	igt_assert(igt_devmem_vram_comes_back(d.fd, vram_free - SLACK));
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
}

static int plug(const char *request)
{
	int fd = open(DEVICES_FILE, O_WRONLY), err;

	igt_assert_fd(fd);
	err = write(fd, request, strlen(request)) < 0 ? -errno : 0;
	close(fd);
	return err;
}

static void plug_at_exit(int sig)
{
	int fd = open(DEVICES_FILE, O_WRONLY);

	if (fd >= 0 && write(fd, "+0", 2) < 0 && errno != EEXIST)
		fprintf(stderr, "device 0 does not come back\n");
	if (fd >= 0)
		close(fd);
}

static void close_device(void)
{
	igt_devmem_fini(&d);
	close(d.fd);
}

static void reopen_device(void)
{
	igt_devmem_init(&d, igt_devmem_open(), 0);
	igt_assert(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY));
	vram_free = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE);
}

/* Each use of a device's own */

/*
 * All that there is: memory that was touched and memory that was not goes to the
 * device, to the CPU, again to the device and back, and to a new queue. With what is
 * not right after all of it the test fails at once; what fails is done again later.
 */
struct trip {
	size_t size;
	uint64_t *p, *q;
	unsigned int failed;
};

static void trip_queue(struct trip *t)
{
	uint32_t vm, queue;
	int err = __igt_devmem_vm_create(d.fd, 0, &vm);

	if (!err) {
		err = __igt_devmem_queue_create(d.fd, vm, &queue);
		if (!err)
			igt_devmem_queue_destroy(d.fd, queue);
		igt_devmem_vm_destroy(d.fd, vm);
	}
	igt_assert_f(!err || err == -ENOSPC || err == -ENOMEM, "error %d\n", err);
	t->failed += !!err;
}

static void trip_begin(struct trip *t, size_t size)
{
	*t = (struct trip){ .size = size };
	t->p = igt_devmem_anon_alloc(size);
	t->q = igt_devmem_anon_alloc(size);
	igt_assert_eq(madvise(t->p, size, MADV_NOHUGEPAGE), 0);
	memset(t->p, 1, size);
}

static void trip_go(struct trip *t)
{
	bool p_filled, q_filled;

	trip_queue(t);
	p_filled = gpu_fills(t->p, VALUE, t->size);
	q_filled = gpu_fills(t->q, ~VALUE, t->size);
	t->failed += !p_filled + !q_filled;
	if (p_filled)
		t->failed += !cpu_reads(t->p, VALUE, t->size);
	if (q_filled)
		t->failed += !cpu_reads(t->q, ~VALUE, t->size);
	t->failed += prefetches(t->p, t->size, DEVICE) != t->size;
	t->failed += prefetches(t->p, t->size, SYSTEM) != t->size;
	if (p_filled)
		t->failed += !cpu_reads(t->p, VALUE, t->size);
}

/* Nothing fails any more: what did not work works, and what worked is there. */
static void trip_end(struct trip *t)
{
	igt_assert(gpu_fills(t->p, VALUE, t->size));
	igt_assert(gpu_fills(t->q, ~VALUE, t->size));
	check_data(t->p, VALUE, t->size);
	check_data(t->q, ~VALUE, t->size);
	igt_devmem_anon_free(t->p, t->size);
	igt_devmem_anon_free(t->q, t->size);
}

/* Memory of the device that nobody has touched, which has no backing. */
static void fresh_device(void)
{
	close_device();
	igt_assert_eq(plug("-0"), 0);
	igt_assert_eq(plug("+0"), 0);
	reopen_device();
}

/* Without page tables */
static void fresh_vm(void)
{
	igt_devmem_fini(&d);
	igt_devmem_init(&d, d.fd, 0);
}

static void test_nth(const char *point)
{
	unsigned int n, failed = 0;
	struct trip t;
	bool hit = true;

	igt_install_exit_handler(plug_at_exit);
	for (n = 1; hit; n++) {
		igt_assert_lt(n, 400);
		if (!strcmp(point, "backing"))
			fresh_device();
		else
			fresh_vm();
		trip_begin(&t, 64 * KIB);
		point_arm(d.fd, point, n, 100, 1);
		trip_go(&t);
		hit = point_disarm(d.fd, point);
		igt_assert(hit || !t.failed);
		failed += t.failed;
		trip_end(&t);
	}
	igt_info("%u times, %u errors\n", n - 2, failed);
	igt_assert_lt(2, n);
}

/* What becomes of memory that is in the system, and of memory that is on the device */
static void test_always(const char *point)
{
	const bool in_place = !strcmp(point, "populate") || !strcmp(point, "vram") ||
			      !strcmp(point, "copy");
	const bool stuck = !strcmp(point, "copy") || !strcmp(point, "map");
	const size_t size = 256 * KIB;
	uint64_t *there = igt_devmem_anon_alloc(size);
	struct trip t;

	igt_install_exit_handler(plug_at_exit);
	if (!strcmp(point, "backing"))
		fresh_device();
	igt_devmem_set(&d, there, VALUE, size);
	trip_begin(&t, size);
	point_arm(d.fd, point, 0, 100, -1);
	if (in_place) {
		/* The GPU uses it where it is. */
		igt_assert(gpu_fills(t.p, VALUE, size));
		igt_assert(igt_devmem_location_is(&d, t.p, size, SYSTEM));
		igt_assert(cpu_reads(t.p, VALUE, size));
	}
	trip_go(&t);
	/* What is on the device stays there if there is no way back. */
	igt_assert_eq(cpu_reads(there, VALUE, size), !stuck);
	igt_assert(igt_devmem_location_is(&d, there, size, stuck ? DEVICE : SYSTEM));
	point_disarm(d.fd, point);
	check_data(there, VALUE, size);
	trip_end(&t);
	igt_devmem_anon_free(there, size);
}

/* Copies to and from memory of another device */
static void test_peer_nth(const char *point)
{
	const size_t size = 64 * KIB;
	struct igt_devmem other = {};
	unsigned int n;
	bool hit = true;
	uint64_t *p;

	igt_devmem_init(&other, __drm_open_driver_another(1, DRIVER_ANY), 0);
	for (n = 1; hit; n++) {
		igt_assert_lt(n, 200);
		p = igt_devmem_anon_alloc(size);
		igt_assert_eq(madvise(p, size, MADV_NOHUGEPAGE), 0);
		igt_devmem_set(&other, p, VALUE + n, size);
		point_arm(other.fd, point, n, 100, 1);
		/* What the engine of the other device copies, or maps for it to copy to */
		prefetches(p, size, DEVICE);
		prefetches(p, size, SYSTEM);
		cpu_reads(p, VALUE + n, size);
		hit = point_disarm(other.fd, point);
		igt_assert_eq_u64(igt_devmem_peek(&d, p), VALUE + n);
		igt_assert_eq_u64(igt_devmem_peek(&other, p + size / 8 - 1), VALUE + n);
		igt_devmem_expect_words(p, VALUE + n, size);
		igt_devmem_anon_free(p, size);
	}
	igt_info("%u times\n", n - 2);
	igt_assert_lt(2, n);
	igt_assert_eq_u64(igt_devmem_violations(other.fd), 0);
	igt_devmem_fini(&other);
	close(other.fd);
}

/* Now and then */

#define RANDOM_CHILDREN	3

/* Until it works; with one failure in a few that is soon. */
static void fill_until(void *p, uint64_t value, size_t size)
{
	int tries = 0;

	while (!gpu_fills(p, value, size))
		igt_assert_lt(++tries, 200);
}

static void read_until(const void *p, uint64_t value, size_t size)
{
	int tries = 0;

	while (!cpu_reads(p, value, size))
		igt_assert_lt(++tries, 200);
}

/* With objects of its own, which were made before anything failed. */
static void random_load(uint64_t seed, unsigned int rounds)
{
	const size_t size = 128 * KIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	uint64_t value, state = seed;
	unsigned int i;

	for (i = 0; i < rounds; i++) {
		value = igt_devmem_random(&state);
		fill_until(p, value, size);
		switch (value % 4) {
		case 0:
			prefetches(p, size, SYSTEM);
			break;
		case 1:
			prefetches(p, size, DEVICE);
			break;
		case 2:
			igt_assert_eq(madvise(p, size, value & 4 ? MADV_HUGEPAGE :
								   MADV_NOHUGEPAGE), 0);
			break;
		}
		read_until(p, value, size);
		if (value & 8)
			madvise(p, size / 2, MADV_DONTNEED);
	}
	igt_devmem_anon_free(p, size);
}

/* @arm is called when each child has its objects, @disarm when all are done. */
static void random_children(void (*arm)(void), void (*disarm)(void), unsigned int rounds)
{
	uint32_t *count = igt_devmem_shared_alloc(PAGE);
	uint64_t seed = igt_devmem_new_seed();

	igt_info("seed %llu\n", (unsigned long long)seed);
	igt_fork(child, RANDOM_CHILDREN) {
		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		__atomic_add_fetch(&count[0], 1, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&count[1], __ATOMIC_SEQ_CST) == 0)
			usleep(1000);
		random_load(igt_devmem_random_start(seed, child), rounds);
		__atomic_add_fetch(&count[2], 1, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&count[3], __ATOMIC_SEQ_CST) == 0)
			usleep(1000);
		close_device();
	}
	while (__atomic_load_n(&count[0], __ATOMIC_SEQ_CST) < RANDOM_CHILDREN)
		usleep(1000);
	arm();
	igt_devmem_set_turn(&count[1], 1);
	/* A child that failed does not get there. */
	while (__atomic_load_n(&count[2], __ATOMIC_SEQ_CST) < RANDOM_CHILDREN &&
	       !waitpid(-1, NULL, WNOHANG | WNOWAIT))
		usleep(1000);
	disarm();
	igt_devmem_set_turn(&count[3], 1);
	igt_waitchildren();
	igt_devmem_shared_free(count, PAGE);
}

static void arm_points(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		point_arm(d.fd, points[i], 0, 10, -1);
}

static void disarm_points(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		point_disarm(d.fd, points[i]);
}

static void test_random_device(void)
{
	random_children(arm_points, disarm_points, 30);
}

static const char * const peer_points[] = { "copy", "map" };

static void begin(const char *options)
{
	if (options)
		igt_devmem_reload(options);
	else
		igt_devmem_restore();
	/* Of several devices the first is to be opened before the second. */
	d.fd = options ? __drm_open_driver_another(0, DRIVER_ANY) : igt_devmem_open();
	igt_assert_fd(d.fd);
	if (!igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY) ||
	    !has_points(d.fd)) {
		/* The module has to be unloaded yet. */
		close(d.fd);
		igt_skip("no device memory, or no injection of failures\n");
	}
	igt_emit_ignore_dmesg_regex(EXPECTED_MESSAGES);
	igt_devmem_init(&d, d.fd, 0);
	vram_free = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE);
}

static void end(void)
{
	check_device();
	close_device();
}

int igt_main()
{
	unsigned int i = 0;

	igt_describe("Each of the device's own fails now and then");
	igt_subtest("random-device") {
		begin(NULL);
		test_random_device();
		end();
	}

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		igt_describe_f("The Nth use of %s fails", points[i]);
		igt_subtest_f("%s-nth", points[i]) {
			begin(NULL);
			test_nth(points[i]);
			end();
		}
		igt_describe_f("All uses of %s fail", points[i]);
		igt_subtest_f("%s-always", points[i]) {
			begin(NULL);
			test_always(points[i]);
			end();
		}
	}

	for (i = 0; i < ARRAY_SIZE(peer_points); i++) {
		igt_describe_f("The Nth use of %s fails with a peer", peer_points[i]);
		igt_subtest_f("peer-%s-nth", peer_points[i]) {
			begin("num_devices=2");
			test_peer_nth(peer_points[i]);
			end();
		}
	}

	igt_fixture()
		igt_devmem_restore();
}
