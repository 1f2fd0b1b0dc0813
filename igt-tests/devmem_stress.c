// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem stress
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Stress
 * Description: Random operations of CPU and GPU, each byte compared with a model
 *
 * Every thread has pages of its own among those of the other threads, in the same
 * chunks, and a copy of what they have to hold: the model. What it does is drawn
 * from a generator that starts with the seed and the numbers of process and thread.
 * So the same seed gives each thread the same operations in the same order, on the
 * same pages, with the same data. How threads interleave, and what migrates when,
 * is not repeated.
 *
 * SUBTEST: single
 * Description: One thread
 *
 * SUBTEST: threads
 * Description: Threads with one VM, whose pages alternate
 *
 * SUBTEST: processes
 * Description: Processes that begin with memory shared after fork
 *
 * SUBTEST: mixed
 * Description: Threads and processes with areas of 2 MiB
 *
 * SUBTEST: evict
 * Description: Threads and processes with more memory than the device has
 *
 * SUBTEST: swap
 * Description: Threads and processes with reclaim and compaction all the time
 *
 * SUBTEST: replay
 * Description: The same seed gives the same operations, another one others
 */

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "igt_syncobj.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("Random operations of CPU and GPU, each byte compared with a model");

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif

#define KIB		1024ul
#define MIB		(1024 * KIB)
#define PAGE		4096ul
#define QUEUES		3
#define COUNTERS	(PAGE / 8)
#define MAX_WORKERS	64
#define REMEMBERED	24
/* Of a thread, also if the machine is so busy that time is up before it starts */
#define MIN_OPERATIONS	10

/* A batch may wait for the faults of all others, in a kernel with all its checks. */
#define PATIENCE_NS	(300ll * 1000 * 1000 * 1000)
#define OPTIONS		"job_timeout_ms=300000"

/* Of a page, in this order: what is above can do what is below can. */
enum state { UNMAPPED, NO_ACCESS, READ_ONLY, WRITABLE };

/**
 * struct setup - what a subtest runs
 * @name: of the subtest
 * @describe: for igt_describe()
 * @processes: how many
 * @threads: in each process
 * @stripe: bytes in one piece that belong to one thread
 * @size: bytes of all threads of a process
 * @options: parameters of the module
 * @reclaim: swap and compact meanwhile
 */
struct setup {
	const char *name;
	const char *describe;
	unsigned int processes;
	unsigned int threads;
	size_t stripe;
	size_t size;
	const char *options;
	bool reclaim;
};

static const struct setup setups[] = {
	{ .name = "single", .describe = "Each byte is right after each step of one thread",
	  .processes = 1, .threads = 1, .stripe = 2 * MIB, .size = 6 * MIB,
	  .options = OPTIONS },
	{ .name = "threads", .describe = "Threads leave their neighbours in a chunk alone",
	  .processes = 1, .threads = 4, .stripe = 64 * KIB, .size = 8 * MIB,
	  .options = OPTIONS },
	{ .name = "processes", .describe = "Processes do not see each other after fork",
	  .processes = 3, .threads = 1, .stripe = 256 * KIB, .size = 4 * MIB,
	  .options = OPTIONS },
	{ .name = "mixed", .describe = "Huge pages of threads and processes come and go",
	  .processes = 2, .threads = 2, .stripe = 2 * MIB, .size = 8 * MIB,
	  .options = OPTIONS },
	{ .name = "evict", .describe = "Nothing is lost when device memory is too small",
	  .processes = 2, .threads = 2, .stripe = 256 * KIB, .size = 16 * MIB,
	  .options = OPTIONS " vram_size=16" },
	{ .name = "swap", .describe = "Nothing is lost when memory is reclaimed and compacted",
	  .processes = 2, .threads = 2, .stripe = 64 * KIB, .size = 4 * MIB,
	  .options = OPTIONS " vram_size=16", .reclaim = true },
};

/**
 * struct outcome - what is left of a thread
 * @operations: how many it did
 * @digest: of these, of their results and of its memory in the end
 * @private_sum: what it added to each counter of its process
 * @shared_sum: what it added to each shared counter
 */
struct outcome {
	uint64_t operations;
	uint64_t digest;
	uint64_t private_sum[COUNTERS];
	uint64_t shared_sum[COUNTERS];
};

/**
 * struct run - what all threads of all processes share
 * @failed: somebody found a fault, all stop
 * @counters: that all add to, by CPU and GPU
 * @outcomes: by process and thread
 */
struct run {
	uint32_t failed;
	uint64_t counters[COUNTERS] __attribute__((aligned(PAGE)));
	struct outcome outcomes[MAX_WORKERS];
};

struct record {
	uint64_t number;
	const char *name;
	size_t offset;
	size_t length;
	uint64_t value;
};

/**
 * struct worker - a thread
 * @setup: of the subtest
 * @process: its number
 * @id: its number in the process
 * @vm: the process's
 * @random: state of the generator
 * @queue: queues of its own, each with a batch
 * @child: queue and batch for a child; only the memory exists before
 * @size: bytes that belong to it
 * @model: what they have to be
 * @state: an enum state for each page
 * @staging: shared memory for data from and to the GPU, one stripe
 * @outcome: what is to be left of it
 * @record: its latest operations
 */
struct worker {
	const struct setup *setup;
	unsigned int process;
	unsigned int id;
	uint32_t vm;
	uint64_t random;
	struct igt_devmem queue[QUEUES];
	struct igt_devmem child;
	size_t size;
	uint8_t *model;
	uint8_t *state;
	uint8_t *staging;
	struct outcome *outcome;
	struct record record[REMEMBERED];
};

/* Bytes of a worker, by their offset among those that it has. */
struct piece {
	size_t offset;
	size_t length;
};

