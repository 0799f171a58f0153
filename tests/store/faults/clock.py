# SPDX-License-Identifier: BSD-3-Clause
"""A wall clock that jumps by hours, forth and back, all the time: nothing that is measured or awaited notices.

usage: clock.py INTERPOSER
"""

import os
import pathlib
import sys
import tempfile

import h5py
import numpy as np

import common


def main():
    interposer = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        text = common.sweep(seeds=20, L=300).replace("tolerance: 1e-2", "tolerance: 1e-2, seconds: 30")
        (folder / "sweep.yaml").write_text(text)
        (folder / "more.yaml").write_text(text.replace("seeds: 20", "seeds: 30"))
        for name in ("sweep", "more"):
            done = common.run(folder, "run", f"{name}.yaml", "-o", "alone.h5", "--resume")
            assert done.returncode == 0, done.stderr
        jumps = 0
        for hours in (7, -7, 24 * 365):
            (folder / "out.h5").unlink(missing_ok=True)
            for name in ("sweep", "more"):
                done = common.run(folder, "run", f"{name}.yaml", "-o", "out.h5", "--resume", "--progress", "lines",
                                  interpose=interposer, clock=hours * 3600)
                assert done.returncode == 0, done.stderr
                told = done.stdout + done.stderr
                assert "note" not in told, told  # the limit's budget was not used up
                jumps += 1
            assert common.contents(folder / "out.h5") == common.contents(folder / "alone.h5")
            with h5py.File(folder / "out.h5") as file:
                seconds = file["seconds"][()]
                limit = file["problem_0000/limit_mean_ode"].attrs["seconds"]
            assert np.all((seconds >= 0) & (seconds < 100)), (seconds.min(), seconds.max())
            assert 0 <= limit < 30, limit
            status = common.run(folder, "status", "out.h5", interpose=interposer, clock=hours * 3600)
            assert "120 done" in status.stdout and "running" not in status.stdout, status.stdout
            assert not common.leftovers(folder, "out.h5")
        print(f"{jumps} runs under a clock that jumps")


if __name__ == "__main__":
    main()
