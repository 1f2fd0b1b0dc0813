// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_drv.h>
#include <drm/drm_print.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <uapi/drm/devmem_drm.h>

#include "devmem_device.h"
#include "devmem_migrate.h"
#include "devmem_residency.h"
#include "devmem_svm.h"
#include "devmem_trace.h"
#include "devmem_vm.h"

/**
 * DOC: Shared virtual memory
 *
 * A VM mirrors the address space of one process. What the GPU uses of it is
 * kept in ranges, of the chunk sizes the device was configured with. A range
 * is made by the first fault in it, and serving the fault is
 *
 * 1. migrate the memory of the range to the device, if it is anonymous and neither
 *    its attributes (devmem_policy.c) nor thrash control (devmem_thrash.c) are
 *    against it; or to another device that the attributes name;
 * 2. get its pages, wherever they are now, mapped for the device;
 * 3. write translations, if nothing has changed meanwhile, else start over.
 *
 * Step 1 can fail for many good reasons (a page is pinned, VRAM is full); the
 * GPU then uses the memory in place.
 *
 * The GPU is given as much right as it asked for. A read gets read-only
 * translations, which leaves the zero page and memory that is shared after
 * fork() alone; a write faults again, and then hmm_range_fault() makes the CPU
 * page table writable first, so that a page shared with a child is copied
 * before the GPU can write it.
 *
 * When the CPU side changes the MMU notifier takes the translations of the
 * whole range away. What was unmapped by the process is removed later, from
 * the next fault, since a range can't go away inside its own notifier.
 *
 * Faults in different ranges are served at the same time. A range is looked up, or
 * made, under a lock of the VM that no migration is under, and then has a lock of its
 * own. It can have been removed before a fault that found it gets that; the fault
 * then starts over.
 */

/* Ranges in a window of this size share an MMU notifier; see drm_gpusvm. */
#define DEVMEM_SVM_NOTIFIER_SIZE	SZ_512M

/*
 * A fault starts over when the CPU side changes while it is being served. That
 * can repeat, but each time somebody else got on. After this long the GPU gets
 * an error rather than the worker a livelock.
 */
#define DEVMEM_SVM_FAULT_TIMEOUT	(30 * HZ)

/* An atomic that needs device memory fails when it could not be had so often. */
#define DEVMEM_SVM_ATOMIC_TRIES	3

/* A range that is busy when its pin ends is looked at again after this long. */
#define DEVMEM_SVM_UNPIN_RETRY		(100 * NSEC_PER_MSEC)

/* Memory is left where it is when HMM did not come to an end so often in a row. */
#define DEVMEM_SVM_BUSY_TRIES	2

static struct devmem_vm *devmem_svm_to_vm(struct drm_gpusvm *gpusvm)
{
	return container_of(gpusvm, struct devmem_vm, svm);
}

static struct devmem_range *to_devmem_range(struct drm_gpusvm_range *range)
{
	return container_of(range, struct devmem_range, base);
}

/* End of the addresses of a VM, exclusive */
static unsigned long devmem_svm_end(struct devmem_vm *vm)
{
	return vm->svm.mm_start + vm->svm.mm_range;
}

static unsigned long devmem_svm_range_pages(struct devmem_range *range)
{
	return drm_gpusvm_range_size(&range->base) >> PAGE_SHIFT;
}

static struct drm_gpusvm_range *devmem_svm_range_alloc(struct drm_gpusvm *gpusvm)
{
	struct devmem_range *range = kzalloc_obj(*range);

	if (!range)
		return NULL;
	INIT_LIST_HEAD(&range->gc_link);
	mutex_init(&range->lock);
	drm_gpusvm_init_pages(&range->pages, &devmem_svm_to_vm(gpusvm)->dm->drm);
	return &range->base;
}

static void devmem_svm_range_free(struct drm_gpusvm_range *base)
{
	struct devmem_range *range = to_devmem_range(base);

	drm_gpusvm_free_pages(base->gpusvm, &range->pages,
			      devmem_svm_range_pages(range));
	mutex_destroy(&range->lock);
	kfree(range);
}

/**
 * devmem_svm_first_range() - the lowest range that touches some memory
 * @vm: the VM
 * @start: first virtual address
 * @end: end, exclusive
 *
 * To go over ranges, with devmem_svm_next_range(). Who stops before the last one has a
 * reference to drop. No lock is held between the two: the range can have been removed,
 * and ranges come and go meanwhile.
 *
 * Context: process context; takes &devmem_vm.ranges_lock.
 *
 * Return: the range with a reference, or NULL.
 */
struct devmem_range *devmem_svm_first_range(struct devmem_vm *vm, unsigned long start,
					    unsigned long end)
{
	struct drm_gpusvm_range *range = NULL;
	struct drm_gpusvm_notifier *notifier;

	mutex_lock(&vm->ranges_lock);
	drm_gpusvm_for_each_notifier(notifier, &vm->svm, start, end) {
		range = drm_gpusvm_range_find(notifier, start, end);
		if (range)
			break;
	}
	if (range)
		drm_gpusvm_range_get(range);
	mutex_unlock(&vm->ranges_lock);
	return range ? to_devmem_range(range) : NULL;
}

