#!/usr/bin/env bash
# Stops a cluster that was started with --detach (or from elsewhere). Its data stays.
#
#   bash scripts/stop-cluster-local.sh [--cluster NAME]
set -eu

# shellcheck source=scripts/environment.sh
. "$(dirname "$0")/environment.sh"
show_help runtime "$0" "$@"
[ -x "$PYTHON" ] || fail "There is no .venv here, so no cluster was started from this folder."
become_python -m kvnode.cluster stop "$@"
