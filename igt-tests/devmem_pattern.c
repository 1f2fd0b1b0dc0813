// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem pattern
 * Category: Core
 * Mega feature: SVM
 * Sub-category: System allocator
 * Description: Ways to submit work times ways to get the memory that it uses
 *
 * SUBTEST: %s
 * Description: All ways to submit work on %arg[1]; each is a dynamic subtest
 *
 * arg[1]:
 *
 * @malloc:					memory of malloc()
 * @malloc-madvise:				the same, preferred here and there by turns
 * @malloc-prefetch:				the same, prefetched for each batch
 * @malloc-prefetch-madvise:			the same, to where it is preferred
 * @malloc-multi-fault:				batches that work in four chunks each
 * @malloc-fork-read:				memory that a child reads first
 * @malloc-fork-read-after:			memory that a child reads after its parent
 * @malloc-mlock:				locked memory
 * @malloc-race:				memory that the CPU reads at the same time
 * @malloc-prefetch-race:			the same, prefetched
 * @malloc-busy:				a VM that cannot be destroyed meanwhile
 * @malloc-sync:				threads that submit at the same time
 * @mmap:					private anonymous memory
 * @mmap-prefetch:				the same, prefetched for each batch
 * @mmap-multi-fault:				batches that work in four chunks each
 * @mmap-fork-read:				memory that a child reads first
 * @mmap-remap:					memory that moves after each batch
 * @mmap-remap-madvise:				the same, preferred here and there by turns
 * @mmap-remap-dontunmap:			memory that leaves its old mapping behind
 * @mmap-remap-ro:				memory that is read-only as it moves
 * @mmap-remap-ro-dontunmap:			the same, its old mapping stays
 * @mmap-remap-eocheck:				the CPU looks after every other batch
 * @mmap-remap-dontunmap-eocheck:		the same, the old mapping stays
 * @mmap-remap-ro-eocheck:			the same, read-only as it moves
 * @mmap-remap-ro-dontunmap-eocheck:		all of these
 * @mmap-huge:					transparent huge pages
 * @mmap-shared:				shared anonymous memory
 * @mmap-prefetch-shared:			the same, prefetched
 * @mmap-shared-remap:				the same, moved
 * @mmap-shared-remap-dontunmap:		the same, its old mapping stays
 * @mmap-shared-remap-eocheck:			the CPU looks after every other batch
 * @mmap-shared-remap-dontunmap-eocheck:	both of these
 * @mmap-mlock:					locked memory
 * @mmap-file:					a mapped file
 * @mmap-file-mlock:				a mapped file, locked
 * @mmap-race:					memory that the CPU reads at the same time
 * @free:					malloc() before and free() after each batch
 * @free-madvise:				the same, preferred here and there by turns
 * @free-race:					the same, while the CPU reads it
 * @new:					malloc() before each batch
 * @new-madvise:				the same, preferred here and there by turns
 * @new-prefetch:				the same, prefetched
 * @new-race:					the same, while the CPU reads it
 * @new-busy:					the same, the VM cannot be destroyed meanwhile
 * @mmap-free:					mmap() before and munmap() after each batch
 * @mmap-free-madvise:				the same, preferred here and there by turns
 * @mmap-free-huge:				the same, huge pages
 * @mmap-free-race:				the same, while the CPU reads it
 * @mmap-new:					mmap() before each batch
 * @mmap-new-madvise:				the same, preferred here and there by turns
 * @mmap-new-huge:				the same, huge pages
 * @mmap-new-race:				the same, while the CPU reads it
 * @malloc-nomemset:				touched by the GPU first
 * @malloc-mlock-nomemset:			touched by the GPU first
 * @malloc-race-nomemset:			touched by the GPU first
 * @malloc-busy-nomemset:			touched by the GPU first
 * @mmap-nomemset:				touched by the GPU first
 * @mmap-huge-nomemset:				touched by the GPU first
 * @mmap-shared-nomemset:			touched by the GPU first
 * @mmap-mlock-nomemset:			touched by the GPU first
 * @mmap-file-nomemset:				touched by the GPU first
 * @mmap-file-mlock-nomemset:			touched by the GPU first
 * @mmap-race-nomemset:				touched by the GPU first
 * @free-nomemset:				touched by the GPU first
 * @free-race-nomemset:				touched by the GPU first
 * @new-nomemset:				touched by the GPU first
 * @new-race-nomemset:				touched by the GPU first
 * @new-busy-nomemset:				touched by the GPU first
 * @mmap-free-nomemset:				touched by the GPU first
 * @mmap-free-huge-nomemset:			touched by the GPU first
 * @mmap-free-race-nomemset:			touched by the GPU first
 * @mmap-new-nomemset:				touched by the GPU first
 * @mmap-new-huge-nomemset:			touched by the GPU first
 * @mmap-new-race-nomemset:			touched by the GPU first
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

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP	4
#endif

