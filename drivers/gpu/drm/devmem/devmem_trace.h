/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM devmem

#if !defined(_DEVMEM_TRACE_H_) || defined(TRACE_HEADER_MULTI_READ)
#define _DEVMEM_TRACE_H_

#include <linux/mmu_notifier.h>
#include <linux/tracepoint.h>

#include "devmem_vram.h"
#include "gpu/gpu_regs.h"

TRACE_DEFINE_ENUM(DEVMEM_TRIGGER_GPU_FAULT);
TRACE_DEFINE_ENUM(DEVMEM_TRIGGER_CPU_FAULT);
TRACE_DEFINE_ENUM(DEVMEM_TRIGGER_PREFETCH);
TRACE_DEFINE_ENUM(DEVMEM_TRIGGER_EVICTION);
TRACE_DEFINE_ENUM(DEVMEM_TRIGGER_PEER);
TRACE_DEFINE_ENUM(MMU_NOTIFY_UNMAP);
TRACE_DEFINE_ENUM(MMU_NOTIFY_CLEAR);
TRACE_DEFINE_ENUM(MMU_NOTIFY_PROTECTION_VMA);
TRACE_DEFINE_ENUM(MMU_NOTIFY_PROTECTION_PAGE);
TRACE_DEFINE_ENUM(MMU_NOTIFY_SOFT_DIRTY);
TRACE_DEFINE_ENUM(MMU_NOTIFY_RELEASE);
TRACE_DEFINE_ENUM(MMU_NOTIFY_MIGRATE);
TRACE_DEFINE_ENUM(MMU_NOTIFY_EXCLUSIVE);

#define devmem_trace_access(access) \
	__print_symbolic(access, \
			 { GPU_ACCESS_READ, "read" }, \
			 { GPU_ACCESS_WRITE, "write" }, \
			 { GPU_ACCESS_ATOMIC, "atomic" }, \
			 { GPU_ACCESS_FETCH, "fetch" })

#define devmem_trace_trigger(trigger) \
	__print_symbolic(trigger, \
			 { DEVMEM_TRIGGER_GPU_FAULT, "gpu-fault" }, \
			 { DEVMEM_TRIGGER_CPU_FAULT, "cpu-fault" }, \
			 { DEVMEM_TRIGGER_PREFETCH, "prefetch" }, \
			 { DEVMEM_TRIGGER_EVICTION, "eviction" }, \
			 { DEVMEM_TRIGGER_PEER, "peer" })

#define devmem_trace_event(event) \
	__print_symbolic(event, \
			 { MMU_NOTIFY_UNMAP, "unmap" }, \
			 { MMU_NOTIFY_CLEAR, "clear" }, \
			 { MMU_NOTIFY_PROTECTION_VMA, "protection-vma" }, \
			 { MMU_NOTIFY_PROTECTION_PAGE, "protection-page" }, \
			 { MMU_NOTIFY_SOFT_DIRTY, "soft-dirty" }, \
			 { MMU_NOTIFY_RELEASE, "release" }, \
			 { MMU_NOTIFY_MIGRATE, "migrate" }, \
			 { MMU_NOTIFY_EXCLUSIVE, "exclusive" })

/* A fault of the GPU was served; error is negative and 0 if the access can be retried. */
TRACE_EVENT(devmem_fault,
	    TP_PROTO(u32 vmid, u32 queue, u64 va, u32 access, int error, u64 ns),
	    TP_ARGS(vmid, queue, va, access, error, ns),
	    TP_STRUCT__entry(__field(u32, vmid)
			     __field(u32, queue)
			     __field(u64, va)
			     __field(u32, access)
			     __field(int, error)
			     __field(u64, ns)),
	    TP_fast_assign(__entry->vmid = vmid;
			   __entry->queue = queue;
			   __entry->va = va;
			   __entry->access = access;
			   __entry->error = error;
			   __entry->ns = ns;),
	    TP_printk("vmid=%u queue=%u va=%#llx access=%s error=%d ns=%llu",
		      __entry->vmid, __entry->queue, __entry->va,
		      devmem_trace_access(__entry->access), __entry->error, __entry->ns)
);

/*
 * Memory has or has not migrated. va is where the VM had it when it went to the
 * device. ns is of the whole migration to the device, and of the copy back.
 */
