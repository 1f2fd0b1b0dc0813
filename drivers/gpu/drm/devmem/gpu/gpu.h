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
	 * @vram: CPU address of VRAM at @addr, of which @size bytes are wanted
	 * (inside VRAM, at least one). @size becomes how many there are in one
	 * piece: all, or at least those to the end of the 4 KiB page of @addr.
	 * With @alloc they are allocated and zero-filled when they are touched
	 * first, which may sleep, and NULL means that there is no memory.
	 * Without @alloc, NULL means that the page was not touched so far, and
	 * the hook must not sleep. Memory stays where it is until the model is
	 * destroyed.
	 */
	void *(*vram)(void *env, u64 addr, u64 *size, bool alloc);
	/**
	 * @bus_begin: make @size bytes at bus address @addr accessible, 64 KiB
	 * at most. Returns a CPU address, or NULL if one of them is not mapped
	 * for the device (or not for writing, with @write). @size becomes how
	 * many there are in one piece, as for @vram. Must not sleep, and neither
	 * does the model before it calls @bus_end. A thread has one such access
	 * under way at most.
	 */
	void *(*bus_begin)(void *env, u64 addr, u64 *size, bool write);
	/** @bus_end: end of the access that @bus_begin began. */
	void (*bus_end)(void *env);
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
