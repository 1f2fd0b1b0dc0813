# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The two directions between patches/ and commits, used by 'tree' and 'series'.

# One at a time: they move the branch of build/linux.
mkdir -p "$build"
exec 9> "$build/.tree.lock"
flock 9

patches=${DEVMEM_PATCHES:-$top/patches}

# Names of the patches that patches/series lists; none is a valid series.
series_names()
{
	[ -f "$patches/series" ] || return 0
	sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$patches/series"
}

# series_write FROM TO DIR: commits FROM..TO as patches and a series file.
series_write()
{
	mkdir -p "$3"
	kgit format-patch -q --zero-commit --no-signature --no-numbered --no-thread \
		--no-cover-letter --no-attach --no-renames --abbrev=12 \
		--diff-algorithm=myers --src-prefix=a/ --dst-prefix=b/ \
		-o "$3" "$1..$2"
	(cd "$3" && ls | grep '\.patch$' || true) > "$3/series"
}

# series_same DIR: does patches/ hold the patches and the order of DIR?
series_same()
{
	local name

	[ "$(series_names)" = "$(cat "$1/series")" ] || return 1
	while read -r name; do
		cmp -s "$patches/$name" "$1/$name" || return 1
	done < "$1/series"
	# A patch that no line of patches/series names is a mistake.
	[ "$(ls "$patches" 2>/dev/null | grep -c '\.patch$')" = "$(grep -c . "$1/series")" ]
}

# series_apply BASE: apply patches/ to BASE beside the work tree and print the
# resulting commit. A worktree without files serves: git am takes the files it
# patches out of the index.
series_apply()
{
	local am name commit

	am=$(mktemp -d "$build/am.XXXXXX")
	kgit worktree add -q --detach --no-checkout "$am" "$1"
	(
		linux=$am
		kgit reset -q --mixed
		for name in $(series_names); do
			[ -f "$patches/$name" ] || die "patches/series names $name, which is not there"
			# am keeps the files of earlier patches; it needs the rest absent.
			kgit am -q --keep-non-patch --keep-cr --no-3way --whitespace=nowarn \
				--committer-date-is-author-date "$patches/$name" >"$am.log" 2>&1 || {
				cat "$am.log" >&2
				rm -f "$am.log"
				die "patches/$name does not apply; build/linux is as it was"
			}
		done
	) || { kgit worktree remove --force "$am"; return 1; }
	commit=$(git -C "$am" rev-parse HEAD)
	kgit worktree remove --force "$am"
	rm -f "$am.log"
	echo "$commit"
}
