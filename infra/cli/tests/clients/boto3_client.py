"""Talks to the AWS port of a running `paidonce serve` as any program with boto3 does, and says what does not hold.

    boto3_client.py AWS_ENDPOINT API_ENDPOINT

`run` in this directory starts a server, with a few more resources than the template has, and runs it. Every check is named; the last line counts them, and the exit code
is 1 if one failed.
"""

import base64
import json
import sys
import time
import traceback
import urllib.request
import uuid

import boto3
from boto3.dynamodb.conditions import Attr, Key
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT, API = sys.argv[1:3]
SESSION = boto3.Session(aws_access_key_id="any", aws_secret_access_key="key", region_name="eu-central-1")
# What fails is to be seen, not tried again.
CONFIG = Config(retries={"total_max_attempts": 1})
SOON = 30

TABLE = "paidonce-table"
UPDATES = "paidonce-order-updates.fifo"
DEAD = "paidonce-order-updates-dead.fifo"
BUS = "paidonce-events"
FAILED_RECORDS = "paidonce-failedrecords-000000000000"
SCRATCH, SCRATCH_FIFO, BUCKET = "client-scratch", "client-scratch.fifo", "client-scratch"
# Of this run, so that it can be run again on the same state.
RUN = uuid.uuid4().hex[:8]

CHECKS = []


def check(function):
    """Each check stands alone; its name is what holds."""
    CHECKS.append(function)
    return function


def client(service, **more):
    return SESSION.client(service, endpoint_url=ENDPOINT, config=CONFIG.merge(Config(**more)))


def resource(service):
    return SESSION.resource(service, endpoint_url=ENDPOINT, config=CONFIG)


