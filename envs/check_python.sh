# Say in one sentence what to install where Python is missing, too old, or cannot make virtual environments.
advice="LucaFlow needs Python 3.11 or newer with venv; install it (Debian, Ubuntu: apt install python3 python3-venv) \
or name another one: make PYTHON=/path/to/python3.12 demo"

if ! command -v "$1" >/dev/null; then
    echo "There is no $1. $advice" >&2
    exit 1
fi
if ! "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "$1 is $("$1" --version 2>&1), which is too old. $advice" >&2
    exit 1
fi
if ! "$1" -c 'import venv, ensurepip' 2>/dev/null; then
    echo "$1 lacks venv. $advice" >&2
    exit 1
fi
