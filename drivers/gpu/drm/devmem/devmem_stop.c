// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_print.h>
#include <linux/debugfs.h>
#include <linux/jiffies.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "devmem_device.h"
#include "devmem_stop.h"

/**
 * DOC: Stop points
 *
 * A race that happens once in a thousand runs is hard to test. Here a test can
 * make the driver wait at a named place, do on the other side what it is about,
 * and let the driver go on: the same interleaving each time.
 *
 * The debugfs file ``stop`` has one line for each point: its name, whether it is
 * ``set`` or ``clear``, and how many threads wait there now. Writing ``+NAME``
 * sets a point, so that whoever gets there waits; ``-NAME`` clears it, and who
 * waits goes on. The points are those of &enum devmem_stop_point, in small
 * letters and with dashes.
 *
 * Locks are held at most points, so what else stands still is up to the test.
 * Nothing waits forever: a wait ends when the device is removed, and, with a
 * warning, after half a minute. A kill does not end it: what becomes of a process
 * that dies in the middle of something is what some tests are about.
 */

#define DEVMEM_STOP_TIMEOUT	(30 * HZ)

static const char * const devmem_stop_names[] = {
	[DEVMEM_STOP_FAULT] = "fault",
	[DEVMEM_STOP_MIGRATED] = "migrated",
	[DEVMEM_STOP_BIND] = "bind",
	[DEVMEM_STOP_COPY_TO_DEVICE] = "copy-to-device",
	[DEVMEM_STOP_COPY_TO_SYSTEM] = "copy-to-system",
	[DEVMEM_STOP_HALF_TO_DEVICE] = "half-to-device",
	[DEVMEM_STOP_HALF_TO_SYSTEM] = "half-to-system",
	[DEVMEM_STOP_EVICT] = "evict",
	[DEVMEM_STOP_INVALIDATE] = "invalidate",
	[DEVMEM_STOP_SIGNAL] = "signal",
};

static_assert(ARRAY_SIZE(devmem_stop_names) == DEVMEM_STOP_NUM);

/**
 * devmem_stop_wait() - wait until a point is cleared
 * @stop: stop points of the device
 * @point: where
 *
 * Callers use devmem_stop_at().
 *
 * Context: sleeps, with the locks of the caller held.
 */
void devmem_stop_wait(struct devmem_stop *stop, enum devmem_stop_point point)
{
	long left;

	atomic_inc(&stop->waiting[point]);
	left = wait_event_timeout(stop->wait, !devmem_stop_is_set(stop, point),
				  DEVMEM_STOP_TIMEOUT);
	atomic_dec(&stop->waiting[point]);
	if (!left)
		drm_warn(stop->drm, "nobody cleared stop point %s\n",
			 devmem_stop_names[point]);
}

static int devmem_stop_show(struct seq_file *m, void *unused)
{
	struct devmem_device *dm = m->private;
	struct devmem_stop *stop = &dm->stop;
	int i;

	for (i = 0; i < DEVMEM_STOP_NUM; i++)
		seq_printf(m, "%s %s %d\n", devmem_stop_names[i],
			   devmem_stop_is_set(stop, i) ? "set" : "clear",
			   atomic_read(&stop->waiting[i]));
	return 0;
}

static int devmem_stop_open(struct inode *inode, struct file *file)
{
	return single_open(file, devmem_stop_show, inode->i_private);
}

static int devmem_stop_change(struct devmem_stop *stop, unsigned long point, bool set)
{
	int err = 0;

	spin_lock_irq(&stop->wait.lock);
	if (stop->closed)
		err = -ENODEV;
	else
		assign_bit(point, &stop->armed, set);
	spin_unlock_irq(&stop->wait.lock);
	wake_up_all(&stop->wait);
	return err;
}

static ssize_t devmem_stop_write(struct file *file, const char __user *buf,
				 size_t size, loff_t *pos)
{
	struct devmem_device *dm = file_inode(file)->i_private;
	char text[32] = {};
	int point, err;

	if (size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, size))
		return -EFAULT;
	if (text[0] != '+' && text[0] != '-')
		return -EINVAL;
	point = sysfs_match_string(devmem_stop_names, text + 1);
	if (point < 0)
		return point;

	err = devmem_stop_change(&dm->stop, point, text[0] == '+');
	return err ?: size;
}

static const struct file_operations devmem_stop_fops = {
	.owner = THIS_MODULE,
	.open = devmem_stop_open,
	.read = seq_read,
	.write = devmem_stop_write,
	.llseek = seq_lseek,
	.release = single_release,
};

/**
 * devmem_stop_init() - set up the stop points of a device
 * @dm: the device, before it is registered
 */
void devmem_stop_init(struct devmem_device *dm)
{
	dm->stop.drm = &dm->drm;
	init_waitqueue_head(&dm->stop.wait);
	debugfs_create_file("stop", 0600, dm->drm.debugfs_root, dm, &devmem_stop_fops);
}

/**
 * devmem_stop_close() - let go who waits, for good
 * @dm: the device, which is about to be removed
 */
void devmem_stop_close(struct devmem_device *dm)
{
	struct devmem_stop *stop = &dm->stop;

	spin_lock_irq(&stop->wait.lock);
	stop->closed = true;
	WRITE_ONCE(stop->armed, 0);
	spin_unlock_irq(&stop->wait.lock);
	wake_up_all(&stop->wait);
}
