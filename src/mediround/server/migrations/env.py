"""What alembic runs: the migrations, on the connection that it is given."""

from alembic import context

from mediround.server.tables import Table

connection = context.config.attributes["connection"]
# SQLite cannot alter a column; batch mode copies the table instead.
context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
