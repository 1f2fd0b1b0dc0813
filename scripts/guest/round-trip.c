// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

/*
 * The round trip of memory between CPU and GPU, for guests without IGT: what the
 * GPU read, wrote and changed is right, and each page is where it has to be.
 * Linked statically, with nothing but the kernel's headers. Prints KTAP.
 *
 * usage: round-trip [MIB]
 *
 * With MIB the device has to have that much memory.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <drm/devmem_drm.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define HUGE_SIZE	(2ul << 20)
#define AREA_SIZE	(2 * HUGE_SIZE)

/* Memory for a test: @data is within @map and aligned to a huge page. */
struct area {
	char *map;
	uint64_t *data;
};

static struct {
	int fd;
	uint32_t vm;
	uint32_t queue;
	uint32_t syncobj;
	uint32_t errors;
	struct drm_devmem_cmd *batch;
	unsigned int commands;
	uint64_t *result;
} gpu;

static size_t page_size;
static size_t expected_mib;

static void __attribute__((noreturn)) die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Say what is wrong if @good is false; returns @good. */
static bool __attribute__((format(printf, 2, 3))) check(bool good, const char *format, ...)
{
	va_list args;

	if (good)
		return true;
	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	return false;
}

static void gpu_ioctl(unsigned long request, void *args, const char *what)
{
	int err;

	do {
		err = ioctl(gpu.fd, request, args);
	} while (err && (errno == EINTR || errno == EAGAIN));
	if (err)
		die(what);
}

static uint64_t get_param(uint32_t param)
{
	struct drm_devmem_get_param args = { .param = param };

	gpu_ioctl(DRM_IOCTL_DEVMEM_GET_PARAM, &args, "get-param");
	return args.value;
}

static struct drm_devmem_stats get_stats(void)
{
	struct drm_devmem_stats stats = {};
	struct drm_devmem_query_stats args = {
		.vm_id = gpu.vm, .size = sizeof(stats), .data = (uintptr_t)&stats,
	};

	gpu_ioctl(DRM_IOCTL_DEVMEM_QUERY_STATS, &args, "query-stats");
	return stats;
}

static void open_device(void)
{
	char name[16] = "";
	struct drm_version version = { .name_len = sizeof(name) - 1, .name = name };

	gpu.fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
	if (gpu.fd < 0)
		die("/dev/dri/renderD128");
	gpu_ioctl(DRM_IOCTL_VERSION, &version, "version");
	if (strcmp(name, "devmem")) {
		printf("Bail out! the device is of driver '%s'\n", name);
		exit(1);
	}
}

/* A process has to call this for itself: a VM is that of its maker. */
static void open_gpu(void)
{
	struct drm_devmem_vm_create vm = {};
	struct drm_devmem_queue_create queue = {};
	struct drm_syncobj_create syncobj = {};

	open_device();
	gpu_ioctl(DRM_IOCTL_DEVMEM_VM_CREATE, &vm, "vm-create");
	gpu.vm = vm.vm_id;
	queue.vm_id = gpu.vm;
	gpu_ioctl(DRM_IOCTL_DEVMEM_QUEUE_CREATE, &queue, "queue-create");
	gpu.queue = queue.queue_id;
	gpu_ioctl(DRM_IOCTL_SYNCOBJ_CREATE, &syncobj, "syncobj-create");
	gpu.syncobj = syncobj.handle;

	/* In shared memory, which does not migrate. */
	gpu.batch = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (gpu.batch == MAP_FAILED)
		die("mmap");
	gpu.result = (uint64_t *)((char *)gpu.batch + page_size);
}

static unsigned int emit(struct drm_devmem_cmd command)
{
	gpu.batch[gpu.commands] = command;
	return gpu.commands++;
}

/* r[rd] = r[ra] + r[rb] + value */
static void emit_add(int rd, int ra, int rb, uint64_t value)
{
	emit((struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_ALU, .sub = DRM_DEVMEM_ALU_ADD, .rd = rd, .ra = ra,
		.rb = rb, .b = value,
	});
}

