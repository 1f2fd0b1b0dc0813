// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

/**
 * DOC: Software IOMMU
 *
 * Resolves the bus addresses that the software GPU uses.
 *
 * Where the kernel lets a device have DMA operations of its own, the device
 * sits behind an IOMMU that checks. A bus address is not a physical address. It
 * is valid from the mapping to the unmapping, for the bytes and the direction
 * that were mapped; any other access fails, is reported and counted. Addresses
 * are handed out in ascending order with a gap behind each mapping, and come
 * round again only when the address space is used up. So a driver that unmaps
 * too early, or a device that reaches beyond a buffer, is caught.
 *
 * Elsewhere a bus address has to be the physical address, which is checked when
 * the device is created.
 *
 * Memory of another device of this kind, which has no physical address as a
 * whole, is mapped by devmem_iommu_map_peer() and held to the same rules. That is
 * what the windows of cards to each other's memory are on a bus.
 *
 * An access holds a lock for reading that unmapping takes for writing: when
 * dma_unmap_*() returns, no access to that memory is under way. Mapping and
 * unmapping don't sleep, but must not be done in interrupts.
 */

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/rbtree.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/xarray.h>

#include "devmem_fail.h"
#include "devmem_iommu.h"

/* Bus addresses: above most physical memory, and within page table entries */
#define DEVMEM_IOMMU_BITS	56
#define DEVMEM_IOMMU_BASE	BIT_ULL(40)
#define DEVMEM_IOMMU_END	BIT_ULL(DEVMEM_IOMMU_BITS)
#define DEVMEM_IOMMU_GAP	PAGE_SIZE

/**
 * struct devmem_iommu - the IOMMU of a device
 * @dev: device
 * @violations: see devmem_iommu_violations()
 * @fail: what tests make fail
 * @ops: DMA operations of @dev; it is found through them
 * @lock: protects what follows; taken for reading by an access
 * @maps: &struct devmem_iommu_map, by address
 * @num_maps: number of @maps
 * @next: where to look for the next free address
 */
struct devmem_iommu {
	struct device *dev;
	atomic64_t violations;
	struct devmem_fail *fail;
#ifdef CONFIG_ARCH_HAS_DMA_OPS
	const struct dma_map_ops ops;
	rwlock_t lock;
	struct rb_root maps;
	unsigned long num_maps;
	u64 next;
#endif
};

/**
 * devmem_iommu_violations() - count bad uses of bus addresses
 * @iommu: IOMMU
 *
 * Return: accesses that failed and unmappings that matched no mapping.
 */
u64 devmem_iommu_violations(struct devmem_iommu *iommu)
{
	return atomic64_read(&iommu->violations);
}

/* Devices that are on no real bus come without a place for their mask. */
static int devmem_iommu_set_mask(struct device *dev)
{
	if (!dev->dma_mask)
		dev->dma_mask = &dev->coherent_dma_mask;
	return dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
}

static bool devmem_iommu_is_memory(phys_addr_t phys, size_t size)
{
	return size && phys + size - 1 >= phys &&
	       pfn_valid(PHYS_PFN(phys)) && pfn_valid(PHYS_PFN(phys + size - 1));
}

#ifdef CONFIG_ARCH_HAS_DMA_OPS

/**
 * struct devmem_iommu_map - a mapping
 * @node: in &devmem_iommu.maps
 * @addr: bus address of the first byte
 * @size: bytes
 * @folios: memory of a peer, by page number, or NULL for system memory
 * @phys: physical address of the first byte; or where it is in @folios, in bytes
 * @dir: what the device may do
 */
struct devmem_iommu_map {
	struct rb_node node;
	u64 addr;
	u64 size;
	struct xarray *folios;
	phys_addr_t phys;
	enum dma_data_direction dir;
};

#define to_map(n) rb_entry(n, struct devmem_iommu_map, node)

static struct devmem_iommu *devmem_iommu_of(struct device *dev)
{
	return container_of(get_dma_ops(dev), struct devmem_iommu, ops);
}

static bool devmem_iommu_less(struct rb_node *a, const struct rb_node *b)
{
	return to_map(a)->addr < to_map(b)->addr;
}

