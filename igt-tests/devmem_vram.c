// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem vram
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Device memory
 * Description: Device memory that is too small, shared, left behind and used again
 *
 * SUBTEST: overcommit-%s
 * Description: A working set of twice the device memory, %arg[1], is right in the end
 *
 * arg[1]:
 *
 * @gpu-first:		which the GPU makes
 * @cpu-first:		which the CPU makes and the GPU changes
 *
 * SUBTEST: overcommit-two-processes
 * Description: Two processes that need all of the device memory evict each other
 *
 * SUBTEST: one-batch-too-large
 * Description: One command that copies more than the device holds gets to its end
 *
 * SUBTEST: evict-after-owner-exit
 * Description: Memory that a child inherited is evicted after its first owner has exited
 *
 * SUBTEST: evict-shared-after-fork
 * Description: Memory that parent and child share after fork is evicted and stays right
 *
 * SUBTEST: evict-while-owner-exits
 * Description: Memory is evicted while the only process that maps it exits
 *
 * SUBTEST: evict-unused-first
 * Description: What the GPU uses stays, what it has not used for long is evicted
 *
 * SUBTEST: free-dirty
 * Description: What the GPU wrote on the device after MADV_FREE is not thrown away
 *
 * SUBTEST: evict-while-used
 * Description: Memory is evicted while the GPU counts in it
 *
 * SUBTEST: stale-data
 * Description: New memory on the device does not show what another process had there
 *
 * SUBTEST: stale-part
 * Description: Neither GPU nor CPU finds old data beside the few pages that a chunk holds
 *
 * SUBTEST: stale-page-table
 * Description: What was in device memory is never taken for translations
 *
 * SUBTEST: comes-back-after-%s
 * Description: No device memory is lost when a process ends by %arg[1]
 *
 * arg[1]:
 *
 * @close:		closing the device
 * @exit:		exiting with everything open
 * @exec:		becoming another program
 *
 * SUBTEST: kill-at-random
 * Description: Killing processes in the middle of their GPU work loses nothing
 *
 * SUBTEST: chunk-%s
 * Description: Migration works in chunks of %arg[1]
 *
 * arg[1]:
 *
 * @4k:			4 KiB only
 * @64k:		64 KiB at most
 *
 * SUBTEST: terabyte
 * Description: A device with 1 TiB of memory takes no RAM for it, and works
 *
 * SUBTEST: map-comes-and-goes
 * Description: Struct pages of device memory are there when it is used, and can be reclaimed
 *
 * SUBTEST: map-no-memory
 * Description: Memory is used where it is if there is no RAM for struct pages
 *
 * SUBTEST: map-reclaim-race
 * Description: Struct pages are reclaimed all the time while memory migrates
 */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("Device memory that is too small, shared, left behind and used again");

#define KIB		1024ul
#define MIB		(1024 * KIB)
#define PAGE		4096ul
#define PATTERN		0xa5a6a7a8a9aaabacull

/* What rings and page tables may keep when all work is done. */
#define SLACK		(64 * KIB)

static struct igt_devmem d;
static uint64_t vram_size, vram_free;

static void close_device(void)
{
	igt_devmem_fini(&d);
	drm_close_driver(d.fd);
}

static void *chunk_at(void *p, unsigned int i)
{
	return (char *)p + i * 2 * MIB;
}

static void test_overcommit(bool cpu_first)
{
	const size_t size = 2 * vram_size;
	unsigned int i, chunks = size / (2 * MIB);
	struct drm_devmem_stats stats;
	char *p = igt_devmem_anon_alloc(size);

	if (cpu_first)
		memset(p, 1, size);
	for (i = 0; i < chunks; i++) {
		igt_devmem_fill(&d.batch, chunk_at(p, i), PATTERN + i, 8, MIB);
		igt_devmem_run(&d);
	}
	stats = igt_devmem_stats(d.fd, d.vm);
	igt_assert_lte_u64(vram_size / 4, stats.evicted_bytes);
	igt_assert_lt_u64(0, stats.evicted_count);
	igt_assert_lt_u64(igt_devmem_count(&d, p, size, DRM_DEVMEM_LOCATION_DEVICE) * PAGE,
			  vram_size);

	/* The GPU adds to what is on the device and to what no longer is. */
	for (i = 0; i < chunks; i++)
		igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, chunk_at(p, i), 1, 8);
	igt_devmem_run(&d);

	for (i = 0; i < chunks; i++) {
		char *chunk = chunk_at(p, i);

		igt_devmem_expect_words(chunk, PATTERN + i + 1, 8);
		igt_devmem_expect_words(chunk + 8, PATTERN + i, MIB - 8);
		igt_devmem_expect_words(chunk + MIB, cpu_first ? 0x0101010101010101ull : 0, MIB);
	}
	igt_devmem_anon_free(p, size);
}

