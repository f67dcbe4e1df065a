"""Encoders by name: those that come with inverso, named as their prior, and your own files."""

from __future__ import annotations

from inverso._networks.cards import Card
from inverso._networks.zoo import Zoo
from inverso.priors.encoder.files import read_encoder


def _embedded(name: str, *, side: int, latent_dim: int, parameters: int, data: str, recipe: str, score: str) -> Card:
    """Make the card of an encoder of faces that comes with inverso."""
    return Card(
        name=name,
        kind="encoder",
        family="LatentEncoder",
        image_shape=(3, side, side),
        latent_dim=latent_dim,
        parameters=parameters,
        license="BSD-3-Clause, as inverso",
        data=data,
        damage="Frequencies, points, boxes, small pictures and blurs, half of them with noise.",
        recipe=recipe,
        seed=0,
        quality=f"The prior's image of the guess on 50 held-out photos, without a search: {score} dB in the mean.",
        bias="Aligned faces only, and best what was common: light-skinned men over thirty, from the front.",
        note=f"Comes with inverso and needs no network. Guesses latents of the prior {name}, and of no other.",
    )


CARDS = (
    _embedded(
        "faces-64",
        side=64,
        latent_dim=256,
        parameters=1_766_681,
        data="12,284 real aligned face photos, many of people in the news, shrunk to 64 x 64 px.",
        recipe="`inverso train encoder`, 3,000 steps of 40 photos, and `inverso train certainty`; see faces-64.md.",
        score="22.3",
    ),
    _embedded(
        "faces-128",
        side=128,
        latent_dim=384,
        parameters=1_485_456,
        data="12,284 real aligned face photos of 128 x 128 px, many of people in the news.",
        recipe="`inverso train encoder --set prior=faces-128 --set width=16`, 5,000 steps of 40 photos.",
        score="22.6",
    ),
)
ZOO = Zoo("encoder", "inverso.priors.encoder", CARDS, read_encoder)
