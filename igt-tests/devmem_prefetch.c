// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem prefetch
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Prefetch
 * Description: Memory that is moved before anybody faults on it
 *
 * SUBTEST: invalid
 * Description: Each bad argument gives the error that is documented
 *
 * SUBTEST: invalid-result
 * Description: A result that cannot be written, or not be pinned for long, is an error
 *
 * SUBTEST: to-device
 * Description: Data moves to the device and the GPU reads it without a fault
 *
 * SUBTEST: to-device-write
 * Description: With the flag the GPU writes without a fault, too
 *
 * SUBTEST: write-read-only
 * Description: The flag gives no right that the process does not have
 *
 * SUBTEST: untouched
 * Description: Memory that nobody touched is zero on the device
 *
 * SUBTEST: to-system
 * Description: Data comes back and the CPU reads it without a fault
 *
 * SUBTEST: part
 * Description: Only what was asked for moves
 *
 * SUBTEST: holes
 * Description: A range with holes, shared memory and memory without access moves what can
 *
 * SUBTEST: twice
 * Description: What is there already is counted and not moved again
 *
 * SUBTEST: in-place
 * Description: Memory that the GPU uses in place moves when it is asked for
 *
 * SUBTEST: no-migrate
 * Description: A VM that does not migrate maps the memory and says that nothing moved
 *
 * SUBTEST: wait-and-signal
 * Description: A prefetch waits for its syncobjs and a batch waits for it
 *
 * SUBTEST: out-of-order
 * Description: Prefetches end in any order, and waiting for two waits for both
 *
 * SUBTEST: timeline
 * Description: Points of a timeline are waited for and signalled
 *
 * SUBTEST: cancel-vm-destroy
 * Description: Destroying the VM ends a prefetch that waits
 *
 * SUBTEST: limit
 * Description: Too many at a time are refused, and room comes back
 *
 * SUBTEST: limit-process
 * Description: Stuck prefetches of a process, of many files and VMs, leave workers to others
 *
 * SUBTEST: stuck
 * Description: A prefetch whose worker is stuck signals in time
 *
 * SUBTEST: exited
 * Description: The memory of a process that has exited is an error in the result
 *
 * SUBTEST: close
 * Description: Closing the device with prefetches under way is clean
 *
 * SUBTEST: overcommit
 * Description: More than fits ends, and what was first makes room for what is last
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "igt_kmod.h"
#include "igt_syncobj.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("Memory that is moved before anybody faults on it");

#define MIB		(1024 * 1024ul)
#define PAGE		4096ul
#define VALUE		0x1122334455667788ull

#define SYSTEM		DRM_DEVMEM_LOCATION_SYSTEM
#define DEVICE		DRM_DEVMEM_LOCATION_DEVICE
#define WRITE		DRM_DEVMEM_PREFETCH_WRITE

/* As many prefetches of a VM can be under way. */
#define LIMIT		64
/* As many of a process, and more than any number of workers. */
#define PROCESS_LIMIT	96
#define MANY		1088

static struct igt_devmem d;

static uint64_t gpu_faults(void)
{
	return igt_devmem_stats(d.fd, d.vm).gpu_faults;
}

static uint64_t cpu_faults(void)
{
	return igt_devmem_stats(d.fd, d.vm).cpu_faults;
}

/* One batch of GPU work on shared memory, which is there already. */
static void warm_up(void)
{
	igt_devmem_peek(&d, d.result);
}

static int prefetch_with_result(const void *result)
{
	const struct drm_devmem_prefetch args = {
		.vm_id = d.vm, .addr = (uintptr_t)d.result, .length = PAGE, .location = DEVICE,
		.result = (uintptr_t)result,
	};

	return __igt_devmem_prefetch(d.fd, &args);
}

static void zram_reset(int sig)
{
	igt_devmem_write_file("/sys/block/zram0/reset", "1");
}

