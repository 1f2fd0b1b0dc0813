// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/devmem_drm.h>
#include <drm/drm_drv.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>
#include <linux/completion.h>
#include <linux/dma-fence.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "devmem_device.h"
#include "devmem_queue.h"
#include "devmem_vm.h"

/**
 * DOC: Queues
 *
 * Each queue of userspace has a hardware queue of its own, with a DRM scheduler
 * and one entity in front. The scheduler keeps jobs until what they wait for
 * has happened and then hands them to devmem_queue_run_job(), which writes them
 * to the ring in VRAM and rings the doorbell. The hardware executes them in
 * order. When jobs have ended devmem_queue_irq() reads their results and
 * signals their fences. A job that fails has no effect on the next.
 *
 * A job that runs for longer than &devmem_device.job_timeout_ms bans its queue:
 * the hardware queue is disabled, which ends the job wherever it is, and all
 * other jobs of the queue are cancelled, now and later. Time counts from when
 * the job became the oldest in the ring, and includes the service of its page
 * faults.
 *
 * Taking a queue down does the same and so never waits for a batch to end.
 *
 * What stands between a fence and its signal
 * ------------------------------------------
 *
 * dma_fence asks that nothing between publishing a fence and signalling it
 * waits for memory. A job of this GPU can fault, and serving the fault allocates
 * memory and takes mmap_lock. That is tolerated here, for two reasons. Nothing
 * that makes memory available waits for these fences: the driver puts none into
 * a dma_resv and none of its notifiers, shrinkers or migration callbacks waits
 * for a job. And a job whose fault can't be served for want of memory still ends:
 * disabling the queue stops it in the middle of the fault, so that the time-out
 * bounds the life of each fence, also where userspace carried one to another
 * driver. The code that submits, ends and times out jobs allocates nothing;
 * where it can it says so to lockdep.
 *
 * Going away
 * ----------
 *
 * A queue lets go of the hardware when its handle goes or when the device is
 * unplugged, whichever comes first: devmem_queue_detach(). Either way all of its
 * fences have signalled then.
 */

/*
 * The hardware stops between two commands or two pages of one command. It is
 * software: a machine that emulates its CPUs can take long to schedule it.
 */
#define DEVMEM_QUEUE_STOP_TIMEOUT_US	(10 * USEC_PER_SEC)

static struct devmem_job *to_devmem_job(struct drm_sched_job *sched_job)
{
	return container_of(sched_job, struct devmem_job, base);
}

static u64 devmem_queue_reg(struct devmem_queue *q, u64 reg)
{
	return GPU_REG_QUEUE(q->hwq, reg);
}

/* Hardware fences */

static const char *devmem_queue_fence_driver_name(struct dma_fence *fence)
{
	return "devmem";
}

static const char *devmem_queue_fence_timeline_name(struct dma_fence *fence)
{
	return "devmem-queue";
}

/* Neither release nor wait: a signalled fence does not need this module. */
static const struct dma_fence_ops devmem_queue_fence_ops = {
	.get_driver_name = devmem_queue_fence_driver_name,
	.get_timeline_name = devmem_queue_fence_timeline_name,
};

/* Jobs in the ring */

static int devmem_queue_errno(u32 error)
{
	switch (error) {
	case DRM_DEVMEM_ERROR_NONE:
		return 0;
	case DRM_DEVMEM_ERROR_FAULT:
		return -EFAULT;
	case DRM_DEVMEM_ERROR_COMMAND:
	case DRM_DEVMEM_ERROR_ALIGNMENT:
		return -EINVAL;
	case DRM_DEVMEM_ERROR_TIMEOUT:
		return -ETIME;
	case DRM_DEVMEM_ERROR_ABORTED:
		return -ECANCELED;
	default:
		return -EIO;
	}
}

/* Signal the oldest job in the ring. */
static void devmem_queue_end_job(struct devmem_queue *q, u32 error)
{
	struct dma_fence **slot = &q->fences[q->head % DEVMEM_QUEUE_RING];
	struct dma_fence *fence = *slot;
	ktime_t now = ktime_get();

	lockdep_assert_held(&q->hw_lock);
	q->busy += ktime_to_ns(ktime_sub(now, q->start_time));
	q->start_time = now;
	q->start = jiffies;
	q->head++;

	*slot = NULL;
	if (error)
		dma_fence_set_error(fence, devmem_queue_errno(error));
	dma_fence_signal(fence);
	dma_fence_put(fence);
}

