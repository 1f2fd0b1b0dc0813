/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_REGION_H_
#define _DEVMEM_REGION_H_

#include <linux/memremap.h>

struct devmem_device;

/**
 * struct devmem_region - device-private pages that stand for the VRAM
 */
struct devmem_region {
	/** @pagemap: the registration; page N of it is page N of VRAM. */
	struct dev_pagemap pagemap;
	/** @error: 0 if the pages are registered, else why not. */
	int error;
};

int devmem_region_init(struct devmem_device *dm);
void devmem_region_fini(struct devmem_device *dm);
bool devmem_region_has_page(const struct dev_pagemap *pagemap, const struct page *page);
int devmem_region_populate(struct devmem_device *dm, u64 addr, u64 size);
void devmem_region_depopulate(struct devmem_device *dm, u64 addr, u64 size);
u64 devmem_region_page_to_vram(struct devmem_device *dm,
			       const struct page *page);
struct page *devmem_region_vram_to_page(struct devmem_device *dm, u64 addr);

/**
 * devmem_region_registered() - does the device have device-private pages?
 * @dm: the device
 *
 * Return: true if memory can migrate to the device.
 */
#define devmem_region_registered(dm) (!(dm)->region.error)

#endif /* _DEVMEM_REGION_H_ */
