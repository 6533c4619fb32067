//! Each rule of `docs/contract-compatibility.md`, and the promise that they make together.

use proptest::prelude::*;

use super::super::tests::{Entropy, contract, event, mutated, prune};
use super::super::{Contract, validate_value};
use super::*;

const OLD: &str = "\
apiVersion: v3.1.0
kind: DataContract
id: shop
version: 1.2.0
status: active
description: {purpose: What is bought}
team: {name: shop-team}
schema:
  - name: Order
    description: An order was placed
    customProperties:
      - {property: eventType, value: track}
      - {property: eventName, value: Order Completed}
      - {property: rules, value: [{requires: [note, method]}]}
    properties:
      - name: count
        description: How many
        logicalType: integer
        logicalTypeOptions: {minimum: 1, maximum: 9}
        customProperties:
          - {property: promote, value: item_count}
          - {property: missing, value: unknown}
      - name: method
        description: Way to pay
        logicalType: string
        quality: [{metric: invalidValues, arguments: {validValues: [card, cash]}, mustBe: 0}]
      - name: note
        description: What the customer writes
        logicalType: string
        logicalTypeOptions: {maxLength: 50, pattern: '^[a-z]'}
      - name: weight
        description: In grams
        logicalType: integer
  - name: Refund
    description: An order was paid back
    customProperties:
      - {property: eventType, value: track}
      - {property: eventName, value: Order Refunded}
";

