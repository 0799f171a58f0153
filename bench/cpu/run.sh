#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# bench/cpu/run.sh BUILD [options of peers.py] prints the table of kernels in bench/results/cpu.md,
# bench/cpu/run.sh BUILD command that of the whole command. BUILD is a release build with -DMEANODE_BENCH=ON; PYTHON names an
# interpreter that has numpy, torch, jax and h5py. Everything runs on one core. OpenBLAS takes its AVX-512 kernels where the
# processor has them, also on processors that are younger than it.
set -e
build=$1
shift
here=$(dirname "$0")
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
! grep -q avx512vl /proc/cpuinfo || export OPENBLAS_CORETYPE=SKYLAKEX
if [ "$1" = command ]; then
  exec taskset -c 1 "${PYTHON:-python3}" "$here/command.py" "$build/meanode"
fi
exec taskset -c 1 "${PYTHON:-python3}" "$here/peers.py" "$build/tests/cpu/cpu_driver" "$build/bench_cpu" \
  "$build/bench/cpu/libbench_blas.so" "$@"
