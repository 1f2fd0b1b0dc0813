// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem race
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Concurrency
 * Description: The address space changes while the GPU uses it, step by step and at random
 *
 * SUBTEST: %s-at-%s
 * Description: %arg[1] while a GPU write to the memory waits %arg[2]
 *
 * arg[1]:
 *
 * @munmap:		the memory is unmapped
 * @dontneed:		the memory is discarded
 * @mprotect:		the memory becomes read-only
 * @mremap:		the memory moves to another address
 * @fork:		the process forks
 * @cpu-read:		the CPU reads the memory
 * @cpu-write:		the CPU writes the memory
 * @kill:		the process is killed
 *
 * arg[2]:
 *
 * @fault:		to be served
 * @migrated:		between migration and look-up of the pages
 * @bind:		between look-up of the pages and writing of translations
 * @copy-to-device:	for its pages to be copied to the device
 * @half-to-device:	with half of its pages copied to the device
 *
 * SUBTEST: %s-at-%s
 * Description: %arg[1] while a CPU fault waits %arg[2]
 *
 * arg[1]:
 *
 * @gpu-write:		the GPU writes the memory
 * @dontneed:		the memory is discarded
 * @mprotect:		the memory becomes read-only
 * @fork:		the process forks
 * @kill:		the process is killed
 * @reap:		the process is killed and all but its GPU's memory taken away before it ends
 * @reap-closed:	the same, and it has no VM any more
 *
 * arg[2]:
 *
 * @copy-to-system:	for its pages to be copied to the system
 * @half-to-system:	with half of its pages copied to the system
 *
 * SUBTEST: %s-at-evict
 * Description: %arg[1] while the memory is about to be evicted for another process
 *
 * arg[1]:
 *
 * @gpu-write:		the GPU writes the memory
 * @cpu-write:		the CPU writes the memory
 * @munmap:		the memory is unmapped
 * @dontneed:		the memory is discarded
 * @fork:		the owner forks
 * @exit:		the owner exits
 * @kill:		the other process is killed
 *
 * SUBTEST: exit-at-evict-copy
 * Description: The last process that maps memory exits while it is copied to the system
 *
 * SUBTEST: %s-at-invalidate
 * Description: While %arg[1] takes memory away, the GPU does not reach it any more
 *
 * arg[1]:
 *
 * @munmap:		munmap()
 * @dontneed:		MADV_DONTNEED
 * @mprotect:		mprotect()
 * @mremap:		mremap()
 * @fork:		fork()
 * @kill:		munmap() of a process that is killed
 *
 * SUBTEST: %s-at-signal
 * Description: %arg[1] between the end of a batch and the signal of its fence
 *
 * arg[1]:
 *
 * @munmap:		the memory is unmapped
 * @dontneed:		the memory is discarded
 * @mprotect:		the memory becomes read-only
 * @mremap:		the memory moves to another address
 * @fork:		the process forks
 * @cpu-read:		the CPU reads the memory
 * @cpu-write:		the CPU writes the memory
 * @kill:		the process is killed
 *
 * SUBTEST: cpu-waits-%s
 * Description: A CPU that reads %arg[1] on its way back for another CPU sleeps meanwhile
 *
 * arg[1]:
 *
 * @small:		a small page
 * @huge:		a huge page
 *
 * SUBTEST: unshare-slowly
 * Description: A write unshares memory on the device, which takes longer than HMM tries
 *
 * SUBTEST: loop-%s-%s
 * Description: %arg[1] again and again while the GPU reads the memory %arg[2]
 *
 * arg[1]:
 *
 * @mprotect:		PROT_READ and back
 * @mprotect-none:	PROT_NONE and back
 * @munmap:		munmap() and mmap()
 * @mmap-fixed:		a new mapping in place of the old one
 * @dontneed:		MADV_DONTNEED
 * @mremap:		mremap() there and back
 * @mremap-dontunmap:	mremap() that leaves the old mapping, and back
 * @fork:		fork(), the child writes
 * @thp:		huge pages made and split
 *
 * arg[2]:
 *
 * @in-place:		in system memory
 * @on-device:		which migrates
 *
 * SUBTEST: loop-adds-%s
 * Description: No addition of the GPU is lost while %arg[1] goes on
 *
 * arg[1]:
 *
 * @fork:		fork()
 * @mprotect:		a change of protection that leaves the right to write
 * @compact:		compaction of all memory
 * @swap:		reclaim
 *
 * SUBTEST: loop-khugepaged-%s
 * Description: khugepaged makes huge pages of memory that the GPU adds to %arg[1]
 *
 * arg[1]:
 *
 * @in-place:		in system memory
 * @on-device:		and that migrates
 *
 * SUBTEST: loop-ksm-%s
 * Description: KSM merges pages that the GPU adds to %arg[1]
 *
 * arg[1]:
 *
 * @in-place:		in system memory
 * @on-device:		and that migrate
 *
 * SUBTEST: loop-reclaim-table
 * Description: MADV_DONTNEED frees a page table from which memory goes to the device
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "lib/igt_devmem.h"

#ifndef SYS_process_mrelease
#define SYS_process_mrelease	448
#endif

IGT_TEST_DESCRIPTION("The address space changes while the GPU uses it");

#define KIB	1024ul
#define MIB	(1024 * KIB)
#define PAGE	4096ul
#define SIZE	(64 * KIB)

/* What the memory holds before, what the GPU writes to word 0, the CPU to word 1. */
#define OLD	0x0123456789abcdefull
#define NEW	0xa5a6a7a8a9aaabacull
#define CPU	0x1122334455667788ull

static struct igt_devmem d;
static int stop = -1;

/* The memory, and an address that it can move to. */
static uint64_t *p, *elsewhere;
/* Processes take turns by this. */
static uint32_t *turn;

static void set_words(uint64_t *words, uint64_t value, size_t size)
{
	size_t i;

	for (i = 0; i < size / 8; i++)
		words[i] = value;
}

static void alloc_memory(void)
{
	p = igt_devmem_anon_alloc(SIZE);
	elsewhere = igt_devmem_anon_alloc(SIZE);
	turn = igt_devmem_shared_alloc(PAGE);
	*turn = 0;
	set_words(p, OLD, SIZE);
}

static void free_memory(void)
{
	igt_devmem_shared_free(turn, PAGE);
	igt_devmem_anon_free(elsewhere, SIZE);
	igt_devmem_anon_free(p, SIZE);
}

/*
 * Changes, each in a thread of its own, since some wait until a stop is over.
 * Meanwhile the test must not use anything that takes the lock of the address space:
 * heap, mappings, new threads, pages touched first.
 */
static void change_munmap(void)
{
	igt_assert_eq(munmap(p, SIZE), 0);
}

static void change_dontneed(void)
{
	igt_assert_eq(madvise(p, SIZE, MADV_DONTNEED), 0);
}

static void change_mprotect(void)
{
	igt_assert_eq(mprotect(p, SIZE, PROT_READ), 0);
}

static void change_mremap(void)
{
	igt_assert(mremap(p, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere) == elsewhere);
}

static pid_t forked;

/* The child has the memory as it was, whatever the parent does with it. */
static void change_fork(void)
{
	pid_t parent = getpid();
	uint64_t first;

	forked = fork();
	if (forked)
		return;
	first = __atomic_load_n(p, __ATOMIC_RELAXED);
	while (__atomic_load_n(turn, __ATOMIC_SEQ_CST) != 1 && getppid() == parent)
		usleep(1000);
	_exit(__atomic_load_n(p, __ATOMIC_RELAXED) == first && p[SIZE / 8 - 1] == OLD &&
	      (first == OLD || first == NEW) ? first == NEW : 2);
}

static uint64_t cpu_saw;

static void change_cpu_read(void)
{
	cpu_saw = __atomic_load_n(p + 1, __ATOMIC_RELAXED);
}

static void change_cpu_write(void)
{
	p[1] = CPU;
}

