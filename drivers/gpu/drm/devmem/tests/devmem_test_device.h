/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_TEST_DEVICE_H_
#define _DEVMEM_TEST_DEVICE_H_

#include <linux/types.h>

struct devmem_device;
struct kunit;

struct devmem_device *devmem_test_device_create(struct kunit *test, u64 vram_size);

#endif /* _DEVMEM_TEST_DEVICE_H_ */
