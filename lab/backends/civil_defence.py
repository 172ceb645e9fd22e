"""Simulated safety reports of civil defence; see `lab.backends.json_server`."""

from typing import Any

from lab.backends.json_server import Source, serve

REPORTS: dict[tuple[str, str], dict[str, Any]] = {
    ("SR-2026-0001", "7001234567"): {"answer": "passed", "valid_until": "2031-03-31"},
    ("SR-2024-0002", "7001234567"): {"answer": "passed", "valid_until": "2025-03-31"},
    ("SR-2026-0003", "7001234567"): {
        "answer": "failed",
        "reasons": [
            {"ar": "لا يوجد مخرج طوارئ ثان", "en": "There is no second emergency exit"},
            {"ar": "طفايات الحريق منتهية", "en": "The fire extinguishers have expired"},
        ],
    },
}
"""By number and establishment."""


def _answer(asked: dict[str, str]) -> dict[str, Any]:
    return REPORTS.get((asked["report"], asked["unified_number"]), {"answer": "not_found"})


SOURCE = Source("civil_defence", _answer)


if __name__ == "__main__":
    serve(SOURCE)
