#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Whole commands on a card against the same on the CPU: how long they take, and whether the files say the same.

commands.py --meanode PROGRAM --work FOLDER STAGE...

start   the smallest sweep: what starting costs
sweep   100 000 networks of D = 8, M = 16, L = 200, 15 steps, in f32
limits  the limits of a small sweep, within their error bars
mixed   many shapes in one sweep; killed, interrupted and resumed
kills   100 000 small networks, killed at several moments and resumed

Rows of JSON on stdout, each as soon as it is known: {"command": ...} and {"check": ...}. What goes wrong is a check that did
not pass, and never ends the rest. --backend-of-card cpu --small tries all of it without a card."""
import argparse
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np

CORES = len(os.sched_getaffinity(0))
PATIENCE = {"start": 25, "sweep": 110, "limits": 55, "mixed": 55, "kills": 55}  # seconds of a stage

DATA = "data: {kind: gaussian, samples: 10, inputs: 5, targets: 5, seed: 1}\n"
START = """model: {{D: 4}}
training: {{steps: 1}}
limit: {{kind: none}}
sweep: {{L: [2], M: [2], seeds: 2}}
"""
SWEEP = """model: {{D: 8}}
training: {{steps: {steps}}}
limit: {{kind: none}}
sweep: {{L: [200], M: [16], seeds: {count}}}
record: {{steps: [{steps}]}}
"""
LIMITS = """model: {{D: 8}}
training: {{steps: {steps}}}
limit: {{kind: [mean-ode, tangent-ode, largest], tolerance: {tolerance}}}
sweep: {{L: [8, 16], M: [4], seeds: 8}}
record: {{embedding: true}}
"""
# Small rates: at a rate of 1 some of the least networks are unstable, and double what rounding is with every step.
MIXED = """model: {{D: {D}}}
training: {{steps: 5, eta_u: 0.25, eta_v: 0.25}}
limit: {{kind: none}}
sweep: {{L: {L}, M: {M}, seeds: 4}}
record: {{embedding: true, weights: final}}
"""
KILLS = """model: {{D: 4}}
training: {{steps: 5}}
limit: {{kind: none}}
sweep: {{L: [20], M: [4], seeds: {count}}}
record: {{steps: [5]}}
"""


def say(**row):
    print(json.dumps(row), flush=True)


def check(name, passed, detail):
    say(check=name, passed=bool(passed), detail=" ".join(str(detail).split())[:400])
    return passed


class Failed(Exception):
    """A command that did not do what it should; the message names it."""


class Ended:
    """How a command ended: exit code (negative: signal), seconds by the clock, of the processors, what it said."""

    def __init__(self, process, code, seconds, usage, said, stopped):
        self.process, self.code, self.seconds, self.said, self.stopped = process, code, seconds, said, stopped
        self.user, self.system = usage.ru_utime, usage.ru_stime

    def there(self):
        """How many instances a resumed run found done."""
        words = self.said.split()
        return next((int(words[i - 1]) for i, word in enumerate(words) if i and word == "were" and words[i - 1].isdigit()), 0)

    def summary(self):
        """What the program says of a finished run, without the name of the file."""
        return next((line.split(": ", 1)[-1] for line in self.said.splitlines() if "instances computed" in line), "")

    def last(self):
        lines = [line for line in self.said.splitlines() if line.strip()]
        return lines[-1].strip() if lines else "no message"


class Laboratory:
    """The program, a folder for its files, and the time that is left to a stage."""

    def __init__(self, arguments):
        self.meanode, self.card, self.small = arguments.meanode, arguments.backend_of_card, arguments.small
        self.work = pathlib.Path(arguments.work) / "commands"
        self.deadline = 0

    def begin(self, seconds):
        self.deadline = time.monotonic() + seconds
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True, exist_ok=True)

    def left(self):
        return self.deadline - time.monotonic()

    def config(self, name, text, **values):
        path = self.work / f"{name}.yaml"
        path.write_text(DATA + text.format(**values))
        return path

    def run(self, config, output, backend, *options, precision="f64", at_most=1e9, send=None, when=None):
        """Runs a sweep. When its time is up it gets a SIGTERM, which saves; `send` is for it once when(seconds) says so."""
        seconds = min(at_most, self.left())
        if seconds < 1:
            raise Failed(f"no time left for {output}")
        command = [self.meanode, "run", config, "-o", self.work / output, "--backend", backend, "--precision", precision,
                   "--progress", "none", *options]
        stopped = False
        with open(self.work / "said", "w+") as said:
            start = time.perf_counter()
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            try:
                while True:
                    done, status, usage = os.wait4(process.pid, os.WNOHANG)
                    took = time.perf_counter() - start
                    if done:
                        break
                    if send and when(took):
                        process.send_signal(send)
                        send = None
                    if took > seconds and not stopped:
                        process.terminate()
                        stopped = True
                    elif took > seconds + 10:
                        process.kill()
                    time.sleep(0.001 if took < 2 else 0.005)
                process.returncode = os.waitstatus_to_exitcode(status)
            finally:
                if process.returncode is None:  # this program is being ended
                    process.kill()
                    process.wait()
            said.seek(0)
            return Ended(process, process.returncode, took, usage, said.read(), stopped)

    def must(self, *arguments, **options):
        """A run that has to be finished without divergence."""
        ended = self.run(*arguments, **options)
        if ended.code != 0:
            why = "took too long, " if ended.stopped else ""
            raise Failed(f"{why}exit code {ended.code} of the run into {arguments[1]}: {ended.last()}")
        return ended

    def path(self, output):
        return self.work / output


def timed(name, backend, threads, instances, ended, detail=""):
    say(command=name, backend=backend, threads=threads, instances=instances, seconds=round(ended.seconds, 4),
        user=round(ended.user, 4), system=round(ended.system, 4), detail=detail)


# ---- Comparing files


def contents(path):
    """name -> array, and name -> attributes, of everything in a result file but what differs between any two runs."""
    arrays, attributes = {}, {}

    def visit(name, item):
        attributes[name] = {key: str(value) for key, value in item.attrs.items()
                            if key not in ("seconds", "history") and not key.endswith(("_LIST", "LABELS"))}
        if isinstance(item, h5py.Dataset) and name.split("/")[-1] != "seconds":
            arrays[name] = item[()]

    with h5py.File(path, "r") as file:
        visit("", file)
        file.visititems(visit)
    return arrays, attributes


def same(x, y):
    x, y = np.asarray(x), np.asarray(y)
    return x.shape == y.shape and x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")


def unequal(a, b):
    """Names under which two files of the same plan differ at all."""
    (x, about_x), (y, about_y) = contents(a), contents(b)
    return sorted({name for name in set(x) | set(y) if name not in x or name not in y or not same(x[name], y[name])} |
                  {name or "the file" for name in set(about_x) | set(about_y) if about_x.get(name) != about_y.get(name)})


def apart(a, b):
    """(largest difference of floating-point numbers relative to the root mean square of their array, where, what else differs,
    number of rows) of the rows that both files have. Rows are in the order of the plan, which the ids confirm."""
    worst, where, other = 0.0, "", []
    with h5py.File(a, "r") as file_a, h5py.File(b, "r") as file_b:
        if not np.array_equal(file_a["id"][:], file_b["id"][:]):
            return np.inf, "id", ["the ids differ"], 0
        status = np.stack([file_a["status"][:], file_b["status"][:]])
        both = np.all(status >= 0, axis=0)
        if np.any(status[0][both] != status[1][both]):
            other.append(f"{int(np.sum(status[0][both] != status[1][both]))} rows have another status")

        def compare(name, x, y, rows):
            nonlocal worst, where
            x, y = np.asarray(x), np.asarray(y)
            if x.shape != y.shape or x.dtype != y.dtype:
                other.append(f"{name} has another shape or type")
                return
            if rows is not None and x.shape[:1] == rows.shape:
                x, y = x[rows], y[rows]
            if x.dtype.kind != "f":
                if not np.array_equal(x, y) and name != "status":
                    other.append(f"{name} differs")
                return
            x, y = x.astype("f8").ravel(), y.astype("f8").ravel()
            finite = np.isfinite(x)
            if not np.array_equal(finite, np.isfinite(y)):
                other.append(f"{name} lacks other numbers")
            elif finite.any():
                x, y = x[finite], y[finite]
                difference = float(np.max(np.abs(x - y)))
                size = float(np.sqrt(np.mean(y**2)))
                relative = difference / size if size > 0 else (np.inf if difference > 0 else 0.0)
                if relative > worst:
                    worst, where = relative, name

        def walk(group_a, group_b, rows, prefix):
            for name in sorted(set(group_a) | set(group_b)):
                full = f"{prefix}{name}"
                if name == "seconds":
                    continue
                if name not in group_a or name not in group_b:
                    if not (prefix.endswith("weights/") and name.isdigit() and not both[int(name)]):
                        other.append(f"{full} is in one file only")
                    continue
                x, y = group_a[name], group_b[name]
                if isinstance(x, h5py.Group):
                    walk(x, y, both[x["row"][:]] if "row" in x else None, full + "/")
                else:
                    compare(full, x[()], y[()], rows)

        walk(file_a, file_b, both, "")
        return worst, where, other, int(np.sum(both))


def agree(name, a, b, tolerance, what):
    """A check of two files of the same plan by different backends."""
    worst, where, other, rows = apart(a, b)
    found = f"{rows} networks, largest relative difference {worst:.2g} ({where or 'none'}), tolerance {tolerance:g}"
    check(name, worst <= tolerance and not other and rows > 0, "; ".join([what, found, *other[:3]]))


# ---- The stages


def device(path):
    with h5py.File(path, "r") as file:
        return str(file.attrs.get("device", ""))


def start(lab):
    """Starting."""
    config = lab.config("start", START)
    for place, backend in enumerate((lab.card, "cpu")):
        with guarded(f"start on {backend}"):
            runs = [lab.must(config, f"start-{place}-{i}.h5", backend, at_most=20) for i in range(4)]
            seconds = sorted(run.seconds for run in runs[1:])
            median = next(run for run in runs[1:] if run.seconds == seconds[1])
            timed("start", backend, CORES, 2, median, f"median of three ({seconds[0]:.3f} to {seconds[2]:.3f} s) after a first "
                  f"one of {runs[0].seconds:.3f} s; 2 networks of D = 4, M = 2, L = 2")


def sweep(lab):
    """Many networks of the law's middle size."""
    count = 300 if lab.small else 100000
    shape = "D = 8, M = 16, L = 200, N = 10, f32"
    config = lab.config("sweep", SWEEP, steps=15, count=count)
    on_card = lab.must(config, "card.h5", lab.card, precision="f32", at_most=60)
    with h5py.File(lab.path("card.h5"), "r") as file:
        share = float(np.nansum(file["seconds"][:]))
        diverged = int(np.sum(file["status"][:] == 1))
    megabytes = lab.path("card.h5").stat().st_size / 1e6
    timed("sweep", lab.card, CORES, count, on_card, f"{shape}, 15 steps; {device(lab.path('card.h5'))}; {on_card.summary()}; "
          f"the column seconds sums to {share:.4g} s; a file of {megabytes:.1f} MB")
    with guarded("sweep without steps"):  # starts, draws, writes: what is not training
        bare = lab.must(lab.config("bare", SWEEP, steps=0, count=count), "bare.h5", lab.card, precision="f32", at_most=60)
        timed("sweep without steps", lab.card, CORES, count, bare, f"{shape}, 0 steps: start, weights, results, file")
    on_cpu = lab.run(config, "cpu.h5", "cpu", "--threads", CORES, precision="f32", at_most=lab.left() - 20)
    if on_cpu.code == 75 and on_cpu.stopped:
        with h5py.File(lab.path("cpu.h5"), "r") as file:
            done = int(np.sum(file["status"][:] >= 0))
        timed("sweep, stopped", "cpu", CORES, done, on_cpu, f"{shape}, 15 steps; of {count}, its time was up")
    elif on_cpu.code != 0:
        raise Failed(f"exit code {on_cpu.code} on the CPU: {on_cpu.last()}")
    else:
        timed("sweep", "cpu", CORES, count, on_cpu, f"{shape}, 15 steps; {device(lab.path('cpu.h5'))}; {on_cpu.summary()}")
    agree("sweep equals the CPU's", lab.path("card.h5"), lab.path("cpu.h5"), 1e-4, f"{shape}; {diverged} diverged")


