# SPDX-License-Identifier: BSD-3-Clause
"""Golden bits: runs the sweeps of sweeps.py with every instruction set in both precisions, hashes all that the result files
hold, and compares with golden.csv. A row is an array of a sweep (over all problems and weights), a column what it ran with,
"=" the same as the first; "format" hashes the names, types, shapes and attributes of all objects of the file, "fit" what
meanode fit says about it.

  guard.py                       compares; exit code 1 names what differs, 77: nothing can be compared here
  guard.py --write               writes golden.csv again: only where bits are meant to change
  guard.py --against BINARY      runs another meanode as well, and shows the numbers that differ

The binary is the one that the variable MEANODE names. The bits depend on the compiler and on the C library's functions, so
that golden.csv is for one toolchain (its first lines); instruction sets that are missing here are left out.
"""

import argparse
import concurrent.futures
import csv
import ctypes
import hashlib
import json
import os
import pathlib
import platform
import re
import struct
import subprocess
import sys
import tempfile

import h5py
import numpy as np

import sweeps

GOLDEN = pathlib.Path(__file__).with_name("golden.csv")
COLUMNS = [(isa, precision) for isa in ("portable", "avx2", "avx512") for precision in ("f32", "f64")]
SKIPPED = 77
# Attributes and variables that tell runs, machines and versions apart.
VARIES = {"source", "history", "device", "seconds", "data_source", "data_taken_from"}


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


# ---- What the bits depend on besides the program


def toolchain(binary):
    """Compiler and build type of the binary, libraries, and a hash of values of the functions that the program calls. (The
    C library has several of each, and takes one by the processor.)"""
    info = subprocess.run([binary, "info"], capture_output=True, text=True, check=True).stdout
    libm = ctypes.CDLL("libm.so.6")
    points = [(i - 500) / 37 + 1 / (i + 3) for i in range(1000)]
    values = []
    for name in ("exp", "sin", "cos", "tanh", "erf", "erfc", "cosh", "log", "log1p", "acos", "asin"):
        function = getattr(libm, name)
        function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double]
        if name.startswith("log"):
            values += (function(abs(x)) for x in points)
        else:
            values += (function(x / 15 if name.startswith("a") else x) for x in points)
    for name in ("pow", "hypot"):
        function = getattr(libm, name)
        function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * 2
        values += (function(abs(x), 0.1 * x) for x in points)
    loaded = subprocess.run(["ldd", binary], capture_output=True, text=True).stdout
    gsl = re.search(r"libgsl\.so\S* => (\S+)", loaded)
    return {
        "build": re.search(r"^build: (.*)$", info, re.M)[1],
        "libc": " ".join(platform.libc_ver()),
        "libm": digest(struct.pack(f"<{len(values)}d", *values)),
        "gsl": pathlib.Path(gsl[1]).resolve().name if gsl else "linked in",
    }


def present(binary, isa):
    environment = os.environ | {"MEANODE_ISA": isa}
    done = subprocess.run([binary, "info"], capture_output=True, text=True, check=True, env=environment)
    return "no such instruction set" not in done.stdout


# ---- Running


def write_data(path):
    """Inputs, probabilities as targets, and embeddings: numbers that are exact whatever computes them."""
    with h5py.File(path, "w") as file:
        file["x"] = (np.arange(24).reshape(6, 4) * 7 % 11 - 5) / 4
        file["y"] = np.eye(3)[np.arange(6) * 2 % 3] / 2 + np.array([1, 0, 1]) / 4
        file["w_embed"] = (np.arange(20).reshape(5, 4) * 5 % 9 - 4) / 8
        file["w_unembed"] = (np.arange(15).reshape(5, 3) * 4 % 7 - 3) / 2


