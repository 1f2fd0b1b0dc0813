// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_file.h>
#include <drm/drm_print.h>
#include <linux/debugfs.h>
#include <linux/pm.h>
#include <linux/pm_domain.h>
#include <linux/suspend.h>

#include "devmem_device.h"
#include "devmem_pm.h"
#include "devmem_queue.h"
#include "devmem_vm.h"

/**
 * DOC: Sleep
 *
 * While the system sleeps the device has no power: VRAM loses its content. What is
 * in it goes before and comes back afterwards, in two steps each way.
 *
 * When the system is about to sleep (PM_SUSPEND_PREPARE) all of it still runs, so
 * memory can be allocated and written to swap. The queues are halted, which
 * interrupts batches wherever they are, and those who serve faults and prefetches
 * have to wait at devmem_pm_enter(). Nothing can migrate to the device from here on,
 * and what is there is evicted. If somebody does not come to an end in time, for
 * example in memory that userfaultfd serves, or if memory can't be moved, then the
 * system does not sleep, and the device goes on.
 *
 * When the device is suspended processes are frozen. VMs lose all translations,
 * which is as if the CPU side had changed everything; the rings are saved. On resume
 * rings and page tables are written again. Page tables are known to the driver as
 * well, and have no leaf then.
 *
 * When the system is up (PM_POST_SUSPEND) queues go on where they were halted. They
 * fault, which brings memory back to the device. The time that a batch may take
 * starts anew.
 *
 * The faux bus keeps its devices from the PM core. What programs open, a child of the
 * faux device, is known there, and has the operations by a PM domain.
 *
 * Who has devices sleep without a word before (kexec jump, Xen's save) is refused: the
 * memory of processes could no longer be moved then.
 *
 * For tests there is the debugfs file ``sleep`` of a device. To write 1 does with that
 * device all of the above, one after the other, while the rest of the system goes on.
 * It reads 1 while nothing may use the device for that, else 0.
 * How long it waits for what is under way is in ``sleep_timeout_ms``.
 *
 * &devmem_pm.objects keeps VMs and queues from coming and going while the device loses
 * its power or gets it back. Frozen processes do neither, but the last reference to a
 * file can be dropped by a worker.
 */

/* As long as a fault that nobody holds up can take on a slow emulated machine */
#define DEVMEM_PM_TIMEOUT_MS	(10 * MSEC_PER_SEC)

/**
 * devmem_pm_try_enter() - begin something that uses memory of the device, if it may be
 * @dm: the device
 *
 * Context: any but interrupts.
 *
 * Return: true if it may; devmem_pm_exit() has to follow.
 */
bool devmem_pm_try_enter(struct devmem_device *dm)
{
	struct devmem_pm *pm = &dm->pm;
	bool open;

	spin_lock(&pm->lock);
	open = !pm->closed;
	pm->users += open;
	spin_unlock(&pm->lock);
	return open;
}

/**
 * devmem_pm_enter() - begin something that uses memory of the device
 * @dm: the device
 *
 * Waits while the system sleeps or is about to. devmem_pm_exit() has to follow.
 *
 * Context: a worker, outside of the locks of the driver.
 */
void devmem_pm_enter(struct devmem_device *dm)
{
	wait_event_idle(dm->pm.wait, devmem_pm_try_enter(dm));
}

/**
 * devmem_pm_exit() - end it
 * @dm: the device
 *
 * Context: any but interrupts.
 */
void devmem_pm_exit(struct devmem_device *dm)
{
	struct devmem_pm *pm = &dm->pm;
	bool last;

	spin_lock(&pm->lock);
	last = !--pm->users;
	spin_unlock(&pm->lock);
	if (last)
		wake_up_all(&pm->wait);
}

static bool devmem_pm_is_closed(struct devmem_device *dm)
{
	return READ_ONCE(dm->pm.closed);
}

static bool devmem_pm_is_idle(struct devmem_pm *pm)
{
	bool idle;

	spin_lock(&pm->lock);
	idle = !pm->users;
	spin_unlock(&pm->lock);
	return idle;
}

static void devmem_pm_set_closed(struct devmem_pm *pm, bool closed)
{
	spin_lock(&pm->lock);
	WRITE_ONCE(pm->closed, closed);
	spin_unlock(&pm->lock);
	if (!closed)
		wake_up_all(&pm->wait);
}

/**
 * devmem_pm_drain() - wait until nobody is in between any more
 * @dm: the device, unplugged from DRM; who enters looks at that and leaves
 *
 * Context: process context, outside of the locks of the driver; can last until a
 * process has answered its userfaultfd or died.
 */
void devmem_pm_drain(struct devmem_device *dm)
{
	wait_event_idle(dm->pm.wait, devmem_pm_is_idle(&dm->pm));
}

/* Give the device work again. */
static void devmem_pm_open(struct devmem_device *dm)
{
	if (!devmem_pm_is_closed(dm))
		return;
	devmem_queue_restart_time(dm);
	devmem_pm_set_closed(&dm->pm, false);
	devmem_hw_halt(dm, false);
}

/* Give the device no more work, and bring all memory of processes back. */
static int devmem_pm_close(struct devmem_device *dm)
{
	int err;

	devmem_hw_halt(dm, true);
	devmem_pm_set_closed(&dm->pm, true);
	if (wait_event_idle_timeout(dm->pm.wait, devmem_pm_is_idle(&dm->pm),
				    msecs_to_jiffies(READ_ONCE(dm->pm.timeout_ms))))
		err = devmem_vram_evict_all(dm);
	else
		err = -EBUSY;
	if (err) {
		drm_info(&dm->drm, "can't sleep (error %d)\n", err);
		devmem_pm_open(dm);
	}
	return err;
}

