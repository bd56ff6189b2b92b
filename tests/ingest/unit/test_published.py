from __future__ import annotations

import pytest

from ingest.published import ListError, Sent, load


def test_lines_are_read_as_they_are_meant() -> None:
    lines = [
        '{"device": "a", "seq": 0}\n',
        "\n",
        '{"device": "a", "seq": 1, "boot": 7, "metric": "v", "value": -0.0, "ts": 5}',
        '{"device": "a", "seq": 2, "value": true}',
    ]
    first, second, third = load(lines)
    assert first == Sent("a", 0)
    assert second == Sent("a", 1, "7", "v", 0.0, 5)
    assert third.value == 1.0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("no JSON", "line 2: JSON is malformed"),
        ('{"device": "a"}', "`seq`"),
        ('{"device": "a", "seq": -1}', "`int` >= 0"),
        ('{"device": "a", "seq": 1, "colour": 2}', "unknown field `colour`"),
        ('{"device": "a", "seq": 1, "value": "x"}', "value"),
        ('{"device": "a", "seq": 1, "ts": 99999999999999999999999}', "ts"),
    ],
)
def test_a_line_that_can_not_be_used_is_named(line: str, words: str) -> None:
    with pytest.raises(ListError) as caught:
        load(['{"device": "a", "seq": 1}', line])
    assert words in str(caught.value)
    assert str(caught.value).startswith("line 2: ")
