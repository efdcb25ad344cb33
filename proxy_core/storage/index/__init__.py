"""The index: what the cache knows, beside the bytes of blobs.

:mod:`.model` says what any index must do, :mod:`.sql` is the index in a database, :mod:`.migrate` prepares the database
before the first worker opens it (it alone needs alembic, and workers never import it).
"""
