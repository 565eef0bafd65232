"""A zstd decompressor for one stream, by libzstd itself (the standard library has none before Python 3.14)."""
import ctypes

SIZE = 1 << 17


class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("at", ctypes.c_size_t)]


def _library():
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_decompressStream.argtypes = [ctypes.c_void_p, ctypes.POINTER(Buffer), ctypes.POINTER(Buffer)]
    library.ZSTD_getErrorName.restype = ctypes.c_char_p
    library.ZSTD_getErrorName.argtypes = [ctypes.c_size_t]
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]
    library.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
    return library


class Decompressor:
    def __init__(self):
        self._library = _library()
        self._stream = self._library.ZSTD_createDStream()

    def __del__(self):
        self._library.ZSTD_freeDStream(self._stream)

    def decompress(self, data):
        source = ctypes.create_string_buffer(data, len(data))
        room = ctypes.create_string_buffer(SIZE)
        given = Buffer(ctypes.cast(source, ctypes.c_void_p), len(data), 0)
        text = b""
        while True:
            taken = Buffer(ctypes.cast(room, ctypes.c_void_p), SIZE, 0)
            code = self._library.ZSTD_decompressStream(self._stream, ctypes.byref(taken), ctypes.byref(given))
            assert not self._library.ZSTD_isError(code), self._library.ZSTD_getErrorName(code)
            assert code != 0, "the frame ended"
            text += room.raw[: taken.at]
            if given.at == given.size and taken.at < SIZE:
                return text
