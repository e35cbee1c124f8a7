"""The engine of a current ClickHouse (chdb, from PyPI) behind as much of ClickHouse's HTTP interface as flow-agent uses.

Usage: chdb_server.py DATA-DIRECTORY PORT. One query at a time, on loopback only.
"""

import gzip
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from urllib.parse import parse_qsl, urlsplit

from chdb import session

ENGINE = session.Session(sys.argv[1])
# A client may keep a connection open while it uses another one, so each has a thread.
QUERY = Lock()
# Those of the HTTP interface itself; all others are settings of the query.
OF_HTTP = {"query", "database", "user", "password", "wait_end_of_query"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        parameters = dict(parse_qsl(urlsplit(self.path).query))
        body = self.body()
        query = parameters.get("query")
        settings = ", ".join(f"{key}='{value}'" for key, value in parameters.items() if key not in OF_HTTP)
        try:
            if query is None:
                self.answer(200, self.run(body.decode()))
            else:
                # The rows follow the statement, as in a script.
                statement, form = re.fullmatch(r"(INSERT INTO .*) (FORMAT \w+)", query, re.S).groups()
                with_settings = f"{statement} SETTINGS {settings}" if settings else statement
                self.answer(200, self.run(f"{with_settings} {form}\n{body.decode()}"))
        except Exception as error:  # Whatever the engine refuses is the server's answer.
            self.answer(500, str(error).encode())

    def run(self, sql):
        with QUERY:
            return ENGINE.query(sql, "TabSeparated").bytes() or b""

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(chunks)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def answer(self, status, text):
        self.send_response(status)
        code = re.match(rb"(?:.*\n)?Code: (\d+)", text) if status != 200 else None
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code[1].decode())
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
