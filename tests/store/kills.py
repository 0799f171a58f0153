# SPDX-License-Identifier: BSD-3-Clause
"""Runs that are killed at random moments, resumed, and killed again, end with the same bits as one that was left alone.

usage: kills.py KILLS SIGNAL [--ranks P] [--instances N] [--depth L] [--seed S]
Needs MEANODE in the environment. With --ranks, one random rank of P is killed each time (exit 77: no mpirun).
"""

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from contents import contents

MEANODE = os.environ["MEANODE"]
CONFIG = """\
data: {{kind: gaussian, samples: 8, inputs: 3, targets: 2, seed: 1}}
model: {{block: perceptron, activation: tanh, D: 8, alpha: 1}}
training: {{steps: 10}}
limit: {{kind: none}}
sweep: {{L: [{L[0]}, {L[1]}, {L[2]}], M: [4, 8, 16], seeds: {seeds}}}
record: {{steps: all, output: true, embedding: true}}
"""


def ranks_of(output):
    """Processes of this run, by their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"meanode") and output.encode() in words:
            found.append(int(pid))
    return found


def end(run, output, killed_rank):
    """Waits for a run that was told or made to end; returns its output, its errors, and whether its launcher hung.

    Once a rank is dead and no other is left there is nothing of meanode to wait for. Open MPI's launcher (4.1 with PMIx 4.2,
    as in Debian 12) stays behind now and then all the same: it waits in its PMIx_server_finalize for a mutex in memory that
    it has freed. It is sent after its ranks."""
    deadline, alone = time.monotonic() + 60, 0
    while True:
        try:
            return *run.communicate(timeout=1), alone >= 5
        except subprocess.TimeoutExpired:
            ranks = ranks_of(output)
            assert time.monotonic() < deadline, f"of the run, {ranks or 'the launcher'} did not end"
            alone = 0 if ranks or not killed_rank else alone + 1
            if alone == 5:
                run.kill()


def there(output):
    """Rows that a person is told are there; 0 before there is a file."""
    told = subprocess.run([MEANODE, "status", output], capture_output=True, text=True).stdout
    counts = re.search(r"(\d+) done, (\d+) diverged", told)
    return int(counts[1]) + int(counts[2]) if counts else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kills", type=int)
    parser.add_argument("signal", choices=["KILL", "TERM"])
    parser.add_argument("--ranks", type=int, default=0)
    parser.add_argument("--instances", type=int, default=900)
    parser.add_argument("--depth", type=int, default=300, help="smallest L; scales how long a run takes")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.ranks and not shutil.which("mpirun"):
        print("no mpirun")
        sys.exit(77)
    which = getattr(signal, "SIG" + options.signal)
    random.seed(options.seed)
    launcher = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(options.ranks)] if options.ranks else []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open("sweep.yaml", "w") as file:
            file.write(CONFIG.format(seeds=options.instances // 9, L=[options.depth, 2 * options.depth, 4 * options.depth]))
        subprocess.run([MEANODE, "run", "sweep.yaml", "-o", "alone.h5", "--progress", "none"], check=True)
        expected = contents("alone.h5")
        output = os.path.join(folder, "killed.h5")
        command = [*launcher, MEANODE, "run", "sweep.yaml", "-o", output, "--resume", "--progress", "none"]
        start = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        duration = time.monotonic() - start
        os.unlink(output)
        kills = completed = torn = launchers = grew = had = 0
        while kills < options.kills:
            run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(random.uniform(0, 1.1 * duration))
            told = there(output)  # what was there once stays there
            assert told >= had, (told, had)
            ranks = ranks_of(output) if options.ranks else []
            if ranks:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(random.choice(ranks), which)
            elif not options.ranks and run.poll() is None:
                run.send_signal(which)
            out, err, hung = end(run, output, bool(ranks))
            launchers += hung
            # A kill in the middle of a write leaves its last entry cut off, which is named and computed again; nothing else.
            notes = [line for line in err.splitlines() if "note:" in line]
            assert all("cut off at byte" in line for line in notes), err
            torn += len(notes)
            if run.returncode == 0:
                # It was faster than the signal: compare, begin again.
                assert contents(output) == expected
                completed += 1
                os.unlink(output)
                had = 0
                continue
            if options.signal == "TERM" and not options.ranks:
                assert run.returncode in (75, -signal.SIGTERM), (run.returncode, err)  # before the handler, or after
            kept = there(output)
            assert kept >= told, (kept, told)
            grew += kept > had
            had = kept
            kills += 1
        subprocess.run([MEANODE, *command[command.index("run"):]], check=True, capture_output=True)
        assert contents(output) == expected
        leftovers = [name for name in os.listdir(".") if name.startswith("killed.h5.")]
        assert not leftovers, leftovers
        ranks = f" on one of {options.ranks} ranks ({launchers} launchers hung after their ranks)" if options.ranks else ""
        print(f"{kills} x SIG{options.signal}{ranks}, {grew} of them left more rows than the one before, "
              f"{torn} journals cut in the middle of an entry, {completed + 1} completions; "
              f"a run of {options.instances} instances takes {duration:.2f} s; all {len(expected)} arrays bitwise equal")


if __name__ == "__main__":
    main()
