#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Brute force for steep limits: writes tests/data/reference/mean_ode_steep.h5 from a result file that holds the problem.

    bench/limit/steep_reference.py RESULT.h5 OUT.h5

Networks of L layers with M units each (every unit also with -v), plain gradient descent in double precision, several seeds;
2 f(L = 128) - f(L = 64) removes the bias of first order in 1/L. The problem is the first one of RESULT.h5, of the configuration
data: {kind: gaussian, samples: 10, inputs: 5, targets: 5}, model: {D: 4}, with alpha as below. Five minutes on one core."""
import sys
import h5py
import numpy as np

STEPS = 5
SIZES = [(64, 2**14, 8), (128, 2**14, 8), (128, 2**15, 6)]  # L, M, seeds

def train(x, y, w_embed, w_unembed, alpha, L, M, seed):
    draw = np.random.default_rng(seed)
    N, D, d_out = len(x), len(w_embed), y.shape[1]
    u = draw.standard_normal((L, M // 2, D)) * np.sqrt(D)
    v = draw.standard_normal((L, M // 2, D)) * np.sqrt(D)
    u, v = np.concatenate([u, u], 1), np.concatenate([v, -v], 1)
    outputs = []
    for k in range(STEPS + 1):
        h, value = np.empty((L + 1, N, D)), np.empty((L, M, N))
        h[0] = x @ w_embed.T
        for l in range(L):
            value[l] = np.tanh(u[l] @ h[l].T / D)
            h[l + 1] = h[l] + alpha / (L * M) * (value[l].T @ v[l])
        f = h[L] @ w_unembed / D
        outputs.append(f)
        b = (f - y) / (N * d_out) @ w_unembed.T
        for l in reversed(range(L)):
            q = (1 - value[l]**2) * (v[l] @ b.T / D)
            below = b + alpha / (L * M) * (q.T @ u[l])
            u[l] -= 1 / alpha * (q @ h[l])
            v[l] -= 1 / alpha * (value[l] @ b)
            b = below
    return np.array(outputs)

def main(result, out):
    with h5py.File(result) as file:
        problem = {name: file["problem_0000"][name][:] for name in ("x", "y", "w_embed", "w_unembed")}
    with h5py.File(out, "w") as file:
        file.attrs["history"] = ("bench/limit/steep_reference.py: networks of " +
                                 ", ".join(f"L {L}, M {M}, {S} seeds" for L, M, S in SIZES) +
                                 "; 2 f(128) - f(64); NumPy " + np.__version__)
        for name, value in problem.items(): file[name] = value
        for alpha in (1e-3, 1e-4):
            runs = {L: [] for L, _, _ in SIZES}
            for L, M, S in SIZES:
                runs[L] += [train(*problem.values(), alpha, L, M, seed) for seed in range(S)]
            mean, error = {}, {}
            for L, values in runs.items():
                mean[L], error[L] = np.mean(values, 0), np.std(values, 0, ddof=1) / np.sqrt(len(values))
            group = file.create_group(f"alpha_{alpha:g}")
            group["output"] = 2 * mean[128] - mean[64]
            group["output_stderr"] = np.hypot(2 * error[128], error[64])

if __name__ == "__main__":
    main(*sys.argv[1:])
