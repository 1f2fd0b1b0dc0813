// SPDX-License-Identifier: GPL-2.0
/*
 * Instructions of the devmem driver and its software GPU: what a fault of the GPU
 * takes, and how that grows with what there is.
 *
 * usage: svm faults | ranges | queues | processes | working-set NAME | ping-pong NAME
 *
 * Prints 'what,round,units,instructions'. All of it is counted, from the submission
 * of a batch to its end: system calls, driver, core-mm, copy, and the GPU, which the
 * same CPU emulates. NAME becomes part of the names: what the driver was loaded with
 * is the caller's.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <drm/devmem_drm.h>

#include "bench.h"

#define MAX_QUEUES	16
#define COMMANDS	8

struct queue {
	uint32_t id;
	uint32_t syncobj;
	struct drm_devmem_cmd *batch;
};

static struct {
	int fd;
	uint32_t vm;
	struct queue queue[MAX_QUEUES];
	unsigned int queues;
} gpu;

/*
 * Chunks of memory, as many bytes apart as they are large, so that each one is a
 * mapping, and a range of the driver, of its own
 */
struct chunks {
	char *mem;
	size_t size;
	size_t count;
	int advice;
};

static const struct kind {
	const char *name;
	size_t size;
	size_t count;
	int advice;
} kinds[] = {
	{ "4k", KIB(4), 256, MADV_NOHUGEPAGE },
	{ "64k", KIB(64), 64, MADV_NOHUGEPAGE },
	{ "2m", MIB(2), 16, MADV_HUGEPAGE },
};

static void gpu_ioctl(unsigned long request, void *args, const char *what)
{
	int err;

	do {
		err = ioctl(gpu.fd, request, args);
	} while (err && (errno == EINTR || errno == EAGAIN));
	if (err)
		die(what);
}

static void add_queue(void)
{
	struct queue *queue = &gpu.queue[gpu.queues++];
	struct drm_devmem_queue_create create = { .vm_id = gpu.vm };
	struct drm_syncobj_create syncobj = {};

	gpu_ioctl(DRM_IOCTL_DEVMEM_QUEUE_CREATE, &create, "queue-create");
	gpu_ioctl(DRM_IOCTL_SYNCOBJ_CREATE, &syncobj, "syncobj-create");
	queue->id = create.queue_id;
	queue->syncobj = syncobj.handle;
	/* Shared memory does not migrate. */
	queue->batch = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (queue->batch == MAP_FAILED)
		die("mmap");
}

static void open_gpu(unsigned int queues, uint32_t flags)
{
	struct drm_devmem_vm_create vm = { .flags = flags };

	gpu.fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
	if (gpu.fd < 0)
		die("/dev/dri/renderD128");
	gpu_ioctl(DRM_IOCTL_DEVMEM_VM_CREATE, &vm, "vm-create");
	gpu.vm = vm.vm_id;
	gpu.queues = 0;
	while (gpu.queues < queues)
		add_queue();
}

static void close_gpu(void)
{
	for (unsigned int i = 0; i < gpu.queues; i++)
		munmap(gpu.queue[i].batch, PAGE);
	close(gpu.fd);
}

static struct drm_devmem_stats read_stats(void)
{
	struct drm_devmem_stats stats = {};
	struct drm_devmem_query_stats args = {
		.vm_id = gpu.vm, .size = sizeof(stats), .data = (uintptr_t)&stats,
	};

	gpu_ioctl(DRM_IOCTL_DEVMEM_QUERY_STATS, &args, "query-stats");
	return stats;
}

static uint64_t vram_size(void)
{
	struct drm_devmem_get_param args = { .param = DRM_DEVMEM_PARAM_VRAM_SIZE };

	gpu_ioctl(DRM_IOCTL_DEVMEM_GET_PARAM, &args, "get-param");
	return args.value;
}

