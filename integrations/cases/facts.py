"""What conditions and fees are judged on: the form, and what is known around it.

Their names stand in `integrations.cases.conditions.FACTS`.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from foundation.calendar import today
from integrations.cases.application import exact
from integrations.cases.case import Work
from integrations.cases.conditions import Facts
from integrations.licences.licence import Licence, status_on
from integrations.service import Service


def of(work: Work) -> Facts:
    """The facts of a case as it stands."""
    case = work.case
    fields: dict[str, Any] = {"procedure": case.procedure, "quote.free": case.quote_free}
    fields |= {f"applicant.{name}": work.applicant.get(name) for name in ("kind", "capacity")}
    if work.licence is not None:
        # A field that the procedure does not ask has the licence's own value.
        fields |= exact(work.licence.form)
        fields |= _of_licence(work, work.licence)
    fields |= exact(work.whole_form)
    fields |= of_activity(work.service, fields)
    return Facts(fields, frozenset(case.done), case.checks)


def of_activity(service: Service, form: Mapping[str, Any]) -> dict[str, Any]:
    """What the chosen activity says of itself; nothing where none is chosen."""
    name = service.activity_field
    code = form.get(name) if name is not None else None
    chosen = next((activity for activity in service.activities if activity.code == code), None)
    return {"activity.code": chosen.code, "activity.immediate": chosen.immediate} if chosen else {}


def days_late(work: Work, last: date) -> int:
    """Whole days from a licence's last day to the day of the application, less those that our outages cost.

    Args:
        last: the last day the licence was valid.
    """
    applied = today(now=work.case.submitted_at)
    if applied <= last:
        return 0
    time = work.office.working_time(work.session, work.case.place)
    outages = time.outage_days(last + timedelta(days=1), applied)
    return max(0, (applied - last).days - outages)


def _of_licence(work: Work, licence: Licence) -> dict[str, Any]:
    return {
        "licence.status": status_on(licence, work.day),
        "licence.days_late": days_late(work, licence.valid_to),
        "licence.excused": licence.excused,
    }
