// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem memcg
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Memory control groups
 * Description: Memory on the device counts for a group, and a group's limit holds
 *
 * SUBTEST: charge
 * Description: Memory that moves to the device and back stays charged until it is freed
 *
 * SUBTEST: charge-gpu-first
 * Description: Memory that the GPU touches first is charged to the group of the process
 *
 * SUBTEST: limit
 * Description: With a good part of the limit on the device the rest is swapped
 *
 * SUBTEST: limit-evict
 * Description: The GPU uses more memory than group and device may have together
 *
 * SUBTEST: move
 * Description: A process with memory on the device moves to another group
 *
 * SUBTEST: evict-swap-full
 * Description: Memory is evicted while the group can have no more memory nor swap
 *
 * SUBTEST: oom-kill
 * Description: The OOM killer takes a process with its GPU at work
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("Memory on the device counts for a control group");

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define MIB		(1024 * 1024ul)
#define PATTERN		0xa5a6a7a8a9aaabacull
#define CGROUPS		"/sys/fs/cgroup/"
#define GROUP		CGROUPS "devmem-test"
#define OTHER		CGROUPS "devmem-test-other"

/* Page tables, the stock of each CPU, and what else a process has */
#define SLACK		(2 * MIB)

static struct igt_devmem d;

static uint64_t read_value(const char *group, const char *name)
{
	char path[128], text[64] = {};
	int fd;

	snprintf(path, sizeof(path), "%s/%s", group, name);
	fd = open(path, O_RDONLY);
	igt_require_f(fd >= 0, "no %s\n", path);
	igt_assert_lt(0, read(fd, text, sizeof(text) - 1));
	close(fd);
	return strtoull(text, NULL, 0);
}

static void remove_groups(int sig)
{
	rmdir(GROUP);
	rmdir(OTHER);
}

static void set_value(const char *group, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", group, name);
	igt_assert_f(igt_devmem_write_file(path, value), "%s: %s\n", path, strerror(errno));
}

static void make_group(const char *group, const char *limit)
{
	igt_require_f(igt_devmem_write_file(CGROUPS "cgroup.subtree_control", "+memory"),
		      "no memory control groups\n");
	igt_require(!mkdir(group, 0755) || errno == EEXIST);
	igt_install_exit_handler(remove_groups);
	set_value(group, "memory.max", limit);
}

/* In a child: what it allocates from here on counts for the group. */
static void join_group(const char *group)
{
	set_value(group, "cgroup.procs", "0");
	igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
}

static void expect_charge(const char *group, uint64_t before, uint64_t size)
{
	uint64_t now = read_value(group, "memory.current");

	igt_debug("charged %llu, before %llu\n", (unsigned long long)now,
		  (unsigned long long)before);
	igt_assert_lte_u64(before + size, now + SLACK);
	igt_assert_lte_u64(now, before + size + SLACK);
}

static void test_charge(bool gpu_first)
{
	const size_t size = 16 * MIB;

	make_group(GROUP, "max");
	igt_fork(child, 1) {
		uint64_t before, *p;

		join_group(GROUP);
		p = igt_devmem_anon_alloc(size);
		before = read_value(GROUP, "memory.current");
		if (!gpu_first) {
			memset(p, 1, size);
			expect_charge(GROUP, before, size);
		}
		igt_devmem_set(&d, p, PATTERN, size);
		expect_charge(GROUP, before, size);
		igt_devmem_expect_words(p, PATTERN, size);
		expect_charge(GROUP, before, size);
		igt_devmem_set(&d, p, PATTERN, size);
		igt_devmem_anon_free(p, size);
		expect_charge(GROUP, before, 0);
	}
	igt_waitchildren();
}

static void test_limit(void)
{
	const size_t size = 12 * MIB, more = 32 * MIB;

	igt_devmem_require_swap();
	make_group(GROUP, "24M");
	igt_fork(child, 1) {
		uint64_t *p, *q, i;

		join_group(GROUP);
		p = igt_devmem_anon_alloc(size);
		q = igt_devmem_anon_alloc(more);
		igt_devmem_set(&d, p, PATTERN, size);
		for (i = 0; i < more / 8; i++)
			q[i] = i;
		igt_assert_lt_u64(0, read_value(GROUP, "memory.swap.current"));
		igt_assert_lte_u64(read_value(GROUP, "memory.current"), 24 * MIB);
		igt_assert(igt_devmem_location_is(&d, p, size, DRM_DEVMEM_LOCATION_DEVICE));
		/* The GPU swaps in, the CPU brings back. */
		igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, q, 1, 8);
		igt_devmem_run(&d);
		q[0]--;
		for (i = 0; i < more / 8; i++)
			igt_assert_eq_u64(q[i], i);
		igt_devmem_expect_words(p, PATTERN, size);
	}
	igt_waitchildren();
}