/* Begin to read a word of each chunk from @first on. */
static void submit(struct queue *queue, const struct chunks *chunks, size_t first,
		   size_t count)
{
	uint64_t start = (uintptr_t)chunks->mem + first * 2 * chunks->size;
	struct drm_devmem_sync sync = {
		.type = DRM_DEVMEM_SYNC_SYNCOBJ, .flags = DRM_DEVMEM_SYNC_SIGNAL,
		.handle = queue->syncobj,
	};
	struct drm_devmem_exec exec = {
		.queue_id = queue->id, .batch_addr = (uintptr_t)queue->batch,
		.syncs = (uintptr_t)&sync, .num_syncs = 1,
	};
	const struct drm_devmem_cmd batch[COMMANDS] = {
		{ .op = DRM_DEVMEM_CMD_ALU, .sub = DRM_DEVMEM_ALU_ADD, .rd = 1, .b = start },
		{ .op = DRM_DEVMEM_CMD_LOAD, .width = 8, .rd = 2, .ra = 1 },
		{ .op = DRM_DEVMEM_CMD_ALU, .sub = DRM_DEVMEM_ALU_ADD, .rd = 1, .ra = 1,
		  .b = 2 * chunks->size },
		{ .op = DRM_DEVMEM_CMD_BRANCH, .sub = DRM_DEVMEM_COMPARE_NE, .ra = 1,
		  .b = start + count * 2 * chunks->size,
		  .c = (uint64_t)-2 * DRM_DEVMEM_CMD_SIZE },
		{ .op = DRM_DEVMEM_CMD_END },
	};

	memcpy(queue->batch, batch, sizeof(batch));
	gpu_ioctl(DRM_IOCTL_DEVMEM_EXEC, &exec, "exec");
}

static void finish(struct queue *queue)
{
	struct drm_syncobj_wait wait = {
		.handles = (uintptr_t)&queue->syncobj, .count_handles = 1,
		.timeout_nsec = INT64_MAX,
	};
	struct drm_devmem_queue_query query = { .queue_id = queue->id };

	gpu_ioctl(DRM_IOCTL_SYNCOBJ_WAIT, &wait, "syncobj-wait");
	gpu_ioctl(DRM_IOCTL_DEVMEM_QUEUE_QUERY, &query, "queue-query");
	if (query.errors) {
		fprintf(stderr, "the batch failed with error %u at %#llx\n", query.error,
			(unsigned long long)query.fault_addr);
		exit(1);
	}
}

/* All queues read the same. */
static void gpu_read(const struct chunks *chunks, size_t first, size_t count)
{
	for (unsigned int i = 0; i < gpu.queues; i++)
		submit(&gpu.queue[i], chunks, first, count);
	for (unsigned int i = 0; i < gpu.queues; i++)
		finish(&gpu.queue[i]);
}

static void cpu_read(const struct chunks *chunks)
{
	for (size_t i = 0; i < chunks->count; i++)
		__atomic_load_n(chunks->mem + i * 2 * chunks->size, __ATOMIC_RELAXED);
}

/* Each ends before the next one begins, as faults do. */
static void prefetch(const struct chunks *chunks)
{
	struct drm_devmem_sync sync = {
		.type = DRM_DEVMEM_SYNC_SYNCOBJ, .flags = DRM_DEVMEM_SYNC_SIGNAL,
		.handle = gpu.queue[0].syncobj,
	};
	struct drm_devmem_prefetch args = {
		.vm_id = gpu.vm, .length = chunks->size,
		.location = DRM_DEVMEM_LOCATION_DEVICE, .syncs = (uintptr_t)&sync,
		.num_syncs = 1,
	};

	for (size_t i = 0; i < chunks->count; i++) {
		args.addr = (uintptr_t)chunks->mem + i * 2 * chunks->size;
		gpu_ioctl(DRM_IOCTL_DEVMEM_PREFETCH, &args, "prefetch");
		finish(&gpu.queue[0]);
	}
}

/* The chunks have memory that the CPU has written. */
static struct chunks make_chunks(size_t size, size_t count, int advice)
{
	struct chunks chunks = { .size = size, .count = count };
	size_t i;

	chunks.mem = map(2 * size * count, advice);
	for (i = 0; i < count; i++) {
		char *chunk = chunks.mem + i * 2 * size;

		touch(chunk, size, PAGE);
		if (munmap(chunk + size, size))
			die("munmap");
	}
	return chunks;
}

static void free_chunks(const struct chunks *chunks)
{
	if (munmap(chunks->mem, 2 * chunks->size * chunks->count))
		die("munmap");
}

static const char *keep_name(const char *what, const char *of)
{
	char *name;

	if (asprintf(&name, "%s-%s", what, of) < 0)
		die("asprintf");
	return name;
}

enum work { FAULT, FAULT_4_QUEUES, FAULT_IN_PLACE, PREFETCH, ACCESS, CPU_FAULT, NR_WORKS };

