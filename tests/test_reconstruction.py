from __future__ import annotations

import io

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import inverso
from inverso.operators import Bicubic, FFTMask, Identity, LinearOperator, Mask, RandomGaussian, RandomMask
from inverso.reconstruction import Reconstruction
from inverso.stages import CSGM, BackProject, ImageAdaptive, Problem, PseudoInverse, State
from stages.toys import LinearPrior, pictures, typical_noise

SHAPE = (3, 8, 12)


def answer(image: torch.Tensor, y: torch.Tensor, A: LinearOperator | None, *, noise: float = 0.0) -> Reconstruction:
    """Judge an image that somebody has found."""
    return Reconstruction.from_state(Problem(y, A, noise=noise), State(image=image))


def solved(A: LinearOperator, *, n: int = 2, method=None) -> Reconstruction:
    prior = LinearPrior(image_shape=SHAPE)
    stages = [CSGM(steps=2), ImageAdaptive(steps=2), BackProject()] if method is None else method
    return inverso.solve(A.measure(pictures(n, image_shape=SHAPE)), A, prior, stages, progress=False)


def axes_titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


class TestResidual:
    @pytest.mark.parametrize("A", [Identity(), RandomMask(0.5), FFTMask(0.3), Bicubic(4)], ids=repr)
    def test_is_about_one_for_the_truth_at_the_noise_level(self, A):
        x = pictures(1, image_shape=(3, 64, 64))
        residual = answer(x, A.measure(x, noise=0.1, seed=1), A, noise=0.1).residual
        assert residual.shape == (1,)
        assert float(residual) == pytest.approx(1, abs=0.05)

    def test_is_the_root_mean_square_over_measured_entries(self):
        mask = torch.zeros(8, 12)
        mask[0, :4] = 1
        x = pictures(2, image_shape=SHAPE)
        y = Mask(mask).measure(x)
        residual = answer(x + torch.tensor([0.5, 2.0]).reshape(2, 1, 1, 1), y, Mask(mask)).residual
        torch.testing.assert_close(residual, torch.tensor([0.5, 2.0], dtype=torch.float64))

    def test_is_counted_in_units_of_the_noise(self):
        x = pictures(1, image_shape=SHAPE)
        assert float(answer(x + 0.5, x, Identity(), noise=0.25).residual) == pytest.approx(2)

    def test_each_image_has_its_own_mask(self):
        mask = torch.zeros(2, 1, 8, 12)
        mask[0, 0, 0], mask[1] = 1, 1
        x = pictures(2, image_shape=SHAPE)
        residual = answer(x + 0.3, Mask(mask).measure(x), Mask(mask)).residual
        torch.testing.assert_close(residual, torch.full((2,), 0.3, dtype=torch.float64))

    def test_there_is_none_without_an_operator(self):
        assert answer(pictures(1), pictures(1), None).residual is None

    def test_an_image_that_stopped_at_the_discrepancy_has_at_most_one(self):
        prior, noise = LinearPrior(image_shape=SHAPE), 0.1
        x = prior(torch.tensor([[3.0, -2.0, 1.0]], dtype=torch.float64)).detach()
        y = x + typical_noise(x, noise)
        residual = inverso.solve(y, Identity(), prior, CSGM(steps=300), noise=noise, progress=False).residual
        assert 0.97 < float(residual) <= 1


class TestFields:
    def test_nothing_is_made_of_no_image(self):
        assert Reconstruction.from_state(Problem(pictures(1), Identity()), State(latent=torch.ones(1, 3))) is None

    def test_the_state_is_where_the_last_stage_arrived(self):
        found = solved(RandomMask(0.5))
        state = found.state
        assert state.image is found.image
        assert state.latent is found.latent
        assert state.weights is found.weights
        assert state.trace is found.stages

    def test_the_image_is_not_clamped(self):
        y = torch.full((1, 3, 4, 4), 1.5)
        assert float(inverso.solve(y, Identity(), method="pinv").image.max()) == 1.5


