"""Servers for tests: `DevServer` is one `guildhall dev`, `Stack` is the whole picture on private PostgreSQL, Redis and
RabbitMQ instances. Every process runs in the test's own folder on free loopback ports and is stopped by its pid, also
when the test fails. Python's standard library only.

    with DevServer(seed="deploy/demo.json") as dev:
        dev.api_url, dev.gateway_url, dev.user("alice")["token"], dev.bot("pingbot")["token"]

    with Stack(workers=2) as stack:          # the same attributes, and:
        stack.proxy_url, stack.redis_url, stack.amqp_url, stack.database_url
        stack.worker[0].kill(); stack.services("restart", "redis")

GUILDHALL_BIN names the binary (default build/dev/guildhall), GUILDHALL_TEST_KEEP=1 keeps the folder. The examples of
the worker SDK are looked for beside the binary. Logs: <folder>/<name>.log; printed when a process does not get ready.
"""

import atexit
import json
import os
import pathlib
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO_SEED = ROOT / "deploy" / "demo.json"
READY_TIMEOUT_S = float(os.environ.get("GUILDHALL_TEST_READY_TIMEOUT", "120"))


def binary():
    return pathlib.Path(os.environ.get("GUILDHALL_BIN") or ROOT / "build" / "dev" / "guildhall").resolve()


def wait_until(condition, timeout_s=15, what="condition", interval_s=0.05):
    """Polls condition() until it is truthy and returns that value; AssertionError after timeout_s."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout_s} s: {what() if callable(what) else what}")
        time.sleep(interval_s)


def free_port():
    """A port nobody listens on, below the kernel's ephemeral range so that no outgoing connection takes it. Fixed
    ports let a process that is killed come back under the same address."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Process:
    """One child process; its stderr and its later stdout go to the log. `ready` is its first JSON line, if awaited."""

    def __init__(self, name, argv, folder, env=None):
        self.name, self.argv, self.folder = name, [str(word) for word in argv], pathlib.Path(folder)
        self.env = {**os.environ, **(env or {})}
        self.log_path = self.folder / f"{name}.log"
        self.ready = None
        self.popen = None

    def start(self, wait=True):
        self._ready_event, self.ready = threading.Event(), None  # a new event: the old reader may still end
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                          env=self.env, cwd=self.folder)
        atexit.register(self.kill)
        threading.Thread(target=self._read_stdout, args=(self.popen, self._ready_event), daemon=True).start()
        if wait:
            self.wait_ready()
        return self

    def _read_stdout(self, popen, ready_event):
        with popen.stdout as lines, open(self.log_path, "ab") as log:
            for line in lines:
                if self.ready is None and popen is self.popen and line.startswith(b"{"):
                    try:
                        self.ready = json.loads(line)
                        ready_event.set()
                    except ValueError:
                        pass
                log.write(line)
                log.flush()
        ready_event.set()

    def wait_ready(self, timeout_s=READY_TIMEOUT_S):
        self._ready_event.wait(timeout_s)
        if self.ready is None:
            code = self.popen.poll()
            state = f"exited with {code}" if code is not None else f"not ready within {timeout_s} s"
            self.kill()
            raise RuntimeError(f"{self.name} {state}: {' '.join(self.argv)}\n{self.log_tail()}")
        return self.ready

    def log_tail(self, lines=40):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def stop(self, timeout_s=20):
        """SIGTERM and wait; returns the exit code. A process that hangs is killed and fails the test."""
        if self.popen is None:
            return None
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {timeout_s} s of SIGTERM\n{self.log_tail()}")

    def kill(self):
        """SIGKILL."""
        if self.running():
            self.popen.kill()
            self.popen.wait()
        atexit.unregister(self.kill)


class _Folder:
    """A temporary folder that goes away with the test, unless it is to be looked at."""

    def __init__(self, folder=None):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="guildhall-test-"))
        self._made = folder is None
        if self._made:
            # Servers that run as their own user must be able to enter.
            self.folder.chmod(0o755)

    def remove_folder(self):
        if self._made and os.environ.get("GUILDHALL_TEST_KEEP") != "1":
            shutil.rmtree(self.folder, ignore_errors=True)


class _Accounts:
    """What the seed made, by name."""

    def read_accounts(self, line):
        self.users = {user["username"]: user for user in line.get("users", [])}
        self.bots = {bot["username"]: bot for bot in line.get("bots", [])}

    def user(self, name):
        return self.users[name]

    def bot(self, name):
        return self.bots[name]

    def tls_context(self):
        """An ssl.SSLContext that trusts the test's own authority; None without TLS."""
        if not self.ca:
            return None
        import ssl
        return ssl.create_default_context(cafile=self.ca)


def make_certificate(folder):
    """(ca, cert, key) paths of a fresh authority and its certificate for localhost and 127.0.0.1."""
    folder = pathlib.Path(folder)
    subprocess.run([ROOT / "deploy" / "lib" / "certificate", folder], check=True)
    return folder / "ca.pem", folder / "cert.pem", folder / "key.pem"


