# SPDX-License-Identifier: BSD-3-Clause
"""The same bytes and exit codes whatever the environment and the working folder hold.

Ordinary runs put two values of many variables into two environments; with --each every setting is tried by itself (slow)."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy

BINARY = os.environ["MEANODE"]
EACH = "--each" in sys.argv
CONFIG = """\
data: {kind: gaussian, samples: 4, inputs: 3, targets: 2}
model: {D: 4}
training: {steps: 3}
limit: {tolerance: 1e-2}
sweep: {L: [4, 8, 16], M: [1, 2, 4], seeds: 8}
"""
MATPLOTLIBRC = ("text.usetex: True\nfont.size: 20\nfont.family: monospace\nfigure.dpi: 30\nsavefig.dpi: 20\nsavefig.bbox: tight\n"
                "savefig.transparent: True\naxes.prop_cycle: cycler('color', ['r'])\naxes.facecolor: yellow\naxes.grid: True\n"
                "lines.linewidth: 9\nsvg.fonttype: none\nno.such.key: 1\nbackend: nonsense\naxes.formatter.use_locale: True\n")
SHADOWS = ("random", "numpy", "xarray", "meanode", "site", "os", "re", "json", "argparse", "matplotlib", "sitecustomize", "usercustomize",
           "encodings", "h5netcdf", "pandas", "signal", "tokenize")

# Of Python and its libraries: none may change a figure. {here}: a folder full of traps, which is the working folder too.
FIGURE = [
    {"PYTHONPATH": "{here}"}, {"PYTHONPATH": ":"}, {"PYTHONPATH": ".:{here}:/nonexistent"}, {"PYTHONHOME": "/nonexistent"},
    {"PYTHONSTARTUP": "{here}/random.py"}, {"PYTHONWARNINGS": "error"}, {"PYTHONOPTIMIZE": "2"}, {"PYTHONIOENCODING": "ascii"},
    {"PYTHONDONTWRITEBYTECODE": "1"}, {"PYTHONINSPECT": "1"}, {"PYTHONBREAKPOINT": "nonsense"}, {"PYTHONNOUSERSITE": "1"},
    {"PYTHONUSERBASE": "{here}"}, {"PYTHONUTF8": "0"}, {"PYTHONUTF8": "junk"}, {"PYTHONHASHSEED": "junk"}, {"PYTHONHASHSEED": "7"}, {"PYTHONDEVMODE": "1"},
    {"PYTHONVERBOSE": "1"}, {"PYTHONPROFILEIMPORTTIME": "1"}, {"PYTHONTRACEMALLOC": "junk"}, {"PYTHONMALLOC": "junk"},
    {"PYTHONCOERCECLOCALE": "0"}, {"PYTHONUNBUFFERED": "1"}, {"PYTHONFAULTHANDLER": "1"}, {"PYTHONSAFEPATH": ""}, {"PYTHONPLATLIBDIR": "junk"},
    {"MPLBACKEND": "nonsense"}, {"MPLBACKEND": "TkAgg"}, {"MPLCONFIGDIR": "{here}"}, {"MPLCONFIGDIR": "/proc/nowhere"},
    {"MATPLOTLIBRC": "{here}"}, {"MATPLOTLIBRC": "{here}/matplotlibrc"}, {"XDG_CONFIG_HOME": "{here}"}, {"XDG_CACHE_HOME": "/proc/nowhere"},
    {"HOME": "{here}"}, {"HOME": "/nonexistent"}, {"HOME": None}, {"TMPDIR": "/nonexistent"}, {"VIRTUAL_ENV": "{here}"}, {"CONDA_PREFIX": "{here}"},
    {"OMP_NUM_THREADS": "junk"}, {"OMP_NUM_THREADS": "64"}, {"OPENBLAS_NUM_THREADS": "3"}, {"OPENBLAS_CORETYPE": "Nehalem"}, {"MKL_NUM_THREADS": "x"},
    {"NPY_DISABLE_CPU_FEATURES": "AVX2 AVX512F"}, {"NUMPY_EXPERIMENTAL_ARRAY_FUNCTION": "0"}, {"SOURCE_DATE_EPOCH": "junk"}, {"SOURCE_DATE_EPOCH": "0"},
    {"DISPLAY": ":99"}, {"DISPLAY": None}, {"COLUMNS": "junk"}, {"LC_ALL": "C"}, {"LC_ALL": "de_DE.ISO-8859-1"}, {"LC_ALL": "tr_TR.UTF-8"}, {"LC_ALL": "junk"},
    {"LANG": "tr_TR"}, {"LANGUAGE": "de"}, {"TZ": "junk"}, {"TERM": "dumb"}, {"MEANODE": "/nonexistent"}, {"PATH": "{here}"}, {"PATH": None},
]

# Of the program and its libraries: none may change a result. The last: exit code and words of a refusal.
RESULTS = [
    *[({name: value}, 0, "") for name, value in (
        ("LC_ALL", "de_DE.UTF-8"), ("LC_NUMERIC", "de_DE.UTF-8"), ("LANG", "tr_TR"), ("LC_ALL", "C"), ("LC_ALL", "junk"), ("LC_ALL", None), ("TZ", "junk"), ("TZ", ":"),
        ("HOME", None), ("HOME", "/nonexistent"), ("TMPDIR", "/nonexistent"), ("XDG_CACHE_HOME", "/nonexistent"), ("PATH", None),
        ("OMP_NUM_THREADS", "junk"), ("OMP_NUM_THREADS", "1000"), ("OMP_PROC_BIND", "true"), ("OPENBLAS_NUM_THREADS", "0"), ("MKL_NUM_THREADS", "x"),
        ("HDF5_USE_FILE_LOCKING", "FALSE"), ("HDF5_USE_FILE_LOCKING", "junk"), ("HDF5_PLUGIN_PATH", "/nonexistent"), ("HDF5_PLUGIN_PRELOAD", "::"),
        ("HDF5_DEBUG", "all"), ("HDF5_DEBUG", "trace"), ("HDF5_DISABLE_VERSION_CHECK", "2"), ("HDF5_DRIVER", "junk"), ("HDF5_VOL_CONNECTOR", "junk"),
        ("HDF5_NOCLEANUP", "1"), ("MALLOC_PERTURB_", "165"), ("MALLOC_CHECK_", "3"), ("MALLOC_ARENA_MAX", "1"), ("MALLOC_TOP_PAD_", "junk"),
        ("GLIBC_TUNABLES", "glibc.malloc.check=junk"), ("GSL_RNG_SEED", "3"), ("GSL_RNG_TYPE", "junk"),
        ("POSIXLY_CORRECT", "1"), ("POSIXLY_CORRECT", ""), ("COLUMNS", "junk"), ("LINES", "-1"), ("TERM", "dumb"), ("TERM", None), ("NO_COLOR", "1"), ("GETOPT", "junk"),
        ("MEANODE_ISA", ""), ("MEANODE_PYTHON", "/nonexistent"), ("MEANODE", "/nonexistent"), ("SLURM_ARRAY_TASK_ID", "junk"), ("SLURM_NTASKS", "8"),
        ("PBS_ARRAY_INDEX", "3"), ("SGE_TASK_ID", "undefined"), ("LSB_JOBINDEX", "0"), ("PYTHONWARNINGS", "error"), ("SOURCE_DATE_EPOCH", "junk"))],
    ({"MEANODE_ISA": "junk"}, 69, "MEANODE_ISA=junk"), ({"MEANODE_ISA": "AVX2"}, 69, "MEANODE_ISA=AVX2"), ({"MEANODE_ISA": " "}, 69, "MEANODE_ISA= "),
]


def environment(changes, here=""):
    out = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for name, value in changes.items():
        out.pop(name, None)
        if value is not None:
            out[name] = value.replace("{here}", str(here))
    return out


def together(settings):
    """Few environments in which every setting is, those of one name in different ones."""
    groups = []
    for one in settings:
        (name,) = one
        group = next((group for group in groups if name not in group), None)
        if group is None:
            groups.append(group := {})
        group.update(one)
    return groups


def numbers(path):
    """What a run computed, without times."""
    found = {}
    with h5py.File(path) as file:
        def take(name, item):
            if isinstance(item, h5py.Dataset) and name != "seconds":
                value = item[()]
                found[name] = value.tobytes() if isinstance(value, numpy.ndarray) else bytes(str(value), "utf-8")
        file.visititems(take)
    return found


class Environments(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        (cls.folder / "a.yaml").write_text(CONFIG)
        cls.run_in({}, "run", "a.yaml", "-o", "a.h5", "--progress", "none")
        cls.here = cls.folder / "traps"
        cls.here.mkdir()
        for name in SHADOWS:
            (cls.here / f"{name}.py").write_text("import builtins\nbuiltins.print('TRAP')\nraise SystemExit(99)\n")
        for file in (cls.here / "matplotlibrc", cls.here / "matplotlib" / "matplotlibrc", cls.here / ".config" / "matplotlib" / "matplotlibrc"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(MATPLOTLIBRC)
        shutil.copy(cls.folder / "a.h5", cls.here)
        trap = cls.here / "python3"
        trap.write_text("#!/bin/sh\necho TRAP\n")
        trap.chmod(0o755)

    @classmethod
    def run_in(cls, changes, *arguments, cwd=None, expect=0):
        done = subprocess.run([BINARY, *map(str, arguments)], cwd=cwd or cls.folder, env=environment(changes, getattr(cls, "here", "")),
                              capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        assert done.returncode == expect, f"{changes} {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def test_figures(self):
        said = self.run_in({}, "plot", "a.h5", "-o", "wanted.png").stdout
        wanted = (self.folder / "wanted.png").read_bytes()
        for changes in FIGURE if EACH else together(FIGURE)[:2]:
            done = self.run_in(changes, "plot", "a.h5", "-o", "seen.png", cwd=self.here)
            self.assertEqual((done.stdout, done.stderr), (said, ""), changes)
            self.assertEqual((self.here / "seen.png").read_bytes(), wanted, changes)

    @unittest.skipUnless(EACH, "slow")
    def test_pages(self):
        self.run_in({}, "report", "a.h5", "-o", "wanted.html")
        for changes in together(FIGURE):
            self.run_in(changes, "report", "a.h5", "-o", "seen.html", cwd=self.here)
            self.assertEqual((self.here / "seen.html").read_bytes(), (self.folder / "wanted.html").read_bytes(), changes)

    def test_results(self):
        wanted = numbers(self.folder / "a.h5")
        table = self.run_in({}, "fit", "a.h5").stdout
        for changes, code, words in RESULTS:
            done = self.run_in(changes, "run", "a.yaml", "-o", "seen.h5", "--force", "--progress", "none", expect=code)
            if code:
                self.assertIn(words, done.stderr)
                continue
            self.assertEqual(done.stderr, "", changes)
            seen = numbers(self.folder / "seen.h5")
            self.assertEqual([name for name in wanted if seen.get(name) != wanted[name]], [], changes)
            self.assertEqual(self.run_in(changes, "fit", "a.h5").stdout, table, changes)

    def test_a_working_folder_that_is_gone(self):
        gone = self.folder / "gone"
        gone.mkdir()
        done = subprocess.run(["/bin/sh", "-c", f'cd "$1" && rmdir "$1" && exec "$0" plot {self.folder}/a.h5 -o {self.folder}/gone.png', BINARY, gone],
                              env=environment({}), capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


def interpreter(folder):
    """A Python without packages but those that a test puts into its site-packages; returns it and that folder."""
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python3"
    python.symlink_to(os.path.realpath(sys.executable))
    (folder / "pyvenv.cfg").write_text(f"home = {os.path.dirname(os.path.realpath(sys.executable))}\ninclude-system-site-packages = false\n")
    packages = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    packages.mkdir(parents=True)
    return python, packages


class Interpreters(unittest.TestCase):
    """Interpreters that lack something or hold what is broken are told in one line, without a traceback."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.python, self.packages = interpreter(self.folder / "env")

    def plot(self, **changes):
        return subprocess.run([BINARY, "plot", "none.h5", "-o", "none.png"], cwd=self.folder, capture_output=True, text=True,
                              env=environment({"MEANODE_PYTHON": str(self.python), "HOME": str(self.folder), **changes}))

    def one_line(self, done, code, *words):
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_no_interpreter(self):
        not_executable, folder = self.folder / "python", self.folder / "bin"
        not_executable.write_text("#!/bin/sh\n")
        for value in ("/nonexistent/python", "no-such-python", str(not_executable), str(self.folder)):
            self.one_line(self.plot(MEANODE_PYTHON=value), 69, f"cannot start {value}", "python3-matplotlib", "MEANODE_PYTHON")

    def test_a_bare_interpreter(self):
        self.one_line(self.plot(), 69, str(self.python), "lacks matplotlib, xarray, h5netcdf", "apt-get install python3-matplotlib python3-xarray")

    def test_broken_packages(self):
        for text, words in (("raise ImportError('gone', name='pandas')", "cannot load pandas"), ("1/0", "ZeroDivisionError"),
                            ("import numpy_of_another_age", "lacks numpy_of_another_age"), ("def f(:", "SyntaxError"), ("raise OSError(5, 'worn out')", "OSError"),
                            ("raise AttributeError('_ARRAY_API\\nnot found\\n' * 30)", "AttributeError: _ARRAY_API"),
                            ("raise ImportError('\\n\\nIMPORTANT: PLEASE READ THIS\\n' * 9)", "IMPORTANT: PLEASE READ THIS")):
            for name in ("matplotlib", "xarray", "h5netcdf", "h5py", "scipy", "numpy", "pandas"):
                (self.packages / f"{name}.py").write_text(text + "\n" if name in ("pandas", "matplotlib") else "")
            self.one_line(self.plot(), 69, words, "MEANODE_PYTHON")
        for name in ("h5netcdf", "scipy"):
            (self.packages / f"{name}.py").rename(self.packages / "away")
            self.one_line(self.plot(), 69, f"lacks {name}: apt-get install python3-{name}, ", "that has it")
            (self.packages / "away").rename(self.packages / f"{name}.py")
        (self.packages / "pandas.py").write_text("raise MemoryError\n")
        self.one_line(self.plot(), 1, "out of memory")

    def test_the_users_packages_come_last(self):
        """They add what is lacking, and replace nothing."""
        for name in ("matplotlib", "xarray", "h5netcdf", "h5py", "scipy", "numpy"):
            (self.packages / f"{name}.py").write_text("")
        users = self.folder / "users"
        users.mkdir()
        (users / "pandas.py").write_text("raise ImportError('pandas of the user', name='pandas')\n")
        (users / "random.py").write_text("raise SystemExit(99)\n")
        (users / "numpy.py").write_text("raise SystemExit(99)\n")
        self.one_line(self.plot(), 69, "lacks pandas")
        self.one_line(self.plot(PYTHONPATH=str(users)), 69, "pandas of the user")
        self.one_line(self.plot(PYTHONPATH="users"), 69, "lacks pandas")


if __name__ == "__main__":
    unittest.main(argv=[word for word in sys.argv if word != "--each"])
