/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_PT_H_
#define _DEVMEM_PT_H_

#include <linux/types.h>

#include "gpu/gpu_regs.h"

struct devmem_device;
struct devmem_pt_table;
struct devmem_vm;

/**
 * struct devmem_pt - GPU page table of a VM
 */
struct devmem_pt {
	/** @root: table of the highest level. */
	struct devmem_pt_table *root;
};

int devmem_pt_init(struct devmem_vm *vm);
void devmem_pt_fini(struct devmem_vm *vm);
void devmem_pt_restore(struct devmem_vm *vm);
u64 devmem_pt_root(struct devmem_vm *vm);
int devmem_pt_prepare(struct devmem_vm *vm, u64 start, u64 end);
void devmem_pt_map(struct devmem_vm *vm, u64 va, u64 addr, u64 size, u64 flags);
void devmem_pt_zap(struct devmem_vm *vm, u64 start, u64 end);
bool devmem_pt_clear_accessed(struct devmem_vm *vm, u64 start, u64 end, unsigned long *used);
void devmem_pt_allow_atomic(struct devmem_vm *vm, u64 va);
u64 devmem_pt_query(struct devmem_vm *vm, u64 va);

#endif /* _DEVMEM_PT_H_ */
