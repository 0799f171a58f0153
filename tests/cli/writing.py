# SPDX-License-Identifier: BSD-3-Clause
"""Figures and pages appear whole or not at all, under any name, and leave what was there as it was when they cannot."""

import os
import pathlib
import signal
import stat
import subprocess
import tempfile
import time
import unittest

from meanode import figures, report, writing

BINARY = os.environ["MEANODE"]
OLD = b"what was there"
CONFIG = """\
data: {kind: gaussian, samples: 2, inputs: 2, targets: 1}
model: {D: 2}
training: {steps: 1}
limit: {tolerance: 1e-1}
sweep: {L: [4, 8], M: [1, 2], seeds: 4}
record: {steps: [1]}
"""


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def leftovers(self):
        return [name for name in os.listdir(self.folder) if name.startswith(".meanode-")]


class Files(Folder):
    """The function that all outputs go through."""

    def test_new_and_old(self):
        before = os.umask(0o027)
        self.addCleanup(os.umask, before)
        new, old = self.folder / "new", self.folder / "old"
        for mode in (None, 0o600, 0o644, 0o755, 0o666, 0o604):
            if mode is not None:
                old.write_bytes(OLD)
                old.chmod(mode)
            writing.write(new if mode is None else old, b"content")
            found = new if mode is None else old
            self.assertEqual(found.read_bytes(), b"content")
            self.assertEqual(stat.S_IMODE(found.stat().st_mode), 0o640 if mode is None else mode)
        self.assertEqual(self.leftovers(), [])

    def test_names(self):
        for name in ("a b", "new\nline", "bad\udcff", "<b>&\"'", "-o", "~", "%s", "ü", "n" * 255, " ", "a;b", "\x1b[31m"):
            writing.write(self.folder / name, b"content")
            self.assertEqual((self.folder / name).read_bytes(), b"content", name)
        self.assertEqual(self.leftovers(), [])

    def test_links(self):
        (self.folder / "sub").mkdir()
        for target in ("target", "sub/target", "second", str(self.folder / "sub" / "absolute")):
            link = self.folder / "link"
            if target == "second":
                (self.folder / "second").symlink_to("sub/end")
            for there in (False, True):
                link.unlink(missing_ok=True)
                link.symlink_to(target)
                writing.write(link, f"{target} {there}".encode())
                self.assertTrue(link.is_symlink())
                self.assertEqual((self.folder / target).read_bytes(), f"{target} {there}".encode())
        self.assertTrue((self.folder / "second").is_symlink())

    def test_a_folder_that_is_a_link(self):
        (self.folder / "real").mkdir()
        (self.folder / "alias").symlink_to("real")
        writing.write(self.folder / "alias" / "file", b"content")
        self.assertEqual((self.folder / "real" / "file").read_bytes(), b"content")

    def test_refused(self):
        (self.folder / "dir").mkdir()
        (self.folder / "file").write_bytes(OLD)
        os.mkfifo(self.folder / "fifo")
        for link, target in (("loop", "loop"), ("nowhere", "no/where"), ("null", "/dev/null"), ("todir", "dir"), ("tofifo", "fifo")):
            (self.folder / link).symlink_to(target)
        for name, words in (("dir", "a folder"), ("fifo", "not a regular file"), ("loop", "symbolic links"), ("nowhere", "there is no folder"),
                            ("null", "not a regular file"), ("todir", "a folder"), ("tofifo", "not a regular file"), ("no/file", "there is no folder"),
                            ("file/below", "Not a directory"), ("n" * 256, "too long"), ("", "a folder"), (".", "a folder"), ("..", "a folder")):
            with self.assertRaises(writing.CannotWrite, msg=name) as caught:
                writing.write(self.folder / name, b"content")
            self.assertIn(words, str(caught.exception), name)
            self.assertTrue(str(caught.exception).startswith(f"cannot write {self.folder / name}: "), str(caught.exception))
        self.assertEqual((self.folder / "file").read_bytes(), OLD)
        self.assertEqual(self.leftovers(), [])

    def test_protected(self):
        if os.geteuid() == 0:
            self.skipTest("root may write anywhere")
        (self.folder / "file").write_bytes(OLD)
        (self.folder / "file").chmod(0o444)
        with self.assertRaisesRegex(writing.CannotWrite, "write-protected"):
            writing.write(self.folder / "file", b"content")
        (self.folder / "file").chmod(0o644)
        self.folder.chmod(0o555)
        self.addCleanup(self.folder.chmod, 0o755)
        with self.assertRaisesRegex(writing.CannotWrite, "takes no new files"):
            writing.write(self.folder / "file", b"content")
        self.assertEqual((self.folder / "file").read_bytes(), OLD)

    def test_an_owner_stays(self):
        if os.geteuid() != 0:
            self.skipTest("only root gives files away")
        (self.folder / "file").write_bytes(OLD)
        os.chown(self.folder / "file", 12345, 54321)
        (self.folder / "file").chmod(0o640)
        writing.write(self.folder / "file", b"content")
        about = (self.folder / "file").stat()
        self.assertEqual((about.st_uid, about.st_gid, stat.S_IMODE(about.st_mode)), (12345, 54321, 0o640))

    def test_whatever_fails(self):
        """Every system call on the way fails in turn, with what disks, quotas and people do."""
        file = self.folder / "file"
        for name, problem in (("open", OSError(28, "No space left on device")), ("open", OSError(122, "Disk quota exceeded")), ("fsync", OSError(5, "Input/output error")),
                              ("replace", OSError(18, "Invalid cross-device link")), ("fchmod", OSError(1, "Operation not permitted")),
                              ("fsync", KeyboardInterrupt()), ("replace", KeyboardInterrupt()), ("fchmod", MemoryError())):
            file.write_bytes(OLD)
            whole = getattr(os, name)

            def failing(*arguments, **options):
                raise problem

            setattr(os, name, failing)
            try:
                with self.assertRaises(writing.CannotWrite if isinstance(problem, OSError) else type(problem), msg=name) as caught:
                    writing.write(file, b"content")
            finally:
                setattr(os, name, whole)
            if isinstance(problem, OSError):
                self.assertEqual((str(caught.exception), caught.exception.errno), (f"cannot write {file}: {problem.strerror}", problem.errno))
            self.assertEqual((file.read_bytes(), self.leftovers()), (OLD, []), name)

    def test_visible(self):
        for text, wanted in (("plain é 漢", "plain é 漢"), ("a\nb\tc\r", "a\\nb\\tc\\r"), ("\udcff\udc80", "\\xff\\x80"), ("\x1b[31m", "\\x1b[31m"), ("\x00", "\\x00"),
                             ("\u202e", "\\u202e"), ("\ud800", "\\ud800")):
            self.assertEqual(writing.visible(text), wanted)
            writing.visible(text).encode()


