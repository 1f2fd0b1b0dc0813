// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem svm
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Migration
 * Description: Memory that CPU and GPU use through the same pointers
 *
 * SUBTEST: %s-%s-%s-%s
 * Description: Round trip of %arg[1] of %arg[2], touched %arg[3], GPU access is %arg[4]
 *
 * arg[1]:
 *
 * @malloc:		memory of malloc()
 * @mmap:		private anonymous mapping
 * @static:		static array of the program
 * @stack:		stack of the program
 * @heap-reuse:		memory freed while on the device and allocated again
 *
 * arg[2]:
 *
 * @4k:			4 KiB
 * @64k:		64 KiB
 * @2m:			2 MiB
 * @64m:		64 MiB
 * @unaligned:		192 KiB with odd start and length
 *
 * arg[3]:
 *
 * @cpu-first:		by the CPU first
 * @gpu-first:		by the GPU first
 *
 * arg[4]:
 *
 * @read:		loads and copies
 * @write:		fills and stores
 * @atomic:		atomic additions
 *
 * SUBTEST: ping-pong
 * Description: CPU and GPU count in the same word by turns
 *
 * SUBTEST: cpu-read-partial
 * Description: The CPU reads one byte: its 2 MiB come back, the rest stays
 *
 * SUBTEST: cpu-write-while-gpu-works
 * Description: Threads of CPU and GPU add to the same words at the same time
 *
 * SUBTEST: two-processes
 * Description: Two processes use the same addresses for data of their own
 *
 * SUBTEST: fork-parent-gpu-write
 * Description: After fork a GPU write of the parent is not seen by the child
 *
 * SUBTEST: fork-child-cpu-write
 * Description: After fork a CPU write of the child is not seen by the parent's GPU
 *
 * SUBTEST: fork-parent-cpu-write
 * Description: After fork a CPU write of the parent is seen by its GPU, not by the child
 *
 * SUBTEST: fork-both-gpu-write
 * Description: After fork both processes write with the GPU and see only their own data
 *
 * SUBTEST: fork-child-uses-parent-vm
 * Description: A child that executes on the inherited file changes the parent's memory
 *
 * SUBTEST: munmap-all
 * Description: What was on the device is given back by munmap() and faults afterwards
 *
 * SUBTEST: munmap-part
 * Description: Unmapping the middle of a chunk on the device leaves the rest alone
 *
 * SUBTEST: munmap-remap
 * Description: A new mapping at an old address does not show the old data
 *
 * SUBTEST: mremap
 * Description: Data on the device moves along with its mapping
 *
 * SUBTEST: mprotect-read-only
 * Description: The GPU reads read-only memory, cannot write it, and can again when it may
 *
 * SUBTEST: mprotect-none
 * Description: The GPU cannot use memory without access, and can when access is back
 *
 * SUBTEST: dontneed-%s
 * Description: Device memory that was discarded reads as zero by the %arg[1]
 *
 * arg[1]:
 *
 * @cpu:		CPU
 * @gpu:		GPU
 *
 * SUBTEST: fault-%s
 * Description: GPU access to %arg[1] fails with its address and the queue goes on
 *
 * arg[1]:
 *
 * @unmapped:		an address that nothing is mapped at
 * @null:		address zero
 * @kernel:		an address of the kernel's half
 * @wrap:		a range that wraps around the address space
 * @end-of-mapping:	the bytes after a mapping
 *
 * SUBTEST: stats
 * Description: The statistics tell what was done, to the byte
 */

#include <alloca.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("Memory that CPU and GPU use through the same pointers");

#define KIB		1024ul
#define MIB		(1024 * KIB)
#define PAGE		4096ul

/* What the CPU writes first, at an offset; what the GPU fills, stores and adds. */
#define CPU_WORD(offset)	(0x0123456789abcdefull + (offset) / 8 * 0x9e3779b97f4a7c15ull)
#define GPU_FILL		0xa5a6a7a8a9aaabacull
#define GPU_WORD(k)		(0xfeedf00d00000000ull + (k) * 0x10001ull)
#define GPU_ADD			0x01020304ull
#define CHECKSUM_FACTOR		0x100000001b3ull

static struct igt_devmem d;

/*
 * Round trip
 */
enum kind { MALLOC, MMAP, STATIC, STACK, HEAP_REUSE };
enum access { READ, WRITE, ATOMIC };

struct shape {
	const char *name;
	size_t start;
	size_t len;
	/* Distance of the words that are loaded, stored or added to. */
	size_t stride;
};

/**
 * struct trip - one round trip
 * @shape: size and alignment
 * @access: what the GPU does
 * @cpu_first: the CPU writes before the GPU accesses
 * @pristine: nobody touched the memory before
 * @p: the memory
 * @word: bytes of a word at a stride
 */
struct trip {
	const struct shape *shape;
	enum access access;
	bool cpu_first;
	bool pristine;
	char *p;
	size_t word;
};

static const char * const kinds[] = {
	[MALLOC] = "malloc", [MMAP] = "mmap", [STATIC] = "static",
	[STACK] = "stack", [HEAP_REUSE] = "heap-reuse",
};

/* Starts are chosen so that the odd one has words of eight bytes across pages. */
static const struct shape shapes[] = {
	{ "4k", 0, 4 * KIB, 8 },
	{ "64k", 0, 64 * KIB, 64 },
	{ "2m", 0, 2 * MIB, 512 },
	{ "64m", 0, 64 * MIB, PAGE },
	{ "unaligned", 1237, 192 * KIB + 777, 64 },
};

static const char * const accesses[] = {
	[READ] = "read", [WRITE] = "write", [ATOMIC] = "atomic",
};

