# SPDX-License-Identifier: BSD-3-Clause
"""No number out of no data: files that lack something (without_data.py) through `meanode fit`, meanode.fit, and every kind of figure.

Without arguments every change goes through fit and a choice of them through figures; with "all", every change through every kind."""

import collections
import io
import json
import logging
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import warnings

import h5py
import matplotlib.text
import numpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import without_data  # noqa: E402

import meanode  # noqa: E402
from meanode import fitting, report, style  # noqa: E402

BINARY = os.environ["MEANODE"]
warnings.simplefilter("error")  # of numpy, matplotlib, xarray, pandas: none is for the user
failures, inputs = 0, collections.Counter()

DATA = "data: {kind: gaussian, samples: 4, inputs: 3, targets: 2}\n"
FILES = {
    "one": DATA + """model: {D: 4}
training: {steps: 3}
limit: {tolerance: 1e-2}
sweep: {L: [4, 8, 16], M: [1, 2, 4, 8], seeds: 5}
record: {steps: [1, 3], embedding: true, coupling: true, path: true}
""",
    "alphas": DATA + """model: {D: 4, alpha: [1, 4, 16, 64]}
training: {steps: 2}
limit: {kind: [mean-ode, tangent-ode], tolerance: 1e-2}
sweep: {L: [4, 8, 16], M: 4, seeds: 4}
record: {features: true}
""",
    "sizes": DATA.replace("2}", "2, seed: [1, 2, 3]}") + """model: {D: [2, 4, 8, 16, 32]}
training: {steps: 2}
limit: {kind: [joint, mean-ode], tolerance: 1e-2}
sweep: {L: [1, 2, 4, 8], M: [1, 2, 4, 8, 16], seeds: 3, pairs: jackknife}
record: {steps: [0, 2], embedding: true}
""",
}
KINDS = {"law": "one", "chaos": "one", "depth-as-width": "one", "lazy": "alphas", "phase": "alphas", "dimension": "sizes",
         "shape": "sizes", "authors": "sizes"}

# What an ordinary run draws: each change that is a class of its own for the kind.
DRAWN = {
    "law": ("limit ends before the runs", "all runs diverged at the last step", "all runs equal to the limit", "runs and limits subnormal"),
    "chaos": ("table zero", "limit NaN at the last step"),
    "depth-as-width": ("no limit",),
    "lazy": ("limit NaN at the last step", "all runs missing"),
    "phase": ("limit zero",),
    "dimension": ("no outputs",),
    "shape": ("half of the seeds missing",),
    "authors": ("one seed", "no embeddings"),
}

# Of the file "one": what must be null at a step, and what its warning says. Where nothing stands here only the general rules are checked.
BIASES, FLUCTUATIONS = ("a", "c", "slope_bias", "slope_bias_M"), ("b", "slope_fluctuation", "slope_fluctuation_L", "slope_fluctuation_M")
NULL = {
    "no limit": (3, BIASES, "needs a limit"),
    "limit NaN": (1, BIASES, "the limit is not known at this step"),
    "limit NaN at the last step": (3, BIASES, "the limit is not known at this step"),
    "limit infinite at the last step": (3, BIASES, "the limit is not known at this step"),
    "limit ends before the runs": (3, BIASES, "the limit is not known at this step"),
    "error of the limit infinite": (3, BIASES, "the limit is not known at this step"),
    "limit 1e200": (3, BIASES, "finite"),
    "all runs diverged": (1, BIASES + FLUCTUATIONS, "no run is finite at this step"),
    "all runs diverged at the last step": (3, BIASES + FLUCTUATIONS, "no run is finite at this step"),
    "all runs infinite": (3, BIASES + FLUCTUATIONS, "no run is finite at this step"),
    "one seed": (3, BIASES + FLUCTUATIONS, "needs at least 3 seeds"),
    "two seeds": (3, BIASES + FLUCTUATIONS, "needs at least 3 seeds"),
    "all seeds equal": (3, FLUCTUATIONS, "the seeds of a shape do not differ"),
    "all runs equal to the limit": (3, FLUCTUATIONS + ("slope_bias", "slope_bias_M"), ""),
    "all runs zero": (3, FLUCTUATIONS, "the seeds of a shape do not differ"),
    "one M": (3, BIASES, "two values of M"),
    "one L": (3, ("slope_bias",), "2 values of L"),
}
KNOWN = {  # and what is not null: the networks need no limit for their spread, nor a tame unit
    "no limit": ("b",), "limit NaN": ("b",), "limit 1e200": ("b",), "limit NaN at the last step": ("b",),
    "runs and limits times 1e200": ("a", "b", "slope_fluctuation"), "runs and limits times 1e-170": ("a", "b", "slope_fluctuation"),
    "runs and limits subnormal": ("b",), "error of the limit missing": ("a", "b", "c"), "three seeds": ("a", "b"),
}


