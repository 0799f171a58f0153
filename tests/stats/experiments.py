# SPDX-License-Identifier: BSD-3-Clause
"""The shipped experiments: every configuration is valid and documented, and every kind of figure can be drawn from a small sweep like it,
with the verdicts and flags that its file allows."""

import os
import pathlib
import subprocess
import sys
import tempfile

import numpy

import meanode
from meanode import figures

BINARY = os.environ["MEANODE"]
EXPERIMENTS = pathlib.Path(__file__).parents[2] / "data" / "experiments"
failures = 0

GAUSSIAN = "data: {kind: gaussian, samples: 6, inputs: 3, targets: 2, seed: [1, 2, 3]}\n"
ONE = GAUSSIAN.replace("[1, 2, 3]", "1")
SMALL = {
    "law": ONE + """model: {D: 4}
training: {steps: 3}
limit: {tolerance: 1e-2}
sweep: {L: [4, 8, 16, 32], M: [2, 4, 8], seeds: 24, pairs: [regroup, jackknife]}
record: {steps: [0, 1, 3], embedding: true}
""",
    "dimension": GAUSSIAN + """model: {D: [8, 16, 32, 64, 128]}
training: {steps: 2}
limit: {kind: none}
sweep: {L: [8, 16], M: [16, 32], seeds: 6, pairs: jackknife}
record: {steps: [0, 2], embedding: true}
""",
    "lazy": ONE + """model: {D: 4, alpha: [1, 1.5, 2, 3, 4, 6, 8]}
training: {steps: 8}
limit: {kind: [mean-ode, tangent-ode], tolerance: 3e-4}
sweep: {L: [8, 16], M: [4, 16, 64], seeds: 5}
""",
    "phase": ONE + """model: {D: 4, alpha: [0.5, 1, 4, 16, 64, 256]}
training: {steps: 3}
limit: {kind: [mean-ode, tangent-ode], tolerance: 1e-2}
sweep: {L: [4, 8, 16, 32], M: 4, seeds: 4}
record: {features: true}
""",
    "phase-dimension": ONE + """model: {D: [3, 6, 12], alpha: [0.5, 1, 4, 16, 64]}
training: {steps: 3}
limit: {kind: [mean-ode, tangent-ode], tolerance: 1e-2}
sweep: {L: 8, M: 8, seeds: 4}
record: {features: true}
""",
    "chaos": ONE + """model: {D: 4}
training: {steps: 3}
limit: {tolerance: 1e-2}
sweep: {L: [8, 16, 32], M: [1, 4], seeds: 8}
record: {steps: [1, 3], coupling: true, path: true}
""",
    "depth-as-width": ONE + """model: {D: 4}
training: {steps: 3}
limit: {tolerance: 1e-2}
sweep: {L: [4, 8, 16, 64], M: [1, 4, 8], seeds: 8}
""",
    "shape": GAUSSIAN + """model: {D: [2, 4, 8, 16, 32, 64]}
training: {steps: 3}
limit: {kind: joint, tolerance: 1e-2}
sweep: {L: [1, 2, 4, 8], M: [1, 2, 4, 8, 16, 32], seeds: 3}
record: {embedding: true}
""",
    "authors": GAUSSIAN + """model: {D: [2, 8, 16, 32]}
training: {steps: 3}
limit: {kind: [joint, mean-ode], tolerance: 1e-2}
sweep: {L: 16, M: [4, 16, 64], seeds: 4, pairs: jackknife}
record: {embedding: true}
""",
}


def check(condition, what):
    global failures
    if not condition:
        failures += 1
        print(f"FAILED: {what}")


def command(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True)


def configurations():
    names = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))
    page = (EXPERIMENTS / "README.md").read_text()
    check(len(names) >= 20, f"experiments found: {names}")
    for name in names:
        base, _, size = name.rpartition("-")
        check(size in ("quick", "full") and {f"{base}-quick", f"{base}-full"} <= set(names), f"{name}: comes in both sizes")
        text = (EXPERIMENTS / f"{name}.yaml").read_text()
        check(base in page, f"{name}: is on the page of the experiments")
        done = command("check", EXPERIMENTS / f"{name}.yaml")
        check(done.returncode == 0 or "GiB are free" in done.stderr, f"{name}: {done.stderr}")


def figure_names():
    """A configuration takes the kinds that there are, and a resumed run may name another."""
    words = next(line for line in command("help", "config").stdout.splitlines() if line.startswith("  figure "))
    check(", ".join(figures.KINDS) in words, f"record.figure: {words}")
    config, results = folder / "named.yaml", folder / "named.h5"
    for kind in ("phase", "law", "chaos"):
        config.write_text(f"{ONE}model: {{D: 2}}\ntraining: {{steps: 1}}\nsweep: {{L: 2, M: 2}}\nlimit: {{kind: none}}\nrecord: {{figure: {kind}}}\n")
        done = command("run", config, "-o", results, "--resume", "--progress", "none")
        check(done.returncode == 0 and "figure" not in done.stdout + done.stderr, f"{kind}: {done.stderr}")
        check(figures.default_kind(meanode.open(results)) == kind, f"{kind}: not what the file names")


