#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Everything that waits for a card, in one go: host/device equality, ceilings, kernels against their floors, limits, whole
# commands, peers, profiles, compute-sanitizer. A stage that fails or hangs ends nothing but itself; the table is made again
# after each.
#
#   bench/gpu.sh [OPTIONS]           build (or use the bundle beside it) and run all stages on this machine's card
#     --only STAGE...                these stages (and `machine`, whose facts head the page), in the order given
#     --budget SECONDS               begin no stage that cannot do anything useful in what is left, cut the others to it
#   bench/gpu.sh --list              the stages, their time-outs, the least that is useful, what they do
#   bench/gpu.sh --dry               run what runs without a card
#   bench/gpu.sh --pack OUT.tar.gz   a bundle with binaries and shared libraries, code for compute capability 9.0, for a machine
#                                    without compilers or network: tar xf OUT.tar.gz; meanode-gpu/gpu.sh
#                                    (cuBLAS is too large to go with it: it is looked for in /usr/local/cuda* and where the
#                                    PyTorch of PYTHON has it)
# Left in the results: gpu-DATE.jsonl (rows), gpu-DATE.log (all that was printed; gpu-DATE.now.log during a stage),
# gpu-DATE.ncu.csv, gpu-CARD.md (the page). bench/gpu/table.py LINES... PAGE.md makes one page of several runs.
# Exit code: 0, or 1 when a stage failed or ran out of time, 2 for wrong options.
# Environment: BUILD (build folder), RESULTS or OUT (where the results go), PYTHON (one that has numpy, h5py, jax, torch),
# GPU_SH_SCALE (length of a second of the time-outs in seconds: for rehearsals).
set -u -o pipefail
export LC_ALL=C PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}

# stage, time-out, least time that is useful, subject: in the order of their worth
stages="machine 30 5 card, driver, clocks, processors, cuBLAS
card 90 25 bits of the card = bits of the host, draws = cuRAND's
ceilings 15 5 bandwidth, arithmetic and shared memory of the card
aims 90 10 floors and time per step of the shapes of the aims
start 20 5 start-up of a tiny sweep
limit 60 10 the Mean ODE to 1e-3, 1e-4, 1e-5 on the card, to 1e-3 on the processor
profile 90 15 ncu on kernels W0, W and C
torch 100 25 PyTorch at the shapes of the aims
jax 150 30 JAX at the shapes of the aims
products 60 10 kernel G: N = 200
sweep 120 30 100 000 instances by the whole command, card against processor
mixed 60 20 a sweep over many shapes: finished, killed, resumed, equal
kills 60 20 100 000 instances, killed and resumed
limits 60 15 limits of a sweep on both backends
others 90 10 other shapes, and kernels that were not chosen
passes 40 10 passes over the particles of the Mean ODE
memcheck 90 20 compute-sanitizer
racecheck 90 20 compute-sanitizer
initcheck 90 20 compute-sanitizer
synccheck 90 20 compute-sanitizer
limit6 90 20 the Mean ODE to 1e-6"

# D M L N instances K precision [kernel by its index in cuda/host/shape.c]
aims="10 10 1000 10 2000 8 f32
32 32 1000 10 1000 8 f32
100 100 1000 10 250 8 f32
10 10 1000 10 2000 8 f64
32 32 1000 10 1000 8 f64
100 100 1000 10 250 8 f64
100 100 1000 10 125 8 f64"
products="100 100 1000 200 100 4 f32
1000 1000 100 200 4 4 f32
100 100 1000 200 50 4 f64"
others="2 1 1000 10 4000 8 f32
8 16 1000 10 1000 8 f32
8 16 200 10 20000 8 f32
1000 1000 100 10 16 4 f32
10 10 1000 10 2000 8 f32 0
32 32 1000 10 1000 8 f32 1
32 32 1000 10 1000 8 f32 2
32 32 1000 10 1000 8 f32 3"
peers="10,10,1000,10,2000,8,f32 100,100,1000,10,250,8,f32 10,10,1000,10,2000,8,f64 100,100,1000,10,125,8,f64
32,32,1000,10,1000,8,f32 100,100,1000,200,100,4,f32"
# D M L N instances: at most two batches for a team, since kernels wait for the host to take results
profiles="10 10 1000 10 660
32 32 1000 10 528
100 100 1000 10 132"
# nodes particles D precision: passes over the particles of the Mean ODE
passes="8 4194304 8 f64
8 65536 8 f64
8 4194304 8 f32
8 1048576 64 f64"

