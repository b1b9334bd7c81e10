//! `AWS::Serverless::HttpApi`, its Lambda authorizers, and the routes that functions hang into it.
//!
//! Only what the HTTP edge does is understood: payload format 2.0, simple responses and policies, CORS, throttling. No
//! domain names, no API definitions, no JWT or IAM authorizers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Result, TemplateError,
    fields::{Fields, kind, scalar},
    functions, names,
    resolve::Scope,
    sam::Resource,
};
use crate::{
    edge::DEFAULT_STAGE,
    stack::{Authorizer, Cors, HttpApi, IdentitySource, Route, Stack, Throttling},
};

pub(super) const TYPE: &str = "AWS::Serverless::HttpApi";

/// What SAM calls the API of routes that name none.
const IMPLICIT: &str = "ServerlessHttpApi";

const METHODS: &[&str] = &["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// The longest that an API waits for a function, and how long it does if nobody says otherwise.
const LONGEST_WAIT_MS: u32 = 30_000;

/// How it is named, watched and logged: none of it changes what it answers.
const WITHOUT_EFFECT: &[&str] =
    &["AccessLogSettings", "Description", "FailOnWarnings", "Name", "PropagateTags", "Tags"];

pub(super) fn add(stack: &mut Stack, scope: &Scope<'_>, resource: &Resource, properties: &Value) -> Result<()> {
    if stack.api.is_some() {
        let advice = "one HTTP API is served; put all routes into it";
        return Err(TemplateError::not_understood(resource.path(), "a second HTTP API", advice));
    }
    let fields = Fields::of(properties, resource.properties_path())?;
    refuse_what_is_elsewhere(&fields)?;
    fields.only(
        &[
            "StageName",
            "StageVariables",
            "Auth",
            "CorsConfiguration",
            "DefaultRouteSettings",
            "RouteSettings",
            "DisableExecuteApiEndpoint",
        ],
        WITHOUT_EFFECT,
    )?;
    let mut api = HttpApi {
        stage: stage_name(&fields)?,
        stage_variables: stage_variables(&fields)?,
        cors: cors(&fields)?,
        throttling: fields.object("DefaultRouteSettings")?.map_or(Ok(None), |settings| throttling(&settings))?,
        ..empty(names::api_id(scope.settings, &resource.id))
    };
    if let Some(settings) = fields.object("RouteSettings")? {
        for (key, one) in settings.entries() {
            if let Some(limits) = throttling(&Fields::of(one, settings.at(key))?)? {
                api.route_throttling.insert(key.clone(), limits);
            }
        }
    }
    if let Some(auth) = fields.object("Auth")? {
        add_authorizers(&mut api, scope, &auth)?;
    }
    stack.api = Some(api);
    Ok(())
}

fn empty(id: String) -> HttpApi {
    HttpApi {
        id,
        stage: DEFAULT_STAGE.to_owned(),
        stage_variables: BTreeMap::new(),
        routes: Vec::new(),
        authorizers: BTreeMap::new(),
        default_authorizer: None,
        cors: None,
        throttling: None,
        route_throttling: BTreeMap::new(),
    }
}

/// What the local cloud could only pretend to do.
fn refuse_what_is_elsewhere(fields: &Fields<'_>) -> Result<()> {
    for (key, advice) in [
        ("DefinitionBody", "routes are read from the functions' `HttpApi` events; write them there"),
        ("DefinitionUri", "routes are read from the functions' `HttpApi` events; write them there"),
        ("Domain", "the API is served on a local port; set the domain in the deployed stack only, by a condition"),
    ] {
        if fields.get(key).is_some() {
            return Err(fields.not_understood(key, format!("`{key}`"), advice));
        }
    }
    if fields.flag("DisableExecuteApiEndpoint")? == Some(true) {
        let advice = "without it the API would answer on a custom domain only, and there is none here";
        return Err(fields.not_understood("DisableExecuteApiEndpoint", "an API without its own endpoint", advice));
    }
    Ok(())
}

fn stage_name(fields: &Fields<'_>) -> Result<String> {
    let Some(name) = fields.text("StageName")? else { return Ok(DEFAULT_STAGE.to_owned()) };
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name == DEFAULT_STAGE || (1..=128).contains(&name.len()) && name.bytes().all(is_of_name) {
        return Ok(name);
    }
    let message = format!("`{name}` is neither `$default` nor up to 128 letters, digits, hyphens and underscores");
    Err(fields.invalid("StageName", message))
}

fn stage_variables(fields: &Fields<'_>) -> Result<BTreeMap<String, String>> {
    let Some(given) = fields.object("StageVariables")? else { return Ok(BTreeMap::new()) };
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_of_value = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#&=,".contains(&byte);
    let variable = |(name, value): (&String, &Value)| match scalar(value) {
        _ if name.is_empty() || !name.bytes().all(is_of_name) => {
            Err(given.invalid(name, "a stage variable's name has letters, digits and underscores only"))
        }
        Some(value) if !value.is_empty() && value.bytes().all(is_of_value) => Ok((name.clone(), value)),
        Some(value) => Err(given.invalid(name, format!("`{value}` is not letters, digits and `-._~:/?#&=,` only"))),
        None => Err(given.invalid(name, format!("wants a text, not {}", kind(value)))),
    };
    given.entries().map(variable).collect()
}

/// `true` is every origin, a text is one, a map says it all.
fn cors(fields: &Fields<'_>) -> Result<Option<Cors>> {
    const KEY: &str = "CorsConfiguration";
    let origins = |origins: Vec<String>| Ok(Some(Cors { allow_origins: origins, ..Cors::default() }));
    let given = match fields.get(KEY) {
        None | Some(Value::Bool(false)) => return Ok(None),
        Some(Value::Bool(true)) => return origins(vec!["*".to_owned()]),
        Some(Value::String(origin)) => {
            check_origin(fields, KEY, origin)?;
            return origins(vec![origin.clone()]);
        }
        Some(map) => Fields::of(map, fields.at(KEY))?,
    };
    let understood =
        ["AllowOrigins", "AllowMethods", "AllowHeaders", "ExposeHeaders", "MaxAge", "AllowCredentials"].as_slice();
    given.only(understood, &[])?;
    let cors = Cors {
        allow_origins: given.texts("AllowOrigins")?,
        allow_methods: given.texts("AllowMethods")?.iter().map(|method| method.to_uppercase()).collect(),
        allow_headers: header_names(&given, "AllowHeaders")?,
        expose_headers: header_names(&given, "ExposeHeaders")?,
        max_age_seconds: max_age(&given)?,
        allow_credentials: given.flag("AllowCredentials")?.unwrap_or(false),
    };
    for origin in &cors.allow_origins {
        check_origin(&given, "AllowOrigins", origin)?;
    }
    if let Some(other) =
        cors.allow_methods.iter().find(|method| *method != "*" && !METHODS[1..].contains(&method.as_str()))
    {
        return Err(given.invalid("AllowMethods", format!("`{other}` is not a method")));
    }
    let anyone = cors.allow_origins.is_empty() || cors.allow_origins.iter().any(|origin| origin == "*");
    if cors.allow_credentials && anyone {
        let message = "cannot be true while `AllowOrigins` is `*` or not set; name the origins";
        return Err(given.invalid("AllowCredentials", message));
    }
    Ok(Some(cors))
}

fn check_origin(fields: &Fields<'_>, key: &str, origin: &str) -> Result<()> {
    let sendable = http::HeaderValue::from_str(origin).is_ok();
    let wrong = match origin.split_once("://") {
        None => origin != "*",
        Some((scheme, host)) => scheme.is_empty() || host.is_empty() || host.contains('*') && host != "*",
    };
    if wrong || !sendable {
        let message = format!("`{origin}` is none of `*`, `https://*` and `https://example.com`");
        return Err(fields.invalid(key, message));
    }
    Ok(())
}

fn header_names(fields: &Fields<'_>, key: &str) -> Result<Vec<String>> {
    let names = fields.texts(key)?;
    match names.iter().find(|name| http::HeaderName::from_bytes(name.as_bytes()).is_err()) {
        Some(other) => Err(fields.invalid(key, format!("`{other}` is not a header's name"))),
        None => Ok(names),
    }
}

fn max_age(fields: &Fields<'_>) -> Result<Option<i32>> {
    match fields.number_or_unlimited("MaxAge", 0, 86_400)? {
        Some(seconds) => Ok(i32::try_from(seconds).ok()),
        None if fields.get("MaxAge").is_some() => Ok(Some(-1)),
        None => Ok(None),
    }
}

/// `None` if these settings say nothing of limits.
fn throttling(fields: &Fields<'_>) -> Result<Option<Throttling>> {
    fields.only(
        &["ThrottlingBurstLimit", "ThrottlingRateLimit"],
        &["DataTraceEnabled", "DetailedMetricsEnabled", "LoggingLevel"],
    )?;
    let burst = fields.number("ThrottlingBurstLimit", 0, 1_000_000)?;
    let rate = fields.text("ThrottlingRateLimit")?.map(|rate| (thousandths(&rate), rate));
    match (rate, burst) {
        (None, None) => Ok(None),
        (Some((Some(rate_milli), _)), Some(burst)) => Ok(Some(Throttling { rate_milli, burst })),
        (Some((None, rate)), _) => {
            let message = format!("`{rate}` is not from 0 to 1000000, with up to three digits after the point");
            Err(fields.invalid("ThrottlingRateLimit", message))
        }
        (Some(_), None) => Err(fields.invalid("ThrottlingBurstLimit", "is required beside `ThrottlingRateLimit`")),
        (None, Some(_)) => Err(fields.invalid("ThrottlingRateLimit", "is required beside `ThrottlingBurstLimit`")),
    }
}

/// `0.5` is 500.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 3 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u32 = whole.parse().ok()?;
    let fraction: u32 = format!("{fraction:0<3}").parse().ok()?;
    Some(whole.checked_mul(1_000)? + fraction).filter(|milli| *milli <= 1_000_000_000)
}

