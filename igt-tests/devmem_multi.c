// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/**
 * TEST: devmem multi
 * Category: Core
 * Mega feature: SVM
 * Sub-category: Several devices
 * Description: Memory of one process that several devices use
 *
 * SUBTEST: groups
 * Description: The module parameter says which devices are peers
 *
 * SUBTEST: invalid
 * Description: Each bad argument gives the error that is documented
 *
 * SUBTEST: query
 * Description: The preferred device can be asked for, also after its file was closed
 *
 * SUBTEST: in-place-%s
 * Description: A device that may not migrate reads and writes what another one has
 * arg[1]:
 *
 * @peers:		Where it is
 * @strangers:		In system memory
 *
 * SUBTEST: preferred
 * Description: A fault moves memory to the peer that was named and uses it there
 *
 * SUBTEST: preferred-exclusive
 * Description: A page that is preferred on a peer comes to be the GPU's for an atomic
 *
 * SUBTEST: preferred-untouched
 * Description: Memory that nobody touched is zero on the peer and can be written there
 *
 * SUBTEST: prefetch-preferred
 * Description: Prefetch moves memory to the peer and back without a fault
 *
 * SUBTEST: prefetch-each-its-own
 * Description: One prefetch moves each stretch to where it is preferred
 *
 * SUBTEST: back-to-system
 * Description: Preferred in system memory, it comes back from a peer
 *
 * SUBTEST: mixed-range
 * Description: One chunk has pages on two peers, on the device and in system memory
 *
 * SUBTEST: mixed-all
 * Description: One chunk has memory of all kinds: of devices, in swap, untouched, and more
 *
 * SUBTEST: %s-%s
 * Description: %arg[1]; memory gets there by a fault; devices are %arg[2]
 *
 * SUBTEST: %s-prefetch-%s
 * Description: %arg[1]; each device prefetches the memory first; devices are %arg[2]
 *
 * SUBTEST: %s-contrary-%s
 * Description: %arg[1]; each device prefers the memory of another one; they are %arg[2]
 *
 * arg[1]:
 *
 * @access:		What one device wrote the next one reads
 * @cycle:		Memory goes around between devices, huge pages and small ones
 * @copy:		One device copies from the memory of the second to the third's
 * @atomics:		Devices and the CPU add to the same word at the same time
 * @conflict:		Devices use parts of the same memory at the same time
 * @handover:		One device waits for the flag of another one and finds its data
 * @writers:		Devices write to the same words at the same time, and one has won
 *
 * arg[2]:
 *
 * @peers:		all peers, which copy directly
 * @strangers:		no peers, so that memory goes by way of the system
 * @mixed:		two peers and one that is none
 *
 * SUBTEST: damped
 * Description: Memory that goes back and forth between peers stays with one of them
 *
 * SUBTEST: evict
 * Description: What a peer uses in place can be evicted
 *
 * SUBTEST: cpu-fault
 * Description: The CPU takes back what two devices use
 *
 * SUBTEST: fork
 * Description: A write of a peer does not reach the child
 *
 * SUBTEST: munmap
 * Description: Nobody reaches memory that was unmapped
 *
 * SUBTEST: unload
 * Description: Naming a device keeps the module, and no longer than the VM
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "drmtest.h"
#include "igt_core.h"
#include "igt_syncobj.h"
#include "lib/igt_devmem.h"

IGT_TEST_DESCRIPTION("Memory of one process that several devices use");

#define MIB		(1024 * 1024ul)
#define PAGE		4096ul
#define VALUE		0x1122334455667788ull
#define DEVICES		3

#define SYSTEM		DRM_DEVMEM_LOCATION_SYSTEM
#define DEVICE		DRM_DEVMEM_LOCATION_DEVICE
#define PEER		DRM_DEVMEM_LOCATION_PEER
#define NONE		DRM_DEVMEM_LOCATION_NONE

/* Group sizes */
#define STRANGERS	1
#define MIXED		2
#define PEERS		DEVICES

/* How memory gets to where a device uses it */
enum mode {
	BY_FAULT,
	BY_PREFETCH,
	/* It is told to use the memory of the next device. */
	CONTRARY,
};

static struct igt_devmem dev[DEVICES];
static unsigned int group;

static bool are_peers(int a, int b)
{
	return a / group == b / group;
}

/* Where device @user sees memory of device @owner */
static enum drm_devmem_location seen(int user, int owner)
{
	if (user == owner)
		return DEVICE;
	return are_peers(user, owner) ? PEER : NONE;
}

static struct drm_devmem_stats stats(int i)
{
	return igt_devmem_stats(dev[i].fd, dev[i].vm);
}

static int prefer_fd(struct igt_devmem *d, const void *addr, size_t size, int fd)
{
	struct drm_devmem_madvise args = {
		.vm_id = d->vm, .addr = (uintptr_t)addr, .length = size,
		.attr = DRM_DEVMEM_ATTR_PREFERRED, .value = DRM_DEVMEM_PREFERRED_FD,
		.device_fd = fd,
	};

	return __igt_devmem_madvise(d->fd, &args);
}

static void prefer(struct igt_devmem *d, const void *addr, size_t size, int other)
{
	igt_assert_eq(prefer_fd(d, addr, size, dev[other].fd), 0);
}

/* The device that has the memory after device @user has used it */
static int owner_of(int user, enum mode mode)
{
	return mode == CONTRARY ? (user + 1) % DEVICES : user;
}

/* Like igt_devmem_prefetch(), also while a batch of the device runs. */
static uint64_t prefetch_meanwhile(const struct igt_devmem *from, void *p, size_t size,
				   enum drm_devmem_location location, uint32_t flags)
{
	struct igt_devmem d = *from;
	uint64_t bytes;

	d.syncobj = syncobj_create(d.fd, 0);
	d.result = igt_devmem_shared_alloc(PAGE);
	bytes = igt_devmem_prefetch(&d, p, size, location, flags | DRM_DEVMEM_PREFETCH_WRITE);
	igt_devmem_shared_free(d.result, PAGE);
	syncobj_destroy(d.fd, d.syncobj);
	return bytes;
}

