# SPDX-License-Identifier: BSD-3-Clause
"""Processes that are given little: memory, threads, descriptors, stack, file sizes, processor time. A command ends with its own
exit code and a message, never by a signal of the system, and a run loses nothing."""

import os
import pathlib
import re
import resource
import signal
import subprocess
import tempfile
import time
import unittest

CONFIG = ("data: {{kind: gaussian, samples: 4, inputs: 3, targets: 2}}\nmodel: {{D: 4}}\ntraining: {{steps: {steps}}}\n"
          "limit: {{tolerance: 1e-2}}\nsweep: {{L: [4, 8, 16], M: [1, 2, 4], seeds: {seeds}}}\n")
MEBIBYTE = 1 << 20


def limited(soft=True, **limits):
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        most = resource.getrlimit(kind)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, most if soft else value))


class Limits(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        (self.folder / "small.yaml").write_text(CONFIG.format(steps=3, seeds=8))
        (self.folder / "long.yaml").write_text(CONFIG.format(steps=100000, seeds=1000))
        # What HDF5 loses after a failed write is not ours.
        (self.folder / "leaks").write_text("leak:libhdf5\n")
        self.environment = {**os.environ, "LSAN_OPTIONS": f"suppressions={self.folder / 'leaks'}:print_suppressions=0"}

    def meanode(self, *arguments, prepare=None):
        return subprocess.run([os.environ["MEANODE"], *arguments], cwd=self.folder, capture_output=True, text=True, timeout=250,
                              env=self.environment, preexec_fn=prepare)

    def run_under(self, prepare, *more):
        return self.meanode("run", "small.yaml", "-o", "out.h5", "--progress", "none", *more, prepare=prepare)

    def least(self):
        """MiB of address space with which the program starts."""
        return next(m for m in range(16, 120, 2) if self.meanode("--version", prepare=lambda: limited(AS=m * MEBIBYTE)).returncode == 0)

    def clean(self, done, codes, what):
        """An exit code of ours, and a message where it is a failure."""
        self.assertIn(done.returncode, (0, *codes), (what, done.stderr))
        if done.returncode:
            self.assertRegex(done.stderr, r"^meanode \w+: \S+", what)

    def goes_on(self, what):
        """Whatever was left, the run can be finished from it."""
        done = self.run_under(None, "--resume")
        self.assertEqual(done.returncode, 0, (what, done.stderr))
        self.assertEqual(self.meanode("status", "out.h5").stdout, "out.h5: 72 done, 0 diverged, 0 missing\n")
        (self.folder / "out.h5").unlink()

    def needs_little(self, **limits):
        """Instrumented programs take terabytes of address space."""
        if self.meanode("--version", prepare=lambda: limited(**limits)).returncode != 0:
            self.skipTest("this build does not start with little memory")

    def test_address_space(self):
        self.needs_little(AS=120 * MEBIBYTE)
        least = self.least()
        codes = set()
        for size in (*range(least + 2, least + 40, 3), *range(least + 40, least + 80, 8), 500):
            done = self.run_under(lambda: limited(AS=size * MEBIBYTE), "--threads", "3")
            self.clean(done, (1, 65), size)
            codes.add(done.returncode)
            if done.returncode:
                self.assertIn("memory", done.stderr)
            self.goes_on(size)
        self.assertEqual(codes & {0, 1}, {0, 1})

    def test_address_space_of_readers(self):
        self.needs_little(AS=120 * MEBIBYTE)
        self.assertEqual(self.run_under(None).returncode, 0)
        least = self.least()
        for command in (("fit", "out.h5"), ("info", "out.h5"), ("status", "out.h5"), ("check", "small.yaml"), ("help", "config"),
                        ("merge", "merged.h5", "out.h5", "--force")):
            for size in (*range(least + 2, least + 40, 9), 500):
                self.clean(self.meanode(*command, prepare=lambda: limited(AS=size * MEBIBYTE)), (1, 65), (command, size))

    def test_the_bound_is_named(self):
        self.needs_little(AS=120 * MEBIBYTE)
        for name, letter in (("AS", "v"), ("DATA", "d")):
            done = self.meanode("check", "small.yaml", prepare=lambda: limited(**{name: 300 * MEBIBYTE}))
            self.assertRegex(done.stdout, rf"; free: 2?[0-9.]+ MiB \(ulimit -{letter}\)\n")
        (self.folder / "large.yaml").write_text(CONFIG.format(steps=3, seeds=8).replace("D: 4", "D: 1024").replace("[1, 2, 4]", "1024"))
        done = self.meanode("check", "large.yaml", prepare=lambda: limited(AS=200 * MEBIBYTE))
        self.assertEqual(done.returncode, 65)
        self.assertRegex(done.stderr, r"GiB are free \(ulimit -v\)")

    def test_descriptors(self):
        for count in range(3, 14):
            done = self.run_under(lambda: limited(NOFILE=count))
            self.assertIn(done.returncode, (0, 1, 65, 74, 127), count)
            if done.returncode not in (0, 127):  # 127: not even the libraries can be loaded
                self.clean(done, (1, 65, 74), count)
            if count >= 12:
                self.assertEqual(done.returncode, 0, done.stderr)
            self.goes_on(count)

    def test_stack(self):
        self.needs_little(AS=120 * MEBIBYTE)
        for size in (128 << 10, 1 << 20, resource.RLIM_INFINITY):
            done = self.run_under(lambda: limited(STACK=size), "--threads", "3")
            self.assertEqual(done.returncode, 0, (size, done.stderr))
            self.goes_on(size)

    def test_threads(self):
        """Root is not bound by that: then as somebody else, where they can reach the program."""
        root = os.geteuid() == 0

        def prepare():
            if root:
                os.chdir("/")
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            limited(NPROC=1)

        if root:
            self.folder.chmod(0o777)
        try:
            done = subprocess.run([os.environ["MEANODE"], "run", self.folder / "small.yaml", "-o", self.folder / "out.h5"],
                                  capture_output=True, text=True, timeout=250, preexec_fn=prepare)
        except (OSError, subprocess.SubprocessError) as problem:
            self.skipTest(f"cannot be tried by this user: {problem}")
        if "cannot start the thread" not in done.stderr and done.returncode in (0, 127):
            self.skipTest("the limit does not hold here")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("cannot start the thread", done.stderr)
        self.assertIn("ulimit -u", done.stderr)

    def test_file_size(self):
        for size in (0, 100, 5000, 20000, 60000):
            done = self.run_under(lambda: limited(FSIZE=size))
            self.assertEqual(done.returncode, 74, (size, done.stderr))
            self.assertIn("File too large", done.stderr)
            self.goes_on(size)

    def start(self, prepare):
        process = subprocess.Popen([os.environ["MEANODE"], "run", "long.yaml", "-o", "long.h5", "--threads", "1"], cwd=self.folder,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=prepare)
        self.addCleanup(process.kill)
        return process

    def saved(self, process):
        _, messages = process.communicate(timeout=250)
        self.assertEqual(process.returncode, 75, messages)
        self.assertRegex(messages, r"interrupted: \d+ of 9000 instances are in long.h5")
        self.assertEqual(self.meanode("status", "long.h5").returncode, 0)
        (self.folder / "long.h5").unlink()

    def test_processor_time(self):
        """The warning of a soft limit, and the end of a hard one, which comes without."""
        for soft, seconds in ((True, 1), (False, 2)):
            self.saved(self.start(lambda: limited(soft, CPU=seconds)))

    def test_a_terminal_that_closes(self):
        process = self.start(lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
        while not (self.folder / "long.h5.journal").exists():
            time.sleep(0.02)
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGHUP)
        self.saved(process)

    def test_nohup(self):
        """What ignores the terminal's end goes on ignoring it."""
        process = self.start(lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        while not (self.folder / "long.h5.journal").exists():
            time.sleep(0.02)
            self.assertIsNone(process.poll())
        ignored = re.search(r"(?m)^SigIgn:\s*(\w+)", pathlib.Path(f"/proc/{process.pid}/status").read_text())[1]
        self.assertTrue(int(ignored, 16) >> (signal.SIGHUP - 1) & 1)
        process.send_signal(signal.SIGTERM)
        self.saved(process)

    def test_no_more_memory_than_announced(self):
        """The peak of a run against what check says, for records, diagnostics and limits that are large."""
        self.needs_little(AS=120 * MEBIBYTE)
        for samples, D, L, M, record, limit in ((64, 64, 128, 64, "{weights: both}", "none"), (1000, 32, 64, 4, "{path: true}", "mean-ode"),
                                                (512, 64, 128, 64, "{embedding: true}", "none")):
            (self.folder / "shape.yaml").write_text(
                f"data: {{kind: gaussian, samples: {samples}, inputs: 8, targets: 4}}\nmodel: {{D: {D}}}\ntraining: {{steps: 1}}\n"
                f"limit: {{kind: {limit}, tolerance: 0.1, seconds: 1}}\nsweep: {{L: {L}, M: {M}, seeds: 2}}\nrecord: {record}\n")
            said = re.search(r"in all about ([0-9.]+) MiB", self.meanode("check", "shape.yaml", "--threads", "2").stdout)
            process = subprocess.Popen([os.environ["MEANODE"], "run", "shape.yaml", "--force", "--threads", "2", "--progress", "none"],
                                       cwd=self.folder, stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            self.assertEqual(status, 0)
            process.returncode = 0
            self.assertLess(used.ru_maxrss / 1024, 1.1 * float(said[1]) + 50, (record, said[0]))
            self.assertGreater(used.ru_maxrss / 1024, 0.4 * float(said[1]), (record, said[0]))

    def test_largest_networks_within_a_budget(self):
        """As many threads as limit.memory leaves room for; without room for one it is refused."""
        self.needs_little(AS=120 * MEBIBYTE)
        for memory, threads in (("0.05", None), ("0.2", "one"), ("4", "two")):
            (self.folder / "shape.yaml").write_text(
                f"data: {{kind: gaussian, samples: 10, inputs: 5, targets: 5}}\nmodel: {{D: 64}}\ntraining: {{steps: 1}}\n"
                f"limit: {{kind: largest, memory: {memory}}}\nsweep: {{L: 500, M: 256, seeds: 2}}\nrecord: {{steps: [1]}}\n")
            process = subprocess.Popen([os.environ["MEANODE"], "run", "shape.yaml", "--limits-only", "--force", "--threads", "2", "--progress", "none"],
                                       cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            said, peak = process.stderr.read(), used.ru_maxrss / 1024**2
            process.stderr.close()
            if threads is None:
                self.assertEqual(process.returncode, 65)
                self.assertIn("limit.memory: 2 networks of L = 500, M = 256", said)
                continue
            self.assertEqual(process.returncode, 0, said)
            self.assertLess(peak, 1.1 * float(memory))
            self.assertEqual(peak > 0.2, threads == "two", peak)


if __name__ == "__main__":
    unittest.main()
