//! A customer's endpoint: where it is, what it verifies us by, and whether it was given up.

use std::fmt;
use std::net::IpAddr;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::{Host, Url};

use super::Reach;
use crate::books::{Draft, Halt, Key};
use crate::ids::CustomerId;
use crate::{Millis, Outcome, Refusal, Timestamp, planted};

/// What a customer set last. It is never deleted, so that its versions go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub customer: CustomerId,
    pub changed_at: Timestamp,
    /// `None` once it was removed; its url and secret are gone with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub url: EndpointUrl,
    pub secret: Secret,
    /// The one before, which is signed with for a while still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Former>,
    pub set_at: Timestamp,
    /// Since when nothing has arrived there, if the last that was tried did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<GivenUp>,
}

/// A secret that was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    pub secret: Secret,
    pub until: Timestamp,
}

/// How long both are valid, so that whoever verifies can change over.
const OVERLAP: Millis = Millis::hours(24);

/// That nothing is sent there any more, until it is set again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    pub at: Timestamp,
    pub because: GaveUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GaveUp {
    /// It answered 410.
    Gone,
    /// Nothing arrived there in all the time in which a delivery is tried.
    Failing,
}

impl Endpoint {
    /// Where notifications are to go now.
    pub fn active(&self) -> Option<&Target> {
        self.target.as_ref().filter(|target| target.given_up.is_none())
    }
}

impl Target {
    /// What is signed with now, the newest first.
    pub fn secrets(&self, now: Timestamp) -> Vec<Secret> {
        let former =
            self.former.filter(|former| now < former.until && !planted!(NoOverlap)).map(|former| former.secret);
        std::iter::once(self.secret).chain(former).collect()
    }
}

/// What both sides know and nobody else: what we sign with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; Secret::BYTES]);

impl Secret {
    pub const BYTES: usize = 32;
    const PREFIX: &str = "whsec_";

    pub const fn of(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    pub const fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text.strip_prefix(Self::PREFIX)?.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// As its owner is shown it.
    pub fn reveal(&self) -> String {
        format!("{}{}", Self::PREFIX, BASE64.encode(&self.0))
    }
}

/// It is shown to nobody by accident.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whsec_…")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.reveal())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("that is no secret of a webhook"))
    }
}

/// A url that may be called, in its one canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndpointUrl(String);

/// Names that mean something only inside some network.
const NAMES_INSIDE: [&str; 4] = ["localhost", "local", "internal", "home.arpa"];

impl EndpointUrl {
    /// In bytes, canonical or as it came.
    pub const LONGEST: usize = 500;
    const HTTPS: u16 = 443;
    /// Ports below are other services', which are not to be knocked at.
    const FIRST_FREE: u16 = 1_024;

