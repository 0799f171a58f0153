# SPDX-License-Identifier: BSD-3-Clause
"""What the peers share: the small case they must agree on, a NumPy version of the training, the command line."""
import argparse
import gc
import json
import pathlib
import sys
import time

import numpy as np


class Case:
    """The problem, weights and losses that `bench_gpu case` wrote; arrays in float64."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        n = self.n = json.loads((folder / "case.json").read_text())
        for name, shape in {"x": (n["N"], n["d_in"]), "y": (n["N"], n["d_out"]), "w_embed": (n["D"], n["d_in"]),
                            "w_unembed": (n["D"], n["d_out"]), "u": (n["instances"], n["L"], n["M"], n["D"]),
                            "v": (n["instances"], n["L"], n["M"], n["D"]), "loss": (n["instances"], n["K"] + 1)}.items():
            setattr(self, name, np.fromfile(folder / f"{name}.bin", "<f8").reshape(shape))


def numpy_losses(case):
    """Losses (instances, K + 1) of plain NumPy in float64: the formulas of the model, one network and layer at a time."""
    n = case.n
    out = np.empty((n["instances"], n["K"] + 1))
    c = 1 / (n["L"] * n["M"])
    for i in range(n["instances"]):
        u, v = case.u[i].copy(), case.v[i].copy()
        for k in range(n["K"] + 1):
            h = [case.x @ case.w_embed.T]
            for l in range(n["L"]):
                h.append(h[l] + c * np.tanh(h[l] @ u[l].T / n["D"]) @ v[l])
            r = (h[-1] @ case.w_unembed / n["D"] - case.y) / (n["N"] * n["d_out"])
            out[i, k] = 0.5 * np.sum(r**2) * n["N"] * n["d_out"]
            b = r @ case.w_unembed.T
            for l in reversed(range(n["L"])):
                t = np.tanh(h[l] @ u[l].T / n["D"])
                g = (1 - t**2) * (b @ v[l].T / n["D"])
                b, u[l], v[l] = b + c * g @ u[l], u[l] - g.T @ h[l], v[l] - t.T @ b
    return out


def agree(name, losses, case, tolerance):
    """Exits if a peer does not compute what meanode computes."""
    error = float(np.max(np.abs(losses - case.loss) / case.loss))
    print(json.dumps({"peer": name, "loss_error": error}), flush=True)
    if not error <= tolerance:
        sys.exit(f"{name}: losses differ by {error:.2g} (relative), more than {tolerance:.2g}")


def median(one, warm_up):
    """(median of the seconds that one() says a step took, how many): up to 20, in about 6 s, at least 3. The steps before,
    which compile and warm up, do not count; there are fewer of them if they take long."""
    start = time.monotonic()
    for k in range(warm_up):
        one()
        if time.monotonic() - start > 3:
            break
    start, seconds = time.monotonic(), []
    while len(seconds) < 3 or (len(seconds) < 20 and time.monotonic() - start < 6):
        seconds.append(one())
    return float(np.median(seconds)), len(seconds)


def why(error):
    return (f"{type(error).__name__}: {error}".splitlines() or [""])[0][:200]


def main(name, device, losses, seconds_per_step, release):
    """losses(case) in float64 -> array; seconds_per_step(D, M, L, N, instances, K, dtype name) -> what median() returned;
    release() gives back the memory of a shape. Without a GPU the rows bear another name, so that nobody compares with them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case")
    parser.add_argument("shapes", nargs="*", help="D,M,L,N,instances,K,f32|f64")
    arguments = parser.parse_args()
    if device == "cpu":
        name += " (cpu)"
    try:
        agree(name, losses(Case(arguments.case)), Case(arguments.case), 1e-9)
    except Exception as error:
        print(json.dumps({"peer": name, "error": why(error)}), flush=True)
        raise
    for text in arguments.shapes:
        *numbers, precision = text.split(",")
        D, M, L, N, instances, K = map(int, numbers)
        row = {"peer": name, "D": D, "M": M, "L": L, "N": N, "instances": instances, "precision": precision, "device": device}
        start = time.monotonic()
        try:
            row["seconds_per_step"], row["repeats"] = seconds_per_step(D, M, L, N, instances, K, precision)
        except Exception as error:  # out of memory and the like: a row without a number, and why
            row["error"] = why(error)
        row["seconds"] = round(time.monotonic() - start, 3)  # of the shape, with compiling
        print(json.dumps(row), flush=True)
        gc.collect()  # what a failure's traceback held
        release()


if __name__ == "__main__":
    case = Case(sys.argv[1])
    agree("numpy", numpy_losses(case), case, 1e-9)