/* What moves with a process is what it allocates from then on. */
static void test_move(void)
{
	const size_t size = 16 * MIB;

	make_group(GROUP, "max");
	make_group(OTHER, "max");
	igt_fork(child, 1) {
		uint64_t before, other, *p, *q;

		join_group(GROUP);
		p = igt_devmem_anon_alloc(size);
		q = igt_devmem_anon_alloc(size);
		before = read_value(GROUP, "memory.current");
		igt_devmem_set(&d, p, PATTERN, size);
		expect_charge(GROUP, before, size);

		set_value(OTHER, "cgroup.procs", "0");
		other = read_value(OTHER, "memory.current");
		igt_assert(igt_devmem_location_is(&d, p, size, DRM_DEVMEM_LOCATION_DEVICE));
		expect_charge(GROUP, before, size);
		igt_devmem_expect_words(p, PATTERN, size);
		igt_devmem_set(&d, p, ~PATTERN, size);
		expect_charge(GROUP, before, size);
		expect_charge(OTHER, other, 0);
		igt_devmem_set(&d, q, PATTERN, size);
		expect_charge(GROUP, before, size);
		expect_charge(OTHER, other, size);

		/* Nobody is in the old group. It goes, its memory on the device stays. */
		igt_assert_eq(rmdir(GROUP), 0);
		igt_devmem_expect_words(p, ~PATTERN, size);
		igt_devmem_set(&d, p, PATTERN, size);
		expect_charge(OTHER, other, size);
		igt_devmem_expect_words(p, PATTERN, size);
		igt_devmem_anon_free(p, size);
		expect_charge(OTHER, other, size);
		igt_devmem_anon_free(q, size);
		expect_charge(OTHER, other, 0);
	}
	igt_waitchildren();
}

/* The value of a line of memory.events */
static uint64_t read_event(const char *name)
{
	FILE *file = fopen(GROUP "/memory.events", "r");
	unsigned long count = 0, value;
	char key[32];

	igt_assert(file);
	while (fscanf(file, "%31s %lu", key, &value) == 2)
		count = strcmp(key, name) ? count : value;
	fclose(file);
	return count;
}

/* What the kernel says of a process that it kills */
#define OOM_MESSAGES	"oom|OOM|" IGT_DEVMEM_MEMORY_REPORT

/* Work that does not end, on the device and in place, until there is no RAM left */
static void work_until_killed(uint64_t *shared)
{
	const size_t size = 8 * MIB, more = 64 * MIB;
	uint64_t *p;

	join_group(GROUP);
	p = igt_devmem_anon_alloc(size);
	igt_devmem_set(&d, p, PATTERN, size);
	igt_devmem_count_forever(&d, p, shared);
	memset(igt_devmem_anon_alloc(more), 1, more);
}

static void test_oom_kill(void)
{
	uint64_t before = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE);
	uint64_t *shared = igt_devmem_shared_alloc(4096), kills;
	int status;
	pid_t pid;

	igt_emit_ignore_dmesg_regex(OOM_MESSAGES);
	make_group(GROUP, "24M");
	igt_assert(igt_devmem_write_file(GROUP "/memory.swap.max", "0") || errno == ENOENT);
	kills = read_event("oom_kill");
	pid = fork();
	igt_assert_lte(0, pid);
	if (!pid) {
		work_until_killed(shared);
		_exit(0);
	}
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_f(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %#x\n", status);
	igt_assert_eq_u64(read_event("oom_kill"), kills + 1);

	/* The shared page is alive here: the GPU must have let go of it. */
	igt_assert(igt_devmem_vram_comes_back(d.fd, before - MIB));
	igt_devmem_expect_stopped(shared);
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
	igt_devmem_shared_free(shared, 4096);
}

