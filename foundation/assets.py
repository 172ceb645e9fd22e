"""The inventory: what the municipality has, where it stands, and what powers, cools and connects it.

Every change is one transaction: checked against the whole inventory, written to the chain `asset/<name>` of
the audit trail, and published as an event.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Text, delete, insert, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation import audit
from foundation.asset import Asset, parse_asset
from foundation.asset_files import FileRow, read_rows, write_rows
from foundation.asset_kinds import RELATIONS, RULES, Kind
from foundation.database import Base
from foundation.definitions import Bilingual
from foundation.errors import Conflict, FieldError, InvalidInput, NotFound
from foundation.events import publish

__all__ = ["Asset", "Assets", "Imported", "Kind"]

# Checks look at the whole inventory, so that one change follows another: "asse" in ASCII.
_LOCK = 0x61737365


class AssetRow(Base):
    """An asset."""

    __tablename__ = "asset"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    title_ar: Mapped[str] = mapped_column(Text)
    title_en: Mapped[str] = mapped_column(Text)
    parent: Mapped[str | None] = mapped_column(Text)
    attributes: Mapped[dict[str, Any]] = mapped_column(JSONB)
    version: Mapped[int]


class AssetLink(Base):
    """One asset powers, cools or connects another."""

    __tablename__ = "asset_link"

    source: Mapped[str] = mapped_column(Text, primary_key=True)
    relation: Mapped[str] = mapped_column(Text, primary_key=True)
    target: Mapped[str] = mapped_column(Text, primary_key=True)


@dataclass(frozen=True)
class Imported:
    """What an import did, by names of assets."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]


@dataclass(frozen=True)
class _Place:
    kind: Kind | None
    parent: str | None


