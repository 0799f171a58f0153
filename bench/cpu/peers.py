# SPDX-License-Identifier: BSD-3-Clause
"""Peers of the CPU kernels, on the same initial weights: the per-layer NumPy loop, PyTorch (batched, in place), JAX
(jit of vmap of scan) and C with OpenBLAS are timed on one core, and must agree with the kernels on the losses first.

    bench/cpu/run.sh BUILD        measures all shapes and prints the table

Needs numpy, torch and jax; driver and bench_cpu are the programs of the build."""
import argparse
import ctypes
import os
import subprocess
import sys
import time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np

SHAPES = [(8, 16, 200), (8, 4, 4000), (16, 64, 100), (32, 32, 1000), (64, 256, 50), (256, 256, 50)]
D_IN = D_OUT = 5
ALPHA, ETA_U, ETA_V = 1.3, 0.7, 0.8  # as in tests/problem.h


class Case:
    """One shape: data and the kernels' own initial weights and losses, for `count` seeds."""

    def __init__(self, driver, D, M, L, N, K, count, arrangement, isa):
        self.D, self.M, self.L, self.N, self.K, self.count = D, M, L, N, K, count
        line = f"{isa} 0 {arrangement} {count} 0 0 {D} {M} {L} {N} {D_IN} {D_OUT} {K}\n"
        raw = np.frombuffer(subprocess.run([driver], input=line.encode(), stdout=subprocess.PIPE, check=True).stdout)
        self.at, self.raw = 1, raw
        self.x, self.y = self.take(N, D_IN), self.take(N, D_OUT)
        self.w_embed, self.w_unembed = self.take(D, D_IN), self.take(D, D_OUT)
        u, v, losses = [], [], []
        for _ in range(count):
            u.append(self.take(L, M, D))
            v.append(self.take(L, M, D))
            self.at += 2 * L * M * D
            losses.append(self.take(K + 1))
            self.at += (K + 1) * N * (D + D_OUT)
        self.u, self.v, self.losses = np.array(u), np.array(v), np.array(losses)

    def take(self, *shape):
        count = int(np.prod(shape))
        self.at += count
        return self.raw[self.at - count:self.at].reshape(shape)


def numpy_loop(c, steps):
    """One network at a time, layer by layer, double precision: the way the literature's notebooks do it."""
    u = [np.array(w.T, order="F") for w in c.u[0]]
    v = [np.array(w.T, order="F") for w in c.v[0]]
    x, y, scale = c.x.T, c.y.T, ALPHA / (c.L * c.M)
    H, T, losses = [None] * (c.L + 1), [None] * c.L, []
    start = time.perf_counter()
    for _ in range(steps):
        H[0] = c.w_embed @ x
        for l in range(c.L):
            T[l] = np.tanh(u[l].T @ H[l] / c.D)
            H[l + 1] = H[l] + scale * (v[l] @ T[l])
        R = c.w_unembed.T @ H[c.L] / c.D - y
        losses.append(np.sum(R * R) / (2 * c.N * D_OUT))
        B = c.w_unembed @ R / (c.N * D_OUT)
        for l in reversed(range(c.L)):
            G = (1 - T[l] * T[l]) * (v[l].T @ B / c.D)
            below = B + scale * (u[l] @ G)
            u[l] -= ETA_U / ALPHA * (H[l] @ G.T)
            v[l] -= ETA_V / ALPHA * (B @ T[l].T)
            B = below
    return (time.perf_counter() - start) / steps, np.array(losses)[None]


