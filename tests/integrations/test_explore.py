"""What the walk through a definition's flows finds."""

from pathlib import Path

import pytest

from foundation.definitions import parse_yaml
from integrations.cases.explore import MOST_WORLDS, Walk
from integrations.service import Service
from tests.integrations.definition_texts import CARD, DIGIT, SHOP, SIGN, changed, line_of, refused


def said_of(tmp_path: Path, text: str, *changes: tuple[str, str]) -> list[str]:
    return [field.detail for field in refused(tmp_path, text, *changes).fields]


def test_every_procedure_of_the_shop_licence_is_walked_to_its_ends() -> None:
    service = parse_yaml(SHOP, "shop", Service)
    for name in service.procedures:
        walk = Walk(service, name)
        walk.run()
        assert walk.faults == {}
        ends = {state for state, each in service.flow_of(name).states.items() if each.final}
        assert walk.states & ends


def test_a_dead_end_is_refused_with_its_line(tmp_path: Path) -> None:
    error = refused(tmp_path, CARD, ("en: Unfit}, final: true}", "en: Unfit}}"))
    assert "dead end: nothing leaves the state 'unfit'" in str(error)
    assert error.fields[0].line == line_of(CARD, "      unfit:")


def test_a_dead_end_that_only_some_forms_reach_is_refused_and_told(tmp_path: Path) -> None:
    said = said_of(tmp_path, SHOP, ("            - {done: approve}\n", ""))
    assert said[0].startswith("dead end: nothing leaves the state 'paid' when ")
    assert said[0].endswith("activity.immediate = False")


def test_an_answer_that_leads_nowhere_is_a_dead_end(tmp_path: Path) -> None:
    by_hand = SIGN[SIGN.index("      - {name: decide,") : SIGN.index("      - {name: price,")]
    refusal = SIGN[SIGN.index("      - {name: refuse,") : SIGN.index("      - {name: decide,")]
    said = said_of(
        tmp_path,
        SIGN,
        (by_hand, ""),
        (refusal, ""),
        ("      refused: {title: {ar: مرفوض, en: Refused}, final: true}\n", ""),
    )
    assert said[0].endswith("dead end: nothing leaves the state 'with_commerce' when discounts = True")


def test_an_unanswered_check_does_not_hold_a_case_that_a_person_can_move() -> None:
    refusal = SIGN[SIGN.index("      - {name: refuse,") : SIGN.index("      - {name: decide,")]
    end = "      refused: {title: {ar: مرفوض, en: Refused}, final: true}\n"
    service = parse_yaml(SIGN.replace(refusal, "").replace(end, ""), "sign", Service)
    assert "refused" not in service.flows["checked"].states


def test_a_case_that_can_only_go_round_is_refused(tmp_path: Path) -> None:
    said = said_of(
        tmp_path,
        CARD,
        (
            "from: paid, to: printed, roles: reviewer, effect: fulfil",
            "from: paid, to: asked, roles: reviewer",
        ),
        ("from: billed, to: dropped, roles: reviewer", "from: billed, to: priced, roles: reviewer"),
        ("      printed: {title: {ar: صدرت, en: Printed}, final: true}\n", ""),
        ("      dropped: {title: {ar: متروك, en: Dropped}, final: true}\n", ""),
    )
    assert any("no end can be reached when fit = True" in each for each in said)
    assert "nothing ever fulfils it" in said