static void test_overcommit_two_processes(void)
{
	igt_fork(child, 2) {
		const size_t size = vram_size * 3 / 4;
		unsigned int i, chunks = size / (2 * MIB), round;
		char *p = igt_devmem_anon_alloc(size);

		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		for (round = 0; round < 3; round++) {
			for (i = 0; i < chunks; i++) {
				igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0,
						  chunk_at(p, i), child + 1, 8);
				igt_devmem_run(&d);
			}
		}
		for (i = 0; i < chunks; i++)
			igt_devmem_expect_words(chunk_at(p, i), 3 * (child + 1), 8);
	}
	igt_waitchildren();
}

static void test_one_batch_too_large(void)
{
	const size_t size = vram_size;
	char *from = igt_devmem_anon_alloc(size), *to = igt_devmem_anon_alloc(size);
	size_t i;

	for (i = 0; i < size; i += PAGE)
		*(uint64_t *)(from + i) = PATTERN + i;
	igt_devmem_copy(&d.batch, to, from, size);
	igt_devmem_run(&d);
	for (i = 0; i < size; i += PAGE) {
		igt_assert_eq_u64(*(uint64_t *)(to + i), PATTERN + i);
		igt_assert_eq_u64(*(uint64_t *)(from + i), PATTERN + i);
	}
	igt_devmem_anon_free(from, size);
	igt_devmem_anon_free(to, size);
}

/* Use so much memory on the device that nothing else fits. */
static void fill_vram_with(uint64_t value)
{
	const size_t size = vram_size;
	char *p = igt_devmem_anon_alloc(size);
	unsigned int i;

	for (i = 0; i < size / (2 * MIB); i++) {
		igt_devmem_fill(&d.batch, chunk_at(p, i), value, 8, 2 * MIB);
		igt_devmem_run(&d);
	}
	igt_devmem_anon_free(p, size);
}

static void fill_vram(void)
{
	fill_vram_with(~0ull);
}

/* Another process leaves @value all over the device memory. */
static void plant(uint64_t value)
{
	igt_fork(child, 1) {
		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		fill_vram_with(value);
	}
	igt_waitchildren();
	igt_assert(igt_devmem_vram_comes_back(d.fd, vram_free - SLACK));
}

/* How many pages the CPU has mapped; looking does not bring any back. */
static uint32_t mapped_pages(const char *p, size_t size)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint32_t mapped = 0;
	uint64_t entry;
	size_t i;

	igt_assert_fd(fd);
	for (i = 0; i < size; i += PAGE) {
		igt_assert_eq(pread(fd, &entry, 8, ((uintptr_t)p + i) / PAGE * 8), 8);
		mapped += entry >> 63;
	}
	close(fd);
	return mapped;
}

/*
 * A process puts data on the device, forks and exits. Its child holds the only
 * reference to the data, and never opens the device.
 */
static void owner(char *p, size_t size, uint32_t *turn)
{
	pid_t pid;

	igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
	igt_devmem_set(&d, p, PATTERN, size);
	pid = fork();
	igt_assert_lte(0, pid);
	if (pid)
		return;

	close(d.fd);
	igt_devmem_set_turn(turn, 1);
	igt_devmem_wait_turn(turn, 2);
	turn[1] = mapped_pages(p, size);
	igt_devmem_expect_words(p, PATTERN, size);
	igt_devmem_set_turn(turn, 3);
	_exit(0);
}

