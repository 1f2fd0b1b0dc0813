/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_REGION_STOCK_H_
#define _DEVMEM_REGION_STOCK_H_

#include <drm/drm_pagemap.h>
#include <linux/mm.h>

/*
 * What drm_pagemap of a kernel without the series calls differently. The makefile
 * has the compiler include this in front of devmem_migrate.c.
 */

extern struct mm_struct devmem_region_mm;

/* An allocation names its pages by PFNs, not by migrate PFNs. */
#define populate_devmem_mpfn		populate_devmem_pfn
#define page_to_migration_pfn(page)	page_to_pfn(page)

/* It knows the address space that its memory came from. */
#define drm_pagemap_devmem_init(devmem, dev, ...) \
	drm_pagemap_devmem_init(devmem, dev, &devmem_region_mm, __VA_ARGS__)

#endif /* _DEVMEM_REGION_STOCK_H_ */
