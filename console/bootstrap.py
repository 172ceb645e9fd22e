"""The composition root: the only place where the parts are made and joined."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from foundation.assets import Assets
from foundation.database import Database, migrate, open_database
from foundation.definitions import Bilingual
from foundation.identity import Identity
from foundation.jobs import Jobs
from foundation.registry import Registry
from foundation.secret import SecretFile
from foundation.settings import Settings
from infra.plays.plays import Plays
from integrations.centres.authority import Authority
from integrations.centres.certificates import Certificates
from integrations.centres.terms import terms_of
from integrations.licensing import Licensing
from integrations.service import Service, load_services
from monitoring.asset_targets import AssetTargets


@dataclass(frozen=True)
class Platform:
    """The platform as one process holds it.

    Args:
        settings: of this process.
        database: migrated.
        secrets: the file of secrets.
        identity: people, clients, tokens.
        authority: certifies the keys of clients, and our own of the API.
        certificates: of clients.
        jobs: every part's handlers are registered.
        assets: the inventory.
        plays: playbooks and their runs.
        licensing: services, cases, licences.
        targets: what monitoring polls.
    """

    settings: Settings
    database: Database
    secrets: SecretFile
    identity: Identity
    authority: Authority
    certificates: Certificates
    jobs: Jobs
    assets: Assets
    plays: Plays
    licensing: Licensing
    targets: AssetTargets


@contextmanager
def open_platform(settings: Settings, role: str) -> Iterator[Platform]:
    """The platform of these settings, its database up to date; closed at the end of the block.

    Args:
        settings: of this process.
        role: what this process is, as the database's own lists show it.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer.
        DefinitionError: a service definition is wrong.
        SettingsError: the database is newer than the program, or a folder or key cannot be used.
    """
    with open_database(settings, role=role) as database:
        migrate(database)
        secrets = settings.secrets()
        jobs = Jobs(database)
        assets = Assets()
        services = load_services(settings.licences.folders)
        authority = Authority(settings, secrets)
        yield Platform(
            settings=settings,
            database=database,
            secrets=secrets,
            identity=Identity(
                database,
                secrets,
                settings.identity.token_lifetime,
                roles=declared_roles(services),
                terms=terms_of(),
            ),
            authority=authority,
            certificates=Certificates(authority),
            jobs=jobs,
            assets=assets,
            plays=Plays(database, jobs, settings, assets),
            licensing=Licensing(database, jobs, settings, secrets, services),
            targets=AssetTargets(database, assets, secrets, settings),
        )


def declared_roles(services: Registry[Service]) -> dict[str, Bilingual]:
    """The roles that service definitions declare beside the platform's, with what people call them.

    Where two services declare one role it is one role; the first in the order of their codes names it.
    """
    roles: dict[str, Bilingual] = {}
    for service in services.items():
        for name, title in service.roles.items():
            roles.setdefault(name, title)
    return roles
