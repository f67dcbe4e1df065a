"""Runs over folders: what is written, what is done again, what is refused, and that one bad photo stops no other."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
import torch

from inverso import solver
from inverso.images import load_image, save_image
from inverso.jobs import Job, Local, run_folder
from inverso.jobs.folder import DiskFullError
from inverso.jobs.manifest import Manifest
from inverso.jobs.photo_job import Described
from inverso.metrics import psnr
from inverso.operators import Bicubic, RandomMask
from jobs.faulty import Faulty

HERE = Local(processes=0)


def run(files, job, out, **options):
    return run_folder(files, job, out, **{"executor": HERE, "progress": False, **options})


def records(summary):
    return {record.name: record for record in summary.records()}


def test_answers_are_pictures_beside_a_manifest(photos, tmp_path):
    folder = photos("a", "sub/b")
    summary = run(folder, Job(method="pinv", operator="bicubic:2", simulate=True), tmp_path / "out")
    assert (summary.before, summary.done, summary.failed, summary.set_aside) == (0, 2, 0, 0)
    found = records(summary)
    assert set(found) == {"a", "sub/b"}
    for name, record in found.items():
        x, answer = load_image(folder / f"{name}.png"), load_image(tmp_path / "out" / f"{name}.png")
        expected = Bicubic(2).pinv(Bicubic(2)(x)).clamp(0, 1)
        torch.testing.assert_close(answer, expected, atol=0.51 / 255, rtol=0)
        assert record.psnr == pytest.approx(float(psnr(Bicubic(2).pinv(Bicubic(2)(x)), x)), abs=0.01)
        assert record.path == str(folder / f"{name}.png")
        assert record.seconds >= 0
        assert record.details["residual"] < 1e-5
        assert "torch" in record.versions


def test_answers_are_those_of_solve(photos, tmp_path):
    folder = photos("a", "b", "c")
    job = Job(method="pinv", operator="mask:0.5", noise=0.1, seed=3, simulate=False)
    summary = run(folder, job, tmp_path / "out")
    assert summary.done == 3
    for name in "abc":
        y = load_image(folder / f"{name}.png")
        expected = solver.solve(y, RandomMask(0.5), method="pinv", noise=0.1, seed=3).image
        torch.testing.assert_close(load_image(tmp_path / "out" / f"{name}.png"), expected, atol=0.51 / 255, rtol=0)


def test_simulated_noise_is_a_photos_own_and_depends_on_no_other(photos, tmp_path):
    folder = photos("a", "b", "c", "d")
    for name in "bcd":
        save_image(load_image(folder / "a.png"), folder / f"{name}.png")
    job = Job(method="pinv", operator="identity", noise=0.1, simulate=True)
    run(folder, job, tmp_path / "all")
    run([folder / "c.png"], job, tmp_path / "one")
    answers = [load_image(tmp_path / "all" / f"{name}.png") for name in "abcd"]
    assert all(not torch.equal(answers[0], other) for other in answers[1:])
    assert (tmp_path / "one" / "c.png").read_bytes() == (tmp_path / "all" / "c.png").read_bytes()


def test_nothing_is_done_twice(photos, tmp_path):
    folder, out = photos("a", "b"), tmp_path / "out"
    run(folder, Faulty(), out)
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    summary = run(folder, Faulty(), out)
    assert (summary.before, summary.done) == (2, 0)
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")} == times


def test_new_changed_and_deleted_ones_are_done(photos, tmp_path):
    folder, out = photos("same", "touched", "changed", "deleted"), tmp_path / "out"
    before = records(run(folder, Faulty(), out))
    os.utime(folder / "touched.png", (1, 1))
    save_image(load_image(folder / "changed.png").flip(-1), folder / "changed.png")
    (out / "deleted.png").unlink()
    save_image(load_image(folder / "same.png").flip(-1), folder / "new.png")
    summary = run(folder, Faulty(), out)
    assert (summary.before, summary.done) == (2, 3)
    after = records(summary)
    assert len((out / "manifest.jsonl").read_text().splitlines()) == len(after) == 5, "one record each"
    assert after["changed"].digest != before["changed"].digest
    assert (out / "deleted.png").exists()


def test_other_settings_are_refused_with_the_difference(photos, tmp_path):
    folder, out = photos("a"), tmp_path / "out"
    job = Job(method="pinv", operator="bicubic:2", simulate=True)
    run(folder, job, out)
    with pytest.raises(ValueError, match=r"operator \('bicubic:2' there, 'mask:0.5' now\)"):
        run(folder, replace(job, operator="mask:0.5"), out)
    assert run(folder, job, out).before == 1


def test_another_network_of_the_same_name_is_other_settings(photos, tmp_path):
    from inverso.priors import DCGAN, save_prior

    folder, out, file = photos("a"), tmp_path / "out", tmp_path / "prior.safetensors"
    job = Job(method="pinv", operator="mask:0.5", prior=str(file), simulate=True)
    network = DCGAN(4, width=2, depth=2)
    save_prior(network, file)
    run(folder, job, out)
    with torch.no_grad():
        next(network.parameters()).add_(1)
    save_prior(network, file)
    with pytest.raises(ValueError, match="weights of the prior"):
        run(folder, job, out)


@pytest.mark.parametrize(
    "job",
    [
        Job(method="nonsense", operator="mask:0.5"),
        Job(method="csgm", operator="mask:0.5"),
        Job(method="pinv", operator="nonsense"),
        Job(method="pinv"),
        Job(method="ff", restorer="nonsense"),
    ],
    ids=str,
)
def test_a_job_that_cannot_work_is_refused_before_anything_is_written(photos, tmp_path, job):
    with pytest.raises(ValueError, match=r"unknown|needs|no restorer"):
        run(photos("a"), job, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bad_photo_stops_no_other(photos, tmp_path):
    folder, out = photos("a", "fail", "z"), tmp_path / "out"
    (folder / "broken.png").write_bytes(b"no picture")
    summary = run(folder, Faulty(), out)
    assert (summary.done, summary.failed) == (2, 2)
    found = records(summary)
    assert found["fail"].reason == "there is something wrong with fail"
    assert "broken.png cannot be read as a picture" in found["broken"].reason
    assert sorted(path.name for path in out.glob("*.png")) == ["a.png", "z.png"]


def test_failures_are_tried_again_when_asked_or_changed(photos, tmp_path):
    folder, out, cure = photos("a", "fail", "fail-2"), tmp_path / "out", tmp_path / "cured"
    job = Faulty(cured=str(cure))
    assert run(folder, job, out).failed == 2
    cure.touch()
    summary = run(folder, job, out)
    assert (summary.before, summary.failed_before, summary.done) == (1, 2, 0)
    save_image(load_image(folder / "fail.png").flip(-1), folder / "fail.png")
    assert run(folder, job, out).done == 1
    summary = run(folder, job, out, again=True)
    assert (summary.before, summary.failed_before, summary.done) == (2, 0, 1)
    assert {record.status for record in summary.records()} == {"done"}


def test_a_torn_record_is_dropped_and_its_photo_done_again(photos, tmp_path):
    folder, out = photos("a", "b", "c"), tmp_path / "out"
    run(folder, Faulty(), out)
    manifest = out / "manifest.jsonl"
    whole = manifest.read_bytes()
    for cut in (1, 40, len(whole.splitlines()[-1])):
        manifest.write_bytes(whole[:-cut])
        summary = run(folder, Faulty(), out)
        assert (summary.before, summary.done) == (2, 1)
        assert len(manifest.read_bytes().splitlines()) == 3


def test_a_manifest_that_is_none_is_refused_by_line(photos, tmp_path):
    folder, out = photos("a"), tmp_path / "out"
    run(folder, Faulty(), out)
    with (out / "manifest.jsonl").open("a") as stream:
        stream.write('{"name": 1}\n')
    with pytest.raises(ValueError, match="line 2 of "):
        run(folder, Faulty(), out)


def test_unfinished_pictures_of_a_kill_are_removed(photos, tmp_path):
    folder, out = photos("a"), tmp_path / "out"
    out.mkdir()
    (out / ".a.png.17-0.tmp").write_bytes(b"half")
    run(folder, Faulty(), out)
    assert not list(out.glob("*.tmp"))
    assert not list(out.glob(".a.*"))


def test_a_full_disk_ends_the_run_and_what_was_done_is_kept(photos, tmp_path):
    names = [f"{k:02}" for k in range(10)]
    folder, out, room = photos(*names, "full"), tmp_path / "out", tmp_path / "room"
    with pytest.raises(DiskFullError, match="10 photos were done"):
        run(folder, Faulty(cured=str(room)), out, executor=Local(processes=0, batch=1))
    room.touch()
    summary = run(folder, Faulty(cured=str(room)), out)
    assert (summary.before, summary.done, summary.failed) == (10, 1, 0)


def test_a_record_that_does_not_fit_on_the_disk_leaves_the_manifest_as_it_was(photos, tmp_path, monkeypatch):
    folder, out = photos("a", "b"), tmp_path / "out"
    run([folder / "a.png"], Faulty(), out)
    before = (out / "manifest.jsonl").read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFullError):
            run(folder, Faulty(), out)
    assert (out / "manifest.jsonl").read_bytes() == before
    assert run(folder, Faulty(), out).done == 1


def test_photos_behind_urls(photos, tmp_path):
    folder = photos("a", "b")
    system = fsspec.filesystem("memory")
    for name in "ab":
        system.pipe(f"/bucket/set/{name}.png", (folder / f"{name}.png").read_bytes())
    run(folder, Faulty(), tmp_path / "files")
    assert run("memory://bucket/set", Faulty(), tmp_path / "urls").done == 2
    for name in "ab":
        assert (tmp_path / "urls" / f"{name}.png").read_bytes() == (tmp_path / "files" / f"{name}.png").read_bytes()
    assert run("memory://bucket/set/*.png", Faulty(), tmp_path / "urls").before == 2
    assert run(f"file://{folder}", Faulty(), tmp_path / "urls").before == 2, "the same bytes, wherever they are"
    system.pipe("/bucket/set/a.png", (folder / "b.png").read_bytes())
    assert run("memory://bucket/set", Faulty(), tmp_path / "urls").done == 1


def test_results_behind_a_url_are_refused(photos):
    with pytest.raises(ValueError, match="memory://out"):
        run(photos("a"), Faulty(), "memory://out")


def test_photos_of_one_size_come_together(photos, tmp_path):
    folder = photos(*"abcdef")
    save_image(torch.rand(1, 3, 8, 8), folder / "c.png")
    seen = []

    class Spy(Local):
        def run(self, work, chunks):
            def watched():
                for chunk in chunks:
                    seen.append([photo.name for photo in chunk])
                    yield chunk

            return super().run(work, watched())

    run(folder, Job(method="pinv", operator="identity"), tmp_path / "out", executor=Spy(processes=0, batch=3))
    assert sorted(seen) == [["a", "b", "d"], ["c"], ["e", "f"]]


def test_photos_that_are_processed_one_by_one_are_recorded_so(photos, tmp_path, monkeypatch):
    folder, lengths = photos("a", "b", "c"), []
    append = Manifest.append
    monkeypatch.setattr(Manifest, "append", lambda self, rows: (lengths.append(len(rows)), append(self, rows))[1])
    monkeypatch.setattr(Faulty, "describe", lambda _: Described({}, 256, together=False))
    run(folder, Faulty(), tmp_path / "out")
    assert lengths == [1, 1, 1]


def test_a_broken_link_is_a_failure_and_not_skipped(photos, tmp_path):
    folder = photos("a")
    (folder / "lost.jpg").symlink_to("nowhere.jpg")
    summary = run(folder, Faulty(), tmp_path / "out")
    assert (summary.done, summary.failed) == (1, 1)
    assert records(summary)["lost"].reason.endswith("lost.jpg: No such file or directory")


def test_answers_below_the_photos_are_no_photos(photos):
    folder = photos("a", "b")
    run(folder, Faulty(), folder / "out")
    summary = run(folder, Faulty(), folder / "out")
    assert (summary.before, summary.done) == (2, 0)
    assert set(records(summary)) == {"a", "b"}


@pytest.mark.parametrize("kind", ["dots", "link"])
def test_answers_below_the_photos_are_known_by_any_path(photos, kind):
    folder = photos("a", "b")
    out = folder / "out" / ".." / "out" if kind == "dots" else folder.parent / "link" / "out"
    if kind == "link":
        (folder.parent / "link").symlink_to(folder)
    (folder / "out").mkdir()
    run(folder, Faulty(), out)
    summary = run(folder, Faulty(), out)
    assert (summary.before, summary.done) == (2, 0)
    assert set(records(summary)) == {"a", "b"}


def test_answers_of_an_earlier_run_are_no_photos_and_a_line_says_so(photos):
    folder = photos("a", "sub/b")
    run(folder, Faulty(), folder / "first")
    save_image(load_image(folder / "a.png"), folder / "first" / "sub" / "mine.png")
    with pytest.warns(UserWarning, match=r"left out 2 results of an earlier run .* in .*first;"):
        summary = run(folder, Faulty(), folder / "second")
    assert set(records(summary)) == {"a", "sub/b", "first/sub/mine"}


def test_answers_of_an_earlier_run_are_photos_where_their_folder_is_given(photos):
    folder = photos("a", "b")
    run(folder, Faulty(), folder / "first")
    summary = run(folder / "first", Faulty(), folder / "second")
    assert set(records(summary)) == {"a", "b"}


def test_a_photo_is_not_written_over(photos):
    folder = photos("a", "b")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=r"a\.png is one of the photos"):
        run(folder, Faulty(), folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_manifest_is_read_from_the_end_only_as_far_as_needed(tmp_path):
    path = tmp_path / "manifest.jsonl"
    line = json.dumps({"name": "a", "path": "a", "status": "done", "reason": "x" * 70_000})
    path.write_text(line + "\n" + line[:-5])
    manifest = Manifest.open(path)
    assert path.read_text() == line + "\n"
    assert set(manifest.known) == {"a"}


def test_relative_paths_begin_where_the_run_was_called(photos, tmp_path, monkeypatch):
    photos("a")
    monkeypatch.chdir(tmp_path)
    summary = run("photos", Faulty(), "out")
    assert records(summary)["a"].path == str(Path("photos", "a.png"))
    assert (tmp_path / "out" / "a.png").is_file()
