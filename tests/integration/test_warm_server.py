"""The warm server and its workers, with bodies that are no workflows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from maestro.server.home import find_server
from maestro_defs.warm.cold import main as cold_main
from maestro_defs.warm.records import Records
from maestro_defs.warm.worker import LEFT
from tests.integration.warm_process import Warm, until, warm_server


def pid_of(warm: Warm, run_id: str) -> int:
    record = Records(warm.home).get(run_id)
    assert record is not None
    return record.process.pid


def alive(warm: Warm, run_id: str) -> bool:
    record = Records(warm.home).get(run_id)
    return record is not None and record.going_on


def test_a_worker_shares_nothing_with_the_server_but_what_was_imported(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home") as warm:
        assert warm.process is not None
        pid = warm.launch("one")["pid"]
        noted = warm.noted("one")
        assert noted["pid"] == pid != warm.process.pid
        assert noted["session"] == pid
        assert noted["dagster"], "Dagster was imported before the fork"
        assert noted["folder"] == str(warm.home.folder)
        log = str(warm.home.logs / "runs" / "one.log")
        assert noted["descriptors"]["0"] == "/dev/null"
        assert noted["descriptors"]["1"] == noted["descriptors"]["2"] == log
        assert not any("warm.log" in target or ".warm" in target for target in noted["descriptors"].values())
        assert "noted one" in warm.run_log("one")
        assert Path(log).stat().st_mode & 0o077 == 0


def test_workers_draw_different_random_numbers(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home") as warm:
        for run_id in ("one", "two"):
            warm.launch(run_id)
        assert warm.noted("one")["random"] != warm.noted("two")["random"]


def test_the_settings_limit_workers(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home", "launcher: {nice: 5, memory_mb: 4096}") as warm:
        warm.launch("one")
        noted = warm.noted("one")
        assert noted["nice"] == os.nice(0) + 5
        assert noted["memory"] == 4096 << 20
        assert noted["oom"] >= 100


def test_a_run_that_is_launched_twice_has_one_worker(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home") as warm:
        first = warm.launch("one")
        again = warm.launch("one")
        assert again["pid"] == first["pid"]
        assert again["again"]


def test_a_worker_outlives_a_killed_server_and_is_found_by_the_next_one(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home") as warm:
        first = warm.launch("one")
        warm.kill()
        assert alive(warm, "one")
        warm.start()
        assert warm.launch("one")["pid"] == first["pid"]
        assert warm.stop_run("one")["ok"]
        warm.reaches("one", "ended")


def test_a_worker_that_dies_is_noted_with_what_killed_it(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home", body="crash") as warm:
        warm.launch("one")
        warm.reaches("one", "died")
        record = Records(warm.home).get("one")
        assert record is not None
        assert record.detail == "its worker was killed by SIGKILL"


def test_a_run_that_died_can_be_launched_again(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home") as warm:
        first = warm.launch("one")
        os.kill(first["pid"], signal.SIGKILL)
        warm.reaches("one", "died")
        second = warm.launch("one", resume=True)
        assert second["pid"] != first["pid"]
        until(lambda: warm.noted("one")["resume"], lambda: "the second worker does not resume")


def test_what_a_body_raises_is_in_its_log(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home", body="complain") as warm:
        warm.launch("one")
        warm.reaches("one", "ended")
        assert "nothing works today" in warm.run_log("one")


def test_several_runs_share_a_worker_and_are_stopped_one_by_one(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home", "launcher: {runs_per_worker: 2}") as warm:
        pids = {run_id: warm.launch(run_id)["pid"] for run_id in ("one", "two", "three")}
        assert pids["one"] == pids["two"] != pids["three"]
        warm.noted("two")
        warm.stop_run("one")
        warm.reaches("one", "ended")
        assert alive(warm, "two")
        until(lambda: warm.ask(op="state")["workers"][0]["free"] == 1, lambda: "its place is not free again")
        assert warm.launch("four")["pid"] == pids["two"]


def test_the_log_of_a_run_in_a_shared_worker_leads_to_its_workers(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home", "launcher: {runs_per_worker: 2}") as warm:
        warm.launch("one")
        warm.launch("two")
        warm.noted("two")
        assert "noted two" in warm.run_log("two")


def test_a_shared_worker_takes_all_of_its_runs_with_it(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home", "launcher: {runs_per_worker: 2}") as warm:
        pid = warm.launch("one")["pid"]
        warm.launch("two")
        os.kill(pid, signal.SIGKILL)
        warm.reaches("one", "died")
        warm.reaches("two", "died")


def test_a_worker_ends_when_it_has_no_run_left(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home", "launcher: {runs_per_worker: 5}") as warm:
        warm.launch("one")
        warm.launch("two")
        (warm.home.folder / "release").touch()
        until(lambda: not warm.ask(op="state")["workers"], lambda: "the worker is still there")
        assert not list(warm.home.sockets.glob("worker-*"))


def test_changed_settings_take_effect_without_touching_runs(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home") as warm:
        first = warm.launch("one")
        (warm.home.folder / "server.yaml").write_text("launcher: {nice: 3}")
        warm.launch("two")
        assert warm.noted("two")["nice"] == os.nice(0) + 3
        assert warm.launch("one")["pid"] == first["pid"]


def test_a_hangup_starts_the_server_anew_in_its_place(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home") as warm:
        first = warm.launch("one")
        warm.signal(signal.SIGHUP)
        second = warm.launch("two")
        assert warm.process is not None
        assert warm.ask(op="state")["pid"] == warm.process.pid
        os.kill(first["pid"], signal.SIGKILL)
        warm.reaches("one", "died")
        assert second["pid"] != first["pid"]


def test_a_server_that_is_told_to_stop_while_it_starts_anew_stops(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home") as warm:
        (warm.home.folder / "server.yaml").write_text("launcher: {nice: 3}")
        until(lambda: "starting anew" in warm.log.read_text(), lambda: warm.log.read_text())
        warm.signal(signal.SIGHUP)
        warm.signal(signal.SIGTERM)
        assert warm.process is not None
        assert warm.process.wait(60) == 0


def test_settings_that_cannot_be_used_do_not_end_a_server_that_works(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home") as warm:
        (warm.home.folder / "server.yaml").write_text("launcher: {nice: many}")
        until(lambda: "not started anew" in warm.log.read_text(), lambda: warm.log.read_text())
        assert warm.launch("one")["ok"]
        (warm.home.folder / "server.yaml").write_text("launcher: {nice: 3}")
        until(lambda: "starting anew" in warm.log.read_text().rpartition("not started")[2], lambda: "no second try")
        warm.launch("two")
        assert warm.noted("two")["nice"] == os.nice(0) + 3


def test_a_server_that_is_told_to_stop_starts_nothing_and_waits_for_its_runs(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home") as warm:
        warm.launch("one")
        warm.noted("one")
        warm.signal(signal.SIGTERM)
        until(lambda: warm.ask(op="state")["draining"], lambda: "it does not drain")
        assert warm.launch("two") == {"ok": False, "error": "draining"}
        assert alive(warm, "one")
        (warm.home.folder / "release").touch()
        assert warm.process is not None
        assert warm.process.wait(60) == 0
        assert warm.state("one") == "ended"


def test_runs_that_do_not_end_in_time_are_left_to_be_resumed(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home", "launcher: {drain_seconds: 0}") as warm:
        warm.launch("one")
        warm.noted("one")
        warm.signal(signal.SIGTERM)
        assert warm.process is not None
        assert warm.process.wait(60) == 0
        assert warm.state("one") == "left"


def test_a_worker_that_is_told_to_end_cuts_a_step_off_in_the_end(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    argv = [sys.executable, "-m", "maestro_defs.warm.cold", "one", "--home", str(home)]
    script = (
        "import maestro_defs.warm.worker as w; w.LEAVE_SECONDS = 0.1; from maestro_defs.warm.cold import main; main()"
    )
    argv = [sys.executable, "-c", script, *argv[3:], "--body", "tests.integration.warm_bodies:stubborn"]
    with subprocess.Popen(argv) as worker:
        until((home / "noted" / "one").exists, lambda: "it does not begin")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == LEFT
    record = Records(find_server(home)).get("one")
    assert record is not None
    assert record.state == "left"


def test_a_second_server_for_the_same_home_says_that_there_is_one(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home") as warm:
        second = warm.popen()
        assert second.wait(60) == 1
        assert f"another warm server serves {warm.home.folder}" in warm.log.read_text()
        assert warm.launch("one")["ok"]


def test_an_unknown_body_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    warm = Warm(find_server(tmp_path / "home"), body="nothing")
    assert warm.popen().wait(60) == 2
    assert "no function 'tests.integration.warm_bodies:nothing'" in warm.log.read_text()
    assert "Traceback" not in warm.log.read_text()


def test_a_body_that_starts_a_thread_when_it_is_imported_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "threaded.py").write_text(
        "import threading\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "def body(run_id, home, stop, *, resume=False): pass\n"
    )
    warm = Warm(find_server(tmp_path / "home"), body="threaded:body")
    assert warm.popen().wait(60) == 1
    assert "the warm server has 2 threads" in warm.log.read_text()


@pytest.mark.parametrize("run_id", ["../../etc/passwd", "", "a b"])
def test_what_is_no_id_of_a_run_is_refused(tmp_path: Path, run_id: str) -> None:
    with warm_server(tmp_path / "home") as warm:
        reply = warm.launch(run_id)
        assert not reply["ok"]
        assert "is no id of a run" in reply["message"]


def test_the_servers_socket_is_for_its_user_alone(tmp_path: Path) -> None:
    with warm_server(tmp_path / "home") as warm:
        assert (warm.home.sockets / "warm.sock").stat().st_mode & 0o077 == 0
        assert warm.home.sockets.stat().st_mode & 0o077 == 0


def test_a_cold_worker_refuses_what_is_no_id_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cold_main(["../x", "--home", str(tmp_path)]) == 2
    assert "is no id of a run" in capsys.readouterr().err
