"""Alembic's entry: migrates over the connection that `state/database.py` hands in, or over the settings' database."""

from typing import Literal

import sqlalchemy as sa
from alembic import context

from dynatrail.state.database import engine
from dynatrail.state.models import Base, Instant


def _render(kind: str, item: object, _context: object) -> str | Literal[False]:
    # A migration is history: it names plain SQLAlchemy types, not the models' own.
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, Instant) else False


def _migrate(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        render_item=_render,
    )
    with context.begin_transaction():
        context.run_migrations()


if given := context.config.attributes.get("connection"):
    _migrate(given)
else:
    with engine().begin() as own:
        _migrate(own)