/* What device @user does before it uses the memory, while others may do the same */
static void announce(int user, void *p, size_t size, enum mode mode)
{
	if (mode == BY_PREFETCH)
		prefetch_meanwhile(&dev[user], p, size, DEVICE, 0);
	else if (mode == CONTRARY)
		prefer(&dev[user], p, size, owner_of(user, mode));
}

/* The same while nobody else does anything: no fault is left to be had. */
static void get_ready(int user, void *p, size_t size, enum mode mode)
{
	const uint8_t all = DRM_DEVMEM_RESIDENCY_GPU_MAPPED | DRM_DEVMEM_RESIDENCY_GPU_WRITE;

	announce(user, p, size, mode);
	if (mode == BY_PREFETCH)
		igt_assert(igt_devmem_pages_are(&dev[user], p, size,
						DRM_DEVMEM_RESIDENCY_LOCATION | all,
						DEVICE | all));
}

/* The device reads all words, wherever they are. */
static void expect_by(struct igt_devmem *d, void *p, uint64_t value, size_t size)
{
	void *copy = igt_devmem_shared_alloc(size);

	igt_devmem_copy(&d->batch, copy, p, size);
	igt_devmem_run(d);
	igt_devmem_expect_words(copy, value, size);
	igt_devmem_shared_free(copy, size);
}

static void fill_by(struct igt_devmem *d, void *p, uint64_t value, size_t size)
{
	igt_devmem_fill(&d->batch, p, value, 8, size);
	igt_devmem_run(d);
}

static void test_groups(void)
{
	uint64_t number[DEVICES];
	int i, j;

	for (i = 0; i < DEVICES; i++)
		number[i] = igt_devmem_get_param(dev[i].fd, DRM_DEVMEM_PARAM_PEER_GROUP);
	for (i = 0; i < DEVICES; i++)
		for (j = 0; j < DEVICES; j++)
			igt_assert_eq(number[i] == number[j], are_peers(i, j));
}

static void test_invalid(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	struct drm_devmem_madvise args = {
		.vm_id = dev[0].vm, .addr = (uintptr_t)p, .length = PAGE,
		.attr = DRM_DEVMEM_ATTR_PREFERRED, .value = DRM_DEVMEM_PREFERRED_DEVICE,
		.device_fd = dev[1].fd,
	};
	const struct drm_devmem_prefetch good = {
		.vm_id = dev[0].vm, .addr = (uintptr_t)p, .length = PAGE,
		.flags = DRM_DEVMEM_PREFETCH_PREFERRED,
	};
	struct drm_devmem_prefetch prefetch;
	int fd = open("/dev/null", O_RDWR);
	unsigned int i;

	/* A file that is not asked for */
	igt_assert_eq(__igt_devmem_madvise(dev[0].fd, &args), -EINVAL);
	args.attr = DRM_DEVMEM_ATTR_RESET;
	args.value = 0;
	igt_assert_eq(__igt_devmem_madvise(dev[0].fd, &args), -EINVAL);

	igt_assert_fd(fd);
	igt_assert_eq(prefer_fd(&dev[0], p, PAGE, fd), -EINVAL);
	close(fd);
	igt_assert_eq(prefer_fd(&dev[0], p, PAGE, fd), -EBADF);
	igt_assert_eq(prefer_fd(&dev[0], p, PAGE, -1), -EBADF);
	igt_assert_eq(prefer_fd(&dev[0], p, PAGE, dev[1].fd), 0);
	igt_assert_eq(prefer_fd(&dev[0], p, PAGE, dev[2].fd), -ENOLINK);

	for (i = SYSTEM; i <= PEER; i++) {
		prefetch = good;
		prefetch.location = i;
		igt_assert_eq(__igt_devmem_prefetch(dev[0].fd, &prefetch), -EINVAL);
	}
	prefetch = good;
	prefetch.flags |= 1 << 2;
	igt_assert_eq(__igt_devmem_prefetch(dev[0].fd, &prefetch), -EINVAL);
	prefetch = good;
	prefetch.flags = 0;
	igt_assert_eq(__igt_devmem_prefetch(dev[0].fd, &prefetch), -EINVAL);
	igt_assert_eq(__igt_devmem_prefetch(dev[0].fd, &good), 0);
	igt_devmem_anon_free(p, 2 * MIB);
}

static struct drm_devmem_attrs query_one(int i, void *p)
{
	struct drm_devmem_attrs attrs = {};
	struct drm_devmem_query_attrs args = {
		.vm_id = dev[i].vm, .addr = (uintptr_t)p, .length = 2 * MIB,
		.num = 1, .data = (uintptr_t)&attrs,
	};

	igt_assert_eq(__igt_devmem_query_attrs(dev[i].fd, &args), 0);
	igt_assert_eq_u32(args.num, 1);
	return attrs;
}

/* Minor of a render node, for any open file of the device */
static unsigned int render_minor(int fd)
{
	char path[64];
	unsigned int i;
	struct stat st;

	igt_assert_eq(fstat(fd, &st), 0);
	for (i = 128; i < 192; i++) {
		snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/device/drm/renderD%u",
			 major(st.st_rdev), minor(st.st_rdev), i);
		if (!access(path, F_OK))
			return i;
	}
	igt_assert_f(false, "no render node beside minor %u\n", minor(st.st_rdev));
}

