"""Networks of a flow: velocity, score and growth rate."""

from cellflow.nets.blocks import linear
from cellflow.nets.denoiser import Denoiser, Preconditioning
from cellflow.nets.fields import NETS, ExtrapolatedFields, Fields, register_net
from cellflow.nets.mlp import MLP, GeopathNet
from cellflow.nets.net import ROLES, GridNet, Net, RowNet, centre_and_scale
from cellflow.nets.song_unet import SongUNet
from cellflow.nets.unet import UNet

__all__ = [
    "MLP",
    "NETS",
    "ROLES",
    "Denoiser",
    "ExtrapolatedFields",
    "Fields",
    "GeopathNet",
    "GridNet",
    "Net",
    "Preconditioning",
    "RowNet",
    "SongUNet",
    "UNet",
    "centre_and_scale",
    "linear",
    "register_net",
]
