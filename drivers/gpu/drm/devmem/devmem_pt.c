// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_print.h>
#include <kunit/visibility.h>
#include <linux/bitmap.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "devmem_device.h"
#include "devmem_pt.h"
#include "devmem_vm.h"

/**
 * DOC: GPU page tables
 *
 * The tables are in VRAM, in the format of gpu/gpu_regs.h. For each of them the
 * driver keeps a &struct devmem_pt_table in system memory.
 *
 * Translations change in MMU notifiers, where nothing can be allocated. So the
 * work is split: devmem_pt_prepare() makes all tables of a range, down to the
 * last level; devmem_pt_map() and devmem_pt_zap() only write entries. Tables
 * are freed with the VM.
 *
 * Where a 2 MiB leaf is mapped the table below it is not freed but parked: the
 * leaf takes its place in the parent, and zapping the leaf puts it back.
 */

/**
 * struct devmem_pt_table - a table of a GPU page table
 * @addr: VRAM address
 * @child: tables below, NULL at level 0
 * @leaf: level 1: entries that hold a 2 MiB leaf in place of the child
 */
struct devmem_pt_table {
	u64 addr;
	struct devmem_pt_table **child;
	DECLARE_BITMAP(leaf, GPU_PT_ENTRIES);
};

#define DEVMEM_PT_LARGE		BIT_ULL(GPU_PT_SHIFT(1))
#define DEVMEM_PT_ROOT_LEVEL	(GPU_PT_LEVELS - 1)

static unsigned int devmem_pt_index(u64 va, int level)
{
	return (va >> GPU_PT_SHIFT(level)) & (GPU_PT_ENTRIES - 1);
}

static void devmem_pt_write(struct devmem_vm *vm, struct devmem_pt_table *table,
			    unsigned int index, u64 entry)
{
	/* Can't fail: the table was cleared when it was made. */
	devmem_hw_vram_write64(vm->dm, table->addr + 8 * index, entry);
}

static void devmem_pt_free(struct devmem_device *dm, struct devmem_pt_table *table)
{
	unsigned int i;

	if (table->child) {
		for (i = 0; i < GPU_PT_ENTRIES; i++)
			if (table->child[i])
				devmem_pt_free(dm, table->child[i]);
		kfree(table->child);
	}
	devmem_vram_free_kernel(dm, table->addr);
	kfree(table);
}

static struct devmem_pt_table *devmem_pt_alloc(struct devmem_device *dm, int level)
{
	struct devmem_pt_table *table;
	int err = -ENOMEM;

	table = kzalloc_obj(*table);
	if (!table)
		return ERR_PTR(-ENOMEM);
	if (level) {
		table->child = kzalloc_objs(*table->child, GPU_PT_ENTRIES);
		if (!table->child)
			goto err_free;
	}
	err = devmem_vram_alloc_kernel(dm, SZ_4K, &table->addr);
	if (err)
		goto err_child;
	return table;

err_child:
	kfree(table->child);
err_free:
	kfree(table);
	return ERR_PTR(err);
}

/**
 * devmem_pt_init() - make an empty page table
 * @vm: the VM
 *
 * Return: 0, -ENOSPC when VRAM is used up, -ENOMEM.
 */
int devmem_pt_init(struct devmem_vm *vm)
{
	struct devmem_pt_table *root;

	root = devmem_pt_alloc(vm->dm, DEVMEM_PT_ROOT_LEVEL);
	if (IS_ERR(root))
		return PTR_ERR(root);
	vm->pt.root = root;
	mutex_init(&vm->pt_lock);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_pt_init);

/**
 * devmem_pt_fini() - free a page table
 * @vm: the VM; the GPU must not use the page table any more
 */
void devmem_pt_fini(struct devmem_vm *vm)
{
	devmem_pt_free(vm->dm, vm->pt.root);
	mutex_destroy(&vm->pt_lock);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_pt_fini);