names() { awk '{printf "%s%s", sep, $1; sep = " "}' <<<"$stages"; }
wrong() {
  printf 'gpu.sh: %s\n' "$1" >&2
  exit 2
}

mode=run pack='' only='' budget=''
while [ $# -gt 0 ]; do
  case $1 in
  --help | -h) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
  --list) awk 'BEGIN {printf "%-10s %8s %6s  %s\n", "stage", "time-out", "least", "subject"}
    {printf "%-10s %6s s %4s s ", $1, $2, $3; for (i = 4; i <= NF; i++) printf " %s", $i; print ""}' <<<"$stages"; exit 0 ;;
  --dry) mode=dry ;;
  --pack)
    mode=pack pack=${2:-}
    [ -n "$pack" ] || wrong "--pack needs a file name: --pack OUT.tar.gz"
    shift ;;
  --budget)
    budget=${2:-}
    [[ $budget =~ ^[1-9][0-9]{0,5}$ ]] || wrong "--budget needs a whole number of seconds, not \"$budget\""
    shift ;;
  --only)
    while [ $# -gt 1 ] && [[ $2 != -* ]]; do
      [[ " $(names) " == *" $2 "* ]] || wrong "no stage \"$2\"; stages: $(names)"
      only+=" $2"
      shift
    done
    [ -n "$only" ] || wrong "--only needs stages: $(names)" ;;
  *) wrong "unknown option \"$1\"; options: --only STAGE..., --budget SECONDS, --list, --dry, --pack OUT.tar.gz, --help; stages: $(names)" ;;
  esac
  shift
done

# Where the programs are
targets="meanode_cli bench_gpu bench_field test_cuda_card test_cuda_random"
if [ -d "$here/bin" ]; then # a bundle
  [ "$mode" != pack ] || wrong "this is a bundle already: --pack works in the sources"
  bin=$here/bin tests=$here/bin
else
  root=$(dirname "$here")
  if [ -n "${BUILD:-}" ]; then
    build=$BUILD
  elif [ "$mode" = pack ]; then
    # One library, so that the kernels are there once; old tags, so that its own libraries are found beside it as well.
    build=$root/build-pack
    cmake -G Ninja -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DMEANODE_CUDA=ON \
      -DMEANODE_CUDA_ARCHITECTURES=90-real -DMEANODE_ISAS=all -DMEANODE_MPI=OFF -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON \
      '-DCMAKE_INSTALL_RPATH=$ORIGIN/../lib' -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags >/dev/null &&
      cmake --build "$build" --target $targets || exit 1
  else
    build=$root/build-cuda
    (cd "$root" && cmake --preset cuda >/dev/null && cmake --build --preset cuda --target $targets) || exit 1
  fi
  bin=$build tests=$build/tests/cuda
fi
scripts=$here/gpu
work=$(mktemp -d) || exit 1
trap '[ "$BASHPID" != $$ ] || rm -rf "$work"' EXIT # not in a subshell that is ended

