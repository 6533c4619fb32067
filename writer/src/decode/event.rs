//! Reading one event: which value belongs to which field, and what is left over.

use std::borrow::Cow;
use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::fields::{Field, Fields};
use super::reason::Reason;
use super::scanner::{Fault, Kind, Scan, Scanner, Span, Value};
use super::tape::Tape;
use super::text::unescape;

/// Words of the bit table in which up to [`MAX_SKETCHED_KEYS`] keys are looked for twice.
const SKETCH_WORDS: usize = 64;
/// With more keys two of them would often share a bit; they go into a set at once.
const MAX_SKETCHED_KEYS: usize = 64;

/// Room for leftovers that is kept from event to event.
const KEPT_LEFTOVERS: usize = 256;

/// A key that the contract does not name, with its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leftover {
    /// What the key stands in: `None` is the event itself, else `context` or one of its groups.
    pub(super) parent: Option<Field>,
    pub(super) key: Value,
    pub(super) value: Value,
}

/// One event, or what surrounds a batch, as read. Its buffers are reused from event to event.
#[derive(Debug, Default)]
pub(super) struct Event {
    pub(super) fields: Fields,
    pub(super) leftovers: Vec<Leftover>,
    /// What is inside of `properties` and `traits`, if contracts want to know.
    pub(super) properties: Tape,
    pub(super) traits: Tape,
    /// `context.userAgentData`, which is a leftover too.
    pub(super) client_hints: Option<Span>,
    /// A key that stands twice; reading goes on behind it, so that later keys are known too.
    pub(super) duplicate: Option<Fault>,
}

/// Name of the key that makes a record a batch.
pub(super) const BATCH: &[u8] = b"batch";
/// Name of the key of the context that holds what a browser tells beside its user agent.
const CLIENT_HINTS: &[u8] = b"userAgentData";
/// The one key beside context and times that a batch hands down to its events.
const INTEGRATIONS: &[u8] = b"integrations";

impl Event {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.fields.clear();
        self.leftovers.clear();
        self.leftovers.shrink_to(KEPT_LEFTOVERS);
        self.properties.clear();
        self.traits.clear();
        self.client_hints = None;
        self.duplicate = None;
    }

    /// Reads an event from its brace on. After a fault the keys before it are known.
    pub(super) fn read(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        self.clear();
        scanner.object(1, |scanner, key| self.member(scanner, key))?;
        self.find_duplicate(scanner.bytes);
        Ok(())
    }

    /// Reads an event, or stops at a `batch` that is an array: `Ok(false)`.
    pub(super) fn read_unless_batch(&mut self, scanner: &mut Scanner<'_>) -> Scan<bool> {
        self.clear();
        let mut batch = false;
        let read = scanner.object(1, |scanner, key| {
            batch = key.span.of(scanner.bytes) == BATCH && scanner.peek() == b'[';
            // Leaves the object by an error, which is not looked at.
            if batch { Err(scanner.unexpected("")) } else { self.member(scanner, key) }
        });
        if batch {
            return Ok(false);
        }
        read?;
        self.find_duplicate(scanner.bytes);
        Ok(true)
    }

    /// Reads what surrounds a batch; `batch` reads the value of each key `batch`.
    pub(super) fn read_envelope(
        &mut self,
        scanner: &mut Scanner<'_>,
        mut batch: impl FnMut(&mut Scanner<'_>) -> Scan<Value>,
    ) -> Scan<()> {
        self.clear();
        scanner.object(1, |scanner, key| {
            if key.span.of(scanner.bytes) == BATCH && scanner.peek() == b'[' {
                let value = batch(scanner)?;
                self.leftovers.push(Leftover { parent: None, key, value });
                return Ok(());
            }
            self.member(scanner, key)
        })?;
        self.find_duplicate(scanner.bytes);
        Ok(())
    }

    #[inline]
    fn member(&mut self, scanner: &mut Scanner<'_>, key: Value) -> Scan<()> {
        let name = key_name(scanner.bytes, key);
        match Field::top_level(&name) {
            Some(Field::Context) => self.parent(scanner, key, Field::Context, 2),
            Some(field) => self.field(scanner, key, field, 1),
            None => self.leftover(scanner, key, None, 1),
        }
    }

    /// Reads `context` or a group inside it.
    fn parent(&mut self, scanner: &mut Scanner<'_>, key: Value, parent: Field, depth: u32) -> Scan<()> {
        let again = self.fields.get(parent).kind != Kind::Absent;
        if scanner.peek() != b'{' || again {
            return self.field(scanner, key, parent, depth - 1);
        }
        let read = scanner.spanned(Kind::Object, |scanner| {
            scanner.object(depth, |scanner, key| {
                let name = key_name(scanner.bytes, key);
                match Field::inside(parent, &name) {
                    Some(group) if Field::GROUPS.contains(&group) => self.parent(scanner, key, group, depth + 1),
                    Some(field) => self.field(scanner, key, field, depth),
                    None => self.leftover(scanner, key, Some(parent), depth),
                }
            })
        })?;
        self.fields.set(parent, read);
        Ok(())
    }

    #[inline]
    fn field(&mut self, scanner: &mut Scanner<'_>, key: Value, field: Field, depth: u32) -> Scan<()> {
        let value = match field {
            Field::Properties if scanner.with_bodies => read_body(&mut self.properties, scanner, depth)?,
            Field::Traits if scanner.with_bodies => read_body(&mut self.traits, scanner, depth)?,
            _ => scanner.value(depth)?,
        };
        if self.fields.get(field).kind == Kind::Absent {
            self.fields.set(field, value);
        } else {
            self.note_duplicate(key);
        }
        Ok(())
    }

    fn leftover(&mut self, scanner: &mut Scanner<'_>, key: Value, parent: Option<Field>, depth: u32) -> Scan<()> {
        let value = scanner.value(depth)?;
        if parent == Some(Field::Context) && key.span.of(scanner.bytes) == CLIENT_HINTS && value.kind == Kind::Object {
            self.client_hints = Some(value.span);
        }
        self.leftovers.push(Leftover { parent, key, value });
        Ok(())
    }

    #[cold]
    fn note_duplicate(&mut self, key: Value) {
        // Behind the key, so that the pointer made of the place names it.
        let fault = Fault { reason: Reason::DuplicateKey, at: key.json().end as usize, expected: "each key once" };
        self.duplicate.get_or_insert(fault);
    }

    /// Looks for keys that stand twice among the leftovers of one parent.
    fn find_duplicate(&mut self, bytes: &[u8]) {
        if self.leftovers.len() < 2 || are_surely_distinct(bytes, &self.leftovers) {
            return;
        }
        if let Some(key) = duplicate_of_many(bytes, &self.leftovers) {
            self.note_duplicate(key);
        }
    }

    /// Of what surrounds a batch, keeps the leftovers that events take from it: of the context, and integrations.
    pub(super) fn keep_inheritable(&mut self, bytes: &[u8]) {
        self.leftovers.retain(|l| l.parent.is_some() || key_name(bytes, l.key) == INTEGRATIONS);
    }

    /// Takes what is missing from the batch around the event: its context, times and integrations.
    pub(super) fn inherit(&mut self, bytes: &[u8], batch: &Event) {
        self.fields.inherit(&batch.fields);
        if batch.leftovers.is_empty() {
            return;
        }
        // A set keeps two long lists of keys from costing the product of their lengths.
        let own: HashSet<_> = self.leftovers.iter().map(|l| l.identity(bytes)).collect();
        let missing = batch.leftovers.iter().filter(|theirs| !own.contains(&theirs.identity(bytes)));
        self.leftovers.extend(missing);
        if self.client_hints.is_none() {
            self.client_hints = self.leftovers.iter().find_map(|leftover| leftover.client_hints(bytes));
        }
    }
}

