// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <kunit/test.h>
#include <linux/errno.h>

#include "../devmem_report.h"

static void devmem_report_test_add(struct devmem_report *report, u64 count)
{
	struct drm_devmem_fault fault = {};
	u64 i;

	for (i = 0; i < count; i++) {
		fault.addr = report->total;
		devmem_report_add(report, &fault);
	}
}

/* The latest come first, and of too many the oldest are gone. */
static void devmem_report_test_order(struct kunit *test)
{
	static const u32 counts[] = { 0, 3, DRM_DEVMEM_MAX_FAULTS, 1, 100 };
	struct devmem_report *report = kunit_kzalloc(test, sizeof(*report), GFP_KERNEL);
	struct drm_devmem_fault *out;
	u64 total = 0, got;
	u32 i, j, num;

	out = kunit_kcalloc(test, DRM_DEVMEM_MAX_FAULTS, sizeof(*out), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, report);
	KUNIT_ASSERT_NOT_NULL(test, out);
	devmem_report_init(report);

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		devmem_report_test_add(report, counts[i]);
		total += counts[i];
		num = devmem_report_read(report, out, &got);
		KUNIT_EXPECT_EQ(test, got, total);
		KUNIT_EXPECT_EQ(test, num, min_t(u64, total, DRM_DEVMEM_MAX_FAULTS));
		for (j = 0; j < num; j++)
			KUNIT_EXPECT_EQ(test, out[j].addr, total - 1 - j);
	}
}

static void devmem_report_test_reason(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, devmem_report_reason(-ENOENT), DRM_DEVMEM_FAULT_NOT_MAPPED);
	KUNIT_EXPECT_EQ(test, devmem_report_reason(-EPERM), DRM_DEVMEM_FAULT_READ_ONLY);
	KUNIT_EXPECT_EQ(test, devmem_report_reason(-EFAULT), DRM_DEVMEM_FAULT_NO_ACCESS);
	KUNIT_EXPECT_EQ(test, devmem_report_reason(-EIO), DRM_DEVMEM_FAULT_NOT_MEMORY);
	KUNIT_EXPECT_EQ(test, devmem_report_reason(-EACCES), DRM_DEVMEM_FAULT_ATOMIC_POLICY);
	KUNIT_EXPECT_EQ(test, devmem_report_reason(-ENOMEM), DRM_DEVMEM_FAULT_NO_MEMORY);
	KUNIT_EXPECT_EQ(test, devmem_report_reason(-ENOSPC), DRM_DEVMEM_FAULT_NO_MEMORY);
	KUNIT_EXPECT_EQ(test, devmem_report_reason(-EAGAIN), DRM_DEVMEM_FAULT_BUSY);
}

static struct kunit_case devmem_report_test_cases[] = {
	KUNIT_CASE(devmem_report_test_order),
	KUNIT_CASE(devmem_report_test_reason),
	{}
};

static struct kunit_suite devmem_report_test_suite = {
	.name = "devmem_report",
	.test_cases = devmem_report_test_cases,
};

kunit_test_suite(devmem_report_test_suite);
