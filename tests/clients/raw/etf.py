"""Erlang's External Term Format as erlpack for JavaScript packs and unpacks it (discord/erlpack, js/): keys and strings
are binaries, an integer of more than 32 bits is read as text."""
import struct

ATOMS = {"nil": None, "null": None, "true": True, "false": False}


def pack(value):
    return b"\x83" + _pack(value)


def _pack(value):
    if value is None:
        return b"s\x03nil"
    if value is True or value is False:
        return b"s\x04true" if value else b"s\x05false"
    if isinstance(value, int):
        if 0 <= value < 256:
            return bytes([97, value])
        if -(1 << 31) <= value < 1 << 31:
            return b"b" + struct.pack(">i", value)
        return b"F" + struct.pack(">d", value)
    if isinstance(value, float):
        return b"F" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return b"m" + struct.pack(">I", len(data)) + data
    if isinstance(value, (list, tuple)):
        return b"l" + struct.pack(">I", len(value)) + b"".join(map(_pack, value)) + b"j" if value else b"j"
    pairs = b"".join(_pack(key) + _pack(one) for key, one in value.items())
    return b"t" + struct.pack(">I", len(value)) + pairs


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 1
        assert data[0] == 131, data[:1]

    def take(self, count):
        part = self.data[self.at : self.at + count]
        assert len(part) == count, "cut short"
        self.at += count
        return part

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def term(self):
        tag = self.number(1)
        if tag == 97:
            return self.number(1)
        if tag == 98:
            return struct.unpack(">i", self.take(4))[0]
        if tag == 70:
            return struct.unpack(">d", self.take(8))[0]
        if tag in (100, 115):
            name = self.take(self.number(2 if tag == 100 else 1)).decode()
            return ATOMS.get(name, name)
        if tag == 109:
            return self.take(self.number(4)).decode()
        if tag == 110:
            count, negative = self.number(1), self.number(1)
            value = int.from_bytes(self.take(count), "little")
            value = -value if negative else value
            return value if count <= 4 else str(value)
        if tag == 106:
            return []
        if tag == 108:
            items = [self.term() for _ in range(self.number(4))]
            assert self.number(1) == 106, "an improper list"
            return items
        assert tag == 116, f"tag {tag}"
        return {self.term(): self.term() for _ in range(self.number(4))}


def unpack(data):
    reader = Reader(data)
    value = reader.term()
    assert reader.at == len(data), "more behind the term"
    return value
