/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_FAULT_H_
#define _DEVMEM_FAULT_H_

#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "gpu/gpu_regs.h"

struct devmem_device;

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
};

int devmem_fault_init(struct devmem_device *dm);
void devmem_fault_fini(struct devmem_device *dm);
void devmem_fault_irq(struct devmem_device *dm);
void devmem_fault_setup(struct devmem_fault *fault, struct devmem_device *dm,
			u16 hwq);

#endif /* _DEVMEM_FAULT_H_ */
