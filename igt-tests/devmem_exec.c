// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem exec
 * Category: Core
 * Mega feature: Exec
 * Sub-category: Queues and commands
 * Description: The command set, its errors, syncs, queues, hang and reset
 *
 * SUBTEST: empty
 * Description: A batch that only ends
 *
 * SUBTEST: nop
 * Description: Commands that do nothing, over several pages
 *
 * SUBTEST: store-load
 * Description: Stores and loads of each width, aligned or not
 *
 * SUBTEST: copy
 * Description: Copies of many lengths and alignments, also across pages
 *
 * SUBTEST: fill
 * Description: Fills of each width, also with a length that is no multiple of it
 *
 * SUBTEST: atomic
 * Description: Each atomic in both widths: result and memory
 *
 * SUBTEST: alu
 * Description: Each arithmetic command
 *
 * SUBTEST: branch
 * Description: Each comparison, taken and not taken, forward and backward
 *
 * SUBTEST: wait
 * Description: Each comparison of a wait on memory, which the CPU makes true
 *
 * SUBTEST: registers
 * Description: Registers start as zero, add to all operands, and r0 stays zero
 *
 * SUBTEST: zero-length
 * Description: A copy or fill of no bytes touches nothing
 *
 * SUBTEST: linked-list
 * Description: A walk through a list of malloc() in one batch
 *
 * SUBTEST: batch-in-malloc
 * Description: A batch in memory of malloc() migrates and can be written again
 *
 * SUBTEST: malformed
 * Description: Each malformed command ends the batch, names itself and has no effect
 *
 * SUBTEST: misaligned
 * Description: Atomics and branches that are out of line end the batch
 *
 * SUBTEST: fetch-fault
 * Description: A batch that is not there, or has no end
 *
 * SUBTEST: error-keeps
 * Description: The latest error stays until the next, and the queue goes on
 *
 * SUBTEST: syncobj-signal
 * Description: A binary syncobj signals when the batch has ended
 *
 * SUBTEST: syncobj-wait
 * Description: A batch waits for a binary syncobj that another queue signals
 *
 * SUBTEST: syncobj-chain
 * Description: Batches on many queues, each waiting for the one before
 *
 * SUBTEST: timeline
 * Description: Points of a timeline, waited for and signalled, beyond 32 bits
 *
 * SUBTEST: syncobj-many
 * Description: As many syncs as one exec takes
 *
 * SUBTEST: syncobj-error
 * Description: The fence of a batch that failed carries an error
 *
 * SUBTEST: user-fence
 * Description: The GPU writes a user fence after a good batch, not after a bad one
 *
 * SUBTEST: user-fence-fault
 * Description: A user fence that cannot be written is an error of the batch
 *
 * SUBTEST: queue-order
 * Description: Batches of one queue run one after the other, more than its ring holds
 *
 * SUBTEST: queues-parallel
 * Description: Queues of a VM run in parallel: one waits for the other
 *
 * SUBTEST: many-queues
 * Description: Sixteen queues add to the same words
 *
 * SUBTEST: many-vms
 * Description: Queues on several VMs of a process share its memory
 *
 * SUBTEST: many-processes
 * Description: Processes with queues of their own do not disturb each other
 *
 * SUBTEST: destroy-busy
 * Description: Destroying a queue ends its batch and signals with an error
 *
 * SUBTEST: close-busy
 * Description: Closing the device ends what still runs
 *
 * SUBTEST: hang-%s
 * Description: %arg[1] is reset after the time limit, and nobody else notices
 *
 * arg[1]:
 *
 * @wait:		A wait that never becomes true
 * @branch:		An endless loop
 * @fault:		An endless loop over memory that the CPU takes back all the time
 *
 * SUBTEST: hang-cancels
 * Description: Batches behind the one that hung are cancelled, with those that wait for them
 *
 * SUBTEST: time-limit-per-batch
 * Description: Many batches may take longer together than one may
 */

#include <errno.h>
#include <linux/sync_file.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "igt_syncobj.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("The command set, its errors, syncs, queues, hang and reset");

#define PAGE		4096ul
#define PATTERN		0xa5a6a7a8a9aaabacull
#define SECOND		(1000ll * 1000 * 1000)

static struct igt_devmem d;

/*
 * Commands
 */
static void test_empty(void)
{
	igt_devmem_run(&d);
	igt_assert_eq(igt_devmem_queue_query(d.fd, d.queue).errors, 0);
	igt_assert_eq(igt_devmem_queue_query(d.fd, d.queue).flags, DRM_DEVMEM_QUEUE_IDLE);
}

static void test_nop(void)
{
	unsigned int i;

	for (i = 0; i < 1000; i++)
		igt_devmem_emit(&d.batch, (struct drm_devmem_cmd){ .op = DRM_DEVMEM_CMD_NOP });
	igt_devmem_store(&d.batch, d.result, 1, 8);
	igt_devmem_run(&d);
	igt_assert_eq_u64(d.result[0], 1);
}

static void test_store_load(void)
{
	static const size_t offsets[] = { 0, 1, 5, PAGE - 1, PAGE - 3, PAGE - 7, PAGE };
	char *p = igt_devmem_anon_alloc(2 * PAGE);
	unsigned int i, width;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		for (width = 1; width <= 8; width *= 2) {
			uint64_t value = width == 8 ? PATTERN :
						      PATTERN & ((1ull << 8 * width) - 1);

			memset(p, 0x11, 2 * PAGE);
			igt_devmem_store(&d.batch, p + offsets[i], PATTERN, width);
			/* A loaded value is extended with zeros. */
			igt_devmem_alu(&d.batch, 1, 0, DRM_DEVMEM_ALU_ADD, ~0ull);
			igt_devmem_load(&d.batch, 1, p + offsets[i], width);
			igt_devmem_store_reg(&d.batch, d.result, 1, 8);
			igt_devmem_run(&d);
			igt_assert_eq_u64(d.result[0], value);
			igt_assert(!memcmp(p + offsets[i], &value, width));
			igt_assert_eq(p[offsets[i] + width], 0x11);
			if (offsets[i])
				igt_assert_eq(p[offsets[i] - 1], 0x11);
		}
	}
	igt_devmem_anon_free(p, 2 * PAGE);
}

static void test_copy(void)
{
	static const struct {
		size_t to, from, size;
	} copies[] = {
		{ 0, 0, 1 }, { 0, 0, 7 }, { 1, 2, 63 }, { 4090, 4, 12 }, { 3, 4093, 8 },
		{ 0, 0, PAGE }, { 5, 4091, PAGE }, { 17, 4095, 3 * PAGE + 1 },
	};
	const size_t size = 5 * PAGE;
	unsigned char *from = igt_devmem_anon_alloc(size), *to = igt_devmem_anon_alloc(size);
	unsigned int i;
	size_t j;

	for (j = 0; j < size; j++)
		from[j] = j * 7 + j / 251;
	for (i = 0; i < ARRAY_SIZE(copies); i++) {
		size_t end = copies[i].to + copies[i].size;

		memset(to, 0xee, size);
		igt_devmem_copy(&d.batch, to + copies[i].to, from + copies[i].from,
				copies[i].size);
		igt_devmem_run(&d);
		igt_assert(!memcmp(to + copies[i].to, from + copies[i].from, copies[i].size));
		for (j = 0; j < size; j++)
			if (j < copies[i].to || j >= end)
				igt_assert_eq(to[j], 0xee);
	}
	igt_devmem_anon_free(to, size);
	igt_devmem_anon_free(from, size);
}