IGT_TEST_DESCRIPTION("Ways to submit work times ways to get the memory that it uses");

#define KIB		1024ul
#define MIB		(1024 * KIB)
#define PAGE		4096ul
#define CHUNK		(2 * MIB)
#define VALUE(i)	(0xfeed0000c0de0000ull + (i) * 0x10001ull)
#define UNTOUCHED	0x0101010101010101ull
#define MAX_QUEUES	6
#define MAX_EXECS	12
#define WORKERS		2

#define SYSTEM		DRM_DEVMEM_LOCATION_SYSTEM
#define DEVICE		DRM_DEVMEM_LOCATION_DEVICE
#define NONE		DRM_DEVMEM_LOCATION_NONE

/* Two words at either end of what a batch works on. */
#define WORDS		4

/* In so many chunks works a batch with MULTI_FAULT. */
#define FAULTS		4

/**
 * struct form - how many batches, and where they work
 * @name: of the form
 * @execs: number of batches
 * @few: the same for each of several workers; 0 if it is nothing for these
 * @size: bytes that each works on
 * @stride: bytes from one to the next
 * @queues: take turns
 */
static const struct form {
	const char *name;
	unsigned int execs;
	unsigned int few;
	size_t size;
	size_t stride;
	bool queues;
} forms[] = {
	{ .name = "once", .execs = 1, .size = 64 * KIB, .stride = 64 * KIB },
	{ .name = "once-large", .execs = 1, .size = CHUNK, .stride = CHUNK },
	{ .name = "twice", .execs = 2, .size = 64 * KIB, .stride = 64 * KIB },
	{ .name = "twice-large", .execs = 2, .size = CHUNK, .stride = CHUNK },
	{ .name = "many", .execs = 12, .few = 3, .size = PAGE, .stride = PAGE },
	{ .name = "many-64k", .execs = 12, .size = 64 * KIB, .stride = 64 * KIB },
	{ .name = "many-stride", .execs = 12, .few = 3, .size = 32, .stride = 48 },
	{ .name = "many-queues", .execs = 12, .few = 4, .size = 64 * KIB, .stride = 64 * KIB,
	  .queues = true },
	{ .name = "many-large", .execs = 4, .few = 2, .size = CHUNK, .stride = CHUNK },
	{ .name = "many-large-queues", .execs = 4, .few = 2, .size = CHUNK, .stride = CHUNK,
	  .queues = true },
};

/**
 * struct workers - who does it
 * @name: prefix of the form
 * @kind: one thread, several threads, or several processes
 * @shared_vm: threads with one VM, else each has its own
 * @shared_alloc: threads whose batches lie side by side in one allocation
 */
static const struct workers {
	const char *name;
	enum { ALONE, THREADS, PROCESSES } kind;
	bool shared_vm;
	bool shared_alloc;
} workers[] = {
	{ .name = "", .kind = ALONE },
	{ .name = "threads-", .kind = THREADS },
	{ .name = "threads-shared-vm-", .kind = THREADS, .shared_vm = true },
	{ .name = "processes-", .kind = PROCESSES },
	{ .name = "threads-shared-alloc-", .kind = THREADS, .shared_alloc = true },
	{ .name = "threads-shared-vm-shared-alloc-", .kind = THREADS, .shared_vm = true,
	  .shared_alloc = true },
};

enum section_flag {
	/* What memory it is; private anonymous memory if nothing is said */
	HEAP = 1 << 0,
	SHARED = 1 << 1,
	IN_FILE = 1 << 2,
	HUGE = 1 << 3,
	LOCKED = 1 << 4,
	/* The GPU is first to touch it. */
	NO_MEMSET = 1 << 5,
	/* Memory for each batch, until the end or until the next batch */
	NEW = 1 << 6,
	FREED = 1 << 7,
	/* Before a batch */
	SWIZZLE = 1 << 8,
	PREFETCH = 1 << 9,
	IN_STEP = 1 << 10,
	/* With it */
	RACE = 1 << 11,
	BUSY = 1 << 12,
	MULTI_FAULT = 1 << 13,
	/* After it */
	FORK_READ = 1 << 14,
	FORK_READ_AFTER = 1 << 15,
	REMAP = 1 << 16,
	DONTUNMAP = 1 << 17,
	READ_ONLY = 1 << 18,
	EOCHECK = 1 << 19,
};

