"""The gateway: takes webhooks, and does nothing but verify, keep and answer; ``python -m maestro.gateway``.

``intake`` is the way of one webhook. ``github`` and ``gitlab`` are what the senders differ in, ``secrets`` is what
their signatures are checked with, ``body`` and ``connection`` keep what anybody can send within bounds, ``status`` and
``metrics`` are for whoever watches it, ``program`` is the process.
"""