/**
 * devmem_svm_next_range() - the range behind another one
 * @vm: the VM
 * @range: the other one; the reference to it is dropped
 * @end: end, exclusive, of the memory that the next one has to touch
 *
 * Context: as devmem_svm_first_range().
 *
 * Return: the range with a reference, or NULL.
 */
struct devmem_range *devmem_svm_next_range(struct devmem_vm *vm, struct devmem_range *range,
					   unsigned long end)
{
	unsigned long start = drm_gpusvm_range_end(&range->base);

	drm_gpusvm_range_put(&range->base);
	return start < end ? devmem_svm_first_range(vm, start, end) : NULL;
}

/* Take the translations of a range away; true if the TLB may have some. */
static bool devmem_svm_range_zap(struct devmem_vm *vm, struct devmem_range *range)
{
	lockdep_assert_held(&vm->svm.notifier_lock);
	if (!range->mapped)
		return false;
	range->mapped = false;
	range->writable = false;
	range->atomic = false;
	devmem_pt_zap(vm, drm_gpusvm_range_start(&range->base),
		      drm_gpusvm_range_end(&range->base));
	return true;
}

static void devmem_svm_invalidate_end(struct devmem_vm *vm, struct devmem_range *range,
				      const struct mmu_notifier_range *mmu_range)
{
	struct drm_gpusvm_ctx ctx = { .in_notifier = true };

	drm_gpusvm_unmap_pages(&vm->svm, &range->pages,
			       devmem_svm_range_pages(range), &ctx);
	if (mmu_range->event != MMU_NOTIFY_UNMAP)
		return;

	drm_gpusvm_range_set_unmapped(&range->base, &range->pages, 1, mmu_range);
	spin_lock(&vm->gc_lock);
	if (list_empty(&range->gc_link))
		list_add_tail(&range->gc_link, &vm->gc_list);
	spin_unlock(&vm->gc_lock);
}

/* How much of a range the GPU uses in memory of a kind, in pages */
static unsigned long devmem_svm_count_pages(struct devmem_range *range, u64 proto)
{
	unsigned long npages = devmem_svm_range_pages(range), found = 0, i, j;

	lockdep_assert_held(&range->base.gpusvm->notifier_lock);
	if (!range->mapped)
		return 0;
	for (i = 0, j = 0; i < npages; j++) {
		const struct drm_pagemap_addr *addr = &range->pages.dma_addr[j];

		if (addr->proto == proto)
			found += 1ul << addr->order;
		i += 1ul << addr->order;
	}
	return found;
}

/**
 * devmem_svm_device_pages() - how much of a range the GPU uses in device memory
 * @range: the range
 *
 * Context: &drm_gpusvm.notifier_lock held.
 *
 * Return: pages in memory of this device; 0 if the GPU has no translations.
 */
unsigned long devmem_svm_device_pages(struct devmem_range *range)
{
	return devmem_svm_count_pages(range, DEVMEM_INTERCONNECT_VRAM);
}

/*
 * The CPU page table changes: the GPU must be done with the old pages when this
 * returns. In order: no translation in the page table, none in the TLB, none in
 * the IOMMU.
 */
static void devmem_svm_invalidate(struct drm_gpusvm *gpusvm,
				  struct drm_gpusvm_notifier *notifier,
				  const struct mmu_notifier_range *mmu_range)
{
	unsigned long start = max(mmu_range->start, drm_gpusvm_notifier_start(notifier));
	unsigned long end = min(mmu_range->end, drm_gpusvm_notifier_end(notifier));
	struct devmem_vm *vm = devmem_svm_to_vm(gpusvm);
	unsigned long tlb_start = ULONG_MAX, tlb_end = 0;
	struct drm_gpusvm_range *first, *r;

	lockdep_assert_held_write(&gpusvm->notifier_lock);
	/* The page stays where it is, see devmem_svm_range_seize(). */
	if (mmu_range->event == MMU_NOTIFY_EXCLUSIVE && mmu_range->owner == vm)
		return;
	first = drm_gpusvm_range_find(notifier, start, end);
	if (!first)
		return;

	r = first;
	drm_gpusvm_for_each_range(r, notifier, start, end) {
		if (mmu_range->event == MMU_NOTIFY_MIGRATE &&
		    devmem_svm_device_pages(to_devmem_range(r)))
			to_devmem_range(r)->taken = true;
		if (!devmem_svm_range_zap(vm, to_devmem_range(r)))
			continue;
		tlb_start = min(tlb_start, drm_gpusvm_range_start(r));
		tlb_end = max(tlb_end, drm_gpusvm_range_end(r));
		devmem_stats_add(vm->stats, DEVMEM_STAT_INVALIDATIONS, 1);
		trace_devmem_invalidate(vm->vmid, drm_gpusvm_range_start(r),
					drm_gpusvm_range_end(r), mmu_range->event);
	}
	if (tlb_end)
		devmem_hw_tlb_invalidate(vm->dm, vm->vmid, tlb_start, tlb_end);
	devmem_stop_at(&vm->dm->stop, DEVMEM_STOP_INVALIDATE);

	r = first;
	drm_gpusvm_for_each_range(r, notifier, start, end)
		devmem_svm_invalidate_end(vm, to_devmem_range(r), mmu_range);
}

