// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/devmem_drm.h>
#include <drm/drm_file.h>
#include <drm/drm_syncobj.h>
#include <linux/dma-fence-chain.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "devmem_sync.h"

/**
 * DOC: Syncs
 *
 * Ioctls that start work take an array of &struct drm_devmem_sync. It is read and
 * checked as a whole before anything starts: afterwards nothing can fail, and a
 * syncobj either gets the fence of work that was submitted or stays as it is.
 */

/**
 * struct devmem_sync_signal - a syncobj to signal
 * @syncobj: the syncobj, with a reference
 * @chain: node for a point of a timeline, or NULL for a binary syncobj
 * @point: the point
 */
struct devmem_sync_signal {
	struct drm_syncobj *syncobj;
	struct dma_fence_chain *chain;
	u64 point;
};

static int devmem_sync_user_fence(struct devmem_syncs *syncs,
				  const struct drm_devmem_sync *sync)
{
	if (!syncs->va_end)
		return -EINVAL;
	if (!(sync->flags & DRM_DEVMEM_SYNC_SIGNAL) || sync->handle)
		return -EINVAL;
	/* To the hardware an address of zero means that there is none. */
	if (!sync->addr || !IS_ALIGNED(sync->addr, sizeof(u64)) ||
	    sync->addr > syncs->va_end - sizeof(u64))
		return -EINVAL;
	if (syncs->fence_addr)
		return -EINVAL;

	syncs->fence_addr = sync->addr;
	syncs->fence_value = sync->value;
	return 0;
}

/* @point is zero for a binary syncobj. */
static int devmem_sync_wait(struct devmem_syncs *syncs, struct drm_file *file,
			    u32 handle, u64 point)
{
	struct dma_fence *fence;
	int err;

	err = drm_syncobj_find_fence(file, handle, point, 0, &fence);
	if (!err)
		syncs->waits[syncs->num_waits++] = fence;
	return err;
}

static int devmem_sync_signal(struct devmem_syncs *syncs, struct drm_file *file,
			      u32 handle, u64 point)
{
	struct devmem_sync_signal *signal = &syncs->signals[syncs->num_signals];

	signal->syncobj = drm_syncobj_find(file, handle);
	if (!signal->syncobj)
		return -ENOENT;
	syncs->num_signals++;

	if (point) {
		signal->point = point;
		signal->chain = dma_fence_chain_alloc();
		if (!signal->chain)
			return -ENOMEM;
	}
	return 0;
}

static int devmem_sync_add(struct devmem_syncs *syncs, struct drm_file *file,
			   const struct drm_devmem_sync *sync)
{
	bool timeline = sync->type == DRM_DEVMEM_SYNC_TIMELINE_SYNCOBJ;

	if (sync->pad || sync->flags & ~DRM_DEVMEM_SYNC_SIGNAL)
		return -EINVAL;

	switch (sync->type) {
	case DRM_DEVMEM_SYNC_SYNCOBJ:
	case DRM_DEVMEM_SYNC_TIMELINE_SYNCOBJ:
		if (sync->addr || !!sync->value != timeline)
			return -EINVAL;
		if (sync->flags & DRM_DEVMEM_SYNC_SIGNAL)
			return devmem_sync_signal(syncs, file, sync->handle, sync->value);
		return devmem_sync_wait(syncs, file, sync->handle, sync->value);
	case DRM_DEVMEM_SYNC_USER_FENCE:
		return devmem_sync_user_fence(syncs, sync);
	default:
		return -EINVAL;
	}
}

/**
 * devmem_sync_get() - read the syncs of an ioctl
 * @syncs: where to; zero but for &devmem_syncs.va_end
 * @file: the file
 * @user_ptr: address of an array of &struct drm_devmem_sync
 * @count: entries of it, at most DRM_DEVMEM_MAX_SYNCS
 *
 * To be followed by devmem_sync_put(), also if it fails.
 *
 * Context: process context of the caller of the ioctl.
 *
 * Return: 0, -EFAULT, -ENOMEM, -ENOENT for a handle, -EINVAL for a sync that is
 * not as documented or has no fence to wait for.
 */
int devmem_sync_get(struct devmem_syncs *syncs, struct drm_file *file,
		    u64 user_ptr, u32 count)
{
	struct drm_devmem_sync *user;
	int err = 0;
	u32 i;

	if (!count)
		return 0;

	user = memdup_array_user(u64_to_user_ptr(user_ptr), count, sizeof(*user));
	if (IS_ERR(user))
		return PTR_ERR(user);
	syncs->waits = kzalloc_objs(*syncs->waits, count);
	syncs->signals = kzalloc_objs(*syncs->signals, count);
	if (!syncs->waits || !syncs->signals)
		err = -ENOMEM;
	for (i = 0; !err && i < count; i++)
		err = devmem_sync_add(syncs, file, &user[i]);
	kfree(user);
	return err;
}

/**
 * devmem_sync_publish() - give the fence of the work to what it signals
 * @syncs: the syncs
 * @fence: signals when the work has ended
 *
 * Context: between dma_fence_begin_signalling() and its end; allocates nothing.
 */
void devmem_sync_publish(struct devmem_syncs *syncs, struct dma_fence *fence)
{
	struct devmem_sync_signal *signal;
	u32 i;

	for (i = 0; i < syncs->num_signals; i++) {
		signal = &syncs->signals[i];
		if (signal->chain)
			drm_syncobj_add_point(signal->syncobj, signal->chain,
					      fence, signal->point);
		else
			drm_syncobj_replace_fence(signal->syncobj, fence);
		signal->chain = NULL;
	}
}

/**
 * devmem_sync_put() - let go of what devmem_sync_get() has got
 * @syncs: the syncs
 *
 * Context: process context.
 */
void devmem_sync_put(struct devmem_syncs *syncs)
{
	u32 i;

	for (i = 0; i < syncs->num_signals; i++) {
		dma_fence_chain_free(syncs->signals[i].chain);
		drm_syncobj_put(syncs->signals[i].syncobj);
	}
	for (i = 0; i < syncs->num_waits; i++)
		dma_fence_put(syncs->waits[i]);
	kfree(syncs->signals);
	kfree(syncs->waits);
}
