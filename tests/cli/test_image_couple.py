"""Coupling noise with all images on the command line."""

import json

import pytest

import cellflow as cf
from tests.small_images import TINY_YAML

COUPLE = ["image", "couple", "--data", "digits", "--config", "tiny.yaml", "--output", "kept"]
TRAIN = ["image", "train", "--data", "digits", "--config", "tiny.yaml", "--output", "flow"]
SAME = ["--conditional", "--flips", "--cost-dim", "8", "--method", "sd-fm", "--class", "3"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY_YAML)
    (tmp_path / "text").write_text("no folder")
    return tmp_path


def test_potentials_are_found_shown_and_read_by_a_training(run, here, monkeypatch):
    code, out, err = run(*COUPLE, *SAME)
    assert code == 0, err
    assert "chi-squared should be below 0.05" in " ".join(out.split())
    assert "wrote kept" in out
    rows = json.loads((here / "kept" / "report.json").read_text())["rows"]
    assert [(row["class"], row["dims"]) for row in rows] == [("3", 8)]
    monkeypatch.setattr(
        "cellflow.training.potentials.fit_potentials", lambda *_, **__: pytest.fail("found anew")
    )
    assert run(*TRAIN, *SAME, "--potentials", "kept", "--quiet") == (0, "", "")
    coupling = cf.Flow.load(here / "flow").method.coupling
    assert (coupling.potentials, coupling.cost_dim) == ("kept", 8)


def test_quiet_says_nothing_and_force_finds_them_anew(run, here):
    few = [*COUPLE, "--class", "1"]
    assert run(*few, "--quiet") == (0, "", "")
    code, _, err = run(*few)
    assert code == 2
    assert "report.json exists already" in err
    assert run(*few, "--force", "--quiet") == (0, "", "")


def test_missing_the_threshold_is_warned_of(run, here):
    code, out, _ = run(*COUPLE, "--semidiscrete-steps", "1")
    assert code == 0
    assert "warning: semidiscrete potentials stopped at chi-squared" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*COUPLE[:-1], "text"], "'text' is a file; name a folder"),
        ([*COUPLE[:-1], "text/sub"], "cannot store potentials in text/sub"),
        ([*COUPLE, "--method", "ot-cfm"], "'potentials' is a setting of coupling 'semidiscrete'"),
        ([*COUPLE, "--cost-dim", "65"], "cost_dim=65 is more than the 64 dimensions"),
        ([*TRAIN, "--method", "sd-fm", "--potentials", "text/sub"], "cannot store potentials in"),
        ([*TRAIN, "--cost-dim", "3"], "'cost_dim' is a setting of coupling 'semidiscrete'"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(words, message, run, here):
    code, _, err = run(*words)
    assert code == 2
    assert err.startswith("cellflow: ")
    assert len(err.splitlines()) == 1
    assert message in err
