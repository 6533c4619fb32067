//! Compiled contracts on events written out.

use serde_json::{Value, json};

use crate::contract::call::EventCall;
use crate::contract::lint::lint_set;
use crate::contract::rules::{BrokenReason, CompiledContracts, Lookup, Scalar, Seen};
use crate::contract::{ColumnKind, Contract};

const SHOP: &str = "\
apiVersion: v3.1.0
kind: DataContract
id: shop
version: 2.0.1
status: active
description: {purpose: What is bought}
team: {name: shop-team}
customProperties:
  - {property: unknownEvents, value: quarantine}
schema:
  - name: Order
    description: An order was placed
    customProperties:
      - {property: eventType, value: track}
      - {property: eventName, value: Order Completed}
    properties:
      - name: order_id
        description: Order
        logicalType: string
        required: true
        logicalTypeOptions: {pattern: '^o[0-9]+$', maxLength: 5}
        customProperties: [{property: promote, value: order_id}]
      - name: revenue
        description: Value of the goods
        logicalType: number
        logicalTypeOptions: {minimum: 0}
        customProperties:
          - {property: promote, value: revenue}
          - {property: missing, value: zero, description: a gift}
          - {property: deprecated, value: {since: 2.0.0, use: value}}
      - name: paid
        description: When it was paid
        logicalType: timestamp
        customProperties: [{property: promote, value: paid_time}]
      - name: payment
        description: How it was paid
        logicalType: object
        customProperties: [{property: unknownProperties, value: quarantine}]
        properties:
          - name: method
            description: Way to pay
            logicalType: string
            required: true
            quality: [{metric: invalidValues, arguments: {validValues: [card, cash]}, mustBe: 0}]
            customProperties: [{property: promote, value: payment_method}]
      - name: counts
        description: How many of each
        logicalType: array
        logicalTypeOptions: {maxItems: 2}
        items: {logicalType: integer, required: true}
";

fn shop() -> Contract {
    Contract::parse(SHOP, "shop.yaml").expect("a good contract")
}

fn order(properties: Value) -> Value {
    json!({ "type": "track", "event": "Order Completed", "properties": properties })
}

#[test]
fn a_violation_names_contract_pointer_reason_and_what_was_expected() {
    let compiled = CompiledContracts::compile(&[shop()]).expect("compiles");
    for (properties, expected) in [
        (json!({}), "missing_property at `/properties/order_id`"),
        (json!(null), "missing_property at `/properties/order_id`"),
        (json!({ "order_id": null }), "missing_property at `/properties/order_id`"),
        (json!({ "order_id": 1 }), "wrong_type at `/properties/order_id`"),
        (json!({ "order_id": "x" }), "pattern_mismatch at `/properties/order_id`"),
        (json!({ "order_id": "o12345" }), "length_out_of_range at `/properties/order_id`"),
        (json!({ "order_id": "o1", "revenue": -0.01 }), "out_of_range at `/properties/revenue`"),
        (json!({ "order_id": "o1", "paid": "yesterday" }), "invalid_format at `/properties/paid`"),
        (json!({ "order_id": "o1", "payment": {} }), "missing_property at `/properties/payment/method`"),
        (json!({ "order_id": "o1", "payment": { "a/b": 1 } }), "unknown_property at `/properties/payment/a~1b`"),
        (json!({ "order_id": "o1", "payment": { "method": "iou" } }), "not_in_enum at `/properties/payment/method`"),
        (json!({ "order_id": "o1", "counts": [1, 1.5] }), "wrong_type at `/properties/counts/1`"),
        (json!({ "order_id": "o1", "counts": [1, null] }), "wrong_type at `/properties/counts/1`"),
        (json!({ "order_id": "o1", "counts": [1, 2, 3] }), "length_out_of_range at `/properties/counts`"),
        (json!({ "order_id": "o1", "counts": [1e30] }), "out_of_range at `/properties/counts/0`"),
    ] {
        let refusal = compiled.check_event(&order(properties)).expect_err(expected);
        assert!(refusal.to_string().starts_with(&format!("{expected} by shop/2.0.1: expected ")), "{refusal}");
    }
    let refusal = compiled.check_event(&order(json!({}))).expect_err("no order");
    assert_eq!(refusal.expected, "a string of at most 5 characters that matches `^o[0-9]+$`");
}

#[test]
fn a_good_event_passes_and_names_its_contract() {
    let compiled = CompiledContracts::compile(&[shop()]).expect("compiles");
    let event = order(json!({
        "order_id": "o1", "revenue": 1, "paid": "2026-01-31T00:00:00Z", "payment": { "method": "card" },
        "counts": [1, 2.0], "unknown": {},
    }));
    assert_eq!(compiled.check_event(&event), Ok(Some("shop/2.0.1")));
}

#[test]
fn unknown_events_follow_the_policy_of_the_contracts_for_their_call() {
    let compiled = CompiledContracts::compile(&[shop()]).expect("compiles");
    let refusal = compiled.check_event(&json!({ "type": "track", "event": "Opened" })).expect_err("unknown");
    assert_eq!((refusal.reason, refusal.pointer.as_str()), (BrokenReason::UnknownEvent, "/event"));
    assert!(matches!(compiled.event(EventCall::Page, b"Order Completed"), Lookup::Undescribed));
    assert_eq!(compiled.check_event(&json!({ "type": "page", "name": "Home" })), Ok(None));
}

