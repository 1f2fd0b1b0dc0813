// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/devmem_drm.h>
#include <drm/drm_drv.h>
#include <drm/drm_managed.h>
#include <linux/dma-fence.h>
#include <linux/dma-fence-unwrap.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "devmem_device.h"
#include "devmem_prefetch.h"
#include "devmem_residency.h"
#include "devmem_svm.h"
#include "devmem_sync.h"
#include "devmem_vm.h"

/**
 * DOC: Prefetch
 *
 * A prefetch moves a range of addresses to the device or back before anybody
 * faults on it. The ioctl only checks and records it. When the fences that it
 * waits for have signalled, a worker goes over the range, a chunk at a time. Faults of
 * the GPU wait for the chunk that they are in only.
 *
 * The fence of a prefetch always signals: when the worker is done, when the VM
 * goes away, or else a second after &devmem_device.job_timeout_ms. The worker
 * itself can be stuck for longer, for example in memory that userfaultfd serves.
 * Whoever takes &devmem_prefetch.ended first writes the result and signals. The
 * page of the result is pinned from the start, so that this needs no memory and
 * can't fail.
 *
 * Nobody but the removal of the device waits for the worker. It holds the VM and the
 * module.
 */

/* Prefetches of a VM that can be under way; each can occupy a worker. */
#define DEVMEM_PREFETCH_MAX	64

/*
 * The same of all VMs of a process. Workers can be stuck for as long as it likes, and
 * others have to find one: the workqueue has WQ_DFL_ACTIVE, which nodes share.
 */
#define DEVMEM_PREFETCH_MAX_PROCESS	96
static_assert(DEVMEM_PREFETCH_MAX_PROCESS * 8 <= WQ_DFL_ACTIVE);

/**
 * struct devmem_prefetch - one prefetch
 * @vm: the VM, with a reference
 * @link: in &devmem_prefetch_list.list
 * @start: first virtual address
 * @end: end, exclusive
 * @location: where to, enum drm_devmem_location; NONE for where it is preferred
 * @write: give translations for writing
 * @cancelled: stop as soon as possible
 * @ended: the fence was or is about to be signalled
 * @bytes: how much is at @location so far, for whoever ends it
 * @fence: signals the end
 * @wait: what to wait for before, or NULL
 * @wait_cb: callback of @wait
 * @work: the worker
 * @timeout: ends it after its time
 * @result_page: page of the result, pinned, or NULL
 * @result_offset: where in it
 */
struct devmem_prefetch {
	struct devmem_vm *vm;
	struct list_head link;
	unsigned long start;
	unsigned long end;
	u32 location;
	bool write;
	bool cancelled;
	atomic_t ended;
	atomic64_t bytes;
	struct dma_fence *fence;
	struct dma_fence *wait;
	struct dma_fence_cb wait_cb;
	struct work_struct work;
	struct delayed_work timeout;
	struct page *result_page;
	unsigned int result_offset;
};

static const char *devmem_prefetch_fence_driver_name(struct dma_fence *fence)
{
	return "devmem";
}

static const char *devmem_prefetch_fence_timeline_name(struct dma_fence *fence)
{
	return "devmem-prefetch";
}

/* Neither release nor wait: a signalled fence does not need this module. */
static const struct dma_fence_ops devmem_prefetch_fence_ops = {
	.get_driver_name = devmem_prefetch_fence_driver_name,
	.get_timeline_name = devmem_prefetch_fence_timeline_name,
};

/* Write the result and signal, once. An error other than 0 is for the fence, too. */
static void devmem_prefetch_end(struct devmem_prefetch *p, int err)
{
	struct drm_devmem_prefetch_result *result;
	void *page;

	if (atomic_xchg(&p->ended, 1))
		return;

	if (p->result_page) {
		page = kmap_local_page(p->result_page);
		result = page + p->result_offset;
		WRITE_ONCE(result->bytes, atomic64_read(&p->bytes));
		WRITE_ONCE(result->error, -err);
		/* Who polls sees the rest once this is set. */
		smp_store_release(&result->done, 1);
		kunmap_local(page);
	}
	if (err)
		dma_fence_set_error(p->fence, err);
	dma_fence_signal(p->fence);
}

static void devmem_prefetch_free(struct devmem_prefetch *p)
{
	if (p->result_page)
		unpin_user_pages_dirty_lock(&p->result_page, 1, true);
	dma_fence_put(p->wait);
	if (p->fence && dma_fence_was_initialized(p->fence))
		dma_fence_put(p->fence);
	else
		kfree(p->fence);
	kfree(p);
}

/*
 * Find the next piece of memory from *@start on that can be moved or mapped, and
 * where it ends. Pieces don't cross multiples of DEVMEM_RESIDENCY_BATCH.
 */