/* The memory of the result has to be writable for as long as it takes. */
static void test_invalid_result(void)
{
	void *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd;

	igt_assert(p != MAP_FAILED);
	igt_assert_eq(prefetch_with_result(p), -EFAULT);
	munmap(p, PAGE);

	/* Pages of a block device are written back, so that none is pinned for long. */
	igt_require_f(!igt_kmod_load("zram", NULL), "no module zram\n");
	igt_require(igt_devmem_write_file("/sys/block/zram0/disksize", "16777216"));
	igt_install_exit_handler(zram_reset);
	fd = open("/dev/zram0", O_RDWR);
	igt_require_f(fd >= 0, "no /dev/zram0: %s\n", strerror(errno));
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	igt_assert(p != MAP_FAILED);
	memset(p, 1, PAGE);
	igt_assert_eq(prefetch_with_result(p), -EFAULT);
	igt_assert_eq(*(uint8_t *)p, 1);
	munmap(p, PAGE);
	close(fd);
}

static void test_invalid(void)
{
	const struct drm_devmem_prefetch good = {
		.vm_id = d.vm, .addr = (uintptr_t)d.result, .length = PAGE, .location = DEVICE,
	};
	const struct drm_devmem_sync user_fence = {
		.type = DRM_DEVMEM_SYNC_USER_FENCE, .flags = DRM_DEVMEM_SYNC_SIGNAL,
		.addr = (uintptr_t)d.result,
	};
	const struct drm_devmem_sync no_fence = { .handle = d.syncobj };
	const struct drm_devmem_sync no_handle = { .handle = ~0u, .flags = DRM_DEVMEM_SYNC_SIGNAL };
	const struct drm_devmem_sync bad_flags = { .handle = d.syncobj, .flags = 2 };
	const uint64_t size = sizeof(struct drm_devmem_prefetch_result);
	const struct {
		const char *what;
		struct drm_devmem_prefetch change;
		int err;
	} cases[] = {
		{ "vm", { .vm_id = ~0u }, -ENOENT },
		{ "location with preferred", { .flags = DRM_DEVMEM_PREFETCH_PREFERRED }, -EINVAL },
		{ "unknown flag", { .flags = 4 }, -EINVAL },
		{ "high flags", { .flags = 1u << 31 }, -EINVAL },
		{ "addr", { .addr = 1 }, -EINVAL },
		{ "length", { .length = PAGE / 2 }, -EINVAL },
		{ "wrap", { .length = -PAGE }, -EINVAL },
		{ "beyond", { .addr = 1ull << 62 }, -EINVAL },
		{ "high location", { .location = ~0u }, -EINVAL },
		{ "unknown location", { .location = DRM_DEVMEM_LOCATION_PEER + 1 }, -EINVAL },
		{ "location of a peer", { .location = DRM_DEVMEM_LOCATION_PEER }, -EINVAL },
		{ "num_syncs", { .num_syncs = DRM_DEVMEM_MAX_SYNCS + 1 }, -EINVAL },
		{ "syncs", { .num_syncs = 1, .syncs = 64 }, -EFAULT },
		{ "user fence", { .num_syncs = 1, .syncs = (uintptr_t)&user_fence }, -EINVAL },
		{ "no fence", { .num_syncs = 1, .syncs = (uintptr_t)&no_fence }, -EINVAL },
		{ "no handle", { .num_syncs = 1, .syncs = (uintptr_t)&no_handle }, -ENOENT },
		{ "sync flags", { .num_syncs = 1, .syncs = (uintptr_t)&bad_flags }, -EINVAL },
		{ "result out of line", { .result = (uintptr_t)d.result + 8 }, -EINVAL },
		{ "result not mapped", { .result = size }, -EFAULT },
	};
	struct drm_devmem_prefetch args;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		args = good;
		args.vm_id = cases[i].change.vm_id ?: good.vm_id;
		args.flags = cases[i].change.flags;
		args.addr += cases[i].change.addr;
		args.length = cases[i].change.length ?: good.length;
		args.location = cases[i].change.location ?: good.location;
		args.num_syncs = cases[i].change.num_syncs;
		args.syncs = cases[i].change.syncs;
		args.result = cases[i].change.result;
		igt_assert_f(__igt_devmem_prefetch(d.fd, &args) == cases[i].err,
			     "bad %s: not error %d\n", cases[i].what, cases[i].err);
	}

	args = good;
	args.length = 0;
	igt_assert_eq(__igt_devmem_prefetch(d.fd, &args), -EINVAL);
	args = good;
	args.location = 0;
	igt_assert_eq(__igt_devmem_prefetch(d.fd, &args), -EINVAL);
	args = good;
	args.location = SYSTEM;
	args.flags = WRITE;
	igt_assert_eq(__igt_devmem_prefetch(d.fd, &args), -EINVAL);

	igt_assert_eq(__igt_devmem_prefetch(d.fd, &good), 0);
}

