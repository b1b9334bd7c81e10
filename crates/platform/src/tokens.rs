//! Who a bearer token says the caller is. Asymmetric keys only, several valid at once for rotation; the signature,
//! issuer, audience and times are checked, each of which a token must have. Time is an argument.
//!
//! `jsonwebtoken` does the format; its cryptography is `ring`, which is in the tree for TLS already.

use std::sync::Once;

use domain::Timestamp;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, JwkSet};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey, Header, Validation};
use ring::signature::{self, Ed25519KeyPair, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde::{Deserialize, Serialize};

use crate::config::TokenConfig;

/// What a token that is believed says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: Audience,
    /// Seconds since the epoch.
    pub exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Space-separated.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("it is no signed token")]
    Malformed,
    #[error("no known key signed it")]
    UnknownKey,
    #[error("its signature, issuer, audience or subject is not right")]
    Wrong,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotYet,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("a JSON Web Key Set")]
    NoKeySet,
    #[error("a set of public keys, each Ed25519, P-256, P-384 or RSA")]
    UnknownKind,
}

/// Public keys, each with the one algorithm that it is for.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Clocks differ.
const LEEWAY_SECONDS: i64 = 30;

impl Keys {
    pub fn from_json(text: &str) -> Result<Self, KeyError> {
        let set: JwkSet = serde_json::from_str(text).map_err(|_| KeyError::NoKeySet)?;
        let keys = set.keys.iter().map(|jwk| {
            let algorithm = match &jwk.algorithm {
                AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
                AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::ES256,
                AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P384 => Algorithm::ES384,
                AlgorithmParameters::RSA(_) => Algorithm::RS256,
                _ => return Err(KeyError::UnknownKind),
            };
            let key = DecodingKey::from_jwk(jwk).map_err(|_| KeyError::UnknownKind)?;
            Ok(Key { id: jwk.common.key_id.clone(), algorithm, key })
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether they believe what this signs.
    pub fn believe(&self, signing: &SigningKey) -> bool {
        self.0.iter().any(|key| {
            let is_named_so = key.id.as_ref().is_none_or(|id| *id == signing.id);
            let public = match key.key.kind() {
                DecodingKeyKind::SecretOrDer(public) => public,
                DecodingKeyKind::RsaModulusExponent { .. } => return false,
            };
            key.algorithm == Algorithm::EdDSA && is_named_so && *public == signing.public
        })
    }

    fn candidates<'a>(&'a self, header: &'a Header) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(move |key| {
            key.algorithm == header.alg && (header.kid.is_none() || key.id.is_none() || key.id == header.kid)
        })
    }
}