    pub fn parse(text: &str, reach: Reach) -> Result<Self, Refusal> {
        if text.len() > Self::LONGEST {
            return Err(Refusal::WebhookUrlTooLong);
        }
        // The parser mends what a browser's address bar would; a url that others are to call needs no mending.
        let is_plain = text.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '\\');
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let url = Url::parse(text).ok().filter(|_| is_plain).ok_or(Refusal::WebhookUrlMalformed)?;
        match (scheme.as_deref(), reach) {
            (None, _) => return Err(Refusal::WebhookUrlMalformed),
            (Some("https"), _) | (Some("http"), Reach::ThisMachineToo) => {}
            (Some(_), _) => return Err(Refusal::WebhookUrlNotHttps),
        }
        let authority = text.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next());
        if authority.is_none_or(|authority| authority.contains('@')) {
            return Err(Refusal::WebhookUrlHasCredentials);
        }
        if url.fragment().is_some() {
            return Err(Refusal::WebhookUrlHasFragment);
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if reach == Reach::Public && port != Self::HTTPS && port < Self::FIRST_FREE || port == 0 {
            return Err(Refusal::WebhookUrlPort);
        }
        let is_allowed = match url.host().ok_or(Refusal::WebhookUrlMalformed)? {
            Host::Domain(name) => reach == Reach::ThisMachineToo || is_name_outside(name),
            Host::Ipv4(address) => reach.allows(address.into()),
            Host::Ipv6(address) => reach.allows(address.into()),
        };
        if !is_allowed {
            return Err(Refusal::WebhookUrlNotPublic);
        }
        if url.as_str().len() > Self::LONGEST {
            return Err(Refusal::WebhookUrlTooLong);
        }
        Ok(Self(url.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address that it names, if it names one and no host. Nobody resolves it, so nobody else checks it.
    pub fn address(&self) -> Option<IpAddr> {
        match Url::parse(&self.0).ok()?.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }
}

/// Whether a name can mean the same to everyone. What it stands for is checked again whenever it is called.
fn is_name_outside(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let ends_in = |inside: &str| name.strip_suffix(inside).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    name.contains('.') && !NAMES_INSIDE.iter().any(|inside| ends_in(inside))
}

/// Sets a customer's endpoint, or sets it anew: what was given up is tried again. `fresh` becomes its secret if it has
/// none, so that putting the same again changes nothing.
pub fn put(
    draft: &mut Draft<'_>,
    customer: CustomerId,
    url: &EndpointUrl,
    fresh: Secret,
    now: Timestamp,
) -> Result<Outcome<Target>, Halt> {
    let found = draft.get::<Endpoint>(Key::Endpoint(customer))?.and_then(|endpoint| endpoint.target);
    let is_set = |target: &&Target| target.given_up.is_none() || planted!(GivenUpForEver);
    if let Some(found) = found.as_ref().filter(|target| target.url == *url).filter(is_set) {
        return Ok(Outcome::AlreadyDone(found.clone()));
    }
    let found = found.filter(|_| !planted!(SecretAnew));
    let (secret, former) = found.map_or((fresh, None), |target| (target.secret, target.former));
    let target = Target { url: url.clone(), secret, former, set_at: now, failing_since: None, given_up: None };
    draft.put(Endpoint { customer, changed_at: now, target: Some(target.clone()) })?;
    Ok(Outcome::Done(target))
}

/// Replaces the secret by a fresh one; for a day both are signed with. Naming the one that is replaced is what makes a
/// repeat do it once.
pub fn rotate(
    draft: &mut Draft<'_>,
    customer: CustomerId,
    replaced: Secret,
    fresh: Secret,
    now: Timestamp,
) -> Result<Outcome<Target>, Halt> {
    let found = draft.get::<Endpoint>(Key::Endpoint(customer))?.and_then(|endpoint| endpoint.target);
    let target = found.ok_or(Refusal::WebhookNotFound)?;
    if target.former.is_some_and(|former| former.secret == replaced) && !planted!(ReplacedTwice) {
        return Ok(Outcome::AlreadyDone(target));
    }
    if target.secret != replaced && !planted!(ReplacedTwice) {
        return Err(Refusal::WebhookSecretNotCurrent.into());
    }
    let former = Some(Former { secret: replaced, until: now.after(OVERLAP) });
    let target = Target { secret: fresh, former, ..target };
    draft.put(Endpoint { customer, changed_at: now, target: Some(target.clone()) })?;
    Ok(Outcome::Done(target))
}

/// Ends it. What is on its way there ends when it is next taken up.
pub fn remove(draft: &mut Draft<'_>, customer: CustomerId, now: Timestamp) -> Result<Outcome<()>, Halt> {
    let found = draft.get::<Endpoint>(Key::Endpoint(customer))?;
    if found.is_none_or(|endpoint| endpoint.target.is_none()) {
        return Ok(Outcome::AlreadyDone(()));
    }
    draft.put(Endpoint { customer, changed_at: now, target: None })?;
    Ok(Outcome::Done(()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::books::{Books, Found, Kept};

    #[test]
    fn a_url_is_kept_in_its_canonical_form() {
        for (text, kept) in [
            ("https://example.com/hooks?a=b", "https://example.com/hooks?a=b"),
            ("HTTPS://Example.COM", "https://example.com/"),
            ("https://example.com:443/", "https://example.com/"),
            ("https://example.com:8443/a/../b", "https://example.com:8443/b"),
            ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
            ("https://8.8.8.8/", "https://8.8.8.8/"),
            ("https://[2606:4700:4700::1111]:1024/", "https://[2606:4700:4700::1111]:1024/"),
            ("https://internal.example.com/", "https://internal.example.com/"),
            ("https://notlocal.example/", "https://notlocal.example/"),
        ] {
            assert_eq!(EndpointUrl::parse(text, Reach::Public).unwrap().as_str(), kept, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_named() {
        let long = format!("https://example.com/{}", "x".repeat(EndpointUrl::LONGEST));
        let long_when_canonical = format!("https://example.com/{}", "é".repeat(240));
        for (text, refusal) in [
            ("", Refusal::WebhookUrlMalformed),
            ("example.com", Refusal::WebhookUrlMalformed),
            ("/hooks", Refusal::WebhookUrlMalformed),
            ("https:example.com", Refusal::WebhookUrlMalformed),
            ("https://", Refusal::WebhookUrlMalformed),
            ("https://exa mple.com/", Refusal::WebhookUrlMalformed),
            ("https://example.com/a b", Refusal::WebhookUrlMalformed),
            ("https://example.com\n/", Refusal::WebhookUrlMalformed),
            (" https://example.com/", Refusal::WebhookUrlMalformed),
            ("https:\\\\example.com", Refusal::WebhookUrlMalformed),
            ("https://example.com:65536/", Refusal::WebhookUrlMalformed),
            ("https://1.2.3.4.5/", Refusal::WebhookUrlMalformed),
            ("https://[::1/", Refusal::WebhookUrlMalformed),
            ("https://exa%00mple.com/", Refusal::WebhookUrlMalformed),
            (&long, Refusal::WebhookUrlTooLong),
            (&long_when_canonical, Refusal::WebhookUrlTooLong),
            ("http://example.com/", Refusal::WebhookUrlNotHttps),
            ("ftp://example.com/", Refusal::WebhookUrlNotHttps),
            ("file:///etc/passwd", Refusal::WebhookUrlNotHttps),
            ("gopher://example.com/", Refusal::WebhookUrlNotHttps),
            ("https://user@example.com/", Refusal::WebhookUrlHasCredentials),
            ("https://user:word@example.com/", Refusal::WebhookUrlHasCredentials),
            ("https://@example.com/", Refusal::WebhookUrlHasCredentials),
            ("https://example.com/#part", Refusal::WebhookUrlHasFragment),
            ("https://example.com/#", Refusal::WebhookUrlHasFragment),
            ("https://example.com:0/", Refusal::WebhookUrlPort),
            ("https://example.com:22/", Refusal::WebhookUrlPort),
            ("https://example.com:80/", Refusal::WebhookUrlPort),
            ("https://example.com:1023/", Refusal::WebhookUrlPort),
            ("https://localhost/", Refusal::WebhookUrlNotPublic),
            ("https://LOCALHOST./", Refusal::WebhookUrlNotPublic),
            ("https://a.localhost/", Refusal::WebhookUrlNotPublic),
            ("https://printer.local/", Refusal::WebhookUrlNotPublic),
            ("https://ip-10-0-0-1.eu-central-1.compute.internal/", Refusal::WebhookUrlNotPublic),
            ("https://router.home.arpa/", Refusal::WebhookUrlNotPublic),
            ("https://intranet/", Refusal::WebhookUrlNotPublic),
            ("https://127.0.0.1/", Refusal::WebhookUrlNotPublic),
            ("https://127.1/", Refusal::WebhookUrlNotPublic),
            ("https://2130706433/", Refusal::WebhookUrlNotPublic),
            ("https://0x7f.0.0.1/", Refusal::WebhookUrlNotPublic),
            ("https://0177.0.0.1/", Refusal::WebhookUrlNotPublic),
            ("https://0/", Refusal::WebhookUrlNotPublic),
            ("https://169.254.169.254/latest/meta-data/", Refusal::WebhookUrlNotPublic),
            ("https://169.254.169.254./", Refusal::WebhookUrlNotPublic),
            ("https://１２７.0.0.1/", Refusal::WebhookUrlNotPublic),
            ("https://[::1]/", Refusal::WebhookUrlNotPublic),
            ("https://[::ffff:10.0.0.1]/", Refusal::WebhookUrlNotPublic),
            ("https://[fd00:ec2::254]/", Refusal::WebhookUrlNotPublic),
        ] {
            assert_eq!(EndpointUrl::parse(text, Reach::Public), Err(refusal), "{text}");
        }
    }

    #[test]
    fn a_machine_of_ones_own_may_be_called_without_tls_and_others_networks_not() {
        for text in ["http://127.0.0.1:8080/", "http://localhost:80/", "http://[::1]:9000/hook", "https://localhost/"] {
            assert!(EndpointUrl::parse(text, Reach::ThisMachineToo).is_ok(), "{text}");
        }
        for (text, refusal) in [
            ("http://10.0.0.1/", Refusal::WebhookUrlNotPublic),
            ("http://169.254.169.254/", Refusal::WebhookUrlNotPublic),
            ("http://localhost:0/", Refusal::WebhookUrlPort),
            ("ftp://localhost/", Refusal::WebhookUrlNotHttps),
        ] {
            assert_eq!(EndpointUrl::parse(text, Reach::ThisMachineToo), Err(refusal), "{text}");
        }
    }

    #[test]
    fn a_secret_comes_back_and_is_shown_to_nobody_by_accident() {
        let secret = Secret::of([7; 32]);
        assert_eq!(Secret::parse(&secret.reveal()), Some(secret));
        assert!(!format!("{secret:?}").contains(&secret.reveal()[6..]));
        for wrong in ["", "whsec_", "whsec_c2hvcnQ=", &secret.reveal()[6..], &format!("{}=", secret.reveal())] {
            assert_eq!(Secret::parse(wrong), None, "{wrong}");
        }
    }

    fn url(text: &str) -> EndpointUrl {
        EndpointUrl::parse(text, Reach::Public).unwrap()
    }

    #[test]
    fn putting_it_again_changes_nothing_and_the_secret_stays() {
        let customer = CustomerId::of("test", "alice");
        let at = Timestamp::from_millis;
        let mut books = Books::default();
        books.lay(Key::Endpoint(customer), None);
        let set = |books: &mut Books, text, byte, now| {
            books.decide(|draft| put(draft, customer, &url(text), Secret::of([byte; 32]), at(now))).unwrap()
        };
        let first = set(&mut books, "https://example.com/a", 1, 1).into_inner();
        assert_eq!((first.secret, first.set_at), (Secret::of([1; 32]), at(1)));
        assert_eq!(set(&mut books, "https://example.com/a", 2, 2), Outcome::AlreadyDone(first));
        let moved = set(&mut books, "https://example.com/b", 3, 3).into_inner();
        assert_eq!((moved.secret, moved.set_at), (Secret::of([1; 32]), at(3)));
        assert_eq!(books.decide(|draft| remove(draft, customer, at(4))), Ok(Outcome::Done(())));
        assert_eq!(books.decide(|draft| remove(draft, customer, at(5))), Ok(Outcome::AlreadyDone(())));
        let anew = set(&mut books, "https://example.com/b", 4, 6).into_inner();
        assert_eq!(anew.secret, Secret::of([4; 32]), "what was removed is not what is set");
    }

    #[test]
    fn what_was_given_up_is_set_again() {
        let customer = CustomerId::of("test", "alice");
        let now = Timestamp::from_millis(9);
        let given_up = Some(GivenUp { at: now, because: GaveUp::Gone });
        let target = Target {
            url: url("https://example.com/"),
            secret: Secret::of([1; 32]),
            former: None,
            set_at: Timestamp::from_millis(1),
            failing_since: Some(now),
            given_up,
        };
        let endpoint = Endpoint { customer, changed_at: now, target: Some(target.clone()) };
        assert_eq!(endpoint.active(), None);
        let mut books = Books::default();
        books.lay(endpoint.key(), Some(Found { item: endpoint.into_item(), version: 3 }));
        let again = books.decide(|draft| put(draft, customer, &target.url, Secret::of([2; 32]), now)).unwrap();
        assert_eq!(again, Outcome::Done(Target { set_at: now, failing_since: None, given_up: None, ..target }));
    }

    #[test]
    fn a_secret_is_replaced_once_and_both_are_valid_for_a_day() {
        let customer = CustomerId::of("test", "alice");
        let [first, second, third, fourth] = [1, 2, 3, 4].map(|byte| Secret::of([byte; 32]));
        let now = Timestamp::from_millis(5);
        let mut books = Books::default();
        books.lay(Key::Endpoint(customer), None);
        let replace =
            |books: &mut Books, replaced, fresh| books.decide(|draft| rotate(draft, customer, replaced, fresh, now));
        assert_eq!(replace(&mut books, first, second), Err(Halt::Refused(Refusal::WebhookNotFound)));
        books.decide(|draft| put(draft, customer, &url("https://example.com/"), first, now)).unwrap();
        let target = replace(&mut books, first, second).unwrap().into_inner();
        assert_eq!(target.secrets(now), [second, first]);
        let day = now.after(Millis::hours(24));
        assert_eq!(target.secrets(day.before(Millis(1))), [second, first]);
        assert_eq!(target.secrets(day), [second]);
        assert_eq!(replace(&mut books, first, third), Ok(Outcome::AlreadyDone(target)), "the answer was lost");
        assert_eq!(replace(&mut books, third, fourth), Err(Halt::Refused(Refusal::WebhookSecretNotCurrent)));
        let moved = books.decide(|draft| put(draft, customer, &url("https://example.com/b"), fourth, now)).unwrap();
        assert_eq!(moved.into_inner().secrets(now), [second, first], "wherever it is");
        assert_eq!(replace(&mut books, second, third).unwrap().into_inner().secrets(now), [third, second]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_kept_is_canonical(text in "(https?://)?[ -~é]{0,40}(:[0-9]{0,6})?(/[ -~é]{0,20})?") {
            for reach in [Reach::Public, Reach::ThisMachineToo] {
                if let Ok(kept) = EndpointUrl::parse(&text, reach) {
                    prop_assert_eq!(EndpointUrl::parse(kept.as_str(), reach), Ok(kept.clone()));
                    prop_assert!(kept.address().is_none_or(|address| reach.allows(address)));
                }
            }
        }
    }
}