static const struct drm_gpusvm_ops devmem_svm_ops = {
	.range_alloc = devmem_svm_range_alloc,
	.range_free = devmem_svm_range_free,
	.invalidate = devmem_svm_invalidate,
};

/**
 * devmem_svm_range_unmap() - make sure that the GPU does not use a range
 * @vm: the VM
 * @range: the range
 *
 * Its pages are given up, too. The next fault gets them anew.
 *
 * Context: process context; &devmem_range.lock held.
 */
void devmem_svm_range_unmap(struct devmem_vm *vm, struct devmem_range *range)
{
	struct drm_gpusvm_ctx ctx = {};
	bool flush;

	drm_gpusvm_notifier_lock(&vm->svm);
	flush = devmem_svm_range_zap(vm, range);
	if (flush)
		devmem_hw_tlb_invalidate(vm->dm, vm->vmid,
					 drm_gpusvm_range_start(&range->base),
					 drm_gpusvm_range_end(&range->base));
	drm_gpusvm_notifier_unlock(&vm->svm);
	drm_gpusvm_unmap_pages(&vm->svm, &range->pages,
			       devmem_svm_range_pages(range), &ctx);
}

/*
 * The GPU gets another chance to have the range on the device. Returns when to look
 * at it again, in nanoseconds.
 */
static u64 devmem_svm_range_unpin(struct devmem_vm *vm, struct devmem_range *range, u64 now)
{
	u64 next = U64_MAX;

	if (!READ_ONCE(range->pinned))
		return U64_MAX;
	/* To serve a fault can take long, and other ranges are to be unpinned. */
	if (!mutex_trylock(&range->lock))
		return now + DEVMEM_SVM_UNPIN_RETRY;
	if (devmem_thrash_pinned(&range->thrash, now)) {
		next = range->thrash.until;
	} else {
		WRITE_ONCE(range->pinned, false);
		devmem_svm_range_unmap(vm, range);
	}
	mutex_unlock(&range->lock);
	return next;
}

/* Unpin in so many nanoseconds; who is pinned meanwhile comes first if it is due before. */
static void devmem_svm_unpin_in(struct devmem_vm *vm, u64 ns)
{
	queue_delayed_work(system_dfl_wq, &vm->unpin_work,
			   nsecs_to_jiffies(min(ns, vm->dm->thrash.pin)) + 1);
}

static void devmem_svm_unpin_work(struct work_struct *work)
{
	struct devmem_vm *vm = container_of(to_delayed_work(work), struct devmem_vm,
					    unpin_work);
	u64 now = ktime_get_ns(), next = U64_MAX;
	struct devmem_range *range;

	for (range = devmem_svm_first_range(vm, 0, ULONG_MAX); range;
	     range = devmem_svm_next_range(vm, range, ULONG_MAX))
		next = min(next, devmem_svm_range_unpin(vm, range, now));
	if (next != U64_MAX)
		devmem_svm_unpin_in(vm, next - now);
}

/**
 * devmem_svm_init() - mirror the current process
 * @vm: the VM
 *
 * Return: 0 or a negative error.
 */
int devmem_svm_init(struct devmem_vm *vm)
{
	int err;

	INIT_LIST_HEAD(&vm->gc_list);
	spin_lock_init(&vm->gc_lock);
	mutex_init(&vm->ranges_lock);
	INIT_DELAYED_WORK(&vm->unpin_work, devmem_svm_unpin_work);
	err = drm_gpusvm_init(&vm->svm, "devmem", current->mm, 0,
			      min(current->mm->task_size, 1ul << GPU_VA_BITS),
			      DEVMEM_SVM_NOTIFIER_SIZE, &devmem_svm_ops,
			      vm->dm->chunk_sizes, vm->dm->num_chunks);
	if (err)
		mutex_destroy(&vm->ranges_lock);
	else
		drm_gpusvm_driver_set_lock(&vm->svm, &vm->ranges_lock);
	return err;
}

/**
 * devmem_svm_unmap_all() - take all memory away from the GPU
 * @vm: the VM; nothing can serve faults on it any more
 *
 * Afterwards the MMU notifier finds nothing to do for the hardware.
 *
 * Context: process context; takes &devmem_range.lock.
 */
void devmem_svm_unmap_all(struct devmem_vm *vm)
{
	struct devmem_range *range;

	for (range = devmem_svm_first_range(vm, 0, ULONG_MAX); range;
	     range = devmem_svm_next_range(vm, range, ULONG_MAX)) {
		mutex_lock(&range->lock);
		devmem_svm_range_unmap(vm, range);
		mutex_unlock(&range->lock);
	}
}

/**
 * devmem_svm_fini() - end the mirror
 * @vm: the VM, after devmem_svm_unmap_all()
 *
 * Context: process context; takes &devmem_vm.ranges_lock.
 */
