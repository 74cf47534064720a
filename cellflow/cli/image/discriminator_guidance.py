"""Options of discriminator guidance, and what they stand for."""

from __future__ import annotations

from typing import Any

import rich_click as click

from cellflow.cli import options


def _weights(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[float, ...] | None:
    """One number or two of `2` or `2:0.5`."""
    if value is None:
        return None
    try:
        weights = tuple(float(each) for each in value.split(":"))
    except ValueError:
        weights = ()
    if len(weights) not in (1, 2):
        raise click.BadParameter(f"{value!r} is none of the form 2 or 2:0.5.")
    return weights


by_discriminator = options.together(
    click.option(
        "--discriminator",
        type=options.PATH,
        metavar="FOLDER",
        panel=options.RUN,
        help="Lead samples to where they look real to this discriminator (cellflow image "
        "discriminate), with solver edm-heun.",
    ),
    click.option(
        "--discriminator-weight",
        metavar="W[:W2]",
        callback=_weights,
        panel=options.RUN,
        help="How much, where a step begins, and where it ends. [default: 2, and 1 where classes "
        "are known]",
    ),
    click.option(
        "--boost/--no-boost",
        default=None,
        panel=options.RUN,
        help="Lead samples that do not look real more. [default: where classes are known]",
    ),
)


def guided(given: dict[str, Any], device: Any) -> dict[str, Any]:
    """Options of `images.sample`, taking those of the command line out of the settings."""
    from cellflow import images

    path, weights, boost = (
        given.pop(name) for name in ("discriminator", "discriminator_weight", "boost")
    )
    if path is None and weights is None and boost is None:
        return {}
    weight = weights[0] if weights is not None and len(weights) == 1 else weights
    return {
        "discriminator": None if path is None else images.Discriminator.load(path, device=device),
        "discriminator_weight": weight,
        "boost": boost,
    }
