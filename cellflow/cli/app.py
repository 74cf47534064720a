"""The command `cellflow` and what its exit code means."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import rich_click as click
from click.exceptions import Abort, Exit

from cellflow._errors import InputError
from cellflow.cli.benchmark import benchmark
from cellflow.cli.cells import landscape, pseudotime, uncertainty
from cellflow.cli.demo import demo
from cellflow.cli.embed import embed
from cellflow.cli.fates import fates
from cellflow.cli.finetune import finetune
from cellflow.cli.fit import fit
from cellflow.cli.genes import drivers, gene_trends
from cellflow.cli.growth import growth
from cellflow.cli.holdout import holdout
from cellflow.cli.image import image
from cellflow.cli.info import info
from cellflow.cli.interpolate import interpolate
from cellflow.cli.methods import methods
from cellflow.cli.plot import plot
from cellflow.cli.push import pull, push
from cellflow.cli.relatives import ancestors, descendants
from cellflow.cli.report import report
from cellflow.cli.trajectories import trajectories
from cellflow.cli.transitions import transitions
from cellflow.cli.velocity import velocity

#: Exit codes: wrong use or bad input; a fault of ours; stopped by Ctrl-C; stopped by SIGTERM.
USAGE, FAULT, INTERRUPTED, TERMINATED = 2, 1, 130, 143


class _Terminated(BaseException):
    """SIGTERM as an exception, so that what is half done is put away on the way out."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="cellflow-snapshots", prog_name="cellflow")
@click.pass_context
def app(ctx: click.Context) -> None:
    """From single-cell snapshots to the film between them.

    cellflow learns how a population of cells moves between the times at which it was measured,
    predicts the cells of any time in between, and says how far a prediction can be trusted.

    A first look: cellflow demo. On your own data: cellflow info FILE, cellflow fit FILE
    --output FLOW, cellflow interpolate FILE --flow FLOW --time 3.5 --output CELLS.h5ad.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for command in (
    demo,
    info,
    embed,
    growth,
    fit,
    finetune,
    interpolate,
    velocity,
    gene_trends,
    drivers,
    pseudotime,
    landscape,
    uncertainty,
    push,
    pull,
    trajectories,
    fates,
    ancestors,
    descendants,
    transitions,
    holdout,
    benchmark,
    methods,
    plot,
    report,
    image,
):
    app.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 wrong use or bad input, 1 a fault of ours.

    Errors are one line on stderr; `--verbose` adds the traceback of a fault. Ctrl-C is 130, SIGTERM
    143.
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
    except Exception as error:  # the last door: whatever comes here is a fault of ours
        if "--verbose" in words:
            traceback.print_exc()
        _fail(f"{type(error).__name__}: {error} (--verbose shows where)", FAULT)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the program as an exception would, where signals can be had."""
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
