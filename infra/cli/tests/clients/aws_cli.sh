#!/usr/bin/env bash
# Talks to the AWS port of a running `paidonce serve` as one does with the AWS CLI, and says what does not hold.
#
#     aws_cli.sh AWS_ENDPOINT
#
# `aws` is what the PATH has; `run` in this directory brings one and starts a server with a few more resources than the
# template has. The last line counts the checks; the exit code is 1 if one failed.
set -uo pipefail

endpoint=$1
export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=key AWS_DEFAULT_REGION=eu-central-1 AWS_MAX_ATTEMPTS=1 AWS_PAGER=
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL
table=paidonce-table
bucket=client-scratch
run=$$-$RANDOM
files=$(mktemp -d)
trap 'rm -r "$files"' EXIT
held=0
failed=0

a() { aws --endpoint-url "$endpoint" --output text "$@" 2>&1; }

# holds WHAT EXPECTED FOUND: they are equal.
holds() {
    if [ "$2" = "$3" ]; then
        held=$((held + 1))
        printf 'ok      %s\n' "$1"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n        expected: %s\n        found:    %s\n' "$1" "$2" "$3"
    fi
}

# says WHAT PART FOUND: the part is in it.
says() {
    case "$3" in
        *"$2"*) holds "$1" "$2" "$2" ;;
        *) holds "$1" "… $2 …" "$3" ;;
    esac
}

# DynamoDB
holds 'tables are listed' "$table" "$(a dynamodb list-tables --query 'TableNames')"
holds 'a table is described' 'ACTIVE' "$(a dynamodb describe-table --table-name $table --query 'Table.TableStatus')"
key="{\"pk\": {\"S\": \"cli#$run\"}, \"sk\": {\"S\": \"item\"}}"
item="{\"pk\": {\"S\": \"cli#$run\"}, \"sk\": {\"S\": \"item\"}, \"said\": {\"S\": \"Grüße\"}, \"n\": {\"N\": \"1500.99\"}}"
holds 'an item goes in' '' "$(a dynamodb put-item --table-name $table --item "$item")"
holds 'and comes out' 'Grüße	1500.99' \
    "$(a dynamodb get-item --table-name $table --key "$key" --query 'Item.[said.S, n.N]')"
holds 'a query finds it' '1' \
    "$(a dynamodb query --table-name $table --key-condition-expression 'pk = :p' \
        --expression-attribute-values "{\":p\": {\"S\": \"cli#$run\"}}" --query Count)"
for number in 1 2 3 4 5; do
    a dynamodb put-item --table-name $table \
        --item "{\"pk\": {\"S\": \"cli#$run\"}, \"sk\": {\"S\": \"page-$number\"}}" >/dev/null
done
holds 'a scan goes over all pages by itself' '6' \
    "$(a --output json dynamodb scan --table-name $table --page-size 2 --filter-expression 'pk = :p' \
        --expression-attribute-values "{\":p\": {\"S\": \"cli#$run\"}}" --query 'length(Items)')"
says 'a refused condition is named' 'ConditionalCheckFailedException' \
    "$(a dynamodb put-item --table-name $table --item "$item" --condition-expression 'attribute_not_exists(pk)')"
says 'a table that is not there is named' 'ResourceNotFoundException' \
    "$(a --output json dynamodb scan --table-name no-such-table)"
says 'a key of another kind is a validation error' 'The provided key element does not match the schema' \
    "$(a dynamodb get-item --table-name $table --key '{"pk": {"N": "1"}}')"
holds 'an item is deleted' '' "$(a dynamodb delete-item --table-name $table --key "$key")"

# DynamoDB Streams
arn=$(a dynamodbstreams list-streams --query 'Streams[0].StreamArn')
says 'streams are listed' "table/$table/stream/" "$arn"
shard=$(a dynamodbstreams describe-stream --stream-arn "$arn" --query 'StreamDescription.Shards[0].ShardId')
# What every mapping has read is forgotten once a minute, which may come between the write and the look.
for attempt in 1 2 3; do
    iterator=$(a dynamodbstreams get-shard-iterator --stream-arn "$arn" --shard-id "$shard" \
        --shard-iterator-type LATEST --query ShardIterator)
    a dynamodb put-item --table-name $table \
        --item "{\"pk\": {\"S\": \"cli#$run\"}, \"sk\": {\"S\": \"streamed-$attempt\"}}" >/dev/null
    streamed=$(a dynamodbstreams get-records --shard-iterator "$iterator" \
        --query "Records[?dynamodb.Keys.sk.S == 'streamed-$attempt'].eventName")
    [ "$streamed" = INSERT ] && break
done
holds 'records are read' 'INSERT' "$streamed"
says 'a shard iterator that is none is refused' 'ValidationException' \
    "$(a dynamodbstreams get-records --shard-iterator none)"

# SQS
url=$(a sqs get-queue-url --queue-name client-scratch)
holds 'a queue URL leads back here' "$endpoint/000000000000/client-scratch" "$url"
holds 'queues are listed' "$url	$url.fifo" "$(a sqs list-queues --queue-name-prefix client- --query QueueUrls)"
a sqs purge-queue --queue-url "$url" >/dev/null
holds 'a message is sent' "$(printf 'hello %s' "$run" | md5sum | cut -d ' ' -f 1)" \
    "$(a sqs send-message --queue-url "$url" --message-body "hello $run" --query MD5OfMessageBody)"
