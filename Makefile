# SPDX-License-Identifier: GPL-2.0
#
# Everything is made in build/. 'make help' tells what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

FLAVOUR ?= base
GUEST ?= $(if $(STOCK),debian,plain)
S := scripts
export KSRC KERNEL_TARBALL ACCEL JOBS DEVMEM_OPTIONS DEBIAN_MIRROR

.PHONY: help
help:
	@sed -n -e 's/^#: \{0,1\}//p' Makefile

#: devmem: device-private memory by offset, a DRM driver for it, and its tests
#:
#:   make demo            boot a guest and watch pages migrate (DEMO_ARGS=...)
#:   make demo STOCK=1    the same on Debian's kernel: no kernel is built
#:   make check           everything that a change has to pass
#:
#: Parts of check:
#:   make check-gpu       the device model in user space: unit tests, fuzzing
#:   make check-kunit     KUnit suites of the driver, of device-private pages and of
#:                        their struct pages on demand
#:   make check-hmm       the kernel's hmm-tests, plain and tight guest
#:   make check-igt       IGT tests of devmem, and the generic ones
#:   make check-spans     device memory takes no physical addresses
#:   make check-scale     1 and 16 TiB of device memory in a guest with 2 GiB of RAM;
#:                        also, not in check, the short list of IGT tests on a device
#:                        of 1 TiB
#:   make check-selftest  tests of the scripts
#:   make lint            checkpatch, sparse, W=1, kernel-doc
#: and svm_demo and sleep of the whole guest, once check has built what these need:
#:   scripts/check demo   scripts/check suspend
#:
#: More:
#:   make check-bat       the short list of IGT tests, for a first look
#:   make check-stock     IGT on Debian's kernel; what fails there is known
#:   make check-debug     IGT, KUnit and hmm-tests under KASAN, lockdep, kmemleak
#:   make check-ports     what the series touches, compiled for each architecture
#:   make check-arm64     KUnit, hmm-tests and round trip on arm64, cross-built
#:   make check-riscv64   the same on riscv64, with sv39 and with sv48
#:   make stress          random work in the debug guest (MINUTES=5, SEED=)
#:   make fuzz            random ioctls and batches there (MINUTES=5, SEED=)
#:   make check-size      no object of mm/ has grown without CONFIG_DEVICE_PRIVATE
#:   make check-mm        the kernel's mm selftests: same verdicts as without the series
#:   make bench           instructions of core-mm, with and without the series
#:   make bench-check     the same, and none takes more than docs/performance.rst says
#:   make bisect-check    each patch by itself compiles and passes hmm-tests (hours)
#:   make mutate          break the code on purpose; the tests have to notice
#:   make shell           a prompt in a guest, driver loaded (GUEST=plain, debug, ...)
#:
#: Working on the code:
#:   make tree            lay out build/linux: kernel, driver, series
#:   make series          write the commits of build/linux back to patches/
#:   make kernel          build kernel and modules (FLAVOUR=base, debug, ...)
#:   make modules         the same; only what changed is compiled
#:   make clean           remove what was built; keep what was downloaded, and what
#:                        bisect-check has found to pass
#:   make distclean       remove build/ (refused while build/linux holds work)
#:
#: Variables: KSRC=DIR or KERNEL_TARBALL=FILE take another kernel, ACCEL= sets
#: QEMU's accelerator, JOBS= how many guests run at once, DEVMEM_OPTIONS= the
#: driver's parameters, SKIP_DEPS=1 installs no packages. STOCK=1 goes for shell, too.

# Packages, kernel source, guest user space

.PHONY: deps tree series
deps:
	@[ -n "$(SKIP_DEPS)" ] || $(S)/deps

tree: deps
	@$(S)/tree

series:
	@$(S)/series

.PHONY: guest-root
guest-root: deps
	@$(S)/guest-root

# Kernels

# The series and the kernel as it was fetched, without the driver, to be compared
COMPARED := series stock series-off stock-off

.PHONY: kernel modules kernel-base kernel-debug $(COMPARED:%=kernel-%)
kernel modules: kernel-$(FLAVOUR)

kernel-base kernel-debug $(COMPARED:%=kernel-%): kernel-%: tree
	@$(S)/kernel $*
	@$(S)/selftests $*

# Other architectures bring their compiler and their emulator.
FOREIGN := arm64 riscv64

.PHONY: $(FOREIGN:%=deps-%) $(FOREIGN:%=kernel-%)
$(FOREIGN:%=deps-%): deps-%: deps
	@[ -n "$(SKIP_DEPS)" ] || $(S)/deps $*

