//! Text that people send. It is kept exactly as it came, or refused: nothing is trimmed, folded or cut.

use serde::{Deserialize, Serialize};

use crate::Refusal;
use crate::ids::OrderId;

/// What an order is for, in the customer's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Description(String);

impl Description {
    /// In bytes of UTF-8, so that an order stays a small item whatever it says.
    pub const LONGEST: usize = 500;

    pub fn new(text: &str) -> Result<Self, Refusal> {
        if text.len() > Self::LONGEST {
            Err(Refusal::DescriptionTooLong)
        } else if text.chars().any(char::is_control) {
            Err(Refusal::DescriptionHasControlCharacters)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an order that is kept elsewhere is called there. Opaque: nothing here reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(String);

impl Reference {
    /// In bytes of UTF-8.
    pub const LONGEST: usize = 200;

    pub fn new(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() || text.len() > Self::LONGEST {
            Err(Refusal::ReferenceLength)
        } else if text.chars().any(char::is_control) {
            Err(Refusal::ReferenceHasControlCharacters)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is written as the id of an order of ours is. No order is looked up: whether there is another's is
    /// nobody's to learn, and one that is not there yet may be placed later.
    pub fn names_an_order(&self) -> bool {
        OrderId::parse(&self.0).is_some()
    }
}

/// What the shop calls a product, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProductName(String);

impl ProductName {
    /// In bytes of UTF-8.
    pub const LONGEST: usize = 200;

    pub fn new(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() || text.len() > Self::LONGEST {
            Err(Refusal::NameLength)
        } else if text.chars().any(char::is_control) {
            Err(Refusal::NameHasControlCharacters)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_as_it_is_or_refused() {
        for kept in ["", " two  spaces ", "Grüße 🫖", "e\u{301}", "\u{202e}abc", "<b>&amp;", "\"\\"] {
            assert_eq!(Description::new(kept).unwrap().as_str(), kept);
        }
        for control in ["a\0b", "a\nb", "\t", "\u{7f}", "\u{85}"] {
            assert_eq!(Description::new(control), Err(Refusal::DescriptionHasControlCharacters), "{control:?}");
        }
        assert!(Description::new(&"x".repeat(Description::LONGEST)).is_ok());
        assert_eq!(Description::new(&"x".repeat(Description::LONGEST + 1)), Err(Refusal::DescriptionTooLong));
    }

    #[test]
    fn a_reference_is_opaque_unless_it_is_written_as_an_order_of_ours() {
        for kept in ["A-1", " ", "Grüße 🫖", &"x".repeat(Reference::LONGEST), &"0123456789abcdef".repeat(2)] {
            let reference = Reference::new(kept).unwrap();
            assert_eq!((reference.as_str(), reference.names_an_order()), (kept, false));
        }
        assert!(Reference::new(&"a".repeat(32)).unwrap().names_an_order());
        assert_eq!(Reference::new(""), Err(Refusal::ReferenceLength));
        assert_eq!(Reference::new(&"x".repeat(Reference::LONGEST + 1)), Err(Refusal::ReferenceLength));
        assert_eq!(Reference::new("a\nb"), Err(Refusal::ReferenceHasControlCharacters));
    }

    #[test]
    fn a_product_has_a_name() {
        for kept in ["tea", " ", "Grüße 🫖", &"x".repeat(ProductName::LONGEST)] {
            assert_eq!(ProductName::new(kept).unwrap().as_str(), kept);
        }
        assert_eq!(ProductName::new(""), Err(Refusal::NameLength));
        assert_eq!(ProductName::new(&"x".repeat(ProductName::LONGEST + 1)), Err(Refusal::NameLength));
        assert_eq!(ProductName::new("a\nb"), Err(Refusal::NameHasControlCharacters));
    }
}
