"""From GitHub's answers to when it may be asked again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from maestro.github.limits import limited_until

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DATE = "Fri, 20 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "headers", "said", "seconds"),
    [
        (403, {"Retry-After": "30"}, "", 30),
        (429, {"retry-after": "30"}, "", 30),
        (429, {"retry-after": "Fri, 20 Nov 2026 12:02:00 GMT", "date": DATE}, "", 120),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 600), "Date": DATE}, "", 601),
        (403, {}, "You have exceeded a secondary rate limit.", 60),
        (403, {}, "You have triggered an abuse detection mechanism.", 60),
        (429, {}, "", 60),
        (429, {"retry-after": "soon"}, "", 60),
        (429, {"retry-after": "0"}, "", 1),
        (429, {"retry-after": "999999999"}, "", 7200),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "whenever"}, "API rate limit exceeded", 60),
    ],
)  # fmt: skip
def test_a_limit_says_when_it_ends(status: int, headers: dict[str, str], said: str, seconds: int) -> None:
    assert limited_until(status, headers, said, NOW) == NOW + timedelta(seconds=seconds)


def test_the_reset_is_on_githubs_clock_and_the_result_on_ours() -> None:
    theirs = NOW + timedelta(minutes=10)
    headers = {
        "date": "Fri, 20 Nov 2026 12:10:00 GMT",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(int(theirs.timestamp()) + 60),
    }
    assert limited_until(403, headers, "", NOW) == NOW + timedelta(seconds=61)


@pytest.mark.parametrize("status", [401, 404, 422, 500, 503])
def test_other_answers_are_about_no_limit(status: int) -> None:
    assert limited_until(status, {"retry-after": "30"}, "rate limit", NOW) is None


def test_a_missing_permission_is_no_limit() -> None:
    headers = {"x-ratelimit-remaining": "4999", "x-ratelimit-reset": "1"}
    assert limited_until(403, headers, "Resource not accessible by integration", NOW) is None
