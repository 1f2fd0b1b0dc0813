// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem basic
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: uAPI
 * Description: Opening the device, its parameters, every bad argument, and the module
 *
 * SUBTEST: version
 * Description: Name and version of the driver
 *
 * SUBTEST: nodes
 * Description: Primary and render node both give the whole interface
 *
 * SUBTEST: params
 * Description: Each parameter has a sensible value, on every open file the same
 *
 * SUBTEST: caps
 * Description: Syncobjs and timelines are there, dumb buffers and mode setting are not
 *
 * SUBTEST: unprivileged
 * Description: Who is not root can use the render node
 *
 * SUBTEST: open-close
 * Description: Opening and closing many times, with and without objects
 *
 * SUBTEST: invalid-%s
 * Description: Each bad argument of %arg[1] gives the error that is documented
 *
 * arg[1]:
 *
 * @ioctl:		the ioctl number
 * @get-param:		DRM_IOCTL_DEVMEM_GET_PARAM
 * @vm-create:		DRM_IOCTL_DEVMEM_VM_CREATE
 * @vm-destroy:		DRM_IOCTL_DEVMEM_VM_DESTROY
 * @queue-create:	DRM_IOCTL_DEVMEM_QUEUE_CREATE
 * @queue-destroy:	DRM_IOCTL_DEVMEM_QUEUE_DESTROY
 * @queue-query:	DRM_IOCTL_DEVMEM_QUEUE_QUERY
 * @exec:		DRM_IOCTL_DEVMEM_EXEC
 * @exec-sync:		struct drm_devmem_sync
 * @query-residency:	DRM_IOCTL_DEVMEM_QUERY_RESIDENCY
 * @query-stats:	DRM_IOCTL_DEVMEM_QUERY_STATS
 *
 * SUBTEST: ids-are-per-file
 * Description: Ids of one open file mean nothing to another
 *
 * SUBTEST: stats-size
 * Description: Statistics are read by clients that know fewer or more of them
 *
 * SUBTEST: vm-limit
 * Description: VMs run out, of a file with EMFILE and of the device with ENOSPC, and come back
 *
 * SUBTEST: queue-limit
 * Description: Queues run out, of a file with EMFILE and of the device with ENOSPC, and come back
 *
 * SUBTEST: vm-of-exited-process
 * Description: A VM outlives its process, and then nothing works on it
 *
 * SUBTEST: concurrent-ioctls
 * Description: Threads create, query and destroy on one file
 *
 * SUBTEST: unload-%s
 * Description: Unloading the module %arg[1]
 *
 * arg[1]:
 *
 * @idle:		works when nobody uses it, and loading it again does
 * @open:		is refused while a file is open
 * @live-pages:		brings memory back that is still on the device
 * @live-pages-child:	brings memory back that only a forked child has
 *
 * SUBTEST: no-device-memory
 * Description: Device memory that can't be registered costs one warning and nothing else
 *
 * SUBTEST: reload-%s
 * Description: Loading the module %arg[1]
 *
 * arg[1]:
 *
 * @vram-size:		with another size of device memory
 * @two-devices:	with two devices
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xf86drm.h>

#include "drmtest.h"
#include "igt_core.h"
#include "igt_debugfs.h"
#include "igt_syncobj.h"
#include "ioctl_wrappers.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("Opening the device, its parameters, every bad argument, and the module");

#define PAGE		4096ul
#define MIB		(1024ul * 1024)
#define PATTERN		0xa5a6a7a8a9aaabacull

/* An address that no process can use, and one that nothing is mapped at. */
#define BEYOND		0x8000000000000000ull
#define NOWHERE		64ull

static struct igt_devmem d;

static int try_ioctl(int fd, unsigned long request, void *arg)
{
	return igt_ioctl(fd, request, arg) ? -errno : 0;
}

/*
 * The device
 */
static void check_version(int fd)
{
	drmVersionPtr version = drmGetVersion(fd);

	igt_assert(version);
	igt_assert(!strcmp(version->name, "devmem"));
	igt_assert_eq(version->version_major, 1);
	igt_assert_lte(0, version->version_minor);
	igt_assert(strlen(version->desc));
	drmFreeVersion(version);
}

static void test_version(int fd)
{
	check_version(fd);
}

static void test_nodes(int fd)
{
	struct stat render, primary;
	int card = __drm_open_driver(DRIVER_ANY);

	igt_assert_fd(card);
	check_version(card);
	igt_assert_eq(fstat(fd, &render), 0);
	igt_assert_eq(fstat(card, &primary), 0);
	igt_assert_eq(major(render.st_rdev), 226);
	igt_assert_lte(128, minor(render.st_rdev));
	igt_assert_lt(minor(primary.st_rdev), 64);
	igt_assert_eq(drmGetNodeTypeFromFd(fd), DRM_NODE_RENDER);
	igt_assert_eq(drmGetNodeTypeFromFd(card), DRM_NODE_PRIMARY);

	igt_devmem_init(&d, card, 0);
	igt_devmem_poke(&d, d.result, 1);
	igt_assert_eq_u64(d.result[0], 1);
	igt_devmem_fini(&d);
	drm_close_driver(card);
}

