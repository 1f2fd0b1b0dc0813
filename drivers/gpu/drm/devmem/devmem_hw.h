/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_HW_H_
#define _DEVMEM_HW_H_

#include <linux/dma-direction.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct device;
struct devmem_device;
struct devmem_soft;

/**
 * struct devmem_hw - transport to the GPU
 *
 * The rest of the driver knows the GPU through the functions below and the
 * specification in gpu/gpu_regs.h only, and not where it runs.
 */
struct devmem_hw {
	/** @soft: the device model of gpu/ in its kernel home. */
	struct devmem_soft *soft;
	/** @dev: device for DMA. */
	struct device *dev;
	/** @tlb_lock: one TLB invalidation at a time. */
	struct mutex tlb_lock;
	/** @irq_work: serves the interrupt, may sleep. */
	struct work_struct irq_work;
	/** @irq_wq: runs @irq_work. */
	struct workqueue_struct *irq_wq;
	/** @num_queues: hardware queues. */
	u32 num_queues;
	/** @num_vmids: hardware address spaces. */
	u32 num_vmids;
	/** @vram_size: bytes. */
	u64 vram_size;
};

int devmem_hw_init(struct devmem_device *dm, u64 vram_size);
void devmem_hw_start(struct devmem_device *dm);
void devmem_hw_halt(struct devmem_device *dm, bool halt);
void devmem_hw_sleep(struct devmem_device *dm);
void devmem_hw_fini(struct devmem_device *dm);
u64 devmem_hw_read(struct devmem_device *dm, u64 reg);
void devmem_hw_write(struct devmem_device *dm, u64 reg, u64 value);
int devmem_hw_vram_read(struct devmem_device *dm, u64 addr, void *buf,
			size_t size);
int devmem_hw_vram_write(struct devmem_device *dm, u64 addr, const void *buf,
			 size_t size);
int devmem_hw_vram_zero(struct devmem_device *dm, u64 addr, size_t size);
u64 devmem_hw_vram_read64(struct devmem_device *dm, u64 addr);
int devmem_hw_vram_write64(struct devmem_device *dm, u64 addr, u64 value);
dma_addr_t devmem_hw_map_peer(struct devmem_device *dm, struct devmem_device *peer,
			      u64 addr, u64 size, enum dma_data_direction dir);
void devmem_hw_unmap_peer(struct devmem_device *dm, dma_addr_t addr, u64 size,
			  enum dma_data_direction dir);
void devmem_hw_tlb_invalidate(struct devmem_device *dm, u32 vmid, u64 start,
			      u64 end);

#endif /* _DEVMEM_HW_H_ */
