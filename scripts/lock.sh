#!/usr/bin/env bash
# Makes scripts/lock/*.txt anew from pyproject.toml (needs uv): every package that an installation can
# need on any system, pinned and with hashes, so that plain pip installs it with --require-hashes.
#
#   bash scripts/lock.sh             keeps the versions that still fit
#   bash scripts/lock.sh --upgrade   takes the newest of everything
#
# environment.yml carries the same pins by hand; tests/house/test_packaging.py says where they differ.
set -eu

cd "$(dirname "$0")/.."
command -v uv >/dev/null 2>&1 || { echo "lock.sh: uv is not on the PATH" >&2; exit 1; }

# What builds the project must be in the lock too: it is installed without build isolation.
build=$(mktemp "${TMPDIR:-/tmp}/quorum-lab-build.XXXXXX")
trap 'rm -f "$build"' EXIT
sed -n 's/^requires = \["\(.*\)"\]$/\1/p' pyproject.toml >"$build"
[ -s "$build" ] || { echo "lock.sh: no [build-system] requires in pyproject.toml" >&2; exit 1; }

compile() {
    uv pip compile pyproject.toml "$build" --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --no-annotate --quiet "$@"
}
compile -o scripts/lock/runtime.txt "$@"
compile --extra test -c scripts/lock/runtime.txt -o scripts/lock/test.txt "$@"
wc -l scripts/lock/runtime.txt scripts/lock/test.txt
