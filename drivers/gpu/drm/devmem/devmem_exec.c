// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/devmem_drm.h>
#include <drm/drm_device.h>
#include <drm/drm_file.h>
#include <drm/drm_syncobj.h>
#include <linux/dma-fence-chain.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "devmem_exec.h"
#include "devmem_queue.h"

/**
 * struct devmem_exec_signal - a syncobj to signal
 * @syncobj: the syncobj, with a reference
 * @chain: node for a point of a timeline, or NULL for a binary syncobj
 * @point: the point
 */
struct devmem_exec_signal {
	struct drm_syncobj *syncobj;
	struct dma_fence_chain *chain;
	u64 point;
};

/**
 * struct devmem_exec - an exec ioctl under way
 * @file: the file
 * @queue: the queue, with a reference
 * @job: the job
 * @signals: syncobjs to signal
 * @num_signals: entries of @signals
 */
struct devmem_exec {
	struct drm_file *file;
	struct devmem_queue *queue;
	struct devmem_job *job;
	struct devmem_exec_signal *signals;
	u32 num_signals;
};

/* Does an object of @size bytes at @addr fit in the address space? */
static bool devmem_exec_addr_ok(struct devmem_queue *q, u64 addr, u64 size)
{
	return addr <= q->va_end - size;
}

static int devmem_exec_user_fence(struct devmem_exec *exec,
				  const struct drm_devmem_sync *sync)
{
	struct gpu_job *desc = &exec->job->desc;

	if (!(sync->flags & DRM_DEVMEM_SYNC_SIGNAL) || sync->handle)
		return -EINVAL;
	/* To the hardware an address of zero means that there is none. */
	if (!sync->addr || !IS_ALIGNED(sync->addr, sizeof(u64)) ||
	    !devmem_exec_addr_ok(exec->queue, sync->addr, sizeof(u64)))
		return -EINVAL;
	if (desc->fence_addr)
		return -EINVAL;

	desc->fence_addr = cpu_to_le64(sync->addr);
	desc->fence_value = cpu_to_le64(sync->value);
	return 0;
}

/* @point is zero for a binary syncobj. */
static int devmem_exec_wait(struct devmem_exec *exec, u32 handle, u64 point)
{
	struct dma_fence *fence;
	int err;

	/* drm_sched_job_add_syncobj_dependency() takes points of 32 bits. */
	err = drm_syncobj_find_fence(exec->file, handle, point, 0, &fence);
	if (err)
		return err;
	return drm_sched_job_add_dependency(&exec->job->base, fence);
}

static int devmem_exec_signal(struct devmem_exec *exec, u32 handle, u64 point)
{
	struct devmem_exec_signal *signal = &exec->signals[exec->num_signals];

	signal->syncobj = drm_syncobj_find(exec->file, handle);
	if (!signal->syncobj)
		return -ENOENT;
	exec->num_signals++;

	if (point) {
		signal->point = point;
		signal->chain = dma_fence_chain_alloc();
		if (!signal->chain)
			return -ENOMEM;
	}
	return 0;
}

static int devmem_exec_sync(struct devmem_exec *exec,
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
			return devmem_exec_signal(exec, sync->handle, sync->value);
		return devmem_exec_wait(exec, sync->handle, sync->value);
	case DRM_DEVMEM_SYNC_USER_FENCE:
		return devmem_exec_user_fence(exec, sync);
	default:
		return -EINVAL;
	}
}

static int devmem_exec_syncs(struct devmem_exec *exec,
			     const struct drm_devmem_exec *args)
{
	struct drm_devmem_sync *syncs;
	int err = 0;
	u32 i;

	if (!args->num_syncs)
		return 0;

	syncs = memdup_array_user(u64_to_user_ptr(args->syncs), args->num_syncs,
				  sizeof(*syncs));
	if (IS_ERR(syncs))
		return PTR_ERR(syncs);
	exec->signals = kzalloc_objs(*exec->signals, args->num_syncs);
	if (!exec->signals)
		err = -ENOMEM;
	for (i = 0; !err && i < args->num_syncs; i++)
		err = devmem_exec_sync(exec, &syncs[i]);
	kfree(syncs);
	return err;
}

/*
 * Hand the job to the scheduler. From arming on nothing can fail, and nothing
 * may allocate memory.
 */
static int devmem_exec_submit(struct devmem_exec *exec)
{
	struct devmem_queue *q = exec->queue;
	struct devmem_exec_signal *signal;
	struct dma_fence *fence;
	bool cookie;
	u32 i;

	lockdep_assert_held(&q->submit_lock);
	if (q->closed)
		return -ENOENT;
	/* A job that slips through is cancelled by devmem_queue_run_job(). */
	if (READ_ONCE(q->state) != DEVMEM_QUEUE_RUNNING)
		return -ECANCELED;

	cookie = dma_fence_begin_signalling();
	drm_sched_job_arm(&exec->job->base);
	fence = &exec->job->base.s_fence->finished;
	for (i = 0; i < exec->num_signals; i++) {
		signal = &exec->signals[i];
		if (signal->chain)
			drm_syncobj_add_point(signal->syncobj, signal->chain,
					      fence, signal->point);
		else
			drm_syncobj_replace_fence(signal->syncobj, fence);
		signal->chain = NULL;
	}
	dma_fence_put(q->last);
	q->last = dma_fence_get(fence);
	drm_sched_entity_push_job(&exec->job->base);
	dma_fence_end_signalling(cookie);

	exec->job = NULL;
	return 0;
}

static void devmem_exec_fini(struct devmem_exec *exec)
{
	u32 i;

	for (i = 0; i < exec->num_signals; i++) {
		dma_fence_chain_free(exec->signals[i].chain);
		drm_syncobj_put(exec->signals[i].syncobj);
	}
	kfree(exec->signals);
	if (exec->job)
		devmem_queue_job_abort(exec->job);
	devmem_queue_put(exec->queue);
}

/**
 * devmem_exec_ioctl() - DRM_IOCTL_DEVMEM_EXEC
 * @drm: the device
 * @data: &struct drm_devmem_exec
 * @file: the file
 *
 * Return: 0 or the errors of &struct drm_devmem_exec.
 */
int devmem_exec_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	const struct drm_devmem_exec *args = data;
	struct devmem_exec exec = { .file = file };
	struct devmem_queue *q;
	int err;

	if (args->flags || args->pad || args->num_syncs > DRM_DEVMEM_MAX_SYNCS)
		return -EINVAL;

	q = devmem_queue_lookup(file->driver_priv, args->queue_id);
	if (!q)
		return -ENOENT;
	exec.queue = q;

	err = -EINVAL;
	if (!IS_ALIGNED(args->batch_addr, DRM_DEVMEM_CMD_SIZE) ||
	    !devmem_exec_addr_ok(q, args->batch_addr, DRM_DEVMEM_CMD_SIZE))
		goto out;

	exec.job = devmem_queue_job_create(q, file);
	if (IS_ERR(exec.job)) {
		err = PTR_ERR(exec.job);
		exec.job = NULL;
		goto out;
	}
	exec.job->desc.batch = cpu_to_le64(args->batch_addr);
	err = devmem_exec_syncs(&exec, args);
	if (err)
		goto out;

	mutex_lock(&q->submit_lock);
	err = devmem_exec_submit(&exec);
	mutex_unlock(&q->submit_lock);
out:
	devmem_exec_fini(&exec);
	return err;
}
