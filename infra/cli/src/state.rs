//! A state directory beside what the cloud keeps in it: the key that signs local tokens, and what was last served
//! from it, so that whoever reads the state later reads it as it was written.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER};
use local_cloud::stack::Stack;
use local_cloud::{Cloud, CloudError, Snapshot};
use platform::App;
use platform::chance::{Chance, NoChance};
use platform::tokens::SigningKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;

const KEY: &str = "signing-key.p8";
const SERVED: &str = "served.json";
const GATEWAY_SECRETS: &str = "gateway-secrets.json";
const GATEWAY_BOOK: &str = "gateway.jsonl";

/// Which state directory, for the commands that look into one.
#[derive(clap::Args)]
pub(crate) struct Which {
    /// The state directory of the server, stopped or running
    #[arg(long, value_name = "DIR", default_value = ".paidonce", global = true)]
    state: PathBuf,
}

impl Which {
    pub(crate) fn directory(&self) -> StateDirectory {
        StateDirectory(self.state.clone())
    }
}

#[derive(Clone)]
pub(crate) struct StateDirectory(PathBuf);

/// What a state directory is served with.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Served {
    pub(crate) template: String,
    pub(crate) parameters: BTreeMap<String, String>,
    /// Where the AWS services are while it is served. A server that was killed leaves it behind, so it counts only while
    /// the directory has an owner.
    #[serde(default)]
    pub(crate) aws_port: Option<u16>,
    /// Where the payment gateway's stand-in is while it is served; as with the other.
    #[serde(default)]
    pub(crate) gateway_port: Option<u16>,
}

/// What the payment gateway's stand-in and the functions share.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct GatewaySecrets {
    pub(crate) api_key: String,
    pub(crate) plain_webhooks: String,
    pub(crate) stripe_webhooks: String,
}

impl GatewaySecrets {
    fn generate() -> Result<Self, NoChance> {
        let chance = Chance::of_the_system();
        let secret = |bytes: [u8; 32]| format!("whsec_{}", BASE64.encode(&bytes));
        Ok(Self {
            api_key: format!("sk_local_{}", HEXLOWER.encode(&chance.bytes::<16>()?)),
            plain_webhooks: secret(chance.bytes()?),
            stripe_webhooks: secret(chance.bytes()?),
        })
    }
}

/// The newest format of what is kept of it that this version knows.
const FORMAT: u32 = 1;

/// As it is kept. Before there was a number, the format was the first.
#[derive(Serialize, Deserialize)]
struct Kept<S> {
    #[serde(default = "first_format")]
    format: u32,
    #[serde(flatten)]
    served: S,
}

const fn first_format() -> u32 {
    1
}

impl Served {
    pub(crate) fn stack(&self) -> Result<Stack, Failure> {
        Ok(local_system::stack(&self.template, local_system::STACK_NAME, self.parameters.clone())?)
    }
}

