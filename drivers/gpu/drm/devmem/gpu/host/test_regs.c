// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */
#include "test.h"

static void test_identification(struct machine *m)
{
	u64 caps = machine_rd(m, GPU_REG_CAPS);

	CHECK_EQ(machine_rd(m, GPU_REG_ID), GPU_ID_VALUE);
	CHECK_EQ(machine_rd(m, GPU_REG_VERSION), GPU_VERSION_VALUE);
	CHECK_EQ(machine_rd(m, GPU_REG_VRAM_SIZE), m->env.vram_pages * ENV_PAGE);
	CHECK_EQ(GPU_CAPS_QUEUES(caps), NUM_QUEUES);
	CHECK_EQ(GPU_CAPS_VMIDS(caps), NUM_VMIDS);
	CHECK_EQ(GPU_CAPS_VA_BITS(caps), 57);
}

static void test_unknown_registers(struct machine *m)
{
	static const u64 unknown[] = {
		0x00f8, 0x0ff8, 0x0029, 0x0041,
		GPU_REG_VMID_ROOT(0), GPU_REG_VMID_ROOT(NUM_VMIDS),
		GPU_REG_VMID_ROOT(1) + 4,
		GPU_REG_QUEUE(0, 0x48), GPU_REG_QUEUE(0, 0x01),
		GPU_REG_QUEUE(NUM_QUEUES, 0), GPU_REG_QUEUE(NUM_QUEUES, 8),
		1ull << 40, ~0ull,
	};
	static const u64 read_only[] = {
		GPU_REG_ID, GPU_REG_VERSION, GPU_REG_VRAM_SIZE, GPU_REG_CAPS,
		GPU_REG_STATUS, GPU_REG_FAULT_TAIL, GPU_REG_COPY_HEAD,
		GPU_REG_COPY_ERRORS, GPU_REG_COPY_ERROR_ENTRY,
		GPU_REG_QUEUE(0, GPU_QUEUE_HEAD),
		GPU_REG_QUEUE(0, GPU_QUEUE_STATUS),
		GPU_REG_QUEUE(0, GPU_QUEUE_PROGRESS),
	};
	u64 before;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		machine_wr(m, unknown[i], ~0ull);
		CHECK_EQ(machine_rd(m, unknown[i]), 0);
	}
	for (i = 0; i < ARRAY_SIZE(read_only); i++) {
		before = machine_rd(m, read_only[i]);
		machine_wr(m, read_only[i], ~before);
		CHECK_EQ(machine_rd(m, read_only[i]), before);
	}
}

static bool can_create(u64 pages, u32 queues, u32 vmids)
{
	struct gpu_env env;
	bool ok = gpu_env_create(&env, pages, queues, vmids);

	gpu_env_destroy(&env);
	return ok;
}

static void test_bad_config(struct machine *m)
{
	static const struct gpu_env_ops ops;
	struct gpu_config config = {
		.vram_size = ENV_PAGE, .num_queues = 1, .num_vmids = 2,
	};

	CHECK(can_create(1, 1, 2));
	CHECK(can_create(1, GPU_MAX_QUEUES, GPU_MAX_VMIDS));
	CHECK(!can_create(1, 0, 2));
	CHECK(!can_create(1, GPU_MAX_QUEUES + 1, 2));
	CHECK(!can_create(1, 1, 1));
	CHECK(!can_create(1, 1, GPU_MAX_VMIDS + 1));

	config.vram_size = 0;
	CHECK(!devmem_gpu_create(&config, &ops, NULL));
	config.vram_size = ENV_PAGE + 8;
	CHECK(!devmem_gpu_create(&config, &ops, NULL));
	config.vram_size = 1ull << 60;
	CHECK(!devmem_gpu_create(&config, &ops, NULL));
}

/* Every register but those that never change. */
static bool is_power_on(struct machine *m)
{
	u64 reg;
	u32 i;

	for (reg = GPU_REG_CTRL; reg < GPU_REG_VMID_ROOT(NUM_VMIDS); reg += 8)
		if (machine_rd(m, reg))
			return false;
	for (i = 0; i < NUM_QUEUES; i++)
		for (reg = 0; reg < GPU_QUEUE_STRIDE; reg += 8)
			if (machine_queue_rd(m, i, reg))
				return false;
	return true;
}

