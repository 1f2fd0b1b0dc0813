// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <drm/drm_print.h>

#include "devmem_copy.h"
#include "devmem_device.h"

#define DEVMEM_COPY_RING_BYTES	SZ_32K

/* A full ring of 2 MiB copies takes seconds on a slow emulated machine. */
#define DEVMEM_COPY_TIMEOUT	(60 * HZ)

/* No engine knows it, see DEVMEM_FAIL_COPY */
#define DEVMEM_COPY_BAD_OP	U32_MAX

/**
 * devmem_copy_init() - set up the copy engine
 * @dm: the device
 *
 * Return: 0 or -ENOMEM.
 */
int devmem_copy_init(struct devmem_device *dm)
{
	struct devmem_copy *copy = &dm->copy;
	int err;

	mutex_init(&copy->lock);
	init_waitqueue_head(&copy->wait);
	copy->size = DEVMEM_COPY_RING_BYTES / sizeof(struct gpu_copy);
	err = devmem_vram_alloc_kernel(dm, DEVMEM_COPY_RING_BYTES, &copy->addr);
	if (err)
		return err;

	devmem_hw_write(dm, GPU_REG_COPY_BASE, copy->addr);
	devmem_hw_write(dm, GPU_REG_COPY_SIZE, copy->size);
	/* An engine made of software can lack the memory to start. */
	if (devmem_hw_read(dm, GPU_REG_COPY_SIZE) != copy->size) {
		devmem_vram_free_kernel(dm, copy->addr);
		return -ENOMEM;
	}
	return 0;
}

/**
 * devmem_copy_fini() - stop the copy engine
 * @dm: the device
 */
void devmem_copy_fini(struct devmem_device *dm)
{
	devmem_hw_write(dm, GPU_REG_COPY_SIZE, 0);
	devmem_vram_free_kernel(dm, dm->copy.addr);
	mutex_destroy(&dm->copy.lock);
}

/**
 * devmem_copy_irq() - the copy engine has completed entries
 * @dm: the device
 */
void devmem_copy_irq(struct devmem_device *dm)
{
	wake_up_all(&dm->copy.wait);
}

/* Wait for all that was submitted; with DEVMEM_COPY_TIMEOUT since hardware can break. */
static void devmem_copy_wait(struct devmem_device *dm)
{
	struct devmem_copy *copy = &dm->copy;
	u64 errors;

	devmem_hw_write(dm, GPU_REG_COPY_TAIL, copy->tail);
	if (!wait_event_timeout(copy->wait,
				devmem_hw_read(dm, GPU_REG_COPY_HEAD) == copy->tail,
				DEVMEM_COPY_TIMEOUT)) {
		drm_err(&dm->drm, "copy engine is stuck\n");
		copy->error = copy->error ?: -ETIMEDOUT;
	}

	errors = devmem_hw_read(dm, GPU_REG_COPY_ERRORS);
	if (errors != copy->errors) {
		drm_err_ratelimited(&dm->drm,
				    "copy engine: %llu errors, latest at entry %llu\n",
				    errors - copy->errors,
				    devmem_hw_read(dm, GPU_REG_COPY_ERROR_ENTRY));
		copy->errors = errors;
		copy->error = copy->error ?: -EIO;
	}
}

/**
 * devmem_copy_begin() - start a series of copies
 * @dm: the device
 *
 * Context: sleeps; allocates nothing. Takes &devmem_copy.lock until
 * devmem_copy_end().
 */
void devmem_copy_begin(struct devmem_device *dm)
{
	mutex_lock(&dm->copy.lock);
	dm->copy.error = 0;
}

/**
 * devmem_copy_add() - add a copy to the series
 * @dm: the device
 * @entry: the copy
 *
 * Context: as devmem_copy_begin(); waits when the ring is full.
 */
void devmem_copy_add(struct devmem_device *dm, const struct gpu_copy *entry)
{
	struct devmem_copy *copy = &dm->copy;
	u64 slot = copy->tail & (copy->size - 1);
	struct gpu_copy copied = *entry;
	int err;

	lockdep_assert_held(&copy->lock);
	if (copy->error)
		return;

	if (devmem_fail_now(&dm->fail, DEVMEM_FAIL_COPY))
		copied.op = cpu_to_le32(DEVMEM_COPY_BAD_OP);
	err = devmem_hw_vram_write(dm, copy->addr + slot * sizeof(copied),
				   &copied, sizeof(copied));
	if (err) {
		copy->error = err;
		return;
	}
	copy->tail++;
	if (slot == copy->size - 1)
		devmem_copy_wait(dm);
}

/**
 * devmem_copy_stop_at() - wait at a stop point in the middle of a series, if it is set
 * @dm: the device
 * @point: where
 *
 * What was added so far is copied by then.
 *
 * Context: as devmem_copy_begin(); others can use the engine meanwhile.
 */
void devmem_copy_stop_at(struct devmem_device *dm, enum devmem_stop_point point)
{
	int err;

	if (!devmem_stop_is_set(&dm->stop, point))
		return;
	err = devmem_copy_end(dm);
	devmem_stop_wait(&dm->stop, point);
	devmem_copy_begin(dm);
	dm->copy.error = err;
}

/**
 * devmem_copy_end() - execute the series and wait for it
 * @dm: the device
 *
 * Return: 0, or -EIO or -ETIMEDOUT if any copy of the series has failed.
 */
int devmem_copy_end(struct devmem_device *dm)
{
	struct devmem_copy *copy = &dm->copy;
	int err;

	devmem_copy_wait(dm);
	err = copy->error;
	mutex_unlock(&copy->lock);
	return err;
}
