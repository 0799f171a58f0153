# SPDX-License-Identifier: BSD-3-Clause
"""Shards keep their share: whatever array Slurm describes, whatever is resumed, whatever merge is given."""

import os
import subprocess
import unittest

import h5py
import numpy

import harness

# A variable left out is None; what comes out is the share or words of the refusal.
#    id     count  min    max    step
ARRAYS = [
    (("0", "6", "0", "5", "1"), (0, 6)), (("5", "6", "0", "5", "1"), (5, 6)),
    (("1", "6", "1", "6", "1"), (0, 6)), (("6", "6", "1", "6", "1"), (5, 6)),      # --array=1-6
    (("0", "6", "0", "10", "2"), (0, 6)), (("10", "6", "0", "10", "2"), (5, 6)),    # --array=0-10:2
    (("11", "6", "1", "11", "2"), (5, 6)), (("7", "3", "1", "7", "3"), (2, 3)),
    (("3", "6", "0", "5", None), (3, 6)), (("3", "6", None, None, None), (3, 6)),
    (("5", "6", "0", None, "1"), (5, 6)), (("6", "6", "1", None, "1"), (5, 6)),
    (("0", "1", "0", "0", "1"), "whole"),                                           # --array=0
    (("05", "06", "00", "05", "01"), (5, 6)),
    (("5", "1", "5", "5", "1"), "this array has one task, number 5"),               # --array=5
    (("1", "1", "1", "1", "1"), "this array has one task, number 1"),
    (("5", "1", None, None, None), "this array has one task, number 5"),
    (("2", "2", "2", "4", "1"), "holes"), (("4", "2", "2", "4", "1"), "holes"),     # --array=2,4
    (("0", "2", "0", "5", "1"), "holes"), (("5", "2", "0", "5", "1"), "holes"),     # --array=0,5
    (("3", "4", "0", "6", "2"), "holes"), (("7", "6", "0", "5", "1"), "holes"),
    (("0", "6", "1", "6", "1"), "holes"), (("2", "6", "0", "4", "1"), "holes"),
    (("2", "2", "2", "3", "1"), "begins with 2"), (("3", "2", "2", "3", "1"), "begins with 2"),
    (("12", "3", "10", "14", "2"), "begins with 10"),
    ((None, None, None, None, None), "SLURM_ARRAY_TASK_ID is not set"),
    (("0", None, "0", "5", "1"), "SLURM_ARRAY_TASK_COUNT is not set"),
    ((None, "6", "0", "5", "1"), "SLURM_ARRAY_TASK_ID is not set"),
    (("", "6", "0", "5", "1"), 'SLURM_ARRAY_TASK_ID is ""'), (("x", "6", "0", "5", "1"), 'SLURM_ARRAY_TASK_ID is "x"'),
    (("1x", "6", "0", "5", "1"), 'SLURM_ARRAY_TASK_ID is "1x"'), (("-1", "6", "0", "5", "1"), 'SLURM_ARRAY_TASK_ID is "-1"'),
    (("4294967294", "6", "0", "5", "1"), "SLURM_ARRAY_TASK_ID is"), (("0", "99999999999999999999", "0", "5", "1"), "SLURM_ARRAY_TASK_COUNT is"),
    (("0", "0", "0", "5", "1"), "an array of 0 tasks"), (("0", "6", "zero", "5", "1"), 'SLURM_ARRAY_TASK_MIN is "zero"'),
    (("0", "6", "0", "", "1"), 'SLURM_ARRAY_TASK_MAX is ""'), (("0", "6", "0", "5", "1.0"), 'SLURM_ARRAY_TASK_STEP is "1.0"'),
    (("0", "6", "0", "5", "0"), "step 0"), (("0", "999999999", "0", "999999998", "999999999"), "holes"),
]

SHARDS = [("0/1", "whole"), ("0/6", (0, 6)), ("5/6", (5, 6)), ("007/010", (7, 10)), ("0/1000", (0, 1000)), ("999999998/999999999", (999999998, 999999999)),
          *[(text, "neither I/N") for text in ("", "/", "1", "1/", "/6", "1/6/", " 1/6", "1 /6", "1/ 6", "+1/6", "-1/6", "1/-6", "1/6 ", "1//6", "0x1/6",
                                               "1.0/6", "1/6e0", "a/b", "Slurm", "slurm ", "slurm/6", "1/9999999999", "9999999999/1", "1\\6", "1:6", "\n1/6")],
          *[(text, "below the second") for text in ("6/6", "7/6", "0/0", "1/0", "1/1")]]

NAMES = ("ID", "COUNT", "MIN", "MAX", "STEP")


def environment(values):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    return {**kept, **{f"SLURM_ARRAY_TASK_{name}": value for name, value in zip(NAMES, values) if value is not None}}


