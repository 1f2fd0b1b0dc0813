// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

/**
 * DOC: Kernel home of the software GPU
 *
 * Serves the device model of gpu/ inside the kernel. VRAM is an array of folios
 * that are allocated when they are touched first and freed with the device, so
 * a device can have far more VRAM than the machine has memory. They are as large
 * as what touches them, within limits. Bus addresses are resolved by
 * devmem_iommu.c.
 *
 * The driver uses this file as it would use the BARs of a card: registers
 * through devmem_soft_read() and devmem_soft_write(), and the VRAM window
 * through devmem_soft_vram_*(). Values in the window are little endian.
 */

#include <linux/atomic.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/xarray.h>

#include "devmem_fail.h"
#include "devmem_iommu.h"
#include "devmem_soft.h"
#include "gpu/gpu.h"

/**
 * struct devmem_soft - a software GPU
 * @gpu: the model
 * @iommu: resolves bus addresses
 * @vram: folios of VRAM that were touched, by page number
 * @vram_size: bytes of VRAM
 * @fail: what tests make fail
 * @irq: handler of the interrupt
 * @irq_data: for @irq
 */
struct devmem_soft {
	struct gpu *gpu;
	struct devmem_iommu *iommu;
	struct xarray vram;
	u64 vram_size;
	struct devmem_fail *fail;
	devmem_soft_irq_t irq;
	void *irq_data;
};

/* Of a folio at most: enough for a look-up to cost little beside the access. */
#define DEVMEM_SOFT_MAX_ORDER	get_order(SZ_64K)

/* NULL if there is no memory, or something at @index or behind it. */
static struct folio *devmem_soft_try_alloc(struct devmem_soft *soft,
					   unsigned long index, unsigned int order,
					   gfp_t gfp)
{
	XA_STATE_ORDER(xas, &soft->vram, index, order);
	struct folio *folio;
	void *old;

	folio = folio_alloc(gfp | __GFP_ZERO, order);
	if (!folio)
		return NULL;
	do {
		xas_lock(&xas);
		old = xas_find_conflict(&xas);
		if (!old)
			xas_store(&xas, folio);
		xas_unlock(&xas);
	} while (xas_nomem(&xas, gfp));

	if (!old && !xas_error(&xas))
		return folio;
	folio_put(folio);
	return NULL;
}

/* Give VRAM at @addr, of which @size bytes are going to be used, a backing. */
static struct folio *devmem_soft_alloc(struct devmem_soft *soft, u64 addr,
				       u64 size, gfp_t gfp)
{
	unsigned long index = addr >> PAGE_SHIFT;
	unsigned int order = DEVMEM_SOFT_MAX_ORDER;
	struct folio *folio = NULL;

	if (devmem_fail_now(soft->fail, DEVMEM_FAIL_BACKING))
		return NULL;

	while (order && (!IS_ALIGNED(addr, PAGE_SIZE << order) ||
			 size < PAGE_SIZE << order))
		order--;
	if (order)
		folio = devmem_soft_try_alloc(soft, index, order,
					      gfp | __GFP_NORETRY | __GFP_NOWARN);
	if (!folio)
		folio = devmem_soft_try_alloc(soft, index, 0, gfp);
	/* Somebody else can have been first. */
	return folio ?: xa_load(&soft->vram, index);
}

/* As &gpu_env_ops.vram */
static void *devmem_soft_vram(struct devmem_soft *soft, u64 addr, u64 *size,
			      bool alloc)
{
	struct folio *folio = xa_load(&soft->vram, addr >> PAGE_SHIFT);
	size_t offset;

	if (!folio && alloc)
		folio = devmem_soft_alloc(soft, addr, *size, GFP_KERNEL);
	if (!folio)
		return NULL;
	/* A folio is at a multiple of its size. */
	offset = addr & (folio_size(folio) - 1);
	*size = min(*size, folio_size(folio) - offset);
	return folio_address(folio) + offset;
}

static void *devmem_soft_env_vram(void *env, u64 addr, u64 *size, bool alloc)
{
	return devmem_soft_vram(env, addr, size, alloc);
}

