# Sourced by the other scripts: makes .venv if absent, installs what pyproject.toml asks for, and activates it.
# PYTHON names the interpreter to use (3.11 or newer).
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ ! -x .venv/bin/python ]; then
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3.14 python3; do
        [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
        candidate=
    done
    [ -n "$candidate" ] || { echo "Python 3.11 or newer is needed (set PYTHON=/path/to/python)" >&2; exit 2; }
    echo "making .venv with $("$candidate" --version); this takes about a minute" >&2
    "$candidate" -m venv .venv
fi
if ! cmp -s pyproject.toml .venv/installed-from.toml; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
    cp pyproject.toml .venv/installed-from.toml
fi
# shellcheck disable=SC1091
. .venv/bin/activate