fn add_authorizers(api: &mut HttpApi, scope: &Scope<'_>, auth: &Fields<'_>) -> Result<()> {
    auth.only(&["DefaultAuthorizer", "Authorizers", "EnableIamAuthorizer"], &[])?;
    if auth.flag("EnableIamAuthorizer")? == Some(true) {
        let advice = "signatures are not checked here; take a Lambda authorizer";
        return Err(auth.not_understood("EnableIamAuthorizer", "an IAM authorizer", advice));
    }
    if let Some(authorizers) = auth.object("Authorizers")? {
        for (name, one) in authorizers.entries() {
            let fields = Fields::of(one, authorizers.at(name))?;
            let authorizer = authorizer(scope, &fields)?;
            for source in &authorizer.identity {
                if let IdentitySource::StageVariable(variable) = source
                    && !api.stage_variables.contains_key(variable)
                {
                    let what = format!("the stage has no variable `{variable}`");
                    return Err(TemplateError::not_there(fields.at("Identity.StageVariables"), what));
                }
            }
            api.authorizers.insert(name.clone(), authorizer);
        }
    }
    api.default_authorizer = auth.text("DefaultAuthorizer")?;
    if let Some(name) = &api.default_authorizer
        && !api.authorizers.contains_key(name)
    {
        let what = format!("`{name}` is not among the authorizers");
        return Err(TemplateError::not_there(auth.at("DefaultAuthorizer"), what));
    }
    Ok(())
}