class DevServer(_Folder, _Accounts):
    """`guildhall dev` on a free port. seed: path, dict or None; data: True keeps a database in the folder, so that
    restart() finds it again. port stays the same over a restart."""

    def __init__(self, seed=DEMO_SEED, data=False, tls=False, limits=None, args=(), port=0, env=None, folder=None):
        super().__init__(folder)
        self.seed, self.data, self.limits, self.args, self.port = seed, data, limits, list(args), port
        self.env, self.tls, self.ca = env, tls, None
        self.process = None

    def _argv(self):
        argv = [binary(), "dev", "--port", self.port]
        argv += ["--data", self.folder / "data"] if self.data else ["--memory"]
        if self.seed is not None:
            seed = self.seed
            if isinstance(seed, dict):
                seed = self.folder / "seed.json"
                seed.write_text(json.dumps(self.seed))
            argv += ["--seed", pathlib.Path(seed).resolve()]
        if self.tls:
            self.ca, cert, key = make_certificate(self.folder / "tls")
            argv += ["--tls", cert, key]
        if self.limits is not None:
            argv += ["--limits", "on" if self.limits else "off"]
        return argv + self.args

    def start(self):
        self.process = Process("dev", self._argv(), self.folder, self.env).start()
        ready = self.process.ready
        self.api_url, self.gateway_url = ready["api_url"], ready["gateway_url"]
        self.base_url = self.api_url.removesuffix("/api")
        self.port = int(self.base_url.rsplit(":", 1)[1])
        self.read_accounts(ready)
        return self

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        try:
            return self.process.stop() if self.process else None
        finally:
            self.remove_folder()

    def restart(self, kill=False):
        """Stops (or kills -9) and starts again on the same port; only with data=True does it remember anything."""
        if kill:
            self.process.kill()
        else:
            self.process.stop()
        return self.start()

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.remove_folder()
            raise

    def __exit__(self, *failure):
        if failure[0] is not None:
            sys.stderr.write(f"--- end of dev.log\n{self.process.log_tail()}\n")
        self.stop()


