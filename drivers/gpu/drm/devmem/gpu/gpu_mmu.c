// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

/**
 * DOC: MMU of the device model
 *
 * Each queue has a TLB of its own. A translation is used only with the lock of
 * the queue held, from the look-up to the end of the access, and an
 * invalidation takes the lock of each queue in turn. So when it is done, no
 * access that used an old translation is under way.
 *
 * The walk happens under the same lock, and so does setting ACCESSED and DIRTY:
 * a driver that took an entry away and invalidated may free the page table,
 * because nothing writes to it any more.
 *
 * Only translations that exist are cached, and an entry that is not good enough
 * for an access is looked up again. So a driver that adds a translation or
 * allows more has nothing to invalidate.
 */

#include "gpu_priv.h"

#define GPU_PTE_LEAF_BITS	(GPU_PTE_VALID | GPU_PTE_WRITE | GPU_PTE_LEAF | \
				 GPU_PTE_SYSTEM | GPU_PTE_ACCESSED | \
				 GPU_PTE_DIRTY | GPU_PTE_NO_ATOMIC | GPU_PTE_ADDR)
#define GPU_PTE_TABLE_BITS	(GPU_PTE_VALID | GPU_PTE_ADDR)
#define GPU_PT_MAX_LEAF_LEVEL	1

/* 2^64 divided by the golden ratio spreads neighbours well. */
#define GPU_TLB_HASH		0x9e3779b97f4a7c15ull

static bool gpu_access_writes(u32 access)
{
	return access == GPU_ACCESS_WRITE || access == GPU_ACCESS_ATOMIC;
}

/* CPU address of a page of VRAM, or note that it has to be allocated. */
static enum gpu_mmu_result gpu_mmu_vram(struct gpu *gpu, u64 addr, void **page,
					struct gpu_mmu_miss *miss)
{
	if (!devmem_gpu_vram_contains(gpu, addr, GPU_PAGE_SIZE))
		return GPU_MMU_BUS;

	*page = devmem_gpu_vram(gpu, addr, false);
	if (*page)
		return GPU_MMU_OK;

	miss->need_page = true;
	miss->vram_addr = addr;
	return GPU_MMU_AGAIN;
}

/* Find the leaf for @va: its place, its value and its level. */
static enum gpu_mmu_result gpu_mmu_walk(struct gpu_queue *queue, u64 va,
					__le64 **slot, u64 *leaf,
					struct gpu_mmu_miss *miss)
{
	struct gpu *gpu = queue->gpu;
	u64 entry = READ_ONCE(gpu->root[queue->vmid]);
	enum gpu_mmu_result result;
	void *table;

	miss->level = GPU_PT_LEVELS - 1;
	if (va >> GPU_VA_BITS || !(entry & GPU_VMID_ROOT_VALID))
		return GPU_MMU_FAULT;

	for (;; miss->level--) {
		if (entry & ~GPU_PTE_TABLE_BITS)
			return GPU_MMU_BUS;
		result = gpu_mmu_vram(gpu, entry & GPU_PTE_ADDR, &table, miss);
		if (result != GPU_MMU_OK)
			return result;

		*slot = (__le64 *)table +
			((va >> GPU_PT_SHIFT(miss->level)) % GPU_PT_ENTRIES);
		entry = le64_to_cpu(READ_ONCE(**slot));
		if (!(entry & GPU_PTE_VALID))
			return GPU_MMU_FAULT;
		if (entry & GPU_PTE_LEAF)
			break;
		if (!miss->level)
			return GPU_MMU_BUS;
	}

	if (miss->level > GPU_PT_MAX_LEAF_LEVEL ||
	    (entry & ~GPU_PTE_LEAF_BITS) ||
	    ((entry & GPU_PTE_ADDR) & ((1ull << GPU_PT_SHIFT(miss->level)) - 1)))
		return GPU_MMU_BUS;

	*leaf = entry;
	return GPU_MMU_OK;
}

/* Make a translation of a leaf, after setting the bits that @access sets. */
static enum gpu_mmu_result gpu_mmu_use_leaf(struct gpu_queue *queue, u64 va,
					    u32 access, __le64 *slot, u64 leaf,
					    struct gpu_xlat *xlat,
					    struct gpu_mmu_miss *miss)
{
	u64 mask = (1ull << GPU_PT_SHIFT(miss->level)) - 1;
	u64 addr = (leaf & GPU_PTE_ADDR) | (va & mask & GPU_PAGE_MASK);
	bool write = gpu_access_writes(access);
	enum gpu_mmu_result result;
	u64 used = leaf | GPU_PTE_ACCESSED;
	__le64 old = cpu_to_le64(leaf);

	if (write && !(leaf & GPU_PTE_WRITE))
		return GPU_MMU_FAULT;
	if (access == GPU_ACCESS_ATOMIC && leaf & GPU_PTE_NO_ATOMIC)
		return GPU_MMU_FAULT;

