//! The laws of the decoder on the inputs that the fuzzer starts from, those that once broke a law among them.

use std::path::Path;
use std::sync::LazyLock;

use super::super::laws::Laws;

/// The laws, with the contracts of this repository.
pub(super) fn laws() -> &'static Laws {
    static LAWS: LazyLock<Laws> =
        LazyLock::new(|| Laws::with_contracts_of(&root().join("contracts")).expect("contracts"));
    &LAWS
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

fn check(target: &str, law: impl Fn(&[u8])) {
    let folder = root().join("fuzz/seeds").join(target);
    let files: Vec<_> = std::fs::read_dir(&folder).expect("seeds").map(|file| file.expect("readable").path()).collect();
    assert!(!files.is_empty(), "no seeds in {}", folder.display());
    for file in files {
        println!("{}", file.display());
        law(&std::fs::read(&file).expect("readable"));
    }
}

#[test]
fn seeds_of_the_fuzzer_keep_the_laws() {
    check("segment", |bytes| laws().check_segment(bytes));
    check("log", |bytes| laws().check_log(bytes));
}
