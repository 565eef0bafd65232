"""The common part of the raw tests: servers shared by the modules of one run, and short names for what is seeded.

GUILDHALL_TEST_PLATFORM=stack runs them on the full stack with two gateway nodes, used in turn; else on `guildhall dev`.
"""
import atexit
import itertools
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from caller import Caller  # noqa: E402
from steer import Control  # noqa: E402
from seed import Seed  # noqa: E402
from servers import DevPlatform, StackPlatform  # noqa: E402
from stack import binary  # noqa: E402, F401
from wire import Gateway  # noqa: E402

GUILDS, MEMBERS, PRESENCES, MESSAGES = 1 << 0, 1 << 1, 1 << 8, 1 << 9
REACTIONS, TYPING, DIRECT, CONTENT = 1 << 10, 1 << 11, 1 << 12, 1 << 15
Kind = StackPlatform if os.environ.get("GUILDHALL_TEST_PLATFORM") == "stack" else DevPlatform
_running = {}
os.environ.setdefault("GUILDHALL_INTERACTION_DEADLINE_MS", "120000")  # of every process: a busy machine is no failure


def platform(limits, *extra):
    """A platform like this; the same arguments share one."""
    if (limits, extra) not in _running:
        _running[limits, extra] = Kind(Seed(), limits=limits, extra=extra)
        atexit.unregister(_stop_all)
        atexit.register(_stop_all)  # last registered, first run: before the processes' own last resort
    return _running[limits, extra]


def _stop_all():
    problems = [problem for one in _running.values() if (problem := one.stop())]
    if problems:
        print("\n".join(problems), file=sys.stderr, flush=True)
        os._exit(1)  # a server that does not end well fails the run, however its tests went


class Case(unittest.TestCase):
    """A test against a server without rate limits, unless the class says otherwise."""

    limits, arguments = False, ()

    @classmethod
    def setUpClass(cls):
        cls.seed = Seed()
        cls.server = platform(cls.limits, *cls.arguments)
        cls.nodes = itertools.cycle(cls.server.gateway_urls)
        cls.call = Caller(cls.server.api_url)
        cls.addClassCleanup(cls.call.close)
        cls.alice, cls.bob, cls.carol = (cls.seed.tokens[name] for name in ("alice", "bob", "carol"))
        cls.bot, cls.quiet = ("Bot " + cls.seed.tokens[name] for name in ("pingbot", "quietbot"))
        cls.guild = cls.seed.guild_ids[0]
        cls.general, cls.secret = cls.seed.channels["general"], cls.seed.channels["secret"]
        cls.messages = f"/channels/{cls.general}/messages"

    def server_control(self):
        """The control endpoints of every process under test."""
        return Control([self.server.api_url, *self.server.gateway_urls], getattr(self.server.server, "control_secret", None))

    def connect(self, url, query="?v=10&encoding=json"):
        connection = Gateway(url, query)
        self.addCleanup(connection.socket.drop)
        return connection

    def gateway(self, query="?v=10&encoding=json"):
        return self.connect(next(self.nodes), query)

    def session(self, name="pingbot", intents=GUILDS | MESSAGES | CONTENT, **more):
        connection = self.gateway()
        connection.log_in(self.seed.tokens[name], intents, **more)
        return connection

    def refused(self, answer, status, code):
        """The answer is Discord's error: status, code, and a message in words."""
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertEqual(answer.body["code"], code, answer)
        self.assertTrue(answer.body["message"])
        return answer.body

    def say(self, content, channel=None, token=None, **more):
        body = {"content": content, **more}
        answer = self.call(token or self.alice, "POST", f"/channels/{channel or self.general}/messages", body)
        self.assertEqual(answer.status, 200, answer)
        return answer.body
