"""The wire is described well enough: a worker in Python and one in JavaScript, 40 lines each and without libguildhall,
in groups of their own, get every event that a shard would publish, once, each guild's in order, and answer through the
proxy."""
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import installs  # noqa: E402

APP, GUILDS, EACH = "4242", 8, 15


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers, lock = {}, threading.Lock()  # (token, channel) -> what was said there

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            said = self.answers.setdefault((self.headers["Authorization"], self.path.split("/")[-2]), [])
            said.append(body["content"])
        text = b'{"id":"1"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def worker(argv, group, url, **more):
    env = {**os.environ, "APPLICATION_ID": APP, "DISCORD_TOKEN": group, "WORKER_GROUP": group, "PROXY_URL": url, **more}
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)


def publish(channel, pika, number, guild):
    snowflake = (1000 + guild) << 22
    channel.basic_publish(
        "guildhall.events", f"{APP}.MESSAGE_CREATE.{(snowflake >> 22) % 64}",
        json.dumps({"id": str(number), "channel_id": str(snowflake), "content": f"!ping {number}"}),
        pika.BasicProperties(message_id=f"session:{number}", delivery_mode=2,
                             headers={"shard": 0, "shards": 1, "seq": number, "guild": str(snowflake),
                                      "session": "session", "epoch": 1}))


class Workers(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def start(self, argv, group, **more):
        process = worker(argv, group, f"http://127.0.0.1:{self.server.server_port}", **more)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def test_every_event_once_and_in_order(self):
        cache = sys.argv[1]
        python = os.path.join(installs.install("workers_py", cache), "venv", "bin", "python")
        modules = os.path.join(installs.install("workers", cache), "node_modules")
        self.start([python, os.path.join(HERE, "worker.py")], "py")
        self.start(["node", os.path.join(os.path.dirname(HERE), "workers", "worker.cjs")], "js", NODE_PATH=modules)
        numbers = range(1, GUILDS * EACH + 1)
        subprocess.run([python, os.path.abspath(__file__), "publish", *map(str, numbers)], check=True)
        self.wait_for(2 * len(numbers))
        for group in "py", "js":
            for guild in range(GUILDS):
                self.assertEqual(Proxy.answers[f"Bot {group}", str((1000 + guild) << 22)],
                                 [f"pong {number}" for number in numbers if number % GUILDS == guild])

    def test_they_have_at_most_40_lines(self):
        for file in "workers/worker.cjs", "workers_py/worker.py":
            with open(os.path.join(os.path.dirname(HERE), file), encoding="utf-8") as lines:
                self.assertLessEqual(len(lines.readlines()), 40, file)

    def wait_for(self, count):
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with Proxy.lock:
                if sum(map(len, Proxy.answers.values())) >= count:
                    return
            time.sleep(0.05)
        self.fail(f"{count} answers did not come: {Proxy.answers}")


def main():
    if sys.argv[1] == "publish":  # runs where pika is installed
        import pika
        channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
        channel.confirm_delivery()
        for number in map(int, sys.argv[2:]):
            publish(channel, pika, number, number % GUILDS)
            if number % 10 == 0:
                publish(channel, pika, number, number % GUILDS)  # a shard may say it again
        channel.connection.close()
    else:
        unittest.main(argv=sys.argv[:1], verbosity=2)


if __name__ == "__main__":
    main()
