//! Recovery of a stretch that several batches had brought, each by rules of its own.

use super::deleted::{Piped, piped, rows, settings, track};
use super::kit::warehouse;
use crate::decode::{ACCESS_LOG_CONTRACT, DecodeSettings, Decoder, InputFormat};
use crate::enrich::Enrichment;
use crate::pipeline::{Evidence, Ingest, Recovery};

const LINE: &str = "1.2.3.4 - - [22/Nov/2026:12:00:20 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n";

#[tokio::test]
async fn each_batch_is_derived_as_it_was_decided() {
    let warehouse = warehouse();
    let Piped { run, pipe, .. } = piped(&warehouse, "pipe").await;
    pipe.send((10, track("a", "phone", 0))).expect("the run listens");
    drop(pipe);
    run.run().await.expect("runs");
    let Piped { run, pipe, .. } = piped(&warehouse, "pipe").await;
    pipe.send((20, LINE.to_owned())).expect("the run listens");
    drop(pipe);
    let run = run.decoder(|| Decoder::new(DecodeSettings::default(), InputFormat::Combined));
    run.contract(ACCESS_LOG_CONTRACT).run().await.expect("runs");
    let before = rows(&warehouse).await;
    assert_eq!(before.len(), 2);

    warehouse.drop_table("events").await.expect("drops");
    Ingest::open(&warehouse, settings()).await.expect("makes the table anew");
    let recovery = Recovery::new(&warehouse, settings(), DecodeSettings::default(), Enrichment::default());
    let steps = Box::pin(recovery.run()).await.expect("recovers");
    let decided: Vec<_> = steps.iter().map(|step| (step.contract.as_str(), step.decided_by)).collect();
    let built_in = icefold_core::tables::BUILT_IN_CONTRACT;
    assert_eq!(decided, [(built_in, Evidence::Snapshot), (ACCESS_LOG_CONTRACT, Evidence::Snapshot)]);
    assert_eq!(rows(&warehouse).await, before);
}
