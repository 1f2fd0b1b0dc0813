// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */
#include <stdio.h>

#include "gpu_host.h"

static void *gpu_thread_main(void *data)
{
	struct gpu_thread *thread = data;

	thread->fn(thread->data);
	return NULL;
}

/**
 * gpu_thread_start() - start a thread
 * @thread: filled in; stays in place until gpu_thread_join()
 * @fn: what it runs; its result is not used
 * @data: for @fn
 * @name: name of the thread
 * @id: number appended to @name
 *
 * Return: 0 or a negative error number.
 */
int gpu_thread_start(struct gpu_thread *thread, int (*fn)(void *), void *data,
		     const char *name, u32 id)
{
	char full[16];
	int ret;

	thread->fn = fn;
	thread->data = data;
	ret = pthread_create(&thread->thread, NULL, gpu_thread_main, thread);
	if (ret)
		return -ret;

	/* Only for who looks with a debugger, so a failure does not matter. */
	snprintf(full, sizeof(full), "%.10s%u", name, id % 1000);
	pthread_setname_np(thread->thread, full);
	return 0;
}

/**
 * gpu_thread_join() - wait until a thread has ended
 * @thread: started, and told to end
 */
void gpu_thread_join(struct gpu_thread *thread)
{
	pthread_join(thread->thread, NULL);
}
