#!/usr/bin/env bash
# Makes .venv from the lock files, or finds that it is up to date (then it takes no time).
#
#   bash scripts/environment.sh [runtime|test]       by hand
#   . scripts/environment.sh; environment runtime    from another script; afterwards "$PYTHON" is the venv's
#
# Needs only python3 (3.11 or later) and pip, or uv. Written for bash 3.2, which macOS has.
# How it knows that it is done: .venv/.installed-<kind> holds exactly what was installed (the lock, the
# project file, the Python version, the folder). .venv.installing exists while an installation runs: who
# finds it, holding the lock, finds an interrupted one and begins afresh.
set -eu

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
VENV="$ROOT/.venv"
PYTHON="$VENV/bin/python"
INSTALLING="$ROOT/.venv.installing"
SETUP_LOG=""
STEP_PID=""

say() { printf '%s\n' "$*" >&2; }

fail() {
    say ""
    while [ $# -gt 0 ]; do say "$1"; shift; done
    exit 1
}

# What .venv must have been made from, as text; compared with what it was made from.
wanted_state() { # kind
    printf 'folder %s\n' "$ROOT"
    "$PYTHON" -c 'import sys; print("python", sys.version)' 2>/dev/null || printf 'python none\n'
    cat "$ROOT/pyproject.toml" "$ROOT/scripts/lock/$1.txt"
}

is_ready() { # kind
    [ -f "$VENV/.installed-$1" ] && [ ! -e "$INSTALLING" ] && wanted_state "$1" | cmp -s - "$VENV/.installed-$1"
}

# Runs a command with its output in the log; shows the seconds while it takes longer than one.
step() { # message command...
    local message=$1 began now
    shift
    began=$(date +%s)
    printf '  %s ... ' "$message" >&2
    "$@" >>"$SETUP_LOG" 2>&1 </dev/null &
    STEP_PID=$!
    while kill -0 "$STEP_PID" 2>/dev/null; do
        now=$(date +%s)
        if [ -t 2 ]; then printf '\r  %s ... %d s ' "$message" $((now - began)) >&2; fi
        sleep 0.2 2>/dev/null || sleep 1
    done
    local status=0
    wait "$STEP_PID" || status=$?
    STEP_PID=""
    now=$(date +%s)
    if [ -t 2 ]; then printf '\r  %s ... ' "$message" >&2; fi
    if [ "$status" -eq 0 ]; then say "done ($((now - began)) s)"; else say "failed after $((now - began)) s"; fi
    return "$status"
}

interrupted() { # signal number
    trap '' INT TERM HUP # a second Ctrl-C must not stop us from cleaning up
    if [ -n "$STEP_PID" ]; then
        kill "$STEP_PID" 2>/dev/null || true
        wait "$STEP_PID" 2>/dev/null || true
    fi
    rm -f "$SETUP_LOG" # it tells of nothing but the interruption
    say ""
    say "Interrupted; the next start begins the installation afresh."
    exit $((128 + $1))
}

# A python3 of at least 3.11: $QUORUM_LAB_PYTHON if set, else the first that is new enough.
find_python() {
    local candidate found="" version
    if [ -n "${QUORUM_LAB_PYTHON:-}" ]; then set -- "$QUORUM_LAB_PYTHON"; else set -- python3 python3.13 python3.12 python3.11; fi
    for candidate in "$@"; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        version=$("$candidate" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            # of an active virtual environment, the Python beneath it: it may be this .venv, about to be remade
            "$candidate" -c 'import sys; print(getattr(sys, "_base_executable", "") or sys.executable)' 2>/dev/null
            return 0
        fi
        [ -n "$found" ] || found="$candidate is Python $version"
    done
    if [ -n "${QUORUM_LAB_PYTHON:-}" ]; then found="${found:-\$QUORUM_LAB_PYTHON, $QUORUM_LAB_PYTHON, is no Python}"; fi
    fail "${found:-No python3 was found on the PATH}; Quorum Lab needs Python 3.11 or later." \
        "  Debian, Ubuntu:  sudo apt install python3 python3-venv python3-pip" \
        "  Fedora:          sudo dnf install python3 python3-pip" \
        "  macOS:           brew install python3" \
        "If one is installed elsewhere, name it:  export QUORUM_LAB_PYTHON=/path/to/python3.12"
}

# One installation at a time: flock(2) on this very file, taken by Python on a descriptor that this shell
# holds (macOS has no flock command). The kernel drops it with the last holder, so it can never go stale.
take_lock() { # python
    exec 9<"$ROOT/scripts/environment.sh"
    if ! "$1" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null; then
        say "Another start is preparing .venv; waiting for it ..."
        "$1" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' 2>/dev/null || true
    fi
}

make_venv() { # python
    rm -rf "$VENV"
    if command -v uv >/dev/null 2>&1 && step "making .venv with uv" uv venv --seed --python "$1" "$VENV"; then
        return 0
    fi
    rm -rf "$VENV"
    if "$1" -c 'import ensurepip; ensurepip.version()' 2>/dev/null; then
        if step "making .venv" "$1" -m venv "$VENV"; then return 0; fi
    elif "$1" -c 'import venv, pip.__main__' 2>/dev/null; then
        # Debian without python3-venv: an environment without pip, filled by the pip outside of it.
        say "  this python3 has no ensurepip: using the pip outside of .venv"
        if step "making .venv" "$1" -m venv --without-pip "$VENV"; then return 0; fi
    else
        fail "$1 has neither the venv module nor pip, and uv is not on the PATH. Type one of these, then start again:" \
            "  Debian, Ubuntu:  sudo apt install python3-venv python3-pip" \
            "  Fedora:          sudo dnf install python3-pip" \
            "  Arch:            sudo pacman -S python-pip"
    fi
    tail -n 15 "$SETUP_LOG" >&2
    fail "Could not make $VENV. Is the disk full, or the folder not writable?"
}

# The pip inside .venv, else the one outside of it. Only for step: exec, so that who interrupts meets pip itself.
pip_install() { # python arguments...
    local outside=$1
    shift
    export PIP_USER=0
    if "$PYTHON" -c 'import pip.__main__' 2>/dev/null; then
        exec "$PYTHON" -m pip --disable-pip-version-check --no-input install "$@"
    else
        exec "$outside" -m pip --python "$PYTHON" --disable-pip-version-check --no-input install "$@"
    fi
}

install_packages() { # kind python
    local lock="$ROOT/scripts/lock/$1.txt" count
    count=$(grep -c '^[a-z0-9].*==' "$lock")
    if command -v uv >/dev/null 2>&1; then
        if step "installing $count packages with uv" \
            uv pip install --python "$PYTHON" --require-hashes -r "$lock"; then return 0; fi
        say "  uv could not do it; trying pip"
    fi
    step "installing $count packages with pip (1-2 minutes)" \
        pip_install "$2" --require-hashes -r "$lock"
}

install_project() { # python
    # hatchling, which builds it, comes from the lock: nothing is fetched beside the lock.
    if command -v uv >/dev/null 2>&1 && step "installing Quorum Lab itself" \
        uv pip install --python "$PYTHON" --no-deps --no-build-isolation -e "$ROOT"; then return 0; fi
    step "installing Quorum Lab itself" pip_install "$1" --no-deps --no-build-isolation -e "$ROOT"
}

explain_failure() {
    say ""
    say "The last lines of the log (whole: $SETUP_LOG):"
    tail -n 12 "$SETUP_LOG" | sed 's/^/  | /' >&2
    if grep -qiE 'name resolution|network is unreachable|newconnectionerror|dns error|error sending request|connecttimeout|connection refused|nodename nor servname|retries exceeded' "$SETUP_LOG"; then
        fail "The package index could not be reached. The first start needs the network (later ones do not):" \
            "check the connection, or behind a proxy set HTTPS_PROXY, and start again."
    fi
    fail "The installation failed. Start again; if it fails the same way, remove .venv and look at the log."
}

install_environment() { # kind
    local python
    python=$(find_python) || exit 1
    take_lock "$python"
    if is_ready "$1"; then exec 9<&-; return 0; fi
    SETUP_LOG=$(mktemp "${TMPDIR:-/tmp}/quorum-lab-setup.XXXXXX")
    trap 'interrupted 2' INT
    trap 'interrupted 15' TERM
    trap 'interrupted 1' HUP
    say "Preparing the environment in .venv (Python from $python)"
    if [ -e "$INSTALLING" ] || ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        [ ! -d "$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' 2>/dev/null)" ] ||
        { [ -f "$VENV/.folder" ] && [ "$(cat "$VENV/.folder")" != "$ROOT" ]; }; then
        : >"$INSTALLING"
        make_venv "$python"
    fi
    : >"$INSTALLING"
    rm -f "$VENV/.installed-runtime" "$VENV/.installed-test"
    printf '%s\n' "$ROOT" >"$VENV/.folder"
    install_packages "$1" "$python" || explain_failure
    install_project "$python" || explain_failure
    # What tests need holds all that is needed at run time, at the same versions.
    wanted_state "$1" >"$VENV/.installed-$1"
    if [ "$1" = test ]; then wanted_state runtime >"$VENV/.installed-runtime"; fi
    rm -f "$INSTALLING" "$SETUP_LOG"
    quick_end
    exec 9<&-
}

# A bash whose child was not interrupted itself goes on after SIGINT unless it is told not to.
quick_end() {
    trap 'say ""; say "Interrupted."; exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
}

# --help tells what there is and installs nothing: the program itself answers where it is installed,
# otherwise the lines at the top of the script do. Call it before anything else: show_help KIND SCRIPT "$@"
show_help() { # runtime|test script arguments...
    local kind=$1 script=$2 word
    shift 2
    for word in "$@"; do
        case "$word" in
            -h | --help)
                if is_ready "$kind"; then return 0; fi
                sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$script"
                exit 0
                ;;
        esac
    done
}

# Runs Python in place of this shell. Where env can do it, Ctrl-C waits until the program says that it is ready
# for it (it unblocks SIGINT): a Python that is still starting answers with a traceback, or forgets it.
become_python() { # arguments...
    if env --block-signal=INT true 2>/dev/null; then exec env --block-signal=INT "$PYTHON" -P "$@"; fi
    exec "$PYTHON" -P "$@"
}

environment() { # runtime|test
    quick_end
    case "$1" in
        runtime | test) ;;
        *) fail "environment.sh: expected runtime or test, got '$1'" ;;
    esac
    is_ready "$1" || install_environment "$1"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then environment "${1:-runtime}"; fi
