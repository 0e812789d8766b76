#!/usr/bin/env bash
# Stops a cluster that was started with --detach (or from elsewhere). Its data stays.
#   bash scripts/stop-cluster-local.sh [--name NAME]
set -eu

# shellcheck source=scripts/environment.sh
. "$(dirname "$0")/environment.sh"
[ -x "$PYTHON" ] || fail "There is no .venv here, so no cluster was started from this folder."
exec "$PYTHON" -P -m kvnode.cluster stop "$@"
