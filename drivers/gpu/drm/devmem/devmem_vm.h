/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_VM_H_
#define _DEVMEM_VM_H_

#include <drm/drm_gpusvm.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "devmem_access.h"
#include "devmem_policy.h"
#include "devmem_prefetch.h"
#include "devmem_pt.h"
#include "devmem_report.h"
#include "devmem_stats.h"

struct devmem_device;
struct devmem_file;
struct drm_device;
struct drm_file;

/**
 * struct devmem_vm - an address space of the GPU that mirrors a process
 *
 * Referenced by its handle, by each queue on it, by prefetches and by faults being
 * served.
 */
struct devmem_vm {
	/** @kref: references; the last one frees the VM from process context. */
	struct kref kref;
	/** @dm: the device. */
	struct devmem_device *dm;
	/** @vmid: hardware address space, while @attached. */
	u32 vmid;
	/** @attached: the hardware knows the VM; protected by &devmem_device.vms_lock. */
	bool attached;
	/** @flags: DRM_DEVMEM_VM_* as given at creation. */
	u32 flags;
	/** @num_queues: queues on the VM, protected by &devmem_file.lock. */
	unsigned int num_queues;
	/** @svm: mirror of the process. */
	struct drm_gpusvm svm;
	/** @ranges_lock: protects the trees of ranges in @svm. */
	struct mutex ranges_lock;
	/** @pt: page table. */
	struct devmem_pt pt;
	/** @pt_lock: protects @pt. */
	struct mutex pt_lock;
	/** @gc_lock: protects @gc_list. */
	spinlock_t gc_lock;
	/** @gc_list: &struct devmem_range whose memory was unmapped. */
	struct list_head gc_list;
	/** @dpagemap: device memory, or NULL if the VM can't use it. */
	struct drm_pagemap *dpagemap;
	/** @stats: counters; allocations of device memory share them. */
	struct devmem_stats *stats;
	/** @prefetch: prefetches under way. */
	struct devmem_prefetch_list prefetch;
	/** @policy: attributes of memory. */
	struct devmem_policy policy;
	/** @unpin_work: lets ranges go that were pinned for thrashing. */
	struct delayed_work unpin_work;
	/** @access: what the GPU uses. */
	struct devmem_access access;
	/** @report: faults that failed. */
	struct devmem_report report;
	/** @orphans: faults of queues that are gone, still being served. */
	atomic_t orphans;
	/**
	 * @banned: a fault failed, and nothing goes on; set under @ranges_lock and the
	 * notifier lock, never reset.
	 */
	bool banned;
};

/**
 * struct devmem_vm_count - what all VMs of a process hold together
 *
 * Whichever file they are of. A VM that has lost its handle lives on while a fault or
 * a prefetch is stuck in it, in memory that userfaultfd does not serve.
 */
struct devmem_vm_count {
	/** @destroyed: VMs that have lost their handle. */
	unsigned int destroyed;
	/** @prefetches: prefetches that have not ended. */
	unsigned int prefetches;
	/** @orphans: faults of queues that are gone, still being served. */
	unsigned int orphans;
};

int devmem_vm_create_ioctl(struct drm_device *drm, void *data,
			   struct drm_file *file);
int devmem_vm_destroy_ioctl(struct drm_device *drm, void *data,
			    struct drm_file *file);
int devmem_vm_stats_ioctl(struct drm_device *drm, void *data,
			  struct drm_file *file);
struct devmem_vm *devmem_vm_get(struct devmem_vm *vm);
struct devmem_vm *devmem_vm_lookup(struct devmem_file *df, u32 vm_id);
struct devmem_vm *devmem_vm_find(struct devmem_device *dm, u32 vmid);
struct devmem_vm_count devmem_vm_count_locked(struct devmem_device *dm,
					      const struct mm_struct *mm);
struct devmem_vm_count devmem_vm_count(struct devmem_device *dm,
				       const struct mm_struct *mm);
int devmem_vm_check_range(struct devmem_vm *vm, u64 addr, u64 length);
void devmem_vm_put(struct devmem_vm *vm);
void devmem_vm_unplug(struct devmem_device *dm);
void devmem_vm_suspend(struct devmem_device *dm);
void devmem_vm_resume(struct devmem_device *dm);
void devmem_vm_close_all(struct devmem_file *df);

#endif /* _DEVMEM_VM_H_ */