def run(binary, folder, sweep, isa, precision, threads):
    """The path of a new result file, and the program's exit code."""
    place = folder / f"{sweep}-{isa}-{precision}"
    place.mkdir(parents=True)
    (place / "sweep.yaml").write_text(json.dumps(sweeps.configuration(sweep)))  # JSON is YAML
    write_data(place / "data.h5")
    done = subprocess.run(
        [binary, "run", "sweep.yaml", "-o", "out.h5", "--backend", "cpu", "--precision", precision,
         "--threads", str(threads), "--progress", "none"],
        cwd=place, capture_output=True, text=True, timeout=600, env=os.environ | {"MEANODE_ISA": isa})
    if not (place / "out.h5").exists():
        raise RuntimeError(f"{sweep} with {isa}, {precision}: exit code {done.returncode}\n{done.stderr}")
    return place / "out.h5", done.returncode


# ---- Reading


def raw(dataset):
    value = dataset[()]
    if isinstance(value, bytes):
        return value
    if value.dtype.kind == "f":  # which NaN it is is no promise
        value = np.where(np.isnan(value), np.array(np.nan, value.dtype), value)
    return value.tobytes()


def plain(file, name, value):
    """An attribute without addresses within the file."""
    if name == "DIMENSION_LIST":
        return [[file[reference].name for reference in axis] for axis in value]
    if isinstance(value, np.ndarray):
        return [value.dtype.str, value.tolist()]
    return [value.dtype.str, value.item()] if isinstance(value, np.generic) else value


def describe(file, item):
    """One object in one line. REFERENCE_LIST, the inverse of DIMENSION_LIST, and what varies are there by name only."""
    attributes = [[name, None if name in VARIES or name == "REFERENCE_LIST" else plain(file, name, item.attrs[name])]
                  for name in sorted(item.attrs)]
    own = []
    if isinstance(item, h5py.Dataset):
        fill = None if item.dtype.hasobject else item.fillvalue  # of texts h5py crashes on it
        own = [item.dtype.str, item.shape, item.maxshape, item.chunks, item.compression, repr(fill)]
    return repr([item.name, own, attributes])


def objects(file):
    found = [file]
    file.visititems(lambda name, item: found.append(item))
    return sorted(found, key=lambda item: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", item.name)])


def is_array(item):
    """Not a dimension without values."""
    return isinstance(item, h5py.Dataset) and not item.attrs.get("NAME", b"").startswith(b"This is a netCDF dimension")


def hashes(path):
    """Hash by array: those of all problems, and of all weights, make one."""
    arrays, lines = {}, []
    with h5py.File(path, "r") as file:
        for item in objects(file):
            lines.append(describe(file, item))
            name = re.sub(r"^/(problem)_\d+|(weights)/\d+", r"\1\2", item.name).lstrip("/")
            if is_array(item) and name not in VARIES:
                arrays.setdefault(name, hashlib.sha256()).update(raw(item))
    found = {name: value.hexdigest()[:16] for name, value in arrays.items()}
    found["format"] = digest("\n".join(lines).encode())
    return found


def measure(binary, folder, sweep, isa, precision, threads):
    path, code = run(binary, folder, sweep, isa, precision, threads)
    found = hashes(path)
    fit = subprocess.run([binary, "fit", "--json", path], capture_output=True, timeout=600)
    return found | {"exit": str(code), "fit": digest(fit.stdout + bytes([fit.returncode]))}


# ---- Comparing


def read_golden():
    with GOLDEN.open(newline="") as file:
        lines = file.read().splitlines()
    about = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    golden, columns = {}, ["-".join(column) for column in COLUMNS]
    for row in csv.DictReader(line for line in lines if not line.startswith("# ")):
        first = row[columns[0]]
        golden[row["sweep"], row["array"]] = {column: first if row[column] == "=" else row[column] for column in columns}
    return about, golden


def write_golden(about, rows):
    columns = ["-".join(column) for column in COLUMNS]
    with GOLDEN.open("w", newline="") as file:
        file.writelines(f"# {key}: {value}\n" for key, value in about.items())
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["sweep", "array", *columns])
        for (sweep, array), row in rows.items():
            first, *others = (row.get(column, "") for column in columns)
            table.writerow([sweep, array, first, *("=" if other == first else other for other in others)])


