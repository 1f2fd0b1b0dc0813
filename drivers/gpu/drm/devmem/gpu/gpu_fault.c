// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

/**
 * DOC: Faults
 *
 * A queue that faults writes an entry to the fault ring, raises the interrupt
 * and sleeps until the driver writes a reply with the number of that fault, or
 * until it is told to abort.
 */

#include "gpu_priv.h"

static bool gpu_fault_ring_full(const struct gpu *gpu)
{
	return gpu->fault.tail - gpu->fault.head >= gpu->fault.size;
}

/*
 * Whether it is worth to try again: there is room, or nobody to make any. If it
 * is not, the next change has to wake us.
 */
static bool gpu_fault_ring_changed(struct gpu *gpu)
{
	bool changed;

	spin_lock(&gpu->lock);
	changed = !gpu_fault_ring_full(gpu) ||
		  !devmem_gpu_ring_valid(gpu, &gpu->fault,
					 sizeof(struct gpu_fault));
	if (!changed)
		gpu->fault_blocked = true;
	spin_unlock(&gpu->lock);
	return changed;
}

enum gpu_fault_post {
	GPU_FAULT_POSTED,
	GPU_FAULT_HALTED,
	GPU_FAULT_FULL,
	GPU_FAULT_NEED_PAGE,
	GPU_FAULT_BAD_RING,
};

/* Write an entry to the ring if it can be done without sleeping. */
static enum gpu_fault_post gpu_fault_try_post(struct gpu *gpu,
					      const struct gpu_fault *fault,
					      u64 *addr)
{
	enum gpu_fault_post result = GPU_FAULT_POSTED;
	struct gpu_ring *ring = &gpu->fault;
	struct gpu_fault *slot;

	spin_lock(&gpu->lock);
	if (READ_ONCE(gpu->halted)) {
		result = GPU_FAULT_HALTED;
	} else if (!devmem_gpu_ring_valid(gpu, ring, sizeof(*fault))) {
		result = GPU_FAULT_BAD_RING;
	} else if (gpu_fault_ring_full(gpu)) {
		result = GPU_FAULT_FULL;
	} else {
		*addr = ring->base + (ring->tail & (ring->size - 1)) *
			sizeof(*fault);
		slot = devmem_gpu_vram(gpu, *addr, false);
		if (slot) {
			*slot = *fault;
			ring->tail++;
		} else {
			result = GPU_FAULT_NEED_PAGE;
		}
	}
	spin_unlock(&gpu->lock);
	return result;
}

static u32 gpu_fault_post(struct gpu_queue *queue,
			  const struct gpu_fault *fault)
{
	struct gpu *gpu = queue->gpu;
	u64 addr;

	for (;;) {
		switch (gpu_fault_try_post(gpu, fault, &addr)) {
		case GPU_FAULT_POSTED:
			devmem_gpu_irq_raise(gpu, GPU_IRQ_FAULT);
			return GPU_JOB_ERROR_NONE;
		case GPU_FAULT_HALTED:
			devmem_gpu_queue_wait_halt(queue);
			break;
		case GPU_FAULT_FULL:
			wait_event_idle(queue->wait,
					gpu_fault_ring_changed(gpu) ||
					devmem_gpu_queue_aborting(queue));
			break;
		case GPU_FAULT_NEED_PAGE:
			if (!devmem_gpu_vram(gpu, addr, true))
				return GPU_JOB_ERROR_BUS;
			break;
		case GPU_FAULT_BAD_RING:
			return GPU_JOB_ERROR_FAULT;
		}
		if (devmem_gpu_queue_aborting(queue))
			return GPU_JOB_ERROR_ABORTED;
	}
}

static bool gpu_fault_open(struct gpu_queue *queue)
{
	bool open;

	spin_lock(&queue->lock);
	open = queue->faulted;
	spin_unlock(&queue->lock);
	return open;
}

static u32 gpu_fault_wait(struct gpu_queue *queue)
{
	u32 error;

	wait_event_idle(queue->wait, !gpu_fault_open(queue) ||
			devmem_gpu_queue_aborting(queue));

	spin_lock(&queue->lock);
	if (queue->faulted)
		error = GPU_JOB_ERROR_ABORTED;
	else
		error = queue->fault_failed ? GPU_JOB_ERROR_FAULT :
					      GPU_JOB_ERROR_NONE;
	spin_unlock(&queue->lock);
	return error;
}

