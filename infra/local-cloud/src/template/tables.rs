//! `AWS::DynamoDB::Table`, made into the request that creates it.
//!
//! Rights, backups, encryption and prices are left out of the request; keys, indexes and the stream are all in it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Result, TemplateError, fields::Fields, names, resolve::Scope, sam::Resource};
use crate::stack::{Stack, Table};

/// The emulator behind this crate takes no shorter names, though DynamoDB does.
const SHORTEST_NAME: usize = 11;

pub(super) fn add(stack: &mut Stack, scope: &Scope<'_>, resource: &Resource, properties: &Value) -> Result<()> {
    let fields = Fields::of(properties, resource.properties_path())?;
    fields.only(
        &[
            "TableName",
            "AttributeDefinitions",
            "KeySchema",
            "GlobalSecondaryIndexes",
            "LocalSecondaryIndexes",
            "BillingMode",
            "ProvisionedThroughput",
            "StreamSpecification",
            "TimeToLiveSpecification",
        ],
        &[
            "ContributorInsightsSpecification",
            "DeletionProtectionEnabled",
            "OnDemandThroughput",
            "PointInTimeRecoverySpecification",
            "ResourcePolicy",
            "SSESpecification",
            "TableClass",
            "Tags",
            "WarmThroughput",
        ],
    )?;
    let name = names::physical_name(scope, resource)?;
    if name.len() < SHORTEST_NAME {
        return Err(fields.invalid("TableName", format!("`{name}` is shorter than {SHORTEST_NAME} characters")));
    }
    let arn = names::table_arn(scope.settings, &name);
    let mut create = Map::new();
    create.insert("TableName".to_owned(), Value::String(name.clone()));
    let mut keys = BTreeSet::new();
    create.insert("KeySchema".to_owned(), key_schema(&fields, &mut keys)?);
    let on_demand = fields.word("BillingMode", &["PAY_PER_REQUEST", "PROVISIONED"])?;
    let on_demand = on_demand.as_deref() == Some("PAY_PER_REQUEST");
    create.insert("BillingMode".to_owned(), json!(if on_demand { "PAY_PER_REQUEST" } else { "PROVISIONED" }));
    throughput(&fields, on_demand, &mut create)?;
    for kind in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
        let indexes = fields.objects(kind)?;
        if !indexes.is_empty() {
            let provisioned = kind.starts_with("Global") && !on_demand;
            let all = indexes.iter().map(|fields| index(fields, provisioned, &mut keys)).collect::<Result<Vec<_>>>()?;
            create.insert(kind.to_owned(), Value::Array(all));
        }
    }
    create.insert("AttributeDefinitions".to_owned(), attributes(&fields, &keys)?);
    let mut table = Table { name, stream_arn: None, create: Value::Null, ttl_attribute: None, arn };
    if let Some(stream) = fields.object("StreamSpecification")? {
        stream.only(&["StreamViewType"], &["ResourcePolicy"])?;
        let views = ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"];
        let view = stream.word("StreamViewType", &views)?;
        let view = view.ok_or_else(|| stream.invalid("StreamViewType", "is required"))?;
        create.insert("StreamSpecification".to_owned(), json!({"StreamEnabled": true, "StreamViewType": view}));
        table.stream_arn = Some(names::stream_arn(&table.arn));
    }
    if let Some(ttl) = fields.object("TimeToLiveSpecification")? {
        ttl.only(&["AttributeName", "Enabled"], &[])?;
        if ttl.flag("Enabled")? == Some(true) {
            table.ttl_attribute = Some(ttl.required_text("AttributeName")?);
        }
    }
    table.create = Value::Object(create);
    stack.tables.push(table);
    Ok(())
}

fn key_schema(fields: &Fields<'_>, keys: &mut BTreeSet<String>) -> Result<Value> {
    let mut schema = Vec::new();
    for (place, key) in fields.objects("KeySchema")?.iter().enumerate() {
        key.only(&["AttributeName", "KeyType"], &[])?;
        let name = key.required_text("AttributeName")?;
        let expected = if place == 0 { "HASH" } else { "RANGE" };
        if key.required_text("KeyType")? != expected || place > 1 {
            return Err(fields.invalid("KeySchema", "wants one HASH key, then at most one RANGE key"));
        }
        schema.push(json!({"AttributeName": name, "KeyType": expected}));
        keys.insert(name);
    }
    if schema.is_empty() {
        return Err(fields.invalid("KeySchema", "is required"));
    }
    Ok(Value::Array(schema))
}

