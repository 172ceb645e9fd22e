"""The desk for service centres: what the municipality agrees on with them, and what they do with it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from foundation.definitions import Bilingual
from foundation.errors import Conflict, InvalidInput
from foundation.identity import Caller, Role
from foundation.secret import Secret
from integrations import webhooks
from integrations.cases.ledger import moment
from integrations.cases.money import amount_text
from integrations.centres import apart, certificates, clerks, devices, evidence, report, shifts
from integrations.centres import centre as centres
from integrations.centres import contract as contracts
from integrations.centres.centre import Centre
from integrations.centres.certificates import Certificates
from integrations.centres.contract import Contract
from integrations.centres.evidence import Examination
from integrations.desks.desk import Desk
from integrations.desks.shifts import LARGEST_PAGE, own_of
from integrations.identifiers import Kind

Value = TypeVar("Value")

LONGEST_PERIOD = 1_100
"""Days of one report, at most: a contract of three years."""


@dataclass(frozen=True)
class CentresDesk:
    """Keeps the centres, and serves them.

    Args:
        desk: what all desks share.
    """

    desk: Desk

    def add(
        self,
        caller: Caller,
        code: str,
        title: Bilingual,
        contract: Contract,
        make_client: Callable[[Session], object],
        test: bool = False,
    ) -> dict[str, Any]:
        """Keep a new centre with its first contract.

        Args:
            code: of the centre; the id of its API client.
            make_client: makes that client in this transaction, or finds that it is there.
            test: a test centre, for test services alone.

        Raises:
            PermissionDenied: the caller is no administrator.
            Conflict: there is a centre of this code, or a test centre's client has opened cases.
            InvalidInput: the contract names a service or a procedure that is not offered at such centres.
        """
        self._require(caller)
        self._check_services(contract, test)
        with self.desk.database.transaction() as session:
            at = self.desk.clock()
            make_client(session)
            made = centres.add(session, code, title, caller.actor, at, test)
            apart.check_new(session, made)
            contracts.keep(session, code, contract, caller.actor, at)
            return self._shown(session, made)

    def agree(
        self, caller: Caller, code: str, contract: Contract, instead_of: str | None = None
    ) -> dict[str, Any]:
        """Keep another contract of a centre.

        Args:
            instead_of: reference of the one whose place it takes, which ends with the day before.

        Raises:
            PermissionDenied, InvalidInput: as `add`.
            NotFound: there is no such centre.
            Conflict: it was ended, or another contract covers a day of this one; or `instead_of` names none
                that is in force up to then.
        """
        self._require(caller)
        with self.desk.database.transaction() as session:
            at, kept = self.desk.clock(), centres.locked(session, code)
            self._check_services(contract, kept.test)
            if kept.state == "ended":
                raise Conflict(
                    f"The centre {code} is ended for good.",
                    remedy="Keep a new centre under another code.",
                    message_ar="أُنهي التعامل مع هذا المركز نهائيًا؛ أضف مركزًا جديدًا برمز آخر.",
                )
            facts = {"what": "contract", "reference": contract.reference}
            if instead_of is not None:
                contracts.shorten(session, code, instead_of, contract.first_day, self.desk.today())
                facts["instead_of"] = instead_of
            contracts.keep(session, code, contract, caller.actor, at)
            centres.tell(session, kept, centres.CHANGED, caller.actor, dict(facts))
            return self._shown(session, kept)

    def suspend(self, caller: Caller, code: str, reason: str) -> dict[str, Any]:
        """Stop a centre at once, on every process.

        Raises:
            PermissionDenied: the caller is no administrator.
            NotFound: there is no such centre.
            Conflict: it is suspended or ended.
            InvalidInput: no reason is given.
        """
        return self._entered(caller, code, "suspended", reason)

    def resume(self, caller: Caller, code: str, reason: str) -> dict[str, Any]:
        """Let a suspended centre act again. Raises as `suspend` does."""
        return self._entered(caller, code, "active", reason)

    def end(self, caller: Caller, code: str, reason: str) -> dict[str, Any]:
        """End a centre and its contracts for good, at once. Raises as `suspend` does."""
        return self._entered(caller, code, "ended", reason)

    def show(self, caller: Caller, code: str) -> dict[str, Any]:
        """A centre with its contracts, clerks, devices and open shifts.

        Raises:
            PermissionDenied: the caller is neither administrator nor auditor.
            NotFound: there is no such centre.
        """
        self._require(caller, Role.AUDITOR)
        with self.desk.database.transaction() as session:
            return self._shown(session, centres.find(session, code))

    def list(self, caller: Caller) -> list[dict[str, Any]]:
        """Every centre with the contract that is in force, by code. Raises as `show` does."""
        self._require(caller, Role.AUDITOR)
        with self.desk.database.transaction() as session:
            return [
                {**centres.view(each), "test": each.test, "contract": self._contract_now(session, each.code)}
                for each in centres.every(session)
            ]

    def add_clerk(
        self,
        caller: Caller,
        code: str,
        clerk: str,
        name: str,
        branch: str,
        person: tuple[Kind, str] | None = None,
    ) -> tuple[dict[str, Any], Secret]:
        """Enrol a clerk; his secret can never be shown again. Raises as `clerks.add` does."""

        def act(session: Session, centre: Centre, at: datetime) -> Secret:
            vault = self.desk.office.vault
            return clerks.add(session, vault, centre, clerk, name, branch, caller.actor, at, person)

        return self._changed(caller, code, act)

    def enable_clerk(self, caller: Caller, code: str, clerk: str, active: bool) -> dict[str, Any]:
        """Stop a clerk at once, or let him act again. Raises as `clerks.enable` does."""

        def act(session: Session, centre: Centre, at: datetime) -> None:
            clerks.enable(session, centre, clerk, active, caller.actor, at)

        return self._changed(caller, code, act)[0]

    def move_clerk(self, caller: Caller, code: str, clerk: str, branch: str) -> dict[str, Any]:
        """Let a clerk work at another branch. Raises as `clerks.move` does."""

        def act(session: Session, centre: Centre, at: datetime) -> None:
            clerks.move(session, centre, clerk, branch, caller.actor, at)

        return self._changed(caller, code, act)[0]

    def new_secret(self, caller: Caller, code: str, clerk: str) -> Secret:
        """Give a clerk another secret. Raises as `clerks.new_secret` does."""

        def act(session: Session, centre: Centre, at: datetime) -> Secret:
            return clerks.new_secret(session, self.desk.office.vault, centre, clerk, caller.actor, at)

        return self._changed(caller, code, act)[1]

    def enrol_key(self, caller: Caller, code: str, clerk: str, public_key: bytes) -> str:
        """Let a clerk sign with a key; its thumbprint. Raises as `clerks.enrol_key` does."""

        def act(session: Session, centre: Centre, at: datetime) -> str:
            return clerks.enrol_key(session, centre, clerk, public_key, caller.actor, at)

        return self._changed(caller, code, act)[1]

    def revoke_key(self, caller: Caller, code: str, clerk: str, thumbprint: str) -> None:
        """Let a clerk's key hold no more, at once. Raises as `clerks.revoke_key` does."""

        def act(session: Session, centre: Centre, at: datetime) -> None:
            clerks.revoke_key(session, centre, clerk, thumbprint, caller.actor, at)

        self._changed(caller, code, act)

    def certify(
        self, caller: Caller, code: str, request: str, issuer: Certificates, *, revoke_others: bool
    ) -> str:
        """Certify a key of a centre: its certificate, PEM.

        Args:
            request: PKCS #10, PEM.
            issuer: of our authority.
            revoke_others: its other certificates count no more at once; else they go on until they end.

        Raises:
            PermissionDenied: the caller is no administrator.
            NotFound, Malformed, InvalidInput, Conflict: as `Certificates.issue`.
        """

        def act(session: Session, centre: Centre, at: datetime) -> str:
            if revoke_others:
                certificates.revoke_all(session, centre.code, "superseded", at, actor=caller.actor)
            return issuer.issue(session, centre.code, request, at, actor=caller.actor).to_pem()

        return self._changed(caller, code, act)[1]

    def revoke_certificate(self, caller: Caller, code: str, serial: str, reason: str) -> None:
        """Let a certificate of a centre count no more, at once. Raises as `certificates.revoke` does."""

        def act(session: Session, centre: Centre, at: datetime) -> None:
            certificates.revoke_of(session, centre.code, serial, reason, at, actor=caller.actor)

        self._changed(caller, code, act)

    def add_device(self, caller: Caller, code: str, device: str, branch: str, title: str) -> dict[str, Any]:
        """Enrol a device of a branch. Raises as `devices.add` does."""

        def act(session: Session, centre: Centre, at: datetime) -> None:
            devices.add(session, centre, device, branch, title, caller.actor, at)

        return self._changed(caller, code, act)[0]

    def enable_device(self, caller: Caller, code: str, device: str, active: bool) -> dict[str, Any]:
        """Stop a device at once, or let it be used again. Raises as `devices.enable` does."""

        def act(session: Session, centre: Centre, at: datetime) -> None:  # noqa: ARG001 -- all acts alike
            devices.enable(session, centre, device, active, caller.actor)

        return self._changed(caller, code, act)[0]

    def own(self, caller: Caller) -> dict[str, Any]:
        """The caller's centre: its contract in force, and what of its quotas is used.

        Raises:
            NotFound: the caller is no centre with a record.
        """
        with self.desk.database.transaction() as session:
            centre = own_of(session, caller)
            contract = self._contract_now(session, centre.code)
            return {**centres.view(centre), "contract": contract}

    def examine(self, caller: Caller, code: str) -> Examination:
        """Prove a centre's acts again, from what is kept alone. Raises as `show` does."""
        self._require(caller, Role.AUDITOR)
        with self.desk.database.transaction() as session:
            return evidence.examine(session, self.desk.office.vault, centres.find(session, code))

    def report(self, caller: Caller, first: date, last: date, code: str | None = None) -> dict[str, Any]:
        """What a centre did in a period.

        Args:
            first, last: days of Riyadh, both inclusive.
            code: of the centre; the caller's own without it.

        Raises:
            NotFound: there is no such centre, or the caller is none.
            PermissionDenied: it is another's, and the caller is neither administrator, auditor nor finance.
            InvalidInput: the period is of more than 1,100 days, or ends before it begins.
        """
        if code is not None:
            self._require(caller, Role.AUDITOR, Role.FINANCE)
        if not 0 <= (last - first).days < LONGEST_PERIOD:
            raise InvalidInput(
                f"A report is of 1 to {LONGEST_PERIOD} days.",
                remedy="Name another period.",
                message_ar=f"يكون التقرير ليوم واحد إلى {LONGEST_PERIOD} يوم.",
            )
        with self.desk.database.transaction() as session:
            of = own_of(session, caller) if code is None else centres.find(session, code)
            return report.report(session, of.code, first, last)

    def close_for(self, caller: Caller, code: str, id: int, counted: Decimal, note: str) -> dict[str, Any]:
        """Close a shift in a clerk's place: he is ill, or the centre was stopped with its drawer open.

        Raises:
            PermissionDenied: the caller is no administrator.
            NotFound, ShiftClosed: as `move`.
        """

        def act(session: Session, centre: Centre, at: datetime) -> dict[str, Any]:
            shift = shifts.locked(session, centre.code, id)
            closed = shifts.close(session, shift, counted, note, caller.actor, at)
            return shifts.view(closed, shifts.movements(session, closed))

        return self._changed(caller, code, act)[1]

    def _entered(self, caller: Caller, code: str, state: centres.State, reason: str) -> dict[str, Any]:
        def act(session: Session, centre: Centre, at: datetime) -> None:
            centres.enter(session, centre, state, reason, caller.actor, at)
            webhooks.interrupt(session, centre.actor)
            if state == "ended":
                contracts.end(session, code, at)
                certificates.revoke_all(session, code, "cessation_of_operation", at, actor=caller.actor)

        return self._changed(caller, code, act)[0]

    def _changed(
        self, caller: Caller, code: str, act: Callable[[Session, Centre, datetime], Value]
    ) -> tuple[dict[str, Any], Value]:
        self._require(caller)
        with self.desk.database.transaction() as session:
            done = act(session, centres.locked(session, code), self.desk.clock())
            return self._shown(session, centres.find(session, code)), done

    def _shown(self, session: Session, centre: Centre) -> dict[str, Any]:
        vault = self.desk.office.vault
        open_shifts = shifts.page(session, centre.code, None, LARGEST_PAGE, only_open=True)
        return {
            **centres.view(centre),
            "test": centre.test,
            "contract": self._contract_now(session, centre.code),
            "contracts": [
                {**contracts.view(each), "vat": amount_text(each.vat)}
                for each in contracts.all_of(session, centre.code)
            ],
            "service_quotas": self._service_quotas(session, centre.code),
            "clerks": [clerks.view(each) for each in clerks.clerks(session, vault, centre.code)],
            "devices": [vars(each) for each in devices.every(session, centre.code)],
            "certificates": [
                {
                    "serial": each.serial,
                    "state": str(each.state(self.desk.clock())),
                    "not_after": moment(each.not_after),
                }
                for each in certificates.of_client(session, centre.code)
            ],
            "open_shifts": [shifts.view(each, ()) for each in open_shifts],
        }

    def _contract_now(self, session: Session, code: str) -> dict[str, Any] | None:
        day = self.desk.today()
        for agreed in contracts.all_of(session, code):
            if agreed.covers(day):
                return {**contracts.view(agreed), "used": report.quotas(session, agreed, day)}
        return None

    def _service_quotas(self, session: Session, code: str) -> dict[str, Any]:
        day = self.desk.today()
        in_force = [each for each in contracts.all_of(session, code) if each.covers(day)]
        return report.service_quotas(session, in_force[0], day) if in_force else {}

    def _require(self, caller: Caller, *others: str) -> None:
        if caller.kind != "system":
            caller.require(Role.ADMINISTRATOR, *others)

    def _check_services(self, contract: Contract, test: bool) -> None:
        for code, delegated in contract.services.items():
            # Raises where there is no such service.
            service = self.desk.definitions.services.get(code)
            if service.is_test != test:
                raise InvalidInput(
                    f"{code} is a {'test' if service.is_test else 'real'} service, and the centre is "
                    f"{'a' if test else 'no'} test centre.",
                    place=f"/services/{code}",
                    remedy="A test centre is made by: rakeeza centre add --test",
                    message_ar="لا يُسند إلى المركز التجريبي إلا خدمات تجريبية، ولا تُسند هي إلى غيره.",
                )
            offered = [name for name, each in service.procedures.items() if "centre" in each.channels]
            for name in delegated.procedures or ():
                if name not in offered:
                    raise InvalidInput(
                        f"The procedure {name!r} of {code} is not offered at service centres.",
                        place=f"/services/{code}/procedures",
                        remedy=f"Offered: {', '.join(offered) or 'none'}.",
                    )
            if not offered:
                raise InvalidInput(
                    f"Nothing of {code} is offered at service centres.",
                    place=f"/services/{code}",
                    remedy="Leave it out of the contract.",
                )