/* All bytes are compared up to this size, and beyond it words at the stride. */
#define FULL_MAX	(4 * MIB)

static char static_array[64 * MIB] __attribute__((aligned(2 * MIB)));
static char *expect, *gpu_copy;

static uint64_t get_word(const char *p, size_t width)
{
	uint64_t value = 0;

	memcpy(&value, p, width);
	return value;
}

static void put_word(char *p, uint64_t value, size_t width)
{
	memcpy(p, &value, width);
}

static bool is_full(const struct trip *t)
{
	return t->shape->len <= FULL_MAX;
}

/* Number of words at the stride, and the offset of one more that ends the memory. */
static size_t num_words(const struct trip *t)
{
	return (t->shape->len - t->word) / t->shape->stride + 1;
}

static size_t last_word(const struct trip *t)
{
	return (t->shape->len - t->word) & ~(t->word - 1);
}

static bool has_last_word(const struct trip *t)
{
	return last_word(t) % t->shape->stride;
}

static void cpu_init(struct trip *t)
{
	size_t offset;

	if (is_full(t)) {
		memcpy(t->p, expect, t->shape->len);
		return;
	}
	for (offset = 0; offset < t->shape->len; offset += t->shape->stride)
		put_word(t->p + offset, CPU_WORD(offset), t->word);
	put_word(t->p + last_word(t), CPU_WORD(last_word(t)), t->word);
}

/* What the memory holds before the GPU comes, in @expect, for a full compare. */
static void expect_before(struct trip *t)
{
	size_t offset, len = t->shape->len;

	for (offset = 0; offset < len; offset += 8) {
		uint64_t word = t->cpu_first ? CPU_WORD(offset) : 0;

		memcpy(expect + offset, &word, len - offset < 8 ? len - offset : 8);
	}
}

static void expect_after(struct trip *t)
{
	uint64_t fill = GPU_FILL;
	size_t i, len = t->shape->len;

	if (t->access == WRITE) {
		for (i = 0; i < len; i += 8)
			memcpy(expect + i, &fill, len - i < 8 ? len - i : 8);
		for (i = 0; i < num_words(t); i++)
			put_word(expect + i * t->shape->stride, GPU_WORD(i), t->word);
	} else if (t->access == ATOMIC) {
		for (i = 0; i < num_words(t); i++) {
			char *p = expect + i * t->shape->stride;

			put_word(p, get_word(p, t->word) + GPU_ADD, t->word);
		}
		if (has_last_word(t)) {
			char *p = expect + last_word(t);

			put_word(p, get_word(p, t->word) + GPU_ADD, t->word);
		}
	}
}

static uint64_t checksum(const struct trip *t, const char *p)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < num_words(t); i++)
		sum = sum * CHECKSUM_FACTOR + get_word(p + i * t->shape->stride, t->word);
	return sum;
}

/* r1 counts bytes, r2 is what is stored or the sum of what was loaded. */
static void emit_access(struct trip *t)
{
	struct igt_devmem_batch *b = &d.batch;
	uint64_t end = num_words(t) * t->shape->stride;
	struct drm_devmem_cmd cmd = { .width = t->word, .ra = 1, .a = (uintptr_t)t->p };
	unsigned int loop;

	if (t->access == WRITE)
		igt_devmem_fill(b, t->p, GPU_FILL, 8, t->shape->len);
	else if (is_full(t) && (t->access == READ || !t->pristine))
		igt_devmem_copy(b, gpu_copy, t->p, t->shape->len);

	igt_devmem_alu(b, 1, 0, DRM_DEVMEM_ALU_ADD, 0);
	igt_devmem_alu(b, 2, 0, DRM_DEVMEM_ALU_ADD, t->access == WRITE ? GPU_WORD(0) : 0);
	loop = b->count;
	switch (t->access) {
	case READ:
		cmd.op = DRM_DEVMEM_CMD_LOAD;
		cmd.rd = 3;
		igt_devmem_emit(b, cmd);
		igt_devmem_alu(b, 2, 2, DRM_DEVMEM_ALU_MUL, CHECKSUM_FACTOR);
		igt_devmem_emit(b, (struct drm_devmem_cmd){
			.op = DRM_DEVMEM_CMD_ALU, .sub = DRM_DEVMEM_ALU_ADD,
			.rd = 2, .ra = 2, .rb = 3,
		});
		break;
	case WRITE:
		cmd.op = DRM_DEVMEM_CMD_STORE;
		cmd.rb = 2;
		igt_devmem_emit(b, cmd);
		igt_devmem_alu(b, 2, 2, DRM_DEVMEM_ALU_ADD, GPU_WORD(1) - GPU_WORD(0));
		break;
	case ATOMIC:
		cmd.op = DRM_DEVMEM_CMD_ATOMIC;
		cmd.sub = DRM_DEVMEM_ATOMIC_ADD;
		cmd.b = GPU_ADD;
		igt_devmem_emit(b, cmd);
		break;
	}
	igt_devmem_alu(b, 1, 1, DRM_DEVMEM_ALU_ADD, t->shape->stride);
	igt_devmem_branch(b, 1, DRM_DEVMEM_COMPARE_LT, end, loop);

	if (t->access == READ) {
		igt_devmem_store_reg(b, d.result, 2, 8);
		igt_devmem_load(b, 3, t->p + last_word(t), t->word);
		igt_devmem_store_reg(b, d.result + 1, 3, 8);
	} else if (t->access == ATOMIC && has_last_word(t)) {
		igt_devmem_atomic(b, DRM_DEVMEM_ATOMIC_ADD, 0, t->p + last_word(t), GPU_ADD,
				  t->word);
	}
}

