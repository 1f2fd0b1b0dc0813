// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */
#include "test.h"

static void put_entry(struct machine *m, u64 tail, u64 src, u64 dst, u64 size,
		      u32 op, u32 flags)
{
	*(struct gpu_copy *)gpu_env_vram(&m->env, m->copy_ring +
		tail % COPY_RING_SIZE * sizeof(struct gpu_copy)) =
		(struct gpu_copy) {
			.src = cpu_to_le64(src),
			.dst = cpu_to_le64(dst),
			.size = cpu_to_le64(size),
			.op = cpu_to_le32(op),
			.flags = cpu_to_le32(flags),
		};
}

static void submit(struct machine *m, u64 src, u64 dst, u64 size, u32 op,
		   u32 flags)
{
	u64 tail = machine_rd(m, GPU_REG_COPY_TAIL);

	put_entry(m, tail, src, dst, size, op, flags);
	machine_wr(m, GPU_REG_COPY_TAIL, tail + 1);
}

static bool idle(struct machine *m)
{
	return machine_wait(m, GPU_REG_COPY_HEAD, ~0ull,
			    machine_rd(m, GPU_REG_COPY_TAIL));
}

static void test_random_copies(struct machine *m)
{
	static u8 src[8 * ENV_PAGE], want[8 * ENV_PAGE], got[8 * ENV_PAGE];
	u64 half = 8 * ENV_PAGE;
	u32 i, j;

	for (j = 0; j < sizeof(src); j++)
		src[j] = test_random();
	for (i = 0; i < 120; i++) {
		bool from_bus = i & 1, to_bus = i & 2, clear = i % 5 == 0;
		u64 from_va = (from_bus ? SYS_VA : VRAM_VA) + half;
		u64 to_va = to_bus ? SYS_VA : VRAM_VA;
		u64 from = from_bus ? ENV_BUS_BASE + half : m->vram + half;
		u64 to = to_bus ? ENV_BUS_BASE : m->vram;
		u32 a = test_random() % (2 * ENV_PAGE);
		u32 b = test_random() % (2 * ENV_PAGE);
		u32 size = test_random() % (i % 3 ? 100 : 5 * ENV_PAGE);

		memset(want, 0x5a, sizeof(want));
		machine_put(m, from_va, src, sizeof(src));
		machine_put(m, to_va, want, sizeof(want));
		if (clear) {
			memset(want + a, 0, size);
			submit(m, ~0ull, to + a, size, GPU_COPY_OP_CLEAR,
			       to_bus ? GPU_COPY_DST_SYSTEM : 0);
		} else {
			memcpy(want + a, src + b, size);
			submit(m, from + b, to + a, size, GPU_COPY_OP_COPY,
			       (to_bus ? GPU_COPY_DST_SYSTEM : 0) |
			       (from_bus ? GPU_COPY_SRC_SYSTEM : 0));
		}
		CHECK(idle(m));
		machine_get(m, to_va, got, sizeof(got));
		CHECK(!memcmp(got, want, sizeof(want)));
	}
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_ERRORS), 0);
	CHECK_EQ(machine_rd(m, GPU_REG_STATUS), 0);
}

static void test_errors(struct machine *m)
{
	u64 size = machine_rd(m, GPU_REG_VRAM_SIZE);
	const struct gpu_copy bad[] = {
		{ 0, 0, 8, 2, 0 },
		{ 0, 0, 8, GPU_COPY_OP_COPY, 4 },
		{ 0, 0, 8, GPU_COPY_OP_CLEAR, GPU_COPY_SRC_SYSTEM },
		{ size - 4, 0, 8, GPU_COPY_OP_COPY, 0 },
		{ 0, size - 4, 8, GPU_COPY_OP_COPY, 0 },
		{ 0, size, 8, GPU_COPY_OP_CLEAR, 0 },
		{ 0, 4096, ~0ull, GPU_COPY_OP_CLEAR, 0 },
		{ ~0ull, 0, 8, GPU_COPY_OP_COPY, 0 },
		{ ~0ull, 0, 8, GPU_COPY_OP_COPY, GPU_COPY_SRC_SYSTEM },
		{ 0, ~3ull, 8, GPU_COPY_OP_CLEAR, GPU_COPY_DST_SYSTEM },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		submit(m, bad[i].src, bad[i].dst, bad[i].size, bad[i].op,
		       bad[i].flags);
		CHECK(idle(m));
		CHECK_EQ(machine_rd(m, GPU_REG_COPY_ERRORS), i + 1);
		CHECK_EQ(machine_rd(m, GPU_REG_COPY_ERROR_ENTRY), i);
	}
	CHECK_EQ(machine_rd(m, GPU_REG_STATUS), 0);

	/* The next one is not held up; of no bytes it does nothing. */
	submit(m, m->vram, m->vram, 0, GPU_COPY_OP_COPY, 0);
	submit(m, size, size, 0, GPU_COPY_OP_COPY, 0);
	CHECK(idle(m));
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_ERRORS), ARRAY_SIZE(bad));
}

