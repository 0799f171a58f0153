# SPDX-License-Identifier: BSD-3-Clause
"""Data files as other programs write them: what each one means is applied or refused by name, never ignored.

Every entry of the table makes a file and says what `meanode check` must answer: an exit code and words of its message; where the file
is accepted, also the x and y that the program must have read (they are compared in the result file of a run)."""
import gzip
import os
import pickle
import socket
import struct
import subprocess
import sys
import tempfile
import warnings
import zipfile

import h5py
import numpy as np
import xarray

warnings.simplefilter("ignore")
MEANODE = os.environ["MEANODE"]
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
PACKED = np.round((X - 1) / 0.001).astype("i2")
cases = []


def case(code, *words, x=None, y=None, D=4, extra="", name=None, environment=None, note=None):
    def add(make):
        cases.append(dict(make=make, code=code, words=words, x=x, y=y, D=D, extra=extra, environment=environment, note=note,
                          title=name or make.__name__))
        return make
    return add


def plain(path, x=X, y=Y, **options):
    with h5py.File(path, "w", **options) as f:
        f["x"], f["y"] = x, y


def edit(code, *words, title, base=None, **wanted):
    """A plain file to which change(f) was done."""
    def add(change):
        def make(path):
            (base or plain)(path)
            with h5py.File(path, "r+") as f:
                change(f)
        case(code, *words, name=title, **wanted)(make)
        return change
    return add


def replace(f, name, data, **options):
    del f[name]
    return f.create_dataset(name, data=data, **options)


# ---- Attributes of netCDF

def attribute(name, value, code, *words, data=None, target="x", **wanted):
    @edit(code, *words, title=f"{target}: {name} = {value!r} on {np.asarray(data).dtype if data is not None else 'float64'}", **wanted)
    def change(f):
        if data is not None:
            replace(f, target, data)
        f[target].attrs[name] = value


attribute("scale_factor", 2.0, 0, x=X * 2.0, note="unpacked")
attribute("scale_factor", np.float32(0.5), 0, x=X * 0.5)
attribute("scale_factor", np.int8(3), 0, x=X * 3)
attribute("scale_factor", np.array([2.0]), 0, x=X * 2.0)
attribute("add_offset", 1.5, 0, x=X + 1.5)
attribute("add_offset", np.array([[1.5]]), 0, x=X + 1.5)
attribute("scale_factor", "2.0", 65, "scale_factor", "is text")
attribute("scale_factor", np.array([1.0, 2.0]), 65, "scale_factor", "holds 2 numbers")
attribute("scale_factor", np.array([]), 65, "scale_factor", "holds 0 numbers")
attribute("scale_factor", 0.0, 65, "unpack nothing")
attribute("scale_factor", np.nan, 65, "unpack nothing")
attribute("add_offset", np.inf, 65, "unpack nothing")
attribute("scale_factor", 1e308, 65, "infinity", "scale_factor", data=X * 1e3)
attribute("add_offset", 1 + 2j, 65, "add_offset", "another type")
attribute("_FillValue", X[2, 1], 65, "row 2, column 1", "_FillValue", 'dataset "x"')
attribute("_FillValue", np.array([X[2, 1]]), 65, "row 2, column 1", "_FillValue")
attribute("_FillValue", -9999.0, 0, x=X)
attribute("_FillValue", np.nan, 0, x=X)
attribute("_FillValue", "none", 65, "_FillValue", "is text")
attribute("_FillValue", -0.1, 65, "row 0, column 0", "_FillValue", data=np.full((6, 3), -0.1, "f4"))
attribute("missing_value", np.array([-1.0, Y[5, 1]]), 65, "row 5, column 1", "missing_value", 'dataset "y"', target="y")
attribute("missing_value", np.arange(100.0) + 1e6, 65, "missing_value", "holds 100 numbers")
attribute("missing_value", 1e20, 0, x=X)
attribute("valid_min", 0.0, 65, "is outside valid_min")
attribute("valid_max", 0.0, 65, "is outside valid_max")
attribute("valid_range", np.array([-1e-3, 1e-3]), 65, "is outside valid_range")
attribute("valid_range", np.array([-10.0, 10.0]), 0, x=X)
attribute("valid_range", 10.0, 65, "valid_range", "holds one number")
attribute("valid_range", np.array([1.0, 2.0, 3.0]), 65, "valid_range", "holds 3 numbers")
BYTES = np.array([[-1, 5, -128]] * 6, "i1")
attribute("_Unsigned", "true", 0, data=BYTES, x=BYTES.view("u1").astype(float))
attribute("_Unsigned", "True", 0, data=BYTES.astype("i4"), x=BYTES.astype("i4").view("u4").astype(float))
attribute("_Unsigned", "false", 0, data=BYTES.view("u1"), x=BYTES.astype(float))
attribute("_Unsigned", "false", 0, data=BYTES, x=BYTES.astype(float))
attribute("_Unsigned", "true", 0, x=X)
attribute("_Unsigned", "yes", 65, "_Unsigned", data=BYTES)
attribute("_Unsigned", 1, 65, "_Unsigned", data=BYTES)
attribute("_Unsigned", "true", 65, "64 bits", data=BYTES.astype("i8"))
attribute("Scale_Factor", 2.0, 65, "Scale_Factor", "looks like scale_factor")
attribute("FillValue", -9.0, 65, "FillValue", "looks like _FillValue")
attribute("scale", 2.0, 0, x=X, note="attribute scale")
attribute("nodata", -9.0, 0, x=X, note="attribute nodata")
attribute("flag_meanings", "a b", 0, y=Y, target="y", note="flag_meanings")
attribute("units", "m s-1", 0, x=X)
attribute("units", "days since 2000-01-01", 65, "dates", "days since 2000-01-01")
attribute("units", "counts since reset", 0, x=X)
attribute("dtype", "timedelta64[ns]", 65, "times")
attribute("rhdf5-NA.OK", 1, 0, data=BYTES.astype("i4"), x=BYTES.astype(float), note="rhdf5")
attribute("rhdf5-NA.OK", 1, 65, "R (NA)", data=np.full((6, 3), -2**31, "i4"))


