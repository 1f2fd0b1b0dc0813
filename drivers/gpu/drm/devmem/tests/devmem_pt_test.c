// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/sizes.h>

#include "../devmem_device.h"
#include "../devmem_vm.h"
#include "devmem_test_device.h"

#define DEVMEM_PT_TEST_VRAM	SZ_16M

/* A 2 MiB range in the middle of nowhere */
#define DEVMEM_PT_TEST_VA	0x7f1234000000ull

/* Translations never read what they point to: any aligned address will do. */
#define DEVMEM_PT_TEST_ADDR	0x00800000ull
#define DEVMEM_PT_TEST_BUS	0x00cafe0000000000ull

#define DEVMEM_PT_TEST_LEAF	(GPU_PTE_VALID | GPU_PTE_LEAF)

/**
 * struct devmem_pt_walk - what the hardware finds for an address
 * @leaf: the leaf, or 0
 * @level: level of the leaf, or of the entry that is not valid
 */
struct devmem_pt_walk {
	u64 leaf;
	int level;
};

/* Walk the tables in VRAM as gpu/gpu_regs.h says, without the driver's help. */
static struct devmem_pt_walk devmem_pt_test_walk(struct kunit *test,
						 struct devmem_vm *vm, u64 va)
{
	u64 table = devmem_pt_root(vm), entry;
	struct devmem_pt_walk walk = {};

	for (walk.level = GPU_PT_LEVELS - 1; walk.level >= 0; walk.level--) {
		u64 index = (va >> GPU_PT_SHIFT(walk.level)) % GPU_PT_ENTRIES;

		entry = devmem_hw_vram_read64(vm->dm, table + 8 * index);
		if (!(entry & GPU_PTE_VALID)) {
			KUNIT_EXPECT_EQ(test, entry, 0);
			return walk;
		}
		if (entry & GPU_PTE_LEAF) {
			KUNIT_EXPECT_LE(test, walk.level, 1);
			walk.leaf = entry;
			return walk;
		}
		/* Only address and valid bit in an entry that leads to a table */
		KUNIT_EXPECT_EQ(test, entry & ~GPU_PTE_ADDR, GPU_PTE_VALID);
		KUNIT_ASSERT_GT(test, walk.level, 0);
		table = entry & GPU_PTE_ADDR;
		KUNIT_ASSERT_LT(test, table, DEVMEM_PT_TEST_VRAM);
	}
	return walk;
}

/* The hardware and the driver find @leaf at @level for @va. */
static void devmem_pt_test_expect(struct kunit *test, struct devmem_vm *vm, u64 va,
				  u64 leaf, int level)
{
	struct devmem_pt_walk walk = devmem_pt_test_walk(test, vm, va);

	KUNIT_EXPECT_EQ_MSG(test, walk.leaf, leaf, "leaf at %#llx", va);
	KUNIT_EXPECT_EQ_MSG(test, walk.level, level, "level at %#llx", va);
	KUNIT_EXPECT_EQ_MSG(test, devmem_pt_query(vm, va), leaf, "query of %#llx", va);
}

/* The hardware and the driver find nothing for @va. */
static void devmem_pt_test_expect_none(struct kunit *test, struct devmem_vm *vm, u64 va)
{
	KUNIT_EXPECT_EQ_MSG(test, devmem_pt_test_walk(test, vm, va).leaf, 0, "leaf at %#llx", va);
	KUNIT_EXPECT_EQ_MSG(test, devmem_pt_query(vm, va), 0, "query of %#llx", va);
}

static void devmem_pt_test_fini(void *data)
{
	struct devmem_vm *vm = data;

	devmem_pt_fini(vm);
}

/* As much of a VM as a page table needs */
static struct devmem_vm *devmem_pt_test_vm(struct kunit *test)
{
	struct devmem_vm *vm = kunit_kzalloc(test, sizeof(*vm), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, vm);
	vm->dm = devmem_test_device_create(test, DEVMEM_PT_TEST_VRAM);
	KUNIT_ASSERT_EQ(test, devmem_pt_init(vm), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, devmem_pt_test_fini, vm), 0);
	return vm;
}

