# SPDX-License-Identifier: BSD-3-Clause
"""Standard streams in any state, for every command: no result is lost, no exit code is wrong, and no failure is silent."""

import fcntl
import itertools
import os
import pathlib
import pty
import re
import subprocess
import tempfile
import termios
import threading
import unittest

SMALL = ("data: {kind: gaussian, samples: 4, inputs: 3, targets: 2}\nmodel: {D: 4}\ntraining: {steps: 3}\nlimit: {tolerance: 1e-2}\n"
         "sweep: {L: [4, 8, 16], M: [1, 2, 4], seeds: 8}\n")
DIVERGING = ("data: {kind: gaussian, samples: 4, inputs: 3, targets: 2}\nmodel: {D: 4, activation: relu}\n"
             "training: {steps: 40, eta_u: 1000, eta_v: 1000}\nlimit: {kind: none}\nsweep: {L: 4, M: 4, seeds: 4}\n")

RUN = ("run", "small.yaml", "-o", "out.h5", "--force")
# Arguments, the exit code where all is well, and whether there is something on standard output then.
COMMANDS = (
    (("help",), 0, True), (("help", "run"), 0, True), (("help", "config"), 0, True), (("help", "nothing"), 2, False),
    (("--help",), 0, True), (("--version",), 0, True), ((), 2, False), (("nothing",), 2, False),
    (("run", "--help"), 0, True), (("plot", "--help"), 0, True), (("report", "--help"), 0, True),
    (("run",), 2, False), (("fit", "--frobnicate"), 2, False), (("run", "absent.yaml"), 74, False),
    (("run", "wrong.yaml"), 65, False), (("fit", "wrong.yaml"), 65, False), (("status", "whole.h5", "absent.h5"), 74, True),
    (("check", "small.yaml"), 0, True), (("check", "wrong.yaml"), 65, False), (("status", "whole.h5"), 0, True),
    (("info",), 0, True), (("info", "whole.h5"), 0, True), (("fit", "whole.h5"), 0, True), (("fit", "whole.h5", "--json"), 0, True),
    (("merge", "merged.h5", "shard0.h5", "shard1.h5", "--force"), 0, True), (("run", "diverging.yaml", "--force"), 3, True),
    (RUN, 0, True), (RUN + ("--dry-run",), 0, True), *((RUN + ("--progress", style), 0, True) for style in ("bar", "lines", "none")),
)
WRITES = {"merge": "merged.h5", "run": "out.h5"}


def limited(**limits):
    import resource

    for name, values in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        resource.setrlimit(kind, values if isinstance(values, tuple) else (values, resource.getrlimit(kind)[1]))


