/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_SYNC_H_
#define _DEVMEM_SYNC_H_

#include <linux/types.h>

struct dma_fence;
struct devmem_sync_signal;
struct drm_file;

/**
 * struct devmem_syncs - what an ioctl waits for and what it signals
 */
struct devmem_syncs {
	/** @waits: fences to wait for, each with a reference, or NULL if handed on. */
	struct dma_fence **waits;
	/** @signals: syncobjs to signal. */
	struct devmem_sync_signal *signals;
	/** @num_waits: entries of @waits. */
	u32 num_waits;
	/** @num_signals: entries of @signals. */
	u32 num_signals;
	/** @va_end: end of the addresses for a user fence, exclusive; 0: none allowed. */
	u64 va_end;
	/** @fence_addr: address of the user fence, or 0. */
	u64 fence_addr;
	/** @fence_value: what it gets. */
	u64 fence_value;
};

int devmem_sync_get(struct devmem_syncs *syncs, struct drm_file *file,
		    u64 user_ptr, u32 count);
void devmem_sync_publish(struct devmem_syncs *syncs, struct dma_fence *fence);
void devmem_sync_put(struct devmem_syncs *syncs);

#endif /* _DEVMEM_SYNC_H_ */
