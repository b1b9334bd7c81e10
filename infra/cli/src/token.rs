//! `paidonce token`: signs a token with the key of a state directory. Only the token is printed, so that it can stand
//! in a command: `curl -H "Authorization: Bearer $(paidonce token)" …`.

use domain::Timestamp;
use local_cloud::Clock;
use platform::tokens::{Audience, Claims};

use crate::failure::Failure;
use crate::state::Which;
use crate::terminal::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Who the token says calls
    #[arg(long, default_value = "alice")]
    user: String,
    /// What the caller may do besides, space-separated: "stock slots"
    #[arg(long, default_value = "")]
    scope: String,
    /// How long it is valid; -1 makes one that has expired
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    hours: i16,
    #[command(flatten)]
    state: Which,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.user.is_empty() {
        return Err(Failure::Usage("--user is empty; name who calls, such as --user alice".to_owned()));
    }
    let directory = arguments.state.directory();
    let key = directory.signing_key()?;
    let believed = local_system::config(&directory.served()?.stack()?)?.tokens;
    let now = Timestamp::from_millis(Clock::wall().now_ms());
    let claims = Claims {
        iss: believed.issuer,
        sub: arguments.user.clone(),
        aud: Audience::One(believed.audience),
        exp: now.as_seconds() + i64::from(arguments.hours) * 3600,
        nbf: None,
        scope: arguments.scope.clone(),
    };
    say(key.sign(&claims).map_err(|error| Failure::Failed(format!("the token cannot be signed: {error}")))?);
    Ok(())
}
