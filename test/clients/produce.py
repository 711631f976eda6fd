"""Writes records to Kafka with librdkafka, as another company's producer would.

Reads a JSON list of jobs from standard input: {"config": {...}, "records": [...], "transaction": "commit" | "abort" | "open"}.
A record is {"topic", "partition", "key", "value", "headers", "timestamp"}; key, value and header values are base64 or null,
and {"value_bytes": n} stands for a value of n zero bytes. The records of a job go in one batch for each partition.
Prints the places of the records, one JSON list for each job. With "open" the last transaction is left as it is.
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
    places = []

    def delivered(error, message):
        places.append({"error": str(error)} if error else {"partition": message.partition(), "offset": message.offset()})

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
    print(json.dumps(places), flush=True)


for each in json.load(sys.stdin):
    run(sys.argv[1], each)
# Without closing the producers: that would abort a transaction that is to stay open.
os._exit(0)