/* Go on at command @target as long as r[ra] is not @value. */
static void emit_loop(int ra, uint64_t value, unsigned int target)
{
	int64_t distance = (int64_t)target - gpu.commands;

	emit((struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_BRANCH, .sub = DRM_DEVMEM_COMPARE_NE, .ra = ra,
		.b = value, .c = distance * DRM_DEVMEM_CMD_SIZE,
	});
}

/* The 64 bits at r[ra] + @addr become r[rb]. */
static void emit_store(int ra, const void *addr, int rb)
{
	emit((struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_STORE, .width = 8, .ra = ra, .a = (uintptr_t)addr,
		.rb = rb,
	});
}

static struct drm_devmem_queue_query query_queue(void)
{
	struct drm_devmem_queue_query query = { .queue_id = gpu.queue };

	gpu_ioctl(DRM_IOCTL_DEVMEM_QUEUE_QUERY, &query, "queue-query");
	return query;
}

/* Begin to execute the commands written so far. */
static void start_batch(void)
{
	struct drm_devmem_sync sync = {
		.type = DRM_DEVMEM_SYNC_SYNCOBJ, .flags = DRM_DEVMEM_SYNC_SIGNAL,
		.handle = gpu.syncobj,
	};
	struct drm_devmem_exec exec = {
		.queue_id = gpu.queue, .batch_addr = (uintptr_t)gpu.batch,
		.syncs = (uintptr_t)&sync, .num_syncs = 1,
	};
	struct drm_syncobj_array reset = {
		.handles = (uintptr_t)&gpu.syncobj, .count_handles = 1,
	};

	emit((struct drm_devmem_cmd){ .op = DRM_DEVMEM_CMD_END });
	gpu.commands = 0;
	gpu.errors = query_queue().errors;
	gpu_ioctl(DRM_IOCTL_SYNCOBJ_RESET, &reset, "syncobj-reset");
	gpu_ioctl(DRM_IOCTL_DEVMEM_EXEC, &exec, "exec");
}

/* Wait for its end; the answer is how it ended. */
static struct drm_devmem_queue_query end_batch(void)
{
	struct drm_syncobj_wait wait = {
		.handles = (uintptr_t)&gpu.syncobj, .count_handles = 1,
		.timeout_nsec = INT64_MAX,
	};
	struct drm_devmem_queue_query query;

	gpu_ioctl(DRM_IOCTL_SYNCOBJ_WAIT, &wait, "syncobj-wait");
	query = query_queue();
	query.errors -= gpu.errors;
	return query;
}

static bool end_batch_well(void)
{
	struct drm_devmem_queue_query query = end_batch();

	return check(!query.errors, "the batch failed with error %u at %#llx", query.error,
		     (unsigned long long)query.fault_addr);
}

static bool run_batch_well(void)
{
	start_batch();
	return end_batch_well();
}

/*
 * How many pages of a range are in @location, and of these how many in large
 * folios if @large is given.
 */
static size_t count_pages(const void *start, size_t size, int location, size_t *large)
{
	static uint8_t pages[AREA_SIZE / 4096];
	struct drm_devmem_query_residency args = {
		.vm_id = gpu.vm, .addr = (uintptr_t)start, .length = size,
		.data = (uintptr_t)pages,
	};
	size_t i, count = 0;

	gpu_ioctl(DRM_IOCTL_DEVMEM_QUERY_RESIDENCY, &args, "query-residency");
	if (large)
		*large = 0;
	for (i = 0; i < size / page_size; i++) {
		if ((pages[i] & DRM_DEVMEM_RESIDENCY_LOCATION) != location)
			continue;
		count++;
		if (large && pages[i] & DRM_DEVMEM_RESIDENCY_LARGE)
			(*large)++;
	}
	return count;
}

static bool is_all_in(const void *start, size_t size, int location, const char *when)
{
	size_t count = count_pages(start, size, location, NULL);

	return check(count == size / page_size, "%s %zu of %zu pages are in location %d", when,
		     count, size / page_size, location);
}

static uint64_t pattern(size_t word)
{
	return (word + 1) * 0x9e3779b97f4a7c15ull;
}

/* Private anonymous memory full of the pattern. */
static struct area make_area(bool huge)
{
	struct area area;
	size_t i;

