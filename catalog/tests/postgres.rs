//! The pointer store on a real Postgres server, started for the test on a socket of its own and stopped by pid.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use icefold_catalog::pointer::conformance;
use icefold_catalog::pointer::sql::SqlPointers;

/// Longest wait for the server to answer.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// `nobody`: initdb refuses to run as root.
const UNPRIVILEGED: u32 = 65_534;

/// A server that ends with the test.
struct Server {
    process: Child,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The test is over, whatever it found.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The newest installed server's programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|v| v.path().join("bin")).filter(|bin| bin.join("initdb").is_file()).max();
    newest.expect("Postgres is needed for this test; Debian: apt-get install postgresql")
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|of| of.uid() == 0)
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if is_root() {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    command
}

async fn start() -> (Server, SqlPointers) {
    let folder = tempfile::tempdir().expect("folder");
    if is_root() {
        chown(folder.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED)).expect("chown");
    }
    let data = folder.path().join("data");
    let mut initdb = command(&programs().join("initdb"));
    initdb.current_dir(folder.path()).arg("-D").arg(&data).args(["-U", "icefold", "-A", "trust"]);
    assert!(initdb.status().expect("initdb").success(), "initdb failed");
    let process = command(&programs().join("postgres"))
        .current_dir(folder.path())
        .arg("-D")
        .arg(&data)
        // A socket in our own folder instead of a port: nothing else on the machine can be in the way.
        .args(["-c", "listen_addresses=", "-k"])
        .arg(folder.path())
        .spawn()
        .expect("postgres");
    let socket = folder.path().display().to_string().replace('/', "%2F");
    let server = Server { process, folder };
    let (uri, started) = (format!("postgres://icefold@{socket}/postgres"), Instant::now());
    loop {
        match SqlPointers::open(&uri).await {
            Ok(pointers) => return (server, pointers),
            Err(e) if started.elapsed() > START_TIMEOUT => panic!("{e:?} ({})", server.folder.path().display()),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_pointers_conform() {
    let (_server, pointers) = start().await;
    conformance::check(&pointers).await;
    pointers.close().await;
}
