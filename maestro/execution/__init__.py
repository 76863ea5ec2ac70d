"""How one step is carried out, without Dagster: resolve it, look in the cache, run it, keep what it leaves behind.

``planner`` says beforehand what would happen; ``step`` does it; ``session`` holds what the steps of one run share.
"""
