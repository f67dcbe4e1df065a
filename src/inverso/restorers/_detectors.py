"""Detectors of damage by name: the one that comes with inverso, and your own files."""

from __future__ import annotations

from pathlib import Path

from inverso._networks.cards import Card
from inverso._networks.zoo import Zoo
from inverso.restorers.detector import DamageDetector, read_detector

CARDS = (
    Card(
        name="photos-repair",
        kind="detector",
        family="DamageDetector",
        parameters=705_001,
        image_shape=None,
        license="BSD-3-Clause, as inverso",
        data="54 free photos (CC0, public domain, CC BY), 31 MP; photos-repair.md beside the weights lists them.",
        damage="Old prints: scratches, cracks, folds, dust, spots, blots, hairs and torn edges, in any size.",
        recipe="`inverso train detector`, 48,900 steps of 8 patches; see photos-repair.md beside the weights.",
        seed=0,
        quality=(
            "On 24 photos that no network has seen, pixel by pixel: F1 0.81 on thin scratches (precision 0.86, recall "
            "0.77), 0.77 on mixed damage; 0.4 % false alarms on the photos as they are."
        ),
        bias=(
            "Thin bright or dark things that were photographed, such as wires and whiskers, may be taken for "
            "scratches, and faint scratches missed."
        ),
        note="Finds what `inverso restore --old` fills.",
    ),
)
DETECTORS = Zoo("detector", "inverso.restorers", CARDS, read_detector)


def load_detector(name_or_path: str | Path = "photos-repair", *, progress: bool = True) -> DamageDetector:
    """Load a detector of damage by its name, from a file, or from the Hugging Face hub; no code in a file is executed.

    Args:
        name_or_path: "photos-repair", which comes with inverso, a file of `save_detector`, or `hf:owner/name`.
        progress: Whether to show a progress bar while downloading.

    Returns:
        The network on the CPU, in float32 and in evaluation mode.

    Raises:
        ValueError: No detector, file or repository has this name, or the file contains no detector.

    Example:
        >>> import torch
        >>> from inverso.restorers import load_detector
        >>> load_detector().probability(torch.full((1, 3, 32, 48), 0.5)).shape
        torch.Size([1, 1, 32, 48])
    """
    return DETECTORS.load(name_or_path, progress=progress)