def check(condition, what):
    global failures
    if not condition:
        failures += 1
        print(f"FAILED: {what}", flush=True)
    return condition


def run(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True)


def no_constant(text):
    raise ValueError(f"{text} is no JSON")


def changed(folder, base, change):
    """A copy, with a name of its own: HDF5 knows opened files by their names."""
    inputs["file"] += 1
    path = folder / f"{base.stem}_{inputs['file']} {change}.h5".replace(" ", "_")
    shutil.copy(base, path)
    with h5py.File(path, "r+") as file, numpy.errstate(all="ignore"):
        without_data.CHANGES[change](file)
    return path


NOT_FINITE = re.compile(r"\b(nan|inf|infinity)\b", re.IGNORECASE)


def estimates(path, *options):
    """{(problem, step, quantity): fit} of `fit --json`; None, after a look at the message, if the file is refused."""
    inputs["fit"] += 1
    done, table = run("fit", path, "--json", *options), run("fit", path, *options)
    name = f"{path.name} {options}"
    check(table.returncode == done.returncode, f"{name}: the same exit code with and without --json")
    if done.returncode:
        check(done.returncode == 65 and done.stderr.count("\n") == 1 and not done.stdout, f"{name}: {done.returncode} {done.stderr}")
        return None
    check(not NOT_FINITE.search(table.stdout), f"{name}: {table.stdout}")
    found = {}
    for problem in json.loads(done.stdout, parse_constant=no_constant)["problems"]:
        for fit in problem["fits"]:
            found[problem["problem"], fit["step"], fit["quantity"]] = fit
            for key in fitting.ESTIMATES:
                one = fit[key]
                numbers = [one["value"], one["low"], one["high"]]
                if numbers == [None] * 3:
                    check(one.get("warning") and one["warning"] in table.stdout or key in ("slope_fluctuation_L", "slope_fluctuation_M"),
                          f"{name}: {key} without a reason")
                else:
                    check(numbers[1:] == [None, None] and "no statistical error" in one["warning"] or
                          None not in numbers and one["low"] <= one["value"] <= one["high"], f"{name}: {key} {one}")
    return found


def fit_of(path, change):
    found = estimates(path)
    if change in NULL and check(found, f"{path.name}: refused"):
        step, names, words = NULL[change]
        for quantity in ("output", "embedding"):
            for key in names:
                one = found["problem_0000", step, quantity][key]
                check(one["value"] is None and words in one["warning"], f"{path.name}: {quantity} {key}: {one}")
    for key in KNOWN.get(change, ()):
        one = found["problem_0000", 3, "output"][key]
        check(one["value"] is not None, f"{path.name}: {key}: {one}")


def frame_of(path):
    """The same numbers as a DataFrame: float64, NaN for null, and the reasons."""
    inputs["frame"] += 1
    table = meanode.fit(path)
    for key in fitting.ESTIMATES:
        for column in (key, f"{key}_low", f"{key}_high"):
            check(table[column].dtype == "float64", f"{path.name}: {column} is {table[column].dtype}")
    check(all(warning is None or isinstance(warning, str) for warning in table["warning"]), f"{path.name}: warnings {set(table['warning'])}")
    unknown = numpy.isnan(table["a"])
    check(all(table["warning"][unknown].str.contains("a")), f"{path.name}: reasons")
    without = unknown | table["warning"].str.contains("no statistical error", na=False)
    check((unknown <= numpy.isnan(table["a_low"])).all() and (numpy.isnan(table["a_low"]) <= without).all() and
          (numpy.isnan(table["a_high"]) == numpy.isnan(table["a_low"])).all(), f"{path.name}: no interval around NaN")


