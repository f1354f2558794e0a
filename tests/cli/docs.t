#!/bin/sh
# The documentation says what is: its examples run, its generated parts are fresh, its pages exist.
#
# In the man pages and the README, a line that begins with "$ " in a literal block is run, in order,
# in a folder with a fresh copy of dags/. It must end with status 0, or N where "# exit N" stands
# behind it. Lines below it are what it prints; "..." stands for the rest. Numbers that differ from
# run to run (times, durations) are not compared.
#
# In man pages a literal block of YAML is announced by a line above it:
#     .\" CHECK dag|tasks|params|schedule|contract|config      must be valid
#     .\" CHECK FOLDER/FILE.yaml                                 is written to that file
#     .\" PLAIN                                                  is not checked
# In the README, a block "```yaml PATH" is written to that file.
. "${top_srcdir:-.}/tests/lib/cli.sh"

man=$top_srcdir/man
pages=$(ls "$man"/weir*.[1-8])
mkdir "$T/bin"
ln -s "$WEIR" "$T/bin/weir"
PATH=$T/bin:$PATH
export PATH

# ---- reading the examples ----------------------------------------------------------------

# A page or the README as lines: "C LINE command", "O LINE output", "Y LINE kind-or-path" and its
# "L LINE text", "U LINE" for a block of which nobody says what it is.
mdoc_steps() { # PAGE
	awk '
	function plain(s) { gsub(/\\&/, "", s); gsub(/\\e/, "\\", s); return s }
	/^\.\\" CHECK / { kind = $3; next }
	/^\.\\" PLAIN/ { kind = "plain"; next }
	/^\.\\" BEGIN GENERATED/ { generated = 1; next }
	/^\.\\" END GENERATED/ { generated = 0; next }
	generated && /^Example:$/ { kind = "tasks"; next }
	/^\.Bd .*-literal/ {
		inside = 1; first = NR; commands = 0
		if (kind == "" && generated) kind = "plain"
		if (kind != "" && kind != "plain") print "Y", NR, kind
		next
	}
	/^\.Ed/ {
		if (inside && kind == "" && !commands) print "U", first
		inside = 0; kind = ""
		next
	}
	!inside || kind == "plain" { next }
	kind != "" { print "L", NR, plain($0); next }
	/^\$ / { commands++; print "C", NR, plain(substr($0, 3)); next }
	commands { print "O", NR, plain($0) }' "$1"
}

