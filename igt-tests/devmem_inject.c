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
 * SUBTEST: ioctl-%s
 * Description: Each allocation of %arg[1] fails once
 * arg[1]:
 *
 * @open:		opening the device
 * @get-param:		the free device memory
 * @vm-create:		a new VM
 * @vm-destroy:		the end of a VM, which can't fail
 * @queue-create:	a new queue
 * @queue-destroy:	the end of a queue, which can't fail
 * @queue-query:	the state of a queue
 * @exec:		a batch without syncs
 * @exec-syncs:		a batch with syncs of each kind
 * @residency:		residency of a range
 * @stats:		statistics
 * @prefetch:		a prefetch without syncs
 * @prefetch-syncs:	a prefetch with syncs and a result
 * @madvise:		an attribute of a range
 * @query-attrs:	attributes of a range
 * @query-faults:	faults that failed
 *
 * SUBTEST: cpu-fault-small
 * Description: Each allocation fails once while the CPU takes small pages back
 *
 * SUBTEST: cpu-fault-huge
 * Description: Each allocation fails once while the CPU takes a huge page back
 *
 * SUBTEST: munmap-attributes
 * Description: Each allocation of munmap() of memory with attributes fails once
 *
 * SUBTEST: fork
 * Description: Each allocation of fork() fails once while memory is on the device
 *
 * SUBTEST: plug
 * Description: Allocations fail while a device is plugged in
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
 *
 * SUBTEST: random-slab
 * Description: Allocations that the driver makes or causes fail now and then
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "igt_debugfs.h"
#include "igt_syncobj.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("Failures on demand: of allocations, copies and mappings");

#define KIB		1024ul
#define MIB		(1024 * KIB)
#define PAGE		4096ul
#define VALUE		0x1122334455667788ull

#define SYSTEM		DRM_DEVMEM_LOCATION_SYSTEM
#define DEVICE		DRM_DEVMEM_LOCATION_DEVICE
#define PEER		DRM_DEVMEM_LOCATION_PEER

#define DEBUGFS		"/sys/kernel/debug"
#define DEVICES_FILE	DEBUGFS "/devmem/devices"

/* Page tables stay with their VM; a queue and what is being given back may lag. */
#define SLACK		(256 * KIB)

/* What the kernel says of failures that the tests cause */
#define EXPECTED_MESSAGES \
	"copy engine: [0-9]+ errors|devmem_copy_wait: [0-9]+ callbacks" \
	"|VM_FAULT_OOM leaked out|no device memory, SVM is limited|page allocation failure" \
	"|out of free dentries|Failed to setup GPU scheduler|vmalloc error|workqueue: Failed" \
	"|(with|error|error:|inode:|fs:) -(12|22|28)|driver_sysfs_add failed" \
	"|DMA-API: cacheline tracking ENOMEM" \
	"|" IGT_DEVMEM_MEMORY_REPORT

static struct igt_devmem d;
static uint64_t vram_free;

/* Failures by task: the Nth thing from now on that can fail does, in this thread. */

static int nth_file = -1;

static void nth_arm(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	igt_assert_eq(pwrite(nth_file, text, len, 0), len);
}

/* True if something failed since nth_arm(). */
static bool nth_disarm(void)
{
	char text[16] = {};

	igt_assert_lt(0, pread(nth_file, text, sizeof(text) - 1, 0));
	igt_assert_eq(pwrite(nth_file, "0", 1, 0), 1);
	return atoi(text) == 0;
}

static void open_nth(void)
{
	nth_file = open("/proc/thread-self/fail-nth", O_RDWR);
	igt_require_f(nth_file >= 0, "no failures by task\n");
}

static bool set_global(const char *dir, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), DEBUGFS "/%s/%s", dir, name);
	return igt_devmem_write_file(path, value);
}

static long get_global(const char *dir, const char *name)
{
	char path[128];
	FILE *file;
	long value;

	snprintf(path, sizeof(path), DEBUGFS "/%s/%s", dir, name);
	file = fopen(path, "r");
	igt_assert(file && fscanf(file, "%ld", &value) == 1);
	fclose(file);
	return value;
}

/* Where the kernel has failures of its own */
static const char * const kernel_points[] = { "failslab", "fail_page_alloc" };

