"""The licence's proof against bare python-cwt: seal, open, verify by a list; CPU of a page and its code.

`python -m benchmarks.proof [ROUNDS]`. Ours adds to the peer's signature check: base45, zlib with a bound, the
check that the bytes are in their one form, the key by its identifier, and the claims as a typed licence. Both
run in turn within each round, so that what else the machine does weighs on both; CPU time of this process is
counted. No two licences are equal, because typst keeps what it has laid out before.

A verification is all that a verifier without a network does: decode, unpack, check the signature, look up its
status in a list of a million and give the answer. The list is measured full (2^20 places), with one in fifty
not valid at random places, and with every place at random, which cannot be packed.
"""

import random
import statistics
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import base45  # type: ignore[import-untyped] # it ships no types
import cbor2
import cwt

from foundation.definitions import Bilingual
from foundation.settings import Licences
from foundation.wire.credential import PREFIX, KeySet, LicenceClaims, SigningKey, open_credential, seal
from foundation.wire.qr import Symbol
from foundation.wire.qr_reader import read
from foundation.wire.status_list import (
    ENTRIES,
    StatusList,
    StatusLists,
    StatusReference,
    empty,
    open_list,
    put,
    sign_list,
)
from foundation.wire.verification import Answer, verify
from integrations.licences.document import LicenceDocument, Line, render

_BATCH = 200  # credentials a round
_PAGES = 5  # pages a round
_DAY = date(2026, 12, 1)
_NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
_URI = "https://licences.example.gov.sa/v1/status-lists/0"
_LOOK_UPS = 100_000


def _claims(number: int) -> LicenceClaims:
    return LicenceClaims(
        number=f"2026-{number:06}",
        service="shop_licence",
        title=Bilingual(ar="رخصة محل تجاري", en="Shop licence"),
        municipality="sample",
        valid_from=date(2026, 11, 22),
        valid_to=date(2027, 11, 21),
        issued_at=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
        public={"trade_name": f"مخبز الأحمدي للحلويات {number}"},
        status=StatusReference(number, _URI),
    )


def _paper(claims: LicenceClaims, text: str) -> LicenceDocument:
    def line(ar: str, en: str, value: str) -> Line:
        return Line(Bilingual(ar=ar, en=en), Bilingual(ar=value, en=value))

    return LicenceDocument(
        number=claims.number,
        title=claims.title,
        municipality=Bilingual(ar="أمانة نموذجية", en="Sample Municipality"),
        lines=(
            line("الاسم التجاري", "Trade name", claims.public["trade_name"]),
            line("السجل التجاري", "Commercial register", "4030123456"),
            line("الموقع", "Location", "حي الروضة، شارع الأمير سلطان"),
        ),
        issued_at=claims.issued_at,
        valid_from=claims.valid_from,
        valid_to=claims.valid_to,
        credential=text,
        verify_url=f"https://licences.example.gov.sa/v1/verify/{claims.number}",
    )


def _cpu(work: Callable[[Any], Any], items: Sequence[Any]) -> tuple[float, list[Any]]:
    """CPU seconds an item, and what came of each."""
    start = time.process_time()
    made = [work(item) for item in items]
    return (time.process_time() - start) / len(items), made


def _list(values: Iterable[tuple[int, int]]) -> StatusList:
    statuses = empty()
    put(statuses, values)
    at = _NOW - timedelta(hours=1)
    return StatusList(_URI, "sample", 1, at, at + timedelta(days=7), timedelta(hours=12), bytes(statuses))


def _print_lists(key: SigningKey, keys: KeySet) -> None:
    chance = random.Random(20)
    some = [(index, chance.randrange(1, 4)) for index in chance.sample(range(ENTRIES), ENTRIES // 50)]
    every = [(index, chance.randrange(4)) for index in range(ENTRIES)]
    for name, values in (("1 in 50", some), ("every place", every)):
        start = time.process_time()
        content = _list(values)
        packed = time.process_time()
        token = sign_list(content, key)
        signed = time.process_time()
        opened = open_list(token, keys, _URI)
        ended = time.process_time()
        print(
            f"  list of {ENTRIES:,}, {name}: {len(token):,} bytes, build {(packed - start) * 1000:.0f} ms, "
            f"pack and sign {(signed - packed) * 1000:.0f} ms, open {(ended - signed) * 1000:.1f} ms"
        )
    lists, places = StatusLists([opened]), [chance.randrange(ENTRIES) for _ in range(_LOOK_UPS)]

    def look_up(index: int) -> object:
        found = lists.find("sample", _URI)
        return found and found.value(index)

    seconds, _ = _cpu(look_up, places)
    print(f"  look-up {seconds * 1e6:.2f} µs")


def main() -> None:
    """Print medians over the rounds, and the ratio to the peer of the same round."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    key = SigningKey.generate("sample")
    keys = KeySet([key.public])
    fonts = Licences().fonts
    lists = StatusLists([_list([])])
    peer_key = cwt.COSEKey.new(key.public.cose.to_dict())
    figures: dict[str, list[float]] = defaultdict(list)

    def measured(name: str, work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        seconds, made = _cpu(work, items)
        figures[name].append(seconds)
        return made

    for turn in range(rounds):
        claims = [_claims(turn * _BATCH + i) for i in range(_BATCH)]
        texts = measured("seal", lambda one: seal(one, key), claims)
        messages = [zlib.decompress(base45.b45decode(text.removeprefix(PREFIX))) for text in texts]
        payloads = [cbor2.loads(cbor2.loads(message).value[2]) for message in messages]
        measured("peer sign", lambda one: cwt.encode_and_sign(one, key.cose), payloads)
        measured("open", lambda one: open_credential(one, keys, today=_DAY), texts)
        verdicts = measured("verify", lambda one: verify(one, keys, lists, _NOW), texts)
        assert all(each.answer is Answer.VALID for each in verdicts)
        measured("peer verify", lambda one: cwt.decode(one, peer_key), messages)
        measured("code", lambda one: Symbol(one).svg(), texts[:_PAGES])
        papers = [_paper(one, text) for one, text in zip(claims, texts[:_PAGES], strict=False)]
        pages = measured("page", lambda one: render(one, fonts), papers)
        measured("read", read, pages)
    middle = {name: statistics.median(values) for name, values in figures.items()}
    for ours, peer in (("seal", "peer sign"), ("open", "peer verify"), ("verify", "peer verify")):
        ratio = statistics.median(a / b for a, b in zip(figures[ours], figures[peer], strict=True))
        print(
            f"  {ours:6} {1 / middle[ours]:8,.0f}/s   {peer:12} {1 / middle[peer]:8,.0f}/s   "
            f"CPU {ratio:.2f} times the peer's"
        )
    print(f"  page  {middle['page'] * 1000:8.1f} ms CPU, of it the code {middle['code'] * 1000:.1f} ms")
    print(f"  code read back from the PDF {middle['read'] * 1000:.1f} ms CPU")
    _print_lists(key, keys)
    symbol = Symbol(max(texts, key=len))
    print(f"  text of {len(symbol.text)} characters: QR version {symbol.version}-{symbol.level}")


if __name__ == "__main__":
    main()
