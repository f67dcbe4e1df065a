"""Draw the pictures of docs/one_image.md: `python docs/draw_one_image.py FOLDER`.

The folder holds the priors `rocket-100.safetensors` and `coins-48.safetensors`; one that is missing is fitted first,
which takes minutes. Both photos come with scikit-image.
"""

from __future__ import annotations

import sys
from pathlib import Path

import skimage.data
import torch
from torch import Tensor

from inverso.images import grid, save_image
from inverso.metrics import psnr
from inverso.priors import SinGAN, load, save_prior
from inverso.priors.singan import resize, save_animation
from inverso.training import SinGANRecipe, fit

IMAGES = Path(__file__).parent / "images"
DPI = 120
SKY, GROUND, ROCKET = (0.12, 0.17, 0.32), (0.20, 0.20, 0.22), (0.85, 0.80, 0.65)
LAMP = (1.0, 0.8, 0.4)
BONE = (0.85, 0.80, 0.60)


def read(name: str) -> Tensor:
    """Read a photo that comes with scikit-image, at its full size."""
    pixels = torch.from_numpy(getattr(skimage.data, name)()).float() / 255
    return pixels[None, None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)[None]


def fitted(folder: Path, name: str, size: int) -> SinGAN:
    """Load a prior, or fit it with the default recipe."""
    path = folder / f"{name}-{size}.safetensors"
    if not path.exists():
        save_prior(fit(SinGANRecipe(max_size=size), read(name)), path)
    prior = load(path)
    if not isinstance(prior, SinGAN):
        msg = f"{path} holds a {type(prior).__name__}, not a SinGAN"
        raise SystemExit(msg)
    return prior


def samples(prior: SinGAN, name: str) -> None:
    """The photo, what the fixed noise gives of it, and samples."""
    again = prior.reconstruct()
    images = prior.sample(8, seed=1)
    columns = {"photo": torch.cat([prior.photo, again])}
    columns |= {f"samples {k + 1}": images[k::4] for k in range(4)}
    captions = {"photo": ["", f"from the fixed noise, {float(psnr(again, prior.photo)):.1f} dB"]}
    grid(columns, captions=captions, cell=1.9).savefig(IMAGES / f"singan-{name}.png", dpi=DPI)


def uses(prior: SinGAN) -> None:
    """What goes in, above, and what comes out, below, of four uses."""
    with_horse, horse = paste_horse(prior.photo)
    without_rocket, patch = remove_rocket(prior.photo)
    sketch = draw_sketch(prior.photo)
    small, large = prior.photo, prior.super_resolve(2)
    size = (large.shape[-2], large.shape[-1])
    part = (..., slice(size[0] - small.shape[-2], size[0]), slice(60, 60 + small.shape[-1]))
    columns = {
        "harmonize": torch.cat([with_horse, prior.harmonize(with_horse, horse)]),
        "edit": torch.cat([without_rocket, prior.edit(without_rocket, patch, seed=1)]),
        "paint_to_image": torch.cat([sketch, prior.paint_to_image(sketch, start_scale=2, seed=1)]),
        "super_resolve": torch.cat([resize(small, size)[part], large[part]]),
    }
    captions = {
        "harmonize": ["a flat horse, pasted in", "harmonized"],
        "edit": ["rocket covered by sky", "mended"],
        "paint_to_image": ["sketch", "injected at scale 2"],
        "super_resolve": ["twice as large: bicubic", "with details"],
    }
    grid(columns, captions=captions, cell=2.2).savefig(IMAGES / "singan-uses.png", dpi=DPI)


def paste_horse(photo: Tensor) -> tuple[Tensor, Tensor]:
    """Paste a silhouette of one color into the sky."""
    shape = resize((~torch.from_numpy(skimage.data.horse()).bool()).float()[None, None], (24, 30))[0, 0] > 0.5
    mask = torch.zeros(photo.shape[-2:], dtype=torch.bool)
    mask[10:34, 18:48] = shape
    return torch.where(mask, torch.tensor(BONE).reshape(1, 3, 1, 1), photo), mask


def remove_rocket(photo: Tensor) -> tuple[Tensor, Tensor]:
    """Cover the rocket, roughly, by the sky beside it."""
    mask = torch.zeros(photo.shape[-2:], dtype=torch.bool)
    mask[16:64, 41:59] = True
    edited = photo.clone()
    edited[..., 16:64, 41:59] = photo[..., 16:64, 59:65].repeat(1, 1, 1, 3)
    return edited, mask


def draw_sketch(photo: Tensor) -> Tensor:
    """Draw three rockets and some lamps in four flat colors."""
    sketch = torch.empty_like(photo)
    shapes = [(0, 55, 0, 100, SKY), (55, 67, 0, 100, GROUND)]
    shapes += [(22, 64, 20, 25, ROCKET), (30, 64, 50, 54, ROCKET), (18, 64, 74, 80, ROCKET)]
    shapes += [(top, top + 3, left, left + 4, LAMP) for top, left in ((60, 15), (61, 32), (60, 45), (61, 70), (60, 85))]
    for top, bottom, left, right, color in shapes:
        sketch[..., top:bottom, left:right] = torch.tensor(color).reshape(1, 3, 1, 1)
    return sketch


def main() -> None:
    """Draw all of them."""
    folder = Path(sys.argv[1])
    rocket = fitted(folder, "rocket", 100)
    samples(rocket, "samples")
    save_image(rocket.sample(size=(67, 300), seed=2), IMAGES / "singan-panorama.png")
    uses(rocket)
    save_animation(rocket.animate(30, seed=0), IMAGES / "singan-animation.gif", fps=10)
    samples(fitted(folder, "coins", 48), "coins")


if __name__ == "__main__":
    main()
