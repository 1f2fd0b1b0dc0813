// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

/**
 * DOC: Memory accesses of queues
 *
 * Every access goes through devmem_gpu_mem_access(), or devmem_gpu_mem_copy()
 * for one that needs two translations at a time. They do their work within one
 * page, with the queue locked, and on a fault they stall with the queue
 * unlocked and then start that page again. What spans pages is a loop around
 * them, so a fault never repeats what is done.
 *
 * Data has the byte order of the CPU, as it is memory of a process.
 */

#include "gpu_priv.h"

union gpu_data {
	u8 b[8];
	u8 v8;
	u16 v16;
	u32 v32;
	u64 v64;
};

struct gpu_data_arg {
	u8 *data;
};

struct gpu_fill_arg {
	const u8 *pattern;
	u32 width;
	u64 phase;
};

/* What is within one page is in one piece. */
static void *gpu_mem_map(struct gpu *gpu, const struct gpu_xlat *xlat, u64 va,
			 u64 size, bool write)
{
	u64 offset = va & ~GPU_PAGE_MASK;

	if (xlat->page)
		return (u8 *)xlat->page + offset;
	return gpu->ops->bus_begin(gpu->env, xlat->bus + offset, &size, write);
}

static void gpu_mem_unmap(struct gpu *gpu, const struct gpu_xlat *xlat)
{
	if (!xlat->page)
		gpu->ops->bus_end(gpu->env);
}

/*
 * Do what has to be done before an access can be tried again. Returns 0 to try
 * again, or a GPU_JOB_ERROR_*.
 */
static u32 gpu_mem_resolve(struct gpu_queue *queue, u64 va, u32 access,
			   enum gpu_mmu_result result,
			   const struct gpu_mmu_miss *miss)
{
	if (devmem_gpu_queue_aborting(queue))
		return devmem_gpu_queue_error(queue, GPU_JOB_ERROR_ABORTED, access, va);

	switch (result) {
	case GPU_MMU_HALTED:
		devmem_gpu_queue_wait_halt(queue);
		return GPU_JOB_ERROR_NONE;
	case GPU_MMU_AGAIN:
		if (!miss->need_page ||
		    devmem_gpu_vram(queue->gpu, miss->vram_addr, true))
			return GPU_JOB_ERROR_NONE;
		break;
	case GPU_MMU_FAULT:
		return devmem_gpu_fault_raise(queue, va, access, miss->level);
	default:
		break;
	}
	return devmem_gpu_queue_error(queue, GPU_JOB_ERROR_BUS, access, va);
}

/* A translation, if the queue may make an access at all. */
static enum gpu_mmu_result gpu_mem_translate(struct gpu_queue *queue, u64 va,
					     u32 access, struct gpu_xlat *xlat,
					     struct gpu_mmu_miss *miss)
{
	if (READ_ONCE(queue->gpu->halted))
		return GPU_MMU_HALTED;
	return devmem_gpu_mmu_translate(queue, va, access, xlat, miss);
}

/**
 * devmem_gpu_mem_access() - access memory within one page
 * @queue: queue; called in its thread, without its lock
 * @va: virtual address
 * @size: bytes; @va + @size must not go beyond the page of @va
 * @access: GPU_ACCESS_*
 * @fn: does the access
 * @arg: for @fn
 *
 * Return: 0, or a GPU_JOB_ERROR_* that was noted in the queue; @fn was not
 * called then.
 */
u32 devmem_gpu_mem_access(struct gpu_queue *queue, u64 va, u32 size,
			  u32 access, gpu_access_t fn, void *arg)
{
	bool write = access == GPU_ACCESS_WRITE || access == GPU_ACCESS_ATOMIC;
	enum gpu_mmu_result result;
	struct gpu_mmu_miss miss = {};
	struct gpu_xlat xlat;
	u32 error;
	void *ptr;

	for (;;) {
		spin_lock(&queue->lock);
		result = gpu_mem_translate(queue, va, access, &xlat, &miss);
		if (result == GPU_MMU_OK) {
			ptr = gpu_mem_map(queue->gpu, &xlat, va, size, write);
			if (ptr) {
				fn(ptr, size, arg);
				gpu_mem_unmap(queue->gpu, &xlat);
			} else {
				result = GPU_MMU_BUS;
			}
		}
		spin_unlock(&queue->lock);
		if (result == GPU_MMU_OK)
			return GPU_JOB_ERROR_NONE;

		error = gpu_mem_resolve(queue, va, access, result, &miss);
		if (error)
			return error;
	}
}

