//! Templates as a deployment reads them: what they come to, and every refusal with the path that it names.

use std::collections::BTreeMap;

use local_cloud::{
    Settings, TemplateError,
    stack::{Cron, Destination, IdentitySource, Stack, Target, Timing},
};
use serde_json::json;

fn stack(yaml: &str) -> Result<Stack, TemplateError> {
    Stack::from_template(yaml, &Settings::new("test-stack"))
}

#[track_caller]
fn refused(yaml: &str, parts: &[&str]) {
    let error = stack(yaml).expect_err(yaml).to_string();
    for part in parts {
        assert!(error.contains(part), "`{error}` does not say `{part}`");
    }
}

/// One resource's properties.
fn of(kind: &str, properties: &str) -> String {
    format!("Resources:\n  Thing:\n    Type: {kind}\n    Properties: {properties}\n")
}

/// A function with one event, beside a queue, a FIFO queue, a table with a stream and an API.
fn event(kind: &str, properties: &str) -> String {
    format!(
        "
Resources:
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Handler: worker
      Runtime: provided.al2023
      Timeout: 5
      Events:
        It:
          Type: {kind}
          Properties: {properties}
  Queue: {{ Type: AWS::SQS::Queue }}
  Fifo: {{ Type: AWS::SQS::Queue, Properties: {{ FifoQueue: true }} }}
  Short: {{ Type: AWS::SQS::Queue, Properties: {{ VisibilityTimeout: 29 }} }}
  Bucket: {{ Type: AWS::S3::Bucket }}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{{ AttributeName: pk, AttributeType: S }}]
      KeySchema: [{{ AttributeName: pk, KeyType: HASH }}]
      StreamSpecification: {{ StreamViewType: NEW_IMAGE }}
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Token
        Authorizers:
          Token:
            FunctionArn: !GetAtt Worker.Arn
            AuthorizerPayloadFormatVersion: '2.0'
            EnableSimpleResponses: true
            Identity: {{ Headers: [Authorization], ReauthorizeEvery: 60 }}
"
    )
}

const PROPERTIES: &str = "Resources.Thing.Properties";
const EVENT: &str = "Resources.Worker.Properties.Events.It.Properties";

#[test]
fn what_is_not_understood_is_refused_by_its_path() {
    let function = "AWS::Serverless::Function";
    for (yaml, path) in [
        ("Rules: {}\nResources: {}".to_owned(), "Rules"),
        ("Globals: { Api: {} }\nResources: {}".to_owned(), "Globals.Api"),
        ("Resources: { A: { Type: AWS::SNS::Topic } }".to_owned(), "Resources.A.Type"),
        ("Resources: { A: { Type: AWS::SQS::Queue, CreationPolicy: {} } }".to_owned(), "Resources.A.CreationPolicy"),
        ("Parameters: { P: { Type: 'AWS::EC2::VPC::Id', Default: a } }\nResources: {}".to_owned(), "Parameters.P.Type"),
        (of(function, "{ Handler: a, Runtime: nodejs24.x }"), "Resources.Thing.Properties.Runtime"),
        (of(function, "{ Handler: a, Runtime: provided.al2023, Layers: [a] }"), "Resources.Thing.Properties.Layers"),
        (of("AWS::SQS::Queue", "{ Colour: red }"), "Resources.Thing.Properties.Colour"),
        (
            of("AWS::S3::Bucket", "{ NotificationConfiguration: { QueueConfigurations: [] } }"),
            "NotificationConfiguration.QueueConfigurations",
        ),
        (
            of("AWS::Events::Rule", "{ EventPattern: { a: [b] }, Targets: [{ Id: a, Arn: b, InputPath: c }] }"),
            "Targets[0].InputPath",
        ),
        (event("Kinesis", "{}"), "Resources.Worker.Properties.Events.It.Type"),
        (event("SQS", "{ Queue: !GetAtt Queue.Arn, Colour: red }"), "Events.It.Properties.Colour"),
        (event("Schedule", "{ Schedule: at(2026-11-20T13:00:00) }"), "Events.It.Properties.Schedule"),
        (
            event("Schedule", "{ Schedule: rate(1 minute), DeadLetterConfig: {} }"),
            "Events.It.Properties.DeadLetterConfig",
        ),
        (event("EventBridgeRule", "{ Pattern: { a: [b] }, InputPath: a }"), "Events.It.Properties.InputPath"),
        (event("HttpApi", "{ ApiId: !Ref Api, Path: /a, Method: get, Stage: prod }"), "Events.It.Properties.Stage"),
        (
            event("HttpApi", "{ ApiId: !Ref Api, Path: /a, Method: get, Auth: { AuthorizationScopes: [a] } }"),
            "Auth.AuthorizationScopes",
        ),
        (
            event(
                "DynamoDB",
                "{ Stream: !GetAtt Table.StreamArn, StartingPosition: LATEST, TumblingWindowInSeconds: 5 }",
            ),
            "TumblingWindowInSeconds",
        ),
        (of("AWS::SQS::Queue", "{ QueueName: !ImportValue a }"), "Resources.Thing.Properties.QueueName"),
    ] {
        refused(&yaml, &[path, "is not understood here"]);
    }
}

