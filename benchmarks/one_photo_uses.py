"""What a prior of one photo is good for, on a sheet: what goes in above, what comes out below."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from inverso._files import replacing
from inverso.images.plotting import grid
from inverso.priors import SinGAN
from inverso.priors.singan._resize import resize

FACTOR = 2
BLOCKS = 8
CELL = 2.0


def save_uses(prior: SinGAN, path: Path, *, seed: int = 0) -> None:
    """Draw photo, samples, harmonization, editing, paint-to-image and super-resolution, with inputs made of the photo.

    Args:
        prior: Of at least two scales.
        path: Of the picture; its folder is made.
        seed: Of samples and answers.

    Raises:
        ValueError: The prior has a single scale, which takes no image in.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from inverso.priors import SinGAN
        >>> prior = SinGAN([(16, 20), (20, 25)], width=4).eval()
        >>> with TemporaryDirectory() as folder:
        ...     save_uses(prior, Path(folder, "sheet.png"))
        ...     Path(folder, "sheet.png").exists()
        True
    """
    photo = prior.photo
    samples = prior.sample(4, seed=seed)
    foreign, mask = pasted(photo, 1 - photo.flip(-1))
    copied, _ = pasted(photo, photo.roll(photo.shape[-1] // 4, -1))
    # It has the photo's colors already, so that it keeps them.
    sketch = sketched(photo)
    large = prior.super_resolve(FACTOR, seed=seed)
    bicubic = resize(photo, (large.shape[-2], large.shape[-1]))
    size = prior.sizes[-1]
    columns = {
        "photo": [photo, prior.reconstruct()],
        "samples": [samples[:1], samples[1:2]],
        "more samples": [samples[2:3], samples[3:]],
        "harmonization": [foreign, prior.harmonize(foreign, mask, seed=seed)],
        "editing": [copied, prior.edit(copied, mask, seed=seed)],
        "paint-to-image": [sketch, prior.paint_to_image(sketch, colors=None, seed=seed)],
        "super-resolution": [_middle(bicubic, size), _middle(large, size)],
    }
    captions = {
        "photo": ["", "from the fixed noise"],
        "samples": ["", ""],
        "more samples": ["", ""],
        "harmonization": ["a disk of its negative", "harmonized"],
        "editing": ["a disk copied from the left", "mended"],
        "paint-to-image": ["mirrored, in blocks", "drawn anew"],
        "super-resolution": [f"bicubic × {FACTOR}, the middle", "with details"],
    }
    figure = grid({title: torch.cat(pair) for title, pair in columns.items()}, captions=captions, cell=CELL)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def pasted(photo: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Paste a disk of another image into the lower middle of a photo.

    Args:
        photo: `(1, C, H, W)`.
        other: Of the same shape.

    Returns:
        The photo with the disk in it, and the mask `(H, W)`, true inside the disk.

    Example:
        >>> import torch
        >>> image, mask = pasted(torch.zeros(1, 1, 20, 30), torch.ones(1, 1, 20, 30))
        >>> bool((image[0, 0] == mask).all()), int(mask.sum())
        (True, 37)
    """
    height, width = photo.shape[-2:]
    rows, columns = torch.meshgrid(
        torch.arange(height, device=photo.device), torch.arange(width, device=photo.device), indexing="ij"
    )
    mask = (rows - 0.6 * height).square() + (columns - 0.5 * width).square() <= (0.16 * min(height, width)) ** 2
    return torch.where(mask, other, photo), mask


def sketched(photo: Tensor) -> Tensor:
    """Mirror a photo and draw it in flat blocks, so few that only its layout is left.

    Args:
        photo: `(1, C, H, W)`.

    Returns:
        The sketch, of the same shape; there are 8 blocks along the shorter side.

    Example:
        >>> import torch
        >>> sketched(torch.rand(1, 3, 20, 30)).flatten(2).unique(dim=-1).shape
        torch.Size([1, 3, 96])
    """
    height, width = photo.shape[-2:]
    block = min(height, width) / BLOCKS
    blocks = functional.adaptive_avg_pool2d(photo.flip(-1), (round(height / block), round(width / block)))
    return functional.interpolate(blocks, (height, width), mode="nearest")


def _middle(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut a piece of the given size out of the middle."""
    top, left = ((image.shape[-2 + k] - size[k]) // 2 for k in range(2))
    return image[..., top : top + size[0], left : left + size[1]]
