"""Named tensors: digests and prefixes."""

import torch

from cellflow._tensors import add_prefix, compute_digest, select_prefix


def test_a_digest_tells_values_names_and_shapes_but_not_order():
    a, b = torch.arange(4.0), torch.ones(2)
    one = compute_digest({"a": a, "b": b})
    assert compute_digest({"b": b, "a": a}) == one
    others = (
        {"a": a, "c": b},
        {"a": a, "b": b + 1},
        {"a": a.reshape(2, 2), "b": b},
        {"a": a.double(), "b": b},
        {"a": a},
    )
    assert one not in {compute_digest(tensors) for tensors in others}
    assert compute_digest({"a": a, "b": b}, {"kind": "x"}) not in {
        one,
        compute_digest({"a": a, "b": b}, {"kind": "y"}),
    }


def test_what_is_put_under_a_prefix_is_found_there_and_nothing_else():
    one, other = {"a": torch.ones(1), "b.c": torch.zeros(2)}, {"a": torch.zeros(1)}
    both = add_prefix("net", one) | add_prefix("network", other)
    assert select_prefix("net", both) == one
    assert select_prefix("network", both) == other
    assert select_prefix("ne", both) == {}
