/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_PREFETCH_H_
#define _DEVMEM_PREFETCH_H_

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

struct devmem_device;
struct devmem_vm;
struct drm_device;
struct drm_file;

/**
 * struct devmem_prefetch_list - prefetches of a VM that have not ended
 */
struct devmem_prefetch_list {
	/** @lock: protects what follows, where nothing else is said. */
	struct mutex lock;
	/** @list: &struct devmem_prefetch. */
	struct list_head list;
	/** @closed: the VM has lost its handle. */
	bool closed;
	/** @count: entries of @list; protected by the lock of &devmem_device.vms. */
	unsigned int count;
};

int devmem_prefetch_init_device(struct devmem_device *dm);
void devmem_prefetch_init(struct devmem_vm *vm);
void devmem_prefetch_fini(struct devmem_vm *vm);
void devmem_prefetch_cancel_all(struct devmem_vm *vm);
int devmem_prefetch_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

#endif /* _DEVMEM_PREFETCH_H_ */
