"""The command `cellflow`: its subcommands and its exit codes."""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sys
import traceback
from collections.abc import Sequence
from errno import ENAMETOOLONG

import rich_click as click
from click.exceptions import Abort, Exit

from cellflow import cli
from cellflow._errors import InputError
from cellflow._files import end_process, remove_unfinished
from cellflow._signals import Stopped, stoppable
from cellflow.cli.options import SECTIONS

#: Exit codes: invalid use or input; a bug of cellflow; stopped by a signal, whose number is added.
USAGE, FAULT, SIGNALLED = 2, 1, 128

_STOPPED = "stopped"


class _Commands(click.RichGroup):
    """A group that finds its commands: `gene-trends` is `gene_trends` in `cli/gene_trends.py`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted(name for name in _module_names() if self.get_command(ctx, name))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of this name; None if there is no such command."""
        if cmd_name not in self.commands and cmd_name in _module_names():
            name = cmd_name.replace("-", "_")
            command = getattr(importlib.import_module(f"cellflow.cli.{name}"), name, None)
            if isinstance(command, click.RichCommand) and command is not self:
                self.add_command(command, panel=command.panel)
        return super().get_command(ctx, cmd_name)


def _module_names() -> set[str]:
    return {module.name.replace("_", "-") for module in pkgutil.iter_modules(cli.__path__)}


def _in_sections(group: click.RichGroup) -> click.RichGroup:
    """Let the help of a group list its sections in their order."""
    for section in SECTIONS:
        group = click.command_panel(section)(group)
    return group


@_in_sections
@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.version_option(package_name="cellflow-snapshots", prog_name="cellflow")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Learn how cells move between the time points of a single-cell time course.

    cellflow fits a flow to the time course, predicts cells at any time in between, and scores
    predictions on time points that were held out.

    Try it on data that come with it: cellflow demo. On your own data: cellflow info FILE,
    cellflow fit FILE --output FLOW, then cellflow interpolate FILE --flow FLOW --time 3.5
    --output CELLS.h5ad.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 invalid use or input, 1 a bug of cellflow.

    Errors are one line on stderr; with `--verbose` a bug also prints its traceback. A signal that
    stops it gives 128 and its number: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    received: int | None = None
    try:
        # An orphan of torchrun would wait for the other processes for ever.
        with stoppable(_end_at_once, with_parent="LOCAL_RANK" in os.environ) as watch:
            try:
                message, code = _run(words)
            except Stopped:
                remove_unfinished()
                raise
        # A signal may arrive with the end, or come out of a library as another error.
        received = watch.received if watch else None
    except Stopped as stopped:
        (received,) = stopped.args
    if received is not None:
        message, code = _STOPPED, SIGNALLED + received
    if message:
        click.echo(f"cellflow: {' '.join(message.split())}", err=True)
    sys.exit(code)


def _run(words: list[str]) -> tuple[str, int]:
    """Return the message for stderr, empty for none, and the exit code."""
    try:
        return "", app.main(words, prog_name="cellflow", standalone_mode=False) or 0
    except Exit as stop:
        return "", stop.exit_code
    except (KeyboardInterrupt, Abort):
        return _STOPPED, SIGNALLED + signal.SIGINT
    except (click.ClickException, InputError, OSError, MemoryError) as error:
        return _describe(error), USAGE
    except Exception as error:  # anything that arrives here is a bug of cellflow
        if isinstance(error, OSError) and error.errno == ENAMETOOLONG:
            # No such file can exist; Python raises this where it looks for one.
            return f"{error.filename} does not exist: {error.strerror}", USAGE
        if "--verbose" in words:
            traceback.print_exc()
        message = f"{type(error).__name__}: {error} (run with --verbose for the traceback)"
        return message, FAULT


def _describe(error: click.ClickException | InputError | OSError | MemoryError) -> str:
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "cellflow"
        return f"{error.format_message()} (see {command} --help)"
    if isinstance(error, MemoryError):
        return f"not enough memory: {str(error) or 'take fewer cells or images at a time'}"
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename is not None else ""
        return f"{name}{error.strerror or error}"
    return str(error) if isinstance(error, InputError) else error.format_message()


def _end_at_once(number: int) -> None:
    # Python's own stream may be locked by the work.
    os.write(2, f"\ncellflow: {_STOPPED}\n".encode())
    end_process(number)
