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
 * nothing has to be allocated and nothing can pile up. Faults of different VMs, and
 * of different ranges of one VM, are served in parallel.
 *
 * Many queues of a VM tend to fault on the same memory at once. Only the first
 * one is served, the leader; those that come while it is, want memory of the same
 * range and need no more right follow it. They take no lock but a spinlock and occupy
 * no worker. Until the leader has found its range that is memory of the same page.
 * When the leader is done their work items run again and answer. A follower is told to
 * retry if the leader was served; it fails only if it wanted the very same, and faults
 * once more if there is any doubt.
 *
 * To serve a fault can take as long as userspace likes, in memory that userfaultfd
 * serves. Nobody waits for it: a work item holds its queue and the VM, and the
 * process can destroy both, or be killed, meanwhile. Workers are for all, so a process
 * that leaves too many behind like that gets no new queue.
 *
 * A fault that fails is noted for userspace, see devmem_report.c. If the VM was
 * created so, it is banned.
 */

/* Faults of its queues that are gone that a process can leave being served */
#define DEVMEM_FAULT_MAX_ORPHANS	64

static struct devmem_queue *devmem_fault_to_queue(struct devmem_fault *fault)
{
	return container_of(fault, struct devmem_queue, fault);
}

/* The caller has a reference to the queue, and so has the work from here on. */
static void devmem_fault_queue_work(struct devmem_fault *fault)
{
	struct devmem_queue *q = devmem_fault_to_queue(fault);

	kref_get(&q->kref);
	if (!queue_work(fault->dm->fault.wq, &fault->work))
		devmem_queue_put(q);
}

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
		    leader->start <= fault->va && fault->va < leader->end &&
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

/* What to do about @entry. The VM with a reference is in @vm, unless it is nothing. */
static enum devmem_fault_role devmem_fault_begin(struct devmem_fault *fault,
						 const struct gpu_fault *entry,
						 struct devmem_vm **vm)
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
		fault->start = ALIGN_DOWN(fault->va, PAGE_SIZE);
		fault->end = fault->start + PAGE_SIZE;
		fault->leads = true;
		list_add_tail(&fault->link, &ring->serving);
	}
	/* As long as it is not dead the queue has the VM. */
	if (role == DEVMEM_FAULT_LEADS || role == DEVMEM_FAULT_ANSWERED)
		*vm = devmem_vm_get(devmem_fault_to_queue(fault)->vm);
	spin_unlock(&ring->lock);
	return role;
}

/**
 * devmem_fault_cover() - a fault is being served with memory around it
 * @fault: the fault
 * @start: first virtual address
 * @end: end, exclusive
 *
 * Those that come from now on can follow it if they are about the same.
 *
 * Context: process context.
 */
void devmem_fault_cover(struct devmem_fault *fault, u64 start, u64 end)
{
	struct devmem_fault_ring *ring = &fault->dm->fault;

	spin_lock(&ring->lock);
	fault->start = start;
	fault->end = end;
	spin_unlock(&ring->lock);
}

/* Does a follower fail as its leader did? */
static bool devmem_fault_is_same(const struct devmem_fault *a, const struct devmem_fault *b)
{
	return a->va >> PAGE_SHIFT == b->va >> PAGE_SHIFT &&
	       devmem_fault_rank(a->access) == devmem_fault_rank(b->access);
}

