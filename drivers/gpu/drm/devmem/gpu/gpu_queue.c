// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

/**
 * DOC: Queues
 *
 * An enabled queue is a thread that takes jobs out of the ring, runs them one
 * after the other and writes back how each ended. Disabling a queue aborts the
 * running job and all that wait, so that every job which was submitted gets
 * its result.
 */

#include "gpu_priv.h"

/**
 * devmem_gpu_queue_aborting() - whether the running job shall end
 * @queue: queue
 *
 * Return: true if it shall end as soon as possible.
 */
bool devmem_gpu_queue_aborting(const struct gpu_queue *queue)
{
	return READ_ONCE(queue->abort) || READ_ONCE(queue->stop);
}

/**
 * devmem_gpu_queue_error() - note why the running job ends
 * @queue: queue; called in its thread
 * @code: GPU_JOB_ERROR_*
 * @access: GPU_ACCESS_*, used for FAULT and BUS
 * @va: virtual address, used for FAULT, BUS and ALIGNMENT
 *
 * Return: @code.
 */
u32 devmem_gpu_queue_error(struct gpu_queue *queue, u32 code, u32 access,
			   u64 va)
{
	struct gpu_error *error = &queue->error;

	*error = (struct gpu_error){ .code = code };
	switch (code) {
	case GPU_JOB_ERROR_BUS:
		WRITE_ONCE(queue->gpu->bus_error, true);
		fallthrough;
	case GPU_JOB_ERROR_FAULT:
		error->access = access;
		fallthrough;
	case GPU_JOB_ERROR_ALIGNMENT:
		error->va = va;
		break;
	default:
		break;
	}
	return code;
}

/* Whether a queue has to keep its hands off memory. One that is told to end may end. */
static bool gpu_queue_halted(const struct gpu_queue *queue)
{
	return READ_ONCE(queue->gpu->halted) && !READ_ONCE(queue->stop);
}

/**
 * devmem_gpu_queue_wait_halt() - wait until the device is not halted
 * @queue: queue; called in its thread, without its lock
 *
 * Ends early when the job is aborted.
 */
void devmem_gpu_queue_wait_halt(struct gpu_queue *queue)
{
	wait_event_idle(queue->wait, !READ_ONCE(queue->gpu->halted) ||
			devmem_gpu_queue_aborting(queue));
}

static bool gpu_queue_has_work(struct gpu_queue *queue)
{
	bool work;

	spin_lock(&queue->lock);
	work = queue->ring.head != queue->ring.tail &&
	       READ_ONCE(queue->gpu->enabled) && !gpu_queue_halted(queue);
	spin_unlock(&queue->lock);
	return work;
}

enum gpu_queue_next {
	GPU_QUEUE_JOB,
	GPU_QUEUE_AGAIN,
	GPU_QUEUE_EMPTY,
};

/* Start the next job and read it. @slot is where it is, or NULL without memory. */
static enum gpu_queue_next gpu_queue_begin(struct gpu_queue *queue,
					   struct gpu_job **slot,
					   struct gpu_job *job)
{
	enum gpu_queue_next next = GPU_QUEUE_EMPTY;

	/* Only this thread moves the head on. */
	*slot = devmem_gpu_vram(queue->gpu, queue->ring.base +
				(queue->ring.head & (queue->ring.size - 1)) *
				sizeof(**slot), true);
	spin_lock(&queue->lock);
	if (gpu_queue_halted(queue)) {
		next = GPU_QUEUE_AGAIN;
	} else if (queue->ring.head != queue->ring.tail) {
		next = GPU_QUEUE_JOB;
		queue->running = true;
		if (*slot)
			*job = **slot;
	}
	spin_unlock(&queue->lock);
	return next;
}

static void gpu_queue_end(struct gpu_queue *queue, struct gpu_job *job)
{
	spin_lock(&queue->lock);
	while (gpu_queue_halted(queue)) {
		spin_unlock(&queue->lock);
		wait_event_idle(queue->wait, !gpu_queue_halted(queue));
		spin_lock(&queue->lock);
	}
	if (job) {
		job->error_va = cpu_to_le64(queue->error.va);
		job->error_pc = cpu_to_le64(queue->error.code ? queue->pc : 0);
		job->access = cpu_to_le32(queue->error.access);
		job->error = cpu_to_le32(queue->error.code);
	}
	queue->ring.head++;
	queue->running = false;
	WRITE_ONCE(queue->abort, false);
	spin_unlock(&queue->lock);
	devmem_gpu_irq_raise(queue->gpu, GPU_IRQ_QUEUE);
}

