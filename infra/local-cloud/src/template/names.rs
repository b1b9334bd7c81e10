//! What each resource is called once it is deployed: physical names, ARNs, URLs, and what `Ref` and `GetAtt` give.
//!
//! Where a template gives no name, AWS makes one up with a random end; here it is the stack's and the logical id, so
//! that the next start finds the same queue and the same table.

use data_encoding::BASE32_NOPAD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Result, Settings, TemplateError,
    fields::{join, scalar},
    resolve::Scope,
    sam::Resource,
};

/// The resource types that this crate knows, each with the property that names it.
pub(super) const TYPES: &[(&str, Option<&str>)] = &[
    ("AWS::CloudWatch::Alarm", Some("AlarmName")),
    ("AWS::DynamoDB::Table", Some("TableName")),
    ("AWS::Events::EventBus", Some("Name")),
    ("AWS::Events::Rule", Some("Name")),
    ("AWS::IAM::ManagedPolicy", Some("ManagedPolicyName")),
    ("AWS::IAM::Policy", Some("PolicyName")),
    ("AWS::IAM::Role", Some("RoleName")),
    ("AWS::Lambda::Permission", None),
    ("AWS::Logs::LogGroup", Some("LogGroupName")),
    ("AWS::S3::Bucket", Some("BucketName")),
    ("AWS::SQS::Queue", Some("QueueName")),
    ("AWS::SQS::QueuePolicy", None),
    ("AWS::Serverless::Function", Some("FunctionName")),
    ("AWS::Serverless::HttpApi", None),
];

pub(super) const DEFAULT_BUS: &str = "default";

