"""Workers on this machine: what hangs, dies or takes too much is set aside, and nothing else is lost."""

import itertools
import signal
import threading
import time

import pytest
import torch

from inverso.errors import InversoError
from inverso.jobs import Job, Local, run_folder
from inverso.jobs._supervisor import Limits, Supervisor, may_fork
from inverso.jobs.work import Lost
from inverso.priors import DCGAN, save_prior
from jobs import drivers
from jobs.faulty import Counting, Faulty, Unopened

HERE = Local(processes=0)


def test_photos_that_hang_crash_or_need_too_much_are_set_aside_and_no_other(photos, tmp_path):
    names = ("a", "crash", "b", "hang", "c", "memory", "d", "fail", "e")
    folder, out = photos(*names), tmp_path / "out"
    executor = Local(processes=2, batch=3, time_limit=2.0, memory=2**28)
    summary = run_folder(folder, Faulty(), out, executor=executor, progress=False)
    assert (summary.done, summary.failed, summary.set_aside) == (5, 1, 3)
    found = {record.name: record for record in summary.records()}
    assert {name for name, record in found.items() if record.status == "done"} == set("abcde")
    assert "2 seconds" in found["hang"].reason
    assert "died" in found["crash"].reason
    assert "memory" in found["memory"].reason
    assert len(list(summary.records())) == len(names)
    again = run_folder(folder, Faulty(), out, executor=executor, progress=False)
    assert (again.before, again.failed_before) == (5, 4), "what was set aside is not tried again unasked"


def test_a_killed_worker_is_replaced_and_nothing_is_lost(photos, tmp_path):
    folder, out, pids = photos(*(f"{k:02}" for k in range(24))), tmp_path / "out", tmp_path / "pids"
    pids.mkdir()
    killed = []

    def killing():
        for n in (2, 8, 14):
            drivers.until(lambda n=n: drivers.recorded(out) >= n and drivers.workers(pids))
            killed.append(min(drivers.workers(pids)))
            drivers.kill(killed[-1])

    killer = threading.Thread(target=killing)
    killer.start()
    executor = Local(processes=1, batch=2)
    summary = run_folder(folder, Faulty(seconds=0.05, pids=str(pids)), out, executor=executor, progress=False)
    killer.join()
    assert len(set(killed)) == 3
    assert (summary.done, summary.failed, summary.set_aside) == (24, 0, 0)
    assert len({record.name for record in summary.records()}) == len(list(summary.records())) == 24
    run_folder(folder, Faulty(), tmp_path / "undisturbed", executor=HERE, progress=False)
    assert drivers.pictures(out) == drivers.pictures(tmp_path / "undisturbed")


@pytest.mark.slow
def test_two_drivers_and_one_that_is_killed(photos, tmp_path):
    folder, out, pids = photos(*(f"{k:02}" for k in range(12))), tmp_path / "out", tmp_path / "pids"
    pids.mkdir()
    slow = Faulty(seconds=0.4, pids=str(pids))
    first = drivers.start(folder, slow, out, "Local(processes=2, batch=1)")
    try:
        drivers.wait_for_records(out, 2, first)
        with pytest.raises(ValueError, match="another run is active"):
            run_folder(folder, slow, out, executor=HERE, progress=False)
        assert first.poll() is None
    finally:
        drivers.kill(first.pid)
        first.wait()
    drivers.until(lambda: not drivers.workers(pids))
    done = drivers.recorded(out)
    summary = run_folder(folder, slow, out, executor=HERE, progress=False)
    assert (summary.before, summary.done) == (done, 12 - done)
    assert len({record.name for record in summary.records()}) == len(list(summary.records())) == 12
    run_folder(folder, Faulty(), tmp_path / "undisturbed", executor=HERE, progress=False)
    assert drivers.pictures(out) == drivers.pictures(tmp_path / "undisturbed")


