"""Networks for velocity fields and what goes with them."""

from cellflow.nets.denoiser import Denoiser, Preconditioning
from cellflow.nets.fields import KINDS, ROLES, Fields
from cellflow.nets.geopath import GeopathNet
from cellflow.nets.mlp import MLP
from cellflow.nets.song_unet import SongUNet
from cellflow.nets.unet import UNet

__all__ = [
    "KINDS",
    "MLP",
    "ROLES",
    "Denoiser",
    "Fields",
    "GeopathNet",
    "Preconditioning",
    "SongUNet",
    "UNet",
]
