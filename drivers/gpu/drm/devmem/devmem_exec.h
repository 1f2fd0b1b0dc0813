/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_EXEC_H_
#define _DEVMEM_EXEC_H_

struct drm_device;
struct drm_file;

int devmem_exec_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

#endif /* _DEVMEM_EXEC_H_ */
