//! Hashing passwords, which is work by intention: with Argon2id, and no weaker than [`MEMORY_KIB`] and [`PASSES`] say.
//! Nothing here is reached without an [`Attempt`] that was taken from its budget and kept, and an address without a
//! profile takes the very way of one with a profile. It runs beside the thread that waits for it, so that a process
//! that serves others too goes on.

use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::phc::{self, Output, ParamsString, PasswordHash as Phc, Salt};
use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use domain::profiles::{Password, PasswordHash};

use crate::attempts::Attempt;
use crate::chance::Chance;
use crate::http::Problem;

/// What OWASP asks for at least, with [`PASSES`] and one lane. More of it is another number here: what was hashed with
/// less is hashed again when its owner signs in.
pub const MEMORY_KIB: u32 = 19 * 1024;
pub const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

static COMPUTED: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("a password cannot be hashed: {0}")]
    Hash(password_hash::Error),
    #[error("what is kept of a password is no hash")]
    NoHash,
    #[error("there is no chance to be had for a salt")]
    NoChance,
    #[error("the hashing was cut off")]
    CutOff,
}

impl From<password_hash::Error> for PasswordError {
    fn from(error: password_hash::Error) -> Self {
        Self::Hash(error)
    }
}

impl From<phc::Error> for PasswordError {
    fn from(error: phc::Error) -> Self {
        Self::Hash(error.into())
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        tracing::error!(%error, "a request could not be answered");
        Self::internal()
    }
}

/// What came of comparing.
#[derive(Debug)]
pub struct Checked {
    pub is_right: bool,
    /// The same password anew, if it is right and was hashed with less work than is usual now.
    pub renewed: Option<PasswordHash>,
}

/// How often this process has hashed a password.
pub fn computed() -> u64 {
    COMPUTED.load(Ordering::Relaxed)
}

/// Chance that nobody can tell beforehand.
pub fn chance<const BYTES: usize>() -> Result<[u8; BYTES], PasswordError> {
    Chance::of_the_system().bytes().map_err(|_| PasswordError::NoChance)
}

/// Hashes a new password.
pub async fn hash(_: Attempt, password: Password) -> Result<PasswordHash, PasswordError> {
    beside(move || hashed(&password)).await
}

/// Whether it is the password. Where there is none to compare with, just as much is done before it is said to be wrong.
pub async fn check(_: Attempt, password: Password, stored: Option<PasswordHash>) -> Result<Checked, PasswordError> {
    beside(move || {
        let is_anybodys = stored.is_some();
        let stored = stored.map_or_else(nobodys, |stored| Ok(Phc::new(stored.as_phc())?))?;
        if stored.salt.is_none() || stored.hash.is_none() {
            return Err(PasswordError::NoHash);
        }
        COMPUTED.fetch_add(1, Ordering::Relaxed);
        let is_right = match hasher().verify_password(password.as_bytes(), &stored) {
            Ok(()) => is_anybodys,
            Err(password_hash::Error::PasswordInvalid) => false,
            Err(error) => return Err(error.into()),
        };
        let renewed = if is_right && is_weaker(&stored)? { Some(hashed(&password)?) } else { None };
        Ok(Checked { is_right, renewed })
    })
    .await
}

async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
) -> Result<T, PasswordError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(PasswordError::CutOff),
    }
}

const PARAMS: Params = match Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)) {
    Ok(params) => params,
    Err(_) => panic!("these are parameters of Argon2"),
};

fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS)
}

fn hashed(password: &Password) -> Result<PasswordHash, PasswordError> {
    let salt: [u8; SALT_BYTES] = chance()?;
    COMPUTED.fetch_add(1, Ordering::Relaxed);
    let hash = hasher().hash_password_with_salt(password.as_bytes(), &salt)?;
    Ok(PasswordHash::new(hash.to_string()))
}

/// What no password hashes to, at the usual cost.
fn nobodys() -> Result<Phc, PasswordError> {
    Ok(Phc {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&PARAMS)?,
        salt: Some(Salt::new(&[0; SALT_BYTES])?),
        hash: Some(Output::new(&[0; HASH_BYTES])?),
    })
}

