# Sourced by script/serve and script/test: makes .venv and installs a lock file into it, once for each of its versions.

say() { printf '%s\n' "$*" >&2; }

# Runs a command as root, if we may without a password.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi
}

# Installs Debian packages, if we may; its output only matters when it fails.
install_packages() {
  command -v apt-get >/dev/null || return 1
  log=$(mktemp)
  if { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1
  then rm -f "$log"; else tail -n 3 "$log" >&2; rm -f "$log"; return 1; fi
}

find_python() {
  for python in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then return; fi
  done
  say "Campaign needs Python 3.11 or newer, and found none."
  exit 1
}

make_venv() {
  find_python
  # Debian and Ubuntu ship Python without what a virtual environment needs.
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "Installing python$version-venv …"
    install_packages "python$version-venv" || { say "Please install it: apt-get install python$version-venv"; exit 1; }
  fi
  "$python" -m venv --clear .venv
}

install_lock() {
  stamp=.venv/.installed-$1
  [ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null || make_venv
  if ! cmp -s "$1" "$stamp"; then
    say "Installing what $1 names …"
    .venv/bin/pip install -qq --disable-pip-version-check --no-input --require-hashes -r "$1"
    cp "$1" "$stamp"
  fi
}