static void test_evict_after_owner_exit(void)
{
	const size_t size = 8 * MIB;
	uint32_t *turn = igt_devmem_shared_alloc(PAGE);
	char *p = igt_devmem_anon_alloc(size);

	igt_fork(child, 1)
		owner(p, size, turn);
	igt_waitchildren();
	igt_devmem_wait_turn(turn, 1);
	igt_assert_lte_u64(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE),
			   vram_free - size);
	fill_vram();
	igt_devmem_set_turn(turn, 2);
	igt_devmem_wait_turn(turn, 3);
	igt_assert_f(turn[1], "the device kept memory of a process that is gone\n");

	igt_devmem_anon_free(p, size);
	igt_devmem_shared_free(turn, PAGE);
	igt_assert(igt_devmem_vram_comes_back(d.fd, vram_free - 16 * SLACK));
}

/*
 * In the middle of a page's eviction its last mapping goes away, and with it
 * all that the kernel had to find the mappings by. Only a kernel that checks its
 * memory (the debug guest) is sure to notice a use after that.
 */
static void test_evict_while_owner_exits(void)
{
	const size_t size = 8 * MIB;
	uint32_t *turn = igt_devmem_shared_alloc(PAGE);
	const unsigned int victims = 20;
	unsigned int i;

	for (i = 0; i < victims; i++) {
		igt_devmem_set_turn(turn, 0);
		igt_fork(child, 1) {
			char *p = igt_devmem_anon_alloc(size);

			igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
			igt_devmem_set(&d, p, PATTERN, size);
			igt_devmem_set_turn(turn, 1);
			usleep(i * 10000);
		}
		igt_devmem_wait_turn(turn, 1);
		fill_vram();
		igt_waitchildren();
	}
	igt_devmem_shared_free(turn, PAGE);
	igt_assert(igt_devmem_vram_comes_back(d.fd, vram_free - 16 * SLACK));
}

static void test_evict_shared_after_fork(void)
{
	const size_t size = 8 * MIB;
	uint32_t *turn = igt_devmem_shared_alloc(PAGE);
	char *p = igt_devmem_anon_alloc(size);

	igt_devmem_set(&d, p, PATTERN, size);
	igt_fork(child, 1) {
		igt_devmem_wait_turn(turn, 1);
		igt_devmem_expect_words(p, PATTERN, size / 2);
		memset(p, 0, size);
		igt_devmem_set_turn(turn, 2);
	}
	fill_vram();
	igt_assert_eq(igt_devmem_count(&d, p, size, DRM_DEVMEM_LOCATION_DEVICE), 0);
	igt_devmem_set_turn(turn, 1);
	igt_devmem_wait_turn(turn, 2);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), PATTERN);
	igt_waitchildren();
	igt_devmem_expect_words(p, PATTERN, size);
	igt_devmem_anon_free(p, size);
	igt_devmem_shared_free(turn, PAGE);
}

/* Each add is counted in memory that stays where it is, too. */
static void test_evict_while_used(void)
{
	uint64_t *words = igt_devmem_anon_alloc(2 * MIB), *shared = igt_devmem_shared_alloc(PAGE);
	uint32_t *turn = igt_devmem_shared_alloc(PAGE);
	unsigned int loop;
	int64_t end;

	/* Before there is memory that fork() would share */
	igt_fork(child, 1) {
		igt_devmem_wait_turn(turn, 1);
		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		fill_vram();
	}
	loop = igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, words, 1, 8);
	igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, shared, 1, 8);
	igt_devmem_load(&d.batch, 1, shared + 1, 8);
	igt_devmem_branch(&d.batch, 1, DRM_DEVMEM_COMPARE_EQ, 0, loop);
	igt_devmem_submit(&d);
	end = igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS);
	while (!__atomic_load_n(shared, __ATOMIC_SEQ_CST))
		igt_assert(igt_devmem_deadline(0) < end);
	igt_devmem_set_turn(turn, 1);
	igt_waitchildren();
	igt_assert(!igt_devmem_done(&d, 0));
	__atomic_store_n(shared + 1, 1, __ATOMIC_SEQ_CST);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	d.batch.count = 0;
	igt_assert_eq(igt_devmem_queue_query(d.fd, d.queue).errors, 0);
	igt_assert_lt_u64(0, igt_devmem_stats(d.fd, d.vm).evicted_count);
	igt_assert_lt_u64(0, igt_devmem_stats(d.fd, d.vm).evicted_bytes);
	igt_assert_eq_u64(words[0], shared[0]);
	igt_devmem_shared_free(turn, PAGE);
	igt_devmem_shared_free(shared, PAGE);
	igt_devmem_anon_free(words, 2 * MIB);
}