static int devmem_pm_notify(struct notifier_block *notifier, unsigned long event,
			    void *unused)
{
	struct devmem_device *dm = container_of(notifier, typeof(*dm), pm.notifier);

	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		return notifier_from_errno(devmem_pm_close(dm));
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		devmem_pm_open(dm);
		break;
	}
	return NOTIFY_DONE;
}

static int devmem_pm_power_off(struct devmem_device *dm)
{
	int err;

	lockdep_assert_held_write(&dm->pm.objects);
	/* Plugged in since the notifiers were called, or not empty any more */
	if (!devmem_pm_is_closed(dm) || !devmem_vram_is_empty(dm))
		return -EBUSY;
	err = devmem_queue_suspend(dm);
	if (err)
		return err;
	devmem_vm_suspend(dm);
	devmem_hw_sleep(dm);
	return 0;
}

static void devmem_pm_power_on(struct devmem_device *dm)
{
	lockdep_assert_held_write(&dm->pm.objects);
	devmem_vm_resume(dm);
	devmem_queue_resume(dm);
}

static struct devmem_device *devmem_pm_to_device(struct device *dev)
{
	const struct drm_minor *minor = dev_get_drvdata(dev);

	return to_devmem(minor->dev);
}

static int devmem_pm_suspend(struct device *dev)
{
	struct devmem_device *dm = devmem_pm_to_device(dev);
	int err;

	down_write(&dm->pm.objects);
	err = devmem_pm_power_off(dm);
	up_write(&dm->pm.objects);
	return err;
}

static int devmem_pm_resume(struct device *dev)
{
	struct devmem_device *dm = devmem_pm_to_device(dev);

	down_write(&dm->pm.objects);
	devmem_pm_power_on(dm);
	up_write(&dm->pm.objects);
	return 0;
}

static struct dev_pm_domain devmem_pm_domain = {
	.ops = {
		SYSTEM_SLEEP_PM_OPS(devmem_pm_suspend, devmem_pm_resume)
	},
};

/* Sleep and wake up, as far as this device is concerned. */
static int devmem_pm_cycle(struct devmem_device *dm)
{
	int err;

	err = devmem_pm_close(dm);
	if (err)
		return err;
	down_write(&dm->pm.objects);
	err = devmem_pm_power_off(dm);
	if (!err)
		devmem_pm_power_on(dm);
	up_write(&dm->pm.objects);
	devmem_pm_open(dm);
	return err;
}

static int devmem_pm_set_sleep(void *data, u64 value)
{
	struct devmem_device *dm = data;
	unsigned int flags;
	int err;

	if (value != 1)
		return -EINVAL;
	/* Else the system could go to sleep, or wake up, in the midst of it. */
	flags = lock_system_sleep();
	err = mutex_lock_interruptible(&dm->pm.cycle_lock);
	if (!err) {
		err = dm->pm.gone ? -ENODEV : devmem_pm_cycle(dm);
		mutex_unlock(&dm->pm.cycle_lock);
	}
	unlock_system_sleep(flags);
	return err;
}

static int devmem_pm_get_sleep(void *data, u64 *value)
{
	struct devmem_device *dm = data;

	spin_lock(&dm->pm.lock);
	*value = dm->pm.closed;
	spin_unlock(&dm->pm.lock);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(devmem_pm_sleep_fops, devmem_pm_get_sleep, devmem_pm_set_sleep,
			 "%llu\n");

/**
 * devmem_pm_add_debugfs() - let tests make a device sleep
 * @dm: the device, before it is registered
 */
void devmem_pm_add_debugfs(struct devmem_device *dm)
{
	debugfs_create_file("sleep", 0600, dm->drm.debugfs_root, dm, &devmem_pm_sleep_fops);
	debugfs_create_u32("sleep_timeout_ms", 0600, dm->drm.debugfs_root,
			   &dm->pm.timeout_ms);
}

/**
 * devmem_pm_init() - let the device sleep with the system
 * @dm: the device, which works, before it is registered
 *
 * Return: 0 or a negative error.
 */
int devmem_pm_init(struct devmem_device *dm)
{
	struct devmem_pm *pm = &dm->pm;
	int err;

	spin_lock_init(&pm->lock);
	init_waitqueue_head(&pm->wait);
	mutex_init(&pm->cycle_lock);
	init_rwsem(&pm->objects);
	pm->timeout_ms = DEVMEM_PM_TIMEOUT_MS;
	pm->notifier.notifier_call = devmem_pm_notify;
	err = register_pm_notifier(&pm->notifier);
	if (!err)
		dev_pm_domain_set(dm->drm.primary->kdev, &devmem_pm_domain);
	return err;
}

/**
 * devmem_pm_fini() - the device goes
 * @dm: the device, before it is unplugged from DRM
 *
 * Whoever waits for the system to sleep and wake up goes on.
 *
 * Context: process context; waits for the notifier and for tests.
 */
void devmem_pm_fini(struct devmem_device *dm)
{
	unregister_pm_notifier(&dm->pm.notifier);
	mutex_lock(&dm->pm.cycle_lock);
	dm->pm.gone = true;
	mutex_unlock(&dm->pm.cycle_lock);
	devmem_pm_open(dm);
}
