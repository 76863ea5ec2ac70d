"""``python -m maestro.cli``."""

from maestro.cli.main import main

main()