static void test_evict_unused_first(void)
{
	const size_t size = vram_size * 2, chunk = 2 * MIB;
	char *p = igt_devmem_anon_alloc(size);
	unsigned int i, first;
	uint64_t looks;

	for (i = 0; i < vram_free / chunk - 2; i++)
		igt_devmem_poke(&d, chunk_at(p, i), i);
	first = i;
	igt_assert_eq_u64(igt_devmem_stats(d.fd, d.vm).evicted_count, 0);

	/* The oldest one is used, and nothing else for two looks that begin and end. */
	looks = igt_devmem_stats(d.fd, d.vm).access_scans;
	while (igt_devmem_stats(d.fd, d.vm).access_scans < looks + 4)
		igt_assert_eq_u64(igt_devmem_peek(&d, chunk_at(p, 0)), 0);
	while (igt_devmem_stats(d.fd, d.vm).evicted_count < 4) {
		igt_assert_lt_u64(i, size / chunk);
		igt_devmem_poke(&d, chunk_at(p, i), i);
		i++;
	}
	igt_assert(igt_devmem_location_is(&d, chunk_at(p, 0), chunk, DRM_DEVMEM_LOCATION_DEVICE));
	igt_assert(igt_devmem_location_is(&d, chunk_at(p, 1), chunk, DRM_DEVMEM_LOCATION_SYSTEM));
	igt_assert_lt(1, first);
	for (; i > 0; i--)
		igt_assert_eq_u64(*(uint64_t *)chunk_at(p, i - 1), i - 1);
	igt_devmem_anon_free(p, size);
}

/*
 * The pages of the device are new, as the module is: flags of an earlier use would
 * keep the memory from being thrown away.
 */
static void test_free_dirty(void)
{
	const size_t size = 4 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);

	igt_devmem_require_swap();
	memset(p, 1, size);
	igt_assert_eq(madvise(p, size, MADV_FREE), 0);
	igt_devmem_set(&d, p, PATTERN, size);
	igt_devmem_expect_words(p, PATTERN, size);
	igt_devmem_swap_out(&d, p, size);
	igt_devmem_expect_words(p, PATTERN, size);
	igt_devmem_anon_free(p, size);
}

static void test_stale_data(void)
{
	const size_t size = vram_size * 3 / 4;
	char *p = igt_devmem_anon_alloc(size), *copy = igt_devmem_shared_alloc(2 * MIB);
	unsigned int i;

	igt_fork(child, 1) {
		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		fill_vram();
	}
	igt_waitchildren();
	for (i = 0; i < size / (2 * MIB); i++) {
		/* One word of a chunk is written, all of it is then read by the GPU. */
		igt_devmem_poke(&d, chunk_at(p, i), 0);
		igt_devmem_copy(&d.batch, copy, chunk_at(p, i), 2 * MIB);
		igt_devmem_run(&d);
		igt_devmem_expect_words(copy, 0, 2 * MIB);
	}
	igt_devmem_anon_free(p, size);
	igt_devmem_shared_free(copy, 2 * MIB);
}

/* No word of it is what was planted. */
static void expect_clean(const uint64_t *words, size_t size, const char *who)
{
	size_t i;

	for (i = 0; i < size / 8; i++)
		igt_assert_f(words[i] != PATTERN, "%s finds old data in word %zu\n", who, i);
}

/*
 * Chunks of which only a part can be used: the end of a mapping, holes, pages that
 * are there already beside such that are not.
 */
