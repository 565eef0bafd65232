"""What a client script may ask of its harness while it runs: `POST /` with {"do": ..., ...}, answered with JSON.

    say     {channel, content, as}      a person writes over plain HTTP; answers the message
    api     {method, path, body, as}    any call as a person or bot; answers {status, body}
    drain   {channel, as}               write as the bot, behind its library's back, until the answer is 429
    swallow                             the gateway's bytes no longer reach the client
    cut     {hold, reset}               end the client's gateway sockets; with hold, keep new ones waiting
    release                             let them through
    steer   {method, path, args}        an action of the control endpoint of every process; their answers
    restart {kill}                      full stack: end each gateway node (kill: with SIGKILL) and start it again
"""
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Control:
    def __init__(self, platform, caller, tokens, cutters):
        self._platform, self._call, self._tokens, self._cutters = platform, caller, tokens, cutters
        control = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                try:
                    status, answer = 200, getattr(control, "_" + order.pop("do"))(**order)
                except Exception as problem:  # reported to the script, which names it in its `not ok`
                    status, answer = 500, {"error": repr(problem)}
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def _authorization(self, name):
        return ("Bot " if name.endswith("bot") else "") + self._tokens[name]

    def _say(self, channel, content, **more):
        who = self._authorization(more.pop("as", "alice"))
        answer = self._call(who, "POST", f"/channels/{channel}/messages", {"content": content, **more})
        if answer.status != 200:
            raise RuntimeError(f"say: {answer}")
        return answer.body

    def _api(self, method, path, body=None, **more):
        answer = self._call(self._authorization(more.get("as", "alice")), method, path, body)
        return {"status": answer.status, "body": answer.body}

    def _drain(self, channel, **more):
        who = self._authorization(more.get("as", "pingbot"))
        for sent in range(60):
            answer = self._call.once(who, "POST", f"/channels/{channel}/messages", {"content": f"drain {sent}"})
            if answer.status == 429:
                return {"sent": sent, "retry_after": answer.body["retry_after"]}
        raise RuntimeError("drain: 60 messages in a row and no 429")

    def _swallow(self):
        for cutter in self._cutters:
            cutter.swallow()
        return {}

    def _cut(self, hold=False, reset=False):
        for cutter in self._cutters:
            cutter.cut(hold, reset)
        return {}

    def _release(self):
        for cutter in self._cutters:
            cutter.release()
        return {}

    def _steer(self, method, path, args=None):
        return self._platform.steering()(method, path, **(args or {}))

    def _restart(self, kill=False):
        self._platform.restart_gateways(kill)
        return {}
