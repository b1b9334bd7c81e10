//! Reads a template's YAML into JSON values, with every tag written out in its long form (`!Ref X` becomes
//! `{"Ref": "X"}`), so that nothing after this knows two spellings of one intrinsic.
//!
//! Anchors and aliases are followed. A duplicate key is refused with its line instead of the last one winning. What
//! an intrinsic means is not decided here.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::TemplateError;

/// A template's top level. Resources keep the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) sections: Map<String, Value>,
    pub(super) resources: Vec<(String, Value)>,
}

pub(super) fn read(text: &str) -> Result<Document, TemplateError> {
    DocumentSeed
        .deserialize(serde_norway::Deserializer::from_str(text))
        .map_err(|error| TemplateError::Yaml { message: error.to_string() })
}

/// The tags of CloudFormation, with the key of the long form.
const TAGS: &[(&str, &str)] = &[
    ("Ref", "Ref"),
    ("Condition", "Condition"),
    ("And", "Fn::And"),
    ("Base64", "Fn::Base64"),
    ("Cidr", "Fn::Cidr"),
    ("Equals", "Fn::Equals"),
    ("FindInMap", "Fn::FindInMap"),
    ("GetAZs", "Fn::GetAZs"),
    ("GetAtt", "Fn::GetAtt"),
    ("If", "Fn::If"),
    ("ImportValue", "Fn::ImportValue"),
    ("Join", "Fn::Join"),
    ("Not", "Fn::Not"),
    ("Or", "Fn::Or"),
    ("Select", "Fn::Select"),
    ("Split", "Fn::Split"),
    ("Sub", "Fn::Sub"),
    ("Transform", "Fn::Transform"),
];

struct DocumentSeed;

impl<'de> DeserializeSeed<'de> for DocumentSeed {
    type Value = Document;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for DocumentSeed {
    type Value = Document;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a template: a map with `Resources`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Document, A::Error> {
        let mut document = Document::default();
        let mut has_resources = false;
        while let Some(key) = entries.next_key_seed(NewKey(|key: &str| {
            document.sections.contains_key(key) || has_resources && key == "Resources"
        }))? {
            if key == "Resources" {
                has_resources = true;
                document.resources = entries.next_value_seed(InOrder)?;
            } else {
                let section = entries.next_value_seed(AnyValue)?;
                document.sections.insert(key, section);
            }
        }
        if !has_resources {
            return Err(A::Error::custom("the template has no `Resources`"));
        }
        Ok(document)
    }
}

/// A map whose order counts.
struct InOrder;

impl<'de> DeserializeSeed<'de> for InOrder {
    type Value = Vec<(String, Value)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for InOrder {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map of resources")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut ordered: Vec<(String, Value)> = Vec::new();
        while let Some(key) =
            entries.next_key_seed(NewKey(|key: &str| ordered.iter().any(|(known, _)| known == key)))?
        {
            let value = entries.next_value_seed(AnyValue)?;
            ordered.push((key, value));
        }
        Ok(ordered)
    }
}

/// A key that is not in its map yet. It is checked while the parser stands on it, so that the error has its line.
struct NewKey<F>(F);

impl<'de, F: Fn(&str) -> bool> DeserializeSeed<'de> for NewKey<F> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<F: Fn(&str) -> bool> NewKey<F> {
    fn check<E: Error>(&self, key: String) -> Result<String, E> {
        if key == "<<" {
            return Err(E::custom("merge keys (`<<`) are not understood by CloudFormation; write the keys out"));
        }
        if (self.0)(&key) { Err(E::custom(format!("the key `{key}` is here twice"))) } else { Ok(key) }
    }
}

impl<F: Fn(&str) -> bool> Visitor<'_> for NewKey<F> {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        self.check(key.to_owned())
    }

    fn visit_i64<E: Error>(self, key: i64) -> Result<String, E> {
        self.check(key.to_string())
    }

    fn visit_u64<E: Error>(self, key: u64) -> Result<String, E> {
        self.check(key.to_string())
    }

    fn visit_bool<E: Error>(self, key: bool) -> Result<String, E> {
        self.check(key.to_string())
    }
}

