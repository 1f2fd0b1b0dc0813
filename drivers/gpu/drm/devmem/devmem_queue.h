/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_QUEUE_H_
#define _DEVMEM_QUEUE_H_

#include <drm/gpu_scheduler.h>
#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "devmem_fault.h"
#include "gpu/gpu_regs.h"

struct devmem_device;
struct devmem_file;
struct devmem_vm;
struct drm_device;
struct drm_file;
struct drm_printer;

/* Entries of a queue's ring; with struct gpu_job it fills a page of VRAM. */
#define DEVMEM_QUEUE_RING	64

/**
 * enum devmem_queue_state - what a queue does with new jobs
 * @DEVMEM_QUEUE_RUNNING: it executes them
 * @DEVMEM_QUEUE_BANNED: it cancels them, since a job hung
 * @DEVMEM_QUEUE_GONE: it cancels them, since queue or device go away
 */
enum devmem_queue_state {
	DEVMEM_QUEUE_RUNNING,
	DEVMEM_QUEUE_BANNED,
	DEVMEM_QUEUE_GONE,
};

/**
 * struct devmem_queue_error - the latest job that failed
 */
struct devmem_queue_error {
	/** @count: jobs that have failed so far. */
	u32 count;
	/** @error: &enum drm_devmem_error. */
	u32 error;
	/** @access: &enum drm_devmem_access, if @error has one. */
	u32 access;
	/** @fault_addr: virtual address that @error is about, or 0. */
	u64 fault_addr;
	/** @command_addr: virtual address of the command. */
	u64 command_addr;
};

/**
 * struct devmem_queue - a hardware queue and the scheduler that feeds it
 *
 * Referenced by its handle, by ioctls that use it, by its jobs and by the work that
 * serves its fault. The handle stands for the hardware as well: when it goes,
 * devmem_queue.c takes the queue down, and what other references keep is the memory
 * of this structure.
 */
struct devmem_queue {
	/** @kref: references. */
	struct kref kref;
	/** @rcu: the scheduler's fences can be asked for its name. */
	struct rcu_head rcu;
	/** @detached: the hardware knows nothing of the queue any more. */
	struct completion detached;
	/** @dm: the device; valid until the queue is taken down. */
	struct devmem_device *dm;
	/** @vm: the VM; valid until the queue is taken down. */
	struct devmem_vm *vm;
	/** @hwq: hardware queue number. */
	u32 hwq;
	/** @vmid: hardware address space. */
	u32 vmid;
	/** @va_end: end of the virtual addresses of the VM, exclusive. */
	u64 va_end;
	/** @name: for the scheduler and its fences. */
	char name[24];
	/** @ring: VRAM address of the ring. */
	u64 ring;
	/** @saved: the ring while the device sleeps, else NULL. */
	void *saved;
	/** @fault: the page fault that the queue waits for. */
	struct devmem_fault fault;
	/** @sched: scheduler of this queue alone. */
	struct drm_gpu_scheduler sched;
	/** @entity: its only entity. */
	struct drm_sched_entity entity;
	/** @fence_context: of the hardware fences. */
	u64 fence_context;

	/** @submit_lock: orders submissions; protects @closed and @last. */
	struct mutex submit_lock;
	/** @closed: the handle is gone, nothing can be submitted. */
	bool closed;
	/** @last: fence of the job submitted last, or NULL. */
	struct dma_fence *last;

	/** @hw_lock: protects what follows. */
	struct mutex hw_lock;
	/** @state: what happens to new jobs. */
	enum devmem_queue_state state;
	/** @head: jobs that have ended; the next one is running. */
	u64 head;
	/** @tail: jobs put in the ring. */
	u64 tail;
	/** @hung: number of the job that hung, if @state is BANNED. */
	u64 hung;
	/** @fences: hardware fences of the jobs from @head to @tail. */
	struct dma_fence *fences[DEVMEM_QUEUE_RING];
	/** @start: when the running job became the oldest, in jiffies. */
	unsigned long start;
	/** @start_time: the same as time. */
	ktime_t start_time;
	/** @busy: nanoseconds spent on jobs that have ended. */
	u64 busy;
	/** @error: the latest that failed. */
	struct devmem_queue_error error;
};

/**
 * struct devmem_job - one batch
 */
struct devmem_job {
	/** @base: the job as the scheduler knows it. */
	struct drm_sched_job base;
	/** @queue: the queue, with a reference. */
	struct devmem_queue *queue;
	/** @fence: hardware fence, initialized when the job goes to the ring. */
	struct dma_fence *fence;
	/** @desc: what goes to the ring. */
	struct gpu_job desc;
};

int devmem_queue_init(struct devmem_device *dm);
void devmem_queue_unplug(struct devmem_device *dm);
int devmem_queue_suspend(struct devmem_device *dm);
void devmem_queue_resume(struct devmem_device *dm);
void devmem_queue_restart_time(struct devmem_device *dm);
int devmem_queue_create_ioctl(struct drm_device *drm, void *data,
			      struct drm_file *file);
int devmem_queue_destroy_ioctl(struct drm_device *drm, void *data,
			       struct drm_file *file);
int devmem_queue_query_ioctl(struct drm_device *drm, void *data,
			     struct drm_file *file);
struct devmem_queue *devmem_queue_lookup(struct devmem_file *df, u32 queue_id);
void devmem_queue_put(struct devmem_queue *q);
void devmem_queue_close_all(struct devmem_file *df);
void devmem_queue_irq(struct devmem_device *dm);
struct devmem_fault *devmem_queue_fault(struct devmem_device *dm, u16 hwq);
void devmem_queue_reply_fault(struct devmem_queue *q, u64 reply);
u64 devmem_queue_busy(struct devmem_file *df);
void devmem_queue_print(struct devmem_device *dm, struct drm_printer *p);

struct devmem_job *devmem_queue_job_create(struct devmem_queue *q,
					   struct drm_file *file);
void devmem_queue_job_abort(struct devmem_job *job);

#endif /* _DEVMEM_QUEUE_H_ */
