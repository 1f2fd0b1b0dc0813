// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_drv.h>
#include <drm/drm_print.h>
#include <linux/uaccess.h>
#include <uapi/drm/devmem_drm.h>

#include "devmem_device.h"
#include "devmem_svm.h"
#include "devmem_vm.h"

/* VMs that a process can have destroyed and that live on */
#define DEVMEM_VM_MAX_DESTROYED	32

/*
 * Part a VM from the hardware, if that was not done before. No queue runs on it
 * and none of its faults is served.
 */
static void devmem_vm_detach(struct devmem_vm *vm)
{
	struct devmem_device *dm = vm->dm;

	lockdep_assert_held(&dm->vms_lock);
	if (!vm->attached)
		return;
	vm->attached = false;

	/* Nothing walks the page table; the TLB may know it. */
	devmem_hw_write(dm, GPU_REG_VMID_ROOT(vm->vmid), 0);
	devmem_hw_tlb_invalidate(dm, vm->vmid, 0, 1ull << GPU_VA_BITS);

	devmem_access_stop(vm);
	devmem_svm_unmap_all(vm);
	devmem_pt_fini(vm);
	xa_erase(&dm->vms, vm->vmid);
}

static void devmem_vm_release(struct kref *kref)
{
	struct devmem_vm *vm = container_of(kref, struct devmem_vm, kref);
	struct devmem_device *dm = vm->dm;

	mutex_lock(&dm->vms_lock);
	devmem_vm_detach(vm);
	mutex_unlock(&dm->vms_lock);

	devmem_prefetch_fini(vm);
	devmem_policy_fini(&vm->policy);
	devmem_svm_fini(vm);
	drm_pagemap_put(vm->dpagemap);
	devmem_stats_put(vm->stats);
	kfree(vm);
	devmem_vram_unuse(dm);
}

/**
 * devmem_vm_get() - take a reference
 * @vm: a VM that the caller has a reference to
 *
 * Return: @vm.
 */
struct devmem_vm *devmem_vm_get(struct devmem_vm *vm)
{
	kref_get(&vm->kref);
	return vm;
}

/**
 * devmem_vm_put() - drop a reference
 * @vm: the VM
 *
 * Context: process context, outside of the locks of the VM.
 */
void devmem_vm_put(struct devmem_vm *vm)
{
	kref_put(&vm->kref, devmem_vm_release);
}

/**
 * devmem_vm_find() - the VM of a hardware address space
 * @dm: the device
 * @vmid: hardware VMID
 *
 * Return: the VM with a reference, or NULL.
 */
struct devmem_vm *devmem_vm_find(struct devmem_device *dm, u32 vmid)
{
	struct devmem_vm *vm;

	xa_lock(&dm->vms);
	vm = xa_load(&dm->vms, vmid);
	if (vm && !kref_get_unless_zero(&vm->kref))
		vm = NULL;
	xa_unlock(&dm->vms);
	return vm;
}

/**
 * devmem_vm_count_locked() - what all VMs of a process hold together
 * @dm: the device
 * @mm: memory of the process
 *
 * Context: the lock of &devmem_device.vms held.
 *
 * Return: the sums.
 */
struct devmem_vm_count devmem_vm_count_locked(struct devmem_device *dm,
					      const struct mm_struct *mm)
{
	struct devmem_vm_count count = {};
	struct devmem_vm *vm;
	unsigned long vmid;

	lockdep_assert_held(&dm->vms.xa_lock);
	xa_for_each(&dm->vms, vmid, vm) {
		if (vm->svm.mm != mm)
			continue;
		count.destroyed += READ_ONCE(vm->prefetch.closed);
		count.prefetches += vm->prefetch.count;
		count.orphans += atomic_read(&vm->orphans);
	}
	return count;
}

/**
 * devmem_vm_count() - what all VMs of a process hold together
 * @dm: the device
 * @mm: memory of the process
 *
 * Context: takes the lock of &devmem_device.vms.
 *
 * Return: the sums; they can have changed by now.
 */
struct devmem_vm_count devmem_vm_count(struct devmem_device *dm,
				       const struct mm_struct *mm)
{
	struct devmem_vm_count count;

	xa_lock(&dm->vms);
	count = devmem_vm_count_locked(dm, mm);
	xa_unlock(&dm->vms);
	return count;
}

/**
 * devmem_vm_lookup() - the VM of a handle
 * @df: open file
 * @vm_id: handle
 *
 * Context: takes &devmem_file.lock, which must not be held.
 *
 * Return: the VM with a reference, or NULL.
 */
struct devmem_vm *devmem_vm_lookup(struct devmem_file *df, u32 vm_id)
{
	struct devmem_vm *vm;

