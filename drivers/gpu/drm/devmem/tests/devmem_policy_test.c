// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/devmem_drm.h>
#include <kunit/test.h>
#include <linux/sizes.h>

#include "../devmem_policy.h"

static int devmem_policy_test_init(struct kunit *test)
{
	struct devmem_policy *policy = kunit_kzalloc(test, sizeof(*policy), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, policy);
	devmem_policy_init(policy);
	test->priv = policy;
	return 0;
}

static void devmem_policy_test_exit(struct kunit *test)
{
	if (test->priv)
		devmem_policy_fini(test->priv);
}

static int devmem_policy_test_set(struct kunit *test, unsigned long start, unsigned long end,
				  u32 attr, u32 value)
{
	struct devmem_policy *policy = test->priv;
	int err;

	mutex_lock(&policy->lock);
	err = devmem_policy_set(policy, start, end, attr, value);
	mutex_unlock(&policy->lock);
	return err;
}

/* An address has these attributes, from @first to @stop. */
static void devmem_policy_test_expect(struct kunit *test, unsigned long addr,
				      unsigned long first, unsigned long stop,
				      struct devmem_attrs want)
{
	unsigned long start = 0, end = SZ_1G;
	struct devmem_attrs got;

	got = devmem_policy_get(test->priv, addr, &start, &end);
	KUNIT_EXPECT_EQ_MSG(test, got.preferred, want.preferred, "at %#lx", addr);
	KUNIT_EXPECT_EQ_MSG(test, got.migration, want.migration, "at %#lx", addr);
	KUNIT_EXPECT_EQ_MSG(test, got.atomic, want.atomic, "at %#lx", addr);
	KUNIT_EXPECT_EQ_MSG(test, got.device, want.device, "at %#lx", addr);
	KUNIT_EXPECT_EQ_MSG(test, start, first, "at %#lx", addr);
	KUNIT_EXPECT_EQ_MSG(test, end, stop, "at %#lx", addr);
}

static void devmem_policy_test_default(struct kunit *test)
{
	devmem_policy_test_expect(test, SZ_1M, 0, SZ_1G, (struct devmem_attrs) {});
}

/* Attributes do not touch each other, and a stretch ends where one changes. */
static void devmem_policy_test_overlap(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, devmem_policy_test_set(test, SZ_1M, 3 * SZ_1M,
						     DRM_DEVMEM_ATTR_PREFERRED,
						     DRM_DEVMEM_PREFERRED_SYSTEM), 0);
	KUNIT_ASSERT_EQ(test, devmem_policy_test_set(test, 2 * SZ_1M, 4 * SZ_1M,
						     DRM_DEVMEM_ATTR_ATOMIC,
						     DRM_DEVMEM_ATOMIC_CPU), 0);

	devmem_policy_test_expect(test, SZ_1M - 1, 0, SZ_1M, (struct devmem_attrs) {});
	devmem_policy_test_expect(test, SZ_1M, SZ_1M, 2 * SZ_1M, (struct devmem_attrs) {
		.preferred = DRM_DEVMEM_PREFERRED_SYSTEM });
	devmem_policy_test_expect(test, 3 * SZ_1M - 1, 2 * SZ_1M, 3 * SZ_1M,
				  (struct devmem_attrs) {
		.preferred = DRM_DEVMEM_PREFERRED_SYSTEM, .atomic = DRM_DEVMEM_ATOMIC_CPU });
	devmem_policy_test_expect(test, 3 * SZ_1M, 3 * SZ_1M, 4 * SZ_1M,
				  (struct devmem_attrs) { .atomic = DRM_DEVMEM_ATOMIC_CPU });
	devmem_policy_test_expect(test, 4 * SZ_1M, 4 * SZ_1M, SZ_1G, (struct devmem_attrs) {});
}

