#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""bench/gpu.sh rehearsed without a card: in a bundle whose programs are small scripts, stages fail, hang, print garbage and half
lines, die by signals, and the script itself is ended half-way. All other stages must run, and what was measured must be there.

rehearsal.py SOURCES
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

STAGES = ("machine card ceilings aims start limit profile torch jax products sweep mixed kills limits others passes memcheck "
          "racecheck initcheck synccheck limit6").split()

# A program is this script under its name. What it does instead of its work lies in a file of the name "program argument".
ACTOR = r"""#!/bin/sh
self=$(basename "$0")
echo "$self ${LD_LIBRARY_PATH-unset}" >>"$FAKE/environment"
for key in "$self $1 $2 $3" "$self $1" "$self"; do
  if [ -f "$FAKE/$key" ]; then . "$FAKE/$key"; fi
done
case "$self $1" in
"meanode --version") echo "meanode 9.9.9 (rehearsal)" ;;
"bench_gpu library") echo '{"library": "cuBLAS of the rehearsal"}' ;;
"bench_gpu ceilings") echo '{"copy": 3e12, "two_to_one": 2.5e12, "fma32": 6e13, "fma64": 3e13, "lds_broadcast": 1e13}' ;;
"bench_gpu floors") echo '{"D": '$2', "M": '$3', "L": '$4', "N": '$5', "instances": '$6', "precision": "'$7'", "kernel": "W0",' \
  '"floor_bytes": 5e9, "floor_flops": 1e9, "modelled_seconds": 0.003}' ;;
"bench_gpu time") echo '{"D": '$2', "M": '$3', "L": '$4', "N": '$5', "instances": '$6', "precision": "'$8'",' \
  '"candidate": '${9:--1}', "seconds_per_step": 0.004}' ;;
"bench_gpu case") echo '{"backend": "'${3:-cuda}'"}' ;;
"bench_field floors") echo '{"pass": "F, J", "nodes": '$2', "particles": '$3', "D": '$4', "r": 8, "precision": "'$5'", "pass_bytes": 1e9,' \
  '"pass_flops": 1e9}' ;;
"bench_field pass") echo '{"pass": "F, J", "nodes": '$2', "particles": '$3', "D": '$4', "r": 8, "precision": "'$5'", "pass_bytes": 1e9,' \
  '"pass_flops": 1e9, "seconds": 0.5}' ;;
"bench_field limit") echo '{"limit": "mean-ode", "D": '$2', "K": 15, "tolerance": '$3', "engine": "'${4:-cuda}'", "seconds": 1,' \
  '"claimed": 0.1, "parameters": "-"}' ;;
"test_cuda_card "*) printf 'W0 f32: 8 cases, 0 differ, 0 failed\nC f64: 4 cases, 0 differ, 0 failed\n12 cases, 0 differ, 0 failed\n' ;;
"test_cuda_random "*) echo "[  PASSED  ] 2 test(s)." ;;
"nvidia-smi --query-gpu=name") echo "NVIDIA Rehearsal 80GB" ;;
"nvidia-smi --query-gpu=name,"*) echo "NVIDIA Rehearsal 80GB, 1.2.3, 81559 MiB" ;;
"nvidia-smi "*) echo "1980 MHz, 2619 MHz, 700.00 W, 30, Enabled" ;;
"ncu "*)
  echo "once ${MEANODE_BENCH_ONCE-unset}" >>"$FAKE/environment"
  while [ $# -gt 0 ]; do
    if [ "$1" = --log-file ]; then file=$2; fi
    case "$1" in *stalled_barrier*) exit 9 ;; esac # metrics that this ncu does not know
    shift
  done
  printf '==PROF== Connected\n"ID","Kernel Name","sm__inst_executed.avg.per_cycle_active","dram__bytes.sum.per_second"\n' >"$file"
  printf '"","","inst/cycle","byte/second"\n"0","lanes(args)","1.25","2,500,000,000"\n' >>"$file" ;;
"compute-sanitizer "*)
  case $2 in racecheck) echo "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)" ;; *) echo "========= ERROR SUMMARY: 0 errors" ;; esac ;;
esac
"""