class Stack(_Folder, _Accounts):
    """The full stack. shards: one entry a shard process, each the number of shards it may hold. The bot side runs as
    bot `bot_name` of the seed; shards=() and workers=0 leave it out. Lists of Process: api, gateway, proxy, shard,
    worker; `processes` has all of them. `process.kill()` and `process.start()` bring one down and back."""

    def __init__(self, seed=DEMO_SEED, gateways=2, shards=(2, 2), workers=2, bot_name="pingbot", tls=False, limits=None,
                 intents=33281, worker_binary=None, args=None, folder=None):
        super().__init__(folder)
        self.seed, self.gateways, self.shards, self.workers = seed, gateways, tuple(shards), workers
        self.bot_name, self.tls, self.limits, self.intents, self.ca = bot_name, tls, limits, intents, None
        self.worker_binary = worker_binary or binary().parent / "worker-sdk" / "examples" / "ping"
        self.args = args or {}  # command -> further flags
        self.secret, self.control_secret = secrets.token_hex(32), secrets.token_hex(16)
        self.api, self.gateway, self.proxy, self.shard, self.worker = [], [], [], [], []
        self._services_up = False

    @property
    def processes(self):
        return self.worker + self.shard + self.proxy + self.api + self.gateway

    def services(self, command, *names):
        """deploy/services COMMAND on this stack's folder: start, stop, restart, kill, status."""
        subprocess.run([ROOT / "deploy" / "services", command, self.folder / "services", *names], check=True)
        if command in ("start", "restart"):
            self._read_env()

    def _read_env(self):
        lines = (self.folder / "services" / "env").read_text().splitlines()
        env = dict(line.split("=", 1) for line in lines)
        self.database_url, self.redis_url, self.amqp_url = env["DATABASE_URL"], env["REDIS_URL"], env["AMQP_URL"]

    def ctl(self, *words, timeout_s=60):
        """`guildhall ctl ...`; returns its stdout."""
        argv = [str(word) for word in (binary(), "ctl", *words)]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout_s,
                              stdin=subprocess.DEVNULL, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"exit {done.returncode}: {' '.join(argv)}\n{done.stderr}")
        return done.stdout

    def ctl_nodes(self, *words, **more):
        """`guildhall ctl nodes|sessions|drain|...` over the control endpoints of this stack's processes."""
        return self.ctl(*words, "--redis-url", self.redis_url, "--control-secret", self.control_secret, *self._trust(),
                        **more)

    # Each start_ method adds one process to its list and returns it.

    def _start(self, kind, argv, wait=True, env=None):
        group = getattr(self, kind)
        process = Process(f"{kind}-{len(group)}", [*argv, *self.args.get(kind, [])], self.folder, env)
        group.append(process)
        return process.start(wait)

    def _ports(self):
        return ["--database-url", self.database_url, "--redis-url", self.redis_url, "--amqp-url", self.amqp_url,
                "--secret", self.secret]

    def _server_options(self):
        argv = ["--listen", f"127.0.0.1:{free_port()}", "--control-secret", self.control_secret]
        if self.tls:
            self.ca, cert, key = make_certificate(self.folder / "tls")
            argv += ["--tls-cert", cert, "--tls-key", key]
        if self.limits is not None:
            argv += ["--limits", "on" if self.limits else "off"]
        if self.shards:
            argv += ["--identify-concurrency", sum(self.shards)]  # else each shard costs 5 s
        return argv

    def _trust(self):
        return ["--upstream-ca", self.ca] if self.tls else []

    def start_api(self):
        api = self._start("api", [binary(), "api", *self._server_options(), *self._ports(),
                                  "--objects-dir", self.folder / "objects"])
        self.api_url = self.api[0].ready["api_url"]
        return api

    def start_gateway(self):
        gateway = self._start("gateway", [binary(), "gateway", *self._server_options(), *self._ports()])
        self.gateway_url = self.gateway[0].ready["gateway_url"]
        return gateway

    def start_proxy(self):
        proxy = self._start("proxy", [binary(), "rest-proxy", "--listen", f"127.0.0.1:{free_port()}", "--upstream", self.api_url,
                                      *self._trust(), "--redis-url", self.redis_url])
        self.proxy_url = self.proxy[0].ready["proxy_url"]
        return proxy

    def start_shard(self, shards_max=2, shard_count=None):
        count = shard_count or sum(self.shards) or shards_max
        compress = ("zlib-stream", "zstd-stream")[len(self.shard) % 2]
        return self._start("shard", [binary(), "shard", "--admin-listen", f"127.0.0.1:{free_port()}", "--upstream", self.api_url,
                                     "--compress", compress,
                                     *self._trust(), "--redis-url", self.redis_url, "--amqp-url", self.amqp_url,
                                     "--intents", self.intents, "--shard-count", count, "--shards-max", shards_max],
                           env={"DISCORD_TOKEN": self.bot(self.bot_name)["token"]})

    def start_worker(self):
        env = {"REDIS_URL": self.redis_url, "AMQP_URL": self.amqp_url, "PROXY_URL": self.proxy_url,
               "DISCORD_TOKEN": self.bot(self.bot_name)["token"]}
        return self._start("worker", [self.worker_binary], wait=False, env=env)

    def start(self):
        self._services_up = True
        self.services("start")
        self.ctl("migrate", "--database-url", self.database_url)
        seed = self.seed
        if isinstance(seed, dict):
            seed = self.folder / "seed.json"
            seed.write_text(json.dumps(self.seed))
        line = self.ctl("seed", "--seed", pathlib.Path(seed).resolve(), "--database-url", self.database_url,
                        "--secret", self.secret)
        self.read_accounts(json.loads(line))
        for _ in range(self.gateways):
            self.start_gateway()
        self.start_api()
        self.start_proxy()
        for shards_max in self.shards:
            self.start_shard(shards_max)
        for _ in range(self.workers):
            self.start_worker()
        return self

    def stop(self):
        """Stops everything. AssertionError names a process that did not obey SIGTERM or did not exit with 0."""
        problems = []
        try:
            alive = [process for process in self.processes if process.running()]
            for process in alive:
                process.signal(signal.SIGTERM)  # all at once; a second one would mean: at once, without grace
            for process in alive:
                try:
                    code = process.popen.wait(20)
                    if code != 0:
                        problems.append(f"{process.name} exited with {code}\n{process.log_tail(15)}")
                except subprocess.TimeoutExpired:
                    problems.append(f"{process.name} did not stop within 20 s of SIGTERM\n{process.log_tail(15)}")
        finally:
            for process in self.processes:
                process.kill()
            if self._services_up:
                self.services("stop")
            self.remove_folder()
        if problems:
            raise AssertionError("\n".join(problems))

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            try:
                self.stop()
            except AssertionError:
                pass
            raise

    def __exit__(self, *failure):
        if failure[0] is None:
            self.stop()
            return
        for process in self.processes:
            sys.stderr.write(f"--- end of {process.name}.log\n{process.log_tail(25)}\n")
        try:
            self.stop()
        except AssertionError as error:
            sys.stderr.write(f"{error}\n")


def http(method, url, token=None, body=None, timeout_s=10, context=None, headers=None):
    """One HTTP request; body is sent as JSON. Returns (status, decoded JSON or text or None, headers)."""
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))
    if data is not None and not request.has_header("Content-type"):
        request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", token)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s, context=context) as response:
            status, raw, answer = response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        status, raw, answer = error.code, error.read(), error.headers
    text = raw.decode(errors="replace")
    try:
        return status, json.loads(text) if text else None, answer
    except ValueError:
        return status, text, answer
