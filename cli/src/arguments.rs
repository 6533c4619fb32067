//! The command line: every command, option and example.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::GivenOption;
use crate::generate::Compression;

/// Fold a stream of events into Apache Iceberg tables, exactly once
#[derive(Debug, Parser)]
#[command(name = "icefold", bin_name = "icefold", version, propagate_version = true, arg_required_else_help = true)]
#[command(max_term_width = 110)]
#[command(after_help = "\
Examples:
  icefold demo                                    watch the whole thing work, on a real log and generated events
  icefold generate 200000 --seed 7 --out ev       write realistic events and say what to expect of them
  icefold ingest ev                               fold them into the tables; again: nothing new
  icefold query 'SELECT event_type, count(*) FROM events GROUP BY 1'
  icefold verify                                  prove that nothing was lost or doubled

Tables live in ./icefold-data unless --warehouse says otherwise.
Exit codes: 0 done, 1 unexpected, 2 wrong usage or input, 3 invariant broken, 4 fenced by another writer,
            5 environment refuses, 6 corrupt state.")]
pub(crate) struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Folder or URL (s3://bucket/prefix) that holds the tables [default: ./icefold-data]
    #[arg(long, global = true, value_name = "DIR|URL")]
    pub(crate) warehouse: Option<String>,
    /// Where the pointers to the tables live [default: a SQLite file in the warehouse]
    #[arg(long, global = true, value_name = "sqlite:PATH|postgres://…")]
    pub(crate) catalog: Option<String>,
    /// Settings file [default: ./icefold.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Any other setting; `icefold config` lists them
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Cores to use [default: all]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) cores: Option<u64>,
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log what happens to standard error; twice for details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the main job: a real log and generated events in, then queries, time travel and proof
    #[command(after_help = "\
Examples:
  icefold demo                              tables in ./icefold-data/demo
  icefold demo --warehouse /tmp/demo        tables elsewhere
Running it again finds nothing new and shows the same.")]
    Demo(DemoArguments),
    /// Write realistic clickstream events and say what to expect of them
    #[command(after_help = "\
Examples:
  icefold generate 200000 --seed 7 --out ev
  icefold generate 1000 --out - | icefold ingest -
  icefold generate 1000000 --out ev --compression zstd --duplicates 0.05 --late 0
The same arguments write the same bytes. ev/_expectation.json holds what is printed.")]
    Generate(GenerateArguments),
    /// Fold files of events into the tables, exactly once
    #[command(after_help = "\
Examples:
  icefold ingest ev                         a folder, in the order of file names, also .gz and .zst
  icefold ingest ev --follow                and what is added to it from now on, until Ctrl-C
  icefold ingest access.log.gz --format combined
  icefold ingest s3://bucket/events/2026/
  zcat more.gz | icefold ingest - --name more
Run it again whenever you like, also after a crash: it continues where the tables stand.")]
    Ingest(IngestArguments),
    /// List the tables
    Tables,
    /// List the snapshots of a table, newest first
    #[command(after_help = "Example:\n  icefold snapshots events --limit 5")]
    Snapshots(SnapshotsArguments),
    /// Tell which part of each source a table holds
    #[command(after_help = "\
Examples:
  icefold checkpoint events
  icefold checkpoint events --snapshot 5937117119577207079")]
    Checkpoint(CheckpointArguments),
    /// Ask the tables in SQL
    #[command(after_help = "\
Examples:
  icefold query 'SELECT event_type, count(*) AS events FROM events GROUP BY 1 ORDER BY 2 DESC'
  icefold query 'SELECT count(*) FROM events' --snapshot events=5937117119577207079
  icefold query \"SELECT * FROM snapshots('events')\" --format csv
  echo 'SELECT 1' | icefold query -
Tables: events, raw_events, quarantine, identities. Views: sessions, identity_edges. About table T: snapshots('T'), files('T'), manifests('T'), checkpoints('T').
docs/sql.md has more.")]
    Query(QueryArguments),
    /// Look at events that did not pass their contract
    #[command(after_help = "\
Examples:
  icefold quarantine                        grouped by the same mistake
  icefold quarantine show --reason invalid_json --limit 3")]
    Quarantine(QuarantineArguments),
    /// Look at data contracts, compare versions, try them on real events, put them in force
    #[command(
        subcommand,
        after_help = "\
Examples:
  icefold contract lint contracts
  icefold contract check contracts/commerce.yaml new/commerce.yaml
  icefold contract try new/commerce.yaml --last 1h
  icefold contract apply contracts
