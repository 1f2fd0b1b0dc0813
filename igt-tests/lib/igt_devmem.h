/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 devmem developers */
#ifndef IGT_DEVMEM_H
#define IGT_DEVMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "devmem_drm.h"

/*
 * The render node. drm_open_driver_render() keeps a second file open until the
 * test exits, and with it the module loaded.
 */
int igt_devmem_open(void);

/*
 * Ioctl wrappers. Those with two underscores return zero or a negative errno,
 * the others fail the test.
 */
int __igt_devmem_get_param(int fd, uint32_t param, uint64_t *value);
uint64_t igt_devmem_get_param(int fd, uint32_t param);
int __igt_devmem_vm_create(int fd, uint32_t flags, uint32_t *vm);
uint32_t igt_devmem_vm_create(int fd, uint32_t flags);
int __igt_devmem_vm_destroy(int fd, uint32_t vm);
void igt_devmem_vm_destroy(int fd, uint32_t vm);
int __igt_devmem_queue_create(int fd, uint32_t vm, uint32_t *queue);
uint32_t igt_devmem_queue_create(int fd, uint32_t vm);
int __igt_devmem_queue_destroy(int fd, uint32_t queue);
void igt_devmem_queue_destroy(int fd, uint32_t queue);
int __igt_devmem_queue_query(int fd, uint32_t queue, struct drm_devmem_queue_query *query);
struct drm_devmem_queue_query igt_devmem_queue_query(int fd, uint32_t queue);
int __igt_devmem_exec(int fd, uint32_t queue, const void *batch,
		      const struct drm_devmem_sync *syncs, uint32_t num_syncs);
void igt_devmem_exec(int fd, uint32_t queue, const void *batch,
		     const struct drm_devmem_sync *syncs, uint32_t num_syncs);
int __igt_devmem_residency(int fd, uint32_t vm, const void *addr, size_t length, uint8_t *pages);
struct drm_devmem_stats igt_devmem_stats(int fd, uint32_t vm);
int __igt_devmem_prefetch(int fd, const struct drm_devmem_prefetch *args);
int __igt_devmem_madvise(int fd, const struct drm_devmem_madvise *args);
void igt_devmem_madvise(int fd, uint32_t vm, const void *addr, size_t length, uint32_t attr,
			uint32_t value);
int __igt_devmem_query_attrs(int fd, struct drm_devmem_query_attrs *args);
int __igt_devmem_query_faults(int fd, struct drm_devmem_query_faults *args);

/*
 * Memory that both sides use in place, so that a test that reads or writes it
 * moves nothing else. Whole pages; zero to begin with.
 */
void *igt_devmem_shared_alloc(size_t size);
void igt_devmem_shared_free(void *ptr, size_t size);

/*
 * Private anonymous memory aligned to 2 MiB, in a mapping of its own: pages
 * without access on both sides keep it from being merged with a neighbour, so
 * that a chunk never holds anything else.
 */
void *igt_devmem_anon_alloc(size_t size);
void igt_devmem_anon_free(void *ptr, size_t size);

/*
 * A batch in shared memory. Each function appends a command and returns its
 * index, which igt_devmem_branch() takes.
 */
struct igt_devmem_batch {
	struct drm_devmem_cmd *cmds;
	unsigned int count;
	unsigned int max;
};

void igt_devmem_batch_init(struct igt_devmem_batch *b, unsigned int max);
void igt_devmem_batch_fini(struct igt_devmem_batch *b);
unsigned int igt_devmem_emit(struct igt_devmem_batch *b, struct drm_devmem_cmd cmd);
unsigned int igt_devmem_end(struct igt_devmem_batch *b);
unsigned int igt_devmem_store(struct igt_devmem_batch *b, const void *addr,
			      uint64_t value, unsigned int width);
unsigned int igt_devmem_load(struct igt_devmem_batch *b, unsigned int rd,
			     const void *addr, unsigned int width);
unsigned int igt_devmem_store_reg(struct igt_devmem_batch *b, const void *addr,
				  unsigned int rb, unsigned int width);
unsigned int igt_devmem_copy(struct igt_devmem_batch *b, void *dst,
			     const void *src, uint64_t size);
unsigned int igt_devmem_fill(struct igt_devmem_batch *b, void *addr, uint64_t value,
			     unsigned int width, uint64_t size);
unsigned int igt_devmem_atomic(struct igt_devmem_batch *b, unsigned int sub, unsigned int rd,
			       void *addr, uint64_t operand, unsigned int width);
unsigned int igt_devmem_wait(struct igt_devmem_batch *b, const void *addr,
			     unsigned int compare, uint64_t value, unsigned int width);
