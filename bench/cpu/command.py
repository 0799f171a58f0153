# SPDX-License-Identifier: BSD-3-Clause
"""The whole command against the NumPy loop: `meanode run` (one thread, one process, initial weights drawn, outputs of all steps
in its result file) and the literature's way of doing the same sweep, one network after the other in double precision:
weights from numpy's generator, layer by layer, outputs saved. The loop is the authors' Julia notebook line by line, arrays
column by column with the layer as last index; the same on lists of row-major matrices is timed beside it. The time of a network is
that of the sweep over its number of seeds; the interpreter's own start is not counted, the command's is.

    bench/cpu/run.sh BUILD command

Needs numpy and h5py. The loops first meet the command's losses, from its weights, to 1e-9."""
import argparse
import os
import subprocess
import sys
import tempfile
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import h5py
import numpy as np

SHAPES = [(8, 16, 200), (8, 4, 4000), (16, 64, 100), (32, 32, 1000), (64, 256, 50), (256, 256, 50)]
GOALS = [40, 150, 9, 11, 5, 5]
N, D_IN, D_OUT, K = 10, 5, 5, 15


def configuration(D, M, L, seeds, record):
    return (f"data: {{kind: gaussian, samples: {N}, inputs: {D_IN}, targets: {D_OUT}}}\nmodel: {{D: {D}}}\ntraining: {{steps: {K}}}\n"
            f"limit: {{kind: none}}\nsweep: {{L: {L}, M: {M}, seeds: {seeds}}}\nrecord: {{steps: all, {record}}}\n")


