// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/devmem_drm.h>
#include <drm/drm_print.h>
#include <linux/ktime.h>

#include "devmem_device.h"
#include "devmem_fault.h"
#include "devmem_queue.h"
#include "devmem_report.h"
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
 *
 * Many queues of a VM tend to fault on the same memory at once. Only the first
 * one is served, the leader; those that come while it is, want the same 2 MiB and
 * need no more right follow it. They take no lock but a spinlock and occupy no
 * worker. When the leader is done their work items run again and answer. A
 * follower is told to retry if the leader was served; it fails only if it wanted
 * the very same, and faults once more if there is any doubt.
 *
 * A fault that fails is noted for userspace, see devmem_report.c. If the VM was
 * created so, it is banned.
 */

/* Faults this near to each other are served together. */
#define DEVMEM_FAULT_MERGE_SHIFT	21

/* A right that includes those below it */
static unsigned int devmem_fault_rank(u8 access)
{
	switch (access) {
	case GPU_ACCESS_WRITE:
		return 1;
	case GPU_ACCESS_ATOMIC:
		return 2;
	default:
		return 0;
	}
}

/* The fault being served that answers this one as well, or NULL */
static struct devmem_fault *devmem_fault_find_leader(struct devmem_fault *fault)
{
	struct devmem_fault *leader;

	lockdep_assert_held(&fault->dm->fault.lock);
	list_for_each_entry(leader, &fault->dm->fault.serving, link)
		if (leader->vmid == fault->vmid &&
		    leader->va >> DEVMEM_FAULT_MERGE_SHIFT ==
		    fault->va >> DEVMEM_FAULT_MERGE_SHIFT &&
		    devmem_fault_rank(leader->access) >= devmem_fault_rank(fault->access))
			return leader;
	return NULL;
}

/**
 * enum devmem_fault_role - what the work item of a fault has to do
 * @DEVMEM_FAULT_LEADS: serve it
 * @DEVMEM_FAULT_FOLLOWS: nothing, it waits for another one
 * @DEVMEM_FAULT_ANSWERED: answer it
 * @DEVMEM_FAULT_DEAD: nothing, its queue goes away
 */
enum devmem_fault_role {
	DEVMEM_FAULT_LEADS,
	DEVMEM_FAULT_FOLLOWS,
	DEVMEM_FAULT_ANSWERED,
	DEVMEM_FAULT_DEAD,
};

static enum devmem_fault_role devmem_fault_begin(struct devmem_fault *fault,
						 const struct gpu_fault *entry)
{
	struct devmem_fault_ring *ring = &fault->dm->fault;
	enum devmem_fault_role role = DEVMEM_FAULT_LEADS;
	struct devmem_fault *leader;
	bool answered;

	spin_lock(&ring->lock);
	/* An earlier fault of the queue may still follow, if its job was aborted. */
	list_del_init(&fault->link);
	answered = fault->answered && fault->seq == le64_to_cpu(entry->seq);
	fault->answered = false;
	fault->seq = le64_to_cpu(entry->seq);
	fault->vmid = le32_to_cpu(entry->vmid);
	fault->va = le64_to_cpu(entry->va);
	fault->access = entry->access;

	leader = devmem_fault_find_leader(fault);
	if (fault->dead) {
		role = DEVMEM_FAULT_DEAD;
	} else if (answered) {
		role = DEVMEM_FAULT_ANSWERED;
	} else if (leader) {
		list_add_tail(&fault->link, &leader->followers);
		role = DEVMEM_FAULT_FOLLOWS;
	} else {
		list_add_tail(&fault->link, &ring->serving);
	}
	spin_unlock(&ring->lock);
	return role;
}

/* Does a follower fail as its leader did? */
static bool devmem_fault_is_same(const struct devmem_fault *a, const struct devmem_fault *b)
{
	return a->va >> PAGE_SHIFT == b->va >> PAGE_SHIFT &&
	       devmem_fault_rank(a->access) == devmem_fault_rank(b->access);
}

/* The leader has been served: its followers can answer. */
static void devmem_fault_end(struct devmem_fault *fault, int err)
{
	struct devmem_fault_ring *ring = &fault->dm->fault;
	struct devmem_fault *follower, *next;

	spin_lock(&ring->lock);
	list_del_init(&fault->link);
	list_for_each_entry_safe(follower, next, &fault->followers, link) {
		list_del_init(&follower->link);
		follower->answered = true;
		follower->answer = devmem_fault_is_same(fault, follower) ? err : 0;
		queue_work(ring->wq, &follower->work);
	}
	spin_unlock(&ring->lock);
}

