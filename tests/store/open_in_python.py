# SPDX-License-Identifier: BSD-3-Clause
"""Files written by the store open in xarray, h5py and h5dump, with no options and no warnings.

usage: open_in_python.py PROGRAM: a program that writes FILE.h5 in the present folder when given its name.
"""

import os
import subprocess
import sys
import tempfile
import warnings

import h5py
import numpy as np
import xarray as xr


def open_quietly(path, group=None):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with xr.open_dataset(path, engine="h5netcdf", group=group) as dataset:
            dataset.load()
    caught = [w for w in caught if "llvmlite" not in str(w.filename) and "importlib" not in str(w.filename)]
    assert not caught, [str(w.message) for w in caught]
    for name, variable in dataset.variables.items():
        assert variable.attrs.get("units"), f"{group or ''}/{name} has no units"
        assert variable.attrs.get("long_name"), f"{group or ''}/{name} has no long_name"
    return dataset


def check_root(path, precision):
    root = open_quietly(path)
    assert set(root.sizes) == {"instance", "step"}, root.sizes
    for name in ("L", "M", "D", "alpha", "seed", "data_seed", "problem", "id", "draw_width", "draw_offset", "draw_sign"):
        assert name in root.coords and root[name].dims == ("instance",), name
    for name in ("loss", "error_output", "error_embedding"):
        assert root[name].dims == ("instance", "step") and root[name].dtype == np.float64, name
    assert root.status.dtype == np.int8 and root.seconds.dims == ("instance",)
    assert list(root.status.flag_values) == [-1, 0, 1] and root.status.flag_meanings == "missing done diverged"
    assert root.id.dtype == np.uint64 and len(set(root.id.values.tolist())) == root.sizes["instance"]
    for name in ("title", "source", "history", "references", "backend", "device", "precision", "generator"):
        assert isinstance(root.attrs[name], str) and root.attrs[name], name
    assert root.attrs["precision"] == precision
    config = root.config.item()
    assert "block: perceptron" in (config.decode() if isinstance(config, bytes) else config)
    return root


def check_problem(path, root, p, precision):
    name = f"problem_{p:04d}"
    group = open_quietly(path, name)
    assert group.x.dims == ("sample", "input") and group.y.dims == ("sample", "target")
    assert group.w_embed.dims == ("embed", "input") and group.w_unembed.dims == ("embed", "target")
    assert group.output.dims == ("run", "step", "sample", "target")
    assert group.embedding.dims == ("run", "step", "sample", "embed")
    assert group.output.dtype == {"f64": np.float64, "f32": np.float32}[precision]
    assert np.array_equal(group.row.values, np.flatnonzero(root.problem.values == p))
    limit = open_quietly(path, name + "/limit_mean_ode")
    assert limit.output.dims == ("step", "sample", "target") and limit.state.dims == ("step", "node", "sample", "embed")
    assert limit.adjoint.dims == limit.state.dims and limit.depth.dims == ("node",)
    assert np.array_equal(limit.step.values, np.arange(limit.sizes["step"]))
    assert limit.output_stderr.dims == limit.output.dims and limit.output_stderr.attrs["long_name"]
    for attribute in ("method", "parameters", "certified", "tolerance", "degrees", "diverged", "seconds"):
        assert attribute in limit.attrs, attribute
    for run, row in enumerate(group.row.values):
        there = root.status.values[row] >= 0
        for variable in ("output", "embedding"):
            assert there == bool(np.isfinite(group[variable].values[run]).all()), (variable, row)
        if there:
            weights = open_quietly(path, f"{name}/weights/{row}")
            shape = (root.L.values[row], root.M.values[row], root.D.values[row])
            for which in ("u0", "v0", "u", "v"):
                assert weights[which].dims == ("layer", "unit", "embed") and weights[which].shape == shape
    with h5py.File(path) as file:
        assert np.isnan(file[name]["output"].fillvalue)


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for precision in ("f64", "f32"):
            path = f"sample_{precision}.h5"
            subprocess.run([program, path, precision], check=True)
            root = check_root(path, precision)
            assert (root.status.values == -1).any() and (root.status.values == 1).any()
            for p in range(2):
                check_problem(path, root, p, precision)
            for options in (["-H"], [], ["-p", "-A"]):
                dump = subprocess.run(["h5dump", *options, path], capture_output=True, text=True)
                assert dump.returncode == 0 and not dump.stderr, dump.stderr
    print("ok")


main()