static void devmem_pt_restore_table(struct devmem_vm *vm, struct devmem_pt_table *table)
{
	unsigned int i;

	/* Can't fail: it was written when it was made. */
	devmem_hw_vram_zero(vm->dm, table->addr, SZ_4K);
	for (i = 0; table->child && i < GPU_PT_ENTRIES; i++) {
		if (!table->child[i])
			continue;
		devmem_pt_restore_table(vm, table->child[i]);
		devmem_pt_write(vm, table, i, table->child[i]->addr | GPU_PTE_VALID);
	}
}

/**
 * devmem_pt_restore() - write all tables anew after VRAM has lost its content
 * @vm: the VM; it has no translations
 *
 * Context: process context; takes &devmem_vm.pt_lock. Allocates nothing.
 */
void devmem_pt_restore(struct devmem_vm *vm)
{
	mutex_lock(&vm->pt_lock);
	devmem_pt_restore_table(vm, vm->pt.root);
	mutex_unlock(&vm->pt_lock);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_pt_restore);

/**
 * devmem_pt_root() - root of the page table for the hardware
 * @vm: the VM
 *
 * Return: VRAM address of the table of the highest level.
 */
u64 devmem_pt_root(struct devmem_vm *vm)
{
	return vm->pt.root->addr;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_pt_root);

/* The table of @level for @va, or NULL if there is none. */
static struct devmem_pt_table *devmem_pt_lookup(struct devmem_vm *vm, u64 va,
						int level)
{
	struct devmem_pt_table *table = vm->pt.root;
	int i;

	lockdep_assert_held(&vm->pt_lock);
	for (i = DEVMEM_PT_ROOT_LEVEL; table && i > level; i--)
		table = table->child[devmem_pt_index(va, i)];
	return table;
}

/* Make the table of @level for @va, whose parent exists. */
static int devmem_pt_grow(struct devmem_vm *vm, u64 va, int level)
{
	unsigned int index = devmem_pt_index(va, level + 1);
	struct devmem_pt_table *parent, *table;

	mutex_lock(&vm->pt_lock);
	parent = devmem_pt_lookup(vm, va, level + 1);
	table = parent->child[index];
	mutex_unlock(&vm->pt_lock);
	if (table)
		return 0;

	/* Not under pt_lock: this may evict, which needs MMU notifiers to run. */
	table = devmem_pt_alloc(vm->dm, level);
	if (IS_ERR(table))
		return PTR_ERR(table);

	mutex_lock(&vm->pt_lock);
	if (!parent->child[index]) {
		swap(parent->child[index], table);
		devmem_pt_write(vm, parent, index,
				parent->child[index]->addr | GPU_PTE_VALID);
	}
	mutex_unlock(&vm->pt_lock);
	/* Somebody else was faster. */
	if (table)
		devmem_pt_free(vm->dm, table);
	return 0;
}

/**
 * devmem_pt_prepare() - make all tables of a range
 * @vm: the VM
 * @start: first virtual address
 * @end: end, exclusive
 *
 * Context: process context; takes &devmem_vm.pt_lock. May evict.
 *
 * Return: 0, -ENOSPC when VRAM is used up, -ENOMEM.
 */