def refused(code, call, **arguments):
    """The call is refused with this code; gives the error's answer."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        found = error.response["Error"]
        assert found["Code"] == code, f"{found} instead of {code}"
        return error.response
    raise AssertionError(f"{code} was expected, and it was answered: {answer}")


def eventually(what, ask):
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {SOON} s: {what}")


def api(method, path, user, key=None, body=None):
    """A call of the product's own HTTP API."""
    headers = {"X-User-Id": user, "Content-Type": "application/json"}
    if key:
        headers["Idempotency-Key"] = key
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(API + path, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def item(name, **more):
    return {"pk": f"client#{RUN}#{name}", "sk": "item", **more}


# DynamoDB


@check
def a_table_is_described_as_the_template_has_it():
    dynamodb = client("dynamodb")
    assert dynamodb.list_tables()["TableNames"] == [TABLE]
    table = dynamodb.describe_table(TableName=TABLE)["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert table["TableArn"] == f"arn:aws:dynamodb:eu-central-1:000000000000:table/{TABLE}"
    keys = {key["AttributeName"]: key["KeyType"] for key in table["KeySchema"]}
    assert keys == {"pk": "HASH", "sk": "RANGE"}, keys
    indexes = {index["IndexName"] for index in table["GlobalSecondaryIndexes"]}
    assert indexes == {"by_owner", "by_look"}, indexes
    assert table["LatestStreamArn"].startswith(table["TableArn"] + "/stream/")
    assert table["LatestStreamArn"].endswith(table["LatestStreamLabel"])
    dynamodb.get_waiter("table_exists").wait(TableName=TABLE)


@check
def items_of_every_type_go_in_and_come_out():
    table = resource("dynamodb").Table(TABLE)
    from decimal import Decimal

    kept = item(
        "types",
        number=Decimal("1500.99"),
        binary=b"\x00\xff",
        yes=True,
        nothing=None,
        listed=["a", Decimal(1), {"b": False}],
        texts={"a", "b"},
        numbers={Decimal(1), Decimal(2)},
        text="Grüße, 世界 🚲",
        empty="",
    )
    table.put_item(Item=kept)
    found = table.get_item(Key={"pk": kept["pk"], "sk": "item"}, ConsistentRead=True)["Item"]
    assert found == kept, found


@check
def updates_conditions_and_old_values():
    table = resource("dynamodb").Table(TABLE)
    key = {"pk": f"client#{RUN}#update", "sk": "item"}
    added = table.update_item(
        Key=key,
        UpdateExpression="SET #n = if_not_exists(#n, :zero) + :one",
        ExpressionAttributeNames={"#n": "count"},
        ExpressionAttributeValues={":zero": 0, ":one": 1},
        ReturnValues="ALL_NEW",
        ReturnConsumedCapacity="TOTAL",
    )
    assert added["Attributes"] == {**key, "count": 1}, added
    assert added["ConsumedCapacity"] == {"TableName": TABLE, "CapacityUnits": 1.0}, added
    condition = Attr("count").eq(7)
    refused("ConditionalCheckFailedException", table.delete_item, Key=key, ConditionExpression=condition)
    raw = client("dynamodb")
    told = refused(
        "ConditionalCheckFailedException",
        raw.put_item,
        TableName=TABLE,
        Item={name: {"S": value} for name, value in key.items()},
        ConditionExpression="attribute_not_exists(pk)",
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
    assert told["Item"]["count"] == {"N": "1"}, told
    gone = table.delete_item(Key=key, ReturnValues="ALL_OLD")
    assert gone["Attributes"]["count"] == 1, gone
    assert "Item" not in table.get_item(Key=key)


@check
def queries_and_scans_go_page_by_page():
    table = resource("dynamodb").Table(TABLE)
    partition = f"client#{RUN}#pages"
    with table.batch_writer() as batch:
        for number in range(60):
            batch.put_item(Item={"pk": partition, "sk": f"{number:03}", "filler": "x" * 100})
    asked = {"TableName": TABLE, "KeyConditionExpression": Key("pk").eq(partition)}
    first = table.query(**asked, Limit=25)
    assert first["Count"] == 25 and first["LastEvaluatedKey"] == {"pk": partition, "sk": "024"}, first["LastEvaluatedKey"]
    pages = list(
        client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=TABLE,
            KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": {"S": partition}},
            ScanIndexForward=False,
            PaginationConfig={"PageSize": 25},
        )
    )
    assert [page["Count"] for page in pages] == [25, 25, 10], [page["Count"] for page in pages]
    assert pages[0]["Items"][0]["sk"] == {"S": "059"}
    scanned = 0
    for page in client("dynamodb").get_paginator("scan").paginate(
        TableName=TABLE,
        FilterExpression="pk = :p",
        ExpressionAttributeValues={":p": {"S": partition}},
        PaginationConfig={"PageSize": 20},
    ):
        scanned += page["Count"]
    assert scanned == 60, scanned
    halves = [table.scan(Segment=segment, TotalSegments=2, FilterExpression=Attr("pk").eq(partition)) for segment in (0, 1)]
    assert sum(half["Count"] for half in halves) == 60, [half["Count"] for half in halves]


@check
def batches_and_transactions():
    dynamodb = client("dynamodb")
    key = lambda name: {"pk": {"S": f"client#{RUN}#{name}"}, "sk": {"S": "item"}}
    put = lambda name, **more: {"Put": {"TableName": TABLE, "Item": key(name), **more}}
    dynamodb.transact_write_items(TransactItems=[put("t1"), put("t2")], ClientRequestToken=f"token-{RUN}")
    dynamodb.transact_write_items(TransactItems=[put("t1"), put("t2")], ClientRequestToken=f"token-{RUN}")
    refused(
        "IdempotentParameterMismatchException",
        dynamodb.transact_write_items,
        TransactItems=[put("t3")],
        ClientRequestToken=f"token-{RUN}",
    )
    absent = "attribute_not_exists(pk)"
    told = refused(
        "TransactionCanceledException",
        dynamodb.transact_write_items,
        TransactItems=[put("t4"), put("t1", ConditionExpression=absent)],
    )
    assert [reason["Code"] for reason in told["CancellationReasons"]] == ["None", "ConditionalCheckFailed"], told
    got = dynamodb.batch_get_item(RequestItems={TABLE: {"Keys": [key("t1"), key("t2"), key("t4")]}})
    found = sorted(one["pk"]["S"] for one in got["Responses"][TABLE])
    assert found == [f"client#{RUN}#t1", f"client#{RUN}#t2"], found
    read = dynamodb.transact_get_items(TransactItems=[{"Get": {"TableName": TABLE, "Key": key(n)}} for n in ("t1", "t4")])
    assert [bool(one.get("Item")) for one in read["Responses"]] == [True, False], read


@check
def what_dynamodb_refuses_it_refuses_by_name():
    dynamodb = client("dynamodb", parameter_validation=False)
    key = {"pk": {"S": "a"}, "sk": {"S": "b"}}
    put = {"Put": {"TableName": TABLE, "Item": key}}
    invalid = [
        ("schema", dynamodb.get_item, {"TableName": TABLE, "Key": {"pk": {"S": "a"}}}),
        ("empty string value", dynamodb.get_item, {"TableName": TABLE, "Key": {**key, "pk": {"S": ""}}}),
        ("empty string value", dynamodb.put_item, {"TableName": TABLE, "Item": {**key, "pk": {"S": ""}}}),
        ("Missing the key sk", dynamodb.put_item, {"TableName": TABLE, "Item": {"pk": {"S": "a"}}}),
        ("Item size has exceeded", dynamodb.put_item, {"TableName": TABLE, "Item": {**key, "x": {"S": "x" * 409_600}}}),
        ("numeric value", dynamodb.put_item, {"TableName": TABLE, "Item": {**key, "x": {"N": "many"}}}),
        ("Syntax error", dynamodb.put_item, {"TableName": TABLE, "Item": key, "ConditionExpression": "pk = = :x"}),
        ("part of the key", dynamodb.update_item, {
            "TableName": TABLE, "Key": key, "UpdateExpression": "SET pk = :x",
            "ExpressionAttributeValues": {":x": {"S": "x"}},
        }),
        ("pk", dynamodb.query, {
            "TableName": TABLE, "KeyConditionExpression": "sk = :x", "ExpressionAttributeValues": {":x": {"S": "x"}},
        }),
        ("specified index", dynamodb.query, {
            "TableName": TABLE, "IndexName": "none", "KeyConditionExpression": "a = :x",
            "ExpressionAttributeValues": {":x": {"S": "x"}},
        }),
        ("at 'limit'", dynamodb.scan, {"TableName": TABLE, "Limit": 0}),
        ("at 'tableName'", dynamodb.scan, {}),
        ("length less than or equal to 25", dynamodb.batch_write_item, {
            "RequestItems": {TABLE: [{"PutRequest": {"Item": {**key, "pk": {"S": str(n)}}}} for n in range(26)]},
        }),
        ("duplicates", dynamodb.batch_get_item, {"RequestItems": {TABLE: {"Keys": [key, key]}}}),
        ("multiple operations on one item", dynamodb.transact_write_items, {"TransactItems": [put, put]}),
        ("less than or equal to 100", dynamodb.transact_write_items, {"TransactItems": [put] * 101}),
    ]
    for words, call, arguments in invalid:
        message = refused("ValidationException", call, **arguments)["Error"]["Message"]
        assert words in message, f"{words!r} is not in {message[:300]!r}"
    refused("ResourceNotFoundException", dynamodb.get_item, TableName="no-such-table", Key=key)
    told = refused("SerializationException", dynamodb.get_item, TableName=TABLE, Key={**key, "pk": {"S": 5}})
    assert told["Error"]["Message"] == "NUMBER_VALUE cannot be converted to String", told
    refused("UnknownOperationException", dynamodb.delete_table, TableName=TABLE)
    assert client("dynamodb").list_tables()["TableNames"] == [TABLE]


@check
def a_stream_is_read_from_its_start_and_from_now_on():
    dynamodb, streams = client("dynamodb"), client("dynamodbstreams")
    [stream] = streams.list_streams(TableName=TABLE)["Streams"]
    arn = stream["StreamArn"]
    described = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert described["StreamStatus"] == "ENABLED" and described["StreamArn"] == arn
    [shard] = described["Shards"]
    assert "EndingSequenceNumber" not in shard["SequenceNumberRange"], "an open shard has no end"
    of_shard = {"StreamArn": arn, "ShardId": shard["ShardId"]}
    latest = streams.get_shard_iterator(**of_shard, ShardIteratorType="LATEST")["ShardIterator"]
    key = {"pk": {"S": f"client#{RUN}#stream"}, "sk": {"S": "item"}}
    dynamodb.put_item(TableName=TABLE, Item={**key, "said": {"S": "here"}})
    read = streams.get_records(ShardIterator=latest)
    mine = [record for record in read["Records"] if record["dynamodb"]["Keys"] == key]
    assert len(mine) == 1 and mine[0]["eventName"] == "INSERT", read["Records"]
    record = mine[0]
    assert record["awsRegion"] == "eu-central-1" and record["dynamodb"]["NewImage"]["said"] == {"S": "here"}
    again = streams.get_shard_iterator(
        **of_shard, ShardIteratorType="AT_SEQUENCE_NUMBER", SequenceNumber=record["dynamodb"]["SequenceNumber"]
    )
    [first] = streams.get_records(ShardIterator=again["ShardIterator"], Limit=1)["Records"]
    assert first["eventID"] == record["eventID"], (first, record)
    assert streams.get_records(ShardIterator=read["NextShardIterator"])["NextShardIterator"]
    refused("ResourceNotFoundException", streams.describe_stream, StreamArn=arn + "0")
    refused(
        "ResourceNotFoundException",
        streams.get_shard_iterator,
        StreamArn=arn,
        ShardId="shardId-00000000000000000000-none",
        ShardIteratorType="LATEST",
    )


# SQS


@check
def queues_are_found_and_their_urls_lead_back():
    sqs = client("sqs")
    urls = sqs.list_queues(QueueNamePrefix="paidonce-order")["QueueUrls"]
    assert sorted(url.rsplit("/", 1)[1] for url in urls) == [DEAD, UPDATES], urls
    assert all(url.startswith(ENDPOINT) for url in urls), urls
    every = sqs.list_queues()["QueueUrls"]
    pages = [page["QueueUrls"] for page in sqs.get_paginator("list_queues").paginate(PaginationConfig={"PageSize": 5})]
    assert len(pages) > 1 and all(len(page) == 5 for page in pages[:-1]) and 0 < len(pages[-1]) <= 5, pages
    assert [url for page in pages for url in page] == every and set(urls) < set(every), pages
    url = sqs.get_queue_url(QueueName=UPDATES)["QueueUrl"]
    assert url in urls
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["FifoQueue"] == "true", attributes
    assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].endswith(DEAD), attributes
    told = refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName="none")
    assert told["Error"]["QueryErrorCode"] == "QueueDoesNotExist", told
    try:
        sqs.get_queue_url(QueueName="none")
    except sqs.exceptions.QueueDoesNotExist:
        pass
    refused("InvalidAttributeName", sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["Colour"])