static const char *const works[NR_WORKS] = {
	[FAULT] = "gpu-fault",
	[FAULT_4_QUEUES] = "gpu-fault-4-queues",
	[FAULT_IN_PLACE] = "gpu-fault-in-place",
	[PREFETCH] = "prefetch",
	[ACCESS] = "gpu-access",
	[CPU_FAULT] = "cpu-fault",
};

/* For each chunk */
static void bench_fault(enum work work, const struct kind *kind, unsigned int round,
			const char *name)
{
	struct chunks chunks = make_chunks(kind->size, kind->count, kind->advice);
	struct drm_devmem_stats before, after;
	uint64_t start;

	open_gpu(work == FAULT_4_QUEUES ? 4 : 1,
		 work == FAULT_IN_PLACE ? DRM_DEVMEM_VM_NO_MIGRATE : 0);
	if (work == ACCESS || work == CPU_FAULT)
		gpu_read(&chunks, 0, chunks.count);

	before = read_stats();
	start = instructions();
	if (work == PREFETCH)
		prefetch(&chunks);
	else if (work == CPU_FAULT)
		cpu_read(&chunks);
	else
		gpu_read(&chunks, 0, chunks.count);
	record(name, round, chunks.count, instructions() - start);
	after = read_stats();

	/* It is not a fault of another size that was counted. */
	if (work == FAULT || work == PREFETCH || work == FAULT_4_QUEUES) {
		if (after.to_device_count - before.to_device_count != chunks.count) {
			fprintf(stderr, "%s: %llu migrations of %zu chunks\n", name,
				(unsigned long long)(after.to_device_count -
						     before.to_device_count), chunks.count);
			exit(1);
		}
	}
	close_gpu();
	free_chunks(&chunks);
}

/* By how workers are scheduled; it is tried more often to find the least. */
static bool varies(enum work work)
{
	return work == FAULT_4_QUEUES || work == FAULT_IN_PLACE || work == ACCESS;
}

static void bench_faults(void)
{
	const char *names[NR_WORKS][ARRAY_SIZE(kinds)];
	unsigned int round, more;
	enum work work;
	size_t i;

	for (work = 0; work < NR_WORKS; work++)
		for (i = 0; i < ARRAY_SIZE(kinds); i++)
			names[work][i] = keep_name(works[work], kinds[i].name);
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; i < ARRAY_SIZE(kinds); i++)
			for (work = 0; work < NR_WORKS; work++)
				for (more = 0; more < (varies(work) ? 4 : 1); more++)
					bench_fault(work, &kinds[i], round, names[work][i]);
}

/* A fault on a page when the VM has so many ranges */
static void bench_ranges(void)
{
	static const size_t counts[] = { 10, 100, 1000, 10000, 100000 };
	const size_t each = 64, last = counts[ARRAY_SIZE(counts) - 1];
	struct chunks chunks = make_chunks(PAGE, last + each * ROUNDS, MADV_NOHUGEPAGE);
	size_t i, done = 0;

	open_gpu(1, 0);
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		const char *name;
		char count[16];

		snprintf(count, sizeof(count), "%zu", counts[i]);
		name = keep_name("ranges", count);
		if (done < counts[i])
			gpu_read(&chunks, done, counts[i] - done);
		done = done < counts[i] ? counts[i] : done;
		for (unsigned int round = 0; round < ROUNDS; round++) {
			uint64_t start = instructions();

			gpu_read(&chunks, done, each);
			record(name, round, each, instructions() - start);
			done += each;
		}
	}
	close_gpu();
	free_chunks(&chunks);
}

/* A fault on 64 KiB when so many queues of a VM fault, each on memory of its own */
static void bench_queues(void)
{
	static const char *const names[] = {
		"queues-1", "queues-2", "queues-4", "queues-8", "queues-16",
	};
	const size_t each = 32;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			unsigned int queue, queues = 1u << i;
			struct chunks chunks;
			uint64_t start;

			chunks = make_chunks(KIB(64), each * queues, MADV_NOHUGEPAGE);
			open_gpu(queues, 0);
			start = instructions();
			for (queue = 0; queue < queues; queue++)
				submit(&gpu.queue[queue], &chunks, queue * each, each);
			for (queue = 0; queue < queues; queue++)
				finish(&gpu.queue[queue]);
			record(names[i], round, each * queues, instructions() - start);
			close_gpu();
			free_chunks(&chunks);
		}
	}
}

/* One byte to each of @count processes, or from each. */
static void pass(ssize_t (*how)(int, char *, size_t), int file, unsigned int count)
{
	char byte = 0;

	while (count--)
		if (how(file, &byte, 1) != 1)
			die("pipe");
}

