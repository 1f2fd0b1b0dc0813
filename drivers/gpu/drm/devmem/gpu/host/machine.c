// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */
#include <assert.h>

#include "machine.h"

#define MACHINE_VRAM_PAGES	0x10000
#define MACHINE_POLL_US		50
#define MACHINE_TIMEOUT_US	5000000

/**
 * machine_rd() - read a register
 * @m: machine
 * @reg: GPU_REG_*
 *
 * Return: the value.
 */
u64 machine_rd(struct machine *m, u64 reg)
{
	return devmem_gpu_read(m->gpu, reg);
}

/**
 * machine_wr() - write a register
 * @m: machine
 * @reg: GPU_REG_*
 * @value: value
 */
void machine_wr(struct machine *m, u64 reg, u64 value)
{
	devmem_gpu_write(m->gpu, reg, value);
}

/**
 * machine_queue_rd() - read a register of a queue
 * @m: machine
 * @queue: number
 * @reg: GPU_QUEUE_*
 *
 * Return: the value.
 */
u64 machine_queue_rd(struct machine *m, u32 queue, u64 reg)
{
	return machine_rd(m, GPU_REG_QUEUE(queue, reg));
}

/**
 * machine_queue_wr() - write a register of a queue
 * @m: machine
 * @queue: number
 * @reg: GPU_QUEUE_*
 * @value: value
 */
void machine_queue_wr(struct machine *m, u32 queue, u64 reg, u64 value)
{
	machine_wr(m, GPU_REG_QUEUE(queue, reg), value);
}

/**
 * machine_alloc() - allocate VRAM
 * @m: machine
 * @pages: how much, and its alignment if it is a power of two
 *
 * Return: VRAM address.
 */
u64 machine_alloc(struct machine *m, u32 pages)
{
	u64 align = pages & (pages - 1) ? 1 : pages;
	u64 addr = (m->vram_next + align - 1) / align * align;

	assert(addr + pages <= m->env.vram_pages);
	m->vram_next = addr + pages;
	return addr * ENV_PAGE;
}

/**
 * machine_pte() - find a page table entry
 * @m: machine
 * @vmid: address space
 * @va: virtual address
 * @level: level; tables above it are made if they are missing
 *
 * Return: the entry.
 */
__le64 *machine_pte(struct machine *m, u32 vmid, u64 va, u32 level)
{
	u32 i = GPU_PT_LEVELS - 1;
	__le64 *slot;
	u64 table;

	if (!m->root[vmid]) {
		m->root[vmid] = machine_alloc(m, 1);
		machine_wr(m, GPU_REG_VMID_ROOT(vmid),
			   m->root[vmid] | GPU_VMID_ROOT_VALID);
	}
	table = m->root[vmid];
	for (;; i--) {
		slot = (__le64 *)gpu_env_vram(&m->env, table) +
		       ((va >> GPU_PT_SHIFT(i)) % GPU_PT_ENTRIES);
		if (i == level)
			return slot;
		if (!(le64_to_cpu(READ_ONCE(*slot)) & GPU_PTE_VALID)) {
			table = machine_alloc(m, 1);
			WRITE_ONCE(*slot, cpu_to_le64(table | GPU_PTE_VALID));
		}
		table = le64_to_cpu(READ_ONCE(*slot)) & GPU_PTE_ADDR;
	}
}

/**
 * machine_map() - write a page table entry
 * @m: machine
 * @vmid: address space
 * @va: virtual address
 * @level: level
 * @pte: entry
 */
void machine_map(struct machine *m, u32 vmid, u64 va, u32 level, u64 pte)
{
	WRITE_ONCE(*machine_pte(m, vmid, va, level), cpu_to_le64(pte));
}

/**
 * machine_invalidate() - invalidate translations
 * @m: machine
 * @vmid: address space
 * @start: first address
 * @end: address behind the last
 */