fn authorizer(scope: &Scope<'_>, fields: &Fields<'_>) -> Result<Authorizer> {
    for key in ["JwtConfiguration", "IdentitySource", "AuthorizationScopes"] {
        if fields.get(key).is_some() {
            let advice = "a JWT authorizer fetches the keys of its issuer, and nothing here leaves the machine; \
                          take a Lambda authorizer";
            return Err(fields.not_understood(key, format!("`{key}`"), advice));
        }
    }
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
    let mut authorizer = Authorizer {
        function: function.id.clone(),
        simple_responses: fields.flag("EnableSimpleResponses")?.unwrap_or(false),
        identity: Vec::new(),
        cache_seconds: 0,
    };
    if let Some(identity) = fields.object("Identity")? {
        authorizer.identity = identity_sources(&identity)?;
        authorizer.cache_seconds = identity.number("ReauthorizeEvery", 0, 3_600)?.unwrap_or(0);
        if authorizer.cache_seconds > 0 && authorizer.identity.is_empty() {
            return Err(identity.invalid("ReauthorizeEvery", "caching needs at least one identity source"));
        }
    }
    Ok(authorizer)
}

/// In the order in which SAM lists them.
fn identity_sources(identity: &Fields<'_>) -> Result<Vec<IdentitySource>> {
    identity.only(&["Headers", "QueryStrings", "StageVariables", "Context", "ReauthorizeEvery"], &[])?;
    let mut sources = Vec::new();
    for header in identity.texts("Headers")? {
        let name = http::HeaderName::from_bytes(header.as_bytes())
            .map_err(|_| identity.invalid("Headers", format!("`{header}` is not a header's name")))?;
        sources.push(IdentitySource::Header(name.as_str().to_owned()));
    }
    sources.extend(identity.texts("QueryStrings")?.into_iter().map(IdentitySource::Query));
    sources.extend(identity.texts("StageVariables")?.into_iter().map(IdentitySource::StageVariable));
    for variable in identity.texts("Context")? {
        if !IdentitySource::CONTEXT_VARIABLES.contains(&variable.as_str()) {
            let advice = format!("known here are {}", super::fields::listed(IdentitySource::CONTEXT_VARIABLES));
            return Err(identity.not_understood("Context", format!("`{variable}`"), &advice));
        }
        sources.push(IdentitySource::Context(variable));
    }
    Ok(sources)
}