static struct {
	uint64_t seed;
	uint64_t operations;
	unsigned int seconds;
	unsigned int threads;
	unsigned int processes;
} option = { .seconds = 3 };

static struct igt_devmem device;
static struct run *run;
static char *arena;
static uint64_t *private_counters;
static int64_t deadline;

/*
 * Random numbers
 */
static uint64_t random_word(struct worker *w)
{
	return igt_devmem_random(&w->random);
}

static uint64_t random_below(struct worker *w, uint64_t limit)
{
	return random_word(w) % limit;
}

static void random_bytes(struct worker *w, uint8_t *to, size_t length)
{
	uint64_t word;

	for (; length >= 8; length -= 8, to += 8) {
		word = random_word(w);
		memcpy(to, &word, 8);
	}
	word = random_word(w);
	memcpy(to, &word, length);
}

/* What is in the arena before the first operation. */
static uint64_t initial_word(size_t offset)
{
	return igt_devmem_scramble(option.seed + offset);
}

/*
 * Places
 */
static size_t arena_offset(const struct worker *w, size_t offset)
{
	size_t stripe = w->setup->stripe;

	return (offset / stripe * w->setup->threads + w->id) * stripe + offset % stripe;
}

static char *address(const struct worker *w, size_t offset)
{
	return arena + arena_offset(w, offset);
}

/* A piece of a random order of magnitude, in one stripe. */
static struct piece random_span(struct worker *w)
{
	size_t stripe = w->setup->stripe, length;
	unsigned int order = random_below(w, __builtin_ctzl(stripe) + 1);
	struct piece span;

	length = 1 + random_below(w, 1ul << order);
	span.offset = random_below(w, w->size / stripe) * stripe +
		      random_below(w, stripe - length + 1);
	span.length = length;
	return span;
}

static struct piece whole_pages(struct piece span)
{
	size_t end = (span.offset + span.length + PAGE - 1) & ~(PAGE - 1);

	span.offset &= ~(PAGE - 1);
	span.length = end - span.offset;
	return span;
}

/* How much of @span from its start on is in @state or, if @better, above. */
static size_t usable(const struct worker *w, struct piece span, enum state state, bool better)
{
	size_t at = span.offset, end = span.offset + span.length;

	while (at < end && (better ? w->state[at / PAGE] >= state : w->state[at / PAGE] == state))
		at = (at & ~(PAGE - 1)) + PAGE;
	return at <= span.offset ? 0 : (at < end ? at : end) - span.offset;
}

static void set_state(struct worker *w, struct piece span, enum state state)
{
	memset(w->state + span.offset / PAGE, state, span.length / PAGE);
}

/*
 * Failure
 */
static void note(struct worker *w, const char *name, struct piece span, uint64_t value)
{
	struct outcome *o = w->outcome;

	w->record[o->operations % REMEMBERED] = (struct record){
		.number = o->operations, .name = name,
		.offset = span.offset, .length = span.length, .value = value,
	};
	o->digest = igt_devmem_scramble(o->digest ^ span.offset) + span.length * 31 + value +
		    name[0];
}

static __attribute__((noreturn, format(printf, 2, 3)))
void fail(struct worker *w, const char *format, ...)
{
	uint64_t done = w->outcome->operations;
	char text[512];
	va_list args;
	uint64_t i;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	igt_info("process %u thread %u operation %llu, seed %llu: %s\n", w->process, w->id,
		 (unsigned long long)done, (unsigned long long)option.seed, text);
	for (i = done > REMEMBERED - 1 ? done - REMEMBERED + 1 : 0; i <= done; i++) {
		const struct record *r = &w->record[i % REMEMBERED];

		if (r->name && r->number == i)
			igt_info("  %8llu %-16s at %p, %#zx bytes, %#llx\n", (unsigned long long)i,
				 r->name, address(w, r->offset), r->length,
				 (unsigned long long)r->value);
	}
	__atomic_store_n(&run->failed, 1, __ATOMIC_SEQ_CST);
	pthread_exit(NULL);
}

static void compare(struct worker *w, struct piece span, const uint8_t *got, const char *who)
{
	const uint8_t *want = w->model + span.offset;
	size_t i;

	if (!memcmp(got, want, span.length))
		return;
	/* Memory can change between two looks if something is wrong. */
	for (i = 0; i < span.length - 1 && got[i] == want[i]; i++)
		;
	fail(w, "%s at %p: %#x instead of %#x, byte %#zx of %#zx, page state %u", who,
	     address(w, span.offset + i), got[i], want[i], i, span.length,
	     w->state[(span.offset + i) / PAGE]);
}

static void expect_zero(struct worker *w, int result, const char *what)
{
	if (result)
		fail(w, "%s: %s", what, strerror(errno));
}

/*
 * The GPU
 */
static uint32_t finish(struct worker *w, struct igt_devmem *d, uint32_t errors)
{
	struct drm_devmem_queue_query query;

	if (!igt_devmem_done(d, PATIENCE_NS))
		fail(w, "a batch did not end");
	d->batch.count = 0;
	query = igt_devmem_queue_query(d->fd, d->queue);
	return query.errors == errors ? DRM_DEVMEM_ERROR_NONE : query.error;
}

static uint32_t gpu_errors(struct igt_devmem *d)
{
	return igt_devmem_queue_query(d->fd, d->queue).errors;
}

static void explain_error(struct worker *w, struct igt_devmem *d, uint32_t error)
{
	struct drm_devmem_queue_query query = igt_devmem_queue_query(d->fd, d->queue);
	struct drm_devmem_fault fault[DRM_DEVMEM_MAX_FAULTS] = {};
	struct drm_devmem_query_faults faults = {
		.vm_id = d->vm, .num = ARRAY_SIZE(fault), .data = (uintptr_t)fault,
	};
	uint32_t reason = 0, i;

	if (!__igt_devmem_query_faults(d->fd, &faults))
		for (i = 0; i < faults.num && !reason; i++)
			if (fault[i].addr == query.fault_addr)
				reason = fault[i].reason;
	fail(w, "batch error %u at %#llx, access %u, reason %u", error,
	     (unsigned long long)query.fault_addr, query.access, reason);
}

