"""What the tutorial's worker does: declares the queue durable, with no arguments, consumes with automatic acks, and reads
the two fields."""

import json
import sys

import pika

url, count = sys.argv[1], int(sys.argv[2])
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.queue_declare(queue="email_queue", durable=True)
left = count
for _, _, body in channel.consume("email_queue", auto_ack=True, inactivity_timeout=20):
    if body is None:
        sys.exit(f"{left} of {count} tasks did not come")
    task = json.loads(body)
    print(task["email"], task["username"])
    left -= 1
    if left == 0:
        break
channel.cancel()
connection.close()
