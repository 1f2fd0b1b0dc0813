// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */
#include "test.h"

#define RESULT	(VRAM_VA + AREA_PAGES * ENV_PAGE - ENV_PAGE)
#define PATTERN	0x8877665544332211ull

static const u32 widths[] = { 1, 2, 4, 8 };

static u64 width_mask(u32 width)
{
	return width == 8 ? ~0ull : (1ull << (8 * width)) - 1;
}

/* Both kinds of memory, aligned and not, within a page and across two. */
static const u64 places[] = {
	VRAM_VA, VRAM_VA + 8, VRAM_VA + 13, VRAM_VA + ENV_PAGE - 1,
	VRAM_VA + ENV_PAGE - 5, SYS_VA, SYS_VA + 3, SYS_VA + ENV_PAGE - 3,
	SYS_VA + ENV_PAGE - 8,
};

static void test_store(struct machine *m)
{
	u64 value, around;
	size_t i, w;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		for (w = 0; w < ARRAY_SIZE(widths); w++) {
			around = ~0ull;
			machine_put(m, places[i], &around, 8);
			CHECK_EQ(RUN(m, CMD(STORE, .width = widths[w],
					    .a = places[i], .b = PATTERN)), 0);
			machine_get(m, places[i], &value, 8);
			CHECK_EQ(value, (PATTERN & width_mask(widths[w])) |
				 ~width_mask(widths[w]));
		}
	}
}

static void test_load(struct machine *m)
{
	u64 value = PATTERN;
	size_t i, w;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		for (w = 0; w < ARRAY_SIZE(widths); w++) {
			machine_put(m, places[i], &value, 8);
			CHECK_EQ(RUN(m, CMD(ALU, .rd = 5, .a = ~0ull),
				     CMD(LOAD, .width = widths[w], .rd = 5,
					 .a = places[i]),
				     CMD(STORE, .width = 8, .a = RESULT,
					 .rb = 5)), 0);
			CHECK_EQ(machine_get64(m, RESULT),
				 PATTERN & width_mask(widths[w]));
		}
	}
}

static void test_registers(struct machine *m)
{
	u32 i, n;

	/* Zero at the start of each batch, whatever the ones before left. */
	for (n = 0; n < 2 * DRM_DEVMEM_NUM_REGS; n++) {
		i = n % (DRM_DEVMEM_NUM_REGS - 1) + 1;
		CHECK_EQ(RUN(m, CMD(STORE, .width = 8, .a = RESULT, .b = 7,
				    .rb = i),
			     CMD(ALU, .rd = i, .a = 1000 + i),
			     CMD(STORE, .width = 8, .a = RESULT + 8, .rb = i),
			     CMD(STORE, .width = 8, .ra = i,
				 .a = RESULT + 16 - 1000 - i, .b = 9)), 0);
		CHECK_EQ(machine_get64(m, RESULT), 7);
		CHECK_EQ(machine_get64(m, RESULT + 8), 1000 + i);
		CHECK_EQ(machine_get64(m, RESULT + 16), 9);
		machine_put64(m, RESULT + 16, 0);
	}

	/* r0 drops what it is given. */
	machine_put64(m, VRAM_VA, 5);
	CHECK_EQ(RUN(m, CMD(LOAD, .width = 8, .rd = 0, .a = VRAM_VA),
		     CMD(ALU, .rd = 0, .a = 5),
		     CMD(STORE, .width = 8, .a = RESULT, .b = 1)), 0);
	CHECK_EQ(machine_get64(m, RESULT), 1);
}

static u64 alu_reference(u32 sub, u64 a, u64 b)
{
	switch (sub) {
	case DRM_DEVMEM_ALU_ADD:
		return a + b;
	case DRM_DEVMEM_ALU_SUB:
		return a - b;
	case DRM_DEVMEM_ALU_MUL:
		return a * b;
	case DRM_DEVMEM_ALU_AND:
		return a & b;
	case DRM_DEVMEM_ALU_OR:
		return a | b;
	case DRM_DEVMEM_ALU_XOR:
		return (a | b) & ~(a & b);
	case DRM_DEVMEM_ALU_SHL:
		return a << (b % 64);
	default:
		return a >> (b % 64);
	}
}