/* What is done between two batches, so that these cannot be submitted all at once. */
#define BETWEEN (NEW | SWIZZLE | PREFETCH | IN_STEP | BUSY | REMAP | EOCHECK)

static const struct section {
	const char *name;
	unsigned int flags;
} sections[] = {
	{ "malloc", HEAP },
	{ "malloc-madvise", HEAP | SWIZZLE },
	{ "malloc-prefetch", HEAP | PREFETCH },
	{ "malloc-prefetch-madvise", HEAP | PREFETCH | SWIZZLE },
	{ "malloc-multi-fault", HEAP | MULTI_FAULT },
	{ "malloc-fork-read", HEAP | FORK_READ },
	{ "malloc-fork-read-after", HEAP | FORK_READ_AFTER },
	{ "malloc-mlock", HEAP | LOCKED },
	{ "malloc-race", HEAP | RACE },
	{ "malloc-prefetch-race", HEAP | PREFETCH | RACE },
	{ "malloc-busy", HEAP | BUSY },
	{ "malloc-sync", HEAP | IN_STEP },
	{ "mmap", 0 },
	{ "mmap-prefetch", PREFETCH },
	{ "mmap-multi-fault", MULTI_FAULT },
	{ "mmap-fork-read", FORK_READ },
	{ "mmap-remap", REMAP },
	{ "mmap-remap-madvise", REMAP | SWIZZLE },
	{ "mmap-remap-dontunmap", REMAP | DONTUNMAP },
	{ "mmap-remap-ro", REMAP | READ_ONLY },
	{ "mmap-remap-ro-dontunmap", REMAP | READ_ONLY | DONTUNMAP },
	{ "mmap-remap-eocheck", REMAP | EOCHECK },
	{ "mmap-remap-dontunmap-eocheck", REMAP | DONTUNMAP | EOCHECK },
	{ "mmap-remap-ro-eocheck", REMAP | READ_ONLY | EOCHECK },
	{ "mmap-remap-ro-dontunmap-eocheck", REMAP | READ_ONLY | DONTUNMAP | EOCHECK },
	{ "mmap-huge", HUGE },
	{ "mmap-shared", SHARED },
	{ "mmap-prefetch-shared", PREFETCH | SHARED },
	{ "mmap-shared-remap", SHARED | REMAP },
	{ "mmap-shared-remap-dontunmap", SHARED | REMAP | DONTUNMAP },
	{ "mmap-shared-remap-eocheck", SHARED | REMAP | EOCHECK },
	{ "mmap-shared-remap-dontunmap-eocheck", SHARED | REMAP | DONTUNMAP | EOCHECK },
	{ "mmap-mlock", LOCKED },
	{ "mmap-file", IN_FILE },
	{ "mmap-file-mlock", IN_FILE | LOCKED },
	{ "mmap-race", RACE },
	{ "free", NEW | FREED | HEAP },
	{ "free-madvise", NEW | FREED | HEAP | SWIZZLE },
	{ "free-race", NEW | FREED | HEAP | RACE },
	{ "new", NEW | HEAP },
	{ "new-madvise", NEW | HEAP | SWIZZLE },
	{ "new-prefetch", NEW | HEAP | PREFETCH },
	{ "new-race", NEW | HEAP | RACE },
	{ "new-busy", NEW | HEAP | BUSY },
	{ "mmap-free", NEW | FREED },
	{ "mmap-free-madvise", NEW | FREED | SWIZZLE },
	{ "mmap-free-huge", NEW | FREED | HUGE },
	{ "mmap-free-race", NEW | FREED | RACE },
	{ "mmap-new", NEW },
	{ "mmap-new-madvise", NEW | SWIZZLE },
	{ "mmap-new-huge", NEW | HUGE },
	{ "mmap-new-race", NEW | RACE },
	{ "malloc-nomemset", HEAP | NO_MEMSET },
	{ "malloc-mlock-nomemset", HEAP | LOCKED | NO_MEMSET },
	{ "malloc-race-nomemset", HEAP | RACE | NO_MEMSET },
	{ "malloc-busy-nomemset", HEAP | BUSY | NO_MEMSET },
	{ "mmap-nomemset", NO_MEMSET },
	{ "mmap-huge-nomemset", HUGE | NO_MEMSET },
	{ "mmap-shared-nomemset", SHARED | NO_MEMSET },
	{ "mmap-mlock-nomemset", LOCKED | NO_MEMSET },
	{ "mmap-file-nomemset", IN_FILE | NO_MEMSET },
	{ "mmap-file-mlock-nomemset", IN_FILE | LOCKED | NO_MEMSET },
	{ "mmap-race-nomemset", RACE | NO_MEMSET },
	{ "free-nomemset", NEW | FREED | HEAP | NO_MEMSET },
	{ "free-race-nomemset", NEW | FREED | HEAP | RACE | NO_MEMSET },
	{ "new-nomemset", NEW | HEAP | NO_MEMSET },
	{ "new-race-nomemset", NEW | HEAP | RACE | NO_MEMSET },
	{ "new-busy-nomemset", NEW | HEAP | BUSY | NO_MEMSET },
	{ "mmap-free-nomemset", NEW | FREED | NO_MEMSET },
	{ "mmap-free-huge-nomemset", NEW | FREED | HUGE | NO_MEMSET },
	{ "mmap-free-race-nomemset", NEW | FREED | RACE | NO_MEMSET },
	{ "mmap-new-nomemset", NEW | NO_MEMSET },
	{ "mmap-new-huge-nomemset", NEW | HUGE | NO_MEMSET },
	{ "mmap-new-race-nomemset", NEW | RACE | NO_MEMSET },
};

