// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/devmem_drm.h>
#include <kunit/test.h>
#include <linux/ioctl.h>
#include <linux/stddef.h>

#include "../gpu/gpu_regs.h"

/*
 * The numbers below are the ABI and never change. With them programs of 32 and
 * of 64 bits agree on the layout: each field starts where the one before ends,
 * and the last one ends with the structure, so no compiler pads anything.
 */

#define DEVMEM_UAPI_SIZE(test, type, size) \
	KUNIT_EXPECT_EQ(test, sizeof(struct type), size)

#define DEVMEM_UAPI_FIELD(test, type, field, offset) \
	KUNIT_EXPECT_EQ(test, offsetof(struct type, field), offset)

static void devmem_uapi_test_objects(struct kunit *test)
{
	DEVMEM_UAPI_SIZE(test, drm_devmem_get_param, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_get_param, param, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_get_param, pad, 4);
	DEVMEM_UAPI_FIELD(test, drm_devmem_get_param, value, 8);

	DEVMEM_UAPI_SIZE(test, drm_devmem_vm_create, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_vm_create, flags, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_vm_create, vm_id, 4);

	DEVMEM_UAPI_SIZE(test, drm_devmem_vm_destroy, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_vm_destroy, vm_id, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_vm_destroy, pad, 4);

	DEVMEM_UAPI_SIZE(test, drm_devmem_queue_create, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_queue_create, vm_id, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_queue_create, flags, 4);
	DEVMEM_UAPI_FIELD(test, drm_devmem_queue_create, queue_id, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_queue_create, pad, 12);

	DEVMEM_UAPI_SIZE(test, drm_devmem_queue_destroy, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_queue_destroy, queue_id, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_queue_destroy, pad, 4);
}

static void devmem_uapi_test_exec(struct kunit *test)
{
	DEVMEM_UAPI_SIZE(test, drm_devmem_exec, 32);
	DEVMEM_UAPI_FIELD(test, drm_devmem_exec, queue_id, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_exec, flags, 4);
	DEVMEM_UAPI_FIELD(test, drm_devmem_exec, batch_addr, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_exec, syncs, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_exec, num_syncs, 24);
	DEVMEM_UAPI_FIELD(test, drm_devmem_exec, pad, 28);

	DEVMEM_UAPI_SIZE(test, drm_devmem_sync, 32);
	DEVMEM_UAPI_FIELD(test, drm_devmem_sync, type, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_sync, flags, 4);
	DEVMEM_UAPI_FIELD(test, drm_devmem_sync, handle, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_sync, pad, 12);
	DEVMEM_UAPI_FIELD(test, drm_devmem_sync, addr, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_sync, value, 24);
}

static void devmem_uapi_test_queries(struct kunit *test)
{
	DEVMEM_UAPI_SIZE(test, drm_devmem_queue_query, 40);
	DEVMEM_UAPI_FIELD(test, drm_devmem_queue_query, queue_id, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_queue_query, flags, 4);
	DEVMEM_UAPI_FIELD(test, drm_devmem_queue_query, errors, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_queue_query, error, 12);
	DEVMEM_UAPI_FIELD(test, drm_devmem_queue_query, access, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_queue_query, pad, 20);
	DEVMEM_UAPI_FIELD(test, drm_devmem_queue_query, fault_addr, 24);
	DEVMEM_UAPI_FIELD(test, drm_devmem_queue_query, command_addr, 32);

	DEVMEM_UAPI_SIZE(test, drm_devmem_query_residency, 32);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_residency, vm_id, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_residency, flags, 4);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_residency, addr, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_residency, length, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_residency, data, 24);

	DEVMEM_UAPI_SIZE(test, drm_devmem_query_stats, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_stats, vm_id, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_stats, size, 4);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_stats, data, 8);

	/* Grows at its end only */
	KUNIT_EXPECT_GE(test, sizeof(struct drm_devmem_stats), 96);
	DEVMEM_UAPI_FIELD(test, drm_devmem_stats, gpu_faults, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_stats, fault_ns, 88);
	DEVMEM_UAPI_FIELD(test, drm_devmem_stats, bounces, 96);
	DEVMEM_UAPI_FIELD(test, drm_devmem_stats, pins, 104);
	DEVMEM_UAPI_FIELD(test, drm_devmem_stats, gpu_faults_merged, 112);
	DEVMEM_UAPI_FIELD(test, drm_devmem_stats, to_peer_bytes, 120);
	DEVMEM_UAPI_FIELD(test, drm_devmem_stats, promotions, 128);
	DEVMEM_UAPI_FIELD(test, drm_devmem_stats, access_scans, 136);
}