/**
 * struct change - what is done to the memory meanwhile
 * @name: of the subtest
 * @change: does it
 * @faults: a GPU access afterwards is an error
 * @keeps: the content is still there for an access afterwards
 * @waits: where it waits for the end of a migration: a system call, PAGE_FAULT, NOWHERE
 */
struct change {
	const char *name;
	void (*change)(void);
	bool faults;
	bool keeps;
	long waits;
};

#define PAGE_FAULT	(-1)
#define NOWHERE		(-2)

static const struct change changes[] = {
	{ "munmap", change_munmap, true, false, SYS_munmap },
	{ "dontneed", change_dontneed, false, false, NOWHERE },
	{ "mprotect", change_mprotect, true, true, SYS_mprotect },
	{ "mremap", change_mremap, true, true, SYS_mremap },
	{ "fork", change_fork, false, true, SYS_clone },
	{ "cpu-read", change_cpu_read, false, true, PAGE_FAULT },
	{ "cpu-write", change_cpu_write, false, true, PAGE_FAULT },
};

/**
 * struct changer - a thread that does a change
 * @thread: exists from the beginning, as making it takes the lock of the address space
 * @change: what it does
 * @go: when that is set
 * @id: of the thread, once it runs
 */
struct changer {
	pthread_t thread;
	const struct change *change;
	uint32_t go;
	pid_t id;
};

static void *change_thread(void *arg)
{
	struct changer *changer = arg;

	changer->id = syscall(SYS_gettid);
	igt_devmem_set_turn(&changer->go, 1);
	igt_devmem_wait_turn(&changer->go, 2);
	changer->change->change();
	return NULL;
}

static void make_changer(struct changer *changer, const struct change *change)
{
	changer->change = change;
	changer->go = 0;
	igt_assert_eq(pthread_create(&changer->thread, NULL, change_thread, changer), 0);
	igt_devmem_wait_turn(&changer->go, 1);
}

static void start_change(struct changer *changer)
{
	igt_devmem_set_turn(&changer->go, 2);
}

static void end_change(struct changer *changer)
{
	igt_assert_eq(pthread_join(changer->thread, NULL), 0);
}

/* Go on with a change as far as it comes during a migration; true if that is to its end. */
static bool advance_change(struct changer *changer)
{
	start_change(changer);
	if (changer->change->waits == NOWHERE) {
		end_change(changer);
		return true;
	}
	igt_assert_f(igt_devmem_thread_blocked(changer->id, changer->change->waits),
		     "%s does not wait for the migration\n", changer->change->name);
	return false;
}

static void end_child(bool sees_new)
{
	int status;

	igt_devmem_set_turn(turn, 1);
	igt_assert_eq(waitpid(forked, &status, 0), forked);
	igt_assert_f(WIFEXITED(status) && WEXITSTATUS(status) == sees_new,
		     "what the parent's GPU wrote %s (%#x)\n",
		     sees_new ? "is lost for the child" : "reached the child", status);
}

/* The end of d->batch, which stored to p[0]. */
static uint32_t end_of_batch(void)
{
	uint32_t before = 0;

	igt_assert_f(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS), "batch did not end\n");
	d.batch.count = 0;
	before = igt_devmem_queue_query(d.fd, d.queue).errors;
	return before ? igt_devmem_queue_query(d.fd, d.queue).error : DRM_DEVMEM_ERROR_NONE;
}

/* What is in memory after a change; word 0 has to be @first. */
static void check_words(const struct change *change, uint64_t first)
{
	uint64_t *words = change->change == change_mremap ? elsewhere : p;
	uint64_t old = change->keeps ? OLD : 0;

	if (change->change == change_munmap)
		return;
	igt_assert_eq_u64(words[0], first);
	if (change->change == change_cpu_read)
		igt_assert_eq_u64(cpu_saw, OLD);
	igt_assert_eq_u64(words[1], change->change == change_cpu_write ? CPU : old);
	igt_devmem_expect_words(words + 2, old, SIZE - 16);
}

/* The store of the GPU came after the change. */
static void check_change(const struct change *change)
{
	igt_assert_eq(end_of_batch(), change->faults ? DRM_DEVMEM_ERROR_FAULT :
						       DRM_DEVMEM_ERROR_NONE);
	check_words(change, change->faults ? OLD : NEW);
	if (change->change == change_fork)
		end_child(false);
}

/* The GPU stores to p[0] and gets to @point; the test goes on there. */
static void store_until(const char *point)
{
	igt_devmem_poke(&d, d.result, 1);
	igt_devmem_stop_set(stop, point);
	igt_devmem_store(&d.batch, p, NEW, 8);
	igt_devmem_submit(&d);
	igt_assert_f(igt_devmem_stop_reached(stop, point), "the GPU did not get to %s\n", point);
}

/*
 * @migrates: the change may have to wait for the end of the migration. The GPU waits
 * for its turn once more then, or either could come first.
 */
static void test_at(const struct change *change, const char *point, bool migrates)
{
	struct changer changer;

	alloc_memory();
	make_changer(&changer, change);
	store_until(point);
	if (!migrates) {
		start_change(&changer);
		end_change(&changer);
	} else if (!advance_change(&changer)) {
		igt_devmem_stop_set(stop, "migrated");
		igt_devmem_stop_clear(stop, point);
		igt_assert(igt_devmem_stop_reached(stop, "migrated"));
		end_change(&changer);
		igt_devmem_stop_clear(stop, "migrated");
	}
	igt_devmem_stop_clear(stop, point);
	check_change(change);
	free_memory();
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
}

/* The GPU has stored to p[0], and who waits for that is not told before the change. */
static void test_at_signal(const struct change *change)
{
	struct igt_devmem migrating = d;
	struct changer changer;

	alloc_memory();
	make_changer(&changer, change);
	/* In place, as nothing can migrate without interrupts */
	igt_devmem_init(&d, d.fd, DRM_DEVMEM_VM_NO_MIGRATE);
	igt_devmem_poke(&d, p, OLD);
	store_until("signal");
	/* An interrupt for what was before could have come here first. */
	igt_devmem_wait_turn((uint32_t *)p, (uint32_t)NEW);
	start_change(&changer);
	end_change(&changer);
	igt_assert_f(!igt_devmem_done(&d, 0), "the fence has signalled too early\n");
	igt_devmem_stop_clear(stop, "signal");
	igt_assert_eq(end_of_batch(), DRM_DEVMEM_ERROR_NONE);
	check_words(change, change->keeps ? NEW : 0);
	if (change->change == change_fork)
		end_child(true);
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
	igt_devmem_fini(&d);
	d = migrating;
	free_memory();
}

/* A child that is to be killed, by a test that fails too: it has the device open. */
static pid_t victim;

static void kill_victim(int sig)
{
	if (victim > 0)
		kill(victim, SIGKILL);
}

static pid_t fork_victim(void)
{
	igt_install_exit_handler(kill_victim);
	victim = fork();
	igt_assert_lte(0, victim);
	return victim;
}

static void end_victim(void)
{
	int status;

	igt_assert_eq(waitpid(victim, &status, 0), victim);
	victim = 0;
	igt_assert(WIFSIGNALED(status));
}

/* Start @work in a child that is to be killed; it sets turn 1 when it is ready. */
static pid_t start_victim(void (*work)(void))
{
	pid_t pid = fork_victim();

	if (!pid) {
		/* Memory of its own: what is shared after fork() does not migrate. */
		p = igt_devmem_anon_alloc(SIZE);
		set_words(p, OLD, SIZE);
		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		work();
		pause();
		_exit(1);
	}
	return pid;
}

/*
 * The memory of a process that is being killed is taken away before it ends, as the OOM
 * killer does. drm_gpusvm refuses that for memory of a VM, since it would have to sleep.
 */
static void reap(pid_t pid, int expect)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);

	igt_assert_fd(fd);
	igt_assert_eq(syscall(SYS_process_mrelease, fd, 0) ? errno : 0, expect);
	close(fd);
}

