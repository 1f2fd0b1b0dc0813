/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_GPU_H_
#define _DEVMEM_GPU_H_

#include "gpu_os.h"
#include "gpu_regs.h"

struct gpu;

/**
 * struct gpu_env_ops - what a home of the device model provides
 *
 * The model runs in threads that it starts through &gpu_os.h; all hooks can be
 * called from those, and from the caller of the register functions.
 */
struct gpu_env_ops {
	/**
	 * @vram_page: CPU address of the 4 KiB page of VRAM at @addr (bytes,
	 * aligned, below the size of VRAM), zero-filled when touched first.
	 * May sleep. NULL without memory. The page stays until the model is
	 * destroyed.
	 */
	void *(*vram_page)(void *env, u64 addr);
	/**
	 * @bus_begin: make @size bytes at bus address @addr accessible, within
	 * one 4 KiB page. Returns a CPU address, or NULL for an address that is
	 * not mapped for the device (or not for writing, with @write). Must not
	 * sleep, and neither does the model before it calls @bus_end.
	 */
	void *(*bus_begin)(void *env, u64 addr, u32 size, bool write);
	/** @bus_end: end of an access; as the latest @bus_begin. */
	void (*bus_end)(void *env, void *ptr, bool write);
	/**
	 * @irq: the interrupt line rose. Called from threads of the model with
	 * none of its locks held; must not sleep.
	 */
	void (*irq)(void *env);
};

/**
 * struct gpu_config - parameters of a device
 * @vram_size: bytes, a multiple of 4 KiB
 * @num_queues: up to GPU_MAX_QUEUES
 * @num_vmids: up to GPU_MAX_VMIDS
 */
struct gpu_config {
	u64 vram_size;
	u32 num_queues;
	u32 num_vmids;
};

struct gpu *devmem_gpu_create(const struct gpu_config *config,
		       const struct gpu_env_ops *ops, void *env);
void devmem_gpu_destroy(struct gpu *gpu);
u64 devmem_gpu_read(struct gpu *gpu, u64 reg);
void devmem_gpu_write(struct gpu *gpu, u64 reg, u64 value);

#endif /* _DEVMEM_GPU_H_ */
