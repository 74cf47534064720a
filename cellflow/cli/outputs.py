"""Check the output of a command, run a verb on a file of cells, and write what it returns.

Outputs are checked and reserved before anything is read. The ending of a name decides the format,
links are followed, and an output never replaces a file that the command reads; only commands that
add to FILE write to FILE itself, with `--force`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:
    from anndata import AnnData

    from cellflow.flow.storage import Format

#: Files and folders that a command reads; options that are not given are None.
Inputs = Iterable[str | Path | None]

#: Endings of figures, and of animations.
FIGURES, ANIMATIONS = (".png", ".pdf", ".svg"), (".gif", ".html", ".mp4")


def check_cells(output: Path, *, force: bool, inputs: Inputs = ()) -> None:
    """Raise an error if cells cannot be written to `output`, or would replace an input.

    The output is reserved, as in `reserve`.
    """
    from cellflow._files import check_apart
    from cellflow.io import check_cells_target

    check_apart(output, inputs)
    check_cells_target(output, overwrite=force)
    reserve(output)


def check_flow(
    output: Path, *, force: bool, inputs: Inputs = (), form: Format | None = None
) -> None:
    """Raise an error if a flow cannot be saved to `output`, or would replace an input.

    The output is reserved, as in `reserve`.
    """
    from cellflow._files import check_apart
    from cellflow.flow.storage import FLOW, check_flow_target

    check_apart(output, inputs)
    check_flow_target(output, overwrite=force, form=form or FLOW)
    reserve(output)


def check_file(
    output: Path, endings: Iterable[str], what: str, *, force: bool, inputs: Inputs = ()
) -> None:
    """Raise an error if `output` lacks the endings of files of `what`, or cannot be written.

    The output is reserved, as in `reserve`.
    """
    from cellflow._files import check_apart, check_ending, check_file_target

    check_ending(output, endings, what)
    check_apart(output, inputs)
    check_file_target(output, overwrite=force)
    reserve(output)


def reserve(output: Path) -> None:
    """Reserve an output until the command ends; raise an error if another process has done so."""
    from cellflow import _locks

    context = click.get_current_context(silent=True)
    # Of the processes that torchrun starts, only the first writes.
    if context is not None and os.environ.get("RANK", "0") == "0":
        context.with_resource(_locks.reserve(output))


def write_cells(
    verb: str,
    *,
    file: Path,
    output: Path,
    force: bool,
    summary: Callable[[AnnData], str] = lambda _: "",
    **given: Any,
) -> None:
    """Call a verb of `tl` and write the cells that it returns.

    Parameters
    ----------
    verb
        Name of the function.
    file, output, force
        Values of the argument and the options of these names.
    summary
        Text about the result, for the last line of the command.
    given
        `flow_path` and `device`, values of these options, and arguments of the verb.
    """
    from cellflow._log import log_info
    from cellflow.io import write_h5ad

    check_cells(output, force=force, inputs=[file, given["flow_path"]])
    _, cells = _call(verb, file=file, **given)
    write_h5ad(cells, output, overwrite=force)
    log_info(f"wrote {output}{summary(cells)}")


def annotate_cells(
    verb: str,
    *,
    file: Path,
    output: Path,
    force: bool,
    summary: Callable[[AnnData], str] = lambda _: "",
    **given: Any,
) -> None:
    """Call a verb of `tl` and write a copy of the file with what it added.

    Arguments as in `write_cells`; the output may be the file itself.
    """
    from cellflow._log import log_info
    from cellflow.io import write_copy

    check_cells(output, force=force, inputs=[given["flow_path"]])
    adata, _ = _call(verb, file=file, **given)
    write_copy(adata, file, output, overwrite=force)
    log_info(f"wrote {output}{summary(adata)}")


def write_table(verb: str, *, file: Path, output: Path, force: bool, **given: Any) -> None:
    """Call a verb of `tl` and write the table that it returns; arguments as in `write_cells`."""
    from cellflow import io
    from cellflow._log import log_info

    check_file(output, io.TABLES, "tables", force=force, inputs=[file])
    _, table = _call(verb, file=file, **given)
    io.write_table(table, output, overwrite=force)
    log_info(f"wrote {output}: {len(table)} rows")


def write_figure(
    name: str,
    *data: Any,
    output: Path,
    force: bool,
    formats: Sequence[str] = FIGURES,
    **given: Any,
) -> None:
    """Call a function of `pl` on data and save its figure, without a display.

    Parameters
    ----------
    name
        Name of the function.
    data
        Its data, or functions without arguments that read them, called once the output is checked.
    output, force
        Values of the options of these names.
    formats
        Endings of the output.
    given
        Arguments of the function.
    """
    import matplotlib as mpl

    from cellflow import pl
    from cellflow._log import log_info
    from cellflow.pl._canvas import check_animation

    if formats == ANIMATIONS:
        check_animation(output)
    check_file(output, formats, "figures", force=force)
    mpl.use("agg")
    read = [each() if callable(each) else each for each in data]
    drawn = getattr(pl, name)(*read, show=False, **given)
    pl.save(drawn[0] if isinstance(drawn, list) else drawn, output)
    log_info(f"wrote {output}")


def _call(
    verb: str, *, file: Path, flow_path: Path | None, device: str, **given: Any
) -> tuple[AnnData, Any]:
    """Return the cells of the file, and what the verb returned for them."""
    from cellflow import Flow, tl
    from cellflow.io import open_cells
    from cellflow.training import resolve_device

    target = resolve_device(device)
    if flow_path is not None:
        given["flow"] = Flow.load(flow_path, device=target)
    if "seed" in given:
        given["rng"] = given.pop("seed")
    adata = open_cells(file)
    return adata, getattr(tl, verb)(adata, **given)
