/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_IOMMU_H_
#define _DEVMEM_IOMMU_H_

#include <linux/types.h>

struct device;
struct devmem_iommu;

struct devmem_iommu *devmem_iommu_create(struct device *dev);
void devmem_iommu_destroy(struct devmem_iommu *iommu);

void *devmem_iommu_begin(struct devmem_iommu *iommu, u64 addr, u32 size,
			 bool write);
void devmem_iommu_end(struct devmem_iommu *iommu, void *ptr, bool write);

u64 devmem_iommu_violations(struct devmem_iommu *iommu);

#endif /* _DEVMEM_IOMMU_H_ */
