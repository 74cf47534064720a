"""The command `cellflow`: its subcommands and its exit codes."""

from __future__ import annotations

import importlib
import pkgutil
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import rich_click as click
from click.exceptions import Abort, Exit

from cellflow import cli
from cellflow._errors import InputError
from cellflow.cli.options import SECTIONS

#: Exit codes: invalid use or input; a bug of cellflow; stopped by Ctrl-C; stopped by SIGTERM.
USAGE, FAULT, INTERRUPTED, TERMINATED = 2, 1, 130, 143


class _Terminated(BaseException):
    """SIGTERM as an exception, so that unfinished files are removed."""


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

    Errors are one line on stderr; with `--verbose` a bug also prints its traceback. Ctrl-C exits
    with 130, SIGTERM with 143.
    """
    with _terminable():
        _run(arguments)


def _run(arguments: Sequence[str] | None) -> None:
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(app.main(words, prog_name="cellflow", standalone_mode=False) or 0)
    except Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, Abort):
        _fail("stopped", INTERRUPTED)
    except _Terminated:
        _fail("stopped", TERMINATED)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "cellflow"
        _fail(f"{error.format_message()} (see {command} --help)", USAGE)
    except click.ClickException as error:
        _fail(error.format_message(), USAGE)
    except InputError as error:
        _fail(str(error), USAGE)
    except (OSError, MemoryError) as error:
        _fail(_describe_limit(error), USAGE)
    except Exception as error:  # anything that arrives here is a bug of cellflow
        if "--verbose" in words:
            traceback.print_exc()
        _fail(f"{type(error).__name__}: {error} (run with --verbose for the traceback)", FAULT)


def _describe_limit(error: OSError | MemoryError) -> str:
    """Say what the machine refused: a file of which the permission is missing, or memory."""
    if isinstance(error, MemoryError):
        return f"not enough memory: {str(error) or 'take fewer cells or images at a time'}"
    name = f"{error.filename}: " if error.filename is not None else ""
    return f"{name}{error.strerror or error}"


@contextmanager
def _terminable() -> Iterator[None]:
    """Raise an exception on SIGTERM; only the main thread can receive signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(_: int, __: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _fail(message: str, code: int) -> None:
    click.echo(f"cellflow: {' '.join(message.split())}", err=True)
    sys.exit(code)
