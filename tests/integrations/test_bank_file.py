"""Bank statements, well written and odd: each is read whole, or refused with the place."""

from datetime import date
from decimal import Decimal

import pytest

from foundation.errors import InvalidInput, RakeezaError, TooLarge
from integrations.cases import bank_file
from integrations.cases.bank_file import Entry

DAY = date(2026, 11, 22)
HEADER = "reference,direction,amount,day,bill_number\n"


def camt(*entries: str, balances: str = "", head: str = "") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt><Id>1</Id>'
        f"{balances}{''.join(entries)}</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def ntry(amount: str, way: str = "CRDT", details: str = "", own: str = "r-1", status: str = "BOOK") -> str:
    return (
        f'<Ntry><Amt Ccy="SAR">{amount}</Amt><CdtDbtInd>{way}</CdtDbtInd><Sts><Cd>{status}</Cd></Sts>'
        f"<BookgDt><Dt>2026-11-22</Dt></BookgDt><AcctSvcrRef>{own}</AcctSvcrRef>{details}</Ntry>"
    )


def balance(code: str, amount: str, way: str = "CRDT") -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="SAR">{amount}</Amt><CdtDbtInd>{way}</CdtDbtInd></Bal>'
    )


def test_a_camt_statement_is_read_with_its_batches_and_its_refunds() -> None:
    def part(reference: str, amount: str) -> str:
        return (
            f"<TxDtls><Refs><AcctSvcrRef>{reference}</AcctSvcrRef></Refs>"
            f'<Amt Ccy="SAR">{amount}</Amt><RmtInf><Strd>'
            "<CdtrRefInf><Ref>2600000000017</Ref></CdtrRefInf></Strd></RmtInf></TxDtls>"
        )

    batch = f"<NtryDtls>{part('r-1', '1.50')}{part('r-2', '2.50')}</NtryDtls>"
    refund = "<NtryDtls><TxDtls><Refs><EndToEndId>out-1</EndToEndId></Refs></TxDtls></NtryDtls>"
    pending = ntry("9.00", own="r-9", status="PDNG")
    found = bank_file.read(
        camt(
            ntry("4.00", details=batch),
            ntry("1.00", "DBIT", refund, "b-7"),
            pending,
            balances=balance("OPBD", "0.00") + balance("CLBD", "3.00"),
        ),
        "statement.xml",
    )
    assert [(each.reference, each.direction, each.amount, each.bill_number) for each in found] == [
        ("r-1", "credit", Decimal("1.50"), "2600000000017"),
        ("r-2", "credit", Decimal("2.50"), "2600000000017"),
        ("out-1", "debit", Decimal("1.00"), ""),
    ]
    assert {each.day for each in found} == {DAY}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (camt(ntry("1.00"), head="<!DOCTYPE a>"), "document type"),
        (camt(ntry("1.00"), head='<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "document type"),
        (camt(ntry("1.00")).replace(b"camt.053", b"pain.001"), r"no camt\.053"),
        (camt(ntry("1.00"))[:-20], "no readable XML"),
        (b"<a>" * 100_000, "no readable XML"),
        (camt(ntry("1.00").replace("SAR", "USD")), "not SAR"),
        (camt(ntry("1.00", "SIDE")), "neither credit nor debit"),
        (camt(ntry("1e3")), "amount"),
        (camt(ntry("1.00", own=" ")), "no reference"),
        (
            camt(ntry("2.00", details='<NtryDtls><TxDtls><Amt Ccy="SAR">1.00</Amt></TxDtls></NtryDtls>')),
            "do not come to",
        ),
        (camt(ntry("1.00"), balances=balance("OPBD", "5.00") + balance("CLBD", "5.00")), "do not lead"),
        (b"reference,amount\nr-1,1.00\n", "no column day"),
        (b"reference,amount,day\nr-1,1.001,2026-11-22\n", "amount or day"),
        (b"reference,amount,day\nr-1,1.00,22/11/2026\n", "amount or day"),
        (b"reference,amount,day\n,1.00,2026-11-22\n", "no reference"),
        (b"reference,amount,day,direction\nr-1,1.00,2026-11-22,up\n", "neither credit nor debit"),
        (b"reference,amount,day\nr-1,1.00\n", "not as many cells"),
        (b"reference,day,amount\nr-1,2026-11-22,1,234.00\n", "not as many cells"),
        (b"reference,amount,day,amount\nr-1,1.00,2026-11-22,2.00\n", "twice the column amount"),
        (b"reference,amount,day\nr-1,-1.00,2026-11-22\n", "amount or day"),
        (b"reference,amount,day\nr-1,0.00,2026-11-22\n", "amount or day"),
        (b"reference,amount,day\nr-1,1E+30,2026-11-22\n", "amount or day"),
        (b"reference,amount,day\nr-1,NaN,2026-11-22\n", "amount or day"),
        (b"reference,amount,day\nr-1,9999999999999.00,2026-11-22\n", "amount or day"),
        ("reference,amount,day\nr-1,٧٢٣,2026-11-22\n".encode(), "amount or day"),
        ("reference,amount,day\nr-1,1.00,٢٠٢٦-١١-٢٢\n".encode(), "amount or day"),
        (b"reference,amount,day\nr-1,1.00,2026-11-22 or so\n", "amount or day"),
        (b"reference,amount,day\nr-1,1.00,0001-01-01T00:00:00+14:00\n", "amount or day"),
        (b"reference;amount;day\nr-1;1,00;2026-11-22\n", "no column"),
        (b"reference,amount,day\nr\x001,1.00,2026-11-22\n", "reference is not readable"),
        (b'reference,amount,day\n"r\n1",1.00,2026-11-22\n', "reference is not readable"),
        (b"reference,amount,day\n" + b"r" * 141 + b",1.00,2026-11-22\n", "reference is not readable"),
        (b"reference,amount,day\n=1+1,1.00,2026-11-22\n", "reference is not readable"),
        (b"reference,amount,day,reversal\nr-1,1.00,2026-11-22,maybe\n", "neither true nor false"),
        (camt(ntry("1.00", status="LOST")), "status"),
        (camt(ntry("1.00").replace("<Cd>BOOK</Cd>", "<Prtry>EMPTY</Prtry>")), "status"),
        (b"\xff\xfe\x00", "no readable CSV"),
        (b"", "no column"),
    ],
)
def test_a_file_that_cannot_be_read_whole_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(RakeezaError, match=why) as refused:
        bank_file.read(content, "bank")
    assert refused.value.place.startswith("bank")
    assert isinstance(refused.value, InvalidInput)


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_file, "LARGEST", 10)
    with pytest.raises(TooLarge):
        bank_file.read(HEADER.encode(), "bank")


