// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem pattern
 * Category: Core
 * Mega feature: SVM
 * Sub-category: System allocator
 * Description: Ways to submit work times ways to get the memory that it uses
 *
 * SUBTEST: %s-%s
 * Description: %arg[1] in %arg[2]
 *
 * arg[1]:
 *
 * @once:		one batch
 * @many:		32 batches next to each other in memory
 * @many-stride:	32 batches 16 bytes apart
 * @many-queues:	what 32 batches do, on eight queues at a time
 * @large:		8 batches of 2 MiB each
 * @threads:		four threads with a VM each
 * @threads-shared-vm:	four threads with a queue each
 * @processes:		four processes
 *
 * arg[2]:
 *
 * @malloc:		memory of malloc()
 * @malloc-nomemset:	the same, touched by the GPU first
 * @mmap:		private anonymous memory
 * @mmap-nomemset:	the same, touched by the GPU first
 * @new:		a mapping for each batch
 * @free:		memory of malloc() for each batch
 * @shared:		shared anonymous memory
 * @file:		a mapped file
 * @huge:		transparent huge pages
 * @mlock:		locked memory
 * @remap:		memory that moves after each batch
 * @fork-read:		memory that a child reads after each batch
 * @race:		memory that the CPU reads at the same time
 */

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "igt_syncobj.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("Ways to submit work times ways to get the memory that it uses");

#define KIB		1024ul
#define MIB		(1024 * KIB)
#define PAGE		4096ul
#define VALUE(i)	(0xfeed0000c0de0000ull + (i) * 0x10001ull)
#define MAX_QUEUES	8
#define WORKERS		4

/* Two words at either end of what a batch works on. */
#define WORDS		4

/**
 * struct pattern - how work is submitted
 * @name: of the subtest
 * @execs: number of batches
 * @size: bytes that each works on
 * @stride: bytes from one to the next
 * @queues: that take turns, all in flight
 * @threads: run it in WORKERS threads
 * @shared_vm: which have one VM
 * @processes: run it in WORKERS processes
 */
static const struct pattern {
	const char *name;
	unsigned int execs;
	size_t size;
	size_t stride;
	unsigned int queues;
	bool threads;
	bool shared_vm;
	bool processes;
} patterns[] = {
	{ .name = "once", .execs = 1, .size = 64 * KIB, .stride = 64 * KIB },
	{ .name = "many", .execs = 32, .size = 64 * KIB, .stride = 64 * KIB },
	{ .name = "many-stride", .execs = 32, .size = 32, .stride = 48 },
	{ .name = "many-queues", .execs = 32, .size = 64 * KIB, .stride = 64 * KIB,
	  .queues = MAX_QUEUES },
	{ .name = "large", .execs = 8, .size = 2 * MIB, .stride = 2 * MIB },
	{ .name = "threads", .execs = 8, .size = 64 * KIB, .stride = 64 * KIB, .threads = true },
	{ .name = "threads-shared-vm", .execs = 8, .size = 64 * KIB, .stride = 64 * KIB,
	  .threads = true, .shared_vm = true },
	{ .name = "processes", .execs = 8, .size = 64 * KIB, .stride = 64 * KIB,
	  .processes = true },
};

enum section_flag {
	HEAP = 1 << 0,
	NEW = 1 << 1,
	NO_MEMSET = 1 << 2,
	SHARED = 1 << 3,
	IN_FILE = 1 << 4,
	HUGE = 1 << 5,
	LOCKED = 1 << 6,
	REMAP = 1 << 7,
	FORK_READ = 1 << 8,
	RACE = 1 << 9,
};

static const struct section {
	const char *name;
	unsigned int flags;
} sections[] = {
	{ "malloc", HEAP },
	{ "malloc-nomemset", HEAP | NO_MEMSET },
	{ "mmap", 0 },
	{ "mmap-nomemset", NO_MEMSET },
	{ "new", NEW },
	{ "free", NEW | HEAP },
	{ "shared", SHARED },
	{ "file", IN_FILE },
	{ "huge", HUGE },
	{ "mlock", LOCKED },
	{ "remap", REMAP },
	{ "fork-read", FORK_READ },
	{ "race", RACE },
};

