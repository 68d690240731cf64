"""Clients, their secrets and the signing keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "clients",
        sa.Column("client_id", sa.String(), primary_key=True),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("audiences", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("disabled_at", sa.Integer(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False, unique=True),
    )
    op.create_table(
        "client_secrets",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("client_id", sa.String(), sa.ForeignKey("clients.client_id"), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
    )
    op.create_index("ix_client_secrets_client_id", "client_secrets", ["client_id"])
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.String(), primary_key=True),
        sa.Column("algorithm", sa.String(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    """Take the first tables away."""
    op.drop_table("signing_keys")
    op.drop_table("client_secrets")
    op.drop_table("clients")
