# SPDX-License-Identifier: BSD-3-Clause
"""Result files that belong to users: their links, modes and owners, what they add and change, programs that have them open."""

import contextlib
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import tempfile
import unittest

import h5py
import numpy as np
import xarray

import meanode

MEANODE = os.environ["MEANODE"]
CONFIG = """\
data: {{kind: gaussian, samples: 3, inputs: 2, targets: 2}}
model: {{D: 3}}
training: {{steps: 2}}
limit: {{tolerance: 1e-2}}
sweep: {{L: [2, 4], M: [1, 2], seeds: {seeds}}}
record: {{steps: all, embedding: true, weights: final}}
"""
ROWS, MORE_ROWS = 8, 12
OTHER = 65534  # nobody


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        pathlib.Path("small.yaml").write_text(CONFIG.format(seeds=2))
        pathlib.Path("more.yaml").write_text(CONFIG.format(seeds=3))

    def call(self, *arguments, user=None, umask=-1, groups=()):
        options = {"user": user, "group": user, "extra_groups": list(groups)} if user is not None else {}
        return subprocess.run([MEANODE, *arguments], capture_output=True, text=True, timeout=120, umask=umask, **options)

    def run_(self, config, out, *arguments, expect=0, **options):
        done = self.call("run", config, "-o", out, "--progress", "none", "--threads", "1", *arguments, **options)
        self.assertEqual(done.returncode, expect, f"{out} {arguments}: {done.stderr}")
        return done.stderr

    def statuses(self, path):
        with h5py.File(path) as file:
            return file["status"][()]

    def contents(self, path):
        """Everything that instances and limits have, by name, in the order of ids."""
        with h5py.File(path) as file:
            order = np.argsort(file["id"][()])
            return {name: file[name][()][order].tobytes() for name in ("id", "loss", "error_output", "problem_0000/output")}