def test_other_columns_spaces_and_a_byte_order_mark_do_no_harm() -> None:
    data = "\ufeffday,channel,amount,reference\n 2026-11-22 ,صراف, 5.00 , r-1 \n".encode()
    assert bank_file.read(data, "b") == [Entry("r-1", "credit", Decimal("5.00"), DAY, "", "b:2")]


def test_what_is_not_booked_yet_is_passed_over_and_the_older_form_of_a_status_is_read() -> None:
    old = ntry("2.00").replace("<Sts><Cd>BOOK</Cd></Sts>", "<Sts>BOOK</Sts>")
    found = bank_file.read(camt(old, ntry("9.00", status="PDNG"), ntry("9.00", status="INFO")), "b")
    assert [each.amount for each in found] == [Decimal("2.00")]


def test_an_entry_that_undoes_an_earlier_one_is_told_apart() -> None:
    refs = "<NtryDtls><TxDtls><Refs><EndToEndId>out-1</EndToEndId></Refs></TxDtls></NtryDtls>"
    back = ntry("4.42", "CRDT", refs, "b-8").replace("<Sts>", "<RvslInd>true</RvslInd><Sts>")
    taken = ntry("1.00", "DBIT", own="b-9").replace("<Sts>", "<RvslInd>1</RvslInd><Sts>")
    plain = ntry("1.00", own="b-10").replace("<Sts>", "<RvslInd>false</RvslInd><Sts>")
    found = bank_file.read(camt(back, taken, plain), "b")
    # A refund that comes back comes under the reference that we gave it.
    assert [(each.reference, each.direction, each.reversal) for each in found] == [
        ("out-1", "credit", True),
        ("b-9", "debit", True),
        ("b-10", "credit", False),
    ]
    rows = "reference,amount,day,reversal\nr-1,1.00,2026-11-22,TRUE\nr-2,1.00,2026-11-22,\n"
    assert [each.reversal for each in bank_file.read(rows.encode(), "b")] == [True, False]


def test_what_a_payer_wrote_for_the_bill_is_kept_as_far_as_it_can_be_read() -> None:
    written = "=\u200f -فاتورة\x00 260\n" + "0" * 300
    rows = f'reference,amount,day,bill_number\r\nr-1,1.00,2026-11-22+03:00,"{written}"\r\n'
    (entry,) = bank_file.read(rows.encode(), "b")
    assert entry.bill_number == ("فاتورة 260" + "0" * 300)[:140]
    assert entry.day == DAY
