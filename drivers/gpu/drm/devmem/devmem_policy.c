// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/devmem_drm.h>
#include <drm/drm_device.h>
#include <drm/drm_file.h>
#include <drm/drm_pagemap.h>
#include <drm/drm_print.h>
#include <kunit/visibility.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>

#include "devmem_device.h"
#include "devmem_peer.h"
#include "devmem_policy.h"
#include "devmem_svm.h"
#include "devmem_vm.h"

/**
 * DOC: Attributes of memory
 *
 * What a program asked for by madvise is kept apart from the ranges that the GPU
 * uses: ranges come and go with faults, attributes stay. A maple tree holds them,
 * all attributes of an address packed into one value entry. Stretches with the
 * default have no entry, so that a VM that never asked for anything has an empty
 * tree.
 *
 * Attributes belong to a mapping of the process. When it is unmapped, an MMU
 * notifier takes them out, and whatever is mapped there next starts with the
 * default. To be split by mprotect() changes nothing. The notifier can't wait for
 * memory. Should the tree need some that can't be had at once, all attributes of
 * the VM are dropped: they are advice, and none is better than a wrong one.
 *
 * Setting attributes holds the mmap lock for reading and looks for holes first.
 * So the memory can't be unmapped, and its attributes not be taken out, before
 * they are in.
 *
 * A preferred device is noted by a number in a table of the VM. The table holds
 * its memory until the VM goes, and with that its &struct drm_device: after it was
 * unplugged the attribute is still there and moves nothing.
 *
 * A range of the GPU lies within one stretch of equal attributes. Setting removes
 * the ranges that it touches, after the tree has changed; the GPU faults, and the
 * fault finds the new attributes.
 */

/* Unpacked, an entry has a byte for each attribute. */
#define DEVMEM_POLICY_BITS	8

/* Stretches that are not the default, in a VM; a process has 65530 mappings by default. */
#define DEVMEM_POLICY_MAX_STRETCHES	65536

/* Stretches that are read out at a time */
#define DEVMEM_POLICY_BATCH	16

static u32 devmem_policy_pack(struct devmem_attrs attrs)
{
	return attrs.preferred | attrs.migration << DEVMEM_POLICY_BITS |
	       attrs.atomic << 2 * DEVMEM_POLICY_BITS |
	       (u32)attrs.device << 3 * DEVMEM_POLICY_BITS;
}

static struct devmem_attrs devmem_policy_unpack(void *entry)
{
	unsigned long packed = entry ? xa_to_value(entry) : 0;

	return (struct devmem_attrs) {
		.preferred = packed,
		.migration = packed >> DEVMEM_POLICY_BITS,
		.atomic = packed >> 2 * DEVMEM_POLICY_BITS,
		.device = packed >> 3 * DEVMEM_POLICY_BITS,
	};
}

/**
 * devmem_policy_init() - start with the default everywhere
 * @policy: the attributes
 */
void devmem_policy_init(struct devmem_policy *policy)
{
	mutex_init(&policy->lock);
	mt_init(&policy->tree);
	xa_init_flags(&policy->devices, XA_FLAGS_ALLOC1);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_policy_init);

/**
 * devmem_policy_fini() - drop all attributes
 * @policy: the attributes
 *
 * A peer that they named and nobody else uses is emptied: devmem_vram_unuse().
 *
 * Context: process context, outside of the locks of the driver; waits for MMU
 * notifiers, and evicts memory.
 */
void devmem_policy_fini(struct devmem_policy *policy)
{
	struct drm_pagemap *dpagemap;
	unsigned long index;

	if (policy->listening)
		mmu_interval_notifier_remove(&policy->notifier);
	mtree_destroy(&policy->tree);
	xa_for_each(&policy->devices, index, dpagemap) {
		devmem_vram_unuse(devmem_pagemap_to_devmem(dpagemap));
		drm_pagemap_put(dpagemap);
	}
	xa_destroy(&policy->devices);
	mutex_destroy(&policy->lock);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_policy_fini);

