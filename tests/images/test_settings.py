"""Settings for images: the files of the package, the size of images, the user's own."""

from importlib import resources

import pytest
import torch

import cellflow as cf
from cellflow import FileError, InputError
from cellflow.images import CONFIGS, config_of
from cellflow.images.settings import method_for
from cellflow.methods.config import Config
from cellflow.methods.presets import PRESETS
from cellflow.nets import Fields
from tests.small_images import TINY, TINY_YAML

#: Sizes that each config is for.
SHAPES = {
    "digits": [(1, 8, 8), (1, 16, 16), (3, 12, 12)],
    "mnist": [(1, 28, 28), (3, 32, 32)],
    "cifar10-hour": [(3, 32, 32)],
    "cifar10": [(3, 32, 32)],
    "edm": [(3, 32, 32)],
    "aot": [(3, 32, 32)],
    "aot-digits": [(1, 8, 8), (1, 16, 16), (3, 12, 12)],
}


def test_every_file_has_a_line_on_what_it_is_for():
    files = resources.files("cellflow.images") / "configs"
    assert {file.name for file in files.iterdir()} == {f"{name}.yaml" for name in CONFIGS}
    assert set(SHAPES) == set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_is_whole_and_prints_itself(name, tmp_path):
    config = config_of(name, (1, 8, 8))
    assert config.recipe.net.kind == (
        "edm" if config.method.objective.noise_from_source else "unet"
    )
    assert config.method.path.sigma == 0
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    assert config_of(tmp_path / "c.yaml", (1, 8, 8)) == config


@pytest.mark.parametrize(
    ("name", "shape"), [(name, each) for name in SHAPES for each in SHAPES[name]]
)
def test_nets_of_a_config_take_the_images_it_is_for(name, shape):
    net = config_of(name, shape).recipe.net
    fields = Fields.make(("velocity",), shape, kind=net.kind, **net.numbers).to("meta")
    t, x = torch.zeros(2, device="meta"), torch.zeros(2, fields.dim, device="meta")
    assert fields.velocity(t, x).shape == x.shape


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((1, 8, 8), "digits"),
        ((3, 16, 12), "digits"),
        ((1, 16, 17), "mnist"),
        ((3, 32, 32), "mnist"),
    ],
)
def test_the_size_of_images_chooses(shape, name):
    assert config_of(None, shape) == config_of(name, shape)


def test_large_images_need_a_choice():
    with pytest.raises(
        InputError,
        match=r"8 x 33 pixels have no default config: give a config",
    ):
        config_of(None, (1, 8, 33))
    assert config_of("mnist", (1, 64, 64)).recipe.batch_size == 64


def test_users_bring_a_file_or_an_object(tmp_path):
    (tmp_path / "mine.yaml").write_text(TINY_YAML)
    for given in (TINY, tmp_path / "mine.yaml", str(tmp_path / "mine.yaml")):
        assert config_of(given, (3, 99, 99)) == TINY
    with pytest.raises(InputError, match=r"unknown config 'cifar1' \(did you mean 'cifar10'\?\)"):
        config_of("cifar1", (3, 32, 32))
    with pytest.raises(FileError, match=r"none.yaml does not exist"):
        config_of("none.yaml", (3, 32, 32))


def test_a_method_by_name_takes_no_noise_but_on_bridges():
    for name in PRESETS:
        path = cf.method(name).path
        expected = path.sigma if path.name == "bridge" else 0
        assert method_for(TINY, name).path.sigma == expected, name


def test_noise_that_is_asked_for_is_taken():
    assert method_for(TINY, "i-cfm", sigma=0.3).path.sigma == 0.3
    assert method_for(TINY, "sb-cfm", sigma=0.7).path.sigma == 0.7
    assert method_for(TINY, None, sigma=0.3).path.sigma == 0.3
    own = cf.method("ot-cfm", sigma=0.4)
    assert method_for(TINY, own) == own


def test_parts_change_the_method_that_is_there():
    assert method_for(TINY, None, coupling="independent").coupling.name == "independent"
    noisy = Config(cf.method("ot-cfm", sigma=0.2), TINY.recipe)
    assert method_for(noisy, None, path="vp").path.sigma == 0.2
    assert method_for(noisy, "i-cfm", path="bridge").path.sigma == cf.method("i-cfm").path.sigma
    with pytest.raises(InputError, match=r"unknown method 'fmm' \(did you mean 'fm'\?\)"):
        method_for(TINY, "fmm")
    with pytest.raises(InputError, match="path 'bridge' needs sigma over 0"):
        method_for(TINY, None, path="bridge")