class WithResults(Folder):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        config, cls.results = (pathlib.Path(folder.name) / name for name in ("a.yaml", "a.h5"))
        config.write_text(CONFIG)
        subprocess.run([BINARY, "run", config, "-o", cls.results, "--progress", "none"], check=True, capture_output=True)


class Outputs(WithResults):
    """Figures and pages of the module."""

    def test_a_figure_that_cannot_be_saved_leaves_the_old_one(self):
        target = self.folder / "figure.png"
        target.write_bytes(OLD)
        whole = os.fsync

        def full(descriptor):
            raise OSError(28, "No space left on device")

        os.fsync = full
        try:
            for output, draw in ((target, lambda: figures.draw(self.results, target, dpi=30)),
                                 (self.folder / "page.html", lambda: report.write_report([self.results], self.folder / "page.html"))):
                output.write_bytes(OLD)
                with self.assertRaisesRegex(writing.CannotWrite, "No space left"):
                    draw()
                self.assertEqual((output.read_bytes(), self.leftovers()), (OLD, []))
        finally:
            os.fsync = whole

    def test_any_name_on_a_page(self):
        names = ["bad\udcff.h5", "new\nline.h5", "<script>.h5", "ü&.h5"]
        for name in names[:2]:
            os.link(self.results, self.folder / name)
        for name in names[2:]:
            (self.folder / name).write_text("no result")
        (self.folder / "page.html").write_bytes(OLD)
        done = subprocess.run([BINARY, "report", *names, "-o", "page.html"], cwd=self.folder, capture_output=True, env={**os.environ, "LC_ALL": "C"})
        self.assertEqual((done.returncode, done.stderr.count(b"\n")), (65, 3), done.stderr)
        text = (self.folder / "page.html").read_bytes().decode("utf-8")
        for words in ("<h2>bad\\xff.h5: ", "<h2>new\\nline.h5: ", "<h2>&lt;script&gt;.h5: no figure", "<h2>ü&amp;.h5: no figure"):
            self.assertIn(words, text)
        self.assertNotIn("<script>", text)

    def test_the_same_bytes(self):
        """Under any name, at any time; a notebook's own style is neither used nor changed."""
        import matplotlib
        figures.draw(self.results, self.folder / "ONE.PNG", dpi=20)
        with matplotlib.rc_context({"font.size": 30, "savefig.bbox": "tight", "axes.grid": True, "figure.dpi": 7, "lines.marker": "x"}):
            fig = figures.draw(self.results, self.folder / ".png", dpi=20)
            self.assertEqual(matplotlib.rcParams["font.size"], 30)
        self.assertEqual((self.folder / "ONE.PNG").read_bytes(), (self.folder / ".png").read_bytes())
        with figures.style.look():
            self.assertNotIn(b"CreationDate", figures.drawn(fig, "pdf"))
            self.assertNotIn(b"<dc:date>", figures.drawn(fig, "svg"))


