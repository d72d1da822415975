"""A SLURM cluster of one node on this machine, with two simulated GPUs.

It needs root and Debian's slurmctld, slurmd, slurm-client and munge. The configuration must be in /etc/slurm, since
Snakemake starts its job steps without the environment variable for another place.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

CONFIGURATION = Path("/etc/slurm/slurm.conf")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
# The node may claim more cores than the machine has: the jobs are small, and several should run at once.
CORES, MEGABYTES, GPUS = 8, 32000, 2
TEMPLATE = """\
ClusterName=lucaflow
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
AccountingStorageType=accounting_storage/none
GresTypes=gpu
SlurmdParameters=config_overrides
TaskProlog={folder}/task_prolog
ReturnToService=2
EnforcePartLimits=ALL
KillWait=2
MinJobAge=600
SlurmdTimeout=10
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} Boards=1 SocketsPerBoard=1 CoresPerSocket={cores} ThreadsPerCore=1 \
RealMemory={megabytes} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""


# The GPUs are files: a job that was told of them would refuse to compute on a processor.
TASK_PROLOG = "#!/bin/sh\necho unset SLURM_JOB_GPUS\necho unset SLURM_STEP_GPUS\n"


def why_not() -> str:
    """Return why no cluster can be started here, or an empty text."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"SLURM is not installed here: {', '.join(missing)}"
    if os.geteuid() != 0:
        return "starting a SLURM cluster needs root"
    if CONFIGURATION.exists() and "ClusterName=lucaflow" not in CONFIGURATION.read_text():
        return f"this machine already belongs to a cluster, configured in {CONFIGURATION}"
    return ""


def ask(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def processes_of_jobs() -> tuple[set[int], set[int]]:
    """Return the ids of SLURM's step daemons, and of all processes started by them."""
    table = [line.split(None, 2) for line in ask("ps", "-e", "-o", "pid=,ppid=,args=").splitlines()]
    keepers = {int(pid) for pid, _, name in table if name.startswith("slurmstepd")}
    known = set(keepers)
    while more := {int(pid) for pid, parent, _ in table if int(parent) in known} - known:
        known |= more
    return keepers, known - keepers


def signal_all(processes: set[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


class Cluster:
    """The actions of a user and of an administrator on a cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = socket.gethostname().split(".")[0]

    def start(self) -> None:
        """Configure and start everything. Raises RuntimeError with the logs if the node does not come up."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        devices = [self.folder / f"gpu{number}" for number in range(GPUS)]
        for device in devices:
            os.mknod(device, 0o20666, os.makedev(1, 3))
        prolog = self.folder / "task_prolog"
        prolog.write_text(TASK_PROLOG)
        prolog.chmod(0o755)
        values = {"host": self.host, "folder": self.folder, "cores": CORES, "megabytes": MEGABYTES, "gpus": GPUS}
        CONFIGURATION.write_text(TEMPLATE.format(**values))
        gres = "".join(f"NodeName={self.host} Name=gpu File={device}\n" for device in devices)
        CONFIGURATION.with_name("gres.conf").write_text(f"AutoDetect=off\n{gres}")
        if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode:
            ask("install", "-d", "-o", "munge", "-g", "munge", "-m", "0755", "/run/munge")
            ask("runuser", "-u", "munge", "--", shutil.which("munged") or "munged")
        ask("slurmctld", "-c")
        self.start_node()

    def start_node(self) -> None:
        ask("slurmd", "-N", self.host, "-c")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            done = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False)
            if set(done.stdout.split()) & {"idle", "mixed", "allocated"}:
                return
            time.sleep(0.2)
        logs = "\n".join(path.read_text()[-2000:] for path in self.folder.glob("*.log"))
        raise RuntimeError(f"the node did not come up\n{logs}")

    def stop_node(self) -> None:
        """Kill the node's daemon and every process of its jobs."""
        signal_all({int((self.folder / "slurmd.pid").read_text())}.union(*processes_of_jobs()), signal.SIGKILL)

    def halt(self) -> None:
        """Stop every process of the jobs with SIGSTOP, however deep; their time limit still counts."""
        _, started = processes_of_jobs()
        signal_all(started, signal.SIGSTOP)

    def stop(self) -> None:
        subprocess.run(["scancel", "-u", "root"], capture_output=True, check=False)
        for name in ("slurmd", "slurmctld"):
            path = self.folder / f"{name}.pid"
            if path.exists():
                subprocess.run(["kill", path.read_text().strip()], capture_output=True, check=False)

    def jobs(self, *states: str) -> dict[int, dict[str, str]]:
        """Return SLURM's entries of the jobs of LucaFlow's rules, by number. states: all states if none is given."""
        said = ask("scontrol", "show", "job", "--oneliner")
        found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in said.splitlines() if line.startswith("JobId")]
        return {
            int(job["JobId"]): job for job in found if "Comment" in job and (not states or job["JobState"] in states)
        }

    def wait_for(self, rule: str, state: str = "RUNNING", seconds: float = 300) -> int:
        """Wait for a job of a rule in a state; return its number. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for number, job in self.jobs(state).items():
                if job["Comment"].startswith(f"rule_{rule}_wildcards"):
                    return number
            time.sleep(0.2)
        raise TimeoutError(f"no job of {rule} was {state}")


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Yield a running cluster. Raises filelock.Timeout if another process has one on this machine."""
    CONFIGURATION.parent.mkdir(exist_ok=True)
    with filelock.FileLock(CONFIGURATION.with_name(".lucaflow.lock"), blocking=False):
        started = Cluster(folder)
        try:
            started.start()
            yield started
        finally:
            started.stop()
            for name in ("slurm.conf", "gres.conf"):
                CONFIGURATION.with_name(name).unlink(missing_ok=True)