	xlat->page = NULL;
	xlat->bus = addr;
	if (!(leaf & GPU_PTE_SYSTEM)) {
		result = gpu_mmu_vram(queue->gpu, addr, &xlat->page, miss);
		if (result != GPU_MMU_OK)
			return result;
	}

	if (write)
		used |= GPU_PTE_DIRTY;
	if (used != leaf && !try_cmpxchg(slot, &old, cpu_to_le64(used)))
		return GPU_MMU_AGAIN;

	xlat->writable = used & GPU_PTE_WRITE;
	xlat->no_atomic = used & GPU_PTE_NO_ATOMIC;
	xlat->dirty = used & GPU_PTE_DIRTY;
	return GPU_MMU_OK;
}

/*
 * The one place where the translation of an address can be cached. Areas of
 * memory tend to start at round addresses, so the low bits alone won't do.
 */
static struct gpu_tlb_entry *gpu_tlb_entry(struct gpu_queue *queue, u64 va)
{
	u64 hash = (va >> GPU_PAGE_SHIFT) * GPU_TLB_HASH;

	return &queue->tlb[hash >> (64 - GPU_TLB_SHIFT)];
}

/**
 * devmem_gpu_mmu_translate() - translate the address of an access
 * @queue: queue that does the access
 * @va: virtual address
 * @access: GPU_ACCESS_*
 * @xlat: filled in for the page of @va
 * @miss: filled in without a translation
 *
 * Context: &gpu_queue.lock held. The translation is good until it is released.
 * Return: see &enum gpu_mmu_result.
 */
enum gpu_mmu_result devmem_gpu_mmu_translate(struct gpu_queue *queue, u64 va,
					     u32 access, struct gpu_xlat *xlat,
					     struct gpu_mmu_miss *miss)
{
	bool write = gpu_access_writes(access);
	enum gpu_mmu_result result;
	struct gpu_tlb_entry *tlb = gpu_tlb_entry(queue, va);
	__le64 *slot;
	u64 leaf;

	if (tlb->tag == (va >> GPU_PAGE_SHIFT) + 1 &&
	    (!write || (tlb->xlat.writable && tlb->xlat.dirty)) &&
	    (access != GPU_ACCESS_ATOMIC || !tlb->xlat.no_atomic)) {
		*xlat = tlb->xlat;
		return GPU_MMU_OK;
	}

	*miss = (struct gpu_mmu_miss){};
	result = gpu_mmu_walk(queue, va, &slot, &leaf, miss);
	if (result == GPU_MMU_OK)
		result = gpu_mmu_use_leaf(queue, va, access, slot, leaf, xlat,
					  miss);
	if (result == GPU_MMU_OK) {
		tlb->tag = (va >> GPU_PAGE_SHIFT) + 1;
		tlb->xlat = *xlat;
	}
	return result;
}

/**
 * devmem_gpu_mmu_flush() - empty the TLB of a queue
 * @queue: queue
 *
 * Context: &gpu_queue.lock held.
 */
void devmem_gpu_mmu_flush(struct gpu_queue *queue)
{
	memset(queue->tlb, 0, sizeof(queue->tlb));
}

/**
 * devmem_gpu_mmu_invalidate() - forget translations of an address space
 * @gpu: device
 * @vmid: address space
 *
 * The range is in GPU_REG_TLB_START and GPU_REG_TLB_END. After the return no
 * access that used a translation which was no longer in the page table before
 * the call is under way, and none will start.
 *
 * Context: does not sleep, waits for accesses within one page.
 */
void devmem_gpu_mmu_invalidate(struct gpu *gpu, u64 vmid)
{
	u64 start = READ_ONCE(gpu->tlb_start);
	u64 end = READ_ONCE(gpu->tlb_end);
	struct gpu_queue *queue;
	u32 i, j;

	if (start >= end)
		return;

	/*
	 * Most queues can be passed by without their lock: one that is seen
	 * disabled here and is enabled meanwhile walks the new page table.
	 */
	smp_mb();
	for (i = 0; i < gpu->config.num_queues; i++) {
		queue = &gpu->queues[i];
		if (!READ_ONCE(queue->enabled) || READ_ONCE(queue->vmid) != vmid)
			continue;

		spin_lock(&queue->lock);
		for (j = 0; j < GPU_TLB_ENTRIES; j++) {
			struct gpu_tlb_entry *tlb = &queue->tlb[j];
			u64 page = tlb->tag - 1;

			if (tlb->tag && page >= start >> GPU_PAGE_SHIFT &&
			    page <= (end - 1) >> GPU_PAGE_SHIFT)
				tlb->tag = 0;
		}
		spin_unlock(&queue->lock);
	}
}
