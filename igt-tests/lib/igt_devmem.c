// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "igt_debugfs.h"
#include "igt_devmem.h"
#include "igt_kmod.h"
#include "igt_syncobj.h"
#include "ioctl_wrappers.h"

#define MODULE_PARAMETERS	"/sys/module/devmem/parameters"

static size_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

static int devmem_ioctl(int fd, unsigned long request, void *arg)
{
	return igt_ioctl(fd, request, arg) ? -errno : 0;
}

int igt_devmem_open(void)
{
	int fd = __drm_open_driver_render(DRIVER_ANY);

	igt_require_f(fd >= 0, "no devmem device\n");
	return fd;
}

int __igt_devmem_get_param(int fd, uint32_t param, uint64_t *value)
{
	struct drm_devmem_get_param args = { .param = param };
	int err = devmem_ioctl(fd, DRM_IOCTL_DEVMEM_GET_PARAM, &args);

	*value = args.value;
	return err;
}

uint64_t igt_devmem_get_param(int fd, uint32_t param)
{
	uint64_t value;

	igt_assert_eq(__igt_devmem_get_param(fd, param, &value), 0);
	return value;
}

int __igt_devmem_vm_create(int fd, uint32_t flags, uint32_t *vm)
{
	struct drm_devmem_vm_create args = { .flags = flags };
	int err = devmem_ioctl(fd, DRM_IOCTL_DEVMEM_VM_CREATE, &args);

	*vm = args.vm_id;
	return err;
}

uint32_t igt_devmem_vm_create(int fd, uint32_t flags)
{
	uint32_t vm;

	igt_assert_eq(__igt_devmem_vm_create(fd, flags, &vm), 0);
	igt_assert_neq(vm, 0);
	return vm;
}

int __igt_devmem_vm_destroy(int fd, uint32_t vm)
{
	struct drm_devmem_vm_destroy args = { .vm_id = vm };

	return devmem_ioctl(fd, DRM_IOCTL_DEVMEM_VM_DESTROY, &args);
}

void igt_devmem_vm_destroy(int fd, uint32_t vm)
{
	igt_assert_eq(__igt_devmem_vm_destroy(fd, vm), 0);
}

int __igt_devmem_queue_create(int fd, uint32_t vm, uint32_t *queue)
{
	struct drm_devmem_queue_create args = { .vm_id = vm };
	int err = devmem_ioctl(fd, DRM_IOCTL_DEVMEM_QUEUE_CREATE, &args);

	*queue = args.queue_id;
	return err;
}

uint32_t igt_devmem_queue_create(int fd, uint32_t vm)
{
	uint32_t queue;

	igt_assert_eq(__igt_devmem_queue_create(fd, vm, &queue), 0);
	igt_assert_neq(queue, 0);
	return queue;
}

int __igt_devmem_queue_destroy(int fd, uint32_t queue)
{
	struct drm_devmem_queue_destroy args = { .queue_id = queue };

	return devmem_ioctl(fd, DRM_IOCTL_DEVMEM_QUEUE_DESTROY, &args);
}

void igt_devmem_queue_destroy(int fd, uint32_t queue)
{
	igt_assert_eq(__igt_devmem_queue_destroy(fd, queue), 0);
}

int __igt_devmem_queue_query(int fd, uint32_t queue, struct drm_devmem_queue_query *query)
{
	memset(query, 0, sizeof(*query));
	query->queue_id = queue;
	return devmem_ioctl(fd, DRM_IOCTL_DEVMEM_QUEUE_QUERY, query);
}

struct drm_devmem_queue_query igt_devmem_queue_query(int fd, uint32_t queue)
{
	struct drm_devmem_queue_query query;

	igt_assert_eq(__igt_devmem_queue_query(fd, queue, &query), 0);
	return query;
}

int __igt_devmem_exec(int fd, uint32_t queue, const void *batch,
		      const struct drm_devmem_sync *syncs, uint32_t num_syncs)
{
	struct drm_devmem_exec args = {
		.queue_id = queue,
		.batch_addr = (uintptr_t)batch,
		.syncs = (uintptr_t)syncs,
		.num_syncs = num_syncs,
	};

	return devmem_ioctl(fd, DRM_IOCTL_DEVMEM_EXEC, &args);
}

void igt_devmem_exec(int fd, uint32_t queue, const void *batch,
		     const struct drm_devmem_sync *syncs, uint32_t num_syncs)
{
	igt_assert_eq(__igt_devmem_exec(fd, queue, batch, syncs, num_syncs), 0);
}