static void test_params(int fd)
{
	uint64_t size = igt_devmem_get_param(fd, DRM_DEVMEM_PARAM_VRAM_SIZE);
	uint64_t chunks = igt_devmem_get_param(fd, DRM_DEVMEM_PARAM_CHUNK_SIZES);
	int other = drm_reopen_driver(fd);
	uint32_t param;

	igt_assert_lte_u64(8 * MIB, size);
	igt_assert_eq_u64(size % PAGE, 0);
	igt_assert_lt_u64(0, igt_devmem_get_param(fd, DRM_DEVMEM_PARAM_VRAM_FREE));
	igt_assert_lte_u64(igt_devmem_get_param(fd, DRM_DEVMEM_PARAM_VRAM_FREE), size);
	igt_assert_lte_u64(igt_devmem_get_param(fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY), 1);
	igt_assert_lte_u64(39, igt_devmem_get_param(fd, DRM_DEVMEM_PARAM_VA_BITS));
	igt_assert_lte_u64(igt_devmem_get_param(fd, DRM_DEVMEM_PARAM_VA_BITS), 64);
	igt_assert(chunks & PAGE);
	igt_assert_eq_u64(chunks & ~(PAGE | 64 * 1024 | 2 * MIB), 0);
	igt_assert_lte_u64(16, igt_devmem_get_param(fd, DRM_DEVMEM_PARAM_MAX_QUEUES));
	igt_assert_lt_u64(0, igt_devmem_get_param(fd, DRM_DEVMEM_PARAM_JOB_TIMEOUT_MS));

	for (param = 0; param <= DRM_DEVMEM_PARAM_PEER_GROUP; param++)
		igt_assert_eq_u64(igt_devmem_get_param(fd, param),
				  igt_devmem_get_param(other, param));
	drm_close_driver(other);
}

static void test_caps(int fd)
{
	uint64_t value = 0;

	igt_assert_eq(drmGetCap(fd, DRM_CAP_SYNCOBJ, &value), 0);
	igt_assert_eq_u64(value, 1);
	igt_assert_eq(drmGetCap(fd, DRM_CAP_SYNCOBJ_TIMELINE, &value), 0);
	igt_assert_eq_u64(value, 1);
	value = 0;
	igt_assert(drmGetCap(fd, DRM_CAP_DUMB_BUFFER, &value) || !value);
}

static void test_unprivileged(int fd)
{
	struct stat st;

	igt_assert_eq(fstat(fd, &st), 0);
	igt_fork(child, 1) {
		igt_assert_eq(setgid(65534), 0);
		igt_assert_eq(setuid(65534), 0);
		/* Which user may open the node is the distribution's choice. */
		igt_devmem_init(&d, fd, 0);
		igt_devmem_poke(&d, d.result, 5);
		igt_assert_eq_u64(d.result[0], 5);
		igt_devmem_fini(&d);
	}
	igt_waitchildren();
}

static void test_open_close(int fd)
{
	int i, other;

	for (i = 0; i < 50; i++) {
		other = drm_reopen_driver(fd);
		if (i % 2)
			igt_devmem_queue_create(other, igt_devmem_vm_create(other, 0));
		if (i % 3)
			igt_devmem_vm_create(other, DRM_DEVMEM_VM_NO_MIGRATE);
		drm_close_driver(other);
	}
}

/*
 * Bad arguments. Each case is a valid call but for one thing.
 */
#define EXPECT(fd, request, args, error) \
	igt_assert_eq(try_ioctl(fd, DRM_IOCTL_DEVMEM_ ## request, args), error)

static void test_invalid_ioctl(int fd)
{
	struct drm_devmem_get_param args = {};
	unsigned int nr;

	for (nr = DRM_DEVMEM_QUERY_FAULTS + 1; nr < DRM_COMMAND_END - DRM_COMMAND_BASE; nr++)
		igt_assert_eq(try_ioctl(fd, DRM_IOWR(DRM_COMMAND_BASE + nr,
						     struct drm_devmem_get_param), &args),
			      -EINVAL);
}

static void test_invalid_get_param(int fd)
{
	static const uint32_t params[] = {
		DRM_DEVMEM_PARAM_PEER_GROUP + 1, 0x80000000, 0xffffffff,
	};
	struct drm_devmem_get_param args;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(params); i++) {
		args = (struct drm_devmem_get_param){ .param = params[i] };
		EXPECT(fd, GET_PARAM, &args, -EINVAL);
	}
	args = (struct drm_devmem_get_param){ .pad = 1 };
	EXPECT(fd, GET_PARAM, &args, -EINVAL);
	EXPECT(fd, GET_PARAM, NULL, -EFAULT);
	EXPECT(fd, GET_PARAM, (void *)(uintptr_t)BEYOND, -EFAULT);
}

static void test_invalid_vm_create(int fd)
{
	struct drm_devmem_vm_create args;
	unsigned int bit;

	for (bit = 2; bit < 32; bit++) {
		args = (struct drm_devmem_vm_create){ .flags = 1u << bit };
		EXPECT(fd, VM_CREATE, &args, -EINVAL);
		args = (struct drm_devmem_vm_create){
			.flags = 1u << bit | DRM_DEVMEM_VM_NO_MIGRATE,
		};
		EXPECT(fd, VM_CREATE, &args, -EINVAL);
	}
	EXPECT(fd, VM_CREATE, NULL, -EFAULT);
}

static void test_invalid_vm_destroy(int fd)
{
	uint32_t vm = igt_devmem_vm_create(fd, 0), queue = igt_devmem_queue_create(fd, vm);
	struct drm_devmem_vm_destroy args = { .vm_id = vm, .pad = 1 };

	EXPECT(fd, VM_DESTROY, &args, -EINVAL);
	igt_assert_eq(__igt_devmem_vm_destroy(fd, vm), -EBUSY);
	igt_devmem_queue_destroy(fd, queue);
	igt_assert_eq(__igt_devmem_vm_destroy(fd, 0), -ENOENT);
	igt_assert_eq(__igt_devmem_vm_destroy(fd, vm + 1), -ENOENT);
	igt_assert_eq(__igt_devmem_vm_destroy(fd, ~0u), -ENOENT);
	igt_devmem_vm_destroy(fd, vm);
	igt_assert_eq(__igt_devmem_vm_destroy(fd, vm), -ENOENT);
	EXPECT(fd, VM_DESTROY, NULL, -EFAULT);
}

static void test_invalid_queue_create(int fd)
{
	uint32_t vm = igt_devmem_vm_create(fd, 0);
	const struct {
		struct drm_devmem_queue_create args;
		int error;
	} cases[] = {
		{ { .vm_id = 0 }, -ENOENT },
		{ { .vm_id = vm + 1 }, -ENOENT },
		{ { .vm_id = ~0u }, -ENOENT },
		{ { .vm_id = vm, .flags = 1 }, -EINVAL },
		{ { .vm_id = vm, .flags = 1u << 31 }, -EINVAL },
		{ { .vm_id = vm, .pad = 1 }, -EINVAL },
	};
	struct drm_devmem_queue_create args;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		args = cases[i].args;
		EXPECT(fd, QUEUE_CREATE, &args, cases[i].error);
	}
	EXPECT(fd, QUEUE_CREATE, NULL, -EFAULT);
	/* None of these left a queue behind. */
	igt_devmem_vm_destroy(fd, vm);
}

