// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */
#include "test.h"

/* Run a command on queue 0 that fails, and look at why. */
static void check_error(struct machine *m, u32 code, u32 access, u64 va,
			struct drm_devmem_cmd cmd)
{
	struct gpu_job job;

	CHECK_EQ(RUN_JOB(m, &job, cmd), code);
	CHECK_EQ(le32_to_cpu(job.access), access);
	CHECK_EQ(le64_to_cpu(job.error_va), va);
	CHECK_EQ(le64_to_cpu(job.error_pc), CODE_VA);
}

static void check_bus(struct machine *m, u64 va)
{
	check_error(m, GPU_JOB_ERROR_BUS, GPU_ACCESS_READ, va,
		    CMD(LOAD, .width = 8, .rd = 1, .a = va));
}

static u64 pte(struct machine *m, u64 va, u32 level)
{
	return le64_to_cpu(READ_ONCE(*machine_pte(m, 1, va, level)));
}

static void invalidate_all(struct machine *m)
{
	machine_invalidate(m, 1, 0, ~0ull);
}

static u32 store(struct machine *m, u64 va, u64 value)
{
	return RUN(m, CMD(STORE, .width = 8, .a = va, .b = value));
}

/* Load through the GPU, with the result in the last word of the area. */
static u32 load(struct machine *m, u64 va, u64 *value)
{
	u64 result = VRAM_VA + AREA_PAGES * ENV_PAGE - 8;
	u32 error;

	error = RUN(m, CMD(LOAD, .width = 8, .rd = 1, .a = va),
		    CMD(STORE, .width = 8, .a = result, .rb = 1));
	*value = machine_get64(m, result);
	return error;
}

static void test_walk_levels(struct machine *m)
{
	/* Other entries than zero at each level, and both ends. */
	static const u64 vas[] = {
		0x0, 0x01fffffffffff000, 0x0123456789abc000,
		0x0100000000000000, 0x0001000000000000, 0x0000008000000000,
		0x0000000080000000, 0x0000000000200000, 0x0000000000001000,
	};
	u64 page, value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(vas); i++) {
		page = machine_alloc(m, 1);
		machine_map(m, 1, vas[i], 0, page | PTE_RW);
		CHECK_EQ(store(m, vas[i] + 0xff8, i + 1), 0);
		CHECK_EQ(*(u64 *)gpu_env_vram(&m->env, page + 0xff8), i + 1);
	}
	for (i = 0; i < ARRAY_SIZE(vas); i++) {
		CHECK_EQ(load(m, vas[i] + 0xff8, &value), 0);
		CHECK_EQ(value, i + 1);
	}
}

static void test_missing_levels(struct machine *m)
{
	u64 va = 0x0123456789abc000ull;
	struct gpu_fault fault;
	u32 level;
	u64 page;

	machine_map(m, 1, va, 0, 0);
	for (level = 0; level < GPU_PT_LEVELS; level++) {
		u64 old = pte(m, va, level);

		machine_map(m, 1, va, level, old & ~GPU_PTE_VALID);
		SUBMIT(m, 0, CMD(STORE, .width = 8, .a = va + 8, .b = 1));
		CHECK(machine_fault(m, &fault));
		CHECK_EQ(fault.level, level);
		CHECK_EQ(le64_to_cpu(fault.va), va + 8);
		CHECK_EQ(le32_to_cpu(fault.vmid), 1);
		CHECK_EQ(fault.access, GPU_ACCESS_WRITE);
		machine_map(m, 1, va, level, old);
		machine_reply(m, &fault, GPU_FAULT_REPLY_FAIL);
		CHECK(machine_idle(m, 0));
	}

	page = machine_alloc(m, 1);
	machine_map(m, 1, va, 0, page | PTE_RW);
	CHECK_EQ(store(m, va, 2), 0);
	CHECK_EQ(*(u64 *)gpu_env_vram(&m->env, page), 2);
}

