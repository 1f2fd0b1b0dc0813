// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */
#include "test.h"

static u32 job_error(struct machine *m, u32 queue, u64 number)
{
	return le32_to_cpu(machine_job(m, queue, number)->error);
}

static void map_hole(struct machine *m)
{
	machine_map(m, 1, HOLE_VA, 0, m->vram | PTE_RW);
}

static void test_retry(struct machine *m)
{
	struct gpu_fault fault;
	u64 first;

	SUBMIT(m, 0, CMD(STORE, .width = 8, .a = HOLE_VA + 16, .b = 9));
	CHECK(machine_fault(m, &fault));
	first = le64_to_cpu(fault.seq);
	CHECK(first);
	CHECK_EQ(le64_to_cpu(fault.va), HOLE_VA + 16);
	CHECK_EQ(le32_to_cpu(fault.vmid), 1);
	CHECK_EQ(le16_to_cpu(fault.queue), 0);
	CHECK_EQ(le64_to_cpu(fault.reserved), 0);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_STATUS),
		 GPU_QUEUE_STATUS_RUNNING | GPU_QUEUE_STATUS_FAULTED);

	/* Nothing was mapped, so it faults again, with a new number. */
	machine_reply(m, &fault, GPU_FAULT_REPLY_RETRY);
	CHECK(machine_fault(m, &fault));
	CHECK_EQ(le64_to_cpu(fault.seq), first + 1);

	map_hole(m);
	machine_reply(m, &fault, GPU_FAULT_REPLY_RETRY);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(job_error(m, 0, 0), 0);
	CHECK_EQ(machine_get64(m, VRAM_VA + 16), 9);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_STATUS), 0);
}

static void test_reply_fail(struct machine *m)
{
	struct gpu_fault fault;
	struct gpu_job *job;

	SUBMIT(m, 0, CMD(NOP), CMD(LOAD, .width = 4, .a = HOLE_VA + 4),
	       CMD(STORE, .width = 4, .a = VRAM_VA, .b = 1));
	CHECK(machine_fault(m, &fault));
	machine_reply(m, &fault, GPU_FAULT_REPLY_FAIL);
	CHECK(machine_idle(m, 0));
	job = machine_job(m, 0, 0);
	CHECK_EQ(le32_to_cpu(job->error), GPU_JOB_ERROR_FAULT);
	CHECK_EQ(le32_to_cpu(job->access), GPU_ACCESS_READ);
	CHECK_EQ(le64_to_cpu(job->error_va), HOLE_VA + 4);
	CHECK_EQ(le64_to_cpu(job->error_pc), CODE_VA + 32);
	CHECK_EQ(machine_get64(m, VRAM_VA), 0);
	CHECK_EQ(machine_rd(m, GPU_REG_STATUS), 0);

	/* The queue takes the next job as if nothing had been. */
	CHECK_EQ(RUN(m, CMD(STORE, .width = 4, .a = VRAM_VA, .b = 2)), 0);
	CHECK_EQ(machine_get64(m, VRAM_VA), 2);
}

static void test_wrong_reply(struct machine *m)
{
	struct gpu_fault fault, other;

	SUBMIT(m, 0, CMD(STORE, .width = 8, .a = HOLE_VA));
	CHECK(machine_fault(m, &fault));
	other = fault;
	other.seq = cpu_to_le64(le64_to_cpu(fault.seq) + 1);
	machine_reply(m, &other, GPU_FAULT_REPLY_FAIL);
	other.seq = cpu_to_le64(le64_to_cpu(fault.seq) - 1);
	machine_reply(m, &other, GPU_FAULT_REPLY_FAIL);
	machine_queue_wr(m, 1, GPU_QUEUE_FAULT_REPLY, le64_to_cpu(fault.seq));
	usleep(10000);
	CHECK(machine_queue_rd(m, 0, GPU_QUEUE_STATUS) & GPU_QUEUE_STATUS_FAULTED);

	map_hole(m);
	machine_reply(m, &fault, GPU_FAULT_REPLY_RETRY);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(job_error(m, 0, 0), 0);

	/* A reply that comes late does not answer the next fault. */
	machine_map(m, 1, HOLE_VA, 0, 0);
	machine_invalidate(m, 1, HOLE_VA, HOLE_VA + ENV_PAGE);
	SUBMIT(m, 0, CMD(STORE, .width = 8, .a = HOLE_VA));
	CHECK(machine_fault(m, &other));
	machine_reply(m, &fault, GPU_FAULT_REPLY_FAIL);
	usleep(10000);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_HEAD), 1);
	machine_reply(m, &other, GPU_FAULT_REPLY_FAIL);
	CHECK(machine_idle(m, 0));
}

