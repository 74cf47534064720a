"""Guided images on the command line."""

import pytest

import cellflow as cf
from cellflow.images.samples import cost_of
from tests.small_images import trained

EULER = ["--solver", "euler", "--n-steps", "3"]


@pytest.fixture(scope="module")
def flows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flows")
    trained(method="i-cfm", n_steps=20, conditional=True).save(folder / "flow")
    trained(method="i-cfm", n_steps=5).save(folder / "weak")
    return folder


def test_samples_are_guided_as_by_the_api(run, flows, tmp_path):
    words = ["image", "sample", "--flow", flows / "flow", "--weak", flows / "weak", *EULER]
    more = ["--gamma", "1.5", "--trajectories", "4", "--n", "5", "--seed", "2"]
    code, out, _ = run(*words, *more, "--output", "s.npz")
    flow, weak = (cf.Flow.load(flows / name) for name in ("flow", "weak"))
    guidance = cf.images.Autoguidance(weak, 1.5, 4)
    api = cf.images.sample(flow, 5, guidance=guidance, solver="euler", n_steps=3, rng=2)
    assert code == 0
    assert "evaluations of the velocity for each: 24\n" in out
    assert f"effective trajectories for each: {api.effective_trajectories:.2f}\n" in out
    assert cf.images.read(tmp_path / "s.npz").fingerprint == api.images.fingerprint
    assert cost_of(tmp_path / "s.npz")["by"] == "euler:3+ag:1.5:4"
    assert run(*words, "--n", "2", "--show", "paths", "--output", "p.png")[0] == 0
    plain = ["image", "sample", "--flow", flows / "flow", *EULER, "--show", "interpolation"]
    assert run(*plain, "--n", "2", "--output", "i.gif")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gamma", "2"], "need --weak FLOW"),
        (["--trajectories", "0"], "0 is not in the range"),
        (["--weak", "none"], "none does not exist"),
        (["--weak", "WEAK", "--show", "interpolation"], "not --show interpolation"),
        (["--trajectories", "2"], "need --weak FLOW"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(words, message, run, flows, tmp_path):
    words = [flows / "weak" if word == "WEAK" else word for word in words]
    code, _, err = run("image", "sample", "--flow", flows / "flow", *words, "--output", "new.png")
    assert code == 2
    assert message in " ".join(err.split())
    assert not (tmp_path / "new.png").exists()