static void test_to_device(void)
{
	const size_t size = 5 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	uint64_t faults;

	igt_devmem_cpu_fill(p, VALUE, size);
	warm_up();
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, DEVICE, 0), size);
	igt_assert(igt_devmem_location_is(&d, p, size, DEVICE));

	/* One word of each page, so that each translation is used. */
	faults = gpu_faults();
	igt_devmem_alu(&d.batch, 1, 0, DRM_DEVMEM_ALU_ADD, 0);
	igt_devmem_emit(&d.batch, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_LOAD, .width = 8, .rd = 2, .ra = 1, .a = (uintptr_t)p });
	igt_devmem_emit(&d.batch, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_ALU, .sub = DRM_DEVMEM_ALU_ADD, .rd = 3, .ra = 3, .rb = 2 });
	igt_devmem_alu(&d.batch, 1, 1, DRM_DEVMEM_ALU_ADD, PAGE);
	igt_devmem_branch(&d.batch, 1, DRM_DEVMEM_COMPARE_LT, size, 1);
	igt_devmem_store_reg(&d.batch, d.result, 3, 8);
	igt_devmem_run(&d);
	igt_assert_eq_u64(*d.result, VALUE * (size / PAGE));
	igt_assert_eq_u64(gpu_faults(), faults);

	igt_devmem_expect_words(p, VALUE, size);
	igt_devmem_anon_free(p, size);
}

static void test_to_device_write(void)
{
	const size_t size = 2 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(2 * size), faults;

	igt_devmem_cpu_fill(p, VALUE, 2 * size);
	warm_up();
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, DEVICE, WRITE), size);
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p + size / 8, size, DEVICE, 0), size);

	faults = gpu_faults();
	igt_devmem_fill(&d.batch, p, 7, 8, size);
	igt_devmem_run(&d);
	igt_assert_eq_u64(gpu_faults(), faults);
	igt_devmem_fill(&d.batch, p + size / 8, 7, 8, size);
	igt_devmem_run(&d);
	igt_assert_lt_u64(faults, gpu_faults());

	igt_devmem_expect_words(p, 7, 2 * size);
	igt_devmem_anon_free(p, 2 * size);
}

static void test_write_read_only(void)
{
	const size_t size = 2 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);

	igt_devmem_cpu_fill(p, VALUE, size);
	igt_assert_eq(mprotect(p, size, PROT_READ), 0);
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, DEVICE, WRITE), size);
	igt_assert(igt_devmem_pages_are(&d, p, size, DRM_DEVMEM_RESIDENCY_GPU_MAPPED |
					DRM_DEVMEM_RESIDENCY_GPU_WRITE,
					DRM_DEVMEM_RESIDENCY_GPU_MAPPED));
	igt_devmem_store(&d.batch, p, 1, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	igt_devmem_expect_words(p, VALUE, size);
	igt_devmem_anon_free(p, size);
}

static void test_untouched(void)
{
	const size_t size = 4 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);

	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, DEVICE, 0), size);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + size / 8 - 1), 0);
	igt_assert(igt_devmem_location_is(&d, p, size, DEVICE));
	igt_devmem_expect_words(p, 0, size);
	igt_devmem_anon_free(p, size);
}

static void test_to_system(void)
{
	const size_t size = 4 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	struct drm_devmem_stats before, after;
	uint64_t faults;

	igt_devmem_set(&d, p, VALUE, size);
	before = igt_devmem_stats(d.fd, d.vm);
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, SYSTEM, 0), size);
	igt_assert(igt_devmem_location_is(&d, p, size, SYSTEM));
	after = igt_devmem_stats(d.fd, d.vm);
	igt_assert_eq_u64(after.to_system_bytes - before.to_system_bytes, size);
	igt_assert_eq_u64(after.evicted_bytes, before.evicted_bytes);

	faults = cpu_faults();
	igt_assert_eq_u64(faults, before.cpu_faults);
	igt_devmem_expect_words(p, VALUE, size);
	igt_assert_eq_u64(cpu_faults(), faults);
	igt_devmem_anon_free(p, size);
}

