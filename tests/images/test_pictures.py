"""Pictures of images: where each stands, what is written, what is refused."""

import numpy as np
import pytest
from PIL import Image

from cellflow import FileError, InputError
from cellflow.images.pictures import filmstrip, grid, write_gif, write_png


def numbered(*shape, size=(2, 3), channels=1):
    """Plain images; each has its own value, from 1 upwards."""
    values = np.arange(1, np.prod(shape) + 1, dtype=np.uint8).reshape(*shape, 1, 1, 1)
    return np.broadcast_to(values, (*shape, *size, channels)).copy()


def test_images_stand_row_by_row_with_gaps_on_white():
    picture = np.asarray(grid(numbered(3), columns=2, scale=1, gap=1))
    assert picture.tolist() == [
        [255, 255, 255, 255, 255, 255, 255, 255, 255],
        [255, 1, 1, 1, 255, 2, 2, 2, 255],
        [255, 1, 1, 1, 255, 2, 2, 2, 255],
        [255, 255, 255, 255, 255, 255, 255, 255, 255],
        [255, 3, 3, 3, 255, 255, 255, 255, 255],
        [255, 3, 3, 3, 255, 255, 255, 255, 255],
        [255, 255, 255, 255, 255, 255, 255, 255, 255],
    ]


def test_enlarged_pixels_are_repeated(rng):
    pixels = rng.integers(0, 256, size=(1, 4, 5, 3), dtype=np.uint8)
    picture = grid(pixels, scale=7, gap=0)
    assert (picture.mode, picture.size) == ("RGB", (35, 28))
    np.testing.assert_array_equal(np.asarray(picture)[::7, ::7], pixels[0])
    np.testing.assert_array_equal(np.asarray(picture)[6::7, 6::7], pixels[0])


@pytest.mark.parametrize(("n", "side"), [(1, 8), (64, 8), (100, 28), (100, 32), (7, 5)])
def test_small_images_make_a_picture_of_about_600_pixels(n, side):
    picture = grid(np.zeros((n, side, side, 1), np.uint8))
    assert abs(picture.width - 600) <= side * np.ceil(np.sqrt(n)) / 2


def test_large_images_are_never_shrunk():
    assert grid(np.zeros((4, 500, 500, 1), np.uint8)).size == (1006, 1006)


def test_a_filmstrip_has_a_row_an_image_and_a_column_a_time():
    strip = np.asarray(filmstrip(numbered(4, 2, size=(1, 1)), scale=1, gap=0))
    assert strip.tolist() == [[1, 3, 5, 7], [2, 4, 6, 8]]


def test_a_png_holds_the_picture_without_loss(rng, tmp_path):
    pixels = rng.integers(0, 256, size=(5, 4, 4, 3), dtype=np.uint8)
    for picture in (pixels, grid(pixels)):
        write_png(picture, tmp_path / "a.png", overwrite=True)
        with Image.open(tmp_path / "a.png") as written:
            assert written.format == "PNG"
            np.testing.assert_array_equal(np.asarray(written), np.asarray(grid(pixels)))


@pytest.mark.parametrize("channels", [1, 3])
def test_an_animation_has_a_frame_a_time_and_holds_the_last(channels, tmp_path):
    frames = numbered(5, 4, channels=channels) * 12
    write_gif(frames, tmp_path / "a.gif", seconds=1, columns=4, scale=3)
    with Image.open(tmp_path / "a.gif") as film:
        assert film.format == "GIF"
        assert film.info["loop"] == 0
        durations = []
        for time in range(film.n_frames):
            film.seek(time)
            durations.append(film.info["duration"])
            expected = grid(frames[time], columns=4, scale=3).convert("RGB")
            np.testing.assert_array_equal(np.asarray(film.convert("RGB")), np.asarray(expected))
    assert durations == [200, 200, 200, 200, 1700]


def test_frames_are_never_too_short_for_viewers(tmp_path):
    write_gif(numbered(10, 1), tmp_path / "a.gif", seconds=0.01, scale=1)
    with Image.open(tmp_path / "a.gif") as film:
        assert film.info["duration"] == 20


def test_pictures_replace_nothing_unless_told_and_come_whole_or_not_at_all(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    for write, pixels in ((write_png, numbered(2)), (write_gif, numbered(2, 2))):
        path = tmp_path / f"a.{write.__name__[-3:]}"
        path.write_text("mine")
        with pytest.raises(FileError, match="exists already"):
            write(pixels, path)
        with monkeypatch.context() as broken:
            broken.setattr(Image.Image, "save", fail)
            with pytest.raises(FileError, match="No space left"):
                write(pixels, path, overwrite=True)
        assert path.read_text() == "mine"
        write(pixels, path, overwrite=True)
        assert path.read_bytes()[:3] in (b"\x89PN", b"GIF")
    assert len(list(tmp_path.iterdir())) == 2
    for write, pixels in ((write_png, numbered(2)), (write_gif, numbered(2, 2))):
        with pytest.raises(InputError, match="are written as"):
            write(pixels, tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: grid(np.zeros((2, 4, 4, 1))), "must be uint8"),
        (lambda: grid(np.zeros((4, 4, 3), np.uint8)), "the axes"),
        (lambda: grid(numbered(2), columns=0), "columns must be a whole number from 1, got 0"),
        (lambda: grid(numbered(2), scale=1.5), "scale must be a whole number from 1, got 1.5"),
        (lambda: grid(numbered(2), gap=-1), "gap must be a whole number from 0, got -1"),
        (lambda: filmstrip(numbered(2)), r"the axes \(frames, images"),
        (lambda: write_gif(numbered(2), "a.gif"), r"the axes \(frames, images"),
        (lambda: write_gif(numbered(2, 2), "a.gif", seconds=0), "seconds must be positive"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises(InputError, match=message):
        draw()
