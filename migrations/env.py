"""Run Alembic's migrations through the app's own engine, so that the database is configured in one place."""

from alembic import context
from flask import current_app

from campaign.models.signature import described_here
from campaign.storage.transactions import lock_out_other_nodes, turn_to_write

db = current_app.extensions["migrate"].db

if context.is_offline_mode():
    raise SystemExit("Migrations run against a database; writing them as SQL is not supported.")

# Wait for the turn as long as it takes. SQLite would time out after five seconds while another process migrates.
with turn_to_write(db.engine), db.engine.execution_options(writes=True).connect() as connection:
    # Batch mode, because SQLite alters a table by rebuilding it.
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        include_name=described_here,
        render_as_batch=True,
        # Both databases can roll back a failed migration completely.
        transactional_ddl=True,
    )
    with context.begin_transaction():
        lock_out_other_nodes(connection)
        context.run_migrations()