static void test_abort(struct machine *m)
{
	struct gpu_fault fault, next;
	struct gpu_job *job;

	SUBMIT(m, 0, CMD(STORE, .width = 8, .a = HOLE_VA));
	CHECK(machine_fault(m, &fault));
	machine_queue_wr(m, 0, GPU_QUEUE_CTRL,
			 GPU_QUEUE_CTRL_ENABLE | GPU_QUEUE_CTRL_ABORT);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_CTRL), GPU_QUEUE_CTRL_ENABLE);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_STATUS), 0);
	job = machine_job(m, 0, 0);
	CHECK_EQ(le32_to_cpu(job->error), GPU_JOB_ERROR_ABORTED);
	CHECK_EQ(le64_to_cpu(job->error_va), 0);
	CHECK_EQ(le64_to_cpu(job->error_pc), CODE_VA);

	/* The reply to the fault of the aborted job goes nowhere. */
	SUBMIT(m, 0, CMD(STORE, .width = 8, .a = HOLE_VA));
	CHECK(machine_fault(m, &next));
	CHECK(next.seq != fault.seq);
	machine_reply(m, &fault, GPU_FAULT_REPLY_FAIL);
	map_hole(m);
	machine_reply(m, &next, GPU_FAULT_REPLY_RETRY);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(job_error(m, 0, 1), 0);
}

static void test_disable(struct machine *m)
{
	struct gpu_fault fault, next;

	SUBMIT(m, 0, CMD(STORE, .width = 8, .a = HOLE_VA));
	CHECK(machine_fault(m, &fault));
	machine_queue_wr(m, 0, GPU_QUEUE_CTRL, 0);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_CTRL), 0);
	CHECK_EQ(job_error(m, 0, 0), GPU_JOB_ERROR_ABORTED);

	/* Numbers go on, also over a reset. */
	machine_wr(m, GPU_REG_CTRL, GPU_CTRL_RESET);
	machine_wr(m, GPU_REG_VMID_ROOT(1), m->root[1] | GPU_VMID_ROOT_VALID);
	machine_wr(m, GPU_REG_FAULT_BASE, m->fault_ring);
	machine_wr(m, GPU_REG_FAULT_SIZE, FAULT_RING_SIZE);
	machine_wr(m, GPU_REG_CTRL, GPU_CTRL_ENABLE);
	CHECK(machine_enable(m, 0, 1, RING_SIZE));
	SUBMIT(m, 0, CMD(STORE, .width = 8, .a = HOLE_VA));
	CHECK(machine_fault(m, &next));
	CHECK_EQ(le64_to_cpu(next.seq), le64_to_cpu(fault.seq) + 1);
}

static void test_access_kinds(struct machine *m)
{
	const struct {
		struct drm_devmem_cmd cmd;
		u32 access;
	} cases[] = {
		{ CMD(LOAD, .width = 1, .a = HOLE_VA), GPU_ACCESS_READ },
		{ CMD(STORE, .width = 1, .a = HOLE_VA), GPU_ACCESS_WRITE },
		{ CMD(FILL, .width = 1, .a = HOLE_VA, .c = 1), GPU_ACCESS_WRITE },
		{ CMD(ATOMIC, .width = 4, .a = HOLE_VA), GPU_ACCESS_ATOMIC },
		{ CMD(WAIT, .width = 4, .a = HOLE_VA), GPU_ACCESS_READ },
		{ CMD(COPY, .a = HOLE_VA, .b = VRAM_VA, .c = 1), GPU_ACCESS_WRITE },
		{ CMD(COPY, .a = VRAM_VA, .b = HOLE_VA, .c = 1), GPU_ACCESS_READ },
	};
	struct gpu_fault fault;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		SUBMIT(m, 0, cases[i].cmd);
		CHECK(machine_fault(m, &fault));
		CHECK_EQ(fault.access, cases[i].access);
		CHECK_EQ(le64_to_cpu(fault.va), HOLE_VA);
		machine_reply(m, &fault, GPU_FAULT_REPLY_FAIL);
		CHECK(machine_idle(m, 0));
		CHECK_EQ(le32_to_cpu(machine_job(m, 0, i)->access),
			 cases[i].access);
		CHECK_EQ(job_error(m, 0, i), GPU_JOB_ERROR_FAULT);
	}
}

