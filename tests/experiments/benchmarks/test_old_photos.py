"""Old photos in experiments: what is measured, what knows the damage, and e11 from end to end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inverso import solve
from inverso.degradations import OldPhoto
from inverso.experiments import Case, Options, Using, find, run
from inverso.experiments._measuring import ROUNDING, measure
from inverso.experiments.settings import _hurried
from inverso.images.io import photo
from inverso.operators import Bicubic, RandomMask
from inverso.priors import DCGAN, WrappedPrior, save_prior
from inverso.restorers import RepairRestorer, SlidesRestorer, save_restorer
from inverso.stages import CSGM, Problem, PseudoInverse, State
from scripts import script

old_photos = script("old_photos")
AgedPhotos, AsItIs, DamageKnown, OldPhotos = (
    getattr(old_photos, name) for name in ("AgedPhotos", "AsItIs", "DamageKnown", "OldPhotos")
)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.cat([photo(name, size=16) for name in ("astronaut", "cat")])


def tiny_prior() -> WrappedPrior:
    network = torch.nn.Sequential(torch.nn.Linear(4, 768), torch.nn.Unflatten(1, (3, 16, 16)))
    return WrappedPrior(network, 4)


class TestOperator:
    def test_it_measures_the_damage_of_every_photo_from_its_seed(self, x):
        A = OldPhotos().for_photos(x, (3, 4))
        old = OldPhoto()(x, seed=(3, 4))
        assert torch.equal(A.measure(x), old.y)
        torch.testing.assert_close(A(x), old.linear)
        for k in range(2):
            alone = A.for_image(k)
            torch.testing.assert_close(alone.measure(x[k : k + 1]), old.y[k : k + 1])
            torch.testing.assert_close(alone(x[k : k + 1]), A(x)[k : k + 1])
        noisy = A.measure(x, noise=0.1, seed=1) - old.y
        assert float(noisy.std()) == pytest.approx(0.1, rel=0.1)
        assert repr(A).startswith("AgedPhotos(OldPhoto(")

    def test_eight_bits_count_as_noise(self, x):
        A, y, noise = measure(Case("old", OldPhotos("severe"), eight_bit=True), x, (3, 4))
        assert isinstance(A, AgedPhotos)
        assert noise == ROUNDING
        torch.testing.assert_close(y * 255, (y * 255).round())

    def test_presets_must_exist(self):
        with pytest.raises(ValueError, match="there is no preset 'bad'"):
            OldPhotos("bad")


class TestStages:
    def test_as_it_is(self, x):
        assert torch.equal(solve(x, method=AsItIs()).image, x)
        with pytest.raises(ValueError, match=r"measures no pictures of shape \(3, 16, 16\)"):
            AsItIs()(Problem(x[..., :8, :8], Bicubic(2)), State())

    def test_what_is_known_is_brought_back(self, x):
        old = OldPhotos("light").for_photos(x, (3, 4))
        answer = solve(old.measure(x), old, tiny_prior(), DamageKnown((PseudoInverse(),)), progress=False)
        known = OldPhoto.preset("light")(x, seed=(3, 4)).known
        torch.testing.assert_close(answer.image * known, x * known, rtol=0, atol=1e-4)
        assert [record.name for record in answer.stages] == ["pinv"]

    def test_other_measurements_have_no_known_damage(self, x):
        with pytest.raises(ValueError, match="only of old photos is the damage known, not of what RandomMask"):
            solve(x, RandomMask(0.5), tiny_prior(), DamageKnown((PseudoInverse(),)), progress=False)

    def test_a_rehearsal_hurries_what_runs_inside(self):
        assert _hurried(DamageKnown((CSGM(),))) == DamageKnown((CSGM(steps=5),))


def test_e11_runs_with_several_restorers(tmp_path: Path, data: Path, prior_file: Path):
    save_restorer(RepairRestorer(width=8, middle=8, deep=8, refine=8, tones=8), tmp_path / "ours.safetensors")
    save_restorer(SlidesRestorer(width=8, channels=3), tmp_path / "slides.safetensors")
    restorers = {name: str(tmp_path / f"{name}.safetensors") for name in ("ours", "slides")}
    options = Options(n=2, batch=2, prior=str(prior_file), restorers=restorers, fast=True, progress=False, pictures=0)
    with pytest.warns(UserWarning, match=r"csgm\+bp\+pnp \(damage known\) is left out.*a denoiser"):
        finished = run(find("e11"), data, tmp_path / "e11", options)
    names = ["damaged", "ff (ours)", "ff (slides)", "ia+bp (damage known)"]
    assert list(finished.experiment.methods) == names
    rows = finished.results.rows
    assert len(rows) == 2 * 2 * 4
    assert {"psnr", "ssim", "sharpness"} <= set(rows[0].values)


def test_results_belong_to_the_weights_of_a_methods_own_prior(tmp_path: Path, data: Path, prior_file: Path):
    own = tmp_path / "own.safetensors"
    save_prior(DCGAN(6, width=8, depth=2, seed=1), own)
    experiment = replace(find("e11"), methods={"csgm": Using(DamageKnown((CSGM(),)), prior=str(own))}, comparisons=())
    options = Options(n=1, prior=str(prior_file), fast=True, progress=False, pictures=0)
    run(experiment, data, tmp_path / "e11", options)
    save_prior(DCGAN(6, width=8, depth=2, seed=2), own)
    with pytest.raises(ValueError, match="other settings: methods' own networks differ"):
        run(experiment, data, tmp_path / "e11", options)


def test_style_is_a_column_for_those_who_ask():
    assert list(find("e11").chosen(["damaged", "style (damage known)"]).methods) == ["damaged", "style (damage known)"]