/* Nothing is mapped in a new table, nor after tables were prepared. */
static void devmem_pt_test_empty(struct kunit *test)
{
	struct devmem_vm *vm = devmem_pt_test_vm(test);

	devmem_pt_test_expect_none(test, vm, 0);
	devmem_pt_test_expect_none(test, vm, DEVMEM_PT_TEST_VA);
	KUNIT_ASSERT_EQ(test, devmem_pt_prepare(vm, DEVMEM_PT_TEST_VA,
						DEVMEM_PT_TEST_VA + SZ_2M), 0);
	devmem_pt_test_expect_none(test, vm, DEVMEM_PT_TEST_VA);
	KUNIT_EXPECT_EQ(test, devmem_pt_test_walk(test, vm, DEVMEM_PT_TEST_VA).level, 0);

	/* Where no table is, taking away is nothing. */
	devmem_pt_zap(vm, 0, SZ_64K);
	devmem_pt_test_expect_none(test, vm, 0);
}

/* One page: address and rights, and nothing beside it. */
static void devmem_pt_test_page(struct kunit *test)
{
	u64 va = DEVMEM_PT_TEST_VA + SZ_64K;
	struct devmem_vm *vm = devmem_pt_test_vm(test);

	KUNIT_ASSERT_EQ(test, devmem_pt_prepare(vm, va, va + SZ_4K), 0);
	devmem_pt_map(vm, va, DEVMEM_PT_TEST_ADDR, SZ_4K, 0);
	devmem_pt_test_expect(test, vm, va, DEVMEM_PT_TEST_ADDR | DEVMEM_PT_TEST_LEAF, 0);
	devmem_pt_test_expect(test, vm, va + SZ_4K - 1,
			      DEVMEM_PT_TEST_ADDR | DEVMEM_PT_TEST_LEAF, 0);
	devmem_pt_test_expect_none(test, vm, va - 1);
	devmem_pt_test_expect_none(test, vm, va + SZ_4K);

	devmem_pt_zap(vm, va, va + SZ_4K);
	devmem_pt_test_expect_none(test, vm, va);

	devmem_pt_map(vm, va, DEVMEM_PT_TEST_BUS, SZ_4K, GPU_PTE_WRITE | GPU_PTE_SYSTEM);
	devmem_pt_test_expect(test, vm, va, DEVMEM_PT_TEST_BUS | DEVMEM_PT_TEST_LEAF |
			      GPU_PTE_WRITE | GPU_PTE_SYSTEM, 0);
}

/* Pages on both sides of the border between two tables */
static void devmem_pt_test_border(struct kunit *test)
{
	u64 va = DEVMEM_PT_TEST_VA + SZ_2M - 2 * SZ_4K, i;
	struct devmem_vm *vm = devmem_pt_test_vm(test);

	KUNIT_ASSERT_EQ(test, devmem_pt_prepare(vm, va, va + 4 * SZ_4K), 0);
	devmem_pt_map(vm, va, DEVMEM_PT_TEST_ADDR, 4 * SZ_4K, GPU_PTE_WRITE);
	for (i = 0; i < 4; i++)
		devmem_pt_test_expect(test, vm, va + i * SZ_4K,
				      (DEVMEM_PT_TEST_ADDR + i * SZ_4K) |
				      DEVMEM_PT_TEST_LEAF | GPU_PTE_WRITE, 0);

	/* Take the two in the middle away, one of each table. */
	devmem_pt_zap(vm, va + SZ_4K, va + 3 * SZ_4K);
	devmem_pt_test_expect(test, vm, va, DEVMEM_PT_TEST_ADDR | DEVMEM_PT_TEST_LEAF |
			      GPU_PTE_WRITE, 0);
	devmem_pt_test_expect_none(test, vm, va + SZ_4K);
	devmem_pt_test_expect_none(test, vm, va + 2 * SZ_4K);
	devmem_pt_test_expect(test, vm, va + 3 * SZ_4K, (DEVMEM_PT_TEST_ADDR + 3 * SZ_4K) |
			      DEVMEM_PT_TEST_LEAF | GPU_PTE_WRITE, 0);
}

