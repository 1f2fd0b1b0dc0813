/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs of 'make bench' share: counting the instructions that a piece
 * of work takes, in a guest that QEMU runs with -icount shift=0. Its clock, and
 * so the time stamp counter, then advances by one for each instruction.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define KIB(n)		((size_t)(n) << 10)
#define MIB(n)		((size_t)(n) << 20)
#define PAGE		KIB(4)
#define HUGE_PAGE	MIB(2)

/* The work of the first round fills caches and is not counted. */
#define ROUNDS		6

/**
 * instructions() - the instructions that the guest has executed so far
 *
 * Return: Number of instructions of kernel and user space.
 */
static inline uint64_t instructions(void)
{
	return __builtin_ia32_rdtsc();
}

void die(const char *what) __attribute__((noreturn));
void check_counter(void);
void record(const char *what, unsigned int round, uint64_t units, uint64_t count);
void print_records(void);
void *map(size_t size, int advice);
void touch(char *mem, size_t size, size_t step);

#endif
