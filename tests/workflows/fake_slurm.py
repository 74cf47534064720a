"""What a login node of Slurm has, as far as Snakemake asks: jobs run here, one after another.

    python fake_slurm.py sbatch --parsable --job-name x --output log --wrap='command'

States, logs and what was asked for lie in the folder that FAKE_SLURM names.
"""

import os
import subprocess
import sys
from pathlib import Path

#: Read when the file is run, not when tests look for docstrings in it.
FOLDER = Path(os.environ.get("FAKE_SLURM", os.devnull))


def sbatch(words):
    """Run a job to its end, and say its number."""
    number = len(list(FOLDER.glob("*.asked"))) + 1
    (FOLDER / f"{number}.asked").write_text("\n".join(words))
    (command,) = [word.removeprefix("--wrap=") for word in words if word.startswith("--wrap=")]
    log = Path(words[words.index("--output") + 1].replace("%j", str(number)))
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        own = {**os.environ, "SLURM_JOB_ID": str(number)}
        code = subprocess.run(
            command, shell=True, stdout=out, stderr=out, env=own, check=False
        ).returncode
    (FOLDER / f"{number}.state").write_text("FAILED" if code else "COMPLETED")
    sys.stdout.write(f"{number}\n")


def sacct(_words):
    """Jobs and their states."""
    for path in FOLDER.glob("*.state"):
        sys.stdout.write(f"{path.stem}|{path.read_text()}\n")


def sinfo(_words):
    """Partitions."""
    sys.stdout.write("PARTITION\nshort*\n")


def srun(words):
    """A step of a job, on a node that has programs of its own."""
    while words[0].startswith("-"):
        del words[0]
    own = {**os.environ, "PATH": os.pathsep.join([str(FOLDER), os.environ["PATH"]])}
    sys.exit(subprocess.run(words, env=own, check=False).returncode)


def scontrol(_words):
    """The configuration of the cluster."""
    sys.stdout.write("MinJobAge = 300 sec\nMaxArraySize = 1001\n")


def nothing(_words):
    """What is asked and needs no answer."""


if __name__ == "__main__":
    {"sbatch": sbatch, "sacct": sacct, "sinfo": sinfo, "srun": srun, "scontrol": scontrol}.get(
        sys.argv[1], nothing
    )(sys.argv[2:])
