/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_GPU_ENV_H_
#define _DEVMEM_GPU_ENV_H_

#include "../gpu.h"

#define ENV_PAGE	4096u
#define ENV_BUS_BASE	0x10000000000ull
#define ENV_BUS_PAGES	32
#define ENV_PIECE_PAGES	4
#define ENV_MAX_ACCESS	(16 * ENV_PAGE)

/**
 * struct gpu_env - a home of the device model for tests
 *
 * Of the memory, every other ENV_PIECE_PAGES pages are in one piece. Each piece,
 * and each of the pages between, is an allocation of its own, so that a sanitizer
 * sees an access that goes beyond it.
 */
struct gpu_env {
	/** @gpu: the model */
	struct gpu *gpu;
	/** @vram_pages: pages of VRAM */
	u64 vram_pages;
	/** @vram: what was touched, by the first page of its piece */
	void **vram;
	/** @vram_fail: let allocations of VRAM fail */
	bool vram_fail;
	/** @bus: system memory from ENV_BUS_BASE on, as @vram */
	void *bus[ENV_BUS_PAGES];
	/** @bus_mode: what the device may do with a page, ENV_BUS_* */
	u32 bus_mode[ENV_BUS_PAGES];
	/** @bus_errors: accesses to the bus that were refused */
	u32 bus_errors;
	/** @irqs: calls of the interrupt hook */
	u32 irqs;
	/** @irq: called by the interrupt hook, or NULL */
	void (*irq)(struct gpu_env *env);
	/** @gate: stops accesses to the bus between begin and end while set */
	bool gate;
	/** @gated: how many are stopped */
	u32 gated;
};

#define ENV_BUS_READ	BIT(0)
#define ENV_BUS_WRITE	BIT(1)

bool gpu_env_create(struct gpu_env *env, u64 vram_pages, u32 num_queues,
		    u32 num_vmids);
void gpu_env_destroy(struct gpu_env *env);
u64 gpu_env_vram_touched(struct gpu_env *env);
void *gpu_env_vram(struct gpu_env *env, u64 addr);
void *gpu_env_bus(struct gpu_env *env, u64 addr);

#endif /* _DEVMEM_GPU_ENV_H_ */
