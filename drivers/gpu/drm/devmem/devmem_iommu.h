/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_IOMMU_H_
#define _DEVMEM_IOMMU_H_

#include <linux/dma-direction.h>
#include <linux/types.h>

struct device;
struct devmem_fail;
struct devmem_iommu;
struct xarray;

struct devmem_iommu *devmem_iommu_create(struct device *dev, struct devmem_fail *fail);
void devmem_iommu_destroy(struct devmem_iommu *iommu);

void *devmem_iommu_begin(struct devmem_iommu *iommu, u64 addr, u64 *size,
			 bool write);
void devmem_iommu_end(struct devmem_iommu *iommu);

bool devmem_iommu_has_peers(void);
dma_addr_t devmem_iommu_map_peer(struct devmem_iommu *iommu, struct xarray *folios,
				 u64 addr, u64 size, enum dma_data_direction dir);
void devmem_iommu_unmap_peer(struct devmem_iommu *iommu, dma_addr_t addr, u64 size,
			     enum dma_data_direction dir);

u64 devmem_iommu_violations(struct devmem_iommu *iommu);

#endif /* _DEVMEM_IOMMU_H_ */