int __igt_devmem_residency(int fd, uint32_t vm, const void *addr, size_t length, uint8_t *pages)
{
	struct drm_devmem_query_residency args = {
		.vm_id = vm,
		.addr = (uintptr_t)addr,
		.length = length,
		.data = (uintptr_t)pages,
	};

	return devmem_ioctl(fd, DRM_IOCTL_DEVMEM_QUERY_RESIDENCY, &args);
}

struct drm_devmem_stats igt_devmem_stats(int fd, uint32_t vm)
{
	struct drm_devmem_stats stats = {};
	struct drm_devmem_query_stats args = {
		.vm_id = vm,
		.size = sizeof(stats),
		.data = (uintptr_t)&stats,
	};

	igt_assert_eq(devmem_ioctl(fd, DRM_IOCTL_DEVMEM_QUERY_STATS, &args), 0);
	return stats;
}

int __igt_devmem_prefetch(int fd, const struct drm_devmem_prefetch *args)
{
	return devmem_ioctl(fd, DRM_IOCTL_DEVMEM_PREFETCH, (void *)args);
}

int __igt_devmem_madvise(int fd, const struct drm_devmem_madvise *args)
{
	return devmem_ioctl(fd, DRM_IOCTL_DEVMEM_MADVISE, (void *)args);
}

void igt_devmem_madvise(int fd, uint32_t vm, const void *addr, size_t length, uint32_t attr,
			uint32_t value)
{
	struct drm_devmem_madvise args = {
		.vm_id = vm, .addr = (uintptr_t)addr, .length = length,
		.attr = attr, .value = value,
	};

	igt_assert_eq(__igt_devmem_madvise(fd, &args), 0);
}

int __igt_devmem_query_attrs(int fd, struct drm_devmem_query_attrs *args)
{
	return devmem_ioctl(fd, DRM_IOCTL_DEVMEM_QUERY_ATTRS, args);
}

int __igt_devmem_query_faults(int fd, struct drm_devmem_query_faults *args)
{
	return devmem_ioctl(fd, DRM_IOCTL_DEVMEM_QUERY_FAULTS, args);
}

void *igt_devmem_shared_alloc(size_t size)
{
	void *ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	igt_assert(ptr != MAP_FAILED);
	return ptr;
}

void igt_devmem_shared_free(void *ptr, size_t size)
{
	munmap(ptr, size);
}

void *igt_devmem_anon_alloc(size_t size)
{
	const size_t align = 2ul << 20, page = page_size();
	size_t total = size + 2 * align;
	char *base, *ptr;

	base = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	igt_assert(base != MAP_FAILED);
	ptr = (char *)(((uintptr_t)base + page + align - 1) & ~(align - 1));
	igt_assert_eq(mprotect(ptr, size, PROT_READ | PROT_WRITE), 0);
	if (ptr - page > base)
		munmap(base, ptr - page - base);
	munmap(ptr + size + page, base + total - (ptr + size + page));

	return ptr;
}

void igt_devmem_anon_free(void *ptr, size_t size)
{
	munmap((char *)ptr - page_size(), size + 2 * page_size());
}

void igt_devmem_batch_init(struct igt_devmem_batch *b, unsigned int max)
{
	b->cmds = igt_devmem_shared_alloc(max * sizeof(*b->cmds));
	b->count = 0;
	b->max = max;
}

void igt_devmem_batch_fini(struct igt_devmem_batch *b)
{
	igt_devmem_shared_free(b->cmds, b->max * sizeof(*b->cmds));
	b->cmds = NULL;
}

unsigned int igt_devmem_emit(struct igt_devmem_batch *b, struct drm_devmem_cmd cmd)
{
	igt_assert_lt(b->count, b->max);
	b->cmds[b->count] = cmd;
	return b->count++;
}

unsigned int igt_devmem_end(struct igt_devmem_batch *b)
{
	return igt_devmem_emit(b, (struct drm_devmem_cmd){ .op = DRM_DEVMEM_CMD_END });
}

unsigned int igt_devmem_store(struct igt_devmem_batch *b, const void *addr,
			      uint64_t value, unsigned int width)
{
	return igt_devmem_emit(b, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_STORE, .width = width, .a = (uintptr_t)addr, .b = value,
	});
}

unsigned int igt_devmem_load(struct igt_devmem_batch *b, unsigned int rd,
			     const void *addr, unsigned int width)
{
	return igt_devmem_emit(b, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_LOAD, .width = width, .rd = rd, .a = (uintptr_t)addr,
	});
}

unsigned int igt_devmem_store_reg(struct igt_devmem_batch *b, const void *addr,
				  unsigned int rb, unsigned int width)
{
	return igt_devmem_emit(b, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_STORE, .width = width, .rb = rb, .a = (uintptr_t)addr,
	});
}

unsigned int igt_devmem_copy(struct igt_devmem_batch *b, void *dst,
			     const void *src, uint64_t size)
{
	return igt_devmem_emit(b, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_COPY,
		.a = (uintptr_t)dst, .b = (uintptr_t)src, .c = size,
	});
}

