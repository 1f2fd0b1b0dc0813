// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <linux/bitmap.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <uapi/drm/devmem_drm.h>

#include "devmem_access.h"
#include "devmem_device.h"
#include "devmem_migrate.h"
#include "devmem_svm.h"
#include "devmem_trace.h"
#include "devmem_vm.h"

/**
 * DOC: Access tracking
 *
 * The GPU sets a bit in each translation that it uses. A work item of each VM reads
 * and clears these bits, every ``access_period_ms`` for some ranges, round and round.
 * Where it finds one,
 *
 * - memory on the device goes to the young end of the list that eviction begins at
 *   the old end of. So what the GPU uses stays, however long ago it came;
 * - memory in system memory counts. It may be there since it could not be moved when
 *   the GPU faulted on it: it was pinned, VRAM was full. The GPU has translations
 *   then and does not fault any more. When it was used between ``access_hot`` looks
 *   in a row, its translations are taken away, and the next fault moves it to the
 *   device. If that fails once more it takes twice as many looks until the next try.
 *
 * What the CPU changes meanwhile counts from zero: it loses its translations. Memory
 * that attributes or thrash control keep in system memory does not count.
 *
 * The work item waits for no migration. A range that is busy is passed by, as is
 * everything while the device sleeps. It ends when the VM has no ranges, and the next fault
 * starts it.
 */

/* Ranges that are looked at in one go, so that a VM with many takes no CPU for long */
#define DEVMEM_ACCESS_BATCH	64

/* While the GPU uses nothing, this many periods pass between two looks. */
#define DEVMEM_ACCESS_IDLE	8

/* How often the number of looks until memory is hot doubles, at most */
#define DEVMEM_ACCESS_MAX_TRIES	6

#define DEVMEM_ACCESS_MAX_PERIOD_MS	(3600 * MSEC_PER_SEC)

static unsigned int access_period_ms = 100;
module_param(access_period_ms, uint, 0444);
MODULE_PARM_DESC(access_period_ms,
		 "How often to look what the GPU uses (0: never, default 100)");

static unsigned int access_hot = 4;
module_param(access_hot, uint, 0444);
MODULE_PARM_DESC(access_hot,
		 "Memory that was used between so many looks in a row is moved to the device (default 4)");

/**
 * devmem_access_get_params() - read the module parameters
 * @params: where to
 */
void devmem_access_get_params(struct devmem_access_params *params)
{
	params->period_ms = min_t(u32, access_period_ms, DEVMEM_ACCESS_MAX_PERIOD_MS);
	params->hot = max(access_hot, 1u);
}

static struct devmem_vm *devmem_access_to_vm(struct work_struct *work)
{
	return container_of(to_delayed_work(work), struct devmem_vm, access.work);
}

/* Would a fault move the range away from system memory? */
static bool devmem_access_wants_device(struct devmem_vm *vm, struct devmem_range *range)
{
	unsigned long start = drm_gpusvm_range_start(&range->base);
	unsigned long end = drm_gpusvm_range_end(&range->base);
	struct devmem_attrs attrs;

	if (!range->base.flags.migrate_devmem || range->pinned)
		return false;
	attrs = devmem_policy_get(&vm->policy, start, &start, &end);
	return attrs.migration == DRM_DEVMEM_MIGRATION_ON_FAULT &&
	       devmem_policy_location(&attrs) != DRM_DEVMEM_LOCATION_SYSTEM;
}

/*
 * Take note of what a range was used for; is some of it used in system memory? Not
 * under the notifier lock, which reclaim takes: that of VRAM is held for allocations.
 * The array of addresses stays while the range is locked. What it has may be old by
 * now, and somebody else's memory take longer to be evicted.
 */
static bool devmem_access_note_used(struct devmem_vm *vm, struct devmem_range *range,
				    const unsigned long *used)
{
	unsigned long npages = drm_gpusvm_range_size(&range->base) >> PAGE_SHIFT, i, j, n;
	u64 from = 0, to = 0;
	bool system = false;

	lockdep_assert_held(&range->lock);
	for (i = 0, j = 0; i < npages; i += n, j++) {
		const struct drm_pagemap_addr *addr = &range->pages.dma_addr[j];

		n = 1ul << addr->order;
		if (find_next_bit(used, i + n, i) >= i + n)
			continue;
		if (addr->proto == DRM_INTERCONNECT_SYSTEM) {
			system = true;
		} else if (addr->proto == DEVMEM_INTERCONNECT_VRAM &&
			   (addr->addr < from || addr->addr >= to)) {
			from = addr->addr;
			to = devmem_vram_touch(vm->dm, from);
		}
	}
	return system;
}

