"""Add parts of dates as columns, and find categories: fastai v1's ``tabular.transform``.

The functions that take a frame change it in place and return it, as in v1.
"""
import re
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.categories import check_columns

if TYPE_CHECKING:
    import pandas as pd

PARTS = ["Year", "Month", "Week", "Day", "Dayofweek", "Dayofyear", "Is_month_end",
         "Is_month_start", "Is_quarter_end", "Is_quarter_start", "Is_year_end", "Is_year_start"]
TIMES = ["Hour", "Minute", "Second"]
SPELLED = {"Dayofweek": "day_of_week", "Dayofyear": "day_of_year"}
CYCLES = ["weekday", "day_month", "month_year", "day_year"]
TIME_CYCLES = ["hour", "clock", "min", "sec"]


def make_date(df: "pd.DataFrame", date_field: str) -> None:
    """Convert a column to dates if it has another type: fastai v1's ``make_date``.

    Parameters
    ----------
    df : DataFrame
        The frame, which is changed.
    date_field : str
        The column.

    Raises
    ------
    UnknownColumnError
        If there is no such column.
    ValueError
        If a value in it is not a date.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"saledate": ["2019-12-04", "2019-11-29"]})
    >>> make_date(df, "saledate")
    >>> df["saledate"].dt.day.tolist()
    [4, 29]
    """
    import pandas as pd
    check_columns(df.columns, [date_field])
    if df[date_field].dtype.kind == "M":
        return
    try:
        df[date_field] = pd.to_datetime(df[date_field])
    except (ValueError, TypeError) as error:
        raise ValueError(f"column {date_field!r} holds something that is not a date: {error}; "
                         "convert it with pd.to_datetime and its format=") from error


def add_datepart(df: "pd.DataFrame", field_name: str, prefix: str | None = None,
                 drop: bool = True, time: bool = False) -> "pd.DataFrame":
    """Add the parts of a date as columns: fastai v1's ``add_datepart``.

    The columns are Year, Month, Week (ISO 8601), Day, Dayofweek (Monday is 0), Dayofyear, six
    columns that are True if the day is the first or last of its month, quarter or year, and
    Elapsed, the seconds since 1970. For a missing date, the numbers are missing.

    Parameters
    ----------
    df : DataFrame
        The frame, which is changed.
    field_name : str
        The column of dates, or of texts that ``make_date`` reads.
    prefix : str, optional
        Beginning of the new names; by default ``field_name`` without "date" at its end.
    drop : bool
        Whether to drop the column of dates.
    time : bool
        Whether to add Hour, Minute and Second.

    Returns
    -------
    DataFrame
        The same frame.

    Raises
    ------
    UnknownColumnError, ValueError
        See ``make_date``.

    Examples
    --------
    >>> import pandas as pd
    >>> df = add_datepart(pd.DataFrame({"saledate": ["2019-12-04", "2019-11-29"]}), "saledate")
    >>> df[["saleYear", "saleWeek", "saleDayofweek", "saleElapsed"]].values.tolist()
    [[2019, 49, 2, 1575417600], [2019, 48, 4, 1574985600]]
    """
    dates, prefix = _dates(df, field_name, prefix)
    for part in PARTS + TIMES * time:
        values = dates.dt.isocalendar().week if part == "Week" \
            else getattr(dates.dt, SPELLED.get(part, part.lower()))
        df[prefix + part] = _plain(values)
    df[prefix + "Elapsed"] = _elapsed(dates)
    return _without(df, field_name, drop)


def cyclic_dt_feat_names(time: bool = True, add_linear: bool = False) -> list[str]:
    """Return the names of the columns of ``cyclic_dt_features``.

    Parameters
    ----------
    time : bool
        Whether to include the time of day.
    add_linear : bool
        Whether to include the year as a number with a fraction.

    Returns
    -------
    list of str
        The names.

    Examples
    --------
    >>> cyclic_dt_feat_names(time=False)[:3]
    ['weekday_cos', 'weekday_sin', 'day_month_cos']
    """
    cycles = CYCLES + TIME_CYCLES * time
    return [f"{cycle}_{f}" for cycle in cycles for f in ("cos", "sin")] + ["year_lin"] * add_linear


