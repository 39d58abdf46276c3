# Sourced by the other scripts: prepares .venv, and installs the packages that a lock file names into it.

say() { printf '%s\n' "$*" >&2; }

stop() {
  say "$*"
  exit 1
}

# Prints the command that installs Debian packages by hand.
install_command() {
  if [ "$(id -u)" = 0 ]; then printf 'apt-get install %s' "$*"; else printf 'sudo apt-get install %s' "$*"; fi
}

# Runs a command as root, if that needs no password.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi
}

# Installs Debian packages, if that needs no password. Prints apt-get's last line if it fails.
install_packages() {
  command -v apt-get >/dev/null && as_root true || return 1
  say "Installing $* …"
  log=$(mktemp)
  if { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1
  then rm -f "$log"; else tail -n 1 "$log" >&2; rm -f "$log"; return 1; fi
}

find_python() {
  for python in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then return; fi
  done
  stop "Campaign needs Python 3.11 or newer. Install it, then run script/${0##*/} again."
}

# Prints .venv's Python version and its folder now. .venv/.made-for has both from when .venv was made.
python_and_folder() {
  .venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2], sys.prefix)' 2>/dev/null || echo unusable
}

is_usable() { [ ! -L .venv ] && [ "$(python_and_folder)" = "$(cat .venv/.made-for 2>/dev/null)" ]; }

is_installed() { cmp -s "$1" ".venv/.installed-$1" && is_usable; }

# Ends the script with one line that explains the error in a log.
explain() {
  again="then run script/${0##*/} again."
  if grep -q 'No space left on device' "$1"; then reason="The disk is full. Free some space, $again"
  elif grep -q 'Permission denied' "$1"; then
    reason="Files in $PWD/.venv belong to another user. Remove them (sudo rm -rf .venv), $again"
  elif grep -qi 'connection broken\|connection error\|failed to connect' "$1"; then
    reason="The packages can't be downloaded. Check your network connection, $again"
  else reason="Setting up .venv failed: $(grep -i error "$1" | tail -n 1)"
  fi
  rm -f "$1"
  stop "$reason"
}

make_venv() {
  find_python
  # Debian and Ubuntu ship Python without the modules that create a virtual environment.
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    install_packages "$package" || stop "Run this first: $(install_command "$package")"
  fi
  # If .venv is a symbolic link, this removes the link and leaves its target alone.
  { rm -rf .venv && "$python" -m venv .venv; } >"$1" 2>&1 || explain "$1"
}

install_packages_of() {
  if [ ! -w . ]; then
    stop "You can't write to $PWD: it belongs to $(ls -ld . | awk '{ print $3 }'). Use a copy in a folder of your own."
  fi
  log=$(mktemp)
  is_usable || make_venv "$log"
  say "Installing the packages of $1 …"
  # This file is written again at the end. After an interruption it is missing, so the next start makes .venv from
  # scratch.
  rm -f .venv/.made-for
  .venv/bin/python -m pip install -q --disable-pip-version-check --no-input --require-hashes -r "$1" >"$log" 2>&1 ||
    explain "$log"
  rm -f "$log"
  cp "$1" ".venv/.installed-$1"
  python_and_folder >.venv/.made-for
}

# Makes .venv if it is missing, incomplete, moved, copied, or of another Python version. Then installs the packages of a
# lock file, unless they are installed.
install_lock() {
  if is_installed "$1"; then return; fi
  # One start at a time: the second waits, and then finds everything installed.
  (
    if command -v flock >/dev/null; then
      flock -n 9 || { say "Waiting for another start to finish setting up …"; flock 9; }
    fi
    is_installed "$1" || install_packages_of "$1"
  ) 9<script/setup.sh
}

# The headless shell draws no window, so opening a page takes a third of the time.
find_browser() {
  for browser in chromium-headless-shell chromium chromium-browser google-chrome; do
    CHROMIUM=$(command -v "$browser") && "$CHROMIUM" --version >/dev/null 2>&1 && return
  done
  return 1
}

# Finds a browser, or installs one: Debian has the headless shell as a package of its own.
install_browser() {
  find_browser || { { install_packages chromium-headless-shell || install_packages chromium; } && find_browser; }
}
