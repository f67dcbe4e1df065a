"""The tables of docs/checkpoints.md: every row loads, from reference values or random weights, and answers right."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import inverso
from interop.test_spandrel import network as spandrel_network
from inverso.compression import round_model, save_quantized
from inverso.interop import from_spandrel
from inverso.priors import DCGAN, PGGAN, VAE, SinGAN, StyleGAN2, read_adm, save_prior
from inverso.priors._formats.diffusers import read_diffusers
from inverso.priors.denoisers import EDMDenoiser, PhotoDenoiser
from inverso.priors.denoisers._adm import ADMSizes, ADMUNet
from inverso.priors.encoder import LatentEncoder, save_encoder
from inverso.restorers import (
    DamageDetector,
    MobileRestorer,
    RepairRestorer,
    SlidesRestorer,
    UNetRestorer,
    XGANRestorer,
    load_detector,
    save_detector,
    save_restorer,
)
from priors.denoisers import golden as denoisers
from priors.golden import DATA, arrays, assert_same_images

PAGE = Path(__file__).parents[1] / "docs" / "checkpoints.md"
Row = tuple[str, str]


def rows() -> list[Row]:
    """Family and repository of each row of the tables."""
    cells = [line.split("|")[1:-1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    named = [
        (family.replace("`", "").strip(), repository.replace("<wbr>", "").strip()) for family, repository, *_ in cells
    ]
    return [row for row in named if row[0] != "family"]


def test_the_tables_are_read():
    cells = [line.split("|")[1:-1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert {len(row) for row in cells} == {5}
    assert all(cell.strip() for row in cells for cell in row)
    assert len(set(rows())) == len(rows()) >= 30


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]}-{row[1]}")
def test_no_row_is_without_a_test(row):
    assert row in TESTS


def test_no_test_is_without_a_row():
    assert set(TESTS) <= set(rows())


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]}-{row[1]}")
@pytest.mark.filterwarnings("ignore:torch.meshgrid")
def test_a_row(row, tmp_path):
    TESTS[row](tmp_path)


def generator(file: str, io: str, image: str, family: type, *, flat: bool = False, atol: float = 2e-5):
    def check(_: Path) -> None:
        prior, golden = inverso.priors.load(DATA / file, kind=family), arrays(io)
        assert_same_images(prior(golden["z"].flatten(1) if flat else golden["z"]), golden[image], atol=atol)

    return check


def dcgan_zoo(_: Path) -> None:
    """In the mode in which that code samples, which needs no statistics of the file."""
    prior, golden = inverso.priors.load(DATA / "dcgan_zoo_tiny.pth", kind=DCGAN).train(), arrays("dcgan_zoo_tiny")
    assert_same_images(prior(golden["z"]), golden["img_avgG_train"], atol=1e-5)


def vae(folder: Path) -> None:
    state = VAE(5, hidden=7).state_dict()
    torch.save({**state, "fc1.weight": torch.zeros(7, 784)}, folder / "vae.pth")
    z = torch.randn(2, 5)
    hidden = torch.relu(z @ state["fc3.weight"].T + state["fc3.bias"])
    expected = torch.sigmoid(hidden @ state["fc4.weight"].T + state["fc4.bias"]).reshape(2, 1, 28, 28)
    torch.testing.assert_close(inverso.priors.load(folder / "vae.pth", kind=VAE)(z), expected)


def kair(family: str, name: str, *, sigma: float | None = None, out: str = "out"):
    def check(_: Path) -> None:
        denoiser = inverso.priors.load(denoisers.DATA / "kair" / f"{name}.pth")
        golden = denoisers.arrays(f"kair/{name.replace('_bn', '')}")
        assert type(denoiser).__name__ == family
        denoisers.assert_same(denoiser(golden["x"], golden["sigma"] if sigma is None else sigma), golden[out])

    return check


def deepinv(kind: str, **settings):
    def check(folder: Path) -> None:
        models = pytest.importorskip("deepinv.models")
        theirs = getattr(models, kind)(pretrained=None, **settings).eval()
        torch.save(theirs.state_dict(), folder / "weights.pth")
        denoiser, x = inverso.priors.load(folder / "weights.pth"), torch.rand(1, 3, 16, 16)
        assert type(denoiser).__name__ == kind
        with torch.no_grad():
            denoisers.assert_same(denoiser(x, 0.1), theirs(x, 0.1))

    return check


def guided_diffusion(_: Path) -> None:
    denoiser = read_adm(denoisers.DATA / "adm" / "adm_tiny.pt", head_channels=16)
    denoiser.whole_times, golden = True, denoisers.arrays("adm/adm_tiny")
    denoisers.assert_same(denoiser(golden["x01_noisy"], golden["sigma01"]), golden["denoised01"])


def ffhq_10m(folder: Path) -> None:
    """One block a resolution and attention at one of them, as in that network."""
    network = ADMUNet(ADMSizes(width=64, widths=(64, 64), blocks=1, attention=(False, True))).eval()
    torch.save(network.state_dict(), folder / "ffhq_10m.pt")
    denoiser = inverso.priors.load(folder / "ffhq_10m.pt", kind=inverso.priors.denoisers.DiffusionDenoiser)
    x, t = torch.rand(1, 3, 8, 8), torch.tensor([300.0])
    torch.testing.assert_close(denoiser.network(x, t), network(x, t))


PIPELINE = denoisers.DATA / "diffusers" / "pipeline"


def diffusers(_: Path) -> None:
    golden = denoisers.arrays("diffusers/pipeline")
    for folder in (PIPELINE, PIPELINE / "unet", PIPELINE.with_name("unet_old_bin")):
        denoiser = inverso.priors.load(folder)
        for prediction, out in (("epsilon", "epsilon"), ("v_prediction", "v"), ("sample", "sample")):
            denoiser.prediction, denoiser.whole_times = prediction, True
            denoisers.assert_same(denoiser(golden["x01_noisy"], golden["sigma01"]), golden[f"denoised01_{out}"])


def google(folder: Path) -> None:
    """All files in one folder."""
    for file in PIPELINE.rglob("*.*"):
        shutil.copy(file, folder / file.name)
    assert json.loads((folder / "model_index.json").read_text())["unet"]
    golden, denoiser = denoisers.arrays("diffusers/pipeline"), read_diffusers(folder)
    denoiser.whole_times = True
    denoisers.assert_same(denoiser(golden["x01_noisy"], golden["sigma01"]), golden["denoised01_epsilon"])


def edm(_: Path) -> None:
    for name in ("edm_ddpmpp", "edm_ncsnpp", "vp_ddpmpp_cond", "ve_ncsnpp", "iddpm_adm"):
        denoiser = inverso.priors.load(denoisers.DATA / "edm" / f"{name}.pkl", kind=EDMDenoiser)
        golden = denoisers.arrays(f"edm/{name}")
        answer = denoiser.denoise_signed(golden["x"], golden["sigma"][:, None, None, None], golden.get("class_labels"))
        denoisers.assert_same(answer, golden["out"])


def spandrel(name: str):
    def check(folder: Path) -> None:
        pytest.importorskip("spandrel")
        theirs, x = spandrel_network(name), torch.rand(1, 3, 16, 16)
        torch.save(theirs.state_dict(), folder / "weights.pth")
        restorer = inverso.restorers.load(folder / "weights.pth")
        assert restorer.architecture == name
        with torch.no_grad():
            torch.testing.assert_close(restorer(x), theirs(x).clamp(0, 1), atol=1e-5, rtol=1e-4)
        if restorer.scale == 1:
            denoiser = from_spandrel(folder / "weights.pth", sigma_range=(0.1, 0.1))
            torch.testing.assert_close(denoiser(x, 0.1), restorer(x))

    return check


def same_bits(network, again) -> None:
    assert type(again) is type(network)
    torch.testing.assert_close(dict(again.state_dict()), dict(network.state_dict()), rtol=0, atol=0)


def native_priors(folder: Path) -> None:
    for prior in (
        DCGAN(8, width=4, depth=2),
        PGGAN(6, widths=(5, 4)),
        StyleGAN2(8, z_dim=6, w_dim=5, mapping_layers=2, channel_max=4),
        VAE(5, hidden=7),
        SinGAN([(12, 13), (15, 16)], width=4),
        PhotoDenoiser(channels=1, widths=(4, 4, 4), blocks=(1, 1, 1, 1, 1)),
    ):
        save_prior(prior, folder / "prior.safetensors")
        same_bits(prior, inverso.priors.load(folder / "prior.safetensors"))


def native_restorers(folder: Path) -> None:
    for restorer in (
        UNetRestorer(width=8, middle=8, deep=8, refine=8),
        MobileRestorer(width=4),
        XGANRestorer(width=4, blocks=1),
        RepairRestorer(width=8, middle=8, deep=8, refine=8, tones=8),
        SlidesRestorer(width=8),
    ):
        save_restorer(restorer, folder / "restorer.safetensors")
        same_bits(restorer, inverso.restorers.load(folder / "restorer.safetensors"))


def quantized(folder: Path) -> None:
    restorer = MobileRestorer(width=4)
    save_quantized(restorer, folder / "small.safetensors", bits=4)
    same_bits(round_model(restorer, bits=4), inverso.restorers.load(folder / "small.safetensors"))


def encoder(folder: Path) -> None:
    network = LatentEncoder(16, (3, 16, 16), width=8)
    save_encoder(network, folder / "encoder.safetensors")
    same_bits(network, inverso.priors.encoder.load(folder / "encoder.safetensors"))


def detector(folder: Path) -> None:
    network = DamageDetector(widths=(8, 8, 8))
    save_detector(network, folder / "detector.safetensors")
    same_bits(network, load_detector(folder / "detector.safetensors"))


def _both(*checks: Callable[[Path], None]) -> Callable[[Path], None]:
    def check(folder: Path) -> None:
        for each in checks:
            each(folder)

    return check


ZOO, NVIDIA = (
    "facebookresearch/pytorch_GAN_zoo",
    "NVlabs/stylegan2-ada-pytorch, and the StyleGAN2 networks of NVlabs/stylegan3",
)
TESTS: dict[Row, Callable[[Path], None]] = {
    ("DCGAN", "pytorch/examples"): generator(
        "dcgan_examples_tiny_state.pth", "dcgan_examples_tiny", "img_eval", DCGAN, flat=True
    ),
    ("DCGAN", ZOO): dcgan_zoo,
    ("PGGAN", ZOO): _both(
        *(
            generator(f"{name}.pth", "pgan_zoo_tiny", "img_avgG", PGGAN)
            for name in ("pgan_zoo_tiny", "pgan_zoo_tiny_legacyfmt")
        )
    ),
    ("PGGAN", "ptrblck/prog_gans_pytorch_inference"): generator(
        "pggan_ptrblck_tiny_state.pth", "pggan_ptrblck_tiny", "img", PGGAN, flat=True
    ),
    ("StyleGAN2", NVIDIA): _both(
        *(
            generator(f"stylegan2_ada_tiny_stubsrc{form}.pkl", "stylegan2_ada_tiny", "img_const", StyleGAN2)
            for form in ("", "_proto4")
        )
    ),
    ("StyleGAN2", "state dicts of that code"): generator(
        "stylegan2_ada_tiny_state.pth", "stylegan2_ada_tiny", "img_const", StyleGAN2
    ),
    ("StyleGAN2", "rosinality/stylegan2-pytorch"): generator(
        "stylegan2_rosinality_tiny.pt", "stylegan2_rosinality_tiny", "img_fixednoise", StyleGAN2
    ),
    ("VAE", "pytorch/examples and its descendants"): vae,
    ("DRUNet", "cszn/KAIR, cszn/DPIR"): _both(*(kair("DRUNet", f"drunet_{kind}_tiny") for kind in ("color", "gray"))),
    ("DRUNet", "deepinv/deepinv"): deepinv("DRUNet", nc=[4, 4, 4, 4], nb=1),
    ("DnCNN", "cszn/KAIR"): _both(
        kair("DnCNN", "dncnn_color_tiny", sigma=0.1), kair("DnCNN", "dncnn_gray_bn_tiny", sigma=0.1, out="out_bn")
    ),
    ("DnCNN", "deepinv/deepinv"): deepinv("DnCNN", nf=4, depth=4),
    ("FDnCNN", "cszn/KAIR"): kair("FDnCNN", "fdncnn_color_tiny"),
    ("IRCNN", "cszn/KAIR"): kair("IRCNN", "ircnn_color_tiny", sigma=50 / 255, out="out_24"),
    ("FFDNet", "cszn/KAIR"): _both(*(kair("FFDNet", f"ffdnet_{kind}_tiny") for kind in ("color", "gray"))),
    ("DiffusionDenoiser", "openai/guided-diffusion"): guided_diffusion,
    ("DiffusionDenoiser", "DPS2022/diffusion-posterior-sampling, yuanzhi-zhu/DiffPIR"): ffhq_10m,
    ("DiffusionDenoiser", "huggingface/diffusers"): diffusers,
    ("DiffusionDenoiser", "google/ddpm-* on the Hugging Face hub"): google,
    ("EDMDenoiser", "NVlabs/edm"): edm,
    ("Compact", "xinntao/Real-ESRGAN"): spandrel("Compact"),
    ("ESRGAN", "xinntao/ESRGAN, xinntao/Real-ESRGAN"): spandrel("ESRGAN"),
    ("NAFNet", "megvii-research/NAFNet"): spandrel("NAFNet"),
    ("SPAN", "hongyuanyu/SPAN"): spandrel("SPAN"),
    ("SwinIR", "JingyunLiang/SwinIR"): spandrel("SwinIR"),
    ("DCGAN, PGGAN, StyleGAN2, VAE, SinGAN, PhotoDenoiser", "inverso"): native_priors,
    ("LatentEncoder", "inverso"): encoder,
    ("UNetRestorer, MobileRestorer, XGANRestorer, RepairRestorer, SlidesRestorer", "inverso"): native_restorers,
    ("restorers of 1 to 8 bits a weight", "inverso"): quantized,
    ("DamageDetector", "inverso"): detector,
}
