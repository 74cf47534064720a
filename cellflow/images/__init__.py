"""Images: read them, train a flow that generates or translates them, sample, score."""

from cellflow.images._read import read, splits
from cellflow.images._sample import Samples, interpolate, sample
from cellflow.images._train import train
from cellflow.images._translate import translate
from cellflow.images.config import CONFIGS, config_of
from cellflow.images.data import ImageSet
from cellflow.images.encoders import Encoder, PCAEncoder, PixelEncoder
from cellflow.images.pictures import filmstrip, grid, write_gif, write_png

__all__ = [
    "CONFIGS",
    "Encoder",
    "ImageSet",
    "PCAEncoder",
    "PixelEncoder",
    "Samples",
    "config_of",
    "filmstrip",
    "grid",
    "interpolate",
    "read",
    "sample",
    "splits",
    "train",
    "translate",
    "write_gif",
    "write_png",
]
