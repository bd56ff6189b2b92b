"""The parts themselves: they start, keep what they should over a restart, and leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from sqlalchemy import create_engine, text

from db import engine, migrations
from tests.parts.chromium import ForeignRequestError, Pages
from tests.parts.locked import locked
from tests.parts.mariadb import MariaDB
from tests.parts.mosquitto import Mosquitto
from tests.parts.ports import accepts, free_port
from tests.parts.process import PartFailedError, PartMissingError, Process, find_program, is_alive, is_gone

ROOT = Path(__file__).parents[2]


def retained(broker: Mosquitto, topic: str) -> str:
    """What the broker keeps for a topic, empty after 2 s without anything."""
    command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", topic, "-C", "1", "-W", "2"]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=10).stdout.strip()


def test_ports_are_free_and_never_the_same() -> None:
    ports = {free_port() for _ in range(20)}
    assert len(ports) == 20
    assert not any(accepts(port) for port in ports)


def test_no_two_test_processes_are_given_the_same_port() -> None:
    code = (
        "import random, sys; from tests.parts.ports import free_port; "
        "random.seed(5); print(free_port(), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as first,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as second,
    ):
        assert first.stdout is not None
        assert second.stdout is not None
        assert first.stdout.readline() != second.stdout.readline()


def test_a_missing_program_is_an_error_that_says_what_to_install() -> None:
    with pytest.raises(PartMissingError, match="apt-get install no-such-package"):
        find_program("no-such-program", package="no-such-package")


def test_a_part_that_ends_early_shows_its_last_words(tmp_path: Path) -> None:
    part = Process([sys.executable, "-c", "print('no room'); raise SystemExit(3)"], log=tmp_path / "log")
    part.start()
    with pytest.raises(PartFailedError, match=r"(?s)exit status 3.*no room"):
        part.wait_until(lambda: False)


def test_a_part_that_does_not_stop_is_killed_and_reported(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    part = Process([sys.executable, "-c", code], log=tmp_path / "log")
    part.start()
    part.wait_until(lambda: "1" in part.output())
    with pytest.raises(PartFailedError, match="SIGTERM"):
        part.stop(seconds=0.2)
    assert not part.running


@pytest.mark.parametrize("kind", ["mosquitto", "mariadb"])
def test_parts_die_with_the_tests(kind: str, part_directory: Path, mariadb_template: Path) -> None:
    make = {
        "mosquitto": f"from tests.parts.mosquitto import Mosquitto; part = Mosquitto(Path({str(part_directory)!r}))",
        "mariadb": "from tests.parts.mariadb import MariaDB; "
        f"part = MariaDB(Path({str(part_directory)!r}), Path({str(mariadb_template)!r}))",
    }[kind]
    code = f"from pathlib import Path; {make}; part.start(); print(part.process.pid, flush=True); input()"
    tests = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    with tests:
        assert tests.stdout is not None
        pid = int(tests.stdout.readline())
        assert is_alive(pid)
        tests.kill()
    assert is_gone(pid)


def test_mosquitto_keeps_what_it_retained_over_a_restart(own_mosquitto: Mosquitto) -> None:
    port = own_mosquitto.port
    own_mosquitto.publish("kept/topic", "42", retain=True)
    own_mosquitto.restart()
    assert own_mosquitto.port == port
    assert retained(own_mosquitto, "kept/topic") == "42"


def test_a_killed_mosquitto_is_gone_and_comes_back(own_mosquitto: Mosquitto) -> None:
    pid = own_mosquitto.process.pid
    own_mosquitto.kill()
    assert not is_alive(pid)
    assert not accepts(own_mosquitto.port)
    own_mosquitto.restart()
    own_mosquitto.publish("a/b", "1")


def test_mosquitto_with_users_lets_nobody_else_in(part_directory: Path) -> None:
    with Mosquitto(part_directory, users={"worker": "p:w/d"}) as broker:
        assert broker.url == f"mqtt://worker:p%3Aw%2Fd@127.0.0.1:{broker.port}"
        broker.publish("a/b", "1")
        stranger = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", "a/b", "-m", "1"]
        assert subprocess.run(stranger, check=False, capture_output=True, timeout=10).returncode != 0


def test_the_shared_broker_serves_each_test_on_topics_of_its_own(mosquitto: Mosquitto, topic_root: str) -> None:
    mosquitto.publish(f"{topic_root}/kitchen/status", b"online", retain=True)
    assert retained(mosquitto, f"{topic_root}/#") == "online"


def test_a_fresh_database_is_empty_and_compares_names_by_case(database_url: str) -> None:
    engine = create_engine(database_url)
    try:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE names (name VARCHAR(20) PRIMARY KEY)"))
            connection.execute(text("INSERT INTO names VALUES ('Temp'), ('temp')"))
            assert connection.execute(text("SELECT count(*) FROM names")).scalar_one() == 2
    finally:
        engine.dispose()


def test_dropping_a_database_does_not_wait_for_who_left_a_transaction_open(mariadb: MariaDB) -> None:
    url = mariadb.fresh_database()
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (a INT)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
        mariadb.drop_database(url)
        connection.invalidate()
    engine.dispose()
    other = create_engine(mariadb.fresh_database())
    with other.connect() as connection:
        left = connection.execute(text("SHOW DATABASES")).scalars().all()
    other.dispose()
    assert url.rsplit("/", 1)[1] not in left


def test_mariadb_frozen_killed_and_restarted_keeps_what_was_committed(own_mariadb: MariaDB) -> None:
    url = own_mariadb.fresh_database()
    engine = create_engine(url, connect_args={"connect_timeout": 1, "read_timeout": 1})
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (a INT)"))
        connection.execute(text("INSERT INTO t VALUES (7)"))
    engine.dispose()
    own_mariadb.freeze()
    assert not own_mariadb.answers()
    own_mariadb.thaw()
    assert own_mariadb.answers()
    pid = own_mariadb.process.pid
    own_mariadb.kill()
    assert not is_alive(pid)
    assert not own_mariadb.answers()
    own_mariadb.restart()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT a FROM t")).scalar_one() == 7
    engine.dispose()


def test_mariadb_speaks_as_production_does(mariadb: MariaDB) -> None:
    engine = create_engine(mariadb.fresh_database())
    with engine.connect() as connection:
        assert connection.execute(text("SELECT @@innodb_flush_log_at_trx_commit")).scalar_one() == 1
        assert connection.execute(text("SELECT @@character_set_database")).scalar_one() == "utf8mb4"
    engine.dispose()


def test_a_page_has_the_size_and_the_scheme_it_was_asked_for(pages: Pages) -> None:
    page = pages.open("data:text/html,<p>hello", width=390, scheme="dark")
    assert page.evaluate("innerWidth") == 390
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")


def test_a_page_that_asks_another_host_fails_its_test(browser: Browser) -> None:
    pages = Pages(browser)
    page = pages.open("data:text/html,<img src='http://example.com/x.png' onerror='document.title=1'>")
    page.wait_for_function("document.title === '1'")
    with pytest.raises(ForeignRequestError, match=r"example\.com/x\.png"):
        pages.close()


def test_a_lock_is_waited_for_however_impatient_the_worker(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = engine.create(database_url)
    migrations.apply(database)
    database.dispose()
    monkeypatch.setattr(engine, "SQLITE_BUSY_S", 0.0)
    asked, order = threading.Event(), []

    def second() -> None:
        asked.set()
        with locked(database_url):
            order.append("second")

    waiting = threading.Thread(target=second)
    with locked(database_url):
        waiting.start()
        asked.wait(20)
        waiting.join(0.2)  # where it does not wait, it has failed or has the lock by then
        order.append("first")
    waiting.join(20)
    assert order == ["first", "second"]


def test_a_lock_ends_with_a_test_that_fails(database_url: str) -> None:
    database = engine.create(database_url)
    migrations.apply(database)
    with pytest.raises(RuntimeError), locked(database_url):
        raise RuntimeError
    with engine.writing(database) as connection:
        connection.execute(text("DELETE FROM readings"))
    database.dispose()
