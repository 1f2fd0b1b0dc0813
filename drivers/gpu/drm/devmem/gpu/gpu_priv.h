/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_GPU_PRIV_H_
#define _DEVMEM_GPU_PRIV_H_

#include "gpu.h"

/**
 * DOC: Inside the device model
 *
 * Each enabled queue and the copy engine is a thread. Registers can be used by
 * any number of callers at a time.
 *
 * Locks, outer first:
 *
 * - &gpu.control, a mutex: starting and stopping engines, and reset. These wait
 *   for threads, and so does who holds it.
 * - &gpu_queue.lock: the queue's state and TLB, and every access of the queue
 *   to memory through the MMU. Held for one access within one page, never
 *   asleep, so that a TLB invalidation waits for little.
 * - &gpu.lock: fault ring, copy ring and interrupt state.
 *
 * A TLB invalidation takes &gpu_queue.lock only. It can be called in the
 * reclaim of memory that a thread of the model allocates, so nothing is
 * allocated under that lock. An access that needs a page of VRAM which has no
 * backing yet drops the lock, has the page allocated and starts again.
 */

#define GPU_PAGE_SIZE		4096u
#define GPU_PAGE_SHIFT		12
#define GPU_PAGE_MASK		(~(u64)(GPU_PAGE_SIZE - 1))
#define GPU_NUM_REGS		16
#define GPU_TLB_SHIFT		6
#define GPU_TLB_ENTRIES		BIT(GPU_TLB_SHIFT)

/**
 * struct gpu_ring - an array of entries in VRAM
 * @base: VRAM address, aligned to a page
 * @size: entries, a power of two
 * @head: entries consumed
 * @tail: entries produced
 */
struct gpu_ring {
	u64 base;
	u64 size;
	u64 head;
	u64 tail;
};

/**
 * struct gpu_xlat - a translation of one page
 * @page: CPU address of a page of VRAM, NULL for system memory
 * @bus: bus address of a page of system memory
 * @writable: the page may be written
 * @no_atomic: but not by atomics
 * @dirty: the DIRTY bit of the entry is known to be set
 */
struct gpu_xlat {
	void *page;
	u64 bus;
	bool writable;
	bool no_atomic;
	bool dirty;
};

/**
 * struct gpu_tlb_entry - a cached translation
 * @tag: number of the virtual page plus one, 0 for an empty entry
 * @xlat: translation
 */
struct gpu_tlb_entry {
	u64 tag;
	struct gpu_xlat xlat;
};

/**
 * enum gpu_mmu_result - outcome of a translation
 * @GPU_MMU_OK: there is one
 * @GPU_MMU_AGAIN: the page table changed meanwhile, or a page of VRAM had to be
 *	allocated first
 * @GPU_MMU_FAULT: no translation, or one that does not allow the access
 * @GPU_MMU_BUS: page table that is malformed or leads out of VRAM
 * @GPU_MMU_HALTED: the device is halted
 */
enum gpu_mmu_result {
	GPU_MMU_OK,
	GPU_MMU_AGAIN,
	GPU_MMU_FAULT,
	GPU_MMU_BUS,
	GPU_MMU_HALTED,
};

/**
 * struct gpu_mmu_miss - why there is no translation
 * @need_page: with GPU_MMU_AGAIN: a page of VRAM that has to be allocated
 * @vram_addr: address of that page
 * @level: with GPU_MMU_FAULT: level of the entry
 */
struct gpu_mmu_miss {
	bool need_page;
	u64 vram_addr;
	u8 level;
};

/**
 * struct gpu_error - why a job ended
 * @code: GPU_JOB_ERROR_*
 * @access: GPU_ACCESS_* for FAULT and BUS
 * @va: virtual address for FAULT, BUS and ALIGNMENT
 */
struct gpu_error {
	u32 code;
	u32 access;
	u64 va;
};

/**
 * struct gpu_queue - a queue
 * @gpu: device
 * @index: number of the queue
 * @thread: runs while @enabled
 * @wait: where the thread sleeps
 * @lock: protects what follows up to @pc, and all accesses to memory
 * @ring: the jobs; base and size are fixed while @enabled
 * @vmid: address space; fixed while @enabled
 * @enabled: the thread exists
 * @stop: the thread shall abort all jobs and end
 * @abort: the thread shall abort the running job
 * @running: a job has started and not ended
 * @faulted: a fault waits for its reply
 * @fault_failed: the reply
 * @fault_seq: number of the latest fault; goes on across resets
 * @progress: commands executed
 * @tlb: cached translations
 * @pc: of the thread: address of the command
 * @regs: of the thread: r0 to r15
 * @error: of the thread: the latest error
 * @bounce: of the thread: a page for copies from system to system memory
 */
struct gpu_queue {
	struct gpu *gpu;
	u32 index;
	struct gpu_thread thread;
	wait_queue_head_t wait;

	spinlock_t lock; /* see above */
	struct gpu_ring ring;
	u64 vmid;
	bool enabled;
	bool stop;
	bool abort;
	bool running;
	bool faulted;
	bool fault_failed;
	u64 fault_seq;
	u64 progress;
	struct gpu_tlb_entry tlb[GPU_TLB_ENTRIES];

	u64 pc;
	u64 regs[GPU_NUM_REGS];
	struct gpu_error error;
	void *bounce;
};

/**
 * struct gpu_copy_engine - the copy engine; see &gpu.lock
 * @thread: runs while @enabled
 * @wait: where the thread sleeps
 * @ring: the entries; base and size are fixed while @enabled
 * @enabled: the thread exists
 * @stop: the thread shall end
 * @errors: entries that failed
 * @error_entry: number of the latest that failed
 * @bounce: of the thread: what is copied from system to system memory
 */
