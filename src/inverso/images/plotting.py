"""Figures: images side by side, and loss curves.

Figures are made without pyplot, so that there is no global state; `figure.savefig(path)` writes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from inverso._checks import check_finite, check_image, check_positive

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 160
_TITLE_HEIGHT = 0.3
_CAPTION_HEIGHT = 0.26


class _LossRecord(Protocol):
    """The attributes of a stage record that `loss_curves` uses."""

    @property
    def name(self) -> str:
        """Name in the legend."""

    @property
    def losses(self) -> Tensor:
        """Losses `(steps, n)`, one column per image."""


def grid(
    images: Mapping[str, Tensor], *, captions: Mapping[str, str | Sequence[str]] | None = None, cell: float = 1.7
) -> Figure:
    """Plot images in a table: one column per title, one row per image of the batch.

    Pixels are drawn as sharp squares, values are clamped to [0, 1], and sizes may differ between columns: a measurement
    of 16 pixels is drawn as large as its reconstruction.

    Args:
        images: Title -> `(n, C, H, W)` or `(C, H, W)` with one or three channels, the same n in every column.
        captions: Title -> captions below that column's images: one text for a single row, or one per row.
        cell: Width of a column in inches.

    Returns:
        The figure; `figure.savefig("grid.png")` writes it.

    Raises:
        ValueError: There is not an image, an image has another shape or non-finite values, columns have different
            lengths, or captions belong to no column.
        TypeError: An image is not a floating-point tensor.

    Example:
        >>> import torch
        >>> x = torch.rand(2, 3, 8, 8)
        >>> figure = grid({"original": x, "darker": x / 2}, captions={"darker": ["12.0 dB", "12.3 dB"]})
        >>> len(figure.axes)
        4
    """
    check_positive(cell, name="cell")
    columns = {title: _as_column(title, column) for title, column in images.items()}
    rows = _common_length(columns)
    texts = {title: _as_captions(title, text, columns, rows) for title, text in (captions or {}).items()}
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415

    shapes = [column.shape[-2:] for column in columns.values()]
    tallest = max(height / width for height, width in shapes)
    row_height = cell * tallest + (_CAPTION_HEIGHT if texts else 0.0)
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.0, hspace=0.0)
    figure = Figure(figsize=(cell * len(columns), rows * row_height + _TITLE_HEIGHT), dpi=_DPI, layout=layout)
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for j, (title, column) in enumerate(columns.items()):
        for i in range(rows):
            _draw(axes[i, j], column[i])
            if title in texts:
                axes[i, j].set_xlabel(texts[title][i], fontsize=8)
        axes[0, j].set_title(title, fontsize=9)
    return figure


def loss_curves(records: Iterable[_LossRecord]) -> Figure:
    """Plot the loss of every image over all stages, on a logarithmic axis.

    Args:
        records: Stages with `.name` and `.losses` `(steps, n)`, such as `Reconstruction.stages`; those without steps
            are omitted.

    Returns:
        The figure; `figure.savefig("losses.png")` writes it.

    Raises:
        ValueError: No stage has a loss curve, or losses are not `(steps, n)`.

    Example:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> figure = loss_curves([SimpleNamespace(name="csgm", losses=torch.logspace(2, 0, 50)[:, None])])
        >>> figure.axes[0].get_yscale()
        'log'
    """
    curves = [(record.name, record.losses) for record in records]
    for name, losses in curves:
        if losses.ndim != 2:
            msg = f"the losses of {name!r} must have shape (steps, n), got {tuple(losses.shape)}"
            raise ValueError(msg)
    curves = [(name, losses) for name, losses in curves if losses.numel()]
    if not curves:
        msg = "no stage has a loss curve: only stages that iterate have one"
        raise ValueError(msg)
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(5.0, 3.0), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    start = 0
    for k, (name, losses) in enumerate(curves):
        values = losses.detach().cpu().double().numpy()
        steps = range(start + 1, start + len(values) + 1)
        lines = axes.plot(steps, values, color=f"C{k}", linewidth=1.2, alpha=1.0 if values.shape[1] == 1 else 0.6)
        lines[0].set_label(name)
        start += len(values)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def _as_column(title: str, column: Tensor) -> Tensor:
    check_image(column, name=f"images[{title!r}]")
    if column.ndim not in {3, 4} or column.shape[-3] not in {1, 3}:
        expected = "(n, C, H, W) or (C, H, W) with 1 or 3 channels"
        msg = f"images[{title!r}] must have shape {expected}, got {tuple(column.shape)}"
        raise ValueError(msg)
    check_finite(column, name=f"images[{title!r}]")
    return column if column.ndim == 4 else column[None]


def _common_length(columns: Mapping[str, Tensor]) -> int:
    if not columns:
        msg = "there is no image to show"
        raise ValueError(msg)
    lengths = {title: len(column) for title, column in columns.items()}
    if len(set(lengths.values())) > 1:
        msg = f"every column must hold the same number of images, got {lengths}"
        raise ValueError(msg)
    return next(iter(lengths.values()))


def _as_captions(title: str, text: str | Sequence[str], columns: Mapping[str, Tensor], rows: int) -> list[str]:
    if title not in columns:
        msg = f"captions[{title!r}] has no column; the columns are {', '.join(columns)}"
        raise ValueError(msg)
    texts = [text] if isinstance(text, str) else list(text)
    if len(texts) != rows:
        msg = f"captions[{title!r}] must hold one text per row ({rows}), got {len(texts)}"
        raise ValueError(msg)
    return texts


def _draw(axes: Axes, image: Tensor) -> None:
    pixels = image.detach().cpu().float().clamp(0, 1).permute(1, 2, 0).squeeze(-1).numpy()
    axes.imshow(pixels, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
