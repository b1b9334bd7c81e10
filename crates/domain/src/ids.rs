//! Names of things. An id is a hash over length-prefixed parts, so that no two different lists of parts make the same
//! one, and an id that derives from an idempotency key *is* the record that the key was used.

use std::fmt;
use std::net::IpAddr;

use data_encoding::{BASE32_NOPAD, Encoding, Specification};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::{Refusal, planted};

const BYTES: usize = 20;
const LETTERS: usize = 32;

/// 160 bits of SHA-256 over length-prefixed parts, written as 32 letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; BYTES]);

impl Digest {
    /// `kind` keeps the hashes of different things apart.
    pub fn of(kind: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in std::iter::once(kind.as_bytes()).chain(parts.iter().copied()) {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let whole = hasher.finalize();
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&whole[..BYTES]);
        Self(bytes)
    }

    /// Only what `Display` writes is read.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != LETTERS || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let bytes = lower_case().decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    pub(crate) const fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// The first byte, for spreading over shards.
    pub const fn first_byte(&self) -> u8 {
        self.0[0]
    }
}

fn lower_case() -> &'static Encoding {
    static ENCODING: std::sync::LazyLock<Encoding> = std::sync::LazyLock::new(|| {
        let mut specification: Specification = BASE32_NOPAD.specification();
        specification.symbols.make_ascii_lowercase();
        specification.encoding().expect("base 32 in lower case is an encoding")
    });
    &ENCODING
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&lower_case().encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("{text:?} is no id")))
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Digest);

        impl $name {
            pub fn parse(text: &str) -> Option<Self> {
                Digest::parse(text).map(Self)
            }

            pub const fn digest(&self) -> &Digest {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// Who calls: the hash of a token's issuer and subject.
    CustomerId,
    /// An order, from its customer and idempotency key.
    OrderId,
    /// A deposit, from its customer and idempotency key.
    DepositId,
    /// A receipt of stock, from who took it in and the idempotency key.
    ReceiptId,
    /// A payment: from its order, from its customer and idempotency key, or from the event that told of it.
    PaymentId,
    /// Money given back of a payment: from who asked and the idempotency key, or from the order that ended.
    RefundId,
    /// What a gateway called back with, by the gateway's own id for it.
    CallbackId,
    /// The bytes of a callback.
    BodyHash,
    /// What a request asked for, to tell a repeat from another request under the same key.
    Fingerprint,
    /// Something that could not be read, by its content.
    UnreadableId,
    /// A profile, from its e-mail address; the address itself is kept nowhere.
    ProfileId,
    /// Where a call comes from.
    SourceId,
    /// What of a profile's subject was left to chance, so that nobody can tell the subject from the address.
    Nonce,
}

impl CustomerId {
    pub fn of(issuer: &str, subject: &str) -> Self {
        Self(Digest::of("customer", &[issuer.as_bytes(), subject.as_bytes()]))
    }

    /// Whose is what belongs to nobody here. No token names them, whatever its issuer and subject are.
    pub fn nobody() -> Self {
        Self(Digest::of("nobody", &[]))
    }
}

impl OrderId {
    pub fn of(customer: &CustomerId, key: &IdempotencyKey) -> Self {
        let whose: &[u8] = if planted!(KeyWithoutCustomer) { &[] } else { &customer.0.0 };
        Self(Digest::of("order", &[whose, key.as_bytes()]))
    }
}

impl DepositId {
    pub fn of(customer: &CustomerId, key: &IdempotencyKey) -> Self {
        Self(Digest::of("deposit", &[&customer.0.0, key.as_bytes()]))
    }
}

impl ReceiptId {
    pub fn of(keeper: &CustomerId, key: &IdempotencyKey) -> Self {
        Self(Digest::of("receipt", &[&keeper.0.0, key.as_bytes()]))
    }
}

impl PaymentId {
    /// The one payment that an order is paid by.
    pub fn of_order(order: &OrderId) -> Self {
        Self(Digest::of("payment", &[b"order", &order.0.0]))
    }

    /// For an order that is kept elsewhere.
    pub fn of_request(customer: &CustomerId, key: &IdempotencyKey) -> Self {
        Self(Digest::of("payment", &[b"request", &customer.0.0, key.as_bytes()]))
    }

    /// Told of by an inventory event.
    pub fn of_event(key: &IdempotencyKey) -> Self {
        Self(Digest::of("payment", &[b"event", key.as_bytes()]))
    }
}

impl RefundId {
    pub fn of_request(customer: &CustomerId, key: &IdempotencyKey) -> Self {
        Self(Digest::of("refund", &[b"request", &customer.0.0, key.as_bytes()]))
    }

    /// Of an order that has ended: all that was captured for it, once.
    pub fn of_order(order: &OrderId) -> Self {
        Self(Digest::of("refund", &[b"order", &order.0.0]))
    }
}

impl CallbackId {
    pub fn of(gateway: &str, id: &str) -> Self {
        Self(Digest::of("callback", &[gateway.as_bytes(), id.as_bytes()]))
    }

    /// Another that came under the same id.
    pub fn with_another_body(&self, body: &BodyHash) -> Self {
        Self(Digest::of("callback again", &[&self.0.0, &body.0.0]))
    }
}

impl BodyHash {
    pub fn of(body: &[u8]) -> Self {
        Self(Digest::of("body", &[body]))
    }
}

impl UnreadableId {
    pub fn of(source: &str, content: &str) -> Self {
        Self(Digest::of("unreadable", &[source.as_bytes(), content.as_bytes()]))
    }
}

impl ProfileId {
    /// The longest address that mail is carried to.
    pub const LONGEST_EMAIL: usize = 254;

    /// Letters count as one whether small or capital, in the whole of it: one person writes it now so and now so, and
    /// no two are told apart by it.
    pub fn of_email(text: &str) -> Result<Self, Refusal> {
        if text.len() > Self::LONGEST_EMAIL {
            return Err(Refusal::EmailTooLong);
        }
        if !is_email(text) {
            return Err(Refusal::EmailMalformed);
        }
        Ok(Self(Digest::of("profile", &[text.to_ascii_lowercase().as_bytes()])))
    }
}

/// What a browser takes in a field for e-mail addresses, and at most 64 bytes before the @. Nothing is trimmed. Letters
/// beyond ASCII are not taken: two that look alike would be two people.
fn is_email(text: &str) -> bool {
    let is_local = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let Some((local, domain)) = text.split_once('@') else { return false };
    (1..=64).contains(&local.len()) && local.bytes().all(is_local) && domain.split('.').all(is_label)
}

impl SourceId {
    /// An address of IPv4, or the 64 bits of one of IPv6 that are a network's: whoever has one has all the rest.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Digest::of("source", &[&address.octets()]),
            IpAddr::V6(address) => Digest::of("source", &[&address.octets()[..8]]),
        })
    }
}

