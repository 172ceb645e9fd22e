"""Clients that prove themselves by a certificate: for a token, and at each request, over real TLS."""

from datetime import timedelta
from typing import Any

import jwt
import pytest
from sqlalchemy import text

from foundation.client_keys import key_thumbprint
from foundation.errors import PermissionDenied
from foundation.identity import Terms
from foundation.settings import Platform, Settings
from integrations.centres.authority import CERTIFICATE_PATH, CRL_PATH, LIFETIME, Authority
from tests.integrations.centre_keys import (
    asserted,
    assertion,
    curl,
    files,
    new_key,
    openssl,
)
from tests.integrations.client_town import (
    ENDPOINT,
    GRANT,
    NOW,
    SIGNED_BY,
    Known,
    Town,
    form,
    get,
    refused,
    shut_out,
)

pytest_plugins = ["tests.integrations.client_town_fixtures"]


def test_a_certificate_gets_a_token_that_is_bound_to_it(town: Town) -> None:
    known = town.client("centre-7")
    token = town.token(known)
    claims = jwt.decode(token, options={"verify_signature": False})
    printed = openssl(
        "x509", "-in", str(known.files.certificate), "-outform", "DER", "-out", str(town.folder / "c")
    )
    assert printed.returncode == 0
    digest = openssl("dgst", "-sha256", "-hex", str(town.folder / "c")).stdout.split("= ")[1].strip()
    thumb = jwt.utils.base64url_encode(bytes.fromhex(digest)).decode()
    assert claims["cnf"] == {"x5t#S256": thumb}
    assert town.me(token, known).json == {"name": "centre-7"}


def test_a_stolen_token_opens_nothing_without_its_certificate(town: Town) -> None:
    known, thief = town.client("centre-7"), town.client("centre-8")
    token = town.token(known)
    shut_out(town.me(token), "bound to a certificate that this request was not sent with")
    shut_out(town.me(token, thief), "not one of this client")
    # Nor with another certificate of the same client.
    shut_out(town.me(token, town.another(known)), "bound to a certificate")
    plain = town.identity.token("centre-8", thief.secret).token.reveal()
    assert town.me(plain).status == 200
    # Nor does a stranger's certificate go with a token that is bound to nothing.
    shut_out(town.me(plain, known), "not one of this client")
    assert town.me(token, known).status == 200


def test_a_certificate_that_does_not_count_gets_no_token(town: Town) -> None:
    known, other = town.client("centre-7"), town.client("centre-8")
    for client_id, shown in (("centre-7", other), ("centre-9", known)):
        answer = town.ask(GRANT, f"client_id={client_id}", known=shown)
        refused(answer, "invalid_client", "not one of this client that counts now")
    refused(town.ask(GRANT, "client_id=centre-7"), "invalid_client", "are missing")
    refused(town.ask(GRANT, known=known), "invalid_client", "are missing")
    town.revoke(known)
    answer = town.ask(GRANT, "client_id=centre-7", known=known)
    refused(answer, "invalid_client", "not one of this client that counts now")


def test_a_certificate_of_our_authority_that_no_row_knows_counts_for_nothing(town: Town) -> None:
    known = town.client("centre-7")
    token = town.token(known)
    key = new_key()
    made = town.authority.certify(key.public_key(), "centre-7", NOW)
    unknown = Known("centre-7", key, known.certificate, files(town.folder, key, made), known.secret)
    shut_out(town.me(token, unknown), "not one of this client")
    refused(town.ask(GRANT, "client_id=centre-7", known=unknown), "invalid_client", "not one of this client")


def test_an_expired_certificate_or_one_of_another_authority_does_not_connect(town: Town) -> None:
    known = town.client("centre-7")
    token = town.token(known)
    elsewhere = Settings(platform=Platform(folder=town.folder / "elsewhere"))
    stranger = Authority(elsewhere, elsewhere.secrets())
    for authority, at in ((stranger, NOW), (town.authority, NOW - LIFETIME - timedelta(days=2))):
        made = authority.certify(known.key.public_key(), "centre-7", at)
        bad = Known(
            "centre-7", known.key, known.certificate, files(town.folder, known.key, made), known.secret
        )
        for answer in (town.me(token, bad), town.ask(GRANT, "client_id=centre-7", known=bad)):
            assert answer.code != 0
            assert answer.status == 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE client_certificate SET revoked_at = clock_timestamp(), revoked_because = 'superseded'",
        "UPDATE client_certificate SET not_after = clock_timestamp()",
        "DELETE FROM client_certificate",
        "UPDATE api_client SET enabled = false",
    ],
)
def test_a_socket_that_is_open_does_not_outlive_its_certificate(town: Town, change: str) -> None:
    known = town.client("centre-7")
    token, connection = town.token(known), town.socket(known)
    assert get(connection, token) == 200
    before = connection.sock
    with town.database.transaction() as session:
        session.execute(text(change))
    assert get(connection, token) == 401
    assert connection.sock is before
    connection.close()


