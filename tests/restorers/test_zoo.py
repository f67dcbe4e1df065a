"""Restorers by name and as files: written whole, read back the same, and nothing in a file is believed or run."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import inverso.restorers._zoo as zoo_module
from inverso._networks import files as checkpoints
from inverso._networks.cards import Card
from inverso.compression import save_quantized
from inverso.errors import InversoError
from inverso.restorers import (
    MobileRestorer,
    RepairRestorer,
    Restorer,
    SlidesRestorer,
    UNetRestorer,
    XGANRestorer,
    available,
    card,
    load,
    save_restorer,
)
from inverso.restorers.base import parameter_count

TINY: dict[str, Callable[[], Restorer]] = {
    "unet": lambda: UNetRestorer(width=8, middle=8, deep=8, refine=8, seed=1),
    "mobile": lambda: MobileRestorer(width=4, blocks=1, upsampling="resize", dilation=2, seed=1),
    "x-gan": lambda: XGANRestorer(width=4, blocks=1, dropout=0.25, seed=1),
    "repair": lambda: RepairRestorer(width=8, middle=8, deep=8, refine=8, tones=8, seed=1),
    "slides": lambda: SlidesRestorer(width=16, channels=3, pool="average", shortcut=True, seed=1),
}


@pytest.mark.parametrize("make", TINY.values(), ids=TINY)
class TestFiles:
    def test_what_is_saved_is_loaded(self, make: Callable[[], Restorer], tmp_path: Path) -> None:
        restorer = make().eval()
        save_restorer(restorer, tmp_path / "r.safetensors")
        again = load(tmp_path / "r.safetensors")
        assert (type(again), dict(again.config), again.training) == (type(restorer), dict(restorer.config), False)
        y = torch.rand(1, 3, 32, 32)
        torch.testing.assert_close(again(y), restorer(y), rtol=0, atol=0)

    def test_halves_are_read_back_as_floats(self, make: Callable[[], Restorer], tmp_path: Path) -> None:
        restorer = make().eval()
        save_restorer(restorer, tmp_path / "r.safetensors", dtype=torch.float16)
        stored = load_file(tmp_path / "r.safetensors")
        assert {value.dtype for value in stored.values() if value.ndim > 1} == {torch.float16}
        again = load(tmp_path / "r.safetensors")
        assert {p.dtype for p in again.parameters()} == {torch.float32}
        y = torch.rand(1, 3, 32, 32)
        torch.testing.assert_close(again(y), restorer(y), rtol=0, atol=0.02)

    def test_a_loaded_restorer_can_be_trained_on(self, make: Callable[[], Restorer], tmp_path: Path) -> None:
        save_restorer(make(), tmp_path / "r.safetensors")
        again = load(tmp_path / "r.safetensors")
        again(torch.rand(1, 3, 32, 32)).sum().backward()
        assert any(p.grad is not None for p in again.parameters())

    def test_packed_files_are_loaded_too(self, make: Callable[[], Restorer], tmp_path: Path) -> None:
        restorer = make().eval()
        size = save_quantized(restorer, tmp_path / "r.safetensors", bits=8)
        again = load(tmp_path / "r.safetensors")
        assert type(again) is type(restorer)
        y = torch.rand(1, 3, 32, 32)
        torch.testing.assert_close(again(y), restorer(y), rtol=0, atol=0.1)
        save_restorer(restorer, tmp_path / "float.safetensors")
        assert size < (tmp_path / "float.safetensors").stat().st_size


def write(path: Path, *, family: str | None = "MobileRestorer", config: object = None, drop: str = "") -> Path:
    tiny = MobileRestorer(width=4, blocks=1)
    state = {name: value for name, value in tiny.state_dict().items() if name != drop}
    metadata = {"config": json.dumps(dict(tiny.config) if config is None else config)}
    save_file(state, path, metadata=metadata if family is None else {**metadata, "family": family})
    return path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"family": "Nobody"}, "it holds a Nobody; restorers are UNetRestorer, MobileRestorer, XGANRestorer"),
        ({"family": None}, "it holds no named network|spandrel"),
        ({"family": "DCGAN"}, "it holds a DCGAN"),
        ({"config": {"width": 8, "blocks": 1}}, "does not describe the MobileRestorer in it"),
        ({"config": {"width": 4, "wings": 2}}, "does not describe the MobileRestorer in it"),
        ({"config": {"width": "four"}}, "does not describe the MobileRestorer in it"),
        ({"config": {"width": 4, "blocks": 10**12}}, "blocks is 1000000000000, larger than any network's"),
        ({"config": [4]}, r"the settings must be named values, got \[4\]"),
        ({"drop": "down.0.weight"}, "does not describe the MobileRestorer in it"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(tmp_path: Path, given: dict[str, object], message: str) -> None:
    path = write(tmp_path / "odd.safetensors", **given)
    with pytest.raises(ValueError, match=f"odd.safetensors cannot be used as a restorer: .*{message}"):
        load(path)


def test_nan_in_a_file_is_refused(tmp_path: Path) -> None:
    broken = MobileRestorer(width=4)
    with torch.no_grad():
        broken.down[0].bias[0] = torch.nan
    save_restorer(broken, tmp_path / "nan.safetensors")
    with pytest.raises(ValueError, match=r"its tensor 'down\.0\.bias' holds NaN or infinity"):
        load(tmp_path / "nan.safetensors")


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bomb.pt").write_bytes(pickle.dumps({"weight": Bomb()}))
    torch.save({"weight": Bomb()}, "bomb.pth")
    for name in ("bomb.pt", "bomb.pth"):
        with pytest.raises(ValueError, match="bomb"):
            load(name)
    assert not Path("exploded").exists()


class TestSaving:
    def test_other_networks_are_refused(self, tmp_path: Path) -> None:
        class Mine(MobileRestorer):
            pass

        for network in (nn.Linear(2, 2), Mine(width=4)):
            with pytest.raises(TypeError, match="restorer must be one of UNetRestorer, MobileRestorer, XGANRestorer"):
                save_restorer(network, tmp_path / "r.safetensors")

    def test_folder_and_dtype_are_checked(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"the folder .*nowhere does not exist: make it first"):
            save_restorer(MobileRestorer(width=4), tmp_path / "nowhere" / "r.safetensors")
        with pytest.raises(ValueError, match=r"dtype must be one of torch\.float16, .* got torch\.int8"):
            save_restorer(MobileRestorer(width=4), tmp_path / "r.safetensors", dtype=torch.int8)

    def test_a_failure_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "r.safetensors"
        path.write_text("old")

        def fail(*_: object) -> None:
            message = "disk full"
            raise OSError(message)

        monkeypatch.setattr("os.replace", fail)
        with pytest.raises(OSError, match="disk full"):
            save_restorer(MobileRestorer(width=4), path)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]


class TestNames:
    def test_cards_say_what_the_networks_are(self) -> None:
        families = {family.__name__: family for family in (UNetRestorer, MobileRestorer, RepairRestorer)}
        for known in available():
            assert parameter_count(families[known.family]()) == known.parameters
            assert card(known.name) is known

    def test_an_unknown_name_lists_the_known_ones(self) -> None:
        for ask in (load, card):
            with pytest.raises(ValueError, match=r"'fases-64'; did you mean 'faces-64'\? Known restorers: faces-64"):
                ask("fases-64")

    def test_other_types_are_refused(self) -> None:
        with pytest.raises(TypeError, match="load takes the name of a restorer or the path of a file, got int"):
            load(64)

    def test_missing_weights_are_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checkpoints, "files", lambda _: tmp_path)
        for known in available():
            with pytest.raises(InversoError, match=f"the weights of '{known.name}' are missing from this installation"):
                load(known.name)

    @pytest.mark.parametrize("known", available(), ids=lambda known: known.name)
    def test_embedded_weights_are_what_the_card_says(self, known: Card) -> None:
        if not (Path(zoo_module.__file__).parent / "weights" / f"{known.name}.safetensors").is_file():
            pytest.skip("the weights are not part of this checkout")
        restorer = load(known.name)
        assert (type(restorer).__name__, parameter_count(restorer)) == (known.family, known.parameters)
