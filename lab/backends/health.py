"""Simulated health examinations; see `lab.backends.json_server`."""

from lab.backends.json_server import Source, serve

EXAMINED = {"2345678909": "fit", "2345678917": "unfit", "1058529940": "expired"}
"""By holder."""

SOURCE = Source("health", lambda asked: {"answer": EXAMINED.get(asked["holder"], "not_found")})


if __name__ == "__main__":
    serve(SOURCE)
