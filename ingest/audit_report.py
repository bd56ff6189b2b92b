"""An audit as text for a terminal and as a document for programs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from db.account import Missing
from db.resends import Named, Resend
from db.terminal import clock, shown
from ingest import day_counts
from ingest.audit import Audit, Silent
from ingest.day_counts import DayComparison
from ingest.health import Account, Counts
from ingest.placement import OWN_BOOT
from ingest.published import Comparison, Sent

#: Lines of one list that a terminal shows; the document has all.
_LINES: Final = 50
_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def document(audit: Audit) -> dict[str, Any]:
    """All of it. Times are UTC ms."""
    return {
        "ok": audit.ok,
        "at": audit.at,
        "mismatches": audit.mismatches,
        "rows": audit.rows,
        "sealed": audit.sealed,
        "imported": audit.imported,
        "removed": audit.removed,
        "total": _account(audit.total),
        "workers": {worker: _account(held) for worker, held in audit.accounts.items()},
        "dead_letters": asdict(audit.dead_letters),
        "missing": [
            {
                "device": gap.device,
                "boot": gap.boot,
                "first": gap.first,
                "last": gap.last,
                "count": gap.count,
                "sent_after": gap.before_at,
                "sent_before": gap.noticed_at,
            }
            for gap in audit.missing
        ],
        "resends": [_resend(one) for one in audit.resends],
        "silent": [asdict(one) for one in audit.silent],
        "published": None if audit.published is None else _published(audit.published),
        "days": day_counts.document(audit.days),
        "by_day": None if audit.by_day is None else _by_day(audit.by_day),
    }


def _by_day(found: DayComparison) -> dict[str, Any]:
    return {
        "first": found.first.isoformat(),
        "end": found.end.isoformat(),
        "compared": found.compared,
        "differences": [{**asdict(one), "day": one.day.isoformat()} for one in found.differences],
    }


def _resend(named: Named) -> dict[str, Any]:
    one = named.range
    return {
        "device": named.device,
        "boot": one.boot,
        "first": one.first,
        "last": one.last,
        "count": one.count,
        "state": one.outcome or "waiting",
        "tries": one.tries,
        "asked_at": one.asked_at,
        "next_at": one.next_at,
        "ended_at": one.ended_at,
    }


def _account(held: Account) -> dict[str, Any]:
    return {**_counts(held.messages), "readings": _counts(held.readings)}


def _counts(counts: Counts) -> dict[str, int]:
    return {"received": counts.received, **asdict(counts)}


def _published(found: Comparison) -> dict[str, Any]:
    return {
        "lines": found.lines,
        "lost": [{**asdict(one.sent), "arrived": one.arrived} for one in found.lost],
        "doubled": [{**asdict(one.sent), "times": one.times} for one in found.doubled],
    }


def text(audit: Audit) -> str:
    """For a person at a terminal."""
    parts = [
        _account_text(audit),
        _missing_text(audit.missing),
        *([_resends_text(audit.resends)] if audit.resends else []),
        _silent_text(audit.silent, audit.at),
    ]
    if audit.published is not None:
        parts.append(_published_text(audit.published))
    if audit.by_day is not None:
        parts.append(_by_day_text(audit.by_day))
    parts.append(_verdict(audit))
    return "\n\n".join(parts)


def _account_text(audit: Audit) -> str:
    names = ("received", "stored", "duplicate", "rejected", "waiting")
    rows = [
        (name, unit, *(f"{getattr(counts, one):,}" for one in names))
        for worker, held in [*audit.accounts.items(), ("all", audit.total)]
        for name, unit, counts in ((shown(worker), "messages", held.messages), ("", "readings", held.readings))
    ]
    letters = audit.dead_letters
    gone = f" {letters.removed:,} older ones had to leave." if letters.removed else ""
    return "\n".join(
        [
            f"The account at {clock(audit.at)}: received = stored + duplicate + rejected + waiting",
            *_table(("worker", "", *names), rows),
            f"Readings in the database: {_held(audit)}. Dead letters kept: {letters.kept:,}.{gone}",
        ]
    )


def _held(audit: Audit) -> str:
    """How many readings there are, where, and what the account does not tell of them."""
    where = f" ({audit.rows:,} rows + {audit.sealed:,} sealed)" if audit.sealed else ""
    beside = [
        f"{count:,} {what}" for what, count in (("imported", audit.imported), ("removed", audit.removed)) if count
    ]
    return f"{audit.held:,}{where}{', after ' + ' and '.join(beside) if beside else ''}"


def _missing_text(missing: Sequence[Missing]) -> str:
    if not missing:
        return "Missing: nothing. Every number between two that reached us is here."
    count = sum(gap.count for gap in missing)
    rows = [
        (
            shown(gap.device),
            _boot(gap.boot),
            _numbers(gap),
            f"{gap.count:,}",
            clock(gap.before_at),
            clock(gap.noticed_at),
        )
        for gap in missing[:_LINES]
    ]
    head = f"Missing: {count:,} {'message' if count == 1 else 'messages'}. The device sent it, it never reached us."
    columns = ("device", "boot", "numbers", "count", "sent after", "sent before")
    return "\n".join([head, *_table(columns, rows), *_rest(missing)])


def _numbers(of: Missing | Resend) -> str:
    return str(of.first) if of.count == 1 else f"{of.first}..{of.last}"


def _resends_text(found: Sequence[Named]) -> str:
    """What devices were asked to send again."""
    sums = Counter[str]()
    for one in found:
        sums[one.range.outcome or "waiting"] += one.range.count
    counts = ", ".join(f"{sums[state]:,} {state}" for state in ("repaired", "waiting", "gone", "unanswered"))
    rows = [
        (
            shown(one.device),
            _boot(one.range.boot),
            _numbers(one.range),
            f"{one.range.count:,}",
            one.range.outcome or "waiting",
            str(one.range.tries),
            "" if one.range.asked_at is None else clock(one.range.asked_at),
            _then(one.range),
        )
        for one in found[:_LINES]
    ]
    columns = ("device", "boot", "numbers", "count", "state", "asked", "last", "")
    return "\n".join([f"Asked for again, of the last 30 days: {counts}.", *_table(columns, rows), *_rest(found)])


def _then(one: Resend) -> str:
    if one.outcome is not None:
        return "" if one.ended_at is None else f"ended {clock(one.ended_at)}"
    return (
        "" if one.next_at is None else f"again from {clock(one.next_at)}" if one.tries else f"from {clock(one.next_at)}"
    )


def _boot(boot: str) -> str:
    """A start's label; of one that we made up, when that start was noticed."""
    made_up = boot.removeprefix(OWN_BOOT).split(".")[0]
    return f"from {clock(int(made_up))}" if boot.startswith(OWN_BOOT) and made_up.isdecimal() else shown(boot)


