"""The full stack loses one thing after the other: a restarted database, cache or broker, a process killed with -9.
What was acknowledged is in the history afterwards, bad news are honest errors, and everything reconnects by itself."""

import re
import threading
import time
import unittest

from person import CHANNEL, PINGBOT, Person, Stack, http, wait_until

RECOVERY_S = 180  # nothing should take a third of it; a machine may be busy
stack = alice = None


def setUpModule():
    global stack, alice
    stack = Stack()
    unittest.addModuleCleanup(lambda: stack.stop())
    stack.start()
    alice = Person(stack)
    unittest.addModuleCleanup(alice.close)


class Speaker:
    """Posts numbered messages all the time and remembers which were acknowledged."""

    def __init__(self):
        self.acknowledged, self.refused, self._going = {}, [], True
        self._person = Person(stack, "bob", listen=False)
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()

    def _speak(self):
        number = 0
        while self._going:
            number += 1
            try:
                status, answer = self._person.call("POST", f"/channels/{CHANNEL['general']}/messages",
                                                   {"content": f"line {number}"}, timeout_s=15)
            except OSError as error:
                status, answer = 0, repr(error)
            if status == 200:
                self.acknowledged[answer["id"]] = answer["content"]
            elif status == 429:
                time.sleep(answer["retry_after"])
            else:
                self.refused.append((status, answer))
                time.sleep(0.1)

    def stop(self):
        self._going = False
        self._thread.join(30)
        return self.acknowledged