TRACE_EVENT(devmem_migrate,
	    TP_PROTO(u32 vmid, u64 va, bool to_device, u32 trigger, u64 bytes, int error,
		     u64 ns),
	    TP_ARGS(vmid, va, to_device, trigger, bytes, error, ns),
	    TP_STRUCT__entry(__field(u32, vmid)
			     __field(u64, va)
			     __field(bool, to_device)
			     __field(u32, trigger)
			     __field(u64, bytes)
			     __field(int, error)
			     __field(u64, ns)),
	    TP_fast_assign(__entry->vmid = vmid;
			   __entry->va = va;
			   __entry->to_device = to_device;
			   __entry->trigger = trigger;
			   __entry->bytes = bytes;
			   __entry->error = error;
			   __entry->ns = ns;),
	    TP_printk("vmid=%u va=%#llx direction=%s trigger=%s bytes=%llu error=%d ns=%llu",
		      __entry->vmid, __entry->va,
		      __entry->to_device ? "to-device" : "to-system",
		      devmem_trace_trigger(__entry->trigger), __entry->bytes,
		      __entry->error, __entry->ns)
);

/* An allocation of device memory was evicted, or not if error is negative. */
TRACE_EVENT(devmem_evict,
	    TP_PROTO(u32 vmid, u64 va, u64 size, u32 trigger, int error, u64 ns),
	    TP_ARGS(vmid, va, size, trigger, error, ns),
	    TP_STRUCT__entry(__field(u32, vmid)
			     __field(u64, va)
			     __field(u64, size)
			     __field(u32, trigger)
			     __field(int, error)
			     __field(u64, ns)),
	    TP_fast_assign(__entry->vmid = vmid;
			   __entry->va = va;
			   __entry->size = size;
			   __entry->trigger = trigger;
			   __entry->error = error;
			   __entry->ns = ns;),
	    TP_printk("vmid=%u va=%#llx size=%llu trigger=%s error=%d ns=%llu",
		      __entry->vmid, __entry->va, __entry->size,
		      devmem_trace_trigger(__entry->trigger), __entry->error, __entry->ns)
);

/* A range bounced too often and stays in system memory for some time. */
TRACE_EVENT(devmem_thrash,
	    TP_PROTO(u32 vmid, u64 start, u64 end, u32 bounces, u64 pin_ns),
	    TP_ARGS(vmid, start, end, bounces, pin_ns),
	    TP_STRUCT__entry(__field(u32, vmid)
			     __field(u64, start)
			     __field(u64, end)
			     __field(u32, bounces)
			     __field(u64, pin_ns)),
	    TP_fast_assign(__entry->vmid = vmid;
			   __entry->start = start;
			   __entry->end = end;
			   __entry->bounces = bounces;
			   __entry->pin_ns = pin_ns;),
	    TP_printk("vmid=%u start=%#llx end=%#llx bounces=%u pin_ns=%llu",
		      __entry->vmid, __entry->start, __entry->end,
		      __entry->bounces, __entry->pin_ns)
);

/* A range is hot and loses its translations, so that a fault moves it to the device. */
TRACE_EVENT(devmem_promote,
	    TP_PROTO(u32 vmid, u64 start, u64 end, u32 looks),
	    TP_ARGS(vmid, start, end, looks),
	    TP_STRUCT__entry(__field(u32, vmid)
			     __field(u64, start)
			     __field(u64, end)
			     __field(u32, looks)),
	    TP_fast_assign(__entry->vmid = vmid;
			   __entry->start = start;
			   __entry->end = end;
			   __entry->looks = looks;),
	    TP_printk("vmid=%u start=%#llx end=%#llx looks=%u",
		      __entry->vmid, __entry->start, __entry->end, __entry->looks)
);

/* The translations of a range were taken away because the CPU side changed. */
TRACE_EVENT(devmem_invalidate,
	    TP_PROTO(u32 vmid, u64 start, u64 end, u32 event),
	    TP_ARGS(vmid, start, end, event),
	    TP_STRUCT__entry(__field(u32, vmid)
			     __field(u64, start)
			     __field(u64, end)
			     __field(u32, event)),
	    TP_fast_assign(__entry->vmid = vmid;
			   __entry->start = start;
			   __entry->end = end;
			   __entry->event = event;),
	    TP_printk("vmid=%u start=%#llx end=%#llx event=%s",
		      __entry->vmid, __entry->start, __entry->end,
		      devmem_trace_event(__entry->event))
);

#endif /* _DEVMEM_TRACE_H_ */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE devmem_trace
#include <trace/define_trace.h>
