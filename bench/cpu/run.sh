#!/bin/sh
# Prints the table of bench/results/cpu.md: bench/cpu/run.sh BUILD [options of peers.py]. BUILD is a release build with
# -DMEANODE_BENCH=ON; PYTHON names an interpreter that has numpy, torch and jax. Everything runs on one core. An OpenBLAS
# that was told a processor type by the environment chooses by itself again.
set -e
build=$1
shift
here=$(dirname "$0")
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
exec taskset -c 0 "${PYTHON:-python3}" "$here/peers.py" "$build/tests/cpu/cpu_driver" "$build/bench_cpu" \
  "$build/bench/cpu/libbench_blas.so" "$@"