class Shards(harness.Case):
    def setUp(self):
        super().setUp()
        self.config = self.write({"sweep": {"L": [2, 3], "M": [2, 3], "seeds": 3}, "record": {"weights": "none"}})

    def start(self, output, shard, values=(), how="--resume", config=None):
        return harness.meanode("run", config or self.config, "-o", self.folder / output, how, *(["--shard", shard] if shard else []),
                               "--threads", "1", "--progress", "none", env=environment(values))

    def share(self, output):
        attributes = self.open(self.folder / output).attrs
        return tuple(map(int, attributes["shard"][:2])) if "shard" in attributes else "whole"

    def expect(self, done, output, wanted, what):
        if isinstance(wanted, tuple) or wanted == "whole":
            self.assertEqual((done.returncode, done.stderr), (0, ""), what)
            self.assertEqual(self.share(output), wanted, what)
        else:
            self.assertEqual((done.returncode, done.stdout), (2, ""), what)
            self.assertIn(wanted, done.stderr, what)
            self.assertFalse((self.folder / output).exists(), what)

    def test_arrays(self):
        for index, (values, wanted) in enumerate(ARRAYS):
            output = f"array{chr(97 + index // 26)}{chr(97 + index % 26)}.h5"
            self.expect(self.start(output, "slurm", values), output, wanted, values)

    def test_texts(self):
        for index, (text, wanted) in enumerate(SHARDS):
            self.expect(harness.meanode("run", self.config, "-o", self.folder / f"s{index}.h5", "--shard", text, "--progress", "none"),
                        f"s{index}.h5", wanted, text)

    def test_a_file_keeps_its_share(self):
        """Created with one share, resumed with another; the last column: refused with these words, or None."""
        for index, (first, second, words) in enumerate((("1/3", "1/3", None), (None, None, None), ("0/1", None, None), (None, "0/1", None),
                                                        ("1/3", "0/3", "--shard 1/3 goes on with it"), ("1/3", "1/4", "--shard 1/3 goes on with it"),
                                                        ("1/3", None, "for all of it"), ("1/3", "0/1", "--shard 1/3 goes on with it"),
                                                        (None, "1/3", "holds instances of the whole sweep"))):
            name = f"kept{index}.h5"
            self.assertEqual(self.start(name, first).returncode, 0)
            before = (self.folder / name).read_bytes()
            done = self.start(name, second)
            self.assertEqual(done.returncode, 2 if words else 0, (first, second, done.stderr))
            if words:
                self.assertIn(words, done.stderr)
                self.assertEqual((self.folder / name).read_bytes(), before, (first, second))
            self.assertEqual(self.start(name, second, how="--force").returncode, 0, "--force begins anew")

    def test_limits_alone_may_become_a_shard(self):
        config = self.write({"limit": {"kind": "mean-ode", "tolerance": 1e-1}, "record": {"weights": "none"}}, "limits.yaml")
        done = harness.meanode("run", config, "-o", self.folder / "l.h5", "--limits-only", "--progress", "none")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.start("l.h5", "1/2", config=config).returncode, 0)
        self.assertEqual(self.share("l.h5"), (1, 2))

    def test_a_task_submitted_again(self):
        """Its file is gone or there; the files of the other tasks tell what the array was."""
        array = lambda task, tasks, first=0: (str(task), str(tasks), str(first), str(first + tasks - 1), "1")
        for task in (1, 3, 5):
            self.assertEqual(self.start(f"t.{task}.h5", "slurm", array(task, 6)).returncode, 0)
        self.assertEqual(self.start("t.3.h5", "slurm", array(3, 6)).returncode, 0, "requeued")
        done = self.start("t.5.h5", "slurm", array(5, 1, 5))
        self.assertEqual(done.returncode, 2)
        self.assertIn("t.5.h5 holds shard 5/6", done.stderr)
        for task, tasks, first in ((0, 3, 0), (2, 3, 0), (2, 2, 1), (0, 1, 0), (4, 5, 0), (6, 7, 0)):
            done = self.start(f"t.{task}.h5", "slurm", array(task, tasks, first))
            self.assertEqual(done.returncode, 2, (task, tasks, first))
            self.assertIn("/6 of the same sweep", done.stderr)
            self.assertFalse((self.folder / f"t.{task}.h5").exists())
        self.assertEqual(self.start("t.2.h5", "2/6").returncode, 0, "the remedy")
        self.assertEqual(self.start("u.0.h5", "slurm", array(0, 3)).returncode, 0, "another name")
        self.assertEqual(self.start("t.0.h5", "slurm", array(0, 3), how="--force").returncode, 0, "another sweep in its place")
        other = self.write({"sweep": {"seeds": 4}, "record": {"weights": "none"}}, "other.yaml")
        self.assertEqual(self.start("t.4.h5", "slurm", array(4, 5), config=other).returncode, 0, "another configuration")

    def test_the_template_repeats_one_task(self):
        template = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "slurm", "array.sbatch")
        def task(*arguments, values):
            return subprocess.run(["bash", template, self.config, *arguments], cwd=self.folder, capture_output=True, text=True,
                                  env={**environment(values), "MEANODE": harness.BINARY})
        self.assertEqual(task("my", values=("1", "2", "0", "1", "1")).returncode, 0)
        done = task("my", "2", values=("0", "1", "0", "0", "1"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([self.share(f"my.shard-{i}.h5") for i in (0, 1)], [(0, 2), (1, 2)])
        self.assertEqual(task("my", values=("5", "1", "5", "5", "1")).returncode, 2)

    def test_merge_says_what_is_missing(self):
        files = [self.folder / f"m{shard}.h5" for shard in range(12)]
        for shard, file in enumerate(files[:6]):
            self.assertEqual(self.start(file.name, f"{shard}/6").returncode, 0)
        twice, stray, unfinished, whole = (self.folder / f"{name}.h5" for name in ("twice", "stray", "unfinished", "whole"))
        twice.write_bytes(files[3].read_bytes())
        self.assertEqual(self.start("stray.h5", "1/3").returncode, 0)
        self.assertEqual(harness.meanode("run", self.config, "-o", unfinished, "--shard", "4/6", "--limits-only", "--progress", "none").returncode, 0)
        self.assertEqual(harness.meanode("run", self.config, "-o", whole, "--limits-only", "--progress", "none").returncode, 0)
        out = self.folder / "all.h5"
        for given, words in ((files[:5], ["shard 5 of 6 (counted from 0) is not among", "--shard 5/6", "sbatch --array=5 array.sbatch CONFIG.yaml NAME 6"]),
                             ([files[0], files[1], files[3], files[4]], ["shards 2 and 5 of 6", "--shard 2/6", "--array=2,5 "]),
                             (files[2:3], ["shards 0, 1, 3, 4 and 5 of 6", "--array=0,1,3,4,5 "]),
                             ([*files[:4], unfinished, files[5]], [f"{unfinished} (shard 4/6) lacks 2", f"--shard 4/6 -o {unfinished} --resume"]),
                             ([*files[:4], twice], [f"{files[3]} and {twice} are both shard 3/6", "shards 4 and 5 of 6"]),
                             ([*files[:2], stray], [f"{stray} is shard 1/3, of another number than the others (6)", "shards 2, 3, 4 and 5 of 6"]),
                             ([files[0], whole], [f"{whole} is no shard"]), ([whole], ["12 of 12 instances are in none"])):
            done = harness.meanode("merge", out, *given)
            self.assertEqual((done.returncode, done.stdout), (65, ""), given)
            for word in words:
                self.assertIn(word, done.stderr)
            self.assertFalse(out.exists())
        self.assertEqual(harness.meanode("merge", out, *files[:6], twice, stray).returncode, 0)

    def test_more_shards_than_instances(self):
        """Those beyond the 12 instances hold none, and are not asked for."""
        self.assertEqual(self.start("many0.h5", "0/999999999").returncode, 0)
        for shard in range(12):
            self.assertEqual(self.start(f"some{shard}.h5", f"{shard}/20").returncode, 0)
        done = harness.meanode("merge", self.folder / "all.h5", self.folder / "many0.h5")
        self.assertEqual(done.returncode, 65)
        self.assertIn("shards 1, 2, 3, 4, 5, 6, 7, 8 and 3 more of 999999999", done.stderr)
        self.assertEqual(harness.meanode("merge", self.folder / "all.h5", *(self.folder / f"some{shard}.h5" for shard in range(12))).returncode, 0)

    def test_a_share_that_is_none_is_no_share(self):
        """Changed by others: the file is one of the whole sweep."""
        self.assertEqual(self.start("odd.h5", "1/3").returncode, 0)
        for wrong in ([3, 3, 1], [-1, 3, 1], [1, -3, 1], [5, 0, 0], [1, 3]):
            with h5py.File(self.folder / "odd.h5", "r+") as file:
                file.attrs["shard"] = numpy.array(wrong, "i4")
            done = harness.meanode("status", self.folder / "odd.h5")
            self.assertEqual((done.returncode, "shard " in done.stdout), (0, False), wrong)

    def test_tasks_that_share_a_name(self):
        """The second is told why; nothing of the first is lost."""
        import fcntl
        name = self.folder / "same.h5"
        with open(f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.write(f"host {os.uname().nodename} process {os.getpid()} start 1 beat 1\n")
            lock.flush()
            done = self.start("same.h5", "1/6")
        self.assertEqual(done.returncode, 74)
        self.assertIn("tasks of a job array need one each", done.stderr)


unittest.main()
