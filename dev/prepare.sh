# Installs the packages if they are missing or differ from package-lock.json, and makes `node` the Node 24 among them.
# Needs bash and any Node 20 or newer with npm. npm runs it before other scripts; a script may source it:
#   . dev/prepare.sh

tollgate_prepare() {
  local root
  root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)" || return 1
  export PATH="$root/node_modules/.bin:$PATH"
  if (cd "$root" && node dev/installed.cjs); then return 0; fi
  mkdir -p "$root/.local"
  # Two starts at once: the second waits, and finds everything there.
  (
    cd "$root" || exit 1
    if command -v flock >/dev/null; then exec 9>.local/prepare.lock && flock 9; fi
    node dev/installed.cjs || tollgate_install
  )
}

tollgate_install() {
  local log=.local/npm-install.log started=$SECONDS installer
  command -v npm >/dev/null || { echo "npm is missing. Run: sudo apt-get update && sudo apt-get install -y nodejs npm" >&2; return 1; }
  echo "installing packages (about a minute with an empty cache)" >&2
  # Not `npm ci`: it begins by deleting everything, also under what runs from here at the moment. The versions are the
  # lock file's all the same, and it stays as it is. The Node that npm finds first must be the machine's own, since the
  # other is among what is installed.
  PATH="${PATH#*:}" npm install --no-save --no-progress >"$log" 2>&1 9>&- &
  installer=$!
  while kill -0 "$installer" 2>/dev/null; do
    sleep 1
    [ $(((SECONDS - started) % 5)) -eq 0 ] && echo "  … $((SECONDS - started)) s" >&2
  done
  if ! wait "$installer"; then
    tail -n 40 "$log" >&2
    echo "npm install failed; its output is in $log" >&2
    return 1
  fi
  echo "packages installed in $((SECONDS - started)) s" >&2
}

tollgate_prepare || { [ "${BASH_SOURCE[0]}" != "$0" ] && return 1 || exit 1; }