static void test_fill(void)
{
	static const size_t starts[] = { 0, 3, PAGE - 5 }, sizes[] = { 1, 8, 13, 4099, 2 * PAGE };
	const size_t size = 4 * PAGE;
	unsigned char *p = igt_devmem_anon_alloc(size);
	const uint64_t pattern = PATTERN;
	unsigned int i, k, width;
	size_t j;

	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		for (k = 0; k < ARRAY_SIZE(sizes); k++) {
			for (width = 1; width <= 8; width *= 2) {
				memset(p, 0x11, size);
				igt_devmem_fill(&d.batch, p + starts[i], PATTERN, width, sizes[k]);
				igt_devmem_run(&d);
				for (j = 0; j < sizes[k]; j++)
					igt_assert_eq(p[starts[i] + j],
						      ((unsigned char *)&pattern)[j % width]);
				igt_assert_eq(p[starts[i] + sizes[k]], 0x11);
				if (starts[i])
					igt_assert_eq(p[starts[i] - 1], 0x11);
			}
		}
	}
	igt_devmem_anon_free(p, size);
}

static void test_atomic(void)
{
	const uint64_t old = 0xf0f1f2f3f4f5f6f7ull, operand = 0x8182838485868788ull;
	static const struct {
		unsigned int sub;
		bool matches;
		uint64_t result;
	} atomics[] = {
		{ DRM_DEVMEM_ATOMIC_ADD, false,
		  0xf0f1f2f3f4f5f6f7ull + 0x8182838485868788ull },
		{ DRM_DEVMEM_ATOMIC_AND, false, 0xf0f1f2f3f4f5f6f7ull & 0x8182838485868788ull },
		{ DRM_DEVMEM_ATOMIC_OR, false, 0xf0f1f2f3f4f5f6f7ull | 0x8182838485868788ull },
		{ DRM_DEVMEM_ATOMIC_XOR, false, 0xf0f1f2f3f4f5f6f7ull ^ 0x8182838485868788ull },
		{ DRM_DEVMEM_ATOMIC_XCHG, false, 0x8182838485868788ull },
		{ DRM_DEVMEM_ATOMIC_CMPXCHG, true, 0x8182838485868788ull },
		{ DRM_DEVMEM_ATOMIC_CMPXCHG, false, 0xf0f1f2f3f4f5f6f7ull },
	};
	uint64_t *p = igt_devmem_anon_alloc(PAGE);
	unsigned int i, width;

	for (i = 0; i < ARRAY_SIZE(atomics); i++) {
		for (width = 4; width <= 8; width += 4) {
			uint64_t mask = width == 4 ? 0xffffffff : ~0ull;

			p[1] = old;
			p[2] = PATTERN;
			igt_devmem_emit(&d.batch, (struct drm_devmem_cmd){
				.op = DRM_DEVMEM_CMD_ATOMIC, .sub = atomics[i].sub,
				.width = width, .rd = 4, .a = (uintptr_t)&p[1],
				.b = operand, .c = atomics[i].matches ? old : old ^ 1,
			});
			igt_devmem_store_reg(&d.batch, d.result, 4, 8);
			igt_devmem_run(&d);
			igt_assert_eq_u64(d.result[0], old & mask);
			igt_assert_eq_u64(p[1], (atomics[i].result & mask) | (old & ~mask));
			igt_assert_eq_u64(p[2], PATTERN);
		}
	}

	/* A sum of 32 bits does not carry over into the next word. */
	p[1] = 0xffffffff;
	igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, &p[1], 1, 4);
	igt_devmem_run(&d);
	igt_assert_eq_u64(p[1], 0);
	igt_devmem_anon_free(p, PAGE);
}

static void test_alu(void)
{
	static const struct {
		unsigned int sub;
		uint64_t a, b, result;
	} sums[] = {
		{ DRM_DEVMEM_ALU_ADD, ~0ull, 2, 1 },
		{ DRM_DEVMEM_ALU_SUB, 1, 2, ~0ull },
		{ DRM_DEVMEM_ALU_MUL, 0x100000001ull, 0x300000005ull, 0x800000005ull },
		{ DRM_DEVMEM_ALU_AND, 0xff00ff00ff00ff00ull, 0xffff0000ffff0000ull,
		  0xff000000ff000000ull },
		{ DRM_DEVMEM_ALU_OR, 0xff00ull, 0xf0ull, 0xfff0ull },
		{ DRM_DEVMEM_ALU_XOR, 0xff00ull, 0x0ff0ull, 0xf0f0ull },
		{ DRM_DEVMEM_ALU_SHL, 1, 63, 1ull << 63 },
		{ DRM_DEVMEM_ALU_SHL, 3, 65, 6 },
		{ DRM_DEVMEM_ALU_SHR, 1ull << 63, 63, 1 },
		{ DRM_DEVMEM_ALU_SHR, 6, 64, 6 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sums); i++) {
		igt_devmem_alu(&d.batch, 5, 0, DRM_DEVMEM_ALU_ADD, sums[i].a);
		igt_devmem_alu(&d.batch, 6, 5, sums[i].sub, sums[i].b);
		igt_devmem_store_reg(&d.batch, d.result + i, 6, 8);
	}
	igt_devmem_run(&d);
	for (i = 0; i < ARRAY_SIZE(sums); i++)
		igt_assert_eq_u64(d.result[i], sums[i].result);
}

static const struct {
	unsigned int sub;
	uint64_t a, b;
	bool result;
} compares[] = {
	{ DRM_DEVMEM_COMPARE_ALWAYS, 1, 2, true },
	{ DRM_DEVMEM_COMPARE_EQ, 7, 7, true },
	{ DRM_DEVMEM_COMPARE_EQ, 7, 8, false },
	{ DRM_DEVMEM_COMPARE_NE, 7, 8, true },
	{ DRM_DEVMEM_COMPARE_NE, 7, 7, false },
	{ DRM_DEVMEM_COMPARE_LT, 1, 0x80000000, true },
	{ DRM_DEVMEM_COMPARE_LT, 0x80000000, 1, false },
	{ DRM_DEVMEM_COMPARE_LT, 1, 1, false },
	{ DRM_DEVMEM_COMPARE_LT, 1, 1ull << 63, true },
	{ DRM_DEVMEM_COMPARE_LT, 1ull << 63, 1, false },
	{ DRM_DEVMEM_COMPARE_GE, 1, 1, true },
	{ DRM_DEVMEM_COMPARE_GE, 0xffffffff, 1, true },
	{ DRM_DEVMEM_COMPARE_GE, ~0ull, 1, true },
	{ DRM_DEVMEM_COMPARE_GE, 1, 2, false },
};

static void test_branch(void)
{
	unsigned int i, back;

	memset(d.result, 0, PAGE);
	for (i = 0; i < ARRAY_SIZE(compares); i++) {
		igt_devmem_alu(&d.batch, 1, 0, DRM_DEVMEM_ALU_ADD, compares[i].a);
		igt_devmem_branch(&d.batch, 1, compares[i].sub, compares[i].b, d.batch.count + 2);
		igt_devmem_store(&d.batch, d.result + i, 1, 8);
	}
	/* Forward over the end to a part that goes back to it. */
	igt_devmem_branch(&d.batch, 0, DRM_DEVMEM_COMPARE_ALWAYS, 0, d.batch.count + 2);
	back = igt_devmem_end(&d.batch);
	igt_devmem_store(&d.batch, d.result + i, 2, 8);
	igt_devmem_branch(&d.batch, 0, DRM_DEVMEM_COMPARE_ALWAYS, 0, back);
	igt_devmem_run(&d);

	for (i = 0; i < ARRAY_SIZE(compares); i++)
		igt_assert_eq_u64(d.result[i], !compares[i].result);
	igt_assert_eq_u64(d.result[i], 2);
}

/* Spin until the GPU has written @value or more, which it does at once or never. */
static void cpu_wait(const uint64_t *word, uint64_t value)
{
	int64_t end = igt_devmem_deadline(20 * SECOND);

	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) < value)
		igt_assert_lt_u64(igt_devmem_deadline(0), end);
}

