"""Fine-tuning with rounded weights: what rounding lost comes back; and measuring."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inverso.compression import clip_model, load_quantized, round_model, save_quantized
from inverso.compression.finetune import _pixel_error, corrupted_batches, decibel_error, fine_tune, measure
from inverso.compression.rounding import weight_axes
from inverso.degradations import WhiteBox, WhiteNoise
from inverso.errors import InversoError
from inverso.images.folders import PhotoFolder
from inverso.metrics import psnr


def pairs(count: int, *, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Blurred noise and what it was."""
    generator = torch.Generator().manual_seed(seed)
    clean = [torch.rand(8, 1, 8, 8, generator=generator) for _ in range(count)]
    return [(F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="circular"), 3, stride=1) + 0.2 * x, x) for x in clean]


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A tiny network that has learned to sharpen."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.ConvTranspose2d(12, 12, 3, padding=1), nn.ReLU()
        ).append(nn.Conv2d(12, 1, 3, padding=1))
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for batch in pairs(300):
        optimizer.zero_grad()
        _pixel_error(network, batch).backward()
        optimizer.step()
    return network.eval()


def held_out_error(network: nn.Module) -> float:
    with torch.no_grad():
        return float(sum(_pixel_error(network, batch) for batch in pairs(10, seed=1))) / 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bits", "per_channel", "steps"), [(4, False, 60), (3, False, 60), (3, True, 60), (2, False, 120), (2, True, 120)]
)
def test_tuning_recovers_most_of_what_rounding_lost(
    trained: nn.Module, bits: int, per_channel: bool, steps: int
) -> None:
    whole = held_out_error(trained)
    rounded = held_out_error(round_model(trained, bits=bits, per_channel=per_channel))
    tuned = fine_tune(
        trained, pairs(60, seed=2), bits=bits, steps=steps, per_channel=per_channel, lr=5e-3, progress=False
    )
    assert rounded > 1.1 * whole
    assert held_out_error(tuned) - whole < 0.25 * (rounded - whole)


@pytest.mark.slow
def test_tuning_beats_clipping_alone(trained: nn.Module) -> None:
    clipped = held_out_error(round_model(clip_model(trained, bits=2), bits=2))
    tuned = fine_tune(trained, pairs(60, seed=2), bits=2, steps=60, lr=5e-3, progress=False)
    assert held_out_error(tuned) < clipped


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_tuned_network_is_what_its_file_holds(trained: nn.Module, tmp_path, per_channel: bool) -> None:
    tuned = fine_tune(trained, pairs(3), bits=3, steps=3, per_channel=per_channel, progress=False)
    save_quantized(tuned, tmp_path / "tuned.safetensors", bits=3, per_channel=per_channel)
    loaded = fine_tune(trained, pairs(1), bits=8, steps=1, progress=False)
    load_quantized(tmp_path / "tuned.safetensors", loaded)
    torch.testing.assert_close(loaded.state_dict(), tuned.state_dict(), rtol=0, atol=0)


def test_weights_stay_in_the_range_they_start_with(trained: nn.Module) -> None:
    start = clip_model(trained, bits=2)
    tuned = fine_tune(trained, pairs(20), bits=2, steps=20, lr=0.1, progress=False).state_dict()
    for name in weight_axes(trained):
        low, high = start.state_dict()[name].aminmax()
        assert tuned[name].min() >= low
        assert tuned[name].max() <= high
    assert not torch.equal(tuned["0.weight"], round_model(start, bits=2).state_dict()["0.weight"])


def test_the_network_given_is_left_as_it_is(trained: nn.Module) -> None:
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    trained.train()
    tuned = fine_tune(trained, pairs(2), bits=4, steps=2, progress=False)
    assert trained.training
    assert not tuned.training
    torch.testing.assert_close(trained.state_dict(), before, rtol=0, atol=0)
    trained.eval()


def test_same_batches_same_bits(trained: nn.Module) -> None:
    before = torch.random.get_rng_state()
    one, other = (fine_tune(trained, pairs(4), bits=2, steps=6, progress=False) for _ in range(2))
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_any_objective_will_do(trained: nn.Module) -> None:
    seen = []

    def objective(restore: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
        seen.append(float(batch.sum()))
        return (restore(batch) - trained(batch)).abs().mean()

    inputs = [torch.full((1, 1, 8, 8), value) for value in (0.0, 1.0)]
    fine_tune(trained, inputs, objective, bits=4, steps=5, progress=False)
    assert seen == [0.0, 64.0, 0.0, 64.0, 0.0]


def test_progress_is_shown_where_it_is_asked_for(trained: nn.Module, capsys) -> None:
    fine_tune(trained, pairs(1), bits=4, steps=2)
    assert "tuning to 4 bits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps must be an integer of at least 1, got 0"),
        ({"lr": 0.0}, ValueError, "lr must be greater than 0"),
        ({"bits": 9}, ValueError, "bits must be 1 to 8"),
        ({"bits": 16}, ValueError, "float16 needs no tuning: bits must be 1 to 8, got 16"),
        ({"batches": iter(pairs(2))}, ValueError, "the batches ran out after 2 of 5 steps"),
        ({"batches": []}, ValueError, "the batches ran out after 0 of 5 steps"),
        ({"model": nn.ReLU()}, ValueError, "there is nothing to quantize"),
        (
            {"objective": lambda restore, _: restore(torch.ones(1, 1, 8, 8)).sum() * torch.inf},
            InversoError,
            "at step 1",
        ),
    ],
)
def test_bad_requests_are_refused(
    trained: nn.Module, change: dict[str, object], error: type[Exception], message: str
) -> None:
    request = {"model": trained, "batches": pairs(1), "objective": _pixel_error, "bits": 4, "steps": 5, **change}
    with pytest.raises(error, match=message):
        fine_tune(**request, progress=False)