/// One property that nobody knows at each level of a template.
#[test]
fn an_unknown_property_is_refused_by_its_path_at_each_level() {
    let function =
        |more: &str| of("AWS::Serverless::Function", &format!("{{ Handler: a, Runtime: provided.al2023, {more} }}"));
    let table = |more: &str| {
        let base = "BillingMode: PAY_PER_REQUEST, AttributeDefinitions: [{ AttributeName: a, AttributeType: S }]";
        of("AWS::DynamoDB::Table", &format!("{{ {base}, {more} }}"))
    };
    let keys = "KeySchema: [{ AttributeName: a, KeyType: HASH }]";
    let index = "IndexName: i, Projection: { ProjectionType: ALL }, KeySchema: [{ AttributeName: a, KeyType: HASH }]";
    let queue = |more: &str| of("AWS::SQS::Queue", &format!("{{ {more} }}"));
    let sqs = |more: &str| event("SQS", &format!("{{ Queue: !GetAtt Queue.Arn, {more} }}"));
    let stream = |more: &str| {
        event("DynamoDB", &format!("{{ Stream: !GetAtt Table.StreamArn, StartingPosition: LATEST, {more} }}"))
    };
    let rule = |more: &str| of("AWS::Events::Rule", &format!("{{ {more} }}"));
    for (yaml, path) in [
        (function("Colour: red"), format!("{PROPERTIES}.Colour")),
        (function("Environment: { Colour: red }"), format!("{PROPERTIES}.Environment.Colour")),
        (function("EventInvokeConfig: { Colour: red }"), format!("{PROPERTIES}.EventInvokeConfig.Colour")),
        (
            function("EventInvokeConfig: { DestinationConfig: { Colour: red } }"),
            format!("{PROPERTIES}.EventInvokeConfig.DestinationConfig.Colour"),
        ),
        (
            function("EventInvokeConfig: { DestinationConfig: { OnFailure: { Colour: red } } }"),
            format!("{PROPERTIES}.EventInvokeConfig.DestinationConfig.OnFailure.Colour"),
        ),
        (
            function("EventInvokeConfig: { DestinationConfig: { OnSuccess: { Type: SNS } } }"),
            format!("{PROPERTIES}.EventInvokeConfig.DestinationConfig.OnSuccess.Type"),
        ),
        (function("DeadLetterQueue: { Colour: red }"), format!("{PROPERTIES}.DeadLetterQueue.Colour")),
        (function("DeadLetterQueue: { Type: SNS, TargetArn: a }"), format!("{PROPERTIES}.DeadLetterQueue.Type")),
        (function("Events: { It: { Type: Schedule, Colour: red } }"), format!("{PROPERTIES}.Events.It.Colour")),
        (sqs("Colour: red"), format!("{EVENT}.Colour")),
        (sqs("ScalingConfig: { Colour: red }"), format!("{EVENT}.ScalingConfig.Colour")),
        (sqs("ProvisionedPollerConfig: {}"), format!("{EVENT}.ProvisionedPollerConfig")),
        (sqs("FilterCriteria: { Colour: red }"), format!("{EVENT}.FilterCriteria.Colour")),
        (
            sqs("FilterCriteria: { Filters: [{ Pattern: '{}', Colour: red }] }"),
            format!("{EVENT}.FilterCriteria.Filters[0].Colour"),
        ),
        (stream("Colour: red"), format!("{EVENT}.Colour")),
        (stream("TumblingWindowInSeconds: 5"), format!("{EVENT}.TumblingWindowInSeconds")),
        (stream("StartingPositionTimestamp: 5"), format!("{EVENT}.StartingPositionTimestamp")),
        (stream("DestinationConfig: { OnSuccess: {} }"), format!("{EVENT}.DestinationConfig.OnSuccess")),
        (
            stream("DestinationConfig: { OnFailure: { Destination: a, Colour: red } }"),
            format!("{EVENT}.DestinationConfig.OnFailure.Colour"),
        ),
        (
            stream("DestinationConfig: { OnFailure: { Destination: a, Type: SNS } }"),
            format!("{EVENT}.DestinationConfig.OnFailure.Type"),
        ),
        (event("Schedule", "{ Schedule: rate(1 minute), Colour: red }"), format!("{EVENT}.Colour")),
        (event("Schedule", "{ Schedule: rate(1 minute), RetryPolicy: {} }"), format!("{EVENT}.RetryPolicy")),
        (event("Schedule", "{ Schedule: rate(1 minute), DeadLetterConfig: {} }"), format!("{EVENT}.DeadLetterConfig")),
        (event("ScheduleV2", "{ ScheduleExpression: rate(1 minute), Colour: red }"), format!("{EVENT}.Colour")),
        (event("ScheduleV2", "{ ScheduleExpression: rate(1 minute), StartDate: a }"), format!("{EVENT}.StartDate")),
        (event("ScheduleV2", "{ ScheduleExpression: at(2026-11-20T13:00:00) }"), format!("{EVENT}.ScheduleExpression")),
        (
            event("ScheduleV2", "{ ScheduleExpression: rate(1 minute), ScheduleExpressionTimezone: Europe/Berlin }"),
            format!("{EVENT}.ScheduleExpressionTimezone"),
        ),
        (
            event("ScheduleV2", "{ ScheduleExpression: rate(1 minute), FlexibleTimeWindow: { Colour: red } }"),
            format!("{EVENT}.FlexibleTimeWindow.Colour"),
        ),
        (event("EventBridgeRule", "{ Pattern: { a: [b] }, Colour: red }"), format!("{EVENT}.Colour")),
        (event("EventBridgeRule", "{ Pattern: { a: [b] }, RetryPolicy: {} }"), format!("{EVENT}.RetryPolicy")),
        (
            event("EventBridgeRule", "{ Pattern: { a: [b] }, DeadLetterConfig: {} }"),
            format!("{EVENT}.DeadLetterConfig"),
        ),
        (queue("Colour: red"), format!("{PROPERTIES}.Colour")),
        (
            queue("RedrivePolicy: { deadLetterTargetArn: a, maxReceiveCount: 1, colour: red }"),
            format!("{PROPERTIES}.RedrivePolicy.colour"),
        ),
        (queue("RedriveAllowPolicy: { colour: red }"), format!("{PROPERTIES}.RedriveAllowPolicy.colour")),
        (table(&format!("{keys}, Colour: red")), format!("{PROPERTIES}.Colour")),
        (
            table("KeySchema: [{ AttributeName: a, KeyType: HASH, Colour: red }]"),
            format!("{PROPERTIES}.KeySchema[0].Colour"),
        ),
        (
            table(&format!("{keys}, GlobalSecondaryIndexes: [{{ {index}, Colour: red }}]")),
            format!("{PROPERTIES}.GlobalSecondaryIndexes[0].Colour"),
        ),
        (
            table(&format!("{keys}, StreamSpecification: {{ StreamViewType: NEW_IMAGE, Colour: red }}")),
            format!("{PROPERTIES}.StreamSpecification.Colour"),
        ),
        (
            table(&format!("{keys}, TimeToLiveSpecification: {{ Colour: red }}")),
            format!("{PROPERTIES}.TimeToLiveSpecification.Colour"),
        ),
        (of("AWS::S3::Bucket", "{ Colour: red }"), format!("{PROPERTIES}.Colour")),
        (
            of("AWS::S3::Bucket", "{ NotificationConfiguration: { EventBridgeConfiguration: { Colour: red } } }"),
            format!("{PROPERTIES}.NotificationConfiguration.EventBridgeConfiguration.Colour"),
        ),
        (rule("EventPattern: { a: [b] }, Colour: red"), format!("{PROPERTIES}.Colour")),
        (
            rule("EventPattern: { a: [b] }, Targets: [{ Id: a, Arn: b, DeadLetterConfig: {} }]"),
            format!("{PROPERTIES}.Targets[0].DeadLetterConfig"),
        ),
        (
            rule("EventPattern: { a: [b] }, Targets: [{ Id: a, Arn: b, RetryPolicy: {} }]"),
            format!("{PROPERTIES}.Targets[0].RetryPolicy"),
        ),
        (
            rule("ScheduleExpression: rate(1 minute), Targets: [{ Id: a, Arn: b, InputPath: c }]"),
            format!("{PROPERTIES}.Targets[0].InputPath"),
        ),
        (of("AWS::Events::EventBus", "{ Name: a, Colour: red }"), format!("{PROPERTIES}.Colour")),
    ] {
        refused(&yaml, &[&format!("{path}:"), "is not understood here"]);
    }
}

