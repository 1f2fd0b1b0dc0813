// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_gpusvm.h>
#include <drm/drm_pagemap.h>
#include <kunit/test.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "../devmem_device.h"
#include "devmem_test_device.h"

/* What no process can bring about, since the driver does not use the framework like that */

#define DEVMEM_FRAMEWORK_TEST_START	((unsigned long)SZ_1G)
#define DEVMEM_FRAMEWORK_TEST_RANGE	((unsigned long)SZ_1G)

static void devmem_framework_test_invalidate(struct drm_gpusvm *gpusvm,
					     struct drm_gpusvm_notifier *notifier,
					     const struct mmu_notifier_range *mmu_range)
{
}

static const struct drm_gpusvm_ops devmem_framework_test_svm_ops = {
	.invalidate = devmem_framework_test_invalidate,
};

/* Addresses around both ends, of which those inside have no mapping */
static void devmem_framework_test_fault_outside(struct kunit *test)
{
	static const struct {
		unsigned long addr;
		long err;
	} faults[] = {
		{ DEVMEM_FRAMEWORK_TEST_START - 1, -EINVAL },
		{ DEVMEM_FRAMEWORK_TEST_START, -ENOENT },
		{ DEVMEM_FRAMEWORK_TEST_START + DEVMEM_FRAMEWORK_TEST_RANGE - 1, -ENOENT },
		{ DEVMEM_FRAMEWORK_TEST_START + DEVMEM_FRAMEWORK_TEST_RANGE, -EINVAL },
		{ DEVMEM_FRAMEWORK_TEST_START + DEVMEM_FRAMEWORK_TEST_RANGE + 1, -EINVAL },
	};
	static const unsigned long chunk_sizes[] = { SZ_4K };
	struct drm_gpusvm_ctx ctx = {};
	struct drm_gpusvm_range *range;
	struct drm_gpusvm *svm;
	int i;

	KUNIT_ASSERT_EQ(test, kunit_attach_mm(), 0);
	svm = kunit_kzalloc(test, sizeof(*svm), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, svm);
	KUNIT_ASSERT_EQ(test, drm_gpusvm_init(svm, "kunit", current->mm,
					      DEVMEM_FRAMEWORK_TEST_START,
					      DEVMEM_FRAMEWORK_TEST_RANGE, SZ_2M,
					      &devmem_framework_test_svm_ops, chunk_sizes,
					      ARRAY_SIZE(chunk_sizes)), 0);
	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		range = drm_gpusvm_range_find_or_insert(svm, faults[i].addr, 0, ULONG_MAX, &ctx);
		KUNIT_EXPECT_EQ_MSG(test, PTR_ERR_OR_ZERO(range), faults[i].err,
				    "at %#lx", faults[i].addr);
	}
	drm_gpusvm_fini(svm);
}

static int devmem_framework_test_populate(struct drm_pagemap_devmem *devmem,
					  unsigned long npages, unsigned long *mpfn)
{
	return -EIO;
}

static int devmem_framework_test_copy(struct page **pages, struct drm_pagemap_addr *addrs,
				      unsigned long npages, struct dma_fence *fence)
{
	return -EIO;
}

/**
 * struct devmem_framework_test_memory - device memory whose releases are counted
 * @devmem: it
 * @released: how often its reference was given back
 */
struct devmem_framework_test_memory {
	struct drm_pagemap_devmem devmem;
	int released;
};

static void devmem_framework_test_release(struct drm_pagemap_devmem *devmem)
{
	container_of(devmem, struct devmem_framework_test_memory, devmem)->released++;
}

/* Try to migrate where nothing is mapped; returns the error. */
static int devmem_framework_test_migrate(struct kunit *test,
					 struct devmem_framework_test_memory *memory,
					 const struct drm_pagemap_devmem_ops *ops)
{
	struct devmem_device *dm = devmem_test_device_create(test, SZ_16M);
	struct drm_pagemap_migrate_details details = {};
	struct dev_pagemap pgmap = {};
	struct drm_pagemap dpagemap = { .drm = &dm->drm, .pagemap = &pgmap };
	int err;

	KUNIT_ASSERT_EQ(test, kunit_attach_mm(), 0);
	*memory = (struct devmem_framework_test_memory){
		.devmem.dev = dm->drm.dev,
		.devmem.ops = ops,
		.devmem.dpagemap = &dpagemap,
		.devmem.size = SZ_64K,
	};
	mmap_read_lock(current->mm);
	err = drm_pagemap_migrate_to_devmem(&memory->devmem, current->mm,
					    DEVMEM_FRAMEWORK_TEST_START,
					    DEVMEM_FRAMEWORK_TEST_START + SZ_64K, &details);
	mmap_read_unlock(current->mm);
	return err;
}

/* The caller's reference is consumed whatever goes wrong. */
static void devmem_framework_test_no_memory(struct kunit *test)
{
	static const struct drm_pagemap_devmem_ops ops = {
		.devmem_release = devmem_framework_test_release,
		.populate_devmem_mpfn = devmem_framework_test_populate,
		.copy_to_devmem = devmem_framework_test_copy,
		.copy_to_ram = devmem_framework_test_copy,
	};
	struct devmem_framework_test_memory memory;

	KUNIT_EXPECT_EQ(test, devmem_framework_test_migrate(test, &memory, &ops), -ENOENT);
	KUNIT_EXPECT_EQ(test, memory.released, 1);
}

static void devmem_framework_test_no_copy(struct kunit *test)
{
	static const struct drm_pagemap_devmem_ops ops = {
		.devmem_release = devmem_framework_test_release,
		.populate_devmem_mpfn = devmem_framework_test_populate,
		.copy_to_devmem = devmem_framework_test_copy,
	};
	struct devmem_framework_test_memory memory;

	KUNIT_EXPECT_EQ(test, devmem_framework_test_migrate(test, &memory, &ops), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, memory.released, 1);
}

/* devmem_release() is optional. */
static void devmem_framework_test_no_release(struct kunit *test)
{
	static const struct drm_pagemap_devmem_ops ops = {};
	struct devmem_framework_test_memory memory;

	KUNIT_EXPECT_EQ(test, devmem_framework_test_migrate(test, &memory, &ops), -EOPNOTSUPP);
}

static struct kunit_case devmem_framework_test_cases[] = {
	KUNIT_CASE(devmem_framework_test_fault_outside),
	KUNIT_CASE(devmem_framework_test_no_memory),
	KUNIT_CASE(devmem_framework_test_no_copy),
	KUNIT_CASE(devmem_framework_test_no_release),
	{}
};

static struct kunit_suite devmem_framework_test_suite = {
	.name = "devmem_framework",
	.test_cases = devmem_framework_test_cases,
};

kunit_test_suite(devmem_framework_test_suite);