static void *devmem_soft_env_bus_begin(void *env, u64 addr, u64 *size, bool write)
{
	struct devmem_soft *soft = env;

	return devmem_iommu_begin(soft->iommu, addr, size, write);
}

static void devmem_soft_env_bus_end(void *env)
{
	struct devmem_soft *soft = env;

	devmem_iommu_end(soft->iommu);
}

static void devmem_soft_env_irq(void *env)
{
	struct devmem_soft *soft = env;

	soft->irq(soft->irq_data);
}

static const struct gpu_env_ops devmem_soft_env_ops = {
	.vram = devmem_soft_env_vram,
	.bus_begin = devmem_soft_env_bus_begin,
	.bus_end = devmem_soft_env_bus_end,
	.irq = devmem_soft_env_irq,
};

/**
 * devmem_soft_create() - create a software GPU
 * @dev: device that becomes its DMA device; must not do DMA otherwise
 * @vram_size: bytes, a multiple of 4 KiB
 * @num_queues: 1 to %GPU_MAX_QUEUES
 * @fail: what tests make fail; lives as long as the device
 * @irq: handler of the interrupt
 * @irq_data: for @irq
 *
 * The device is in its power-on state. Sets up the DMA masks and operations of
 * @dev.
 *
 * Return: the device, or ERR_PTR(): -EINVAL for bad sizes or without memory
 * for the model, -EOPNOTSUPP when the platform can't do DMA for it, -ENOMEM.
 */
struct devmem_soft *devmem_soft_create(struct device *dev, u64 vram_size,
				       u32 num_queues, struct devmem_fail *fail,
				       devmem_soft_irq_t irq, void *irq_data)
{
	struct gpu_config config = {
		.vram_size = vram_size,
		.num_queues = num_queues,
		.num_vmids = GPU_MAX_VMIDS,
	};
	struct devmem_soft *soft;
	int ret;

	soft = kzalloc_obj(*soft);
	if (!soft)
		return ERR_PTR(-ENOMEM);
	soft->vram_size = vram_size;
	soft->fail = fail;
	soft->irq = irq;
	soft->irq_data = irq_data;
	xa_init(&soft->vram);

	soft->iommu = devmem_iommu_create(dev, fail);
	if (IS_ERR(soft->iommu)) {
		ret = PTR_ERR(soft->iommu);
		goto err_free;
	}

	soft->gpu = devmem_gpu_create(&config, &devmem_soft_env_ops, soft);
	if (!soft->gpu) {
		ret = -EINVAL;
		goto err_iommu;
	}
	return soft;

err_iommu:
	devmem_iommu_destroy(soft->iommu);
err_free:
	kfree(soft);
	return ERR_PTR(ret);
}

/**
 * devmem_soft_destroy() - end a software GPU
 * @soft: device that nobody uses any more
 *
 * Aborts what runs and frees VRAM. DMA mappings that still exist are reported.
 */
void devmem_soft_destroy(struct devmem_soft *soft)
{
	struct folio *folio;
	unsigned long index;

	devmem_gpu_destroy(soft->gpu);
	devmem_iommu_destroy(soft->iommu);
	xa_for_each(&soft->vram, index, folio)
		folio_put(folio);
	xa_destroy(&soft->vram);
	kfree(soft);
}

/**
 * devmem_soft_read() - read a register
 * @soft: device
 * @reg: offset, GPU_REG_*
 *
 * Context: any but interrupts; does not sleep.
 * Return: the value.
 */
u64 devmem_soft_read(struct devmem_soft *soft, u64 reg)
{
	return devmem_gpu_read(soft->gpu, reg);
}

/**
 * devmem_soft_write() - write a register
 * @soft: device
 * @reg: offset, GPU_REG_*
 * @value: value
 *
 * Context: see devmem_gpu_write(): %GPU_REG_CTRL, %GPU_REG_COPY_SIZE and
 * %GPU_QUEUE_CTRL can sleep and allocate memory. The others do not, and can be
 * written in an MMU notifier.
 */
