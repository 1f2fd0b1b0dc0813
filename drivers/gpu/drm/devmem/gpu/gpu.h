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
	 * aligned, below the size of VRAM). With @alloc the page is allocated
	 * and zero-filled when it is touched first, which may sleep, and NULL
	 * means that there is no memory. Without @alloc, NULL means that the
	 * page was not touched so far, and the hook must not sleep. A page
	 * stays where it is until the model is destroyed.
	 */
	void *(*vram_page)(void *env, u64 addr, bool alloc);
	/**
	 * @bus_begin: make @size bytes at bus address @addr accessible, within
	 * one 4 KiB page. Returns a CPU address, or NULL for an address that is
	 * not mapped for the device (or not for writing, with @write). Must not
	 * sleep, and neither does the model before it calls @bus_end. A thread
	 * has one such access under way at most.
	 */
	void *(*bus_begin)(void *env, u64 addr, u32 size, bool write);
	/** @bus_end: end of an access; with what @bus_begin returned and got. */
	void (*bus_end)(void *env, void *ptr, bool write);
	/**
	 * @irq: the interrupt line rose, or a register write that should have
	 * made it fall left it raised. Called with no lock of the model held,
	 * from its threads and from callers of devmem_gpu_write(), never twice
	 * at a time. Must not sleep. It may use the interrupt registers.
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