int devmem_pt_prepare(struct devmem_vm *vm, u64 start, u64 end)
{
	int level, err;
	u64 va;

	for (va = start; va < end; va = ALIGN_DOWN(va, DEVMEM_PT_LARGE) + DEVMEM_PT_LARGE) {
		for (level = DEVMEM_PT_ROOT_LEVEL - 1; level >= 0; level--) {
			err = devmem_pt_grow(vm, va, level);
			if (err)
				return err;
		}
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_pt_prepare);

/**
 * devmem_pt_map() - write translations
 * @vm: the VM
 * @va: virtual address, aligned to 4 KiB
 * @addr: VRAM or bus address, aligned to 4 KiB
 * @size: bytes, a multiple of 4 KiB
 * @flags: GPU_PTE_SYSTEM, GPU_PTE_WRITE and GPU_PTE_NO_ATOMIC, as needed
 *
 * The range must be prepared and not mapped. A leaf of 2 MiB is used where @va
 * and @addr are aligned and @size allows.
 *
 * Context: &drm_gpusvm.notifier_lock held for reading; takes
 * &devmem_vm.pt_lock.
 */
void devmem_pt_map(struct devmem_vm *vm, u64 va, u64 addr, u64 size, u64 flags)
{
	u64 end = va + size, step;
	struct devmem_pt_table *table;

	flags |= GPU_PTE_VALID | GPU_PTE_LEAF;
	mutex_lock(&vm->pt_lock);
	for (; va < end; va += step, addr += step) {
		bool large = IS_ALIGNED(va | addr, DEVMEM_PT_LARGE) &&
			     end - va >= DEVMEM_PT_LARGE;

		step = large ? DEVMEM_PT_LARGE : SZ_4K;
		table = devmem_pt_lookup(vm, va, large);
		if (drm_WARN_ON_ONCE(&vm->dm->drm, !table))
			break;
		if (large)
			__set_bit(devmem_pt_index(va, 1), table->leaf);
		devmem_pt_write(vm, table, devmem_pt_index(va, large), addr | flags);
	}
	mutex_unlock(&vm->pt_lock);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_pt_map);

/* Zap what a table of level 1 has in [va, end), which it covers with one entry. */
static void devmem_pt_zap_entry(struct devmem_vm *vm, struct devmem_pt_table *table,
				u64 va, u64 end)
{
	unsigned int index = devmem_pt_index(va, 1);
	struct devmem_pt_table *child = table->child[index];

	if (!child)
		return;
	if (__test_and_clear_bit(index, table->leaf)) {
		drm_WARN_ON_ONCE(&vm->dm->drm, end - va != DEVMEM_PT_LARGE);
		devmem_pt_write(vm, table, index, child->addr | GPU_PTE_VALID);
		return;
	}
	devmem_hw_vram_zero(vm->dm, child->addr + 8 * devmem_pt_index(va, 0),
			    8 * ((end - va) >> GPU_PT_SHIFT(0)));
}

/**
 * devmem_pt_zap() - take translations away
 * @vm: the VM
 * @start: first virtual address, aligned to 4 KiB
 * @end: end, exclusive, aligned to 4 KiB
 *
 * A 2 MiB leaf must be within the range as a whole. The TLB is left to the
 * caller.
 *
 * Context: MMU notifier or process context; allocates nothing. Takes
 * &devmem_vm.pt_lock.
 */
void devmem_pt_zap(struct devmem_vm *vm, u64 start, u64 end)
{
	struct devmem_pt_table *table;
	u64 va, next;

	mutex_lock(&vm->pt_lock);
	for (va = start; va < end; va = next) {
		next = min(end, ALIGN_DOWN(va, DEVMEM_PT_LARGE) + DEVMEM_PT_LARGE);
		table = devmem_pt_lookup(vm, va, 1);
		if (table)
			devmem_pt_zap_entry(vm, table, va, next);
	}
	mutex_unlock(&vm->pt_lock);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_pt_zap);

/* Entries of a table from @index on, for pages from @page on, in pieces */
static bool devmem_pt_clear_entries(struct devmem_vm *vm, struct devmem_pt_table *table,
				    unsigned int index, unsigned int count,
				    unsigned long *used, unsigned int page)
{
	bool any = false;
	__le64 entry[32];
	unsigned int i, n;

	for (; count; count -= n, index += n, page += n) {
		n = min_t(unsigned int, count, ARRAY_SIZE(entry));
		if (devmem_hw_vram_read(vm->dm, table->addr + 8 * index, entry, n * 8))
			break;
		for (i = 0; i < n; i++) {
			if (!(le64_to_cpu(entry[i]) & GPU_PTE_ACCESSED))
				continue;
			devmem_pt_write(vm, table, index + i,
					le64_to_cpu(entry[i]) & ~GPU_PTE_ACCESSED);
			__set_bit(page + i, used);
			any = true;
		}
	}
	return any;
}

/**
 * devmem_pt_clear_accessed() - what did the GPU use since the last time?
 * @vm: the VM
 * @start: first virtual address, aligned to 4 KiB
 * @end: end, exclusive, aligned to 4 KiB
 * @used: where to set a bit for each page of 4 KiB that was used
 *
 * Of a 2 MiB leaf all pages count as used. The TLB is left to the caller; what it has
 * is not seen to be used again. DIRTY, which the driver does not look at, can be lost
 * if the GPU sets it at the same time.
 *
 * Context: process context; takes &devmem_vm.pt_lock.
 *
 * Return: true if any was used.
 */
bool devmem_pt_clear_accessed(struct devmem_vm *vm, u64 start, u64 end, unsigned long *used)
{
	struct devmem_pt_table *table;
	unsigned int index, page;
	bool any = false;
	u64 va, next;

	mutex_lock(&vm->pt_lock);
	for (va = start; va < end; va = next) {
		next = min(end, ALIGN_DOWN(va, DEVMEM_PT_LARGE) + DEVMEM_PT_LARGE);
		page = (va - start) >> GPU_PT_SHIFT(0);
		table = devmem_pt_lookup(vm, va, 1);
		if (!table)
			continue;
		index = devmem_pt_index(va, 1);
		if (!test_bit(index, table->leaf)) {
			table = table->child[index];
			if (table)
				any |= devmem_pt_clear_entries(vm, table, devmem_pt_index(va, 0),
							       (next - va) >> GPU_PT_SHIFT(0),
							       used, page);
		} else if (devmem_pt_clear_entries(vm, table, index, 1, used, page)) {
			bitmap_set(used, page, (next - va) >> GPU_PT_SHIFT(0));
			any = true;
		}
	}
	mutex_unlock(&vm->pt_lock);
	return any;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_pt_clear_accessed);

/**
 * devmem_pt_allow_atomic() - let the GPU execute atomics in a page
 * @vm: the VM
 * @va: virtual address of the page, which has a translation of 4 KiB
 *
 * There is nothing to do for the TLB, since the hardware looks up what forbids an
 * access anew.
 *
 * Context: &drm_gpusvm.notifier_lock held for reading; takes &devmem_vm.pt_lock.
 */
void devmem_pt_allow_atomic(struct devmem_vm *vm, u64 va)
{
	unsigned int index = devmem_pt_index(va, 0);
	struct devmem_pt_table *table;
	u64 entry;

	mutex_lock(&vm->pt_lock);
	table = devmem_pt_lookup(vm, va, 0);
	if (!drm_WARN_ON_ONCE(&vm->dm->drm, !table)) {
		entry = devmem_hw_vram_read64(vm->dm, table->addr + 8 * index);
		devmem_pt_write(vm, table, index, entry & ~GPU_PTE_NO_ATOMIC);
	}
	mutex_unlock(&vm->pt_lock);
}

/**
 * devmem_pt_query() - read the translation of an address
 * @vm: the VM
 * @va: virtual address
 *
 * Context: process context; takes &devmem_vm.pt_lock.
 *
 * Return: the leaf as the hardware has it, or 0 if there is none.
 */
u64 devmem_pt_query(struct devmem_vm *vm, u64 va)
{
	struct devmem_pt_table *table;
	u64 entry = 0;
	int level = 1;

	mutex_lock(&vm->pt_lock);
	table = devmem_pt_lookup(vm, va, 1);
	if (table && !test_bit(devmem_pt_index(va, 1), table->leaf)) {
		table = table->child[devmem_pt_index(va, 1)];
		level = 0;
	}
	if (table)
		entry = devmem_hw_vram_read64(vm->dm,
					      table->addr + 8 * devmem_pt_index(va, level));
	mutex_unlock(&vm->pt_lock);
	return entry;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_pt_query);
