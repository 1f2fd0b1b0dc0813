/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 devmem developers */
#ifndef IOCTL_WRAPPERS_H
#define IOCTL_WRAPPERS_H

/* ioctl() that is restarted; libigt points it elsewhere to inject signals. */
extern __thread int (*igt_ioctl)(int fd, unsigned long request, void *arg);

#endif /* IOCTL_WRAPPERS_H */
