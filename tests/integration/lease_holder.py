"""A process that holds a lease and acts when told: it writes its epoch into a table, or says that it lost the lease.

``python -m tests.integration.lease_holder HOLDER SECONDS``, the database's URL in ``LEASE_DATABASE``. It prints
``held EPOCH``; then for each line it reads ``acted EPOCH`` or ``lost``.
"""

from __future__ import annotations

import os
import sys

import sqlalchemy as sa

from maestro.server.database import open_engine
from maestro.server.leases import LeaseLostError, Leases

ACTS = sa.Table("acts", sa.MetaData(), sa.Column("epoch", sa.Integer), sa.Column("holder", sa.Text))


def main() -> None:
    holder, seconds = sys.argv[1], float(sys.argv[2])
    engine = open_engine(os.environ["LEASE_DATABASE"])
    with Leases(engine).held("conductor", holder, seconds) as held:
        assert held is not None
        print("held", held.lease.epoch, flush=True)
        for _line in sys.stdin:
            try:
                with engine.begin() as connection:
                    connection.execute(ACTS.insert().values(epoch=held.lease.epoch, holder=holder))
                    held.check(connection)
            except LeaseLostError:
                print("lost", held.lost.is_set() and not held.alive, flush=True)
            else:
                print("acted", held.lease.epoch, flush=True)


if __name__ == "__main__":
    main()
