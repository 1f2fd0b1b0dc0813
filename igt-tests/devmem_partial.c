// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem partial
 * Category: Core
 * Mega feature: SVM
 * Sub-category: System allocator
 * Description: Part of a chunk on the device is unmapped or moves away
 *
 * SUBTEST: %s-%s-%s
 * Description: Memory that the GPU uses by %arg[1] loses a part by %arg[2], %arg[3]
 *
 * arg[1]:
 *
 * @write-start:	writes, its first half
 * @write-middle:	writes, its middle
 * @atomic-start:	atomics, its first half
 * @atomic-middle:	atomics, its middle
 *
 * arg[2]:
 *
 * @munmap:		munmap()
 * @remap:		mremap() to another address
 *
 * arg[3]:
 *
 * @cpu-fault:		and the CPU is next to use the rest
 * @no-cpu-fault:	and the GPU goes on
 */

#include <sys/mman.h>

#include "drmtest.h"
#include "igt_core.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("Part of a chunk on the device is unmapped or moves away");

#define SIZE	(2ul << 20)
/* One word in so many bytes is used: several in each of the smallest chunks */
#define STEP	(32ul << 10)
#define VALUE	0x1122334455667788ull

#define DEVICE	DRM_DEVMEM_LOCATION_DEVICE

static struct igt_devmem d;

/**
 * struct area - memory in three parts, the second of which goes
 * @part: where each is, or NULL
 * @start: first byte of each of them, of what was one chunk; the last is its end
 */
struct area {
	char *part[3];
	size_t start[4];
};

static uint64_t value(size_t at, unsigned int turn)
{
	return VALUE + at + turn;
}

/* The GPU makes of the value of a turn that of the next one. */
static void gpu_turn(const struct area *area, bool atomic, unsigned int turn)
{
	unsigned int i;
	size_t at;

	for (i = 0; i < 3; i++) {
		for (at = area->start[i]; area->part[i] && at < area->start[i + 1]; at += STEP) {
			char *word = area->part[i] + at - area->start[i];

			if (atomic)
				igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, word, 1, 8);
			else
				igt_devmem_store(&d.batch, word, value(at, turn + 1), 8);
		}
	}
	igt_devmem_run(&d);
	for (i = 0; i < 3; i++)
		igt_assert(!area->part[i] || area->start[i] == area->start[i + 1] ||
			   igt_devmem_location_is(&d, area->part[i],
						  area->start[i + 1] - area->start[i], DEVICE));
}

static void cpu_look(const struct area *area, unsigned int turn)
{
	unsigned int i;
	size_t at;

	for (i = 0; i < 3; i++) {
		for (at = area->start[i]; area->part[i] && at < area->start[i + 1]; at += STEP) {
			uint64_t *word = (uint64_t *)(area->part[i] + at - area->start[i]);

			igt_assert_eq_u64(word[0], value(at, turn));
			/* Its neighbour is as the CPU left it. */
			igt_assert_eq_u64(word[1], at);
		}
	}
}

static void test_partial(bool atomic, bool middle, bool remap, bool cpu_fault)
{
	char *p = igt_devmem_anon_alloc(SIZE), *to = igt_devmem_anon_alloc(SIZE);
	const size_t start = middle ? SIZE / 4 : 0, end = start + SIZE / 2;
	struct area area = {
		.part = { p, p + start, p + end }, .start = { 0, start, end, SIZE },
	};
	const int how = MREMAP_MAYMOVE | MREMAP_FIXED;
	size_t at;

	for (at = 0; at < SIZE; at += STEP) {
		*(uint64_t *)(p + at) = value(at, 0);
		*(uint64_t *)(p + at + 8) = at;
	}
	igt_devmem_prefetch(&d, p, SIZE, DEVICE, DRM_DEVMEM_PREFETCH_WRITE);
	gpu_turn(&area, atomic, 0);

	if (remap) {
		igt_assert(mremap(p + start, end - start, end - start, how, to + start) ==
			   to + start);
		area.part[1] = to + start;
	} else {
		igt_assert_eq(munmap(p + start, end - start), 0);
		area.part[1] = NULL;
	}
	if (cpu_fault)
		cpu_look(&area, 1);
	gpu_turn(&area, atomic, 1);

	/* Nothing is left where the part was, for whatever access. */
	igt_devmem_store(&d.batch, p + start, VALUE, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	igt_devmem_load(&d.batch, 1, p + end - 8, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	cpu_look(&area, 2);
	igt_devmem_anon_free(p, SIZE);
	igt_devmem_anon_free(to, SIZE);
}

int igt_main()
{
	unsigned int i = 0;

	igt_devmem_open_fixture(&d);

	for (i = 0; i < 16; i++) {
		bool atomic = i & 8, middle = i & 4, remap = i & 2, cpu_fault = i & 1;

		igt_describe("What is left of a chunk can be used, and what moved, too");
		igt_subtest_f("%s-%s-%s-%s", atomic ? "atomic" : "write",
			      middle ? "middle" : "start", remap ? "remap" : "munmap",
			      cpu_fault ? "cpu-fault" : "no-cpu-fault")
			test_partial(atomic, middle, remap, cpu_fault);
	}

	igt_devmem_close_fixture(&d);
}
