"""Old photos as a corruption, and the two recipes that train on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from inverso.degradations import OldPhoto
from inverso.degradations.mixtures import _ANY_AGE, Mixture, named
from inverso.images.io import photo, save_image
from inverso.restorers import RepairRestorer, SlidesRestorer, load
from inverso.training import RestorerRecipe, Run, Weights, fit
from inverso.training._discriminators import SlidesDiscriminator


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(n: int = 4, side: int = 16) -> Tensor:
    return torch.rand(n, 3, side, side, generator=rng(7))


class TestInTraining:
    def test_a_generator_draws_a_seed_for_every_photo(self):
        x = photos()
        spoilt = _ANY_AGE(x, seed=rng(3))
        old = _ANY_AGE(x, seed=torch.randint(2**32, (4,), generator=rng(3)).tolist())
        assert torch.equal(spoilt.y, old.y)
        assert torch.equal(spoilt.known, old.known)
        assert not torch.equal(spoilt.y, _ANY_AGE(x, seed=rng(4)).y)

    def test_every_photo_ages_in_its_own_way(self):
        spoilt = _ANY_AGE(photos(1).expand(2, -1, -1, -1), seed=rng())
        assert not torch.equal(spoilt.y[0], spoilt.y[1])

    def test_it_goes_by_name_and_into_mixtures(self):
        x = photos(8)
        assert named("old-photo") == _ANY_AGE
        assert named("old-photo:severe") == OldPhoto.preset("severe")
        with pytest.raises(ValueError, match="there is no preset 'worse'"):
            named("old-photo:worse")
        mixed = Mixture((named("old-photo"), named("white-box")))(x, seed=0)
        assert set(mixed.kind.tolist()) == {0, 1}
        torch.testing.assert_close(mixed.A(x), mixed.linear, rtol=0, atol=1e-6)


class TestRecipes:
    def test_repair_is_the_default_recipe_with_another_network_and_corruption(self):
        recipe = RestorerRecipe.repair(batch=4)
        assert (recipe.network, recipe.corruptions, recipe.batch) == ("repair", (("old-photo", 1.0),), 4)
        assert recipe.weights == replace(RestorerRecipe().weights, detail=0.5)
        assert isinstance(recipe.build(), RepairRestorer)

    def test_the_slides_networks_may_be_in_color(self):
        gray, color = (RestorerRecipe.slides(options=options) for options in ((), (("channels", 3),)))
        for recipe, channels in ((gray, 1), (color, 3)):
            assert isinstance(recipe.build_judge(), SlidesDiscriminator)
            assert (recipe.build().channels, recipe.build_judge().channels) == (channels, channels)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"network": "unet"}, r"old photos have faded ones: take RestorerRecipe\.repair\(\), or Weights\(mask=0\)"),
            ({"weights": Weights(points=1.0)}, "the loss 'points' compares with known pixels of the input"),
            (
                {"judge": "slides", "weights": Weights(adversarial=1.0), "size": 32},
                "the judge 'slides' takes images whose side is a multiple of 64, got size 32",
            ),
        ],
    )
    def test_losses_that_do_not_fit_are_refused(self, given: dict[str, object], message: str):
        with pytest.raises(ValueError, match=message):
            RestorerRecipe.repair(**given)

    def test_the_default_network_learns_old_photos_without_its_mask(self):
        recipe = RestorerRecipe(corruptions=(("old-photo", 1.0),), weights=Weights(guess=0.5))
        assert recipe.network == "unet"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for k, name in enumerate(("cat", "coffee", "camera", "rocket", "astronaut", "cat")):
        save_image(photo(name, size=64), folder / f"{k}.png")
    return folder


TINY = tuple((name, 8) for name in ("width", "middle", "deep", "refine", "tones"))
RUNS = {
    "repair": RestorerRecipe.repair(size=16, options=TINY, batch=2, held_out=2),
    "slides": RestorerRecipe.slides(options=(("width", 8),), batch=2, held_out=2),
}


FAMILIES = {"repair": RepairRestorer, "slides": SlidesRestorer}


@pytest.mark.parametrize("name", RUNS)
def test_a_training_scores_by_old_photos_alone(name: str, folder: Path, tmp_path: Path):
    fit(RUNS[name], folder, out=tmp_path, run=Run(2, progress=False, device="cpu"))
    header, row = (line.split(",") for line in (tmp_path / "measures.csv").read_text().splitlines())
    assert header == ["step", "score", "old-photo_db", "old-photo_ssim"]
    assert row[1] == row[2]
    assert isinstance(load(tmp_path / "best.safetensors"), FAMILIES[name])
