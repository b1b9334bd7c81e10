//! DynamoDB and its streams: the service's own words for what it does not take.

use serde_json::{Value, json};

use crate::support::*;

fn key(value: &str) -> Value {
    json!({ "pk": { "S": value } })
}

#[tokio::test]
async fn an_answer_has_an_id_a_checksum_and_the_type_of_the_request() {
    let served = Served::start().await;
    let answer = served.call("DynamoDB_20120810.ListTables", &json!({})).await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"TableNames":["things-table"]}"#));
    assert_eq!(answer.header("content-type"), "application/x-amz-json-1.0");
    assert_eq!(answer.header("x-amz-crc32"), "4059660152", "of exactly that body");
    assert_eq!(answer.header("x-amzn-requestid").len(), 36);
    let plain = Asking::call("DynamoDB_20120810.ListTables", "{}").with("content-type", "application/json");
    assert_eq!(served.ask(&plain).await.header("content-type"), "application/json");
}

#[tokio::test]
async fn what_is_no_request_is_refused_before_it_is_looked_at() {
    let served = Served::start().await;
    for body in ["", "{", "[]", "null", "5"] {
        let answer = served.ask(&Asking::call("DynamoDB_20120810.GetItem", body)).await;
        assert_eq!(answer.refusal(), (400, "SerializationException".into()), "{body}");
        assert_eq!(answer.text(), r#"{"__type":"com.amazon.coral.service#SerializationException"}"#, "without a word");
    }
    for (body, message) in [
        (json!({ "TableName": 5 }), "NUMBER_VALUE cannot be converted to String"),
        (json!({ "TableName": TABLE, "Key": [] }), "Unrecognized collection type java.util.Map<java.lang.String, "),
        (json!({ "TableName": TABLE, "Key": { "pk": { "S": true } } }), "TRUE_VALUE cannot be converted to String"),
    ] {
        let answer = served.call("DynamoDB_20120810.GetItem", &body).await;
        assert_eq!(answer.refusal(), (400, "SerializationException".into()), "{body}");
        assert!(answer.message().starts_with(message), "{answer:?}");
    }
    for target in ["DynamoDB_20120810.Nope", "DynamoDB_20120810.", "DynamoDB_20120810.GetRecords"] {
        assert_eq!(served.call(target, &json!({})).await.refusal(), (400, "UnknownOperationException".into()));
    }
}

#[tokio::test]
async fn the_usual_mistakes_have_the_words_of_the_service() {
    let served = Served::start().await;
    let put = |item: Value| json!({ "TableName": TABLE, "Item": item });
    let wrong_number = put(json!({ "pk": { "S": "a" }, "n": { "N": "many" } }));
    let twice = json!({ "TransactItems": [{ "Put": put(key("a")) }, { "Put": put(key("a")) }] });
    let too_many: Vec<_> = (0..26).map(|n| json!({ "PutRequest": { "Item": key(&n.to_string()) } })).collect();
    let no_item = json!({ "TableName": TABLE, "Key": { "pk": {} } });
    let two_types = json!({ "TableName": TABLE, "Key": { "pk": { "S": "a", "N": "1" } } });
    let reserved = json!({ "TableName": TABLE, "Key": key("a"), "UpdateExpression": "SET size = :v",
        "ExpressionAttributeValues": { ":v": { "S": "x" } } });
    for (operation, request, words) in [
        ("GetItem", json!({}), "Value null at 'tableName' failed to satisfy constraint: Member must not be null"),
        (
            "GetItem",
            json!({ "TableName": "ab", "Key": key("a") }),
            "Member must have length greater than or equal to 3",
        ),
        ("GetItem", json!({ "TableName": TABLE, "Key": {} }), "The provided key element does not match the schema"),
        ("GetItem", no_item, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        ("GetItem", two_types, "Supplied AttributeValue has more than one datatypes set"),
        (
            "PutItem",
            put(key("")),
            "The AttributeValue for a key attribute cannot contain an empty string value. Key: pk",
        ),
        ("PutItem", put(json!({})), "Missing the key pk in the item"),
        ("PutItem", wrong_number, "The parameter cannot be converted to a numeric value: many"),
        ("UpdateItem", reserved, "Attribute name is a reserved keyword; reserved keyword: size"),
        ("Scan", json!({ "TableName": TABLE, "Limit": 0 }), "Value '0' at 'limit' failed to satisfy constraint"),
        ("Query", json!({ "TableName": TABLE }), "Either the KeyConditions or KeyConditionExpression parameter"),
        (
            "BatchWriteItem",
            json!({ "RequestItems": { TABLE: too_many } }),
            "Member must have length less than or equal to 25",
        ),
        ("BatchGetItem", json!({ "RequestItems": { TABLE: { "Keys": [key("a"), key("a")] } } }), "duplicates"),
        ("TransactWriteItems", twice, "Transaction request cannot include multiple operations on one item"),
        ("TransactWriteItems", json!({ "TransactItems": [] }), "Member must have length greater than or equal to 1"),
    ] {
        let answer = served.call(&format!("DynamoDB_20120810.{operation}"), &request).await;
        assert_eq!(answer.refusal(), (400, "ValidationException".into()), "{operation} {request}: {answer:?}");
        assert!(answer.message().contains(words), "{words:?} is not in {:?}", answer.message());
    }
    let absent = json!({ "TableName": "no-such-table", "Key": key("a") });
    let answer = served.call("DynamoDB_20120810.GetItem", &absent).await;
    assert_eq!(answer.refusal(), (400, "ResourceNotFoundException".into()));
}

#[tokio::test]
async fn a_table_is_known_by_its_arn_too_and_unknown_fields_are_passed_over() {
    let served = Served::start().await;
    let arn = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{TABLE}");
    let put = json!({ "TableName": arn, "Item": { "pk": { "S": "a" }, "TableName": { "S": arn } }, "Whatever": 5 });
    assert_eq!(served.call("DynamoDB_20120810.PutItem", &put).await.status, 200);
    let got = served.call("DynamoDB_20120810.GetItem", &json!({ "TableName": TABLE, "Key": key("a") })).await.json();
    assert_eq!(got["Item"]["TableName"], json!({ "S": arn }), "what is in an item is left alone");
}

#[tokio::test]
async fn a_stream_is_found_by_the_arn_that_is_shown_and_by_no_other() {
    let served = Served::start().await;
    let call = async |operation: &str, request: Value| {
        served.call(&format!("DynamoDBStreams_20120810.{operation}"), &request).await
    };
    let listed = call("ListStreams", json!({})).await.json();
    assert_eq!(listed["Streams"][0]["StreamArn"], STREAM);
    assert_eq!(listed["Streams"][0]["StreamLabel"], "2026-01-01T00:00:00.000");
    let put = json!({ "TableName": TABLE, "Item": key("a") });
    assert_eq!(served.call("DynamoDB_20120810.PutItem", &put).await.status, 200);
    let described = call("DescribeStream", json!({ "StreamArn": STREAM })).await.json();
    let shard = &described["StreamDescription"]["Shards"][0];
    assert!(shard["SequenceNumberRange"]["StartingSequenceNumber"].is_string());
    assert_eq!(shard["SequenceNumberRange"]["EndingSequenceNumber"], Value::Null, "an open shard has no end");
    let of_shard = json!({ "StreamArn": STREAM, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON" });
    let iterator = call("GetShardIterator", of_shard).await.json()["ShardIterator"].clone();
    let records = call("GetRecords", json!({ "ShardIterator": iterator })).await.json();
    let record = &records["Records"][0];
    assert_eq!((&record["awsRegion"], &record["dynamodb"]["NewImage"]), (&json!(REGION), &key("a")));
    for (operation, request) in [
        ("DescribeStream", json!({ "StreamArn": format!("{STREAM}0") })),
        ("GetShardIterator", json!({ "StreamArn": STREAM, "ShardId": "none", "ShardIteratorType": "LATEST" })),
    ] {
        assert_eq!(call(operation, request).await.refusal(), (400, "ResourceNotFoundException".into()));
    }
    assert_eq!(call("Scan", json!({})).await.refusal(), (400, "UnknownOperationException".into()));
}
