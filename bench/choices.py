#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What constants of the program trade: the same work with other values of them, in turn; the tables of results/choices.md.

    bench/choices.py FOLDER            all of it; copies of the sources and their builds stay in FOLDER
    bench/choices.py FOLDER NAME...    some of it (bench/choices.py --list names them)

Each value is written into a copy of the source, which is built. The programs then run in turn, TURNS times; a column is the
median of its ratios to the tree's own value in the same turn, so that what else the machine does cancels. Results' bits hang
on all but the store's: none is to be changed for a few per cent.
"""
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TURNS = int(os.environ.get("TURNS", "5"))
COPIED = ["CMakeLists.txt", "CMakePresets.json", "LICENSE", "bench", "cuda", "data", "host", "include", "tests"]


class Choice:
    """A constant: the text of the sources that is replaced, what replaces it, the arguments of the program that is timed."""

    def __init__(self, program, text, values, cases, about):
        self.program, self.text, self.values, self.cases, self.about = program, text, values, cases, about


def kernels(*shapes, precisions=("f64", "f32")):
    """Arguments of bench_cpu for (D, M, L, N[, K])."""
    return [" ".join(map(str, (p, *shape))) for shape in shapes for p in precisions]


def limits(*cases):
    """Arguments of bench_limit for (D, activation, tolerance)."""
    return [" ".join(map(str, ("one", *case))) for case in cases]


SMOOTH = limits((4, "tanh", 1e-3), (4, "tanh", 1e-4), (8, "tanh", 1e-3), (16, "tanh", 1e-3), (8, "gelu", 1e-3))
CHOICES = {
    "rebuild-units": Choice(
        "bench_cpu", "REBUILD_M = 12", ["REBUILD_M = 0", "REBUILD_M = 1 << 20"],
        kernels((8, 2, 4000, 10), (8, 4, 4000, 10), (8, 8, 2000, 10), (8, 12, 2000, 10), (8, 15, 2000, 10),
                (32, 8, 1000, 10)),
        "States are rebuilt up to that many units a layer; 0: never."),
    "rebuild-bytes": Choice(
        "bench_cpu", "REBUILD_BYTES = 1 << 22", ["REBUILD_BYTES = 0", "REBUILD_BYTES = 1 << 30"],
        kernels((8, 4, 100, 10), (8, 4, 400, 10), (8, 4, 1600, 10), (8, 4, 6400, 10)),
        "States are rebuilt where those of all layers, and the weights, take more; `1 << 30`: never here."),
    "state-bytes": Choice(
        "bench_cpu", "STATE_BYTES = 1 << 28", ["STATE_BYTES = 1 << 20"],
        kernels((8, 16, 2000, 10, 6), (32, 32, 2000, 10, 6), (64, 64, 500, 64, 6), precisions=["f64"]),
        "Beyond it layers run forward twice."),
    "small-units": Choice(
        "bench_cpu", "M < 16 || D * M <= 128;", ["M < 8 || D * M <= 128;", "M < 24 || D * M <= 128;"],
        kernels((32, 8, 100, 10), (32, 12, 100, 10), (32, 15, 100, 10), (32, 16, 100, 10), (32, 20, 100, 10),
                (128, 12, 25, 10), (128, 16, 25, 10)),
        "Seeds on lanes below so many units, units on lanes from there on."),
    "small-weights": Choice(
        "bench_cpu", "D * M <= 128;", ["D * M <= 0;", "D * M <= 512;"],
        kernels((4, 16, 200, 10), (4, 32, 200, 10), (8, 16, 200, 10), (8, 32, 200, 10), (16, 32, 200, 10)),
        "The same by the weights of a layer."),
    "many-samples": Choice(
        "bench_cpu", "small ? 48 : 16", ["small ? 16 : 8", "1 << 20"],
        kernels((8, 16, 100, 16), (8, 16, 100, 32), (8, 16, 100, 48), (16, 64, 50, 8), (16, 64, 50, 16), (16, 64, 50, 32),
                (64, 256, 10, 16)),
        "Samples on lanes from so many samples on, where the others would be seeds or units; `1 << 20`: never."),
    "filled-lanes": Choice(
        "bench_cpu", "8 * N >= 7 * padded", ["true", "N == padded"],
        kernels((16, 64, 50, 18), (16, 64, 50, 20), (16, 64, 50, 22), (16, 64, 50, 28), (16, 64, 50, 30)),
        "Samples on lanes where 7/8 of its lanes hold samples."),
    "fixed-cost": Choice("bench_limit", "FIXED_COST = 4096", ["FIXED_COST = 0", "FIXED_COST = 16384"], SMOOTH,
                       "What a randomisation costs besides its particles, in particles."),
    "assumed-order": Choice("bench_limit", "assumed_order = 0.6;", ["assumed_order = 0.5;", "assumed_order = 0.8;"], SMOOTH,
                    "The error falls like particles to its power."),
    "first-particles": Choice("bench_limit", "FIRST_PARTICLES = 1024", ["FIRST_PARTICLES = 256", "FIRST_PARTICLES = 4096"],
                              SMOOTH, "Of the first ensembles."),
    "pilot-particles": Choice("bench_limit", " PILOT_PARTICLES = 512", [" PILOT_PARTICLES = 128", " PILOT_PARTICLES = 2048"],
                              SMOOTH, "Of the ensemble that finds the number of nodes."),
    "depth-share": Choice("bench_limit", "depth_share = 0.3;", ["depth_share = 0.1;", "depth_share = 0.5;"], SMOOTH,
                          "Of the tolerance, for the depth scheme."),
    "solver-share": Choice("bench_limit", "solver_share = 0.01;", ["solver_share = 0.1;", "solver_share = 0.001;"], SMOOTH,
                           "Of the tolerance, for the collocation equations."),
    "coarse-particles": Choice("bench_limit", "(r < 8 ? 32 : 4 * r)", ["(r < 8 ? 8 : r)", "(r < 8 ? 128 : 16 * r)"],
                               SMOOTH, "The coarse ensemble, on which Newton's method works, has one particle for so many."),
    "measure-every": Choice("bench_limit", "MEASURE_EVERY = 5", ["MEASURE_EVERY = 2", "MEASURE_EVERY = 15"],
                            SMOOTH, "Steps between two measurements of what the corrections contract by."),
    "pass-tile": Choice("bench_limit", "enum { TILE = 4,", ["enum { TILE = 2,", "enum { TILE = 8,"], SMOOTH[2:4],
                        "Vectors of particles in the register tile of a pass, times two samples."),
    "pass-chunk": Choice("bench_limit", "CHUNK = 16 };", ["CHUNK = 4 };", "CHUNK = 64 };"], SMOOTH[2:4],
                         "Tiles whose sums are added up before they go to the sum of all."),
    "write": Choice("bench_store", "FULL = 4 << 20, WRITE = 1 << 20",
                    ["FULL = 1 << 20, WRITE = 1 << 16", "FULL = 64 << 20, WRITE = 16 << 20"],
                    ["100000 20 4 all f64 1", "10000 80 16 all f64 1"], "Bytes that wait, and bytes of a write."),
    "add": Choice("bench_store", "ADD = 32 << 20", ["ADD = 4 << 20", "ADD = 256 << 20"],
                  ["100000 20 4 all f64 1", "10000 80 16 all f64 1"], "Bytes that are brought into the file at once."),
}


def source(folder):
    """A copy of the sources that is built in FOLDER; its path."""
    copy = folder / "source"
    if not copy.exists():
        copy.mkdir()
        for name in COPIED:
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, copy / name)
        launcher = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        subprocess.run(["cmake", "-G", "Ninja", "-S", copy, "-B", copy / "build", "-DCMAKE_BUILD_TYPE=Release",
                        "-DBUILD_TESTING=OFF", "-DMEANODE_BENCH=ON", "-DMEANODE_CUDA=OFF", "-DMEANODE_MPI=OFF", *launcher],
                       check=True, stdout=subprocess.DEVNULL)
    return copy


def place_of(copy, text):
    """The only file of the sources that has the text."""
    found = [path for path in (copy / "host").rglob("*.[ch]") if text in path.read_text()]
    if len(found) != 1 or found[0].read_text().count(text) != 1:
        sys.exit(f"{text!r} is not at one place of the sources")
    return found[0]


def build(folder, program, text, value):
    """The program with the value in place of the text; its path."""
    copy = source(folder)
    target = folder / re.sub(r"\W+", "_", program if value == text else f"{program} {value}").strip("_")
    if target.exists():
        return target
    place = place_of(copy, text)
    original = place.read_text()
    try:
        place.write_text(original.replace(text, value))
        subprocess.run(["cmake", "--build", copy / "build", "-j2", "--target", program], check=True,
                       stdout=subprocess.DEVNULL)
        shutil.copy(copy / "build" / program, target)
    finally:
        place.write_text(original)
    return target


def measure(folder, program, binary, case):
    """Milliseconds of a step, seconds of a limit or of a stored run, all processor time; and what else it says."""
    arguments = case.split()
    if program == "bench_cpu":
        arguments += ["15"] * (len(arguments) < 6) + ["auto", "auto", "1", "0.2"]
    if program == "bench_store":
        arguments = [str(folder / "store.h5"), *arguments]
    output = subprocess.run([binary, *arguments], check=True, capture_output=True, text=True).stdout
    if program == "bench_cpu":
        found = re.search(r"(seeds|units|samples) D .* ([\d.]+) ms per step", output)
        return float(found[2]), found[1]
    if program == "bench_limit":
        seconds, about = output.split(maxsplit=1)
        return float(seconds), about.strip()
    cells = [cell.strip() for cell in output.strip().splitlines()[-1].strip("|").split("|")]
    return float(cells[10]), f"{cells[13]} MiB"


def table(folder, name):
    choice = CHOICES[name]
    values = [choice.text, *choice.values]
    binaries = [build(folder, choice.program, choice.text, value) for value in values]
    unit = {"bench_cpu": "ms", "bench_limit": "s", "bench_store": "s"}[choice.program]
    labels = ["`" + value.strip(" ;").replace("|", "\\|") + "`" for value in values]
    place = place_of(source(folder), choice.text).name
    print(f"\n### {name}: {place}\n\n{choice.about}\n")
    print(f"| {choice.program} | " + " | ".join(labels) + " |\n|" + "---|" * (len(values) + 1))
    for case in choice.cases:
        turns = [[measure(folder, choice.program, binary, case) for binary in binaries] for _ in range(TURNS)]
        best = min(turn[0][0] for turn in turns)
        cells = [f"{best:.4g} {unit}" + (f", {turns[0][0][1]}" if turns[0][0][1] else "")]
        for i in range(1, len(binaries)):
            ratio = statistics.median(turn[i][0] / turn[0][0] for turn in turns)
            said = turns[0][i][1]
            cells.append(f"{ratio:.2f}" + (f", {said}" if said != turns[0][0][1] else ""))
        print(f"| {case} | " + " | ".join(cells) + " |", flush=True)


def main():
    arguments = sys.argv[1:]
    if arguments == ["--list"]:
        return print("\n".join(CHOICES))
    if not arguments or not set(arguments[1:]) <= set(CHOICES):
        sys.exit(__doc__)
    folder = Path(arguments[0]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name in arguments[1:] or CHOICES:
        table(folder, name)


if __name__ == "__main__":
    main()
