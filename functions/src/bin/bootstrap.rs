//! The one binary of all functions: it runs the one that the template's `Handler` names.

use platform::runtime::{RuntimeError, serve};

const _: () = assert!(!domain::planted::IS_PLANTED, "what is deployed is built without the feature `planted`");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), RuntimeError> {
    let handler = std::env::var("_HANDLER").unwrap_or_default();
    let Some(function) = functions::by_handler(&handler) else {
        let known: Vec<_> = functions::FUNCTIONS.iter().map(|function| function.name).collect();
        let known = known.join(", ");
        return Err(format!("_HANDLER is {handler:?}; the template's Handler must be one of {known}").into());
    };
    serve(*function).await
}
