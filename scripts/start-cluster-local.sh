#!/usr/bin/env bash
# Starts the cluster alone, in the foreground until Ctrl-C, or with --detach in the background.
#   bash scripts/start-cluster-local.sh --help
set -eu

# shellcheck source=scripts/environment.sh
. "$(dirname "$0")/environment.sh"
environment runtime
exec "$PYTHON" -P -m kvnode.cluster start "$@"
