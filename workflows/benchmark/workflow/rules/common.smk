# What rules share: the files of the user, and the folder that fits are kept in.

import os
from pathlib import Path

import yaml


def user_file(path):
    """An input of the user's, looked for from the working directory in a module as well."""
    return local(str(path))


def data_files(plan):
    """Files of cells that a plan names, relative to it as cellflow reads them."""
    entries = yaml.safe_load(Path(plan).read_text())["data"]
    names = [each if isinstance(each, str) else each["file"] for each in entries]
    return sorted({str(Path(plan).parent / os.path.expandvars(name)) for name in names})


PLAN = config["plan"]
PARTS = range(1, config["parts"] + 1)
DATA = [user_file(name) for name in data_files(PLAN)]


wildcard_constraints:
    k=r"\d+",
