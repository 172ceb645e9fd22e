"""Definitions as text, for tests that change a word of them."""

from pathlib import Path

import pytest

from foundation.errors import DefinitionError
from integrations.service import load_service

PRODUCT = Path(__file__).parents[2] / "integrations/services"
DEFINITIONS = Path(__file__).parent / "definitions"
SHOP = (PRODUCT / "shop_licence.yaml").read_text(encoding="utf-8")
DIG = (PRODUCT / "excavation_permit.yaml").read_text(encoding="utf-8")
BOARDS = (PRODUCT / "advertising_licence.yaml").read_text(encoding="utf-8")
HEALTH = (PRODUCT / "health_card.yaml").read_text(encoding="utf-8")
SIGN = (DEFINITIONS / "sign_permit.yaml").read_text(encoding="utf-8")
CARD = (DEFINITIONS / "exam_card.yaml").read_text(encoding="utf-8")
DIGIT = (DEFINITIONS / "digit_trade_licence.yaml").read_text(encoding="utf-8")
SEASON = (DEFINITIONS / "seasonal_card.yaml").read_text(encoding="utf-8")


def changed(text: str, *changes: tuple[str, str]) -> str:
    """A definition with some of its text changed."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def refused(tmp_path: Path, text: str, *changes: tuple[str, str]) -> DefinitionError:
    """The error of a definition with some of its text changed."""
    path = tmp_path / "changed.yaml"
    path.write_text(changed(text, *changes), encoding="utf-8")
    with pytest.raises(DefinitionError) as caught:
        load_service(path)
    return caught.value


def line_of(text: str, changed: str) -> int:
    return next(n for n, row in enumerate(text.splitlines(), 1) if changed in row)
