"""The units a metric may have, and the ending that its name must have for each.

Source: Prometheus, "Metric and label naming" (base units; a counter ends in `_total`).
"""

import re

# Measured quantities, in the base unit that Prometheus's naming rules ask for, and counted things. An ending
# is the unit itself. Rates keep "per second" because the field states them so (ifSpeed, flow).
MEASURED = frozenset(
    {
        "amperes",
        "bytes",
        "bytes_per_second",
        "celsius",
        "cubic_meters_per_second",
        "hertz",
        "joules",
        "meters",
        "meters_per_second",
        "ohms",
        "pascals",
        "ratio",
        "revolutions_per_minute",
        "seconds",
        "volt_amperes",
        "volt_amperes_reactive",
        "volts",
        "watts",
    }
)
COUNTED = frozenset(
    {
        "alarms",
        "discards",
        "errors",
        "events",
        "interrupts",
        "lines",
        "operations",
        "packets",
        "processes",
        "sessions",
        "switches",
        "users",
    }
)

# A state is the number that the MIB gives the state; an info metric is 1 and tells by its labels.
SPECIAL = {"state": "state", "info": "info"}

UNITS = MEASURED | COUNTED | frozenset(SPECIAL)

METRIC_NAME = re.compile(r"[a-z][a-z0-9_]*[a-z0-9]")


def name_error(metric: str, unit: str, kind: str) -> str | None:
    """What is wrong with a metric's name, given its unit and type; None when nothing is.

    Args:
        metric: the name.
        unit: one of `UNITS`.
        kind: gauge, counter, state or info.
    """
    if not METRIC_NAME.fullmatch(metric):
        return f"{metric!r} is no metric name: lower-case letters, digits and underscores, a letter first"
    if unit not in UNITS:
        return f"{unit!r} is no known unit; known: {', '.join(sorted(UNITS))}"
    wanted = SPECIAL.get(kind)
    if wanted is not None and unit != wanted:
        return f"a metric of type {kind} has the unit {wanted!r}, not {unit!r}"
    if wanted is None and unit in SPECIAL.values():
        return f"the unit {unit!r} is for metrics of type {unit}, not {kind}"
    ending = f"_{unit}_total" if kind == "counter" else f"_{unit}"
    if not metric.endswith(ending):
        return f"{metric!r} must end in {ending!r}: its type is {kind} and its unit is {unit!r}"
    # apparent_volt_amperes ends in amperes as well; so a name has one unit only, the longest that it ends in.
    longer = max((one for one in UNITS if metric.removesuffix("_total").endswith(f"_{one}")), key=len)
    if longer != unit:
        return f"{metric!r} ends in {longer!r}, and its unit is {unit!r}"
    return None