@edit(0, title="packed int16", x=PACKED * 0.001 + 1.0)
def _(f):
    d = replace(f, "x", PACKED)
    d.attrs["scale_factor"], d.attrs["add_offset"], d.attrs["_FillValue"] = 0.001, 1.0, np.int16(-32767)


@edit(65, "row 1, column 2", "_FillValue", title="packed: the fill value is one of stored numbers")
def _(f):
    p = PACKED.copy()
    p[1, 2] = -32767
    d = replace(f, "x", p)
    d.attrs["scale_factor"], d.attrs["_FillValue"] = 0.001, np.int16(-32767)


@edit(65, "row 0, column 0", "valid_max", title="packed: an integer range is one of stored numbers")
def _(f):
    d = replace(f, "x", np.full((6, 3), 50, "i2"))
    d.attrs["scale_factor"], d.attrs["valid_max"] = 0.001, np.int16(49)


@edit(0, title="packed: a real range is one of values", x=np.full((6, 3), 50, "i2") * 0.5)
def _(f):
    d = replace(f, "x", np.full((6, 3), 50, "i2"))
    d.attrs["scale_factor"], d.attrs["valid_max"] = 0.5, 30.0


@edit(65, "valid_max", title="packed: a real range is exceeded by values")
def _(f):
    d = replace(f, "x", np.full((6, 3), 50, "i2"))
    d.attrs["scale_factor"], d.attrs["valid_max"] = 0.5, 20.0


@edit(65, "missing_value", title="packed: a missing value of the values' type")
def _(f):
    d = replace(f, "x", np.full((6, 3), -99, "i2"))
    d.attrs["scale_factor"], d.attrs["missing_value"] = 0.5, -49.5


@edit(65, "holds 255", "_FillValue", title="_Unsigned holds for the fill value, too")
def _(f):
    d = replace(f, "x", BYTES)
    d.attrs["_Unsigned"], d.attrs["_FillValue"] = "true", np.int8(-1)


@edit(65, "w_embed", "_FillValue", title="embeddings have attributes, too")
def _(f):
    f["w_embed"] = np.full((4, 3), -1.0)
    f["w_embed"].attrs["_FillValue"] = -1.0


# ---- Written by xarray

def dataset(code, *words, title, attrs=None, encoding=None, xdims=("sample", "input"), ydims=("sample", "target"), x=X, y=Y, more=None,
            **wanted):
    def make(path):
        variables = {"x": (xdims, x), "y": (ydims, y), **(more or {})}
        xarray.Dataset(variables).to_netcdf(path, engine="h5netcdf", encoding=encoding)
    case(code, *words, name="xarray: " + title, **wanted)(make)


WITH_NAN = X.copy()
WITH_NAN[3, 0] = np.nan
dataset(0, title="plain", x=X, note=False)
dataset(65, "holds nan in row 3, column 0", title="nan", x=WITH_NAN)
dataset(65, "row 3, column 0", "_FillValue", title="nan as a fill value", x=WITH_NAN, encoding={"x": {"_FillValue": -999.0}})
dataset(65, "row 3, column 0", "_FillValue", title="nan packed", x=WITH_NAN,
        encoding={"x": {"_FillValue": -32768, "dtype": "i2", "scale_factor": 0.001}})
dataset(0, title="packed", encoding={"x": {"dtype": "i2", "scale_factor": 0.001, "add_offset": 1.0, "_FillValue": -32768}})
dataset(0, title="gzip", encoding={"x": {"zlib": True, "chunksizes": (2, 2)}})
dataset(65, "(input, sample)", '"x"', "transposed", title="x is transposed", x=X.T, xdims=("input", "sample"))
dataset(65, "(input, sample)", title="square x is transposed", x=X.T[:, :3], y=Y[:3], xdims=("input", "sample"))
dataset(65, "(target, sample)", '"y"', title="y is transposed", y=Y.T, ydims=("target", "sample"))
dataset(65, "transposed", title="both are transposed", x=X.T, y=Y.T, xdims=("a", "n"), ydims=("b", "n"))
dataset(65, "transposed", '"x"', title="other names", x=X.T[:, :3], y=Y[:3], xdims=("p", "n"), ydims=("n", "q"))
dataset(0, title="unrelated names", xdims=("a", "b"), ydims=("c", "d"))
dataset(0, title="inputs are targets", y=X, ydims=("sample", "input"))
dataset(0, title="embedding", more={"w_embed": (("embed", "input"), np.ones((4, 3)))})
dataset(65, "w_embed", "(input, embed)", title="embedding is transposed", x=X, D=3,
        more={"w_embed": (("input", "embed"), np.ones((3, 3)))})
