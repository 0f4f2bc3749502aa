"""A server of chat completions on this machine, with the failures that servers have.

It speaks the protocol over real sockets: keys, models, errors as OpenAI words them, token counts.
What goes wrong is planned: each request takes the next `Act` of the plan, and is answered as it
should be when the plan is empty.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, TypeAlias

KEY = "sk-test-0123456789"
MODEL = "toy-1"

Act: TypeAlias = Callable[["Exchange"], None]
"""What a server does with a request instead of answering it."""


@dataclass
class Received:
    """A request as it came."""

    at: float
    """time.monotonic()"""
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class OpenAIServer:
    """Serves within a `with`; `url` is its base URL."""

    def __init__(self) -> None:
        self.plan: list[Act] = []
        self.default: Act | None = None
        """What is done where the plan is empty; None answers."""
        self.reply: Callable[[dict[str, Any]], str] = lambda body: body["messages"][-1]["content"]
        """What the model says to a request's body."""
        self.received: list[Received] = []
        self.answered = 0
        self.most_at_once = 0
        self.closing = threading.Event()
        self._at_once = 0
        self._lock = threading.Lock()
        self._http = _QuietServer(("127.0.0.1", 0), _handler(self))
        # Whatever is still being answered when the server closes is of no interest.
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> OpenAIServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def take(self, received: Received) -> Act | None:
        """Note a request and return what to do with it."""
        with self._lock:
            self.received.append(received)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            return self.plan.pop(0) if self.plan else self.default

    def done(self) -> None:
        """Note that a request has been dealt with."""
        with self._lock:
            self._at_once -= 1


class _QuietServer(ThreadingHTTPServer):
    """Prints no traceback for a client that goes while its request is read."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Exchange(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_of: OpenAIServer
    body: dict[str, Any]

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        sent = self.rfile.read(size)
        if len(sent) < size:
            self.close_connection = True  # the client has gone
            return
        self.body = json.loads(sent)
        headers = {name.lower(): value for name, value in self.headers.items()}
        act = self.server_of.take(Received(time.monotonic(), self.path, headers, self.body))
        try:
            if act is not None:
                act(self)
            else:
                self.answer()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has gone
        finally:
            self.server_of.done()

    def answer(self) -> None:
        """Answer as the protocol says, mistakes of the client included."""
        if self.headers["Authorization"] != f"Bearer {KEY}":
            error(401, f"Incorrect API key provided: {self.headers['Authorization']}")(self)
        elif self.path != "/v1/chat/completions":
            error(404, f"Unknown request URL: POST {self.path}")(self)
        elif self.body["model"] != MODEL:
            error(404, f"The model `{self.body['model']}` does not exist", "model_not_found")(self)
        else:
            self.send(completion(self, self.server_of.reply(self.body)))
            self.server_of.answered += 1

    def send(
        self,
        value: Any,
        status: int = 200,
        headers: dict[str, str] | None = None,
        kind: str = "application/json",
    ) -> None:
        """Send JSON, or bytes as they are."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


def _handler(server: OpenAIServer) -> type[Exchange]:
    return type("Handler", (Exchange,), {"server_of": server})


def completion(
    exchange: Exchange,
    content: Any,
    finish: str = "stop",
    **message: Any,
) -> dict[str, Any]:
    """Return a chat completion. Tokens are words here, and half of a prompt was cached."""
    words = [len(one["content"].split()) for one in exchange.body["messages"]]
    said = len(content.split()) if isinstance(content, str) else 0
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": exchange.body["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": finish,
            }
        ],
        "usage": {
            "prompt_tokens": sum(words),
            "completion_tokens": said,
            "total_tokens": sum(words) + said,
            "prompt_tokens_details": {"cached_tokens": sum(words) // 2},
        },
    }


def error(status: int, message: str, code: str | None = None, **headers: str) -> Act:
    """Answer with an error; `retry_after="1"` is the header Retry-After."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    value = {"error": {"message": message, "type": "error", "param": None, "code": code}}
    return lambda exchange: exchange.send(value, status, named)


def says(content: Any, finish: str = "stop", **message: Any) -> Act:
    """Answer with this message."""
    return lambda exchange: exchange.send(completion(exchange, content, finish, **message))


def sends(value: Any, kind: str = "application/json") -> Act:
    """Answer 200 with this body."""
    return lambda exchange: exchange.send(value, kind=kind)


def hang(exchange: Exchange) -> None:
    """Answer nothing until the client or the test has gone."""
    exchange.server_of.closing.wait(60)
    exchange.close_connection = True


def slowly(seconds: float, after: threading.Barrier | None = None) -> Act:
    """Answer as it should be, later, and not before as many have come as the barrier holds."""

    def act(exchange: Exchange) -> None:
        if after is not None:
            after.wait(30)
        time.sleep(seconds)
        exchange.answer()

    return act


def reset_in_the_body(exchange: Exchange) -> None:
    """Send half a body and reset the connection."""
    exchange.send_response(200)
    exchange.send_header("Content-Type", "application/json")
    exchange.send_header("Content-Length", "1000")
    exchange.end_headers()
    exchange.wfile.write(b'{"choices": [{"message": ')
    exchange.wfile.flush()
    # Closed with linger 0: the peer gets a reset, not an end.
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.connection.close()
    exchange.close_connection = True


def close_at_once(exchange: Exchange) -> None:
    """Close the connection without a word."""
    exchange.close_connection = True
