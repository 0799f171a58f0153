# SPDX-License-Identifier: BSD-3-Clause
"""A run whose data came from a file is repeated, resumed and fitted from its result file alone; a data file that changed since is named."""
import os
import shutil
import subprocess
import tempfile

import h5py
import numpy as np

MEANODE = os.environ["MEANODE"]
rng = np.random.default_rng(3)
os.chdir(tempfile.mkdtemp())
os.makedirs("proj/data")
os.makedirs("proj/results")
os.chdir("proj")
DATA = "data/mine.h5"
FOLDER = os.getcwd()


def meanode(code, *arguments, words=(), absent=(), cwd=None):
    done = subprocess.run([MEANODE, *arguments], capture_output=True, text=True, cwd=cwd, timeout=240)
    text = done.stdout + done.stderr
    assert done.returncode == code, (arguments, done.returncode, text)
    for word in words:
        assert word in text, (arguments, word, text)
    for word in absent:
        assert word not in text, (arguments, word, text)
    return done.stdout


def write(x=(5, 3), y=(5, 2), **more):
    with h5py.File(DATA, "w") as f:
        f["x"], f["y"] = rng.normal(size=x), rng.normal(size=y)
        for name, shape in more.items():
            f[name] = rng.normal(size=shape)


def same(a, b):
    """Everything but provenance and times is the same to the bit."""
    with h5py.File(a) as f, h5py.File(b) as g:
        names = []
        f.visit(names.append)
        other = []
        g.visit(other.append)
        assert names == other, (a, b)
        for name in names:
            if isinstance(f[name], h5py.Dataset) and not name.endswith("seconds"):
                assert np.array_equal(f[name][()], g[name][()], equal_nan=f[name].dtype.kind == "f"), (a, b, name)


def config(data="seed: 1", model="D: 4", limit="{kind: none}", seeds=3):
    with open("my.yaml", "w") as f:
        f.write(f"data: {{kind: file, path: {DATA}, {data}}}\nmodel: {{{model}}}\ntraining: {{steps: 2}}\nlimit: {limit}\n"
                f"sweep: {{L: [2, 4, 8], M: [1, 2], seeds: {seeds}}}\n")


def clean():
    shutil.rmtree("results")
    os.mkdir("results")


REPEATED = [
    dict(),
    dict(data="samples: 3"),
    dict(data="seed: [1, 7]", model="D: [3, 5], alpha: [1, 2]"),
    dict(limit="{kind: [mean-ode, joint], tolerance: 1e-2}"),
    dict(limit="{kind: mean-ode, tolerance: 1e-2}", more=dict(w_embed=(4, 3))),
    dict(model="D: 4, alpha: [1, 4]", more=dict(w_embed=(4, 3), w_unembed=(4, 2))),
    dict(data="seed: [2, 3]", more=dict(w_unembed=(4, 2))),
    dict(precision="f32"),
]
for number, case in enumerate(REPEATED):
    clean()
    write(**case.pop("more", {}))
    precision = case.pop("precision", "f64")
    config(**case)
    meanode(0, "run", "my.yaml", "-o", "results/my.h5", "--precision", precision)
    os.rename(DATA, "data/away.h5")
    meanode(0, "run", "--from", "results/my.h5", "-o", "results/again.h5", absent=["note"])
    os.rename("results/my.h5", "my.h5")  # nothing but the file itself is needed, wherever it is
    meanode(0, "run", "--from", "again.h5", "-o", "thrice.h5", cwd="results")
    same("my.h5", "results/again.h5")
    same("my.h5", "results/thrice.h5")
    with h5py.File("results/thrice.h5") as f, h5py.File("my.h5") as g:
        assert f.attrs["data_source"] == g.attrs["data_source"] == os.path.join(FOLDER, DATA)
        assert f.attrs["data_taken_from"] == os.path.join(FOLDER, "results/again.h5") and "data_taken_from" not in g.attrs
    meanode(0, "info", "results/again.h5", words=["data_source: " + FOLDER, "data_taken_from: "])
    meanode(0, "run", "--from", "results/again.h5", "-o", "results/again.h5", "--resume", words=["0 instances computed"])
    if number == 3:
        meanode(0, "fit", "results/again.h5", "--deterministic")
        meanode(0, "run", "--from", "results/again.h5", "-o", "results/limits.h5", "--limits", "my.h5", words=["(2 reused)"])
        for shard in "01":
            meanode(0, "run", "--from", "my.h5", "-o", f"results/part{shard}.h5", "--shard", shard + "/2", "--limits", "my.h5")
        meanode(0, "merge", "results/merged.h5", "results/part0.h5", "results/part1.h5")
        same("my.h5", "results/merged.h5")
        with h5py.File("results/merged.h5") as f:
            assert f.attrs["data_source"] == os.path.join(FOLDER, DATA)
        meanode(0, "run", "--from", "results/merged.h5", "-o", "results/last.h5", "--limits", "my.h5")