static void test_reset_idle(struct machine *m)
{
	machine_put64(m, VRAM_VA, 0x1234);
	CHECK_EQ(RUN(m, CMD(LOAD, .width = 4, .rd = 1, .a = VRAM_VA)), 0);
	machine_wr(m, GPU_REG_TLB_START, 1);
	machine_wr(m, GPU_REG_TLB_END, 2);
	machine_wr(m, GPU_REG_IRQ_ENABLE, GPU_IRQ_ALL);
	machine_wr(m, GPU_REG_FAULT_HEAD, 1);
	CHECK(!is_power_on(m));

	machine_wr(m, GPU_REG_CTRL, GPU_CTRL_RESET);
	CHECK(is_power_on(m));
	CHECK_EQ(machine_get64(m, VRAM_VA), 0x1234);

	/* It can be set up again. */
	machine_wr(m, GPU_REG_VMID_ROOT(1), m->root[1] | GPU_VMID_ROOT_VALID);
	machine_wr(m, GPU_REG_CTRL, GPU_CTRL_ENABLE);
	CHECK(machine_enable(m, 0, 1, RING_SIZE));
	CHECK_EQ(RUN(m, CMD(STORE, .width = 4, .a = VRAM_VA, .b = 0x5678)), 0);
	CHECK_EQ(machine_get64(m, VRAM_VA), 0x5678);
}

static void test_reset_busy(struct machine *m)
{
	struct gpu_copy *copy = gpu_env_vram(&m->env, m->copy_ring);
	struct gpu_fault fault;

	CHECK(machine_enable(m, 1, 1, RING_SIZE));
	CHECK(machine_enable(m, 2, 1, RING_SIZE));
	SUBMIT(m, 0, CMD(BRANCH));
	SUBMIT(m, 1, CMD(WAIT, .width = 8, .sub = DRM_DEVMEM_COMPARE_EQ,
			 .a = VRAM_VA, .b = 1, .c = ~0ull));
	SUBMIT(m, 2, CMD(STORE, .width = 8, .a = HOLE_VA));
	*copy = (struct gpu_copy) {
		.size = cpu_to_le64(m->env.vram_pages * ENV_PAGE),
	};
	machine_wr(m, GPU_REG_COPY_TAIL, 1);
	CHECK(machine_fault(m, &fault));
	CHECK(machine_wait(m, GPU_REG_QUEUE(0, GPU_QUEUE_STATUS), ~0ull,
			   GPU_QUEUE_STATUS_RUNNING));
	CHECK(machine_wait(m, GPU_REG_QUEUE(1, GPU_QUEUE_STATUS), ~0ull,
			   GPU_QUEUE_STATUS_RUNNING));

	machine_wr(m, GPU_REG_CTRL, GPU_CTRL_RESET);
	CHECK(is_power_on(m));
}

static void test_engines_gated(struct machine *m)
{
	struct gpu_copy *copy = gpu_env_vram(&m->env, m->copy_ring);

	machine_wr(m, GPU_REG_CTRL, 0);
	*copy = (struct gpu_copy) {
		.op = cpu_to_le32(GPU_COPY_OP_CLEAR),
		.dst = cpu_to_le64(m->vram),
		.size = cpu_to_le64(8),
	};
	machine_put64(m, VRAM_VA, 1);
	machine_wr(m, GPU_REG_COPY_TAIL, 1);
	SUBMIT(m, 0, CMD(STORE, .width = 8, .a = VRAM_VA + 8, .b = 1));
	usleep(20000);
	CHECK_EQ(machine_get64(m, VRAM_VA), 1);
	CHECK_EQ(machine_get64(m, VRAM_VA + 8), 0);
	CHECK_EQ(machine_queue_rd(m, 0, GPU_QUEUE_STATUS), 0);

	machine_wr(m, GPU_REG_CTRL, GPU_CTRL_ENABLE);
	CHECK(machine_idle(m, 0));
	CHECK(machine_wait(m, GPU_REG_COPY_HEAD, ~0ull, 1));
	CHECK_EQ(machine_get64(m, VRAM_VA), 0);
	CHECK_EQ(machine_get64(m, VRAM_VA + 8), 1);
}

static u32 irqs(struct machine *m)
{
	return __atomic_load_n(&m->env.irqs, __ATOMIC_SEQ_CST);
}