/* A fault no longer leads: its followers can answer. */
static void devmem_fault_dismiss(struct devmem_fault *fault, int err)
{
	struct devmem_fault *follower, *next;

	lockdep_assert_held(&fault->dm->fault.lock);
	list_del_init(&fault->link);
	list_for_each_entry_safe(follower, next, &fault->followers, link) {
		list_del_init(&follower->link);
		follower->answered = true;
		follower->answer = devmem_fault_is_same(fault, follower) ? err : 0;
		devmem_fault_queue_work(follower);
	}
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

/* Serve a fault; 0 or a negative error */
static int devmem_fault_serve(struct devmem_vm *vm, struct devmem_fault *fault,
			      const struct gpu_fault *entry)
{
	ktime_t start = ktime_get();
	int err;

	err = devmem_svm_fault(vm, fault, le64_to_cpu(entry->va), entry->access);
	devmem_stats_add(vm->stats, DEVMEM_STAT_FAULT_NS,
			 ktime_to_ns(ktime_sub(ktime_get(), start)));
	if (err != -EALREADY)
		return err;
	devmem_stats_add(vm->stats, DEVMEM_STAT_GPU_FAULTS_SPURIOUS, 1);
	return 0;
}

/* Serve or answer a fault, and tell the hardware. */
static void devmem_fault_handle(struct devmem_fault *fault, struct devmem_vm *vm,
				const struct gpu_fault *entry, enum devmem_fault_role role)
{
	struct devmem_fault_ring *ring = &fault->dm->fault;
	ktime_t start = ktime_get();
	int err;

	if (role == DEVMEM_FAULT_LEADS) {
		devmem_stop_at(&fault->dm->stop, DEVMEM_STOP_FAULT);
		err = devmem_fault_serve(vm, fault, entry);
		spin_lock(&ring->lock);
		fault->leads = false;
		if (fault->dead)
			atomic_dec(&vm->orphans);
		else
			devmem_fault_dismiss(fault, err);
		spin_unlock(&ring->lock);
	} else {
		err = fault->answer;
		devmem_stats_add(vm->stats, DEVMEM_STAT_GPU_FAULTS_MERGED, 1);
	}
	devmem_stats_add(vm->stats, DEVMEM_STAT_GPU_FAULTS, 1);
	if (err)
		devmem_fault_note(vm, fault, entry, err);
	trace_devmem_fault(vm->vmid, fault->hwq, le64_to_cpu(entry->va), entry->access,
			   err, ktime_to_ns(ktime_sub(ktime_get(), start)));
	devmem_queue_reply_fault(devmem_fault_to_queue(fault),
				 le64_to_cpu(entry->seq) |
				 (err ? GPU_FAULT_REPLY_FAIL : GPU_FAULT_REPLY_RETRY));
}

static void devmem_fault_work(struct work_struct *work)
{
	struct devmem_fault *fault = container_of(work, struct devmem_fault, work);
	enum devmem_fault_role role;
	struct devmem_vm *vm = NULL;
	struct gpu_fault entry;

	spin_lock(&fault->lock);
	entry = fault->entry;
	spin_unlock(&fault->lock);

	devmem_pm_enter(fault->dm);
	role = devmem_fault_begin(fault, &entry, &vm);
	if (vm) {
		devmem_fault_handle(fault, vm, &entry, role);
		devmem_vm_put(vm);
	}
	devmem_pm_exit(fault->dm);
	devmem_queue_put(devmem_fault_to_queue(fault));
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
 *
 * Context: process context; waits as devmem_fault_flush() does.
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
 * A fault that is being served is served to its end, with references to the queue
 * and its VM, and then not answered.
 *
 * Context: process context; the caller has a reference to the queue.
 */
void devmem_fault_cancel(struct devmem_fault *fault)
{
	struct devmem_fault_ring *ring = &fault->dm->fault;

	/* From here on it neither follows nor leads nor is queued. */
	spin_lock(&ring->lock);
	fault->dead = true;
	if (fault->leads)
		atomic_inc(&devmem_fault_to_queue(fault)->vm->orphans);
	devmem_fault_dismiss(fault, 0);
	spin_unlock(&ring->lock);
	if (cancel_work(&fault->work))
		devmem_queue_put(devmem_fault_to_queue(fault));
}

/**
 * devmem_fault_has_too_many() - has a process left too many faults behind?
 * @vm: a VM of it
 *
 * They are of queues that are gone, and take up a worker each.
 *
 * Context: process context.
 *
 * Return: true if there are as many as there may be.
 */
bool devmem_fault_has_too_many(struct devmem_vm *vm)
{
	return devmem_vm_count(vm->dm, vm->svm.mm).orphans >= DEVMEM_FAULT_MAX_ORPHANS;
}

/**
 * devmem_fault_flush() - wait for faults that are being served
 * @dm: the device, without queues
 *
 * Context: process context; can last until the process whose memory it is has
 * answered its userfaultfd or died.
 */
void devmem_fault_flush(struct devmem_device *dm)
{
	flush_workqueue(dm->fault.wq);
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
	devmem_fault_queue_work(fault);
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
