"""Wrong options of the commands over images are told before images are read."""

import pytest

import cellflow as cf

DEVICE = ("--device", "cuda:77", "cuda:77")
DATA = ["--data", "digits"]
FLOW = ["--flow", "flow"]
SOLVER = ("--solver", "average", "average")
MISTAKES = {
    "train": (
        DATA,
        "new",
        [
            DEVICE,
            ("--coupling", "nope", "'nope'"),
            ("--path", "nope", "'nope'"),
            ("--objective", "nope", "'nope'"),
            ("--config", "nope", "'nope'"),
            ("--config", "nope.yaml", "nope.yaml"),
            ("--prior", "nope", "nope does not exist"),
            ("--pictures", "new", "needs a place of its own"),
            ("--pictures", "new/pictures", "needs a place of its own"),
            ("--checkpoint", "new", "needs a place of its own"),
            ("--pictures", "a.npz", "would have the name of a .npz file"),
            ("--checkpoint", "a.h5ad", "would have the name of a .h5ad file"),
        ],
    ),
    "couple": (DATA, "new", [DEVICE, ("--config", "nope", "'nope'")]),
    "finetune": ([*DATA, *FLOW], "new", [DEVICE, ("--flow", "nope", "nope does not exist")]),
    "sample": (FLOW, "new.npz", [DEVICE, SOLVER, ("--n-steps", "3", "has no effect")]),
    "translate": (
        [*DATA, *FLOW], "new.npz", [DEVICE, SOLVER, ("--solver dopri5 --n-steps", "3", "no effect")]
    ),
    "upscale": ([*DATA, *FLOW], "new.npz", [DEVICE, SOLVER]),
    "score": (
        DATA,
        "new.json",
        [
            ("--samples none.npz --device", "cpu", "none.npz does not exist"),
            ("--flow flow --device", "cuda:77", "cuda:77"),
            ("--flow flow --solver", "nope", "'nope'"),
            ("--flow flow --solver", "average:2", "average"),
            ("--flow flow --space", "inception", "weights"),
            ("--flow flow --space inception --weights", "none.pth", "none.pth"),
        ],
    ),
    "train-discriminator": (
        [*DATA, *FLOW],
        "new",
        [
            DEVICE,
            ("--solver", "nope", "'nope'"),
            ("--generated a.npz --n-generated", "3", "give either"),
        ],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flows")
    digits = cf.images.read("digits", split="train")
    cf.images.train(digits, n_steps=1, progress=False).save(folder / "flow")
    return folder


@pytest.mark.parametrize(
    ("command", "option", "value", "message"),
    [
        pytest.param(command, *mistake, id=f"{command} {mistake[0]} {mistake[1]}")
        for command, (_, _, mistakes) in MISTAKES.items()
        for mistake in mistakes
    ],
)
def test_wrong_options_are_told_before_images_are_read(
    run, folder, monkeypatch, command, option, value, message
):
    def read(*_, **__):
        raise AssertionError("read images")

    monkeypatch.setattr(cf.images, "read", read)
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    words, output, _ = MISTAKES[command]
    code, _, err = run(
        "image", command, *words, *option.split(), value, "--output", output, "--quiet"
    )
    assert (code, err.count("\n")) == (2, 1), err
    assert message in err
    assert sorted(folder.iterdir()) == before
