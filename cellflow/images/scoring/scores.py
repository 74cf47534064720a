"""Scores of images, with the number of images and the feature space; their tables as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellflow._errors import FileError
from cellflow._files import atomic_file, check_ending, read_json
from cellflow.images.scoring.kernel_distance import KernelDistance
from cellflow.images.scoring.precision_recall import PrecisionRecall

if TYPE_CHECKING:
    import pandas as pd

#: Images that a row of a table is about.
GENERATED, TEST = "generated", "test images"


@dataclass(frozen=True)
class Score:
    """Scores of some images against real ones in a feature space.

    Attributes
    ----------
    of
        `generated` or `test images`.
    n
        Number of them.
    frechet
        Frechet distance from all real images.
    kernel
        Kernel distance from all real images, over subsets.
    support
        Precision and recall against `n_support` real images, drawn once.
    n_support
        As many as `n`, or all if there are fewer.
    """

    of: str
    n: int
    frechet: float
    kernel: KernelDistance
    support: PrecisionRecall
    n_support: int

    def to_names(self, *, fid: bool) -> dict[str, float]:
        """Return the numbers under names with the number of images."""
        frechet, kernel = ("FID", "KID") if fid else ("Frechet", "kernel")
        return {
            f"{frechet}-{self.n}": self.frechet,
            f"{kernel}-{self.n}": self.kernel.mean,
            f"{kernel}-{self.n} std": self.kernel.std,
            f"precision-{self.n}": self.support.precision,
            f"recall-{self.n}": self.support.recall,
        }


@dataclass(frozen=True)
class Scores:
    """Scores of generated images, and of real ones that were not trained on.

    Attributes
    ----------
    space, fingerprint
        The feature space.
    defines_fid
        Whether distances in that space are called FID and KID.
    n_real
        Real images that the distances are from.
    scores
        Scores of all generated images; of at most as many test images; and, if these are fewer, of
        as many generated images, for a comparison at equal numbers.
    """

    space: str
    fingerprint: str
    defines_fid: bool
    n_real: int
    scores: tuple[Score, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers for JSON.

        Returns
        -------
        Numbers under names with the number of images.
        """
        rows: dict[str, dict[str, float]] = {}
        for score in self.scores:
            rows.setdefault(score.of, {}).update(score.to_names(fid=self.defines_fid))
        return {
            "space": self.space,
            "fingerprint": self.fingerprint,
            "n_real": self.n_real,
            "kernel_subsets": {
                f"{score.of}-{score.n}": [score.kernel.subsets, score.kernel.subset_size]
                for score in self.scores
            },
            "n_support": {f"{score.of}-{score.n}": score.n_support for score in self.scores},
            "scores": rows,
        }

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each score, for tables of many."""
        name = "FID" if self.defines_fid else "Frechet"
        return [
            {
                "of": score.of,
                "space": self.space,
                "measure": f"{name}-{score.n}",
                "n": score.n,
                "n_real": self.n_real,
                "frechet": score.frechet,
                "kernel": score.kernel.mean,
                "kernel_std": score.kernel.std,
                "precision": score.support.precision,
                "recall": score.support.recall,
            }
            for score in self.scores
        ]

    def table(self) -> pd.DataFrame:
        """Return the scores as a table.

        Returns
        -------
        A row for the generated and one for the test images; column names have the number of images.
        """
        import pandas as pd

        rows = self.to_dict()["scores"]
        table = pd.DataFrame.from_dict(rows, orient="index")
        table.insert(0, "space", self.space)
        table.insert(1, "n_real", self.n_real)
        return table


FORMAT = "cellflow-image-scores"


def write_table(table: pd.DataFrame, path: str | Path, *, overwrite: bool = False) -> None:
    """Write the rows of `score_flow`, or of `Scores.rows`, as JSON; atomic.

    Parameters
    ----------
    table
        The rows.
    path
        The file.
    overwrite
        Whether a file of that name is replaced.

    Raises
    ------
    FileError
        If `path` cannot be written, or exists while `overwrite` is off.
    """
    check_ending(Path(path), (".json",), "scores")
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    text = json.dumps({"format": FORMAT, "rows": rows}, indent=1, allow_nan=False)
    with atomic_file(Path(path), overwrite=overwrite) as staged:
        staged.write_text(text + "\n", encoding="utf-8")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table of scores.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    The rows.

    Raises
    ------
    FileError
        If the file is missing or holds no scores of images.
    """
    import pandas as pd

    document = read_json(Path(path))
    known = isinstance(document, dict) and document.get("format") == FORMAT
    rows = document.get("rows") if known else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise FileError(f"{path} holds no scores of images (cellflow image score)")
    return pd.DataFrame(rows)