unsigned int igt_devmem_fill(struct igt_devmem_batch *b, void *addr, uint64_t value,
			     unsigned int width, uint64_t size)
{
	return igt_devmem_emit(b, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_FILL, .width = width,
		.a = (uintptr_t)addr, .b = value, .c = size,
	});
}

unsigned int igt_devmem_atomic(struct igt_devmem_batch *b, unsigned int sub, unsigned int rd,
			       void *addr, uint64_t operand, unsigned int width)
{
	return igt_devmem_emit(b, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_ATOMIC, .sub = sub, .width = width, .rd = rd,
		.a = (uintptr_t)addr, .b = operand,
	});
}

unsigned int igt_devmem_wait(struct igt_devmem_batch *b, const void *addr,
			     unsigned int compare, uint64_t value, unsigned int width)
{
	return igt_devmem_emit(b, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_WAIT, .sub = compare, .width = width,
		.a = (uintptr_t)addr, .b = value, .c = ~0ull,
	});
}

unsigned int igt_devmem_alu(struct igt_devmem_batch *b, unsigned int rd, unsigned int ra,
			    unsigned int sub, uint64_t immediate)
{
	return igt_devmem_emit(b, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_ALU, .sub = sub, .rd = rd, .ra = ra, .b = immediate,
	});
}

unsigned int igt_devmem_branch(struct igt_devmem_batch *b, unsigned int ra, unsigned int compare,
			       uint64_t immediate, unsigned int target)
{
	int64_t distance = (int64_t)target - b->count;

	return igt_devmem_emit(b, (struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_BRANCH, .sub = compare, .ra = ra,
		.b = immediate, .c = distance * DRM_DEVMEM_CMD_SIZE,
	});
}

void igt_devmem_init(struct igt_devmem *d, int fd, uint32_t vm_flags)
{
	d->fd = fd;
	d->vm = igt_devmem_vm_create(fd, vm_flags);
	d->queue = igt_devmem_queue_create(fd, d->vm);
	d->syncobj = syncobj_create(fd, 0);
	igt_devmem_batch_init(&d->batch, 1024);
	d->pages = igt_devmem_shared_alloc(IGT_DEVMEM_MAX_RANGE / page_size());
	d->result = igt_devmem_shared_alloc(page_size());
}

void igt_devmem_fini(struct igt_devmem *d)
{
	igt_devmem_shared_free(d->result, page_size());
	igt_devmem_shared_free(d->pages, IGT_DEVMEM_MAX_RANGE / page_size());
	igt_devmem_batch_fini(&d->batch);
	syncobj_destroy(d->fd, d->syncobj);
	igt_devmem_queue_destroy(d->fd, d->queue);
	igt_devmem_vm_destroy(d->fd, d->vm);
}

int __igt_devmem_submit(struct igt_devmem *d)
{
	struct drm_devmem_sync sync = {
		.type = DRM_DEVMEM_SYNC_SYNCOBJ,
		.flags = DRM_DEVMEM_SYNC_SIGNAL,
		.handle = d->syncobj,
	};
	int err;

	igt_devmem_end(&d->batch);
	syncobj_reset(d->fd, &d->syncobj, 1);
	err = __igt_devmem_exec(d->fd, d->queue, d->batch.cmds, &sync, 1);
	if (err)
		d->batch.count--;
	return err;
}

void igt_devmem_submit(struct igt_devmem *d)
{
	igt_assert_eq(__igt_devmem_submit(d), 0);
}

int64_t igt_devmem_deadline(int64_t ns)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec + ns;
}

bool igt_devmem_done(struct igt_devmem *d, int64_t timeout_ns)
{
	return syncobj_wait(d->fd, &d->syncobj, 1, igt_devmem_deadline(timeout_ns), 0, NULL);
}

uint32_t igt_devmem_outcome(struct igt_devmem *d, uint64_t errors)
{
	struct drm_devmem_queue_query query;

	igt_assert_f(igt_devmem_done(d, IGT_DEVMEM_TIMEOUT_NS), "batch did not end\n");
	d->batch.count = 0;
	query = igt_devmem_queue_query(d->fd, d->queue);
	return query.errors == errors ? DRM_DEVMEM_ERROR_NONE : query.error;
}

uint32_t __igt_devmem_run(struct igt_devmem *d)
{
	uint64_t errors = igt_devmem_queue_query(d->fd, d->queue).errors;

	igt_devmem_submit(d);
	return igt_devmem_outcome(d, errors);
}

