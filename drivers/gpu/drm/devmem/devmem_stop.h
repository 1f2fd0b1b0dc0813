/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_STOP_H_
#define _DEVMEM_STOP_H_

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/wait.h>

struct devmem_device;
struct drm_device;

/**
 * enum devmem_stop_point - places where the driver can be made to wait
 * @DEVMEM_STOP_FAULT: a GPU fault is about to be served
 * @DEVMEM_STOP_MIGRATED: memory is where the fault wants it and not mapped yet;
 *	&devmem_range.lock is held
 * @DEVMEM_STOP_BIND: its pages are known, translations are about to be written;
 *	&devmem_range.lock is held
 * @DEVMEM_STOP_COPY_TO_DEVICE: pages are about to be copied to the device; the
 *	mmap_lock is held for reading, page tables have migration entries
 * @DEVMEM_STOP_COPY_TO_SYSTEM: the same in the other direction, for a CPU fault
 *	or an eviction, which holds no mmap_lock
 * @DEVMEM_STOP_HALF_TO_DEVICE: half of several pages are copied to the device; locks as
 *	before the copy
 * @DEVMEM_STOP_HALF_TO_SYSTEM: the same in the other direction
 * @DEVMEM_STOP_EVICT: an allocation was chosen to be evicted
 * @DEVMEM_STOP_INVALIDATE: the MMU notifier has taken translations away and not
 *	yet unmapped the pages from the IOMMU; the mmap_lock and
 *	&drm_gpusvm.notifier_lock are held
 * @DEVMEM_STOP_SIGNAL: batches have ended, their fences are about to be signalled; no
 *	other interrupt of the device is served
 * @DEVMEM_STOP_NUM: number of points
 */
enum devmem_stop_point {
	DEVMEM_STOP_FAULT,
	DEVMEM_STOP_MIGRATED,
	DEVMEM_STOP_BIND,
	DEVMEM_STOP_COPY_TO_DEVICE,
	DEVMEM_STOP_COPY_TO_SYSTEM,
	DEVMEM_STOP_HALF_TO_DEVICE,
	DEVMEM_STOP_HALF_TO_SYSTEM,
	DEVMEM_STOP_EVICT,
	DEVMEM_STOP_INVALIDATE,
	DEVMEM_STOP_SIGNAL,
	DEVMEM_STOP_NUM,
};

/**
 * struct devmem_stop - stop points of a device; all zero means none
 */
struct devmem_stop {
	/** @drm: the device. */
	struct drm_device *drm;
	/** @wait: who stopped waits here; its lock protects @closed. */
	wait_queue_head_t wait;
	/** @closed: nothing stops any more. */
	bool closed;
	/** @armed: mask of BIT(&enum devmem_stop_point). */
	unsigned long armed;
	/** @waiting: how many wait at each point. */
	atomic_t waiting[DEVMEM_STOP_NUM];
};

void devmem_stop_init(struct devmem_device *dm);
void devmem_stop_close(struct devmem_device *dm);
void devmem_stop_wait(struct devmem_stop *stop, enum devmem_stop_point point);

/**
 * devmem_stop_is_set() - would a thread wait at a stop point?
 * @stop: stop points of the device
 * @point: where
 *
 * Context: any.
 *
 * Return: true if it would.
 */
static inline bool devmem_stop_is_set(const struct devmem_stop *stop,
				      enum devmem_stop_point point)
{
	return unlikely(READ_ONCE(stop->armed) & BIT(point));
}

/**
 * devmem_stop_at() - wait at a stop point if it is set
 * @stop: stop points of the device
 * @point: where
 *
 * Context: sleeps if the point is set.
 */
static inline void devmem_stop_at(struct devmem_stop *stop,
				  enum devmem_stop_point point)
{
	if (devmem_stop_is_set(stop, point))
		devmem_stop_wait(stop, point);
}

#endif /* _DEVMEM_STOP_H_ */