docs/contract-format.md says how contracts are written, docs/contract-compatibility.md how they may change."
    )]
    Contract(ContractCommand),
    /// Tell everything about one event: where it came from, what was decided about it, and where it lies
    #[command(after_help = "Example:\n  icefold explain --event-id 5b6e7c1e-1f0a-4a59-9a3f-0c6f3d0f7f11")]
    Explain(ExplainArguments),
    /// Look at what one table has and others do not have yet, and level them
    #[command(
        subcommand,
        after_help = "\
Examples:
  icefold batch list
  icefold batch recover
After a crash between two tables `icefold ingest` rolls forward by itself what it finds. `batch recover` is for what cannot be:
an object of a batch or one of its files is gone, or a table was made anew."
    )]
    Batch(BatchCommand),
    /// Check that nothing was lost or doubled: invariants W1, W2, W3, T1, T2 and K3 on the real tables
    #[command(after_help = "Ends with exit code 3 when an invariant is broken.")]
    Verify(VerifyArguments),
    /// Measure this machine
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Print the settings in force and where each comes from; secrets are hidden
    #[command(after_help = "\
Settings come from defaults, then icefold.toml, then ICEFOLD_* variables, then options; the later wins.
`s3.endpoint` is ICEFOLD_S3_ENDPOINT in the environment. docs/config.md describes every key.")]
    Config,
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  icefold completions bash > /etc/bash_completion.d/icefold")]
    Completions {
        /// Shell.
        shell: clap_complete::Shell,
    },
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Generated events beside the real log
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub(crate) events: u64,
}

/// Arguments of `generate`.
#[derive(Debug, Args)]
pub(crate) struct GenerateArguments {
    /// Lines to write
    #[arg(value_name = "N", value_parser = number)]
    pub(crate) events: u64,
    /// Seed: the same seed makes the same bytes
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub(crate) seed: u64,
    /// Folder to write to, or `-` for standard output
    #[arg(long, default_value = "events", value_name = "DIR|-")]
    pub(crate) out: String,
    /// Share of the lines that repeat an earlier event, as a client that tries again
    #[arg(long, default_value_t = 0.01, value_name = "P", value_parser = share)]
    pub(crate) duplicates: f64,
    /// Share of the lines that are malformed
    #[arg(long, default_value_t = 0.005, value_name = "P", value_parser = share)]
    pub(crate) malformed: f64,
    /// Share of the events that arrive hours to 20 days after they happened
    #[arg(long, default_value_t = 0.01, value_name = "P", value_parser = share)]
    pub(crate) late: f64,
    /// Number of files [default: one for every 25,000 events]
    #[arg(long, value_name = "F", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) files: Option<u64>,
    /// How to compress
    #[arg(long, default_value = "none")]
    pub(crate) compression: Compression,
}

/// Arguments of `ingest`.
#[derive(Debug, Args)]
pub(crate) struct IngestArguments {
    /// Files, folders or URLs with one event or batch a line; `-` for standard input
    #[arg(required = true, value_name = "PATH|URL|-")]
    pub(crate) sources: Vec<String>,
    /// What the lines are
    #[arg(long, default_value = "segment")]
    pub(crate) format: InputFormat,
    /// Read what is added from now on, too, until interrupted
    #[arg(long)]
    pub(crate) follow: bool,
    /// Go on from this shard, as `icefold checkpoint` prints its name: repeats of its events are found, its sessions and
    /// people are known. For sources that are new to the tables; may be given several times
    #[arg(long, value_name = "SHARD")]
    pub(crate) continues: Vec<String>,
    /// Name of the shard that standard input is; the same name continues, another one starts anew
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Commit when this many bytes of files wait [default: writer.commit_bytes]
    #[arg(long, value_name = "BYTES", value_parser = number)]
    pub(crate) commit_bytes: Option<u64>,
    /// Commit at the latest after this many seconds [default: writer.commit_interval_seconds]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) commit_interval: Option<u64>,
    /// Where a file's name tells its time, like %Y-%m-%d/%H [default: source.time_pattern]
    #[arg(long, value_name = "PATTERN")]
    pub(crate) time_pattern: Option<String>,
    /// Keep the run's metrics in this file, in the text format of Prometheus
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics_file: Option<PathBuf>,
}

