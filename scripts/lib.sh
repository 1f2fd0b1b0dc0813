# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the scripts share: places, messages, and git without the user's settings.
# Sourced by bash scripts that start with 'set -euo pipefail'.

me=${0##*/}
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${DEVMEM_BUILD:-$top/build}
linux=${DEVMEM_LINUX:-$build/linux}
# The kernel that the project is for, and where Debian has it.
kernel_series=7.3
kernel_suite=trixie-backports

die()
{
	printf '%s: %s\n' "$me" "$*" >&2
	exit 1
}

say()
{
	printf '  %-8s %s\n' "$1" "${*:2}"
}

# Commits and patches must come out the same on every machine, so nobody's git
# configuration may have a say in them.
kgit()
{
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 \
	GIT_COMMITTER_NAME=devmem GIT_COMMITTER_EMAIL=devmem@localhost \
		git -C "$linux" -c core.abbrev=12 -c gc.auto=0 "$@"
}

# work_tree DIR COMMIT: make DIR a second work tree of build/linux, with COMMIT.
work_tree()
(
	flock 7
	linux=$build/linux
	kgit worktree prune
	[ -e "$1" ] || kgit worktree add -q --detach "$1" "$2"
	[ "$(git -C "$1" rev-parse HEAD)" = "$(kgit rev-parse "$2^{commit}")" ] ||
		git -C "$1" checkout -q --detach "$2"
) 7> "$build/.work-tree.lock"

# changed STAMP KEY: true when STAMP does not hold KEY. The caller writes the
# stamp (echo KEY > STAMP) once the work is done.
changed()
{
	[ "$(cat "$1" 2>/dev/null)" != "$2" ]
}

# One hash over the names and contents of the files below the given paths, of
# which some may be missing.
hash_files()
{
	{ find "$@" -type f -print0 2>/dev/null || true; } | LC_ALL=C sort -z |
		xargs -0r sha256sum | sha256sum | cut -d' ' -f1
}

# load_arch NAME: what scripts/config/arch/NAME tells, and where its guests' user
# space is.
load_arch()
{
	[ -r "$top/scripts/config/arch/$1" ] || die "no architecture '$1' in scripts/config/arch"
	arch=$1
	guest_root=$build/guest
	[ "$arch" = x86_64 ] || guest_root=$build/guest/$arch
	# shellcheck source=config/arch/x86_64
	. "$top/scripts/config/arch/$arch"
}

# load_flavour NAME: the architecture of a kernel, its fragments' files, and the
# commit that it is built from where that is not the head of build/linux.
load_flavour()
{
	local list=$top/scripts/config/flavours/$1 word name

	[ -r "$list" ] || die "no flavour '$1' in scripts/config/flavours"
	fragments=() commit=
	while read -r word name; do
		case $word in
		arch)
			load_arch "$name"
			word=$name
			;;
		commit)
			commit=$name
			linux=$build/linux-$name
			continue
			;;
		esac
		fragments+=("$top/scripts/config/kernel/$word.config")
	done < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$list")
}