static void test_part(void)
{
	const size_t size = 4 * MIB, part = 96 * 1024;
	char *p = igt_devmem_anon_alloc(size);

	igt_devmem_cpu_fill(p, VALUE, size);
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p + MIB, part, DEVICE, 0), part);
	igt_assert(igt_devmem_location_is(&d, p, MIB, SYSTEM));
	igt_assert(igt_devmem_location_is(&d, p + MIB, part, DEVICE));
	igt_assert(igt_devmem_location_is(&d, p + MIB + part, size - MIB - part, SYSTEM));
	igt_devmem_expect_words(p, VALUE, size);
	igt_devmem_anon_free(p, size);
}

static void test_holes(void)
{
	const size_t size = 8 * MIB;
	char *p = igt_devmem_anon_alloc(size);

	igt_devmem_cpu_fill(p, VALUE, size);
	igt_assert_eq(munmap(p + 2 * MIB, MIB), 0);
	igt_assert_eq(mprotect(p + 4 * MIB, MIB, PROT_NONE), 0);
	igt_assert(mmap(p + 6 * MIB, MIB, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);

	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, DEVICE, 0), size - 3 * MIB);
	igt_assert(igt_devmem_location_is(&d, p, 2 * MIB, DEVICE));
	igt_assert(igt_devmem_location_is(&d, p + 3 * MIB, MIB, DEVICE));
	igt_assert(igt_devmem_location_is(&d, p + 5 * MIB, MIB, DEVICE));
	igt_assert(igt_devmem_pages_are(&d, p + 6 * MIB, MIB,
					DRM_DEVMEM_RESIDENCY_LOCATION |
					DRM_DEVMEM_RESIDENCY_GPU_MAPPED,
					SYSTEM | DRM_DEVMEM_RESIDENCY_GPU_MAPPED));
	igt_assert(igt_devmem_location_is(&d, p + 7 * MIB, MIB, DEVICE));

	igt_devmem_expect_words(p, VALUE, 2 * MIB);
	igt_devmem_expect_words(p + 7 * MIB, VALUE, MIB);
	igt_devmem_anon_free(p, size);
}

static void test_twice(void)
{
	const size_t size = 4 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size), bytes;

	igt_devmem_cpu_fill(p, VALUE, size);
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, DEVICE, 0), size);
	bytes = igt_devmem_stats(d.fd, d.vm).to_device_bytes;
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, DEVICE, 0), size);
	igt_assert_eq_u64(igt_devmem_stats(d.fd, d.vm).to_device_bytes, bytes);

	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, SYSTEM, 0), size);
	bytes = igt_devmem_stats(d.fd, d.vm).to_system_bytes;
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, SYSTEM, 0), size);
	igt_assert_eq_u64(igt_devmem_stats(d.fd, d.vm).to_system_bytes, bytes);
	igt_devmem_anon_free(p, size);
}

/* A page that is pinned when the GPU comes keeps its chunk in system memory. */
static void test_in_place(void)
{
	const size_t size = 2 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	int pipe_fds[2];

	igt_devmem_cpu_fill(p, VALUE, size);
	igt_assert_eq(pipe(pipe_fds), 0);
	igt_assert_eq(vmsplice(pipe_fds[1], &(struct iovec){ p, PAGE }, 1, 0), PAGE);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), VALUE);
	igt_assert(igt_devmem_location_is(&d, p, PAGE, SYSTEM));
	igt_assert_lt_u64(igt_devmem_prefetch(&d, p, size, DEVICE, 0), size);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), VALUE);

	close(pipe_fds[0]);
	close(pipe_fds[1]);
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, DEVICE, 0), size);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), VALUE);
	igt_devmem_anon_free(p, size);
}

static void test_no_migrate(void)
{
	const size_t size = 2 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	struct igt_devmem other;
	uint64_t faults;

	igt_devmem_init(&other, d.fd, DRM_DEVMEM_VM_NO_MIGRATE);
	igt_devmem_peek(&other, other.result);
	igt_devmem_cpu_fill(p, VALUE, size);
	igt_assert_eq_u64(igt_devmem_prefetch(&other, p, size, DEVICE, WRITE), 0);
	faults = igt_devmem_stats(d.fd, other.vm).gpu_faults;
	igt_devmem_poke(&other, p, 1);
	igt_assert_eq_u64(igt_devmem_stats(d.fd, other.vm).gpu_faults, faults);
	igt_assert_eq_u64(igt_devmem_prefetch(&other, p, size, SYSTEM, 0), size);
	igt_devmem_fini(&other);
	igt_devmem_anon_free(p, size);
}

