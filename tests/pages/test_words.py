from __future__ import annotations

import pytest

from pages.parts.agents import browser
from pages.parts.words import html, markdown, plain


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("ann", "ann"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("\" onmouseover='x'", "&quot; onmouseover=&#x27;x&#x27;"),
        ("a\nb\x1b[31m\x00", "a\\x0ab\\x1b[31m\\x00"),
        ("abc\u202egpj.exe", "abc\\u202egpj.exe"),
        ("Zoë 温度", "Zoë 温度"),
    ],
)
def test_html_shows_the_words_and_obeys_none_of_them(given: str, shown: str) -> None:
    assert html(given) == shown


@pytest.mark.parametrize(
    "given", ["**b**", "$x^2$", ":red[r]", ":material/home:", "[a](http://b)", "`c`", "a_b_c", "<i>"]
)
def test_markdown_has_a_backslash_before_whatever_it_would_obey(given: str) -> None:
    escaped = markdown(given)

    assert escaped.replace("\\", "") == given
    assert all(escaped[index - 1] == "\\" for index, one in enumerate(escaped) if one in "*$:[]()`_<>/^.")


def test_long_words_are_cut() -> None:
    assert plain("a" * 300, 10) == "a" * 10 + "…"


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 "
            "Safari/537.36 Edg/141.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/19.0 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        ("curl/8.9.1", "curl/8.9.1"),
        ("", "Unknown browser"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
    ],
)
def test_a_browser_in_words(agent: str, said: str) -> None:
    assert browser(agent) == said
