// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem memory
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Memory management
 * Description: What the GPU does with each kind of memory a process can have
 *
 * SUBTEST: zero-page
 * Description: A GPU write to memory that the CPU only read does not reach the zero page
 *
 * SUBTEST: zero-page-no-migrate
 * Description: The same on a VM that maps the zero page in place
 *
 * SUBTEST: shmem
 * Description: Shared anonymous memory is used where it is
 *
 * SUBTEST: memfd
 * Description: GPU writes to a mapped file of tmpfs are in the file
 *
 * SUBTEST: file-end
 * Description: A file that ends, shrinks and grows in the middle of a chunk
 *
 * SUBTEST: file-private
 * Description: GPU writes to a private file mapping are not in the file
 *
 * SUBTEST: program-text
 * Description: The GPU reads the program's own code and cannot write it
 *
 * SUBTEST: hugetlb
 * Description: Pages of hugetlbfs are used where they are
 *
 * SUBTEST: no-migrate
 * Description: On a VM without migration all memory stays in system memory
 *
 * SUBTEST: thp
 * Description: A transparent huge page goes to the device and back as one
 *
 * SUBTEST: thp-split
 * Description: A huge page on the device survives the loss of its middle
 *
 * SUBTEST: swap-in
 * Description: The GPU reads memory that was swapped out
 *
 * SUBTEST: swap-dirty
 * Description: What the GPU wrote to a clean page in place survives swapping
 *
 * SUBTEST: free-dirty
 * Description: What the GPU wrote after MADV_FREE is not thrown away
 *
 * SUBTEST: stack-growth
 * Description: The GPU does not grow a stack, and uses what the CPU has grown
 *
 * SUBTEST: brk
 * Description: Memory below the program break, as far as it goes
 *
 * SUBTEST: process-vm-readv
 * Description: The kernel reads memory on the device for another process
 *
 * SUBTEST: write-syscall
 * Description: System calls read and write memory on the device
 *
 * SUBTEST: device-coherent
 * Description: Device-coherent memory of another driver is used where it is
 *
 * SUBTEST: mixed-chunk
 * Description: One copy across anonymous memory, a file and shared memory
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("What the GPU does with each kind of memory a process can have");

#define KIB		1024ul
#define MIB		(1024 * KIB)
#define PAGE		4096ul
#define PATTERN		0xa5a6a7a8a9aaabacull

static struct igt_devmem d;

static void gpu_fill(void *addr, uint64_t value, size_t size)
{
	igt_devmem_fill(&d.batch, addr, value, 8, size);
	igt_devmem_run(&d);
}

static void test_zero_page(void)
{
	const size_t size = 64 * KIB;
	uint64_t *p = igt_devmem_anon_alloc(size), *other = igt_devmem_anon_alloc(size);

	igt_devmem_expect_words(p, 0, size);
	igt_devmem_expect_words(other, 0, size);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 0);
	igt_assert_eq_u64(igt_devmem_peek(&d, other), 0);
	igt_devmem_poke(&d, p + 3, PATTERN);

	igt_devmem_expect_words(other, 0, size);
	igt_devmem_expect_words(p, 0, 24);
	igt_assert_eq_u64(p[3], PATTERN);
	igt_devmem_expect_words(p + 4, 0, size - 32);
	igt_devmem_anon_free(other, size);
	igt_devmem_anon_free(p, size);
}

/* The same on a VM that never migrates: the zero page is mapped in place. */
static void test_zero_page_no_migrate(void)
{
	struct igt_devmem migrating = d;

	igt_devmem_init(&d, d.fd, DRM_DEVMEM_VM_NO_MIGRATE);
	test_zero_page();
	igt_devmem_fini(&d);
	d = migrating;
}

