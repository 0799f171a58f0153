# SPDX-License-Identifier: BSD-3-Clause
"""What the end-to-end tests share: run the binary on a configuration given as a dict, read what it wrote."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import h5py

BINARY = os.environ["MEANODE"]


def deep_update(base, changes):
    out = {key: dict(value) if isinstance(value, dict) else value for key, value in base.items()}
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = deep_update(out[key], value)
        else:
            out[key] = value
    return out


BASE = {
    "data": {"kind": "gaussian", "samples": 5, "inputs": 3, "targets": 2, "seed": 1},
    "model": {"block": "perceptron", "activation": "tanh", "D": 4, "alpha": 1},
    "training": {"steps": 3, "optimizer": "gd", "eta_u": 1, "eta_v": 1, "loss": "squared"},
    "limit": {"kind": "none"},
    "sweep": {"L": [4], "M": [3], "seeds": 2},
    "record": {"steps": "all", "output": True, "embedding": True, "weights": "both"},
}


def meanode(*arguments, **options):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=900, **options)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, changes=None, name="sweep.yaml"):
        path = self.folder / name
        path.write_text(json.dumps(deep_update(BASE, changes or {})))  # JSON is YAML
        return path

    def run_sweep(self, changes=None, *arguments, name="out.h5", expect=0):
        """Runs BASE with changes; returns the path of the result file."""
        out = self.folder / name
        done = meanode("run", self.write(changes), "-o", out, "--force", "--progress", "none", *arguments)
        self.assertEqual(done.returncode, expect, done.stderr + done.stdout)
        return out

    def open(self, path):
        file = h5py.File(path, "r")
        self.addCleanup(file.close)
        return file
