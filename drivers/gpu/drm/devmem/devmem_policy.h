/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_POLICY_H_
#define _DEVMEM_POLICY_H_

#include <linux/maple_tree.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct devmem_vm;
struct drm_device;
struct drm_file;
struct drm_pagemap;
struct drm_printer;

/**
 * struct devmem_policy - attributes of the memory of a VM, by address
 */
struct devmem_policy {
	/** @lock: one that sets or reads out attributes at a time. */
	struct mutex lock;
	/** @tree: attributes by address, packed; nothing where all are the default. */
	struct maple_tree tree;
	/** @stretches: entries of @tree, at most; protected by @lock. */
	unsigned int stretches;
	/** @notifier: hears of memory that is unmapped. */
	struct mmu_interval_notifier notifier;
	/** @listening: @notifier is inserted, protected by @lock. */
	bool listening;
	/** @devices: &struct drm_pagemap that attributes name, until the end. */
	struct xarray devices;
};

/**
 * struct devmem_attrs - the attributes of an address
 */
struct devmem_attrs {
	/** @preferred: enum drm_devmem_preferred. */
	u8 preferred;
	/** @migration: enum drm_devmem_migration. */
	u8 migration;
	/** @atomic: enum drm_devmem_atomic_policy. */
	u8 atomic;
	/** @device: in &devmem_policy.devices, if @preferred is a device by fd. */
	u8 device;
};

void devmem_policy_init(struct devmem_policy *policy);
void devmem_policy_fini(struct devmem_policy *policy);
int devmem_policy_set(struct devmem_policy *policy, unsigned long start,
		      unsigned long end, u32 attr, u32 value);
void devmem_policy_forget(struct devmem_policy *policy, unsigned long start,
			  unsigned long end);
struct devmem_attrs devmem_policy_get(struct devmem_policy *policy, unsigned long addr,
				      unsigned long *start, unsigned long *end);
u32 devmem_policy_location(const struct devmem_attrs *attrs);
struct drm_pagemap *devmem_policy_device(struct devmem_policy *policy,
					 const struct devmem_attrs *attrs);
void devmem_policy_print(struct devmem_vm *vm, struct drm_printer *p);
int devmem_policy_madvise_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int devmem_policy_query_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

#endif /* _DEVMEM_POLICY_H_ */
