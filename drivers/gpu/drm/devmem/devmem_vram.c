// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_drv.h>
#include <drm/drm_print.h>
#include <kunit/visibility.h>
#include <linux/delay.h>
#include <linux/ktime.h>

#include "devmem_device.h"
#include "devmem_stats.h"
#include "devmem_trace.h"
#include "devmem_vram.h"

/**
 * DOC: VRAM
 *
 * VRAM is given out in naturally aligned blocks by the kernel's GPU buddy
 * allocator. Memory of processes (&struct devmem_bo) comes from the bottom and
 * can be evicted; what the driver itself needs (rings, page tables) comes from
 * the top, in small pieces, and stays.
 *
 * When VRAM runs out, allocations are evicted to system memory until the request
 * fits, those first that the GPU has not used for longest; see devmem_access.c for
 * how that is known. Eviction needs nothing of the process that caused the
 * allocation: its pages can live on in a forked child alone.
 *
 * The last page of an allocation can be freed under spinlocks, where the
 * allocator's mutex can't be taken. So release is deferred to a work item;
 * whoever finds VRAM short does that work himself first.
 */

/* Whoever needs VRAM tries to evict this many allocations before giving up. */
#define DEVMEM_VRAM_EVICT_TRIES	64

/* How long a device that goes waits for those who are moving its pages themselves. */
#define DEVMEM_VRAM_EMPTY_TIMEOUT	(5 * HZ)

/* An address of zero means "none" to drm_pagemap: the first page stays unused. */
#define DEVMEM_VRAM_RESERVED	SZ_4K

static void devmem_vram_release_all(struct devmem_vram *vram)
{
	struct llist_node *list = llist_del_all(&vram->released);
	struct devmem_bo *bo, *next;

	llist_for_each_entry_safe(bo, next, list, released) {
		mutex_lock(&vram->lock);
		list_del(&bo->lru);
		/* The allocator may hand the same block out to somebody else. */
		bo->block->private = NULL;
		gpu_buddy_free_block(&vram->mm, bo->block);
		mutex_unlock(&vram->lock);

		if (bo->stats)
			devmem_stats_put(bo->stats);
		kfree(bo);
	}
}

static void devmem_vram_release_work(struct work_struct *work)
{
	devmem_vram_release_all(container_of(work, struct devmem_vram, release_work));
}

/**
 * devmem_vram_init() - set up the allocator
 * @dm: the device
 *
 * Return: 0, -EINVAL for an impossible size, -ENOMEM.
 */
int devmem_vram_init(struct devmem_device *dm)
{
	struct devmem_vram *vram = &dm->vram;
	LIST_HEAD(blocks);
	int err;

	mutex_init(&vram->lock);
	INIT_LIST_HEAD(&vram->lru);
	init_llist_head(&vram->released);
	INIT_WORK(&vram->release_work, devmem_vram_release_work);

	err = gpu_buddy_init(&vram->mm, dm->hw.vram_size, SZ_4K);
	if (err)
		return err;
	gpu_buddy_driver_set_lock(&vram->mm, &vram->lock);

	mutex_lock(&vram->lock);
	err = gpu_buddy_alloc_blocks(&vram->mm, 0, DEVMEM_VRAM_RESERVED,
				     DEVMEM_VRAM_RESERVED, SZ_4K, &blocks,
				     GPU_BUDDY_RANGE_ALLOCATION);
	if (err)
		gpu_buddy_fini(&vram->mm);
	mutex_unlock(&vram->lock);
	return err;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_vram_init);

/**
 * devmem_vram_fini() - take down the allocator
 * @dm: the device; all allocations must be free
 */
void devmem_vram_fini(struct devmem_device *dm)
{
	struct devmem_vram *vram = &dm->vram;

	flush_work(&vram->release_work);
	devmem_vram_release_all(vram);

	mutex_lock(&vram->lock);
	drm_WARN_ON(&dm->drm, !list_empty(&vram->lru));
	gpu_buddy_free_block(&vram->mm, gpu_buddy_allocated_addr_to_block(&vram->mm, 0));
	drm_WARN_ON(&dm->drm, vram->mm.avail != vram->mm.size);
	gpu_buddy_fini(&vram->mm);
	mutex_unlock(&vram->lock);
	mutex_destroy(&vram->lock);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_vram_fini);

/* The allocation at the old end, with a reference, moved to the young end; or NULL */
static struct devmem_bo *devmem_vram_get_oldest(struct devmem_vram *vram)
{
	struct devmem_bo *bo, *found = NULL;