/**
 * devmem_policy_get() - read the attributes of an address
 * @policy: the attributes
 * @addr: virtual address
 * @start: cut to where the stretch of these attributes starts
 * @end: cut to where it ends, exclusive
 *
 * Stretches that meet can have the same attributes.
 *
 * Context: any but interrupts.
 *
 * Return: the attributes.
 */
struct devmem_attrs devmem_policy_get(struct devmem_policy *policy, unsigned long addr,
				      unsigned long *start, unsigned long *end)
{
	MA_STATE(mas, &policy->tree, addr, addr);
	struct devmem_attrs attrs;

	mtree_lock(&policy->tree);
	attrs = devmem_policy_unpack(mas_walk(&mas));
	mtree_unlock(&policy->tree);

	*start = max(*start, mas.index);
	*end = mas.last < *end ? mas.last + 1 : *end;
	return attrs;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_policy_get);

static struct devmem_attrs devmem_policy_change(struct devmem_attrs attrs, u32 attr,
						u32 value)
{
	switch (attr) {
	case DRM_DEVMEM_ATTR_PREFERRED:
		attrs.preferred = value;
		attrs.device = value >> DEVMEM_POLICY_BITS;
		break;
	case DRM_DEVMEM_ATTR_MIGRATION:
		attrs.migration = value;
		break;
	case DRM_DEVMEM_ATTR_ATOMIC:
		attrs.atomic = value;
		break;
	default:
		attrs = (struct devmem_attrs) {};
	}
	return attrs;
}

/*
 * Count @more stretches, unless these are too many: nobody is charged for the tree.
 * Those that go with their memory are noticed when it matters.
 */
static int devmem_policy_charge(struct devmem_policy *policy, unsigned int more)
{
	unsigned long addr = 0;
	void *entry;

	lockdep_assert_held(&policy->lock);
	if (!more)
		return 0;
	if (policy->stretches + more > DEVMEM_POLICY_MAX_STRETCHES) {
		policy->stretches = 0;
		mt_for_each(&policy->tree, entry, addr, ULONG_MAX)
			policy->stretches++;
	}
	if (policy->stretches + more > DEVMEM_POLICY_MAX_STRETCHES)
		return -ENOSPC;
	policy->stretches += more;
	return 0;
}

/**
 * devmem_policy_set() - set an attribute of a range
 * @policy: the attributes
 * @start: first virtual address
 * @end: end, exclusive
 * @attr: enum drm_devmem_attr
 * @value: a value of that attribute; a device by fd has its number in
 *	&devmem_policy.devices in bits 8 and up
 *
 * Context: process context; &devmem_policy.lock held.
 *
 * Return: 0, or -ENOMEM or -ENOSPC (too many stretches) when it was set in part.
 */
int devmem_policy_set(struct devmem_policy *policy, unsigned long start,
		      unsigned long end, u32 attr, u32 value)
{
	unsigned long stop;
	u32 old, new;
	int err = 0;

	lockdep_assert_held(&policy->lock);
	for (; !err && start < end; start = stop) {
		unsigned long low = 0, high = ULONG_MAX;
		struct devmem_attrs attrs;

		attrs = devmem_policy_get(policy, start, &low, &high);
		stop = min(high, end);
		old = devmem_policy_pack(attrs);
		new = devmem_policy_pack(devmem_policy_change(attrs, attr, value));
		if (old == new)
			continue;
		/* What is left of the old stretch on either side, for what it was itself. */
		err = devmem_policy_charge(policy, old ? (low < start) + (high > end) : 1);
		if (!err)
			err = mtree_store_range(&policy->tree, start, stop - 1,
						new ? xa_mk_value(new) : NULL,
						GFP_KERNEL);
	}
	return err;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_policy_set);

/**
 * devmem_policy_forget() - go back to the default in a range
 * @policy: the attributes
 * @start: first virtual address
 * @end: end, exclusive
 *
 * Context: MMU notifiers; does not sleep.
 */