void devmem_svm_fini(struct devmem_vm *vm)
{
	cancel_delayed_work_sync(&vm->unpin_work);
	mutex_lock(&vm->ranges_lock);
	drm_gpusvm_fini(&vm->svm);
	mutex_unlock(&vm->ranges_lock);
	mutex_destroy(&vm->ranges_lock);
}

/*
 * Remove a range, which the notifier can put on the list of garbage until it is
 * out of the notifier's tree. Whoever waits for its lock has a reference.
 */
static void devmem_svm_range_remove(struct devmem_vm *vm, struct devmem_range *range)
{
	lockdep_assert_held(&range->lock);
	if (range->removed)
		return;
	range->removed = true;
	devmem_svm_range_unmap(vm, range);
	mutex_lock(&vm->ranges_lock);
	drm_gpusvm_range_remove(&vm->svm, &range->base);
	mutex_unlock(&vm->ranges_lock);

	spin_lock(&vm->gc_lock);
	list_del_init(&range->gc_link);
	spin_unlock(&vm->gc_lock);
}

/**
 * devmem_svm_remove_ranges() - remove all ranges that touch some memory
 * @vm: the VM
 * @start: first virtual address
 * @end: end, exclusive
 *
 * The memory stays where it is. The GPU faults on it and gets new ranges.
 *
 * Context: process context; takes &devmem_range.lock, which a fault holds for as
 * long as it takes to serve it.
 *
 * Return: 0, or -EINTR when the thread is killed.
 */
int devmem_svm_remove_ranges(struct devmem_vm *vm, unsigned long start,
			     unsigned long end)
{
	struct devmem_range *range;
	int err;

	for (range = devmem_svm_first_range(vm, start, end); range;
	     range = devmem_svm_next_range(vm, range, end)) {
		err = mutex_lock_killable(&range->lock);
		if (err) {
			drm_gpusvm_range_put(&range->base);
			return err;
		}
		devmem_svm_range_remove(vm, range);
		mutex_unlock(&range->lock);
	}
	return 0;
}

/**
 * devmem_svm_ban() - let the GPU access nothing any more
 * @vm: the VM
 *
 * Does not wait for faults that are being served: they find no way to end well.
 *
 * Context: process context; takes &devmem_vm.ranges_lock and the notifier lock.
 */
void devmem_svm_ban(struct devmem_vm *vm)
{
	struct drm_gpusvm_notifier *notifier;

	mutex_lock(&vm->ranges_lock);
	down_write(&vm->svm.notifier_lock);
	WRITE_ONCE(vm->banned, true);
	drm_gpusvm_for_each_notifier(notifier, &vm->svm, 0, devmem_svm_end(vm)) {
		struct drm_gpusvm_range *range = NULL;

		drm_gpusvm_for_each_range(range, notifier, 0, devmem_svm_end(vm))
			devmem_svm_range_zap(vm, to_devmem_range(range));
	}
	devmem_hw_tlb_invalidate(vm->dm, vm->vmid, 0, 1ull << GPU_VA_BITS);
	up_write(&vm->svm.notifier_lock);
	mutex_unlock(&vm->ranges_lock);
}

/*
 * Remove ranges whose memory the process has unmapped, but for those which are in
 * use: to serve a fault can take long, and the fault removes them itself.
 */
static void devmem_svm_collect_garbage(struct devmem_vm *vm)
{
	struct devmem_range *range;
	LIST_HEAD(seen);

	spin_lock(&vm->gc_lock);
	while ((range = list_first_entry_or_null(&vm->gc_list, struct devmem_range,
						 gc_link))) {
		list_move_tail(&range->gc_link, &seen);
		drm_gpusvm_range_get(&range->base);
		spin_unlock(&vm->gc_lock);
		if (mutex_trylock(&range->lock)) {
			devmem_svm_range_remove(vm, range);
			mutex_unlock(&range->lock);
		}
		drm_gpusvm_range_put(&range->base);
		spin_lock(&vm->gc_lock);
	}
	list_splice(&seen, &vm->gc_list);
	spin_unlock(&vm->gc_lock);
}

/**
 * struct devmem_svm_request - what is to be served
 * @fault: of the GPU, or NULL
 * @va: virtual address
 * @start: a new range may start here; then: start of the range
 * @end: and has to end here; then: end of the range, exclusive
 * @attrs: attributes of @va, found on the way
 * @tries: how often an atomic was not possible where the memory was
 * @write: translations are to allow writing
 * @atomic: it is about an atomic at @va
 * @prefetch: move memory that the GPU can already use where it is
 * @preferred: to where its attributes want it, else to the device
 * @small: a larger range can't be had, look at the page of @va only
 * @stay: leave the memory where it is in the next try
 * @busy: how often in a row HMM did not come to an end in its time
 */
struct devmem_svm_request {
	struct devmem_fault *fault;
	u64 va;
	unsigned long start;
	unsigned long end;
	struct devmem_attrs attrs;
	unsigned int tries;
	bool write;
	bool atomic;
	bool prefetch;
	bool preferred;
	bool small;
	bool stay;
	unsigned int busy;
};