	mutex_lock(&vram->lock);
	list_for_each_entry(bo, &vram->lru, lru) {
		/* Pairs with the release in devmem_vram_set_ready(). */
		if (!smp_load_acquire(&bo->ready) || !kref_get_unless_zero(&bo->kref))
			continue;
		list_move_tail(&bo->lru, &vram->lru);
		found = bo;
		break;
	}
	mutex_unlock(&vram->lock);
	return found;
}

/**
 * devmem_vram_evict() - migrate an allocation to system memory
 * @dm: the device
 * @bo: the allocation, with a reference
 * @trigger: why
 *
 * Context: as devmem_vram_alloc().
 *
 * Return: 0 when none of it is left, -EBUSY, -ENOMEM.
 */
int devmem_vram_evict(struct devmem_device *dm, struct devmem_bo *bo,
		      enum devmem_trigger trigger)
{
	ktime_t start = ktime_get();
	int err;

	devmem_stop_at(&dm->stop, DEVMEM_STOP_EVICT);
	WRITE_ONCE(bo->trigger, trigger);
	WRITE_ONCE(bo->evictor, current);
	err = drm_pagemap_evict_to_ram(&bo->devmem);
	WRITE_ONCE(bo->evictor, NULL);
	trace_devmem_evict(bo->vmid, bo->va, bo->devmem.size, trigger, err,
			   ktime_to_ns(ktime_sub(ktime_get(), start)));
	if (!err && bo->stats && trigger == DEVMEM_TRIGGER_EVICTION)
		devmem_stats_add(bo->stats, DEVMEM_STAT_EVICTED_COUNT, 1);
	return err;
}

static int devmem_vram_evict_oldest(struct devmem_device *dm)
{
	struct devmem_bo *bo = devmem_vram_get_oldest(&dm->vram);
	int err;

	if (!bo)
		return -ENOSPC;
	err = devmem_vram_evict(dm, bo, DEVMEM_TRIGGER_EVICTION);
	devmem_vram_put(bo);
	return err;
}

/* Evict all, or as long as no VM uses memory of the device. */
static int devmem_vram_evict_while(struct devmem_device *dm, bool unused)
{
	unsigned long deadline = jiffies + DEVMEM_VRAM_EMPTY_TIMEOUT;
	int err;

	do {
		err = devmem_vram_evict_oldest(dm);
		devmem_vram_release_all(&dm->vram);
		if (err == -ENOSPC)
			return 0;
		if (unused && atomic_read(&dm->vram.users))
			return 0;
		/* Somebody is about to move the pages, to a peer for example. */
		if (err)
			fsleep(USEC_PER_MSEC);
	} while (!err || time_before(jiffies, deadline));
	return -EBUSY;
}

/**
 * devmem_vram_evict_all() - migrate all memory of processes to system memory
 * @dm: the device; nothing may migrate to it any more
 *
 * Context: process context, outside of the locks of the driver.
 *
 * Return: 0, -EBUSY if some memory could not be moved.
 */
int devmem_vram_evict_all(struct devmem_device *dm)
{
	return devmem_vram_evict_while(dm, false);
}

/**
 * devmem_vram_is_empty() - is no memory of processes on the device?
 * @dm: the device
 *
 * Context: process context.
 *
 * Return: true if there is none.
 */
bool devmem_vram_is_empty(struct devmem_device *dm)
{
	bool empty;

	flush_work(&dm->vram.release_work);
	devmem_vram_release_all(&dm->vram);
	mutex_lock(&dm->vram.lock);
	empty = list_empty(&dm->vram.lru);
	mutex_unlock(&dm->vram.lock);
	return empty;
}

/**
 * devmem_vram_use() - a VM starts to use memory of the device
 * @dm: the device
 *
 * Context: any.
 */
void devmem_vram_use(struct devmem_device *dm)
{
	atomic_inc(&dm->vram.users);
}

/**
 * devmem_vram_unuse() - a VM uses memory of the device no more
 * @dm: the device
 *
 * Memory that nobody uses by the device belongs to processes that have no VM any
 * more. It would keep the module for as long as they live, so it is evicted; what is
 * left when a VM comes meanwhile waits for the end of that one.
 *
 * Context: as devmem_vram_evict_all(). The device can be unplugged.
 */