if [ "$mode" = pack ]; then
  (
    set -e
    top=$work/meanode-gpu
    mkdir -p "$top/bin" "$top/lib" "$top/gpu"
    cp "$here/gpu.sh" "$top/"
    cp "$scripts"/*.py "$top/gpu/"
    for program in "$bin/meanode" "$bin/bench_gpu" "$bin/bench_field" "$tests/test_cuda_card" "$tests/test_cuda_random"; do
      copy=$top/bin/$(basename "$program")
      cp "$program" "$copy"
      strip "$copy"
      if ! grep -qF '$ORIGIN/../lib' "$copy" && command -v patchelf >/dev/null; then
        patchelf --force-rpath --set-rpath '$ORIGIN/../lib' "$copy"
      fi
      # everything but what belongs to the machine: the C and C++ libraries, zlib, the driver
      list=$(env LD_LIBRARY_PATH="$bin" ldd "$program" | awk '$2 == "=>" && $3 ~ /^\// {print $3} /not found/ {print "missing", $1}' |
        { grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv|libnsl|libutil|ld-linux[^/]*|libstdc\+\+|libgcc_s|libz|libcuda)\.so' || true; })
      case $list in *missing*) echo "gpu.sh: $program lacks a library: $list" >&2; exit 1 ;; esac
      for library in $list; do
        [ -e "$top/lib/$(basename "$library")" ] || cp -L "$library" "$top/lib/"
      done
    done
    for library in "$top"/lib/libmeanode.so*; do [ ! -e "$library" ] || strip "$library"; done
    tar -C "$work" -czf "$pack" meanode-gpu
  ) || exit 1
  size=$(stat -c %s "$pack")
  echo "packed $pack: $(((size + (1 << 19)) >> 20)) MiB"
  if [ "$size" -gt $((64 << 20)) ]; then
    echo "gpu.sh: the bundle is larger than 64 MiB" >&2
    exit 1
  fi
  exit 0
fi

has() { timeout -k 5 30 "$python" -c "import importlib.util, sys; sys.exit(any(importlib.util.find_spec(m) is None for m in sys.argv[1:]))" "$@" 2>/dev/null; }

if [ "$mode" = dry ]; then
  step() { printf '\n== %s\n' "$*"; }
  if ! has numpy; then
    echo "gpu.sh: $python has no numpy: set PYTHON to an interpreter that has it (and, for the peers, jax and torch)" >&2
    exit 69
  fi
  (
    set -e
    lines=$work/dry.jsonl case_folder=$work/case # a dry run leaves nothing behind
    step "program and machine"
    "$bin/meanode" --version | tee "$lines"
    "$bin/bench_gpu" library 2>&1 | tee -a "$lines" || echo "kernel G: not measured, C takes its shapes"
    step "floors and modelled times"
    printf '%s\n' "$aims" "$products" "$others" | while read -r D M L N instances _ precision _; do
      "$bin/bench_gpu" floors "$D" "$M" "$L" "$N" "$instances" "$precision" | tee -a "$lines"
    done
    while read -r nodes particles D precision; do
      "$bin/bench_field" floors "$nodes" "$particles" "$D" "$precision" | tee -a "$lines"
    done <<<"$passes"
    step "a whole limit, on the CPU"
    "$bin/bench_field" limit 8 1e-2 cpu | tee -a "$lines"
    step "the case of the peers, computed on the CPU, against NumPy"
    mkdir "$case_folder"
    "$bin/bench_gpu" case "$case_folder" cpu >"$case_folder/case.json"
    "$python" "$scripts/peer.py" "$case_folder"
    for script in "$scripts"/*.py; do
      "$python" -c 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' "$script"
    done
    for peer in jax torch; do
      if has "$peer"; then
        "$python" "$scripts/peers_$peer.py" "$case_folder"
      else
        echo "$peer: not installed here; its script compiles"
      fi
    done
    step "draws against cuRAND's generator on the host; the tests that need a card say so"
    if [ -x "$tests/test_cuda_random" ]; then "$tests/test_cuda_random"; fi
    "$tests/test_cuda_card"
    "$python" "$scripts/table.py" "$lines"
  )
  exit
fi

# A run. Times are in milliseconds.
now() { # NOW: a variable costs no process
  NOW=${EPOCHREALTIME/./}
  NOW=${NOW%???}
}
second=$(awk -v scale="${GPU_SH_SCALE:-1}" 'BEGIN {ms = int(1000 * scale); print (ms > 0 ? ms : 1000)}')
now
started=$NOW
in_seconds() { printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }
plain() { printf '%s' "$*" | tr '"\\' "'/" | tr -c '[:print:]' ' ' | cut -c 1-240; } # fit to stand in a string of JSON

PATH=$PATH:/usr/local/cuda/bin
results=${RESULTS:-${OUT:-$here/results}}
if ! mkdir -p "$results"; then
  echo "gpu.sh: cannot make the folder of the results, $results: set RESULTS to one that can be written" >&2
  exit 73
fi
stamp=$(date -u +%Y-%m-%dT%H%M%SZ)
lines=$results/gpu-$stamp.jsonl log=$results/gpu-$stamp.log current=$results/gpu-$stamp.now.log
profile=$results/gpu-$stamp.ncu.csv case_folder=$work/case
: >"$lines"
: >"$log"
card=$(timeout -k 5 20 nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1 | tr -cs 'A-Za-z0-9\n' -)
page=$results/gpu-${card:-unknown}.md

# Libraries for our own programs, never exported: Python and the tools have theirs.
libraries=''
if [ -d "$here/bin" ] && ! grep -qF '$ORIGIN/../lib' "$bin/meanode"; then libraries=$here/lib; fi
with_cublas=$libraries
for folder in /usr/local/cuda*/lib64 /usr/local/cuda*/targets/x86_64-linux/lib \
  $(timeout -k 5 20 "$python" -c 'import sys; print(*(f"{p}/nvidia/{n}/lib" for p in sys.path if p and " " not in p for n in ("cu13", "cublas")))' 2>/dev/null); do
  for file in "$folder"/libcublasLt.so.[1-9][0-9]; do
    if [ -e "$file" ]; then
      folder=$(readlink -f "$folder")
      if [[ ":$with_cublas:" != *":$folder:"* ]]; then with_cublas+=${with_cublas:+:}$folder; fi
    fi
  done
done
if [ -n "${LD_LIBRARY_PATH:-}" ]; then # of the caller: where the driver is, perhaps
  libraries+=${libraries:+:$LD_LIBRARY_PATH}
  with_cublas+=${with_cublas:+:$LD_LIBRARY_PATH}
fi
meanode=$bin/meanode
if [ -n "$with_cublas" ]; then # for scripts that start it
  meanode=$work/meanode
  printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' "$with_cublas" "$bin/meanode" >"$meanode"
  chmod +x "$meanode"
fi

# Inside a stage: a subshell that prints to the stage's log. What goes wrong is noted (the first counts), nothing ends.
note() { # CODE WHAT
  echo "gpu.sh: $2"
  if [ "$worst" = 0 ]; then
    worst=$1
    plain "$2" >"$work/detail"
  fi
}
skip() { note 77 "$1"; }
label() { # a command without folders and environment
  local word text=''
  for word in "$@"; do
    case $word in env | *LD_LIBRARY_PATH=*) continue ;; /*) word=${word##*/} ;; esac
    text+="${text:+ }$word"
  done
  printf '%s' "$text"
}
try() { # SECONDS COMMAND...: with a time-out that ends within the stage's
  local limit=$(($1 * second)) begin code
  shift
  now
  begin=$NOW
  if ((limit > deadline - begin)); then limit=$((deadline - begin)); fi
  from=$(stat -c %s "$current")
  if ((limit < second / 2)); then
    note 124 "no time left for $(label "$@")"
    return 124
  fi
  timeout -k "$(in_seconds $((5 * second)))" "$(in_seconds "$limit")" "$@" &
  echo $! >"$work/running"
  wait $!
  code=$?
  now
  if [ -n "$(tail -c 1 "$current" | tr '\0' 0)" ]; then echo; fi # half a line
  if [ "$code" = 0 ]; then return 0; fi
  if ((NOW - begin >= limit)); then
    code=124
    problem="no end within $((limit / second)) s: $(label "$@")"
  else
    problem="exit code $code: $(label "$@")"
  fi
  if [ -z "${optional:-}" ]; then note "$code" "$problem"; else echo "gpu.sh: $problem"; fi
  return "$code"
}
bare() { # SECONDS [NAME=VALUE...] PROGRAM...: our program, or a tool on it
  local seconds=$1
  shift
  try "$seconds" env ${libraries:+"LD_LIBRARY_PATH=$libraries"} "$@"
}
own() { # the same with cuBLAS
  local seconds=$1
  shift
  try "$seconds" env ${with_cublas:+"LD_LIBRARY_PATH=$with_cublas"} "$@"
}
said() { tail -c +$((from + 1)) "$current"; } # by the last command
check() { printf '{"check": "%s", "passed": %s, "detail": "%s"}\n' "$(plain "$1")" "$2" "$(plain "$3")"; }
tested() { # CODE NAME: a cmocka program as a check
  local passed=false detail
  # the total, which comes last, and the parts in which something differs
  detail=$(said | grep -aE '[0-9]+ cases, [0-9]+ differ' |
    awk 'last != "" && last !~ / 0 differ, 0 failed/ {bad = bad "; " last} {last = $0} END {print last bad}')
  if [ -z "$detail" ]; then detail=$(said | grep -aE '\[ +(PASSED|FAILED|SKIPPED) +\]' | grep -a 'test(s)' | tail -n 2 | paste -sd ';'); fi
  if [ "$1" = 0 ]; then passed=true; fi
  check "$2" $passed "${detail:-exit code $1}"
}
floors() { # shapes
  while read -r D M L N instances _ precision candidate; do
    if [ -z "$candidate" ]; then own 5 "$bin/bench_gpu" floors "$D" "$M" "$L" "$N" "$instances" "$precision"; fi
  done <<<"$1"
}
times() { # shapes SECONDS
  while read -r D M L N instances K precision candidate; do
    own "$2" "$bin/bench_gpu" time "$D" "$M" "$L" "$N" "$instances" "$K" "$precision" $candidate
  done <<<"$1"
}
whole=100000 # as long as the stage has