/* What is done between the kill of a process and the end of a stop */
enum killed {
	/* The process itself has stopped. */
	KILLED_STOPPED,
	/* Somebody has stopped on its behalf: it gets as far as it can. */
	KILLED_EXITS,
	KILLED_REAPED,
	KILLED_REAPED_CLOSED,
};

static void kill_at(const char *point, void (*work)(void), enum killed then)
{
	uint64_t before = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE);
	pid_t pid;

	alloc_memory();
	pid = start_victim(work);
	igt_devmem_wait_turn(turn, 1);
	igt_devmem_stop_set(stop, point);
	igt_devmem_set_turn(turn, 2);
	igt_assert(igt_devmem_stop_reached(stop, point));
	igt_assert_eq(kill(pid, SIGKILL), 0);
	if (then == KILLED_EXITS)
		igt_assert(igt_devmem_exit_blocked(pid));
	else if (then != KILLED_STOPPED)
		reap(pid, then == KILLED_REAPED ? EAGAIN : 0);
	igt_assert(igt_devmem_stop_reached(stop, point));
	igt_devmem_stop_clear(stop, point);
	end_victim();
	igt_devmem_expect_words(p, OLD, SIZE);
	free_memory();
	igt_assert(igt_devmem_vram_comes_back(d.fd, before - 64 * KIB));
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
}

static void gpu_stores(void)
{
	igt_devmem_poke(&d, d.result, 1);
	igt_devmem_set_turn(turn, 1);
	igt_devmem_wait_turn(turn, 2);
	igt_devmem_fill(&d.batch, p, NEW, 8, SIZE);
	igt_devmem_submit(&d);
}

static void cpu_fetches(void)
{
	igt_devmem_set(&d, p, NEW, SIZE);
	igt_devmem_set_turn(turn, 1);
	igt_devmem_wait_turn(turn, 2);
	p[0] = CPU;
}

/* The device has the memory; the VM that has put it there goes. */
static void cpu_fetches_closed(void)
{
	igt_devmem_set(&d, p, NEW, SIZE);
	igt_devmem_fini(&d);
	igt_devmem_set_turn(turn, 1);
	igt_devmem_wait_turn(turn, 2);
	p[0] = CPU;
}

static void unmaps_in_use(void)
{
	igt_devmem_init(&d, d.fd, DRM_DEVMEM_VM_NO_MIGRATE);
	igt_devmem_count_forever(&d, p, d.result);
	igt_devmem_set_turn(turn, 1);
	igt_devmem_wait_turn(turn, 2);
	change_munmap();
}

/*
 * A CPU fault has stopped in the middle of a migration to the system
 */
static void change_nothing(void)
{
}

static const struct change fetch_changes[] = {
	{ "gpu-write", change_nothing, false, true, NOWHERE },
	{ "dontneed", change_dontneed, false, false, NOWHERE },
	{ "mprotect", change_mprotect, true, true, SYS_mprotect },
	{ "fork", change_fork, false, true, SYS_clone },
};

static const struct change cpu_read = { "cpu-read", change_cpu_read, false, true, PAGE_FAULT };

/* The GPU comes to fault on memory that is on its way, and is served after the change. */
static void test_fetch_at(const struct change *change, const char *point)
{
	struct changer reader, changer;
	bool ended;

	alloc_memory();
	make_changer(&reader, &cpu_read);
	make_changer(&changer, change);
	igt_devmem_set(&d, p, OLD, SIZE);
	igt_devmem_stop_set(stop, point);
	start_change(&reader);
	igt_assert(igt_devmem_stop_reached(stop, point));
	store_until("fault");
	ended = advance_change(&changer);
	if (change->change == change_nothing) {
		igt_devmem_stop_clear(stop, "fault");
		igt_assert_f(igt_devmem_fault_blocked(), "the GPU does not wait for the copy\n");
	}
	igt_devmem_stop_clear(stop, point);
	end_change(&reader);
	if (!ended)
		end_change(&changer);
	igt_devmem_stop_clear(stop, "fault");

	igt_assert_eq_u64(cpu_saw, change->keeps ? OLD : 0);
	check_change(change);
	free_memory();
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
}

/*
 * Eviction: the memory is a child's, this process needs the room
 */
#define VICTIM_SIZE	(2 * MIB)
/* Without looks at what the GPU uses the first chunk is the first to go. */
#define EVICT_OPTIONS	"vram_size=32 access_period_ms=0"

enum evict_change { GPU_WRITE, CPU_WRITE, MUNMAP, DONTNEED, FORK, EXIT };

static const char * const evict_changes[] = {
	[GPU_WRITE] = "gpu-write", [CPU_WRITE] = "cpu-write", [MUNMAP] = "munmap",
	[DONTNEED] = "dontneed", [FORK] = "fork", [EXIT] = "exit",
};

static void evict_victim(enum evict_change change)
{
	uint64_t *words = igt_devmem_anon_alloc(VICTIM_SIZE);
	uint64_t first = OLD, rest = OLD;
	int status = 0;

	igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
	igt_devmem_set(&d, words, OLD, VICTIM_SIZE);
	igt_devmem_set_turn(turn, 1);
	igt_devmem_wait_turn(turn, 2);
	switch (change) {
	case GPU_WRITE:
		igt_devmem_poke(&d, words, NEW);
		first = NEW;
		break;
	case CPU_WRITE:
		words[0] = NEW;
		first = NEW;
		break;
	case MUNMAP:
		igt_assert_eq(munmap(words, VICTIM_SIZE), 0);
		break;
	case DONTNEED:
		igt_assert_eq(madvise(words, VICTIM_SIZE, MADV_DONTNEED), 0);
		first = 0;
		rest = 0;
		break;
	case FORK:
		forked = fork();
		igt_assert_lte(0, forked);
		if (!forked) {
			igt_devmem_wait_turn(turn, 4);
			igt_devmem_expect_words(words, OLD, VICTIM_SIZE);
			_exit(0);
		}
		break;
	case EXIT:
		igt_devmem_set_turn(turn, 3);
		return;
	}
	igt_devmem_set_turn(turn, 3);
	igt_devmem_wait_turn(turn, 4);
	if (change == FORK)
		igt_assert_eq(waitpid(forked, &status, 0), forked);
	igt_assert_eq(status, 0);
	if (change == MUNMAP)
		return;
	igt_devmem_expect_words(words, first, 8);
	igt_devmem_expect_words(words + 1, rest, VICTIM_SIZE - 8);
}

static void test_at_evict(enum evict_change change)
{
	uint64_t size, *fill;

	igt_devmem_reload(EVICT_OPTIONS);
	igt_devmem_init(&d, igt_devmem_open(), 0);
	stop = igt_devmem_stop_open(d.fd);
	turn = igt_devmem_shared_alloc(PAGE);
	igt_fork(child, 1)
		evict_victim(change);
	igt_devmem_wait_turn(turn, 1);

	size = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_SIZE);
	fill = igt_devmem_anon_alloc(size);
	igt_devmem_stop_set(stop, "evict");
	igt_devmem_fill(&d.batch, fill, NEW, 8, size);
	igt_devmem_submit(&d);
	igt_assert(igt_devmem_stop_reached(stop, "evict"));
	igt_devmem_set_turn(turn, 2);
	igt_devmem_wait_turn(turn, 3);
	igt_devmem_stop_clear(stop, "evict");
	igt_assert_eq(end_of_batch(), DRM_DEVMEM_ERROR_NONE);
	igt_devmem_set_turn(turn, 4);
	igt_waitchildren();
	igt_devmem_expect_words(fill, NEW, size);
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);

	igt_devmem_anon_free(fill, size);
	igt_devmem_shared_free(turn, PAGE);
	igt_devmem_stop_close(stop);
	igt_devmem_fini(&d);
	drm_close_driver(d.fd);
}

/* A process that makes room for itself by memory of this one, until it is killed */
static pid_t start_evictor(size_t size)
{
	pid_t pid = fork_victim();

	if (!pid) {
		uint64_t *fill = igt_devmem_anon_alloc(size);

		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		igt_devmem_fill(&d.batch, fill, NEW, 8, size);
		igt_devmem_submit(&d);
		pause();
		_exit(1);
	}
	return pid;
}

