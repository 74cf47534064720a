"""Images: read them, train a flow that generates or translates them, sample, score."""

from cellflow.images._couple import couple
from cellflow.images._finetune import finetune
from cellflow.images._read import read, splits
from cellflow.images._sample import interpolate, sample
from cellflow.images._train import train
from cellflow.images._translate import translate
from cellflow.images._upscale import upscale
from cellflow.images.data import ImageSet
from cellflow.images.encoders import Encoder, PCAEncoder, PixelEncoder
from cellflow.images.guidance._train_discriminator import train_discriminator
from cellflow.images.guidance.discriminator import Discriminator
from cellflow.images.low_res import enlarge, shrink
from cellflow.images.pictures import filmstrip, grid, write_gif, write_png
from cellflow.images.samples import Samples, cost_of
from cellflow.images.scoring._score import TranslationScores, score, translation_scores
from cellflow.images.scoring._score_flow import BY, score_flow
from cellflow.images.scoring.features import SPACES, FeatureSpace, space_of
from cellflow.images.scoring.fidelity import Fidelity, fidelity
from cellflow.images.scoring.inception import write_inception_weights
from cellflow.images.scoring.scores import Scores, read_table, write_table
from cellflow.images.settings import CONFIGS, config_of

__all__ = [
    "BY",
    "CONFIGS",
    "SPACES",
    "Discriminator",
    "Encoder",
    "FeatureSpace",
    "Fidelity",
    "ImageSet",
    "PCAEncoder",
    "PixelEncoder",
    "Samples",
    "Scores",
    "TranslationScores",
    "config_of",
    "cost_of",
    "couple",
    "enlarge",
    "fidelity",
    "filmstrip",
    "finetune",
    "grid",
    "interpolate",
    "read",
    "read_table",
    "sample",
    "score",
    "score_flow",
    "shrink",
    "space_of",
    "splits",
    "train",
    "train_discriminator",
    "translate",
    "translation_scores",
    "upscale",
    "write_gif",
    "write_inception_weights",
    "write_png",
    "write_table",
]