dataset(65, "w_unembed", "(target, embed)", title="unembedding is transposed", D=2,
        more={"w_unembed": (("target", "embed"), np.ones((2, 2)))})
dataset(65, "dates", title="dates", x=np.full((6, 3), np.datetime64("2000-01-01", "ns")))
dataset(65, "text", title="strings", x=np.full((6, 3), "a", object))
dataset(0, title="booleans", y=np.eye(6)[:, :2] > 0)


@case(65, "(input, sample)", name="_ARRAY_DIMENSIONS")
def _(path):
    plain(path, X.T[:, :3], Y[:3])
    with h5py.File(path, "r+") as f:
        f["x"].attrs["_ARRAY_DIMENSIONS"] = ["input", "sample"]


@case(65, "(features, samples)", name="labels of h5py")
def _(path):
    plain(path, X.T[:, :3], Y[:3])
    with h5py.File(path, "r+") as f:
        f["x"].dims[0].label, f["x"].dims[1].label = "features", "samples"


@case(65, "(features, samples)", name="labels of fixed length")
def _(path):
    plain(path, X.T[:, :3], Y[:3])
    with h5py.File(path, "r+") as f:
        f["x"].attrs["DIMENSION_LABELS"] = np.array([b"features", b"samples"])


for wrong in (1.0, "sample", np.zeros(2), np.array([b"a", b"b", b"c"])):
    for key in ("DIMENSION_LIST", "DIMENSION_LABELS", "_ARRAY_DIMENSIONS"):
        attribute(key, wrong, 0, x=X)


# ---- MATLAB, Julia, pandas, Octave

def matlab(path, x=X, y=Y, kind="double", attrs=None):
    with h5py.File(path, "w", userblock_size=512) as f:
        for name, data in (("x", x), ("y", y)):
            f.create_dataset(name, data=data.T.copy()).attrs["MATLAB_class"] = np.bytes_(kind if name == "x" else "double")
        for key, value in (attrs or {}).items():
            f["x"].attrs[key] = value
    with open(path, "r+b") as f:
        f.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")


case(0, name="MATLAB", x=X, y=Y, note="MATLAB")(matlab)
case(0, name="MATLAB, square", x=X, y=X)(lambda p: matlab(p, y=X))
case(0, name="MATLAB, one target", y=Y[:, :1])(lambda p: matlab(p, y=Y[:, :1]))
case(0, name="MATLAB, first samples", x=X[:4], extra=", samples: 4")(matlab)
case(65, "class logical", name="MATLAB logical")(
    lambda p: matlab(p, x=(X > 0).astype("u1"), kind="logical", attrs={"MATLAB_int_decode": np.int32(1)}))
case(65, "class char", name="MATLAB char")(lambda p: matlab(p, x=np.full((6, 3), 65, "u2"), kind="char"))
case(65, "empty array", name="MATLAB empty")(lambda p: matlab(p, x=np.zeros((1, 2), "u8"), attrs={"MATLAB_empty": np.uint8(1)}))
case(65, "class table", name="MATLAB table")(
    lambda p: matlab(p, x=np.zeros((1, 6), "u4"), kind="table", attrs={"MATLAB_object_decode": np.int32(3)}))
case(0, name="MATLAB single", x=X.astype("f4").astype(float))(lambda p: matlab(p, x=X.astype("f4"), kind="single"))
case(0, name="MATLAB int32", x=np.arange(18.0).reshape(6, 3))(
    lambda p: matlab(p, x=np.arange(18, dtype="i4").reshape(6, 3), kind="int32"))
case(65, "complex", name="MATLAB complex")(
    lambda p: matlab(p, x=X.astype([("real", "f8"), ("imag", "f8")])))
case(65, "3 dimensions (6, 3, 2)", name="MATLAB, three dimensions")(lambda p: matlab(p, x=np.zeros((6, 3, 2))))


@edit(65, "sparse", title="MATLAB sparse")
def _(f):
    del f["x"]
    g = f.create_group("x")
    g.attrs["MATLAB_class"], g.attrs["MATLAB_sparse"] = np.bytes_("double"), np.uint64(6)


@edit(65, "class struct", title="MATLAB struct")
def _(f):
    del f["x"]
    f.create_group("x").attrs["MATLAB_class"] = np.bytes_("struct")


@edit(65, "references", title="MATLAB cell")
def _(f):
    replace(f, "x", np.array([[f["y"].ref] * 3] * 6, h5py.ref_dtype)).attrs["MATLAB_class"] = np.bytes_("cell")


@case(0, name="JLD2", x=X, y=Y, note="Julia")
def _(path):
    plain(path, X.T.copy(), Y.T.copy(), userblock_size=512)
    with open(path, "r+b") as f:
        f.write(b"HDF5-based Julia Data Format, version 0.1.1\0 (Julia 1.9.0 64-bit linux)\0")


