"""The Live page with 50 devices at a message a second and 50 viewers: does it stay smooth, and what does it cost?

49 viewers are open streams of /api/live/, the fiftieth is a page in Chromium. The age that is shown is that of the
reading on each card, by the device's own time, looked at five times a second in the page after it was drawn: a reading
that comes once a second is up to a second old however fast it came.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any, Final

from playwright.sync_api import CDPSession, Page

from benchmarks import parts, processes
from benchmarks.options import Options
from benchmarks.tables import Table, count, percentile
from benchmarks.viewers import Viewers
from tests.parts.chromium import Pages, chromium
from tests.parts.process import Process
from tests.parts.server import Server

_DEVICES: Final = 50
_VIEWERS: Final = 50
_SECONDS: Final = 60.0
#: Opening a page is one long task by nature; what is looked at begins after it.
_SETTLE_S: Final = 5.0

_WATCH: Final = """
window.bench = {tasks: [], ages: [], shown: new Map()};
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.bench.tasks.push([entry.startTime, entry.duration]);
}).observe({entryTypes: ["longtask"]});
const Original = window.EventSource;
window.EventSource = class extends Original {
  constructor(...given) {
    super(...given);
    this.addEventListener("reading", (event) => {
      const reading = JSON.parse(event.data);
      requestAnimationFrame(() => window.bench.shown.set(reading.device, reading.ts));
    });
  }
};
setInterval(() => {
  const now = Date.now();
  for (const ts of window.bench.shown.values()) window.bench.ages.push(now - ts);
}, 200);
"""


def run(options: Options) -> list[Table]:
    """One table of facts."""
    seconds, settle_s = (3.0, 2.0) if options.quick else (_SECONDS, _SETTLE_S)
    with parts.broker() as broker, parts.directory() as directory:
        settings = {"MQTT_URL": broker.url, "MQTT_CLIENT_ID": "bench"}
        fleet = [sys.executable, "-m", "firmware", "simulate", "--broker", broker.url]
        devices = Process([*fleet, "--count", str(_DEVICES), "--period", "1"], log=directory / "devices.log")
        with Server(directory, settings) as server:
            server.process.wait_until(lambda: server.get("/api/health/").status_code == 200)
            devices.start()
            try:
                server.process.wait_until(lambda: len(server.get("/api/dht22_db/").json()) >= _DEVICES)
                found = _look(server, seconds, settle_s)
            finally:
                devices.stop()
    return [_table(found, seconds)]


@dataclass(frozen=True, slots=True)
class _Found:
    """CPU as shares of a core, memory in MB, times in ms, traffic in bytes a second."""

    idle_cpu: float
    viewed_cpu: float
    paged_cpu: float
    idle_mb: float
    viewed_mb: float
    paged_mb: float
    stream_bytes: float
    page_cpu: float
    page_heap_mb: float
    tasks_ms: list[float]
    ages_ms: list[float]


def _look(server: Server, seconds: float, settle_s: float) -> _Found:
    idle_cpu, idle_mb = _server(server, seconds)
    with Viewers(server.url, _VIEWERS - 1, ask=False) as viewers:
        time.sleep(settle_s)
        before = viewers.received_bytes
        viewed_cpu, viewed_mb = _server(server, seconds)
        stream_bytes = (viewers.received_bytes - before) / seconds / (_VIEWERS - 1)
        with chromium() as browser:
            pages = Pages(browser)
            page = pages.open()
            page.add_init_script(_WATCH)
            page.goto(server.url)
            while not page.evaluate(f"() => window.bench.shown.size >= {_DEVICES}"):
                page.wait_for_timeout(50)  # the page's policy forbids what wait_for_function does
            page.wait_for_timeout(settle_s * 1000)
            page.evaluate("() => { window.bench.tasks.length = 0; window.bench.ages.length = 0; }")
            inspector = page.context.new_cdp_session(page)
            inspector.send("Performance.enable")
            busy = _metric(inspector, "TaskDuration")
            paged_cpu, paged_mb = _server(server, seconds, page)
            page_cpu = (_metric(inspector, "TaskDuration") - busy) / seconds
            heap = _metric(inspector, "JSHeapUsedSize") / 1e6
            bench: dict[str, Any] = page.evaluate("() => ({tasks: window.bench.tasks, ages: window.bench.ages})")
            pages.close()
    return _Found(
        idle_cpu,
        viewed_cpu,
        paged_cpu,
        idle_mb,
        viewed_mb,
        paged_mb,
        stream_bytes,
        page_cpu,
        heap,
        [duration for _, duration in bench["tasks"]],
        bench["ages"],
    )


def _server(server: Server, seconds: float, page: Page | None = None) -> tuple[float, float]:
    """The server's share of a core over some seconds, and its memory at their end."""
    before = processes.usage(server.process.pid).cpu_s
    if page is None:
        time.sleep(seconds)
    else:
        page.wait_for_timeout(seconds * 1000)  # lets Playwright work meanwhile
    after = processes.usage(server.process.pid)
    return (after.cpu_s - before) / seconds, after.rss_mb


def _metric(inspector: CDPSession, name: str) -> float:
    metrics = inspector.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == name))


def _table(found: _Found, seconds: float) -> Table:
    longest = max(found.tasks_ms, default=0.0)
    each = (found.viewed_mb - found.idle_mb) / (_VIEWERS - 1)
    rows = (
        (
            "age shown, p50 and p95",
            f"{percentile(found.ages_ms, 50):.0f} and {percentile(found.ages_ms, 95):.0f} ms",
            "p95 1,500",
        ),
        ("long tasks in the page, over 50 ms", count(len(found.tasks_ms)), ""),
        ("the longest of them", f"{longest:.0f} ms", "100"),
        ("page: main thread", f"{found.page_cpu:.1%} of a core", "stated"),
        ("page: JavaScript heap", f"{found.page_heap_mb:.1f} MB", "stated"),
        ("server: nobody looks", f"{found.idle_cpu:.1%} of a core, {found.idle_mb:.0f} MB", "stated"),
        (f"server: {_VIEWERS - 1} streams", f"{found.viewed_cpu:.1%} of a core, {found.viewed_mb:.0f} MB", "stated"),
        ("server: and a page", f"{found.paged_cpu:.1%} of a core, {found.paged_mb:.0f} MB", "stated"),
        ("server: memory a stream", f"{each * 1000:.0f} kB", "stated"),
        ("server: the first page that is opened", f"{found.paged_mb - found.viewed_mb:.1f} MB", "stated"),
        ("network: a stream", f"{found.stream_bytes / 1000:.1f} kB/s", "stated"),
    )
    return Table(
        f"Live: {_DEVICES} devices at a message a second, {_VIEWERS} viewers",
        ("what", f"over {seconds:.0f} s", "at most"),
        rows,
        ("SQLite, worker inside the server. The devices' clocks, and so the ages, are up to 40 ms wrong.",),
    )