/**
 * struct run - a form in a section, for one thread
 * @form: the form
 * @workers: who runs it
 * @section: the section
 * @worker: number of the thread
 * @execs: number of batches
 * @d: where the batches run
 * @queue: queues that take turns
 * @queues: how many
 * @mem: the memory
 * @size: its size in bytes, whole pages
 * @total: the same with what MULTI_FAULT wants besides
 * @old: memory of batches before this one
 * @lock: held to read the memory or to replace it
 * @reading: a thread reads it at the same time
 * @step: where threads wait for each other, if they do
 */
struct run {
	const struct form *form;
	const struct workers *workers;
	const struct section *section;
	unsigned int worker;
	unsigned int execs;
	struct igt_devmem *d;
	struct igt_devmem queue[MAX_QUEUES];
	unsigned int queues;
	char *mem;
	size_t size;
	size_t total;
	char *old[MAX_EXECS];
	pthread_mutex_t lock;
	uint32_t reading;
	pthread_barrier_t *step;
};

static struct igt_devmem device;

static size_t round_up(size_t size, size_t to)
{
	return (size + to - 1) & ~(to - 1);
}

static bool stays_in_system(const struct section *section)
{
	return section->flags & (SHARED | IN_FILE);
}

static char *get_memory(const struct section *section, size_t size)
{
	const int flags = MAP_SHARED | MAP_FIXED;
	char *mem;
	int fd = -1;

	if (section->flags & HEAP) {
		mem = malloc(size);
		igt_assert(mem);
	} else {
		mem = igt_devmem_anon_alloc(size);
	}
	if (section->flags & IN_FILE) {
		fd = syscall(SYS_memfd_create, "devmem", 0);
		igt_assert_fd(fd);
		igt_assert_eq(ftruncate(fd, size), 0);
	}
	if (stays_in_system(section))
		igt_assert(mmap(mem, size, PROT_READ | PROT_WRITE,
				fd < 0 ? flags | MAP_ANONYMOUS : flags, fd, 0) == mem);
	if (fd >= 0)
		close(fd);
	if (section->flags & HUGE)
		igt_assert_eq(madvise(mem, size, MADV_HUGEPAGE), 0);
	if (section->flags & LOCKED)
		igt_assert_eq(mlock(mem, size), 0);
	if (!(section->flags & NO_MEMSET))
		memset(mem, UNTOUCHED & 0xff, size);
	return mem;
}

static void put_memory(const struct section *section, char *mem, size_t size)
{
	if (section->flags & HEAP && section->flags & LOCKED)
		munlock(mem, size);
	if (section->flags & HEAP)
		free(mem);
	else
		igt_devmem_anon_free(mem, size);
}