void igt_devmem_run(struct igt_devmem *d)
{
	uint32_t error = __igt_devmem_run(d);

	if (error != DRM_DEVMEM_ERROR_NONE) {
		struct drm_devmem_queue_query query = igt_devmem_queue_query(d->fd, d->queue);

		igt_assert_f(error == DRM_DEVMEM_ERROR_NONE,
			     "batch error %u: access %u to %#llx by command %lld\n",
			     error, query.access, (unsigned long long)query.fault_addr,
			     (long long)(query.command_addr - (uintptr_t)d->batch.cmds) /
			     DRM_DEVMEM_CMD_SIZE);
	}
}

void igt_devmem_poke(struct igt_devmem *d, void *addr, uint64_t value)
{
	igt_devmem_store(&d->batch, addr, value, 8);
	igt_devmem_run(d);
}

uint64_t igt_devmem_peek(struct igt_devmem *d, const void *addr)
{
	igt_devmem_load(&d->batch, 1, addr, 8);
	igt_devmem_store_reg(&d->batch, d->result, 1, 8);
	igt_devmem_run(d);
	return *d->result;
}

void igt_devmem_set(struct igt_devmem *d, void *addr, uint64_t value, size_t size)
{
	igt_devmem_fill(&d->batch, addr, value, 8, size);
	igt_devmem_run(d);
	igt_assert(igt_devmem_location_is(d, addr, size, DRM_DEVMEM_LOCATION_DEVICE));
}

uint64_t igt_devmem_prefetch(struct igt_devmem *d, const void *addr, size_t length,
			     enum drm_devmem_location location, uint32_t flags)
{
	struct drm_devmem_prefetch_result *result = (void *)d->result;
	struct drm_devmem_sync sync = {
		.type = DRM_DEVMEM_SYNC_SYNCOBJ,
		.flags = DRM_DEVMEM_SYNC_SIGNAL,
		.handle = d->syncobj,
	};
	struct drm_devmem_prefetch args = {
		.vm_id = d->vm,
		.flags = flags,
		.addr = (uintptr_t)addr,
		.length = length,
		.location = location,
		.num_syncs = 1,
		.syncs = (uintptr_t)&sync,
		.result = (uintptr_t)result,
	};

	memset(result, 0, sizeof(*result));
	syncobj_reset(d->fd, &d->syncobj, 1);
	igt_assert_eq(__igt_devmem_prefetch(d->fd, &args), 0);
	igt_assert_f(igt_devmem_done(d, IGT_DEVMEM_TIMEOUT_NS), "prefetch did not end\n");
	igt_assert_eq(result->done, 1);
	igt_assert_eq(result->error, 0);
	return result->bytes;
}

void igt_devmem_cpu_fill(void *addr, uint64_t value, size_t size)
{
	uint64_t *word = addr;
	size_t i;

	for (i = 0; i < size / sizeof(*word); i++)
		word[i] = value;
}

void igt_devmem_expect_words(const void *addr, uint64_t value, size_t size)
{
	const uint64_t *word = addr;
	size_t i;

	for (i = 0; i < size / sizeof(*word); i++)
		igt_assert_f(word[i] == value, "word %zu of %p is %#llx, not %#llx\n", i, addr,
			     (unsigned long long)word[i], (unsigned long long)value);
}

void igt_devmem_set_turn(uint32_t *turn, uint32_t value)
{
	__atomic_store_n(turn, value, __ATOMIC_SEQ_CST);
}

void igt_devmem_wait_turn(uint32_t *turn, uint32_t value)
{
	int i;

	for (i = 0; i < 6000; i++) {
		if (__atomic_load_n(turn, __ATOMIC_SEQ_CST) == value)
			return;
		usleep(10000);
	}
	igt_assert_f(false, "the other process did not come to turn %u\n", value);
}