/// Reads a body. One that stands twice makes the event a malformed one, so what was noted of the first does not matter.
fn read_body(tape: &mut Tape, scanner: &mut Scanner<'_>, depth: u32) -> Scan<Value> {
    tape.clear();
    tape.value(scanner, depth)
}

impl Leftover {
    /// Returns a hash of parent and key as it is written.
    fn sketch(&self, bytes: &[u8]) -> u64 {
        let parent = self.parent.map_or(0, |field| field as u64 + 1);
        xxh3_64_with_seed(self.key.span.of(bytes), parent)
    }

    /// Returns the value if it is the client hints.
    fn client_hints(&self, bytes: &[u8]) -> Option<Span> {
        let is_hints = self.identity(bytes) == (Some(Field::Context), Cow::Borrowed(CLIENT_HINTS));
        (is_hints && self.value.kind == Kind::Object).then_some(self.value.span)
    }

    /// Returns what no two members of an event share.
    fn identity<'a>(&self, bytes: &'a [u8]) -> (Option<Field>, Cow<'a, [u8]>) {
        (self.parent, key_name(bytes, self.key))
    }
}

/// Returns whether no two keys set the same bit of a small table, which nearly always tells that they are distinct.
fn are_surely_distinct(bytes: &[u8], leftovers: &[Leftover]) -> bool {
    if leftovers.len() > MAX_SKETCHED_KEYS {
        return false;
    }
    let mut sketch = [0_u64; SKETCH_WORDS];
    leftovers.iter().all(|leftover| {
        let bit = leftover.sketch(bytes) as usize % (SKETCH_WORDS * 64);
        let (word, mask) = (&mut sketch[bit / 64], 1 << (bit % 64));
        let fresh = *word & mask == 0;
        *word |= mask;
        // Escapes can spell one key in two ways, which only decoded names tell.
        fresh && leftover.key.kind == Kind::Text
    })
}

fn duplicate_of_many(bytes: &[u8], leftovers: &[Leftover]) -> Option<Value> {
    let mut seen = HashSet::with_capacity(leftovers.len());
    leftovers.iter().find(|l| !seen.insert(l.identity(bytes))).map(|l| l.key)
}

/// Returns a key with its escapes decoded.
#[inline]
pub(super) fn key_name(bytes: &[u8], key: Value) -> Cow<'_, [u8]> {
    let literal: Span = key.span;
    if key.kind == Kind::Text {
        return Cow::Borrowed(literal.of(bytes));
    }
    let mut name = Vec::with_capacity(literal.len());
    unescape(literal.of(bytes), &mut name);
    Cow::Owned(name)
}