/// Believes a token of one of these issuers, each by its own keys and for its own audience, or says why not.
pub fn verify_any<'a>(
    token: &str,
    issuers: impl IntoIterator<Item = &'a TokenConfig>,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    let mut failure = TokenError::UnknownKey;
    for issuer in issuers {
        match verify(token, issuer, now) {
            Ok(claims) => return Ok(claims),
            // Whose key signed it says more about it than who did not.
            Err(TokenError::UnknownKey) => {}
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Believes a token, or says why not.
pub fn verify(token: &str, config: &TokenConfig, now: Timestamp) -> Result<Claims, TokenError> {
    use_ring();
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
    // Something that one must understand to believe it, and nothing such is understood here.
    if header.crit.is_some() {
        return Err(TokenError::Malformed);
    }
    let mut failure = TokenError::UnknownKey;
    for key in config.keys.candidates(&header) {
        let mut validation = Validation::new(key.algorithm);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // It would compare with the wall clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        match jsonwebtoken::decode::<Claims>(token, &key.key, &validation) {
            Ok(data) => return in_time(data.claims, now),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => failure = TokenError::Wrong,
            Err(_) => return Err(TokenError::Wrong),
        }
    }
    Err(failure)
}

impl Claims {
    /// Until when, in seconds since the epoch, the token is believed: its expiry and what clocks may differ by.
    pub const fn believed_until(&self) -> i64 {
        self.exp.saturating_add(LEEWAY_SECONDS)
    }
}

fn in_time(claims: Claims, now: Timestamp) -> Result<Claims, TokenError> {
    if claims.believed_until() <= now.as_seconds() {
        Err(TokenError::Expired)
    } else if claims.nbf.is_some_and(|nbf| nbf.saturating_sub(LEEWAY_SECONDS) > now.as_seconds()) {
        Err(TokenError::NotYet)
    } else if claims.sub.is_empty() {
        Err(TokenError::Wrong)
    } else {
        Ok(claims)
    }
}

/// A set of keys as others may see it: what of it is known to be public, and nothing else.
pub fn published(set: &str) -> Result<String, KeyError> {
    let set: JwkSet = serde_json::from_str(set).map_err(|_| KeyError::NoKeySet)?;
    serde_json::to_string(&set).map_err(|_| KeyError::NoKeySet)
}

/// Signs with Ed25519, for signing in and for the local command.
pub struct SigningKey {
    id: String,
    key: EncodingKey,
    public: Vec<u8>,
}

impl SigningKey {
    /// A new key, as PKCS #8.
    pub fn generate() -> Result<Vec<u8>, KeyError> {
        let random = ring::rand::SystemRandom::new();
        let document = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| KeyError::UnknownKind)?;
        Ok(document.as_ref().to_vec())
    }

    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, KeyError> {
        use ring::signature::KeyPair as _;
        let pair = key_pair(bytes).ok_or(KeyError::UnknownKind)?;
        let public = pair.public_key().as_ref().to_vec();
        let id =
            data_encoding::BASE32_NOPAD.encode(&ring::digest::digest(&ring::digest::SHA256, &public).as_ref()[..10]);
        Ok(Self { id, key: EncodingKey::from_ed_der(bytes), public })
    }

    /// From PKCS #8 in base 64, as a line or as PEM.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
        let base64: String =
            lines.flat_map(|line| line.chars().filter(|letter| !letter.is_ascii_whitespace())).collect();
        let bytes = data_encoding::BASE64.decode(base64.as_bytes()).map_err(|_| KeyError::UnknownKind)?;
        Self::from_pkcs8(&bytes)
    }

    /// What [`Self::from_text`] reads.
    pub fn as_text(pkcs8: &[u8]) -> String {
        data_encoding::BASE64.encode(pkcs8)
    }

    /// The set of public keys that believes what this signs.
    pub fn key_set(&self) -> String {
        let x = data_encoding::BASE64URL_NOPAD.encode(&self.public);
        let key = serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.id, "x": x,
        });
        serde_json::json!({ "keys": [key] }).to_string()
    }

    pub fn sign(&self, claims: &Claims) -> Result<String, TokenError> {
        use_ring();
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|_| TokenError::Malformed)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// `openssl genpkey` writes the private half only; the public one follows from it.
fn key_pair(pkcs8: &[u8]) -> Option<Ed25519KeyPair> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).ok()
}

fn use_ring() {
    static ONCE: Once = Once::new();
    static RING: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| match algorithm {
            Algorithm::EdDSA => {
                let pair = key_pair(key.as_bytes()).ok_or(ErrorKind::InvalidEddsaKey)?;
                Ok(Box::new(RingSigner(pair)))
            }
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        },
        verifier_factory: |algorithm, key| {
            Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.kind().clone() }))
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    // Whoever installed another was this function in another thread.
    ONCE.call_once(|| _ = RING.install_default());
}