class Heard(logging.Handler):
    """What matplotlib says through logging instead of a warning."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


heard = Heard()
logging.getLogger().addHandler(heard)


def shows_something(axis):
    if style.is_blank(axis):
        return bool(style.reason(axis))
    for collection in axis.collections:
        if collection.get_array() is not None and numpy.isfinite(numpy.ma.filled(collection.get_array().astype(float), numpy.nan)).any():
            return True
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    for line in axis.lines:
        x, y = (numpy.asarray(v, float) for v in line.get_data())
        if ((left <= x) & (x <= right) & (bottom <= y) & (y <= top)).any():
            return True
    return False


def figure_of(path, kind):
    inputs["figure"] += 1
    heard.messages.clear()
    try:
        fig = meanode.plot(path, kind=kind)
        fig.savefig(io.BytesIO(), format="png", dpi=25)
    except meanode.FileProblem as problem:
        check("damaged" not in str(problem) and str(path) in str(problem), f"{kind}, {path.name}: {problem}")
        return None
    except Exception as problem:  # noqa: BLE001  (a warning, or a fault)
        check(False, f"{kind}, {path.name}: {type(problem).__name__}: {problem}")
        return None
    check(not heard.messages, f"{kind}, {path.name}: {heard.messages}")
    for verdict in fig.verdicts:
        check(not NOT_FINITE.search(str(verdict)) and (None in (verdict.value, verdict.low) or verdict.low <= verdict.value <= verdict.high), f"{kind}, {path.name}: {verdict}")
        check(verdict.value is not None or verdict.note, f"{kind}, {path.name}: {verdict} without a reason")
    for text in fig.findobj(matplotlib.text.Text):
        check(not NOT_FINITE.search(text.get_text()), f"{kind}, {path.name}: {text.get_text()}")
    for axis in fig.axes:
        check(axis.get_label() == "<colorbar>" or shows_something(axis), f"{kind}, {path.name}: an empty panel: {axis.get_ylabel()}")
    return fig


def blank_panels(bases, folder):
    """The panels that need what is not there say so; the others stay."""
    for change, words in (("limit NaN at the last step", "the limit is not known at step 3"), ("no limit", "needs a limit")):
        path = changed(folder, bases["one"], change)
        fig = figure_of(path, "law")
        if check(fig, f"{change}: the fluctuation can be drawn"):
            check([style.is_blank(axis) for axis in fig.axes[:4]] == [True, True, True, False], f"{change}: panels")
            check(words in style.reason(fig.axes[0]), f"{change}: {style.reason(fig.axes[0])}")
    path = changed(folder, bases["one"], "all runs diverged")
    done = run("plot", path, "-o", folder / "none.svg")
    check(done.returncode == 65 and done.stderr.count("\n") == 1 and "finite numbers at step 3" in done.stderr, f"nothing to draw: {done.stderr}")
    check(not (folder / "none.svg").exists(), "no figure of nothing")


def regimes_of_missing_runs(bases, folder):
    """What was not computed did not diverge."""
    path = changed(folder, bases["alphas"], "first problem missing")
    fig = figure_of(path, "phase")
    marks = collections.Counter(text.get_text() for text in fig.axes[2].texts)
    check(marks["?"] == 3 and marks["×"] == 0, f"regimes: {marks}")


def deterministic(bases, folder):
    for change in ("all runs missing", "limit NaN", "no limit"):
        found = estimates(changed(folder, bases["one"], change), "--deterministic")
        check(found and found["problem_0000", 3, "output"]["a"]["value"] > 0, f"{change}: infinite width needs neither runs nor limit")


def frame_without_rows():
    """fit_json may find problems without any fit."""
    fit_json, fitting.fit_json = fitting.fit_json, lambda *_: {"problems": []}
    try:
        table = meanode.fit("no file")
    finally:
        fitting.fit_json = fit_json
    check(len(table) == 0 and table["slope_bias_low"].dtype == "float64" and "warning" in table, f"empty frame: {table.dtypes}")


def page(bases, folder):
    """The report's table of constants says why something is missing."""
    text = report.constants_table(changed(folder, bases["one"], "limit NaN at the last step"))
    check("the limit is not known at this step" in text and "none" in text and not NOT_FINITE.search(text), f"report: {text}")


def bases_in(folder):
    found = {}
    for name, config in FILES.items():
        (folder / f"{name}.yaml").write_text(config)
        found[name] = folder / f"{name}.h5"
        done = run("run", folder / f"{name}.yaml", "-o", found[name], "--progress", "none", "--threads", "1")
        check(done.returncode == 0, f"{name}: {done.stderr}")
    return found


def main(everything):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        bases = bases_in(folder)
        for kind, base in KINDS.items() if everything else ():
            check(figure_of(bases[base], kind), f"{kind}: the file that lacks nothing can be drawn")
        for change in without_data.CHANGES:
            path = changed(folder, bases["one"], change)
            fit_of(path, change)
            path.unlink()
        for change in ("limit NaN", "one seed", "error of the limit missing"):
            frame_of(changed(folder, bases["one"], change))
        for kind, base in KINDS.items():
            for change in without_data.CHANGES if everything else DRAWN[kind]:
                path = changed(folder, bases[base], change)
                figure_of(path, kind)
                path.unlink()
        blank_panels(bases, folder)
        regimes_of_missing_runs(bases, folder)
        deterministic(bases, folder)
        page(bases, folder)
    frame_without_rows()


main(sys.argv[1:] == ["all"])
print(f"{dict(inputs)} inputs of {len(without_data.CHANGES)} kinds")
print("failed" if failures else "passed")
sys.exit(1 if failures else 0)
