"""What every training shares: seeds of processes, settings as text, devices, and the loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from inverso.images.folders import PhotoFolder
from inverso.training import Run, Training
from inverso.training._devices import OneDevice, open_devices
from inverso.training._settings import describe_settings, with_settings
from inverso.training.base import _rank_seed, recipe_json
from inverso.training.loop import _train, read_rows


class Doubling(Training):
    """Weights that double with every step."""

    def __init__(self, seed: int = 3) -> None:
        super().__init__(OneDevice("cpu"), seed=seed)
        linear = nn.Linear(1, 1)
        self.network, self.optimizer = self.add("network", linear, torch.optim.SGD(linear.parameters(), lr=1.0))
        with torch.no_grad():
            self.network.module.weight.fill_(1.0)

    def step(self, step: int) -> dict[str, float]:  # noqa: ARG002
        with torch.no_grad():
            self.network.module.weight.mul_(2)
        return {"weight": float(self.network.module.weight.detach())}

    def evaluate(self, step: int, folder: Path) -> dict[str, float]:  # noqa: ARG002
        # The middle of the run is the best.
        return {"score": -abs(step - 4.0)}

    def export(self, path: Path) -> None:
        path.write_text(str(float(self.network.module.weight.detach())))


class TestLoop:
    def test_rows_checkpoints_and_the_best_and_last_weights(self, tmp_path: Path) -> None:
        told: list[float] = []
        run = Run(6, 3, 2, 2, progress=False, report=lambda row: told.append(row["weight"]))
        _train(Doubling(), tmp_path, run)
        assert [(row["step"], row["weight"]) for row in read_rows(tmp_path / "losses.csv")] == [
            (2, 4),
            (4, 16),
            (6, 64),
        ]
        assert told == [4, 16, 64]
        assert (tmp_path / "best.safetensors").read_text() == "16.0"
        assert (tmp_path / "last.safetensors").read_text() == "64.0"
        assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 6

    def test_a_resumed_run_forgets_rows_after_its_checkpoint_and_tells_the_others_again(self, tmp_path: Path) -> None:
        _train(Doubling(), tmp_path, Run(3, 3, 9, 1, progress=False))
        with (tmp_path / "losses.csv").open("a") as stream:
            stream.write("4,1000,0\n")
        told: list[float] = []
        run = Run(5, 3, 9, 1, progress=False, resume=True, report=lambda row: told.append(row["step"]))
        _train(Doubling(), tmp_path, run)
        assert told == [1, 2, 3, 4, 5]
        assert [row["weight"] for row in read_rows(tmp_path / "losses.csv")] == [2, 4, 8, 16, 32]

    @pytest.mark.parametrize(
        ("wanted", "least", "held_out", "told"),
        [(3, 1, 3, ""), (9, 1, 4, "4 of 40 photos are held out for the measures, not 9\n"), (9, 9, 9, "")],
        ids=["as many as asked", "a tenth", "the least"],
    )
    def test_held_out_photos_are_at_most_a_tenth_or_it_is_said(
        self, tmp_path: Path, capsys: pytest.CaptureFixture, wanted: int, least: int, held_out: int, told: str
    ) -> None:
        folder = PhotoFolder(torch.zeros(40, 3, 4, 4, dtype=torch.uint8), tuple(Path(str(k)) for k in range(40)))
        training = Doubling()
        rest, measured = training.hold_out(folder, wanted, least=least)
        assert (len(rest), len(measured)) == (40 - held_out, held_out)
        _train(training, tmp_path / "quiet", Run(1, progress=False))
        assert capsys.readouterr().err == ""
        _train(training, tmp_path / "told", Run(1))
        assert told in capsys.readouterr().err

    @pytest.mark.parametrize(("batch", "notes"), [(36, 0), (37, 1), (None, 0)], ids=str)
    def test_a_batch_of_more_photos_than_there_are_is_noted(self, batch: int | None, notes: int) -> None:
        folder = PhotoFolder(torch.zeros(40, 3, 4, 4, dtype=torch.uint8), tuple(Path(str(k)) for k in range(40)))
        training = Doubling()
        training.hold_out(folder, 4, batch=batch)
        assert training.notes == ["there are 36 photos to learn from, so that a batch has 36 and not 37"] * notes

    def test_a_photo_must_be_left_to_learn_from(self) -> None:
        folder = PhotoFolder(torch.zeros(5, 3, 4, 4, dtype=torch.uint8), tuple(Path(str(k)) for k in range(5)))
        with pytest.raises(ValueError, match="holds out 5 photos or more and learns from others, got 5 in all"):
            Doubling().hold_out(folder, 9, least=5)

    @pytest.mark.parametrize("name", ["steps", "checkpoint_every", "evaluate_every", "log_every", "devices"])
    def test_counts_below_one_are_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got 0"):
            Run(**{name: 0})


class TestSeeds:
    def test_processes_draw_different_numbers_and_the_first_those_of_a_single_one(self) -> None:
        assert _rank_seed(5, 0) == 5
        seeds = {_rank_seed(seed, rank) for seed in range(100) for rank in range(64)}
        assert len(seeds) == 6400

    def test_a_step_draws_the_same_at_every_resume(self) -> None:
        one, same, other = (torch.rand(3, generator=Doubling(seed).random(4, 2)) for seed in (1, 1, 2))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


class TestDevices:
    def test_mixed_precision_computes_in_bfloat16_and_answers_in_float32(self) -> None:
        linear = nn.Linear(4, 4)
        place = OneDevice("cpu", "bf16-mixed")
        wrapped, _ = place.setup(linear, torch.optim.SGD(linear.parameters(), lr=1.0))
        x = torch.rand(2, 4)
        with torch.autocast("cpu", torch.bfloat16):
            expected = linear(x.bfloat16()).float()
        torch.testing.assert_close(wrapped(x), expected, rtol=0, atol=0)
        assert set(wrapped.state_dict()) == {"weight", "bias"}

    def test_it_computes_what_fabric_does(self) -> None:
        fabric = pytest.importorskip("lightning_fabric").Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
        linear, x = nn.Linear(4, 4), torch.rand(2, 4)
        answers = []
        for devices in (fabric, OneDevice("cpu", "bf16-mixed")):
            network, optimizer = devices.setup(linear, torch.optim.SGD(linear.parameters(), lr=0.0))
            optimizer.zero_grad()
            devices.backward(network(x).square().sum())
            answers.append((network(x), linear.weight.grad.clone()))
        torch.testing.assert_close(*answers, rtol=0, atol=0)

    def test_there_must_be_a_core_for_every_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("lightning_fabric")
        monkeypatch.setattr("inverso.training._devices.cores", lambda: 3)
        with pytest.raises(ValueError, match=r"devices must be at most 3, the cores of this machine .*, got 4"):
            open_devices(devices=4, device="cpu")

    @pytest.mark.parametrize(("name", "value"), [("precision", "16"), ("device", "tpu")])
    def test_unknown_names_are_refused(self, name: str, value: str) -> None:
        with pytest.raises(ValueError, match=f"{name} must be one of .*, got '{value}'"):
            open_devices(**{name: value})


@dataclass(frozen=True)
class Inner:
    a: float = 1.0
    b: int | None = None


@dataclass(frozen=True)
class Outer:
    count: int = 1
    rate: float | None = None
    kind: Literal["x", "y"] = "x"
    deep: bool = False
    word: str = "w"
    pair: tuple[float, int] = (0.0, 0)
    many: tuple[str, ...] = ()
    named: tuple[tuple[str, int | float | str], ...] = ()
    inner: Inner = field(default_factory=Inner)


class TestSettings:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("count=3", 3),
            ("rate=0.5", 0.5),
            ("rate=none", None),
            ("kind=y", "y"),
            ("deep=yes", True),
            ("word=a=b", "a=b"),
            ("pair=1,2", (1.0, 2)),
            ("many=a, b", ("a", "b")),
            ("many=", ()),
            ("named=a:1,b:0.5,c:d", (("a", 1), ("b", 0.5), ("c", "d"))),
            ("inner=a:2,b:3", Inner(2.0, 3)),
            ("inner.b=4", Inner(1.0, 4)),
        ],
    )
    def test_by_type(self, text: str, value: object) -> None:
        made = getattr(with_settings(Outer(), [text]), text.split("=", maxsplit=1)[0].split(".", maxsplit=1)[0])
        assert made == value
        assert type(made) is type(value)

    @pytest.mark.parametrize(
        "text", ["count=1.5", "kind=z", "deep=perhaps", "pair=1", "rate=fast", "none=1", "inner.c=1"]
    )
    def test_what_does_not_fit_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=text.split("=", maxsplit=1)[0].rsplit(".", maxsplit=1)[-1]):
            with_settings(Outer(), [text])

    def test_they_are_described(self) -> None:
        rows = {name: (kind, value) for name, kind, value in describe_settings(Outer())}
        assert rows["count"] == ("a whole number", "1")
        assert rows["rate"] == ("a number or none", "None")
        assert rows["kind"] == ("x or y", "x")
        assert rows["named"][0] == "text:a whole number or a number or text,..."

    def test_a_recipe_is_plain_json(self) -> None:
        assert recipe_json(Outer(word="v"))["inner"] == {"a": 1.0, "b": None}
        assert recipe_json(Inner(a=nn.Identity()))["a"] == "Identity"  # type: ignore[arg-type]
