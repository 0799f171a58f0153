"""Result files as xarray Datasets."""

import os

import xarray


class FileProblem(ValueError):
    """The file is not a meanode result, or lacks what was asked for."""

    def naming(self, path):
        """The same problem with the file's name in front, unless the message has it."""
        return self if os.fspath(path) in str(self) else type(self)(f"{os.fspath(path)}: {self}")


class NoSuchFile(FileProblem):
    """The file is not there."""


def open(path):
    """The root table of a result file: one row per instance, with `.meanode` to reach problems and limits.

    Raises FileProblem if the file cannot be read as a meanode result."""
    try:
        data = xarray.open_dataset(path, engine="h5netcdf")
    except FileNotFoundError:
        raise NoSuchFile(f"{path}: no such file") from None
    except Exception as problem:  # the engines raise many kinds
        raise FileProblem(f"{path}: not readable as HDF5: {problem}") from problem
    if "instance" not in data.dims or "loss" not in data:
        data.close()
        raise FileProblem(f"{path}: not a meanode result: there is no table of instances")
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
        return text.decode() if isinstance(text, bytes) else text

    def _name(self, problem):
        return problem if isinstance(problem, str) else f"problem_{problem:04d}"

    def _group(self, name):
        try:
            return xarray.open_dataset(self.path, engine="h5netcdf", group=name)
        except (OSError, KeyError) as problem:
            raise FileProblem(f"{self.path}: no group {name}") from problem

    def problem(self, problem=0):
        """One problem, by number or name: data, outputs and, on dimension run, the coordinates L, M, seed and more."""
        data = self._group(self._name(problem))
        rows = data["row"].values
        coordinates = {}
        for name in ("L", "M", "D", "alpha", "seed", "id", "status", "draw_width", "draw_offset", "draw_sign"):
            if name in self._root.variables:
                coordinates[name] = ("run", self._root[name].values[rows])
        coordinates["step"] = self._root["step"].values
        return data.assign_coords(coordinates)

    def limits(self, problem=0):
        """Kinds of the limits that were computed for a problem."""
        found = []
        for kind in ("mean-ode", "tangent-ode", "joint", "largest"):
            try:
                self.limit(problem, kind).close()
                found.append(kind)
            except FileProblem:
                pass
        return found

    def limit(self, problem=0, kind="mean-ode"):
        """One limit of a problem: output (step, sample, target) and its error, embedding, depth, state, adjoint."""
        return self._group(f"{self._name(problem)}/limit_{kind.replace('-', '_')}")
