//! `paidonce env`: what another process needs to reach the running server, as a shell or `sam local` reads it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpStream};

use clap::ValueEnum;
use local_cloud::stack::Stack;
use serde_json::json;

use crate::failure::Failure;
use crate::state::{Served, StateDirectory, Which};
use crate::terminal::say;

const HELP: &str = "\
Examples:
  eval \"$(paidonce env)\"                     then: aws dynamodb scan --table-name \"$TABLE_NAME\"
  paidonce env --format sam > env.json       then: sam local invoke PlaceOrder --env-vars env.json -e events/place-order.json

In a container 127.0.0.1 is the container itself: name the host with --endpoint http://host.docker.internal:4566.";

/// The service asks for a signature and looks at none.
const CREDENTIAL: &str = "local";
/// What one function knows and no other process that a shell starts: what signs tokens, and what a gateway knows us by.
const KNOWN_TO_ONE: [&str; 5] =
    ["SIGNING_KEY", "PLAIN_GATEWAY_KEY", "STRIPE_KEY", "PLAIN_WEBHOOK_SECRETS", "STRIPE_WEBHOOK_SECRETS"];

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Who reads it
    #[arg(long, value_enum, default_value_t = Format::Shell)]
    format: Format,
    /// Where the reader finds the AWS port, if not at 127.0.0.1
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    #[command(flatten)]
    state: Which,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Lines for `eval`
    Shell,
    /// The file that `sam local --env-vars` takes
    Sam,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let directory = arguments.state.directory();
    let served = directory.served_by_somebody()?;
    let endpoint = match &arguments.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => format!("http://127.0.0.1:{}", port(&served, &directory)?),
    };
    let stack = served.stack()?;
    match arguments.format {
        Format::Shell => shell(&stack, &endpoint),
        Format::Sam => sam(&stack, &endpoint),
    }
    Ok(())
}

fn port(served: &Served, directory: &StateDirectory) -> Result<u16, Failure> {
    let state = directory.path().display();
    let with_a_port = format!("paidonce serve --aws-port 4566 --state {state}");
    let port = served.aws_port.ok_or_else(|| {
        Failure::Failed(format!("{state} was last served without an AWS port\nserve it with one: {with_a_port}"))
    })?;
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(port),
        Err(error) => Err(Failure::Failed(format!(
            "nothing answers at the AWS port {port} of {state}: {error}\nstart the server: {with_a_port}"
        ))),
    }
}

fn shell(stack: &Stack, endpoint: &str) {
    let mut variables: BTreeMap<&str, &str> = BTreeMap::new();
    for function in &stack.functions {
        let told = function.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        variables.extend(told.filter(|(name, _)| !KNOWN_TO_ONE.contains(name)));
    }
    // One SDK reads the one name of the region, another the other.
    variables.extend([
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", &stack.region),
        ("AWS_DEFAULT_REGION", &stack.region),
        ("AWS_ACCESS_KEY_ID", CREDENTIAL),
        ("AWS_SECRET_ACCESS_KEY", CREDENTIAL),
    ]);
    for (name, value) in variables {
        say(format_args!("export {name}={}", quoted(value)));
    }
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// One object for each function, with every variable that the template declares for it; SAM passes over all others.
fn sam(stack: &Stack, endpoint: &str) {
    let functions: BTreeMap<&str, BTreeMap<&str, &str>> = stack
        .functions
        .iter()
        .map(|function| {
            let declared = function.environment.iter().map(|(name, value)| match name.as_str() {
                "AWS_ENDPOINT_URL" => (name.as_str(), endpoint),
                name => (name, value.as_str()),
            });
            (function.logical_id.as_str(), declared.collect())
        })
        .collect();
    say(format_args!("{:#}", json!(functions)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_a_value_as_it_is() {
        assert_eq!(quoted(r#"{"keys":[]} it's $HOME"#), r#"'{"keys":[]} it'\''s $HOME'"#);
    }
}