static void test_large_leaf(struct machine *m)
{
	u64 vram = machine_alloc(m, 512);
	u64 va = 0x700000000000ull, offset;
	u64 value;

	machine_map(m, 1, va, 1, vram | PTE_RW);
	for (offset = 0; offset < 0x200000; offset += 0x10ff8)
		CHECK_EQ(store(m, va + offset, offset + 1), 0);
	for (offset = 0; offset < 0x200000; offset += 0x10ff8)
		CHECK_EQ(*(u64 *)gpu_env_vram(&m->env, vram + offset), offset + 1);
	CHECK(pte(m, va, 1) & GPU_PTE_DIRTY);

	/* System memory; the address space of the bus begins at 2 MiB. */
	machine_map(m, 1, va + 0x200000, 1, ENV_BUS_BASE | PTE_SYS_RW);
	machine_put64(m, SYS_VA + 3 * ENV_PAGE + 16, 77);
	CHECK_EQ(load(m, va + 0x200000 + 3 * ENV_PAGE + 16, &value), 0);
	CHECK_EQ(value, 77);
}

static void test_malformed_entries(struct machine *m)
{
	static const u64 undefined[] = {
		1ull << 7, 1ull << 11, 1ull << 56, 1ull << 63,
	};
	static const u64 leaf_only[] = {
		GPU_PTE_WRITE, GPU_PTE_SYSTEM, GPU_PTE_ACCESSED, GPU_PTE_DIRTY,
		GPU_PTE_NO_ATOMIC,
	};
	u64 va = 0x0123456789a00000ull, old;
	u64 vram = machine_alloc(m, 512);
	u32 level;
	size_t i;

	CHECK_EQ(machine_rd(m, GPU_REG_STATUS), 0);
	machine_map(m, 1, va, 0, vram | PTE_RW);
	for (level = 0; level < GPU_PT_LEVELS; level++) {
		old = pte(m, va, level);
		for (i = 0; i < ARRAY_SIZE(undefined); i++) {
			machine_map(m, 1, va, level, old | undefined[i]);
			check_bus(m, va);
		}
		for (i = 0; level && i < ARRAY_SIZE(leaf_only); i++) {
			machine_map(m, 1, va, level, old | leaf_only[i]);
			check_bus(m, va);
		}
		machine_map(m, 1, va, level, old);
		CHECK_EQ(store(m, va, 1), 0);
		invalidate_all(m);
	}
	CHECK_EQ(machine_rd(m, GPU_REG_STATUS), GPU_STATUS_BUS_ERROR);

	/* A table where there can only be a leaf, and the other way round. */
	machine_map(m, 1, va, 0, vram | GPU_PTE_VALID);
	check_bus(m, va);
	for (level = 2; level < GPU_PT_LEVELS; level++) {
		old = pte(m, va, level);
		machine_map(m, 1, va, level, PTE_RW);
		check_bus(m, va);
		machine_map(m, 1, va, level, old);
	}

	/* A large leaf that is not aligned */
	machine_map(m, 1, va, 1, (vram + ENV_PAGE) | PTE_RW);
	check_bus(m, va);
}

static void test_out_of_vram(struct machine *m)
{
	u64 size = machine_rd(m, GPU_REG_VRAM_SIZE);
	u64 va = 0x0123456789a00000ull, old;
	u32 level;

	machine_map(m, 1, va, 0, size | PTE_RW);
	check_bus(m, va);
	machine_map(m, 1, va, 0, GPU_PTE_ADDR | PTE_RW);
	check_bus(m, va);
	machine_map(m, 1, va, 0, (size - ENV_PAGE) | PTE_RW);
	CHECK_EQ(store(m, va, 1), 0);
	invalidate_all(m);

	for (level = 1; level < GPU_PT_LEVELS; level++) {
		old = pte(m, va, level);
		machine_map(m, 1, va, level, size | GPU_PTE_VALID);
		check_bus(m, va);
		machine_map(m, 1, va, level, GPU_PTE_ADDR | GPU_PTE_VALID);
		check_bus(m, va);
		machine_map(m, 1, va, level, old);
	}

	machine_wr(m, GPU_REG_VMID_ROOT(1), size | GPU_VMID_ROOT_VALID);
	invalidate_all(m);
	check_error(m, GPU_JOB_ERROR_BUS, GPU_ACCESS_FETCH, CODE_VA, CMD(NOP));
	machine_wr(m, GPU_REG_VMID_ROOT(1), m->root[1] | 8 | GPU_VMID_ROOT_VALID);
	check_error(m, GPU_JOB_ERROR_BUS, GPU_ACCESS_FETCH, CODE_VA, CMD(NOP));
}