/* Remember how the oldest job in the ring failed. */
static void devmem_queue_record(struct devmem_queue *q, u32 error,
				const struct gpu_job *desc)
{
	struct devmem_queue_error *e = &q->error;
	bool access = error == DRM_DEVMEM_ERROR_FAULT ||
		      error == DRM_DEVMEM_ERROR_BUS;

	lockdep_assert_held(&q->hw_lock);
	e->count++;
	e->error = error;
	e->access = access ? le32_to_cpu(desc->access) : 0;
	e->fault_addr = access || error == DRM_DEVMEM_ERROR_ALIGNMENT ?
			le64_to_cpu(desc->error_va) : 0;
	e->command_addr = le64_to_cpu(desc->error_pc);
}

/* Is the oldest job in the ring the one that the queue is banned for? */
static bool devmem_queue_is_hung(struct devmem_queue *q)
{
	return q->state == DEVMEM_QUEUE_BANNED && q->head == q->hung;
}

/* End the jobs that the hardware is done with. */
static void devmem_queue_collect(struct devmem_queue *q)
{
	struct gpu_job desc;
	u64 addr, head;
	u32 error;

	lockdep_assert_held(&q->hw_lock);
	if (q->head == q->tail)
		return;

	head = devmem_hw_read(q->dm, devmem_queue_reg(q, GPU_QUEUE_HEAD));
	if (drm_WARN_ON_ONCE(&q->dm->drm, head > q->tail))
		return;
	while (q->head < head) {
		addr = q->ring + (q->head % DEVMEM_QUEUE_RING) * sizeof(desc);
		if (devmem_hw_vram_read(q->dm, addr, &desc, sizeof(desc))) {
			memset(&desc, 0, sizeof(desc));
			desc.error = cpu_to_le32(DRM_DEVMEM_ERROR_BUS);
		}
		error = le32_to_cpu(desc.error);
		if (error == DRM_DEVMEM_ERROR_ABORTED && devmem_queue_is_hung(q))
			error = DRM_DEVMEM_ERROR_TIMEOUT;
		/* Those that were merely in the ring did not fail. */
		if (error && error != DRM_DEVMEM_ERROR_ABORTED)
			devmem_queue_record(q, error, &desc);
		devmem_queue_end_job(q, error);
	}
}

/* Make the hardware end all jobs and take no more. */
static int devmem_queue_stop_hw(struct devmem_queue *q)
{
	u64 reg = devmem_queue_reg(q, GPU_QUEUE_CTRL);
	u64 ctrl;
	int err;

	devmem_hw_write(q->dm, reg, 0);
	err = read_poll_timeout(devmem_hw_read, ctrl, !ctrl, 50,
				DEVMEM_QUEUE_STOP_TIMEOUT_US, false, q->dm, reg);
	if (err)
		drm_err(&q->dm->drm, "queue %u does not stop, CTRL %#llx STATUS %#llx\n",
			q->hwq, ctrl,
			devmem_hw_read(q->dm, devmem_queue_reg(q, GPU_QUEUE_STATUS)));
	return err;
}

/*
 * Stop a queue and signal all fences of its jobs. Can happen more than once.
 * Returns 0 if the hardware has stopped.
 */
static int devmem_queue_stop(struct devmem_queue *q)
{
	struct gpu_job none = {};
	int err;

	/* Without the lock: interrupts of other queues shall not wait. */
	err = devmem_queue_stop_hw(q);

	mutex_lock(&q->hw_lock);
	devmem_queue_collect(q);
	/* Only a queue that does not stop has some left. */
	if (q->head != q->tail && devmem_queue_is_hung(q)) {
		devmem_queue_record(q, DRM_DEVMEM_ERROR_TIMEOUT, &none);
		devmem_queue_end_job(q, DRM_DEVMEM_ERROR_TIMEOUT);
	}
	while (q->head != q->tail)
		devmem_queue_end_job(q, DRM_DEVMEM_ERROR_ABORTED);
	mutex_unlock(&q->hw_lock);
	return err;
}

/* Put a job in the ring. */
static int devmem_queue_push(struct devmem_queue *q, struct devmem_job *job)
{
	u32 slot = q->tail % DEVMEM_QUEUE_RING;
	int err;

	lockdep_assert_held(&q->hw_lock);
	if (q->state != DEVMEM_QUEUE_RUNNING || READ_ONCE(q->vm->banned))
		return -ECANCELED;
	/* The scheduler has no more credits than the ring has entries. */
	if (drm_WARN_ON_ONCE(&q->dm->drm, q->tail - q->head >= DEVMEM_QUEUE_RING))
		return -EBUSY;

	err = devmem_hw_vram_write(q->dm, q->ring + slot * sizeof(job->desc),
				   &job->desc, sizeof(job->desc));
	if (err)
		return err;

	if (q->head == q->tail) {
		q->start = jiffies;
		q->start_time = ktime_get();
	}
	q->tail++;
	dma_fence_init64(job->fence, &devmem_queue_fence_ops, NULL,
			 q->fence_context, q->tail);
	q->fences[slot] = dma_fence_get(job->fence);
	devmem_hw_write(q->dm, devmem_queue_reg(q, GPU_QUEUE_TAIL), q->tail);
	return 0;
}

