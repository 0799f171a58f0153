# SPDX-License-Identifier: BSD-3-Clause
"""Result files as xarray Datasets."""

import os

import h5netcdf
import xarray


class FileProblem(ValueError):
    """The file is not a meanode result, or lacks what was asked for."""

    def naming(self, path):
        """The same problem with the file's name in front, unless the message has it."""
        return self if os.fspath(path) in str(self) else type(self)(f"{os.fspath(path)}: {self}")


class FileNotReached(FileProblem):
    """There is no such file, it is something else, or it is open for writing in another program or was left so by one that was killed."""


TABLE = ("L", "M", "D", "alpha", "seed", "problem", "status", "step", "config")


def open(path):
    """The root table of a result file: one row per instance, with `.meanode` to reach problems and limits.

    Raises FileProblem if the file cannot be read as a meanode result."""
    if not os.path.isfile(path):  # opening a pipe would wait for its writer
        raise FileNotReached(f"{os.fspath(path)}: {'not a regular file' if os.path.exists(path) else 'no such file'}")
    try:
        data = xarray.open_dataset(path, engine="h5netcdf")
    except Exception as problem:  # the engines raise many kinds
        if "unable to lock file" in str(problem) or "already open for write" in str(problem):
            raise FileNotReached(f"{os.fspath(path)}: open for writing in another program, or left so by one that ended without closing "
                                 "it; close it there, or, if no program has it open, clear the mark: h5clear -s "
                                 f"{os.fspath(path)}") from problem
        raise FileProblem(f"{path}: not readable as HDF5: {problem}") from problem
    if "instance" not in data.dims or "loss" not in data:
        data.close()
        raise FileProblem(f"{path}: not a meanode result: there is no table of instances")
    lacking = [name for name in TABLE if name not in data.variables]
    if lacking:
        data.close()
        raise FileProblem(f"{path}: /{lacking[0]}: is missing")
    data.encoding["source"] = os.fspath(path)
    return data


@xarray.register_dataset_accessor("meanode")
class Access:
    """Groups of the file that a root table came from."""

    def __init__(self, root):
        self._root = root
        self.path = root.encoding.get("source")

    @property
    def problems(self):
        """Names of the problem groups."""
        return [f"problem_{i:04d}" for i in sorted(set(self._root["problem"].values.tolist()))]

    @property
    def config(self):
        """The configuration text."""
        text = self._root["config"].values.item()
        return text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else str(text)

    def name(self, problem):
        """The name of a problem, of which the number or the name is given; FileProblem if there is none."""
        name, names = problem if isinstance(problem, str) else f"problem_{problem:04d}", self.problems
        if name not in names:
            raise FileProblem(f"{self.path}: no {name}; there are {names[0]} to {names[-1]}" if len(names) > 1 else
                              f"{self.path}: no {name}; there is {names[0]} only")
        return name

    def _group(self, name):
        try:
            return xarray.open_dataset(self.path, engine="h5netcdf", group=name)
        except (OSError, KeyError) as problem:
            raise FileProblem(f"{self.path}: no group {name}") from problem

    def problem(self, problem=0):
        """One problem, by number or name: data, outputs and, on dimension run, the coordinates L, M, seed and more."""
        data = self._group(self.name(problem))
        rows = data["row"].values
        names = ("L", "M", "D", "alpha", "seed", "data_seed", "id", "status", "draw_width", "draw_offset", "draw_sign")
        coordinates = {name: ("run", self._root[name].values[rows]) for name in names if name in self._root.variables}
        return data.assign_coords(coordinates | {"step": self._root["step"].values})

    def limits(self, problem=0):
        """Kinds of the limits that were computed for a problem."""
        with h5netcdf.File(self.path, "r") as file:
            names = file[self.name(problem)].groups
            return [name.removeprefix("limit_").replace("_", "-") for name in names if name.startswith("limit_")]

    def limit(self, problem=0, kind="mean-ode"):
        """One limit of a problem: output (step, sample, target) and its error, embedding, depth, state, adjoint."""
        name = self.name(problem)
        try:
            return self._group(f"{name}/limit_{kind.replace('-', '_')}")
        except FileProblem:
            raise FileProblem(f"{self.path}: {name} has no limit {kind}; limit: {{kind: {kind}}} in the configuration computes "
                              "it") from None

    def limit_or_none(self, problem, *kinds):
        """The first of these limits that was computed."""
        there = self.limits(problem)
        return next((self.limit(problem, kind) for kind in kinds if kind in there), None)
