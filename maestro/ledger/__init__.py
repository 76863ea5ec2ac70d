"""Budgets that are never overrun: the worst case is reserved before, the true cost settled after.

Amounts are whole numbers: nanodollars (``usd``), tokens, runs, seconds (``minutes``), bytes (``gigabytes``).
"""
