"""Alembic's folder: how the casebook's tables came to be, one file per step in ``versions``."""
