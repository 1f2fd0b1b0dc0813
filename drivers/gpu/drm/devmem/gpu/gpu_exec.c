// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

/**
 * DOC: Command interpreter
 *
 * Runs a batch of the command set that include/uapi/drm/devmem_drm.h
 * describes. A command is fetched whole and checked before it does anything.
 */

#include "gpu_priv.h"

#include <drm/devmem_drm.h>

/* What a running loop yields the processor after, in commands. */
#define GPU_EXEC_SLICE		64
/* How a wait looks at memory: so often in a row, then once in so many us. */
#define GPU_WAIT_SPINS		16
#define GPU_WAIT_SLEEP_US	100

/* Sets of widths, a bit for each, and bit 0 for a command without one */
#define GPU_WIDTH_NONE		BIT(0)
#define GPU_WIDTH_ANY		(BIT(1) | BIT(2) | BIT(4) | BIT(8))
#define GPU_WIDTH_WORD		(BIT(4) | BIT(8))

/**
 * struct gpu_op - which fields a command uses
 * @widths: GPU_WIDTH_*
 * @subs: number of variants
 * @rd: it has a result
 */
struct gpu_op {
	u32 widths;
	u8 subs;
	bool rd;
};

static const struct gpu_op gpu_ops[] = {
	[DRM_DEVMEM_CMD_END] = { GPU_WIDTH_NONE, 1, false },
	[DRM_DEVMEM_CMD_NOP] = { GPU_WIDTH_NONE, 1, false },
	[DRM_DEVMEM_CMD_STORE] = { GPU_WIDTH_ANY, 1, false },
	[DRM_DEVMEM_CMD_LOAD] = { GPU_WIDTH_ANY, 1, true },
	[DRM_DEVMEM_CMD_COPY] = { GPU_WIDTH_NONE, 1, false },
	[DRM_DEVMEM_CMD_FILL] = { GPU_WIDTH_ANY, 1, false },
	[DRM_DEVMEM_CMD_ATOMIC] = {
		GPU_WIDTH_WORD, DRM_DEVMEM_ATOMIC_CMPXCHG + 1, true
	},
	[DRM_DEVMEM_CMD_WAIT] = {
		GPU_WIDTH_WORD, DRM_DEVMEM_COMPARE_GE + 1, false
	},
	[DRM_DEVMEM_CMD_ALU] = {
		GPU_WIDTH_NONE, DRM_DEVMEM_ALU_SHR + 1, true
	},
	[DRM_DEVMEM_CMD_BRANCH] = {
		GPU_WIDTH_NONE, DRM_DEVMEM_COMPARE_GE + 1, false
	},
};

/**
 * struct gpu_operands - operands of a command
 * @a: A
 * @b: B
 * @c: C
 */
struct gpu_operands {
	u64 a;
	u64 b;
	u64 c;
};

/**
 * struct gpu_atomic - an atomic on its way to memory
 * @sub: &enum drm_devmem_cmd_atomic
 * @operand: B
 * @compare: C
 * @old: out, what was in memory
 */
struct gpu_atomic {
	u8 sub;
	u64 operand;
	u64 compare;
	u64 old;
};

static u32 gpu_exec_error(struct gpu_queue *queue, u32 code, u64 va)
{
	return devmem_gpu_queue_error(queue, code, 0, va);
}

static bool gpu_cmd_valid(const struct drm_devmem_cmd *cmd)
{
	const struct gpu_op *op;

	if (cmd->op >= ARRAY_SIZE(gpu_ops))
		return false;
	op = &gpu_ops[cmd->op];
	return cmd->width <= 8 && (op->widths & BIT(cmd->width)) &&
	       cmd->sub < op->subs && (op->rd || !cmd->rd) && !cmd->pad &&
	       cmd->rd < GPU_NUM_REGS && cmd->ra < GPU_NUM_REGS &&
	       cmd->rb < GPU_NUM_REGS && cmd->rc < GPU_NUM_REGS;
}

static u64 gpu_atomic_result(const struct gpu_atomic *atomic, u64 old)
{
	switch (atomic->sub) {
	case DRM_DEVMEM_ATOMIC_ADD:
		return old + atomic->operand;
	case DRM_DEVMEM_ATOMIC_AND:
		return old & atomic->operand;
	case DRM_DEVMEM_ATOMIC_OR:
		return old | atomic->operand;
	case DRM_DEVMEM_ATOMIC_XOR:
		return old ^ atomic->operand;
	case DRM_DEVMEM_ATOMIC_XCHG:
		return atomic->operand;
	default:
		return old == atomic->compare ? atomic->operand : old;
	}
}

static void gpu_access_atomic32(void *ptr, u32 size, void *arg)
{
	struct gpu_atomic *atomic = arg;
	u32 old = READ_ONCE(*(u32 *)ptr);

	while (!try_cmpxchg((u32 *)ptr, &old,
			    (u32)gpu_atomic_result(atomic, old)))
		cpu_relax();
	atomic->old = old;
}

static void gpu_access_atomic64(void *ptr, u32 size, void *arg)
{
	struct gpu_atomic *atomic = arg;
	u64 old = READ_ONCE(*(u64 *)ptr);

	while (!try_cmpxchg((u64 *)ptr, &old, gpu_atomic_result(atomic, old)))
		cpu_relax();
	atomic->old = old;
}