/* Where the kernel has failures of its own everything is back as it is at boot. */
static void reset_global(int sig)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kernel_points); i++) {
		set_global(kernel_points[i], "probability", "0");
		set_global(kernel_points[i], "times", "1");
		set_global(kernel_points[i], "require-start", "0");
		set_global(kernel_points[i], "require-end", "0xffffffffffffffff");
		set_global(kernel_points[i], "reject-start", "0");
		set_global(kernel_points[i], "reject-end", "0");
		set_global(kernel_points[i], "ignore-gfp-wait", "1");
		set_global(kernel_points[i], "verbose", "2");
	}
	set_global("fail_page_alloc", "min-order", "1");
	set_global("fail_page_alloc", "ignore-gfp-highmem", "1");
}

/*
 * Let only those allocations fail that have the driver's code on the stack ("require")
 * or that have not ("reject").
 */
static void set_range(const char *what)
{
	unsigned long address, start = ~0ul, end = 0;
	char line[256], name[32], text[32], type;
	FILE *file = fopen("/proc/kallsyms", "r");
	unsigned int i;

	igt_assert(file);
	while (fgets(line, sizeof(line), file)) {
		if (!strstr(line, "[devmem]") ||
		    sscanf(line, "%lx %c", &address, &type) != 2 || (type | 32) != 't')
			continue;
		start = address < start ? address : start;
		end = address > end ? address : end;
	}
	/* Behind the last function, which nobody says the length of */
	end += PAGE;
	fclose(file);
	igt_assert_lt_u64(start, end);
	for (i = 0; i < ARRAY_SIZE(kernel_points); i++) {
		snprintf(name, sizeof(name), "%s-start", what);
		snprintf(text, sizeof(text), "%#lx", start);
		igt_require_f(set_global(kernel_points[i], name, text),
			      "no injection of failures by caller\n");
		snprintf(name, sizeof(name), "%s-end", what);
		snprintf(text, sizeof(text), "%#lx", end);
		igt_assert(set_global(kernel_points[i], name, text));
	}
}

/* Let all allocations be among those that can fail. */
static void prepare_global(void)
{
	igt_require_f(set_global("failslab", "ignore-gfp-wait", "0") &&
		      set_global("fail_page_alloc", "ignore-gfp-wait", "0"),
		      "no injection of failures into allocations\n");
	igt_assert(set_global("fail_page_alloc", "ignore-gfp-highmem", "0"));
	igt_assert(set_global("fail_page_alloc", "min-order", "0"));
	igt_assert(set_global("failslab", "verbose", "0"));
	igt_assert(set_global("fail_page_alloc", "verbose", "0"));
}

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

/*
 * Whether the Nth allocation of a task can be a use of what is the device's own: not if
 * it takes a caller at an address below @end.
 */
static void set_points_end(const char *end)
{
	unsigned int i;
	int file;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		file = point_open(d.fd, points[i], "require-end", O_WRONLY);
		if (file < 0)
			continue;
		igt_assert_eq(write(file, end, strlen(end)), strlen(end));
		close(file);
	}
}

static void ignore_points(void)
{
	set_points_end("0");
}

static void heed_points(void)
{
	set_points_end("0xffffffffffffffff");
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

/* Set while ioctls can lack memory too. They have done nothing then. */
static bool ioctls_fail;

#define TRY_AGAIN(ioctl) ({ \
	int err, tries = 0; \
	do { \
		err = (ioctl); \
	} while (err == -ENOMEM && ioctls_fail && ++tries < 200); \
	err; \
})

/* As __igt_devmem_run() */
static uint32_t run_batch(void)
{
	uint64_t errors = igt_devmem_queue_query(d.fd, d.queue).errors;

	igt_assert_eq(TRY_AGAIN(__igt_devmem_submit(&d)), 0);
	return igt_devmem_outcome(&d, errors);
}