	area.map = mmap(NULL, AREA_SIZE + HUGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area.map == MAP_FAILED)
		die("mmap");
	area.data = (uint64_t *)(((uintptr_t)area.map + HUGE_SIZE - 1) & -HUGE_SIZE);
	if (madvise(area.data, AREA_SIZE, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		die("madvise");
	for (i = 0; i < AREA_SIZE / sizeof(*area.data); i++)
		area.data[i] = pattern(i);
	return area;
}

static void free_area(struct area area)
{
	munmap(area.map, AREA_SIZE + HUGE_SIZE);
}

static size_t words_per_page(void)
{
	return page_size / sizeof(uint64_t);
}

/* Each word is as make_area() left it, but the first of a page has @more added. */
static bool is_right(const uint64_t *data, size_t first, size_t size, uint64_t more,
		     const char *who)
{
	size_t i, wrong = 0;

	for (i = 0; i < size / sizeof(*data); i++)
		wrong += data[i] != pattern(first + i) +
			 (i % words_per_page() ? 0 : more);
	return check(!wrong, "%s sees %zu wrong words", who, wrong);
}

/* The GPU adds up the first word of each page. */
static bool gpu_sum(const struct area *area, size_t size)
{
	size_t i, pages = size / page_size;
	unsigned int loop;
	uint64_t sum = 0;

	for (i = 0; i < pages; i++)
		sum += pattern(i * words_per_page());

	gpu.result[0] = 0;
	emit_add(1, 0, 0, (uintptr_t)area->data);
	loop = emit((struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_LOAD, .width = 8, .rd = 2, .ra = 1,
	});
	emit_add(3, 3, 2, 0);
	emit_add(1, 1, 0, page_size);
	emit_loop(1, (uintptr_t)area->data + size, loop);
	emit_store(0, &gpu.result[0], 3);
	return run_batch_well() &&
	       check(gpu.result[0] == sum, "the GPU's sum is %#llx, not %#llx",
		     (unsigned long long)gpu.result[0], (unsigned long long)sum);
}

/* The GPU adds @more to the first word of each page. */
static bool gpu_add(uint64_t *data, size_t size, uint64_t more)
{
	unsigned int loop;

	emit_add(1, 0, 0, (uintptr_t)data);
	loop = emit((struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_LOAD, .width = 8, .rd = 2, .ra = 1,
	});
	emit_add(2, 2, 0, more);
	emit_store(1, NULL, 2);
	emit_add(1, 1, 0, page_size);
	emit_loop(1, (uintptr_t)data + size, loop);
	return run_batch_well();
}

static bool test_device_memory(bool huge)
{
	uint64_t size = get_param(DRM_DEVMEM_PARAM_VRAM_SIZE);

	printf("# %llu MiB of device memory\n", (unsigned long long)size >> 20);
	return check(get_param(DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY) == 1,
		     "the device's memory is not registered") &
	       check(size, "the device has no memory") &
	       check(!expected_mib || size == (uint64_t)expected_mib << 20,
		     "the device should have %zu MiB", expected_mib);
}

static bool test_read(bool huge)
{
	struct area area = make_area(huge);
	struct drm_devmem_stats before = get_stats(), after;
	size_t large;
	bool good;

	good = is_all_in(area.data, AREA_SIZE, DRM_DEVMEM_LOCATION_SYSTEM, "at first") &&
	       gpu_sum(&area, AREA_SIZE) &&
	       is_all_in(area.data, AREA_SIZE, DRM_DEVMEM_LOCATION_DEVICE, "after the GPU");
	count_pages(area.data, AREA_SIZE, DRM_DEVMEM_LOCATION_DEVICE, &large);
	good = good && check(large == (huge ? AREA_SIZE / page_size : 0),
			     "%zu pages on the device are in large folios", large);
	good = good && is_right(area.data, 0, AREA_SIZE, 0, "the CPU") &&
	       is_all_in(area.data, AREA_SIZE, DRM_DEVMEM_LOCATION_SYSTEM, "after the CPU");
	after = get_stats();
	good = good &&
	       check(after.to_device_bytes - before.to_device_bytes == AREA_SIZE,
		     "%llu bytes went to the device",
		     (unsigned long long)(after.to_device_bytes - before.to_device_bytes)) &&
	       check(after.to_system_bytes - before.to_system_bytes == AREA_SIZE,
		     "%llu bytes came back",
		     (unsigned long long)(after.to_system_bytes - before.to_system_bytes)) &&
	       check(after.cpu_faults > before.cpu_faults, "no CPU fault is counted");
	free_area(area);
	return good;
}

static bool test_write(bool huge)
{
	struct area area = make_area(huge);
	bool good;

	good = gpu_add(area.data, AREA_SIZE, 1000) &&
	       is_all_in(area.data, AREA_SIZE, DRM_DEVMEM_LOCATION_DEVICE, "after the GPU") &&
	       is_right(area.data, 0, AREA_SIZE, 1000, "the CPU") &&
	       is_all_in(area.data, AREA_SIZE, DRM_DEVMEM_LOCATION_SYSTEM, "after the CPU") &&
	       /* And once more, with what came back. */
	       gpu_add(area.data, AREA_SIZE, 234) &&
	       is_right(area.data, 0, AREA_SIZE, 1234, "the CPU, the second time,");
	free_area(area);
	return good;
}

/* Nothing was there before the GPU wrote, so the rest has to be zero. */
static bool test_untouched(bool huge)
{
	const size_t size = HUGE_SIZE;
	size_t i, wrong = 0;
	struct area area;
	bool good;

	area = make_area(huge);
	if (madvise(area.data, AREA_SIZE, MADV_DONTNEED))
		die("madvise");
	good = is_all_in(area.data, size, DRM_DEVMEM_LOCATION_NONE, "at first") &&
	       gpu_add(area.data, size, 77) &&
	       is_all_in(area.data, size, DRM_DEVMEM_LOCATION_DEVICE, "after the GPU");
	for (i = 0; i < size / sizeof(*area.data); i++)
		wrong += area.data[i] != (i % words_per_page() ? 0 : 77);
	free_area(area);
	return check(!wrong, "%zu words are wrong", wrong) && good;
}

static bool test_copy(bool huge)
{
	struct area area = make_area(huge);
	const size_t half = AREA_SIZE / 2;
	uint64_t *second = area.data + half / sizeof(*area.data);
	bool good;

	emit((struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_COPY, .a = (uintptr_t)second,
		.b = (uintptr_t)area.data, .c = half,
	});
	good = run_batch_well() &&
	       is_all_in(area.data, AREA_SIZE, DRM_DEVMEM_LOCATION_DEVICE, "after the GPU") &&
	       is_right(area.data, 0, half, 0, "the CPU") &&
	       is_right(second, 0, half, 0, "the CPU, in the copy,");
	free_area(area);
	return good;
}

static void emit_atomic(int rd, int sub, int width, const void *addr, uint64_t b,
			uint64_t c)
{
	emit((struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_ATOMIC, .sub = sub, .width = width, .rd = rd,
		.a = (uintptr_t)addr, .b = b, .c = c,
	});
}

/* What each atomic leaves in memory, and what it finds there. */
static bool test_atomic(bool huge)
{
	struct area area = make_area(huge);
	uint32_t *narrow = (uint32_t *)area.data;
	uint64_t *wide = area.data + words_per_page();
	bool good;

	narrow[0] = UINT32_MAX;
	narrow[1] = 0x55555555;
	*wide = 0xff00ff00ff00ff00;
	emit_atomic(1, DRM_DEVMEM_ATOMIC_ADD, 4, narrow, 2, 0);
	emit_atomic(2, DRM_DEVMEM_ATOMIC_XCHG, 8, wide, 0x0123456789abcdef, 0);
	emit_atomic(3, DRM_DEVMEM_ATOMIC_CMPXCHG, 8, wide, 1, 2);
	emit_atomic(4, DRM_DEVMEM_ATOMIC_CMPXCHG, 8, wide, 7, 0x0123456789abcdef);
	emit_store(0, &gpu.result[0], 1);
	emit_store(0, &gpu.result[1], 2);
	emit_store(0, &gpu.result[2], 3);
	emit_store(0, &gpu.result[3], 4);
	good = run_batch_well() &&
	       is_all_in(area.data, 2 * page_size, DRM_DEVMEM_LOCATION_DEVICE,
			 "after the GPU") &&
	       check(gpu.result[0] == UINT32_MAX, "the add found %#llx",
		     (unsigned long long)gpu.result[0]) &&
	       check(gpu.result[1] == 0xff00ff00ff00ff00, "the exchange found %#llx",
		     (unsigned long long)gpu.result[1]) &&
	       check(gpu.result[2] == 0x0123456789abcdef &&
		     gpu.result[3] == 0x0123456789abcdef,
		     "compare and exchange found %#llx and %#llx",
		     (unsigned long long)gpu.result[2], (unsigned long long)gpu.result[3]) &&
	       check(narrow[0] == 1 && narrow[1] == 0x55555555,
		     "32 bits are %#x, their neighbours %#x", narrow[0], narrow[1]) &&
	       check(*wide == 7, "64 bits are %#llx", (unsigned long long)*wide);
	free_area(area);
	return good;
}

/* GPU and CPU count in the same word at the same time. */
static bool test_atomic_shared(bool huge)
{
	struct area area = make_area(huge);
	const unsigned int rounds = 5000;
	unsigned int loop, i;
	bool good;

	area.data[0] = 0;
	loop = gpu.commands;
	emit_atomic(0, DRM_DEVMEM_ATOMIC_ADD, 8, area.data, 1, 0);
	emit_add(1, 1, 0, 1);
	emit_loop(1, rounds, loop);
	start_batch();
	for (i = 0; i < rounds; i++)
		__atomic_fetch_add(&area.data[0], 1, __ATOMIC_SEQ_CST);
	good = end_batch_well() &
	       check(area.data[0] == 2 * rounds, "the count is %llu, not %u",
		     (unsigned long long)area.data[0], 2 * rounds);
	free_area(area);
	return good;
}

/* What the child of test_fork() does: it has the parent's memory of fork(). */
static int fork_child(const struct area *area, int parent_done)
{
	char byte;
	bool good;

	if (read(parent_done, &byte, 1) != 1)
		return 1;
	good = is_right(area->data, 0, AREA_SIZE, 5, "the child");
	area->data[1] = 1;
	fflush(stdout);
	return good ? 0 : 1;
}

static bool test_fork(bool huge)
{
	struct area area = make_area(huge);
	int status, parent_done[2];
	bool good;
	pid_t pid;

	good = gpu_add(area.data, AREA_SIZE, 5) &&
	       is_all_in(area.data, AREA_SIZE, DRM_DEVMEM_LOCATION_DEVICE, "before the fork");
	if (pipe(parent_done))
		die("pipe");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid)
		_exit(fork_child(&area, parent_done[0]));

	/* The parent's GPU writes; the child must not see that. */
	good = gpu_add(area.data, AREA_SIZE, 10) && good;
	if (write(parent_done[1], "", 1) != 1)
		die("write");
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	good = check(!status, "the child ended with %#x", status) &&
	       is_right(area.data, 0, AREA_SIZE, 15, "the parent") && good;
	close(parent_done[0]);
	close(parent_done[1]);
	free_area(area);
	return good;
}

/* Device memory becomes read-only, and then writable again. */
static bool test_protect(bool huge)
{
	struct area area = make_area(huge);
	uint64_t *page = area.data + 3 * words_per_page();
	struct drm_devmem_queue_query query;
	bool good;

	good = gpu_add(area.data, AREA_SIZE, 5);
	if (mprotect(page, page_size, PROT_READ))
		die("mprotect");
	emit_store(0, page + 1, 0);
	start_batch();
	query = end_batch();
	good = good &&
	       check(query.errors == 1 && query.error == DRM_DEVMEM_ERROR_FAULT &&
		     query.access == DRM_DEVMEM_ACCESS_WRITE &&
		     query.fault_addr == (uintptr_t)(page + 1),
		     "writing to read-only memory: %u errors, error %u, access %u at %#llx",
		     query.errors, query.error, query.access,
		     (unsigned long long)query.fault_addr) &&
	       is_right(area.data, 0, AREA_SIZE, 5, "the CPU");
	if (mprotect(page, page_size, PROT_READ | PROT_WRITE))
		die("mprotect");
	good = good && gpu_add(area.data, AREA_SIZE, 6) &&
	       is_right(area.data, 0, AREA_SIZE, 11, "the CPU, later,");
	free_area(area);
	return good;
}

/* A page in the middle of device memory goes, another one moves. */
static bool test_split(bool huge)
{
	const size_t hole = 5, moved = 9, last = AREA_SIZE / page_size;
	struct area area = make_area(huge);
	uint64_t *page, *place;
	bool good;

	good = gpu_add(area.data, AREA_SIZE, 5) &&
	       is_all_in(area.data, AREA_SIZE, DRM_DEVMEM_LOCATION_DEVICE, "after the GPU");
	if (munmap(area.data + hole * words_per_page(), page_size))
		die("munmap");
	place = mmap(NULL, page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (place == MAP_FAILED)
		die("mmap");
	page = mremap(area.data + moved * words_per_page(), page_size, page_size,
		      MREMAP_MAYMOVE | MREMAP_FIXED, place);
	if (page == MAP_FAILED)
		die("mremap");

	good = good && is_right(area.data, 0, hole * page_size, 5, "the CPU") &&
	       is_right(area.data + (hole + 1) * words_per_page(),
			(hole + 1) * words_per_page(), (moved - hole - 1) * page_size, 5,
			"the CPU, behind the hole,") &&
	       is_right(page, moved * words_per_page(), page_size, 5,
			"the CPU, in the page that moved,") &&
	       gpu_add(page, page_size, 6) &&
	       is_right(page, moved * words_per_page(), page_size, 11,
			"the CPU, after the GPU wrote the page that moved,") &&
	       is_right(area.data + (moved + 1) * words_per_page(),
			(moved + 1) * words_per_page(), (last - moved - 1) * page_size, 5,
			"the CPU, in the rest,");
	munmap(page, page_size);
	free_area(area);
	return good;
}

/* The device gets back what a process held that just exits. */
static bool test_exit(bool huge)
{
	uint64_t before = get_param(DRM_DEVMEM_PARAM_VRAM_FREE), after;
	int status, i;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		struct area area;
		bool good;

		open_gpu();
		area = make_area(huge);
		good = gpu_add(area.data, AREA_SIZE, 5) &&
		       check(get_param(DRM_DEVMEM_PARAM_VRAM_FREE) + AREA_SIZE <= before,
			     "the child holds no device memory");
		fflush(stdout);
		_exit(good ? 0 : 1);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	for (i = 0; i < 100; i++) {
		after = get_param(DRM_DEVMEM_PARAM_VRAM_FREE);
		if (after >= before)
			break;
		usleep(50000);
	}
	return check(!status, "the child ended with %#x", status) &
	       check(after >= before, "%llu bytes of device memory are lost",
		     (unsigned long long)(before - after));
}

static const struct {
	const char *name;
	bool (*run)(bool huge);
	bool huge;
} tests[] = {
	{ "device-memory", test_device_memory, false },
	{ "read-small", test_read, false },
	{ "read-huge", test_read, true },
	{ "write-small", test_write, false },
	{ "write-huge", test_write, true },
	{ "untouched-small", test_untouched, false },
	{ "untouched-huge", test_untouched, true },
	{ "copy-small", test_copy, false },
	{ "copy-huge", test_copy, true },
	{ "atomic", test_atomic, false },
	{ "atomic-shared", test_atomic_shared, false },
	{ "fork-small", test_fork, false },
	{ "fork-huge", test_fork, true },
	{ "protect-small", test_protect, false },
	{ "protect-huge", test_protect, true },
	{ "split-small", test_split, false },
	{ "split-huge", test_split, true },
	{ "exit-small", test_exit, false },
	{ "exit-huge", test_exit, true },
};

int main(int argc, char **argv)
{
	bool all_good = true;
	size_t i;

	page_size = sysconf(_SC_PAGESIZE);
	if (argc > 1)
		expected_mib = strtoul(argv[1], NULL, 0);

	printf("KTAP version 1\n1..%zu\n", ARRAY_SIZE(tests));
	open_gpu();
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		bool good = tests[i].run(tests[i].huge);

		printf("%sok %zu %s\n", good ? "" : "not ", i + 1, tests[i].name);
		fflush(stdout);
		all_good &= good;
	}
	return all_good ? 0 : 1;
}
