"""What long runs meet: kills at random moments, and a disk that is full. Slow."""

import random
import shutil
import subprocess
import sys
import time

import pytest

from inverso.images import photo, save_image
from inverso.jobs import Job, Local, run_folder
from inverso.jobs.folder import DiskFullError
from jobs import drivers
from jobs.faulty import Faulty

HERE = Local(processes=0)


def restarted(photos, job, out, executor, kills, pids, *, seed):
    """Run until all is done, and kill now the driver, now a worker, at random moments."""
    chance = random.Random(seed)
    total = len(list(photos.glob("*.png")))
    victims = ["driver", "worker", "driver", "worker", "driver"][:kills]
    driver = drivers.start(photos, job, out, executor)
    for k, victim in enumerate(victims):
        drivers.until(lambda k=k: drivers.recorded(out) >= (k + 0.3) * total / (kills + 1) and drivers.workers(pids))
        time.sleep(chance.uniform(0, 0.2))
        if victim == "worker":
            drivers.kill(chance.choice(sorted(drivers.workers(pids)) or [driver.pid]))
        else:
            drivers.kill(driver.pid)
        if victim == "driver" or driver.poll() is not None:
            driver.wait()
            driver = drivers.start(photos, job, out, executor)
    driver.wait(timeout=3 * drivers.PATIENCE)
    assert driver.returncode == 0, (out.parent / "stderr").read_text()


@pytest.mark.slow
def test_three_hundred_photos_and_five_kills(photos, tmp_path):
    folder, out, pids = photos(*(f"{k:03}" for k in range(300))), tmp_path / "out", tmp_path / "pids"
    pids.mkdir()
    job = Faulty(seconds=0.05, pids=str(pids))
    restarted(folder, job, out, "Local(processes=2)", 5, pids, seed=0)
    records = list(run_folder(folder, job, out, executor=HERE, progress=False).records())
    assert len(records) == len({record.name for record in records}) == 300
    assert {record.status for record in records} == {"done"}
    run_folder(folder, Faulty(), tmp_path / "undisturbed", executor=HERE, progress=False)
    assert drivers.pictures(out) == drivers.pictures(tmp_path / "undisturbed")


@pytest.mark.slow
def test_reconstructions_are_the_same_pixels_after_kills(tmp_path):
    whole = photo("coffee", size=128)
    (tmp_path / "photos").mkdir()
    for k in range(30):
        save_image(whole[..., k : k + 64, 2 * k : 2 * k + 64], tmp_path / "photos" / f"{k:02}.png")
    job = Job(method="csgm+bp", operator="fft:0.3", prior="faces-64", noise=0.02, simulate=True)
    driver = drivers.start(tmp_path / "photos", job, tmp_path / "out", "Local(processes=2, batch=4)")
    drivers.wait_for_records(tmp_path / "out", 4, driver)
    drivers.kill(driver.pid)
    driver.wait()
    executor = Local(processes=2, batch=7)
    run_folder(tmp_path / "photos", job, tmp_path / "out", executor=executor, progress=False)
    run_folder(tmp_path / "photos", job, tmp_path / "undisturbed", executor=HERE, progress=False)
    assert drivers.pictures(tmp_path / "out") == drivers.pictures(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or shutil.which("mount") is None, reason="needs a small disk")
def test_a_full_disk_ends_the_run_and_room_lets_it_go_on(photos, tmp_path):
    folder, disk = photos(*(f"{k:03}" for k in range(40))), tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted")
    try:
        with pytest.raises(DiskFullError, match="photos were done and are kept"):
            run_folder(folder, Faulty(), disk / "out", executor=Local(processes=2, batch=2), progress=False)
        done = drivers.recorded(disk / "out")
        assert 0 < done < 40
        subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
        summary = run_folder(folder, Faulty(), disk / "out", executor=HERE, progress=False)
        assert (summary.before, summary.done) == (done, 40 - done)
        run_folder(folder, Faulty(), tmp_path / "undisturbed", executor=HERE, progress=False)
        assert drivers.pictures(disk / "out") == drivers.pictures(tmp_path / "undisturbed")
    finally:
        subprocess.run(["umount", disk], check=True)
