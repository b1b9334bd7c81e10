//! What a template may say of an HTTP API, and what is refused by its path.

use local_cloud::{
    Settings,
    stack::{Cors, HttpApi, IdentitySource, Stack, Throttling},
};

use crate::support::{guarded, template};

fn api(properties: &str) -> HttpApi {
    let yaml = template(properties, &["Echo GET /a"]);
    Stack::from_template(&yaml, &Settings::new("test")).unwrap_or_else(|error| panic!("{error}")).api.unwrap()
}

#[track_caller]
fn refused(properties: &str, routes: &[&str], path: &str, why: &str) {
    let error = Stack::from_template(&template(properties, routes), &Settings::new("test")).unwrap_err().to_string();
    assert!(error.contains(&format!("{path}: ")) && error.contains(why), "`{error}` does not say `{path}` and `{why}`");
}

#[test]
fn what_changes_nothing_here_is_passed_over() {
    let plain = api("");
    let watched =
        api("AccessLogSettings: { DestinationArn: a, Format: b }, Description: c, FailOnWarnings: true, Name: d, \
                       PropagateTags: true, Tags: { e: f }, DisableExecuteApiEndpoint: false, \
                       CorsConfiguration: false, \
                       DefaultRouteSettings: { DetailedMetricsEnabled: true }");
    assert_eq!(format!("{plain:?}"), format!("{watched:?}"));
    assert_eq!((plain.stage.as_str(), plain.cors, plain.throttling), ("$default", None, None));
}

#[test]
fn everything_that_an_api_says_is_in_the_stack() {
    let guard = guarded("Identity: { Headers: [X-One], QueryStrings: [q], Context: [routeKey], StageVariables: [a] }");
    let all = api(&format!(
        "StageName: v-1_x, StageVariables: {{ a: 1 }}, CorsConfiguration: {{ AllowOrigins: ['https://a.example'], \
         AllowMethods: ['*'], AllowHeaders: ['*'], MaxAge: -1, AllowCredentials: true }}, RouteSettings: {{ 'GET /a': \
         {{ ThrottlingBurstLimit: 5, ThrottlingRateLimit: 2.25 }} }}, {guard}"
    ));
    assert_eq!((all.stage.as_str(), all.stage_variables["a"].as_str()), ("v-1_x", "1"));
    let cors = Cors {
        allow_origins: vec!["https://a.example".to_owned()],
        allow_methods: vec!["*".to_owned()],
        allow_headers: vec!["*".to_owned()],
        expose_headers: vec![],
        max_age_seconds: Some(-1),
        allow_credentials: true,
    };
    assert_eq!(all.cors, Some(cors));
    assert_eq!(all.route_throttling["GET /a"], Throttling { rate_milli: 2_250, burst: 5 });
    let identity = [
        IdentitySource::Header("x-one".to_owned()),
        IdentitySource::Query("q".to_owned()),
        IdentitySource::StageVariable("a".to_owned()),
        IdentitySource::Context("routeKey".to_owned()),
    ];
    assert_eq!(all.authorizers["Guard"].identity, identity);
    assert!(!all.authorizers["Guard"].simple_responses, "as on AWS, unless it is enabled");
}

#[test]
fn what_could_only_be_pretended_is_refused_by_name() {
    for (properties, property) in [
        ("DefinitionBody: { openapi: 3.0.1 }", "DefinitionBody"),
        ("DefinitionUri: api.yaml", "DefinitionUri"),
        ("Domain: { DomainName: a, CertificateArn: b }", "Domain"),
        ("DisableExecuteApiEndpoint: true", "DisableExecuteApiEndpoint"),
        ("Auth: { EnableIamAuthorizer: true }", "Auth.EnableIamAuthorizer"),
        ("Colour: blue", "Colour"),
        ("CorsConfiguration: { AllowOrigin: a }", "CorsConfiguration.AllowOrigin"),
        ("DefaultRouteSettings: { Colour: 1 }", "DefaultRouteSettings.Colour"),
    ] {
        refused(properties, &[], &format!("Resources.Api.Properties.{property}"), "is not understood here");
    }
    let jwt = "Auth: { Authorizers: { Jwt: { JwtConfiguration: { issuer: a, audience: [b] }, IdentitySource: c } } }";
    refused(
        jwt,
        &[],
        "Resources.Api.Properties.Auth.Authorizers.Jwt.JwtConfiguration",
        "nothing here leaves the machine",
    );
    let guard = "Resources.Api.Properties.Auth.Authorizers.Guard";
    refused(
        &guarded("Identity: { Context: [error.message] }"),
        &[],
        &format!("{guard}.Identity.Context"),
        "`error.message`",
    );
    let first = guarded("EnableSimpleResponses: false").replace("'2.0'", "'1.0'");
    refused(&first, &[], &format!("{guard}.AuthorizerPayloadFormatVersion"), "`1.0`");
    for (event, property) in [
        ("PayloadFormatVersion: '1.0'", "PayloadFormatVersion"),
        ("Auth: { AuthorizationScopes: [a] }", "Auth.AuthorizationScopes"),
        ("Stage: prod", "Stage"),
    ] {
        let path = format!("Resources.Echo.Properties.Events.R0.Properties.{property}");
        refused("", &[&format!("Echo GET /a + {event}")], &path, "is not understood here");
    }
}