@pytest.mark.parametrize(
    ("text", "old", "new", "said"),
    [
        (CARD, "from: asked, to: priced, roles: centre, effect: quote",
         "from: asked, to: priced, roles: centre", "'bill' would invoice before there is a quote"),
        (CARD, "from: priced, to: billed, roles: centre, effect: invoice",
         "from: priced, to: billed, roles: centre", "'pay' would settle and no bill is open"),
        (CARD, "from: billed, to: paid, roles: payment, effect: settle",
         "from: billed, to: paid, roles: payment", "'print' would fulfil before the fees are settled"),
        (CARD, "from: priced, to: billed, roles: centre, effect: invoice",
         "from: priced, to: billed, roles: centre, effect: quote", "'pay' would settle"),
        (CARD, "to: dropped, roles: reviewer}", "to: dropped, roles: reviewer, effect: fulfil}",
         "'drop' would fulfil before the fees are settled"),
        (CARD, "from: billed, to: dropped, roles: reviewer}",
         "from: priced, to: dropped, roles: reviewer, effect: void_bill}",
         "would void a bill and none is open"),
        (CARD, "from: billed, to: dropped, roles: reviewer}", "from: billed, to: priced, roles: reviewer}",
         "'bill' would invoice before there is a quote"),
        (CARD, "from: billed, to: dropped, roles: reviewer}",
         "from: billed, to: asked, roles: reviewer, edits: \"*\"}", "change a form that is billed"),
        (CARD, "from: billed, to: dropped, roles: reviewer}", "from: billed, to: asked, roles: reviewer}",
         "'price' would quote what is billed already"),
        (CARD, "    fees: card\n", "", "no procedure charges"),
        (SHOP, "    fees: lost_document\n", "    fees: []\n", "no procedure charges"),
        (SHOP, "    fees: lost_document\n", "    fees: after_end\n", "no procedure charges"),
        (SHOP, "        from: paid\n        to: issued\n", "        from: paid\n        to: submitted\n",
         "no way leads to the state 'issued'"),
        (DIGIT, "edits: adhoc_penalty, effect: void_bill", "edits: adhoc_penalty",
         "change a form that is billed"),
    ],
)  # fmt: skip
def test_effects_out_of_order_are_refused(tmp_path: Path, text: str, old: str, new: str, said: str) -> None:
    assert any(said in each for each in said_of(tmp_path, text, (old, new)))


def test_fees_in_a_flow_without_a_bill_are_never_given_unpaid(tmp_path: Path) -> None:
    said = said_of(
        tmp_path,
        SHOP,
        ("    flow: reviewed_free\n", "    flow: reviewed_free\n    fees: change\n"),
    )
    assert any(
        "in the procedure 'uphold' 'approve' would fulfil before the fees are settled" in s for s in said
    )


def test_a_free_procedure_on_a_flow_that_bills_is_refused(tmp_path: Path) -> None:
    said = said_of(
        tmp_path,
        SHOP,
        ("    fees: [licence, fuel_station, waste, late_renewal]\n", "    fees: []\n"),
        (
            "    fees: [licence, fuel_station, waste, inspection]\n",
            "    fees: [licence, fuel_station, waste, inspection, late_renewal]\n",
        ),
    )
    assert any("'quote' would quote, and the procedure has no fees" in each for each in said)


def test_a_quote_that_can_come_to_nothing_needs_its_own_way(tmp_path: Path) -> None:
    start = SHOP.index("      - name: grant_free\n")
    grant_free = SHOP[start : SHOP.index("      - name: invoice\n", start)]
    said = said_of(tmp_path, SHOP, (grant_free, ""))
    # Only a closure can be free: renewals and copies always cost something.
    assert len(said) == 1
    assert said[0].startswith(
        "in the procedure 'close' 'invoice' would invoice a quote that comes to nothing"
    )


FREE_FOR_BARBERS = (
    ("    vat: S\n", "    vat: S\n    when: {field: profession, equals: cook}\n"),
    ("      billed: {title", "      checked: {title: {ar: روجع, en: Checked}}\n      billed: {title"),
    ("roles: centre, effect: invoice}", "roles: centre, effect: invoice,\n"
     "         when: {field: quote.free, equals: false}}\n"
     "      - {name: change, title: {ar: تغيير, en: Change}, from: priced, to: checked, roles: centre,\n"
     '         edits: "*"}\n'
     "      - {name: confirm, title: {ar: تأكيد, en: Confirm}, from: priced, to: checked, roles: centre,\n"
     "         when: {field: quote.free, equals: true}}\n"
     "      - {name: again, title: {ar: حساب, en: Again}, from: checked, to: priced, roles: centre,\n"
     "         effect: quote}\n"
     "      - {name: give, title: {ar: منح, en: Give}, from: checked, to: printed, automatic: true,\n"
     "         effect: fulfil, when: {field: quote.free, equals: true}}"),
)  # fmt: skip


