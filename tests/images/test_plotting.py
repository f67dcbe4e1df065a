"""Figures: the right pixels in the right place, and nothing global touched."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from inverso.images.plotting import grid, loss_curves


def test_grid_shows_each_image_under_its_title():
    first, second = torch.rand(2, 3, 8, 8), torch.rand(2, 1, 4, 4)
    figure = grid({"original": first, "measured": second})
    axes = np.array(figure.axes).reshape(2, 2)
    assert [one.get_title() for one in axes[0]] == ["original", "measured"]
    assert [one.get_title() for one in axes[1]] == ["", ""]
    for row in range(2):
        shown = axes[row, 0].images[0].get_array()
        np.testing.assert_allclose(shown, first[row].permute(1, 2, 0), atol=1e-6)
        np.testing.assert_allclose(axes[row, 1].images[0].get_array(), second[row, 0], atol=1e-6)


def test_grid_clamps_and_keeps_pixels_sharp():
    figure = grid({"x": torch.tensor([[[-1.0, 2.0]]])})
    (picture,) = figure.axes[0].images
    np.testing.assert_array_equal(picture.get_array(), [[0.0, 1.0]])
    assert picture.get_interpolation() == "nearest"
    assert picture.get_clim() == (0.0, 1.0)


def test_captions_stand_below_their_images():
    x = torch.rand(2, 3, 4, 4)
    figure = grid({"a": x, "b": x}, captions={"b": ["20.1 dB", "22.3 dB"]})
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "20.1 dB", "", "22.3 dB"]
    assert grid({"a": x[0]}, captions={"a": "20.1 dB"}).axes[0].get_xlabel() == "20.1 dB"


def test_figures_are_written_and_leave_pyplot_alone(tmp_path):
    open_figures = sys.modules["matplotlib.pyplot"].get_fignums() if "matplotlib.pyplot" in sys.modules else []
    grid({"a": torch.rand(3, 16, 16)}).savefig(tmp_path / "grid.png")
    loss_curves([SimpleNamespace(name="csgm", losses=torch.rand(5, 2) + 1)]).savefig(tmp_path / "losses.png")
    assert (tmp_path / "grid.png").stat().st_size > 1000
    assert (tmp_path / "losses.png").stat().st_size > 1000
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == open_figures


def test_loss_curves_follow_each_other_on_a_log_axis():
    csgm = SimpleNamespace(name="csgm", losses=torch.tensor([[4.0, 8.0], [2.0, 6.0], [1.0, 5.0]]))
    bp = SimpleNamespace(name="bp", losses=torch.zeros(0, 2))
    ia = SimpleNamespace(name="ia", losses=torch.tensor([[0.5, 3.0], [0.1, 2.0]]))
    (axes,) = loss_curves([csgm, bp, ia]).axes
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["csgm", "ia"]
    curves = [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in axes.lines]
    assert curves[1] == ([1, 2, 3], [8.0, 6.0, 5.0])
    assert curves[2] == ([4, 5], pytest.approx([0.5, 0.1]))


@pytest.mark.parametrize(
    ("images", "captions", "error", "message"),
    [
        ({}, None, ValueError, "there is no image to show"),
        ({"a": torch.rand(2, 4, 4)}, None, ValueError, r"images\['a'\] must have shape .* got \(2, 4, 4\)"),
        ({"a": torch.rand(4, 4)}, None, ValueError, r"images\['a'\] must have shape"),
        ({"a": torch.zeros(3, 4, 4).byte()}, None, TypeError, "must be a floating-point image"),
        ({"a": torch.zeros(3, 4, 4) / 0}, None, ValueError, r"images\['a'\] must be finite"),
        (
            {"a": torch.rand(1, 3, 4, 4), "b": torch.rand(2, 3, 4, 4)},
            None,
            ValueError,
            r"the same number of images, got \{'a': 1, 'b': 2\}",
        ),
        ({"a": torch.rand(3, 4, 4)}, {"b": "x"}, ValueError, r"captions\['b'\] has no column; the columns are a"),
        ({"a": torch.rand(2, 3, 4, 4)}, {"a": "x"}, ValueError, r"one text per row \(2\), got 1"),
    ],
)
def test_bad_grids_are_refused(images, captions, error, message):
    with pytest.raises(error, match=message):
        grid(images, captions=captions)


def test_bad_cells_are_refused():
    with pytest.raises(ValueError, match="cell must be greater than 0"):
        grid({"a": torch.rand(3, 4, 4)}, cell=0)


def test_bad_loss_records_are_refused():
    with pytest.raises(ValueError, match="no stage has a loss curve"):
        loss_curves([SimpleNamespace(name="bp", losses=torch.zeros(0, 1))])
    with pytest.raises(ValueError, match=r"the losses of 'csgm' must have shape \(steps, n\), got \(5,\)"):
        loss_curves([SimpleNamespace(name="csgm", losses=torch.ones(5))])
