"""Networks for velocity fields and what goes with them."""

from cellflow.nets.denoiser import Denoiser, Preconditioning
from cellflow.nets.fields import KINDS, ROLES, ExtrapolatedFields, Fields
from cellflow.nets.geopath import GeopathNet
from cellflow.nets.mlp import MLP, centre_and_scale
from cellflow.nets.noisy_classifier import NoisyClassifier, RatioNet
from cellflow.nets.song_unet import SongUNet
from cellflow.nets.stack import MLPStack
from cellflow.nets.unet import UNet
from cellflow.nets.vp_time import vp_scale, vp_sigma, vp_time

__all__ = [
    "KINDS",
    "MLP",
    "ROLES",
    "Denoiser",
    "ExtrapolatedFields",
    "Fields",
    "GeopathNet",
    "MLPStack",
    "NoisyClassifier",
    "Preconditioning",
    "RatioNet",
    "SongUNet",
    "UNet",
    "centre_and_scale",
    "vp_scale",
    "vp_sigma",
    "vp_time",
]
