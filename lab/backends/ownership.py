"""A simulated registry of deeds; see `lab.backends.json_server`."""

from lab.backends.json_server import Source, serve

OWNERS: dict[str, tuple[str, ...]] = {
    "310115001234": ("1058529940",),
    "3101150012": ("1058529940",),
    "310115001242": ("1058529940", "1001244019"),
    "310115001259": ("7001234567",),
}
"""By deed."""
SUSPENDED = frozenset({"310115009999"})


def _answer(asked: dict[str, str]) -> dict[str, str]:
    deed, owner = asked["deed"], asked["owner"]
    if deed in SUSPENDED:
        return {"answer": "suspended"}
    if deed not in OWNERS:
        return {"answer": "not_found"}
    if owner not in OWNERS[deed]:
        return {"answer": "mismatch"}
    return {"answer": "match" if len(OWNERS[deed]) == 1 else "several"}


SOURCE = Source("ownership", _answer)


if __name__ == "__main__":
    serve(SOURCE)
