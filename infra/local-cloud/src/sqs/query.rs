//! SQS in the protocol of its older SDKs: a form in, XML out. Both ends are turned into those of the JSON protocol, so
//! that there is one place that says what a queue does.

use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value, json};

use super::{Sqs, error, invalid};
use crate::asked::Form;
use crate::text::xml_escaped;
use crate::wire::{ServiceError, response};

pub(crate) const VERSION: &str = "2012-11-05";

const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

/// What the form has as a numbered list, by the name that JSON has for it.
const LISTS: [(&str, &str); 3] = [
    ("AttributeName", "AttributeNames"),
    ("MessageAttributeName", "MessageAttributeNames"),
    ("MessageSystemAttributeName", "MessageSystemAttributeNames"),
];
/// And as a numbered list of names with values, which JSON has as a map.
const MAPS: [(&str, &str); 2] =
    [("MessageAttribute", "MessageAttributes"), ("MessageSystemAttribute", "MessageSystemAttributes")];
const ENTRIES: &str = "BatchRequestEntry";
const NUMBERS: [&str; 5] =
    ["DelaySeconds", "MaxNumberOfMessages", "MaxResults", "VisibilityTimeout", "WaitTimeSeconds"];

impl Sqs {
    /// Answers one form. The queue is in it, or in the path to which it was sent.
    pub(crate) async fn answer_form(&self, path: &str, form: &Form, request_id: &str) -> Response<Bytes> {
        let action = form.get("Action").cloned().unwrap_or_default();
        let answered = match request_of(path, form) {
            Ok(request) => self.run(&action, request).await,
            Err(refusal) => Err(refusal),
        };
        let (status, xml) = match answered {
            Ok(answer) => (200, answer_xml(&action, &answer, request_id)),
            Err(refusal) => (refusal.status, error_xml(&refusal, request_id)),
        };
        response(status, "text/xml", xml.into_bytes())
    }
}

fn request_of(path: &str, form: &Form) -> Result<Value, ServiceError> {
    let mut tree = Value::Null;
    for (name, value) in form {
        if matches!(name.as_str(), "Action" | "Version") || name.starts_with("X-Amz-") {
            continue;
        }
        let mut place = &mut tree;
        for part in name.split('.') {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[part];
        }
        *place = Value::String(value.clone());
    }
    let mut request = fields_of(tree)?;
    if !request.contains_key("QueueUrl") && path.len() > 1 {
        request.insert("QueueUrl".into(), path.into());
    }
    Ok(Value::Object(request))
}

fn fields_of(tree: Value) -> Result<Map<String, Value>, ServiceError> {
    let Value::Object(tree) = tree else { return Ok(Map::new()) };
    let mut fields = Map::new();
    for (name, value) in tree {
        if let Some((_, field)) = LISTS.iter().find(|(known, _)| *known == name) {
            fields.insert((*field).into(), Value::Array(numbered(value, &name)?));
        } else if let Some((_, field)) = MAPS.iter().find(|(known, _)| *known == name) {
            let mut map = Map::new();
            for mut entry in numbered(value, &name)? {
                let key = entry["Name"].as_str().unwrap_or_default().to_owned();
                map.insert(key, entry["Value"].take());
            }
            fields.insert((*field).into(), Value::Object(map));
        } else if name.ends_with(ENTRIES) {
            let entries: Result<Vec<_>, _> =
                numbered(value, &name)?.into_iter().map(|entry| fields_of(entry).map(Value::Object)).collect();
            fields.insert("Entries".into(), Value::Array(entries?));
        } else if NUMBERS.contains(&name.as_str()) {
            let text = value.as_str().unwrap_or_default();
            let number: i64 = text.parse().map_err(|_| {
                invalid(format!("Value {text} for parameter {name} is invalid. Reason: Must be an integer."))
            })?;
            fields.insert(name, number.into());
        } else {
            fields.insert(name, value);
        }
    }
    Ok(fields)
}

/// The members of `Name.1`, `Name.2` …, in their order.
fn numbered(value: Value, name: &str) -> Result<Vec<Value>, ServiceError> {
    let malformed =
        || error("MalformedInput", "MalformedInput", format!("{name} is a list: {name}.1, {name}.2 and so on"));
    let Value::Object(members) = value else { return Err(malformed()) };
    let mut members: Vec<(u32, Value)> = members
        .into_iter()
        .map(|(number, member)| Ok((number.parse().map_err(|_| malformed())?, member)))
        .collect::<Result<_, ServiceError>>()?;
    members.sort_by_key(|(number, _)| *number);
    Ok(members.into_iter().map(|(_, member)| member).collect())
}

