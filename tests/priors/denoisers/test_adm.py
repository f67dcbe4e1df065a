"""The U-Net of guided-diffusion and the denoiser made of it, against upstream's."""

from __future__ import annotations

import pytest
import torch

from inverso._networks.files import read_file
from inverso.priors import Denoiser, load
from inverso.priors._formats.adm import build_adm, is_adm, read_adm
from inverso.priors.denoisers._adm import ADMSizes, ADMUNet
from inverso.priors.denoisers.diffusion import DiffusionDenoiser
from inverso.priors.denoisers.schedule import Schedule
from priors.denoisers.golden import DATA, arrays, assert_same, full_size

FILE = DATA / "adm" / "adm_tiny.pt"


@pytest.fixture(scope="module")
def denoiser():
    return read_adm(FILE, head_channels=16)


@pytest.fixture(scope="module")
def golden():
    return arrays("adm/adm_tiny")


def test_the_network_at_whole_and_other_times(denoiser, golden):
    assert float(golden["out"].std()) > 0.01
    assert_same(denoiser.network(golden["x"], golden["t"].float()), golden["out"])
    assert_same(denoiser.network(golden["x"], golden["t_fractional"].float()), golden["out_fractional"])


def test_the_denoiser_at_the_nearest_time(golden):
    denoiser = read_adm(FILE, head_channels=16)
    denoiser.whole_times = True
    assert_same(denoiser(golden["x01_noisy"], golden["sigma01"]), golden["denoised01"])


def test_at_the_noise_of_a_time_both_are_the_same(golden):
    rounded, between = (read_adm(FILE, head_channels=16) for _ in range(2))
    rounded.whole_times = True
    sigma = between.schedule.sigmas[[37, 612]].float() / 2
    torch.testing.assert_close(between(golden["x"], sigma), rounded(golden["x"], sigma), atol=1e-3, rtol=1e-3)


def test_its_first_step_is_upstream_s_prediction_of_the_image(denoiser, golden):
    kept = 1 / (1 + denoiser.schedule.sigmas[golden["t"]].square())
    z, c = golden["x"], kept.sqrt().float()[:, None, None, None]
    sigma = denoiser.schedule.sigmas[golden["t"]].float() / 2
    answer = 2 * denoiser((z / c + 1) / 2, sigma) - 1
    torch.testing.assert_close(answer, golden["pred_xstart"], atol=1e-3, rtol=1e-3)


def test_without_a_noise_it_leaves_the_image_alone(denoiser):
    x = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(denoiser(x, 0.0), x, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("name", "attention"), [("adm_256_uncond", 3), ("ffhq_10m", 1)])
def test_full_size(name, attention):
    upstream, known = full_size(name)
    assert is_adm(upstream)
    network = ADMUNet.from_state_dict(upstream)
    assert sum(weight.numel() for weight in network.parameters()) == known["elements"]
    assert sum(network.sizes.attention) == attention
    assert network.sizes.residual_sampling
    assert network.sizes.scale_shift
    assert network.middle_block[1].heads == network.sizes.widths[-1] // 64


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("scale_shift", [True, False])
@pytest.mark.parametrize("new_order", [True, False])
def test_sizes_are_read_off_the_weights(residual, scale_shift, new_order):
    sizes = ADMSizes(
        outputs=3,
        width=32,
        widths=(32, 64),
        blocks=2,
        attention=(False, True),
        residual_sampling=residual,
        scale_shift=scale_shift,
        head_channels=None,
        heads=2,
        new_attention_order=new_order,
    )
    network = ADMUNet(sizes).eval()
    again = ADMUNet.from_state_dict(network.state_dict(), head_channels=None, heads=2, new_attention_order=new_order)
    assert again.sizes == sizes
    x, t = torch.rand(1, 3, 8, 8), torch.tensor([300.0])
    torch.testing.assert_close(again(x, t), network(x, t))


def test_load_takes_the_published_settings(tmp_path):
    sizes = ADMSizes(width=64, widths=(64, 64), blocks=1, attention=(False, True))
    network = ADMUNet(sizes).eval()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    denoiser = load(tmp_path / "model.pt", kind=Denoiser)
    assert isinstance(denoiser, DiffusionDenoiser)
    assert denoiser.network.sizes == sizes
    assert denoiser.multiple == 2
    assert denoiser.sigma_range == pytest.approx((0.005, 78.70), rel=1e-3)


