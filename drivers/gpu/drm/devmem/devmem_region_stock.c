// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_pagemap.h>
#include <drm/drm_print.h>
#include <linux/ioport.h>
#include <linux/mm.h>

#include "devmem_device.h"
#include "devmem_fail.h"
#include "devmem_peer.h"
#include "devmem_region.h"
#include "devmem_region_stock.h"

/**
 * DOC: Device-private pages by physical address
 *
 * This file takes the place of devmem_region.c in a kernel without the series.
 * There, struct pages need a range of physical addresses that nothing else
 * uses, as large as VRAM and below what the CPU can address. The range is searched
 * for, and struct pages for all of it are made at once and kept: 16 MiB of RAM for
 * each GiB of VRAM. Where there is no such range or no such RAM, SVM is limited to
 * system memory.
 *
 * Page N of the range stands for page N of VRAM. The range can be longer than VRAM,
 * since it is rounded up to whole sections of memory; those pages are not used.
 */

/*
 * drm_pagemap_evict_to_ram() of such a kernel takes a reference to the users of the
 * address space that memory came from, does nothing with it, and gives up if it
 * can't have one. The process may be gone by then while a child of it has the
 * memory. So all memory comes from here, where there is always a user.
 */
struct mm_struct devmem_region_mm = {
	.mm_users = ATOMIC_INIT(1),
};

static int devmem_region_register(struct devmem_device *dm)
{
	struct dev_pagemap *pagemap = &dm->region.pagemap;
	struct resource *res;
	void *addr;

	res = request_free_mem_region(&iomem_resource, dm->hw.vram_size, "devmem");
	if (IS_ERR(res))
		return PTR_ERR(res);

	pagemap->type = MEMORY_DEVICE_PRIVATE;
	pagemap->range.start = res->start;
	pagemap->range.end = res->end;
	pagemap->nr_range = 1;
	pagemap->ops = drm_pagemap_pagemap_ops_get();
	pagemap->owner = dm->peer.owner;
	addr = memremap_pages(pagemap, dev_to_node(dm->hw.dev));
	if (!IS_ERR(addr))
		return 0;

	release_mem_region(res->start, resource_size(res));
	return PTR_ERR(addr);
}

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
	int err;

	err = devmem_peer_join(dm);
	if (err)
		return err;
	region->error = devmem_region_register(dm);
	if (region->error)
		drm_warn(&dm->drm,
			 "no device memory, SVM is limited to system memory (error %d)\n",
			 region->error);
	return 0;
}

/**
 * devmem_region_fini() - unregister the pages
 * @dm: the device; none of its pages may be in use
 */
void devmem_region_fini(struct devmem_device *dm)
{
	struct dev_pagemap *pagemap = &dm->region.pagemap;

	if (!devmem_region_registered(dm))
		return;
	memunmap_pages(pagemap);
	release_mem_region(pagemap->range.start, range_len(&pagemap->range));
}

/**
 * devmem_region_populate() - keep the struct pages of a range of VRAM
 * @dm: the device, with pages registered
 * @addr: VRAM address, in bytes, a multiple of the page size
 * @size: bytes, a multiple of the page size
 *
 * They are there already, and stay until devmem_region_depopulate(), for which
 * devmem_region_fini() waits.
 *
 * Context: any.
 *
 * Return: 0, -ENODEV, -ENOMEM if a test wants it.
 */
int devmem_region_populate(struct devmem_device *dm, u64 addr, u64 size)
{
	if (devmem_fail_now(&dm->fail, DEVMEM_FAIL_POPULATE))
		return -ENOMEM;
	return percpu_ref_tryget_live(&dm->region.pagemap.ref) ? 0 : -ENODEV;
}

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
	put_dev_pagemap(&dm->region.pagemap);
}

/**
 * devmem_region_has_page() - is a page one of a registration?
 * @pagemap: registration of device-private pages
 * @page: a device-private page; it is not looked at
 *
 * Return: true if it is.
 */
bool devmem_region_has_page(const struct dev_pagemap *pagemap, const struct page *page)
{
	u64 addr = page_to_phys(page);

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
	return page_to_phys(page) - dm->region.pagemap.range.start;
}

/**
 * devmem_region_vram_to_page() - page of a VRAM address
 * @dm: the device
 * @addr: VRAM address, in bytes, below the size of VRAM
 *
 * Return: the device-private page.
 */
struct page *devmem_region_vram_to_page(struct devmem_device *dm, u64 addr)
{
	return phys_to_page(dm->region.pagemap.range.start + addr);
}