def test_a_free_quote_of_a_form_that_was_changed_since_leads_no_further(tmp_path: Path) -> None:
    # Quoted as a barber's, then changed to a cook's: it has to be quoted again before it goes on.
    sound = parse_yaml(changed(CARD, *FREE_FOR_BARBERS), "card", Service)
    assert "give" in {action.name for flow in sound.flows.values() for action in flow.actions}
    again = FREE_FOR_BARBERS[2][1]
    stuck = again[: again.index("      - {name: again")] + again[again.index("      - {name: give") :]
    said = said_of(tmp_path, CARD, *FREE_FOR_BARBERS[:2], (FREE_FOR_BARBERS[2][0], stuck))
    assert any("checked" in each for each in said), said


def test_a_bill_that_rounds_to_nothing_needs_its_own_way(tmp_path: Path) -> None:
    rate = SHOP[SHOP.index('        by_class: {1: "6.00"') : SHOP.index("        source: Fee list of 1437H")]
    free = "would invoice a quote that comes to nothing"
    for cheap in (
        rate.replace('1: "6.00"', '1: "0.01"').replace('minimum: "200.00"', 'minimum: "0.00"'),
        rate.replace('minimum: "200.00"', 'minimum: "0.00"\n        maximum: "0.00"'),
    ):
        said = said_of(
            tmp_path, SHOP, (rate, cheap), ("    min: 1\n    max: 5000", "    min: 0.1\n    max: 5000")
        )
        assert any(free in each for each in said), said
    almost = (
        "        sample: true\n    exemptions:\n"
        '      - {code: all, title: {ar: كله, en: All}, share: "0.999999", effective_from: 2016-01-01,\n'
        "         source: A sample for tests, when: {field: activity.immediate, equals: true}}\n"
    )
    said = said_of(
        tmp_path, SHOP, ("        sample: true\n  - code: fuel_station", f"{almost}  - code: fuel_station")
    )
    assert any(free in each for each in said), said


def test_a_bill_whose_fees_are_not_in_effect_together_may_come_to_nothing(tmp_path: Path) -> None:
    # From 2017 to 2019 only the inspection is charged, and an immediate activity has none.
    later = ("      - effective_from: 2016-01-01\n        by_class: {1: \"6.00\"",
             "      - effective_from: 2020-01-01\n        by_class: {1: \"6.00\"")  # fmt: skip
    said = said_of(tmp_path, SHOP, later)
    assert any("would invoice a quote that comes to nothing" in each for each in said), said


def test_the_clock_asks_for_no_condition(tmp_path: Path) -> None:
    # If it did not hold when the clock acted, nobody would ask it again.
    said = said_of(
        tmp_path,
        SIGN,
        ("from: billed, to: dropped, timed: true,",
         "from: billed, to: dropped, timed: true, when: {field: discounts, equals: true},"),
    )  # fmt: skip
    assert any("a timed action is taken by nobody who could satisfy 'when'" in each for each in said), said


def test_a_licence_that_changes_while_a_case_waits_does_not_strand_it(tmp_path: Path) -> None:
    # Suspended while the renewal waits for its bill, it could be billed by nobody.
    start = SHOP.index("  paid:\n    states:")
    invoice = SHOP.index("        effect: invoice\n", start)
    lapse = "        deadline: {working_days: 30, then: lapse}\n      invoiced:"
    strands = (
        SHOP[:start]
        + SHOP[start:invoice].replace(lapse, "      invoiced:").replace(
            "        from: [submitted, quoted]\n", "        from: submitted\n")
        + "        effect: invoice\n"
        + "        when: {field: licence.status, one_of: [valid, expired, suspended]}\n"
        + SHOP[invoice + len("        effect: invoice\n") :].replace(
            "        from: [submitted, quoted]\n", "        from: submitted\n")
    )  # fmt: skip
    said = said_of(tmp_path, strands)
    assert any("dead end: nothing leaves the state 'quoted' when" in each for each in said), said
    assert any("licence.status = revoked" in each for each in said), said