/* The finalizer of splitmix64 */
uint64_t igt_devmem_scramble(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

uint64_t igt_devmem_random(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15ull;
	return igt_devmem_scramble(*state);
}

uint64_t igt_devmem_random_start(uint64_t seed, uint64_t who)
{
	return igt_devmem_scramble(seed ^ igt_devmem_scramble(who));
}

/* Short, because people have to type it. */
uint64_t igt_devmem_new_seed(void)
{
	return igt_devmem_scramble(getpid() + 65536 * time(NULL)) >> 32;
}

/* Fill d->pages for the pages of the range and return how many they are. */
static size_t query_pages(struct igt_devmem *d, const void *addr, size_t length)
{
	uintptr_t start = (uintptr_t)addr & ~(page_size() - 1);
	uintptr_t end = ((uintptr_t)addr + length + page_size() - 1) & ~(page_size() - 1);
	int err, tries = 0;

	igt_assert_lte_u64(end - start, IGT_DEVMEM_MAX_RANGE);
	do {
		err = __igt_devmem_residency(d->fd, d->vm, (void *)start, end - start, d->pages);
	} while (err == -EBUSY && ++tries < 10);
	igt_assert_eq(err, 0);

	return (end - start) / page_size();
}

/* One line for each run of pages in the same state. */
static void print_pages(const uint8_t *pages, size_t count)
{
	static const char location[] = ".SDP????";
	size_t i, run, lines = 0;

	for (i = 0; i < count && lines < 16; i += run, lines++) {
		for (run = 1; i + run < count && pages[i + run] == pages[i]; run++)
			;
		igt_info("  page %5zu: %5zu x %c%s%s%s%s\n", i, run,
			 location[pages[i] & DRM_DEVMEM_RESIDENCY_LOCATION],
			 pages[i] & DRM_DEVMEM_RESIDENCY_CPU_WRITE ? " cpu-write" : "",
			 pages[i] & DRM_DEVMEM_RESIDENCY_GPU_MAPPED ? " gpu-mapped" : "",
			 pages[i] & DRM_DEVMEM_RESIDENCY_GPU_WRITE ? " gpu-write" : "",
			 pages[i] & DRM_DEVMEM_RESIDENCY_LARGE ? " large" : "");
	}
	if (i < count)
		igt_info("  ... of %zu pages\n", count);
}

bool igt_devmem_pages_are(struct igt_devmem *d, const void *addr, size_t length, uint8_t mask,
			  uint8_t value)
{
	size_t i, count = query_pages(d, addr, length);

	for (i = 0; i < count; i++) {
		if ((d->pages[i] & mask) != value) {
			igt_info("page %zu of %p is %#x, not %#x under %#x\n", i, addr,
				 d->pages[i], value, mask);
			print_pages(d->pages, count);
			return false;
		}
	}
	return true;
}

bool igt_devmem_location_is(struct igt_devmem *d, const void *addr, size_t length,
			    enum drm_devmem_location location)
{
	return igt_devmem_pages_are(d, addr, length, DRM_DEVMEM_RESIDENCY_LOCATION, location);
}

bool igt_devmem_in_place(struct igt_devmem *d, const void *addr, size_t length)
{
	return igt_devmem_pages_are(d, addr, length,
				    DRM_DEVMEM_RESIDENCY_LOCATION |
				    DRM_DEVMEM_RESIDENCY_GPU_MAPPED,
				    DRM_DEVMEM_LOCATION_SYSTEM |
				    DRM_DEVMEM_RESIDENCY_GPU_MAPPED);
}

size_t igt_devmem_count(struct igt_devmem *d, const void *addr, size_t length,
			enum drm_devmem_location location)
{
	size_t i, found = 0, count = query_pages(d, addr, length);

	for (i = 0; i < count; i++)
		found += (d->pages[i] & DRM_DEVMEM_RESIDENCY_LOCATION) == location;
	return found;
}

void igt_devmem_require_large(struct igt_devmem *d, const void *addr, size_t length)
{
	igt_require_f(igt_devmem_pages_are(d, addr, length, DRM_DEVMEM_RESIDENCY_LARGE,
					   DRM_DEVMEM_RESIDENCY_LARGE),
		      "the kernel has no huge page to give\n");
}

void igt_devmem_count_forever(struct igt_devmem *d, uint64_t *p, uint64_t *shared)
{
	uint64_t before = __atomic_load_n(shared, __ATOMIC_SEQ_CST);
	int64_t end = igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS);
	unsigned int loop;

	loop = igt_devmem_atomic(&d->batch, DRM_DEVMEM_ATOMIC_ADD, 0, p, 1, 8);
	igt_devmem_atomic(&d->batch, DRM_DEVMEM_ATOMIC_ADD, 0, shared, 1, 8);
	igt_devmem_branch(&d->batch, 0, DRM_DEVMEM_COMPARE_EQ, 0, loop);
	igt_devmem_submit(d);
	while (__atomic_load_n(shared, __ATOMIC_SEQ_CST) == before) {
		igt_assert_f(igt_devmem_deadline(0) < end, "the batch does not begin\n");
		usleep(1000);
	}
}

void igt_devmem_expect_stopped(const uint64_t *shared)
{
	uint64_t last = __atomic_load_n(shared, __ATOMIC_SEQ_CST);

	igt_assert_lt_u64(0, last);
	usleep(50000);
	igt_assert_eq_u64(__atomic_load_n(shared, __ATOMIC_SEQ_CST), last);
}

bool igt_devmem_vram_comes_back(int fd, uint64_t bytes)
{
	uint64_t now = 0;
	int i;

	for (i = 0; i < 500; i++) {
		now = igt_devmem_get_param(fd, DRM_DEVMEM_PARAM_VRAM_FREE);
		if (now >= bytes)
			return true;
		usleep(10000);
	}
	igt_info("VRAM: %llu bytes free, expected %llu\n", (unsigned long long)now,
		 (unsigned long long)bytes);
	return false;
}

