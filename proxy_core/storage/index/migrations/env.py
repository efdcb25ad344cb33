"""Run by alembic: applies the revisions through the connection that :mod:`..migrate` opened, in its transaction."""

from alembic import context

from proxy_core.storage.index.tables import REVISION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=REVISION_TABLE,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
