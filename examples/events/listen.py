"""Hears what becomes of mails: one line for each event, and one only where an event comes twice.

AMQP_URL is the broker, the arguments are routing keys: mail.dead, mail.*; without any, all."""

import json
import os
import sys

import pika

QUEUE = "listen"
# An event that was heard may come again: enough to remember those of the last while. Keep them in your database
# where what you do with an event must not be done twice.
REMEMBERED = 100_000

keys = sys.argv[1:] or ["mail.*"]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
# The queue keeps what comes while nobody listens; a worker makes the exchange.
channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
for key in keys:
    channel.queue_bind(QUEUE, "email.events", key)
channel.basic_qos(prefetch_count=100)
print("listening", flush=True)

heard = {}
for method, properties, body in channel.consume(QUEUE):
    attributes = {
        name.removeprefix("cloudEvents:"): value
        for name, value in properties.headers.items()
        if name.startswith("cloudEvents:")
    }
    if attributes["id"] not in heard:
        heard[attributes["id"]] = True
        if len(heard) > REMEMBERED:
            del heard[next(iter(heard))]
        mail = json.loads(body)
        why = mail.get("reason") or mail.get("reply", {}).get("text", "")
        print(attributes["time"], attributes["type"], attributes["subject"], why, flush=True)
    channel.basic_ack(method.delivery_tag)
