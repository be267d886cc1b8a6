//! Keeping secrets out of the journal, the audit log and command lines.

use serde_json::Value;

/// What stands in the place of a secret.
pub const REDACTED: &str = "***";

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "token", "secret"].iter().any(|word| key.contains(word))
}

/// Replaces the values of all keys that name a secret; says whether there was one.
pub fn redact(value: &mut Value) -> bool {
    match value {
        Value::Object(map) => {
            let mut found = false;
            for (key, value) in map {
                if is_secret(key) && !value.is_null() {
                    *value = Value::String(REDACTED.to_owned());
                    found = true;
                } else {
                    found |= redact(value);
                }
            }
            found
        }
        Value::Array(items) => items.iter_mut().fold(false, |found, item| redact(item) | found),
        _ => false,
    }
}

/// The same value without its secrets.
pub fn redacted(mut value: Value) -> Value {
    redact(&mut value);
    value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_found_at_any_depth() {
        let mut value =
            json!({"a": [{"user_password": "x", "b": 1}], "c": {"API_TOKEN": {"d": 2}}, "secret": null});
        assert!(redact(&mut value));
        assert_eq!(
            value,
            json!({"a": [{"user_password": "***", "b": 1}], "c": {"API_TOKEN": "***"}, "secret": null})
        );
        assert!(!redact(&mut json!({"reference": "1.0.0"})));
    }
}
