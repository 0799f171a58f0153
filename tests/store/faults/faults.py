# SPDX-License-Identifier: BSD-3-Clause
"""Commands in which one call to the system fails, falls short or is interrupted: the exit code says the truth, nothing that
was on the disk is lost, inputs stay as they are, and without the fault --resume ends with the bits of an undisturbed run.

usage: faults.py INTERPOSER [--runs N] [--seed S] [--table FILE] [--only COMMAND]
Each command is run once without a fault to list its calls. First come the known cases, then N combinations of command, call
and fault are drawn.
"""

import argparse
import collections
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import h5py
import numpy as np

import common

ERRORS = ["EIO", "ENOSPC", "EDQUOT", "ESTALE", "EMFILE", "EACCES", "EROFS", "EAGAIN", "ENOLCK"]
HARMLESS = ["EINTR", "short"]  # to be survived without a word
PERFECT = {"read", "pread", "write", "pwrite", "copy_file_range"}  # calls that may fall short
# HDF5 does not repeat these when a signal interrupts them; the threads of a run that call them block signals.
HDF5_GIVES_UP = {("ftruncate", ".new"), ("close", ".new")}


# Each was lost, misnamed or not survived once: the command, what happens, and how the command has to end.
KNOWN = [
    ("run", "pwrite@.new 8 EACCES", 74),  # a write that fails in a call of HDF5 whose failure nobody asks for
    ("run", "fsync@/ 1 EIO", 74),  # the folder
    ("run", "fsync@/ 2 EIO", 74),
    ("run", "fsync@/ 1+ EINVAL", 0),  # a file system that cannot sync folders
    ("run", "fopen@sweep.yaml 1 EINTR", 0),
    ("run", "fallocate@.new 1 EINTR", 0),
    ("run", "fallocate@.new 1 ENOSPC", 74),
    ("run", "truncate@.new 1 EINTR", 0),
    ("run", "copy_file_range@.new 1+ ENOSYS", 0),
    ("run", "copy_file_range@.new 1+ ENOSYS;pwrite@.new 60+ short", 0),
    ("run", "rename@.journal 1 EINTR", 0),
    ("run", "write@.journal.new 2 short", 0),
    ("run", "fdatasync@.journal.new 2 EIO", 74),
    ("run", "flock@.lock 1+ ENOLCK", 0),  # a file system without locks
    ("run", "pwrite@.lock 1 short", 0),
    ("run", "open@.h5.new 1 EINTR", 0),
    ("resume", "stat@half.h5 6 EIO", 74),  # perhaps there, perhaps not
    ("resume", "stat@.journal 1 ESTALE", 74),
    ("resume", "pread@half.h5 1 EIO", 74),  # unreadable now is not damaged
    ("resume", "pread@half.h5 1+ EIO", 74),
    ("resume", "open@half.h5 1 ESTALE", 74),
    ("resume", "pread@.journal 1 EIO", 74),
    ("resume", "pread@.journal 1 short", 0),
    ("resume", "pread@.journal 7 EIO", 74),
    ("merge", "pread@s0.h5 1 short", 0),
    ("merge", "fsync@/ 1 EIO", 74),
    ("merge", "open@s1.h5 1 EMFILE", 74),
    ("merge-force", "stat@old.h5 1 EIO", 74),
    ("merge-force", "rename@old.h5 1 EINTR", 0),
    ("status", "pread@.journal 10 EIO", 74),
    ("status", "pread@half.h5 1 EIO", 74),
    ("status", "open@.journal 1 EMFILE", 74),
    ("fit", "pread@.h5 71 EIO", 74),  # a limit that seems not to be there
    ("info", "stat@.h5 1 EIO", 74),
    ("info", "stat@.h5 1 EINTR", 0),
    ("info", "open@.h5 2 ESTALE", 74),
    ("check", "pread@data.h5 9 EIO", 74),
    ("check", "open@data.h5 1 EIO", 74),
    ("check", "stat@data.h5 1 EINTR", 0),
]


class Command:
    def __init__(self, name, arguments, output=None, again=None, inputs=(), kept=None):
        self.name, self.arguments, self.output = name, arguments.split(), output
        self.again = (again or arguments).split()  # what is run without the fault afterwards
        self.inputs = inputs  # files that nobody may change
        self.kept = kept  # the output as it was, which stays as a whole until it is replaced


