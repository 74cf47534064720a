"""`cellflow methods`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import rich_click as click

from cellflow.cli import options
from cellflow.methods.parts import COUPLINGS, GROWTH, OBJECTIVES, PATHS, Part
from cellflow.methods.presets import PRESETS


@click.command(panel=options.START)
@click.argument("name", required=False, type=click.Choice(list(PRESETS)), metavar="NAME")
@options.run_options
def methods(name: str | None) -> None:
    """List the methods and their parts; with NAME, print that method's settings as YAML.

    The YAML can be saved, changed, and given to cellflow fit or cellflow holdout as --config.
    """
    if name is not None:
        from cellflow.methods.config import Config
        from cellflow.methods.method import method_of
        from cellflow.methods.recipes import recipe_of

        click.echo(Config(method_of(name), recipe_of("default")).to_yaml(), nl=False)
        return
    from cellflow.cli.terminal import print_table

    print_table(
        "Methods, for --method",
        ("method", "parts", "what it is", "source"),
        [
            (key, _parts(preset.settings), preset.summary, preset.source)
            for key, preset in PRESETS.items()
        ],
    )
    headings = ("name", "what it is", "goes with", "source")
    print_table("Couplings, for --coupling", headings, _rows(COUPLINGS, "path"))
    print_table("Paths, for --path", headings, _rows(PATHS, "objective"))
    print_table("Objectives, for --objective", headings, _rows(OBJECTIVES, ""))
    print_table("Growth, for --growth", headings, _rows(GROWTH, ""))


def _parts(settings: Mapping[str, object]) -> str:
    chosen = [settings.get("coupling", "ot"), settings.get("path", "straight")]
    return " + ".join(str(part) for part in [*chosen, settings.get("objective", "velocity")])


def _rows(parts: Mapping[str, Part], partner: str) -> Iterable[tuple[str, str, str, str]]:
    for name, part in parts.items():
        partners = {"path": part.paths, "objective": part.objectives}.get(partner, ())
        yield name, part.summary, ", ".join(partners), part.source
