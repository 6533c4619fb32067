//! What is found in a document, each case a good document with one thing changed.

use super::super::finding::Severity;
use super::super::model::{CrossRule, Deprecation, Literal, MissingMeaning, Policy, Shape};
use super::super::{Contract, EventCall, lint};

const GOOD: &str = "\
apiVersion: v3.1.0
kind: DataContract
id: shop
name: Shop
version: 1.2.0
status: active
description: {purpose: What is bought}
team: {name: shop-team}
price: {priceAmount: 1}
customProperties:
  - {property: unknownEvents, value: quarantine}
schema:
  - name: Order
    description: An order was placed
    customProperties:
      - {property: eventType, value: track}
      - {property: eventName, value: Order Completed}
      - {property: unknownProperties, value: quarantine}
      - property: rules
        value:
          - atMost: [revenue, total]
          - whenEquals: {property: method, value: card, then: total}
      - {property: somebodyElses, value: 1}
    properties:
      - name: revenue
        description: Value of the goods
        logicalType: number
        required: true
        logicalTypeOptions: {minimum: 0}
        customProperties:
          - {property: promote, value: revenue}
      - name: total
        description: What is paid
        logicalType: number
        customProperties:
          - {property: missing, value: not_applicable, description: a gift}
      - name: method
        description: Way to pay
        logicalType: string
        quality:
          - {metric: invalidValues, arguments: {validValues: [card, cash]}, mustBe: 0}
      - name: items
        description: What is bought
        logicalType: array
        items:
          logicalType: object
          properties:
            - {name: count, description: How many, logicalType: integer, logicalTypeOptions: {exclusiveMinimum: 0, format: u8}}
";

fn read(text: &str) -> Contract {
    Contract::parse(text, "shop.yaml").expect("a good contract")
}

#[test]
fn a_good_document_has_no_findings_and_is_read_in_full() {
    assert_eq!(lint(GOOD, "contracts/shop.yaml"), []);
    let contract = read(GOOD);
    assert_eq!((contract.label().as_str(), contract.owner.as_str()), ("shop/1.2.0", "shop-team"));
    assert_eq!(contract.unknown_events, Policy::Quarantine);
    let order = &contract.events[0];
    assert_eq!((order.call, order.name.as_deref()), (EventCall::Track, Some("Order Completed")));
    assert_eq!(order.body.unknown, Policy::Quarantine);
    assert_eq!(order.body.rules[0], CrossRule::AtMost("revenue".to_owned(), "total".to_owned()));
    let CrossRule::WhenEquals { value, .. } = &order.body.rules[1] else { panic!("{:?}", order.body.rules) };
    assert_eq!(*value, Literal::Text("card".to_owned()));
    let missing = order.body.properties[1].missing.as_ref().expect("missing");
    assert_eq!((missing.means, missing.text.as_str()), (MissingMeaning::NotApplicable, "a gift"));
    let Shape::Array(items) = &order.body.properties[3].shape else { panic!("an array") };
    let Shape::Object(item) = &*items.items else { panic!("objects") };
    let Shape::Integer(count) = &item.properties[0].shape else { panic!("an integer") };
    assert_eq!(count.range.to_string(), "from 1 to 255");
}

#[test]
fn version_3_2_lists_values_and_deprecates_by_itself() {
    let text = GOOD
        .replace("v3.1.0", "v3.2.0")
        .replace("quality:", "enum:")
        .replace(
            "{metric: invalidValues, arguments: {validValues: [card, cash]}, mustBe: 0}",
            "{value: card, label: Card}",
        )
        .replace("description: Way to pay", "description: Way to pay\n        deprecated: true");
    let method = &read(&text).events[0].body.properties[2];
    assert_eq!(method.deprecated, Some(Deprecation::default()));
    let Shape::Text(text) = &method.shape else { panic!("text") };
    assert_eq!(text.allowed, ["card"]);
}