@check
def messages_are_sent_received_put_off_and_deleted():
    queue = resource("sqs").get_queue_by_name(QueueName=SCRATCH)
    queue.purge()
    sent = queue.send_message(
        MessageBody="Grüße <&>",
        MessageAttributes={
            "text": {"DataType": "String", "StringValue": "a"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        },
    )
    [message] = queue.receive_messages(MessageAttributeNames=["All"], AttributeNames=["All"], WaitTimeSeconds=5)
    assert message.message_id == sent["MessageId"] and message.body == "Grüße <&>", message
    assert message.message_attributes["bytes"]["BinaryValue"] == b"\x00\xff", message.message_attributes
    assert message.attributes["ApproximateReceiveCount"] == "1", message.attributes
    assert queue.receive_messages() == [], "it is in flight"
    message.change_visibility(VisibilityTimeout=0)
    [again] = queue.receive_messages(AttributeNames=["ApproximateReceiveCount"])
    assert again.attributes == {"ApproximateReceiveCount": "2"}, again.attributes
    again.delete()
    batch = queue.send_messages(Entries=[{"Id": str(n), "MessageBody": f"m{n}"} for n in range(10)])
    assert len(batch["Successful"]) == 10, batch
    received = queue.receive_messages(MaxNumberOfMessages=10)
    deleted = queue.delete_messages(Entries=[{"Id": m.message_id, "ReceiptHandle": m.receipt_handle} for m in received])
    assert len(deleted["Successful"]) == 10, deleted
    queue.load()
    assert queue.attributes["ApproximateNumberOfMessages"] == "0", queue.attributes


@check
def a_fifo_queue_keeps_the_order_of_a_group_and_takes_a_message_once():
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=SCRATCH_FIFO)["QueueUrl"]
    sqs.purge_queue(QueueUrl=url)
    group = f"g-{RUN}"
    sent = [sqs.send_message(QueueUrl=url, MessageBody=f"{RUN} {n}", MessageGroupId=group) for n in (1, 2, 1)]
    assert sent[0]["MessageId"] == sent[2]["MessageId"], "the same content within five minutes"
    assert sent[0]["SequenceNumber"] < sent[1]["SequenceNumber"], sent
    first = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
    assert first[0]["Body"] == f"{RUN} 1", first
    assert "Messages" not in sqs.receive_message(QueueUrl=url), "the group waits"
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
    [second] = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert second["Body"] == f"{RUN} 2", second
    sqs.delete_message(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"])


@check
def a_receiver_that_waits_gets_what_comes_meanwhile():
    import threading

    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=SCRATCH)["QueueUrl"]
    got = []
    waiting = threading.Thread(target=lambda: got.append(client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=20)))
    began = time.monotonic()
    waiting.start()
    sqs.send_message(QueueUrl=url, MessageBody="meanwhile")
    waiting.join()
    [message] = got[0]["Messages"]
    assert message["Body"] == "meanwhile" and time.monotonic() - began < 15, got
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