/* What a batch that failed says of it. */
static uint32_t last_reason(void)
{
	struct drm_devmem_fault fault = {};
	struct drm_devmem_query_faults args = {
		.vm_id = d.vm, .num = 1, .data = (uintptr_t)&fault,
	};

	igt_assert_eq(TRY_AGAIN(__igt_devmem_query_faults(d.fd, &args)), 0);
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
	error = run_batch();
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
	igt_assert_eq(TRY_AGAIN(__igt_devmem_prefetch(d.fd, &args)), 0);
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

/* Each allocation of an ioctl */

struct call {
	const char *name;
	const char *describe;
	void (*before)(void);
	int (*call)(void);
	/* after @call, if it succeeded */
	void (*after)(void);
	/* it can't fail, whatever an allocation does, if there is any */
	bool infallible;
	/* the same, since an allocation that fails is tried in another way */
	bool retried;
	/* it allocates device memory, which can fail as well */
	bool device_memory;
};

static struct {
	uint32_t vm, queue;
	int fd;
	uint64_t *p;
	char node[64];
	uint32_t handles[4];
	struct drm_devmem_sync syncs[5];
} call;

#define CALL_SIZE	(16 * PAGE)

static int call_open(void)
{
	call.fd = open(call.node, O_RDWR | O_CLOEXEC);
	return call.fd < 0 ? -errno : 0;
}

static void after_open(void)
{
	close(call.fd);
}

static int call_get_param(void)
{
	uint64_t value;

	return __igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE, &value);
}

static int call_vm_create(void)
{
	return __igt_devmem_vm_create(d.fd, 0, &call.vm);
}

static void after_vm_create(void)
{
	igt_devmem_vm_destroy(d.fd, call.vm);
}

static void before_vm_destroy(void)
{
	call.vm = igt_devmem_vm_create(d.fd, 0);
}

static int call_vm_destroy(void)
{
	return __igt_devmem_vm_destroy(d.fd, call.vm);
}

static int call_queue_create(void)
{
	return __igt_devmem_queue_create(d.fd, d.vm, &call.queue);
}

static void after_queue_create(void)
{
	igt_devmem_queue_destroy(d.fd, call.queue);
}

static void before_queue_destroy(void)
{
	call.queue = igt_devmem_queue_create(d.fd, d.vm);
}

static int call_queue_destroy(void)
{
	return __igt_devmem_queue_destroy(d.fd, call.queue);
}

static int call_queue_query(void)
{
	struct drm_devmem_queue_query query;

	return __igt_devmem_queue_query(d.fd, d.queue, &query);
}

static void before_exec(void)
{
	*d.result = 0;
	d.batch.count = 0;
	igt_devmem_store(&d.batch, d.result, VALUE, 8);
	igt_devmem_end(&d.batch);
}

static int call_exec(void)
{
	return __igt_devmem_exec(d.fd, d.queue, d.batch.cmds, NULL, 0);
}

static void after_exec(void)
{
	int64_t deadline = igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS);

	while (__atomic_load_n(d.result, __ATOMIC_ACQUIRE) != VALUE)
		igt_assert_lt_u64(igt_devmem_deadline(0), deadline);
	d.batch.count = 0;
}

/* Wait for a binary syncobj and a point, signal one of each and a user fence. */
static void before_syncs(void)
{
	uint64_t point = 1;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(call.handles); i++) {
		call.handles[i] = syncobj_create(d.fd, 0);
		call.syncs[i] = (struct drm_devmem_sync){
			.type = i % 2 ? DRM_DEVMEM_SYNC_TIMELINE_SYNCOBJ : DRM_DEVMEM_SYNC_SYNCOBJ,
			.flags = i / 2 ? DRM_DEVMEM_SYNC_SIGNAL : 0,
			.handle = call.handles[i], .value = i % 2,
		};
	}
	syncobj_signal(d.fd, &call.handles[0], 1);
	syncobj_timeline_signal(d.fd, &call.handles[1], &point, 1);
	call.syncs[i] = (struct drm_devmem_sync){
		.type = DRM_DEVMEM_SYNC_USER_FENCE, .flags = DRM_DEVMEM_SYNC_SIGNAL,
		.addr = (uintptr_t)(d.result + 8), .value = VALUE,
	};
	d.result[8] = 0;
}

static void destroy_handles(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(call.handles); i++)
		syncobj_destroy(d.fd, call.handles[i]);
}

static void after_syncs(void)
{
	uint64_t point = 1;

	igt_assert(syncobj_wait(d.fd, &call.handles[2], 1,
				igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS), 0, NULL));
	igt_assert(syncobj_timeline_wait(d.fd, &call.handles[3], &point, 1,
					 igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS), 0, NULL));
}

static void before_exec_syncs(void)
{
	before_exec();
	before_syncs();
}

static int call_exec_syncs(void)
{
	return __igt_devmem_exec(d.fd, d.queue, d.batch.cmds, call.syncs, 5);
}

static void after_exec_syncs(void)
{
	after_syncs();
	after_exec();
	igt_assert_eq_u64(d.result[8], VALUE);
}