void machine_invalidate(struct machine *m, u32 vmid, u64 start, u64 end)
{
	machine_wr(m, GPU_REG_TLB_START, start);
	machine_wr(m, GPU_REG_TLB_END, end);
	machine_wr(m, GPU_REG_TLB_CMD,
		   GPU_TLB_CMD_INVALIDATE | GPU_TLB_CMD_VMID(vmid));
	assert(!machine_rd(m, GPU_REG_TLB_CMD));
}

/**
 * machine_ptr() - CPU address of memory that queues see
 * @m: machine
 * @va: virtual address in one of the areas
 *
 * Return: address that is good to the end of the page.
 */
void *machine_ptr(struct machine *m, u64 va)
{
	u64 queue = (va - CODE_VA) / CODE_STRIDE;

	if (va - VRAM_VA < AREA_PAGES * ENV_PAGE)
		return gpu_env_vram(&m->env, m->vram + (va - VRAM_VA));
	if (va - SYS_VA < AREA_PAGES * ENV_PAGE)
		return gpu_env_bus(&m->env, ENV_BUS_BASE + va - SYS_VA);
	assert(va >= CODE_VA && queue < NUM_QUEUES);
	return gpu_env_vram(&m->env, m->code[queue] +
			    (va - CODE_VA) % CODE_STRIDE);
}

static u64 machine_step(u64 va, u64 size)
{
	return min_t(u64, size, ENV_PAGE - va % ENV_PAGE);
}

/**
 * machine_get() - read memory that queues see
 * @m: machine
 * @va: virtual address in one of the areas
 * @buf: out
 * @size: bytes
 */
void machine_get(struct machine *m, u64 va, void *buf, u64 size)
{
	u8 *to = buf;
	u64 step;

	for (; size; va += step, to += step, size -= step) {
		step = machine_step(va, size);
		memcpy(to, machine_ptr(m, va), step);
	}
}

/**
 * machine_put() - write memory that queues see
 * @m: machine
 * @va: virtual address in one of the areas
 * @buf: data
 * @size: bytes
 */
void machine_put(struct machine *m, u64 va, const void *buf, u64 size)
{
	const u8 *from = buf;
	u64 step;

	for (; size; va += step, from += step, size -= step) {
		step = machine_step(va, size);
		memcpy(machine_ptr(m, va), from, step);
	}
}

/**
 * machine_get64() - read a word that queues see
 * @m: machine
 * @va: virtual address in one of the areas, aligned
 *
 * Return: the value.
 */
u64 machine_get64(struct machine *m, u64 va)
{
	return __atomic_load_n((u64 *)machine_ptr(m, va), __ATOMIC_SEQ_CST);
}

/**
 * machine_put64() - write a word that queues see
 * @m: machine
 * @va: virtual address in one of the areas, aligned
 * @value: value
 */
void machine_put64(struct machine *m, u64 va, u64 value)
{
	__atomic_store_n((u64 *)machine_ptr(m, va), value, __ATOMIC_SEQ_CST);
}

/**
 * machine_wait() - wait until a register has a value
 * @m: machine
 * @reg: GPU_REG_*
 * @mask: of the bits that count
 * @value: value of these
 *
 * Return: false if it has not after some seconds.
 */
bool machine_wait(struct machine *m, u64 reg, u64 mask, u64 value)
{
	u32 us;

	for (us = 0; us < MACHINE_TIMEOUT_US; us += MACHINE_POLL_US) {
		if ((machine_rd(m, reg) & mask) == value)
			return true;
		usleep(MACHINE_POLL_US);
	}
	return false;
}

/**
 * machine_enable() - enable a queue
 * @m: machine
 * @queue: number
 * @vmid: address space
 * @size: entries of its ring
 *
 * Return: true if it is enabled.
 */