@check
def what_sqs_refuses_it_refuses_by_name():
    sqs = client("sqs", parameter_validation=False)
    url = sqs.get_queue_url(QueueName=UPDATES)["QueueUrl"]
    refused("MissingParameter", sqs.send_message, QueueUrl=url, MessageBody="x")
    refused("MissingParameter", sqs.send_message, QueueUrl=url)
    refused("InvalidParameterValue", sqs.send_message, QueueUrl=url, MessageBody="x" * 1_048_577, MessageGroupId="g", MessageDeduplicationId="d")
    refused("InvalidParameterValue", sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=11)
    refused("SerializationException", sqs.receive_message, QueueUrl=url, MaxNumberOfMessages="all")
    refused("ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=url, ReceiptHandle="none")
    refused("AWS.SimpleQueueService.EmptyBatchRequest", sqs.send_message_batch, QueueUrl=url, Entries=[])
    refused("AWS.SimpleQueueService.NonExistentQueue", sqs.send_message, QueueUrl=url + "x", MessageBody="x")


# EventBridge


@check
def buses_rules_and_targets_are_listed():
    events = client("events")
    names = [bus["Name"] for bus in events.list_event_buses()["EventBuses"]]
    assert names == ["default", BUS], names
    assert events.describe_event_bus(Name=BUS)["Arn"].endswith(f":event-bus/{BUS}")
    rules = {rule["Name"]: rule for rule in events.list_rules()["Rules"]}
    assert rules["paidonce-SweepEveryMinute"]["ScheduleExpression"] == "rate(1 minute)", rules
    pattern = json.loads(rules["paidonce-RecoverFailedRecord"]["EventPattern"])
    assert pattern["source"] == ["aws.s3"], pattern
    [target] = events.list_targets_by_rule(Rule="paidonce-SweepEveryMinute")["Targets"]
    assert target["Arn"].endswith("function:paidonce-Sweep"), target
    refused("ResourceNotFoundException", events.describe_event_bus, Name="none")
    refused("ResourceNotFoundException", events.describe_rule, Name="none")


@check
def events_are_taken_one_by_one():
    events = client("events", parameter_validation=False)
    good = {"Source": "client", "DetailType": "tried", "Detail": "{}", "EventBusName": BUS}
    told = events.put_events(Entries=[good, {**good, "Detail": "no"}, {**good, "EventBusName": "none"}, {"Source": "x"}])
    assert told["FailedEntryCount"] == 3 and "EventId" in told["Entries"][0], told
    codes = [entry.get("ErrorCode") for entry in told["Entries"][1:]]
    assert codes == ["MalformedDetail", "ResourceNotFoundException", "InvalidArgument"], told
    refused("ValidationException", events.put_events, Entries=[])
    refused("ValidationException", events.put_events, Entries=[good] * 11)
    refused("SerializationException", events.put_events, Entries=[{**good, "Detail": {}}])


# S3


def buckets_in(style):
    return client("s3", s3={"addressing_style": style})


@check
def objects_go_in_and_come_out_with_their_checksums():
    s3 = buckets_in("path")
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [BUCKET, FAILED_RECORDS]
    s3.head_bucket(Bucket=BUCKET)
    key, body = f"client/{RUN}/a folder/ünïcode & more+.json", "Grüße".encode()
    for algorithm, field in [
        (None, "ChecksumCRC32"),
        ("CRC32C", "ChecksumCRC32C"),
        ("CRC64NVME", "ChecksumCRC64NVME"),
        ("SHA1", "ChecksumSHA1"),
        ("SHA256", "ChecksumSHA256"),
    ]:
        if algorithm in ("CRC32C", "CRC64NVME"):
            try:
                import awscrt  # noqa: F401
            except ImportError:
                continue
        more = {"ChecksumAlgorithm": algorithm} if algorithm else {}
        put = s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata={"who": "client"}, **more)
        got = s3.get_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
        assert got["Body"].read() == body
        assert put[field] == got[field], (algorithm, put, got)
        assert got["ETag"] == put["ETag"] and got["Metadata"] == {"who": "client"}, got
    head = s3.head_object(Bucket=BUCKET, Key=key)
    assert head["ContentLength"] == len(body), head
    part = s3.get_object(Bucket=BUCKET, Key=key, Range="bytes=0-2")
    assert part["Body"].read() == body[:3] and part["ContentRange"] == f"bytes 0-2/{len(body)}", part
    refused("InvalidRange", s3.get_object, Bucket=BUCKET, Key=key, Range="bytes=99-")
    refused("PreconditionFailed", s3.put_object, Bucket=BUCKET, Key=key, Body=b"", IfNoneMatch="*")
    refused("BadDigest", s3.put_object, Bucket=BUCKET, Key=key, Body=b"x", ChecksumCRC32="AAAAAA==")
    s3.copy_object(Bucket=BUCKET, Key=key + ".copy", CopySource={"Bucket": BUCKET, "Key": key})
    assert s3.get_object(Bucket=BUCKET, Key=key + ".copy")["Body"].read() == body
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key})
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == body
    for name in (key, key + ".copy"):
        s3.delete_object(Bucket=BUCKET, Key=name)
    refused("NoSuchKey", s3.get_object, Bucket=BUCKET, Key=key)
    refused("404", s3.head_object, Bucket=BUCKET, Key=key)
    refused("NoSuchBucket", s3.list_objects_v2, Bucket="no-such-bucket")
    refused("NotImplemented", s3.put_object_tagging, Bucket=BUCKET, Key=key, Tagging={"TagSet": []})
    refused("NotImplemented", s3.create_multipart_upload, Bucket=BUCKET, Key=key)
    refused("NotImplemented", s3.create_bucket, Bucket="another")


