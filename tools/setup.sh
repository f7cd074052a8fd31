#!/usr/bin/env bash
# Installs R and the R packages that tanya uses, on Debian and Ubuntu; elsewhere says what to install.
set -euo pipefail

# Imports and Suggests of DESCRIPTION, without those that are part of R itself.
mapfile -t r_packages < <(
  awk '/^(Imports|Suggests):/ {on = 1; next} /^[^ ]/ {on = 0} on {gsub(/[ ,]|\(.*\)/, ""); print}' DESCRIPTION |
    grep -vxE 'graphics|grDevices|grid|methods|parallel|stats|tools|utils'
)
debian_packages=(r-base-core pandoc qpdf python3 python3-venv libpython3-dev "${r_packages[@]/#/r-cran-}")

# What is not there, in words.
missing() {
  command -v pandoc >/dev/null || echo "pandoc"
  has_python || echo "Python with a shared library"
  if command -v Rscript >/dev/null; then
    Rscript --vanilla -e '
      wanted <- commandArgs(TRUE)
      writeLines(wanted[!vapply(wanted, requireNamespace, logical(1), quietly = TRUE)])
    ' "${r_packages[@]}"
  else
    echo "R"
  fi
}

# Whether there is a Python that rag_install() can start from.
has_python() {
  local python
  for python in python3 /usr/bin/python3; do
    PYTHONPATH=inst/python "$python" -c '
import json, sys
from tanya.environment import report
found = json.loads(report())
sys.exit(not (found["supported"] and found["venv"] and found["shared"]))
' 2>/dev/null && return
  done
  return 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

system() {
  mkdir -p .setup
  local missing
  missing=$(missing | paste -sd ' ')
  if [ -z "$missing" ]; then
    return
  fi
  if ! command -v apt-get >/dev/null; then
    echo "Please install R (4.2 or newer), Python, pandoc and these R packages, then try again:" >&2
    echo "  ${r_packages[*]}" >&2
    exit 1
  fi
  echo "Installing R, Python and R packages from Debian (missing: $missing) ..."
  export DEBIAN_FRONTEND=noninteractive
  as_root apt-get update -qq
  as_root apt-get install -y -qq --no-install-recommends "${debian_packages[@]}" > .setup/apt.log 2>&1 ||
    { tail -n 30 .setup/apt.log >&2; exit 1; }
}

"$@"