#[test]
fn asynchronous_invocations_have_their_settings() {
    let function = |more: &str| {
        event("EventBridgeRule", "{ Pattern: { a: [b] } }")
            .replace("Timeout: 5", &format!("Timeout: 5\n      {more}"))
            .replace("  Bucket:", "  Bus: { Type: AWS::Events::EventBus, Properties: { Name: mine } }\n  Bucket:")
    };
    assert!(stack(&function("MemorySize: 128")).unwrap().asynchronous.is_empty());
    let settings = |more: &str| stack(&function(more)).unwrap().asynchronous["Worker"].clone();
    let all = settings(
        "EventInvokeConfig: { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60, DestinationConfig: {
           OnSuccess: { Type: EventBridge, Destination: !GetAtt Bus.Arn },
           OnFailure: { Type: S3, Destination: !GetAtt Bucket.Arn } } }",
    );
    assert_eq!((all.maximum_retries, all.maximum_event_age_seconds, all.dead_letters), (0, 60, None));
    let bus = "arn:aws:events:eu-central-1:000000000000:event-bus/mine".to_owned();
    assert_eq!(all.on_success, Some(Destination::Bus(bus)));
    assert_eq!(all.on_failure, Some(Destination::Bucket("arn:aws:s3:::test-stack-bucket-000000000000".into())));
    let queue = "arn:aws:sqs:eu-central-1:000000000000:test-stack-Queue".to_owned();
    let others = settings(
        "EventInvokeConfig: { DestinationConfig: { OnSuccess: { Destination: !GetAtt Queue.Arn },
           OnFailure: { Type: Lambda, Destination: !GetAtt Worker.Arn } } }
      DeadLetterQueue: { Type: SQS, TargetArn: !GetAtt Queue.Arn }",
    );
    assert_eq!((others.maximum_retries, others.maximum_event_age_seconds), (2, 21_600));
    assert_eq!((others.on_success, others.dead_letters), (Some(Destination::Queue(queue.clone())), Some(queue)));
    assert_eq!(others.on_failure, Some(Destination::Function("Worker".into())));

    let path = "Resources.Worker.Properties";
    let on = |kind: &str, arn: &str| {
        function(&format!("EventInvokeConfig: {{ DestinationConfig: {{ {kind}: {{ Destination: {arn} }} }} }}"))
    };
    for (yaml, place, why) in [
        (
            function("EventInvokeConfig: { MaximumRetryAttempts: 3 }"),
            "EventInvokeConfig.MaximumRetryAttempts",
            "0 to 2",
        ),
        (
            function("EventInvokeConfig: { MaximumEventAgeInSeconds: 59 }"),
            "EventInvokeConfig.MaximumEventAgeInSeconds",
            "60 to 21600",
        ),
        (on("OnSuccess", "!GetAtt Bucket.Arn"), "DestinationConfig.OnSuccess.Destination", "failures only"),
        (on("OnFailure", "!GetAtt Fifo.Arn"), "DestinationConfig.OnFailure.Destination", "FIFO"),
        (on("OnFailure", "'arn:x'"), "DestinationConfig.OnFailure.Destination", "arn:x"),
        (function("DeadLetterQueue: { Type: SQS, TargetArn: !GetAtt Fifo.Arn }"), "DeadLetterQueue.TargetArn", "FIFO"),
    ] {
        refused(&yaml, &[path, place, why]);
    }
}

