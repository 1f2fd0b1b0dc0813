/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_PM_H_
#define _DEVMEM_PM_H_

#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

struct devmem_device;

/**
 * struct devmem_pm - whether the device may be given work
 */
struct devmem_pm {
	/** @notifier: hears that the system is about to sleep. */
	struct notifier_block notifier;
	/** @lock: protects @users and @closed. */
	spinlock_t lock;
	/** @users: between devmem_pm_enter() and devmem_pm_exit(). */
	unsigned int users;
	/** @closed: nobody may enter, since the system is about to sleep. */
	bool closed;
	/** @wait: woken when either changes. */
	wait_queue_head_t wait;
	/** @timeout_ms: how long to wait until nobody is between these, in milliseconds. */
	u32 timeout_ms;
	/** @cycle_lock: one test makes the device sleep at a time; protects @gone. */
	struct mutex cycle_lock;
	/** @gone: the device is being removed. */
	bool gone;
	/** @objects: held for reading while a VM is made or a queue comes or goes. */
	struct rw_semaphore objects;
};

int devmem_pm_init(struct devmem_device *dm);
void devmem_pm_add_debugfs(struct devmem_device *dm);
void devmem_pm_fini(struct devmem_device *dm);
void devmem_pm_enter(struct devmem_device *dm);
bool devmem_pm_try_enter(struct devmem_device *dm);
void devmem_pm_exit(struct devmem_device *dm);
void devmem_pm_drain(struct devmem_device *dm);

#endif /* _DEVMEM_PM_H_ */
