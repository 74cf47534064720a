"""Statistics of real images: cached, keyed by what they hang on, and never trusted blindly."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cellflow import InputError
from cellflow._errors import CellflowWarning
from cellflow.images.data import ImageSet
from cellflow.images.scoring.features import NetSpace, space_of
from cellflow.images.scoring.statistics import Statistics, statistics_of


@pytest.fixture
def images(rng: np.random.Generator) -> ImageSet:
    return ImageSet(rng.integers(0, 256, (20, 8, 8, 1), dtype=np.uint8))


class Counted(torch.nn.Module):
    """The pixels, and how many images were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += len(x)
        return x.flatten(1).float() / 255


def counted(name: str = "counted", fingerprint: str = "0") -> NetSpace:
    return NetSpace(name, 64, fingerprint, Counted(), grey="kept")


def check_equal(one: Statistics, other: Statistics) -> None:
    torch.testing.assert_close(one.features, other.features, atol=0, rtol=0)
    assert one.moments.n == other.moments.n
    np.testing.assert_array_equal(one.moments.mean, other.moments.mean)
    np.testing.assert_array_equal(one.moments.scatter, other.moments.scatter)


def test_moments_are_those_of_all_features(images):
    found = statistics_of(images, space_of("pixels"))
    points = images.pixels.reshape(20, -1) / 127.5 - 1
    np.testing.assert_allclose(found.moments.mean, points.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.moments.cov, np.cov(points, rowvar=False), atol=1e-6)


def test_features_are_made_once_and_read_back_as_they_were(images, tmp_path):
    space, cache = counted(), tmp_path / "made" / "when missing"
    first = statistics_of(images, space, cache=cache)
    again = statistics_of(images, space, cache=cache)
    assert space.net.seen == 20
    check_equal(first, again)
    assert [path.suffix for path in cache.iterdir()] == [".safetensors"]


def test_other_images_spaces_and_weights_have_files_of_their_own(images, tmp_path):
    space = counted()
    statistics_of(images, space, cache=tmp_path)
    statistics_of(images[:10], space, cache=tmp_path)
    assert space.net.seen == 30
    for other in (counted(name="another"), counted(fingerprint="1")):
        statistics_of(images, other, cache=tmp_path)
        assert other.net.seen == 20
    assert len(list(tmp_path.iterdir())) == 4


def cut(path, _):
    path.write_bytes(path.read_bytes()[:-8])


def emptied(path, _):
    path.write_bytes(b"")


def altered(path, _):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def foreign(path, _):
    save_file({"features": torch.zeros(20, 64)}, path)


def relabelled(path, _):
    save_file(load_file(path), path, {"format": "another"})


def exchanged(path, other):
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("damage", [cut, emptied, altered, foreign, relabelled, exchanged])
def test_a_damaged_file_is_made_anew_with_a_warning(damage, images, tmp_path):
    space = counted()
    whole = statistics_of(images, space, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    statistics_of(ImageSet(255 - images.pixels), space, cache=tmp_path)
    (other,) = set(tmp_path.iterdir()) - {path}
    damage(path, other)
    seen = space.net.seen
    with pytest.warns(CellflowWarning, match="is replaced"):
        check_equal(statistics_of(images, space, cache=tmp_path), whole)
    assert space.net.seen == seen + 20
    check_equal(statistics_of(images, space, cache=tmp_path), whole)
    assert space.net.seen == seen + 20


def test_a_cache_that_is_a_file_is_refused(images, tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(InputError, match="is a file; name a folder"):
        statistics_of(images, space_of("pixels"), cache=tmp_path / "cache")


def test_features_that_are_no_numbers_are_refused():
    with pytest.raises(InputError, match="not finite"):
        Statistics.of(torch.tensor([[1.0], [float("nan")]]))
