// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <kunit/test.h>
#include <linux/log2.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../devmem_device.h"
#include "../devmem_stats.h"
#include "devmem_test_device.h"

#define DEVMEM_VRAM_TEST_SIZE	SZ_16M

/* Each size: naturally aligned, inside of VRAM, not at address zero, counted. */
static void devmem_vram_test_sizes(struct kunit *test)
{
	struct devmem_device *dm = devmem_test_device_create(test, DEVMEM_VRAM_TEST_SIZE);
	u64 available = devmem_vram_available(dm), size;
	struct devmem_bo *bo;

	for (size = SZ_4K; size <= SZ_2M; size *= 2) {
		bo = devmem_vram_alloc(dm, size, NULL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, bo);
		KUNIT_EXPECT_NE(test, devmem_vram_addr(bo), 0);
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED(devmem_vram_addr(bo), size));
		KUNIT_EXPECT_LE(test, devmem_vram_addr(bo) + size, DEVMEM_VRAM_TEST_SIZE);
		KUNIT_EXPECT_EQ(test, devmem_vram_available(dm), available - size);
		devmem_vram_put(bo);
		KUNIT_EXPECT_EQ(test, devmem_vram_available(dm), available);
	}
}

/* Allocations of two kinds do not overlap: each keeps what is written to it. */
static void devmem_vram_test_overlap(struct kunit *test)
{
	struct devmem_device *dm = devmem_test_device_create(test, DEVMEM_VRAM_TEST_SIZE);
	static const u64 sizes[] = { SZ_4K, SZ_64K, SZ_2M, SZ_4K, SZ_64K };
	struct devmem_bo *bo[ARRAY_SIZE(sizes)];
	u64 kernel[ARRAY_SIZE(sizes)];
	u8 *out;
	int i;

	out = kunit_kmalloc(test, SZ_64K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, out);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		bo[i] = devmem_vram_alloc(dm, sizes[i], NULL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, bo[i]);
		KUNIT_ASSERT_EQ(test, devmem_vram_alloc_kernel(dm, SZ_64K, &kernel[i]), 0);
		memset(out, 0x10 + i, SZ_64K);
		devmem_hw_vram_write(dm, devmem_vram_addr(bo[i]), out, min(sizes[i], SZ_64K));
		memset(out, 0x80 + i, SZ_64K);
		devmem_hw_vram_write(dm, kernel[i], out, SZ_64K);
	}
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		devmem_hw_vram_read(dm, devmem_vram_addr(bo[i]), out, min(sizes[i], SZ_64K));
		KUNIT_EXPECT_NULL(test, memchr_inv(out, 0x10 + i, min(sizes[i], SZ_64K)));
		devmem_hw_vram_read(dm, kernel[i], out, SZ_64K);
		KUNIT_EXPECT_NULL(test, memchr_inv(out, 0x80 + i, SZ_64K));
		devmem_vram_put(bo[i]);
		devmem_vram_free_kernel(dm, kernel[i]);
	}
}

/* Any address of an allocation leads to it, and none beside it. */
static void devmem_vram_test_find(struct kunit *test)
{
	struct devmem_device *dm = devmem_test_device_create(test, DEVMEM_VRAM_TEST_SIZE);
	struct devmem_bo *a, *b;

	a = devmem_vram_alloc(dm, SZ_64K, NULL);
	b = devmem_vram_alloc(dm, SZ_64K, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, a);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, b);
	KUNIT_EXPECT_PTR_EQ(test, devmem_vram_find(dm, devmem_vram_addr(a)), a);
	KUNIT_EXPECT_PTR_EQ(test, devmem_vram_find(dm, devmem_vram_addr(a) + SZ_64K - 1), a);
	KUNIT_EXPECT_PTR_EQ(test, devmem_vram_find(dm, devmem_vram_addr(b) + SZ_4K), b);
	devmem_vram_put(a);
	devmem_vram_put(b);
}

/* VRAM can be used up to the last page, says so, and is whole again after. */
static void devmem_vram_test_exhaust(struct kunit *test)
{
	struct devmem_device *dm = devmem_test_device_create(test, DEVMEM_VRAM_TEST_SIZE);
	u64 available = devmem_vram_available(dm), *addr;
	unsigned int n = 0, i;
	int err;

	addr = kunit_kmalloc_array(test, DEVMEM_VRAM_TEST_SIZE / SZ_4K, sizeof(*addr), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, addr);
	while (n < DEVMEM_VRAM_TEST_SIZE / SZ_4K) {
		err = devmem_vram_alloc_kernel(dm, SZ_4K, &addr[n]);
		if (err)
			break;
		n++;
	}
	KUNIT_EXPECT_EQ(test, err, -ENOSPC);
	KUNIT_EXPECT_EQ(test, (u64)n * SZ_4K, available);
	KUNIT_EXPECT_EQ(test, devmem_vram_available(dm), 0);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(devmem_vram_alloc(dm, SZ_4K, NULL)), -ENOSPC);

	/* One page back is one page to have. */
	if (n) {
		devmem_vram_free_kernel(dm, addr[n / 2]);
		KUNIT_EXPECT_EQ(test, devmem_vram_alloc_kernel(dm, SZ_4K, &addr[n / 2]), 0);
	}
	for (i = 0; i < n; i++)
		devmem_vram_free_kernel(dm, addr[i]);
	KUNIT_EXPECT_EQ(test, devmem_vram_available(dm), available);

	/* Whole again: the free pages were merged. */
	err = devmem_vram_alloc_kernel(dm, DEVMEM_VRAM_TEST_SIZE / 2, &addr[0]);
	KUNIT_EXPECT_EQ(test, err, 0);
	if (!err)
		devmem_vram_free_kernel(dm, addr[0]);
}

