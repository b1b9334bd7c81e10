//! What somebody signs up and in with, as it stands in a body. It is hashed, and then it is gone.

use domain::ids::ProfileId;
use domain::profiles::Password;
use platform::http::{Problem, Request};

pub(crate) struct Credentials {
    pub(crate) profile: ProfileId,
    pub(crate) password: Password,
}

impl Credentials {
    pub(crate) fn of(request: &Request) -> Result<Self, Problem> {
        let mut fields = request.fields()?;
        // No canonical form is kept of either: no fingerprint is made of them.
        let profile = fields.required("email", |value| Ok((ProfileId::of_email(&value.text()?)?, String::new())))?;
        let password = fields.required("password", |value| Ok((Password::new(value.text()?)?, String::new())))?;
        fields.finish()?;
        Ok(Self { profile, password })
    }
}
