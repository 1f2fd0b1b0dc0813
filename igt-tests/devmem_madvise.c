// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem madvise
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Attributes
 * Description: What a program says about its memory
 *
 * SUBTEST: invalid-madvise
 * Description: Each bad argument of madvise gives the error that is documented
 *
 * SUBTEST: invalid-query
 * Description: Each bad argument of the query gives the error that is documented
 *
 * SUBTEST: query
 * Description: The query returns what was set, cut to the range and in order
 *
 * SUBTEST: query-room
 * Description: A query without room says how many entries there are
 *
 * SUBTEST: preferred-system
 * Description: The GPU uses memory in place, and brings back what was on the device
 *
 * SUBTEST: preferred-device
 * Description: The GPU moves memory to the device
 *
 * SUBTEST: on-prefetch
 * Description: Memory moves by prefetch and not by a fault
 *
 * SUBTEST: never
 * Description: Memory does not move to the device, and comes back from there
 *
 * SUBTEST: atomic-cpu
 * Description: An atomic of the GPU is an error, other accesses are not
 *
 * SUBTEST: atomic-device
 * Description: An atomic moves memory to the device that is otherwise used in place
 *
 * SUBTEST: atomic-device-pinned
 * Description: An atomic on memory that cannot move is an error, until it can
 *
 * SUBTEST: atomic-exclusive
 * Description: The GPU takes a page from the CPU for an atomic, and gives it back
 *
 * SUBTEST: atomic-exclusive-turns
 * Description: Both sides count in a page that belongs to one at a time
 *
 * SUBTEST: atomic-global
 * Description: CPU and GPU add to the same word in system memory and lose nothing
 *
 * SUBTEST: reset
 * Description: After a reset all is as it was
 *
 * SUBTEST: live
 * Description: A new attribute holds for memory that the GPU has mapped already
 *
 * SUBTEST: part
 * Description: An attribute of a part of a chunk holds for that part alone
 *
 * SUBTEST: munmap
 * Description: Unmapped memory loses its attributes, its neighbours keep theirs
 *
 * SUBTEST: mremap
 * Description: Memory that is moved away leaves no attributes behind
 *
 * SUBTEST: split
 * Description: Attributes outlive mprotect, MADV_DONTNEED and a fork
 *
 * SUBTEST: two-vms
 * Description: Each VM has attributes of its own
 *
 * SUBTEST: concurrent
 * Description: Threads that set, unmap and use memory do no harm
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("What a program says about its memory");

#define MIB		(1024 * 1024ul)
#define PAGE		4096ul
#define VALUE		0x0f1e2d3c4b5a6978ull

#define SYSTEM		DRM_DEVMEM_LOCATION_SYSTEM
#define DEVICE		DRM_DEVMEM_LOCATION_DEVICE

static struct igt_devmem d;

static void advise(const void *p, size_t size, uint32_t attr, uint32_t value)
{
	igt_devmem_madvise(d.fd, d.vm, p, size, attr, value);
}

static char *alloc_filled(size_t size)
{
	uint64_t *p = igt_devmem_anon_alloc(size);
	size_t i;

	for (i = 0; i < size / sizeof(*p); i++)
		p[i] = VALUE;
	return (char *)p;
}

static uint32_t query(const void *p, size_t size, struct drm_devmem_attrs *attrs, uint32_t room)
{
	struct drm_devmem_query_attrs args = {
		.vm_id = d.vm, .addr = (uintptr_t)p, .length = size,
		.num = room, .data = (uintptr_t)attrs,
	};

	igt_assert_eq(__igt_devmem_query_attrs(d.fd, &args), 0);
	return args.num;
}

static void expect_attrs(const struct drm_devmem_attrs *a, const char *start, const char *end,
			 uint32_t preferred, uint32_t migration, uint32_t atomic)
{
	igt_assert_eq_u64(a->start, (uintptr_t)start);
	igt_assert_eq_u64(a->end, (uintptr_t)end);
	igt_assert_eq_u32(a->preferred, preferred);
	igt_assert_eq_u32(a->migration, migration);
	igt_assert_eq_u32(a->atomic, atomic);
	igt_assert_eq_u32(a->device, 0);
}

