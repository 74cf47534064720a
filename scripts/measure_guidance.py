"""Measure discriminator guidance on digits: Frechet distances before and after, by pairing.

    python scripts/measure_guidance.py FOLDER [--flow FLOW] [--flow-steps N] [--steps N]
        [--classifier-steps N] [--n N] [--channels N] [--seeds N ...] [--pairings NAME ...]

Trains an `aot-digits` flow (or takes one), discriminators with drawn and with assigned noise for
each seed, and scores samples with weights 0, 1 and 2, from the same noise. What is in FOLDER
already is kept, so a stopped run goes on; another setting needs another folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

import cellflow as cf
from cellflow.images.guidance.discrimination import PAIRINGS
from cellflow.images.scoring.scores import read_table, write_table

WEIGHTS = (0.0, 1.0, 2.0)
BY = ("edm-heun:18", "edm-heun:14:90")

#: Seeds of the noise of scored images, and of the images that discriminators are trained on.
NOISE, MADE = 5, 1


def main() -> None:
    """Fill the folder and print the table."""
    given = _arguments()
    folder = Path(given.folder)
    folder.mkdir(parents=True, exist_ok=True)
    same = {**vars(given), "folder": None, "seeds": None, "pairings": None}
    _check_same(folder / "settings.json", same)
    train, test = (cf.images.read("digits", split=split) for split in ("train", "test"))
    flow = _flow(given, train, folder)
    made = _generated(flow, len(train), folder)
    tables = []
    for seed in given.seeds:
        for pairing in given.pairings:
            file = folder / f"scores-{pairing}-{seed}.json"
            if not file.exists():
                discriminator = _discriminator(given, flow, (train, made), pairing, seed, folder)
                table = _scores(given, flow, discriminator, train, test)
                write_table(table.assign(name=pairing, seed=seed), file)
            tables.append(read_table(file))
            history = cf.images.Discriminator.load(folder / f"{pairing}-{seed}").history
            best = min(range(len(history["check"])), key=history["check"].__getitem__)
            print(
                f"{pairing}, seed {seed}: loss {history['check'][best]:.4f}, accuracy "
                f"{history['accuracy'][best]:.1%} after {history['step'][best]:.0f} steps"
            )
    scores = pd.concat(tables)
    scores = scores[scores["n"] == scores["n"].max()]
    by = scores.groupby(["of", "by", "name"], dropna=False)
    print(by[["frechet", "precision", "recall"]].agg(["mean", "std"]).to_string())


def _scores(
    given: argparse.Namespace,
    flow: cf.Flow,
    discriminator: cf.images.Discriminator,
    train: cf.images.ImageSet,
    test: cf.images.ImageSet,
) -> pd.DataFrame:
    """Score all weights; weight 0 is without guidance."""
    guidances = [
        cf.images.DiscriminatorGuidance(discriminator, weight, boost=False) for weight in WEIGHTS
    ]
    options = {"by": BY, "test": test, "rng": NOISE}
    return pd.concat(
        cf.images.score_flow(flow, train, given.n, guidance=guidance, **options)
        for guidance in guidances
    )


def _flow(given: argparse.Namespace, data: cf.images.ImageSet, folder: Path) -> cf.Flow:
    """Load the flow given, or train a short one."""
    if given.flow is not None:
        return cf.Flow.load(given.flow)
    path = folder / "flow"
    if not path.exists():
        options = {"config": "aot-digits", "n_steps": given.flow_steps, "progress": False}
        cf.images.train(data, **options).save(path)
    return cf.Flow.load(path)


def _generated(flow: cf.Flow, n: int, folder: Path) -> cf.images.ImageSet:
    """Generate the images that all discriminators are trained on, unless they exist."""
    path = folder / "generated.npz"
    if not path.exists():
        cf.images.sample(flow, n, solver="edm-heun", n_steps=18, rng=MADE).images.save(path)
    return cf.images.read(path)


def _discriminator(
    given: argparse.Namespace,
    flow: cf.Flow,
    data: tuple[cf.images.ImageSet, cf.images.ImageSet],
    pairing: str,
    seed: int,
    folder: Path,
) -> cf.images.Discriminator:
    """Train the discriminator of a pairing and a seed, unless it exists."""
    path = folder / f"{pairing}-{seed}"
    if not path.exists():
        discriminator = cf.images.train_discriminator(
            flow,
            data[0],
            generated=data[1],
            pairing=pairing,
            recipe=cf.recipe(cf.images.DISCRIMINATOR_RECIPE, n_steps=given.steps),
            classifier_steps=given.classifier_steps,
            channels=given.channels,
            rng=seed,
            progress=False,
        )
        discriminator.save(path)
    return cf.images.Discriminator.load(path)


def _check_same(path: Path, settings: dict[str, object]) -> None:
    """Refuse a folder of other settings."""
    if path.exists() and json.loads(path.read_text()) != settings:
        raise SystemExit(f"{path} has other settings; name another folder")
    path.write_text(json.dumps(settings))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--flow")
    for name, default in (
        ("flow-steps", 300),
        ("steps", 2000),
        ("classifier-steps", 2000),
        ("n", 1437),
        ("channels", 32),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--pairings", nargs="+", default=PAIRINGS, choices=PAIRINGS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
