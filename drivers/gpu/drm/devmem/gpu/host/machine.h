/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_GPU_MACHINE_H_
#define _DEVMEM_GPU_MACHINE_H_

#include "gpu_env.h"

#include <drm/devmem_drm.h>

/* Address space of every queue: two areas of 16 pages, and batches */
#define AREA_PAGES	16
#define VRAM_VA		0x00007f0000000000ull
#define SYS_VA		0x00007e0000000000ull
#define CODE_VA		0x0000000040000000ull
#define CODE_STRIDE	0x10000ull
#define CODE_PAGES	2
/* An address that nothing is mapped at, in page tables that are there */
#define HOLE_VA		(VRAM_VA + 0x100000)

#define NUM_QUEUES	4
#define NUM_VMIDS	8
#define RING_SIZE	8u
#define FAULT_RING_SIZE	8u
#define COPY_RING_SIZE	8u

#define PTE_RW		(GPU_PTE_VALID | GPU_PTE_LEAF | GPU_PTE_WRITE)
#define PTE_RO		(GPU_PTE_VALID | GPU_PTE_LEAF)
#define PTE_SYS_RW	(PTE_RW | GPU_PTE_SYSTEM)
#define PTE_SYS_RO	(PTE_RO | GPU_PTE_SYSTEM)

#define CMD(name, ...) \
	((struct drm_devmem_cmd){ .op = DRM_DEVMEM_CMD_##name, ## __VA_ARGS__ })

/**
 * struct machine - a device as a driver would have set it up
 *
 * VMID 1 has the areas and the code of all queues mapped, queues run on it.
 */
struct machine {
	/** @env: home of the device */
	struct gpu_env env;
	/** @gpu: the device */
	struct gpu *gpu;
	/** @vram_next: VRAM not used so far */
	u64 vram_next;
	/** @root: root page tables, by VMID */
	u64 root[NUM_VMIDS];
	/** @vram: VRAM address of the area at VRAM_VA */
	u64 vram;
	/** @code: VRAM address of the batches of each queue */
	u64 code[NUM_QUEUES];
	/** @ring: VRAM address of the rings */
	u64 ring[NUM_QUEUES];
	/** @fault_ring: VRAM address */
	u64 fault_ring;
	/** @copy_ring: VRAM address */
	u64 copy_ring;
};

bool machine_create(struct machine *m);
void machine_destroy(struct machine *m);

u64 machine_rd(struct machine *m, u64 reg);
void machine_wr(struct machine *m, u64 reg, u64 value);
u64 machine_queue_rd(struct machine *m, u32 queue, u64 reg);
void machine_queue_wr(struct machine *m, u32 queue, u64 reg, u64 value);

u64 machine_alloc(struct machine *m, u32 pages);
__le64 *machine_pte(struct machine *m, u32 vmid, u64 va, u32 level);
void machine_map(struct machine *m, u32 vmid, u64 va, u32 level, u64 pte);
void machine_invalidate(struct machine *m, u32 vmid, u64 start, u64 end);

void *machine_ptr(struct machine *m, u64 va);
void machine_get(struct machine *m, u64 va, void *buf, u64 size);
void machine_put(struct machine *m, u64 va, const void *buf, u64 size);
u64 machine_get64(struct machine *m, u64 va);
void machine_put64(struct machine *m, u64 va, u64 value);

bool machine_enable(struct machine *m, u32 queue, u32 vmid, u32 size);
u64 machine_load(struct machine *m, u32 queue, const struct drm_devmem_cmd *cmds,
		 u32 num);
void machine_submit(struct machine *m, u32 queue, u64 batch, u64 fence_addr,
		    u64 fence_value);
void machine_submit_batch(struct machine *m, u32 queue,
			  const struct drm_devmem_cmd *cmds, u32 num);
bool machine_wait(struct machine *m, u64 reg, u64 mask, u64 value);
bool machine_idle(struct machine *m, u32 queue);
struct gpu_job *machine_job(struct machine *m, u32 queue, u64 number);
u32 machine_run(struct machine *m, u32 queue, const struct drm_devmem_cmd *cmds,
		u32 num, struct gpu_job *result);
bool machine_fault(struct machine *m, struct gpu_fault *fault);
void machine_reply(struct machine *m, const struct gpu_fault *fault, u64 reply);

/* Write commands for a queue, submit them, or run them to their end. */
#define LOAD(m, q, ...) \
	machine_load((m), (q), (struct drm_devmem_cmd[]){ __VA_ARGS__ }, \
		     sizeof((struct drm_devmem_cmd[]){ __VA_ARGS__ }) / \
		     sizeof(struct drm_devmem_cmd))
#define SUBMIT(m, q, ...) \
	machine_submit_batch((m), (q), \
			     (struct drm_devmem_cmd[]){ __VA_ARGS__, CMD(END) }, \
			     1 + sizeof((struct drm_devmem_cmd[]){ __VA_ARGS__ }) / \
			     sizeof(struct drm_devmem_cmd))
#define RUN_JOB(m, job, ...) \
	machine_run((m), 0, \
		    (struct drm_devmem_cmd[]){ __VA_ARGS__, CMD(END) }, \
		    1 + sizeof((struct drm_devmem_cmd[]){ __VA_ARGS__ }) / \
		    sizeof(struct drm_devmem_cmd), (job))
#define RUN(m, ...)	RUN_JOB(m, NULL, __VA_ARGS__)

/* What machine_run() returns when the job did not end in time. */
#define RUN_TIMEOUT	(~0u)

#endif /* _DEVMEM_GPU_MACHINE_H_ */
