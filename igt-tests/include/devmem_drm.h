/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 devmem developers */

/* In an IGT checkout the uapi header itself has this name, in include/drm-uapi. */
#include <drm/devmem_drm.h>
