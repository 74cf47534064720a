"""The nets DDPM++ and NCSN++ in the settings of EDM."""

import math

import pytest
import torch

from cellflow import InputError
from cellflow.nets.blocks import Block, SelfAttention
from cellflow.nets.song_unet import SongUNet

TINY = {"shape": (1, 8, 8), "channels": 16, "multipliers": (1, 2), "blocks": 1, "attention": (4,)}


def block(before, after, *, skip, attention=False):
    """Parameters of one residual block whose embedding has 512 units."""
    norms = 2 * before + 2 * after
    convolutions = 9 * before * after + after + 9 * after * after + after
    total = norms + convolutions + 512 * after + after + (before * after + after) * skip
    return total + (2 * after + 4 * (after * after + after)) * attention


@pytest.mark.parametrize(
    ("variant", "noise", "image"),
    [("ddpmpp", 128, 0), ("ncsnpp", 256, 9 * 3 * 256 + 9 * 256**2 + 512)],
)
def test_it_has_the_parameters_of_the_layers_that_the_paper_lists(variant, noise, image):
    """CIFAR-10: levels of 32, 16 and 8, all of 256 channels, one of them with attention."""
    net = SongUNet((3, 32, 32), variant=variant, condition_dim=10, augment_dim=9)
    mapping = 10 * noise + noise + 9 * noise + noise * 512 + 512 + 512 * 512 + 512
    plain, resampled = block(256, 256, skip=False), block(256, 256, skip=True)
    attending = block(256, 256, skip=False, attention=True)
    first, last = 9 * 3 * 128 + 128, 2 * 256 + 9 * 3 * 256 + 3
    encoder = block(128, 256, skip=True) + 3 * plain + 4 * attending + 4 * plain + 2 * resampled
    decoder = attending + plain + 2 * resampled
    decoder += 13 * block(512, 256, skip=True) + block(384, 256, skip=True)
    decoder += block(512, 256, skip=True, attention=True)
    expected = mapping + first + encoder + image + decoder + last
    assert sum(weights.numel() for weights in net.parameters()) == expected
    assert expected == {"ddpmpp": 55_735_299, "ncsnpp": 56_400_643}[variant]


def test_attention_has_one_head_and_is_on_all_ways_down_but_once_on_the_way_up():
    net = SongUNet(**{**TINY, "blocks": 2})
    where = [name for name, part in net.named_modules() if isinstance(part, SelfAttention)]
    assert {part.heads for part in net.modules() if isinstance(part, SelfAttention)} == {1}
    rows = ["encoder.1.0", "encoder.1.1", "middle.0", "decoder.0.2"]
    assert where == [f"hourglass.{row}.attention" for row in rows]


def test_initial_weights_follow_the_papers_law(generator):
    net = SongUNet(**{**TINY, "channels": 64}, generator=generator)
    row = net.hourglass.encoder[1][0]
    bounds = {
        row.conv1.weight: math.sqrt(6 / (9 * 64 + 9 * 128)),
        row.embedding.weight: math.sqrt(6 / (256 + 128)),
        row.conv2.weight: 1e-5 * math.sqrt(6 / (9 * 128 + 9 * 128)),
        row.attention.queries_keys_values.weight: math.sqrt(0.2) * math.sqrt(6 / (128 + 384)),
        row.attention.last.weight: 1e-5 * math.sqrt(6 / (128 + 128)),
        net.hourglass.last.weight: 1e-5 * math.sqrt(6 / (9 * 64 + 9)),
    }
    for weights, bound in bounds.items():
        assert float(weights.detach().abs().max()) <= bound
        assert float(weights.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.1)
    assert not any(w.any() for name, w in net.named_parameters() if name.endswith("conv1.bias"))
    assert {part.scale for part in net.modules() if isinstance(part, Block)} == {0.5**0.5}


