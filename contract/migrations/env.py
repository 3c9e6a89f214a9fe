"""Run the migrations on the connection that `Database.upgrade` hands over."""

from alembic import context

from contract.tables import metadata

connection = context.config.attributes["connection"]
if connection.dialect.name == "sqlite":
    # Some changes take a new table, and dropping the old one must not delete what refers to its rows. The connection
    # is not used again.
    connection.connection.dbapi_connection.execute("PRAGMA foreign_keys = OFF")
    connection.detach()
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
