"""What the Python client script uses: named checks, bounded waits, orders to the harness (see ../control.py)."""
import asyncio
import json
import os
import sys
import time
import traceback
import urllib.error
import urllib.request

failures = 0


def report(name, problem=None):
    global failures
    failures += problem is not None
    print(f"not ok {name}: {problem}" if problem else f"ok {name}", flush=True)


class check:
    """`async with check("name"):` prints ok or not ok; the script goes on in either case."""

    def __init__(self, name):
        self._name = name

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, trace):
        if error is None:
            report(self._name)
        elif isinstance(error, Exception):
            line = traceback.extract_tb(trace)[-1]
            report(self._name, f"{kind.__name__}: {error} ({os.path.basename(line.filename)}:{line.lineno} {line.line})")
        return error is None or isinstance(error, Exception)


async def until(what, predicate, seconds=60):
    """The first truthy answer of `predicate`, asked every 20 ms."""
    end = time.monotonic() + seconds
    while not (value := predicate()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s in vain for {what}")
        await asyncio.sleep(0.02)
    return value


async def within(what, awaitable, seconds=60):
    try:
        return await asyncio.wait_for(awaitable, seconds)
    except asyncio.TimeoutError:
        raise TimeoutError(f"{what} took more than {seconds} s") from None


def _post(order):
    request = urllib.request.Request(os.environ["CONTROL_URL"], json.dumps(order).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=90) as response:
            return json.load(response)
    except urllib.error.HTTPError as problem:
        raise RuntimeError(f"harness: {problem.read().decode()}") from None


async def control(do, **order):
    return await asyncio.to_thread(_post, {"do": do, **order})


async def say(channel, content, **more):
    return await control("say", channel=str(channel), content=content, **more)


async def api(who, method, path, body=None):
    return await control("api", **{"as": who}, method=method, path=path, body=body)


def run(main, seconds=150):
    async def bounded():
        await within("the script", main(), seconds)

    try:
        asyncio.run(bounded())
    except Exception:
        report("script", traceback.format_exc())
    sys.stdout.flush()
    os._exit(1 if failures else 0)  # no waiting for a library's leftover tasks