pub(super) struct Identity {
    pub(super) reference: String,
    pub(super) attributes: Vec<(&'static str, String)>,
}

pub(super) fn identity(scope: &Scope<'_>, resource: &Resource) -> Result<Identity> {
    let settings = scope.settings;
    let name = physical_name(scope, resource)?;
    let arn = |service: &str, rest: String| ("Arn", arn(settings, service, &rest));
    let suffix = url_suffix(&settings.region);
    let (reference, attributes) = match resource.kind.as_str() {
        "AWS::Serverless::Function" => {
            let arn = ("Arn", function_arn(settings, &name));
            (name, vec![arn])
        }
        "AWS::Serverless::HttpApi" => {
            let id = api_id(settings, &resource.id);
            let endpoint = format!("https://{id}.execute-api.{}.{suffix}", settings.region);
            (id, vec![("ApiEndpoint", endpoint)])
        }
        "AWS::DynamoDB::Table" => {
            let arn = table_arn(settings, &name);
            let mut attributes = vec![("Arn", arn.clone())];
            if resource.properties.get("StreamSpecification").is_some_and(|stream| !stream.is_null()) {
                attributes.push(("StreamArn", stream_arn(&arn)));
            }
            (name, attributes)
        }
        "AWS::SQS::Queue" => {
            let url = queue_url(settings, &name);
            (url.clone(), vec![("Arn", queue_arn(settings, &name)), ("QueueName", name), ("QueueUrl", url)])
        }
        "AWS::Events::EventBus" => (name.clone(), vec![arn("events", format!("event-bus/{name}")), ("Name", name)]),
        "AWS::Events::Rule" => {
            let bus = match resource.properties.get("EventBusName") {
                Some(bus) => scope.resolve(bus, &join(&resource.properties_path(), "EventBusName"))?,
                None => None,
            };
            let bus = bus.as_ref().and_then(scalar).unwrap_or_else(|| DEFAULT_BUS.to_owned());
            (name.clone(), vec![("Arn", rule_arn(settings, bus_name(&bus), &name))])
        }
        "AWS::S3::Bucket" => {
            let attributes = vec![
                ("Arn", bucket_arn(settings, &name)),
                ("DomainName", format!("{name}.s3.{suffix}")),
                ("RegionalDomainName", format!("{name}.s3.{}.{suffix}", settings.region)),
            ];
            (name, attributes)
        }
        "AWS::CloudWatch::Alarm" => (name.clone(), vec![arn("cloudwatch", format!("alarm:{name}"))]),
        "AWS::Logs::LogGroup" => (name.clone(), vec![arn("logs", format!("log-group:{name}:*"))]),
        "AWS::IAM::Role" => {
            let arn = format!("arn:{}:iam::{}:role/{name}", partition(&settings.region), settings.account);
            (name, vec![("Arn", arn)])
        }
        "AWS::IAM::ManagedPolicy" => {
            let arn = format!("arn:{}:iam::{}:policy/{name}", partition(&settings.region), settings.account);
            (arn.clone(), vec![("PolicyArn", arn)])
        }
        _ => (name, Vec::new()),
    };
    Ok(Identity { reference, attributes })
}

pub(super) fn physical_name(scope: &Scope<'_>, resource: &Resource) -> Result<String> {
    let Settings { stack_name, account, .. } = scope.settings;
    let property = TYPES.iter().find(|(kind, _)| *kind == resource.kind).and_then(|(_, property)| *property);
    if let Some(property) = property
        && let Some(given) = resource.properties.get(property)
    {
        let path = join(&resource.properties_path(), property);
        match scope.resolve(given, &path)? {
            None | Some(Value::Null) => {}
            Some(value) => {
                let name = scalar(&value).filter(|name| !name.is_empty());
                return name.ok_or_else(|| TemplateError::invalid(path, "wants a name"));
            }
        }
    }
    Ok(match resource.kind.as_str() {
        "AWS::S3::Bucket" => format!("{stack_name}-{}-{account}", resource.id).to_lowercase(),
        "AWS::SQS::Queue" if scope.is_fifo(resource)? => format!("{stack_name}-{}.fifo", resource.id),
        _ => format!("{stack_name}-{}", resource.id),
    })
}

pub(crate) fn partition(region: &str) -> &'static str {
    match region {
        china if china.starts_with("cn-") => "aws-cn",
        government if government.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

pub(crate) fn url_suffix(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

pub(super) fn arn(settings: &Settings, service: &str, rest: &str) -> String {
    let Settings { region, account, .. } = settings;
    format!("arn:{}:{service}:{region}:{account}:{rest}", partition(region))
}

pub(super) fn function_arn(settings: &Settings, name: &str) -> String {
    arn(settings, "lambda", &format!("function:{name}"))
}

pub(super) fn queue_arn(settings: &Settings, name: &str) -> String {
    arn(settings, "sqs", name)
}

pub(super) fn queue_url(settings: &Settings, name: &str) -> String {
    let Settings { region, account, .. } = settings;
    format!("https://sqs.{region}.{}/{account}/{name}", url_suffix(region))
}

pub(super) fn table_arn(settings: &Settings, name: &str) -> String {
    arn(settings, "dynamodb", &format!("table/{name}"))
}

/// The label is the time at which AWS made the stream; here a stream is known by its table.
pub(super) fn stream_arn(table_arn: &str) -> String {
    format!("{table_arn}/stream/2020-01-01T00:00:00.000")
}

pub(super) fn bucket_arn(settings: &Settings, name: &str) -> String {
    format!("arn:{}:s3:::{name}", partition(&settings.region))
}

/// A bus is named by its name or its ARN.
pub(super) fn bus_name(name_or_arn: &str) -> &str {
    name_or_arn.rsplit_once('/').map_or(name_or_arn, |(_, name)| name)
}

/// A rule on the default bus has no bus in its ARN.
pub(super) fn rule_arn(settings: &Settings, bus: &str, name: &str) -> String {
    let bus = if bus == DEFAULT_BUS { String::new() } else { format!("{bus}/") };
    arn(settings, "events", &format!("rule/{bus}{name}"))
}

/// Ten characters, as AWS has it, and the same ones each time.
pub(super) fn api_id(settings: &Settings, logical_id: &str) -> String {
    let digest = Sha256::digest(format!("{}/{logical_id}", settings.stack_name));
    let mut id = BASE32_NOPAD.encode(&digest).to_lowercase();
    id.truncate(10);
    id
}