/* A prefetch of @p that waits for @in, if any, and signals d.syncobj. */
static void submit(uint32_t vm, void *p, size_t size, uint32_t in,
		   struct drm_devmem_prefetch_result *result)
{
	struct drm_devmem_sync syncs[] = {
		{ .handle = d.syncobj, .flags = DRM_DEVMEM_SYNC_SIGNAL },
		{ .handle = in },
	};
	struct drm_devmem_prefetch args = {
		.vm_id = vm, .addr = (uintptr_t)p, .length = size, .location = DEVICE,
		.num_syncs = in ? 2 : 1, .syncs = (uintptr_t)syncs,
		.result = (uintptr_t)result,
	};

	memset(result, 0, sizeof(*result));
	igt_assert_eq(__igt_devmem_prefetch(d.fd, &args), 0);
}

/* A batch that ends when *@gate is not zero; its syncobj. */
static uint32_t gate_close(struct igt_devmem *gate)
{
	igt_devmem_init(gate, d.fd, 0);
	*gate->result = 0;
	igt_devmem_wait(&gate->batch, gate->result, DRM_DEVMEM_COMPARE_NE, 0, 8);
	igt_devmem_submit(gate);
	return gate->syncobj;
}

static void gate_open(struct igt_devmem *gate)
{
	__atomic_store_n(gate->result, 1, __ATOMIC_SEQ_CST);
	igt_assert(igt_devmem_done(gate, IGT_DEVMEM_TIMEOUT_NS));
	igt_devmem_fini(gate);
}

static void test_wait_and_signal(void)
{
	struct drm_devmem_prefetch_result *result = igt_devmem_shared_alloc(PAGE);
	const size_t size = 2 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size), faults;
	struct igt_devmem gate;
	struct drm_devmem_sync syncs[2] = {};

	igt_devmem_cpu_fill(p, VALUE, size);
	warm_up();
	submit(d.vm, p, size, gate_close(&gate), result);
	igt_assert(!igt_devmem_done(&d, 300 * 1000 * 1000));
	igt_assert_eq(result->done, 0);
	igt_assert(igt_devmem_location_is(&d, p, size, SYSTEM));

	/* The batch is submitted before the prefetch may start. */
	syncs[0].handle = d.syncobj;
	syncs[1].handle = syncobj_create(d.fd, 0);
	syncs[1].flags = DRM_DEVMEM_SYNC_SIGNAL;
	igt_devmem_load(&d.batch, 1, p, 8);
	igt_devmem_store_reg(&d.batch, d.result, 1, 8);
	igt_devmem_end(&d.batch);
	faults = gpu_faults();
	igt_devmem_exec(d.fd, d.queue, d.batch.cmds, syncs, 2);

	gate_open(&gate);
	igt_assert(syncobj_wait(d.fd, &syncs[1].handle, 1,
				igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS), 0, NULL));
	igt_assert_eq(result->done, 1);
	igt_assert_eq(result->error, 0);
	igt_assert_eq_u64(result->bytes, size);
	igt_assert_eq_u64(*d.result, VALUE);
	igt_assert_eq_u64(gpu_faults(), faults);
	syncobj_destroy(d.fd, syncs[1].handle);
	igt_devmem_anon_free(p, size);
	igt_devmem_shared_free(result, PAGE);
}

