"""A simulated operator of text messages; see `lab.backends.json_server`."""

from lab.backends.json_server import Source, serve

REFUSES, UNREACHABLE = "+966500000001", "+966500000002"


def _answer(asked: dict[str, str]) -> dict[str, str]:
    return {"answer": {REFUSES: "refused", UNREACHABLE: "unreachable"}.get(asked["to"], "accepted")}


SOURCE = Source("sms", _answer)


if __name__ == "__main__":
    serve(SOURCE)
