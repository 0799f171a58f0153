"""A job array of six shards on a real Slurm, one of them preempted and queued again, merges into what one process computes.

Starts munged, slurmctld and slurmd of its own on this machine; needs root and Debian's packages slurmctld, slurmd, munge,
slurm-client (exit 77 without them). Needs MEANODE in the environment.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from kills import CONFIG, contents

MEANODE = os.environ["MEANODE"]
TEMPLATE = os.path.join(os.path.dirname(__file__), "..", "..", "data", "slurm", "array.sbatch")
SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=cred_expire=5,socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={port}
SlurmdPort={port1}
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1 MaxTime=INFINITE
PartitionName=high Nodes={host} PriorityTier=10 MaxTime=INFINITE
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=60):
    for _ in range(int(seconds * 10)):
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise TimeoutError(f"no {what} within {seconds} s")


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def start_cluster(folder):
    host = socket.gethostname().split(".")[0]
    os.chmod(folder, 0o755)
    for name in ("state", "spool"):
        os.mkdir(os.path.join(folder, name))
    key = os.path.join(folder, "munge.key")
    with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
        file.write(os.urandom(256))
    conf = os.path.join(folder, "slurm.conf")
    with open(conf, "w") as file:
        file.write(SLURM_CONF.format(host=host, folder=folder, port=free_port(), port1=free_port()))
    os.environ["SLURM_CONF"] = conf
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    running = [subprocess.Popen(["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={key}",
                                 f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
                                 f"--seed-file={folder}/munged.seed"], **quiet)]
    wait_for("munge", lambda: os.path.exists(f"{folder}/munge.socket"))
    running.append(subprocess.Popen(["slurmctld", "-D", "-f", conf], **quiet))
    wait_for("slurmctld", lambda: "UP" in output_of("scontrol", "ping"))
    running.append(subprocess.Popen(["slurmd", "-D", "-f", conf, "-N", host], **quiet))
    wait_for("idle node", lambda: "idle" in output_of("sinfo", "-h", "-o", "%T"))
    return running


def state_of(path):
    return output_of(MEANODE, "status", path)


def run_array(folder):
    with open("sweep.yaml", "w") as file:
        file.write(CONFIG.format(seeds=100, L=[150, 300, 600]))
    subprocess.run([MEANODE, "run", "sweep.yaml", "-o", "alone.h5", "--progress", "none"], check=True)
    job = output_of("sbatch", "--parsable", "--output=task-%a.log", TEMPLATE, "sweep.yaml", "sweep")
    assert job.isdigit(), "sbatch failed"
    first = os.path.join(folder, "sweep.shard-0.h5")
    wait_for("first records", lambda: os.path.exists(first) and not state_of(first).split("; ")[1].startswith("0 done"))
    # A job that may preempt takes the whole node for a moment.
    subprocess.run(["sbatch", "--partition=high", "--ntasks=2", "--output=/dev/null", "--wrap", "sleep 1"], check=True,
                   capture_output=True)
    wait_for("end of the array", lambda: not output_of("squeue", "-h", "-j", job), 240)
    logs = {i: open(f"task-{i}.log").read() for i in range(6)}
    resumed = [i for i, log in logs.items() if "were there" in log]
    shards = [f"sweep.shard-{i}.h5" for i in range(6)]
    assert resumed, logs
    for shard in shards:
        assert " 0 missing" in state_of(shard), (state_of(shard), logs)
    subprocess.run([MEANODE, "merge", "sweep.h5", *shards], check=True)
    assert contents("sweep.h5") == contents("alone.h5")
    print(f"6 tasks, preempted and resumed: {resumed}; merged file bitwise equal to the run of one process")


def main():
    needed = ["munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue"]
    missing = [name for name in needed if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")]
    if missing or os.geteuid() != 0:
        print("skipped: needs root and", ", ".join(missing or needed))
        sys.exit(77)
    os.environ["PATH"] += ":/usr/sbin"
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:
        os.chdir(folder)
        running = []
        try:
            running = start_cluster(folder)
            run_array(folder)
        except BaseException:
            for name in ("slurmctld.log", "slurmd.log", "munged.log"):
                if os.path.exists(name):
                    print(f"--- {name}\n" + open(name).read()[-3000:])
            raise
        finally:
            for process in reversed(running):
                process.terminate()
            for process in running:
                process.wait(20)


if __name__ == "__main__":
    main()