static void run_batch(struct worker *w, struct igt_devmem *d)
{
	uint32_t errors = gpu_errors(d), error;

	igt_devmem_submit(d);
	error = finish(w, d, errors);
	if (error)
		explain_error(w, d, error);
}

static struct igt_devmem *random_queue(struct worker *w)
{
	return &w->queue[random_below(w, QUEUES)];
}

/*
 * Operations. Each gets a random piece of the worker's memory and returns false if
 * nothing of it is fit.
 */
static bool op_cpu_read(struct worker *w, struct piece span)
{
	span.length = usable(w, span, READ_ONLY, true);
	if (!span.length)
		return false;
	note(w, "cpu-read", span, 0);
	compare(w, span, (uint8_t *)address(w, span.offset), "the CPU read");
	return true;
}

static bool op_cpu_write(struct worker *w, struct piece span)
{
	span.length = usable(w, span, WRITABLE, true);
	if (!span.length)
		return false;
	note(w, "cpu-write", span, 0);
	random_bytes(w, w->model + span.offset, span.length);
	memcpy(address(w, span.offset), w->model + span.offset, span.length);
	return true;
}

static bool op_gpu_read(struct worker *w, struct piece span)
{
	struct igt_devmem *d = random_queue(w);

	span.length = usable(w, span, READ_ONLY, true);
	if (!span.length)
		return false;
	note(w, "gpu-read", span, 0);
	igt_devmem_copy(&d->batch, w->staging, address(w, span.offset), span.length);
	run_batch(w, d);
	compare(w, span, w->staging, "the GPU read");
	return true;
}

static bool op_gpu_write(struct worker *w, struct piece span)
{
	struct igt_devmem *d = random_queue(w);

	span.length = usable(w, span, WRITABLE, true);
	if (!span.length)
		return false;
	note(w, "gpu-write", span, 0);
	random_bytes(w, w->staging, span.length);
	igt_devmem_copy(&d->batch, address(w, span.offset), w->staging, span.length);
	run_batch(w, d);
	memcpy(w->model + span.offset, w->staging, span.length);
	return true;
}

static bool op_gpu_fill(struct worker *w, struct piece span)
{
	struct igt_devmem *d = random_queue(w);
	unsigned int width = 1u << random_below(w, 4);
	uint64_t value = random_word(w);
	size_t i;

	span.length = usable(w, span, WRITABLE, true);
	if (!span.length)
		return false;
	note(w, "gpu-fill", span, value);
	igt_devmem_fill(&d->batch, address(w, span.offset), value, width, span.length);
	run_batch(w, d);
	for (i = 0; i < span.length; i++)
		w->model[span.offset + i] = value >> i % width * 8;
	return true;
}

static bool op_gpu_copy(struct worker *w, struct piece to)
{
	struct igt_devmem *d = random_queue(w);
	struct piece from = random_span(w);
	size_t length;

	to.length = usable(w, to, WRITABLE, true);
	from.length = usable(w, from, READ_ONLY, true);
	length = to.length < from.length ? to.length : from.length;
	if (!length || (to.offset < from.offset + length && from.offset < to.offset + length))
		return false;
	to.length = length;
	note(w, "gpu-copy", to, from.offset);
	igt_devmem_copy(&d->batch, address(w, to.offset), address(w, from.offset), length);
	run_batch(w, d);
	memcpy(w->model + to.offset, w->model + from.offset, length);
	return true;
}

static uint64_t modelled_atomic(unsigned int sub, uint64_t old, uint64_t operand,
				uint64_t compare)
{
	switch (sub) {
	case DRM_DEVMEM_ATOMIC_ADD:
		return old + operand;
	case DRM_DEVMEM_ATOMIC_AND:
		return old & operand;
	case DRM_DEVMEM_ATOMIC_OR:
		return old | operand;
	case DRM_DEVMEM_ATOMIC_XOR:
		return old ^ operand;
	case DRM_DEVMEM_ATOMIC_XCHG:
		return operand;
	default:
		return old == compare ? operand : old;
	}
}

/* A batch of atomics in one place after the other; the GPU tells what was there. */
static bool op_gpu_atomic(struct worker *w, struct piece span)
{
	struct igt_devmem *d = random_queue(w);
	uint64_t *told = (uint64_t *)w->staging, was[16], i, count;

	span.offset = (span.offset + 7) & ~7ul;
	if (span.offset >= w->size)
		return false;
	span.length = usable(w, span, WRITABLE, true) & ~7ul;
	count = span.length / 8 < 16 ? span.length / 8 : 16;
	if (!count)
		return false;
	note(w, "gpu-atomic", span, count);
	for (i = 0; i < count; i++) {
		size_t at = span.offset + random_below(w, span.length / 8) * 8;
		unsigned int sub = random_below(w, 6), width = 4 << random_below(w, 2);
		uint64_t operand = random_word(w), expected, value;

		was[i] = 0;
		memcpy(&was[i], w->model + at, width);
		expected = random_below(w, 2) ? was[i] : random_word(w);
		if (width == 4)
			expected &= 0xffffffff;
		igt_devmem_emit(&d->batch, (struct drm_devmem_cmd){
			.op = DRM_DEVMEM_CMD_ATOMIC, .sub = sub, .width = width, .rd = 1,
			.a = (uintptr_t)address(w, at), .b = operand,
			.c = sub == DRM_DEVMEM_ATOMIC_CMPXCHG ? expected : 0,
		});
		igt_devmem_store_reg(&d->batch, &told[i], 1, 8);
		value = modelled_atomic(sub, was[i], operand, expected);
		memcpy(w->model + at, &value, width);
	}
	run_batch(w, d);
	for (i = 0; i < count; i++)
		if (told[i] != was[i])
			fail(w, "atomic %llu saw %#llx instead of %#llx", (unsigned long long)i,
			     (unsigned long long)told[i], (unsigned long long)was[i]);
	return true;
}

