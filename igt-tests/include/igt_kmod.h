/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 devmem developers */
#ifndef IGT_KMOD_H
#define IGT_KMOD_H

#include <stdbool.h>

bool igt_kmod_is_loaded(const char *name);
int igt_kmod_load(const char *name, const char *options);
int igt_kmod_unload(const char *name);

#endif /* IGT_KMOD_H */
