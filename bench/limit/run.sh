#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Prints the tables of bench/results/limit.md: bench/limit/run.sh BUILD FOLDER. BUILD is a release build with
# -DMEANODE_BENCH=ON. FOLDER keeps the tight solutions that errors are measured against (other randomisations, more particles
# and nodes); those that are missing are made first, which takes a quarter of an hour. The measurements take ten minutes on
# one core. RUN names a command to put before each of them.
set -e
build=$1
folder=$2
bench=$build/bench_limit
mkdir -p "$folder"
while read -r D particles randomisations; do
  [ -e "$folder/truth$D.bin" ] || "$bench" truth "$D" "$folder/truth$D.bin" "$particles" "$randomisations"
done <<END
2 19 32
4 20 16
8 20 16
16 19 24
32 19 24
END
measure() {
  echo
  $RUN taskset -c 0 "$bench" "$@"
}
lscpu | sed -n 's/^Model name: *//p'
date +%Y-%m-%d
"$build/meanode" --version
for D in 2 4 8 16 32; do measure curve "$D" "$folder/truth$D.bin"; done
measure methods
measure lazy
measure chaos
measure orders
