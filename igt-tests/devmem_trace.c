// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem trace
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Observability
 * Description: What can be seen of the driver's work from outside
 *
 * SUBTEST: fault
 * Description: A fault of the GPU is traced with address, access and time
 *
 * SUBTEST: fault-failed
 * Description: A fault that is an error is traced with the error
 *
 * SUBTEST: migrate
 * Description: Migration both ways is traced, to the byte, with what triggered it
 *
 * SUBTEST: migrate-prefetch
 * Description: Migration by prefetch is traced as that
 *
 * SUBTEST: migrate-failed
 * Description: A migration that cannot be done is traced with the error
 *
 * SUBTEST: invalidate
 * Description: The loss of a translation is traced with the reason
 *
 * SUBTEST: thrash
 * Description: The pin of a range that goes back and forth is traced
 *
 * SUBTEST: fdinfo
 * Description: fdinfo tells how long queues worked and how much VRAM is used
 *
 * SUBTEST: gputop
 * Description: IGT's gputop finds the client in fdinfo, and its queues at work
 *
 * SUBTEST: debugfs-ranges
 * Description: debugfs lists ranges, rights and where the memory is
 *
 * SUBTEST: debugfs-attributes
 * Description: debugfs lists attributes of memory
 *
 * SUBTEST: evict
 * Description: Eviction is traced with address and size
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("What can be seen of the driver's work from outside");

#define MIB		(1024 * 1024ul)
#define PAGE		4096ul
#define TRACING		"/sys/kernel/tracing/"
#define GPUTOP		"/usr/bin/gputop"

#define SYSTEM		DRM_DEVMEM_LOCATION_SYSTEM
#define DEVICE		DRM_DEVMEM_LOCATION_DEVICE

static struct igt_devmem d;

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	igt_assert_f(fd >= 0, "cannot open %s\n", path);
	igt_assert_eq(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* The contents of a file, to be freed. */
static char *read_file(const char *path)
{
	size_t size = 1 << 20, used = 0;
	int fd = open(path, O_RDONLY);
	char *text = malloc(size);
	ssize_t got;

	igt_assert_f(fd >= 0, "cannot open %s\n", path);
	igt_assert(text);
	while ((got = read(fd, text + used, size - used - 1)) > 0)
		used += got;
	igt_assert_eq(got, 0);
	text[used] = 0;
	close(fd);
	return text;
}

static void trace_start(void)
{
	igt_require_f(!access(TRACING "events/devmem/enable", W_OK), "no tracing\n");
	write_file(TRACING "trace", "\n");
	write_file(TRACING "events/devmem/enable", "1");
}

static char *trace_stop(void)
{
	write_file(TRACING "events/devmem/enable", "0");
	return read_file(TRACING "trace");
}

static void trace_off(int sig)
{
	int fd = open(TRACING "events/devmem/enable", O_WRONLY);

	if (fd >= 0) {
		igt_debug("%zd\n", write(fd, "0", 1));
		close(fd);
	}
}

/**
 * struct line - a line of the trace
 * @va: address it is about
 * @bytes: bytes or size
 * @ns: time
 * @error: error
 * @text: all of it
 */
struct line {
	unsigned long long va;
	unsigned long long bytes;
	unsigned long long ns;
	int error;
	char text[512];
};

static unsigned long long field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 0) : 0;
}

/*
 * The next line of @event from *@text on that is about the memory and holds
 * @what.
 */
static bool next_line(char **text, const char *event, const void *p, size_t size,
		      const char *what, struct line *line)
{
	uintptr_t start = (uintptr_t)p;
	size_t len;

	for (; **text; *text += len + (*text)[len] / '\n') {
		len = strcspn(*text, "\n");
		snprintf(line->text, sizeof(line->text), "%.*s", (int)len, *text);
		if (!strstr(line->text, event) || !strstr(line->text, what))
			continue;
		line->va = field(line->text, " va=") ?: field(line->text, " start=");
		if (line->va < start || line->va >= start + size)
			continue;
		line->bytes = field(line->text, " bytes=") ?: field(line->text, " size=");
		line->ns = field(line->text, " ns=");
		line->error = field(line->text, " error=");
		*text += len + 1;
		return true;
	}
	return false;
}

