#!/usr/bin/env bash
# Every static check of the repository, one after the other. All of them run;
# the exit status is 1 when one found something. Tool versions: tools/go.mod.
set -uo pipefail
cd "$(dirname "$0")/.."
root=$PWD

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=()

# check NAME COMMAND... runs one check and prints its output only if it fails.
check() {
  local name=$1 start=$SECONDS
  shift
  if "$@" >"$work/out" 2>&1; then
    printf 'ok    %-14s %3d s\n' "$name" $((SECONDS - start))
    sed -n 's/^skipped: /      skipped: /p' "$work/out"
  else
    printf 'FAIL  %-14s %3d s\n' "$name" $((SECONDS - start))
    cat "$work/out"
    failed+=("$name")
  fi
}

tool() { go tool -modfile="$root/tools/go.mod" "$@"; }

# each COMMAND... runs a command in the module and in those nested in it, and
# stops at the first that fails. The tools have no code of their own.
each() {
  local module
  for module in . $(find . -mindepth 2 -name go.mod -not -path '*/testdata/*' -not -path './tools/*' -exec dirname {} ';'); do
    (cd "$module" && "$@") || return 1
  done
}

go_files() { find . -name '*.go' -not -path './.git/*' -not -path './bin/*' -print0; }

format() {
  local unformatted
  unformatted=$(go_files | xargs -0 go tool -modfile=tools/go.mod gofumpt -l) || return 1
  [ -z "$unformatted" ] || { printf 'not formatted; run gofumpt -w on\n%s\n' "$unformatted"; return 1; }
}

vet() { each go vet ./...; }

# The determinism linter, over the packages that lint/simulated.txt lists.
determinism() {
  local module folders paths
  module=$(go list -m) || return 1
  folders=$(awk '$1 == "check" { print $2 }' lint/simulated.txt)
  [ -n "$folders" ] || { echo 'lint/simulated.txt lists no package'; return 1; }
  paths=$(sed "s|^|$module/|" <<<"$folders")
  go build -o "$work/detlint" ./cmd/detlint || return 1
  # shellcheck disable=SC2086 # the lists are split into words
  go vet -vettool="$work/detlint" -determinism.packages="$(paste -sd , - <<<"$paths")" $paths >"$work/found" 2>&1 && return
  sort -u "$work/found" # go vet names a file once for each test that includes it
  return 1
}

linters() { each tool golangci-lint run --allow-parallel-runners ./...; }

static() { each tool staticcheck ./...; }

tidy() {
  local module
  go mod tidy -diff || return 1
  for module in $(find . -mindepth 2 -name go.mod -not -path '*/testdata/*' -exec dirname {} ';'); do
    go -C "$module" mod tidy -diff || return 1
  done
}

# What go generate writes must be what is there already.
generated() {
  grep -rqs --include='*.go' '^//go:generate ' . || return 0
  checksums >"$work/before"
  go generate ./... || return 1
  checksums >"$work/after"
  diff "$work/before" "$work/after" || { echo 'go generate changed these files'; return 1; }
}

checksums() { find . -type f -not -path './.git/*' -print0 | sort -z | xargs -0 cksum; }

# A database that cannot be reached is no finding; what it holds may be.
vulnerabilities() {
  local status=0 why
  tool govulncheck ./... || status=$?
  [ $status -ne 0 ] && [ $status -ne 3 ] || return $status # 3: it found something
  why=$(grep -m 1 -E 'dial tcp|no such host|connection refused|i/o timeout|TLS handshake|Service Unavailable|Bad Gateway|Forbidden' "$work/out") || return 1
  echo "skipped: the vulnerability database cannot be reached: $why"
}

check format format
check vet vet
check determinism determinism
check golangci-lint linters
check staticcheck static
check tidy tidy
check generated generated
check govulncheck vulnerabilities

[ ${#failed[@]} -eq 0 ] || { echo "lint: ${#failed[@]} failed: ${failed[*]}"; exit 1; }