#[test]
fn without_contracts_nothing_is_described() {
    let compiled = CompiledContracts::compile(&[]).expect("compiles");
    assert!(EventCall::ALL.iter().all(|call| matches!(compiled.event(*call, b""), Lookup::Undescribed)));
    assert!(compiled.columns().is_empty());
}

#[test]
fn values_are_read_for_their_columns() {
    let compiled = CompiledContracts::compile(&[shop()]).expect("compiles");
    let Lookup::Described(event) = compiled.event(EventCall::Track, b"Order Completed") else { panic!("described") };
    let mut seen = Seen::default();
    let field = |key: &str| event.rules.field(key.as_bytes()).expect("a field");
    assert_eq!(field("order_id").text(b"o7", &mut seen), Ok(Scalar::AsIs));
    assert_eq!(field("revenue").number(b"12.5", &mut seen), Ok(Scalar::Double(12.5)));
    assert_eq!(field("paid").text(b"1970-01-01T00:00:01Z", &mut seen), Ok(Scalar::Micros(1_000_000)));
    let payment = field("payment").object(&mut seen).expect("an object").expect("rules");
    let columns: Vec<Option<usize>> =
        ["order_id", "revenue", "paid", "payment"].into_iter().map(|key| field(key).column).collect();
    assert_eq!(columns, [Some(0), Some(1), Some(2), None]);
    assert_eq!(payment.field(b"method").expect("a field").column, Some(3));
    assert!(event.rules.finish(&seen).is_ok());
    assert!(seen.has(0) && !seen.has(4));
    seen.clear();
    assert_eq!(event.rules.finish(&seen).expect_err("nothing seen").key, b"order_id");
}

#[test]
fn columns_carry_type_meaning_and_deprecation() {
    let compiled = CompiledContracts::compile(&[shop()]).expect("compiles");
    let revenue = &compiled.columns()[1];
    assert_eq!((revenue.name.as_str(), revenue.kind, revenue.deprecated), ("revenue", ColumnKind::Double, true));
    assert_eq!(revenue.doc, "Value of the goods; null: zero (a gift); deprecated since 2.0.0, use value");
}

#[test]
fn contracts_that_contradict_each_other_are_refused() {
    let shop = shop();
    let mut other = Contract { id: "other".to_owned(), ..shop.clone() };
    let text = |contracts: &[Contract]| CompiledContracts::compile(contracts).expect_err("contradicts").to_string();
    assert!(text(&[shop.clone(), other.clone()]).contains("is described by `shop/2.0.1` and by `other/2.0.1`"));
    other.events[0].name = Some("Refunded".to_owned());
    assert!(lint_set(&[shop.clone(), other.clone()]).is_empty());
    other.events[0].body.properties[0].shape = crate::contract::Shape::Boolean;
    assert!(text(&[shop.clone(), other]).contains("column order_id: is a string in `shop/2.0.1` and a boolean"));
    assert!(text(&[shop.clone(), shop]).contains("is the id of two contracts"));
}

#[test]
fn a_column_that_is_still_filled_is_not_renamed() {
    let taker =
        SHOP.replace("value: revenue}\n", "value: amount}\n          - {property: renamedFrom, value: order_id}\n");
    let taker = Contract::parse(&taker, "shop.yaml").expect("nothing is wrong with it as a document");
    let text = |contracts: &[Contract]| CompiledContracts::compile(contracts).expect_err("contradicts").to_string();
    let told = text(std::slice::from_ref(&taker));
    let places = "column order_id: would be renamed to `amount` for `Order Completed.revenue` of `shop/2.0.1`, but \
                  `Order Completed.order_id` of `shop/2.0.1` still fills it: remove `renamedFrom`";
    assert!(told.contains(places), "{told}");

    // Nor by another contract, whose team may not even know whose the column is.
    let mut loyalty = Contract { id: "loyalty".to_owned(), ..taker };
    loyalty.events[0].name = Some("Points Earned".to_owned());
    loyalty.events[0].body.properties.remove(0);
    assert!(lint_set(std::slice::from_ref(&loyalty)).is_empty(), "a column that nobody fills any more may move");
    let told = text(&[loyalty, shop()]);
    assert!(
        told.contains("for `Points Earned.revenue` of `loyalty/2.0.1`, but `Order Completed.order_id` of `shop/2.0.1`")
    );
}

#[test]
fn the_order_of_columns_does_not_depend_on_the_order_of_files() {
    let shop = shop();
    let mut other = Contract { id: "a-first".to_owned(), ..shop.clone() };
    other.events[0].name = Some("Refunded".to_owned());
    other.events[0].body.properties.remove(0);
    let names = |contracts: &[Contract]| {
        let compiled = CompiledContracts::compile(contracts).expect("compiles");
        compiled.columns().iter().map(|column| column.name.clone()).collect::<Vec<_>>()
    };
    let expected = ["revenue", "paid_time", "payment_method", "order_id"];
    assert_eq!(names(&[shop.clone(), other.clone()]), expected);
    assert_eq!(names(&[other, shop]), expected);
}