static void test_query(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	int fd = __drm_open_driver_another(1, DRIVER_ANY);
	struct drm_devmem_attrs attrs;
	unsigned int minor = render_minor(fd);

	igt_assert_eq(prefer_fd(&dev[0], p, 2 * MIB, fd), 0);
	close(fd);
	attrs = query_one(0, p);
	igt_assert_eq_u64(attrs.end - attrs.start, 2 * MIB);
	igt_assert_eq_u32(attrs.preferred, DRM_DEVMEM_PREFERRED_FD);
	igt_assert_eq_u32(attrs.device, minor);

	/* Its own file is the device itself, whatever it is called. */
	prefer(&dev[0], p, 2 * MIB, 0);
	attrs = query_one(0, p);
	igt_assert_eq_u32(attrs.preferred, DRM_DEVMEM_PREFERRED_DEVICE);
	igt_assert_eq_u32(attrs.device, 0);
	igt_devmem_anon_free(p, 2 * MIB);
}

/*
 * By way of system memory the driver gives a chunk one second. Small chunks make it
 * in time everywhere.
 */
static size_t size_to_move(void)
{
	return group == PEERS ? 4 * MIB : 512 * 1024;
}

static void test_access(enum mode mode)
{
	const size_t size = size_to_move();
	uint64_t *p = igt_devmem_anon_alloc(size);
	const int owner = owner_of(1, mode);

	igt_devmem_set(&dev[0], p, VALUE, size);
	igt_assert(igt_devmem_location_is(&dev[0], p, size, DEVICE));
	igt_assert(igt_devmem_location_is(&dev[1], p, size, seen(1, 0)));

	get_ready(1, p, size, mode);
	expect_by(&dev[1], p, VALUE, size);
	igt_assert(igt_devmem_location_is(&dev[owner], p, size, DEVICE));
	igt_assert(igt_devmem_location_is(&dev[1], p, size, seen(1, owner)));
	igt_assert(igt_devmem_location_is(&dev[0], p, size, seen(0, owner)));
	igt_assert_eq_u64(stats(0).to_peer_bytes, are_peers(0, 1) ? size : 0);
	igt_assert_eq_u64(stats(0).to_system_bytes, are_peers(0, 1) ? 0 : size);
	if (owner == 1)
		igt_assert_eq_u64(stats(1).to_device_bytes, size);

	fill_by(&dev[1], p, ~VALUE, size / 2);
	igt_devmem_expect_words(p, ~VALUE, size / 2);
	igt_devmem_expect_words((char *)p + size / 2, VALUE, size / 2);
	if (owner == 1)
		igt_assert_eq_u64(stats(1).to_system_bytes, size);
	igt_devmem_anon_free(p, size);
}

static void test_in_place(void)
{
	const size_t size = size_to_move();
	uint64_t *p = igt_devmem_anon_alloc(size);
	enum drm_devmem_location where = are_peers(0, 1) ? PEER : SYSTEM;
	struct igt_devmem user;

	igt_devmem_init(&user, dev[1].fd, DRM_DEVMEM_VM_NO_MIGRATE);
	igt_devmem_set(&dev[0], p, VALUE, size);
	expect_by(&user, p, VALUE, size);
	igt_assert(igt_devmem_location_is(&user, p, size, where));
	fill_by(&user, p, ~VALUE, size / 2);
	igt_assert(igt_devmem_pages_are(&user, p, size / 2,
					DRM_DEVMEM_RESIDENCY_LOCATION |
					DRM_DEVMEM_RESIDENCY_GPU_WRITE,
					where | DRM_DEVMEM_RESIDENCY_GPU_WRITE));

	/* Both look at the same memory, at the same time. */
	if (where == PEER) {
		igt_assert(igt_devmem_location_is(&dev[0], p, size, DEVICE));
		igt_assert_eq_u64(stats(0).to_peer_bytes, 0);
		igt_assert_eq_u64(stats(0).to_system_bytes, 0);
	}
	expect_by(&dev[0], p, ~VALUE, size / 2);
	expect_by(&dev[0], p + size / 16, VALUE, size / 2);
	igt_devmem_expect_words(p, ~VALUE, size / 2);
	igt_devmem_fini(&user);
	igt_devmem_anon_free(p, size);
}

/* Once around and on; each device adds one to each page. */
static void go_around(void *base, size_t size, enum mode mode)
{
	char *p = base;
	uint64_t turn;
	size_t at;

	for (turn = 0; turn < 2 * DEVICES + 1; turn++) {
		struct igt_devmem *d = &dev[turn % DEVICES];

		get_ready(turn % DEVICES, p, size, mode);
		for (at = 0; at < size; at += PAGE)
			igt_devmem_atomic(&d->batch, DRM_DEVMEM_ATOMIC_ADD, 0, p + at, 1, 8);
		igt_devmem_run(d);
		igt_assert(igt_devmem_location_is(&dev[owner_of(turn % DEVICES, mode)], p, size,
						  DEVICE));
	}
	for (at = 0; at < size; at += PAGE)
		igt_assert_eq_u64(*(uint64_t *)(p + at), VALUE + at + turn);
}

static void test_cycle(enum mode mode)
{
	const size_t sizes[] = { 256 * 1024, 2 * MIB };
	unsigned int huge;
	size_t at;
	char *p;

	for (huge = 0; huge < ARRAY_SIZE(sizes); huge++) {
		p = igt_devmem_anon_alloc(sizes[huge]);
		igt_assert_eq(madvise(p, sizes[huge], huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE), 0);
		for (at = 0; at < sizes[huge]; at += PAGE)
			*(uint64_t *)(p + at) = VALUE + at;
		go_around(p, sizes[huge], mode);
		igt_devmem_anon_free(p, sizes[huge]);
	}
}