static void check_large(struct trip *t)
{
	uint64_t before, last = t->cpu_first ? CPU_WORD(last_word(t)) : 0;
	size_t i;

	for (i = 0; i < num_words(t); i++) {
		const char *p = t->p + i * t->shape->stride;

		before = t->cpu_first ? CPU_WORD(i * t->shape->stride) : 0;
		if (t->access == WRITE) {
			igt_assert_eq_u64(get_word(p, t->word), GPU_WORD(i));
			igt_assert_eq_u64(get_word(p + 8, 8), GPU_FILL);
		} else {
			igt_assert_eq_u64(get_word(p, t->word),
					  before + (t->access == ATOMIC ? GPU_ADD : 0));
		}
	}

	if (t->access == WRITE)
		last = GPU_FILL;
	else if (t->access == ATOMIC)
		last += GPU_ADD;
	igt_assert_eq_u64(get_word(t->p + last_word(t), t->word), last);
}

/* The CPU looks at the memory, after the GPU: all of it comes back. */
static void check_data(struct trip *t)
{
	if (!is_full(t)) {
		check_large(t);
	} else {
		/* What nobody wrote is what the GPU saw first. */
		if (!t->cpu_first && !t->pristine && t->access != WRITE)
			memcpy(expect, gpu_copy, t->shape->len);
		expect_after(t);
		igt_assert_f(!memcmp(t->p, expect, t->shape->len), "the CPU reads wrong data\n");
		if (t->access == READ)
			igt_assert_f(!memcmp(gpu_copy, expect, t->shape->len),
				     "the GPU copied wrong data\n");
	}
	if (t->access == READ) {
		igt_assert_eq_u64(d.result[0], checksum(t, t->p));
		igt_assert_eq_u64(d.result[1], get_word(t->p + last_word(t), t->word));
	}
}

/*
 * No heap is used from the GPU access to the query: heap pages next to the
 * memory in question could take it back with them.
 */
static void round_trip(struct trip *t)
{
	size_t len = t->shape->len;
	struct drm_devmem_stats before, after;
	uint8_t mapped = DRM_DEVMEM_RESIDENCY_GPU_MAPPED;

	t->word = t->shape->start && t->access == ATOMIC ? 4 : 8;
	if (is_full(t))
		expect_before(t);
	if (t->cpu_first)
		cpu_init(t);

	if (t->cpu_first)
		igt_assert(igt_devmem_location_is(&d, t->p, len, DRM_DEVMEM_LOCATION_SYSTEM));
	else if (t->pristine)
		igt_assert(igt_devmem_location_is(&d, t->p, len, DRM_DEVMEM_LOCATION_NONE));

	before = igt_devmem_stats(d.fd, d.vm);
	emit_access(t);
	igt_devmem_run(&d);
	after = igt_devmem_stats(d.fd, d.vm);

	if (t->access != READ)
		mapped |= DRM_DEVMEM_RESIDENCY_GPU_WRITE;
	mapped |= DRM_DEVMEM_LOCATION_DEVICE;
	igt_assert(igt_devmem_pages_are(&d, t->p, len,
					mapped | DRM_DEVMEM_RESIDENCY_LOCATION, mapped));
	if (t->cpu_first || t->pristine) {
		igt_assert_lt_u64(before.gpu_faults, after.gpu_faults);
		igt_assert_lte_u64(before.to_device_bytes + len, after.to_device_bytes);
	}

	check_data(t);
	igt_assert(igt_devmem_pages_are(&d, t->p, len,
					DRM_DEVMEM_RESIDENCY_LOCATION |
					DRM_DEVMEM_RESIDENCY_GPU_MAPPED,
					DRM_DEVMEM_LOCATION_SYSTEM));
	before = after;
	after = igt_devmem_stats(d.fd, d.vm);
	igt_assert_lt_u64(before.cpu_faults, after.cpu_faults);
	igt_assert_lte_u64(before.to_system_bytes + len, after.to_system_bytes);
}

/* Memory that went to the device, was freed there, and is allocated again. */
static char *reused_alloc(size_t size)
{
	char *p = malloc(size);

	igt_assert(p);
	memset(p, 0x5a, PAGE);
	igt_devmem_fill(&d.batch, p, 0x77, 1, size);
	igt_devmem_run(&d);
	igt_assert(igt_devmem_location_is(&d, p, size, DRM_DEVMEM_LOCATION_DEVICE));
	free(p);

	return malloc(size);
}

/*
 * The memory is in the middle of a frame, 2 MiB away from what the CPU uses of
 * the stack, which grows down to its lowest page by touching just that.
 */
static __attribute__((noinline)) void round_trip_on_stack(struct trip *t)
{
	size_t size = t->shape->start + t->shape->len + 6 * MIB;
	char *frame = alloca(size);

	__atomic_store_n(frame, 1, __ATOMIC_RELAXED);
	t->p = (char *)(((uintptr_t)frame + 4 * MIB - 1) & ~(2 * MIB - 1));
	/* What calls of an earlier subtest left here. */
	igt_assert_eq(madvise(t->p, size - 6 * MIB, MADV_DONTNEED), 0);
	t->p += t->shape->start;
	t->pristine = true;
	round_trip(t);
}

static void test_round_trip(enum kind kind, const struct shape *shape, bool cpu_first,
			    enum access access)
{
	struct shape odd = *shape;
	struct trip t = { .shape = &odd, .access = access, .cpu_first = cpu_first };
	size_t size;
	char *base;

	/* Atomics have to be aligned; four bytes are as odd as they get. */
	if (access == ATOMIC)
		odd.start &= ~3ul;
	size = odd.start + odd.len;

