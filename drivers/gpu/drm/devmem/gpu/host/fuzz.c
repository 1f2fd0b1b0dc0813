// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

/*
 * libFuzzer target. The input is a program of a driver gone wild: it writes
 * registers, page tables, batches and rings, mostly such that they make sense,
 * and replies to faults. Whatever it does, the model must stay within VRAM and
 * the bus, end jobs that are aborted, and stop.
 */

#include <assert.h>

#include "gpu_env.h"

#include <drm/devmem_drm.h>

#define FUZZ_QUEUES	2
#define FUZZ_VMIDS	3
#define FUZZ_RING_SIZE	4u
#define FUZZ_VA		0x00007f0000000000ull

/* Pages of VRAM. The page table of VMID 1 begins with the tables. */
enum {
	PAGE_TABLE_4, PAGE_TABLE_3, PAGE_TABLE_2, PAGE_TABLE_1, PAGE_TABLE_0,
	PAGE_RING_0, PAGE_RING_1, PAGE_FAULT_RING, PAGE_COPY_RING,
	PAGE_CODE, PAGE_DATA, VRAM_PAGES = 1024 + 8,
};

/* Virtual pages: code, then VRAM, then system memory */
#define VA_SYSTEM	9
#define VA_PAGES	24
#define CODE_SLOTS	(ENV_PAGE / sizeof(struct drm_devmem_cmd))

struct fuzz {
	const u8 *data;
	size_t size;
	struct gpu_env env;
};

static u8 get8(struct fuzz *f)
{
	if (!f->size)
		return 0;
	f->size--;
	return *f->data++;
}

static u64 get64(struct fuzz *f)
{
	u64 value = 0;
	u32 i;

	for (i = 0; i < 8; i++)
		value = value << 8 | get8(f);
	return value;
}

static u64 get_va(struct fuzz *f)
{
	u64 page = get8(f) % VA_PAGES;
	u8 offset = get8(f);

	/* Most at the start of a page or near its end. */
	return FUZZ_VA + page * ENV_PAGE +
	       (offset < 128 ? offset : ENV_PAGE - 256 + offset);
}

static u64 get_value(struct fuzz *f)
{
	switch (get8(f) % 9) {
	case 0:
		return get8(f);
	case 1:
		return -(u64)get8(f);
	case 2:
		return 1ull << (get8(f) % 64);
	case 3:
		return (u64)get8(f) << 8 | get8(f);
	case 4:
		return (u64)(get8(f) % 16) * ENV_PAGE;
	case 5:
		return ENV_BUS_BASE + (u64)get8(f) * ENV_PAGE / 2;
	case 6:
		return get64(f);
	default:
		return get_va(f);
	}
}

static void write_reg(struct fuzz *f, u64 reg, u64 value)
{
	devmem_gpu_write(f->env.gpu, reg, value);
}

static u64 read_reg(struct fuzz *f, u64 reg)
{
	return devmem_gpu_read(f->env.gpu, reg);
}

static void put64(struct fuzz *f, u64 addr, u64 value)
{
	__atomic_store_n((u64 *)gpu_env_vram(&f->env, addr), value,
			 __ATOMIC_RELAXED);
}

static void enable(struct fuzz *f, u32 queue)
{
	write_reg(f, GPU_REG_QUEUE(queue, GPU_QUEUE_BASE),
		  (PAGE_RING_0 + queue) * ENV_PAGE);
	write_reg(f, GPU_REG_QUEUE(queue, GPU_QUEUE_SIZE), FUZZ_RING_SIZE);
	write_reg(f, GPU_REG_QUEUE(queue, GPU_QUEUE_VMID), 1);
	write_reg(f, GPU_REG_QUEUE(queue, GPU_QUEUE_CTRL), GPU_QUEUE_CTRL_ENABLE);
}