static void test_bus_errors(struct machine *m)
{
	u64 bus = ENV_BUS_BASE;

	WRITE_ONCE(m->env.bus_mode[1], 0);
	WRITE_ONCE(m->env.bus_mode[2], ENV_BUS_READ);
	submit(m, bus, m->vram, 2 * ENV_PAGE, GPU_COPY_OP_COPY,
	       GPU_COPY_SRC_SYSTEM);
	CHECK(idle(m));
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_ERRORS), 1);
	CHECK_EQ(machine_rd(m, GPU_REG_STATUS), GPU_STATUS_BUS_ERROR);
	submit(m, m->vram, bus + 2 * ENV_PAGE, 8, GPU_COPY_OP_COPY,
	       GPU_COPY_DST_SYSTEM);
	submit(m, 0, bus + 2 * ENV_PAGE, 8, GPU_COPY_OP_CLEAR,
	       GPU_COPY_DST_SYSTEM);
	submit(m, bus, bus + 2 * ENV_PAGE, 8, GPU_COPY_OP_COPY,
	       GPU_COPY_SRC_SYSTEM | GPU_COPY_DST_SYSTEM);
	submit(m, bus + 2 * ENV_PAGE, m->vram, 8, GPU_COPY_OP_COPY,
	       GPU_COPY_SRC_SYSTEM);
	CHECK(idle(m));
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_ERRORS), 4);
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_ERROR_ENTRY), 3);
	CHECK_EQ(m->env.bus_errors, 4);
}

static void test_ring(struct machine *m)
{
	u32 i;

	for (i = 0; i < 100; i++) {
		machine_put64(m, VRAM_VA, i);
		submit(m, m->vram, ENV_BUS_BASE + 8 * i, 8, GPU_COPY_OP_COPY,
		       GPU_COPY_DST_SYSTEM);
		CHECK(idle(m));
	}
	for (i = 0; i < 100; i++)
		CHECK_EQ(machine_get64(m, SYS_VA + 8 * i), i);

	/* In order: each takes what the one before made. */
	machine_put64(m, VRAM_VA, 4711);
	for (i = 0; i < COPY_RING_SIZE; i++)
		submit(m, m->vram + 8 * i, m->vram + 8 * i + 8, 8,
		       GPU_COPY_OP_COPY, 0);
	CHECK(idle(m));
	CHECK_EQ(machine_get64(m, VRAM_VA + 8 * COPY_RING_SIZE), 4711);
	CHECK_EQ(((u64 *)gpu_env_vram(&m->env, m->copy_ring + 8 * 32))[0], 0);
	CHECK(machine_rd(m, GPU_REG_IRQ_STATUS) & GPU_IRQ_COPY);

	/* Doorbells out of range */
	machine_wr(m, GPU_REG_COPY_TAIL,
		   machine_rd(m, GPU_REG_COPY_TAIL) + COPY_RING_SIZE + 1);
	machine_wr(m, GPU_REG_COPY_TAIL, 0);
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_TAIL), 100 + COPY_RING_SIZE);
}

