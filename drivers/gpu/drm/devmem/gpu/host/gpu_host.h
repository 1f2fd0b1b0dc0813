/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_GPU_HOST_H_
#define _DEVMEM_GPU_HOST_H_

/**
 * DOC: The device model in user space
 *
 * Kernel names that the model uses, on top of POSIX threads. Each does what the
 * kernel documents for it, for the ways in which the model uses it.
 */

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#define le16_to_cpu(x)		le16toh(x)
#define le32_to_cpu(x)		le32toh(x)
#define le64_to_cpu(x)		le64toh(x)
#define cpu_to_le16(x)		htole16(x)
#define cpu_to_le32(x)		htole32(x)
#define cpu_to_le64(x)		htole64(x)

#define BIT(n)			(1ul << (n))
#define BIT_ULL(n)		(1ull << (n))
#define min_t(type, a, b) ({		\
	type __a = (a);			\
	type __b = (b);			\
	__a < __b ? __a : __b;		\
})
#define ARRAY_SIZE(x)		(sizeof(x) / sizeof((x)[0]))
#define IS_ALIGNED(x, a)	(((x) & ((__typeof__(x))(a) - 1)) == 0)
#define fallthrough		__attribute__((__fallthrough__))

static inline bool is_power_of_2(unsigned long n)
{
	return n && !(n & (n - 1));
}

/* Memory */
#define GFP_KERNEL		0
#define kvzalloc(size, gfp)	((void)(gfp), calloc(1, size))
#define kvfree(ptr)		free(ptr)

/* Memory order */
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
/* Full barrier */
#define smp_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define try_cmpxchg(ptr, old, new) \
	__atomic_compare_exchange_n((ptr), (old), (new), false, \
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

/* Time */
static inline void cpu_relax(void)
{
	__asm__ volatile("" ::: "memory");
}

#define cond_resched()		sched_yield()
#define usleep_range_idle(min, max)	((void)(max), (void)usleep(min))

/* Locks: nothing spins, so that tests run well on few processors */
struct mutex {
	pthread_mutex_t lock;
};

#define mutex_init(m)		pthread_mutex_init(&(m)->lock, NULL)
#define mutex_destroy(m)	pthread_mutex_destroy(&(m)->lock)
#define mutex_lock(m)		pthread_mutex_lock(&(m)->lock)
#define mutex_unlock(m)		pthread_mutex_unlock(&(m)->lock)

#define spinlock_t		struct mutex

#define spin_lock_init(l)	mutex_init(l)
#define spin_lock(l)		mutex_lock(l)
#define spin_unlock(l)		mutex_unlock(l)

/* Wait queues: the condition is evaluated with the lock of the queue held */
struct wait_queue_head {
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

#define wait_queue_head_t	struct wait_queue_head

static inline void init_waitqueue_head(wait_queue_head_t *wait)
{
	pthread_mutex_init(&wait->lock, NULL);
	pthread_cond_init(&wait->cond, NULL);
}

static inline void wake_up_all(wait_queue_head_t *wait)
{
	pthread_mutex_lock(&wait->lock);
	pthread_cond_broadcast(&wait->cond);
	pthread_mutex_unlock(&wait->lock);
}

#define wait_event_idle(wait, condition) do {				\
	wait_queue_head_t *__wait = &(wait);				\
									\
	pthread_mutex_lock(&__wait->lock);				\
	while (!(condition))						\
		pthread_cond_wait(&__wait->cond, &__wait->lock);	\
	pthread_mutex_unlock(&__wait->lock);				\
} while (0)

/* Threads */
struct gpu_thread {
	pthread_t thread;
	int (*fn)(void *data);
	void *data;
};

int gpu_thread_start(struct gpu_thread *thread, int (*fn)(void *), void *data,
		     const char *name, u32 id);
void gpu_thread_join(struct gpu_thread *thread);

#endif /* _DEVMEM_GPU_HOST_H_ */