/* Each queue fills a part of it, all at the same time. */
static bool op_gpu_queues(struct worker *w, struct piece span)
{
	uint32_t errors[QUEUES], error;
	size_t part, at;
	unsigned int i;

	span.length = usable(w, span, WRITABLE, true);
	if (span.length < QUEUES)
		return false;
	note(w, "gpu-queues", span, 0);
	part = span.length / QUEUES;
	for (i = 0; i < QUEUES; i++) {
		struct igt_devmem *d = &w->queue[i];
		uint64_t value = random_word(w);

		at = span.offset + i * part;
		memset(w->model + at, value, part);
		igt_devmem_fill(&d->batch, address(w, at), value, 1, part);
		errors[i] = gpu_errors(d);
	}
	for (i = 0; i < QUEUES; i++)
		igt_devmem_submit(&w->queue[i]);
	for (i = 0; i < QUEUES; i++) {
		error = finish(w, &w->queue[i], errors[i]);
		if (error)
			explain_error(w, &w->queue[i], error);
	}
	return true;
}

/* An access that the process may not make is an error there, and changes nothing. */
static bool op_gpu_bad(struct worker *w, struct piece span)
{
	struct igt_devmem *d = random_queue(w);
	bool write = w->state[span.offset / PAGE] == READ_ONLY || random_below(w, 2);
	uint32_t errors = gpu_errors(d), error;
	char *at = address(w, span.offset);
	struct drm_devmem_queue_query query;

	if (w->state[span.offset / PAGE] == WRITABLE)
		return false;
	span.length = 1;
	note(w, "gpu-bad", span, write);
	if (write)
		igt_devmem_store(&d->batch, at, random_word(w), 1);
	else
		igt_devmem_load(&d->batch, 1, at, 1);
	igt_devmem_submit(d);
	error = finish(w, d, errors);
	query = igt_devmem_queue_query(d->fd, d->queue);
	if (error != DRM_DEVMEM_ERROR_FAULT || query.fault_addr != (uintptr_t)at)
		fail(w, "error %u at %#llx instead of a fault at %p", error,
		     (unsigned long long)query.fault_addr, at);
	return true;
}

/* Counters are in the same place for all threads, and for all processes. */
static bool op_count(struct worker *w, struct piece span)
{
	struct igt_devmem *d = random_queue(w);
	unsigned int i, count = 1 + random_below(w, 8);

	note(w, "count", span, count);
	for (i = 0; i < count; i++) {
		bool private = random_below(w, 2), gpu = random_below(w, 4);
		uint64_t at = random_below(w, COUNTERS), value = random_word(w);
		uint64_t *counter = (private ? private_counters : run->counters) + at;

		if (gpu)
			igt_devmem_atomic(&d->batch, DRM_DEVMEM_ATOMIC_ADD, 0, counter, value, 8);
		else
			__atomic_fetch_add(counter, value, __ATOMIC_SEQ_CST);
		*((private ? w->outcome->private_sum : w->outcome->shared_sum) + at) += value;
	}
	run_batch(w, d);
	return true;
}

/* Nobody waits for it, so it runs along with what comes next. */
static bool op_prefetch(struct worker *w, struct piece span)
{
	struct drm_devmem_prefetch args = { .vm_id = w->vm };
	int err;

	span = whole_pages(span);
	args.addr = (uintptr_t)address(w, span.offset);
	args.length = span.length;
	args.location = random_below(w, 3) ? DRM_DEVMEM_LOCATION_DEVICE :
					     DRM_DEVMEM_LOCATION_SYSTEM;
	if (args.location == DRM_DEVMEM_LOCATION_DEVICE && random_below(w, 2))
		args.flags = DRM_DEVMEM_PREFETCH_WRITE;
	note(w, "prefetch", span, args.location);
	err = __igt_devmem_prefetch(device.fd, &args);
	if (err && err != -EBUSY)
		fail(w, "prefetch: %d", err);
	return true;
}

static bool op_gpu_advise(struct worker *w, struct piece span)
{
	struct drm_devmem_madvise args = { .vm_id = w->vm };
	int err, expected;

	span = whole_pages(span);
	args.addr = (uintptr_t)address(w, span.offset);
	args.length = span.length;
	switch (random_below(w, 4)) {
	case 0:
		args.attr = DRM_DEVMEM_ATTR_PREFERRED;
		args.value = random_below(w, DRM_DEVMEM_PREFERRED_DEVICE + 1);
		break;
	case 1:
		args.attr = DRM_DEVMEM_ATTR_MIGRATION;
		args.value = random_below(w, DRM_DEVMEM_MIGRATION_NEVER + 1);
		break;
	case 2:
		args.attr = DRM_DEVMEM_ATTR_ATOMIC;
		args.value = random_below(w, DRM_DEVMEM_ATOMIC_GLOBAL + 1);
		break;
	default:
		args.attr = DRM_DEVMEM_ATTR_RESET;
	}
	note(w, "gpu-advise", span, args.attr << 8 | args.value);
	expected = usable(w, span, NO_ACCESS, true) == span.length ? 0 : -EFAULT;
	err = __igt_devmem_madvise(device.fd, &args);
	if (err != expected)
		fail(w, "devmem madvise: %d instead of %d", err, expected);
	return true;
}