void devmem_policy_forget(struct devmem_policy *policy, unsigned long start,
			  unsigned long end)
{
	MA_STATE(mas, &policy->tree, start, start);
	bool any;

	mtree_lock(&policy->tree);
	any = mas_find(&mas, end - 1);
	mtree_unlock(&policy->tree);
	if (any && mtree_store_range(&policy->tree, start, end - 1, NULL, GFP_NOWAIT))
		mtree_destroy(&policy->tree);
}
EXPORT_SYMBOL_IF_KUNIT(devmem_policy_forget);

static bool devmem_policy_invalidate(struct mmu_interval_notifier *mni,
				     const struct mmu_notifier_range *range,
				     unsigned long cur_seq)
{
	mmu_interval_set_seq(mni, cur_seq);
	if (range->event == MMU_NOTIFY_UNMAP)
		devmem_policy_forget(container_of(mni, struct devmem_policy, notifier),
				     range->start, range->end);
	return true;
}

static const struct mmu_interval_notifier_ops devmem_policy_notifier_ops = {
	.invalidate = devmem_policy_invalidate,
};

/* Hear of unmapped memory from now on. */
static int devmem_policy_listen(struct devmem_vm *vm)
{
	struct devmem_policy *policy = &vm->policy;
	int err;

	lockdep_assert_held(&policy->lock);
	if (policy->listening)
		return 0;
	err = mmu_interval_notifier_insert(&policy->notifier, vm->svm.mm,
					   vm->svm.mm_start, vm->svm.mm_range,
					   &devmem_policy_notifier_ops);
	if (err)
		return err;
	/* It hears of nothing until invalidations that are under way have ended. */
	mmu_interval_read_begin(&policy->notifier);
	policy->listening = true;
	return 0;
}

/* Does the process map all of a range? */
static bool devmem_policy_is_mapped(struct mm_struct *mm, unsigned long start,
				    unsigned long end)
{
	struct vm_area_struct *vma;

	mmap_assert_locked(mm);
	for (; start < end; start = vma->vm_end) {
		vma = vma_lookup(mm, start);
		if (!vma)
			return false;
	}
	return true;
}

/**
 * devmem_policy_location() - where attributes want memory to be
 * @attrs: of an address
 *
 * Return: enum drm_devmem_location; for PEER, devmem_policy_device() tells which.
 */
u32 devmem_policy_location(const struct devmem_attrs *attrs)
{
	switch (attrs->preferred) {
	case DRM_DEVMEM_PREFERRED_SYSTEM:
		return DRM_DEVMEM_LOCATION_SYSTEM;
	case DRM_DEVMEM_PREFERRED_FD:
		return DRM_DEVMEM_LOCATION_PEER;
	default:
		return DRM_DEVMEM_LOCATION_DEVICE;
	}
}

/**
 * devmem_policy_device() - the memory that attributes prefer
 * @policy: the attributes
 * @attrs: of an address
 *
 * Return: memory of another device, valid as long as @policy, or NULL.
 */
struct drm_pagemap *devmem_policy_device(struct devmem_policy *policy,
					 const struct devmem_attrs *attrs)
{
	return attrs->device ? xa_load(&policy->devices, attrs->device) : NULL;
}

/* The number of a device in &devmem_policy.devices. Takes the reference. */
static int devmem_policy_add_device(struct devmem_policy *policy,
				    struct drm_pagemap *dpagemap, u32 *number)
{
	struct drm_pagemap *known;
	unsigned long index;
	int err;

	mutex_lock(&policy->lock);
	xa_for_each(&policy->devices, index, known)
		if (known == dpagemap)
			break;
	if (known) {
		drm_pagemap_put(dpagemap);
		*number = index;
		err = 0;
	} else {
		err = xa_alloc(&policy->devices, number, dpagemap,
			       XA_LIMIT(1, BIT(DEVMEM_POLICY_BITS) - 1), GFP_KERNEL);
		if (err)
			drm_pagemap_put(dpagemap);
		else
			devmem_vram_use(devmem_pagemap_to_devmem(dpagemap));
	}
	mutex_unlock(&policy->lock);
	return err == -EBUSY ? -ENOSPC : err;
}

