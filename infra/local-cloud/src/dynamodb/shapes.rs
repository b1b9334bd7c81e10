//! The shapes of requests: which field is text, a number, a list, and of what. A value of another kind is refused before
//! anything else is looked at, in the words of the parser that the service has (Java's, as one can tell). What is of the
//! right kind and still wrong is for the emulator to say.

use serde_json::{Map, Value};

/// What a field holds. A class is the last part of the name that the service has for a type.
enum Shape {
    Text,
    Whole,
    Flag,
    List(&'static Shape),
    /// By text, of what.
    Map(&'static Shape),
    Structure(&'static str, &'static [Field]),
    /// What a shape that names itself is within another.
    Like(&'static Shape),
}

type Field = (&'static str, Shape);

use Shape::{Flag, List, Structure, Text, Whole};

const PACKAGE: &str = "com.amazonaws.dynamodb.v20120810.";
/// What the service lets slip of a list that is missing within a map.
const UNCASTABLE: &str = "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of loader 'bootstrap')";

static VALUE: Shape = Structure(
    "AttributeValue",
    &[
        ("S", Text),
        ("N", Text),
        ("B", Text),
        ("SS", List(&Text)),
        ("NS", List(&Text)),
        ("BS", List(&Text)),
        ("M", Shape::Map(&VALUE)),
        ("L", List(&VALUE)),
        ("BOOL", Flag),
        ("NULL", Flag),
    ],
);
const VALUES: Shape = Shape::Map(&VALUE);
const NAMES: Shape = Shape::Map(&Text);
const CONDITION: Shape = Structure("Condition", &[("ComparisonOperator", Text), ("AttributeValueList", List(&VALUE))]);
const EXPECTED: Shape = Structure(
    "ExpectedAttributeValue",
    &[
        ("Exists", Flag),
        ("Value", Shape::Like(&VALUE)),
        ("ComparisonOperator", Text),
        ("AttributeValueList", List(&VALUE)),
    ],
);
const UPDATE: Shape = Structure("AttributeValueUpdate", &[("Action", Text), ("Value", Shape::Like(&VALUE))]);
const KEYS_AND_ATTRIBUTES: Shape = Structure(
    "KeysAndAttributes",
    &[
        ("Keys", List(&VALUES)),
        ("AttributesToGet", List(&Text)),
        ("ConsistentRead", Flag),
        ("ProjectionExpression", Text),
        ("ExpressionAttributeNames", NAMES),
    ],
);
const WRITE: Shape = Structure(
    "WriteRequest",
    &[
        ("PutRequest", Structure("PutRequest", &[("Item", VALUES)])),
        ("DeleteRequest", Structure("DeleteRequest", &[("Key", VALUES)])),
    ],
);

macro_rules! conditional {
    ($class:literal $(, $field:literal => $shape:expr)*) => {
        Structure(
            $class,
            &[
                ("TableName", Text),
                $(($field, $shape),)*
                ("ConditionExpression", Text),
                ("ExpressionAttributeNames", NAMES),
                ("ExpressionAttributeValues", VALUES),
                ("ReturnValuesOnConditionCheckFailure", Text),
            ],
        )
    };
}

const TRANSACT_WRITE: Shape = Structure(
    "TransactWriteItem",
    &[
        ("ConditionCheck", conditional!("ConditionCheck", "Key" => VALUES)),
        ("Put", conditional!("Put", "Item" => VALUES)),
        ("Delete", conditional!("Delete", "Key" => VALUES)),
        ("Update", conditional!("Update", "Key" => VALUES, "UpdateExpression" => Text)),
    ],
);
const TRANSACT_GET: Shape = Structure(
    "TransactGetItem",
    &[(
        "Get",
        Structure(
            "Get",
            &[
                ("TableName", Text),
                ("Key", VALUES),
                ("ProjectionExpression", Text),
                ("ExpressionAttributeNames", NAMES),
            ],
        ),
    )],
);

/// What operations have in common under the same name.
const COMMON: &[Field] = &[
    ("AttributesToGet", List(&Text)),
    ("AttributeUpdates", Shape::Map(&UPDATE)),
    ("Expected", Shape::Map(&EXPECTED)),
    ("ExclusiveStartKey", VALUES),
    ("KeyConditions", Shape::Map(&CONDITION)),
    ("QueryFilter", Shape::Map(&CONDITION)),
    ("ScanFilter", Shape::Map(&CONDITION)),
    ("Item", VALUES),
    ("Key", VALUES),
    ("ExpressionAttributeNames", NAMES),
    ("ExpressionAttributeValues", VALUES),
    ("TableName", Text),
    ("IndexName", Text),
    ("ExclusiveStartTableName", Text),
    ("StreamArn", Text),
    ("ExclusiveStartStreamArn", Text),
    ("ExclusiveStartShardId", Text),
    ("ShardId", Text),
    ("ShardIterator", Text),
    ("ShardIteratorType", Text),
    ("SequenceNumber", Text),
    ("ClientRequestToken", Text),
    ("ReturnConsumedCapacity", Text),
    ("ReturnValues", Text),
    ("ReturnValuesOnConditionCheckFailure", Text),
    ("ReturnItemCollectionMetrics", Text),
    ("ConditionalOperator", Text),
    ("Select", Text),
    ("ConditionExpression", Text),
    ("FilterExpression", Text),
    ("KeyConditionExpression", Text),
    ("ProjectionExpression", Text),
    ("UpdateExpression", Text),
    ("Limit", Whole),
    ("Segment", Whole),
    ("TotalSegments", Whole),
    ("ScanIndexForward", Flag),
    ("ConsistentRead", Flag),
];

/// The first value that is of another kind than its field, in the service's words.
pub(super) fn check(operation: &str, request: &Map<String, Value>) -> Result<(), String> {
    let own: &[Field] = match operation {
        "BatchGetItem" => &[("RequestItems", Shape::Map(&KEYS_AND_ATTRIBUTES))],
        "BatchWriteItem" => &[("RequestItems", Shape::Map(&List(&WRITE)))],
        "TransactWriteItems" => &[("TransactItems", List(&TRANSACT_WRITE))],
        "TransactGetItems" => &[("TransactItems", List(&TRANSACT_GET))],
        _ => &[],
    };
    fields(own, request)?;
    fields(COMMON, request)
}

fn fields(shapes: &[Field], object: &Map<String, Value>) -> Result<(), String> {
    for (name, shape) in shapes {
        if let Some(value) = object.get(*name).filter(|value| !value.is_null()) {
            shape.check(value, Place::Field)?;
        }
    }
    Ok(())
}

/// Where a value stands decides how one of the wrong kind is spoken of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Field,
    Member,
}

impl Shape {
    fn check(&self, value: &Value, place: Place) -> Result<(), String> {
        match (self, value) {
            (Self::Like(shape), value) => shape.check(value, place),
            (Text, Value::String(_)) | (Flag, Value::Bool(_)) => Ok(()),
            (Flag, Value::String(text)) if matches!(text.to_lowercase().as_str(), "true" | "false") => Ok(()),
            (Whole, Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(()),
            (Text | Whole | Flag, _) => Err(self.unconverted(value)),
            (List(of), Value::Array(members)) => {
                members.iter().filter(|member| !member.is_null()).try_for_each(|member| of.check(member, Place::Member))
            }
            (List(_), _) if place == Place::Member => Err(UNCASTABLE.into()),
            (List(_), Value::Object(_)) => Err("Start of structure or map found where not expected".into()),
            (List(_), _) => Err("Unexpected field type".into()),
            (Self::Map(of), Value::Object(entries)) => {
                entries.values().filter(|entry| !entry.is_null()).try_for_each(|entry| of.check(entry, Place::Member))
            }
            (Self::Map(of), Value::Array(_)) => {
                Err(format!("Unrecognized collection type java.util.Map<java.lang.String, {}>", of.class()))
            }
            (Self::Map(_), _) if place == Place::Member => Err(UNCASTABLE.into()),
            (Self::Map(_), _) => Err("Unexpected field type".into()),
            (Structure(_, shapes), Value::Object(object)) => fields(shapes, object),
            (Structure(class, _), Value::Array(_)) => {
                Err(format!("Unrecognized collection type class {PACKAGE}{class}"))
            }
            (Structure(..), _) if place == Place::Member => Err("Unexpected value type in payload".into()),
            (Structure(..), _) => Err("Unexpected field type".into()),
        }
    }

    fn unconverted(&self, value: &Value) -> String {
        let into = match self {
            Flag => "Boolean",
            Whole => "Integer",
            _ => "String",
        };
        match value {
            Value::Array(_) => format!("Unrecognized collection type class java.lang.{into}"),
            Value::Object(_) => "Start of structure or map found where not expected".into(),
            Value::String(_) if matches!(self, Flag) => "Unexpected token received from parser".into(),
            Value::String(_) => format!("STRING_VALUE cannot be converted to {into}"),
            Value::Bool(true) => format!("TRUE_VALUE cannot be converted to {into}"),
            Value::Bool(false) => format!("FALSE_VALUE cannot be converted to {into}"),
            Value::Number(number) if number.is_f64() => format!("DECIMAL_VALUE cannot be converted to {into}"),
            Value::Number(_) | Value::Null => format!("NUMBER_VALUE cannot be converted to {into}"),
        }
    }

    fn class(&self) -> String {
        match self {
            Self::Like(shape) => shape.class(),
            Text => "java.lang.String".into(),
            Whole => "java.lang.Integer".into(),
            Flag => "java.lang.Boolean".into(),
            List(of) => format!("java.util.List<{}>", of.class()),
            Self::Map(of) => format!("java.util.Map<java.lang.String, {}>", of.class()),
            Structure(class, _) => format!("{PACKAGE}{class}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_of_another_kind_is_refused_in_the_words_of_the_service() {
        for (operation, request, expected) in [
            ("GetItem", json!({ "TableName": 5 }), "NUMBER_VALUE cannot be converted to String"),
            ("GetItem", json!({ "TableName": 0.5 }), "DECIMAL_VALUE cannot be converted to String"),
            ("GetItem", json!({ "TableName": true }), "TRUE_VALUE cannot be converted to String"),
            ("GetItem", json!({ "TableName": ["t"] }), "Unrecognized collection type class java.lang.String"),
            ("GetItem", json!({ "TableName": {} }), "Start of structure or map found where not expected"),
            ("GetItem", json!({ "Key": "k" }), "Unexpected field type"),
            (
                "GetItem",
                json!({ "Key": [] }),
                "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>",
            ),
            ("GetItem", json!({ "Key": { "pk": "a" } }), "Unexpected value type in payload"),
            ("GetItem", json!({ "Key": { "pk": { "S": 5 } } }), "NUMBER_VALUE cannot be converted to String"),
            (
                "PutItem",
                json!({ "Item": { "a": { "L": [{ "M": { "b": { "SS": "x" } } }] } } }),
                "Unexpected field type",
            ),
            ("GetItem", json!({ "ConsistentRead": "perhaps" }), "Unexpected token received from parser"),
            ("Scan", json!({ "Limit": "5" }), "STRING_VALUE cannot be converted to Integer"),
            ("BatchWriteItem", json!({ "RequestItems": { "t": {} } }), UNCASTABLE),
            ("BatchWriteItem", json!({ "RequestItems": { "t": ["x"] } }), "Unexpected value type in payload"),
            (
                "TransactWriteItems",
                json!({ "TransactItems": [{ "Put": [] }] }),
                "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.Put",
            ),
            (
                "TransactWriteItems",
                json!({ "TransactItems": {} }),
                "Start of structure or map found where not expected",
            ),
        ] {
            let told = check(operation, request.as_object().unwrap());
            assert_eq!(told, Err(expected.to_owned()), "{request}");
        }
        let fine = json!({ "TableName": "t", "Key": { "pk": { "S": "a" } }, "ConsistentRead": "true", "Limit": null, "Unknown": 5 });
        assert_eq!(check("GetItem", fine.as_object().unwrap()), Ok(()));
    }
}