/* 2 MiB, aligned: one leaf, with pages behind it as pages. */
static void devmem_pt_test_large(struct kunit *test)
{
	u64 va = DEVMEM_PT_TEST_VA, leaf = DEVMEM_PT_TEST_ADDR | DEVMEM_PT_TEST_LEAF;
	struct devmem_vm *vm = devmem_pt_test_vm(test);

	KUNIT_ASSERT_EQ(test, devmem_pt_prepare(vm, va, va + SZ_2M + SZ_8K), 0);
	devmem_pt_map(vm, va, DEVMEM_PT_TEST_ADDR, SZ_2M + SZ_8K, 0);
	devmem_pt_test_expect(test, vm, va, leaf, 1);
	devmem_pt_test_expect(test, vm, va + SZ_1M + 123, leaf, 1);
	devmem_pt_test_expect(test, vm, va + SZ_2M, leaf + SZ_2M, 0);
	devmem_pt_test_expect(test, vm, va + SZ_2M + SZ_4K, leaf + SZ_2M + SZ_4K, 0);
	devmem_pt_test_expect_none(test, vm, va + SZ_2M + SZ_8K);
}

/* 2 MiB that are not aligned on both sides: pages. */
static void devmem_pt_test_unaligned(struct kunit *test)
{
	u64 va = DEVMEM_PT_TEST_VA, addr = DEVMEM_PT_TEST_ADDR + SZ_4K;
	struct devmem_vm *vm = devmem_pt_test_vm(test);

	KUNIT_ASSERT_EQ(test, devmem_pt_prepare(vm, va, va + 2 * SZ_2M), 0);
	devmem_pt_map(vm, va, addr, SZ_2M, 0);
	devmem_pt_test_expect(test, vm, va, addr | DEVMEM_PT_TEST_LEAF, 0);
	devmem_pt_test_expect(test, vm, va + SZ_2M - 1,
			      (addr + SZ_2M - SZ_4K) | DEVMEM_PT_TEST_LEAF, 0);
	devmem_pt_test_expect_none(test, vm, va + SZ_2M);
}

/* A leaf of 2 MiB parks the table that it replaces, and gives it back, empty. */
static void devmem_pt_test_park(struct kunit *test)
{
	u64 va = DEVMEM_PT_TEST_VA, leaf = DEVMEM_PT_TEST_ADDR | DEVMEM_PT_TEST_LEAF;
	struct devmem_vm *vm = devmem_pt_test_vm(test);
	u64 available, i;

	KUNIT_ASSERT_EQ(test, devmem_pt_prepare(vm, va, va + SZ_2M), 0);
	available = devmem_vram_available(vm->dm);

	for (i = 0; i < 3; i++) {
		devmem_pt_map(vm, va + SZ_4K, DEVMEM_PT_TEST_ADDR, SZ_4K, 0);
		devmem_pt_test_expect(test, vm, va + SZ_4K, leaf, 0);
		devmem_pt_zap(vm, va, va + SZ_2M);
		devmem_pt_test_expect_none(test, vm, va + SZ_4K);

		devmem_pt_map(vm, va, DEVMEM_PT_TEST_ADDR, SZ_2M, 0);
		devmem_pt_test_expect(test, vm, va + SZ_4K, leaf, 1);
		devmem_pt_zap(vm, va, va + SZ_2M);
		devmem_pt_test_expect_none(test, vm, va);
		devmem_pt_test_expect_none(test, vm, va + SZ_4K);
		KUNIT_EXPECT_EQ(test, devmem_pt_test_walk(test, vm, va).level, 0);
	}

	/* All that without another table. */
	KUNIT_EXPECT_EQ(test, devmem_vram_available(vm->dm), available);
}