static void test_out_of_order(void)
{
	struct drm_devmem_prefetch_result *result = igt_devmem_shared_alloc(PAGE);
	uint64_t *p = igt_devmem_anon_alloc(4 * MIB);
	struct drm_devmem_sync syncs[3] = {};
	uint32_t first = d.syncobj;
	struct igt_devmem gate;

	/* The first one waits, the second one ends. */
	submit(d.vm, p, 2 * MIB, gate_close(&gate), &result[0]);
	d.syncobj = syncobj_create(d.fd, 0);
	submit(d.vm, p + 2 * MIB / 8, 2 * MIB, 0, &result[1]);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	igt_assert_eq(result[1].done, 1);

	/* A batch that wants both has to wait for the first one as well. */
	syncs[0].handle = first;
	syncs[1].handle = d.syncobj;
	syncs[2].handle = syncobj_create(d.fd, 0);
	syncs[2].flags = DRM_DEVMEM_SYNC_SIGNAL;
	igt_devmem_end(&d.batch);
	igt_devmem_exec(d.fd, d.queue, d.batch.cmds, syncs, 3);
	igt_assert(!syncobj_wait(d.fd, &syncs[2].handle, 1,
				 igt_devmem_deadline(300 * 1000 * 1000), 0, NULL));
	gate_open(&gate);
	igt_assert(syncobj_wait(d.fd, &syncs[2].handle, 1,
				igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS), 0, NULL));
	igt_assert_eq(result[0].done, 1);

	d.batch.count = 0;
	syncobj_destroy(d.fd, syncs[2].handle);
	syncobj_destroy(d.fd, d.syncobj);
	d.syncobj = first;
	igt_devmem_anon_free(p, 4 * MIB);
	igt_devmem_shared_free(result, PAGE);
}

static void test_timeline(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB), point = 3, got = 0;
	uint32_t timeline = syncobj_create(d.fd, 0);
	struct drm_devmem_sync syncs[] = {
		{ .type = DRM_DEVMEM_SYNC_TIMELINE_SYNCOBJ, .handle = timeline, .value = 3 },
		{ .type = DRM_DEVMEM_SYNC_TIMELINE_SYNCOBJ, .handle = timeline, .value = 1 },
		{ .type = DRM_DEVMEM_SYNC_TIMELINE_SYNCOBJ, .handle = timeline, .value = 9,
		  .flags = DRM_DEVMEM_SYNC_SIGNAL },
	};
	struct drm_devmem_prefetch args = {
		.vm_id = d.vm, .addr = (uintptr_t)p, .length = 2 * MIB, .location = DEVICE,
		.num_syncs = 3, .syncs = (uintptr_t)syncs,
	};

	igt_assert_eq(__igt_devmem_prefetch(d.fd, &args), -EINVAL);
	syncobj_timeline_signal(d.fd, &timeline, &point, 1);
	igt_assert_eq(__igt_devmem_prefetch(d.fd, &args), 0);
	point = 9;
	igt_assert(syncobj_timeline_wait(d.fd, &timeline, &point, 1,
					 igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS), 0, NULL));
	syncobj_timeline_query(d.fd, &timeline, &got, 1);
	igt_assert_eq_u64(got, 9);
	igt_assert(igt_devmem_location_is(&d, p, 2 * MIB, DEVICE));
	syncobj_destroy(d.fd, timeline);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_overcommit(void)
{
	uint64_t vram, bytes, i, *p;
	size_t size;

	igt_devmem_reload("vram_size=16 job_timeout_ms=100000");
	igt_devmem_init(&d, igt_devmem_open(), 0);
	vram = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_SIZE);
	size = 2 * vram;
	p = igt_devmem_anon_alloc(size);

	for (i = 0; i < size; i += PAGE)
		p[i / 8] = i;
	bytes = igt_devmem_prefetch(&d, p, size, DEVICE, 0);
	/* Each piece was there when it was counted, and later ones drove it out. */
	igt_assert_lt_u64(vram, bytes);
	i = igt_devmem_count(&d, p, size, DEVICE) * PAGE;
	igt_assert_lte_u64(vram / 2, i);
	igt_assert_lt_u64(i, vram);
	for (i = 0; i < size; i += PAGE)
		igt_assert_eq_u64(p[i / 8], i);
	igt_devmem_anon_free(p, size);
	igt_devmem_fini(&d);
	close(d.fd);
}

static void test_cancel_vm_destroy(void)
{
	struct drm_devmem_prefetch_result *result = igt_devmem_shared_alloc(PAGE);
	uint32_t vm = igt_devmem_vm_create(d.fd, 0);
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	struct igt_devmem gate;

	submit(vm, p, 2 * MIB, gate_close(&gate), result);
	igt_devmem_vm_destroy(d.fd, vm);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	igt_assert_eq(result->done, 1);
	igt_assert_eq(result->error, ECANCELED);
	igt_assert_eq_u64(result->bytes, 0);
	gate_open(&gate);
	igt_devmem_anon_free(p, 2 * MIB);
	igt_devmem_shared_free(result, PAGE);
}

