"""What charges tell: how a month will end, what a run will cost, which day is out of line, and who spent what.

Pure functions over charges; nothing here reads the ledger or the clock. ``daily`` is the series of days the others look
at, ``forecast`` and ``run_forecast`` look ahead, ``anomaly`` looks back, ``export`` writes it all down.
"""
