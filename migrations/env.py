"""How Alembic reaches the database: through the app's own engine, so that settings have one home."""

from alembic import context
from flask import current_app

from campaign.extensions import lock_out_other_nodes
from campaign.models import described_here

db = current_app.extensions["migrate"].db

if context.is_offline_mode():
    raise SystemExit("Migrations run against a database; writing them as SQL is not supported.")

with db.engine.execution_options(writes=True).connect() as connection:
    # Batch mode: SQLite alters a table by making it anew.
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        include_name=described_here,
        render_as_batch=True,
        # Both databases roll back a failed migration whole, if asked to.
        transactional_ddl=True,
    )
    with context.begin_transaction():
        lock_out_other_nodes(connection)
        context.run_migrations()
