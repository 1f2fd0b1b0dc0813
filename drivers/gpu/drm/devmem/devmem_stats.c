// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/devmem_drm.h>
#include <kunit/visibility.h>
#include <linux/build_bug.h>
#include <linux/slab.h>

#include "devmem_stats.h"

/* devmem_stats_read() copies the counters in the order of the enum. */
#define DEVMEM_STATS_CHECK(stat, field)					\
	static_assert(offsetof(struct drm_devmem_stats, field) ==	\
		      (stat) * sizeof(__u64))

DEVMEM_STATS_CHECK(DEVMEM_STAT_GPU_FAULTS, gpu_faults);
DEVMEM_STATS_CHECK(DEVMEM_STAT_GPU_FAULTS_SPURIOUS, gpu_faults_spurious);
DEVMEM_STATS_CHECK(DEVMEM_STAT_GPU_FAULTS_FAILED, gpu_faults_failed);
DEVMEM_STATS_CHECK(DEVMEM_STAT_CPU_FAULTS, cpu_faults);
DEVMEM_STATS_CHECK(DEVMEM_STAT_TO_DEVICE_BYTES, to_device_bytes);
DEVMEM_STATS_CHECK(DEVMEM_STAT_TO_DEVICE_COUNT, to_device_count);
DEVMEM_STATS_CHECK(DEVMEM_STAT_TO_DEVICE_FAILED, to_device_failed);
DEVMEM_STATS_CHECK(DEVMEM_STAT_TO_SYSTEM_BYTES, to_system_bytes);
DEVMEM_STATS_CHECK(DEVMEM_STAT_EVICTED_BYTES, evicted_bytes);
DEVMEM_STATS_CHECK(DEVMEM_STAT_EVICTED_COUNT, evicted_count);
DEVMEM_STATS_CHECK(DEVMEM_STAT_INVALIDATIONS, invalidations);
DEVMEM_STATS_CHECK(DEVMEM_STAT_FAULT_NS, fault_ns);
DEVMEM_STATS_CHECK(DEVMEM_STAT_BOUNCES, bounces);
DEVMEM_STATS_CHECK(DEVMEM_STAT_PINS, pins);
DEVMEM_STATS_CHECK(DEVMEM_STAT_GPU_FAULTS_MERGED, gpu_faults_merged);
DEVMEM_STATS_CHECK(DEVMEM_STAT_TO_PEER_BYTES, to_peer_bytes);
DEVMEM_STATS_CHECK(DEVMEM_STAT_PROMOTIONS, promotions);
DEVMEM_STATS_CHECK(DEVMEM_STAT_ACCESS_SCANS, access_scans);
static_assert(sizeof(struct drm_devmem_stats) == DEVMEM_STAT_NUM * sizeof(__u64));

/**
 * devmem_stats_create() - make a set of counters
 *
 * Context: process context.
 *
 * Return: the counters, all zero, with one reference; NULL without memory.
 */
struct devmem_stats *devmem_stats_create(void)
{
	struct devmem_stats *stats;

	stats = kzalloc_obj(*stats);
	if (stats)
		kref_init(&stats->kref);
	return stats;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_stats_create);

/**
 * devmem_stats_get() - take a reference
 * @stats: the counters
 *
 * Context: any.
 *
 * Return: @stats.
 */
struct devmem_stats *devmem_stats_get(struct devmem_stats *stats)
{
	kref_get(&stats->kref);
	return stats;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_stats_get);

static void devmem_stats_release(struct kref *kref)
{
	kfree(container_of(kref, struct devmem_stats, kref));
}

/**
 * devmem_stats_put() - drop a reference
 * @stats: the counters
 *
 * Context: any.
 */
void devmem_stats_put(struct devmem_stats *stats)
{
	kref_put(&stats->kref, devmem_stats_release);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_stats_put);

/**
 * devmem_stats_read() - read all counters
 * @stats: the counters
 * @out: where to
 *
 * Each counter is exact; they are not read at one instant.
 *
 * Context: any.
 */
void devmem_stats_read(struct devmem_stats *stats,
		       struct drm_devmem_stats *out)
{
	u64 value[DEVMEM_STAT_NUM];
	int i;

	for (i = 0; i < DEVMEM_STAT_NUM; i++)
		value[i] = atomic64_read(&stats->count[i]);
	memcpy(out, value, sizeof(*out));
}
EXPORT_SYMBOL_IF_KUNIT(devmem_stats_read);
