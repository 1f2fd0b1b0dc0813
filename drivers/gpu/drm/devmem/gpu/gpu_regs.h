/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_GPU_REGS_H_
#define _DEVMEM_GPU_REGS_H_

/**
 * DOC: Device interface
 *
 * All that a driver and the device know of each other: registers, page table
 * entries, rings and the fault ring. Register offsets are bytes from the start
 * of the register space; a register is 64 bits wide and accessed whole. VRAM
 * addresses count from the start of VRAM. All structures in memory are little
 * endian. docs/gpu.rst is the manual.
 */

/* Identification, read only */
#define GPU_REG_ID			0x0000	/* GPU_ID_VALUE */
#define GPU_ID_VALUE			0x000131444d564144ull
#define GPU_REG_VERSION			0x0008
#define GPU_VERSION_VALUE		1ull
#define GPU_REG_VRAM_SIZE		0x0010	/* bytes */
#define GPU_REG_CAPS			0x0018
#define GPU_CAPS_QUEUES(v)		((v) & 0xffff)
#define GPU_CAPS_VMIDS(v)		(((v) >> 16) & 0xffff)
#define GPU_CAPS_VA_BITS(v)		(((v) >> 32) & 0xff)

/* Whole device */
#define GPU_REG_CTRL			0x0020
#define GPU_CTRL_ENABLE			BIT_ULL(0)	/* engines may run */
#define GPU_CTRL_RESET			BIT_ULL(1)	/* to power-on state; reads 0 when done */
#define GPU_CTRL_HALT			BIT_ULL(2)	/* queues access no memory */
#define GPU_REG_STATUS			0x0028
#define GPU_STATUS_BUS_ERROR		BIT_ULL(0)	/* some bus access failed since reset */

/* Interrupt: raised while IRQ_STATUS & IRQ_ENABLE is not zero */
#define GPU_REG_IRQ_STATUS		0x0040	/* write 1 to clear */
#define GPU_REG_IRQ_ENABLE		0x0048
#define GPU_IRQ_FAULT			BIT_ULL(0)	/* new entry in the fault ring */
#define GPU_IRQ_QUEUE			BIT_ULL(1)	/* a queue completed something */
#define GPU_IRQ_COPY			BIT_ULL(2)	/* the copy engine has become idle */
#define GPU_IRQ_ALL			(GPU_IRQ_FAULT | GPU_IRQ_QUEUE | GPU_IRQ_COPY)

/* Every ring: entries that it can have at most */
#define GPU_MAX_RING_ENTRIES		65536

/*
 * Fault ring: an array of struct gpu_fault in VRAM. The device writes at TAIL,
 * the driver reads at HEAD and writes HEAD back; both count entries and run
 * freely. A queue has at most one fault open, so that a ring with as many
 * entries as queues never overflows.
 */
#define GPU_REG_FAULT_BASE		0x0060	/* VRAM address, aligned to 4 KiB */
#define GPU_REG_FAULT_SIZE		0x0068	/* entries, power of two */
#define GPU_REG_FAULT_HEAD		0x0070
#define GPU_REG_FAULT_TAIL		0x0078	/* read only */

/*
 * TLB: write START, END, then CMD with the VMID. When CMD reads zero again no
 * access that used an old translation of [START, END) of this VMID is under
 * way and none will start. One at a time.
 */
#define GPU_REG_TLB_START		0x0080	/* virtual address */
#define GPU_REG_TLB_END			0x0088	/* exclusive */
#define GPU_REG_TLB_CMD			0x0090
#define GPU_TLB_CMD_INVALIDATE		BIT_ULL(63)
#define GPU_TLB_CMD_VMID(id)		((u64)(id))

/* Copy engine: a ring of struct gpu_copy in VRAM; counters as for the fault ring */
#define GPU_REG_COPY_BASE		0x00a0	/* VRAM address, aligned to 4 KiB */
#define GPU_REG_COPY_SIZE		0x00a8	/* entries, power of two; 0 stops the engine */
#define GPU_REG_COPY_TAIL		0x00b0	/* doorbell */
#define GPU_REG_COPY_HEAD		0x00b8	/* read only: entries completed, in order */
#define GPU_REG_COPY_ERRORS		0x00c0	/* read only: entries that failed */
#define GPU_REG_COPY_ERROR_ENTRY	0x00c8	/* read only: number of the latest that failed */

/* Address spaces: root page table of a VMID, or 0 */
#define GPU_REG_VMID_ROOT(id)		(0x1000 + 8 * (u64)(id))
#define GPU_VMID_ROOT_VALID		BIT_ULL(0)	/* | VRAM address of a table */
#define GPU_MAX_VMIDS			256	/* VMID 0 is never valid */