uint64_t igt_devmem_violations(int fd)
{
	unsigned long long count = ~0ull;
	char text[1024] = {}, *line;
	int file = igt_debugfs_open(fd, "state", O_RDONLY);

	igt_assert_fd(file);
	igt_assert_lt(0, read(file, text, sizeof(text) - 1));
	close(file);
	line = strstr(text, "iommu violations: ");
	igt_assert(line && sscanf(line, "iommu violations: %llu", &count) == 1);
	return count;
}

static int stop_file = -1;
static bool stop_handler;

static void stop_write(int stop, char sign, const char *point)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%c%s", sign, point);

	igt_assert_eq(write(stop, text, len), len);
}

/* Each line is a name, "set" or "clear", and how many wait. */
unsigned int igt_devmem_stop_waiting(int stop, const char *point)
{
	char text[512] = {}, name[32], state[8], *line;
	unsigned int waiting;

	igt_assert_lt(0, pread(stop, text, sizeof(text) - 1, 0));
	for (line = text; line && *line; line = strchr(line, '\n'), line += !!line) {
		if (sscanf(line, "%31s %7s %u", name, state, &waiting) == 3 &&
		    !strcmp(name, point))
			return waiting;
	}
	igt_assert_f(false, "the driver has no stop point %s\n", point);
}

/* Also what a test that failed has left set. */
void igt_devmem_stop_close(int stop)
{
	char text[512] = {}, name[32], *line = NULL;

	/* There is nothing to read when the device has gone. */
	if (pread(stop, text, sizeof(text) - 1, 0) > 0)
		line = text;
	for (; line && *line; line = strchr(line, '\n'), line += !!line) {
		name[0] = '-';
		if (sscanf(line, "%30s", name + 1) == 1 &&
		    write(stop, name, strlen(name)) < 0)
			break;
	}
	/* An open file keeps the module, which an exit handler may want to unload. */
	close(stop);
	if (stop == stop_file)
		stop_file = -1;
}

static void stop_at_exit(int sig)
{
	igt_devmem_stop_close(stop_file);
}

int igt_devmem_stop_open(int fd)
{
	int stop = igt_debugfs_open(fd, "stop", O_RDWR);

	igt_assert_fd(stop);
	if (!stop_handler)
		igt_install_exit_handler(stop_at_exit);
	stop_handler = true;
	stop_file = stop;
	return stop;
}

void igt_devmem_stop_set(int stop, const char *point)
{
	stop_write(stop, '+', point);
}

void igt_devmem_stop_clear(int stop, const char *point)
{
	stop_write(stop, '-', point);
}

bool igt_devmem_stop_reached(int stop, const char *point)
{
	int i;

	for (i = 0; i < 1000; i++) {
		if (igt_devmem_stop_waiting(stop, point))
			return true;
		usleep(10000);
	}
	return false;
}

/* Not by stdio, which uses the heap */
static bool read_proc(long pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%ld/%s", pid, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	len = read(fd, text, size - 1);
	close(fd);
	text[len < 0 ? 0 : len] = 0;
	return len > 0;
}

#define KERNEL_EXITING	0x4

/* Of 10 ms: for about as long as a stop holds up others */
#define BLOCKED_TRIES	2500

/* State of a task and its flags as the kernel has them, from its line of statistics */
static bool read_state(long pid, char *state, unsigned int *flags)
{
	char text[512], *rest;

	/* The name can hold anything, but no parenthesis follows it. */
	return read_proc(pid, "stat", text, sizeof(text)) && (rest = strrchr(text, ')')) &&
	       sscanf(rest, ") %c %*d %*d %*d %*d %*d %u", state, flags) == 2;
}

static bool thread_blocked_now(pid_t thread, long call)
{
	unsigned int flags;
	char text[128], state;
	long number;

	return read_state(thread, &state, &flags) && state == 'D' &&
	       read_proc(thread, "syscall", text, sizeof(text)) &&
	       sscanf(text, "%ld", &number) == 1 && number == call;
}

bool igt_devmem_thread_blocked(pid_t thread, long call)
{
	int i;

	for (i = 0; i < BLOCKED_TRIES; i++) {
		if (thread_blocked_now(thread, call))
			return true;
		usleep(10000);
	}
	return false;
}

bool igt_devmem_exit_blocked(pid_t pid)
{
	unsigned int flags;
	char state;
	int i;

	for (i = 0; i < BLOCKED_TRIES; i++) {
		if (read_state(pid, &state, &flags) &&
		    (state == 'Z' || (state == 'D' && flags & KERNEL_EXITING)))
			return true;
		usleep(10000);
	}
	return false;
}

