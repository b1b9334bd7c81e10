//! Attempts at signing up and in, each taken from its budgets and kept before anything is done for it. Where that cannot
//! be kept, nothing is done.

use domain::attempts::{self, Budget, SigningIn};
use domain::books::Key;
use domain::ids::{ProfileId, SourceId};
use domain::profiles::{self, PasswordHash, Profile};

use crate::store::{Failure, Needs, Store};

/// That one was taken and kept. There is no other way to one, and one is good for one password.
#[derive(Debug)]
pub struct Attempt(());

impl Attempt {
    #[cfg(test)]
    pub(crate) const fn for_a_test() -> Self {
        Self(())
    }
}

/// An attempt to sign in, and the profile if there is one.
#[derive(Debug)]
pub struct SignIn {
    pub attempt: Attempt,
    pub taken: SigningIn,
    pub profile: Option<Profile>,
}

/// Takes an attempt to sign in. What it reads and writes is the same whether there is such a profile or not.
pub async fn sign_in(store: &Store, id: ProfileId, source: SourceId) -> Result<SignIn, Failure> {
    let (taken, profile) = store
        .decide(Needs::load(attempts::needed_to_sign_in(id, source)), |books, now| {
            books.decide(|draft| {
                let profile = draft.glance(Key::Profile(id))?;
                Ok((attempts::sign_in(draft, id, source, now)?, profile))
            })
        })
        .await?;
    Ok(SignIn { attempt: Attempt(()), taken, profile })
}

/// Takes an attempt to sign up, and says whether the address was taken before.
pub async fn sign_up(store: &Store, id: ProfileId, source: SourceId) -> Result<(Attempt, bool), Failure> {
    let needs = Needs::load([Key::Attempts(Budget::SignUps(source)), Key::Profile(id)]);
    let is_taken = store
        .decide(needs, |books, now| {
            books.decide(|draft| {
                attempts::sign_up(draft, source, now)?;
                Ok(draft.glance::<Profile>(Key::Profile(id))?.is_some())
            })
        })
        .await?;
    Ok((Attempt(()), is_taken))
}

/// Keeps that an attempt was right: what it took is given back, its source is known, and a weaker hash is replaced.
pub async fn signed_in(
    store: &Store,
    taken: SigningIn,
    profile: &Profile,
    renewed: Option<&PasswordHash>,
) -> Result<(), Failure> {
    let needs = Needs::load(attempts::needed_to_sign_in(taken.profile, taken.source));
    store
        .decide(needs, |books, now| {
            books.decide(|draft| {
                attempts::signed_in(draft, taken, now)?;
                renewed.map_or(Ok(()), |renewed| profiles::renew(draft, profile, renewed.clone()))
            })
        })
        .await
}
