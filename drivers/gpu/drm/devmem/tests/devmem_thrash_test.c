// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <kunit/test.h>

#include "../devmem_thrash.h"

static const struct devmem_thrash_params devmem_thrash_test_params = {
	.bounces = 4, .window = 100, .pin = 1000,
};

/* Bounce every @step until the range is pinned; how many it took, or 0. */
static u32 devmem_thrash_test_run(struct devmem_thrash *thrash, u64 *now, u64 step)
{
	u32 i;

	for (i = 1; i < 100; i++, *now += step)
		if (devmem_thrash_bounce(thrash, &devmem_thrash_test_params, *now))
			return i;
	return 0;
}

static void devmem_thrash_test_pin(struct kunit *test)
{
	struct devmem_thrash thrash = {};
	u64 now = 1000000;

	KUNIT_EXPECT_FALSE(test, devmem_thrash_pinned(&thrash, now));
	KUNIT_EXPECT_EQ(test, devmem_thrash_test_run(&thrash, &now, 1), 4);
	KUNIT_EXPECT_TRUE(test, devmem_thrash_pinned(&thrash, now));
	KUNIT_EXPECT_TRUE(test, devmem_thrash_pinned(&thrash, now + 999));
	KUNIT_EXPECT_FALSE(test, devmem_thrash_pinned(&thrash, now + 1000));
}

/* What is rare enough never counts as thrashing. */
static void devmem_thrash_test_decay(struct kunit *test)
{
	struct devmem_thrash thrash = {};
	u64 now = 1000000;

	KUNIT_EXPECT_EQ(test, devmem_thrash_test_run(&thrash, &now, 100), 0);
	KUNIT_EXPECT_EQ(test, thrash.bounces, 1);
	KUNIT_EXPECT_NE(test, devmem_thrash_test_run(&thrash, &now, 99), 0);

	/* All is forgotten after a long time. */
	now += 64 * 100;
	KUNIT_EXPECT_FALSE(test, devmem_thrash_bounce(&thrash, &devmem_thrash_test_params, now));
	KUNIT_EXPECT_EQ(test, thrash.bounces, 1);
}

/* A range that goes on is pinned for longer, to a limit, and starts over later. */
static void devmem_thrash_test_level(struct kunit *test)
{
	static const u64 pins[] = { 1000, 2000, 4000, 8000, 8000 };
	struct devmem_thrash thrash = {};
	u64 now = 1000000;
	int i;

	for (i = 0; i < ARRAY_SIZE(pins); i++) {
		KUNIT_EXPECT_NE(test, devmem_thrash_test_run(&thrash, &now, 1), 0);
		KUNIT_EXPECT_EQ(test, thrash.until - now, pins[i]);
		now = thrash.until + 1;
	}
	now += 401;
	KUNIT_EXPECT_NE(test, devmem_thrash_test_run(&thrash, &now, 1), 0);
	KUNIT_EXPECT_EQ(test, thrash.until - now, 1000);
}

static void devmem_thrash_test_off(struct kunit *test)
{
	const struct devmem_thrash_params off = { .bounces = 0, .window = 1000, .pin = 1000 };
	struct devmem_thrash thrash = {};
	int i;

	for (i = 0; i < 1000; i++)
		KUNIT_EXPECT_FALSE(test, devmem_thrash_bounce(&thrash, &off, i));
	KUNIT_EXPECT_FALSE(test, devmem_thrash_pinned(&thrash, i));
}

static struct kunit_case devmem_thrash_test_cases[] = {
	KUNIT_CASE(devmem_thrash_test_pin),
	KUNIT_CASE(devmem_thrash_test_decay),
	KUNIT_CASE(devmem_thrash_test_level),
	KUNIT_CASE(devmem_thrash_test_off),
	{}
};

static struct kunit_suite devmem_thrash_test_suite = {
	.name = "devmem_thrash",
	.test_cases = devmem_thrash_test_cases,
};

kunit_test_suite(devmem_thrash_test_suite);