$(FOREIGN:%=kernel-%): kernel-%: tree deps-%
	@$(S)/kernel $*
	@$(S)/selftests $*

# Debian's kernel; its programs run with the guest's libraries.
.PHONY: kernel-debian
kernel-debian: guest-root
	@$(S)/debian-kernel

# Programs for the guest, compiled here against the guest's libraries

SYSROOT := build/guest/sysroot
GUEST_LIB := $(SYSROOT)/usr/lib/x86_64-linux-gnu
GUEST_CFLAGS := -O2 -g -std=gnu11 -Wall -Wextra -Wno-clobbered -Wno-unused-parameter \
	-Werror -D_GNU_SOURCE -Iinclude/uapi \
	-isystem $(SYSROOT)/usr/include -isystem $(SYSROOT)/usr/include/libdrm
# The guest's libraries want a newer libc than this machine may have.
GUEST_LDFLAGS := -Wl,--allow-shlib-undefined

.PHONY: programs
programs: guest-root
	@$(MAKE) -f $(S)/programs.mk SYSROOT="$(SYSROOT)" GUEST_LIB="$(GUEST_LIB)" \
		GUEST_CFLAGS="$(GUEST_CFLAGS)" GUEST_LDFLAGS="$(GUEST_LDFLAGS)" $(PROGRAMS)

# The tests take longer to compile than the driver, and the demonstration needs none.
demo: PROGRAMS = $(if $(STOCK),demo)

.PHONY: guest-base guest-debug guest-debian
guest-base guest-debug guest-debian: guest-%: kernel-% programs
	@$(S)/guest-overlay $*

.PHONY: $(COMPARED:%=guest-%)
$(COMPARED:%=guest-%): guest-%: kernel-% guest-root
	@$(S)/guest-overlay $*

.PHONY: $(FOREIGN:%=guest-%)
$(FOREIGN:%=guest-%): guest-%: kernel-%
	@$(S)/guest-root $*
	@$(S)/guest-overlay $*

# Tests

.PHONY: check check-kunit check-hmm check-igt check-bat check-spans check-scale bisect-check
.PHONY: check-debug
check check-kunit check-hmm check-igt check-bat check-spans check-scale: guest-base
	@$(S)/check $(@:check-%=%)

bisect-check: guest-base
	@$(S)/bisect-check $(PARTS) $(COMMITS)

check-debug: guest-base guest-debug
	@$(S)/check debug

# The guest gets half as much time again, and some more for boot and kmemleak.
MINUTES ?= 5
SEED ?= 0
.PHONY: stress fuzz
stress fuzz: guest-debug
	@MINUTES=$(MINUTES) SEED=$(SEED) GUEST_LIMIT=$$(($(MINUTES) * 90 + 900)) $(S)/check $@

.PHONY: check-stock
check-stock: tree guest-debian
	@$(S)/check stock

.PHONY: $(FOREIGN:%=check-%)
$(FOREIGN:%=check-%): check-%: guest-%
	@$(S)/check $*

.PHONY: check-ports
check-ports: tree
	@[ -n "$(SKIP_DEPS)" ] || $(S)/deps scripts/config/ports/packages
	@$(S)/check ports

.PHONY: check-size check-mm bench bench-check
check-size: tree
	@$(S)/check-size

check-mm: guest-stock guest-series
	@$(S)/check-mm

bench bench-check: guest-base guest-debian $(COMPARED:%=guest-%)
	@[ -n "$(SKIP_DEPS)" ] || $(S)/deps scripts/config/bench-packages
	@$(S)/bench $(if $(@:bench=),--check) $(TABLES)

.PHONY: check-gpu check-selftest lint mutate
check-gpu: guest-root
	@$(S)/check gpu

check-selftest: tree
	@$(S)/check selftest

lint: kernel-base programs
	@$(S)/check lint

mutate: guest-base
	@$(S)/mutate $(MUTATIONS)

# Interactive

# The kernel that the guest boots
GUEST_KERNEL := $(or $(shell sed -n 's/^kernel=//p' $(S)/config/guest/$(GUEST)), \
	$(error no guest '$(GUEST)' in $(S)/config/guest))

.PHONY: demo shell
demo: guest-$(GUEST_KERNEL)
	@$(S)/guest-program $(GUEST) svm_demo $(DEMO_ARGS)

shell: guest-$(GUEST_KERNEL)
	@$(S)/guest-shell $(GUEST)

.PHONY: clean distclean
clean:
	@$(S)/clean

distclean:
	@$(S)/clean --all
