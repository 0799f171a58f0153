# SPDX-License-Identifier: BSD-3-Clause
"""The Python module on a file whose law is known: reading, constants, figures, messages."""

import contextlib
import io
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import h5py
import numpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import synthetic_file  # noqa: E402

import meanode  # noqa: E402
import meanode.__main__ as program  # noqa: E402
from meanode.report import verdict_table  # noqa: E402
from meanode.verdict import Verdict, interval  # noqa: E402

BINARY = os.environ["MEANODE"]
failures = 0


def check(condition, what):
    global failures
    if not condition:
        failures += 1
        print(f"FAILED: {what}")


def reading(path):
    results = meanode.open(path)
    check(results.sizes == {"instance": 12 * 24, "step": 4}, f"sizes {dict(results.sizes)}")
    check(results.meanode.problems == ["problem_0000"], "problems")
    check(results.meanode.config == synthetic_file.CONFIG, "config text")
    problem = results.meanode.problem(0)
    check(problem["output"].dims == ("run", "step", "sample", "target"), "dimensions of output")
    one = problem.where((problem.L == 16) & (problem.M == 8), drop=True)
    check(one.sizes["run"] == 24, "selection by coordinates")
    check(results.meanode.limits(0) == ["mean-ode"], "limits")
    check(results.meanode.limit(0)["output"].sizes["step"] == 16, "limit steps")


def constants(path):
    table = meanode.fit(path, steps=[0, 1, 15])
    check(table.equals(meanode.fit(meanode.open(path), steps=[0, 1, 15])), "fit of what open() returned")
    check(len(table) == 6, f"{len(table)} rows of constants")
    hits = 0
    for _, row in table.iterrows():
        check(row["b_low"] <= 0.7 * 1.03 and row["b_high"] >= 0.7 * 0.97, f"b of {row.to_dict()}")
        if row["step"]:
            check(abs(row["a"] - 0.5) < row["a_high"] - row["a_low"] < 0.2, f"a of {row.to_dict()}")
            check(abs(row["slope_bias"] + 1) < row["slope_bias_high"] - row["slope_bias_low"] < 0.6, f"slope of {row.to_dict()}")
            hits += row["a_low"] <= 0.5 <= row["a_high"]
        else:
            check(row["a_low"] == 0 and numpy.isnan(row["slope_bias"]), "no bias at initialisation")
    check(hits >= 3, "intervals of a")


def figures(path, folder):
    before = dict(__import__("matplotlib").rcParams)
    for suffix in (".svg", ".pdf"):
        target = folder / f"figure{suffix}"
        fig = meanode.plot(path, target, dpi=60)
        check(target.stat().st_size > 5000, f"size of {target}")
        check(len(fig.axes) == 6, "panels")
    check(dict(__import__("matplotlib").rcParams) == before, "the caller's matplotlib settings come back")
    lines = fig.axes[3].get_lines()
    check(len(lines) >= 6, "points and lines of the fluctuation")
    check("a$ = 0.4" in fig.texts[-1].get_text() or "a$ = 0.5" in fig.texts[-1].get_text(), "numbers in the caption")


def verdicts(path):
    law = meanode.plot_law(meanode.open(path)).verdicts
    check([str(v) for v in law] == [str(v) for v in meanode.plot(path, kind="law").verdicts], "plot_law")
    check({"plot_law", "plot_depth_as_width"} <= set(dir(meanode)) and not hasattr(meanode, "plot_nothing"), "one function per kind")
    check([v.expected for v in law[:3]] == [-0.5, -1.0, 0.0], "what the theory says of the law")
    chaos = meanode.plot(path, kind="chaos").verdicts
    check(len(chaos) == 3 and all(v.low < -0.47 and v.high > -0.53 for v in chaos), f"chaos: {[str(v) for v in chaos]}")
    try:
        meanode.plot(path, kind="lazy")
        check(False, "lazy without its limits")
    except meanode.FileProblem as problem:
        check("tangent-ode" in str(problem), str(problem))


def verdicts_of_diverged_runs():
    """What meanode fit says of runs that blow up: an interval without end is null, values have any size."""
    endless = Verdict("a", {"value": 1e200, "low": 0.0, "high": None, "warning": "on the noise floor"}, expected=0.0)
    check(str(endless) == "a: not determined (on the noise floor)" and endless.agrees is None, str(endless))
    large = Verdict("a", {"value": 1e200, "low": 0.0, "high": 2e200})
    check(str(large) == "a = 1e+200 [0.0000, 2e+200]", str(large))


def numbers_without_statistical_error():
    """They have no interval, in words wherever others have one."""
    for estimate in ({"value": 0.25}, {"value": 0.25, "low": None, "high": None, "warning": "no statistical error: a reason"}):
        exact = Verdict("alpha where the limits differ", estimate, expected=0.25)
        check(str(exact) == "alpha where the limits differ = 0.250 (no statistical error); theory 0.25: agrees", str(exact))
        check(exact.low is None and interval(exact, 2) == "0.25 (no statistical error)", interval(exact, 2))
        check("<td class=number>0.250 (no statistical error)</td>" in verdict_table([exact]), verdict_table([exact]))


def plotted(*arguments):
    """Exit code and stderr of `meanode plot`, within this process."""
    heard = io.StringIO()
    with contextlib.redirect_stderr(heard):
        try:
            code = program.main(["plot", *map(str, arguments)])
        except SystemExit as left:
            code = left.code
    return code, heard.getvalue()


