"""What Snakemake says that it would do."""

import re


def jobs_of(said):
    """How often each rule is to run."""
    return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE)}