static uint64_t *word(char *mem, size_t size, unsigned int i)
{
	return (uint64_t *)(mem + (i < 2 ? i * 8 : size - (WORDS - i) * 8));
}

static char *part(const struct run *run, unsigned int exec)
{
	if (run->section->flags & NEW)
		return run->mem;
	if (run->workers->shared_alloc)
		exec = exec * WORKERS + run->worker;
	return run->mem + exec * run->form->stride;
}

/* The same place of other chunks */
static uint64_t *elsewhere(const struct run *run, unsigned int exec, unsigned int chunk)
{
	return word(part(run, exec) + chunk * (run->total / FAULTS), run->form->size, 0);
}

/* Store, add, and copy one word to the next. */
static void emit(struct run *run, struct igt_devmem *d, unsigned int exec)
{
	size_t size = run->form->size;
	char *mem = part(run, exec);
	unsigned int i;

	igt_devmem_store(&d->batch, word(mem, size, 0), VALUE(exec), 8);
	igt_devmem_copy(&d->batch, word(mem, size, 1), word(mem, size, 0), 8);
	igt_devmem_store(&d->batch, word(mem, size, 2), VALUE(exec), 8);
	igt_devmem_store(&d->batch, word(mem, size, 3), VALUE(exec), 8);
	igt_devmem_atomic(&d->batch, DRM_DEVMEM_ATOMIC_ADD, 0, word(mem, size, 3), exec + 1, 8);
	for (i = 1; run->section->flags & MULTI_FAULT && i < FAULTS; i++)
		igt_devmem_store(&d->batch, elsewhere(run, exec, i), VALUE(exec) + i, 8);
}

static void check(struct run *run, unsigned int exec)
{
	const unsigned int flags = run->section->flags;
	size_t size = run->form->size;
	char *mem = part(run, exec);
	unsigned int i;

	for (i = 0; i < WORDS; i++)
		igt_assert_eq_u64(*word(mem, size, i), VALUE(exec) + (i == 3 ? exec + 1 : 0));
	for (i = 1; flags & MULTI_FAULT && i < FAULTS; i++)
		igt_assert_eq_u64(*elsewhere(run, exec, i), VALUE(exec) + i);
	/* The word in the middle is nobody's. A heap gives what was used before. */
	if (size > 64 && !(flags & HEAP && flags & NO_MEMSET))
		igt_assert_eq_u64(*(uint64_t *)(mem + size / 2),
				  flags & NO_MEMSET ? 0 : UNTOUCHED);
}

/* The pages of what a batch works on */
static void pages_of(struct run *run, unsigned int exec, char **start, size_t *size)
{
	uintptr_t mem = (uintptr_t)part(run, exec);

	*start = (char *)(mem & ~(PAGE - 1));
	*size = round_up(mem + run->form->size, PAGE) - (uintptr_t)*start;
}

static bool prefers_system(const struct run *run, unsigned int exec)
{
	return run->section->flags & SWIZZLE && exec % 2;
}

/*
 * Migration passes over a page that another CPU refers to for a moment, as a batch of
 * mlock() does. What the fault has left in the system moves when asked again.
 */
static bool is_on_device(struct igt_devmem *d, char *mem, size_t size)
{
	int tries;

	for (tries = 0; tries < 20; tries++) {
		if (igt_devmem_location_is(d, mem, size, DEVICE))
			return true;
		if (tries)
			usleep(50000);
		igt_devmem_prefetch(d, mem, size, DEVICE, DRM_DEVMEM_PREFETCH_WRITE);
	}
	return false;
}

/*
 * Nobody else moves it: no reader and no neighbour in the heap. Only what is
 * write-protected since a fork comes back to be copied before a GPU write.
 */
static bool has_a_place(const struct run *run)
{
	return !(run->section->flags & (RACE | HEAP | FORK_READ | FORK_READ_AFTER)) &&
	       run->form->size >= PAGE;
}

static void check_place(struct run *run, unsigned int exec)
{
	size_t size;
	char *mem;

	if (!has_a_place(run))
		return;
	pages_of(run, exec, &mem, &size);
	if (stays_in_system(run->section) || prefers_system(run, exec))
		igt_assert(igt_devmem_location_is(run->d, mem, size, SYSTEM));
	else
		igt_assert(is_on_device(run->d, mem, size));
}