@check
def a_stream_of_unknown_length_is_uploaded_in_chunks():
    import io

    s3 = buckets_in("path")
    key, body = f"client/{RUN}/stream", b"0123456789" * 200_000
    s3.upload_fileobj(io.BytesIO(body), BUCKET, key)
    target = io.BytesIO()
    s3.download_fileobj(BUCKET, key, target)
    assert target.getvalue() == body
    s3.delete_object(Bucket=BUCKET, Key=key)


@check
def listings_go_by_prefix_folder_and_page():
    s3, bucket = buckets_in("path"), resource("s3").Bucket(BUCKET)
    prefix = f"client/{RUN}/list/"
    for name in ("a", "b/1", "b/2", "c", "d e+ü"):
        s3.put_object(Bucket=BUCKET, Key=prefix + name, Body=b"x")
    level = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix, Delimiter="/")
    assert [one["Key"] for one in level["Contents"]] == [prefix + name for name in ("a", "c", "d e+ü")], level
    assert level["CommonPrefixes"] == [{"Prefix": prefix + "b/"}], level
    pages = list(
        s3.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=prefix, Delimiter="/", PaginationConfig={"PageSize": 2}
        )
    )
    sizes = [page["KeyCount"] for page in pages]
    assert sizes == [2, 2], sizes
    listed = [one.key for one in bucket.objects.filter(Prefix=prefix).page_size(2)]
    assert listed == [prefix + name for name in ("a", "b/1", "b/2", "c", "d e+ü")], listed
    deleted = bucket.objects.filter(Prefix=prefix).delete()
    assert len(deleted[0]["Deleted"]) == 5, deleted
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["KeyCount"] == 0


