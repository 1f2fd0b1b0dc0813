// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_print.h>
#include <linux/ktime.h>

#include "devmem_device.h"
#include "devmem_fault.h"
#include "devmem_queue.h"
#include "devmem_svm.h"
#include "devmem_trace.h"
#include "devmem_vm.h"

/**
 * DOC: GPU faults
 *
 * Producer and consumer: the interrupt takes entries off the fault ring and
 * hands each to a work item of the queue that raised it; the work item serves
 * it and answers the hardware. A queue raises no second fault before that, so
 * nothing has to be allocated and nothing can pile up. Faults of different VMs
 * are served in parallel.
 */

static void devmem_fault_work(struct work_struct *work)
{
	struct devmem_fault *fault = container_of(work, struct devmem_fault, work);
	struct devmem_device *dm = fault->dm;
	ktime_t start = ktime_get();
	struct gpu_fault entry;
	struct devmem_vm *vm;
	int err = -ENOENT;
	u64 ns;

	spin_lock(&fault->lock);
	entry = fault->entry;
	spin_unlock(&fault->lock);

	vm = devmem_vm_find(dm, le32_to_cpu(entry.vmid));
	if (vm) {
		err = devmem_svm_fault(vm, le64_to_cpu(entry.va), entry.access);
		devmem_stats_add(vm->stats, DEVMEM_STAT_GPU_FAULTS, 1);
		if (err == -EALREADY)
			devmem_stats_add(vm->stats, DEVMEM_STAT_GPU_FAULTS_SPURIOUS, 1);
		else if (err)
			devmem_stats_add(vm->stats, DEVMEM_STAT_GPU_FAULTS_FAILED, 1);
		ns = ktime_to_ns(ktime_sub(ktime_get(), start));
		devmem_stats_add(vm->stats, DEVMEM_STAT_FAULT_NS, ns);
		trace_devmem_fault(vm->vmid, fault->hwq, le64_to_cpu(entry.va),
				   entry.access, err == -EALREADY ? 0 : err, ns);
	}

	/* The hardware drops an answer to a fault that was aborted meanwhile. */
	devmem_hw_write(dm, GPU_REG_QUEUE(fault->hwq, GPU_QUEUE_FAULT_REPLY),
			le64_to_cpu(entry.seq) |
			(err && err != -EALREADY ? GPU_FAULT_REPLY_FAIL :
						   GPU_FAULT_REPLY_RETRY));
	if (vm)
		devmem_vm_put(vm);
}

/**
 * devmem_fault_init() - set up the fault ring
 * @dm: the device
 *
 * Return: 0 or -ENOMEM.
 */
int devmem_fault_init(struct devmem_device *dm)
{
	struct devmem_fault_ring *ring = &dm->fault;
	u64 bytes;
	int err;

	ring->wq = alloc_workqueue("devmem-fault", WQ_UNBOUND | WQ_HIGHPRI, 0);
	if (!ring->wq)
		return -ENOMEM;

	ring->size = roundup_pow_of_two(dm->hw.num_queues);
	bytes = max(SZ_4K, roundup_pow_of_two(ring->size * sizeof(struct gpu_fault)));
	err = devmem_vram_alloc_kernel(dm, bytes, &ring->addr);
	if (err) {
		destroy_workqueue(ring->wq);
		return err;
	}

	devmem_hw_write(dm, GPU_REG_FAULT_BASE, ring->addr);
	devmem_hw_write(dm, GPU_REG_FAULT_SIZE, ring->size);
	return 0;
}

/**
 * devmem_fault_fini() - take down the fault ring
 * @dm: the device; no queue may be left
 */
void devmem_fault_fini(struct devmem_device *dm)
{
	destroy_workqueue(dm->fault.wq);
	devmem_hw_write(dm, GPU_REG_FAULT_SIZE, 0);
	devmem_vram_free_kernel(dm, dm->fault.addr);
}

/**
 * devmem_fault_setup() - initialize the fault of a queue
 * @fault: the fault
 * @dm: the device
 * @hwq: hardware queue
 *
 * Whoever ends the queue stops the hardware queue first and then calls
 * cancel_work_sync() on &devmem_fault.work.
 */
void devmem_fault_setup(struct devmem_fault *fault, struct devmem_device *dm,
			u16 hwq)
{
	INIT_WORK(&fault->work, devmem_fault_work);
	spin_lock_init(&fault->lock);
	fault->dm = dm;
	fault->hwq = hwq;
}

static void devmem_fault_dispatch(struct devmem_device *dm,
				  const struct gpu_fault *entry)
{
	struct devmem_fault *fault;

	fault = devmem_queue_fault(dm, le16_to_cpu(entry->queue));
	if (!fault)
		return;
	spin_lock(&fault->lock);
	fault->entry = *entry;
	spin_unlock(&fault->lock);
	queue_work(dm->fault.wq, &fault->work);
}

/**
 * devmem_fault_irq() - take entries off the fault ring
 * @dm: the device
 *
 * Context: the interrupt work; may sleep.
 */
void devmem_fault_irq(struct devmem_device *dm)
{
	struct devmem_fault_ring *ring = &dm->fault;
	u64 tail = devmem_hw_read(dm, GPU_REG_FAULT_TAIL);
	struct gpu_fault entry;

	for (; ring->head != tail; ring->head++) {
		u64 slot = ring->head & (ring->size - 1);

		if (!devmem_hw_vram_read(dm, ring->addr + slot * sizeof(entry),
					 &entry, sizeof(entry)))
			devmem_fault_dispatch(dm, &entry);
	}
	devmem_hw_write(dm, GPU_REG_FAULT_HEAD, ring->head);
}
