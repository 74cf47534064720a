# What rules share: the settings of the config as files, names and options.

import re


def setting_name(setting):
    """Name of a solver with its steps, as files carry it: euler-2, dopri5."""
    return "-".join(
        str(setting[key]) for key in ("solver", "n_steps") if key in setting
    )


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


# The settings to sample by, by name.
SOLVERS = {setting_name(setting): setting for setting in config["solvers"]}
FIRST_SOLVER = next(iter(SOLVERS))

DATA = user_file(config["data"] if config["data"] != "digits" else None)
RECIPE = user_file(
    config["config"] if re.search(r"\.ya?ml$", config["config"] or "") else None
)
WEIGHTS = user_file(config["weights"])


wildcard_constraints:
    method="|".join(config["methods"]),
    seed=r"\d+",
    solver="|".join(SOLVERS),
