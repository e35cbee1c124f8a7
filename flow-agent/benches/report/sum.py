"""Adds up day lines by user with DuckDB, on all processors: a JSON object a user."""

import json
import sys

import duckdb

NUMBERS = [f"{protocol}_{way}_{what}" for protocol in ("tcp", "udp") for way in ("in", "out") for what in ("bytes", "packets")]

columns = {"kind": "VARCHAR", "user": "VARCHAR"} | {number: "UBIGINT" for number in NUMBERS}
sums = ", ".join(f"sum({number})" for number in NUMBERS)
query = f"""
    SELECT "user", {sums}
    FROM read_json(?, format = 'newline_delimited', columns = {columns})
    WHERE kind = 'day' GROUP BY "user"
"""
connection = duckdb.connect()
# It would be drawn on the standard output.
connection.execute("SET enable_progress_bar = false")
for user, *row in connection.execute(query, [sys.argv[1]]).fetchall():
    print(json.dumps({"user": user} | {number: int(value) for number, value in zip(NUMBERS, row)}))
