"""docs/deploy.md, typed block by block on a Debian 12 that has just been made; and what it claims, looked at there."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.chaos.page import PAGE, Block, blocks, exposures
from tests.parts.debian import Debian
from tests.parts.eventually import eventually
from tests.parts.process import find_program

ROOT: Final = Path(__file__).parents[2]
NAME: Final = "monitor.example.org"
OLD, NEW = "the-old-release", "the-new-release"
UNITS: Final = ("smart-monitor.service", "smart-monitor-ingest@1.service", "smart-monitor-broker.service")
CURL: Final = "curl --silent --show-error --max-time 10 --cacert /etc/smart-monitor/tls.crt"
#: Downloads take as long as they take.
_LONGEST_S: Final = 900.0
_TOKEN: Final = "a password for trying"
_MIGRATION: Final = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{before}"


def upgrade() -> None:
    op.create_table("the_next_release", sa.Column("id", sa.Integer, primary_key=True))
"""


class Server:
    """The machine, and what the reader has filled in."""

    def __init__(self, debian: Debian) -> None:
        self.debian = debian
        self.release = OLD

    def type(self, block: Block) -> None:
        """Type a block as the page has it."""
        filled = f"NAME={NAME}\nSOURCE=/srv/source.git\nRELEASE={self.release}\n"
        done = self.debian.run(filled + block.script, internet=block.internet, seconds=_LONGEST_S)
        assert done.returncode == 0, f"{block.chapter}:\n{block.script}\n{done.stdout[-4000:]}"

    def say(self, script: str) -> str:
        """What a command of the test's own says. Raises AssertionError if it fails."""
        done = self.debian.run(script)
        assert done.returncode == 0, f"{script}\n{done.stdout[-4000:]}"
        return done.stdout.strip()

    def get(self, path: str, *options: str) -> str:
        """The body of what nginx answers, or what `options` of curl make of it."""
        return self.say(f"{CURL} {shlex.join(options)} {shlex.quote(f'https://{NAME}/monitor{path}')}")

    def state(self, unit: str) -> dict[str, str]:
        """What systemd knows of a unit."""
        asked = "ActiveState,SubState,StatusText,NRestarts,Result,MainPID"
        shown = self.say(f"systemctl show --property={asked} {shlex.quote(unit)}")
        return dict(line.split("=", 1) for line in shown.splitlines())

    def token(self) -> str:
        """An access token of an admin who is there for the test."""
        login = json.dumps({"username": "tester", "password": _TOKEN})
        answer = self.get("/api/token/", "--json", login)
        access: str = json.loads(answer)["access"]
        return access

    def ask(self, path: str) -> object:
        """What the API answers somebody who is logged in."""
        return json.loads(self.get(path, "--header", f"Authorization: Bearer {self.token()}"))


@pytest.fixture
def server(part_directory: Path) -> Iterator[Server]:
    with Debian(part_directory, name=NAME) as debian:
        source = debian.tree / "srv/source.git"
        subprocess.run(["git", "clone", "--quiet", "--bare", ROOT, source], check=True)

        make_releases(source, part_directory / "index")
        yield Server(debian)


def make_releases(source: Path, index: Path) -> None:
    """Tag what is there as the old release, and make a new one of it that has a migration more."""

    def git(*command: str, given: str = "") -> str:
        who = ["-c", "user.name=a test", "-c", "user.email=test@example.org"]
        ran = subprocess.run(
            ["git", "-C", source, *who, *command],
            check=True,
            capture_output=True,
            text=True,
            input=given,
            env=os.environ | {"GIT_INDEX_FILE": str(index)},
        )
        return ran.stdout.strip()

    newest = max(file.stem for file in (ROOT / "db/migrations/versions").glob("[0-9]*.py"))
    migration = git("hash-object", "-w", "--stdin", given=_MIGRATION.format(before=newest.split("_")[0]))
    git("tag", OLD, "HEAD")
    git("read-tree", "HEAD")
    git("update-index", "--add", "--cacheinfo", f"100644,{migration},db/migrations/versions/9999_the_next_release.py")
    git("tag", NEW, git("commit-tree", git("write-tree"), "-p", "HEAD", "-m", "The next release"))


