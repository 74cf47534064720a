"""Processes beside that of a test."""

import os


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
