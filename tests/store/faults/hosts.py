# SPDX-License-Identifier: BSD-3-Clause
"""Two machines that share a folder over a network file system: flock does not reach the other one, answers get lost, a
machine sleeps. Only one run at a time writes a file; the other is refused, or notices and ends with 74, and nothing is
damaged.

usage: hosts.py INTERPOSER [--rounds N]
"""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

import common

# A call that is done although its caller hears otherwise, because the question was sent twice or the answer was lost.
LOST = ["rename@.h5 {} told-ENOENT", "rename@.h5 {} told-EIO", "rename@.journal 1 told-ENOENT", "rename@.journal 1 told-EIO",
        "unlink@.journal 1 told-ENOENT", "unlink@.journal 1 told-EIO",
        "unlink@.lock 1 told-ENOENT", "unlink@.lock 1 told-EIO", "open@.journal.new 1 told-EEXIST"]


class Machine:
    """A run on a machine of its own."""

    def __init__(self, interposer, folder, name, arguments, plan=""):
        environment = dict(os.environ) | {"LD_PRELOAD": interposer, "FAULTS_UNDER": str(folder), "FAULTS_HOST": name,
                                          "FAULTS_PLAN": plan}
        self.name, self.start = name, time.monotonic()
        self.process = subprocess.Popen([common.MEANODE, *arguments.split()], cwd=folder, env=environment, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def end(self):
        _, self.errors = self.process.communicate(timeout=300)
        self.code = self.process.returncode
        return self


def refused_by(run, other):
    return run.code == 74 and "being written by another run" in run.errors and f"on host {other.name}" in run.errors


def ended_by(run, other):
    return run.code == 74 and re.search(rf"taken over by another run, process \d+ on host {other.name}:", run.errors)


def wait_for(condition, what):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("interposer", type=os.path.abspath)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "shared"
        folder.mkdir()
        (folder / "sweep.yaml").write_text(common.sweep(seeds=5, L=10000))
        (folder / "long.yaml").write_text(common.sweep(seeds=5000, L=30000))  # nobody waits for its end
        command = "run sweep.yaml -o out.h5 --progress none --resume --threads 1"
        assert common.run(folder, *command.replace("out", "alone").split()).returncode == 0
        expected = common.contents(folder / "alone.h5")

        # Together, both before there is a name in the lock: one goes on. The other is refused, or has gone on for a while
        # when the late one comes, and ends. (One after the other is fine too: the second then finds everything done.)
        together = 0
        for i in range(options.rounds):
            (folder / "out.h5").unlink(missing_ok=True)
            slow = f"pwrite@.lock 1 late-{(300, 700, 1000, 1500)[i % 4]}"
            runs = [Machine(options.interposer, folder, name, command, plan) for name, plan in [("a", slow), ("b", "")]]
            for run in runs:
                run.end()
            refused = [run for run, other in (runs, runs[::-1]) if refused_by(run, other) or ended_by(run, other)]
            assert all(run.code == 0 or run in refused for run in runs), [(run.code, run.errors) for run in runs]
            assert len(refused) < 2, [run.errors for run in runs]
            assert common.contents(folder / "out.h5") == expected
            assert not common.leftovers(folder, "out.h5"), common.leftovers(folder, "out.h5")
            together += len(refused)
        print(f"{options.rounds} times together: {together} refused, the others one after the other", flush=True)

        # Beside a living one: its signs of life are seen. Names of machines may be the same.
        (folder / "out.h5").unlink()
        long = "run long.yaml -o out.h5 --progress none --threads 1"
        first = Machine(options.interposer, folder, "a", long)
        wait_for(lambda: common.counted(folder, "out.h5") > 0, "the first run does not begin")
        second = Machine(options.interposer, folder, "b", long + " --resume").end()
        assert refused_by(second, first), (second.code, second.errors)
        merge = Machine(options.interposer, folder, "b", "merge out.h5 alone.h5 --force").end()
        assert refused_by(merge, first), (merge.code, merge.errors)

        # A machine that sleeps for longer than others wait loses its file, and notices when it wakes up.
        assert first.process.poll() is None
        first.process.send_signal(signal.SIGSTOP)
        had = common.present(folder / "out.h5")
        second = Machine(options.interposer, folder, "b", long + " --resume")
        lock = folder / "out.h5.lock"
        wait_for(lambda: "host b " in lock.read_text(errors="replace"), "the lock is not taken over")
        wait_for(lambda: len(common.present(folder / "out.h5")) > len(had) or second.process.poll() is not None,
                 "the second run does not go on")
        first.process.send_signal(signal.SIGCONT)
        first.end()
        assert ended_by(first, second), (first.code, first.errors)
        assert second.process.poll() is None, "the second run was over too soon for this test"
        assert "host b " in lock.read_text(), "the first run took the lock away"
        second.process.send_signal(signal.SIGTERM)
        second.end()
        assert second.code == 75, (second.code, second.errors)
        assert had <= common.present(folder / "out.h5")
        assert not common.leftovers(folder, "out.h5.lock")
        last = Machine(options.interposer, folder, "c", "status out.h5").end()
        assert last.code == 0, last.errors
        print(f"taken over from a sleeping machine: {len(had)} instances before, "
              f"{len(common.present(folder / 'out.h5'))} in the end", flush=True)

        # Lost answers.
        command = command.replace("sweep.yaml", "small.yaml")
        (folder / "small.yaml").write_text(common.sweep(seeds=5))
        common.run(folder, *command.replace("out", "small").split())
        expected = common.contents(folder / "small.h5")
        for text in LOST:
            for n in (1, 2) if "{}" in text else (1,):
                for path in folder.glob("out.h5*"):
                    path.unlink()
                run = Machine(options.interposer, folder, "a", command, text.format(n)).end()
                assert run.code == 0, (text.format(n), run.code, run.errors)
                assert common.contents(folder / "out.h5") == expected, text
                assert not common.leftovers(folder, "out.h5"), (text, common.leftovers(folder, "out.h5"))
        print("lost answers survived")


if __name__ == "__main__":
    main()