/* The first and the last address there are, and their neighbours at each level */
static void devmem_pt_test_far(struct kunit *test)
{
	u64 last = (1ull << GPU_VA_BITS) - SZ_4K, va;
	struct devmem_vm *vm = devmem_pt_test_vm(test);
	int level;

	KUNIT_ASSERT_EQ(test, devmem_pt_prepare(vm, 0, SZ_4K), 0);
	KUNIT_ASSERT_EQ(test, devmem_pt_prepare(vm, last, last + SZ_4K), 0);
	devmem_pt_map(vm, 0, DEVMEM_PT_TEST_ADDR, SZ_4K, 0);
	devmem_pt_map(vm, last, DEVMEM_PT_TEST_ADDR + SZ_4K, SZ_4K, 0);

	for (level = 0; level < GPU_PT_LEVELS; level++) {
		va = 1ull << GPU_PT_SHIFT(level);
		devmem_pt_test_expect_none(test, vm, va);
		devmem_pt_test_expect_none(test, vm, last - va);

		/* Each in a table of its own from this level down */
		KUNIT_ASSERT_EQ(test, devmem_pt_prepare(vm, va, va + SZ_4K), 0);
		devmem_pt_map(vm, va, DEVMEM_PT_TEST_ADDR + (level + 2) * SZ_4K, SZ_4K, 0);
	}

	devmem_pt_test_expect(test, vm, 0, DEVMEM_PT_TEST_ADDR | DEVMEM_PT_TEST_LEAF, 0);
	devmem_pt_test_expect(test, vm, last, (DEVMEM_PT_TEST_ADDR + SZ_4K) |
			      DEVMEM_PT_TEST_LEAF, 0);
	for (level = 0; level < GPU_PT_LEVELS; level++)
		devmem_pt_test_expect(test, vm, 1ull << GPU_PT_SHIFT(level),
				      (DEVMEM_PT_TEST_ADDR + (level + 2) * SZ_4K) |
				      DEVMEM_PT_TEST_LEAF, 0);
}

