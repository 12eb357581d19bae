"""TABLE content items (PS3.3 C.18.10): cells, rows or columns of values -> rows of texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dicomweb_core.rendering.reports.phrases import Tabulated, coded_entries
from dicomweb_core.rendering.reports.wording import items, line, whole_numbers, worded
from dicomweb_core.values.attributes import Attributes

_SELECTOR_VALUES: Final = ("0072005E", "00720083")
"""First and last of the Selector Values, one for each VR (PS3.3 Table 10-43)."""
_SELECTOR_CODES: Final = "00720080"

_EMPTY_PER_FULL: Final = 8
"""Empty cells for each full one, up to which a table is shown as such: numbers of rows and columns are only claimed."""


def tabulated(table: Attributes) -> Tabulated:
    """An item of Tabulated Values Sequence. A table that is nearly empty becomes a list of its cells.

    Rows and columns without any value are left out.
    """
    cells: dict[tuple[int, int], str] = {}
    for item in items(table, "0040A808"):
        for place, value in _values(item):
            cells[place] = value
    rows, columns = (sorted({place[axis] for place in cells}) for axis in (0, 1))
    row_names, column_names = (
        _names(table, sequence, number) for sequence, number in (("0040A806", "0040A804"), ("0040A807", "0040A805"))
    )
    if len(rows) * len(columns) > _EMPTY_PER_FULL * len(cells):
        return Tabulated(
            columns=("Row", "Column", "Value"),
            names=("",) * len(cells),
            rows=tuple(
                (row_names.get(row, "") or str(row), column_names.get(column, "") or str(column), value)
                for (row, column), value in sorted(cells.items())
            ),
        )
    return Tabulated(
        columns=tuple(column_names.get(column, column_names.get(0, "")) for column in columns),
        names=tuple(row_names.get(row, row_names.get(0, "")) for row in rows),
        rows=tuple(tuple(cells.get((row, column), "") for column in columns) for row in rows),
    )


def _values(item: Attributes) -> Iterator[tuple[tuple[int, int], str]]:
    """Row and column, 1-based, with the text there. A number that is missing is counted (PS3.3 C.18.10.1.2)."""
    row, column = (next(iter(whole_numbers(item, tag)), 0) for tag in ("0040A804", "0040A805"))
    found: list[str] = []
    for tag, attribute in item.items():
        if tag == _SELECTOR_CODES:
            found += [entry.readable for entry in coded_entries(item, tag)]
        elif _SELECTOR_VALUES[0] <= tag <= _SELECTOR_VALUES[1]:
            found += map(line, worded(attribute))
    for index, value in enumerate(found, 1):
        if row and column:
            # more than one value of one cell
            yield (row, column), " ".join(found)
            return
        yield (row or index, column or index), value


def _names(table: Attributes, sequence: str, number: str) -> dict[int, str]:
    """Number to heading; 0 stands for every row or column."""
    names = {}
    for item in items(table, sequence):
        units = coded_entries(item, "004008EA")
        unit = f" [{units[0].symbol}]" if units else ""
        name = next((entry.readable for entry in coded_entries(item, "0040A043")), "")
        names[next(iter(whole_numbers(item, number)), 0)] = name + unit
    return names