/* r[rd] = r[ra] @sub immediate */
unsigned int igt_devmem_alu(struct igt_devmem_batch *b, unsigned int rd, unsigned int ra,
			    unsigned int sub, uint64_t immediate);
/* go on at command @target if r[ra] @compare immediate */
unsigned int igt_devmem_branch(struct igt_devmem_batch *b, unsigned int ra, unsigned int compare,
			       uint64_t immediate, unsigned int target);

/* Everything a test needs to run batches: a VM, a queue, a batch. */
struct igt_devmem {
	int fd;
	uint32_t vm;
	uint32_t queue;
	uint32_t syncobj;
	struct igt_devmem_batch batch;
	/* What the latest residency query said, a byte for each page. */
	uint8_t *pages;
	/* A page of shared memory, for words that the GPU is to write. */
	uint64_t *result;
};

/* Batches of a test are over within seconds, or something is wrong. */
#define IGT_DEVMEM_TIMEOUT_NS	(60ll * 1000 * 1000 * 1000)

/* Longest range that igt_devmem_location_is() and friends look at, in bytes. */
#define IGT_DEVMEM_MAX_RANGE	(256ul << 20)

void igt_devmem_init(struct igt_devmem *d, int fd, uint32_t vm_flags);
void igt_devmem_fini(struct igt_devmem *d);

/*
 * Start d->batch, which gets its end here; a new one can then be built by the caller.
 * After an error, which the first returns, it is as it was.
 */
int __igt_devmem_submit(struct igt_devmem *d);
void igt_devmem_submit(struct igt_devmem *d);
bool igt_devmem_done(struct igt_devmem *d, int64_t timeout_ns);

/*
 * Wait for the end of a batch that was started when the queue had counted @errors, and
 * empty it. Returns what went wrong, an enum drm_devmem_error.
 */
uint32_t igt_devmem_outcome(struct igt_devmem *d, uint64_t errors);

/*
 * Run d->batch to its end and empty it. The first returns what went wrong, an
 * enum drm_devmem_error, the second fails the test if something did.
 */
uint32_t __igt_devmem_run(struct igt_devmem *d);
void igt_devmem_run(struct igt_devmem *d);

/* One batch each: write and read eight bytes, set words; the latter end on the device. */
void igt_devmem_poke(struct igt_devmem *d, void *addr, uint64_t value);
uint64_t igt_devmem_peek(struct igt_devmem *d, const void *addr);
void igt_devmem_set(struct igt_devmem *d, void *addr, uint64_t value, size_t size);

/*
 * Prefetch and wait for the end; returns how many bytes are there. A prefetch
 * that was cut short fails the test.
 */
uint64_t igt_devmem_prefetch(struct igt_devmem *d, const void *addr, size_t length,
			     enum drm_devmem_location location, uint32_t flags);

/* The CPU writes @value to all words of @size bytes. */
void igt_devmem_cpu_fill(void *addr, uint64_t value, size_t size);
/* The CPU reads @size bytes, all words of which have to be @value. */
void igt_devmem_expect_words(const void *addr, uint64_t value, size_t size);

/* Two processes take turns: a number in shared memory says who is next. */
void igt_devmem_set_turn(uint32_t *turn, uint32_t value);
void igt_devmem_wait_turn(uint32_t *turn, uint32_t value);

/* CLOCK_MONOTONIC in @ns from now, as syncobj waits take it. */
int64_t igt_devmem_deadline(int64_t ns);

/*
 * Random numbers: a counter that is scrambled. Threads and processes of one seed
 * start at places of their own, and the same seed gives the same numbers again.
 */
uint64_t igt_devmem_scramble(uint64_t x);
uint64_t igt_devmem_random(uint64_t *state);
uint64_t igt_devmem_random_start(uint64_t seed, uint64_t who);
uint64_t igt_devmem_new_seed(void);

/*
 * Where the pages that hold [@addr, @addr + @length) are. True if for each of
 * them (byte & @mask) is @value; else all of them are printed as a map.
 */
bool igt_devmem_pages_are(struct igt_devmem *d, const void *addr, size_t length, uint8_t mask,
			  uint8_t value);
bool igt_devmem_location_is(struct igt_devmem *d, const void *addr, size_t length,
			    enum drm_devmem_location location);
/* Used by the GPU where it is: in system memory, with a translation. */
bool igt_devmem_in_place(struct igt_devmem *d, const void *addr, size_t length);
/* How many pages of the range are at @location. */
size_t igt_devmem_count(struct igt_devmem *d, const void *addr, size_t length,
			enum drm_devmem_location location);