static void test_no_root(struct machine *m)
{
	struct gpu_fault fault;

	machine_wr(m, GPU_REG_VMID_ROOT(1), m->root[1]);
	SUBMIT(m, 0, CMD(NOP));
	CHECK(machine_fault(m, &fault));
	CHECK_EQ(fault.level, GPU_PT_LEVELS - 1);
	CHECK_EQ(fault.access, GPU_ACCESS_FETCH);
	machine_wr(m, GPU_REG_VMID_ROOT(1), m->root[1] | GPU_VMID_ROOT_VALID);
	machine_reply(m, &fault, GPU_FAULT_REPLY_RETRY);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(le32_to_cpu(machine_job(m, 0, 0)->error), 0);
}

static void test_beyond_va(struct machine *m)
{
	static const u64 vas[] = {
		1ull << 57, 1ull << 63, 0xffff800000000000ull, ~7ull,
	};
	struct gpu_fault fault;
	size_t i;

	/* What the low bits lead to must not matter. */
	machine_map(m, 1, 0, 0, m->vram | PTE_RW);
	for (i = 0; i < ARRAY_SIZE(vas); i++) {
		SUBMIT(m, 0, CMD(LOAD, .width = 8, .a = vas[i]));
		CHECK(machine_fault(m, &fault));
		CHECK_EQ(le64_to_cpu(fault.va), vas[i]);
		CHECK_EQ(fault.level, GPU_PT_LEVELS - 1);
		CHECK_EQ(fault.access, GPU_ACCESS_READ);
		machine_reply(m, &fault, GPU_FAULT_REPLY_FAIL);
		CHECK(machine_idle(m, 0));
	}
}

static void test_write_protection(struct machine *m)
{
	struct gpu_fault fault;
	u64 value;
	u32 i;

	machine_put64(m, VRAM_VA, 5);
	machine_map(m, 1, VRAM_VA, 0, m->vram | PTE_RO);
	CHECK_EQ(load(m, VRAM_VA, &value), 0);
	CHECK_EQ(value, 5);

	/* With the translation cached and not. */
	for (i = 0; i < 2; i++) {
		SUBMIT(m, 0, CMD(STORE, .width = 8, .a = VRAM_VA, .b = 6));
		CHECK(machine_fault(m, &fault));
		CHECK_EQ(fault.access, GPU_ACCESS_WRITE);
		CHECK_EQ(fault.level, 0);
		machine_reply(m, &fault, GPU_FAULT_REPLY_FAIL);
		CHECK(machine_idle(m, 0));
		invalidate_all(m);
	}
	SUBMIT(m, 0, CMD(ATOMIC, .width = 8, .a = VRAM_VA, .b = 6));
	CHECK(machine_fault(m, &fault));
	CHECK_EQ(fault.access, GPU_ACCESS_ATOMIC);
	machine_reply(m, &fault, GPU_FAULT_REPLY_FAIL);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(machine_get64(m, VRAM_VA), 5);
	CHECK(!(pte(m, VRAM_VA, 0) & GPU_PTE_DIRTY));
}

static void test_accessed_dirty(struct machine *m)
{
	u64 ad = GPU_PTE_ACCESSED | GPU_PTE_DIRTY;
	u64 value;

	CHECK_EQ(pte(m, VRAM_VA, 0) & ad, 0);
	CHECK_EQ(load(m, VRAM_VA, &value), 0);
	CHECK_EQ(pte(m, VRAM_VA, 0) & ad, GPU_PTE_ACCESSED);
	/* The load left a translation that must not serve the store as it is. */
	CHECK_EQ(store(m, VRAM_VA, 1), 0);
	CHECK_EQ(pte(m, VRAM_VA, 0) & ad, ad);

	CHECK_EQ(store(m, SYS_VA, 1), 0);
	CHECK_EQ(pte(m, SYS_VA, 0) & ad, ad);
	CHECK_EQ(RUN(m, CMD(ATOMIC, .width = 8, .a = SYS_VA + ENV_PAGE)), 0);
	CHECK_EQ(pte(m, SYS_VA + ENV_PAGE, 0) & ad, ad);

	CHECK_EQ(RUN(m, CMD(COPY, .a = VRAM_VA + 2 * ENV_PAGE,
			    .b = SYS_VA + 2 * ENV_PAGE, .c = 8)), 0);
	CHECK_EQ(pte(m, VRAM_VA + 2 * ENV_PAGE, 0) & ad, ad);
	CHECK_EQ(pte(m, SYS_VA + 2 * ENV_PAGE, 0) & ad, GPU_PTE_ACCESSED);

	/* Tables have no such bits. */
	CHECK_EQ(pte(m, VRAM_VA, 1) & ad, 0);
	CHECK_EQ(pte(m, VRAM_VA, 4) & ad, 0);
	CHECK_EQ(pte(m, CODE_VA, 0) & ad, GPU_PTE_ACCESSED);

	/* Dirty again after it was cleared and the translation dropped. */
	machine_map(m, 1, SYS_VA, 0, ENV_BUS_BASE | PTE_SYS_RW);
	invalidate_all(m);
	CHECK_EQ(store(m, SYS_VA, 2), 0);
	CHECK_EQ(pte(m, SYS_VA, 0) & ad, ad);
}

