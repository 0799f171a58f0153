# SPDX-License-Identifier: BSD-3-Clause
"""What a real Slurm tells the tasks of arrays of every form, and which shards the template computes then: the right one, or none."""
import os
import re
import shutil
import sys
import tempfile
import time

import h5py

import cluster

MEANODE = os.environ["MEANODE"]
TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "slurm", "array.sbatch")
SKIPPED = 77
CONFIG = """\
data: {kind: gaussian, samples: 2, inputs: 2, targets: 1}
model: {D: 2}
training: {steps: 1}
limit: {kind: none}
sweep: {L: [2, 4], M: [1, 2], seeds: 4}
"""
# --array, further arguments of the template, {task: share}; a task that is not there is refused.
ARRAYS = (("0-2", (), {0: (0, 3), 1: (1, 3), 2: (2, 3)}), ("1-2", (), {1: (0, 2), 2: (1, 2)}), ("0-4:2", (), {0: (0, 3), 2: (1, 3), 4: (2, 3)}),
          ("0-1%1", (), {0: (0, 2), 1: (1, 2)}), ("0,1", (), {0: (0, 2), 1: (1, 2)}), ("0", (), {0: None}), ("5", (), {}), ("2,4", (), {}), ("0,3", (), {}),
          ("2-3", (), {}), ("0-2:2,3", (), {}), ("5", ("6",), {5: (5, 6)}), ("2,4", ("6",), {2: (2, 6), 4: (4, 6)}))


def share(path):
    with h5py.File(path) as file:
        return tuple(map(int, file.attrs["shard"][:2])) if "shard" in file.attrs else None


def run(slurm, folder):
    jobs = []
    for index, (array, further, _) in enumerate(ARRAYS):
        jobs.append(slurm.submit(f"--array={array}", "--cpus-per-task=1", "--time=5", os.path.join(folder, "array.sbatch"), "a.yaml", f"n{index}", *further,
                                 cwd=folder))
    end = time.monotonic() + 400
    while any(slurm.jobs(job) for job in jobs):
        assert time.monotonic() < end, "timed out: the end of the arrays"
        time.sleep(0.3)
    wrong = 0
    for index, (array, further, wanted) in enumerate(ARRAYS):
        found = {int(match[1]): share(os.path.join(folder, match[0])) for name in os.listdir(folder)
                 if (match := re.fullmatch(rf"n{index}\.shard-(\d+)\.h5", name))}
        print(f"--array={array} {' '.join(further)}: {found}")
        if found != wanted:
            wrong += 1
            print(f"  WRONG: wanted {wanted}")
    return wrong


def main():
    with tempfile.TemporaryDirectory(prefix="meanode-slurm-") as top:
        folder = os.path.join(top, "work")
        os.mkdir(folder)
        os.mkdir(os.path.join(top, "slurm"))
        shutil.copy(TEMPLATE, os.path.join(folder, "array.sbatch"))
        with open(os.path.join(folder, "a.yaml"), "w", encoding="ascii") as config:
            config.write(CONFIG)
        os.environ["PATH"] = os.path.dirname(MEANODE) + os.pathsep + os.environ["PATH"]
        try:
            with cluster.Cluster(os.path.join(top, "slurm")) as slurm:
                return 1 if run(slurm, folder) else 0
        except cluster.Unavailable as why:
            print(f"skipped: no Slurm: {why}")
            return SKIPPED


if __name__ == "__main__":
    sys.exit(main())
