"""The control endpoints of the servers under test, by plain HTTP: every node is asked, answers are put together."""
import http.client
import json
import ssl
import urllib.parse

PREFIX = "/_guildhall/control"


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status} {body}")
        self.status, self.body = status, body


def call(url, method, path, args=None, secret=None, ca=None, headers=None):
    """One request to the process at `url` (any URL of it); its answer, or Refused."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme in ("https", "wss"):
        context = ssl.create_default_context(cafile=ca)
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=20, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    head = {**({"Authorization": f"Bearer {secret}"} if secret else {}), **(headers or {})}
    body = None
    if method == "GET" and args:
        path += "?" + urllib.parse.urlencode(args)
    elif args is not None:
        body, head["Content-Type"] = json.dumps(args).encode(), "application/json"
    try:
        connection.request(method, PREFIX + path, body=body, headers=head)
        response = connection.getresponse()
        data = response.read()
    finally:
        connection.close()
    answer = json.loads(data) if data else None
    if response.status != 200:
        raise Refused(response.status, answer)
    return answer


class Control:
    """urls: the processes to ask; those without the action are skipped."""

    def __init__(self, urls, secret=None, ca=None):
        processes = {urllib.parse.urlsplit(url).netloc: url for url in urls}  # API and gateway may share a port
        self.urls, self.secret, self.ca = list(processes.values()), secret, ca

    def __call__(self, method, path, /, **args):
        answers, refusal = [], None
        for url in self.urls:
            try:
                answers.append(call(url, method, path, args, self.secret, self.ca))
            except Refused as problem:
                if problem.status != 404:
                    raise
                refusal = problem
        if not answers:
            raise refusal
        return answers

    def sessions(self, **who):
        return [session for answer in self("GET", "/sessions", **who) for session in answer["sessions"]]

    def do(self, what, **args):
        """POST /sessions/WHAT; the ids of the sessions it was done to."""
        return [session for answer in self("POST", f"/sessions/{what}", **args) for session in answer["sessions"]]