static int devmem_prefetch_next(struct mm_struct *mm, unsigned long *start,
				unsigned long end, unsigned long *stop)
{
	struct vm_area_struct *vma;
	int err = -ENOENT;

	mmap_read_lock(mm);
	for (vma = find_vma_intersection(mm, *start, end); vma;
	     vma = find_vma_intersection(mm, vma->vm_end, end)) {
		if (vma->vm_flags & (VM_IO | VM_PFNMAP) || !(vma->vm_flags & VM_READ)) {
			if (vma->vm_end >= end)
				break;
			continue;
		}
		*start = max(*start, vma->vm_start);
		*stop = min3(end, vma->vm_end, ALIGN(*start + 1, DEVMEM_RESIDENCY_BATCH));
		err = 0;
		break;
	}
	mmap_read_unlock(mm);
	return err;
}

/*
 * Move one piece, as far as its attributes go if they say where to. *@end becomes
 * where it ended; what is done is counted in &devmem_prefetch.bytes.
 */
static int devmem_prefetch_piece(struct devmem_prefetch *p, unsigned long start,
				 unsigned long *end, unsigned long deadline)
{
	bool preferred = p->location == DRM_DEVMEM_LOCATION_NONE;
	struct devmem_device *dm = p->vm->dm;
	unsigned long first = 0, next = start;
	struct drm_pagemap *peer = NULL;
	u32 location = p->location;
	u64 bytes = 0;
	int err = 0;

	if (preferred) {
		struct devmem_attrs attrs;

		attrs = devmem_policy_get(&p->vm->policy, start, &first, end);
		location = devmem_policy_location(&attrs);
		peer = devmem_policy_device(&p->vm->policy, &attrs);
	}

	/* Not within drm_dev_enter(), which would hold up the removal of any DRM device. */
	devmem_pm_enter(dm);
	if (drm_dev_is_unplugged(&dm->drm)) {
		devmem_pm_exit(dm);
		return -ENODEV;
	}
	if (location != DRM_DEVMEM_LOCATION_SYSTEM)
		while (!err && next < *end)
			err = devmem_svm_prefetch(p->vm, &next, *end, preferred, p->write,
						  deadline);
	/* Also for what was done before an error. */
	if (devmem_residency_settle(p->vm, start, *end, location, peer,
				    DEVMEM_TRIGGER_PREFETCH, &bytes) == -ENOMEM && !err)
		err = -ENOMEM;
	atomic64_add(bytes, &p->bytes);
	devmem_pm_exit(dm);
	return err;
}

/*
 * Do the next piece from *@start on, which moves behind it. The process can exit between
 * two. Returns 1 when there is none.
 */
static int devmem_prefetch_step(struct devmem_prefetch *p, unsigned long *start,
				unsigned long deadline)
{
	struct mm_struct *mm = p->vm->svm.mm;
	unsigned long stop;
	int err = 1;

	if (READ_ONCE(p->cancelled) || READ_ONCE(p->vm->banned))
		return -ECANCELED;
	if (time_after(jiffies, deadline))
		return -ETIME;
	if (!mmget_not_zero(mm))
		return -ESRCH;
	if (!devmem_prefetch_next(mm, start, p->end, &stop)) {
		err = devmem_prefetch_piece(p, *start, &stop, deadline);
		*start = stop;
	}
	mmput(mm);
	return err;
}

static int devmem_prefetch_run(struct devmem_prefetch *p)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(p->vm->dm->job_timeout_ms);
	unsigned long start = p->start;
	int err = 0;

	if (drm_dev_is_unplugged(&p->vm->dm->drm))
		return -ENODEV;
	while (!err && start < p->end) {
		err = devmem_prefetch_step(p, &start, deadline);
		cond_resched();
	}
	if (err > 0)
		return 0;
	return err == -EAGAIN ? -ETIME : err;
}

/* Count a prefetch, unless the VM or its process has too many. */
static int devmem_prefetch_charge(struct devmem_vm *vm)
{
	struct devmem_vm_count count;
	int err = 0;

	xa_lock(&vm->dm->vms);
	count = devmem_vm_count_locked(vm->dm, vm->svm.mm);
	if (vm->prefetch.count < DEVMEM_PREFETCH_MAX &&
	    count.prefetches < DEVMEM_PREFETCH_MAX_PROCESS)
		vm->prefetch.count++;
	else
		err = -EBUSY;
	xa_unlock(&vm->dm->vms);
	return err;
}

static void devmem_prefetch_uncharge(struct devmem_vm *vm)
{
	xa_lock(&vm->dm->vms);
	vm->prefetch.count--;
	xa_unlock(&vm->dm->vms);
}