/**
 * struct run - a pattern in a section, for one thread
 * @pattern: the pattern
 * @section: the section
 * @d: where the batches run
 * @queue: queues that take turns
 * @batch: batches of these
 * @mem: the memory
 * @size: its size in bytes
 * @reading: a thread reads it at the same time
 */
struct run {
	const struct pattern *pattern;
	const struct section *section;
	struct igt_devmem *d;
	struct igt_devmem queue[MAX_QUEUES];
	char *mem;
	size_t size;
	uint32_t reading;
};

static struct igt_devmem device;

static bool stays_in_system(const struct section *section)
{
	return section->flags & (SHARED | IN_FILE);
}

static char *get_memory(const struct section *section, size_t size)
{
	char *mem;
	int fd;

	if (section->flags & HEAP) {
		mem = malloc(size);
		igt_assert(mem);
	} else if (section->flags & SHARED) {
		mem = igt_devmem_shared_alloc(size);
	} else {
		mem = igt_devmem_anon_alloc(size);
	}
	if (section->flags & IN_FILE) {
		fd = syscall(SYS_memfd_create, "devmem", 0);
		igt_assert_fd(fd);
		igt_assert_eq(ftruncate(fd, size), 0);
		igt_assert(mmap(mem, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
				0) == mem);
		close(fd);
	}
	if (section->flags & HUGE)
		igt_require_f(!madvise(mem, size, MADV_HUGEPAGE), "no huge pages\n");
	if (section->flags & LOCKED)
		igt_require_f(!mlock(mem, size), "cannot lock: %s\n", strerror(errno));
	return mem;
}

static void put_memory(const struct section *section, char *mem, size_t size)
{
	if (section->flags & HEAP)
		free(mem);
	else if (section->flags & SHARED)
		igt_devmem_shared_free(mem, size);
	else
		igt_devmem_anon_free(mem, size);
}

static uint64_t *word(char *mem, size_t size, unsigned int i)
{
	return (uint64_t *)(mem + (i < 2 ? i * 8 : size - (WORDS - i) * 8));
}

static char *part(const struct run *run, unsigned int exec)
{
	return run->section->flags & NEW ? run->mem : run->mem + exec * run->pattern->stride;
}

/* Store, add, and copy one word to the next. */
static void emit(struct run *run, struct igt_devmem *d, unsigned int exec)
{
	size_t size = run->pattern->size;
	char *mem = part(run, exec);

	igt_devmem_store(&d->batch, word(mem, size, 0), VALUE(exec), 8);
	igt_devmem_copy(&d->batch, word(mem, size, 1), word(mem, size, 0), 8);
	igt_devmem_store(&d->batch, word(mem, size, 2), VALUE(exec), 8);
	igt_devmem_store(&d->batch, word(mem, size, 3), VALUE(exec), 8);
	igt_devmem_atomic(&d->batch, DRM_DEVMEM_ATOMIC_ADD, 0, word(mem, size, 3), exec + 1, 8);
}

static void check(struct run *run, unsigned int exec)
{
	size_t size = run->pattern->size;
	char *mem = part(run, exec);
	unsigned int i;

	for (i = 0; i < WORDS; i++)
		igt_assert_eq_u64(*word(mem, size, i), VALUE(exec) + (i == 3 ? exec + 1 : 0));
	/* The word in the middle is nobody's. */
	if (size > 64)
		igt_assert_eq_u64(*(uint64_t *)(mem + size / 2),
				  run->section->flags & NO_MEMSET ? 0 : 0x0101010101010101ull);
}

/*
 * Migration passes over a page that another CPU refers to for a moment, as a batch of
 * mlock() does. What the fault has left in the system moves when asked again.
 */
static bool is_on_device(struct igt_devmem *d, char *mem, size_t size)
{
	uintptr_t start = (uintptr_t)mem & ~(PAGE - 1);
	uintptr_t end = ((uintptr_t)mem + size + PAGE - 1) & ~(PAGE - 1);
	struct drm_devmem_sync sync = {
		.type = DRM_DEVMEM_SYNC_SYNCOBJ, .flags = DRM_DEVMEM_SYNC_SIGNAL,
		.handle = d->syncobj,
	};
	const struct drm_devmem_prefetch args = {
		.vm_id = d->vm, .addr = start, .length = end - start,
		.location = DRM_DEVMEM_LOCATION_DEVICE,
		.num_syncs = 1, .syncs = (uintptr_t)&sync,
	};
	int tries;

	for (tries = 0; tries < 20; tries++) {
		if (igt_devmem_location_is(d, mem, size, DRM_DEVMEM_LOCATION_DEVICE))
			return true;
		/* Two at a time would be in each other's way. */
		syncobj_reset(d->fd, &d->syncobj, 1);
		igt_assert_eq(__igt_devmem_prefetch(d->fd, &args), 0);
		igt_assert(igt_devmem_done(d, IGT_DEVMEM_TIMEOUT_NS));
		usleep(50000);
	}
	return false;
}