/* Operations of the scheduler */

static struct dma_fence *devmem_queue_run_job(struct drm_sched_job *sched_job)
{
	struct devmem_job *job = to_devmem_job(sched_job);
	struct devmem_queue *q = job->queue;
	unsigned long end, now;
	bool cookie;
	int err, idx;

	if (!drm_dev_enter(&q->dm->drm, &idx))
		return ERR_PTR(-ENODEV);

	cookie = dma_fence_begin_signalling();
	mutex_lock(&q->hw_lock);
	err = devmem_queue_push(q, job);
	end = q->start + q->sched.timeout;
	mutex_unlock(&q->hw_lock);
	dma_fence_end_signalling(cookie);
	drm_dev_exit(idx);
	if (err)
		return ERR_PTR(err);

	/* The scheduler set its timer for this job; what runs may be older. */
	now = jiffies;
	drm_sched_resume_timeout(&q->sched, time_before(now, end) ? end - now : 0);
	return dma_fence_get(job->fence);
}

/* Ban the queue if the oldest job in its ring has had its time. */
static bool devmem_queue_ban(struct devmem_queue *q)
{
	bool hung;

	mutex_lock(&q->hw_lock);
	devmem_queue_collect(q);
	hung = q->state == DEVMEM_QUEUE_RUNNING && q->head != q->tail &&
	       !time_before(jiffies, q->start + q->sched.timeout);
	if (hung) {
		q->state = DEVMEM_QUEUE_BANNED;
		q->hung = q->head;
	}
	mutex_unlock(&q->hw_lock);
	return hung;
}

/*
 * A job that ends well from here on until the hardware stops keeps its result, but the
 * queue is banned nevertheless: those behind it may have been cut short.
 */
static void devmem_queue_reset(struct devmem_queue *q, struct drm_sched_job *sched_job)
{
	drm_sched_stop(&q->sched, sched_job);
	devmem_queue_stop(q);
	drm_sched_start(&q->sched, 0);
}

static enum drm_gpu_sched_stat
devmem_queue_timedout_job(struct drm_sched_job *sched_job)
{
	enum drm_gpu_sched_stat stat = DRM_GPU_SCHED_STAT_NO_HANG;
	struct devmem_queue *q = to_devmem_job(sched_job)->queue;
	int idx;

	/* The job ends or has ended in devmem_queue_unplug(). */
	if (!drm_dev_enter(&q->dm->drm, &idx))
		return DRM_GPU_SCHED_STAT_NO_HANG;

	/* While the system is about to sleep no job gets on. */
	if (devmem_pm_try_enter(q->dm)) {
		if (devmem_queue_ban(q)) {
			devmem_queue_reset(q, sched_job);
			stat = DRM_GPU_SCHED_STAT_RESET;
		}
		devmem_pm_exit(q->dm);
	}
	drm_dev_exit(idx);
	return stat;
}

static void devmem_queue_free_job(struct drm_sched_job *sched_job)
{
	struct devmem_job *job = to_devmem_job(sched_job);

	devmem_queue_job_abort(job);
}

static void devmem_queue_cancel_job(struct drm_sched_job *sched_job)
{
	/*
	 * Nothing is left to cancel: devmem_queue_detach() comes first. Without
	 * this operation the scheduler would not free the job.
	 */
}

static const struct drm_sched_backend_ops devmem_queue_sched_ops = {
	.run_job = devmem_queue_run_job,
	.timedout_job = devmem_queue_timedout_job,
	.free_job = devmem_queue_free_job,
	.cancel_job = devmem_queue_cancel_job,
};

/**
 * devmem_queue_job_create() - make a job
 * @q: the queue
 * @file: the file that submits it
 *
 * The caller fills &devmem_job.desc and adds dependencies, then arms and pushes
 * the job under &devmem_queue.submit_lock or calls devmem_queue_job_abort().
 *
 * A job of a queue that was taken down stays until what it waits for has
 * happened. Therefore it holds the module.
 *
 * Context: process context.
 *
 * Return: the job, or an ERR_PTR: -ENOMEM.
 */
struct devmem_job *devmem_queue_job_create(struct devmem_queue *q,
					   struct drm_file *file)
{
	struct devmem_job *job;
	int err = -ENOMEM;

