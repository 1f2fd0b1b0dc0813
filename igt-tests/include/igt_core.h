/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 devmem developers */
#ifndef IGT_CORE_H
#define IGT_CORE_H

/*
 * What the tests here use of libigt 2.5, declared under the names that tests
 * inside an IGT checkout include. Nothing here is needed there.
 *
 * A block macro is a loop that runs once. libigt leaves a block early, be it
 * for a failure or a skip, with a jump to the buffer of its kind, so a local
 * variable that is set in one block and read in another has to be static.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IGT_EXIT_SKIP		77
#define IGT_EXIT_INVALID	79
#define IGT_EXIT_FAILURE	98
#define IGT_EXIT_ABORT		112

enum igt_log_level {
	IGT_LOG_DEBUG,
	IGT_LOG_INFO,
	IGT_LOG_WARN,
	IGT_LOG_CRITICAL,
};

#ifndef IGT_LOG_DOMAIN
#define IGT_LOG_DOMAIN		((const char *)NULL)
#endif

#define __igt_printf(at, args)	__attribute__((format(printf, at, args)))

struct option;

extern jmp_buf igt_subtest_jmpbuf;
extern jmp_buf igt_dynamic_jmpbuf;

/* The whole test */
void igt_subtest_init_parse_opts(int *argc, char **argv, const char *short_opts,
				 const struct option *long_opts, const char *help,
				 int (*handler)(int opt, int index, void *data), void *data);
__attribute__((noreturn)) void igt_exit(void);

/* Blocks */
bool __igt_fixture(void);
void __igt_fixture_complete(void);
bool __igt_run_subtest(const char *name, const char *file, int line);
bool __igt_enter_dynamic_container(void);
bool __igt_run_dynamic_subtest(const char *name);
void __igt_subtest_group_save(int *skip, int *describe);
void __igt_subtest_group_restore(int skip, int describe);
void igt_success(void);
void igt_describe_f(const char *format, ...) __igt_printf(1, 2);

/* Verdicts and messages */
void igt_log(const char *domain, enum igt_log_level level, const char *format, ...)
	__igt_printf(3, 4);
__attribute__((noreturn)) void igt_skip(const char *format, ...) __igt_printf(1, 2);
__attribute__((noreturn))
void __igt_skip_check(const char *file, int line, const char *func, const char *check,
		      const char *format, ...) __igt_printf(5, 6);
__attribute__((noreturn))
void __igt_fail_assert(const char *domain, const char *file, int line, const char *func,
		       const char *assertion, const char *format, ...) __igt_printf(6, 7);

/* Processes */
bool __igt_fork(void);
void igt_waitchildren(void);
typedef void (*igt_exit_handler_t)(int sig);
void igt_install_exit_handler(igt_exit_handler_t handler);
void igt_emit_ignore_dmesg_regex(const char *regex);
void igt_set_timeout(unsigned int seconds, const char *op);
void igt_reset_timeout(void);

#define IGT_TEST_DESCRIPTION(text) const char *__igt_test_description = (text)

#define IGT_OPT_HANDLER_SUCCESS	0
#define IGT_OPT_HANDLER_ERROR	(-2)

#define igt_main_args(short_opts, long_opts, help, handler, data) \
main(int argc, char **argv) \
{ \
	void __igt_test_main(void); \
	\
	igt_subtest_init_parse_opts(&argc, argv, (short_opts), (long_opts), (help), \
				    (handler), (data)); \
	__igt_test_main(); \
	igt_exit(); \
} \
void __igt_test_main(void); \
void __igt_test_main(void)

#define igt_main()	igt_main_args(NULL, NULL, NULL, NULL, NULL)

#define __igt_paste(a, b)	a ## b
#define __igt_name(a, b)	__igt_paste(a, b)
#define __igt_var(name)		__igt_name(__igt_ ## name ## _, __LINE__)

#define igt_fixture() \
	for (bool __igt_var(done) = false; \
	     !__igt_var(done) && __igt_fixture() && !sigsetjmp(igt_subtest_jmpbuf, 1); \
	     __igt_var(done) = true, __igt_fixture_complete())

#define igt_subtest(name) \
	for (; __igt_run_subtest((name), __FILE__, __LINE__) && \
	     !sigsetjmp(igt_subtest_jmpbuf, 1); igt_success())