# Lambda and STS


@check
def functions_are_listed_and_invoked():
    functions = client("lambda")
    names = [one["FunctionName"] for page in functions.get_paginator("list_functions").paginate() for one in page["Functions"]]
    assert "paidonce-Sweep" in names and len(names) >= 15, names
    one = functions.get_function(FunctionName="paidonce-Relay")["Configuration"]
    assert one["Handler"] == "relay" and one["Timeout"] > 0, one
    event = {
        "version": "2.0", "routeKey": "GET /account", "rawPath": "/account", "rawQueryString": "", "headers": {},
        "requestContext": {
            "accountId": "000000000000", "apiId": "local", "domainName": "localhost", "domainPrefix": "localhost",
            "http": {"method": "GET", "path": "/account", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "c"},
            "requestId": "r", "routeKey": "GET /account", "stage": "$default", "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1767225600000,
            "authorizer": {"lambda": {"issuer": "https://client.example", "subject": RUN, "scope": "", "expires_at": "9999999999"}},
        },
        "isBase64Encoded": False,
    }
    answered = functions.invoke(FunctionName="paidonce-GetAccount", Payload=json.dumps(event))
    said = json.loads(answered["Payload"].read())
    assert answered["StatusCode"] == 200 and "FunctionError" not in answered, said
    assert said["statusCode"] in (401, 403, 404), said
    failed = functions.invoke(FunctionName="paidonce-GetAccount", Payload=b'{"no": "call"}')
    said = json.loads(failed["Payload"].read())
    assert failed["FunctionError"] == "Unhandled" and said["errorMessage"], said
    assert functions.invoke(FunctionName="paidonce-Sweep", InvocationType="Event", Payload=b"{}")["StatusCode"] == 202
    refused("ResourceNotFoundException", functions.invoke, FunctionName="none", Payload=b"{}")
    refused("InvalidRequestContentException", functions.invoke, FunctionName="paidonce-Sweep", Payload=b"{")