static void test_limit(void)
{
	struct drm_devmem_sync sync = {};
	struct drm_devmem_prefetch args = {
		.vm_id = d.vm, .addr = (uintptr_t)d.result, .length = PAGE, .location = DEVICE,
		.num_syncs = 1, .syncs = (uintptr_t)&sync,
	};
	struct igt_devmem gate;
	int i, err = -EBUSY;

	sync.handle = gate_close(&gate);
	for (i = 0; i < LIMIT; i++)
		igt_assert_eq(__igt_devmem_prefetch(d.fd, &args), 0);
	igt_assert_eq(__igt_devmem_prefetch(d.fd, &args), -EBUSY);
	/* Another VM has room of its own. */
	args.vm_id = gate.vm;
	igt_assert_eq(__igt_devmem_prefetch(d.fd, &args), 0);
	gate_open(&gate);

	args.vm_id = d.vm;
	args.num_syncs = 0;
	for (i = 0; i < 500 && err == -EBUSY; i++) {
		err = __igt_devmem_prefetch(d.fd, &args);
		usleep(10000);
	}
	igt_assert_eq(err, 0);
}

/* A userfaultfd that holds up who touches @p: nobody serves the faults. */
static int hold_up(void *p, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)p, .len = size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);

	igt_assert_fd(uffd);
	igt_assert_eq(ioctl(uffd, UFFDIO_API, &api), 0);
	igt_assert_eq(ioctl(uffd, UFFDIO_REGISTER, &reg), 0);
	return uffd;
}

/* As many prefetches as get through, MANY at most, in as few VMs of both files as it takes. */
static int prefetch_all(const int *fds, struct drm_devmem_prefetch *args)
{
	int count, fd = fds[0], err = 0;

	for (count = 0; count < MANY; count++) {
		if (count % LIMIT == 0) {
			fd = fds[count / LIMIT % 2];
			args->vm_id = igt_devmem_vm_create(fd, 0);
		}
		err = __igt_devmem_prefetch(fd, args);
		if (err)
			break;
	}
	igt_assert(!err || err == -EBUSY);
	return count;
}

/* Another process is not held up. */
static void prefetch_in_child(void)
{
	igt_fork(child, 1) {
		uint64_t *p = igt_devmem_anon_alloc(2 * MIB);

		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		igt_devmem_cpu_fill(p, VALUE, 2 * MIB);
		igt_assert_eq_u64(igt_devmem_prefetch(&d, p, 2 * MIB, DEVICE, 0), 2 * MIB);
		igt_devmem_expect_words(p, VALUE, 2 * MIB);
	}
	igt_waitchildren();
}

static void test_limit_process(void)
{
	uint64_t *held = igt_devmem_anon_alloc(2 * MIB);
	struct drm_devmem_prefetch args = {
		.addr = (uintptr_t)held, .length = 2 * MIB, .location = DEVICE,
	};
	int64_t end = igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS);
	int uffd = hold_up(held, 2 * MIB), fds[2], count, err;

	fds[0] = igt_devmem_open();
	fds[1] = igt_devmem_open();
	count = prefetch_all(fds, &args);
	prefetch_in_child();
	igt_assert_eq(count, PROCESS_LIMIT);

	/* A VM that was destroyed has still what is stuck, and another file no room. */
	igt_devmem_vm_destroy(fds[1], args.vm_id);
	args.vm_id = igt_devmem_vm_create(fds[0], 0);
	igt_assert_eq(__igt_devmem_prefetch(fds[0], &args), -EBUSY);

	/* Room comes back with the workers. */
	close(uffd);
	do {
		igt_assert_f(igt_devmem_deadline(0) < end, "there is no room any more\n");
		usleep(10000);
		err = __igt_devmem_prefetch(fds[0], &args);
	} while (err == -EBUSY);
	igt_assert_eq(err, 0);

	close(fds[0]);
	close(fds[1]);
	igt_devmem_anon_free(held, 2 * MIB);
}

