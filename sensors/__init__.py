"""Dagster sensors and schedules: what happens without anybody asking."""