def test_another_network_is_refused():
    upstream = dict(read_file(FILE).data)
    with pytest.raises(ValueError, match="class labels"):
        build_adm({**upstream, "label_emb.weight": torch.zeros(10, 128)})
    with pytest.raises(ValueError, match="unknown more"):
        build_adm({**upstream, "more": torch.zeros(1)})
    with pytest.raises(ValueError, match="makes 5 channels of 3: no"):
        build_adm({**upstream, "out.2.weight": torch.zeros(5, 32, 3, 3)})
    with pytest.raises(ValueError, match=r"expected a kernel out\.2\.weight"):
        build_adm({**upstream, "out.2.weight": torch.zeros(6)})
    with pytest.raises(ValueError, match=r"32 channels cannot be split by 5"):
        build_adm(upstream, heads=5)
    with pytest.raises(ValueError, match=r"schedule must be one of 'linear', .* got 'cosine'"):
        build_adm(upstream, head_channels=16, schedule="cosine")
    with pytest.raises(ValueError, match=r"model\.pt is not a file"):
        read_adm("model.pt")


class TestSchedule:
    def test_ends_of_the_linear_one(self):
        sigmas = Schedule.named("linear").sigmas
        assert float(sigmas[0]) == pytest.approx(0.0100005, rel=1e-5)
        assert float(sigmas[-1]) == pytest.approx(157.407, rel=1e-5)

    def test_times_of_usual_noises(self):
        schedule = Schedule.named("linear")
        levels = torch.tensor([5, 15, 25, 50], dtype=torch.float64)
        assert schedule.nearest_time(2 * levels / 255).tolist() == [8, 32, 56, 114]
        torch.testing.assert_close(
            schedule.time(schedule.sigmas[[0, 8, 500, 999]]), torch.tensor([0.0, 8, 500, 999]).double()
        )

    def test_times_between_are_linear_in_the_logarithm(self):
        schedule = Schedule.named("linear")
        middle = (schedule.sigmas[10] * schedule.sigmas[11]).sqrt()
        assert float(schedule.time(middle)) == pytest.approx(10.5)

    def test_beyond_the_ends_the_end_is_taken(self):
        times = Schedule.named("linear").time(torch.tensor([0.0, 1e-9, 1e4]))
        assert times.tolist() == [0, 0, 999]

    def test_scaled_linear_is_linear_in_the_root(self):
        betas = Schedule.named("scaled_linear", steps=5, first=0.01, last=0.09).betas
        torch.testing.assert_close(betas.sqrt(), torch.tensor([0.1, 0.15, 0.2, 0.25, 0.3]).double())

    def test_cosine_by_hand(self):
        betas = Schedule.named("squaredcos_cap_v2", steps=2).betas
        share = [torch.cos(torch.tensor((t / 2 + 0.008) / 1.008 * torch.pi / 2)).item() ** 2 for t in range(3)]
        assert betas.tolist() == pytest.approx([1 - share[1] / share[0], 0.999])

    @pytest.mark.parametrize(
        ("betas", "message"), [([0.1], "got 1"), ([0.1, 1.0], r"in \(0, 1\)"), ([0.0, 0.5], r"in \(0, 1\)")]
    )
    def test_betas_that_are_refused(self, betas, message):
        with pytest.raises(ValueError, match=message):
            Schedule.of(betas)

    def test_impossible_settings_are_refused(self):
        with pytest.raises(ValueError, match="got 'sigmoid'"):
            Schedule.named("sigmoid")
        with pytest.raises(ValueError, match="at most 100000, got 10000000"):
            Schedule.named("linear", steps=10_000_000)


def test_predictions_agree_where_the_noise_is_known():
    """With the true noise, image and velocity as predictions all three answer the image."""
    u, n, schedule = torch.rand(1, 1, 4, 4) * 2 - 1, torch.randn(1, 1, 4, 4), Schedule.named("linear")
    sigma = 0.2
    s, c = 2 * sigma, (1 + 4 * sigma**2) ** -0.5
    truth = {"epsilon": n, "v_prediction": c * n - c * s * u, "sample": u}
    for prediction, answer in truth.items():

        class Known(torch.nn.Module):
            def forward(self, *_, answer=answer):
                return answer

        denoiser = DiffusionDenoiser(Known(), channels=1, schedule=schedule, prediction=prediction)
        torch.testing.assert_close(denoiser((u + s * n + 1) / 2, sigma), (u + 1) / 2, atol=1e-6, rtol=1e-5)
    with pytest.raises(ValueError, match=r"prediction must be one of .* got 'score'"):
        DiffusionDenoiser(Known(), channels=1, schedule=schedule, prediction="score")
