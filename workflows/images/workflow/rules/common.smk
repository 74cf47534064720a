# What rules share: the settings of the config as files, names and options.

import re


def user_file(path):
    """An input of the user's, looked for from the working directory in a module as well."""
    return local(path) if path else []


def options(**values):
    """Options of a command, without those that are not set."""
    given = {name: value for name, value in values.items() if value is not None}
    return [
        word
        for name, value in given.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]


def named(run):
    """A run with its name: a method alone, or settings."""
    run = {"method": run} if isinstance(run, str) else dict(run)
    return {"name": run.get("method"), **run}


def setting(wildcards, key):
    """A setting of a run, or else of the config."""
    return RUNS[wildcards.run].get(key, config.get(key))


def solvers(wildcards):
    """Options that say how the flow of a run is followed: euler:2, edm-heun:14:90, dopri5."""
    return [
        word
        for each in setting(wildcards, "solvers")
        for word in (
            "--solver",
            ":".join(
                str(each[key]) for key in ("solver", "n_steps", "rho") if key in each
            ),
        )
    ]


def recipe_of(wildcards):
    """Return the file of a config that is not in the package."""
    recipe = setting(wildcards, "config") or ""
    return user_file(recipe if re.search(r"\.ya?ml$", recipe) else None)


RUNS = {run["name"]: run for run in map(named, config["runs"])}
TUNED = [name for name, run in RUNS.items() if "finetunes" in run]
TRAINED = [name for name in RUNS if name not in TUNED]

DATA = user_file(config["data"] if config["data"] != "digits" else None)
WEIGHTS = user_file(config["weights"])

if len(RUNS) < len(config["runs"]):
    raise ValueError(
        "two of the runs have one name; names are those of methods, where none is given"
    )
if missing := {RUNS[name]["finetunes"] for name in TUNED} - set(TRAINED):
    raise ValueError(
        f"finetunes names no run that is trained: {', '.join(sorted(missing))}; "
        f"there are {', '.join(TRAINED)}"
    )


wildcard_constraints:
    run="|".join(map(re.escape, RUNS)),
    seed=r"\d+",
