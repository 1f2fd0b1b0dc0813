// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_device.h>
#include <drm/drm_file.h>
#include <kunit/visibility.h>
#include <linux/errno.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "devmem_device.h"
#include "devmem_report.h"
#include "devmem_vm.h"

/**
 * DOC: Faults that failed
 *
 * A queue remembers its latest error. That is not enough to find a bug in a
 * program with many queues, or in one whose later errors follow from the first.
 * Each VM therefore keeps its latest faults that failed: which queue, where, what
 * it wanted, why it failed, and when.
 */

/**
 * devmem_report_init() - start without faults
 * @report: the report
 */
void devmem_report_init(struct devmem_report *report)
{
	spin_lock_init(&report->lock);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_report_init);

/**
 * devmem_report_add() - note a fault
 * @report: the report
 * @fault: the fault
 *
 * Context: any but interrupts.
 */
void devmem_report_add(struct devmem_report *report, const struct drm_devmem_fault *fault)
{
	spin_lock(&report->lock);
	report->faults[report->total++ % DRM_DEVMEM_MAX_FAULTS] = *fault;
	spin_unlock(&report->lock);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_report_add);

/**
 * devmem_report_read() - read the latest faults
 * @report: the report
 * @out: room for DRM_DEVMEM_MAX_FAULTS, gets the latest first
 * @total: how many there were
 *
 * Context: any but interrupts.
 *
 * Return: how many were written.
 */
u32 devmem_report_read(struct devmem_report *report, struct drm_devmem_fault *out,
		       u64 *total)
{
	u32 count, i;

	spin_lock(&report->lock);
	*total = report->total;
	count = min_t(u64, *total, DRM_DEVMEM_MAX_FAULTS);
	for (i = 0; i < count; i++)
		out[i] = report->faults[(*total - 1 - i) % DRM_DEVMEM_MAX_FAULTS];
	spin_unlock(&report->lock);
	return count;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_report_read);

/**
 * devmem_report_reason() - what userspace is told of an error
 * @err: negative error of devmem_svm_fault()
 *
 * Return: enum drm_devmem_fault_reason.
 */
u32 devmem_report_reason(int err)
{
	switch (err) {
	case -ENOENT:
		return DRM_DEVMEM_FAULT_NOT_MAPPED;
	case -EPERM:
		return DRM_DEVMEM_FAULT_READ_ONLY;
	case -EFAULT:
		return DRM_DEVMEM_FAULT_NO_ACCESS;
	case -EIO:
		return DRM_DEVMEM_FAULT_NOT_MEMORY;
	case -EACCES:
		return DRM_DEVMEM_FAULT_ATOMIC_POLICY;
	case -ENOMEM:
	case -ENOSPC:
		return DRM_DEVMEM_FAULT_NO_MEMORY;
	default:
		return DRM_DEVMEM_FAULT_BUSY;
	}
}
EXPORT_SYMBOL_IF_KUNIT(devmem_report_reason);

static int devmem_report_query(struct devmem_vm *vm, struct drm_devmem_query_faults *args)
{
	struct drm_devmem_fault *faults;
	u32 room = args->num;
	int err = 0;

	faults = kcalloc(DRM_DEVMEM_MAX_FAULTS, sizeof(*faults), GFP_KERNEL);
	if (!faults)
		return -ENOMEM;

	args->num = devmem_report_read(&vm->report, faults, &args->total);
	args->state = READ_ONCE(vm->banned) ? DRM_DEVMEM_VM_BANNED : 0;
	if (copy_to_user(u64_to_user_ptr(args->data), faults,
			 min(room, args->num) * sizeof(*faults)))
		err = -EFAULT;
	kfree(faults);
	return err;
}

/**
 * devmem_report_ioctl() - DRM_IOCTL_DEVMEM_QUERY_FAULTS
 * @drm: the DRM device
 * @data: struct drm_devmem_query_faults
 * @file: the open file
 *
 * Return: 0 or a negative error, see the uapi header.
 */
int devmem_report_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_devmem_query_faults *args = data;
	struct devmem_vm *vm;
	int err;

	if (args->flags)
		return -EINVAL;
	vm = devmem_vm_lookup(file->driver_priv, args->vm_id);
	if (!vm)
		return -ENOENT;
	err = devmem_report_query(vm, args);
	devmem_vm_put(vm);
	return err;
}
