// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 devmem developers */

/*
 * Shared virtual memory in one file: the CPU makes a linked list and an array
 * with malloc(), the GPU follows the same pointers, reads and changes both, and
 * the CPU reads the result. After each step it is shown where the pages are.
 *
 * A client needs no more of the interface than this: find the render node
 * (open_device), make a VM, a queue and a syncobj (open_gpu), write commands
 * (emit) and execute them (run_batch).
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <drm/devmem_drm.h>
#include <xf86drm.h>

#define MAX_COMMANDS	64
#define MAP_COLUMNS	64
#define MAP_ROWS	4

struct node {
	struct node *next;
	uint64_t value;
	char payload[48];
};

static struct {
	int fd;
	uint32_t vm;
	uint32_t queue;
	uint32_t syncobj;
	struct drm_devmem_cmd *batch;
	unsigned int commands;
	uint64_t *result;
} gpu;

static struct {
	const char *name;
	char *start;
	size_t pages;
	uint8_t *residency;
} areas[2];

static size_t page_size;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "svm_demo: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void gpu_ioctl(unsigned long request, void *args, const char *what)
{
	if (drmIoctl(gpu.fd, request, args))
		die(what);
}

/* Any DRM client finds its device so: look at each, ask the driver for its name. */
static int open_device(void)
{
	drmDevicePtr devices[64];
	int i, fd = -1, count = drmGetDevices2(0, devices, 64);

	for (i = 0; i < count && fd < 0; i++) {
		drmVersionPtr version;

		if (!(devices[i]->available_nodes & 1 << DRM_NODE_RENDER))
			continue;
		fd = open(devices[i]->nodes[DRM_NODE_RENDER], O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		version = drmGetVersion(fd);
		if (version && !strcmp(version->name, "devmem")) {
			printf("%s: %s %d.%d, %s\n", devices[i]->nodes[DRM_NODE_RENDER],
			       version->name, version->version_major, version->version_minor,
			       version->desc);
		} else {
			close(fd);
			fd = -1;
		}
		drmFreeVersion(version);
	}
	if (count > 0)
		drmFreeDevices(devices, count);
	if (fd < 0) {
		fprintf(stderr, "svm_demo: no devmem device; is the module loaded?\n");
		exit(1);
	}
	return fd;
}

static uint64_t get_param(uint32_t param)
{
	struct drm_devmem_get_param args = { .param = param };

	gpu_ioctl(DRM_IOCTL_DEVMEM_GET_PARAM, &args, "get-param");
	return args.value;
}

static void open_gpu(void)
{
	struct drm_devmem_vm_create vm = {};
	struct drm_devmem_queue_create queue = {};

	gpu.fd = open_device();
	gpu_ioctl(DRM_IOCTL_DEVMEM_VM_CREATE, &vm, "vm-create");
	gpu.vm = vm.vm_id;
	queue.vm_id = gpu.vm;
	gpu_ioctl(DRM_IOCTL_DEVMEM_QUEUE_CREATE, &queue, "queue-create");
	gpu.queue = queue.queue_id;
	if (drmSyncobjCreate(gpu.fd, 0, &gpu.syncobj))
		die("syncobj");

	/*
	 * A batch can be in any memory. This one is in shared memory, which the
	 * GPU uses where it is, so that only the list and the array migrate.
	 */
	gpu.batch = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (gpu.batch == MAP_FAILED)
		die("mmap");
	gpu.result = (uint64_t *)((char *)gpu.batch + page_size);
}

static unsigned int emit(struct drm_devmem_cmd command)
{
	gpu.batch[gpu.commands] = command;
	return gpu.commands++;
}

/* r[rd] = r[ra] @sub (r[rb] + value) */
static void emit_alu(int rd, int ra, int sub, int rb, uint64_t value)
{
	emit((struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_ALU, .sub = sub, .rd = rd, .ra = ra, .rb = rb,
		.b = value,
	});
}

/* Go on at command @target if r[ra] is not equal to @value. */
static void emit_branch_ne(int ra, uint64_t value, unsigned int target)
{
	int64_t distance = (int64_t)target - gpu.commands;

	emit((struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_BRANCH, .sub = DRM_DEVMEM_COMPARE_NE, .ra = ra,
		.b = value, .c = distance * DRM_DEVMEM_CMD_SIZE,
	});
}

/* Execute the commands written so far and wait until the GPU is done. */
static void run_batch(void)
{
	struct drm_devmem_sync sync = {
		.type = DRM_DEVMEM_SYNC_SYNCOBJ,
		.flags = DRM_DEVMEM_SYNC_SIGNAL,
		.handle = gpu.syncobj,
	};
	struct drm_devmem_exec exec = {
		.queue_id = gpu.queue,
		.batch_addr = (uintptr_t)gpu.batch,
		.syncs = (uintptr_t)&sync,
		.num_syncs = 1,
	};
	struct drm_devmem_queue_query query = { .queue_id = gpu.queue };

	emit((struct drm_devmem_cmd){ .op = DRM_DEVMEM_CMD_END });
	if (drmSyncobjReset(gpu.fd, &gpu.syncobj, 1))
		die("syncobj reset");
	gpu_ioctl(DRM_IOCTL_DEVMEM_EXEC, &exec, "exec");
	if (drmSyncobjWait(gpu.fd, &gpu.syncobj, 1, INT64_MAX, 0, NULL))
		die("syncobj wait");
	gpu.commands = 0;

	/* The syncobj tells that the batch ended, the queue tells how. */
	gpu_ioctl(DRM_IOCTL_DEVMEM_QUEUE_QUERY, &query, "queue-query");
	if (query.errors) {
		fprintf(stderr, "svm_demo: the batch failed with error %u at address %#llx\n",
			query.error, (unsigned long long)query.fault_addr);
		exit(1);
	}
}

/* Where the pages are, and what has happened since the last time. */
static void watch_area(int i, const char *name, void *start, void *end)
{
	uintptr_t first = (uintptr_t)start & ~(page_size - 1);

	areas[i].name = name;
	areas[i].start = (char *)first;
	areas[i].pages = ((uintptr_t)end - first + page_size - 1) / page_size;
	/* Not in the heap, where it would have neighbours that migrate. */
	areas[i].residency = mmap(NULL, areas[i].pages, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (areas[i].residency == MAP_FAILED)
		die("mmap");
}

static void query_area(int i)
{
	struct drm_devmem_query_residency args = {
		.vm_id = gpu.vm,
		.addr = (uintptr_t)areas[i].start,
		.length = areas[i].pages * page_size,
		.data = (uintptr_t)areas[i].residency,
	};

	gpu_ioctl(DRM_IOCTL_DEVMEM_QUERY_RESIDENCY, &args, "query-residency");
}

/* One character for @count pages: '+' if they are not all in the same place. */
static char map_char(const uint8_t *residency, size_t count)
{
	static const char locations[] = ".sDP????";
	uint8_t location = residency[0] & DRM_DEVMEM_RESIDENCY_LOCATION;
	size_t i;

	for (i = 1; i < count; i++)
		if ((residency[i] & DRM_DEVMEM_RESIDENCY_LOCATION) != location)
			return '+';
	return locations[location];
}

static void print_area(int i)
{
	size_t pages = areas[i].pages, each = 1, column = 0, page;

	while (pages / each > MAP_COLUMNS * MAP_ROWS)
		each *= 2;
	printf("  %-5s (%zu KiB a character)\n", areas[i].name, each * page_size / 1024);
	for (page = 0; page < pages; page += each) {
		size_t count = pages - page < each ? pages - page : each;

		if (column == 0)
			printf("    ");
		putchar(map_char(areas[i].residency + page, count));
		if (++column == MAP_COLUMNS) {
			putchar('\n');
			column = 0;
		}
	}
	if (column)
		putchar('\n');
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static uint64_t step_start;
static struct drm_devmem_stats step_stats;

static void get_stats(struct drm_devmem_stats *stats)
{
	struct drm_devmem_query_stats args = {
		.vm_id = gpu.vm, .size = sizeof(*stats), .data = (uintptr_t)stats,
	};

	memset(stats, 0, sizeof(*stats));
	gpu_ioctl(DRM_IOCTL_DEVMEM_QUERY_STATS, &args, "query-stats");
}

static void begin_step(const char *title)
{
	static int number;

	printf("\n%d. %s\n", ++number, title);
	fflush(stdout);
	get_stats(&step_stats);
	step_start = now_ns();
}

static void end_step(void)
{
	uint64_t time = now_ns() - step_start;
	struct drm_devmem_stats stats;
	int i;

	get_stats(&stats);
	for (i = 0; i < 2; i++)
		query_area(i);
	for (i = 0; i < 2; i++)
		print_area(i);

	printf("  GPU faults %llu, CPU faults %llu",
	       (unsigned long long)(stats.gpu_faults - step_stats.gpu_faults),
	       (unsigned long long)(stats.cpu_faults - step_stats.cpu_faults));
	stats.to_device_bytes -= step_stats.to_device_bytes;
	stats.to_system_bytes -= step_stats.to_system_bytes;
	stats.evicted_bytes -= step_stats.evicted_bytes;
	printf(" | to device %llu pages, %llu KiB",
	       (unsigned long long)stats.to_device_bytes / page_size,
	       (unsigned long long)stats.to_device_bytes / 1024);
	printf(" | back %llu pages, %llu KiB",
	       (unsigned long long)stats.to_system_bytes / page_size,
	       (unsigned long long)stats.to_system_bytes / 1024);
	if (stats.evicted_bytes)
		printf(" | evicted %llu KiB", (unsigned long long)stats.evicted_bytes / 1024);
	printf(" | %.1f ms\n", time / 1e6);
}

/* The list: the nodes are wherever malloc() puts them. */
static struct node *make_list(size_t count, char **low, char **high)
{
	struct node *head = NULL, *node;
	size_t i;

	for (i = count; i-- > 0; head = node) {
		node = malloc(sizeof(*node));
		if (!node)
			die("malloc");
		node->value = i;
		memset(node->payload, 'a' + i % 26, sizeof(node->payload));
		node->next = head;
		if (!head || (char *)node < *low)
			*low = (char *)node;
		if (!head || (char *)(node + 1) > *high)
			*high = (char *)(node + 1);
	}
	return head;
}

/* r1 is the node, r2 its value, r3 the sum. With @change all values get + 1000. */
static uint64_t gpu_walk_list(struct node *head, bool change)
{
	unsigned int loop;

	emit_alu(1, 0, DRM_DEVMEM_ALU_ADD, 0, (uintptr_t)head);
	loop = emit((struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_LOAD, .width = 8, .rd = 2, .ra = 1,
		.a = offsetof(struct node, value),
	});
	emit_alu(3, 3, DRM_DEVMEM_ALU_ADD, 2, 0);
	if (change)
		emit((struct drm_devmem_cmd){
			.op = DRM_DEVMEM_CMD_STORE, .width = 8, .ra = 1,
			.a = offsetof(struct node, value), .rb = 2, .b = 1000,
		});
	emit((struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_LOAD, .width = 8, .rd = 1, .ra = 1,
		.a = offsetof(struct node, next),
	});
	emit_branch_ne(1, 0, loop);
	emit((struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_STORE, .width = 8, .a = (uintptr_t)gpu.result,
		.rb = 3,
	});
	run_batch();
	return gpu.result[0];
}

/* The second half becomes a copy of the first; then the first byte of each page changes. */
static void gpu_change_array(unsigned char *array, size_t size)
{
	unsigned int loop;
	size_t half = size / 2, end = (half + page_size - 1) / page_size * page_size;

	emit((struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_COPY, .a = (uintptr_t)(array + half),
		.b = (uintptr_t)array, .c = half,
	});
	loop = emit((struct drm_devmem_cmd){
		.op = DRM_DEVMEM_CMD_STORE, .width = 1, .ra = 1,
		.a = (uintptr_t)array, .b = 0xdd,
	});
	emit_alu(1, 1, DRM_DEVMEM_ALU_ADD, 0, page_size);
	emit_branch_ne(1, end, loop);
	run_batch();
}

static unsigned char array_byte(size_t i)
{
	return i * 7 + i / 4096;
}

static size_t check_list(const struct node *node, size_t count)
{
	size_t i, j, wrong = 0;

	for (i = 0; i < count && node; i++, node = node->next) {
		wrong += node->value != i + 1000;
		for (j = 0; j < sizeof(node->payload); j++)
			wrong += node->payload[j] != (char)('a' + i % 26);
	}
	return wrong + (i != count || node);
}

static size_t check_array(const unsigned char *array, size_t size)
{
	size_t i, half = size / 2, wrong = 0;

	for (i = 0; i < half; i++) {
		wrong += array[i] != (i % page_size ? array_byte(i) : 0xdd);
		wrong += array[half + i] != array_byte(i);
	}
	return wrong;
}

static int run_demo(size_t nodes, size_t size)
{
	char *low = NULL, *high = NULL;
	unsigned char *array;
	struct node *list;
	uint64_t sum;
	size_t i, wrong;

	open_gpu();
	printf("%llu MiB of device memory, %llu MiB of them free%s\n",
	       (unsigned long long)get_param(DRM_DEVMEM_PARAM_VRAM_SIZE) >> 20,
	       (unsigned long long)get_param(DRM_DEVMEM_PARAM_VRAM_FREE) >> 20,
	       get_param(DRM_DEVMEM_PARAM_HAS_DEVICE_MEMORY) ? "" :
	       "; none can be used: memory stays in the system");
	printf("map: '.' nothing there yet, 's' system memory, 'D' device memory, '+' mixed\n");

	list = make_list(nodes, &low, &high);
	array = malloc(size);
	if (!array)
		die("malloc");
	watch_area(0, "list", low, high);
	watch_area(1, "array", array, array + size);

	begin_step("The CPU has made the list and now writes the array");
	for (i = 0; i < size; i++)
		array[i] = array_byte(i);
	end_step();

	begin_step("The GPU walks the list and adds up its values");
	sum = gpu_walk_list(list, false);
	end_step();
	printf("  the sum is %llu\n", (unsigned long long)sum);
	wrong = sum != (uint64_t)nodes * (nodes - 1) / 2;

	begin_step("The GPU walks it again and adds 1000 to each value");
	gpu_walk_list(list, true);
	end_step();

	begin_step("The GPU copies one half of the array to the other and marks each page");
	gpu_change_array(array, size);
	end_step();

	begin_step("The CPU reads one byte in the middle of the array: its chunk comes back");
	wrong += array[size / 2 + size / 4] != array_byte(size / 4);
	end_step();

	begin_step("The CPU reads the list");
	wrong += check_list(list, nodes);
	end_step();

	begin_step("The CPU reads all of the array");
	wrong += check_array(array, size);
	end_step();

	printf("\nNext: 'make check' runs all tests, 'make shell' gives a prompt in this guest\n");
	printf("(try 'svm_demo --array 300M', which is more than the device holds),\n");
	printf("and docs/uapi.rst tells how to write a program of your own.\n\n");
	if (wrong)
		printf("FAILED: %zu of what the GPU made is wrong\n", wrong);
	else
		printf("Every byte of %zu nodes and %zu bytes of array is right.\n", nodes, size);
	return wrong ? 1 : 0;
}

/* A number with an optional K, M or G, from @min to @max. */
static size_t parse_size(const char *option, const char *text, size_t min, size_t max)
{
	static const char units[] = "KMG";
	const char *unit;
	char *end;
	uint64_t value;
	int shift = 0;

	errno = 0;
	value = strtoull(text, &end, 0);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unit - units + 1);
		end++;
	}
	if (errno || end == text || *end || *text == '-' || value > max >> shift ||
	    value << shift < min) {
		fprintf(stderr, "svm_demo: %s '%s': want a number from %zu to %zu\n",
			option, text, min, max);
		exit(2);
	}
	return value << shift;
}

static void __attribute__((noreturn)) usage(FILE *out, int status)
{
	fprintf(out, "usage: svm_demo [--list N] [--array SIZE]\n\n"
		"CPU and GPU work on a list and an array through the same pointers; see where\n"
		"the pages are after each step.\n\n"
		"  --list N       nodes of the list (default 2000)\n"
		"  --array SIZE   bytes of the array, K, M or G may follow (default 8M)\n"
		"  --help         this text\n");
	exit(status);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "list", required_argument, NULL, 'l' },
		{ "array", required_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	size_t nodes = 2000, size = 8 << 20;
	static char output[4096];
	int option;

	/* The output's buffer would else be in the heap, next to the list. */
	setvbuf(stdout, output, _IOLBF, sizeof(output));
	page_size = sysconf(_SC_PAGESIZE);

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			nodes = parse_size("--list", optarg, 1, 1000000);
			break;
		case 'a':
			size = parse_size("--array", optarg, 4 * page_size, 512ul << 20);
			size &= ~7ul;
			break;
		case 'h':
			usage(stdout, 0);
		default:
			usage(stderr, 2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "svm_demo: what is '%s'?\n", argv[optind]);
		usage(stderr, 2);
	}
	return run_demo(nodes, size);
}
