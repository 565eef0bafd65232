"""A client that does not read: its connection is closed with 4000 before it costs memory, and its session resumes."""
import socket
import time
import unittest
import urllib.parse
import urllib.request

from case import CONTENT, GUILDS, MESSAGES, Case
from wire import Closed

TEXT = "\N{ROCKET}" * 1990  # 8 KB of UTF-8 in 2,000 characters


class Slow(Case):
    def setUp(self):
        self.control = self.server_control()

    def metric(self, name):
        total = 0
        for url in self.control.urls:
            page = self.call_page(url)
            total += sum(int(line.split()[-1]) for line in page.splitlines() if line.startswith(name + " "))
        return total

    def call_page(self, url):
        host = urllib.parse.urlsplit(url).netloc
        with urllib.request.urlopen(f"http://{host}/metrics", timeout=20) as page:
            return page.read().decode()

    def state(self, session):
        return self.control.sessions(session=session)[0]

    def test_stalled_reader(self):
        slow = self.gateway()
        slow.socket._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        slow.log_in(self.seed.tokens["pingbot"], GUILDS | MESSAGES | CONTENT)
        good = self.session()
        cut_before = self.metric("guildhall_gateway_slow_consumers_total")
        session, said, most = slow.ready["session_id"], 0, 0
        deadline = time.monotonic() + 120
        while (now := self.state(session))["state"] == "connected":
            most = max(most, now["queued_bytes"])
            self.assertLess(time.monotonic(), deadline, now)
            for _ in range(20):
                self.say(f"{said} {TEXT}")
                self.assertTrue(good.event("MESSAGE_CREATE")["content"].startswith(f"{said} "))  # nobody else suffers
                said += 1
            time.sleep(0.1)  # a burst would be let into the queue
        self.assertLess(most, 1 << 20)
        self.assertEqual(self.metric("guildhall_gateway_slow_consumers_total"), cut_before + 1)
        with self.assertRaises(Closed):  # 4000 where it reads again in time, a cut socket otherwise
            while True:
                slow.receive(20)
        new = self.connect(slow.ready["resume_gateway_url"])
        new.resume(self.seed.tokens["pingbot"], session, slow.seq)
        new.event("RESUMED", 30)
        got = [one["d"]["content"].split()[0] for one in slow.events + new.events if one["t"] == "MESSAGE_CREATE"]
        self.assertEqual(got, [str(number) for number in range(said)])

    def test_one_that_reads_again_in_time(self):
        """It gets everything that was ready for it, then 4000."""
        slow = self.gateway()
        slow.socket._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        slow.log_in(self.seed.tokens["pingbot"], GUILDS | MESSAGES | CONTENT)
        session, said = slow.ready["session_id"], 0
        begun = time.monotonic()
        while self.state(session)["state"] == "connected":
            begun = time.monotonic()
            self.say(f"{said} {TEXT}")
            said += 1
            self.assertLess(said, 20000)
        code = slow.closed(20)
        if code is None and time.monotonic() - begun > 2:
            self.skipTest("the machine is too slow to be in time")
        self.assertEqual(code, 4000)

    def test_one_that_keeps_up_after_a_pause(self):
        """A pause that fills the socket's buffers costs nothing: what waited in the ring follows in order."""
        paused = self.gateway()
        paused.socket._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        paused.log_in(self.seed.tokens["pingbot"], GUILDS | MESSAGES | CONTENT)
        session, said = paused.ready["session_id"], 0
        while self.state(session)["queued_bytes"] < 200000:
            self.say(f"{said} {TEXT}")
            said += 1
            self.assertLess(said, 20000)
        for _ in range(40):
            self.say(f"{said} {TEXT}")
            said += 1
        self.assertLess(self.state(session)["queued_bytes"], 600000)
        for number in range(said):
            self.assertTrue(paused.event("MESSAGE_CREATE", 30)["content"].startswith(f"{number} "))
        self.assertEqual(self.state(session)["state"], "connected")


if __name__ == "__main__":
    unittest.main()
