#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The table of bench/results/store.md:  bench/store/run.sh [BUILD [FOLDER]]   (FOLDER: on the disk to measure)
# Needs a build with -DMEANODE_BENCH=ON and an idle machine; takes about ten minutes.
set -euo pipefail
build=${1:-build}
out=${2:-.}/bench_store.h5
trap 'rm -f "$out"*' EXIT
echo "| instances | L, M | | steps | µs each | MiB | wall without | with | % | processor without | with | % | peak MiB without | with |"
echo "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
"$build/bench_store" "$out" 100000 20 4 all f64 3
"$build/bench_store" "$out" 100000 20 4 last f64 3
"$build/bench_store" "$out" 100000 80 16 last f64 2
"$build/bench_store" "$out" 10000 80 16 all f64 5
"$build/bench_store" "$out" 100000 80 16 all f64 3
"$build/bench_store" "$out" 100000 200 16 all f64 3
/usr/bin/python3 - "$out" <<'P'
import sys, time
import xarray
for _ in range(3):
    start = time.perf_counter()
    table = xarray.open_dataset(sys.argv[1], engine="h5netcdf")
    runs = xarray.open_dataset(sys.argv[1], engine="h5netcdf", group="problem_0000")
    opened = time.perf_counter() - start
    mean = float(runs["output"][:, -1].mean()), int((table["status"] == 0).sum())
    print(f"xarray opens table and problem in {opened:.2f} s, last outputs and status of all instances read in "
          f"{time.perf_counter() - start - opened:.2f} s: {mean}")
P
