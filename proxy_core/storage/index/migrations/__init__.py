"""Alembic's environment for the index. It is package data: found by its folder, run by :mod:`..migrate`."""