static void test_fetch(struct machine *m)
{
	struct gpu_fault fault;

	/* The batch itself is not there, then it goes on into the next page. */
	machine_submit(m, 0, HOLE_VA + ENV_PAGE - 32, 0, 0);
	CHECK(machine_fault(m, &fault));
	CHECK_EQ(fault.access, GPU_ACCESS_FETCH);
	CHECK_EQ(le64_to_cpu(fault.va), HOLE_VA + ENV_PAGE - 32);
	map_hole(m);
	*(struct drm_devmem_cmd *)machine_ptr(m, VRAM_VA + ENV_PAGE - 32) =
		CMD(STORE, .width = 8, .a = SYS_VA, .b = 1);
	machine_reply(m, &fault, GPU_FAULT_REPLY_RETRY);
	CHECK(machine_fault(m, &fault));
	CHECK_EQ(le64_to_cpu(fault.va), HOLE_VA + ENV_PAGE);
	CHECK_EQ(machine_get64(m, SYS_VA), 1);
	machine_map(m, 1, HOLE_VA + ENV_PAGE, 0, (m->vram + ENV_PAGE) | PTE_RW);
	machine_reply(m, &fault, GPU_FAULT_REPLY_RETRY);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(job_error(m, 0, 0), 0);
}

static void test_fence(struct machine *m)
{
	struct gpu_fault fault;
	u64 code = LOAD(m, 0, CMD(END));

	machine_submit(m, 0, code, HOLE_VA + 8, 1234);
	CHECK(machine_fault(m, &fault));
	CHECK_EQ(fault.access, GPU_ACCESS_WRITE);
	CHECK_EQ(le64_to_cpu(fault.va), HOLE_VA + 8);
	map_hole(m);
	machine_reply(m, &fault, GPU_FAULT_REPLY_RETRY);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(job_error(m, 0, 0), 0);
	CHECK_EQ(machine_get64(m, VRAM_VA + 8), 1234);
}

static void test_spans_pages(struct machine *m)
{
	u64 va = HOLE_VA + ENV_PAGE - 3, value;
	struct gpu_fault fault;
	u32 i;

	/* One fault for each page, at the first byte of it that is used. */
	SUBMIT(m, 0, CMD(STORE, .width = 8, .a = va, .b = 0x0807060504030201ull));
	for (i = 0; i < 2; i++) {
		CHECK(machine_fault(m, &fault));
		CHECK_EQ(le64_to_cpu(fault.va), i ? HOLE_VA + ENV_PAGE : va);
		machine_map(m, 1, HOLE_VA + i * ENV_PAGE, 0,
			    (m->vram + i * ENV_PAGE) | PTE_RW);
		machine_reply(m, &fault, GPU_FAULT_REPLY_RETRY);
	}
	CHECK(machine_idle(m, 0));
	machine_get(m, VRAM_VA + ENV_PAGE - 3, &value, 8);
	CHECK_EQ(value, 0x0807060504030201ull);
}

/* A copy or fill goes on where it stopped, and does no page twice. */
static void test_progress_kept(struct machine *m)
{
	const u32 pages = 4;
	struct gpu_fault fault;
	u8 data[4 * ENV_PAGE], back[4 * ENV_PAGE];
	u32 i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = test_random();
	machine_put(m, SYS_VA, data, sizeof(data));
	SUBMIT(m, 0, CMD(COPY, .a = HOLE_VA, .b = SYS_VA, .c = sizeof(data)));
	for (i = 0; i < pages; i++) {
		CHECK(machine_fault(m, &fault));
		CHECK_EQ(le64_to_cpu(fault.va), HOLE_VA + i * ENV_PAGE);
		/* The source of what was copied may change. */
		if (i)
			memset(machine_ptr(m, SYS_VA + (i - 1) * ENV_PAGE), 0,
			       ENV_PAGE);
		machine_map(m, 1, HOLE_VA + i * ENV_PAGE, 0,
			    (m->vram + i * ENV_PAGE) | PTE_RW);
		machine_reply(m, &fault, GPU_FAULT_REPLY_RETRY);
	}
	CHECK(machine_idle(m, 0));
	machine_get(m, VRAM_VA, back, sizeof(back));
	CHECK(!memcmp(data, back, sizeof(data)));
}

static void test_many_queues(struct machine *m)
{
	struct gpu_fault faults[NUM_QUEUES];
	u32 i, seen = 0;

	for (i = 1; i < NUM_QUEUES; i++)
		CHECK(machine_enable(m, i, 1, RING_SIZE));
	for (i = 0; i < NUM_QUEUES; i++)
		SUBMIT(m, i, CMD(STORE, .width = 8, .a = HOLE_VA + 8 * i, .b = i + 1));
	for (i = 0; i < NUM_QUEUES; i++) {
		CHECK(machine_fault(m, &faults[i]));
		CHECK_EQ(le64_to_cpu(faults[i].va),
			 HOLE_VA + 8 * le16_to_cpu(faults[i].queue));
		seen |= 1 << le16_to_cpu(faults[i].queue);
	}
	CHECK_EQ(seen, (1 << NUM_QUEUES) - 1);
	map_hole(m);
	for (i = NUM_QUEUES; i-- > 0;)
		machine_reply(m, &faults[i], GPU_FAULT_REPLY_RETRY);
	for (i = 0; i < NUM_QUEUES; i++) {
		CHECK(machine_idle(m, i));
		CHECK_EQ(machine_get64(m, VRAM_VA + 8 * i), i + 1);
	}
}

