from collections.abc import Callable
from pathlib import Path

import pytest

from foundation.database import Database
from tests.integrations.desk import Desk, open_desk

SECOND = """\
code: health_card
version: 1
title: {ar: إصدار شهادة صحية, en: Issue of a health card}
licence_title: {ar: شهادة صحية, en: Health card}
numbers: {case: HC, licence: HL}
applicant: {identifiers: [national_id, iqama]}
form:
  - {name: profession, label: {ar: المهنة, en: Profession}, type: choice, example: cook, choices: [
      {code: cook, title: {ar: طباخ, en: Cook}}, {code: barber, title: {ar: حلاق, en: Barber}}]}
  - {name: fit, label: {ar: لائق صحيًا, en: Fit}, type: boolean, example: true}
  - {name: examined_on, label: {ar: تاريخ الفحص, en: Examined on}, type: date, example: 2026-11-01}
fees:
  - code: card
    title: {ar: رسم الشهادة, en: Card fee}
    vat: S
    rates:
      - effective_from: 2016-01-01
        by_class: {1: "60.05", 2: "60.00", 3: "60.00", 4: "60.00", 5: "60.00"}
        source: A sample for tests
        sample: true
payment: {due_days: 3}
validity: {years: 1, calendar: gregorian}
states:
  asked: {title: {ar: مقدَّم, en: Asked}}
  unfit: {title: {ar: غير لائق, en: Unfit}, final: true}
  priced: {title: {ar: حُسبت الرسوم, en: Priced}}
  billed: {title: {ar: مفوتر, en: Billed}}
  paid: {title: {ar: مسدَّد, en: Paid}}
  printed: {title: {ar: صدرت, en: Printed}, final: true}
  dropped: {title: {ar: متروك, en: Dropped}, final: true}
actions:
  - {name: ask, title: {ar: تقديم, en: Ask}, to: asked, roles: [centre]}
  - {name: refuse, title: {ar: رفض, en: Refuse}, from: [asked], to: unfit, automatic: true,
     when: {field: fit, equals: false}}
  - {name: price, title: {ar: حساب, en: Price}, from: [asked], to: priced, roles: [centre], effect: quote}
  - {name: bill, title: {ar: فوترة, en: Bill}, from: [priced], to: billed, roles: [centre], effect: invoice}
  - {name: drop, title: {ar: ترك, en: Drop}, from: [billed], to: dropped, roles: [reviewer]}
  - {name: pay, title: {ar: سداد, en: Pay}, from: [billed], to: paid, roles: [payment], effect: settle}
  - {name: print, title: {ar: إصدار, en: Print}, from: [paid], to: printed, roles: [reviewer], effect: issue}
public: [profession]
document: {lines: [profession, examined_on, applicant.name]}
"""


@pytest.fixture
def second_service() -> Callable[[Path], Path]:
    """Writes a second service into a folder: other words, issue by a person, tax at the standard rate."""

    def write(folder: Path) -> Path:
        path = folder / "health_card.yaml"
        path.write_text(SECOND, encoding="utf-8")
        return path

    return write


@pytest.fixture
def desk(database: Database, tmp_path: Path, second_service: Callable[[Path], Path]) -> Desk:
    """An office with the shop licence and a second service."""
    folder = tmp_path / "definitions"
    folder.mkdir()
    second_service(folder)
    return open_desk(database, tmp_path, (folder,))
