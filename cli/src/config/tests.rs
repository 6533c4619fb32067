//! Which layer wins, and what is said about mistakes.

use super::*;

fn config(file: &str, environment: &[(&str, &str)], options: &[GivenOption], sets: &[&str]) -> Result<Config> {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("icefold.toml");
    std::fs::write(&path, file).expect("written");
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    load(Some(&path), environment, options, &sets)
}

fn message(result: Result<Config>) -> String {
    let error = result.expect_err("refused");
    assert_eq!(error.kind(), icefold_core::ErrorKind::InvalidInput);
    let words = error.message().split(' ');
    // The temporary folder has another name each time.
    words.map(|word| if word.contains("icefold.toml") { "FILE" } else { word }).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_later_layer_wins() {
    let file = "warehouse = 'from-file'\nnamespace = 'ns'\n[writer]\ncommit_bytes = 5\n";
    let environment = [("ICEFOLD_WAREHOUSE", "from-environment"), ("ICEFOLD_WRITER_COMMIT_BYTES", "6")];
    let given = [("warehouse", "from-option".to_owned(), "--warehouse")];
    let only_file = config(file, &[], &[], &[]).expect("valid");
    assert_eq!(only_file.settings.catalog.warehouse, "from-file");
    assert_eq!(only_file.settings.writer.commit_bytes, 5);
    let with_environment = config(file, &environment, &[], &[]).expect("valid");
    assert_eq!(with_environment.settings.catalog.warehouse, "from-environment");
    assert_eq!(with_environment.settings.writer.commit_bytes, 6);
    let all = config(file, &environment, &given, &["writer.commit_bytes=7"]).expect("valid");
    assert_eq!(all.settings.catalog.warehouse, "from-option");
    assert_eq!(all.settings.writer.commit_bytes, 7);
    assert_eq!(all.settings.catalog.namespace, "ns");
    let shown = shown(&all);
    assert_eq!(shown["warehouse"].from, "--warehouse");
    assert!(shown["namespace"].from.ends_with("icefold.toml"));
    assert_eq!(shown["commit.max_attempts"].from, "default");
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    insta::assert_snapshot!(message(config("warehose = 'x'", &[], &[], &[])), @"unknown key `warehose` in FILE did you mean `warehouse`?");
    insta::assert_snapshot!(message(config("[writer]\ncommit_bites = 1", &[], &[], &[])), @"unknown key `writer.commit_bites` in FILE did you mean `writer.commit_bytes`?");
    insta::assert_snapshot!(message(config("", &[("ICEFOLD_S3_ENDPONT", "x")], &[], &[])), @"environment variable `ICEFOLD_S3_ENDPONT` sets nothing: did you mean `ICEFOLD_S3_ENDPOINT`?");
    insta::assert_snapshot!(message(config("", &[], &[], &["colour=red"])), @"unknown key `colour` in --set: `icefold config` lists the keys");
}

#[test]
fn wrong_values_are_refused_with_what_is_expected() {
    insta::assert_snapshot!(message(config("[writer]\ncores = 'two'", &[], &[], &[])), @r#"`writer.cores` is "two" in FILE expected a whole number"#);
    insta::assert_snapshot!(message(config("", &[("ICEFOLD_S3_ALLOW_HTTP", "maybe")], &[], &[])), @r#"`s3.allow_http` is "maybe" in ICEFOLD_S3_ALLOW_HTTP: expected true or false"#);
    insta::assert_snapshot!(message(config("[retention]\nnewest_snapshots = 1", &[], &[], &[])), @"`retention.newest_snapshots` = 1 is too small: set it to 2 or more");
    insta::assert_snapshot!(message(config("", &[], &[], &["writer.cores"])), @"--set `writer.cores` is no KEY=VALUE");
}

#[test]
fn secrets_are_not_printed() {
    let config = config(
        "catalog = 'postgres://me:very-secret@db/x'\n[s3]\nsecret_access_key = 'very-secret'\naccess_key_id = 'AKIA'",
        &[],
        &[],
        &[],
    );
    let config = config.expect("valid");
    let printed = text(&config) + &serde_json::to_string(&shown(&config)).expect("json");
    assert!(!printed.contains("very-secret"), "{printed}");
    assert!(printed.contains("AKIA") && printed.contains("me:(hidden)@db"), "{printed}");
}

#[test]
fn no_mistake_tells_a_secret() {
    let files = [
        "[s3]\nsecret_access_key = very-secret",
        "[s3]\nsecret_access_key = ['very-secret']",
        "[s3]\nsecret_access_key = 'a'\nsecret_access_key = 'very-secret'",
        "[s3]\nsecret_access_key = \"\"\"\nvery-secret\\q\"\"\"",
        "[writer]\ncores = 'postgres://me:very-secret@db/x'",
    ];
    for file in files {
        let told = message(config(file, &[], &[], &[]));
        assert!(!told.contains("very-secret") && !told.is_empty(), "{told}");
    }
    let told = message(config("", &[], &[], &["s3.secret_access_key: very-secret"]));
    assert_eq!(told, "--set `s3.secret_access_key` is no KEY=VALUE");
    let told = message(config("[s3]\nsecret_access_key = 12345678", &[], &[], &[]));
    assert_eq!(told, "`s3.secret_access_key` is \"(hidden)\" in FILE expected text");
    let told = message(config("namespace = 'x'\n  [s3", &[], &[], &[]));
    assert!(told.contains("is no TOML: line 2, column "), "{told}");
}

#[test]
fn what_is_printed_is_a_settings_file() {
    let first = config("", &[], &[], &[]).expect("valid");
    let again = config(&text(&first), &[], &[], &[]).expect("its own output");
    assert_eq!(again.layers.values(), first.layers.values());
}

#[test]
fn no_two_keys_share_a_variable() {
    let layers = Layers::new(defaults().expect("defaults"));
    let variables: std::collections::BTreeSet<String> = layers.keys().map(sources::variable).collect();
    assert_eq!(variables.len(), layers.keys().count());
}
