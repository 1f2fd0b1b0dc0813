// SPDX-License-Identifier: GPL-2.0
/* What the programs of 'make bench' share. */

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench.h"

#define MAX_RECORDS	512

/* Kept until the end, so that no output disturbs a measurement. */
static struct record {
	const char *what;
	unsigned int round;
	uint64_t units;
	uint64_t count;
} records[MAX_RECORDS];
static unsigned int nr_records;

/**
 * die() - end the program because a system call failed
 * @what: name of the call
 */
void die(const char *what)
{
	perror(what);
	exit(1);
}

/**
 * check_counter() - end the program unless the counter counts instructions
 *
 * A loop of a known number of instructions is counted. It may be interrupted, but
 * not each time.
 */
void check_counter(void)
{
	const uint64_t loops = 100000;
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		uint64_t left = loops, start = instructions();

		asm volatile("1: dec %0\n\tjnz 1b" : "+r"(left) : : "cc");
		start = instructions() - start;
		if (start < best)
			best = start;
	}
	if (best < 2 * loops || best > 2 * loops + 100) {
		fprintf(stderr, "%llu instructions counted as %llu; is this -icount shift=0?\n",
			(unsigned long long)(2 * loops), (unsigned long long)best);
		exit(1);
	}
}

/**
 * record() - keep the result of one round
 * @what: name of the work
 * @round: number of the round; 0 is not kept
 * @units: how often the work was done
 * @count: instructions that all of it took
 */
void record(const char *what, unsigned int round, uint64_t units, uint64_t count)
{
	if (!round)
		return;
	if (nr_records == MAX_RECORDS) {
		fprintf(stderr, "more than %d results\n", MAX_RECORDS);
		exit(1);
	}
	records[nr_records++] = (struct record){ what, round, units, count };
}

/**
 * print_records() - print all results as lines 'what,round,units,instructions'
 */
void print_records(void)
{
	for (unsigned int i = 0; i < nr_records; i++)
		printf("%s,%u,%llu,%llu\n", records[i].what, records[i].round,
		       (unsigned long long)records[i].units,
		       (unsigned long long)records[i].count);
}

/**
 * map() - map anonymous memory
 * @size: in bytes
 * @advice: MADV_HUGEPAGE or MADV_NOHUGEPAGE
 *
 * There can be one mapping at a time. Its address is always the same and that of a
 * huge page, with no other mapping near.
 *
 * Return: The memory; the program ends if there is none.
 */
void *map(size_t size, int advice)
{
	void *mem = mmap((void *)(1ul << 44), size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (mem == MAP_FAILED)
		die("mmap");
	if (madvise(mem, size, advice))
		die("madvise");
	return mem;
}

/**
 * touch() - write one word of each page, the same in all
 * @mem: memory
 * @size: its size in bytes
 * @step: size of its pages in bytes
 *
 * A page whose words are all the same takes no compression when it is swapped to
 * zram, which is not what is to be measured: the word is zero.
 */
void touch(char *mem, size_t size, size_t step)
{
	for (size_t i = 0; i < size; i += step)
		__atomic_store_n((long *)(mem + i), 0, __ATOMIC_RELAXED);
}