void devmem_soft_write(struct devmem_soft *soft, u64 reg, u64 value)
{
	devmem_gpu_write(soft->gpu, reg, value);
}

static bool devmem_soft_vram_valid(struct devmem_soft *soft, u64 addr, u64 size)
{
	return !WARN_ON_ONCE(addr > soft->vram_size ||
			     size > soft->vram_size - addr);
}

static bool devmem_soft_word_valid(struct devmem_soft *soft, u64 addr)
{
	return !WARN_ON_ONCE(!IS_ALIGNED(addr, sizeof(u64))) &&
	       devmem_soft_vram_valid(soft, addr, sizeof(u64));
}

/**
 * devmem_soft_vram_read64() - read a word of VRAM
 * @soft: device
 * @addr: VRAM address, aligned to eight bytes
 *
 * What is read afterwards is not older.
 *
 * Context: any but interrupts; does not sleep.
 * Return: the value; 0 if the page was not touched so far.
 */
u64 devmem_soft_vram_read64(struct devmem_soft *soft, u64 addr)
{
	u64 size = sizeof(u64);
	__le64 *ptr;

	if (!devmem_soft_word_valid(soft, addr))
		return 0;
	ptr = devmem_soft_vram(soft, addr, &size, false);
	/* Pairs with what the device wrote before this word. */
	return ptr ? le64_to_cpu(smp_load_acquire(ptr)) : 0;
}

/**
 * devmem_soft_vram_write64() - write a word of VRAM
 * @soft: device
 * @addr: VRAM address, aligned to eight bytes
 * @value: value
 *
 * The device sees what was written before not later than this.
 *
 * Context: sleeps and allocates memory only if the page was not touched so far.
 * For a page that was it cannot fail and can be called in an MMU notifier.
 * Return: 0, -EINVAL outside VRAM, or -ENOMEM.
 */
int devmem_soft_vram_write64(struct devmem_soft *soft, u64 addr, u64 value)
{
	u64 size = sizeof(u64);
	__le64 *ptr;

	if (!devmem_soft_word_valid(soft, addr))
		return -EINVAL;
	ptr = devmem_soft_vram(soft, addr, &size, true);
	if (unlikely(!ptr))
		return -ENOMEM;
	/* Pairs with the page table walk, which goes from entry to table. */
	smp_store_release(ptr, cpu_to_le64(value));
	return 0;
}

/**
 * devmem_soft_vram_zero() - clear a range of VRAM
 * @soft: device
 * @addr: VRAM address
 * @size: bytes
 *
 * All pages of the range count as touched afterwards.
 *
 * Context: may sleep.
 * Return: 0, -EINVAL for a range that is not inside VRAM, or -ENOMEM, after
 * which part of the range may be clear.
 */
int devmem_soft_vram_zero(struct devmem_soft *soft, u64 addr, u64 size)
{
	u64 step;
	void *ptr;

	if (!devmem_soft_vram_valid(soft, addr, size))
		return -EINVAL;

	for (; size; addr += step, size -= step) {
		step = size;
		ptr = devmem_soft_vram(soft, addr, &step, true);
		if (!ptr)
			return -ENOMEM;
		memset(ptr, 0, step);
		cond_resched();
	}
	return 0;
}

/**
 * devmem_soft_vram_write() - write a range of VRAM
 * @soft: device
 * @addr: VRAM address
 * @src: data
 * @size: bytes
 *
 * Context: may sleep.
 * Return: 0, -EINVAL for a range that is not inside VRAM, or -ENOMEM, after
 * which part of the range may be written.
 */
int devmem_soft_vram_write(struct devmem_soft *soft, u64 addr, const void *src,
			   u64 size)
{
	u64 step;
	void *ptr;

	if (!devmem_soft_vram_valid(soft, addr, size))
		return -EINVAL;

	for (; size; addr += step, src += step, size -= step) {
		step = size;
		ptr = devmem_soft_vram(soft, addr, &step, true);
		if (!ptr)
			return -ENOMEM;
		memcpy(ptr, src, step);
		cond_resched();
	}
	return 0;
}

