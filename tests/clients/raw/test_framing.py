"""HTTP/1.1 in every legal framing, and what is answered to the illegal."""
import json
import os
import socket
import time
import unittest

from case import Case


class Wire:
    """One TCP connection to the API: bytes out, responses in."""

    def __init__(self, url):
        self._socket = socket.create_connection((url.hostname, url.port), 10)
        self._buffer = b""

    def send(self, *pieces, pause=0.0):
        for piece in pieces:
            self._socket.sendall(piece if isinstance(piece, bytes) else piece.encode())
            time.sleep(pause)

    def _more(self):
        data = self._socket.recv(65536)
        if not data:
            raise EOFError
        self._buffer += data

    def response(self):
        """(status, headers in lower case, body)."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        status = int(first.split(" ")[1])
        if status == 100:
            return status, headers, b""
        length = int(headers.get("content-length", "0"))
        while len(self._buffer) < length:
            self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return status, headers, body

    def at_end(self):
        try:
            return self._buffer == b"" and self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self._socket.close()


class Framing(Case):
    def wire(self):
        wire = Wire(self.call.url)
        self.addCleanup(wire.close)
        return wire

    def head(self, *lines, method="POST", path=None):
        first = f"{method} {self.call.url.path}{path or self.messages} HTTP/1.1"
        return "\r\n".join([first, "Host: x", f"Authorization: {self.bot}", *lines, "", ""])

    def test_length(self):
        wire, body = self.wire(), b'{"content":"plain"}'
        wire.send(self.head("Content-Type: application/json", f"Content-Length: {len(body)}"), body)
        status, headers, answer = wire.response()
        self.assertEqual(status, 200, answer)
        self.assertEqual(headers["content-type"], "application/json")
        self.assertIn("date", headers)

    def test_chunked(self):
        wire = self.wire()
        wire.send(self.head("Content-Type: application/json", "Transfer-Encoding: chunked"))
        wire.send("5\r\n", '{"con', "\r\n", "e;ext=1\r\n", 'tent":"chunky"', "\r\n", "1\r\n", "}", "\r\n0\r\n", "\r\n", pause=0.01)
        status, _, answer = wire.response()
        self.assertEqual((status, json.loads(answer)["content"]), (200, "chunky"))

    def test_byte_by_byte(self):
        wire, body = self.wire(), b'{"content":"drip"}'
        whole = self.head("Content-Type: application/json", f"Content-Length: {len(body)}").encode() + body
        wire.send(*(whole[i : i + 1] for i in range(len(whole))), pause=0.0005)
        self.assertEqual(wire.response()[0], 200)

    def test_expect_continue(self):
        wire, body = self.wire(), b'{"content":"continued"}'
        wire.send(self.head("Content-Type: application/json", f"Content-Length: {len(body)}", "Expect: 100-continue"))
        self.assertEqual(wire.response()[0], 100)
        wire.send(body)
        self.assertEqual(wire.response()[0], 200)

    def test_no_body_at_all(self):
        wire = self.wire()
        wire.send(self.head(path=f"/channels/{self.general}/typing"))
        status, headers, body = wire.response()
        self.assertEqual((status, body), (204, b""))
        self.assertNotIn("content-type", headers)

    def test_pipelined(self):
        wire = self.wire()
        one = self.head(method="GET", path="/users/@me")
        two = self.head(method="GET", path=f"/channels/{self.general}")
        wire.send(one + two + one)
        names = [json.loads(wire.response()[2]).get("username") for _ in range(3)]
        self.assertEqual(names, ["pingbot", None, "pingbot"])

    def test_keep_alive_and_close(self):
        wire = self.wire()
        for _ in range(3):
            wire.send(self.head(method="GET", path="/users/@me"))
            self.assertEqual(wire.response()[0], 200)
        wire.send(self.head("Connection: close", method="GET", path="/users/@me"))
        self.assertEqual(wire.response()[0], 200)
        self.assertTrue(wire.at_end())

    def test_http_1_0(self):
        wire = self.wire()
        wire.send(self.head(method="GET", path="/users/@me").replace("HTTP/1.1", "HTTP/1.0"))
        self.assertEqual(wire.response()[0], 200)
        self.assertTrue(wire.at_end())

    def test_empty_query(self):
        message = self.say("with an empty query", token=self.bot)
        wire = self.wire()
        wire.send(self.head(method="DELETE", path=f"{self.messages}/{message['id']}?"))
        self.assertEqual(wire.response()[0], 204)

    def test_nonsense(self):
        for raw in (b"\x16\x03\x01\x02\x00\x01\x00", b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
            with self.subTest(raw=raw):
                wire = self.wire()
                wire.send(raw + b"\r\n\r\n")
                try:
                    self.assertGreaterEqual(wire.response()[0], 400)
                except (EOFError, ConnectionResetError):
                    pass
        self.assertEqual(self.call(self.bot, "GET", "/users/@me").status, 200)

    def test_two_lengths(self):
        wire = self.wire()
        wire.send(self.head("Content-Length: 3", "Transfer-Encoding: chunked"), "0\r\n\r\n")
        try:
            self.assertEqual(wire.response()[0], 400)
        except (EOFError, ConnectionResetError):
            pass

    def test_head_too_large(self):
        wire = self.wire()
        wire.send(self.head("X-Long: " + "x" * 200_000, method="GET", path="/users/@me"))
        try:
            self.assertIn(wire.response()[0], (400, 413, 431))
        except (EOFError, ConnectionResetError):
            pass

    def test_body_too_large(self):
        """A JSON body far beyond any legal one is refused, not kept in memory."""
        wire = self.wire()
        wire.send(self.head("Content-Type: application/json", f"Content-Length: {2 << 30}"))
        status, _, answer = wire.response()
        self.assertEqual((status, json.loads(answer)["code"]), (413, 40005))

    def test_chunked_body_too_large(self):
        wire = self.wire()
        wire.send(self.head("Content-Type: application/json", "Transfer-Encoding: chunked"))
        piece = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
        try:
            for _ in range(256):
                wire.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            self.assertEqual(wire.response()[0], 413)
        except (EOFError, ConnectionResetError):
            pass
        self.assertEqual(self.call(self.bot, "GET", "/users/@me").status, 200)

    def test_client_leaves_in_the_middle(self):
        for _ in range(20):
            wire = self.wire()
            wire.send(self.head("Content-Type: application/json", "Content-Length: 1000"), b'{"content":')
            wire.close()
        self.assertEqual(self.call(self.bot, "GET", "/users/@me").status, 200)


def multipart(*parts, boundary="limit", preamble=b""):
    """(content type, body) of parts that are (headers, bytes)."""
    body = preamble
    for head, data in parts:
        body += f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"
    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body + f"--{boundary}--\r\n".encode()


def file_part(index, name, data, kind="application/octet-stream"):
    return f'Content-Disposition: form-data; name="files[{index}]"; filename="{name}"\r\nContent-Type: {kind}', data


def json_part(value, kind="application/json"):
    typed = f"\r\nContent-Type: {kind}" if kind else ""
    return f'Content-Disposition: form-data; name="payload_json"{typed}', json.dumps(value).encode()


class Attachments(Case):
    def send(self, *parts, **more):
        headers, body = multipart(*parts, **more)
        return self.call(self.bot, "POST", self.messages, raw=body, headers=headers)

    def download(self, url):
        path = url[url.index("/", 8) :]
        wire = Wire(self.call.url)
        self.addCleanup(wire.close)
        wire.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
        return wire.response()

    def test_up_and_down(self):
        data = os.urandom(300_000) + b"\r\n--limi\r\n--"
        answer = self.send(json_part({"content": "two files"}), file_part(0, "a.bin", data), file_part(1, "b.txt", b"hello", "text/plain"))
        self.assertEqual(answer.status, 200, answer)
        first, second = answer.body["attachments"]
        self.assertEqual((first["filename"], first["size"], second["size"]), ("a.bin", len(data), 5))
        status, headers, body = self.download(first["url"])
        self.assertEqual((status, body), (200, data))
        self.assertEqual(self.download(second["url"])[2], b"hello")
        again = self.call(self.bot, "GET", f"{self.messages}/{answer.body['id']}").body
        self.assertEqual([one["id"] for one in again["attachments"]], [first["id"], second["id"]])

    def test_as_eris_writes_it(self):
        answer = self.send(file_part(0, "x.txt", b"x"), json_part({"content": "eris"}), boundary="----------------Eris", preamble=b"\r\n")
        self.assertEqual((answer.status, answer.body["content"]), (200, "eris"), answer)

    def test_without_payload_json(self):
        content = ('Content-Disposition: form-data; name="content"', b"a plain field")
        answer = self.send(content, file_part(0, "x.txt", b"x"))
        self.assertEqual((answer.status, answer.body["content"]), (200, "a plain field"), answer)

    def test_description_and_name(self):
        payload = {"attachments": [{"id": 0, "description": "what it shows", "filename": "seen.txt"}]}
        answer = self.send(json_part(payload), file_part(0, "given.txt", b"x"))
        self.assertEqual(answer.body["attachments"][0]["description"], "what it shows", answer)

    def test_hostile_names(self):
        for name in ("../../etc/passwd", "a/b.txt", "..", "é👋.txt", "x" * 300 + ".txt", "a b.txt"):
            with self.subTest(name=name[:30]):
                answer = self.send(file_part(0, name, b"safe"))
                self.assertIn(answer.status, (200, 400), answer)
                if answer.status == 200:
                    kept = answer.body["attachments"][0]
                    self.assertNotIn("/", kept["filename"])
                    self.assertEqual(self.download(kept["url"])[2], b"safe")

    def test_too_large(self):
        """The limit is 25 MiB for a file."""
        answer = self.send(file_part(0, "big.bin", b"\0" * ((25 << 20) + 1)))
        self.refused(answer, 413, 40005)

    def test_broken_multipart(self):
        for headers, raw in (
            ({"Content-Type": "multipart/form-data"}, b"--x--"),
            ({"Content-Type": "multipart/form-data; boundary=x"}, b"no boundary in here"),
            ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\nContent-Disposition: form-data\r\n\r\nnever ends"),
            ({"Content-Type": "multipart/form-data; boundary=x"}, b'--x\r\nContent-Disposition: form-data; name="payload_json"\r\n\r\n{"a"\r\n--x--'),
        ):
            with self.subTest(raw=raw):
                answer = self.call(self.bot, "POST", self.messages, raw=raw, headers=headers)
                self.assertEqual(answer.status, 400, answer)

    def test_download_of_what_is_not_there(self):
        url = self.send(file_part(0, "x.txt", b"x")).body["attachments"][0]["url"]
        self.assertIn(self.download(url.replace("x.txt", "y.txt"))[0], (403, 404))
        self.assertIn(self.download(url[: url.index("/", 8)] + "/attachments/1/../../../../etc/passwd")[0], (400, 403, 404))


if __name__ == "__main__":
    unittest.main()
