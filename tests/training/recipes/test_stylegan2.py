"""Training of StyleGAN2: its losses, its steps, what it writes, and that a killed run loses nothing."""

from __future__ import annotations

import copy
import csv
import signal
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn.functional import softplus

from inverso.errors import InversoError
from inverso.images.folders import PhotoFolder
from inverso.images.io import load_image
from inverso.metrics import sliced_wasserstein
from inverso.priors import StyleGAN2, load
from inverso.training import StyleGAN2Recipe
from inverso.training._devices import OneDevice
from inverso.training.recipes import _stylegan2_training as stylegan2
from inverso.training.recipes._stylegan2_training import MixedStyles, StyleGAN2Training
from training import runs
from training.runs import FILES, assert_a_kill_loses_nothing, assert_same_weights, draw_noise, weights

RECIPE = StyleGAN2Recipe(size=8, latent_dim=8, channel_max=6, batch=4, r1_every=3, path_every=4, shift=1)
train = partial(runs.train, recipe=RECIPE)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_noise(tmp_path_factory.mktemp("photos"), side=10)


@pytest.fixture(scope="module")
def unbroken(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    train(photos, out)
    return out


def make_task(photos: Path, **changes) -> StyleGAN2Training:
    settings = {"size": 8, "latent_dim": 8, "channel_max": 6, "batch": 4, **changes}
    recipe = StyleGAN2Recipe(**settings)
    return StyleGAN2Training(PhotoFolder.read(photos, size=8, progress=False), recipe, OneDevice("cpu"))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


class TestRun:
    def test_it_leaves_weights_recipe_curves_and_sample_sheets(self, unbroken):
        assert {path.name for path in unbroken.iterdir()} == FILES
        # Samples, truncated samples and photos in rows of eight; only two photos are set aside.
        assert load_image(unbroken / "samples-000012.png").shape[-1] > 8 * 8
        header = (unbroken / "losses.csv").read_text().splitlines()[0]
        assert header == "step,critic,margin,generator,r1,path,seconds_per_step"

    def test_the_prior_is_ready_for_use(self, unbroken):
        prior = load(unbroken / "best.safetensors")
        assert isinstance(prior, StyleGAN2)
        assert not prior.training
        assert all(weight.requires_grad for weight in prior.parameters())
        assert float(prior.mean_w.norm()) > 0

    def test_samples_are_compared_with_photos_set_aside(self, unbroken, photos):
        folder = PhotoFolder.read(photos, size=8, progress=False)
        held_out = folder.split(2)[1].photos.float() / 255
        prior = load(unbroken / "last.safetensors")
        with torch.no_grad():
            samples = prior(prior.sample_latent(48, seed=1))[:2]
        distance = float(rows(unbroken / "measures.csv")[-1]["distance"])
        assert distance == pytest.approx(sliced_wasserstein(samples, held_out), rel=1e-4)

    def test_the_latest_weights_count_as_the_best(self, unbroken):
        torch.testing.assert_close(weights(unbroken, "best"), weights(unbroken, "last"), rtol=0, atol=0)

    def test_half_precision_trains_too(self, photos, tmp_path):
        prior = train(photos, tmp_path / "run", steps=5, precision="bf16-mixed")
        assert all(value.dtype == torch.float32 for value in prior.state_dict().values())

    def test_no_global_random_state_is_moved(self, photos, tmp_path):
        before = torch.random.get_rng_state()
        train(photos, tmp_path / "run", steps=2)
        assert torch.equal(torch.random.get_rng_state(), before)


class TestResume:
    def test_a_resumed_run_ends_with_the_weights_and_curves_of_an_unbroken_one(self, photos, unbroken, tmp_path):
        out = tmp_path / "run"
        train(photos, out, steps=7)
        train(photos, out, resume=True)
        assert_same_weights(out, unbroken)
        found, expected = (rows(folder / "losses.csv") for folder in (out, unbroken))
        for row in found + expected:
            del row["seconds_per_step"]
        # The first run logged its last step, too.
        assert [row for row in found if row["step"] != "7"] == expected

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
    @pytest.mark.slow
    def test_kill_9_loses_nothing(self, photos, unbroken, tmp_path):
        assert_a_kill_loses_nothing(RECIPE, photos, unbroken, tmp_path / "run")

    def test_a_folder_that_holds_a_run_is_not_overwritten(self, photos, unbroken):
        with pytest.raises(InversoError, match="already holds a run: resume it"):
            train(photos, unbroken)

    def test_resuming_with_another_recipe_is_refused(self, photos, unbroken):
        other = StyleGAN2Recipe(**{**vars(RECIPE), "r1": 5.0})
        with pytest.raises(InversoError, match=r"another recipe \(r1 was 0.2, now 5.0\)"):
            train(photos, unbroken, resume=True, recipe=other)


class TestStep:
    def test_reported_losses_are_those_of_the_networks_before_the_step(self, photos):
        task = make_task(photos)
        generator, critic = copy.deepcopy(task.generator.module), copy.deepcopy(task.critic.module)
        losses = task.step(0)
        z, crossover = task._latents(0, 4, stylegan2.LATENTS)
        fake, _ = generator(z, crossover, task.random(0, stylegan2.NOISE))
        real = (2 * task.photos.batch(0, size=4, seed=0) - 1).requires_grad_()
        answers = critic(real)
        expected = softplus(-answers).mean() + softplus(critic(fake)).mean()
        assert losses["critic"] == pytest.approx(expected.item(), rel=1e-5)
        assert losses["margin"] == pytest.approx((answers.mean() - critic(fake).mean()).item(), abs=1e-5)
        (slope,) = torch.autograd.grad(answers.sum(), real)
        assert losses["r1"] == pytest.approx(slope.square().sum().item() / 2 / 4, rel=1e-4)
        # The generator meets the critic as it is after its own step.
        assert losses["generator"] == pytest.approx(softplus(-task.critic.module(fake)).mean().item(), rel=1e-5)

    def test_penalties_come_at_their_intervals(self, photos, monkeypatch):
        called = {"r1": [], "path": []}
        step = 0

        def record(name, function):
            def wrapped(*arguments):
                called[name].append(step)
                return function(*arguments)

            return wrapped

        monkeypatch.setattr(stylegan2, "gradient_penalty_r1", record("r1", stylegan2.gradient_penalty_r1))
        monkeypatch.setattr(stylegan2, "path_lengths", record("path", stylegan2.path_lengths))
        task = make_task(photos, r1_every=4, path_every=3)
        reported = [task.step(step := k) for k in range(9)]
        assert called == {"r1": [0, 4, 8], "path": [0, 3, 6]}
        values = [losses["r1"] for losses in reported]
        assert values[0] == values[3] != values[4]

    def test_penalties_of_no_weight_are_not_computed(self, photos, monkeypatch):
        for name in ("gradient_penalty_r1", "path_lengths"):
            monkeypatch.delattr(stylegan2, name)
        losses = make_task(photos, r1=0.0, path_length=0.0).step(0)
        assert losses["r1"] == losses["path"] == 0

    def test_lazy_penalties_weigh_as_often_as_they_are_left_out(self, photos):
        # Gradients are linear in the weight, which is gamma times the interval.
        def gradient(**changes):
            task = make_task(photos, path_length=0.0, **changes)
            task.step(0)
            return task.critic.module.from_image.weight.grad

        none, once, often = gradient(r1=0.0), gradient(r1=1.0, r1_every=1), gradient(r1=1.0, r1_every=5)
        torch.testing.assert_close(often - none, 5 * (once - none), rtol=1e-4, atol=1e-6)

    def test_the_target_of_path_lengths_is_their_running_mean(self, photos):
        task = make_task(photos, path_every=1, lr=1e-30)
        target = 0.0
        for step in range(3):
            losses = task.step(step)
            z, crossover = task._latents(step, 2, stylegan2.PATH_LATENTS)
            noise, directions = (
                task.random(step, stylegan2.PATH_NOISE),
                task.random(step, stylegan2.DIRECTIONS),
            )
            images, styles = task.generator.module(z, crossover, noise)
            y = torch.randn(images.shape, generator=directions)
            (gradient,) = torch.autograd.grad((images * y).sum() / 8, styles)
            lengths = gradient.square().sum(dim=2).mean(dim=1).sqrt()
            target += 0.01 * (float(lengths.mean()) - target)
            assert losses["path"] == pytest.approx(float((lengths - target).square().mean()), rel=1e-4)
        assert float(task.mean_length) == pytest.approx(target, rel=1e-5)

    def test_both_networks_learn_and_the_critic_can_learn_again(self, photos):
        task = make_task(photos)
        parts = (task.generator.module, task.critic.module)
        before = [copy.deepcopy(part.state_dict()) for part in parts]
        task.step(0)
        for part, old in zip(parts, before, strict=True):
            assert all(weight.requires_grad for weight in part.parameters())
            # Noise starts at strength 0, and learns from the first step on.
            moved = [name for name, weight in part.named_parameters() if not torch.equal(weight, old[name])]
            assert moved == [name for name, _ in part.named_parameters()]


class TestStyles:
    def test_finer_rows_take_the_style_of_the_second_latent(self):
        prior = StyleGAN2(16, z_dim=4, w_dim=4, channel_max=4)
        z, crossover = torch.randn(2, 2, 4), torch.tensor([2, 6])
        images, styles = MixedStyles(prior)(z, crossover, torch.Generator())
        first, second = prior.map(z[0]), prior.map(z[1])
        torch.testing.assert_close(styles[0], torch.stack([first[0]] * 2 + [second[0]] * 4))
        torch.testing.assert_close(styles[1], torch.stack([first[1]] * 6))
        # Fresh weights add noise of strength 0.
        torch.testing.assert_close(images, 2 * prior.synthesize(styles) - 1)

    def test_noise_is_fresh(self):
        prior = StyleGAN2(16, z_dim=4, w_dim=4, channel_max=4)
        with torch.no_grad():
            prior.synthesis.b16.conv1.noise_strength.fill_(1)
        mixed, z, crossover = MixedStyles(prior), torch.randn(2, 1, 4), torch.tensor([6])
        one, other, again = (mixed(z, crossover, torch.Generator().manual_seed(k))[0] for k in (0, 1, 0))
        assert not torch.allclose(one, other)
        torch.testing.assert_close(one, again, rtol=0, atol=0)

    @pytest.mark.parametrize(("mixing", "expected"), [(0.0, {4}), (1.0, {1, 2, 3}), (0.5, {1, 2, 3, 4})])
    def test_crossovers_mix_the_asked_share(self, photos, mixing, expected):
        _, crossover = make_task(photos, mixing=mixing)._latents(0, 400, 2)
        assert set(crossover.tolist()) == expected
        assert float((crossover < 4).float().mean()) == pytest.approx(mixing, abs=0.06)

    def test_mean_w_is_the_running_mean_of_the_averaged_mapping(self, photos):
        task = make_task(photos, mean_decay=0.6, path_length=0.0)
        expected = torch.zeros(8)
        for step in range(5):
            task.step(step)
            z = task._latents(step, 4, stylegan2.LATENTS)[0][0]
            kept = (0.1, 2 / 11, 3 / 12, 4 / 13, 5 / 14)[step]
            expected = kept * expected + (1 - kept) * task.average.mapping(z).mean(dim=0)
        torch.testing.assert_close(task.average.mean_w, expected)

    def test_mean_w_comes_close_to_the_mean_of_many_styles(self, photos):
        task = make_task(photos, mean_decay=0.99, lr=1e-30, batch=2)
        for step in range(40):
            task._update_average(step, torch.randn(200, 8, generator=torch.Generator().manual_seed(step)))
        expected = task.average.estimate_mean_w()
        assert float((task.average.mean_w - expected).norm()) < 0.1 * float(expected.norm())

    def test_weights_are_averaged_and_mean_w_of_the_trained_network_stays_out(self, photos):
        task = make_task(photos, ema=0.05)
        fresh = copy.deepcopy(task.average.state_dict())
        task.step(0)
        trained = task.generator.module.prior.state_dict()
        assert not trained["mean_w"].any()
        for name, value in task.average.state_dict().items():
            if name != "mean_w":
                torch.testing.assert_close(value, 0.05 * fresh[name] + 0.95 * trained[name])


class TestRefusals:
    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"size": 48}, "size must be a power of two"),
            ({"size": 4}, "size must be an integer of at least 8"),
            ({"batch": 1}, "batch must be an integer of at least 2"),
            ({"lr": 0.0}, "lr must be greater than 0"),
            ({"r1": -1.0}, "r1 must be at least 0"),
            ({"path_length": -1.0}, "path_length must be at least 0"),
            ({"path_every": 0}, "path_every must be an integer of at least 1"),
            ({"mixing": 1.5}, "mixing must lie between 0 and 1, got 1.5"),
            ({"ema": -0.1}, "ema must lie between 0 and 1"),
            ({"channel_base": 8}, "channel_base must be an integer of at least 64"),
        ],
    )
    def test_recipes_outside_their_range(self, setting, message):
        with pytest.raises(ValueError, match=message):
            StyleGAN2Recipe(**setting)

    def test_recipes_of_the_wrong_type(self):
        with pytest.raises(TypeError, match="mixing must be a number from 0 to 1, got '1'"):
            StyleGAN2Recipe(mixing="1")

    def test_a_folder_without_photos(self, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match="empty holds none"):
            train(tmp_path / "empty", tmp_path / "run")
        with pytest.raises(ValueError, match="must be a folder of pictures"):
            train(tmp_path / "missing", tmp_path / "other")

    def test_a_loss_that_is_not_finite_stops_the_run(self, photos, tmp_path):
        recipe = StyleGAN2Recipe(size=8, latent_dim=8, channel_max=6, batch=4, lr=1e30)
        with pytest.raises(InversoError, match=r"is nan at step \d+; the last checkpoint is kept"):
            train(photos, tmp_path / "run", recipe=recipe)


def test_the_default_network_fits_twelve_megabytes_in_half_precision():
    recipe = StyleGAN2Recipe()
    values = sum(value.numel() for value in recipe.build_prior().state_dict().values())
    assert values == 4_377_192
    assert 2 * values < 12e6
