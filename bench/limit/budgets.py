#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Do limits keep to limit.seconds and limit.memory? A grid of problems that are bad for them: what was asked, what was used.

    MEANODE=build/meanode bench/limit/budgets.py > table.md

A run of the same problem with limit.kind none is what the rest of the program takes: it is subtracted. LATE: more processor
time per thread than the budget, which others on the machine do not change; wall time is beside it, and "limit s" is what the
program counts, without the writing of the file."""
import os, re, subprocess, sys, tempfile, time

MEANODE = os.environ.get("MEANODE", "build/meanode")
SECONDS = 1

def configuration(c, kind):
    data = "{kind: gaussian, samples: %d, inputs: %d, targets: %d}" % (c.get("N", 10), c.get("d_in", 5), c.get("d_out", 5))
    model = ", ".join(f"{key}: {value}" for key, value in c.get("model", {}).items())
    training = ", ".join(f"{key}: {value}" for key, value in {"steps": c.get("K", 15), **c.get("training", {})}.items())
    limit = {"kind": kind}
    if kind != "none":
        limit |= {"tolerance": c.get("tolerance", 1e-4), "seconds": c.get("seconds", SECONDS)}
        if "memory" in c: limit["memory"] = c["memory"]
        limit |= c.get("limit", {})
    limit = ", ".join(f"{key}: {value}" for key, value in limit.items())
    return (f"data: {data}\nmodel: {{{model}}}\ntraining: {{{training}}}\nlimit: {{{limit}}}\n"
            f"sweep: {{L: {c.get('L', 2)}, M: {c.get('M', 1)}, seeds: 1}}\nrecord: {{steps: [0]}}\n")

def run(c, kind, folder):
    config, out = os.path.join(folder, "a.yaml"), os.path.join(folder, "a.h5")
    with open(config, "w") as file: file.write(configuration(c, kind))
    command = [MEANODE, "run", config, "-o", out, "--force", "--backend", "cpu", "--progress", "none", "--limits-only",
               "--threads", str(c.get("threads", 1))]
    with open(os.path.join(folder, "said"), "w+") as said:
        start = time.monotonic()
        child = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        said.seek(0)
        text = said.read()
    return os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20, text

def cases():
    for activation in ("tanh", "relu", "identity", "softplus", "sin"):
        for alpha in (1e-6, 1e-3, 0.03, 10):
            yield f"{activation}, alpha {alpha:g}", {"model": {"D": 4, "alpha": alpha, "activation": activation}}
    for eta in (20, 1000, 1e6):
        for activation in ("tanh", "relu"):
            yield f"{activation}, eta {eta:g}", {"model": {"D": 8, "activation": activation},
                                                 "training": {"eta_u": eta, "eta_v": eta}}
    for K in (1000, 10000):
        for kind in ("mean-ode", "tangent-ode", "joint"):
            yield f"{K} steps, {kind}", {"model": {"D": 8}, "K": K, "kind": kind}
    yield "10000 steps, relu", {"model": {"D": 8, "activation": "relu"}, "K": 10000}
    yield "10000 steps, identity", {"model": {"D": 8, "activation": "identity"}, "K": 10000}
    yield "100000 steps, D 1", {"model": {"D": 1}, "K": 100000}
    for N in (500, 2000):
        for kind in ("mean-ode", "tangent-ode"):
            for activation in ("tanh", "relu"):
                yield f"{N} samples, {activation}, {kind}", {"model": {"D": 8, "activation": activation}, "N": N, "kind": kind}
    for D in (64, 512):
        for method in ("auto", "sobol-full"):
            yield f"D {D}, {method}", {"model": {"D": D}, "limit": {"method": method}}
    yield "D 512, inputs and targets 256", {"model": {"D": 512}, "d_in": 256, "d_out": 256}
    yield "D 512, inputs and targets 256, tangent-ode", {"model": {"D": 512}, "d_in": 256, "d_out": 256, "kind": "tangent-ode"}
    yield "D 128, inputs and targets 64, 500 samples", {"model": {"D": 128}, "d_in": 64, "d_out": 64, "N": 500}
    yield "D 128, inputs and targets 64, identity", {"model": {"D": 128, "activation": "identity"}, "d_in": 64, "d_out": 64, "N": 500}
    for D in (1, 2, 8):
        for activation in ("tanh", "relu"):
            yield f"tolerance 1e-12, D {D}, {activation}", {"model": {"D": D, "activation": activation}, "tolerance": 1e-12}
    yield "tolerance 1e-12, tangent-ode", {"model": {"D": 8}, "tolerance": 1e-12, "kind": "tangent-ode"}
    yield "quadrature, D 2, 1e-6", {"model": {"D": 2}, "tolerance": 1e-6, "limit": {"method": "quadrature"}}
    yield "two threads, 2000 samples", {"model": {"D": 8}, "N": 2000, "threads": 2}
    yield "two threads, alpha 1e-3", {"model": {"D": 4, "alpha": 1e-3}, "threads": 2}
    yield "three problems", {"model": {"D": 8, "alpha": "[1e-3, 0.01, 1]"}, "limits": 3, "tolerance": 1e-6}
    yield "two kinds", {"model": {"D": 8}, "kind": "[mean-ode, tangent-ode]", "limits": 2, "tolerance": 1e-9}
    yield "largest, L M 3e7", {"model": {"D": 8}, "kind": "largest", "L": 30000, "M": 1000}
    yield "largest, L 1e6", {"model": {"D": 8}, "kind": "largest", "L": 1000000, "M": 10}
    yield "0.05 s, tanh", {"model": {"D": 8}, "seconds": 0.05}
    yield "0.05 s, 2000 samples", {"model": {"D": 8}, "N": 2000, "seconds": 0.05}
    for memory in (0.02, 0.1, 0.5):
        for name, more in (("tolerance 1e-6", {"tolerance": 1e-6}), ("1000 steps", {"K": 1000}), ("2000 samples", {"N": 2000}),
                           ("alpha 1e-3", {"model": {"D": 4, "alpha": 1e-3}}), ("D 512", {"model": {"D": 512}, "N": 100}),
                           ("tangent-ode", {"kind": "tangent-ode", "K": 500, "tolerance": 1e-9}),
                           ("D 1, 1e-9", {"model": {"D": 1}, "tolerance": 1e-9})):
            yield f"{memory} GiB, {name}", {"model": {"D": 8}, "seconds": 4, "memory": memory} | more

def main():
    chosen = sys.argv[1:]
    count = broken = 0
    print("| problem | asked s | limit s | wall s | CPU s per thread | asked GiB | peak GiB | exit | said |\n|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, c in cases():
            if chosen and not any(word in name for word in chosen): continue
            _, rest, other, _, _ = run(c, "none", folder)
            code, wall, cpu, peak, said = run(c, c.get("kind", "mean-ode"), folder)
            asked = c.get("seconds", SECONDS) * c.get("limits", 1)
            used = (cpu - other) / c.get("threads", 1)
            reported = re.search(r"limits? in ([0-9.]+) s", said)
            memory = c.get("memory", 0)
            late, large = used > asked + max(0.1 * asked, 0.3), memory and peak > 1.1 * memory + 0.02
            count, broken = count + 1, broken + bool(late or large)
            note = " ".join(re.findall(r"; ([^;()]*)\)", said) or said.split()[-12:])[:120].replace("|", "/")
            print(f"| {name} | {asked:g} | {reported[1] if reported else '-'} | {wall - rest:.2f} | {used:.2f}{' LATE' if late else ''} "
                  f"| {memory or ''} | {peak:.3f}{' LARGE' if large else ''} | {code} | {note} |", flush=True)
    print(f"\n{count} problems, {broken} beyond a budget by more than 10% (time: at least 0.3 s; memory: 0.02 GiB that the program "
          "has anyway)")

main()