	mutex_lock(&df->lock);
	vm = xa_load(&df->vms, vm_id);
	if (vm)
		devmem_vm_get(vm);
	mutex_unlock(&df->lock);
	return vm;
}

/**
 * devmem_vm_unplug() - part all VMs from the hardware
 * @dm: the device, unplugged from DRM and without queues, with the hardware still
 *	in reach
 *
 * The handles stay. Who holds the last reference to a VM meanwhile waits until it
 * has parted. No prefetch is left on return.
 *
 * Context: process context.
 */
void devmem_vm_unplug(struct devmem_device *dm)
{
	struct devmem_vm *vm;
	unsigned long vmid;

	mutex_lock(&dm->vms_lock);
	xa_for_each(&dm->vms, vmid, vm)
		devmem_prefetch_cancel_all(vm);
	mutex_unlock(&dm->vms_lock);

	devmem_pm_drain(dm);
	mutex_lock(&dm->vms_lock);
	xa_for_each(&dm->vms, vmid, vm)
		devmem_vm_detach(vm);
	mutex_unlock(&dm->vms_lock);

	/* Outside of the lock: a worker may drop the last reference. */
	flush_workqueue(dm->prefetch_wq);
}

/**
 * devmem_vm_suspend() - take all translations of all VMs away
 * @dm: the device, halted; no fault is served
 *
 * Context: process context; takes &devmem_device.vms_lock.
 */
void devmem_vm_suspend(struct devmem_device *dm)
{
	struct devmem_vm *vm;
	unsigned long vmid;

	mutex_lock(&dm->vms_lock);
	xa_for_each(&dm->vms, vmid, vm)
		devmem_svm_unmap_all(vm);
	mutex_unlock(&dm->vms_lock);
}

/**
 * devmem_vm_resume() - write the page tables of all VMs anew
 * @dm: the device, halted since devmem_vm_suspend()
 *
 * Context: process context; takes &devmem_device.vms_lock. Allocates nothing.
 */
void devmem_vm_resume(struct devmem_device *dm)
{
	struct devmem_vm *vm;
	unsigned long vmid;

	mutex_lock(&dm->vms_lock);
	xa_for_each(&dm->vms, vmid, vm)
		devmem_pt_restore(vm);
	mutex_unlock(&dm->vms_lock);
}

/* Drop the reference of a handle. */
static void devmem_vm_close(struct devmem_vm *vm)
{
	devmem_prefetch_cancel_all(vm);
	devmem_vm_put(vm);
}

/**
 * devmem_vm_check_range() - is a range within the address space?
 * @vm: the VM
 * @addr: virtual address
 * @length: bytes
 *
 * Return: 0 or -EINVAL.
 */
int devmem_vm_check_range(struct devmem_vm *vm, u64 addr, u64 length)
{
	u64 limit = vm->svm.mm_start + vm->svm.mm_range;

	return addr >= limit || length > limit - addr ? -EINVAL : 0;
}

static struct devmem_vm *devmem_vm_create(struct devmem_device *dm, u32 flags)
{
	struct devmem_vm *vm;
	int err;

	/* A process is not to take all VMIDs by VMs in which something is stuck. */
	if (devmem_vm_count(dm, current->mm).destroyed >= DEVMEM_VM_MAX_DESTROYED)
		return ERR_PTR(-EBUSY);
	vm = kzalloc_obj(*vm);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	kref_init(&vm->kref);
	vm->dm = dm;
	vm->flags = flags;

	vm->stats = devmem_stats_create();
	if (!vm->stats) {
		err = -ENOMEM;
		goto err_free;
	}

	/* VMID 0 is never valid. The entry is reserved until the VM is complete. */
	err = xa_alloc(&dm->vms, &vm->vmid, NULL, XA_LIMIT(1, dm->hw.num_vmids - 1),
		       GFP_KERNEL);
	if (err) {
		err = err == -EBUSY ? -ENOSPC : err;
		goto err_stats;
	}

	if (devmem_region_registered(dm) && !(flags & DRM_DEVMEM_VM_NO_MIGRATE)) {
		vm->dpagemap = devmem_pagemap_get(dm);
		if (IS_ERR(vm->dpagemap)) {
			err = PTR_ERR(vm->dpagemap);
			goto err_vmid;
		}
	}

	err = devmem_pt_init(vm);
	if (err)
		goto err_pagemap;

	err = devmem_svm_init(vm);
	if (err)
		goto err_pt;
	devmem_access_init(vm);
	devmem_prefetch_init(vm);
	devmem_policy_init(&vm->policy);
	devmem_report_init(&vm->report);