class Commands(WithResults):
    """The program's standard streams and signals."""

    def shell(self, line, **options):
        return subprocess.run(["bash", "-c", line, BINARY, self.results], cwd=self.folder, capture_output=True, text=True, **options)

    def test_streams(self):
        plot = '"$0" plot "$1" -o f.png --dpi 20'
        for line, code, words in ((f"{plot} <&- 2>&- | true; exit ${{PIPESTATUS[0]}}", 0, ""), (f"{plot} > /dev/full", 74, "No space left on device"),
                                  (f"{plot} <&- >&- 2>&- --problem 7", 65, "")):
            (self.folder / "f.png").write_bytes(OLD)
            done = self.shell(line)
            self.assertEqual((done.returncode, done.stderr.count("\n"), words in done.stderr), (code, 1 if words else 0, True), (line, done.stderr))
            self.assertEqual((self.folder / "f.png").read_bytes() == OLD, code == 65, line)

    def test_what_would_be_lost_is_not_written(self):
        os.link(self.results, self.folder / "same.png")
        (self.folder / "page.html").symlink_to(self.results)
        for line, code, words in (('"$0" plot same.png -o same.png', 2, "both the output and the input"), ('"$0" report x "$1" -o page.html', 2, "both the output and an input"),
                                  ('ulimit -f 1; "$0" plot "$1" -o f.png', 74, "f.png: File too large")):
            done = self.shell(line, timeout=60)
            self.assertEqual(done.returncode, code, (line, done.stderr))
            self.assertIn(words, done.stderr)
        self.assertEqual((self.folder / "same.png").read_bytes()[1:4], b"HDF")

    def test_interrupted(self):
        """Wherever it is: no traceback, nothing left, the old figure whole; or it was done before."""
        target = self.folder / "f.png"
        for number, delay in ((signal.SIGINT, 0.0), (signal.SIGTERM, 0.2), (signal.SIGHUP, 0.6)):
            target.write_bytes(OLD)
            running = subprocess.Popen([BINARY, "plot", self.results, "-o", target, "--dpi", "20"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(delay)
            running.send_signal(number)
            _, said = running.communicate(timeout=120)
            with self.subTest(delay=delay, code=running.returncode):
                self.assertIn(running.returncode, (75, 0, -number))  # -number: before the program had begun
                self.assertEqual(said, "meanode: interrupted\n" if running.returncode == 75 else "")
                self.assertTrue(target.read_bytes() == OLD or running.returncode == 0)
                self.assertEqual(self.leftovers(), [])


if __name__ == "__main__":
    unittest.main()