static void test_wait(void)
{
	uint64_t *p = igt_devmem_shared_alloc(PAGE);
	unsigned int i, width;

	/* p[0] is what the GPU waits for, p[1] says how far it has come. */
	for (i = 0; i < ARRAY_SIZE(compares); i++) {
		if (!compares[i].result)
			continue;
		for (width = 4; width <= 8; width += 4)
			igt_devmem_wait(&d.batch, p, compares[i].sub, compares[i].b, width);
		igt_devmem_store(&d.batch, &p[1], i + 1, 8);
	}
	/* Only what the mask selects counts, and only four bytes of these. */
	p[2] = 0xdeadbeef00000ff0ull;
	igt_devmem_emit(&d.batch, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_WAIT, .sub = DRM_DEVMEM_COMPARE_EQ, .width = 4,
		.a = (uintptr_t)&p[2], .b = 0xf0, .c = 0xff,
	});
	igt_devmem_wait(&d.batch, &p[2], DRM_DEVMEM_COMPARE_EQ, 0xff0, 4);
	/* One that stays untrue for a while. */
	igt_devmem_wait(&d.batch, &p[3], DRM_DEVMEM_COMPARE_GE, 5, 8);
	igt_devmem_store(&d.batch, &p[4], 1, 8);
	igt_devmem_submit(&d);

	for (i = 0; i < ARRAY_SIZE(compares); i++) {
		if (!compares[i].result)
			continue;
		__atomic_store_n(&p[0], compares[i].a, __ATOMIC_SEQ_CST);
		cpu_wait(&p[1], i + 1);
	}
	for (i = 1; i < 5; i++) {
		__atomic_store_n(&p[3], i, __ATOMIC_SEQ_CST);
		igt_assert(!igt_devmem_done(&d, SECOND / 50));
		igt_assert_eq_u64(p[4], 0);
	}
	__atomic_store_n(&p[3], 5, __ATOMIC_SEQ_CST);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	igt_assert_eq_u64(p[4], 1);
	igt_devmem_shared_free(p, PAGE);
}

static void test_registers(void)
{
	unsigned int i, reg;

	/* Twice, because the first run leaves something behind. */
	for (i = 0; i < 2; i++) {
		memset(d.result, 0xff, 16 * 8);
		for (reg = 0; reg < DRM_DEVMEM_NUM_REGS; reg++)
			igt_devmem_store_reg(&d.batch, d.result + reg, reg, 8);
		for (reg = 0; reg < DRM_DEVMEM_NUM_REGS; reg++)
			igt_devmem_alu(&d.batch, reg, 0, DRM_DEVMEM_ALU_ADD, reg + 100);
		for (reg = 0; reg < DRM_DEVMEM_NUM_REGS; reg++)
			igt_devmem_store_reg(&d.batch, d.result + 16 + reg, reg, 8);
		igt_devmem_run(&d);
		for (reg = 0; reg < DRM_DEVMEM_NUM_REGS; reg++) {
			igt_assert_eq_u64(d.result[reg], 0);
			igt_assert_eq_u64(d.result[16 + reg], reg ? reg + 100 : 0);
		}
	}

	/* All three operands are sums: copy r3 + 4 bytes from r2 + 8 to r1 + 16. */
	memset(d.result, 0x5a, 512);
	memset(d.result + 64, 0, 512);
	igt_devmem_alu(&d.batch, 1, 0, DRM_DEVMEM_ALU_ADD, (uintptr_t)(d.result + 64));
	igt_devmem_alu(&d.batch, 2, 0, DRM_DEVMEM_ALU_ADD, (uintptr_t)d.result);
	igt_devmem_alu(&d.batch, 3, 0, DRM_DEVMEM_ALU_ADD, 20);
	igt_devmem_emit(&d.batch, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_COPY, .ra = 1, .rb = 2, .rc = 3, .a = 16, .b = 8, .c = 4,
	});
	igt_devmem_run(&d);
	igt_assert_eq_u64(d.result[65], 0);
	igt_devmem_expect_words(d.result + 66, 0x5a5a5a5a5a5a5a5aull, 24);
	igt_assert_eq_u64(d.result[69], 0);
}

static void test_zero_length(void)
{
	d.result[0] = 1;
	igt_devmem_fill(&d.batch, d.result, 2, 8, 0);
	igt_devmem_copy(&d.batch, d.result, d.result + 1, 0);
	igt_devmem_fill(&d.batch, NULL, 2, 8, 0);
	igt_devmem_copy(&d.batch, NULL, NULL, 0);
	igt_devmem_store(&d.batch, d.result + 1, 3, 8);
	igt_devmem_run(&d);
	igt_assert_eq_u64(d.result[0], 1);
	igt_assert_eq_u64(d.result[1], 3);
}

struct node {
	struct node *next;
	uint64_t value;
	char other[48];
};

static void test_linked_list(void)
{
	const unsigned int count = 500;
	struct node *head = NULL, *node;
	unsigned int i, loop;

	for (i = 0; i < count; i++) {
		node = malloc(sizeof(*node));
		igt_assert(node);
		node->next = head;
		node->value = i;
		head = node;
	}

	/* r1 is the node, r2 its value, r3 the sum; each value is then doubled. */
	igt_devmem_alu(&d.batch, 1, 0, DRM_DEVMEM_ALU_ADD, (uintptr_t)head);
	loop = igt_devmem_emit(&d.batch, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_LOAD, .width = 8, .rd = 2,
		.ra = 1, .a = offsetof(struct node, value),
	});
	igt_devmem_emit(&d.batch, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_ALU, .sub = DRM_DEVMEM_ALU_ADD, .rd = 3, .ra = 3, .rb = 2,
	});
	igt_devmem_alu(&d.batch, 2, 2, DRM_DEVMEM_ALU_SHL, 1);
	igt_devmem_emit(&d.batch, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_STORE, .width = 8,
		.ra = 1, .a = offsetof(struct node, value), .rb = 2,
	});
	igt_devmem_emit(&d.batch, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_LOAD, .width = 8, .rd = 1,
		.ra = 1, .a = offsetof(struct node, next),
	});
	igt_devmem_branch(&d.batch, 1, DRM_DEVMEM_COMPARE_NE, 0, loop);
	igt_devmem_store_reg(&d.batch, d.result, 3, 8);
	igt_devmem_run(&d);

	igt_assert_eq_u64(d.result[0], count * (count - 1) / 2);
	for (i = count; i-- > 0; head = node) {
		igt_assert_eq_u64(head->value, 2 * i);
		node = head->next;
		free(head);
	}
	igt_assert(!head);
}

static void test_batch_in_malloc(void)
{
	struct igt_devmem_batch shared = d.batch;
	unsigned int i;

	igt_require(igt_devmem_get_param(d.fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY));
	d.batch.max = 256;
	d.batch.cmds = igt_devmem_anon_alloc(256 * DRM_DEVMEM_CMD_SIZE);
	for (i = 0; i < 5; i++) {
		igt_devmem_poke(&d, d.result, i);
		igt_assert_eq_u64(d.result[0], i);
		igt_assert(igt_devmem_location_is(&d, d.batch.cmds, PAGE,
						  DRM_DEVMEM_LOCATION_DEVICE));
	}
	igt_devmem_anon_free(d.batch.cmds, 256 * DRM_DEVMEM_CMD_SIZE);
	d.batch = shared;
}

/*
 * Errors
 */
#define CMD(o, ...) { .op = DRM_DEVMEM_CMD_##o, ##__VA_ARGS__ }

