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

    fn candidates<'a>(&'a self, header: &'a Header) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(move |key| {
            key.algorithm == header.alg && (header.kid.is_none() || key.id.is_none() || key.id == header.kid)
        })
    }
}

/// Believes a token, or says why not.
pub fn verify(token: &str, config: &TokenConfig, now: Timestamp) -> Result<Claims, TokenError> {
    use_ring();
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
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

/// Signs with Ed25519, for the local command and, later, for signing in.
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
        let pair = Ed25519KeyPair::from_pkcs8(bytes).map_err(|_| KeyError::UnknownKind)?;
        let public = pair.public_key().as_ref().to_vec();
        let id =
            data_encoding::BASE32_NOPAD.encode(&ring::digest::digest(&ring::digest::SHA256, &public).as_ref()[..10]);
        Ok(Self { id, key: EncodingKey::from_ed_der(bytes), public })
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

fn use_ring() {
    static ONCE: Once = Once::new();
    static RING: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| match algorithm {
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::from_pkcs8(key.as_bytes()).map_err(|_| ErrorKind::InvalidEddsaKey)?;
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