static void test_stale_part(void)
{
	static const size_t pages[] = { 1, 2, 3, 15, 16, 17, 31, 33, 255, 257, 511 };
	uint64_t *copy = igt_devmem_shared_alloc(2 * MIB);
	size_t i, at;

	plant(PATTERN);
	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		const size_t size = pages[i] * PAGE;
		char *p = igt_devmem_anon_alloc(size);

		/* Some the CPU has touched, some nobody. */
		for (at = 0; at < size; at += 3 * PAGE)
			p[at] = 1;
		/* A byte at the end makes the whole of it migrate. */
		igt_devmem_store(&d.batch, p + size - 1, 1, 1);
		igt_devmem_copy(&d.batch, copy, p, size);
		igt_devmem_run(&d);
		igt_assert_lt(0, igt_devmem_count(&d, p, size, DRM_DEVMEM_LOCATION_DEVICE));
		expect_clean(copy, size, "the GPU");
		expect_clean((uint64_t *)p, size, "the CPU");
		for (at = 0; at < size; at += PAGE) {
			igt_assert_eq(p[at], at % (3 * PAGE) == 0);
			igt_devmem_expect_words(p + at + 8, 0, PAGE - 16);
		}
		igt_devmem_anon_free(p, size);
	}
	igt_devmem_shared_free(copy, 2 * MIB);
}

/* A valid leaf for writing of the first page of device memory, see docs/gpu.rst */
#define PTE_OF_VRAM	0x7ull

/*
 * As many page tables as fill more than the 2 MiB at the end of device memory, where
 * the driver has its own, so that others are where data was.
 */
#define TABLES		700

static void test_stale_page_table(void)
{
	const size_t size = TABLES * 2 * MIB;
	unsigned int i;
	char *p;

	plant(PTE_OF_VRAM);
	p = igt_devmem_anon_alloc(size);
	for (i = 0; i < TABLES; i++) {
		igt_assert_eq(munmap((char *)chunk_at(p, i) + PAGE, 2 * MIB - PAGE), 0);
		igt_devmem_store(&d.batch, chunk_at(p, i), i, 8);
	}
	igt_devmem_run(&d);
	/* What lies between is mapped nowhere. */
	for (i = 0; i < TABLES; i++) {
		igt_devmem_load(&d.batch, 1, (char *)chunk_at(p, i) + (1 + i % 511) * PAGE, 8);
		igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	}
	for (i = 0; i < TABLES; i++)
		igt_assert_eq_u64(*(uint64_t *)chunk_at(p, i), i);
	igt_devmem_anon_free(p, size);
}

enum ending { CLOSE, EXIT, EXEC };

static void test_comes_back(enum ending ending)
{
	const size_t size = vram_size / 2;

	igt_fork(child, 1) {
		char *p = igt_devmem_anon_alloc(size);

		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		igt_devmem_set(&d, p, PATTERN, size);
		if (ending == CLOSE) {
			close_device();
			igt_devmem_expect_words(p, PATTERN, size);
		} else if (ending == EXEC) {
			execl("/proc/self/exe", "exec", "--list-subtests", NULL);
			igt_assert_f(false, "exec: %s\n", strerror(errno));
		}
	}
	igt_waitchildren();
	igt_assert(igt_devmem_vram_comes_back(d.fd, vram_free - SLACK));
}

/* GPU work that never ends by itself: batches, faults, migrations both ways. */
static void work_until_killed(int fd)
{
	const size_t size = 6 * MIB;
	char *p = igt_devmem_anon_alloc(size);
	unsigned int round;

	igt_devmem_init(&d, drm_reopen_driver(fd), 0);
	for (round = 1; ; round++) {
		igt_devmem_fill(&d.batch, p, round, 8, size);
		igt_devmem_run(&d);
		igt_assert_eq_u64(*(uint64_t *)(p + round % 3 * 2 * MIB), round);
		if (round % 4 == 0)
			igt_assert_eq(madvise(p, size / 2, MADV_DONTNEED), 0);
	}
}

static void test_kill_at_random(void)
{
	unsigned int seed = time(NULL) ^ getpid(), i, state;
	const unsigned int victims = 10;

	igt_info("seed %u\n", seed);
	for (i = 0, state = seed; i < victims; i++) {
		unsigned int delay = rand_r(&state) % 500000;
		pid_t pid = fork();
		int status;

		igt_assert_lte(0, pid);
		if (!pid) {
			work_until_killed(d.fd);
			_exit(1);
		}
		usleep(delay);
		igt_assert_eq(kill(pid, SIGKILL), 0);
		igt_assert_eq(waitpid(pid, &status, 0), pid);
		igt_assert_f(WIFSIGNALED(status), "victim %u exited with %#x\n", i, status);
	}
	igt_assert(igt_devmem_vram_comes_back(d.fd, vram_free - SLACK));
	fill_vram();
}