void devmem_vram_unuse(struct devmem_device *dm)
{
	int idx;

	if (!atomic_dec_and_test(&dm->vram.users) || !drm_dev_enter(&dm->drm, &idx))
		return;
	devmem_vram_evict_while(dm, true);
	drm_dev_exit(idx);
}

static struct gpu_buddy_block *
devmem_vram_try_alloc(struct devmem_vram *vram, u64 size, unsigned long flags)
{
	struct gpu_buddy_block *block = NULL;
	LIST_HEAD(blocks);
	int err;

	mutex_lock(&vram->lock);
	err = gpu_buddy_alloc_blocks(&vram->mm, 0, vram->mm.size, size, size,
				     &blocks, flags);
	if (!err) {
		block = list_first_entry(&blocks, struct gpu_buddy_block, link);
		list_del(&block->link);
	}
	mutex_unlock(&vram->lock);
	return err ? ERR_PTR(err) : block;
}

/* One block of @size bytes, a power of two; evicts to make room. */
static struct gpu_buddy_block *
devmem_vram_get_block(struct devmem_device *dm, u64 size, unsigned long flags,
		      enum devmem_fail_point fail)
{
	struct gpu_buddy_block *block;
	int tries = DEVMEM_VRAM_EVICT_TRIES;

	if (devmem_fail_now(&dm->fail, fail))
		return ERR_PTR(-ENOSPC);
	do {
		devmem_vram_release_all(&dm->vram);
		block = devmem_vram_try_alloc(&dm->vram, size, flags);
		if (PTR_ERR_OR_ZERO(block) != -ENOSPC)
			break;
		if (devmem_vram_evict_oldest(dm) == -ENOSPC)
			break;
	} while (tries--);
	return block;
}

/**
 * devmem_vram_alloc() - allocate VRAM for memory of a process
 * @dm: the device
 * @size: bytes, a power of two of at least 4 KiB
 * @stats: counters of the VM, or NULL
 *
 * The content is undefined. Other allocations may be evicted.
 *
 * Context: process context; mmap_lock may be held, no folio lock, no lock of
 * the driver below &devmem_range.lock.
 *
 * Return: the allocation with one reference, or an ERR_PTR: -ENOSPC, -ENOMEM.
 */
struct devmem_bo *devmem_vram_alloc(struct devmem_device *dm, u64 size,
				    struct devmem_stats *stats)
{
	struct devmem_bo *bo;

	bo = kzalloc_obj(*bo);
	if (!bo)
		return ERR_PTR(-ENOMEM);

	bo->block = devmem_vram_get_block(dm, size, 0, DEVMEM_FAIL_VRAM);
	if (IS_ERR(bo->block)) {
		int err = PTR_ERR(bo->block);

		kfree(bo);
		return ERR_PTR(err);
	}
	kref_init(&bo->kref);
	bo->dm = dm;
	bo->stats = stats ? devmem_stats_get(stats) : NULL;

	mutex_lock(&dm->vram.lock);
	bo->block->private = bo;
	list_add_tail(&bo->lru, &dm->vram.lru);
	mutex_unlock(&dm->vram.lock);
	return bo;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_vram_alloc);

/* The allocation that an address is in, or NULL */
static struct devmem_bo *devmem_vram_lookup(struct devmem_vram *vram, u64 addr)
{
	struct gpu_buddy_block *block;

	lockdep_assert_held(&vram->lock);
	block = gpu_buddy_allocated_addr_to_block(&vram->mm, addr);
	return block ? block->private : NULL;
}

/**
 * devmem_vram_find() - the allocation that a VRAM address is in
 * @dm: the device
 * @addr: VRAM address, in bytes, of memory of a process
 *
 * Context: sleeps; takes &devmem_vram.lock. The caller knows that the
 * allocation stays, for example since it holds one of its pages.
 *
 * Return: the allocation, or NULL.
 */
struct devmem_bo *devmem_vram_find(struct devmem_device *dm, u64 addr)
{
	struct devmem_bo *bo;

	mutex_lock(&dm->vram.lock);
	bo = devmem_vram_lookup(&dm->vram, addr);
	mutex_unlock(&dm->vram.lock);
	return bo;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_vram_find);

/**
 * devmem_vram_get() - reference the allocation that a VRAM address is in
 * @dm: the device
 * @addr: VRAM address, in bytes, of what is or was memory of a process
 *
 * Context: sleeps; takes &devmem_vram.lock.
 *
 * Return: the allocation with a reference, or NULL.
 */