static void check_in_child(struct run *run, unsigned int exec)
{
	pid_t pid = fork();
	int status;

	igt_assert_lte(0, pid);
	if (!pid)
		_exit(*word(part(run, exec), run->form->size, 0) != VALUE(exec));
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_eq(status, 0);
}

/* To another address, where the GPU has to find it again. */
static void move(struct run *run, unsigned int exec)
{
	const unsigned int flags = run->section->flags;
	char *from = run->mem, *to = igt_devmem_anon_alloc(run->total);
	int how = MREMAP_MAYMOVE | MREMAP_FIXED;
	uint64_t first = 0;

	if (flags & DONTUNMAP)
		how |= MREMAP_DONTUNMAP;
	if (flags & READ_ONLY)
		igt_assert_eq(mprotect(from, run->total, PROT_READ), 0);
	igt_assert(mremap(from, run->total, run->total, how, to) == to);
	run->mem = to;
	if (flags & READ_ONLY) {
		igt_assert_eq_u64(igt_devmem_peek(run->d, word(part(run, exec), run->form->size,
							       0)), VALUE(exec));
		igt_assert_eq(mprotect(to, run->total, PROT_READ | PROT_WRITE), 0);
	}
	if (flags & DONTUNMAP) {
		/* Shared memory is in both places, other memory has gone from the first. */
		if (flags & SHARED)
			first = VALUE(0);
		igt_assert_eq_u64(*word(from, run->form->size, 0), first);
	}
	igt_devmem_anon_free(from, run->total);
}

/* Memory of its own for a batch */
static void renew(struct run *run, unsigned int exec)
{
	pthread_mutex_lock(&run->lock);
	if (exec && run->section->flags & FREED)
		put_memory(run->section, run->mem, run->total);
	run->mem = get_memory(run->section, run->total);
	run->old[exec] = run->mem;
	pthread_mutex_unlock(&run->lock);
}

static void prepare(struct run *run, unsigned int exec)
{
	const unsigned int flags = run->section->flags;
	struct igt_devmem *d = run->d;
	size_t size;
	char *mem;

	if (flags & NEW)
		renew(run, exec);
	pages_of(run, exec, &mem, &size);
	if (flags & SWIZZLE)
		igt_devmem_madvise(d->fd, d->vm, mem, size, DRM_DEVMEM_ATTR_PREFERRED,
				   prefers_system(run, exec) ? DRM_DEVMEM_PREFERRED_SYSTEM :
				   DRM_DEVMEM_PREFERRED_DEVICE);
	if (flags & PREFETCH) {
		igt_devmem_prefetch(d, mem, size, flags & SWIZZLE ? NONE : DEVICE,
				    DRM_DEVMEM_PREFETCH_WRITE |
				    (flags & SWIZZLE ? DRM_DEVMEM_PREFETCH_PREFERRED : 0));
		check_place(run, exec);
	}
	if (run->step)
		pthread_barrier_wait(run->step);
}

static void run_one(struct run *run, struct igt_devmem *d, unsigned int exec)
{
	const unsigned int flags = run->section->flags;
	uint64_t errors, faults;

	/* Only of the first batch of a queue the commands themselves can fault. */
	if (flags & PREFETCH && has_a_place(run) && run->workers->kind == ALONE &&
	    !run->queues && exec) {
		faults = igt_devmem_stats(d->fd, d->vm).gpu_faults;
		igt_devmem_run(d);
		igt_assert_eq_u64(igt_devmem_stats(d->fd, d->vm).gpu_faults, faults);
	} else if (flags & BUSY) {
		errors = igt_devmem_queue_query(d->fd, d->queue).errors;
		igt_devmem_submit(d);
		igt_assert_eq(__igt_devmem_vm_destroy(d->fd, d->vm), -EBUSY);
		igt_assert_eq(igt_devmem_outcome(d, errors), DRM_DEVMEM_ERROR_NONE);
	} else {
		igt_devmem_run(d);
	}
}

/* After a batch; with EOCHECK the CPU looks at the results of every other one only. */
static void look(struct run *run, unsigned int exec)
{
	const unsigned int flags = run->section->flags;

	if (flags & FORK_READ)
		check_in_child(run, exec);
	if (flags & REMAP)
		move(run, exec);
	if (!(flags & EOCHECK) || exec % 2)
		check(run, exec);
	if (flags & FORK_READ_AFTER)
		check_in_child(run, exec);
}

