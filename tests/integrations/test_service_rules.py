"""Every rule of a definition, broken once: it is refused, and the reader is told where."""

from pathlib import Path

import pytest

from tests.integrations.definition_texts import CARD, SEASON, SHOP, SIGN, refused

PRICES = '{1: "60.05", 2: "60.00", 3: "60.00", 4: "60.00", 5: "60.00"}'

RULES = [
    # Names.
    (CARD, "flow: examined", "flow: exam", "'exam' is no flow", "/procedures/issue/flow"),
    (CARD, "fees: card", "fees: cards", "'cards' is no fee", "/procedures/issue/fees/0"),
    (SHOP, "    form: years\n", "    form: year\n", "'year' is no field", "/procedures/renew/form/0"),
    (SHOP, "documents: evidence", "documents: proof", "'proof' is no document",
     "/procedures/uphold/documents/0"),
    (SHOP, "documents: transfer_deed\n", "documents: evidence\n", "no procedure asks for the document",
     "/documents/5"),
    (SHOP, "    fees: change\n", "", "no procedure charges the fee 'change'", "/fees/5"),
    (SHOP, "flow: office_decision\n    initiator: office\n    form: [trade",
     "flow: free\n    initiator: office\n    form: [trade", "'free' is no flow",
     "/procedures/correct/flow"),
    (CARD, "from: priced, to: billed", "from: priced, to: bill", "'bill' is no state",
     "/flows/examined/actions/3/to"),
    (SIGN, "checks: commerce\n", "checks: ministry\n", "'ministry' is no check", "/flows/checked/states"),
    (CARD, "public: profession", "public: trade", "'trade' is no field of the form", "/public/0"),
    (CARD, "lines: [profession,", "lines: [trade,", "'trade' is no field of the form", "/document/lines/0"),
    (CARD, "{name: fit,", "{name: profession,", "stands twice", "/form/1"),
    (SHOP, "place: district\n", "place: quarter\n", "'quarter' is no field", "/place"),
    (SHOP, "place: district\n", "place: area_m2\n", "no required choice or text", "/place"),
    (SHOP, "place: district\n", "place: manager_name\n", "no required choice or text", "/place"),
    # Roles.
    (CARD, "to: dropped, roles: reviewer", "to: dropped, roles: revewer", "'revewer' is no role",
     "/actions/4/roles"),
    (SHOP, "escalate: supervisor", "escalate: boss", "'boss' is no role", "/deadline/escalate"),
    (SHOP, "  supervisor: {ar: المشرف, en: Supervisor}", "  reviewer: {ar: المشرف, en: Reviewer}",
     "role of the platform", "/roles/reviewer"),
    (SHOP, "  objections: {ar:", "  clerk: {ar: كاتب, en: Clerk}\n  objections: {ar:",
     "nothing is done by or shown to the role 'clerk'", "/roles/clerk"),
    # Who takes an action, and when.
    (CARD, "from: asked, to: unfit, automatic: true",
     "from: asked, to: unfit, automatic: true, roles: centre", "an automatic action has no roles",
     "/actions/1/roles"),
    (CARD, "from: asked, to: unfit, automatic: true",
     "from: asked, to: unfit, automatic: true, comment: required", "taken by nobody who could",
     "/actions/1/comment"),
    (CARD, "to: paid, roles: payment, effect: settle", "to: paid, automatic: true, effect: settle",
     "never by itself", "/actions/5/effect"),
    (SIGN, "deadline: {hours: 5, then: drop}", "deadline: {hours: 5, then: pay}",
     "no timed action that leaves", "/deadline/then"),
    (SIGN, "        deadline: {hours: 5, then: drop}\n", "", "names the timed action 'drop'",
     "/actions/10"),
    (SIGN, "issued: {title: {ar: صدر التصريح, en: Issued}, final: true}",
     "issued: {title: {ar: صدر التصريح, en: Issued}, final: true, deadline: {hours: 1, escalat"
     "e: reviewer}}", "is final; nothing more happens", "/states/issued/deadline"),
    (CARD, "to: asked, roles: centre}", "to: asked, roles: centre, effect: quote}", "no condition, effect",
     "/actions/0"),
    (CARD, "to: dropped, roles: reviewer}",
     "to: dropped, roles: reviewer}\n      - {name: knock, title: {ar: طرق, en: Knock}, to: ask"
     "ed, roles: centre}", "exactly one action opens a case", "/flows/examined/actions"),
    (CARD, "name: bill, title: {ar: فوترة, en: Bill}, from: priced",
     "name: price, title: {ar: فوترة, en: Bill}, from: asked", "'price' stands twice from one state",
     "/actions/3/name"),
    (SHOP, "channels: [centre, kiosk]", "channels: [centre, online]", "stands at the channel 'online'",
     "/channels/1"),
    # Procedures.
    (CARD, "    flow: examined\n", "    flow: examined\n    on: {}\n", "acts on no licence yet",
     "/procedures/issue/on"),
    (SIGN, "    on: {}\n", "", "acts on a licence: say on which", "/procedures/close"),
    (SHOP, "on: {statuses: suspended}", "on: {statuses: valid}",
     "'reinstate' is not for a licence that is valid", "/procedures/reinstate/on/statuses/0"),
    (SHOP, "on: {statuses: valid, same_day: true}", "on: {statuses: valid}", "same_day",
     "/procedures/void/on"),
    (SHOP, "    initiator: office\n    form: grounds\n    on: {statuses: valid, same",
     "    initiator: office\n    capacities: owner\n    form: grounds\n    on: {statuses: valid, " "same",
     "has no applicant", "/procedures/void/capacities"),
    (SHOP, "    form: new_holder\n", "    form: [grounds]\n",
     "no procedure asks for the field 'new_holder'", "/form/11"),
    (SHOP, "    form: new_holder\n", "    form: [new_holder, other]\n", "'other' is no field",
     "/transfer/form/1"),
    (CARD, "    outcome: issue\n", "    outcome: renew\n    on: {}\n", "no procedure issues",
     "/procedures"),
    (SHOP, "    form: [trade_name, activity, area_m2]\n", "    form: grounds\n", "changes nothing",
     "/procedures/amend/form"),
    (SHOP, "validity: {years: years,", "validity: {years: area_m2,", "no required integer",
     "/validity/years"),
    (SHOP, "    form: years\n", "    form: grounds\n", "no required integer of the form of 'renew'",
     "/validity/years"),
    (SEASON, "fixed_end: {month: 1, day: 15}", "fixed_end: {month: 1, day: 31}",
     "no month of the Hijri year", "/validity/fixed_end/day"),
    (SIGN, "parent: {service: shop_licence", "parent: {service: sign_permit", "its own service",
     "/parent/service"),
    # People.
    (SHOP, "public: [trade_name,", "public: [manager_name,", "personal; the public may not see it",
     "/public/0"),
    (SHOP, "field: activity.immediate, equals: false", "field: manager_name, equals: x",
     "personal; no condition judges it", "/when"),
    (SHOP, "    type: party\n", "    type: party\n    personal: false\n", "a party is always personal",
     "/form/11"),
    # Conditions.
    (CARD, "when: {field: fit,", "when: {field: fitt,", "'fitt' is no field that a condition",
     "/actions/1/when"),
    (CARD, "equals: false}}", "equals: 0}}", "'fit' is never 0", "/actions/1/when"),
    (CARD, "when: {field: fit, equals: false}", "when: {field: profession, equals: baker}",
     "is never 'baker'", "/when"),
    (CARD, "when: {field: fit, equals: false}", "when: {field: profession, below: 5}", "is no number",
     "/when"),
    (CARD, "when: {field: fit, equals: false}", "when: {field: activity.immediate, equals: false}",
     "knows no activity", "/when"),
    (CARD, "when: {field: fit, equals: false}", "when: {field: fit}", "compared by exactly one", "/when"),
    (SHOP, "- {done: approve}", "- {done: aprove}", "'aprove' is no action", "/when"),
    (SHOP, "{field: area_m2, at_least: 500}", "{done: approve}", "only an action's condition",
     "/documents/3/when"),
    (SHOP, "{field: area_m2, at_least: 500}", "{field: area_m2, at_least: 1}", "always at least 1",
     "/documents/3/when"),
    (SHOP, "when: {field: licence.excused, equals: true}", "when: {field: licence.status, equals: gone}",
     "is never 'gone'", "/exemptions/0/when"),
    (SIGN, "when: {check: commerce, is: passed}", "when: {check: customs, is: passed}",
     "no state of the flow asks the check 'customs'", "/when"),
    (SIGN, "asks: {register: commercial_register", "asks: {register: register", "knows",
     "/checks/commerce/asks/register"),
    (SIGN, "when: {field: discounts, equals: true}", "when: {field: boards, equals: x}", "no one value",
     "/when"),
    # Fees.
    (SHOP, "    unit: area_m2\n", "    unit: street\n", "no required number", "/fees/0/unit"),
    (SHOP, "    title: {ar: رسم زيارة المعاينة, en: Inspection visit}\n",
     "    title: {ar: رسم زيارة المعاينة, en: Inspection visit}\n    unit: licence.days_late\n",
     "no licence that could be late", "/fees/3/unit"),
    (CARD, "    vat: S\n", "    vat: S\n    each: profession\n", "no required list", "/fees/0/each"),
    (SIGN, 'factors: {main: "1.5", side: "1"}', 'factors: {main: "1.5"}', "'side' has no factor",
     "/zones/factors"),
    (SIGN, 'factors: {main: "1.5", side: "1"}', 'factors: {main: "1.5", side: "1", back: "1"}',
     "'back' is no choice", "/zones/factors/back"),
    (SIGN, "zones: {field: zone,", "zones: {field: discounts,", "no required choice", "/zones/field"),
    (SIGN, "- {up_to: 4, by_class", "- {by_class", "only the last slab has no end", "/slabs/0"),
    (SIGN, '- {by_class: {1: "20', '- {up_to: 9, by_class: {1: "20', "the last slab has no end",
     "/slabs/1/up_to"),
    (SIGN, '- {by_class: {1: "20', f'- {{up_to: 3, by_class: {PRICES}}}\n          - {{by_class: {{1: "20',
     "slabs rise", "/slabs/1/up_to"),
    (SEASON, "    vat: O\n", "    vat: O\n    yearly: true\n", "not counted in years", "/fees/0/yearly"),
    (SHOP, 'maximum: "2000.00"', 'minimum: "3000.00"\n        maximum: "2000.00"', "the most is less",
     "/maximum"),
    (SHOP, "        effective_from: 2016-01-01\n        source: Balady's objection service, renewal",
     "        effective_from: 2016-01-01\n        effective_until: 2015-01-01\n        source: B"
     "alady's objection service, renewal", "the last day is before the first",
     "/exemptions/0/effective_until"),
    (SHOP, '        share: "1"\n', '        share: "1.5"\n', "less than or equal to 1",
     "/exemptions/0/share"),
    # Form.
    (CARD, "example: cook", "example: baker", "the example breaks", "/form/0/example"),
    (SHOP, 'pattern: "[0-9]{10}"', 'pattern: "[0-9"', "no regular expression", "/form/1"),
    (SHOP, "    max: 5000\n", "    max: 0\n", "min is above max", "/form/3"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "old", "new", "said", "pointer"), RULES, ids=range(len(RULES)))
def test_what_means_nothing_is_refused_with_its_place(
    tmp_path: Path, text: str, old: str, new: str, said: str, pointer: str
) -> None:
    error = refused(tmp_path, text, (old, new))
    meant = [field for field in error.fields if said in field.detail]
    assert meant, [f"{field.pointer}: {field.detail}" for field in error.fields]
    assert pointer in meant[0].pointer
    assert meant[0].line is not None
    assert meant[0].line > 1
