#!/usr/bin/env bash
# Installs R and the R packages that tanya uses, on Debian and Ubuntu; elsewhere says what to install.
set -euo pipefail

# Imports and Suggests of DESCRIPTION, without those that are part of R itself.
mapfile -t r_packages < <(
  awk '/^(Imports|Suggests):/ {on = 1; next} /^[^ ]/ {on = 0} on {gsub(/[ ,]|\(.*\)/, ""); print}' DESCRIPTION |
    grep -vxE 'graphics|grDevices|grid|methods|parallel|stats|tools|utils'
)
debian_packages=(r-base-core pandoc qpdf python3 python3-venv libpython3-dev "${r_packages[@]/#/r-cran-}")

missing_r_packages() {
  command -v Rscript >/dev/null || { echo "R"; return; }
  Rscript --vanilla -e '
    wanted <- commandArgs(TRUE)
    cat(wanted[!vapply(wanted, requireNamespace, logical(1), quietly = TRUE)])
  ' "${r_packages[@]}"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

system() {
  mkdir -p .setup
  local missing
  missing=$(missing_r_packages)
  local needed=0
  [ -z "$missing" ] || needed=1
  command -v pandoc >/dev/null || needed=1
  if [ "$needed" = 0 ]; then
    return
  fi
  if ! command -v apt-get >/dev/null; then
    echo "Please install R (4.2 or newer), pandoc and these R packages, then try again:" >&2
    echo "  ${r_packages[*]}" >&2
    exit 1
  fi
  echo "Installing R and its packages from Debian (missing: ${missing:-pandoc}) ..."
  export DEBIAN_FRONTEND=noninteractive
  as_root apt-get update -qq
  as_root apt-get install -y -qq --no-install-recommends "${debian_packages[@]}" > .setup/apt.log 2>&1 ||
    { tail -n 30 .setup/apt.log >&2; exit 1; }
}

"$@"