#define igt_subtest_f(...) \
	for (char __igt_var(name)[256], \
	     *__igt_var(once) = __igt_format(__igt_var(name), sizeof(__igt_var(name)), \
					      __VA_ARGS__); \
	     __igt_var(once); __igt_var(once) = NULL) \
		igt_subtest(__igt_var(name))

#define igt_subtest_with_dynamic(name) \
	for (; __igt_run_subtest((name), __FILE__, __LINE__) && \
	     !sigsetjmp(igt_subtest_jmpbuf, 1) && __igt_enter_dynamic_container(); \
	     igt_success())

#define igt_dynamic(name) \
	for (; __igt_run_dynamic_subtest(name) && !sigsetjmp(igt_dynamic_jmpbuf, 1); \
	     igt_success())

#define igt_subtest_group() \
	for (int __igt_var(skip) = 0, __igt_var(describe) = 0, \
	     __igt_var(once) = (__igt_subtest_group_save(&__igt_var(skip), \
							 &__igt_var(describe)), 1); \
	     __igt_var(once); \
	     __igt_var(once) = 0, \
	     __igt_subtest_group_restore(__igt_var(skip), __igt_var(describe)))

#define igt_describe(text) igt_describe_f("%s", (text))

#define igt_fork(child, children) \
	for (int child = 0; __igt_fork_each(&child, children); exit(0))

#define igt_debug(...)	igt_log(IGT_LOG_DOMAIN, IGT_LOG_DEBUG, __VA_ARGS__)
#define igt_info(...)	igt_log(IGT_LOG_DOMAIN, IGT_LOG_INFO, __VA_ARGS__)
#define igt_warn(...)	igt_log(IGT_LOG_DOMAIN, IGT_LOG_WARN, __VA_ARGS__)

#define __igt_fail(text, ...) \
	__igt_fail_assert(IGT_LOG_DOMAIN, __FILE__, __LINE__, __func__, (text), __VA_ARGS__)
#define __igt_skip(text, ...) \
	__igt_skip_check(__FILE__, __LINE__, __func__, (text), __VA_ARGS__)

#define igt_assert_f(expr, ...) do { \
	if (!(expr)) \
		__igt_fail(#expr, __VA_ARGS__); \
} while (0)
#define igt_assert(expr) igt_assert_f(expr, NULL)

#define igt_require_f(expr, ...) do { \
	if (!(expr)) \
		__igt_skip(#expr, __VA_ARGS__); \
} while (0)
#define igt_require(expr) igt_require_f(expr, NULL)

#define igt_skip_on_f(expr, ...) do { \
	if (expr) \
		__igt_skip("!(" #expr ")", __VA_ARGS__); \
} while (0)
#define igt_skip_on(expr) igt_skip_on_f(expr, NULL)

#define __igt_assert_cmp(type, format, a, op, b) do { \
	type __igt_a = (a), __igt_b = (b); \
	\
	if (!(__igt_a op __igt_b)) \
		__igt_fail(#a " " #op " " #b, \
			   "error: " format " is not " #op " " format "\n", __igt_a, __igt_b); \
} while (0)

#define igt_assert_eq(a, b)	__igt_assert_cmp(int, "%d", a, ==, b)
#define igt_assert_neq(a, b)	__igt_assert_cmp(int, "%d", a, !=, b)
#define igt_assert_lt(a, b)	__igt_assert_cmp(int, "%d", a, <, b)
#define igt_assert_lte(a, b)	__igt_assert_cmp(int, "%d", a, <=, b)
#define igt_assert_eq_u32(a, b)	__igt_assert_cmp(uint32_t, "%#x", a, ==, b)
#define igt_assert_eq_u64(a, b)	__igt_assert_cmp(unsigned long long, "%#llx", a, ==, b)
#define igt_assert_lt_u64(a, b)	__igt_assert_cmp(unsigned long long, "%#llx", a, <, b)
#define igt_assert_lte_u64(a, b) __igt_assert_cmp(unsigned long long, "%#llx", a, <=, b)

#define igt_assert_fd(fd) do { \
	int __igt_fd = (fd); \
	\
	igt_assert_f(__igt_fd >= 0, "bad file descriptor %d\n", __igt_fd); \
} while (0)

static inline bool __igt_fork_each(int *child, int children)
{
	for (; *child < children; ++*child) {
		if (__igt_fork())
			return true;
	}
	return false;
}

static inline __igt_printf(3, 4) char *
__igt_format(char *text, size_t size, const char *format, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, format);
	vsnprintf(text, size, format, args);
	__builtin_va_end(args);
	return text;
}

#endif /* IGT_CORE_H */