def torch_batched(c, steps, single, seeds):
    import torch
    torch.set_num_threads(1)
    kind = torch.float32 if single else torch.float64
    u = torch.tensor(c.u[:seeds], dtype=kind).permute(1, 0, 2, 3).contiguous()  # [L][S][M][D]
    v = torch.tensor(c.v[:seeds], dtype=kind).permute(1, 0, 2, 3).contiguous()
    x, y = torch.tensor(c.x.T, dtype=kind), torch.tensor(c.y.T, dtype=kind)
    we, wu = torch.tensor(c.w_embed, dtype=kind), torch.tensor(c.w_unembed, dtype=kind)
    S, scale, losses = u.shape[1], ALPHA / (c.L * c.M), []
    H = torch.empty((c.L + 1, S, c.D, c.N), dtype=kind)
    T = torch.empty((c.L, S, c.M, c.N), dtype=kind)
    ul, vl, ut, vt = u.unbind(0), v.unbind(0), u.transpose(2, 3).unbind(0), v.transpose(2, 3).unbind(0)
    h, t, ht = H.unbind(0), T.unbind(0), H.transpose(2, 3).unbind(0)
    q = torch.empty((S, c.M, c.N), dtype=kind)
    start = time.perf_counter()
    with torch.inference_mode():
        for _ in range(steps):
            h[0].copy_((we @ x).expand(S, -1, -1))
            for l in range(c.L):
                torch.baddbmm(t[l], ul[l], h[l], beta=0, alpha=1 / c.D, out=t[l])
                t[l].tanh_()
                torch.baddbmm(h[l], vt[l], t[l], alpha=scale, out=h[l + 1])
            r = torch.matmul(wu.T, h[c.L]) / c.D - y
            losses.append((r * r).sum((1, 2)) / (2 * c.N * D_OUT))
            b = torch.matmul(wu, r) / (c.N * D_OUT)
            for l in reversed(range(c.L)):
                torch.baddbmm(q, vl[l], b, beta=0, alpha=1 / c.D, out=q)
                g = torch.ops.aten.tanh_backward(q, t[l])
                below = torch.baddbmm(b, ut[l], g, alpha=scale)
                ul[l].baddbmm_(g, ht[l], alpha=-ETA_U / ALPHA)
                vl[l].baddbmm_(t[l], b.transpose(1, 2), alpha=-ETA_V / ALPHA)
                b = below
    return (time.perf_counter() - start) / steps / S, torch.stack(losses, 1).double().numpy()


def torch_best(c, steps, single):
    """The better of all seeds in one batch and one seed at a time."""
    runs = [best(lambda: torch_batched(c, steps, single, seeds)) for seeds in sorted({1, c.count}, reverse=True)]
    return min(r[0] for r in runs), runs[0][1]


def jax_compiled(c, steps, single):
    import jax
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from jax import lax
    kind = jnp.float32 if single else jnp.float64
    x, y = jnp.asarray(c.x, kind), jnp.asarray(c.y, kind)
    we, wu = jnp.asarray(c.w_embed, kind), jnp.asarray(c.w_unembed, kind)
    scale = ALPHA / (c.L * c.M)

    def loss(weights):
        def layer(h, w):
            return h + scale * jnp.tanh(h @ w[0].T / c.D) @ w[1], None
        h, _ = lax.scan(layer, x @ we.T, weights)
        r = h @ wu / c.D - y
        return jnp.sum(r * r) / (2 * c.N * D_OUT)

    rate = c.L * c.M * c.D / ALPHA**2

    def train(u, v):
        def step(w, _):
            value, (gu, gv) = jax.value_and_grad(loss)(w)
            return (w[0] - ETA_U * rate * gu, w[1] - ETA_V * rate * gv), value
        return lax.scan(step, (u, v), None, length=steps)

    compiled = jax.jit(jax.vmap(train))
    u, v = jnp.asarray(c.u, kind), jnp.asarray(c.v, kind)
    _, losses = jax.block_until_ready(compiled(u, v))
    best = np.inf
    for _ in range(2):
        start = time.perf_counter()
        jax.block_until_ready(compiled(u, v))
        best = min(best, time.perf_counter() - start)
    return best / steps / c.count, np.array(losses, float)


def openblas(c, steps, single, library):
    kind, real = (np.float32, ctypes.c_float) if single else (np.float64, ctypes.c_double)
    train = getattr(ctypes.CDLL(library), "blas_train_f32" if single else "blas_train_f64")
    a = [np.array(w, kind, order="C") for w in (c.u[0], c.v[0], c.x, c.y, c.w_embed, c.w_unembed)]
    losses = np.zeros(steps)
    train.restype = ctypes.c_double
    seconds = train(*[w.ctypes.data_as(ctypes.POINTER(real)) for w in a], losses.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
                    *[ctypes.c_long(i) for i in (c.L, c.M, c.D, c.N, D_IN, D_OUT, steps)],
                    *[ctypes.c_double(s) for s in (ALPHA, ETA_U, ETA_V)])
    return seconds / steps, losses[None]