static void test_preferred(void)
{
	const size_t size = 4 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);

	igt_devmem_cpu_fill(p, VALUE, size);
	prefer(&dev[1], p, size, 0);
	expect_by(&dev[1], p, VALUE, size);
	igt_assert(igt_devmem_location_is(&dev[1], p, size, PEER));
	igt_assert(igt_devmem_location_is(&dev[0], p, size, DEVICE));
	fill_by(&dev[1], p, ~VALUE, size);
	igt_assert(igt_devmem_location_is(&dev[0], p, size, DEVICE));
	igt_assert_eq_u64(stats(1).to_device_bytes, 0);
	igt_devmem_expect_words(p, ~VALUE, size);

	/* Also from a device that has it already, and from the one that asks */
	igt_devmem_set(&dev[2], p, VALUE, size);
	fill_by(&dev[1], p, 1, size / 2);
	igt_assert(igt_devmem_location_is(&dev[0], p, size / 2, DEVICE));
	igt_devmem_madvise(dev[1].fd, dev[1].vm, p, size, DRM_DEVMEM_ATTR_RESET, 0);
	fill_by(&dev[1], p, 2, size / 2);
	igt_assert(igt_devmem_location_is(&dev[1], p, size / 2, DEVICE));
	prefer(&dev[1], p, size, 2);
	expect_by(&dev[1], p, 2, size / 2);
	igt_assert(igt_devmem_location_is(&dev[2], p, size / 2, DEVICE));
	igt_devmem_expect_words(p, 2, size / 2);
	igt_devmem_expect_words(p + size / 16, VALUE, size / 2);
	igt_devmem_anon_free(p, size);
}

/* The peer's memory does not do for the atomic, nor does moving it there again. */
static void test_preferred_exclusive(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	int i;

	igt_devmem_cpu_fill(p, VALUE, 2 * MIB);
	prefer(&dev[1], p, 2 * MIB, 0);
	igt_devmem_madvise(dev[1].fd, dev[1].vm, p, 2 * MIB, DRM_DEVMEM_ATTR_ATOMIC,
			   DRM_DEVMEM_ATOMIC_EXCLUSIVE);
	for (i = 1; i <= 3; i++) {
		igt_devmem_atomic(&dev[1].batch, DRM_DEVMEM_ATOMIC_ADD, 0, p, 1, 8);
		igt_devmem_run(&dev[1]);
		igt_assert_eq_u64(*p, VALUE + i);
	}
	igt_devmem_expect_words(p + 1, VALUE, 2 * MIB - 8);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_preferred_untouched(void)
{
	const size_t size = 4 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);

	prefer(&dev[1], p, size, 0);
	expect_by(&dev[1], p, 0, size);
	igt_assert(igt_devmem_location_is(&dev[0], p, size, DEVICE));
	fill_by(&dev[1], p, VALUE, size / 2);
	expect_by(&dev[0], p, VALUE, size / 2);
	expect_by(&dev[0], p + size / 16, 0, size / 2);
	igt_devmem_expect_words(p, VALUE, size / 2);
	igt_devmem_expect_words(p + size / 16, 0, size / 2);
	igt_devmem_anon_free(p, size);
}

static void test_prefetch_preferred(void)
{
	const size_t size = 4 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size), faults;

	igt_devmem_cpu_fill(p, VALUE, size);
	igt_devmem_peek(&dev[1], dev[1].result);
	prefer(&dev[1], p, size, 0);
	igt_assert_eq_u64(igt_devmem_prefetch(&dev[1], p, size, NONE,
					      DRM_DEVMEM_PREFETCH_PREFERRED |
					      DRM_DEVMEM_PREFETCH_WRITE), size);
	igt_assert(igt_devmem_location_is(&dev[1], p, size, PEER));
	faults = stats(1).gpu_faults;
	fill_by(&dev[1], p, ~VALUE, size);
	igt_assert_eq_u64(stats(1).gpu_faults, faults);

	/* From the peer to the device, and from the peer to system memory */
	igt_assert_eq_u64(igt_devmem_prefetch(&dev[1], p, size / 2, DEVICE, 0), size / 2);
	igt_assert(igt_devmem_location_is(&dev[1], p, size / 2, DEVICE));
	igt_assert(igt_devmem_location_is(&dev[0], p + size / 16, size / 2, DEVICE));
	igt_assert_eq_u64(igt_devmem_prefetch(&dev[1], p, size, SYSTEM, 0), size);
	igt_assert(igt_devmem_location_is(&dev[1], p, size, SYSTEM));
	igt_devmem_expect_words(p, ~VALUE, size);
	igt_devmem_anon_free(p, size);
}

static void test_prefetch_each_its_own(void)
{
	const size_t part = MIB, size = 4 * part;
	uint64_t *p = igt_devmem_anon_alloc(size);
	const size_t step = part / sizeof(*p);

	igt_devmem_cpu_fill(p, VALUE, size);
	prefer(&dev[1], p, part, 0);
	igt_devmem_madvise(dev[1].fd, dev[1].vm, p + step, part, DRM_DEVMEM_ATTR_PREFERRED,
			   DRM_DEVMEM_PREFERRED_SYSTEM);
	prefer(&dev[1], p + 3 * step, part, 2);
	igt_assert_eq_u64(igt_devmem_prefetch(&dev[1], p, size, NONE,
					      DRM_DEVMEM_PREFETCH_PREFERRED), size);
	igt_assert(igt_devmem_location_is(&dev[0], p, part, DEVICE));
	igt_assert(igt_devmem_location_is(&dev[1], p + step, part, SYSTEM));
	igt_assert(igt_devmem_location_is(&dev[1], p + 2 * step, part, DEVICE));
	igt_assert(igt_devmem_location_is(&dev[2], p + 3 * step, part, DEVICE));
	igt_devmem_expect_words(p, VALUE, size);
	igt_devmem_anon_free(p, size);
}

static void test_back_to_system(void)
{
	const size_t size = 2 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);

	igt_devmem_set(&dev[0], p, VALUE, size);
	igt_devmem_madvise(dev[1].fd, dev[1].vm, p, size, DRM_DEVMEM_ATTR_PREFERRED,
			   DRM_DEVMEM_PREFERRED_SYSTEM);
	expect_by(&dev[1], p, VALUE, size);
	igt_assert(igt_devmem_location_is(&dev[1], p, size, SYSTEM));
	igt_devmem_anon_free(p, size);
}