def _silent_text(silent: Sequence[Silent], now: int) -> str:
    if not silent:
        return "Silent: no device."
    rows = [
        (
            shown(one.device),
            clock(one.since),
            _span(now - one.since),
            "" if one.usual_ms is None else f"every {_span(one.usual_ms)}",
            "it is offline" if one.offline else "no word of it",
        )
        for one in silent[:_LINES]
    ]
    head = (
        f"Silent: {len(silent):,} {'device' if len(silent) == 1 else 'devices'}. Nothing was sent, as far as we know."
    )
    return "\n".join([head, *_table(("device", "since", "for", "usually", ""), rows), *_rest(silent)])


def _span(ms: int) -> str:
    for unit_ms, unit in _UNITS:
        if ms >= unit_ms:
            return f"{ms // unit_ms} {unit}"
    return f"{ms} ms"


def _published_text(found: Comparison) -> str:
    head = (
        f"Published: {found.lines:,} lines, {len(found.lost):,} lost, {sum(d.times for d in found.doubled):,} doubled."
    )
    lost = [
        f"  lost: {_sent(one.sent)}: " + ("it reached us and is not stored" if one.arrived else "it never reached us")
        for one in found.lost[:_LINES]
    ]
    doubled = [f"  doubled: {_sent(one.sent)}: {one.times} times too often" for one in found.doubled[:_LINES]]
    return "\n".join([head, *lost, *_rest(found.lost), *doubled, *_rest(found.doubled)])


def _by_day_text(found: DayComparison) -> str:
    if found.first >= found.end:
        return "Day by day: there is no whole day that both counted. Make FILE anew, or ask for more by --days."
    span = f"{found.first} to {day_counts.last_day(found)} (UTC; today is not over)"
    if found.agrees:
        return (
            f"Day by day, {span}: the same number of readings there and here, each device and day ({found.compared:,})."
        )
    rows = [
        (shown(one.device), one.day.isoformat(), f"{one.there:,}", f"{one.here:,}")
        for one in found.differences[:_LINES]
    ]
    head = f"Day by day, {span}: {len(found.differences):,} of {found.compared:,} differ."
    return "\n".join([head, *_table(("device", "day", "there", "here"), rows), *_rest(found.differences)])


def _sent(sent: Sent) -> str:
    parts = [("boot", sent.boot), ("metric", sent.metric), ("value", sent.value), ("ts", sent.ts)]
    more = "".join(f", {name} {shown(str(part))}" for name, part in parts if part is not None)
    return f"{shown(sent.device)} number {sent.seq}{more}"


def _verdict(audit: Audit) -> str:
    if audit.ok:
        return "All adds up."
    why = list(audit.mismatches)
    if audit.missing:
        why.append(
            "Some of what devices sent never reached us. The usual cause is a broker that dropped it, or lost it when "
            "it died: docs/reliability.md says which of its settings to look at. What devices still have is asked for."
        )
    if audit.published is not None and not audit.published.agrees:
        why.append("What was published is not what is stored: see the lines above, and the dead letters.")
    if audit.by_day is not None and not audit.by_day.agrees:
        why.append(
            "There and here hold another number of readings on some days. Fewer here: a bridge that is away or behind "
            "(python -m broker doctor), or a broker that lost what it had acknowledged. More here: readings that the "
            "other server lost, or that came here another way."
        )
    head = "It does not add up." if audit.mismatches else "The account adds up, and something is missing."
    return f"{head}\n" + "\n".join(f"  {one}" for one in why)


def _rest(found: Sequence[object]) -> Iterator[str]:
    if len(found) > _LINES:
        yield f"  and {len(found) - _LINES:,} more; --json names all."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as they need; what begins with a digit, or is grouped as a number, stands right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    numeric = [all(line[column].replace(",", "").isdecimal() for line in lines[1:]) for column in range(len(head))]
    for line in lines:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ]
        yield f"  {'  '.join(cells)}".rstrip()
