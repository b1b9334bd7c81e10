//! Why a command did not do what it was asked, in words that end with what to do next, and the exit code for it.

use std::process::ExitCode;

use local_cloud::{CloudError, TemplateError};
use local_system::StartError;

use crate::terminal;

#[derive(Debug)]
pub(crate) enum Failure {
    /// It was called wrongly.
    Usage(String),
    Failed(String),
    /// It did what it was asked and has shown that not all is well.
    Findings,
}

impl Failure {
    pub(crate) fn tell(&self) {
        match self {
            Self::Usage(why) | Self::Failed(why) => terminal::complain(why),
            Self::Findings => {}
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) | Self::Findings => ExitCode::from(1),
        }
    }
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        let of_parameter = match &error {
            TemplateError::NotThere { path, .. } | TemplateError::Invalid { path, .. } => {
                path.strip_prefix("Parameters.").filter(|name| !name.contains('.'))
            }
            TemplateError::Yaml { .. } | TemplateError::NotUnderstood { .. } => None,
        };
        match of_parameter {
            Some(name) => Self::Usage(format!("{error}\nname another value with --parameter {name}=VALUE")),
            None => Self::Failed(format!("the template cannot be served: {error}")),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Template(error) => error.into(),
            StartError::Cloud(error) => error.into(),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<CloudError> for Failure {
    fn from(error: CloudError) -> Self {
        Self::Failed(match &error {
            CloudError::Directory { .. } => {
                format!("{error}\nname a directory that can be read and written, with --state DIR")
            }
            _ => error.to_string(),
        })
    }
}

impl From<platform::Failure> for Failure {
    fn from(error: platform::Failure) -> Self {
        Self::Failed(format!("the state cannot be read: {error}"))
    }
}
