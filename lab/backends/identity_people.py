"""The people that the simulated identity source knows; no such person lives."""

from dataclasses import dataclass

Person = tuple[str, str]
"""Kind of number as the contract calls it, and the number."""


@dataclass(frozen=True)
class Entry:
    """What is known of a person.

    Args:
        name: full name in Arabic.
        birth_date: ISO 8601.
        standing: "match" of one whose details can be confirmed, else why not.
    """

    name: str
    birth_date: str
    standing: str = "match"


PEOPLE: dict[Person, Entry] = {
    ("nationalId", "1058529940"): Entry("نورة بنت سعد القحطاني", "1990-05-17"),
    ("nationalId", "1001244019"): Entry("سالم بن علي الشهري", "1941-01-30", "deceased"),
    ("iqama", "2000000006"): Entry("محمد إقبال خان", "1985-11-02"),
    ("iqama", "2000000014"): Entry("راجيش كومار", "1979-07-21", "expired"),
    ("iqama", "2000000022"): Entry("أحمد حسن فتحي", "1988-03-09", "suspended"),
    ("borderNumber", "3012345678"): Entry("جون ماكدونالد", "1972-09-14"),
    ("borderNumber", "3012345686"): Entry("ماريا سانتوس", "1995-12-25", "left_the_kingdom"),
}


def judge(person: Person, name: str | None, birth_date: str | None) -> str:
    """The result for what was asked of a person.

    Args:
        name, birth_date: where the question gives them.
    """
    entry = PEOPLE.get(person)
    if entry is None:
        return "not_found"
    if entry.standing != "match":
        return entry.standing
    differs = (name is not None and " ".join(name.split()) != entry.name) or (
        birth_date is not None and birth_date != entry.birth_date
    )
    return "mismatch" if differs else "match"
