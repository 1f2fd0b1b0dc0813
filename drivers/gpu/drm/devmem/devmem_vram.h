/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_VRAM_H_
#define _DEVMEM_VRAM_H_

#include <drm/drm_pagemap.h>
#include <linux/atomic.h>
#include <linux/gpu_buddy.h>
#include <linux/kref.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

struct devmem_device;
struct devmem_stats;

/**
 * struct devmem_vram - allocator of VRAM
 */
struct devmem_vram {
	/** @mm: the buddy allocator, in units of 4 KiB. */
	struct gpu_buddy mm;
	/** @lock: protects @mm and @lru. */
	struct mutex lock;
	/** @lru: &struct devmem_bo that can be evicted, not used for longest first. */
	struct list_head lru;
	/** @released: &struct devmem_bo without a reference, to be freed. */
	struct llist_head released;
	/** @release_work: frees @released. */
	struct work_struct release_work;
	/** @users: VMs of the device, and VMs of others that prefer its memory. */
	atomic_t users;
};

/**
 * enum devmem_trigger - why memory migrates
 * @DEVMEM_TRIGGER_GPU_FAULT: the GPU touched it
 * @DEVMEM_TRIGGER_CPU_FAULT: the CPU touched it
 * @DEVMEM_TRIGGER_PREFETCH: a program asked for it
 * @DEVMEM_TRIGGER_EVICTION: VRAM was needed for something else
 * @DEVMEM_TRIGGER_PEER: another device asked for it through drm_pagemap
 */
enum devmem_trigger {
	DEVMEM_TRIGGER_GPU_FAULT,
	DEVMEM_TRIGGER_CPU_FAULT,
	DEVMEM_TRIGGER_PREFETCH,
	DEVMEM_TRIGGER_EVICTION,
	DEVMEM_TRIGGER_PEER,
};

/**
 * struct devmem_bo - VRAM that backs migrated memory of a process
 *
 * One naturally aligned block of VRAM. Its pages hold it through drm_pagemap
 * until the last one is freed, whoever owns that page then.
 */
struct devmem_bo {
	/** @kref: references: of drm_pagemap, and of an eviction under way. */
	struct kref kref;
	/** @dm: the device. */
	struct devmem_device *dm;
	/** @block: the VRAM. */
	struct gpu_buddy_block *block;
	/** @populated: bytes that have struct pages, until the last reference goes. */
	u64 populated;
	/** @devmem: the allocation as drm_pagemap knows it. */
	struct drm_pagemap_devmem devmem;
	/** @ready: @devmem is initialized, so that others can evict. */
	bool ready;
	/** @lru: link in &devmem_vram.lru. */
	struct list_head lru;
	/** @released: link in &devmem_vram.released. */
	struct llist_node released;
	/** @evictor: task that evicts the allocation, or NULL. */
	struct task_struct *evictor;
	/** @trigger: why it does. */
	enum devmem_trigger trigger;
	/** @vmid: hardware address space that the memory came from, or 0. */
	u32 vmid;
	/** @va: virtual address that it had there. */
	u64 va;
	/** @stats: counters of the VM that made the allocation, or NULL. */
	struct devmem_stats *stats;
};

int devmem_vram_init(struct devmem_device *dm);
void devmem_vram_fini(struct devmem_device *dm);
struct devmem_bo *devmem_vram_alloc(struct devmem_device *dm, u64 size,
				    struct devmem_stats *stats);
struct devmem_bo *devmem_vram_find(struct devmem_device *dm, u64 addr);
struct devmem_bo *devmem_vram_get(struct devmem_device *dm, u64 addr);
void devmem_vram_put(struct devmem_bo *bo);
int devmem_vram_evict(struct devmem_device *dm, struct devmem_bo *bo,
		      enum devmem_trigger trigger);
int devmem_vram_alloc_kernel(struct devmem_device *dm, u64 size, u64 *addr);
void devmem_vram_free_kernel(struct devmem_device *dm, u64 addr);
void devmem_vram_use(struct devmem_device *dm);
void devmem_vram_unuse(struct devmem_device *dm);
u64 devmem_vram_available(struct devmem_device *dm);
int devmem_vram_evict_all(struct devmem_device *dm);
u64 devmem_vram_touch(struct devmem_device *dm, u64 addr);
bool devmem_vram_is_empty(struct devmem_device *dm);

/**
 * devmem_vram_set_ready() - let others evict an allocation
 * @bo: the allocation, with &devmem_bo.devmem initialized
 */
static inline void devmem_vram_set_ready(struct devmem_bo *bo)
{
	/* Pairs with the acquire of those who evict. */
	smp_store_release(&bo->ready, true);
}

/**
 * devmem_vram_addr() - where an allocation is
 * @bo: the allocation
 *
 * Return: VRAM address, in bytes.
 */
static inline u64 devmem_vram_addr(struct devmem_bo *bo)
{
	return gpu_buddy_block_offset(bo->block);
}

#endif /* _DEVMEM_VRAM_H_ */
