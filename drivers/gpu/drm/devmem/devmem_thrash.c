// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#include <kunit/visibility.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/module.h>

#include "devmem_thrash.h"

/**
 * DOC: Thrash control
 *
 * Memory that CPU and GPU use by turns would migrate for each turn, and both would
 * do little else. Each time the GPU wants a range back that the CPU has taken from
 * the device is a bounce. A range that bounces too often is pinned: for a time the
 * GPU uses it in system memory, where the CPU does not disturb it. Then the GPU's
 * translations are taken away, and its next fault moves the range to the device
 * again, in case that the CPU has lost interest.
 *
 * Bounces are forgotten with time: their count halves for every
 * ``thrash_window_ms`` since the latest one. When the count reaches
 * ``thrash_bounces`` the range is pinned for ``thrash_pin_ms``. Each pin that
 * follows the one before within four windows lasts twice as long, up to eight
 * times.
 *
 * Neither side waits for the other at any point, so that neither can starve.
 * Prefetch and attributes (preferred location, atomics) are what a program wants
 * and are not held back.
 */

#define DEVMEM_THRASH_MAX_LEVEL		3
/* Windows after a pin in which the next one counts as its continuation. */
#define DEVMEM_THRASH_MEMORY		4

static unsigned int thrash_bounces = 8;
module_param(thrash_bounces, uint, 0444);
MODULE_PARM_DESC(thrash_bounces,
		 "Memory that goes back and forth so often stays in system memory for a time (0: never, default 8)");

static unsigned int thrash_window_ms = 500;
module_param(thrash_window_ms, uint, 0444);
MODULE_PARM_DESC(thrash_window_ms, "Half of that is forgotten after so long (default 500)");

static unsigned int thrash_pin_ms = 500;
module_param(thrash_pin_ms, uint, 0444);
MODULE_PARM_DESC(thrash_pin_ms, "For how long it stays the first time (default 500)");

/**
 * devmem_thrash_get_params() - read the module parameters
 * @params: where to
 */
void devmem_thrash_get_params(struct devmem_thrash_params *params)
{
	params->bounces = thrash_bounces;
	params->window = max(thrash_window_ms, 1u) * (u64)NSEC_PER_MSEC;
	params->pin = thrash_pin_ms * (u64)NSEC_PER_MSEC;
}

/**
 * devmem_thrash_bounce() - count a bounce
 * @thrash: of the range
 * @params: the parameters
 * @now: nanoseconds, never less than before
 *
 * Context: any; the caller serializes.
 *
 * Return: true if the range is pinned from now on.
 */
bool devmem_thrash_bounce(struct devmem_thrash *thrash,
			  const struct devmem_thrash_params *params, u64 now)
{
	u64 halvings = div64_u64(now - thrash->last, params->window);

	thrash->bounces = halvings < 32 ? thrash->bounces >> halvings : 0;
	thrash->bounces++;
	thrash->last = now;
	if (!params->bounces || thrash->bounces < params->bounces)
		return false;

	if (!thrash->until || now - thrash->until > DEVMEM_THRASH_MEMORY * params->window)
		thrash->level = 0;
	else if (thrash->level < DEVMEM_THRASH_MAX_LEVEL)
		thrash->level++;
	thrash->until = now + (params->pin << thrash->level);
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(devmem_thrash_bounce);