/* Tables are made once, and all are freed. */
static void devmem_pt_test_tables(struct kunit *test)
{
	struct devmem_device *dm = devmem_test_device_create(test, DEVMEM_PT_TEST_VRAM);
	u64 available = devmem_vram_available(dm), va = DEVMEM_PT_TEST_VA;
	struct devmem_vm *vm = kunit_kzalloc(test, sizeof(*vm), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, vm);
	vm->dm = dm;
	KUNIT_ASSERT_EQ(test, devmem_pt_init(vm), 0);
	KUNIT_EXPECT_EQ(test, devmem_vram_available(dm), available - SZ_4K);

	/* One for each level below the root */
	KUNIT_EXPECT_EQ(test, devmem_pt_prepare(vm, va, va + SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, devmem_vram_available(dm), available - GPU_PT_LEVELS * SZ_4K);
	KUNIT_EXPECT_EQ(test, devmem_pt_prepare(vm, va, va + SZ_2M), 0);
	KUNIT_EXPECT_EQ(test, devmem_vram_available(dm), available - GPU_PT_LEVELS * SZ_4K);

	/* One more, for the one page beyond */
	KUNIT_EXPECT_EQ(test, devmem_pt_prepare(vm, va + SZ_1M, va + SZ_2M + SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, devmem_vram_available(dm),
			available - (GPU_PT_LEVELS + 1) * SZ_4K);

	devmem_pt_map(vm, va, DEVMEM_PT_TEST_ADDR, SZ_2M, 0);
	devmem_pt_fini(vm);
	KUNIT_EXPECT_EQ(test, devmem_vram_available(dm), available);
}

/* Without VRAM for the tables: an error, and what was there still is. */
static void devmem_pt_test_no_vram(struct kunit *test)
{
	u64 va = DEVMEM_PT_TEST_VA, end;
	struct devmem_vm *vm = devmem_pt_test_vm(test);

	KUNIT_ASSERT_EQ(test, devmem_pt_prepare(vm, va, va + SZ_4K), 0);
	devmem_pt_map(vm, va, DEVMEM_PT_TEST_ADDR, SZ_4K, 0);

	/* A table of 4 KiB for each 2 MiB: more than there is VRAM */
	end = va + SZ_4K + (u64)(DEVMEM_PT_TEST_VRAM / SZ_4K) * SZ_2M;
	KUNIT_EXPECT_EQ(test, devmem_pt_prepare(vm, va, end), -ENOSPC);
	devmem_pt_test_expect(test, vm, va, DEVMEM_PT_TEST_ADDR | DEVMEM_PT_TEST_LEAF, 0);
	devmem_pt_zap(vm, va, end);
	devmem_pt_test_expect_none(test, vm, va);
}

/* VRAM has lost its content: all tables are there again, and empty. */
static void devmem_pt_test_restore(struct kunit *test)
{
	u64 va = DEVMEM_PT_TEST_VA, far = va + SZ_1G, addr;
	struct devmem_vm *vm = devmem_pt_test_vm(test);
	void *lost = kunit_kmalloc(test, SZ_4K, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, lost);
	memset(lost, 0xff, SZ_4K);
	KUNIT_ASSERT_EQ(test, devmem_pt_prepare(vm, va, va + SZ_4M), 0);
	KUNIT_ASSERT_EQ(test, devmem_pt_prepare(vm, far, far + SZ_4K), 0);
	/* One table was parked. */
	devmem_pt_map(vm, va, DEVMEM_PT_TEST_ADDR, SZ_2M, 0);
	devmem_pt_zap(vm, va, va + SZ_2M);
	for (addr = 0; addr < DEVMEM_PT_TEST_VRAM; addr += SZ_4K)
		KUNIT_ASSERT_EQ(test, devmem_hw_vram_write(vm->dm, addr, lost, SZ_4K), 0);

	devmem_pt_restore(vm);
	devmem_pt_test_expect_none(test, vm, va);
	devmem_pt_test_expect_none(test, vm, va + SZ_2M);
	devmem_pt_test_expect_none(test, vm, far);
	devmem_pt_map(vm, va + SZ_4K, DEVMEM_PT_TEST_ADDR, SZ_4K, 0);
	devmem_pt_map(vm, far, DEVMEM_PT_TEST_ADDR, SZ_4K, 0);
	devmem_pt_test_expect(test, vm, va + SZ_4K, DEVMEM_PT_TEST_ADDR | DEVMEM_PT_TEST_LEAF, 0);
	devmem_pt_test_expect(test, vm, far, DEVMEM_PT_TEST_ADDR | DEVMEM_PT_TEST_LEAF, 0);
	devmem_pt_test_expect_none(test, vm, va);
}

/* The hardware sets ACCESSED. */
static void devmem_pt_test_use(struct devmem_vm *vm, u64 table, u64 va, int level)
{
	u64 slot = table + 8 * ((va >> GPU_PT_SHIFT(level)) % GPU_PT_ENTRIES);
	__le64 entry = cpu_to_le64(devmem_hw_vram_read64(vm->dm, slot) | GPU_PTE_ACCESSED);

	devmem_hw_vram_write(vm->dm, slot, &entry, sizeof(entry));
}

/* What was used is told once, by pages, and translations stay as they are. */
static void devmem_pt_test_accessed(struct kunit *test)
{
	u64 va = DEVMEM_PT_TEST_VA, leaf = DEVMEM_PT_TEST_ADDR | DEVMEM_PT_TEST_LEAF;
	struct devmem_vm *vm = devmem_pt_test_vm(test);
	DECLARE_BITMAP(used, SZ_4M / SZ_4K) = {};
	u64 table, small, large;
	int level;

	KUNIT_ASSERT_EQ(test, devmem_pt_prepare(vm, va, va + SZ_4M), 0);
	devmem_pt_map(vm, va, DEVMEM_PT_TEST_ADDR, SZ_2M, GPU_PTE_WRITE);
	devmem_pt_map(vm, va + SZ_2M, DEVMEM_PT_TEST_BUS, SZ_2M - SZ_4K, GPU_PTE_SYSTEM);
	KUNIT_EXPECT_FALSE(test, devmem_pt_clear_accessed(vm, va, va + SZ_4M, used));
	KUNIT_EXPECT_TRUE(test, bitmap_empty(used, SZ_4M / SZ_4K));

	for (level = GPU_PT_LEVELS - 1, table = devmem_pt_root(vm); level > 1; level--)
		table = devmem_hw_vram_read64(vm->dm, table + 8 * ((va >> GPU_PT_SHIFT(level)) %
								   GPU_PT_ENTRIES)) & GPU_PTE_ADDR;
	large = table;
	small = devmem_hw_vram_read64(vm->dm, large + 8 * (((va + SZ_2M) >> GPU_PT_SHIFT(1)) %
							   GPU_PT_ENTRIES)) & GPU_PTE_ADDR;

	/* The first and the last page of the small ones, and one in the middle */
	devmem_pt_test_use(vm, small, va + SZ_2M, 0);
	devmem_pt_test_use(vm, small, va + SZ_2M + 100 * SZ_4K, 0);
	devmem_pt_test_use(vm, small, va + SZ_4M - 2 * SZ_4K, 0);
	KUNIT_EXPECT_TRUE(test, devmem_pt_clear_accessed(vm, va, va + SZ_4M, used));
	KUNIT_EXPECT_EQ(test, bitmap_weight(used, SZ_4M / SZ_4K), 3);
	KUNIT_EXPECT_TRUE(test, test_bit(512, used) && test_bit(612, used) &&
			  test_bit(1022, used));
	devmem_pt_test_expect(test, vm, va + SZ_2M, DEVMEM_PT_TEST_BUS | DEVMEM_PT_TEST_LEAF |
			      GPU_PTE_SYSTEM, 0);
	bitmap_zero(used, SZ_4M / SZ_4K);
	KUNIT_EXPECT_FALSE(test, devmem_pt_clear_accessed(vm, va, va + SZ_4M, used));

	devmem_pt_test_use(vm, large, va, 1);
	KUNIT_EXPECT_TRUE(test, devmem_pt_clear_accessed(vm, va, va + SZ_4M, used));
	KUNIT_EXPECT_EQ(test, bitmap_weight(used, SZ_4M / SZ_4K), 512);
	KUNIT_EXPECT_EQ(test, find_first_zero_bit(used, SZ_4M / SZ_4K), 512);
	devmem_pt_test_expect(test, vm, va, leaf | GPU_PTE_WRITE, 1);
}

static struct kunit_case devmem_pt_test_cases[] = {
	KUNIT_CASE(devmem_pt_test_empty),
	KUNIT_CASE(devmem_pt_test_page),
	KUNIT_CASE(devmem_pt_test_border),
	KUNIT_CASE(devmem_pt_test_large),
	KUNIT_CASE(devmem_pt_test_unaligned),
	KUNIT_CASE(devmem_pt_test_park),
	KUNIT_CASE(devmem_pt_test_far),
	KUNIT_CASE(devmem_pt_test_tables),
	KUNIT_CASE(devmem_pt_test_no_vram),
	KUNIT_CASE(devmem_pt_test_restore),
	KUNIT_CASE(devmem_pt_test_accessed),
	{}
};

static struct kunit_suite devmem_pt_test_suite = {
	.name = "devmem_pt",
	.test_cases = devmem_pt_test_cases,
};

kunit_test_suite(devmem_pt_test_suite);