static bool devmem_svm_range_serves(struct devmem_vm *vm, struct devmem_range *range,
				    const struct devmem_svm_request *req)
{
	bool serves;

	drm_gpusvm_notifier_lock(&vm->svm);
	serves = range->mapped && (range->writable || !req->write) &&
		 (range->atomic || !req->atomic);
	drm_gpusvm_notifier_unlock(&vm->svm);
	return serves;
}

static bool devmem_svm_range_is_unmapped(struct devmem_range *range)
{
	struct drm_gpusvm_range_flags flags = {
		/* Pairs with WRITE_ONCE() in drm_gpusvm_range_set_unmapped(). */
		.__flags = READ_ONCE(range->base.flags.__flags),
	};

	return flags.unmapped;
}

/* Are atomics of the GPU ruled out in a page? */
static bool devmem_svm_no_atomic(const struct devmem_attrs *attrs, bool system)
{
	return attrs->atomic == DRM_DEVMEM_ATOMIC_CPU ||
	       ((attrs->atomic == DRM_DEVMEM_ATOMIC_DEVICE ||
		 attrs->atomic == DRM_DEVMEM_ATOMIC_EXCLUSIVE) && system);
}

/* Write the translations of a range whose pages were got. */
static int devmem_svm_range_bind(struct devmem_vm *vm, struct devmem_range *range,
				 const struct devmem_svm_request *req)
{
	unsigned long npages = devmem_svm_range_pages(range), i, j;
	u64 va = drm_gpusvm_range_start(&range->base);
	u64 rights = req->write ? GPU_PTE_WRITE : 0;
	bool atomic = true;
	int err = 0;

	drm_gpusvm_notifier_lock(&vm->svm);
	if (vm->banned) {
		err = -ECANCELED;
		goto out;
	}
	if (!drm_gpusvm_pages_valid(&vm->svm, &range->pages)) {
		err = -EAGAIN;
		goto out;
	}
	for (i = 0, j = 0; i < npages; j++) {
		const struct drm_pagemap_addr *addr = &range->pages.dma_addr[j];
		bool system = addr->proto != DEVMEM_INTERCONNECT_VRAM;
		bool no_atomic = devmem_svm_no_atomic(&req->attrs, system);

		atomic &= !no_atomic;
		devmem_pt_map(vm, va + i * PAGE_SIZE, addr->addr,
			      PAGE_SIZE << addr->order,
			      rights | (system ? GPU_PTE_SYSTEM : 0) |
			      (no_atomic ? GPU_PTE_NO_ATOMIC : 0));
		i += 1ul << addr->order;
	}
	range->mapped = true;
	range->writable = req->write;
	range->atomic = atomic;
	range->hot = 0;
	devmem_access_start(vm);
out:
	drm_gpusvm_notifier_unlock(&vm->svm);
	return err;
}

static int devmem_svm_range_migrate_once(struct devmem_vm *vm, struct devmem_range *range,
					 struct drm_pagemap *peer,
					 enum devmem_trigger trigger)
{
	unsigned long start = drm_gpusvm_range_start(&range->base);
	unsigned long end = drm_gpusvm_range_end(&range->base);

	if (peer)
		return drm_pagemap_populate_mm(peer, start, end, vm->svm.mm, 0);
	return devmem_migrate_to_device(vm, start, end, trigger);
}

/*
 * Move the memory of a range to the device, or to @peer if there is one, if that
 * can be done. What is swapped out or on a device that is not a peer has to come to
 * system memory first.
 */
static void devmem_svm_range_migrate(struct devmem_vm *vm, struct devmem_range *range,
				     struct drm_pagemap *peer, enum devmem_trigger trigger)
{
	if (devmem_svm_range_migrate_once(vm, range, peer, trigger) == -EBUSY &&
	    !drm_gpusvm_range_evict(&vm->svm, &range->base))
		devmem_svm_range_migrate_once(vm, range, peer, trigger);
}

/* Does the GPU use all of a range on the device, or on @peer if there is one? */
static bool devmem_svm_range_is_at(struct devmem_vm *vm, struct devmem_range *range,
				   struct drm_pagemap *peer)
{
	u64 proto = peer ? DEVMEM_INTERCONNECT_PEER : DEVMEM_INTERCONNECT_VRAM;
	bool all;

	drm_gpusvm_notifier_lock(&vm->svm);
	all = devmem_svm_count_pages(range, proto) == devmem_svm_range_pages(range) &&
	      (!peer || range->pages.dpagemap == peer);
	drm_gpusvm_notifier_unlock(&vm->svm);
	return all;
}

/*
 * Is a range to stay in system memory for now, because it goes back and forth
 * too often?
 */