bool machine_enable(struct machine *m, u32 queue, u32 vmid, u32 size)
{
	machine_queue_wr(m, queue, GPU_QUEUE_BASE, m->ring[queue]);
	machine_queue_wr(m, queue, GPU_QUEUE_SIZE, size);
	machine_queue_wr(m, queue, GPU_QUEUE_VMID, vmid);
	machine_queue_wr(m, queue, GPU_QUEUE_CTRL, GPU_QUEUE_CTRL_ENABLE);
	return machine_queue_rd(m, queue, GPU_QUEUE_CTRL) ==
	       GPU_QUEUE_CTRL_ENABLE;
}

/**
 * machine_load() - write commands into the code of a queue
 * @m: machine
 * @queue: number
 * @cmds: commands
 * @num: number of @cmds
 *
 * Return: virtual address of the first.
 */
u64 machine_load(struct machine *m, u32 queue, const struct drm_devmem_cmd *cmds,
		 u32 num)
{
	u64 va = CODE_VA + queue * CODE_STRIDE;

	assert(num * sizeof(*cmds) <= CODE_PAGES * ENV_PAGE);
	machine_put(m, va, cmds, num * sizeof(*cmds));
	return va;
}

/**
 * machine_job() - entry of a queue's ring
 * @m: machine
 * @queue: number
 * @number: of the job
 *
 * Return: the entry.
 */
struct gpu_job *machine_job(struct machine *m, u32 queue, u64 number)
{
	u64 size = machine_queue_rd(m, queue, GPU_QUEUE_SIZE);

	return gpu_env_vram(&m->env, m->ring[queue] +
			    number % size * sizeof(struct gpu_job));
}

/**
 * machine_submit() - submit a job
 * @m: machine
 * @queue: number
 * @batch: virtual address of the batch
 * @fence_addr: virtual address of the fence, or 0
 * @fence_value: value of the fence
 */
void machine_submit(struct machine *m, u32 queue, u64 batch, u64 fence_addr,
		    u64 fence_value)
{
	u64 tail = machine_queue_rd(m, queue, GPU_QUEUE_TAIL);

	*machine_job(m, queue, tail) = (struct gpu_job) {
		.batch = cpu_to_le64(batch),
		.fence_addr = cpu_to_le64(fence_addr),
		.fence_value = cpu_to_le64(fence_value),
		.error = cpu_to_le32(~0u),
		.access = cpu_to_le32(~0u),
		.error_va = cpu_to_le64(~0ull),
		.error_pc = cpu_to_le64(~0ull),
	};
	machine_queue_wr(m, queue, GPU_QUEUE_TAIL, tail + 1);
}

/**
 * machine_submit_batch() - write commands and submit them
 * @m: machine
 * @queue: number
 * @cmds: commands
 * @num: number of @cmds
 */
void machine_submit_batch(struct machine *m, u32 queue,
			  const struct drm_devmem_cmd *cmds, u32 num)
{
	machine_submit(m, queue, machine_load(m, queue, cmds, num), 0, 0);
}

/**
 * machine_idle() - wait until a queue has no more jobs
 * @m: machine
 * @queue: number
 *
 * Return: false if it has some after some seconds.
 */
bool machine_idle(struct machine *m, u32 queue)
{
	return machine_wait(m, GPU_REG_QUEUE(queue, GPU_QUEUE_HEAD), ~0ull,
			    machine_queue_rd(m, queue, GPU_QUEUE_TAIL));
}

/**
 * machine_run() - run commands to their end
 * @m: machine
 * @queue: number
 * @cmds: commands
 * @num: number of @cmds
 * @result: out, the entry of the ring, if not NULL
 *
 * Return: GPU_JOB_ERROR_*, or RUN_TIMEOUT.
 */
u32 machine_run(struct machine *m, u32 queue, const struct drm_devmem_cmd *cmds,
		u32 num, struct gpu_job *result)
{
	u64 number = machine_queue_rd(m, queue, GPU_QUEUE_TAIL);
	struct gpu_job *job;

	machine_submit_batch(m, queue, cmds, num);
	if (!machine_idle(m, queue))
		return RUN_TIMEOUT;
	job = machine_job(m, queue, number);
	if (result)
		*result = *job;
	return le32_to_cpu(job->error);
}

