"""The U-Net, the parts that all U-Nets are made of, and what every net of images must do."""

import copy
import json
import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from cellflow import InputError
from cellflow.nets.blocks import (
    Block,
    Downsample,
    LayerFactory,
    SelfAttention,
    Upsample,
    largest_divisor,
)
from cellflow.nets.song_unet import SongUNet
from cellflow.nets.unet import UNet

TINY = {"shape": (1, 8, 8), "channels": 16, "multipliers": (1, 2), "blocks": 1, "attention": (4,)}
NETS = {
    "unet": UNet,
    "ddpmpp": partial(SongUNet, variant="ddpmpp"),
    "ncsnpp": partial(SongUNet, variant="ncsnpp"),
}


@pytest.fixture(params=NETS)
def build(request):
    """Return a constructor of tiny networks of one kind."""
    return lambda **changes: NETS[request.param](**{**TINY, **changes})


def stirred(net, seed=1):
    """The net in float64 with all weights moved, so that no branch is zero."""
    generator = torch.Generator().manual_seed(seed)
    net = net.double().eval()
    with torch.no_grad():
        for weights in net.parameters():
            weights.add_(0.1 * torch.randn(weights.shape, generator=generator))
    return net


def inputs(generator, n=4, shape=(1, 8, 8), columns=0, dtype=torch.float64):
    t = torch.rand(n, generator=generator, dtype=dtype)
    x = torch.randn((n, math.prod(shape)), generator=generator, dtype=dtype)
    return t, x, torch.randn((n, columns), generator=generator, dtype=dtype) if columns else None


# The net of Tong et al.


def test_it_has_the_parameters_and_the_zero_output_of_the_published_net():
    net = UNet((3, 32, 32))
    assert sum(weights.numel() for weights in net.parameters()) == 35_746_307
    assert not net.eval()(torch.rand(1), torch.randn(1, 3072)).any()


def test_it_has_four_heads_of_attention_where_the_grid_is_16_and_in_the_middle(generator):
    net = UNet((3, 32, 32), channels=64, multipliers=(2, 4, 4, 4), generator=generator)
    where = [name for name, part in net.named_modules() if isinstance(part, SelfAttention)]
    assert {part.heads for part in net.modules() if isinstance(part, SelfAttention)} == {4}
    rows = (
        [f"encoder.1.{k}" for k in range(2)] + ["middle.0"] + [f"decoder.2.{k}" for k in (0, 1, 2)]
    )
    assert where == [f"hourglass.{row}.attention" for row in rows]


def test_time_becomes_cosines_and_sines_of_periods_up_to_ten_thousand():
    net, t = UNet(**TINY).double(), torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    rates = torch.tensor([10_000 ** (-k / 8) for k in range(8)], dtype=torch.float64)
    expected = torch.cat([torch.cos(t[:, None] * rates), torch.sin(t[:, None] * rates)], dim=1)
    torch.testing.assert_close(net.time[0](t), expected, rtol=0, atol=1e-7)


def test_one_hot_rows_look_up_what_is_added_to_the_time(generator):
    net = UNet(**TINY, condition_dim=3, generator=generator)
    rows = functional.one_hot(torch.tensor([2, 0]), 3).float()
    looked_up = functional.embedding(torch.tensor([2, 0]), net.covariates.weight.T)
    assert torch.equal(net.covariates(rows), looked_up)
    assert not any("covariates" in name for name, _ in UNet(**TINY).named_parameters())


# What every net of images must do.


@pytest.mark.parametrize(
    ("shape", "multipliers", "attention"),
    [
        ((1, 8, 8), (1,), ()),
        ((1, 8, 8), (1, 1, 1, 2), (8, 1)),
        ((1, 28, 28), (1, 2, 2), (14, 7)),
        ((3, 32, 32), (1, 3), (16,)),
        ((2, 4, 12), (1, 2), (2,)),
    ],
)
@pytest.mark.parametrize("channels", [4, 16, 48])
def test_images_of_many_shapes_give_points_of_the_same_shape(
    build, shape, multipliers, attention, channels, generator
):
    net = build(shape=shape, multipliers=multipliers, attention=attention, channels=channels)
    t, x, _ = inputs(generator, n=2, shape=shape, dtype=torch.float32)
    out = net(t, x)
    assert out.shape == x.shape
    assert out.isfinite().all()