/* The kernel adds to a worker's name what it works on. */
static bool fault_blocked_now(int proc)
{
	static char entries[4096];
	unsigned int flags;
	char name[80], state;
	long len, i, pid;

	igt_assert(!lseek(proc, 0, SEEK_SET));
	while ((len = syscall(SYS_getdents64, proc, entries, sizeof(entries))) > 0) {
		for (i = 0; i < len; i += ((struct dirent64 *)(entries + i))->d_reclen) {
			pid = strtol(((struct dirent64 *)(entries + i))->d_name, NULL, 10);
			if (pid > 0 && read_proc(pid, "comm", name, sizeof(name)) &&
			    strstr(name, "+devmem-fault") &&
			    read_state(pid, &state, &flags) && state == 'D')
				return true;
		}
	}
	return false;
}

bool igt_devmem_fault_blocked(void)
{
	int proc = open("/proc", O_RDONLY | O_DIRECTORY), i;
	bool blocked = false;

	igt_assert_fd(proc);
	for (i = 0; i < BLOCKED_TRIES && !blocked; i++) {
		if (i)
			usleep(10000);
		blocked = fault_blocked_now(proc);
	}
	close(proc);
	return blocked;
}

bool igt_devmem_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return written;
}

int igt_devmem_log_open(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);

	igt_assert_fd(log);
	igt_assert(lseek(log, 0, SEEK_END) >= 0);
	return log;
}

bool igt_devmem_log_next(int log, char *record, size_t size)
{
	ssize_t len;

	/* EPIPE where records were lost. */
	do {
		len = read(log, record, size - 1);
	} while (len < 0 && errno == EPIPE);
	record[len < 0 ? 0 : len] = '\0';
	return len >= 0;
}

/*
 * Swap on a compressed RAM disk, unless there is swap already. Its header is
 * what mkswap(8) writes: version, last page, and the signature that ends the page.
 */
#define ZRAM_SIZE	(64ul << 20)

static void zram_off(int sig)
{
	if (!syscall(SYS_swapoff, "/dev/zram0"))
		igt_devmem_write_file("/sys/block/zram0/reset", "1");
}

static bool has_swap(void)
{
	char line[256];
	int lines = 0;
	FILE *file = fopen("/proc/swaps", "r");

	while (file && fgets(line, sizeof(line), file))
		lines++;
	if (file)
		fclose(file);
	return lines > 1;
}

void igt_devmem_require_swap(void)
{
	static uint32_t header[1024];
	int fd;

	if (has_swap())
		return;
	igt_require_f(!igt_kmod_load("zram", NULL), "no module zram\n");
	igt_devmem_write_file("/sys/block/zram0/reset", "1");
	igt_require(igt_devmem_write_file("/sys/block/zram0/disksize", "67108864"));
	header[256] = 1;
	header[257] = ZRAM_SIZE / page_size() - 1;
	memcpy((char *)header + page_size() - 10, "SWAPSPACE2", 10);
	fd = open("/dev/zram0", O_RDWR);
	igt_require_f(fd >= 0, "no /dev/zram0: %s\n", strerror(errno));
	igt_require(write(fd, header, page_size()) == (ssize_t)page_size());
	close(fd);
	igt_require_f(!syscall(SYS_swapon, "/dev/zram0", 0), "no swap: %s\n", strerror(errno));
	igt_install_exit_handler(zram_off);
}

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

/*
 * MADV_PAGEOUT passes over a page that is not on the LRU list yet. It empties the
 * batch of the CPU that it runs on; compaction starts by emptying those of all.
 */
void igt_devmem_swap_out(struct igt_devmem *d, void *addr, size_t size)
{
	int tries = 0;

	for (;;) {
		igt_assert_eq(madvise(addr, size, MADV_PAGEOUT), 0);
		if (igt_devmem_count(d, addr, size, DRM_DEVMEM_LOCATION_NONE) == size / page_size())
			return;
		igt_require_f(++tries < 100, "the kernel does not swap\n");
		igt_devmem_write_file("/proc/sys/vm/compact_memory", "1");
		usleep(10000);
	}
}

/* The interface of the kernel's test_hmm module, as far as it is used here */
struct hmm_dmirror_cmd {
	uint64_t addr;
	uint64_t ptr;
	uint64_t npages;
	uint64_t cpages;
	uint64_t faults;
};

#define HMM_DMIRROR_MIGRATE_TO_DEV	_IOWR('H', 0x02, struct hmm_dmirror_cmd)