impl StateDirectory {
    pub(crate) fn new(path: PathBuf) -> Result<Self, Failure> {
        let directory = Self(path);
        std::fs::create_dir_all(&directory.0).map_err(|error| directory.unusable(error))?;
        // Whatever else is wrong with it, serving writes it anew.
        let kept = std::fs::read(directory.0.join(SERVED)).ok();
        if let Some(Kept { format, .. }) = kept.and_then(|json| serde_json::from_slice::<Kept<Value>>(&json).ok()) {
            directory.refuse_newer(format)?;
        }
        Ok(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The key that signs this directory's tokens, made when it is first asked for.
    pub(crate) fn signing_key_or_new(&self) -> Result<SigningKey, Failure> {
        if !self.0.join(KEY).exists() {
            let new = SigningKey::generate().map_err(|_| Failure::Failed("no key can be made here".to_owned()))?;
            self.write_once(KEY, &new).map_err(|error| self.unusable(error))?;
        }
        self.signing_key()
    }

    pub(crate) fn signing_key(&self) -> Result<SigningKey, Failure> {
        SigningKey::from_pkcs8(&self.signing_key_bytes()?).map_err(|_| {
            let path = self.0.join(KEY);
            let path = path.display();
            Failure::Failed(format!("{path} is no Ed25519 key: delete it, and the next start makes a new one"))
        })
    }

    /// The same key, as the function that signs in is told it.
    pub(crate) fn signing_key_as_text(&self) -> Result<String, Failure> {
        Ok(SigningKey::as_text(&self.signing_key_bytes()?))
    }

    fn signing_key_bytes(&self) -> Result<Vec<u8>, Failure> {
        std::fs::read(self.0.join(KEY)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => CloudError::NoState { directory: self.0.clone() }.into(),
            _ => self.unusable(error),
        })
    }

    /// What its payment gateway and its functions share, made when it is first asked for.
    pub(crate) fn gateway_secrets_or_new(&self) -> Result<GatewaySecrets, Failure> {
        let path = self.0.join(GATEWAY_SECRETS);
        if !path.exists() {
            let new = GatewaySecrets::generate().map_err(|error| Failure::Failed(error.to_string()))?;
            let json = serde_json::to_vec(&new).expect("text under text keys is JSON");
            self.write_once(GATEWAY_SECRETS, &json).map_err(|error| self.unusable(error))?;
        }
        let json = std::fs::read(&path).map_err(|error| self.unusable(error))?;
        serde_json::from_slice(&json).map_err(|error| {
            let path = path.display();
            Failure::Failed(format!("{path} cannot be read: {error}\ndelete it, and the next start makes new secrets"))
        })
    }

    /// Where the payment gateway's stand-in writes what it did.
    pub(crate) fn gateway_book(&self) -> PathBuf {
        self.0.join(GATEWAY_BOOK)
    }

    pub(crate) fn keep(&self, served: &Served) -> Result<(), Failure> {
        let json = serde_json::to_vec(&Kept { format: FORMAT, served }).expect("text under text keys is JSON");
        let replaced = self.write_beside(&json).and_then(|file| Ok(file.persist(self.0.join(SERVED))?));
        replaced.map(drop).map_err(|error| self.unusable(error))
    }

    /// As [`Self::served`], of a directory that has been served.
    pub(crate) fn served_by_somebody(&self) -> Result<Served, Failure> {
        if Cloud::has_state(&self.0) {
            self.served()
        } else {
            Err(CloudError::NoState { directory: self.0.clone() }.into())
        }
    }

    /// What the directory was last served with; the built-in template where nobody said.
    pub(crate) fn served(&self) -> Result<Served, Failure> {
        match std::fs::read(self.0.join(SERVED)) {
            Ok(json) => self.read_served(&json),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Served {
                template: local_system::TEMPLATE.to_owned(),
                parameters: BTreeMap::new(),
                aws_port: None,
                gateway_port: None,
            }),
            Err(error) => Err(self.unusable(error)),
        }
    }

    /// The format first: of a newer one nothing else is known.
    fn read_served(&self, json: &[u8]) -> Result<Served, Failure> {
        let unreadable = |error| {
            let file = self.0.join(SERVED);
            Failure::Failed(format!(
                "{} cannot be read: {error}\nit says what was last served: delete it, and serve the state again as before",
                file.display()
            ))
        };
        let Kept { format, served } = serde_json::from_slice::<Kept<Value>>(json).map_err(unreadable)?;
        self.refuse_newer(format)?;
        serde_json::from_value(served).map_err(unreadable)
    }

    fn refuse_newer(&self, format: u32) -> Result<(), Failure> {
        if format <= FORMAT {
            return Ok(());
        }
        let (directory, found) = (self.0.clone(), i64::from(format));
        Err(CloudError::NewerFormat { directory, found, known: FORMAT.into() }.into())
    }

    /// A copy of the state as it stands, and what reads it.
    pub(crate) fn snapshot(&self) -> Result<(Snapshot, App), Failure> {
        let snapshot = Cloud::snapshot_of(&self.0, self.served()?.stack()?)?;
        let reader = local_system::reader(&snapshot.cloud)?;
        Ok((snapshot, reader))
    }

    /// Whoever else writes it at the same time, one is written whole and both read that one.
    fn write_once(&self, name: &str, content: &[u8]) -> std::io::Result<()> {
        match self.write_beside(content)?.persist_noclobber(self.0.join(name)) {
            Err(refused) if refused.error.kind() != std::io::ErrorKind::AlreadyExists => Err(refused.error),
            _ => Ok(()),
        }
    }

    /// Readable by its owner only, as temporary files are.
    fn write_beside(&self, content: &[u8]) -> std::io::Result<tempfile::NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.0)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    fn unusable(&self, source: std::io::Error) -> Failure {
        CloudError::Directory { directory: self.0.clone(), source }.into()
    }
}
