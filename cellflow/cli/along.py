"""What commands along a flow have in common: cells and a flow in, cells out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anndata import AnnData


def follow(
    verb: str,
    *,
    file: Path,
    flow_path: Path,
    output: Path,
    force: bool,
    device: str,
    told: Callable[[AnnData], str] = lambda _: "",
    **given: Any,
) -> None:
    """Run a verb of `tl` on a file, and write what it made, or the cells with what it wrote.

    Parameters
    ----------
    verb
        Its name.
    file, flow_path, output, force, device
        As the options of these names.
    told
        What is said of the result behind its name.
    given
        What else the verb is given; `seed` as its `rng`.
    """
    from cellflow import Flow, tl
    from cellflow._files import check_file_target
    from cellflow._log import log_info
    from cellflow.io import read_h5ad, write_h5ad
    from cellflow.training import resolve_device

    check_file_target(output, overwrite=force)
    flow = Flow.load(flow_path, device=resolve_device(device))
    adata = read_h5ad(file)
    if "seed" in given:
        given["rng"] = given.pop("seed")
    made = getattr(tl, verb)(adata, flow, **given)
    result = adata if made is None else made
    write_h5ad(result, output, overwrite=force)
    log_info(f"wrote {output}{told(result)}")
