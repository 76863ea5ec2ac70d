"""Evaluations of models: cases, statistics, regression, reports."""
