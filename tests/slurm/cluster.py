# SPDX-License-Identifier: BSD-3-Clause
"""A Slurm cluster of one node on this machine's loopback: munged, slurmctld and slurmd in a folder of their own.

Needs root and the Debian packages munge, slurmctld, slurmd and slurm-client. Nothing outside the folder is read or
written, other clusters on the machine are not touched, and leaving the context ends every daemon that it started.
"""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time


class Unavailable(Exception):
    """Slurm is not installed here or cannot start; the text says why."""


PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")


def find(program):
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return shutil.which(program, path=path)


def end_with_parent():
    """Runs in a daemon before it starts: it ends when the test is killed (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Cluster:
    def __init__(self, folder, cpus=3):
        self.folder = folder
        self.cpus = cpus
        self.daemons = []
        self.environment = dict(os.environ, SLURM_CONF=self.path("slurm.conf"))

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def __enter__(self):
        missing = [p for p in PROGRAMS if not find(p)]
        if missing:
            raise Unavailable(f"not installed: {', '.join(missing)} (Debian: munge slurmctld slurmd slurm-client)")
        if os.geteuid() != 0:
            raise Unavailable("the daemons of a cluster start as root")
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        os.chmod(self.folder, 0o755)
        for name in ("state", "spool", "munge"):
            os.mkdir(self.path(name), 0o755)
        with open(os.open(self.path("munge", "key"), os.O_WRONLY | os.O_CREAT, 0o400), "wb") as key:
            key.write(os.urandom(128))
        controller_port, node_port = free_ports(2)
        host = socket.gethostname().split(".")[0]
        with open(self.path("slurm.conf"), "w", encoding="ascii") as conf:
            conf.write(CONFIGURATION.format(folder=self.folder, host=host, cpus=self.cpus, controller_port=controller_port,
                                            node_port=node_port))
        self.launch("munged", "--foreground", "--force", "--key-file", self.path("munge", "key"), "--socket",
                    self.path("munge", "socket"), "--pid-file", self.path("munge", "pid"), "--seed-file",
                    self.path("munge", "seed"), "--log-file", self.path("munge", "log"), "--num-threads", "2")
        self.wait(lambda: os.path.exists(self.path("munge", "socket")), "munged")
        self.launch("slurmctld", "-D", "-i", "-f", self.path("slurm.conf"))
        self.launch("slurmd", "-D", "-N", "node", "-f", self.path("slurm.conf"))
        self.wait(lambda: self.command("sinfo", "-h", "-o", "%T").strip() == "idle", "the node")

    def launch(self, program, *arguments):
        with open(self.path(program + ".out"), "wb") as out:
            self.daemons.append(subprocess.Popen([find(program), *arguments], stdout=out, stderr=out, env=self.environment,
                                                 cwd=self.folder, start_new_session=True,
                                                 preexec_fn=end_with_parent))

    def wait(self, condition, what, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            dead = [d.args[0] for d in self.daemons if d.poll() is not None]
            if dead or time.monotonic() > end:
                raise Unavailable(f"{what} did not come up{': ended ' + dead[0] if dead else ''}\n{self.logs()}")
            time.sleep(0.1)

    def logs(self):
        text = ""
        for name in ("munged.out", "munge/log", "slurmctld.out", "slurmd.out"):
            if os.path.exists(self.path(name)):
                with open(self.path(name), errors="replace") as log:
                    text += f"--- {name}\n" + "".join(log.readlines()[-15:])
        return text

    def command(self, program, *arguments, cwd=None):
        """Runs a client; returns its output, "" if it failed."""
        done = subprocess.run([find(program), *arguments], capture_output=True, text=True, env=self.environment, cwd=cwd,
                              timeout=60)
        return done.stdout if done.returncode == 0 else ""

    def send(self, signal_name, job):
        """Signals the batch script of a job, as the time limit does; returns the client, which may still be retrying."""
        return subprocess.Popen([find("scancel"), "--batch", f"--signal={signal_name}", job], env=self.environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def submit(self, *arguments, cwd):
        done = subprocess.run([find("sbatch"), "--parsable", *arguments], capture_output=True, text=True,
                              env=self.environment, cwd=cwd, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"sbatch: {done.stderr}")
        return int(done.stdout.split(";")[0])

    def jobs(self, job):
        """{array task (or 0): state} of the tasks that are not over."""
        lines = self.command("squeue", "-h", "-r", "-j", str(job), "-o", "%K %T").split("\n")
        rows = [line.split() for line in lines if line.strip()]
        return {0 if task == "N/A" else int(task): state for task, state in rows}

    def stop(self):
        for daemon in reversed(self.daemons):
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
        for daemon in self.daemons:
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(daemon.pid, signal.SIGKILL)
                daemon.wait()
        self.daemons = []


CONFIGURATION = """\
ClusterName=meanode
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SwitchType=switch/none
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0,default_queue_depth=100
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=20
InactiveLimit=0
MinJobAge=300
PlugStackConfig=/dev/null
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 Port={node_port} CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes=node Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=node MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
