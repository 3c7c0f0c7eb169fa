"""What the tutorial's API does: declares the queue durable, with no arguments, and publishes the two fields."""

import json
import sys

import pika

url, email, username = sys.argv[1:4]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.queue_declare(queue="email_queue", durable=True)
channel.basic_publish(exchange="", routing_key="email_queue", body=json.dumps({"email": email, "username": username}))
connection.close()