static void test_invalid_queue_destroy(int fd)
{
	uint32_t vm = igt_devmem_vm_create(fd, 0), queue = igt_devmem_queue_create(fd, vm);
	struct drm_devmem_queue_destroy args = { .queue_id = queue, .pad = 1 };

	EXPECT(fd, QUEUE_DESTROY, &args, -EINVAL);
	igt_assert_eq(__igt_devmem_queue_destroy(fd, 0), -ENOENT);
	igt_assert_eq(__igt_devmem_queue_destroy(fd, queue + 1), -ENOENT);
	igt_assert_eq(__igt_devmem_queue_destroy(fd, ~0u), -ENOENT);
	igt_devmem_queue_destroy(fd, queue);
	igt_assert_eq(__igt_devmem_queue_destroy(fd, queue), -ENOENT);
	EXPECT(fd, QUEUE_DESTROY, NULL, -EFAULT);
	igt_devmem_vm_destroy(fd, vm);
}

static void test_invalid_queue_query(int fd)
{
	uint32_t vm = igt_devmem_vm_create(fd, 0), queue = igt_devmem_queue_create(fd, vm);
	struct drm_devmem_queue_query args = { .queue_id = queue, .pad = 1 };

	EXPECT(fd, QUEUE_QUERY, &args, -EINVAL);
	igt_assert_eq(__igt_devmem_queue_query(fd, 0, &args), -ENOENT);
	igt_assert_eq(__igt_devmem_queue_query(fd, queue + 1, &args), -ENOENT);
	igt_assert_eq(__igt_devmem_queue_query(fd, ~0u, &args), -ENOENT);
	EXPECT(fd, QUEUE_QUERY, NULL, -EFAULT);
	igt_devmem_queue_destroy(fd, queue);
	igt_assert_eq(__igt_devmem_queue_query(fd, queue, &args), -ENOENT);
	igt_devmem_vm_destroy(fd, vm);
}

/* Nothing of what was refused may have been executed. */
static void expect_nothing_ran(struct igt_devmem *dev)
{
	igt_devmem_poke(dev, dev->result + 1, 1);
	igt_assert_eq_u64(dev->result[0], 0);
	igt_assert_eq(igt_devmem_queue_query(dev->fd, dev->queue).errors, 0);
}

static void test_invalid_exec(int fd)
{
	struct drm_devmem_sync sync = {};
	struct drm_devmem_exec good, args;
	uint64_t batch;
	unsigned int i;

	igt_devmem_init(&d, fd, 0);
	igt_devmem_store(&d.batch, d.result, 1, 8);
	igt_devmem_end(&d.batch);
	batch = (uintptr_t)d.batch.cmds;
	good = (struct drm_devmem_exec){ .queue_id = d.queue, .batch_addr = batch };

	const struct {
		struct drm_devmem_exec args;
		int error;
	} cases[] = {
		{ { .queue_id = 0, .batch_addr = batch }, -ENOENT },
		{ { .queue_id = d.queue + 1, .batch_addr = batch }, -ENOENT },
		{ { .queue_id = ~0u, .batch_addr = batch }, -ENOENT },
		{ { .queue_id = d.queue, .batch_addr = batch, .flags = 1 }, -EINVAL },
		{ { .queue_id = d.queue, .batch_addr = batch, .flags = 1u << 31 }, -EINVAL },
		{ { .queue_id = d.queue, .batch_addr = batch, .pad = 1 }, -EINVAL },
		{ { .queue_id = d.queue, .batch_addr = BEYOND }, -EINVAL },
		{ { .queue_id = d.queue, .batch_addr = -32ull }, -EINVAL },
		{ { .queue_id = d.queue, .batch_addr = batch, .num_syncs = 1 }, -EFAULT },
		{ { .queue_id = d.queue, .batch_addr = batch, .num_syncs = 1,
		    .syncs = NOWHERE }, -EFAULT },
		{ { .queue_id = d.queue, .batch_addr = batch, .num_syncs = 1,
		    .syncs = BEYOND }, -EFAULT },
		{ { .queue_id = d.queue, .batch_addr = batch,
		    .num_syncs = DRM_DEVMEM_MAX_SYNCS + 1, .syncs = (uintptr_t)&sync }, -EINVAL },
		{ { .queue_id = d.queue, .batch_addr = batch, .num_syncs = ~0u,
		    .syncs = (uintptr_t)&sync }, -EINVAL },
	};

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		args = cases[i].args;
		EXPECT(fd, EXEC, &args, cases[i].error);
	}
	for (i = 1; i < DRM_DEVMEM_CMD_SIZE; i++) {
		args = good;
		args.batch_addr += i;
		EXPECT(fd, EXEC, &args, -EINVAL);
	}
	EXPECT(fd, EXEC, NULL, -EFAULT);

	d.batch.count = 0;
	expect_nothing_ran(&d);
	igt_devmem_fini(&d);
}