/* Four quarters of one chunk: on each of three devices, and in system memory */
static void scatter(uint64_t *p, size_t part)
{
	const size_t step = part / sizeof(*p);
	int i;

	igt_devmem_cpu_fill(p, 0, 4 * part);
	for (i = 0; i < DEVICES; i++) {
		igt_assert_eq_u64(igt_devmem_prefetch(&dev[i], p + i * step, part, DEVICE,
						      DRM_DEVMEM_PREFETCH_WRITE), part);
		igt_devmem_set(&dev[i], p + i * step, VALUE, part);
	}
	igt_devmem_cpu_fill(p + 3 * step, VALUE, part);
	for (i = 0; i < DEVICES; i++)
		igt_assert(igt_devmem_location_is(&dev[i], p + i * step, part, DEVICE));
}

static void test_mixed_range(void)
{
	const size_t part = 512 * 1024, size = 4 * part;
	uint64_t *p = igt_devmem_anon_alloc(size);
	const size_t step = part / sizeof(*p);
	struct igt_devmem user;
	int i;

	igt_assert_eq(madvise(p, size, MADV_NOHUGEPAGE), 0);
	scatter(p, part);

	igt_devmem_init(&user, dev[2].fd, DRM_DEVMEM_VM_NO_MIGRATE);
	expect_by(&user, p, VALUE, size);
	for (i = 0; i < DEVICES; i++)
		igt_assert(igt_devmem_location_is(&dev[i], p + i * step, part, DEVICE));
	fill_by(&user, p, ~VALUE, size);
	for (i = 0; i < DEVICES; i++)
		igt_assert(igt_devmem_location_is(&dev[i], p + i * step, part, DEVICE));
	igt_devmem_fini(&user);

	igt_devmem_madvise(dev[2].fd, dev[2].vm, p, size, DRM_DEVMEM_ATTR_RESET, 0);
	expect_by(&dev[2], p, ~VALUE, size);
	igt_assert_eq_u64(igt_devmem_prefetch(&dev[2], p, size, DEVICE, 0), size);
	igt_assert(igt_devmem_location_is(&dev[2], p, size, DEVICE));
	igt_devmem_expect_words(p, ~VALUE, size);
	igt_devmem_anon_free(p, size);
}

/* What the parts of a chunk are */
enum kind { OWN, OF_PEER, OF_STRANGER, COHERENT, SWAPPED, IN_RAM, ZERO, UNTOUCHED, KINDS };

#define KIND_PART	(2 * MIB / KINDS)

static char *part(void *p, enum kind kind)
{
	return (char *)p + kind * KIND_PART;
}

/* Part by part, each with a word of its own all over, but those that nobody wrote */
static void mix_all(void *p, int coherent)
{
	int kind;

	igt_assert_eq(madvise(p, 2 * MIB, MADV_NOHUGEPAGE), 0);
	for (kind = OWN; kind <= IN_RAM; kind++)
		igt_devmem_cpu_fill(part(p, kind), VALUE + kind, KIND_PART);
	igt_devmem_expect_words(part(p, ZERO), 0, KIND_PART);
	igt_devmem_swap_out(&dev[0], part(p, SWAPPED), KIND_PART);
	igt_devmem_coherent_take(coherent, part(p, COHERENT), KIND_PART);
	for (kind = OWN; kind <= OF_STRANGER; kind++)
		igt_assert_eq_u64(igt_devmem_prefetch(&dev[kind], part(p, kind), KIND_PART,
						      DEVICE, DRM_DEVMEM_PREFETCH_WRITE),
				  KIND_PART);
}

/* A peer uses all of it where it is, but what no device can have in common. */
static void expect_mixed(struct igt_devmem *user, void *p)
{
	igt_assert(igt_devmem_location_is(user, part(p, OWN), KIND_PART, DEVICE));
	igt_assert(igt_devmem_location_is(user, part(p, OF_PEER), KIND_PART, PEER));
	igt_assert(igt_devmem_location_is(user, part(p, OF_STRANGER),
					  (KINDS - OF_STRANGER) * KIND_PART, SYSTEM));
}

