/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 devmem developers */
#ifndef IGT_DEBUGFS_H
#define IGT_DEBUGFS_H

int igt_debugfs_open(int fd, const char *filename, int mode);

#endif /* IGT_DEBUGFS_H */
