// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

/*
 * Unit tests of the device model. Prints results in the Test Anything Protocol
 * and exits with 1 if a test failed. With an argument, runs only the tests that
 * have it in their name.
 */

#include <setjmp.h>
#include <stdio.h>

#include "test.h"

#define TEST_TIMEOUT_S	60

static const struct test * const suites[] = {
	regs_tests, mmu_tests, fault_tests, queue_tests, exec_tests, copy_tests,
};

static jmp_buf test_end;
static u64 random_state;

/**
 * test_check() - end the running test unless a value is as it should be
 * @file: where
 * @line: where
 * @what: what is checked
 * @got: the value there is
 * @want: the value there should be
 *
 * Only for the thread that runs the test.
 */
void test_check(const char *file, int line, const char *what, u64 got, u64 want)
{
	if (got == want)
		return;
	printf("# %s:%d: %s: got %#llx, want %#llx\n", file, line, what, got,
	       want);
	longjmp(test_end, 1);
}

/**
 * test_random() - pseudo-random number, the same ones in each run of a test
 *
 * Return: 64 bits (splitmix64).
 */
u64 test_random(void)
{
	u64 z = (random_state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static struct machine machine;

static bool test_try(const struct test *test)
{
	if (setjmp(test_end))
		return false;
	CHECK(machine_create(&machine));
	test->fn(&machine);
	return true;
}

static bool test_run(const struct test *test)
{
	bool ok;

	random_state = 1;
	alarm(TEST_TIMEOUT_S);
	ok = test_try(test);
	machine_destroy(&machine);
	alarm(0);
	return ok;
}

int main(int argc, char **argv)
{
	u32 number = 0, failures = 0;
	const struct test *test;
	size_t i;
	bool ok;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < ARRAY_SIZE(suites); i++) {
		for (test = suites[i]; test->name; test++) {
			if (argc > 1 && !strstr(test->name, argv[1]))
				continue;
			ok = test_run(test);
			failures += !ok;
			printf("%s %u - %s\n", ok ? "ok" : "not ok", ++number,
			       test->name);
		}
	}
	printf("1..%u\n", number);
	return failures || !number;
}