static bool op_residency(struct worker *w, struct piece span)
{
	int err;

	span = whole_pages(span);
	note(w, "residency", span, 0);
	err = __igt_devmem_residency(device.fd, w->vm, address(w, span.offset), span.length,
				     w->staging);
	if (err && err != -EBUSY)
		fail(w, "residency: %d", err);
	return true;
}

static void protect(struct worker *w, struct piece span, enum state state)
{
	static const int prot[] = {
		[NO_ACCESS] = PROT_NONE, [READ_ONLY] = PROT_READ,
		[WRITABLE] = PROT_READ | PROT_WRITE,
	};

	expect_zero(w, mprotect(address(w, span.offset), span.length, prot[state]), "mprotect");
	set_state(w, span, state);
}

static bool op_mprotect(struct worker *w, struct piece span)
{
	enum state state = NO_ACCESS + random_below(w, 3);

	span = whole_pages(span);
	span.length = usable(w, span, NO_ACCESS, true);
	if (!span.length)
		return false;
	note(w, "mprotect", span, state);
	protect(w, span, state);
	return true;
}

static void map(struct worker *w, struct piece span, int flags)
{
	char *at = address(w, span.offset);
	void *p = mmap(at, span.length, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	expect_zero(w, p != at, "mmap");
	memset(w->model + span.offset, 0, span.length);
	set_state(w, span, WRITABLE);
}

/* Nobody maps memory just anywhere while workers are at work, so holes stay. */
static bool op_munmap(struct worker *w, struct piece span)
{
	span = whole_pages(span);
	note(w, "munmap", span, 0);
	expect_zero(w, munmap(address(w, span.offset), span.length), "munmap");
	memset(w->model + span.offset, 0, span.length);
	set_state(w, span, UNMAPPED);
	return true;
}

static bool op_mmap(struct worker *w, struct piece span)
{
	span = whole_pages(span);
	note(w, "mmap", span, 0);
	map(w, span, MAP_FIXED);
	return true;
}

/* Make usable what other operations have left. */
static bool op_mend(struct worker *w, struct piece span)
{
	struct piece part = whole_pages(span);
	size_t end = part.offset + part.length;

	note(w, "mend", part, 0);
	for (; part.offset < end; part.offset += part.length) {
		part.length = end - part.offset;
		if (w->state[part.offset / PAGE] == UNMAPPED) {
			part.length = usable(w, part, UNMAPPED, false);
			map(w, part, MAP_FIXED_NOREPLACE);
		} else {
			part.length = usable(w, part, NO_ACCESS, true);
			protect(w, part, WRITABLE);
		}
	}
	return true;
}

static bool op_mremap(struct worker *w, struct piece from)
{
	struct piece to = whole_pages(random_span(w));
	enum state state = w->state[from.offset / PAGE];
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	char *at;

	from = whole_pages(from);
	if (from.length > to.length)
		from.length = to.length;
	from.length = usable(w, from, state, false);
	to.length = from.length;
	if (state == UNMAPPED ||
	    (to.offset < from.offset + from.length && from.offset < to.offset + to.length))
		return false;
	/* A page is sure to lie in one mapping, which this flag asks for. */
	if (to.length == PAGE && random_below(w, 2))
		flags |= MREMAP_DONTUNMAP;
	note(w, "mremap", from, to.offset);
	at = address(w, to.offset);
	expect_zero(w, mremap(address(w, from.offset), from.length, to.length, flags, at) != at,
		    "mremap");
	memcpy(w->model + to.offset, w->model + from.offset, to.length);
	memset(w->model + from.offset, 0, from.length);
	set_state(w, to, state);
	if (!(flags & MREMAP_DONTUNMAP))
		set_state(w, from, UNMAPPED);
	return true;
}

static bool op_dontneed(struct worker *w, struct piece span)
{
	span = whole_pages(span);
	span.length = usable(w, span, NO_ACCESS, true);
	if (!span.length)
		return false;
	note(w, "dontneed", span, 0);
	expect_zero(w, madvise(address(w, span.offset), span.length, MADV_DONTNEED),
		    "MADV_DONTNEED");
	memset(w->model + span.offset, 0, span.length);
	return true;
}

/* Advice that changes no data. It may well be refused. */
static bool op_advise(struct worker *w, struct piece span)
{
	static const int advice[] = {
		MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLLAPSE, MADV_COLD, MADV_PAGEOUT,
		MADV_WILLNEED, MADV_POPULATE_WRITE, MADV_MERGEABLE, MADV_UNMERGEABLE,
	};
	int what = advice[random_below(w, ARRAY_SIZE(advice))];

	span = whole_pages(span);
	span.length = usable(w, span, NO_ACCESS, true);
	if (!span.length)
		return false;
	note(w, "advise", span, what);
	if (madvise(address(w, span.offset), span.length, what) && errno == EFAULT &&
	    what != MADV_POPULATE_WRITE)
		fail(w, "madvise %d: %s", what, strerror(errno));
	return true;
}

/*
 * fork(). Other threads of the parent may hold any lock, so the child does nothing
 * but system calls.
 */
#define CHILD_CPU_BYTE	0xa5
#define CHILD_GPU_BYTE	0x5a

enum child_status {
	CHILD_OK, CHILD_SAW_WRONG, CHILD_NO_VM, CHILD_NO_QUEUE, CHILD_NO_EXEC,
	CHILD_NO_END, CHILD_GPU_WRONG, CHILD_WROTE_ELSEWHERE,
};

static const char * const child_says[] = {
	[CHILD_SAW_WRONG] = "the memory is not as it was at the fork",
	[CHILD_NO_VM] = "no VM", [CHILD_NO_QUEUE] = "no queue", [CHILD_NO_EXEC] = "no exec",
	[CHILD_NO_END] = "the batch did not end", [CHILD_GPU_WRONG] = "the GPU wrote nothing",
	[CHILD_WROTE_ELSEWHERE] = "the GPU wrote elsewhere",
};

/* All of @span that can be read, a page at a time */
static bool is_right(const struct worker *w, struct piece span)
{
	size_t at = span.offset, end = span.offset + span.length, next;

	for (; at < end; at = next) {
		next = (at & ~(PAGE - 1)) + PAGE;
		if (next > end)
			next = end;
		if (w->state[at / PAGE] >= READ_ONLY &&
		    memcmp(address(w, at), w->model + at, next - at))
			return false;
	}
	return true;
}

/* What a child and its parent tell each other, in shared memory */
enum child_word { CHILD_FENCE, CHILD_VM, CHILD_QUEUE };

static void end_child_gpu(struct worker *w)
{
	uint64_t *word = w->child.result;

	if (word[CHILD_QUEUE])
		__igt_devmem_queue_destroy(device.fd, word[CHILD_QUEUE]);
	if (word[CHILD_VM])
		__igt_devmem_vm_destroy(device.fd, word[CHILD_VM]);
	memset(word, 0, PAGE);
}

/* The GPU writes in the child, with a VM of its own. */
static enum child_status child_uses_gpu(struct worker *w, struct piece span)
{
	uint64_t *word = w->child.result, i;
	struct drm_devmem_sync sync = {
		.type = DRM_DEVMEM_SYNC_USER_FENCE, .flags = DRM_DEVMEM_SYNC_SIGNAL,
		.addr = (uintptr_t)&word[CHILD_FENCE], .value = 1,
	};
	uint32_t vm, queue;

	if (__igt_devmem_vm_create(device.fd, 0, &vm))
		return CHILD_NO_VM;
	word[CHILD_VM] = vm;
	if (__igt_devmem_queue_create(device.fd, vm, &queue))
		return CHILD_NO_QUEUE;
	word[CHILD_QUEUE] = queue;
	if (__igt_devmem_exec(device.fd, queue, w->child.batch.cmds, &sync, 1))
		return CHILD_NO_EXEC;
	for (i = 0; !__atomic_load_n(&word[CHILD_FENCE], __ATOMIC_SEQ_CST); i++) {
		if (i == PATIENCE_NS / 1000000)
			return CHILD_NO_END;
		usleep(1000);
	}
	memset(w->model + span.offset, CHILD_GPU_BYTE, span.length);
	return is_right(w, span) ? CHILD_OK : CHILD_GPU_WRONG;
}

/* Model and memory are the child's own from here on, so that it can change both. */
static enum child_status child_main(struct worker *w, struct piece span, size_t writable,
				    bool gpu)
{
	struct piece written = { span.offset, writable };
	enum child_status status = CHILD_OK;

	if (!is_right(w, span))
		return CHILD_SAW_WRONG;
	memset(address(w, span.offset), CHILD_CPU_BYTE, writable);
	memset(w->model + span.offset, CHILD_CPU_BYTE, writable);
	if (gpu && writable)
		status = child_uses_gpu(w, written);
	if (!status && !is_right(w, whole_pages(span)))
		status = CHILD_WROTE_ELSEWHERE;
	/* Half of them leave their queue to the parent. */
	if (span.offset & 1)
		end_child_gpu(w);
	return status;
}

static bool op_fork(struct worker *w, struct piece span)
{
	size_t writable = usable(w, span, WRITABLE, true);
	struct piece written = { span.offset, writable };
	struct igt_devmem_batch *b = &w->child.batch;
	bool gpu = random_below(w, 2), meanwhile = random_below(w, 2);
	int status;
	pid_t pid;

	note(w, "fork", span, gpu | meanwhile << 1);
	b->count = 0;
	igt_devmem_fill(b, address(w, span.offset), CHILD_GPU_BYTE, 1, writable);
	igt_devmem_end(b);
	pid = fork();
	if (pid < 0)
		fail(w, "fork: %s", strerror(errno));
	if (!pid)
		_exit(child_main(w, span, writable, gpu));
	if (meanwhile)
		op_gpu_fill(w, written);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		fail(w, "child ended with %#x", status);
	end_child_gpu(w);
	status = WEXITSTATUS(status);
	if (status)
		fail(w, "child: %s", status < (int)ARRAY_SIZE(child_says) ?
				     child_says[status] : "unknown");
	if (!is_right(w, span))
		fail(w, "the parent sees what a child did at %p", address(w, span.offset));
	return true;
}

/*
 * The worker
 */
static const struct {
	bool (*operation)(struct worker *w, struct piece span);
	unsigned int weight;
} operations[] = {
	{ op_cpu_read, 10 }, { op_cpu_write, 12 }, { op_gpu_read, 10 }, { op_gpu_write, 12 },
	{ op_gpu_fill, 8 }, { op_gpu_copy, 8 }, { op_gpu_atomic, 8 }, { op_gpu_queues, 4 },
	{ op_gpu_bad, 4 }, { op_count, 6 }, { op_prefetch, 8 }, { op_gpu_advise, 4 },
	{ op_residency, 2 }, { op_mprotect, 4 }, { op_munmap, 3 }, { op_mmap, 2 },
	{ op_mend, 4 }, { op_mremap, 4 }, { op_dontneed, 3 }, { op_advise, 6 }, { op_fork, 2 },
};

static void operate(struct worker *w)
{
	struct piece span = random_span(w);
	unsigned int i, sum = 0, pick;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		sum += operations[i].weight;
	pick = random_below(w, sum);
	for (i = 0; pick >= operations[i].weight; i++)
		pick -= operations[i].weight;
	if (!operations[i].operation(w, span) &&
	    (random_below(w, 2) || !op_gpu_bad(w, span)))
		op_mend(w, span);
}

/* Each byte, by the CPU or by the GPU. */
static void check_all(struct worker *w)
{
	struct piece span = { .length = w->setup->stripe };

	for (; span.offset < w->size; span.offset += span.length) {
		struct piece part = span;

		while (part.offset < span.offset + span.length) {
			part.length = span.offset + span.length - part.offset;
			if (!(random_below(w, 2) ? op_gpu_read : op_cpu_read)(w, part)) {
				part.offset += PAGE;
				continue;
			}
			part.offset += usable(w, part, READ_ONLY, true);
		}
	}
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct outcome *o = w->outcome;
	size_t i;

	while (!__atomic_load_n(&run->failed, __ATOMIC_SEQ_CST) &&
	       (option.operations ? o->operations < option.operations :
				    o->operations < MIN_OPERATIONS ||
				    igt_devmem_deadline(0) < deadline)) {
		operate(w);
		o->operations++;
		if (!(o->operations % 128))
			check_all(w);
	}
	check_all(w);
	for (i = 0; i < w->size; i++)
		o->digest = (o->digest ^ w->model[i]) * 0x100000001b3ull;
	return w;
}

static void add_queue(struct igt_devmem *d, uint32_t vm, unsigned int commands)
{
	d->fd = device.fd;
	d->vm = vm;
	d->queue = igt_devmem_queue_create(d->fd, vm);
	d->syncobj = syncobj_create(d->fd, 0);
	igt_devmem_batch_init(&d->batch, commands);
}

static void remove_queue(struct igt_devmem *d)
{
	igt_devmem_batch_fini(&d->batch);
	syncobj_destroy(d->fd, d->syncobj);
	igt_devmem_queue_destroy(d->fd, d->queue);
}

/* @in_place is a VM that migrates nothing, on the same memory. */
static void init_worker(struct worker *w, uint32_t in_place)
{
	uint64_t word;
	size_t i;

	w->vm = device.vm;
	w->random = igt_devmem_random_start(option.seed,
					    1 + w->process * 1000 + w->id);
	w->size = w->setup->size / w->setup->threads;
	w->model = mmap(NULL, w->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	w->state = malloc(w->size / PAGE);
	igt_assert(w->model != MAP_FAILED && w->state);
	memset(w->state, WRITABLE, w->size / PAGE);
	for (i = 0; i < w->size; i += 8) {
		word = initial_word(arena_offset(w, i));
		memcpy(w->model + i, &word, 8);
	}
	w->staging = igt_devmem_shared_alloc(w->setup->stripe);
	for (i = 0; i < QUEUES; i++)
		add_queue(&w->queue[i], i ? w->vm : in_place, 64);
	igt_devmem_batch_init(&w->child.batch, 8);
	w->child.result = igt_devmem_shared_alloc(PAGE);
	w->outcome = &run->outcomes[w->process * w->setup->threads + w->id];
}

static void fini_worker(struct worker *w)
{
	unsigned int i;

	igt_devmem_shared_free(w->child.result, PAGE);
	igt_devmem_batch_fini(&w->child.batch);
	for (i = 0; i < QUEUES; i++)
		remove_queue(&w->queue[i]);
	igt_devmem_shared_free(w->staging, w->setup->stripe);
	free(w->state);
	munmap(w->model, w->size);
}

/* Threads do not fail by igt_assert(), which a child would not notice. */
static void process_main(const struct setup *setup, unsigned int process)
{
	struct worker *workers = calloc(setup->threads, sizeof(*workers));
	pthread_t threads[MAX_WORKERS];
	uint32_t in_place;
	unsigned int i, j;
	uint64_t sum;
	void *end;

	igt_assert(workers);
	igt_devmem_init(&device, drm_reopen_driver(device.fd), 0);
	in_place = igt_devmem_vm_create(device.fd, DRM_DEVMEM_VM_NO_MIGRATE);
	for (i = 0; i < setup->threads; i++) {
		workers[i].setup = setup;
		workers[i].process = process;
		workers[i].id = i;
		init_worker(&workers[i], in_place);
	}
	for (i = 0; i < setup->threads; i++)
		igt_assert_eq(pthread_create(&threads[i], NULL, worker_main, &workers[i]), 0);
	for (i = 0; i < setup->threads; i++) {
		igt_assert_eq(pthread_join(threads[i], &end), 0);
		if (end != &workers[i])
			__atomic_store_n(&run->failed, 1, __ATOMIC_SEQ_CST);
	}
	igt_assert(!run->failed);
	for (i = 0; i < COUNTERS; i++) {
		for (j = 0, sum = 0; j < setup->threads; j++)
			sum += workers[j].outcome->private_sum[i];
		igt_assert_eq_u64(private_counters[i], sum);
	}
	for (i = 0; i < setup->threads; i++)
		fini_worker(&workers[i]);
	igt_devmem_vm_destroy(device.fd, in_place);
	igt_devmem_fini(&device);
}

/*
 * The test
 */
static void *disturb(void *arg)
{
	uint32_t *stop = arg;

	while (!__atomic_load_n(stop, __ATOMIC_SEQ_CST)) {
		int64_t start = igt_devmem_deadline(0);

		igt_devmem_write_file("/proc/sys/vm/compact_memory", "1");
		igt_devmem_write_file("/sys/fs/cgroup/memory.reclaim", "4M");
		/* Half of the time is for the others, also on a slow machine. */
		usleep(20000 + (igt_devmem_deadline(0) - start) / 1000);
	}
	return NULL;
}

static void run_processes(const struct setup *setup)
{
	uint32_t stop = 0;
	pthread_t thread;

	if (setup->reclaim)
		igt_assert_eq(pthread_create(&thread, NULL, disturb, &stop), 0);
	igt_fork(child, setup->processes)
		process_main(setup, child);
	igt_waitchildren();
	if (setup->reclaim) {
		igt_devmem_set_turn(&stop, 1);
		igt_assert_eq(pthread_join(thread, NULL), 0);
	}
}

/* All processes begin with what this one had on the device, and it keeps that. */
static void stress(const struct setup *setup)
{
	unsigned int workers = setup->processes * setup->threads, i, j;
	uint64_t operations = 0, sum;
	size_t at;

	arena = igt_devmem_anon_alloc(setup->size);
	private_counters = igt_devmem_anon_alloc(PAGE);
	run = igt_devmem_shared_alloc(sizeof(*run));
	for (at = 0; at < setup->size; at += 8)
		*(uint64_t *)(arena + at) = initial_word(at);
	igt_devmem_prefetch(&device, arena, setup->size, DRM_DEVMEM_LOCATION_DEVICE, 0);
	deadline = igt_devmem_deadline(option.seconds * 1000000000ll);
	run_processes(setup);

	for (i = 0; i < COUNTERS; i++) {
		for (j = 0, sum = 0; j < workers; j++)
			sum += run->outcomes[j].shared_sum[i];
		igt_assert_eq_u64(run->counters[i], sum);
		igt_assert_eq_u64(private_counters[i], 0);
	}
	for (at = 0; at < setup->size; at += 8)
		igt_assert_eq_u64(*(uint64_t *)(arena + at), initial_word(at));
	for (i = 0; i < workers; i++) {
		igt_assert_lt_u64(0, run->outcomes[i].operations);
		operations += run->outcomes[i].operations;
	}
	igt_info("seed %llu: %llu operations\n", (unsigned long long)option.seed,
		 (unsigned long long)operations);
	igt_assert_eq_u64(igt_devmem_violations(device.fd), 0);
	igt_devmem_anon_free(private_counters, PAGE);
	igt_devmem_anon_free(arena, setup->size);
}

static void open_device(const char *options)
{
	igt_devmem_reload(options);
	igt_devmem_init(&device, igt_devmem_open(), 0);
	igt_require(igt_devmem_get_param(device.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY));
}

static void close_device(void)
{
	igt_devmem_fini(&device);
	drm_close_driver(device.fd);
}

static void test_setup(const struct setup *from)
{
	struct setup setup = *from;

	if (option.threads)
		setup.threads = option.threads;
	if (option.processes)
		setup.processes = option.processes;
	igt_assert_lte(setup.threads * setup.processes, MAX_WORKERS);
	setup.size -= setup.size % (setup.threads * setup.stripe);
	if (!setup.size)
		setup.size = setup.threads * setup.stripe;
	if (setup.reclaim)
		igt_devmem_require_swap();
	/* Known before anything can go wrong. */
	igt_info("seed %llu, %u processes, %u threads\n", (unsigned long long)option.seed,
		 setup.processes, setup.threads);
	open_device(setup.options);
	stress(&setup);
	igt_devmem_shared_free(run, sizeof(*run));
	close_device();
}

static void replay(const struct setup *setup, uint64_t seed, uint64_t *digests)
{
	unsigned int i;

	option.seed = seed;
	stress(setup);
	for (i = 0; i < setup->processes * setup->threads; i++)
		digests[i] = run->outcomes[i].digest;
	igt_devmem_shared_free(run, sizeof(*run));
}

static void test_replay(void)
{
	static const struct setup setup = {
		.processes = 2, .threads = 2, .stripe = 64 * KIB, .size = 512 * KIB,
		.options = OPTIONS,
	};
	uint64_t first[4], second[4], other[4], seed = option.seed, operations = option.operations;
	unsigned int i;

	open_device(setup.options);
	option.operations = 40;
	replay(&setup, seed, first);
	replay(&setup, seed, second);
	replay(&setup, seed + 1, other);
	option.seed = seed;
	option.operations = operations;
	for (i = 0; i < ARRAY_SIZE(first); i++) {
		igt_assert_eq_u64(first[i], second[i]);
		igt_assert(first[i] != other[i]);
	}
	close_device();
}

static int handle_option(int opt, int index, void *data)
{
	uint64_t value = strtoull(optarg, NULL, 0);

	switch (opt) {
	case 'r':
		option.seed = value;
		break;
	case 's':
		option.seconds = value;
		break;
	case 'n':
		option.operations = value;
		break;
	case 't':
		option.threads = value;
		break;
	case 'p':
		option.processes = value;
		break;
	default:
		return IGT_OPT_HANDLER_ERROR;
	}
	return IGT_OPT_HANDLER_SUCCESS;
}

static const struct option long_options[] = {
	{ "seed", required_argument, NULL, 'r' },
	{ "seconds", required_argument, NULL, 's' },
	{ "operations", required_argument, NULL, 'n' },
	{ "threads", required_argument, NULL, 't' },
	{ "processes", required_argument, NULL, 'p' },
	{}
};

static const char help[] =
	"  --seed N\t\tStart of the generator (default: another one each time)\n"
	"  --seconds N\t\tHow long a subtest runs (default 3)\n"
	"  --operations N\tEach thread ends after so many instead\n"
	"  --threads N\t\tThreads of a process\n"
	"  --processes N\t\tProcesses\n";

int igt_main_args("", long_options, help, handle_option, NULL)
{
	unsigned int i = 0;

	igt_fixture() {
		if (!option.seed)
			option.seed = igt_devmem_new_seed();
	}

	for (i = 0; i < ARRAY_SIZE(setups); i++) {
		igt_describe(setups[i].describe);
		igt_subtest(setups[i].name)
			test_setup(&setups[i]);
	}

	igt_describe("A seed is enough to do the same again");
	igt_subtest("replay")
		test_replay();

	igt_fixture()
		igt_devmem_restore();
}
