// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */
#include "test.h"

#define WAIT_FOREVER \
	CMD(WAIT, .width = 8, .sub = DRM_DEVMEM_COMPARE_EQ, .a = VRAM_VA, \
	    .b = 1, .c = ~0ull)

static u32 job_error(struct machine *m, u32 queue, u64 number)
{
	return le32_to_cpu(machine_job(m, queue, number)->error);
}

static void do_abort(struct machine *m, u32 queue)
{
	machine_queue_wr(m, queue, GPU_QUEUE_CTRL,
			 GPU_QUEUE_CTRL_ENABLE | GPU_QUEUE_CTRL_ABORT);
}

static bool running(struct machine *m, u32 queue)
{
	return machine_wait(m, GPU_REG_QUEUE(queue, GPU_QUEUE_STATUS), ~0ull,
			    GPU_QUEUE_STATUS_RUNNING);
}

static void test_ring_wrap(struct machine *m)
{
	u64 code = LOAD(m, 0,
			CMD(ATOMIC, .width = 8, .a = VRAM_VA, .b = 1), CMD(END));
	u32 submitted = 0;

	CHECK(machine_enable(m, 1, 1, 4));
	while (submitted < 100) {
		u64 head = machine_queue_rd(m, 1, GPU_QUEUE_HEAD);

		if (submitted - head == 4) {
			usleep(10);
			continue;
		}
		machine_submit(m, 1, code, 0, 0);
		submitted++;
	}
	CHECK(machine_idle(m, 1));
	CHECK_EQ(machine_queue_rd(m, 1, GPU_QUEUE_HEAD), 100);
	CHECK_EQ(machine_get64(m, VRAM_VA), 100);
	/* The entry behind the ring was left alone. */
	CHECK_EQ(((u64 *)gpu_env_vram(&m->env, m->ring[1] + 4 * 64))[0], 0);
}

static void test_bad_doorbell(struct machine *m)
{
	static const u64 bad[] = { RING_SIZE + 1, ~0ull, 1ull << 32 };
	size_t i;

	machine_queue_wr(m, 1, GPU_QUEUE_TAIL, 1);
	CHECK_EQ(machine_queue_rd(m, 1, GPU_QUEUE_TAIL), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		machine_queue_wr(m, 0, GPU_QUEUE_TAIL, bad[i]);
		CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_TAIL), 0);
	}
	SUBMIT(m, 0, WAIT_FOREVER);
	SUBMIT(m, 0, CMD(NOP));
	machine_queue_wr(m, 0, GPU_QUEUE_TAIL, 1);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_TAIL), 2);
}

static void test_bad_enable(struct machine *m)
{
	const struct {
		u64 base, size, vmid;
	} bad[] = {
		{ m->ring[1], 0, 1 }, { m->ring[1], 3, 1 },
		{ m->ring[1], GPU_MAX_RING_ENTRIES * 2, 1 },
		{ m->ring[1] + 8, 4, 1 }, { ~0xfffull, 4, 1 },
		{ m->env.vram_pages * ENV_PAGE, 4, 1 },
		{ (m->env.vram_pages - 1) * ENV_PAGE, 128, 1 },
		{ m->ring[1], 4, 0 }, { m->ring[1], 4, NUM_VMIDS },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		machine_queue_wr(m, 1, GPU_QUEUE_BASE, bad[i].base);
		machine_queue_wr(m, 1, GPU_QUEUE_SIZE, bad[i].size);
		machine_queue_wr(m, 1, GPU_QUEUE_VMID, bad[i].vmid);
		machine_queue_wr(m, 1, GPU_QUEUE_CTRL, GPU_QUEUE_CTRL_ENABLE);
		CHECK_EQ(machine_queue_rd(m, 1, GPU_QUEUE_CTRL), 0);
	}

	/* Nothing of it changes while the queue is enabled. */
	machine_queue_wr(m, 0, GPU_QUEUE_BASE, 0);
	machine_queue_wr(m, 0, GPU_QUEUE_SIZE, 0);
	machine_queue_wr(m, 0, GPU_QUEUE_VMID, 0);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_BASE), m->ring[0]);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_SIZE), RING_SIZE);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_VMID), 1);
}

