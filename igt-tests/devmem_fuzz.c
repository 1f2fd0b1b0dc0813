// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem fuzz
 * Category: Core
 * Mega feature: SVM
 * Sub-category: API
 * Description: Ioctls and batches with arguments that are right, nearly right and wrong
 *
 * Each field of each ioctl has a kind, and each kind has values that are right, at a
 * limit, or any. Whatever comes, the result has to be among the documented ones, the
 * kernel writes only where it was told to, and afterwards the device works.
 *
 * SUBTEST: fields
 * Description: One wrong field in a structure that is right otherwise gives its error
 *
 * SUBTEST: structures
 * Description: Structures with random fields
 *
 * SUBTEST: encodings
 * Description: Ioctl numbers with another size, direction or index
 *
 * SUBTEST: syncs
 * Description: Random syncs to wait for and to signal
 *
 * SUBTEST: commands
 * Description: Batches of random commands, some of which never end
 *
 * SUBTEST: close
 * Description: The file is closed while threads use it
 *
 * SUBTEST: fork
 * Description: Children use the file and are killed
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "igt_syncobj.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("Ioctls and batches with arguments that are right, nearly right and wrong");

#define PAGE		4096ul
#define MIB		(1024ul * 1024)
#define SCRATCH		MIB
#define OBJECTS		6
#define HANDLES		4
#define THREADS		4
#define UNTOUCHED	0xcc
/* From here on flags are not used for long. */
#define LATER		0x100u
/* Enough for each ioctl to have worked and to have failed. */
#define MIN_CALLS	6000

/* Jobs that never end do so soon, by force. */
#define OPTIONS		"job_timeout_ms=300"

enum field_kind {
	NONE, PARAM, ZERO, OUT, VM_FLAGS, VM, QUEUE, BATCH, SYNCS, NUM_SYNCS, ADDR, LENGTH,
	DATA, SIZE, ROOM, PREFETCH_FLAGS, LOCATION, RESULT, ATTR, VALUE, DEVICE_FD,
};

struct field {
	enum field_kind kind;
	unsigned int offset;
	unsigned int size;
};