/* A new value replaces the old one where it is set and nowhere else. */
static void devmem_policy_test_replace(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, devmem_policy_test_set(test, 0, 4 * SZ_1M,
						     DRM_DEVMEM_ATTR_MIGRATION,
						     DRM_DEVMEM_MIGRATION_NEVER), 0);
	KUNIT_ASSERT_EQ(test, devmem_policy_test_set(test, SZ_1M, SZ_2M,
						     DRM_DEVMEM_ATTR_MIGRATION,
						     DRM_DEVMEM_MIGRATION_ON_PREFETCH), 0);
	devmem_policy_test_expect(test, 0, 0, SZ_1M, (struct devmem_attrs) {
		.migration = DRM_DEVMEM_MIGRATION_NEVER });
	devmem_policy_test_expect(test, SZ_1M, SZ_1M, SZ_2M, (struct devmem_attrs) {
		.migration = DRM_DEVMEM_MIGRATION_ON_PREFETCH });
	devmem_policy_test_expect(test, SZ_2M, SZ_2M, 4 * SZ_1M, (struct devmem_attrs) {
		.migration = DRM_DEVMEM_MIGRATION_NEVER });
}

/* Back to the default there is no entry left, by value and by reset. */
static void devmem_policy_test_reset(struct kunit *test)
{
	struct devmem_policy *policy = test->priv;

	KUNIT_ASSERT_EQ(test, devmem_policy_test_set(test, 0, SZ_4M, DRM_DEVMEM_ATTR_ATOMIC,
						     DRM_DEVMEM_ATOMIC_DEVICE), 0);
	KUNIT_ASSERT_EQ(test, devmem_policy_test_set(test, 0, SZ_4M, DRM_DEVMEM_ATTR_ATOMIC,
						     DRM_DEVMEM_ATOMIC_DEFAULT), 0);
	KUNIT_EXPECT_TRUE(test, mtree_empty(&policy->tree));

	KUNIT_ASSERT_EQ(test, devmem_policy_test_set(test, 0, SZ_4M, DRM_DEVMEM_ATTR_ATOMIC,
						     DRM_DEVMEM_ATOMIC_DEVICE), 0);
	KUNIT_ASSERT_EQ(test, devmem_policy_test_set(test, 0, SZ_2M, DRM_DEVMEM_ATTR_PREFERRED,
						     DRM_DEVMEM_PREFERRED_DEVICE), 0);
	KUNIT_ASSERT_EQ(test, devmem_policy_test_set(test, 0, SZ_8M, DRM_DEVMEM_ATTR_RESET,
						     0), 0);
	KUNIT_EXPECT_TRUE(test, mtree_empty(&policy->tree));
}

/* The number of a device goes with the preferred location, and with nothing else. */
static void devmem_policy_test_device(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, devmem_policy_test_set(test, 0, SZ_4M, DRM_DEVMEM_ATTR_PREFERRED,
						     DRM_DEVMEM_PREFERRED_FD | 255 << 8), 0);
	KUNIT_ASSERT_EQ(test, devmem_policy_test_set(test, 0, SZ_2M, DRM_DEVMEM_ATTR_ATOMIC,
						     DRM_DEVMEM_ATOMIC_CPU), 0);
	KUNIT_ASSERT_EQ(test, devmem_policy_test_set(test, SZ_1M, SZ_2M,
						     DRM_DEVMEM_ATTR_PREFERRED,
						     DRM_DEVMEM_PREFERRED_SYSTEM), 0);

	devmem_policy_test_expect(test, 0, 0, SZ_1M, (struct devmem_attrs) {
		.preferred = DRM_DEVMEM_PREFERRED_FD, .device = 255,
		.atomic = DRM_DEVMEM_ATOMIC_CPU });
	devmem_policy_test_expect(test, SZ_1M, SZ_1M, SZ_2M, (struct devmem_attrs) {
		.preferred = DRM_DEVMEM_PREFERRED_SYSTEM, .atomic = DRM_DEVMEM_ATOMIC_CPU });
	devmem_policy_test_expect(test, SZ_2M, SZ_2M, SZ_4M, (struct devmem_attrs) {
		.preferred = DRM_DEVMEM_PREFERRED_FD, .device = 255 });
}

