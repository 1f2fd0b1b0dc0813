/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_DEVICE_H_
#define _DEVMEM_DEVICE_H_

#include <drm/drm_device.h>
#include <drm/drm_file.h>
#include <drm/drm_pagemap_util.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include "devmem_access.h"
#include "devmem_copy.h"
#include "devmem_fail.h"
#include "devmem_fault.h"
#include "devmem_hw.h"
#include "devmem_pagemap.h"
#include "devmem_pm.h"
#include "devmem_region.h"
#include "devmem_stop.h"
#include "devmem_thrash.h"
#include "devmem_vram.h"
#include "gpu/gpu_regs.h"

struct devmem_queue;

/**
 * DOC: Locking
 *
 * The locks of the driver, outermost first. Whoever holds one may take those
 * below it only.
 *
 * 0. &devmem_pm.cycle_lock (mutex), with the system kept from sleep: a test makes the
 *    device sleep. Then &devmem_pm.objects (rwsem): VMs and queues come and go, or,
 *    for writing, the device loses its power or gets it back.
 * 1. &devmem_file.lock (mutex): ids of VMs and queues of one open file.
 * 2. &devmem_device.vms_lock (mutex): a VM parts from the hardware, because its
 *    last reference has gone or the device is unplugged. Not with the one before.
 * 3. &devmem_range.lock (mutex): one SVM range of a VM; held while a GPU fault in it
 *    is served. Nobody holds two.
 * 4. &devmem_vm.ranges_lock (mutex): which SVM ranges a VM has. drm_gpusvm has no lock
 *    of its own for its range trees.
 * 5. &devmem_policy.lock (mutex): attributes of memory are set or read out. Not
 *    needed to look one up.
 * 6. mmap_lock of the mirrored process, taken by drm_gpusvm and drm_pagemap.
 * 7. folio locks, during migration.
 * 8. &drm_gpusvm.notifier_lock (rwsem): written by the MMU notifier, read while
 *    translations are committed. Nothing below may allocate memory that
 *    reclaim has to find.
 * 9. &devmem_vm.pt_lock (mutex): the GPU page table of a VM.
 * 10. &devmem_hw.tlb_lock (mutex): the TLB registers.
 *
 * devmem_pm_enter() waits outside of all of these.
 *
 * On their own, below the folio locks and never with each other:
 *
 * - &devmem_vram.lock (mutex): the VRAM allocator and its LRU list. Not held
 *   while an allocation is evicted.
 * - &devmem_copy.lock (mutex): the ring of the copy engine, held until the
 *   engine is done with what was put there.
 * - &devmem_queue.submit_lock (mutex): orders submissions. May be taken under
 *   &devmem_file.lock.
 * - &devmem_queue.hw_lock (mutex): ring and fences of a queue. May be taken under
 *   &devmem_file.lock, and is when fences are signalled.
 * - &devmem_prefetch_list.lock (mutex): prefetches of a VM. Held while fences are
 *   published and while callbacks are added or removed, but not when they run.
 * - &devmem_pagemap.lock (mutex): makes the drm_pagemap.
 * - the lock of &devmem_policy.tree (spinlock): also taken by an MMU notifier.
 * - &devmem_fault_ring.lock (spinlock): which faults are being served. Above
 *   &devmem_fault.lock (spinlock): the latest entry of a queue.
 * - &devmem_report.lock (spinlock): faults that failed.
 * - &devmem_pm.lock (spinlock): who uses memory of the device.
 * - &devmem_vm.gc_lock (spinlock): list of ranges that lost their memory.
 */

/**
 * struct devmem_device - one software GPU and its DRM device
 */
struct devmem_device {
	/** @drm: DRM device; its parent is the faux device. */
	struct drm_device drm;
	/** @hw: transport to the GPU: registers, VRAM window, interrupt. */
	struct devmem_hw hw;
	/** @index: number of the device in the driver. */
	u32 index;
	/** @peer: membership in the group of devices that reach each other's memory. */
	struct drm_pagemap_peer peer;
	/** @vram: allocator of VRAM. */
	struct devmem_vram vram;
	/** @region: device-private pages of the VRAM. */
	struct devmem_region region;
	/** @pagemap: what drm_gpusvm knows these by. */
	struct devmem_pagemap pagemap;
	/** @copy: copy engine. */
	struct devmem_copy copy;
	/** @fault: fault ring. */
	struct devmem_fault_ring fault;
	/** @vms: VMs by hardware VMID, with references by lookup under its lock. */
	struct xarray vms;
	/** @vms_lock: held while a VM parts from the hardware. */
	struct mutex vms_lock;
	/** @queues: &struct devmem_queue by hardware queue number. */
	struct xarray queues;
	/** @chunk_sizes: migration sizes in bytes, descending, for drm_gpusvm. */
	unsigned long chunk_sizes[3];
	/** @num_chunks: entries of @chunk_sizes. */
	int num_chunks;
	/** @thrash: when memory counts as thrashing. */
	struct devmem_thrash_params thrash;
	/** @access: how closely accesses of the GPU are watched. */
	struct devmem_access_params access;
	/** @job_timeout_ms: a batch that runs longer is reset. */
	unsigned int job_timeout_ms;
	/** @submit_wq: hands jobs to the hardware and frees them. */
	struct workqueue_struct *submit_wq;
	/** @timeout_wq: resets queues and ends prefetches. */
	struct workqueue_struct *timeout_wq;
	/** @prefetch_wq: runs prefetches. */
	struct workqueue_struct *prefetch_wq;
	/** @pm: whether it sleeps. */
	struct devmem_pm pm;
	/** @stop: where tests make the driver wait. */
	struct devmem_stop stop;
	/** @fail: what tests make fail. */
	struct devmem_fail fail;
};

/**
 * struct devmem_file - objects of one open file
 */
struct devmem_file {
	/** @lock: protects what follows against concurrent ioctls. */
	struct mutex lock;
	/** @vms: &struct devmem_vm by handle. */
	struct xarray vms;
	/** @queues: &struct devmem_queue by handle. */
	struct xarray queues;
	/** @busy: nanoseconds that queues were busy which are gone. */
	u64 busy;
};

static inline struct devmem_device *to_devmem(struct drm_device *drm)
{
	return container_of(drm, struct devmem_device, drm);
}

#endif /* _DEVMEM_DEVICE_H_ */