static void test_abort_wait(struct machine *m)
{
	SUBMIT(m, 0, WAIT_FOREVER);
	SUBMIT(m, 0, WAIT_FOREVER);
	CHECK(running(m, 0));
	do_abort(m, 0);
	CHECK(machine_wait(m, GPU_REG_QUEUE(0, GPU_QUEUE_HEAD), ~0ull, 1));
	CHECK_EQ(job_error(m, 0, 0), GPU_JOB_ERROR_ABORTED);
	/* Only the one that was running. */
	CHECK(running(m, 0));
	usleep(10000);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_HEAD), 1);
	machine_put64(m, VRAM_VA, 1);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(job_error(m, 0, 1), 0);
}

static void test_abort_loop(struct machine *m)
{
	SUBMIT(m, 0, CMD(BRANCH));
	CHECK(running(m, 0));
	do_abort(m, 0);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_CTRL), GPU_QUEUE_CTRL_ENABLE);
	CHECK_EQ(job_error(m, 0, 0), GPU_JOB_ERROR_ABORTED);
}

static void test_abort_long(struct machine *m)
{
	u64 va = 0x700000000000ull;
	__le64 *slot;
	u32 i, level;

	/* One page, mapped all over 512 GiB */
	machine_map(m, 1, va, 0, m->vram | PTE_RW);
	for (level = 0; level < 3; level++) {
		slot = machine_pte(m, 1, va, level);
		for (i = 1; i < GPU_PT_ENTRIES; i++)
			slot[i] = slot[0];
	}
	CHECK_EQ(RUN(m, CMD(FILL, .width = 8, .a = va, .c = 0x200000)), 0);

	SUBMIT(m, 0, CMD(FILL, .width = 8, .a = va, .c = 1ull << 38));
	CHECK(running(m, 0));
	do_abort(m, 0);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(job_error(m, 0, 1), GPU_JOB_ERROR_ABORTED);

	SUBMIT(m, 0, CMD(COPY, .a = va, .b = va + 4096, .c = 1ull << 38));
	CHECK(running(m, 0));
	do_abort(m, 0);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(job_error(m, 0, 2), GPU_JOB_ERROR_ABORTED);
}

static void test_abort_idle(struct machine *m)
{
	do_abort(m, 0);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_CTRL), GPU_QUEUE_CTRL_ENABLE);
	CHECK_EQ(RUN(m, CMD(NOP)), 0);
}

static void test_disable_aborts_all(struct machine *m)
{
	u64 code = LOAD(m, 0, WAIT_FOREVER, CMD(END));
	u32 i;

	for (i = 0; i < RING_SIZE; i++)
		machine_submit(m, 0, code, VRAM_VA + 8, 1);
	CHECK(running(m, 0));
	machine_queue_wr(m, 0, GPU_QUEUE_CTRL, 0);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_CTRL), 0);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_STATUS), 0);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_HEAD), RING_SIZE);
	for (i = 0; i < RING_SIZE; i++)
		CHECK_EQ(job_error(m, 0, i), GPU_JOB_ERROR_ABORTED);
	CHECK_EQ(machine_get64(m, VRAM_VA + 8), 0);

	/* It starts afresh. */
	CHECK(machine_enable(m, 0, 1, RING_SIZE));
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_HEAD), 0);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_TAIL), 0);
	CHECK_EQ(RUN(m, CMD(NOP)), 0);
}

static void test_fences(struct machine *m)
{
	u64 code = LOAD(m, 0, CMD(STORE, .width = 8, .a = SYS_VA, .b = 1),
			CMD(END));

	machine_submit(m, 0, code, VRAM_VA, 0x1122334455667788ull);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(machine_get64(m, VRAM_VA), 0x1122334455667788ull);
	CHECK_EQ(machine_get64(m, SYS_VA), 1);

	/* None after an error, and none out of line. */
	LOAD(m, 0, CMD(NOP, .pad = 1));
	machine_submit(m, 0, code, VRAM_VA, 2);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(job_error(m, 0, 1), GPU_JOB_ERROR_COMMAND);
	CHECK_EQ(machine_get64(m, VRAM_VA), 0x1122334455667788ull);

	LOAD(m, 0, CMD(END));
	machine_submit(m, 0, code, VRAM_VA + 4, 2);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(job_error(m, 0, 2), GPU_JOB_ERROR_ALIGNMENT);
	CHECK_EQ(le64_to_cpu(machine_job(m, 0, 2)->error_va), VRAM_VA + 4);
	CHECK_EQ(machine_get64(m, VRAM_VA), 0x1122334455667788ull);
}