@pytest.mark.timeout(1800)
def test_the_page_holds_from_its_first_block_to_its_last(server: Server, record_line: list[str]) -> None:
    first, *rest = blocks(PAGE.read_text(encoding="utf-8"))
    assert [line.split("=")[0] for line in first.script.splitlines()] == ["NAME", "SOURCE", "RELEASE"]
    looked = set()
    for number, block in enumerate(rest):
        server.release = {"11. Upgrade": NEW, "12. The way back": OLD}.get(block.chapter, server.release)
        if block.not_run is None:
            server.type(block)
        last_of_chapter = number + 1 == len(rest) or rest[number + 1].chapter != block.chapter
        if last_of_chapter and block.chapter in LOOKS:
            LOOKS[block.chapter](server)
            looked.add(block.chapter)
    assert looked == set(LOOKS), "a chapter has another name"
    record_line.append(memory(server))
    look_at_a_bridge(server)
    look_at_the_end(server)


def memory(server: Server) -> str:
    """What the processes of each unit hold now, in MB; what several share is counted in parts."""
    found = []
    for unit in (*UNITS, "mariadb.service", "nginx.service"):
        group = server.say(f"systemctl show --property=ControlGroup --value {shlex.quote(unit)}")
        each = f"for pid in $(cat '/sys/fs/cgroup{group}/cgroup.procs'); do cat /proc/$pid/smaps_rollup; done"
        kilobytes = server.say(f"{each} | awk '/^Pss:/ {{ sum += $2 }} END {{ print sum }}'")
        found.append(f"{unit} {int(kilobytes) // 1024} MB")
    return f"On the server of docs/deploy.md, after a few readings and a page in a browser: {', '.join(found)}."


def look_at_services(server: Server) -> None:
    for unit in UNITS:
        assert server.state(unit)["ActiveState"] == "active", server.say(f"journalctl --no-pager -u {unit}")
    counts = r"\d+ received = \d+ stored"
    eventually(lambda: re.match(counts, server.state("smart-monitor-ingest@1.service")["StatusText"]))
    eventually(lambda: re.match(counts, server.state("smart-monitor.service")["StatusText"]))
    server.say(
        "find /etc/systemd/system -maxdepth 1 -name 'smart-monitor*' -type f -exec systemd-analyze verify --man=no {} +"
    )
    told = exposures(PAGE.read_text(encoding="utf-8"))
    measured = {unit: exposure(server, unit) for unit in told}
    assert measured == told
    look_at_the_watchdog(server)


def exposure(server: Server, unit: str) -> float:
    said = server.say(f"systemd-analyze security --no-pager {shlex.quote(unit)} | tail -n 1")
    found = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert found is not None, said
    return float(found[1])


def look_at_the_watchdog(server: Server) -> None:
    """One that hangs is started anew; here after a second, that the test need not wait a minute."""
    unit = "smart-monitor-ingest@1.service"
    folder = f"/run/systemd/system/{unit}.d"
    impatient = r"[Service]\nWatchdogSec=1\nTimeoutAbortSec=1\nRestartSec=0\n"
    server.say(f"mkdir -p {folder} && printf '{impatient}' >{folder}/test.conf && systemctl daemon-reload")
    server.say(f"systemctl restart {unit}")
    before = server.state(unit)
    server.say(f"kill -STOP {before['MainPID']}")

    def started_anew() -> bool:
        now = server.state(unit)
        return now["MainPID"] not in ("0", before["MainPID"]) and now["ActiveState"] == "active"

    eventually(started_anew)
    assert "watchdog" in server.say(f"journalctl --no-pager --unit={unit} --grep='[Ww]atchdog timeout'").lower()
    server.say(f"rm -r {folder} && systemctl daemon-reload && systemctl restart {unit}")


def look_at_it_working(server: Server) -> None:
    look_at_ports(server)
    assert server.get("/", "--output", "/dev/null", "--write-out", "%{http_code}") == "200"
    assert "max-age=" in server.get("/", "--head").lower().split("strict-transport-security:")[1]
    moved = server.say(f"{CURL} --head http://{NAME}/monitor/")
    assert "301" in moved
    assert f"https://{NAME}/monitor/" in moved
    assert upgrade(server, f"https://{NAME}") == "101"
    assert upgrade(server, "https://elsewhere.example") == "403"
    assert server.get("/api/dht22_db/", "--output", "/dev/null", "--write-out", "%{http_code}") == "401"

    server.say(f"echo {shlex.quote(_TOKEN)} | smart-monitor db users add tester --role admin --password-stdin")
    reading = server.ask("/api/dht22_db/?device=kitchen")
    assert isinstance(reading, dict)
    assert reading["temperature"] == 21.5
    look_at_the_stream(server)
    look_at_addresses(server)
    look_at_the_pages(server)