def kernels(bench, single, c):
    out = subprocess.run([bench, "f32" if single else "f64", *map(str, (c.D, c.M, c.L, c.N, 15))], stdout=subprocess.PIPE,
                         text=True, check=True).stdout
    words = out.split()
    return float(words[words.index("ms") - 1]) / 1e3, float(words[words.index("steps") + 1]), float(words[words.index("whole") + 1]), words[2]


def bound(c, peak, tanh_rate):
    """GF/s of 6 N D M fused multiply-adds and N M tanh, one after the other at their peaks."""
    flops, tanh = 12.0 * c.D, 1.0
    return flops / (flops / peak + tanh / tanh_rate)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("driver")
    parser.add_argument("bench")
    parser.add_argument("blas")
    parser.add_argument("--samples", default="10,64,256")
    parser.add_argument("--shapes", default="")
    parser.add_argument("--isa", default="avx512", help="kernels whose losses the peers must meet")
    parser.add_argument("--skip-peers", action="store_true")
    args = parser.parse_args()
    words = subprocess.run([args.bench, "peak"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    peak = {True: float(words[2]), False: float(words[4])}
    tanh_rate = {True: float(words[8]), False: float(words[10])}
    print(f"peak of fused multiply-adds: f32 {peak[True]:.0f}, f64 {peak[False]:.0f} GF/s; tanh: f32 {tanh_rate[True]:.2f}, "
          f"f64 {tanh_rate[False]:.2f} per ns\n")
    print("| D, M, L | N | | arrangement | GF/s | % of peak | % of bound | ms per step | NumPy f64 | PyTorch | JAX | OpenBLAS |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    shapes = [tuple(map(int, s.split("x"))) for s in args.shapes.split(",")] if args.shapes else SHAPES
    for N in map(int, args.samples.split(",")):
        for D, M, L in shapes:
            flops = 12.0 * N * D * M * L
            steps = max(2, min(15, int(2e10 / flops)))
            count = max(1, min(8, int(3e10 / flops / steps), int(4e7 / (L * M * D))))
            c = Case(args.driver, D, M, L, N, steps, count, 1 if M >= 16 and D * M > 128 else 0, args.isa)
            loop, losses = best(lambda: numpy_loop(c, steps if flops * steps < 4e10 else 2))
            check("NumPy", losses, c, 1e-9)
            for single in (True, False):
                ours, gf, whole, arrangement = kernels(args.bench, single, c)
                ratios = [loop / ours]
                if not args.skip_peers:
                    for name, peer in (("PyTorch", lambda: torch_best(c, steps, single)),
                                       ("JAX", lambda: jax_compiled(c, steps, single)),
                                       ("OpenBLAS", lambda: best(lambda: openblas(c, steps, single, args.blas)))):
                        seconds, losses = peer()
                        check(name, losses, c, 2e-3 if single else 1e-9)
                        ratios.append(seconds / ours)
                print(f"| {D}, {M}, {L} | {N} | {'f32' if single else 'f64'} | {arrangement} | {gf:.1f} | {100 * gf / peak[single]:.0f} | "
                      f"{100 * gf / bound(c, peak[single], tanh_rate[single]):.0f} | {ours * 1e3:.4f} | "
                      + " | ".join(f"{r:.1f}x" for r in ratios) + " |", flush=True)


def best(run, repeats=3):
    """Shortest of some runs: the first also pays for page faults, thread pools and code generation."""
    results = [run() for _ in range(repeats)]
    return min(r[0] for r in results), results[0][1]


def check(name, losses, c, tolerance):
    reference = c.losses[:losses.shape[0], :losses.shape[1]]
    worst = np.max(np.abs(losses - reference) / np.abs(reference))
    if not worst < tolerance:
        sys.exit(f"{name} disagrees on the losses of D {c.D} M {c.M} L {c.L} N {c.N}: {worst:.1e} relative")


main()
