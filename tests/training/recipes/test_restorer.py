"""Training of a restorer: what it writes, what it learns, and that a killed run loses nothing."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import inverso.training.recipes._restorer_training as restorer_module
from inverso.errors import InversoError
from inverso.images.io import load_image
from inverso.losses.perceptual import Perceptual
from inverso.restorers import MobileRestorer, RepairRestorer, SlidesRestorer, UNetRestorer, XGANRestorer
from inverso.training import RestorerRecipe, Weights, fit
from training import runs
from training.runs import FILES, RUN, assert_a_kill_loses_nothing, assert_same_weights

TINY = (("width", 8), ("middle", 8), ("deep", 8), ("refine", 8))
RECIPE = RestorerRecipe(size=16, options=TINY, batch=4, warmup=2, anneal=12, keep_steps=6, held_out=4)
train = partial(runs.train, recipe=RECIPE)


def draw_photos(folder: Path, *, count: int = 24, side: int = 20) -> Path:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for k in range(count):
        low, high = np.sort(rng.integers(0, 255, (2, 3)), axis=0)
        ramp = np.linspace(low, high, side).astype(np.uint8)
        Image.fromarray(np.broadcast_to(ramp[None], (side, side, 3)).copy()).save(folder / f"{k:02d}.png")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_photos(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="module")
def unbroken(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    train(photos, out)
    return out


def test_a_run_leaves_weights_recipe_curves_and_sample_sheets(unbroken: Path) -> None:
    assert {path.name for path in unbroken.iterdir()} == FILES
    # Two photos set aside; input and output of five corruptions, and the photos.
    assert load_image(unbroken / "samples-000012.png").shape == (1, 3, 11 * 18 + 2, 2 * 18 + 2)
    header = (unbroken / "measures.csv").read_text().splitlines()[0].split(",")
    assert header[:4] == ["step", "score", "white-noise_db", "white-noise_ssim"]
    assert "white-block_ssim" in header


@pytest.mark.slow
def test_it_learns(photos: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, corruptions=(("white-noise", 1.0),), anneal=60, lr=5e-3)
    fit(recipe, photos, out=tmp_path, run=replace(RUN, steps=60, log_every=1, evaluate_every=30))
    rows = [row.split(",") for row in (tmp_path / "losses.csv").read_text().splitlines()]
    column = rows[0].index("mse_db")
    quality = [float(row[column]) for row in rows[1:]]
    assert sum(quality[-5:]) / 5 > sum(quality[:5]) / 5 + 6


def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(photos: Path, unbroken: Path, tmp_path: Path) -> None:
    train(photos, tmp_path / "run", steps=7)
    train(photos, tmp_path / "run", resume=True)
    assert_same_weights(tmp_path / "run", unbroken)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
@pytest.mark.slow
def test_kill_9_loses_nothing(photos: Path, unbroken: Path, tmp_path: Path) -> None:
    assert_a_kill_loses_nothing(RECIPE, photos, unbroken, tmp_path / "run")


class TestPaperRecipes:
    """The papers' networks, adversaries and losses, on random backbones."""

    TINY: dict[str, dict[str, object]] = {  # noqa: RUF012
        "mobile": {"options": (("width", 4),)},
        "x_gans": {"options": (("width", 4), ("blocks", 1), ("downsamplings", 2))},
    }

    @pytest.fixture(autouse=True)
    def _random_backbone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("torchvision")
        monkeypatch.setattr(
            restorer_module, "Perceptual", lambda *_, **__: Perceptual("squeezenet1_1", pretrained=False)
        )
        monkeypatch.setattr(
            "inverso.training.recipes.restorer_recipe.MultiscaleDiscriminator",
            lambda *, seed: restorer_discriminator(seed),
        )

    @pytest.mark.parametrize("name", TINY)
    def test_a_resumed_run_ends_as_an_unbroken_one(self, photos: Path, tmp_path: Path, name: str) -> None:
        recipe = getattr(RestorerRecipe, name)(size=16, batch=2, held_out=2, warmup=0, anneal=0, **self.TINY[name])
        recipe = replace(recipe, weights=replace(recipe.weights, perceptual=0.0))
        train(photos, tmp_path / "one", steps=5, recipe=recipe)
        train(photos, tmp_path / "two", steps=4, recipe=recipe)
        train(photos, tmp_path / "two", steps=5, recipe=recipe, resume=True)
        assert_same_weights(tmp_path / "one", tmp_path / "two")

    def test_every_loss_is_logged(self, tmp_path: Path) -> None:
        folder = draw_photos(tmp_path / "large", count=8, side=32)
        recipe = RestorerRecipe.mobile(size=32, batch=2, held_out=2, options=(("width", 4),))
        recipe = replace(recipe, weights=replace(recipe.weights, points=1.0, binarizing=1e-4))
        train(folder, tmp_path / "run", steps=1, recipe=recipe)
        header = (tmp_path / "run" / "losses.csv").read_text().splitlines()[0].split(",")
        logged = ["mse_db", "judge", "pixel", "points", "perceptual", "binarizing", "adversarial", "features"]
        assert header == ["step", *logged, "seconds_per_step"]


