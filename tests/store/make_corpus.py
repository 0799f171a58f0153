# SPDX-License-Identifier: BSD-3-Clause
"""Writes seeds of fuzz_result: a small result file, rewritten by other programs, behind a byte 0. Usage: make_corpus.py MEANODE FOLDER"""
import os
import subprocess
import sys
import tempfile

import h5py
import xarray

meanode, folder = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
os.chdir(tempfile.mkdtemp())
with open("a.yaml", "w") as f:
    f.write("data: {kind: gaussian, samples: 1, inputs: 1, targets: 1}\nmodel: {D: 1}\ntraining: {steps: 1}\n"
            "limit: {kind: none}\nsweep: {L: 2, M: 1, seeds: 2}\n")
subprocess.run([meanode, "run", "a.yaml", "-o", "a.h5", "--progress", "none"], check=True)


SCALES = ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_nc3_strict")


def copied(path, **options):
    with h5py.File("a.h5") as old, h5py.File(path, "w", **options) as new:
        new.attrs.update(old.attrs)

        def copy(name, item):
            made = new.create_group(name) if isinstance(item, h5py.Group) else new.create_dataset(name, data=item[()])
            made.attrs.update({key: value for key, value in item.attrs.items() if key not in SCALES})
        old.visititems(copy)  # without dimension scales: HDF5 1.10 crashes when it copies their references


copied("h5py.h5")
copied("h5py_latest.h5", libver="latest")
subprocess.run(["h5repack", "a.h5", "h5repack.h5"], check=True)
with xarray.open_dataset("a.h5", engine="h5netcdf") as table:
    table.to_netcdf("xarray.h5", engine="h5netcdf")
with xarray.open_dataset("a.h5", engine="h5netcdf", group="problem_0000") as runs:
    runs.to_netcdf("xarray.h5", engine="h5netcdf", group="problem_0000", mode="a")
for name in ("h5py", "h5py_latest", "h5repack", "xarray"):
    with open(name + ".h5", "rb") as f:
        data = f.read()
    with open(os.path.join(folder, "file_" + name), "wb") as f:
        f.write(b"\0" + data)
    print(name, len(data), subprocess.run([meanode, "status", name + ".h5"], capture_output=True, text=True))
