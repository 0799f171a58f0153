# SPDX-License-Identifier: BSD-3-Clause
"""What the tests with faults share: running the binary under the interposer, and what a result file and a journal hold."""

import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

import h5py

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from contents import contents  # noqa: E402, F401: a neighbour of this folder

MEANODE = os.environ["MEANODE"]
SWEEP = """\
data: {{kind: gaussian, samples: 4, inputs: 3, targets: 2, seed: 1}}
model: {{D: 4, activation: tanh, alpha: 1}}
training: {{steps: 3}}
limit: {{kind: mean-ode, tolerance: 1e-2}}
sweep: {{L: [{L}, {L2}], M: [1, 2], seeds: {seeds}}}
record: {{steps: all, embedding: true}}
"""


def sweep(seeds=40, L=4):
    return SWEEP.format(seeds=seeds, L=L, L2=2 * L)


def run(folder, *arguments, interpose=None, timeout=120, **faults):
    """meanode in a folder; faults: plan, log, trace, safe, clock, host of the interposer."""
    environment = dict(os.environ)
    if interpose:
        environment |= {"LD_PRELOAD": interpose, "FAULTS_UNDER": str(folder)}
        environment |= {f"FAULTS_{name.upper()}": str(value) for name, value in faults.items()}
    return subprocess.run([MEANODE, *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True,
                          errors="replace", timeout=timeout)


def journal_ids(data):
    """Ids of the instances in the bytes of a journal."""
    found, at = set(), 16
    while at + 32 <= len(data):
        mark, kind, length = struct.unpack_from("<IIQ", data, at)
        if mark != 0x4A4F4E4D or at + 32 + length > len(data):
            break
        if kind == 3:
            found.add(struct.unpack_from("<Q", data, at + 32)[0])
        at += 32 + (length + 7) // 8 * 8
    return found


def present(path):
    """Ids of the instances that are in a result file or its journal."""
    path, found = pathlib.Path(path), set()
    journal = path.with_name(path.name + ".journal")
    if journal.exists():
        found |= journal_ids(journal.read_bytes())
    if path.exists():
        with h5py.File(path) as file:
            found |= set(file["id"][()][file["status"][()] >= 0].tolist())
    return found


def counted(folder, name):
    """How many instances `meanode status` says are there; 0 where there is nothing yet."""
    told = run(folder, "status", name)
    match = re.search(r"(\d+) done, (\d+) diverged", told.stdout)
    return int(match[1]) + int(match[2]) if match else 0


def leftovers(folder, name):
    return sorted(path.name for path in pathlib.Path(folder).glob(name + ".*"))


def fresh_copy(template, folder):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