class Assets:
    """The inventory. Each method works in the caller's transaction."""

    def get(self, session: Session, name: str) -> Asset:
        """The asset of this name.

        Raises:
            NotFound: there is none.
        """
        found = self._read(session, [name])
        if name not in found:
            raise NotFound(f"There is no asset {name!r}.", remedy="List them with: rakeeza asset list")
        return found[name]

    def list(self, session: Session, kind: str | None = None, under: str | None = None) -> Sequence[Asset]:
        """Assets in the order of their names.

        Args:
            session: any.
            kind: only of this kind.
            under: only those that stand in this asset, at any depth.

        Raises:
            NotFound: there is no asset `under`.
        """
        query = select(AssetRow.name).order_by(AssetRow.name.collate("C"))
        if kind is not None:
            query = query.where(AssetRow.kind == kind)
        if under is not None:
            self.get(session, under)
            below = select(AssetRow.name).where(AssetRow.parent == under).cte(recursive=True)
            below = below.union(select(AssetRow.name).where(AssetRow.parent == below.c.name))
            query = query.where(AssetRow.name.in_(select(below.c.name)))
        names = session.scalars(query).all()
        found = self._read(session, names if kind or under else None)
        return [found[name] for name in names]

    def add(self, session: Session, asset: Asset, *, actor: str) -> Asset:
        """Keep a new asset.

        Returns:
            The asset as it is kept.

        Raises:
            Conflict: the name is taken.
            InvalidInput: it breaks a rule of its kind, or does not fit among the others.
        """
        _lock(session)
        if self._read(session, [asset.name]):
            raise Conflict(
                f"There is an asset {asset.name!r} already.", remedy="Edit it, or take another name."
            )
        self._keep(session, [parse_asset(asset.plain())], actor)
        return self.get(session, asset.name)

    def edit(self, session: Session, asset: Asset, *, actor: str, version: int | None = None) -> Asset:
        """Replace an asset's record.

        Args:
            session: any.
            asset: the whole record as it shall be.
            actor: who changes it.
            version: the version that the change was decided on; without it, whatever is there.

        Returns:
            The asset as it is kept; without any difference its version stays.

        Raises:
            NotFound: there is none of this name.
            Conflict: it has another version by now.
            InvalidInput: it breaks a rule of its kind, or does not fit among the others.
        """
        _lock(session)
        current = self.get(session, asset.name)
        if version is not None and version != current.version:
            raise Conflict(
                f"{asset.name} was changed meanwhile: it has version {current.version}, not {version}.",
                remedy="Read it again and decide again.",
            )
        self._keep(session, [parse_asset(asset.plain())], actor)
        return self.get(session, asset.name)

    def remove(self, session: Session, name: str, *, actor: str) -> None:
        """Take an asset out; what powered, cooled or connected it no longer does.

        Raises:
            NotFound: there is none of this name.
            Conflict: something stands in it, or is powered, cooled or connected by it.
        """
        _lock(session)
        asset = self.get(session, name)
        standing = session.scalars(
            select(AssetRow.name).where(AssetRow.parent == name).order_by(AssetRow.name)
        ).all()
        hanging = [f"{other} stands in it" for other in standing]
        hanging += [f"it {relation} {other}" for relation, names in asset.links.items() for other in names]
        if hanging:
            shown = "; ".join(hanging[:5]) + ("; …" if len(hanging) > 5 else "")
            raise Conflict(f"{name} is still needed: {shown}.", remedy="Move or unlink these first.")
        sources = session.scalars(select(AssetLink.source).where(AssetLink.target == name)).all()
        for source in self._read(session, sources).values():
            links = {
                relation: tuple(other for other in names if other != name)
                for relation, names in source.links.items()
            }
            self._keep(session, [parse_asset({**source.plain(), "links": links})], actor)
        session.execute(delete(AssetRow).where(AssetRow.name == name))
        details: dict[str, Any] = {"before": asset.plain(), "version": asset.version}
        audit.record(session, chain=f"asset/{name}", actor=actor, action="removed", details=details)
        publish(session, "asset.removed", f"asset/{name}", {"kind": asset.kind, "version": asset.version})

    def import_file(self, session: Session, path: Path, *, actor: str) -> Imported:
        """Bring the inventory to what a file says of the assets it names; all of it or nothing.

        Args:
            session: any.
            path: `.yaml`, `.yml` or `.csv`, UTF-8.
            actor: who imports.

        Raises:
            InvalidInput: `fields` names every wrong place with its line.
        """
        _lock(session)
        rows = read_rows(path)
        assets, wrong = _parsed(rows)
        lines = {asset.name: row for asset, row in assets}
        unread = {str(row.data.get("name")) for row in rows} - set(lines)
        found = self._misfits(session, [asset for asset, _ in assets], unread)
        wrong += [
            FieldError(field.pointer, f"{name}: {field.detail}", lines[name].line(field.pointer))
            for name, field in found
        ]
        if wrong:
            wrong.sort(key=lambda field: field.line or 0)
            more = f" ({len(wrong) - 1} more)" if len(wrong) > 1 else ""
            raise InvalidInput(
                f"{wrong[0].detail}{more}.",
                place=f"{path}:{wrong[0].line}",
                remedy="Correct the file; nothing was imported.",
                fields=tuple(wrong),
            )
        return self._keep(session, [asset for asset, _ in assets], actor)

    def export(self, session: Session, form: str) -> str:
        """The whole inventory as a file that `import_file` reads.

        Args:
            session: any.
            form: "yaml" or "csv".
        """
        return write_rows([asset.plain() for asset in self.list(session)], form)

    def _read(self, session: Session, names: Sequence[str] | None) -> dict[str, Asset]:
        rows, links = select(AssetRow), select(AssetLink).order_by(AssetLink.target.collate("C"))
        if names is not None:
            rows, links = rows.where(AssetRow.name.in_(names)), links.where(AssetLink.source.in_(names))
        # Rows may have been written past the session's own copies.
        fresh = {"populate_existing": True}
        linked: dict[str, dict[str, tuple[str, ...]]] = {}
        for link in session.scalars(links, execution_options=fresh):
            relations = linked.setdefault(link.source, {})
            relations[link.relation] = (*relations.get(link.relation, ()), link.target)
        return {
            row.name: Asset(
                name=row.name,
                kind=Kind(row.kind),
                title=Bilingual(ar=row.title_ar, en=row.title_en),
                parent=row.parent,
                attributes=row.attributes,
                links=linked.get(row.name, {}),
                version=row.version,
            )
            for row in session.scalars(rows, execution_options=fresh)
        }

    def _keep(self, session: Session, assets: Sequence[Asset], actor: str) -> Imported:
        for name, field in self._misfits(session, assets):
            raise InvalidInput(
                f"{field.pointer} {field.detail}.",
                place=f"asset {name}",
                remedy="Correct it; nothing was changed.",
                fields=(field,),
            )
        current = self._read(session, [asset.name for asset in assets])
        done: dict[str, list[str]] = {"added": [], "changed": [], "unchanged": []}
        for asset in assets:
            before = current.get(asset.name)
            if before is None:
                done["added"].append(asset.name)
                _write(session, asset, 1)
                _tell(session, asset, "added", actor, {"after": asset.plain(), "version": 1})
            elif before.plain() == asset.plain():
                done["unchanged"].append(asset.name)
            else:
                done["changed"].append(asset.name)
                version = before.version + 1
                _write(session, asset, version)
                _tell(session, asset, "changed", actor, {**_difference(before, asset), "version": version})
        return Imported(*(tuple(done[word]) for word in ("added", "changed", "unchanged")))

    def _misfits(
        self, session: Session, assets: Iterable[Asset], unread: Iterable[str] = ()
    ) -> Sequence[tuple[str, FieldError]]:
        rows = session.execute(select(AssetRow.name, AssetRow.kind, AssetRow.parent)).all()
        world = {name: _Place(Kind(kind), parent) for name, kind, parent in rows}
        # What could not be read is there all the same: others that name it are not wrong for that.
        world |= {name: _Place(None, None) for name in unread}
        new = {asset.name: asset for asset in assets}
        turned = {name for name, asset in new.items() if name in world and world[name].kind != asset.kind}
        world |= {name: _Place(asset.kind, asset.parent) for name, asset in new.items()}
        found = [
            (asset.name, field)
            for asset in new.values()
            for field in [*_misplaced(asset.name, world), *_mislinked(asset, world)]
        ]
        # A kind that changes may leave those that stand in it where they must not stand.
        for name, place in world.items():
            if name not in new and place.parent in turned:
                reasons = _misplaced(name, world)
                found += [
                    (str(place.parent), FieldError("/kind", f"{name} stands in it, and {r.detail}"))
                    for r in reasons
                ]
        return found


