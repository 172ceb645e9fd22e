"""An inventory to try on, and short ways to the assets of a database."""

from pathlib import Path
from typing import Any

from foundation.asset import parse_asset
from foundation.assets import Asset, Assets
from foundation.database import Database

INVENTORY = """\
assets:
  - name: pdu-1
    kind: pdu
    parent: rack-1
    links: {powers: [server-1]}
  - name: coast
    kind: municipality
    title: {ar: بلدية الساحل, en: Coast Municipality}
    attributes: {fee_class: 2}
  - name: dc
    kind: site
    title: {ar: مركز البيانات, en: Data centre}
    parent: coast
    attributes: {latitude: 21.4858, longitude: 39.1925}
  - name: rack-1
    kind: rack
    parent: dc
  - name: server-1
    kind: host
    parent: rack-1
    attributes:
      ansible_host: 10.0.0.5
      ansible_port: 2222
      serial_number: 0123456
      snmp_address: 10.0.0.5:161
      snmp_community_secret: public
"""

ASSETS = Assets()


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def imported(database: Database, path: Path) -> Any:
    with database.transaction() as session:
        return ASSETS.import_file(session, path, actor="cli/test")


def get(database: Database, name: str) -> Asset:
    with database.transaction() as session:
        return ASSETS.get(session, name)


def asset(name: str, kind: str, parent: str | None = None, **more: Any) -> Asset:
    title = {"ar": "عنوان", "en": name}
    return parse_asset({"name": name, "kind": kind, "title": title, "parent": parent, **more})