@check
def whoever_asks_is_told_who_they_are():
    who = client("sts").get_caller_identity()
    assert who["Account"] == "000000000000", who


@check
def what_is_not_here_says_what_is():
    for service, call in [("sns", "list_topics"), ("kms", "list_keys"), ("iam", "list_users"), ("secretsmanager", "list_secrets")]:
        try:
            getattr(client(service), call)()
        except ClientError as error:
            assert "DynamoDB, DynamoDB Streams, SQS" in error.response["Error"]["Message"], error.response
        else:
            raise AssertionError(f"{service} answered")


# All of it


@check
def an_order_is_seen_from_outside_at_every_station():
    user = f"client-{RUN}"
    api("POST", "/deposits", user, "d", {"amount": 50})
    table, streams = resource("dynamodb").Table(TABLE), client("dynamodbstreams")
    arn = streams.list_streams(TableName=TABLE)["Streams"][0]["StreamArn"]
    [shard] = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    of_shard = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "LATEST"}

    def streamed(number):
        """The versions of a new order, as the stream has them once the order is completed."""
        now = streams.get_shard_iterator(**of_shard)["ShardIterator"]
        order = api("POST", "/orders", user, f"o{number}", {"amount": "12.50"})
        key = {"pk": f"order#{order['id']}", "sk": "order"}
        assert "Item" in table.get_item(Key=key, ConsistentRead=True), "it is there before the answer is"
        kept = lambda: table.get_item(Key=key, ConsistentRead=True)["Item"]
        eventually("the order is completed", lambda: kept()["state"] == "completed")
        assert kept()["version"] == 2 and kept()["charged"] == 1250, kept()
        records = [record["dynamodb"] for record in streams.get_records(ShardIterator=now)["Records"]]
        return [record["NewImage"]["version"]["N"] for record in records if record["Keys"]["pk"]["S"] == key["pk"]]

    # What every mapping has read is forgotten once a minute, which may come between the write and the look.
    tries = [streamed(1)]
    if tries != [["1", "2"]]:
        tries.append(streamed(2))
    assert tries[-1] == ["1", "2"], tries