impl Nonce {
    pub fn of(chance: &[u8; 32]) -> Self {
        Self(Digest::of("nonce", &[chance]))
    }
}

impl Fingerprint {
    /// Over the fields that the request has, by name and canonical value, and the route. Their order in the request
    /// does not count, and neither does what a default would have filled in.
    pub fn of(route: &str, fields: &[(&str, String)]) -> Self {
        let mut sorted: Vec<_> = fields.iter().collect();
        sorted.sort_unstable();
        let mut parts: Vec<&[u8]> = vec![route.as_bytes()];
        for (name, value) in sorted {
            parts.push(name.as_bytes());
            parts.push(value.as_bytes());
        }
        Self(Digest::of("request", &parts))
    }
}

/// The longest name that the shop gives to its things.
pub const LONGEST_NAME: usize = 32;

/// A short name, held in place. Filled up with zeros, which no name holds, so that it sorts as its text does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Name([u8; LONGEST_NAME]);

impl Name {
    fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if text.is_empty() || text.len() > LONGEST_NAME || !text.bytes().all(allowed) {
            return None;
        }
        let mut letters = [0; LONGEST_NAME];
        letters[..text.len()].copy_from_slice(text.as_bytes());
        Some(Self(letters))
    }

    fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(LONGEST_NAME);
        std::str::from_utf8(&self.0[..end]).expect("a name is ASCII")
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $kind:literal, $refusal:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Name);

        impl $name {
            pub fn parse(text: &str) -> Result<Self, Refusal> {
                Name::parse(text).map(Self).ok_or(Refusal::$refusal)
            }

            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// For the ids of the events that it tells.
            pub fn digest(&self) -> Digest {
                Digest::of($kind, &[self.as_str().as_bytes()])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(|refusal| de::Error::custom(format!("{text:?}: {refusal}")))
            }
        }
    )*};
}

names! {
    /// What the shop calls a thing that it sells.
    Sku: "sku", SkuMalformed,
    /// What the shop calls a time at which couriers come.
    SlotId: "slot", SlotIdMalformed,
}

impl SlotId {
    /// The slot of who names none.
    pub fn standard() -> Self {
        Self(Name::parse("standard").expect("it is a name"))
    }
}