def objections(golden, rows, names, columns):
    """What differs, and what is missing on either side: one line per array."""
    keys = [key for key in golden if key[0] in names] + [key for key in rows if key not in golden]
    found = []
    for key in keys:
        bad = [c for c in columns if golden.get(key, {}).get(c, "") != rows.get(key, {}).get(c, "")]
        if bad:
            why = "is new" if key not in golden else "is gone" if key not in rows else "differs"
            found.append(f"{key[0]}: {key[1]} {why} ({', '.join(bad)})")
    return found


def show(ours, theirs):
    """The numbers of two result files that are not the same; theirs are the reference."""
    with h5py.File(ours, "r") as a, h5py.File(theirs, "r") as b:
        mine, other = ({item.name: item for item in objects(file)} for file in (a, b))
        for name in [*mine, *(name for name in other if name not in mine)]:
            if name not in mine or name not in other:
                print(f"  {name} only in the {'new' if name in mine else 'old'} file")
                continue
            x, y = mine[name], other[name]
            for new, old in zip(describe(a, x).split(", ["), describe(b, y).split(", [")):
                if new != old:
                    print(f"  {name}: [{new} was [{old}")
            if not is_array(x) or name.strip("/") in VARIES or raw(x) == raw(y):
                continue
            if x.shape != y.shape or not x.shape:
                print(f"  {name} differs")
                continue
            x, y = x[()], y[()]
            where = np.argwhere((x != y) & ((x == x) | (y == y)))
            first = tuple(map(int, where[0]))
            print(f"  {name}: {len(where)} of {x.size} differ, the first at {list(first)}: {x[first]!r}, was {y[first]!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write golden.csv again")
    parser.add_argument("--only", nargs="+", metavar="SWEEP", choices=sweeps.SWEEPS, help="these sweeps only")
    parser.add_argument("--threads", type=int, default=2, help="threads of every run; the bits must not depend on them")
    parser.add_argument("--against", metavar="BINARY", help="another meanode: show where the result files differ")
    options = parser.parse_args()
    binary = str(pathlib.Path(os.environ["MEANODE"]).absolute())
    names = options.only or list(sweeps.SWEEPS)
    about = toolchain(binary)
    golden_about, golden = ({}, {}) if options.write else read_golden()
    if not options.write and not options.against and about != golden_about:
        for key in about:
            if about[key] != golden_about.get(key):
                print(f"skipped: golden.csv was made with {key} {golden_about.get(key)}, here it is {about[key]}")
        return SKIPPED
    columns = [(isa, precision) for isa, precision in COLUMNS if present(binary, isa)]
    if options.write and (columns != COLUMNS or options.only):
        sys.exit("golden.csv is written whole: every sweep, every instruction set (-DMEANODE_ISAS=all, AVX-512)")
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ProcessPoolExecutor(cores) as pool:
        folder = pathlib.Path(folder)
        if options.against:
            other = str(pathlib.Path(options.against).absolute())
            for sweep in names:
                for isa, precision in columns:
                    pair = [run(which, folder / side, sweep, isa, precision, options.threads)[0]
                            for which, side in ((binary, "new"), (other, "old")) if which == binary or present(other, isa)]
                    if len(pair) == 2:
                        print(f"{sweep}, {isa}-{precision}")
                        show(*pair)
            return 0
        jobs = {(sweep, column): pool.submit(measure, binary, folder, sweep, *column, options.threads)
                for sweep in names for column in columns}
        rows = {}
        for (sweep, column), job in jobs.items():
            for array, value in job.result().items():
                rows.setdefault((sweep, array), {})["-".join(column)] = value
    if options.write:
        write_golden(about, rows)
        return 0
    compared = ["-".join(column) for column in columns]
    found = objections(golden, rows, names, compared)
    print(f"{sum(map(len, rows.values()))} hashes of {len(names)} sweeps compared; columns {', '.join(compared)}")
    for isa in dict.fromkeys(isa for isa, _ in COLUMNS if (isa, "f64") not in columns):
        print(f"left out: {isa}, which this processor or build lacks")
    if found:
        print("\n".join(found))
        print(f"see the numbers: MEANODE={binary} {sys.executable} {__file__} "
              f"--only {' '.join(dict.fromkeys(line.split(':')[0] for line in found))} --against BINARY-OF-BEFORE")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