/**
 * devmem_gpu_fault_raise() - report a fault and wait for the reply
 * @queue: queue; called in its thread, without its lock
 * @va: virtual address
 * @access: GPU_ACCESS_*
 * @level: level of the page table entry
 *
 * Without a usable fault ring there is nobody to ask and the access fails.
 *
 * Return: 0 if the access has to be tried again, or a GPU_JOB_ERROR_* that was
 * noted in the queue.
 */
u32 devmem_gpu_fault_raise(struct gpu_queue *queue, u64 va, u32 access,
			   u8 level)
{
	struct gpu_fault fault = {
		.va = cpu_to_le64(va),
		.queue = cpu_to_le16(queue->index),
		.access = access,
		.level = level,
	};
	u32 error;

	spin_lock(&queue->lock);
	queue->faulted = true;
	/* The top bit of a reply is not part of the number. */
	queue->fault_seq = (queue->fault_seq + 1) & ~GPU_FAULT_REPLY_FAIL;
	if (!queue->fault_seq)
		queue->fault_seq = 1;
	fault.seq = cpu_to_le64(queue->fault_seq);
	fault.vmid = cpu_to_le32(queue->vmid);
	spin_unlock(&queue->lock);

	error = gpu_fault_post(queue, &fault);
	if (!error)
		error = gpu_fault_wait(queue);

	spin_lock(&queue->lock);
	queue->faulted = false;
	spin_unlock(&queue->lock);

	if (error)
		devmem_gpu_queue_error(queue, error, access, va);
	return error;
}

/**
 * devmem_gpu_fault_reply() - take the driver's reply to a fault
 * @queue: queue
 * @reply: number of the fault | GPU_FAULT_REPLY_*
 *
 * A reply to a fault that is not the open one is ignored.
 */
void devmem_gpu_fault_reply(struct gpu_queue *queue, u64 reply)
{
	bool match;

	spin_lock(&queue->lock);
	match = queue->faulted &&
		queue->fault_seq == (reply & ~GPU_FAULT_REPLY_FAIL);
	if (match) {
		queue->fault_failed = reply & GPU_FAULT_REPLY_FAIL;
		queue->faulted = false;
	}
	spin_unlock(&queue->lock);
	if (match)
		wake_up_all(&queue->wait);
}

/**
 * devmem_gpu_fault_read() - read a register of the fault ring
 * @gpu: device
 * @reg: GPU_REG_FAULT_*
 *
 * Return: the value.
 */
u64 devmem_gpu_fault_read(struct gpu *gpu, u64 reg)
{
	u64 value = 0;

	spin_lock(&gpu->lock);
	switch (reg) {
	case GPU_REG_FAULT_BASE:
		value = gpu->fault.base;
		break;
	case GPU_REG_FAULT_SIZE:
		value = gpu->fault.size;
		break;
	case GPU_REG_FAULT_HEAD:
		value = gpu->fault.head;
		break;
	case GPU_REG_FAULT_TAIL:
		value = gpu->fault.tail;
		break;
	}
	spin_unlock(&gpu->lock);
	return value;
}

/**
 * devmem_gpu_fault_write() - write a register of the fault ring
 * @gpu: device
 * @reg: GPU_REG_FAULT_*
 * @value: value
 */
void devmem_gpu_fault_write(struct gpu *gpu, u64 reg, u64 value)
{
	bool blocked;
	u32 i;

	spin_lock(&gpu->lock);
	switch (reg) {
	case GPU_REG_FAULT_BASE:
		gpu->fault.base = value;
		break;
	case GPU_REG_FAULT_SIZE:
		gpu->fault.size = value;
		break;
	case GPU_REG_FAULT_HEAD:
		gpu->fault.head = value;
		break;
	}
	blocked = gpu->fault_blocked;
	gpu->fault_blocked = false;
	spin_unlock(&gpu->lock);

	for (i = 0; blocked && i < gpu->config.num_queues; i++)
		wake_up_all(&gpu->queues[i].wait);
}