static void test_mixed_all(void)
{
	int coherent = igt_devmem_coherent_open(), kind;
	char *p = igt_devmem_anon_alloc(4 * MIB), *copy = igt_devmem_shared_alloc(4 * MIB);
	struct igt_devmem user;

	igt_devmem_require_swap();
	igt_assert(mmap(p + 2 * MIB, 2 * MIB, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + 2 * MIB);
	igt_devmem_cpu_fill(p + 2 * MIB, ~VALUE, 2 * MIB);
	mix_all(p, coherent);

	igt_devmem_init(&user, dev[0].fd, DRM_DEVMEM_VM_NO_MIGRATE);
	igt_devmem_copy(&user.batch, copy, p, 4 * MIB);
	igt_devmem_run(&user);
	for (kind = 0; kind < KINDS; kind++)
		igt_devmem_expect_words(part(copy, kind), kind <= IN_RAM ? VALUE + kind : 0,
					KIND_PART);
	igt_devmem_expect_words(copy + 2 * MIB, ~VALUE, 2 * MIB);
	expect_mixed(&user, p);
	fill_by(&user, p, ~VALUE, 4 * MIB);
	expect_mixed(&user, p);
	igt_devmem_fini(&user);

	/* All kinds once more, for a VM that moves what it can */
	igt_assert_eq(madvise(p, 2 * MIB, MADV_DONTNEED), 0);
	mix_all(p, coherent);
	igt_devmem_atomic(&dev[0].batch, DRM_DEVMEM_ATOMIC_ADD, 0, part(p, COHERENT), 1, 8);
	igt_devmem_copy(&dev[0].batch, copy, p, 4 * MIB);
	fill_by(&dev[0], p + 8, VALUE, 4 * MIB - 8);
	igt_devmem_expect_words(copy, VALUE + OWN, KIND_PART);
	for (kind = 0; kind < KINDS; kind++)
		igt_devmem_expect_words(part(copy, kind) + 8, kind <= IN_RAM ? VALUE + kind : 0,
					KIND_PART - 8);
	igt_devmem_expect_words(part(copy, COHERENT), VALUE + COHERENT + 1, 8);
	igt_devmem_expect_words(p + 8, VALUE, 4 * MIB - 8);
	igt_devmem_shared_free(copy, 4 * MIB);
	igt_devmem_anon_free(p, 4 * MIB);
	igt_devmem_coherent_close(coherent);
}

/* r1 counts the turns of a loop that adds one to @word. */
static void start_adding(struct igt_devmem *d, uint64_t *word, uint64_t turns)
{
	unsigned int loop;

	d->batch.count = 0;
	loop = igt_devmem_atomic(&d->batch, DRM_DEVMEM_ATOMIC_ADD, 0, word, 1, 8);
	igt_devmem_alu(&d->batch, 1, 1, DRM_DEVMEM_ALU_ADD, 1);
	igt_devmem_branch(&d->batch, 1, DRM_DEVMEM_COMPARE_LT, turns, loop);
	igt_devmem_submit(d);
}

static void wait_all(void)
{
	int i;

	for (i = 0; i < DEVICES; i++) {
		igt_assert_f(igt_devmem_done(&dev[i], IGT_DEVMEM_TIMEOUT_NS),
			     "batch of device %d did not end\n", i);
		dev[i].batch.count = 0;
		igt_assert_eq(igt_devmem_queue_query(dev[i].fd, dev[i].queue).errors, 0);
	}
}

static void test_atomics(enum mode mode)
{
	const uint64_t turns = 2000, own = 50;
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	uint64_t i;

	p[0] = VALUE;
	for (i = 0; i < DEVICES; i++) {
		announce(i, p, PAGE, mode);
		start_adding(&dev[i], p, turns);
	}
	for (i = 0; i < own; i++) {
		__atomic_fetch_add(p, 1, __ATOMIC_SEQ_CST);
		if (i % 10 == 9 && mode == BY_PREFETCH)
			announce(i / 10 % DEVICES, p, PAGE, mode);
	}
	wait_all();
	igt_assert_eq_u64(p[0], VALUE + DEVICES * turns + own);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_conflict(enum mode mode)
{
	const size_t size = 2 * MIB, part = size / 4;
	char *p = igt_devmem_anon_alloc(size);
	int round, i;

	for (round = 1; round <= 10; round++) {
		memset(p, round, size);
		for (i = 0; i < DEVICES; i++) {
			announce(i, p, size, mode);
			igt_devmem_fill(&dev[i].batch, p + i * part, VALUE + round + i, 8, part);
			igt_devmem_submit(&dev[i]);
		}
		wait_all();
		for (i = 0; i < DEVICES; i++)
			igt_devmem_expect_words(p + i * part, VALUE + round + i, part);
		igt_devmem_expect_words(p + i * part, 0x0101010101010101ull * round, part);
	}
	igt_devmem_anon_free(p, size);
}

static void test_handover(enum mode mode)
{
	const size_t size = 2 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size), *flag = igt_devmem_anon_alloc(2 * MIB);
	uint64_t round;

	for (round = 1; round <= 5; round++) {
		igt_devmem_wait(&dev[1].batch, flag, DRM_DEVMEM_COMPARE_EQ, round, 8);
		igt_devmem_copy(&dev[1].batch, dev[1].result, p + size / 8 - 8, 64);
		announce(1, p, size, mode);
		igt_devmem_submit(&dev[1]);
		announce(0, p, size, mode);
		igt_devmem_fill(&dev[0].batch, p, VALUE * round, 8, size);
		igt_devmem_store(&dev[0].batch, flag, round, 8);
		igt_devmem_run(&dev[0]);
		igt_assert(igt_devmem_done(&dev[1], IGT_DEVMEM_TIMEOUT_NS));
		dev[1].batch.count = 0;
		igt_devmem_expect_words(dev[1].result, VALUE * round, 64);
	}
	igt_devmem_anon_free(p, size);
	igt_devmem_anon_free(flag, 2 * MIB);
}

/* Each word is what one of them wrote, all of it, and everybody sees the same. */
static void test_writers(enum mode mode)
{
	const unsigned int words = 64, step = 8 * PAGE / sizeof(uint64_t);
	const size_t size = words * step * sizeof(uint64_t);
	uint64_t *p = igt_devmem_anon_alloc(size), won;
	unsigned int round, i, w;

	for (round = 1; round <= 5; round++) {
		for (w = 0; w < words; w++)
			p[w * step] = 0;
		for (i = 0; i < DEVICES; i++)
			announce(i, p, size, mode);
		for (i = 0; i < DEVICES; i++) {
			for (w = 0; w < words; w++)
				igt_devmem_store(&dev[i].batch, p + w * step,
						 VALUE * (round + i), 8);
			igt_devmem_submit(&dev[i]);
		}
		wait_all();
		for (w = 0; w < words; w += words / 4) {
			won = igt_devmem_peek(&dev[round % DEVICES], p + w * step);
			for (i = 0; i < DEVICES; i++)
				igt_assert_eq_u64(igt_devmem_peek(&dev[i], p + w * step), won);
			igt_assert_eq_u64(p[w * step], won);
		}
		for (w = 0; w < words; w++) {
			won = p[w * step] / VALUE;
			igt_assert_eq_u64(p[w * step], won * VALUE);
			igt_assert(won >= round && won < round + DEVICES);
		}
	}
	igt_devmem_anon_free(p, size);
}

/* Device 0 copies what it sees on device 1 to what it sees on device 2. */
static void test_copy(enum mode mode)
{
	const size_t size = 4 * MIB;
	uint64_t *src = igt_devmem_anon_alloc(size), *dst = igt_devmem_anon_alloc(size);
	uint64_t faults;
	int round;

	for (round = 1; round <= 2; round++) {
		igt_devmem_cpu_fill(src, VALUE * round, size);
		igt_devmem_cpu_fill(dst, 0, size);
		prefer(&dev[0], src, size, 1);
		prefer(&dev[0], dst, size, 2);
		if (mode == BY_PREFETCH) {
			prefetch_meanwhile(&dev[0], src, size, NONE, DRM_DEVMEM_PREFETCH_PREFERRED);
			prefetch_meanwhile(&dev[0], dst, size, NONE, DRM_DEVMEM_PREFETCH_PREFERRED);
			igt_assert(igt_devmem_location_is(&dev[1], src, size, DEVICE));
			igt_assert(igt_devmem_location_is(&dev[2], dst, size, DEVICE));
		}
		/* The commands themselves are there. */
		igt_devmem_peek(&dev[0], dev[0].result);
		faults = stats(0).gpu_faults;
		igt_devmem_copy(&dev[0].batch, dst, src, size);
		igt_devmem_run(&dev[0]);
		if (mode == BY_PREFETCH)
			igt_assert_eq_u64(stats(0).gpu_faults, faults);
		igt_assert(igt_devmem_location_is(&dev[1], src, size, DEVICE));
		igt_assert(igt_devmem_location_is(&dev[2], dst, size, DEVICE));
		igt_assert_eq_u64(stats(0).to_device_bytes, 0);
		igt_devmem_expect_words(dst, VALUE * round, size);
		igt_devmem_expect_words(src, VALUE * round, size);
	}
	igt_devmem_anon_free(src, size);
	igt_devmem_anon_free(dst, size);
}

static void test_damped(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	int i;

	for (i = 0; i < 40; i++) {
		igt_devmem_atomic(&dev[i % 2].batch, DRM_DEVMEM_ATOMIC_ADD, 0, p, 1, 8);
		igt_devmem_run(&dev[i % 2]);
	}
	igt_assert_lte_u64(stats(0).to_device_count + stats(1).to_device_count, 20);
	igt_assert_eq_u64(stats(0).pins + stats(1).pins, 1);
	/* One has it, the other one uses it there. */
	igt_assert_eq(igt_devmem_count(&dev[0], p, PAGE, DEVICE) +
		      igt_devmem_count(&dev[1], p, PAGE, DEVICE), 1);
	igt_assert_eq_u64(p[0], 40);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void test_evict(void)
{
	const size_t size = 4 * MIB, more = 64 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size), *q = igt_devmem_anon_alloc(more);

	igt_devmem_cpu_fill(p, VALUE, size);
	prefer(&dev[1], p, size, 0);
	fill_by(&dev[1], p, ~VALUE, size);
	igt_assert(igt_devmem_location_is(&dev[1], p, size, PEER));
	igt_devmem_fill(&dev[0].batch, q, 1, 8, more);
	igt_devmem_run(&dev[0]);
	igt_assert(igt_devmem_location_is(&dev[1], p, size, SYSTEM));
	expect_by(&dev[1], p, ~VALUE, size);
	igt_devmem_expect_words(p, ~VALUE, size);
	igt_devmem_anon_free(p, size);
	igt_devmem_anon_free(q, more);
}

static void test_cpu_fault(void)
{
	const size_t size = 2 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);
	int i;

	prefer(&dev[1], p, size, 0);
	for (i = 0; i < 4; i++) {
		fill_by(&dev[1], p, VALUE + i, size / 2);
		fill_by(&dev[0], p + size / 16, VALUE + i, size / 2);
		igt_assert(igt_devmem_location_is(&dev[0], p, size, DEVICE));
		igt_devmem_expect_words(p, VALUE + i, size);
		p[0] = i;
		igt_assert_eq_u64(igt_devmem_peek(&dev[1], p), i);
		igt_assert_eq_u64(igt_devmem_peek(&dev[0], p), i);
	}
	igt_devmem_anon_free(p, size);
}

