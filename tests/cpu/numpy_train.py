# SPDX-License-Identifier: BSD-3-Clause
"""numpy_train.py DRIVER ISA: the kernels of an instruction set against an independent NumPy training loop, run from the kernels' own initial weights."""
import itertools
import subprocess
import sys

import numpy as np
from scipy.special import erf, expit

ACTIVATIONS = ["tanh", "erf", "gelu", "silu", "relu", "softplus", "sin", "identity"]
ARRANGEMENTS = ["seeds", "units", "samples"]  # on lanes
SKIPPED = 77  # exit code that ctest takes for it
ALPHA, ETA_U, ETA_V = 1.3, 0.7, 0.8  # as in problem.h


def activation(name, p):
    if name == "tanh":
        return np.tanh(p), 1 / np.cosh(p) ** 2
    if name == "erf":
        return erf(p), 2 / np.sqrt(np.pi) * np.exp(-p * p)
    if name == "gelu":
        phi = (1 + erf(p / np.sqrt(2))) / 2
        return p * phi, phi + p * np.exp(-p * p / 2) / np.sqrt(2 * np.pi)
    if name == "silu":
        s = expit(p)
        return p * s, s + p * s * (1 - s)
    if name == "relu":
        return np.maximum(p, 0), (p > 0) * 1.0
    if name == "softplus":
        return np.logaddexp(0, p), expit(p)
    if name == "sin":
        return np.sin(p), np.cos(p)
    return p, np.ones_like(p)


def loss_of(kind, f, y):
    """Loss and its gradient in f."""
    n, d_out = f.shape
    if kind == 0:
        return np.sum((f - y) ** 2) / (2 * n * d_out), (f - y) / (n * d_out)
    e = np.exp(f - f.max(1, keepdims=True))
    softmax = e / e.sum(1, keepdims=True)
    return -np.sum(y * np.log(softmax)) / n, (softmax - y) / n


def forward(case, data, u, v):
    D, M, L = case["D"], case["M"], case["L"]
    h, kept = data["x"] @ data["w_embed"].T, []
    for l in range(L):
        rho, slope = activation(case["activation"], h @ u[l].T / D)
        kept.append((h, rho, slope))
        h = h + ALPHA / (L * M) * rho @ v[l]
    f = h @ data["w_unembed"] / D
    loss, gradient = loss_of(case["loss"], f, data["y"])
    return h, f, loss, gradient, kept


def train(case, data, u, v):
    D, M, L, K = case["D"], case["M"], case["L"], case["K"]
    u, v, trace = u.copy(), v.copy(), {"loss": [], "output": [], "embedding": []}
    for k in range(K + 1):
        h, f, loss, gradient, kept = forward(case, data, u, v)
        trace["loss"].append(loss)
        trace["output"].append(f)
        trace["embedding"].append(h)
        if k == K:
            break
        b = gradient @ data["w_unembed"].T
        for l in reversed(range(L)):
            h, rho, slope = kept[l]
            g = slope * (b @ v[l].T) / D
            step_u, step_v = ETA_U / ALPHA * g.T @ h, ETA_V / ALPHA * rho.T @ b
            b = b + ALPHA / (L * M) * g @ u[l]
            u[l] -= step_u
            v[l] -= step_v
    return {key: np.array(value) for key, value in trace.items()} | {"u": u, "v": v}


class Driver:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def read(self, *shape):
        count = int(np.prod(shape))
        return np.frombuffer(self.process.stdout.read(8 * count), dtype=np.float64).reshape(shape)

    def run(self, case):
        c = case
        line = (f"{c['isa']} {c['precision']} {ARRANGEMENTS.index(c['arrangement'])} {c['count']} {ACTIVATIONS.index(c['activation'])} "
                f"{c['loss']} {c['D']} {c['M']} {c['L']} {c['N']} {c['d_in']} {c['d_out']} {c['K']}\n")
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()
        if self.read(1)[0] == 0:
            return None, None
        D, M, L, N, K = c["D"], c["M"], c["L"], c["N"], c["K"]
        data = {"x": self.read(N, c["d_in"]), "y": self.read(N, c["d_out"]), "w_embed": self.read(D, c["d_in"]),
                "w_unembed": self.read(D, c["d_out"])}
        runs = []
        for _ in range(c["count"]):
            r = {key: self.read(L, M, D) for key in ("u0", "v0", "u", "v")}
            r["loss"], r["output"] = self.read(K + 1), self.read(K + 1, N, c["d_out"])
            r["embedding"] = self.read(K + 1, N, D)
            runs.append(r)
        return data, runs