struct RingSigner(Ed25519KeyPair);

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKeyKind,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let verified = match (self.algorithm, &self.key) {
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (algorithm, DecodingKeyKind::SecretOrDer(key)) => {
                let kind: &dyn VerificationAlgorithm = match algorithm {
                    Algorithm::EdDSA => &signature::ED25519,
                    Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
                    Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
                    _ => return Err(SignatureError::new()),
                };
                UnparsedPublicKey::new(kind, key).verify(message, signature)
            }
            _ => return Err(SignatureError::new()),
        };
        verified.map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_240_383_007);

    fn signing_key() -> SigningKey {
        SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
    }

    fn config(keys: &[&SigningKey]) -> TokenConfig {
        let all = keys.iter().flat_map(|key| Keys::from_json(&key.key_set()).unwrap().0).collect();
        TokenConfig { issuer: "https://issuer.example".into(), audience: "paidonce".into(), keys: Keys(all) }
    }

    fn claims() -> Claims {
        Claims {
            iss: "https://issuer.example".into(),
            sub: "alice".into(),
            aud: Audience::One("paidonce".into()),
            exp: NOW.as_seconds() + 600,
            nbf: None,
            scope: "stock".into(),
        }
    }

    #[test]
    fn a_right_token_is_believed_and_each_wrong_one_is_not() {
        let key = signing_key();
        let believed = |claims: &Claims| verify(&key.sign(claims).unwrap(), &config(&[&key]), NOW);
        assert_eq!(believed(&claims()), Ok(claims()));
        let many = Claims { aud: Audience::Many(vec!["x".into(), "paidonce".into()]), ..claims() };
        assert_eq!(believed(&many), Ok(many.clone()));
        for (wrong, expected) in [
            (Claims { iss: "https://other.example".into(), ..claims() }, TokenError::Wrong),
            (Claims { aud: Audience::One("other".into()), ..claims() }, TokenError::Wrong),
            (Claims { sub: String::new(), ..claims() }, TokenError::Wrong),
            (Claims { exp: NOW.as_seconds() - LEEWAY_SECONDS, ..claims() }, TokenError::Expired),
            (Claims { nbf: Some(NOW.as_seconds() + LEEWAY_SECONDS + 1), ..claims() }, TokenError::NotYet),
        ] {
            assert_eq!(believed(&wrong), Err(expected), "{wrong:?}");
        }
    }

    #[test]
    fn keys_rotate_and_a_strange_key_is_not_believed() {
        let (old, new, strange) = (signing_key(), signing_key(), signing_key());
        let both = config(&[&old, &new]);
        for key in [&old, &new] {
            assert!(verify(&key.sign(&claims()).unwrap(), &both, NOW).is_ok());
        }
        assert_eq!(verify(&strange.sign(&claims()).unwrap(), &both, NOW), Err(TokenError::UnknownKey));
        let forged = SigningKey { id: old.id.clone(), ..strange };
        assert_eq!(verify(&forged.sign(&claims()).unwrap(), &both, NOW), Err(TokenError::Wrong));
    }

    #[test]
    fn a_key_is_for_its_own_issuer_alone() {
        let (ours, theirs) = (signing_key(), signing_key());
        let outside =
            TokenConfig { issuer: "https://outside.example".into(), audience: "shop".into(), ..config(&[&theirs]) };
        let both = [config(&[&ours]), outside];
        let of_theirs = Claims { iss: both[1].issuer.clone(), aud: Audience::One("shop".into()), ..claims() };
        assert_eq!(verify_any(&ours.sign(&claims()).unwrap(), &both, NOW), Ok(claims()));
        assert_eq!(verify_any(&theirs.sign(&of_theirs).unwrap(), &both, NOW), Ok(of_theirs.clone()));
        let of_neither = Claims { iss: "https://third.example".into(), ..claims() };
        let for_the_other = Claims { aud: Audience::One("paidonce".into()), ..of_theirs.clone() };
        let late = Claims { exp: NOW.as_seconds() - LEEWAY_SECONDS, ..of_theirs.clone() };
        for (key, claims, error) in [
            (&theirs, &claims(), TokenError::Wrong),
            (&ours, &of_theirs, TokenError::Wrong),
            (&ours, &of_neither, TokenError::Wrong),
            (&theirs, &for_the_other, TokenError::Wrong),
            (&theirs, &late, TokenError::Expired),
            (&signing_key(), &of_theirs, TokenError::UnknownKey),
        ] {
            assert_eq!(verify_any(&key.sign(claims).unwrap(), &both, NOW), Err(error), "{claims:?}");
        }
        // A name is no proof: a key of the one that calls itself as one of the other's.
        let disguised = SigningKey { id: theirs.id.clone(), ..signing_key() };
        assert_eq!(verify_any(&disguised.sign(&of_theirs).unwrap(), &both, NOW), Err(TokenError::Wrong));
        assert_eq!(verify_any("a.b.c", &both, NOW), Err(TokenError::Malformed));
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_not_believed() {
        let key = signing_key();
        let header =
            Header { kid: Some(key.id.clone()), crit: Some(vec!["exp".into()]), ..Header::new(Algorithm::EdDSA) };
        use_ring();
        let token = jsonwebtoken::encode(&header, &claims(), &key.key).unwrap();
        assert_eq!(verify(&token, &config(&[&key]), NOW), Err(TokenError::Malformed));
    }

    #[test]
    fn a_signing_key_is_read_as_it_is_written_and_is_not_shown() {
        let bytes = SigningKey::generate().unwrap();
        let key = SigningKey::from_pkcs8(&bytes).unwrap();
        let line = data_encoding::BASE64.encode(&bytes);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n{}\n-----END PRIVATE KEY-----\n", &line[..64], &line[64..]);
        // As `openssl genpkey -algorithm ed25519` writes it: RFC 8410, 10.3.
        let openssl = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        for text in [&line, &pem] {
            assert_eq!(SigningKey::from_text(text).unwrap().key_set(), key.key_set());
        }
        let other = SigningKey::from_text(openssl).unwrap();
        assert!(verify(&other.sign(&claims()).unwrap(), &config(&[&other]), NOW).is_ok());
        for wrong in ["", "x", "AAAA", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----"] {
            assert!(SigningKey::from_text(wrong).is_err(), "{wrong}");
        }
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ id: {:?}, .. }}", key.id));
    }

    #[test]
    fn keys_know_what_they_believe_and_show_nothing_private() {
        let (key, strange) = (signing_key(), signing_key());
        let keys = Keys::from_json(&key.key_set()).unwrap();
        assert!(keys.believe(&key) && !keys.believe(&strange) && !Keys::default().believe(&key));
        let mut set: serde_json::Value = serde_json::from_str(&key.key_set()).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&published(&key.key_set()).unwrap()).unwrap(), set);
        set["keys"][0]["kid"] = "another".into();
        assert!(!Keys::from_json(&set.to_string()).unwrap().believe(&key), "its tokens say another name");
        set["keys"][0].as_object_mut().unwrap().remove("kid");
        assert!(Keys::from_json(&set.to_string()).unwrap().believe(&key));
        set["keys"][0]["d"] = "secret".into();
        assert!(!published(&set.to_string()).unwrap().contains("secret"));
    }

    #[test]
    fn an_unsigned_or_symmetric_token_is_not_believed() {
        let key = signing_key();
        let part = |value: serde_json::Value| data_encoding::BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let body = part(serde_json::to_value(claims()).unwrap());
        for algorithm in ["none", "HS256", "RS256", "ES256"] {
            for signature in ["", "AAAA"] {
                let header = part(serde_json::json!({ "alg": algorithm, "typ": "JWT" }));
                assert!(verify(&format!("{header}.{body}.{signature}"), &config(&[&key]), NOW).is_err(), "{algorithm}");
            }
        }
        for garbage in ["", "a.b.c", "Bearer", "..", "💶"] {
            assert_eq!(verify(garbage, &config(&[&key]), NOW), Err(TokenError::Malformed));
        }
    }

    #[test]
    fn each_claim_must_be_there() {
        let key = signing_key();
        for missing in ["iss", "sub", "aud", "exp"] {
            let mut claims = serde_json::to_value(claims()).unwrap();
            claims.as_object_mut().unwrap().remove(missing);
            let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::EdDSA) };
            use_ring();
            let token = jsonwebtoken::encode(&header, &claims, &key.key).unwrap();
            assert_eq!(verify(&token, &config(&[&key]), NOW), Err(TokenError::Wrong), "without {missing}");
        }
    }

    #[test]
    fn a_token_of_an_outside_issuer_with_an_elliptic_key_is_believed() {
        use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
        let random = ring::rand::SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let encode = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
        let point = pair.public_key().as_ref();
        let set = serde_json::json!({ "keys": [
            { "kty": "EC", "crv": "P-256", "kid": "e", "x": encode(&point[1..33]), "y": encode(&point[33..]) },
        ]});
        let config = TokenConfig { keys: Keys::from_json(&set.to_string()).unwrap(), ..config(&[]) };
        let part = |value: serde_json::Value| encode(value.to_string().as_bytes());
        let signed = format!(
            "{}.{}",
            part(serde_json::json!({ "alg": "ES256", "kid": "e" })),
            part(serde_json::to_value(claims()).unwrap())
        );
        let signature = pair.sign(&random, signed.as_bytes()).unwrap();
        assert_eq!(verify(&format!("{signed}.{}", encode(signature.as_ref())), &config, NOW), Ok(claims()));
        let mut broken = signature.as_ref().to_vec();
        broken[3] ^= 1;
        assert_eq!(verify(&format!("{signed}.{}", encode(&broken)), &config, NOW), Err(TokenError::Wrong));
    }
}
