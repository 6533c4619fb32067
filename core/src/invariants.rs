//! The numbered invariants, named once so that tests, simulation and `icefold verify` speak of the same thing.

use std::fmt;

macro_rules! invariants {
    ($($name:ident: $text:literal,)*) => {
        /// A numbered invariant; `docs/invariants.md` says where each is kept and checked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Invariant {
            $(#[doc = $text] $name,)*
        }

        impl Invariant {
            /// Every invariant, in the order of the documentation.
            pub const ALL: &'static [Invariant] = &[$(Invariant::$name),*];

            /// Returns the number, for example `W1`.
            pub fn name(self) -> &'static str {
                match self { $(Invariant::$name => stringify!($name),)* }
            }

            /// Returns the promise in one sentence.
            pub fn text(self) -> &'static str {
                match self { $(Invariant::$name => $text,)* }
            }
        }
    };
}

invariants! {
    W1: "every accepted input offset is in the table exactly once, at every snapshot",
    W2: "rows in = accepted + duplicate + quarantined, at every snapshot",
    W3: "all tables of a batch follow from the same decision: one written-ahead batch, rolled forward",
    K1: "a lost reply never commits twice",
    K2: "a zombie never commits",
    K3: "progress never goes back",
    T1: "no file is referenced by two live entries",
    T2: "every live entry's object exists",
    T3: "time travel to a retained snapshot returns what it returned when it was made, erased subjects excepted",
    C1: "compaction keeps the multiset of live rows",
    C2: "compaction never brings back a deleted row",
    D1: "a delete touches only rows its sequence number allows",
    D2: "after Hidden no reader that honours the table sees the subject",
    D3: "after Purged no object holds the subject",
    D4: "nothing brings an erased subject back",
    R1: "replaying a range twice equals replaying it once",
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
