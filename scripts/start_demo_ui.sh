#!/usr/bin/env bash
# Starts the whole lab: three database nodes, traffic on them, JupyterLab on the first notebook.
# Ctrl-C stops all that it started.   bash scripts/start_demo_ui.sh --help
set -eu

# shellcheck source=scripts/environment.sh
. "$(dirname "$0")/environment.sh"
environment runtime
exec "$PYTHON" -P -m labkit.demo "$@"
