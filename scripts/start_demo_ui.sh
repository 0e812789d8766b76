#!/usr/bin/env bash
# Starts the whole lab: three database nodes, traffic on them, JupyterLab on the first notebook.
# Ctrl-C stops all that it started.
#
#   bash scripts/start_demo_ui.sh [OPTIONS]
#
#   --nodes N        database nodes (3)
#   --rate R         operations/s at the start (50); 0 starts quietly
#   --cluster NAME   the cluster's name (quorum-lab); one that runs already is used. --name is the same
#   --port P         port of the traffic service and its status page (7342)
#   --base-port P    first node's port (9999)
#   --lab-port P     JupyterLab's port, or the next free (8888)
#   --no-browser     do not open a browser
#   --no-lab         no JupyterLab: cluster, traffic and status page
set -eu

# shellcheck source=scripts/environment.sh
. "$(dirname "$0")/environment.sh"
show_help runtime "$0" "$@"
environment runtime
become_python -m labkit.launch.start "$@"