def cyclic_dt_features(dates: "pd.Series[Any]", time: bool = True, add_linear: bool = False
                       ) -> "pd.DataFrame":
    """Return cosine and sine of the position of each date in its week, month and year.

    As numbers, day 365 and day 1 are far apart. On a circle, 31 December is next to 1 January.

    Parameters
    ----------
    dates : Series of datetime64 (n,)
        The dates.
    time : bool
        Whether to add the positions in the day, in half a day, in the hour and in the minute.
    add_linear : bool
        Whether to add the year as a number with a fraction.

    Returns
    -------
    DataFrame (n, n_features)
        A column for each name of ``cyclic_dt_feat_names``, with NaN for a missing date.

    Notes
    -----
    fastai v1's function of the same name takes one date, and returns a list.

    Examples
    --------
    >>> import pandas as pd
    >>> dates = pd.Series(pd.to_datetime(["2019-01-01", "2019-12-31"]))
    >>> cyclic_dt_features(dates, time=False)["day_year_cos"].round(4).tolist()
    [1.0, 0.9999]
    """
    import pandas as pd
    d = dates.dt
    days_year = 365. + d.is_leap_year
    turns = [d.day_of_week / 7, (d.day - 1) / d.days_in_month, (d.month - 1) / 12,
             (d.day_of_year - 1) / days_year]
    if time:
        turns += [d.hour / 24, d.hour % 12 / 12, d.minute / 60, d.second / 60]
    columns = [f(turn * 2 * np.pi) for turn in turns for f in (np.cos, np.sin)]
    if add_linear:
        seconds = (d.hour * 60 + d.minute) * 60 + d.second + d.microsecond / 1e6
        columns.append(d.year + (d.day_of_year - 1 + seconds / 86400) / days_year)
    return pd.DataFrame(dict(zip(cyclic_dt_feat_names(time, add_linear), columns, strict=True)))


def add_cyclic_datepart(df: "pd.DataFrame", field_name: str, prefix: str | None = None,
                        drop: bool = True, time: bool = False, add_linear: bool = False
                        ) -> "pd.DataFrame":
    """Add a date's position in week, month and year as columns: v1's ``add_cyclic_datepart``.

    The columns are those of ``cyclic_dt_features``.

    Parameters
    ----------
    df : DataFrame
        The frame, which is changed.
    field_name : str
        The column of dates, or of texts that ``make_date`` reads.
    prefix : str, optional
        Beginning of the new names; by default ``field_name`` without "date" at its end.
    drop : bool
        Whether to drop the column of dates.
    time, add_linear : bool
        See ``cyclic_dt_features``.

    Returns
    -------
    DataFrame
        The same frame.

    Raises
    ------
    UnknownColumnError, ValueError
        See ``make_date``.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"saledate": ["2019-12-02", "2019-12-05"]})
    >>> add_cyclic_datepart(df, "saledate").iloc[:, :2].round(2).values.tolist()
    [[1.0, 0.0], [-0.9, 0.43]]
    """
    dates, prefix = _dates(df, field_name, prefix)
    for name, column in cyclic_dt_features(dates, time, add_linear).items():
        df[f"{prefix}{name}"] = column
    return _without(df, field_name, drop)


