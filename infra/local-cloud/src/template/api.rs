//! `AWS::Serverless::HttpApi`, its Lambda authorizers, and the routes that functions hang into it.
//!
//! Only what the HTTP edge does is understood: payload format 2.0, simple responses, headers as identity. No CORS, no
//! domain names, no JWT authorizers.

use serde_json::Value;

use super::{Result, TemplateError, fields::Fields, functions, names, resolve::Scope, sam::Resource};
use crate::stack::{Authorizer, HttpApi, Route, Stack};

pub(super) const TYPE: &str = "AWS::Serverless::HttpApi";

/// What SAM calls the API of routes that name none.
const IMPLICIT: &str = "ServerlessHttpApi";

const METHODS: &[&str] = &["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

pub(super) fn add(stack: &mut Stack, scope: &Scope<'_>, resource: &Resource, properties: &Value) -> Result<()> {
    if stack.api.is_some() {
        let advice = "one HTTP API is served; put all routes into it";
        return Err(TemplateError::not_understood(resource.path(), "a second HTTP API", advice));
    }
    let fields = Fields::of(properties, resource.properties_path())?;
    fields.only(
        &["StageName", "Auth"],
        &[
            "AccessLogSettings",
            "DefaultRouteSettings",
            "Description",
            "FailOnWarnings",
            "Name",
            "PropagateTags",
            "RouteSettings",
            "Tags",
        ],
    )?;
    let mut api = HttpApi {
        id: names::api_id(scope.settings, &resource.id),
        stage: fields.text("StageName")?.unwrap_or_else(|| "$default".to_owned()),
        routes: Vec::new(),
        authorizers: Default::default(),
        default_authorizer: None,
    };
    if let Some(auth) = fields.object("Auth")? {
        auth.only(&["DefaultAuthorizer", "Authorizers"], &[])?;
        if let Some(authorizers) = auth.object("Authorizers")? {
            for (name, one) in authorizers.entries() {
                api.authorizers.insert(name.clone(), authorizer(scope, &Fields::of(one, authorizers.at(name))?)?);
            }
        }
        api.default_authorizer = auth.text("DefaultAuthorizer")?;
        if let Some(name) = &api.default_authorizer
            && !api.authorizers.contains_key(name)
        {
            let what = format!("`{name}` is not among the authorizers");
            return Err(TemplateError::not_there(auth.at("DefaultAuthorizer"), what));
        }
    }
    stack.api = Some(api);
    Ok(())
}

fn authorizer(scope: &Scope<'_>, fields: &Fields<'_>) -> Result<Authorizer> {
    fields.only(
        &["FunctionArn", "AuthorizerPayloadFormatVersion", "EnableSimpleResponses", "Identity"],
        &["EnableFunctionDefaultPermissions", "FunctionInvokeRole"],
    )?;
    let arn = fields.required_text("FunctionArn")?;
    let Some(function) = scope.find(functions::TYPE, "Arn", &arn)? else {
        return Err(TemplateError::not_there(
            fields.at("FunctionArn"),
            format!("no function of this stack is `{arn}`"),
        ));
    };
    let version = fields.required_text("AuthorizerPayloadFormatVersion")?;
    if version != "2.0" && version != "2" {
        let advice = "authorizers are asked with payload format `2.0`";
        return Err(fields.not_understood("AuthorizerPayloadFormatVersion", format!("`{version}`"), advice));
    }
    if fields.flag("EnableSimpleResponses")? != Some(true) {
        let advice = "set it to true; IAM policies as answers are not evaluated";
        return Err(fields.not_understood("EnableSimpleResponses", "an authorizer without simple responses", advice));
    }
    let mut authorizer = Authorizer { function: function.id.clone(), identity_headers: Vec::new(), cache_seconds: 0 };
    if let Some(identity) = fields.object("Identity")? {
        identity.only(&["Headers", "ReauthorizeEvery"], &[])?;
        for header in identity.texts("Headers")? {
            let name = http::HeaderName::from_bytes(header.as_bytes())
                .map_err(|_| identity.invalid("Headers", format!("`{header}` is not a header's name")))?;
            authorizer.identity_headers.push(name.as_str().to_owned());
        }
        authorizer.cache_seconds = identity.number("ReauthorizeEvery", 0, 3_600)?.unwrap_or(0);
        if authorizer.cache_seconds > 0 && authorizer.identity_headers.is_empty() {
            return Err(identity.invalid("ReauthorizeEvery", "caching needs at least one identity source"));
        }
    }
    Ok(authorizer)
}

pub(super) fn add_route(stack: &mut Stack, scope: &Scope<'_>, function: &str, fields: &Fields<'_>) -> Result<()> {
    fields.only(&["ApiId", "Method", "Path", "Auth", "PayloadFormatVersion"], &[])?;
    if let Some(version) = fields.text("PayloadFormatVersion")?
        && version != "2.0"
        && version != "2"
    {
        return Err(fields.not_understood(
            "PayloadFormatVersion",
            format!("`{version}`"),
            "functions are called with `2.0`",
        ));
    }
    let api_id = match fields.text("ApiId")? {
        Some(id) => id,
        None => names::api_id(scope.settings, IMPLICIT),
    };
    if stack.api.is_none() && fields.get("ApiId").is_none() {
        stack.api = Some(HttpApi {
            id: api_id.clone(),
            stage: "$default".to_owned(),
            routes: Vec::new(),
            authorizers: Default::default(),
            default_authorizer: None,
        });
    }
    let Some(api) = stack.api.as_mut().filter(|api| api.id == api_id) else {
        let what = "it names no HTTP API of this stack; one is served, and every route has to name it";
        return Err(TemplateError::not_there(fields.at("ApiId"), what));
    };
    let (method, path) = match (fields.text("Method")?, fields.text("Path")?) {
        (method, None) if method.as_deref().is_none_or(|method| method.eq_ignore_ascii_case("any")) => {
            ("ANY".to_owned(), "$default".to_owned())
        }
        (_, None) => return Err(fields.invalid("Path", "is required beside `Method`")),
        (method, Some(path)) => (method.map_or_else(|| "ANY".to_owned(), |method| method.to_uppercase()), path),
    };
    if !METHODS.contains(&method.as_str()) {
        return Err(fields.invalid("Method", format!("`{method}` is not a method of a route")));
    }
    if let Some(why) = wrong_path(&path) {
        return Err(fields.invalid("Path", format!("`{path}` {why}")));
    }
    if let Some(other) = api.routes.iter().find(|route| route.method == method && same_shape(&route.path, &path)) {
        let message = format!("`{method} {path}` is taken by `{}` as `{}`", other.function, other.path);
        return Err(fields.invalid("Path", message));
    }
    let authorizer = route_authorizer(api, fields)?;
    api.routes.push(Route { method, path, function: function.to_owned(), authorizer });
    Ok(())
}

fn route_authorizer(api: &HttpApi, fields: &Fields<'_>) -> Result<Option<String>> {
    let Some(auth) = fields.object("Auth")? else { return Ok(api.default_authorizer.clone()) };
    auth.only(&["Authorizer"], &[])?;
    match auth.text("Authorizer")? {
        None => Ok(api.default_authorizer.clone()),
        Some(none) if none == "NONE" => Ok(None),
        Some(name) if api.authorizers.contains_key(&name) => Ok(Some(name)),
        Some(name) => {
            let what = format!("the API has no authorizer `{name}`");
            Err(TemplateError::not_there(auth.at("Authorizer"), what))
        }
    }
}

fn wrong_path(path: &str) -> Option<&'static str> {
    if path == "$default" {
        return None;
    }
    let Some(rest) = path.strip_prefix('/') else { return Some("does not begin with `/`") };
    let segments: Vec<&str> = rest.split('/').collect();
    for (index, segment) in segments.iter().enumerate() {
        let variable = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
        match variable {
            Some(variable) => {
                let greedy = variable.ends_with('+');
                let name = variable.strip_suffix('+').unwrap_or(variable);
                if greedy && index + 1 < segments.len() {
                    return Some("has a greedy variable that is not its end");
                }
                let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
                if name.is_empty() || !name.bytes().all(is_of_name) {
                    return Some("has a variable without a proper name");
                }
            }
            None if segment.contains(['{', '}']) => return Some("has a variable that is not a whole segment"),
            None if segment.is_empty() && segments.len() > 1 => return Some("has an empty segment"),
            None => {}
        }
    }
    None
}

/// Two paths that differ only in the names of their variables are one route.
fn same_shape(one: &str, other: &str) -> bool {
    let shape = |path: &str| -> Vec<String> {
        let of = |segment: &str| match segment.strip_prefix('{') {
            Some(variable) if variable.ends_with("+}") => "{+}".to_owned(),
            Some(_) => "{}".to_owned(),
            None => segment.to_owned(),
        };
        path.split('/').map(of).collect()
    };
    shape(one) == shape(other)
}
