"""Runs on a server: Dagster's GraphQL, spoken with ``httpx`` and ``websockets`` alone, so that it starts quickly."""

from maestro.remote.runs import RemoteRuns

__all__ = ["RemoteRuns"]