/* Skip the test if the CPU does not map all of the range by huge pages. */
void igt_devmem_require_large(struct igt_devmem *d, const void *addr, size_t length);

/*
 * Start a batch that counts in both words and has no end, and wait until it does so; with
 * @shared others can see by igt_devmem_expect_stopped() that it did, and does no more.
 */
void igt_devmem_count_forever(struct igt_devmem *d, uint64_t *p, uint64_t *shared);
void igt_devmem_expect_stopped(const uint64_t *shared);

/* Wait until PARAM_VRAM_FREE is at least @bytes: memory is given back in its own time. */
bool igt_devmem_vram_comes_back(int fd, uint64_t bytes);

/* How often the device or the driver used a bus address that was not mapped. */
uint64_t igt_devmem_violations(int fd);

/*
 * Stop points of the driver: who gets to a point that is set waits until it is
 * cleared. Closing clears all of @fd's device, and so does the end of the test.
 * Nothing here uses the heap or changes the address space, which a thread that waits
 * may have locked.
 */
int igt_devmem_stop_open(int fd);
void igt_devmem_stop_close(int stop);
void igt_devmem_stop_set(int stop, const char *point);
void igt_devmem_stop_clear(int stop, const char *point);
/* Wait until somebody waits at @point; false if nobody comes within seconds. */
bool igt_devmem_stop_reached(int stop, const char *point);
/* How many wait at @point. */
unsigned int igt_devmem_stop_waiting(int stop, const char *point);

/*
 * Wait until somebody waits in the kernel for what a stop holds up, uninterruptibly; false
 * if that does not come about within seconds. It may be somebody who waits at a stop
 * himself. For all of them holds what is said about stops.
 */

/* A thread of this process, in system call @call, or for a page if that is -1. */
bool igt_devmem_thread_blocked(pid_t thread, long call);
/* A process that was killed, or it is over except for being waited for. */
bool igt_devmem_exit_blocked(pid_t pid);
/* A worker of the driver that serves a GPU fault. */
bool igt_devmem_fault_blocked(void);

/* Write @text to a file of procfs or sysfs; false if that fails. */
bool igt_devmem_write_file(const char *path, const char *text);

/*
 * The kernel's log from now on, and its next record, "LEVEL,NUMBER,TIME,FLAGS;TEXT";
 * false when there is none yet.
 */
int igt_devmem_log_open(void);
bool igt_devmem_log_next(int log, char *record, size_t size);

/*
 * Turn on swap on a compressed RAM disk until the test exits, unless there is swap
 * already; skip the test without. igt_devmem_swap_out() reclaims the range: neither
 * page table shows anything afterwards.
 */
void igt_devmem_require_swap(void);
void igt_devmem_swap_out(struct igt_devmem *d, void *addr, size_t size);

/*
 * A device of the kernel's test_hmm that has coherent memory, and anonymous memory that
 * goes there; all of it has to be freed before the end. The test is skipped if the kernel
 * was not told to leave RAM alone for it.
 */
int igt_devmem_coherent_open(void);
void igt_devmem_coherent_take(int device, void *addr, size_t size);
void igt_devmem_coherent_close(int device);

/*
 * The driver's module. igt_devmem_reload() unloads and loads it; the parameters
 * that it was found with come back by igt_devmem_restore() or when the test
 * exits. Nobody may have the device open.
 */
int igt_devmem_unload_once(void);
void igt_devmem_reload(const char *options);
void igt_devmem_restore(void);

/*
 * For igt_emit_ignore_dmesg_regex(): what the kernel prints with a message of a lack of
 * memory, a stack trace and the state of memory. No backslash gets to the runner.
 */
#define IGT_DEVMEM_MEMORY_REPORT \
	"CPU: |Hardware name|Call Trace|TASK>|[+]0x[0-9a-f]+/0x|R[A-Z0-9][A-Z0-9]?: |Code: " \
	"|Mem-Info|active_anon|Node [0-9]|lowmem_reserve|pagecache|in swap cache|[Ss]wap " \
	"|pages |Memory cgroup"

/*
 * Subtests in a table. The fixtures around them open the device, with a VM and a
 * queue in @d, and close it; without device memory what follows is skipped.
 */
struct igt_devmem_subtest {
	const char *name;
	const char *describe;
	void (*test)(void);
};

void igt_devmem_open_fixture(struct igt_devmem *d);
void igt_devmem_subtests(const struct igt_devmem_subtest *tests, unsigned int count);
void igt_devmem_close_fixture(struct igt_devmem *d);

#endif /* IGT_DEVMEM_H */
