// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_managed.h>
#include <linux/wait_bit.h>

#include "devmem_device.h"
#include "devmem_migrate.h"
#include "devmem_pagemap.h"

/**
 * DOC: The drm_pagemap of a device
 *
 * The registration of pages (devmem_region.c) lives as long as the device. The
 * &struct drm_pagemap on top of it lives while a VM or a migrated page refers to
 * it, since it pins the module: with it alive all the time the module could never
 * be unloaded.
 */

/**
 * devmem_pagemap_init() - make a device ready for devmem_pagemap_get()
 * @dm: the device
 *
 * Return: 0 or -ENOMEM.
 */
int devmem_pagemap_init(struct devmem_device *dm)
{
	return drmm_mutex_init(&dm->drm, &dm->pagemap.lock);
}

/**
 * devmem_pagemap_get() - reference the drm_pagemap, making it if there is none
 * @dm: the device, with pages registered
 *
 * Context: process context, takes &devmem_pagemap.lock.
 *
 * Return: the drm_pagemap, to be released by drm_pagemap_put(), or an ERR_PTR.
 */
struct drm_pagemap *devmem_pagemap_get(struct devmem_device *dm)
{
	struct devmem_pagemap *pagemap = &dm->pagemap;
	struct drm_pagemap *dpagemap = &pagemap->base;
	int err = 0;

	mutex_lock(&pagemap->lock);
	/* Pairs with the release in devmem_pagemap_released(). */
	if (smp_load_acquire(&pagemap->alive)) {
		if (drm_pagemap_get_unless_zero(dpagemap))
			goto out;
		/* Its last reference just went: the release is about to follow. */
		wait_var_event(&pagemap->alive, !smp_load_acquire(&pagemap->alive));
	}
	err = drm_pagemap_init(dpagemap, &dm->region.pagemap, &dm->drm,
			       &devmem_migrate_pagemap_ops);
	if (!err)
		pagemap->alive = true;
out:
	mutex_unlock(&pagemap->lock);
	return err ? ERR_PTR(err) : dpagemap;
}

/**
 * devmem_pagemap_to_devmem() - the device of a drm_pagemap
 * @dpagemap: of devmem_pagemap_get()
 *
 * Return: the device.
 */
struct devmem_device *devmem_pagemap_to_devmem(struct drm_pagemap *dpagemap)
{
	return container_of(dpagemap, struct devmem_device, pagemap.base);
}

/**
 * devmem_pagemap_released() - the drm_pagemap has lost its last reference
 * @dm: the device
 *
 * Context: any; pages can be freed under spinlocks.
 */
void devmem_pagemap_released(struct devmem_device *dm)
{
	struct devmem_pagemap *pagemap = &dm->pagemap;

	/* The drm_pagemap is not touched after this; devmem_pagemap_get() reuses it. */
	smp_store_release(&pagemap->alive, false);
	wake_up_var(&pagemap->alive);
}