static void gpu_queue_run(struct gpu_queue *queue, const struct gpu_job *job)
{
	u64 fence_addr = le64_to_cpu(job->fence_addr);
	u64 batch = le64_to_cpu(job->batch);
	u32 error;

	queue->pc = batch;
	if (devmem_gpu_queue_aborting(queue)) {
		devmem_gpu_queue_error(queue, GPU_JOB_ERROR_ABORTED, 0, 0);
		return;
	}

	error = devmem_gpu_exec_batch(queue, batch);
	if (error || !fence_addr)
		return;

	/* Whoever sees the fence sees all that the batch wrote. */
	smp_mb();
	if (fence_addr % sizeof(u64))
		devmem_gpu_queue_error(queue, GPU_JOB_ERROR_ALIGNMENT, 0,
				       fence_addr);
	else
		devmem_gpu_mem_store(queue, fence_addr, sizeof(u64),
				     le64_to_cpu(job->fence_value));
}

static int gpu_queue_thread(void *data)
{
	struct gpu_queue *queue = data;
	enum gpu_queue_next next;
	struct gpu_job *slot, job;

	for (;;) {
		wait_event_idle(queue->wait, gpu_queue_has_work(queue) ||
				READ_ONCE(queue->stop));
		next = gpu_queue_begin(queue, &slot, &job);
		if (next == GPU_QUEUE_AGAIN)
			continue;
		if (next == GPU_QUEUE_EMPTY)
			break;

		queue->error = (struct gpu_error){};
		if (slot)
			gpu_queue_run(queue, &job);
		else
			devmem_gpu_queue_error(queue, GPU_JOB_ERROR_BUS, 0, 0);
		gpu_queue_end(queue, slot);
		cond_resched();
	}
	return 0;
}

/* Get ready to run from an empty ring, if the registers allow it. */
static bool gpu_queue_prepare(struct gpu_queue *queue)
{
	struct gpu *gpu = queue->gpu;
	bool valid;

	spin_lock(&queue->lock);
	valid = devmem_gpu_ring_valid(gpu, &queue->ring, sizeof(struct gpu_job)) &&
		queue->vmid && queue->vmid < gpu->config.num_vmids;
	if (valid) {
		queue->ring.head = 0;
		queue->ring.tail = 0;
		queue->abort = false;
		queue->progress = 0;
		WRITE_ONCE(queue->enabled, true);
	}
	spin_unlock(&queue->lock);

	/* See devmem_gpu_mmu_invalidate(). */
	smp_mb();
	return valid;
}

/* The queue runs no more and knows no translations. */
static void gpu_queue_finish(struct gpu_queue *queue)
{
	spin_lock(&queue->lock);
	WRITE_ONCE(queue->enabled, false);
	WRITE_ONCE(queue->stop, false);
	devmem_gpu_mmu_flush(queue);
	spin_unlock(&queue->lock);
	kvfree(queue->bounce);
	queue->bounce = NULL;
}

static void gpu_queue_enable(struct gpu_queue *queue)
{
	if (!gpu_queue_prepare(queue))
		return;

	queue->bounce = kvzalloc(GPU_PAGE_SIZE, GFP_KERNEL);
	if (!queue->bounce ||
	    gpu_thread_start(&queue->thread, gpu_queue_thread, queue,
			     "devmem-queue", queue->index))
		gpu_queue_finish(queue);
}

/**
 * devmem_gpu_queue_disable() - stop a queue
 * @queue: queue
 *
 * Jobs that have not ended do so with ABORTED.
 *
 * Context: &gpu.control held. Sleeps until the thread has ended.
 */
void devmem_gpu_queue_disable(struct gpu_queue *queue)
{
	if (!queue->enabled)
		return;

	spin_lock(&queue->lock);
	WRITE_ONCE(queue->stop, true);
	spin_unlock(&queue->lock);
	wake_up_all(&queue->wait);
	gpu_thread_join(&queue->thread);
	gpu_queue_finish(queue);
}

/**
 * devmem_gpu_queue_reset() - registers of a queue to power-on state
 * @queue: a disabled queue
 *
 * Context: &gpu.control held.
 */
void devmem_gpu_queue_reset(struct gpu_queue *queue)
{
	spin_lock(&queue->lock);
	queue->ring = (struct gpu_ring){};
	queue->vmid = 0;
	queue->progress = 0;
	spin_unlock(&queue->lock);
}