class Files(Case):
    def test_links_stay(self):
        os.makedirs("far/deep")
        links = {"to_new.h5": "far/a.h5", "to_link.h5": "to_new2.h5", "to_new2.h5": "far/deep/b.h5", "absolute.h5": str(self.folder / "far/c.h5")}
        for link, target in links.items():
            os.symlink(target, link)
        for link, target in {"to_new.h5": "far/a.h5", "to_link.h5": "far/deep/b.h5", "absolute.h5": "far/c.h5"}.items():
            for config, how in (("small.yaml", ()), ("more.yaml", ("--resume",)), ("small.yaml", ("--force",))):
                self.run_(config, link, *how)
                self.assertTrue(os.path.islink(link) and not os.path.islink(target) and os.path.isfile(target), (link, how))
            self.assertIn("8 done", self.call("status", link).stdout)
        os.symlink("far/merged.h5", "merged.h5")
        for how in ((), ("--force",)):
            self.assertEqual(self.call("merge", "merged.h5", "to_new.h5", *how).returncode, 0)
            self.assertTrue(os.path.islink("merged.h5") and os.path.isfile("far/merged.h5"))
        os.chdir("far/deep")  # a relative link is relative to its own folder
        self.run_("../../more.yaml", "../../to_new.h5", "--resume")
        self.assertEqual(len(self.statuses("../a.h5")), MORE_ROWS)

    def test_modes_and_attributes(self):
        access = struct.pack("<I", 2) + b"".join(
            struct.pack("<HHI", *entry) for entry in ((1, 6, 0xFFFFFFFF), (2, 6, 1234), (4, 4, 0xFFFFFFFF), (16, 6, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)))

        def listed(path):
            return {name: os.getxattr(path, name) for name in os.listxattr(path) if not name.startswith("security.")}

        for mode in (0o600, 0o640, 0o664, 0o666, 0o604, 0o750):
            for how in ("--resume", "--force", "merge"):
                for name in ("a.h5", "s.h5"):
                    with contextlib.suppress(FileNotFoundError):
                        os.remove(name)
                self.run_("small.yaml", "a.h5")
                shutil.copy("a.h5", "s.h5")
                os.chmod("a.h5", mode)
                with contextlib.suppress(OSError):  # not every file system has them
                    os.setxattr("a.h5", "user.note", b"mine")
                    os.setxattr("a.h5", "system.posix_acl_access", access)
                    os.chmod("a.h5", mode)
                before = listed("a.h5")
                if how == "merge":
                    done = self.call("merge", "a.h5", "s.h5", "--force", umask=0o022)
                    self.assertEqual(done.returncode, 0, done.stderr)
                else:
                    self.run_("more.yaml", "a.h5", how, umask=0o022)
                self.assertEqual((os.stat("a.h5").st_mode & 0o777, listed("a.h5")), (mode, before), how)
        for umask in (0o022, 0o077, 0o002):
            self.run_("small.yaml", f"{umask}.h5", umask=umask)
            self.assertEqual(os.stat(f"{umask}.h5").st_mode & 0o777, 0o666 & ~umask)

    @unittest.skipIf(os.geteuid() != 0, "only root can be several users")
    def test_owners(self):
        # folder's mode, file's owner, group, mode; groups of the user; outcome: words of the message, or owner, group, mode after it
        table = [(0o777, 1234, 5678, 0o640, None, (1234, 5678, 0o640)),
                 (0o777, 0, 0, 0o444, None, "write-protected (mode 444)"),
                 (0o777, 0, 0, 0o644, (), "may not be written by you"),
                 (0o777, 0, 0, 0o666, (), (OTHER, OTHER, 0o666)),
                 (0o777, 1234, 5678, 0o664, (5678,), (OTHER, 5678, 0o664)),
                 (0o777, 1234, 5678, 0o676, (), (OTHER, OTHER, 0o666)),
                 (0o1777, 0, 0, 0o666, (), "only the owner may replace"),
                 (0o755, 0, 0, 0o666, (), "takes no new files"),
                 (0o777, OTHER, OTHER, 0o400, (), "write-protected (mode 400)"),
                 (0o777, OTHER, OTHER, 0o640, (), (OTHER, OTHER, 0o640))]
        os.chmod(self.folder, 0o755)
        if subprocess.run([MEANODE, "--help"], user=OTHER, group=OTHER, extra_groups=[], capture_output=True).returncode:
            self.skipTest("the program lies where other users cannot run it")
        for i, (folder_mode, owner, group, mode, groups, outcome) in enumerate(table):
            for how in ("--resume", "--force"):
                folder = pathlib.Path(f"{i}{how}")
                folder.mkdir()
                out = str(folder / "a.h5")
                self.run_("small.yaml", out)
                os.chown(out, owner, group)
                os.chmod(out, mode)
                os.chmod(folder, folder_mode)
                user = {} if groups is None else {"user": OTHER, "groups": groups}
                if isinstance(outcome, str):
                    self.assertIn(outcome, self.run_("more.yaml", out, how, expect=74, **user))
                    self.assertEqual(len(self.statuses(out)), ROWS)
                    self.assertEqual(sorted(os.listdir(folder)), ["a.h5"])
                else:
                    said = self.run_("more.yaml", out, how, **user)
                    now = os.stat(out)
                    self.assertEqual((now.st_uid, now.st_gid, now.st_mode & 0o777), outcome)
                    self.assertEqual("owner" in said, owner != now.st_uid)
                    self.assertEqual("group" in said, group != now.st_gid)


def set_value(name, place, value):
    def edit(file):
        file[name][place] = value

    return edit


def delete(name):
    def edit(file):
        del file[name]

    return edit


def renamed(name, to):
    return lambda file: file.move(name, to)


def replaced(name, make):
    def edit(file):
        value = make(file[name][()])
        del file[name]
        if value is None:
            file.create_group(name)
        else:
            file[name] = value

    return edit


def through_link(file):
    file.move("loss", "moved_loss")
    file["loss"] = h5py.SoftLink("/moved_loss")


