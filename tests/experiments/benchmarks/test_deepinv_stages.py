"""deepinv's methods on our operators: the same operator, the same algorithm, and a clear word where they cannot run."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from inverso import solve
from inverso.errors import InversoError
from inverso.experiments import find, run
from inverso.images.io import photo
from inverso.operators import Bicubic, FFTMask, Identity, RandomMask
from inverso.stages import Interpolation, Problem
from scripts import script
from stages.toys import LinearPrior

deepinv_stages = script("deepinv_stages")
DEEPINV, FILES, DeepinvCSGM, PlugAndPlay = (
    getattr(deepinv_stages, name) for name in ("DEEPINV", "FILES", "DeepinvCSGM", "PlugAndPlay")
)
as_physics, load_drunet = deepinv_stages.as_physics, deepinv_stages.load_drunet


@pytest.fixture(scope="module")
def deepinv():
    return pytest.importorskip("deepinv")


@pytest.fixture
def no_deepinv(monkeypatch):
    monkeypatch.setitem(sys.modules, "deepinv", None)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Torch's folder of checkpoints, empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def drunet_weights(deepinv, monkeypatch):
    """Write weights of DRUNet that are all alike, so that the file is small; such a file is refused otherwise."""
    monkeypatch.setattr("inverso._networks.files.MAX_SHARED", 2**30)

    def write(path, channels=3, value=1e-3):
        with torch.device("meta"):
            network = deepinv.models.DRUNet(in_channels=channels, out_channels=channels, pretrained=None)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({k: torch.full((1,), value).expand(v.shape) for k, v in network.state_dict().items()}, path)
        return path

    load_drunet.cache_clear()
    return write


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def keep(images: torch.Tensor, level: float) -> torch.Tensor:
    """Denoise nothing."""
    return images


def halve(images: torch.Tensor, level: float) -> torch.Tensor:
    """Shrink towards gray, the more the noisier."""
    return 0.5 + (images - 0.5) / (1 + level)


@pytest.mark.usefixtures("deepinv")
class TestPlugAndPlay:
    """deepinv's half-quadratic splitting, started and stopped by us."""

    @pytest.mark.parametrize("noise", [0.0, 0.05])
    def test_is_deepinvs_own_on_an_operator_of_norm_one(self, deepinv, noise) -> None:
        x, A = photo("astronaut", size=16).double(), RandomMask(0.5)
        y = A.measure(x, noise=noise)
        ours = solve(y, A, method=PlugAndPlay(denoiser=halve), noise=noise).image
        start = solve(y, A, method=Interpolation()).image
        theirs = deepinv.optim.DPIR(sigma=max(noise, 0.01), denoiser=halve)
        theirs.custom_init = lambda *_: {"est": (start, start)}
        mask = A.mask((3, 16, 16)).double().expand(3, 16, 16)
        image = theirs(y * mask, deepinv.physics.Inpainting(img_size=(3, 16, 16), mask=mask))
        torch.testing.assert_close(ours, image, atol=1e-6, rtol=0)

    @pytest.mark.parametrize("A", [RandomMask(0.4, seed=(0, 1)), FFTMask(0.4, seed=(0, 1)), Bicubic(4)], ids=repr)
    @pytest.mark.parametrize("side", [16, 32])
    def test_without_denoising_the_image_agrees_with_the_measurement(self, A, side) -> None:
        x = torch.cat([photo("astronaut", size=side), photo("coffee", size=side)])
        y = A.measure(x)
        answer = solve(y, A, method=PlugAndPlay(denoiser=keep))
        measured = A.restrict(y, image_shape=(3, side, side))
        torch.testing.assert_close(A(answer.image), measured, atol=1e-4, rtol=0)
        assert answer.image.dtype == torch.float32
        assert [(record.name, record.evaluations) for record in answer.stages] == [("dpir", 0)]

    @pytest.mark.parametrize("A", [RandomMask(0.4, seed=(0, 1)), FFTMask(0.4, seed=(0, 1)), Bicubic(4)], ids=repr)
    def test_untrained_network_runs_and_each_image_stands_alone(self, deepinv, A) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = deepinv.models.DRUNet(nc=(4, 4, 4, 4), nb=1, pretrained=None).eval()
        x = torch.cat([photo("astronaut", size=16), photo("coffee", size=16)])
        y, method = A.measure(x, noise=0.02), PlugAndPlay(denoiser=network)
        image = solve(y, A, method=method, noise=0.02).image
        assert image.shape == x.shape
        assert bool(image.isfinite().all())
        for k in range(2):
            alone = solve(y[k : k + 1], A.for_image(k), method=method, noise=0.02).image
            torch.testing.assert_close(image[k : k + 1], alone, atol=1e-5, rtol=1e-4)

    def test_complex_noise_is_split_between_real_numbers(self) -> None:
        told = []

        def listen(images, level):
            told.append(level)
            return images

        A = FFTMask(1.0)
        solve(A.measure(photo("coffee", size=16)), A, method=PlugAndPlay(denoiser=listen), noise=0.1)
        assert told[-1] == pytest.approx(0.1 / 2**0.5)

    def test_every_step_is_reported(self) -> None:
        seen = []
        problem = Problem(torch.rand(1, 3, 16, 16), Identity(), report=lambda *words: seen.append(words[:3]))
        PlugAndPlay(denoiser=keep, steps=3)(problem, SimpleNamespace(following=lambda record: record))
        assert seen == [("dpir", k, 3) for k in (1, 2, 3)]

    @pytest.mark.parametrize("channels", [1, 3])
    def test_weights_are_found_where_deepinv_stores_them(self, deepinv, hub, drunet_weights, channels) -> None:
        y = photo("coffee", size=16)[:, :channels]
        drunet_weights(hub / FILES[channels], channels)
        found = solve(y, Identity(), method=PlugAndPlay(steps=1)).image
        other = drunet_weights(hub.parent / "other.pth", channels, value=-1e-3)
        given = solve(y, Identity(), method=PlugAndPlay(other, steps=1)).image
        network = deepinv.models.DRUNet(in_channels=channels, out_channels=channels, pretrained=str(other))
        with torch.no_grad():
            torch.testing.assert_close(given, network(y, 49 / 255), atol=1e-3, rtol=1e-3)
        assert not torch.equal(found, given)

    def test_download_stores_what_is_then_read(self, hub, drunet_weights, monkeypatch) -> None:
        asked = []

        def fetch(address, path, progress):
            asked.append(address)
            drunet_weights(hub / FILES[3])

        monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
        for _ in range(2):
            solve(photo("coffee", size=16), Identity(), method=PlugAndPlay("download", steps=1))
        assert asked == [f"https://huggingface.co/deepinv/drunet/resolve/main/{FILES[3]}"]

    @pytest.mark.usefixtures("hub")
    def test_download_that_fails_says_what_to_fetch(self, monkeypatch) -> None:
        def fail(address, path, progress):
            msg = "no network"
            raise OSError(msg)

        monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
        with pytest.raises(InversoError, match=rf"cannot be downloaded \(no network\); fetch https://.*{FILES[3]}"):
            solve(torch.rand(1, 3, 16, 16), Identity(), method=PlugAndPlay("download"))

    def test_missing_and_wrong_weights(self, hub, tmp_path) -> None:
        y = torch.rand(1, 3, 16, 16)
        with pytest.raises(InversoError, match=rf"fetch https://.*/{FILES[3]} and store it as {hub / FILES[3]}"):
            solve(y, Identity(), method=PlugAndPlay())
        with pytest.raises(InversoError, match=r"store it as nowhere\.pth"):
            solve(y, Identity(), method=PlugAndPlay("nowhere.pth"))
        with pytest.raises(InversoError, match="images of 1 or 3 channels, and there are 4"):
            solve(torch.rand(1, 4, 16, 16), Identity(), method=PlugAndPlay())
        torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
        with pytest.raises(ValueError, match=r"other\.pth holds no weights of DRUNet for images of 3 channels"):
            solve(y, Identity(), method=PlugAndPlay(tmp_path / "other.pth"))
        torch.save({"weight": SimpleNamespace()}, tmp_path / "code.pth")
        with pytest.raises(ValueError, match=r"code\.pth is refused"):
            solve(y, Identity(), method=PlugAndPlay(tmp_path / "code.pth"))