#[test]
fn a_cron_expression_is_read_with_the_template() {
    let cron = |expression: &str| {
        let yaml = event("Schedule", &format!("{{ Schedule: {expression} }}"));
        stack(&yaml).map(|stack| stack.schedules[0].timing.clone())
    };
    let read = cron("cron(0 10 * * ? *)").unwrap();
    assert_eq!(read, Timing::Cron(Cron::read("cron(0 10 * * ? *)").unwrap()));
    let refused = cron("cron(0 25 * * ? *)").unwrap_err().to_string();
    assert!(refused.starts_with(&format!("{EVENT}.Schedule:")) && refused.contains("hours: `25`"), "{refused}");
    let utc = "{ ScheduleExpression: cron(0 10 * * ? *), ScheduleExpressionTimezone: UTC }";
    assert!(stack(&event("ScheduleV2", utc)).is_ok());
}

/// "You can choose whether to allow all source queues, allow specific source queues, or deny all source queues." (SQS
/// Developer Guide, Amazon SQS dead-letter queues)
#[test]
fn a_dead_letter_queue_says_who_may_use_it() {
    let queues = |policy: &str| {
        format!(
            "
Resources:
  Work: {{ Type: AWS::SQS::Queue, Properties: {{ RedrivePolicy: {{ deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 1 }} }} }}
  Dead: {{ Type: AWS::SQS::Queue, Properties: {{ RedriveAllowPolicy: {policy} }} }}
"
        )
    };
    let mine = "arn:aws:sqs:eu-central-1:000000000000:test-stack-Work";
    for allowing in
        ["{ redrivePermission: allowAll }", &format!("{{ redrivePermission: byQueue, sourceQueueArns: ['{mine}'] }}")]
    {
        assert!(stack(&queues(allowing)).is_ok(), "{allowing}");
    }
    for denying in ["{ redrivePermission: denyAll }", "{ redrivePermission: byQueue, sourceQueueArns: ['arn:x'] }"] {
        refused(
            &queues(denying),
            &["Resources.Work.Properties.RedrivePolicy.deadLetterTargetArn", "does not let this queue use it"],
        );
    }
    for wrong in ["{ redrivePermission: byQueue }", "{ redrivePermission: denyAll, sourceQueueArns: ['arn:x'] }"] {
        refused(&queues(wrong), &["Resources.Dead.Properties.RedriveAllowPolicy.sourceQueueArns", "byQueue"]);
    }
}

