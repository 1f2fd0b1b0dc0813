// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_drv.h>
#include <linux/hmm.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>
#include <uapi/drm/devmem_drm.h>

#include "devmem_device.h"
#include "devmem_residency.h"
#include "devmem_vm.h"

/**
 * DOC: Residency
 *
 * Where the memory of a process is at the moment, page by page. hmm_range_fault() reads
 * that from the page tables of the CPU without faulting anything in, and the page table
 * of the VM adds what the GPU may do. Nothing is held while the result is used: a page
 * can have moved by then, so its struct page is good for its address only.
 *
 * Who asks is QUERY_RESIDENCY, and prefetches, which count what they have achieved.
 * A prefetch to the system works on what was found: allocations of the device are
 * evicted, and pages of peers are faulted in.
 */

/* Longest range that one residency query looks at, in bytes */
#define DEVMEM_RESIDENCY_MAX	SZ_1G

static bool devmem_residency_invalidate(struct mmu_interval_notifier *mni,
					const struct mmu_notifier_range *range,
					unsigned long cur_seq)
{
	/* Nothing is kept of the pages that are looked at. */
	mmu_interval_set_seq(mni, cur_seq);
	return true;
}

static const struct mmu_interval_notifier_ops devmem_residency_notifier_ops = {
	.invalidate = devmem_residency_invalidate,
};

static u8 devmem_residency_of(struct devmem_vm *vm, unsigned long va,
			      unsigned long hmm_pfn)
{
	u64 pte = devmem_pt_query(vm, va);
	u8 state = DRM_DEVMEM_LOCATION_NONE;

	if (hmm_pfn & HMM_PFN_VALID) {
		struct page *page = hmm_pfn_to_page(hmm_pfn);

		if (!is_device_private_page(page))
			state = DRM_DEVMEM_LOCATION_SYSTEM;
		else if (devmem_region_has_page(&vm->dm->region.pagemap, page))
			state = DRM_DEVMEM_LOCATION_DEVICE;
		else
			state = DRM_DEVMEM_LOCATION_PEER;
		if (hmm_pfn & HMM_PFN_WRITE)
			state |= DRM_DEVMEM_RESIDENCY_CPU_WRITE;
		if (hmm_pfn_to_map_order(hmm_pfn))
			state |= DRM_DEVMEM_RESIDENCY_LARGE;
	}
	if (pte & GPU_PTE_VALID)
		state |= DRM_DEVMEM_RESIDENCY_GPU_MAPPED;
	if (pte & GPU_PTE_WRITE)
		state |= DRM_DEVMEM_RESIDENCY_GPU_WRITE;
	return state;
}

/* hmm_range_fault() without interest in what happens afterwards */
static int devmem_residency_look(struct devmem_vm *vm, struct hmm_range *range)
{
	struct mmu_interval_notifier notifier;
	int err;

	err = mmu_interval_notifier_insert(&notifier, vm->svm.mm, range->start,
					   range->end - range->start,
					   &devmem_residency_notifier_ops);
	if (err)
		return err;

	range->notifier = &notifier;
	err = hmm_range_fault_unlocked_timeout(range,
					       msecs_to_jiffies(HMM_RANGE_DEFAULT_TIMEOUT));
	mmu_interval_notifier_remove(&notifier);
	return err;
}

/* Residency of each page of @range, up to DEVMEM_RESIDENCY_BATCH bytes */
static int devmem_residency_look_batch(struct devmem_vm *vm, struct hmm_range *range,
				       u8 *state)
{
	unsigned long npages = (range->end - range->start) >> PAGE_SHIFT, i;
	int err;

	memset(range->hmm_pfns, 0, npages * sizeof(*range->hmm_pfns));
	err = devmem_residency_look(vm, range);
	/* Pages can be freed once the mmap lock is dropped; look, don't follow. */
	for (i = 0; !err && i < npages; i++)
		state[i] = devmem_residency_of(vm, range->start + i * PAGE_SIZE,
					       range->hmm_pfns[i]);
	return err;
}

/* Evict what holds the device pages that a residency batch has found. */
static void devmem_residency_evict(struct devmem_vm *vm, const struct hmm_range *range,
				   enum devmem_trigger trigger)
{
	unsigned long npages = (range->end - range->start) >> PAGE_SHIFT, i;
	struct devmem_bo *bo, *last = NULL;
	struct page *page;

	for (i = 0; i < npages; i++) {
		if (!(range->hmm_pfns[i] & HMM_PFN_VALID))
			continue;
		page = hmm_pfn_to_page(range->hmm_pfns[i]);
		if (!is_device_private_page(page) ||
		    !devmem_region_has_page(&vm->dm->region.pagemap, page))
			continue;
		/* The page may be gone by now; its address says where it was. */
		bo = devmem_vram_get(vm->dm, devmem_region_page_to_vram(vm->dm, page));
		if (bo && bo != last)
			devmem_vram_evict(vm->dm, bo, trigger);
		if (last)
			devmem_vram_put(last);
		last = bo;
	}
	if (last)
		devmem_vram_put(last);
}

/*
 * Bring back what a residency batch has found on peers, as a fault of the CPU on
 * these pages alone would.
 */