/* How many such lines there are; the sum of their bytes goes to *@bytes. */
static unsigned int count_lines(char *text, const char *event, const void *p, size_t size,
				const char *what, uint64_t *bytes)
{
	unsigned int count = 0;
	struct line line;

	*bytes = 0;
	while (next_line(&text, event, p, size, what, &line)) {
		*bytes += line.bytes;
		count++;
	}
	return count;
}

static void test_fault(void)
{
	uint64_t *p = igt_devmem_anon_alloc(4 * MIB);
	char *trace, *at;
	struct line line;
	uint64_t bytes;

	trace_start();
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 1), 0);
	igt_devmem_poke(&d, p + 2 * MIB / 8 + 2, 1);
	igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, p + 3, 1, 8);
	igt_devmem_run(&d);
	trace = trace_stop();

	at = trace;
	igt_assert(next_line(&at, "devmem_fault:", p, 4 * MIB, "access=read", &line));
	igt_assert_eq_u64(line.va, (uintptr_t)(p + 1));
	igt_assert_eq(line.error, 0);
	igt_assert_lt_u64(0, line.ns);
	igt_assert(next_line(&at, "devmem_fault:", p, 4 * MIB, "access=write", &line));
	igt_assert_eq_u64(line.va, (uintptr_t)(p + 2 * MIB / 8 + 2));
	igt_assert(next_line(&at, "devmem_fault:", p, 4 * MIB, "access=atomic", &line));
	igt_assert_eq_u64(line.va, (uintptr_t)(p + 3));
	igt_assert_eq(count_lines(trace, "devmem_fault:", p, 4 * MIB, "", &bytes), 3);
	free(trace);
	igt_devmem_anon_free(p, 4 * MIB);
}

static void test_fault_failed(void)
{
	uint64_t *p = igt_devmem_anon_alloc(PAGE);
	char *trace, *at;
	struct line line;

	igt_assert_eq(munmap(p, PAGE), 0);
	trace_start();
	igt_devmem_store(&d.batch, p, 1, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	trace = trace_stop();
	at = trace;
	igt_assert(next_line(&at, "devmem_fault:", p, PAGE, "access=write", &line));
	igt_assert_eq(line.error, -ENOENT);
	free(trace);
	igt_devmem_anon_free(p, PAGE);
}

static void test_migrate(void)
{
	const size_t size = 4 * MIB;
	char *p = igt_devmem_anon_alloc(size), *trace, *at;
	struct drm_devmem_stats before, after;
	struct line line;
	uint64_t bytes;

	memset(p, 1, size);
	before = igt_devmem_stats(d.fd, d.vm);
	trace_start();
	igt_devmem_set(&d, p, 2, size);
	igt_devmem_expect_words(p, 2, size);
	trace = trace_stop();
	after = igt_devmem_stats(d.fd, d.vm);

	igt_assert_lt(0, count_lines(trace, "devmem_migrate:", p, size,
				     "direction=to-device trigger=gpu-fault", &bytes));
	igt_assert_eq_u64(bytes, size);
	igt_assert_eq_u64(bytes, after.to_device_bytes - before.to_device_bytes);
	igt_assert_lt(0, count_lines(trace, "devmem_migrate:", p, size,
				     "direction=to-system trigger=cpu-fault", &bytes));
	igt_assert_eq_u64(bytes, size);
	igt_assert_eq_u64(bytes, after.to_system_bytes - before.to_system_bytes);

	for (at = trace; next_line(&at, "devmem_migrate:", p, size, "", &line); ) {
		igt_assert_eq(line.error, 0);
		igt_assert_lt_u64(0, line.ns);
		igt_assert_lt_u64(line.ns, 60ull * 1000 * 1000 * 1000);
	}
	free(trace);
	igt_devmem_anon_free(p, size);
}

static void test_migrate_prefetch(void)
{
	const size_t size = 4 * MIB;
	char *p = igt_devmem_anon_alloc(size), *trace;
	uint64_t bytes;

	memset(p, 1, size);
	trace_start();
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, DEVICE, 0), size);
	igt_assert_eq_u64(igt_devmem_prefetch(&d, p, size, SYSTEM, 0), size);
	trace = trace_stop();
	igt_assert_lt(0, count_lines(trace, "devmem_migrate:", p, size,
				     "direction=to-device trigger=prefetch", &bytes));
	igt_assert_eq_u64(bytes, size);
	igt_assert_lt(0, count_lines(trace, "devmem_migrate:", p, size,
				     "direction=to-system trigger=prefetch", &bytes));
	igt_assert_eq_u64(bytes, size);
	igt_assert_eq(count_lines(trace, "devmem_migrate:", p, size, "-fault", &bytes), 0);
	igt_assert_lt(0, count_lines(trace, "devmem_evict:", p, size, "trigger=prefetch", &bytes));
	igt_assert_eq_u64(bytes, size);
	free(trace);
	igt_devmem_anon_free(p, size);
}

