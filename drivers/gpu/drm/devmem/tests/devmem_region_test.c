// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>

#include "../devmem_device.h"
#include "devmem_test_device.h"

#define DEVMEM_REGION_TEST_SIZE	SZ_16M

static void devmem_region_test_fini(void *data)
{
	devmem_region_fini(data);
}

static void devmem_region_test_depopulate(void *data)
{
	devmem_region_depopulate(data, 0, DEVMEM_REGION_TEST_SIZE);
}

/* A device with device-private pages; skips the test where there can be none. */
static struct devmem_device *devmem_region_test_device(struct kunit *test)
{
	struct devmem_device *dm = devmem_test_device_create(test, DEVMEM_REGION_TEST_SIZE);

	KUNIT_ASSERT_EQ(test, devmem_region_init(dm), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, devmem_region_test_fini, dm), 0);
	if (!devmem_region_registered(dm))
		kunit_skip(test, "no device memory: %d", dm->region.error);
	KUNIT_ASSERT_EQ(test, devmem_region_populate(dm, 0, DEVMEM_REGION_TEST_SIZE), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, devmem_region_test_depopulate,
							dm), 0);
	return dm;
}

/* VRAM address to page and back, for all pages */
static void devmem_region_test_round_trip(struct kunit *test)
{
	struct devmem_device *dm = devmem_region_test_device(test);
	struct page *page, *first = devmem_region_vram_to_page(dm, 0);
	u64 addr;

	for (addr = 0; addr < DEVMEM_REGION_TEST_SIZE; addr += PAGE_SIZE) {
		page = devmem_region_vram_to_page(dm, addr);
		KUNIT_ASSERT_PTR_EQ(test, page, first + (addr >> PAGE_SHIFT));
		KUNIT_ASSERT_TRUE(test, is_device_private_page(page));
		KUNIT_ASSERT_PTR_EQ(test, page_pgmap(page), &dm->region.pagemap);
		KUNIT_ASSERT_EQ(test, devmem_region_page_to_vram(dm, page), addr);
	}
}

/* An address inside of a page stands for the page. */
static void devmem_region_test_inside(struct kunit *test)
{
	struct devmem_device *dm = devmem_region_test_device(test);
	struct page *page = devmem_region_vram_to_page(dm, SZ_64K + PAGE_SIZE - 1);

	KUNIT_EXPECT_PTR_EQ(test, page, devmem_region_vram_to_page(dm, SZ_64K));
	KUNIT_EXPECT_EQ(test, devmem_region_page_to_vram(dm, page), SZ_64K);
}

/* A large folio can be as large as naturally aligned VRAM: so must the pages. */
static void devmem_region_test_alignment(struct kunit *test)
{
	struct devmem_device *dm = devmem_region_test_device(test);
	struct page *page;
	u64 addr;

	for (addr = 0; addr < DEVMEM_REGION_TEST_SIZE; addr += SZ_2M) {
		page = devmem_region_vram_to_page(dm, addr);
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED(device_private_page_to_offset(page),
						   SZ_2M >> PAGE_SHIFT));
	}
}

/* Two devices have pages of their own. */
static void devmem_region_test_two(struct kunit *test)
{
	struct devmem_device *a = devmem_region_test_device(test);
	struct devmem_device *b = devmem_region_test_device(test);
	unsigned long npages = DEVMEM_REGION_TEST_SIZE >> PAGE_SHIFT;
	unsigned long first_a, first_b;

	first_a = device_private_page_to_offset(devmem_region_vram_to_page(a, 0));
	first_b = device_private_page_to_offset(devmem_region_vram_to_page(b, 0));
	KUNIT_EXPECT_TRUE(test, first_a + npages <= first_b || first_b + npages <= first_a);
	KUNIT_EXPECT_EQ(test, devmem_region_page_to_vram(b, devmem_region_vram_to_page(b, SZ_4K)),
			SZ_4K);
	KUNIT_EXPECT_PTR_EQ(test, page_pgmap(devmem_region_vram_to_page(a, SZ_4K)),
			    &a->region.pagemap);
}

struct devmem_region_test_work {
	struct work_struct work;
	struct devmem_device *dm;
	bool done;
};

static void devmem_region_test_unregister(struct work_struct *work)
{
	struct devmem_region_test_work *w =
		container_of(work, struct devmem_region_test_work, work);

	devmem_region_fini(w->dm);
	WRITE_ONCE(w->done, true);
}

/* An allocation can be released when none of its pages is in use any more. */
static void devmem_region_test_fini_waits(struct kunit *test)
{
	struct devmem_device *dm = devmem_test_device_create(test, DEVMEM_REGION_TEST_SIZE);
	struct devmem_region_test_work w = { .dm = dm };
	int i;

	KUNIT_ASSERT_EQ(test, devmem_region_init(dm), 0);
	if (!devmem_region_registered(dm)) {
		devmem_region_fini(dm);
		kunit_skip(test, "no device memory: %d", dm->region.error);
	}
	KUNIT_EXPECT_EQ(test, devmem_region_populate(dm, SZ_2M, SZ_2M), 0);

	INIT_WORK_ONSTACK(&w.work, devmem_region_test_unregister);
	schedule_work(&w.work);
	for (i = 0; i < 500 && !percpu_ref_is_dying(&dm->region.pagemap.ref); i++)
		msleep(20);
	msleep(100);
	KUNIT_EXPECT_FALSE(test, READ_ONCE(w.done));
	KUNIT_EXPECT_EQ(test, devmem_region_populate(dm, 0, SZ_2M), -ENODEV);
	devmem_region_depopulate(dm, SZ_2M, SZ_2M);
	flush_work(&w.work);
	destroy_work_on_stack(&w.work);
	KUNIT_EXPECT_TRUE(test, w.done);
}

static struct kunit_case devmem_region_test_cases[] = {
	KUNIT_CASE(devmem_region_test_round_trip),
	KUNIT_CASE(devmem_region_test_inside),
	KUNIT_CASE(devmem_region_test_alignment),
	KUNIT_CASE(devmem_region_test_two),
	KUNIT_CASE(devmem_region_test_fini_waits),
	{}
};

static struct kunit_suite devmem_region_test_suite = {
	.name = "devmem_region",
	.test_cases = devmem_region_test_cases,
};

kunit_test_suite(devmem_region_test_suite);
