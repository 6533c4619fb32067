//! How compiled rules are driven, shown on a parsed event: the decoder does the same on what it has noted while it
//! scanned (`writer/src/decode/promise.rs`). Here it is what the property tests compare with the model.

use serde_json::{Map, Value};

use super::call::EventCall;
use super::rules::{ArrayRule, Broken, CompiledContracts, FieldRule, Lookup, ObjectRules, Seen, ValueRule};
use super::validate::Refusal;

impl CompiledContracts {
    /// Checks the body of a parsed event whose envelope is in order. Returns the contract that it passed, `None` when
    /// none describes it.
    ///
    /// # Errors
    /// The first violation, in the order of the event.
    pub fn check_event(&self, event: &Value) -> Result<Option<&str>, Refusal> {
        let Some(call) = event.get("type").and_then(Value::as_str).and_then(EventCall::of) else { return Ok(None) };
        let key = call.name_key();
        let name = key.and_then(|key| event.get(key)?.as_str()).unwrap_or_default();
        let rules = match self.event(call, name.as_bytes()) {
            Lookup::Described(rules) => rules,
            Lookup::Undescribed => return Ok(None),
            Lookup::Refused(unknown) => {
                let pointer = key.map(|key| format!("/{key}")).unwrap_or_default();
                return Err(Refusal::of(&unknown.contract, pointer, unknown.broken.clone()));
            }
        };
        if let Some(body) = rules.body {
            let empty = Map::new();
            let members = event.get(body.key()).and_then(Value::as_object).unwrap_or(&empty);
            let walk = Walk { contract: &rules.contract };
            walk.object(&rules.rules, members, &format!("/{}", body.key()))?;
        }
        Ok(Some(&rules.contract))
    }
}

struct Walk<'a> {
    contract: &'a str,
}

impl Walk<'_> {
    fn object(&self, rules: &ObjectRules, members: &Map<String, Value>, pointer: &str) -> Result<(), Refusal> {
        let mut seen = Seen::default();
        for (key, value) in members {
            let pointer = inside(pointer, key);
            match rules.field(key.as_bytes()) {
                Some(field) => self.field(field, value, &mut seen, &pointer)?,
                None => rules.unknown().map_err(|broken| self.refusal(&pointer, broken))?,
            }
        }
        let finished = rules.finish(&seen);
        finished.map_err(|e| self.refusal(&inside(pointer, &String::from_utf8_lossy(e.key)), e.broken))
    }

    fn field(&self, field: &FieldRule, value: &Value, seen: &mut Seen, pointer: &str) -> Result<(), Refusal> {
        let checked = match value {
            Value::Null => Ok(()),
            Value::Bool(truth) => field.boolean(*truth, seen).map(drop),
            Value::Number(number) => field.number(number.to_string().as_bytes(), seen).map(drop),
            Value::String(text) => field.text(text.as_bytes(), seen).map(drop),
            Value::Array(elements) => match field.array(seen) {
                Ok(Some(rule)) => return self.array(rule, elements, pointer),
                other => other.map(drop),
            },
            Value::Object(members) => match field.object(seen) {
                Ok(Some(rules)) => return self.object(rules, members, pointer),
                other => other.map(drop),
            },
        };
        checked.map_err(|broken| self.refusal(pointer, broken))
    }

    fn array(&self, rule: &ArrayRule, elements: &[Value], pointer: &str) -> Result<(), Refusal> {
        for (i, element) in elements.iter().enumerate() {
            let pointer = format!("{pointer}/{i}");
            if element.is_null() {
                rule.null().map_err(|broken| self.refusal(&pointer, broken))?;
            } else {
                self.element(rule.item(), element, &pointer)?;
            }
        }
        rule.finish(elements.len() as u64).map_err(|broken| self.refusal(pointer, broken))
    }

    fn element(&self, rule: &ValueRule, value: &Value, pointer: &str) -> Result<(), Refusal> {
        let checked = match value {
            Value::Null => Ok(()),
            Value::Bool(truth) => rule.boolean(*truth).map(drop),
            Value::Number(number) => rule.number(number.to_string().as_bytes()).map(drop),
            Value::String(text) => rule.text(text.as_bytes()).map(drop),
            Value::Array(elements) => match rule.array() {
                Ok(Some(rule)) => return self.array(rule, elements, pointer),
                other => other.map(drop),
            },
            Value::Object(members) => match rule.object() {
                Ok(Some(rules)) => return self.object(rules, members, pointer),
                other => other.map(drop),
            },
        };
        checked.map_err(|broken| self.refusal(pointer, broken))
    }

    fn refusal(&self, pointer: &str, broken: Broken) -> Refusal {
        Refusal::of(self.contract, pointer.to_owned(), broken)
    }
}

/// Returns the JSON pointer (RFC 6901) of a member.
pub(super) fn inside(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}
