#!/bin/sh
# Refresh the generated regions of the man pages from a weir binary's own tables.
#
#     update-docs.sh [--check] [[--weir] PATH] [PAGE...]
#
# A region is what stands between these two lines; its words are given to "weir doc":
#
#     .\" BEGIN GENERATED options run
#     .\" END GENERATED
#
# --check changes nothing and fails when a region is stale. Without PAGEs: all of this folder. A
# word that is no page, whose name would end in its section, is the PATH of the binary.
set -eu

here=$(dirname "$0")
weir=${WEIR:-weir}
check=
while [ $# -gt 0 ]; do
	case $1 in
	--check) check=1 ;;
	--weir)
		[ $# -gt 1 ] || { echo "update-docs.sh: --weir needs a path" >&2; exit 2; }
		weir=$2
		shift
		;;
	-*) echo "usage: update-docs.sh [--check] [[--weir] PATH] [PAGE...]" >&2; exit 2 ;;
	*.[1-8]) break ;;
	*) weir=$1 ;;
	esac
	shift
done

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' HUP INT TERM

# What mandoc's lint likes: running text in short lines, no paragraph before a block that begins one.
fold_text() {
	awk '
	held { if (!/^\.Bd/) print ".Pp"; held = 0 }
	/^\.Pp$/ { held = 1; next }
	/^\.Bd .*-literal/ { literal = 1 }
	/^\.Ed/ { literal = 0 }
	literal || /^\./ || length($0) < 80 { print; next }
	{
		line = ""
		for (i = 1; i <= NF; i++) {
			if (line != "" && length(line) + 1 + length($i) > 79) {
				print line
				line = ""
			}
			line = line == "" ? ($i ~ /^[.\047]/ ? "\\&" $i : $i) : line " " $i
		}
		print line
	}
	END { if (held) print ".Pp" }'
}

# Print page $1 with its regions made anew.
refresh() {
	inside=
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in
		'.\" BEGIN GENERATED '*)
			[ -z "$inside" ] || { echo "$1: a region begins inside a region" >&2; return 1; }
			inside=1
			printf '%s\n' "$line"
			# The words of the line are arguments: splitting is wanted.
			# shellcheck disable=SC2086
			set -- "$1" ${line#'.\" BEGIN GENERATED '}
			page=$1
			shift
			"$weir" doc "$@" >"$tmp/fragment" || { echo "$page: weir doc $* failed" >&2; return 1; }
			fold_text <"$tmp/fragment"
			set -- "$page"
			;;
		'.\" END GENERATED'*)
			[ -n "$inside" ] || { echo "$1: a region ends that never began" >&2; return 1; }
			inside=
			printf '%s\n' "$line"
			;;
		*) [ -n "$inside" ] || printf '%s\n' "$line" ;;
		esac
	done <"$1"
	[ -z "$inside" ] || { echo "$1: a region does not end" >&2; return 1; }
}

[ $# -gt 0 ] || set -- "$here"/*.[1-8]
stale=0
for page in "$@"; do
	[ -f "$page" ] || continue
	refresh "$page" >"$tmp/page" </dev/null || exit 1
	cmp -s "$page" "$tmp/page" && continue
	if [ -n "$check" ]; then
		echo "$page is stale; run man/update-docs.sh" >&2
		diff "$page" "$tmp/page" | head -n 10 >&2 || :
		stale=1
	else
		cat "$tmp/page" >"$page"
		echo "$page"
	fi
done
exit $stale