struct devmem_bo *devmem_vram_get(struct devmem_device *dm, u64 addr)
{
	struct devmem_bo *bo;

	mutex_lock(&dm->vram.lock);
	bo = devmem_vram_lookup(&dm->vram, addr);
	/* Pairs with the release in devmem_vram_set_ready(). */
	if (bo && (!smp_load_acquire(&bo->ready) || !kref_get_unless_zero(&bo->kref)))
		bo = NULL;
	mutex_unlock(&dm->vram.lock);
	return bo;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_vram_get);

/**
 * devmem_vram_touch() - the GPU has used an allocation
 * @dm: the device
 * @addr: a VRAM address in it, in bytes, of what is or was memory of a process
 *
 * It is not evicted before those that were not used since.
 *
 * Context: sleeps; takes &devmem_vram.lock.
 *
 * Return: end of the allocation, exclusive, in bytes; @addr if there is none.
 */
u64 devmem_vram_touch(struct devmem_device *dm, u64 addr)
{
	struct devmem_bo *bo;
	u64 end = addr;

	mutex_lock(&dm->vram.lock);
	bo = devmem_vram_lookup(&dm->vram, addr);
	if (bo) {
		list_move_tail(&bo->lru, &dm->vram.lru);
		end = devmem_vram_addr(bo) + gpu_buddy_block_size(&dm->vram.mm, bo->block);
	}
	mutex_unlock(&dm->vram.lock);
	return end;
}

static void devmem_vram_release(struct kref *kref)
{
	struct devmem_bo *bo = container_of(kref, struct devmem_bo, kref);
	struct devmem_vram *vram = &bo->dm->vram;

	/* Not in the work item, which can run after the pages are unregistered. */
	if (bo->populated)
		devmem_region_depopulate(bo->dm, devmem_vram_addr(bo), bo->populated);
	if (llist_add(&bo->released, &vram->released))
		queue_work(system_dfl_wq, &vram->release_work);
}

/**
 * devmem_vram_put() - drop a reference
 * @bo: the allocation
 *
 * Context: any.
 */
void devmem_vram_put(struct devmem_bo *bo)
{
	kref_put(&bo->kref, devmem_vram_release);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_vram_put);

/**
 * devmem_vram_alloc_kernel() - allocate VRAM for the driver itself
 * @dm: the device
 * @size: bytes, a power of two of at least 4 KiB
 * @addr: where to store the VRAM address, in bytes
 *
 * The memory is zero and naturally aligned, and writing it through the window
 * can't fail any more.
 *
 * Context: as devmem_vram_alloc().
 *
 * Return: 0, -ENOSPC, -ENOMEM.
 */
int devmem_vram_alloc_kernel(struct devmem_device *dm, u64 size, u64 *addr)
{
	struct gpu_buddy_block *block;
	int err;

	block = devmem_vram_get_block(dm, size, GPU_BUDDY_TOPDOWN_ALLOCATION,
				      DEVMEM_FAIL_TABLE);
	if (IS_ERR(block))
		return PTR_ERR(block);

	*addr = gpu_buddy_block_offset(block);
	err = devmem_hw_vram_zero(dm, *addr, size);
	if (err)
		devmem_vram_free_kernel(dm, *addr);
	return err;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_vram_alloc_kernel);

/**
 * devmem_vram_free_kernel() - free VRAM of the driver itself
 * @dm: the device
 * @addr: VRAM address from devmem_vram_alloc_kernel()
 */
void devmem_vram_free_kernel(struct devmem_device *dm, u64 addr)
{
	struct devmem_vram *vram = &dm->vram;

	mutex_lock(&vram->lock);
	gpu_buddy_free_block(&vram->mm,
			     gpu_buddy_allocated_addr_to_block(&vram->mm, addr));
	mutex_unlock(&vram->lock);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_vram_free_kernel);

/**
 * devmem_vram_available() - VRAM that is not allocated
 * @dm: the device
 *
 * Context: process context; takes &devmem_vram.lock.
 *
 * Return: bytes.
 */
u64 devmem_vram_available(struct devmem_device *dm)
{
	u64 avail;

	/* The work item may be half way through; what it holds is free, too. */
	flush_work(&dm->vram.release_work);
	devmem_vram_release_all(&dm->vram);
	mutex_lock(&dm->vram.lock);
	avail = dm->vram.mm.avail;
	mutex_unlock(&dm->vram.lock);
	return avail;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_vram_available);
