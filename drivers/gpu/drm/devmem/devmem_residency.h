/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_RESIDENCY_H_
#define _DEVMEM_RESIDENCY_H_

#include <linux/sizes.h>
#include <linux/types.h>

#include "devmem_vram.h"

struct devmem_vm;
struct drm_device;
struct drm_file;
struct drm_pagemap;

/* Bytes of memory that one look covers */
#define DEVMEM_RESIDENCY_BATCH	SZ_2M

int devmem_residency_settle(struct devmem_vm *vm, unsigned long start, unsigned long end,
			    u32 location, struct drm_pagemap *peer,
			    enum devmem_trigger trigger, u64 *bytes);
int devmem_residency_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

#endif /* _DEVMEM_RESIDENCY_H_ */
