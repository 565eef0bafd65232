"""What must hold after the chaos: nothing acknowledged is missing from the store or, where a session went on, from what it
was sent; nothing came twice to a session; no session had a hole that it was not told of."""

from collections import Counter

# What is acknowledged while Redis or the broker is away is published when it is back, after later messages: only what
# was said so long before something that a session heard should have reached it, too, however the session ended.
DEFERRED_S = 60


def number_of(content):
    name, _, number = content.rpartition(":")
    return name, int(number)


class Judge:
    """world: sees(listener name, channel) and guild_of(channel)."""

    def __init__(self, world, said):
        self.world, self.said = world, said
        self.by_speaker = {}  # speaker -> its acknowledged messages, in the order they were said
        for key, (content, channel, begun) in said.items():
            name, number = number_of(content)
            self.by_speaker.setdefault(name, []).append((number, key, channel, begun))
        for lines in self.by_speaker.values():
            lines.sort()

    def _owed(self, listener, life):
        """Speaker -> ids of what this life is entitled to: said after the session had the guild."""
        for name, lines in self.by_speaker.items():
            yield name, [key for _, key, channel, begun in lines
                         if self.world.sees(listener.name, channel)
                         and begun > life.guilds.get(self.world.guild_of(channel), float("inf"))]

    def missing(self, listener):
        """Ids that the current life of the listener is still owed."""
        life = listener.lives[-1]
        heard = {message[0] for message in list(life.messages)}
        return [key for _, keys in self._owed(listener, life) for key in keys if key not in heard]

    def verdicts(self, listener):
        """A line for each thing that is wrong with any of its lives."""
        for index, life in enumerate(listener.lives):
            who = f"{listener.name} session {index} ({life.session_id}, {life.ended or 'alive'}, {life.resumes} resumes)"
            yield from (f"{who}: {what}" for what in life.broken)
            heard = Counter(message[0] for message in life.messages)
            for key, count in heard.items():
                if count > 1:
                    yield f"{who}: message {key} {self.said.get(key, '?')} came {count} times"
            for key, content, channel, _ in life.messages:
                if not self.world.sees(listener.name, channel):
                    yield f"{who}: message {key} {content} is in a channel it may not see"
            for name, keys in self._owed(listener, life):
                last = max((self.said[key][2] for key in keys if key in heard), default=0)
                holes = [key for key in keys if key not in heard
                         and (not life.ended or self.said[key][2] < last - DEFERRED_S)]
                if holes:
                    first, final = self.said[holes[0]], self.said[holes[-1]]
                    yield (f"{who}: {len(holes)} of {len(keys)} lines of {name} are missing, {first[0]} to {final[0]}, "
                           f"said from {first[2] - self.world.begun:.1f} to {final[2] - self.world.begun:.1f} s")


def stored(history, said):
    """history: channel -> its messages. What is acknowledged is stored as it was said, and once."""
    messages = {message["id"]: message for page in history.values() for message in page}
    for key, (content, channel, _) in said.items():
        if key not in messages:
            yield f"message {key} {content} was acknowledged and is not stored"
        elif messages[key]["content"] != content or messages[key]["channel_id"] != channel:
            yield f"message {key} {content} is stored as {messages[key]['content']}"
    for content, count in Counter(message["content"] for message in messages.values()).items():
        if count > 1:
            yield f"{content} is stored {count} times"
