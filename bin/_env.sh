# Sourced by the other scripts: the environment of this checkout, .venv; must not know what will run in it.
#
#   root              the checkout
#   environment [EXTRA]   make .venv from constraints.txt, or bring it up to date, unless that is done already
#
# What is installed is written into .venv/installed at the very end, so an interrupted installation is taken up again, and
# a changed pyproject.toml or constraints.txt, or a checkout that was moved, installs again. PYTHON names the interpreter.

root=$(cd -P -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd)

environment() {
    local extra=${1:-} wanted
    wanted=$(cksum "$root/pyproject.toml" "$root/constraints.txt")
    _installed "$wanted" "$extra" && return
    (   # one at a time: whoever comes second waits, and finds it done
        ! command -v flock >/dev/null || flock 9
        _installed "$wanted" "$extra" || _install "$wanted" "$extra"
    ) 9<"$root/constraints.txt" >&2
}

_installed() {
    [[ -x $root/.venv/bin/python && -f $root/.venv/installed && $(<"$root/.venv/installed") == "$1"*"$2" ]]
}

_install() {
    local python=${PYTHON:-python3}
    SECONDS=0
    if ! "$root/.venv/bin/python" -m pip --version >/dev/null 2>&1; then
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
            _give_up "gossipfl needs Python 3.11 or later, and $python is not: set PYTHON to one that is."
        echo "gossipfl: making $root/.venv (once) ..."
        "$python" -m venv --clear "$root/.venv" ||
            _give_up "$python cannot make a virtual environment: install its venv module, or set PYTHON to another one."
    fi
    echo "gossipfl: installing the versions in constraints.txt into .venv, torch among them: this takes a few minutes ..."
    rm -f "$root/.venv/installed"
    "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
        -c "$root/constraints.txt" -e "$root${2:+[$2]}" ||
        _give_up "the installation failed, for the reason above. What was done is kept: run the same command again."
    # Byte code of what is used, not of all that is there, which would be 250 MB.
    PYTHONDONTWRITEBYTECODE='' "$root/.venv/bin/python" -c "$_used" 2>/dev/null || true
    printf '%s\n%s' "$1" "$2" >"$root/.venv/installed"
    echo "gossipfl: installed in $SECONDS s, $(du -sm "$root/.venv" | cut -f1) MB."
}

_used='
import importlib, pkgutil, gossipfl, sklearn.datasets, sklearn.linear_model, sklearn.metrics
for module in pkgutil.walk_packages(gossipfl.__path__, "gossipfl."):
    importlib.import_module(module.name)
'

_give_up() {
    echo "gossipfl: $1"
    exit 1
}