static void test_chunk(uint64_t chunk)
{
	const size_t size = 2 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	struct drm_devmem_stats stats;

	igt_assert_eq_u64(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_CHUNK_SIZES),
			  chunk | PAGE);
	memset(p, 0, size);
	igt_devmem_set(&d, p, PATTERN, size);
	stats = igt_devmem_stats(d.fd, d.vm);
	igt_assert_eq_u64(stats.to_device_bytes, size);
	igt_assert_eq_u64(stats.to_device_count, size / chunk);

	/* Only the chunk that the CPU touches comes back. */
	igt_assert_eq_u64(p[0], PATTERN);
	igt_assert(igt_devmem_location_is(&d, p, chunk, DRM_DEVMEM_LOCATION_SYSTEM));
	igt_assert(igt_devmem_location_is(&d, (char *)p + chunk, size - chunk,
					  DRM_DEVMEM_LOCATION_DEVICE));
	igt_devmem_expect_words(p, PATTERN, size);
	igt_devmem_anon_free(p, size);
}

static void test_overcommit_gpu_first(void)
{
	test_overcommit(false);
}

static void test_overcommit_cpu_first(void)
{
	test_overcommit(true);
}

static void test_comes_back_after_close(void)
{
	test_comes_back(CLOSE);
}

static void test_comes_back_after_exit(void)
{
	test_comes_back(EXIT);
}

static void test_comes_back_after_exec(void)
{
	test_comes_back(EXEC);
}

static void test_chunk_4k(void)
{
	test_chunk(PAGE);
}

static void test_chunk_64k(void)
{
	test_chunk(64 * KIB);
}

/* A batch that evicts a lot takes more than 10 s of a kernel with all its checks. */
#define SMALL "vram_size=32 job_timeout_ms=100000"
#define LARGE "vram_size=1048576"

/* The number behind @name in a file like /proc/vmstat. */
static uint64_t read_count(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	char line[128], key[64];
	unsigned long long value;

	igt_assert(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %llu", key, &value) == 2 && !strcmp(key, name)) {
			fclose(file);
			return value;
		}
	}
	igt_assert_f(false, "no %s in %s\n", name, path);
	return 0;
}

/* RAM that holds struct pages, in pages, apart from those that RAM had at boot. */
static uint64_t map_pages(void)
{
	return read_count("/proc/vmstat", "nr_memmap_pages");
}

/* What @bytes of device memory need of that. */
static uint64_t map_pages_of(size_t bytes)
{
	const size_t struct_page = 64;

	return bytes / PAGE * struct_page / PAGE;
}

/* Reclaim all that can be. */
static void reclaim(void)
{
	FILE *file = fopen("/proc/sys/vm/drop_caches", "w");

	igt_assert(file);
	igt_assert_lte(0, fputs("2", file));
	igt_assert_eq(fclose(file), 0);
}

/* Struct pages go some time after their memory, which does so in its own time. */
static bool map_comes_back(uint64_t pages)
{
	int64_t deadline = igt_devmem_deadline(10ll * 1000 * 1000 * 1000);

	do {
		reclaim();
		if (map_pages() <= pages)
			return true;
		usleep(10000);
	} while (igt_devmem_deadline(0) < deadline);
	return false;
}

static void test_terabyte(void)
{
	const size_t size = 8 * MIB;
	uint64_t map, available;
	char *p;

	/* Compared with a device that has next to no memory. */
	close_device();
	igt_devmem_reload("vram_size=16");
	reclaim();
	map = map_pages();
	available = read_count("/proc/meminfo", "MemAvailable:");

	igt_devmem_reload(LARGE);
	reclaim();
	igt_assert_eq_u64(map_pages(), map);
	igt_assert_lte_u64(available, read_count("/proc/meminfo", "MemAvailable:") + 4 * KIB);

	igt_devmem_init(&d, igt_devmem_open(), 0);
	igt_assert_eq_u64(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_SIZE), MIB * MIB);
	igt_assert_lte_u64(MIB * MIB - 64 * MIB,
			   igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE));
	igt_assert(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY));

	p = igt_devmem_anon_alloc(size);
	igt_devmem_set(&d, p, PATTERN, size);
	igt_assert(igt_devmem_location_is(&d, p, size, DRM_DEVMEM_LOCATION_DEVICE));
	igt_devmem_expect_words(p, PATTERN, size);
	igt_devmem_anon_free(p, size);
}

