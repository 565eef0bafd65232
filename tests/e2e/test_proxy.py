"""Several rest-proxies on one token against an API that really enforces its limits (`guildhall dev`): not one 429,
whatever happens to a proxy.

As a measurement: python3 tests/e2e/test_proxy.py --seconds 60 [--proxies 2] [--channels 2]. With 80 channels the token's
global limit of 50 a second is what holds them back, with 2 their buckets are.
"""

import argparse
import http.client
import json
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import stack  # noqa: E402

CHANNELS = 2


def seed(channels):
    return {
        "users": [{"username": "alice", "password": "correct horse battery"}],
        "bots": [{"username": "speaker", "owner": "alice"}],
        "guilds": [{"name": "G", "owner": "alice", "bots": [{"username": "speaker", "permissions": "8"}],
                    "channels": [{"name": f"c{i}", "type": 0} for i in range(channels)]}],
    }


def request(base, method, path, token, body=None, headers=None, timeout=90):
    """(status, headers, parsed body); raises OSError or HTTPException where the connection breaks."""
    url = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=timeout)
    try:
        payload = None if body is None else json.dumps(body)
        connection.request(method, url.path + path, payload,
                           {"Authorization": f"Bot {token}", "Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, answer.headers, json.loads(text) if text else None
    finally:
        connection.close()


def metric(base_url, pattern):
    """The sum of all samples whose line matches."""
    url = urllib.parse.urlsplit(base_url)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(pattern, line))


class Proxies:
    """`count` proxies beside a `dev` with limits and a Redis of their own; a `with` block."""

    def __init__(self, count, args=(), channels=CHANNELS):
        self.dev = stack.DevServer(seed=seed(channels), limits=True)
        self.count, self.args = count, list(args)
        self.proxies, self.redis_url = [], None
        self.services_folder, self.config = self.dev.folder / "services", self.dev.folder / "proxy.conf"

    def __enter__(self):
        try:
            self.config.write_text("global_limit = 50\n")
            self.services("start")
            lines = (self.services_folder / "env").read_text().splitlines()
            self.redis_url = dict(line.split("=", 1) for line in lines if "=" in line)["REDIS_URL"].strip("'\"")
            self.dev.start()
            self.proxies = [self.start_proxy(i) for i in range(self.count)]
        except BaseException:
            self.__exit__()
            raise
        return self

    def services(self, command):
        subprocess.run([stack.ROOT / "deploy" / "services", command, self.services_folder, "redis"], check=True,
                       stdout=subprocess.DEVNULL)

    def start_proxy(self, i):
        argv = [stack.binary(), "rest-proxy", "--listen", "127.0.0.1:0", "--upstream", self.dev.api_url,
                "--redis-url", self.redis_url, "--config", self.config, *self.args]
        return stack.Process(f"proxy-{i}", argv, self.dev.folder).start()

    def url(self, i):
        return self.proxies[i].ready["proxy_url"]

    def base(self, i):
        return self.url(i).removesuffix("/api")

    def __exit__(self, *failure):
        for proxy in self.proxies:
            if failure and failure[0] is not None:
                sys.stderr.write(f"--- {proxy.name}\n{proxy.log_tail(15)}\n")
            proxy.kill() if failure and failure[0] is not None else proxy.stop()
        self.services("stop")
        self.dev.stop()


def channels_of(p, token):
    """Through a proxy: what goes past them counts for the token, too, and they cannot know of it."""
    guild = request(p.url(0), "GET", "/users/@me/guilds", token)[2][0]["id"]
    return [c["id"] for c in request(p.url(0), "GET", f"/guilds/{guild}/channels", token)[2] if c["type"] == 0]


class Load:
    """Callers that post in all channels through all proxies, one after the other, until `end`."""

    def __init__(self, p, channels, token):
        self.p, self.channels, self.token = p, channels, token
        self.alive = list(range(len(p.proxies)))
        self.answers, self.broken, self.lock, self.over = {}, 0, threading.Lock(), threading.Event()
        callers = 10 + 2 * len(channels)
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(callers)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        rng = random.Random(number)
        while not self.over.is_set():
            channel, proxy = rng.choice(self.channels), rng.choice(self.alive)
            reads = rng.random() < 0.1
            try:
                status = request(self.p.url(proxy), "GET" if reads else "POST", f"/channels/{channel}/messages",
                                 self.token, None if reads else {"content": f"{number}"})[0]
            except (OSError, http.client.HTTPException):
                status = 0
            with self.lock:
                self.answers[status] = self.answers.get(status, 0) + 1

    def kill(self, i):
        self.alive = [j for j in self.alive if j != i]
        self.p.proxies[i].kill()

    def sent(self):
        with self.lock:
            return self.answers.get(200, 0)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in self.threads)


def run_load(p, half_s):
    """Half of the time with all proxies, half with one killed. What was answered, and the upstream's count of 429."""
    token = p.dev.bot("speaker")["token"]
    load = Load(p, channels_of(p, token), token)
    time.sleep(half_s)
    before = load.sent()
    load.kill(len(p.proxies) - 1)
    time.sleep(half_s)
    load.end()
    refused = metric(p.dev.base_url, r'guildhall_api_requests_total\{.*code="4xx"')
    return load.answers, before, refused


