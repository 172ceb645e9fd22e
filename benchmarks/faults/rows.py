"""What a checker finds in a database: figures, and what does not hold."""

from typing import Any

import psycopg


class Check:
    """The findings.

    Args:
        connection: to the database, each statement by itself.
    """

    def __init__(self, connection: "psycopg.Connection[dict[str, Any]]") -> None:
        self._connection = connection
        self.faults: list[str] = []
        self.figures: list[tuple[str, object]] = []

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a query."""
        return self._connection.execute(sql).fetchall()

    def value(self, sql: str) -> Any:
        """The one value of a query, called n."""
        return self.rows(sql)[0]["n"]

    def none(self, sql: str, told: str) -> None:
        """A query that must find nothing."""
        found = self.rows(sql)
        if found:
            self.faults.append(f"{len(found)} {told}, as {found[0]}")

    def same(self, name: str, found: object, wanted: object) -> None:
        """A figure that must be another one."""
        self.figures.append((name, found))
        if found != wanted:
            self.faults.append(f"{name}: {found}, and not {wanted}")
