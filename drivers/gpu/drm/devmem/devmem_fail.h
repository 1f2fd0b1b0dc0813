/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_FAIL_H_
#define _DEVMEM_FAIL_H_

#include <linux/fault-inject.h>

struct devmem_device;

/**
 * enum devmem_fail_point - what can be made to fail
 * @DEVMEM_FAIL_POPULATE: no RAM for struct pages of VRAM
 * @DEVMEM_FAIL_VRAM: no VRAM for memory of a process, and nothing to evict
 * @DEVMEM_FAIL_TABLE: the same for a ring or a page table
 * @DEVMEM_FAIL_BACKING: no RAM for a page of VRAM that is touched first
 * @DEVMEM_FAIL_COPY: the copy engine rejects an entry
 * @DEVMEM_FAIL_MAP: no DMA mapping of a page or folio, or of memory of a peer
 * @DEVMEM_FAIL_NUM: number of points
 */
enum devmem_fail_point {
	DEVMEM_FAIL_POPULATE,
	DEVMEM_FAIL_VRAM,
	DEVMEM_FAIL_TABLE,
	DEVMEM_FAIL_BACKING,
	DEVMEM_FAIL_COPY,
	DEVMEM_FAIL_MAP,
	DEVMEM_FAIL_NUM,
};

/**
 * struct devmem_fail - failures of a device that tests ask for; all zero means none
 */
struct devmem_fail {
	/** @attrs: when to fail, by &enum devmem_fail_point. */
	struct fault_attr attrs[DEVMEM_FAIL_NUM];
};

void devmem_fail_init(struct devmem_device *dm);
void devmem_fail_add_debugfs(struct devmem_device *dm);

/**
 * devmem_fail_now() - is something to fail without a reason?
 * @fail: of the device
 * @point: what
 *
 * Context: any.
 *
 * Return: true if it is; always false without CONFIG_FAULT_INJECTION.
 */
static inline bool devmem_fail_now(struct devmem_fail *fail, enum devmem_fail_point point)
{
	return should_fail(&fail->attrs[point], 1);
}

#endif /* _DEVMEM_FAIL_H_ */