fn answer_xml(action: &str, answer: &Value, request_id: &str) -> String {
    let action = xml_escaped(action);
    let mut result = String::new();
    for (name, value) in answer.as_object().into_iter().flatten() {
        write(&mut result, &action, name, value);
    }
    format!(
        "<?xml version=\"1.0\"?><{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result>\
         <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
    )
}

fn write(xml: &mut String, action: &str, name: &str, value: &Value) {
    let element = match name {
        "Messages" => "Message".to_owned(),
        "QueueUrls" => "QueueUrl".to_owned(),
        "Attributes" => "Attribute".to_owned(),
        "MessageAttributes" => "MessageAttribute".to_owned(),
        "Successful" => format!("{action}ResultEntry"),
        "Failed" => "BatchResultErrorEntry".to_owned(),
        other => other.to_owned(),
    };
    match value {
        Value::Array(members) => members.iter().for_each(|member| write(xml, action, &element, member)),
        Value::Object(entries) if matches!(name, "Attributes" | "MessageAttributes") => {
            for (key, entry) in entries {
                *xml += &format!("<{element}><Name>{}</Name>", xml_escaped(key));
                write(xml, action, "Value", entry);
                *xml += &format!("</{element}>");
            }
        }
        Value::Object(fields) => {
            *xml += &format!("<{element}>");
            fields.iter().for_each(|(field, value)| write(xml, action, field, value));
            *xml += &format!("</{element}>");
        }
        Value::Null => {}
        Value::String(text) => *xml += &format!("<{element}>{}</{element}>", xml_escaped(text)),
        Value::Bool(_) | Value::Number(_) => *xml += &format!("<{element}>{value}</{element}>"),
    }
}

fn error_xml(refusal: &ServiceError, request_id: &str) -> String {
    let bare = refusal.kind.rsplit('#').next().unwrap_or_default();
    let code = refusal.query_code.unwrap_or(match bare {
        "UnknownOperationException" => "InvalidAction",
        "SerializationException" => "MalformedInput",
        other => other,
    });
    let kind = if refusal.status < 500 { "Sender" } else { "Receiver" };
    format!(
        "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{kind}</Type><Code>{}</Code>\
         <Message>{}</Message><Detail/></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
        xml_escaped(code),
        xml_escaped(&refusal.message)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> Form {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_form_becomes_the_request_that_json_would_be() {
        let sent = form(&[
            ("Action", "SendMessageBatch"),
            ("Version", VERSION),
            ("SendMessageBatchRequestEntry.2.Id", "b"),
            ("SendMessageBatchRequestEntry.1.Id", "a"),
            ("SendMessageBatchRequestEntry.1.DelaySeconds", "5"),
            ("SendMessageBatchRequestEntry.1.MessageAttribute.1.Name", "n"),
            ("SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType", "String"),
            ("SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue", "v"),
        ]);
        let attributes = json!({ "n": { "DataType": "String", "StringValue": "v" } });
        let expected = json!({
            "QueueUrl": "/123456789012/q",
            "Entries": [{ "Id": "a", "DelaySeconds": 5, "MessageAttributes": attributes }, { "Id": "b" }],
        });
        assert_eq!(request_of("/123456789012/q", &sent).unwrap(), expected);
        let received = form(&[("QueueUrl", "u"), ("AttributeName.1", "All"), ("MaxNumberOfMessages", "ten")]);
        assert_eq!(request_of("/", &received).unwrap_err().query_code, Some("InvalidParameterValue"));
        let unnumbered = form(&[("QueueUrl", "u"), ("AttributeName.first", "All")]);
        assert_eq!(request_of("/", &unnumbered).unwrap_err().query_code, Some("MalformedInput"));
    }

    #[test]
    fn an_answer_becomes_xml_with_a_name_for_each_member() {
        let answer = json!({ "Messages": [{ "Body": "a<b", "Attributes": { "SentTimestamp": "1" } }] });
        let xml = answer_xml("ReceiveMessage", &answer, "id");
        let message =
            "<Message><Attribute><Name>SentTimestamp</Name><Value>1</Value></Attribute><Body>a&lt;b</Body></Message>";
        assert!(xml.contains(&format!("<ReceiveMessageResult>{message}</ReceiveMessageResult>")), "{xml}");
    }
}
