/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_GPU_TEST_H_
#define _DEVMEM_GPU_TEST_H_

#include "machine.h"

/**
 * struct test - a unit test
 * @name: name
 * @fn: the test, on a machine of its own
 */
struct test {
	const char *name;
	void (*fn)(struct machine *m);
};

/* Ended by an entry without a name. */
extern const struct test regs_tests[];
extern const struct test mmu_tests[];
extern const struct test fault_tests[];
extern const struct test queue_tests[];
extern const struct test exec_tests[];
extern const struct test copy_tests[];

void test_check(const char *file, int line, const char *what, u64 got, u64 want);
u64 test_random(void);

/* A check that fails ends the test. */
#define CHECK(condition) \
	test_check(__FILE__, __LINE__, #condition, !!(condition), true)
#define CHECK_EQ(got, want) \
	test_check(__FILE__, __LINE__, #got " == " #want, (got), (want))

#endif /* _DEVMEM_GPU_TEST_H_ */
