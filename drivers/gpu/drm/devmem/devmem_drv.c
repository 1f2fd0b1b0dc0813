// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>
#include <linux/debugfs.h>
#include <linux/device/faux.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>
#include <uapi/drm/devmem_drm.h>

#include "devmem_debugfs.h"
#include "devmem_device.h"
#include "devmem_drv.h"
#include "devmem_exec.h"
#include "devmem_peer.h"
#include "devmem_prefetch.h"
#include "devmem_queue.h"
#include "devmem_residency.h"
#include "devmem_vm.h"

/**
 * DOC: Overview
 *
 * devmem is a DRM driver for a GPU that is only software, with shared virtual
 * memory (SVM) and device-private memory. Loading the module makes the number
 * of devices that ``num_devices`` says, each with a card and a render node. All
 * have the same size and chunk sizes.
 */

/**
 * DOC: Hot unplug
 *
 * A device can go at any moment, with files open, batches running and memory of
 * processes on it. In this order: nobody begins to use the hardware any more, and
 * those who do come to an end (drm_dev_unplug()); queues part from it, which ends
 * all batches and signals their fences, and faults that are being served come to an
 * end; prefetches are cancelled, and who else moves memory comes to an end
 * (devmem_pm_drain()); VMs part from the hardware, with their translations and page
 * tables; memory of processes is brought back to system memory; the hardware goes.
 * What open files have left is memory of the driver alone. An MMU notifier that comes
 * later finds nothing mapped.
 *
 * Who can wait for userspace is not within drm_dev_enter() meanwhile, which is the
 * same SRCU for all DRM devices: the removal of any of them would wait, too.
 *
 * It takes as long as it takes to bring the memory back: a migration that somebody
 * holds up, by userfaultfd for example, holds up the removal, and so does memory
 * that can't be moved, until its process lets go of it. No data is lost and nobody
 * gets a SIGBUS.
 *
 * The faux bus has no hardware to pull, and no files to bind and unbind, by design.
 * Instead there is the file ``devmem/devices`` in debugfs, for tests: a line for
 * each device says whether it is ``plugged``; writing ``-1`` unplugs device 1 and
 * ``+1`` plugs it in again.
 */

#define DEVMEM_MAX_DEVICES	16

/* Of the faux devices; with the index */
#define DEVMEM_DRV_NAME		"devmem%u"

/* Enough for the rings, a few page tables and one large chunk */
#define DEVMEM_MIN_VRAM_MIB	8

static unsigned int num_devices = 1;
module_param(num_devices, uint, 0444);
MODULE_PARM_DESC(num_devices, "Number of devices (1 to 16, default 1)");

static unsigned int vram_size = 256;
module_param(vram_size, uint, 0444);
MODULE_PARM_DESC(vram_size, "Device memory of each device in MiB (at least 8, default 256)");

static unsigned int chunk_sizes = SZ_2M | SZ_64K | SZ_4K;
module_param(chunk_sizes, uint, 0444);
MODULE_PARM_DESC(chunk_sizes,
		 "Mask of migration sizes in bytes, of 2 MiB, 64 KiB and 4 KiB; 4 KiB is always in (default all)");

static unsigned int job_timeout_ms = 10000;
module_param(job_timeout_ms, uint, 0444);
MODULE_PARM_DESC(job_timeout_ms, "A batch that runs longer is reset (default 10000)");

/* By index; NULL for those that are unplugged */
static struct faux_device *devmem_drv_devices[DEVMEM_MAX_DEVICES];

/* Protects devmem_drv_devices. */
static DEFINE_MUTEX(devmem_drv_lock);

static struct dentry *devmem_drv_debugfs;

static int devmem_drv_get_param_ioctl(struct drm_device *drm, void *data,
				      struct drm_file *file)
{
	struct devmem_device *dm = to_devmem(drm);
	struct drm_devmem_get_param *args = data;
	int i, idx;

	if (args->pad)
		return -EINVAL;

