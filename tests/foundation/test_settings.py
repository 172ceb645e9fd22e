from pathlib import Path

import pytest

from foundation.errors import SettingsError
from foundation.secret import Secret
from foundation.settings import Settings, listed, load, options


def _load(tmp_path: Path, text: str, **environment: str) -> Settings:
    path = tmp_path / "rakeeza.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, environment)


def test_without_file_and_environment_the_defaults_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(environment={})
    assert settings.http.port == 8080
    assert settings.database.url is None


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    settings = _load(
        tmp_path,
        "[http]\nport = 1\nhost = '::1'\n",
        RAKEEZA_HTTP_PORT="2",
        RAKEEZA_PLAYS_FOLDERS="/a:/b",
    )
    assert (settings.http.port, settings.http.host) == (2, "::1")
    assert settings.plays.folders == (Path("/a"), Path("/b"))


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text("[platform]\nname_ar = 'أمانة الساحل'\n", encoding="utf-8")
    assert load(environment={"RAKEEZA_SETTINGS": str(path)}).platform.name_ar == "أمانة الساحل"


def test_the_file_in_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rakeeza.toml").write_text("[http]\nport = 5\n")
    monkeypatch.chdir(tmp_path)
    assert load(environment={}).http.port == 5


def test_a_url_with_a_password_is_a_secret(tmp_path: Path) -> None:
    settings = _load(tmp_path, "[database]\nurl = 'postgresql://u:swordfish@h/d'\n")
    assert settings.database.url == Secret("postgresql://u:swordfish@h/d")
    assert "swordfish" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "environment", "place", "sentence"),
    [
        ("[http]\nprot = 1\n", {}, r"rakeeza\.toml:2", r"http\.prot is no setting"),
        ("\n[web]\nport = 1\n", {}, r"rakeeza\.toml:2", "web is no setting"),
        ("[collector]\nport = 1\n[http]\nport = 70000\n", {}, r"rakeeza\.toml:4", r"http\.port.*65535"),
        ("http.port = 70000\n", {}, r"rakeeza\.toml:1", r"http\.port.*65535"),
        ("http = 5\n", {"RAKEEZA_HTTP_PORT": "1"}, r"rakeeza\.toml:1", "http: should be a table of options"),
        ("[database]\nurl = 5\n", {}, r"rakeeza\.toml:2", r"database\.url: should be text"),
        ("[http]\nport = 1\n", {"RAKEEZA_HTTP_PORT": "x"}, "environment, RAKEEZA_HTTP_PORT", "http.port"),
        ("", {"RAKEEZA_HTTP_PROT": "1"}, "environment", "RAKEEZA_HTTP_PROT is no setting"),
        ("[http\n", {}, r"rakeeza\.toml", "not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    tmp_path: Path, text: str, environment: dict[str, str], place: str, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=f"{place}: .*{sentence}"):
        _load(tmp_path, text, **environment)


def test_every_wrong_option_is_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        _load(tmp_path, "[http]\nport = -1\nmax_body = 1\n[log]\nlevel = 'loud'\n")
    assert [(field.pointer, field.line) for field in caught.value.fields] == [
        ("/http/port", 2),
        ("/http/max_body", 3),
        ("/log/level", 5),
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml.*--settings"):
        load(tmp_path / "absent.toml", {})
    with pytest.raises(SettingsError, match="Is a directory"):
        load(tmp_path, {})


def test_every_option_has_a_description_and_an_environment_name_that_works() -> None:
    rows = options()
    assert len(rows) == len({name for name, *_ in rows}) > 20
    for name, variable, _, description in rows:
        assert variable == "RAKEEZA_" + name.replace(".", "_").upper()
        assert description.endswith(".")


def test_settings_are_of_one_piece_and_never_change() -> None:
    settings = load(environment={})
    with pytest.raises(ValueError, match="frozen"):
        settings.http.port = 1  # type: ignore[misc]  # mypy knows it too; this shows the running program does


def test_the_secrets_lie_in_the_platforms_folder(tmp_path: Path) -> None:
    settings = _load(tmp_path, f"[platform]\nfolder = '{tmp_path / 'p'}'\n")
    settings.secrets().set("a", Secret("b"))
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["secrets.json", "secrets.key"]


def test_a_list_in_the_environment_is_parted_by_what_its_values_do_not_hold() -> None:
    environment = {
        "RAKEEZA_PLAYS_FOLDERS": "/srv/one:/srv/two",
        "RAKEEZA_PLAYS_NOTIFY": "mailto:noc@example.org#on=all,https://example.org:8443/hook",
    }
    plays = load(None, environment).plays
    assert plays.folders == (Path("/srv/one"), Path("/srv/two"))
    assert plays.notify == ("mailto:noc@example.org#on=all", "https://example.org:8443/hook")
    assert (listed(plays.folders), listed(plays.notify)) == tuple(environment.values())