static void test_invalid_exec_sync(int fd)
{
	uint32_t empty, signalled;
	uint64_t fence = 0;
	unsigned int i;

	igt_devmem_init(&d, fd, 0);
	fence = (uintptr_t)&d.result[8];
	empty = syncobj_create(fd, 0);
	signalled = syncobj_create(fd, DRM_SYNCOBJ_CREATE_SIGNALED);

	const struct {
		struct drm_devmem_sync sync;
		int error;
	} cases[] = {
		{ { .type = 3, .handle = signalled }, -EINVAL },
		{ { .type = ~0u, .handle = signalled }, -EINVAL },
		{ { .flags = 2, .handle = signalled }, -EINVAL },
		{ { .flags = 1u << 31, .handle = signalled }, -EINVAL },
		{ { .pad = 1, .handle = signalled }, -EINVAL },
		/* binary */
		{ { .handle = 0 }, -ENOENT },
		{ { .handle = 0xfffff }, -ENOENT },
		{ { .handle = 0xfffff, .flags = 1 }, -ENOENT },
		{ { .handle = empty }, -EINVAL },
		{ { .handle = signalled, .value = 1 }, -EINVAL },
		{ { .handle = signalled, .addr = fence }, -EINVAL },
		{ { .handle = signalled, .flags = 1, .value = 1 }, -EINVAL },
		{ { .handle = signalled, .flags = 1, .addr = fence }, -EINVAL },
		/* timeline */
		{ { .type = 1, .handle = 0, .value = 1 }, -ENOENT },
		{ { .type = 1, .handle = 0xfffff, .flags = 1, .value = 1 }, -ENOENT },
		{ { .type = 1, .handle = empty, .value = 1 }, -EINVAL },
		{ { .type = 1, .handle = empty, .value = 0 }, -EINVAL },
		{ { .type = 1, .handle = empty, .flags = 1, .value = 0 }, -EINVAL },
		{ { .type = 1, .handle = empty, .flags = 1, .value = 1, .addr = fence }, -EINVAL },
		/* user fence */
		{ { .type = 2, .addr = fence }, -EINVAL },
		{ { .type = 2, .flags = 1, .addr = fence, .handle = signalled }, -EINVAL },
		{ { .type = 2, .flags = 1, .addr = 0 }, -EINVAL },
		{ { .type = 2, .flags = 1, .addr = fence + 4 }, -EINVAL },
		{ { .type = 2, .flags = 1, .addr = fence + 1 }, -EINVAL },
		{ { .type = 2, .flags = 1, .addr = BEYOND }, -EINVAL },
		{ { .type = 2, .flags = 1, .addr = -8ull }, -EINVAL },
	};

	igt_devmem_store(&d.batch, d.result, 1, 8);
	igt_devmem_end(&d.batch);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct drm_devmem_sync syncs[2] = { { .handle = signalled }, cases[i].sync };

		igt_debug("sync %u\n", i);
		igt_assert_eq(__igt_devmem_exec(fd, d.queue, d.batch.cmds, &syncs[1], 1),
			      cases[i].error);
		igt_assert_eq(__igt_devmem_exec(fd, d.queue, d.batch.cmds, syncs, 2),
			      cases[i].error);
	}

	struct drm_devmem_sync two[2] = {
		{ .type = 2, .flags = 1, .addr = fence }, { .type = 2, .flags = 1, .addr = fence },
	};

	igt_assert_eq(__igt_devmem_exec(fd, d.queue, d.batch.cmds, two, 2), -EINVAL);

	/* A refused exec signals nothing. */
	igt_assert(!syncobj_wait(fd, &empty, 1, 0, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, NULL));
	d.batch.count = 0;
	expect_nothing_ran(&d);
	syncobj_destroy(fd, empty);
	syncobj_destroy(fd, signalled);
	igt_devmem_fini(&d);
}

