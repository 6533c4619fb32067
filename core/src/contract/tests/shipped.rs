//! The contracts that come with icefold.

use std::fs;
use std::path::PathBuf;

use crate::contract::{CompiledContracts, Verdict};
use crate::contract::{Contract, check, export, lint, lint_set};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../contracts")
}

fn shipped() -> Vec<(String, String)> {
    let entries = fs::read_dir(folder()).expect("contracts");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.iter().map(|file| (file.display().to_string(), fs::read_to_string(file).expect("text"))).collect()
}

fn contracts() -> Vec<Contract> {
    shipped().iter().map(|(file, text)| Contract::parse(text, file).expect("a good contract")).collect()
}

#[test]
fn shipped_contracts_have_no_findings() {
    for (file, text) in shipped() {
        assert_eq!(lint(&text, &file), []);
    }
    assert_eq!(lint_set(&contracts()), []);
}

#[test]
fn shipped_contracts_compile_and_promote_what_analysts_ask_for() {
    let compiled = CompiledContracts::compile(&contracts()).expect("compiles");
    let columns: Vec<&str> = compiled.columns().iter().map(|column| column.name.as_str()).collect();
    for column in ["order_id", "revenue", "currency", "product_id", "price", "quantity", "plan", "search_query"] {
        assert!(columns.contains(&column), "{column}");
    }
    assert!(compiled.columns().iter().all(|column| column.doc.len() > 3));
}

#[test]
fn a_contract_is_compatible_with_itself() {
    for contract in contracts() {
        assert_eq!(check(&contract, &contract), []);
        assert!(export(&contract)["$defs"].as_object().is_some_and(|bodies| bodies.len() == contract.events.len()));
    }
    assert!(Verdict::Compatible < Verdict::Breaking);
}
