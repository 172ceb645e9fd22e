"""Runs the scripts on the connection that `foundation.database` hands over; there is no alembic.ini."""

from alembic import context

from foundation.migrations import LOCK, VERSION_TABLE

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table=VERSION_TABLE, transaction_per_migration=False)
with context.begin_transaction():
    # Several processes start at once: one migrates, the others wait here and then find nothing to do.
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    context.run_migrations()