static void test_start_stop(struct machine *m)
{
	static const u64 bad[] = { 3, GPU_MAX_RING_ENTRIES * 2, 1ull << 63 };
	size_t i;

	submit(m, 0, m->vram, 8, 7, 0);
	CHECK(idle(m));
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_ERRORS), 1);

	/* Fixed while it runs */
	machine_wr(m, GPU_REG_COPY_BASE, 0);
	machine_wr(m, GPU_REG_COPY_SIZE, 4);
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_BASE), m->copy_ring);
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_SIZE), COPY_RING_SIZE);

	machine_wr(m, GPU_REG_COPY_SIZE, 0);
	machine_wr(m, GPU_REG_COPY_TAIL, 2);
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_TAIL), 1);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		machine_wr(m, GPU_REG_COPY_SIZE, bad[i]);
		CHECK_EQ(machine_rd(m, GPU_REG_COPY_SIZE), 0);
	}

	machine_wr(m, GPU_REG_COPY_SIZE, COPY_RING_SIZE);
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_SIZE), COPY_RING_SIZE);
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_HEAD), 0);
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_TAIL), 0);
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_ERRORS), 0);
	machine_put64(m, VRAM_VA, 5);
	submit(m, 0, m->vram, 8, GPU_COPY_OP_CLEAR, 0);
	CHECK(idle(m));
	CHECK_EQ(machine_get64(m, VRAM_VA), 0);
}

/* Clearing does not give a backing to what is zero anyway. */
static void test_sparse_clear(struct machine *m)
{
	u64 addr = machine_alloc(m, 1024), touched;

	*(u64 *)gpu_env_vram(&m->env, addr + 5 * ENV_PAGE) = 1;
	submit(m, m->vram, m->vram, 0, GPU_COPY_OP_COPY, 0);
	touched = gpu_env_vram_touched(&m->env);
	submit(m, 0, addr, 1024 * ENV_PAGE, GPU_COPY_OP_CLEAR, 0);
	CHECK(idle(m));
	CHECK_EQ(*(u64 *)gpu_env_vram(&m->env, addr + 5 * ENV_PAGE), 0);
	CHECK_EQ(gpu_env_vram_touched(&m->env), touched);
}

static void test_no_memory(struct machine *m)
{
	u64 addr = machine_alloc(m, 2);

	submit(m, m->vram, m->vram, 8, GPU_COPY_OP_COPY, 0);
	CHECK(idle(m));
	WRITE_ONCE(m->env.vram_fail, true);
	submit(m, m->vram, addr, 8, GPU_COPY_OP_COPY, 0);
	submit(m, addr, m->vram, 8, GPU_COPY_OP_COPY, 0);
	CHECK(idle(m));
	CHECK_EQ(machine_rd(m, GPU_REG_COPY_ERRORS), 2);
	CHECK_EQ(machine_rd(m, GPU_REG_STATUS), GPU_STATUS_BUS_ERROR);
}

static void ack_irq(struct gpu_env *env)
{
	devmem_gpu_write(env->gpu, GPU_REG_IRQ_STATUS, GPU_IRQ_COPY);
}

/* One interrupt for all that was there, not one for each. */
static void test_irq(struct machine *m)
{
	u32 i;

	m->env.irq = ack_irq;
	machine_wr(m, GPU_REG_IRQ_ENABLE, GPU_IRQ_COPY);
	for (i = 0; i < COPY_RING_SIZE; i++)
		put_entry(m, i, m->vram, m->vram + ENV_PAGE, ENV_PAGE,
			  GPU_COPY_OP_COPY, 0);
	machine_wr(m, GPU_REG_COPY_TAIL, COPY_RING_SIZE);
	CHECK(idle(m));
	/* Stopping waits for the thread and its interrupt. */
	machine_wr(m, GPU_REG_COPY_SIZE, 0);
	CHECK_EQ(__atomic_load_n(&m->env.irqs, __ATOMIC_SEQ_CST), 1);
}

const struct test copy_tests[] = {
	{ "copy: random copies and clears", test_random_copies },
	{ "copy: malformed entries", test_errors },
	{ "copy: bus errors", test_bus_errors },
	{ "copy: ring", test_ring },
	{ "copy: start and stop", test_start_stop },
	{ "copy: clear of untouched VRAM", test_sparse_clear },
	{ "copy: allocation of VRAM fails", test_no_memory },
	{ "copy: interrupt", test_irq },
	{ }
};