#define FIELD(type, name, kind) \
	{ kind, offsetof(struct drm_devmem_##type, name), \
	  sizeof(((struct drm_devmem_##type *)NULL)->name) }

/**
 * struct call - an ioctl
 * @name: for messages
 * @request: its number
 * @fields: all fields of its structure
 * @errors: what it can return by its documentation, besides EINVAL
 */
struct call {
	const char *name;
	unsigned long request;
	struct field fields[9];
	int errors[8];
};

enum call_index {
	GET_PARAM, VM_CREATE, VM_DESTROY, QUEUE_CREATE, QUEUE_DESTROY, QUEUE_QUERY, EXEC,
	QUERY_RESIDENCY, QUERY_STATS, PREFETCH, MADVISE, QUERY_ATTRS, QUERY_FAULTS, CALLS
};

static const struct call calls[CALLS] = {
	[GET_PARAM] = {
		"get_param", DRM_IOCTL_DEVMEM_GET_PARAM,
		{ FIELD(get_param, param, PARAM), FIELD(get_param, pad, ZERO),
		  FIELD(get_param, value, OUT) }, {},
	},
	[VM_CREATE] = {
		"vm_create", DRM_IOCTL_DEVMEM_VM_CREATE,
		{ FIELD(vm_create, flags, VM_FLAGS), FIELD(vm_create, vm_id, OUT) },
		{ EMFILE, ENOSPC, EBUSY, ENOMEM },
	},
	[VM_DESTROY] = {
		"vm_destroy", DRM_IOCTL_DEVMEM_VM_DESTROY,
		{ FIELD(vm_destroy, vm_id, VM), FIELD(vm_destroy, pad, ZERO) },
		{ ENOENT, EBUSY },
	},
	[QUEUE_CREATE] = {
		"queue_create", DRM_IOCTL_DEVMEM_QUEUE_CREATE,
		{ FIELD(queue_create, vm_id, VM), FIELD(queue_create, flags, ZERO),
		  FIELD(queue_create, queue_id, OUT), FIELD(queue_create, pad, ZERO) },
		{ ENOENT, EMFILE, ENOSPC, EBUSY, ECANCELED, ENOMEM },
	},
	[QUEUE_DESTROY] = {
		"queue_destroy", DRM_IOCTL_DEVMEM_QUEUE_DESTROY,
		{ FIELD(queue_destroy, queue_id, QUEUE), FIELD(queue_destroy, pad, ZERO) },
		{ ENOENT },
	},
	[QUEUE_QUERY] = {
		"queue_query", DRM_IOCTL_DEVMEM_QUEUE_QUERY,
		{ FIELD(queue_query, queue_id, QUEUE), FIELD(queue_query, flags, OUT),
		  FIELD(queue_query, errors, OUT), FIELD(queue_query, error, OUT),
		  FIELD(queue_query, access, OUT), FIELD(queue_query, pad, ZERO),
		  FIELD(queue_query, fault_addr, OUT), FIELD(queue_query, command_addr, OUT) },
		{ ENOENT },
	},
	[EXEC] = {
		"exec", DRM_IOCTL_DEVMEM_EXEC,
		{ FIELD(exec, queue_id, QUEUE), FIELD(exec, flags, ZERO),
		  FIELD(exec, batch_addr, BATCH), FIELD(exec, syncs, SYNCS),
		  FIELD(exec, num_syncs, NUM_SYNCS), FIELD(exec, pad, ZERO) },
		{ ENOENT, EFAULT, ECANCELED, ENOMEM },
	},
	[QUERY_RESIDENCY] = {
		"query_residency", DRM_IOCTL_DEVMEM_QUERY_RESIDENCY,
		{ FIELD(query_residency, vm_id, VM), FIELD(query_residency, flags, ZERO),
		  FIELD(query_residency, addr, ADDR), FIELD(query_residency, length, LENGTH),
		  FIELD(query_residency, data, DATA) },
		{ ENOENT, EFAULT, E2BIG, ESRCH, EBUSY, ENOMEM },
	},
	[QUERY_STATS] = {
		"query_stats", DRM_IOCTL_DEVMEM_QUERY_STATS,
		{ FIELD(query_stats, vm_id, VM), FIELD(query_stats, size, SIZE),
		  FIELD(query_stats, data, DATA) },
		{ ENOENT, EFAULT },
	},
	[PREFETCH] = {
		"prefetch", DRM_IOCTL_DEVMEM_PREFETCH,
		{ FIELD(prefetch, vm_id, VM), FIELD(prefetch, flags, PREFETCH_FLAGS),
		  FIELD(prefetch, addr, ADDR), FIELD(prefetch, length, LENGTH),
		  FIELD(prefetch, location, LOCATION), FIELD(prefetch, num_syncs, NUM_SYNCS),
		  FIELD(prefetch, syncs, SYNCS), FIELD(prefetch, result, RESULT) },
		{ ENOENT, EFAULT, EBUSY, ECANCELED, ENOMEM },
	},
	[MADVISE] = {
		"madvise", DRM_IOCTL_DEVMEM_MADVISE,
		{ FIELD(madvise, vm_id, VM), FIELD(madvise, flags, ZERO),
		  FIELD(madvise, addr, ADDR), FIELD(madvise, length, LENGTH),
		  FIELD(madvise, attr, ATTR), FIELD(madvise, value, VALUE),
		  FIELD(madvise, device_fd, DEVICE_FD), FIELD(madvise, reserved, ZERO) },
		{ ENOENT, EFAULT, ESRCH, ENOMEM, EBADF, ENODEV, ENOLINK, ENOSPC },
	},
	[QUERY_ATTRS] = {
		"query_attrs", DRM_IOCTL_DEVMEM_QUERY_ATTRS,
		{ FIELD(query_attrs, vm_id, VM), FIELD(query_attrs, flags, ZERO),
		  FIELD(query_attrs, addr, ADDR), FIELD(query_attrs, length, LENGTH),
		  FIELD(query_attrs, num, ROOM), FIELD(query_attrs, pad, ZERO),
		  FIELD(query_attrs, data, DATA) },
		{ ENOENT, EFAULT },
	},
	[QUERY_FAULTS] = {
		"query_faults", DRM_IOCTL_DEVMEM_QUERY_FAULTS,
		{ FIELD(query_faults, vm_id, VM), FIELD(query_faults, flags, ZERO),
		  FIELD(query_faults, total, OUT), FIELD(query_faults, num, ROOM),
		  FIELD(query_faults, state, OUT), FIELD(query_faults, data, DATA) },
		{ ENOENT, EFAULT, ENOMEM },
	},
};

/**
 * struct fuzzer - a thread that makes calls
 * @random: state of the generator
 * @fd: the file, which others may close
 * @shared_fd: they may
 * @vms: VMs there were
 * @queues: queues there were
 * @handles: syncobjs
 * @arg: the structure, at the end of a page behind which there is nothing
 * @scratch: what calls are about and batches use; nothing follows it either
 * @answers: where queries put what they have to tell, and nobody else anything
 * @nothing: a page that cannot be accessed
 * @batch: a good batch
 * @syncs: room for syncs
 * @worked: how often each call has
 * @failed: how often it has not
 */
struct fuzzer {
	uint64_t random;
	int fd;
	bool shared_fd;
	uint32_t vms[OBJECTS];
	uint32_t queues[OBJECTS];
	uint32_t handles[HANDLES];
	char *arg;
	char *scratch;
	char *answers;
	char *nothing;
	struct igt_devmem_batch batch;
	struct drm_devmem_sync *syncs;
	uint64_t worked[CALLS];
	uint64_t failed[CALLS];
};

static struct {
	uint64_t seed;
	unsigned int seconds;
} option = { .seconds = 2 };

static int64_t deadline;
/* Of what was seen in threads and children. */
static uint32_t *bad;

/*
 * Random numbers
 */
static uint64_t any(struct fuzzer *f)
{
	return igt_devmem_random(&f->random);
}

static uint64_t below(struct fuzzer *f, uint64_t limit)
{
	return any(f) % limit;
}

static uint64_t one_of(struct fuzzer *f, const uint64_t *values, unsigned int count)
{
	return values[below(f, count)];
}

#define ONE_OF(f, ...) \
	one_of(f, (const uint64_t[]){ __VA_ARGS__ }, \
	       sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

/* A number near a power of two */
static uint64_t limit_value(struct fuzzer *f)
{
	return (1ull << below(f, 64)) + below(f, 3) - 1;
}

/* An address that nobody can use: there is nothing, or it is the kernel's. */
static uint64_t bad_address(struct fuzzer *f)
{
	return ONE_OF(f, 0, 1, 8, PAGE, (uintptr_t)f->nothing, (uintptr_t)f->nothing + 8,
		      0x00007ffffffff000ull, 0x00007fffffffffffull, 0x0000800000000000ull,
		      0xffff800000000000ull, 0xffff888000000000ull, 0xffffffff81000000ull,
		      0xfffffffffffff000ull, ~7ull, ~0ull);
}

static uint64_t some_address(struct fuzzer *f)
{
	return (uintptr_t)f->scratch + below(f, SCRATCH);
}

/*
 * Fields
 */
static uint64_t good_value(struct fuzzer *f, enum field_kind kind)
{
	switch (kind) {
	case PARAM:
		return below(f, DRM_DEVMEM_PARAM_PEER_GROUP + 1);
	case VM_FLAGS:
		return below(f, 4);
	case VM:
		return f->vms[below(f, OBJECTS)];
	case QUEUE:
		return f->queues[below(f, OBJECTS)];
	case BATCH:
		return (uintptr_t)f->batch.cmds;
	case SYNCS:
		return (uintptr_t)f->syncs;
	case NUM_SYNCS:
		return below(f, 3);
	case ADDR:
		return some_address(f) & ~(PAGE - 1);
	case LENGTH:
		return PAGE << below(f, 6);
	case DATA:
		return (uintptr_t)f->answers;
	case SIZE:
		return 1 + below(f, 2 * sizeof(struct drm_devmem_stats));
	case ROOM:
		return below(f, DRM_DEVMEM_MAX_FAULTS + 2);
	case PREFETCH_FLAGS:
		return below(f, 4);
	case LOCATION:
		return DRM_DEVMEM_LOCATION_SYSTEM + below(f, 2);
	case RESULT:
		return below(f, 2) ? 0 : some_address(f) & ~15ull;
	case ATTR:
		return below(f, DRM_DEVMEM_ATTR_RESET + 1);
	case VALUE:
		return below(f, 4);
	case DEVICE_FD:
		return below(f, 4) ? 0 : f->fd;
	default:
		return 0;
	}
}

static uint64_t wrong_value(struct fuzzer *f, enum field_kind kind)
{
	switch (kind) {
	case BATCH:
	case SYNCS:
	case DATA:
	case RESULT:
		return below(f, 4) ? bad_address(f) : some_address(f);
	case ADDR:
		return below(f, 2) ? bad_address(f) : some_address(f);
	case NUM_SYNCS:
		return below(f, 2) ? below(f, DRM_DEVMEM_MAX_SYNCS + 3) : any(f);
	default:
		return below(f, 2) ? limit_value(f) : any(f);
	}
}

static void set_field(struct fuzzer *f, const struct field *field, uint64_t value)
{
	memcpy(f->arg + field->offset, &value, field->size);
}

static uint64_t get_field(const struct fuzzer *f, const struct field *field)
{
	uint64_t value = 0;

	memcpy(&value, f->arg + field->offset, field->size);
	return value;
}

static size_t arg_size(const struct call *call)
{
	return _IOC_SIZE(call->request);
}

static void random_sync(struct fuzzer *f, struct drm_devmem_sync *sync)
{
	unsigned int type = below(f, 3);

	memset(sync, 0, sizeof(*sync));
	sync->type = type;
	sync->flags = below(f, 4) ? DRM_DEVMEM_SYNC_SIGNAL : 0;
	if (type == DRM_DEVMEM_SYNC_USER_FENCE)
		sync->addr = some_address(f) & ~7ull;
	else
		sync->handle = f->handles[below(f, HANDLES)];
	if (type != DRM_DEVMEM_SYNC_SYNCOBJ)
		sync->value = below(f, 4) ? 1 + below(f, 16) : limit_value(f);
	if (below(f, 4))
		return;
	switch (below(f, 6)) {
	case 0:
		sync->type = any(f);
		break;
	case 1:
		sync->flags = limit_value(f);
		break;
	case 2:
		sync->handle = any(f);
		break;
	case 3:
		sync->pad = limit_value(f);
		break;
	case 4:
		sync->addr = bad_address(f);
		break;
	default:
		sync->value = any(f);
	}
}

/* @odds: one field in so many is wrong, none with 0. */
static void random_arg(struct fuzzer *f, const struct call *call, unsigned int odds)
{
	const struct field *field;
	unsigned int i;

	f->arg = (char *)f->nothing - arg_size(call);
	for (field = call->fields; field->kind; field++)
		set_field(f, field, odds && !below(f, odds) ? wrong_value(f, field->kind) :
							      good_value(f, field->kind));
	for (i = 0; i < 3; i++)
		random_sync(f, &f->syncs[i]);
}

static bool must_be_invalid(struct fuzzer *f, const struct call *call)
{
	const struct field *field;

	for (field = call->fields; field->kind; field++) {
		uint64_t value = get_field(f, field);

		if ((field->kind == ZERO && value) || (field->kind == VM_FLAGS && value >= LATER) ||
		    (field->kind == PREFETCH_FLAGS && value >= LATER) ||
		    (field->kind == NUM_SYNCS && value > DRM_DEVMEM_MAX_SYNCS))
			return true;
	}
	return false;
}

static bool is_documented(const struct fuzzer *f, const struct call *call, int err)
{
	unsigned int i;

	if (!err || err == EINVAL || (f->shared_fd && err == EBADF))
		return true;
	for (i = 0; i < ARRAY_SIZE(call->errors); i++)
		if (call->errors[i] == err)
			return true;
	return false;
}

static void complain(struct fuzzer *f, const struct call *call, int err, const char *what)
{
	const struct field *field;

	igt_info("seed %llu, %s: %s (%s)\n", (unsigned long long)option.seed, call->name, what,
		 err ? strerror(err) : "no error");
	for (field = call->fields; field->kind; field++)
		igt_info("  at %2u: %#llx\n", field->offset,
			 (unsigned long long)get_field(f, field));
	__atomic_store_n(bad, 1, __ATOMIC_SEQ_CST);
}

/* How many bytes at a DATA field the call may write. */
static size_t may_write(struct fuzzer *f, const struct call *call)
{
	switch (call - calls) {
	case QUERY_RESIDENCY:
		return ((struct drm_devmem_query_residency *)f->arg)->length / PAGE;
	case QUERY_STATS:
		return ((struct drm_devmem_query_stats *)f->arg)->size;
	case QUERY_ATTRS:
		return ((struct drm_devmem_query_attrs *)f->arg)->num *
		       sizeof(struct drm_devmem_attrs);
	case QUERY_FAULTS:
		return ((struct drm_devmem_query_faults *)f->arg)->num *
		       sizeof(struct drm_devmem_fault);
	default:
		return SCRATCH;
	}
}

static bool is_untouched(const char *at, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if ((uint8_t)at[i] != UNTOUCHED)
			return false;
	return true;
}

/* A new object takes the place of another one, if that can go, and ids come again. */
static void remember(struct fuzzer *f, const struct call *call)
{
	bool is_vm = call == &calls[VM_CREATE];
	uint32_t id = is_vm ? ((struct drm_devmem_vm_create *)f->arg)->vm_id :
			      ((struct drm_devmem_queue_create *)f->arg)->queue_id;
	uint32_t *pool = is_vm ? f->vms : f->queues;
	unsigned int i, place = below(f, OBJECTS);
	int err;

	if (!id)
		complain(f, call, 0, "the id is zero");
	for (i = 0; i < OBJECTS; i++)
		if (pool[i] == id)
			pool[i] = 0;
	err = is_vm ? __igt_devmem_vm_destroy(f->fd, pool[place]) :
		      __igt_devmem_queue_destroy(f->fd, pool[place]);
	if (err == -EBUSY)
		__igt_devmem_vm_destroy(f->fd, id);
	else
		pool[place] = id;
}

/* Make the call with the structure that is in place, and look at what it did. */
static int make_call(struct fuzzer *f, const struct call *call)
{
	size_t size = arg_size(call), room = may_write(f, call);
	bool invalid = must_be_invalid(f, call), query = room < SCRATCH - PAGE;
	const struct field *field;
	char before[128];
	int err;

	memcpy(before, f->arg, size);
	if (query)
		memset(f->answers, UNTOUCHED, room + 64);
	err = ioctl(f->fd, call->request, f->arg) ? errno : 0;

	if (!is_documented(f, call, err))
		complain(f, call, err, "this error is not documented");
	if (invalid && err != EINVAL && err != EBADF)
		complain(f, call, err, "fields that must be zero, or more than there can be");
	for (field = call->fields; field->kind; field++)
		if (field->kind != OUT && field->kind != SIZE && field->kind != ROOM &&
		    memcmp(before + field->offset, f->arg + field->offset, field->size))
			complain(f, call, err, "what goes in has changed");
	if (query && !is_untouched(f->answers + room, 64))
		complain(f, call, err, "more was written than there was room for");
	*(err ? &f->failed[call - calls] : &f->worked[call - calls]) += 1;
	if (!err && (call == &calls[VM_CREATE] || call == &calls[QUEUE_CREATE]))
		remember(f, call);
	return -err;
}

static void random_call(struct fuzzer *f)
{
	static const uint8_t often[] = { EXEC, PREFETCH, MADVISE, QUEUE_CREATE, VM_CREATE };
	unsigned int pick = below(f, CALLS + ARRAY_SIZE(often));
	const struct call *call = &calls[pick < CALLS ? pick : often[pick - CALLS]];

	random_arg(f, call, 1 + below(f, 12));
	make_call(f, call);
}

/*
 * A fuzzer
 */
static void init_fuzzer(struct fuzzer *f, int fd, unsigned int id)
{
	unsigned int i;

	memset(f, 0, sizeof(*f));
	f->fd = fd;
	f->random = igt_devmem_random_start(option.seed, 1 + id);
	f->nothing = igt_devmem_anon_alloc(PAGE);
	f->nothing = (char *)mmap(f->nothing - PAGE, PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) + PAGE;
	igt_assert_eq(mprotect(f->nothing, PAGE, PROT_NONE), 0);
	f->scratch = igt_devmem_anon_alloc(SCRATCH);
	f->answers = igt_devmem_anon_alloc(SCRATCH);
	igt_devmem_batch_init(&f->batch, 512);
	f->syncs = igt_devmem_shared_alloc(PAGE);
	igt_devmem_store(&f->batch, f->scratch, 1, 8);
	igt_devmem_end(&f->batch);
	for (i = 0; i < HANDLES; i++)
		f->handles[i] = syncobj_create(fd, i & 1 ? DRM_SYNCOBJ_CREATE_SIGNALED : 0);
}

static void fini_fuzzer(struct fuzzer *f)
{
	igt_devmem_shared_free(f->syncs, PAGE);
	igt_devmem_batch_fini(&f->batch);
	igt_devmem_anon_free(f->answers, SCRATCH);
	igt_devmem_anon_free(f->scratch, SCRATCH);
	igt_devmem_anon_free(f->nothing, PAGE);
}

static bool goes_on(void)
{
	return igt_devmem_deadline(0) < deadline && !__atomic_load_n(bad, __ATOMIC_SEQ_CST);
}

/* After all that, a new client is served, if not at once: batches have little time. */
static void check_device(int fd)
{
	struct igt_devmem d;
	uint64_t *p = igt_devmem_anon_alloc(PAGE);
	int error = DRM_DEVMEM_ERROR_TIMEOUT, i;

	igt_assert(!*bad);
	for (i = 0; i < 10 && error == DRM_DEVMEM_ERROR_TIMEOUT; i++) {
		igt_devmem_init(&d, fd, 0);
		igt_devmem_store(&d.batch, p, 0x1234, 8);
		igt_devmem_copy(&d.batch, d.result, p, 8);
		error = __igt_devmem_run(&d);
		igt_assert(error || d.result[0] == 0x1234);
		igt_devmem_fini(&d);
	}
	igt_assert_eq(error, DRM_DEVMEM_ERROR_NONE);
	igt_assert_eq_u64(*p, 0x1234);
	igt_assert_eq_u64(igt_devmem_violations(fd), 0);
	igt_devmem_anon_free(p, PAGE);
}

/*
 * Subtests
 */
static int errno_for(enum field_kind kind)
{
	switch (kind) {
	case VM:
	case QUEUE:
		return -ENOENT;
	case SYNCS:
	case DATA:
		return -EFAULT;
	default:
		return -EINVAL;
	}
}

/* What a kind may not be, up to four values; how many there are. */
static unsigned int values_to_refuse(const struct fuzzer *f, enum field_kind kind, uint64_t *value)
{
	static const uint64_t refused[][4] = {
		[PARAM] = { 1000, 1u << 31, ~0u },
		[ZERO] = { 1, 1u << 31 },
		[VM_FLAGS] = { LATER, 1u << 31 },
		[VM] = { 0, 0x7fffffff, 0x80000000, ~0u },
		[QUEUE] = { 0, 0x7fffffff, 0x80000000, ~0u },
		[BATCH] = { 16, 1, 0xffff800000000000ull, ~0ull },
		[NUM_SYNCS] = { DRM_DEVMEM_MAX_SYNCS + 1, ~0u },
		[ADDR] = { 1, 0xffff888000000000ull, 0xfffffffffffff000ull, 1ull << 63 },
		[LENGTH] = { 0, 1, PAGE + 8, ~0ull },
		[PREFETCH_FLAGS] = { LATER, 1u << 31 },
		[LOCATION] = { 1000, ~0u },
		[RESULT] = { 1, 8, ~0ull },
		[ATTR] = { 1000, ~0u },
		[VALUE] = { 1000, ~0u },
		[DEVICE_FD] = { 1, 0x7fffffff, ~0u },
	};
	unsigned int i = 0;

	if (kind == DATA || kind == SYNCS) {
		value[0] = (uintptr_t)f->nothing;
		value[1] = 0xffff888000000000ull;
		return 2;
	}
	if (kind == SIZE) {
		value[0] = 0;
		return 1;
	}
	if (kind >= ARRAY_SIZE(refused))
		return 0;
	for (i = 0; i < 4 && (refused[kind][i] || !i); i++)
		value[i] = refused[kind][i];
	return i == 1 && !value[0] ? 0 : i;
}

static void right_arg(struct fuzzer *f, const struct call *call, uint32_t vm, uint32_t queue)
{
	const struct field *field;

	random_arg(f, call, 0);
	memset(f->syncs, 0, sizeof(*f->syncs));
	f->syncs[0].handle = f->handles[1];
	for (field = call->fields; field->kind; field++) {
		if (field->kind == VM)
			set_field(f, field, vm);
		else if (field->kind == QUEUE)
			set_field(f, field, queue);
		else if (field->kind == NUM_SYNCS || field->kind == ROOM)
			set_field(f, field, 1);
		else if (field->kind == VALUE || field->kind == PREFETCH_FLAGS ||
			 field->kind == DEVICE_FD)
			set_field(f, field, 0);
	}
	if (call == &calls[QUERY_ATTRS])
		((struct drm_devmem_query_attrs *)f->arg)->addr = (uintptr_t)f->scratch;
}

static void test_fields(int fd)
{
	struct igt_devmem d;
	struct fuzzer f;
	unsigned int i, j, count;
	uint64_t value[4];
	int err;

	init_fuzzer(&f, fd, 0);
	igt_devmem_init(&d, fd, 0);
	/* An attribute and a fault to tell about */
	igt_devmem_madvise(fd, d.vm, f.scratch, PAGE, DRM_DEVMEM_ATTR_ATOMIC,
			   DRM_DEVMEM_ATOMIC_GLOBAL);
	igt_devmem_store(&d.batch, NULL, 1, 8);
	igt_assert_eq(__igt_devmem_run(&d), DRM_DEVMEM_ERROR_FAULT);
	for (i = 0; i < CALLS; i++) {
		const struct call *call = &calls[i];
		const struct field *field;

		for (field = call->fields; field->kind; field++) {
			count = values_to_refuse(&f, field->kind, value);
			for (j = 0; j < count; j++) {
				right_arg(&f, call, d.vm, d.queue);
				set_field(&f, field, value[j]);
				err = make_call(&f, call);
				if (err != errno_for(field->kind))
					complain(&f, call, -err, "another error is due");
			}
		}
		if (call == &calls[VM_DESTROY] || call == &calls[QUEUE_DESTROY])
			continue;
		right_arg(&f, call, d.vm, d.queue);
		err = make_call(&f, call);
		if (err)
			complain(&f, call, -err, "nothing is wrong");
	}
	for (i = 0; i < OBJECTS; i++)
		__igt_devmem_queue_destroy(fd, f.queues[i]);
	igt_devmem_fini(&d);
	fini_fuzzer(&f);
	igt_assert(!*bad);
}

static void test_structures(int fd)
{
	uint64_t made = 0;
	struct fuzzer f;
	unsigned int i;

	init_fuzzer(&f, fd, 1);
	while (goes_on() || (made < MIN_CALLS && !*bad)) {
		random_call(&f);
		made++;
	}
	for (i = 0; i < CALLS; i++) {
		igt_info("%-16s worked %8llu, failed %8llu\n", calls[i].name,
			 (unsigned long long)f.worked[i], (unsigned long long)f.failed[i]);
		igt_assert_lt_u64(0, f.worked[i]);
		igt_assert_lt_u64(0, f.failed[i]);
	}
	fini_fuzzer(&f);
}

/* The kernel takes what it knows of a structure, and returns no more than was asked for. */
static void test_encodings(int fd)
{
	struct fuzzer f;
	char *arg = malloc(2 << _IOC_SIZEBITS);
	uint64_t made;

	igt_assert(arg);
	init_fuzzer(&f, fd, 2);
	for (made = 0; goes_on() || made < MIN_CALLS; made++) {
		const struct call *call = &calls[below(&f, CALLS)];
		unsigned int size = below(&f, 2) ? below(&f, 1 << _IOC_SIZEBITS) : below(&f, 72);
		unsigned int index = below(&f, 4) ? _IOC_NR(call->request) : below(&f, 256);
		unsigned int type = below(&f, 8) ? _IOC_TYPE(call->request) : below(&f, 256);
		unsigned int dir = below(&f, 4);
		int err;

		/* Ioctls of other drivers and of the core are not the subject. */
		if (type == _IOC_TYPE(call->request) &&
		    (index < DRM_COMMAND_BASE || index >= DRM_COMMAND_END))
			continue;
		random_arg(&f, call, 4);
		memset(arg, UNTOUCHED, size + 64);
		memcpy(arg, f.arg, size < arg_size(call) ? size : arg_size(call));
		err = ioctl(fd, _IOC(dir, type, index, size), arg) ? errno : 0;
		if (err && err != ENOTTY && !is_documented(&f, call, err) &&
		    index == _IOC_NR(call->request))
			complain(&f, call, err, "this error is not documented");
		if (index >= DRM_COMMAND_BASE + CALLS && index < DRM_COMMAND_END && !err)
			complain(&f, call, err, "there is no such ioctl");
		igt_assert(is_untouched(arg + size, 64));
		/* Nobody knows the objects that were made, so they go with their file. */
		if (!err && made % 64 == 0) {
			int new = drm_reopen_driver(fd);

			igt_assert_eq(dup2(new, fd), fd);
			close(new);
		}
	}
	fini_fuzzer(&f);
	free(arg);
}

static void test_syncs(int fd)
{
	const struct call *exec = &calls[EXEC], *prefetch = &calls[PREFETCH];
	struct drm_devmem_exec *args;
	unsigned int i, count;
	struct igt_devmem d;
	struct fuzzer f;

	init_fuzzer(&f, fd, 3);
	igt_devmem_init(&d, fd, 0);
	while (goes_on() || f.worked[EXEC] + f.failed[EXEC] < MIN_CALLS / 8) {
		const struct call *call = below(&f, 4) ? exec : prefetch;

		right_arg(&f, call, d.vm, d.queue);
		count = 1 + below(&f, below(&f, 8) ? 4 : DRM_DEVMEM_MAX_SYNCS);
		for (i = 0; i < count; i++)
			random_sync(&f, &f.syncs[i]);
		if (call == exec) {
			args = (struct drm_devmem_exec *)f.arg;
			args->num_syncs = count;
		} else {
			((struct drm_devmem_prefetch *)f.arg)->num_syncs = count;
		}
		make_call(&f, call);
		/* What waits for itself, or for nothing, is released this way. */
		if (!below(&f, 16))
			syncobj_signal(fd, f.handles, HANDLES);
		if (!below(&f, 16))
			syncobj_reset(fd, f.handles, HANDLES);
		if (!below(&f, 32)) {
			igt_devmem_queue_destroy(fd, d.queue);
			d.queue = igt_devmem_queue_create(fd, d.vm);
		}
		if (*bad)
			break;
	}
	igt_assert_lt_u64(0, f.worked[EXEC]);
	igt_assert_lt_u64(0, f.failed[EXEC]);
	igt_assert_lt_u64(0, f.worked[PREFETCH]);
	igt_devmem_fini(&d);
	fini_fuzzer(&f);
}

/* Mostly well formed, so that it gets somewhere. Nothing but scratch can be hit. */
static struct drm_devmem_cmd random_command(struct fuzzer *f, unsigned int left)
{
	static const uint8_t width[] = { 1, 2, 4, 8 };
	struct drm_devmem_cmd cmd = { .op = below(f, 10) };
	uint64_t length = below(f, 3) ? below(f, 256) : below(f, 2) ? below(f, SCRATCH) : any(f);

	if (!cmd.op)
		cmd.op = DRM_DEVMEM_CMD_ALU;
	cmd.a = below(f, 8) ? some_address(f) : bad_address(f);
	cmd.b = below(f, 8) ? some_address(f) : below(f, 2) ? bad_address(f) : any(f);
	cmd.rd = below(f, DRM_DEVMEM_NUM_REGS);
	cmd.width = width[below(f, 4)];
	switch (cmd.op) {
	case DRM_DEVMEM_CMD_COPY:
		cmd.c = length;
		cmd.width = 0;
		cmd.rd = 0;
		break;
	case DRM_DEVMEM_CMD_FILL:
		cmd.c = length;
		cmd.rd = 0;
		break;
	case DRM_DEVMEM_CMD_STORE:
		cmd.rd = 0;
		break;
	case DRM_DEVMEM_CMD_ATOMIC:
		cmd.sub = below(f, 6);
		cmd.a &= ~7ull;
		cmd.width = width[2 + below(f, 2)];
		break;
	case DRM_DEVMEM_CMD_WAIT:
		cmd.sub = below(f, 5);
		cmd.width = width[2 + below(f, 2)];
		cmd.c = below(f, 2) ? 0 : any(f);
		cmd.rd = 0;
		break;
	case DRM_DEVMEM_CMD_ALU:
		cmd.sub = below(f, 8);
		cmd.width = 0;
		cmd.a = any(f);
		break;
	case DRM_DEVMEM_CMD_BRANCH:
		cmd.sub = below(f, 5);
		cmd.width = 0;
		cmd.rd = 0;
		cmd.a = below(f, 4);
		cmd.b = below(f, 4);
		cmd.c = (below(f, left) - below(f, 8)) * DRM_DEVMEM_CMD_SIZE;
		break;
	}
	/* Any bit of it, but not a register that moves an address. */
	if (!below(f, 24))
		((uint8_t *)&cmd)[below(f, 4)] ^= 1 << below(f, 8);
	return cmd;
}

static void test_commands(int fd)
{
	uint64_t ended = 0, failed = 0, stuck = 0;
	struct igt_devmem d;
	struct fuzzer f;

	init_fuzzer(&f, fd, 4);
	igt_devmem_init(&d, fd, 0);
	/* Few are lucky enough to end well. */
	while (goes_on() || ended + failed < 30 ||
	       ((!ended || !failed) && ended + failed < 1000)) {
		unsigned int count = 1 + below(&f, 60);
		uint32_t error;

		while (d.batch.count < count)
			igt_devmem_emit(&d.batch, random_command(&f, 1 + count - d.batch.count));
		igt_devmem_submit(&d);
		if (!igt_devmem_done(&d, 20000000)) {
			stuck++;
			/* By the time-out, or by the end of the queue */
			if (below(&f, 2))
				igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
		}
		error = igt_devmem_queue_query(fd, d.queue).error;
		igt_assert_lte(error, DRM_DEVMEM_ERROR_ABORTED);
		*(error ? &failed : &ended) += 1;
		igt_devmem_queue_destroy(fd, d.queue);
		igt_assert(igt_devmem_done(&d, IGT_DEVMEM_TIMEOUT_NS));
		d.queue = igt_devmem_queue_create(fd, d.vm);
		d.batch.count = 0;
	}
	igt_info("%llu batches ended, %llu failed, %llu took long\n", (unsigned long long)ended,
		 (unsigned long long)failed, (unsigned long long)stuck);
	igt_assert_lt_u64(0, ended);
	igt_assert_lt_u64(0, failed);
	igt_devmem_fini(&d);
	fini_fuzzer(&f);
}

static uint32_t stop_threads;

static void *fuzz_thread(void *arg)
{
	struct fuzzer *f = arg;

	while (!__atomic_load_n(&stop_threads, __ATOMIC_SEQ_CST))
		random_call(f);
	return NULL;
}

static void close_round(struct fuzzer *fuzzers, unsigned int round)
{
	pthread_t threads[THREADS];
	int fd = igt_devmem_open();
	unsigned int i;

	stop_threads = 0;
	for (i = 0; i < THREADS; i++) {
		init_fuzzer(&fuzzers[i], fd, round * THREADS + i + 16);
		fuzzers[i].shared_fd = true;
		igt_assert_eq(pthread_create(&threads[i], NULL, fuzz_thread, &fuzzers[i]), 0);
	}
	usleep(below(&fuzzers[0], 60000));
	close(fd);
	usleep(1000);
	igt_devmem_set_turn(&stop_threads, 1);
	for (i = 0; i < THREADS; i++) {
		igt_assert_eq(pthread_join(threads[i], NULL), 0);
		fini_fuzzer(&fuzzers[i]);
	}
}

static void test_close(int fd)
{
	struct fuzzer *fuzzers = calloc(THREADS, sizeof(*fuzzers));
	unsigned int round;

	igt_assert(fuzzers);
	for (round = 0; goes_on() || (round < 4 && !*bad); round++)
		close_round(fuzzers, round);
	free(fuzzers);
}

static void fork_round(struct fuzzer *f, unsigned int round)
{
	pid_t pids[3];
	unsigned int i;
	int status;

	for (i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		igt_assert_lte(0, pids[i]);
		if (!pids[i]) {
			f->random = igt_devmem_random_start(option.seed, round * 8 + i + 1);
			for (;;)
				random_call(f);
		}
	}
	for (i = below(f, 200); i; i--)
		random_call(f);
	for (i = 0; i < ARRAY_SIZE(pids); i++) {
		usleep(below(f, 20000));
		igt_assert_eq(kill(pids[i], SIGKILL), 0);
		igt_assert_eq(waitpid(pids[i], &status, 0), pids[i]);
		igt_assert_f(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
			     "a child ended with %#x\n", status);
	}
}

static void test_fork(int fd)
{
	struct fuzzer f;
	unsigned int round;

	init_fuzzer(&f, fd, 5);
	for (round = 0; goes_on() || (round < 4 && !*bad); round++)
		fork_round(&f, round);
	fini_fuzzer(&f);
}

static const struct {
	const char *name;
	const char *describe;
	void (*test)(int fd);
} tests[] = {
	{ "fields", "Each field is checked", test_fields },
	{ "structures", "Random structures give documented errors", test_structures },
	{ "encodings", "Sizes and directions of ioctls are checked", test_encodings },
	{ "syncs", "Random syncs give documented errors", test_syncs },
	{ "commands", "Random batches end", test_commands },
	{ "close", "A file can be closed at any moment", test_close },
	{ "fork", "Processes that share a file can be killed at any moment", test_fork },
};

static void run_test(void (*test)(int fd))
{
	uint64_t free;
	int fd, test_fd;

	igt_info("seed %llu\n", (unsigned long long)option.seed);
	bad = igt_devmem_shared_alloc(PAGE);
	igt_devmem_reload(OPTIONS);
	fd = igt_devmem_open();
	free = igt_devmem_get_param(fd, DRM_DEVMEM_PARAM_VRAM_FREE);
	deadline = igt_devmem_deadline(option.seconds * 1000000000ll);
	test_fd = drm_reopen_driver(fd);
	test(test_fd);
	close(test_fd);
	check_device(fd);
	drm_close_driver(fd);
	fd = igt_devmem_open();
	igt_assert(igt_devmem_vram_comes_back(fd, free - PAGE * 16));
	drm_close_driver(fd);
	igt_devmem_shared_free(bad, PAGE);
}

static int handle_option(int opt, int index, void *data)
{
	uint64_t value = strtoull(optarg, NULL, 0);

	switch (opt) {
	case 'r':
		option.seed = value;
		break;
	case 's':
		option.seconds = value;
		break;
	default:
		return IGT_OPT_HANDLER_ERROR;
	}
	return IGT_OPT_HANDLER_SUCCESS;
}

static const struct option long_options[] = {
	{ "seed", required_argument, NULL, 'r' },
	{ "seconds", required_argument, NULL, 's' },
	{}
};

static const char help[] =
	"  --seed N\t\tStart of the generator (default: another one each time)\n"
	"  --seconds N\t\tHow long a subtest runs (default 2)\n";

int igt_main_args("", long_options, help, handle_option, NULL)
{
	unsigned int i = 0;

	igt_fixture() {
		if (!option.seed)
			option.seed = igt_devmem_new_seed();
	}

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		igt_describe(tests[i].describe);
		igt_subtest(tests[i].name)
			run_test(tests[i].test);
	}

	igt_fixture()
		igt_devmem_restore();
}