def test_ctrl_c_ends_in_seconds(photos, tmp_path):
    folder, out, pids = photos("a", "hang-1", "hang-2"), tmp_path / "out", tmp_path / "pids"
    pids.mkdir()
    driver = drivers.start(folder, Faulty(pids=str(pids)), out, "Local(processes=2, batch=1)")
    try:
        drivers.wait_for_records(out, 1, driver)
        begin = time.monotonic()
        driver.send_signal(signal.SIGINT)
        driver.wait(timeout=60)
        assert time.monotonic() - begin < 15
    finally:
        driver.kill()
    assert driver.returncode != 0
    assert "KeyboardInterrupt" in (tmp_path / "stderr").read_text()
    drivers.until(lambda: not drivers.workers(pids))


def test_a_job_that_no_worker_can_open_ends_the_run(photos, tmp_path):
    with pytest.raises(InversoError, match="there is no network on cpu"):
        run_folder(photos("a"), Unopened(), tmp_path / "out", executor=Local(processes=1), progress=False)


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    path = tmp_path_factory.mktemp("prior") / "tiny.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_prior(DCGAN(8, width=4, depth=2), path)
    return str(path)


@pytest.mark.parametrize("method", ["csgm+bp", "ff"])
def test_an_answer_depends_on_no_batch_and_no_place(photos, tmp_path, prior, method):
    folder = photos(*(f"{k:02}" for k in range(5)))
    if method == "ff":
        job = Job(method="ff", restorer="faces-64")
    else:
        job = Job(method=method, operator="mask:0.5", prior=prior, noise=0.05, simulate=True)
    for batch in (1, 2, 5):
        executor = Local(processes=0, batch=batch)
        files = [folder / f"{k:02}.png" for k in (range(5) if batch < 5 else reversed(range(5)))]
        run_folder(files, job, tmp_path / f"{batch}", executor=executor, progress=False)
    first, *others = (drivers.pictures(tmp_path / f"{batch}") for batch in (1, 2, 5))
    assert len(first) == 5
    assert all(other == first for other in others)


def test_chunks_are_taken_as_they_are_needed_and_results_come_back():
    taken = []

    def chunks():
        for k in range(40):
            taken.append(k)
            yield [2 * k, 2 * k + 1]

    outcomes = Local(processes=1).run(Counting(), chunks())
    first = next(outcomes)
    assert [result - item for item, result in first] == [1, 1]
    assert len(taken) <= 3, "a driver with a million photos holds few of them"
    everything = [pair for outcome in itertools.chain([first], outcomes) for pair in outcome]
    assert sorted(everything) == [(k, k + 1) for k in range(80)]
    assert not any(isinstance(result, Lost) for _, result in everything)


@pytest.mark.parametrize(
    "options", [{"processes": -1}, {"threads": 0}, {"batch": 0}, {"time_limit": 0.0}, {"memory": 0}], ids=str
)
def test_bad_settings_are_refused_by_name(options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        Local(**options)


def test_a_run_that_is_closed_stops_its_workers_whatever_they_are_at():
    def close_early():
        outcomes = Local(processes=2).run(Counting(seconds=0.02), ([k] for k in range(10_000)))
        next(outcomes)
        outcomes.close()

    for _ in range(3):
        closing = threading.Thread(target=close_early, daemon=True)
        closing.start()
        closing.join(timeout=drivers.PATIENCE)
        assert not closing.is_alive()


def test_a_process_with_threads_is_not_copied():
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert not may_fork()
    finally:
        end.set()
        thread.join()


def test_a_worker_is_begun_as_a_copy_or_where_that_cannot_work_anew():
    # Whether this process has differentiated depends on the tests before.
    for differentiate in (False, True):
        if differentiate:
            torch.ones(1, requires_grad=True).sum().backward()
        supervisor = Supervisor(Counting(), device="cpu", limits=Limits())
        try:
            supervisor.fork()
            assert supervisor.run([1, 2]) == [(1, 2), (2, 3)]
        finally:
            supervisor.stop()