static void one_by_one(struct run *run)
{
	unsigned int exec;

	for (exec = 0; exec < run->execs; exec++) {
		struct igt_devmem *d = run->queues ? &run->queue[exec % run->queues] : run->d;

		prepare(run, exec);
		emit(run, d, exec);
		run_one(run, d, exec);
		check_place(run, exec);
		look(run, exec);
	}
	for (exec = 0; run->section->flags & EOCHECK && exec < run->execs; exec += 2)
		check(run, exec);
}

/* Each queue has a batch that does what all of its batches would do. */
static void all_at_once(struct run *run)
{
	unsigned int exec, i;

	for (exec = 0; exec < run->execs; exec++)
		emit(run, &run->queue[exec % run->queues], exec);
	for (i = 0; i < run->queues; i++)
		igt_devmem_submit(&run->queue[i]);
	for (i = 0; i < run->queues; i++)
		igt_assert_eq(igt_devmem_outcome(&run->queue[i], 0), DRM_DEVMEM_ERROR_NONE);
	/* A look at one can bring its neighbours back. */
	for (exec = 0; exec < run->execs; exec++)
		check_place(run, exec);
	for (exec = 0; exec < run->execs; exec++)
		look(run, exec);
}

static void *reader(void *arg)
{
	struct run *run = arg;
	unsigned int exec;

	while (__atomic_load_n(&run->reading, __ATOMIC_SEQ_CST)) {
		pthread_mutex_lock(&run->lock);
		for (exec = 0; run->mem && exec < run->execs; exec++)
			(void)__atomic_load_n(word(part(run, exec), run->form->size, 0),
					      __ATOMIC_RELAXED);
		pthread_mutex_unlock(&run->lock);
		usleep(500);
	}
	return NULL;
}