static uint32_t run_atomic(void *p)
{
	igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, p, 1, 8);
	return __igt_devmem_run(&d);
}

static void test_invalid_madvise(void)
{
	char *p = alloc_filled(2 * PAGE);
	const struct drm_devmem_madvise good = {
		.vm_id = d.vm, .addr = (uintptr_t)p, .length = PAGE,
		.attr = DRM_DEVMEM_ATTR_PREFERRED, .value = DRM_DEVMEM_PREFERRED_SYSTEM,
	};
	struct drm_devmem_madvise args;
	uint32_t *vm = igt_devmem_shared_alloc(PAGE);

#define EXPECT(field, v, err) do { \
	args = good; \
	args.field = (v); \
	igt_assert_f(__igt_devmem_madvise(d.fd, &args) == (err), #field " " #v "\n"); \
} while (0)
	EXPECT(vm_id, ~0u, -ENOENT);
	EXPECT(vm_id, 0, -ENOENT);
	EXPECT(flags, 1, -EINVAL);
	EXPECT(flags, 1u << 31, -EINVAL);
	EXPECT(reserved, 1, -EINVAL);
	EXPECT(reserved, 1u << 31, -EINVAL);
	EXPECT(device_fd, 1, -EINVAL);
	EXPECT(device_fd, -1, -EINVAL);
	EXPECT(addr, good.addr + 1, -EINVAL);
	EXPECT(addr, 1ull << 62, -EINVAL);
	EXPECT(length, 0, -EINVAL);
	EXPECT(length, PAGE + 1, -EINVAL);
	EXPECT(length, -PAGE, -EINVAL);
	EXPECT(attr, DRM_DEVMEM_ATTR_RESET + 1, -EINVAL);
	EXPECT(attr, ~0u, -EINVAL);
	EXPECT(attr, DRM_DEVMEM_ATTR_RESET, -EINVAL);
	EXPECT(value, DRM_DEVMEM_PREFERRED_DEVICE + 1, -EINVAL);
	EXPECT(value, ~0u, -EINVAL);
	EXPECT(length, 2 * PAGE, 0);
	/* Guard pages are mapped, without access; what is behind them need not be. */
	igt_assert_eq(munmap(p + PAGE, PAGE), 0);
	EXPECT(length, 2 * PAGE, -EFAULT);
	EXPECT(addr, good.addr + PAGE, -EFAULT);
	EXPECT(length, PAGE, 0);

	args = good;
	args.attr = DRM_DEVMEM_ATTR_MIGRATION;
	args.value = DRM_DEVMEM_MIGRATION_NEVER + 1;
	igt_assert_eq(__igt_devmem_madvise(d.fd, &args), -EINVAL);
	args.attr = DRM_DEVMEM_ATTR_ATOMIC;
	args.value = DRM_DEVMEM_ATOMIC_EXCLUSIVE + 1;
	igt_assert_eq(__igt_devmem_madvise(d.fd, &args), -EINVAL);

	igt_fork(child, 1)
		vm[0] = igt_devmem_vm_create(d.fd, 0);
	igt_waitchildren();
	EXPECT(vm_id, vm[0], -ESRCH);
	igt_devmem_vm_destroy(d.fd, vm[0]);
	igt_devmem_shared_free(vm, PAGE);
	igt_devmem_anon_free(p, 2 * PAGE);
#undef EXPECT
}

