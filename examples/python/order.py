"""Places an order, and asks for its mail in the same transaction: both are committed, or neither is."""

import json
import os
import sys

import psycopg

customer, email = sys.argv[1:3]

# The transaction is committed at the end of the block, and rolled back by any error in it.
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    order = connection.execute("INSERT INTO orders (customer) VALUES (%s) RETURNING id", [customer]).fetchone()[0]
    mail = connection.execute(
        "SELECT sluice.enqueue_mail(%s, %s, %s, name => %s)",
        ["order.paid", email, json.dumps({"order": order}), customer],
    ).fetchone()[0]
    if "--fail" in sys.argv:
        sys.exit("the payment was refused: no order, and no mail")

print(mail)