static void test_map_comes_and_goes(void)
{
	const size_t size = 16 * MIB;
	uint64_t map;
	unsigned int round;
	char *p;

	reclaim();
	map = map_pages();
	for (round = 0; round < 3; round++) {
		p = igt_devmem_anon_alloc(size);
		igt_devmem_set(&d, p, PATTERN + round, size);
		igt_assert_eq_u64(map_pages(), map + map_pages_of(size));

		/* What is in use stays. */
		reclaim();
		igt_assert_eq_u64(map_pages(), map + map_pages_of(size));
		igt_assert(igt_devmem_location_is(&d, p, size, DRM_DEVMEM_LOCATION_DEVICE));
		igt_devmem_expect_words(p, PATTERN + round, size);

		igt_devmem_anon_free(p, size);
		igt_assert(map_comes_back(map));
	}
}

/* Find a file in a directory that the driver may have; false if there is none. */
static bool find_fail_populate(const char *name, glob_t *found)
{
	char pattern[96];

	snprintf(pattern, sizeof(pattern), "/sys/kernel/debug/dri/*/fail_populate/%s", name);
	return !glob(pattern, 0, NULL, found);
}

static void set_fail_populate(const char *name, const char *value)
{
	FILE *file;
	glob_t found;

	igt_assert(find_fail_populate(name, &found));
	file = fopen(found.gl_pathv[0], "w");
	globfree(&found);
	igt_assert(file);
	igt_assert_lte(0, fputs(value, file));
	igt_assert_eq(fclose(file), 0);
}

static void test_map_no_memory(void)
{
	const size_t size = 4 * MIB;
	char *p = igt_devmem_anon_alloc(size), *q = igt_devmem_anon_alloc(size);
	struct drm_devmem_stats stats;
	uint64_t map = map_pages();
	glob_t found;

	if (!find_fail_populate("probability", &found)) {
		close_device();
		igt_skip("no injection of failures\n");
	}
	globfree(&found);
	set_fail_populate("verbose", "0");
	set_fail_populate("times", "-1");
	set_fail_populate("probability", "100");
	memset(p, 1, size);
	igt_devmem_fill(&d.batch, p, PATTERN, 8, size / 2);
	igt_devmem_run(&d);
	igt_assert(igt_devmem_location_is(&d, p, size / 2, DRM_DEVMEM_LOCATION_SYSTEM));
	igt_devmem_expect_words(p, PATTERN, size / 2);
	igt_devmem_expect_words(p + size / 2, 0x0101010101010101ull, size / 2);
	stats = igt_devmem_stats(d.fd, d.vm);
	igt_assert_lt_u64(0, stats.to_device_failed);
	igt_assert_eq_u64(stats.to_device_count, 0);
	igt_assert_eq_u64(map_pages(), map);
	igt_assert(igt_devmem_vram_comes_back(d.fd, vram_free - SLACK));

	/* It is not for ever. */
	set_fail_populate("probability", "0");
	igt_devmem_set(&d, q, PATTERN, size);
	igt_assert(igt_devmem_location_is(&d, q, size, DRM_DEVMEM_LOCATION_DEVICE));
	igt_devmem_anon_free(p, size);
	igt_devmem_anon_free(q, size);
}

static void migrate_to_and_fro(unsigned int rounds)
{
	const size_t size = 6 * MIB;
	unsigned int i;

	igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
	for (i = 0; i < rounds; i++) {
		char *p = igt_devmem_anon_alloc(size);

		igt_devmem_set(&d, p, PATTERN + i, size);
		/* A part of it goes back by a CPU fault, the rest by being freed. */
		igt_devmem_expect_words(p, PATTERN + i, 2 * MIB + PAGE);
		igt_devmem_anon_free(p, size);
	}
}

