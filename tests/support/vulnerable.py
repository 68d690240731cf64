"""A shop with the holes that textbooks warn of, each of them real, to put behind a gateway.

Three are those of the chapter on untrusted data: the query that is put together as text, the template that is
rendered with what a client sent, and the redirect to wherever a client says. Everything happens in a folder
and a database of its own; nothing is written outside of them.
"""

import json
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment

from tests.support.backend import Backend, Request, Response

SECRET: Final = "the combination is 17-4-29"
FLAG: Final = "flag-of-the-shop"

_SCHEMA: Final = """
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, password TEXT);
INSERT INTO users VALUES (1, 'Ada Lovelace', 'analytical'), (2, 'Miles O''Brien', 'transporter');
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO products VALUES (1, 'Garden chair'), (2, 'Oak table'), (3, 'Select lamp');
CREATE TABLE safes (secret TEXT);
INSERT INTO safes VALUES ('the combination is 17-4-29');
"""

Fields = Mapping[str, str]


class Shop:
    """The service.

    Attributes:
        backend: it, as it runs.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bartizan-shop-")
        pages = Path(self._folder.name, "pages")
        pages.mkdir()
        (pages / "terms.txt").write_text("Goods are sent within two days.\n")
        (pages / "terms & prices.txt").write_text("Prices include tax.\n")
        Path(self._folder.name, "flag.txt").write_text(FLAG)
        self._pages = pages
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.executescript(_SCHEMA)
        self.backend = Backend(self._answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.backend.stop()
        self._database.close()
        self._folder.cleanup()

    def _answer(self, request: Request) -> Response:
        parts = urlsplit(request.target)
        routes: dict[tuple[str, str], Callable[[Fields], Response]] = {
            ("GET", "/users"): self._user,
            ("GET", "/products"): self._products,
            ("POST", "/login"): self._login,
            ("POST", "/api/users"): self._find,
            ("GET", "/hello"): self._hello,
            ("GET", "/leave"): self._leave,
            ("GET", "/pages"): self._page,
            ("GET", "/lookup"): self._lookup,
            ("GET", "/greeting"): self._greet,
            ("POST", "/comments"): self._comment,
        }
        handler = routes.get((request.method, parts.path))
        if handler is None:
            return _text("there is no such page", 404)
        try:
            return handler(_fields(request, parts.query))
        except (sqlite3.Error, OSError, KeyError, ValueError) as error:
            return _text(f"{type(error).__name__}: {error}", 500)

    def _query(self, query: str) -> Response:
        with self._lock:
            rows = self._database.execute(query).fetchall()
        return _text(json.dumps(rows)) if rows else _text("nothing found", 404)

    def _user(self, fields: Fields) -> Response:
        return self._query(f"SELECT name FROM users WHERE id = {fields['id']}")  # noqa: S608 (the hole)

    def _products(self, fields: Fields) -> Response:
        quoted = fields["q"].replace("O'", "O''")
        return self._query(f"SELECT name FROM products WHERE name LIKE '%{quoted}%'")  # noqa: S608 (the hole)

    def _login(self, fields: Fields) -> Response:
        # It has met Mr O'Brien, and so doubles that one quote; all others are as they come.
        name, password = fields["name"].replace("O'B", "O''B"), fields["password"]
        return self._query(f"SELECT id FROM users WHERE name = '{name}' AND password = '{password}'")  # noqa: S608

    def _find(self, fields: Fields) -> Response:
        name = fields["name"].replace("O'B", "O''B")
        return self._query(f"SELECT id FROM users WHERE name = '{name}'")  # noqa: S608 (the hole)

    def _hello(self, fields: Fields) -> Response:
        template = f"Hello {fields.get('user_id', 'Anonymous')}, welcome to my shop"
        return _text(Environment(autoescape=True).from_string(template).render(secret=SECRET))

    def _leave(self, fields: Fields) -> Response:
        return Response(status=302, headers=(("Location", fields.get("from_url", "/")),), body=b"")

    def _page(self, fields: Fields) -> Response:
        return _text((self._pages / fields["name"]).read_text(encoding="utf-8"))

    def _lookup(self, fields: Fields) -> Response:
        done = subprocess.run(  # noqa: S602 (the hole)
            f"echo looking for {fields['host']}",
            shell=True,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        return _text(done.stdout)

    def _greet(self, fields: Fields) -> Response:
        return _html(f"<p>Good day, {fields['name']}!</p>")

    def _comment(self, fields: Fields) -> Response:
        return _html(f"<p>{fields.get('author', 'Somebody')} writes:</p><pre>{fields['comment']}</pre>")


def _fields(request: Request, query: str) -> Fields:
    if request.method == "GET":
        return dict(parse_qsl(query, keep_blank_values=True))
    if (request.header("Content-Type") or "").startswith("application/json"):
        return {str(name): str(value) for name, value in json.loads(request.body).items()}
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True))


def _text(text: str, status: int = 200) -> Response:
    return Response(status, (("Content-Type", "text/plain; charset=utf-8"),), text.encode())


def _html(text: str) -> Response:
    return Response(200, (("Content-Type", "text/html; charset=utf-8"),), text.encode())