static bool devmem_svm_range_is_damped(struct devmem_vm *vm, struct devmem_range *range)
{
	struct devmem_thrash *thrash = &range->thrash;
	u64 now = ktime_get_ns();
	bool taken;

	lockdep_assert_held(&range->lock);
	drm_gpusvm_notifier_lock(&vm->svm);
	taken = range->taken;
	range->taken = false;
	drm_gpusvm_notifier_unlock(&vm->svm);

	if (taken && !devmem_thrash_pinned(thrash, now)) {
		devmem_stats_add(vm->stats, DEVMEM_STAT_BOUNCES, 1);
		if (devmem_thrash_bounce(thrash, &vm->dm->thrash, now)) {
			WRITE_ONCE(range->pinned, true);
			devmem_stats_add(vm->stats, DEVMEM_STAT_PINS, 1);
			trace_devmem_thrash(vm->vmid, drm_gpusvm_range_start(&range->base),
					    drm_gpusvm_range_end(&range->base),
					    thrash->bounces, thrash->until - now);
			devmem_svm_unpin_in(vm, thrash->until - now);
		}
	}
	return devmem_thrash_pinned(thrash, now);
}

/* Where a request moves its range: enum drm_devmem_location, NONE to leave it. */
static u32 devmem_svm_target(struct devmem_range *range,
			     const struct devmem_svm_request *req)
{
	const struct devmem_attrs *attrs = &req->attrs;

	if (!range->base.flags.migrate_devmem ||
	    attrs->migration == DRM_DEVMEM_MIGRATION_NEVER)
		return DRM_DEVMEM_LOCATION_NONE;
	if (req->prefetch && !req->preferred)
		return DRM_DEVMEM_LOCATION_DEVICE;
	if (req->atomic && attrs->atomic == DRM_DEVMEM_ATOMIC_DEVICE)
		return DRM_DEVMEM_LOCATION_DEVICE;
	if (attrs->migration == DRM_DEVMEM_MIGRATION_ON_PREFETCH && !req->prefetch)
		return DRM_DEVMEM_LOCATION_NONE;
	return devmem_policy_location(attrs);
}

/* Can thrash control overrule a request? Not what a program asked for. */
static bool devmem_svm_may_damp(const struct devmem_svm_request *req)
{
	return !req->prefetch && req->attrs.preferred == DRM_DEVMEM_PREFERRED_DEFAULT &&
	       !(req->atomic && req->attrs.atomic == DRM_DEVMEM_ATOMIC_DEVICE);
}

/* Move a range to where a request wants it, as far as that can be done. */
static void devmem_svm_range_move(struct devmem_vm *vm, struct devmem_range *range,
				  const struct devmem_svm_request *req)
{
	enum devmem_trigger trigger = req->prefetch ? DEVMEM_TRIGGER_PREFETCH :
						      DEVMEM_TRIGGER_GPU_FAULT;
	u64 bytes = 0;

	switch (devmem_svm_target(range, req)) {
	case DRM_DEVMEM_LOCATION_DEVICE:
		if (devmem_svm_may_damp(req) && devmem_svm_range_is_damped(vm, range))
			break;
		devmem_svm_range_migrate(vm, range, NULL, trigger);
		break;
	case DRM_DEVMEM_LOCATION_PEER:
		devmem_svm_range_migrate(vm, range,
					 devmem_policy_device(&vm->policy, &req->attrs),
					 trigger);
		break;
	case DRM_DEVMEM_LOCATION_SYSTEM:
		if (!mmget_not_zero(vm->svm.mm))
			break;
		devmem_residency_settle(vm, req->start, req->end,
					DRM_DEVMEM_LOCATION_SYSTEM, NULL, trigger, &bytes);
		mmput(vm->svm.mm);
		break;
	}
}

/*
 * Take the page of a range away from the CPU and allow atomics there. The range stays
 * mapped as it is: its own notifier is told who does that. Until the page is unlocked
 * the CPU can't get it back.
 */
static int devmem_svm_range_seize(struct devmem_vm *vm, struct devmem_range *range)
{
	unsigned long va = drm_gpusvm_range_start(&range->base);
	struct mm_struct *mm = vm->svm.mm;
	struct folio *folio;
	struct page *page;
	int err = -EAGAIN;

	if (!mmget_not_zero(mm))
		return -EFAULT;
	mmap_read_lock(mm);
	page = make_device_exclusive(mm, va, vm, &folio);
	mmap_read_unlock(mm);
	mmput(mm);
	if (IS_ERR(page))
		return page == ERR_PTR(-EOPNOTSUPP) ? -EACCES : -EAGAIN;

	/* Else the page is another one, or it was split off a huge one just now. */
	drm_gpusvm_notifier_lock(&vm->svm);
	if (range->mapped) {
		devmem_pt_allow_atomic(vm, va);
		range->atomic = true;
		err = 0;
	}
	drm_gpusvm_notifier_unlock(&vm->svm);
	folio_unlock(folio);
	folio_put(folio);
	return err;
}

/*
 * The range is mapped; can the atomic be executed? Memory that has to be on the
 * device for it gets some tries to come there, which a try where it @stayed is none
 * of; a page can be taken from the CPU.
 */
