"""Reads a report from standard input as another program would, and prints its rows as one JSON array of arrays.

`read_back.py csv|guarded-csv|ndjson|json-by-email|json-by-expert`, run by tests/front_door/other_readers.rs.
Each row has the columns of the CSV.
"""

import csv
import io
import json
import sys
import unicodedata

COLUMNS = ["email", "expert_username", "expert_name", "search_query", "created_at"]


def unguarded(cell: str) -> str:
    """Removes the guard of `report --format csv`: one ' before each character that begins a formula."""
    text = ""
    cell_begins = text_begins = True
    for character in cell:
        begins_formula = (character in "=+-@＝＋－＠" and cell_begins) or (character in "\t\r" and text_begins)
        if begins_formula and text.endswith("'"):
            text = text[:-1]
        text += character
        text_begins = text_begins and character == "'"
        if character in ",;|\t\r\n":
            cell_begins = True
        elif character not in "'\"":
            cell_begins = cell_begins and (character.isspace() or unicodedata.category(character) == "Cc")
    return text


def rows(form: str, text: str) -> list[list[str]]:
    if form in ("csv", "guarded-csv"):
        header, *records = csv.reader(io.StringIO(text, newline=""), strict=True)
        assert header == COLUMNS, header
        undo = unguarded if form == "guarded-csv" else str
        return [[undo(cell) for cell in record] for record in records]
    if form == "ndjson":
        lines = text.split("\n")
        assert lines.pop() == "", "the last line ends too"
        objects = [json.loads(line) for line in lines]
        assert all(list(row) == COLUMNS for row in objects), objects
        return [list(row.values()) for row in objects]
    report = json.loads(text)
    if form == "json-by-expert":
        shared = {key: report[key] for key in ("expert_username", "expert_name")}
        return [[({**shared, **click})[key] for key in COLUMNS] for click in report["clicks"]]
    return [
        [({"email": lead["email"], **click})[key] for key in COLUMNS]
        for lead in report["leads"]
        for click in lead["clicks"]
    ]


sys.stdin.reconfigure(encoding="utf-8", newline="")
json.dump(rows(sys.argv[1], sys.stdin.read()), sys.stdout)