static void devmem_prefetch_work(struct work_struct *work)
{
	struct devmem_prefetch *p = container_of(work, struct devmem_prefetch, work);
	struct devmem_prefetch_list *list = &p->vm->prefetch;
	struct devmem_vm *vm = p->vm;

	devmem_prefetch_end(p, devmem_prefetch_run(p));
	cancel_delayed_work_sync(&p->timeout);

	mutex_lock(&list->lock);
	list_del(&p->link);
	mutex_unlock(&list->lock);

	devmem_prefetch_uncharge(vm);
	devmem_prefetch_free(p);
	devmem_vm_put(vm);
	module_put(THIS_MODULE);
}

static void devmem_prefetch_timeout(struct work_struct *work)
{
	struct devmem_prefetch *p = container_of(to_delayed_work(work),
						 struct devmem_prefetch, timeout);

	WRITE_ONCE(p->cancelled, true);
	devmem_prefetch_end(p, -ETIME);
}

/* Context: any; in a fence callback with interrupts off. */
static void devmem_prefetch_start(struct devmem_prefetch *p)
{
	struct devmem_device *dm = p->vm->dm;

	/* The worker stops by itself; this is for one that is stuck. */
	queue_delayed_work(dm->timeout_wq, &p->timeout,
			   msecs_to_jiffies(dm->job_timeout_ms) + HZ);
	queue_work(dm->prefetch_wq, &p->work);
}

static void devmem_prefetch_wait_cb(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	devmem_prefetch_start(container_of(cb, struct devmem_prefetch, wait_cb));
}

static void devmem_prefetch_fini_device(struct drm_device *drm, void *data)
{
	struct devmem_device *dm = data;

	destroy_workqueue(dm->prefetch_wq);
}

/**
 * devmem_prefetch_init_device() - set up what prefetches of all VMs share
 * @dm: the device
 *
 * It lasts until the last file is closed.
 *
 * Return: 0 or -ENOMEM.
 */
int devmem_prefetch_init_device(struct devmem_device *dm)
{
	dm->prefetch_wq = alloc_workqueue("devmem-prefetch", WQ_UNBOUND, 0);
	if (!dm->prefetch_wq)
		return -ENOMEM;
	return drmm_add_action_or_reset(&dm->drm, devmem_prefetch_fini_device, dm);
}

/**
 * devmem_prefetch_init() - set up the prefetches of a VM
 * @vm: the VM
 */
void devmem_prefetch_init(struct devmem_vm *vm)
{
	mutex_init(&vm->prefetch.lock);
	INIT_LIST_HEAD(&vm->prefetch.list);
}

/**
 * devmem_prefetch_fini() - take down the prefetches of a VM
 * @vm: the VM, without references, so that none is left
 */
void devmem_prefetch_fini(struct devmem_vm *vm)
{
	mutex_destroy(&vm->prefetch.lock);
}

/**
 * devmem_prefetch_cancel_all() - end all prefetches of a VM and take no more
 * @vm: the VM, which has lost its handle or whose device is unplugged
 *
 * Their fences signal soon. Does not wait for that.
 *
 * Context: process context; takes &devmem_prefetch_list.lock.
 */
void devmem_prefetch_cancel_all(struct devmem_vm *vm)
{
	struct devmem_prefetch *p;

	mutex_lock(&vm->prefetch.lock);
	/* devmem_vm_count_locked() looks without the lock. */
	WRITE_ONCE(vm->prefetch.closed, true);
	list_for_each_entry(p, &vm->prefetch.list, link) {
		WRITE_ONCE(p->cancelled, true);
		if (p->wait && dma_fence_remove_callback(p->wait, &p->wait_cb))
			devmem_prefetch_start(p);
	}
	mutex_unlock(&vm->prefetch.lock);
}

/* All that is to be waited for as one fence, or NULL */
static int devmem_prefetch_merge(struct devmem_prefetch *p, struct devmem_syncs *syncs)
{
	struct dma_fence *all;
	u32 i;

	for (i = 0; i < syncs->num_waits; i++) {
		all = p->wait ? dma_fence_unwrap_merge(p->wait, syncs->waits[i]) :
				dma_fence_get(syncs->waits[i]);
		if (!all)
			return -ENOMEM;
		dma_fence_put(p->wait);
		p->wait = all;
	}
	return 0;
}

static struct devmem_prefetch *
devmem_prefetch_create(struct devmem_vm *vm, const struct drm_devmem_prefetch *args,
		       struct devmem_syncs *syncs)
{
	struct devmem_prefetch *p;
	int err = -ENOMEM;

	p = kzalloc_obj(*p);
	if (!p)
		return ERR_PTR(-ENOMEM);
	p->vm = vm;
	p->start = args->addr;
	p->end = args->addr + args->length;
	p->location = args->location;
	p->write = args->flags & DRM_DEVMEM_PREFETCH_WRITE;
	INIT_WORK(&p->work, devmem_prefetch_work);
	INIT_DELAYED_WORK(&p->timeout, devmem_prefetch_timeout);