/* The value to set, see devmem_policy_set() */
static int devmem_policy_value(struct devmem_vm *vm, const struct drm_devmem_madvise *args,
			       u32 *value)
{
	struct drm_pagemap *dpagemap;
	u32 number;
	int err;

	*value = args->value;
	if (args->attr != DRM_DEVMEM_ATTR_PREFERRED ||
	    args->value != DRM_DEVMEM_PREFERRED_FD)
		return 0;

	dpagemap = devmem_peer_open(vm->dm, args->device_fd);
	if (IS_ERR(dpagemap))
		return PTR_ERR(dpagemap);
	if (dpagemap->drm == &vm->dm->drm) {
		drm_pagemap_put(dpagemap);
		*value = DRM_DEVMEM_PREFERRED_DEVICE;
		return 0;
	}
	err = devmem_policy_add_device(&vm->policy, dpagemap, &number);
	if (err)
		return err;
	*value |= number << DEVMEM_POLICY_BITS;
	return 0;
}

static int devmem_policy_madvise(struct devmem_vm *vm, const struct drm_devmem_madvise *args)
{
	struct mm_struct *mm = vm->svm.mm;
	int err, killed;
	u32 value;

	err = devmem_policy_value(vm, args, &value);
	if (err)
		return err;

	if (!mmget_not_zero(mm))
		return -ESRCH;

	err = mutex_lock_killable(&vm->policy.lock);
	if (err) {
		mmput(mm);
		return err;
	}
	err = devmem_policy_listen(vm);
	if (!err) {
		mmap_read_lock(mm);
		if (devmem_policy_is_mapped(mm, args->addr, args->addr + args->length))
			err = devmem_policy_set(&vm->policy, args->addr,
						args->addr + args->length,
						args->attr, value);
		else
			err = -EFAULT;
		mmap_read_unlock(mm);
	}
	mutex_unlock(&vm->policy.lock);
	mmput(mm);

	/* What was set in part counts, too. */
	if (err && err != -ENOMEM && err != -ENOSPC)
		return err;
	killed = devmem_svm_remove_ranges(vm, args->addr, args->addr + args->length);
	return killed ?: err;
}

static int devmem_policy_check(const struct drm_devmem_madvise *args)
{
	u32 max = 0;

	if (args->flags || args->reserved)
		return -EINVAL;
	if (args->device_fd && (args->attr != DRM_DEVMEM_ATTR_PREFERRED ||
				args->value != DRM_DEVMEM_PREFERRED_FD))
		return -EINVAL;
	switch (args->attr) {
	case DRM_DEVMEM_ATTR_PREFERRED:
		max = DRM_DEVMEM_PREFERRED_FD;
		break;
	case DRM_DEVMEM_ATTR_MIGRATION:
		max = DRM_DEVMEM_MIGRATION_NEVER;
		break;
	case DRM_DEVMEM_ATTR_ATOMIC:
		max = DRM_DEVMEM_ATOMIC_EXCLUSIVE;
		break;
	case DRM_DEVMEM_ATTR_RESET:
		break;
	default:
		return -EINVAL;
	}
	if (args->value > max)
		return -EINVAL;
	if (!args->length || !PAGE_ALIGNED(args->addr | args->length))
		return -EINVAL;
	return 0;
}

/**
 * devmem_policy_madvise_ioctl() - DRM_IOCTL_DEVMEM_MADVISE
 * @drm: the DRM device
 * @data: struct drm_devmem_madvise
 * @file: the open file
 *
 * Return: 0 or a negative error, see the uapi header.
 */
int devmem_policy_madvise_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	const struct drm_devmem_madvise *args = data;
	struct devmem_vm *vm;
	int err;

	err = devmem_policy_check(args);
	if (err)
		return err;
	vm = devmem_vm_lookup(file->driver_priv, args->vm_id);
	if (!vm)
		return -ENOENT;
	err = devmem_vm_check_range(vm, args->addr, args->length);
	if (!err)
		err = devmem_policy_madvise(vm, args);
	devmem_vm_put(vm);
	return err;
}

