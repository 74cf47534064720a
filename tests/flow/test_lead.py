"""Points that are ahead of the clock, or behind it."""

import pytest
import torch

import cellflow as cf


@pytest.mark.parametrize("method", ["ot-cfm", "wfr-fm", "mean-flow"])
def test_all_points_behind_are_where_the_flow_was_earlier(course, quick, method):
    flow = cf.tl.fit(course, use_rep="X_pca", method=method, recipe=quick, progress=False)
    x = torch.as_tensor(course[course.obs["day"] == 2].obsm["X_pca"], dtype=torch.float32)
    behind = flow.axis.to_flow(2.5) - flow.axis.to_flow(3.5)
    lead = torch.full((len(x),), behind)
    moved, gained = flow.push_with_growth(x, 2, 3.5, lead=lead)
    earlier, grown = flow.push_with_growth(x, 2, 2.5)
    torch.testing.assert_close(moved, earlier, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gained, grown, rtol=1e-4, atol=1e-4)


def test_each_point_has_its_own(course, quick):
    flow = cf.tl.fit(course, use_rep="X_pca", method="ot-cfm", recipe=quick, progress=False)
    x = torch.zeros((2, flow.dim))
    lead = torch.tensor([0.0, 0.2])
    both = flow.push_with_growth(x, 1, 1.5, lead=lead)[0]
    alone = [flow.push_with_growth(x[:1], 1, 1.5, lead=each[None])[0] for each in lead]
    torch.testing.assert_close(both, torch.cat(alone))
    assert (both[0] != both[1]).any()