def test_what_would_follow_by_itself_follows_nobodys_change_of_the_licence(tmp_path: Path) -> None:
    # The suspension ends while the case rests: nothing looks at it again, and only the clock could act.
    flow = (
        "  waiting:\n    states:\n"
        "      asked: {title: {ar: مقدَّم, en: Asked}}\n"
        "      done: {title: {ar: منفَّذ, en: Done}, final: true}\n"
        "      gone: {title: {ar: متروك, en: Gone}, final: true}\n"
        "    actions:\n"
        "      - {name: ask, title: {ar: طلب, en: Ask}, to: asked, roles: centre}\n"
        "      - {name: do, title: {ar: تنفيذ, en: Do}, from: asked, to: done, automatic: true,\n"
        "         effect: fulfil, when: {field: licence.status, equals: valid}}\n"
        "      - {name: leave, title: {ar: ترك, en: Leave}, from: asked, to: gone, roles: centre,\n"
        "         when: {not: {field: licence.status, equals: valid}}}\n"
        "procedures:\n"
    )
    procedure = (
        "  shut:\n    title: {ar: إغلاق, en: Shut}\n    outcome: close\n    flow: waiting\n"
        "    on: {statuses: [valid, suspended]}\npublic:"
    )
    said = said_of(tmp_path, SHOP, ("procedures:\n", flow), ("\npublic:", f"\n{procedure}"))
    assert any("dead end: nothing leaves the state 'asked' when licence.status = valid" in s for s in said), (
        said
    )


def test_automatic_actions_that_go_round_are_refused(tmp_path: Path) -> None:
    back = (
        "      - {name: back, title: {ar: رجوع, en: Back}, from: unfit, to: asked, automatic: true}\n"
        "      - {name: price,"
    )
    said = said_of(
        tmp_path,
        CARD,
        ("      - {name: price,", back),
        (
            "unfit: {title: {ar: غير لائق, en: Unfit}, final: true}",
            "unfit: {title: {ar: غير لائق, en: Unfit}}",
        ),
    )
    assert any("never rest" in each for each in said)


def test_two_automatic_actions_that_compete_are_refused(tmp_path: Path) -> None:
    other = (
        "      - {name: other, title: {ar: آخر, en: Other}, from: asked, to: dropped, automatic: true,\n"
        "         when: {field: profession, equals: cook}}\n      - {name: price,"
    )
    said = said_of(tmp_path, CARD, ("      - {name: price,", other))
    assert said == [
        "'refuse' and 'other' are both automatic and both can apply when fit = False, profession = cook"
    ]


def test_automatic_actions_that_exclude_one_another_do_not_compete() -> None:
    other = (
        "      - {name: other, title: {ar: آخر, en: Other}, from: asked, to: dropped, automatic: true,\n"
        "         when: {all: [{field: profession, equals: cook}, {field: fit, equals: true}]}}\n"
        "      - {name: price,"
    )
    assert parse_yaml(CARD.replace("      - {name: price,", other), "card", Service)


def test_a_final_state_that_something_leaves_is_refused(tmp_path: Path) -> None:
    said = said_of(
        tmp_path,
        CARD,
        ("paid: {title: {ar: مسدَّد, en: Paid}}", "paid: {title: {ar: مسدَّد, en: Paid}, final: true}"),
    )
    assert any("is final and yet an action leaves it" in each for each in said)


def test_an_edit_may_turn_one_world_into_another(tmp_path: Path) -> None:
    # Sent back as immediate and paid: without the guard's approval it would stand in `paid` for ever.
    changed = ("        when:\n          any:\n            - {field: activity.immediate, equals: true}\n"
               "            - {done: approve}\n",
               "        when: {not: {done: send_back}}\n")  # fmt: skip
    said = said_of(tmp_path, SHOP, changed)
    assert any("dead end: nothing leaves the state 'paid'" in each for each in said)


def test_more_worlds_than_can_be_walked_are_told_so(tmp_path: Path) -> None:
    # Thirteen yes-or-no questions make 8,192 worlds.
    names = [f"answer_{number}" for number in range(13)]
    form = "".join(
        f"  - {{name: {name}, label: {{ar: سؤال, en: Question}}, type: boolean, example: true}}\n"
        for name in names
    )
    asked = ", ".join(f"{{field: {name}, equals: true}}" for name in names)
    said = said_of(
        tmp_path,
        CARD,
        ("fees:\n", f"{form}fees:\n"),
        ("when: {field: fit, equals: false}", f"when: {{any: [{asked}]}}"),
    )
    assert 2 ** len(names) > MOST_WORLDS
    assert said == [
        "its conditions, checks and edits make more combinations than can be walked; compare fewer fields"
    ]