#[test]
fn what_is_not_there_is_named() {
    for (yaml, path, name) in [
        (of("AWS::SQS::Queue", "{ QueueName: !Ref Nothing }"), format!("{PROPERTIES}.QueueName"), "`Nothing`"),
        (of("AWS::SQS::Queue", "{ QueueName: !Sub '${Nothing}' }"), format!("{PROPERTIES}.QueueName"), "`Nothing`"),
        (of("AWS::CloudWatch::Alarm", "{ Period: !GetAtt Thing.Colour }"), format!("{PROPERTIES}.Period"), "`Colour`"),
        (
            of("AWS::CloudWatch::Alarm", "{ Tags: [{ Value: !GetAtt Gone.Arn }] }"),
            format!("{PROPERTIES}.Tags[0].Value"),
            "`Gone`",
        ),
        (of("AWS::CloudWatch::Alarm", "{ Period: !If [Gone, 1, 2] }"), format!("{PROPERTIES}.Period"), "`Gone`"),
        (of("AWS::CloudWatch::Alarm", "{ Period: !FindInMap [A, B, C] }"), format!("{PROPERTIES}.Period"), "A.B.C"),
        (of("AWS::CloudWatch::Alarm", "{ Period: !Select [2, [a, b]] }"), format!("{PROPERTIES}.Period"), "at 2"),
        (
            of("AWS::SQS::Queue", "{ RedrivePolicy: { maxReceiveCount: 3, deadLetterTargetArn: 'arn:x' } }"),
            format!("{PROPERTIES}.RedrivePolicy.deadLetterTargetArn"),
            "arn:x",
        ),
        (event("SQS", "{ Queue: 'arn:x' }"), format!("{EVENT}.Queue"), "arn:x"),
        (event("DynamoDB", "{ Stream: 'arn:x', StartingPosition: LATEST }"), format!("{EVENT}.Stream"), "arn:x"),
        (event("EventBridgeRule", "{ Pattern: {}, EventBusName: other }"), format!("{EVENT}.EventBusName"), "`other`"),
        (event("HttpApi", "{ ApiId: other, Path: /a }"), format!("{EVENT}.ApiId"), "no HTTP API"),
        (
            event("HttpApi", "{ ApiId: !Ref Api, Path: /a, Auth: { Authorizer: Other } }"),
            format!("{EVENT}.Auth.Authorizer"),
            "`Other`",
        ),
        (
            event(
                "DynamoDB",
                "{ Stream: !GetAtt Table.StreamArn, StartingPosition: LATEST, DestinationConfig: { OnFailure: { Destination: 'arn:x' } } }",
            ),
            format!("{EVENT}.DestinationConfig.OnFailure.Destination"),
            "arn:x",
        ),
        ("Resources: {}\nOutputs: { A: { Value: !Ref Gone } }".to_owned(), "Outputs.A.Value".to_owned(), "`Gone`"),
        ("Conditions: { A: !Not [!Condition B] }\nResources: {}".to_owned(), "Conditions.A".to_owned(), "`B`"),
        (
            "Resources: { A: { Type: AWS::SQS::Queue, Condition: B } }".to_owned(),
            "Resources.A.Condition".to_owned(),
            "`B`",
        ),
    ] {
        refused(&yaml, &[&path, name]);
    }
}