static void test_shmem(void)
{
	const size_t size = 2 * MIB + 64 * KIB;
	uint64_t *p = igt_devmem_shared_alloc(size);
	struct drm_devmem_stats before = igt_devmem_stats(d.fd, d.vm), after;

	p[0] = 1;
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 1);
	gpu_fill(p, PATTERN, size);
	igt_assert(igt_devmem_in_place(&d, p, size));
	igt_devmem_expect_words(p, PATTERN, size);
	p[1] = 2;
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 1), 2);
	igt_assert(igt_devmem_in_place(&d, p, size));

	after = igt_devmem_stats(d.fd, d.vm);
	igt_assert_eq_u64(after.to_device_bytes, before.to_device_bytes);
	igt_assert_eq_u64(after.cpu_faults, before.cpu_faults);
	igt_devmem_shared_free(p, size);
}

static int temporary_file(size_t size)
{
	int fd = syscall(SYS_memfd_create, "devmem", 0);

	igt_assert_fd(fd);
	igt_assert_eq(ftruncate(fd, size), 0);
	return fd;
}

static void test_memfd(void)
{
	const size_t size = 64 * KIB;
	int fd = temporary_file(size);
	uint64_t *p = igt_devmem_anon_alloc(size), word;

	igt_assert(mmap(p, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == p);
	gpu_fill(p, PATTERN, size);
	igt_assert(igt_devmem_in_place(&d, p, size));
	igt_assert_eq(pread(fd, &word, 8, size - 8), 8);
	igt_assert_eq_u64(word, PATTERN);

	igt_devmem_anon_free(p, size);
	close(fd);
}

/* The file ends in the middle of a chunk; mapping what is beyond its end is an error. */
static void test_file_end(void)
{
	const size_t size = 64 * KIB, end = 24 * KIB;
	int fd = temporary_file(end);
	uint64_t *p = igt_devmem_anon_alloc(size);

	igt_assert(mmap(p, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == p);
	gpu_fill(p, PATTERN, end);
	igt_devmem_load(&d.batch, 1, p + end / 8, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + end / 8 - 1), PATTERN);

	/* What is cut off is gone for the GPU too, and what is added is there. */
	igt_assert_eq(ftruncate(fd, end / 2), 0);
	igt_devmem_load(&d.batch, 1, p + end / 16, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), PATTERN);
	igt_assert_eq(ftruncate(fd, size), 0);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + end / 16), 0);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), PATTERN);
	igt_devmem_expect_words(p, PATTERN, end / 2);
	igt_devmem_anon_free(p, size);
	close(fd);
}

static void test_file_private(void)
{
	const size_t size = 64 * KIB;
	int fd = temporary_file(size);
	uint64_t *p, word = 7;

	igt_assert_eq(pwrite(fd, &word, 8, 0), 8);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	igt_assert(p != MAP_FAILED);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 7);
	gpu_fill(p, PATTERN, size);
	igt_devmem_expect_words(p, PATTERN, size);
	igt_assert_eq(pread(fd, &word, 8, 0), 8);
	igt_assert_eq_u64(word, 7);
	munmap(p, size);
	close(fd);
}

static void test_program_text(void)
{
	uintptr_t page = (uintptr_t)test_program_text & ~(PAGE - 1);
	uint64_t *copy = igt_devmem_anon_alloc(PAGE);

	igt_devmem_copy(&d.batch, copy, (void *)page, PAGE);
	igt_devmem_run(&d);
	igt_assert(igt_devmem_in_place(&d, (void *)page, PAGE));
	igt_assert(!memcmp(copy, (void *)page, PAGE));

	igt_devmem_store(&d.batch, (void *)page, 0, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	igt_assert(!memcmp(copy, (void *)page, PAGE));
	igt_devmem_anon_free(copy, PAGE);
}

static void test_hugetlb(void)
{
	const size_t size = 4 * MIB;
	uint64_t *p;

	igt_require(igt_devmem_write_file("/proc/sys/vm/nr_hugepages", "4"));
	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	igt_require_f(p != MAP_FAILED, "no huge pages: %s\n", strerror(errno));

	p[0] = 1;
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 1);
	gpu_fill(p, PATTERN, size);
	igt_assert(igt_devmem_in_place(&d, p, size));
	igt_assert(igt_devmem_pages_are(&d, p, size, DRM_DEVMEM_RESIDENCY_LARGE,
					DRM_DEVMEM_RESIDENCY_LARGE));
	igt_devmem_expect_words(p, PATTERN, size);
	munmap(p, size);
	igt_devmem_write_file("/proc/sys/vm/nr_hugepages", "0");
}

