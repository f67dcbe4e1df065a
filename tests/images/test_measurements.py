"""Measurements in files: what goes in comes out, and what cannot be read is refused by name."""

import math

import numpy as np
import pytest
import torch

from inverso.images.measurements import load_measurement, quantization_noise, save_measurement


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (2, 7)])
def test_npz_gives_back_the_same_bits(tmp_path, dtype, shape):
    y = torch.randn(shape, dtype=dtype)
    save_measurement(y, tmp_path / "y.npz")
    assert torch.equal(load_measurement(tmp_path / "y.npz"), y)
    assert load_measurement(tmp_path / "y.npz").dtype == dtype


def test_bfloat16_is_written_as_float32_and_a_negated_view_as_it_is(tmp_path):
    y = torch.rand(2, 3).bfloat16()
    save_measurement(y, tmp_path / "y.npz")
    torch.testing.assert_close(load_measurement(tmp_path / "y.npz"), y.float(), rtol=0, atol=0)
    negated = torch.randn(4, dtype=torch.complex64).conj().imag
    assert negated.is_neg()
    save_measurement(negated, tmp_path / "y.npz")
    torch.testing.assert_close(load_measurement(tmp_path / "y.npz"), negated.resolve_neg(), rtol=0, atol=0)


def test_conjugated_view_is_saved_conjugated(tmp_path):
    y = torch.randn(2, 2, dtype=torch.complex64).conj()
    save_measurement(y, tmp_path / "y.npz")
    assert torch.equal(load_measurement(tmp_path / "y.npz"), y)


def test_picture_measurement_is_a_picture(tmp_path):
    y = torch.rand(1, 3, 4, 4)
    save_measurement(y, tmp_path / "y.png")
    torch.testing.assert_close(load_measurement(tmp_path / "y.png"), (y * 255).round() / 255)
    assert load_measurement(tmp_path / "y.png", channels=1).shape == (1, 1, 4, 4)


@pytest.mark.parametrize(
    "y", [torch.zeros(1, 3, 4, 4, dtype=torch.complex64), torch.rand(1, 500), torch.rand(2, 3, 4, 4)]
)
def test_what_is_no_picture_needs_npz(tmp_path, y):
    with pytest.raises(ValueError, match=r"this measurement is not a picture .* write it as .*y\.npz"):
        save_measurement(y, tmp_path / "y.png")


def test_measurement_must_be_finite_numbers(tmp_path):
    with pytest.raises(ValueError, match="y must be finite"):
        save_measurement(torch.tensor([math.inf]), tmp_path / "y.npz")
    with pytest.raises(TypeError, match="y must be a floating-point or complex tensor"):
        save_measurement(torch.tensor([1]), tmp_path / "y.npz")


def test_big_endian_arrays_are_read(tmp_path):
    np.savez(tmp_path / "y.npz", y=np.array([1.5, 2.5], dtype=">f4"))
    torch.testing.assert_close(load_measurement(tmp_path / "y.npz"), torch.tensor([1.5, 2.5]))


def test_foreign_archives_are_refused_by_name(tmp_path):
    path = tmp_path / "y.npz"
    np.savez(path, y=np.array([{"code": 1}], dtype=object))
    with pytest.raises(ValueError, match=r"y\.npz cannot be read as an \.npz of numbers: Object arrays"):
        load_measurement(path)
    np.savez(path, a=np.zeros(2), b=np.zeros(2))
    with pytest.raises(ValueError, match=r"must hold one array called 'y', and holds a, b"):
        load_measurement(path)
    np.savez(path, y=np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match=r"must hold floating-point or complex numbers, and holds int64"):
        load_measurement(path)
    path.write_bytes(b"PK not a zip")
    with pytest.raises(ValueError, match=r"y\.npz cannot be read as an \.npz"):
        load_measurement(path)
    np.save(path.with_suffix(".npy"), np.zeros(2))
    path.with_suffix(".npy").replace(path)
    with pytest.raises(ValueError, match=r"y\.npz cannot be read as an \.npz"):
        load_measurement(path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_measurement(tmp_path / "none.npz")


@pytest.mark.parametrize("read", [load_measurement, quantization_noise])
def test_a_bare_array_is_refused_with_what_to_write(tmp_path, read):
    np.save(tmp_path / "y.npy", np.zeros((1, 3, 4, 4), np.float32))
    with pytest.raises(ValueError, match=r"y\.npy is no measurement.*numpy\.savez\(.*y\.npz.*, y=y\)"):
        read(tmp_path / "y.npy")
