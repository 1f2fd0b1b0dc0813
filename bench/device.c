// SPDX-License-Identifier: GPL-2.0
/*
 * Instructions of what core-mm does with memory on a device: migration there and
 * back, CPU faults, what HMM reports of it, and what fork, mprotect and munmap
 * make of it. The device is test_hmm's first, of device-private memory, which copies
 * with the CPU.
 *
 * usage: device
 *
 * Prints 'what,round,units,instructions'.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lib/test_hmm_uapi.h>

#include "bench.h"

#define SIZE	MIB(32)

static int device;
static unsigned int round_nr;
/* What the device reads from memory goes here. */
static char buffer[SIZE];

enum work { ROUND_TRIP, TO_DEVICE, TO_SYSTEM, CPU_FAULT, READ, COPY, SNAPSHOT, FORK, MPROTECT,
	    MUNMAP, NR_WORKS };

/**
 * struct kind - memory that is worked with
 * @name: of what the counts are for
 * @advice: for madvise()
 * @page: bytes of its pages
 * @unit: bytes that a count is for
 * @call: bytes that the device is told to work with at a time
 * @works: what is done with it, the first of enum work
 */
static const struct kind {
	const char *name;
	int advice;
	size_t page;
	size_t unit;
	size_t call;
	unsigned int works;
} kinds[] = {
	{ "4k", MADV_NOHUGEPAGE, PAGE, PAGE, SIZE, NR_WORKS },
	{ "64k", MADV_NOHUGEPAGE, PAGE, KIB(64), KIB(64), COPY + 1 },
	{ "2m", MADV_HUGEPAGE, HUGE_PAGE, HUGE_PAGE, SIZE, NR_WORKS },
};

static const char *const works[NR_WORKS] = {
	[ROUND_TRIP] = "round-trip",
	[TO_DEVICE] = "to-device",
	[TO_SYSTEM] = "to-system",
	[CPU_FAULT] = "cpu-fault",
	[READ] = "device-read",
	[COPY] = "plain-copy",
	[SNAPSHOT] = "snapshot",
	[FORK] = "fork",
	[MPROTECT] = "mprotect",
	[MUNMAP] = "munmap",
};

/* Have the device do something with all of the memory, which it counts in @page bytes. */
static void command(unsigned long request, const char *what, char *mem, const struct kind *kind,
		    size_t page)
{
	for (size_t i = 0; i < SIZE; i += kind->call) {
		struct hmm_dmirror_cmd cmd = {
			.addr = (uintptr_t)mem + i,
			.ptr = (uintptr_t)buffer + i,
			.npages = kind->call / PAGE,
		};

		if (ioctl(device, request, &cmd))
			die(what);
		if (cmd.cpages != kind->call / page) {
			fprintf(stderr, "%s: %llu of %zu pages\n", what,
				(unsigned long long)cmd.cpages, kind->call / page);
			exit(1);
		}
	}
}

static void fork_once(void)
{
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (!child)
		_exit(0);
	if (waitpid(child, NULL, 0) != child)
		die("waitpid");
}

static void protect(char *mem, int prot)
{
	if (mprotect(mem, SIZE, prot))
		die("mprotect");
}

/* What copying alone takes: the kernel's copy_page() is the same on this CPU. */
static void copy(char *mem)
{
	for (size_t i = 0; i < SIZE; i += PAGE) {
		void *to = buffer + i, *from = mem + i;
		size_t words = PAGE / 8;

		asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
	}
}

static void to_device(char *mem, const struct kind *kind)
{
	command(HMM_DMIRROR_MIGRATE_TO_DEV, "migration to the device", mem, kind, PAGE);
}

/* On the way back test_hmm counts folios. */
static void to_system(char *mem, const struct kind *kind)
{
	command(HMM_DMIRROR_MIGRATE_TO_SYS, "migration to the system", mem, kind, kind->page);
}

static void do_work(enum work work, const struct kind *kind, char *mem)
{
	switch (work) {
	case ROUND_TRIP:
		to_device(mem, kind);
		to_system(mem, kind);
		break;
	case TO_DEVICE:
		to_device(mem, kind);
		break;
	case TO_SYSTEM:
		to_system(mem, kind);
		break;
	case CPU_FAULT:
		touch(mem, SIZE, kind->page);
		break;
	case READ:
		command(HMM_DMIRROR_READ, "read by the device", mem, kind, PAGE);
		break;
	case SNAPSHOT:
		command(HMM_DMIRROR_SNAPSHOT, "snapshot", mem, kind, PAGE);
		break;
	case FORK:
		fork_once();
		break;
	case MPROTECT:
		protect(mem, PROT_READ);
		protect(mem, PROT_READ | PROT_WRITE);
		break;
	case MUNMAP:
		if (munmap(mem, SIZE))
			die("munmap");
		break;
	case COPY:
		copy(mem);
		break;
	case NR_WORKS:
		break;
	}
}

/* Most of it is done with memory that is on the device. */
static void bench(enum work work, const struct kind *kind)
{
	char *mem = map(SIZE, kind->advice);
	static char names[NR_WORKS][ARRAY_SIZE(kinds)][32];
	char *name = names[work][kind - kinds];
	uint64_t start;

	touch(mem, SIZE, PAGE);
	if (work != ROUND_TRIP && work != TO_DEVICE && work != COPY)
		to_device(mem, kind);

	snprintf(name, sizeof(names[0][0]), "%s-%s", works[work], kind->name);
	start = instructions();
	do_work(work, kind, mem);
	record(name, round_nr, SIZE / kind->unit, instructions() - start);
	if (work != MUNMAP && munmap(mem, SIZE))
		die("munmap");
}

int main(void)
{
	check_counter();
	device = open("/dev/hmm_dmirror0", O_RDWR);
	if (device < 0)
		die("/dev/hmm_dmirror0");
	memset(buffer, 1, sizeof(buffer));

	for (round_nr = 0; round_nr < ROUNDS; round_nr++) {
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			for (enum work work = 0; work < kinds[i].works; work++)
				bench(work, &kinds[i]);
			/* Takes more now and then: try it more often to find the least. */
			for (unsigned int more = 0; kinds[i].works > MUNMAP && more < 11; more++)
				bench(MUNMAP, &kinds[i]);
		}
	}
	print_records();
	return 0;
}
