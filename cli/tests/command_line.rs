//! The command line as a user meets it: help, errors, exit codes.

mod program;

use program::Place;

#[test]
fn help_says_what_to_do_first() {
    insta::assert_snapshot!(Place::new().icefold(&["--help"]).exits(0).stdout, @r"
    Fold a stream of events into Apache Iceberg tables, exactly once

    Usage: icefold [OPTIONS] <COMMAND>

    Commands:
      demo         Show the main job: a real log and generated events in, then queries, time travel and
                   proof
      generate     Write realistic clickstream events and say what to expect of them
      ingest       Fold files of events into the tables, exactly once
      tables       List the tables
      snapshots    List the snapshots of a table, newest first
      checkpoint   Tell which part of each source a table holds
      query        Ask the tables in SQL
      quarantine   Look at events that did not pass their contract
      contract     Look at data contracts, compare versions, try them on real events, put them in force
      explain      Tell everything about one event: where it came from, what was decided about it, and
                   where it lies
      batch        Look at what one table has and others do not have yet, and level them
      verify       Check that nothing was lost or doubled: invariants W1, W2, W3, T1, T2 and K3 on the
                   real tables
      bench        Measure this machine
      config       Print the settings in force and where each comes from; secrets are hidden
      completions  Print a completion script for a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Options of every command:
          --warehouse <DIR|URL>
              Folder or URL (s3://bucket/prefix) that holds the tables [default: ./icefold-data]
          --catalog <sqlite:PATH|postgres://…>
              Where the pointers to the tables live [default: a SQLite file in the warehouse]
          --config <FILE>
              Settings file [default: ./icefold.toml, if there is one]
          --set <KEY=VALUE>
              Any other setting; `icefold config` lists them
          --cores <N>
              Cores to use [default: all]
          --json
              Print results and errors as JSON
      -v, --verbose...
              Log what happens to standard error; twice for details
      -q, --quiet
              Print results and errors only

    Examples:
      icefold demo                                    watch the whole thing work, on a real log and
      generated events
      icefold generate 200000 --seed 7 --out ev       write realistic events and say what to expect of
      them
      icefold ingest ev                               fold them into the tables; again: nothing new
      icefold query 'SELECT event_type, count(*) FROM events GROUP BY 1'
      icefold verify                                  prove that nothing was lost or doubled

    Tables live in ./icefold-data unless --warehouse says otherwise.
    Exit codes: 0 done, 1 unexpected, 2 wrong usage or input, 3 invariant broken, 4 fenced by another
    writer,
                5 environment refuses, 6 corrupt state.
    ");
}

#[test]
fn ingest_help_has_examples() {
    insta::assert_snapshot!(Place::new().icefold(&["ingest", "--help"]).exits(0).stdout, @r#"
    Fold files of events into the tables, exactly once

    Usage: icefold ingest [OPTIONS] <PATH|URL|->...

    Arguments:
      <PATH|URL|->...
              Files, folders or URLs with one event or batch a line; `-` for standard input

    Options:
          --format <FORMAT>
              What the lines are

              Possible values:
              - segment:  JSON of the Segment spec: one event, an array of events, or {"batch": […]}
              - combined: Access log of a web server in combined format
              
              [default: segment]

          --follow
              Read what is added from now on, too, until interrupted

          --continues <SHARD>
              Go on from this shard, as `icefold checkpoint` prints its name: repeats of its events are
              found, its sessions and people are known. For sources that are new to the tables; may be
              given several times

          --name <NAME>
              Name of the shard that standard input is; the same name continues, another one starts anew

          --commit-bytes <BYTES>
              Commit when this many bytes of files wait [default: writer.commit_bytes]

          --commit-interval <SECONDS>
              Commit at the latest after this many seconds [default: writer.commit_interval_seconds]

          --time-pattern <PATTERN>
              Where a file's name tells its time, like %Y-%m-%d/%H [default: source.time_pattern]

          --metrics-file <FILE>
              Keep the run's metrics in this file, in the text format of Prometheus

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Options of every command:
          --warehouse <DIR|URL>
              Folder or URL (s3://bucket/prefix) that holds the tables [default: ./icefold-data]

          --catalog <sqlite:PATH|postgres://…>
              Where the pointers to the tables live [default: a SQLite file in the warehouse]

          --config <FILE>
              Settings file [default: ./icefold.toml, if there is one]

          --set <KEY=VALUE>
              Any other setting; `icefold config` lists them

          --cores <N>
              Cores to use [default: all]

          --json
              Print results and errors as JSON

      -v, --verbose...
              Log what happens to standard error; twice for details

      -q, --quiet
              Print results and errors only

    Examples:
      icefold ingest ev                         a folder, in the order of file names, also .gz and .zst
      icefold ingest ev --follow                and what is added to it from now on, until Ctrl-C
      icefold ingest access.log.gz --format combined
      icefold ingest s3://bucket/events/2026/
      zcat more.gz | icefold ingest - --name more
    Run it again whenever you like, also after a crash: it continues where the tables stand.
    "#);
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
    insta::assert_snapshot!(place.icefold(&["ingset", "x"]).exits(2).stderr, @r"
    error: unrecognized subcommand 'ingset'

      tip: a similar subcommand exists: 'ingest'

    Usage: icefold [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(place.icefold(&["generate", "ten"]).exits(2).stderr, @r"
    error: invalid value 'ten' for '<N>': expected a whole number, for example 200000

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(place.icefold(&["generate", "1", "--late", "2"]).exits(2).stderr, @r"
    error: invalid value '2' for '--late <P>': expected a share between 0 and 1, for example 0.01

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(place.icefold(&["query", "SELECT 1", "--snapshot", "events"]).exits(2).stderr, @"error: --snapshot `events` is no TABLE=ID: `icefold snapshots TABLE` lists the ids");
    insta::assert_snapshot!(place.icefold(&["tables", "--set", "writer.core=2"]).exits(2).stderr, @"error: unknown key `writer.core` in --set: did you mean `writer.cores`?");
    insta::assert_snapshot!(place.icefold(&["ingest", "ev", "--set", "writer.cores=100000"]).exits(2).stderr, @"error: `writer.cores` = 100000 is too large: set it to 1024 or less");
    insta::assert_snapshot!(place.icefold(&["ingest", "no-such-folder"]).exits(2).stderr, @r"
    error: `no-such-folder` does not exist: check the path
      reason: No such file or directory (os error 2)
    ");
    let absent = place.icefold(&["snapshots", "events"]).exits(2).stderr.replace(&place.name(), "PLACE");
    insta::assert_snapshot!(absent, @"error: no tables in `file://PLACE/icefold-data`: its catalog `PLACE/icefold-data/catalog.db` does not exist: check --warehouse and --catalog, or run `icefold ingest PATH` first");
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
    insta::assert_snapshot!(place.icefold(&["config", "--config", "absent.toml"]).exits(2).stderr, @r"
    error: settings file `absent.toml` cannot be read
      because: No such file or directory (os error 2)
    ");
    place.write("icefold.toml", "namespace: clicks");
    insta::assert_snapshot!(place.icefold(&["config"]).exits(2).stderr, @"error: settings file `icefold.toml` is no TOML: line 1, column 12: key with no value, expected `=`");
}

#[test]
fn contracts_are_refused_as_one_error_and_applied_again_without_a_change() {
    let place = Place::new();
    place.write("bad.yaml", "foo: 1\n");
    let said = place.icefold(&["contract", "apply", "bad.yaml"]).exits(2).stderr;
    assert!(said.starts_with("error: bad.yaml: ") && said.matches("error: ").count() == 1, "{said}");

    let contracts = concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts");
    let apply = || place.icefold(&["contract", "apply", contracts]).exits(0).stderr;
    let (first, again) = (apply(), apply());
    assert!(first.contains("writers that run take this up"), "{first}");
    assert!(again.contains("nothing changed") && !again.contains("writers"), "{again}");
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