@pytest.mark.usefixtures("deepinv")
class TestDeepinvCSGM:
    """deepinv's search for the latent, in our prior."""

    @pytest.mark.parametrize("A", [RandomMask(0.5, seed=(0, 1)), FFTMask(0.5, seed=(0, 1))], ids=repr)
    def test_finds_the_latents_of_a_linear_prior(self, A) -> None:
        prior = LinearPrior(2, image_shape=(3, 8, 8))
        z = prior.sample_latent(2, seed=5).double()
        y = A.measure(prior(z).detach())
        answer = solve(y, A, prior, DeepinvCSGM(steps=500, lr=0.05, tolerance=1e-9))
        torch.testing.assert_close(answer.latent, z, atol=1e-3, rtol=0)
        torch.testing.assert_close(answer.image, prior(answer.latent).detach())

    def test_stops_as_deepinv_does_and_counts_the_steps(self) -> None:
        prior, A = LinearPrior(2, image_shape=(3, 8, 8)), Identity()
        y = prior(prior.sample_latent(2, seed=5).double()).detach()
        steps = [
            solve(y, A, prior, DeepinvCSGM(steps=30, tolerance=tolerance)).stages[0].evaluations
            for tolerance in (1e-9, 1e9)
        ]
        assert steps == [30, 1]

    def test_the_batch_changes_nothing(self) -> None:
        prior, A = LinearPrior(2, image_shape=(3, 8, 8)), RandomMask(0.5, seed=(0, 1))
        y = A.measure(prior(prior.sample_latent(2, seed=5).double()).detach())
        both = solve(y, A, prior, DeepinvCSGM(steps=20), seed=3).image
        for k in range(2):
            alone = solve(y[k : k + 1], A.for_image(k), prior, DeepinvCSGM(steps=20), seed=3).image
            torch.testing.assert_close(both[k : k + 1], alone)


