"""Encoders by name: those that come with inverso, named as their prior, and your own files."""

from __future__ import annotations

from inverso._networks.cards import Card
from inverso._networks.zoo import Zoo
from inverso.priors.encoder.files import read_encoder

CARDS = (
    Card(
        name="faces-64",
        kind="encoder",
        family="LatentEncoder",
        image_shape=(3, 64, 64),
        latent_dim=256,
        parameters=1_766_681,
        license="BSD-3-Clause, as inverso",
        data="12,284 real aligned face photos, many of people in the news, shrunk to 64 x 64 px.",
        damage="Frequencies, points, boxes, small pictures and blurs, half of them with noise.",
        recipe="`inverso train encoder`, 3,000 steps of 40 photos, and `inverso train certainty`; see faces-64.md.",
        seed=0,
        quality="The prior's image of the guess on 50 held-out photos, without a search: 22.3 dB in the mean.",
        bias="Aligned faces only, and best what was common: light-skinned men over thirty, from the front.",
        note="Comes with inverso and needs no network. Guesses latents of the prior faces-64, and of no other.",
    ),
    Card(
        name="faces-128",
        kind="encoder",
        family="LatentEncoder",
        image_shape=(3, 128, 128),
        latent_dim=384,
        parameters=1_485_456,
        license="BSD-3-Clause, as inverso",
        data="12,284 real aligned face photos of 128 x 128 px, many of people in the news.",
        damage="Frequencies, points, boxes, small pictures and blurs, half of them with noise.",
        recipe="`inverso train encoder --set prior=faces-128 --set width=16`, 5,000 steps of 40 photos.",
        seed=0,
        quality="The prior's image of the guess on 50 held-out photos, without a search: 22.6 dB in the mean.",
        bias="Aligned faces only, and best what was common: light-skinned men over thirty, from the front.",
        note="Comes with inverso and needs no network. Guesses latents of the prior faces-128, and of no other.",
    ),
)
ZOO = Zoo("encoder", "inverso.priors.encoder", CARDS, read_encoder)
