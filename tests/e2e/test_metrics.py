"""/metrics: everything that is defined is on the page from the start, and `ctl metrics` lists the same."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from stack import DevServer, Process, binary, free_port, wait_until  # noqa: E402


def page(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


def definitions(text):
    """name -> kind"""
    return dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE "))


def values(text):
    return {line.rsplit(" ", 1)[0]: line.rsplit(" ", 1)[1] for line in text.splitlines() if line and line[0] != "#"}


class Metrics(unittest.TestCase):
    def test_dev(self):
        listed = subprocess.run([binary(), "ctl", "metrics", "dev"], capture_output=True, text=True, timeout=20)
        self.assertEqual(listed.returncode, 0, listed.stderr)
        table = {line.split()[0]: line for line in listed.stdout.splitlines()}
        self.assertIn("guildhall_gateway_dispatch_lag_seconds", table)
        with DevServer() as dev:
            first = page(dev.base_url + "/metrics")
            self.assertEqual(set(definitions(first)), set(table))
            for name, kind in definitions(first).items():
                self.assertEqual(table[name].split()[1], kind)
            here = values(first)
            for name, line in table.items():
                if not line.endswith("]"):  # with labels: a series comes with its first event
                    self.assertIn(name + ("_count" if definitions(first)[name] == "histogram" else ""), here)
            self.assertEqual(here["guildhall_gateway_dispatches_total"], "0")

    def test_commands(self):
        def names(*words):
            done = subprocess.run([binary(), "ctl", "metrics", *words], capture_output=True, text=True, timeout=20)
            return done.returncode, {line.split()[0] for line in done.stdout.splitlines()}

        everything = names()[1]
        for command in ("dev", "api", "gateway", "shard", "rest-proxy"):
            code, some = names(command)
            self.assertEqual(code, 0)
            self.assertTrue(some and some < everything, command)
        self.assertEqual(names("nothing")[0], 2)

    def test_worker(self):
        """Before its first event, even without its servers."""
        port = free_port()
        env = {
            **os.environ,
            "DISCORD_TOKEN": "MTAwMQ.x.y",
            "AMQP_URL": "amqp://u:p@127.0.0.1:1/v",
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "PROXY_URL": "http://127.0.0.1:1/api",
            "GUILDHALL_ADMIN_LISTEN": f"127.0.0.1:{port}",
        }
        with tempfile.TemporaryDirectory() as folder:
            ping = binary().parent / "worker-sdk" / "examples" / "ping"
            worker = Process("worker", [ping], folder, env).start(wait=False)
            self.addCleanup(worker.kill)

            def answers():
                try:
                    return page(f"http://127.0.0.1:{port}/metrics")
                except OSError:
                    return None

            here = values(wait_until(answers, 120, "the worker's page"))
            for name in ("events_total", "event_repeats_total", "events_fenced_total", "retries_total",
                         "dead_letters_total", "partitions", "handler_seconds_count"):
                self.assertEqual(here[f"guildhall_worker_{name}"], "0")
            worker.stop()


if __name__ == "__main__":
    unittest.main()
