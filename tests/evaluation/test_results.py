"""The folder of finished scores."""

from cellflow.evaluation.results import BASELINES, ResultsFolder


def test_results_without_a_needed_number_count_as_missing(tmp_path):
    folder = ResultsFolder.at(tmp_path)
    folder.make()
    folder.write(BASELINES, {"a": 1}, {"reference": 0.5})
    assert folder.read(BASELINES, {"a": 1}, ["reference"]) == {"reference": 0.5}
    assert folder.read(BASELINES, {"a": 1}, ["reference", "w1_reference"]) is None
