// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_print.h>
#include <kunit/visibility.h>
#include <linux/iopoll.h>

#include "devmem_device.h"
#include "devmem_hw.h"
#include "devmem_queue.h"
#include "devmem_soft.h"

/* Longer than any access of the GPU, even on a slow emulated machine */
#define DEVMEM_HW_TLB_TIMEOUT_US	(10 * USEC_PER_SEC)

static void devmem_hw_irq_work(struct work_struct *work)
{
	struct devmem_device *dm = container_of(work, typeof(*dm), hw.irq_work);
	u64 status = devmem_hw_read(dm, GPU_REG_IRQ_STATUS);

	/* Clear first: what happens from here on raises the line again. */
	devmem_hw_write(dm, GPU_REG_IRQ_STATUS, status);
	if (status & GPU_IRQ_COPY)
		devmem_copy_irq(dm);
	if (status & GPU_IRQ_FAULT)
		devmem_fault_irq(dm);
	if (status & GPU_IRQ_QUEUE)
		devmem_queue_irq(dm);
}

static void devmem_hw_irq(void *data)
{
	struct devmem_device *dm = data;

	queue_work(dm->hw.irq_wq, &dm->hw.irq_work);
}

/**
 * devmem_hw_init() - bring up the transport to the GPU
 * @dm: the device
 * @vram_size: VRAM that the GPU shall have, in bytes
 *
 * Return: 0, -ENODEV for a GPU of an unknown kind, or -ENOMEM.
 */
int devmem_hw_init(struct devmem_device *dm, u64 vram_size)
{
	struct devmem_hw *hw = &dm->hw;
	u64 caps;

	hw->dev = dm->drm.dev;
	mutex_init(&hw->tlb_lock);
	INIT_WORK(&hw->irq_work, devmem_hw_irq_work);
	/* Migration waits for the copy engine's interrupt, reclaim for migration. */
	hw->irq_wq = alloc_ordered_workqueue("devmem-irq", WQ_HIGHPRI | WQ_MEM_RECLAIM);
	if (!hw->irq_wq)
		return -ENOMEM;

	hw->soft = devmem_soft_create(hw->dev, vram_size, GPU_MAX_QUEUES, &dm->fail,
				      devmem_hw_irq, dm);
	if (IS_ERR(hw->soft)) {
		destroy_workqueue(hw->irq_wq);
		return PTR_ERR(hw->soft);
	}

	if (devmem_hw_read(dm, GPU_REG_ID) != GPU_ID_VALUE ||
	    devmem_hw_read(dm, GPU_REG_VERSION) != GPU_VERSION_VALUE) {
		drm_err(&dm->drm, "unknown GPU %#llx version %llu\n",
			devmem_hw_read(dm, GPU_REG_ID),
			devmem_hw_read(dm, GPU_REG_VERSION));
		devmem_hw_fini(dm);
		return -ENODEV;
	}

	caps = devmem_hw_read(dm, GPU_REG_CAPS);
	hw->num_queues = GPU_CAPS_QUEUES(caps);
	hw->num_vmids = GPU_CAPS_VMIDS(caps);
	hw->vram_size = devmem_hw_read(dm, GPU_REG_VRAM_SIZE);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_hw_init);

/**
 * devmem_hw_start() - let the engines run and the interrupt through
 * @dm: the device, with the fault and the copy ring set up
 */
void devmem_hw_start(struct devmem_device *dm)
{
	devmem_hw_write(dm, GPU_REG_IRQ_ENABLE,
			GPU_IRQ_FAULT | GPU_IRQ_QUEUE | GPU_IRQ_COPY);
	devmem_hw_write(dm, GPU_REG_CTRL, GPU_CTRL_ENABLE);
}

/**
 * devmem_hw_halt() - halt all queues wherever they are, or let them go on
 * @dm: the device
 * @halt: which of it
 *
 * On return no queue accesses memory. Queues can be made and destroyed meanwhile, and
 * faults be answered. The copy engine goes on.
 *
 * Context: process context.
 */
void devmem_hw_halt(struct devmem_device *dm, bool halt)
{
	devmem_hw_write(dm, GPU_REG_CTRL, GPU_CTRL_ENABLE | (halt ? GPU_CTRL_HALT : 0));
}

/**
 * devmem_hw_sleep() - the device loses power
 * @dm: the device, halted; all of VRAM that matters was saved
 *
 * VRAM loses its content and queues and registers keep theirs.
 *
 * Context: process context.
 */
void devmem_hw_sleep(struct devmem_device *dm)
{
	/* What was raised before it was halted; nothing is afterwards. */
	flush_work(&dm->hw.irq_work);
	devmem_soft_lose_vram(dm->hw.soft);
}

/**
 * devmem_hw_fini() - take down the transport
 * @dm: the device; nothing may use the GPU any more
 */
void devmem_hw_fini(struct devmem_device *dm)
{
	devmem_hw_write(dm, GPU_REG_IRQ_ENABLE, 0);
	devmem_hw_write(dm, GPU_REG_CTRL, 0);
	cancel_work_sync(&dm->hw.irq_work);
	devmem_soft_destroy(dm->hw.soft);
	destroy_workqueue(dm->hw.irq_wq);
	mutex_destroy(&dm->hw.tlb_lock);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_hw_fini);

/**
 * devmem_hw_read() - read a register
 * @dm: the device
 * @reg: offset, GPU_REG_*
 *
 * Return: its value.
 */