static void test_migrate_failed(void)
{
	char *p = igt_devmem_anon_alloc(PAGE), *trace, *at;
	struct line line;
	int pipe_fds[2];

	*p = 1;
	igt_assert_eq(pipe(pipe_fds), 0);
	igt_assert_eq(vmsplice(pipe_fds[1], &(struct iovec){ p, PAGE }, 1, 0), PAGE);
	trace_start();
	igt_devmem_poke(&d, p, 2);
	trace = trace_stop();
	at = trace;
	igt_assert(next_line(&at, "devmem_migrate:", p, PAGE, "direction=to-device", &line));
	igt_assert_eq(line.error, -EBUSY);
	free(trace);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	igt_devmem_anon_free(p, PAGE);
}

static void test_invalidate(void)
{
	char *p = igt_devmem_anon_alloc(6 * MIB), *trace;
	uint64_t bytes;

	igt_devmem_set(&d, p, 1, 6 * MIB);
	trace_start();
	p[0] = 2;
	/* A part of it would be split off first, which takes the translations as well. */
	igt_assert_eq(munmap(p + 2 * MIB, 2 * MIB), 0);
	igt_assert_eq(mprotect(p + 4 * MIB, 2 * MIB, PROT_READ), 0);
	trace = trace_stop();
	igt_assert_eq(count_lines(trace, "devmem_invalidate:", p, 2 * MIB,
				  "event=migrate", &bytes), 1);
	igt_assert_eq(count_lines(trace, "devmem_invalidate:", p + 2 * MIB, 2 * MIB,
				  "event=unmap", &bytes), 1);
	igt_assert_eq(count_lines(trace, "devmem_invalidate:", p + 4 * MIB, 2 * MIB,
				  "event=protection-vma", &bytes), 1);
	free(trace);
	igt_devmem_anon_free(p, 6 * MIB);
}

static char *debugfs(const char *name)
{
	char path[128];
	struct stat st;

	igt_assert_eq(fstat(d.fd, &st), 0);
	snprintf(path, sizeof(path), "/sys/kernel/debug/dri/%u/%s", minor(st.st_rdev), name);
	return read_file(path);
}

static bool debugfs_has(const char *format, ...) __attribute__((format(printf, 1, 2)));

static bool debugfs_has(const char *format, ...)
{
	char *text = debugfs("vms"), what[256];
	va_list args;
	bool found;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	found = strstr(text, what);
	if (!found)
		igt_info("no '%s' in:\n%s", what, text);
	free(text);
	return found;
}

/* With a module of its own, as the default can be too much for a slow machine. */
static void test_thrash(void)
{
	struct line line;
	char *trace, *at;
	uint64_t bytes, *p;
	int i;

	igt_devmem_reload("thrash_window_ms=20000 thrash_pin_ms=60000");
	igt_devmem_init(&d, igt_devmem_open(), 0);
	p = igt_devmem_anon_alloc(2 * MIB);
	trace_start();
	for (i = 0; i < 100 && !igt_devmem_stats(d.fd, d.vm).pins; i++) {
		++*p;
		igt_devmem_poke(&d, p + 1, i);
	}
	trace = trace_stop();
	at = trace;
	igt_assert(next_line(&at, "devmem_thrash:", p, 2 * MIB, " bounces=", &line));
	igt_assert_eq_u64(line.va, (uintptr_t)p);
	igt_assert_lt_u64(0, field(line.text, " bounces="));
	igt_assert_lt_u64(0, field(line.text, " pin_ns="));
	igt_assert_eq(count_lines(trace, "devmem_thrash:", p, 2 * MIB, "", &bytes), 1);
	igt_assert(debugfs_has(" pinned\n"));
	free(trace);
	igt_devmem_anon_free(p, 2 * MIB);
	igt_devmem_fini(&d);
	close(d.fd);
}

