"""Where the program ``maestro`` begins: hands the command to a warm process, or else goes on by itself.

Imports nothing else before that, since a run by a warm process is over before much could be imported.
"""

import os
import sys

from maestro.cli.warm.client import carried_out


def main() -> None:
    """Runs ``maestro`` with the process's own arguments; does not return."""
    try:
        code = carried_out(sys.argv[1:], os.environ)
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
        code = 130
    if code is not None:
        os._exit(code)
    from maestro.cli.main import main as go_on

    go_on()
