"""What a person does wrong is answered in one sentence that names the place and the remedy.

The devices' own faults are tried beside their parts: an unreachable device and a wrong community in
`test_monitor`, a tampered code in `test_cli_licence`, a printer that hangs up in `tests/kiosks`.
"""

import json
from pathlib import Path

import httpx
import pytest

from foundation.errors import InvalidInput
from lab.case_story import APPLICATION
from tests.console.serving import Served, served
from tests.processes import until


def sentence(platform: Served, *arguments: str, settings: Path | None = None) -> tuple[int, str]:
    """Exit code and the one line that a failing command says."""
    done = platform.run(*arguments, settings=settings)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


def test_an_unknown_setting_is_named_with_file_and_line(platform: Served, tmp_path: Path) -> None:
    wrong = tmp_path / "rakeeza.toml"
    wrong.write_text("[http]\nport = 8080\nprot = 8081\n")
    code, said = sentence(platform, "asset", "list", settings=wrong)
    assert code == 78
    assert f"{wrong}:3: http.prot is no setting. List the settings with: rakeeza settings" in said


@pytest.mark.parametrize(
    ("mode", "length", "reason"), [(0o644, 32, "open to others"), (0o600, 31, "31 bytes")]
)
def test_an_unreadable_key_is_named_with_its_file(
    platform: Served, tmp_path: Path, mode: int, length: int, reason: str
) -> None:
    (tmp_path / "secrets.key").write_bytes(b"k" * length)
    (tmp_path / "secrets.key").chmod(mode)
    (tmp_path / "secrets.json").write_text("{}")
    settings = tmp_path / "rakeeza.toml"
    settings.write_text(f"[platform]\nfolder = {json.dumps(str(tmp_path))}\n")
    code, said = sentence(platform, "secret", "list", settings=settings)
    assert code == 78
    assert f"{tmp_path}/secrets.key: " in said
    assert reason in said


def test_a_malformed_definition_is_named_with_file_line_and_reason(platform: Served, tmp_path: Path) -> None:
    service = tmp_path / "shop.yaml"
    service.write_text("code: shop\nversion: 1\ntitle: {ar: محل, en: Shop\n")
    code, said = sentence(platform, "service", "validate", str(service))
    assert code == 65
    assert f"{service}:4: This is not YAML" in said


def test_a_service_definition_that_is_wrong_keeps_the_platform_from_starting(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("code: wrong\n")
    with (
        pytest.raises(AssertionError, match=r"api does not come up: .*wrong\.yaml:1"),
        served({"licences": {"folders": [str(tmp_path)]}}),
    ):
        raise InvalidInput("It started.")


def test_malformed_json_is_a_problem_document(centre: httpx.Client) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "bad-json"}
    answer = centre.post("/v1/cases", content=b'{"service": ', headers=headers)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title_ar"]


def test_an_oversized_body_is_refused(centre: httpx.Client) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "large"}
    answer = centre.post("/v1/cases", content=b'"' + b"x" * 1_000_001, headers=headers)
    assert answer.status_code == 413
    assert "1000000" in answer.text.replace(",", "")


def test_a_write_without_a_key_names_the_header_that_is_missing(centre: httpx.Client) -> None:
    answer = centre.post("/v1/cases", json=APPLICATION)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["detail"]


def test_an_expired_token_says_when_it_expired() -> None:
    with served({"identity": {"token_lifetime": 1}}) as short, short.client("late", "centre") as client:
        until(lambda: client.get("/v1/cases").status_code != 200, "the end of the token")
        late = client.get("/v1/cases")
    assert late.status_code == 401
    assert "expired" in late.json()["detail"]
    assert late.headers["www-authenticate"].startswith("Bearer")
