/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_THRASH_H_
#define _DEVMEM_THRASH_H_

#include <linux/types.h>

/**
 * struct devmem_thrash_params - when memory counts as thrashing
 */
struct devmem_thrash_params {
	/** @bounces: pin after so many; 0 for never. */
	u32 bounces;
	/** @window: the count halves after so long, in nanoseconds, not zero. */
	u64 window;
	/** @pin: how long the first pin lasts, in nanoseconds. */
	u64 pin;
};

/**
 * struct devmem_thrash - how often a range went back and forth
 */
struct devmem_thrash {
	/** @last: when the latest bounce was, in nanoseconds. */
	u64 last;
	/** @until: when the latest pin ends or ended, in nanoseconds; 0: none yet. */
	u64 until;
	/** @bounces: how many there were, less what has decayed. */
	u32 bounces;
	/** @level: how often the time of a pin was doubled. */
	u32 level;
};

bool devmem_thrash_bounce(struct devmem_thrash *thrash,
			  const struct devmem_thrash_params *params, u64 now);
void devmem_thrash_get_params(struct devmem_thrash_params *params);

/**
 * devmem_thrash_pinned() - is a range to stay in system memory?
 * @thrash: of the range
 * @now: nanoseconds
 *
 * Return: true while a pin lasts.
 */
static inline bool devmem_thrash_pinned(const struct devmem_thrash *thrash, u64 now)
{
	return now < thrash->until;
}

#endif /* _DEVMEM_THRASH_H_ */