static void check_place(struct run *run, unsigned int exec)
{
	const struct section *section = run->section;
	size_t size = run->pattern->size;
	char *mem = part(run, exec);

	/*
	 * A reader can have it back at any time, a neighbour in the heap can too. What
	 * is write-protected since a fork comes back to be copied before a GPU write.
	 */
	if (section->flags & (RACE | HEAP | FORK_READ) || size < PAGE)
		return;
	if (stays_in_system(section))
		igt_assert(igt_devmem_location_is(run->d, mem, size, DRM_DEVMEM_LOCATION_SYSTEM));
	else
		igt_assert(is_on_device(run->d, mem, size));
}

static void check_in_child(struct run *run, unsigned int exec)
{
	pid_t pid = fork();
	int status;

	igt_assert_lte(0, pid);
	if (!pid)
		_exit(*word(part(run, exec), run->pattern->size, 0) != VALUE(exec));
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_eq(status, 0);
}

/* To another address and back, after which the GPU has to find it again. */
static void move(struct run *run)
{
	char *to = igt_devmem_anon_alloc(run->size);
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;

	igt_assert(mremap(run->mem, run->size, run->size, flags, to) == to);
	igt_devmem_anon_free(run->mem, run->size);
	run->mem = to;
}

static void one_by_one(struct run *run)
{
	const struct section *section = run->section;
	unsigned int exec;

	for (exec = 0; exec < run->pattern->execs; exec++) {
		if (section->flags & NEW) {
			run->mem = get_memory(section, run->size);
			memset(run->mem, 1, run->size);
		}
		emit(run, run->d, exec);
		igt_devmem_run(run->d);
		check_place(run, exec);
		if (section->flags & FORK_READ)
			check_in_child(run, exec);
		if (section->flags & REMAP)
			move(run);
		check(run, exec);
		if (section->flags & NEW)
			put_memory(section, run->mem, run->size);
	}
}

/* A queue of its own, on the VM of another */
static void add_queue(struct igt_devmem *d, const struct igt_devmem *vm)
{
	*d = *vm;
	d->queue = igt_devmem_queue_create(d->fd, d->vm);
	d->syncobj = syncobj_create(d->fd, 0);
	igt_devmem_batch_init(&d->batch, 256);
	d->pages = igt_devmem_shared_alloc(IGT_DEVMEM_MAX_RANGE / PAGE);
}

static void remove_queue(struct igt_devmem *d)
{
	igt_devmem_shared_free(d->pages, IGT_DEVMEM_MAX_RANGE / PAGE);
	igt_devmem_batch_fini(&d->batch);
	syncobj_destroy(d->fd, d->syncobj);
	igt_devmem_queue_destroy(d->fd, d->queue);
}

/* Each queue has a batch that does what all of its batches would do. */
static void all_at_once(struct run *run)
{
	unsigned int queues = run->pattern->queues, exec, i;

	for (i = 0; i < queues; i++)
		add_queue(&run->queue[i], run->d);
	for (exec = 0; exec < run->pattern->execs; exec++)
		emit(run, &run->queue[exec % queues], exec);
	for (i = 0; i < queues; i++)
		igt_devmem_submit(&run->queue[i]);
	for (i = 0; i < queues; i++) {
		igt_assert(igt_devmem_done(&run->queue[i], IGT_DEVMEM_TIMEOUT_NS));
		igt_assert_eq(igt_devmem_queue_query(device.fd, run->queue[i].queue).errors, 0);
		remove_queue(&run->queue[i]);
	}
	/* A look at one can bring its neighbours back. */
	for (exec = 0; exec < run->pattern->execs; exec++)
		check_place(run, exec);
	for (exec = 0; exec < run->pattern->execs; exec++) {
		if (run->section->flags & FORK_READ)
			check_in_child(run, exec);
		if (run->section->flags & REMAP)
			move(run);
		check(run, exec);
	}
}