u64 devmem_hw_read(struct devmem_device *dm, u64 reg)
{
	return devmem_soft_read(dm->hw.soft, reg);
}

/**
 * devmem_hw_write() - write a register
 * @dm: the device
 * @reg: offset, GPU_REG_*
 * @value: what to write
 */
void devmem_hw_write(struct devmem_device *dm, u64 reg, u64 value)
{
	devmem_soft_write(dm->hw.soft, reg, value);
}

/**
 * devmem_hw_vram_read() - read VRAM through the window
 * @dm: the device
 * @addr: VRAM address, in bytes
 * @buf: where to
 * @size: bytes
 *
 * Return: 0, -EINVAL beyond VRAM, -ENOMEM.
 */
int devmem_hw_vram_read(struct devmem_device *dm, u64 addr, void *buf,
			size_t size)
{
	return devmem_soft_vram_read(dm->hw.soft, addr, buf, size);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_hw_vram_read);

/**
 * devmem_hw_vram_write() - write VRAM through the window
 * @dm: the device
 * @addr: VRAM address, in bytes
 * @buf: where from
 * @size: bytes
 *
 * Return: 0, -EINVAL beyond VRAM, -ENOMEM.
 */
int devmem_hw_vram_write(struct devmem_device *dm, u64 addr, const void *buf,
			 size_t size)
{
	return devmem_soft_vram_write(dm->hw.soft, addr, buf, size);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_hw_vram_write);

/**
 * devmem_hw_vram_zero() - clear VRAM through the window
 * @dm: the device
 * @addr: VRAM address, in bytes
 * @size: bytes
 *
 * Does not allocate, and can't fail, where VRAM was written before.
 *
 * Return: 0, -EINVAL beyond VRAM, -ENOMEM.
 */
int devmem_hw_vram_zero(struct devmem_device *dm, u64 addr, size_t size)
{
	return devmem_soft_vram_zero(dm->hw.soft, addr, size);
}

/**
 * devmem_hw_vram_read64() - read a word of VRAM
 * @dm: the device
 * @addr: VRAM address, in bytes, aligned to 8
 *
 * Return: the word.
 */
u64 devmem_hw_vram_read64(struct devmem_device *dm, u64 addr)
{
	return devmem_soft_vram_read64(dm->hw.soft, addr);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_hw_vram_read64);

/**
 * devmem_hw_vram_write64() - write a word of VRAM, as one
 * @dm: the device
 * @addr: VRAM address, in bytes, aligned to 8
 * @value: the word
 *
 * Does not allocate, and can't fail, where VRAM was written before.
 *
 * Return: 0, -EINVAL beyond VRAM, -ENOMEM.
 */
int devmem_hw_vram_write64(struct devmem_device *dm, u64 addr, u64 value)
{
	return devmem_soft_vram_write64(dm->hw.soft, addr, value);
}

/**
 * devmem_hw_map_peer() - give the GPU access to VRAM of another device
 * @dm: the device that is going to access it
 * @peer: the device whose VRAM it is
 * @addr: VRAM address, in bytes
 * @size: bytes, whole pages
 * @dir: what @dm may do
 *
 * Context: does not sleep.
 *
 * Return: bus address for @dm, or %DMA_MAPPING_ERROR.
 */
dma_addr_t devmem_hw_map_peer(struct devmem_device *dm, struct devmem_device *peer,
			      u64 addr, u64 size, enum dma_data_direction dir)
{
	return devmem_soft_map_peer(dm->hw.soft, peer->hw.soft, addr, size, dir);
}

/**
 * devmem_hw_unmap_peer() - end the GPU's access to VRAM of another device
 * @dm: the device that accessed it
 * @addr: of devmem_hw_map_peer()
 * @size: as it was mapped
 * @dir: as it was mapped
 *
 * Context: does not sleep. On return no access is under way.
 */
void devmem_hw_unmap_peer(struct devmem_device *dm, dma_addr_t addr, u64 size,
			  enum dma_data_direction dir)
{
	devmem_soft_unmap_peer(dm->hw.soft, addr, size, dir);
}

/**
 * devmem_hw_tlb_invalidate() - forget translations
 * @dm: the device
 * @vmid: address space
 * @start: first virtual address
 * @end: end, exclusive
 *
 * On return no access that used an old translation is under way.
 *
 * Context: sleeps; may be in reclaim. Takes &devmem_hw.tlb_lock.
 */
void devmem_hw_tlb_invalidate(struct devmem_device *dm, u32 vmid, u64 start,
			      u64 end)
{
	u64 cmd;

	mutex_lock(&dm->hw.tlb_lock);
	devmem_hw_write(dm, GPU_REG_TLB_START, start);
	devmem_hw_write(dm, GPU_REG_TLB_END, end);
	devmem_hw_write(dm, GPU_REG_TLB_CMD,
			GPU_TLB_CMD_INVALIDATE | GPU_TLB_CMD_VMID(vmid));
	if (read_poll_timeout(devmem_hw_read, cmd, !cmd, 10,
			      DEVMEM_HW_TLB_TIMEOUT_US, false, dm,
			      GPU_REG_TLB_CMD))
		drm_err(&dm->drm, "TLB invalidation of VMID %u does not end\n", vmid);
	mutex_unlock(&dm->hw.tlb_lock);
}