	switch (kind) {
	case MALLOC:
		base = malloc(size);
		igt_assert(base);
		t.p = base + odd.start;
		round_trip(&t);
		free(base);
		break;
	case MMAP:
		base = igt_devmem_anon_alloc(size + PAGE);
		t.p = base + odd.start;
		t.pristine = true;
		round_trip(&t);
		igt_devmem_anon_free(base, size + PAGE);
		break;
	case STATIC:
		/* As it was when the program started, also after another subtest. */
		igt_assert_eq(madvise(static_array, sizeof(static_array), MADV_DONTNEED), 0);
		t.p = static_array + odd.start;
		t.pristine = true;
		round_trip(&t);
		break;
	case STACK:
		round_trip_on_stack(&t);
		break;
	case HEAP_REUSE:
		base = reused_alloc(size);
		igt_assert(base);
		t.p = base + odd.start;
		round_trip(&t);
		free(base);
		break;
	}
}

static void init_round_trips(void)
{
	struct rlimit limit;

	expect = igt_devmem_shared_alloc(FULL_MAX);
	gpu_copy = igt_devmem_shared_alloc(FULL_MAX);

	/* What libc maps next must not be merged with the thread's own data. */
	igt_assert(mmap(NULL, 4 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		   MAP_FAILED);

	/* 64 MiB of stack and some; mappings start 128 MiB below the stack at least. */
	igt_assert_eq(getrlimit(RLIMIT_STACK, &limit), 0);
	if (limit.rlim_cur < 96 * MIB) {
		limit.rlim_cur = 96 * MIB;
		igt_assert_eq(setrlimit(RLIMIT_STACK, &limit), 0);
	}
}

/* The batch built so far has to end by a fault at @addr, and the queue to go on. */
static void expect_fault(uint64_t addr, enum drm_devmem_access access)
{
	const struct drm_devmem_cmd *failing = &d.batch.cmds[d.batch.count - 1];
	struct drm_devmem_queue_query query;
	struct drm_devmem_stats before = igt_devmem_stats(d.fd, d.vm);

	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	query = igt_devmem_queue_query(d.fd, d.queue);
	igt_assert_eq_u64(query.fault_addr, addr);
	igt_assert_eq(query.access, access);
	igt_assert_eq_u64(query.command_addr, (uintptr_t)failing);
	igt_assert_eq(query.flags, DRM_DEVMEM_QUEUE_IDLE);
	igt_assert_lt_u64(before.gpu_faults_failed,
			  igt_devmem_stats(d.fd, d.vm).gpu_faults_failed);

	igt_devmem_poke(&d, d.result + 2, addr);
	igt_assert_eq_u64(d.result[2], addr);
}

static void test_ping_pong(void)
{
	uint64_t *word = igt_devmem_anon_alloc(64 * KIB);
	const int rounds = 20;
	int i;

	/* Else thrash control would keep it in system memory after some rounds. */
	igt_devmem_madvise(d.fd, d.vm, word, 64 * KIB, DRM_DEVMEM_ATTR_PREFERRED,
			   DRM_DEVMEM_PREFERRED_DEVICE);
	for (i = 0; i < rounds; i++) {
		++*word;
		igt_assert(igt_devmem_location_is(&d, word, 8, DRM_DEVMEM_LOCATION_SYSTEM));
		igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, word, 1, 8);
		igt_devmem_run(&d);
		igt_assert(igt_devmem_location_is(&d, word, 8, DRM_DEVMEM_LOCATION_DEVICE));
	}
	igt_assert_eq_u64(*word, 2 * rounds);
	igt_assert_eq_u64(word[1], 0);
	igt_devmem_anon_free(word, 64 * KIB);
}

static void test_cpu_read_partial(void)
{
	const size_t size = 4 * MIB;
	char *p = igt_devmem_anon_alloc(size);

	memset(p, 1, size);
	igt_devmem_set(&d, p, GPU_FILL, size);

	igt_assert_eq_u64(get_word(p + MIB, 8), GPU_FILL);
	igt_assert(igt_devmem_location_is(&d, p, 2 * MIB, DRM_DEVMEM_LOCATION_SYSTEM));
	igt_assert(igt_devmem_location_is(&d, p + 2 * MIB, 2 * MIB, DRM_DEVMEM_LOCATION_DEVICE));

	/* The GPU uses both halves, wherever they are now. */
	igt_devmem_copy(&d.batch, p + MIB, p + 3 * MIB, 4 * KIB);
	igt_devmem_run(&d);
	igt_devmem_expect_words(p, GPU_FILL, size);
	igt_assert(igt_devmem_location_is(&d, p, size, DRM_DEVMEM_LOCATION_SYSTEM));
	igt_devmem_anon_free(p, size);
}

struct adder {
	uint64_t *words;
	unsigned int adds;
};

static void *cpu_adds(void *arg)
{
	struct adder *adder = arg;
	unsigned int i;

	for (i = 0; i < adder->adds; i++)
		__atomic_fetch_add(&adder->words[i % 2 * PAGE / 8], 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void test_both_at_once(void)
{
	const unsigned int adds = 2000;
	struct adder adder = { igt_devmem_anon_alloc(2 * PAGE), adds };
	uint64_t *words = adder.words;
	unsigned int loop;
	pthread_t thread;

	igt_devmem_alu(&d.batch, 1, 0, DRM_DEVMEM_ALU_ADD, 0);
	loop = igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, words, 1, 8);
	igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, words + PAGE / 8, 1, 8);
	igt_devmem_alu(&d.batch, 1, 1, DRM_DEVMEM_ALU_ADD, 1);
	igt_devmem_branch(&d.batch, 1, DRM_DEVMEM_COMPARE_LT, adds / 2, loop);
	igt_devmem_submit(&d);
	igt_assert_eq(pthread_create(&thread, NULL, cpu_adds, &adder), 0);
	igt_assert_eq(pthread_join(thread, NULL), 0);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	d.batch.count = 0;

	igt_assert_eq(igt_devmem_queue_query(d.fd, d.queue).errors, 0);
	igt_assert_eq_u64(words[0], adds);
	igt_assert_eq_u64(words[PAGE / 8], adds);
	igt_devmem_anon_free(words, 2 * PAGE);
}

