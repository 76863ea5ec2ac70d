"""Addresses of databases whose absence is noticed after seconds, not after the minutes of TCP's own defaults."""

from __future__ import annotations

import sqlalchemy as sa

_POSTGRESQL = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    # Milliseconds.
    "tcp_user_timeout": "10000",
}


def lively(url: str) -> str:
    """The same database; what the address says of these options itself stands."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "postgresql":
        return url
    return parsed.update_query_dict({**_POSTGRESQL, **parsed.query}).render_as_string(hide_password=False)
