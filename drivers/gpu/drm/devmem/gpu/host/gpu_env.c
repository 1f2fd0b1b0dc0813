// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */
#include <assert.h>
#include <stdio.h>

#include "gpu_env.h"

/* Rules of struct gpu_env_ops that the model has to keep. */
static __thread bool env_in_bus;

/* Bytes of the piece that has @addr; @addr is from the start of the memory. */
static u64 env_piece(u64 addr)
{
	return addr / ENV_PAGE / ENV_PIECE_PAGES % 2 ?
		ENV_PIECE_PAGES * ENV_PAGE : ENV_PAGE;
}

static void *env_alloc(u64 piece)
{
	void *ptr = aligned_alloc(ENV_PAGE, piece);

	if (ptr)
		memset(ptr, 0, piece);
	return ptr;
}

/* See &gpu_env_ops.vram */
static void *env_vram(void *data, u64 addr, u64 *size, bool alloc)
{
	u64 piece = env_piece(addr), offset = addr % piece;
	struct gpu_env *env = data;
	void **slot, *old = NULL;
	u8 *ptr;

	assert(*size && *size <= env->vram_pages * ENV_PAGE - addr);
	assert(!alloc || !env_in_bus);

	slot = &env->vram[(addr - offset) / ENV_PAGE];
	ptr = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	if (!ptr && alloc && !READ_ONCE(env->vram_fail)) {
		ptr = env_alloc(piece);
		if (ptr && !try_cmpxchg(slot, &old, (void *)ptr)) {
			free(ptr);
			ptr = old;
		}
	}
	if (!ptr)
		return NULL;
	*size = min_t(u64, *size, piece - offset);
	return ptr + offset;
}

/* CPU address of system memory, @addr from its start; @size as for env_vram() */
static void *env_bus(struct gpu_env *env, u64 addr, u64 *size)
{
	u64 piece = env_piece(addr), offset = addr % piece;

	*size = min_t(u64, *size, piece - offset);
	return (u8 *)env->bus[(addr - offset) / ENV_PAGE] + offset;
}

static bool env_bus_allows(struct gpu_env *env, u64 addr, u64 size, u32 mode)
{
	u64 end = addr + size;

	for (; addr < end; addr += ENV_PAGE - addr % ENV_PAGE) {
		if (addr < ENV_BUS_BASE ||
		    addr >= ENV_BUS_BASE + ENV_BUS_PAGES * ENV_PAGE ||
		    !(READ_ONCE(env->bus_mode[(addr - ENV_BUS_BASE) / ENV_PAGE]) & mode))
			return false;
	}
	return true;
}

static void *env_bus_begin(void *data, u64 addr, u64 *size, bool write)
{
	u32 mode = write ? ENV_BUS_WRITE : ENV_BUS_READ;
	struct gpu_env *env = data;

	assert(!env_in_bus);
	assert(*size && *size <= ENV_MAX_ACCESS);

	if (!env_bus_allows(env, addr, *size, mode)) {
		__atomic_fetch_add(&env->bus_errors, 1, __ATOMIC_RELAXED);
		return NULL;
	}

	env_in_bus = true;
	if (READ_ONCE(env->gate)) {
		__atomic_fetch_add(&env->gated, 1, __ATOMIC_SEQ_CST);
		while (READ_ONCE(env->gate))
			usleep(100);
		__atomic_fetch_sub(&env->gated, 1, __ATOMIC_SEQ_CST);
	}
	return env_bus(env, addr - ENV_BUS_BASE, size);
}

static void env_bus_end(void *data)
{
	assert(env_in_bus);
	env_in_bus = false;
}

static void env_irq(void *data)
{
	struct gpu_env *env = data;

	assert(!env_in_bus);
	__atomic_fetch_add(&env->irqs, 1, __ATOMIC_SEQ_CST);
	if (env->irq)
		env->irq(env);
}

static const struct gpu_env_ops env_ops = {
	.vram = env_vram,
	.bus_begin = env_bus_begin,
	.bus_end = env_bus_end,
	.irq = env_irq,
};

/**
 * gpu_env_vram() - CPU address of VRAM
 * @env: home
 * @addr: VRAM address
 *
 * Return: address that is good to the end of the page.
 */
void *gpu_env_vram(struct gpu_env *env, u64 addr)
{
	u64 size = 1;
	void *ptr = env_vram(env, addr, &size, true);

	assert(ptr);
	return ptr;
}

/**
 * gpu_env_bus() - CPU address of system memory
 * @env: home
 * @addr: bus address
 *
 * Return: address that is good to the end of the page.
 */
void *gpu_env_bus(struct gpu_env *env, u64 addr)
{
	u64 size = 1;

	return env_bus(env, addr - ENV_BUS_BASE, &size);
}

/**
 * gpu_env_vram_touched() - count the pieces of VRAM that have a backing
 * @env: home
 *
 * Return: pieces.
 */
u64 gpu_env_vram_touched(struct gpu_env *env)
{
	u64 i, touched = 0;

	for (i = 0; i < env->vram_pages; i++)
		touched += !!__atomic_load_n(&env->vram[i], __ATOMIC_RELAXED);
	return touched;
}

/**
 * gpu_env_create() - create a device
 * @env: filled in
 * @vram_pages: pages of VRAM
 * @num_queues: see struct gpu_config
 * @num_vmids: see struct gpu_config
 *
 * Return: true if that worked.
 */
bool gpu_env_create(struct gpu_env *env, u64 vram_pages, u32 num_queues,
		    u32 num_vmids)
{
	struct gpu_config config = {
		.vram_size = vram_pages * ENV_PAGE,
		.num_queues = num_queues,
		.num_vmids = num_vmids,
	};
	u32 i;

	memset(env, 0, sizeof(*env));
	env->vram_pages = vram_pages;
	env->vram = calloc(vram_pages, sizeof(*env->vram));
	if (!env->vram)
		return false;
	for (i = 0; i < ENV_BUS_PAGES; i += env_piece(i * ENV_PAGE) / ENV_PAGE) {
		env->bus[i] = env_alloc(env_piece(i * ENV_PAGE));
		if (!env->bus[i])
			return false;
	}
	for (i = 0; i < ENV_BUS_PAGES; i++)
		env->bus_mode[i] = ENV_BUS_READ | ENV_BUS_WRITE;
	env->gpu = devmem_gpu_create(&config, &env_ops, env);
	return env->gpu;
}

/**
 * gpu_env_destroy() - end a device and free its memory
 * @env: home
 */
void gpu_env_destroy(struct gpu_env *env)
{
	u64 i;

	WRITE_ONCE(env->gate, false);
	if (env->gpu)
		devmem_gpu_destroy(env->gpu);
	for (i = 0; i < ENV_BUS_PAGES; i++)
		free(env->bus[i]);
	for (i = 0; i < env->vram_pages; i++)
		free(env->vram[i]);
	free(env->vram);
}
