"""Stands in for mlx-lm's server: the same options, the same HTTP, no model."""

import argparse
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = ("An", " answer", ".")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._send({"status": "ok"} if self.path == "/health" else {"object": "list", "data": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body.get("model", "default_model") != "default_model":  # the real one would try to fetch it
            self._send({"error": f"Repository Not Found: {body['model']}"}, 404)
        elif body.get("stream"):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for word in WORDS[: body.get("max_tokens", 512)]:
                self._event({"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None})
            self._event({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"})
            self.wfile.write(b"data: [DONE]\n\n")
        else:
            text = "".join(WORDS[: body.get("max_tokens", 512)])
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
            self._send({"object": "chat.completion", "model": "default_model", "choices": [choice], "usage": usage})

    def _event(self, choice: dict[str, object]) -> None:
        chunk = {"object": "chat.completion.chunk", "model": "default_model", "choices": [choice]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

    def _send(self, body: dict[str, object], status: int = 200) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(raw)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--model", "--host", "--log-level"):
        parser.add_argument(name)
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    if "broken" in given.model:
        sys.exit("ValueError: Model type foo not supported.")
    ThreadingHTTPServer((given.host, given.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
