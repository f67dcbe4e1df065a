"""Export to ONNX: the file computes what the network computes, at any batch and size."""

from __future__ import annotations

import copy
import logging
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("onnxscript")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx

from inverso.compression.onnx import quantize_onnx, run_onnx, to_onnx
from inverso.errors import InversoError

OTHER_SHAPES = ((1, 3, 16, 16), (5, 3, 24, 36), (2, 3, 64, 8))


class TinyRestorer(nn.Module):
    """What restorers are made of: padding to a multiple, strides, instance norm, a shortcut, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 5, stride=2, padding=2)
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.drop = nn.Dropout(0.5)
        self.mix = nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 3, 2, stride=2)

    def forward(self, y: Tensor) -> Tensor:
        height, width = y.shape[-2:]
        padded = nn.functional.pad(y, (0, -width % 4, 0, -height % 4), mode="reflect")
        features = torch.relu(self.norm(self.down(padded)))
        features = features + self.mix(self.drop(features))
        return torch.sigmoid(self.up(features))[..., :height, :width]


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def restorer() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TinyRestorer()


@pytest.fixture(scope="module")
def exported(restorer: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    to_onnx(restorer, path, size=16)
    return path


@pytest.fixture(scope="module", params=["ranges measured", "ranges on the run"])
def int8(request: pytest.FixtureRequest, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "tiny.onnx"
    quantize_onnx(exported, path, images=images(16, 3, 16, 16) if request.param == "ranges measured" else None)
    return path


@pytest.mark.parametrize("shape", [*OTHER_SHAPES, (3, 3, 17, 30)])
def test_the_file_computes_what_the_network_computes(
    restorer: nn.Module, exported: Path, shape: tuple[int, ...]
) -> None:
    y = images(*shape)
    with torch.no_grad():
        expected = restorer.eval()(y)
    torch.testing.assert_close(run_onnx(exported, y), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", OTHER_SHAPES)
def test_8_bit_integers_stay_close(restorer: nn.Module, int8: Path, shape: tuple[int, ...]) -> None:
    y = images(*shape)
    with torch.no_grad():
        expected = restorer.eval()(y)
    difference = (run_onnx(int8, y) - expected).abs()
    # Processors without VNNI add pairs of products in 16 bits, which a few pixels show.
    assert 0 < float(difference.max()) < 0.15
    assert float(difference.mean()) < 0.02


def test_8_bit_integers_do_the_convolutions(int8: Path) -> None:
    kinds = {node.op_type for node in onnx.load(int8).graph.node}
    assert kinds & {"ConvInteger", "QuantizeLinear"}
    weights = [tensor for tensor in onnx.load(int8).graph.initializer if len(tensor.dims) == 4]
    bytes_each = {tensor.data_type: 1 for tensor in weights}
    assert bytes_each.keys() & {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}


@pytest.mark.parametrize("measured", [False, True])
def test_nothing_is_left_beside_the_file(
    monkeypatch: pytest.MonkeyPatch, exported: Path, tmp_path: Path, measured: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    quantize_onnx(exported, "int8.onnx", images=images(2, 3, 16, 16) if measured else None)
    assert [path.name for path in tmp_path.iterdir()] == ["int8.onnx"]
    assert [path.name for path in exported.parent.iterdir()] == ["tiny.onnx"]


def test_batch_height_and_width_are_named_and_free(exported: Path) -> None:
    graph = onnx.load(exported).graph
    for end, name in ((graph.input, "degraded"), (graph.output, "restored")):
        assert [value.name for value in end] == [name]
        sizes = [size.dim_param or size.dim_value for size in end[0].type.tensor_type.shape.dim]
        assert sizes == ["batch", 3, "height", "width"]


def test_one_file_without_a_word_about_the_machine(exported: Path) -> None:
    assert [path.name for path in exported.parent.iterdir()] == ["tiny.onnx"]
    content = exported.read_bytes()
    assert b".py" not in content
    assert str(Path.cwd()).encode() not in content


def test_mode_and_weights_of_the_network_are_left_alone(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Dropout(0.5)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state, handlers = torch.random.get_rng_state(), list(logging.getLogger().handlers)
    to_onnx(network, tmp_path / "tiny.onnx", size=16)
    assert network.training
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert logging.getLogger().handlers == handlers


class OneSizeOnly(nn.Module):
    def forward(self, y: Tensor) -> Tensor:
        return y + torch.linspace(0, 1, 16).expand(1, 3, 16, 16)


class ByContent(nn.Module):
    def forward(self, y: Tensor) -> Tensor:
        return y if bool(y.mean() > 0.5) else 1 - y


class SinglePrecisionOnly(nn.Module):
    def forward(self, y: Tensor) -> Tensor:
        return nn.functional.conv2d(y, torch.ones(3, 3, 1, 1))


def test_a_network_for_float32_alone_can_be_exported(tmp_path: Path) -> None:
    to_onnx(SinglePrecisionOnly(), tmp_path / "single.onnx", size=16)
    y = images(1, 3, 20, 20)
    torch.testing.assert_close(run_onnx(tmp_path / "single.onnx", y), y.sum(1, keepdim=True).expand_as(y))


class Counting(nn.Module):
    def forward(self, y: Tensor) -> tuple[Tensor, int]:
        return y, 3


def test_a_network_for_one_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the network fails on inputs of shape \(3, 3, 32, 16\)"):
        to_onnx(OneSizeOnly(), tmp_path / "one.onnx", size=16)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_looks_at_values_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InversoError, match="this ByContent cannot be exported to ONNX: "):
        to_onnx(ByContent(), tmp_path / "by-content.onnx", size=16)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_computes_something_else_is_not_written(
    monkeypatch: pytest.MonkeyPatch, restorer: nn.Module, tmp_path: Path
) -> None:
    monkeypatch.setattr("inverso.compression.onnx.run_onnx", lambda _, y: y + 1)
    with pytest.raises(InversoError, match="the exported Sequential differs from the network by 1; it was not written"):
        to_onnx(nn.Sequential(nn.Identity()), tmp_path / "tiny.onnx", size=16)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": torch.sin}, TypeError, r"model must be a torch\.nn\.Module, got builtin_function_or_method"),
        ({"model": Counting()}, ValueError, r"the network must return images \(n, C, H, W\), got tuple"),
        ({"model": nn.Flatten()}, ValueError, r"the network must return images \(n, C, H, W\), got shape \(3, 1536\)"),
        ({"size": 1}, ValueError, "size must be an integer of at least 2, got 1"),
        ({"channels": 0}, ValueError, "channels must be an integer of at least 1, got 0"),
        ({"channels": 2}, ValueError, r"the network fails on inputs of shape \(3, 2, 32, 16\): .*; give the size"),
    ],
)
def test_bad_requests_are_refused(
    tmp_path: Path, restorer: nn.Module, change: dict[str, object], error: type[Exception], message: str
) -> None:
    request = {"model": restorer, "size": 16, **change}
    with pytest.raises(error, match=message):
        to_onnx(request.pop("model"), tmp_path / "tiny.onnx", **request)


def test_files_that_hold_no_network_are_refused(exported: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match=r"broken\.onnx is not an ONNX network"):
        quantize_onnx(broken, tmp_path / "out.onnx")
    with pytest.raises(ValueError, match=r"broken\.onnx cannot be run by ONNX Runtime on inputs of shape"):
        run_onnx(broken, images(1, 3, 16, 16))
    with pytest.raises(FileNotFoundError, match="there is no file"):
        quantize_onnx(tmp_path / "none.onnx", tmp_path / "out.onnx")
    with pytest.raises(ValueError, match=r"cannot be run by ONNX Runtime on inputs of shape \(1, 5, 16, 16\)"):
        quantize_onnx(exported, tmp_path / "out.onnx", images=images(1, 5, 16, 16))
    assert list(tmp_path.iterdir()) == [broken]


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, restorer: nn.Module, tmp_path: Path, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        InversoError, match=rf"export needs the package {package}: pip install 'inverso-imaging\[export\]'"
    ):
        to_onnx(restorer, tmp_path / "tiny.onnx", size=16)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["UNetRestorer", "MobileRestorer", "XGANRestorer"])
def test_every_restorer_can_be_exported(family: str, tmp_path: Path) -> None:
    restorers = pytest.importorskip("inverso.restorers")
    sizes = {"width": 8, "middle": 8, "deep": 8, "refine": 8} if family == "UNetRestorer" else {"width": 4}
    network = getattr(restorers, family)(**sizes).eval()
    to_onnx(network, tmp_path / "restorer.onnx", size=32)
    quantize_onnx(tmp_path / "restorer.onnx", tmp_path / "int8.onnx", images=images(4, 3, 32, 32))
    for shape in ((1, 3, 64, 64), (3, 3, 40, 29)):
        y = images(*shape)
        with torch.no_grad():
            expected, exact = network(y), copy.deepcopy(network).double()(y.double())
        # Untrained networks may amplify the rounding errors of float32, so that torch itself is off by more than 1e-4.
        allowed = max(1e-4, 4 * float((expected - exact).abs().max()))
        assert float((run_onnx(tmp_path / "restorer.onnx", y) - exact).abs().max()) <= allowed < 1e-3
        assert run_onnx(tmp_path / "int8.onnx", y).shape == expected.shape