static u32 gpu_exec_atomic(struct gpu_queue *queue,
			   const struct drm_devmem_cmd *cmd,
			   const struct gpu_operands *in, u64 *result)
{
	struct gpu_atomic atomic = {
		.sub = cmd->sub,
		.operand = in->b,
		.compare = cmd->width == 4 ? (u32)in->c : in->c,
	};
	u32 error;

	if (in->a % cmd->width)
		return gpu_exec_error(queue, GPU_JOB_ERROR_ALIGNMENT, in->a);

	error = devmem_gpu_mem_access(queue, in->a, cmd->width,
				      GPU_ACCESS_ATOMIC,
				      cmd->width == 4 ? gpu_access_atomic32 :
							gpu_access_atomic64,
				      &atomic);
	*result = atomic.old;
	return error;
}

static bool gpu_compare(u8 sub, u64 a, u64 b)
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

static u32 gpu_exec_wait(struct gpu_queue *queue,
			 const struct drm_devmem_cmd *cmd,
			 const struct gpu_operands *in)
{
	u32 error, spins = 0;
	u64 value;

	for (;;) {
		error = devmem_gpu_mem_load(queue, in->a, cmd->width, &value);
		if (error)
			return error;
		if (gpu_compare(cmd->sub, value & in->c, in->b))
			return GPU_JOB_ERROR_NONE;
		if (devmem_gpu_queue_aborting(queue))
			return gpu_exec_error(queue, GPU_JOB_ERROR_ABORTED, 0);
		if (++spins < GPU_WAIT_SPINS)
			cpu_relax();
		else
			usleep_range_idle(GPU_WAIT_SLEEP_US,
					  2 * GPU_WAIT_SLEEP_US);
	}
}

static u64 gpu_alu(u8 sub, u64 a, u64 b)
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
		return a ^ b;
	case DRM_DEVMEM_ALU_SHL:
		return a << (b & 63);
	default:
		return a >> (b & 63);
	}
}

/* Execute a valid command other than END. @next is where to go on. */
static u32 gpu_exec_cmd(struct gpu_queue *queue,
			const struct drm_devmem_cmd *cmd, u64 *next)
{
	struct gpu_operands in = {
		.a = queue->regs[cmd->ra] + cmd->a,
		.b = queue->regs[cmd->rb] + cmd->b,
		.c = queue->regs[cmd->rc] + cmd->c,
	};
	u64 result = 0;
	u32 error = 0;

	switch (cmd->op) {
	case DRM_DEVMEM_CMD_STORE:
		error = devmem_gpu_mem_store(queue, in.a, cmd->width, in.b);
		break;
	case DRM_DEVMEM_CMD_LOAD:
		error = devmem_gpu_mem_load(queue, in.a, cmd->width, &result);
		break;
	case DRM_DEVMEM_CMD_COPY:
		error = devmem_gpu_mem_copy(queue, in.a, in.b, in.c);
		break;
	case DRM_DEVMEM_CMD_FILL:
		error = devmem_gpu_mem_fill(queue, in.a, in.c, in.b,
					    cmd->width);
		break;
	case DRM_DEVMEM_CMD_ATOMIC:
		error = gpu_exec_atomic(queue, cmd, &in, &result);
		break;
	case DRM_DEVMEM_CMD_WAIT:
		error = gpu_exec_wait(queue, cmd, &in);
		break;
	case DRM_DEVMEM_CMD_ALU:
		result = gpu_alu(cmd->sub, in.a, in.b);
		break;
	case DRM_DEVMEM_CMD_BRANCH:
		if (!gpu_compare(cmd->sub, in.a, in.b))
			break;
		*next = queue->pc + in.c;
		if (in.c % DRM_DEVMEM_CMD_SIZE)
			error = gpu_exec_error(queue, GPU_JOB_ERROR_ALIGNMENT,
					       *next);
		break;
	}

	/* Commands without a result have rd zero, and r0 stays zero. */
	if (!error && cmd->rd)
		queue->regs[cmd->rd] = result;
	return error;
}

static void gpu_access_fetch(void *ptr, u32 size, void *arg)
{
	memcpy(arg, ptr, size);
}

/**
 * devmem_gpu_exec_batch() - run a batch
 * @queue: queue; called in its thread
 * @batch: virtual address of the first command
 *
 * Return: 0 when the batch came to its end, or a GPU_JOB_ERROR_* that was noted
 * in the queue.
 */
u32 devmem_gpu_exec_batch(struct gpu_queue *queue, u64 batch)
{
	struct drm_devmem_cmd cmd;
	u64 next = batch;
	u32 error;

	if (batch % DRM_DEVMEM_CMD_SIZE)
		return gpu_exec_error(queue, GPU_JOB_ERROR_ALIGNMENT, batch);

	memset(queue->regs, 0, sizeof(queue->regs));
	for (;;) {
		queue->pc = next;
		if (devmem_gpu_queue_aborting(queue))
			return gpu_exec_error(queue, GPU_JOB_ERROR_ABORTED, 0);

		/* What a command did to memory comes before all of the next. */
		smp_mb();
		error = devmem_gpu_mem_access(queue, queue->pc, sizeof(cmd),
					      GPU_ACCESS_FETCH,
					      gpu_access_fetch, &cmd);
		if (error)
			return error;
		if (!gpu_cmd_valid(&cmd))
			return gpu_exec_error(queue, GPU_JOB_ERROR_COMMAND, 0);

		next = queue->pc + sizeof(cmd);
		if (cmd.op != DRM_DEVMEM_CMD_END) {
			error = gpu_exec_cmd(queue, &cmd, &next);
			if (error)
				return error;
		}
		WRITE_ONCE(queue->progress, queue->progress + 1);
		if (cmd.op == DRM_DEVMEM_CMD_END)
			return GPU_JOB_ERROR_NONE;
		if (!(queue->progress % GPU_EXEC_SLICE))
			cond_resched();
	}
}