def restorer_discriminator(seed: int) -> torch.nn.Module:
    from inverso.training._discriminators import MultiscaleDiscriminator

    return MultiscaleDiscriminator(scales=2, width=4, strided=2, seed=seed)


def test_binarizing_draws_weights_outwards_and_keeps_them_in_range(photos: Path, tmp_path: Path) -> None:
    recipe = RestorerRecipe(
        network="mobile",
        options=(("width", 4),),
        size=16,
        batch=2,
        held_out=2,
        lr=0.05,
        warmup=0,
        weights=Weights(pixel=0.0, binarizing=1.0),
    )
    restorer = train(photos, tmp_path / "run", steps=40, recipe=recipe)
    size = torch.cat([p.detach().abs().flatten() for p in restorer.parameters() if p.ndim > 1])
    fresh = torch.cat([p.detach().abs().flatten() for p in recipe.build().parameters() if p.ndim > 1])
    # The average still holds a trace of first weights beyond 1.
    assert float(size.max()) < 1.001
    assert float(size.mean()) > 1.5 * float(fresh.mean())


class TestRecipes:
    def test_the_papers_weights_are_the_defaults(self) -> None:
        mobile = RestorerRecipe.mobile()
        assert mobile.weights == Weights(pixel=1e-3, adversarial=1.0, features=1e-5, perceptual=1e-5)
        assert (mobile.betas, mobile.keep, mobile.pixel, mobile.backbone) == (
            (0.5, 0.999),
            (0.6, 0.4),
            "l2",
            "squeezenet1_1",
        )
        x_gans = RestorerRecipe.x_gans()
        assert (x_gans.lr, x_gans.judge, x_gans.against, x_gans.point_norm) == (2e-4, "multiscale", "best", "l2")

    def test_networks_are_built_by_name(self) -> None:
        built = [
            recipe(options=(("width", 8),)).build() for recipe in (RestorerRecipe, *RestorerRecipe.presets.values())
        ]
        assert [type(network) for network in built] == [
            UNetRestorer,
            MobileRestorer,
            XGANRestorer,
            RepairRestorer,
            SlidesRestorer,
        ]

    def test_the_kept_share_falls(self) -> None:
        recipe = RestorerRecipe(corruptions=(("white-noise", 1.0),), keep=(0.6, 0.4), keep_steps=10)
        assert [recipe.mixture(step).parts[0].keep[0] for step in (0, 5, 10, 99)] == pytest.approx([0.6, 0.5, 0.4, 0.4])

    def test_the_step_size_grows_and_falls(self) -> None:
        recipe = RestorerRecipe(lr=1.0, warmup=10, anneal=100)
        rates = [recipe.rate(step) for step in (0, 9, 50, 100, 200)]
        assert rates == pytest.approx([0.1, 0.98, 0.505, 0.01, 0.01], abs=0.01)
        assert RestorerRecipe(lr=1.0, warmup=0).rate(10**6) == 1

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"size": 8}, "size must be an integer of at least 16"),
            ({"network": "mlp"}, "network must be one of 'unet', 'mobile', 'x-gan', 'repair', 'slides', got 'mlp'"),
            ({"corruptions": (("snow", 1.0),)}, "no degradation is called 'snow'"),
            ({"corruptions": ()}, "a mixture needs parts"),
            ({"keep": (0.5, 0.0)}, "keep must lie in"),
            ({"batch": 1}, "batch must be an integer of at least 2"),
            ({"lr": 0.0}, "lr must be greater than 0"),
            ({"anneal": -1}, "anneal must be an integer of at least 0"),
            ({"weights": Weights(pixel=0.0)}, "every loss weighs 0"),
            ({"network": "mobile"}, "only the networks 'unet' and 'repair' draw a first guess"),
            ({"contest": "wgan"}, "contest must be one of 'bce', 'minimax', 'lsgan', got 'wgan'"),
        ],
    )
    def test_bad_recipes_are_refused(self, setting: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            RestorerRecipe(**setting)

    def test_negative_weights_and_unknown_options_are_refused(self) -> None:
        with pytest.raises(ValueError, match="the weight 'mask' must be at least 0, got -1"):
            Weights(mask=-1.0)
        with pytest.raises(ValueError, match=r"the network 'unet' does not take the options \{'wings': 2\}"):
            RestorerRecipe(options=(("wings", 2),)).build()


class TestRefusals:
    def test_a_folder_that_holds_a_run_is_not_overwritten(self, photos: Path, unbroken: Path) -> None:
        with pytest.raises(InversoError, match="already holds a run: resume it"):
            train(photos, unbroken)

    def test_resuming_with_another_recipe_is_refused(self, photos: Path, unbroken: Path) -> None:
        with pytest.raises(InversoError, match=r"another recipe \(lr was 0.0008, now 0.01\)"):
            train(photos, unbroken, resume=True, recipe=replace(RECIPE, lr=1e-2))

    def test_a_loss_that_is_not_finite_stops_the_run(self, photos: Path, tmp_path: Path) -> None:
        with pytest.raises(InversoError, match=r"is nan at step \d+; the last checkpoint is kept"):
            train(photos, tmp_path / "run", recipe=replace(RECIPE, lr=1e30, clip=0.0))

    def test_a_corrupt_picture_is_skipped_and_named(self, tmp_path: Path) -> None:
        folder = draw_photos(tmp_path / "photos", count=8)
        (folder / "broken.png").write_bytes(b"no picture")
        with pytest.warns(UserWarning, match=r"skipped .*broken\.png"):
            train(folder, tmp_path / "run", steps=1)

    def test_an_empty_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match="empty holds none"):
            train(tmp_path / "empty", tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_photos_that_are_too_small_are_skipped_or_refused(self, tmp_path: Path) -> None:
        folder = draw_photos(tmp_path / "photos", count=8)
        Image.new("RGB", (12, 40)).save(folder / "small.png")
        with pytest.warns(UserWarning, match=r"skipped 1 of 9 photos with a side under 16 pixels, the first: .*small"):
            train(folder, tmp_path / "run", steps=1)
        with (
            pytest.warns(UserWarning, match="skipped 9 of 9"),
            pytest.raises(ValueError, match="holds 0 photos of at least 32 × 32 pixels, and a training needs 4"),
        ):
            train(folder, tmp_path / "other", recipe=replace(RECIPE, size=32))

    def test_a_full_disk_is_told_and_the_checkpoint_before_is_kept(
        self, photos: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = tmp_path / "run"
        shutil.copytree(unbroken, out)
        before = (out / "checkpoint.pt").read_bytes()

        def fail(state: object, path: Path) -> None:
            path.write_bytes(b"half")
            message = "[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"
            raise RuntimeError(message)

        monkeypatch.setattr(torch, "save", fail)
        with pytest.raises(InversoError, match=r"checkpoint\.pt cannot be written .* MB are free on that disk"):
            train(photos, out, steps=20, resume=True)
        assert (out / "checkpoint.pt").read_bytes() == before
        assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_no_global_random_state_is_moved(photos: Path, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    train(photos, tmp_path / "run", steps=2)
    assert torch.equal(torch.random.get_rng_state(), before)
