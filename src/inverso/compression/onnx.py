"""Export networks as ONNX files, which run without PyTorch: on phones, in browsers, in other languages.

Needs the packages of `pip install 'inverso-imaging[export]'`.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from inverso._checks import check_count, check_image
from inverso._extras import need
from inverso._files import replacing
from inverso.compression._onnx_ends import RESTORER_INPUT, Ends, ends_of
from inverso.compression.rounding import check_model
from inverso.errors import InversoError

_TOLERANCE = 1e-4
_QUANTIZED_LAYERS = ["Conv", "ConvTranspose", "Gemm"]


def to_onnx(model: nn.Module, path: str | Path, *, size: int = 64, channels: int = 3) -> None:
    """Write a restorer, a denoiser or a generator as an ONNX file.

    | network | inputs | output |
    |---|---|---|
    | restorer, or another network from images to images | `degraded` `(n, C, H, W)` | `restored` |
    | denoiser | `noisy` `(n, C, H, W)`, `sigma` `(n,)` | `denoised` |
    | generator | `latent` `(n, ...)` | `image` |

    The batch size is dynamic, and so are height and width except for networks of one fixed size. Before the file is
    written, ONNX Runtime runs it on another batch size and image size than it was traced with, and the output is
    compared with that of the network in float64.

    Args:
        model: The network; exported in evaluation mode and float32.
        path: The file, replaced if it exists.
        size: Side of the image for tracing, which the network has to support. Generators, and denoisers of one size,
            use their own.
        channels: Channels of the input images, if the network does not define them.

    Raises:
        TypeError: `model` is not a network, or a number is not an integer.
        ValueError: A number is below 2 or, for channels, 1; or the network fails on images of that size.
        FileNotFoundError: The folder does not exist.
        InversoError: A package is missing, the network cannot be exported for every size, or the file's output differs
            by more than 1e-4 and by more than four times the float32 error of the network itself.

    Example:
        >>> from inverso.compression.onnx import to_onnx
        >>> to_onnx(restorer, "restorer.onnx")  # doctest: +SKIP
    """
    check_model(model)
    check_count(size, name="size", minimum=2)
    check_count(channels, name="channels")
    for package in ("onnx", "onnxscript", "onnxruntime"):
        _package(package)
    model = copy.deepcopy(model).cpu().float().eval()
    ends = ends_of(model, size=size, channels=channels)
    expected, tolerance = _reference(model, ends.other)
    _run_model(model, ends.example)
    with replacing(Path(path)) as temporary:
        try:
            with _calm():
                program = torch.onnx.export(
                    model,
                    ends.example,
                    dynamo=True,
                    dynamic_shapes=ends.sizes,
                    input_names=list(ends.inputs),
                    output_names=[ends.output],
                    verbose=False,
                )
        except Exception as error:
            # torch.export fails in any way; the first line of what came first says why, the rest are stacks.
            reason = _first_line(error)
            msg = f"this {type(model).__name__} cannot be exported to ONNX: {reason}"
            raise InversoError(msg) from error
        _write(program.model_proto, temporary, ends)  # type: ignore[union-attr]
        difference = float((run_onnx(temporary, *ends.other) - expected).abs().max())
        if not difference <= tolerance:
            msg = (
                f"the exported {type(model).__name__} differs from the network by {difference:.2g}; it was not written"
            )
            raise InversoError(msg)


def quantize_onnx(path: str | Path, out: str | Path, *, images: Tensor | None = None) -> None:
    """Convert an exported network to 8-bit integers, with ONNX Runtime's quantizer.

    With images, the range of every layer's activations is calibrated on them, and convolutions compute in integers;
    without, weights are stored as integers and activations are quantized at run time, which is more accurate and
    slower.

    Args:
        path: A file of `to_onnx`.
        out: The file to write, replaced if it exists.
        images: Some typical degraded images `(n, C, H, W)` for calibration.

    Raises:
        FileNotFoundError: The file, or the folder to write to, does not exist.
        ValueError: The file is not an ONNX network, or not one for such images.
        TypeError: `images` is not a floating-point tensor.
        InversoError: A package is missing.

    Example:
        >>> from inverso.compression.onnx import quantize_onnx
        >>> quantize_onnx("restorer.onnx", "restorer-int8.onnx", images=y)  # doctest: +SKIP
    """
    onnx, quantization = _package("onnx"), _package("onnxruntime.quantization")
    path = Path(path)
    if not path.is_file():
        msg = f"there is no file {path}"
        raise FileNotFoundError(msg)
    try:
        onnx.checker.check_model(path)
    except Exception as error:
        # protobuf has errors of its own for every way a file can be damaged.
        msg = f"{path} is not an ONNX network: {error}"
        raise ValueError(msg) from error
    if images is not None:
        check_image(images, name="images")
        run_onnx(path, images[:1])
    prepare = _package("onnxruntime.quantization.shape_inference").quant_pre_process
    with replacing(Path(out)) as temporary, TemporaryDirectory() as folder, _calm():
        prepared = Path(folder, "prepared.onnx")
        prepare(path, prepared, skip_symbolic_shape=True)
        if images is None:
            quantization.quantize_dynamic(prepared, temporary, weight_type=quantization.QuantType.QUInt8)
            return
        quantization.quantize_static(
            prepared,
            temporary,
            _reader(quantization, images),
            op_types_to_quantize=_QUANTIZED_LAYERS,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
        )


def run_onnx(path: str | Path, *inputs: Tensor) -> Tensor:
    """Run an exported network on the CPU with ONNX Runtime.

    Args:
        path: A file of `to_onnx` or `quantize_onnx`.
        *inputs: Inputs in the order of the table in `to_onnx`: degraded images, noisy images and their noise, or
            latents.

    Returns:
        Its output, float32.

    Raises:
        ValueError: The file is not such a network, or does not accept such inputs.
        InversoError: A package is missing.
    """
    runtime = _package("onnxruntime")
    try:
        settings = runtime.SessionOptions()
        settings.log_severity_level = 3
        session = runtime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        names = [end.name for end in session.get_inputs()]
        arrays = [values.detach().cpu().float().numpy() for values in inputs]
        answer = session.run(None, dict(zip(names, arrays, strict=True)))
    except Exception as error:
        # ONNX Runtime has a class per error code, which share no base but Exception.
        msg = f"{path} cannot be run by ONNX Runtime on {_shapes(inputs)}: {error}"
        raise ValueError(msg) from error
    return torch.from_numpy(answer[0])


def _package(name: str) -> Any:  # noqa: ANN401 - a module
    return need(name, what="export")


def _first_line(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _shapes(inputs: tuple[Tensor, ...]) -> str:
    shapes = " and ".join(str(tuple(values.shape)) for values in inputs)
    return f"inputs of shape {shapes}"


def _run_model(model: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    try:
        with torch.no_grad():
            answer: Any = model(*inputs)
    except Exception as error:
        msg = f"the network fails on {_shapes(inputs)}: {error}; give the size it takes"
        raise ValueError(msg) from error
    if not isinstance(answer, Tensor) or answer.ndim != 4:
        kind = f"shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
        msg = f"the network must return images (n, C, H, W), got {kind}"
        raise ValueError(msg)
    return answer


def _reference(model: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, float]:
    """Return the output of a network in float64, and the error that is allowed for the exported one."""
    answer = _run_model(model, inputs)
    try:
        exact = _run_model(copy.deepcopy(model).double(), tuple(values.double() for values in inputs))
    except ValueError:
        # A network with constants of its own may be at home in float32 alone.
        return answer, _TOLERANCE
    return exact, max(_TOLERANCE, 4 * float((answer - exact).abs().max()))


def _write(network: Any, path: Path, ends: Ends) -> None:  # noqa: ANN401 - onnx.ModelProto
    """Write the file without traces of the machine: source lines and paths."""
    graph = network.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph, network):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    # Intermediate sizes are long formulas that readers choke on and work out themselves.
    del graph.value_info[:]
    for dimension, name in ends.output_sizes.items():
        graph.output[0].type.tensor_type.shape.dim[dimension].dim_param = name
    path.write_bytes(network.SerializeToString())


def _reader(quantization: Any, images: Tensor) -> Any:  # noqa: ANN401 - a CalibrationDataReader
    """Pass images to ONNX Runtime one by one."""

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(images.detach().cpu().float().split(1))

        def get_next(self) -> dict[str, Any] | None:
            image = next(self.left, None)
            return None if image is None else {RESTORER_INPUT: image.numpy()}

    return Reader()


@contextmanager
def _calm() -> Iterator[None]:
    """Suppress messages for developers of exporters, and restore the root logger afterwards."""
    handler, root = logging.NullHandler(), logging.getLogger()
    root.addHandler(handler)
    try:
        with warnings.catch_warnings():
            # Where two inputs share a free size, the exporter warns that it is one.
            warnings.filterwarnings("ignore", message=".*axis name.*", category=UserWarning)
            yield
    finally:
        root.removeHandler(handler)