def test_settings_make_the_same_net_again(build, generator):
    net = stirred(build(condition_dim=2))
    again = type(net)(**json.loads(json.dumps(net.settings)))
    again.double().eval().load_state_dict(net.state_dict())
    data = inputs(generator, columns=2)
    assert again.settings == net.settings
    assert torch.equal(again(*data), net(*data))


def test_initial_weights_come_from_the_generator_alone(build):
    before = torch.random.get_rng_state()
    first, second, other = (
        build(condition_dim=2, generator=torch.Generator().manual_seed(seed)).state_dict()
        for seed in (3, 3, 4)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["hourglass.first.weight"], other["hourglass.first.weight"])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8)])
def test_memory_formats_give_the_same_output(build, shape, generator):
    net = stirred(build(shape=shape))
    data = inputs(generator, shape=shape)
    turned = copy.deepcopy(net).to(memory_format=torch.channels_last)
    torch.testing.assert_close(turned(*data), net(*data))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8)])
def test_grids_keep_the_memory_format_of_the_weights(build, shape, memory_format, generator):
    net = build(shape=shape).to(memory_format=memory_format)
    grids = []
    for part in net.modules():
        if isinstance(part, Block):
            part.register_forward_hook(lambda _part, _given, grid: grids.append(grid))
    net(*inputs(generator, shape=shape, dtype=torch.float32))
    assert grids
    assert all(grid.is_contiguous(memory_format=memory_format) for grid in grids)


def test_rows_do_not_know_of_each_other(build, generator):
    net = stirred(build(condition_dim=2))
    data = inputs(generator, n=5, columns=2)
    order = torch.randperm(5, generator=generator)
    torch.testing.assert_close(net(*(part[order] for part in data)), net(*data)[order])
    torch.testing.assert_close(net(*(part[:1] for part in data)), net(*data)[:1])


def test_time_image_and_covariates_all_change_the_output(build, generator):
    net = stirred(build(condition_dim=2))
    data = inputs(generator, columns=2)
    out = net(*data)
    for k in range(3):
        changed = [part + 0.5 if which == k else part for which, part in enumerate(data)]
        assert (net(*changed) - out).abs().mean() > 1e-3


def test_gradients_reach_all_parameters_once_zero_layers_have_moved(build, generator):
    net = stirred(build(condition_dim=2)).train()
    t, x, condition = inputs(generator, columns=2)
    net(t, x, condition).sub(x.flip(0)).square().mean().backward()
    still = [
        name
        for name, weights in net.named_parameters()
        if weights.grad is None or weights.grad.abs().max() < 1e-10
    ]
    assert still == []


def test_a_few_steps_fit_two_images(build, generator):
    net = build(dropout=0.0, generator=generator)
    t, x, _ = inputs(generator, n=2, dtype=torch.float32)
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        loss = net(t, x).sub(x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


def test_dropout_is_for_training_only(build, generator):
    net = stirred(build(dropout=0.5))
    data = inputs(generator)
    assert torch.equal(net(*data), net(*data))
    with torch.random.fork_rng():
        assert not torch.equal(net.train()(*data), net(*data))


def test_half_precision_inside_gives_the_type_of_the_input_outside(build, generator):
    net = stirred(build()).float()
    data = inputs(generator, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = net(*data)
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, net(*data))
    torch.testing.assert_close(rough, net(*data), rtol=0, atol=0.1)


def test_forward_derivatives_are_right_where_attention_is_spelled_out(build, generator):
    """Against central differences."""
    net = stirred(build())
    t, x, _ = inputs(generator, n=2)
    tangent = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        slope = torch.func.jvp(lambda here: net(t, here), (x,), (tangent,))[1]
    difference = (net(t, x + 1e-5 * tangent) - net(t, x - 1e-5 * tangent)) / 2e-5
    torch.testing.assert_close(slope, difference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"shape": (1, 28, 28), "multipliers": (1, 2, 2, 2)},
            "1x28x28 halves .* 3 levels .* make 4",
        ),
        ({"shape": (1, 7, 8), "multipliers": (1, 1)}, "1x7x8 halves evenly 0 times.* 1 level"),
        ({"shape": (64,)}, r"shape must be .*\(64,\)"),
        ({"shape": (0, 8, 8)}, r"shape must be .*\(0, 8, 8\)"),
        ({"channels": 18}, "channels must be a multiple of 4, got 18"),
        ({"channels": 0}, "channels must be a multiple of 4, got 0"),
        ({"multipliers": ()}, r"multipliers must be .*\(\)"),
        ({"multipliers": (1, 0)}, r"multipliers must be .*\(1, 0\)"),
        ({"blocks": 0}, "blocks must be 1 or more, got 0"),
        ({"dropout": 1.0}, "dropout .* got 1"),
    ],
)
def test_sizes_that_cannot_be_are_named(build, changes, message):
    with pytest.raises(InputError, match=message):
        build(**changes)