static int call_residency(void)
{
	return __igt_devmem_residency(d.fd, d.vm, call.p, CALL_SIZE, d.pages);
}

static int call_stats(void)
{
	struct drm_devmem_stats stats;
	struct drm_devmem_query_stats args = {
		.vm_id = d.vm, .size = sizeof(stats), .data = (uintptr_t)&stats,
	};

	return ioctl(d.fd, DRM_IOCTL_DEVMEM_QUERY_STATS, &args) ? -errno : 0;
}

static struct drm_devmem_prefetch prefetch_args(void)
{
	return (struct drm_devmem_prefetch){
		.vm_id = d.vm, .addr = (uintptr_t)call.p, .length = CALL_SIZE,
		.location = SYSTEM,
	};
}

static int call_prefetch(void)
{
	struct drm_devmem_prefetch args = prefetch_args();

	return __igt_devmem_prefetch(d.fd, &args);
}

static int call_prefetch_syncs(void)
{
	struct drm_devmem_prefetch args = prefetch_args();

	args.num_syncs = 4;
	args.syncs = (uintptr_t)call.syncs;
	args.result = (uintptr_t)d.result;
	return __igt_devmem_prefetch(d.fd, &args);
}

/* The first attribute of a VM takes an allocation, which is tried in two ways. */
static void before_madvise(void)
{
	if (call.vm)
		igt_devmem_vm_destroy(d.fd, call.vm);
	call.vm = igt_devmem_vm_create(d.fd, 0);
}

static int call_madvise(void)
{
	struct drm_devmem_madvise args = {
		.vm_id = call.vm, .addr = (uintptr_t)call.p + PAGE, .length = PAGE,
		.attr = DRM_DEVMEM_ATTR_PREFERRED, .value = DRM_DEVMEM_PREFERRED_SYSTEM,
	};

	return __igt_devmem_madvise(d.fd, &args);
}

static int call_query_attrs(void)
{
	struct drm_devmem_attrs attrs[4];
	struct drm_devmem_query_attrs args = {
		.vm_id = d.vm, .addr = (uintptr_t)call.p, .length = CALL_SIZE,
		.num = 4, .data = (uintptr_t)attrs,
	};

	return __igt_devmem_query_attrs(d.fd, &args);
}

static int call_query_faults(void)
{
	struct drm_devmem_fault faults[2];
	struct drm_devmem_query_faults args = {
		.vm_id = d.vm, .num = 2, .data = (uintptr_t)faults,
	};

	return __igt_devmem_query_faults(d.fd, &args);
}

static const struct call calls[] = {
	{ .name = "open", .describe = "Opening the device",
	  .call = call_open, .after = after_open },
	{ .name = "get-param", .describe = "The free device memory",
	  .call = call_get_param, .infallible = true },
	{ .name = "vm-create", .describe = "A new VM",
	  .call = call_vm_create, .after = after_vm_create, .device_memory = true },
	{ .name = "vm-destroy", .describe = "The end of a VM",
	  .before = before_vm_destroy, .call = call_vm_destroy, .infallible = true },
	{ .name = "queue-create", .describe = "A new queue",
	  .call = call_queue_create, .after = after_queue_create, .device_memory = true },
	{ .name = "queue-destroy", .describe = "The end of a queue",
	  .before = before_queue_destroy, .call = call_queue_destroy, .infallible = true },
	{ .name = "queue-query", .describe = "The state of a queue",
	  .call = call_queue_query, .infallible = true },
	{ .name = "exec", .describe = "A batch without syncs",
	  .before = before_exec, .call = call_exec, .after = after_exec },
	{ .name = "exec-syncs", .describe = "A batch with syncs",
	  .before = before_exec_syncs, .call = call_exec_syncs, .after = after_exec_syncs },
	{ .name = "residency", .describe = "Residency of a range",
	  .call = call_residency },
	{ .name = "stats", .describe = "Statistics",
	  .call = call_stats, .infallible = true },
	{ .name = "prefetch", .describe = "A prefetch without syncs",
	  .call = call_prefetch },
	{ .name = "prefetch-syncs", .describe = "A prefetch with syncs",
	  .before = before_syncs, .call = call_prefetch_syncs, .after = after_syncs },
	{ .name = "madvise", .describe = "An attribute of a range",
	  .before = before_madvise, .call = call_madvise, .retried = true },
	{ .name = "query-attrs", .describe = "Attributes of a range",
	  .call = call_query_attrs, .infallible = true },
	{ .name = "query-faults", .describe = "Faults that failed",
	  .call = call_query_faults },
};

