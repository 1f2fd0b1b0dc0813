/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_COPY_H_
#define _DEVMEM_COPY_H_

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "devmem_stop.h"

struct devmem_device;
struct gpu_copy;

/**
 * struct devmem_copy - the copy engine
 */
struct devmem_copy {
	/** @lock: held from devmem_copy_begin() to devmem_copy_end(). */
	struct mutex lock;
	/** @addr: VRAM address of the ring. */
	u64 addr;
	/** @size: entries of the ring. */
	u32 size;
	/** @tail: entries written so far. */
	u64 tail;
	/** @errors: entries that have failed so far. */
	u64 errors;
	/** @error: first error since devmem_copy_begin(). */
	int error;
	/** @wait: woken when entries complete. */
	wait_queue_head_t wait;
};

int devmem_copy_init(struct devmem_device *dm);
void devmem_copy_fini(struct devmem_device *dm);
void devmem_copy_irq(struct devmem_device *dm);
void devmem_copy_begin(struct devmem_device *dm);
void devmem_copy_add(struct devmem_device *dm, const struct gpu_copy *entry);
void devmem_copy_stop_at(struct devmem_device *dm, enum devmem_stop_point point);
int devmem_copy_end(struct devmem_device *dm);

#endif /* _DEVMEM_COPY_H_ */
