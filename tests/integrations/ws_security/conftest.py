import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.integrations.ws_security.messages import Signer, make_signer


@pytest.fixture(scope="session")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """A centre with an RSA key."""
    return make_signer(tmp_path_factory.mktemp("rsa"), rsa.generate_private_key(65537, 2048))


@pytest.fixture(scope="session")
def other_centre(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """Another centre with an RSA key."""
    return make_signer(tmp_path_factory.mktemp("other"), rsa.generate_private_key(65537, 2048))


@pytest.fixture(scope="session")
def curved_centre(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """A centre with a key on P-256."""
    return make_signer(tmp_path_factory.mktemp("p256"), ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="session")
def wide_centre(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """A centre with a key on P-384."""
    return make_signer(tmp_path_factory.mktemp("p384"), ec.generate_private_key(ec.SECP384R1()))
