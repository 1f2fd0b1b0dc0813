// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_pagemap.h>
#include <drm/drm_print.h>
#include <kunit/visibility.h>
#include <linux/mm.h>

#include "devmem_device.h"
#include "devmem_peer.h"
#include "devmem_region.h"

/**
 * DOC: Device-private pages
 *
 * Core MM knows memory of the device by struct pages, and those by offsets into
 * a space that has nothing to do with physical addresses. This file registers
 * as many pages as there is VRAM and is the only one that converts between a
 * page and a VRAM address: page N of the registration stands for page N of
 * VRAM.
 *
 * Registration only reserves offsets. The struct pages are populated when VRAM is
 * given out to a process, and may go again when it is not: VRAM that nobody uses
 * takes no RAM for them, however large it is. Where RAM is short, the migration that
 * wanted to populate them fails, and the memory stays in the system.
 *
 * A device whose registration fails is still useful: SVM then works in system
 * memory alone. That is said once in the log and shows in debugfs and in
 * %DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY.
 *
 * The registration lives as long as the device.
 */

/**
 * devmem_region_init() - register device-private pages for all VRAM
 * @dm: the device
 *
 * Return: 0, also when registration failed and SVM is limited to system memory;
 * -ENOMEM.
 */
int devmem_region_init(struct devmem_device *dm)
{
	struct devmem_region *region = &dm->region;
	struct dev_pagemap *pagemap = &region->pagemap;
	int err;

	err = devmem_peer_join(dm);
	if (err)
		return err;
	pagemap->type = MEMORY_DEVICE_PRIVATE;
	pagemap->flags = PGMAP_POPULATE_ON_DEMAND;
	pagemap->nr_pages = dm->hw.vram_size >> PAGE_SHIFT;
	pagemap->ops = drm_pagemap_pagemap_ops_get();
	pagemap->owner = dm->peer.owner;

	region->error = memremap_device_private_pagemap(pagemap, dev_to_node(dm->hw.dev));
	if (region->error)
		drm_warn(&dm->drm,
			 "no device memory, SVM is limited to system memory (error %d)\n",
			 region->error);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_region_init);

/**
 * devmem_region_fini() - unregister the pages
 * @dm: the device; none of its pages may be in use
 */
void devmem_region_fini(struct devmem_device *dm)
{
	if (devmem_region_registered(dm))
		memunmap_device_private_pagemap(&dm->region.pagemap);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_region_fini);

static unsigned long devmem_region_offset(struct devmem_device *dm, u64 addr)
{
	return (dm->region.pagemap.range.start + addr) >> PAGE_SHIFT;
}

/**
 * devmem_region_populate() - have struct pages for a range of VRAM
 * @dm: the device, with pages registered
 * @addr: VRAM address, in bytes, a multiple of the page size
 * @size: bytes, a multiple of the page size
 *
 * They stay until devmem_region_depopulate(), for which devmem_region_fini() waits.
 *
 * Context: process context, sleeps.
 *
 * Return: 0, -ENOMEM, -ENODEV.
 */
int devmem_region_populate(struct devmem_device *dm, u64 addr, u64 size)
{
	struct dev_pagemap *pagemap = &dm->region.pagemap;
	int err;

	if (devmem_fail_now(&dm->fail, DEVMEM_FAIL_POPULATE))
		return -ENOMEM;
	if (!percpu_ref_tryget_live(&pagemap->ref))
		return -ENODEV;
	err = device_private_populate(pagemap, devmem_region_offset(dm, addr),
				      size >> PAGE_SHIFT);
	if (err)
		put_dev_pagemap(pagemap);
	return err;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_region_populate);

/**
 * devmem_region_depopulate() - the struct pages of a range of VRAM may go
 * @dm: the device, with pages registered
 * @addr: VRAM address, in bytes, a multiple of the page size
 * @size: as given to devmem_region_populate(); all pages are free
 *
 * Context: any in which a page can be freed.
 */
void devmem_region_depopulate(struct devmem_device *dm, u64 addr, u64 size)
{
	struct dev_pagemap *pagemap = &dm->region.pagemap;

	device_private_depopulate(pagemap, devmem_region_offset(dm, addr),
				  size >> PAGE_SHIFT);
	put_dev_pagemap(pagemap);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_region_depopulate);

/**
 * devmem_region_has_page() - is a page one of a registration?
 * @pagemap: registration of device-private pages
 * @page: a device-private page; it is not looked at and can be gone
 *
 * Return: true if it is.
 */
bool devmem_region_has_page(const struct dev_pagemap *pagemap, const struct page *page)
{
	u64 addr = (u64)device_private_page_to_offset(page) << PAGE_SHIFT;

	return range_contains(&pagemap->range, &(struct range) { addr, addr });
}

/**
 * devmem_region_page_to_vram() - VRAM address of a page
 * @dm: the device the page belongs to
 * @page: a device-private page of it
 *
 * Return: VRAM address, in bytes.
 */
u64 devmem_region_page_to_vram(struct devmem_device *dm,
			       const struct page *page)
{
	return ((u64)device_private_page_to_offset(page) << PAGE_SHIFT) -
	       dm->region.pagemap.range.start;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_region_page_to_vram);

/**
 * devmem_region_vram_to_page() - page of a VRAM address
 * @dm: the device
 * @addr: VRAM address, in bytes, below the size of VRAM
 *
 * Return: the device-private page. It is there while it is populated.
 */
struct page *devmem_region_vram_to_page(struct devmem_device *dm, u64 addr)
{
	return device_private_offset_to_page(devmem_region_offset(dm, addr));
}
EXPORT_SYMBOL_IF_KUNIT(devmem_region_vram_to_page);