static void test_kill_at_evict(void)
{
	uint64_t size, before, *words;
	pid_t pid;

	igt_devmem_reload(EVICT_OPTIONS);
	igt_devmem_init(&d, igt_devmem_open(), 0);
	stop = igt_devmem_stop_open(d.fd);
	size = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_SIZE);
	words = igt_devmem_anon_alloc(VICTIM_SIZE);
	igt_devmem_set(&d, words, OLD, VICTIM_SIZE);
	before = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE);

	igt_devmem_stop_set(stop, "evict");
	pid = start_evictor(size);
	igt_assert(igt_devmem_stop_reached(stop, "evict"));
	igt_assert_eq(kill(pid, SIGKILL), 0);
	igt_assert(igt_devmem_exit_blocked(pid));
	igt_assert(igt_devmem_location_is(&d, words, VICTIM_SIZE, DRM_DEVMEM_LOCATION_DEVICE));
	igt_devmem_stop_clear(stop, "evict");
	end_victim();

	/* The room that was asked for was made, and is free again. */
	igt_assert(igt_devmem_vram_comes_back(d.fd, before + VICTIM_SIZE));
	igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, words, 1, 8);
	igt_devmem_run(&d);
	igt_devmem_expect_words(words, OLD + 1, 8);
	igt_devmem_expect_words(words + 1, OLD, VICTIM_SIZE - 8);
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
	igt_devmem_anon_free(words, VICTIM_SIZE);
	igt_devmem_stop_close(stop);
	igt_devmem_fini(&d);
	drm_close_driver(d.fd);
}

/* A process ends; its child alone maps the memory, without a device, until turn 2. */
static void leave_heir(void)
{
	uint64_t *words = igt_devmem_anon_alloc(VICTIM_SIZE);

	igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
	igt_devmem_set(&d, words, OLD, VICTIM_SIZE);
	forked = fork();
	igt_assert_lte(0, forked);
	if (!forked) {
		close(d.fd);
		igt_devmem_set_turn(turn, 1);
		igt_devmem_wait_turn(turn, 2);
		_exit(0);
	}
}

/*
 * While memory is copied to the system its last mapping goes away, and with it all that
 * the kernel had to find the mappings by. Only a kernel that checks its memory (the debug
 * guest) is sure to notice a use after that.
 */
static void test_exit_at_evict_copy(void)
{
	int alive[2];
	uint64_t size, *fill;
	char none;

	igt_devmem_reload(EVICT_OPTIONS);
	igt_devmem_init(&d, igt_devmem_open(), 0);
	stop = igt_devmem_stop_open(d.fd);
	turn = igt_devmem_shared_alloc(PAGE);
	igt_assert_eq(pipe(alive), 0);
	igt_fork(child, 1)
		leave_heir();
	close(alive[1]);
	igt_waitchildren();
	igt_devmem_wait_turn(turn, 1);

	size = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_SIZE);
	fill = igt_devmem_anon_alloc(size);
	igt_devmem_stop_set(stop, "copy-to-system");
	igt_devmem_fill(&d.batch, fill, NEW, 8, size);
	igt_devmem_submit(&d);
	igt_assert(igt_devmem_stop_reached(stop, "copy-to-system"));
	igt_devmem_set_turn(turn, 2);
	/* A process closes its files when its memory is gone. */
	igt_assert_eq(read(alive[0], &none, 1), 0);
	/* What is freed by RCU goes, too. */
	sleep(1);
	igt_devmem_stop_clear(stop, "copy-to-system");
	igt_assert_eq(end_of_batch(), DRM_DEVMEM_ERROR_NONE);
	igt_devmem_expect_words(fill, NEW, size);
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);

	close(alive[0]);
	igt_devmem_anon_free(fill, size);
	igt_devmem_shared_free(turn, PAGE);
	igt_devmem_stop_close(stop);
	igt_devmem_fini(&d);
	drm_close_driver(d.fd);
}

#define LOW_ADDRESS	((void *)(1ul << 32))

/*
 * The MMU notifier has taken the translations away and is not yet back. An access of
 * the GPU has to fault: the pages are about to belong to somebody else. It uses the
 * memory in place, where the IOMMU would report an access to an unmapped page.
 */
static void test_at_invalidate(const struct change *change)
{
	struct igt_devmem migrating = d;
	struct changer changer;
	uint32_t error;

	alloc_memory();
	/*
	 * Below all else: fork() copies mappings in this order, and a write of this
	 * thread to one that is copied already would wait for the stop to end.
	 */
	igt_assert(mremap(p, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, LOW_ADDRESS) ==
		   LOW_ADDRESS);
	p = LOW_ADDRESS;
	make_changer(&changer, change);
	igt_devmem_init(&d, d.fd, DRM_DEVMEM_VM_NO_MIGRATE);
	igt_devmem_poke(&d, p, OLD);
	igt_devmem_poke(&d, d.result, 0);

	igt_devmem_stop_set(stop, "invalidate");
	start_change(&changer);
	igt_assert(igt_devmem_stop_reached(stop, "invalidate"));
	igt_devmem_stop_set(stop, "fault");
	igt_devmem_load(&d.batch, 1, p, 8);
	igt_devmem_store_reg(&d.batch, d.result, 1, 8);
	igt_devmem_submit(&d);
	igt_assert_f(igt_devmem_stop_reached(stop, "fault"),
		     "the GPU accessed memory that is being taken away\n");
	igt_devmem_stop_clear(stop, "fault");
	igt_devmem_stop_clear(stop, "invalidate");
	end_change(&changer);

	error = end_of_batch();
	if (change->change == change_munmap || change->change == change_mremap) {
		igt_assert_eq(error, DRM_DEVMEM_ERROR_FAULT);
	} else {
		igt_assert_eq(error, DRM_DEVMEM_ERROR_NONE);
		igt_assert_eq_u64(*d.result, change->keeps ? OLD : 0);
	}
	if (change->change == change_fork)
		end_child(false);
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
	igt_devmem_fini(&d);
	d = migrating;
	free_memory();
}

/*
 * The first thread has locked the page and waits in the MMU notifier. The page table has
 * not changed, so that the other one comes to the same page and finds it locked.
 */
static void test_cpu_waits(size_t size)
{
	struct changer first, second;
	bool waits;

	p = igt_devmem_anon_alloc(size);
	make_changer(&first, &cpu_read);
	make_changer(&second, &cpu_read);
	igt_devmem_set(&d, p, OLD, size);
	if (size > PAGE)
		igt_devmem_require_large(&d, p, size);

	igt_devmem_stop_set(stop, "invalidate");
	start_change(&first);
	igt_assert(igt_devmem_stop_reached(stop, "invalidate"));
	start_change(&second);
	waits = igt_devmem_thread_blocked(second.id, PAGE_FAULT);
	igt_devmem_stop_clear(stop, "invalidate");
	end_change(&first);
	end_change(&second);

	igt_assert_f(waits, "a CPU faulted again and again on a page that another one fetched\n");
	igt_assert_eq_u64(cpu_saw, OLD);
	igt_devmem_expect_words(p, OLD, size);
	igt_devmem_anon_free(p, size);
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
}

/*
 * Loops: nothing is stopped, the GPU reads all pages again and again
 */
#define LOOP_ROUNDS	40
#define LOOP_SIZE	(2 * MIB)
/* One word in so many bytes is looked at, in pages at all places of a chunk. */
#define LOOP_STRIDE	(9 * PAGE)

/* Longer than drm_gpusvm gives HMM for a range, by HMM_RANGE_DEFAULT_TIMEOUT */
#define SLOWLY_US	1200000
/* To come to the device as one piece, and back to be unshared, tried twice */
#define MAX_FETCHES	3