static void test_tlb_stale(struct machine *m)
{
	u64 va = VRAM_VA, other = VRAM_VA + ENV_PAGE;
	u64 value;

	machine_put64(m, VRAM_VA, 100);
	machine_put64(m, VRAM_VA + ENV_PAGE, 101);
	machine_put64(m, VRAM_VA + 2 * ENV_PAGE, 102);
	CHECK_EQ(load(m, va, &value), 0);
	CHECK_EQ(value, 100);
	CHECK_EQ(load(m, other, &value), 0);
	CHECK_EQ(value, 101);

	/* The TLB may go on with what it has, and this one does. */
	machine_map(m, 1, va, 0, (m->vram + 2 * ENV_PAGE) | PTE_RW);
	machine_map(m, 1, other, 0, (m->vram + 2 * ENV_PAGE) | PTE_RW);
	CHECK_EQ(load(m, va, &value), 0);
	CHECK_EQ(value, 100);

	/* Neither another address space, nor the pages around, nor nothing. */
	machine_invalidate(m, 2, 0, ~0ull);
	machine_invalidate(m, 1, 0, va);
	machine_invalidate(m, 1, va + ENV_PAGE, ~0ull);
	machine_invalidate(m, 1, va, va);
	machine_invalidate(m, 1, va + 1, va);
	CHECK_EQ(load(m, va, &value), 0);
	CHECK_EQ(value, 100);
	CHECK_EQ(load(m, other, &value), 0);
	CHECK_EQ(value, 102);

	/* One byte of the page is enough, first or last. */
	machine_invalidate(m, 1, va, va + 1);
	CHECK_EQ(load(m, va, &value), 0);
	CHECK_EQ(value, 102);
	machine_map(m, 1, va, 0, m->vram | PTE_RW);
	machine_invalidate(m, 1, va + ENV_PAGE - 1, va + ENV_PAGE);
	CHECK_EQ(load(m, va, &value), 0);
	CHECK_EQ(value, 100);
}

static void test_tlb_unmap(struct machine *m)
{
	struct gpu_fault fault;
	u64 value;

	CHECK_EQ(load(m, SYS_VA, &value), 0);
	machine_map(m, 1, SYS_VA, 0, 0);
	machine_invalidate(m, 1, SYS_VA, SYS_VA + ENV_PAGE);
	SUBMIT(m, 0, CMD(LOAD, .width = 8, .a = SYS_VA));
	CHECK(machine_fault(m, &fault));
	CHECK_EQ(le64_to_cpu(fault.va), SYS_VA);
	machine_reply(m, &fault, GPU_FAULT_REPLY_FAIL);
	CHECK(machine_idle(m, 0));
}

static void test_tlb_large_leaf(struct machine *m)
{
	u64 va = 0x700000000000ull, vram = machine_alloc(m, 512);
	u64 value;
	u32 i;

	/* Pieces of a large leaf all go, whatever part of it is named. */
	machine_map(m, 1, va, 1, vram | PTE_RW);
	for (i = 0; i < 8; i++)
		CHECK_EQ(store(m, va + i * ENV_PAGE, i), 0);
	machine_map(m, 1, va, 1, machine_alloc(m, 512) | PTE_RW);
	machine_invalidate(m, 1, va, va + 0x200000);
	for (i = 0; i < 8; i++) {
		CHECK_EQ(load(m, va + i * ENV_PAGE, &value), 0);
		CHECK_EQ(value, 0);
	}
}

static void test_tlb_upgrade(struct machine *m)
{
	u64 value;

	/* Allowing more needs no invalidation. */
	machine_map(m, 1, VRAM_VA, 0, m->vram | PTE_RO);
	CHECK_EQ(load(m, VRAM_VA, &value), 0);
	machine_map(m, 1, VRAM_VA, 0, m->vram | PTE_RW);
	CHECK_EQ(store(m, VRAM_VA, 3), 0);
	CHECK_EQ(machine_get64(m, VRAM_VA), 3);
}