def photos(count: int = 6) -> PhotoFolder:
    pixels = torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return PhotoFolder(pixels, ())


def test_batches_are_corrupted_photos_and_the_seed_decides() -> None:
    drawn = list(itertools.islice(corrupted_batches(photos(), WhiteNoise(0.5), batch=2, seed=3), 4))
    again = list(itertools.islice(corrupted_batches(photos(), WhiteNoise(0.5), batch=2, seed=3), 4))
    other = next(corrupted_batches(photos(), WhiteNoise(0.5), batch=2, seed=4))
    for (degraded, clean), (same, _) in zip(drawn, again, strict=True):
        kept = (degraded == clean).all(dim=1)
        assert kept.flatten(1).sum(dim=1).tolist() == [32, 32]
        assert torch.equal(degraded, same)
    assert not torch.equal(drawn[0][0], other[0])
    assert not torch.equal(drawn[0][0], drawn[1][0])


def test_measuring_gives_the_psnr_of_every_corruption_and_a_picture() -> None:
    clean = photos().photos.float() / 255
    corruptions = {"noise": WhiteNoise(0.4), "box": WhiteBox(central=True)}
    spoilt = measure(lambda y: y, clean, corruptions, batch=4)
    assert spoilt.psnr.keys() == {"noise", "box"}
    assert spoilt.psnr["box"] > spoilt.psnr["noise"]
    assert spoilt.average == pytest.approx((spoilt.psnr["box"] + spoilt.psnr["noise"]) / 2)
    white = F.mse_loss(torch.ones_like(clean), clean)
    assert spoilt.psnr["box"] == pytest.approx(float(-10 * (white / 4).log10()), abs=0.3)
    assert spoilt.examples["box"].shape == (1, 3, 8, 8)
    assert torch.equal(spoilt.examples["box"][0, :, 2:6, 2:6], torch.ones(3, 4, 4))
    assert torch.equal(spoilt.examples["box"][0, :, :2], clean[1, :, :2])


def test_every_network_is_measured_on_the_same_corruptions() -> None:
    clean, seen = photos().photos.float() / 255, []

    def restore(y: Tensor) -> Tensor:
        seen.append(y)
        return y

    for _ in range(2):
        measure(restore, clean, {"one": WhiteNoise(0.4), "two": WhiteNoise(0.4)})
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])


def test_measuring_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no corruption to measure"):
        measure(lambda y: y, torch.rand(2, 3, 8, 8), {})


def test_layers_that_are_not_rounded_are_tuned_all_the_same(trained: nn.Module) -> None:
    tuned = fine_tune(trained, pairs(3), bits=1, steps=3, layers=["0.weight"], progress=False)
    assert len(tuned[0].weight.unique()) == 2
    assert len(tuned[2].weight.unique()) > 2
    assert not torch.equal(tuned[2].weight, trained[2].weight)


def test_tuning_in_bfloat16_ends_near_that_in_float32(trained: nn.Module) -> None:
    exact, quick = (
        fine_tune(trained, pairs(60, seed=2), bits=2, steps=60, lr=5e-3, precision=precision, progress=False)
        for precision in ("32-true", "bf16-mixed")
    )
    assert held_out_error(quick) < 1.2 * held_out_error(exact)


def test_an_unknown_precision_is_refused(trained: nn.Module) -> None:
    with pytest.raises(ValueError, match="precision must be one of '32-true', 'bf16-mixed', got '16-mixed'"):
        fine_tune(trained, pairs(1), bits=4, steps=1, precision="16-mixed", progress=False)


def test_decibel_error_is_psnr_up_to_a_factor() -> None:
    degraded, clean = pairs(1)[0]
    expected = -psnr(degraded, clean).mean() * math.log(10) / 10
    torch.testing.assert_close(decibel_error(lambda y: y, (degraded, clean)), expected, rtol=1e-3, atol=0)