static void devmem_residency_fault(struct devmem_vm *vm, const struct hmm_range *found,
				   const u8 *state)
{
	unsigned long npages = (found->end - found->start) >> PAGE_SHIFT, i;
	struct hmm_range range = {
		.hmm_pfns = found->hmm_pfns,
		.pfn_flags_mask = HMM_PFN_REQ_FAULT,
		.start = found->start,
		.end = found->end,
	};
	bool any = false;

	for (i = 0; i < npages; i++) {
		bool peer = (state[i] & DRM_DEVMEM_RESIDENCY_LOCATION) ==
			    DRM_DEVMEM_LOCATION_PEER;

		range.hmm_pfns[i] = peer ? HMM_PFN_REQ_FAULT : 0;
		any |= peer;
	}
	/* Whatever comes of it is looked at afterwards. */
	if (any)
		devmem_residency_look(vm, &range);
}

/**
 * devmem_residency_settle() - count the pages at a location, and bring others back
 * @vm: the VM
 * @start: first virtual address, aligned to pages
 * @end: end, exclusive, aligned to pages, DEVMEM_RESIDENCY_BATCH on at most
 * @location: enum drm_devmem_location; with SYSTEM what is on the device is
 *	brought back first, as a whole allocation each
 * @peer: for PEER, which one
 * @trigger: why
 * @bytes: where to add how much of the range is at @location
 *
 * Context: process context; the caller has a reference to the users of the
 * process's memory. Allocates memory and takes the mmap lock.
 *
 * Return: 0, -EBUSY (kept changing), -EFAULT, -ENOMEM.
 */
int devmem_residency_settle(struct devmem_vm *vm, unsigned long start, unsigned long end,
			    u32 location, struct drm_pagemap *peer, enum devmem_trigger trigger,
			    u64 *bytes)
{
	unsigned long npages = (end - start) >> PAGE_SHIFT, i;
	struct hmm_range range = {
		.dev_private_owner = vm->dm->peer.owner,
		.start = start,
		.end = end,
	};
	u8 *state;
	int err = -ENOMEM;

	range.hmm_pfns = kvmalloc_objs(*range.hmm_pfns, npages);
	state = kmalloc(npages, GFP_KERNEL);
	if (!range.hmm_pfns || !state)
		goto out;

	if (location == DRM_DEVMEM_LOCATION_SYSTEM) {
		err = devmem_residency_look_batch(vm, &range, state);
		if (err)
			goto out;
		devmem_residency_evict(vm, &range, trigger);
		devmem_residency_fault(vm, &range, state);
	}
	err = devmem_residency_look_batch(vm, &range, state);
	for (i = 0; !err && i < npages; i++)
		if ((state[i] & DRM_DEVMEM_RESIDENCY_LOCATION) == location &&
		    (!peer || devmem_region_has_page(peer->pagemap,
						     hmm_pfn_to_page(range.hmm_pfns[i]))))
			*bytes += PAGE_SIZE;
out:
	kfree(state);
	kvfree(range.hmm_pfns);
	return err;
}

/* State of @npages pages to @out, one byte for each */
static int devmem_residency_query(struct devmem_vm *vm, unsigned long start,
				  unsigned long npages, u8 __user *out)
{
	struct hmm_range range = { .dev_private_owner = vm->dm->peer.owner };
	const unsigned long batch = PHYS_PFN(DEVMEM_RESIDENCY_BATCH);
	unsigned long done, n;
	u8 *state = NULL;
	int idx, err = -ENOMEM;

	if (!mmget_not_zero(vm->svm.mm))
		return -ESRCH;

	range.hmm_pfns = kvmalloc_objs(*range.hmm_pfns, batch);
	state = kmalloc(batch, GFP_KERNEL);
	if (!range.hmm_pfns || !state)
		goto out;

	for (done = 0, err = 0; !err && done < npages; done += n) {
		n = min(npages - done, batch);
		range.start = start + done * PAGE_SIZE;
		range.end = range.start + n * PAGE_SIZE;
		/* It looks into the page table of the GPU; the copy can take any time. */
		if (!drm_dev_enter(&vm->dm->drm, &idx)) {
			err = -ENODEV;
			break;
		}
		err = devmem_residency_look_batch(vm, &range, state);
		drm_dev_exit(idx);
		if (!err && copy_to_user(out + done, state, n))
			err = -EFAULT;
		/* One that goes on afterwards would have to start at the beginning. */
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
	}
out:
	kfree(state);
	kvfree(range.hmm_pfns);
	mmput(vm->svm.mm);
	return err;
}

/**
 * devmem_residency_ioctl() - DRM_IOCTL_DEVMEM_QUERY_RESIDENCY
 * @drm: the DRM device
 * @data: struct drm_devmem_query_residency
 * @file: the open file
 *
 * Return: 0 or a negative error, see the uapi header.
 */
int devmem_residency_ioctl(struct drm_device *drm, void *data,
			   struct drm_file *file)
{
	struct drm_devmem_query_residency *args = data;
	struct devmem_vm *vm;
	int err;

	if (args->flags || !args->length ||
	    !PAGE_ALIGNED(args->addr | args->length))
		return -EINVAL;
	if (drm_dev_is_unplugged(drm))
		return -ENODEV;

	vm = devmem_vm_lookup(file->driver_priv, args->vm_id);
	if (!vm)
		return -ENOENT;

	err = devmem_vm_check_range(vm, args->addr, args->length);
	if (!err && args->length > DEVMEM_RESIDENCY_MAX)
		err = -E2BIG;
	if (!err)
		err = devmem_residency_query(vm, args->addr, args->length >> PAGE_SHIFT,
					     u64_to_user_ptr(args->data));
	devmem_vm_put(vm);
	return err;
}