static ssize_t put(int file, char *from, size_t size)
{
	return write(file, from, size);
}

static ssize_t get(int file, char *to, size_t size)
{
	return read(file, to, size);
}

static void __attribute__((noreturn)) child(size_t each, int ready, int go, int done, int leave)
{
	struct chunks chunks = make_chunks(KIB(64), each, MADV_NOHUGEPAGE);

	open_gpu(1, 0);
	pass(put, ready, 1);
	pass(get, go, 1);
	gpu_read(&chunks, 0, each);
	pass(put, done, 1);
	/*
	 * What exit takes is not to be counted. From a pipe of its own: who is done
	 * would take what another one has not read yet.
	 */
	pass(get, leave, 1);
	_exit(0);
}

static uint64_t run_processes(unsigned int processes, size_t each)
{
	int ready[2], go[2], done[2], leave[2];
	uint64_t start;

	if (pipe(ready) || pipe(go) || pipe(done) || pipe(leave))
		die("pipe");
	for (unsigned int i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid)
			child(each, ready[1], go[0], done[1], leave[0]);
	}
	pass(get, ready[0], processes);
	start = instructions();
	pass(put, go[1], processes);
	pass(get, done[0], processes);
	start = instructions() - start;
	pass(put, leave[1], processes);
	while (processes--) {
		int status;

		if (wait(&status) < 0 || status) {
			fprintf(stderr, "a process has failed\n");
			exit(1);
		}
	}
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
		close(done[i]);
		close(leave[i]);
	}
	return start;
}

/* The same with so many processes, each with a VM and a queue */
static void bench_processes(void)
{
	static const char *const names[] = {
		"processes-1", "processes-4", "processes-16", "processes-64",
	};
	const size_t each = 16;

	for (unsigned int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			record(names[i], round, each << 2 * i,
			       run_processes(1u << 2 * i, each));
}

/* The GPU reads all of its working set again and again: for 2 MiB */
static void bench_working_set(const char *name)
{
	static const struct {
		const char *name;
		unsigned int quarters;
	} sets[] = {
		{ "working-set-0.25", 1 }, { "working-set-0.5", 2 },
		{ "working-set-0.75", 3 }, { "working-set-1.25", 5 },
		{ "working-set-2", 8 }, { "working-set-4", 16 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		const char *what = keep_name(sets[i].name, name);
		/* What stays where it is takes little, which is to be counted all the same. */
		const unsigned int passes = sets[i].quarters < 4 ? 16 : 1;
		struct chunks chunks;

		open_gpu(1, 0);
		chunks = make_chunks(MIB(2), sets[i].quarters * vram_size() / 4 / MIB(2),
				     MADV_HUGEPAGE);
		for (unsigned int round = 0; round < ROUNDS; round++) {
			uint64_t start = instructions();

			for (unsigned int pass = 0; pass < passes; pass++)
				gpu_read(&chunks, 0, chunks.count);
			record(what, round, chunks.count * passes, instructions() - start);
		}
		close_gpu();
		free_chunks(&chunks);
	}
}

/* CPU and GPU read the same in turn: for 64 KiB and a turn of both */
static void bench_ping_pong(const char *name)
{
	struct chunks chunks = make_chunks(KIB(64), 16, MADV_NOHUGEPAGE);
	const char *what = keep_name("ping-pong", name);
	const unsigned int turns = 32;

	open_gpu(1, 0);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		uint64_t start = instructions();

		for (unsigned int turn = 0; turn < turns; turn++) {
			gpu_read(&chunks, 0, chunks.count);
			cpu_read(&chunks);
		}
		record(what, round, chunks.count * turns, instructions() - start);
	}
	close_gpu();
	free_chunks(&chunks);
}

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr,
		"usage: svm faults | ranges | queues | processes\n"
		"       svm working-set NAME | ping-pong NAME\n");
	exit(2);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *name = argc > 2 ? argv[2] : "";

	check_counter();
	if (!strcmp(what, "faults"))
		bench_faults();
	else if (!strcmp(what, "ranges"))
		bench_ranges();
	else if (!strcmp(what, "queues"))
		bench_queues();
	else if (!strcmp(what, "processes"))
		bench_processes();
	else if (!strcmp(what, "working-set") && *name)
		bench_working_set(name);
	else if (!strcmp(what, "ping-pong") && *name)
		bench_ping_pong(name);
	else
		usage();
	print_records();
	return 0;
}