static void setup(struct fuzz *f)
{
	u64 pte;
	u32 i;

	for (i = 0; i < 4; i++)
		put64(f, (PAGE_TABLE_4 + i) * ENV_PAGE +
		      8 * ((FUZZ_VA >> GPU_PT_SHIFT(4 - i)) % GPU_PT_ENTRIES),
		      (PAGE_TABLE_4 + i + 1) * ENV_PAGE | GPU_PTE_VALID);
	for (i = 0; i < VA_PAGES; i++) {
		pte = GPU_PTE_VALID | GPU_PTE_LEAF | GPU_PTE_WRITE;
		if (i < VA_SYSTEM)
			pte |= (PAGE_CODE + i) * ENV_PAGE;
		else
			pte |= (ENV_BUS_BASE + (i - VA_SYSTEM) * ENV_PAGE) |
			       GPU_PTE_SYSTEM;
		if (i < VA_PAGES - 2)
			put64(f, PAGE_TABLE_0 * ENV_PAGE + 8 * i, pte);
	}
	write_reg(f, GPU_REG_VMID_ROOT(1),
		  PAGE_TABLE_4 * ENV_PAGE | GPU_VMID_ROOT_VALID);
	write_reg(f, GPU_REG_FAULT_BASE, PAGE_FAULT_RING * ENV_PAGE);
	write_reg(f, GPU_REG_FAULT_SIZE, FUZZ_QUEUES);
	write_reg(f, GPU_REG_COPY_BASE, PAGE_COPY_RING * ENV_PAGE);
	write_reg(f, GPU_REG_COPY_SIZE, FUZZ_RING_SIZE);
	write_reg(f, GPU_REG_IRQ_ENABLE, GPU_IRQ_ALL);
	write_reg(f, GPU_REG_CTRL, GPU_CTRL_ENABLE);
	for (i = 0; i < FUZZ_QUEUES; i++)
		enable(f, i);
}

static void do_write_reg(struct fuzz *f)
{
	static const u64 regs[] = {
		GPU_REG_CTRL, GPU_REG_IRQ_STATUS, GPU_REG_IRQ_ENABLE,
		GPU_REG_FAULT_BASE, GPU_REG_FAULT_SIZE, GPU_REG_FAULT_HEAD,
		GPU_REG_TLB_START, GPU_REG_TLB_END, GPU_REG_TLB_CMD,
		GPU_REG_COPY_BASE, GPU_REG_COPY_SIZE, GPU_REG_COPY_TAIL,
		GPU_REG_VMID_ROOT(1), GPU_REG_VMID_ROOT(2),
	};
	u8 which = get8(f);
	u64 reg;

	if (which < 64)
		reg = regs[which % ARRAY_SIZE(regs)];
	else if (which < 128)
		reg = GPU_REG_QUEUE(which % FUZZ_QUEUES, which / 2 % 10 * 8);
	else
		reg = get_value(f);
	write_reg(f, reg, get_value(f));
	read_reg(f, reg);
}

static void do_map(struct fuzz *f)
{
	u64 page = get8(f), flags = get8(f), target = get8(f);
	u64 pte = (flags & 0x3f) | GPU_PTE_VALID | GPU_PTE_LEAF;

	if (flags & GPU_PTE_SYSTEM)
		pte |= ENV_BUS_BASE + target % 80 * ENV_PAGE;
	else
		pte |= (target < 200 ? PAGE_DATA + target % 16 :
			VRAM_PAGES - 2 + target % 4) * ENV_PAGE;
	if (flags & 0x40)
		pte = get64(f);
	if (flags & 0x80)
		put64(f, (PAGE_TABLE_4 + page % 5) * ENV_PAGE +
		      get8(f) * 8, pte);
	else
		put64(f, PAGE_TABLE_0 * ENV_PAGE + page % VA_PAGES * 8, pte);
}

/* A 2 MiB leaf behind the small ones, and now and then in their place. */
static void do_map_large(struct fuzz *f)
{
	u8 what = get8(f);
	u64 pte = GPU_PTE_VALID | GPU_PTE_LEAF | GPU_PTE_WRITE;

	if (what & 1)
		pte |= ENV_BUS_BASE | GPU_PTE_SYSTEM;
	else
		pte |= 512 * ENV_PAGE * (u64)(what >> 6);
	put64(f, PAGE_TABLE_1 * ENV_PAGE + 8 * (what & 2 ? 1 : 0), pte);
}

static void put_command(struct fuzz *f, u64 slot, const struct drm_devmem_cmd *cmd)
{
	u64 words[sizeof(*cmd) / sizeof(u64)];
	u32 i;

	memcpy(words, cmd, sizeof(*cmd));
	for (i = 0; i < ARRAY_SIZE(words); i++)
		put64(f, PAGE_CODE * ENV_PAGE + slot % CODE_SLOTS * sizeof(*cmd) +
		      8 * i, words[i]);
}

