"""Processes beside that of a test."""

import os
from functools import partial
from unittest import mock

from torch.distributed.launcher import api


def fork(work):
    """Run `work` in a child process; return its number and the end of a pipe to read from.

    `work` gets a function that writes a byte to the pipe, which is closed when the child ends.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    try:
        os.close(reader)
        work(lambda: os.write(writer, b"r"))
    finally:
        os._exit(0)


def launch_forks():
    """In this context `launch` forks its processes, which then have nothing to import."""
    forking = partial(api.LaunchConfig, start_method="fork")
    return mock.patch.object(api, "LaunchConfig", forking)
