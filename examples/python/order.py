"""Places an order, and asks for its mail in the same transaction: both are committed, or neither is."""

import os
import sys

from sqlalchemy import BigInteger, Column, Text, cast, create_engine, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session, declarative_base

Base = declarative_base()


class Order(Base):
    __tablename__ = "orders"

    id = Column(BigInteger, primary_key=True)
    customer = Column(Text, nullable=False)


def mail(type_, email, data, name=None):
    """Asks for a mail, in the transaction of the session that executes it; the result is its id."""
    return select(func.sluice.enqueue_mail(type_, email, cast(data, JSONB), name))


customer, email = sys.argv[1:3]
engine = create_engine(os.environ["DATABASE_URL"])

# The transaction is committed at the end of the block, and rolled back by any error in it.
with Session(engine) as session, session.begin():
    order = Order(customer=customer)
    session.add(order)
    session.flush()
    id = session.execute(mail("order.paid", email, {"order": order.id}, name=customer)).scalar_one()
    if "--fail" in sys.argv:
        sys.exit("the payment was refused: no order, and no mail")

print(id)