static int devmem_svm_check_atomic(struct devmem_vm *vm, struct devmem_range *range,
				   struct devmem_svm_request *req, bool stayed)
{
	if (!req->atomic || !(devmem_pt_query(vm, req->va) & GPU_PTE_NO_ATOMIC))
		return 0;
	if (req->attrs.atomic == DRM_DEVMEM_ATOMIC_EXCLUSIVE) {
		if (devmem_svm_range_pages(range) == 1) {
			/* It comes for that from wherever it is, a peer for example. */
			req->stay = true;
			return devmem_svm_range_seize(vm, range);
		}
		req->small = true;
		devmem_svm_range_remove(vm, range);
		return -EAGAIN;
	}
	return stayed || ++req->tries < DEVMEM_SVM_ATOMIC_TRIES ? -EAGAIN : -EACCES;
}

/* Is there nothing to do for a request? */
static bool devmem_svm_range_satisfies(struct devmem_vm *vm, struct devmem_range *range,
				       const struct devmem_svm_request *req)
{
	if (!devmem_svm_range_serves(vm, range, req))
		return false;
	if (!req->prefetch)
		return true;

	switch (devmem_svm_target(range, req)) {
	case DRM_DEVMEM_LOCATION_DEVICE:
		return devmem_svm_range_is_at(vm, range, NULL);
	case DRM_DEVMEM_LOCATION_PEER:
		return devmem_svm_range_is_at(vm, range,
					      devmem_policy_device(&vm->policy, &req->attrs));
	default:
		return true;
	}
}

/* The range of a request, with a reference; a new one if there is none. */
static struct devmem_range *devmem_svm_range_get(struct devmem_vm *vm,
						 struct devmem_svm_request *req,
						 const struct drm_gpusvm_ctx *ctx)
{
	struct drm_gpusvm_range *base = ERR_PTR(-ECANCELED);

	mutex_lock(&vm->ranges_lock);
	if (!vm->banned)
		base = drm_gpusvm_range_find_or_insert(&vm->svm, req->va, req->start,
						       req->end, ctx);
	if (!IS_ERR(base))
		drm_gpusvm_range_get(base);
	mutex_unlock(&vm->ranges_lock);
	return IS_ERR(base) ? ERR_CAST(base) : to_devmem_range(base);
}

/* Serve a request in its range; -EAGAIN if it was changed meanwhile. */
static int devmem_svm_range_serve(struct devmem_vm *vm, struct devmem_range *range,
				  struct devmem_svm_request *req,
				  const struct drm_gpusvm_ctx *ctx)
{
	bool stay = req->stay;
	int err;

	lockdep_assert_held(&range->lock);
	if (range->removed)
		return -EAGAIN;
	req->start = drm_gpusvm_range_start(&range->base);
	req->end = drm_gpusvm_range_end(&range->base);
	/*
	 * Who sets attributes removes the ranges that there are then. This one may have
	 * come after that, made for what they were before.
	 */
	req->attrs = devmem_policy_get(&vm->policy, req->va, &req->start, &req->end);
	if (req->end - req->start < drm_gpusvm_range_size(&range->base)) {
		devmem_svm_range_remove(vm, range);
		return -EAGAIN;
	}
	if (req->fault)
		devmem_fault_cover(req->fault, req->start, req->end);
	if (devmem_svm_range_satisfies(vm, range, req))
		return -EALREADY;

	/* It may have pages mapped for reading only. */
	devmem_svm_range_unmap(vm, range);

	err = devmem_pt_prepare(vm, req->start, req->end);
	if (err)
		return err;

	if (!stay)
		devmem_svm_range_move(vm, range, req);
	devmem_stop_at(&vm->dm->stop, DEVMEM_STOP_MIGRATED);

	err = drm_gpusvm_get_pages(&vm->svm, &range->pages, vm->svm.mm,
				   &range->base.notifier->notifier, req->start, req->end, ctx);
	/*
	 * A write unshares pages, and those on the device come to the system for it. If
	 * that takes HMM too long, to move all to the device again would undo it.
	 */
	req->busy = err == -EBUSY ? req->busy + 1 : 0;
	req->stay = req->busy >= DEVMEM_SVM_BUSY_TRIES;
	devmem_stop_at(&vm->dm->stop, DEVMEM_STOP_BIND);
	if (!err)
		err = devmem_svm_range_bind(vm, range, req);
	if (!err)
		err = devmem_svm_check_atomic(vm, range, req, stay);

	/* Unmapped by the process since the garbage was collected: look again. */
	if (err == -EFAULT && devmem_svm_range_is_unmapped(range)) {
		devmem_svm_range_remove(vm, range);
		return -EAGAIN;
	}
	/*
	 * Some other page can be at fault: beyond a file, poisoned, read-only; or
	 * on another device than the rest, which no range can hold.
	 */
	if ((err == -EFAULT || err == -EPERM || err == -EOPNOTSUPP) &&
	    devmem_svm_range_pages(range) > 1) {
		req->small = true;
		devmem_svm_range_remove(vm, range);
		return -EAGAIN;
	}
	/* A page alone: it is of a device that is none of ours. */
	if (err == -EOPNOTSUPP)
		return -EIO;
	/* Pages of the device and others came and went under our hands. */
	return err == -EBUSY ? -EAGAIN : err;
}

