"""`cellflow methods`."""

from __future__ import annotations

import rich_click as click

from cellflow.cli import options
from cellflow.methods.presets import PRESETS


@click.command(panel=options.START)
@click.argument("name", required=False, type=click.Choice(list(PRESETS)), metavar="NAME")
@options.run_options
def methods(name: str | None) -> None:
    """List the methods and their parts; with NAME, print the settings of a method as YAML.

    The YAML can be saved, changed, and passed to cellflow fit or cellflow holdout as --config.
    """
    if name is not None:
        from cellflow.methods.config import Config
        from cellflow.methods.method import method_of
        from cellflow.methods.recipes import recipe_of

        click.echo(Config(method_of(name), recipe_of("default")).to_yaml(), nl=False)
        return
    from cellflow.cli.terminal import print_table
    from cellflow.methods.parts import (
        COUPLINGS,
        OBJECTIVES,
        PATHS,
        is_learned_on,
        pairs_move_on,
    )

    print_table(
        "Methods, for --method",
        ("method", "parts", "what it is", "source"),
        [
            (name, " + ".join(preset.names), preset.summary, preset.source)
            for name, preset in PRESETS.items()
        ],
    )
    partners: dict[type, list[str]] = {
        part: [name for name, path in PATHS.items() if pairs_move_on(part, path)]
        for part in COUPLINGS.values()
    } | {
        part: [name for name, each in OBJECTIVES.items() if is_learned_on(each, part)]
        for part in PATHS.values()
    }
    headings = ("name", "what it is", "settings", "goes with", "source")
    for option, parts in (
        ("coupling", COUPLINGS),
        ("path", PATHS),
        ("objective", OBJECTIVES),
    ):
        rows = [
            (
                name,
                part.summary,
                ", ".join(part.setting_names()),
                ", ".join(partners.get(part, ())),
                part.source,
            )
            for name, part in parts.items()
        ]
        print_table(f"{option.capitalize()}s, for --{option}", headings, rows)
