"""Produces records to Kafka with librdkafka, as a producer that is not part of Tollgate.

Reads a JSON list of jobs from standard input: {"config": {...}, "records": [...], "transaction": "commit" | "abort" | "open"}.
A record is {"topic", "partition", "key", "value", "headers", "timestamp"}; key, value and header values are base64 or null,
and {"value_bytes": n} means a value of n zero bytes. The records of a job form one record batch for each partition.
Prints the partitions and offsets of the records, one JSON list for each job. "open" leaves the transaction open.
"""

import base64
import json
import os
import sys

from confluent_kafka import Producer


def decoded(text):
    return None if text is None else base64.b64decode(text)


def run(brokers, job):
    producer = Producer(
        {
            "bootstrap.servers": brokers,
            "linger.ms": 200,
            "compression.level": -1,
            "message.max.bytes": 200_000_000,
            **job["config"],
        }
    )
    transaction = job.get("transaction")
    if transaction is not None:
        producer.init_transactions(30)
        producer.begin_transaction()
    deliveries = []

    def delivered(error, message):
        deliveries.append({"error": str(error)} if error else {"partition": message.partition(), "offset": message.offset()})

    for record in job["records"]:
        value = bytes(record["value_bytes"]) if "value_bytes" in record else decoded(record["value"])
        extra = {"timestamp": record["timestamp"]} if "timestamp" in record else {}
        producer.produce(
            record["topic"],
            value=value,
            key=decoded(record["key"]),
            partition=record.get("partition", -1),
            headers=[(name, decoded(content)) for name, content in record.get("headers", [])],
            on_delivery=delivered,
            **extra,
        )
    producer.flush(60)
    if transaction == "commit":
        producer.commit_transaction(30)
    if transaction == "abort":
        producer.abort_transaction(30)
    print(json.dumps(deliveries), flush=True)


for each in json.load(sys.stdin):
    run(sys.argv[1], each)
# Exits without closing the producers, because closing aborts an open transaction.
os._exit(0)
