// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

/**
 * DOC: Device model
 *
 * A device as gpu_regs.h and docs/gpu.rst describe it. This file has the parts
 * that concern the device as a whole: creation, register decoding, interrupt
 * and reset. gpu_mmu.c translates addresses, gpu_mem.c accesses memory,
 * gpu_fault.c reports faults, gpu_queue.c runs queues, gpu_exec.c interprets
 * batches and gpu_copy.c is the copy engine.
 *
 * Everything that a driver or a batch supplies is checked where it is used.
 */

#include "gpu_priv.h"

/**
 * devmem_gpu_vram_contains() - check a range of VRAM
 * @gpu: device
 * @addr: VRAM address
 * @size: bytes
 *
 * Return: true if all of the range is inside VRAM.
 */
bool devmem_gpu_vram_contains(const struct gpu *gpu, u64 addr, u64 size)
{
	return addr <= gpu->config.vram_size &&
	       size <= gpu->config.vram_size - addr;
}

/**
 * devmem_gpu_vram_piece() - CPU address of a piece of VRAM
 * @gpu: device
 * @addr: VRAM address
 * @size: bytes that are wanted, at least one; out: bytes that are in one piece,
 *	at least those to the end of the page
 * @alloc: allocate what was not touched so far; may sleep then
 *
 * Return: the CPU address of the byte at @addr, good as long as @gpu exists, or
 * NULL if the range is not inside VRAM, if there is no memory, or without @alloc
 * if the page was not touched so far.
 */
void *devmem_gpu_vram_piece(struct gpu *gpu, u64 addr, u64 *size, bool alloc)
{
	if (!devmem_gpu_vram_contains(gpu, addr, *size))
		return NULL;
	return gpu->ops->vram(gpu->env, addr, size, alloc);
}

/**
 * devmem_gpu_vram() - CPU address of VRAM
 * @gpu: device
 * @addr: VRAM address
 * @alloc: as for devmem_gpu_vram_piece()
 *
 * Return: the same for what is between @addr and the end of its page.
 */
void *devmem_gpu_vram(struct gpu *gpu, u64 addr, bool alloc)
{
	u64 size = devmem_gpu_page_left(addr, GPU_PAGE_SIZE);

	return devmem_gpu_vram_piece(gpu, addr, &size, alloc);
}

/**
 * devmem_gpu_ring_valid() - check base and size of a ring
 * @gpu: device
 * @ring: ring
 * @entry_size: bytes of an entry, a power of two
 *
 * Return: true if the ring can be used.
 */
bool devmem_gpu_ring_valid(const struct gpu *gpu, const struct gpu_ring *ring,
			   u32 entry_size)
{
	return is_power_of_2(ring->size) &&
	       ring->size <= GPU_MAX_RING_ENTRIES &&
	       !(ring->base & ~GPU_PAGE_MASK) &&
	       devmem_gpu_vram_contains(gpu, ring->base,
					ring->size * entry_size);
}

/*
 * Call the interrupt hook after the state of the line changed, one caller at a
 * time: a caller who finds another one at it leaves the work to that one.
 */
static void gpu_irq_deliver(struct gpu *gpu)
{
	spin_lock(&gpu->lock);
	gpu->irq_again = true;
	if (gpu->irq_active) {
		spin_unlock(&gpu->lock);
		return;
	}
	gpu->irq_active = true;
	while (gpu->irq_again && (gpu->irq_status & gpu->irq_enable)) {
		gpu->irq_again = false;
		spin_unlock(&gpu->lock);
		gpu->ops->irq(gpu->env);
		spin_lock(&gpu->lock);
	}
	gpu->irq_again = false;
	gpu->irq_active = false;
	spin_unlock(&gpu->lock);
}

/**
 * devmem_gpu_irq_raise() - set interrupt status bits
 * @gpu: device
 * @bits: GPU_IRQ_*
 *
 * Calls the interrupt hook if the line rises. Call with no lock held.
 */
void devmem_gpu_irq_raise(struct gpu *gpu, u64 bits)
{
	bool rises;

	spin_lock(&gpu->lock);
	rises = !(gpu->irq_status & gpu->irq_enable) && (bits & gpu->irq_enable);
	gpu->irq_status |= bits;
	spin_unlock(&gpu->lock);
	if (rises)
		gpu_irq_deliver(gpu);
}

static u64 gpu_irq_read(struct gpu *gpu, u64 reg)
{
	u64 value;

	spin_lock(&gpu->lock);
	value = reg == GPU_REG_IRQ_STATUS ? gpu->irq_status : gpu->irq_enable;
	spin_unlock(&gpu->lock);
	return value;
}