static void use_memory(struct run *run)
{
	const unsigned int flags = run->section->flags;
	pthread_t thread;

	if (flags & RACE) {
		run->reading = 1;
		igt_assert_eq(pthread_create(&thread, NULL, reader, run), 0);
	}
	if (run->queues && !(flags & BETWEEN))
		all_at_once(run);
	else
		one_by_one(run);
	if (flags & RACE) {
		igt_devmem_set_turn(&run->reading, 0);
		igt_assert_eq(pthread_join(thread, NULL), 0);
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
	d->result = igt_devmem_shared_alloc(PAGE);
}

static void remove_queue(struct igt_devmem *d)
{
	igt_devmem_shared_free(d->result, PAGE);
	igt_devmem_shared_free(d->pages, IGT_DEVMEM_MAX_RANGE / PAGE);
	igt_devmem_batch_fini(&d->batch);
	syncobj_destroy(d->fd, d->syncobj);
	igt_devmem_queue_destroy(d->fd, d->queue);
}

static void free_memory(struct run *run)
{
	const struct section *section = run->section;
	unsigned int i = section->flags & FREED ? run->execs - 1 : 0;

	if (section->flags & NEW) {
		for (; i < run->execs; i++)
			put_memory(section, run->old[i], run->total);
	} else if (!run->workers->shared_alloc) {
		put_memory(section, run->mem, run->total);
	}
}

static void run_it(struct run *run)
{
	const struct section *section = run->section;
	struct igt_devmem *d = run->d;
	unsigned int i;

	pthread_mutex_init(&run->lock, NULL);
	if (!(section->flags & NEW) && !run->workers->shared_alloc)
		run->mem = get_memory(section, run->total);
	/* Batches next to each other bounce; thrash control would end that. */
	if (!(section->flags & (NEW | HEAP)))
		igt_devmem_madvise(d->fd, d->vm, run->mem, run->size, DRM_DEVMEM_ATTR_PREFERRED,
				   DRM_DEVMEM_PREFERRED_DEVICE);
	for (i = 0; i < run->queues; i++)
		add_queue(&run->queue[i], d);
	use_memory(run);
	for (i = 0; i < run->queues; i++)
		remove_queue(&run->queue[i]);
	free_memory(run);
	pthread_mutex_destroy(&run->lock);
}

static void *worker(void *arg)
{
	struct run *run = arg;
	struct igt_devmem own;

	if (run->workers->shared_vm)
		add_queue(&own, run->d);
	else
		igt_devmem_init(&own, run->d->fd, 0);
	run->d = &own;
	run_it(run);
	if (run->workers->shared_vm)
		remove_queue(&own);
	else
		igt_devmem_fini(&own);
	return NULL;
}

static void run_threads(const struct run *init)
{
	struct run runs[WORKERS];
	pthread_t threads[WORKERS];
	pthread_barrier_t step;
	char *mem = NULL;
	int i;

	pthread_barrier_init(&step, NULL, WORKERS);
	if (init->workers->shared_alloc)
		mem = get_memory(init->section, init->total);
	for (i = 0; i < WORKERS; i++) {
		runs[i] = *init;
		runs[i].worker = i;
		runs[i].mem = mem;
		runs[i].step = init->section->flags & IN_STEP ? &step : NULL;
		igt_assert_eq(pthread_create(&threads[i], NULL, worker, &runs[i]), 0);
	}
	for (i = 0; i < WORKERS; i++)
		igt_assert_eq(pthread_join(threads[i], NULL), 0);
	if (mem)
		put_memory(init->section, mem, init->total);
	pthread_barrier_destroy(&step);
}

static void set_sizes(struct run *run)
{
	const unsigned int flags = run->section->flags;
	const struct form *form = run->form;

	run->execs = run->workers->kind == ALONE ? form->execs : form->few;
	/* Each batch moves as much as FAULTS others. */
	if (flags & MULTI_FAULT)
		run->execs = (run->execs + FAULTS - 1) / FAULTS;
	if (form->queues)
		run->queues = (run->execs + 1) / 2;
	run->size = flags & NEW ? form->size : form->stride * run->execs;
	if (run->workers->shared_alloc)
		run->size *= WORKERS;
	run->size = round_up(run->size, flags & HUGE ? CHUNK : PAGE);
	run->total = flags & MULTI_FAULT ? FAULTS * round_up(run->size, CHUNK) : run->size;
}

/* With a VM of its own, so that one that fails leaves the next ones alone. */
static void test_pattern(const struct workers *who, const struct form *form,
			 const struct section *section)
{
	struct run run = { .form = form, .workers = who, .section = section };
	struct igt_devmem own;

	set_sizes(&run);
	run.d = &own;
	if (who->kind == PROCESSES) {
		igt_fork(child, WORKERS) {
			igt_devmem_init(&own, drm_reopen_driver(device.fd), 0);
			run_it(&run);
		}
		igt_waitchildren();
	} else {
		igt_devmem_init(&own, device.fd, 0);
		if (who->kind == THREADS)
			run_threads(&run);
		else
			run_it(&run);
		igt_devmem_fini(&own);
	}
	igt_assert_eq_u64(igt_devmem_violations(device.fd), 0);
}

/* In the main thread, since others cannot skip */
static void require_section(const struct section *section)
{
	char *mem = igt_devmem_anon_alloc(PAGE);

	igt_require_f(!(section->flags & HUGE) || !madvise(mem, PAGE, MADV_HUGEPAGE),
		      "no huge pages\n");
	igt_require_f(!(section->flags & LOCKED) || !mlock(mem, PAGE), "cannot lock: %s\n",
		      strerror(errno));
	igt_devmem_anon_free(mem, PAGE);
}

/* Left out is what cannot be, or what is the same as something else. */
static bool makes_sense(const struct workers *who, const struct form *form,
			const struct section *section)
{
	const unsigned int flags = section->flags;

	if (who->kind != ALONE && !form->few)
		return false;
	if (who->kind != THREADS && flags & IN_STEP)
		return false;
	/* All threads use one allocation, side by side. */
	if (who->shared_alloc && (form->size >= PAGE || flags & (NEW | REMAP | SWIZZLE)))
		return false;
	/* The first of all batches has nothing before it. */
	return !(form->execs == 1 && flags & (NEW | EOCHECK));
}

static void run_section(const struct section *section)
{
	unsigned int i, j;
	char name[64];

	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		for (j = 0; j < ARRAY_SIZE(forms); j++) {
			if (!makes_sense(&workers[i], &forms[j], section))
				continue;
			snprintf(name, sizeof(name), "%s%s", workers[i].name, forms[j].name);
			igt_dynamic(name)
				test_pattern(&workers[i], &forms[j], section);
		}
	}
}

int igt_main()
{
	unsigned int i = 0;

	igt_devmem_open_fixture(&device);

	for (i = 0; i < ARRAY_SIZE(sections); i++) {
		igt_describe("Data and place are right after each batch");
		igt_subtest_with_dynamic(sections[i].name) {
			require_section(&sections[i]);
			run_section(&sections[i]);
		}
	}

	igt_devmem_close_fixture(&device);
}