/* Hold up who fetches memory from the device, if there is somebody now. */
static bool fetch_slowly(void)
{
	if (!igt_devmem_stop_waiting(stop, "copy-to-system"))
		return false;
	/* Two points by turns, so that nobody gets past them. */
	igt_devmem_stop_set(stop, "half-to-system");
	usleep(SLOWLY_US);
	igt_devmem_stop_clear(stop, "copy-to-system");
	igt_assert(igt_devmem_stop_reached(stop, "half-to-system"));
	igt_devmem_stop_set(stop, "copy-to-system");
	igt_devmem_stop_clear(stop, "half-to-system");
	return true;
}

/*
 * A write of the GPU to memory that is shared after fork() brings it back to unshare it.
 * A driver that moves it to the device again before it is unshared does so forever.
 */
static void test_unshare_slowly(void)
{
	unsigned int fetches = 0;
	int status;

	alloc_memory();
	igt_devmem_set(&d, p, OLD, SIZE);
	igt_assert(igt_devmem_location_is(&d, p, SIZE, DRM_DEVMEM_LOCATION_DEVICE));
	forked = fork();
	igt_assert_lte(0, forked);
	if (!forked) {
		igt_devmem_wait_turn(turn, 1);
		_exit(__atomic_load_n(p, __ATOMIC_RELAXED) != OLD);
	}

	igt_devmem_stop_set(stop, "copy-to-system");
	igt_devmem_store(&d.batch, p, NEW, 8);
	igt_devmem_submit(&d);
	while (fetches <= MAX_FETCHES && !igt_devmem_done(&d, 10000000))
		fetches += fetch_slowly();
	igt_devmem_stop_clear(stop, "copy-to-system");
	igt_devmem_set_turn(turn, 1);
	igt_assert_eq(waitpid(forked, &status, 0), forked);
	igt_assert_eq(status, 0);

	igt_assert_lt(0, fetches);
	igt_assert_f(fetches <= MAX_FETCHES, "memory goes back and forth\n");
	igt_assert_eq(end_of_batch(), DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq_u64(*p, NEW);
	igt_devmem_expect_words(p + 1, OLD, SIZE - 8);
	free_memory();
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
}

static void loop_mprotect(int round)
{
	igt_assert_eq(mprotect(p, LOOP_SIZE, PROT_READ), 0);
	igt_assert_eq(mprotect(p, LOOP_SIZE, PROT_READ | PROT_WRITE), 0);
	p[round % 16 * LOOP_STRIDE / 8] = OLD;
}

static void loop_mprotect_none(int round)
{
	igt_assert_eq(mprotect(p, LOOP_SIZE, PROT_NONE), 0);
	igt_assert_eq(mprotect(p, LOOP_SIZE, PROT_READ | PROT_WRITE), 0);
	p[round % 16 * LOOP_STRIDE / 8] = OLD;
}

static void new_mapping(void)
{
	igt_assert(mmap(p, LOOP_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
}

static void set_loop_words(void)
{
	size_t i;

	for (i = 0; i < LOOP_SIZE / 8; i += LOOP_STRIDE / 8)
		p[i] = OLD;
}

static void loop_munmap(int round)
{
	igt_assert_eq(munmap(p, LOOP_SIZE), 0);
	new_mapping();
	set_loop_words();
}

static void loop_mmap_fixed(int round)
{
	new_mapping();
	set_loop_words();
}

static void loop_dontneed(int round)
{
	igt_assert_eq(madvise(p, LOOP_SIZE, MADV_DONTNEED), 0);
	set_loop_words();
}

static void loop_mremap(int round)
{
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;

	igt_assert(mremap(p, LOOP_SIZE, LOOP_SIZE, flags, elsewhere) == elsewhere);
	igt_assert_eq_u64(elsewhere[round % 16 * LOOP_STRIDE / 8], OLD);
	igt_assert(mremap(elsewhere, LOOP_SIZE, LOOP_SIZE, flags, p) == p);
}

static void loop_mremap_dontunmap(int round)
{
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;

	igt_assert(mremap(p, LOOP_SIZE, LOOP_SIZE, flags | MREMAP_DONTUNMAP, elsewhere) ==
		   elsewhere);
	igt_assert_eq_u64(elsewhere[round % 16 * LOOP_STRIDE / 8], OLD);
	igt_assert(mremap(elsewhere, LOOP_SIZE, LOOP_SIZE, flags, p) == p);
}

static void run_child(void (*work)(int round), int round)
{
	pid_t pid = fork();
	int status;

	igt_assert_lte(0, pid);
	if (!pid) {
		work(round);
		_exit(0);
	}
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_eq(status, 0);
}

/* What the child writes must not be seen; it would be an odd value. */
static void child_writes(int round)
{
	size_t i;

	for (i = 0; i < LOOP_SIZE / 8; i += LOOP_STRIDE / 8)
		p[i] = CPU + round;
}

static void loop_fork(int round)
{
	run_child(child_writes, round);
}

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/* Whether the kernel has a huge page to give does not matter. */
static void loop_thp(int round)
{
	int err = madvise(p, LOOP_SIZE, MADV_COLLAPSE);

	igt_assert(!err || errno == EAGAIN || errno == EBUSY || errno == ENOMEM ||
		   errno == EINVAL);
	igt_assert_eq(mprotect((char *)p + PAGE, PAGE, PROT_READ), 0);
	igt_assert_eq(mprotect((char *)p + PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
}

/**
 * struct loop - a change that is done again and again
 * @name: of the subtest
 * @change: does it once; the words that are looked at are OLD afterwards
 * @holes: there are moments without the memory
 * @zero: there are moments when it is zero
 */
static const struct loop {
	const char *name;
	void (*change)(int round);
	bool holes;
	bool zero;
} loops[] = {
	{ "mprotect", loop_mprotect, false, false },
	{ "mprotect-none", loop_mprotect_none, true, false },
	{ "munmap", loop_munmap, true, true },
	{ "mmap-fixed", loop_mmap_fixed, false, true },
	{ "dontneed", loop_dontneed, false, true },
	{ "mremap", loop_mremap, true, false },
	{ "mremap-dontunmap", loop_mremap_dontunmap, false, true },
	{ "fork", loop_fork, false, false },
	{ "thp", loop_thp, false, false },
};

/*
 * Read a word at each stride until result[0] is set. result[1] counts the
 * sweeps, result[2] is 0 unless a word was neither OLD nor, with @zero, 0.
 */
static void emit_sweeps(bool zero)
{
	struct igt_devmem_batch *b = &d.batch;
	struct drm_devmem_cmd load = {
		.op = DRM_DEVMEM_CMD_LOAD, .width = 8, .rd = 3, .ra = 1, .a = (uintptr_t)p,
	};
	unsigned int outer, inner;

	outer = igt_devmem_alu(b, 1, 0, DRM_DEVMEM_ALU_ADD, 0);
	inner = igt_devmem_emit(b, load);
	igt_devmem_alu(b, 5, 3, DRM_DEVMEM_ALU_XOR, OLD);
	if (zero)
		igt_devmem_emit(b, (struct drm_devmem_cmd){
			.op = DRM_DEVMEM_CMD_ALU, .sub = DRM_DEVMEM_ALU_MUL,
			.rd = 5, .ra = 5, .rb = 3,
		});
	igt_devmem_emit(b, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_ALU, .sub = DRM_DEVMEM_ALU_OR, .rd = 4, .ra = 4, .rb = 5,
	});
	igt_devmem_alu(b, 1, 1, DRM_DEVMEM_ALU_ADD, LOOP_STRIDE);
	igt_devmem_branch(b, 1, DRM_DEVMEM_COMPARE_LT, LOOP_SIZE, inner);
	igt_devmem_atomic(b, DRM_DEVMEM_ATOMIC_ADD, 0, d.result + 1, 1, 8);
	igt_devmem_emit(b, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_ATOMIC, .sub = DRM_DEVMEM_ATOMIC_OR, .width = 8,
		.rb = 4, .a = (uintptr_t)(d.result + 2),
	});
	igt_devmem_load(b, 6, d.result, 8);
	igt_devmem_branch(b, 6, DRM_DEVMEM_COMPARE_EQ, 0, outer);
}

/* A change that comes before the GPU has mapped anything changes nothing for it. */
static void wait_for_sweep(void)
{
	int64_t deadline = igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS);

	while (!__atomic_load_n(d.result + 1, __ATOMIC_SEQ_CST)) {
		igt_assert_f(igt_devmem_deadline(0) < deadline, "the GPU made no sweep\n");
		usleep(1000);
	}
}

/* Start the sweeps again if a hole has ended them, and only then. */
static void keep_sweeping(const struct loop *loop, uint32_t *errors)
{
	struct drm_devmem_queue_query query;

	if (!igt_devmem_done(&d, 0))
		return;
	query = igt_devmem_queue_query(d.fd, d.queue);
	igt_assert_lt(*errors, query.errors);
	igt_assert_eq(query.error, DRM_DEVMEM_ERROR_FAULT);
	igt_assert_f(loop->holes, "the GPU faulted at %#llx\n",
		     (unsigned long long)query.fault_addr);
	*errors = query.errors;
	d.batch.count--;
	igt_devmem_submit(&d);
}

static void test_loop(const struct loop *loop, uint32_t vm_flags)
{
	uint32_t errors = 0;
	int round;
	size_t i;

	igt_devmem_init(&d, d.fd, vm_flags);
	p = igt_devmem_anon_alloc(LOOP_SIZE);
	elsewhere = igt_devmem_anon_alloc(LOOP_SIZE);
	set_loop_words();
	emit_sweeps(loop->zero);
	igt_devmem_submit(&d);
	wait_for_sweep();
	for (round = 0; round < LOOP_ROUNDS; round++) {
		loop->change(round);
		if (round % 8 == 0)
			usleep(1000);
		keep_sweeping(loop, &errors);
	}

	/* At the end it has to get through without an error. */
	__atomic_store_n(d.result, 1, __ATOMIC_SEQ_CST);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	if (igt_devmem_queue_query(d.fd, d.queue).errors > errors) {
		keep_sweeping(loop, &errors);
		igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	}
	igt_assert_eq(igt_devmem_queue_query(d.fd, d.queue).errors, errors);
	igt_info("%llu sweeps, %u ended by a hole\n", (unsigned long long)d.result[1], errors);
	igt_assert_lt_u64(0, d.result[1]);
	igt_assert_eq_u64(d.result[2], 0);
	igt_assert_lt_u64(0, igt_devmem_stats(d.fd, d.vm).invalidations);
	for (i = 0; i < LOOP_SIZE / 8; i += LOOP_STRIDE / 8)
		igt_assert_eq_u64(p[i], OLD);
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);

	igt_devmem_anon_free(elsewhere, LOOP_SIZE);
	igt_devmem_anon_free(p, LOOP_SIZE);
	igt_devmem_fini(&d);
}

#define TABLE_ROUNDS	100

/* The first half of a huge page's place has small pages, the other half of a huge one. */
static void make_halves(void *mem)
{
	const size_t size = 2 * MIB;

	igt_assert_eq(madvise(mem, size, MADV_HUGEPAGE), 0);
	memset(mem, 1, size);
	igt_assert_eq(madvise(mem, size / 2, MADV_DONTNEED), 0);
	memset(mem, 1, size / 2);
}

/* Both halves, made anew, are prefetched to the device; how long it took, in ns. */
static int64_t prefetch_halves(void *mem)
{
	int64_t start = igt_devmem_deadline(0);

	igt_devmem_prefetch(&d, mem, 2 * MIB, DRM_DEVMEM_LOCATION_DEVICE, 0);
	return igt_devmem_deadline(0) - start;
}

struct reclaim {
	void *mem;
	int64_t when;
};

static void *empty_in_time(void *arg)
{
	const struct reclaim *reclaim = arg;
	struct timespec when = {
		.tv_sec = reclaim->when / 1000000000, .tv_nsec = reclaim->when % 1000000000,
	};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
	igt_assert_eq(madvise(reclaim->mem, 2 * MIB, MADV_DONTNEED), 0);
	return NULL;
}

/* A thread that takes @cpu from whoever has it when its time has come */
static pthread_t start_urgent(int cpu, struct reclaim *reclaim)
{
	struct sched_param param = { .sched_priority = 1 };
	pthread_attr_t attr;
	pthread_t thread;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	igt_assert_eq(pthread_attr_init(&attr), 0);
	igt_assert_eq(pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus), 0);
	igt_assert_eq(pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED), 0);
	igt_assert_eq(pthread_attr_setschedpolicy(&attr, SCHED_FIFO), 0);
	igt_assert_eq(pthread_attr_setschedparam(&attr, &param), 0);
	igt_assert_eq(pthread_create(&thread, &attr, empty_in_time, reclaim), 0);
	pthread_attr_destroy(&attr);
	return thread;
}