static char *read_fdinfo(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", d.fd);
	return read_file(path);
}

/* A value of fdinfo; units are KiB or none. */
static uint64_t fdinfo_value(const char *key)
{
	char *text = read_fdinfo(), *at = strstr(text, key);
	uint64_t value;

	igt_assert_f(at, "no %s in fdinfo\n", key);
	value = strtoull(at + strlen(key), &at, 10);
	if (!strncmp(at, " KiB", 4))
		value *= 1024;
	else if (!strncmp(at, " MiB", 4))
		value *= MIB;
	free(text);
	return value;
}

/* Page tables may stay. */
#define TABLES		(64 * 1024ul)

static void test_fdinfo(void)
{
	const size_t size = 8 * MIB;
	uint64_t busy, vram, free_bytes, time = igt_devmem_deadline(0);
	char *p = igt_devmem_anon_alloc(size), *text = read_fdinfo();

	igt_assert(strstr(text, "drm-driver:\tdevmem\n"));
	igt_assert(strstr(text, "drm-client-id:"));
	free(text);
	igt_assert_eq_u64(fdinfo_value("drm-engine-capacity-queue:\t"),
			  igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_MAX_QUEUES));

	busy = fdinfo_value("drm-engine-queue:\t");
	vram = fdinfo_value("drm-resident-vram0:\t");
	free_bytes = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE);
	igt_devmem_set(&d, p, 1, size);
	igt_assert_eq_u64(fdinfo_value("drm-resident-vram0:\t"), vram + size);
	igt_assert_eq_u64(fdinfo_value("drm-total-vram0:\t"), vram + size);
	busy = fdinfo_value("drm-engine-queue:\t") - busy;
	igt_assert_lt_u64(0, busy);
	igt_assert_lt_u64(busy, igt_devmem_deadline(0) - time);

	igt_devmem_anon_free(p, size);
	igt_assert(igt_devmem_vram_comes_back(d.fd, free_bytes - TABLES));
	igt_assert_eq_u64(fdinfo_value("drm-resident-vram0:\t"), vram);
}

/* A terminal of 80 columns: without one gputop prints nothing. */
static int open_terminal(void)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	int pty = posix_openpt(O_RDWR | O_NOCTTY), fd;

	igt_assert_fd(pty);
	igt_assert_eq(unlockpt(pty), 0);
	igt_assert_eq(ioctl(pty, TIOCSWINSZ, &size), 0);
	fd = open(ptsname(pty), O_RDWR | O_NOCTTY);
	igt_assert_fd(fd);
	return fd;
}

/* What gputop prints in two rounds, to be freed. */
static char *run_gputop(void)
{
	int terminal = open_terminal(), out = memfd_create("gputop", 0), status;
	char path[32];
	pid_t child;

	igt_assert_fd(out);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", out);
	child = fork();
	igt_assert(child >= 0);
	if (!child) {
		dup2(terminal, STDIN_FILENO);
		dup2(out, STDOUT_FILENO);
		execl(GPUTOP, GPUTOP, "-n", "2", "-d", "0.5", NULL);
		_exit(127);
	}
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert_eq(status, 0);
	return read_file(path);
}

static void test_gputop(void)
{
	char *p = igt_devmem_anon_alloc(8 * MIB), *text, *line, units[2];
	unsigned long memory, resident;
	double busy = 0;
	int pid;

	igt_require_f(!access(GPUTOP, X_OK), "no gputop\n");
	igt_devmem_set(&d, p, 1, 8 * MIB);
	/* One queue works all the time. */
	*d.result = 0;
	igt_devmem_wait(&d.batch, d.result, DRM_DEVMEM_COMPARE_NE, 0, 8);
	igt_devmem_submit(&d);
	text = run_gputop();
	__atomic_store_n(d.result, 1, __ATOMIC_SEQ_CST);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));

	igt_info("%s\n", text);
	igt_assert(strstr(text, " queue "));
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (sscanf(line, "%d %lu%c %lu%c |%lf%%", &pid, &memory, &units[0], &resident,
			   &units[1], &busy) != 6 || pid != getpid())
			continue;
		igt_assert(memory == 8 && units[0] == 'M');
		igt_assert(resident == 8 && units[1] == 'M');
	}
	/* Of the second round: one of 128 queues, that is 0.8 %, or more if gputop is late */
	igt_assert(busy > 0.5);
	free(text);
	igt_devmem_anon_free(p, 8 * MIB);
}