/* A call that failed has not begun anything. */
static void check_undone(const struct call *c)
{
	struct drm_syncobj_wait wait = {
		.handles = (uintptr_t)&call.handles[2], .count_handles = 1,
	};

	if (c->before == before_exec || c->before == before_exec_syncs) {
		usleep(1000);
		igt_assert_eq_u64(__atomic_load_n(d.result, __ATOMIC_ACQUIRE), 0);
		d.batch.count = 0;
	}
	/* One without a fence can't be waited for. */
	if (c->before == before_exec_syncs || c->before == before_syncs)
		igt_assert_f(ioctl(d.fd, DRM_IOCTL_SYNCOBJ_WAIT, &wait) && errno == EINVAL,
			     "a syncobj got a fence of what has failed\n");
}

/* Call once; the @nth allocation fails, of @nth 0 none. Returns the error, which is undone. */
static int call_once(const struct call *c, unsigned int nth, bool *hit)
{
	int err;

	if (c->before)
		c->before();
	nth_arm(nth);
	err = c->call();
	*hit = nth_disarm();
	if (err)
		check_undone(c);
	else if (c->after)
		c->after();
	if (c->before == before_exec_syncs || c->before == before_syncs)
		destroy_handles();
	return err;
}

static void test_call(const struct call *c)
{
	unsigned int n, failed = 0;
	bool hit = true;
	uint64_t free;
	int err;

	call.p = igt_devmem_anon_alloc(CALL_SIZE);
	memset(call.p, 1, CALL_SIZE);
	/* What a first time leaves to the VM is no leak. */
	igt_assert_eq(call_once(c, 0, &hit), 0);
	free = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE);
	for (n = 1, hit = true; hit; n++) {
		igt_assert_f(n < 1000, "there is no end of allocations\n");
		err = call_once(c, n, &hit);
		if (err)
			igt_assert_f(hit && (err == -ENOMEM ||
					     (err == -ENOSPC && c->device_memory)),
				     "number %u: error %d\n", n, err);
		failed += !!err;
	}
	igt_info("%u allocations, %u errors\n", n - 2, failed);
	if (c->retried)
		igt_assert_lt(2, n);
	if (c->infallible || c->retried)
		igt_assert_eq(failed, 0);
	else
		igt_assert_lt(0, failed);
	igt_assert(igt_devmem_vram_comes_back(d.fd, free));
	igt_devmem_anon_free(call.p, CALL_SIZE);
}

/*
 * The CPU faults in memory on the device; the fault is served again until it can be.
 * Not among the allocations are those of the driver: a copy or a mapping that fails is
 * no lack of memory to who waits for it.
 */
static void cpu_fault(int advice, size_t size, unsigned int max)
{
	unsigned int n, hits = 0;
	uint64_t *p, value;
	bool hit = true;

	set_range("reject");
	ignore_points();
	for (n = 1; hit && n < max; n++) {
		/* New each time, or thrash control would keep it from the device. */
		p = igt_devmem_anon_alloc(size);
		igt_assert_eq(madvise(p, size, advice), 0);
		igt_devmem_set(&d, p, VALUE + n, size);
		if (advice == MADV_HUGEPAGE)
			igt_devmem_require_large(&d, p, size);
		nth_arm(n);
		value = __atomic_load_n(p, __ATOMIC_RELAXED);
		hit = nth_disarm();
		hits += hit;
		igt_assert_eq_u64(value, VALUE + n);
		check_data(p, VALUE + n, size);
		igt_devmem_anon_free(p, size);
	}
	igt_info("%u allocations\n", hits);
	igt_assert_lt(1, hits);
	heed_points();
}

static void test_cpu_fault_small(void)
{
	cpu_fault(MADV_NOHUGEPAGE, 16 * PAGE, 1000);
}

static void test_cpu_fault_huge(void)
{
	/* The huge page, then up to 512 small ones in its place: some will do. */
	cpu_fault(MADV_HUGEPAGE, 2 * MIB, 16);
}

static unsigned int count_attrs(const void *p, size_t size)
{
	struct drm_devmem_query_attrs args = {
		.vm_id = d.vm, .addr = (uintptr_t)p, .length = size,
	};

	igt_assert_eq(__igt_devmem_query_attrs(d.fd, &args), 0);
	return args.num;
}

