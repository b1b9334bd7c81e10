//! Profiles: who signs up with an e-mail address and a password. The address is hashed into the profile's id and then
//! let go; the password is here only as what `platform` made of it.
//!
//! Deliberately absent: that somebody has the mail of an address, and scopes. What a profile's token may do is what any
//! customer may.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::books::{Draft, Halt, Key};
use crate::ids::{CustomerId, Digest, Nonce, ProfileId};
use crate::{Refusal, Timestamp};

/// What somebody signs in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    pub id: ProfileId,
    /// Never changed: with it the customer would.
    pub nonce: Nonce,
    pub password: PasswordHash,
    pub created_at: Timestamp,
}

/// A password's hash with what it was made with, as a PHC string. It is not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    pub const fn new(phc: String) -> Self {
        Self(phc)
    }

    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A password as it was sent: not trimmed, not folded, and not shown.
pub struct Password(String);

impl Password {
    /// In characters.
    pub const SHORTEST: usize = 8;
    /// In characters. Far beyond what is remembered, and not so much that hashing it would be work.
    pub const LONGEST: usize = 128;

    pub fn new(text: String) -> Result<Self, Refusal> {
        match text.chars().take(Self::LONGEST + 1).count() {
            ..Self::SHORTEST => Err(Refusal::PasswordTooShort),
            Self::SHORTEST..=Self::LONGEST => Ok(Self(text)),
            _ => Err(Refusal::PasswordTooLong),
        }
    }

    pub const fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Profile {
    /// What a token names it by. No two profiles have the same, whatever is written into them, since the id is in it;
    /// and whoever sees it cannot try addresses on it, since the nonce is.
    pub fn subject(&self) -> String {
        Digest::of("subject", &[self.id.digest().bytes(), self.nonce.digest().bytes()]).to_string()
    }

    /// Whom its tokens name, in a stack that signs them as `issuer`.
    pub fn customer(&self, issuer: &str) -> CustomerId {
        CustomerId::of(issuer, &self.subject())
    }
}

/// What signing up asks for.
#[derive(Clone, Debug)]
pub struct SignUp {
    pub id: ProfileId,
    pub nonce: Nonce,
    pub password: PasswordHash,
}

/// Takes an address for a new profile, or finds it taken. A repeat finds its own profile taken too: that it knows the
/// password would be for signing in to find out, where attempts are counted.
pub fn sign_up(draft: &mut Draft<'_>, sign_up: &SignUp, now: Timestamp) -> Result<Profile, Halt> {
    if draft.get::<Profile>(Key::Profile(sign_up.id))?.is_some() {
        return Err(Refusal::EmailTaken.into());
    }
    let SignUp { id, nonce, password } = sign_up.clone();
    let profile = Profile { id, nonce, password, created_at: now };
    draft.put(profile.clone())?;
    Ok(profile)
}

/// Keeps a newer hash of the same password, unless the password has changed meanwhile.
pub fn renew(draft: &mut Draft<'_>, checked: &Profile, password: PasswordHash) -> Result<(), Halt> {
    match draft.get::<Profile>(Key::Profile(checked.id))? {
        Some(profile) if profile == *checked => draft.put(Profile { password, ..profile }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::{Books, Change, Found, Kept as _};

    const NOW: Timestamp = Timestamp::from_millis(1_795_240_383_007);

    fn hash(text: &str) -> PasswordHash {
        PasswordHash::new(text.to_owned())
    }

    fn asked(email: &str, chance: u8) -> SignUp {
        SignUp {
            id: ProfileId::of_email(email).unwrap(),
            nonce: Nonce::of(&[chance; 32]),
            password: hash("$argon2id$first"),
        }
    }

    fn laid(found: Option<Profile>, id: ProfileId) -> Books {
        let mut books = Books::default();
        books.lay(Key::Profile(id), found.map(|profile| Found { item: profile.into_item(), version: 1 }));
        books
    }

    #[test]
    fn an_address_is_taken_once() {
        let asked = asked("alice@example.com", 1);
        let profile = laid(None, asked.id).decide(|draft| sign_up(draft, &asked, NOW)).unwrap();
        assert_eq!((profile.id, profile.created_at), (asked.id, NOW));
        let taken = laid(Some(profile), asked.id).decide(|draft| sign_up(draft, &asked, NOW));
        assert_eq!(taken, Err(Halt::Refused(Refusal::EmailTaken)));
    }

    #[test]
    fn a_subject_is_of_its_profile_and_cannot_be_told_from_the_address() {
        let profile = |email, chance| {
            let SignUp { id, nonce, password } = asked(email, chance);
            Profile { id, nonce, password, created_at: NOW }
        };
        let alice = profile("alice@example.com", 1);
        assert_eq!(alice.subject(), Profile { password: hash("another"), ..alice.clone() }.subject());
        assert_ne!(alice.subject(), profile("bob@example.com", 1).subject());
        assert_ne!(alice.subject(), profile("alice@example.com", 2).subject());
        assert_ne!(alice.customer("a"), alice.customer("b"), "whom a token names depends on who signed it");
    }

    #[test]
    fn a_hash_is_renewed_unless_the_password_has_changed_meanwhile() {
        let SignUp { id, nonce, password } = asked("alice@example.com", 1);
        let checked = Profile { id, nonce, password, created_at: NOW };
        let changed = Profile { password: hash("$argon2id$other"), ..checked.clone() };
        let renewed = |found: Option<Profile>| {
            let mut books = laid(found, id);
            books.decide(|draft| renew(draft, &checked, hash("$argon2id$stronger"))).unwrap();
            books.changes().into_iter().find_map(|change| match change {
                Change::Put { item, .. } => Profile::of_item(item).map(|profile| profile.password.clone()),
                _ => None,
            })
        };
        assert_eq!(renewed(Some(checked.clone())), Some(hash("$argon2id$stronger")));
        assert_eq!(renewed(Some(changed)), None);
        assert_eq!(renewed(None), None);
    }

    #[test]
    fn a_password_has_a_length_and_nothing_else() {
        let refused = |text: &str| Password::new(text.to_owned()).err();
        for taken in ["12345678", "        ", "пароль!!", &"🫖".repeat(128), "a\0b\nc\u{7f}de"] {
            assert_eq!(refused(taken), None, "{taken:?}");
        }
        for (short, long) in [("", "x".repeat(129)), ("1234567", "🫖".repeat(129)), ("🫖🫖", "x".repeat(60_000))]
        {
            assert_eq!(refused(short), Some(Refusal::PasswordTooShort), "{short}");
            assert_eq!(refused(&long), Some(Refusal::PasswordTooLong));
        }
    }

    #[test]
    fn neither_a_password_nor_its_hash_is_shown() {
        let shown = format!("{:?} {:?}", Password::new("correct horse".to_owned()), hash("$argon2id$secret"));
        assert_eq!(shown, "Ok(Password(…)) PasswordHash(…)");
    }
}
