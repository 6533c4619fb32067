//! `icefold batch`: tables that are not level, by the real binary.

mod program;

use program::Place;

/// The tables, and what orders their rows.
const TABLES: [(&str, &str); 4] = [
    ("raw_events", "shard, segment, source_offset, sub_offset"),
    ("events", "shard, segment, source_offset, sub_offset"),
    ("quarantine", "shard, segment, source_offset, sub_offset"),
    ("identities", "shard, segment, source_offset, sub_offset, known_id"),
];

/// A warehouse in which a run died after `tables` of its first batch were committed.
fn torn(place: &Place, tables: u32) -> String {
    let warehouse = format!("torn-{tables}");
    let point = format!("between-tables:{tables}");
    let ingest = ["ingest", "ev", "--warehouse", &warehouse, "--commit-bytes", "300000"];
    let died = place.command(&ingest).env("ICEFOLD_FAIL_POINT", &point).output().expect("starts");
    assert!(!died.status.success(), "the run was to die at {point}");
    warehouse
}

fn forget_batches(place: &Place, warehouse: &str) {
    let folder = place.path(warehouse).join("_icefold/batches");
    let objects: Vec<_> =
        std::fs::read_dir(&folder).expect("batches").map(|entry| entry.expect("entry").path()).collect();
    assert_eq!(objects.len(), 1, "one batch is open");
    objects.into_iter().for_each(|object| std::fs::remove_file(object).expect("removed"));
}

fn content(place: &Place, warehouse: &str) -> Vec<String> {
    let rows = |(table, order): &(&str, &str)| {
        let sql = format!("SELECT * FROM {table} ORDER BY {order}");
        place.icefold(&["query", &sql, "--format", "csv", "--warehouse", warehouse]).exits(0).stdout
    };
    TABLES.iter().map(rows).collect()
}

#[test]
fn w3_what_cannot_be_rolled_forward_halts_and_is_derived_as_it_was_decided() {
    let place = Place::new();
    place.icefold(&["generate", "3000", "--seed", "5", "--out", "ev"]).exits(0);
    place.icefold(&["ingest", "ev", "--warehouse", "undisturbed"]).exits(0);
    let undisturbed = content(&place, "undisturbed");
    for tables in 1..=3 {
        let warehouse = torn(&place, tables);
        let at = ["--warehouse", &warehouse];
        let listed = place.icefold(&[&["batch", "list", "--json"], &at[..]].concat()).exits(0).json();
        assert_eq!(listed["batches"].as_array().map(Vec::len), Some(1), "{listed}");
        assert!(listed["note"].as_str().is_some_and(|note| note.contains("rolls them forward")), "{listed}");

        forget_batches(&place, &warehouse);
        let measured = ["ingest", "ev", "--metrics-file", "run.prom"];
        let halted = place.icefold(&[&measured, &at[..]].concat()).exits(6).stderr;
        assert!(halted.contains("icefold batch recover"), "{halted}");
        let metrics = std::fs::read_to_string(place.path("run.prom")).expect("metrics of a run that could not begin");
        assert!(metrics.contains("icefold_writer_running 0\n"), "{metrics}");
        assert!(metrics.contains("icefold_writer_exit_code 6\n"), "{metrics}");
        let broken = place.icefold(&[&["verify"], &at[..]].concat()).exits(3).stdout;
        assert!(broken.contains("W3") && broken.contains("icefold batch recover"), "{broken}");

        let steps = place.icefold(&[&["batch", "recover", "--json"], &at[..]].concat()).exits(0).json();
        assert_eq!(steps[0]["decided_by"], "snapshot", "the snapshot tells what had decided: {steps}");
        place.icefold(&[&["verify"], &at[..]].concat()).exits(0);
        place.icefold(&[&["ingest", "ev"], &at[..]].concat()).exits(0);
        let again = place.icefold(&[&["batch", "recover"], &at[..]].concat()).exits(0).stdout;
        assert!(again.contains("nothing had to be derived"), "{again}");
        for ((table, _), (ours, theirs)) in TABLES.iter().zip(content(&place, &warehouse).iter().zip(&undisturbed)) {
            let differs = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
            assert_eq!(differs, None, "{table}, {tables} tables committed: first row that differs");
            assert_eq!(ours.lines().count(), theirs.lines().count(), "{table}");
        }
    }
}