static void test_no_migrate(void)
{
	const size_t size = 2 * MIB + 64 * KIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	struct igt_devmem migrating = d;
	struct drm_devmem_stats stats;

	igt_devmem_init(&d, d.fd, DRM_DEVMEM_VM_NO_MIGRATE);
	memset(p, 0, size / 2);
	gpu_fill(p, PATTERN, size);
	igt_assert(igt_devmem_in_place(&d, p, size));
	igt_devmem_expect_words(p, PATTERN, size);
	p[5] = 6;
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 5), 6);
	igt_assert(igt_devmem_in_place(&d, p, size));
	stats = igt_devmem_stats(d.fd, d.vm);
	igt_assert_eq_u64(stats.to_device_bytes, 0);
	igt_assert_eq_u64(stats.to_device_failed, 0);
	igt_assert_eq_u64(stats.cpu_faults, 0);
	igt_devmem_fini(&d);
	d = migrating;

	/* The same memory moves for a VM that may. */
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 5), 6);
	igt_assert(igt_devmem_location_is(&d, p + 5, 8, DRM_DEVMEM_LOCATION_DEVICE));
	igt_devmem_anon_free(p, size);
}

static uint64_t *huge_alloc(size_t size)
{
	uint64_t *p = igt_devmem_anon_alloc(size);

	igt_require_f(!madvise(p, size, MADV_HUGEPAGE), "no transparent huge pages\n");
	memset(p, 1, size);
	igt_devmem_require_large(&d, p, size);
	return p;
}

static void test_thp(void)
{
	const size_t size = 4 * MIB;
	const uint8_t mask = DRM_DEVMEM_RESIDENCY_LOCATION | DRM_DEVMEM_RESIDENCY_LARGE;
	uint64_t *p = huge_alloc(size);

	igt_assert_eq_u64(igt_devmem_peek(&d, p), 0x0101010101010101ull);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + size / 8 - 1), 0x0101010101010101ull);
	igt_assert(igt_devmem_pages_are(&d, p, size, mask,
					DRM_DEVMEM_LOCATION_DEVICE |
					DRM_DEVMEM_RESIDENCY_LARGE));
	gpu_fill(p, PATTERN, size);
	igt_devmem_expect_words(p, PATTERN, size);
	igt_assert(igt_devmem_location_is(&d, p, size, DRM_DEVMEM_LOCATION_SYSTEM));
	igt_devmem_anon_free(p, size);
}

