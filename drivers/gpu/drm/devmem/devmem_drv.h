/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_DRV_H_
#define _DEVMEM_DRV_H_

struct drm_device;
struct file;

struct drm_device *devmem_drv_file_to_drm(struct file *file);

#endif /* _DEVMEM_DRV_H_ */