static void test_invalid_query_residency(int fd)
{
	uint32_t vm = igt_devmem_vm_create(fd, 0);
	static uint8_t pages[16];
	const uint64_t data = (uintptr_t)pages, addr = 0x10000;
	const struct {
		struct drm_devmem_query_residency args;
		int error;
	} cases[] = {
		{ { 0, 0, addr, PAGE, data }, -ENOENT },
		{ { vm + 1, 0, addr, PAGE, data }, -ENOENT },
		{ { vm, 1, addr, PAGE, data }, -EINVAL },
		{ { vm, 1u << 31, addr, PAGE, data }, -EINVAL },
		{ { vm, 0, addr + 1, PAGE, data }, -EINVAL },
		{ { vm, 0, addr + PAGE / 2, PAGE, data }, -EINVAL },
		{ { vm, 0, addr, 0, data }, -EINVAL },
		{ { vm, 0, addr, PAGE - 1, data }, -EINVAL },
		{ { vm, 0, addr, 1, data }, -EINVAL },
		{ { vm, 0, BEYOND, PAGE, data }, -EINVAL },
		{ { vm, 0, -PAGE, PAGE, data }, -EINVAL },
		{ { vm, 0, -PAGE, 2 * PAGE, data }, -EINVAL },
		{ { vm, 0, addr, -PAGE, data }, -EINVAL },
		{ { vm, 0, addr, -addr, data }, -EINVAL },
		{ { vm, 0, addr, (1ul << 30) + PAGE, data }, -E2BIG },
		{ { vm, 0, addr, 1ul << 40, data }, -E2BIG },
		{ { vm, 0, addr, PAGE, 0 }, -EFAULT },
		{ { vm, 0, addr, PAGE, NOWHERE }, -EFAULT },
		{ { vm, 0, addr, PAGE, BEYOND }, -EFAULT },
	};
	struct drm_devmem_query_residency args;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		igt_debug("case %u\n", i);
		args = cases[i].args;
		EXPECT(fd, QUERY_RESIDENCY, &args, cases[i].error);
	}
	EXPECT(fd, QUERY_RESIDENCY, NULL, -EFAULT);

	/* Nothing is there, and that is no error; one byte for each page, no more. */
	pages[2] = 0xee;
	igt_assert_eq(__igt_devmem_residency(fd, vm, (void *)addr, 2 * PAGE, pages), 0);
	igt_assert_eq(pages[0], DRM_DEVMEM_LOCATION_NONE);
	igt_assert_eq(pages[1], DRM_DEVMEM_LOCATION_NONE);
	igt_assert_eq(pages[2], 0xee);
	igt_devmem_vm_destroy(fd, vm);
}

static void test_invalid_query_stats(int fd)
{
	uint32_t vm = igt_devmem_vm_create(fd, 0);
	struct drm_devmem_stats stats;
	const uint64_t data = (uintptr_t)&stats;
	const struct {
		struct drm_devmem_query_stats args;
		int error;
	} cases[] = {
		{ { 0, sizeof(stats), data }, -ENOENT },
		{ { vm + 1, sizeof(stats), data }, -ENOENT },
		{ { ~0u, sizeof(stats), data }, -ENOENT },
		{ { vm, 0, data }, -EINVAL },
		{ { vm, sizeof(stats), 0 }, -EFAULT },
		{ { vm, sizeof(stats), NOWHERE }, -EFAULT },
		{ { vm, sizeof(stats), BEYOND }, -EFAULT },
	};
	struct drm_devmem_query_stats args;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		args = cases[i].args;
		EXPECT(fd, QUERY_STATS, &args, cases[i].error);
	}
	EXPECT(fd, QUERY_STATS, NULL, -EFAULT);
	igt_devmem_vm_destroy(fd, vm);
}

static void test_ids_are_per_file(int fd)
{
	int other = drm_reopen_driver(fd);
	uint32_t vm, queue, tmp;
	struct drm_devmem_queue_query query;
	struct drm_devmem_stats stats;
	struct drm_devmem_query_stats args = {
		.size = sizeof(stats), .data = (uintptr_t)&stats,
	};
	uint8_t page;

	vm = igt_devmem_vm_create(other, 0);
	queue = igt_devmem_queue_create(other, vm);
	igt_assert_eq(__igt_devmem_queue_create(fd, vm, &tmp), -ENOENT);
	igt_assert_eq(__igt_devmem_vm_destroy(fd, vm), -ENOENT);
	igt_assert_eq(__igt_devmem_residency(fd, vm, (void *)0x10000, PAGE, &page), -ENOENT);
	args.vm_id = vm;
	EXPECT(fd, QUERY_STATS, &args, -ENOENT);
	igt_assert_eq(__igt_devmem_queue_query(fd, queue, &query), -ENOENT);
	igt_assert_eq(__igt_devmem_exec(fd, queue, (void *)0x10000, NULL, 0), -ENOENT);
	igt_assert_eq(__igt_devmem_queue_destroy(fd, queue), -ENOENT);
	igt_devmem_queue_destroy(other, queue);
	igt_devmem_vm_destroy(other, vm);
	drm_close_driver(other);
}

static void test_stats_size(int fd)
{
	uint32_t vm = igt_devmem_vm_create(fd, 0);
	uint64_t space[64];
	struct drm_devmem_query_stats args = { .vm_id = vm, .data = (uintptr_t)space };

	memset(space, 0xee, sizeof(space));
	args.size = 12;
	EXPECT(fd, QUERY_STATS, &args, 0);
	igt_assert_lte(sizeof(struct drm_devmem_stats), args.size);
	igt_assert_eq_u64(space[0], 0);
	igt_assert_eq_u64(space[1], 0xeeeeeeee00000000ull);
	igt_assert_eq_u64(space[2], 0xeeeeeeeeeeeeeeeeull);

	memset(space, 0xee, sizeof(space));
	args.size = sizeof(space);
	EXPECT(fd, QUERY_STATS, &args, 0);
	igt_devmem_expect_words(space, 0, args.size);
	igt_devmem_expect_words(space + args.size / 8, 0xeeeeeeeeeeeeeeeeull,
				sizeof(space) - args.size);
	igt_devmem_vm_destroy(fd, vm);
}

/*
 * Limits
 */
