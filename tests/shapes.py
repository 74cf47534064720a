"""The run-time check of annotations and tensor shapes; whole numbers pass for floats."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