/**
 * devmem_soft_vram_read() - read a range of VRAM
 * @soft: device
 * @addr: VRAM address
 * @dst: data
 * @size: bytes
 *
 * What was not touched so far reads as zero.
 *
 * Context: may sleep.
 * Return: 0, or -EINVAL for a range that is not inside VRAM.
 */
int devmem_soft_vram_read(struct devmem_soft *soft, u64 addr, void *dst,
			  u64 size)
{
	u64 step;
	void *ptr;

	if (!devmem_soft_vram_valid(soft, addr, size))
		return -EINVAL;

	for (; size; addr += step, dst += step, size -= step) {
		step = size;
		ptr = devmem_soft_vram(soft, addr, &step, false);
		if (ptr) {
			memcpy(dst, ptr, step);
		} else {
			step = min_t(u64, size, PAGE_SIZE - offset_in_page(addr));
			memset(dst, 0, step);
		}
		cond_resched();
	}
	return 0;
}

/**
 * devmem_soft_map_peer() - give a device access to VRAM of another one
 * @soft: the device that is going to access it
 * @peer: the device whose VRAM it is; lives until the range is unmapped
 * @addr: VRAM address
 * @size: bytes, whole pages
 * @dir: what @soft may do
 *
 * Pages that were not touched so far come into being here, since an access can't
 * wait for memory.
 *
 * Context: any but interrupts; does not sleep.
 * Return: bus address for @soft, or %DMA_MAPPING_ERROR: no memory, or the
 * platform can't do it.
 */
dma_addr_t devmem_soft_map_peer(struct devmem_soft *soft, struct devmem_soft *peer,
				u64 addr, u64 size, enum dma_data_direction dir)
{
	u64 page;

	if (!devmem_soft_vram_valid(peer, addr, size))
		return DMA_MAPPING_ERROR;
	for (page = addr; page < addr + size; page += PAGE_SIZE)
		if (!xa_load(&peer->vram, page >> PAGE_SHIFT) &&
		    !devmem_soft_alloc(peer, page, addr + size - page,
				       GFP_ATOMIC | __GFP_NOWARN))
			return DMA_MAPPING_ERROR;
	return devmem_iommu_map_peer(soft->iommu, &peer->vram, addr, size, dir);
}

/**
 * devmem_soft_unmap_peer() - end access to VRAM of another device
 * @soft: the device that accessed it
 * @addr: of devmem_soft_map_peer()
 * @size: as it was mapped
 * @dir: as it was mapped
 *
 * Context: any but interrupts; does not sleep. On return no access is under way.
 */
void devmem_soft_unmap_peer(struct devmem_soft *soft, dma_addr_t addr, u64 size,
			    enum dma_data_direction dir)
{
	devmem_iommu_unmap_peer(soft->iommu, addr, size, dir);
}

/* What VRAM is found to hold: as an entry of a page table it is a bus error. */
#define DEVMEM_SOFT_LOST	0xa5

/**
 * devmem_soft_lose_vram() - let VRAM lose its content
 * @soft: device that nobody uses meanwhile
 *
 * Also what was not touched so far may be anything then; it stays as it is.
 *
 * Context: may sleep.
 */
void devmem_soft_lose_vram(struct devmem_soft *soft)
{
	struct folio *folio;
	unsigned long index;

	xa_for_each(&soft->vram, index, folio) {
		memset(folio_address(folio), DEVMEM_SOFT_LOST, folio_size(folio));
		cond_resched();
	}
}

/**
 * devmem_soft_bus_violations() - count bad uses of bus addresses
 * @soft: device
 *
 * Return: how often the device used a bus address that was not mapped for it,
 * or somebody unmapped one that was not mapped like that. It is a bug of the
 * driver if that is not zero.
 */
u64 devmem_soft_bus_violations(struct devmem_soft *soft)
{
	return devmem_iommu_violations(soft->iommu);
}
