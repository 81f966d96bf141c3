"""Check the config against the spec and the clock, with one sentence per error that names the option."""

import json
import re
from collections.abc import Collection, Mapping
from datetime import datetime, timezone
from difflib import get_close_matches
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError, best_match

from source_amplitude.extensions.errors import config_error

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def validate_config(config: Mapping[str, Any], specification: Mapping[str, Any]) -> None:
    """Refuse a config that cannot work; `specification` is the spec's JSON schema.

    Raises:
        AirbyteTracedException: config_error, an option is missing, or its value cannot work.
    """
    if error := best_match(Draft7Validator(specification).iter_errors(config)):
        raise config_error(_describe(error, specification))
    _refuse_unknown(config, specification["properties"])
    within = specification["properties"]["segmentations"]["items"]["properties"]
    for segmentation in config.get("segmentations") or []:
        _refuse_unknown(segmentation, within, " of a segmentation")
    now = datetime.now(timezone.utc)
    moments = {}
    for option in ("start_date", "end_date"):
        if config.get(option):
            try:
                moments[option] = datetime.fromisoformat(config[option].replace("Z", "+00:00"))
            except ValueError as error:
                raise config_error(f"`{option}` is not a valid date: correct it.") from error
    start, end = moments.get("start_date"), moments.get("end_date")
    if start and start > now:
        raise config_error("`start_date` is in the future: choose an earlier one.")
    if start and end and start >= end:
        raise config_error("`start_date` is not before `end_date`: choose an earlier one.")
    # The manifest's own list, and the CDK's: an image may be without the system's.
    if (zone := config.get("project_timezone")) and zone not in config["__time_zones"].split():
        raise config_error(
            "`project_timezone` is not an IANA time zone: use a name such as America/Los_Angeles."
        )


def _refuse_unknown(given: Mapping[str, Any], known: Collection[str], of: str = "") -> None:
    """Refuse a name that no option has; one that begins with `_` is the platform's.

    Raises:
        AirbyteTracedException: config_error with the nearest name, or else with all names.
    """
    for name in given:
        if name not in known and not name.startswith("_"):
            nearest = get_close_matches(name, known, 1)
            other = (
                f"did you mean `{nearest[0]}`?"
                if nearest
                else f"the options are {', '.join(known)}."
            )
            raise config_error(f"`{name}` is not an option{of}: {other}")


def _describe(error: ValidationError, specification: Mapping[str, Any]) -> str:
    """Return one sentence on an option that does not fit the spec, without the value of a secret."""
    if error.validator == "required" and not error.path:
        option = re.findall(r"'(\w+)' is a required", error.message)[0]
        return f"`{option}` is missing: set it."
    option, *within = error.path or ["the config"]
    rule = specification["properties"].get(option, {})
    if within:
        return (
            f"`{option}` has {json.dumps(error.instance)} as element {int(within[0]) + 1}: each element must"
            f" be like {json.dumps(rule['examples'][0][0])}."
        )
    if "enum" in rule:
        return f"`{option}` must be one of {', '.join(map(repr, rule['enum']))}."
    if "minimum" in rule:
        return f"`{option}` must be a whole number from {rule['minimum']} to {rule['maximum']}."
    if rule.get("format") == "date-time" and MOMENT.fullmatch(str(error.instance)):
        return f"`{option}` is not a valid date."
    form = rule.get("pattern_descriptor") or f"a {rule.get('type')}"
    if rule.get("type") == "array":
        form = "a list without duplicates"
    if option == "api_url":
        form = "an https address, or http to 127.0.0.1, localhost or [::1]"
    example = (
        f", such as {json.dumps(rule['examples'][0])}"
        if rule.get("examples") and not rule.get("airbyte_secret")
        else ""
    )
    return f"`{option}` must be {form}{example}."
