"""The simulated clients. Each fails on any status that is not exactly right; `load.run` starts them.

A reader, a writer, a token fetcher, a client that exceeds its limit, and an attacker.
"""

import base64
import itertools
import logging
import random
import time
import uuid
from urllib.parse import quote

import gevent
from locust import User, between, constant, constant_pacing, events, task
from locust.env import Environment
from locust.runners import STATE_CLEANUP, STATE_STOPPED, STATE_STOPPING

from load.attacks import FORM, JSON, attacks
from load.connection import Connection, bearer, json_body
from load.target import Target

TARGET = Target.from_environment()
ATTACKS = attacks(TARGET)
# 127.1.0.1 and on: each simulated client has an address of its own, and limits of its own with it.
_numbers = itertools.count(1)

LIMIT = "POST /verify_token, over the limit"
# What must have happened by the end, or the run has shown nothing.
MUST = (
    "GET /api/users",
    "GET /api/users?q",
    "GET /api/users?q, an attack",
    "GET /api/users/ID",
    "POST /api/users",
    "POST /api/users, a duplicate",
    "POST /api/users, an attack",
    "POST /oauth/token",
    f"{LIMIT} → 200",
    f"{LIMIT} → 429",
    "POST /verify_token, after Retry-After",
    *(attack.name for attack in ATTACKS),
)

log = logging.getLogger("load")


class Client(User):
    """What all of them have: a connection from an address of their own."""

    abstract = True

    def on_start(self) -> None:
        """Connect."""
        number = next(_numbers)
        self.connection = Connection(self.environment, TARGET, f"127.1.{number // 250}.{number % 250 + 1}")

    def on_stop(self) -> None:
        """Disconnect."""
        self.connection.close()


class Reader(Client):
    """Lists, searches and reads."""

    weight = 3
    wait_time = between(0.02, 0.2)
    headers = (bearer(TARGET.reader_token),)

    @task(4)
    def list_users(self) -> None:
        """Read the first page and, if there is one, the next."""
        page = self.connection.call("GET /api/users", "GET", "/api/users", expect={200}, headers=self.headers)
        if page is None:
            return
        if len(page.json()["users"]) < 3:
            self.connection.fail("GET /api/users", "fewer users than the samples")
        if following := page.json()["next"]:
            self.connection.call("GET /api/users?after", "GET", following, expect={200}, headers=self.headers)

    @task(2)
    def search(self) -> None:
        """Search for one that is there, or for one that is not."""
        text = random.choice(("ada", "grace", "nobody at all", "O'Brien"))
        path = f"/api/users?q={quote(text)}"
        self.connection.call("GET /api/users?q", "GET", path, expect={200}, headers=self.headers)

    @task
    def inject(self) -> None:
        """Search with what a rule of the Core Rule Set refuses."""
        path = "/api/users?q=" + quote("' OR 1=1 --")
        self.connection.call("GET /api/users?q, an attack", "GET", path, expect={403}, headers=self.headers)

    @task(3)
    def read(self) -> None:
        """Read one of the sample users."""
        path = f"/api/users/{random.randint(1, 3)}"
        self.connection.call("GET /api/users/ID", "GET", path, expect={200}, headers=self.headers)

    @task
    def card(self) -> None:
        """Look at one as a page."""
        path = f"/api/users/{random.randint(1, 3)}/card"
        page = self.connection.call("GET /api/users/ID/card", "GET", path, expect={200}, headers=self.headers)
        if page is not None and b"<script" in page.body:
            self.connection.fail("GET /api/users/ID/card", "markup of a user came through")

    @task
    def missing(self) -> None:
        """Ask for one that is not there."""
        path = f"/api/users/{2**60}"
        self.connection.call("GET /api/users/ID, none", "GET", path, expect={404}, headers=self.headers)