def without_attribute(name):
    def edit(file):
        del file.attrs[name]

    return edit


def add_all(file):
    """Everything that a user may add, of every kind; what a copy can keep is checked by `kept`."""
    root = file.attrs
    root["mine"], root["who"], root["array"], root["words"], root["title"] = 1, "me \u00e9", np.arange(5.0), ["a", "b"], "My title"
    root["empty"], root["truth"], root["pair"] = h5py.Empty("f8"), True, np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    file["notes"], file["text"] = [1, 2], "hello"
    file["words"] = np.array(["x", "yy"], dtype=h5py.string_dtype())
    file["loss"].attrs["comment"], file["loss"].attrs["units"] = "checked", "nats"
    group = file.create_group("lab/book")
    group.attrs["k"], group["page"] = "v", np.eye(3)
    file["soft"], file["dangling"] = h5py.SoftLink("/loss"), h5py.SoftLink("/nowhere")
    file["external"], file["alias"] = h5py.ExternalLink("other.h5", "/x"), file["loss"]
    file["itself"], file["problem_0000/self"], file["lab/book/up"] = file["/"], file["problem_0000"], file["lab"]
    file["type"] = np.dtype("f8")
    file.create_dataset("typed", (3,), dtype=file["type"])
    file["problem_0000/extra"], file["problem_0000/limit_mean_ode/remark"] = np.arange(3), "good"
    file["problem_0000"].attrs["quality"], file["problem_0000/limit_mean_ode"].attrs["seen"] = 5, "yes"
    file["problem_0000/weights/3"].attrs["seen"] = 3
    names = np.array([f"row {i}" for i in range(ROWS)], dtype=object)
    for name, value, options in (("score", np.arange(float(ROWS)), {}), ("label", names, {"dtype": h5py.string_dtype()}),
                                 ("count", np.arange(3 * ROWS).reshape(ROWS, 3), {"chunks": (ROWS, 3), "compression": "gzip"})):
        file.create_dataset(name, data=value, **options).dims[0].attach_scale(file["instance"])
    file["count"].dims[1].attach_scale(file["step"])
    file["problem_0000"].create_dataset("rate", data=np.arange(float(ROWS))).dims[0].attach_scale(file["problem_0000/run"])
    file["fold"] = np.arange(5)
    file["fold"].make_scale("fold")
    file["by_fold"] = np.zeros((5, 2))
    file["by_fold"].dims[0].attach_scale(file["fold"])


