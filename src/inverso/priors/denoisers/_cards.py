"""Cards of published denoisers that can be loaded by name."""

from __future__ import annotations

from inverso._networks.cards import Card

_KAIR = "https://github.com/cszn/KAIR/releases/download/v1.0"
_KAIR_LICENSE = "KAIR is MIT; its weights carry no terms of their own, those of the data apply"
_BERKELEY = "Gray photos of the Berkeley segmentation set, and for most networks of other sets too."
_PHOTOS = "Photos of the Berkeley segmentation set, Waterloo exploration, DIV2K and Flickr2K, as the paper says."
_NATURAL = "Photos as photographers take them; what is rare there, such as text, comes out less well."
_ZHANG = "By Zhang et al.; published by cszn/KAIR."


def _kair(name: str, file: str, *, family: str, quality: str, noise: str, data: str = _PHOTOS) -> Card:
    kind = "Gray photos" if (family == "DnCNN" and "color" not in file) or "gray" in file else "Color photos"
    return Card(
        name=name,
        kind="denoiser",
        family=family,
        image_shape=None,
        license=_KAIR_LICENSE,
        data=data,
        recipe=_ZHANG,
        quality=f"{quality} (published).",
        bias=_NATURAL,
        url=f"{_KAIR}/{file}.pth",
        note=f"{kind} of any size, noise {noise}.",
    )


def _drunet(colors: str, quality: str) -> Card:
    return _kair(f"drunet-{colors}", f"drunet_{colors}", family="DRUNet", quality=quality, noise="up to 50 / 255")


def _dncnn(level: int, quality: str) -> Card:
    noise = f"of {level} / 255 alone"
    return _kair(f"dncnn-{level}", f"dncnn_{level}", family="DnCNN", quality=quality, noise=noise, data=_BERKELEY)


def _edm(name: str, file: str, *, channels: int = 3, side: int, data: str, bias: str) -> Card:
    return Card(
        name=name,
        kind="denoiser",
        family="EDMDenoiser",
        image_shape=(channels, side, side),
        license="CC BY-NC-SA 4.0, code and weights",
        data=data,
        recipe="By Karras et al. 2022; published by NVlabs/edm.",
        quality="Not measured by inverso.",
        bias=bias,
        url=f"https://nvlabs-fi-cdn.nvidia.com/edm/pretrained/{file}.pkl",
        note="A pickle of about 250 MB, read without running what is in it. Noise of 0.001 to 40.",
    )


_FLICKR_FACES = "Aligned portraits that people put on Flickr, and nothing else."
_CELEBRITIES = "Aligned photos of celebrities: mostly young, light-skinned, made up and smiling."
_SMALL = "Ten kinds of animals and vehicles at 32 px."