static void test_debugfs_ranges(void)
{
	char *p = igt_devmem_anon_alloc(4 * MIB);
	unsigned long start = (uintptr_t)p;

	igt_devmem_set(&d, p, 1, 2 * MIB);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 2 * MIB), 0);
	igt_assert(debugfs_has("range %#lx-%#lx rw device %lu of %lu bytes\n",
			       start, start + 2 * MIB, 2 * MIB, 2 * MIB));
	igt_assert(debugfs_has("range %#lx-%#lx r device %lu of %lu bytes\n",
			       start + 2 * MIB, start + 4 * MIB, 2 * MIB, 2 * MIB));
	p[0] = 1;
	igt_assert(debugfs_has("range %#lx-%#lx - device 0 of %lu bytes\n",
			       start, start + 2 * MIB, 2 * MIB));
	igt_devmem_anon_free(p, 4 * MIB);
}

static void test_debugfs_attributes(void)
{
	char *p = igt_devmem_anon_alloc(2 * PAGE);
	unsigned long start = (uintptr_t)p;

	igt_devmem_madvise(d.fd, d.vm, p + PAGE, PAGE, DRM_DEVMEM_ATTR_ATOMIC,
			   DRM_DEVMEM_ATOMIC_CPU);
	igt_assert(debugfs_has("attributes %#lx-%#lx preferred 0 device 0 migration 0 atomic 3\n",
			       start + PAGE, start + 2 * PAGE));
	igt_devmem_anon_free(p, 2 * PAGE);
}

/* After all others: with device memory that is too small for it. */
static void test_evict(void)
{
	const size_t size = 32 * MIB;
	char *p, *trace, *at;
	uint64_t bytes, evicted;
	struct line line;

	igt_devmem_reload("vram_size=16");
	igt_devmem_init(&d, igt_devmem_open(), 0);
	p = igt_devmem_anon_alloc(size);
	trace_start();
	igt_devmem_fill(&d.batch, p, 1, 8, size);
	igt_devmem_run(&d);
	trace = trace_stop();
	evicted = igt_devmem_stats(d.fd, d.vm).evicted_bytes;

	igt_assert_lt(0, count_lines(trace, "devmem_evict:", p, size, "trigger=eviction", &bytes));
	igt_assert_eq_u64(bytes, evicted);
	igt_assert_lt(0, count_lines(trace, "devmem_migrate:", p, size,
				     "direction=to-system trigger=eviction", &bytes));
	igt_assert_eq_u64(bytes, evicted);
	for (at = trace; next_line(&at, "devmem_evict:", p, size, "", &line); )
		igt_assert_eq(line.error, 0);
	free(trace);
	igt_devmem_anon_free(p, size);
	igt_devmem_fini(&d);
	close(d.fd);
}

static const struct igt_devmem_subtest tests[] = {
	{ "fault", "Faults are traced", test_fault },
	{ "fault-failed", "Faults that are errors are traced", test_fault_failed },
	{ "migrate", "Migration is traced and agrees with the statistics", test_migrate },
	{ "migrate-prefetch", "Migration by prefetch is traced", test_migrate_prefetch },
	{ "migrate-failed", "Migration that failed is traced", test_migrate_failed },
	{ "invalidate", "Invalidation is traced", test_invalidate },
	{ "fdinfo", "fdinfo agrees with what was done", test_fdinfo },
	{ "gputop", "gputop shows the client", test_gputop },
	{ "debugfs-ranges", "debugfs shows where memory is", test_debugfs_ranges },
	{ "debugfs-attributes", "debugfs shows attributes", test_debugfs_attributes },
};

int igt_main()
{
	igt_fixture()
		igt_install_exit_handler(trace_off);
	igt_devmem_open_fixture(&d);

	igt_devmem_subtests(tests, ARRAY_SIZE(tests));

	igt_devmem_close_fixture(&d);

	igt_describe("Pins are traced");
	igt_subtest("thrash")
		test_thrash();

	igt_describe("Eviction is traced");
	igt_subtest("evict")
		test_evict();

	igt_fixture()
		igt_devmem_restore();
}
