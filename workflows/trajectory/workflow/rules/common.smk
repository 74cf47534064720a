# What rules share: the sheet of samples, and settings as options.

import re

import pandas as pd


def user_file(path):
    """An input of the user's, looked for from the working directory in a module as well."""
    return local(str(path))


def options(**values):
    """Options of a command, without those that are not set."""
    return [
        word
        for name, value in values.items()
        if value is not None
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]


def read_samples(path):
    """Rows of the sheet by sample, each with the columns that are filled in."""
    sheet = pd.read_csv(path, sep="\t", dtype=str, comment="#")
    rows = [
        {key: value for key, value in row.items() if not pd.isna(value)}
        for row in sheet.to_dict("records")
    ]
    for row in rows:
        validate(row, schema="../schemas/samples.schema.yaml")
    names = [row["sample"] for row in rows]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"samples named twice in {path}: {', '.join(twice)}")
    return dict(zip(names, rows))


def column(wildcards, name):
    """What a sample has in a column of the sheet, or None."""
    return SAMPLES[wildcards.sample].get(name)


def times(sample):
    """Times that cells of a sample are predicted at."""
    return SAMPLES[sample].get("predict", "").split()


def targets(sample):
    """Files of a sample beside its report."""
    folder = f"results/{sample}"
    yield from (f"{folder}/predicted/{time}.h5ad" for time in times(sample))
    yield f"{folder}/trajectories.png"
    if "groups" in SAMPLES[sample]:
        yield f"{folder}/sankey.png"


SAMPLES = read_samples(config["samples"])


wildcard_constraints:
    sample="|".join(map(re.escape, SAMPLES)),