/* The mapping with the lowest address that ends above @addr. */
static struct devmem_iommu_map *devmem_iommu_first(struct devmem_iommu *iommu,
						   u64 addr)
{
	struct rb_node *node = iommu->maps.rb_node;
	struct devmem_iommu_map *map, *first = NULL;

	while (node) {
		map = to_map(node);
		if (map->addr + map->size > addr) {
			first = map;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return first;
}

/*
 * Find free bus addresses for @size bytes at @phys. They get the alignment of
 * the physical address, up to that of a large leaf of the GPU's page table.
 * Returns zero if there are none.
 */
static u64 devmem_iommu_find(struct devmem_iommu *iommu, phys_addr_t phys,
			     u64 size)
{
	u64 align = clamp_t(u64, roundup_pow_of_two(size), PAGE_SIZE, SZ_2M);
	struct devmem_iommu_map *map;
	bool wrapped = false;
	u64 addr;

	if (size > DEVMEM_IOMMU_END - DEVMEM_IOMMU_BASE)
		return 0;

	for (;;) {
		addr = ALIGN(iommu->next, align) + (phys & (align - 1));
		if (addr + size > DEVMEM_IOMMU_END) {
			if (wrapped)
				return 0;
			wrapped = true;
			iommu->next = DEVMEM_IOMMU_BASE;
			continue;
		}
		map = devmem_iommu_first(iommu, addr - DEVMEM_IOMMU_GAP);
		if (!map || map->addr >= addr + size + DEVMEM_IOMMU_GAP)
			break;
		iommu->next = PAGE_ALIGN(map->addr + map->size) +
			      DEVMEM_IOMMU_GAP;
	}
	iommu->next = PAGE_ALIGN(addr + size) + DEVMEM_IOMMU_GAP;
	return addr;
}

/* Add a mapping of system memory, or of a peer's @folios. */
static dma_addr_t devmem_iommu_add(struct devmem_iommu *iommu, struct xarray *folios,
				   phys_addr_t phys, size_t size,
				   enum dma_data_direction dir)
{
	struct devmem_iommu_map *map;
	u64 addr;

	if (devmem_fail_now(iommu->fail, DEVMEM_FAIL_MAP))
		return DMA_MAPPING_ERROR;
	map = kmalloc_obj(*map, GFP_ATOMIC | __GFP_NOWARN);
	if (!map)
		return DMA_MAPPING_ERROR;
	map->folios = folios;
	map->phys = phys;
	map->size = size;
	map->dir = dir;

	write_lock(&iommu->lock);
	addr = devmem_iommu_find(iommu, phys, size);
	if (addr) {
		map->addr = addr;
		rb_add(&map->node, &iommu->maps, devmem_iommu_less);
		iommu->num_maps++;
	}
	write_unlock(&iommu->lock);

	if (!addr) {
		kfree(map);
		return DMA_MAPPING_ERROR;
	}
	return addr;
}

static dma_addr_t devmem_iommu_map_phys(struct device *dev, phys_addr_t phys,
					size_t size, enum dma_data_direction dir,
					unsigned long attrs)
{
	/* The device model needs memory that the CPU can map as such. */
	if ((attrs & DMA_ATTR_MMIO) || !devmem_iommu_is_memory(phys, size))
		return DMA_MAPPING_ERROR;
	return devmem_iommu_add(devmem_iommu_of(dev), NULL, phys, size, dir);
}

/* Remove the mapping that was made with the same arguments. */
static void devmem_iommu_remove(struct devmem_iommu *iommu, dma_addr_t addr,
				size_t size, enum dma_data_direction dir)
{
	struct devmem_iommu_map *map;
	bool match;

	write_lock(&iommu->lock);
	map = devmem_iommu_first(iommu, addr);
	match = map && map->addr == addr && map->size == size && map->dir == dir;
	if (match) {
		rb_erase(&map->node, &iommu->maps);
		iommu->num_maps--;
	}
	write_unlock(&iommu->lock);

	if (match) {
		kfree(map);
		return;
	}
	atomic64_inc(&iommu->violations);
	dev_err_ratelimited(iommu->dev, "unmap of %zu bytes at bus address %pad, direction %d, which is not mapped like that\n",
			    size, &addr, dir);
}

static void devmem_iommu_unmap_phys(struct device *dev, dma_addr_t addr,
				    size_t size, enum dma_data_direction dir,
				    unsigned long attrs)
{
	devmem_iommu_remove(devmem_iommu_of(dev), addr, size, dir);
}

/**
 * devmem_iommu_has_peers() - can memory of other devices be mapped?
 *
 * Return: true if devmem_iommu_map_peer() is of use on this architecture.
 */
bool devmem_iommu_has_peers(void)
{
	return true;
}

/**
 * devmem_iommu_map_peer() - map memory of another device
 * @iommu: IOMMU of the device that is going to access it
 * @folios: memory of the other device, by page number, each at a multiple of its
 *	size; those of the range stay until it is unmapped
 * @addr: where the range is in @folios, in bytes
 * @size: bytes
 * @dir: what the device may do
 *
 * Context: any but interrupts; does not sleep.
 * Return: the bus address, or %DMA_MAPPING_ERROR.
 */
dma_addr_t devmem_iommu_map_peer(struct devmem_iommu *iommu, struct xarray *folios,
				 u64 addr, u64 size, enum dma_data_direction dir)
{
	return devmem_iommu_add(iommu, folios, addr, size, dir);
}

/**
 * devmem_iommu_unmap_peer() - unmap memory of another device
 * @iommu: IOMMU
 * @addr: of devmem_iommu_map_peer()
 * @size: as it was mapped
 * @dir: as it was mapped
 *
 * Context: any but interrupts; does not sleep. On return no access is under way.
 */
void devmem_iommu_unmap_peer(struct devmem_iommu *iommu, dma_addr_t addr, u64 size,
			     enum dma_data_direction dir)
{
	devmem_iommu_remove(iommu, addr, size, dir);
}

static void devmem_iommu_unmap_sg(struct device *dev, struct scatterlist *sgl,
				  int nents, enum dma_data_direction dir,
				  unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, nents, i)
		devmem_iommu_unmap_phys(dev, sg_dma_address(sg), sg_dma_len(sg),
					dir, attrs);
}

static int devmem_iommu_map_sg(struct device *dev, struct scatterlist *sgl,
			       int nents, enum dma_data_direction dir,
			       unsigned long attrs)
{
	struct scatterlist *sg;
	dma_addr_t addr;
	int i;

	for_each_sg(sgl, sg, nents, i) {
		addr = devmem_iommu_map_phys(dev, sg_phys(sg), sg->length, dir,
					     attrs);
		if (addr == DMA_MAPPING_ERROR) {
			devmem_iommu_unmap_sg(dev, sgl, i, dir, attrs);
			return -ENOMEM;
		}
		sg_dma_address(sg) = addr;
		sg_dma_len(sg) = sg->length;
	}
	return nents;
}

static void *devmem_iommu_alloc_coherent(struct device *dev, size_t size,
					 dma_addr_t *addr, gfp_t gfp,
					 unsigned long attrs)
{
	void *ptr;

	ptr = alloc_pages_exact(size, gfp | __GFP_ZERO);
	if (!ptr)
		return NULL;
	*addr = devmem_iommu_map_phys(dev, virt_to_phys(ptr), size,
				      DMA_BIDIRECTIONAL, attrs);
	if (*addr == DMA_MAPPING_ERROR) {
		free_pages_exact(ptr, size);
		return NULL;
	}
	return ptr;
}

static void devmem_iommu_free_coherent(struct device *dev, size_t size,
				       void *ptr, dma_addr_t addr,
				       unsigned long attrs)
{
	devmem_iommu_unmap_phys(dev, addr, size, DMA_BIDIRECTIONAL, attrs);
	free_pages_exact(ptr, size);
}

static int devmem_iommu_dma_supported(struct device *dev, u64 mask)
{
	return mask >= DMA_BIT_MASK(DEVMEM_IOMMU_BITS);
}

static const struct dma_map_ops devmem_iommu_ops = {
	.alloc = devmem_iommu_alloc_coherent,
	.free = devmem_iommu_free_coherent,
	.map_phys = devmem_iommu_map_phys,
	.unmap_phys = devmem_iommu_unmap_phys,
	.map_sg = devmem_iommu_map_sg,
	.unmap_sg = devmem_iommu_unmap_sg,
	.dma_supported = devmem_iommu_dma_supported,
};

/**
 * devmem_iommu_create() - set a device up for DMA
 * @dev: device, with no DMA mapping
 * @fail: what tests make fail; lives as long as the IOMMU
 *
 * Return: the IOMMU or ERR_PTR(): -ENOMEM, or -EOPNOTSUPP if the platform
 * can't do DMA for the device.
 */
struct devmem_iommu *devmem_iommu_create(struct device *dev, struct devmem_fail *fail)
{
	const struct devmem_iommu init = {
		.dev = dev,
		.fail = fail,
		.ops = devmem_iommu_ops,
		.maps = RB_ROOT,
		.next = DEVMEM_IOMMU_BASE,
	};
	struct devmem_iommu *iommu;

	iommu = kmemdup(&init, sizeof(init), GFP_KERNEL);
	if (!iommu)
		return ERR_PTR(-ENOMEM);
	rwlock_init(&iommu->lock);

	set_dma_ops(dev, &iommu->ops);
	if (devmem_iommu_set_mask(dev)) {
		set_dma_ops(dev, NULL);
		kfree(iommu);
		return ERR_PTR(-EOPNOTSUPP);
	}
	return iommu;
}

/**
 * devmem_iommu_destroy() - end DMA of a device
 * @iommu: IOMMU that no access uses
 *
 * Mappings that were not unmapped are reported.
 */
void devmem_iommu_destroy(struct devmem_iommu *iommu)
{
	struct devmem_iommu_map *map, *next;

	if (iommu->num_maps)
		dev_err(iommu->dev, "%lu DMA mappings were not unmapped\n",
			iommu->num_maps);
	rbtree_postorder_for_each_entry_safe(map, next, &iommu->maps, node)
		kfree(map);
	set_dma_ops(iommu->dev, NULL);
	kfree(iommu);
}

static bool devmem_iommu_allows(const struct devmem_iommu_map *map, bool write)
{
	return map->dir == DMA_BIDIRECTIONAL ||
	       map->dir == (write ? DMA_FROM_DEVICE : DMA_TO_DEVICE);
}

/* CPU address of a mapped byte, from which at most @size bytes are in one piece */
static void *devmem_iommu_ptr(const struct devmem_iommu_map *map, u64 addr, u64 *size)
{
	phys_addr_t phys = map->phys + (addr - map->addr);
	struct folio *folio;
	size_t offset;

	if (!map->folios)
		return phys_to_virt(phys);

	folio = xa_load(map->folios, phys >> PAGE_SHIFT);
	offset = phys & (folio_size(folio) - 1);
	*size = min(*size, folio_size(folio) - offset);
	return folio_address(folio) + offset;
}

/**
 * devmem_iommu_begin() - begin an access of the device to memory
 * @iommu: IOMMU
 * @addr: bus address
 * @size: bytes, all of one mapping; out: how many are in one piece, at least those
 *	to the end of the page
 * @write: the device writes
 *
 * Context: the caller must not sleep before devmem_iommu_end(), nor begin
 * another access.
 * Return: CPU address, or NULL if the access is not allowed.
 */
void *devmem_iommu_begin(struct devmem_iommu *iommu, u64 addr, u64 *size,
			 bool write)
{
	struct devmem_iommu_map *map;

	read_lock(&iommu->lock);
	map = devmem_iommu_first(iommu, addr);
	if (map && map->addr <= addr && *size <= map->size - (addr - map->addr) &&
	    devmem_iommu_allows(map, write))
		return devmem_iommu_ptr(map, addr, size);
	read_unlock(&iommu->lock);

	atomic64_inc(&iommu->violations);
	dev_err_ratelimited(iommu->dev, "%s of %llu bytes at bus address %#llx, which is not mapped for it\n",
			    write ? "write" : "read", *size, addr);
	return NULL;
}

/**
 * devmem_iommu_end() - end an access
 * @iommu: IOMMU
 */
void devmem_iommu_end(struct devmem_iommu *iommu)
{
	read_unlock(&iommu->lock);
}

#else /* !CONFIG_ARCH_HAS_DMA_OPS */

/* Whether bus addresses are physical addresses; tried with one page. */
static bool devmem_iommu_is_direct(struct device *dev)
{
	struct page *page = alloc_page(GFP_KERNEL);
	dma_addr_t addr;
	bool direct;

	if (!page)
		return false;
	addr = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	direct = !dma_mapping_error(dev, addr);
	if (direct) {
		direct = addr == page_to_phys(page);
		dma_unmap_page(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
	}
	__free_page(page);
	return direct;
}

struct devmem_iommu *devmem_iommu_create(struct device *dev, struct devmem_fail *fail)
{
	struct devmem_iommu *iommu;

	iommu = kzalloc_obj(*iommu);
	if (!iommu)
		return ERR_PTR(-ENOMEM);
	iommu->dev = dev;

	/* The device is a program of the CPU, so no cache is between the two. */
	dev_set_dma_coherent(dev);
	if (devmem_iommu_set_mask(dev) || !devmem_iommu_is_direct(dev)) {
		dev_err(dev, "bus addresses are not physical addresses\n");
		kfree(iommu);
		return ERR_PTR(-EOPNOTSUPP);
	}
	return iommu;
}

void devmem_iommu_destroy(struct devmem_iommu *iommu)
{
	kfree(iommu);
}

bool devmem_iommu_has_peers(void)
{
	return false;
}

dma_addr_t devmem_iommu_map_peer(struct devmem_iommu *iommu, struct xarray *folios,
				 u64 addr, u64 size, enum dma_data_direction dir)
{
	return DMA_MAPPING_ERROR;
}

void devmem_iommu_unmap_peer(struct devmem_iommu *iommu, dma_addr_t addr, u64 size,
			     enum dma_data_direction dir)
{
}

void *devmem_iommu_begin(struct devmem_iommu *iommu, u64 addr, u64 *size,
			 bool write)
{
	if (devmem_iommu_is_memory(addr, *size))
		return phys_to_virt(addr);

	atomic64_inc(&iommu->violations);
	dev_err_ratelimited(iommu->dev, "%s of %llu bytes at bus address %#llx, where there is no memory\n",
			    write ? "write" : "read", *size, addr);
	return NULL;
}

void devmem_iommu_end(struct devmem_iommu *iommu)
{
}

#endif /* !CONFIG_ARCH_HAS_DMA_OPS */
