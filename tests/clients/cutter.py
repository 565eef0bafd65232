"""A TCP proxy that stands between a client library and a gateway, so that a test can lose bytes and cut sockets.

The library is unmodified: the gateway announces the cutter's address (public_gateway_url), nothing else changes.
Runs its own event loop in one thread; the methods may be called from any thread.
"""
import asyncio
import socket
import struct
import threading


class Cutter:
    """Forwards 127.0.0.1:port to `target`, until told otherwise."""

    def __init__(self):
        self.port = 0
        self.target = None
        self.accepted = 0
        self._swallowing = False
        self._connections = set()
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)

    def _run(self, started):
        asyncio.set_event_loop(self._loop)

        async def start():
            self._open = asyncio.Event()
            self._open.set()
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = self._server.sockets[0].getsockname()[1]
            started.set()

        self._loop.run_until_complete(start())
        self._loop.run_forever()

    async def _serve(self, reader, writer):
        self.accepted += 1
        pair = None
        try:
            await self._open.wait()
            up_reader, up_writer = await asyncio.open_connection(*self.target)
            pair = (writer, up_writer)
            self._connections.add(pair)
            await asyncio.gather(
                self._pump(reader, up_writer, False), self._pump(up_reader, writer, True)
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(pair)
            for end in pair or (writer,):
                end.close()

    async def _pump(self, reader, writer, to_client):
        try:
            while data := await reader.read(65536):
                if not (to_client and self._swallowing):
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        if not writer.is_closing():
            writer.close()

    def _call(self, function):
        done = threading.Event()

        def step():
            function()
            done.set()

        self._loop.call_soon_threadsafe(step)
        done.wait(10)

    def swallow(self):
        """From now on the server speaks to nobody: its bytes are taken and thrown away."""
        self._call(lambda: setattr(self, "_swallowing", True))

    def cut(self, hold, reset=False):
        """Ends every connection; with `hold`, new ones wait for release(). `reset`: with RST instead of FIN."""

        def step():
            self._swallowing = False
            if hold:
                self._open.clear()
            for pair in list(self._connections):
                for end in pair:
                    if reset:
                        linger = struct.pack("ii", 1, 0)
                        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                        end.transport.abort()
                    else:
                        end.close()

        self._call(step)

    def release(self):
        self._call(lambda: self._open.set())

    def stop(self):
        async def end():
            self._server.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            self._loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self._loop)
        self._thread.join(5)