/**
 * machine_fault() - wait for a fault and take it
 * @m: machine
 * @fault: out
 *
 * Return: false if there is none after some seconds.
 */
bool machine_fault(struct machine *m, struct gpu_fault *fault)
{
	u64 head = machine_rd(m, GPU_REG_FAULT_HEAD);
	u64 size = machine_rd(m, GPU_REG_FAULT_SIZE);
	u32 us;

	for (us = 0; us < MACHINE_TIMEOUT_US; us += MACHINE_POLL_US) {
		if (machine_rd(m, GPU_REG_FAULT_TAIL) != head) {
			*fault = *(struct gpu_fault *)
				gpu_env_vram(&m->env, m->fault_ring +
					     head % size * sizeof(*fault));
			machine_wr(m, GPU_REG_FAULT_HEAD, head + 1);
			return true;
		}
		usleep(MACHINE_POLL_US);
	}
	return false;
}

/**
 * machine_reply() - reply to a fault
 * @m: machine
 * @fault: fault
 * @reply: GPU_FAULT_REPLY_*
 */
void machine_reply(struct machine *m, const struct gpu_fault *fault, u64 reply)
{
	machine_queue_wr(m, le16_to_cpu(fault->queue), GPU_QUEUE_FAULT_REPLY,
			 le64_to_cpu(fault->seq) | reply);
}

static void machine_map_areas(struct machine *m)
{
	u64 offset;
	u32 i, j;

	m->vram = machine_alloc(m, AREA_PAGES);
	for (i = 0; i < AREA_PAGES; i++) {
		offset = i * ENV_PAGE;
		machine_map(m, 1, VRAM_VA + offset, 0,
			    (m->vram + offset) | PTE_RW);
		machine_map(m, 1, SYS_VA + offset, 0,
			    (ENV_BUS_BASE + offset) | PTE_SYS_RW);
	}
	for (i = 0; i < NUM_QUEUES; i++) {
		m->code[i] = machine_alloc(m, CODE_PAGES);
		for (j = 0; j < CODE_PAGES; j++)
			machine_map(m, 1, CODE_VA + i * CODE_STRIDE + j * ENV_PAGE,
				    0, (m->code[i] + j * ENV_PAGE) | PTE_RO);
	}
}

/**
 * machine_create() - set a device up
 * @m: filled in
 *
 * The engines run, and queue 0 is enabled on VMID 1.
 *
 * Return: true if that worked.
 */
bool machine_create(struct machine *m)
{
	u32 i;

	memset(m, 0, sizeof(*m));
	if (!gpu_env_create(&m->env, MACHINE_VRAM_PAGES, NUM_QUEUES, NUM_VMIDS))
		return false;
	m->gpu = m->env.gpu;
	/* Address 0 is as good as any other, but a test should see a mix-up. */
	m->vram_next = 1;

	machine_map_areas(m);
	for (i = 0; i < NUM_QUEUES; i++)
		m->ring[i] = machine_alloc(m, 1);
	m->fault_ring = machine_alloc(m, 1);
	m->copy_ring = machine_alloc(m, 1);

	machine_wr(m, GPU_REG_FAULT_BASE, m->fault_ring);
	machine_wr(m, GPU_REG_FAULT_SIZE, FAULT_RING_SIZE);
	machine_wr(m, GPU_REG_COPY_BASE, m->copy_ring);
	machine_wr(m, GPU_REG_COPY_SIZE, COPY_RING_SIZE);
	machine_wr(m, GPU_REG_CTRL, GPU_CTRL_ENABLE);
	return machine_enable(m, 0, 1, RING_SIZE);
}

/**
 * machine_destroy() - end a machine
 * @m: machine
 */
void machine_destroy(struct machine *m)
{
	gpu_env_destroy(&m->env);
}
