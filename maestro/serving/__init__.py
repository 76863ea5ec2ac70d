"""Serving lanes: what model servers (vLLM, Ray Serve, llama.cpp) say of themselves, in one set of numbers.

``settings`` are read from ``file``; ``exposition`` parses, ``kinds`` knows each server's names, ``measure`` makes rates
and quantiles of two readings, ``slo`` judges, ``scale`` says how many replicas are wanted, ``watch`` asks the servers,
``export`` tells Prometheus. A server that does not answer is unknown, never fine.
"""
