/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_DEBUGFS_H_
#define _DEVMEM_DEBUGFS_H_

struct devmem_device;
struct drm_file;
struct drm_printer;

void devmem_debugfs_init(struct devmem_device *dm);
void devmem_debugfs_show_fdinfo(struct drm_printer *p, struct drm_file *file);

#endif /* _DEVMEM_DEBUGFS_H_ */