static void test_invalid_query(void)
{
	char *p = alloc_filled(PAGE);
	struct drm_devmem_attrs attrs;
	const struct drm_devmem_query_attrs good = {
		.vm_id = d.vm, .addr = (uintptr_t)p, .length = PAGE,
		.num = 1, .data = (uintptr_t)&attrs,
	};
	struct drm_devmem_query_attrs args;

	advise(p, PAGE, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_SYSTEM);
#define EXPECT(field, v, err) do { \
	args = good; \
	args.field = (v); \
	igt_assert_f(__igt_devmem_query_attrs(d.fd, &args) == (err), #field " " #v "\n"); \
} while (0)
	EXPECT(vm_id, ~0u, -ENOENT);
	EXPECT(flags, 1, -EINVAL);
	EXPECT(flags, 1u << 31, -EINVAL);
	EXPECT(pad, 1, -EINVAL);
	EXPECT(addr, good.addr + 8, -EINVAL);
	EXPECT(addr, 1ull << 62, -EINVAL);
	EXPECT(length, 0, -EINVAL);
	EXPECT(length, 8, -EINVAL);
	EXPECT(length, -PAGE, -EINVAL);
	EXPECT(data, 64, -EFAULT);
	EXPECT(num, 1, 0);
	igt_assert_eq_u32(args.num, 1);
	igt_devmem_anon_free(p, PAGE);
#undef EXPECT
}

static void test_query(void)
{
	char *p = alloc_filled(8 * PAGE);
	struct drm_devmem_attrs attrs[8];

	igt_assert_eq(query(p, 8 * PAGE, attrs, 8), 0);
	advise(p + PAGE, 4 * PAGE, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_SYSTEM);
	advise(p + 3 * PAGE, 4 * PAGE, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_CPU);
	advise(p + 4 * PAGE, PAGE, DRM_DEVMEM_ATTR_MIGRATION, DRM_DEVMEM_MIGRATION_ON_PREFETCH);

	igt_assert_eq(query(p, 8 * PAGE, attrs, 8), 4);
	expect_attrs(&attrs[0], p + PAGE, p + 3 * PAGE, 1, 0, 0);
	expect_attrs(&attrs[1], p + 3 * PAGE, p + 4 * PAGE, 1, 0, 3);
	expect_attrs(&attrs[2], p + 4 * PAGE, p + 5 * PAGE, 1, 1, 3);
	expect_attrs(&attrs[3], p + 5 * PAGE, p + 7 * PAGE, 0, 0, 3);

	/* Cut to the range that was asked for */
	igt_assert_eq(query(p + 2 * PAGE, 2 * PAGE, attrs, 8), 2);
	expect_attrs(&attrs[0], p + 2 * PAGE, p + 3 * PAGE, 1, 0, 0);
	expect_attrs(&attrs[1], p + 3 * PAGE, p + 4 * PAGE, 1, 0, 3);

	/* What is equal is one stretch, however it came to be. */
	advise(p, 8 * PAGE, DRM_DEVMEM_ATTR_RESET, 0);
	igt_assert_eq(query(p, 8 * PAGE, attrs, 8), 0);
	advise(p, PAGE, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_GLOBAL);
	advise(p + 2 * PAGE, PAGE, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_GLOBAL);
	advise(p + PAGE, PAGE, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_GLOBAL);
	igt_assert_eq(query(p, 8 * PAGE, attrs, 8), 1);
	expect_attrs(&attrs[0], p, p + 3 * PAGE, 0, 0, 1);
	igt_devmem_anon_free(p, 8 * PAGE);
}

static void test_query_room(void)
{
	char *p = alloc_filled(8 * PAGE);
	struct drm_devmem_attrs attrs[3] = {};
	int i;

	for (i = 0; i < 8; i += 2)
		advise(p + i * PAGE, PAGE, DRM_DEVMEM_ATTR_PREFERRED, 1);
	igt_assert_eq(query(p, 8 * PAGE, NULL, 0), 4);
	igt_assert_eq(query(p, 8 * PAGE, attrs, 2), 4);
	expect_attrs(&attrs[1], p + 2 * PAGE, p + 3 * PAGE, 1, 0, 0);
	expect_attrs(&attrs[2], NULL, NULL, 0, 0, 0);
	igt_devmem_anon_free(p, 8 * PAGE);
}