@edit(65, "pandas", "x/block0_values", title="pandas")
def _(f):
    del f["x"]
    g = f.create_group("x")
    g.attrs["pandas_type"] = "frame"
    g["block0_values"] = X


@edit(65, "pandas", title="pandas, table format")
def _(f):
    del f["x"]
    f.create_group("x").attrs["pandas_type"] = "frame_table"


@edit(65, "records with named fields", title="PyTables table")
def _(f):
    replace(f, "x", np.zeros(6, [("index", "i8"), ("a", "f8"), ("b", "f8")]))


@edit(65, "Octave", "x/value", title="Octave")
def _(f):
    del f["x"]
    g = f.create_group("x")
    g.attrs["OCTAVE_NEW_FORMAT"] = 1
    g["type"], g["value"] = np.bytes_("matrix"), X.T


@edit(65, "csr_matrix", title="AnnData")
def _(f):
    del f["x"]
    f.create_group("x").attrs["encoding-type"] = "csr_matrix"


@edit(65, "is a group", title="group")
def _(f):
    del f["y"]
    f.create_group("y")


# ---- Types

def typed(data, code, *words, title, **wanted):
    @edit(code, *words, title="type: " + title, **wanted)
    def change(f):
        replace(f, "x", data)


for code in (">f8", "<f4", ">f4", "<f2", ">f2"):
    typed(X.astype(code), 0, title=code, x=X.astype(code).astype(float))
for code in ("i1", "u1", ">i2", "<u2", ">i4", "<u4", ">i8", "<u8"):
    typed(np.arange(18).reshape(6, 3).astype(code), 0, title=code, x=np.arange(18.0).reshape(6, 3))
typed(np.full((6, 3), 2**60, "i8"), 0, title="int64 that a double holds", x=np.full((6, 3), 2.0**60))
typed(np.full((6, 3), -2**63, "i8"), 0, title="the smallest int64", x=np.full((6, 3), -2.0**63))
typed(np.full((6, 3), 2**63, "u8"), 0, title="uint64 that a double holds", x=np.full((6, 3), 2.0**63))
typed(np.where(np.arange(18).reshape(6, 3) == 7, 2**53 + 1, 3).astype("i8"), 65, "row 2, column 1", "float64", title="2^53 + 1")
typed(np.full((6, 3), -2**53 - 1, "i8"), 65, "row 0, column 0", "float64", title="-2^53 - 1")
typed(np.full((6, 3), 2**64 - 1, "u8"), 65, "row 0, column 0", "float64", title="2^64 - 1")
typed(X.astype("g"), 0, title="long double that a double holds", x=X)
typed(X.astype("g") / 3, 65, "row 0, column 0", "float64", title="long double that none holds")
typed(X + 1j, 65, "complex", title="complex")
typed(X.astype([("real", "f8"), ("imag", "f8")]), 65, "complex", title="real, imag")
typed(X > 0, 65, "enumeration", "astype(float)", title="bool")
typed(np.full((6, 3), b"abc"), 65, "text", title="fixed strings")
typed(np.full((6, 3), "abc", h5py.string_dtype()), 65, "text", title="strings")
typed(np.zeros((6, 3), "V8"), 65, "opaque", title="opaque")
typed(np.zeros((6,), [("a", "f8", (3,))]), 65, "records", title="compound with an array")


@edit(65, "different lengths", title="type: ragged rows")
def _(f):
    del f["x"]
    d = f.create_dataset("x", (6, 1), dtype=h5py.vlen_dtype("f8"))
    for i in range(6):
        d[i, 0] = np.ones(i + 1)


@edit(65, "an array in every entry", title="type: array")
def _(f):
    del f["x"]
    f.create_dataset("x", (6, 1), dtype=np.dtype(("f8", (3,))))


def raw_type(title, make_type, code, *words, **wanted):
    @edit(code, *words, title="type: " + title, **wanted)
    def change(f):
        del f["x"]
        space = h5py.h5s.create_simple((6, 3))
        d = h5py.h5d.create(f.id, b"x", make_type(), space)
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, np.zeros((6, 3)), mtype=h5py.h5t.NATIVE_DOUBLE) if code == 0 else None


def bfloat16():
    t = h5py.h5t.IEEE_F32LE.copy()
    t.set_fields(15, 7, 8, 0, 7)
    t.set_size(2)
    t.set_ebias(127)
    return t


def quad():
    t = h5py.h5t.IEEE_F64LE.copy()
    t.set_size(16)
    t.set_precision(128)
    t.set_fields(127, 112, 15, 0, 112)
    t.set_ebias(16383)
    return t


raw_type("bfloat16", bfloat16, 0, x=np.zeros((6, 3)))
raw_type("quadruple", quad, 65, "128 bits")
raw_type("bit field", lambda: h5py.h5t.STD_B8LE, 65, "bit fields")
raw_type("time", lambda: h5py.h5t.UNIX_D32LE, 65, "dates")


@edit(65, "is a type, not a dataset", title="type: a named type")
def _(f):
    del f["x"]
    f["x"] = np.dtype("f8")


# ---- Shapes

def shaped(x, y, code, *words, **wanted):
    case(code, *words, name=f"shapes {np.shape(x)}, {np.shape(y)}", **wanted)(lambda path: plain(path, x, y))