static void gpu_access_load(void *ptr, u32 size, void *arg)
{
	union gpu_data *data = arg;

	/* One access if it is aligned, so that nobody sees half of it. */
	if (!IS_ALIGNED((unsigned long)ptr, size))
		memcpy(data, ptr, size);
	else if (size == 1)
		data->v8 = READ_ONCE(*(u8 *)ptr);
	else if (size == 2)
		data->v16 = READ_ONCE(*(u16 *)ptr);
	else if (size == 4)
		data->v32 = READ_ONCE(*(u32 *)ptr);
	else
		data->v64 = READ_ONCE(*(u64 *)ptr);
}

static void gpu_access_store(void *ptr, u32 size, void *arg)
{
	const union gpu_data *data = arg;

	if (!IS_ALIGNED((unsigned long)ptr, size))
		memcpy(ptr, data, size);
	else if (size == 1)
		WRITE_ONCE(*(u8 *)ptr, data->v8);
	else if (size == 2)
		WRITE_ONCE(*(u16 *)ptr, data->v16);
	else if (size == 4)
		WRITE_ONCE(*(u32 *)ptr, data->v32);
	else
		WRITE_ONCE(*(u64 *)ptr, data->v64);
}

static void gpu_access_get(void *ptr, u32 size, void *arg)
{
	struct gpu_data_arg *part = arg;

	memcpy(part->data, ptr, size);
}

static void gpu_access_put(void *ptr, u32 size, void *arg)
{
	struct gpu_data_arg *part = arg;

	memcpy(ptr, part->data, size);
}

/* An access of up to eight bytes that can span two pages. */
static u32 gpu_mem_data(struct gpu_queue *queue, u64 va, u32 width, u32 access,
			union gpu_data *data)
{
	bool load = access == GPU_ACCESS_READ;
	struct gpu_data_arg part = { .data = data->b };
	u32 first = devmem_gpu_page_left(va, width);
	gpu_access_t fn;
	u32 error;

	if (first == width)
		return devmem_gpu_mem_access(queue, va, width, access,
					     load ? gpu_access_load :
						    gpu_access_store, data);

	fn = load ? gpu_access_get : gpu_access_put;
	error = devmem_gpu_mem_access(queue, va, first, access, fn, &part);
	if (error)
		return error;
	part.data += first;
	return devmem_gpu_mem_access(queue, va + first, width - first, access,
				     fn, &part);
}

/**
 * devmem_gpu_mem_load() - load a value
 * @queue: queue; called in its thread
 * @va: virtual address, with any alignment
 * @width: 1, 2, 4 or 8 bytes
 * @value: out, zero-extended
 *
 * Return: 0 or a GPU_JOB_ERROR_*.
 */
u32 devmem_gpu_mem_load(struct gpu_queue *queue, u64 va, u32 width, u64 *value)
{
	union gpu_data data = {};
	u32 error;

	error = gpu_mem_data(queue, va, width, GPU_ACCESS_READ, &data);
	if (error)
		return error;
	*value = width == 1 ? data.v8 : width == 2 ? data.v16 :
		 width == 4 ? data.v32 : data.v64;
	return GPU_JOB_ERROR_NONE;
}

/**
 * devmem_gpu_mem_store() - store a value
 * @queue: queue; called in its thread
 * @va: virtual address, with any alignment
 * @width: 1, 2, 4 or 8 bytes
 * @value: of which the low @width bytes are stored
 *
 * Return: 0 or a GPU_JOB_ERROR_*.
 */
u32 devmem_gpu_mem_store(struct gpu_queue *queue, u64 va, u32 width, u64 value)
{
	union gpu_data data = {};

	if (width == 1)
		data.v8 = value;
	else if (width == 2)
		data.v16 = value;
	else if (width == 4)
		data.v32 = value;
	else
		data.v64 = value;
	return gpu_mem_data(queue, va, width, GPU_ACCESS_WRITE, &data);
}

static void gpu_access_fill(void *ptr, u32 size, void *arg)
{
	struct gpu_fill_arg *fill = arg;
	u8 *dst = ptr;
	u32 done;

	/* The pattern once, and then double what is there. */
	for (done = 0; done < min_t(u32, size, fill->width); done++)
		dst[done] = fill->pattern[(fill->phase + done) % fill->width];
	while (done < size) {
		u32 step = min_t(u32, done, size - done);

		memcpy(dst + done, dst, step);
		done += step;
	}
}

