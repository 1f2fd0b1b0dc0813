// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

/**
 * DOC: Copy engine
 *
 * A thread that works through a ring of physical copies and clears, for the
 * driver only. An entry that fails is counted and does not hold up the next.
 *
 * It goes by pieces that need to be looked up once, but which are small enough
 * for others to get at the bus meanwhile.
 */

#include "gpu_priv.h"

/* Bytes of a piece at most, and where in the destination one ends */
#define GPU_COPY_PIECE	65536u

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

/*
 * memcpy() of a size that the compiler knows becomes a string instruction; of any
 * other it can be a loop that takes three times as many instructions.
 */
static void gpu_copy_bytes(u8 *to, const u8 *from, u64 size)
{
	for (; size >= GPU_PAGE_SIZE; size -= GPU_PAGE_SIZE) {
		memcpy(to, from, GPU_PAGE_SIZE);
		to += GPU_PAGE_SIZE;
		from += GPU_PAGE_SIZE;
	}
	memcpy(to, from, size);
}

/* Read into @buffer; returns how many bytes, zero for an error. */
static u64 gpu_copy_from_bus(struct gpu *gpu, u64 src, void *buffer, u64 size)
{
	void *ptr = gpu->ops->bus_begin(gpu->env, src, &size, false);

	if (!ptr)
		return 0;
	gpu_copy_bytes(buffer, ptr, size);
	gpu->ops->bus_end(gpu->env);
	return size;
}

/* Write from @buffer, or zeros if that is NULL; returns as the above. */
static u64 gpu_copy_to_bus(struct gpu *gpu, u64 dst, const void *buffer, u64 size)
{
	void *ptr = gpu->ops->bus_begin(gpu->env, dst, &size, true);

	if (!ptr)
		return 0;
	if (buffer)
		gpu_copy_bytes(ptr, buffer, size);
	else
		memset(ptr, 0, size);
	gpu->ops->bus_end(gpu->env);
	return size;
}

/* Clear what is in one piece; returns how many bytes, zero for an error. */
static u64 gpu_copy_clear_piece(struct gpu *gpu, u64 dst, u64 size, u32 flags)
{
	void *ptr;

	if (flags & GPU_COPY_DST_SYSTEM)
		return gpu_copy_to_bus(gpu, dst, NULL, size);

	/* What was not touched so far reads as zero as it is. */
	ptr = devmem_gpu_vram_piece(gpu, dst, &size, false);
	if (!ptr)
		return devmem_gpu_page_left(dst, size);
	memset(ptr, 0, size);
	return size;
}

/* The same for a copy of what is in one piece on either side. */
static u64 gpu_copy_piece(struct gpu *gpu, u64 src, u64 dst, u64 size, u32 flags)
{
	void *to = NULL, *from = NULL;

	if (!(flags & GPU_COPY_SRC_SYSTEM)) {
		from = devmem_gpu_vram_piece(gpu, src, &size, true);
		if (!from)
			return 0;
	}
	if (!(flags & GPU_COPY_DST_SYSTEM)) {
		to = devmem_gpu_vram_piece(gpu, dst, &size, true);
		if (!to)
			return 0;
	}

	if (from && to) {
		memmove(to, from, size);
		return size;
	}
	if (to)
		return gpu_copy_from_bus(gpu, src, to, size);
	if (from)
		return gpu_copy_to_bus(gpu, dst, from, size);

	/* What is within one page on both sides is in one piece there. */
	size = devmem_gpu_page_left(src, devmem_gpu_page_left(dst, size));
	if (!gpu_copy_from_bus(gpu, src, gpu->copy.bounce, size))
		return 0;
	return gpu_copy_to_bus(gpu, dst, gpu->copy.bounce, size);
}

/* Returns false if the entry failed; it was cut short if the engine stops. */
static bool gpu_copy_run(struct gpu *gpu, const struct gpu_copy *entry)
{
	u64 src = le64_to_cpu(entry->src);
	u64 dst = le64_to_cpu(entry->dst);
	u64 size = le64_to_cpu(entry->size);
	u32 flags = le32_to_cpu(entry->flags);
	u32 op = le32_to_cpu(entry->op);
	u64 piece;

	if (!gpu_copy_valid(gpu, src, dst, size, op, flags))
		return false;

	while (size && !gpu_copy_stopping(gpu)) {
		piece = min_t(u64, size, GPU_COPY_PIECE - dst % GPU_COPY_PIECE);
		if (op == GPU_COPY_OP_COPY)
			piece = gpu_copy_piece(gpu, src, dst, piece, flags);
		else
			piece = gpu_copy_clear_piece(gpu, dst, piece, flags);
		if (!piece) {
			WRITE_ONCE(gpu->bus_error, true);
			return false;
		}
		src += piece;
		dst += piece;
		size -= piece;
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