	p->fence = kzalloc_obj(*p->fence);
	if (!p->fence || devmem_prefetch_merge(p, syncs))
		goto err_free;

	if (args->result) {
		p->result_offset = offset_in_page(args->result);
		/* A syncobj to wait for can take any time. */
		err = pin_user_pages_fast(args->result & PAGE_MASK, 1,
					  FOLL_WRITE | FOLL_LONGTERM, &p->result_page);
		if (err != 1) {
			p->result_page = NULL;
			err = err == -ENOMEM ? err : -EFAULT;
			goto err_free;
		}
	}
	return p;

err_free:
	devmem_prefetch_free(p);
	return ERR_PTR(err);
}

/* From here on nothing fails, if this does not. */
static int devmem_prefetch_submit(struct devmem_prefetch *p, struct devmem_syncs *syncs)
{
	struct devmem_prefetch_list *list = &p->vm->prefetch;
	int err;

	mutex_lock(&list->lock);
	if (list->closed)
		err = -ENOENT;
	else if (READ_ONCE(p->vm->banned))
		err = -ECANCELED;
	else
		err = devmem_prefetch_charge(p->vm);
	if (err) {
		mutex_unlock(&list->lock);
		return err;
	}
	/* A context each: they end in any order, and fences of one context may not. */
	dma_fence_init64(p->fence, &devmem_prefetch_fence_ops, NULL,
			 dma_fence_context_alloc(1), 1);
	list_add_tail(&p->link, &list->list);
	devmem_vm_get(p->vm);
	__module_get(THIS_MODULE);
	devmem_sync_publish(syncs, p->fence);
	/* Under the lock, so that it is not cancelled before it can be. */
	if (!p->wait || dma_fence_add_callback(p->wait, &p->wait_cb,
					       devmem_prefetch_wait_cb))
		devmem_prefetch_start(p);
	mutex_unlock(&list->lock);
	return 0;
}

static int devmem_prefetch_check(const struct drm_devmem_prefetch *args)
{
	bool preferred = args->flags & DRM_DEVMEM_PREFETCH_PREFERRED;

	if (args->flags & ~(DRM_DEVMEM_PREFETCH_WRITE | DRM_DEVMEM_PREFETCH_PREFERRED))
		return -EINVAL;
	switch (args->location) {
	case DRM_DEVMEM_LOCATION_NONE:
		if (!preferred)
			return -EINVAL;
		break;
	case DRM_DEVMEM_LOCATION_SYSTEM:
		if (args->flags)
			return -EINVAL;
		break;
	case DRM_DEVMEM_LOCATION_DEVICE:
		if (preferred)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	if (!args->length || !PAGE_ALIGNED(args->addr | args->length))
		return -EINVAL;
	if (args->num_syncs > DRM_DEVMEM_MAX_SYNCS)
		return -EINVAL;
	if (!IS_ALIGNED(args->result, sizeof(struct drm_devmem_prefetch_result)))
		return -EINVAL;
	return 0;
}

/**
 * devmem_prefetch_ioctl() - DRM_IOCTL_DEVMEM_PREFETCH
 * @drm: the DRM device
 * @data: struct drm_devmem_prefetch
 * @file: the open file
 *
 * Return: 0 or a negative error, see the uapi header.
 */
int devmem_prefetch_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	const struct drm_devmem_prefetch *args = data;
	struct devmem_syncs syncs = {};
	struct devmem_prefetch *p;
	struct devmem_vm *vm;
	int idx, err;

	err = devmem_prefetch_check(args);
	if (err)
		return err;
	if (drm_dev_is_unplugged(drm))
		return -ENODEV;
	vm = devmem_vm_lookup(file->driver_priv, args->vm_id);
	if (!vm)
		return -ENOENT;

	err = devmem_vm_check_range(vm, args->addr, args->length);
	if (err)
		goto out_vm;
	err = devmem_sync_get(&syncs, file, args->syncs, args->num_syncs);
	if (err)
		goto out_syncs;
	p = devmem_prefetch_create(vm, args, &syncs);
	if (IS_ERR(p)) {
		err = PTR_ERR(p);
		goto out_syncs;
	}
	/* After devmem_vm_unplug() there must be no new one. */
	err = -ENODEV;
	if (drm_dev_enter(drm, &idx)) {
		err = devmem_prefetch_submit(p, &syncs);
		drm_dev_exit(idx);
	}
	if (err)
		devmem_prefetch_free(p);
out_syncs:
	devmem_sync_put(&syncs);
out_vm:
	devmem_vm_put(vm);
	return err;
}