static void test_thp_split(void)
{
	const size_t size = 2 * MIB, hole = 512 * KIB, hole_size = 256 * KIB;
	char *p = (char *)huge_alloc(size);

	igt_devmem_set(&d, p, PATTERN, size);
	igt_assert_eq(munmap(p + hole, hole_size), 0);
	igt_assert_eq(mprotect(p + MIB, 64 * KIB, PROT_READ), 0);

	igt_assert_eq_u64(igt_devmem_peek(&d, p), PATTERN);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + hole + hole_size), PATTERN);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + MIB), PATTERN);
	igt_devmem_load(&d.batch, 1, p + hole, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	igt_devmem_store(&d.batch, p + MIB, 1, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	igt_devmem_expect_words(p, PATTERN, hole);
	igt_devmem_expect_words(p + hole + hole_size, PATTERN, size - hole - hole_size);
	igt_devmem_anon_free(p, size);
}

static void test_swap_in(void)
{
	const size_t size = 256 * KIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	size_t i;

	igt_devmem_require_swap();
	for (i = 0; i < size / 8; i++)
		p[i] = i;
	igt_devmem_swap_out(&d, p, size);
	for (i = 0; i < size / 8; i += PAGE / 8)
		igt_assert_eq_u64(igt_devmem_peek(&d, p + i), i);
	/* A page that is still in swap cannot migrate; it is then used in place. */
	igt_assert_eq(igt_devmem_count(&d, p, size, DRM_DEVMEM_LOCATION_NONE), 0);
	for (i = 0; i < size / 8; i++)
		igt_assert_eq_u64(p[i], i);
	igt_devmem_anon_free(p, size);
}

/*
 * A read fault brings a page in from swap clean but writable, and its copy in
 * swap stays valid. The GPU writes it with no CPU fault that could tell.
 */
static void test_swap_dirty(void)
{
	const size_t size = 256 * KIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	struct igt_devmem migrating = d;
	size_t i;

	igt_devmem_require_swap();
	igt_devmem_init(&d, d.fd, DRM_DEVMEM_VM_NO_MIGRATE);
	memset(p, 1, size);
	igt_devmem_swap_out(&d, p, size);
	for (i = 0; i < size / 8; i += PAGE / 8)
		igt_assert_eq_u64(p[i], 0x0101010101010101ull);

	gpu_fill(p, PATTERN, size);
	igt_assert(igt_devmem_in_place(&d, p, size));
	igt_devmem_swap_out(&d, p, size);
	igt_devmem_expect_words(p, PATTERN, size);
	igt_devmem_fini(&d);
	d = migrating;
	igt_devmem_anon_free(p, size);
}

static void test_free_dirty(void)
{
	const size_t size = 256 * KIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	struct igt_devmem migrating = d;

	igt_devmem_require_swap();
	igt_devmem_init(&d, d.fd, DRM_DEVMEM_VM_NO_MIGRATE);
	memset(p, 1, size);
	igt_assert_eq(madvise(p, size, MADV_FREE), 0);
	gpu_fill(p, PATTERN, size);
	igt_assert(igt_devmem_in_place(&d, p, size));
	igt_devmem_swap_out(&d, p, size);
	igt_devmem_expect_words(p, PATTERN, size);
	igt_devmem_fini(&d);
	d = migrating;
	igt_devmem_anon_free(p, size);
}

static void test_stack_growth(void)
{
	const size_t size = 64 * KIB, room = 4 * MIB;
	char *area = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *stack;

	igt_assert(area != MAP_FAILED);
	igt_assert_eq(munmap(area, room), 0);
	stack = mmap(area + room - size, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	igt_assert(stack != MAP_FAILED);

	gpu_fill(stack, PATTERN, size);
	igt_devmem_store(&d.batch, stack - 8, 1, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);

	memset(stack - 4 * PAGE, 2, 8);
	igt_devmem_poke(&d, stack - 2 * PAGE, 3);
	igt_assert_eq_u64(igt_devmem_peek(&d, stack - 4 * PAGE), 0x0202020202020202ull);
	igt_assert_eq_u64(*(uint64_t *)(stack - 2 * PAGE), 3);
	igt_devmem_expect_words(stack, PATTERN, size);
	munmap(stack - 4 * PAGE, size + 4 * PAGE);
}

static void test_brk(void)
{
	const size_t size = 256 * KIB;
	char *old = sbrk(0), *p;

	p = sbrk(size + PAGE);
	igt_require(p == old);
	p = (char *)(((uintptr_t)p + PAGE - 1) & ~(PAGE - 1));
	gpu_fill(p, PATTERN, size);
	igt_devmem_expect_words(p, PATTERN, size);
	gpu_fill(p, PATTERN + 1, size);
	igt_assert(sbrk(-(intptr_t)(size + PAGE)) != (void *)-1);
	igt_devmem_store(&d.batch, p + size - PAGE, 1, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
}

static void test_process_vm_readv(void)
{
	const size_t size = 64 * KIB;
	uint64_t *p = igt_devmem_anon_alloc(size), *copy = igt_devmem_shared_alloc(size);

	igt_devmem_set(&d, p, PATTERN, size);
	igt_fork(child, 1) {
		struct iovec to = { copy, size }, from = { p, size };

		igt_assert_eq(process_vm_readv(getppid(), &to, 1, &from, 1, 0), (int)size);
	}
	igt_waitchildren();
	igt_devmem_expect_words(copy, PATTERN, size);
	igt_devmem_expect_words(p, PATTERN, size);
	igt_devmem_shared_free(copy, size);
	igt_devmem_anon_free(p, size);
}

static void test_write_syscall(void)
{
	const size_t size = 64 * KIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	int fd = temporary_file(size);

	igt_devmem_set(&d, p, PATTERN, size);
	igt_assert_eq(pwrite(fd, p, size, 0), (int)size);
	igt_devmem_set(&d, p, 1, size);
	igt_assert_eq(pread(fd, p, size, 0), (int)size);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + size / 8 - 1), PATTERN);
	igt_devmem_expect_words(p, PATTERN, size);
	close(fd);
	igt_devmem_anon_free(p, size);
}

static void test_mixed_chunk(void)
{
	const size_t part = 64 * KIB, size = 4 * part;
	char *p = igt_devmem_anon_alloc(size);
	int fd = temporary_file(part);

	igt_assert(mmap(p + part, part, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		   p + part);
	igt_assert(mmap(p + 3 * part, part, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + 3 * part);
	gpu_fill(p + 8, PATTERN, size - 16);
	igt_assert(igt_devmem_location_is(&d, p, part, DRM_DEVMEM_LOCATION_DEVICE));
	igt_assert(igt_devmem_in_place(&d, p + part, part));
	igt_assert(igt_devmem_location_is(&d, p + 2 * part, part, DRM_DEVMEM_LOCATION_DEVICE));
	igt_assert(igt_devmem_in_place(&d, p + 3 * part, part));
	igt_devmem_expect_words(p, 0, 8);
	igt_devmem_expect_words(p + 8, PATTERN, size - 16);
	igt_devmem_expect_words(p + size - 8, 0, 8);
	close(fd);
	igt_devmem_anon_free(p, size);
}

static void test_device_coherent(void)
{
	const size_t size = 64 * KIB;
	int coherent = igt_devmem_coherent_open();
	char *p = igt_devmem_anon_alloc(size);

	memset(p, 0x5a, size);
	igt_devmem_coherent_take(coherent, p, size);

	igt_assert_eq_u64(igt_devmem_peek(&d, p), 0x5a5a5a5a5a5a5a5a);
	igt_assert(igt_devmem_in_place(&d, p, PAGE));
	gpu_fill(p, PATTERN, size);
	igt_assert(igt_devmem_in_place(&d, p, size));
	igt_devmem_expect_words(p, PATTERN, size);

	igt_devmem_anon_free(p, size);
	igt_devmem_coherent_close(coherent);
}

static const struct igt_devmem_subtest tests[] = {
	{ "zero-page", "The zero page is never written", test_zero_page },
	{ "zero-page-no-migrate", "The zero page is never written in place",
	  test_zero_page_no_migrate },
	{ "shmem", "Shared memory does not migrate", test_shmem },
	{ "memfd", "File pages are written in place", test_memfd },
	{ "file-end", "Memory up to the end of a file works, what is beyond does not",
	  test_file_end },
	{ "file-private", "Private file pages are copied before they are written",
	  test_file_private },
	{ "program-text", "Code can be read and not written", test_program_text },
	{ "hugetlb", "Huge pages of hugetlbfs do not migrate", test_hugetlb },
	{ "no-migrate", "A VM that must not migrate does not", test_no_migrate },
	{ "thp", "Transparent huge pages migrate whole", test_thp },
	{ "thp-split", "Huge pages on the device can be split", test_thp_split },
	{ "swap-in", "Swapped memory is brought in for the GPU", test_swap_in },
	{ "swap-dirty", "No GPU write to a clean page is lost", test_swap_dirty },
	{ "free-dirty", "No GPU write to a page marked free is lost", test_free_dirty },
	{ "stack-growth", "A stack grows for the CPU only", test_stack_growth },
	{ "brk", "The program break bounds the heap for the GPU", test_brk },
	{ "process-vm-readv", "Another process reads what is on the device",
	  test_process_vm_readv },
	{ "write-syscall", "System calls work on device memory", test_write_syscall },
	{ "device-coherent", "Coherent memory of another driver is used in place",
	  test_device_coherent },
	{ "mixed-chunk", "Neighbours of different kinds are served together",
	  test_mixed_chunk },
};

int igt_main()
{
	igt_devmem_open_fixture(&d);
	igt_devmem_subtests(tests, ARRAY_SIZE(tests));
	igt_devmem_close_fixture(&d);
}
