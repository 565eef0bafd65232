"""Plain HTTP calls as a person or a bot (standard library only): what a test needs to provoke and verify things."""
import http.client
import json
import ssl
import threading
import time
import urllib.parse


class Answer:
    def __init__(self, status, headers, raw):
        self.status = status
        self.headers = headers
        self.raw = raw
        try:
            self.body = json.loads(raw) if raw else None
        except ValueError:
            self.body = None

    def __repr__(self):
        return f"<{self.status} {self.raw[:300]!r}>"


class Caller:
    """Calls one API; keeps one connection alive for each thread."""

    def __init__(self, api_url, ca=None):
        self.url = urllib.parse.urlsplit(api_url)
        self._context = ssl.create_default_context(cafile=ca) if self.url.scheme == "https" else None
        self._local = threading.local()

    def _connection(self):
        if self._context:
            return http.client.HTTPSConnection(
                self.url.hostname, self.url.port, timeout=20, context=self._context
            )
        return http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=20)

    def close(self):
        """Closes this thread's connection."""
        if kept := getattr(self._local, "connection", None):
            kept.close()
        self._local.connection = None

    def once(self, token, method, path, body=None, headers=None, raw=None):
        """One request; `raw` is sent as it is instead of `body` as JSON."""
        head = {"User-Agent": "DiscordBot (guildhall tests, 1)"}
        if token:
            head["Authorization"] = token
        if body is not None:
            raw, head["Content-Type"] = json.dumps(body).encode(), "application/json"
        head.update(headers or {})
        for _ in range(2):
            kept = getattr(self._local, "connection", None)
            connection = kept or self._connection()
            self._local.connection = None
            try:
                connection.request(method, self.url.path + path, body=raw, headers=head)
                response = connection.getresponse()
                data = response.read()
                break
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                connection.close()
                if not kept:  # else: an idle connection that the server had given up
                    raise
        if not response.will_close:
            self._local.connection = connection
        return Answer(response.status, response.headers, data)

    def __call__(self, token, method, path, body=None, **more):
        """One request that waits out rate limits."""
        deadline = time.monotonic() + 60
        while True:
            answer = self.once(token, method, path, body, **more)
            if answer.status != 429 or time.monotonic() > deadline:
                return answer
            time.sleep(float(answer.body["retry_after"]) + 0.02)