def limits(lab):
    """Limits: the difference of the two backends in units of what their errors add up to."""
    values = {"steps": 3, "tolerance": 1e-2} if lab.small else {"steps": 15, "tolerance": 1e-4}
    config = lab.config("limits", LIMITS, **values)
    for backend, output in ((lab.card, "card.h5"), ("cpu", "cpu.h5")):
        ended = lab.must(config, output, backend, at_most=lab.left() / (2 if output == "card.h5" else 1))
        timed("limits", backend, CORES, 16, ended,
              f"mean-ode, tangent-ode, largest; D = 8, tolerance {values['tolerance']:g}; {ended.summary()}")
    with h5py.File(lab.path("card.h5"), "r") as a, h5py.File(lab.path("cpu.h5"), "r") as b:
        mine, theirs = ({n for n in file["problem_0000"] if n.startswith("limit_")} for file in (a, b))
        check("limits are there", mine == theirs and len(mine) == 3, " ".join(sorted(mine)))
        for name in sorted(mine & theirs):
            with guarded(f"{name} within its error"):
                compare_limits(name, a["problem_0000"][name], b["problem_0000"][name])


def compare_limits(name, x, y):
    for quantity in ("output", "embedding"):
        p, q = x[quantity][:], y[quantity][:]
        size = np.sqrt(np.mean(q**2, axis=(1, 2)))  # of every step
        distance = np.sqrt(np.mean((p - q) ** 2, axis=(1, 2))) / size
        stated = x[f"{quantity}_error"][:] + y[f"{quantity}_error"][:]
        share = float(np.max(distance / (stated + 1e-12)))  # what is exact has no error but rounding
        detail = (f"largest relative distance of a step {np.max(distance):.2g}, {share:.2g} of the sum of the stated errors, "
                  f"which is {np.max(stated):.2g} at most")
        if quantity == "output":
            each = x["output_stderr"][:] + y["output_stderr"][:] + 1e-12 * size[:, None, None]
            detail += (f"; a single output {float(np.max(np.abs(p - q) / each)):.2g} of the sum of its standard errors; "
                       f"card: {x.attrs['parameters']}; cpu: {y.attrs['parameters']}")
        check(f"{name} within its error, {quantity}", share <= 1, detail)


