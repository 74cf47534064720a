"""Points that are ahead of the clock, or behind it."""

import pytest
import torch

import cellflow as cf


@pytest.mark.parametrize("method", ["ot-cfm", "wfr-fm", "mean-flow"])
def test_all_points_behind_are_where_the_flow_was_earlier(course, quick, method):
    flow = cf.tl.fit(course, use_rep="X_pca", method=method, recipe=quick, progress=False)
    x = torch.as_tensor(course[course.obs["day"] == 2].obsm["X_pca"], dtype=torch.float32)
    behind = flow.axis.to_flow(2.5) - flow.axis.to_flow(3.5)
    moved = flow.trajectory(x, [2, 3.5], time_offset=torch.full((len(x),), behind))
    earlier = flow.trajectory(x, [2, 2.5])
    torch.testing.assert_close(moved.end, earlier.end, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(moved.log_mass, earlier.log_mass, rtol=1e-4, atol=1e-4)


def test_each_point_has_its_own(course, quick):
    flow = cf.tl.fit(course, use_rep="X_pca", method="ot-cfm", recipe=quick, progress=False)
    x = torch.zeros((2, flow.dim))
    offsets = torch.tensor([0.0, 0.2])
    both = flow.push(x, 1, 1.5, time_offset=offsets)
    alone = [flow.push(x[:1], 1, 1.5, time_offset=each[None]) for each in offsets]
    torch.testing.assert_close(both, torch.cat(alone))
    assert (both[0] != both[1]).any()