/*
 * The huge page has to be split on its way to the device, without the lock of the page
 * table, which has no entries any more when another thread has given the memory up.
 * On each CPU one tries to come in between, at a later time each round. A kernel with
 * CONFIG_DEBUG_VM then says if more was collected than there is.
 */
static void test_reclaim_table(void)
{
	void *mem = igt_devmem_anon_alloc(2 * MIB);
	struct reclaim reclaim = { .mem = mem };
	unsigned int round, i, cpus;
	pthread_t threads[2];
	int64_t time, end;

	igt_devmem_init(&d, d.fd, 0);
	cpus = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
	make_halves(mem);
	time = prefetch_halves(mem);
	igt_info("a prefetch takes %lld us\n", (long long)time / 1000);
	/* If it took long by accident, there is not the time for all rounds. */
	end = igt_devmem_deadline(60ll * 1000 * 1000 * 1000);
	for (round = 0; round < TABLE_ROUNDS && igt_devmem_deadline(0) < end; round++) {
		igt_assert_eq(madvise(mem, 2 * MIB, MADV_DONTNEED), 0);
		make_halves(mem);
		reclaim.when = igt_devmem_deadline(time + 20000000);
		for (i = 0; i < cpus; i++)
			threads[i] = start_urgent(i, &reclaim);
		while (igt_devmem_deadline(0) < reclaim.when - time * round / TABLE_ROUNDS)
			;
		prefetch_halves(mem);
		for (i = 0; i < cpus; i++)
			igt_assert_eq(pthread_join(threads[i], NULL), 0);
		igt_devmem_fill(&d.batch, mem, OLD, 8, 2 * MIB);
		igt_devmem_run(&d);
		igt_devmem_expect_words(mem, OLD, 2 * MIB);
	}
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
	igt_devmem_fini(&d);
	igt_devmem_anon_free(mem, 2 * MIB);
}

/*
 * The GPU adds, in place; each page has to have each addition in the end
 */
#define ADDS	2000

static void child_looks(int round)
{
	uint64_t before = __atomic_load_n(p, __ATOMIC_RELAXED);

	usleep(1000);
	igt_assert_eq_u64(__atomic_load_n(p, __ATOMIC_RELAXED), before);
}

static void adds_fork(int round)
{
	run_child(child_looks, round);
}