# Python: the table and the reader of profiles are the real ones, peers and commands are not.
PYTHON = r"""#!/bin/sh
echo "python ${LD_LIBRARY_PATH-unset}" >>"$FAKE/environment"
case "$1 $2" in
"-c "*find_spec*) shift 2; for name; do if [ -f "$FAKE/no $name" ]; then exit 1; fi; done; exit 0 ;;
"-c "*cu13*) echo "$FAKE/site/nvidia/cu13/lib" ;;
*table.py*|*ncu.py*) if [ -f "$FAKE/$(basename "$1")" ]; then . "$FAKE/$(basename "$1")"; fi; exec "$REAL_PYTHON" "$@" ;;
*)
  key=$(basename "$1")
  if [ "$key" = commands.py ]; then key="commands.py $6"; fi
  if [ -f "$FAKE/$key" ]; then . "$FAKE/$key"; fi
  case $key in
  peers_*) name=${key#peers_}; name=${name%.py}; shift 2
    for shape; do
      echo "$shape" | tr , ' ' | { read -r D M L N I K p; echo '{"peer": "'$name'", "D": '$D', "M": '$M', "L": '$L', "N": '$N', "instances": '$I',' \
        '"precision": "'$p'", "seconds_per_step": 0.04}'; }
    done ;;
  commands.py*) echo '{"command": "'${key#* }'", "backend": "cuda", "threads": 4, "instances": 9, "seconds": 2, "user": 1, "system": 1, "detail": ""}' ;;
  esac ;;
esac
"""


class Stage:
    """A bundle in a folder of its own, and runs of its gpu.sh."""

    def __init__(self, sources, folder):
        self.folder = pathlib.Path(folder)
        self.out, self.fake = self.folder / "out", self.folder / "fake"
        bundle, path = self.folder / "meanode-gpu", self.folder / "path"
        for made in (self.out, self.fake / "site/nvidia/cu13/lib", bundle / "bin", path):
            made.mkdir(parents=True)
        (self.fake / "site/nvidia/cu13/lib/libcublasLt.so.13").touch()
        shutil.copy(sources / "bench/gpu.sh", bundle)
        shutil.copytree(sources / "bench/gpu", bundle / "gpu")
        programs = [bundle / "bin" / name for name in ("meanode", "bench_gpu", "bench_field", "test_cuda_card", "test_cuda_random")]
        for program in [*programs, *(path / name for name in ("nvidia-smi", "ncu", "compute-sanitizer"))]:
            self.program(program, ACTOR)
        with open(bundle / "bin/meanode", "a") as file:
            file.write("# $ORIGIN/../lib\n")
        self.program(path / "python", PYTHON)
        self.script = bundle / "gpu.sh"
        self.environment = {key: value for key, value in os.environ.items() if key not in ("LD_LIBRARY_PATH", "RESULTS", "BUILD")}
        self.environment |= {"OUT": str(self.out), "FAKE": str(self.fake), "PYTHON": str(path / "python"), "REAL_PYTHON": sys.executable,
                             "PATH": f"{path}:{os.environ['PATH']}", "TMPDIR": str(self.folder)}

    @staticmethod
    def program(path, text):
        path.write_text(text)
        path.chmod(0o755)

    def act(self, scripts):
        """What programs do before their work, or instead of it."""
        for name, script in scripts.items():
            (self.fake / name).write_text(script + "\n")

    def start(self, *options, scale="1"):
        return subprocess.Popen(["bash", str(self.script), *options], env=self.environment | {"GPU_SH_SCALE": scale}, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                                start_new_session=True)

    def run(self, *options, scale="1"):
        process = self.start(*options, scale=scale)
        return process.communicate()[0], process.returncode

    def rows(self):
        """Rows that can be read, and the number of lines that cannot."""
        lines, = self.out.glob("*.jsonl")
        rows, broken = [], 0
        for line in lines.read_text(errors="replace").split("\n"):
            if line.startswith("{"):
                try:
                    rows.append(json.loads(line))
                except ValueError:
                    broken += 1
        return rows, broken

    def outcomes(self):
        return {r["stage"]: r["outcome"] for r in self.rows()[0] if "stage" in r}

    def why(self, stage):
        return next(r["detail"] for r in self.rows()[0] if r.get("stage") == stage)

    def page(self):
        page, = self.out.glob("*.md")
        return page.read_text()

    def check_files(self):
        """What the machine returns: few files, plain names, not too large; nothing half-made."""
        files = list(self.out.iterdir())
        assert len(files) <= 8, files
        for file in files:
            assert re.fullmatch(r"[A-Za-z0-9._-]+", file.name), file
            assert file.stat().st_size < 16 << 20, file
            assert not file.name.endswith((".now.log", ".new")), file


