//! What may differ from one life of a process to the next: settings, contracts, programs.

use std::sync::{Arc, Mutex, PoisonError};

use icefold_catalog::Warehouse;
use icefold_catalog::contracts::{ContractSet, Document};
use icefold_core::Result;
use icefold_writer::Settings;
use icefold_writer::decode::DecodeSettings;
use icefold_writer::fold::session::SessionSettings;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Windows of deduplication in seconds: from shorter to longer than what the stream's devices rest.
pub const WINDOWS_SECONDS: [u64; 3] = [3_600, 7_200, 6 * 3_600];
/// Longest events that may pass: all of them, all but the longest, and none of the long ones.
const MAX_EVENT_BYTES: [usize; 3] = [1 << 20, 1_700, 1_024];

/// What a process decides by, but for the contracts in force.
#[derive(Debug, Clone, Default)]
pub struct Deciding {
    /// Of the writer.
    pub settings: Settings,
    /// Of its decoder.
    pub decode: DecodeSettings,
}

impl Deciding {
    /// Draws what decides about events, and how large batches are: from single chunks to the whole stream.
    pub fn draw(rng: &mut SmallRng) -> Self {
        let window = WINDOWS_SECONDS[rng.random_range(0..WINDOWS_SECONDS.len())];
        let decided = Settings {
            dedup_window_seconds: window,
            sessions: SessionSettings {
                max_length_seconds: [2 * 3_600, 24 * 3_600][rng.random_range(0..2)],
                open_seconds: [1_800, window / 2, window * 2][rng.random_range(0..3)],
                split_on_campaign: rng.random_bool(0.3),
                ..SessionSettings::default()
            },
            ..Settings::default()
        };
        let max_event_bytes = MAX_EVENT_BYTES[rng.random_range(0..MAX_EVENT_BYTES.len())];
        let decode = DecodeSettings { max_event_bytes, ..DecodeSettings::default() };
        Deciding { settings: decided, decode }.at_another_pace(rng)
    }

    /// The same, but that events may be long.
    pub fn lax(self) -> Self {
        Deciding { decode: DecodeSettings::default(), ..self }
    }

    /// The same decisions, by other steps.
    pub fn at_another_pace(self, rng: &mut SmallRng) -> Self {
        let row_group_bytes = [1, 20_000, 32 << 20][rng.random_range(0..3)];
        let settings = Settings {
            cores: rng.random_range(1..=3),
            chunks_in_flight_per_core: rng.random_range(1..=3),
            commit_bytes: [1, 8_000, 30_000][rng.random_range(0..3)],
            commit_interval_seconds: 24 * 3_600,
            row_group_bytes,
            max_buffer_bytes: row_group_bytes.max(40_000),
            concurrent_uploads: rng.random_range(1..=4),
            retry_seconds: 3_600,
            ..self.settings
        };
        Deciding { settings, ..self }
    }
}

/// What the contract of `Bought` may ask for: nothing, a price, and one that is low.
const RULES: [&str; 4] = [
    "{name: coupon, logicalType: string, description: A coupon}",
    "{name: coupon, logicalType: string, required: true, description: A coupon}",
    "{name: price, logicalType: integer, description: The price, logicalTypeOptions: {maximum: 9}}",
    "{name: price, logicalType: integer, description: The price, logicalTypeOptions: {minimum: 5}, \
     customProperties: [{property: promote, value: price}]}",
];

/// Puts other contracts in force.
///
/// # Errors
/// Those of [`Warehouse::apply_contracts`].
pub async fn apply_contracts(warehouse: &Warehouse, rng: &mut SmallRng) -> Result<()> {
    let number = rng.random_range(0..RULES.len());
    let text = format!(
        "apiVersion: v3.1.0\nkind: DataContract\nid: shop\nname: Shop\nversion: {}.0.0\nstatus: active\n\
         description: {{purpose: What is bought}}\nteam: {{name: shop}}\n\
         customProperties:\n  - {{property: unknownEvents, value: keep}}\n\
         schema:\n  - name: Bought\n    logicalType: object\n    description: Something was bought\n    \
         customProperties:\n      - {{property: eventType, value: track}}\n      - {{property: eventName, value: Bought}}\n    \
         properties:\n      - {}\n",
        number + 1,
        RULES[number]
    );
    let set = ContractSet::parse(vec![Document { file: "shop.yaml".to_owned(), text }])?;
    warehouse.apply_contracts(&set, true).await.map(drop)
}

/// Chance that several owners draw from.
#[derive(Clone)]
pub struct Chance(Arc<Mutex<SmallRng>>);

impl Chance {
    /// Begins anew.
    pub fn new(seed: u64) -> Self {
        Chance(Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))))
    }

    /// Draws a number.
    pub fn below(&self, bound: u32) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..bound)
    }

    /// Draws what decides, or how fast.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut SmallRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contract_can_be_put_in_force() {
        // In the simulation a refusal would look like a fault of the store.
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let lake = crate::sim::lake::Lake::new(0, None, Default::default(), Default::default());
            let warehouse = lake.truth();
            let mut rng = SmallRng::seed_from_u64(0);
            icefold_writer::Ingest::open(&warehouse, Settings::default()).await.expect("tables");
            for _ in 0..40 {
                apply_contracts(&warehouse, &mut rng).await.expect("contracts");
            }
        });
    }
}