def resume_until_done(lab, config, output, backend, **options):
    """Resumes until nothing is missing; the number of instances that the first resumed run found."""
    ended = lab.run(config, output, backend, "--resume", **options)
    there = ended.there()
    for _ in range(3):
        if ended.code == 0:
            return there
        if ended.code != 75 or ended.stopped:
            break
        ended = lab.run(config, output, backend, "--resume", **options)
    raise Failed(f"exit code {ended.code} of the resumed run into {output}: {ended.last()}")


def file_of(name):
    return name.replace(" ", "-").replace("%", "") + ".h5"


def ended_early(lab, name, config, whole, send, moment, when):
    """A run that gets a signal when `when` says so, is resumed, and must leave the file `whole`."""
    with guarded(name):
        output = file_of(name)
        first = lab.run(config, output, lab.card, send=send, when=when, at_most=30)
        wanted = -signal.SIGKILL if send == signal.SIGKILL else 75
        if first.stopped or first.code not in (0, wanted):
            raise Failed(f"exit code {first.code} after {send.name}: {first.last()}")
        there = resume_until_done(lab, config, output, lab.card, at_most=30)
        differing = unequal(lab.path(whole), lab.path(output))
        left = "too late, it had ended" if first.code == 0 else f"{there} networks were done"
        found = f"these differ: {', '.join(differing[:5])}" if differing else "every dataset is the same"
        check(name, not differing, f"{send.name} {moment}, {left}; after --resume {found}")
        lab.path(output).unlink()


