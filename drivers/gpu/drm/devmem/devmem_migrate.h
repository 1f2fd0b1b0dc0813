/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_MIGRATE_H_
#define _DEVMEM_MIGRATE_H_

#include <drm/drm_pagemap.h>

#include "devmem_vram.h"

struct devmem_vm;

extern const struct drm_pagemap_ops devmem_migrate_pagemap_ops;

int devmem_migrate_to_device(struct devmem_vm *vm, unsigned long start,
			     unsigned long end, enum devmem_trigger trigger);

#endif /* _DEVMEM_MIGRATE_H_ */