def test_noise_becomes_waves_of_fixed_frequencies_down_to_a_ten_thousandth():
    net, t = SongUNet(**TINY, variant="ddpmpp").double(), torch.tensor([-0.4, 1.0]).double()
    rates = torch.tensor([10_000 ** (-k / 7) for k in range(8)], dtype=torch.float64)
    expected = torch.cat([torch.cos(t[:, None] * rates), torch.sin(t[:, None] * rates)], dim=1)
    torch.testing.assert_close(net.noise(t), expected, rtol=0, atol=1e-7)


def test_random_frequencies_have_the_scale_of_16_turns_and_are_saved(generator):
    net = SongUNet(**{**TINY, "channels": 512}, generator=generator)
    frequencies = net.state_dict()["noise.frequencies"]
    assert frequencies.shape == (512,)
    assert float(frequencies.std()) == pytest.approx(2 * math.pi * 16, rel=0.1)
    assert "noise.frequencies" not in SongUNet(**TINY, variant="ddpmpp").state_dict()


def test_only_ncsnpp_brings_the_image_itself_down(generator):
    assert len(SongUNet(**TINY, variant="ddpmpp").hourglass.shortcuts) == 0
    net = SongUNet(**{**TINY, "multipliers": (1, 2, 2)}, generator=generator).double()
    shortcut = net.hourglass.shortcuts[0]
    assert [part[0].in_channels for part in net.hourglass.shortcuts] == [1, 16]
    image = torch.randn((2, 1, 8, 8), generator=generator, dtype=torch.float64)
    assert shortcut(image).shape == (2, 16, 4, 4)
    inside = torch.zeros((1, 1, 8, 8), dtype=torch.float64)
    inside[..., 3:5, 3:5] = 1
    convolved = torch.nn.functional.conv2d(inside, shortcut[0].weight, padding=1)
    taps = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 8
    window = torch.nn.functional.pad(convolved, (1, 1, 1, 1))[0, :, 2:6, 4:8]
    expected = torch.einsum("cij,i,j->c", window, taps, taps)
    torch.testing.assert_close(shortcut(inside)[0, :, 1, 2], expected)


def test_values_of_augmentation_count_as_zero_where_they_are_absent(generator):
    net = SongUNet(**TINY, condition_dim=2, augment_dim=3, generator=generator).eval()
    for weights in net.parameters():
        torch.nn.init.normal_(weights, std=0.2, generator=generator)
    t, x = torch.rand(4, generator=generator), torch.randn((4, 64), generator=generator)
    classes = torch.eye(2)[torch.tensor([0, 1, 1, 0])]
    zeros = net(t, x, torch.cat([classes, torch.zeros(4, 3)], dim=1))
    ones = net(t, x, torch.cat([classes, torch.ones(4, 3)], dim=1))
    torch.testing.assert_close(net(t, x, classes), zeros)
    assert (ones - zeros).abs().mean() > 1e-3
    with pytest.raises(InputError, match="takes 2 or 5 covariates, got 3"):
        net(t, x, torch.ones(4, 3))


@pytest.mark.parametrize("n", [2, 10])
def test_classes_have_a_mean_square_of_one_however_many_there_are(n):
    net, seen = SongUNet(**TINY, condition_dim=n), []
    net.covariates.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    net(torch.zeros(n), torch.zeros(n, 64), torch.eye(n))
    torch.testing.assert_close(seen[0].square().mean(dim=1), torch.ones(n))


def test_augmentation_alone_needs_no_classes(generator):
    net = SongUNet(**TINY, augment_dim=3, generator=generator).eval()
    t, x = torch.rand(4, generator=generator), torch.randn((4, 64), generator=generator)
    torch.testing.assert_close(net(t, x), net(t, x, torch.zeros(4, 3)))


def test_unknown_variants_are_named_with_the_valid_ones():
    with pytest.raises(InputError, match=r"'ncsnp'.*did you mean 'ncsnpp'"):
        SongUNet(**TINY, variant="ncsnp")