static void test_alu(struct machine *m)
{
	u32 i, sub;

	for (sub = 0; sub <= DRM_DEVMEM_ALU_SHR; sub++) {
		for (i = 0; i < 20; i++) {
			u64 a = test_random(), b = test_random();

			CHECK_EQ(RUN(m, CMD(ALU, .sub = sub, .rd = 15, .a = a,
					    .b = b),
				     CMD(STORE, .width = 8, .a = RESULT,
					 .rb = 15)), 0);
			CHECK_EQ(machine_get64(m, RESULT),
				 alu_reference(sub, a, b));
		}
	}
}

static u64 atomic_reference(u32 sub, u64 old, u64 b, u64 c)
{
	switch (sub) {
	case DRM_DEVMEM_ATOMIC_ADD:
		return old + b;
	case DRM_DEVMEM_ATOMIC_AND:
		return old & b;
	case DRM_DEVMEM_ATOMIC_OR:
		return old | b;
	case DRM_DEVMEM_ATOMIC_XOR:
		return old ^ b;
	case DRM_DEVMEM_ATOMIC_XCHG:
		return b;
	default:
		return old == c ? b : old;
	}
}

static void test_atomic(struct machine *m)
{
	static const u64 vas[] = { VRAM_VA, VRAM_VA + 24, SYS_VA + 8 };
	u32 i, sub, width;

	for (i = 0; i < 60; i++) {
		for (sub = 0; sub <= DRM_DEVMEM_ATOMIC_CMPXCHG; sub++) {
			u64 va = vas[i % ARRAY_SIZE(vas)];
			u64 old = test_random(), b = test_random();
			u64 c = i % 4 ? old : test_random();
			u64 mask, want;

			width = i % 2 ? 4 : 8;
			mask = width_mask(width);
			want = (atomic_reference(sub, old & mask, b & mask,
						 c & mask) & mask) |
			       (old & ~mask);
			machine_put64(m, va, old);
			CHECK_EQ(RUN(m, CMD(ATOMIC, .width = width, .sub = sub,
					    .rd = 3, .a = va, .b = b, .c = c),
				     CMD(STORE, .width = 8, .a = RESULT,
					 .rb = 3)), 0);
			CHECK_EQ(machine_get64(m, va), want);
			CHECK_EQ(machine_get64(m, RESULT), old & mask);
		}
	}
}

static bool compare_reference(u32 sub, u64 a, u64 b)
{
	switch (sub) {
	case DRM_DEVMEM_COMPARE_EQ:
		return a == b;
	case DRM_DEVMEM_COMPARE_NE:
		return a != b;
	case DRM_DEVMEM_COMPARE_LT:
		return a < b;
	case DRM_DEVMEM_COMPARE_GE:
		return a >= b;
	default:
		return true;
	}
}

static const u64 compared[][2] = {
	{ 0, 0 }, { 0, 1 }, { 1, 0 }, { 5, 5 }, { ~0ull, 1 }, { 1, ~0ull },
	{ 1ull << 63, 1 }, { 1, 1ull << 63 }, { 1ull << 32, 0 },
};

static void test_branch(struct machine *m)
{
	size_t i;
	u32 sub;

	for (sub = 0; sub <= DRM_DEVMEM_COMPARE_GE; sub++) {
		for (i = 0; i < ARRAY_SIZE(compared); i++) {
			u64 a = compared[i][0], b = compared[i][1];

			machine_put64(m, RESULT, 2);
			CHECK_EQ(RUN(m, CMD(BRANCH, .sub = sub, .a = a, .b = b,
					    .c = 64),
				     CMD(STORE, .width = 8, .a = RESULT,
					 .b = 1)), 0);
			CHECK_EQ(machine_get64(m, RESULT),
				 compare_reference(sub, a, b) ? 2 : 1);
		}
	}

	/* A loop backwards, and a target in a register */
	CHECK_EQ(RUN(m, CMD(ALU, .rd = 1, .ra = 1, .a = 1),
		     CMD(ALU, .rd = 2, .ra = 2, .rb = 1),
		     CMD(BRANCH, .sub = DRM_DEVMEM_COMPARE_LT, .ra = 1,
			 .b = 100, .c = -64ull),
		     CMD(ALU, .rd = 4, .a = 32),
		     CMD(BRANCH, .rc = 4, .c = 32),
		     CMD(ALU, .rd = 2),
		     CMD(STORE, .width = 8, .a = RESULT, .rb = 2)), 0);
	CHECK_EQ(machine_get64(m, RESULT), 5050);

	/* Not taken, its target does not matter. */
	CHECK_EQ(RUN(m, CMD(BRANCH, .sub = DRM_DEVMEM_COMPARE_NE, .c = 3)), 0);
}