shaped(X, Y[:, 0], 65, '"y" has 1 dimension;', "y.reshape(-1, 1)")
shaped(X[:, 0], Y, 65, '"x" has 1 dimension;')
shaped(X[:, :, None], Y, 65, "3 dimensions (6, 3, 1)", "x.reshape(6, -1)")
shaped(np.zeros((6, 2, 3, 4)), Y, 65, "4 dimensions (6, 2, 3, 4)", "x.reshape(6, -1)")
shaped(3.5, Y, 65, '"x" is one number')
shaped(h5py.Empty("f8"), Y, 65, "holds nothing")
shaped(X[:0], Y, 65, "shape (0, 3)")
shaped(X, Y[:, :0], 65, "shape (6, 0)")
shaped(X.T, Y, 65, '"x" has 3 rows, but "y" has 6', "transposed? MATLAB, Julia, R and Fortran")
shaped(X, Y.T, 65, '"x" has 6 rows, but "y" has 2', "transposed?")
shaped(X.T, Y.T, 65, "their columns agree", "transposed?")
shaped(X, Y[:5], 65, '"x" has 6 rows, but "y" has 5')
shaped(X[:1], Y[:1], 0)


@edit(65, "w_embed", "its rows agree", "transposed?", title="embedding stored columns first")
def _(f):
    f["w_embed"] = np.ones((3, 4))


@case(0, name="unlimited dimensions", x=X)
def _(path):
    with h5py.File(path, "w") as f:
        f.create_dataset("x", data=X, maxshape=(None, None), chunks=(4, 2))
        f.create_dataset("y", data=Y, maxshape=(None, 2))


# ---- Numbers that are not there

def stored(title, code, *words, base=plain, **wanted):
    def add(create):
        @edit(code, *words, title="storage: " + title, base=base, **wanted)
        def change(f):
            del f["x"]
            create(f)
    return add


def properties(layout=None, fill_time=None, alloc=None, fill=None, chunk=None, filters=()):
    p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if layout is not None:
        p.set_layout(layout)
    if chunk:
        p.set_chunk(chunk)
    if alloc is not None:
        p.set_alloc_time(alloc)
    if fill is not None:
        p.set_fill_value(np.array(fill))
    for number in filters:
        p.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (1, 2))
    return p


def low(f, p, data=None):
    d = h5py.h5d.create(f.id, b"x", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((6, 3)), p)
    if data is not None:
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, data)
    return d


def low_nbit(f):
    t = h5py.h5t.STD_I32LE.copy()
    t.set_precision(9)
    p = properties(chunk=(2, 3))
    p.set_nbit() if hasattr(p, "set_nbit") else p.set_filter(h5py.h5z.FILTER_NBIT, h5py.h5z.FLAG_OPTIONAL, ())
    d = h5py.h5d.create(f.id, b"x", t, h5py.h5s.create_simple((6, 3)), p)
    d.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(18, dtype="i4").reshape(6, 3))


NEVER = '"x" was created, but never'
stored("never written", 65, NEVER)(lambda f: f.create_dataset("x", (6, 3)))
stored("never written, compact", 0, x=np.zeros((6, 3)))(lambda f: low(f, properties(h5py.h5d.COMPACT)))
stored("never written, early", 0)(lambda f: low(f, properties(alloc=h5py.h5d.ALLOC_TIME_EARLY)))
stored("never written, early, fill value", 65, "HDF5 fill value")(
    lambda f: low(f, properties(alloc=h5py.h5d.ALLOC_TIME_EARLY, fill=9.969209968386869e+36)))
stored("never written, late", 65, NEVER)(lambda f: low(f, properties(alloc=h5py.h5d.ALLOC_TIME_LATE)))
stored("never written, incremental", 65, NEVER)(
    lambda f: low(f, properties(alloc=h5py.h5d.ALLOC_TIME_INCR, chunk=(2, 2))))
stored("chunks never written", 65, NEVER)(lambda f: f.create_dataset("x", (6, 3), chunks=(2, 2)))
stored("chunks never written, gzip", 65, NEVER)(lambda f: f.create_dataset("x", (6, 3), chunks=(2, 2), compression="gzip"))


@stored("chunks half written", 65, "never fully written", "row 4, column 0")
def _(f):
    f.create_dataset("x", (6, 3), chunks=(2, 3))[:4] = X[:4]


@stored("chunks written as far as wanted", 0, x=X[:4], extra=", samples: 4")
def _(f):
    f.create_dataset("x", (6, 3), "f8", chunks=(2, 3))[:4] = X[:4]


@stored("one chunk in the middle is missing", 65, "row 2, column 2")
def _(f):
    d = f.create_dataset("x", (6, 3), chunks=(2, 2))
    d[:, :2], d[:2, 2], d[4:, 2] = X[:, :2], X[:2, 2], X[4:, 2]


@stored("grown, but not written", 65, "never fully written")
def _(f):
    d = f.create_dataset("x", data=X[:2], maxshape=(None, 3), chunks=(2, 3))
    d.resize((6, 3))


@stored("fill value inside", 65, "row 5, column 0", "HDF5 fill value")
def _(f):
    d = f.create_dataset("x", (6, 3), fillvalue=-9999.0)
    d[:5] = X[:5]