markdown_steps() { # FILE
	awk '
	/^```yaml / { path = $2; print "Y", NR, path; next }
	/^```console/ { console = 1; next }
	/^```sh/ { other = 1; next }
	/^```./ { print "U", NR; other = 1; next }
	/^```/ { path = ""; console = other = 0; next }
	path != "" { print "L", NR, $0; next }
	console && /^\$ / { print "C", NR, substr($0, 3); next }
	console { print "O", NR, $0 }' "$1"
}

# ---- running them ------------------------------------------------------------------------

# A folder with the demo as it is in a fresh clone.
fresh() { # DIR
	mkdir -p "$1" || return
	cp -R "$top_srcdir/dags" "$1/dags" && chmod -R u+w "$1/dags" || return
	rm -rf "$1/dags/out" "$1/dags/sample" "$1/dags/quarantine" "$1"/dags/*.db*
}

# What differs from run to run: the place, the clock, durations, the machine.
blur() {
	sed -E "s,$dir/home,/home/me/.local/state/weir,g; s,$dir,/home/me,g"'
		s/^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z  /TIME  /
		s/done on [0-9-]+ [0-9:]+/done on TIME/
		s/(just now|[0-9]+[smhd] ago)/AGO/g
		s/(at|since) [0-9:]{8} \(AGO\)/\1 TIME (AGO)/g
		s/[0-9]+ jobs? at a time/N jobs at a time/
		s/(^|[ (])([0-9]+ms|[0-9]+\.[0-9]s|[0-9]+m[0-9]{2}s)/\1DURATION/g
		s/ +/ /g; s/ $//'
}

# The first program of a command that this machine does not have.
missing_tool() { # COMMAND
	printf '%s\n' "$1" | sed "s/'[^']*'//g; s/\"[^\"]*\"//g" | tr '|' '\n' | while read -r word rest; do
		command -v "$word" >/dev/null || { echo "$word"; break; }
	done
}

run_command() { # NAME COMMAND
	wanted=0
	case $2 in *'# exit '*) wanted=${2##*# exit } ;; esac
	tool=$(missing_tool "$2")
	if [ -n "$tool" ]; then
		skip "$1: $2" "$tool is not installed"
		return
	fi
	(cd "$dir" && exec sh -c "$2") >"$T/printed" 2>&1 </dev/null
	got=$?
	if [ "$got" != "$wanted" ]; then
		fail "$1: $2" "status $got, not $wanted
$(head -n 20 "$T/printed")"
		return
	fi
	if [ -s "$T/expected" ]; then
		blur <"$T/expected" >"$T/expected.blurred"
		blur <"$T/printed" >"$T/printed.blurred"
		if [ "$(tail -n 1 "$T/expected.blurred")" = ... ]; then
			n=$(($(wc -l <"$T/expected.blurred") - 1))
			head -n "$n" "$T/printed.blurred" >"$T/head"
			mv "$T/head" "$T/printed.blurred"
			sed -i '$d' "$T/expected.blurred"
		fi
		if ! cmp -s "$T/expected.blurred" "$T/printed.blurred"; then
			fail "$1: $2" "it prints something else:
$(diff "$T/expected.blurred" "$T/printed.blurred")"
			return
		fi
	fi
	pass "$1: $2"
}

# The text as a whole file of its kind, below $dir/dags.
write_yaml() { # KIND TEXT-FILE
	case $1 in
	contract) yaml=dags/contracts/example.yaml ;;
	config)
		mkdir -p "$dir/config"
		yaml=config/weir.yaml
		;;
	*) yaml=dags/example.yaml ;;
	esac
	case $1 in
	dag | contract | config) cat "$2" ;;
	tasks)
		printf 'dag: example\nparams: { region: eu }\ntasks:\n'
		sed 's/^./  &/' "$2"
		;;
	params | schedule)
		echo "dag: example"
		cat "$2"
		printf "tasks:\n  one: { run: 'true' }\n"
		;;
	*) echo "unknown kind $1" ;;
	esac >"$dir/$yaml"
}

finish_step() {
	case $step in
	command) run_command "$where:$line" "$command" ;;
	yaml)
		case $kind in
		*/*)
			mkdir -p "$dir/${kind%/*}"
			cp "$T/text" "$dir/$kind"
			;;
		*)
			write_yaml "$kind" "$T/text"
			if (cd "$dir" && "$WEIR" validate --strict "$yaml") >"$T/printed" 2>&1; then
				pass "$where:$line: $kind"
			else
				fail "$where:$line: $kind" "$(cat "$T/printed")"
			fi
			rm -f "$dir/$yaml"
			;;
		esac
		;;
	esac
	step=
}

run_steps() { # NAME STEPS-FILE
	where=$1 dir=$T/examples/$1 step=
	[ -s "$2" ] || return 0
	fresh "$dir" || { fail "$1: a copy of dags/"; return; }
	WEIR_HOME=$dir/home
	while IFS= read -r row; do
		what=${row%% *} rest=${row#? }
		number=${rest%% *} text=${rest#"$number"}
		text=${text# }
		case $what in
		C)
			finish_step
			step=command line=$number command=$text
			: >"$T/expected"
			;;
		O) printf '%s\n' "$text" >>"$T/expected" ;;
		Y)
			finish_step
			step=yaml line=$number kind=$text
			: >"$T/text"
			;;
		L) printf '%s\n' "$text" >>"$T/text" ;;
		U) fail "$1:$number: a block that is neither run nor checked nor marked PLAIN" ;;
		esac
	done <"$2"
	finish_step
	rm -rf "$dir"
}

markdown_steps "$top_srcdir/README.md" >"$T/steps"
run_steps README.md "$T/steps"
is "$(grep -c '^C ' "$T/steps" | awk '{ print ($1 >= 8) }')" 1 "the README has examples that are run"

total=0
for page in $pages; do
	mdoc_steps "$page" >"$T/steps"
	total=$((total + $(grep -c '^[CY] ' "$T/steps")))
	run_steps "${page##*/}" "$T/steps"
done
is "$((total >= 40))" 1 "the man pages have examples that are run ($total)"

# ---- what is told by hand, of the program's own output -------------------------------------

# Each word is a macro's word in the page.
tells() { # PAGE MACRO WORDS-FILE
	sort -u "$3" | while read -r word; do
		grep -qE "^\\.(It |Pq )?$2 (.*[ ,])?$word( |,|\$)" "$man/$1" || echo "$1 does not tell of $word"
	done
}

fresh "$T/told"
cd "$T/told" || exit 99
WEIR_HOME=$T/told/home
cat >env.yaml <<'END'
dag: env
tasks:
  again: { run: exit 3, retries: 1, backoff: { initial: 0s } }
  print: { run: "env | sed -n 's/^\\(WEIR_[A-Z_]*\\)=.*/\\1/p'" }
END
weir run env.yaml --date 2026-11-19
weir logs env print --quiet
sed -i '/^WEIR_CASES$/d' "$T/out"
is "$(grep -c . "$T/out") $(tells weir-run.1 Ev "$T/out")" "11 " "weir-run.1 tells of each variable a command gets"

# Of all that is in the JSON, but for what users name themselves.
keys='paths | map(strings) | select(any(.[:-1][]; IN("outputs", "params", "sample", "with")) | not) | .[]'
if command -v jq >/dev/null; then
	: >"$T/keys"
	for words in "env.yaml --date 2026-11-20" "dags/nightly_sales.yaml --date 2026-11-19" \
		"dags/nightly_sales.yaml --date 2026-11-19 --force --dry-run"; do
		weir run $words --json
		jq -r "$keys" "$T/out" >>"$T/keys"
	done
	is "$(tells weir-run.1 Va "$T/keys")" '' "weir-run.1 tells of each key of the events"
	for words in status "runs nightly_sales" "show nightly_sales --events"; do
		weir $words --json
		jq -r "$keys" "$T/out" >"$T/keys"
		is "$(tells weir-status.1 Va "$T/keys")" '' "weir-status.1 tells of each key of weir $words"
	done
	weir graph dags/nightly_sales.yaml --json
	jq -r "$keys" "$T/out" >"$T/keys"
	is "$(tells weir-graph.1 Va "$T/keys")" '' "weir-graph.1 tells of each key of weir graph"
else
	skip "the pages tell of each key of JSON" "jq is not installed"
fi
cd "$T" || exit 99

# ---- the pages themselves ----------------------------------------------------------------

linked_page() { sed -n 's,^\.so man[1-8]/,,p' "$1"; }

if command -v mandoc >/dev/null; then
	for page in $pages; do
		link=$(linked_page "$page")
		if [ -n "$link" ]; then
			check "${page##*/} stands for a page" test -f "$man/$link"
			continue
		fi
		# Whether pages exist is asked below: they need not be installed.
		is "$(mandoc -T lint "$page" 2>&1 | grep -v 'referenced manual not found')" '' \
			"${page##*/}: mandoc's lint has nothing to say"
	done
else
	skip "mandoc's lint" "mandoc is not installed"
fi

check "the generated regions are fresh" sh "$man/update-docs.sh" --check --weir "$WEIR"

for name in $(sed -n 's/^\.Xr \(weir[a-z.-]*\) \([1-8]\).*/\1.\2/p' $pages | sort -u); do
	check "$name, which a page names, exists" test -f "$man/$name"
done

for page in $pages; do
	name=${page##*/}
	[ "$name" = weir.1 ] || check "weir.1 names $name" \
		grep -q "^\.Xr ${name%.*} ${name##*.}\( \|\$\)" "$man/weir.1"
done

weir help
for cmd in $(sed -n '/^Start with/q; s/^  \([a-z][a-z-]*\)  .*/\1/p' "$T/out"); do
	check "weir.1 lists weir $cmd" grep -q "^\.It Cm $cmd\$" "$man/weir.1"
	case $cmd in
	help | version) check "weir.1 explains weir $cmd" grep -q "^\.Cm $cmd" "$man/weir.1" ;;
	*)
		check "weir $cmd has a page" test -f "$man/weir-$cmd.1" -o -f "$man/weir-$cmd.8"
		;;
	esac
done
for page in $pages; do
	name=${page##*/weir-}
	case $name in
	# The page of a group of commands has a name of its own.
	interventions.1) check "${page##*/} is of commands" grep -q 'BEGIN GENERATED synopsis' "$page" ;;
	*.[18]) [ "${page##*/}" = weir.1 ] || check "${page##*/} is of a command" "$WEIR" "${name%.?}" --help ;;
	esac
done

for name in $(grep -oE '`man ([1-8] )?[a-z.-]+`' "$top_srcdir/README.md" | tr -d '`' | awk '{ print $NF }' | sort -u); do
	check "the README's page $name exists" sh -c "ls '$man/$name'.[1-8]"
done
for file in README.md NEWS.md CONTRIBUTING.md; do
	for link in $(grep -oE '\]\([^)#:]+\)' "$top_srcdir/$file" | sed 's/^](//; s/)$//' | sort -u); do
		check "$file: $link exists" test -e "$top_srcdir/$link"
	done
done
for path in $(grep -oE '`(src|operators|dags|man|tests|build-aux)/[A-Za-z0-9_./-]*`' "$top_srcdir/CONTRIBUTING.md" |
	tr -d '`' | grep -v '[A-Z][A-Z]' | sort -u); do
	check "CONTRIBUTING.md: $path exists" test -e "$top_srcdir/$path"
done

finish