/* What is unmapped is forgotten, and what is around it stays. */
static void devmem_policy_test_forget(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, devmem_policy_test_set(test, SZ_1M, SZ_8M,
						     DRM_DEVMEM_ATTR_PREFERRED,
						     DRM_DEVMEM_PREFERRED_SYSTEM), 0);
	devmem_policy_forget(test->priv, 0, SZ_1M);
	devmem_policy_forget(test->priv, SZ_2M, SZ_4M);
	devmem_policy_forget(test->priv, SZ_8M, SZ_16M);

	devmem_policy_test_expect(test, SZ_1M, SZ_1M, SZ_2M, (struct devmem_attrs) {
		.preferred = DRM_DEVMEM_PREFERRED_SYSTEM });
	devmem_policy_test_expect(test, SZ_2M, SZ_2M, SZ_4M, (struct devmem_attrs) {});
	devmem_policy_test_expect(test, SZ_4M, SZ_4M, SZ_8M, (struct devmem_attrs) {
		.preferred = DRM_DEVMEM_PREFERRED_SYSTEM });
}

/* Pages with an attribute and without it in turn: where that ends, and how it goes on. */
static void devmem_policy_test_limit(struct kunit *test)
{
	const unsigned int limit = 65536;
	unsigned long addr = 0;
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i <= limit; i++, addr += 2 * SZ_4K)
		err = devmem_policy_test_set(test, addr, addr + SZ_4K, DRM_DEVMEM_ATTR_ATOMIC,
					     DRM_DEVMEM_ATOMIC_CPU);
	KUNIT_ASSERT_EQ(test, err, -ENOSPC);
	KUNIT_EXPECT_EQ(test, i, limit + 1);

	/* No stretch comes of changing a whole one, and two go. */
	KUNIT_EXPECT_EQ(test, devmem_policy_test_set(test, 0, SZ_4K, DRM_DEVMEM_ATTR_ATOMIC,
						     DRM_DEVMEM_ATOMIC_GLOBAL), 0);
	KUNIT_EXPECT_EQ(test, devmem_policy_test_set(test, 0, 4 * SZ_4K,
						     DRM_DEVMEM_ATTR_RESET, 0), 0);
	KUNIT_EXPECT_EQ(test, devmem_policy_test_set(test, addr, addr + SZ_4K,
						     DRM_DEVMEM_ATTR_ATOMIC,
						     DRM_DEVMEM_ATOMIC_CPU), 0);
	/* What is unmapped makes room as well. */
	devmem_policy_forget(test->priv, 0, addr);
	KUNIT_EXPECT_EQ(test, devmem_policy_test_set(test, SZ_4K, 2 * SZ_4K,
						     DRM_DEVMEM_ATTR_ATOMIC,
						     DRM_DEVMEM_ATOMIC_CPU), 0);
}

static struct kunit_case devmem_policy_test_cases[] = {
	KUNIT_CASE(devmem_policy_test_default),
	KUNIT_CASE(devmem_policy_test_overlap),
	KUNIT_CASE(devmem_policy_test_replace),
	KUNIT_CASE(devmem_policy_test_reset),
	KUNIT_CASE(devmem_policy_test_device),
	KUNIT_CASE(devmem_policy_test_forget),
	KUNIT_CASE(devmem_policy_test_limit),
	{}
};

static struct kunit_suite devmem_policy_test_suite = {
	.name = "devmem_policy",
	.init = devmem_policy_test_init,
	.exit = devmem_policy_test_exit,
	.test_cases = devmem_policy_test_cases,
};

kunit_test_suite(devmem_policy_test_suite);
