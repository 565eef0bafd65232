"""A worker in Python without libguildhall: answers !ping, each guild's messages in order (worker-sdk/README.md)."""
import json
import os
import urllib.request
import pika

APP = os.environ["APPLICATION_ID"]
NAME = f"guildhall.{APP}.{os.environ.get('WORKER_GROUP', 'workers')}"
QUEUE = {"x-max-length": 100000, "x-overflow": "reject-publish", "x-dead-letter-exchange": f"{NAME}.dead",
         "x-single-active-consumer": True}
seen = set()


def say(channel_id, nonce, text):
    body = json.dumps({"content": text, "nonce": nonce[-25:], "enforce_nonce": True}).encode()
    headers = {"Authorization": "Bot " + os.environ["DISCORD_TOKEN"], "Content-Type": "application/json"}
    url = f"{os.environ['PROXY_URL']}/v10/channels/{channel_id}/messages"
    urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60).close()


def on_event(channel, method, properties, body):
    event, d = method.routing_key.split(".")[1], json.loads(body)
    if properties.message_id not in seen and event == "MESSAGE_CREATE" and d["content"].startswith("!ping"):
        say(d["channel_id"], properties.message_id, "pong" + d["content"][5:])
    seen.add(properties.message_id)
    channel.basic_ack(method.delivery_tag)  # after handling: a worker that dies leaves the event to another


channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
channel.exchange_declare("guildhall.events", "topic", durable=True)
channel.exchange_declare(f"{NAME}.dead", "topic", durable=True)
channel.queue_declare(f"{NAME}.dead", durable=True)
channel.queue_bind(f"{NAME}.dead", f"{NAME}.dead", "#")
channel.basic_qos(prefetch_count=16)
for partition in range(64):
    channel.queue_declare(f"{NAME}.{partition}", durable=True, arguments=QUEUE)
    channel.queue_bind(f"{NAME}.{partition}", "guildhall.events", f"{APP}.*.{partition}")
    channel.basic_consume(f"{NAME}.{partition}", on_event)
print("ready", flush=True)
channel.start_consuming()