static void adds_mprotect(int round)
{
	igt_assert_eq(mprotect(p, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
	igt_assert_eq(mprotect(p, SIZE, PROT_READ | PROT_WRITE), 0);
}

static void adds_compact(int round)
{
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY);

	igt_require_f(fd >= 0, "the kernel does not compact\n");
	igt_assert_eq(write(fd, "1", 1), 1);
	close(fd);
}

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

/* Without swap this only takes the mappings away. */
static void adds_swap(int round)
{
	igt_assert_eq(madvise(p, SIZE, MADV_PAGEOUT), 0);
}

static const struct {
	const char *name;
	void (*change)(int round);
	int rounds;
} adds[] = {
	{ "fork", adds_fork, 50 },
	{ "mprotect", adds_mprotect, 200 },
	{ "compact", adds_compact, 10 },
	{ "swap", adds_swap, 200 },
};

static void test_adds(void (*change)(int round), int rounds)
{
	struct drm_devmem_cmd add = {
		.op = DRM_DEVMEM_CMD_ATOMIC, .sub = DRM_DEVMEM_ATOMIC_ADD, .width = 8,
		.ra = 1, .b = 1,
	};
	unsigned int outer, inner;
	size_t i;

	igt_devmem_init(&d, d.fd, DRM_DEVMEM_VM_NO_MIGRATE);
	p = igt_devmem_anon_alloc(SIZE);
	set_words(p, 0, SIZE);
	add.a = (uintptr_t)p;
	outer = igt_devmem_alu(&d.batch, 1, 0, DRM_DEVMEM_ALU_ADD, 0);
	inner = igt_devmem_emit(&d.batch, add);
	igt_devmem_alu(&d.batch, 1, 1, DRM_DEVMEM_ALU_ADD, PAGE);
	igt_devmem_branch(&d.batch, 1, DRM_DEVMEM_COMPARE_LT, SIZE, inner);
	igt_devmem_alu(&d.batch, 2, 2, DRM_DEVMEM_ALU_ADD, 1);
	igt_devmem_branch(&d.batch, 2, DRM_DEVMEM_COMPARE_LT, ADDS, outer);
	igt_devmem_submit(&d);
	while (rounds--)
		change(rounds);
	igt_assert_eq(end_of_batch(), DRM_DEVMEM_ERROR_NONE);
	for (i = 0; i < SIZE / 8; i++)
		igt_assert_eq_u64(p[i], i % (PAGE / 8) ? 0 : ADDS);
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
	igt_devmem_anon_free(p, SIZE);
	igt_devmem_fini(&d);
}

/*
 * What the kernel does by itself with memory while the GPU faults on it
 */
#define KHUGEPAGED	"/sys/kernel/mm/transparent_hugepage/khugepaged/"
#define KSM		"/sys/kernel/mm/ksm/"
#define DAEMON_ROUNDS	10

struct setting {
	const char *path;
	const char *value;
	char saved[16];
};

static struct setting khugepaged_settings[] = {
	{ .path = KHUGEPAGED "pages_to_scan", .value = "4096" },
	{ .path = KHUGEPAGED "alloc_sleep_millisecs", .value = "1" },
	{ .path = KHUGEPAGED "scan_sleep_millisecs", .value = "1" },
};

static struct setting ksm_settings[] = {
	{ .path = KSM "pages_to_scan", .value = "1000" },
	{ .path = KSM "sleep_millisecs", .value = "1" },
	{ .path = KSM "smart_scan", .value = "0" },
	{ .path = KSM "run", .value = "1" },
};

static void set_settings(struct setting *settings, unsigned int count)
{
	struct setting *s;
	FILE *file;

	for (s = settings; s < settings + count; s++) {
		file = fopen(s->path, "r");
		igt_require_f(file, "no %s\n", s->path);
		igt_assert_eq(fscanf(file, "%15s", s->saved), 1);
		fclose(file);
		igt_assert(igt_devmem_write_file(s->path, s->value));
	}
}

static void restore_settings(struct setting *settings, unsigned int count)
{
	while (count--)
		if (settings[count].saved[0])
			igt_devmem_write_file(settings[count].path, settings[count].saved);
}

static void restore_daemons(int sig)
{
	if (ksm_settings[0].saved[0])
		igt_devmem_write_file(KSM "run", "2");
	restore_settings(ksm_settings, ARRAY_SIZE(ksm_settings));
	restore_settings(khugepaged_settings, ARRAY_SIZE(khugepaged_settings));
}

static unsigned long read_count(const char *path)
{
	FILE *file = fopen(path, "r");
	unsigned long count;

	igt_require_f(file, "no %s\n", path);
	igt_assert_eq(fscanf(file, "%lu", &count), 1);
	fclose(file);
	return count;
}

static void wait_for_count(const char *path, unsigned long count)
{
	int64_t deadline = igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS);

	while (read_count(path) < count) {
		igt_assert_f(igt_devmem_deadline(0) < deadline, "%s does not come to %lu\n",
			     path, count);
		usleep(1000);
	}
}

/* Add @value to word 0 of each page; the index of the first command. */
static unsigned int emit_adds(size_t size, uint64_t value)
{
	struct drm_devmem_cmd add = {
		.op = DRM_DEVMEM_CMD_ATOMIC, .sub = DRM_DEVMEM_ATOMIC_ADD, .width = 8,
		.ra = 1, .b = value, .a = (uintptr_t)p,
	};
	unsigned int first, loop;

	first = igt_devmem_alu(&d.batch, 1, 0, DRM_DEVMEM_ALU_ADD, 0);
	loop = igt_devmem_emit(&d.batch, add);
	igt_devmem_alu(&d.batch, 1, 1, DRM_DEVMEM_ALU_ADD, PAGE);
	igt_devmem_branch(&d.batch, 1, DRM_DEVMEM_COMPARE_LT, size, loop);
	return first;
}

static void expect_pages(const uint64_t *words, size_t size, uint64_t first)
{
	size_t i;

	for (i = 0; i < size / 8; i += PAGE / 8) {
		igt_assert_eq_u64(words[i], first);
		igt_assert_eq_u64(words[i + 1], i);
		igt_devmem_expect_words(words + i + 2, 0, PAGE - 16);
	}
}

/* No two pages of it are the same. */
static uint64_t *numbered_pages(size_t size)
{
	uint64_t *words = igt_devmem_anon_alloc(size);
	size_t i;

	igt_assert_eq(madvise(words, size, MADV_NOHUGEPAGE), 0);
	for (i = 0; i < size / 8; i += PAGE / 8)
		words[i + 1] = i;
	return words;
}

/*
 * Small pages become a huge one, which is split for the next time. In place that can be
 * waited for; what the GPU takes to the device khugepaged only gets to see now and then.
 */
static void test_khugepaged(uint32_t vm_flags)
{
	const size_t size = 2 * MIB;
	unsigned int outer, round;
	unsigned long collapsed;

	igt_install_exit_handler(restore_daemons);
	set_settings(khugepaged_settings, ARRAY_SIZE(khugepaged_settings));
	igt_devmem_init(&d, d.fd, vm_flags);
	p = numbered_pages(size);
	igt_assert_eq(madvise(p, size, MADV_HUGEPAGE), 0);
	outer = emit_adds(size, 1);
	igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, d.result + 1, 1, 8);
	igt_devmem_load(&d.batch, 2, d.result, 8);
	igt_devmem_branch(&d.batch, 2, DRM_DEVMEM_COMPARE_EQ, 0, outer);
	collapsed = read_count(KHUGEPAGED "pages_collapsed");
	igt_devmem_submit(&d);
	wait_for_sweep();
	for (round = 0; round < DAEMON_ROUNDS; round++) {
		if (vm_flags & DRM_DEVMEM_VM_NO_MIGRATE) {
			wait_for_count(KHUGEPAGED "pages_collapsed", collapsed + round + 1);
			igt_assert_eq(mprotect(p + SIZE / 8, PAGE, PROT_READ | PROT_WRITE |
					       PROT_EXEC), 0);
			igt_assert_eq(mprotect(p + SIZE / 8, PAGE, PROT_READ | PROT_WRITE), 0);
		} else {
			igt_assert_eq_u64(__atomic_load_n(p + 1, __ATOMIC_RELAXED), 0);
			wait_for_count(KHUGEPAGED "full_scans",
				       read_count(KHUGEPAGED "full_scans") + 2);
		}
	}
	__atomic_store_n(d.result, 1, __ATOMIC_SEQ_CST);
	igt_assert_eq(end_of_batch(), DRM_DEVMEM_ERROR_NONE);
	igt_info("%llu sweeps, %lu times made huge\n", (unsigned long long)d.result[1],
		 read_count(KHUGEPAGED "pages_collapsed") - collapsed);
	expect_pages(p, size, d.result[1]);
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
	igt_devmem_anon_free(p, size);
	igt_devmem_fini(&d);
	restore_daemons(0);
}

