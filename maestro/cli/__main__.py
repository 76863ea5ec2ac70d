"""``python -m maestro.cli``."""

from maestro.cli.start import main

main()