def of_session(session):
    """Processes that are still there."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(entry.parent.name))
    return found


def all_well(stage):
    stage.act({"bench_field limit 8 1e-5": 'cp "$OUT"/*.md "$FAKE/page at the limit"'})
    said, code = stage.run()
    assert code == 0, (code, said)
    assert stage.outcomes() == dict.fromkeys(STAGES, "done"), stage.outcomes()
    stage.check_files()
    page = stage.page()
    for text in ("meanode 9.9.9 (rehearsal)", "NVIDIA Rehearsal 80GB, 1.2.3, 81559 MiB", "cuBLAS of the rehearsal", "| 12 cases, 0 differ, 0 failed ",
                 "RACECHECK SUMMARY: 0 hazards", "copy 3e+12 B/s", "10, 10, 1000, 10 x 2000", "50%", "40 ms, 10.00x",
                 "tolerance 1e-06 on cuda", "| sweep ", "sm__inst_executed.avg.per_cycle_active", "2.5e+09",
                 "kernel candidate 3 at 32, 32, 1000, 10"):
        assert text in page, (text, page)
        assert text in said, (text, said)
    assert "not yet run" not in page and "stage not done" not in page and "FAILED" not in page, page
    early = (stage.fake / "page at the limit").read_text()  # made after each stage
    assert "copy 3e+12 B/s" in early and "| start " in early and "| sweep " not in early, early
    environment = set((stage.fake / "environment").read_text().split("\n"))
    assert {line for line in environment if line.startswith(("python", "nvidia-smi", "ncu"))} == {
        "python unset", "nvidia-smi unset", "ncu unset"}, environment
    assert any(line.startswith("bench_gpu") and str(stage.fake / "site/nvidia/cu13/lib") in line for line in environment), environment
    assert {line for line in environment if line.startswith("once")} == {"once 1"}, environment


def much_fails(stage):
    """Every stage but the one where something fails is done; where a part of a stage fails, its other parts are measured."""
    stage.act({
        "test_cuda_card": "echo 'W f32: 8 cases, 2 differ, 0 failed'; echo '9 cases, 2 differ, 0 failed'; kill -SEGV $$",
        "bench_gpu ceilings": """printf '{"copy": 3e12, "two_to_'; exit 0""",  # half a line, and content
        "bench_gpu time 10 10": "head -c 20000000 /dev/urandom; printf '\\n{\"D\": 10, \"M'; exit 3",
        "commands.py start": "echo Traceback; exit 1",
        "bench_field limit 8 1e-4": "kill -KILL $$",
        "ncu": "echo no permission; exit 1",
        "peers_torch.py": "echo '{\"peer\": \"torch\", \"D\": 1, \"error\": \"out of memory\"}'; printf '{\"peer\"'; kill -ABRT $$",
        "no jax": "",
        "commands.py mixed": "yes '{' | head -n 300000; printf '\\0\\0{\\0\\n[1, 2]\\n'; exit 70",
        "table.py": 'echo x >>"$FAKE/tables"; if [ $(wc -l <"$FAKE/tables") -le 3 ]; then echo no >&2; exit 1; fi',
        "compute-sanitizer": 'if [ "$2" = memcheck ]; then echo "========= ERROR SUMMARY: 2 errors"; exit 1; fi',
    })
    said, code = stage.run()
    assert code == 1, code
    bad = {"card", "aims", "start", "limit", "profile", "torch", "mixed", "others", "memcheck"}
    expected = {name: "failed" if name in bad else "skipped" if name == "jax" else "done" for name in STAGES}
    assert stage.outcomes() == expected, stage.outcomes()
    assert "jax" in stage.why("jax") and "exit code 137: bench_field limit 8 1e-4" == stage.why("limit"), stage.why("limit")
    stage.check_files()
    rows, broken = stage.rows()
    assert broken > 0
    times = [r for r in rows if "seconds_per_step" in r and "peer" not in r]
    assert {r["D"] for r in times} == {2, 8, 32, 100, 1000}, times  # all but (10, 10)
    limits = {(r["tolerance"], r["engine"]) for r in rows if "limit" in r}
    assert limits == {(1e-3, "cuda"), (1e-5, "cuda"), (1e-6, "cuda"), (1e-3, "cpu")}, limits
    checks = {r["check"]: r for r in rows if "check" in r}
    assert not checks["memcheck"]["passed"] and checks["memcheck"]["detail"] == "ERROR SUMMARY: 2 errors", checks
    assert checks["racecheck"]["passed"] and not checks["bits of the card and of the host"]["passed"], checks
    assert "9 cases, 2 differ, 0 failed; W f32: 8 cases, 2 differ" in checks["bits of the card and of the host"]["detail"], checks
    assert said.count("gpu.sh: no table") == 3, said
    page = stage.page()
    for text in ("| card ", "lines could not be read", "32, 32, 1000, 10 x 1000", "out of memory", "jax (or numpy) is not installed"):
        assert text in page, (text, page)


def some_hang(stage):
    stage.act({
        "bench_gpu time 10 10": "sleep 1000",
        "bench_gpu ceilings": "trap '' TERM INT HUP; while :; do sleep 1; done",
        "commands.py start": "sleep 1000 & setsid sleep 10 & wait",
        "bench_field limit": "exec yes '{\"a\": 1'",
    })
    said, code = stage.run("--only", "start", "ceilings", "limit6", "aims", "card", "products", scale="0.04")
    assert code == 1, code
    outcomes = stage.outcomes()
    assert list(outcomes) == ["machine", "start", "ceilings", "limit6", "aims", "card", "products"], outcomes
    assert {outcomes[name] for name in ("start", "ceilings", "aims")} == {"timeout"}, outcomes
    assert outcomes["limit6"] in ("timeout", "failed"), outcomes  # too much printed, or for too long
    assert outcomes["products"] != "skipped" and outcomes["card"] != "skipped", outcomes
    assert "bench_gpu ceilings" in stage.why("ceilings") and "no end within" in stage.why("ceilings"), stage.why("ceilings")
    stage.check_files()
    assert "stage not done" in stage.page()


def killed(stage):
    """SIGKILL: pages and rows of the stages before are there, and the log of the one that was running."""
    stage.act({"bench_field limit 8 1e-4": "echo waiting; sleep 1000"})
    process = stage.start("--only", "ceilings", "aims", "limit", "passes")
    try:
        wait_for(stage, process, "waiting")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert stage.outcomes() == dict.fromkeys(["machine", "ceilings", "aims"], "done"), stage.outcomes()
        assert "copy 3e+12 B/s" in stage.page() and "10, 10, 1000, 10 x 2000" in stage.page() and "50%" in stage.page()
        current, = stage.out.glob("*.now.log")
        assert '"tolerance": 1e-3' in current.read_text()
        assert len(list(stage.out.iterdir())) <= 8
    finally:
        for pid in of_session(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.stdout.close()


def told_to_end(stage):
    """SIGTERM: rows of the stage that was running are kept too, the table is printed, nothing runs on."""
    stage.act({"bench_field limit 8 1e-4": "echo waiting; sleep 1000"})
    process = stage.start("--only", "ceilings", "limit", "passes")
    wait_for(stage, process, "waiting")
    os.kill(process.pid, signal.SIGTERM)
    said = process.communicate()[0]
    assert process.returncode == 1, process.returncode
    assert stage.outcomes() == {"machine": "done", "ceilings": "done", "limit": "failed"}, stage.outcomes()
    assert [r["tolerance"] for r in stage.rows()[0] if "limit" in r] == [1e-3]
    assert "tolerance 0.001 on cuda" in stage.page() and "tolerance 0.001 on cuda" in said, said
    stage.check_files()
    assert not of_session(process.pid), of_session(process.pid)


def wait_for(stage, process, text):
    def there(file):
        try:
            return text in file.read_text(errors="replace")
        except FileNotFoundError:  # its stage has just ended
            return False

    while process.poll() is None and not any(map(there, stage.out.glob("*.now.log"))):
        time.sleep(0.05)


def options(stage):
    for wrong, named in ((["--only", "nonsense"], "synccheck"), (["--only"], "synccheck"), (["--fast"], "--budget"), (["--budget", "x"], "seconds"),
                         (["--pack"], "OUT.tar.gz"), (["--only", "card", "--budget"], "seconds")):
        said, code = stage.run(*wrong)
        assert code == 2 and named in said and not list(stage.out.iterdir()), (wrong, code, said)
    said, code = stage.run("--list")
    assert code == 0 and [line.split()[0] for line in said.splitlines()[1:]] == STAGES, said
    said, code = stage.run("--help")
    assert code == 0 and "--budget SECONDS" in said and "set -u" not in said, said
    said, code = stage.run("--budget", "24", "--only", "torch", "ceilings", "sweep", "aims")
    assert code == 0, said
    assert stage.outcomes() == {"machine": "done", "torch": "skipped", "ceilings": "done", "sweep": "skipped", "aims": "done"}, stage.outcomes()
    assert "of the budget" in stage.why("torch"), stage.why("torch")
    assert all(int(limit) <= 24 for limit in re.findall(r"at most (\d+) s", said)), said
    assert "stage not done" in stage.page() and "torch" in stage.page()


def main():
    sources = pathlib.Path(sys.argv[1]).resolve()
    scenarios = (all_well, much_fails, some_hang, killed, told_to_end, options)

    def play(scenario):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            try:
                scenario(Stage(sources, folder))
            except Exception:
                return f"{scenario.__name__}: FAILED\n{traceback.format_exc()}"
        return None

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        found = list(pool.map(play, scenarios))
    for scenario, error in zip(scenarios, found):
        print(error or f"{scenario.__name__}: passed")
    sys.exit(any(found))


if __name__ == "__main__":
    main()