/*
 * Each page has a twin that the GPU does not know. Additions and subtractions leave it as
 * it was, ready to be merged again; by turns KSM is given the time to merge all and is
 * caught in the middle.
 */
static void test_ksm(uint32_t vm_flags)
{
	const size_t size = 512 * KIB;
	unsigned int round, i;
	uint64_t *twin;

	igt_require_f(!read_count(KSM "run"), "KSM is in use\n");
	igt_install_exit_handler(restore_daemons);
	igt_devmem_init(&d, d.fd, vm_flags);
	p = numbered_pages(size);
	twin = numbered_pages(size);
	igt_assert_eq(madvise(p, size, MADV_MERGEABLE), 0);
	igt_assert_eq(madvise(twin, size, MADV_MERGEABLE), 0);
	set_settings(ksm_settings, ARRAY_SIZE(ksm_settings));
	for (round = 0; round < DAEMON_ROUNDS; round++) {
		/* Counts the pages of both. */
		wait_for_count("/proc/self/ksm_merging_pages",
			       round % 2 ? 1 : 2 * size / PAGE);
		for (i = 0; i < 3; i++) {
			emit_adds(size, 1);
			emit_adds(size, -1);
		}
		igt_devmem_run(&d);
		expect_pages(twin, size, 0);
		expect_pages(p, size, 0);
	}
	igt_assert_eq_u64(igt_devmem_violations(d.fd), 0);
	igt_devmem_anon_free(twin, size);
	igt_devmem_anon_free(p, size);
	igt_devmem_fini(&d);
	restore_daemons(0);
}

static const struct {
	const char *name;
	bool migrates;
} points[] = {
	{ "fault", false },
	{ "migrated", false },
	{ "bind", false },
	{ "copy-to-device", true },
	{ "half-to-device", true },
};

static const char * const fetch_points[] = { "copy-to-system", "half-to-system" };

static void open_device(void)
{
	d.fd = igt_devmem_open();
	igt_require(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY));
	stop = igt_devmem_stop_open(d.fd);
}

static void fault_subtests(void)
{
	unsigned int i = 0, j = 0;

	for (j = 0; j < ARRAY_SIZE(points); j++) {
		for (i = 0; i < ARRAY_SIZE(changes); i++) {
			igt_describe("A change in the middle of a GPU fault");
			igt_subtest_f("%s-at-%s", changes[i].name, points[j].name)
				test_at(&changes[i], points[j].name, points[j].migrates);
		}
		igt_describe("The end of the process in the middle of a GPU fault");
		igt_subtest_f("kill-at-%s", points[j].name)
			kill_at(points[j].name, gpu_stores, KILLED_EXITS);
	}
}

static void fetch_subtests(void)
{
	unsigned int i = 0, j = 0;

	for (j = 0; j < ARRAY_SIZE(fetch_points); j++) {
		for (i = 0; i < ARRAY_SIZE(fetch_changes); i++) {
			igt_describe("A change in the middle of a CPU fault");
			igt_subtest_f("%s-at-%s", fetch_changes[i].name, fetch_points[j])
				test_fetch_at(&fetch_changes[i], fetch_points[j]);
		}
		igt_describe("The end of the process in the middle of a CPU fault");
		igt_subtest_f("kill-at-%s", fetch_points[j])
			kill_at(fetch_points[j], cpu_fetches, KILLED_STOPPED);

		igt_describe("A process loses its memory while it fetches memory from the device");
		igt_subtest_f("reap-at-%s", fetch_points[j])
			kill_at(fetch_points[j], cpu_fetches, KILLED_REAPED);

		igt_describe("It loses also what it fetches, which no VM knows any more");
		igt_subtest_f("reap-closed-at-%s", fetch_points[j])
			kill_at(fetch_points[j], cpu_fetches_closed, KILLED_REAPED_CLOSED);
	}
}

/* Subtests that have a VM open from the beginning */
static void stop_subtests(void)
{
	unsigned int i = 0;

	igt_fixture() {
		open_device();
		igt_devmem_init(&d, d.fd, 0);
	}

	fault_subtests();
	fetch_subtests();

	/* The first five changes take something away. */
	for (i = 0; i < 5; i++) {
		igt_describe("No access of the GPU comes after its translation went");
		igt_subtest_f("%s-at-invalidate", changes[i].name)
			test_at_invalidate(&changes[i]);
	}
	igt_describe("The end of a process that takes memory away");
	igt_subtest("kill-at-invalidate")
		kill_at("invalidate", unmaps_in_use, KILLED_STOPPED);

	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		igt_describe("A change after a batch and before anybody is told of its end");
		igt_subtest_f("%s-at-signal", changes[i].name)
			test_at_signal(&changes[i]);
	}
	igt_describe("The end of the process before it is told of the end of a batch");
	igt_subtest("kill-at-signal")
		kill_at("signal", gpu_stores, KILLED_EXITS);

	igt_describe("A CPU sleeps while a page comes back for another one");
	igt_subtest("cpu-waits-small")
		test_cpu_waits(PAGE);
	igt_describe("A CPU sleeps while a huge page comes back for another one");
	igt_subtest("cpu-waits-huge")
		test_cpu_waits(2 * MIB);

	igt_describe("A write gets on although it takes long to unshare what it writes to");
	igt_subtest("unshare-slowly")
		test_unshare_slowly();

	igt_fixture() {
		igt_devmem_stop_close(stop);
		igt_devmem_fini(&d);
		drm_close_driver(d.fd);
	}
}

static void loop_subtests(void)
{
	unsigned int i = 0;

	igt_fixture()
		open_device();

	for (i = 0; i < ARRAY_SIZE(loops); i++) {
		igt_describe("The GPU reads nothing but what the process has there");
		igt_subtest_f("loop-%s-in-place", loops[i].name)
			test_loop(&loops[i], DRM_DEVMEM_VM_NO_MIGRATE);
		igt_describe("The same with memory that migrates");
		igt_subtest_f("loop-%s-on-device", loops[i].name)
			test_loop(&loops[i], 0);
	}
	for (i = 0; i < ARRAY_SIZE(adds); i++) {
		igt_describe("Every addition is there in the end");
		igt_subtest_f("loop-adds-%s", adds[i].name)
			test_adds(adds[i].change, adds[i].rounds);
	}
	igt_describe("Every addition is there in the end, also of pages that became huge");
	igt_subtest("loop-khugepaged-in-place")
		test_khugepaged(DRM_DEVMEM_VM_NO_MIGRATE);
	igt_describe("The same with memory that migrates");
	igt_subtest("loop-khugepaged-on-device")
		test_khugepaged(0);
	igt_describe("No addition gets into a page that was merged");
	igt_subtest("loop-ksm-in-place")
		test_ksm(DRM_DEVMEM_VM_NO_MIGRATE);
	igt_describe("The same with memory that migrates");
	igt_subtest("loop-ksm-on-device")
		test_ksm(0);
	igt_describe("A page table goes while memory is on its way");
	igt_subtest("loop-reclaim-table")
		test_reclaim_table();

	igt_fixture() {
		igt_devmem_stop_close(stop);
		drm_close_driver(d.fd);
	}
}

int igt_main()
{
	unsigned int i = 0;

	igt_subtest_group()
		stop_subtests();
	igt_subtest_group()
		loop_subtests();

	for (i = 0; i < ARRAY_SIZE(evict_changes); i++) {
		igt_describe("A change in the middle of an eviction");
		igt_subtest_f("%s-at-evict", evict_changes[i])
			test_at_evict(i);
	}
	igt_describe("The end of who evicts in the middle of it");
	igt_subtest("kill-at-evict")
		test_kill_at_evict();
	igt_describe("The last process that maps memory exits while it is copied");
	igt_subtest("exit-at-evict-copy")
		test_exit_at_evict_copy();

	igt_fixture()
		igt_devmem_restore();
}
