"""Who is told, as the settings write it; what is wrong there is said before anything happens."""

import pytest

from foundation.errors import SettingsError
from foundation.notice_recipients import Recipient, recipients_of
from tests.notice_house import LOOSE, TOPICS


def test_a_reader_is_an_address_with_what_he_wants_to_know() -> None:
    found = recipients_of(
        [
            "mailto:noc@amanah.example",
            "mailto:a%2Bb@amanah.example#on=all",
            "https://chat.example/in?x=1#on=news&secret=notify-chat",
        ],
        topics=TOPICS,
        usual={"alarm"},
        outgoing=LOOSE,
        place="plays.notify",
    )
    assert found == (
        Recipient("mail", "noc@amanah.example", frozenset({"alarm"})),
        Recipient("mail", "a+b@amanah.example", frozenset(TOPICS)),
        Recipient("webhook", "https://chat.example/in?x=1", frozenset({"news"}), "notify-chat"),
    )
    assert found[2].shown == "https://chat.example"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("noc@amanah.example", "no http URL"),
        ("mailto:noc", "no mail address"),
        ("mailto:a@b.example?bcc=c@d.example", "no mail address"),
        ("mailto:a@b.example#on=everything", "no topic 'everything'"),
        ("mailto:a@b.example#on=", "no topic"),
        ("mailto:a@b.example#all", "no list"),
        ("mailto:a@b.example#on=all&on=news", "each once"),
        ("mailto:a@b.example#colour=red", "each once"),
        ("mailto:a@b.example#secret=x", "not signed"),
        ("https://a.example/in#secret=", "names no secret"),
        ("https://user:hunter2@a.example/in", "user name"),
    ],
)
def test_who_cannot_be_told_is_refused_by_name_and_without_his_secrets(written: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        recipients_of([written], topics=TOPICS, usual={"alarm"}, outgoing=LOOSE, place="plays.notify")
    assert caught.value.place == "plays.notify"
    assert "hunter2" not in str(caught.value)


def test_nobody_is_named_twice() -> None:
    with pytest.raises(SettingsError, match="twice"):
        recipients_of(
            ["mailto:a@b.example", "mailto:a@b.example#on=all"],
            topics=TOPICS,
            usual={"alarm"},
            outgoing=LOOSE,
            place="plays.notify",
        )