class Writer(Client):
    """Adds users."""

    weight = 1
    wait_time = between(0.05, 0.3)
    headers = (bearer(TARGET.token), JSON)

    @task(4)
    def add(self) -> None:
        """Add a user and read it back."""
        email = f"{uuid.uuid4().hex}@example.org"
        body = json_body({"name": "Load O'Hara", "email": email, "about": "Reads & writes, 3 < 4"})
        added = self.connection.call(
            "POST /api/users", "POST", "/api/users", expect={201}, headers=self.headers, body=body
        )
        if added is None:
            return
        path = added.headers["Location"]
        read = self.connection.call("GET /api/users/ID", "GET", path, expect={200}, headers=self.headers)
        if read is not None and read.json() != added.json():
            self.connection.fail("GET /api/users/ID", "what was added is not what is read")

    @task
    def script(self) -> None:
        """Add one whose name is markup, which a rule refuses."""
        body = json_body({"name": "<script>alert(1)</script>", "email": "load@example.org"})
        name = "POST /api/users, an attack"
        self.connection.call(name, "POST", "/api/users", expect={403}, headers=self.headers, body=body)

    @task
    def duplicate(self) -> None:
        """Add one whose address is taken."""
        body = json_body({"name": "Ada", "email": "ada@example.org"})
        name = "POST /api/users, a duplicate"
        self.connection.call(name, "POST", "/api/users", expect={409}, headers=self.headers, body=body)

    @task
    def invalid(self) -> None:
        """Add one that is none."""
        name = "POST /api/users, invalid"
        self.connection.call(name, "POST", "/api/users", expect={422}, headers=self.headers, body=b"{}")


class TokenFetcher(Client):
    """Gets a token and uses it, well below its limit of ten a second."""

    fixed_count = 1
    wait_time = constant_pacing(0.5)

    @task
    def fetch(self) -> None:
        """Get a token by client credentials."""
        credentials = base64.b64encode(f"{TARGET.client_id}:{TARGET.client_secret}".encode()).decode()
        granted = self.connection.call(
            "POST /oauth/token",
            "POST",
            "/oauth/token",
            expect={200},
            headers=(FORM, ("Authorization", f"Basic {credentials}")),
            body=b"grant_type=client_credentials&audience=data",
        )
        if granted is not None:
            headers = (bearer(granted.json()["access_token"]),)
            name = "GET /api/users, a fresh token"
            self.connection.call(name, "GET", "/api/users?limit=1", expect={200}, headers=headers)


class Exceeder(Client):
    """Exceeds its limit on purpose, and comes back when it was told to."""

    fixed_count = 1
    wait_time = constant(0)
    body = f"audience=data&access_token={TARGET.token}".encode()

    @task
    def exceed(self) -> None:
        """Call until it is too much, then wait for as long as Retry-After says: then a call must pass."""
        path = "/verify_token"
        for _ in range(200):
            answer = self.connection.call(
                LIMIT, "POST", path, expect=(200, 429), headers=(FORM,), body=self.body
            )
            if answer is None:
                return
            if answer.status == 429:
                break
        else:
            return
        told = answer.headers.get("Retry-After", "")
        if not told.isdecimal() or not 1 <= int(told) <= 60:
            self.connection.fail(LIMIT, f"429 with Retry-After {told!r}")
            return
        gevent.sleep(int(told))
        name = "POST /verify_token, after Retry-After"
        self.connection.call(name, "POST", path, expect={200}, headers=(FORM,), body=self.body)


class Attacker(Client):
    """Goes through all attacks, again and again."""

    fixed_count = 1
    wait_time = between(0.005, 0.03)

    def on_start(self) -> None:
        """Begin with the first."""
        super().on_start()
        self.next = itertools.cycle(ATTACKS)

    @task
    def attack(self) -> None:
        """Do the next one."""
        attack = next(self.next)
        self.connection.call(
            attack.name,
            attack.method,
            attack.path,
            expect={attack.status},
            headers=attack.headers,
            body=attack.body,
        )


def show_progress(environment: Environment, **_kwargs: object) -> None:
    """Say every five seconds how it goes."""

    def tell() -> None:
        started = time.monotonic()
        ended = {STATE_STOPPING, STATE_STOPPED, STATE_CLEANUP}
        while environment.runner is None or environment.runner.state not in ended:
            gevent.sleep(5)
            total = environment.stats.total
            log.info(
                "%3d s: %6d requests, %4.0f a second, half within %s ms, 95%% within %s ms, %d unexpected",
                time.monotonic() - started,
                total.num_requests,
                total.current_rps,
                total.get_response_time_percentile(0.5),
                total.get_response_time_percentile(0.95),
                total.num_failures,
            )

    gevent.spawn(tell)


def judge(environment: Environment, **_kwargs: object) -> None:
    """Fail a run in which something never happened: it would have shown nothing."""
    happened = {name for name, _method in environment.stats.entries}
    missing = [name for name in MUST if name not in happened]
    if missing:
        log.error("these never happened; run it for longer: %s", "; ".join(missing))
        environment.process_exit_code = 1


# locust is typed, but for its events
events.init.add_listener(show_progress)  # type: ignore[no-untyped-call]
events.quitting.add_listener(judge)  # type: ignore[no-untyped-call]