fn is_weaker(stored: &Phc) -> Result<bool, PasswordError> {
    let params = Params::try_from(stored)?;
    let is_other = stored.algorithm != Algorithm::Argon2id.ident() || stored.version != Some(Version::V0x13.into());
    Ok(is_other || params.m_cost() < MEMORY_KIB || params.t_cost() < PASSES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.to_owned()).unwrap()
    }

    async fn checked(text: &str, stored: Option<&PasswordHash>) -> Result<Checked, PasswordError> {
        check(Attempt::for_a_test(), password(text), stored.cloned()).await
    }

    fn made_with(algorithm: Algorithm, memory: u32, passes: u32) -> PasswordHash {
        let params = Params::new(memory, passes, 1, None).unwrap();
        let hasher = Argon2::new(algorithm, Version::V0x13, params);
        let hash = hasher.hash_password_with_salt(b"correct horse", b"salt of an older day").unwrap();
        PasswordHash::new(hash.to_string())
    }

    #[tokio::test]
    async fn a_password_is_right_or_wrong_and_two_hashes_of_it_differ() {
        let first = hash(Attempt::for_a_test(), password("correct horse")).await.unwrap();
        let second = hash(Attempt::for_a_test(), password("correct horse")).await.unwrap();
        assert_ne!(first, second);
        assert!(first.as_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", first.as_phc());
        for stored in [&first, &second] {
            let right = checked("correct horse", Some(stored)).await.unwrap();
            assert!(right.is_right && right.renewed.is_none());
            for wrong in ["correct horsf", "Correct horse", "correct horse ", "correct horse\0"] {
                assert!(!checked(wrong, Some(stored)).await.unwrap().is_right, "{wrong}");
            }
        }
    }

    #[tokio::test]
    async fn nobody_has_no_password_at_the_usual_cost() {
        let nobody = nobodys().unwrap();
        assert_eq!(Params::try_from(&nobody).unwrap(), PARAMS);
        let nobody = PasswordHash::new(nobody.to_string());
        let real = hash(Attempt::for_a_test(), password("correct horse")).await.unwrap();
        let until_the_hash = |hash: &PasswordHash| hash.as_phc().split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(until_the_hash(&nobody), until_the_hash(&real));
        assert_eq!(nobody.as_phc().len(), real.as_phc().len());
        assert!(!checked("correct horse", None).await.unwrap().is_right);
    }

    #[tokio::test]
    async fn what_was_hashed_with_less_is_hashed_again_and_what_is_stronger_is_left() {
        for (stored, is_renewed) in [
            (made_with(Algorithm::Argon2id, 1_024, 2), true),
            (made_with(Algorithm::Argon2id, MEMORY_KIB, 1), true),
            (made_with(Algorithm::Argon2i, MEMORY_KIB, 2), true),
            (made_with(Algorithm::Argon2id, MEMORY_KIB, 2), false),
            (made_with(Algorithm::Argon2id, MEMORY_KIB + 1_024, 3), false),
        ] {
            let right = checked("correct horse", Some(&stored)).await.unwrap();
            assert!(right.is_right);
            assert_eq!(right.renewed.is_some(), is_renewed, "{}", stored.as_phc());
            if let Some(renewed) = right.renewed {
                let again = checked("correct horse", Some(&renewed)).await.unwrap();
                assert!(again.is_right && again.renewed.is_none());
            }
            let wrong = checked("wrong horse!", Some(&stored)).await.unwrap();
            assert!(!wrong.is_right && wrong.renewed.is_none());
        }
    }

    #[tokio::test]
    async fn a_hash_that_is_none_is_no_wrong_password() {
        for broken in ["", "plain text", "$argon2id$v=19$m=19456,t=2,p=1", "$2b$12$abcdefghijklmnopqrstuu"] {
            let stored = PasswordHash::new(broken.to_owned());
            assert!(checked("correct horse", Some(&stored)).await.is_err(), "{broken}");
        }
    }
}
