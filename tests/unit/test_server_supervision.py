"""How the supervisor of a server decides: when a program is started again, what of its log is shown, who may run."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from maestro.cli.options import GlobalOptions
from maestro.cli.server_home import gateway_url, server_home
from maestro.cli.server_kept import Kept
from maestro.cli.server_locations import Location
from maestro.cli.server_lock import locked
from maestro.cli.server_log import LARGEST_LOG, LOAD_FAILED, Followed, set_aside
from maestro.cli.server_parts import ALL, Part, environment_of, part_of
from maestro.cli.server_restarts import HOPELESS, LONGEST_PAUSE, SETTLED_SECONDS, Restarts
from maestro.errors import InputError, MaestroError
from maestro.server.home import ServerHome, find_server
from maestro.server.projects import RegisteredProject


@pytest.fixture
def home(tmp_path: Path) -> ServerHome:
    return find_server(tmp_path / "home", environ={})


def program(script: str, *, essential: bool = True) -> Part:
    return Part("worker", ("-c", script), {}, lambda: False, essential=essential)


def looked_at_until_it_died(kept: Kept, now: float) -> str:
    kept.look(now)
    while True:
        said = kept.look(now)
        if said is not None:
            return said


def test_the_pause_doubles_with_each_death_and_has_an_end() -> None:
    restarts, pauses = Restarts(), []
    for _ in range(9):
        restarts = restarts.after(lived=0.1)
        pauses.append(restarts.pause)
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses[-1] == LONGEST_PAUSE


def test_a_program_that_lived_a_while_begins_anew() -> None:
    restarts = Restarts(failures=8).after(lived=SETTLED_SECONDS)
    assert restarts.pause == 0.5
    assert not restarts.hopeless


def test_a_program_that_dies_at_once_is_hopeless_after_a_few_starts() -> None:
    restarts = Restarts()
    for _ in range(HOPELESS):
        assert not restarts.hopeless
        restarts = restarts.after(lived=0.2)
    assert restarts.hopeless


def test_a_program_that_died_is_started_again_after_the_pause(home: ServerHome) -> None:
    kept = Kept(program("print('out of memory'); raise SystemExit(7)"), home)
    said = looked_at_until_it_died(kept, now=100.0)
    assert said == "ended with exit code 7: out of memory; it is started again in 0.5 s"
    kept.look(100.4)
    assert kept.started is None
    kept.look(100.6)
    assert kept.started is not None
    kept.stop()


def test_a_program_that_is_killed_is_said_to_be(home: ServerHome) -> None:
    kept = Kept(program("import os; os.kill(os.getpid(), 9)"), home)
    assert looked_at_until_it_died(kept, now=0.0).startswith("was killed by signal 9: it said nothing;")


def test_a_program_that_never_was_ready_ends_the_server_when_it_dies_again_and_again(home: ServerHome) -> None:
    kept = Kept(program("raise SystemExit('no licence')"), home)
    with pytest.raises(
        MaestroError, match="the worker does not start; it ended with exit code 1: no licence"
    ) as caught:
        for number in range(HOPELESS + 1):
            looked_at_until_it_died(kept, now=1000.0 * number)
    assert caught.value.exit_code == 1
    assert caught.value.next_step == f"read {home.logs / 'worker.log'}"


def test_a_program_whose_settings_are_wrong_ends_the_server_at_once(home: ServerHome) -> None:
    kept = Kept(program("raise SystemExit(2)"), home)
    with pytest.raises(MaestroError, match="does not start"):
        looked_at_until_it_died(kept, now=0.0)


def test_what_no_server_needs_is_tried_for_ever(home: ServerHome) -> None:
    kept = Kept(program("raise SystemExit(2)", essential=False), home)
    for number in range(HOPELESS + 2):
        assert "it is started again" in looked_at_until_it_died(kept, now=1000.0 * number)


def test_a_program_is_told_to_be_ready_by_its_own_answer(home: ServerHome) -> None:
    answer = [False]
    kept = Kept(Part("worker", ("-c", "import time; time.sleep(60)"), {}, lambda: answer[0]), home)
    kept.look(0.0)
    kept.look(0.1)
    assert not kept.ready
    answer[0] = True
    kept.look(0.2)
    assert kept.ready
    kept.stop()
    assert not kept.ready


def test_only_warnings_and_errors_of_a_log_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("2027 ERROR before it was looked at\n")
    followed = Followed(log)
    with log.open("a") as file:
        file.write("2027 INFO fine\n2027 \x1b[33mWARNING\x1b[0m hot\nerror: broken\n")
        file.write('{"level": "error", "message": "json"}\nan ERRORS table\n2027 ERROR unfin')
    assert followed.alarming() == ["2027 WARNING hot", "error: broken", '{"level": "error", "message": "json"}']
    with log.open("a") as file:
        file.write("ished\n")
    assert followed.alarming() == ["2027 ERROR unfinished"]
    assert followed.alarming() == []


def test_a_flood_of_errors_is_cut_short(tmp_path: Path) -> None:
    followed = Followed(tmp_path / "web.log")
    (tmp_path / "web.log").write_text("".join(f"ERROR {'x' * count}\n" for count in range(50)))
    shown = followed.alarming()
    assert len(shown) == 21
    assert shown[-1] == f"… 30 more in {tmp_path / 'web.log'}"


def test_the_same_again_is_not_shown_again(tmp_path: Path) -> None:
    followed = Followed(tmp_path / "web.log")
    (tmp_path / "web.log").write_text(
        "17:20:10 ERROR cannot load\n17:21:10 ERROR cannot load\n17:21:11 ERROR cannot save\n"
    )
    assert followed.alarming() == ["17:20:10 ERROR cannot load", "17:21:11 ERROR cannot save"]


def test_code_that_cannot_be_loaded_is_noticed_each_time_and_shown_once(tmp_path: Path) -> None:
    followed = Followed(tmp_path / "code-shop.log")
    for _ in range(2):
        with (tmp_path / "code-shop.log").open("a") as file:
            file.write(f"17:20 ERROR {LOAD_FAILED}\n")
        followed.load_failed = False
        shown = followed.alarming()
        assert followed.load_failed
    assert shown == []


def test_a_log_that_was_emptied_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("ERROR one\n" * 10)
    followed = Followed(log)
    log.write_text("ERROR two\n")
    assert followed.alarming() == ["ERROR two"]


def test_a_large_log_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with log.open("wb") as file:
        file.truncate(LARGEST_LOG + 1)
    set_aside(log)
    assert not log.exists()
    assert (tmp_path / "web.log.1").stat().st_size == LARGEST_LOG + 1


def test_of_two_supervisors_on_one_home_the_second_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "server.lock"
    script = f"from maestro.cli.server_lock import locked\nfrom pathlib import Path\nwith locked(Path({str(file)!r})):\n    print('held', flush=True)\n    input()\n"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with (
            pytest.raises(InputError, match=f"a server runs on this home already \\(process {first.pid}\\)") as caught,
            locked(file),
        ):
            pass
        assert "--home" in (caught.value.next_step or "")
        first.kill()
    with locked(file):
        assert file.read_text().strip().isdigit()


def test_programs_get_the_servers_home_and_nothing_of_one_persons_checkout(
    home: ServerHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAESTRO_PROJECT", "/home/me/shop")
    monkeypatch.setenv("MAESTRO_HOME", "/home/me/state")
    environment = environment_of(home)
    assert environment["MAESTRO_SERVER_HOME"] == str(home.folder)
    assert environment["DAGSTER_HOME"] == str(home.folder / "dagster")
    assert environment["MAESTRO_PROFILE"] == "single"
    assert not {"MAESTRO_PROJECT", "MAESTRO_HOME"} & environment.keys()


def test_the_database_of_the_settings_is_that_of_dagster_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAESTRO_POSTGRES_URL", raising=False)
    monkeypatch.setenv("THE_DATABASE", "postgresql://maestro@db/maestro")
    (tmp_path / "server.yaml").write_text("{profile: server, database: 'env:THE_DATABASE'}")
    environment = environment_of(find_server(tmp_path))
    assert environment["MAESTRO_POSTGRES_URL"] == "postgresql://maestro@db/maestro"


def test_no_secret_is_an_argument_of_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_DATABASE", "postgresql://maestro:hunter22@db/maestro")
    (tmp_path / "server.yaml").write_text("{profile: server, database: 'env:THE_DATABASE'}")
    home = find_server(tmp_path)
    arguments = [part_of(home, name, tmp_path / "workspace.yaml").arguments for name in ALL]
    assert "hunter22" not in str(arguments)


def test_an_address_for_every_network_is_shown_as_one_that_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / "server.yaml").write_text("gateway: {host: '::', port: 9000}")
    assert gateway_url(find_server(tmp_path)) == "http://[::1]:9000"


def test_a_profile_that_is_not_the_servers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this server has the profile 'single'") as caught:
        server_home(GlobalOptions(profile="postgres"), tmp_path)
    assert "profile: postgres" in (caught.value.next_step or "")


def test_what_a_program_left_in_its_group_ends_with_it(home: ServerHome) -> None:
    script = "import subprocess, sys\nprint(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True)\nraise SystemExit(1)"
    kept = Kept(program(script), home)
    looked_at_until_it_died(kept, now=0.0)
    left = int((home.logs / "worker.log").read_text())
    deadline = time.monotonic() + 30
    while lives(left):
        assert time.monotonic() < deadline


def lives(pid: int) -> bool:
    """Whether the process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("before", "now", "anew"),
    [("a1", "b2", True), ("a1", "", True), ("a1", "a1", False), ("", "a1", False)],
    ids=["changed", "deleted", "the same", "known for the first time"],
)
def test_code_is_loaded_anew_when_the_workflow_file_changes(before: str, now: str, anew: bool) -> None:
    project = RegisteredProject("shop", "/srv/shop.git")
    assert Location(project, now, program("")).replaces(Location(project, before, program(""))) is anew


def test_code_is_loaded_anew_when_the_registration_changes() -> None:
    before, now = RegisteredProject("shop", "/srv/shop.git"), RegisteredProject("shop", "/srv/store.git")
    assert Location(now, "a1", program("")).replaces(Location(before, "a1", program("")))