/* What is mapped in place of memory with attributes never has them. */
static void test_munmap_attributes(void)
{
	const size_t size = 16 * PAGE;
	char *p, *hole;
	unsigned int n;
	bool hit = true;
	int err;

	for (n = 1; hit; n++) {
		p = igt_devmem_anon_alloc(size);
		hole = p + 4 * PAGE;
		igt_devmem_set(&d, p, VALUE, size);
		igt_devmem_madvise(d.fd, d.vm, p, size, DRM_DEVMEM_ATTR_MIGRATION,
				   DRM_DEVMEM_MIGRATION_NEVER);
		nth_arm(n);
		err = munmap(hole, 4 * PAGE) ? -errno : 0;
		hit = nth_disarm();
		if (err) {
			igt_assert(hit && err == -ENOMEM);
			igt_devmem_expect_words(hole, VALUE, 4 * PAGE);
			igt_assert_lt(0, count_attrs(hole, 4 * PAGE));
		} else {
			igt_assert(mmap(hole, 4 * PAGE, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
					-1, 0) == hole);
			igt_assert_eq(count_attrs(hole, 4 * PAGE), 0);
		}
		igt_devmem_expect_words(p, VALUE, 4 * PAGE);
		igt_devmem_expect_words(p + 8 * PAGE, VALUE, 8 * PAGE);
		igt_devmem_anon_free(p, size);
	}
	igt_assert_lt(2, n);
}

static void test_fork(void)
{
	const size_t size = 16 * PAGE;
	unsigned int n, failed = 0;
	int status, err;
	bool hit = true;
	uint64_t *p;
	pid_t pid;

	/* A lot of it is the process, of which no end would be in sight. */
	for (n = 1; hit && n < 400; n += 1 + n / 32) {
		p = igt_devmem_anon_alloc(size);
		igt_devmem_set(&d, p, VALUE + n, size);
		nth_arm(n);
		pid = fork();
		if (!pid)
			_exit(p[0] == VALUE + n && p[size / 8 - 1] == VALUE + n ? 0 : 1);
		err = errno;
		hit = nth_disarm();
		igt_assert(pid > 0 || (hit && err == ENOMEM));
		failed += pid < 0;
		if (pid > 0) {
			igt_assert_eq(waitpid(pid, &status, 0), pid);
			igt_assert(WIFEXITED(status) && !WEXITSTATUS(status));
		}
		check_data(p, VALUE + n, size);
		igt_devmem_anon_free(p, size);
	}
	igt_assert_lt(0, failed);
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

static int plug_nth(unsigned int n, bool *hit)
{
	int fd = open(DEVICES_FILE, O_WRONLY), err;

	igt_assert_fd(fd);
	nth_arm(n);
	err = write(fd, "+0", 2) < 0 ? -errno : 0;
	*hit = nth_disarm();
	close(fd);
	return err;
}

/*
 * Either there is no device then or one that works, if need be without memory of
 * its own. Each allocation at first, later on some: sysfs and debugfs make most.
 */
static void test_plug(void)
{
	unsigned int n, failed = 0;
	bool hit = true;
	int err, fd;

	igt_install_exit_handler(plug_at_exit);
	close_device();
	igt_assert_eq(plug("-0"), 0);
	for (n = 1; hit && n < 3000; n += 1 + n / 24) {
		err = plug_nth(n, &hit);
		if (err) {
			igt_assert(hit && (err == -ENODEV || err == -ENOMEM));
			igt_assert_eq(plug("-0"), -ENODEV);
			failed++;
			continue;
		}
		fd = __drm_open_driver_render(DRIVER_ANY);
		/* It can lack a node in /dev. */
		igt_assert(fd >= 0 || hit);
		if (fd >= 0) {
			igt_devmem_init(&d, fd, 0);
			igt_devmem_poke(&d, d.result, VALUE);
			igt_assert_eq_u64(*d.result, VALUE);
			close_device();
		}
		igt_assert_eq(plug("-0"), 0);
	}
	igt_info("%u failures up to allocation %u\n", failed, n);
	igt_assert_lt(5, failed);
	igt_assert_eq(plug("+0"), 0);
	reopen_device();
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

/*
 * @arm is called when each child has its objects, @disarm when all are done. That returns
 * how often something has failed.
 */
static void random_children(void (*arm)(void), long (*disarm)(void), unsigned int rounds)
{
	siginfo_t info = {};
	long failed;
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
	       !waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) && !info.si_pid)
		usleep(1000);
	failed = disarm();
	igt_devmem_set_turn(&count[3], 1);
	igt_waitchildren();
	igt_info("%ld failures\n", failed);
	igt_assert_lt(0, failed);
	igt_devmem_shared_free(count, PAGE);
}