/* Memory of the driver is zero, also where something else was before. */
static void devmem_vram_test_zero(struct kunit *test)
{
	struct devmem_device *dm = devmem_test_device_create(test, DEVMEM_VRAM_TEST_SIZE);
	u64 old, addr;
	u8 *buf;

	buf = kunit_kmalloc(test, SZ_64K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_ASSERT_EQ(test, devmem_vram_alloc_kernel(dm, SZ_64K, &old), 0);
	memset(buf, 0xa5, SZ_64K);
	KUNIT_EXPECT_EQ(test, devmem_hw_vram_write(dm, old, buf, SZ_64K), 0);
	devmem_vram_free_kernel(dm, old);

	KUNIT_ASSERT_EQ(test, devmem_vram_alloc_kernel(dm, SZ_64K, &addr), 0);
	/* Else the test would prove nothing. */
	KUNIT_EXPECT_EQ(test, addr, old);
	KUNIT_EXPECT_EQ(test, devmem_hw_vram_read(dm, addr, buf, SZ_64K), 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(buf, 0, SZ_64K));
	devmem_vram_free_kernel(dm, addr);
}

/* More than there is can't be had, and costs nothing; the last byte can be used. */
static void devmem_vram_test_bounds(struct kunit *test)
{
	struct devmem_device *dm = devmem_test_device_create(test, DEVMEM_VRAM_TEST_SIZE);
	u64 available = devmem_vram_available(dm), addr;
	u32 in = 0x12345678, out = 0;

	KUNIT_EXPECT_LT(test, devmem_vram_alloc_kernel(dm, 2 * DEVMEM_VRAM_TEST_SIZE, &addr), 0);
	KUNIT_EXPECT_EQ(test, devmem_vram_available(dm), available);
	KUNIT_EXPECT_EQ(test, devmem_hw_vram_write(dm, DEVMEM_VRAM_TEST_SIZE - 4, &in, 4), 0);
	KUNIT_EXPECT_EQ(test, devmem_hw_vram_read(dm, DEVMEM_VRAM_TEST_SIZE - 4, &out, 4), 0);
	KUNIT_EXPECT_EQ(test, out, in);
}

/* An allocation holds the counters that it was made with. */
static void devmem_vram_test_stats(struct kunit *test)
{
	struct devmem_device *dm = devmem_test_device_create(test, DEVMEM_VRAM_TEST_SIZE);
	struct devmem_stats *stats = devmem_stats_create();
	struct devmem_bo *bo;

	KUNIT_ASSERT_NOT_NULL(test, stats);
	bo = devmem_vram_alloc(dm, SZ_4K, stats);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, bo);
	KUNIT_EXPECT_EQ(test, kref_read(&stats->kref), 2);
	devmem_vram_put(bo);
	devmem_vram_available(dm);
	KUNIT_EXPECT_EQ(test, kref_read(&stats->kref), 1);
	devmem_stats_put(stats);
}

/* A large GPU costs no more memory than is touched. */
static void devmem_vram_test_sparse(struct kunit *test)
{
	u64 size = 1ull << 40, word = 0x0123456789abcdefull, out = 0;
	struct devmem_device *dm = devmem_test_device_create(test, size);
	u64 addr;

	KUNIT_EXPECT_EQ(test, devmem_vram_available(dm), size - SZ_4K);
	KUNIT_ASSERT_EQ(test, devmem_vram_alloc_kernel(dm, SZ_4K, &addr), 0);
	KUNIT_EXPECT_GT(test, addr, size / 2);
	KUNIT_EXPECT_EQ(test, devmem_hw_vram_write(dm, addr, &word, sizeof(word)), 0);
	KUNIT_EXPECT_EQ(test, devmem_hw_vram_read(dm, addr, &out, sizeof(out)), 0);
	KUNIT_EXPECT_EQ(test, out, word);
	devmem_vram_free_kernel(dm, addr);
}

static struct kunit_case devmem_vram_test_cases[] = {
	KUNIT_CASE(devmem_vram_test_sizes),
	KUNIT_CASE(devmem_vram_test_overlap),
	KUNIT_CASE(devmem_vram_test_find),
	KUNIT_CASE(devmem_vram_test_exhaust),
	KUNIT_CASE(devmem_vram_test_zero),
	KUNIT_CASE(devmem_vram_test_bounds),
	KUNIT_CASE(devmem_vram_test_stats),
	KUNIT_CASE(devmem_vram_test_sparse),
	{}
};

static struct kunit_suite devmem_vram_test_suite = {
	.name = "devmem_vram",
	.test_cases = devmem_vram_test_cases,
};

kunit_test_suite(devmem_vram_test_suite);
