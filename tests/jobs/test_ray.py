"""Work on Ray: the same answers, actors and machines that die, and none of it without being asked."""

import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from inverso.errors import InversoError
from inverso.jobs import Local, Ray, run_folder
from jobs import drivers
from jobs.faulty import Counting, Faulty, Unopened

HERE = Local(processes=0)


def test_ray_is_imported_only_when_it_works(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert Ray().together(64 * 64) >= 1


@pytest.mark.parametrize(
    "options",
    [{"num_gpus": -1.0}, {"num_cpus": 0}, {"actors": 0}, {"batch": 0}, {"time_limit": 0.0}, {"memory": 0}],
    ids=str,
)
def test_bad_settings_are_refused_by_name(options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        Ray(**options)


@pytest.fixture(scope="module")
def cluster():
    """Ray on this machine, for all tests of this file."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
        yield ray
        ray.shutdown()


pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.slow
def test_answers_are_those_of_one_process_and_the_bad_ones_are_set_aside(photos, tmp_path, cluster):
    names = [f"{k:02}" for k in range(12)]
    folder, out = photos(*names, "hang", "crash", "memory", "fail"), tmp_path / "out"
    executor = Ray(batch=3, time_limit=4.0, memory=2**28)
    summary = run_folder(folder, Faulty(), out, executor=executor, progress=False)
    assert (summary.done, summary.failed, summary.set_aside) == (12, 1, 3)
    run_folder([folder / f"{name}.png" for name in names], Faulty(), tmp_path / "here", executor=HERE, progress=False)
    assert drivers.pictures(out) == drivers.pictures(tmp_path / "here")


@pytest.mark.slow
def test_numbers_go_through(cluster):
    outcomes = Ray(actors=2).run(Counting(), ([2 * k, 2 * k + 1] for k in range(20)))
    assert sorted(pair for outcome in outcomes for pair in outcome) == [(k, k + 1) for k in range(40)]


@pytest.mark.slow
def test_a_job_that_no_worker_can_open_ends_the_run(photos, tmp_path, cluster):
    with pytest.raises(InversoError, match="there is no network on cpu"):
        run_folder(photos("a"), Unopened(), tmp_path / "out", executor=Ray(), progress=False)


@pytest.mark.slow
def test_a_cluster_without_room_is_refused(photos, tmp_path, cluster):
    with pytest.raises(InversoError, match="num_gpus=1"):
        run_folder(photos("a"), Faulty(), tmp_path / "out", executor=Ray(num_gpus=1), progress=False)


@pytest.mark.slow
def test_a_killed_actor_is_replaced_and_nothing_is_lost(photos, tmp_path, cluster):
    folder, out = photos(*(f"{k:02}" for k in range(24))), tmp_path / "out"
    killed = set()

    def killing():
        for n in (2, 10):
            drivers.until(lambda n=n: drivers.recorded(out) >= n and actors() - killed)
            victim = min(actors() - killed)
            killed.add(victim)
            drivers.kill(victim)

    killer = threading.Thread(target=killing)
    killer.start()
    executor = Ray(actors=1, batch=2)
    summary = run_folder(folder, Faulty(seconds=0.3), out, executor=executor, progress=False)
    killer.join()
    assert len(killed) == 2
    assert (summary.done, summary.failed, summary.set_aside) == (24, 0, 0)
    assert len({record.name for record in summary.records()}) == len(list(summary.records())) == 24
    run_folder(folder, Faulty(), tmp_path / "here", executor=HERE, progress=False)
    assert drivers.pictures(out) == drivers.pictures(tmp_path / "here")


def actors() -> set[int]:
    """List the processes of actors of Ray Data that are alive."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if b"ray::MapWorker" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
    return {pid for pid in found if drivers.alive(pid)}


@pytest.mark.slow
def test_a_killed_driver_leaves_nothing_behind_and_goes_on(photos, tmp_path):
    pytest.importorskip("ray")
    folder, out, pids = photos(*(f"{k:02}" for k in range(12))), tmp_path / "out", tmp_path / "pids"
    pids.mkdir()
    slow = Faulty(seconds=0.5, pids=str(pids))
    driver = drivers.start(folder, slow, out, "Ray(batch=1)", {"RAY_worker_niceness": "0"})
    try:
        drivers.wait_for_records(out, 3, driver)
    finally:
        drivers.kill(driver.pid)
        driver.wait()
    drivers.until(lambda: not drivers.workers(pids))
    done = drivers.recorded(out)
    summary = run_folder(folder, slow, out, executor=HERE, progress=False)
    assert (summary.before, summary.done) == (done, 12 - done)
    run_folder(folder, Faulty(), tmp_path / "here", executor=HERE, progress=False)
    assert drivers.pictures(out) == drivers.pictures(tmp_path / "here")


@pytest.mark.slow
def test_a_machine_that_dies_is_done_without(photos, tmp_path):
    """Two machines more than the driver's: one is killed, raylet and all, while its actor works."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    folder, out = photos(*(f"{k:02}" for k in range(20))), tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
        machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        nodes = [machines.add_node(num_cpus=1) for _ in range(2)]
        try:
            script = f'Ray(address="{machines.address}", batch=1)'
            driver = drivers.start(folder, Faulty(seconds=0.5), out, script, {})
            drivers.wait_for_records(out, 3, driver)
            nodes[0].kill_raylet(check_alive=False)
            begin = time.monotonic()
            driver.wait(timeout=drivers.PATIENCE)
            assert driver.returncode == 0, (tmp_path / "stderr").read_text()
            assert time.monotonic() - begin < drivers.PATIENCE
        finally:
            driver.kill()
            machines.shutdown()
    assert drivers.recorded(out) == 20
    run_folder(folder, Faulty(), tmp_path / "here", executor=HERE, progress=False)
    assert drivers.pictures(out) == drivers.pictures(tmp_path / "here")