#[test]
fn what_aws_would_refuse_is_refused() {
    let fifo = "AWS::SQS::Queue";
    for (yaml, path, why) in [
        (event("SQS", "{ Queue: !GetAtt Short.Arn }"), format!("{EVENT}.Queue"), "needs six times that, 30"),
        (event("SQS", "{ Queue: !GetAtt Fifo.Arn, BatchSize: 11 }"), format!("{EVENT}.BatchSize"), "more than 10"),
        (
            event("SQS", "{ Queue: !GetAtt Fifo.Arn, MaximumBatchingWindowInSeconds: 1 }"),
            format!("{EVENT}.MaximumBatchingWindowInSeconds"),
            "FIFO",
        ),
        (
            event("SQS", "{ Queue: !GetAtt Queue.Arn, BatchSize: 11 }"),
            format!("{EVENT}.BatchSize"),
            "MaximumBatchingWindowInSeconds",
        ),
        (
            event("SQS", "{ Queue: !GetAtt Queue.Arn, FunctionResponseTypes: [Other] }"),
            format!("{EVENT}.FunctionResponseTypes"),
            "`Other`",
        ),
        (
            event("SQS", "{ Queue: !GetAtt Queue.Arn, FilterCriteria: { Filters: [{ Pattern: '{' }] } }"),
            format!("{EVENT}.FilterCriteria.Filters[0].Pattern"),
            "is not JSON",
        ),
        (
            event("SQS", "{ Queue: !GetAtt Queue.Arn, BatchSize: many }"),
            format!("{EVENT}.BatchSize"),
            "whole number, not `many`",
        ),
        (event("DynamoDB", "{ Stream: !GetAtt Table.StreamArn }"), format!("{EVENT}.StartingPosition"), "is required"),
        (
            event(
                "DynamoDB",
                "{ Stream: !GetAtt Table.StreamArn, StartingPosition: LATEST, ParallelizationFactor: 11 }",
            ),
            format!("{EVENT}.ParallelizationFactor"),
            "from 1 to 10",
        ),
        (event("Schedule", "{ Schedule: rate(5 minute) }"), format!("{EVENT}.Schedule"), "is not a rate"),
        (event("Schedule", "{ Schedule: rate(0 minutes) }"), format!("{EVENT}.Schedule"), "is not a rate"),
        (event("HttpApi", "{ ApiId: !Ref Api, Path: 'a' }"), format!("{EVENT}.Path"), "begin with `/`"),
        (event("HttpApi", "{ ApiId: !Ref Api, Path: '/{a+}/b' }"), format!("{EVENT}.Path"), "greedy"),
        (event("HttpApi", "{ ApiId: !Ref Api, Path: '/x{a}' }"), format!("{EVENT}.Path"), "whole segment"),
        (event("HttpApi", "{ ApiId: !Ref Api, Path: '/a', Method: FETCH }"), format!("{EVENT}.Method"), "`FETCH`"),
        (of(fifo, "{ FifoQueue: true, QueueName: thing }"), format!("{PROPERTIES}.QueueName"), ".fifo"),
        (of(fifo, "{ QueueName: thing.fifo }"), format!("{PROPERTIES}.QueueName"), ".fifo"),
        (of(fifo, "{ DeduplicationScope: queue }"), format!("{PROPERTIES}.DeduplicationScope"), "FIFO"),
        (of(fifo, "{ VisibilityTimeout: 43201 }"), format!("{PROPERTIES}.VisibilityTimeout"), "from 0 to 43200"),
        (of(fifo, "{ QueueName: !Ref Thing }"), "Resources.Thing".to_owned(), "depends on itself"),
        (
            of("AWS::Serverless::Function", "{ Runtime: provided.al2023 }"),
            format!("{PROPERTIES}.Handler"),
            "is required",
        ),
        (of("AWS::DynamoDB::Table", "{ TableName: short }"), format!("{PROPERTIES}.TableName"), "shorter than 11"),
        (of("AWS::DynamoDB::Table", "{}"), format!("{PROPERTIES}.KeySchema"), "is required"),
        (
            of(
                "AWS::DynamoDB::Table",
                "{ KeySchema: [{ AttributeName: a, KeyType: HASH }], BillingMode: PAY_PER_REQUEST }",
            ),
            format!("{PROPERTIES}.AttributeDefinitions"),
            "`a` is not defined",
        ),
        (
            of("AWS::SQS::Queue", "{ QueueName: { Ref: A, B: c } }"),
            format!("{PROPERTIES}.QueueName"),
            "beside other keys",
        ),
        (of("AWS::SQS::Queue", "[]"), PROPERTIES.to_owned(), "wants a map"),
        ("Resources: { A: 1 }".to_owned(), "Resources.A".to_owned(), "wants a map"),
        (
            "Conditions: { A: !Condition B, B: !Condition A }\nResources: {}".to_owned(),
            "Conditions.".to_owned(),
            "depends on itself",
        ),
    ] {
        refused(&yaml, &[&path, why]);
    }
    let kinds = "
Resources:
  Fifo:
    Type: AWS::SQS::Queue
    Properties: { FifoQueue: true, RedrivePolicy: { deadLetterTargetArn: !GetAtt Plain.Arn, maxReceiveCount: 2 } }
  Plain: { Type: AWS::SQS::Queue }
";
    refused(kinds, &["Resources.Fifo.Properties.RedrivePolicy.deadLetterTargetArn", "test-stack-Plain", "other kind"]);
    let names = "
Resources:
  A: { Type: AWS::SQS::Queue, Properties: { QueueName: one } }
  B: { Type: AWS::SQS::Queue, Properties: { QueueName: one } }
";
    refused(names, &["Resources.B", "`one`", "`A`"]);
    let routes = event("HttpApi", "{ ApiId: !Ref Api, Path: '/a/{b}', Method: get }").replace(
        "  Queue: {",
        "  Other:
    Type: AWS::Serverless::Function
    Properties:
      Handler: other
      Runtime: provided.al2023
      Events: { Same: { Type: HttpApi, Properties: { ApiId: !Ref Api, Path: '/a/{c}', Method: GET } } }
  Queue: {",
    );
    refused(&routes, &["Resources.Other.Properties.Events.Same.Properties.Path", "`/a/{b}`", "`Worker`"]);
}

#[test]
fn parameters_are_held_to_their_rules() {
    let yaml = "
Parameters:
  Word: { Type: String, Default: red, AllowedValues: [red, green] }
  Code: { Type: String, Default: ABC, AllowedPattern: '[A-Z]{3}' }
  Count: { Type: Number, Default: 2, MinValue: 1, MaxValue: 3 }
  Short: { Type: String, Default: ab, MinLength: 2, MaxLength: 3 }
  Many: { Type: CommaDelimitedList, Default: 'a, b' }
Resources:
  Queue: { Type: AWS::SQS::Queue, Properties: { QueueName: !Sub '${Word}-${Code}-${Count}', DelaySeconds: !Ref Count } }
  Other: { Type: AWS::SQS::Queue, Properties: { QueueName: !Join ['-', !Ref Many] } }
";
    let with = |name: &str, value: &str| {
        let mut settings = Settings::new("test-stack");
        settings.parameters = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        Stack::from_template(yaml, &settings)
    };
    let stack = with("Word", "green").unwrap();
    assert_eq!((stack.queues[0].name.as_str(), stack.queues[0].delay_seconds), ("green-ABC-2", 2));
    assert_eq!(stack.queues[1].name, "a-b");
    for (name, value, why) in [
        ("Word", "blue", "none of the allowed values `red`, `green`"),
        ("Code", "ABCD", "does not match `[A-Z]{3}`"),
        ("Count", "0", "less than its `MinValue`"),
        ("Count", "4", "more than its `MaxValue`"),
        ("Count", "two", "is not a number"),
        ("Short", "a", "shorter than 2"),
        ("Short", "abcd", "longer than 3"),
        ("Wrod", "red", "no such parameter"),
    ] {
        let error = with(name, value).unwrap_err().to_string();
        assert!(error.starts_with(&format!("Parameters.{name}")) && error.contains(why), "{error}");
    }
    refused("Parameters: { P: { Type: String } }\nResources: {}", &["Parameters.P", "no default"]);
}

#[test]
fn conditions_mappings_and_intrinsics_come_to_plain_values() {
    let yaml = "
Parameters: { Size: { Type: String, Default: large } }
Mappings: { Sizes: { large: { delay: 7 } } }
Conditions:
  IsLarge: !Equals [!Ref Size, large]
  IsNot: !Not [!Condition IsLarge]
  Both: !And [!Condition IsLarge, !Or [!Condition IsNot, !Condition IsLarge]]
Resources:
  Gone: { Type: AWS::SQS::Queue, Condition: IsNot }
  Queue:
    Type: AWS::SQS::Queue
    Condition: Both
    Properties:
      QueueName: !Select [1, !Split ['/', !Sub ['x/${a}-${AWS::Region}/${!y}', { a: !Ref Size }]]]
      DelaySeconds: !FindInMap [Sizes, !Ref Size, delay]
      VisibilityTimeout: !If [IsNot, 1, !Ref AWS::NoValue]
";
    let stack = stack(yaml).unwrap();
    let [queue] = stack.queues.as_slice() else { panic!("one queue") };
    assert_eq!((queue.name.as_str(), queue.delay_seconds, queue.visibility_seconds), ("large-eu-central-1", 7, 30));
    assert_eq!((queue.retention_seconds, queue.maximum_message_bytes), (345_600, 1_048_576));
    assert_eq!(queue.url, "https://sqs.eu-central-1.amazonaws.com/000000000000/large-eu-central-1");
    assert_eq!(queue.arn, "arn:aws:sqs:eu-central-1:000000000000:large-eu-central-1");
    refused(
        "Conditions: { No: !Equals [a, b] }
Resources: { A: { Type: AWS::SQS::Queue, Condition: No }, B: { Type: AWS::SQS::Queue, Properties: { Tags: [!Ref A] } } }",
        &["Resources.B.Properties.Tags[0]", "`A` is not created"],
    );
}

#[test]
fn each_kind_of_event_comes_to_what_the_services_read() {
    let stack_of = |kind: &str, properties: &str| stack(&event(kind, properties)).unwrap();

    let mapping =
        &stack_of("SQS", "{ Queue: !GetAtt Queue.Arn, ScalingConfig: { MaximumConcurrency: 2 } }").queue_mappings[0];
    assert_eq!((mapping.function.as_str(), mapping.batch_size, mapping.max_concurrency), ("Worker", 10, Some(2)));
    assert!(mapping.enabled && !mapping.reports_item_failures);

    let mapping = &stack_of(
        "DynamoDB",
        "{ Stream: !GetAtt Table.StreamArn, StartingPosition: TRIM_HORIZON, MaximumRetryAttempts: -1,
           FilterCriteria: { Filters: [{ Pattern: '{\"dynamodb\": {}}' }] },
           DestinationConfig: { OnFailure: { Type: S3, Destination: !GetAtt Bucket.Arn } } }",
    )
    .stream_mappings[0];
    assert_eq!((mapping.batch_size, mapping.maximum_retries, mapping.parallelization_factor), (100, None, 1));
    assert_eq!(mapping.filters, [json!({"dynamodb": {}})]);
    assert_eq!(mapping.on_failure.as_deref(), Some("arn:aws:s3:::test-stack-bucket-000000000000"));
    assert!(
        mapping.stream_arn.starts_with("arn:aws:dynamodb:eu-central-1:000000000000:table/test-stack-Table/stream/")
    );

    let schedule =
        &stack_of("Schedule", "{ Schedule: rate(2 hours), Input: '{\"a\":1}', State: DISABLED }").schedules[0];
    assert_eq!(
        (&schedule.timing, schedule.enabled, &schedule.input),
        (&Timing::EverySeconds(7_200), false, &Some(json!({"a": 1})))
    );
    assert_eq!(schedule.arn, "arn:aws:events:eu-central-1:000000000000:rule/test-stack-WorkerIt");

    let schedule = &stack_of("ScheduleV2", "{ ScheduleExpression: rate(1 day) }").schedules[0];
    assert_eq!(schedule.arn, "arn:aws:scheduler:eu-central-1:000000000000:schedule/default/test-stack-WorkerIt");

    let rule = &stack_of("EventBridgeRule", "{ Pattern: { source: [a, !Ref Bucket] } }").rules[0];
    assert_eq!(
        (rule.bus.as_str(), &rule.pattern),
        ("default", &json!({"source": ["a", "test-stack-bucket-000000000000"]}))
    );
    assert!(matches!(rule.targets.as_slice(), [Target::Function(function)] if function == "Worker"));

    let api = stack_of("HttpApi", "{ ApiId: !Ref Api, Method: get, Path: '/a/{b}' }").api.unwrap();
    assert_eq!((api.routes[0].method.as_str(), api.routes[0].authorizer.as_deref()), ("GET", Some("Token")));
    assert_eq!(api.authorizers["Token"].identity, [IdentitySource::Header("authorization".to_owned())]);
    let api = stack_of("HttpApi", "{ ApiId: !Ref Api, Auth: { Authorizer: NONE } }").api.unwrap();
    assert_eq!((api.routes[0].method.as_str(), api.routes[0].path.as_str()), ("ANY", "$default"));
    assert_eq!(api.routes[0].authorizer, None);
}