# The data file is there again, as it was or changed.
os.rename("data/away.h5", DATA)
clean()
write()
config()
meanode(0, "run", "my.yaml", "-o", "results/my.h5")
meanode(0, "run", "--from", "results/my.h5", "-o", "results/again.h5", absent=["note"])
meanode(0, "run", "my.yaml", "-o", "results/again.h5", "--resume", words=["0 instances computed"])
shutil.copy(DATA, "data/before.h5")


def change(words, name="x", value=None, shape=None, drop=False):
    shutil.copy("data/before.h5", DATA)
    with h5py.File(DATA, "r+") as f:
        if shape or drop:
            if name in f:
                del f[name]
            if shape:
                f[name] = rng.normal(size=shape)
        else:
            f[name][0, 0] = value
    changed = [os.path.join(FOLDER, DATA), "has changed since the run"]
    meanode(65, "run", "my.yaml", "-o", "results/my.h5", "--resume", words=changed + words, absent=["another configuration"])
    meanode(0, "run", "--from", "results/my.h5", "-o", "results/my.h5", "--resume", words=["note: ", *changed, *words,
                                                                                           "0 instances computed"])


change(["x differs"], value=9)
change(["y differs"], "y", value=9)
change(["x differs"], shape=(5, 3))
change(["w_embed differs"], "w_embed", shape=(4, 3))
config(seeds=4)
meanode(65, "run", "my.yaml", "-o", "results/my.h5", "--resume",
        words=["has changed since the run", "w_embed differs", "The configuration differs, too", "seeds: 4"])
config(data="samples: 4")
meanode(65, "run", "my.yaml", "-o", "results/my.h5", "--resume", words=["another configuration", "samples: 4"])
config()
with h5py.File(DATA, "w") as f:
    f["x"], f["y"] = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
meanode(65, "run", "my.yaml", "-o", "results/my.h5", "--resume", words=["has changed since the run", "x, y differ"])
with open(DATA, "w") as f:
    f.write("1,2\n")
meanode(0, "run", "--from", "results/my.h5", "-o", "results/again2.h5", words=["note: ", "cannot be used as it is now"])
same("results/my.h5", "results/again2.h5")
meanode(2, "run", "--from", "results/my.h5", "-o", DATA, "--force", words=["is what this run is read from"])
assert open(DATA).read() == "1,2\n"

# Shards of different data do not belong together.
write()
meanode(0, "run", "my.yaml", "-o", "results/shard0.h5", "--shard", "0/2")
with h5py.File(DATA, "r+") as f:
    f["y"][1, 1] = 7
meanode(0, "run", "my.yaml", "-o", "results/shard1.h5", "--shard", "1/2")
meanode(65, "merge", "results/both.h5", "results/shard0.h5", "results/shard1.h5", words=["data file has changed", "y differs"])
meanode(0, "run", "--from", "results/shard0.h5", "-o", "results/shard1.h5", "--shard", "1/2", "--force", words=["y differs"])
meanode(0, "merge", "results/both.h5", "results/shard0.h5", "results/shard1.h5")

# A result file that somebody has open for writing is no damaged file.
with h5py.File("results/my.h5", "r+"):
    meanode(74, "info", "results/my.h5", words=["locked by another program"], absent=["damaged"])
meanode(0, "info", "results/my.h5")

# Data that were drawn have no source.
with open("drawn.yaml", "w") as f:
    f.write("data: {kind: gaussian, samples: 3, inputs: 2, targets: 1}\nmodel: {D: 2}\ntraining: {steps: 1}\nlimit: {kind: none}\n"
            "sweep: {L: 2, M: 1}\n")
meanode(0, "run", "drawn.yaml", "-o", "results/drawn.h5")
meanode(0, "run", "--from", "results/drawn.h5", "-o", "results/drawn2.h5")
same("results/drawn.h5", "results/drawn2.h5")
with h5py.File("results/drawn2.h5") as f:
    assert "data_source" not in f.attrs
os.chdir("/")
shutil.rmtree(os.path.dirname(FOLDER))
