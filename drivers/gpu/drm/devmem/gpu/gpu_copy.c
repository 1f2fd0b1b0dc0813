// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

/**
 * DOC: Copy engine
 *
 * A thread that works through a ring of physical copies and clears, for the
 * driver only. An entry that fails is counted and does not hold up the next.
 */

#include "gpu_priv.h"

static bool gpu_copy_stopping(struct gpu *gpu)
{
	return READ_ONCE(gpu->copy.stop);
}

static bool gpu_copy_has_work(struct gpu *gpu)
{
	bool work;

	spin_lock(&gpu->lock);
	work = gpu->copy.ring.head != gpu->copy.ring.tail &&
	       READ_ONCE(gpu->enabled);
	spin_unlock(&gpu->lock);
	return work;
}

/* Bytes from @addr to the end of its page, @size at most. */
static u32 gpu_copy_left(u64 addr, u64 size)
{
	return min_t(u64, size, GPU_PAGE_SIZE - (addr & ~GPU_PAGE_MASK));
}

static bool gpu_copy_valid(const struct gpu *gpu, u64 src, u64 dst, u64 size,
			   u32 op, u32 flags)
{
	bool copy = op == GPU_COPY_OP_COPY;

	if (op > GPU_COPY_OP_CLEAR ||
	    (flags & ~(GPU_COPY_DST_SYSTEM | (copy ? GPU_COPY_SRC_SYSTEM : 0))))
		return false;
	/* A bus address is checked when it is used, but must not wrap. */
	if (flags & GPU_COPY_DST_SYSTEM ? dst + size < dst :
	    !devmem_gpu_vram_contains(gpu, dst, size))
		return false;
	if (!copy)
		return true;
	return flags & GPU_COPY_SRC_SYSTEM ? src + size >= src :
	       devmem_gpu_vram_contains(gpu, src, size);
}

/* Read within one page into @buffer. */
static bool gpu_copy_from_bus(struct gpu *gpu, u64 src, void *buffer, u32 size)
{
	void *ptr = gpu->ops->bus_begin(gpu->env, src, size, false);

	if (!ptr)
		return false;
	memcpy(buffer, ptr, size);
	gpu->ops->bus_end(gpu->env, ptr, false);
	return true;
}

/* Write within one page from @buffer, or zeros if that is NULL. */
static bool gpu_copy_to_bus(struct gpu *gpu, u64 dst, const void *buffer,
			    u32 size)
{
	void *ptr = gpu->ops->bus_begin(gpu->env, dst, size, true);

	if (!ptr)
		return false;
	if (buffer)
		memcpy(ptr, buffer, size);
	else
		memset(ptr, 0, size);
	gpu->ops->bus_end(gpu->env, ptr, true);
	return true;
}

static bool gpu_copy_clear_step(struct gpu *gpu, u64 dst, u32 size, u32 flags)
{
	void *ptr;

	if (flags & GPU_COPY_DST_SYSTEM)
		return gpu_copy_to_bus(gpu, dst, NULL, size);

	/* What was not touched so far reads as zero as it is. */
	ptr = devmem_gpu_vram(gpu, dst, false);
	if (ptr)
		memset(ptr, 0, size);
	return true;
}

/* One step, within one page on either side. */
static bool gpu_copy_step(struct gpu *gpu, u64 src, u64 dst, u32 size,
			  u32 flags)
{
	void *to = NULL, *from = NULL;

	if (!(flags & GPU_COPY_SRC_SYSTEM)) {
		from = devmem_gpu_vram(gpu, src, true);
		if (!from)
			return false;
	}
	if (!(flags & GPU_COPY_DST_SYSTEM)) {
		to = devmem_gpu_vram(gpu, dst, true);
		if (!to)
			return false;
	}

	if (from && to) {
		memmove(to, from, size);
		return true;
	}
	if (to)
		return gpu_copy_from_bus(gpu, src, to, size);
	if (from)
		return gpu_copy_to_bus(gpu, dst, from, size);
	return gpu_copy_from_bus(gpu, src, gpu->copy.bounce, size) &&
	       gpu_copy_to_bus(gpu, dst, gpu->copy.bounce, size);
}

/* Returns false if the entry failed; it was cut short if the engine stops. */
static bool gpu_copy_run(struct gpu *gpu, const struct gpu_copy *entry)
{
	u64 src = le64_to_cpu(entry->src);
	u64 dst = le64_to_cpu(entry->dst);
	u64 size = le64_to_cpu(entry->size);
	u32 flags = le32_to_cpu(entry->flags);
	u32 op = le32_to_cpu(entry->op);
	u32 step;
	bool ok;

	if (!gpu_copy_valid(gpu, src, dst, size, op, flags))
		return false;

	while (size && !gpu_copy_stopping(gpu)) {
		step = gpu_copy_left(dst, size);
		if (op == GPU_COPY_OP_COPY) {
			step = gpu_copy_left(src, step);
			ok = gpu_copy_step(gpu, src, dst, step, flags);
		} else {
			ok = gpu_copy_clear_step(gpu, dst, step, flags);
		}
		if (!ok) {
			WRITE_ONCE(gpu->bus_error, true);
			return false;
		}
		src += step;
		dst += step;
		size -= step;
		cond_resched();
	}
	return true;
}