static void test_wait(struct machine *m)
{
	size_t i;
	u32 sub;

	for (sub = 0; sub <= DRM_DEVMEM_COMPARE_GE; sub++) {
		for (i = 0; i < ARRAY_SIZE(compared); i++) {
			u64 a = compared[i][0], b = compared[i][1];

			if (!compare_reference(sub, a, b))
				continue;
			machine_put64(m, VRAM_VA, a);
			CHECK_EQ(RUN(m, CMD(WAIT, .width = 8, .sub = sub,
					    .a = VRAM_VA, .b = b, .c = ~0ull)), 0);
		}
	}

	/* Half of a word, and not aligned */
	machine_put64(m, SYS_VA, 0xffffffff00000007ull);
	CHECK_EQ(RUN(m, CMD(WAIT, .width = 4, .sub = DRM_DEVMEM_COMPARE_EQ,
			    .a = SYS_VA, .b = 7, .c = ~0ull)), 0);
	CHECK_EQ(RUN(m, CMD(WAIT, .width = 4, .sub = DRM_DEVMEM_COMPARE_EQ,
			    .a = SYS_VA + 2, .b = 0xffff0000, .c = ~0ull)), 0);
	/* The mask */
	CHECK_EQ(RUN(m, CMD(WAIT, .width = 8, .sub = DRM_DEVMEM_COMPARE_EQ,
			    .a = SYS_VA, .b = 3, .c = 3)), 0);
}

static void test_wait_for_cpu(struct machine *m)
{
	static const u64 vas[] = { VRAM_VA, SYS_VA };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(vas); i++) {
		machine_put64(m, RESULT, 0);
		SUBMIT(m, 0, CMD(WAIT, .width = 8, .sub = DRM_DEVMEM_COMPARE_GE,
				 .a = vas[i], .b = 10, .c = ~1ull),
		       CMD(STORE, .width = 8, .a = RESULT, .b = 1));
		CHECK(machine_wait(m, GPU_REG_QUEUE(0, GPU_QUEUE_STATUS), ~0ull,
				   GPU_QUEUE_STATUS_RUNNING));
		machine_put64(m, vas[i], 9);
		usleep(5000);
		CHECK_EQ(machine_get64(m, RESULT), 0);
		CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_STATUS),
			 GPU_QUEUE_STATUS_RUNNING);
		machine_put64(m, vas[i], 11);
		CHECK(machine_idle(m, 0));
		CHECK_EQ(machine_get64(m, RESULT), 1);
	}
}

static void test_fill(struct machine *m)
{
	static u8 want[3 * ENV_PAGE + 64], got[sizeof(want)];
	u32 i, j;

	for (i = 0; i < 200; i++) {
		u32 width = widths[i % 4];
		u64 value = test_random();
		u64 base = i % 8 < 4 ? VRAM_VA : SYS_VA;
		u32 start = test_random() % 64;
		u32 size = test_random() % (i % 3 ? 64 : 3 * ENV_PAGE);

		if (i % 5 == 0)
			start = ENV_PAGE - 1 - i % 7;
		if (start + size > sizeof(want))
			size = sizeof(want) - start;
		memset(want, 0xa5, sizeof(want));
		machine_put(m, base, want, sizeof(want));
		for (j = 0; j < size; j++)
			want[start + j] = value >> (8 * (j % width));
		CHECK_EQ(RUN(m, CMD(FILL, .width = width, .a = base + start,
				    .b = value, .c = size)), 0);
		machine_get(m, base, got, sizeof(got));
		CHECK(!memcmp(got, want, sizeof(want)));
	}
}

static void test_copy(struct machine *m)
{
	static u8 src[8 * ENV_PAGE], want[8 * ENV_PAGE], got[8 * ENV_PAGE];
	u64 half = 8 * ENV_PAGE;
	u32 i, j;

	for (j = 0; j < sizeof(src); j++)
		src[j] = test_random();
	for (i = 0; i < 120; i++) {
		u64 from = (i & 1 ? VRAM_VA : SYS_VA) + half;
		u64 to = i & 2 ? VRAM_VA : SYS_VA;
		u32 a = test_random() % (2 * ENV_PAGE);
		u32 b = test_random() % (2 * ENV_PAGE);
		u32 size = test_random() % (i % 3 ? 100 : 5 * ENV_PAGE);

		memset(want, 0x5a, sizeof(want));
		machine_put(m, from, src, sizeof(src));
		machine_put(m, to, want, sizeof(want));
		memcpy(want + a, src + b, size);
		CHECK_EQ(RUN(m, CMD(COPY, .a = to + a, .b = from + b,
				    .c = size)), 0);
		machine_get(m, to, got, sizeof(got));
		CHECK(!memcmp(got, want, sizeof(want)));
	}
}

