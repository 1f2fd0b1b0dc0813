/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_GPU_OS_H_
#define _DEVMEM_GPU_OS_H_

/**
 * DOC: What the device model needs of an operating system
 *
 * The model is written with kernel names: spinlocks, mutexes, wait queues,
 * READ_ONCE() and the like. In the kernel they come from its headers, in user
 * space host/gpu_host.h provides those few that are used. Only threads get
 * names of their own, because a thread of the model ends when its owner tells
 * it to through a flag of its own, which kthread_stop() alone can't express.
 */

#ifdef __KERNEL__

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/wait.h>

/**
 * struct gpu_thread - a thread of the model
 * @task: the kernel thread, with a reference
 */
struct gpu_thread {
	struct task_struct *task;
};

/**
 * gpu_thread_start() - start a thread
 * @thread: filled in
 * @fn: what it runs; its result is not used
 * @data: for @fn
 * @name: name of the thread
 * @id: number appended to @name
 *
 * Return: 0 or a negative error number.
 */
static inline int gpu_thread_start(struct gpu_thread *thread, int (*fn)(void *),
				   void *data, const char *name, u32 id)
{
	struct task_struct *task;

	task = kthread_create(fn, data, "%s%u", name, id);
	if (IS_ERR(task))
		return PTR_ERR(task);
	thread->task = get_task_struct(task);
	wake_up_process(task);
	return 0;
}

/**
 * gpu_thread_join() - wait until a thread has ended
 * @thread: started, and told to end
 */
static inline void gpu_thread_join(struct gpu_thread *thread)
{
	kthread_stop_put(thread->task);
	thread->task = NULL;
}

#else

#include "host/gpu_host.h"

#endif

#endif /* _DEVMEM_GPU_OS_H_ */