/* A command that is well-formed, but for a few. */
static struct drm_devmem_cmd get_command(struct fuzz *f)
{
	static const struct {
		u8 widths[4], subs;
		bool rd;
	} forms[] = {
		[DRM_DEVMEM_CMD_END] = { { 0, 0, 0, 0 }, 1, false },
		[DRM_DEVMEM_CMD_NOP] = { { 0, 0, 0, 0 }, 1, false },
		[DRM_DEVMEM_CMD_STORE] = { { 1, 2, 4, 8 }, 1, false },
		[DRM_DEVMEM_CMD_LOAD] = { { 1, 2, 4, 8 }, 1, true },
		[DRM_DEVMEM_CMD_COPY] = { { 0, 0, 0, 0 }, 1, false },
		[DRM_DEVMEM_CMD_FILL] = { { 1, 2, 4, 8 }, 1, false },
		[DRM_DEVMEM_CMD_ATOMIC] = { { 4, 8, 4, 8 }, 6, true },
		[DRM_DEVMEM_CMD_WAIT] = { { 4, 8, 4, 8 }, 5, false },
		[DRM_DEVMEM_CMD_ALU] = { { 0, 0, 0, 0 }, 8, true },
		[DRM_DEVMEM_CMD_BRANCH] = { { 0, 0, 0, 0 }, 5, false },
	};
	u8 op = get8(f), kind = get8(f), regs = get8(f), bad = get8(f);
	struct drm_devmem_cmd cmd = { .op = op % ARRAY_SIZE(forms) };

	cmd.width = forms[cmd.op].widths[kind % 4];
	cmd.sub = kind / 4 % forms[cmd.op].subs;
	cmd.rd = forms[cmd.op].rd ? regs & 3 : 0;
	cmd.ra = kind & 0x80 ? regs >> 2 & 3 : 0;
	cmd.rb = kind & 0x80 ? regs >> 4 & 3 : 0;
	cmd.rc = kind & 0x80 ? regs >> 6 & 3 : 0;
	cmd.a = cmd.op == DRM_DEVMEM_CMD_ALU ? get_value(f) : get_va(f);
	cmd.b = cmd.op == DRM_DEVMEM_CMD_COPY ? get_va(f) : get_value(f);
	cmd.c = get_value(f);
	if (cmd.op == DRM_DEVMEM_CMD_BRANCH)
		cmd.c = (u64)(s64)(signed char)cmd.c * sizeof(cmd);
	if (bad > 240)
		((u8 *)&cmd)[bad & 7] = get8(f);
	return cmd;
}

static void submit(struct fuzz *f, u8 what, u64 batch)
{
	u32 queue = what % FUZZ_QUEUES;
	u64 tail = read_reg(f, GPU_REG_QUEUE(queue, GPU_QUEUE_TAIL));
	u64 job = (PAGE_RING_0 + queue) * ENV_PAGE +
		  tail % FUZZ_RING_SIZE * sizeof(struct gpu_job);

	put64(f, job, batch + (what == 255));
	put64(f, job + 8, what & 16 ? get_va(f) & (what & 32 ? ~7ull : ~0ull) : 0);
	put64(f, job + 16, tail);
	write_reg(f, GPU_REG_QUEUE(queue, GPU_QUEUE_TAIL),
		  tail + 1 + (what == 254));
}

/* Write some commands and submit them. */
static void do_batch(struct fuzz *f)
{
	const struct drm_devmem_cmd end = { .op = DRM_DEVMEM_CMD_END };
	u8 what = get8(f), num = get8(f) % 6, slot = get8(f);
	struct drm_devmem_cmd cmd;
	u32 i;

	for (i = 0; i < num; i++) {
		cmd = get_command(f);
		put_command(f, slot + i, &cmd);
	}
	put_command(f, slot + num, &end);
	submit(f, what, FUZZ_VA + slot % CODE_SLOTS * sizeof(cmd));
}

/* Submit what was written before, or what never was a batch. */
static void do_submit(struct fuzz *f)
{
	u8 what = get8(f);

	submit(f, what, what & 64 ? get_va(f) & ~31ull :
	       FUZZ_VA + get8(f) % CODE_SLOTS * sizeof(struct drm_devmem_cmd));
}

/* Change a command that may be running. */
static void do_command(struct fuzz *f)
{
	struct drm_devmem_cmd cmd = get_command(f);

	put_command(f, get8(f), &cmd);
}

static void do_reply(struct fuzz *f)
{
	u64 head = read_reg(f, GPU_REG_FAULT_HEAD);
	struct gpu_fault *fault;

	if (head == read_reg(f, GPU_REG_FAULT_TAIL))
		return;
	fault = gpu_env_vram(&f->env, PAGE_FAULT_RING * ENV_PAGE +
			     head % FUZZ_QUEUES * sizeof(*fault));
	write_reg(f, GPU_REG_QUEUE(le16_to_cpu(fault->queue) % FUZZ_QUEUES,
				   GPU_QUEUE_FAULT_REPLY),
		  le64_to_cpu(fault->seq) |
		  (get8(f) & 1 ? GPU_FAULT_REPLY_FAIL : GPU_FAULT_REPLY_RETRY));
	write_reg(f, GPU_REG_FAULT_HEAD, head + 1);
}

