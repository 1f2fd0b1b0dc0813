/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_ACCESS_H_
#define _DEVMEM_ACCESS_H_

#include <linux/types.h>
#include <linux/workqueue.h>

struct devmem_vm;

/**
 * struct devmem_access_params - how closely accesses of the GPU are watched
 */
struct devmem_access_params {
	/** @period_ms: look after so long, in milliseconds; 0 for never. */
	u32 period_ms;
	/** @hot: memory is hot if it was used between so many looks in a row, not zero. */
	u32 hot;
};

/**
 * struct devmem_access - what the GPU of a VM uses
 */
struct devmem_access {
	/** @work: looks at some ranges. */
	struct delayed_work work;
	/** @next: address to go on at. */
	unsigned long next;
	/** @used: the GPU has used something since @next was 0. */
	bool used;
};

void devmem_access_get_params(struct devmem_access_params *params);
void devmem_access_init(struct devmem_vm *vm);
void devmem_access_start(struct devmem_vm *vm);
void devmem_access_stop(struct devmem_vm *vm);

#endif /* _DEVMEM_ACCESS_H_ */
