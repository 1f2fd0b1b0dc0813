// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's selftests give each test half a minute, which their harness waits
 * in poll(). That is for real machines; an emulated one with KASAN on a busy host
 * is many times slower. Linked with --wrap=poll.
 */

#include <poll.h>

int __real_poll(struct pollfd *fds, nfds_t nfds, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t nfds, int timeout);

int __wrap_poll(struct pollfd *fds, nfds_t nfds, int timeout)
{
	return __real_poll(fds, nfds, timeout > 0 ? timeout * 8 : timeout);
}