	job = kzalloc_obj(*job, GFP_KERNEL_ACCOUNT);
	if (!job)
		return ERR_PTR(-ENOMEM);
	job->fence = kzalloc_obj(*job->fence, GFP_KERNEL_ACCOUNT);
	if (!job->fence)
		goto err_job;
	err = drm_sched_job_init(&job->base, &q->entity, 1, file, file->client_id);
	if (err)
		goto err_fence;

	kref_get(&q->kref);
	job->queue = q;
	__module_get(THIS_MODULE);
	return job;

err_fence:
	kfree(job->fence);
err_job:
	kfree(job);
	return ERR_PTR(err);
}

/**
 * devmem_queue_job_abort() - free a job
 * @job: the job, not armed
 *
 * The scheduler frees jobs that were pushed in the same way.
 *
 * Context: process context.
 */
void devmem_queue_job_abort(struct devmem_job *job)
{
	drm_sched_job_cleanup(&job->base);
	if (dma_fence_was_initialized(job->fence))
		dma_fence_put(job->fence);
	else
		kfree(job->fence);
	devmem_queue_put(job->queue);
	kfree(job);
	module_put(THIS_MODULE);
}

/* Life of a queue */

static int devmem_queue_init_sched(struct devmem_queue *q)
{
	struct drm_gpu_scheduler *sched = &q->sched;
	const struct drm_sched_init_args args = {
		.ops = &devmem_queue_sched_ops,
		.num_rqs = DRM_SCHED_PRIORITY_COUNT,
		.credit_limit = DEVMEM_QUEUE_RING,
		.timeout = msecs_to_jiffies(q->dm->job_timeout_ms),
		.submit_wq = q->dm->submit_wq,
		.timeout_wq = q->dm->timeout_wq,
		.name = q->name,
		.dev = q->dm->drm.dev,
	};
	int err;

	err = drm_sched_init(sched, &args);
	if (err)
		return err;
	err = drm_sched_entity_init(&q->entity, DRM_SCHED_PRIORITY_NORMAL,
				    &sched, 1, NULL);
	if (err)
		drm_sched_fini(sched);
	return err;
}

static int devmem_queue_start_hw(struct devmem_queue *q)
{
	u64 ctrl = devmem_queue_reg(q, GPU_QUEUE_CTRL);

	devmem_hw_write(q->dm, devmem_queue_reg(q, GPU_QUEUE_BASE), q->ring);
	devmem_hw_write(q->dm, devmem_queue_reg(q, GPU_QUEUE_SIZE), DEVMEM_QUEUE_RING);
	devmem_hw_write(q->dm, devmem_queue_reg(q, GPU_QUEUE_VMID), q->vmid);
	devmem_hw_write(q->dm, ctrl, GPU_QUEUE_CTRL_ENABLE);
	/* An engine made of software can lack the memory to start. */
	return devmem_hw_read(q->dm, ctrl) & GPU_QUEUE_CTRL_ENABLE ? 0 : -ENOMEM;
}

static void devmem_queue_release(struct kref *kref)
{
	struct devmem_queue *q = container_of(kref, struct devmem_queue, kref);

	/* Not earlier: who has looked up the queue may query it to the end. */
	dma_fence_put(q->last);
	/* There is one if it was destroyed while the device slept. */
	kfree(q->saved);
	mutex_destroy(&q->submit_lock);
	mutex_destroy(&q->hw_lock);
	kfree_rcu(q, rcu);
}

/**
 * devmem_queue_put() - drop a reference
 * @q: the queue
 *
 * Context: process context.
 */
void devmem_queue_put(struct devmem_queue *q)
{
	kref_put(&q->kref, devmem_queue_release);
}

/* Takes over the caller's reference of @vm, if it succeeds. */
static struct devmem_queue *devmem_queue_create(struct devmem_device *dm,
						struct devmem_vm *vm)
{
	struct devmem_queue *q;
	int err;

	static_assert(DEVMEM_QUEUE_RING * sizeof(struct gpu_job) == SZ_4K);

	q = kzalloc_obj(*q);
	if (!q)
		return ERR_PTR(-ENOMEM);
	kref_init(&q->kref);
	mutex_init(&q->submit_lock);
	mutex_init(&q->hw_lock);
	init_completion(&q->detached);
	q->dm = dm;
	q->vm = vm;
	q->vmid = vm->vmid;
	q->va_end = (u64)vm->svm.mm_start + vm->svm.mm_range;
	q->fence_context = dma_fence_context_alloc(1);

	/* The number is only reserved until the queue is complete. */
	err = xa_alloc(&dm->queues, &q->hwq, NULL,
		       XA_LIMIT(0, dm->hw.num_queues - 1), GFP_KERNEL);
	if (err) {
		err = err == -EBUSY ? -ENOSPC : err;
		goto err_put;
	}
	snprintf(q->name, sizeof(q->name), "devmem-queue-%u", q->hwq);
	devmem_fault_setup(&q->fault, dm, q->hwq);

