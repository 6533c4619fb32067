//! The decoder on any bytes as lines of an access log: the laws of `writer/src/decode/laws.rs` hold.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use icefold_writer::decode::laws::Laws;

static LAWS: LazyLock<Laws> = LazyLock::new(|| {
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts");
    Laws::with_contracts_of(&contracts).expect("the contracts of this repository are valid")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| LAWS.check_log(bytes));
