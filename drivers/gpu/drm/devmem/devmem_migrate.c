// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_drv.h>
#include <drm/drm_print.h>
#include <linux/migrate.h>
#include <linux/sched/mm.h>

#include "devmem_device.h"
#include "devmem_migrate.h"
#include "devmem_stats.h"
#include "devmem_trace.h"
#include "devmem_vm.h"

/**
 * DOC: Migration
 *
 * drm_pagemap does the migration proper: it collects the pages of a process,
 * replaces them and answers CPU faults. This file gives it what it can't know:
 * VRAM for the pages, and the copy engine for their content.
 *
 * Memory that was never touched has no page to copy from. Its device page is
 * cleared instead, so that nobody reads what another process left there.
 *
 * From one device to a peer of it the engine of the first one copies, straight into
 * VRAM of the second, which drm_pagemap has mapped for it.
 */

static struct devmem_device *devmem_migrate_page_to_devmem(struct page *page)
{
	return container_of(page_pgmap(page), struct devmem_device, region.pagemap);
}

static struct drm_pagemap_addr
devmem_migrate_device_map(struct drm_pagemap *dpagemap, struct device *dev,
			  struct page *page, unsigned int order,
			  enum dma_data_direction dir)
{
	struct devmem_device *dm = devmem_pagemap_to_devmem(dpagemap);
	u64 vram = devmem_region_page_to_vram(dm, page);
	dma_addr_t addr;

	if (dev == dm->hw.dev)
		return drm_pagemap_addr_encode(vram, DEVMEM_INTERCONNECT_VRAM, order, dir);

	/* Only peers have the same owner as the page, and they are of this driver. */
	addr = devmem_hw_map_peer(dev_get_drvdata(dev), dm, vram, PAGE_SIZE << order, dir);
	return drm_pagemap_addr_encode(addr, DEVMEM_INTERCONNECT_PEER, order, dir);
}

static void devmem_migrate_device_unmap(struct drm_pagemap *dpagemap,
					struct device *dev,
					const struct drm_pagemap_addr *addr)
{
	/* A VRAM address holds nothing. */
	if (addr->proto == DEVMEM_INTERCONNECT_PEER)
		devmem_hw_unmap_peer(dev_get_drvdata(dev), addr->addr,
				     PAGE_SIZE << addr->order, addr->dir);
}

static void devmem_migrate_release(struct drm_pagemap_devmem *devmem)
{
	devmem_vram_put(container_of(devmem, struct devmem_bo, devmem));
}

static int devmem_migrate_populate(struct drm_pagemap_devmem *devmem,
				   unsigned long npages, unsigned long *mpfns)
{
	struct devmem_bo *bo = container_of(devmem, struct devmem_bo, devmem);
	struct page *page = devmem_region_vram_to_page(bo->dm, devmem_vram_addr(bo));
	unsigned long i;

	for (i = 0; i < npages; i++)
		mpfns[i] = page_to_migration_pfn(page + i);
	return 0;
}

/*
 * Copies between device pages and what drm_pagemap has mapped for the device. An
 * entry of @addrs that is not 0 covers as many pages as its order says, and only
 * the first of them is in @pages.
 */
static int devmem_migrate_copy(struct page **pages, struct drm_pagemap_addr *addrs,
			       unsigned long npages, bool to_device, u64 *bytes)
{
	struct devmem_device *dm = NULL;
	unsigned long i, nr;
	bool half = false;

	for (i = 0; i < npages; i += nr) {
		struct gpu_copy copy = {};
		u64 vram, size;

		nr = 1;
		if (!pages[i] || (!to_device && !addrs[i].addr))
			continue;
		if (!dm) {
			dm = devmem_migrate_page_to_devmem(pages[i]);
			devmem_stop_at(&dm->stop, to_device ? DEVMEM_STOP_COPY_TO_DEVICE :
							      DEVMEM_STOP_COPY_TO_SYSTEM);
			devmem_copy_begin(dm);
		} else if (!half && i >= npages / 2) {
			devmem_copy_stop_at(dm, to_device ? DEVMEM_STOP_HALF_TO_DEVICE :
							    DEVMEM_STOP_HALF_TO_SYSTEM);
			half = true;
		}

		vram = devmem_region_page_to_vram(dm, pages[i]);
		if (addrs[i].addr)
			nr = 1ul << addrs[i].order;
		else
			nr = folio_nr_pages(page_folio(pages[i]));
		size = nr << PAGE_SHIFT;

		copy.src = cpu_to_le64(to_device ? addrs[i].addr : vram);
		copy.dst = cpu_to_le64(to_device ? vram : addrs[i].addr);
		copy.size = cpu_to_le64(size);
		if (!addrs[i].addr)
			copy.op = cpu_to_le32(GPU_COPY_OP_CLEAR);
		else if (addrs[i].proto != DEVMEM_INTERCONNECT_VRAM)
			copy.flags = cpu_to_le32(to_device ? GPU_COPY_SRC_SYSTEM :
							     GPU_COPY_DST_SYSTEM);
		devmem_copy_add(dm, &copy);
		*bytes += size;
	}
	return dm ? devmem_copy_end(dm) : 0;
}