	switch (args->param) {
	case DRM_DEVMEM_PARAM_VRAM_SIZE:
		args->value = dm->hw.vram_size;
		break;
	case DRM_DEVMEM_PARAM_VRAM_FREE:
		if (!drm_dev_enter(drm, &idx))
			return -ENODEV;
		args->value = devmem_vram_available(dm);
		drm_dev_exit(idx);
		break;
	case DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY:
		args->value = devmem_region_registered(dm);
		break;
	case DRM_DEVMEM_PARAM_VA_BITS:
		args->value = GPU_VA_BITS;
		break;
	case DRM_DEVMEM_PARAM_CHUNK_SIZES:
		args->value = 0;
		for (i = 0; i < dm->num_chunks; i++)
			args->value |= dm->chunk_sizes[i];
		break;
	case DRM_DEVMEM_PARAM_MAX_QUEUES:
		args->value = dm->hw.num_queues;
		break;
	case DRM_DEVMEM_PARAM_JOB_TIMEOUT_MS:
		args->value = dm->job_timeout_ms;
		break;
	case DRM_DEVMEM_PARAM_PEER_GROUP:
		args->value = devmem_peer_group(dm);
		break;
	default:
		return -EINVAL;
	}
	return 0;
}

static int devmem_drv_open(struct drm_device *drm, struct drm_file *file)
{
	struct devmem_file *df;

	df = kzalloc_obj(*df);
	if (!df)
		return -ENOMEM;
	mutex_init(&df->lock);
	xa_init_flags(&df->vms, XA_FLAGS_ALLOC1);
	xa_init_flags(&df->queues, XA_FLAGS_ALLOC1);
	file->driver_priv = df;
	return 0;
}

static void devmem_drv_postclose(struct drm_device *drm, struct drm_file *file)
{
	struct devmem_file *df = file->driver_priv;

	devmem_queue_close_all(df);
	devmem_vm_close_all(df);
	xa_destroy(&df->queues);
	xa_destroy(&df->vms);
	mutex_destroy(&df->lock);
	kfree(df);
}

