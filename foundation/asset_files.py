"""The inventory as a file: YAML for people, CSV for spreadsheets; both hold the same."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from foundation.asset_kinds import RELATIONS, RULES
from foundation.definitions import Strict, line_of, parse_yaml
from foundation.errors import FieldError, InvalidInput, NotFound

_FIXED = ("name", "kind", "title_ar", "title_en", "parent", *RELATIONS)


@dataclass(frozen=True)
class FileRow:
    """One asset as a file has it, not yet checked.

    Args:
        data: as `foundation.asset.parse_asset` takes it.
        line: gives the line of a JSON Pointer into `data`.
    """

    data: Mapping[str, Any]
    line: Callable[[str], int]


class _File(Strict):
    assets: tuple[dict[str, Any], ...]


def read_rows(path: Path) -> list[FileRow]:
    """The assets of a file.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it cannot be read, or is neither YAML nor CSV as its ending says.
    """
    try:
        # "-sig": spreadsheets write a byte order mark before the first column's name.
        written = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise NotFound("There is no such file.", place=str(path), remedy="Name another.") from error
    except OSError as error:
        raise InvalidInput(
            f"The file cannot be read ({error.strerror}).", place=str(path), remedy="Name a readable file."
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"The file cannot be read ({error}).", place=str(path), remedy="Save it as UTF-8."
        ) from error
    if path.suffix in (".yaml", ".yml"):
        return _read_yaml(written, str(path))
    if path.suffix == ".csv":
        return _read_csv(written, str(path))
    raise InvalidInput(
        f"The ending {path.suffix!r} is not known.", place=str(path), remedy="Name it .yaml, .yml or .csv."
    )


def write_rows(rows: Sequence[Mapping[str, Any]], form: str) -> str:
    """A file with these assets.

    Args:
        rows: as `foundation.asset.Asset.plain` gives them.
        form: "yaml" or "csv".
    """
    if form == "yaml":
        return yaml.safe_dump({"assets": [dict(row) for row in rows]}, allow_unicode=True, sort_keys=False)
    attributes = sorted({name for row in rows for name in row.get("attributes", {})})
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([*_FIXED, *attributes])
    for row in rows:
        title, links, own = row["title"], row.get("links", {}), row.get("attributes", {})
        fixed = [row["name"], row["kind"], title["ar"], title["en"], row.get("parent", "")]
        fixed += [" ".join(links.get(relation, ())) for relation in RELATIONS]
        writer.writerow([*fixed, *(own.get(name, "") for name in attributes)])
    return out.getvalue()


def _read_yaml(written: str, name: str) -> list[FileRow]:
    file = parse_yaml(written, name, _File)
    root = yaml.compose(written, Loader=yaml.CSafeLoader)

    def lines(index: int) -> Callable[[str], int]:
        return lambda pointer: line_of(("assets", index, *pointer.split("/")[1:]), root)

    return [FileRow(data, lines(index)) for index, data in enumerate(file.assets)]


def _read_csv(written: str, name: str) -> list[FileRow]:
    first = written.partition("\n")[0]
    # Where the comma is the decimal sign, spreadsheets separate by semicolons.
    reader = csv.reader(io.StringIO(written, newline=""), delimiter=";" if ";" in first else ",", strict=True)
    rows: list[FileRow] = []
    line = 1
    try:
        header = _header(next(reader, []), name)
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(FileRow(_row(header, cells, f"{name}:{line}"), _always(line)))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InvalidInput(
            f"This is not CSV: {error}.",
            place=f"{name}:{line}",
            remedy="Close every quote, and quote quotes.",
        ) from error
    return rows


def _always(line: int) -> Callable[[str], int]:
    return lambda _pointer: line


def _header(cells: Sequence[str], name: str) -> list[str]:
    columns = [cell.strip() for cell in cells]
    known = {*_FIXED, *(field for rule in RULES.values() for field in rule.attributes.model_fields)}
    wrong = [FieldError(f"/{column}", "is no column", 1) for column in columns if column not in known]
    wrong += [
        FieldError(f"/{column}", "is missing", 1) for column in ("name", "kind") if column not in columns
    ]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    wrong += [FieldError(f"/{column}", "stands twice", 1) for column in twice]
    if wrong:
        raise InvalidInput(
            f"The column {wrong[0].pointer[1:]!r} {wrong[0].detail}.",
            place=f"{name}:1",
            remedy="See the columns with: rakeeza asset export --format csv",
            fields=tuple(wrong),
        )
    return columns


def _row(header: Sequence[str], cells: Sequence[str], place: str) -> dict[str, Any]:
    if len(cells) > len(header):
        raise InvalidInput(
            f"The row has {len(cells)} cells under {len(header)} columns.",
            place=place,
            remedy="Quote the commas.",
        )
    given = {column: cell.strip() for column, cell in zip(header, cells, strict=False) if cell.strip()}
    data: dict[str, Any] = {key: given[key] for key in ("name", "kind", "parent") if key in given}
    title = {
        language: given[f"title_{language}"] for language in ("ar", "en") if f"title_{language}" in given
    }
    links = {relation: given[relation].split() for relation in RELATIONS if relation in given}
    attributes = {column: cell for column, cell in given.items() if column not in _FIXED}
    parts = {"title": title, "links": links, "attributes": attributes}
    return {**data, **{key: part for key, part in parts.items() if part}}