	err = devmem_vram_alloc_kernel(dm, SZ_4K, &q->ring);
	if (err)
		goto err_hwq;
	err = devmem_queue_start_hw(q);
	if (err)
		goto err_ring;
	err = devmem_queue_init_sched(q);
	if (err)
		goto err_stop;

	xa_store(&dm->queues, q->hwq, q, GFP_KERNEL);
	return q;

err_stop:
	devmem_queue_stop(q);
err_ring:
	devmem_vram_free_kernel(dm, q->ring);
err_hwq:
	xa_erase(&dm->queues, q->hwq);
err_put:
	devmem_queue_put(q);
	return ERR_PTR(err);
}

/* From here on new jobs are cancelled and the time-out finds nothing to do. */
static void devmem_queue_set_gone(struct devmem_queue *q)
{
	mutex_lock(&q->hw_lock);
	q->state = DEVMEM_QUEUE_GONE;
	mutex_unlock(&q->hw_lock);
}

/*
 * Part a queue from the hardware, whatever it is doing. Called once: for the
 * handle within drm_dev_enter(), else by devmem_queue_unplug().
 */
static void devmem_queue_detach(struct devmem_queue *q)
{
	struct devmem_device *dm = q->dm;
	int err;

	devmem_queue_set_gone(q);
	err = devmem_queue_stop(q);

	/*
	 * Keep the number reserved until no fault of it is on its way, which
	 * could be taken for one of the next owner.
	 */
	xa_store(&dm->queues, q->hwq, NULL, GFP_KERNEL);
	flush_work(&dm->hw.irq_work);
	devmem_fault_cancel(&q->fault);

	/* A queue that does not stop may still use its ring: give up both. */
	if (!err) {
		devmem_vram_free_kernel(dm, q->ring);
		xa_erase(&dm->queues, q->hwq);
	}
	complete_all(&q->detached);
}

/* Take down a queue that has lost its handle and drop the handle's reference. */
static void devmem_queue_takedown(struct devmem_queue *q)
{
	int idx;

	mutex_lock(&q->submit_lock);
	q->closed = true;
	mutex_unlock(&q->submit_lock);

	/*
	 * Make the scheduler stand still before its entity goes: one that is
	 * being served could come back to the run queue just after it was
	 * removed. A time-out under way restarts the scheduler, so it goes
	 * first; those that come later do nothing.
	 */
	devmem_queue_set_gone(q);
	cancel_delayed_work_sync(&q->sched.work_tdr);
	drm_sched_wqueue_stop(&q->sched);

	/* Not drm_sched_entity_destroy(), which waits for queued jobs to start. */
	drm_sched_entity_fini(&q->entity);

	if (drm_dev_enter(&q->dm->drm, &idx)) {
		devmem_queue_detach(q);
		drm_dev_exit(idx);
	} else {
		wait_for_completion(&q->detached);
	}

	drm_sched_fini(&q->sched);

	devmem_vm_put(q->vm);
	devmem_queue_put(q);
}

/* Take down a queue of @df that was removed from &devmem_file.queues. */
static void devmem_queue_destroy(struct devmem_file *df, struct devmem_queue *q)
{
	struct devmem_vm *vm = devmem_vm_get(q->vm);
	u64 busy;

	kref_get(&q->kref);
	down_read(&q->dm->pm.objects);
	devmem_queue_takedown(q);
	up_read(&q->dm->pm.objects);
	busy = q->busy;
	devmem_queue_put(q);

	mutex_lock(&df->lock);
	df->busy += busy;
	vm->num_queues--;
	mutex_unlock(&df->lock);
	devmem_vm_put(vm);
}

/**
 * devmem_queue_init() - set up what queues share
 * @dm: the device
 *
 * It lasts until the last file is closed.
 *
 * Return: 0 or -ENOMEM.
 */
int devmem_queue_init(struct devmem_device *dm)
{
	/* Memory can depend on a job that hangs, and that on this. */
	dm->timeout_wq = drmm_alloc_ordered_workqueue(&dm->drm, "devmem-timeout",
						      WQ_MEM_RECLAIM);
	if (IS_ERR(dm->timeout_wq))
		return PTR_ERR(dm->timeout_wq);

	/*
	 * One for all queues, as to put a job in a ring takes no time. Of its own
	 * each would have a thread that a kill of the process can keep from being
	 * made, of which the kernel complains.
	 */
	dm->submit_wq = drmm_alloc_ordered_workqueue(&dm->drm, "devmem-submit",
						     WQ_MEM_RECLAIM);
	return PTR_ERR_OR_ZERO(dm->submit_wq);
}