class ProxyTest(unittest.TestCase):
    def test_two_proxies_one_killed_never_a_429(self):
        with Proxies(2, channels=20) as p:
            answers, before, refused = run_load(p, 5)
            self.assertEqual(refused, 0)
            self.assertLessEqual(set(answers), {200, 0})
            self.assertGreater(before, 0)
            self.assertGreater(answers[200], before)  # the survivor goes on

    def test_a_key_outlives_its_proxy(self):
        """What a killed proxy had sent is not sent again by another; the lock and the settings are the operator's."""
        with Proxies(2) as p:
            token = p.dev.bot("speaker")["token"]
            channel = channels_of(p, token)[0]
            path, body, key = f"/channels/{channel}/messages", {"content": "once"}, {"X-Guildhall-Idempotency-Key": "k"}
            self.control(p, "/http", {"delay_ms": 8000, "count": 1, "method": "POST", "path": "/channels/*/messages"})
            caller = threading.Thread(target=self.call_and_lose, args=(p.url(0), path, token, body, key))
            caller.start()
            stack.wait_until(lambda: metric(p.dev.base_url, "guildhall_api_faults_total") > 0, 60, "the request")
            p.proxies[0].kill()
            caller.join(60)
            status, headers, _ = request(p.url(1), "POST", path, token, body, key)
            self.assertEqual((status, headers["X-Guildhall-Proxy"]), (502, "maybe_executed"))
            self.assertLessEqual(len(request(p.dev.api_url, "GET", path, token)[2]), 1)
            self.lock_and_unlock(p, path)
            self.read_settings_again(p)

    def test_http2_is_multiplexed(self):
        """Twenty requests at once reach an upstream that answers none of them before all twenty are there."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="guildhall-test-"))
        ca, cert, key = stack.make_certificate(folder)
        script = pathlib.Path(__file__).resolve().parent / "h2_upstream.js"
        upstream = stack.Process("upstream", ["node", script, key, cert, 20], folder).start()
        proxy = stack.Process("proxy", [stack.binary(), "rest-proxy", "--listen", "127.0.0.1:0", "--upstream-ca", ca,
                                        "--upstream", f"https://127.0.0.1:{upstream.ready['port']}/api"], folder)
        try:
            proxy.start()
            answers = []
            callers = [threading.Thread(target=lambda i=i: answers.append(
                request(proxy.ready["proxy_url"], "GET", f"/channels/{10 ** 17 + i}", f"t{i}")[2])) for i in range(20)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join(90)
            self.assertEqual([a["version"] for a in answers], [2] * 20)
            self.assertEqual(max(a["sessions"] for a in answers), 1)
        finally:
            proxy.kill()
            upstream.kill()
            shutil.rmtree(folder)

    def lock_and_unlock(self, p, path):
        wrong = "MTAwMDAwMDAwMDAwMDAwMDAx.wrong"
        said = [request(p.url(1), "GET", path, wrong)[1]["X-Guildhall-Proxy"] for _ in range(2)]
        self.assertEqual(said, [None, "token_locked"])
        ctl = [stack.binary(), "ctl", "proxy", "unlock", "--proxy-url", p.url(1), "--token", wrong]
        self.assertEqual(subprocess.run(ctl, stdout=subprocess.PIPE, check=True, text=True).stdout, "unlocked\n")
        self.assertEqual(subprocess.run(ctl, stderr=subprocess.DEVNULL).returncode, 1)
        self.assertIsNone(request(p.url(1), "GET", path, wrong)[1]["X-Guildhall-Proxy"])

    def read_settings_again(self, p):
        p.config.write_text("global_limit = 7\n")
        p.proxies[1].signal(signal.SIGHUP)
        stack.wait_until(lambda: "settings read again global_limit=7" in p.proxies[1].log_tail(), 60, "the new limit")
        p.config.write_text("global_limit = many\n")
        p.proxies[1].signal(signal.SIGHUP)
        stack.wait_until(lambda: "settings refused" in p.proxies[1].log_tail(), 60, "the refusal")

    @staticmethod
    def control(p, path, body):
        url = urllib.parse.urlsplit(p.dev.base_url)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
        connection.request("POST", "/_guildhall/control" + path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status // 100 == 2, answer.read()
        connection.close()

    @staticmethod
    def call_and_lose(*call):
        try:
            request(call[0], "POST", *call[1:])
        except (OSError, http.client.HTTPException):
            pass


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--seconds":
        options = argparse.ArgumentParser()
        options.add_argument("--seconds", type=float, default=60)
        options.add_argument("--proxies", type=int, default=2)
        options.add_argument("--channels", type=int, default=CHANNELS)
        given = options.parse_args()
        with Proxies(given.proxies, channels=given.channels) as proxies:
            answers, before, refused = run_load(proxies, given.seconds / 2)
        print(f"{given.proxies} proxies, {given.channels} channels, one killed after {given.seconds / 2:.0f} s: {answers.get(200, 0)} answered "
              f"200 ({before} before), {answers.get(0, 0)} connections broken by the kill, {refused:.0f} times 429")
        sys.exit(refused != 0)
    unittest.main()
