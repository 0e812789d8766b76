#!/usr/bin/env bash
# Starts the cluster alone, in the foreground until Ctrl-C, or with --detach in the background.
#
#   bash scripts/start-cluster-local.sh [OPTIONS]
#
#   --cluster NAME         which cluster (quorum-lab); --name is the same
#   --nodes N              how many nodes (as created, else 3)
#   --replicas N           copies of each key (as created, else 3)
#   --base-port P          HTTP port of node-1 (as last time, else 9999)
#   --host ADDRESS         listen there, such as 0.0.0.0; makes a secret for nodes and a token for clients
#   --token                demand a token of clients, on 127.0.0.1 too, which all users of a computer share
#   --maintenance NAME=SECONDS  how often each maintenance task begins; --upkeep is the same
#   --detach               run in the background until scripts/stop-cluster-local.sh
#   --fresh                delete this cluster's data first
set -eu

# shellcheck source=scripts/environment.sh
. "$(dirname "$0")/environment.sh"
show_help runtime "$0" "$@"
environment runtime
become_python -m kvnode.cluster start "$@"