#[test]
fn rules_of_their_own_have_functions_and_queues_as_targets() {
    let yaml = "
Resources:
  Worker: { Type: AWS::Serverless::Function, Properties: { Handler: worker, Runtime: provided.al2023 } }
  Fifo: { Type: AWS::SQS::Queue, Properties: { FifoQueue: true } }
  Bus: { Type: AWS::Events::EventBus, Properties: { Name: mine } }
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !GetAtt Bus.Arn
      EventPattern: { detail-type: [x] }
      Targets:
        - { Id: a, Arn: !GetAtt Worker.Arn }
        - { Id: b, Arn: !GetAtt Fifo.Arn, SqsParameters: { MessageGroupId: g } }
        - { Id: c, Arn: !GetAtt Fifo.Arn, SqsParameters: { MessageGroupId: g }, InputPath: $.detail }
  Tick:
    Type: AWS::Events::Rule
    Properties: { ScheduleExpression: rate(5 minutes), Targets: [{ Id: a, Arn: !GetAtt Worker.Arn }] }
";
    let stack = stack(yaml).unwrap();
    let rule = &stack.rules[0];
    assert_eq!(
        (rule.bus.as_str(), rule.arn.as_str()),
        ("mine", "arn:aws:events:eu-central-1:000000000000:rule/mine/test-stack-Rule")
    );
    for (target, only) in rule.targets[1..].iter().zip([false, true]) {
        let Target::Queue { message_group: Some(group), detail_only, .. } = target else { panic!("{target:?}") };
        assert_eq!((group.as_str(), *detail_only), ("g", only));
    }
    assert_eq!(
        (stack.schedules[0].function.as_str(), &stack.schedules[0].timing),
        ("Worker", &Timing::EverySeconds(300))
    );
    assert_eq!(stack.buses, ["mine"]);
}

