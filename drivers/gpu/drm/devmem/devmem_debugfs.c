// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/devmem_drm.h>
#include <drm/drm_debugfs.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_print.h>
#include <linux/seq_file.h>

#include "devmem_debugfs.h"
#include "devmem_device.h"
#include "devmem_queue.h"
#include "devmem_soft.h"
#include "devmem_stats.h"
#include "devmem_svm.h"
#include "devmem_vm.h"

/**
 * DOC: Looking inside
 *
 * In the debugfs directory of a device:
 *
 * ``state``
 *     One ``key: value`` a line: whether device memory is registered, and the
 *     error if not; VRAM; how bus addresses are resolved and how often the GPU
 *     or the driver used one that was not mapped; chunk sizes in bytes.
 *
 * ``vms``
 *     Each VM with its statistics; attributes of memory, where a program asked for
 *     some, by the numbers of the uapi header; and its ranges: start and end
 *     address, whether the GPU has no translations (``-``), some for reading
 *     (``r``) or some for writing (``rw``), to how many bytes on the device, and
 *     whether it is pinned in system memory because it bounced too often.
 *
 * ``queues``
 *     Each queue with its counters and its latest error, one of
 *     &enum drm_devmem_error.
 *
 * ``stop``, ``fail_*``, ``sleep``, ``sleep_timeout_ms``
 *     What tests use to make the driver wait (devmem_stop.c), fail (devmem_fail.c;
 *     directories, with CONFIG_FAULT_INJECTION) or sleep (devmem_pm.c).
 *
 * The fdinfo of an open file has in ``drm-engine-queue`` how long its queues
 * have executed batches, in ``drm-engine-capacity-queue`` how many can at a
 * time, and in ``drm-total-vram0`` and ``drm-resident-vram0`` the VRAM that
 * backs memory which its VMs migrated.
 */

static void devmem_debugfs_print_state(struct devmem_device *dm,
				       struct drm_printer *p)
{
	int i;

	drm_printf(p, "device memory: %s\n",
		   devmem_region_registered(dm) ? "registered" : "none");
	drm_printf(p, "registration error: %d\n", dm->region.error);
	drm_printf(p, "vram size: %llu\n", dm->hw.vram_size);
	drm_printf(p, "vram free: %llu\n", devmem_vram_available(dm));
	drm_printf(p, "iommu: %s\n",
		   IS_ENABLED(CONFIG_ARCH_HAS_DMA_OPS) ? "checking" : "none");
	drm_printf(p, "iommu violations: %llu\n",
		   devmem_soft_bus_violations(dm->hw.soft));
	drm_puts(p, "chunk sizes:");
	for (i = 0; i < dm->num_chunks; i++)
		drm_printf(p, " %lu", dm->chunk_sizes[i]);
	drm_puts(p, "\n");
}

static void devmem_debugfs_print_stats(struct devmem_stats *stats,
				       struct drm_printer *p)
{
	struct drm_devmem_stats s;

	devmem_stats_read(stats, &s);
	drm_printf(p, "  gpu faults: %llu spurious %llu merged %llu failed %llu in %llu ns\n",
		   s.gpu_faults, s.gpu_faults_spurious, s.gpu_faults_merged,
		   s.gpu_faults_failed, s.fault_ns);
	drm_printf(p, "  cpu faults: %llu\n", s.cpu_faults);
	drm_printf(p, "  to device: %llu bytes in %llu failed %llu\n",
		   s.to_device_bytes, s.to_device_count, s.to_device_failed);
	drm_printf(p, "  to system: %llu bytes\n", s.to_system_bytes);
	drm_printf(p, "  to peers: %llu bytes\n", s.to_peer_bytes);
	drm_printf(p, "  evicted: %llu bytes in %llu\n",
		   s.evicted_bytes, s.evicted_count);
	drm_printf(p, "  invalidations: %llu\n", s.invalidations);
	drm_printf(p, "  bounces: %llu pins %llu\n", s.bounces, s.pins);
	drm_printf(p, "  promotions: %llu access scans %llu\n", s.promotions, s.access_scans);
}

static void devmem_debugfs_print_range(struct drm_gpusvm_range *base,
				       struct drm_printer *p)
{
	struct devmem_range *range = container_of(base, struct devmem_range, base);
	const char *rights = "-";

	if (range->mapped)
		rights = range->writable ? "rw" : "r";
	drm_printf(p, "  range %#lx-%#lx %s device %lu of %lu bytes%s\n",
		   drm_gpusvm_range_start(base), drm_gpusvm_range_end(base), rights,
		   devmem_svm_device_pages(range) << PAGE_SHIFT,
		   drm_gpusvm_range_size(base), READ_ONCE(range->pinned) ? " pinned" : "");
}