impl IngestArguments {
    /// Returns the settings that the options stand for.
    pub(crate) fn settings(&self) -> Vec<GivenOption> {
        let bytes = self.commit_bytes.map(|n| ("writer.commit_bytes", n.to_string(), "--commit-bytes"));
        let seconds =
            self.commit_interval.map(|n| ("writer.commit_interval_seconds", n.to_string(), "--commit-interval"));
        let pattern = self.time_pattern.clone().map(|pattern| ("source.time_pattern", pattern, "--time-pattern"));
        bytes.into_iter().chain(seconds).chain(pattern).collect()
    }
}

/// What a line of input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// JSON of the Segment spec: one event, an array of events, or {"batch": […]}
    Segment,
    /// Access log of a web server in combined format
    Combined,
}

impl From<InputFormat> for icefold_writer::decode::InputFormat {
    fn from(format: InputFormat) -> Self {
        match format {
            InputFormat::Segment => Self::Segment,
            InputFormat::Combined => Self::Combined,
        }
    }
}

/// Arguments of `snapshots`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotsArguments {
    /// Table
    pub(crate) table: String,
    /// Print at most this many
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) limit: usize,
}

/// Arguments of `checkpoint`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct CheckpointArguments {
    /// What to do; show it when left out.
    #[command(subcommand)]
    pub(crate) command: Option<CheckpointCommand>,
    /// Table
    #[arg(required = true)]
    pub(crate) table: Option<String>,
    /// Snapshot [default: the current one]
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    pub(crate) snapshot: Option<i64>,
}

/// What to do with a table's place in the stream.
#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointCommand {
    /// Say where a table stands whose history cannot prove it any more, so that ingest goes on from there
    #[command(after_help = "\
Without --yes it only says what it would assume. Examples:
  icefold checkpoint adopt events                      the newest checkpoint that is known
  icefold checkpoint adopt events --from 123 --yes     the one that snapshot 123 names
Nothing is deleted and nothing is brought back; no file is touched.")]
    Adopt(AdoptArguments),
}

/// Arguments of `checkpoint adopt`.
#[derive(Debug, Args)]
pub(crate) struct AdoptArguments {
    /// Table
    pub(crate) table: String,
    /// The checkpoint that this snapshot names [default: the newest that is known]
    #[arg(long, value_name = "SNAPSHOT_ID", allow_negative_numbers = true, conflicts_with = "checkpoint")]
    pub(crate) from: Option<i64>,
    /// The checkpoint in this object
    #[arg(long, value_name = "URI")]
    pub(crate) checkpoint: Option<String>,
    /// Do it: what it assumes is true
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Arguments of `query`.
#[derive(Debug, Args)]
pub(crate) struct QueryArguments {
    /// The query, or `-` to read it from standard input
    pub(crate) sql: String,
    /// Read a table as it was at a snapshot; repeat for more tables
    #[arg(long, value_name = "TABLE=ID")]
    pub(crate) snapshot: Vec<String>,
    /// How to print rows [default: table, or json with --json]
    #[arg(long)]
    pub(crate) format: Option<RowFormat>,
    /// Memory for sorting, grouping and joining before the query goes to disk or ends [default: 1 GiB]
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_limit_bytes: Option<u64>,
}

impl QueryArguments {
    /// Returns the settings that these options give.
    pub(crate) fn settings(&self) -> Vec<GivenOption> {
        let limit = self.memory_limit_bytes.map(|bytes| bytes.to_string());
        limit.map(|bytes| ("query.memory_limit_bytes", bytes, "--memory-limit-bytes")).into_iter().collect()
    }
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// A table for people
    Table,
    /// One JSON object a line
    Json,
    /// CSV with a header
    Csv,
}

/// Arguments of `quarantine`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct QuarantineArguments {
    /// What to show; `summary` when left out.
    #[command(subcommand)]
    pub(crate) command: Option<QuarantineCommand>,
}

/// Views of the quarantine.
#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// Group events by the same mistake
    Summary {
        /// Print at most this many groups
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Let events in that pass now, once: their place in the stream is their identity
    #[command(after_help = "\
Examples:
  icefold quarantine redrive --dry-run
  icefold quarantine redrive --reason not_in_enum
  icefold quarantine redrive --format combined      an access log that was ingested without --format combined
Running it again changes nothing.")]
    Redrive(RedriveArguments),
    /// Print the events themselves
    Show {
        /// Only those with this reason code
        #[arg(long, value_name = "CODE")]
        reason: Option<String>,
        /// Print at most this many
        #[arg(long, default_value_t = 10, value_name = "N")]
        limit: usize,
    },
}