/// This one reads the template that the workspace deploys, and holds what the local cloud makes of it.
#[test]
fn the_deployed_template_comes_to_its_functions_queues_mappings_and_routes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
    let stack = stack(&std::fs::read_to_string(path).unwrap()).unwrap();

    assert!(stack.functions.iter().all(|function| !function.handler.is_empty()));
    let relay = stack.function("Relay").unwrap();
    assert_eq!((relay.name.as_str(), relay.handler.as_str(), relay.timeout_seconds), ("test-stack-Relay", "relay", 30));
    assert_eq!(relay.environment["TABLE_NAME"], "test-stack-table");
    assert_eq!(relay.environment["ORDER_UPDATES_URL"], stack.queues[0].url);
    assert_eq!(relay.environment["BUS_NAME"], "test-stack-events");
    assert_eq!(relay.environment["AWS_ENDPOINT_URL"], "");

    let table = &stack.tables[0];
    assert_eq!(table.create["StreamSpecification"], json!({"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"}));
    assert_eq!(table.ttl_attribute.as_deref(), Some("forget_at"));
    assert_eq!(table.create["GlobalSecondaryIndexes"][0]["IndexName"], "by_owner");
    let stream = &stack.stream_mappings[0];
    assert_eq!((stream.function.as_str(), Some(&stream.stream_arn)), ("Relay", table.stream_arn.as_ref()));
    assert_eq!(stream.on_failure.as_ref(), Some(&stack.buckets[0].arn));
    assert!(stream.bisects_on_error && stream.reports_item_failures && stack.buckets[0].tells_event_bridge);

    assert!(stack.queues.iter().all(|queue| queue.fifo == queue.name.ends_with(".fifo")));
    let redrives = stack.queues.iter().filter_map(|queue| queue.redrive.as_ref());
    assert!(redrives.into_iter().all(|redrive| stack.queue_by_arn(&redrive.dead_letter_arn).is_some()));
    let mappings: Vec<&str> = stack.queue_mappings.iter().map(|mapping| mapping.function.as_str()).collect();
    assert!(
        ["AdvanceOrders", "Notify", "DeliverWebhook", "TakeInventory", "Recover"]
            .iter()
            .all(|function| mappings.contains(function)),
        "{mappings:?}"
    );
    assert!(
        stack
            .schedules
            .iter()
            .any(|schedule| schedule.function == "Sweep" && schedule.timing == Timing::EverySeconds(60))
    );
    let buckets = json!([stack.buckets[0].name]);
    assert!(stack.rules.iter().any(|rule| rule.pattern["detail"]["bucket"]["name"] == buckets));
    let inventory = stack.rules.iter().find(|rule| rule.pattern["source"] == json!(["inventory"])).unwrap();
    assert_eq!(inventory.bus, "test-stack-events");

    let api = stack.api.as_ref().unwrap();
    let route = |method: &str, path: &str| {
        api.routes
            .iter()
            .find(|route| route.method == method && route.path == path)
            .map(|route| route.function.as_str())
    };
    assert_eq!(route("POST", "/orders"), Some("PlaceOrder"));
    assert_eq!(route("DELETE", "/webhook"), Some("DeleteWebhook"));
    assert_eq!(route("GET", "/orders/{id}/timeline"), Some("GetTimeline"));
    assert_eq!(api.default_authorizer.as_deref(), Some("Token"));
    assert_eq!(
        (api.authorizers["Token"].function.as_str(), api.authorizers["Token"].cache_seconds),
        ("Authorize", 300)
    );
}
