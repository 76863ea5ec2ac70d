"""Connections and values as Dagster resources: a workflow's parameters, and what the steps of one run share."""
