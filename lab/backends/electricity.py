"""A simulated electricity utility; see `lab.backends.json_server`."""

from lab.backends.json_server import Source, serve

APPROVALS = {
    ("EA-770001", "310115001234"): "approved",
    ("EA-770002", "310115001234"): "refused",
    ("EA-770003", "310115001234"): "expired",
    ("EA-770004", "310115001234"): "pending",
}
"""By number and deed."""
UNSEEN = "EA-770009"
"""Nobody there has looked yet at what deed it is for."""


def _answer(asked: dict[str, str]) -> dict[str, str]:
    known = "pending" if asked["approval"] == UNSEEN else "not_found"
    return {"answer": APPROVALS.get((asked["approval"], asked["deed"]), known)}


SOURCE = Source("electricity", _answer)


if __name__ == "__main__":
    serve(SOURCE)
