"""A folder of small photos, a tiny prior, and an experiment that takes no time."""

from pathlib import Path

import pytest
import torch

from inverso.experiments import Case, Experiment, Options
from inverso.images.io import photo, save_image
from inverso.operators import RandomMask
from inverso.priors import DCGAN, save_prior
from inverso.stages import CSGM, ImageAdaptive, Interpolation


@pytest.fixture(scope="session")
def prior_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained prior of 16 x 16 images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DCGAN(8, width=4, depth=2)
    path = tmp_path_factory.mktemp("prior") / "tiny.safetensors"
    save_prior(network, path)
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven different photos of 16 x 16 pixels, one in a subfolder, and a file that is none."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    whole = photo("coffee", size=64)
    for k in range(11):
        top, left = divmod(k, 4)
        piece = whole[..., 16 * top : 16 * top + 16, 16 * left : 16 * left + 16]
        save_image(piece, folder / ("more" if k == 5 else ".") / f"{k:02d}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def experiment() -> Experiment:
    """Two cases, three methods that share a stage, and one that does not."""
    csgm = CSGM(steps=3)
    return Experiment(
        name="tiny",
        title="A tiny experiment",
        question="Does it run?",
        source="nothing",
        cases=(Case("half", RandomMask(0.5)), Case("half", RandomMask(0.5), noise=0.1)),
        methods={
            "linear": Interpolation("linear"),
            "csgm": csgm,
            "csgm+ia": (csgm, ImageAdaptive(steps=2)),
        },
        metrics=("psnr", "ssim"),
        comparisons=(("linear", "csgm"),),
    )


@pytest.fixture
def options(prior_file: Path) -> Options:
    """Three photos, two at once."""
    return Options(n=3, batch=2, prior=str(prior_file), progress=False, pictures=1)