/* Give this process, a child, a VM of its own. */
static void init_child(void)
{
	igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
}

static void test_two_processes(void)
{
	const size_t size = 256 * KIB;
	uint64_t *p = igt_devmem_anon_alloc(size);

	igt_fork(child, 2) {
		uint64_t pattern = 0x1111111111111111ull * (child + 1);
		int round;

		init_child();
		for (round = 0; round < 5; round++) {
			igt_devmem_set(&d, p, pattern + round, size);
			igt_assert_eq_u64(igt_devmem_peek(&d, p + 5), pattern + round);
			igt_devmem_expect_words(p, pattern + round, size);
		}
	}
	igt_waitchildren();
	igt_devmem_expect_words(p, 0, size);
	igt_devmem_anon_free(p, size);
}

/*
 * Fork: one process at a time does something, then passes the turn.
 */
static uint32_t *turn;

static uint64_t *fork_alloc(size_t size)
{
	uint64_t *p = igt_devmem_anon_alloc(size);

	turn = igt_devmem_shared_alloc(PAGE);
	memset(p, 0, size);
	igt_devmem_set(&d, p, 0xb, size);
	return p;
}

static void fork_free(uint64_t *p, size_t size)
{
	igt_devmem_shared_free(turn, PAGE);
	igt_devmem_anon_free(p, size);
}

static void test_fork_parent_gpu_write(void)
{
	const size_t size = 128 * KIB;
	uint64_t *p = fork_alloc(size);

	igt_fork(child, 1) {
		igt_devmem_wait_turn(turn, 1);
		igt_devmem_expect_words(p, 0xb, size);
	}
	/* Once with the pages shared, once while the child brings its copy back. */
	igt_devmem_fill(&d.batch, p, 0xc, 8, size);
	igt_devmem_run(&d);
	igt_devmem_set_turn(turn, 1);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 7), 0xc);
	igt_waitchildren();
	igt_assert_eq_u64(igt_devmem_peek(&d, p + size / 8 - 1), 0xc);
	igt_devmem_expect_words(p, 0xc, size);
	fork_free(p, size);
}

static void test_fork_child_cpu_write(void)
{
	const size_t size = 128 * KIB;
	uint64_t *p = fork_alloc(size);

	igt_fork(child, 1) {
		size_t i;

		for (i = 0; i < size / 8; i++)
			p[i] = 0xd;
		igt_devmem_set_turn(turn, 1);
		igt_devmem_wait_turn(turn, 2);
		igt_devmem_expect_words(p, 0xd, size);
	}
	igt_devmem_wait_turn(turn, 1);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 0xb);
	igt_devmem_copy(&d.batch, p + size / 16, p, size / 2);
	igt_devmem_run(&d);
	igt_devmem_set_turn(turn, 2);
	igt_waitchildren();
	igt_devmem_expect_words(p, 0xb, size);
	fork_free(p, size);
}

static void test_fork_parent_cpu_write(void)
{
	const size_t size = 128 * KIB;
	uint64_t *p = fork_alloc(size);

	igt_fork(child, 1) {
		igt_devmem_wait_turn(turn, 1);
		igt_devmem_expect_words(p, 0xb, size);
	}
	p[0] = 0xe;
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 0xe);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 1), 0xb);
	igt_devmem_set_turn(turn, 1);
	igt_waitchildren();
	igt_assert_eq_u64(p[0], 0xe);
	igt_devmem_expect_words(p + 1, 0xb, size - 8);
	fork_free(p, size);
}

static void test_fork_both_gpu_write(void)
{
	const size_t size = 128 * KIB;
	uint64_t *p = fork_alloc(size);

	igt_fork(child, 1) {
		init_child();
		igt_devmem_wait_turn(turn, 1);
		igt_assert_eq_u64(igt_devmem_peek(&d, p), 0xb);
		igt_devmem_fill(&d.batch, p, 0xcc, 8, size / 2);
		igt_devmem_run(&d);
		igt_devmem_set_turn(turn, 2);
		igt_devmem_wait_turn(turn, 3);
		igt_devmem_expect_words(p, 0xcc, size / 2);
		igt_devmem_expect_words(p + size / 16, 0xb, size / 2);
	}
	igt_devmem_fill(&d.batch, p, 0xaa, 8, size / 4);
	igt_devmem_run(&d);
	igt_devmem_set_turn(turn, 1);
	igt_devmem_wait_turn(turn, 2);
	igt_assert_eq_u64(igt_devmem_peek(&d, p), 0xaa);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + size / 32), 0xb);
	igt_devmem_fill(&d.batch, p + size / 32, 0xad, 8, size / 4);
	igt_devmem_run(&d);
	igt_devmem_set_turn(turn, 3);
	igt_waitchildren();
	igt_devmem_expect_words(p, 0xaa, size / 4);
	igt_devmem_expect_words(p + size / 32, 0xad, size / 4);
	igt_devmem_expect_words(p + size / 16, 0xb, size / 2);
	fork_free(p, size);
}

