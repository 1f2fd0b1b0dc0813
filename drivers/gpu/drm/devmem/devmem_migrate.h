/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_MIGRATE_H_
#define _DEVMEM_MIGRATE_H_

#include <drm/drm_pagemap.h>

#include "devmem_vram.h"

struct devmem_vm;

/* What the address in a &struct drm_pagemap_addr is, if not of system memory */
#define DEVMEM_INTERCONNECT_VRAM	DRM_INTERCONNECT_DRIVER
/* A bus address of VRAM of a peer */
#define DEVMEM_INTERCONNECT_PEER	(DRM_INTERCONNECT_DRIVER + 1)

extern const struct drm_pagemap_ops devmem_migrate_pagemap_ops;

int devmem_migrate_to_device(struct devmem_vm *vm, unsigned long start,
			     unsigned long end, enum devmem_trigger trigger);

#endif /* _DEVMEM_MIGRATE_H_ */
