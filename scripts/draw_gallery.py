"""Draw one figure of each function of `cellflow.pl` from a simulated course, and write the page.

    make gallery

Writes docs/gallery.md and docs/images/gallery in four minutes. The calls on the page are those that
were run.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from PIL import Image

import cellflow as cf

DOCS = Path(__file__).parents[1] / "docs"

#: Training steps of flows of cells and of images.
N_STEPS = 1_000

#: Dots per inch and number of colours of the figures on the page.
_DPI, _N_COLOURS = 110, 128

#: Letters in a line of the text of the page.
_LINE = 100

SETUP = """\
import numpy as np
import cellflow as cf

adata = cf.datasets.simulate_course(n_cells=1_600, predictability=0.5)
cf.pp.time_points(adata, "time", unit="day")
cf.pp.embed(adata, n_dims=10)
adata.obsm["X_pca"] = adata.obsm["X_cellflow"][:, :2]
recipe = cf.recipe("default", n_steps=N_STEPS)
flow = cf.tl.fit(adata, recipe=recipe)
"""


class Entry(NamedTuple):
    """A figure: its function, what it shows, and the calls; the last one draws."""

    name: str
    shows: str
    code: str


class Section(NamedTuple):
    """Figures under one heading."""

    title: str
    entries: tuple[Entry, ...]


SECTIONS = (
    Section(
        "Predicted cells and their paths",
        (
            Entry(
                "interpolation",
                "Cells of a time that nobody measured, over those of the times before and after.",
                "predicted = cf.tl.interpolate(adata, flow, 3)\n"
                "cf.pl.interpolation(adata, predicted)",
            ),
            Entry(
                "trajectories",
                "Paths of cells along the flow, coloured by time.",
                "cf.pl.trajectories(adata, flow)",
            ),
            Entry(
                "animate",
                "Cells that move along the flow.",
                "moving = cf.tl.trajectories(adata, flow, n_cells=150, times=16)\n"
                'cf.pl.animate(adata, moving, groups="state", groups_at="end")',
            ),
        ),
    ),
    Section(
        "Velocities",
        (
            Entry(
                "velocity_stream",
                "Velocities as streamlines; thicker lines are faster.",
                'cf.tl.velocity(adata, flow, basis="pca")\n'
                'cf.pl.velocity_stream(adata, basis="pca", color="state")',
            ),
            Entry(
                "velocity_grid",
                "Velocities as means on a grid.",
                'cf.pl.velocity_grid(adata, basis="pca", color="cellflow_time")',
            ),
            Entry(
                "velocity_quiver",
                "Velocities of single cells.",
                'cf.pl.velocity_quiver(adata, basis="pca", color="gene_1", n_cells=300)',
            ),
        ),
    ),
    Section(
        "Descent",
        (
            Entry(
                "fates",
                "Probability of each cell to end in each group, and how much of it is known.",
                'cf.tl.fates(adata, flow, "fate")\ncf.pl.fates(adata)',
            ),
            Entry(
                "sankey",
                "Transitions between the groups of consecutive times.",
                'moves = cf.tl.transitions(adata, flow, "state")\ncf.pl.sankey(adata, moves)',
            ),
            Entry(
                "transitions",
                "Transitions between the groups of any two times.",
                'all_pairs = cf.tl.transitions(adata, flow, "state", pairs="all")\n'
                "cf.pl.transitions(adata, all_pairs, pair=(2, 7))",
            ),
        ),
    ),
    Section(
        "Genes, growth, landscape",
        (
            Entry(
                "gene_trends",
                "Expression along the flow, by fate; the band holds the middle 80 % of the cells.",
                'genes = ["gene_1", "gene_2", "gene_3"]\n'
                'trends = cf.tl.gene_trends(adata, flow, genes=genes, by="fate_probabilities")\n'
                "cf.pl.gene_trends(trends)",
            ),
            Entry(
                "growth",
                "Growth rates of the cells of each time, by group.",
                'cf.tl.growth(adata, flow)\ncf.pl.growth(adata, color="state")',
            ),
            Entry(
                "landscape",
                "Minus the log-density of the cells in what the flow makes of the first time.",
                "some = adata[::4].copy()\ncf.tl.landscape(some, flow)\n"
                'cf.pl.landscape(some, basis="pca")',
            ),
        ),
    ),
    Section(
        "Conditions",
        (
            Entry(
                "compare",
                "Distance between two conditions over time. Here 30 % and 70 % of the cells will "
                "take fate B; it is drawn at day 2.45, and some genes hint at it before.",
                'share = np.where(adata.obs["true_fate"] == "B", 0.7, 0.3)\n'
                "treated = np.random.default_rng(0).random(adata.n_obs) < share\n"
                'adata.obs["arm"] = np.where(treated, "treated", "control")\n'
                'table = cf.tl.compare(adata, "arm", reference="control")\n'
                "cf.pl.compare(table)",
            ),
        ),
    ),
    Section(
        "Fits and scores",
        (
            Entry("loss", "Training loss.", "cf.pl.loss(flow)"),
            Entry(
                "holdout",
                "Predictions of held-out times beside what needs no model.",
                "scores = cf.tl.holdout(adata, flow=flow)\ncf.pl.holdout(scores)",
            ),
            Entry(
                "benchmark",
                "Methods beside each other on held-out times.",
                'methods = ["default", "ot-cfm", "i-cfm"]\n'
                'scored = cf.tl.benchmark({"simulated": adata}, methods=methods, recipe=recipe)\n'
                "cf.pl.benchmark(scored)",
            ),
            Entry(
                "image_scores",
                "Distance of generated images from real ones, by cost; here digits.",
                'digits = cf.images.read("digits")\n'
                "painter = cf.images.train(digits, n_steps=N_STEPS // 10)\n"
                'solvers = ["euler:2", "euler:4", "euler:8"]\n'
                "quality = cf.images.score_flow(painter, digits, by=solvers, n=200)\n"
                "cf.pl.image_scores(quality)",
            ),
        ),
    ),
)


def draw(n_steps: int = N_STEPS) -> Iterator[tuple[str, Axes | FuncAnimation]]:
    """Yield the name of each function and what it returned; of several axes the first."""
    mpl.use("agg")
    names: dict[str, Any] = {"N_STEPS": n_steps}
    exec(SETUP, names)
    for section in SECTIONS:
        for entry in section.entries:
            *before, call = entry.code.split("\n")
            exec("\n".join(before), names)
            made = eval(call, names)
            yield entry.name, made[0] if isinstance(made, list) else made


def wrap(text: str) -> str:
    """Return text in lines of at most `_LINE` letters, without breaks within code and roles."""
    held = re.sub(r"`[^`]*`", lambda found: found.group().replace(" ", "\0"), text)
    lines = textwrap.wrap(held, _LINE, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\0", " ")


def page() -> str:
    """Return the text of docs/gallery.md."""
    lines = [
        "# Gallery",
        "",
        wrap(
            "One figure of each function of [`cf.pl`](api/index.md), with the calls that made it. "
            "`make gallery` draws them anew and writes this page. None is wider than a page of a "
            "journal, 180 mm."
        ),
        "",
        wrap(
            "All but the last are of one simulated course, in which cells advance from day 0 to 7 "
            "and take one of two fates:"
        ),
        "",
        "```python",
        SETUP.replace("N_STEPS", f"{N_STEPS:_}").rstrip(),
        "```",
        "",
        wrap(
            "Every function returns its axes and takes `ax=` and `show=`; "
            "{func}`cf.pl.save <cellflow.pl.save>` writes PNG, PDF, SVG or an animation."
        ),
    ]
    for section in SECTIONS:
        lines += ["", f"## {section.title}"]
        for entry in section.entries:
            ending = "gif" if entry.name == "animate" else "png"
            lines += [
                "",
                f"### {entry.name}",
                "",
                wrap(f"{entry.shows} {{func}}`cf.pl.{entry.name} <cellflow.pl.{entry.name}>`"),
                "",
                f"![Figure of cf.pl.{entry.name}](images/gallery/{entry.name}.{ending})",
                "",
                "```python",
                entry.code.replace("N_STEPS // 10", f"{N_STEPS // 10}"),
                "```",
            ]
    return "\n".join(lines) + "\n"


def write_png(ax: Axes, path: Path) -> None:
    """Write the figure of the axes with a palette of few colours."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI)
    with Image.open(drawn) as image:
        flat = image.convert("RGB").quantize(_N_COLOURS, method=Image.Quantize.MAXCOVERAGE)
    flat.save(path, optimize=True)


def write_gif(animation: FuncAnimation, path: Path) -> None:
    """Write an animation at half the size with a palette of few colours."""
    cf.pl.save(animation, path)
    with Image.open(path) as film:
        frames = []
        for k in range(getattr(film, "n_frames", 1)):
            film.seek(k)
            size = film.width // 2, film.height // 2
            half = film.convert("RGB").resize(size, Image.Resampling.LANCZOS)
            frames.append(half.quantize(32, dither=Image.Dither.NONE))
        pause = film.info["duration"]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=2 * pause, loop=0)


def main() -> None:
    """Draw all figures and write the page."""
    folder = DOCS / "images" / "gallery"
    folder.mkdir(exist_ok=True)
    for name, made in draw():
        if isinstance(made, FuncAnimation):
            write_gif(made, folder / f"{name}.gif")
        else:
            write_png(made, folder / f"{name}.png")
    (DOCS / "gallery.md").write_text(page())


if __name__ == "__main__":
    main()
