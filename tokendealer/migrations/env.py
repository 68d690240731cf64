"""Alembic's entry point: runs the migrations on the connection of `tokendealer.database.migrate`."""

from alembic import context

from tokendealer.database import Base

# Batch mode, because SQLite can alter next to nothing in place.
context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
