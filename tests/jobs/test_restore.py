"""Repair of a folder: as `repair` does it photo by photo, with all that belongs to a file."""

import torch

from inverso import priors
from inverso.images import Photo, photo, read_photo, write_photo
from inverso.jobs import Local, run_folder
from inverso.jobs.restore import Restore
from inverso.priors import WrappedDenoiser
from inverso.repair import Repair, repair


def smooth(x, sigma):
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
    return torch.nn.functional.avg_pool2d(padded, 3, stride=1)


def test_photos_are_repaired_as_each_by_itself(tmp_path, monkeypatch):
    denoiser = WrappedDenoiser(smooth, channels=3, sigma_range=(0.002, 1.0))
    monkeypatch.setattr(priors, "load", {"photos": denoiser}.__getitem__)
    (tmp_path / "photos").mkdir()
    for name, size in (("cat", 40), ("coffee", 56)):
        write_photo(Photo(photo(name, size=size), depth=16), tmp_path / "photos" / f"{name}.tif")
    settings = Repair(noise=0.05)
    job = Restore(repair=settings)
    summary = run_folder(tmp_path / "photos", job, tmp_path / "out", executor=Local(processes=0), progress=False)
    assert summary.done == 2
    for record in summary.records():
        expected = repair(read_photo(record.path), settings, denoiser=denoiser)
        answer = read_photo(tmp_path / "out" / f"{record.name}.png")
        assert (answer.size, answer.depth) == (expected.photo.size, 16)
        torch.testing.assert_close(answer.pixels, expected.photo.pixels.clamp(0, 1), atol=0.51 / 65535, rtol=0)
        assert record.details["noise"] == 0.05
        assert record.details["said"] == list(expected.said)