static void gpu_irq_write(struct gpu *gpu, u64 reg, u64 value)
{
	bool raised;

	spin_lock(&gpu->lock);
	if (reg == GPU_REG_IRQ_STATUS)
		gpu->irq_status &= ~value;
	else
		gpu->irq_enable = value & GPU_IRQ_ALL;
	raised = gpu->irq_status & gpu->irq_enable;
	spin_unlock(&gpu->lock);
	if (raised)
		gpu_irq_deliver(gpu);
}

/* To power-on state. VRAM keeps its content. Called with &gpu.control held. */
static void gpu_reset(struct gpu *gpu)
{
	u32 i;

	WRITE_ONCE(gpu->enabled, false);
	WRITE_ONCE(gpu->halted, false);
	for (i = 0; i < gpu->config.num_queues; i++)
		devmem_gpu_queue_disable(&gpu->queues[i]);
	devmem_gpu_copy_stop(gpu);
	for (i = 0; i < gpu->config.num_queues; i++)
		devmem_gpu_queue_reset(&gpu->queues[i]);

	spin_lock(&gpu->lock);
	gpu->irq_status = 0;
	gpu->irq_enable = 0;
	gpu->fault = (struct gpu_ring){};
	gpu->copy.ring = (struct gpu_ring){};
	gpu->copy.errors = 0;
	gpu->copy.error_entry = 0;
	spin_unlock(&gpu->lock);

	for (i = 0; i < GPU_MAX_VMIDS; i++)
		WRITE_ONCE(gpu->root[i], 0);
	WRITE_ONCE(gpu->tlb_start, 0);
	WRITE_ONCE(gpu->tlb_end, 0);
	WRITE_ONCE(gpu->bus_error, false);
}

/* Wait until no queue is at something that it began before it could see @halted. */
static void gpu_halt_wait(struct gpu *gpu)
{
	u32 i;

	for (i = 0; i < gpu->config.num_queues; i++) {
		spin_lock(&gpu->queues[i].lock);
		spin_unlock(&gpu->queues[i].lock);
	}
	/* A fault is reported under this one. */
	spin_lock(&gpu->lock);
	spin_unlock(&gpu->lock);
}

static void gpu_ctrl_write(struct gpu *gpu, u64 value)
{
	u32 i;

	mutex_lock(&gpu->control);
	if (value & GPU_CTRL_RESET) {
		gpu_reset(gpu);
	} else {
		WRITE_ONCE(gpu->enabled, value & GPU_CTRL_ENABLE);
		WRITE_ONCE(gpu->halted, value & GPU_CTRL_HALT);
		if (value & GPU_CTRL_HALT)
			gpu_halt_wait(gpu);
		for (i = 0; i < gpu->config.num_queues; i++)
			wake_up_all(&gpu->queues[i].wait);
		wake_up_all(&gpu->copy.wait);
	}
	mutex_unlock(&gpu->control);
}

static u64 gpu_caps(const struct gpu *gpu)
{
	return gpu->config.num_queues | (u64)gpu->config.num_vmids << 16 |
	       (u64)GPU_VA_BITS << 32;
}

static struct gpu_queue *gpu_find_queue(struct gpu *gpu, u64 reg)
{
	u64 index;

	if (reg < GPU_REG_QUEUE(0, 0))
		return NULL;
	index = (reg - GPU_REG_QUEUE(0, 0)) / GPU_QUEUE_STRIDE;
	return index < gpu->config.num_queues ? &gpu->queues[index] : NULL;
}

static u64 *gpu_find_root(struct gpu *gpu, u64 reg)
{
	/* VMID 0 has a place in the register space, but never a root. */
	if (reg < GPU_REG_VMID_ROOT(1) ||
	    reg >= GPU_REG_VMID_ROOT(gpu->config.num_vmids) || reg % 8)
		return NULL;
	return &gpu->root[(reg - GPU_REG_VMID_ROOT(0)) / 8];
}

/**
 * devmem_gpu_read() - read a register
 * @gpu: device
 * @reg: offset in bytes
 *
 * Context: any but interrupts; does not sleep.
 * Return: the value; 0 for a register that does not exist.
 */