stored("fill value of zero", 0, x=np.zeros((6, 3)))(lambda f: f.create_dataset("x", data=np.zeros((6, 3)), fillvalue=0.0))
stored("LZF", 65, "LZF (h5py)", "32000", "gzip")(lambda f: f.create_dataset("x", data=X, compression="lzf"))
stored("gzip, shuffle, checksum", 0, x=X)(
    lambda f: f.create_dataset("x", data=X, compression="gzip", shuffle=True, fletcher32=True))
stored("scale-offset", 0, x=np.arange(18.0).reshape(6, 3))(
    lambda f: f.create_dataset("x", data=np.arange(18).reshape(6, 3), scaleoffset=True))
for number, word in ((32001, "Blosc"), (32015, "Zstandard"), (32004, "LZ4"), (307, "bzip2"), (32013, "ZFP"), (31999, "unknown")):
    stored(f"filter {number}", 65, word, str(number), "h5repack")(
        lambda f, number=number: low(f, properties(chunk=(2, 3), filters=(number,)), X))


def external(f, path, size=6 * 3 * 8):
    p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    p.set_external(path.encode(), 0, size)
    low(f, p)


stored("external file is missing", 65, "missing.raw", "not there")(lambda f: external(f, "missing.raw"))


@stored("external file", 0, x=X)
def _(f):
    X.tofile("there.raw")
    external(f, "there.raw")


@stored("external file elsewhere", 0, x=X, environment={"HDF5_EXTFILE_PREFIX": "${ORIGIN}/sub"})
def _(f):
    os.mkdir("sub")
    X.tofile("sub/there.raw")
    external(f, "there.raw")


@stored("virtual, file elsewhere", 0, x=X, environment={"HDF5_VDS_PREFIX": "${ORIGIN}/sub"})
def _(f):
    os.mkdir("sub")
    plain("sub/part5.h5")
    virtual(f, [(slice(0, 6), "part5.h5", "x", 6)])


stored("szip", 0, x=X)(lambda f: f.create_dataset("x", data=X, compression="szip"))
stored("n-bit", 0, x=np.arange(18.0).reshape(6, 3))(low_nbit)


@stored("external file is short", 65, "short.raw", "too short")
def _(f):
    X[:3].tofile("short.raw")
    external(f, "short.raw")


def virtual(f, parts, shape=(6, 3)):
    layout = h5py.VirtualLayout(shape, "f8")
    for rows, file, name, length in parts:
        layout[rows] = h5py.VirtualSource(file, name, (length, 3))
    f.create_virtual_dataset("x", layout, fillvalue=0.0)


@stored("virtual", 0, x=X)
def _(f):
    with h5py.File("part.h5", "w") as g:
        g["a"], g["b"] = X[:3], X[3:]
    virtual(f, [(slice(0, 3), "part.h5", "a", 3), (slice(3, 6), "part.h5", "b", 3)])


@stored("virtual, in the same file", 0, x=X)
def _(f):
    f["a"] = X
    virtual(f, [(slice(0, 6), ".", "a", 6)])


stored("virtual, file is missing", 65, "gone.h5, which is not there")(lambda f: virtual(f, [(slice(0, 6), "gone.h5", "a", 6)]))


@stored("virtual, dataset is missing", 65, '"c" of part2.h5, which is not there')
def _(f):
    plain("part2.h5")
    virtual(f, [(slice(0, 6), "part2.h5", "c", 6)])


@stored("virtual, source is too small", 65, "takes more")
def _(f):
    plain("part3.h5")
    virtual(f, [(slice(0, 6), "part3.h5", "small", 6)])
    with h5py.File("part3.h5", "r+") as g:
        g["small"] = X[:2]


@stored("virtual, source never written", 65, "never written")
def _(f):
    with h5py.File("part4.h5", "w") as g:
        g.create_dataset("a", (6, 3))
    virtual(f, [(slice(0, 6), "part4.h5", "a", 6)])


stored("virtual, with a hole", 65, "sources for 9 of its 18")(
    lambda f: (f.create_dataset("a", data=X), virtual(f, [(slice(0, 3), ".", "a", 3)])))


@stored("soft link", 0, x=X)
def _(f):
    f["deep/a"] = X
    f["x"] = h5py.SoftLink("/deep/a")


@stored("soft link to nothing", 65, 'a link to "/deep/b", which is not there')
def _(f):
    f["x"] = h5py.SoftLink("/deep/b")


@stored("soft link to itself", 65, "a link to")
def _(f):
    f["x"] = h5py.SoftLink("/x")


@stored("external link", 0, x=X)
def _(f):
    with h5py.File("linked.h5", "w") as g:
        g["a"] = X
    f["x"] = h5py.ExternalLink("linked.h5", "/a")


@stored("external link to nothing", 65, '"/a" of the file lost.h5, which is not there')
def _(f):
    f["x"] = h5py.ExternalLink("lost.h5", "/a")


@stored("external link to a pipe", 65, '"/a" of the file pipe.h5, which is not there')
def _(f):
    os.mkfifo("pipe.h5")
    f["x"] = h5py.ExternalLink("pipe.h5", "/a")


@stored("control characters", 65, 'a link to "/a?[31mb?"')
def _(f):
    f["x"] = h5py.SoftLink("/a\x1b[31mb\n")


