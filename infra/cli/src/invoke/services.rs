//! Where the services are that the function talks to: in this process, over a state that nobody serves, or behind the
//! AWS port of the server that does.

use std::net::Ipv4Addr;

use local_cloud::stack::Stack;
use local_cloud::{Clock, Cloud, CloudError, Options, Storage};
use platform::Config;
use platform::aws::Way;
use tokio::net::TcpStream;

use super::Arguments;
use crate::failure::Failure;

pub(super) enum Services {
    /// Never started: nothing runs by itself, and what is told stays for whoever serves the state next.
    Here(Cloud),
    Served {
        port: u16,
    },
}

/// What an empty state is told of a gateway, so that the events of cards can be tried: none is there, at an address of this
/// machine, and its callbacks are signed as those under events/ are.
const OF_THE_FIXTURES: [(&str, &str); 4] = [
    ("Gateway", "plain"),
    ("PlainGatewayUrl", "http://127.0.0.1:9"),
    ("PlainGatewayKey", "none"),
    ("PlainWebhookSecrets", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
];

/// What the state is served with, or would be.
pub(super) fn stack(arguments: &Arguments) -> Result<Stack, Failure> {
    if arguments.ephemeral {
        let parameters = OF_THE_FIXTURES.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(local_system::stack(local_system::TEMPLATE, local_system::STACK_NAME, parameters.into())?)
    } else {
        arguments.state.directory().served()?.stack()
    }
}

impl Services {
    pub(super) async fn open(arguments: &Arguments, stack: Stack) -> Result<Self, Failure> {
        let open = |storage| {
            let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
            Cloud::open(stack, Options::new(storage, Clock::wall(), seed))
        };
        if arguments.ephemeral {
            return Ok(Self::Here(open(Storage::Memory)?));
        }
        let directory = arguments.state.directory();
        let path = directory.path();
        if !Cloud::has_state(path) {
            let path = path.display();
            return Err(Failure::Failed(format!(
                "there is no state in {path}: start the system there once, name another directory, or add --ephemeral for \
                 an empty state"
            )));
        }
        match open(Storage::Directory(path.to_owned())) {
            Ok(cloud) => Ok(Self::Here(cloud)),
            Err(CloudError::DirectoryInUse { .. }) => match directory.served()?.aws_port {
                Some(port) => Self::served(port, path).await,
                None => Err(Failure::Failed(format!(
                    "{} is in use by another process, and was last served without an AWS port to reach its services by\n\
                     serve it with --aws-port 4566, or stop that process and invoke over the state itself",
                    path.display()
                ))),
            },
            Err(error) => Err(error.into()),
        }
    }

    async fn served(port: u16, state: &std::path::Path) -> Result<Self, Failure> {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            Ok(_) => Ok(Self::Served { port }),
            Err(error) => Err(Failure::Failed(format!(
                "{} is in use by another process, and nothing answers at its AWS port {port}: {error}\n\
                 wait for that process to end, or serve the state with --aws-port {port}",
                state.display()
            ))),
        }
    }

    /// The way there.
    pub(super) fn network(&self) -> Way {
        match self {
            Self::Here(cloud) => platform::aws::shared(cloud.connector()),
            Self::Served { .. } => platform::aws::network(),
        }
    }

    /// A function's configuration, as it finds the services.
    pub(super) fn reached_by(&self, config: Config) -> Config {
        match self {
            Self::Here(_) => config,
            Self::Served { port } => Config { endpoint_url: Some(format!("http://127.0.0.1:{port}")), ..config },
        }
    }
}
