"""Networks for velocity fields and what goes with them."""

from cellflow.nets.blocks import linear
from cellflow.nets.denoiser import Denoiser, Preconditioning
from cellflow.nets.fields import NETS, ExtrapolatedFields, Fields, register_net
from cellflow.nets.mlp import MLP, GeopathNet
from cellflow.nets.net import ROLES, GridNet, Net, RowNet, centre_and_scale
from cellflow.nets.noisy_classifier import NoisyClassifier, RatioNet
from cellflow.nets.song_unet import SongUNet
from cellflow.nets.stack import MLPStack
from cellflow.nets.unet import UNet
from cellflow.nets.vp_time import vp_scale, vp_sigma, vp_time

__all__ = [
    "MLP",
    "NETS",
    "ROLES",
    "Denoiser",
    "ExtrapolatedFields",
    "Fields",
    "GeopathNet",
    "GridNet",
    "MLPStack",
    "Net",
    "NoisyClassifier",
    "Preconditioning",
    "RatioNet",
    "RowNet",
    "SongUNet",
    "UNet",
    "centre_and_scale",
    "linear",
    "register_net",
    "vp_scale",
    "vp_sigma",
    "vp_time",
]
