// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */
#include <assert.h>
#include <stdio.h>

#include "gpu_env.h"

/* Rules of struct gpu_env_ops that the model has to keep. */
static __thread bool env_in_bus;

static void *env_alloc_page(void)
{
	void *page = aligned_alloc(ENV_PAGE, ENV_PAGE);

	if (page)
		memset(page, 0, ENV_PAGE);
	return page;
}

static void *env_vram_page(void *data, u64 addr, bool alloc)
{
	struct gpu_env *env = data;
	void **slot, *page, *old = NULL;

	assert(addr % ENV_PAGE == 0);
	assert(addr / ENV_PAGE < env->vram_pages);
	assert(!alloc || !env_in_bus);

	slot = &env->vram[addr / ENV_PAGE];
	page = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	if (page || !alloc || READ_ONCE(env->vram_fail))
		return page;

	page = env_alloc_page();
	if (page && !try_cmpxchg(slot, &old, page)) {
		free(page);
		page = old;
	}
	return page;
}

static void *env_bus_begin(void *data, u64 addr, u32 size, bool write)
{
	struct gpu_env *env = data;
	u64 index = (addr - ENV_BUS_BASE) / ENV_PAGE;
	u32 mode = write ? ENV_BUS_WRITE : ENV_BUS_READ;

	assert(!env_in_bus);
	assert(size && addr % ENV_PAGE + size <= ENV_PAGE);

	if (addr < ENV_BUS_BASE || index >= ENV_BUS_PAGES ||
	    !(READ_ONCE(env->bus_mode[index]) & mode)) {
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
	return (u8 *)env->bus[index] + addr % ENV_PAGE;
}

static void env_bus_end(void *data, void *ptr, bool write)
{
	assert(env_in_bus);
	assert(ptr);
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
	.vram_page = env_vram_page,
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
	u8 *page = env_vram_page(env, addr - addr % ENV_PAGE, true);

	assert(page);
	return page + addr % ENV_PAGE;
}

/**
 * gpu_env_vram_touched() - count the pages of VRAM that have a backing
 * @env: home
 *
 * Return: pages.
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
	for (i = 0; i < ENV_BUS_PAGES; i++) {
		env->bus[i] = env_alloc_page();
		env->bus_mode[i] = ENV_BUS_READ | ENV_BUS_WRITE;
		if (!env->bus[i])
			return false;
	}
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