def distance(a, b):
    """Largest difference relative to the largest entry of the reference."""
    return np.max(np.abs(a - b)) / max(np.max(np.abs(b)), 1e-300)


def cases(isa):
    base = {"count": 2, "d_in": 3, "d_out": 2, "K": 3, "loss": 0}
    odd = [1, 2, 3, 5, 7, 17, 33]
    for precision, arrangement in itertools.product((0, 1), ARRANGEMENTS):
        base["count"] = 2 if arrangement == "seeds" else 1
        where = {"isa": isa, "precision": precision, "arrangement": arrangement}
        for loss, name in itertools.product((0, 1), ACTIVATIONS):
            yield base | where | {"activation": name, "loss": loss, "D": 5, "M": 7, "L": 3, "N": 11}
        # every odd size in every place
        for i, size in enumerate(odd):
            others = [odd[(i + j) % 7] for j in (1, 3, 5)]
            for place in range(4):
                sizes = others[:place] + [size] + others[place:]
                yield base | where | dict(zip("DMLN", sizes)) | {"activation": ACTIVATIONS[(i + place) % 8], "K": 2}
        # whole tiles and every remainder of the tiles over N
        for N in list(range(1, 13)) + [20, 64]:
            yield base | where | {"activation": "tanh", "D": 8, "M": 4, "L": 2, "N": N, "K": 1, "count": 1}
        # deep and narrow: states are rebuilt, not kept
        yield base | where | {"activation": "gelu", "D": 7, "M": 3, "L": 2000, "N": 10, "K": 2, "count": 1}
        for D, M, N in ((16, 64, 10), (32, 32, 10), (64, 48, 10), (20, 40, 70), (8, 272, 16)):
            yield base | where | {"activation": "tanh", "D": D, "M": M, "L": 2, "N": N, "K": 2, "count": 1}


def check_trace(driver, isa):
    worst, count, failures = {0: 0.0, 1: 0.0}, 0, 0
    for case in cases(isa):
        data, runs = driver.run(case)
        if data is None:
            print(f"skipped: this processor or build has no kernels for {isa}")
            sys.exit(SKIPPED)
        for run in runs:
            reference = train(case, data, run["u0"], run["v0"])
            # A rounding error grows with the training; f64 is held to 1e-10, f32 to 1e-4.
            for key in ("loss", "output", "embedding", "u", "v"):
                d = distance(run[key], reference[key])
                worst[case["precision"]] = max(worst[case["precision"]], d)
                if not d <= (1e-10, 1e-4)[case["precision"]]:
                    failures += 1
                    print("differs:", key, d, case)
        count += 1
    print(f"{count} cases; largest relative difference f64 {worst[0]:.1e}, f32 {worst[1]:.1e}")
    return failures, count


def check_gradients(driver, isa):
    """One step moves every weight by -(eta L M D / alpha^2) times the loss's derivative, here by central differences."""
    failures, worst = 0, 0.0
    for name, loss in itertools.product(ACTIVATIONS, (0, 1)):
        case = {"isa": isa, "precision": 0, "arrangement": "seeds", "count": 1, "activation": name, "loss": loss, "D": 3, "M": 2,
                "L": 2, "N": 4, "d_in": 3, "d_out": 2, "K": 1}
        data, (run,) = driver.run(case)
        scale = case["L"] * case["M"] * case["D"] / ALPHA**2
        for key, eta in (("u", ETA_U), ("v", ETA_V)):
            weights = {"u": run["u0"].copy(), "v": run["v0"].copy()}
            step = np.zeros_like(weights[key])
            for i in np.ndindex(step.shape):
                values, start = [], weights[key][i]
                for e in (1e-5, -1e-5):
                    weights[key][i] = start + e
                    values.append(forward(case, data, weights["u"], weights["v"])[2])
                weights[key][i] = start
                step[i] = -eta * scale * (values[0] - values[1]) / 2e-5
            d = distance(run[key] - run[key + "0"], step)
            worst = max(worst, d)
            if not d < 1e-6:
                failures += 1
                print("gradient differs:", key, name, loss, d)
    print(f"gradients against central differences: largest relative difference {worst:.1e}")
    return failures


def main():
    driver = Driver(sys.argv[1])
    failures, count = check_trace(driver, sys.argv[2])
    failures += check_gradients(driver, sys.argv[2])
    if failures:
        sys.exit(f"{failures} failures in {count} cases")


main()