fn read(text: &str) -> Contract {
    Contract::parse(text, "shop.yaml").unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn changes(part: &str, instead: &str, version: &str) -> Vec<String> {
    assert!(OLD.contains(part), "{part}");
    let new = OLD.replacen(part, instead, 1).replace("1.2.0", version);
    check(&read(OLD), &read(&new)).iter().map(ToString::to_string).collect()
}

const EXTRA: &str = "      - {name: extra, description: More, logicalType: string}\n  - name: Refund";
const NEEDED: &str = "      - {name: extra, description: More, logicalType: string, required: true}\n  - name: Refund";
const REFUND: &str = "  - name: Refund
    description: An order was paid back
    customProperties:
      - {property: eventType, value: track}
      - {property: eventName, value: Order Refunded}
";
const COLUMN: &str = "          - {property: promote, value: item_count}\n";

#[test]
fn compatible_changes_ask_for_a_minor_version() {
    for (part, instead, expected) in [
        ("  - name: Refund", EXTRA, "Order Completed.extra: is new"),
        ("maximum: 9", "maximum: 10", "the range was from 1 to 9, is from 1 to 10"),
        ("{minimum: 1, maximum: 9}", "{}", "is without bounds"),
        ("[card, cash]", "[card, cash, iou]", "accepts other values as well"),
        ("maxLength: 50", "maxLength: 60", "the length was of at most 50, is of at most 60"),
        (", pattern: '^[a-z]'", "", "the pattern `^[a-z]` is gone"),
        ("integer\n  - name: Refund", "number\n  - name: Refund", "weight: was of type integer, is of type number"),
        ("{requires: [note, method]}", "", "has a rule less"),
        (REFUND, "", "Order Refunded: is gone: its events are kept without a contract"),
        (
            "        logicalType: integer\n  - name: Refund",
            "        logicalType: integer\n        customProperties: [{property: promote, value: weight_g}]\n  - name: Refund",
            "weight: fills column `weight_g`",
        ),
        (
            "- {property: missing, value: unknown}",
            "- {property: missing, value: unknown}\n          - {property: deprecated, value: {since: 1.2.0}}",
            "count: is deprecated",
        ),
    ] {
        let found = changes(part, instead, "1.3.0");
        assert!(found.len() == 1 && found[0].starts_with("compatible: "), "{found:#?}");
        assert!(found[0].contains(expected), "{found:#?}");
        let found = changes(part, instead, "1.2.9");
        assert!(found[1].contains("version: is 1.2.9, after 1.2.0; set it to 1.3.0 or higher"), "{found:#?}");
    }
}

#[test]
fn words_ask_for_a_patch_version() {
    assert_eq!(changes("How many", "How many pieces", "1.2.1").len(), 1);
    let found = changes("How many", "How many pieces", "1.2.0");
    assert!(found[1].contains("set it to 1.2.1 or higher"), "{found:#?}");
}

#[test]
fn a_former_name_of_a_column_is_words() {
    let named = "value: item_count}\n          - {property: renamedFrom, value: items}";
    let found = changes("value: item_count}", named, "1.2.1");
    assert_eq!(found, ["compatible: Order Completed.count: the former name of its column changed"]);
}

#[test]
fn other_content_asks_for_another_version() {
    let old = read(OLD);
    let of = |version: &str, maximum: &str| {
        read(&OLD.replace("1.2.0", version).replace("maximum: 9", &format!("maximum: {maximum}")))
    };
    assert!(!reuses_version(&old, &read(&format!("# Other layout\n{OLD}"))));
    assert!(reuses_version(&old, &of("1.2.0", "10")) && reuses_version(&old, &of("1.2.0", "8")));
    assert!(!reuses_version(&old, &of("1.3.0", "10")) && !reuses_version(&old, &of("1.1.0", "8")));
    assert!(reuses_version(&old, &read(&OLD.replace("How many", "How many pieces"))), "words are content");
}

#[test]
fn breaking_changes_name_whom_they_break_and_a_remedy() {
    for (part, instead, who, expected) in [
        ("  - name: Refund", NEEDED, "producers", "extra: is new and required; make it optional"),
        (
            "description: In grams",
            "description: In grams\n        required: true",
            "producers",
            "weight: is required now",
        ),
        ("maximum: 9", "maximum: 8", "producers", "the range was from 1 to 9, is from 1 to 8"),
        ("[card, cash]", "[card]", "producers", "does not accept `cash` any more"),
        ("maxLength: 50", "maxLength: 40", "producers", "the length was of at most 50"),
        ("'^[a-z]'", "'^[a-z ]'", "producers", "the pattern is `^[a-z ]` now"),
        (
            "integer\n  - name: Refund",
            "string\n  - name: Refund",
            "producers",
            "was of type integer, is of type string",
        ),
        (
            "[{requires: [note, method]}]",
            "[{requires: [note, method]}, {anyOf: [note, count]}]",
            "producers",
            "has a new rule",
        ),
        (
            "schema:",
            "customProperties: [{property: unknownEvents, value: quarantine}]\nschema:",
            "producers",
            "no longer kept",
        ),
        (COLUMN, "", "readers", "fills column `item_count` no longer; keep it, and mark it `deprecated`"),
        ("value: item_count", "value: items", "readers", "set `renamedFrom` to the old name"),
        (
            COLUMN,
            "          - {property: promote, value: items}\n          - {property: renamedFrom, value: item_count}\n",
            "readers",
            "the values move along",
        ),
        ("logicalType: integer", "logicalType: number", "readers", "would change from long to double"),
        ("value: unknown", "value: zero", "readers", "null meant unknown, and means zero now"),
        ("id: shop", "id: store", "producers and readers", "id: was `shop`, is `store`"),
    ] {
        let found = changes(part, instead, "2.0.0");
        let breaking: Vec<&String> = found.iter().filter(|change| change.starts_with("breaks ")).collect();
        assert_eq!(breaking.len(), 1, "{found:#?}");
        assert!(breaking[0].starts_with(&format!("breaks {who}: ")) && breaking[0].contains(expected), "{found:#?}");
        let found = changes(part, instead, "1.9.0");
        assert!(found.iter().any(|change| change.contains("set it to 2.0.0 or higher")), "{found:#?}");
    }
}

#[test]
fn a_new_column_does_not_take_the_values_of_one_that_is_still_filled() {
    let weight = "        logicalType: integer\n  - name: Refund";
    let taker = "        logicalType: integer
        customProperties: [{property: promote, value: amount}, {property: renamedFrom, value: item_count}]
  - name: Refund";
    let found = changes(weight, taker, "2.0.0");
    let taken = "breaks readers: Order Completed.weight: takes over the values of column `item_count`, which \
                 `Order Completed.count` still fills; remove `renamedFrom`, so that both columns stay";
    assert!(found.iter().any(|change| change == taken), "{found:#?}");
}

#[test]
fn an_object_that_becomes_anything_else_fills_its_columns_no_longer() {
    let cart = "      - name: cart
        description: What is bought
        logicalType: object
        properties:
          - name: total
            description: What is paid
            logicalType: number
            customProperties: [{property: promote, value: cart_total}]
  - name: Refund";
    let old = OLD.replace("  - name: Refund", cart);
    let inside = &cart[cart.find("        properties:").expect("start")..cart.find("  - name: Refund").expect("end")];
    for (kind, breaks) in [("", 1), ("        logicalType: string\n", 2)] {
        let new = old.replace(inside, "").replace("        logicalType: object\n", kind).replace("1.2.0", "2.0.0");
        let found: Vec<String> = check(&read(&old), &read(&new)).iter().map(ToString::to_string).collect();
        let told = "breaks readers: Order Completed.cart: is no object any more, and so fills `cart_total` no longer";
        assert!(found.iter().any(|change| change.starts_with(told)), "{found:#?}");
        assert_eq!(found.iter().filter(|change| change.starts_with("breaks")).count(), breaks, "{found:#?}");
    }
}

#[test]
fn a_removed_property_breaks_whoever_relied_on_it() {
    let closed = OLD.replace(
        "- {property: eventName, value: Order Completed}",
        "- {property: eventName, value: Order Completed}\n      - {property: unknownProperties, value: quarantine}",
    );
    let start = closed.find("      - name: count").expect("count");
    let end = closed.find("      - name: method").expect("method");
    let new = format!("{}{}", &closed[..start], &closed[end..]).replace("1.2.0", "2.0.0");
    let found: Vec<String> = check(&read(&closed), &read(&new)).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "breaks readers: Order Completed.count: is gone, and so fills `item_count` no longer; keep it, and mark it `deprecated`",
            "breaks producers: Order Completed.count: is gone, and other properties are not accepted; keep it, and mark it `deprecated`",
        ]
    );
}