static void test_fork(void)
{
	const size_t size = 2 * MIB;
	uint32_t *turn = igt_devmem_shared_alloc(PAGE);
	uint64_t *p = igt_devmem_anon_alloc(size);

	prefer(&dev[1], p, size, 0);
	fill_by(&dev[1], p, VALUE, size);
	igt_fork(child, 1) {
		igt_devmem_set_turn(turn, 1);
		igt_devmem_wait_turn(turn, 2);
		igt_devmem_expect_words(p, VALUE, size);
	}
	igt_devmem_wait_turn(turn, 1);
	fill_by(&dev[1], p, ~VALUE, size);
	igt_devmem_set_turn(turn, 2);
	igt_waitchildren();
	igt_devmem_expect_words(p, ~VALUE, size);
	igt_devmem_shared_free(turn, PAGE);
	igt_devmem_anon_free(p, size);
}

static void test_munmap(void)
{
	const size_t size = 2 * MIB;
	uint64_t *p = igt_devmem_anon_alloc(size);

	prefer(&dev[1], p, size, 0);
	fill_by(&dev[1], p, VALUE, size);
	igt_assert_eq(munmap(p, size / 2), 0);
	igt_devmem_load(&dev[1].batch, 1, p, 8);
	igt_assert_eq(__igt_devmem_run(&dev[1]), DRM_DEVMEM_ERROR_FAULT);
	expect_by(&dev[1], p + size / 16, VALUE, size / 2);
	igt_assert(igt_devmem_location_is(&dev[0], p + size / 16, size / 2, DEVICE));
	igt_devmem_anon_free(p, size);
}

static void test_unload(void)
{
	uint64_t *p = igt_devmem_anon_alloc(2 * MIB);
	int i;

	/* Device 0 is held by what device 1 knows of it, and the other way round. */
	prefer(&dev[1], p, 2 * MIB, 0);
	fill_by(&dev[1], p, VALUE, 2 * MIB);
	prefer(&dev[0], p, 2 * MIB, 1);
	igt_devmem_fini(&dev[0]);
	close(dev[0].fd);
	expect_by(&dev[1], p, VALUE, 2 * MIB);
	igt_assert_eq(igt_devmem_unload_once(), -EAGAIN);
	for (i = 1; i < DEVICES; i++) {
		igt_devmem_fini(&dev[i]);
		close(dev[i].fd);
	}
	igt_devmem_reload("");
	igt_devmem_expect_words(p, VALUE, 2 * MIB);
	igt_devmem_anon_free(p, 2 * MIB);
}

