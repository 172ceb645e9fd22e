"""A simulated electricity utility; see `lab.backends.json_server`."""

from lab.backends.json_server import Source, serve

APPROVALS = {
    ("EA-770001", "310115001234"): "approved",
    ("EA-770002", "310115001234"): "refused",
    ("EA-770003", "310115001234"): "expired",
    ("EA-770004", "310115001234"): "pending",
}
"""By number and deed."""

SOURCE = Source(
    "electricity",
    lambda asked: {"answer": APPROVALS.get((asked["approval"], asked["deed"]), "not_found")},
)


if __name__ == "__main__":
    serve(SOURCE)
