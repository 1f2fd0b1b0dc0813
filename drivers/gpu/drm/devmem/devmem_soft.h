/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_SOFT_H_
#define _DEVMEM_SOFT_H_

#include <linux/dma-direction.h>
#include <linux/types.h>

struct device;
struct devmem_fail;
struct devmem_soft;

/**
 * typedef devmem_soft_irq_t - interrupt handler of the software GPU
 * @data: as given to devmem_soft_create()
 *
 * Called in a kernel thread or in the caller of devmem_soft_write(), with no
 * lock of the device held. Must not sleep. Reading and writing the
 * %GPU_REG_IRQ_STATUS and %GPU_REG_IRQ_ENABLE registers is allowed.
 */
typedef void (*devmem_soft_irq_t)(void *data);

struct devmem_soft *devmem_soft_create(struct device *dev, u64 vram_size,
				       u32 num_queues, struct devmem_fail *fail,
				       devmem_soft_irq_t irq, void *irq_data);
void devmem_soft_destroy(struct devmem_soft *soft);

u64 devmem_soft_read(struct devmem_soft *soft, u64 reg);
void devmem_soft_write(struct devmem_soft *soft, u64 reg, u64 value);

u64 devmem_soft_vram_read64(struct devmem_soft *soft, u64 addr);
int devmem_soft_vram_write64(struct devmem_soft *soft, u64 addr, u64 value);
int devmem_soft_vram_zero(struct devmem_soft *soft, u64 addr, u64 size);
int devmem_soft_vram_write(struct devmem_soft *soft, u64 addr, const void *src,
			   u64 size);
int devmem_soft_vram_read(struct devmem_soft *soft, u64 addr, void *dst,
			  u64 size);

dma_addr_t devmem_soft_map_peer(struct devmem_soft *soft, struct devmem_soft *peer,
				u64 addr, u64 size, enum dma_data_direction dir);
void devmem_soft_unmap_peer(struct devmem_soft *soft, dma_addr_t addr, u64 size,
			    enum dma_data_direction dir);

void devmem_soft_lose_vram(struct devmem_soft *soft);
u64 devmem_soft_bus_violations(struct devmem_soft *soft);

#endif /* _DEVMEM_SOFT_H_ */