def messages(path, folder):
    target = folder / "message.svg"
    for arguments, code, words in (((folder / "none.h5", "-o", target), 74, "none.h5: no such file"),
                                   ((__file__, "-o", target), 65, "not readable as HDF5"),
                                   ((path, "-o", target, "--kind", "lwa"), 2, 'did you mean "law"'),
                                   ((path, "-o", folder / "figure.gif"), 65, ".svg, .png or .pdf"),
                                   ((path, "-o", target, "--step", "3"), 65, "step 3 was not recorded"),
                                   ((path,), 2, "-o"), ((folder, "-o", target), 74, "not a regular file"),
                                   ((path, "-o", target, "--problem", "3"), 65, "no problem_0003; there is problem_0000 only"),
                                   ((path, "-o", target, "--problem", "-1"), 2, "not a number from 0 on"),
                                   ((path, "-o", target, "--dpi", "nan"), 2, "from 10 to 2400"),
                                   ((path, "-o", target, "--kind", "shape"), 65, "limit: {kind: joint}"),
                                   ((path, "-o", folder / "no" / "where.svg"), 74, "where.svg")):
        code_seen, heard = plotted(*arguments)
        check(code_seen == code and words in heard, f"{arguments}: {code_seen} {heard}")
    check(not target.exists(), "no figure after a failure")
    for variable in ("status", "problem_0000/row", "problem_0000/limit_mean_ode/output_error", "config", "seed"):
        damaged = folder / f"without_{variable.replace(chr(47), chr(95))}.h5"
        damaged.write_bytes(path.read_bytes())
        with h5py.File(damaged, "r+") as file:
            del file[variable]
        code_seen, heard = plotted(damaged, "-o", target)
        check(code_seen == 65 and str(damaged) in heard and variable.split("/")[-1] in heard, f"without {variable}: {code_seen} {heard}")


def report(path, folder):
    """A page with what can be drawn; what cannot is named there and on stderr, and makes the exit code."""
    page = folder / "page.html"

    def run(*files):
        return subprocess.run([BINARY, "report", *map(str, files), "-o", page], capture_output=True, text=True)

    done = run(path)
    check(done.returncode == 0 and done.stderr == "" and "<svg" in page.read_text(), f"report: {done.stderr}")
    run(path, path)
    names, used = (re.findall(pattern, page.read_text()) for pattern in (r'\bid="([^"]+)"', r'(?:href="|url\()#([^")]+)'))
    check(len(names) == len(set(names)) and set(used) <= set(names), "ids on the page are unique, and there")
    bare = folder / "bare.h5"
    with h5py.File(path, "r") as full, h5py.File(bare, "w") as copy:
        for name, item in full.items():
            full.copy(item, copy, name)
        del copy["problem_0000"]["output"]
    done = run(bare, path)
    text = page.read_text()
    check(done.returncode == 65 and f"meanode report: {bare}: " in done.stderr and "1 of 2 files" in done.stderr, f"report of a bare file: {done.stderr}")
    check("bare.h5: no figure" in text and text.count("<svg") == 1, "the page names the file without a figure")
    page.unlink()
    done = run(bare, folder / "none.h5")
    check(done.returncode == 74 and "none.h5: no such file" in done.stderr and not page.exists(), f"report of nothing: {done.stderr}")
    done = subprocess.run([BINARY, "plot", bare, "-o", folder / "bare.svg"], capture_output=True, text=True)
    check(done.returncode == 65 and done.stderr.startswith(f"meanode plot: {bare}: ") and done.stderr.count("meanode ") == 1,
          f"plot of a bare file: {done.stderr}")


def command(path, folder):
    """Through the binary: it finds the module by itself. (tests/cli/environments.py has interpreters that lack something.)"""
    target = folder / "command.svg"

    def run(**environment):
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        return subprocess.run([BINARY, "plot", path, "-o", target, "--quantity", "embedding", "--step", "5"],
                              env={**clean, **environment}, capture_output=True, text=True)

    done = run()
    check(done.returncode == 0 and target.exists(), f"meanode plot without PYTHONPATH: {done.stderr}")
    done = run(MEANODE_PYTHON="/nonexistent/python")
    check(done.returncode == 69 and "apt-get install python3-matplotlib" in done.stderr, f"no interpreter: {done.stderr}")


def fit_command(path):
    def run(*arguments):
        return subprocess.run([BINARY, "fit", *map(str, arguments)], capture_output=True, text=True)

    table = run(path, "--step", "1", "15", "--quantity", "output")
    check(table.returncode == 0 and table.stdout.count("output") == 4, f"table: {table.stdout}")
    for arguments, code, words in (((path, "--step", "x"), 2, "not a step"), ((path, "--step", "2"), 65, "was not recorded"),
                                   ((path, "--quantity", "loss"), 2, "output or embedding"), ((), 2, "which file"),
                                   ((__file__,), 65, "")):
        done = run(*arguments)
        check(done.returncode == code and words in done.stderr, f"fit {arguments}: {done.returncode} {done.stderr}")


def version():
    header = pathlib.Path(__file__).parents[2] / "include" / "meanode" / "version.h"
    words = [line.split() for line in header.read_text().splitlines() if line.startswith("#define MNO_VERSION_")]
    check(meanode.__version__ == ".".join(word[2] for word in words), "version of the module")


with tempfile.TemporaryDirectory() as folder_name:
    folder = pathlib.Path(folder_name)
    path = synthetic_file.write(folder / "synthetic.h5")
    version()
    reading(path)
    fit_command(path)
    constants(path)
    figures(path, folder)
    verdicts(path)
    verdicts_of_diverged_runs()
    numbers_without_statistical_error()
    messages(path, folder)
    report(path, folder)
    command(path, folder)
print("failed" if failures else "passed")
sys.exit(1 if failures else 0)