/* One try to serve a request; -EAGAIN to try again. */
static int devmem_svm_serve_once(struct devmem_vm *vm, struct devmem_svm_request *req)
{
	struct drm_gpusvm_ctx ctx = {
		.device_private_page_owner = vm->dm->peer.owner,
		.read_only = !req->write,
		.devmem_possible = !!vm->dpagemap,
		.allow_mixed = true,
	};
	struct devmem_range *range;
	int err;

	devmem_svm_collect_garbage(vm);
	req->attrs = devmem_policy_get(&vm->policy, req->va, &req->start, &req->end);
	if (req->atomic && req->attrs.atomic == DRM_DEVMEM_ATOMIC_CPU)
		return -EACCES;
	if (req->small) {
		req->start = ALIGN_DOWN(req->va, PAGE_SIZE);
		req->end = req->start + PAGE_SIZE;
	}
	range = devmem_svm_range_get(vm, req, &ctx);
	if (IS_ERR(range))
		return PTR_ERR(range);

	/* A worker, which nobody kills; but it can wait for long, and that is no hang. */
	err = mutex_lock_killable(&range->lock);
	if (!err) {
		err = devmem_svm_range_serve(vm, range, req, &ctx);
		mutex_unlock(&range->lock);
	}
	drm_gpusvm_range_put(&range->base);
	return err;
}

/* Serve a request, with new tries until @deadline, in jiffies. */
static int devmem_svm_serve(struct devmem_vm *vm, struct devmem_svm_request *req,
			    unsigned long deadline)
{
	unsigned long start = req->start, end = req->end;
	int err;

	do {
		req->start = start;
		req->end = end;
		err = devmem_svm_serve_once(vm, req);
		cond_resched();
	} while (err == -EAGAIN && time_before(jiffies, deadline));
	return err;
}

/**
 * devmem_svm_fault() - serve a GPU fault
 * @vm: the VM
 * @fault: is told by devmem_fault_cover() what is being served
 * @va: virtual address of the access
 * @access: GPU_ACCESS_*
 *
 * Context: process context; takes &devmem_range.lock and what is below.
 *
 * Return: 0 when the access can be retried, -EALREADY when it already could,
 * else why the process may not make it: -ENOENT (nothing mapped), -EPERM
 * (read-only), -EFAULT (no access, or the process has exited), -EIO (device
 * memory of some other kind), -EACCES (atomics are ruled out), -ENOMEM, -ENOSPC,
 * -EAGAIN (kept changing), -ECANCELED (the VM is banned).
 */
int devmem_svm_fault(struct devmem_vm *vm, struct devmem_fault *fault, u64 va, u8 access)
{
	struct devmem_svm_request req = {
		.fault = fault,
		.va = va,
		.end = devmem_svm_end(vm),
		.write = access == GPU_ACCESS_WRITE || access == GPU_ACCESS_ATOMIC,
		.atomic = access == GPU_ACCESS_ATOMIC,
	};
	int err;

	if (va >= req.end)
		return -EFAULT;

	err = devmem_svm_serve(vm, &req, jiffies + DEVMEM_SVM_FAULT_TIMEOUT);
	drm_dbg(&vm->dm->drm, "fault vmid=%u va=%#llx access=%u: %d\n",
		vm->vmid, va, access, err);
	return err;
}

/**
 * devmem_svm_prefetch() - migrate memory to a device and map it for the GPU
 * @vm: the VM
 * @start: address to begin with, aligned to pages; then: where to go on, which
 *	can be beyond @end
 * @end: end, exclusive, aligned to pages
 * @preferred: to the device that its attributes name, else to this one
 * @write: give translations for writing, where the process may write
 * @deadline: in jiffies, no new try starts after it
 *
 * Does one range. A range that the GPU uses already is moved as a whole, a new
 * one is made within the bounds. What cannot migrate is mapped where it is, and
 * a page that the GPU could not use either is passed by.
 *
 * Context: process context; takes &devmem_range.lock and what is below.
 *
 * Return: 0, -ENOMEM, -ENOSPC, -EAGAIN (kept changing), -ECANCELED (banned).
 */
int devmem_svm_prefetch(struct devmem_vm *vm, unsigned long *start, unsigned long end,
			bool preferred, bool write, unsigned long deadline)
{
	struct devmem_svm_request req = {
		.va = *start,
		.start = *start,
		.end = end,
		.write = write,
		.prefetch = true,
		.preferred = preferred,
	};
	int err;

	err = devmem_svm_serve(vm, &req, deadline);
	if (err == -EPERM) {
		req.start = *start;
		req.end = end;
		req.write = false;
		err = devmem_svm_serve(vm, &req, deadline);
	}
	if (err == -ENOMEM || err == -ENOSPC || err == -EAGAIN || err == -ECANCELED)
		return err;

	/* With any other error there is no range to tell where it ends. */
	*start = !err || err == -EALREADY ? req.end : *start + PAGE_SIZE;
	return 0;
}