static void check_malformed(struct machine *m, struct drm_devmem_cmd cmd)
{
	struct gpu_job job;

	machine_put64(m, VRAM_VA, 77);
	machine_put64(m, RESULT, 0);
	CHECK_EQ(RUN_JOB(m, &job, CMD(NOP), cmd,
			 CMD(STORE, .width = 8, .a = RESULT, .b = 1)),
		 GPU_JOB_ERROR_COMMAND);
	CHECK_EQ(le64_to_cpu(job.error_pc), CODE_VA + 32);
	CHECK_EQ(le64_to_cpu(job.error_va), 0);
	CHECK_EQ(machine_get64(m, VRAM_VA), 77);
	CHECK_EQ(machine_get64(m, RESULT), 0);
}

static void test_malformed(struct machine *m)
{
	/* For each command: valid widths, variants, and whether rd is used. */
	static const struct {
		u8 op, widths[5], subs, rd;
	} ops[] = {
		{ DRM_DEVMEM_CMD_END, { 0 }, 1, 0 },
		{ DRM_DEVMEM_CMD_NOP, { 0 }, 1, 0 },
		{ DRM_DEVMEM_CMD_STORE, { 1, 2, 4, 8 }, 1, 0 },
		{ DRM_DEVMEM_CMD_LOAD, { 1, 2, 4, 8 }, 1, 1 },
		{ DRM_DEVMEM_CMD_COPY, { 0 }, 1, 0 },
		{ DRM_DEVMEM_CMD_FILL, { 1, 2, 4, 8 }, 1, 0 },
		{ DRM_DEVMEM_CMD_ATOMIC, { 4, 8 }, 6, 1 },
		{ DRM_DEVMEM_CMD_WAIT, { 4, 8 }, 5, 0 },
		{ DRM_DEVMEM_CMD_ALU, { 0 }, 8, 1 },
		{ DRM_DEVMEM_CMD_BRANCH, { 0 }, 5, 0 },
	};
	struct drm_devmem_cmd good, bad;
	u32 width;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		good = (struct drm_devmem_cmd) {
			.op = ops[i].op, .width = ops[i].widths[0],
			.a = VRAM_VA, .b = VRAM_VA, .c = 1,
		};
		for (width = 0; width < 256; width++) {
			if (memchr(ops[i].widths, width,
				   ops[i].widths[0] ? strlen((char *)ops[i].widths) : 1))
				continue;
			bad = good;
			bad.width = width;
			check_malformed(m, bad);
		}
		bad = good;
		bad.sub = ops[i].subs;
		check_malformed(m, bad);
		bad.sub = 255;
		check_malformed(m, bad);
		bad = good;
		bad.rd = ops[i].rd ? 16 : 1;
		check_malformed(m, bad);
		bad = good;
		bad.ra = 16;
		check_malformed(m, bad);
		bad = good;
		bad.rb = 255;
		check_malformed(m, bad);
		bad = good;
		bad.rc = 16;
		check_malformed(m, bad);
		bad = good;
		bad.pad = 1;
		check_malformed(m, bad);
	}
	for (i = DRM_DEVMEM_CMD_BRANCH + 1; i < 256; i++) {
		bad = (struct drm_devmem_cmd) { .op = i };
		check_malformed(m, bad);
	}
}

static void check_alignment(struct machine *m, u64 va, struct drm_devmem_cmd cmd)
{
	struct gpu_job job;

	CHECK_EQ(RUN_JOB(m, &job, cmd), GPU_JOB_ERROR_ALIGNMENT);
	CHECK_EQ(le64_to_cpu(job.error_va), va);
	CHECK_EQ(le64_to_cpu(job.error_pc), CODE_VA);
}

