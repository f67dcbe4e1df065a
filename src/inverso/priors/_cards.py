"""Cards of the priors that can be loaded by name."""

from __future__ import annotations

from inverso._networks.cards import Card

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
        kind="prior",
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


_NGC = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan2/versions/1/files"
_FFHQ = "FFHQ, 70,000 portraits from Flickr"
_FLICKR = (
    "Portraits that people put on Flickr: of more ages and origins than those of celebrities, and as uneven as the "
    "users of that site."
)


def _nvidia(name: str, file: str, *, side: int, data: str, bias: str, note: str = "") -> Card:
    size = "about 300 MB" if side < 512 else "about 360 MB"
    return Card(
        name=name,
        kind="prior",
        family="StyleGAN2",
        image_shape=(3, side, side),
        latent_dim=512,
        url=file if "://" in file else f"{_NGC}/stylegan2-{file}.pkl",
        hash=None,
        license="NVIDIA Source Code License, for research and other non-commercial use",
        data=data,
        recipe="An official network of Karras et al. 2020, where data are few with adaptive augmentation.",
        seed=None,
        quality="Not measured by inverso.",
        bias=bias,
        note=f"{note} A pickle of {size}, read without running what is in it.".strip(),
    )


def _embedded(
    name: str,
    *,
    family: str,
    latent_dim: int,
    recipe: str,
    quality: str,
    side: int = 64,
    note: str = "",
    encoder: str | None = None,
    denoiser: str | None = None,
) -> Card:
    beside = f"see {name}.md beside the weights."
    return Card(
        name=name,
        kind="prior",
        family=family,
        image_shape=(3, side, side),
        latent_dim=latent_dim,
        url=None,
        hash=None,
        license="BSD-3-Clause, as inverso",
        data=f"12,284 real aligned face photos, many of people in the news, of {side} x {side} px.",
        recipe=f"{recipe}; {beside}",
        seed=0,
        quality=f"{quality}; {beside}",
        bias="Aligned faces only, and best what was common: light-skinned men over thirty, from the front.",
        note=f"Comes with inverso and needs no network. {note}".strip(),
        encoder=encoder,
        denoiser=denoiser,
    )


CARDS = (
    _embedded(
        "faces-64",
        family="DCGAN",
        latent_dim=256,
        recipe="`inverso train dcgan` with its default recipe, 8,000 steps",
        quality="CSGM on 100 fully observed test photos: 26.8 dB",
        encoder="faces-64",
        denoiser="faces-64-denoiser",
    ),
    _embedded(
        "faces-64-style",
        family="StyleGAN2",
        latent_dim=128,
        recipe="`inverso train stylegan2` with narrow layers, 7,500 steps",
        quality="StyleInversion on 20 fully observed test photos: 25.7 dB",
        note="Small and trained briefly, for the method style.",
    ),
    _embedded(
        "faces-128",
        family="DCGAN",
        latent_dim=384,
        recipe="`inverso train dcgan --set size=128 --set width=24 --set latent_dim=384`, 7,000 steps",
        quality="CSGM on 12 fully observed test photos: 26.4 dB",
        side=128,
        note="Trained briefly; its samples have a grid, which a denoiser takes off.",
        encoder="faces-128",
        denoiser="photos",
    ),
    Card(
        name="photos",
        kind="denoiser",
        family="PhotoDenoiser",
        image_shape=None,
        license="BSD-3-Clause, as inverso",
        data="54 free photos (CC0, public domain, CC BY), 31 megapixels; credits in photos.md beside the weights.",
        recipe="`inverso train denoiser` with its default recipe; see photos.md beside the weights.",
        seed=0,
        quality="CBSD68 in color at noise 15, 25 and 50: 33.5, 30.8 and 27.5 dB; see photos.md beside the weights.",
        bias="Landscapes, food, things and animals of 54 photos; text and faces were rare among them.",
        note="Comes with inverso and needs no network. Photos of any size, noise of 0.002 to 2.",
    ),
    Card(
        name="faces-64-denoiser",
        kind="denoiser",
        family="PhotoDenoiser",
        image_shape=(3, 64, 64),
        parameters=4_271_468,
        license="BSD-3-Clause, as inverso",
        data="12,284 real aligned face photos, many of people in the news, shrunk to 64 x 64 px.",
        recipe="`inverso train denoiser --preset faces`, 6,350 steps; see faces-64-denoiser.md beside the weights.",
        seed=0,
        quality="200 test faces at noise 15, 25 and 50: 34.3, 31.6 and 28.3 dB; `photos` gives 33.8, 31.0 and 27.4 dB.",
        bias="Aligned faces only, and best what was common: light-skinned men over thirty, from the front.",
        note="Comes with inverso and needs no network. Finishes what faces-64 begins, and draws faces by itself.",
    ),
    Card(
        name="pggan-celebahq-1024",
        kind="prior",
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
        kind="prior",
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
    _nvidia(
        "stylegan2-ffhq-1024",
        "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/ffhq.pkl",
        side=1024,
        data=f"{_FFHQ}, 1024 x 1024 px.",
        bias=_FLICKR,
        note="The prior of the paper on robust restoration in w++ (Poirier-Ginter & Lalonde 2023).",
    ),
    _nvidia("stylegan2-ffhq-512", "ffhq-512x512", side=512, data=f"{_FFHQ}, 512 x 512 px.", bias=_FLICKR),
    _nvidia("stylegan2-ffhq-256", "ffhq-256x256", side=256, data=f"{_FFHQ}, 256 x 256 px.", bias=_FLICKR),
    _nvidia("stylegan2-ffhqu-1024", "ffhqu-1024x1024", side=1024, data=f"{_FFHQ}, not aligned.", bias=_FLICKR),
    _nvidia("stylegan2-ffhqu-256", "ffhqu-256x256", side=256, data=f"{_FFHQ}, not aligned.", bias=_FLICKR),
    _nvidia("stylegan2-celebahq-256", "celebahq-256x256", side=256, data="CelebA-HQ, 256 x 256 px.", bias=_CELEBRITIES),
    _nvidia(
        "stylegan2-metfaces-1024",
        "metfaces-1024x1024",
        side=1024,
        data="MetFaces, 1,336 faces in works of art of the Metropolitan Museum, 1024 x 1024 px.",
        bias="Faces as European painting and sculpture showed them; few works, so that samples resemble each other.",
    ),
    *(
        _nvidia(
            f"stylegan2-afhq{animals}-512",
            f"afhq{animals}-512x512",
            side=512,
            data=f"AFHQ, faces of {meaning}, 512 x 512 px.",
            bias="Faces of animals seen from the front, and nothing else.",
        )
        for animals, meaning in {"cat": "cats", "dog": "dogs", "wild": "wild animals", "v2": "animals"}.items()
    ),
    _nvidia(
        "stylegan2-lsundog-256",
        "lsundog-256x256",
        side=256,
        data="LSUN Dog, 256 x 256 px.",
        bias="Dogs in amateurs' photos; what is around them comes out badly.",
    ),
)