/**
 * devmem_gpu_queue_init() - initialize a queue
 * @gpu: device
 * @index: number of the queue
 */
void devmem_gpu_queue_init(struct gpu *gpu, u32 index)
{
	struct gpu_queue *queue = &gpu->queues[index];

	queue->gpu = gpu;
	queue->index = index;
	spin_lock_init(&queue->lock);
	init_waitqueue_head(&queue->wait);
}

static u64 gpu_queue_ctrl(const struct gpu_queue *queue)
{
	return (queue->enabled ? GPU_QUEUE_CTRL_ENABLE : 0) |
	       (queue->abort ? GPU_QUEUE_CTRL_ABORT : 0);
}

static u64 gpu_queue_status(const struct gpu_queue *queue)
{
	return (queue->running ? GPU_QUEUE_STATUS_RUNNING : 0) |
	       (queue->faulted ? GPU_QUEUE_STATUS_FAULTED : 0);
}

/**
 * devmem_gpu_queue_read() - read a register of a queue
 * @queue: queue
 * @reg: GPU_QUEUE_*
 *
 * Return: the value; 0 for a register that does not exist.
 */
u64 devmem_gpu_queue_read(struct gpu_queue *queue, u64 reg)
{
	u64 value = 0;

	spin_lock(&queue->lock);
	switch (reg) {
	case GPU_QUEUE_BASE:
		value = queue->ring.base;
		break;
	case GPU_QUEUE_SIZE:
		value = queue->ring.size;
		break;
	case GPU_QUEUE_VMID:
		value = queue->vmid;
		break;
	case GPU_QUEUE_CTRL:
		value = gpu_queue_ctrl(queue);
		break;
	case GPU_QUEUE_TAIL:
		value = queue->ring.tail;
		break;
	case GPU_QUEUE_HEAD:
		value = queue->ring.head;
		break;
	case GPU_QUEUE_STATUS:
		value = gpu_queue_status(queue);
		break;
	case GPU_QUEUE_PROGRESS:
		value = READ_ONCE(queue->progress);
		break;
	}
	spin_unlock(&queue->lock);
	return value;
}

static void gpu_queue_write_ctrl(struct gpu_queue *queue, u64 value)
{
	struct gpu *gpu = queue->gpu;

	if (value & GPU_QUEUE_CTRL_ABORT) {
		spin_lock(&queue->lock);
		if (queue->running)
			WRITE_ONCE(queue->abort, true);
		spin_unlock(&queue->lock);
		wake_up_all(&queue->wait);
	}

	/* An abort must not wait for somebody who stops another engine. */
	if (READ_ONCE(queue->enabled) == !!(value & GPU_QUEUE_CTRL_ENABLE))
		return;

	mutex_lock(&gpu->control);
	if (!(value & GPU_QUEUE_CTRL_ENABLE))
		devmem_gpu_queue_disable(queue);
	else if (!queue->enabled)
		gpu_queue_enable(queue);
	mutex_unlock(&gpu->control);
}

/* Returns true if the thread has to be woken. */
static bool gpu_queue_write_locked(struct gpu_queue *queue, u64 reg, u64 value)
{
	struct gpu_ring *ring = &queue->ring;

	if (reg == GPU_QUEUE_TAIL) {
		if (!queue->enabled || queue->stop ||
		    value - ring->head > ring->size ||
		    value - ring->head < ring->tail - ring->head)
			return false;
		ring->tail = value;
		return true;
	}
	if (queue->enabled)
		return false;

	switch (reg) {
	case GPU_QUEUE_BASE:
		ring->base = value;
		break;
	case GPU_QUEUE_SIZE:
		ring->size = value;
		break;
	case GPU_QUEUE_VMID:
		WRITE_ONCE(queue->vmid, value);
		break;
	}
	return false;
}

/**
 * devmem_gpu_queue_write() - write a register of a queue
 * @queue: queue
 * @reg: GPU_QUEUE_*; one that does not exist is ignored
 * @value: value
 */
void devmem_gpu_queue_write(struct gpu_queue *queue, u64 reg, u64 value)
{
	bool wake;

	switch (reg) {
	case GPU_QUEUE_CTRL:
		gpu_queue_write_ctrl(queue, value);
		break;
	case GPU_QUEUE_FAULT_REPLY:
		devmem_gpu_fault_reply(queue, value);
		break;
	default:
		spin_lock(&queue->lock);
		wake = gpu_queue_write_locked(queue, reg, value);
		spin_unlock(&queue->lock);
		if (wake)
			wake_up_all(&queue->wait);
		break;
	}
}
