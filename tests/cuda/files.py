#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The same sweep on the CPU backend and on the CUDA driver (on the twin of a card) leaves the same files: files.py PROGRAM"""
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

OWN = {"seconds"}  # columns that differ between any two runs
SWEEPS = {  # name: (configuration, precision, kernel or None, tolerance)
    "everything": ("""
data: {kind: gaussian, samples: 6, inputs: 3, targets: 2, seed: 1}
model: {D: [3, 8], activation: tanh, alpha: [0.7, 1.5]}
training: {steps: 4, eta_u: 0.5}
limit: {kind: mean-ode, tolerance: 1e-7, method: sobol-full, particles: 128, nodes: 3, randomisations: 2}
sweep: {L: [1, 5, 12], M: [1, 4], seeds: 2, pairs: [regroup, jackknife, antithetic]}
record: {steps: [0, 1, 4], embedding: true, weights: both, coupling: true, path: true, features: true}
""", "f64", None, 1e-11),
    "limits": ("""
data: {kind: gaussian, samples: 7, inputs: 3, targets: 2, seed: 1}
model: {D: [4, 9], activation: tanh, alpha: 1}
training: {steps: 3}
limit: {kind: [mean-ode, tangent-ode, largest], tolerance: 1e-7, method: sobol, particles: 256, nodes: 3, randomisations: 3}
sweep: {L: [4], M: [3], seeds: 2}
record: {coupling: true, path: true}
""", "f64", None, 1e-11),
    "products": ("""
data: {kind: gaussian, samples: 40, inputs: 3, targets: 2, seed: 1}
model: {D: 6, activation: gelu, alpha: 1}
training: {steps: 3}
limit: {kind: none}
sweep: {L: [2, 9], M: [5], seeds: 3, pairs: regroup}
record: {embedding: true, weights: final}
""", "f64", "7", 1e-11),
    "single": ("""
data: {kind: digits, samples: 12, seed: 1}
model: {D: 16, activation: silu, alpha: 1}
training: {steps: 3, eta_v: 0.5, loss: cross-entropy}
limit: {kind: none}
sweep: {L: [3, 8], M: [2, 20], seeds: 3}
record: {output: false, weights: initial}
""", "f32", None, 1e-4),
    "frozen": ("""
data: {kind: gaussian, samples: 33, inputs: 3, targets: 2, seed: 1}
model: {D: 5, activation: erf, alpha: 1}
training: {steps: 3, eta_u: 0}
limit: {kind: none}
sweep: {L: [4], M: [3, 8], seeds: 2}
record: {weights: final}
""", "f64", None, 1e-11),
    "diverging": ("""
data: {kind: gaussian, samples: 5, inputs: 3, targets: 2, seed: 1}
model: {D: 4, activation: identity, alpha: 1}
training: {steps: 6, eta_u: 1e5, eta_v: 1e5}
limit: {kind: none}
sweep: {L: [2, 6], M: [2], seeds: 3}
record: {embedding: true, weights: both, features: true, path: true}
""", "f64", None, 1e-8),
}


def datasets(path):
    found = {}
    with h5py.File(path, "r") as file:
        def visit(name, item):
            if isinstance(item, h5py.Dataset):
                found[name] = (item[()], item.dtype, {k: str(v) for k, v in item.attrs.items() if "REFERENCE" not in k and "DIMENSION" not in k})
        file.visititems(visit)
    return found


def differences(a, b, tolerance):
    """What differs, line by line."""
    if set(a) != set(b):
        yield f"only in one file: {sorted(set(a) ^ set(b))}"
    for name in sorted(set(a) & set(b)):
        (x, kind_x, about_x), (y, kind_y, about_y) = a[name], b[name]
        x, y = np.asarray(x), np.asarray(y)
        if kind_x != kind_y or x.shape != y.shape or about_x != about_y:
            yield f"{name}: {kind_x} {x.shape} {about_x}, {kind_y} {y.shape} {about_y}"
        elif name.split("/")[-1] in OWN or kind_x.kind == "O" and "history" in name:
            continue
        elif x.dtype.kind != "f":
            if not np.array_equal(x, y):
                yield f"{name}: differs"
        elif not np.array_equal(np.isfinite(x), np.isfinite(y)):
            yield f"{name}: other numbers are missing"
        elif np.isfinite(x).any():
            finite = np.isfinite(x)
            scale = np.sqrt(np.mean(x[finite].astype("f8") ** 2))
            error = np.max(np.abs(x[finite].astype("f8") - y[finite].astype("f8")))
            if error > tolerance * max(scale, 1e-300):
                yield f"{name}: differs by {error / scale:.2g} of its size"


def main():
    failed, compared = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, (text, precision, kernel, tolerance) in SWEEPS.items():
            config, cpu, cuda = folder / f"{name}.yaml", folder / f"{name}-cpu.h5", folder / f"{name}-cuda.h5"
            config.write_text(text)
            said = subprocess.run([sys.argv[1], config, precision, cpu, cuda, *([kernel] if kernel else [])], check=True,
                                  stdout=subprocess.PIPE, text=True).stdout
            a, b = datasets(cpu), datasets(cuda)
            found = list(differences(a, b, tolerance))
            status = [v[0] for k, v in a.items() if k.split("/")[-1] == "status"]
            print(f"{name}: {len(a)} datasets, {sum(int(np.sum(s == 1)) for s in status)} diverged")
            if name == "limits" and int(said.split()[0]) < 50:
                found.append(f"the particles were not on the card: {said}")
            if name == "diverging" and not any(np.any(s == 1) for s in status):
                found.append("nothing diverged")
            for line in found:
                print("  FAILED:", line)
            failed += len(found)
            compared += len(a)
    sys.exit(failed > 0 or compared < 60)


if __name__ == "__main__":
    main()
