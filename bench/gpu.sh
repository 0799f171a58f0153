#!/usr/bin/env bash
# Everything that waits for a card, in one go: host/device equality, compute-sanitizer, ceilings, kernels against their
# floors, peers, one table last.
#
#   bench/gpu.sh                     build (or use the bundle beside it) and run all on this machine's card
#   bench/gpu.sh --dry               run what runs without a card
#   bench/gpu.sh --pack OUT.tar.gz   a bundle with binaries and shared libraries for a machine without compilers or network:
#                                    tar xf OUT.tar.gz; meanode-gpu/gpu.sh
#                                    (cuBLAS is too large to go with it: kernel G needs libcublasLt on LD_LIBRARY_PATH)
# Environment: BUILD (build folder), RESULTS (where the lines go), PYTHON (one that has jax and torch).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mode=run
pack=
case "${1:-}" in
--dry) mode=dry ;;
--pack) mode=pack; pack=${2:?--pack needs a file name} ;;
"") ;;
*) sed -n '2,12p' "$0"; exit 2 ;;
esac
python=${PYTHON:-python3}
if [ "$mode" != pack ] && ! "$python" -c 'import numpy' 2>/dev/null; then
  echo "gpu.sh: $python has no numpy: set PYTHON to an interpreter that has it (and, for the peers, jax and torch)" >&2
  exit 69
fi

if [ -d "$here/bin" ]; then # a bundle
  bin=$here/bin scripts=$here/gpu tests=$here/bin
  export LD_LIBRARY_PATH="$here/lib:${LD_LIBRARY_PATH:-}"
  results=${RESULTS:-$here/results}
else
  root=$(dirname "$here")
  build=${BUILD:-$root/build-cuda}
  if [ -z "${BUILD:-}" ]; then
    (cd "$root" && cmake --preset cuda >/dev/null && cmake --build --preset cuda --target meanode_cli bench_gpu bench_field test_cuda_card test_cuda_random)
  fi
  bin=$build scripts=$here/gpu tests=$build/tests/cuda
  results=${RESULTS:-$here/results}
fi