class Additions(Case):
    def setUp(self):
        super().setUp()
        self.run_("small.yaml", "whole.h5")

    def edited(self, edit, name="a.h5"):
        shutil.copy("whole.h5", name)
        with h5py.File(name, "r+") as file:
            edit(file)

    def kept(self, path, ids):
        with h5py.File(path) as file:
            root = file.attrs
            self.assertEqual((root["mine"], root["who"], list(root["array"]), list(root["words"]), root["title"]),
                             (1, "me \u00e9", [0, 1, 2, 3, 4], ["a", "b"], "My title"))
            self.assertIsInstance(root["empty"], h5py.Empty)
            self.assertEqual((bool(root["truth"]), root["pair"].tolist()), (True, [(1, 2.0)]))
            self.assertEqual((file["notes"][()].tolist(), file["text"][()], list(file["words"][()])), ([1, 2], b"hello", [b"x", b"yy"]))
            self.assertEqual((file["loss"].attrs["comment"], file["loss"].attrs["units"]), ("checked", "nats"))
            self.assertEqual((file["lab/book"].attrs["k"], file["lab/book/page"][()].tolist()), ("v", np.eye(3).tolist()))
            links = [file.get(name, getlink=True) for name in ("soft", "dangling", "external")]
            self.assertEqual((links[0].path, links[1].path, links[2].filename, links[2].path), ("/loss", "/nowhere", "other.h5", "/x"))
            self.assertEqual((file["alias"], file["itself"], file["problem_0000/self"]), (file["loss"], file["/"], file["problem_0000"]))
            self.assertEqual(file["lab/book/up"], file["lab"])
            self.assertEqual((file["typed"].dtype, file["typed"].shape), (np.dtype("f8"), (3,)))
            problem = file["problem_0000"]
            self.assertEqual((problem["extra"][()].tolist(), problem["limit_mean_ode/remark"][()], problem.attrs["quality"],
                              problem["limit_mean_ode"].attrs["seen"]), ([0, 1, 2], b"good", 5, "yes"))
            now = {value: row for row, value in enumerate(file["id"][()].tolist())}
            places = [now[value] for value in ids]  # where the rows of before are
            self.assertEqual(problem["weights"][str(places[3])].attrs["seen"], 3)
            self.assertEqual(file["score"][()][places].tolist(), list(range(ROWS)))
            self.assertEqual(int(np.isnan(file["score"][()]).sum()), len(now) - ROWS)
            self.assertEqual(file["label"][()][places].tolist(), [f"row {i}".encode() for i in range(ROWS)])
            self.assertEqual(file["count"][()][places].tolist(), np.arange(3 * ROWS).reshape(ROWS, 3).tolist())
            self.assertEqual(problem["rate"][()][places].tolist(), list(range(ROWS)))
            scales = [file["score"].dims[0][0].name, file["count"].dims[1][0].name, problem["rate"].dims[0][0].name, file["by_fold"].dims[0][0].name]
            self.assertEqual(scales, ["/instance", "/step", "/problem_0000/run", "/fold"])

    def test_kept(self):
        self.edited(add_all)
        with h5py.File("a.h5") as file:
            ids = file["id"][()].tolist()
        for config in ("small.yaml", "small.yaml", "more.yaml", "more.yaml"):
            said = self.run_(config, "a.h5", "--resume")
            self.assertEqual(said, "")
            self.kept("a.h5", ids)
        self.edited(add_all)
        done = self.call("merge", "merged.h5", "a.h5", "whole.h5")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.kept("merged.h5", ids)
        done = self.call("merge", "merged2.h5", "whole.h5", "a.h5")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr, "note: what was added to a.h5 is not in the output.*attribute mine of /")
        done = self.call("merge", "merged.h5", "whole.h5", "--force")
        self.assertRegex(done.stderr, "merged.h5 is made anew, without what was added to it: .*attribute mine of /")
        for config in ("small.yaml", "more.yaml"):
            shutil.copy("a.h5", "forced.h5")
            said = self.run_(config, "forced.h5", "--force")
            self.assertRegex(said, "forced.h5 is made anew, without what was added to it: .*attribute mine of /.*and [0-9]+ more")
        self.run_("small.yaml", "whole.h5", "--force")
        self.assertEqual(self.run_("more.yaml", "whole.h5", "--force"), "", "nothing was added")

    def test_added_during_a_run(self):
        """The run leaves such a file alone, and --resume brings its additions and the results together. (A run that ended before the
        addition has nothing to bring together.)"""
        pathlib.Path("long.yaml").write_text(CONFIG.format(seeds=40).replace("L: [2, 4]", "L: [600, 800]").replace("limit: {", "limit: {kind: none, "))
        run = subprocess.Popen([MEANODE, "run", "long.yaml", "-o", "a.h5", "--progress", "none", "--threads", "1"], stderr=subprocess.PIPE, text=True)
        while not os.path.exists("a.h5.journal") and run.poll() is None:
            pass
        with h5py.File("a.h5", "r+") as file:
            file.attrs["mine"] = 1
        said = run.communicate()[1]
        self.assertIn(run.returncode, (0, 74))
        if run.returncode:
            self.assertIn("changed or replaced by another program", said)
            self.assertEqual(h5py.File("a.h5").attrs["mine"], 1)
        self.run_("long.yaml", "a.h5", "--resume")
        with h5py.File("a.h5") as file:
            self.assertEqual((file.attrs["mine"], int((file["status"][()] == 0).sum())), (1, 160))

    def test_references_are_named(self):
        def add(file):
            file.attrs["pointer"] = file["loss"].ref
            file.create_dataset("pointers", (1,), dtype=h5py.ref_dtype)[0] = file["loss"].ref

        self.edited(add)
        self.assertIn("attribute pointer of /, references in /pointers", self.run_("small.yaml", "a.h5", "--resume"))

    def test_changed(self):
        """What was changed or cut out by hand: resumed with the right content, or refused with the place."""
        fine = {"moved loss": through_link, "single precision": replaced("seconds", lambda v: v.astype("f4")),
                "no config": delete("config"), "no seconds": delete("seconds"), "no dimension": delete("instance"),
                "no run": delete("problem_0000/run"), "no limit": delete("problem_0000/limit_mean_ode"),
                "no settings": without_attribute("settings"), "no history": without_attribute("history"),
                "no precision": without_attribute("precision"), "no title": without_attribute("title")}
        refused = {"/loss": [delete("loss"), renamed("loss", "old_loss"), replaced("loss", lambda v: v[:, :2]), replaced("loss", lambda v: None)],
                   "/status": [delete("status"), set_value("status", 3, 9)],
                   "/id": [delete("id")],
                   "another configuration": [set_value("id", 3, 1)],
                   "/L": [delete("L")],
                   "/step": [delete("step")],
                   "/problem_0000": [delete("problem_0000"), renamed("problem_0000", "mine")],
                   "/problem_0000/output": [delete("problem_0000/output")],
                   "/problem_0000/x": [delete("problem_0000/x")],
                   "/problem_0000/row": [delete("problem_0000/row")],
                   "/problem_0000/weights": [delete("problem_0000/weights"), delete("problem_0000/weights/3")],
                   "/problem_0000/limit_mean_ode/output": [delete("problem_0000/limit_mean_ode/output")]}
        told = {"changed values of /problem_0000/x": set_value("problem_0000/x", 0, 7.0), "changed values of /L": set_value("L", 3, 5)}
        self.run_("more.yaml", "right.h5")
        right = self.contents("right.h5")
        for name, edit in fine.items():
            self.edited(edit)
            self.run_("more.yaml", "a.h5", "--resume")
            self.assertEqual(self.contents("a.h5"), right, name)
        for place, edits in refused.items():
            for edit in edits:
                self.edited(edit)
                said = self.run_("more.yaml", "a.h5", "--resume", expect=65)
                self.assertIn(place, said)
                self.assertEqual(os.path.exists("a.h5.journal"), False)
        for words, edit in told.items():
            self.edited(edit)
            self.assertIn(words, self.run_("more.yaml", "a.h5", "--resume"))
            self.assertEqual(self.contents("a.h5"), right)
        for edit, place in ((delete("loss"), "a.h5: /loss"), (delete("problem_0000/output"), "a.h5: /problem_0000/output"),
                            (delete("seconds"), "a.h5: /seconds"), (replaced("loss", lambda v: v[:, :2]), "a.h5: /loss")):
            self.edited(edit)
            done = self.call("merge", "merged.h5", "a.h5")
            self.assertEqual(done.returncode, 65, done.stderr)
            self.assertIn(place, done.stderr)

    def test_stored_otherwise(self):
        """The same content, written by other programs."""
        def copied(**options):
            def copy(old, new):
                for name, value in old.attrs.items():
                    if name not in ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME"):
                        new.attrs[name] = value
                for name in old if isinstance(old, h5py.Group) else ():
                    copy(old[name], new.create_group(name) if isinstance(old[name], h5py.Group) else new.create_dataset(name, data=old[name][()]))

            with h5py.File("whole.h5") as old, h5py.File("a.h5", "w", **options) as new:
                copy(old, new)

        def repacked(*options):
            subprocess.run(["h5repack", *options, "whole.h5", "a.h5"], check=True)

        def appended():
            shutil.copy("whole.h5", "a.h5")
            xarray.Dataset({"mine": ("instance", np.arange(ROWS))}).to_netcdf("a.h5", engine="h5netcdf", mode="a")

        ways = [copied, lambda: copied(libver="latest"), lambda: copied(userblock_size=512), appended]
        if shutil.which("h5repack"):
            ways += [lambda: repacked("-f", "GZIP=5"), lambda: repacked("-L"), lambda: repacked("-l", "CONTI")]
        self.run_("more.yaml", "right.h5")
        for way in ways:
            for name in ("a.h5", "merged.h5"):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(name)
            way()
            done = self.call("merge", "merged.h5", "a.h5")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.contents("merged.h5"), self.contents("whole.h5"))
            self.run_("more.yaml", "a.h5", "--resume")
            self.assertEqual(self.contents("a.h5"), self.contents("right.h5"))