def command(meanode, folder, D, M, L, seeds, precision, record="output: true"):
    """Seconds of the command, and its result file."""
    config, result = os.path.join(folder, "sweep.yaml"), os.path.join(folder, "sweep.h5")
    with open(config, "w") as file:
        file.write(configuration(D, M, L, seeds, record))
    start = time.perf_counter()
    subprocess.run([meanode, "run", config, "-o", result, "--force", "--backend", "cpu", "--threads", "1", "--precision", precision,
                    "--progress", "none"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start, result


class Columns:
    """[rows][columns][layer], column-major like Julia's."""

    @staticmethod
    def draw(rng, D, M, L):
        return [np.sqrt(D) * rng.standard_normal((L, M, D)).T for _ in range(2)]

    @staticmethod
    def given(w):
        return np.array(w, order="C").T

    @staticmethod
    def empty(rows, columns, L):
        return np.empty((rows, columns, L), order="F")

    @staticmethod
    def train(u, v, x, y, w_embed, w_unembed):
        """Outputs [K + 1][d_out][N] and losses of one network; x, y hold a sample a column."""
        D, M, L = u.shape
        H, T, outputs, losses = Columns.empty(D, N, L + 1), Columns.empty(M, N, L), [], []
        for k in range(K + 1):
            H[:, :, 0] = w_embed @ x
            for l in range(L):
                T[:, :, l] = np.tanh(u[:, :, l].T @ H[:, :, l] / D)
                H[:, :, l + 1] = H[:, :, l] + (v[:, :, l] @ T[:, :, l]) / (L * M)
            outputs.append(w_unembed.T @ H[:, :, L] / D)
            R = outputs[-1] - y
            losses.append(np.sum(R * R) / (2 * N * D_OUT))
            if k == K:
                return np.array(outputs), np.array(losses)
            B = w_unembed @ R / (N * D_OUT)
            for l in reversed(range(L)):
                t = T[:, :, l]
                G = (1 - t * t) * (v[:, :, l].T @ B / D)
                below = B + (u[:, :, l] @ G) / (L * M)
                u[:, :, l] -= H[:, :, l] @ G.T
                v[:, :, l] -= B @ t.T
                B = below


class Rows:
    """Lists of row-major matrices."""

    @staticmethod
    def draw(rng, D, M, L):
        return [list(np.sqrt(D) * rng.standard_normal((L, D, M))) for _ in range(2)]

    @staticmethod
    def given(w):
        return [np.array(layer.T, order="C") for layer in w]

    @staticmethod
    def train(u, v, x, y, w_embed, w_unembed):
        D, M, L = u[0].shape + (len(u),)
        H, T, outputs, losses = [None] * (L + 1), [None] * L, [], []
        for k in range(K + 1):
            H[0] = w_embed @ x
            for l in range(L):
                T[l] = np.tanh(u[l].T @ H[l] / D)
                H[l + 1] = H[l] + (v[l] @ T[l]) / (L * M)
            outputs.append(w_unembed.T @ H[L] / D)
            R = outputs[-1] - y
            losses.append(np.sum(R * R) / (2 * N * D_OUT))
            if k == K:
                return np.array(outputs), np.array(losses)
            B = w_unembed @ R / (N * D_OUT)
            for l in reversed(range(L)):
                G = (1 - T[l] * T[l]) * (v[l].T @ B / D)
                below = B + (u[l] @ G) / (L * M)
                u[l] -= H[l] @ G.T
                v[l] -= B @ T[l].T
                B = below


def loop(way, problem, folder, D, M, L, seeds):
    start = time.perf_counter()
    outputs = []
    for seed in range(seeds):
        u, v = way.draw(np.random.default_rng(seed), D, M, L)
        outputs.append(way.train(u, v, *problem)[0])
    np.save(os.path.join(folder, "outputs.npy"), np.array(outputs))
    return time.perf_counter() - start


def time_loop(way, problem, folder, D, M, L, seconds):
    """Seconds of a network."""
    few = max(1, int(seconds / loop(way, problem, folder, D, M, L, 1)))
    return min(loop(way, problem, folder, D, M, L, few) for _ in range(2)) / few


def check(meanode, folder, D, M, L):
    """The problem, after the loop has met the command's losses from its initial weights."""
    _, result = command(meanode, folder, D, M, L, 1, "f64", "output: true, weights: initial")
    with h5py.File(result) as file:
        group = file["problem_0000"]
        problem = [group[name][()] for name in ("x", "y", "w_embed", "w_unembed")]
        problem[0], problem[1] = problem[0].T, problem[1].T
        u, v = (group[f"weights/0/{name}"][()] for name in ("u0", "v0"))
        expected = file["loss"][0]
    for way in (Columns, Rows):
        losses = way.train(way.given(u), way.given(v), *problem)[1]
        worst = np.max(np.abs(losses - expected) / expected)
        if not worst < 1e-9:
            sys.exit(f"the loop disagrees on the losses of D {D} M {M} L {L}: {worst:.1e} relative")
    return problem


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("meanode")
    parser.add_argument("--seconds", type=float, default=1.5, help="about how long a measured run takes")
    args = parser.parse_args()
    print("| D, M, L | meanode f64, ms | NumPy loop, ms | ratio | goal | row-major, ms | ratio | meanode f32, ms | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for (D, M, L), goal in zip(SHAPES, GOALS):
            problem = check(args.meanode, folder, D, M, L)
            columns, rows = (time_loop(way, problem, folder, D, M, L, args.seconds) for way in (Columns, Rows))
            ours = {}
            for precision in ("f64", "f32"):
                seeds = max(16, int(args.seconds / (columns / goal)) // 16 * 16)
                ours[precision] = min(command(args.meanode, folder, D, M, L, seeds, precision)[0] for _ in range(2)) / seeds
            f64, f32 = ours["f64"], ours["f32"]
            print(f"| {D}, {M}, {L} | {f64 * 1e3:.3f} | {columns * 1e3:.1f} | {columns / f64:.1f}x | {goal} | {rows * 1e3:.1f} | "
                  f"{rows / f64:.1f}x | {f32 * 1e3:.3f} | {columns / f32:.1f}x |", flush=True)


main()
