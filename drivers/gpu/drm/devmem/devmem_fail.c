// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <linux/build_bug.h>
#include <linux/kernel.h>

#include "devmem_device.h"
#include "devmem_fail.h"

/**
 * DOC: Failures on demand
 *
 * What goes wrong once in a blue moon is hard to test: no memory, no VRAM, a copy
 * that fails. With CONFIG_FAULT_INJECTION a test can have it when it likes. In the
 * debugfs directory of a device there is a directory for each &enum
 * devmem_fail_point: its name in small letters after ``fail_``, with the files of
 * Documentation/fault-injection/fault-injection.rst. Each try counts as one, so that
 * ``space`` N with ``times`` 1 lets the Nth fail, and no other.
 *
 * These points are for what is the driver's own. Ordinary allocations are served by
 * the kernel's failslab and fail_page_alloc. /proc/<pid>/fail-nth knows both: the
 * points above count like allocations of the task that gets there.
 *
 * A failure here is not pretended where somebody else can be made to fail: for
 * DEVMEM_FAIL_COPY the engine gets an entry that it has to reject.
 */

static const char * const devmem_fail_names[] = {
	[DEVMEM_FAIL_POPULATE] = "fail_populate",
	[DEVMEM_FAIL_VRAM] = "fail_vram",
	[DEVMEM_FAIL_TABLE] = "fail_table",
	[DEVMEM_FAIL_BACKING] = "fail_backing",
	[DEVMEM_FAIL_COPY] = "fail_copy",
	[DEVMEM_FAIL_MAP] = "fail_map",
};

static_assert(ARRAY_SIZE(devmem_fail_names) == DEVMEM_FAIL_NUM);

static DECLARE_FAULT_ATTR(devmem_fail_default);

/**
 * devmem_fail_init() - let nothing fail
 * @dm: the device, before it does anything that could
 */
void devmem_fail_init(struct devmem_device *dm)
{
	int i;

	for (i = 0; i < DEVMEM_FAIL_NUM; i++)
		dm->fail.attrs[i] = devmem_fail_default;
}

/**
 * devmem_fail_add_debugfs() - let tests choose what fails
 * @dm: the device, before it is registered
 */
void devmem_fail_add_debugfs(struct devmem_device *dm)
{
	int i;

	for (i = 0; i < DEVMEM_FAIL_NUM; i++)
		fault_create_debugfs_attr(devmem_fail_names[i], dm->drm.debugfs_root,
					  &dm->fail.attrs[i]);
}