/* The third device of test_hmm. Two have coherent memory, 256 MiB each. */
int igt_devmem_coherent_open(void)
{
	unsigned long long size = 0, start = 0;
	char cmdline[2048] = "", options[128];
	FILE *file = fopen("/proc/cmdline", "r");
	char *memmap;
	int fd;

	igt_assert(file);
	igt_assert(fgets(cmdline, sizeof(cmdline), file));
	fclose(file);
	memmap = strstr(cmdline, "memmap=");
	igt_require_f(memmap && sscanf(memmap, "memmap=%lluM$%lluM", &size, &start) == 2 &&
		      size == 512, "no RAM set aside for coherent memory (memmap=512M$...M)\n");

	snprintf(options, sizeof(options), "spm_addr_dev0=%#llx spm_addr_dev1=%#llx",
		 start << 20, (start + 256) << 20);
	igt_require_f(!igt_kmod_load("test_hmm", options), "no test_hmm module\n");
	fd = open("/dev/hmm_dmirror2", O_RDWR);
	igt_assert_fd(fd);
	return fd;
}

void igt_devmem_coherent_take(int device, void *addr, size_t size)
{
	void *copy = igt_devmem_shared_alloc(size);
	struct hmm_dmirror_cmd cmd = {
		.addr = (uintptr_t)addr, .ptr = (uintptr_t)copy, .npages = size / page_size(),
	};

	igt_assert_eq(ioctl(device, HMM_DMIRROR_MIGRATE_TO_DEV, &cmd), 0);
	igt_assert_eq_u64(cmd.cpages, cmd.npages);
	igt_devmem_shared_free(copy, size);
}

void igt_devmem_coherent_close(int device)
{
	close(device);
	igt_assert_eq(igt_kmod_unload("test_hmm"), 0);
}

int igt_devmem_unload_once(void)
{
	return syscall(SYS_delete_module, "devmem", O_NONBLOCK) ? -errno : 0;
}

/* Parameters of the module before the first reload, or an empty string. */
static char found_with[512];
static bool reloaded;

static void remember_params(void)
{
	DIR *dir = opendir(MODULE_PARAMETERS);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		size_t used = strlen(found_with);
		char path[512], value[64] = "";
		FILE *file;

		snprintf(path, sizeof(path), MODULE_PARAMETERS "/%s", entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (!file)
			continue;
		if (fgets(value, sizeof(value), file)) {
			value[strcspn(value, "\n")] = 0;
			snprintf(found_with + used, sizeof(found_with) - used, "%s%s=%s",
				 used ? " " : "", entry->d_name, value);
		}
		fclose(file);
	}
	if (dir)
		closedir(dir);
}

/* Whoever closed the device last may still be about to let go of it, or a prefetch to end. */
static int unload(void)
{
	int64_t end = igt_devmem_deadline(IGT_DEVMEM_TIMEOUT_NS);
	int err;

	do {
		err = igt_devmem_unload_once();
		if (err == -EAGAIN || err == -EBUSY)
			usleep(20000);
	} while ((err == -EAGAIN || err == -EBUSY) && igt_devmem_deadline(0) < end);

	return err == -ENOENT ? 0 : err;
}

/* A test that failed has left the device open, which keeps the module. */
static void close_devices(void)
{
	char path[64], target[64];
	int fd;

	for (fd = 3; fd < 256; fd++) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = 0;
		if (!strncmp(target, "/dev/dri/", 9))
			close(fd);
	}
}

static void restore_at_exit(int sig)
{
	if (!reloaded)
		return;
	close_devices();
	if (!unload())
		igt_kmod_load("devmem", found_with);
	reloaded = false;
}

void igt_devmem_reload(const char *options)
{
	if (!reloaded) {
		remember_params();
		igt_install_exit_handler(restore_at_exit);
	}
	igt_assert_eq(unload(), 0);
	reloaded = true;
	igt_assert_eq(igt_kmod_load("devmem", options), 0);
}

void igt_devmem_restore(void)
{
	if (!reloaded)
		return;
	igt_assert_eq(unload(), 0);
	igt_assert_eq(igt_kmod_load("devmem", found_with), 0);
	reloaded = false;
}

void igt_devmem_open_fixture(struct igt_devmem *d)
{
	igt_fixture() {
		d->fd = igt_devmem_open();
		igt_require(igt_devmem_get_param(d->fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY));
		igt_devmem_init(d, d->fd, 0);
	}
}

void igt_devmem_subtests(const struct igt_devmem_subtest *tests, unsigned int count)
{
	unsigned int i = 0;

	for (i = 0; i < count; i++) {
		igt_describe(tests[i].describe);
		igt_subtest(tests[i].name)
			tests[i].test();
	}
}

void igt_devmem_close_fixture(struct igt_devmem *d)
{
	igt_fixture() {
		igt_devmem_fini(d);
		drm_close_driver(d->fd);
	}
}