static void open_devices(unsigned int size, const char *options)
{
	char text[128];
	int i;

	group = size;
	/* Much is copied; a slow machine gets its time. */
	snprintf(text, sizeof(text),
		 "num_devices=%u vram_size=32 job_timeout_ms=60000 peer_group_size=%u %s",
		 DEVICES, size, options);
	igt_devmem_reload(text);
	for (i = 0; i < DEVICES; i++) {
		igt_devmem_init(&dev[i], __drm_open_driver_another(i, DRIVER_ANY), 0);
		igt_require(igt_devmem_get_param(dev[i].fd, DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY));
	}
	igt_require_f(size == STRANGERS ||
		      igt_devmem_get_param(dev[0].fd, DRM_DEVMEM_PARAM_PEER_GROUP) ==
		      igt_devmem_get_param(dev[1].fd, DRM_DEVMEM_PARAM_PEER_GROUP),
		      "devices cannot be peers on this machine\n");
}

static void close_devices(void)
{
	int i;

	for (i = 0; i < DEVICES; i++) {
		igt_assert_eq_u64(igt_devmem_violations(dev[i].fd), 0);
		igt_devmem_fini(&dev[i]);
		close(dev[i].fd);
	}
}

static const struct {
	const char *name;
	const char *describe;
	unsigned int group;
	void (*test)(void);
} tests[] = {
	{ "groups", "Groups are as the parameter says", MIXED, test_groups },
	{ "invalid", "Errors are as documented", MIXED, test_invalid },
	{ "query", "The preferred device can be asked for", PEERS, test_query },
	{ "in-place-peers", "Peers share memory where it is", PEERS, test_in_place },
	{ "in-place-strangers", "Strangers share system memory", STRANGERS, test_in_place },
	{ "preferred", "Faults move memory to a peer", PEERS, test_preferred },
	{ "preferred-exclusive", "An atomic gets its page from a peer", PEERS,
	  test_preferred_exclusive },
	{ "preferred-untouched", "Fresh memory of a peer is zero", PEERS,
	  test_preferred_untouched },
	{ "prefetch-preferred", "Prefetch moves memory to a peer", PEERS,
	  test_prefetch_preferred },
	{ "prefetch-each-its-own", "Prefetch moves each stretch", PEERS,
	  test_prefetch_each_its_own },
	{ "back-to-system", "Memory comes back from a peer", PEERS, test_back_to_system },
	{ "mixed-range", "A chunk is in four places", PEERS, test_mixed_range },
	{ "mixed-all", "A chunk has memory of all kinds", MIXED, test_mixed_all },
	{ "evict", "Memory of a peer is evicted", PEERS, test_evict },
	{ "cpu-fault", "The CPU takes memory of peers", PEERS, test_cpu_fault },
	{ "fork", "A write of a peer does not reach the child", PEERS, test_fork },
	{ "munmap", "Memory of a peer is unmapped", PEERS, test_munmap },
};

/* Tests for each mode and group that they can be done in */
static const struct {
	const char *name;
	const char *describe;
	bool mixed;
	bool peers_only;
	void (*test)(enum mode mode);
} products[] = {
	{ "access", "Memory migrates from one to the next", false, false, test_access },
	{ "cycle", "Memory goes around", true, false, test_cycle },
	{ "copy", "Memory of two others is copied", false, true, test_copy },
	{ "atomics", "No addition is lost", false, false, test_atomics },
	{ "conflict", "No write is lost", false, false, test_conflict },
	{ "handover", "Data comes before the flag", false, false, test_handover },
	{ "writers", "One of several writes is the last", false, false, test_writers },
};

static bool can_be(unsigned int product, enum mode mode, unsigned int size)
{
	/* Only a peer can be preferred, and a copy has its preferences already. */
	if (mode == CONTRARY && (size != PEERS || products[product].peers_only))
		return false;
	if (size == MIXED)
		return products[product].mixed;
	return size == PEERS || !products[product].peers_only;
}

static void run_product(unsigned int product)
{
	static const char * const modes[] = { "", "prefetch-", "contrary-" };
	static const char * const groups[] = {
		[STRANGERS] = "strangers", [MIXED] = "mixed", [PEERS] = "peers",
	};
	unsigned int mode, size;

	for (mode = BY_FAULT; mode <= CONTRARY; mode++) {
		for (size = STRANGERS; size <= PEERS; size++) {
			if (!can_be(product, mode, size))
				continue;
			igt_describe(products[product].describe);
			igt_subtest_f("%s-%s%s", products[product].name, modes[mode],
				      groups[size]) {
				open_devices(size, "thrash_bounces=0");
				products[product].test(mode);
				close_devices();
			}
		}
	}
}

int igt_main()
{
	unsigned int i = 0;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		igt_describe(tests[i].describe);
		igt_subtest(tests[i].name) {
			open_devices(tests[i].group, "thrash_bounces=0");
			tests[i].test();
			close_devices();
		}
	}

	for (i = 0; i < ARRAY_SIZE(products); i++)
		run_product(i);

	igt_describe("Thrash control settles a quarrel of peers");
	igt_subtest("damped") {
		open_devices(PEERS, "thrash_window_ms=20000 thrash_pin_ms=60000");
		test_damped();
		close_devices();
	}

	igt_describe("Nothing keeps the module in a circle");
	igt_subtest("unload") {
		open_devices(PEERS, "thrash_bounces=0");
		test_unload();
	}

	igt_fixture()
		igt_devmem_restore();
}
