//! An S3 server for tests: SeaweedFS on the loopback interface, which lives as long as its value does.

#![allow(clippy::disallowed_methods, reason = "a real server, in real time")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::program::succeed;

/// The one bucket.
pub const BUCKET: &str = "lake";
const ACCESS_KEY: &str = "icefold";
/// The secret that the server knows.
pub const SECRET_KEY: &str = "secret-of-a-test";

/// Time in which the server must be up; it usually takes four seconds.
const START_TIME: Duration = Duration::from_secs(60);
/// The server opens a second port this far above each one that it is given.
const SECOND_PORT: u16 = 10_000;

/// Ports of the server's parts.
#[derive(Debug, Clone, Copy)]
struct Ports {
    master: u16,
    volume: u16,
    filer: u16,
    s3: u16,
}

/// A server with one empty bucket. What it stores is gone with it, but not when it is stopped and started again.
#[derive(Debug)]
pub struct S3 {
    program: PathBuf,
    folder: TempDir,
    ports: Ports,
    server: Option<Child>,
}

impl S3 {
    /// Installs the server if need be and starts it.
    ///
    /// # Panics
    /// When it cannot be installed or does not come up, with the server's log.
    pub fn start() -> S3 {
        let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("s3/setup");
        let program = PathBuf::from(succeed(&mut Command::new(setup)).trim());
        let folder = TempDir::new().expect("temporary folder");
        fs::create_dir(folder.path().join("data")).expect("folder of the server");
        let credentials = format!(r#"[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}]"#);
        let actions = r#"["Admin","Read","List","Tagging","Write"]"#;
        let users = format!(r#"{{"identities":[{{"name":"test","credentials":{credentials},"actions":{actions}}}]}}"#);
        fs::write(folder.path().join("users.json"), users).expect("users of the server");
        let ports = Ports { master: free_port(), volume: free_port(), filer: free_port(), s3: free_port() };
        let mut s3 = S3 { program, folder, ports, server: None };
        s3.resume();
        s3.send("POST", &format!("/buckets/{BUCKET}/"), b"");
        s3
    }

    /// Starts the server again after [`S3::stop`].
    ///
    /// # Panics
    /// When it does not come up, with the server's log.
    pub fn resume(&mut self) {
        let Ports { master, volume, filer, s3 } = self.ports;
        let log = fs::File::create(self.log()).expect("log of the server");
        let mut command = Command::new(&self.program);
        command.args(["server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]);
        command.args(["-volume.max=20", "-filer", "-s3", "-s3.config=users.json"]);
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-metricsPort=0"]);
        command.args(["-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"]);
        command.args([format!("-master.port={master}"), format!("-volume.port={volume}")]);
        command.args([format!("-filer.port={filer}"), format!("-s3.port={s3}")]);
        command.current_dir(self.folder.path()).env("HOME", self.folder.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("log")).stderr(log);
        self.server = Some(command.spawn().expect("SeaweedFS starts"));
        let started = Instant::now();
        // The bucket can be asked for as soon as both parts answer.
        while !(answers(filer) && answers(s3)) {
            let log = || fs::read_to_string(self.log()).unwrap_or_default();
            assert!(started.elapsed() < START_TIME, "SeaweedFS does not come up:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Stops the server at once, as a power cut would.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // It may have ended by itself.
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Puts an object into the bucket.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        self.send("PUT", &format!("/buckets/{BUCKET}/{key}"), bytes);
    }

    /// Lets `command`, a run of icefold, find the server.
    pub fn tell(&self, command: &mut Command, secret: &str) {
        command.env("ICEFOLD_S3_ENDPOINT", format!("http://127.0.0.1:{}", self.ports.s3));
        command.env("ICEFOLD_S3_ALLOW_HTTP", "true").env("ICEFOLD_S3_REGION", "us-east-1");
        command.env("ICEFOLD_S3_ACCESS_KEY_ID", ACCESS_KEY).env("ICEFOLD_S3_SECRET_ACCESS_KEY", secret);
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Writes to the server's own file service, which needs no signature.
    fn send(&self, method: &str, path: &str, body: &[u8]) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports.filer)).expect("the server listens");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("the server takes it");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server answers");
        assert!(answer.starts_with("HTTP/1.1 201"), "{path}: {answer}");
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.stop();
    }
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut answer = [0; 12];
    asked.and_then(|()| stream.read_exact(&mut answer)).is_ok() && answer.starts_with(b"HTTP/1.1 ")
}

/// Returns a port that is free now, with the second one above it.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("address").port();
        let second = port.checked_add(SECOND_PORT).map(|second| TcpListener::bind((Ipv4Addr::LOCALHOST, second)));
        if matches!(second, Some(Ok(_))) {
            return port;
        }
    }
}