/// Each with what is replaced, by what, and a part of the finding.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("apiVersion: v3.1.0", "apiVersion: v2.2.2", "apiVersion: must be one of `v3.1.0`"),
    ("kind: DataContract", "kind: Data", "kind: must be `DataContract`"),
    ("id: shop", "id: Shop!", "id: `Shop!` is written to every row"),
    ("id: shop", "id: access-log", "icefold's own: choose another"),
    ("version: 1.2.0", "version: 1.2", "write three numbers"),
    ("status: active", "tags: []", "status: is missing"),
    ("{name: shop-team}", "{}", "team.name: is missing"),
    ("status: active", "status: active\nstatsu: x", "`statsu` is no key of ODCS here: did you mean `status`?"),
    ("required: true", "requried: true", "schema[0].properties[0] (revenue): `requried` is no key of ODCS here"),
    ("required: true", "required: yes please", "line 28 column 19: cannot be read: invalid boolean"),
    ("name: items", "name: [items", "line 43 column 20: cannot be read"),
    ("unknownEvents", "unknownEvent", "`unknownEvent` is not known: did you mean `unknownEvents`?"),
    ("value: quarantine}\nschema", "value: drop}\nschema", "`unknownEvents` cannot be `\"drop\"`: unknown variant"),
    ("property: promote", "property: promoted", "did you mean `promote`?"),
    ("property: promote,", "property: promotion, vendor: icefold,", "`promotion` means nothing here"),
    ("property: promote", "property: eventName", "`eventName` means nothing here: move it"),
    ("value: track", "value: click", "`eventType` cannot be `\"click\"`"),
    ("{property: eventType, value: track}", "{property: x, value: y}", "add the custom property `eventType`"),
    ("{property: eventName, value: Order Completed}", "{property: x, value: y}", "add the custom property `eventName`"),
    ("value: track", "value: identify", "`identify` calls have no name: remove `eventName`"),
    ("value: track", "value: alias", "neither properties nor traits"),
    ("value: revenue}", "value: orderRevenue}", "column `orderRevenue` is not in lower snake case"),
    ("value: revenue}", "value: user_id}", "column `user_id` is built into `events`: choose another name"),
    ("value: revenue}", "value: event_time_day}", "column `event_time_day` is a partition of `events`: choose another"),
    ("property: promote, value: revenue", "property: renamedFrom, value: revenue", "add `promote`, or remove it"),
    (
        "customProperties:\n          - {property: missing,",
        "customProperties:\n          - {property: promote, value: revenue}\n          - {property: missing,",
        "schema[0] (Order): `Order Completed.revenue` and `Order Completed.total` both become column `revenue`",
    ),
    (
        "logicalType: array\n        items:\n          logicalType: object\n          properties:\n            - \
         {name: count,",
        "logicalType: object\n        properties:\n            - \
         {customProperties: [{property: promote, value: revenue}], name: count,",
        "`Order Completed.revenue` and `Order Completed.items.count` both become column `revenue`",
    ),
    ("{name: count,", "{name: count, customProperties: [{property: promote, value: n}],", "stands in an array"),
    ("Value of the goods", "''", "becomes a column and has no description"),
    ("required: true", "customProperties: [{property: missing, value: zero}]\n        required: true", "line 31"),
    ("{minimum: 0}", "{minimum: 10, maximum: 5}", "(revenue): minimum 10 is above maximum 5: swap them"),
    ("{minimum: 0}", "{exclusiveMinimum: 5, maximum: 5}", "no value lies between 5 and 5"),
    ("{minimum: 0}", "{minimum: 0, exclusiveMinimum: 0}", "exclude each other: keep one"),
    ("{minimum: 0}", "{minLength: 1}", "`minLength` is not enforced for type number: remove it; `minimum`, `maximum`"),
    ("{minimum: 0}", "{minimun: 1}", "did you mean `minimum`?"),
    ("{minimum: 0}", "{minimum: '0'}", "`minimum` is `\"0\"`, but must be a number: correct it"),
    ("{minimum: 0}", "{format: f32}", "columns are 64-bit"),
    ("format: u8", "format: u64", "fits no 64-bit column"),
    ("exclusiveMinimum: 0", "exclusiveMinimum: 0.5", "must be a whole number in 64 bits"),
    ("logicalType: number\n        required", "logicalType: numbre\n        required", "did you mean `number`?"),
    ("logicalType: string", "logicalType: boolean", "values are listed for type boolean"),
    ("logicalType: string", "logicalType: string\n        logicalTypeOptions: {pattern: '('}", "none that can be run"),
    (
        "logicalType: string",
        "logicalType: string\n        logicalTypeOptions: {format: zip}",
        "format `zip` is not enforced",
    ),
    ("logicalType: string", "logicalType: string\n        items: {}", "has `items`, but type string"),
    ("[card, cash]", "[card, card]", "value \"card\" stands twice"),
    ("[card, cash]", "[card, 1]", "value 1 must be text: put it in quotation marks"),
    ("[card, cash]", "[]", "the list of values is empty"),
    ("name: total", "name: revenue", "schema[0].properties[1] (revenue): stands twice: keep one"),
    ("[revenue, total]", "[revenue, sum]", "schema[0].rules[0] (Order): `sum` is no property of this object"),
    ("[revenue, total]", "[revenue, method]", "cannot be compared"),
    ("[revenue, total]", "[revenue, revenue]", "stands twice in one rule"),
    ("atMost:", "atmost:", "is no rule: unknown variant `atmost`"),
    ("value: card, then", "value: 1, then", "`method` never equals 1"),
];