/* As many as there can be; @error is the end of it. */
static unsigned int create_vms(int fd, int error)
{
	unsigned int count = 0;
	uint32_t vm;
	int err;

	while (!(err = __igt_devmem_vm_create(fd, 0, &vm)))
		igt_assert_lt(count++, 100000);
	igt_assert_eq(err, error);
	return count;
}

/* One client can have half of all, two can use up what there is. */
static void test_vm_limit(int fd)
{
	int one = drm_reopen_driver(fd), two = drm_reopen_driver(fd);
	unsigned int first = create_vms(one, -EMFILE), second;

	igt_info("%u VMs\n", first);
	igt_assert_lte(8, first);
	/* VMID 0 and VMs of files that are still being closed are missing. */
	second = create_vms(two, -ENOSPC);
	igt_assert_lte(first / 2, second);
	igt_assert_lt(second, first);
	drm_close_driver(one);
	drm_close_driver(two);
	two = drm_reopen_driver(fd);
	igt_assert_eq(create_vms(two, -EMFILE), first);
	drm_close_driver(two);
}

static unsigned int create_queues(int fd, uint32_t *latest, int error)
{
	uint32_t vm = igt_devmem_vm_create(fd, 0), queue;
	unsigned int count = 0;
	int err;

	while (!(err = __igt_devmem_queue_create(fd, vm, &queue))) {
		igt_assert_lt(count++, 100000);
		*latest = queue;
	}
	igt_assert_eq(err, error);
	return count;
}

static void test_queue_limit(int fd)
{
	uint64_t max = igt_devmem_get_param(fd, DRM_DEVMEM_PARAM_MAX_QUEUES);
	int one = drm_reopen_driver(fd), two = drm_reopen_driver(fd);
	int third = drm_reopen_driver(fd);
	struct drm_devmem_queue_query query;
	uint32_t queue, again, vm;

	vm = igt_devmem_vm_create(third, 0);
	igt_assert_eq_u64(create_queues(one, &queue, -EMFILE), max / 2);
	/* That was not all there are: others are served. */
	igt_devmem_queue_destroy(third, igt_devmem_queue_create(third, vm));
	igt_assert_eq_u64(create_queues(two, &again, -ENOSPC), max - max / 2);
	igt_assert_eq(__igt_devmem_queue_create(third, vm, &again), -ENOSPC);
	igt_devmem_queue_destroy(one, queue);
	igt_assert_eq(__igt_devmem_queue_query(one, queue, &query), -ENOENT);
	igt_devmem_queue_destroy(third, igt_devmem_queue_create(third, vm));
	drm_close_driver(one);
	drm_close_driver(two);
	igt_assert_eq_u64(create_queues(third, &queue, -EMFILE), max / 2);
	drm_close_driver(third);
}

static void test_vm_of_exited_process(int fd)
{
	uint32_t *ids = igt_devmem_shared_alloc(PAGE);
	struct drm_devmem_queue_query query;
	struct drm_devmem_sync sync;
	uint8_t page;
	int i;

	/* Its address space goes a moment after the process was waited for. */
	igt_fork(child, 1) {
		igt_devmem_init(&d, fd, 0);
		igt_devmem_poke(&d, d.result, 1);
		ids[0] = d.vm;
		ids[1] = d.queue;
		ids[2] = d.syncobj;
	}
	igt_waitchildren();

	for (i = 0; i < 200; i++) {
		if (__igt_devmem_residency(fd, ids[0], ids, PAGE, &page) == -ESRCH)
			break;
		usleep(10000);
	}
	igt_assert_eq(__igt_devmem_residency(fd, ids[0], ids, PAGE, &page), -ESRCH);

	igt_devmem_stats(fd, ids[0]);
	sync = (struct drm_devmem_sync){ .flags = DRM_DEVMEM_SYNC_SIGNAL, .handle = ids[2] };
	syncobj_reset(fd, &ids[2], 1);
	igt_devmem_exec(fd, ids[1], ids, &sync, 1);
	igt_assert(syncobj_wait(fd, &ids[2], 1, igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS), 0,
				NULL));
	query = igt_devmem_queue_query(fd, ids[1]);
	igt_assert_eq(query.errors, 1);
	igt_assert_eq(query.error, DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq(query.access, DRM_DEVMEM_ACCESS_FETCH);

	syncobj_destroy(fd, ids[2]);
	igt_devmem_queue_destroy(fd, ids[1]);
	igt_devmem_vm_destroy(fd, ids[0]);
	igt_devmem_shared_free(ids, PAGE);
}

/* Each of these may find its object gone; all that counts is that nothing breaks. */
static void *hammer(void *arg)
{
	int fd = *(int *)arg, i;
	struct drm_devmem_queue_query query;
	uint32_t vm, queue, id;
	uint8_t page;

	for (i = 0; i < 60; i++) {
		if (__igt_devmem_vm_create(fd, 0, &vm))
			continue;
		if (!__igt_devmem_queue_create(fd, vm, &queue))
			__igt_devmem_exec(fd, queue, (void *)0x10000, NULL, 0);
		for (id = 1; id < 6; id++) {
			__igt_devmem_queue_query(fd, id, &query);
			__igt_devmem_residency(fd, id, (void *)0x10000, PAGE, &page);
			__igt_devmem_queue_destroy(fd, id);
			__igt_devmem_vm_destroy(fd, id);
		}
	}
	return NULL;
}