static void test_fork_child_uses_parent_vm(void)
{
	const size_t size = 64 * KIB;
	uint64_t *p = fork_alloc(size);

	igt_fork(child, 1) {
		igt_devmem_fill(&d.batch, p, 0xf, 8, size);
		igt_devmem_run(&d);
		igt_devmem_expect_words(p, 0xb, size);
	}
	igt_waitchildren();
	igt_devmem_expect_words(p, 0xf, size);
	fork_free(p, size);
}

/*
 * Changes of the address space
 */
static void test_munmap_all(void)
{
	const size_t size = 8 * MIB;
	uint64_t before = igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE);
	char *p = igt_devmem_anon_alloc(size);

	igt_devmem_set(&d, p, GPU_FILL, size);
	igt_assert_lte_u64(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_VRAM_FREE),
			   before - size);
	igt_assert_eq(munmap(p, size), 0);

	igt_devmem_store(&d.batch, p + 3 * MIB, 1, 8);
	expect_fault((uintptr_t)p + 3 * MIB, DRM_DEVMEM_ACCESS_WRITE);
	igt_devmem_load(&d.batch, 1, p, 8);
	expect_fault((uintptr_t)p, DRM_DEVMEM_ACCESS_READ);
	/* Page tables stay; 64 KiB is more than eight megabytes need. */
	igt_assert(igt_devmem_vram_comes_back(d.fd, before - 64 * KIB));
}

static void test_munmap_part(void)
{
	const size_t size = 4 * MIB, hole = MIB, hole_size = 2 * MIB;
	char *p = igt_devmem_anon_alloc(size);

	memset(p, 0, size);
	igt_devmem_set(&d, p, GPU_FILL, size);
	igt_assert_eq(munmap(p + hole, hole_size), 0);

	igt_devmem_load(&d.batch, 1, p + hole, 8);
	expect_fault((uintptr_t)p + hole, DRM_DEVMEM_ACCESS_READ);
	igt_devmem_load(&d.batch, 1, p + hole + hole_size - 8, 8);
	expect_fault((uintptr_t)p + hole + hole_size - 8, DRM_DEVMEM_ACCESS_READ);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + hole - 8), GPU_FILL);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + hole + hole_size), GPU_FILL);
	igt_devmem_poke(&d, p + hole + hole_size, 0x99);

	igt_devmem_expect_words(p, GPU_FILL, hole);
	igt_assert_eq_u64(get_word(p + hole + hole_size, 8), 0x99);
	igt_devmem_expect_words(p + hole + hole_size + 8, GPU_FILL, size - hole - hole_size - 8);
	igt_devmem_anon_free(p, size);
}

static void test_munmap_remap(void)
{
	const size_t size = 2 * MIB;
	char *p = igt_devmem_anon_alloc(size);
	int i;

	for (i = 0; i < 5; i++) {
		igt_assert_eq_u64(igt_devmem_peek(&d, p + i * PAGE), 0);
		igt_devmem_set(&d, p, GPU_FILL, size);
		igt_assert(mmap(p, size, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
	}
	igt_devmem_expect_words(p, 0, size);
	igt_devmem_anon_free(p, size);
}

static void test_mremap(void)
{
	const size_t size = 2 * MIB + 64 * KIB;
	char *from = igt_devmem_anon_alloc(size), *to = igt_devmem_anon_alloc(size);

	memset(from, 0, size);
	igt_devmem_set(&d, from, GPU_FILL, size);
	igt_devmem_set(&d, to, 0x22, size);
	igt_assert(mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	igt_assert(igt_devmem_location_is(&d, to, size, DRM_DEVMEM_LOCATION_DEVICE));

	igt_devmem_load(&d.batch, 1, from, 8);
	expect_fault((uintptr_t)from, DRM_DEVMEM_ACCESS_READ);
	igt_assert_eq_u64(igt_devmem_peek(&d, to), GPU_FILL);
	igt_devmem_poke(&d, to + MIB, 0x55);
	igt_assert_eq_u64(get_word(to + MIB, 8), 0x55);
	igt_devmem_expect_words(to, GPU_FILL, MIB);
	igt_devmem_expect_words(to + MIB + 8, GPU_FILL, size - MIB - 8);
	igt_devmem_anon_free(to, size);
}

static void test_mprotect_read_only(void)
{
	const size_t size = 64 * KIB;
	uint64_t *p = igt_devmem_anon_alloc(size);

	memset(p, 0, size);
	igt_devmem_set(&d, p, GPU_FILL, size);
	igt_assert_eq(mprotect(p, size, PROT_READ), 0);

	igt_assert_eq_u64(igt_devmem_peek(&d, p), GPU_FILL);
	igt_devmem_store(&d.batch, p + 1, 1, 8);
	expect_fault((uintptr_t)(p + 1), DRM_DEVMEM_ACCESS_WRITE);
	igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, p + 2, 1, 8);
	expect_fault((uintptr_t)(p + 2), DRM_DEVMEM_ACCESS_ATOMIC);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 1), GPU_FILL);
	igt_devmem_expect_words(p, GPU_FILL, size);

	/* Again with the data in system memory. */
	igt_devmem_fill(&d.batch, p, 1, 8, size);
	expect_fault((uintptr_t)p, DRM_DEVMEM_ACCESS_WRITE);

	igt_assert_eq(mprotect(p, size, PROT_READ | PROT_WRITE), 0);
	igt_devmem_poke(&d, p + 1, 0x33);
	igt_assert_eq_u64(p[0], GPU_FILL);
	igt_assert_eq_u64(p[1], 0x33);
	igt_devmem_expect_words(p + 2, GPU_FILL, size - 16);
	igt_devmem_anon_free(p, size);
}