static void test_irq_level(struct machine *m)
{
	/* Masked: status only. */
	CHECK_EQ(RUN(m, CMD(NOP)), 0);
	CHECK(machine_wait(m, GPU_REG_IRQ_STATUS, ~0ull, GPU_IRQ_QUEUE));
	CHECK_EQ(irqs(m), 0);

	/* Enabling what is pending raises the line. */
	machine_wr(m, GPU_REG_IRQ_ENABLE, GPU_IRQ_FAULT);
	CHECK_EQ(irqs(m), 0);
	machine_wr(m, GPU_REG_IRQ_ENABLE, ~0ull);
	CHECK_EQ(machine_rd(m, GPU_REG_IRQ_ENABLE), GPU_IRQ_ALL);
	CHECK_EQ(irqs(m), 1);

	/* No second call while it stays raised. */
	CHECK_EQ(RUN(m, CMD(NOP)), 0);
	CHECK_EQ(irqs(m), 1);

	/* Only ones clear. */
	machine_wr(m, GPU_REG_IRQ_STATUS, GPU_IRQ_QUEUE);
	CHECK_EQ(machine_rd(m, GPU_REG_IRQ_STATUS), 0);
	CHECK_EQ(irqs(m), 1);

	/* And it rises again. The job may be seen to end before that. */
	CHECK_EQ(RUN(m, CMD(NOP)), 0);
	CHECK(machine_wait(m, GPU_REG_IRQ_STATUS, ~0ull, GPU_IRQ_QUEUE));
	machine_wr(m, GPU_REG_CTRL, GPU_CTRL_RESET);
	CHECK_EQ(irqs(m), 2);
}

static void test_irq_partial_clear(struct machine *m)
{
	struct gpu_fault fault;

	CHECK_EQ(RUN(m, CMD(NOP)), 0);
	SUBMIT(m, 0, CMD(STORE, .width = 8, .a = HOLE_VA));
	CHECK(machine_fault(m, &fault));
	CHECK(machine_wait(m, GPU_REG_IRQ_STATUS, ~0ull,
			   GPU_IRQ_QUEUE | GPU_IRQ_FAULT));
	machine_wr(m, GPU_REG_IRQ_ENABLE, GPU_IRQ_ALL);
	CHECK_EQ(irqs(m), 1);

	/* A driver that clears one cause hears of the other again. */
	machine_wr(m, GPU_REG_IRQ_STATUS, GPU_IRQ_FAULT);
	CHECK_EQ(irqs(m), 2);
	machine_wr(m, GPU_REG_IRQ_STATUS, GPU_IRQ_QUEUE);
	CHECK_EQ(irqs(m), 2);
	machine_reply(m, &fault, GPU_FAULT_REPLY_FAIL);
	CHECK(machine_idle(m, 0));
}

static u32 handled;

static void handle_irq(struct gpu_env *env)
{
	u64 status = devmem_gpu_read(env->gpu, GPU_REG_IRQ_STATUS);

	__atomic_fetch_add(&handled, 1, __ATOMIC_SEQ_CST);
	devmem_gpu_write(env->gpu, GPU_REG_IRQ_STATUS, status);
}

/* A handler that does as drivers do never leaves the line raised. */
static void test_irq_handler(struct machine *m)
{
	u32 i, j;

	handled = 0;
	m->env.irq = handle_irq;
	machine_wr(m, GPU_REG_IRQ_ENABLE, GPU_IRQ_ALL);
	for (i = 1; i < NUM_QUEUES; i++)
		CHECK(machine_enable(m, i, 1, RING_SIZE));
	for (i = 0; i < NUM_QUEUES; i++)
		LOAD(m, i, CMD(END));
	for (j = 0; j < 200; j++) {
		for (i = 0; i < NUM_QUEUES; i++)
			machine_submit(m, i, CODE_VA, 0, 0);
		for (i = 0; i < NUM_QUEUES; i++)
			CHECK(machine_idle(m, i));
		CHECK(machine_wait(m, GPU_REG_IRQ_STATUS, ~0ull, 0));
	}
	CHECK(__atomic_load_n(&handled, __ATOMIC_SEQ_CST) >= 1);
}

const struct test regs_tests[] = {
	{ "regs: identification", test_identification },
	{ "regs: unknown and read-only registers", test_unknown_registers },
	{ "regs: bad parameters of a device", test_bad_config },
	{ "regs: reset of an idle device", test_reset_idle },
	{ "regs: reset of a busy device", test_reset_busy },
	{ "regs: engines wait for enable", test_engines_gated },
	{ "irq: level, mask and clear", test_irq_level },
	{ "irq: partial clear", test_irq_partial_clear },
	{ "irq: handler under load", test_irq_handler },
	{ }
};
