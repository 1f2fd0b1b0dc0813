/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 devmem developers */
#ifndef _DEVMEM_PEER_H_
#define _DEVMEM_PEER_H_

#include <linux/types.h>

struct devmem_device;
struct drm_pagemap;

u32 devmem_peer_group(const struct devmem_device *dm);
int devmem_peer_join(struct devmem_device *dm);
struct drm_pagemap *devmem_peer_open(struct devmem_device *dm, int fd);

#endif /* _DEVMEM_PEER_H_ */
