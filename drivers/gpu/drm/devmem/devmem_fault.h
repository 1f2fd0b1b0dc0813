/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_FAULT_H_
#define _DEVMEM_FAULT_H_

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "gpu/gpu_regs.h"

struct devmem_device;
struct devmem_vm;

/**
 * struct devmem_fault_ring - where the GPU reports faults
 */
struct devmem_fault_ring {
	/** @addr: VRAM address of the ring. */
	u64 addr;
	/** @size: entries. */
	u32 size;
	/** @head: entries read so far. */
	u64 head;
	/** @wq: serves faults; each queue has at most one. */
	struct workqueue_struct *wq;
	/** @lock: protects @serving and what the faults say it protects. */
	spinlock_t lock;
	/** @serving: &struct devmem_fault that lead. */
	struct list_head serving;
};

/**
 * struct devmem_fault - the fault of a queue, embedded in the queue
 *
 * The hardware raises no second fault of a queue before the first one is
 * answered or its job aborted. So there is one to be served at a time, and the
 * one being served may be out of date.
 */
struct devmem_fault {
	/** @work: serves the fault. */
	struct work_struct work;
	/** @dm: the device. */
	struct devmem_device *dm;
	/** @lock: protects @entry. */
	spinlock_t lock;
	/** @entry: the latest fault, as the hardware reported it. */
	struct gpu_fault entry;
	/** @hwq: hardware queue. */
	u16 hwq;
	/** @queue_id: id of the queue for userspace. */
	u32 queue_id;
	/**
	 * @link: in &devmem_fault_ring.serving or in @followers of another fault.
	 * This and what follows is protected by &devmem_fault_ring.lock.
	 */
	struct list_head link;
	/** @followers: &struct devmem_fault that wait for this one. */
	struct list_head followers;
	/** @vmid: hardware address space of the fault that leads or follows. */
	u32 vmid;
	/** @va: its address. */
	u64 va;
	/** @start: what it covers if it leads, first address. */
	u64 start;
	/** @end: and the end, exclusive. */
	u64 end;
	/** @access: what it wants, GPU_ACCESS_*. */
	u8 access;
	/** @seq: its number, to tell it from a later one of the same queue. */
	u64 seq;
	/** @answered: the fault that this one followed has been served. */
	bool answered;
	/** @answer: and so, 0 or a negative error. */
	int answer;
	/** @dead: the queue goes away. */
	bool dead;
	/** @leads: it is being served. */
	bool leads;
};

int devmem_fault_init(struct devmem_device *dm);
void devmem_fault_fini(struct devmem_device *dm);
void devmem_fault_irq(struct devmem_device *dm);
void devmem_fault_setup(struct devmem_fault *fault, struct devmem_device *dm,
			u16 hwq);
void devmem_fault_cover(struct devmem_fault *fault, u64 start, u64 end);
void devmem_fault_cancel(struct devmem_fault *fault);
bool devmem_fault_has_too_many(struct devmem_vm *vm);
void devmem_fault_flush(struct devmem_device *dm);

#endif /* _DEVMEM_FAULT_H_ */