/* How many jobs have ended, on all queues. */
static u64 heads(struct machine *m)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < NUM_QUEUES; i++)
		sum += machine_queue_rd(m, i, GPU_QUEUE_HEAD);
	return sum;
}

static void test_ring_full(struct machine *m)
{
	struct gpu_fault fault;
	u32 i;

	machine_wr(m, GPU_REG_FAULT_SIZE, 2);
	for (i = 0; i < NUM_QUEUES; i++) {
		if (i)
			CHECK(machine_enable(m, i, 1, RING_SIZE));
		SUBMIT(m, i, CMD(STORE, .width = 8, .a = HOLE_VA, .b = 1));
	}
	CHECK(machine_wait(m, GPU_REG_FAULT_TAIL, ~0ull, 2));
	usleep(20000);
	CHECK_EQ(machine_rd(m, GPU_REG_FAULT_TAIL), 2);

	/* All get through, and a queue that waits for room can be aborted. */
	machine_queue_wr(m, 3, GPU_QUEUE_CTRL, 0);
	CHECK_EQ(job_error(m, 3, 0), GPU_JOB_ERROR_ABORTED);
	map_hole(m);
	for (i = 0; i < 1000 && heads(m) < NUM_QUEUES; i++) {
		if (machine_rd(m, GPU_REG_FAULT_HEAD) ==
		    machine_rd(m, GPU_REG_FAULT_TAIL)) {
			usleep(1000);
			continue;
		}
		CHECK(machine_fault(m, &fault));
		machine_reply(m, &fault, GPU_FAULT_REPLY_RETRY);
	}
	for (i = 0; i < NUM_QUEUES - 1; i++) {
		CHECK_EQ(machine_queue_rd(m, i, GPU_QUEUE_HEAD), 1);
		CHECK_EQ(job_error(m, i, 0), 0);
	}
}

static void test_ring_wrap(struct machine *m)
{
	struct gpu_fault fault;
	u32 i;

	machine_wr(m, GPU_REG_FAULT_SIZE, 4);
	for (i = 0; i < 50; i++) {
		SUBMIT(m, 0, CMD(STORE, .width = 8, .a = HOLE_VA + 8 * i));
		CHECK(machine_fault(m, &fault));
		CHECK_EQ(le64_to_cpu(fault.va), HOLE_VA + 8 * i);
		CHECK_EQ(le64_to_cpu(fault.seq), i + 1);
		machine_reply(m, &fault, GPU_FAULT_REPLY_FAIL);
		CHECK(machine_idle(m, 0));
	}
	/* Entries behind the ring were left alone. */
	CHECK_EQ(((u64 *)gpu_env_vram(&m->env, m->fault_ring + 4 * 32))[0], 0);
}

static void test_bad_ring(struct machine *m)
{
	static const u64 bad[][2] = {
		{ 0, 0 }, { 0, 3 }, { 8, 4 }, { 0, GPU_MAX_RING_ENTRIES * 2 },
		{ ~0xfffull, 4 }, { 1ull << 40, 4 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		machine_wr(m, GPU_REG_FAULT_BASE, bad[i][0]);
		machine_wr(m, GPU_REG_FAULT_SIZE, bad[i][1]);
		CHECK_EQ(RUN(m, CMD(STORE, .width = 8, .a = HOLE_VA)),
			 GPU_JOB_ERROR_FAULT);
	}
	CHECK_EQ(machine_rd(m, GPU_REG_FAULT_TAIL), 0);
}

const struct test fault_tests[] = {
	{ "fault: retry", test_retry },
	{ "fault: fail", test_reply_fail },
	{ "fault: replies that don't match", test_wrong_reply },
	{ "fault: abort of a stalled queue", test_abort },
	{ "fault: disabling of a stalled queue", test_disable },
	{ "fault: kinds of access", test_access_kinds },
	{ "fault: in the batch", test_fetch },
	{ "fault: in the fence", test_fence },
	{ "fault: access that spans pages", test_spans_pages },
	{ "fault: long copy goes on where it was", test_progress_kept },
	{ "fault: many queues at once", test_many_queues },
	{ "fault: ring full", test_ring_full },
	{ "fault: ring wraps", test_ring_wrap },
	{ "fault: no usable ring", test_bad_ring },
	{ }
};