def test_heads_without_width_are_refused():
    with pytest.raises(InputError, match="head_width must be positive, got 0"):
        UNet(**TINY, head_width=0)


@pytest.mark.parametrize(("made_for", "given_columns"), [(0, 2), (2, 0), (2, 3)])
def test_covariates_of_another_number_are_refused(build, made_for, given_columns, generator):
    net = build(condition_dim=made_for)
    with pytest.raises(InputError, match=f"takes {made_for} covariates, got {given_columns}"):
        net(*inputs(generator, columns=given_columns, dtype=torch.float32))


# The parts.


@given(st.integers(1, 300), st.integers(0, 300))
def test_the_largest_divisor_divides_and_no_larger_one_does(number, limit):
    divisors = [k for k in range(1, limit + 1) if number % k == 0]
    assert largest_divisor(number, limit) == max(divisors, default=1)


def test_normalisation_does_not_undo_what_the_time_adds_to_channels(generator):
    """With groups of one channel a number added to a channel would have no effect."""
    for channels in (4, 16, 32, 48, 128, 140, 256):
        norm = LayerFactory(embedding=4, dropout=0.0, generator=generator).norm(channels)
        assert channels // norm.num_groups >= 4
        assert norm.num_groups <= 32
    assert norm.num_groups == 32


def test_attention_is_the_softmax_of_scaled_products(generator):
    make = LayerFactory(embedding=4, dropout=0.0, generator=generator, head_width=4)
    part = stirred(SelfAttention(8, make))
    x = torch.randn((2, 8, 3, 2), generator=generator, dtype=torch.float64)
    places = part.norm(x).flatten(2).transpose(1, 2)
    weights, biases = part.queries_keys_values.weight, part.queries_keys_values.bias
    q, k, v = (places @ w.T + b for w, b in zip(weights.chunk(3), biases.chunk(3), strict=True))
    heads = []
    for columns in (slice(0, 4), slice(4, 8)):
        likeness = q[..., columns] @ k[..., columns].transpose(1, 2) / 4**0.5
        heads.append(likeness.softmax(dim=2) @ v[..., columns])
    expected = x + part.last(torch.cat(heads, dim=2)).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(part(x), expected)


def test_taps_of_ones_average_and_repeat(generator):
    x = torch.randn((2, 3, 4, 6), generator=generator)
    torch.testing.assert_close(Downsample((1, 1))(x), functional.avg_pool2d(x, 2))
    repeated = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.equal(Upsample((1, 1))(x), repeated)


@pytest.mark.parametrize("taps", [(1, 1), (1, 3, 3, 1), (1, 2, 3, 3, 2, 1)])
def test_doubling_is_the_transpose_of_halving(taps, generator):
    fine = torch.randn((2, 3, 8, 8), generator=generator)
    coarse = torch.randn((2, 3, 4, 4), generator=generator)
    torch.testing.assert_close(
        4 * (Downsample(taps)(fine) * coarse).sum(), (fine * Upsample(taps)(coarse)).sum()
    )


@pytest.mark.parametrize("taps", [(1, 1), (1, 3, 3, 1)])
def test_resampling_keeps_a_constant_image_constant(taps):
    """Inside, where no zeros from beyond the border are mixed in."""
    image = torch.full((1, 2, 16, 16), 3.0)
    border = len(taps) // 2 - 1
    coarse, inside = Downsample(taps)(image), slice(border, 8 - border)
    assert coarse.shape == (1, 2, 8, 8)
    torch.testing.assert_close(coarse[..., inside, inside], image[..., inside, inside])
    again, inside = Upsample(taps)(coarse), slice(3 * border, 16 - 3 * border)
    assert again.shape == image.shape
    torch.testing.assert_close(again[..., inside, inside], image[..., inside, inside])
    unpadded = Downsample(taps, padded=False)(image)
    torch.testing.assert_close(unpadded, image[..., : unpadded.shape[2], : unpadded.shape[3]])
