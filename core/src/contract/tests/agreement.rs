//! Compiled rules, the plain validation and the JSON Schema say the same of every event.

use proptest::prelude::*;

use super::schema::is_valid;
use super::{Entropy, contract, event};
use crate::contract::export;
use crate::contract::rules::{BrokenReason, CompiledContracts};
use crate::contract::validate::{Refusal, validate_value};

/// Returns whether JSON Schema has no words for what is wrong.
fn cannot_be_said(refusal: &Refusal) -> bool {
    let of_time = ["a date", "an ISO"].iter().any(|start| refusal.expected.starts_with(start));
    match refusal.reason {
        BrokenReason::InvalidFormat => true,
        BrokenReason::OutOfRange => of_time,
        BrokenReason::RuleBroken => refusal.expected.contains("` of at most `"),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn compiled_rules_agree_with_the_plain_validation(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut entropy = Entropy::of(bytes);
        let contracts = [contract(&mut entropy)];
        let compiled = CompiledContracts::compile(&contracts).expect("compiles");
        for _ in 0..4 {
            let event = event(&contracts[0], &mut entropy);
            let refusals = validate_value(&contracts, &event);
            match compiled.check_event(&event) {
                Ok(_) => prop_assert!(refusals.is_empty(), "{refusals:?} {event} {contracts:#?}"),
                Err(first) => prop_assert!(refusals.contains(&first), "{first} {refusals:?} {event} {contracts:#?}"),
            }
        }
    }

    #[test]
    fn json_schema_agrees_as_far_as_it_has_words(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut entropy = Entropy::of(bytes);
        let contract = contract(&mut entropy);
        let schema = export(&contract);
        for _ in 0..4 {
            let event = event(&contract, &mut entropy);
            let refusals = validate_value(std::slice::from_ref(&contract), &event);
            let valid = is_valid(&schema, &schema, &event);
            // What cannot be said may be said in part: a date has a form, but not every date exists.
            if refusals.is_empty() || !refusals.iter().all(cannot_be_said) {
                prop_assert_eq!(valid, refusals.is_empty(), "{:?} {} {:#}", refusals, event, schema);
            }
        }
    }
}

#[test]
fn random_events_are_accepted_and_refused_for_every_reason() {
    let mut reasons = std::collections::BTreeSet::new();
    let mut accepted = 0;
    for seed in 0..3_000_u64 {
        let bytes = (0..200_u64).map(|i| (seed * 200 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0]);
        let mut entropy = Entropy::of(bytes.collect());
        let contract = contract(&mut entropy);
        let refusals = validate_value(std::slice::from_ref(&contract), &event(&contract, &mut entropy));
        accepted += u32::from(refusals.is_empty());
        reasons.extend(refusals.iter().map(|refusal| refusal.reason));
    }
    assert!(accepted > 500, "{accepted}");
    assert_eq!(reasons.len(), BrokenReason::ALL.len(), "{reasons:?}");
}