class InUse(Case):
    """A file that another program has open for writing, or left so when it was killed."""

    def readers(self, figures):
        drawn = [("plot", "a.h5", "-o", "a.png"), ("report", "a.h5", "-o", "a.html")] if figures else []
        return [*drawn, ("status", "a.h5"), ("info", "a.h5"), ("fit", "a.h5"), ("merge", "merged.h5", "a.h5"),
                ("run", "more.yaml", "-o", "a.h5", "--resume"), ("run", "small.yaml", "-o", "b.h5", "--limits", "a.h5"),
                ("run", "--from", "a.h5", "-o", "b.h5")]

    def refused(self, figures=False):
        before = pathlib.Path("a.h5").read_bytes()
        for arguments in self.readers(figures):
            done = self.call(*arguments)
            self.assertEqual(done.returncode, 74, (arguments, done.stderr))
            self.assertIn("open for writing", done.stderr)
            self.assertIn("close it there", done.stderr)
            self.assertNotIn("damaged", done.stderr)
        self.assertEqual(pathlib.Path("a.h5").read_bytes(), before)

    def open_elsewhere(self, libver, kill):
        """A process that opens the file and either waits to be told to close it, or is killed."""
        code = (f"import h5py, os, sys; f = h5py.File('a.h5', 'r+', libver={libver!r}); f.attrs['mine'] = 1; f.flush(); print(flush=True); "
                f"sys.stdin.read(); f.close()")
        other = subprocess.Popen(["/usr/bin/python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        other.stdout.readline()
        if kill:
            other.send_signal(signal.SIGKILL)
            other.wait()
        return other

    def test_in_use(self):
        for libver in (None, "latest"):
            self.run_("small.yaml", "a.h5", "--force")
            shutil.copy("a.h5", "b.h5")
            other = self.open_elsewhere(libver, kill=False)
            self.refused()
            self.assertIn(f"(process {other.pid}, ", self.call("info", "a.h5").stderr)
            for arguments in (("run", "small.yaml", "-o", "a.h5", "--force"), ("merge", "a.h5", "b.h5", "--force")):
                done = self.call(*arguments)
                self.assertEqual(done.returncode, 74, done.stderr)
                self.assertIn("locked by another program (process ", done.stderr)
            with self.assertRaisesRegex(meanode.FileProblem, "open for writing in another program"):
                meanode.open("a.h5")
            other.communicate()
            self.run_("more.yaml", "a.h5", "--resume")
            with h5py.File("a.h5") as file:
                self.assertEqual(file.attrs["mine"], 1)

    def test_left_open(self):
        self.run_("small.yaml", "a.h5")
        self.open_elsewhere("latest", kill=True).communicate()
        self.refused(figures=True)
        self.assertIn("h5clear -s a.h5", self.call("info", "a.h5").stderr)
        shutil.copy("a.h5", "b.h5")
        self.run_("small.yaml", "b.h5", "--force")
        if shutil.which("h5clear"):
            subprocess.run(["h5clear", "-s", "a.h5"], check=True)
            self.run_("more.yaml", "a.h5", "--resume")


unittest.main()