@edit(65, "class cell?[2J", title="control characters in a class")
def _(f):
    f["x"].attrs["MATLAB_class"] = np.bytes_("cell\x1b[2J")


@case(65, "is a dimension of the file", name="netCDF dimensions called x and y")
def _(path):
    xarray.Dataset({"data": (("x", "y"), X)}, {"x": np.arange(6.0), "y": np.arange(3.0)}).to_netcdf(path, engine="h5netcdf")


@case(65, "a result file of meanode", "problem_0000/x", name="a result file")
def _(path):
    with open("r.yaml", "w") as f:
        f.write(CONFIG.replace("kind: file, path: d.h5", "kind: gaussian, samples: 2, inputs: 1, targets: 1").format(extra="", D=2))
    assert meanode("run", "r.yaml", "-o", path)[0] == 0


@case(65, 'there is no dataset "x"', "the file is empty", name="nothing in it")
def _(path):
    h5py.File(path, "w").close()


@case(65, 'there is no dataset "x"', 'the file has "X", "Y"', name="other names")
def _(path):
    with h5py.File(path, "w") as f:
        f["X"], f["Y"] = X, Y


# ---- Files of other kinds, damaged files, files in use

def raw(title, data, *words, code=65, **wanted):
    def make(path):
        with open(path, "wb") as f:
            f.write(data)
    case(code, *words, name="kind: " + title, **wanted)(make)


def of(writer, suffix=""):
    path = os.path.join(tempfile.gettempdir(), f"meanode-kind-{os.getpid()}{suffix}")
    writer(path)
    with open(path, "rb") as f:
        data = f.read()
    os.unlink(path)
    return data


