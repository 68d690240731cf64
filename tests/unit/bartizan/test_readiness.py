"""Waiting for a generation to serve."""

import pytest

from bartizan.policy import Operator
from bartizan.readiness import serving_generation, wait_until_ready
from tests.support.backend import Backend, Response
from tests.support.ports import free_port

READY = Response(body=b'{"ready": true, "generation": "g2"}')


@pytest.mark.parametrize(
    ("response", "generation"),
    [
        (READY, "g2"),
        (Response(status=503, body=b'{"ready": false, "generation": "g2"}'), None),
        (Response(body=b"not JSON"), None),
        (Response(body=b"[]"), None),
        (Response(body=b'{"generation": 3}'), None),
        (Response(takeover=lambda _: None), None),
    ],
)
def test_only_a_ready_generation_is_told(response: Response, generation: str | None) -> None:
    with Backend(lambda _: response) as backend:
        assert serving_generation(Operator(port=backend.port)) == generation


def test_nobody_answers() -> None:
    assert serving_generation(Operator(port=free_port())) is None


def test_waiting_ends_when_it_serves() -> None:
    answers = iter([Response(status=503), Response(body=b'{"generation": "g1"}'), READY])
    with Backend(lambda _: next(answers)) as backend:
        assert wait_until_ready(Operator(port=backend.port), "g2", 60)
        assert len(backend.requests) == 3
        assert backend.requests[0].target == "/readyz"


def test_waiting_ends_when_time_is_up_or_nobody_waits() -> None:
    operator = Operator(port=free_port())
    assert not wait_until_ready(operator, "g", 0)
    assert not wait_until_ready(operator, "g", 60, lambda _: False)