/* Note a fault that failed, and ban the VM if it was created so. */
static void devmem_fault_note(struct devmem_vm *vm, struct devmem_fault *fault,
			      const struct gpu_fault *entry, int err)
{
	const struct drm_devmem_fault note = {
		.addr = le64_to_cpu(entry->va),
		.time_ns = ktime_get_ns(),
		.queue_id = fault->queue_id,
		.access = entry->access,
		.reason = devmem_report_reason(err),
	};

	devmem_stats_add(vm->stats, DEVMEM_STAT_GPU_FAULTS_FAILED, 1);
	if (err == -ECANCELED)
		return;
	devmem_report_add(&vm->report, &note);
	if (vm->flags & DRM_DEVMEM_VM_BAN_ON_FAULT)
		devmem_svm_ban(vm);
}

/* Tell the hardware, which drops an answer to a fault that was aborted meanwhile. */
static void devmem_fault_reply(struct devmem_fault *fault, const struct gpu_fault *entry,
			       int err)
{
	devmem_hw_write(fault->dm, GPU_REG_QUEUE(fault->hwq, GPU_QUEUE_FAULT_REPLY),
			le64_to_cpu(entry->seq) |
			(err ? GPU_FAULT_REPLY_FAIL : GPU_FAULT_REPLY_RETRY));
}

/* Serve a fault; 0 or a negative error */
static int devmem_fault_serve(struct devmem_vm *vm, const struct gpu_fault *entry)
{
	ktime_t start = ktime_get();
	int err;

	err = devmem_svm_fault(vm, le64_to_cpu(entry->va), entry->access);
	devmem_stats_add(vm->stats, DEVMEM_STAT_FAULT_NS,
			 ktime_to_ns(ktime_sub(ktime_get(), start)));
	if (err != -EALREADY)
		return err;
	devmem_stats_add(vm->stats, DEVMEM_STAT_GPU_FAULTS_SPURIOUS, 1);
	return 0;
}

static void devmem_fault_work(struct work_struct *work)
{
	struct devmem_fault *fault = container_of(work, struct devmem_fault, work);
	ktime_t start = ktime_get();
	enum devmem_fault_role role;
	struct gpu_fault entry;
	struct devmem_vm *vm;
	int err = -ENOENT;

	spin_lock(&fault->lock);
	entry = fault->entry;
	spin_unlock(&fault->lock);

	role = devmem_fault_begin(fault, &entry);
	if (role == DEVMEM_FAULT_FOLLOWS || role == DEVMEM_FAULT_DEAD)
		return;

	vm = devmem_vm_find(fault->dm, le32_to_cpu(entry.vmid));
	if (role == DEVMEM_FAULT_LEADS) {
		devmem_stop_at(&fault->dm->stop, DEVMEM_STOP_FAULT);
		if (vm)
			err = devmem_fault_serve(vm, &entry);
		devmem_fault_end(fault, err);
	} else {
		err = fault->answer;
		if (vm)
			devmem_stats_add(vm->stats, DEVMEM_STAT_GPU_FAULTS_MERGED, 1);
	}
	if (vm) {
		devmem_stats_add(vm->stats, DEVMEM_STAT_GPU_FAULTS, 1);
		if (err)
			devmem_fault_note(vm, fault, &entry, err);
		trace_devmem_fault(vm->vmid, fault->hwq, le64_to_cpu(entry.va),
				   entry.access, err,
				   ktime_to_ns(ktime_sub(ktime_get(), start)));
	}

	devmem_fault_reply(fault, &entry, err);
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

	spin_lock_init(&ring->lock);
	INIT_LIST_HEAD(&ring->serving);
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
 * devmem_fault_cancel().
 */
void devmem_fault_setup(struct devmem_fault *fault, struct devmem_device *dm,
			u16 hwq)
{
	INIT_WORK(&fault->work, devmem_fault_work);
	spin_lock_init(&fault->lock);
	INIT_LIST_HEAD(&fault->link);
	INIT_LIST_HEAD(&fault->followers);
	fault->dm = dm;
	fault->hwq = hwq;
}

/**
 * devmem_fault_cancel() - the queue of a fault goes away
 * @fault: the fault; no new one is dispatched
 *
 * Context: process context; waits until the fault is served, if it is.
 */
void devmem_fault_cancel(struct devmem_fault *fault)
{
	struct devmem_fault_ring *ring = &fault->dm->fault;

	/* From here on it neither follows nor is queued. */
	spin_lock(&ring->lock);
	fault->dead = true;
	list_del_init(&fault->link);
	spin_unlock(&ring->lock);
	cancel_work_sync(&fault->work);
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
