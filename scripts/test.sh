#!/usr/bin/env bash
# Checks everything: lint, types, house rules, unit, simulation, planted bugs, live processes, notebooks, browser.
#
#   bash scripts/test.sh [--fast] [--install] [STAGE ...]
#
#   --fast      leaves out what starts processes: live, nbval, browser
#   --install   installs missing system packages by apt (as CI=true does): chromium, strace
#   STAGE       only these, of: lint types house unit simulation mutants live nbval browser
set -eu

# shellcheck source=scripts/environment.sh
. "$(dirname "$0")/environment.sh"
show_help test "$0" "$@"
environment test
cd "$ROOT"
exec "$PYTHON" scripts/run_tests.py "$@"