/* The first queue from *@index on, with a reference, or NULL. */
static struct devmem_queue *devmem_queue_find(struct devmem_device *dm,
					      unsigned long *index)
{
	struct devmem_queue *q;

	xa_lock(&dm->queues);
	q = xa_find(&dm->queues, index, ULONG_MAX, XA_PRESENT);
	if (q)
		kref_get(&q->kref);
	xa_unlock(&dm->queues);
	return q;
}

/**
 * devmem_queue_unplug() - part all queues from the hardware
 * @dm: the device, unplugged from DRM, with the hardware still in reach
 *
 * All jobs end with an error and their fences signal. The handles stay.
 *
 * Context: process context; waits as devmem_fault_flush() does.
 */
void devmem_queue_unplug(struct devmem_device *dm)
{
	struct devmem_queue *q;
	unsigned long index;

	for (index = 0; (q = devmem_queue_find(dm, &index)); index++) {
		devmem_queue_detach(q);
		devmem_queue_put(q);
	}
	/* Faults that are being served use page tables, which go next. */
	devmem_fault_flush(dm);
}

/**
 * devmem_queue_resume() - bring back all queues after VRAM has lost its content
 * @dm: the device, halted since devmem_queue_suspend(), which can have failed;
 *	&devmem_pm.objects is held for writing
 *
 * Context: process context; allocates nothing.
 */
void devmem_queue_resume(struct devmem_device *dm)
{
	struct devmem_queue *q;
	unsigned long index;

	for (index = 0; (q = devmem_queue_find(dm, &index)); index++) {
		if (q->saved) {
			/* Can't fail: it was written when it was made. */
			devmem_hw_vram_write(dm, q->ring, q->saved, SZ_4K);
			kfree(q->saved);
			q->saved = NULL;
			drm_sched_wqueue_start(&q->sched);
		}
		devmem_queue_put(q);
	}
}

static int devmem_queue_save(struct devmem_queue *q)
{
	void *saved = kmalloc(SZ_4K, GFP_KERNEL);
	int err;

	if (!saved)
		return -ENOMEM;
	drm_sched_wqueue_stop(&q->sched);
	err = devmem_hw_vram_read(q->dm, q->ring, saved, SZ_4K);
	if (err) {
		drm_sched_wqueue_start(&q->sched);
		kfree(saved);
		return err;
	}
	q->saved = saved;
	return 0;
}

/**
 * devmem_queue_suspend() - save the rings and take no more jobs
 * @dm: the device, halted; &devmem_pm.objects is held for writing
 *
 * Context: process context; waits for jobs that are on their way to a ring.
 *
 * Return: 0, or a negative error and nothing is done.
 */
int devmem_queue_suspend(struct devmem_device *dm)
{
	struct devmem_queue *q;
	unsigned long index;
	int err = 0;

	for (index = 0; !err && (q = devmem_queue_find(dm, &index)); index++) {
		err = devmem_queue_save(q);
		devmem_queue_put(q);
	}
	if (err)
		devmem_queue_resume(dm);
	return err;
}

/**
 * devmem_queue_restart_time() - give each batch that runs its whole time again
 * @dm: the device, whose batches could not get on for a while
 *
 * Context: process context; takes &devmem_queue.hw_lock.
 */
void devmem_queue_restart_time(struct devmem_device *dm)
{
	struct devmem_queue *q;
	unsigned long index;

	for (index = 0; (q = devmem_queue_find(dm, &index)); index++) {
		mutex_lock(&q->hw_lock);
		q->start = jiffies;
		mutex_unlock(&q->hw_lock);
		devmem_queue_put(q);
	}
}

/**
 * devmem_queue_irq() - end jobs that the hardware is done with
 * @dm: the device
 *
 * Context: the interrupt work only, which devmem_queue_detach() waits for
 * before a queue goes away.
 */
void devmem_queue_irq(struct devmem_device *dm)
{
	struct devmem_queue *q;
	unsigned long index;
	bool cookie;

	devmem_stop_at(&dm->stop, DEVMEM_STOP_SIGNAL);
	cookie = dma_fence_begin_signalling();
	xa_for_each(&dm->queues, index, q) {
		mutex_lock(&q->hw_lock);
		devmem_queue_collect(q);
		mutex_unlock(&q->hw_lock);
	}
	dma_fence_end_signalling(cookie);
}

/**
 * devmem_queue_fault() - where to keep a fault of a hardware queue
 * @dm: the device
 * @hwq: hardware queue number
 *
 * Context: the interrupt work only, for which the queue stays; see
 * devmem_queue_irq().
 *
 * Return: the fault of the queue, or NULL if there is no such queue any more.
 */
