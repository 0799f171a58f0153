# SPDX-License-Identifier: BSD-3-Clause
"""Fitted constants, computed by the meanode binary."""

import json
import os
import pathlib
import shutil
import subprocess

import pandas

from .reading import FileProblem

ESTIMATES = ("a", "b", "c", "slope_fluctuation", "slope_fluctuation_L", "slope_fluctuation_M", "slope_bias", "slope_bias_M")


def is_program(path):
    return os.access(path, os.X_OK) and os.path.isfile(path)


def binary():
    """The meanode program: $MEANODE, the one this module was installed or built with, or the one on PATH."""
    named = os.environ.get("MEANODE")
    if named and not is_program(named):
        raise FileProblem(f"the variable MEANODE names {named}, which is no program; leave it unset to find the one of this module")
    folder = pathlib.Path(__file__).resolve().parent  # PREFIX/share/meanode/python/meanode or SOURCE/host/python/meanode
    near = ("../../../../bin/meanode", "../../../build/meanode", "../../../build-dev/meanode")
    for candidate in (named, *(os.path.normpath(folder / path) for path in near), shutil.which("meanode")):
        if candidate and is_program(candidate):
            return candidate
    raise FileProblem("the meanode program was not found: build it, or set MEANODE to its path")


def fit_json(path, steps=None, quantity=None, deterministic=False):
    """What `meanode fit --json` prints, as a dict. path: a file, or what meanode.open returned."""
    file = path if isinstance(path, (str, os.PathLike)) else path.meanode.path
    command = [binary(), "fit", "--json"]
    if steps is not None:
        command += ["--step", ",".join(str(step) for step in steps)]
    if quantity is not None:
        command += ["--quantity", quantity]
    if deterministic:
        command += ["--deterministic"]
    command += ["--", os.fspath(file)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="surrogateescape")
    if done.returncode:
        raise FileProblem(done.stderr.strip().removeprefix("meanode fit: ") or f"{command[0]} fit failed with code {done.returncode}")
    return json.loads(done.stdout)


def fit(path, steps=None, quantity=None, deterministic=False):
    """Constants of every problem, step and quantity: a DataFrame with columns a, a_low, a_high, ... (95% intervals; NaN: not determined;
    a_low and a_high alone NaN: no statistical error) and warning, which says why, or what to think of them (None: nothing). path: a
    file, or what meanode.open returned.

    deterministic: a and its exponent in L from networks of infinite width, without seeds (takes seconds to minutes)."""
    rows = [{**problem, **one, "warning": warnings_of(one),
             **{column: one[name][key] for name in ESTIMATES for key, column in zip(("value", "low", "high"), columns_of(name))}}
            for problem in fit_json(path, steps, quantity, deterministic)["problems"] for one in problem["fits"]]
    types = {"problem": object, "D": "int64", "alpha": "float64", "data_seed": "int64", "step": "int64", "quantity": object,
             **{column: "float64" for name in ESTIMATES for column in columns_of(name)}, "warning": object}
    if any(row.get("data_seed") is None for row in rows):
        types["data_seed"] = "float64"
    return pandas.DataFrame(rows, columns=list(types), dtype=None if rows else object).astype(types)


def columns_of(name):
    return name, f"{name}_low", f"{name}_high"


def warnings_of(fit):
    """'a, c: the limit is not known at this step; b: ...', or None."""
    said = {}
    for name in ESTIMATES:
        if fit[name].get("warning"):
            said.setdefault(fit[name]["warning"], []).append(name)
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in said.items()) or None


def constants(path, steps, quantity):
    """{problem: {step: {name: {value, low, high}}}}."""
    return {problem["problem"]: {fit["step"]: fit for fit in problem["fits"]} for problem in fit_json(path, steps, quantity)["problems"]}