def add_elapsed_times(df: "pd.DataFrame", field_names: str | Iterable[str], date_field: str,
                      base_field: str) -> "pd.DataFrame":
    """Add the days since and until events, and counts of them: v1's ``add_elapsed_times``.

    Parameters
    ----------
    df : DataFrame
        The frame. Its columns of events are converted to bool, and its dates to datetime64.
    field_names : str or iterable of str
        Columns that are True if an event, such as a holiday, took place that day.
    date_field : str
        The column of dates.
    base_field : str
        The column of what the events belong to, such as a shop.

    Returns
    -------
    DataFrame
        A copy with four more columns for each event X: AfterX, the days since the last one;
        BeforeX, the days until the next one, as a negative number; X_bw and X_fw, the number of
        events in this row and the six rows before or after it. The days are 0 if there is no last
        or next event.

    Raises
    ------
    UnknownColumnError, ValueError
        If a column or a date is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"date": ["2019-12-04", "2019-12-08", "2019-12-09"],
    ...                    "shop": 1, "sale": [False, True, False]})
    >>> added = add_elapsed_times(df, "sale", "date", "shop")
    >>> added.filter(like="sale").iloc[:, 1:].astype(int).values.tolist()
    [[0, -4, 0, 1], [0, 0, 1, 1], [1, 0, 1, 0]]
    """
    fields = [field_names] if isinstance(field_names, str) else list(field_names)
    check_columns(df.columns, [*fields, base_field])
    make_date(df, date_field)
    df[fields] = df[fields].astype(bool)
    if df[date_field].isna().any():
        raise ValueError(f"column {date_field!r} has missing dates; drop these rows first")
    rows = df.sort_values([base_field, date_field], kind="stable")
    groups = {"bw": rows, "fw": rows[::-1]}
    res = df.copy()
    for order, name in (("bw", "After"), ("fw", "Before")):
        for field in fields:
            res[name + field] = _days_since(groups[order], field, date_field, base_field)
    for order, part in groups.items():
        counts = part.groupby(base_field)[fields].rolling(7, min_periods=1).sum()
        for field in fields:
            res[f"{field}_{order}"] = counts[field].droplevel(0)
    return res


def _days_since(rows: "pd.DataFrame", field: str, date_field: str, base_field: str
                ) -> "pd.Series[Any]":
    """Return the days from the last event at or before each row; 0 without one."""
    last = rows[date_field].where(rows[field]).groupby(rows[base_field]).ffill()
    return (rows[date_field] - last).dt.days.fillna(0).astype(int)


def cont_cat_split(df: "pd.DataFrame", max_card: int = 20,
                   dep_var: Hashable | Iterable[Hashable] = None) -> tuple[list[Any], list[Any]]:
    """Return the columns that look continuous and the other ones: fastai v1's ``cont_cat_split``.

    Floats, and whole numbers with more than ``max_card`` distinct values, are continuous.

    Parameters
    ----------
    df : DataFrame
        The frame.
    max_card : int
        The largest number of distinct whole numbers in a categorical column.
    dep_var : str or list of str, optional
        Columns to leave out.

    Returns
    -------
    cont_names, cat_names : list of str
        The continuous and the categorical columns.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"zip": range(100, 150), "rooms": 3, "town": "Ulm", "rent": .5})
    >>> cont_cat_split(df, dep_var="rent")
    (['zip'], ['rooms', 'town'])
    """
    out = dep_var if isinstance(dep_var, list | tuple) else [dep_var]
    names = [name for name in df.columns if name not in out]
    conts = [name for name in names if df[name].dtype.kind == "f"
             or (df[name].dtype.kind in "iu" and df[name].nunique(dropna=False) > max_card)]
    return conts, [name for name in names if name not in conts]


def _dates(df: "pd.DataFrame", field_name: str, prefix: str | None
           ) -> "tuple[pd.Series[Any], str]":
    """Return the column as dates, and the beginning of the new names."""
    make_date(df, field_name)
    return df[field_name], re.sub("[Dd]ate$", "", field_name) if prefix is None else prefix


def _plain(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return whole numbers that may be missing (UInt32) as int64, or as float64 if some are."""
    if values.dtype.kind not in "iu":
        return values
    return values.astype("float64" if values.isna().any() else "int64")


def _elapsed(dates: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the seconds since 1970, rounded down."""
    import pandas as pd
    return (dates - pd.Timestamp(0, tz=dates.dt.tz)) // pd.Timedelta(seconds=1)


def _without(df: "pd.DataFrame", name: str, drop: bool) -> "pd.DataFrame":
    if drop:
        del df[name]
    return df
