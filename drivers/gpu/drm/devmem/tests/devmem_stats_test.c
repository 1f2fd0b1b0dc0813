// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/devmem_drm.h>
#include <kunit/test.h>

#include "../devmem_stats.h"

/* All counters start at zero. */
static void devmem_stats_test_zero(struct kunit *test)
{
	struct drm_devmem_stats zero = {}, out;
	struct devmem_stats *stats = devmem_stats_create();

	KUNIT_ASSERT_NOT_NULL(test, stats);
	memset(&out, 0xff, sizeof(out));
	devmem_stats_read(stats, &out);
	KUNIT_EXPECT_MEMEQ(test, &out, &zero, sizeof(out));
	devmem_stats_put(stats);
}

/* Each counter arrives in the field of its name. */
static void devmem_stats_test_order(struct kunit *test)
{
	struct devmem_stats *stats = devmem_stats_create();
	struct drm_devmem_stats out;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, stats);
	for (i = 0; i < DEVMEM_STAT_NUM; i++) {
		devmem_stats_add(stats, i, 100);
		devmem_stats_add(stats, i, i);
	}
	devmem_stats_read(stats, &out);

	KUNIT_EXPECT_EQ(test, out.gpu_faults, 100 + DEVMEM_STAT_GPU_FAULTS);
	KUNIT_EXPECT_EQ(test, out.gpu_faults_spurious, 100 + DEVMEM_STAT_GPU_FAULTS_SPURIOUS);
	KUNIT_EXPECT_EQ(test, out.gpu_faults_failed, 100 + DEVMEM_STAT_GPU_FAULTS_FAILED);
	KUNIT_EXPECT_EQ(test, out.cpu_faults, 100 + DEVMEM_STAT_CPU_FAULTS);
	KUNIT_EXPECT_EQ(test, out.to_device_bytes, 100 + DEVMEM_STAT_TO_DEVICE_BYTES);
	KUNIT_EXPECT_EQ(test, out.to_device_count, 100 + DEVMEM_STAT_TO_DEVICE_COUNT);
	KUNIT_EXPECT_EQ(test, out.to_device_failed, 100 + DEVMEM_STAT_TO_DEVICE_FAILED);
	KUNIT_EXPECT_EQ(test, out.to_system_bytes, 100 + DEVMEM_STAT_TO_SYSTEM_BYTES);
	KUNIT_EXPECT_EQ(test, out.evicted_bytes, 100 + DEVMEM_STAT_EVICTED_BYTES);
	KUNIT_EXPECT_EQ(test, out.evicted_count, 100 + DEVMEM_STAT_EVICTED_COUNT);
	KUNIT_EXPECT_EQ(test, out.invalidations, 100 + DEVMEM_STAT_INVALIDATIONS);
	KUNIT_EXPECT_EQ(test, out.fault_ns, 100 + DEVMEM_STAT_FAULT_NS);
	KUNIT_EXPECT_EQ(test, out.bounces, 100 + DEVMEM_STAT_BOUNCES);
	KUNIT_EXPECT_EQ(test, out.pins, 100 + DEVMEM_STAT_PINS);
	KUNIT_EXPECT_EQ(test, out.gpu_faults_merged, 100 + DEVMEM_STAT_GPU_FAULTS_MERGED);
	KUNIT_EXPECT_EQ(test, out.to_peer_bytes, 100 + DEVMEM_STAT_TO_PEER_BYTES);
	KUNIT_EXPECT_EQ(test, out.promotions, 100 + DEVMEM_STAT_PROMOTIONS);
	KUNIT_EXPECT_EQ(test, out.access_scans, 100 + DEVMEM_STAT_ACCESS_SCANS);
	devmem_stats_put(stats);
}

/* Counters hold more than 32 bits and outlive all but the last reference. */
static void devmem_stats_test_reference(struct kunit *test)
{
	struct devmem_stats *stats = devmem_stats_create();
	struct drm_devmem_stats out;

	KUNIT_ASSERT_NOT_NULL(test, stats);
	KUNIT_EXPECT_PTR_EQ(test, devmem_stats_get(stats), stats);
	devmem_stats_add(stats, DEVMEM_STAT_TO_DEVICE_BYTES, 1ull << 40);
	devmem_stats_put(stats);

	devmem_stats_add(stats, DEVMEM_STAT_TO_DEVICE_BYTES, 1);
	devmem_stats_read(stats, &out);
	KUNIT_EXPECT_EQ(test, out.to_device_bytes, (1ull << 40) + 1);
	KUNIT_EXPECT_EQ(test, kref_read(&stats->kref), 1);
	devmem_stats_put(stats);
}

static struct kunit_case devmem_stats_test_cases[] = {
	KUNIT_CASE(devmem_stats_test_zero),
	KUNIT_CASE(devmem_stats_test_order),
	KUNIT_CASE(devmem_stats_test_reference),
	{}
};

static struct kunit_suite devmem_stats_test_suite = {
	.name = "devmem_stats",
	.test_cases = devmem_stats_test_cases,
};

kunit_test_suite(devmem_stats_test_suite);
