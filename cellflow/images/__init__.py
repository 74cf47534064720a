"""Images: read them, train a flow that generates or translates them, sample, score."""

from cellflow.images._couple import couple
from cellflow.images._finetune import finetune
from cellflow.images._read import read
from cellflow.images._sample import interpolate, sample
from cellflow.images._train import train
from cellflow.images._translate import translate
from cellflow.images._upscale import upscale
from cellflow.images.data import ImageSet
from cellflow.images.encoders import PCAEncoder
from cellflow.images.guidance._train_discriminator import train_discriminator
from cellflow.images.guidance.autoguidance import Autoguidance
from cellflow.images.guidance.discrimination import DISCRIMINATOR_RECIPE
from cellflow.images.guidance.discriminator import Discriminator
from cellflow.images.guidance.discriminator_guidance import DiscriminatorGuidance
from cellflow.images.pictures import filmstrip, grid, write_gif, write_png
from cellflow.images.samples import Samples
from cellflow.images.scoring._score import score
from cellflow.images.scoring._score_flow import score_flow
from cellflow.images.scoring.fidelity import fidelity
from cellflow.images.scoring.scores import Scores
from cellflow.images.settings import CONFIGS, config_of
from cellflow.images.training_images import Pictures

__all__ = [
    "CONFIGS",
    "DISCRIMINATOR_RECIPE",
    "Autoguidance",
    "Discriminator",
    "DiscriminatorGuidance",
    "ImageSet",
    "PCAEncoder",
    "Pictures",
    "Samples",
    "Scores",
    "config_of",
    "couple",
    "fidelity",
    "filmstrip",
    "finetune",
    "grid",
    "interpolate",
    "read",
    "sample",
    "score",
    "score_flow",
    "train",
    "train_discriminator",
    "translate",
    "upscale",
    "write_gif",
    "write_png",
]
