"""A worker in Python: answers !ping, in order for each guild, without libguildhall. DISCORD_TOKEN, APPLICATION_ID,
AMQP_URL, PROXY_URL and WORKER_GROUP as in worker-sdk/README.md, which describes what it declares."""
import json
import os
import signal
import sys
import urllib.request

import pika

APP, GROUP = os.environ["APPLICATION_ID"], os.environ.get("WORKER_GROUP", "workers")
NAME = f"guildhall.{APP}.{GROUP}"
seen = set()


def answer(channel_id, nonce, text):
    body = json.dumps({"content": text, "nonce": nonce[-25:], "enforce_nonce": True}).encode()
    headers = {"Authorization": "Bot " + os.environ["DISCORD_TOKEN"], "Content-Type": "application/json"}
    url = f"{os.environ['PROXY_URL']}/v10/channels/{channel_id}/messages"
    urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60).close()


def on_event(channel, method, properties, body):
    event, d = method.routing_key.split(".")[1], json.loads(body)
    if properties.message_id not in seen and event == "MESSAGE_CREATE" and d["content"].startswith("!ping"):
        answer(d["channel_id"], properties.message_id, "pong" + d["content"][5:])
    seen.add(properties.message_id)
    channel.basic_ack(method.delivery_tag)  # after handling; never requeue


channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
channel.exchange_declare("guildhall.events", "topic", durable=True)
channel.exchange_declare(f"{NAME}.dead", "topic", durable=True)
channel.queue_declare(f"{NAME}.dead", durable=True)
channel.queue_bind(f"{NAME}.dead", f"{NAME}.dead", "#")
channel.basic_qos(prefetch_count=16)
ARGUMENTS = {"x-max-length": 100000, "x-overflow": "reject-publish", "x-dead-letter-exchange": f"{NAME}.dead",
             "x-single-active-consumer": True}
for partition in range(64):
    channel.queue_declare(f"{NAME}.{partition}", durable=True, arguments=ARGUMENTS)
    channel.queue_bind(f"{NAME}.{partition}", "guildhall.events", f"{APP}.*.{partition}")
    channel.basic_consume(f"{NAME}.{partition}", on_event)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
channel.start_consuming()