static void test_concurrent_ioctls(int fd)
{
	int other = drm_reopen_driver(fd);
	pthread_t threads[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(threads); i++)
		igt_assert_eq(pthread_create(&threads[i], NULL, hammer, &other), 0);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		igt_assert_eq(pthread_join(threads[i], NULL), 0);
	drm_close_driver(other);

	igt_devmem_init(&d, fd, 0);
	igt_devmem_poke(&d, d.result, 1);
	igt_assert_eq_u64(d.result[0], 1);
	igt_devmem_fini(&d);
}

/*
 * The module
 */
static void check_works(void)
{
	int fd = igt_devmem_open();
	uint64_t *p = igt_devmem_anon_alloc(PAGE);

	igt_devmem_init(&d, fd, 0);
	igt_devmem_poke(&d, p, PATTERN);
	igt_assert_eq_u64(p[0], PATTERN);
	igt_devmem_fini(&d);
	drm_close_driver(fd);
	igt_devmem_anon_free(p, PAGE);
}

static void test_unload_idle(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		igt_devmem_reload("");
		check_works();
	}
	igt_devmem_restore();
	check_works();
}

static void test_unload_open(void)
{
	int fd = igt_devmem_open();

	igt_assert_eq(igt_devmem_unload_once(), -EAGAIN);
	check_works();
	igt_devmem_vm_create(fd, 0);
	igt_assert_eq(igt_devmem_unload_once(), -EAGAIN);
	drm_close_driver(fd);
}

static void test_unload_live_pages(void)
{
	const size_t size = 8 * MIB;
	char *p = igt_devmem_anon_alloc(size);

	igt_devmem_init(&d, igt_devmem_open(), 0);
	igt_require(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY));
	igt_devmem_set(&d, p, PATTERN, size);
	igt_devmem_fini(&d);
	drm_close_driver(d.fd);

	igt_devmem_reload("");
	igt_devmem_expect_words(p, PATTERN, size);
	igt_devmem_anon_free(p, size);
	igt_devmem_restore();
	check_works();
}

static void test_unload_live_pages_child(void)
{
	const size_t size = 8 * MIB;
	uint32_t *turn = igt_devmem_shared_alloc(PAGE);
	char *p = igt_devmem_anon_alloc(size);

	igt_devmem_init(&d, igt_devmem_open(), 0);
	igt_require(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY));
	igt_devmem_set(&d, p, PATTERN, size);
	igt_fork(child, 1) {
		close(d.fd);
		igt_devmem_set_turn(turn, 1);
		igt_devmem_wait_turn(turn, 2);
		igt_devmem_expect_words(p, PATTERN, size);
	}
	igt_devmem_wait_turn(turn, 1);
	igt_devmem_fini(&d);
	drm_close_driver(d.fd);
	igt_devmem_anon_free(p, size);

	igt_devmem_reload("");
	igt_devmem_set_turn(turn, 2);
	igt_waitchildren();
	igt_devmem_shared_free(turn, PAGE);
	igt_devmem_restore();
	check_works();
}

static void test_reload_vram_size(void)
{
	static const unsigned int sizes[] = { 8, 33, 128 };
	char options[64];
	unsigned int i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		snprintf(options, sizeof(options), "vram_size=%u", sizes[i]);
		igt_devmem_reload(options);
		fd = igt_devmem_open();
		igt_assert_eq_u64(igt_devmem_get_param(fd, DRM_DEVMEM_PARAM_VRAM_SIZE),
				  sizes[i] * MIB);
		drm_close_driver(fd);
		check_works();
	}
	igt_devmem_restore();
}

static void test_reload_two_devices(void)
{
	uint64_t *p = igt_devmem_anon_alloc(PAGE);
	struct igt_devmem devices[2];
	int i;

	igt_devmem_reload("num_devices=2 vram_size=16");
	for (i = 0; i < 2; i++)
		igt_devmem_init(&devices[i], __drm_open_driver_another(i, DRIVER_ANY), 0);

	/* Memory goes from one device to the other, by way of the system or not. */
	for (i = 0; i < 10; i++) {
		igt_devmem_atomic(&devices[i % 2].batch, DRM_DEVMEM_ATOMIC_ADD, 0, p, 1, 8);
		igt_devmem_run(&devices[i % 2]);
	}
	igt_assert_eq_u64(p[0], 10);
	for (i = 0; i < 2; i++) {
		igt_devmem_fini(&devices[i]);
		drm_close_driver(devices[i].fd);
	}
	igt_devmem_anon_free(p, PAGE);
	igt_devmem_restore();
}

/* More than all of the window for device-private pages can describe */
#define IMPOSSIBLE_VRAM	"vram_size=134217728"
#define NO_MEMORY_TEXT	"no device memory, SVM is limited to system memory"

/* Warnings of the driver about its memory, since the last read of @log. */
static int count_warnings(int log)
{
	char record[1024];
	int count = 0;

	while (igt_devmem_log_next(log, record, sizeof(record)))
		if (strstr(record, "[drm]") && strstr(record, NO_MEMORY_TEXT) &&
		    (atoi(record) & 7) == 4)
			count++;
	return count;
}

static void check_state_is(int fd, const char *line)
{
	int file = igt_debugfs_open(fd, "state", O_RDONLY);
	char text[1024] = {};

	igt_assert_fd(file);
	igt_assert_lt(0, read(file, text, sizeof(text) - 1));
	close(file);
	igt_assert_f(strstr(text, line), "no '%s' in:\n%s", line, text);
}

