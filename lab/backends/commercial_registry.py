"""A simulated commercial registry; see `lab.backends.json_server`."""

from typing import Any

from lab.backends.json_server import Source, serve

RECORDS: dict[str, dict[str, Any]] = {
    "7001234567": {"answer": "active", "expires": "2031-05-31"},
    "7001234575": {"answer": "active"},
    "7001234583": {"answer": "active", "expires": "2020-01-01"},
    "7001234591": {"answer": "expired", "expires": "2024-12-31"},
    "7001234609": {"answer": "suspended"},
    "7001234617": {"answer": "struck_off"},
}
"""By unified number."""

SOURCE = Source(
    "commercial_registry", lambda asked: RECORDS.get(asked["unified_number"], {"answer": "not_found"})
)


if __name__ == "__main__":
    serve(SOURCE)
