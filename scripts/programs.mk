# SPDX-License-Identifier: GPL-2.0
#
# Programs that run in the guest: IGT tests, the demonstration and the example of
# docs/uapi.rst. Called by the top Makefile once the guest's user space is unpacked.

.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

igt := $(patsubst igt-tests/%.c,build/igt/%,$(wildcard igt-tests/devmem_*.c))
igt_lib := $(wildcard igt-tests/lib/*.c)
demo := $(patsubst demo/%.c,build/demo/%,$(wildcard demo/*.c)) build/demo/uapi_example
headers := $(wildcard include/uapi/drm/*.h igt-tests/include/*.h igt-tests/lib/*.h igt-tests/*.h)

.PHONY: all demo
all: $(igt) $(demo) build/igt/.symbols build/igt/.tidy
	@:

demo: $(demo)
	@:

build/igt build/demo:
	@mkdir -p $@

build/igt/%: igt-tests/%.c $(igt_lib) $(headers) build/guest/.unpacked | build/igt
	@echo "  CC       $@"
	@gcc $(GUEST_CFLAGS) -Iigt-tests/include -Iigt-tests $< $(igt_lib) -o $@ \
		$(GUEST_LIB)/libigt.so.0 $(GUEST_LIB)/libdrm.so.2 $(GUEST_LDFLAGS) -lpthread

build/demo/%: demo/%.c $(headers) build/guest/.unpacked | build/demo
	@echo "  CC       $@"
	@gcc $(GUEST_CFLAGS) $< -o $@ $(GUEST_LIB)/libdrm.so.2 $(GUEST_LDFLAGS) -lpthread

build/demo/uapi_example: docs/uapi.rst scripts/doc-code $(headers) build/guest/.unpacked | build/demo
	@echo "  CC       $@"
	@scripts/doc-code $< > $@.c
	@gcc $(GUEST_CFLAGS) $@.c -o $@ $(GUEST_LIB)/libdrm.so.2 $(GUEST_LDFLAGS)

# The linker was told to accept undefined symbols, so ask here whether each one
# that a test uses exists in the guest.
build/igt/.symbols: $(igt) scripts/check-symbols build/guest/.unpacked | build/igt
	@$(if $(igt),scripts/check-symbols $(GUEST_LIB) $(igt))
	@touch $@

# A test that was removed here must not go on in the guest.
build/igt/.tidy: $(igt) | build/igt
	@cd build/igt && rm -f $(filter-out $(notdir $(igt)),$(notdir $(filter-out %.map,$(wildcard build/igt/devmem_*)))) .none
	@touch $@