/* All kinds of access, a fork and an unmap, in system memory. */
static void use_system_memory(void)
{
	const size_t size = 2 * MIB + 16 * PAGE;
	uint64_t *p = igt_devmem_anon_alloc(size);
	struct drm_devmem_stats stats;

	memset(p, 1, size / 2);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 0x0101010101010101ull);
	igt_devmem_fill(&d.batch, p, PATTERN, 8, size);
	igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, p, 1, 8);
	igt_devmem_run(&d);
	igt_assert(igt_devmem_in_place(&d, p, size));
	igt_assert_eq_u64(p[0], PATTERN + 1);
	igt_devmem_expect_words(p + 1, PATTERN, size - 8);

	igt_fork(child, 1)
		memset(p, 2, size);
	igt_waitchildren();
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 1), PATTERN);
	p[1] = 3;
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 1), 3);

	igt_assert_eq(munmap(p, PAGE), 0);
	igt_devmem_load(&d.batch, 1, p, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + PAGE / 8), PATTERN);
	igt_assert(igt_devmem_in_place(&d, p + PAGE / 8, PAGE));

	stats = igt_devmem_stats(d.fd, d.vm);
	igt_assert_eq_u64(stats.to_device_bytes, 0);
	igt_assert_eq_u64(stats.to_device_failed, 0);
	igt_assert_eq_u64(stats.cpu_faults, 0);
	igt_devmem_anon_free(p, size);
}

static void test_no_device_memory(void)
{
	int log = igt_devmem_log_open(), i;

	igt_emit_ignore_dmesg_regex(NO_MEMORY_TEXT);
	igt_devmem_reload(IMPOSSIBLE_VRAM);

	for (i = 0; i < 2; i++) {
		igt_devmem_init(&d, igt_devmem_open(), i ? DRM_DEVMEM_VM_NO_MIGRATE : 0);
		igt_assert_eq_u64(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY),
				  0);
		check_state_is(d.fd, "device memory: none\n");
		use_system_memory();
		igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
		igt_devmem_fini(&d);
		drm_close_driver(d.fd);
	}
	igt_assert_eq(count_warnings(log), 1);

	/* The module goes, and the next one has its memory again. */
	igt_devmem_restore();
	igt_assert_eq(count_warnings(log), 0);
	close(log);
	d.fd = igt_devmem_open();
	igt_assert_eq_u64(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY), 1);
	check_state_is(d.fd, "device memory: registered\n");
	drm_close_driver(d.fd);
	check_works();
}

static const struct {
	const char *name;
	const char *describe;
	void (*test)(int fd);
} tests[] = {
	{ "version", "The driver tells its name and version", test_version },
	{ "nodes", "Both nodes give the whole interface", test_nodes },
	{ "params", "Parameters have sensible values", test_params },
	{ "caps", "The device offers what it has and nothing else", test_caps },
	{ "unprivileged", "Rendering needs no privilege", test_unprivileged },
	{ "open-close", "Opening and closing leaves nothing behind", test_open_close },
	{ "invalid-ioctl", "There are no undocumented ioctls", test_invalid_ioctl },
	{ "invalid-get-param", "Errors are as documented", test_invalid_get_param },
	{ "invalid-vm-create", "Errors are as documented", test_invalid_vm_create },
	{ "invalid-vm-destroy", "Errors are as documented", test_invalid_vm_destroy },
	{ "invalid-queue-create", "Errors are as documented", test_invalid_queue_create },
	{ "invalid-queue-destroy", "Errors are as documented", test_invalid_queue_destroy },
	{ "invalid-queue-query", "Errors are as documented", test_invalid_queue_query },
	{ "invalid-exec", "Errors are as documented", test_invalid_exec },
	{ "invalid-exec-sync", "Errors are as documented", test_invalid_exec_sync },
	{ "invalid-query-residency", "Errors are as documented", test_invalid_query_residency },
	{ "invalid-query-stats", "Errors are as documented", test_invalid_query_stats },
	{ "ids-are-per-file", "Nobody can name the objects of others", test_ids_are_per_file },
	{ "stats-size", "The statistics can grow", test_stats_size },
	{ "vm-limit", "Running out of VMs is an error that passes", test_vm_limit },
	{ "queue-limit", "Running out of queues is an error that passes", test_queue_limit },
	{ "vm-of-exited-process", "A VM of nobody is harmless", test_vm_of_exited_process },
	{ "concurrent-ioctls", "Threads may use one file", test_concurrent_ioctls },
};

/* The device must not be open while these run. */
static const struct igt_devmem_subtest module_tests[] = {
	{ "unload-idle", "The module can be unloaded and loaded", test_unload_idle },
	{ "unload-open", "An open file keeps the module", test_unload_open },
	{ "unload-live-pages", "Memory on the device comes back before it goes",
	  test_unload_live_pages },
	{ "unload-live-pages-child", "That holds for forked children too",
	  test_unload_live_pages_child },
	{ "reload-vram-size", "The size of device memory is a parameter", test_reload_vram_size },
	{ "no-device-memory", "Without device memory all is done in system memory",
	  test_no_device_memory },
	{ "reload-two-devices", "The number of devices is a parameter", test_reload_two_devices },
};

static void run(void (*test)(int fd))
{
	int fd = igt_devmem_open();

	test(fd);
	drm_close_driver(fd);
}

int igt_main()
{
	unsigned int i = 0;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		igt_describe(tests[i].describe);
		igt_subtest(tests[i].name)
			run(tests[i].test);
	}

	igt_devmem_subtests(module_tests, ARRAY_SIZE(module_tests));

	igt_fixture()
		igt_devmem_restore();
}