static void test_limit_evict(void)
{
	const size_t size = 32 * MIB;

	igt_devmem_require_swap();
	make_group(GROUP, "24M");
	igt_devmem_reload("vram_size=8 job_timeout_ms=100000");
	d.fd = igt_devmem_open();
	igt_fork(child, 1) {
		uint64_t *p;
		size_t i;

		join_group(GROUP);
		p = igt_devmem_anon_alloc(size);
		for (i = 0; i < size; i += 2 * MIB) {
			igt_devmem_fill(&d.batch, (char *)p + i, PATTERN + i, 8, 2 * MIB);
			igt_devmem_run(&d);
		}
		igt_assert_lt_u64(0, igt_devmem_stats(d.fd, d.vm).evicted_bytes);
		igt_assert_lte_u64(read_value(GROUP, "memory.current"), 24 * MIB);
		for (i = 0; i < size; i += 2 * MIB)
			igt_devmem_expect_words((char *)p + i, PATTERN + i, 2 * MIB);
	}
	igt_waitchildren();
	drm_close_driver(d.fd);
}

/* All swap that the group may have is taken by memory that nobody touches again. */
static void fill_swap(uint64_t limit)
{
	char *p = igt_devmem_anon_alloc(2 * limit);
	int tries = 0;

	memset(p, 1, 2 * limit);
	while (read_value(GROUP, "memory.swap.current") < limit) {
		igt_assert_eq(madvise(p, 2 * limit, MADV_PAGEOUT), 0);
		igt_assert_f(++tries < 100, "the group does not use its swap\n");
		/* Pages that are not on the LRU lists yet */
		igt_devmem_write_file("/proc/sys/vm/compact_memory", "1");
		usleep(10000);
	}
}

/* Up to @left bytes below its limit the group is filled with memory of this process. */
static void fill_group(uint64_t limit, uint64_t left)
{
	const size_t step = 64 * 1024;
	char *p = igt_devmem_anon_alloc(limit);
	size_t used = 0;

	while (read_value(GROUP, "memory.current") + left < limit && used < limit) {
		memset(p + used, 1, step);
		used += step;
	}
}

/* Eviction takes no more than the device gives: each page on its way stays charged once. */
static void test_evict_swap_full(void)
{
	const size_t size = 16 * MIB, swap = 2 * MIB, limit = 32 * MIB;

	igt_devmem_require_swap();
	make_group(GROUP, "32M");
	set_value(GROUP, "memory.swap.max", "2M");
	igt_devmem_reload("vram_size=8 job_timeout_ms=100000");
	d.fd = igt_devmem_open();
	igt_fork(child, 1) {
		uint64_t kills, *p;
		size_t i;

		join_group(GROUP);
		p = igt_devmem_anon_alloc(size);
		memset(p, 1, size);
		fill_swap(swap);
		fill_group(limit, MIB);
		kills = read_event("oom_kill");
		for (i = 0; i < 2 * size; i += 2 * MIB) {
			igt_devmem_fill(&d.batch, (char *)p + i % size, PATTERN + i, 8, 2 * MIB);
			igt_devmem_run(&d);
			igt_assert_lt_u64(limit, read_value(GROUP, "memory.current") + 2 * MIB);
			igt_assert_eq_u64(read_value(GROUP, "memory.swap.current"), swap);
		}
		igt_assert_lte_u64(size, igt_devmem_stats(d.fd, d.vm).evicted_bytes);
		for (i = size; i < 2 * size; i += 2 * MIB)
			igt_devmem_expect_words((char *)p + i - size, PATTERN + i, 2 * MIB);
		igt_assert_eq_u64(read_event("oom_kill"), kills);
	}
	igt_waitchildren();
	drm_close_driver(d.fd);
}

int igt_main()
{
	igt_fixture() {
		d.fd = igt_devmem_open();
		igt_require(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY));
	}

	igt_describe("Memory on the device is charged");
	igt_subtest("charge")
		test_charge(false);

	igt_describe("Memory that only the GPU has touched is charged");
	igt_subtest("charge-gpu-first")
		test_charge(true);

	igt_describe("A limit holds with memory on the device");
	igt_subtest("limit")
		test_limit();

	igt_describe("A process leaves its memory to the group that it was in");
	igt_subtest("move")
		test_move();

	igt_describe("A process is killed in its group");
	igt_subtest("oom-kill")
		test_oom_kill();

	igt_fixture()
		drm_close_driver(d.fd);

	igt_describe("A limit holds while memory is evicted");
	igt_subtest("limit-evict")
		test_limit_evict();

	igt_describe("Memory is evicted with no swap left to make room by");
	igt_subtest("evict-swap-full")
		test_evict_swap_full();

	igt_fixture()
		igt_devmem_restore();
}
