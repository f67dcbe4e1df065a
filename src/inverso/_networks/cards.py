"""What is known about a network that can be loaded by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from inverso._types import ImageShape

Kind: TypeAlias = Literal["prior", "denoiser", "encoder", "restorer"]
"""What a network is for."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known about a network that can be loaded by name.

    Args:
        name: What `load` takes.
        kind: What it is for.
        family: Its class.
        image_shape: Shape `(C, H, W)` of the images it was trained on; None for images of any size.
        license: Terms of the weights.
        data: What it was trained on.
        recipe: How it was trained.
        quality: How good it is.
        bias: What it does badly, and for whom.
        seed: The seed of its training; None if unknown.
        latent_dim: Length of the latent that it draws from or guesses; None where there is none.
        parameters: How many numbers it has learned; None if not counted.
        damage: What it was trained to undo.
        url: Where its weights are downloaded from; None if they come with inverso.
        hash: What the hash of the file starts with; None if upstream publishes none.
        file: What to call the file where its address ends in a name that many have; None for that name.
        note: What else to know before using it.
        encoder: The encoder that guesses its latents, if there is one: a name or file.
        denoiser: The denoiser that knows the same images, if there is one: a name or file.
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
