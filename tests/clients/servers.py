"""What the client tests talk to: `guildhall dev` or the full stack, seeded, with a cutter before each gateway."""
import pathlib
import signal
import sys
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent / "raw"))

from stack import DevServer, Stack  # noqa: E402

import steer  # noqa: E402
from caller import Caller  # noqa: E402


def address(url):
    parts = urllib.parse.urlsplit(url)
    return parts.hostname, parts.port


def public_url(cutter, tls):
    return f"{'wss' if tls else 'ws'}://127.0.0.1:{cutter.port}/gateway"


class Platform:
    """api_url, gateway_url (as the API announces it), gateway_urls (each node), ca (None without TLS), processes."""

    def _announce(self):
        self.ca = str(self.server.ca) if self.server.ca else None
        self.api_url = self.server.api_url
        caller = Caller(self.api_url, self.ca)
        self.gateway_url = caller(None, "GET", "/gateway").body["url"]
        caller.close()

    def steering(self):
        """The control endpoints of every process, not through the cutters."""
        scheme = urllib.parse.urlsplit(self.api_url).scheme
        urls = [self.api_url] + [f"{scheme}://127.0.0.1:{port}" for port in self._gateway_ports()]
        return steer.Control(urls, getattr(self.server, "control_secret", None), self.ca)

    def _gateway_ports(self):
        return []

    def stop(self):
        """Stops everything; answers what did not stop as it should, or None."""
        try:
            code = self.server.stop()
        except AssertionError as problem:
            return str(problem)
        return f"exit code {code}" if code else None


class DevPlatform(Platform):
    def __init__(self, seed, cutter=None, tls=False, limits=None, extra=()):
        arguments = list(extra)
        if cutter:
            arguments += ["--public-gateway-url", public_url(cutter, tls)]
        self.server = DevServer(seed=seed.document(), tls=tls, limits=limits, args=arguments)
        try:
            self.server.start()
            if cutter:
                cutter.target = address(self.server.api_url)  # API and gateway share the port
            self._announce()
        except BaseException:
            self.server.stop()
            raise
        self.gateway_urls = [self.gateway_url]
        self.processes = [self.server.process]


class CutStack(Stack):
    """Two gateway nodes, each announced by its cutter's address if there are cutters; no bot side."""

    def __init__(self, cutters, extra=(), **options):
        super().__init__(gateways=2, shards=(), workers=0, **options)
        self._cutters, self._extra = cutters, list(extra)

    def start_gateway(self):
        cutter = self._cutters[len(self.gateway)] if self._cutters else None
        announced = ["--public-gateway-url", public_url(cutter, self.tls)] if cutter else []
        self.args["gateway"] = self._extra + announced
        gateway = super().start_gateway()
        if cutter:
            cutter.target = ("127.0.0.1", gateway.ready["port"])
        return gateway


class StackPlatform(Platform):
    """`extra`: further arguments of the gateway nodes."""

    def __init__(self, seed, cutters=(), tls=False, limits=None, extra=()):
        self.server = CutStack(cutters, extra, seed=seed.document(), tls=tls, limits=limits)
        try:
            self.server.start()
            self._announce()
        except BaseException:
            try:
                self.server.stop()
            except AssertionError:
                pass
            raise
        self._cutters = cutters
        self.gateway_urls = [node.ready["gateway_url"] for node in self.server.gateway]
        self.processes = self.server.processes

    def _gateway_ports(self):
        return [node.ready["port"] for node in self.server.gateway]

    def restart_gateways(self, kill=False):
        """One after the other; meanwhile its address leads to the other one, as behind a balancer. (eris tries ten times
        without a pause: with no node at all it would give its session up.)"""
        nodes = self.server.gateway
        for node, other, cutter in zip(nodes, reversed(nodes), self._cutters):
            cutter.target = ("127.0.0.1", other.ready["port"])
            node.kill() if kill else node.signal(signal.SIGTERM)
            node.popen.wait(20)
            node.start()
            cutter.target = ("127.0.0.1", node.ready["port"])
            time.sleep(3 if kill else 0)  # for the records of the sessions that are the other node's now
