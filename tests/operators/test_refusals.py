"""What is refused at the door, and in which words."""

from __future__ import annotations

import pytest
import torch

from cases import Setting, Shade
from inverso.operators import Bicubic, FFTMask, GaussianBlur, Identity, RandomMask
from operators.laws import every_kind


class TestImagesAtTheDoor:
    @every_kind
    def test_8_bit_pixels_are_refused_with_advice(self, case):
        x = (255 * Setting().draw()).to(torch.uint8)
        advice = (
            r"x must be a floating-point image with values in \[0, 1\], got torch.uint8 \(divide 8-bit pixels by 255"
        )
        with pytest.raises(TypeError, match=advice):
            case.make(Setting())(x)

    @every_kind
    @pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex128])
    def test_other_types_are_refused(self, case, dtype):
        with pytest.raises(TypeError, match=f"x must be a floating-point image .* got {dtype}"):
            case.make(Setting())(torch.ones(2, *Setting().image_shape, dtype=dtype))

    @every_kind
    def test_what_is_no_tensor_is_refused(self, case):
        with pytest.raises(TypeError, match=r"x must be a torch\.Tensor \(\.\.\., C, H, W\), got ndarray"):
            case.make(Setting())(Setting().draw().numpy())

    @every_kind
    def test_too_few_dimensions_are_refused(self, case):
        with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., C, H, W\), got \(6, 12\)"):
            case.make(Setting())(torch.rand(6, 12))

    @every_kind
    def test_empty_batches_are_refused(self, case):
        with pytest.raises(ValueError, match=r"x is empty: its shape is \(0, 3, 6, 12\)"):
            case.make(Setting())(torch.rand(0, 3, 6, 12))


class TestMeasurementsAtTheDoor:
    @pytest.fixture(params=["adjoint", "pinv"])
    def way_back(self, request):
        return lambda A, y: getattr(A, request.param)(y, image_shape=Setting().image_shape)

    @every_kind
    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_pinv_refuses_what_is_not_finite(self, case, bad):
        A = case.make(Setting())
        y = A(Setting().draw()).contiguous()
        y.view(-1)[3] = bad
        with pytest.raises(ValueError, match=f"y must be finite, but 1 of its {y.numel()} entries are NaN or infinite"):
            A.pinv(y, image_shape=Setting().image_shape)

    @every_kind
    @pytest.mark.parametrize("dtype", [torch.int32, torch.bool])
    def test_integers_are_refused(self, case, way_back, dtype):
        A = case.make(Setting())
        y = A(Setting().draw()).abs().to(dtype)
        with pytest.raises(TypeError, match=f"y must be a floating-point or complex tensor, got {dtype}"):
            way_back(A, y)

    @every_kind
    def test_8_bit_pixels_are_refused_with_advice(self, case, way_back):
        A = case.make(Setting())
        y = A(Setting().draw()).abs().to(torch.uint8)
        with pytest.raises(TypeError, match=r"got torch\.uint8 \(divide 8-bit pixels by 255"):
            way_back(A, y)

    @every_kind
    def test_what_is_no_tensor_is_refused(self, case, way_back):
        A = case.make(Setting())
        with pytest.raises(TypeError, match=r"y must be a torch\.Tensor, got list"):
            way_back(A, A(Setting().draw()).tolist())

    @every_kind
    def test_empty_batches_are_refused(self, case, way_back):
        A = case.make(Setting())
        y = A(Setting().draw())
        with pytest.raises(ValueError, match=r"y is empty: its shape is \(0, "):
            way_back(A, y[:0])

    @every_kind
    def test_real_and_complex_are_not_confused(self, case, way_back):
        A = case.make(Setting())
        y = A(Setting().draw())
        wrong, expected = (
            (y.real, "complex measurements, got real y")
            if y.is_complex()
            else (y + 0j, "real measurements, got complex y")
        )
        with pytest.raises(TypeError, match=rf"has {expected} \(torch\.(float64|complex128)\)"):
            way_back(A, wrong)

    @every_kind
    def test_measurements_of_another_shape_are_refused(self, case, way_back):
        A = case.make(Setting())
        y = A(Setting().draw())
        with pytest.raises(ValueError, match=r"measures an image \(3, 6, 12\) as \(\.\.\., .*\), got y of shape"):
            way_back(A, y[..., 1:])

    @pytest.mark.parametrize("A", [Identity(), Bicubic(2), FFTMask(0.5), GaussianBlur(3, 1.0), Shade()], ids=repr)
    def test_measurements_with_too_few_dimensions_are_refused(self, A):
        y = torch.zeros(8, 8, dtype=torch.complex64 if isinstance(A, FFTMask) else torch.float32)
        for method in (A.adjoint, A.pinv):
            with pytest.raises(ValueError, match=r"expects measurements \(\.\.\., C, H, W\), got shape \(8, 8\)"):
                method(y)

    @pytest.mark.parametrize("A", [RandomMask(0.5), FFTMask(0.5)], ids=repr)
    def test_restrict_checks_as_well(self, A):
        with pytest.raises(TypeError, match=r"y must be a floating-point or complex tensor, got torch\.int64"):
            A.restrict(torch.ones(1, 1, 4, 4, dtype=torch.int64))


class TestRidges:
    y = torch.ones(2, 1, 4, 4, dtype=torch.float64)

    @pytest.mark.parametrize("A", [Identity(), Shade()], ids=repr)
    def test_negative_ones_are_refused(self, A):
        with pytest.raises(ValueError, match="ridge must be at least 0, got -1"):
            A.pinv(self.y, ridge=-1)
        with pytest.raises(ValueError, match=r"ridge must be at least 0, got -0\.5"):
            A.pinv(self.y, ridge=torch.tensor([0.1, -0.5]))

    @pytest.mark.parametrize("ridge", [float("nan"), float("inf")])
    def test_numbers_that_are_not_finite_are_refused(self, ridge):
        with pytest.raises(ValueError, match=f"ridge must be a number >= 0, got {ridge}"):
            Identity().pinv(self.y, ridge=ridge)

    def test_nan_in_a_tensor_is_refused(self):
        with pytest.raises(ValueError, match="ridge must be at least 0, got nan"):
            Identity().pinv(self.y, ridge=torch.tensor([0.1, float("nan")]))

    @pytest.mark.parametrize("ridge", ["auto", None, False, 1j])
    def test_what_is_no_number_is_refused(self, ridge):
        with pytest.raises(TypeError, match="ridge must be a number >= 0"):
            Identity().pinv(self.y, ridge=ridge)

    @pytest.mark.parametrize("shape", [(3,), (1,), (2, 1), (2, 1, 4, 4)])
    def test_tensors_must_hold_one_per_measurement(self, shape):
        message = rf"ridge must be a number or one per measurement \(2,\), got shape \({shape[0]},"
        with pytest.raises(ValueError, match=message):
            Identity().pinv(self.y, ridge=torch.ones(shape))
