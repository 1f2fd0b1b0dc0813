/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_STATS_H_
#define _DEVMEM_STATS_H_

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/types.h>

struct drm_devmem_stats;

/**
 * enum devmem_stat - counters of a VM, in the order of struct drm_devmem_stats
 * @DEVMEM_STAT_GPU_FAULTS: faults that the GPU raised
 * @DEVMEM_STAT_GPU_FAULTS_SPURIOUS: of these, found already served
 * @DEVMEM_STAT_GPU_FAULTS_FAILED: of these, answered with an error
 * @DEVMEM_STAT_CPU_FAULTS: migrations to system memory that CPU faults made
 * @DEVMEM_STAT_TO_DEVICE_BYTES: bytes migrated to the device
 * @DEVMEM_STAT_TO_DEVICE_COUNT: migrations to the device
 * @DEVMEM_STAT_TO_DEVICE_FAILED: migrations to the device that failed
 * @DEVMEM_STAT_TO_SYSTEM_BYTES: bytes migrated to system memory by CPU faults
 * @DEVMEM_STAT_EVICTED_BYTES: bytes migrated to system memory to make room
 * @DEVMEM_STAT_EVICTED_COUNT: allocations evicted
 * @DEVMEM_STAT_INVALIDATIONS: GPU mappings of ranges taken away
 * @DEVMEM_STAT_FAULT_NS: nanoseconds spent serving GPU faults
 * @DEVMEM_STAT_BOUNCES: ranges that the GPU wanted back from the CPU
 * @DEVMEM_STAT_PINS: ranges that were pinned, since they bounced too often
 * @DEVMEM_STAT_GPU_FAULTS_MERGED: faults answered along with one being served
 * @DEVMEM_STAT_TO_PEER_BYTES: bytes migrated to another device
 * @DEVMEM_STAT_PROMOTIONS: ranges that were to leave system memory, being hot
 * @DEVMEM_STAT_ACCESS_SCANS: how often all ranges were looked at for accesses
 * @DEVMEM_STAT_NUM: number of counters
 */
enum devmem_stat {
	DEVMEM_STAT_GPU_FAULTS,
	DEVMEM_STAT_GPU_FAULTS_SPURIOUS,
	DEVMEM_STAT_GPU_FAULTS_FAILED,
	DEVMEM_STAT_CPU_FAULTS,
	DEVMEM_STAT_TO_DEVICE_BYTES,
	DEVMEM_STAT_TO_DEVICE_COUNT,
	DEVMEM_STAT_TO_DEVICE_FAILED,
	DEVMEM_STAT_TO_SYSTEM_BYTES,
	DEVMEM_STAT_EVICTED_BYTES,
	DEVMEM_STAT_EVICTED_COUNT,
	DEVMEM_STAT_INVALIDATIONS,
	DEVMEM_STAT_FAULT_NS,
	DEVMEM_STAT_BOUNCES,
	DEVMEM_STAT_PINS,
	DEVMEM_STAT_GPU_FAULTS_MERGED,
	DEVMEM_STAT_TO_PEER_BYTES,
	DEVMEM_STAT_PROMOTIONS,
	DEVMEM_STAT_ACCESS_SCANS,
	DEVMEM_STAT_NUM,
};

/**
 * struct devmem_stats - counters of a VM
 *
 * Outlives the VM while device memory that it allocated is in use.
 */
struct devmem_stats {
	/** @kref: references of the VM and of its allocations. */
	struct kref kref;
	/** @count: by &enum devmem_stat. */
	atomic64_t count[DEVMEM_STAT_NUM];
};

struct devmem_stats *devmem_stats_create(void);
struct devmem_stats *devmem_stats_get(struct devmem_stats *stats);
void devmem_stats_put(struct devmem_stats *stats);
void devmem_stats_read(struct devmem_stats *stats,
		       struct drm_devmem_stats *out);

/**
 * devmem_stats_add() - add to a counter
 * @stats: the counters
 * @stat: which one
 * @value: what to add
 *
 * Context: any.
 */
static inline void devmem_stats_add(struct devmem_stats *stats,
				    enum devmem_stat stat, u64 value)
{
	atomic64_add(value, &stats->count[stat]);
}

#endif /* _DEVMEM_STATS_H_ */
