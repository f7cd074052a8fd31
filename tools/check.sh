#!/usr/bin/env bash
# R CMD check on the built package, without the manual; fails on errors and warnings.
set -euo pipefail
R CMD build . > .setup/build.log 2>&1 || { cat .setup/build.log; exit 1; }
tarball=$(ls -t tanya_*.tar.gz | head -n 1)
_R_CHECK_CRAN_INCOMING_=false R CMD check --no-manual --output=.setup "$tarball" || true
rm -f "$tarball"
log=.setup/tanya.Rcheck/00check.log
status=$(grep '^Status:' "$log")
if grep -qE 'ERROR|WARNING' <<<"$status"; then
  echo "R CMD check: $status"
  exit 1
fi
