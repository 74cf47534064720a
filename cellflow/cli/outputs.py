"""Run a verb on a file of cells and write its result: cells, a table, or a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anndata import AnnData

#: Endings of figures, and of animations.
FIGURES, ANIMATIONS = (".png", ".pdf", ".svg"), (".gif", ".html", ".mp4")


def write_cells(
    verb: str,
    *,
    output: Path,
    force: bool,
    summary: Callable[[AnnData], str] = lambda _: "",
    **given: Any,
) -> None:
    """Call a verb of `tl` and write the cells that it returns or annotates.

    Parameters
    ----------
    verb
        Name of the function.
    output, force
        Values of the options of these names.
    summary
        Text about the result, for the last line of the command.
    given
        `file`, `flow_path` and `device`, values of these options, and arguments of the verb.
    """
    from cellflow._files import check_file_target
    from cellflow._log import log_info
    from cellflow.io import write_h5ad

    check_file_target(output, overwrite=force)
    adata, returned = _call(verb, **given)
    cells = adata if returned is None else returned
    write_h5ad(cells, output, overwrite=force)
    log_info(f"wrote {output}{summary(cells)}")


def write_table(verb: str, *, output: Path, force: bool, **given: Any) -> None:
    """Call a verb of `tl` and write the table that it returns; arguments as in `write_cells`."""
    from cellflow import io
    from cellflow._log import log_info

    io.check_table_target(output, overwrite=force)
    _, table = _call(verb, **given)
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
    """Call a function of `pl` on `data` and save its figure, without a display."""
    import matplotlib as mpl

    from cellflow import pl
    from cellflow._checks import check_choice
    from cellflow._files import atomic_file, check_file_target
    from cellflow._log import log_info

    check_choice(output.suffix, formats, "figure format")
    check_file_target(output, overwrite=force)
    mpl.use("agg")
    drawn = getattr(pl, name)(*data, show=False, **given)
    with atomic_file(output, overwrite=force) as staged:
        pl.save(drawn[0] if isinstance(drawn, list) else drawn, staged)
    log_info(f"wrote {output}")


def _call(
    verb: str, *, file: Path, flow_path: Path | None, device: str, **given: Any
) -> tuple[AnnData, Any]:
    """Return the cells of the file, and what the verb returned for them."""
    from cellflow import Flow, tl
    from cellflow.io import read_h5ad
    from cellflow.training import resolve_device

    if flow_path is not None:
        given["flow"] = Flow.load(flow_path, device=resolve_device(device))
    if "seed" in given:
        given["rng"] = given.pop("seed")
    adata = read_h5ad(file)
    return adata, getattr(tl, verb)(adata, **given)
