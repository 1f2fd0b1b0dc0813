/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_SVM_H_
#define _DEVMEM_SVM_H_

#include <drm/drm_gpusvm.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include "devmem_thrash.h"
#include "devmem_vram.h"

struct devmem_vm;

/**
 * struct devmem_range - a chunk of the address space that the GPU uses
 */
struct devmem_range {
	/** @base: range as drm_gpusvm knows it. */
	struct drm_gpusvm_range base;
	/** @lock: see the locking DOC in devmem_device.h. */
	struct mutex lock;
	/** @pages: its memory, mapped for the device. */
	struct drm_gpusvm_pages pages;
	/** @gc_link: link in &devmem_vm.gc_list. */
	struct list_head gc_link;
	/** @mapped: the GPU has translations; protected by the notifier lock. */
	bool mapped;
	/** @writable: these let it write; protected by the notifier lock. */
	bool writable;
	/** @atomic: and execute atomics; protected by the notifier lock. */
	bool atomic;
	/**
	 * @taken: the CPU side took memory from the device that the GPU used;
	 * protected by the notifier lock.
	 */
	bool taken;
	/**
	 * @pinned: stays in system memory, see &devmem_vm.unpin_work; protected by
	 * @lock, as is what follows.
	 */
	bool pinned;
	/** @hot: looks in a row that found it used in system memory. */
	u32 hot;
	/** @tries: how often it was tried to move it, being hot, without success. */
	u32 tries;
	/** @thrash: how often it went back and forth. */
	struct devmem_thrash thrash;
	/** @removed: the VM does not have it any more; never reset. */
	bool removed;
};

struct devmem_range *devmem_svm_first_range(struct devmem_vm *vm, unsigned long start,
					    unsigned long end);
struct devmem_range *devmem_svm_next_range(struct devmem_vm *vm, struct devmem_range *range,
					   unsigned long end);
void devmem_svm_range_unmap(struct devmem_vm *vm, struct devmem_range *range);
int devmem_svm_init(struct devmem_vm *vm);
void devmem_svm_unmap_all(struct devmem_vm *vm);
void devmem_svm_fini(struct devmem_vm *vm);
int devmem_svm_fault(struct devmem_vm *vm, struct devmem_fault *fault, u64 va, u8 access);
int devmem_svm_prefetch(struct devmem_vm *vm, unsigned long *start, unsigned long end,
			bool preferred, bool write, unsigned long deadline);
unsigned long devmem_svm_device_pages(struct devmem_range *range);
void devmem_svm_ban(struct devmem_vm *vm);
int devmem_svm_remove_ranges(struct devmem_vm *vm, unsigned long start,
			     unsigned long end);

#endif /* _DEVMEM_SVM_H_ */
