"""What is told of a licence that was signed anew because its key was retired."""

from pathlib import Path

from jsonschema import Draft202012Validator

from foundation.database import Database
from integrations.contracts import licensing, resolved
from tests.integrations.licence_office import REVIEWER, open_licence_office
from tests.integrations.reissue_town import town_of


def test_its_history_names_the_version_that_no_case_made(database: Database, tmp_path: Path) -> None:
    town = town_of(open_licence_office(database, tmp_path))
    (licence,) = town.issued()
    town.stolen()
    town.finish()
    told = town.office.desk.history(REVIEWER, licence.number)
    assert [(each["outcome"], each["case"] is None) for each in told["steps"]] == [
        ("issue", False),
        ("reissue", True),
    ]
    Draft202012Validator(resolved(licensing()["components"]["schemas"]["LicenceHistory"])).validate(told)