RESUME = "run sweep.yaml -o half.h5 --resume --progress none --threads 2"
COMMANDS = [
    Command("run", "run sweep.yaml -o out.h5 --progress none --threads 2", "out.h5",
            "run sweep.yaml -o out.h5 --progress none --threads 2 --resume", ["sweep.yaml"]),
    Command("resume", RESUME, "half.h5", RESUME),
    Command("extend", "run more.yaml -o done.h5 --resume --progress none --threads 2", "done.h5"),
    Command("force", "run sweep.yaml -o old.h5 --force --progress none --threads 2", "old.h5",
            "run sweep.yaml -o old.h5 --resume --progress none --threads 2", kept="old.h5"),
    Command("shard", "run sweep.yaml -o out.h5 --shard 1/2 --limits limits.h5 --progress none", "out.h5",
            "run sweep.yaml -o out.h5 --shard 1/2 --limits limits.h5 --progress none --resume", ["limits.h5"]),
    Command("from", "run --from done.h5 -o out.h5 --progress none", "out.h5",
            "run --from done.h5 -o out.h5 --progress none --resume", ["done.h5"]),
    Command("data", "run data.yaml -o out.h5 --progress none", "out.h5", "run data.yaml -o out.h5 --progress none --resume",
            ["data.h5"]),
    Command("merge", "merge out.h5 s0.h5 s1.h5", "out.h5", "merge out.h5 s0.h5 s1.h5 --force", ["s0.h5", "s1.h5"]),
    Command("merge-force", "merge old.h5 s0.h5 s1.h5 --force", "old.h5", None, ["s0.h5", "s1.h5"], kept="old.h5"),
    Command("status", "status half.h5", inputs=["half.h5", "half.h5.journal"]),
    Command("fit", "fit done.h5 --json", inputs=["done.h5"]),
    Command("info", "info done.h5", inputs=["done.h5"]),
    Command("check", "check data.yaml", inputs=["data.h5", "data.yaml"]),
]


def prepare(template, interpose):
    """The files that the commands start from."""
    template.mkdir()
    (template / "sweep.yaml").write_text(common.sweep())
    (template / "more.yaml").write_text(common.sweep(seeds=50))
    (template / "older.yaml").write_text(common.sweep(seeds=3))
    (template / "data.yaml").write_text(
        common.sweep(seeds=5).replace("kind: gaussian, samples: 4, inputs: 3, targets: 2", "kind: file, path: data.h5"))
    random_numbers = np.random.default_rng(1)
    with h5py.File(template / "data.h5", "w") as file:
        for name, shape in {"x": (4, 3), "y": (4, 2), "w_embed": (4, 3)}.items():
            file[name] = random_numbers.standard_normal(shape)
    for arguments in ["run sweep.yaml -o done.h5", "run older.yaml -o old.h5", "run sweep.yaml -o limits.h5 --limits-only",
                      "run sweep.yaml -o s0.h5 --shard 0/2", "run sweep.yaml -o s1.h5 --shard 1/2"]:
        done = common.run(template, *arguments.split(), "--progress", "none")
        assert done.returncode == 0, done.stderr
    shutil.copy(template / "old.h5", template / "half.h5")
    killed = common.run(template, *RESUME.split(), interpose=interpose, plan="fdatasync@.journal.new 2 killed")
    assert killed.returncode == -9, killed.stderr
    assert common.counted(template, "half.h5") >= 12, "the killed run left nothing"


def measured(text):
    """What is printed, without what depends on the machine's load."""
    return [line for line in text.splitlines() if not line.startswith(("backend", "memory", "work"))]


def undisturbed(command, template, folder, interpose):
    """Its calls, what it prints, and what its output holds."""
    common.fresh_copy(template, folder)
    log = folder.parent / "log"
    log.unlink(missing_ok=True)
    done = common.run(folder, *command.arguments, interpose=interpose, log=log)
    assert done.returncode == 0, (command.name, done.stderr)
    calls = [tuple(line.split(" ", 1)) for line in log.read_text().splitlines()]
    return calls, measured(done.stdout), common.contents(folder / command.output) if command.output else None


def end_of(path):
    return "/" if not path else "." + path.split(".")[-1] if not path.endswith(".journal.new") else ".journal.new"


def drawn(chooser, calls):
    """A rule: kinds of calls and of files are drawn evenly, then the place, then what happens there."""
    if chooser.random() < 0.1:  # the disk dies
        error = chooser.choice(["EIO", "ESTALE", "EROFS"])
        return "any", "", f"any {chooser.randint(1, len(calls))}+ {error}", error
    kinds = collections.defaultdict(int)
    for op, path in calls:
        kinds[op, end_of(path)] += 1
    op, end = chooser.choice(sorted(kinds))
    n = chooser.randint(1, kinds[op, end])
    action = chooser.choice(ERRORS + HARMLESS * 2)
    while action == "short" and op not in PERFECT:
        action = chooser.choice(ERRORS + HARMLESS)
    onwards = "+" if action not in HARMLESS and chooser.random() < 0.2 else ""
    return op, end, f"{op}@{end} {n}{onwards} {action}", action