/// What the caller chose to name one request by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub const LONGEST: usize = 255;

    /// Bare (`k-1`) or quoted as a structured header field (`"k-1"`); both are the same key. Visible ASCII without
    /// quotes, backslashes, commas and semicolons, so that two folded headers are not taken for one key.
    pub fn parse(header: &str) -> Option<Self> {
        let trimmed = header.trim_matches([' ', '\t']);
        let key = match trimmed.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"')?,
            None => trimmed,
        };
        Self::new(key)
    }

    /// As it stands where it is no header.
    pub fn new(key: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',' | b';');
        (!key.is_empty() && key.len() <= Self::LONGEST && key.bytes().all(allowed)).then(|| Self(key.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(CustomerId::of("ab", "c"), CustomerId::of("a", "bc"));
        let key = IdempotencyKey::parse("k").unwrap();
        let customer = CustomerId::of("i", "s");
        assert_ne!(OrderId::of(&customer, &key).0, DepositId::of(&customer, &key).0);
    }

    #[test]
    fn an_id_is_stable_over_releases() {
        // These stand in tables. A change here makes every stored key unknown.
        assert_eq!(CustomerId::of("local", "alice").to_string(), include_str!("../golden/customer-id.txt").trim());
    }

    #[test]
    fn only_what_is_written_is_read() {
        let id = CustomerId::of("local", "alice");
        assert_eq!(CustomerId::parse(&id.to_string()), Some(id));
        for wrong in ["", "x", &id.to_string().to_uppercase(), &format!("{id}a"), "11111111111111111111111111111111"] {
            assert_eq!(CustomerId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_key_is_bare_or_quoted() {
        assert_eq!(IdempotencyKey::parse("k-1"), IdempotencyKey::parse("\"k-1\""));
        assert_eq!(IdempotencyKey::parse(" k-1 "), IdempotencyKey::parse("k-1"));
        let longest = "k".repeat(IdempotencyKey::LONGEST);
        assert!(IdempotencyKey::parse(&longest).is_some());
        for wrong in
            ["", "\"\"", "\"k", "k\"", "a b", "a,b", "a;b", "\"a\", \"b\"", "ü", "a\u{0}", &format!("{longest}k")]
        {
            assert_eq!(IdempotencyKey::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_fingerprint_ignores_the_order_of_fields_and_nothing_else() {
        let a = ("amount", "100".to_owned());
        let d = ("description", "tea".to_owned());
        let base = Fingerprint::of("POST /orders", &[a.clone(), d.clone()]);
        assert_eq!(base, Fingerprint::of("POST /orders", &[d.clone(), a.clone()]));
        assert_ne!(base, Fingerprint::of("POST /deposits", &[a.clone(), d.clone()]));
        assert_ne!(base, Fingerprint::of("POST /orders", std::slice::from_ref(&a)));
        assert_ne!(base, Fingerprint::of("POST /orders", &[a, d, ("if_unpaid", "wait".to_owned())]));
    }

    #[test]
    fn a_name_comes_back_sorts_as_text_and_is_refused_by_name() {
        let longest = "x".repeat(LONGEST_NAME);
        for name in ["a", "TEA-1", "a.b_c", "0", &longest] {
            let sku = Sku::parse(name).unwrap();
            assert_eq!(sku.to_string(), name);
            assert_eq!(serde_json::from_str::<Sku>(&serde_json::to_string(&sku).unwrap()).unwrap(), sku);
        }
        for wrong in ["", "a b", "a#b", "tee\u{301}", "a/b", "a\0", &format!("{longest}x")] {
            assert_eq!(Sku::parse(wrong), Err(Refusal::SkuMalformed), "{wrong:?}");
            assert_eq!(SlotId::parse(wrong), Err(Refusal::SlotIdMalformed), "{wrong:?}");
        }
        let mut names = ["b", "a.b", "a-b", "aa", "a", "B"];
        let mut skus = names.map(|name| Sku::parse(name).unwrap());
        names.sort_unstable();
        skus.sort_unstable();
        assert_eq!(skus.map(|sku| sku.to_string()), names);
    }

    #[test]
    fn an_address_is_one_person_however_its_letters_are_written() {
        let of = |text: &str| ProfileId::of_email(text);
        assert_eq!(of("Alice@Example.COM"), of("alice@example.com"));
        assert_ne!(of("alice@example.com"), of("alice@example.org"));
        let (longest, label) = (format!("{}@{}.example", "a".repeat(64), "b".repeat(63)), "b".repeat(63));
        for right in ["a@b", "a.b+c!#$%&'*/=?^_`{|}~-@x-1.example", "1@1.1", "..@b", &longest] {
            assert!(of(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "@",
            "a@",
            "@b",
            "a",
            "a@b@c",
            " a@b",
            "a@b ",
            "a b@c",
            "a@b c",
            "a@b.",
            "a@.b",
            "a@b..c",
            "a@-b",
            "a@b-",
            "a\n@b",
            "a@b\0",
            "a@b\n",
            "\"a b\"@c",
            "a@[192.0.2.1]",
            "ä@b",
            "a@bücher.example",
            "a@b\u{200b}",
            "a,b@c",
            "<a@b>",
            &format!("{}@b", "a".repeat(65)),
            &format!("a@{label}b"),
        ] {
            assert_eq!(of(wrong), Err(Refusal::EmailMalformed), "{wrong:?}");
        }
        let dots = |bytes: usize| format!("a@{}b", "b.".repeat((bytes - 3) / 2));
        assert_eq!((dots(253).len(), dots(255).len()), (253, 255));
        assert!(of(&dots(253)).is_ok());
        assert_eq!(of(&dots(255)), Err(Refusal::EmailTooLong));
        assert_eq!(of(&"x".repeat(60_000)), Err(Refusal::EmailTooLong));
    }

    #[test]
    fn a_profile_is_found_again_by_every_release() {
        let id = ProfileId::of_email("alice@example.com").unwrap().to_string();
        assert_eq!(id, include_str!("../golden/profile-id.txt").trim());
    }
}