def look_at_ports(server: Server) -> None:
    """Nothing listens on the network but what the page says."""
    listening = server.say("ss --listening --tcp --numeric --no-header | awk '{ print $4 }'").split()
    open_to_all = {address.rsplit(":", 1)[1] for address in listening if not address.startswith(("127.", "[::1]"))}
    assert open_to_all == {"80", "443", "8883", "8884"}
    assert {"127.0.0.1:1883", "127.0.0.1:3306", "127.0.0.1:8501"} <= set(listening)


def upgrade(server: Server, origin: str) -> str:
    """The status that somebody from this page gets who asks for Streamlit's WebSocket."""
    asked = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": "streamlit",
        "Origin": origin,
    }
    headers = shlex.join(part for name, value in asked.items() for part in ("--header", f"{name}: {value}"))
    command = f"{CURL} --http1.1 --max-time 3 {headers} --output /dev/null --write-out '%{{http_code}}'"
    # An upgraded connection stays open until curl has had enough.
    return server.say(f"{command} https://{NAME}/monitor/_stcore/stream 2>/dev/null || true")


def look_at_the_stream(server: Server) -> None:
    """What Live shows comes at once, and is not kept by the proxy until there is more of it."""
    bearer = shlex.quote(f"Authorization: Bearer {server.token()}")
    heard = server.say(
        f"{CURL} --no-buffer --max-time 3 --header {bearer} https://{NAME}/monitor/api/live/ 2>/dev/null || true"
    )
    assert heard.startswith("retry:")
    assert "kitchen" in heard


def look_at_addresses(server: Server) -> None:
    """The audit log has the client's address, and not what the client says that it is."""
    wrong = json.dumps({"username": "tester", "password": "another password"})
    forged = ["--header", "X-Forwarded-For: 203.0.113.9", "--interface", "127.0.0.9"]
    status = server.get("/api/token/", "--json", wrong, *forged, "--output", "/dev/null", "--write-out", "%{http_code}")
    assert status == "401"
    logged = server.ask("/api/audit/?action=login&limit=20")
    assert isinstance(logged, list)
    assert "127.0.0.9" in {entry["address"] for entry in logged}
    assert "203.0.113.9" not in {entry["address"] for entry in logged}


def look_at_the_pages(server: Server) -> None:
    """A browser logs in through nginx, sees the device, and has a cookie that goes by TLS alone."""
    browse = server.debian.tree.parent / "browse"
    chromium = find_program("chromium", "chromium-browser", package="chromium")
    browse.write_text(f'#!/bin/sh\nexec nsenter --target={server.debian.first} --net {chromium} "$@"\n')
    browse.chmod(0o755)
    with sync_playwright() as playwright:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", f"--host-resolver-rules=MAP {NAME} 127.0.1.1"]
        browser = playwright.chromium.launch(executable_path=browse, args=arguments)
        context = browser.new_context(ignore_https_errors=True)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.goto(f"https://{NAME}/monitor/account")
        page.get_by_label("Name", exact=True).fill("tester")
        page.get_by_label("Password", exact=True).fill(_TOKEN)
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("stSidebar").get_by_role("link", name="tester")).to_be_visible(timeout=20_000)
        cookies = eventually(lambda: [one for one in context.cookies() if one["name"] == "sm_session"])
        assert [(one["secure"], one["httpOnly"], one["sameSite"]) for one in cookies] == [(True, True, "Strict")]
        page.goto(f"https://{NAME}/monitor/")
        expect(page.get_by_role("heading", name="kitchen").first).to_be_visible(timeout=20_000)
        browser.close()


def look_at_backup(server: Server) -> None:
    assert "smart-monitor-backup.timer" in server.say("systemctl list-timers --no-pager")
    kept = server.say("stat --format '%a %U' /var/backups/smart-monitor/*.zip /var/backups/smart-monitor-keys/*.tgz")
    assert kept.splitlines() == ["600 smart-monitor", "600 root"]
    names = server.say("tar -tzf /var/backups/smart-monitor-keys/*.tgz")
    assert {"etc/smart-monitor/monitor.env", "var/lib/smart-monitor-broker/dynamic-security.json"} <= set(names.split())
    look_at_a_new_reading(server, 22.5)