#[test]
fn the_first_event_of_a_call_closes_it_when_unknown_events_are_quarantined() {
    let policy = "customProperties: [{property: unknownEvents, value: quarantine}]\nschema:";
    let page = "  - name: Home
    description: The start page was seen
    customProperties:
      - {property: eventType, value: page}
";
    let old = OLD.replace("schema:", policy);
    let new = |name: &str| read(&format!("{old}{page}{name}").replace("1.2.0", "1.3.0"));
    let named = check(&read(&old), &new("      - {property: eventName, value: Home}\n"));
    assert!(named[0].what.contains("is the first `page` call"), "{named:#?}");
    let all = check(&read(&old), &new(""));
    assert_eq!((all.len(), all[0].verdict), (1, Verdict::Compatible), "{all:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_changes_between_a_contract_and_itself(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let contract = contract(&mut Entropy::of(bytes));
        prop_assert_eq!(check(&contract, &contract), []);
    }

    /// Undescribed properties are left out: nobody promised anything about them.
    #[test]
    fn after_compatible_changes_every_event_is_accepted_as_before(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut entropy = Entropy::of(bytes);
        let old = contract(&mut entropy);
        let new = mutated(&old, &mut entropy);
        let changes = check(&old, &new);
        if changes.iter().any(|change| change.verdict == Verdict::Breaking) {
            return Ok(());
        }
        for _ in 0..8 {
            let mut event = event(&old, &mut entropy);
            let named = |e: &EventContract| e.call.name_key().and_then(|key| event[key].as_str()) == e.name.as_deref();
            let of_call = old.events.iter().filter(|e| event["type"] == e.call.as_str());
            let described = of_call.filter(|e| e.name.is_none() || named(e)).max_by_key(|e| e.name.is_some());
            if let Some(described) = described {
                prune(&described.body, &mut event["properties"]);
            }
            if validate_value(std::slice::from_ref(&old), &event).is_empty() {
                let refusals = validate_value(std::slice::from_ref(&new), &event);
                prop_assert!(refusals.is_empty(), "{refusals:?} {event} {changes:#?} {old:#?} {new:#?}");
            }
        }
    }
}