static void test_tlb_reenable(struct machine *m)
{
	u64 value;

	/* A queue that starts knows nothing from before. */
	machine_put64(m, VRAM_VA, 100);
	machine_put64(m, VRAM_VA + ENV_PAGE, 101);
	CHECK_EQ(load(m, VRAM_VA, &value), 0);
	machine_map(m, 1, VRAM_VA, 0, (m->vram + ENV_PAGE) | PTE_RW);
	machine_queue_wr(m, 0, GPU_QUEUE_CTRL, 0);
	CHECK(machine_enable(m, 0, 1, RING_SIZE));
	CHECK_EQ(load(m, VRAM_VA, &value), 0);
	CHECK_EQ(value, 101);
}

struct invalidator {
	struct machine *m;
	bool done;
};

static int invalidate_thread(void *data)
{
	struct invalidator *inv = data;

	machine_invalidate(inv->m, 1, SYS_VA, SYS_VA + ENV_PAGE);
	__atomic_store_n(&inv->done, true, __ATOMIC_SEQ_CST);
	return 0;
}

static void test_invalidate_waits(struct machine *m)
{
	struct invalidator inv = { .m = m };
	struct gpu_thread thread;
	bool early;
	u32 i;

	/* Stop an access to system memory half-way. */
	WRITE_ONCE(m->env.gate, true);
	SUBMIT(m, 0, CMD(STORE, .width = 8, .a = SYS_VA, .b = 1));
	for (i = 0; i < 50000 && !READ_ONCE(m->env.gated); i++)
		usleep(100);
	CHECK_EQ(READ_ONCE(m->env.gated), 1);

	machine_map(m, 1, SYS_VA, 0, 0);
	CHECK_EQ(gpu_thread_start(&thread, invalidate_thread, &inv, "inv", 0), 0);
	usleep(50000);
	early = __atomic_load_n(&inv.done, __ATOMIC_SEQ_CST);
	WRITE_ONCE(m->env.gate, false);
	gpu_thread_join(&thread);
	CHECK(!early);
	CHECK(inv.done);
	CHECK(machine_idle(m, 0));
	CHECK_EQ(machine_get64(m, SYS_VA), 1);
}

/*
 * A GPU that stores all the time, and a driver that takes its page away, lets
 * the GPU fault and gives it another page. What the first page holds after the
 * invalidation must not change any more.
 */
static void test_invalidate_race(struct machine *m)
{
	u64 va = VRAM_VA, code, seen;
	u32 round, page;
	struct gpu_fault fault;

	code = LOAD(m, 0, CMD(ALU, .rd = 1, .ra = 1, .a = 1),
		    CMD(STORE, .width = 8, .a = va, .rb = 1),
		    CMD(BRANCH, .c = -64ull));
	machine_submit(m, 0, code, 0, 0);
	for (round = 0; round < 300; round++) {
		page = round % AREA_PAGES;
		machine_map(m, 1, va, 0, 0);
		machine_invalidate(m, 1, va, va + ENV_PAGE);
		seen = machine_get64(m, VRAM_VA + page * ENV_PAGE);
		CHECK(machine_fault(m, &fault));
		CHECK_EQ(le64_to_cpu(fault.va), va);
		CHECK_EQ(machine_get64(m, VRAM_VA + page * ENV_PAGE), seen);
		page = (round + 1) % AREA_PAGES;
		machine_map(m, 1, va, 0, (m->vram + page * ENV_PAGE) | PTE_RW);
		machine_reply(m, &fault, GPU_FAULT_REPLY_RETRY);
		if (round % 16 == 0)
			usleep(100);
	}
}

static void test_vram_allocation_fails(struct machine *m)
{
	u64 va = 0x700000000000ull, page = machine_alloc(m, 1);

	machine_map(m, 1, va, 0, page | PTE_RW);
	CHECK_EQ(RUN(m, CMD(NOP)), 0);
	WRITE_ONCE(m->env.vram_fail, true);
	check_bus(m, va);
	WRITE_ONCE(m->env.vram_fail, false);
	CHECK_EQ(store(m, va, 1), 0);
}

