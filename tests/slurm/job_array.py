# SPDX-License-Identifier: BSD-3-Clause
"""The job array of data/slurm on a real Slurm: six shards, one preempted, one requeued, one out of time; merged, the result
is that of the run without shards."""
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

import cluster

MEANODE = os.environ["MEANODE"]
TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "slurm", "array.sbatch")
TASKS = 6
SKIPPED = 77

CONFIG = """\
data: {{kind: gaussian, samples: 10, inputs: 5, targets: 5}}
model: {{D: [8, 12]}}
training: {{steps: 15}}
limit: {{kind: none}}
sweep: {{L: [50, 100, 200, 400], M: [2, 5, 16, 40], seeds: {seeds}}}
record: {{steps: [0, 1, 15], embedding: true}}
"""


def meanode(folder, *arguments, expected=0):
    done = subprocess.run([MEANODE, *arguments], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == expected, f"{arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def reference(folder):
    """The unsharded run, with enough seeds to keep this machine busy for a while, whatever else it does; returns its seconds
    of processor time."""
    seeds = 8
    while True:
        with open(os.path.join(folder, "my.yaml"), "w", encoding="ascii") as config:
            config.write(CONFIG.format(seeds=seeds))
        start = processor_seconds()
        meanode(folder, "run", "my.yaml", "-o", "whole.h5", "--force", "--threads", "2", "--progress", "none")
        seconds = processor_seconds() - start
        if seconds > 16 or seeds >= 4096:
            return seconds
        seeds *= 2 if seconds > 8 else 4


def wait_for(condition, what, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"timed out: {what}"
        time.sleep(0.1)


def restarts(slurm, job):
    """{array task: how often Slurm started it again}"""
    text = slurm.command("scontrol", "show", "job", str(job))
    found = {}
    for part in text.split("\n\n"):
        task, restart = re.search(r"ArrayTaskId=(\d+)\s", part), re.search(r"Restarts=(\d+)", part)
        if task and restart:
            found[int(task.group(1))] = int(restart.group(1))
    return found


def started(folder, task):
    """The task has written something."""
    return any(name.startswith(f"my.shard-{task}.h5") for name in os.listdir(folder))


def interrupt(slurm, folder, job):
    """One task loses its place to an urgent job, one is requeued by hand, one hears that its time is over."""
    wait_for(lambda: all(slurm.jobs(job).get(t) == "RUNNING" and started(folder, t) for t in range(3)), "three running tasks")
    slurm.command("scontrol", "requeue", f"{job}_0")
    client = slurm.send("USR1", f"{job}_1")
    wait_for(lambda: restarts(slurm, job).get(0, 0) >= 1 and restarts(slurm, job).get(1, 0) >= 1, "two requeued tasks")
    client.kill()
    client.wait()
    before = restarts(slurm, job)
    slurm.submit("-p", "urgent", "--cpus-per-task", str(slurm.cpus), "--output=/dev/null", "--wrap", "sleep 1", cwd=folder)
    wait_for(lambda: sum(restarts(slurm, job).values()) > sum(before.values()), "a preempted task")


def rows(path):
    """{id: (L, M, D, alpha, seed, status, loss, output, embedding)} of a result file."""
    found = {}
    with h5py.File(path) as file:
        table = {name: file[name][...] for name in ("L", "M", "D", "alpha", "seed", "status", "loss", "id", "problem")}
        for problem in sorted(name for name in file if name.startswith("problem_")):
            group = file[problem]
            for run, row in enumerate(group["row"][...]):
                found[int(table["id"][row])] = tuple(np.asarray(table[name][row]).tobytes() for name in table) + (
                    group["output"][run].tobytes(), group["embedding"][run].tobytes())
        assert len(found) == len(table["id"]), "rows without results or double ids"
    return found


def run(slurm, folder):
    job = slurm.submit(f"--array=0-{TASKS - 1}", "--cpus-per-task=1", "--time=30", os.path.join(folder, "array.sbatch"), "my.yaml",
                       cwd=folder)
    interrupt(slurm, folder, job)
    wait_for(lambda: not slurm.jobs(job), "the end of the array")
    again = restarts(slurm, job)
    print(f"restarts by task: {again}")
    assert again[0] >= 1 and again[1] >= 1 and sum(again.values()) >= 3, again
    states = dict(re.findall(r"ArrayTaskId=(\d+) .*?JobState=(\w+)", slurm.command("scontrol", "show", "job", str(job)),
                             re.DOTALL))
    assert sorted(states) == [str(t) for t in range(TASKS)] and set(states.values()) == {"COMPLETED"}, states


def logs(folder):
    for name in sorted(os.listdir(folder)):
        if name.endswith(".log"):
            with open(os.path.join(folder, name), errors="replace") as log:
                print(f"--- {name}\n" + "".join(log.readlines()[-12:]))


def main():
    with tempfile.TemporaryDirectory(prefix="meanode-slurm-") as top:
        folder = os.path.join(top, "work")
        os.mkdir(folder)
        shutil.copy(TEMPLATE, os.path.join(folder, "array.sbatch"))
        os.environ["PATH"] = os.path.dirname(MEANODE) + os.pathsep + os.environ["PATH"]
        os.mkdir(os.path.join(top, "slurm"))
        try:
            with cluster.Cluster(os.path.join(top, "slurm")) as slurm:
                seconds = reference(folder)
                print(f"the run without shards took {seconds:.1f} s of processor time")
                try:
                    run(slurm, folder)
                except BaseException:
                    logs(folder)
                    print(slurm.logs())
                    raise
        except cluster.Unavailable as why:
            print(f"skipped: no Slurm: {why}")
            return SKIPPED
        shards = [f"my.shard-{t}.h5" for t in range(TASKS)]
        meanode(folder, "merge", "my.h5", *shards)
        merged, whole = rows(os.path.join(folder, "my.h5")), rows(os.path.join(folder, "whole.h5"))
        assert merged.keys() == whole.keys(), f"{len(merged)} instances merged, {len(whole)} in the run without shards"
        different = [i for i in whole if merged[i] != whole[i]]
        assert not different, f"{len(different)} instances differ, the first {different[0]:016x}"
        counts = []
        for name in shards:
            with h5py.File(os.path.join(folder, name)) as file:
                counts.append(int((file["status"][...] >= 0).sum()))
        assert sum(counts) == len(whole) and min(counts) > 0, counts
        print(f"{len(whole)} instances bitwise equal; shards of {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
