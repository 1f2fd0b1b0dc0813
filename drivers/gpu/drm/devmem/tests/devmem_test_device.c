// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_drv.h>
#include <kunit/device.h>
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/atomic.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>

#include "../devmem_device.h"
#include "devmem_test_device.h"

static const struct drm_driver devmem_test_driver = {
	.driver_features	= DRIVER_RENDER,
	.name			= "devmem-kunit",
	.desc			= "Device of the devmem unit tests",
};

static void devmem_test_device_fini_hw(void *data)
{
	devmem_hw_fini(data);
}

static void devmem_test_device_fini_vram(void *data)
{
	devmem_vram_fini(data);
}

/**
 * devmem_test_device_create() - make a device with a GPU and a VRAM allocator
 * @test: the test, which fails if the device can't be made
 * @vram_size: bytes
 *
 * The device is not registered with DRM and its engines do not run. It goes
 * with the test; what the test allocated must be freed before, or the allocator
 * warns.
 *
 * Return: the device.
 */
struct devmem_device *devmem_test_device_create(struct kunit *test, u64 vram_size)
{
	static atomic_t count = ATOMIC_INIT(0);
	struct devmem_device *dm;
	struct device *dev;
	char name[32];

	snprintf(name, sizeof(name), "devmem-kunit-%d", atomic_inc_return(&count));
	dev = kunit_device_register(test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	KUNIT_ASSERT_EQ(test, dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64)), 0);

	dm = devm_drm_dev_alloc(dev, &devmem_test_driver, struct devmem_device, drm);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dm);
	xa_init_flags(&dm->vms, XA_FLAGS_ALLOC1);
	xa_init_flags(&dm->queues, XA_FLAGS_ALLOC);

	KUNIT_ASSERT_EQ(test, devmem_hw_init(dm, vram_size), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, devmem_test_device_fini_hw, dm), 0);
	KUNIT_ASSERT_EQ(test, devmem_vram_init(dm), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, devmem_test_device_fini_vram, dm), 0);
	return dm;
}

MODULE_AUTHOR("devmem developers");
MODULE_DESCRIPTION("Unit tests of devmem");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
