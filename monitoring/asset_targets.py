"""The inventory as the exporter's source of targets: every asset with an `snmp_address`."""

from collections.abc import Mapping
from typing import Any, cast

from foundation.assets import Asset, Assets
from foundation.database import Database
from foundation.errors import NotFound
from foundation.secret import Secret, SecretFile
from foundation.settings import Settings
from monitoring.targets import AuthProtocol, Community, PrivProtocol, Target, User, parse_address


class AssetTargets:
    """The devices of the inventory that may be polled, and no others.

    Args:
        database: with the inventory.
        assets: the inventory.
        secrets: what the assets' names of secrets stand for.
        settings: of the platform; `collector` holds time-out and retries.
    """

    def __init__(self, database: Database, assets: Assets, secrets: SecretFile, settings: Settings) -> None:
        self._database = database
        self._assets = assets
        self._secrets = secrets
        self._settings = settings.collector

    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """By name of the asset: its kind, and the asset it stands in."""
        return {
            asset.name: {"kind": str(asset.kind), "parent": asset.parent or ""} for asset in self._polled()
        }

    def find(self, name: str) -> Target:
        """The device of this name or `snmp_address`.

        Raises:
            NotFound: no asset has it, or a secret that it names is not there.
        """
        polled = self._polled()
        found = next((one for one in polled if name in (one.name, one.attributes["snmp_address"])), None)
        if found is None:
            # Whatever else has an address is none of ours: the collector must not be a way into the network.
            raise NotFound(
                f"No asset with an snmp_address is named {name!r}.",
                place="target",
                remedy="Only assets are polled; list them with: rakeeza asset list",
            )
        return self._target(found)

    def _polled(self) -> list[Asset]:
        with self._database.transaction() as session:
            return [one for one in self._assets.list(session) if one.attributes.get("snmp_address")]

    def _target(self, asset: Asset) -> Target:
        attributes: dict[str, Any] = dict(asset.attributes)
        host, port = parse_address(attributes["snmp_address"])
        return Target(
            name=asset.name,
            host=host,
            port=port,
            credentials=self._credentials(attributes),
            model=attributes.get("device_model"),
            timeout=self._settings.timeout,
            retries=self._settings.retries,
        )

    def _credentials(self, attributes: dict[str, Any]) -> Community | User:
        if attributes.get("snmp_version") != "3":
            return Community(self._secrets.get(attributes["snmp_community_secret"]))
        return User(
            attributes["snmp_user"],
            cast(AuthProtocol | None, attributes.get("snmp_auth_protocol")),
            self._secret(attributes.get("snmp_auth_secret")),
            cast(PrivProtocol | None, attributes.get("snmp_priv_protocol")),
            self._secret(attributes.get("snmp_priv_secret")),
        )

    def _secret(self, name: str | None) -> Secret | None:
        return None if name is None else self._secrets.get(name)