/* Queues: rings of struct gpu_job in VRAM */
#define GPU_MAX_QUEUES			128
#define GPU_QUEUE_STRIDE		0x100
#define GPU_REG_QUEUE(q, reg)		(0x8000 + GPU_QUEUE_STRIDE * (u64)(q) + (reg))
#define GPU_QUEUE_BASE			0x00	/* VRAM address, aligned to 4 KiB */
#define GPU_QUEUE_SIZE			0x08	/* entries, power of two */
#define GPU_QUEUE_VMID			0x10
#define GPU_QUEUE_CTRL			0x18
/* 1: start at HEAD = TAIL = 0; 0: abort all, reads 0 when stopped */
#define GPU_QUEUE_CTRL_ENABLE		BIT_ULL(0)
/* End the running job with ABORTED; reads 0 when done. Written with ENABLE. */
#define GPU_QUEUE_CTRL_ABORT		BIT_ULL(1)
#define GPU_QUEUE_TAIL			0x20	/* doorbell */
#define GPU_QUEUE_HEAD			0x28	/* read only: jobs ended, in order */
#define GPU_QUEUE_STATUS		0x30	/* read only */
#define GPU_QUEUE_STATUS_RUNNING	BIT_ULL(0)	/* a job has started and not ended */
#define GPU_QUEUE_STATUS_FAULTED	BIT_ULL(1)	/* stalled, waits for FAULT_REPLY */
#define GPU_QUEUE_FAULT_REPLY		0x38	/* gpu_fault.seq | GPU_FAULT_REPLY_* */
#define GPU_FAULT_REPLY_RETRY		0ull
#define GPU_FAULT_REPLY_FAIL		BIT_ULL(63)
#define GPU_QUEUE_PROGRESS		0x40	/* read only: commands executed */

/*
 * Page tables: radix, 512 entries of 8 bytes in 4 KiB of VRAM, five levels of
 * nine bits above 12 bits of offset. Level 0 holds 4 KiB leaves, level 1 can
 * hold 2 MiB leaves, the root is level 4. Undefined bits must be zero. The
 * device sets ACCESSED and DIRTY of leaves, atomically.
 */
#define GPU_VA_BITS			57
#define GPU_PT_LEVELS			5
#define GPU_PT_ENTRIES			512
#define GPU_PT_SHIFT(level)		(12 + 9 * (level))
#define GPU_PTE_VALID			BIT_ULL(0)
#define GPU_PTE_WRITE			BIT_ULL(1)	/* leaf */
#define GPU_PTE_LEAF			BIT_ULL(2)	/* needed at level 0 too */
#define GPU_PTE_SYSTEM			BIT_ULL(3)	/* leaf: bus address, else VRAM */
#define GPU_PTE_ACCESSED		BIT_ULL(4)	/* leaf */
#define GPU_PTE_DIRTY			BIT_ULL(5)	/* leaf */
#define GPU_PTE_NO_ATOMIC		BIT_ULL(6)	/* leaf: atomics are not allowed */
#define GPU_PTE_ADDR			0x00fffffffffff000ull

/* gpu_fault.access and gpu_job.access: the values of enum drm_devmem_access */
#define GPU_ACCESS_READ			0
#define GPU_ACCESS_WRITE		1
#define GPU_ACCESS_ATOMIC		2
#define GPU_ACCESS_FETCH		3

/**
 * struct gpu_fault - entry of the fault ring
 * @va: virtual address of the access
 * @seq: sequence number of the fault within its queue, never zero
 * @vmid: address space
 * @queue: queue that waits for the reply
 * @access: GPU_ACCESS_*
 * @level: level of the page table entry that was missing or insufficient
 * @reserved: zero
 */
struct gpu_fault {
	__le64 va;
	__le64 seq;
	__le32 vmid;
	__le16 queue;
	__u8 access;
	__u8 level;
	__le64 reserved;
};

/* gpu_job.error: the values of enum drm_devmem_error */
#define GPU_JOB_ERROR_NONE		0
#define GPU_JOB_ERROR_FAULT		1
#define GPU_JOB_ERROR_COMMAND		2
#define GPU_JOB_ERROR_ALIGNMENT		3
#define GPU_JOB_ERROR_BUS		4
#define GPU_JOB_ERROR_ABORTED		6

/**
 * struct gpu_job - entry of a queue's ring
 * @batch: virtual address of the first command, aligned to 32 bytes
 * @fence_addr: virtual address that gets @fence_value after the batch ended
 *	well, aligned to 8 bytes; 0 for none
 * @fence_value: see @fence_addr
 * @error_va: device: address that an error is about
 * @error_pc: device: virtual address of the failed command
 * @error: device: GPU_JOB_ERROR_*, written before HEAD moves on
 * @access: device: GPU_ACCESS_* of an error at @error_va
 * @reserved: zero
 */
struct gpu_job {
	__le64 batch;
	__le64 fence_addr;
	__le64 fence_value;
	__le64 error_va;
	__le64 error_pc;
	__le32 error;
	__le32 access;
	__le64 reserved[2];
};

#define GPU_COPY_OP_COPY		0
#define GPU_COPY_OP_CLEAR		1
#define GPU_COPY_SRC_SYSTEM		BIT(0)
#define GPU_COPY_DST_SYSTEM		BIT(1)

/**
 * struct gpu_copy - entry of the copy engine's ring
 * @src: VRAM address, or bus address with GPU_COPY_SRC_SYSTEM; unused by CLEAR
 * @dst: VRAM address, or bus address with GPU_COPY_DST_SYSTEM
 * @size: bytes
 * @op: GPU_COPY_OP_*
 * @flags: GPU_COPY_*_SYSTEM
 */
struct gpu_copy {
	__le64 src;
	__le64 dst;
	__le64 size;
	__le32 op;
	__le32 flags;
};

#endif /* _DEVMEM_GPU_REGS_H_ */