static void test_preferred_system(void)
{
	const size_t size = 4 * MIB;
	char *p = alloc_filled(size);

	advise(p, size, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_SYSTEM);
	igt_devmem_fill(&d.batch, p, 1, 8, size);
	igt_devmem_run(&d);
	igt_assert(igt_devmem_pages_are(&d, p, size, DRM_DEVMEM_RESIDENCY_LOCATION |
					DRM_DEVMEM_RESIDENCY_GPU_WRITE,
					SYSTEM | DRM_DEVMEM_RESIDENCY_GPU_WRITE));
	igt_devmem_expect_words(p, 1, size);

	/* A prefetch goes where it says, and the next fault brings the memory back. */
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, DEVICE, 0), size);
	igt_assert(igt_devmem_location_is(&d, p, size, DEVICE));
	igt_devmem_fill(&d.batch, p, 2, 8, 2 * MIB);
	igt_devmem_run(&d);
	igt_assert(igt_devmem_location_is(&d, p, 2 * MIB, SYSTEM));
	igt_assert(igt_devmem_location_is(&d, p + 2 * MIB, 2 * MIB, DEVICE));
	igt_devmem_expect_words(p, 2, 2 * MIB);
	igt_devmem_expect_words(p + 2 * MIB, 1, 2 * MIB);
	igt_devmem_anon_free(p, size);
}

static void test_preferred_device(void)
{
	const size_t size = 2 * MIB;
	char *p = alloc_filled(size);

	advise(p, size, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_SYSTEM);
	igt_devmem_poke(&d, p, 1);
	igt_assert(igt_devmem_location_is(&d, p, size, SYSTEM));
	advise(p, size, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_DEVICE);
	igt_devmem_poke(&d, p, 2);
	igt_assert(igt_devmem_location_is(&d, p, size, DEVICE));
	igt_devmem_expect_words(p, 2, 8);
	igt_devmem_anon_free(p, size);
}

static void test_on_prefetch(void)
{
	const size_t size = 2 * MIB;
	char *p = alloc_filled(size);

	advise(p, size, DRM_DEVMEM_ATTR_MIGRATION, DRM_DEVMEM_MIGRATION_ON_PREFETCH);
	igt_devmem_poke(&d, p, 1);
	igt_assert(igt_devmem_location_is(&d, p, size, SYSTEM));
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, DEVICE, 0), size);

	/* A fault of the GPU leaves it there, too. */
	igt_devmem_poke(&d, p, 2);
	igt_assert(igt_devmem_location_is(&d, p, size, DEVICE));
	igt_devmem_expect_words(p, 2, 8);
	igt_devmem_poke(&d, p, 3);
	igt_assert(igt_devmem_location_is(&d, p, size, SYSTEM));
	igt_devmem_anon_free(p, size);
}

static void test_never(void)
{
	const size_t size = 2 * MIB;
	char *p = alloc_filled(size);

	igt_devmem_set(&d, p, 1, size);
	advise(p, size, DRM_DEVMEM_ATTR_MIGRATION, DRM_DEVMEM_MIGRATION_NEVER);
	igt_devmem_poke(&d, p, 2);
	igt_assert(igt_devmem_location_is(&d, p, size, DEVICE));
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, SYSTEM, 0), size);

	igt_devmem_poke(&d, p, 3);
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, DEVICE, 0), 0);
	igt_assert(igt_devmem_location_is(&d, p, size, SYSTEM));
	igt_devmem_expect_words(p, 3, 8);
	igt_devmem_expect_words(p + 8, 1, size - 8);
	igt_devmem_anon_free(p, size);
}

