"""From a click on the Control page to the device's own report on the same card, in Chromium.

Timed in the page, from the click to the frame in which the card shows the other state: the command's row, the
dispatcher, the broker, a device that answers at once, the worker, the event stream and the page's script lie between.
"""

from __future__ import annotations

from typing import Final

from playwright.sync_api import Page

from benchmarks.commanding import PASSWORD, running
from benchmarks.tables import Table, percentile
from benchmarks.telemetry import device
from tests.parts.chromium import Pages, chromium
from tests.parts.mariadb import MariaDB

CLICKS: Final = 100
#: A press so soon after a button changed its word is not taken: it was meant for the word before.
_BETWEEN_MS: Final = 700

_CLICK: Final = """
(button) => new Promise((done) => {
  const card = button.closest("li.card");
  const before = card.dataset.state;
  const look = new MutationObserver(() => {
    if (card.dataset.state === before) return;
    look.disconnect();
    requestAnimationFrame(() => done(performance.now() - began));
  });
  look.observe(card, {attributes: true});
  const began = performance.now();
  button.click();
})
"""


def measure(server: MariaDB, clicks: int) -> Table:
    """One row."""
    with running(server, 1) as (web, _, _, _), chromium() as browser:
        pages = Pages(browser)
        page = pages.open(f"{web.url}/control")
        _log_in(page)
        card = page.locator("li.card", has_text=device(0))
        took = []
        for _ in range(clicks + 2):
            page.wait_for_timeout(_BETWEEN_MS)
            took.append(float(card.locator("button.verb").evaluate(_CLICK)))
        pages.close()
    shown = took[2:]  # the first ones warm up
    row = (
        "click to the device's state on the page",
        *(f"{percentile(shown, percent):.0f}" for percent in (50, 95)),
        f"{max(shown):.0f}",
        "400",
    )
    note = f"{clicks} clicks, one after the other; MariaDB, the worker in the process, a page in Chromium."
    return Table("A press in the browser", ("what", "p50 ms", "p95 ms", "longest", "p95 at most"), (row,), (note,))


def _log_in(page: Page) -> None:
    page.get_by_role("link", name="Log in").last.click()
    page.get_by_label("Name", exact=True).fill("admin")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    page.locator("button.verb").first.wait_for()
