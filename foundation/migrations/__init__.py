"""The database's shape, step by step: one hand-written Alembic script a step, in `versions/`."""

VERSION_TABLE = "schema_version"
# Any number will do as long as nothing else locks it: "rkza" in ASCII.
LOCK = 0x726B7A61