class Streams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.holder.name)
        for name, text in (("small", SMALL), ("diverging", DIVERGING), ("wrong", "data: {kind: gausian}\n")):
            (cls.folder / f"{name}.yaml").write_text(text)
        for output, *more in (("whole.h5",), ("shard0.h5", "--shard", "0/2"), ("shard1.h5", "--shard", "1/2")):
            done = cls.meanode("run", "small.yaml", "-o", output, *more)
            assert done.returncode == 0, done.stderr
        cls.usual = {arguments: cls.meanode(*arguments) for arguments, _, _ in COMMANDS}

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    @classmethod
    def meanode(cls, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, prepare=None):
        return subprocess.run([os.environ["MEANODE"], *arguments], cwd=cls.folder, stdout=stdout, stderr=stderr, text=True,
                              timeout=250, preexec_fn=prepare)

    def same(self, text, usual, arguments):
        """But for times and what is free."""
        plain = [re.sub(r"[0-9.]+ ?(s|[KMG]iB)\b|free: .*|[0-9:.]+/s.*|[0-9]:[0-9]{2}", "", t) for t in (text, usual)]
        self.assertEqual(*plain, arguments)

    def whole(self, arguments):
        if arguments[:1] and arguments[0] in WRITES and self.usual[arguments].returncode == 0 and not {"--dry-run", "--help"} & set(arguments):
            state = self.meanode("status", WRITES[arguments[0]])
            self.assertEqual((state.returncode, state.stdout), (0, f"{WRITES[arguments[0]]}: 72 done, 0 diverged, 0 missing\n"))
            for left in ("journal", "lock", "new"):
                self.assertFalse((self.folder / f"{WRITES[arguments[0]]}.{left}").exists())

    def test_usual(self):
        for arguments, code, speaks in COMMANDS:
            usual = self.usual[arguments]
            self.assertEqual((usual.returncode, usual.stdout != ""), (code, speaks), (arguments, usual.stderr))
            if arguments[:1] != ("run",):  # whose progress is there
                self.assertEqual(usual.stderr != "", code != 0, (arguments, usual.stderr))

    def test_closed(self):
        """A stream that was closed is one that nobody wants; no file gets its descriptor."""
        for arguments, code, _ in COMMANDS:
            for count in (1, 2, 3):
                for closed in itertools.combinations((0, 1, 2), count):
                    done = self.meanode(*arguments, prepare=lambda: [os.close(fd) for fd in closed])
                    self.assertEqual(done.returncode, code, (arguments, closed, done.stderr))
                    usual = self.usual[arguments]
                    self.same(done.stdout, "" if 1 in closed else usual.stdout, (arguments, closed))
                    if "bar" not in arguments:
                        self.same(done.stderr, "" if 2 in closed else usual.stderr, (arguments, closed))
            self.whole(arguments)

    def lost(self, arguments, code, speaks, done, why):
        """Output that could not be written is exit code 74, unless the command had failed anyway."""
        self.assertEqual(done.returncode, 74 if speaks and code in (0, 3) else code, (arguments, done.stderr))
        name = f"meanode {arguments[0]}" if arguments[:1] and arguments[0] in {*WRITES, "check", "fit", "info", "status", "plot", "report"} else "meanode"
        line = f"{name}: cannot write to standard output: {why}; what stands there is not all\n"
        self.assertEqual(done.stderr.count(line), int(speaks), (arguments, done.stderr))
        self.whole(arguments)

    def test_full_output(self):
        for arguments, code, speaks in COMMANDS:
            with open("/dev/full", "w") as full:
                self.lost(arguments, code, speaks, self.meanode(*arguments, stdout=full), "No space left on device")

    def test_output_open_for_reading(self):
        for arguments, code, speaks in COMMANDS:
            with open("/dev/null") as unwritable:
                self.lost(arguments, code, speaks, self.meanode(*arguments, stdout=unwritable), "Bad file descriptor")

    def test_output_at_the_limit_of_file_sizes(self):
        size = 1 << 20
        for arguments, code, speaks in COMMANDS:
            with open(self.folder / "long", "wb") as long:
                long.truncate(size)
                long.seek(size)
                done = self.meanode(*arguments, stdout=long, prepare=lambda: limited(FSIZE=size))
            self.lost(arguments, code, speaks, done, "File too large")

    def test_a_reader_that_left(self):
        """As of `meanode ... | true`, for one stream or both: quiet, and the exit code is the command's."""
        for arguments, code, _ in COMMANDS:
            for gone in (("stdout",), ("stderr",), ("stdout", "stderr")):
                ends = os.pipe()
                os.close(ends[0])
                done = self.meanode(*arguments, **{name: ends[1] for name in gone})
                os.close(ends[1])
                self.assertEqual(done.returncode, code, (arguments, gone))
                for name in {"stdout", "stderr"} - set(gone):
                    if "bar" not in arguments:
                        self.same(getattr(done, name), getattr(self.usual[arguments], name), (arguments, gone))
            self.whole(arguments)

    def test_full_messages(self):
        """Messages that cannot be written change nothing."""
        for arguments, code, _ in COMMANDS:
            with open("/dev/full", "w") as full:
                done = self.meanode(*arguments, stderr=full)
            self.assertEqual(done.returncode, code, arguments)
            self.same(done.stdout, self.usual[arguments].stdout, arguments)
            self.whole(arguments)

    def test_output_that_does_not_wait(self):
        """All arrives through a small non-blocking pipe, at the reader's pace."""
        for arguments, code, speaks in COMMANDS:
            if not speaks:
                continue
            ends = os.pipe()
            fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
            os.set_blocking(ends[1], False)
            text = []

            def read():
                while part := os.read(ends[0], 100):
                    text.append(part)

            reader = threading.Thread(target=read)
            with subprocess.Popen([os.environ["MEANODE"], *arguments], cwd=self.folder, stdout=ends[1], stderr=subprocess.PIPE) as process:
                os.close(ends[1])
                reader.start()
                process.stderr.read()
                reader.join()
            os.close(ends[0])
            self.assertEqual(process.returncode, code, arguments)
            self.same(b"".join(text).decode(), self.usual[arguments].stdout, arguments)

    def test_progress_that_nobody_reads(self):
        """A pipe that is full and stays so does not hold up a run."""
        for style in ("auto", "bar", "lines", "none"):
            ends = os.pipe()
            os.set_blocking(ends[1], False)
            try:
                while os.write(ends[1], bytes(1024)):
                    pass
            except BlockingIOError:
                os.set_blocking(ends[1], True)
            done = self.meanode(*RUN, "--progress", style, stderr=ends[1])
            for end in ends:
                os.close(end)
            self.assertEqual(done.returncode, 0)
            self.whole(RUN)

    def test_a_terminal_that_hung_up(self):
        """It is a reader that left."""
        for arguments, code, _ in COMMANDS:
            master, terminal = pty.openpty()
            os.close(master)
            done = self.meanode(*arguments, stdout=terminal)
            os.close(terminal)
            self.assertEqual(done.returncode, code, (arguments, done.stderr))
            self.assertNotIn("cannot write to standard output", done.stderr)
            self.whole(arguments)

    def test_a_terminal_that_was_stopped(self):
        """Ctrl-S holds up what is shown, not the run."""
        for style in ("auto", "bar", "lines"):
            master, terminal = pty.openpty()
            termios.tcflow(terminal, termios.TCOOFF)
            self.assertEqual(self.meanode(*RUN, "--progress", style, stderr=terminal).returncode, 0)
            self.whole(RUN)
            os.close(terminal)
            os.close(master)

    def test_figures_without_streams(self):
        """Python starts with sane descriptors, too."""
        done = self.meanode("plot", "whole.h5", "-o", "figure.png", "--dpi", "20", prepare=lambda: [os.close(fd) for fd in (0, 1, 2)])
        self.assertEqual(done.returncode, 0)
        self.assertEqual((self.folder / "figure.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")

    def test_many_results_without_streams(self):
        """Enough for lines of progress and several versions of the file."""
        (self.folder / "many.yaml").write_text(SMALL.replace("seeds: 8", "seeds: 2000"))
        done = self.meanode("run", "many.yaml", "-o", "many.h5", "--progress", "bar", prepare=lambda: [os.close(fd) for fd in (0, 1, 2)])
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.meanode("status", "many.h5").stdout, "many.h5: 18000 done, 0 diverged, 0 missing\n")


if __name__ == "__main__":
    unittest.main()