static int devmem_migrate_copy_to_device(struct page **pages,
					 struct drm_pagemap_addr *addrs,
					 unsigned long npages,
					 struct dma_fence *pre_migrate_fence)
{
	u64 bytes = 0;

	return devmem_migrate_copy(pages, addrs, npages, true, &bytes);
}

/* The allocation that the first device page of an array is in, or NULL */
static struct devmem_bo *devmem_migrate_first_bo(struct page **pages,
						 unsigned long npages)
{
	struct devmem_device *dm;
	unsigned long i;

	for (i = 0; i < npages; i++) {
		if (!pages[i])
			continue;
		dm = devmem_migrate_page_to_devmem(pages[i]);
		return devmem_vram_find(dm, devmem_region_page_to_vram(dm, pages[i]));
	}
	return NULL;
}

/* What a copy goes to: DRM_INTERCONNECT_SYSTEM or DEVMEM_INTERCONNECT_* */
static u64 devmem_migrate_copy_proto(const struct drm_pagemap_addr *addrs,
				     unsigned long npages)
{
	unsigned long i;

	for (i = 0; i < npages; i++)
		if (addrs[i].addr)
			return addrs[i].proto;
	return DRM_INTERCONNECT_SYSTEM;
}

/*
 * Of a CPU fault, of eviction, to a peer, or between allocations of the same device;
 * all of an array goes to the same place.
 */
static int devmem_migrate_copy_to_ram(struct page **pages,
				      struct drm_pagemap_addr *addrs,
				      unsigned long npages,
				      struct dma_fence *pre_migrate_fence)
{
	struct devmem_bo *bo = devmem_migrate_first_bo(pages, npages);
	enum devmem_trigger trigger = DEVMEM_TRIGGER_CPU_FAULT;
	ktime_t start = ktime_get();
	u64 bytes = 0, proto;
	int err;

	err = devmem_migrate_copy(pages, addrs, npages, false, &bytes);
	if (!bo)
		return err;

	proto = devmem_migrate_copy_proto(addrs, npages);
	if (proto != DRM_INTERCONNECT_SYSTEM)
		trigger = DEVMEM_TRIGGER_PEER;
	else if (READ_ONCE(bo->evictor) == current)
		trigger = READ_ONCE(bo->trigger);
	trace_devmem_migrate(bo->vmid, bo->va, false, trigger, bytes, err,
			     ktime_to_ns(ktime_sub(ktime_get(), start)));
	/* Within the device nothing has left it. */
	if (err || !bo->stats || proto == DEVMEM_INTERCONNECT_VRAM)
		return err;

	if (trigger == DEVMEM_TRIGGER_EVICTION)
		devmem_stats_add(bo->stats, DEVMEM_STAT_EVICTED_BYTES, bytes);
	else if (trigger == DEVMEM_TRIGGER_PEER)
		devmem_stats_add(bo->stats, DEVMEM_STAT_TO_PEER_BYTES, bytes);
	else
		devmem_stats_add(bo->stats, DEVMEM_STAT_TO_SYSTEM_BYTES, bytes);
	if (bytes && trigger == DEVMEM_TRIGGER_CPU_FAULT)
		devmem_stats_add(bo->stats, DEVMEM_STAT_CPU_FAULTS, 1);
	return 0;
}

static const struct drm_pagemap_devmem_ops devmem_migrate_devmem_ops = {
	.devmem_release = devmem_migrate_release,
	.populate_devmem_mpfn = devmem_migrate_populate,
	.copy_to_devmem = devmem_migrate_copy_to_device,
	.copy_to_ram = devmem_migrate_copy_to_ram,
};

/*
 * Called with the mmap lock of @mm and a reference to its users. @vm is NULL when
 * somebody else asks.
 */