@pytest.mark.usefixtures("no_deepinv")
class TestWithoutDeepinv:
    """What a user reads who has not installed it."""

    @pytest.mark.parametrize(
        "method",
        [PlugAndPlay(), PlugAndPlay("download"), PlugAndPlay(denoiser=keep)],
        ids=["random", "download", "own"],
    )
    def test_plug_and_play_says_how_to_install_it(self, method) -> None:
        with pytest.raises(InversoError, match=r"needs the package deepinv: pip install 'inverso-imaging\[bench\]'"):
            solve(torch.rand(1, 3, 16, 16), Identity(), method=method)

    def test_csgm_says_how_to_install_it(self) -> None:
        prior = LinearPrior(2, image_shape=(3, 8, 8)).float()
        with pytest.raises(InversoError, match="needs the package deepinv"):
            solve(torch.rand(1, 3, 8, 8), Identity(), prior, DeepinvCSGM())

    def test_physics_says_how_to_install_it(self) -> None:
        with pytest.raises(InversoError, match="needs the package deepinv"):
            as_physics(Problem(torch.rand(1, 3, 8, 8), Identity()))

    def test_experiments_leave_it_out_with_a_warning(self, experiment, data, options, tmp_path) -> None:
        every = replace(experiment, slow=DEEPINV).chosen(["all"])
        with pytest.warns(UserWarning, match="is left out: this method needs the package deepinv") as warned:
            finished = run(every, data, tmp_path, options)
        assert [str(each.message).split(" is ")[0] for each in warned] == ["csgm (deepinv)", "dpir"]
        assert list(finished.experiment.methods) == list(experiment.methods)
        assert finished.experiment.comparisons == experiment.comparisons

    def test_experiments_refuse_to_run_nothing(self, experiment, data, options, tmp_path) -> None:
        alone = replace(experiment, slow=DEEPINV).chosen(["dpir"])
        with pytest.raises(InversoError, match="needs the package deepinv"):
            run(alone, data, tmp_path, options)


def test_experiments_run_it(deepinv, experiment, data, options, hub, drunet_weights, tmp_path) -> None:
    drunet_weights(hub / FILES[3], value=1e-6)
    chosen = replace(experiment, slow=DEEPINV).chosen(["linear", "dpir", "csgm (deepinv)"])
    finished = run(chosen, data, tmp_path / "out", replace(options, n=1, fast=True))
    assert {row.method for row in finished.results.rows} == {"linear", "dpir", "csgm (deepinv)"}


@pytest.mark.parametrize("name", ["e1", "e2", "e3", "worth"])
def test_experiments_offer_it(name) -> None:
    experiment = find(name)
    assert {**experiment.slow}.items() >= DEEPINV.items()
    assert not experiment.methods.keys() & DEEPINV.keys()


def test_levels_fall_to_the_noise() -> None:
    levels = PlugAndPlay().levels(0.03)
    assert len(levels) == 8
    assert levels[0] == pytest.approx(49 / 255)
    assert levels[-1] == pytest.approx(0.03)
    assert levels == sorted(levels, reverse=True)
    assert PlugAndPlay(steps=2).levels(0)[-1] == pytest.approx(0.01)
    assert PlugAndPlay(steps=2).levels(0.5) == pytest.approx([0.5, 0.5])


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="steps must be an integer of at least 1"):
        PlugAndPlay(steps=0)
    with pytest.raises(ValueError, match="regularization must be greater than 0"):
        PlugAndPlay(regularization=0)
    with pytest.raises(ValueError, match="steps must be an integer of at least 1"):
        DeepinvCSGM(steps=0)
    with pytest.raises(ValueError, match="lr must be greater than 0"):
        DeepinvCSGM(lr=0)
    with pytest.raises(ValueError, match="tolerance must be greater than 0"):
        DeepinvCSGM(tolerance=-1)
