#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, for the time given: scripts/fuzz.sh 30s
# What a target finds is left by go test in its testdata/fuzz, to be committed with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
fuzztime=${1:-1m}
go=${GO:-go}

# "./dir FuzzName", found in the sources: asking `go test -list` would compile every package first.
targets=$(grep -rhoE --include='*_test.go' --exclude-dir=.git --exclude-dir=tools --with-filename '^func Fuzz[A-Za-z0-9_]*' . |
	sed -E 's,/[^/]*_test\.go:func , ,' | sort -u)
if [ -z "$targets" ]; then
	echo "no fuzz targets found" >&2
	exit 1
fi

failed=()
table=""
total=0
while read -r dir name; do
	echo "== $dir $name for $fuzztime"
	out=$(mktemp)
	"$go" test -run='^$' -fuzz="^$name\$" -fuzztime="$fuzztime" -fuzzminimizetime=2s "$dir" </dev/null | tee "$out" || failed+=("$dir $name")
	# The last progress line holds the count of all executions.
	execs=$(sed -nE 's/^fuzz: elapsed: .* execs: ([0-9]+) .*/\1/p' "$out" | tail -n 1)
	rm -f "$out"
	total=$((total + ${execs:-0}))
	table+=$(printf '%12d  %s %s' "${execs:-0}" "$dir" "$name")$'\n'
done <<<"$targets"

echo
echo "executions by target, $fuzztime each:"
printf '%s' "$table"
echo "$total executions of $(wc -l <<<"$targets") fuzz targets, ${#failed[@]} failed"
if [ "${#failed[@]}" -gt 0 ]; then
	printf '  %s\n' "${failed[@]}"
	exit 1
fi