def after(seconds):
    return lambda took: took >= seconds


def journal_grows(lab, output):
    """(a callback that never wants a signal, a function that says how large the journal of a run became)."""
    most, path = [0], lab.path(output + ".journal")

    def look(_):
        with contextlib.suppress(OSError):
            most[0] = max(most[0], path.stat().st_size)
        return False

    return look, lambda: most[0]


def journal_reaches(lab, name, bytes_):
    """A callback: is the journal of this run at least so large?"""
    path = lab.path(file_of(name) + ".journal")

    def look(_):
        with contextlib.suppress(OSError):
            return path.stat().st_size >= bytes_
        return False

    return look


def mixed(lab):
    """Many shapes at once."""
    sizes = {"D": [2, 8, 10, 32, 100], "M": [1, 10, 64], "L": [3, 20, 100]}
    if lab.small:
        sizes = {"D": [2, 8], "M": [1, 10], "L": [3, 20]}
    config = lab.config("mixed", MIXED, **sizes)
    count = 4 * len(sizes["D"]) * len(sizes["M"]) * len(sizes["L"])
    detail = "D, M, L: " + " x ".join(str(sizes[key]) for key in "DML") + ", 5 steps, f64, weights and embeddings kept"
    look, largest = journal_grows(lab, "card.h5")
    whole = lab.must(config, "card.h5", lab.card, at_most=30, send=signal.SIGKILL, when=look)
    timed("mixed", lab.card, CORES, count, whole, detail)
    with guarded("mixed equals the CPU's"):
        on_cpu = lab.must(config, "cpu.h5", "cpu", at_most=30)
        timed("mixed", "cpu", CORES, count, on_cpu, detail)
        agree("mixed equals the CPU's", lab.path("card.h5"), lab.path("cpu.h5"), 1e-9, "f64")
    chance = random.Random()
    for name, send in (("mixed killed", signal.SIGKILL), ("mixed interrupted", signal.SIGTERM)):
        moment = whole.seconds * chance.uniform(0.3, 0.9)
        ended_early(lab, name, config, "card.h5", send, f"after {moment:.3f} of {whole.seconds:.3f} s", after(moment))
    for name, send in (("mixed killed while it writes", signal.SIGKILL), ("mixed interrupted while it writes", signal.SIGTERM)):
        part = largest() * chance.uniform(0.1, 0.6)
        ended_early(lab, name, config, "card.h5", send, f"at {part:.0f} bytes of a journal of {largest()}",
                    journal_reaches(lab, name, part))


