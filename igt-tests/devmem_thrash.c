// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem thrash
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Thrash control
 * Description: Memory that CPU and GPU use by turns
 *
 * SUBTEST: off
 * Description: Without thrash control memory migrates for each turn
 *
 * SUBTEST: damped
 * Description: With it, most turns find the memory in system memory
 *
 * SUBTEST: neighbours
 * Description: What does not go back and forth is not held back
 *
 * SUBTEST: unpin
 * Description: After its time the GPU has the memory on the device again
 *
 * SUBTEST: slow
 * Description: Turns with time between them are not thrashing
 *
 * SUBTEST: eviction
 * Description: Memory that eviction brought back was not taken by the CPU
 *
 * SUBTEST: asked-for
 * Description: What a program asks for is not held back
 *
 * SUBTEST: promote
 * Description: Memory that could not be moved at first is, if the GPU goes on using it
 *
 * SUBTEST: fair
 * Description: CPU and GPU that work on one page at full speed both get on
 */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("Memory that CPU and GPU use by turns");

#define MIB		(1024 * 1024ul)
#define PAGE		4096ul
#define TURNS		60

#define SYSTEM		DRM_DEVMEM_LOCATION_SYSTEM
#define DEVICE		DRM_DEVMEM_LOCATION_DEVICE

/* Long enough for a guest that shares its machine, and no decay on the way */
#define EASY		"thrash_bounces=4 thrash_window_ms=5000 "

static struct igt_devmem d;

/* One turn each; both add to the same word. */
static void take_turns(uint64_t *word, int turns)
{
	int i;

	for (i = 0; i < turns; i++) {
		++*word;
		igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, word, 1, 8);
		igt_devmem_run(&d);
	}
}

static struct drm_devmem_stats stats(void)
{
	return igt_devmem_stats(d.fd, d.vm);
}

static void test_off(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);

	take_turns(p, TURNS);
	igt_assert_eq_u64(stats().to_device_count, TURNS);
	igt_assert_eq_u64(stats().bounces, TURNS - 1);
	igt_assert_eq_u64(stats().pins, 0);
	igt_assert_eq_u64(*p, 2 * TURNS);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_damped(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);

	take_turns(p, TURNS);
	igt_info("%llu migrations, %llu bounces, %llu pins\n",
		 (unsigned long long)stats().to_device_count,
		 (unsigned long long)stats().bounces, (unsigned long long)stats().pins);
	igt_assert_lte_u64(stats().to_device_count, TURNS / 3);
	igt_assert_lte_u64(1, stats().pins);
	igt_assert_eq_u64(*p, 2 * TURNS);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_neighbours(void)
{
	uint64_t *p = igt_devmem_anon_alloc(4 * MIB), *q = p + 2 * MIB / 8;

	take_turns(p, 8);
	igt_assert_eq_u64(stats().pins, 1);
	igt_devmem_poke(&d, p, 1);
	igt_assert(igt_devmem_location_is(&d, p, 2 * MIB, SYSTEM));
	q[0] = 1;
	igt_devmem_poke(&d, q, 1);
	igt_assert(igt_devmem_location_is(&d, q, 2 * MIB, DEVICE));
	igt_devmem_anon_free(p, 4 * MIB);
}

static void test_unpin(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	int i;

	take_turns(p, 8);
	igt_assert_eq_u64(stats().pins, 1);
	igt_assert(igt_devmem_location_is(&d, p, 2 * MIB, SYSTEM));

	/* The GPU has a translation all the time, and yet it faults. */
	for (i = 0; i < 300; i++) {
		usleep(100000);
		igt_devmem_poke(&d, p, i);
		if (igt_devmem_count(&d, p, PAGE, DEVICE))
			break;
	}
	igt_assert(igt_devmem_location_is(&d, p, 2 * MIB, DEVICE));
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_slow(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	int i;

	for (i = 0; i < 12; i++) {
		take_turns(p, 1);
		igt_assert(igt_devmem_location_is(&d, p, 2 * MIB, DEVICE));
		usleep(60000);
	}
	igt_assert_eq_u64(stats().pins, 0);
	igt_assert_eq_u64(stats().bounces, 11);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_eviction(void)
{
	uint64_t *p = igt_devmem_anon_alloc(32 * MIB);
	int i;

	for (i = 0; i < 6; i++) {
		igt_devmem_fill(&d.batch, p, i, 8, 32 * MIB);
		igt_devmem_run(&d);
	}
	igt_assert_lt_u64(0, stats().evicted_count);
	igt_assert_eq_u64(stats().bounces, 0);
	igt_assert_eq_u64(stats().pins, 0);
	igt_devmem_anon_free(p, 32 * MIB);
}

static void test_asked_for(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	int i;

	igt_devmem_madvise(d.fd, d.vm, p, 2 * MIB, DRM_DEVMEM_ATTR_PREFERRED,
			   DRM_DEVMEM_PREFERRED_DEVICE);
	take_turns(p, 20);
	igt_assert_eq_u64(stats().to_device_count, 20);
	igt_assert_eq_u64(stats().pins, 0);

	igt_devmem_madvise(d.fd, d.vm, p, 2 * MIB, DRM_DEVMEM_ATTR_RESET, 0);
	take_turns(p, 8);
	igt_assert_eq_u64(stats().pins, 1);
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, 2 * MIB, DEVICE, 0), 2 * MIB);
	igt_assert(igt_devmem_location_is(&d, p, 2 * MIB, DEVICE));

	for (i = 0; i < 8; i++)
		igt_assert_eq_u64(p[i], i ? 0 : 56);
	igt_devmem_anon_free(p, 2 * MIB);
}