static void do_ctrl(struct fuzz *f)
{
	u8 what = get8(f);
	u64 ctrl = GPU_REG_QUEUE(what % FUZZ_QUEUES, GPU_QUEUE_CTRL);

	if (what < 128) {
		write_reg(f, ctrl, GPU_QUEUE_CTRL_ENABLE | GPU_QUEUE_CTRL_ABORT);
		return;
	}
	if (what < 192) {
		write_reg(f, ctrl, 0);
		assert(!read_reg(f, ctrl));
		assert(read_reg(f, GPU_REG_QUEUE(what % FUZZ_QUEUES,
						 GPU_QUEUE_HEAD)) ==
		       read_reg(f, GPU_REG_QUEUE(what % FUZZ_QUEUES,
						 GPU_QUEUE_TAIL)));
	}
	enable(f, what % FUZZ_QUEUES);
}

static void do_invalidate(struct fuzz *f)
{
	write_reg(f, GPU_REG_TLB_START, get_va(f));
	write_reg(f, GPU_REG_TLB_END, get_va(f));
	write_reg(f, GPU_REG_TLB_CMD, GPU_TLB_CMD_INVALIDATE |
		  GPU_TLB_CMD_VMID(1));
	assert(!read_reg(f, GPU_REG_TLB_CMD));
}

static void do_copy(struct fuzz *f)
{
	u64 tail = read_reg(f, GPU_REG_COPY_TAIL);
	u64 entry = PAGE_COPY_RING * ENV_PAGE +
		    tail % FUZZ_RING_SIZE * sizeof(struct gpu_copy);
	u8 what = get8(f);

	put64(f, entry, get_value(f));
	put64(f, entry + 8, get_value(f));
	put64(f, entry + 16, get_value(f));
	put64(f, entry + 24, (what & 1) | (u64)(what >> 1 & 3) << 32 |
	      (what > 250) * 2);
	write_reg(f, GPU_REG_COPY_TAIL, tail + 1);
}

static void do_raw(struct fuzz *f)
{
	put64(f, (u64)(get8(f) % 16) * ENV_PAGE + 8 * get8(f), get64(f));
}

static void do_bus_mode(struct fuzz *f)
{
	u8 what = get8(f);

	WRITE_ONCE(f->env.bus_mode[what % ENV_BUS_PAGES], what >> 6);
}

static void do_wait(struct fuzz *f)
{
	u32 queue = get8(f) % FUZZ_QUEUES;
	u32 i;

	for (i = 0; i < 20; i++) {
		if (read_reg(f, GPU_REG_QUEUE(queue, GPU_QUEUE_HEAD)) ==
		    read_reg(f, GPU_REG_QUEUE(queue, GPU_QUEUE_TAIL)) ||
		    read_reg(f, GPU_REG_QUEUE(queue, GPU_QUEUE_STATUS)) &
		    GPU_QUEUE_STATUS_FAULTED)
			break;
		usleep(10);
	}
}

static void (* const actions[])(struct fuzz *f) = {
	do_write_reg, do_map, do_command, do_submit, do_reply, do_ctrl,
	do_invalidate, do_copy, do_raw, do_bus_mode, do_wait, do_map_large,
	/* Most programs need several of these. */
	do_batch, do_batch, do_batch, do_wait,
};

/* The name that libFuzzer calls comes from the Makefile. */
int FUZZ_ENTRY(const u8 *data, size_t size)
{
	struct fuzz f = { .data = data, .size = size };

	if (!gpu_env_create(&f.env, VRAM_PAGES, FUZZ_QUEUES, FUZZ_VMIDS))
		abort();
	setup(&f);
	while (f.size)
		actions[get8(&f) % ARRAY_SIZE(actions)](&f);

	/* Aborts what still runs; libFuzzer notices if it does not end. */
	write_reg(&f, GPU_REG_CTRL, GPU_CTRL_RESET);
	assert(!read_reg(&f, GPU_REG_QUEUE(0, GPU_QUEUE_CTRL)));
	assert(!read_reg(&f, GPU_REG_COPY_SIZE));
	gpu_env_destroy(&f.env);
	return 0;
}