stage_machine() {
  try 10 "$meanode" --version
  try 20 nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
  if try 10 nvidia-smi --query-gpu=clocks.max.sm,clocks.max.mem,power.limit,temperature.gpu,ecc.mode.current --format=csv,noheader; then
    printf '{"fact": "clocks of processors and memory, power limit, temperature, ECC: %s"}\n' "$(plain "$(said | head -n 1)")"
  fi
  printf '{"fact": "%s processors, %s"}\n' "$(nproc)" "$(plain "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)")"
  optional=1 own 20 "$bin/bench_gpu" library || echo "kernel G: not measured, C takes its shapes"
}
stage_card() {
  own 75 MEANODE_REQUIRE_GPU=1 "$tests/test_cuda_card"
  tested $? "bits of the card and of the host"
  if [ -x "$tests/test_cuda_random" ]; then
    own 20 MEANODE_REQUIRE_GPU=1 "$tests/test_cuda_random"
    tested $? "draws and cuRAND's"
  fi
}
stage_ceilings() { own $whole "$bin/bench_gpu" ceilings; }
stage_aims() {
  floors "$aims"
  times "$aims" 25
}
stage_products() {
  floors "$products"
  times "$products" 30
}
stage_others() {
  floors "$others"
  times "$others" 25
}
stage_passes() {
  while read -r nodes particles D precision; do
    own 5 "$bin/bench_field" floors "$nodes" "$particles" "$D" "$precision"
    own 15 "$bin/bench_field" pass "$nodes" "$particles" "$D" "$precision"
  done <<<"$passes"
}
stage_limit() {
  own 20 "$bin/bench_field" limit 8 1e-3
  own 20 "$bin/bench_field" limit 8 1e-4
  own 40 "$bin/bench_field" limit 8 1e-5
  own 40 "$bin/bench_field" limit 8 1e-3 cpu
}
stage_limit6() { own $whole "$bin/bench_field" limit 8 1e-6; }
commands() {
  if ! has numpy h5py; then
    skip "$python has no numpy or no h5py"
    return
  fi
  try $whole "$python" "$scripts/commands.py" --meanode "$meanode" --work "$work/commands" "$1"
  rm -rf "$work/commands"
}
stage_start() { commands start; }
stage_sweep() { commands sweep; }
stage_mixed() { commands mixed; }
stage_kills() { commands kills; }
stage_limits() { commands limits; }
stage_profile() {
  if ! command -v ncu >/dev/null; then
    skip "ncu is not on PATH"
    return
  fi
  local main=sm__inst_executed.avg.per_cycle_active,l1tex__lsu_writeback_active.avg.pct_of_peak_sustained_elapsed
  main+=,l1tex__data_pipe_lsu_wavefronts.avg.pct_of_peak_sustained_elapsed,dram__bytes.sum.per_second
  main+=,smsp__average_warp_latency_issue_stalled_short_scoreboard.ratio
  local more=smsp__average_warps_issue_stalled_barrier_per_issue_active.ratio
  more+=,smsp__average_warps_issue_stalled_long_scoreboard_per_issue_active.ratio
  more+=,smsp__average_warps_issue_stalled_short_scoreboard_per_issue_active.ratio
  more+=,smsp__average_warps_issue_stalled_wait_per_issue_active.ratio
  local metrics
  for metrics in $main $more; do # the second ones may be unknown to this ncu
    if [ "$metrics" = "$more" ]; then optional=1; fi
    while read -r D M L N instances; do
      rm -f "$work/ncu.csv"
      # application replay: kernels wait for the host, which takes part only when the program runs again
      bare 30 MEANODE_BENCH_ONCE=1 ncu --clock-control none --replay-mode application -k 'regex:lanes|train' -c 1 --csv --page raw \
        --print-units base --log-file "$work/ncu.csv" --metrics "$metrics" \
        "$bin/bench_gpu" time "$D" "$M" "$L" "$N" "$instances" 2 f32
      if [ -s "$work/ncu.csv" ]; then
        head -c 1000000 "$work/ncu.csv" | tee -a "$profile" | grep -a '^==' # what ncu has to say
        try 10 "$python" "$scripts/ncu.py" "$work/ncu.csv" "$D,$M,$L,$N x $instances f32" "$metrics"
      fi
    done <<<"$profiles"
  done
}
peer_case() { # once, for both peers
  if [ -s "$case_folder/case.json" ]; then return 0; fi
  mkdir -p "$case_folder"
  own 20 "$bin/bench_gpu" case "$case_folder" || own 20 "$bin/bench_gpu" case "$case_folder" cpu || return 1
  said | grep -a '^{' | head -n 1 >"$work/case.json"
  mv "$work/case.json" "$case_folder/case.json"
  if try 20 "$python" "$scripts/peer.py" "$case_folder"; then
    check "NumPy computes the case" true ""
  else
    check "NumPy computes the case" false "$(said | tail -n 2 | paste -sd ';')"
  fi
}
peer() {
  if ! has numpy "$1"; then
    skip "$1 (or numpy) is not installed"
    return
  fi
  peer_case || return
  try $whole env XLA_PYTHON_CLIENT_MEM_FRACTION=0.95 "$python" "$scripts/peers_$1.py" "$case_folder" $peers
}
stage_torch() { peer torch; }
stage_jax() { peer jax; }
sanitize() { # TOOL [cublas]
  local passed=false code summary name=$1 program=("$tests/test_cuda_card") off=MEANODE_CUBLAS=off
  if ! command -v compute-sanitizer >/dev/null; then
    skip "compute-sanitizer is not on PATH"
    return
  fi
  if [ -n "${2:-}" ]; then
    name+=" with cuBLAS" off=MEANODE_CUBLAS=
    program=(env "LD_LIBRARY_PATH=$with_cublas" "${program[@]}")
  fi
  bare $whole MEANODE_REQUIRE_GPU=1 MEANODE_SMALL=1 $off compute-sanitizer --tool "$1" --target-processes all --print-limit 20 \
    --error-exitcode 1 "${program[@]}"
  code=$?
  summary=$(said | grep -aE '(ERROR|RACECHECK) SUMMARY' | tail -n 1 | sed 's/^[= ]*//')
  if [ "$code" = 0 ] && [[ "$summary" == *" 0 errors"* || "$summary" == *" 0 hazards"* ]]; then passed=true; fi
  check "$name" $passed "${summary:-no summary; exit code $code}"
}
stage_memcheck() {
  sanitize memcheck
  now
  if [ "$worst" = 0 ] && [ -n "$with_cublas" ] && ((deadline - NOW > 30 * second)); then optional=1 sanitize memcheck cublas; fi
}
stage_racecheck() { sanitize racecheck; }
stage_initcheck() { sanitize initcheck; }
stage_synccheck() { sanitize synccheck; }

