/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_PAGEMAP_H_
#define _DEVMEM_PAGEMAP_H_

#include <drm/drm_pagemap.h>
#include <linux/mutex.h>

struct devmem_device;

/**
 * struct devmem_pagemap - what drm_gpusvm knows the device-private pages by
 */
struct devmem_pagemap {
	/** @base: valid while @alive. */
	struct drm_pagemap base;
	/** @lock: serializes devmem_pagemap_get(). */
	struct mutex lock;
	/** @alive: @base is initialized and not yet destroyed. */
	bool alive;
};

int devmem_pagemap_init(struct devmem_device *dm);
struct drm_pagemap *devmem_pagemap_get(struct devmem_device *dm);
struct devmem_device *devmem_pagemap_to_devmem(struct drm_pagemap *dpagemap);
void devmem_pagemap_released(struct devmem_device *dm);

#endif /* _DEVMEM_PAGEMAP_H_ */
