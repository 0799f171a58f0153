# SPDX-License-Identifier: BSD-3-Clause
"""Writes the seeds of fuzz_data: small data files as other programs write them, behind a byte 0. Usage: make_corpus.py FOLDER"""
import os
import sys

import h5py
import numpy as np
import xarray

folder = sys.argv[1]
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(4, 2)), rng.normal(size=(4, 1))


def save(name, make, **options):
    path = os.path.join(folder, name + ".h5")
    with h5py.File(path, "w", **options) as f:
        made = make(f)
        for key, data in (("x", X), ("y", Y)):
            if key not in f and made is None:
                f[key] = data
    keep(name, path)


def keep(name, path):
    with open(path, "rb") as f:
        data = f.read()
    os.unlink(path)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(b"\0" + data)


def attributes(f):
    f["x"] = np.arange(8, dtype="i2").reshape(4, 2)
    f["x"].attrs.update(scale_factor=0.5, add_offset=1.0, _FillValue=np.int16(-1), valid_range=np.array([0, 100], "i2"))


def matlab(f):
    for name, data in (("x", X), ("y", Y)):
        f[name] = data.T.copy()
        f[name].attrs["MATLAB_class"] = np.bytes_("double")


def chunks(f):
    f.create_dataset("x", (4, 2), "f8", chunks=(2, 1), compression="gzip", shuffle=True, fletcher32=True, maxshape=(None, 2))[:] = X


def partly(f):
    f.create_dataset("x", (4, 2), "f8", chunks=(2, 1))[:2] = X[:2]


def virtual(f):
    f["a"] = X
    layout = h5py.VirtualLayout((4, 2), "f8")
    layout[:2], layout[2:] = h5py.VirtualSource(".", "a", (4, 2))[:2], h5py.VirtualSource("none.h5", "b", (2, 2))
    f.create_virtual_dataset("x", layout)


def external(f):
    p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    p.set_external(b"none.raw", 0, 64)
    h5py.h5d.create(f.id, b"x", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((4, 2)), p)


def links(f):
    f["a"], f["x"], f["y"] = X, h5py.SoftLink("/a"), h5py.ExternalLink("none.h5", "/y")


def strange_types(f):
    f["x"] = np.zeros((4, 2), [("r", "f8"), ("i", "f8")])
    f["y"] = Y > 0


def references(f):
    f["y"] = Y
    f.create_dataset("x", data=np.array([[f["y"].ref] * 2] * 4, h5py.ref_dtype))


def wide(f):
    f["x"], f["y"] = X.astype("g"), np.arange(4, dtype="u8").reshape(4, 1)


def labels(f):
    f["x"], f["y"] = X, Y
    f["x"].dims[0].label, f["x"].dims[1].label = "sample", "input"
    f["y"].attrs["_ARRAY_DIMENSIONS"] = ["sample", "target"]


def pandas(f):
    f.create_group("x").attrs["pandas_type"] = "frame"
    f["x/block0_values"] = X


def embeddings(f):
    f["w_embed"], f["w_unembed"] = np.ones((2, 2)), np.ones((2, 1))


os.makedirs(folder, exist_ok=True)
for make in (attributes, chunks, partly, virtual, external, links, strange_types, references, wide, labels, pandas, embeddings):
    save(make.__name__, make)
save("matlab", matlab, userblock_size=512)
save("latest", chunks, libver="latest")
save("latest_attributes", attributes, libver="latest")
path = os.path.join(folder, "netcdf.nc")
xarray.Dataset({"x": (("sample", "input"), X), "y": (("sample", "target"), Y)}).to_netcdf(
    path, engine="h5netcdf", encoding={"x": {"dtype": "i2", "scale_factor": 0.001, "_FillValue": -32768}})
keep("netcdf", path)
with open(os.path.join(folder, "content"), "wb") as f:
    f.write(bytes([2, 0, 0, 3, 4, 0, 1, 1, 4, 0, 6, 64, 4]))
with open(os.path.join(folder, "flip"), "wb") as f:
    f.write(bytes([1, 8, 0, 0, 1]))