class TestRepr:
    def test_is_short_and_says_what_was_done(self):
        found = solved(RandomMask(0.5), n=2)
        assert (
            repr(found)
            == f"Reconstruction(image=<2x3x8x12>, stages='csgm+ia+bp', residual={found.residual.mean():.3g})"
        )

    def test_without_an_operator(self):
        assert repr(answer(pictures(1), pictures(1), None)) == "Reconstruction(image=<1x1x4x6>, stages='')"


class TestSave:
    def test_one_image_pixel_by_pixel(self, tmp_path):
        x = torch.tensor([[-0.5, 0.0, 0.25], [0.5, 1.0, 1.5]]).expand(1, 3, 2, 3)
        inverso.solve(x, Identity(), method="pinv").save(tmp_path / "x.png")
        with Image.open(tmp_path / "x.png") as picture:
            assert picture.mode == "RGB"
            assert [picture.getpixel((j, i))[0] for i in range(2) for j in range(3)] == [0, 0, 64, 128, 255, 255]

    def test_several_images_are_tiled(self, tmp_path):
        solved(RandomMask(0.5), n=4).save(tmp_path / "grid.png")
        with Image.open(tmp_path / "grid.png") as picture:
            width, height = picture.size
        assert 24 <= width < 36
        assert 16 <= height < 24

    def test_a_gray_image_and_a_path_as_text(self, tmp_path):
        answer(pictures(1), pictures(1), None).save(str(tmp_path / "gray.png"))
        with Image.open(tmp_path / "gray.png") as picture:
            assert (picture.mode, picture.size) == ("L", (6, 4))

    def test_a_failure_leaves_the_old_file_and_nothing_beside_it(self, tmp_path, monkeypatch):
        path = tmp_path / "x.png"
        path.write_bytes(b"before")

        def run_out_of_space(self, stream, **options):
            stream.write(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Image.Image, "save", run_out_of_space)
        with pytest.raises(OSError, match="No space left"):
            answer(pictures(1), pictures(1), None).save(path)
        assert path.read_bytes() == b"before"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_suffix_of_no_picture_format_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match=r"does not end in the suffix of a picture format"):
            answer(pictures(1), pictures(1), None).save(tmp_path / "x.txt")


class TestPlot:
    def test_one_column_for_the_measurement_and_each_stage_one_row_per_image(self):
        figure = solved(RandomMask(0.5), n=2).plot()
        assert isinstance(figure, Figure)
        assert axes_titles(figure) == ["measured", "csgm", "ia", "bp"]
        assert len(figure.axes) == 2 * 4

    def test_a_smaller_measurement_is_shown_as_it_is(self):
        found = solved(Bicubic(2), n=1)
        assert axes_titles(found.plot()) == ["measured", "csgm", "ia", "bp"]

    @pytest.mark.parametrize("A", [FFTMask(0.5), RandomGaussian(20, SHAPE)], ids=repr)
    def test_a_measurement_that_is_no_picture_is_shown_zero_filled(self, A):
        assert axes_titles(solved(A, n=1).plot()) == ["zero-filled", "csgm", "ia", "bp"]

    def test_so_is_one_with_two_channels(self):
        class DropBlue(LinearOperator):
            def forward(self, x):
                return x[..., :2, :, :]

            def input_shape(self, y_shape):
                return 3, y_shape[-2], y_shape[-1]

        assert axes_titles(solved(DropBlue(), n=1).plot()) == ["zero-filled", "csgm", "ia", "bp"]

    def test_stages_that_come_twice_keep_a_column_each(self):
        found = solved(RandomMask(0.5), n=1, method=[PseudoInverse(), CSGM(steps=1), BackProject(), BackProject()])
        titles = axes_titles(found.plot())
        assert titles == ["measured", "pinv", "csgm", "bp", "bp (4)"]

    def test_zero_filled_itself(self):
        found = solved(FFTMask(0.5), n=1, method="zero-filled")
        assert axes_titles(found.plot()) == ["zero-filled", "zero-filled (1)"]

    def test_in_a_notebook_it_is_a_picture(self):
        png = solved(RandomMask(0.5), n=1)._repr_png_()
        with Image.open(io.BytesIO(png)) as picture:
            picture.load()
            assert picture.format == "PNG"
