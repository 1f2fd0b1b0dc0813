/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 devmem developers */
#ifndef _UAPI_DEVMEM_DRM_H_
#define _UAPI_DEVMEM_DRM_H_

#include "drm.h"

#if defined(__cplusplus)
extern "C" {
#endif

/**
 * DOC: devmem userspace interface
 *
 * devmem is a GPU made of software. A client opens its render node, creates a
 * VM, which mirrors the address space of the calling process, creates a queue
 * on that VM and executes batches. Every address in a batch, and the address
 * of the batch itself, is a CPU pointer of the process: there are no buffer
 * objects and nothing has to be registered. The GPU faults on what it has not
 * mapped yet, and the driver then migrates anonymous memory to the device or
 * maps system memory in place.
 *
 * Rules that hold for every ioctl:
 *
 * - Fields named ``pad`` or ``reserved`` and all undefined bits of ``flags``
 *   must be zero; else the ioctl fails with ``EINVAL``.
 * - Pointers are passed as ``__u64``. A pointer that cannot be read or written
 *   gives ``EFAULT``.
 * - A device that was removed gives ``ENODEV``.
 * - An id that does not name an object of this file gives ``ENOENT``.
 * - Addresses and sizes are in bytes unless said otherwise.
 */

#define DRM_DEVMEM_GET_PARAM		0x00
#define DRM_DEVMEM_VM_CREATE		0x01
#define DRM_DEVMEM_VM_DESTROY		0x02
#define DRM_DEVMEM_QUEUE_CREATE		0x03
#define DRM_DEVMEM_QUEUE_DESTROY	0x04
#define DRM_DEVMEM_QUEUE_QUERY		0x05
#define DRM_DEVMEM_EXEC			0x06
#define DRM_DEVMEM_QUERY_RESIDENCY	0x07
#define DRM_DEVMEM_QUERY_STATS		0x08
#define DRM_DEVMEM_PREFETCH		0x09
#define DRM_DEVMEM_MADVISE		0x0a
#define DRM_DEVMEM_QUERY_ATTRS		0x0b
#define DRM_DEVMEM_QUERY_FAULTS		0x0c

/**
 * enum drm_devmem_param - what &struct drm_devmem_get_param can ask for
 */
enum drm_devmem_param {
	/** @DRM_DEVMEM_PARAM_VRAM_SIZE: device memory, in bytes. */
	DRM_DEVMEM_PARAM_VRAM_SIZE = 0,
	/** @DRM_DEVMEM_PARAM_VRAM_FREE: device memory not allocated now, in bytes. */
	DRM_DEVMEM_PARAM_VRAM_FREE = 1,
	/**
	 * @DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY: 1 if memory can migrate to the
	 * device, 0 if registering device-private memory failed and all memory
	 * is used in place.
	 */
	DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY = 2,
	/** @DRM_DEVMEM_PARAM_VA_BITS: significant bits of a GPU virtual address. */
	DRM_DEVMEM_PARAM_VA_BITS = 3,
	/** @DRM_DEVMEM_PARAM_CHUNK_SIZES: mask of migration sizes, in bytes. */
	DRM_DEVMEM_PARAM_CHUNK_SIZES = 4,
	/** @DRM_DEVMEM_PARAM_MAX_QUEUES: queues of the whole device. */
	DRM_DEVMEM_PARAM_MAX_QUEUES = 5,
	/** @DRM_DEVMEM_PARAM_JOB_TIMEOUT_MS: a batch that runs longer is reset. */
	DRM_DEVMEM_PARAM_JOB_TIMEOUT_MS = 6,
	/**
	 * @DRM_DEVMEM_PARAM_PEER_GROUP: devices with the same number are peers:
	 * they use each other's memory in place.
	 */
	DRM_DEVMEM_PARAM_PEER_GROUP = 7,
};

/**
 * struct drm_devmem_get_param - read a property of the device
 *
 * Errors: ``EINVAL`` for an unknown @param.
 */
struct drm_devmem_get_param {
	/** @param: in, one of &enum drm_devmem_param. */
	__u32 param;
	/** @pad: must be zero. */
	__u32 pad;
	/** @value: out. */
	__u64 value;
};

/**
 * DRM_DEVMEM_VM_NO_MIGRATE - map all memory in place
 *
 * Memory that the GPU touches stays where it is; nothing migrates to the device.
 */
#define DRM_DEVMEM_VM_NO_MIGRATE	(1 << 0)
/**
 * DRM_DEVMEM_VM_BAN_ON_FAULT - stop at the first fault that fails
 *
 * After an access that the process may not make nothing of the VM goes on: all
 * its batches fail, those that run at their next access to memory, and it takes
 * no more work.
 */
#define DRM_DEVMEM_VM_BAN_ON_FAULT	(1 << 1)

/**
 * struct drm_devmem_vm_create - mirror the caller's address space on the GPU
 *
 * The VM belongs to the calling process: GPU accesses go to the memory that
 * process has, also when the file is used from elsewhere, and fail once it has
 * exited. A child made by fork() needs a VM of its own.
 *
 * A file can have half of what the device has.
 *
 * Errors: ``EMFILE`` when the file has that many; ``ENOSPC`` when the device is
 * out of VM ids or of memory for a page table; ``EBUSY`` while 32 VMs that the
 * process has destroyed live on, since a fault or a prefetch is stuck; ``ENOMEM``.
 */
struct drm_devmem_vm_create {
	/** @flags: in, ``DRM_DEVMEM_VM_*``. */
	__u32 flags;
	/** @vm_id: out, greater than zero. */
	__u32 vm_id;
};

/**
 * struct drm_devmem_vm_destroy - end a VM
 *
 * Errors: ``ENOENT``; ``EBUSY`` while queues of the VM exist.
 */
struct drm_devmem_vm_destroy {
	/** @vm_id: in. */
	__u32 vm_id;
	/** @pad: must be zero. */
	__u32 pad;
};

/**
 * struct drm_devmem_queue_create - create a queue on a VM
 *
 * Batches of one queue run one after the other; queues run in parallel. A file
 * can have half of ``DRM_DEVMEM_PARAM_MAX_QUEUES``.
 *
 * Errors: ``ENOENT``; ``EMFILE`` when the file has that many; ``ENOSPC`` when the
 * device is out of queues or of memory for a ring; ``EBUSY`` while faults of 64
 * queues that the process has destroyed are still being served; ``ECANCELED`` for
 * a banned VM; ``ENOMEM``.
 */
struct drm_devmem_queue_create {
	/** @vm_id: in. */
	__u32 vm_id;
	/** @flags: in, must be zero. */
	__u32 flags;
	/** @queue_id: out, greater than zero. */
	__u32 queue_id;
	/** @pad: must be zero. */
	__u32 pad;
};

/**
 * struct drm_devmem_queue_destroy - end a queue
 *
 * A batch that still runs is aborted and its fences signal with an error.
 *
 * Errors: ``ENOENT``.
 */
struct drm_devmem_queue_destroy {
	/** @queue_id: in. */
	__u32 queue_id;
	/** @pad: must be zero. */
	__u32 pad;
};

/**
 * enum drm_devmem_error - why a batch ended
 */
enum drm_devmem_error {
	/** @DRM_DEVMEM_ERROR_NONE: it ended well. */
	DRM_DEVMEM_ERROR_NONE = 0,
	/** @DRM_DEVMEM_ERROR_FAULT: an access that the process may not make. */
	DRM_DEVMEM_ERROR_FAULT = 1,
	/** @DRM_DEVMEM_ERROR_COMMAND: a command that does not exist or is malformed. */
	DRM_DEVMEM_ERROR_COMMAND = 2,
	/** @DRM_DEVMEM_ERROR_ALIGNMENT: an atomic, branch or batch address out of line. */
	DRM_DEVMEM_ERROR_ALIGNMENT = 3,
	/** @DRM_DEVMEM_ERROR_BUS: the device could not reach memory it had mapped. */
	DRM_DEVMEM_ERROR_BUS = 4,
	/** @DRM_DEVMEM_ERROR_TIMEOUT: it ran too long and was reset. */
	DRM_DEVMEM_ERROR_TIMEOUT = 5,
	/**
	 * @DRM_DEVMEM_ERROR_ABORTED: its queue was destroyed or reset. It is not
	 * to blame, so &struct drm_devmem_queue_query does not count it.
	 */
	DRM_DEVMEM_ERROR_ABORTED = 6,
};

/**
 * enum drm_devmem_access - what an access wanted to do
 */
enum drm_devmem_access {
	/** @DRM_DEVMEM_ACCESS_READ: load data. */
	DRM_DEVMEM_ACCESS_READ = 0,
	/** @DRM_DEVMEM_ACCESS_WRITE: store data. */
	DRM_DEVMEM_ACCESS_WRITE = 1,
	/** @DRM_DEVMEM_ACCESS_ATOMIC: read, modify and write as one. */
	DRM_DEVMEM_ACCESS_ATOMIC = 2,
	/** @DRM_DEVMEM_ACCESS_FETCH: fetch a command. */
	DRM_DEVMEM_ACCESS_FETCH = 3,
};

/** DRM_DEVMEM_QUEUE_BANNED - a batch of the queue hung; it takes no more work. */
#define DRM_DEVMEM_QUEUE_BANNED		(1 << 0)
/** DRM_DEVMEM_QUEUE_IDLE - all batches submitted so far have ended. */
#define DRM_DEVMEM_QUEUE_IDLE		(1 << 1)

/**
 * struct drm_devmem_queue_query - state of a queue and its latest error
 *
 * A syncobj tells that a batch ended, this tells how. The error stays until
 * the next batch fails.
 *
 * Errors: ``ENOENT``.
 */
struct drm_devmem_queue_query {
	/** @queue_id: in. */
	__u32 queue_id;
	/** @flags: out, ``DRM_DEVMEM_QUEUE_*``. */
	__u32 flags;
	/** @errors: out, how many batches have failed. */
	__u32 errors;
	/** @error: out, &enum drm_devmem_error of the latest that failed. */
	__u32 error;
	/** @access: out, &enum drm_devmem_access of a FAULT or BUS error. */
	__u32 access;
	/** @pad: must be zero. */
	__u32 pad;
	/** @fault_addr: out, virtual address of a FAULT, BUS or ALIGNMENT error. */
	__u64 fault_addr;
	/** @command_addr: out, virtual address of the command that failed. */
	__u64 command_addr;
};

/**
 * enum drm_devmem_sync_type - kinds of &struct drm_devmem_sync
 */
enum drm_devmem_sync_type {
	/** @DRM_DEVMEM_SYNC_SYNCOBJ: a binary syncobj. */
	DRM_DEVMEM_SYNC_SYNCOBJ = 0,
	/** @DRM_DEVMEM_SYNC_TIMELINE_SYNCOBJ: a point of a timeline syncobj. */
	DRM_DEVMEM_SYNC_TIMELINE_SYNCOBJ = 1,
	/**
	 * @DRM_DEVMEM_SYNC_USER_FENCE: eight bytes of memory that the GPU
	 * writes after the batch ended well. Only to signal.
	 */
	DRM_DEVMEM_SYNC_USER_FENCE = 2,
};

/** DRM_DEVMEM_SYNC_SIGNAL - signal when the batch has ended; else wait before it starts. */
#define DRM_DEVMEM_SYNC_SIGNAL		(1 << 0)

/**
 * struct drm_devmem_sync - something to wait for or to signal
 */
struct drm_devmem_sync {
	/** @type: &enum drm_devmem_sync_type. */
	__u32 type;
	/** @flags: ``DRM_DEVMEM_SYNC_SIGNAL`` or zero. */
	__u32 flags;
	/** @handle: syncobj handle; zero for a user fence. */
	__u32 handle;
	/** @pad: must be zero. */
	__u32 pad;
	/** @addr: user fence: virtual address, not zero, aligned to eight bytes; else zero. */
	__u64 addr;
	/** @value: timeline: the point, not zero; user fence: the value; binary: zero. */
	__u64 value;
};

/** DRM_DEVMEM_MAX_SYNCS - how many &struct drm_devmem_sync one ioctl takes. */
#define DRM_DEVMEM_MAX_SYNCS		64

/**
 * struct drm_devmem_exec - execute a batch
 *
 * The batch is an array of &struct drm_devmem_cmd that ends with
 * ``DRM_DEVMEM_CMD_END``. It is read while it executes, so it must stay
 * unchanged until then. At most one of the syncs may be a user fence.
 *
 * Errors: ``ENOENT`` for the queue or a syncobj handle; ``EINVAL`` for a batch
 * address that is not aligned to 32 bytes or beyond the address space, too many
 * syncs, or a sync that is out of order with its description; ``EINVAL`` also
 * for a syncobj to wait for that has no fence; ``ECANCELED`` for a banned
 * queue or VM; ``ENOMEM``.
 */
struct drm_devmem_exec {
	/** @queue_id: in. */
	__u32 queue_id;
	/** @flags: in, must be zero. */
	__u32 flags;
	/** @batch_addr: in, virtual address of the first command. */
	__u64 batch_addr;
	/** @syncs: in, pointer to an array of &struct drm_devmem_sync. */
	__u64 syncs;
	/** @num_syncs: in, entries of @syncs, ``DRM_DEVMEM_MAX_SYNCS`` at most. */
	__u32 num_syncs;
	/** @pad: must be zero. */
	__u32 pad;
};

/**
 * enum drm_devmem_location - where memory is, low bits of a residency byte
 */
enum drm_devmem_location {
	/**
	 * @DRM_DEVMEM_LOCATION_NONE: not mapped by the process, not populated,
	 * swapped out, on the way, or on a device that is not a peer.
	 */
	DRM_DEVMEM_LOCATION_NONE = 0,
	/** @DRM_DEVMEM_LOCATION_SYSTEM: in system memory. */
	DRM_DEVMEM_LOCATION_SYSTEM = 1,
	/** @DRM_DEVMEM_LOCATION_DEVICE: in the memory of this device. */
	DRM_DEVMEM_LOCATION_DEVICE = 2,
	/** @DRM_DEVMEM_LOCATION_PEER: in the memory of a peer of this device. */
	DRM_DEVMEM_LOCATION_PEER = 3,
};

/** DRM_DEVMEM_RESIDENCY_LOCATION - mask of &enum drm_devmem_location. */
#define DRM_DEVMEM_RESIDENCY_LOCATION	0x07
/** DRM_DEVMEM_RESIDENCY_CPU_WRITE - the CPU page table lets the process write. */
#define DRM_DEVMEM_RESIDENCY_CPU_WRITE	(1 << 3)
/** DRM_DEVMEM_RESIDENCY_GPU_MAPPED - the GPU has a translation. */
#define DRM_DEVMEM_RESIDENCY_GPU_MAPPED	(1 << 4)
/** DRM_DEVMEM_RESIDENCY_GPU_WRITE - that translation lets the GPU write. */
#define DRM_DEVMEM_RESIDENCY_GPU_WRITE	(1 << 5)
/** DRM_DEVMEM_RESIDENCY_LARGE - the CPU maps the page as part of a huge one. */
#define DRM_DEVMEM_RESIDENCY_LARGE	(1 << 6)

/**
 * struct drm_devmem_query_residency - where each page of a range is
 *
 * Nothing is faulted in or moved. The answer can be out of date when the ioctl
 * returns.
 *
 * Errors: ``ENOENT``; ``EINVAL`` for an address or length that is not a
 * multiple of the page size, a length of zero, or a range beyond the address
 * space; ``E2BIG`` for a length of more than 1 GiB; ``ESRCH`` when the process
 * of the VM has exited; ``EBUSY`` when the range kept changing; ``ENOMEM``.
 */
struct drm_devmem_query_residency {
	/** @vm_id: in. */
	__u32 vm_id;
	/** @flags: in, must be zero. */
	__u32 flags;
	/** @addr: in, start of the range. */
	__u64 addr;
	/** @length: in. */
	__u64 length;
	/**
	 * @data: in, pointer to one byte for each page of the range; see
	 * ``DRM_DEVMEM_RESIDENCY_*``.
	 */
	__u64 data;
};

/**
 * struct drm_devmem_stats - what happened on a VM so far
 *
 * The structure can grow at its end; see &struct drm_devmem_query_stats.
 */
struct drm_devmem_stats {
	/** @gpu_faults: faults that the GPU raised. */
	__u64 gpu_faults;
	/** @gpu_faults_spurious: of these, found already served. */
	__u64 gpu_faults_spurious;
	/** @gpu_faults_failed: of these, answered with an error. */
	__u64 gpu_faults_failed;
	/** @cpu_faults: CPU accesses that brought memory back. */
	__u64 cpu_faults;
	/** @to_device_bytes: bytes migrated to the device. */
	__u64 to_device_bytes;
	/** @to_device_count: migrations to the device. */
	__u64 to_device_count;
	/** @to_device_failed: migrations to the device that could not be done. */
	__u64 to_device_failed;
	/**
	 * @to_system_bytes: bytes migrated to system memory, by CPU faults or
	 * because somebody asked for it.
	 */
	__u64 to_system_bytes;
	/** @evicted_bytes: bytes migrated to system memory to make room. */
	__u64 evicted_bytes;
	/** @evicted_count: allocations that were evicted. */
	__u64 evicted_count;
	/** @invalidations: GPU mappings taken away because the CPU side changed. */
	__u64 invalidations;
	/** @fault_ns: nanoseconds spent serving GPU faults. */
	__u64 fault_ns;
	/** @bounces: ranges that the GPU wanted back after the CPU had taken them. */
	__u64 bounces;
	/** @pins: ranges kept in system memory for a time since they bounced too often. */
	__u64 pins;
	/**
	 * @gpu_faults_merged: of @gpu_faults, answered along with the fault of
	 * another queue on the same 2 MiB that was being served already.
	 */
	__u64 gpu_faults_merged;
	/** @to_peer_bytes: bytes migrated from this device to another one. */
	__u64 to_peer_bytes;
	/**
	 * @promotions: ranges that the GPU had used in system memory for some time
	 * and that were made to leave it.
	 */
	__u64 promotions;
	/** @access_scans: how often it was looked up what the GPU uses. */
	__u64 access_scans;
};

/**
 * struct drm_devmem_query_stats - read the statistics of a VM
 *
 * As many bytes are written as both sides know; @size returns how many the
 * kernel has.
 *
 * Errors: ``ENOENT``; ``EINVAL`` for a @size of zero.
 */
struct drm_devmem_query_stats {
	/** @vm_id: in. */
	__u32 vm_id;
	/** @size: in, size of the memory at @data; out, of the kernel's structure. */
	__u32 size;
	/** @data: in, pointer to &struct drm_devmem_stats. */
	__u64 data;
};

/**
 * DRM_DEVMEM_PREFETCH_WRITE - the GPU is going to write
 *
 * Gives the GPU translations for writing, where the process may write. Without
 * it the first write to each chunk costs a fault, but memory that is shared
 * after fork() stays shared. Only for the way to the device.
 */
#define DRM_DEVMEM_PREFETCH_WRITE	(1 << 0)
/**
 * DRM_DEVMEM_PREFETCH_PREFERRED - to where the memory is preferred
 *
 * Each page moves to where its attribute ``DRM_DEVMEM_ATTR_PREFERRED`` says: to
 * this device by default, to system memory, or to another device. The location
 * has to be ``DRM_DEVMEM_LOCATION_NONE``.
 */
#define DRM_DEVMEM_PREFETCH_PREFERRED	(1 << 1)

/**
 * struct drm_devmem_prefetch_result - what came of a prefetch
 *
 * Written before the syncobjs of the prefetch signal. Its address has to be a
 * multiple of its size.
 */
struct drm_devmem_prefetch_result {
	/** @bytes: how much of the range was seen at the location asked for. */
	__u64 bytes;
	/**
	 * @error: 0 when the whole range was gone through, else an errno:
	 * ``ETIME`` (time was up), ``ESRCH`` (the process of the VM has exited),
	 * ``ECANCELED`` (the VM was destroyed or banned), ``ENOSPC`` (device memory
	 * is full of what can't be evicted), ``ENOMEM``, ``ENODEV``.
	 */
	__u32 error;
	/** @done: 1; written last. */
	__u32 done;
};

/**
 * struct drm_devmem_prefetch - move memory before somebody faults on it
 *
 * Returns at once. When all syncs to wait for have signalled, each page of the
 * range that the process has mapped moves to @location, as far as that can be
 * done, and on the device the GPU gets translations, also for what stays where it
 * is. Nothing of it is an error: @result tells how far it came. A prefetch ends a
 * second after ``DRM_DEVMEM_PARAM_JOB_TIMEOUT_MS`` at the latest, counted from when the
 * syncs have signalled, and its own syncs signal then, with an error if
 * &drm_devmem_prefetch_result.error is one. Prefetches are not ordered among each
 * other or with batches, other than by syncs.
 *
 * Memory that nobody has touched is given to the device cleared; on the way back
 * it stays untouched, and what was swapped out stays there.
 *
 * Errors: ``ENOENT`` for the VM or a syncobj handle; ``EINVAL`` for an unknown
 * @location, one together with ``DRM_DEVMEM_PREFETCH_PREFERRED``,
 * ``DRM_DEVMEM_PREFETCH_WRITE`` on the way back, an address or length
 * that is not a multiple of the page size, a length of zero, a range beyond the
 * address space, a @result out of line, too many syncs, a sync that is out of
 * order with its description, a user fence, and a syncobj to wait for that has no
 * fence; ``EFAULT`` for a @result that cannot be written or not be pinned for
 * long, as in most mapped files; ``EBUSY`` while 64 prefetches of the VM or 96 of the
 * process have not ended; ``ECANCELED`` for a banned VM; ``ENOMEM``.
 */
struct drm_devmem_prefetch {
	/** @vm_id: in. */
	__u32 vm_id;
	/** @flags: in, ``DRM_DEVMEM_PREFETCH_*``. */
	__u32 flags;
	/** @addr: in, start of the range. */
	__u64 addr;
	/** @length: in. */
	__u64 length;
	/**
	 * @location: in, ``DRM_DEVMEM_LOCATION_SYSTEM`` or ``_DEVICE``; with
	 * ``DRM_DEVMEM_PREFETCH_PREFERRED`` ``_NONE``.
	 */
	__u32 location;
	/** @num_syncs: in, entries of @syncs, ``DRM_DEVMEM_MAX_SYNCS`` at most. */
	__u32 num_syncs;
	/** @syncs: in, pointer to an array of &struct drm_devmem_sync. */
	__u64 syncs;
	/**
	 * @result: in, pointer to &struct drm_devmem_prefetch_result of the
	 * caller, or zero.
	 */
	__u64 result;
};

/**
 * enum drm_devmem_attr - attributes of memory
 */
enum drm_devmem_attr {
	/** @DRM_DEVMEM_ATTR_PREFERRED: value is &enum drm_devmem_preferred. */
	DRM_DEVMEM_ATTR_PREFERRED = 0,
	/** @DRM_DEVMEM_ATTR_MIGRATION: value is &enum drm_devmem_migration. */
	DRM_DEVMEM_ATTR_MIGRATION = 1,
	/** @DRM_DEVMEM_ATTR_ATOMIC: value is &enum drm_devmem_atomic_policy. */
	DRM_DEVMEM_ATTR_ATOMIC = 2,
	/** @DRM_DEVMEM_ATTR_RESET: all back to the default; value is zero. */
	DRM_DEVMEM_ATTR_RESET = 3,
};

/**
 * enum drm_devmem_preferred - where a fault of the GPU moves memory
 */
enum drm_devmem_preferred {
	/** @DRM_DEVMEM_PREFERRED_DEFAULT: to the device. */
	DRM_DEVMEM_PREFERRED_DEFAULT = 0,
	/**
	 * @DRM_DEVMEM_PREFERRED_SYSTEM: to system memory, or it stays there, and
	 * the GPU uses it from there.
	 */
	DRM_DEVMEM_PREFERRED_SYSTEM = 1,
	/**
	 * @DRM_DEVMEM_PREFERRED_DEVICE: to the device, also when the CPU uses it
	 * in turn with the GPU.
	 */
	DRM_DEVMEM_PREFERRED_DEVICE = 2,
	/**
	 * @DRM_DEVMEM_PREFERRED_FD: to the device of the open file
	 * &drm_devmem_madvise.device_fd, a peer, and this GPU uses it from there.
	 * The file may be closed afterwards. The same as DEVICE if it is a file of
	 * this device.
	 */
	DRM_DEVMEM_PREFERRED_FD = 3,
};

/**
 * enum drm_devmem_migration - when the driver moves memory for the GPU
 */
enum drm_devmem_migration {
	/** @DRM_DEVMEM_MIGRATION_ON_FAULT: when the GPU faults on it, or by prefetch. */
	DRM_DEVMEM_MIGRATION_ON_FAULT = 0,
	/** @DRM_DEVMEM_MIGRATION_ON_PREFETCH: by prefetch only. */
	DRM_DEVMEM_MIGRATION_ON_PREFETCH = 1,
	/**
	 * @DRM_DEVMEM_MIGRATION_NEVER: not to the device, also not by prefetch.
	 * What is there comes back when the CPU touches it or by prefetch.
	 */
	DRM_DEVMEM_MIGRATION_NEVER = 2,
};

/**
 * enum drm_devmem_atomic_policy - who may execute atomics
 *
 * All atomics of this GPU are atomic against the CPU and other queues, wherever
 * the memory is. Other devices are not so good, hence the choice.
 */
enum drm_devmem_atomic_policy {
	/** @DRM_DEVMEM_ATOMIC_DEFAULT: CPU and GPU, wherever the memory is. */
	DRM_DEVMEM_ATOMIC_DEFAULT = 0,
	/** @DRM_DEVMEM_ATOMIC_GLOBAL: the same, and said so. */
	DRM_DEVMEM_ATOMIC_GLOBAL = 1,
	/**
	 * @DRM_DEVMEM_ATOMIC_DEVICE: the GPU, in device memory: an atomic of the
	 * GPU moves the memory there, whatever the migration policy but NEVER
	 * says, and is an error where that can't be done.
	 */
	DRM_DEVMEM_ATOMIC_DEVICE = 2,
	/** @DRM_DEVMEM_ATOMIC_CPU: the CPU; an atomic of the GPU is an error. */
	DRM_DEVMEM_ATOMIC_CPU = 3,
	/**
	 * @DRM_DEVMEM_ATOMIC_EXCLUSIVE: the GPU, alone: before an atomic in system
	 * memory the CPU loses the page, and the GPU does when the CPU wants it back.
	 * An error where that can't be done, in memory that is not anonymous.
	 */
	DRM_DEVMEM_ATOMIC_EXCLUSIVE = 4,
};

/**
 * struct drm_devmem_madvise - set an attribute of a range
 *
 * Attributes are kept by VM and address, for as long as the process keeps the
 * mapping: what is unmapped or moved away by mremap() loses them. They tell what
 * happens at the next fault or prefetch; the call itself moves nothing, but makes
 * the GPU fault again on the range.
 *
 * Errors: ``ENOENT``; ``EINVAL`` for an unknown @attr or @value, an address or
 * length that is not a multiple of the page size, a length of zero, or a range
 * beyond the address space; ``EFAULT`` when the process has not mapped all of the
 * range; ``ESRCH`` when it has exited; ``ENOMEM``, and ``ENOSPC`` when the VM has
 * 65536 stretches of memory with attributes, after which the attribute may be set
 * in part of the range. For a @device_fd: ``EBADF`` when it is not open;
 * ``EINVAL`` when it is not of this driver, or given although @value does not want
 * it; ``ENODEV`` when its device was removed; ``ENOLINK`` when that is not a peer or
 * has no device memory; ``ENOSPC`` when the VM has named 255 devices already.
 */
struct drm_devmem_madvise {
	/** @vm_id: in. */
	__u32 vm_id;
	/** @flags: in, must be zero. */
	__u32 flags;
	/** @addr: in, start of the range. */
	__u64 addr;
	/** @length: in. */
	__u64 length;
	/** @attr: in, &enum drm_devmem_attr. */
	__u32 attr;
	/** @value: in, as @attr says. */
	__u32 value;
	/** @device_fd: in, open file of a device, for ``DRM_DEVMEM_PREFERRED_FD``. */
	__s32 device_fd;
	/** @reserved: must be zero. */
	__u32 reserved;
};

/**
 * struct drm_devmem_attrs - a stretch of memory with equal attributes
 */
struct drm_devmem_attrs {
	/** @start: first address. */
	__u64 start;
	/** @end: end, exclusive. */
	__u64 end;
	/** @preferred: &enum drm_devmem_preferred. */
	__u32 preferred;
	/** @migration: &enum drm_devmem_migration. */
	__u32 migration;
	/** @atomic: &enum drm_devmem_atomic_policy. */
	__u32 atomic;
	/**
	 * @device: for ``DRM_DEVMEM_PREFERRED_FD``, minor of the render node of that
	 * device: 129 for ``/dev/dri/renderD129``; else zero.
	 */
	__u32 device;
};

/**
 * struct drm_devmem_query_attrs - read the attributes of a range
 *
 * Stretches come in the order of their addresses, cut to the range. Those with
 * the default are left out. When there are more than there is room for, the first
 * ones are written, and @num says how many there are.
 *
 * Errors: ``ENOENT``; ``EINVAL`` for an address or length that is not a multiple
 * of the page size, a length of zero, or a range beyond the address space.
 */
struct drm_devmem_query_attrs {
	/** @vm_id: in. */
	__u32 vm_id;
	/** @flags: in, must be zero. */
	__u32 flags;
	/** @addr: in, start of the range. */
	__u64 addr;
	/** @length: in. */
	__u64 length;
	/** @num: in, entries that @data has room for; out, how many there are. */
	__u32 num;
	/** @pad: must be zero. */
	__u32 pad;
	/** @data: in, pointer to an array of &struct drm_devmem_attrs. */
	__u64 data;
};

/**
 * enum drm_devmem_fault_reason - why a fault of the GPU failed
 */
enum drm_devmem_fault_reason {
	/** @DRM_DEVMEM_FAULT_NOT_MAPPED: the process has nothing mapped there. */
	DRM_DEVMEM_FAULT_NOT_MAPPED = 1,
	/** @DRM_DEVMEM_FAULT_READ_ONLY: a write to memory that can only be read. */
	DRM_DEVMEM_FAULT_READ_ONLY = 2,
	/**
	 * @DRM_DEVMEM_FAULT_NO_ACCESS: the process could not access it either: no
	 * right, beyond the end of a file, poisoned, outside of the address space;
	 * or the process has exited, or it is memory of memfd_secret().
	 */
	DRM_DEVMEM_FAULT_NO_ACCESS = 3,
	/**
	 * @DRM_DEVMEM_FAULT_NOT_MEMORY: a mapping of a device's registers or the like, or
	 * memory of a device that this one can't reach.
	 */
	DRM_DEVMEM_FAULT_NOT_MEMORY = 4,
	/** @DRM_DEVMEM_FAULT_ATOMIC_POLICY: an atomic that an attribute rules out. */
	DRM_DEVMEM_FAULT_ATOMIC_POLICY = 5,
	/** @DRM_DEVMEM_FAULT_NO_MEMORY: the kernel or the device has no memory for it. */
	DRM_DEVMEM_FAULT_NO_MEMORY = 6,
	/** @DRM_DEVMEM_FAULT_BUSY: the memory kept changing. */
	DRM_DEVMEM_FAULT_BUSY = 7,
};

/** DRM_DEVMEM_MAX_FAULTS - how many failed faults a VM remembers. */
#define DRM_DEVMEM_MAX_FAULTS		32

/**
 * struct drm_devmem_fault - a fault of the GPU that failed
 */
struct drm_devmem_fault {
	/** @addr: virtual address of the access. */
	__u64 addr;
	/** @time_ns: when it was answered, by CLOCK_MONOTONIC. */
	__u64 time_ns;
	/** @queue_id: queue that made the access. */
	__u32 queue_id;
	/** @access: &enum drm_devmem_access. */
	__u32 access;
	/** @reason: &enum drm_devmem_fault_reason. */
	__u32 reason;
	/** @pad: zero. */
	__u32 pad;
};

/** DRM_DEVMEM_VM_BANNED - a fault failed, and the VM takes no more work. */
#define DRM_DEVMEM_VM_BANNED		(1 << 0)

/**
 * struct drm_devmem_query_faults - read the latest faults that failed
 *
 * The latest comes first. Those that fail because the VM is banned are left out.
 *
 * Errors: ``ENOENT``, ``ENOMEM``.
 */
struct drm_devmem_query_faults {
	/** @vm_id: in. */
	__u32 vm_id;
	/** @flags: in, must be zero. */
	__u32 flags;
	/** @total: out, how many faults of the VM have failed. */
	__u64 total;
	/** @num: in, entries that @data has room for; out, how many are remembered. */
	__u32 num;
	/** @state: out, ``DRM_DEVMEM_VM_BANNED`` or zero. */
	__u32 state;
	/** @data: in, pointer to an array of &struct drm_devmem_fault. */
	__u64 data;
};

/**
 * DOC: devmem command set
 *
 * A batch is an array of &struct drm_devmem_cmd, each 32 bytes and aligned to
 * 32 bytes. A queue has 16 registers of 64 bits, r0 to r15, which are zero when
 * a batch starts; r0 is always zero. Each operand is the sum of a register and
 * an immediate::
 *
 *     A = r[ra] + a        B = r[rb] + b        C = r[rc] + c
 *
 * so that with ra, rb and rc zero the operands are a, b and c. Addresses are
 * virtual addresses of the process. Commands execute in order; what one wrote,
 * the next one reads. @width is the size of an access in bytes: 1, 2, 4 or 8,
 * and loaded values are zero-extended. Only atomics have to be aligned.
 *
 * A malformed command (unknown op or sub, bad width, register above 15, or
 * non-zero fields that the command does not use: pad always, width, sub, rd)
 * ends the batch with ``DRM_DEVMEM_ERROR_COMMAND``.
 */

/**
 * enum drm_devmem_cmd_op - commands
 */
enum drm_devmem_cmd_op {
	/** @DRM_DEVMEM_CMD_END: the batch has ended. */
	DRM_DEVMEM_CMD_END = 0,
	/** @DRM_DEVMEM_CMD_NOP: do nothing. */
	DRM_DEVMEM_CMD_NOP = 1,
	/** @DRM_DEVMEM_CMD_STORE: memory at A = B, @width bytes. */
	DRM_DEVMEM_CMD_STORE = 2,
	/** @DRM_DEVMEM_CMD_LOAD: r[rd] = memory at A, @width bytes. */
	DRM_DEVMEM_CMD_LOAD = 3,
	/** @DRM_DEVMEM_CMD_COPY: copy C bytes from B to A; they must not overlap. */
	DRM_DEVMEM_CMD_COPY = 4,
	/** @DRM_DEVMEM_CMD_FILL: fill C bytes at A with the low @width bytes of B, repeated. */
	DRM_DEVMEM_CMD_FILL = 5,
	/**
	 * @DRM_DEVMEM_CMD_ATOMIC: r[rd] = memory at A, memory at A = result of
	 * @sub (&enum drm_devmem_cmd_atomic) with B, as one; @width 4 or 8.
	 * Atomic against the CPU and other queues.
	 */
	DRM_DEVMEM_CMD_ATOMIC = 6,
	/** @DRM_DEVMEM_CMD_WAIT: wait until (memory at A & C) @sub B; @width 4 or 8. */
	DRM_DEVMEM_CMD_WAIT = 7,
	/** @DRM_DEVMEM_CMD_ALU: r[rd] = A @sub B, see &enum drm_devmem_cmd_alu. */
	DRM_DEVMEM_CMD_ALU = 8,
	/**
	 * @DRM_DEVMEM_CMD_BRANCH: if A @sub B, go on C bytes from this command,
	 * forwards or backwards; C is a multiple of 32.
	 */
	DRM_DEVMEM_CMD_BRANCH = 9,
};

/**
 * enum drm_devmem_cmd_atomic - sub of ``DRM_DEVMEM_CMD_ATOMIC``
 */
enum drm_devmem_cmd_atomic {
	/** @DRM_DEVMEM_ATOMIC_ADD: old + B. */
	DRM_DEVMEM_ATOMIC_ADD = 0,
	/** @DRM_DEVMEM_ATOMIC_AND: old & B. */
	DRM_DEVMEM_ATOMIC_AND = 1,
	/** @DRM_DEVMEM_ATOMIC_OR: old | B. */
	DRM_DEVMEM_ATOMIC_OR = 2,
	/** @DRM_DEVMEM_ATOMIC_XOR: old ^ B. */
	DRM_DEVMEM_ATOMIC_XOR = 3,
	/** @DRM_DEVMEM_ATOMIC_XCHG: B. */
	DRM_DEVMEM_ATOMIC_XCHG = 4,
	/** @DRM_DEVMEM_ATOMIC_CMPXCHG: B if old is C, else old. */
	DRM_DEVMEM_ATOMIC_CMPXCHG = 5,
};

/**
 * enum drm_devmem_cmd_compare - sub of ``DRM_DEVMEM_CMD_WAIT`` and ``_BRANCH``
 *
 * All comparisons are unsigned.
 */
enum drm_devmem_cmd_compare {
	/** @DRM_DEVMEM_COMPARE_ALWAYS: true. */
	DRM_DEVMEM_COMPARE_ALWAYS = 0,
	/** @DRM_DEVMEM_COMPARE_EQ: equal. */
	DRM_DEVMEM_COMPARE_EQ = 1,
	/** @DRM_DEVMEM_COMPARE_NE: not equal. */
	DRM_DEVMEM_COMPARE_NE = 2,
	/** @DRM_DEVMEM_COMPARE_LT: less than. */
	DRM_DEVMEM_COMPARE_LT = 3,
	/** @DRM_DEVMEM_COMPARE_GE: greater than or equal. */
	DRM_DEVMEM_COMPARE_GE = 4,
};

/**
 * enum drm_devmem_cmd_alu - sub of ``DRM_DEVMEM_CMD_ALU``
 */
enum drm_devmem_cmd_alu {
	/** @DRM_DEVMEM_ALU_ADD: A + B. */
	DRM_DEVMEM_ALU_ADD = 0,
	/** @DRM_DEVMEM_ALU_SUB: A - B. */
	DRM_DEVMEM_ALU_SUB = 1,
	/** @DRM_DEVMEM_ALU_MUL: A * B. */
	DRM_DEVMEM_ALU_MUL = 2,
	/** @DRM_DEVMEM_ALU_AND: A & B. */
	DRM_DEVMEM_ALU_AND = 3,
	/** @DRM_DEVMEM_ALU_OR: A | B. */
	DRM_DEVMEM_ALU_OR = 4,
	/** @DRM_DEVMEM_ALU_XOR: A ^ B. */
	DRM_DEVMEM_ALU_XOR = 5,
	/** @DRM_DEVMEM_ALU_SHL: A << (B & 63). */
	DRM_DEVMEM_ALU_SHL = 6,
	/** @DRM_DEVMEM_ALU_SHR: A >> (B & 63). */
	DRM_DEVMEM_ALU_SHR = 7,
};

/** DRM_DEVMEM_CMD_SIZE - bytes of a command, and its alignment. */
#define DRM_DEVMEM_CMD_SIZE		32
/** DRM_DEVMEM_NUM_REGS - registers of a queue. */
#define DRM_DEVMEM_NUM_REGS		16

/**
 * struct drm_devmem_cmd - a command of a batch
 */
struct drm_devmem_cmd {
	/** @op: &enum drm_devmem_cmd_op. */
	__u8 op;
	/** @sub: variant of the command, zero if it has none. */
	__u8 sub;
	/** @width: bytes of the access, zero if it has none. */
	__u8 width;
	/** @rd: register for the result; r0 drops it. */
	__u8 rd;
	/** @ra: register added to @a. */
	__u8 ra;
	/** @rb: register added to @b. */
	__u8 rb;
	/** @rc: register added to @c. */
	__u8 rc;
	/** @pad: must be zero. */
	__u8 pad;
	/** @a: first operand. */
	__u64 a;
	/** @b: second operand. */
	__u64 b;
	/** @c: third operand. */
	__u64 c;
};

#define DRM_IOCTL_DEVMEM_GET_PARAM \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DEVMEM_GET_PARAM, struct drm_devmem_get_param)
#define DRM_IOCTL_DEVMEM_VM_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DEVMEM_VM_CREATE, struct drm_devmem_vm_create)
#define DRM_IOCTL_DEVMEM_VM_DESTROY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_DEVMEM_VM_DESTROY, struct drm_devmem_vm_destroy)
#define DRM_IOCTL_DEVMEM_QUEUE_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DEVMEM_QUEUE_CREATE, struct drm_devmem_queue_create)
#define DRM_IOCTL_DEVMEM_QUEUE_DESTROY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_DEVMEM_QUEUE_DESTROY, struct drm_devmem_queue_destroy)
#define DRM_IOCTL_DEVMEM_QUEUE_QUERY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DEVMEM_QUEUE_QUERY, struct drm_devmem_queue_query)
#define DRM_IOCTL_DEVMEM_EXEC \
	DRM_IOW(DRM_COMMAND_BASE + DRM_DEVMEM_EXEC, struct drm_devmem_exec)
#define DRM_IOCTL_DEVMEM_QUERY_RESIDENCY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_DEVMEM_QUERY_RESIDENCY, struct drm_devmem_query_residency)
#define DRM_IOCTL_DEVMEM_QUERY_STATS \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DEVMEM_QUERY_STATS, struct drm_devmem_query_stats)
#define DRM_IOCTL_DEVMEM_PREFETCH \
	DRM_IOW(DRM_COMMAND_BASE + DRM_DEVMEM_PREFETCH, struct drm_devmem_prefetch)
#define DRM_IOCTL_DEVMEM_MADVISE \
	DRM_IOW(DRM_COMMAND_BASE + DRM_DEVMEM_MADVISE, struct drm_devmem_madvise)
#define DRM_IOCTL_DEVMEM_QUERY_ATTRS \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DEVMEM_QUERY_ATTRS, struct drm_devmem_query_attrs)
#define DRM_IOCTL_DEVMEM_QUERY_FAULTS \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DEVMEM_QUERY_FAULTS, struct drm_devmem_query_faults)

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_DEVMEM_DRM_H_ */