pub(super) fn add_route(stack: &mut Stack, scope: &Scope<'_>, function: &str, fields: &Fields<'_>) -> Result<()> {
    fields
        .only(&["ApiId", "Method", "Path", "Auth", "PayloadFormatVersion", "TimeoutInMillis", "RouteSettings"], &[])?;
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
        stack.api = Some(empty(api_id.clone()));
    }
    let Some(api) = stack.api.as_mut().filter(|api| api.id == api_id) else {
        let what = "it names no HTTP API of this stack; one is served, and every route has to name it";
        return Err(TemplateError::not_there(fields.at("ApiId"), what));
    };
    let (method, path) = match (fields.text("Method")?, fields.text("Path")?) {
        (method, None) if method.as_deref().is_none_or(|method| method.eq_ignore_ascii_case("any")) => {
            ("ANY".to_owned(), Route::DEFAULT.to_owned())
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
    let timeout_ms = fields.number("TimeoutInMillis", 50, LONGEST_WAIT_MS)?.unwrap_or(LONGEST_WAIT_MS);
    let route = Route { method, path, function: function.to_owned(), authorizer, timeout_ms };
    if let Some(limits) = fields.object("RouteSettings")?.map_or(Ok(None), |settings| throttling(&settings))? {
        api.route_throttling.insert(route.key(), limits);
    }
    api.routes.push(route);
    Ok(())
}

/// What only all routes together show.
pub(super) fn hold_together(stack: &Stack, resource: &Resource, properties: &Value) -> Result<()> {
    let Some(api) = &stack.api else { return Ok(()) };
    let fields = Fields::of(properties, resource.properties_path())?;
    let Some(settings) = fields.object("RouteSettings")? else { return Ok(()) };
    match settings.entries().find(|(key, _)| !api.routes.iter().any(|route| route.key() == **key)) {
        None => Ok(()),
        Some((key, _)) => Err(TemplateError::not_there(settings.at(key), format!("the API has no route `{key}`"))),
    }
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
    if path == Route::DEFAULT {
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