static void devmem_uapi_test_prefetch(struct kunit *test)
{
	DEVMEM_UAPI_SIZE(test, drm_devmem_prefetch, 48);
	DEVMEM_UAPI_FIELD(test, drm_devmem_prefetch, vm_id, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_prefetch, flags, 4);
	DEVMEM_UAPI_FIELD(test, drm_devmem_prefetch, addr, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_prefetch, length, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_prefetch, location, 24);
	DEVMEM_UAPI_FIELD(test, drm_devmem_prefetch, num_syncs, 28);
	DEVMEM_UAPI_FIELD(test, drm_devmem_prefetch, syncs, 32);
	DEVMEM_UAPI_FIELD(test, drm_devmem_prefetch, result, 40);

	DEVMEM_UAPI_SIZE(test, drm_devmem_prefetch_result, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_prefetch_result, bytes, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_prefetch_result, error, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_prefetch_result, done, 12);
}

static void devmem_uapi_test_madvise(struct kunit *test)
{
	DEVMEM_UAPI_SIZE(test, drm_devmem_madvise, 40);
	DEVMEM_UAPI_FIELD(test, drm_devmem_madvise, vm_id, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_madvise, flags, 4);
	DEVMEM_UAPI_FIELD(test, drm_devmem_madvise, addr, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_madvise, length, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_madvise, attr, 24);
	DEVMEM_UAPI_FIELD(test, drm_devmem_madvise, value, 28);
	DEVMEM_UAPI_FIELD(test, drm_devmem_madvise, device_fd, 32);
	DEVMEM_UAPI_FIELD(test, drm_devmem_madvise, reserved, 36);

	DEVMEM_UAPI_SIZE(test, drm_devmem_attrs, 32);
	DEVMEM_UAPI_FIELD(test, drm_devmem_attrs, start, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_attrs, end, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_attrs, preferred, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_attrs, migration, 20);
	DEVMEM_UAPI_FIELD(test, drm_devmem_attrs, atomic, 24);
	DEVMEM_UAPI_FIELD(test, drm_devmem_attrs, device, 28);

	DEVMEM_UAPI_SIZE(test, drm_devmem_query_attrs, 40);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_attrs, vm_id, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_attrs, flags, 4);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_attrs, addr, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_attrs, length, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_attrs, num, 24);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_attrs, pad, 28);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_attrs, data, 32);
}

static void devmem_uapi_test_faults(struct kunit *test)
{
	DEVMEM_UAPI_SIZE(test, drm_devmem_query_faults, 32);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_faults, vm_id, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_faults, flags, 4);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_faults, total, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_faults, num, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_faults, state, 20);
	DEVMEM_UAPI_FIELD(test, drm_devmem_query_faults, data, 24);

	DEVMEM_UAPI_SIZE(test, drm_devmem_fault, 32);
	DEVMEM_UAPI_FIELD(test, drm_devmem_fault, addr, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_fault, time_ns, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_fault, queue_id, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_fault, access, 20);
	DEVMEM_UAPI_FIELD(test, drm_devmem_fault, reason, 24);
	DEVMEM_UAPI_FIELD(test, drm_devmem_fault, pad, 28);
}

static void devmem_uapi_test_command(struct kunit *test)
{
	DEVMEM_UAPI_SIZE(test, drm_devmem_cmd, DRM_DEVMEM_CMD_SIZE);
	KUNIT_EXPECT_EQ(test, DRM_DEVMEM_CMD_SIZE, 32);
	KUNIT_EXPECT_EQ(test, DRM_DEVMEM_NUM_REGS, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_cmd, op, 0);
	DEVMEM_UAPI_FIELD(test, drm_devmem_cmd, sub, 1);
	DEVMEM_UAPI_FIELD(test, drm_devmem_cmd, width, 2);
	DEVMEM_UAPI_FIELD(test, drm_devmem_cmd, rd, 3);
	DEVMEM_UAPI_FIELD(test, drm_devmem_cmd, ra, 4);
	DEVMEM_UAPI_FIELD(test, drm_devmem_cmd, rb, 5);
	DEVMEM_UAPI_FIELD(test, drm_devmem_cmd, rc, 6);
	DEVMEM_UAPI_FIELD(test, drm_devmem_cmd, pad, 7);
	DEVMEM_UAPI_FIELD(test, drm_devmem_cmd, a, 8);
	DEVMEM_UAPI_FIELD(test, drm_devmem_cmd, b, 16);
	DEVMEM_UAPI_FIELD(test, drm_devmem_cmd, c, 24);
}

