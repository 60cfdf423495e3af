# The environment of this checkout, .venv; the other scripts source this file. Must not know what runs in .venv.
#
#   root                  the path of the checkout
#   environment [EXTRA]   make .venv from constraints.txt, or update it, unless it is up to date
#
# The last step of an installation writes .venv/installed. So an interrupted installation continues at the next call, and
# a change of pyproject.toml or constraints.txt, or a moved checkout, installs again. PYTHON names the interpreter.

root=$(cd -P -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd)

environment() {
    local extra=${1:-} wanted
    wanted=$(cksum "$root/pyproject.toml" "$root/constraints.txt")
    _installed "$wanted" "$extra" && return
    (   # one process at a time: a second one waits, and then has nothing to do
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
            _give_up "gossipfl needs Python 3.11 or later, but $python is older or missing: set PYTHON to another interpreter."
        echo "gossipfl: creating $root/.venv ..."
        "$python" -m venv --clear "$root/.venv" ||
            _give_up "$python cannot create a virtual environment: install its venv module, or set PYTHON to another interpreter."
    fi
    echo "gossipfl: installing torch and other packages into .venv (versions: constraints.txt); this takes about a minute ..."
    rm -f "$root/.venv/installed"
    "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
        -c "$root/constraints.txt" -e "$root${2:+[$2]}" ||
        _give_up "the installation failed; the reason is above. Run the same command again to continue."
    # Compile only the modules that gossipfl imports: all of them would take 250 MB.
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
