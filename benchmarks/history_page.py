"""The History page in Chromium: from a click on a ready-made range until its charts are drawn.

Two series of a device at a reading each 5 s, two years of them sealed and the last day as rows, on SQLite with the
worker inside the server. The page's own clock is read at the click, and after the first frame in which both charts show
another time axis and another line.
"""

from __future__ import annotations

import sys
import time
from typing import Any, Final

import numpy as np
from playwright.sync_api import Page, expect

from benchmarks import parts
from benchmarks.options import Options
from benchmarks.tables import Table, count, percentile
from db import chunks, devices, hours
from db import engine as database
from db.packing import DAY_MS, HOUR_MS, Points, fold
from db.readings import insert_new
from tests.parts.chromium import Pages, chromium
from tests.parts.server import Server

_STEP_MS: Final = 5_000
_METRICS: Final = (("temperature", "°C"), ("humidity", "%"))
#: In this order each click leads to another span, to a coarser and to a finer one in turn.
_CLICKS: Final = ("1 h", "30 days", "15 min", "7 days", "6 h", "1 year", "24 h", "Everything")
_MOST_MS: Final = 700

_WATCH: Final = """
window.clickToDrawn = (label, charts) => new Promise((resolve, reject) => {
  const shown = () => [...document.querySelectorAll(".stVegaLiteChart")].slice(0, charts).map((chart) => {
    const marks = [...chart.querySelectorAll("svg.marks .role-axis-label text")].map((text) => text.textContent);
    const line = chart.querySelector("svg.marks .mark-line path");
    return line ? [marks.join("|"), line.getAttribute("d")] : null;
  });
  const before = shown();
  const button = [...document.querySelectorAll("[data-testid=stButtonGroup] button")]
    .find((one) => one.textContent.trim() === label);
  if (!button) return reject(new Error(`no button ${label}`));
  const began = performance.now();
  button.click();
  const look = () => {
    const now = shown();
    const drawn = now.length === charts && now.every(
      (one, index) => one && before[index] && one[0] !== before[index][0] && one[1] !== before[index][1],
    );
    if (drawn) return requestAnimationFrame(() => resolve(performance.now() - began));
    if (performance.now() - began > 20000) return reject(new Error(`nothing was drawn for ${label}`));
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
});
"""


def run(options: Options) -> list[Table]:
    """One table."""
    with parts.directory() as directory, Server(directory) as server:
        server.process.wait_until(lambda: server.get("/api/health/").status_code == 200)
        print("  filling", file=sys.stderr)
        total = _fill(server, 40 if options.quick else 730)
        with chromium() as browser:
            pages = Pages(browser)
            page = pages.open()
            page.add_init_script(_WATCH)
            page.goto(f"{server.url}/history?device=kitchen&range=24h")
            _settled(page)
            took = _click(page, 1 if options.quick else 8)
            pages.close()
    return [_table(took, total)]


def _fill(server: Server, number: int) -> int:
    """Readings up to now. Returns how many."""
    now = time.time_ns() // 1_000_000
    today = now // DAY_MS * DAY_MS
    store, total = database.create(f"sqlite:///{server.data_dir}/monitor.db"), 0
    with database.writing(store) as connection:
        device_id = devices.ensure(connection, ["kitchen"], now)["kitchen"]
        ids = devices.ensure_series(connection, [(device_id, name) for name, _ in _METRICS], now)
        devices.store_about(connection, device_id, devices.About("kitchen", None, None, (), dict(_METRICS)), now)
    rng = np.random.default_rng(1)
    for place, series_id in enumerate(ids[device_id, name] for name, _ in _METRICS):
        for start in range(today - number * DAY_MS, today + 1, DAY_MS):
            ts = np.arange(start, min(start + DAY_MS, now), _STEP_MS, dtype=np.int64)
            wave = 20 + 25 * place + 5 * np.sin((ts % DAY_MS) / DAY_MS * 2 * np.pi) + 4 * np.sin(ts / (90 * DAY_MS))
            points = Points(ts, np.round(wave + rng.normal(0, 0.15, len(ts)), 1))
            with database.writing(store) as connection:
                _store(connection, series_id, start, points, sealed=start < today - DAY_MS)
            total += len(ts)
    store.dispose()
    return total


def _store(connection: database.Connection, series_id: int, start: int, points: Points, *, sealed: bool) -> None:
    if sealed:
        chunks.store(connection, [chunks.make(series_id, start, start + DAY_MS, points)])
        hours.replace(connection, series_id, start, start + DAY_MS, fold(points.ts, points.value, HOUR_MS))
    else:
        pairs = zip(points.ts.tolist(), points.value.tolist(), strict=True)
        insert_new(connection, [(series_id, ts, value) for ts, value in pairs])


def _settled(page: Page) -> None:
    expect(page.get_by_text("The same from a terminal")).to_be_attached()
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
    expect(page.locator(".stVegaLiteChart svg.marks")).to_have_count(5)  # two panels, overview, week, distribution


def _click(page: Page, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each click, by its button; after one round that does not count."""
    took: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for label in _CLICKS:
            each: Any = page.evaluate("([label, charts]) => window.clickToDrawn(label, charts)", [label, len(_METRICS)])
            _settled(page)
            if number:
                took.setdefault(label, []).append(float(each))
    return took


def _table(took: dict[str, list[float]], total: int) -> Table:
    every = [each for some in took.values() for each in some]
    rows = [(label, f"{percentile(some, 50):.0f}", f"{percentile(some, 95):.0f}", "") for label, some in took.items()]
    rows.append(("all of them", f"{percentile(every, 50):.0f}", f"{percentile(every, 95):.0f}", str(_MOST_MS)))
    return Table(
        "History: from a click on a range to its charts",
        ("range", "p50 ms", "p95 ms", "at most"),
        tuple(rows),
        (f"{len(every)} clicks on a page with two charts, an overview and two patterns of {count(total)} readings.",),
    )