/* Tells the driver once it has done all that there was. */
static void gpu_copy_end(struct gpu *gpu, bool ok)
{
	struct gpu_copy_engine *copy = &gpu->copy;
	bool idle;

	spin_lock(&gpu->lock);
	if (!ok) {
		copy->errors++;
		copy->error_entry = copy->ring.head;
	}
	copy->ring.head++;
	idle = copy->ring.head == copy->ring.tail;
	spin_unlock(&gpu->lock);
	if (idle)
		devmem_gpu_irq_raise(gpu, GPU_IRQ_COPY);
}

static int gpu_copy_thread(void *data)
{
	struct gpu *gpu = data;
	struct gpu_copy_engine *copy = &gpu->copy;
	struct gpu_copy *slot, entry;
	bool ok;

	for (;;) {
		wait_event_idle(copy->wait, gpu_copy_has_work(gpu) ||
				gpu_copy_stopping(gpu));
		if (gpu_copy_stopping(gpu))
			break;

		/* Only this thread moves the head on. */
		slot = devmem_gpu_vram(gpu, copy->ring.base +
				       (copy->ring.head & (copy->ring.size - 1)) *
				       sizeof(*slot), true);
		if (slot) {
			entry = *slot;
			ok = gpu_copy_run(gpu, &entry);
		} else {
			WRITE_ONCE(gpu->bus_error, true);
			ok = false;
		}
		if (gpu_copy_stopping(gpu))
			break;
		gpu_copy_end(gpu, ok);
	}
	return 0;
}

static void gpu_copy_start(struct gpu *gpu, u64 size)
{
	struct gpu_copy_engine *copy = &gpu->copy;
	struct gpu_ring ring = { .size = size };

	spin_lock(&gpu->lock);
	ring.base = copy->ring.base;
	if (!devmem_gpu_ring_valid(gpu, &ring, sizeof(struct gpu_copy))) {
		spin_unlock(&gpu->lock);
		return;
	}
	copy->ring = ring;
	copy->errors = 0;
	copy->error_entry = 0;
	copy->enabled = true;
	spin_unlock(&gpu->lock);

	if (gpu_thread_start(&copy->thread, gpu_copy_thread, gpu, "devmem-copy",
			     0)) {
		spin_lock(&gpu->lock);
		copy->enabled = false;
		copy->ring.size = 0;
		spin_unlock(&gpu->lock);
	}
}

/**
 * devmem_gpu_copy_stop() - stop the copy engine
 * @gpu: device
 *
 * Entries that have not ended are dropped.
 *
 * Context: &gpu.control held. Sleeps until the thread has ended.
 */
void devmem_gpu_copy_stop(struct gpu *gpu)
{
	struct gpu_copy_engine *copy = &gpu->copy;

	if (!copy->enabled)
		return;

	WRITE_ONCE(copy->stop, true);
	wake_up_all(&copy->wait);
	gpu_thread_join(&copy->thread);

	spin_lock(&gpu->lock);
	copy->enabled = false;
	WRITE_ONCE(copy->stop, false);
	copy->ring.size = 0;
	spin_unlock(&gpu->lock);
}

/**
 * devmem_gpu_copy_init() - initialize the copy engine
 * @gpu: device
 */
void devmem_gpu_copy_init(struct gpu *gpu)
{
	init_waitqueue_head(&gpu->copy.wait);
}

/**
 * devmem_gpu_copy_read() - read a register of the copy engine
 * @gpu: device
 * @reg: GPU_REG_COPY_*
 *
 * Return: the value.
 */
u64 devmem_gpu_copy_read(struct gpu *gpu, u64 reg)
{
	struct gpu_copy_engine *copy = &gpu->copy;
	u64 value = 0;

	spin_lock(&gpu->lock);
	switch (reg) {
	case GPU_REG_COPY_BASE:
		value = copy->ring.base;
		break;
	case GPU_REG_COPY_SIZE:
		value = copy->ring.size;
		break;
	case GPU_REG_COPY_TAIL:
		value = copy->ring.tail;
		break;
	case GPU_REG_COPY_HEAD:
		value = copy->ring.head;
		break;
	case GPU_REG_COPY_ERRORS:
		value = copy->errors;
		break;
	case GPU_REG_COPY_ERROR_ENTRY:
		value = copy->error_entry;
		break;
	}
	spin_unlock(&gpu->lock);
	return value;
}

/**
 * devmem_gpu_copy_write() - write a register of the copy engine
 * @gpu: device
 * @reg: GPU_REG_COPY_*
 * @value: value
 *
 * Context: GPU_REG_COPY_SIZE sleeps until the thread has ended.
 */
void devmem_gpu_copy_write(struct gpu *gpu, u64 reg, u64 value)
{
	struct gpu_copy_engine *copy = &gpu->copy;
	struct gpu_ring *ring = &copy->ring;
	bool wake = false;

	switch (reg) {
	case GPU_REG_COPY_SIZE:
		mutex_lock(&gpu->control);
		if (!value)
			devmem_gpu_copy_stop(gpu);
		else if (!copy->enabled)
			gpu_copy_start(gpu, value);
		mutex_unlock(&gpu->control);
		break;
	case GPU_REG_COPY_BASE:
		spin_lock(&gpu->lock);
		if (!copy->enabled)
			ring->base = value;
		spin_unlock(&gpu->lock);
		break;
	case GPU_REG_COPY_TAIL:
		spin_lock(&gpu->lock);
		if (copy->enabled && value - ring->head <= ring->size &&
		    value - ring->head >= ring->tail - ring->head) {
			ring->tail = value;
			wake = true;
		}
		spin_unlock(&gpu->lock);
		if (wake)
			wake_up_all(&copy->wait);
		break;
	}
}