static void test_mprotect_none(void)
{
	const size_t size = 64 * KIB;
	uint64_t *p = igt_devmem_anon_alloc(size);

	igt_devmem_set(&d, p, GPU_FILL, size);
	igt_assert_eq(mprotect(p, size, PROT_NONE), 0);
	igt_devmem_load(&d.batch, 1, p, 8);
	expect_fault((uintptr_t)p, DRM_DEVMEM_ACCESS_READ);
	igt_devmem_store(&d.batch, p, 1, 8);
	expect_fault((uintptr_t)p, DRM_DEVMEM_ACCESS_WRITE);
	igt_assert_eq(mprotect(p, size, PROT_READ | PROT_WRITE), 0);
	igt_assert_eq_u64(igt_devmem_peek(&d, p + 1), GPU_FILL);
	igt_devmem_poke(&d, p, 0x44);
	igt_assert_eq_u64(p[0], 0x44);
	igt_devmem_expect_words(p + 1, GPU_FILL, size - 8);
	igt_devmem_anon_free(p, size);
}

static void test_dontneed(bool by_gpu)
{
	const size_t size = 2 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);

	igt_devmem_set(&d, p, GPU_FILL, size);
	igt_assert_eq(madvise(p, size / 2, MADV_DONTNEED), 0);
	igt_assert(igt_devmem_pages_are(&d, p, size / 2,
					DRM_DEVMEM_RESIDENCY_LOCATION |
					DRM_DEVMEM_RESIDENCY_GPU_MAPPED,
					DRM_DEVMEM_LOCATION_NONE));
	if (by_gpu) {
		igt_assert_eq_u64(igt_devmem_peek(&d, p), 0);
		igt_assert_eq_u64(igt_devmem_peek(&d, p + size / 16 - 1), 0);
	}
	igt_devmem_expect_words(p, 0, size / 2);
	igt_devmem_expect_words(p + size / 16, GPU_FILL, size / 2);
	igt_devmem_anon_free(p, size);
}

/*
 * Accesses to what is not there
 */
static void test_fault_unmapped(void)
{
	char *p = igt_devmem_anon_alloc(PAGE);

	igt_devmem_anon_free(p, PAGE);
	igt_devmem_store(&d.batch, p, 1, 8);
	expect_fault((uintptr_t)p, DRM_DEVMEM_ACCESS_WRITE);
	igt_devmem_load(&d.batch, 1, p, 1);
	expect_fault((uintptr_t)p, DRM_DEVMEM_ACCESS_READ);
	igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, p, 1, 4);
	expect_fault((uintptr_t)p, DRM_DEVMEM_ACCESS_ATOMIC);
	igt_devmem_copy(&d.batch, p, d.result, 64);
	expect_fault((uintptr_t)p, DRM_DEVMEM_ACCESS_WRITE);
	igt_devmem_copy(&d.batch, d.result, p, 64);
	expect_fault((uintptr_t)p, DRM_DEVMEM_ACCESS_READ);
}

static void test_fault_null(void)
{
	igt_devmem_store(&d.batch, NULL, 1, 8);
	expect_fault(0, DRM_DEVMEM_ACCESS_WRITE);
	igt_devmem_load(&d.batch, 1, NULL, 8);
	expect_fault(0, DRM_DEVMEM_ACCESS_READ);
}

static void test_fault_kernel(void)
{
	static const uint64_t addrs[] = {
		1ull << 47, 1ull << 56, 1ull << 57, 1ull << 63, 0xffff888000000000ull,
		0xfffffffffffff000ull,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(addrs); i++) {
		igt_devmem_load(&d.batch, 1, (void *)(uintptr_t)addrs[i], 8);
		expect_fault(addrs[i], DRM_DEVMEM_ACCESS_READ);
		igt_devmem_store(&d.batch, (void *)(uintptr_t)addrs[i], 1, 8);
		expect_fault(addrs[i], DRM_DEVMEM_ACCESS_WRITE);
	}
}

static void test_fault_wrap(void)
{
	char *p = igt_devmem_anon_alloc(PAGE);

	/* The end of these is 2^64 and more: whatever fails first, it must fail. */
	igt_devmem_fill(&d.batch, p, 1, 1, -(uint64_t)(uintptr_t)p + PAGE);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	igt_devmem_copy(&d.batch, p, p + PAGE / 2, ~0ull);
	igt_assert_neq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_NONE);
	igt_devmem_load(&d.batch, 1, (void *)(uintptr_t)-4ll, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	igt_devmem_poke(&d, p, 1);
	igt_assert_eq_u64(get_word(p, 8), 1);
	igt_devmem_anon_free(p, PAGE);
}

static void test_fault_end_of_mapping(void)
{
	const size_t size = 64 * KIB;
	char *p = igt_devmem_anon_alloc(size);

	igt_devmem_fill(&d.batch, p + size - 16, GPU_FILL, 8, 32);
	expect_fault((uintptr_t)p + size, DRM_DEVMEM_ACCESS_WRITE);
	igt_devmem_store(&d.batch, p + size - 4, 1, 8);
	expect_fault((uintptr_t)p + size, DRM_DEVMEM_ACCESS_WRITE);
	igt_devmem_load(&d.batch, 1, p - 8, 8);
	expect_fault((uintptr_t)p - 8, DRM_DEVMEM_ACCESS_READ);
	igt_devmem_anon_free(p, size);
}

