"""Cards: descriptions of networks that can be loaded by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from inverso._types import ImageShape

Kind: TypeAlias = Literal["prior", "denoiser", "encoder", "restorer", "detector"]
"""What a network is for."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """Description of a network that can be loaded by name.

    Args:
        name: Name for `load`.
        kind: Purpose of the network.
        family: Name of its class.
        image_shape: Shape `(C, H, W)` of the images it was trained on; None for images of any size.
        license: Terms of the weights.
        data: Training data.
        recipe: Training method.
        quality: Measured quality.
        bias: Known weaknesses and biases.
        seed: The seed of its training; None if unknown.
        latent_dim: Length of its latents; None if it has none.
        parameters: Number of parameters; None if not counted.
        damage: Degradations it was trained for.
        url: Address of its weights; None if they come with inverso.
        hash: Prefix of the file's hash; None if upstream publishes none.
        file: Name of the downloaded file if the last part of the address is too common; None for that part.
        note: Further notes for users.
        encoder: Name or file of an encoder for its latents, if there is one.
        denoiser: Name or file of a denoiser for the same images, if there is one.
    """

    name: str
    kind: Kind
    family: str
    image_shape: ImageShape | None
    license: str
    data: str
    recipe: str
    quality: str
    bias: str
    seed: int | None = None
    latent_dim: int | None = None
    parameters: int | None = None
    damage: str = ""
    url: str | None = None
    hash: str | None = None
    file: str | None = None
    note: str = ""
    encoder: str | None = None
    denoiser: str | None = None
