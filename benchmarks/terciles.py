"""Photos in thirds, by brightness and by contrast."""

from __future__ import annotations

import torch

from inverso.experiments import Groups, Photos

PARTS = ("low", "middle", "high")


def terciles(photos: Photos) -> Groups:
    """Divide photos into thirds by brightness (mean of the gray image) and by contrast (its standard deviation).

    Args:
        photos: What was measured.

    Returns:
        Six groups; with fewer than three photos some are missing.
    """
    gray = [image.double().mean(dim=1) for image in photos.images]
    measures = {
        "brightness": torch.stack([image.mean() for image in gray]),
        "contrast": torch.stack([image.std() for image in gray]),
    }
    groups: dict[str, frozenset[str]] = {}
    for name, values in measures.items():
        thirds = torch.tensor_split(values.argsort(stable=True), 3)
        for part, members in zip(PARTS, thirds, strict=True):
            if len(members):
                groups[f"{name}={part}"] = frozenset(photos.names[k] for k in members.tolist())
    return groups
