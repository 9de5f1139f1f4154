"""A profile for other tools: CSV, and a DataFrame where pandas is installed."""

import csv
import io
from typing import TYPE_CHECKING, Any

from layermix.errors import InputError
from layermix.geometry.profiles.values import ProfileValues

if TYPE_CHECKING:
    import pandas as pd


def as_csv(records: list[dict[str, Any]]) -> str:
    """Return records as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def as_frame(profile: ProfileValues) -> "pd.DataFrame":
    """Return a DataFrame, a row for each layer, by mix point."""
    try:
        import pandas as pd
    except ImportError as error:
        raise InputError("to_frame needs pandas: pip install pandas") from error
    return pd.DataFrame.from_records(profile.records(), index="point")