if [ "$mode" = pack ]; then
  stage=$(mktemp -d)
  trap 'rm -rf "$stage"' EXIT
  mkdir -p "$stage/meanode-gpu/bin" "$stage/meanode-gpu/lib" "$stage/meanode-gpu/gpu"
  cp "$here/gpu.sh" "$stage/meanode-gpu/"
  cp "$scripts"/*.py "$stage/meanode-gpu/gpu/"
  for program in "$bin/meanode" "$bin/bench_gpu" "$bin/bench_field" "$tests/test_cuda_card" "$tests/test_cuda_random"; do
    cp "$program" "$stage/meanode-gpu/bin/"
    strip "$stage/meanode-gpu/bin/$(basename "$program")"
    # everything but the C library and the driver, which belong to the machine
    ldd "$program" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' |
      grep -vE '/(libc|libm|libdl|librt|libpthread|ld-linux[^/]*|libcuda)\.so' |
      while read -r library; do cp -Ln "$library" "$stage/meanode-gpu/lib/"; done
  done
  tar -C "$stage" -czf "$pack" meanode-gpu
  size=$(stat -c %s "$pack")
  echo "packed $pack: $((size >> 20)) MiB"
  if [ "$size" -gt $((64 << 20)) ]; then
    echo "gpu.sh: the bundle is larger than 64 MiB" >&2
    exit 1
  fi
  exit 0
fi

case_folder=$(mktemp -d)
trap 'rm -rf "$case_folder"' EXIT
lines=$case_folder/dry.jsonl # a dry run leaves nothing behind
if [ "$mode" = run ]; then
  mkdir -p "$results"
  lines=$results/gpu-$(date -u +%Y-%m-%dT%H%M%SZ).jsonl
fi
step() { printf '\n== %s\n' "$*"; }

# D M L N instances K precision
shapes="10 10 1000 10 2000 8 f32
32 32 1000 10 1000 8 f32
100 100 1000 10 500 8 f32
10 10 1000 10 2000 8 f64
32 32 1000 10 1000 8 f64
100 100 1000 10 500 8 f64
2 1 1000 10 4000 8 f32
8 16 1000 10 1000 8 f32
100 100 1000 200 100 4 f32
100 100 1000 200 100 4 f64
1000 1000 100 200 4 4 f32
1000 1000 100 10 16 4 f32"
# the same with a kernel by its index in cuda/shape.c: what the program did not choose
others="10 10 1000 10 2000 8 f32 0
32 32 1000 10 1000 8 f32 1
32 32 1000 10 1000 8 f32 2
32 32 1000 10 1000 8 f32 3
100 100 1000 200 100 4 f32 1"

# nodes particles D precision: passes over the particles of the Mean ODE
passes="8 4194304 8 f64
8 65536 8 f64
8 4194304 8 f32
8 1048576 64 f64"

step "program and machine"
"$bin/meanode" --version | tee "$lines"
if command -v nvidia-smi >/dev/null; then nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee -a "$lines"; fi

"$bin/bench_gpu" library 2>&1 | tee -a "$lines" || echo "kernel G: not measured, C takes its shapes"

step "floors and modelled times"
while read -r D M L N instances K precision; do
  "$bin/bench_gpu" floors "$D" "$M" "$L" "$N" "$instances" "$precision" | tee -a "$lines"
done <<<"$shapes"
while read -r nodes particles D precision; do
  "$bin/bench_field" floors "$nodes" "$particles" "$D" "$precision" | tee -a "$lines"
done <<<"$passes"

if [ "$mode" = dry ]; then
  step "a whole limit, on the CPU"
  "$bin/bench_field" limit 8 1e-2 cpu | tee -a "$lines"
  step "the case of the peers, computed on the CPU, against NumPy"
  "$bin/bench_gpu" case "$case_folder" cpu >"$case_folder/case.json"
  "$python" "$scripts/peer.py" "$case_folder"
  for peer in jax torch; do
    if "$python" -c "import $peer" 2>/dev/null; then
      "$python" "$scripts/peers_$peer.py" "$case_folder"
    else
      echo "$peer: not installed here; $("$python" -m py_compile "$scripts/peers_$peer.py" && echo its script compiles)"
    fi
  done
  step "draws against cuRAND's generator on the host; the tests that need a card say so"
  if [ -x "$tests/test_cuda_random" ]; then "$tests/test_cuda_random"; fi
  "$tests/test_cuda_card"
  "$python" "$scripts/table.py" "$lines"
  exit 0
fi

step "device equals host, bit for bit; draws equal cuRAND's"
MEANODE_REQUIRE_GPU=1 "$tests/test_cuda_card" 2>&1 | tee -a "$lines"
if [ -x "$tests/test_cuda_random" ]; then MEANODE_REQUIRE_GPU=1 "$tests/test_cuda_random" 2>&1 | tee -a "$lines"; fi

for tool in memcheck racecheck; do
  step "compute-sanitizer --tool $tool"
  if command -v compute-sanitizer >/dev/null; then
    MEANODE_REQUIRE_GPU=1 MEANODE_SMALL=1 compute-sanitizer --tool "$tool" --error-exitcode 1 "$tests/test_cuda_card"
  else
    echo "compute-sanitizer is not on PATH: skipped" | tee -a "$lines"
  fi
done

step "ceilings"
"$bin/bench_gpu" ceilings | tee -a "$lines"

step "kernels"
while read -r D M L N instances K precision; do
  "$bin/bench_gpu" time "$D" "$M" "$L" "$N" "$instances" "$K" "$precision" | tee -a "$lines"
done <<<"$shapes"
while read -r D M L N instances K precision candidate; do
  "$bin/bench_gpu" time "$D" "$M" "$L" "$N" "$instances" "$K" "$precision" "$candidate" | tee -a "$lines"
done <<<"$others"

step "particles of the Mean ODE, and whole limits (the CPU beside the card at 1e-3)"
while read -r nodes particles D precision; do
  "$bin/bench_field" pass "$nodes" "$particles" "$D" "$precision" | tee -a "$lines"
done <<<"$passes"
"$bin/bench_field" limit 8 1e-3 cpu | tee -a "$lines"
for tolerance in 1e-3 1e-4 1e-5; do
  "$bin/bench_field" limit 8 "$tolerance" | tee -a "$lines"
done

step "peers (compile time excluded)"
"$bin/bench_gpu" case "$case_folder" >"$case_folder/case.json"
"$python" "$scripts/peer.py" "$case_folder" | tee -a "$lines"
list=()
while read -r D M L N instances K precision; do list+=("$D,$M,$L,$N,$instances,$K,$precision"); done <<<"$shapes"
for peer in jax torch; do
  if "$python" -c "import $peer" 2>/dev/null; then
    for shape in "${list[@]}"; do # a process each: memory is given back in between
      XLA_PYTHON_CLIENT_PREALLOCATE=false timeout 900 "$python" "$scripts/peers_$peer.py" "$case_folder" "$shape" | tee -a "$lines" ||
        echo "$peer at $shape: failed or took longer than 15 minutes" | tee -a "$lines"
    done
  else
    echo "$peer is not installed: skipped" | tee -a "$lines"
  fi
done

card=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1 | tr -cs 'A-Za-z0-9\n' - || true)
"$python" "$scripts/table.py" "$lines" "$results/gpu-${card:-unknown}.md"
echo "lines: $lines; page: $results/gpu-${card:-unknown}.md"
