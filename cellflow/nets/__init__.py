"""Networks for velocity fields and what goes with them."""

from cellflow.nets.denoiser import Denoiser, Preconditioning
from cellflow.nets.fields import KINDS, ROLES, ExtrapolatedFields, Fields
from cellflow.nets.geopath import GeopathNet
from cellflow.nets.mlp import MLP, centre_and_scale
from cellflow.nets.song_unet import SongUNet
from cellflow.nets.unet import UNet

__all__ = [
    "KINDS",
    "MLP",
    "ROLES",
    "Denoiser",
    "ExtrapolatedFields",
    "Fields",
    "GeopathNet",
    "Preconditioning",
    "SongUNet",
    "UNet",
    "centre_and_scale",
]