/**
 * devmem_gpu_mem_fill() - fill memory with a pattern
 * @queue: queue; called in its thread
 * @va: virtual address of the first byte
 * @size: bytes, of any number
 * @value: of which the low @width bytes are the pattern
 * @width: 1, 2, 4 or 8 bytes
 *
 * Return: 0 or a GPU_JOB_ERROR_*.
 */
u32 devmem_gpu_mem_fill(struct gpu_queue *queue, u64 va, u64 size, u64 value,
			u32 width)
{
	union gpu_data data = {};
	struct gpu_fill_arg fill = { .pattern = data.b, .width = width };
	u32 error, step;
	u64 done;

	if (width == 1)
		data.v8 = value;
	else if (width == 2)
		data.v16 = value;
	else if (width == 4)
		data.v32 = value;
	else
		data.v64 = value;

	for (done = 0; done < size; done += step) {
		step = devmem_gpu_page_left(va + done, size - done);
		fill.phase = done;
		if (devmem_gpu_queue_aborting(queue))
			return devmem_gpu_queue_error(queue,
						      GPU_JOB_ERROR_ABORTED, 0, 0);
		error = devmem_gpu_mem_access(queue, va + done, step,
					      GPU_ACCESS_WRITE, gpu_access_fill,
					      &fill);
		if (error)
			return error;
		cond_resched();
	}
	return GPU_JOB_ERROR_NONE;
}

/*
 * Copy within one page on either side, with both translations in hand. Only one
 * access to the bus may be under way at a time, so what goes from system to
 * system memory takes two. Returns the access that failed on the bus, or -1.
 */
static int gpu_mem_copy_mapped(struct gpu_queue *queue, u64 dst,
			       const struct gpu_xlat *to, u64 src,
			       const struct gpu_xlat *from, u32 size)
{
	struct gpu *gpu = queue->gpu;
	void *in, *out;

	in = gpu_mem_map(gpu, from, src, size, false);
	if (!in)
		return GPU_ACCESS_READ;
	if (!from->page && !to->page) {
		memcpy(queue->bounce, in, size);
		gpu_mem_unmap(gpu, from);
		in = queue->bounce;
	}

	out = gpu_mem_map(gpu, to, dst, size, true);
	if (!out)
		return GPU_ACCESS_WRITE;
	memmove(out, in, size);
	gpu_mem_unmap(gpu, to);
	if (to->page)
		gpu_mem_unmap(gpu, from);
	return -1;
}

/* One step of a copy, within one page on either side. */
static u32 gpu_mem_copy_step(struct gpu_queue *queue, u64 dst, u64 src,
			     u32 size)
{
	enum gpu_mmu_result result;
	struct gpu_xlat from, to;
	struct gpu_mmu_miss miss = {};
	int access, failed;
	u32 error;

	for (;;) {
		spin_lock(&queue->lock);
		access = GPU_ACCESS_READ;
		result = gpu_mem_translate(queue, src, access, &from, &miss);
		if (result == GPU_MMU_OK) {
			access = GPU_ACCESS_WRITE;
			result = gpu_mem_translate(queue, dst, access, &to, &miss);
		}
		if (result == GPU_MMU_OK) {
			failed = gpu_mem_copy_mapped(queue, dst, &to, src,
						     &from, size);
			if (failed >= 0) {
				access = failed;
				result = GPU_MMU_BUS;
			}
		}
		spin_unlock(&queue->lock);
		if (result == GPU_MMU_OK)
			return GPU_JOB_ERROR_NONE;

		error = gpu_mem_resolve(queue,
					access == GPU_ACCESS_READ ? src : dst,
					access, result, &miss);
		if (error)
			return error;
	}
}

/**
 * devmem_gpu_mem_copy() - copy memory
 * @queue: queue; called in its thread
 * @dst: virtual address
 * @src: virtual address
 * @size: bytes
 *
 * Return: 0 or a GPU_JOB_ERROR_*.
 */
u32 devmem_gpu_mem_copy(struct gpu_queue *queue, u64 dst, u64 src, u64 size)
{
	u32 error, step;
	u64 done;

	for (done = 0; done < size; done += step) {
		step = devmem_gpu_page_left(src + done, size - done);
		step = devmem_gpu_page_left(dst + done, step);
		if (devmem_gpu_queue_aborting(queue))
			return devmem_gpu_queue_error(queue,
						      GPU_JOB_ERROR_ABORTED, 0, 0);
		error = gpu_mem_copy_step(queue, dst + done, src + done, step);
		if (error)
			return error;
		cond_resched();
	}
	return GPU_JOB_ERROR_NONE;
}