#[test]
fn every_mistake_is_found_with_its_place_and_a_remedy() {
    let mut wrong = Vec::new();
    for (part, instead, expected) in MISTAKES {
        assert!(GOOD.contains(part), "{part}");
        let findings = lint(&GOOD.replacen(part, instead, 1), "shop.yaml");
        let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
        if findings.is_empty() || findings[0].severity != Severity::Error || !texts.iter().any(|t| t.contains(expected))
        {
            wrong.push(format!("`{instead}` should give `{expected}`: {texts:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_mistakes_are_found_at_once() {
    let text = GOOD.replace("version: 1.2.0", "version: x").replace("{minimum: 0}", "{pattern: x}");
    let error = Contract::parse(&text, "shop.yaml").expect_err("two mistakes").to_string();
    assert_eq!(error.lines().count(), 2, "{error}");
    assert!(!error.contains("error: "), "whoever tells it says that it is one: {error}");
}

#[test]
fn habits_are_warnings() {
    for (part, instead, expected) in [
        ("logicalType: string", "tags: []", "takes any value"),
        ("description: Way to pay", "tags: []", "has no description"),
        ("{purpose: What is bought}", "{}", "say what the events are about"),
        ("status: active", "status: retired", "is `retired`, and yet it is enforced once it is applied"),
        ("status: active", "status: draft", "set it to `active`, or do not apply it"),
    ] {
        let text = GOOD.replacen(part, instead, 1).replace(
            "        quality:\n          - {metric: invalidValues, arguments: {validValues: [card, cash]}, mustBe: 0}\n",
            "",
        );
        let text = text.replace("          - whenEquals: {property: method, value: card, then: total}\n", "");
        let findings = lint(&text, "shop.yaml");
        assert!(findings.iter().all(|finding| finding.severity == Severity::Warning), "{findings:#?}");
        assert!(findings.iter().any(|finding| finding.message.contains(expected)), "{findings:#?}");
    }
    assert!(lint(GOOD, "other.yaml")[0].message.contains("name the file `shop.yaml`"));
}

#[test]
fn a_quality_rule_that_tolerates_some_is_about_the_table() {
    let contract = read(&GOOD.replace("mustBe: 0}", "mustBeLessThan: 5, unit: percent}"));
    let Shape::Text(text) = &contract.events[0].body.properties[2].shape else { panic!("text") };
    assert!(text.allowed.is_empty());
}
