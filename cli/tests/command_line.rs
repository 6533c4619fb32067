//! The command line as a user meets it: help, errors, exit codes.

mod program;

use program::Place;

#[test]
fn help_says_what_to_do_first() {
    insta::assert_snapshot!(Place::new().icefold(&["--help"]).exits(0).stdout, @"");
}

#[test]
fn ingest_help_has_examples() {
    insta::assert_snapshot!(Place::new().icefold(&["ingest", "--help"]).exits(0).stdout, @"");
}

#[test]
fn every_command_has_help_and_says_what_it_does() {
    let commands = [
        "demo",
        "generate",
        "ingest",
        "tables",
        "snapshots",
        "checkpoint",
        "query",
        "quarantine",
        "verify",
        "bench",
        "config",
        "completions",
    ];
    let place = Place::new();
    let overview = place.icefold(&["--help"]).exits(0).stdout;
    for command in commands {
        assert!(overview.contains(&format!("\n  {command} ")), "{command} is missing in the overview");
        place.icefold(&[command, "--help"]).exits(0);
    }
}

#[test]
fn mistakes_in_arguments_exit_2_and_name_the_remedy() {
    let place = Place::new();
    insta::assert_snapshot!(place.icefold(&["ingset", "x"]).exits(2).stderr, @"");
    insta::assert_snapshot!(place.icefold(&["generate", "ten"]).exits(2).stderr, @"");
    insta::assert_snapshot!(place.icefold(&["generate", "1", "--late", "2"]).exits(2).stderr, @"");
    insta::assert_snapshot!(place.icefold(&["query", "SELECT 1", "--snapshot", "events"]).exits(2).stderr, @"");
    insta::assert_snapshot!(place.icefold(&["tables", "--set", "writer.core=2"]).exits(2).stderr, @"");
    insta::assert_snapshot!(place.icefold(&["ingest", "no-such-folder"]).exits(2).stderr, @"");
    insta::assert_snapshot!(place.icefold(&["snapshots", "events"]).exits(2).stderr, @"");
}

#[test]
fn with_json_errors_are_json_too() {
    let place = Place::new();
    for arguments in [&["--json", "ingset"][..], &["--json", "ingest", "no-such-folder"]] {
        let error: serde_json::Value = serde_json::from_str(&place.icefold(arguments).exits(2).stderr).expect("JSON");
        assert_eq!(error["error"]["exit_code"], 2);
        assert_eq!(error["error"]["kind"].as_str().map(|kind| kind.contains(' ')), Some(false));
        assert!(error["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
}

#[test]
fn settings_files_are_found_named_and_refused() {
    let place = Place::new();
    place.write("icefold.toml", "namespace = 'clicks'\n[s3]\nsecret_access_key = 'do-not-tell'\n");
    let shown = place.icefold(&["config"]).exits(0).stdout;
    assert!(shown.contains("namespace = \"clicks\""), "{shown}");
    assert!(!shown.contains("do-not-tell"), "{shown}");
    let json = place.icefold(&["config", "--json"]).exits(0).json();
    assert_eq!(json["namespace"]["from"], "icefold.toml");
    assert_eq!(json["s3.secret_access_key"]["value"], "(hidden)");
    insta::assert_snapshot!(place.icefold(&["config", "--config", "absent.toml"]).exits(2).stderr, @"");
    place.write("icefold.toml", "namespace: clicks");
    insta::assert_snapshot!(place.icefold(&["config"]).exits(2).stderr, @"");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Place::new().icefold(&["completions", shell]).exits(0).stdout;
        assert!(script.contains("quarantine"), "{shell}");
    }
}

#[test]
fn the_documents_know_every_setting_and_exit_code() {
    let documents = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
        std::fs::read_to_string(&path).expect("document")
    };
    let settings = Place::new().icefold(&["config", "--json"]).exits(0).json();
    let config = documents("config.md");
    for key in settings.as_object().expect("keys").keys() {
        assert!(config.contains(&format!("| `{key}` |")), "`{key}` is not in docs/config.md: run `cargo xtask config`");
    }
    let codes = documents("cli.md");
    (0..=6).for_each(|code| assert!(codes.contains(&format!("\n| {code} | ")), "exit code {code}"));
}
