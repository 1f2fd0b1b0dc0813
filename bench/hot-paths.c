// SPDX-License-Identifier: GPL-2.0
/*
 * Instructions of what core-mm does all the time, and does in code that knows
 * device-private pages: page faults, fork, munmap, mprotect, swapping, migration.
 *
 * usage: hot-paths
 *
 * Needs swap space and two NUMA nodes. Prints 'what,round,units,instructions'.
 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define SIZE		MIB(32)
#define PAGES		(SIZE / PAGE)
#define HUGE_PAGES	(SIZE / HUGE_PAGE)

static unsigned int round_nr;
static void *addresses[PAGES];
static int nodes[PAGES], status[PAGES];
/* What a child has counted, shared with it. */
static uint64_t *child_count;

/* Swap out all of the memory, which has to go. */
static void page_out(char *mem)
{
	static unsigned char resident[PAGES];

	if (madvise(mem, SIZE, MADV_PAGEOUT))
		die("MADV_PAGEOUT");
	if (mincore(mem, SIZE, resident))
		die("mincore");
	for (size_t i = 0; i < PAGES; i++) {
		if (resident[i] & 1) {
			fprintf(stderr, "page %zu was not swapped out\n", i);
			exit(1);
		}
	}
}

static char *populated(int advice)
{
	char *mem = map(SIZE, advice);

	touch(mem, SIZE, PAGE);
	return mem;
}

static char *swapped(void)
{
	char *mem = populated(MADV_NOHUGEPAGE);

	page_out(mem);
	return mem;
}

static void unmap(char *mem)
{
	if (munmap(mem, SIZE))
		die("munmap");
}

static void change_protection(char *mem, size_t size, int prot)
{
	if (mprotect(mem, size, prot))
		die("mprotect");
}

/* The first touch of each page. */
static void bench_fault(const char *what, int advice, size_t step)
{
	char *mem = map(SIZE, advice);
	uint64_t start = instructions();

	touch(mem, SIZE, step);
	record(what, round_nr, SIZE / step, instructions() - start);
	unmap(mem);
}

/* The touch of pages that were swapped out. */
static void bench_swap_in(void)
{
	char *mem = swapped();
	uint64_t start = instructions();

	touch(mem, SIZE, PAGE);
	record("swap-in", round_nr, PAGES, instructions() - start);
	unmap(mem);
}

static void bench_swap_out(void)
{
	char *mem = populated(MADV_NOHUGEPAGE);
	uint64_t start = instructions();

	if (madvise(mem, SIZE, MADV_PAGEOUT))
		die("MADV_PAGEOUT");
	record("swap-out", round_nr, PAGES, instructions() - start);
	page_out(mem);
	unmap(mem);
}

/* A process with this memory makes a child, which ends at once. */
static void bench_fork(const char *what, char *mem, uint64_t units)
{
	uint64_t start = instructions();
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (!child)
		_exit(0);
	if (waitpid(child, NULL, 0) != child)
		die("waitpid");
	record(what, round_nr, units, instructions() - start);
	unmap(mem);
}

/* A child writes what it shares with its parent. */
static void bench_cow(void)
{
	char *mem = populated(MADV_NOHUGEPAGE);
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (!child) {
		uint64_t start = instructions();

		touch(mem, SIZE, PAGE);
		*child_count = instructions() - start;
		_exit(0);
	}
	if (waitpid(child, NULL, 0) != child)
		die("waitpid");
	record("copy-on-write", round_nr, PAGES, *child_count);
	unmap(mem);
}

/* Write-protect and back: entries change twice. */
static void bench_mprotect(const char *what, char *mem, uint64_t units)
{
	uint64_t start = instructions();

	change_protection(mem, SIZE, PROT_READ);
	change_protection(mem, SIZE, PROT_READ | PROT_WRITE);
	record(what, round_nr, 2 * units, instructions() - start);
	unmap(mem);
}

/* Protecting a part of each huge page splits its entry, not the page. */
static void bench_split(void)
{
	char *mem = populated(MADV_HUGEPAGE);
	uint64_t start = instructions();

	for (size_t i = 0; i < SIZE; i += HUGE_PAGE)
		change_protection(mem + i, PAGE, PROT_READ);
	record("split-huge-entry", round_nr, HUGE_PAGES, instructions() - start);
	unmap(mem);
}

static void bench_munmap(const char *what, char *mem, uint64_t units)
{
	uint64_t start = instructions();

	unmap(mem);
	record(what, round_nr, units, instructions() - start);
}

/* Give pages back and keep the mapping. */
static void bench_zap(void)
{
	char *mem = populated(MADV_NOHUGEPAGE);
	uint64_t start = instructions();

	if (madvise(mem, SIZE, MADV_DONTNEED))
		die("MADV_DONTNEED");
	record("zap", round_nr, PAGES, instructions() - start);
	unmap(mem);
}

static void move_to_node(char *mem, size_t step, int node)
{
	unsigned long count = SIZE / step;

	for (size_t i = 0; i < count; i++) {
		addresses[i] = mem + i * step;
		nodes[i] = node;
	}
	if (syscall(SYS_move_pages, 0, count, addresses, nodes, status, 1 << 1))
		die("move_pages");
	for (size_t i = 0; i < count; i++) {
		if (status[i] != node) {
			fprintf(stderr, "page %zu did not move to node %d: %d\n", i, node,
				status[i]);
			exit(1);
		}
	}
}

/* To the other node and back. */
static void bench_migrate(const char *what, int advice, size_t step)
{
	char *mem = populated(advice);
	uint64_t start;

	move_to_node(mem, step, 0);
	start = instructions();
	move_to_node(mem, step, 1);
	move_to_node(mem, step, 0);
	record(what, round_nr, 2 * SIZE / step, instructions() - start);
	unmap(mem);
}

int main(void)
{
	check_counter();
	child_count = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			   -1, 0);
	if (child_count == MAP_FAILED)
		die("mmap");

	for (round_nr = 0; round_nr < ROUNDS; round_nr++) {
		bench_fault("fault", MADV_NOHUGEPAGE, PAGE);
		bench_fault("fault-huge", MADV_HUGEPAGE, HUGE_PAGE);
		bench_cow();
		bench_fork("fork", populated(MADV_NOHUGEPAGE), PAGES);
		/* Sixteen huge pages are few: try more of them to find the least. */
		for (int i = 0; i < 4; i++)
			bench_fork("fork-huge", populated(MADV_HUGEPAGE), HUGE_PAGES);
		bench_fork("fork-swapped", swapped(), PAGES);
		bench_munmap("munmap", populated(MADV_NOHUGEPAGE), PAGES);
		bench_munmap("munmap-huge", populated(MADV_HUGEPAGE), HUGE_PAGES);
		bench_munmap("munmap-swapped", swapped(), PAGES);
		bench_zap();
		bench_mprotect("mprotect", populated(MADV_NOHUGEPAGE), PAGES);
		bench_mprotect("mprotect-huge", populated(MADV_HUGEPAGE), HUGE_PAGES);
		bench_mprotect("mprotect-swapped", swapped(), PAGES);
		bench_split();
		bench_swap_out();
		bench_swap_in();
		bench_migrate("migrate", MADV_NOHUGEPAGE, PAGE);
		bench_migrate("migrate-huge", MADV_HUGEPAGE, HUGE_PAGE);
	}
	print_records();
	return 0;
}