def kills(lab):
    """Many small networks."""
    count = 2000 if lab.small else 100000
    config = lab.config("kills", KILLS, count=count)
    look, largest = journal_grows(lab, "card.h5")
    whole = lab.must(config, "card.h5", lab.card, at_most=30, send=signal.SIGKILL, when=look)
    detail = "D = 4, M = 4, L = 20, N = 10, 5 steps, f64"
    timed("small networks", lab.card, CORES, count, whole, detail)
    with guarded("small networks equal the CPU's"):
        on_cpu = lab.must(config, "cpu.h5", "cpu", at_most=30)
        timed("small networks", "cpu", CORES, count, on_cpu, detail)
        agree("small networks equal the CPU's", lab.path("card.h5"), lab.path("cpu.h5"), 1e-9, "f64")
    for percent in (30, 60):
        moment = whole.seconds * percent / 100
        ended_early(lab, f"killed at {percent}%", config, "card.h5", signal.SIGKILL,
                    f"after {moment:.3f} of {whole.seconds:.3f} s", after(moment))
    for percent in (25, 75):
        name, part = f"killed at {percent}% of the journal", largest() * percent / 100
        ended_early(lab, name, config, "card.h5", signal.SIGKILL, f"at {part:.0f} bytes of a journal of {largest()}",
                    journal_reaches(lab, name, part))


@contextlib.contextmanager
def guarded(name):
    """What goes wrong inside is a check that did not pass."""
    try:
        yield
    except Failed as failure:
        check(name, False, failure)
    except Exception as error:
        check(name, False, f"{type(error).__name__}: {error}")


STAGES = {"start": start, "sweep": sweep, "limits": limits, "mixed": mixed, "kills": kills}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meanode", required=True, help="the program")
    parser.add_argument("--work", required=True, help="a folder; what is put there goes again")
    parser.add_argument("--small", action="store_true", help="few networks")
    parser.add_argument("--backend-of-card", default="cuda", metavar="NAME", help="what is in the place of cuda")
    parser.add_argument("--seconds", type=float, help="at most, of each stage")
    parser.add_argument("stages", nargs="+", choices=STAGES, metavar="STAGE", help=", ".join(STAGES))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs is ended too
    lab = Laboratory(arguments)
    for name in arguments.stages:
        with guarded(name):
            lab.begin(arguments.seconds or PATIENCE[name])
            STAGES[name](lab)
    shutil.rmtree(lab.work, ignore_errors=True)


if __name__ == "__main__":
    main()
