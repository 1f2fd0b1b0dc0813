// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/devmem_drm.h>
#include <drm/drm_device.h>
#include <drm/drm_file.h>

#include "devmem_exec.h"
#include "devmem_queue.h"
#include "devmem_sync.h"
#include "devmem_vm.h"

/**
 * struct devmem_exec - an exec ioctl under way
 * @queue: the queue, with a reference
 * @job: the job
 * @syncs: what it waits for and what it signals
 */
struct devmem_exec {
	struct devmem_queue *queue;
	struct devmem_job *job;
	struct devmem_syncs syncs;
};

/* Does an object of @size bytes at @addr fit in the address space? */
static bool devmem_exec_addr_ok(struct devmem_queue *q, u64 addr, u64 size)
{
	return addr <= q->va_end - size;
}

static int devmem_exec_wait(struct devmem_exec *exec, struct dma_fence *fence)
{
	return drm_sched_job_add_dependency(&exec->job->base, fence);
}

static int devmem_exec_syncs(struct devmem_exec *exec, struct drm_file *file,
			     const struct drm_devmem_exec *args)
{
	struct devmem_syncs *syncs = &exec->syncs;
	struct gpu_job *desc = &exec->job->desc;
	int err;
	u32 i;

	syncs->va_end = exec->queue->va_end;
	err = devmem_sync_get(syncs, file, args->syncs, args->num_syncs);
	if (err)
		return err;

	desc->fence_addr = cpu_to_le64(syncs->fence_addr);
	desc->fence_value = cpu_to_le64(syncs->fence_value);
	/* The job takes the references over. */
	for (i = 0; !err && i < syncs->num_waits; i++) {
		err = devmem_exec_wait(exec, syncs->waits[i]);
		syncs->waits[i] = NULL;
	}
	return err;
}

/*
 * Hand the job to the scheduler. From arming on nothing can fail, and nothing
 * may allocate memory.
 */
static int devmem_exec_submit(struct devmem_exec *exec)
{
	struct devmem_queue *q = exec->queue;
	struct dma_fence *fence;
	bool cookie;

	lockdep_assert_held(&q->submit_lock);
	if (q->closed)
		return -ENOENT;
	/* A job that slips through is cancelled by devmem_queue_run_job(). */
	if (READ_ONCE(q->state) != DEVMEM_QUEUE_RUNNING || READ_ONCE(q->vm->banned))
		return -ECANCELED;

	cookie = dma_fence_begin_signalling();
	drm_sched_job_arm(&exec->job->base);
	fence = &exec->job->base.s_fence->finished;
	devmem_sync_publish(&exec->syncs, fence);
	dma_fence_put(q->last);
	q->last = dma_fence_get(fence);
	drm_sched_entity_push_job(&exec->job->base);
	dma_fence_end_signalling(cookie);

	exec->job = NULL;
	return 0;
}

static void devmem_exec_fini(struct devmem_exec *exec)
{
	devmem_sync_put(&exec->syncs);
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
	struct devmem_exec exec = {};
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
	err = devmem_exec_syncs(&exec, file, args);
	if (err)
		goto out;

	mutex_lock(&q->submit_lock);
	err = devmem_exec_submit(&exec);
	mutex_unlock(&q->submit_lock);
out:
	devmem_exec_fini(&exec);
	return err;
}