static const struct drm_devmem_cmd malformed[] = {
	{ .op = DRM_DEVMEM_CMD_BRANCH + 1 }, { .op = 0x80 }, { .op = 0xff },
	/* no such variant */
	CMD(END, .sub = 1), CMD(NOP, .sub = 1), CMD(STORE, .sub = 1, .width = 8),
	CMD(LOAD, .sub = 1, .width = 8), CMD(COPY, .sub = 1), CMD(FILL, .sub = 1, .width = 8),
	CMD(ATOMIC, .sub = 6, .width = 8), CMD(WAIT, .sub = 5, .width = 8), CMD(ALU, .sub = 8),
	CMD(BRANCH, .sub = 5), CMD(ATOMIC, .sub = 255, .width = 8), CMD(ALU, .sub = 255),
	/* no such width */
	CMD(END, .width = 8), CMD(NOP, .width = 1), CMD(STORE), CMD(STORE, .width = 3),
	CMD(STORE, .width = 5), CMD(STORE, .width = 16), CMD(STORE, .width = 255), CMD(LOAD),
	CMD(LOAD, .width = 6), CMD(COPY, .width = 8), CMD(FILL), CMD(FILL, .width = 7),
	CMD(ATOMIC), CMD(ATOMIC, .width = 1), CMD(ATOMIC, .width = 2), CMD(ATOMIC, .width = 16),
	CMD(WAIT), CMD(WAIT, .width = 1), CMD(WAIT, .width = 2), CMD(ALU, .width = 8),
	CMD(BRANCH, .width = 8),
	/* a result that the command does not have */
	CMD(END, .rd = 1), CMD(NOP, .rd = 1), CMD(STORE, .rd = 1, .width = 8), CMD(COPY, .rd = 1),
	CMD(FILL, .rd = 1, .width = 8), CMD(WAIT, .rd = 1, .width = 8), CMD(BRANCH, .rd = 1),
	/* no such register */
	CMD(LOAD, .rd = 16, .width = 8), CMD(ALU, .rd = 255), CMD(STORE, .ra = 16, .width = 8),
	CMD(STORE, .rb = 16, .width = 8), CMD(COPY, .rc = 16), CMD(FILL, .rc = 255, .width = 8),
	CMD(NOP, .ra = 16), CMD(ATOMIC, .rc = 17, .width = 4), CMD(BRANCH, .rb = 128),
	/* padding */
	CMD(END, .pad = 1), CMD(NOP, .pad = 1), CMD(STORE, .pad = 1, .width = 8),
	CMD(LOAD, .pad = 255, .width = 8), CMD(COPY, .pad = 1), CMD(FILL, .pad = 1, .width = 8),
	CMD(ATOMIC, .pad = 1, .width = 8), CMD(WAIT, .pad = 1, .width = 8), CMD(ALU, .pad = 1),
	CMD(BRANCH, .pad = 1),
};

static void expect_error(enum drm_devmem_error error, unsigned int command)
{
	const struct drm_devmem_cmd *failing = &d.batch.cmds[command];
	struct drm_devmem_queue_query query = igt_devmem_queue_query(d.fd, d.queue);
	uint32_t before = query.errors;

	igt_assert_eq(__igt_devmem_run(&d), error);
	query = igt_devmem_queue_query(d.fd, d.queue);
	igt_assert_eq(query.errors, before + 1);
	igt_assert_eq_u64(query.command_addr, (uintptr_t)failing);
	igt_assert_eq(query.flags, DRM_DEVMEM_QUEUE_IDLE);
}

static void test_malformed(void)
{
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(malformed); i++) {
		struct drm_devmem_cmd cmd = malformed[i];

		igt_debug("command %u: op %u sub %u width %u\n", i, cmd.op, cmd.sub, cmd.width);
		for (k = 0; k < 3; k++)
			d.result[k] = 1;
		if (cmd.op != DRM_DEVMEM_CMD_ALU && cmd.op != DRM_DEVMEM_CMD_BRANCH) {
			cmd.a = (uintptr_t)&d.result[1];
			cmd.b = cmd.op == DRM_DEVMEM_CMD_COPY ? (uintptr_t)&d.result[3] : 2;
			cmd.c = 8;
		}
		igt_devmem_store(&d.batch, &d.result[0], 2, 8);
		igt_devmem_emit(&d.batch, cmd);
		igt_devmem_store(&d.batch, &d.result[2], 2, 8);
		expect_error(DRM_DEVMEM_ERROR_COMMAND, 1);
		igt_assert_eq_u64(d.result[0], 2);
		igt_assert_eq_u64(d.result[1], 1);
		igt_assert_eq_u64(d.result[2], 1);
	}
	igt_devmem_poke(&d, d.result, 5);
	igt_assert_eq_u64(d.result[0], 5);
}

static void test_misaligned(void)
{
	static const unsigned int offsets[] = { 1, 2, 3, 4, 5, 7, PAGE - 4, PAGE - 2 };
	uint64_t *p = igt_devmem_anon_alloc(2 * PAGE);
	struct drm_devmem_queue_query query;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		char *addr = (char *)p + offsets[i];

		igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, addr, 1, 8);
		expect_error(DRM_DEVMEM_ERROR_ALIGNMENT, 0);
		query = igt_devmem_queue_query(d.fd, d.queue);
		igt_assert_eq_u64(query.fault_addr, (uintptr_t)addr);
		if (offsets[i] % 4) {
			igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, addr, 1, 4);
			expect_error(DRM_DEVMEM_ERROR_ALIGNMENT, 0);
		}
	}
	igt_devmem_expect_words(p, 0, 2 * PAGE);

	for (i = 1; i < DRM_DEVMEM_CMD_SIZE; i *= 2) {
		igt_devmem_emit(&d.batch, (struct drm_devmem_cmd){
			.op = DRM_DEVMEM_CMD_BRANCH, .c = 2 * DRM_DEVMEM_CMD_SIZE + i,
		});
		igt_devmem_store(&d.batch, p, 1, 8);
		igt_devmem_store(&d.batch, p, 2, 8);
		expect_error(DRM_DEVMEM_ERROR_ALIGNMENT, 0);
		query = igt_devmem_queue_query(d.fd, d.queue);
		igt_assert_eq_u64(query.fault_addr,
				  (uintptr_t)&d.batch.cmds[2] + i);
	}
	igt_assert_eq_u64(p[0], 0);
	igt_devmem_anon_free(p, 2 * PAGE);
}

/* Run what is at @batch and return the state of the queue. */
static struct drm_devmem_queue_query run_at(const void *batch)
{
	struct drm_devmem_sync sync = {
		.flags = DRM_DEVMEM_SYNC_SIGNAL, .handle = d.syncobj,
	};

	syncobj_reset(d.fd, &d.syncobj, 1);
	igt_devmem_exec(d.fd, d.queue, batch, &sync, 1);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	return igt_devmem_queue_query(d.fd, d.queue);
}

