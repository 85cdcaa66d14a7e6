//! What a plan shows of values that may hold secrets.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// Stands where a value is not shown.
const HIDDEN: &str = "…";

/// A path or URL with the names of its query's fields and not their values.
pub(super) fn without_query_values(given: &str) -> String {
    let Some((path, query)) = given.split_once('?') else { return given.to_owned() };
    let shown = |field: &str| match field.split_once('=') {
        Some((name, _)) => format!("{name}={HIDDEN}"),
        None => HIDDEN.to_owned(),
    };
    let fields: Vec<String> = query.split('&').map(shown).collect();
    format!("{path}?{}", fields.join("&"))
}

/// A URL without user, password and values of its query.
pub(super) fn optional_url<S: Serializer>(given: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    given.as_deref().map(shown_url).serialize(serializer)
}

fn shown_url(given: &str) -> String {
    let given = without_query_values(given);
    let (scheme, rest) = given.split_once("://").map_or(("", given.as_str()), |(scheme, rest)| (scheme, rest));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or_else(|| host.to_owned(), |(_, host)| format!("{HIDDEN}@{host}"));
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

/// Fields of which those whose names say that they are secret keep the name alone.
pub(super) fn fields<S: Serializer>(given: &Map<String, Value>, serializer: S) -> Result<S::Ok, S::Error> {
    shown_fields(given).serialize(serializer)
}

fn shown_fields(given: &Map<String, Value>) -> Map<String, Value> {
    let shown = |(name, value): (&String, &Value)| {
        let value = if is_secret(name) { HIDDEN.into() } else { shown_value(value) };
        (name.clone(), value)
    };
    given.iter().map(shown).collect()
}

fn shown_value(given: &Value) -> Value {
    match given {
        Value::Object(fields) => Value::Object(shown_fields(fields)),
        Value::Array(list) => list.iter().map(shown_value).collect(),
        other => other.clone(),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase().replace(['-', '_'], "");
    ["key", "token", "secret", "password", "authorization", "credential", "credentials"]
        .iter()
        .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_credentials_and_named_secrets_are_not_shown() {
        let check = |given: &str, want: &str| assert_eq!(shown_url(given), want, "{given}");
        check("https://u:pw@h:1/a/b@c?sig=pw&flag", "https://…@h:1/a/b@c?sig=…&…");
        check("http://h", "http://h");
        check("u:pw@h/x", "…@h/x");
        assert_eq!(without_query_values("/v1/chat?api-version=1"), "/v1/chat?api-version=…");
        let fields = serde_json::json!({
            "api_key": "pw", "x": {"Access-Token": "pw", "max_tokens": 3}, "stop_token_ids": [1], "user": "u",
            "tools": [{"server": [{"api_key": "pw"}], "name": "n"}],
        });
        let shown = Value::Object(shown_fields(fields.as_object().unwrap()));
        let want = serde_json::json!({
            "api_key": "…", "x": {"Access-Token": "…", "max_tokens": 3}, "stop_token_ids": [1], "user": "u",
            "tools": [{"server": [{"api_key": "…"}], "name": "n"}],
        });
        assert_eq!(shown, want);
    }
}