DENOISER_CARDS = (
    _drunet("color", "CBSD68 at noise 15, 25, 50: 34.30, 31.69, 28.51 dB"),
    _drunet("gray", "BSD68 at noise 15, 25, 50: 31.91, 29.48, 26.59 dB"),
    _kair(
        "ffdnet-color",
        "ffdnet_color",
        family="FFDNet",
        quality="CBSD68 at noise 15, 25, 50: 33.87, 31.21, 27.96 dB",
        noise="up to 75 / 255",
    ),
    _kair(
        "ffdnet-gray",
        "ffdnet_gray",
        family="FFDNet",
        quality="BSD68 at noise 15, 25, 50: 31.63, 29.19, 26.29 dB",
        noise="up to 75 / 255",
    ),
    _kair(
        "ircnn-color",
        "ircnn_color",
        family="IRCNN",
        quality="CBSD68 at noise 15, 25, 50: 33.86, 31.16, 27.86 dB",
        noise="of 2 to 50 / 255, in 25 networks",
    ),
    _kair(
        "ircnn-gray",
        "ircnn_gray",
        family="IRCNN",
        quality="BSD68 at noise 15, 25, 50: 31.63, 29.15, 26.19 dB",
        noise="of 2 to 50 / 255, in 25 networks",
        data=_BERKELEY,
    ),
    _kair(
        "dncnn-color-blind",
        "dncnn_color_blind",
        family="DnCNN",
        quality="CBSD68 at noise 15, 25, 50: 33.90, 31.24, 27.95 dB",
        noise="up to 55 / 255, which it finds out by itself",
        data="Photos of the Berkeley segmentation set.",
    ),
    _kair(
        "dncnn-gray-blind",
        "dncnn_gray_blind",
        family="DnCNN",
        quality="BSD68 at noise 25: about 29.2 dB",
        noise="up to 55 / 255, which it finds out by itself",
        data=_BERKELEY,
    ),
    _dncnn(15, "BSD68 at noise 15: 31.73 dB"),
    _dncnn(25, "BSD68 at noise 25: 29.23 dB; reproduced by inverso's tests"),
    _dncnn(50, "BSD68 at noise 50: 26.23 dB"),
    *(
        Card(
            name=f"drunet-deepinv-{colors}",
            kind="denoiser",
            family="DRUNet",
            image_shape=None,
            license="deepinv is BSD-3-Clause; its weights carry no terms of their own, those of the data apply",
            data=_PHOTOS,
            recipe="By the authors of deepinv, trained on with noise up to 20 / 255.",
            quality="Not measured by inverso.",
            bias=_NATURAL,
            url=f"https://huggingface.co/deepinv/drunet/resolve/main/drunet_deepinv_{colors}_finetune_{steps}.pth",
            note=f"{colors.capitalize()} photos of any size.",
        )
        for colors, steps in {"color": "22k", "gray": "26k"}.items()
    ),
    Card(
        name="adm-256-uncond",
        kind="denoiser",
        family="DiffusionDenoiser",
        image_shape=(3, 256, 256),
        license="MIT",
        data="ImageNet, 256 x 256 px.",
        recipe="By Dhariwal & Nichol 2021; published by openai/guided-diffusion.",
        quality="Not measured by inverso.",
        bias="A thousand kinds of things, a tenth of them dogs; people are rare.",
        url="https://openaipublic.blob.core.windows.net/diffusion/jul-2021/256x256_diffusion_uncond.pt",
        note="A file of 2.2 GB. Noise of 0.005 to 79.",
    ),
    Card(
        name="ffhq-10m",
        kind="denoiser",
        family="DiffusionDenoiser",
        image_shape=(3, 256, 256),
        license="None stated; the data are CC BY-NC-SA 4.0",
        data="FFHQ, 256 x 256 px.",
        recipe="By Chung et al. 2023 (DPS); also the network of DiffPIR, kept by deepinv.",
        quality="Not measured by inverso.",
        bias=_FLICKR_FACES,
        url="https://huggingface.co/deepinv/diffunet/resolve/main/diffusion_ffhq_10m.pt",
        note="A file of 370 MB. Noise of 0.005 to 79.",
    ),
    Card(
        name="ddpm-celebahq-256",
        kind="denoiser",
        family="DiffusionDenoiser",
        image_shape=(3, 256, 256),
        license="Apache-2.0",
        data="CelebA-HQ, 256 x 256 px.",
        recipe="By Ho et al. 2020; published as google/ddpm-celebahq-256.",
        quality="Not measured by inverso.",
        bias=_CELEBRITIES,
        url="https://huggingface.co/google/ddpm-celebahq-256/resolve/main/diffusion_pytorch_model.bin",
        file="ddpm-celebahq-256.bin",
        note="A file of 450 MB. Noise of 0.005 to 79.",
    ),
    *(
        _edm(
            f"edm-ffhq-64-{kind}",
            f"edm-ffhq-64x64-uncond-{kind}",
            side=64,
            data="FFHQ, 64 x 64 px.",
            bias=_FLICKR_FACES,
        )
        for kind in ("vp", "ve")
    ),
    *(
        _edm(
            f"edm-afhqv2-64-{kind}",
            f"edm-afhqv2-64x64-uncond-{kind}",
            side=64,
            data="AFHQv2, 64 x 64 px.",
            bias="Faces of cats, dogs and wild animals from the front, and nothing else.",
        )
        for kind in ("vp", "ve")
    ),
    *(
        _edm(
            f"edm-cifar10-32-{classes}-{kind}",
            f"edm-cifar10-32x32-{classes}-{kind}",
            side=32,
            data="CIFAR-10, 32 x 32 px.",
            bias=_SMALL,
        )
        for classes in ("uncond", "cond")
        for kind in ("vp", "ve")
    ),
    _edm(
        "edm-imagenet-64-cond",
        "edm-imagenet-64x64-cond-adm",
        side=64,
        data="ImageNet, 64 x 64 px.",
        bias="A thousand kinds of things, which it wants to be told; without, its answers are less good.",
    ),
)
"""Denoisers by others; each is read into the posterior mean of images in [0, 1]."""