struct gpu_copy_engine {
	struct gpu_thread thread;
	wait_queue_head_t wait;
	struct gpu_ring ring;
	bool enabled;
	bool stop;
	u64 errors;
	u64 error_entry;
	u8 bounce[GPU_PAGE_SIZE];
};

/**
 * struct gpu - a device
 * @config: parameters
 * @ops: the home
 * @env: for @ops
 * @control: serializes starting and stopping engines
 * @enabled: GPU_CTRL_ENABLE
 * @halted: GPU_CTRL_HALT; queues look at it under their lock, or under @lock
 * @bus_error: GPU_STATUS_BUS_ERROR
 * @tlb_start: GPU_REG_TLB_START
 * @tlb_end: GPU_REG_TLB_END
 * @root: GPU_REG_VMID_ROOT
 * @lock: protects what follows up to @queues
 * @irq_status: GPU_REG_IRQ_STATUS
 * @irq_enable: GPU_REG_IRQ_ENABLE
 * @irq_active: the interrupt hook is being called
 * @irq_again: and has to be called once more
 * @fault: the fault ring
 * @fault_blocked: a queue waits for room in the fault ring
 * @copy: the copy engine
 * @queues: as many as config.num_queues
 */
struct gpu {
	struct gpu_config config;
	const struct gpu_env_ops *ops;
	void *env;
	struct mutex control; /* see above */
	bool enabled;
	bool halted;
	bool bus_error;
	u64 tlb_start;
	u64 tlb_end;
	u64 root[GPU_MAX_VMIDS];

	spinlock_t lock; /* see above */
	u64 irq_status;
	u64 irq_enable;
	bool irq_active;
	bool irq_again;
	struct gpu_ring fault;
	bool fault_blocked;
	struct gpu_copy_engine copy;

	struct gpu_queue queues[];
};

/**
 * typedef gpu_access_t - does an access to memory
 * @ptr: CPU address
 * @size: bytes, within one page
 * @arg: of the caller
 *
 * Called with &gpu_queue.lock held; must not sleep.
 */
typedef void (*gpu_access_t)(void *ptr, u32 size, void *arg);

/* Bytes from @addr to the end of its page, @size at most. */
static inline u64 devmem_gpu_page_left(u64 addr, u64 size)
{
	return min_t(u64, size, GPU_PAGE_SIZE - (addr & ~GPU_PAGE_MASK));
}

/* gpu.c */
void *devmem_gpu_vram_piece(struct gpu *gpu, u64 addr, u64 *size, bool alloc);
void *devmem_gpu_vram(struct gpu *gpu, u64 addr, bool alloc);
bool devmem_gpu_vram_contains(const struct gpu *gpu, u64 addr, u64 size);
void devmem_gpu_irq_raise(struct gpu *gpu, u64 bits);
bool devmem_gpu_ring_valid(const struct gpu *gpu, const struct gpu_ring *ring,
			   u32 entry_size);

/* gpu_mmu.c */
enum gpu_mmu_result devmem_gpu_mmu_translate(struct gpu_queue *queue, u64 va,
					     u32 access, struct gpu_xlat *xlat,
					     struct gpu_mmu_miss *miss);
void devmem_gpu_mmu_flush(struct gpu_queue *queue);
void devmem_gpu_mmu_invalidate(struct gpu *gpu, u64 vmid);

/* gpu_mem.c */
u32 devmem_gpu_mem_access(struct gpu_queue *queue, u64 va, u32 size,
			  u32 access, gpu_access_t fn, void *arg);
u32 devmem_gpu_mem_load(struct gpu_queue *queue, u64 va, u32 width, u64 *value);
u32 devmem_gpu_mem_store(struct gpu_queue *queue, u64 va, u32 width, u64 value);
u32 devmem_gpu_mem_fill(struct gpu_queue *queue, u64 va, u64 size, u64 value,
			u32 width);
u32 devmem_gpu_mem_copy(struct gpu_queue *queue, u64 dst, u64 src, u64 size);

/* gpu_fault.c */
u32 devmem_gpu_fault_raise(struct gpu_queue *queue, u64 va, u32 access,
			   u8 level);
void devmem_gpu_fault_reply(struct gpu_queue *queue, u64 reply);
u64 devmem_gpu_fault_read(struct gpu *gpu, u64 reg);
void devmem_gpu_fault_write(struct gpu *gpu, u64 reg, u64 value);

/* gpu_exec.c */
u32 devmem_gpu_exec_batch(struct gpu_queue *queue, u64 batch);

/* gpu_queue.c */
bool devmem_gpu_queue_aborting(const struct gpu_queue *queue);
void devmem_gpu_queue_wait_halt(struct gpu_queue *queue);
u32 devmem_gpu_queue_error(struct gpu_queue *queue, u32 code, u32 access,
			   u64 va);
void devmem_gpu_queue_init(struct gpu *gpu, u32 index);
void devmem_gpu_queue_disable(struct gpu_queue *queue);
void devmem_gpu_queue_reset(struct gpu_queue *queue);
u64 devmem_gpu_queue_read(struct gpu_queue *queue, u64 reg);
void devmem_gpu_queue_write(struct gpu_queue *queue, u64 reg, u64 value);

/* gpu_copy.c */
void devmem_gpu_copy_init(struct gpu *gpu);
void devmem_gpu_copy_stop(struct gpu *gpu);
u64 devmem_gpu_copy_read(struct gpu *gpu, u64 reg);
void devmem_gpu_copy_write(struct gpu *gpu, u64 reg, u64 value);

#endif /* _DEVMEM_GPU_PRIV_H_ */