static void *reader(void *arg)
{
	struct run *run = arg;
	unsigned int exec;

	while (__atomic_load_n(&run->reading, __ATOMIC_SEQ_CST)) {
		for (exec = 0; exec < run->pattern->execs; exec++)
			(void)__atomic_load_n(word(part(run, exec), run->pattern->size, 0),
					      __ATOMIC_RELAXED);
		usleep(500);
	}
	return NULL;
}

static void run_it(struct run *run)
{
	const struct pattern *pattern = run->pattern;
	const struct section *section = run->section;
	bool keeps = !(section->flags & NEW);
	pthread_t thread;

	run->size = keeps ? pattern->stride * pattern->execs : pattern->size;
	run->size = (run->size + PAGE - 1) & ~(PAGE - 1);
	if (keeps) {
		run->mem = get_memory(section, run->size);
		/* Batches next to each other bounce; thrash control would end that. */
		if (!(section->flags & HEAP))
			igt_devmem_madvise(run->d->fd, run->d->vm, run->mem, run->size,
					   DRM_DEVMEM_ATTR_PREFERRED,
					   DRM_DEVMEM_PREFERRED_DEVICE);
		if (!(section->flags & NO_MEMSET))
			memset(run->mem, 1, run->size);
	}
	if (section->flags & RACE) {
		run->reading = 1;
		igt_assert_eq(pthread_create(&thread, NULL, reader, run), 0);
	}
	if (pattern->queues && keeps)
		all_at_once(run);
	else
		one_by_one(run);
	if (section->flags & RACE) {
		igt_devmem_set_turn(&run->reading, 0);
		igt_assert_eq(pthread_join(thread, NULL), 0);
	}
	if (keeps)
		put_memory(section, run->mem, run->size);
}

static void *worker(void *arg)
{
	struct run *run = arg;
	struct igt_devmem own;

	run->d = &own;
	if (run->pattern->shared_vm) {
		add_queue(&own, &device);
		own.result = NULL;
		run_it(run);
		remove_queue(&own);
	} else {
		igt_devmem_init(&own, device.fd, 0);
		run_it(run);
		igt_devmem_fini(&own);
	}
	return NULL;
}

static void run_threads(const struct run *init)
{
	struct run runs[WORKERS];
	pthread_t threads[WORKERS];
	int i;

	for (i = 0; i < WORKERS; i++) {
		runs[i] = *init;
		igt_assert_eq(pthread_create(&threads[i], NULL, worker, &runs[i]), 0);
	}
	for (i = 0; i < WORKERS; i++)
		igt_assert_eq(pthread_join(threads[i], NULL), 0);
}

static void test_pattern(const struct pattern *pattern, const struct section *section)
{
	struct run run = { .pattern = pattern, .section = section, .d = &device };

	if (pattern->threads) {
		run_threads(&run);
	} else if (pattern->processes) {
		igt_fork(child, WORKERS) {
			igt_devmem_init(&device, drm_reopen_driver(device.fd), 0);
			run_it(&run);
		}
		igt_waitchildren();
	} else {
		run_it(&run);
	}
	igt_assert_eq_u64(igt_devmem_violations(device.fd), 0);
}

/* Left out: fork() in threads of a test, and what says nothing new. */
static bool makes_sense(const struct pattern *pattern, const struct section *section)
{
	if (pattern->threads && section->flags & (FORK_READ | REMAP))
		return false;
	if (pattern->queues && section->flags & NEW)
		return false;
	return !(pattern->execs == 1 && section->flags & NEW);
}

int igt_main()
{
	unsigned int i = 0, j = 0;

	igt_devmem_open_fixture(&device);

	for (i = 0; i < ARRAY_SIZE(patterns); i++) {
		for (j = 0; j < ARRAY_SIZE(sections); j++) {
			if (!makes_sense(&patterns[i], &sections[j]))
				continue;
			igt_describe("Data and place are right after each batch");
			igt_subtest_f("%s-%s", patterns[i].name, sections[j].name)
				test_pattern(&patterns[i], &sections[j]);
		}
	}

	igt_devmem_close_fixture(&device);
}