/* Whoever sees the fence sees what the batch wrote before. */
static void test_fence_order(struct machine *m)
{
	u64 code = LOAD(m, 0,
			CMD(LOAD, .width = 8, .rd = 1, .a = VRAM_VA),
			CMD(FILL, .width = 8, .a = SYS_VA, .rb = 1, .b = 1,
			    .c = ENV_PAGE),
			CMD(STORE, .width = 8, .a = VRAM_VA, .rb = 1, .b = 1),
			CMD(END));
	u64 page[ENV_PAGE / 8];
	u32 i, j;

	for (i = 1; i <= 300; i++) {
		machine_submit(m, 0, code, VRAM_VA + ENV_PAGE, i);
		while (machine_get64(m, VRAM_VA + ENV_PAGE) != i)
			sched_yield();
		machine_get(m, SYS_VA, page, ENV_PAGE);
		for (j = 0; j < ENV_PAGE / 8; j++)
			CHECK_EQ(page[j], i);
		CHECK(machine_idle(m, 0));
	}
}

static void test_vmids(struct machine *m)
{
	u64 page = machine_alloc(m, 1);

	/* The same address is other memory in another address space. */
	machine_map(m, 2, CODE_VA, 0, m->code[0] | PTE_RO);
	machine_map(m, 2, VRAM_VA, 0, page | PTE_RW);
	CHECK(machine_enable(m, 1, 2, RING_SIZE));
	CHECK_EQ(RUN(m, CMD(STORE, .width = 8, .a = VRAM_VA, .b = 1)), 0);
	LOAD(m, 0, CMD(STORE, .width = 8, .a = VRAM_VA, .b = 2));
	machine_submit(m, 1, CODE_VA, 0, 0);
	CHECK(machine_idle(m, 1));
	CHECK_EQ(job_error(m, 1, 0), 0);
	CHECK_EQ(machine_get64(m, VRAM_VA), 1);
	CHECK_EQ(*(u64 *)gpu_env_vram(&m->env, page), 2);
}

static void test_progress(struct machine *m)
{
	u64 before = machine_queue_rd(m, 0, GPU_QUEUE_PROGRESS);

	CHECK_EQ(RUN(m, CMD(NOP), CMD(NOP), CMD(NOP)), 0);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_PROGRESS), before + 4);
	CHECK_EQ(RUN(m, CMD(NOP), CMD(NOP, .pad = 1)), GPU_JOB_ERROR_COMMAND);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_PROGRESS), before + 5);
}

static void test_ring_without_memory(struct machine *m)
{
	machine_queue_wr(m, 1, GPU_QUEUE_BASE, machine_alloc(m, 1));
	machine_queue_wr(m, 1, GPU_QUEUE_SIZE, 4);
	machine_queue_wr(m, 1, GPU_QUEUE_VMID, 1);
	machine_queue_wr(m, 1, GPU_QUEUE_CTRL, GPU_QUEUE_CTRL_ENABLE);
	WRITE_ONCE(m->env.vram_fail, true);
	machine_queue_wr(m, 1, GPU_QUEUE_TAIL, 1);
	CHECK(machine_idle(m, 1));
	CHECK_EQ(machine_rd(m, GPU_REG_STATUS), GPU_STATUS_BUS_ERROR);
}

struct starter {
	struct machine *m;
	u32 queue;
};

static int start_stop_thread(void *data)
{
	struct starter *s = data;
	u32 i;

	for (i = 0; i < 100; i++) {
		machine_enable(s->m, s->queue, 1, RING_SIZE);
		machine_submit(s->m, s->queue, CODE_VA + s->queue * CODE_STRIDE,
			       0, 0);
		machine_queue_wr(s->m, s->queue, GPU_QUEUE_CTRL, 0);
	}
	return 0;
}

static void test_start_stop(struct machine *m)
{
	struct starter starters[NUM_QUEUES];
	struct gpu_thread threads[NUM_QUEUES];
	u32 i;

	for (i = 1; i < NUM_QUEUES; i++) {
		LOAD(m, i, CMD(BRANCH));
		starters[i] = (struct starter) { m, i };
		CHECK_EQ(gpu_thread_start(&threads[i], start_stop_thread,
					  &starters[i], "start", i), 0);
	}
	for (i = 0; i < 100; i++) {
		machine_invalidate(m, 1, 0, ~0ull);
		CHECK_EQ(RUN(m, CMD(NOP)), 0);
	}
	for (i = 1; i < NUM_QUEUES; i++)
		gpu_thread_join(&threads[i]);
	for (i = 1; i < NUM_QUEUES; i++) {
		CHECK_EQ(machine_queue_rd(m, i, GPU_QUEUE_HEAD), 1);
		CHECK_EQ(job_error(m, i, 0), GPU_JOB_ERROR_ABORTED);
	}
}