static void test_fetch_fault(void)
{
	struct drm_devmem_cmd *cmds = igt_devmem_anon_alloc(PAGE);
	struct drm_devmem_queue_query query;
	unsigned int i;

	/* Runs from the last command of a page into nothing. */
	for (i = 0; i < PAGE / sizeof(*cmds); i++)
		cmds[i].op = DRM_DEVMEM_CMD_NOP;
	query = run_at(cmds);
	igt_assert_eq(query.errors, 1);
	igt_assert_eq(query.error, DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq(query.access, DRM_DEVMEM_ACCESS_FETCH);
	igt_assert_eq_u64(query.fault_addr, (uintptr_t)cmds + PAGE);
	igt_assert_eq_u64(query.command_addr, (uintptr_t)cmds + PAGE);

	igt_devmem_anon_free(cmds, PAGE);
	query = run_at(cmds);
	igt_assert_eq(query.errors, 2);
	igt_assert_eq(query.error, DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq(query.access, DRM_DEVMEM_ACCESS_FETCH);
	igt_assert_eq_u64(query.fault_addr, (uintptr_t)cmds);

	query = run_at(NULL);
	igt_assert_eq(query.errors, 3);
	igt_assert_eq_u64(query.fault_addr, 0);
}

static void test_error_keeps(void)
{
	struct drm_devmem_queue_query query, again;
	uint32_t other = igt_devmem_queue_create(d.fd, d.vm);

	query = igt_devmem_queue_query(d.fd, d.queue);
	igt_assert_eq(query.errors, 0);
	igt_assert_eq(query.error, DRM_DEVMEM_ERROR_NONE);

	igt_devmem_load(&d.batch, 1, (void *)64, 8);
	expect_error(DRM_DEVMEM_ERROR_FAULT, 0);
	query = igt_devmem_queue_query(d.fd, d.queue);
	igt_devmem_poke(&d, d.result, 1);
	again = igt_devmem_queue_query(d.fd, d.queue);
	igt_assert(!memcmp(&query, &again, sizeof(query)));

	igt_devmem_emit(&d.batch, (struct drm_devmem_cmd){ .op = 0xff });
	expect_error(DRM_DEVMEM_ERROR_COMMAND, 0);
	again = igt_devmem_queue_query(d.fd, d.queue);
	igt_assert_eq(again.errors, 2);
	igt_assert_eq_u64(again.fault_addr, 0);
	igt_assert_eq(igt_devmem_queue_query(d.fd, other).errors, 0);
	igt_devmem_queue_destroy(d.fd, other);
}

/*
 * Syncs
 */
static void submit(struct igt_devmem_batch *b, uint32_t queue,
		   const struct drm_devmem_sync *syncs, unsigned int num_syncs)
{
	igt_devmem_end(b);
	igt_devmem_exec(d.fd, queue, b->cmds, syncs, num_syncs);
}

static struct drm_devmem_sync wait_for(uint32_t handle)
{
	return (struct drm_devmem_sync){ .handle = handle };
}

static struct drm_devmem_sync signals(uint32_t handle)
{
	return (struct drm_devmem_sync){ .flags = DRM_DEVMEM_SYNC_SIGNAL, .handle = handle };
}

static struct drm_devmem_sync timeline(uint32_t handle, uint64_t point, uint32_t flags)
{
	return (struct drm_devmem_sync){
		.type = DRM_DEVMEM_SYNC_TIMELINE_SYNCOBJ,
		.flags = flags, .handle = handle, .value = point,
	};
}

static struct drm_devmem_sync user_fence(uint64_t *addr, uint64_t value)
{
	return (struct drm_devmem_sync){
		.type = DRM_DEVMEM_SYNC_USER_FENCE, .flags = DRM_DEVMEM_SYNC_SIGNAL,
		.addr = (uintptr_t)addr, .value = value,
	};
}

static bool signalled(uint32_t syncobj, int64_t timeout_ns)
{
	return syncobj_wait(d.fd, &syncobj, 1, igt_devmem_deadline(timeout_ns), 0, NULL);
}

/* 1 for a fence that signalled well, a negative errno for one that did not, or 0. */
static int fence_status(uint32_t syncobj)
{
	struct sync_file_info info = {};
	int fd = syncobj_handle_to_fd(d.fd, syncobj,
				      DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE);

	igt_assert_fd(fd);
	igt_assert_eq(ioctl(fd, SYNC_IOC_FILE_INFO, &info), 0);
	close(fd);
	return info.status;
}

/* A batch that waits until the CPU says so, in d.result[500]. */
#define GATE	(&d.result[500])

static void close_gate(void)
{
	__atomic_store_n(GATE, 0, __ATOMIC_SEQ_CST);
}

static void open_gate(void)
{
	__atomic_store_n(GATE, 1, __ATOMIC_SEQ_CST);
}

static void test_syncobj_signal(void)
{
	uint32_t syncobj = syncobj_create(d.fd, 0);
	struct drm_devmem_sync sync = signals(syncobj);

	close_gate();
	igt_devmem_wait(&d.batch, GATE, DRM_DEVMEM_COMPARE_EQ, 1, 8);
	submit(&d.batch, d.queue, &sync, 1);
	igt_assert(!signalled(syncobj, SECOND / 10));
	igt_assert_eq(fence_status(syncobj), 0);
	igt_assert_eq(igt_devmem_queue_query(d.fd, d.queue).flags, 0);
	open_gate();
	igt_assert(signalled(syncobj, IGT_DEVMEM_TIMEOUT_NS));
	igt_assert_eq(fence_status(syncobj), 1);
	igt_assert_eq(igt_devmem_queue_query(d.fd, d.queue).flags, DRM_DEVMEM_QUEUE_IDLE);
	syncobj_destroy(d.fd, syncobj);
}

static void test_syncobj_wait(void)
{
	uint32_t first = syncobj_create(d.fd, 0), second = syncobj_create(d.fd, 0);
	uint32_t other = igt_devmem_queue_create(d.fd, d.vm);
	struct drm_devmem_sync syncs[2];
	struct igt_devmem_batch b;

	close_gate();
	d.result[0] = 0;
	igt_devmem_wait(&d.batch, GATE, DRM_DEVMEM_COMPARE_EQ, 1, 8);
	igt_devmem_store(&d.batch, d.result, 1, 8);
	syncs[0] = signals(first);
	submit(&d.batch, d.queue, syncs, 1);

	igt_devmem_batch_init(&b, 16);
	igt_devmem_load(&b, 1, d.result, 8);
	igt_devmem_store_reg(&b, d.result + 1, 1, 8);
	igt_devmem_store(&b, d.result + 2, 1, 8);
	syncs[0] = wait_for(first);
	syncs[1] = signals(second);
	d.result[2] = 0;
	submit(&b, other, syncs, 2);

	igt_assert(!signalled(second, SECOND / 10));
	igt_assert_eq_u64(d.result[2], 0);
	open_gate();
	igt_assert(signalled(second, IGT_DEVMEM_TIMEOUT_NS));
	igt_assert(signalled(first, 0));
	igt_assert_eq_u64(d.result[1], 1);
	igt_devmem_batch_fini(&b);
	igt_devmem_queue_destroy(d.fd, other);
	syncobj_destroy(d.fd, first);
	syncobj_destroy(d.fd, second);
}

static void test_syncobj_chain(void)
{
	enum { QUEUES = 8, STEPS = 40 };
	uint32_t queues[QUEUES], syncobjs[STEPS];
	struct igt_devmem_batch b[STEPS];
	uint64_t expected = 0;
	unsigned int i;

	for (i = 0; i < QUEUES; i++)
		queues[i] = igt_devmem_queue_create(d.fd, d.vm);
	d.result[0] = 0;
	for (i = 0; i < STEPS; i++) {
		struct drm_devmem_sync syncs[2];

		/* An order can be told from the result: x = 3 x + i. */
		igt_devmem_batch_init(&b[i], 16);
		igt_devmem_load(&b[i], 1, d.result, 8);
		igt_devmem_alu(&b[i], 1, 1, DRM_DEVMEM_ALU_MUL, 3);
		igt_devmem_alu(&b[i], 1, 1, DRM_DEVMEM_ALU_ADD, i);
		igt_devmem_store_reg(&b[i], d.result, 1, 8);
		expected = expected * 3 + i;
		syncobjs[i] = syncobj_create(d.fd, 0);
		syncs[0] = signals(syncobjs[i]);
		syncs[1] = i ? wait_for(syncobjs[i - 1]) : wait_for(0);
		submit(&b[i], queues[i * 5 % QUEUES], syncs, i ? 2 : 1);
	}
	igt_assert(signalled(syncobjs[STEPS - 1], IGT_DEVMEM_TIMEOUT_NS));
	igt_assert_eq_u64(d.result[0], expected);
	for (i = 0; i < STEPS; i++) {
		igt_devmem_batch_fini(&b[i]);
		syncobj_destroy(d.fd, syncobjs[i]);
	}
	for (i = 0; i < QUEUES; i++)
		igt_devmem_queue_destroy(d.fd, queues[i]);
}

static void test_timeline(void)
{
	static const uint64_t points[] = { 1, 7, 8, 0x100000001ull, 0x100000002ull };
	uint32_t syncobj = syncobj_create(d.fd, 0);
	struct igt_devmem_batch b[ARRAY_SIZE(points)];
	uint32_t queues[ARRAY_SIZE(points)];
	uint64_t now;
	unsigned int i;

	close_gate();
	for (i = 0; i < ARRAY_SIZE(points); i++) {
		struct drm_devmem_sync syncs[2] = {
			timeline(syncobj, points[i], DRM_DEVMEM_SYNC_SIGNAL),
			timeline(syncobj, i ? points[i - 1] : 1, 0),
		};

		queues[i] = igt_devmem_queue_create(d.fd, d.vm);
		igt_devmem_batch_init(&b[i], 16);
		if (!i)
			igt_devmem_wait(&b[i], GATE, DRM_DEVMEM_COMPARE_EQ, 1, 8);
		igt_devmem_store(&b[i], d.result + i, points[i], 8);
		d.result[i] = 0;
		submit(&b[i], queues[i], syncs, i ? 2 : 1);
	}
	usleep(50000);
	syncobj_timeline_query(d.fd, &syncobj, &now, 1);
	igt_assert_eq_u64(now, 0);
	igt_assert_eq_u64(d.result[1], 0);
	open_gate();
	now = points[ARRAY_SIZE(points) - 1];
	igt_assert(syncobj_timeline_wait(d.fd, &syncobj, &now, 1,
					 igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS), 0, NULL));
	syncobj_timeline_query(d.fd, &syncobj, &now, 1);
	igt_assert_eq_u64(now, points[ARRAY_SIZE(points) - 1]);
	for (i = 0; i < ARRAY_SIZE(points); i++) {
		igt_assert_eq_u64(d.result[i], points[i]);
		igt_devmem_queue_destroy(d.fd, queues[i]);
		igt_devmem_batch_fini(&b[i]);
	}
	syncobj_destroy(d.fd, syncobj);
}

static void test_syncobj_many(void)
{
	struct drm_devmem_sync syncs[DRM_DEVMEM_MAX_SYNCS];
	uint32_t handles[DRM_DEVMEM_MAX_SYNCS];
	unsigned int i;

	for (i = 0; i < DRM_DEVMEM_MAX_SYNCS; i++) {
		handles[i] = syncobj_create(d.fd, i % 2 ? DRM_SYNCOBJ_CREATE_SIGNALED : 0);
		syncs[i] = i % 2 ? wait_for(handles[i]) : signals(handles[i]);
	}
	syncs[4] = user_fence(d.result, 77);
	d.result[0] = 0;
	submit(&d.batch, d.queue, syncs, DRM_DEVMEM_MAX_SYNCS);
	for (i = 0; i < DRM_DEVMEM_MAX_SYNCS; i++) {
		if (i != 4)
			igt_assert(signalled(handles[i], IGT_DEVMEM_TIMEOUT_NS));
		syncobj_destroy(d.fd, handles[i]);
	}
	igt_assert_eq_u64(d.result[0], 77);
}

static void test_syncobj_error(void)
{
	igt_devmem_store(&d.batch, NULL, 1, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	igt_assert_lt(fence_status(d.syncobj), 0);
	igt_devmem_emit(&d.batch, (struct drm_devmem_cmd){ .op = 0xff });
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_COMMAND);
	igt_assert_lt(fence_status(d.syncobj), 0);
	igt_devmem_run(&d);
	igt_assert_eq(fence_status(d.syncobj), 1);
}

/* Run d.batch with a user fence besides its syncobj. */
static uint32_t run_with_fence(uint64_t *fence, uint64_t value)
{
	uint32_t before = igt_devmem_queue_query(d.fd, d.queue).errors;
	struct drm_devmem_sync syncs[] = { user_fence(fence, value), signals(d.syncobj) };
	struct drm_devmem_queue_query query;

	syncobj_reset(d.fd, &d.syncobj, 1);
	submit(&d.batch, d.queue, syncs, 2);
	igt_assert(signalled(d.syncobj, IGT_DEVMEM_TIMEOUT_NS));
	d.batch.count = 0;
	query = igt_devmem_queue_query(d.fd, d.queue);
	return query.errors == before ? DRM_DEVMEM_ERROR_NONE : query.error;
}

static void test_user_fence(void)
{
	uint64_t *fence = igt_devmem_anon_alloc(PAGE);

	igt_devmem_store(&d.batch, d.result, 3, 8);
	igt_assert_eq(run_with_fence(fence, PATTERN), DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq_u64(d.result[0], 3);
	igt_assert_eq_u64(fence[0], PATTERN);
	igt_assert_eq_u64(fence[1], 0);

	igt_devmem_load(&d.batch, 1, NULL, 8);
	igt_assert_eq(run_with_fence(fence, 1), DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq_u64(fence[0], PATTERN);

	igt_assert_eq(run_with_fence(&fence[1], 0), DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq(run_with_fence(fence, 0), DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq_u64(fence[0], 0);
	igt_devmem_anon_free(fence, PAGE);
}

static void test_user_fence_fault(void)
{
	uint64_t *fence = igt_devmem_anon_alloc(PAGE);
	struct drm_devmem_queue_query query;

	igt_devmem_anon_free(fence, PAGE);
	igt_devmem_store(&d.batch, d.result, 9, 8);
	igt_assert_eq(run_with_fence(fence, 1), DRM_DEVMEM_ERROR_FAULT);
	igt_assert_eq_u64(d.result[0], 9);
	query = igt_devmem_queue_query(d.fd, d.queue);
	igt_assert_eq_u64(query.fault_addr, (uintptr_t)fence);
	igt_assert_eq(query.access, DRM_DEVMEM_ACCESS_WRITE);
	igt_devmem_poke(&d, d.result, 10);
	igt_assert_eq_u64(d.result[0], 10);
}

/*
 * Queues
 */
static void test_queue_order(void)
{
	enum { BATCHES = 600 };
	struct igt_devmem_batch b;
	uint64_t expected = 0;
	unsigned int i, start;

	d.result[0] = 0;
	igt_devmem_batch_init(&b, BATCHES * 5);
	for (i = 0; i < BATCHES; i++) {
		struct drm_devmem_sync sync = signals(d.syncobj);

		start = igt_devmem_load(&b, 1, d.result, 8);
		igt_devmem_alu(&b, 1, 1, DRM_DEVMEM_ALU_MUL, 3);
		igt_devmem_alu(&b, 1, 1, DRM_DEVMEM_ALU_ADD, i);
		igt_devmem_store_reg(&b, d.result, 1, 8);
		igt_devmem_end(&b);
		expected = expected * 3 + i;
		igt_devmem_exec(d.fd, d.queue, &b.cmds[start], &sync, i == BATCHES - 1);
	}
	igt_assert(signalled(d.syncobj, IGT_DEVMEM_TIMEOUT_NS));
	igt_assert_eq_u64(d.result[0], expected);
	igt_devmem_batch_fini(&b);
}

static void test_queues_parallel(void)
{
	uint32_t other = igt_devmem_queue_create(d.fd, d.vm);
	struct igt_devmem_batch b;

	close_gate();
	igt_devmem_wait(&d.batch, GATE, DRM_DEVMEM_COMPARE_EQ, 1, 8);
	igt_devmem_submit(&d);
	igt_devmem_batch_init(&b, 16);
	igt_devmem_store(&b, GATE, 1, 8);
	submit(&b, other, NULL, 0);
	igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
	igt_devmem_batch_fini(&b);
	igt_devmem_queue_destroy(d.fd, other);
}

/* @adds additions to two words, one of eight bytes and one of four. */
static void emit_adds(struct igt_devmem_batch *b, uint64_t *words, unsigned int adds)
{
	unsigned int loop;

	igt_devmem_alu(b, 1, 0, DRM_DEVMEM_ALU_ADD, 0);
	loop = igt_devmem_atomic(b, DRM_DEVMEM_ATOMIC_ADD, 0, words, 1, 8);
	igt_devmem_atomic(b, DRM_DEVMEM_ATOMIC_ADD, 0, words + 1, 1, 4);
	igt_devmem_alu(b, 1, 1, DRM_DEVMEM_ALU_ADD, 1);
	igt_devmem_branch(b, 1, DRM_DEVMEM_COMPARE_LT, adds, loop);
}

static void test_many_queues(void)
{
	enum { QUEUES = 16, ADDS = 300 };
	uint32_t queues[QUEUES], syncobjs[QUEUES];
	struct igt_devmem_batch b[QUEUES];
	uint64_t *words = igt_devmem_anon_alloc(PAGE);
	unsigned int i;

	for (i = 0; i < QUEUES; i++) {
		struct drm_devmem_sync sync;

		queues[i] = igt_devmem_queue_create(d.fd, d.vm);
		syncobjs[i] = syncobj_create(d.fd, 0);
		sync = signals(syncobjs[i]);
		igt_devmem_batch_init(&b[i], 16);
		emit_adds(&b[i], words, ADDS);
		submit(&b[i], queues[i], &sync, 1);
	}
	for (i = 0; i < QUEUES; i++) {
		igt_assert(signalled(syncobjs[i], IGT_DEVMEM_TIMEOUT_NS));
		igt_assert_eq(igt_devmem_queue_query(d.fd, queues[i]).errors, 0);
		igt_devmem_queue_destroy(d.fd, queues[i]);
		igt_devmem_batch_fini(&b[i]);
		syncobj_destroy(d.fd, syncobjs[i]);
	}
	igt_assert_eq_u64(words[0], QUEUES * ADDS);
	igt_assert_eq_u64(words[1], QUEUES * ADDS);
	igt_devmem_anon_free(words, PAGE);
}

static void test_many_vms(void)
{
	enum { VMS = 4, ROUNDS = 5 };
	struct igt_devmem vms[VMS];
	uint64_t *words = igt_devmem_anon_alloc(PAGE);
	unsigned int i, round;

	for (i = 0; i < VMS; i++)
		igt_devmem_init(&vms[i], d.fd, i % 2 ? DRM_DEVMEM_VM_NO_MIGRATE : 0);
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < VMS; i++) {
			emit_adds(&vms[i].batch, words, 50);
			igt_devmem_submit(&vms[i]);
		}
		for (i = 0; i < VMS; i++) {
			igt_assert(igt_devmem_done(&vms[i], IGT_DEVMEM_TIMEOUT_NS));
			vms[i].batch.count = 0;
			igt_assert_eq(igt_devmem_queue_query(d.fd, vms[i].queue).errors, 0);
		}
	}
	for (i = 0; i < VMS; i++)
		igt_devmem_fini(&vms[i]);
	igt_assert_eq_u64(words[0], VMS * ROUNDS * 50);
	igt_devmem_anon_free(words, PAGE);
}

static void test_many_processes(void)
{
	igt_fork(child, 4) {
		uint64_t *words = igt_devmem_anon_alloc(PAGE);
		unsigned int i;

		igt_devmem_init(&d, drm_reopen_driver(d.fd), 0);
		for (i = 0; i < 20; i++) {
			emit_adds(&d.batch, words, 20 + child);
			igt_devmem_run(&d);
		}
		igt_assert_eq_u64(words[0], 20 * (20 + child));
	}
	igt_waitchildren();
}

static void test_destroy_busy(void)
{
	uint32_t queue = igt_devmem_queue_create(d.fd, d.vm);
	uint32_t running = syncobj_create(d.fd, 0), waiting = syncobj_create(d.fd, 0);
	struct drm_devmem_sync sync = signals(running);

	close_gate();
	igt_devmem_wait(&d.batch, GATE, DRM_DEVMEM_COMPARE_EQ, 1, 8);
	submit(&d.batch, queue, &sync, 1);
	sync = signals(waiting);
	igt_devmem_exec(d.fd, queue, d.batch.cmds, &sync, 1);
	igt_assert(!signalled(running, SECOND / 20));

	igt_devmem_queue_destroy(d.fd, queue);
	igt_assert(signalled(running, 5 * SECOND));
	igt_assert(signalled(waiting, 5 * SECOND));
	igt_assert_lt(fence_status(running), 0);
	igt_assert_lt(fence_status(waiting), 0);
	syncobj_destroy(d.fd, running);
	syncobj_destroy(d.fd, waiting);

	d.batch.count = 0;
	igt_devmem_poke(&d, d.result, 4);
	igt_assert_eq_u64(d.result[0], 4);
}

static void test_close_busy(void)
{
	uint64_t *shared = igt_devmem_shared_alloc(PAGE), *p = igt_devmem_anon_alloc(PAGE);
	struct igt_devmem other;
	int i;

	for (i = 0; i < 3; i++) {
		igt_devmem_init(&other, drm_reopen_driver(d.fd), 0);
		igt_devmem_count_forever(&other, p, shared);
		drm_close_driver(other.fd);
		igt_devmem_expect_stopped(shared);
	}
	igt_devmem_poke(&d, d.result, 4);
	igt_assert_eq_u64(d.result[0], 4);
	igt_devmem_anon_free(p, PAGE);
	igt_devmem_shared_free(shared, PAGE);
}

/*
 * Hang: the module is loaded with a short time limit, which is still long for the
 * batches that do not hang, on a busy machine too.
 */
#define LIMIT_MS	4000

/* The batch in d.batch hangs; a queue of another VM works all the time. */
static void expect_hang(void)
{
	struct drm_devmem_queue_query query;
	struct igt_devmem other;
	int64_t start, ms;
	unsigned int rounds = 0;

	igt_devmem_init(&other, d.fd, 0);
	start = igt_devmem_deadline(0);
	igt_devmem_submit(&d);
	do {
		igt_devmem_poke(&other, other.result, ++rounds);
		igt_assert_eq_u64(other.result[0], rounds);
		ms = (igt_devmem_deadline(0) - start) / 1000000;
		igt_assert_lt_u64(ms, 20 * LIMIT_MS);
	} while (!igt_devmem_done(&d, SECOND / 100));
	igt_info("reset after %lld ms, %u batches elsewhere\n", (long long)ms, rounds);
	igt_assert_lte_u64(LIMIT_MS, ms + LIMIT_MS / 10);

	query = igt_devmem_queue_query(d.fd, d.queue);
	igt_assert_eq(query.flags, DRM_DEVMEM_QUEUE_BANNED | DRM_DEVMEM_QUEUE_IDLE);
	igt_assert_eq(query.errors, 1);
	igt_assert_eq(query.error, DRM_DEVMEM_ERROR_TIMEOUT);
	igt_assert_lt(fence_status(d.syncobj), 0);
	igt_assert_eq(__igt_devmem_exec(d.fd, d.queue, d.batch.cmds, NULL, 0), -ECANCELED);
	igt_assert_eq(igt_devmem_queue_query(d.fd, other.queue).errors, 0);
	igt_devmem_fini(&other);

	/* A new queue on the same VM works. */
	igt_devmem_queue_destroy(d.fd, d.queue);
	d.queue = igt_devmem_queue_create(d.fd, d.vm);
	d.batch.count = 0;
	igt_devmem_poke(&d, d.result, 1);
	igt_assert_eq_u64(d.result[0], 1);
}

static void test_hang_wait(void)
{
	igt_devmem_wait(&d.batch, GATE, DRM_DEVMEM_COMPARE_EQ, 1, 8);
	expect_hang();
}

static void test_hang_branch(void)
{
	igt_devmem_branch(&d.batch, 0, DRM_DEVMEM_COMPARE_ALWAYS, 0, 0);
	expect_hang();
}

static void *touch_until_told(void *arg)
{
	uint64_t *words = arg;

	while (!__atomic_load_n(GATE, __ATOMIC_SEQ_CST))
		__atomic_fetch_add(&words[1], 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void test_hang_fault(void)
{
	uint64_t *words = igt_devmem_anon_alloc(PAGE);
	pthread_t thread;

	close_gate();
	igt_assert_eq(pthread_create(&thread, NULL, touch_until_told, words), 0);
	igt_devmem_atomic(&d.batch, DRM_DEVMEM_ATOMIC_ADD, 0, words, 1, 8);
	igt_devmem_branch(&d.batch, 0, DRM_DEVMEM_COMPARE_ALWAYS, 0, 0);
	expect_hang();
	open_gate();
	igt_assert_eq(pthread_join(thread, NULL), 0);
	igt_assert_lt_u64(0, words[0]);
	igt_devmem_anon_free(words, PAGE);
}

static void test_hang_cancels(void)
{
	uint32_t other = igt_devmem_queue_create(d.fd, d.vm), syncobjs[6];
	struct drm_devmem_sync syncs[2];
	struct igt_devmem_batch b;
	unsigned int i;

	close_gate();
	igt_devmem_batch_init(&b, 16);
	igt_devmem_store(&b, d.result, 1, 8);
	igt_devmem_end(&b);
	d.result[0] = 0;

	for (i = 0; i < ARRAY_SIZE(syncobjs); i++)
		syncobjs[i] = syncobj_create(d.fd, 0);
	igt_devmem_wait(&d.batch, GATE, DRM_DEVMEM_COMPARE_EQ, 1, 8);
	syncs[0] = signals(syncobjs[0]);
	submit(&d.batch, d.queue, syncs, 1);
	for (i = 1; i < 5; i++) {
		syncs[0] = signals(syncobjs[i]);
		igt_devmem_exec(d.fd, d.queue, b.cmds, syncs, 1);
	}
	syncs[0] = wait_for(syncobjs[4]);
	syncs[1] = signals(syncobjs[5]);
	igt_devmem_exec(d.fd, other, b.cmds, syncs, 2);

	for (i = 0; i < ARRAY_SIZE(syncobjs); i++)
		igt_assert(signalled(syncobjs[i], IGT_DEVMEM_TIMEOUT_NS));
	for (i = 0; i < 5; i++)
		igt_assert_lt(fence_status(syncobjs[i]), 0);
	igt_assert_eq(igt_devmem_queue_query(d.fd, d.queue).flags,
		      DRM_DEVMEM_QUEUE_BANNED | DRM_DEVMEM_QUEUE_IDLE);
	igt_assert_eq(igt_devmem_queue_query(d.fd, other).flags, DRM_DEVMEM_QUEUE_IDLE);
	for (i = 0; i < ARRAY_SIZE(syncobjs); i++)
		syncobj_destroy(d.fd, syncobjs[i]);
	igt_devmem_batch_fini(&b);
	igt_devmem_queue_destroy(d.fd, other);
}

#define GROUP		8

/* Batches of which only the last one signals */
static void submit_group(uint32_t syncobj)
{
	struct drm_devmem_sync sync = signals(syncobj);
	unsigned int i;

	for (i = 0; i < GROUP; i++)
		igt_devmem_exec(d.fd, d.queue, d.batch.cmds, &sync, i == GROUP - 1);
}

/* As many adds as take long next to what it takes to submit them, and not next to the limit */
static unsigned int many_adds(void)
{
	unsigned int adds = 100;
	int64_t start, ns;

	for (;;) {
		emit_adds(&d.batch, d.result, adds);
		start = igt_devmem_deadline(0);
		igt_devmem_run(&d);
		ns = igt_devmem_deadline(0) - start;
		if (ns > SECOND / 20)
			return adds;
		adds *= 2;
	}
}

/* While one group of batches is waited for, another one is queued. */
static void test_time_limit_per_batch(void)
{
	uint32_t syncobjs[2] = { d.syncobj, syncobj_create(d.fd, 0) };
	unsigned int round = 0, idle = 0, adds = many_adds();
	int64_t start = igt_devmem_deadline(0), busy_since = start, now = start;

	emit_adds(&d.batch, d.result, adds);
	igt_devmem_end(&d.batch);
	submit_group(syncobjs[0]);
	while (now - busy_since < 3 * LIMIT_MS / 2 * 1000000ll) {
		igt_assert_f(now - start < 20 * LIMIT_MS * 1000000ll,
			     "the queue was idle %u times\n", idle);
		submit_group(syncobjs[++round % 2]);
		igt_assert(signalled(syncobjs[(round + 1) % 2], IGT_DEVMEM_TIMEOUT_NS));
		now = igt_devmem_deadline(0);
		/* Others kept this thread from the CPU for too long. */
		if (igt_devmem_queue_query(d.fd, d.queue).flags & DRM_DEVMEM_QUEUE_IDLE) {
			busy_since = now;
			idle++;
		}
	}
	igt_info("%u batches of %u adds, idle %u times\n", round * GROUP, adds, idle);
	igt_assert(signalled(syncobjs[round % 2], IGT_DEVMEM_TIMEOUT_NS));
	igt_assert_eq(igt_devmem_queue_query(d.fd, d.queue).errors, 0);
	igt_assert_eq(igt_devmem_queue_query(d.fd, d.queue).flags, DRM_DEVMEM_QUEUE_IDLE);
	syncobj_destroy(d.fd, syncobjs[1]);
}

static const struct igt_devmem_subtest tests[] = {
	{ "empty", "A batch that only ends does end", test_empty },
	{ "nop", "Doing nothing for several pages works", test_nop },
	{ "store-load", "Stores and loads have the width they say", test_store_load },
	{ "copy", "A copy writes just its bytes", test_copy },
	{ "fill", "A fill writes just its bytes", test_fill },
	{ "atomic", "An atomic does what it says and returns the old value", test_atomic },
	{ "alu", "Arithmetic is right", test_alu },
	{ "branch", "Comparisons are unsigned and right", test_branch },
	{ "wait", "A wait ends when, and only when, it is true", test_wait },
	{ "registers", "Registers are part of each operand and private to a batch",
	  test_registers },
	{ "zero-length", "No bytes means no access", test_zero_length },
	{ "linked-list", "The GPU follows pointers of the process", test_linked_list },
	{ "batch-in-malloc", "A batch is memory like any other", test_batch_in_malloc },
	{ "malformed", "What is malformed is refused and told", test_malformed },
	{ "misaligned", "What is out of line is refused and told", test_misaligned },
	{ "fetch-fault", "Fetching commands can fail like any access", test_fetch_fault },
	{ "error-keeps", "The latest error can be read at any later time", test_error_keeps },
	{ "syncobj-signal", "A syncobj signals at the end, not before", test_syncobj_signal },
	{ "syncobj-wait", "A batch does not start before what it waits for", test_syncobj_wait },
	{ "syncobj-chain", "Dependencies hold across queues", test_syncobj_chain },
	{ "timeline", "Points of a timeline work in both directions", test_timeline },
	{ "syncobj-many", "The documented number of syncs is accepted", test_syncobj_many },
	{ "syncobj-error", "Who waits can learn that a batch failed", test_syncobj_error },
	{ "user-fence", "A user fence says that a batch ended well", test_user_fence },
	{ "user-fence-fault", "A bad user fence is an error, not a hang", test_user_fence_fault },
	{ "queue-order", "A queue is in order, however much is queued", test_queue_order },
	{ "queues-parallel", "A queue does not wait for another", test_queues_parallel },
	{ "many-queues", "Atomics are atomic between queues", test_many_queues },
	{ "many-vms", "VMs of a process see the same memory", test_many_vms },
	{ "many-processes", "Processes work side by side", test_many_processes },
	{ "destroy-busy", "Nobody waits forever for a destroyed queue", test_destroy_busy },
	{ "close-busy", "The device can be closed at any time", test_close_busy },
};

static const struct igt_devmem_subtest hang_tests[] = {
	{ "hang-wait", "A wait that never ends is ended", test_hang_wait },
	{ "hang-branch", "A loop that never ends is ended", test_hang_branch },
	{ "hang-fault", "A loop of faults that never ends is ended", test_hang_fault },
	{ "hang-cancels", "What is behind a hang signals too", test_hang_cancels },
	{ "time-limit-per-batch", "A busy queue is not a hung queue",
	  test_time_limit_per_batch },
};

static void run(void (*test)(void))
{
	igt_devmem_init(&d, igt_devmem_open(), 0);
	test();
	igt_devmem_fini(&d);
	drm_close_driver(d.fd);
}

static void run_with_limit(void (*test)(void))
{
	char options[64];

	snprintf(options, sizeof(options), "job_timeout_ms=%d", LIMIT_MS);
	igt_devmem_reload(options);
	run(test);
}

int igt_main()
{
	unsigned int i = 0;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		igt_describe(tests[i].describe);
		igt_subtest(tests[i].name)
			run(tests[i].test);
	}

	for (i = 0; i < ARRAY_SIZE(hang_tests); i++) {
		igt_describe(hang_tests[i].describe);
		igt_subtest(hang_tests[i].name)
			run_with_limit(hang_tests[i].test);
	}

	igt_fixture()
		igt_devmem_restore();
}
