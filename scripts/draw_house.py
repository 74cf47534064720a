"""Draw the packages in their rows, as the import rules have them: python scripts/draw_house.py."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "images" / "house.svg"

#: Sizes in pixels: the picture, a row, the gap between rows, the margin, a character of a name.
WIDTH, ROW, GAP, MARGIN, LETTER = 760, 34, 10, 16, 8.4
#: Fill and frame of packages above the engine, in it and below it; colour of words beside them.
ABOVE, ENGINE, BELOW = ("#dbe9f6", "#3b7ab8"), ("#fbe3cf", "#c76a1c"), ("#eeeeee", "#888888")
WORDS = "#555555"
SIDE = 92


def rules() -> list[dict]:
    """The contracts of import-linter."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return settings["tool"]["importlinter"]["contracts"]


def rows() -> list[list[str]]:
    """Packages row by row, from the top."""
    layers = next(rule["layers"] for rule in rules() if rule["type"] == "layers")
    return [[name.strip().removeprefix("cellflow.") for name in row.split("|")] for row in layers]


def engine() -> set[str]:
    """Packages that know neither cells nor images."""
    rule = next(rule for rule in rules() if rule["name"].startswith("The engine"))
    return {name.removeprefix("cellflow.") for name in rule["source_modules"]}


def box(name: str, x: float, y: float, width: float, colours: tuple[str, str]) -> str:
    """A package."""
    fill, frame = colours
    return (
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW}" rx="5" fill="{fill}" '
        f'stroke="{frame}"/><text x="{x + width / 2:.1f}" y="{y + 22}" text-anchor="middle" '
        f'fill="#1a1a1a">{name}</text>'
    )


def row(names: list[str], y: float, inside: set[str]) -> str:
    """A row of packages, as wide as the picture, each as wide as its name asks."""
    room = WIDTH - SIDE - 2 * MARGIN - GAP * (len(names) - 1)
    asked = [LETTER * len(name) + 20 for name in names]
    x, drawn = float(MARGIN + SIDE), []
    for name, wish in zip(names, asked, strict=True):
        width = room * wish / sum(asked)
        outside = BELOW if name.startswith("_") else ABOVE
        drawn.append(box(name, x, y, width, ENGINE if name in inside else outside))
        x += width + GAP
    return "\n".join(drawn)


def picture() -> str:
    """The whole as SVG."""
    # The small modules at the bottom share a row in two lines.
    lines = [part for names in rows() for part in _lines(names)]
    inside = engine()
    height = 2 * MARGIN + len(lines) * (ROW + GAP) - GAP
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="Menlo, Consolas, monospace" font-size="14">',
        "<title>The packages of cellflow; higher rows import lower ones</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
        _beside(lines, inside, height),
    ]
    for k, names in enumerate(lines):
        drawn.append(row(names, MARGIN + k * (ROW + GAP), inside))
    return "\n".join([*drawn, "</svg>", ""])


def _lines(names: list[str]) -> list[list[str]]:
    half = (len(names) + 1) // 2
    return [names] if len(names) <= 6 else [names[:half], names[half:]]


def _beside(lines: list[list[str]], inside: set[str], height: float) -> str:
    """What the colours are, and the way of imports, left of the rows."""
    ours = [k for k, names in enumerate(lines) if set(names) <= inside]
    middle = MARGIN + (ours[0] + ours[-1] + 1) / 2 * (ROW + GAP) - GAP / 2
    first = MARGIN + ours[0] / 2 * (ROW + GAP) - GAP / 2
    last = MARGIN + (ours[-1] + 1 + len(lines)) / 2 * (ROW + GAP) - GAP / 2
    words = f'text-anchor="middle" font-family="sans-serif" font-size="13" fill="{WORDS}"'
    x = MARGIN + 26
    return "\n".join(
        [
            f'<path d="M {MARGIN + 68} {MARGIN} V {height - MARGIN - 8} m -5 0 l 5 8 l 5 -8 z" '
            f'stroke="{WORDS}" fill="{WORDS}"/>',
            f'<text x="{x}" y="{first}" {words} transform="rotate(-90 {x} {first})">'
            "what users call</text>",
            f'<text x="{x}" y="{middle}" {words} transform="rotate(-90 {x} {middle})">'
            "engine: plain tensors</text>",
            f'<text x="{x}" y="{last}" {words} transform="rotate(-90 {x} {last})">for all</text>',
            f'<text x="{x + 26}" y="{middle}" {words} transform="rotate(-90 {x + 26} {middle})">'
            "imports</text>",
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(picture())