def run(folder, name, text):
    kind = name.removesuffix("-dimension") if name.startswith("phase") else name if name in figures.KINDS else "law"
    config, results = folder / f"{name}.yaml", folder / f"{name}.h5"
    figure = f"record: {{figure: {kind}"
    config.write_text(text.replace("record: {", f"{figure}, ") if "record: {" in text else f"{text}{figure}}}\n")
    done = command("run", config, "-o", results, "--progress", "none", "--threads", "2")
    check(done.returncode in (0, 3), f"{name}: {done.stderr}")
    return results


def drawn(folder):
    """Every kind, from a small sweep: path and figure by name."""
    paths, drawings = {}, {}
    for name, text in SMALL.items():
        paths[name] = run(folder, name, text)
        drawings[name] = meanode.plot(paths[name], folder / f"{name}.svg")
        check((folder / f"{name}.svg").stat().st_size > 5000, f"{name}: no figure")
        check(len(drawings[name].verdicts) >= 3 and drawings[name].texts, f"{name}: verdicts, caption")
    check({figures.default_kind(meanode.open(path)) for path in paths.values()} == set(figures.KINDS), "all kinds")
    return paths, drawings


def value_of(drawing, words):
    found = [v for v in drawing.verdicts if words in v.name]
    check(len(found) == 1, f"{len(found)} verdicts on {words}")
    return found[0]


def verdicts(drawings):
    start = value_of(drawings["dimension"], "over its exact value")
    check(start.low <= 1 <= start.high and start.high - start.low < 0.4, f"initialisation: {start}")
    gap = value_of(drawings["lazy"], "k = 8: Mean ODE to tangent ODE")
    check(-2.5 < gap.value < -1.5, f"lazy: {gap}")
    limit = value_of(drawings["authors"], "output, limit, constant")
    check(0 < limit.low < limit.high, f"authors: {limit}")
    regime = value_of(drawings["phase"], "where the noise of the initial units")
    check(regime.low <= 0.6 and regime.high >= 0.4, f"phase: {regime}")


def flags(folder):
    """What is not to be believed says so: optima on the edge of the grid, limits too poor for the gap."""
    narrow = run(folder, "edge", SMALL["lazy"].replace("[1, 1.5, 2, 3, 4, 6, 8]", "[16, 24, 32, 48]"))
    found = value_of(meanode.plot(narrow, kind="lazy"), "best alpha: exponent")
    check(found.value is None and "6 of 6 optima are on the edge of the grid" in found.note, f"edge: {found}")
    poor = run(folder, "poor", SMALL["lazy"].replace("tolerance: 3e-4", "tolerance: 1e-1"))
    found = value_of(meanode.plot(poor, kind="lazy"), "k = 8: Mean ODE to tangent ODE")
    check("limit's own error exceeds 10% of the distance" in found.note, f"poor limit: {found}")
    small = run(folder, "small", SMALL["shape"].replace("[2, 4, 8, 16, 32, 64]", "[32, 64, 128, 256]"))
    done = command("plot", small, "-o", folder / "small.svg", "--kind", "shape")
    check(done.returncode == 65 and "inside the grid" in done.stderr, f"shape without optima: {done.stderr}")


def deterministic(path):
    """The depth bias of infinite width against regrouped pairs of the same file."""
    seeds, exact = (meanode.fit(path, steps=[0, 3], deterministic=flag) for flag in (False, True))
    for (_, pairs), (_, sure) in zip(seeds.iterrows(), exact.iterrows()):
        if sure["step"] == 0:
            check(sure["a"] == 0 and numpy.isnan(sure["slope_bias"]), "nothing moves at initialisation")
            check(numpy.isnan([sure["a_low"], sure["a_high"]]).all() and "a: no statistical error" in sure["warning"], f"a at initialisation: {sure}")
            continue
        check(sure["a_low"] < pairs["a_high"] and pairs["a_low"] < sure["a_high"], f"a: {pairs['a_low']}, {sure['a']}, {pairs['a_high']}")
        check(sure["a_high"] - sure["a_low"] < 0.5 * (pairs["a_high"] - pairs["a_low"]), "no seeds, no noise of seeds")
        check(abs(sure["slope_bias"] + 1) < 0.02, f"exponent {sure['slope_bias']}")
        check(sure["b"] == pairs["b"] and sure["slope_bias_M"] == pairs["slope_bias_M"], "the rest is as it was")


with tempfile.TemporaryDirectory() as folder_name:
    folder = pathlib.Path(folder_name)
    configurations()
    figure_names()
    paths, drawings = drawn(folder)
    verdicts(drawings)
    flags(folder)
    deterministic(paths["law"])
print("failed" if failures else "passed")
sys.exit(1 if failures else 0)