/* The numbers as a program has them compiled in */
static void devmem_uapi_test_ioctls(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, DRM_IOCTL_DEVMEM_GET_PARAM, 0xc0106440);
	KUNIT_EXPECT_EQ(test, DRM_IOCTL_DEVMEM_VM_CREATE, 0xc0086441);
	KUNIT_EXPECT_EQ(test, DRM_IOCTL_DEVMEM_VM_DESTROY, 0x40086442);
	KUNIT_EXPECT_EQ(test, DRM_IOCTL_DEVMEM_QUEUE_CREATE, 0xc0106443);
	KUNIT_EXPECT_EQ(test, DRM_IOCTL_DEVMEM_QUEUE_DESTROY, 0x40086444);
	KUNIT_EXPECT_EQ(test, DRM_IOCTL_DEVMEM_QUEUE_QUERY, 0xc0286445);
	KUNIT_EXPECT_EQ(test, DRM_IOCTL_DEVMEM_EXEC, 0x40206446);
	KUNIT_EXPECT_EQ(test, DRM_IOCTL_DEVMEM_QUERY_RESIDENCY, 0x40206447);
	KUNIT_EXPECT_EQ(test, DRM_IOCTL_DEVMEM_QUERY_STATS, 0xc0106448);
	KUNIT_EXPECT_EQ(test, DRM_IOCTL_DEVMEM_PREFETCH, 0x40306449);
	KUNIT_EXPECT_EQ(test, DRM_IOCTL_DEVMEM_MADVISE, 0x4028644a);
	KUNIT_EXPECT_EQ(test, DRM_IOCTL_DEVMEM_QUERY_ATTRS, 0xc028644b);
	KUNIT_EXPECT_EQ(test, DRM_IOCTL_DEVMEM_QUERY_FAULTS, 0xc020644c);
}

/* What driver and device have in common, and what of it userspace sees */
static void devmem_uapi_test_device(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, sizeof(struct gpu_job), 64);
	KUNIT_EXPECT_EQ(test, sizeof(struct gpu_fault), 32);
	KUNIT_EXPECT_EQ(test, sizeof(struct gpu_copy), 32);

	KUNIT_EXPECT_EQ(test, (int)DRM_DEVMEM_ERROR_NONE, GPU_JOB_ERROR_NONE);
	KUNIT_EXPECT_EQ(test, (int)DRM_DEVMEM_ERROR_FAULT, GPU_JOB_ERROR_FAULT);
	KUNIT_EXPECT_EQ(test, (int)DRM_DEVMEM_ERROR_COMMAND, GPU_JOB_ERROR_COMMAND);
	KUNIT_EXPECT_EQ(test, (int)DRM_DEVMEM_ERROR_ALIGNMENT, GPU_JOB_ERROR_ALIGNMENT);
	KUNIT_EXPECT_EQ(test, (int)DRM_DEVMEM_ERROR_BUS, GPU_JOB_ERROR_BUS);
	KUNIT_EXPECT_EQ(test, (int)DRM_DEVMEM_ERROR_ABORTED, GPU_JOB_ERROR_ABORTED);

	KUNIT_EXPECT_EQ(test, (int)DRM_DEVMEM_ACCESS_READ, GPU_ACCESS_READ);
	KUNIT_EXPECT_EQ(test, (int)DRM_DEVMEM_ACCESS_WRITE, GPU_ACCESS_WRITE);
	KUNIT_EXPECT_EQ(test, (int)DRM_DEVMEM_ACCESS_ATOMIC, GPU_ACCESS_ATOMIC);
	KUNIT_EXPECT_EQ(test, (int)DRM_DEVMEM_ACCESS_FETCH, GPU_ACCESS_FETCH);
}

static struct kunit_case devmem_uapi_test_cases[] = {
	KUNIT_CASE(devmem_uapi_test_objects),
	KUNIT_CASE(devmem_uapi_test_exec),
	KUNIT_CASE(devmem_uapi_test_queries),
	KUNIT_CASE(devmem_uapi_test_prefetch),
	KUNIT_CASE(devmem_uapi_test_madvise),
	KUNIT_CASE(devmem_uapi_test_faults),
	KUNIT_CASE(devmem_uapi_test_command),
	KUNIT_CASE(devmem_uapi_test_ioctls),
	KUNIT_CASE(devmem_uapi_test_device),
	{}
};

static struct kunit_suite devmem_uapi_test_suite = {
	.name = "devmem_uapi",
	.test_cases = devmem_uapi_test_cases,
};

kunit_test_suite(devmem_uapi_test_suite);