#[test]
fn what_aws_or_sam_would_refuse_is_refused() {
    let api = "Resources.Api.Properties";
    for (properties, property, why) in [
        ("StageName: 'a b'", "StageName", "`a b`"),
        ("StageVariables: { a-b: c }", "StageVariables.a-b", "underscores"),
        ("StageVariables: { a: 'b c' }", "StageVariables.a", "`b c`"),
        ("StageVariables: { a: [1] }", "StageVariables.a", "wants a text"),
        ("CorsConfiguration: { AllowOrigins: [shop.example] }", "CorsConfiguration.AllowOrigins", "`shop.example`"),
        ("CorsConfiguration: { AllowOrigins: ['https://*.a'] }", "CorsConfiguration.AllowOrigins", "`https://*.a`"),
        ("CorsConfiguration: { AllowMethods: [FETCH] }", "CorsConfiguration.AllowMethods", "`FETCH`"),
        ("CorsConfiguration: { AllowHeaders: ['a b'] }", "CorsConfiguration.AllowHeaders", "`a b`"),
        ("CorsConfiguration: { MaxAge: 86401 }", "CorsConfiguration.MaxAge", "86400"),
        ("CorsConfiguration: { AllowCredentials: true }", "CorsConfiguration.AllowCredentials", "name the origins"),
        (
            "CorsConfiguration: { AllowOrigins: ['*'], AllowCredentials: true }",
            "CorsConfiguration.AllowCredentials",
            "name the origins",
        ),
        ("DefaultRouteSettings: { ThrottlingBurstLimit: 5 }", "DefaultRouteSettings.ThrottlingRateLimit", "required"),
        ("DefaultRouteSettings: { ThrottlingRateLimit: 5 }", "DefaultRouteSettings.ThrottlingBurstLimit", "required"),
        (
            "DefaultRouteSettings: { ThrottlingRateLimit: -1, ThrottlingBurstLimit: 5 }",
            "DefaultRouteSettings.ThrottlingRateLimit",
            "`-1`",
        ),
        (
            "RouteSettings: { 'GET /b': { ThrottlingRateLimit: 1, ThrottlingBurstLimit: 5 } }",
            "RouteSettings.GET /b",
            "no route `GET /b`",
        ),
    ] {
        refused(properties, &["Echo GET /a"], &format!("{api}.{property}"), why);
    }
    let identity = format!("{api}.Auth.Authorizers.Guard.Identity");
    refused(
        &guarded("Identity: { ReauthorizeEvery: 5 }"),
        &[],
        &format!("{identity}.ReauthorizeEvery"),
        "identity source",
    );
    refused(
        &guarded("Identity: { StageVariables: [a] }"),
        &[],
        &format!("{identity}.StageVariables"),
        "no variable `a`",
    );
    let event = "Resources.Echo.Properties.Events.R0.Properties";
    for (route, property, why) in [
        ("Echo GET /a + TimeoutInMillis: 49", "TimeoutInMillis", "49 is not from 50 to 30000"),
        ("Echo GET /a + TimeoutInMillis: 30001", "TimeoutInMillis", "30001"),
        ("Echo GET /a/", "Path", "empty segment"),
    ] {
        refused("", &[route], &format!("{event}.{property}"), why);
    }
}