static int devmem_migrate_locked(struct devmem_device *dm, struct devmem_vm *vm,
				 struct mm_struct *mm, unsigned long start,
				 unsigned long end, unsigned long timeslice_ms,
				 enum devmem_trigger trigger)
{
	struct devmem_stats *stats = vm ? vm->stats : NULL;
	struct drm_pagemap_migrate_details details = {
		.timeslice_ms = timeslice_ms,
		.can_migrate_same_pagemap = true,
	};
	ktime_t begin = ktime_get();
	struct devmem_bo *bo;
	bool used;
	int idx, err;

	if (!drm_dev_enter(&dm->drm, &idx))
		return -ENODEV;
	/* Whoever it is for can have entered another device. */
	if (!devmem_pm_try_enter(dm)) {
		err = -EAGAIN;
		goto out_dev;
	}

	bo = devmem_vram_alloc(dm, end - start, stats);
	if (IS_ERR(bo)) {
		err = PTR_ERR(bo);
		goto out;
	}
	err = devmem_region_populate(dm, devmem_vram_addr(bo), end - start);
	if (err) {
		devmem_vram_put(bo);
		goto out;
	}
	bo->populated = end - start;
	bo->vmid = vm ? vm->vmid : 0;
	bo->va = start;
	drm_pagemap_devmem_init(&bo->devmem, dm->hw.dev, &devmem_migrate_devmem_ops,
				&dm->pagemap.base, end - start, NULL);
	devmem_vram_set_ready(bo);
	kref_get(&bo->kref);
	/* Takes a reference to bo. */
	err = drm_pagemap_migrate_to_devmem(&bo->devmem, mm, start, end, &details);
	/* Not if all of it was on the device already. */
	used = !completion_done(&bo->devmem.detached);
	if (!err && used && stats) {
		devmem_stats_add(stats, DEVMEM_STAT_TO_DEVICE_COUNT, 1);
		devmem_stats_add(stats, DEVMEM_STAT_TO_DEVICE_BYTES, end - start);
	}
	if (err || used)
		trace_devmem_migrate(bo->vmid, start, true, trigger, end - start, err,
				     ktime_to_ns(ktime_sub(ktime_get(), begin)));
	devmem_vram_put(bo);
out:
	devmem_pm_exit(dm);
out_dev:
	drm_dev_exit(idx);
	return err;
}

static int devmem_migrate_populate_mm(struct drm_pagemap *dpagemap,
				      unsigned long start, unsigned long end,
				      struct mm_struct *mm,
				      unsigned long timeslice_ms)
{
	return devmem_migrate_locked(devmem_pagemap_to_devmem(dpagemap), NULL, mm, start,
				     end, timeslice_ms, DEVMEM_TRIGGER_PEER);
}

static void devmem_migrate_destroy(struct drm_pagemap *dpagemap,
				   bool is_atomic_or_reclaim)
{
	devmem_pagemap_released(devmem_pagemap_to_devmem(dpagemap));
}

/* What drm_gpusvm and other drivers do with memory of this device */
const struct drm_pagemap_ops devmem_migrate_pagemap_ops = {
	.device_map = devmem_migrate_device_map,
	.device_unmap = devmem_migrate_device_unmap,
	.populate_mm = devmem_migrate_populate_mm,
	.destroy = devmem_migrate_destroy,
};

/**
 * devmem_migrate_to_device() - migrate memory of a VM's process to the device
 * @vm: the VM, with device memory
 * @start: first virtual address
 * @end: end, exclusive; the size is one of the chunk sizes
 * @trigger: why
 *
 * Context: process context; takes the mmap lock.
 *
 * Return: 0 when all of it is on the device. Else a negative error, and the
 * memory stays where it is: -EBUSY (pinned or changing), -ENOSPC, -ENOMEM,
 * -EFAULT (the process has exited), -ENODEV, -ENOENT, -EAGAIN (the system is about to
 * sleep).
 */
int devmem_migrate_to_device(struct devmem_vm *vm, unsigned long start,
			     unsigned long end, enum devmem_trigger trigger)
{
	struct mm_struct *mm = vm->svm.mm;
	int err;

	if (!mmget_not_zero(mm))
		return -EFAULT;
	mmap_read_lock(mm);
	err = devmem_migrate_locked(vm->dm, vm, mm, start, end, 0, trigger);
	mmap_read_unlock(mm);
	mmput(mm);

	if (err)
		devmem_stats_add(vm->stats, DEVMEM_STAT_TO_DEVICE_FAILED, 1);
	return err;
}
