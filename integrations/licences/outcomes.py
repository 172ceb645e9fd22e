"""What fulfilling a procedure does to a licence: each outcome of `integrations.procedure.Outcome`.

The last door: it trusts neither the definition nor the engine, and asks again whether the fees are paid, and
whether the licence and its parent still allow it. Each outcome writes the licence and one row of its
versions; where its holder or its standing changes, its chain `licence/NUMBER` gets an entry too.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from foundation import audit
from foundation.chain import JSON
from foundation.errors import Conflict
from foundation.wire.credential import LicenceClaims, read_claims
from foundation.wire.credential_keys import Signer
from integrations.cases import owed_back, payments
from integrations.cases.case import Work
from integrations.cases.numbers import next_number
from integrations.licences import licence as licences
from integrations.licences import sealing, standing
from integrations.licences.admission import admit, parent_of
from integrations.licences.cascade import cascade, payload
from integrations.licences.layout import laid_out
from integrations.licences.licence import Licence, Version
from integrations.licences.status_lists import Place, last_place, new_place, new_place_and_number
from integrations.licences.validity import Period, issued, renewed
from integrations.procedure import LicenceStatus, Outcome

DOCUMENT_JOB = "licence.document"
"""Job that makes a paper of a licence. Payload: licence, version, copy."""

EVENTS: dict[Outcome, str] = {
    "issue": "licence.issued",
    "renew": "licence.renewed",
    "amend": "licence.amended",
    "transfer": "licence.transferred",
    "correct": "licence.corrected",
    "copy": "licence.copied",
    "void": "licence.voided",
    "suspend": "licence.suspended",
    "reinstate": "licence.reinstated",
    "revoke": "licence.revoked",
    "close": "licence.closed",
    "uphold": "licence.upheld",
    "excuse": "licence.excused",
}
"""What each outcome publishes. Subject: licence/NUMBER. Payload: number, case, service, version, valid_from,
valid_to, status."""

_MAKES_PAPER: tuple[Outcome, ...] = ("issue", "renew", "amend", "transfer", "correct", "copy")
_COMES_TO: dict[Outcome, LicenceStatus] = {
    "suspend": "suspended",
    "revoke": "revoked",
    "close": "closed",
    "void": "void",
}
_HOLDER = ("kind", "identifier", "name", "mobile")
_LONGEST_NUMBER = "-9999-847301965"


def foresee(work: Work) -> None:
    """Refuse an application that could never be fulfilled: told now, before any money is taken.

    Raises:
        InvalidInput: what the public may see does not fit into one QR code, or the licence would end beyond
            the calendar's table.
        Conflict: the renewal would not lengthen it, or its parent ends before.
    """
    outcome = work.procedure.outcome
    if outcome not in ("issue", "renew", "amend", "correct", "copy"):
        return
    if work.service.is_test:
        # Its code says nothing that could be too long.
        _period(work, {**(work.licence.form if work.licence else {}), **work.case.form}, work.parent)
        return
    if outcome == "copy" and work.licence is not None:
        copied = _copied(work, work.licence, last_place(work.office.public_url))
        sealing.check_fits(copied, _signer(work))
        return
    key = _signer(work)
    number = work.licence.number if work.licence else work.service.numbers.licence + _LONGEST_NUMBER
    title = work.licence.title if work.licence else work.service.licence_title.model_dump()
    form = {**(work.licence.form if work.licence else {}), **work.case.form}
    public = sealing.shown(work.service, form, "").public
    period = _period(work, form, work.parent)
    status = last_place(work.office.public_url).reference
    content = sealing.claims(work.service, number, key.municipality, title, period, public, work.at, status)
    sealing.check_fits(content, key)


def fulfil(work: Work) -> Mapping[str, JSON]:
    """Effect `fulfil`: what the case was opened for is done.

    What it says of the licence's version it calls so: a step's `version` is its case's.

    Raises:
        Conflict: the fees are not paid, or the licence or its parent does not allow it (any more).
        InvalidInput: the licence cannot be sealed.
    """
    if work.procedure.fees and not payments.covered(work.session, work.case):
        raise Conflict(
            f"The fees of the case {work.case.number} are not paid.",
            remedy="Pay its bill first.",
            message_ar=f"رسوم المعاملة {work.case.number} لم تسدَّد.",
        )
    admit(work)
    outcome = work.procedure.outcome
    if outcome == "issue":
        return _issue(work)
    if outcome == "agree":
        # What was agreed stands in the case, and its journal says who agreed.
        return {}
    licence = _acted_on(work)
    before = licence.status
    did = _DO[outcome](work, licence)
    licences.save(work.session, licence)
    if outcome not in _MAKES_PAPER:
        licences.add_version(work.session, _row(work, licence))
    if outcome in _RECORDED:
        _record(work, licence, before)
    if licence.status != before:
        did = {**did, **cascade(work, licence)}
    work.publish(EVENTS[outcome], licence.context, payload(work, licence))
    return {"licence": licence.number, "status": licence.status, **did}


def _issue(work: Work) -> Mapping[str, JSON]:
    case, service, holder = work.case, work.service, {name: work.applicant[name] for name in _HOLDER}
    municipality = work.office.municipality(work.session)
    period = issued(service, case.form, work.day, work.parent)
    series = service.numbers.licence
    place: Place | None = None
    if service.is_test:
        number = next_number(work.session, series, work.day)
    else:
        place, number = new_place_and_number(work.session, work.office.public_url, series, work.day)
    licence = Licence(
        id=0,
        number=number,
        service=service.code,
        version=0,
        subject=case.subject,
        personal=None,
        form={},
        municipality={"code": municipality.code, **municipality.name.model_dump()},
        title=service.licence_title.model_dump(),
        lines=[],
        parent_id=work.parent.id if work.parent else None,
        valid_from=period.first,
        valid_to=period.last,
        calendar=service.validity.of(case.form).calendar,
        credential="",
        status="valid",
        status_since=work.at,
        status_reason=case.number,
        with_parent=False,
        standings=standing.new(work.at, case.number),
        excused=False,
        copies=0,
        issued_at=work.at,
    )
    shown = _new_version(work, licence, holder, case.form, work.private, period, place)
    licences.add(work.session, licence)
    licences.add_version(work.session, replace(_row(work, licence), **shown))
    work.licence, case.licence_id = licence, licence.id
    work.publish(EVENTS["issue"], licence.context, payload(work, licence))
    return {"licence": number, "valid_to": licence.valid_to.isoformat()}


def _renew(work: Work, licence: Licence) -> dict[str, JSON]:
    holder, private = _opened(work, licence)
    form = {**licence.form, **work.case.form}
    period = renewed(work.service, form, licence, work.day, work.parent)
    municipality = work.office.municipality(work.session)
    licence.municipality = {"code": municipality.code, **municipality.name.model_dump()}
    licence.title = work.service.licence_title.model_dump()
    licence.excused = False
    _write_version(work, licence, holder, form, {**private, **work.private}, period)
    return {"licence_version": licence.version, "valid_to": licence.valid_to.isoformat()}


def _amend(work: Work, licence: Licence) -> dict[str, JSON]:
    holder, private = _opened(work, licence)
    form = {**licence.form, **work.case.form}
    _write_version(work, licence, holder, form, {**private, **work.private}, _present(licence))
    return {"licence_version": licence.version}


def _transfer(work: Work, licence: Licence) -> dict[str, JSON]:
    _opened(work, licence)
    parties = [n for n, field in work.service.fields.items() if field.type == "party" and n in work.private]
    if len(parties) != 1:
        raise Conflict(
            f"The case {work.case.number} does not say to whom the licence is transferred.",
            remedy="Name the new holder in the application.",
            message_ar="لم يذكر في الطلب المرخص له الجديد.",
        )
    party = work.private[parties[0]]
    holder = {name: str(party[name]) for name in _HOLDER}
    licence.subject = work.office.vault.subject(holder["kind"], holder["identifier"])
    # What else the form says of persons the old holder said of himself and his own: his version keeps it.
    private = {name: value for name, value in work.private.items() if name != parties[0]}
    _write_version(work, licence, holder, licence.form, private, _present(licence))
    return {"licence_version": licence.version}


def _copy(work: Work, licence: Licence) -> dict[str, JSON]:
    licence.copies += 1
    place = _place(work)
    if place is not None:
        # A credential of its own: that of the paper it takes the place of is listed as replaced.
        licence.credential = sealing.sealed(_copied(work, licence, place), _signer(work))
    row = replace(
        _row(work, licence), credential=licence.credential, status_index=place.index if place else None
    )
    licences.add_version(work.session, row)
    _order_paper(work, licence)
    return {"copy": licence.copies}


def _copied(work: Work, licence: Licence, place: Place) -> LicenceClaims:
    return replace(read_claims(licence.credential), issued_at=work.at, status=place.reference)


def _come_to(work: Work, licence: Licence) -> dict[str, JSON]:
    standing.enter(licence, _COMES_TO[work.procedure.outcome], work.at, work.case.number)
    standing.settle(licence, parent_of(work))
    return {}


def _void(work: Work, licence: Licence) -> dict[str, JSON]:
    return {**_come_to(work, licence), **owed_back.void_licence(work, licence)}


def _reinstate(work: Work, licence: Licence) -> dict[str, JSON]:
    standing.reinstate(licence, work.at, work.case.number)
    standing.settle(licence, parent_of(work))
    return {}


def _uphold(work: Work, licence: Licence) -> dict[str, JSON]:
    standing.restore(licence)
    standing.settle(licence, parent_of(work))
    return {}


def _excuse(work: Work, licence: Licence) -> dict[str, JSON]:  # noqa: ARG001 -- each outcome is called alike
    licence.excused = True
    return {}


_DO: dict[Outcome, Callable[[Work, Licence], dict[str, JSON]]] = {
    "renew": _renew,
    "amend": _amend,
    "transfer": _transfer,
    "correct": _amend,
    "copy": _copy,
    "void": _void,
    "suspend": _come_to,
    "reinstate": _reinstate,
    "revoke": _come_to,
    "close": _come_to,
    "uphold": _uphold,
    "excuse": _excuse,
}
_RECORDED: tuple[Outcome, ...] = (*_COMES_TO, "reinstate", "uphold", "excuse", "transfer")


def _acted_on(work: Work) -> Licence:
    assert work.licence is not None, "every outcome but issue acts on a licence"
    work.case.licence_id = work.licence.id
    return work.licence


def _period(work: Work, form: Mapping[str, Any], parent: Licence | None) -> Period:
    if work.licence is None:
        return issued(work.service, form, work.day, parent)
    if work.procedure.outcome == "renew":
        return renewed(work.service, form, work.licence, work.day, parent)
    return _present(work.licence)


def _present(licence: Licence) -> Period:
    return Period(licence.valid_from, licence.valid_to)


def _opened(work: Work, licence: Licence) -> tuple[dict[str, str], dict[str, Any]]:
    if licence.personal is None:
        raise Conflict(
            f"The holder of the licence {licence.number} was erased, its time of keeping being over.",
            remedy="Apply for a new licence.",
            message_ar=f"حُذفت بيانات صاحب الرخصة {licence.number} بانتهاء مدة حفظها؛ قدّم طلب رخصة جديدة.",
        )
    content = work.office.vault.open(licence.personal, licence.context)
    return content["holder"], content["form"]


def _place(work: Work) -> Place | None:
    # No list says anything of a test.
    return None if work.service.is_test else new_place(work.session, work.office.public_url)


def _signer(work: Work) -> Signer:
    # By the moment that stands in the credential: its key's period covers it, whatever clock is wrong.
    return work.office.keys.signer(work.session, work.at)


def _write_version(
    work: Work,
    licence: Licence,
    holder: dict[str, str],
    form: Mapping[str, Any],
    private: Mapping[str, Any],
    period: Period,
) -> None:
    place = _place(work)
    shown = _new_version(work, licence, holder, form, private, period, place)
    licences.add_version(work.session, replace(_row(work, licence), **shown))


def _new_version(
    work: Work,
    licence: Licence,
    holder: dict[str, str],
    form: Mapping[str, Any],
    private: Mapping[str, Any],
    period: Period,
    place: Place | None,
) -> dict[str, Any]:
    """Give a licence its next version, and order its paper; what the version's row says of it."""
    shown = sealing.shown(work.service, {**form, **private}, holder["name"])
    licence.version += 1
    licence.copies = 0
    licence.form, licence.lines = dict(form), shown.lines
    licence.valid_from, licence.valid_to = period.first, period.last
    if place is None:
        licence.credential = sealing.code_of_test(licence.number)
    else:
        code, title, status = licence.municipality["code"], licence.title, place.reference
        content = sealing.claims(
            work.service, licence.number, code, title, period, shown.public, work.at, status
        )
        licence.credential = sealing.sealed(content, _signer(work))
    above = licences.by_id(work.session, licence.parent_id).number if licence.parent_id else None
    paper = laid_out(work.service, {**form, **private}, holder, above)
    personal = {"holder": holder, "lines": shown.private_lines, "form": dict(private), "paper": paper}
    licence.personal = work.office.vault.seal(personal, licence.context)
    _order_paper(work, licence)
    return {
        "shown": {"title": licence.title, "municipality": licence.municipality, "lines": licence.lines},
        "form": licence.form,
        "personal": licence.personal,
        "credential": licence.credential,
        "status_index": place.index if place else None,
    }


def _row(work: Work, licence: Licence) -> Version:
    return Version(
        case_id=work.case.id,
        licence_id=licence.id,
        version=licence.version,
        copy=licence.copies,
        outcome=work.procedure.outcome,
        status=licence.status,
        subject=licence.subject,
        valid_from=licence.valid_from,
        valid_to=licence.valid_to,
        shown=None,
        form=None,
        personal=None,
        credential=None,
        made_at=work.at,
    )


def _order_paper(work: Work, licence: Licence) -> None:
    work.enqueue(
        DOCUMENT_JOB, {"licence": licence.number, "version": licence.version, "copy": licence.copies}
    )


def _record(work: Work, licence: Licence, before: str) -> None:
    audit.record(
        work.session,
        chain=licence.context,
        actor=work.caller.actor,
        action=EVENTS[work.procedure.outcome].removeprefix("licence."),
        details={
            "from": before,
            "to": licence.status,
            "version": licence.version,
            "case": work.case.number,
        },
    )