/*
 * The next stretch from *@start on that differs from the default, cut to @end;
 * false if there is none. *@start moves behind it.
 */
static bool devmem_policy_next(struct devmem_policy *policy, unsigned long *start,
			       unsigned long end, struct drm_devmem_attrs *out)
{
	struct drm_pagemap *device;
	u32 packed = 0;

	lockdep_assert_held(&policy->lock);
	while (*start < end) {
		unsigned long first = *start, stop = end;
		struct devmem_attrs attrs;

		attrs = devmem_policy_get(policy, *start, &first, &stop);
		if (packed && devmem_policy_pack(attrs) != packed)
			break;
		if (devmem_policy_pack(attrs)) {
			device = devmem_policy_device(policy, &attrs);
			if (!packed)
				*out = (struct drm_devmem_attrs) {
					.start = *start,
					.preferred = attrs.preferred,
					.migration = attrs.migration,
					.atomic = attrs.atomic,
					.device = device ? device->drm->render->index : 0,
				};
			out->end = stop;
			packed = devmem_policy_pack(attrs);
		}
		*start = stop;
	}
	return packed;
}

/* Some stretches at a time: user memory is not to be touched under the lock. */
static int devmem_policy_query(struct devmem_policy *policy,
			       struct drm_devmem_query_attrs *args)
{
	struct drm_devmem_attrs __user *out = u64_to_user_ptr(args->data);
	unsigned long start = args->addr, end = args->addr + args->length;
	struct drm_devmem_attrs attrs[DEVMEM_POLICY_BATCH];
	u32 room = args->num, n, fit;

	args->num = 0;
	do {
		if (mutex_lock_killable(&policy->lock))
			return -EINTR;
		for (n = 0; n < ARRAY_SIZE(attrs); n++)
			if (!devmem_policy_next(policy, &start, end, &attrs[n]))
				break;
		mutex_unlock(&policy->lock);

		fit = args->num < room ? min(n, room - args->num) : 0;
		if (copy_to_user(&out[args->num], attrs, fit * sizeof(*attrs)))
			return -EFAULT;
		args->num += n;
	} while (n == ARRAY_SIZE(attrs));
	return 0;
}

/**
 * devmem_policy_query_ioctl() - DRM_IOCTL_DEVMEM_QUERY_ATTRS
 * @drm: the DRM device
 * @data: struct drm_devmem_query_attrs
 * @file: the open file
 *
 * Return: 0 or a negative error, see the uapi header.
 */
int devmem_policy_query_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_devmem_query_attrs *args = data;
	struct devmem_vm *vm;
	int err;

	if (args->flags || args->pad || !args->length ||
	    !PAGE_ALIGNED(args->addr | args->length))
		return -EINVAL;
	vm = devmem_vm_lookup(file->driver_priv, args->vm_id);
	if (!vm)
		return -ENOENT;
	err = devmem_vm_check_range(vm, args->addr, args->length);
	if (!err)
		err = devmem_policy_query(&vm->policy, args);
	devmem_vm_put(vm);
	return err;
}

/**
 * devmem_policy_print() - print all attributes of a VM
 * @vm: the VM
 * @p: where to
 *
 * Context: process context; takes &devmem_policy.lock.
 */
void devmem_policy_print(struct devmem_vm *vm, struct drm_printer *p)
{
	unsigned long start = 0, end = vm->svm.mm_start + vm->svm.mm_range;
	struct drm_devmem_attrs attrs;

	mutex_lock(&vm->policy.lock);
	while (devmem_policy_next(&vm->policy, &start, end, &attrs)) {
		drm_printf(p, "  attributes %#llx-%#llx preferred %u device %u",
			   attrs.start, attrs.end, attrs.preferred, attrs.device);
		drm_printf(p, " migration %u atomic %u\n", attrs.migration, attrs.atomic);
	}
	mutex_unlock(&vm->policy.lock);
}
