# SPDX-License-Identifier: BSD-3-Clause
"""A power cut at any moment: what was not synced may be on the disk, or not, or half. --resume then ends with the bits of an
undisturbed run, and every instance that was said to be safe is still there before.

One run is recorded call by call (interpose.c, FAULTS_TRACE). The disk after a cut is made from the record:
  - bytes of a file: those of its last fsync or fdatasync; of the writes since, none, all, or some, the last of them torn;
  - names in the folder: those of its last fsync; of the renames, removals and creations since, none, all, or the first few,
    or (stricter than file systems are) any of them.

usage: power_cut.py INTERPOSER [--states N] [--seed S]
"""

import argparse
import collections
import hashlib
import os
import pathlib
import random
import shutil
import struct
import sys
import tempfile

import common

RECORD = struct.Struct("<c3xIIIQQ")
RUN = "run long.yaml -o out.h5 --progress none"
COMMANDS = {
    "run": (RUN, "out.h5", RUN + " --resume"),
    "resume": ("run more.yaml -o half.h5 --progress none --resume", "half.h5", None),
    "extend": ("run more.yaml -o done.h5 --progress none --resume", "done.h5", None),
    "merge": ("merge out.h5 s0.h5 s1.h5", "out.h5", "merge out.h5 s0.h5 s1.h5 --force"),
}


def records(path):
    """(what, file, names, data, offset) in the order in which they happened."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        what, n, m, length, file, offset = RECORD.unpack_from(data, at)
        at += RECORD.size
        names = data[at:at + n].decode(), data[at + n:at + n + m].decode()
        at += n + m
        yield what.decode(), file, [os.path.basename(name) for name in names], data[at:at + length], offset
        at += length


def changed(content, write):
    data, offset = write
    if data is None:  # cut off or extended
        return content[:offset].ljust(offset, b"\0")
    return content[:offset].ljust(offset, b"\0") + data + content[offset + len(data):]


class Disk:
    """What is surely on the disk, and what may be."""

    def __init__(self, folder):
        self.names, self.durable, self.writes = {}, collections.defaultdict(bytes), collections.defaultdict(list)
        for path in folder.iterdir():
            self.names[path.name] = path.stat().st_ino
            self.durable[path.stat().st_ino] = path.read_bytes()
        self.renamed = []  # since the folder was synced: (what, name, other or file)
        self.safe = set()

    def step(self, what, file, names, data, offset):
        if what == "C":
            self.durable[file], self.writes[file] = b"", []  # numbers of files are used again
            self.renamed.append(("C", names[0], file))
        elif what in "RU":
            self.renamed.append((what, *names))
        elif what in "WT":
            self.writes[file].append((data if what == "W" else None, offset))
        elif what == "S":
            for write in self.writes.pop(file, []):
                self.durable[file] = changed(self.durable[file], write)
            if self.durable[file].startswith(b"meanode journal\n"):
                self.safe |= common.journal_ids(self.durable[file])
        elif what == "D":
            self.names, self.renamed = self.named(self.renamed), []

    def named(self, changes):
        names = dict(self.names)
        for what, name, other in changes:
            if what == "C":
                names[name] = other
            elif what == "U":
                names.pop(name, None)
            elif name in names:
                names[other] = names.pop(name)
        return names

    def after(self, chooser, how):
        """Name to bytes after a cut. how: (writes, names), each of none, all, some; names also: first."""
        if how[1] == "first":
            changes = self.renamed[:chooser.randint(0, len(self.renamed))]
        else:
            changes = [c for c in self.renamed if how[1] == "all" or (how[1] == "some" and chooser.random() < 0.5)]
        state = {}
        for name, file in self.named(changes).items():
            content = self.durable[file]
            for write in self.writes.get(file, []):
                if how[0] == "none" or (how[0] == "some" and chooser.random() < 0.5):
                    continue
                if how[0] == "some" and write[0] and chooser.random() < 0.3:
                    write = (write[0][:chooser.randint(0, len(write[0]))], write[1])
                content = changed(content, write)
            state[name] = content
        return state


def prepare(template, interposer):
    template.mkdir()
    (template / "long.yaml").write_text(common.sweep(seeds=12, L=1000))
    (template / "more.yaml").write_text(common.sweep(seeds=14, L=1000))
    for output in ["done.h5", "s0.h5 --shard 0/2", "s1.h5 --shard 1/2"]:
        done = common.run(template, *f"run long.yaml --progress none -o {output}".split())
        assert done.returncode == 0, done.stderr
    shutil.copy(template / "done.h5", template / "half.h5")
    killed = common.run(template, *COMMANDS["resume"][0].split(), interpose=interposer, plan="fsync@.new 2 kill")
    assert killed.returncode == -9, killed.stderr


def states(chooser, share, template, folder, trace, command, output, interposer):
    """Distinct disks after a cut, after a share of the calls, with what was safe then."""
    common.fresh_copy(template, folder)
    disk = Disk(folder)
    disk.safe = common.present(folder / output)
    trace.unlink(missing_ok=True)
    done = common.run(folder, *command.split(), interpose=interposer, trace=trace)
    assert done.returncode == 0, done.stderr
    seen, syncs = set(), 0
    for record in records(trace):
        disk.step(*record)
        syncs += record[0] in "SD"
        if chooser.random() > share:
            continue
        for how in [("none", "none"), ("none", "all"), ("all", "none"), ("all", "all"), ("some", "first"), ("some", "some")]:
            state = disk.after(chooser, how)
            key = hashlib.sha256(repr(sorted(state.items())).encode()).digest()
            if key not in seen:
                seen.add(key)
                yield how, state, set(disk.safe), syncs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("interposer", type=os.path.abspath)
    parser.add_argument("--states", type=int, default=40, help="how many are drawn; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chooser = random.Random(options.seed)
    wrong, tried, held = [], collections.Counter(), 0
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        template, folder = scratch / "template", scratch / "work"
        prepare(template, options.interposer)
        for name, (command, output, again) in COMMANDS.items():
            share = 0.2 if options.states else 1
            found = list(states(chooser, share, template, folder, scratch / "trace", command, output, options.interposer))
            expected = common.contents(folder / output)
            kept = found if not options.states else chooser.sample(found, min(len(found), options.states // len(COMMANDS)))
            for how, state, safe, syncs in kept:
                shutil.rmtree(folder)
                folder.mkdir()
                for file, content in state.items():
                    (folder / file).write_bytes(content)
                tried[name] += 1
                held += bool(safe)
                try:
                    there = common.present(folder / output)
                    assert name == "merge" or safe <= there, f"{len(safe - there)} of {len(safe)} instances are lost"
                    if name != "merge" and safe:
                        told = common.counted(folder, output)
                        assert told >= len(safe), f"status counts {told} of {len(safe)} instances"
                    done = common.run(folder, *(again or command).split())
                    assert done.returncode == 0, done.stderr
                    assert common.contents(folder / output) == expected, "another content"
                    rest = common.leftovers(folder, output)
                    assert not rest, rest
                except Exception as problem:  # an unreadable file raises what h5py likes
                    wrong.append(f"{name}, after {syncs} syncs, writes and names since: {how}: {problem}")
                    print(wrong[-1], flush=True)
            print(f"{name}: {len(found)} distinct disks, {tried[name]} tried", flush=True)
    print(f"{sum(tried.values())} power cuts, {held} of them with instances that were said to be safe; {len(wrong)} wrong")
    sys.exit(bool(wrong) or held == 0)


if __name__ == "__main__":
    main()