static void test_atomic_cpu(void)
{
	const size_t size = 2 * MIB;
	char *p = alloc_filled(size);
	struct drm_devmem_queue_query q;

	advise(p, size, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_CPU);
	igt_assert_eq(run_atomic(p), DRM_DEVMEM_ERROR_FAULT);
	q = igt_devmem_queue_query(d.fd, d.queue);
	igt_assert_eq_u64(q.fault_addr, (uintptr_t)p);
	igt_assert_eq(q.access, DRM_DEVMEM_ACCESS_ATOMIC);

	/* With a translation for writing, too */
	igt_devmem_poke(&d, p, 5);
	igt_assert_eq(run_atomic(p), DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 5);
	__atomic_fetch_add((uint64_t *)p, 1, __ATOMIC_SEQ_CST);
	igt_devmem_expect_words(p, 6, 8);

	advise(p, size, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_DEFAULT);
	igt_assert_eq(run_atomic(p), DRM_DEVMEM_ERROR_NONE);
	igt_devmem_expect_words(p, 7, 8);
	igt_devmem_anon_free(p, size);
}

static void test_atomic_device(void)
{
	const size_t size = 2 * MIB;
	char *p = alloc_filled(size);

	advise(p, size, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_DEVICE);
	advise(p, size, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_SYSTEM);
	igt_devmem_poke(&d, p, 1);
	igt_assert(igt_devmem_location_is(&d, p, size, SYSTEM));
	igt_assert_eq(run_atomic(p), DRM_DEVMEM_ERROR_NONE);
	igt_assert(igt_devmem_location_is(&d, p, size, DEVICE));
	igt_devmem_expect_words(p, 2, 8);

	/* Shared memory never moves. */
	*d.result = 1;
	advise(d.result, PAGE, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_DEVICE);
	igt_assert_eq(run_atomic(d.result), DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq_u64(*d.result, 1);
	advise(d.result, PAGE, DRM_DEVMEM_ATTR_RESET, 0);
	igt_assert_eq(run_atomic(d.result), DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq_u64(*d.result, 2);
	igt_devmem_anon_free(p, size);
}

static void test_atomic_device_pinned(void)
{
	const size_t size = 2 * MIB;
	char *p = alloc_filled(size);
	int pipe_fds[2];

	advise(p, size, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_DEVICE);
	igt_assert_eq(pipe(pipe_fds), 0);
	igt_assert_eq(vmsplice(pipe_fds[1], &(struct iovec){ p, PAGE }, 1, 0), PAGE);
	igt_assert_eq(run_atomic(p), DRM_DEVMEM_ERROR_FAULT);
	igt_devmem_poke(&d, p, 3);
	igt_assert_eq(run_atomic(p), DRM_DEVMEM_ERROR_FAULT);

	close(pipe_fds[0]);
	close(pipe_fds[1]);
	igt_assert_eq(run_atomic(p), DRM_DEVMEM_ERROR_NONE);
	igt_devmem_expect_words(p, 4, 8);
	igt_devmem_anon_free(p, size);
}

/* The entry of a page that the GPU has for itself is not present. */
static bool cpu_has(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	igt_assert_fd(fd);
	igt_assert_eq(pread(fd, &entry, 8, (uintptr_t)p / PAGE * 8), 8);
	close(fd);
	return entry >> 63;
}

static void test_atomic_exclusive(void)
{
	const size_t size = 2 * MIB;
	char *p = alloc_filled(size), *q = p + 5 * PAGE;
	uint32_t status;
	int wstatus;
	pid_t pid;

	advise(p, size, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_SYSTEM);
	advise(p, size, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_EXCLUSIVE);
	igt_devmem_poke(&d, q, 1);
	igt_assert(cpu_has(q));
	igt_assert_eq(run_atomic(q), DRM_DEVMEM_ERROR_NONE);
	igt_assert(!cpu_has(q));
	igt_assert(cpu_has(q - PAGE) && cpu_has(q + PAGE));
	igt_assert_eq(run_atomic(q), DRM_DEVMEM_ERROR_NONE);
	igt_devmem_expect_words(q, 3, 8);
	igt_assert(cpu_has(q));

	/* A child gets the value, and what the GPU adds then is the parent's. */
	igt_assert_eq(run_atomic(q), DRM_DEVMEM_ERROR_NONE);
	pid = fork();
	igt_assert_lte(0, pid);
	if (!pid)
		_exit(*(uint64_t *)q != 4);
	status = run_atomic(q);
	igt_assert_eq(waitpid(pid, &wstatus, 0), pid);
	igt_assert_eq(wstatus, 0);
	igt_assert_eq(status, DRM_DEVMEM_ERROR_NONE);
	igt_devmem_expect_words(q, 5, 8);

	/* On the device there is no need for it. */
	advise(p, size, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_DEFAULT);
	igt_assert_eq(run_atomic(q), DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq(igt_devmem_count(&d, q, PAGE, DEVICE), 1);
	igt_devmem_expect_words(q, 6, 8);
	igt_devmem_expect_words(q + 8, VALUE, PAGE - 8);
	igt_devmem_anon_free(p, size);

	/* Shared memory can't be taken from others. */
	advise(d.result, PAGE, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_EXCLUSIVE);
	igt_assert_eq(run_atomic(d.result), DRM_DEVMEM_ERROR_FAULT);
	advise(d.result, PAGE, DRM_DEVMEM_ATTR_RESET, 0);
}

static void count_both(uint64_t *p, unsigned int adds)
{
	unsigned int i, loop;

	loop = igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, p, 1, 8);
	igt_devmem_alu(&d.batch, 1, 1, DRM_DEVMEM_ALU_ADD, 1);
	igt_devmem_branch(&d.batch, 1, DRM_DEVMEM_COMPARE_LT, adds, loop);
	igt_devmem_submit(&d);
	for (i = 0; i < adds; i++)
		__atomic_fetch_add(p, 1, __ATOMIC_SEQ_CST);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	d.batch.count = 0;
	igt_assert_eq_u64(*p, 2 * adds);
}

static void test_atomic_exclusive_turns(void)
{
	uint64_t *p = (uint64_t *)alloc_filled(PAGE);

	*p = 0;
	advise(p, PAGE, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_SYSTEM);
	advise(p, PAGE, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_EXCLUSIVE);
	count_both(p, 2000);
	igt_devmem_anon_free(p, PAGE);
}

static void test_atomic_global(void)
{
	uint64_t *p = (uint64_t *)alloc_filled(PAGE);

	*p = 0;
	advise(p, PAGE, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_GLOBAL);
	advise(p, PAGE, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_SYSTEM);
	count_both(p, 2000);
	igt_assert(igt_devmem_location_is(&d, p, PAGE, SYSTEM));
	igt_devmem_anon_free(p, PAGE);
}

static void test_reset(void)
{
	const size_t size = 2 * MIB;
	char *p = alloc_filled(size);

	advise(p, size, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_SYSTEM);
	advise(p, size, DRM_DEVMEM_ATTR_MIGRATION, DRM_DEVMEM_MIGRATION_NEVER);
	advise(p, size, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_CPU);
	igt_assert_eq(run_atomic(p), DRM_DEVMEM_ERROR_FAULT);
	advise(p, size, DRM_DEVMEM_ATTR_RESET, 0);
	igt_assert_eq(query(p, size, NULL, 0), 0);
	igt_assert_eq(run_atomic(p), DRM_DEVMEM_ERROR_NONE);
	igt_assert(igt_devmem_location_is(&d, p, size, DEVICE));
	igt_devmem_anon_free(p, size);
}

static void test_live(void)
{
	const size_t size = 2 * MIB;
	char *p = alloc_filled(size);

	igt_devmem_set(&d, p, 1, size);
	advise(p, size, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_SYSTEM);
	igt_assert(igt_devmem_pages_are(&d, p, size, DRM_DEVMEM_RESIDENCY_LOCATION |
					DRM_DEVMEM_RESIDENCY_GPU_MAPPED, DEVICE));
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 1);
	igt_assert(igt_devmem_location_is(&d, p, size, SYSTEM));
	advise(p, size, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_DEFAULT);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 1);
	igt_assert(igt_devmem_location_is(&d, p, size, DEVICE));
	igt_devmem_anon_free(p, size);
}