static void test_stats(void)
{
	const size_t size = 64 * KIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	struct drm_devmem_stats s[4];

	memset(p, 1, size);
	igt_devmem_poke(&d, d.result, 1);

	s[0] = igt_devmem_stats(d.fd, d.vm);
	igt_devmem_set(&d, p, GPU_FILL, size);
	s[1] = igt_devmem_stats(d.fd, d.vm);
	igt_assert_eq_u64(p[0], GPU_FILL);
	s[2] = igt_devmem_stats(d.fd, d.vm);
	p[1] = 1;
	igt_devmem_poke(&d, d.result, 1);
	s[3] = igt_devmem_stats(d.fd, d.vm);

	igt_assert_eq_u64(s[1].gpu_faults, s[0].gpu_faults + 1);
	igt_assert_eq_u64(s[1].to_device_bytes, s[0].to_device_bytes + size);
	igt_assert_eq_u64(s[1].to_device_count, s[0].to_device_count + 1);
	igt_assert_eq_u64(s[1].cpu_faults, s[0].cpu_faults);
	igt_assert_eq_u64(s[1].to_system_bytes, s[0].to_system_bytes);
	igt_assert_lt_u64(s[0].fault_ns, s[1].fault_ns);

	igt_assert_eq_u64(s[2].cpu_faults, s[1].cpu_faults + 1);
	igt_assert_eq_u64(s[2].to_system_bytes, s[1].to_system_bytes + size);
	igt_assert_lt_u64(s[1].invalidations, s[2].invalidations);
	igt_assert_eq_u64(s[2].gpu_faults, s[1].gpu_faults);
	igt_assert_eq_u64(s[2].to_device_bytes, s[1].to_device_bytes);

	/* Looking for what is used goes on all the time. */
	s[2].access_scans = s[3].access_scans;
	igt_assert(!memcmp(&s[3], &s[2], sizeof(s[3])));

	/* Right to write what is already on the device moves nothing. */
	igt_assert_eq_u64(igt_devmem_peek(&d, p), GPU_FILL);
	s[2] = igt_devmem_stats(d.fd, d.vm);
	igt_devmem_set(&d, p, GPU_FILL, size);
	s[3] = igt_devmem_stats(d.fd, d.vm);
	igt_assert_eq_u64(s[3].gpu_faults, s[2].gpu_faults + 1);
	igt_assert_eq_u64(s[3].to_device_bytes, s[2].to_device_bytes);
	igt_assert_eq_u64(s[3].evicted_bytes, 0);
	igt_assert_eq_u64(s[3].to_device_failed, 0);
	igt_assert_eq_u64(s[3].gpu_faults_failed, 0);
	igt_devmem_anon_free(p, size);
}

static const struct igt_devmem_subtest tests[] = {
	{ "ping-pong", "CPU and GPU count in the same word by turns", test_ping_pong },
	{ "cpu-read-partial", "What the CPU touches comes back, the rest stays",
	  test_cpu_read_partial },
	{ "cpu-write-while-gpu-works", "No atomic addition is lost between CPU and GPU",
	  test_both_at_once },
	{ "two-processes", "Processes do not see each other's data", test_two_processes },
	{ "fork-parent-gpu-write", "A GPU write after fork stays in the parent",
	  test_fork_parent_gpu_write },
	{ "fork-child-cpu-write", "A child's CPU write does not reach the parent's GPU",
	  test_fork_child_cpu_write },
	{ "fork-parent-cpu-write", "A CPU write after fork reaches the own GPU only",
	  test_fork_parent_cpu_write },
	{ "fork-both-gpu-write", "GPU writes on both sides of a fork stay apart",
	  test_fork_both_gpu_write },
	{ "fork-child-uses-parent-vm", "A VM belongs to the process that made it",
	  test_fork_child_uses_parent_vm },
	{ "munmap-all", "Device memory is given back when its mapping goes", test_munmap_all },
	{ "munmap-part", "A hole in a chunk on the device leaves the rest alone",
	  test_munmap_part },
	{ "munmap-remap", "A new mapping does not show old data", test_munmap_remap },
	{ "mremap", "Data on the device moves along with its mapping", test_mremap },
	{ "mprotect-read-only", "Write protection holds for the GPU", test_mprotect_read_only },
	{ "mprotect-none", "Access protection holds for the GPU", test_mprotect_none },
	{ "fault-unmapped", "An access to nothing is an error with an address",
	  test_fault_unmapped },
	{ "fault-null", "A null pointer is an error", test_fault_null },
	{ "fault-kernel", "The GPU does not reach the kernel's addresses", test_fault_kernel },
	{ "fault-wrap", "A range beyond the address space is an error", test_fault_wrap },
	{ "fault-end-of-mapping", "An access across the end of a mapping is an error",
	  test_fault_end_of_mapping },
	{ "stats", "The statistics tell what was done", test_stats },
};

int igt_main()
{
	unsigned int kind = 0, size = 0, gpu_first = 0, access = 0;

	igt_devmem_open_fixture(&d);
	igt_fixture()
		init_round_trips();

	for (kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
		for (size = 0; size < ARRAY_SIZE(shapes); size++) {
			for (gpu_first = 0; gpu_first < 2; gpu_first++) {
				for (access = 0; access < ARRAY_SIZE(accesses); access++) {
					igt_describe("Data and residency agree on the whole way");
					igt_subtest_f("%s-%s-%s-first-%s", kinds[kind],
						      shapes[size].name,
						      gpu_first ? "gpu" : "cpu", accesses[access])
						test_round_trip(kind, &shapes[size], !gpu_first,
								access);
				}
			}
		}
	}

	igt_devmem_subtests(tests, ARRAY_SIZE(tests));

	igt_describe("Memory that was discarded is zero for the CPU");
	igt_subtest("dontneed-cpu")
		test_dontneed(false);

	igt_describe("Memory that was discarded is zero for the GPU");
	igt_subtest("dontneed-gpu")
		test_dontneed(true);

	igt_devmem_close_fixture(&d);
}