/* A pipe holds the first page of @p, which therefore can't be moved. */
static void hold_page(int pipe, void *p)
{
	struct iovec iov = { .iov_base = p, .iov_len = PAGE };

	igt_assert_eq(vmsplice(pipe, &iov, 1, 0), PAGE);
}

static void test_promote(void)
{
	uint64_t *p[3], looks, *hot, *cold, *kept;
	char buf[PAGE];
	unsigned int i;
	int fds[2];

	igt_assert_eq(pipe(fds), 0);
	for (i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = igt_devmem_anon_alloc(2 * MIB);
		p[i][0] = 1;
		hold_page(fds[1], p[i]);
	}
	hot = p[0];
	cold = p[1];
	kept = p[2];
	igt_devmem_madvise(d.fd, d.vm, kept, 2 * MIB, DRM_DEVMEM_ATTR_MIGRATION,
			   DRM_DEVMEM_MIGRATION_ON_PREFETCH);
	for (i = 0; i < ARRAY_SIZE(p); i++) {
		igt_devmem_poke(&d, p[i], 2);
		igt_assert_eq(igt_devmem_count(&d, p[i], PAGE, SYSTEM), 1);
		igt_assert_eq(read(fds[0], buf, PAGE), PAGE);
	}

	/* No fault of the GPU comes by itself. */
	looks = stats().access_scans;
	while (!igt_devmem_count(&d, hot, PAGE, DEVICE) && stats().access_scans < looks + 500) {
		igt_assert_eq_u64(igt_devmem_peek(&d, hot), 2);
		igt_assert_eq_u64(igt_devmem_peek(&d, kept), 2);
	}
	igt_info("%llu promotions in %llu looks\n", (unsigned long long)stats().promotions,
		 (unsigned long long)(stats().access_scans - looks));
	igt_assert(igt_devmem_location_is(&d, hot, 2 * MIB, DEVICE));
	igt_assert_eq(igt_devmem_count(&d, cold, PAGE, SYSTEM), 1);
	igt_assert_eq(igt_devmem_count(&d, kept, PAGE, SYSTEM), 1);
	igt_assert_eq_u64(stats().promotions, 1);
	for (i = 0; i < ARRAY_SIZE(p); i++) {
		igt_assert_eq_u64(p[i][0], 2);
		igt_devmem_anon_free(p[i], 2 * MIB);
	}
	close(fds[0]);
	close(fds[1]);
}

/* r1 = stop word; loop until it is not zero. */
static void start_adding(uint64_t *word, uint64_t *stop)
{
	unsigned int loop;

	loop = igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, word, 1, 8);
	igt_devmem_load(&d.batch, 1, stop, 8);
	igt_devmem_branch(&d.batch, 1, DRM_DEVMEM_COMPARE_EQ, 0, loop);
	igt_devmem_submit(&d);
}

static void test_fair(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB), *stop = d.result;
	uint64_t cpu_before, gpu_before, gpu_now;
	const int slices = 6;
	int64_t now, end, limit;
	int i;

	/* p[0] is the CPU's, p[1] the GPU's. A slow machine gets longer slices. */
	*stop = 0;
	start_adding(p + 1, stop);
	for (i = 0; i < slices; i++) {
		cpu_before = p[0];
		gpu_before = __atomic_load_n(p + 1, __ATOMIC_SEQ_CST);
		end = igt_devmem_deadline(500 * 1000 * 1000);
		limit = end + 10ll * 1000 * 1000 * 1000;
		do {
			__atomic_fetch_add(p, 1, __ATOMIC_SEQ_CST);
			gpu_now = __atomic_load_n(p + 1, __ATOMIC_SEQ_CST);
			now = igt_devmem_deadline(0);
		} while (now < end || (gpu_now == gpu_before && now < limit));
		igt_info("%llu by the CPU, %llu by the GPU\n",
			 (unsigned long long)(p[0] - cpu_before),
			 (unsigned long long)(gpu_now - gpu_before));
		igt_assert_lt_u64(0, p[0] - cpu_before);
		igt_assert_lt_u64(0, gpu_now - gpu_before);
	}
	*stop = 1;
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	igt_devmem_anon_free(p, 2 * MIB);
}

static const struct {
	const char *name;
	const char *describe;
	const char *options;
	void (*test)(void);
} tests[] = {
	{ "off", "Memory goes back and forth", "thrash_bounces=0", test_off },
	{ "damped", "Memory stops going back and forth",
	  "thrash_window_ms=20000 thrash_pin_ms=60000", test_damped },
	{ "neighbours", "Each range counts for itself",
	  EASY "thrash_pin_ms=60000", test_neighbours },
	{ "unpin", "A pin ends", EASY "thrash_pin_ms=4000", test_unpin },
	{ "slow", "Bounces are forgotten", "thrash_bounces=3 thrash_window_ms=30", test_slow },
	{ "eviction", "Eviction is no bounce", EASY "vram_size=16", test_eviction },
	{ "asked-for", "Attributes and prefetch go first",
	  EASY "thrash_pin_ms=60000", test_asked_for },
	{ "promote", "What the GPU uses in place moves when it can",
	  "access_period_ms=20 access_hot=3", test_promote },
	{ "fair", "Both sides get on", "job_timeout_ms=100000", test_fair },
};

static void run_with(const char *options, void (*test)(void))
{
	igt_devmem_reload(options);
	igt_devmem_init(&d, igt_devmem_open(), 0);
	igt_require(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY));
	test();
	igt_devmem_fini(&d);
	close(d.fd);
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
