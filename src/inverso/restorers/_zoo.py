"""Restorers by name: those that come with inverso, and your own files."""

from __future__ import annotations

from inverso._networks.cards import Card
from inverso._networks.zoo import Zoo
from inverso.restorers.base import Restorer
from inverso.restorers.files import read_restorer

_BIAS = (
    "Small aligned portraits only. Where nothing of a face is known it draws an average one, and it takes off glasses "
    "and other rare things."
)
_FACES = "12,284 real aligned face photos, many of people in the news, shrunk to 64 x 64 px."
CARDS = (
    Card(
        name="faces-64",
        kind="restorer",
        family="UNetRestorer",
        parameters=4_112_880,
        image_shape=(3, 64, 64),
        license="BSD-3-Clause, as inverso",
        data=_FACES,
        damage="White and RGB noise, white and cluttered boxes and blocks, points at random and on edges.",
        recipe="`inverso train restorer`, 5,200 steps of 16 photos; see the card faces-64.md beside the weights.",
        seed=0,
        quality=(
            "On 100 held-out photos: white noise 32.0 dB, RGB noise 26.0 dB (both keep 40 %), white box 33.6 dB, white "
            "block 27.7 dB, cluttered block 26.5 dB."
        ),
        bias=_BIAS,
    ),
    Card(
        name="faces-64-paper",
        kind="restorer",
        family="MobileRestorer",
        parameters=4_366_595,
        image_shape=(3, 64, 64),
        license="BSD-3-Clause, as inverso",
        data=_FACES,
        damage="White noise, RGB noise, white boxes.",
        recipe=(
            "The network of Deng, Looi & Tsun with a pixel loss alone, 3,200 steps of 16 photos; see the card "
            "faces-64-paper.md beside the weights."
        ),
        seed=0,
        quality=(
            "On 100 held-out photos: white noise 25.1 dB, RGB noise 22.5 dB (both keep 40 %), white box 25.2 dB, white "
            "block 25.5 dB."
        ),
        bias=_BIAS,
    ),
    Card(
        name="faces-64-repair",
        kind="restorer",
        family="RepairRestorer",
        parameters=1_202_940,
        image_shape=(3, 64, 64),
        license="BSD-3-Clause, as inverso",
        data=_FACES,
        damage="Old photos, as `inverso.degradations.OldPhoto` makes them: scratches, stains, dust, fading, "
        "over-exposure, gray and sepia, paper.",
        recipe=("`inverso train restorer --preset repair`, 2,900 steps of 16 photos; see its card beside the weights."),
        seed=0,
        quality="On 100 held-out photos at the default damage: 22.4 dB and SSIM 0.87, from 16.8 dB and 0.68.",
        bias=f"{_BIAS} The colors of a gray print are guesses.",
    ),
)


class RestorerZoo(Zoo[Restorer]):
    """Restorers, with the size of the photos they were trained on."""

    def load_card(self, card: Card, *, progress: bool = True) -> Restorer:
        """Load the network of a card, and set the size of its training photos."""
        restorer = super().load_card(card, progress=progress)
        restorer.trained_size = None if card.image_shape is None else card.image_shape[-1]
        return restorer


ZOO = RestorerZoo("restorer", "inverso.restorers", CARDS, read_restorer)