static void devmem_debugfs_print_vm(struct devmem_vm *vm, struct drm_printer *p)
{
	struct drm_gpusvm_notifier *notifier;
	struct drm_gpusvm_range *range;

	drm_printf(p, "vm %u: %s\n", vm->vmid,
		   vm->dpagemap ? "migrates" : "in place");
	devmem_debugfs_print_stats(vm->stats, p);
	devmem_policy_print(vm, p);

	if (mutex_lock_killable(&vm->ranges_lock))
		return;
	drm_gpusvm_notifier_lock(&vm->svm);
	drm_gpusvm_for_each_notifier(notifier, &vm->svm, 0, ULONG_MAX) {
		range = NULL;
		drm_gpusvm_for_each_range(range, notifier, 0, ULONG_MAX)
			devmem_debugfs_print_range(range, p);
	}
	drm_gpusvm_notifier_unlock(&vm->svm);
	mutex_unlock(&vm->ranges_lock);
}

static void devmem_debugfs_print_vms(struct devmem_device *dm,
				     struct drm_printer *p)
{
	struct devmem_vm *vm;
	u32 vmid;

	for (vmid = 1; vmid < dm->hw.num_vmids; vmid++) {
		vm = devmem_vm_find(dm, vmid);
		if (!vm)
			continue;
		devmem_debugfs_print_vm(vm, p);
		devmem_vm_put(vm);
	}
}

typedef void (*devmem_debugfs_print_t)(struct devmem_device *dm,
				       struct drm_printer *p);

static int devmem_debugfs_show(struct seq_file *m, void *unused)
{
	struct drm_debugfs_entry *entry = m->private;
	struct drm_printer p = drm_seq_file_printer(m);
	devmem_debugfs_print_t print = entry->file.data;
	int idx;

	if (!drm_dev_enter(entry->dev, &idx))
		return -ENODEV;
	print(to_devmem(entry->dev), &p);
	drm_dev_exit(idx);
	return 0;
}

static const struct drm_debugfs_info devmem_debugfs_files[] = {
	{ .name = "state", .show = devmem_debugfs_show, .data = devmem_debugfs_print_state },
	{ .name = "vms", .show = devmem_debugfs_show, .data = devmem_debugfs_print_vms },
	{ .name = "queues", .show = devmem_debugfs_show, .data = devmem_queue_print },
};

/**
 * devmem_debugfs_init() - add the debugfs files of a device
 * @dm: the device, before it is registered
 */
void devmem_debugfs_init(struct devmem_device *dm)
{
	drm_debugfs_add_files(&dm->drm, devmem_debugfs_files,
			      ARRAY_SIZE(devmem_debugfs_files));
	devmem_fail_add_debugfs(dm);
	devmem_pm_add_debugfs(dm);
}

/* Bytes of VRAM that back memory which the VMs of a file migrated */
static u64 devmem_debugfs_vram_used(struct devmem_device *dm,
				    struct devmem_file *df)
{
	struct devmem_bo *bo;
	struct devmem_vm *vm;
	unsigned long id;
	u64 size = 0;

	mutex_lock(&df->lock);
	mutex_lock(&dm->vram.lock);
	xa_for_each(&df->vms, id, vm) {
		list_for_each_entry(bo, &dm->vram.lru, lru)
			if (bo->stats == vm->stats)
				size += gpu_buddy_block_size(&dm->vram.mm, bo->block);
	}
	mutex_unlock(&dm->vram.lock);
	mutex_unlock(&df->lock);
	return size;
}

/**
 * devmem_debugfs_show_fdinfo() - what a file uses of the device
 * @p: where to
 * @file: the file
 *
 * See Documentation/gpu/drm-usage-stats.rst for the format.
 *
 * Context: process context, within drm_dev_enter(); takes &devmem_file.lock.
 */
void devmem_debugfs_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct devmem_device *dm = to_devmem(file->minor->dev);
	struct devmem_file *df = file->driver_priv;
	struct drm_memory_stats stats = {};

	drm_printf(p, "drm-engine-queue:\t%llu ns\n", devmem_queue_busy(df));
	drm_printf(p, "drm-engine-capacity-queue:\t%u\n", dm->hw.num_queues);

	stats.private = devmem_debugfs_vram_used(dm, df);
	stats.resident = stats.private;
	drm_print_memory_stats(p, &stats, DRM_GEM_OBJECT_RESIDENT, "vram0");
}