/* It is used in system memory: try to move it when that was seen often enough. */
static void devmem_access_count(struct devmem_vm *vm, struct devmem_range *range)
{
	if (!devmem_access_wants_device(vm, range))
		return;
	if (++range->hot < (u64)vm->dm->access.hot << range->tries)
		return;

	trace_devmem_promote(vm->vmid, drm_gpusvm_range_start(&range->base),
			     drm_gpusvm_range_end(&range->base), range->hot);
	devmem_stats_add(vm->stats, DEVMEM_STAT_PROMOTIONS, 1);
	range->hot = 0;
	if (range->tries < DEVMEM_ACCESS_MAX_TRIES)
		range->tries++;
	devmem_svm_range_unmap(vm, range);
}

/* Look at a range; did the GPU use it since the last time? */
static bool devmem_access_look(struct devmem_vm *vm, struct devmem_range *range)
{
	unsigned long start = drm_gpusvm_range_start(&range->base);
	unsigned long end = drm_gpusvm_range_end(&range->base);
	DECLARE_BITMAP(used, SZ_2M >> PAGE_SHIFT) = {};
	bool any = false, system = false;

	lockdep_assert_held(&range->lock);
	drm_gpusvm_notifier_lock(&vm->svm);
	if (range->mapped)
		any = devmem_pt_clear_accessed(vm, start, end, used);
	drm_gpusvm_notifier_unlock(&vm->svm);

	if (any) {
		/* So that the GPU sets the bits again. An access before is not seen. */
		devmem_hw_tlb_invalidate(vm->dm, vm->vmid, start, end);
		system = devmem_access_note_used(vm, range, used);
		if (!system)
			range->tries = 0;
	}
	if (system)
		devmem_access_count(vm, range);
	else
		range->hot = 0;
	return any;
}

/* Look at some ranges; true if those were the last ones. */
static bool devmem_access_look_on(struct devmem_vm *vm)
{
	struct devmem_access *access = &vm->access;
	unsigned int left = DEVMEM_ACCESS_BATCH;
	struct devmem_range *range;

	for (range = devmem_svm_first_range(vm, access->next, ULONG_MAX); range;
	     range = devmem_svm_next_range(vm, range, ULONG_MAX)) {
		access->next = drm_gpusvm_range_end(&range->base);
		if (mutex_trylock(&range->lock)) {
			access->used |= devmem_access_look(vm, range);
			mutex_unlock(&range->lock);
		}
		if (!--left) {
			drm_gpusvm_range_put(&range->base);
			return false;
		}
	}
	return true;
}

static void devmem_access_work(struct work_struct *work)
{
	struct devmem_vm *vm = devmem_access_to_vm(work);
	struct devmem_access *access = &vm->access;
	unsigned long delay = msecs_to_jiffies(vm->dm->access.period_ms);

	if (!devmem_pm_try_enter(vm->dm)) {
		delay *= DEVMEM_ACCESS_IDLE;
	} else {
		bool last = devmem_access_look_on(vm);

		devmem_pm_exit(vm->dm);
		if (last) {
			devmem_stats_add(vm->stats, DEVMEM_STAT_ACCESS_SCANS, 1);
			/* Nothing since the lowest address: there is nothing. */
			if (!access->next)
				return;
			if (!access->used)
				delay *= DEVMEM_ACCESS_IDLE;
			access->next = 0;
			access->used = false;
		}
	}
	queue_delayed_work(system_dfl_wq, &access->work, delay);
}

/**
 * devmem_access_init() - begin without anything to look at
 * @vm: the VM
 */
void devmem_access_init(struct devmem_vm *vm)
{
	INIT_DELAYED_WORK(&vm->access.work, devmem_access_work);
}

/**
 * devmem_access_start() - the GPU got translations
 * @vm: the VM
 *
 * Context: any.
 */
void devmem_access_start(struct devmem_vm *vm)
{
	if (vm->dm->access.period_ms)
		queue_delayed_work(system_dfl_wq, &vm->access.work,
				   msecs_to_jiffies(vm->dm->access.period_ms));
}

/**
 * devmem_access_stop() - look at the ranges no more
 * @vm: the VM, which is about to part from the hardware
 *
 * Context: process context, outside of &devmem_range.lock.
 */
void devmem_access_stop(struct devmem_vm *vm)
{
	disable_delayed_work_sync(&vm->access.work);
}