struct devmem_fault *devmem_queue_fault(struct devmem_device *dm, u16 hwq)
{
	struct devmem_queue *q = xa_load(&dm->queues, hwq);

	return q ? &q->fault : NULL;
}

/**
 * devmem_queue_reply_fault() - answer the fault of a queue
 * @q: the queue
 * @reply: for GPU_QUEUE_FAULT_REPLY
 *
 * The hardware drops an answer to a fault that was aborted meanwhile.
 *
 * Context: process context; takes &devmem_queue.hw_lock.
 */
void devmem_queue_reply_fault(struct devmem_queue *q, u64 reply)
{
	mutex_lock(&q->hw_lock);
	/* Else the number can be that of another queue by now. */
	if (q->state != DEVMEM_QUEUE_GONE)
		devmem_hw_write(q->dm, devmem_queue_reg(q, GPU_QUEUE_FAULT_REPLY), reply);
	mutex_unlock(&q->hw_lock);
}

static u64 devmem_queue_busy_one(struct devmem_queue *q)
{
	u64 busy;

	mutex_lock(&q->hw_lock);
	busy = q->busy;
	if (q->head != q->tail)
		busy += ktime_to_ns(ktime_sub(ktime_get(), q->start_time));
	mutex_unlock(&q->hw_lock);
	return busy;
}

/**
 * devmem_queue_busy() - how long the queues of a file have executed jobs
 * @df: the file
 *
 * Context: process context; takes &devmem_file.lock.
 *
 * Return: nanoseconds, of all queues that the file has and had.
 */
u64 devmem_queue_busy(struct devmem_file *df)
{
	struct devmem_queue *q;
	unsigned long index;
	u64 busy;

	mutex_lock(&df->lock);
	busy = df->busy;
	xa_for_each(&df->queues, index, q)
		busy += devmem_queue_busy_one(q);
	mutex_unlock(&df->lock);
	return busy;
}

static const char *devmem_queue_state_name(enum devmem_queue_state state)
{
	switch (state) {
	case DEVMEM_QUEUE_RUNNING:
		return "running";
	case DEVMEM_QUEUE_BANNED:
		return "banned";
	default:
		return "gone";
	}
}

/**
 * devmem_queue_print() - print all queues
 * @dm: the device
 * @p: where to
 *
 * Context: process context.
 */
void devmem_queue_print(struct devmem_device *dm, struct drm_printer *p)
{
	struct devmem_queue *q;
	unsigned long index;

	for (index = 0; (q = devmem_queue_find(dm, &index)); index++) {
		mutex_lock(&q->hw_lock);
		drm_printf(p, "queue %u: vmid %u %s ended %llu submitted %llu busy %llu ns",
			   q->hwq, q->vmid, devmem_queue_state_name(q->state),
			   q->head, q->tail, q->busy);
		if (q->error.count)
			drm_printf(p, " errors %u (last %u at %#llx, command %#llx)",
				   q->error.count, q->error.error,
				   q->error.fault_addr, q->error.command_addr);
		mutex_unlock(&q->hw_lock);
		drm_puts(p, "\n");
		devmem_queue_put(q);
	}
}

/* ioctls */

/* Counts a queue on the VM, so that it can't be destroyed. */
static struct devmem_vm *devmem_queue_claim_vm(struct devmem_file *df, u32 vm_id)
{
	struct devmem_vm *vm;

	mutex_lock(&df->lock);
	vm = xa_load(&df->vms, vm_id);
	if (vm) {
		devmem_vm_get(vm);
		vm->num_queues++;
	}
	mutex_unlock(&df->lock);
	return vm;
}

/**
 * devmem_queue_create_ioctl() - DRM_IOCTL_DEVMEM_QUEUE_CREATE
 * @drm: the device
 * @data: &struct drm_devmem_queue_create
 * @file: the file
 *
 * Return: 0 or the errors of &struct drm_devmem_queue_create.
 */
int devmem_queue_create_ioctl(struct drm_device *drm, void *data,
			      struct drm_file *file)
{
	struct drm_devmem_queue_create *args = data;
	struct devmem_device *dm = to_devmem(drm);
	struct devmem_file *df = file->driver_priv;
	struct devmem_queue *q, *failed = NULL;
	struct devmem_vm *vm;
	int err, idx;

	if (args->flags || args->pad)
		return -EINVAL;
	if (!drm_dev_enter(drm, &idx))
		return -ENODEV;

	err = -ENOENT;
	vm = devmem_queue_claim_vm(df, args->vm_id);
	if (!vm)
		goto out_exit;

