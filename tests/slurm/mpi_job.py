# SPDX-License-Identifier: BSD-3-Clause
"""The MPI job of data/slurm on a real Slurm: requeued while it runs, then told that its time is over; it goes on both times,
and its one file is that of the run without MPI."""
import os
import re
import shutil
import sys
import tempfile
import time

import cluster
from job_array import MEANODE, SKIPPED, logs, reference, rows, wait_for

TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "slurm", "mpi.sbatch")


def restarts(slurm, job):
    return int(re.search(r"Restarts=(\d+)", slurm.command("scontrol", "show", "job", str(job))).group(1))


def started(slurm, folder, job, times):
    """The job runs for the given time and its ranks have begun to train."""
    if slurm.jobs(job).get(0) != "RUNNING" or restarts(slurm, job) != times:
        return False
    return any(name.startswith("my.h5") for name in os.listdir(folder))


def run(slurm, folder):
    job = slurm.submit("--ntasks=3", "--time=30", os.path.join(folder, "mpi.sbatch"), "my.yaml", cwd=folder)
    wait_for(lambda: started(slurm, folder, job, 0), "the job")
    time.sleep(1)
    slurm.command("scontrol", "requeue", str(job))
    wait_for(lambda: started(slurm, folder, job, 1), "the job requeued by hand")
    time.sleep(4)
    client = slurm.send("USR1", str(job))
    wait_for(lambda: restarts(slurm, job) >= 2, "the job out of time")
    client.kill()
    client.wait()
    wait_for(lambda: not slurm.jobs(job), "the end of the job")
    state = slurm.command("scontrol", "show", "job", str(job))
    assert "JobState=COMPLETED" in state, state


def main():
    if not shutil.which("mpirun"):
        print("skipped: no mpirun")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="meanode-slurm-") as top:
        folder = os.path.join(top, "work")
        os.mkdir(folder)
        os.mkdir(os.path.join(top, "slurm"))
        shutil.copy(TEMPLATE, os.path.join(folder, "mpi.sbatch"))
        os.environ["PATH"] = os.path.dirname(MEANODE) + os.pathsep + os.environ["PATH"]
        os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        try:
            with cluster.Cluster(os.path.join(top, "slurm")) as slurm:
                print(f"the run without MPI took {reference(folder):.1f} s of processor time")
                try:
                    run(slurm, folder)
                except BaseException:
                    logs(folder)
                    print(slurm.logs())
                    raise
        except cluster.Unavailable as why:
            print(f"skipped: no Slurm: {why}")
            return SKIPPED
        job, whole = rows(os.path.join(folder, "my.h5")), rows(os.path.join(folder, "whole.h5"))
        assert job == whole, f"{len(job)} instances in the job's file, {len(whole)} in the other; or they differ"
        print(f"{len(whole)} instances bitwise equal after two restarts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