static void test_map_reclaim_race(void)
{
	uint32_t *done = igt_devmem_shared_alloc(PAGE);
	int64_t deadline = igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS);

	igt_fork(child, 3) {
		if (child < 2) {
			migrate_to_and_fro(20);
			__atomic_add_fetch(done, 1, __ATOMIC_SEQ_CST);
			continue;
		}
		while (__atomic_load_n(done, __ATOMIC_SEQ_CST) < 2 &&
		       igt_devmem_deadline(0) < deadline) {
			reclaim();
			usleep(1000);
		}
	}
	igt_waitchildren();
	igt_assert_eq(*done, 2);
	igt_devmem_shared_free(done, PAGE);
}

static const struct {
	const char *name;
	const char *describe;
	const char *options;
	void (*test)(void);
} tests[] = {
	{ "overcommit-gpu-first", "What does not fit is evicted and comes back", SMALL,
	  test_overcommit_gpu_first },
	{ "overcommit-cpu-first", "What does not fit is evicted and comes back", SMALL,
	  test_overcommit_cpu_first },
	{ "overcommit-two-processes", "Processes evict each other", SMALL,
	  test_overcommit_two_processes },
	{ "one-batch-too-large", "A command larger than the device memory ends", SMALL,
	  test_one_batch_too_large },
	{ "evict-after-owner-exit", "Eviction does not need the process that allocated", SMALL,
	  test_evict_after_owner_exit },
	{ "evict-shared-after-fork", "Eviction finds all who share a page", SMALL,
	  test_evict_shared_after_fork },
	{ "evict-while-owner-exits", "Eviction copes with memory that is being freed", SMALL,
	  test_evict_while_owner_exits },
	{ "evict-while-used", "Eviction loses no write of the GPU",
	  SMALL " access_period_ms=0", test_evict_while_used },
	{ "evict-unused-first", "Eviction takes what the GPU has not used for longest",
	  SMALL " access_period_ms=20", test_evict_unused_first },
	{ "free-dirty", "No GPU write to a page marked free is lost on the device", "",
	  test_free_dirty },
	{ "stale-data", "Device memory is cleared before another process gets it", SMALL,
	  test_stale_data },
	{ "stale-part", "Parts of chunks are cleared before another process gets them", SMALL,
	  test_stale_part },
	{ "stale-page-table", "Page tables begin empty", SMALL, test_stale_page_table },
	{ "comes-back-after-close", "Closing the device leaves the data with the process", SMALL,
	  test_comes_back_after_close },
	{ "comes-back-after-exit", "An exit frees device memory", SMALL,
	  test_comes_back_after_exit },
	{ "comes-back-after-exec", "exec() frees device memory", SMALL,
	  test_comes_back_after_exec },
	{ "kill-at-random", "A process can be killed at any moment", SMALL,
	  test_kill_at_random },
	{ "chunk-4k", "Pages migrate one by one", "chunk_sizes=0x1000", test_chunk_4k },
	{ "chunk-64k", "A chunk migrates at a time", "chunk_sizes=0x11000", test_chunk_64k },
	{ "terabyte", "Unused device memory takes no RAM", LARGE, test_terabyte },
	{ "map-comes-and-goes", "The memory map is as large as what is in use", LARGE,
	  test_map_comes_and_goes },
	{ "map-no-memory", "Migration that finds no RAM leaves things as they are", LARGE,
	  test_map_no_memory },
	{ "map-reclaim-race", "Reclaim of the memory map harms nobody", LARGE,
	  test_map_reclaim_race },
};

/* Not in a fixture: one that another subtest needs would be run as well. */
static void run_with(const char *options, void (*test)(void))
{
	int fd;

	igt_devmem_reload(options);
	fd = igt_devmem_open();
	if (!igt_devmem_get_param(fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY)) {
		/* The module has to be unloaded yet. */
		close(fd);
		igt_skip("no device memory of this size\n");
	}
	igt_devmem_init(&d, fd, 0);
	vram_size = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_SIZE);
	vram_free = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE);
	test();
	close_device();
}

int igt_main()
{
	unsigned int i = 0;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		igt_describe(tests[i].describe);
		igt_subtest(tests[i].name)
			run_with(tests[i].options, tests[i].test);
	}

	igt_fixture()
		igt_devmem_restore();
}
