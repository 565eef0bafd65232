"""`guildhall dev` and the command line from outside: what is refused, with one line and the right exit code, and what
stays over a restart."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from stack import DEMO_SEED, DevServer, Process, binary, free_port, http, wait_until  # noqa: E402

GENERAL = "100000000000000042"


def run(*words, stdin="", env=None):
    return subprocess.run([str(binary()), *map(str, words)], input=stdin, capture_output=True, text=True, timeout=5, env=env)


class Refusals(unittest.TestCase):
    def refused(self, *words, says, env=None):
        done = run(*words, env=env)
        self.assertEqual(done.returncode, 2, done)
        self.assertEqual(done.stdout, "")
        lines = [line for line in done.stderr.splitlines() if line.startswith("guildhall")]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertIn(says, lines[0])

    def test_flags(self):
        dev = ["dev", "--port", 0]
        self.refused("dev", "--port", "70000", says="0 to 65535")
        self.refused(*dev, "--bogus", says="no such flag")
        self.refused(*dev, "--limits", "maybe", says="maybe")
        self.refused(*dev, "--seed", says="needs a value")
        self.refused(*dev, "--tls", "/nope", "/nope", says="No such file")
        self.refused(*dev, "--tls", DEMO_SEED, DEMO_SEED, says="certificate")
        self.refused(*dev, "--data", "/proc/nope", says="/proc/nope")
        self.refused(*dev, "--data", "/tmp/x", "--memory", says="exclude each other")
        self.refused(*dev, "--secret", "short", says="32 characters")
        self.refused("rest-proxy", "--listen", "127.0.0.1:99999", says="0 to 65535")
        self.refused("dev", says="GUILDHALL_PORT", env={"GUILDHALL_PORT": "x"})

    def test_a_port_in_use(self):
        with DevServer() as dev:
            self.refused("dev", "--port", dev.port, says="address already in use")

    def test_seeds(self):
        user = {"id": "100000000000000001", "username": "a"}
        guild = {"name": "G", "owner": "a"}
        bad = [
            ([], "must be an object"),
            ({"users": "a"}, "`users` must be a list"),
            ({"users": [{"username": 5}]}, "`username` must be a text"),
            ({"users": [{"username": "a", "id": "x"}]}, "`id` must be an id"),
            ({"users": [{**user, "token": "junk"}]}, "base64"),
            ({"users": [{**user, "token": "MQ.x"}]}, "base64"),
            ({"users": [user], "guilds": [{**guild, "chanels": []}]}, "guilds 1: there is no `chanels`"),
            ({"users": [user], "guilds": [{**guild, "channels": [{"name": "c", "type": 99}]}]}, "`type`"),
            ({"users": [user], "guilds": [{"name": "G", "owner": "nobody"}]}, "owner"),
            ({"users": [user], "bots": [{"username": "b", "owner": "a", "intents": ["NOPE"]}]}, "NOPE"),
        ]
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "seed.json"
            for seed, says in bad:
                path.write_text(json.dumps(seed))
                with self.subTest(seed):
                    self.refused("dev", "--port", 0, "--seed", path, says=says)
            path.write_text('{"users": [')
            self.refused("dev", "--port", 0, "--seed", path, says="line 1")
            self.refused("dev", "--port", 0, "--seed", folder, says="line 1")
        self.refused("dev", "--port", 0, "--seed", "/nope.json", says="/nope.json: No such file")

    def test_chat_without_a_channel_ends(self):
        with DevServer() as dev:
            chat = ["ctl", "chat", "--upstream", dev.api_url, "--token", dev.user("alice")["token"]]
            done = run(*chat, "--channel", "5", stdin="x\n")
            self.assertEqual(done.returncode, 1)
            self.assertIn("no such channel: 5", done.stderr)
            done = run(*chat, stdin="hello\n")
            self.assertEqual((done.returncode, done.stdout), (0, "alice: hello\n"))

    def test_an_api_that_has_not_loaded_its_tokens(self):
        with tempfile.TemporaryDirectory() as folder:
            port = free_port()
            api = Process("api", [binary(), "api", "--listen", f"127.0.0.1:{port}", "--secret", "x" * 32,
                                  "--database-url", "postgresql://a@127.0.0.1:1/x", "--redis-url", "redis://127.0.0.1:1",
                                  "--amqp-url", "amqp://a:b@127.0.0.1:1/x", "--objects-dir", folder], folder)
            api.start(wait=False)
            try:
                base = f"http://127.0.0.1:{port}"

                def ask(path):
                    try:
                        return http("GET", base + path, "Bot MQ.x.y")[0]
                    except OSError:
                        return None

                wait_until(lambda: ask("/healthz") == 200, 120, "it lives")
                self.assertEqual(ask("/readyz"), 503)
                self.assertEqual(ask("/api/v10/users/@me"), 503)
            finally:
                self.assertEqual(api.stop(), 0)


class FullDisk(unittest.TestCase):
    """A limit on the size of files stands for a disk that is full: every further write fails, reading goes on."""

    def test_refused_honestly_and_nothing_is_lost(self):
        limit = ["sh", "-c", 'ulimit -f 3000; exec "$@"', "sh"]  # blocks of 512 bytes
        with DevServer(data=True, limits=False) as dev:
            port, folder = dev.port, dev.folder
            dev.process.stop()
            full = Process("full", [*limit, binary(), "dev", "--port", port, "--data", folder / "data", "--limits", "off"],
                           folder).start()
            try:
                token, kept = dev.user("alice")["token"], []
                url = f"{dev.api_url}/v10/channels/{GENERAL}/messages"
                while True:
                    status, answer, _ = http("POST", url, token, {"content": "x" * 1900})
                    if status != 200:
                        break
                    kept.append(answer["id"])
                self.assertEqual((status, answer["code"]), (503, 130000))
                file = b"--b\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"a\"\r\n\r\n"
                status, answer, _ = http("POST", url, token, file + b"x" * 2000000 + b"\r\n--b--\r\n",
                                         headers={"Content-Type": "multipart/form-data; boundary=b"})
                self.assertEqual((status, answer["code"]), (503, 130000))
                self.assertIn("no space left", full.log_tail())
                self.assertEqual(http("GET", f"{url}/{kept[-1]}", token)[0], 200)
            finally:
                self.assertEqual(full.stop(), 0)
            dev.start()
            for message in (kept[0], kept[-1]):
                self.assertEqual(http("GET", f"{url}/{message}", token)[0], 200)
            self.assertEqual(http("POST", url, token, {"content": "there is room"})[0], 200)


class Restart(unittest.TestCase):
    def test_tokens_messages_and_files_stay(self):
        boundary = "b"
        body = (f'--{boundary}\r\nContent-Disposition: form-data; name="files[0]"; filename="a.txt"\r\n\r\nkept\r\n'
                f"--{boundary}--\r\n").encode()
        with DevServer(data=True) as dev:
            token = dev.user("alice")["token"]
            path = f"/v10/channels/{GENERAL}/messages"
            status, message, _ = http("POST", dev.api_url + path, token, body,
                                      headers={"Content-Type": f"multipart/form-data; boundary={boundary}"})
            self.assertEqual(status, 200)
            for kill in (True, False):
                dev.restart(kill=kill)
                status, again, _ = http("GET", f"{dev.api_url}{path}/{message['id']}", token)
                self.assertEqual(status, 200)
                self.assertEqual(http("GET", again["attachments"][0]["url"])[:2], (200, "kept"))


if __name__ == "__main__":
    unittest.main()