static void test_alignment(struct machine *m)
{
	struct gpu_job *job;
	u32 i;

	machine_put64(m, VRAM_VA, 77);
	for (i = 1; i < 8; i++) {
		check_alignment(m, VRAM_VA + i,
				CMD(ATOMIC, .width = 8, .a = VRAM_VA + i, .b = 1));
		if (i % 4)
			check_alignment(m, VRAM_VA + i,
					CMD(ATOMIC, .width = 4, .a = VRAM_VA + i,
					    .b = 1));
	}
	CHECK_EQ(machine_get64(m, VRAM_VA), 77);
	for (i = 1; i < 32; i++)
		check_alignment(m, CODE_VA + i, CMD(BRANCH, .c = i));

	for (i = 1; i < 32; i++) {
		u64 number = machine_queue_rd(m, 0, GPU_QUEUE_TAIL);

		machine_submit(m, 0, CODE_VA + i, 0, 0);
		CHECK(machine_idle(m, 0));
		job = machine_job(m, 0, number);
		CHECK_EQ(le32_to_cpu(job->error), GPU_JOB_ERROR_ALIGNMENT);
		CHECK_EQ(le64_to_cpu(job->error_va), CODE_VA + i);
	}
}

#define ADDERS	20000

static int cpu_adder(void *data)
{
	u64 *word = data;
	u32 i;

	for (i = 0; i < ADDERS; i++)
		__atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
	return 0;
}

/* Queues and CPU threads add to the same words, in both kinds of memory. */
static void test_atomic_concurrent(struct machine *m)
{
	struct gpu_thread threads[2];
	u32 i;

	for (i = 1; i < NUM_QUEUES; i++)
		CHECK(machine_enable(m, i, 1, RING_SIZE));
	CHECK_EQ(gpu_thread_start(&threads[0], cpu_adder,
				  machine_ptr(m, SYS_VA), "add", 0), 0);
	CHECK_EQ(gpu_thread_start(&threads[1], cpu_adder,
				  machine_ptr(m, VRAM_VA), "add", 1), 0);
	for (i = 0; i < NUM_QUEUES; i++)
		SUBMIT(m, i,
		       CMD(ATOMIC, .width = 8, .a = SYS_VA, .b = 1),
		       CMD(ATOMIC, .width = 8, .a = VRAM_VA, .b = 1),
		       CMD(ALU, .rd = 1, .ra = 1, .a = 1),
		       CMD(BRANCH, .sub = DRM_DEVMEM_COMPARE_LT, .ra = 1,
			   .b = ADDERS, .c = -96ull));
	for (i = 0; i < 2; i++)
		gpu_thread_join(&threads[i]);
	for (i = 0; i < NUM_QUEUES; i++)
		CHECK(machine_idle(m, i));
	CHECK_EQ(machine_get64(m, SYS_VA), (NUM_QUEUES + 1) * ADDERS);
	CHECK_EQ(machine_get64(m, VRAM_VA), (NUM_QUEUES + 1) * ADDERS);
}

struct teller {
	struct machine *m;
	bool torn;
	bool stop;
};

static int read_word(void *data)
{
	struct teller *t = data;
	u64 *word = machine_ptr(t->m, SYS_VA);
	u64 value;

	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED)) {
		value = __atomic_load_n(word, __ATOMIC_RELAXED);
		if (value != 0 && value != ~0ull)
			t->torn = true;
	}
	return 0;
}

/* An aligned store is seen whole or not at all. */
static void test_single_copy(struct machine *m)
{
	struct teller teller = { .m = m };
	struct gpu_thread thread;
	u32 error;

	CHECK_EQ(gpu_thread_start(&thread, read_word, &teller, "read", 0), 0);
	error = RUN(m, CMD(STORE, .width = 8, .a = SYS_VA, .b = ~0ull),
		    CMD(STORE, .width = 8, .a = SYS_VA),
		    CMD(ALU, .rd = 1, .ra = 1, .a = 1),
		    CMD(BRANCH, .sub = DRM_DEVMEM_COMPARE_LT, .ra = 1,
			.b = 20000, .c = -96ull));
	__atomic_store_n(&teller.stop, true, __ATOMIC_RELAXED);
	gpu_thread_join(&thread);
	CHECK_EQ(error, 0);
	CHECK(!teller.torn);
}

const struct test exec_tests[] = {
	{ "exec: store", test_store },
	{ "exec: load", test_load },
	{ "exec: registers", test_registers },
	{ "exec: alu", test_alu },
	{ "exec: atomic", test_atomic },
	{ "exec: branch", test_branch },
	{ "exec: wait", test_wait },
	{ "exec: wait for the CPU", test_wait_for_cpu },
	{ "exec: fill", test_fill },
	{ "exec: copy", test_copy },
	{ "exec: malformed commands", test_malformed },
	{ "exec: alignment", test_alignment },
	{ "exec: atomics of queues and CPU threads", test_atomic_concurrent },
	{ "exec: aligned stores are not torn", test_single_copy },
	{ }
};
