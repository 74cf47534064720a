"""What pairs of images cost beside a training step, and what a step costs, on a GPU.

python -m tests.benchmarks.image_step [--images FILE] [--n 50000] [--channels 128] [--rows NAME ...]

Images are drawn at random unless a file is given; what a look-up or an assignment costs does not
hang on them. Seconds a step are the difference of two trainings, so starting costs nothing.
"""

import argparse
from tempfile import TemporaryDirectory

import numpy as np
import torch

import cellflow as cf
from cellflow.images.settings import config_of
from cellflow.methods.recipes import Recipe

#: Steps of the two trainings.
FEW, MANY = 40, 160

SD = {"method": "sd-fm", "semidiscrete_steps": 50}
OT = {"method": "ot-cfm"}
#: What is trained, by name: options of `train`, then numbers of the recipe.
ROWS = {
    "fp32": ({"method": "i-cfm"}, {"precision": "fp32", "channels_last": False}),
    "channels last": ({"method": "i-cfm"}, {"precision": "fp32"}),
    "bf16": ({"method": "i-cfm"}, {}),
    "ot 128": (OT | {"coupling_batch_size": 128}, {}),
    "ot 512": (OT | {"coupling_batch_size": 512}, {}),
    "ot 2048": (OT | {"coupling_batch_size": 2048}, {}),
    "ot 2048 in line": (OT | {"coupling_batch_size": 2048}, {"ahead": 0}),
    "semidiscrete": (SD, {}),
    "semidiscrete in line": (SD, {"ahead": 0}),
    "compiled": ({"method": "i-cfm"}, {"compile": True}),
}


def main() -> None:
    given = _arguments()
    images = _images(given)
    print("| what | ms a step | of it waiting for pairs | over bf16 | peak MB |")
    print("| --- | --- | --- | --- | --- |")
    plain = None
    for name in given.rows or ROWS:
        options, numbers = ROWS[name]
        with TemporaryDirectory() as folder:
            # Potentials that the first training finds are read by the second.
            kept = {"potentials": folder} if options["method"] == "sd-fm" else {}
            few, many = (
                _cost(images, options | kept, numbers | {"n_steps": steps}, given.channels)
                for steps in (FEW, MANY)
            )
        each, waited = (
            1000 * (many[key] - few[key]) / (MANY - FEW) for key in ("seconds", "pairing_seconds")
        )
        plain = each if name == "bf16" else plain
        over = f"{each / plain:.3f}" if plain else ""
        peak = many["peak_memory_mb"]
        print(f"| {name} | {each:.2f} | {waited:.2f} | {over} | {peak:.0f} |", flush=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def _cost(images, options, numbers, channels):
    recipe = make_recipe(net={"kind": "unet", "channels": channels}, **numbers)
    flow = cf.images.train(images, config="cifar10-hour", recipe=recipe, progress=False, **options)
    return flow.record.cost


def make_recipe(**changes):
    """The recipe `cifar10-hour`, not compiled and without a warm-up, changed."""
    recipe = config_of("cifar10-hour", (3, 32, 32)).recipe.model_dump()
    return Recipe(**recipe | {"compile": False, "warmup": 0} | changes)


def _images(given):
    if given.images:
        return cf.images.read(given.images)
    pixels = np.random.default_rng(0).integers(0, 256, (given.n // 2, 32, 32, 3), dtype=np.uint8)
    return cf.images.ImageSet(pixels)


def _arguments():
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images")
    parser.add_argument("--n", type=int, default=50_000, help="with their mirror images")
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--rows", nargs="*", choices=ROWS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