static const struct drm_ioctl_desc devmem_drv_ioctls[] = {
	DRM_IOCTL_DEF_DRV(DEVMEM_GET_PARAM, devmem_drv_get_param_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(DEVMEM_VM_CREATE, devmem_vm_create_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(DEVMEM_VM_DESTROY, devmem_vm_destroy_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(DEVMEM_QUEUE_CREATE, devmem_queue_create_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(DEVMEM_QUEUE_DESTROY, devmem_queue_destroy_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(DEVMEM_QUEUE_QUERY, devmem_queue_query_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(DEVMEM_EXEC, devmem_exec_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(DEVMEM_QUERY_RESIDENCY, devmem_residency_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(DEVMEM_QUERY_STATS, devmem_vm_stats_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(DEVMEM_PREFETCH, devmem_prefetch_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(DEVMEM_MADVISE, devmem_policy_madvise_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(DEVMEM_QUERY_ATTRS, devmem_policy_query_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(DEVMEM_QUERY_FAULTS, devmem_report_ioctl, DRM_RENDER_ALLOW),
};

static const struct file_operations devmem_drv_fops = {
	.owner		= THIS_MODULE,
	.open		= drm_open,
	.release	= drm_release,
	.unlocked_ioctl	= drm_ioctl,
	.compat_ioctl	= drm_compat_ioctl,
	.poll		= drm_poll,
	.read		= drm_read,
	.llseek		= noop_llseek,
	.show_fdinfo	= drm_show_fdinfo,
	.fop_flags	= FOP_UNSIGNED_OFFSET,
};

/**
 * devmem_drv_file_to_drm() - the device of an open file
 * @file: any file, with a reference
 *
 * Return: the DRM device, which lives as long as the file, or NULL if the file is
 * not of this driver.
 */
struct drm_device *devmem_drv_file_to_drm(struct file *file)
{
	struct drm_file *priv = file->private_data;

	return file->f_op == &devmem_drv_fops ? priv->minor->dev : NULL;
}

static const struct drm_driver devmem_drv_driver = {
	.driver_features	= DRIVER_RENDER | DRIVER_SYNCOBJ | DRIVER_SYNCOBJ_TIMELINE,
	.open			= devmem_drv_open,
	.postclose		= devmem_drv_postclose,
	.show_fdinfo		= devmem_debugfs_show_fdinfo,
	.ioctls			= devmem_drv_ioctls,
	.num_ioctls		= ARRAY_SIZE(devmem_drv_ioctls),
	.fops			= &devmem_drv_fops,
	.name			= "devmem",
	.desc			= "Software GPU with shared virtual memory",
	.major			= 1,
	.minor			= 0,
};

static void devmem_drv_set_chunk_sizes(struct devmem_device *dm)
{
	static const unsigned long sizes[] = { SZ_2M, SZ_64K, SZ_4K };
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		if ((chunk_sizes | SZ_4K) & sizes[i])
			dm->chunk_sizes[dm->num_chunks++] = sizes[i];
}

static int devmem_drv_init_device(struct devmem_device *dm)
{
	int err;

	xa_init_flags(&dm->vms, XA_FLAGS_ALLOC1);
	xa_init_flags(&dm->queues, XA_FLAGS_ALLOC);
	dm->job_timeout_ms = job_timeout_ms;
	devmem_fail_init(dm);
	devmem_drv_set_chunk_sizes(dm);
	devmem_thrash_get_params(&dm->thrash);
	devmem_access_get_params(&dm->access);

	err = drmm_mutex_init(&dm->drm, &dm->vms_lock);
	if (err)
		return err;
	err = devmem_queue_init(dm);
	if (err)
		return err;
	err = devmem_prefetch_init_device(dm);
	if (err)
		return err;
	err = devmem_pagemap_init(dm);
	if (err)
		return err;
	err = devmem_hw_init(dm, (u64)vram_size * SZ_1M);
	if (err)
		return err;
	err = devmem_vram_init(dm);
	if (err)
		goto err_hw;
	err = devmem_region_init(dm);
	if (err)
		goto err_vram;
	err = devmem_fault_init(dm);
	if (err)
		goto err_region;
	err = devmem_copy_init(dm);
	if (err)
		goto err_fault;
	devmem_hw_start(dm);
	err = devmem_pm_init(dm);
	if (err)
		goto err_copy;
	return 0;

err_copy:
	devmem_copy_fini(dm);
err_fault:
	devmem_fault_fini(dm);
err_region:
	devmem_region_fini(dm);
err_vram:
	devmem_vram_fini(dm);
err_hw:
	devmem_hw_fini(dm);
	return err;
}

static void devmem_drv_fini_device(struct devmem_device *dm)
{
	if (devmem_vram_evict_all(dm))
		drm_err(&dm->drm, "memory of a process is stuck on the device\n");
	devmem_region_fini(dm);
	devmem_copy_fini(dm);
	devmem_fault_fini(dm);
	devmem_vram_fini(dm);
	devmem_hw_fini(dm);
	xa_destroy(&dm->queues);
	xa_destroy(&dm->vms);
}

static int devmem_drv_probe(struct faux_device *fdev)
{
	struct devmem_device *dm;
	int err;

	err = dma_coerce_mask_and_coherent(&fdev->dev, DMA_BIT_MASK(64));
	if (err)
		return err;

	dm = devm_drm_dev_alloc(&fdev->dev, &devmem_drv_driver, struct devmem_device, drm);
	if (IS_ERR(dm))
		return PTR_ERR(dm);
	faux_device_set_drvdata(fdev, dm);
	if (sscanf(dev_name(&fdev->dev), DEVMEM_DRV_NAME, &dm->index) != 1)
		return -EINVAL;

	err = devmem_drv_init_device(dm);
	if (err)
		return err;
	devmem_debugfs_init(dm);
	devmem_stop_init(dm);

	err = drm_dev_register(&dm->drm, 0);
	if (err) {
		devmem_pm_fini(dm);
		devmem_drv_fini_device(dm);
	}
	return err;
}

static void devmem_drv_remove(struct faux_device *fdev)
{
	struct devmem_device *dm = faux_device_get_drvdata(fdev);

	devmem_stop_close(dm);
	devmem_pm_fini(dm);
	drm_dev_unplug(&dm->drm);
	devmem_queue_unplug(dm);
	devmem_vm_unplug(dm);
	devmem_drv_fini_device(dm);
}

static const struct faux_device_ops devmem_drv_faux_ops = {
	.probe = devmem_drv_probe,
	.remove = devmem_drv_remove,
};

static int devmem_drv_plug(unsigned int i)
{
	char name[16];

	lockdep_assert_held(&devmem_drv_lock);
	if (devmem_drv_devices[i])
		return -EEXIST;
	snprintf(name, sizeof(name), DEVMEM_DRV_NAME, i);
	devmem_drv_devices[i] = faux_device_create(name, NULL, &devmem_drv_faux_ops);
	return devmem_drv_devices[i] ? 0 : -ENODEV;
}

static int devmem_drv_unplug(unsigned int i)
{
	lockdep_assert_held(&devmem_drv_lock);
	if (!devmem_drv_devices[i])
		return -ENODEV;
	faux_device_destroy(devmem_drv_devices[i]);
	devmem_drv_devices[i] = NULL;
	return 0;
}

static int devmem_drv_devices_show(struct seq_file *m, void *unused)
{
	unsigned int i;

	mutex_lock(&devmem_drv_lock);
	for (i = 0; i < num_devices; i++)
		seq_printf(m, "%u %s\n", i, devmem_drv_devices[i] ? "plugged" : "unplugged");
	mutex_unlock(&devmem_drv_lock);
	return 0;
}

static int devmem_drv_devices_open(struct inode *inode, struct file *file)
{
	return single_open(file, devmem_drv_devices_show, NULL);
}

static ssize_t devmem_drv_devices_write(struct file *file, const char __user *buf,
					size_t size, loff_t *pos)
{
	char text[16] = {};
	unsigned int i;
	int err;

	if (size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, size))
		return -EFAULT;
	if ((text[0] != '+' && text[0] != '-') || kstrtouint(text + 1, 10, &i) ||
	    i >= num_devices)
		return -EINVAL;

	mutex_lock(&devmem_drv_lock);
	err = text[0] == '+' ? devmem_drv_plug(i) : devmem_drv_unplug(i);
	mutex_unlock(&devmem_drv_lock);
	return err ?: size;
}

static const struct file_operations devmem_drv_devices_fops = {
	.owner = THIS_MODULE,
	.open = devmem_drv_devices_open,
	.read = seq_read,
	.write = devmem_drv_devices_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static void devmem_drv_destroy_devices(void)
{
	unsigned int i;

	mutex_lock(&devmem_drv_lock);
	for (i = 0; i < num_devices; i++)
		devmem_drv_unplug(i);
	mutex_unlock(&devmem_drv_lock);
}

static int devmem_drv_create_devices(void)
{
	unsigned int i;
	int err = 0;

	mutex_lock(&devmem_drv_lock);
	for (i = 0; !err && i < num_devices; i++)
		err = devmem_drv_plug(i);
	mutex_unlock(&devmem_drv_lock);
	if (err)
		devmem_drv_destroy_devices();
	return err;
}

static int __init devmem_drv_init(void)
{
	int err;

	if (!num_devices || num_devices > DEVMEM_MAX_DEVICES) {
		pr_err("devmem: num_devices=%u, must be 1 to %u\n", num_devices,
		       DEVMEM_MAX_DEVICES);
		return -EINVAL;
	}
	if (vram_size < DEVMEM_MIN_VRAM_MIB) {
		pr_err("devmem: vram_size=%u MiB, must be at least %u\n", vram_size,
		       DEVMEM_MIN_VRAM_MIB);
		return -EINVAL;
	}
	if (chunk_sizes & ~(SZ_2M | SZ_64K | SZ_4K)) {
		pr_err("devmem: chunk_sizes=%#x, may have %#x\n", chunk_sizes,
		       SZ_2M | SZ_64K | SZ_4K);
		return -EINVAL;
	}
	if (!job_timeout_ms) {
		pr_err("devmem: job_timeout_ms must not be 0\n");
		return -EINVAL;
	}

	err = devmem_drv_create_devices();
	if (err)
		return err;
	devmem_drv_debugfs = debugfs_create_dir("devmem", NULL);
	debugfs_create_file("devices", 0600, devmem_drv_debugfs, NULL,
			    &devmem_drv_devices_fops);
	return 0;
}

static void __exit devmem_drv_exit(void)
{
	debugfs_remove(devmem_drv_debugfs);
	devmem_drv_destroy_devices();
}

module_init(devmem_drv_init);
module_exit(devmem_drv_exit);

MODULE_AUTHOR("devmem developers");
MODULE_DESCRIPTION("Software GPU with shared virtual memory");
MODULE_LICENSE("GPL");