class Faults(unittest.TestCase):
    def setUp(self):
        self.start = alice.say("before the fault")
        self.sessions = alice.sessions
        self.processes = [process for process in stack.processes if process.running()]

    def whole_again(self):
        """Every process still runs and says it is ready; a ping is answered on the person's connection."""
        for process in self.processes:
            self.assertTrue(process.running(), f"{process.name} ended\n{process.log_tail()}")
        for process in self.processes:
            if process in stack.worker or process in stack.shard:
                continue
            url = next(process.ready[key] for key in ("api_url", "gateway_url", "proxy_url") if key in process.ready)
            base = "http://" + url.split("://")[1].split("/")[0]
            wait_until(lambda: self.ready(base), RECOVERY_S, f"{process.name} is ready")
        end = time.monotonic() + RECOVERY_S
        while True:
            ping = alice.say("!ping", timeout_s=RECOVERY_S)
            try:
                return alice.hears_pongs(ping, 1, 10)
            except AssertionError:
                if time.monotonic() > end:
                    raise

    @staticmethod
    def ready(base):
        try:
            return http("GET", base + "/readyz", timeout_s=3)[0] == 200
        except OSError:
            return False

    def keeps_its_word(self, acknowledged, same_session):
        """All acknowledged messages are stored; each also reached the person's connection once, unless the session was
        declared over (op 9), which with `same_session` it may not be."""
        self.assertTrue(acknowledged, "nothing was acknowledged at all")
        stored, after = {}, self.start["id"]
        while page := alice.history(after):
            stored.update((message["id"], message["content"]) for message in page)
            after = page[-1]["id"]
        lost = {key: value for key, value in acknowledged.items() if stored.get(key) != value}
        self.assertEqual(lost, {}, "acknowledged but not stored")
        if same_session:
            self.assertEqual(alice.sessions, self.sessions, "the session went on")
        if alice.sessions == self.sessions:
            unheard = lambda: [key for key in acknowledged if not alice.seen("MESSAGE_CREATE", id=key)]  # noqa: E731
            wait_until(lambda: not unheard(), RECOVERY_S, lambda: f"all is heard; missing {unheard()}")
        twice = [key for key in acknowledged if len(alice.seen("MESSAGE_CREATE", id=key)) > 1]
        self.assertEqual(twice, [], "heard twice")

    def under_fire(self, fault, same_session=False):
        speaker = Speaker()
        wait_until(lambda: len(speaker.acknowledged) >= 2, RECOVERY_S, "the speaker is heard")
        fault()
        self.whole_again()
        count = len(speaker.acknowledged)
        wait_until(lambda: len(speaker.acknowledged) > count, RECOVERY_S, lambda: f"{speaker.refused[-3:]}")
        acknowledged = speaker.stop()
        for status, answer in speaker.refused:
            self.assertIn(status, (0, 500, 502, 503, 504), f"no honest error: {status} {answer}")
        self.keeps_its_word(acknowledged, same_session)

    def test_01_redis_restarts(self):
        self.under_fire(lambda: stack.services("restart", "redis"))

    def test_02_rabbitmq_restarts(self):
        self.under_fire(lambda: stack.services("restart", "rabbitmq"))

    def test_03_rabbitmq_is_killed(self):
        def fault():
            stack.services("kill", "rabbitmq")
            time.sleep(2)
            stack.services("start", "rabbitmq")

        self.under_fire(fault)

    def test_04_postgres_restarts(self):
        self.under_fire(lambda: stack.services("restart", "postgres"), same_session=True)

    def test_05_postgres_is_away(self):
        stack.services("kill", "postgres")
        try:
            status, answer = alice.call("POST", f"/channels/{CHANNEL['general']}/messages", {"content": "lost?"},
                                        timeout_s=20)
            self.assertIn(status, (500, 503), answer)
            self.assertIn("code", answer)
            base = stack.api_url.removesuffix("/api")
            wait_until(lambda: not self.ready(base), RECOVERY_S, "the api says that it is not ready")
            self.assertEqual(http("GET", base + "/healthz")[0], 200, "it lives all the same")
        finally:
            stack.services("start", "postgres")
        self.whole_again()

    def test_06_the_api_is_killed(self):
        def fault():
            stack.api[0].kill()
            stack.api[0].start()

        self.under_fire(fault, same_session=True)

    def test_07_a_shard_is_killed(self):
        # The lease of a dead shard lapses; what happened meanwhile comes by RESUME to its successor.
        for shard in stack.shard:
            shard.kill()
        ping = alice.say("!ping")
        for shard in stack.shard:
            shard.start()
        alice.hears_pongs(ping, 1, RECOVERY_S)
        self.whole_again()

    def test_08_the_proxy_is_killed(self):
        stack.proxy[0].kill()
        ping = alice.say("!ping")
        time.sleep(1)
        stack.proxy[0].start()
        alice.hears_pongs(ping, 1, RECOVERY_S)

    @staticmethod
    def bot_total(series):
        """The sum over the bot's shard processes."""
        pages = [http("GET", shard.ready["admin"] + "/metrics")[1] for shard in stack.shard]
        found = [re.search(rf"^{re.escape(series)} (\d+)", page, re.M) for page in pages]
        return sum(int(match[1]) for match in found if match)

    def bot_identifies(self):
        return self.bot_total('guildhall_shard_starts_total{op="identify"}')

    def bot_settles(self):
        """All shards are connected, and their nodes have written down where their sessions are."""
        wait_until(lambda: self.bot_total("guildhall_shard_live") == 4, RECOVERY_S, "four shards are connected")
        time.sleep(5)

    def test_09_a_gateway_node_is_killed(self):
        """The bot's sessions go on, on the other node, with what happened while nobody had them."""
        self.bot_settles()
        identified = self.bot_identifies()
        for node in stack.gateway:
            node.kill()
            try:
                self.processes = [process for process in stack.processes if process.running()]
                pings = [alice.say("!ping") for _ in range(3)]
                self.whole_again()
                wait_until(lambda: self.pongs_stored(pings[0]) >= 4, RECOVERY_S, "each ping has its pong")
            finally:
                node.start()
            self.processes.append(node)
            self.bot_settles()
        self.whole_again()
        self.assertEqual(self.bot_identifies(), identified, "no shard had to identify again")

    @staticmethod
    def pongs_stored(after):
        return sum(message["author"]["id"] == PINGBOT for message in alice.history(after["id"]))

    def test_10_a_gateway_node_drains(self):
        """SIGTERM ends a node with exit code 0; everybody's sessions go on elsewhere."""
        self.bot_settles()
        identified = self.bot_identifies()

        def fault():
            for node in stack.gateway:
                self.assertEqual(node.stop(), 0)
                node.start()

        self.under_fire(fault, same_session=True)
        self.assertEqual(self.bot_identifies(), identified, "no shard had to identify again")

    def test_11_an_operator_drains_a_node(self):
        """`ctl drain` hands the sessions over, and the process ends by itself."""
        self.bot_settles()
        identified = self.bot_identifies()
        node = stack.gateway[0]

        def fault():
            stack.ctl_nodes("drain", node.ready["node_id"])
            self.assertEqual(node.popen.wait(30), 0, node.log_tail())
            node.start()

        self.under_fire(fault, same_session=True)
        self.assertEqual(self.bot_identifies(), identified, "no shard had to identify again")


if __name__ == "__main__":
    unittest.main()