@check
def a_message_sent_through_the_port_is_taken_by_its_mapping():
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=UPDATES)["QueueUrl"]
    sqs.send_message(
        QueueUrl=url, MessageBody="nothing a function can read", MessageGroupId=f"g-{RUN}", MessageDeduplicationId=f"m-{RUN}"
    )
    kept = lambda: resource("dynamodb").Table(TABLE).query(KeyConditionExpression=Key("pk").eq("unreadable"))["Items"]
    eventually("its content is kept", lambda: any("nothing a function can read" in str(one) for one in kept()))


@check
def a_change_made_through_the_port_is_relayed():
    """An item written over SDK calls alone goes the way of the stream, like one that a function wrote."""
    dynamodb, table = client("dynamodb"), resource("dynamodb").Table(TABLE)
    user = f"relayed-{RUN}"
    order = api("POST", "/orders", user, "o", {"amount": 3})
    eventually("the order waits", lambda: api("GET", f"/orders/{order['id']}", user).get("waiting_for"))
    told = lambda: len(api("GET", "/notifications", user)["items"])
    before = eventually("it is told", told)
    key = {"pk": f"order#{order['id']}", "sk": "order"}
    event = table.get_item(Key=key)["Item"]
    event["version"] += 1
    table.put_item(Item=event)
    eventually("the events of the new version are told again, under new ids", lambda: told() > before)


def main():
    failed = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok      {name}")
        except Exception:
            failed += 1
            print(f"FAILED  {name}")
            traceback.print_exc(file=sys.stdout)
    print(f"boto3 {boto3.__version__}: {len(CHECKS) - failed} of {len(CHECKS)} checks hold")
    sys.exit(1 if failed else 0)


main()