static void test_part(void)
{
	const size_t size = 2 * MIB, part = 256 * 1024;
	char *p = alloc_filled(size);

	igt_devmem_set(&d, p, 1, size);
	igt_devmem_expect_words(p, 1, size);
	advise(p + MIB, part, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_SYSTEM);
	igt_devmem_fill(&d.batch, p, 2, 8, size);
	igt_devmem_run(&d);
	igt_assert(igt_devmem_location_is(&d, p, MIB, DEVICE));
	igt_assert(igt_devmem_location_is(&d, p + MIB, part, SYSTEM));
	igt_assert(igt_devmem_location_is(&d, p + MIB + part, size - MIB - part, DEVICE));
	igt_devmem_expect_words(p, 2, size);
	igt_devmem_anon_free(p, size);
}

static void test_munmap(void)
{
	const size_t size = 6 * MIB;
	char *p = alloc_filled(size);
	struct drm_devmem_attrs attrs[4];

	advise(p, size, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_SYSTEM);
	igt_assert_eq(munmap(p + 2 * MIB, 2 * MIB), 0);
	igt_assert_eq(query(p, size, attrs, 4), 2);
	expect_attrs(&attrs[0], p, p + 2 * MIB, 1, 0, 0);
	expect_attrs(&attrs[1], p + 4 * MIB, p + size, 1, 0, 0);

	/* What is mapped there next knows nothing of it. */
	igt_assert(mmap(p + 2 * MIB, 2 * MIB, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	igt_devmem_fill(&d.batch, p, 1, 8, size);
	igt_devmem_run(&d);
	igt_assert(igt_devmem_location_is(&d, p, 2 * MIB, SYSTEM));
	igt_assert(igt_devmem_location_is(&d, p + 2 * MIB, 2 * MIB, DEVICE));
	igt_assert(igt_devmem_location_is(&d, p + 4 * MIB, 2 * MIB, SYSTEM));

	/* So does what is mapped over it. */
	igt_assert(mmap(p, PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	igt_assert_eq(query(p, size, attrs, 4), 2);
	expect_attrs(&attrs[0], p + PAGE, p + 2 * MIB, 1, 0, 0);
	igt_devmem_anon_free(p, size);
}

static void test_mremap(void)
{
	const size_t size = 2 * MIB;
	char *p = alloc_filled(size), *to = igt_devmem_anon_alloc(size);
	struct drm_devmem_attrs attrs;

	advise(p, size, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_SYSTEM);
	advise(to, size, DRM_DEVMEM_ATTR_ATOMIC, DRM_DEVMEM_ATOMIC_CPU);
	igt_assert(mremap(p, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	igt_assert_eq(query(p, size, &attrs, 1), 0);
	igt_assert_eq(query(to, size, &attrs, 1), 0);
	igt_assert_eq(run_atomic(to), DRM_DEVMEM_ERROR_NONE);
	igt_assert(igt_devmem_location_is(&d, to, size, DEVICE));
	igt_devmem_anon_free(to, size);
}

static void test_split(void)
{
	const size_t size = 2 * MIB;
	char *p = alloc_filled(size);
	struct drm_devmem_attrs attrs;

	advise(p, size, DRM_DEVMEM_ATTR_PREFERRED, DRM_DEVMEM_PREFERRED_SYSTEM);
	igt_assert_eq(mprotect(p + MIB, PAGE, PROT_READ), 0);
	igt_assert_eq(madvise(p + MIB / 2, PAGE, MADV_DONTNEED), 0);
	igt_fork(child, 1)
		p[0] = 1;
	igt_waitchildren();
	igt_assert_eq(query(p, size, &attrs, 1), 1);
	expect_attrs(&attrs, p, p + size, 1, 0, 0);
	igt_assert_eq(mprotect(p + MIB, PAGE, PROT_READ | PROT_WRITE), 0);
	igt_devmem_fill(&d.batch, p, 1, 8, size);
	igt_devmem_run(&d);
	igt_assert(igt_devmem_location_is(&d, p, size, SYSTEM));
	igt_devmem_anon_free(p, size);
}

static void test_two_vms(void)
{
	const size_t size = 2 * MIB;
	char *p = alloc_filled(size);
	struct igt_devmem other;

	igt_devmem_init(&other, d.fd, 0);
	igt_devmem_madvise(d.fd, other.vm, p, size, DRM_DEVMEM_ATTR_PREFERRED,
			   DRM_DEVMEM_PREFERRED_SYSTEM);
	igt_assert_eq(query(p, size, NULL, 0), 0);
	igt_devmem_poke(&d, p, 1);
	igt_assert(igt_devmem_location_is(&d, p, size, DEVICE));
	igt_devmem_poke(&other, p, 2);
	igt_assert(igt_devmem_location_is(&d, p, size, SYSTEM));
	igt_devmem_fini(&other);
	igt_devmem_expect_words(p, 2, 8);
	igt_devmem_anon_free(p, size);
}

struct setter {
	char *p;
	bool stop;
};

static void *setter_thread(void *data)
{
	struct setter *s = data;
	uint32_t value = 0;

	while (!__atomic_load_n(&s->stop, __ATOMIC_SEQ_CST)) {
		struct drm_devmem_madvise args = {
			.vm_id = d.vm, .addr = (uintptr_t)s->p + value % 8 * PAGE,
			.length = 64 * PAGE, .attr = DRM_DEVMEM_ATTR_PREFERRED,
			.value = value++ % 3,
		};
		int err = __igt_devmem_madvise(d.fd, &args);

		igt_assert(!err || err == -EFAULT);
	}
	return NULL;
}

static void test_concurrent(void)
{
	struct setter s = { .p = alloc_filled(MIB) };
	pthread_t thread;
	int i;

	igt_assert_eq(pthread_create(&thread, NULL, setter_thread, &s), 0);
	for (i = 0; i < 20; i++) {
		igt_assert_eq(munmap(s.p + PAGE, 32 * PAGE), 0);
		igt_assert(mmap(s.p + PAGE, 32 * PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
		igt_devmem_fill(&d.batch, s.p, i, 8, MIB);
		igt_devmem_run(&d);
		igt_devmem_expect_words(s.p, i, MIB);
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	igt_devmem_anon_free(s.p, MIB);
}

static const struct igt_devmem_subtest tests[] = {
	{ "invalid-madvise", "Errors are as documented", test_invalid_madvise },
	{ "invalid-query", "Errors are as documented", test_invalid_query },
	{ "query", "What was set can be read", test_query },
	{ "query-room", "The number of entries can be asked for", test_query_room },
	{ "preferred-system", "Memory is used in place", test_preferred_system },
	{ "preferred-device", "Memory moves to the device", test_preferred_device },
	{ "on-prefetch", "Memory moves when asked for", test_on_prefetch },
	{ "never", "Memory does not move to the device", test_never },
	{ "atomic-cpu", "Atomics are the CPU's", test_atomic_cpu },
	{ "atomic-device", "Atomics are executed in device memory", test_atomic_device },
	{ "atomic-device-pinned", "Atomics that can't be are errors", test_atomic_device_pinned },
	{ "atomic-exclusive", "A page is the GPU's for an atomic", test_atomic_exclusive },
	{ "atomic-exclusive-turns", "A page belongs to both sides by turns",
	  test_atomic_exclusive_turns },
	{ "atomic-global", "Atomics of both sides count", test_atomic_global },
	{ "reset", "All goes back to the default", test_reset },
	{ "live", "Attributes hold at once", test_live },
	{ "part", "Attributes hold for what they were set for", test_part },
	{ "munmap", "Attributes go with the mapping", test_munmap },
	{ "mremap", "Attributes do not stay behind", test_mremap },
	{ "split", "Attributes outlive a change of the mapping", test_split },
	{ "two-vms", "Attributes are of one VM", test_two_vms },
	{ "concurrent", "Attributes can be set at any time", test_concurrent },
};

int igt_main()
{
	igt_devmem_open_fixture(&d);
	igt_devmem_subtests(tests, ARRAY_SIZE(tests));
	igt_devmem_close_fixture(&d);
}
