# SPDX-License-Identifier: BSD-3-Clause
"""A process that is killed before and after each call that changes something on the disk: --resume then ends with the bits
of an undisturbed run, nothing that was on the disk is lost, and nothing is left lying about.

usage: boundaries.py INTERPOSER [--every K] [--list]
"""

import argparse
import collections
import os
import pathlib
import shutil
import sys
import tempfile

import common

CHANGES = {"open", "write", "pwrite", "copy_file_range", "fsync", "fdatasync", "rename", "unlink", "ftruncate", "truncate",
           "fallocate", "flock", "close"}
RUN = "run tiny.yaml -o out.h5 --progress none"
MORE = "run more.yaml -o half.h5 --progress none --resume"
COMMANDS = {  # name: what is killed, its output, what is run afterwards
    "run": (RUN, "out.h5", RUN + " --resume"),
    "resume": (MORE, "half.h5", MORE),
    "force": (RUN.replace("out", "old") + " --force", "old.h5", RUN.replace("out", "old") + " --resume"),
    "merge": ("merge out.h5 s0.h5 s1.h5", "out.h5", "merge out.h5 s0.h5 s1.h5 --force"),
}


def prepare(template, interposer):
    template.mkdir()
    (template / "tiny.yaml").write_text(common.sweep(seeds=2))
    (template / "more.yaml").write_text(common.sweep(seeds=3))
    (template / "other.yaml").write_text(common.sweep(seeds=1, L=3))
    for arguments in ["run tiny.yaml -o s0.h5 --shard 0/2", "run tiny.yaml -o s1.h5 --shard 1/2",
                      "run tiny.yaml -o half.h5"]:
        done = common.run(template, *arguments.split(), "--progress", "none")
        assert done.returncode == 0, done.stderr
    killed = common.run(template, *MORE.split(), interpose=interposer, plan="fsync@.new 3 kill")
    assert killed.returncode == -9, killed.stderr
    assert common.present(template / "half.h5")
    killed = common.run(template, "run", "other.yaml", "-o", "old.h5", interpose=interposer, plan="fsync@.new 3 kill")
    assert killed.returncode == -9 and (template / "old.h5.journal").exists(), killed.stderr


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("interposer", type=os.path.abspath)
    parser.add_argument("--every", type=int, default=1, help="of the boundaries, try one in so many, and all renames")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    wrong, tried, listed = [], collections.Counter(), 0
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        template, folder, safe = scratch / "template", scratch / "work", scratch / "safe"
        prepare(template, options.interposer)
        for name, (command, output, again) in COMMANDS.items():
            common.fresh_copy(template, folder)
            log = scratch / f"log.{name}"
            done = common.run(folder, *command.split(), interpose=options.interposer, log=log)
            assert done.returncode == 0, done.stderr
            expected = common.contents(folder / output)
            seen, places = collections.Counter(), []
            for line in log.read_text().splitlines():
                op, path = line.split(" ", 1)
                if op in CHANGES:
                    end = path.removeprefix(output) if path else "/"
                    end = end.replace(".h5", "") if end != path else path  # the output itself: its whole name
                    end = end or output
                    seen[op, end] += 1
                    places.append((op, end, seen[op, end]))
            had = common.present(template / output) if name == "resume" else set()
            for op, end, n in places:
                for how in ("kill", "killed"):
                    listed += 1
                    if options.list:
                        print(f"{name}: {op} {end} {n} {how}")
                    if (listed - 1) % options.every and op != "rename":
                        continue
                    plan = f"{op}@{end} {n} {how}"
                    common.fresh_copy(template, folder)
                    shutil.rmtree(safe, ignore_errors=True)
                    safe.mkdir()
                    died = common.run(folder, *command.split(), interpose=options.interposer, plan=plan, safe=safe)
                    tried[name, "killed" if died.returncode == -9 else "too late"] += 1
                    sure = had.union(*[common.journal_ids(path.read_bytes()) for path in safe.iterdir()])
                    try:
                        there = common.present(folder / output)
                        assert name == "merge" or sure <= there, f"{len(sure - there)} instances are lost"
                        done = common.run(folder, *again.split())
                        if name == "force" and done.returncode == 65:  # still the file of another sweep, untouched
                            for file in ("old.h5", "old.h5.journal"):
                                assert (folder / file).read_bytes() == (template / file).read_bytes(), file
                            done = common.run(folder, *command.split())
                        assert done.returncode == 0, done.stderr
                        assert "damaged" not in done.stderr, done.stderr
                        assert common.contents(folder / output) == expected, "another content"
                        rest = common.leftovers(folder, output)
                        assert not rest, rest
                        for file in ("s0.h5", "s1.h5"):
                            assert (folder / file).read_bytes() == (template / file).read_bytes(), file
                    except Exception as problem:  # an unreadable file raises what h5py likes
                        wrong.append(f"{name}: {plan}: {problem}")
                        print(wrong[-1], flush=True)
    kills = sum(count for (_, how), count in tried.items() if how == "killed")
    print(f"{listed} boundaries, {sum(tried.values())} tried, {kills} kills: " +
          ", ".join(f"{name} {tried[name, 'killed']}" for name in COMMANDS) + f"; {len(wrong)} wrong")
    sys.exit(bool(wrong) or kills == 0)


if __name__ == "__main__":
    main()
