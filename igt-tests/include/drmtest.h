/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 devmem developers */
#ifndef DRMTEST_H
#define DRMTEST_H

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Every driver but vgem, vkms and virtio_gpu; IGT_FORCE_DRIVER names one. */
#define DRIVER_ANY	(~0x604)

int drm_open_driver(int chipset);
int drm_open_driver_render(int chipset);
int __drm_open_driver(int chipset);
int __drm_open_driver_render(int chipset);
int __drm_open_driver_another(int index, int chipset);
int drm_close_driver(int fd);
int drm_reopen_driver(int fd);

#endif /* DRMTEST_H */