PLAIN = of(plain, ".h5")
LATEST = of(lambda p: plain(p, libver="latest"), ".h5")
NPZ = of(lambda p: np.savez(p, x=X, y=Y), ".npz")
raw("netCDF 1", b"CDF\1" + bytes(100), "netCDF", "classic", "nccopy")
raw("netCDF 2", b"CDF\2" + bytes(100), "64-bit offset")
raw("netCDF 5", b"CDF\5" + bytes(100), "64-bit data")
raw("MATLAB 5", b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(128) + bytes(8), "MATLAB file of version 5", "-v7.3")
raw("MATLAB 7.3, cut", b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512), "it was cut")
raw("npy", of(lambda p: np.save(p, X), ".npy"), ".npy", "h5py")
raw("npz", NPZ, ".npz")
raw("zip", b"PK\3\4" + bytes(50), "zip archive")
raw("torch", b"PK\3\4" + bytes(26) + b"archive/data.pkl" + bytes(20), "PyTorch")
raw("xlsx", b"PK\3\4" + bytes(26) + b"[Content_Types].xml", "Excel")
raw("gzip", gzip.compress(bytes(range(1, 100))), "gunzip")
raw("gzip of HDF5", gzip.compress(PLAIN), "compressed with gzip", "gunzip")
raw("gzip of gzip", gzip.compress(gzip.compress(b"1,2")), "gunzip")
raw("gzip that is cut", gzip.compress(bytes(range(1, 100)))[:12], "gunzip")
raw("CSV, gzip", gzip.compress(b"a,b\n1,2\n"), "CSV")
raw("RData", gzip.compress(b"RDX3\nX\n" + bytes(20)), "R data")
raw("rds", gzip.compress(b"X\n\0\0\0\3" + bytes(20)), ".rds")
raw("UTF-16", "a,b\n".encode("utf-16"), "UTF-16")
raw("safetensors", struct.pack("<Q", 2) + b"{}", "safetensors")
raw("ROOT", b"root\0\0\xf0", "ROOT")
raw("bzip2", b"BZh91AY&SY", "bunzip2")
raw("xz", b"\xfd7zXZ\0abc", "unxz")
raw("zstd", b"\x28\xb5\x2f\xfdabc", "unzstd")
raw("tar", bytes(257) + b"ustar" + bytes(250), "tar archive")
raw("parquet", b"PAR1" + bytes(20), "Parquet")
raw("arrow", b"ARROW1\0\0", "Arrow")
raw("pickle", pickle.dumps(X), "pickle")
raw("CSV", b"x1,x2,y\n1,2,3\n", "CSV")
raw("CSV with a byte order mark", b"\xef\xbb\xbfx1;x2\n1;2\n", "CSV")
raw("text", b"1 2 3\n4 5 6\n", "text")
raw("JSON", b'{"x": [[1, 2]]}', "JSON")
raw("git-lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs pointer", "git lfs pull")
raw("HTML", b"\n<!DOCTYPE html><html>", "HTML page")
raw("HTML, lower case", b"<html><head>", "HTML page")
raw("HDF4", b"\x0e\x03\x13\x01" + bytes(20), "HDF4")
raw("FITS", b"SIMPLE  =                    T", "FITS")
raw("SQLite", b"SQLite format 3\0", "SQLite")
raw("R data", b"RDX3\nX\n", "R data")
raw("empty", b"", "but empty")
raw("zeros", bytes(3000), "nothing but zeros")
raw("noise", bytes(range(1, 256)) * 9, "not an HDF5 file")
raw("cut in half", PLAIN[: len(PLAIN) // 2], "cut off")
raw("cut by a byte", PLAIN[:-1], "cut off")
raw("cut in half, latest format", LATEST[: len(LATEST) // 2], "cut off")
raw("nothing but a signature", PLAIN[:8], "damaged")
raw("newer superblock", LATEST[:8] + b"\x04" + LATEST[9:], "newer HDF5", "superblock version 4")
raw("zeros behind the superblock", PLAIN[:96] + bytes(len(PLAIN) - 96), "damaged")
raw("h5py", PLAIN, code=0, x=X, y=Y, note=False)
raw("latest format", LATEST, code=0, x=X, y=Y, note=False)
raw("user block", of(lambda p: plain(p, userblock_size=2048), ".h5"), code=0)
raw("marked as open for writing", LATEST[:11] + b"\1" + LATEST[12:], "still being written", "h5clear")
raw("marked as open for SWMR", LATEST[:11] + b"\5" + LATEST[12:], "still being written")



@case(65, "one of several files", name="kind: family")
def _(path):
    plain("part%d.h5", driver="family", memb_size=1000)
    os.rename("part0.h5", path)


@case(65, "family", name="kind: family, latest format")
def _(path):
    plain("part%d.h5", driver="family", memb_size=100000, libver="latest")
    os.rename("part0.h5", path)


case(65, "No such file", name="no file")(lambda p: None)
case(65, "a folder, not a file", name="folder")(os.mkdir)
case(65, "a pipe, not a file", name="pipe")(os.mkfifo)
case(65, "a device, not a file", name="device")(lambda p: os.symlink("/dev/null", p))
case(65, "a link to nowhere.h5, which is not there", name="dangling link")(lambda p: os.symlink("nowhere.h5", p))
case(65, "Too many levels of symbolic links", name="link to itself")(lambda p: os.symlink(os.path.basename(p), p))


@case(65, "a socket, not a file", name="socket")
def _(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)


if os.geteuid() != 0:
    @case(65, "cannot be opened: Permission denied", name="not readable")
    def _(path):
        plain(path)
        os.chmod(path, 0)
else:
    print("not tried as root: a file that may not be read")

kept = []


@case(65, "locked by another program", name="open for writing elsewhere")
def _(path):
    plain(path)
    kept.append(h5py.File(path, "r+"))


@case(65, "still being written", name="SWMR elsewhere")
def _(path):
    plain(path, libver="latest")
    f = h5py.File(path, "r+", libver="latest")
    f.swmr_mode = True
    kept.append(f)


@case(0, name="open for writing elsewhere, locking switched off", environment={"HDF5_USE_FILE_LOCKING": "FALSE"})
def _(path):
    plain(path)
    kept.append(h5py.File(path, "r+"))
    kept[-1].flush()


@case(0, name="open for reading elsewhere")
def _(path):
    plain(path)
    kept.append(h5py.File(path, "r"))


# ---- Running them

CONFIG = """data: {{kind: file, path: d.h5{extra}}}
model: {{D: {D}}}
training: {{steps: 1}}
limit: {{kind: none}}
sweep: {{L: 2, M: 2}}
"""


def meanode(*arguments, environment=None):
    done = subprocess.run([MEANODE, *arguments], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **(environment or {})})
    return done.returncode, done.stdout + done.stderr


def problems_of(c):
    """What is wrong with the program's answer to a case: a list of texts."""
    wrong = []
    c["make"]("d.h5")
    with open("a.yaml", "w") as f:
        f.write(CONFIG.format(**c))
    code, text = meanode("check", "a.yaml", environment=c["environment"])
    if code != c["code"]:
        return [f"exit code {code}, not {c['code']}: {text.strip()}"]
    wrong += [f"no {word!r} in: {text.strip()}" for word in c["words"] if word not in text]
    if "HDF5-DIAG" in text:
        wrong.append("HDF5's own messages are shown")
    if code:
        if not text.startswith("meanode check: a.yaml:1:26: d.h5: "):
            wrong.append(f"place and file are not named: {text}")
    elif c["note"] is False and "note: " in text:
        wrong.append(f"a note: {text}")
    elif c["note"] and not any("note: " in line and c["note"] in line for line in text.splitlines()):
        wrong.append(f"no note of {c['note']!r} in: {text}")
    if code == 0 and not wrong and (c["x"] is not None or c["y"] is not None):
        code, text = meanode("run", "a.yaml", "-o", "out.h5", "--progress", "none", environment=c["environment"])
        if code not in (0, 3):
            return [f"run: exit code {code}: {text}"]
        with h5py.File("out.h5") as f:
            for name in "xy":
                if c[name] is not None and not np.array_equal(f["problem_0000"][name][:], c[name]):
                    wrong.append(f"{name} is {f['problem_0000'][name][:]}, not {c[name]}")
    return wrong


failed = 0
with tempfile.TemporaryDirectory() as folder:
    for number, c in enumerate(cases):
        place = os.path.join(folder, str(number))
        os.mkdir(place)
        os.chdir(place)
        wrong = problems_of(c)
        failed += bool(wrong)
        for text in wrong:
            print(f"{c['title']}: {text}")
    os.chdir("/")
    for f in kept:
        f.close()
print(f"{len(cases)} files, {failed} answered wrongly")
sys.exit(failed != 0)
