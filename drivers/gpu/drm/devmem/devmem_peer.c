// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_managed.h>
#include <linux/file.h>
#include <linux/module.h>

#include "devmem_device.h"
#include "devmem_drv.h"
#include "devmem_iommu.h"
#include "devmem_peer.h"

/**
 * DOC: Peers
 *
 * Devices in one group are peers: each reaches the memory of the others over the
 * bus. Memory that is on a peer is used there in place, and migrates from one to
 * the other directly. Devices that are not peers are strangers. What one of them
 * has is brought back to system memory before the other gets it.
 *
 * The module parameter ``peer_group_size`` makes groups of so many devices, in the
 * order of their numbers: with 1 all are strangers. All pages of a group have the
 * same owner; that is how hmm_range_fault() and migrate_vma_setup() tell memory
 * that a device can reach from memory that it can't.
 *
 * To map a peer's memory takes the checking IOMMU. Where there is none all devices
 * are strangers.
 */

static unsigned int peer_group_size = 16;
module_param(peer_group_size, uint, 0444);
MODULE_PARM_DESC(peer_group_size,
		 "So many devices use each other's memory in place (1: none does, default 16)");

static DRM_PAGEMAP_OWNER_LIST_DEFINE(devmem_peer_owners);

/**
 * devmem_peer_group() - which devices are peers
 * @dm: the device
 *
 * Return: a number that is the same for peers.
 */
u32 devmem_peer_group(const struct devmem_device *dm)
{
	if (!devmem_iommu_has_peers() || !peer_group_size)
		return dm->index;
	return dm->index / peer_group_size;
}

static bool devmem_peer_is_connected(struct drm_pagemap_peer *a, struct drm_pagemap_peer *b)
{
	return devmem_peer_group(a->private) == devmem_peer_group(b->private);
}

static void devmem_peer_leave(struct drm_device *drm, void *data)
{
	drm_pagemap_release_owner(data);
}

/**
 * devmem_peer_join() - join the group of a device
 * @dm: the device, with its index
 *
 * It lasts as long as the DRM device, so that the owner of its pages stays valid
 * for comparisons after it was unplugged.
 *
 * Return: 0 or -ENOMEM.
 */
int devmem_peer_join(struct devmem_device *dm)
{
	int err;

	dm->peer.private = dm;
	err = drm_pagemap_acquire_owner(&dm->peer, &devmem_peer_owners,
					devmem_peer_is_connected);
	if (err)
		return err;
	return drmm_add_action_or_reset(&dm->drm, devmem_peer_leave, &dm->peer);
}

/**
 * devmem_peer_open() - the memory of the device of an open file
 * @dm: the device that is going to use it
 * @fd: file descriptor of the calling process
 *
 * Context: process context.
 *
 * Return: the memory, to be released by drm_pagemap_put(), or an ERR_PTR: -EBADF
 * (no open file), -EINVAL (not of this driver), -ENODEV (was unplugged), -ENOLINK
 * (has no memory that @dm could reach), -ENOMEM.
 */
struct drm_pagemap *devmem_peer_open(struct devmem_device *dm, int fd)
{
	struct drm_pagemap *dpagemap;
	struct devmem_device *other;
	struct drm_device *drm;
	struct file *file;
	int idx;

	file = fget(fd);
	if (!file)
		return ERR_PTR(-EBADF);
	drm = devmem_drv_file_to_drm(file);
	if (!drm) {
		dpagemap = ERR_PTR(-EINVAL);
		goto out_put;
	}
	if (!drm_dev_enter(drm, &idx)) {
		dpagemap = ERR_PTR(-ENODEV);
		goto out_put;
	}
	other = to_devmem(drm);
	if (devmem_region_registered(other) && other->peer.owner == dm->peer.owner)
		dpagemap = devmem_pagemap_get(other);
	else
		dpagemap = ERR_PTR(-ENOLINK);
	drm_dev_exit(idx);
out_put:
	fput(file);
	return dpagemap;
}