def _parsed(rows: Sequence[FileRow]) -> tuple[list[tuple[Asset, FileRow]], list[FieldError]]:
    assets: list[tuple[Asset, FileRow]] = []
    wrong: list[FieldError] = []
    seen: dict[str, int] = {}
    for row in rows:
        name = str(row.data.get("name") or "")
        label = name or "without a name"
        if name in seen:
            detail = f"{label}: stands in line {seen[name]} already"
            wrong.append(FieldError("/name", detail, row.line("/name")))
            continue
        if name:
            seen[name] = row.line("/name")
        try:
            assets.append((parse_asset(row.data), row))
        except InvalidInput as error:
            wrong += [
                FieldError(field.pointer, f"{label}: {field.pointer} {field.detail}", row.line(field.pointer))
                for field in error.fields
            ]
    return assets, wrong


def _misplaced(name: str, world: Mapping[str, _Place]) -> list[FieldError]:
    place = world[name]
    if place.kind is None:
        return []
    rule = RULES[place.kind]
    if place.parent is None:
        needed = ", ".join(sorted(rule.parents))
        return (
            [FieldError("/parent", f"a {place.kind} stands in one of: {needed}")]
            if rule.parent_needed
            else []
        )
    if place.parent not in world:
        return [FieldError("/parent", f"there is no asset {place.parent!r}")]
    seen = [name]
    above: str | None = place.parent
    while above is not None and above in world:
        if above in seen:
            return [FieldError("/parent", f"it would stand in itself: {' in '.join([*seen, above])}")]
        seen.append(above)
        above = world[above].parent
    kind = world[place.parent].kind
    if kind is not None and kind not in rule.parents:
        return [FieldError("/parent", f"a {place.kind} does not stand in a {kind} ({place.parent})")]
    return []


def _mislinked(asset: Asset, world: Mapping[str, _Place]) -> list[FieldError]:
    found = []
    for relation in RELATIONS:
        for target in asset.links.get(relation, ()):
            pointer = f"/links/{relation}"
            if relation not in RULES[asset.kind].relations:
                found.append(FieldError(pointer, f"a {asset.kind} {relation} nothing"))
            elif target == asset.name:
                found.append(FieldError(pointer, f"it {relation} itself"))
            elif target not in world:
                found.append(FieldError(pointer, f"there is no asset {target!r}"))
    return found


def _lock(session: Session) -> None:
    session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})


def _write(session: Session, asset: Asset, version: int) -> None:
    values = {
        "kind": str(asset.kind),
        "title_ar": asset.title.ar,
        "title_en": asset.title.en,
        "parent": asset.parent,
        "attributes": dict(asset.attributes),
        "version": version,
    }
    row = upsert(AssetRow).values(name=asset.name, **values)
    session.execute(row.on_conflict_do_update(index_elements=[AssetRow.name], set_=values))
    session.execute(delete(AssetLink).where(AssetLink.source == asset.name))
    links = [
        {"source": asset.name, "relation": relation, "target": target}
        for relation, targets in asset.links.items()
        for target in targets
    ]
    if links:
        session.execute(insert(AssetLink), links)


def _tell(session: Session, asset: Asset, action: str, actor: str, details: Mapping[str, Any]) -> None:
    chain = f"asset/{asset.name}"
    audit.record(session, chain=chain, actor=actor, action=action, details=details)
    publish(session, f"asset.{action}", chain, {"kind": asset.kind, "version": details["version"]})


def _difference(before: Asset, after: Asset) -> dict[str, Any]:
    old, new = before.plain(), after.plain()
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return {"before": {key: old.get(key) for key in keys}, "after": {key: new.get(key) for key in keys}}
