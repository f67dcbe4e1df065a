"""Priors by name: the embedded one, official checkpoints, and files of your own."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from inverso.errors import InversoError
from inverso.priors.base import GaussianPrior
from inverso.priors.checkpoints.download import fetch
from inverso.priors.checkpoints.readers import read_prior
from inverso.types import ImageShape


@dataclass(frozen=True)
class Card:
    """What is known about a prior that can be loaded by name.

    Args:
        name: What `load` takes.
        family: Its class.
        image_shape: Shape `(C, H, W)` of its images.
        latent_dim: Length of its latent.
        url: Where its weights are downloaded from; None if they come with inverso.
        hash: What the hash of the file starts with; None if upstream publishes none.
        license: Terms of the weights.
        data: What it was trained on.
        recipe: How.
        seed: The seed of its training; None if unknown.
        quality: How good it is.
        bias: What it does badly, and for whom.
        note: What else to know before using it.
    """

    name: str
    family: str
    image_shape: ImageShape
    latent_dim: int
    url: str | None
    hash: str | None
    license: str
    data: str
    recipe: str
    seed: int | None
    quality: str
    bias: str
    note: str = ""


_GAN_ZOO = "https://dl.fbaipublicfiles.com/gan_zoo"
_CELEBRITIES = (
    "Photos of celebrities: mostly young, light-skinned, made up and smiling faces, seen from the front. "
    "Other faces are pulled towards these."
)
_GAN_ZOO_LICENSE = "pytorch_GAN_zoo is BSD-3-Clause; its weights carry no terms of their own, those of the data apply"
_GROWN = "Progressive growing with Wasserstein loss and gradient penalty, weights averaged over training (decay 0.999)."


def _zoo_pggan(
    name: str,
    file: str,
    digits: str,
    *,
    side: int,
    data: str,
    bias: str = _CELEBRITIES,
) -> Card:
    return Card(
        name=name,
        family="PGGAN",
        image_shape=(3, side, side),
        latent_dim=512,
        url=f"{_GAN_ZOO}/PGAN/{file}-{digits}.pth",
        hash=f"sha256:{digits}",
        license=_GAN_ZOO_LICENSE,
        data=data,
        recipe=_GROWN,
        seed=None,
        quality="Not measured by inverso.",
        bias=bias,
        note="Published by facebookresearch/pytorch_GAN_zoo. The averaged generator of the file is used.",
    )


_CARDS = (
    Card(
        name="faces-64",
        family="DCGAN",
        image_shape=(3, 64, 64),
        latent_dim=256,
        url=None,
        hash=None,
        license="BSD-3-Clause, as inverso",
        data="12,284 real aligned face photos, many of people in the news, shrunk to 64 x 64 px.",
        recipe="`inverso train prior` with its default recipe, 8,000 steps; see faces-64.md beside the weights.",
        seed=0,
        quality="CSGM on 100 fully observed test photos: 25.1 dB; see faces-64.md beside the weights.",
        bias="Aligned faces only, and best what was common: light-skinned men over thirty, from the front.",
        note="Comes with inverso and needs no network.",
    ),
    Card(
        name="pggan-celebahq-1024",
        family="PGGAN",
        image_shape=(3, 1024, 1024),
        latent_dim=512,
        url=(
            "https://raw.githubusercontent.com/ptrblck/prog_gans_pytorch_inference/"
            "10c4a2c5248394043c5154a33830e2fa53388859/100_celeb_hq_network-snapshot-010403.pth"
        ),
        hash="git-blob-sha1:754ddb07be65",
        license="CC BY-NC 4.0 (NVIDIA)",
        data="CelebA-HQ, 30,000 photos, 1024 x 1024 px.",
        recipe="The official network of Karras et al. 2018, converted from Theano by ptrblck.",
        seed=None,
        quality="Not measured by inverso. The prior of the paper on image-adaptive GANs (Abu Hussein et al. 2020).",
        bias=_CELEBRITIES,
        note="92 MB. Published by ptrblck/prog_gans_pytorch_inference.",
    ),
    _zoo_pggan(
        "pggan-celebahq-512",
        "celebaHQ16_december_s7_i96000",
        "9c72988c",
        side=512,
        data="CelebA-HQ, 512 x 512 px.",
    ),
    _zoo_pggan("pggan-celebahq-256", "celebaHQ_s6_i80000", "6196db68", side=256, data="CelebA-HQ, 256 x 256 px."),
    _zoo_pggan(
        "pggan-celeba-128",
        "celebaCropped_s5_i83000",
        "2b0acc76",
        side=128,
        data="CelebA, cropped, 128 x 128 px.",
    ),
    _zoo_pggan(
        "pggan-dtd-128",
        "testDTD_s5_i96000",
        "04efa39f",
        side=128,
        data="Describable Textures Dataset, 128 x 128 px.",
        bias="Textures that fill the picture; no objects.",
    ),
    Card(
        name="dcgan-fashiongen-64",
        family="DCGAN",
        image_shape=(3, 64, 64),
        latent_dim=120,
        url=f"{_GAN_ZOO}/DCGAN_fashionGen-1d67302.pth",
        hash="sha256:1d67302",
        license=_GAN_ZOO_LICENSE,
        data="FashionGen, 64 x 64 px.",
        recipe="DCGAN of pytorch_GAN_zoo, weights averaged over training (decay 0.999).",
        seed=None,
        quality="Not measured by inverso.",
        bias="Studio photos of clothes on a white background.",
        note=(
            "Published by facebookresearch/pytorch_GAN_zoo. Averaged weights with the batch-norm statistics of the "
            "trained network. The end of its latent may encode labels, which sample_latent does not imitate."
        ),
    ),
)


def available() -> tuple[Card, ...]:
    """List the priors that can be loaded by name.

    Returns:
        Their cards, embedded ones first.

    Example:
        >>> from inverso.priors import available
        >>> [card.name for card in available()][:2]
        ['faces-64', 'pggan-celebahq-1024']
    """
    return _CARDS


def card(name: str) -> Card:
    """Look a prior's card up.

    Args:
        name: Its name, one of those that `available` lists.

    Returns:
        The card.

    Raises:
        ValueError: There is no such name; the message lists those there are.

    Example:
        >>> from inverso.priors import card
        >>> card("faces-64").image_shape
        (3, 64, 64)
    """
    for known in _CARDS:
        if known.name == name:
            return known
    msg = f"no prior is called {name!r}; {_known_names(name)}"
    raise ValueError(msg)


def load(name_or_path: str | Path, *, progress: bool = True) -> GaussianPrior:
    """Load a prior by its name, or from a checkpoint file.

    Embedded priors work offline. Other names are downloaded once, to torch.hub's cache, and checked by hash. A file is
    read by the layout found in it: what `save_prior` writes, both public PGGAN layouts, DCGAN of pytorch/examples and
    of pytorch_GAN_zoo, the VAE. Nothing in a file is ever executed.

    Args:
        name_or_path: A name that `available` lists, or the path of a file. A name wins over a file called the same;
            write `./name` for the file.
        progress: Whether to show a bar while downloading.

    Returns:
        The prior on the CPU, in float32 and in evaluation mode.

    Raises:
        TypeError: Neither text nor a path is given.
        ValueError: No prior and no file has this name, or the file is no checkpoint of a known layout.
        InversoError: The download fails or is not what the card announces.
    """
    if not isinstance(name_or_path, str | Path):
        msg = f"load takes the name of a prior or the path of a file, got {type(name_or_path).__name__}"
        raise TypeError(msg)
    found = next((known for known in _CARDS if known.name == name_or_path), None)
    if found is not None:
        return _load_card(found, progress=progress)
    path = Path(name_or_path).expanduser()
    if path.exists():
        return read_prior(path)
    msg = f"there is no prior and no file called {str(name_or_path)!r}; {_known_names(str(name_or_path))}"
    raise ValueError(msg)


def _load_card(known: Card, *, progress: bool) -> GaussianPrior:
    if known.url is None:
        resource = files("inverso.priors") / "weights" / f"{known.name}.safetensors"
        if not resource.is_file():
            msg = f"the weights of {known.name!r} are missing from this installation of inverso: install it again"
            raise InversoError(msg)
        with as_file(resource) as path:
            prior = read_prior(path)
    else:
        prior = read_prior(fetch(known.url, digest=known.hash, progress=progress))
    found = (type(prior).__name__, prior.image_shape, prior.latent_shape)
    expected = (known.family, known.image_shape, (known.latent_dim,))
    if found != expected:
        msg = f"the file of {known.name!r} holds {found} where its card announces {expected}"
        raise InversoError(msg)
    return prior


def _known_names(given: str) -> str:
    names = [known.name for known in _CARDS]
    close = difflib.get_close_matches(given, names, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    return f"{meant}Known priors: {', '.join(names)}"