struct AnyValue;

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(AnyValue)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key_seed(NewKey(|key: &str| map.contains_key(key)))? {
            let value = entries.next_value_seed(AnyValue)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Value, A::Error> {
        let (key, content) = tagged.variant_seed(TagSeed)?;
        let value = content.newtype_variant_seed(AnyValue)?;
        Ok(long_form(key, value))
    }
}

struct TagSeed;

impl<'de> DeserializeSeed<'de> for TagSeed {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'static str, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for TagSeed {
    type Value = &'static str;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a tag of CloudFormation")
    }

    fn visit_str<E: Error>(self, tag: &str) -> Result<&'static str, E> {
        let short = tag.strip_prefix('!').unwrap_or(tag);
        TAGS.iter()
            .find(|(known, _)| *known == short)
            .map(|(_, key)| *key)
            .ok_or_else(|| E::custom(format!("`!{short}` is not a tag of CloudFormation")))
    }
}

fn long_form(key: &str, value: Value) -> Value {
    let value = match (key, value) {
        // `!GetAtt Queue.Arn` is `[Queue, Arn]`; an attribute may have dots of its own.
        ("Fn::GetAtt", Value::String(dotted)) => match dotted.split_once('.') {
            Some((resource, attribute)) => Value::from(vec![resource, attribute]),
            None => Value::String(dotted),
        },
        (_, value) => value,
    };
    Value::Object(Map::from_iter([(key.to_owned(), value)]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resources(text: &str) -> Vec<(String, Value)> {
        read(text).unwrap().resources
    }

    fn refusal(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn tags_become_their_long_form_and_aliases_are_followed() {
        let text = "
Resources:
  Second: &it
    A: !Ref X
    B: !GetAtt Y.Some.Arn
    C: !Sub ['${a}', { a: !Join ['-', [1, true]] }]
    D: !If [Is, !Select [0, !Split [',', 'a,b']], !Ref 'AWS::NoValue']
  First: *it
";
        let expected = json!({
            "A": {"Ref": "X"},
            "B": {"Fn::GetAtt": ["Y", "Some.Arn"]},
            "C": {"Fn::Sub": ["${a}", {"a": {"Fn::Join": ["-", [1, true]]}}]},
            "D": {"Fn::If": ["Is", {"Fn::Select": [0, {"Fn::Split": [",", "a,b"]}]}, {"Ref": "AWS::NoValue"}]},
        });
        assert_eq!(resources(text), [("Second".into(), expected.clone()), ("First".into(), expected)]);
    }

    #[test]
    fn what_yaml_would_swallow_is_refused_with_its_line() {
        let twice = refusal("Resources:\n  A:\n    Type: X\n    Other: 1\n    Type: Y\n");
        assert!(twice.contains("`Type` is here twice") && twice.contains("line 5"), "{twice}");
        let twice = refusal("Resources:\n  A: {}\n  B: {}\n  A: {}\n");
        assert!(twice.contains("`A` is here twice") && twice.contains("line 4"), "{twice}");
        let twice = refusal("Resources: {}\nOutputs: {}\nResources: {}\n");
        assert!(twice.contains("`Resources` is here twice") && twice.contains("line 3"), "{twice}");
        let tag = refusal("Resources:\n  A: !Reff B\n");
        assert!(tag.contains("`!Reff`") && tag.contains("line 2"), "{tag}");
        let merge = refusal("Resources:\n  A: &a { x: 1 }\n  B:\n    <<: *a\n");
        assert!(merge.contains("merge keys"), "{merge}");
        assert!(refusal("Outputs: {}").contains("no `Resources`"));
        assert!(refusal("[]").contains("a template"));
        assert!(refusal("Resources: [").contains("line"));
        assert!(refusal("").contains("no `Resources`"));
    }
}