u64 devmem_gpu_read(struct gpu *gpu, u64 reg)
{
	struct gpu_queue *queue = gpu_find_queue(gpu, reg);
	u64 *root = gpu_find_root(gpu, reg);

	if (queue)
		return devmem_gpu_queue_read(queue, reg % GPU_QUEUE_STRIDE);
	if (root)
		return READ_ONCE(*root);

	switch (reg) {
	case GPU_REG_ID:
		return GPU_ID_VALUE;
	case GPU_REG_VERSION:
		return GPU_VERSION_VALUE;
	case GPU_REG_VRAM_SIZE:
		return gpu->config.vram_size;
	case GPU_REG_CAPS:
		return gpu_caps(gpu);
	case GPU_REG_CTRL:
		return (READ_ONCE(gpu->enabled) ? GPU_CTRL_ENABLE : 0) |
		       (READ_ONCE(gpu->halted) ? GPU_CTRL_HALT : 0);
	case GPU_REG_STATUS:
		return READ_ONCE(gpu->bus_error) ? GPU_STATUS_BUS_ERROR : 0;
	case GPU_REG_IRQ_STATUS:
	case GPU_REG_IRQ_ENABLE:
		return gpu_irq_read(gpu, reg);
	case GPU_REG_FAULT_BASE ... GPU_REG_FAULT_TAIL:
		return devmem_gpu_fault_read(gpu, reg);
	case GPU_REG_TLB_START:
		return READ_ONCE(gpu->tlb_start);
	case GPU_REG_TLB_END:
		return READ_ONCE(gpu->tlb_end);
	case GPU_REG_COPY_BASE ... GPU_REG_COPY_ERROR_ENTRY:
		return devmem_gpu_copy_read(gpu, reg);
	default:
		return 0;
	}
}

/**
 * devmem_gpu_write() - write a register
 * @gpu: device
 * @reg: offset in bytes; one that does not exist is ignored
 * @value: value
 *
 * Context: GPU_REG_CTRL, GPU_REG_COPY_SIZE and GPU_QUEUE_CTRL can sleep until
 * engines have stopped. The others don't sleep, and can be written in the
 * reclaim of memory; none can be in interrupts.
 */
void devmem_gpu_write(struct gpu *gpu, u64 reg, u64 value)
{
	struct gpu_queue *queue = gpu_find_queue(gpu, reg);
	u64 *root = gpu_find_root(gpu, reg);

	if (queue) {
		devmem_gpu_queue_write(queue, reg % GPU_QUEUE_STRIDE, value);
		return;
	}
	if (root) {
		WRITE_ONCE(*root, value);
		return;
	}

	switch (reg) {
	case GPU_REG_CTRL:
		gpu_ctrl_write(gpu, value);
		break;
	case GPU_REG_IRQ_STATUS:
	case GPU_REG_IRQ_ENABLE:
		gpu_irq_write(gpu, reg, value);
		break;
	case GPU_REG_FAULT_BASE ... GPU_REG_FAULT_TAIL:
		devmem_gpu_fault_write(gpu, reg, value);
		break;
	case GPU_REG_TLB_START:
		WRITE_ONCE(gpu->tlb_start, value);
		break;
	case GPU_REG_TLB_END:
		WRITE_ONCE(gpu->tlb_end, value);
		break;
	case GPU_REG_TLB_CMD:
		if (value & GPU_TLB_CMD_INVALIDATE)
			devmem_gpu_mmu_invalidate(gpu,
						  value & ~GPU_TLB_CMD_INVALIDATE);
		break;
	case GPU_REG_COPY_BASE ... GPU_REG_COPY_ERROR_ENTRY:
		devmem_gpu_copy_write(gpu, reg, value);
		break;
	default:
		break;
	}
}

/**
 * devmem_gpu_create() - create a device in its power-on state
 * @config: parameters
 * @ops: the home; must stay until devmem_gpu_destroy()
 * @env: for @ops
 *
 * Return: the device, or NULL for bad parameters or without memory.
 */
struct gpu *devmem_gpu_create(const struct gpu_config *config,
			      const struct gpu_env_ops *ops, void *env)
{
	struct gpu *gpu;
	u32 i;

	if (!config->vram_size || (config->vram_size & ~GPU_PAGE_MASK) ||
	    (config->vram_size & ~(GPU_PTE_ADDR | ~GPU_PAGE_MASK)) ||
	    !config->num_queues || config->num_queues > GPU_MAX_QUEUES ||
	    config->num_vmids < 2 || config->num_vmids > GPU_MAX_VMIDS)
		return NULL;

	gpu = kvzalloc(sizeof(*gpu) + config->num_queues * sizeof(gpu->queues[0]),
		       GFP_KERNEL);
	if (!gpu)
		return NULL;

	gpu->config = *config;
	gpu->ops = ops;
	gpu->env = env;
	mutex_init(&gpu->control);
	spin_lock_init(&gpu->lock);
	devmem_gpu_copy_init(gpu);
	for (i = 0; i < config->num_queues; i++)
		devmem_gpu_queue_init(gpu, i);
	return gpu;
}

/**
 * devmem_gpu_destroy() - end a device
 * @gpu: device; nobody uses its registers any more
 *
 * Aborts what runs. No hook is called after the return.
 */
void devmem_gpu_destroy(struct gpu *gpu)
{
	mutex_lock(&gpu->control);
	gpu_reset(gpu);
	mutex_unlock(&gpu->control);
	mutex_destroy(&gpu->control);
	kvfree(gpu);
}
