// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 devmem developers */

#ifndef __CHECKER__
#define CREATE_TRACE_POINTS
#include "devmem_trace.h"
#endif
