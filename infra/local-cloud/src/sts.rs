//! The one question that many tools ask before any other: who am I?

use bytes::Bytes;
use http::Response;

use crate::asked::Form;
use crate::cloud::Core;
use crate::text::xml_escaped;
use crate::wire::response;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

pub(crate) fn answer(core: &Core, form: &Form, request_id: &str) -> Response<Bytes> {
    let action = form.get("Action").map(String::as_str).unwrap_or_default();
    if action != "GetCallerIdentity" {
        let message = format!("Could not find operation {action}: only GetCallerIdentity is served here");
        return error(400, "InvalidAction", &message, request_id);
    }
    let account = xml_escaped(&core.stack.account);
    let xml = format!(
        "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\"><GetCallerIdentityResult><Arn>arn:aws:iam::{account}:root</Arn>\
         <UserId>{account}</UserId><Account>{account}</Account></GetCallerIdentityResult><ResponseMetadata>\
         <RequestId>{request_id}</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
    response(200, "text/xml", xml.into_bytes())
}

/// An error as every service of the query protocol has it.
pub(crate) fn error(status: u16, code: &str, message: &str, request_id: &str) -> Response<Bytes> {
    let kind = if status < 500 { "Sender" } else { "Receiver" };
    let xml = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{kind}</Type><Code>{}</Code><Message>{}</Message></Error>\
         <RequestId>{request_id}</RequestId></ErrorResponse>",
        xml_escaped(code),
        xml_escaped(message)
    );
    response(status, "text/xml", xml.into_bytes())
}