	down_read(&dm->pm.objects);
	if (READ_ONCE(vm->banned))
		q = ERR_PTR(-ECANCELED);
	else if (devmem_fault_has_too_many(vm))
		q = ERR_PTR(-EBUSY);
	else
		q = devmem_queue_create(dm, vm);
	up_read(&dm->pm.objects);
	if (IS_ERR(q)) {
		err = PTR_ERR(q);
		goto err_vm;
	}

	/* Ids are dense, so that their limit is that of queues: others want some too. */
	mutex_lock(&df->lock);
	err = xa_alloc(&df->queues, &args->queue_id, q,
		       XA_LIMIT(1, dm->hw.num_queues / 2), GFP_KERNEL);
	/* Nobody can use the queue before the lock is released. */
	q->fault.queue_id = args->queue_id;
	mutex_unlock(&df->lock);
	if (err) {
		failed = q;
		err = err == -EBUSY ? -EMFILE : err;
	}
out_exit:
	drm_dev_exit(idx);
	/* May wait for devmem_queue_unplug(), which waits for the line above. */
	if (failed)
		devmem_queue_destroy(df, failed);
	return err;

err_vm:
	mutex_lock(&df->lock);
	vm->num_queues--;
	mutex_unlock(&df->lock);
	devmem_vm_put(vm);
	goto out_exit;
}

/**
 * devmem_queue_destroy_ioctl() - DRM_IOCTL_DEVMEM_QUEUE_DESTROY
 * @drm: the device
 * @data: &struct drm_devmem_queue_destroy
 * @file: the file
 *
 * Return: 0 or the errors of &struct drm_devmem_queue_destroy.
 */
int devmem_queue_destroy_ioctl(struct drm_device *drm, void *data,
			       struct drm_file *file)
{
	struct drm_devmem_queue_destroy *args = data;
	struct devmem_file *df = file->driver_priv;
	struct devmem_queue *q;

	if (args->pad)
		return -EINVAL;

	mutex_lock(&df->lock);
	q = xa_erase(&df->queues, args->queue_id);
	mutex_unlock(&df->lock);
	if (!q)
		return -ENOENT;
	devmem_queue_destroy(df, q);
	return 0;
}

/**
 * devmem_queue_close_all() - take down all queues of a file
 * @df: the file, which is being closed
 *
 * Does not wait for any batch to end.
 *
 * Context: process context; the process of the VMs may be gone.
 */
void devmem_queue_close_all(struct devmem_file *df)
{
	struct devmem_queue *q;
	unsigned long index;

	xa_for_each(&df->queues, index, q) {
		xa_erase(&df->queues, index);
		devmem_queue_destroy(df, q);
	}
}

/**
 * devmem_queue_lookup() - find a queue by its handle
 * @df: the file
 * @queue_id: the handle
 *
 * Context: process context; takes &devmem_file.lock.
 *
 * Return: the queue, to be released by devmem_queue_put(), or NULL.
 */
struct devmem_queue *devmem_queue_lookup(struct devmem_file *df, u32 queue_id)
{
	struct devmem_queue *q;

	mutex_lock(&df->lock);
	q = xa_load(&df->queues, queue_id);
	if (q)
		kref_get(&q->kref);
	mutex_unlock(&df->lock);
	return q;
}

/**
 * devmem_queue_query_ioctl() - DRM_IOCTL_DEVMEM_QUEUE_QUERY
 * @drm: the device
 * @data: &struct drm_devmem_queue_query
 * @file: the file
 *
 * Return: 0 or the errors of &struct drm_devmem_queue_query.
 */
int devmem_queue_query_ioctl(struct drm_device *drm, void *data,
			     struct drm_file *file)
{
	struct drm_devmem_queue_query *args = data;
	struct devmem_queue *q;

	if (args->pad)
		return -EINVAL;
	q = devmem_queue_lookup(file->driver_priv, args->queue_id);
	if (!q)
		return -ENOENT;

	args->flags = 0;
	mutex_lock(&q->submit_lock);
	if (!q->last || dma_fence_is_signaled(q->last))
		args->flags |= DRM_DEVMEM_QUEUE_IDLE;
	mutex_unlock(&q->submit_lock);

	mutex_lock(&q->hw_lock);
	if (q->state == DEVMEM_QUEUE_BANNED)
		args->flags |= DRM_DEVMEM_QUEUE_BANNED;
	args->errors = q->error.count;
	args->error = q->error.error;
	args->access = q->error.access;
	args->fault_addr = q->error.fault_addr;
	args->command_addr = q->error.command_addr;
	mutex_unlock(&q->hw_lock);
	devmem_queue_put(q);
	return 0;
}