def look_at_a_new_reading(server: Server, value: float) -> None:
    """Everything works from a device's TLS connection to the API."""
    eventually(lambda: server.get("/api/health/", "--output", "/dev/null", "--write-out", "%{http_code}") == "200")
    server.say(
        "read -r user password client < <(smart-monitor broker device rotate kitchen --json | python3 -c "
        '\'import json, sys; it = json.load(sys.stdin); print(it["username"], it["password"], it["client_id"])\')\n'
        f"mosquitto_pub -h {NAME} -p 8883 --cafile /var/lib/smart-monitor-broker/certificates/ca.crt -u $user "
        f"-P $password -i $client -q 1 -t iot/kitchen/telemetry -m '{{\"temperature\": {value}}}'"
    )

    def shown() -> bool:
        reading = server.ask("/api/dht22_db/?device=kitchen")
        return isinstance(reading, dict) and reading["temperature"] == value

    eventually(shown)


def look_at_upgrade(server: Server) -> None:
    """The next release has a table more."""
    assert server.say("mariadb monitor --skip-column-names --execute \"SHOW TABLES LIKE 'the_next_release'\"")
    assert server.say("git -C /opt/smart-monitor describe --all --exact-match") == f"tags/{NEW}"
    look_at_a_new_reading(server, 23.5)


def look_at_the_way_back(server: Server) -> None:
    assert server.say("git -C /opt/smart-monitor describe --all --exact-match") == f"tags/{OLD}"
    assert not server.say("mariadb monitor --skip-column-names --execute \"SHOW TABLES LIKE 'the_next_release'\"")
    reading = server.ask("/api/dht22_db/?device=kitchen")
    assert isinstance(reading, dict)
    assert reading["temperature"] == 22.5, "as it was before the upgrade"
    look_at_a_new_reading(server, 23.75)


def look_at_two_workers(server: Server) -> None:
    for unit in ("smart-monitor-ingest@1.service", "smart-monitor-ingest@2.service"):
        assert server.state(unit)["ActiveState"] == "active"
    look_at_a_new_reading(server, 24.5)
    health = json.loads(server.get("/api/health/"))
    assert {worker["name"] for worker in health["ingest"]["workers"]} >= {"smart-monitor-1", "smart-monitor-2"}


def look_at_a_bridge(server: Server) -> None:
    """The broker's sandbox has room for a bridge with its stunnel; here it leads back to the same broker."""
    installed = server.debian.run("apt-get install -y -qq --no-install-recommends stunnel4", internet=True, seconds=300)
    assert installed.returncode == 0, installed.stdout[-2000:]
    server.say(
        "smart-monitor broker device add site1 --site --json >/root/site1.json\n"
        'export BRIDGE_PASSWORD=$(python3 -c \'import json; print(json.load(open("/root/site1.json"))["password"])\')\n'
        f"smart-monitor broker bridge add cloud --to {NAME} --site site1 --user site1 "
        "--ca /etc/ssl/smart-monitor-broker.crt\n"
        "systemctl restart smart-monitor-broker.service"
    )
    since = server.say("systemctl show --property=ActiveEnterTimestamp --value smart-monitor-broker.service")
    connected = "ss --tcp --no-header --processes state established dport = :8883 | grep --count stunnel"
    eventually(lambda: server.debian.run(connected).stdout.strip() == "1", what="the bridge")
    said = server.say(
        f"journalctl --no-pager --output=cat --since={shlex.quote(since)} -u smart-monitor-broker.service"
    )
    assert "ended, status" not in said
    look_at_a_new_reading(server, 25.5)


def look_at_the_end(server: Server) -> None:
    server.say("smart-monitor ingest audit")
    server.say("systemctl stop smart-monitor.target smart-monitor-broker.service")
    units = (*UNITS, "smart-monitor-ingest@2.service", "smart-monitor-backup.service")
    ended = {unit: server.state(unit) for unit in units}
    assert {unit: (state["ActiveState"], state["Result"]) for unit, state in ended.items()} == dict.fromkeys(
        units, ("inactive", "success")
    )
    said = server.say("journalctl --no-pager --output=cat -u 'smart-monitor*'")
    assert "Traceback" not in said
    assert "password is" not in said


#: What is looked at once the last block of a chapter has been typed.
LOOKS: Final[dict[str, Callable[[Server], None]]] = {
    "7. Services": look_at_services,
    "9. See that it works": look_at_it_working,
    "10. Backup": look_at_backup,
    "11. Upgrade": look_at_upgrade,
    "12. The way back": look_at_the_way_back,
    "13. More workers": look_at_two_workers,
}
