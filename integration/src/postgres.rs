//! A Postgres server for tests, on a socket in a folder of its own, which lives as long as its value does.

#![allow(clippy::disallowed_methods, reason = "a real server, in real time")]

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::program::succeed;

/// Time in which the server must be up; it usually takes half a second.
const START_TIME: Duration = Duration::from_secs(60);
/// Pause between two looks whether it is.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// `nobody`: Postgres refuses to run as root.
const UNPRIVILEGED: u32 = 65_534;
/// Socket of the server, in its folder.
const SOCKET: &str = ".s.PGSQL.5432";

/// How a server ends.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// Its connections are told so (57P01) and cut; what is committed is written out.
    Fast,
    /// Its processes stop where they are (57P02): the next start recovers as after a power cut.
    Immediate,
}

/// A server with the user `icefold` and the database `postgres`.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    server: Option<Child>,
}

impl Postgres {
    /// Installs the server if need be and starts it.
    ///
    /// # Panics
    /// When it cannot be installed or does not come up, with the server's log.
    pub fn start() -> Postgres {
        let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("postgres/setup");
        let programs = PathBuf::from(succeed(&mut Command::new(setup)).trim());
        let folder = TempDir::new().expect("temporary folder");
        if is_root() {
            chown(folder.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED)).expect("folder of the server");
        }
        let mut postgres = Postgres { programs, folder, server: None };
        succeed(postgres.command("initdb").args([
            "-D",
            "data",
            "-U",
            "icefold",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]));
        postgres.resume(&[]);
        postgres
    }

    /// Starts the server again after [`Postgres::stop`], with `settings` such as `fsync=off`.
    ///
    /// # Panics
    /// When it does not come up, with the server's log.
    pub fn resume(&mut self, settings: &[&str]) {
        let started = Instant::now();
        while !self.is_up() {
            let log = || fs::read_to_string(self.log()).unwrap_or_default();
            assert!(started.elapsed() < START_TIME, "Postgres does not come up:\n{}", log());
            // After a sudden end it may refuse to start until the last process of the one before is gone.
            if self.server.as_mut().is_none_or(|server| server.try_wait().expect("state of the server").is_some()) {
                self.server = Some(self.spawn(settings));
            }
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    fn spawn(&self, settings: &[&str]) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log()).expect("log of the server");
        let mut command = self.command("postgres");
        // A socket instead of a port: nothing else on the machine can be in the way.
        command.args(["-D", "data", "-c", "listen_addresses=", "-k"]).arg(self.folder.path());
        command.args(settings.iter().flat_map(|setting| ["-c", setting]));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("log")).stderr(log);
        command.spawn().expect("Postgres starts")
    }

    /// Ends the server and waits until it is gone.
    ///
    /// # Panics
    /// When it cannot be told to.
    pub fn stop(&mut self, how: End) {
        let Some(mut server) = self.server.take() else { return };
        let signal = match how {
            End::Fast => "-INT",
            End::Immediate => "-QUIT",
        };
        succeed(Command::new("kill").arg(signal).arg(server.id().to_string()));
        server.wait().expect("the server ends");
    }

    /// Returns the socket of the server.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// Returns the URI of the catalog.
    pub fn uri(&self) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://icefold@{folder}/postgres?sslmode=disable")
    }

    fn is_up(&self) -> bool {
        // The program that comes with the server knows when it takes connections and not only listens.
        let socket_answers = UnixStream::connect(self.socket()).is_ok();
        let mut ready = self.command("pg_isready");
        ready.args(["--quiet", "-h"]).arg(self.folder.path());
        socket_answers && ready.status().is_ok_and(|status| status.success())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if is_root() {
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.stop(End::Immediate);
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|of| of.uid() == 0)
}