fn index(fields: &Fields<'_>, provisioned: bool, keys: &mut BTreeSet<String>) -> Result<Value> {
    fields.only(
        &["IndexName", "KeySchema", "Projection", "ProvisionedThroughput"],
        &["ContributorInsightsSpecification", "OnDemandThroughput", "WarmThroughput"],
    )?;
    let mut index = Map::new();
    index.insert("IndexName".to_owned(), Value::String(fields.required_text("IndexName")?));
    index.insert("KeySchema".to_owned(), key_schema(fields, keys)?);
    let projection = fields.object("Projection")?.ok_or_else(|| fields.invalid("Projection", "is required"))?;
    projection.only(&["ProjectionType", "NonKeyAttributes"], &[])?;
    let kind = projection.word("ProjectionType", &["ALL", "INCLUDE", "KEYS_ONLY"])?;
    let kind = kind.ok_or_else(|| projection.invalid("ProjectionType", "is required"))?;
    let mut projected = Map::from_iter([("ProjectionType".to_owned(), json!(kind))]);
    let included = projection.texts("NonKeyAttributes")?;
    if included.is_empty() == (kind == "INCLUDE") {
        return Err(
            projection.invalid("NonKeyAttributes", "goes with the projection type `INCLUDE`, and with no other")
        );
    }
    if !included.is_empty() {
        projected.insert("NonKeyAttributes".to_owned(), json!(included));
    }
    index.insert("Projection".to_owned(), Value::Object(projected));
    if provisioned {
        throughput(fields, false, &mut index)?;
    }
    Ok(Value::Object(index))
}

fn throughput(fields: &Fields<'_>, on_demand: bool, into: &mut Map<String, Value>) -> Result<()> {
    let Some(throughput) = fields.object("ProvisionedThroughput")? else {
        return if on_demand {
            Ok(())
        } else {
            let message = "is required unless `BillingMode` is `PAY_PER_REQUEST`";
            Err(fields.invalid("ProvisionedThroughput", message))
        };
    };
    if on_demand {
        return Err(fields.invalid("ProvisionedThroughput", "does not go with `PAY_PER_REQUEST`"));
    }
    throughput.only(&["ReadCapacityUnits", "WriteCapacityUnits"], &[])?;
    let units = |key: &str| {
        let units = throughput.number(key, 1, u32::MAX)?;
        units.ok_or_else(|| throughput.invalid(key, "is required"))
    };
    let (read, write) = (units("ReadCapacityUnits")?, units("WriteCapacityUnits")?);
    let units = json!({"ReadCapacityUnits": read, "WriteCapacityUnits": write});
    into.insert("ProvisionedThroughput".to_owned(), units);
    Ok(())
}

/// DynamoDB wants exactly the attributes that are keys of the table or of an index.
fn attributes(fields: &Fields<'_>, keys: &BTreeSet<String>) -> Result<Value> {
    let mut defined = BTreeSet::new();
    let mut definitions = Vec::new();
    for definition in fields.objects("AttributeDefinitions")? {
        definition.only(&["AttributeName", "AttributeType"], &[])?;
        let name = definition.required_text("AttributeName")?;
        let kind = definition.word("AttributeType", &["S", "N", "B"])?;
        let kind = kind.ok_or_else(|| definition.invalid("AttributeType", "is required"))?;
        definitions.push(json!({"AttributeName": name, "AttributeType": kind}));
        defined.insert(name);
    }
    let at = fields.at("AttributeDefinitions");
    if let Some(missing) = keys.difference(&defined).next() {
        return Err(TemplateError::not_there(at, format!("the key `{missing}` is not defined")));
    }
    if let Some(unused) = defined.difference(keys).next() {
        return Err(TemplateError::invalid(at, format!("`{unused}` is a key of neither the table nor an index")));
    }
    Ok(Value::Array(definitions))
}
