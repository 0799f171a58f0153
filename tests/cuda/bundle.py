#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The bundle for a machine without compilers: bundle.py SOURCES FOLDER. Everything is in it that the machine lacks, nothing that
belongs to the machine, and its programs find their libraries in it."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

OF_THE_MACHINE = r"(libc|libm|libdl|librt|libpthread|libresolv|libnsl|libutil|ld-linux.*|libstdc\+\+|libgcc_s|libz|libcuda|libcublas.*)\.so.*"


def main():
    sources, folder = map(pathlib.Path, sys.argv[1:])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bundle = folder / "bundle.tar.gz"
    subprocess.run([sources / "bench/gpu.sh", "--pack", bundle], check=True)
    with tarfile.open(bundle) as tar:
        assert {name.split("/")[0] for name in tar.getnames()} == {"meanode-gpu"}
        tar.extractall(folder)
    top = folder / "meanode-gpu"
    assert {p.name for p in (top / "gpu").iterdir()} == {p.name for p in (sources / "bench/gpu").glob("*.py")}
    libraries = {p.name for p in (top / "lib").iterdir()}
    assert not [name for name in libraries if re.fullmatch(OF_THE_MACHINE, name)], libraries
    environment = {key: value for key, value in os.environ.items() if key not in ("LD_LIBRARY_PATH", "BUILD", "OUT")}
    programs = list((top / "bin").iterdir())
    assert len(programs) >= 4, programs
    for program in programs:
        own = environment if b"$ORIGIN/../lib" in program.read_bytes() else environment | {"LD_LIBRARY_PATH": str(top / "lib")}
        said = subprocess.run(["ldd", program], env=own, check=True, stdout=subprocess.PIPE, text=True).stdout
        found = dict(re.findall(r"(\S+) => (\S+|not found)", said))
        for name, path in found.items():
            where = "lib of the bundle" if path.startswith(str(folder)) else "machine"
            assert where == ("machine" if re.fullmatch(OF_THE_MACHINE, name) else "lib of the bundle"), (program.name, name, path)
    assert "gpu.sh" in subprocess.run([top / "gpu.sh", "--help"], env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(f"{len(programs)} programs, {len(libraries)} libraries, {bundle.stat().st_size / 2**20:.0f} MiB")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
