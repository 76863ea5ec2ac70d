"""The Dagster code location: ``definitions`` is what Dagster loads; everything else serves it."""
