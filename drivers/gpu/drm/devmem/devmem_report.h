/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_REPORT_H_
#define _DEVMEM_REPORT_H_

#include <linux/spinlock.h>
#include <linux/types.h>
#include <uapi/drm/devmem_drm.h>

struct devmem_vm;
struct drm_device;
struct drm_file;

/**
 * struct devmem_report - the latest faults of a VM that failed
 */
struct devmem_report {
	/** @lock: protects what follows. */
	spinlock_t lock;
	/** @total: how many there were. */
	u64 total;
	/** @faults: the latest; number N is at N modulo the size. */
	struct drm_devmem_fault faults[DRM_DEVMEM_MAX_FAULTS];
};

void devmem_report_init(struct devmem_report *report);
void devmem_report_add(struct devmem_report *report, const struct drm_devmem_fault *fault);
u32 devmem_report_read(struct devmem_report *report, struct drm_devmem_fault *out,
		       u64 *total);
u32 devmem_report_reason(int err);
int devmem_report_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

#endif /* _DEVMEM_REPORT_H_ */