stage_body() { # NAME
  set +m
  case $1 in # a program that prints without end fills no disk; results of sweeps are larger than a log
  start | sweep | mixed | kills | limits) ulimit -f 4194304 ;;
  *) ulimit -f 262144 ;;
  esac
  worst=0
  "stage_$1"
  exit "$worst"
}

# Outside: one stage after the other.
job='' name='' failures=0
gather() { # rows and log of the stage that ended
  if [ ! -f "$current" ]; then return; fi
  if [ "$name" = machine ]; then grep -aE '^meanode |, [0-9]+ MiB' "$current" | head -n 5 >>"$lines"; fi
  grep -a '^{' "$current" | cut -c 1-20000 | head -c 500000 >>"$lines"
  if [ -n "$(tail -c 1 "$lines" | tr '\0' 0)" ]; then echo >>"$lines"; fi
  {
    printf '\n== %s\n' "$name"
    if [ "$(stat -c %s "$current")" -gt 500000 ]; then
      head -c 100000 "$current"
      printf '\n... (cut) ...\n'
      tail -c 400000 "$current"
    else
      cat "$current"
    fi
  } >>"$log"
  rm -f "$current"
}
outcome() { # OUTCOME CODE SECONDS DETAIL
  printf '{"stage": "%s", "outcome": "%s", "exit": %s, "seconds": %s, "detail": "%s"}\n' "$name" "$1" "$2" "$3" "$(plain "$4")" |
    tee -a "$lines" "$log"
  case $1 in failed | timeout) failures=$((failures + 1)) ;; esac
  timeout -k 5 20 "$python" "$scripts/table.py" "$lines" "$page" >"$work/table" 2>"$work/table.err" ||
    echo "gpu.sh: no table: $(tail -n 1 "$work/table.err")" | tee -a "$log"
}
end_job() { # the stage, and the command in it, which leads a process group of its own
  if [ -s "$work/running" ]; then kill -TERM "$(cat "$work/running")" 2>/dev/null; fi
  kill -TERM -- "-$job" 2>/dev/null
  sleep 0.5
  kill -KILL -- "-$job" 2>/dev/null
}
run_stage() { # SECONDS LEAST
  local seconds=$1 least=$2 left begin late=0 code reader
  now
  begin=$NOW
  if [ -n "$budget" ]; then
    left=$(((started + budget * second - NOW) / second))
    if ((left < least)); then
      outcome skipped 0 0 "$((left > 0 ? left : 0)) s of the budget are left, it needs $least s"
      return
    fi
    if ((seconds > left)); then seconds=$left; fi
  fi
  printf '\n== %s (at most %s s)\n' "$name" "$seconds"
  deadline=$((begin + seconds * second))
  rm -f "$work/detail" "$work/running"
  : >"$current"
  set -m # a process group of its own
  stage_body "$name" >>"$current" 2>&1 </dev/null &
  job=$!
  set +m
  tail -n +1 -s 0.1 -f --pid="$job" "$current" &
  reader=$!
  while kill -0 "$job" 2>/dev/null; do # its commands end at the deadline; this is for what is not one of them
    now
    if ((NOW > deadline + 8 * second)); then
      late=1
      end_job
      break
    fi
    sleep 0.1
  done
  wait "$job" 2>/dev/null
  code=$?
  job=''
  wait "$reader" 2>/dev/null
  now
  gather
  local took detail=''
  took=$(in_seconds $((NOW - begin)))
  if [ -s "$work/detail" ]; then detail=$(cat "$work/detail"); fi
  if [ $late = 1 ]; then
    outcome timeout 124 "$took" "${detail:-ended from outside}"
  else
    case $code in
    0) outcome 'done' 0 "$took" "" ;;
    77) outcome skipped 77 "$took" "$detail" ;;
    124) outcome timeout 124 "$took" "$detail" ;;
    *) outcome failed "$code" "$took" "$detail" ;;
    esac
  fi
}
finish() {
  printf '\n'
  cat "$work/table" 2>/dev/null
  echo "rows: $lines; log: $log; page: $page"
  exit $((failures > 0))
}
stop() { # told to end: keep what there is
  [ "$BASHPID" = $$ ] || exit
  trap '' TERM INT HUP
  if [ -n "$job" ]; then
    end_job
    gather
    now
    outcome failed 143 "$(in_seconds $((NOW - started)))" "gpu.sh was told to end"
  fi
  failures=1
  finish
}
trap stop TERM INT HUP

list=$(names)
if [ -n "$only" ]; then list="machine$(sed "s/ machine\b//g" <<<"$only")"; fi
for name in $list; do
  run_stage $(awk -v name="$name" '$1 == name {print $2, $3}' <<<"$stages")
done
finish