static void test_bus_errors(struct machine *m)
{
	u64 gone = SYS_VA + ENV_PAGE, ro = SYS_VA + 2 * ENV_PAGE;

	WRITE_ONCE(m->env.bus_mode[1], 0);
	WRITE_ONCE(m->env.bus_mode[2], ENV_BUS_READ);
	CHECK_EQ(machine_rd(m, GPU_REG_STATUS), 0);
	check_bus(m, gone);
	CHECK_EQ(machine_rd(m, GPU_REG_STATUS), GPU_STATUS_BUS_ERROR);
	check_error(m, GPU_JOB_ERROR_BUS, GPU_ACCESS_WRITE, gone + 8,
		    CMD(STORE, .width = 8, .a = gone + 8));
	check_error(m, GPU_JOB_ERROR_BUS, GPU_ACCESS_ATOMIC, ro,
		    CMD(ATOMIC, .width = 8, .a = ro));
	check_error(m, GPU_JOB_ERROR_BUS, GPU_ACCESS_WRITE, ro,
		    CMD(FILL, .width = 1, .a = ro, .c = 64));
	check_error(m, GPU_JOB_ERROR_BUS, GPU_ACCESS_READ, gone,
		    CMD(COPY, .a = VRAM_VA, .b = gone, .c = 64));
	check_error(m, GPU_JOB_ERROR_BUS, GPU_ACCESS_WRITE, ro,
		    CMD(COPY, .a = ro, .b = VRAM_VA, .c = 64));
	check_error(m, GPU_JOB_ERROR_BUS, GPU_ACCESS_WRITE, ro,
		    CMD(COPY, .a = ro, .b = SYS_VA, .c = 64));
	CHECK_EQ(RUN(m, CMD(LOAD, .width = 8, .a = ro)), 0);
	CHECK_EQ(m->env.bus_errors, 7);
}

static void test_no_atomic(struct machine *m)
{
	struct gpu_fault fault;
	u32 i;

	machine_put64(m, VRAM_VA, 5);
	machine_map(m, 1, VRAM_VA, 0, m->vram | PTE_RW | GPU_PTE_NO_ATOMIC);
	CHECK_EQ(store(m, VRAM_VA, 6), 0);

	/* With the translation cached and not. */
	for (i = 0; i < 2; i++) {
		SUBMIT(m, 0, CMD(ATOMIC, .width = 8, .a = VRAM_VA, .b = 1));
		CHECK(machine_fault(m, &fault));
		CHECK_EQ(fault.access, GPU_ACCESS_ATOMIC);
		CHECK_EQ(fault.level, 0);
		machine_reply(m, &fault, GPU_FAULT_REPLY_FAIL);
		CHECK(machine_idle(m, 0));
		invalidate_all(m);
	}
	CHECK_EQ(machine_get64(m, VRAM_VA), 6);

	/* To allow more needs no invalidation. */
	CHECK_EQ(store(m, VRAM_VA, 7), 0);
	machine_map(m, 1, VRAM_VA, 0, m->vram | PTE_RW);
	CHECK_EQ(RUN(m, CMD(ATOMIC, .width = 8, .a = VRAM_VA, .b = 1)), 0);
	CHECK_EQ(machine_get64(m, VRAM_VA), 8);
}

const struct test mmu_tests[] = {
	{ "mmu: walk through all levels", test_walk_levels },
	{ "mmu: fault at each level", test_missing_levels },
	{ "mmu: 2 MiB leaves", test_large_leaf },
	{ "mmu: malformed entries", test_malformed_entries },
	{ "mmu: entries that lead out of VRAM", test_out_of_vram },
	{ "mmu: address space without root", test_no_root },
	{ "mmu: addresses beyond the address space", test_beyond_va },
	{ "mmu: write protection", test_write_protection },
	{ "mmu: atomics ruled out", test_no_atomic },
	{ "mmu: accessed and dirty bits", test_accessed_dirty },
	{ "mmu: allocation of VRAM fails", test_vram_allocation_fails },
	{ "mmu: bus errors", test_bus_errors },
	{ "tlb: stale until it is invalidated", test_tlb_stale },
	{ "tlb: fault after unmap and invalidation", test_tlb_unmap },
	{ "tlb: invalidation of a large leaf", test_tlb_large_leaf },
	{ "tlb: more permission needs no invalidation", test_tlb_upgrade },
	{ "tlb: empty when a queue starts", test_tlb_reenable },
	{ "tlb: invalidation waits for accesses", test_invalidate_waits },
	{ "tlb: invalidation under load", test_invalidate_race },
	{ }
};