def names_input(command, action, done):
    """A data file that is closed to the user, or locked, is called that: bad input."""
    return action in ("EACCES", "EAGAIN") and "data.h5" in command.inputs and "data.h5: " in done.stderr and done.returncode == 65


def judge(command, done, op, end, action, folder, safe, before, template, expected):
    """What is wrong with how the command ended and what it left; None if nothing."""
    code, told = done.returncode, expected
    stdout, whole = told
    if code < 0:
        return f"died of signal {-code}"
    if code not in (0, 74) and not names_input(command, action, done):
        return f"exit code {code}: {done.stderr.strip()[:300]}"
    if code and not done.stderr.strip():
        return "no message"
    for name in command.inputs:
        if (folder / name).read_bytes() != (template / name).read_bytes():
            return f"{name} was changed"
    if action in HARMLESS and code and (op, end) not in HDF5_GIVES_UP:
        return f"{action} was not survived: {done.stderr.strip()[:300]}"
    if not command.output:
        same = code or measured(done.stdout) == stdout
        return None if same else f"exit code 0, and another output: {done.stdout[:300]}"
    output = folder / command.output
    if code == 0 and common.contents(output) != whole:
        return "exit code 0, and another content"
    if code and command.kept and output.read_bytes() != (template / command.kept).read_bytes():
        if command.arguments[0] == "merge" and common.contents(output) != whole:  # whole: its folder was not synced
            return "the old output was changed"
        if not common.present(output) <= common.present(template / "done.h5"):
            return "the output is neither the old one nor the new one"
    if command.arguments[0] == "run":
        had = set().union(*[common.journal_ids(path.read_bytes()) for path in safe.iterdir()])
        if command.kept is None:
            had |= before
        lost = had - common.present(output)
        if lost:
            return f"{len(lost)} of {len(had)} instances that were on the disk are lost"
    if code and command.arguments[0] == "merge" and common.leftovers(folder, command.output):
        if op not in ("unlink", "any") and end != ".lock":
            return f"left over: {common.leftovers(folder, command.output)}"
    again = common.run(folder, *command.again)
    if again.returncode:
        return f"without the fault: {again.returncode} {again.stderr.strip()[:300]} (before: {done.stderr.strip()[:200]})"
    if common.contents(output) != whole:
        return "without the fault: another content"
    rest = common.leftovers(folder, command.output)
    return f"left over: {rest}" if rest else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("interposer", type=os.path.abspath)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", type=pathlib.Path)
    parser.add_argument("--only")
    options = parser.parse_args()
    chooser = random.Random(options.seed)
    commands = [c for c in COMMANDS if options.only in (None, c.name)]
    counts, wrong = collections.defaultdict(lambda: [0, 0, 0, 0]), []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        template, folder, safe = scratch / "template", scratch / "work", scratch / "safe"
        prepare(template, options.interposer)
        known = {c.name: undisturbed(c, template, folder, options.interposer) for c in commands}
        planned = [(name, plan, code) for name, plan, code in KNOWN if name in known]
        for i in range(len(planned) + options.runs):
            wanted = None
            if i < len(planned):
                name, plan, wanted = planned[i]
                command = next(c for c in commands if c.name == name)
                (op, _, end), action = plan.split()[0].partition("@"), plan.split(";")[0].split()[2]
                expected = known[name][1:]
            else:
                command = commands[i % len(commands)]
                calls, *expected = known[command.name]
                op, end, plan, action = drawn(chooser, calls)
            common.fresh_copy(template, folder)
            shutil.rmtree(safe, ignore_errors=True)
            safe.mkdir()
            before = common.present(folder / command.output) if command.output else set()
            try:
                done = common.run(folder, *command.arguments, interpose=options.interposer, plan=plan, safe=safe, timeout=60)
                fault = judge(command, done, op, end, action, folder, safe, before, template, expected)
                code = done.returncode
                if fault is None and wanted not in (None, code):
                    fault = f"exit code {code}, not {wanted}: {done.stderr.strip()[:300]}"
            except subprocess.TimeoutExpired:
                fault, code = "hangs", None
            for key in ((command.name, "", ""), ("", op, ""), ("", "", action), ("", "", "")):
                row = counts[key]
                row[0] += 1
                row[1] += code == 0
                row[2] += code == 74
                row[3] += fault is not None
            if fault:
                wrong.append(f"{command.name}: {plan}: {fault}")
                print(wrong[-1], flush=True)
    lines = ["| command, call or fault | runs | exit 0 | exit 74 | wrong |", "|---|---|---|---|---|"]
    for position in range(3):
        for key in sorted(k for k in counts if k[position]):
            lines.append(f"| {key[position]} | " + " | ".join(map(str, counts[key])) + " |")
    print("\n".join(lines))
    if options.table:
        options.table.write_text("\n".join(lines) + "\n")
    print(f"{counts['', '', ''][0]} runs, {len(wrong)} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