/// What to do with contracts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContractCommand {
    /// Find mistakes in contracts, each and together
    Lint {
        /// Files, or folders with *.yaml
        #[arg(required = true, value_name = "FILE|DIR")]
        files: Vec<PathBuf>,
    },
    /// Say what a new version would break, for producers and for readers
    #[command(after_help = "Ends with exit code 2 when somebody would be broken.")]
    Check {
        /// Version in use
        old: PathBuf,
        /// Version that is to follow
        new: PathBuf,
    },
    /// Put contracts in force: columns are added to `events`, running writers follow at their next commit
    Apply {
        /// Files, or folders with *.yaml; contracts of other ids stay in force
        #[arg(required = true, value_name = "FILE|DIR")]
        files: Vec<PathBuf>,
        /// Also when it breaks producers or readers
        #[arg(long)]
        breaking: bool,
    },
    /// Print what is in force
    Show,
    /// Print a contract in another form
    Export {
        /// Form
        kind: SchemaKind,
        /// Contract
        file: PathBuf,
    },
    /// Run recent raw events through proposed contracts and say what would change, for each event and producer
    Try(TryArguments),
}

/// Forms of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaKind {
    /// JSON Schema 2020-12 of the whole event
    JsonSchema,
}

/// Arguments of `contract try`.
#[derive(Debug, Args)]
pub(crate) struct TryArguments {
    /// Files, or folders with *.yaml
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
    /// Where the events come from
    #[arg(long, default_value = "raw")]
    pub(crate) from: TrySource,
    /// Events that arrived in so much time before the newest one: 30m, 1h, 7d
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = duration)]
    pub(crate) last: std::time::Duration,
    /// Look at this many events at most
    #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = number)]
    pub(crate) limit: u64,
}

/// Where events for a trial come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TrySource {
    /// `raw_events`
    Raw,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// `messageId` of the event
    #[arg(long, value_name = "ID")]
    pub(crate) event_id: String,
}

/// Arguments of `quarantine redrive`.
#[derive(Debug, Args)]
pub(crate) struct RedriveArguments {
    /// Only events with this reason code
    #[arg(long, value_name = "CODE")]
    pub(crate) reason: Option<String>,
    /// Only events that broke this contract, for example commerce/1.0.0
    #[arg(long, value_name = "ID/VERSION")]
    pub(crate) contract: Option<String>,
    /// Read lines as what they are, where their source was ingested as another format
    #[arg(long)]
    pub(crate) format: Option<InputFormat>,
    /// Only say what would happen
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Subcommands of `batch`.
#[derive(Debug, Subcommand)]
pub(crate) enum BatchCommand {
    /// Tell whether the tables stand together, and which batches are open
    List,
    /// Roll forward what can be, and derive what cannot from `raw_events`, as it was decided then
    Recover,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// Tables to check [default: all]
    #[arg(value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
}

/// Measurements.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Events per CPU-second from bytes to committed tables, beside the roofline of parsing and compressing once
    #[command(after_help = "Example:\n  icefold bench ingest --events 200000 --cores 2")]
    Ingest {
        /// Events to generate and ingest
        #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = number)]
        events: u64,
        /// Without data contracts, geo database and reference data
        #[arg(long)]
        plain: bool,
    },
    /// Whether a commit costs the same after thousands of commits
    #[command(after_help = "Example:\n  icefold bench commit --commits 3000")]
    Commit {
        /// Small commits on one table
        #[arg(long, default_value_t = 3_000, value_name = "N", value_parser = number)]
        commits: u64,
    },
    /// How long the questions of an analyst take, and how long DuckDB takes over the same tables
    #[command(after_help = "\
Examples:
  icefold bench query
  icefold bench query --events 10000000 --duckdb \"$(integration/readers/setup)\"")]
    Query {
        /// Events to generate, ingest and ask about
        #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = number)]
        events: u64,
        /// A Python with DuckDB and its extensions avro and iceberg, to be asked the same
        #[arg(long, value_name = "PYTHON")]
        duckdb: Option<PathBuf>,
    },
}

/// Reads a share between 0 and 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a share between 0 and 1, for example 0.01".to_owned()),
    }
}

/// Reads a time such as 90s, 30m, 1h or 7d.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || "expected a time such as 90s, 30m, 1h or 7d".to_owned();
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    Ok(std::time::Duration::from_secs(number.checked_mul(seconds).ok_or_else(wrong)?))
}

/// Reads a number that may be grouped as in `200_000` or `200,000`.
fn number(text: &str) -> Result<u64, String> {
    let digits: String = text.chars().filter(|c| !matches!(c, '_' | ',')).collect();
    digits.parse().map_err(|_| "expected a whole number, for example 200000".to_owned())
}