def test_a_request_signed_by_the_key_of_its_certificate_opens_with_either_token(town: Town) -> None:
    known = town.client("centre-7")
    token = town.token(known)
    thumb = key_thumbprint(known.key.public_key())
    assert town.me(token, None, "-H", f"{SIGNED_BY}: {thumb}").status == 200
    other = key_thumbprint(town.another(known).key.public_key())
    shut_out(town.me(token, None, "-H", f"{SIGNED_BY}: {other}"), "bound to a certificate")


def test_a_secret_gets_a_token_as_before_with_a_certificate_of_its_own_or_without(town: Town) -> None:
    known = town.client("centre-7")
    secret = f"client_secret={known.secret.reveal()}"
    for shown in (None, known):
        answer = town.ask(GRANT, "client_id=centre-7", secret, known=shown)
        assert answer.status == 200, answer.body
        token = answer.json["access_token"]
        assert "cnf" not in jwt.decode(token, options={"verify_signature": False})
        assert town.me(token).status == 200
        assert town.me(token, known).status == 200


def test_who_has_to_prove_himself_by_a_key_is_not_let_in_by_a_secret(town: Town) -> None:
    known = town.client("centre-7")
    before = town.identity.token("centre-7", known.secret).token.reveal()
    assert town.me(before, known).status == 200
    town.terms["centre-7"] = Terms(keyed=True)
    secret = f"client_secret={known.secret.reveal()}"
    for shown in (None, known):
        refused(town.ask(GRANT, "client_id=centre-7", secret, known=shown), "invalid_client", "by its key")
        # Nor by a token that was given before.
        shut_out(town.me(before, shown), "proves itself by its key")
    assert town.me(town.token(known), known).status == 200
    assert town.me(town.token_by_assertion(known), known).status == 200


def test_who_is_shut_out_gets_no_token_and_his_old_one_opens_nothing(town: Town) -> None:
    known = town.client("centre-7")
    tokens = [town.token(known), town.token_by_assertion(known)]
    reason = PermissionDenied("The centre is suspended.", message_ar="المركز موقوف.")
    town.terms["centre-7"] = Terms(keyed=True, shut=reason)
    for token in tokens:
        answer = town.me(token, known)
        assert (answer.status, answer.json["detail"]) == (403, "The centre is suspended.")
    saying = "The centre is suspended."
    answer = town.ask(GRANT, "client_id=centre-7", known=known)
    refused(answer, "unauthorized_client", saying, 400)
    assert answer.json["error_description_ar"] == "المركز موقوف."
    made = asserted(assertion(known.key, "centre-7", ENDPOINT))
    refused(town.ask(*form(made)), "unauthorized_client", saying, 400)
    town.terms.clear()
    assert town.me(tokens[0], known).status == 200
    # What was refused for another reason was not used up.
    assert town.ask(*form(made)).status == 200


def test_a_token_whose_binding_cannot_be_read_is_bound_to_what_nobody_has(town: Town) -> None:
    known = town.client("centre-7")
    key, kid = town.identity._tokens._key
    claims = jwt.decode(town.token(known), options={"verify_signature": False})
    bindings: list[Any] = [{}, None, "x", [], {"kid": "x"}, {**claims["cnf"], "jkt": "x"}, {"jkt": ""}]
    for binding in bindings:
        token = jwt.encode({**claims, "cnf": binding}, key, "ES256", {"kid": kid})
        assert town.me(token, known).status == 401, binding


def test_a_client_proves_itself_by_a_certificate_where_no_token_is_sent(town: Town) -> None:
    known, other = town.client("centre-7"), town.client("centre-8")
    mark = known.certificate.thumbprint
    assert town.identity.certified("centre-7", mark).actor == "client/centre-7"
    for name, thumb in (("centre-7", other.certificate.thumbprint), ("centre-8", mark), ("nobody", mark)):
        with pytest.raises(Exception, match="not one of this client"):
            town.identity.certified(name, thumb)
    town.terms["centre-7"] = Terms(shut=PermissionDenied("Not now."))
    with pytest.raises(PermissionDenied, match="Not now"):
        town.identity.certified("centre-7", mark)
    town.terms.clear()
    town.revoke(known)
    with pytest.raises(Exception, match="not one of this client"):
        town.identity.certified("centre-7", mark)


def test_anybody_can_judge_our_certificates_by_what_is_published(town: Town) -> None:
    known, gone = town.client("centre-7"), town.client("centre-8")
    town.revoke(gone)
    paths = {"ca": CERTIFICATE_PATH, "crl": CRL_PATH}
    for name, path in paths.items():
        answer = curl(town.url + path, town.trusted, "-o", str(town.folder / name), "-D", "-")
        assert answer.status == 200
        assert "cache-control: public, max-age=300" in answer.body
    pem = openssl("x509", "-inform", "DER", "-in", str(town.folder / "ca")).stdout
    listed = openssl("crl", "-inform", "DER", "-in", str(town.folder / "crl")).stdout
    (town.folder / "both.pem").write_text(pem + listed)
    judged = [
        openssl("verify", "-crl_check", "-CAfile", str(town.folder / "both.pem"), str(each.files.certificate))
        for each in (known, gone)
    ]
    assert [done.returncode for done in judged] == [0, 2]
    assert "certificate revoked" in judged[1].stderr