	devmem_hw_write(dm, GPU_REG_VMID_ROOT(vm->vmid),
			devmem_pt_root(vm) | GPU_VMID_ROOT_VALID);
	devmem_vram_use(dm);
	vm->attached = true;
	xa_store(&dm->vms, vm->vmid, vm, GFP_KERNEL);
	return vm;

err_pt:
	devmem_pt_fini(vm);
err_pagemap:
	drm_pagemap_put(vm->dpagemap);
err_vmid:
	xa_erase(&dm->vms, vm->vmid);
err_stats:
	devmem_stats_put(vm->stats);
err_free:
	kfree(vm);
	return ERR_PTR(err);
}

/**
 * devmem_vm_create_ioctl() - DRM_IOCTL_DEVMEM_VM_CREATE
 * @drm: the DRM device
 * @data: struct drm_devmem_vm_create
 * @file: the open file
 *
 * Return: 0 or a negative error, see the uapi header.
 */
int devmem_vm_create_ioctl(struct drm_device *drm, void *data,
			   struct drm_file *file)
{
	struct devmem_file *df = file->driver_priv;
	struct drm_devmem_vm_create *args = data;
	struct devmem_vm *vm;
	int idx, err;

	if (args->flags & ~(DRM_DEVMEM_VM_NO_MIGRATE | DRM_DEVMEM_VM_BAN_ON_FAULT))
		return -EINVAL;

	if (!drm_dev_enter(drm, &idx))
		return -ENODEV;
	down_read(&to_devmem(drm)->pm.objects);
	vm = devmem_vm_create(to_devmem(drm), args->flags);
	up_read(&to_devmem(drm)->pm.objects);
	if (IS_ERR(vm)) {
		err = PTR_ERR(vm);
		goto out;
	}

	/* Ids are dense, so that their limit is that of VMs: others want some too. */
	mutex_lock(&df->lock);
	err = xa_alloc(&df->vms, &args->vm_id, vm,
		       XA_LIMIT(1, vm->dm->hw.num_vmids / 2), GFP_KERNEL);
	mutex_unlock(&df->lock);
	if (err) {
		devmem_vm_put(vm);
		err = err == -EBUSY ? -EMFILE : err;
	}
out:
	drm_dev_exit(idx);
	return err;
}

/**
 * devmem_vm_destroy_ioctl() - DRM_IOCTL_DEVMEM_VM_DESTROY
 * @drm: the DRM device
 * @data: struct drm_devmem_vm_destroy
 * @file: the open file
 *
 * Return: 0 or a negative error, see the uapi header.
 */
int devmem_vm_destroy_ioctl(struct drm_device *drm, void *data,
			    struct drm_file *file)
{
	struct drm_devmem_vm_destroy *args = data;
	struct devmem_file *df = file->driver_priv;
	struct devmem_vm *vm;
	int err = 0;

	if (args->pad)
		return -EINVAL;

	mutex_lock(&df->lock);
	vm = xa_load(&df->vms, args->vm_id);
	if (!vm)
		err = -ENOENT;
	else if (vm->num_queues)
		err = -EBUSY;
	else
		xa_erase(&df->vms, args->vm_id);
	mutex_unlock(&df->lock);

	if (!err)
		devmem_vm_close(vm);
	return err;
}

/**
 * devmem_vm_close_all() - end all VMs of a file that is being closed
 * @df: the file; its queues have ended
 */
void devmem_vm_close_all(struct devmem_file *df)
{
	struct devmem_vm *vm;
	unsigned long id;

	xa_for_each(&df->vms, id, vm) {
		xa_erase(&df->vms, id);
		devmem_vm_close(vm);
	}
}

/**
 * devmem_vm_stats_ioctl() - DRM_IOCTL_DEVMEM_QUERY_STATS
 * @drm: the DRM device
 * @data: struct drm_devmem_query_stats
 * @file: the open file
 *
 * Return: 0 or a negative error, see the uapi header.
 */
int devmem_vm_stats_ioctl(struct drm_device *drm, void *data,
			  struct drm_file *file)
{
	struct drm_devmem_query_stats *args = data;
	struct drm_devmem_stats stats;
	struct devmem_vm *vm;
	int err = 0;

	if (!args->size)
		return -EINVAL;

	vm = devmem_vm_lookup(file->driver_priv, args->vm_id);
	if (!vm)
		return -ENOENT;

	devmem_stats_read(vm->stats, &stats);
	if (copy_to_user(u64_to_user_ptr(args->data), &stats,
			 min_t(size_t, args->size, sizeof(stats))))
		err = -EFAULT;
	else
		args->size = sizeof(stats);
	devmem_vm_put(vm);
	return err;
}
