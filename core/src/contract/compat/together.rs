//! Differences between all contracts that are in force before and after a change.

use std::slice;

use super::{Change, Changes, Who};
use crate::contract::call::EventCall;
use crate::contract::model::Contract;
use crate::contract::rules::closes;

/// Finds the calls whose undescribed events were kept and go to quarantine now, as far as [`check`](super::check) of
/// one contract cannot see it: the contract that closes the call is new, or another one described all other events.
///
/// Events that one contract described and another one describes now are not looked for.
pub fn closed_calls(old: &[Contract], new: &[Contract]) -> Vec<Change> {
    let mut changes = Changes::default();
    for call in EventCall::ALL {
        let Some(strict) = closes(call, new).filter(|_| closes(call, old).is_none()) else { continue };
        let before = old.iter().find(|contract| contract.id == strict.id);
        let told = before.is_some_and(|before| closes(call, slice::from_ref(before)).is_none());
        if !told {
            let what = format!(
                "`{}` wants to know all of them, so those that no contract describes are no longer kept",
                strict.label()
            );
            let remedy = format!("describe them first, or set `unknownEvents: keep` in `{}`", strict.id);
            changes.breaking(format!("{call} calls"), Who::Producers, what, remedy);
        }
    }
    changes.list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::model::{EventContract, ObjectShape, Policy};
    use crate::contract::version::Version;
    use crate::contract::{Verdict, check};

    fn event(call: EventCall, name: Option<&str>) -> EventContract {
        EventContract {
            title: String::new(),
            call,
            name: name.map(str::to_owned),
            description: String::new(),
            deprecated: None,
            body: ObjectShape::default(),
        }
    }

    fn contract(id: &str, unknown_events: Policy, events: Vec<EventContract>) -> Contract {
        Contract {
            id: id.to_owned(),
            name: id.to_owned(),
            version: Version { major: 1, minor: 0, patch: 0 },
            status: "active".to_owned(),
            description: String::new(),
            owner: "team".to_owned(),
            unknown_events,
            events,
        }
    }

    fn told(old: &[Contract], new: &[Contract]) -> Vec<String> {
        closed_calls(old, new).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_new_contract_that_closes_a_call_breaks_the_events_of_others() {
        let bought = || vec![event(EventCall::Track, Some("Bought"))];
        let earned = || vec![event(EventCall::Track, Some("Earned"))];
        let shop = contract("shop", Policy::Keep, bought());
        let loyalty = contract("loyalty", Policy::Quarantine, earned());
        let closed = "breaks producers: track calls: `loyalty/1.0.0` wants to know all of them, so those that no \
                      contract describes are no longer kept; describe them first, or \
                      set `unknownEvents: keep` in `loyalty`";
        assert_eq!(told(slice::from_ref(&shop), &[shop.clone(), loyalty.clone()]), [closed]);
        assert_eq!(told(&[], slice::from_ref(&loyalty)), [closed], "the first contract of all as well");
        assert!(told(&[], slice::from_ref(&shop)).is_empty());
        assert!(told(slice::from_ref(&loyalty), &[loyalty.clone(), shop.clone()]).is_empty());
        let strict_shop = contract("shop", Policy::Quarantine, bought());
        assert!(
            told(slice::from_ref(&strict_shop), &[strict_shop.clone(), loyalty]).is_empty(),
            "it was closed before"
        );
        let keeping = contract("loyalty", Policy::Keep, earned());
        assert!(told(slice::from_ref(&shop), &[shop.clone(), keeping]).is_empty());
    }

    #[test]
    fn a_call_of_which_all_events_are_described_is_not_closed() {
        let site = contract("site", Policy::Keep, vec![event(EventCall::Page, None)]);
        let shop = contract("shop", Policy::Quarantine, vec![event(EventCall::Page, Some("Cart"))]);
        let people = contract("people", Policy::Quarantine, vec![event(EventCall::Identify, None)]);
        let all = [site.clone(), shop.clone(), people];
        assert!(told(&[], &all).is_empty());
        // Until the contract that describes all pages gives them up.
        let site = contract("site", Policy::Keep, vec![event(EventCall::Page, Some("Home"))]);
        let closed = told(&all, &[site, shop]);
        assert!(closed.len() == 1 && closed[0].contains("page calls: `shop/1.0.0`"), "{closed:#?}");
    }

    #[test]
    fn what_a_contract_says_beside_its_next_version_is_not_said_twice() {
        let bought = || event(EventCall::Track, Some("Bought"));
        let home = || event(EventCall::Page, Some("Home"));
        let pages = || event(EventCall::Page, None);
        for (old, new) in [
            (contract("shop", Policy::Keep, vec![bought()]), contract("shop", Policy::Quarantine, vec![bought()])),
            (
                contract("shop", Policy::Quarantine, vec![bought()]),
                contract("shop", Policy::Quarantine, vec![bought(), home()]),
            ),
            (
                contract("shop", Policy::Quarantine, vec![home(), pages()]),
                contract("shop", Policy::Quarantine, vec![home()]),
            ),
        ] {
            assert!(
                check(&old, &new).iter().any(|change| change.path != "version" && change.verdict == Verdict::Breaking)
            );
            assert!(closed_calls(slice::from_ref(&old), slice::from_ref(&new)).is_empty(), "{old:#?} {new:#?}");
        }
    }
}
