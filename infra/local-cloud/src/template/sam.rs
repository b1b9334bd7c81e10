//! SAM's part of a template before anything is resolved: which resources there are, and `Globals` merged into them
//! as SAM documents it (maps merged, lists concatenated, everything else replaced).

use serde_json::{Map, Value};

use super::{
    Result, TemplateError,
    fields::{Fields, join, listed},
    names::TYPES,
};

/// A resource as it is declared, `Globals` included, nothing resolved.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) condition: Option<String>,
    pub(super) properties: Value,
}

impl Resource {
    pub(super) fn path(&self) -> String {
        format!("Resources.{}", self.id)
    }

    pub(super) fn properties_path(&self) -> String {
        format!("Resources.{}.Properties", self.id)
    }
}

pub(super) fn declare(sections: &Fields<'_>, resources: Vec<(String, Value)>) -> Result<Vec<Resource>> {
    let globals = sections.object("Globals")?;
    if let Some(globals) = &globals {
        globals.only(&["Function", "HttpApi"], &[])?;
    }
    let shared = |kind: &str| {
        let key = kind.strip_prefix("AWS::Serverless::")?;
        globals.as_ref()?.get(key)
    };
    let declared = resources.into_iter().map(|(id, declaration)| {
        let path = format!("Resources.{id}");
        let fields = Fields::of(&declaration, path)?;
        fields.only(
            &["Type", "Properties", "Condition"],
            &["DependsOn", "Metadata", "DeletionPolicy", "UpdateReplacePolicy"],
        )?;
        let kind = fields.required_text("Type")?;
        if !TYPES.iter().any(|(known, _)| *known == kind) {
            let known: Vec<&str> = TYPES.iter().map(|(known, _)| *known).collect();
            let advice = format!("understood are {}", listed(&known));
            return Err(fields.not_understood("Type", format!("`{kind}`"), &advice));
        }
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(TemplateError::invalid(fields.path(), "a logical id has letters and digits only"));
        }
        let own = fields.get("Properties").cloned().unwrap_or_else(|| Value::Object(Map::new()));
        if !own.is_object() {
            return Err(TemplateError::invalid(join(fields.path(), "Properties"), "wants a map"));
        }
        let properties = match shared(&kind) {
            Some(shared) => merged(shared, own),
            None => own,
        };
        let condition = fields.text("Condition")?;
        Ok(Resource { id, kind, condition, properties })
    });
    declared.collect()
}

fn merged(global: &Value, own: Value) -> Value {
    match (global, own) {
        (Value::Object(global), Value::Object(own)) if !is_intrinsic(global) && !is_intrinsic(&own) => {
            let mut map = global.clone();
            for (key, value) in own {
                let value = match map.get(&key) {
                    Some(global) => merged(global, value),
                    None => value,
                };
                map.insert(key, value);
            }
            Value::Object(map)
        }
        (Value::Array(global), Value::Array(own)) => Value::Array(global.iter().cloned().chain(own).collect()),
        (_, own) => own,
    }
}

fn is_intrinsic(map: &Map<String, Value>) -> bool {
    map.len() == 1 && map.keys().all(|key| key == "Ref" || key == "Condition" || key.starts_with("Fn::"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn globals_merge_maps_concatenate_lists_and_give_way_in_everything_else() {
        let global = json!({"A": {"x": 1, "y": [1, 2], "r": {"Ref": "P"}}, "B": 1, "C": [1]});
        let own = json!({"A": {"y": [3], "z": 4, "r": {"Ref": "Q"}}, "B": {"Ref": "P"}, "C": {"k": 1}, "D": null});
        let expected = json!({
            "A": {"x": 1, "y": [1, 2, 3], "z": 4, "r": {"Ref": "Q"}},
            "B": {"Ref": "P"},
            "C": {"k": 1},
            "D": null,
        });
        assert_eq!(merged(&global, own), expected);
    }
}
