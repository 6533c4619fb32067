//! The rules for one object: its properties by key, which of them are required, and rules over several.

use std::sync::Arc;

use super::broken::{Broken, BrokenObject, BrokenReason};
use super::cross::{CrossCheck, Watch, checks};
use super::seen::{Bits, Scalar, Seen};
use super::table::KeyTable;
use super::value::{ArrayRule, ValueRule};
use crate::contract::columns::PromotedColumn;
use crate::contract::model::{ObjectShape, Policy, Property, Shape};
use crate::contract::wording;

/// Rules for an object, run while it is read:
///
/// 1. start with an empty [`Seen`];
/// 2. for each key, [`field`](Self::field); if there is none, [`unknown`](Self::unknown);
/// 3. for each known key with a value other than null, the method of [`FieldRule`] for that kind of value;
/// 4. behind the last key, [`finish`](Self::finish).
#[derive(Debug, Clone)]
pub struct ObjectRules {
    fields: Box<[FieldRule]>,
    keys: KeyTable,
    required: Bits,
    checks: Box<[CrossCheck]>,
    /// What is wrong with other properties; `None` when they are kept.
    unknown: Option<Broken>,
}

/// The rule for one property.
#[derive(Debug, Clone)]
pub struct FieldRule {
    /// Key, as it is once escapes are decoded.
    pub key: Box<[u8]>,
    /// Place among the properties of the object.
    pub index: usize,
    /// Whether it must be there and not null.
    pub required: bool,
    /// Place of its column among [`CompiledContracts::columns`](super::CompiledContracts::columns).
    pub column: Option<usize>,
    /// The rule for its value.
    pub value: ValueRule,
    watch: Watch,
}

impl ObjectRules {
    pub(super) fn of(shape: &ObjectShape) -> ObjectRules {
        let fields: Box<[FieldRule]> = shape
            .properties
            .iter()
            .enumerate()
            .map(|(index, property)| FieldRule::of(property, index, shape))
            .collect();
        let unknown = || Broken { reason: BrokenReason::UnknownProperty, expected: wording::of_closed_object().into() };
        ObjectRules {
            keys: KeyTable::of(fields.iter().map(|field| &*field.key)),
            required: Bits::of(fields.iter().filter(|field| field.required).map(|field| field.index)),
            checks: checks(shape),
            unknown: (shape.unknown == Policy::Quarantine).then(unknown),
            fields,
        }
    }

    /// Fills in the places of the columns.
    pub(super) fn bind(&mut self, shape: &ObjectShape, columns: &[PromotedColumn]) {
        for (field, property) in self.fields.iter_mut().zip(&shape.properties) {
            let column = property.promotion.as_ref().map(|promotion| &promotion.column);
            field.column = column.and_then(|name| columns.iter().position(|column| column.name == *name));
            if let (Some(inside), Shape::Object(shape)) = (field.value.object_mut(), &property.shape) {
                inside.bind(shape, columns);
            }
        }
    }

    /// Returns the rule for a key, whose escapes are decoded.
    #[inline]
    pub fn field(&self, key: &[u8]) -> Option<&FieldRule> {
        self.fields.get(self.keys.find(key)?)
    }

    /// Returns the rules for all properties, in the order of their index.
    pub fn fields(&self) -> &[FieldRule] {
        &self.fields
    }

    /// Checks a key that has no rule.
    ///
    /// # Errors
    /// The contract wants to know every property.
    #[inline]
    pub fn unknown(&self) -> Result<(), Broken> {
        match &self.unknown {
            None => Ok(()),
            Some(broken) => Err(broken.clone()),
        }
    }

    /// Checks the object as a whole, once its last key is read.
    ///
    /// # Errors
    /// The first required property that was not there, else the first rule over several properties that is broken.
    #[inline]
    pub fn finish(&self, seen: &Seen) -> Result<(), BrokenObject<'_>> {
        if let Some(index) = self.required.first_beyond(&seen.present) {
            return Err(self.fields[index].missing());
        }
        self.checks.iter().try_for_each(|check| check.check(seen))
    }
}

impl FieldRule {
    fn of(property: &Property, index: usize, shape: &ObjectShape) -> FieldRule {
        FieldRule {
            key: property.name.as_bytes().into(),
            index,
            required: property.required,
            column: None,
            value: ValueRule::of(&property.shape),
            watch: Watch::of(&property.name, shape),
        }
    }

    #[cold]
    fn missing(&self) -> BrokenObject<'_> {
        let expected = Arc::clone(self.value.expected());
        BrokenObject { key: &self.key, broken: Broken { reason: BrokenReason::MissingProperty, expected } }
    }

    /// Checks and notes a text, whose escapes are decoded and whose UTF-8 is checked.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn text(&self, text: &[u8], seen: &mut Seen) -> Result<Scalar, Broken> {
        let scalar = self.value.text(text)?;
        self.note(scalar, text, seen);
        Ok(scalar)
    }

    /// Checks and notes a number as it is written in JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn number(&self, raw: &[u8], seen: &mut Seen) -> Result<Scalar, Broken> {
        let scalar = self.value.number(raw)?;
        self.note(scalar, &[], seen);
        Ok(scalar)
    }

    /// Checks and notes `true` or `false`.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn boolean(&self, truth: bool, seen: &mut Seen) -> Result<Scalar, Broken> {
        let scalar = self.value.boolean(truth)?;
        self.note(scalar, &[], seen);
        Ok(scalar)
    }

    /// Notes null, which is as if the property were not there: of a key that stands twice the last value counts.
    #[inline]
    pub fn null(&self, seen: &mut Seen) {
        if seen.present.has(self.index) {
            seen.present.remove(self.index);
            self.watch.forget(seen);
        }
    }

    /// Notes an object; returns the rules for what is inside, `None` when anything may be.
    ///
    /// # Errors
    /// There should be no object.
    #[inline]
    pub fn object(&self, seen: &mut Seen) -> Result<Option<&ObjectRules>, Broken> {
        let rules = self.value.object()?;
        seen.present.add(self.index);
        Ok(rules)
    }

    /// Notes an array; returns its rule, `None` when anything may be inside.
    ///
    /// # Errors
    /// There should be no array.
    #[inline]
    pub fn array(&self, seen: &mut Seen) -> Result<Option<&ArrayRule>, Broken> {
        let rule = self.value.array()?;
        seen.present.add(self.index);
        Ok(rule)
    }

    #[inline]
    fn note(&self, scalar: Scalar, text: &[u8], seen: &mut Seen) {
        seen.present.add(self.index);
        self.watch.note(seen, scalar, text);
    }
}