holds 'its queue counts it' '1' \
    "$(a sqs get-queue-attributes --queue-url "$url" --attribute-names All \
        --query 'Attributes.ApproximateNumberOfMessages')"
received=$(a sqs receive-message --queue-url "$url" --attribute-names All --wait-time-seconds 5 \
    --query 'Messages[0].[ReceiptHandle, Attributes.ApproximateReceiveCount, Body]')
holds 'and is received' "1	hello $run" "$(cut -f 2- <<<"$received")"
holds 'and deleted' '' "$(a sqs delete-message --queue-url "$url" --receipt-handle "$(cut -f 1 <<<"$received")")"
holds 'and gone' 'None' "$(a sqs receive-message --queue-url "$url" --query Messages)"
says 'a queue that is not there is named' 'NonExistentQueue' "$(a sqs get-queue-url --queue-name none)"
says 'an attribute that is none is named' 'InvalidAttributeName' \
    "$(a sqs get-queue-attributes --queue-url "$url" --attribute-names Colour)"

# EventBridge
holds 'buses are listed' 'default	paidonce-events' "$(a events list-event-buses --query 'EventBuses[].Name')"
says 'a bus is described' ':event-bus/paidonce-events' "$(a events describe-event-bus --name paidonce-events --query Arn)"
holds 'rules are listed' 'rate(1 minute)' \
    "$(a events list-rules --name-prefix paidonce-SweepEveryMinute --query 'Rules[0].ScheduleExpression')"
holds 'events are taken' '0' \
    "$(a events put-events --query FailedEntryCount --entries \
        '[{"Source": "cli", "DetailType": "tried", "Detail": "{}", "EventBusName": "paidonce-events"}]')"
holds 'or refused one by one' 'MalformedDetail' \
    "$(a events put-events --query 'Entries[0].ErrorCode' --entries \
        '[{"Source": "cli", "DetailType": "tried", "Detail": "no", "EventBusName": "paidonce-events"}]')"

# S3
printf 'Grüße\n' >"$files/up.txt"
says 'a file is uploaded' 'upload:' "$(a s3 cp --no-progress "$files/up.txt" "s3://$bucket/cli/$run/a folder/up.txt")"
says 'and listed' 'up.txt' "$(a s3 ls "s3://$bucket/cli/$run/a folder/")"
holds 'folders are listed' "                           PRE $run/" "$(a s3 ls "s3://$bucket/cli/$run")"
says 'and downloaded' 'download:' \
    "$(a s3 cp --no-progress "s3://$bucket/cli/$run/a folder/up.txt" "$files/down.txt")"
holds 'byte for byte' '' "$(cmp "$files/up.txt" "$files/down.txt" 2>&1)"
holds 'a pipe is uploaded' '' "$(printf piped | a s3 cp - "s3://$bucket/cli/$run/piped")"
holds 'and read' 'piped' "$(a s3 cp "s3://$bucket/cli/$run/piped" -)"
holds 'an object is put' "\"$(md5sum <"$files/up.txt" | cut -d ' ' -f 1)\"" \
    "$(a s3api put-object --bucket $bucket --key "cli/$run/put" --body "$files/up.txt" --query ETag)"
holds 'and got' '8' \
    "$(a s3api get-object --bucket $bucket --key "cli/$run/put" --checksum-mode ENABLED "$files/got" --query ContentLength)"
holds 'objects are listed' '3' \
    "$(a --output json s3api list-objects-v2 --bucket $bucket --prefix "cli/$run/" --page-size 1 --query 'length(Contents)')"
holds 'one is deleted' '' "$(a s3api delete-object --bucket $bucket --key "cli/$run/put")"
says 'the rest is removed' 'delete:' "$(a s3 rm --recursive "s3://$bucket/cli/$run/")"
holds 'nothing is left' '' "$(a s3 ls --recursive "s3://$bucket/cli/$run/")"
says 'an object that is not there is named' 'NoSuchKey' \
    "$(a s3api get-object --bucket $bucket --key none "$files/none")"
says 'a bucket that is not there is named' 'NoSuchBucket' "$(a s3 ls s3://no-such-bucket)"

# Lambda, STS, and what is not here
says 'functions are listed' 'paidonce-Sweep' "$(a lambda list-functions --query 'Functions[].FunctionName')"
holds 'a function is invoked' '200' \
    "$(a lambda invoke --function-name paidonce-Sweep --payload '{}' "$files/swept" --query StatusCode)"
holds 'one that fails says so' 'Unhandled' \
    "$(a lambda invoke --function-name paidonce-GetAccount --payload '{}' "$files/failed" --query FunctionError)"
says 'and why' 'errorMessage' "$(cat "$files/failed")"
holds 'one is invoked and not waited for' '202' \
    "$(a lambda invoke --function-name paidonce-Sweep --invocation-type Event --payload '{}' "$files/none" \
        --query StatusCode)"
holds 'the caller is known' '000000000000' "$(a sts get-caller-identity --query Account)"
says 'a service that is not here says which are' 'what is: DynamoDB' "$(a sns list-topics)"

printf '%s: %d of %d checks hold\n' "$(aws --version 2>&1 | cut -d ' ' -f 1)" "$held" "$((held + failed))"
[ "$failed" = 0 ]