/* More failures than there will be */
#define MANY		1000000
#define STRING(x)	STRING_OF(x)
#define STRING_OF(x)	#x

static void arm_points(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		point_arm(d.fd, points[i], 0, 10, MANY);
}

static long disarm_points(void)
{
	unsigned int i;
	long failed = 0;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		point_disarm(d.fd, points[i]);
		failed += MANY - point_read(d.fd, points[i], "times");
	}
	return failed;
}

static void test_random_device(void)
{
	random_children(arm_points, disarm_points, 30);
}

/* Those with a function of the driver on the stack, whoever allocates */
static void arm_slab(void)
{
	unsigned int i;

	set_range("require");
	for (i = 0; i < ARRAY_SIZE(kernel_points); i++) {
		igt_assert(set_global(kernel_points[i], "times", STRING(MANY)));
		igt_assert(set_global(kernel_points[i], "probability", "3"));
	}
}

static long disarm_slab(void)
{
	unsigned int i;
	long failed = 0;

	for (i = 0; i < ARRAY_SIZE(kernel_points); i++)
		failed += MANY - get_global(kernel_points[i], "times");
	reset_global(0);
	return failed;
}

static void test_random_slab(void)
{
	ioctls_fail = true;
	random_children(arm_slab, disarm_slab, 20);
	ioctls_fail = false;
}

static const struct igt_devmem_subtest tests[] = {
	{ "cpu-fault-small", "The CPU takes small pages back", test_cpu_fault_small },
	{ "cpu-fault-huge", "The CPU takes a huge page back", test_cpu_fault_huge },
	{ "munmap-attributes", "munmap() of memory with attributes", test_munmap_attributes },
	{ "fork", "fork() while memory is on the device", test_fork },
	{ "plug", "A device is plugged in", test_plug },
	{ "random-device", "Each of the device's own fails now and then", test_random_device },
	{ "random-slab", "Allocations of the driver fail now and then", test_random_slab },
};

static const char * const peer_points[] = { "copy", "map" };

/* @allocations: those of the kernel fail as well. */
static void begin(const char *options, bool allocations)
{
	unsigned int i;

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
	igt_install_exit_handler(reset_global);
	reset_global(0);
	call.vm = 0;
	igt_emit_ignore_dmesg_regex(EXPECTED_MESSAGES);
	heed_points();
	if (allocations) {
		prepare_global();
		for (i = 0; i < ARRAY_SIZE(points); i++)
			point_write(d.fd, points[i], "verbose", 0);
		open_nth();
	}
	igt_devmem_init(&d, d.fd, 0);
	vram_free = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE);
	snprintf(call.node, sizeof(call.node), "/proc/self/fd/%d", d.fd);
}

static void end(void)
{
	check_device();
	close_device();
	reset_global(0);
	if (nth_file >= 0)
		close(nth_file);
	nth_file = -1;
}

int igt_main()
{
	unsigned int i = 0;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		igt_describe(calls[i].describe);
		igt_subtest_f("ioctl-%s", calls[i].name) {
			begin(NULL, true);
			test_call(&calls[i]);
			end();
		}
	}

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		igt_describe(tests[i].describe);
		igt_subtest(tests[i].name) {
			begin(NULL, tests[i].test != test_random_device);
			tests[i].test();
			end();
		}
	}

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		igt_describe_f("The Nth use of %s fails", points[i]);
		igt_subtest_f("%s-nth", points[i]) {
			begin(NULL, false);
			test_nth(points[i]);
			end();
		}
		igt_describe_f("All uses of %s fail", points[i]);
		igt_subtest_f("%s-always", points[i]) {
			begin(NULL, false);
			test_always(points[i]);
			end();
		}
	}

	for (i = 0; i < ARRAY_SIZE(peer_points); i++) {
		igt_describe_f("The Nth use of %s fails with a peer", peer_points[i]);
		igt_subtest_f("peer-%s-nth", peer_points[i]) {
			begin("num_devices=2", false);
			test_peer_nth(peer_points[i]);
			end();
		}
	}

	igt_fixture()
		igt_devmem_restore();
}