static bool grows_beyond(struct machine *m, u64 va, u64 value)
{
	u32 i;

	for (i = 0; i < 20000; i++) {
		if (machine_get64(m, va) > value)
			return true;
		usleep(100);
	}
	return false;
}

/* What a halted device has in VRAM can be lost and brought back, and it goes on. */
static void test_halt(struct machine *m)
{
	struct gpu_fault fault;
	u8 *code = machine_ptr(m, CODE_VA), saved[ENV_PAGE];
	u64 value, tail;

	CHECK(machine_enable(m, 1, 1, RING_SIZE));
	SUBMIT(m, 0, CMD(ATOMIC, .width = 8, .a = VRAM_VA, .b = 1),
	       CMD(BRANCH, .c = -(u64)DRM_DEVMEM_CMD_SIZE));
	CHECK(grows_beyond(m, VRAM_VA, 0));
	machine_wr(m, GPU_REG_CTRL, GPU_CTRL_ENABLE | GPU_CTRL_HALT);
	CHECK_EQ(machine_rd(m, GPU_REG_CTRL), GPU_CTRL_ENABLE | GPU_CTRL_HALT);
	value = machine_get64(m, VRAM_VA);
	memcpy(saved, code, ENV_PAGE);
	memset(code, 0xff, ENV_PAGE);

	/* Nothing starts, and nothing faults. */
	SUBMIT(m, 1, CMD(STORE, .width = 8, .a = HOLE_VA));
	tail = machine_rd(m, GPU_REG_FAULT_TAIL);
	usleep(20000);
	CHECK_EQ(machine_get64(m, VRAM_VA), value);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_STATUS), GPU_QUEUE_STATUS_RUNNING);
	CHECK_EQ(machine_queue_rd(m, 1, GPU_QUEUE_STATUS), 0);
	CHECK_EQ(machine_rd(m, GPU_REG_FAULT_TAIL), tail);

	memcpy(code, saved, ENV_PAGE);
	machine_wr(m, GPU_REG_CTRL, GPU_CTRL_ENABLE);
	CHECK(grows_beyond(m, VRAM_VA, value));
	CHECK(machine_fault(m, &fault));
	machine_reply(m, &fault, GPU_FAULT_REPLY_FAIL);
	CHECK(machine_idle(m, 1));
	CHECK_EQ(job_error(m, 1, 0), GPU_JOB_ERROR_FAULT);
}

/* To halt keeps nobody from ending jobs. */
static void test_halt_disable(struct machine *m)
{
	SUBMIT(m, 0, CMD(BRANCH));
	SUBMIT(m, 0, CMD(BRANCH));
	CHECK(running(m, 0));
	machine_wr(m, GPU_REG_CTRL, GPU_CTRL_ENABLE | GPU_CTRL_HALT);
	machine_queue_wr(m, 0, GPU_QUEUE_CTRL, 0);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_CTRL), 0);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_HEAD), 2);
	CHECK_EQ(job_error(m, 0, 0), GPU_JOB_ERROR_ABORTED);
	CHECK_EQ(job_error(m, 0, 1), GPU_JOB_ERROR_ABORTED);
	machine_wr(m, GPU_REG_CTRL, GPU_CTRL_RESET);
	CHECK_EQ(machine_rd(m, GPU_REG_CTRL), 0);
}

const struct test queue_tests[] = {
	{ "queue: ring wraps", test_ring_wrap },
	{ "queue: doorbells out of range", test_bad_doorbell },
	{ "queue: registers that don't allow a start", test_bad_enable },
	{ "queue: abort of a wait", test_abort_wait },
	{ "queue: abort of a loop", test_abort_loop },
	{ "queue: abort of a long fill and copy", test_abort_long },
	{ "queue: abort without a job", test_abort_idle },
	{ "queue: disabling aborts all jobs", test_disable_aborts_all },
	{ "queue: fences", test_fences },
	{ "queue: order of fences", test_fence_order },
	{ "queue: address spaces", test_vmids },
	{ "queue: progress", test_progress },
	{ "queue: no memory for the ring", test_ring_without_memory },
	{ "queue: starts and stops of many", test_start_stop },
	{ "queue: halt and go on", test_halt },
	{ "queue: disabling while halted", test_halt_disable },
	{ }
};