static void test_stuck(void)
{
	struct drm_devmem_prefetch_result *result = igt_devmem_shared_alloc(PAGE);
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	int uffd;

	igt_devmem_reload("job_timeout_ms=2000");
	igt_devmem_init(&d, igt_devmem_open(), 0);
	uffd = hold_up(p, 2 * MIB);
	submit(d.vm, p, 2 * MIB, 0, result);
	igt_assert(!igt_devmem_done(&d, 300 * 1000 * 1000));
	igt_assert(igt_devmem_done(&d, 6ll * 1000 * 1000 * 1000));
	igt_assert_eq(result->done, 1);
	igt_assert_eq(result->error, ETIME);
	igt_assert_eq_u64(result->bytes, 0);

	/* The worker goes on, and the VM can be used again. */
	close(uffd);
	igt_devmem_poke(&d, p, VALUE);
	igt_assert_eq_u64(*p, VALUE);
	igt_devmem_anon_free(p, 2 * MIB);
	igt_devmem_shared_free(result, PAGE);
	igt_devmem_fini(&d);
	close(d.fd);
}

static void test_exited(void)
{
	struct drm_devmem_prefetch_result *result = igt_devmem_shared_alloc(PAGE);
	uint32_t *vm = igt_devmem_shared_alloc(PAGE);

	igt_fork(child, 1)
		vm[0] = igt_devmem_vm_create(d.fd, 0);
	igt_waitchildren();
	submit(*vm, d.result, PAGE, 0, result);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	igt_assert_eq(result->error, ESRCH);
	igt_devmem_vm_destroy(d.fd, *vm);
	igt_devmem_shared_free(vm, PAGE);
	igt_devmem_shared_free(result, PAGE);
}

static void test_close(void)
{
	uint64_t *p = igt_devmem_anon_alloc(16 * MIB);
	int i, fd;

	igt_devmem_cpu_fill(p, VALUE, 16 * MIB);
	for (i = 0; i < 10; i++) {
		struct drm_devmem_prefetch args = {
			.addr = (uintptr_t)p, .length = 16 * MIB,
			.location = i % 2 ? SYSTEM : DEVICE,
		};

		fd = igt_devmem_open();
		args.vm_id = igt_devmem_vm_create(fd, 0);
		igt_assert_eq(__igt_devmem_prefetch(fd, &args), 0);
		usleep(i * 1000);
		close(fd);
	}
	igt_devmem_expect_words(p, VALUE, 16 * MIB);
	igt_devmem_anon_free(p, 16 * MIB);
}

static const struct igt_devmem_subtest tests[] = {
	{ "invalid", "Errors are as documented", test_invalid },
	{ "invalid-result", "The result has to be writable", test_invalid_result },
	{ "to-device", "Prefetched memory is read without a fault", test_to_device },
	{ "to-device-write", "Prefetched memory is written without a fault", test_to_device_write },
	{ "write-read-only", "Prefetch gives no right", test_write_read_only },
	{ "untouched", "Untouched memory is zero on the device", test_untouched },
	{ "to-system", "Memory that was brought back is read without a fault", test_to_system },
	{ "part", "Only what was asked for moves", test_part },
	{ "holes", "What can move does", test_holes },
	{ "twice", "What is there is not moved again", test_twice },
	{ "in-place", "What is used in place moves when asked for", test_in_place },
	{ "no-migrate", "A VM that does not migrate maps", test_no_migrate },
	{ "wait-and-signal", "Syncobjs order prefetches and batches", test_wait_and_signal },
	{ "out-of-order", "A batch waits for all prefetches that it wants", test_out_of_order },
	{ "timeline", "Timeline points order prefetches", test_timeline },
	{ "cancel-vm-destroy", "A prefetch ends with its VM", test_cancel_vm_destroy },
	{ "limit", "A VM has so many prefetches", test_limit },
	{ "limit-process", "A process does not take all workers", test_limit_process },
	{ "exited", "A process that is gone has no memory", test_exited },
	{ "close", "Closing does not wait and leaves nothing", test_close },
};

int igt_main()
{
	igt_devmem_open_fixture(&d);
	igt_devmem_subtests(tests, ARRAY_SIZE(tests));
	igt_devmem_close_fixture(&d);

	/* With less time for a job than those above may need */
	igt_describe("The fence signals whatever the worker does");
	igt_subtest("stuck")
		test_stuck();
	igt_describe("More than fits ends well");
	igt_subtest("overcommit")
		test_overcommit();

	igt_fixture()
		igt_devmem_restore();
}
