//! A proxy in front of Postgres that does to swaps of the pointer what networks and poolers do to statements.
//!
//! It reads what the client says as messages (a type, a length, content) and knows a swap by its statement, the `UPDATE` that
//! was prepared on the connection. What happens to it is drawn from a list, one entry for each swap, round and round.

#![allow(clippy::disallowed_methods, reason = "a real server, in real time")]

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What happens to a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It and its answer are passed on.
    Pass,
    /// It is passed on, and the connection cut before the answer could come.
    CutAtOnce,
    /// It is passed on; when the server has answered, the connection is cut instead of passing the answer on.
    CutAfterCommit,
    /// As before, but the last word is an error with this SQLSTATE, after which the connection ends.
    LastWord(&'static str),
}

/// A running proxy; it ends with its value.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: PathBuf,
    fates: Vec<Fate>,
    swaps: AtomicUsize,
    over: AtomicBool,
}

/// What the two directions of a connection tell each other.
#[derive(Debug, Default)]
struct Link {
    /// What becomes of the answer that comes next.
    fate: Mutex<Option<Fate>>,
}

impl Proxy {
    /// Starts one in front of the server that listens on the socket `server`.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start(server: PathBuf, fates: Vec<Fate>) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("address").port();
        let shared = Arc::new(Shared { server, fates, swaps: AtomicUsize::new(0), over: AtomicBool::new(false) });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.over.load(Ordering::Relaxed) {
                    return;
                }
                let shared = accepting.clone();
                // A connection that ends by an error has ended.
                std::thread::spawn(move || serve(client, &shared).ok());
            }
        });
        Proxy { port, shared }
    }

    /// Returns the URI of the catalog by way of the proxy.
    pub fn uri(&self) -> String {
        format!("postgres://icefold@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// Returns how many swaps have come by.
    pub fn swaps(&self) -> usize {
        self.shared.swaps.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts; it may be gone.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

fn serve(client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let server = UnixStream::connect(&shared.server)?;
    let link = Arc::new(Link::default());
    let (back, from_server, to_client) = (link.clone(), server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        drop(answers(from_server, &to_client, &back));
        to_client.shutdown(Shutdown::Both)
    });
    let ended = requests(client, &server, &link, shared);
    // A server that has not answered yet goes on with what it has and finds nobody to tell.
    drop(server.shutdown(Shutdown::Write));
    ended
}

/// Passes on what the client says.
fn requests(mut client: TcpStream, mut server: &UnixStream, link: &Link, shared: &Shared) -> io::Result<()> {
    let mut updates = HashSet::new();
    let mut fate = Fate::Pass;
    // The first message has no type.
    server.write_all(&message(&mut client, 0)?)?;
    loop {
        let message = message(&mut client, 1)?;
        let content = message.get(5..).unwrap_or_default();
        match message[0] {
            b'P' if text(after_text(content)).starts_with("UPDATE") => drop(updates.insert(text(content).to_owned())),
            // The name of the portal, then that of the statement.
            b'B' if updates.contains(text(after_text(content))) => {
                let number = shared.swaps.fetch_add(1, Ordering::Relaxed);
                fate = shared.fates[number % shared.fates.len()];
                *link.fate.lock().unwrap_or_else(PoisonError::into_inner) = Some(fate);
            }
            _ => {}
        }
        server.write_all(&message)?;
        // With this message the statement is committed.
        if message[0] == b'S' && fate == Fate::CutAtOnce {
            return client.shutdown(Shutdown::Both);
        }
    }
}

/// Passes on what the server answers.
fn answers(mut server: UnixStream, mut client: &TcpStream, link: &Link) -> io::Result<()> {
    loop {
        let message = message(&mut server, 1)?;
        let fate = *link.fate.lock().unwrap_or_else(PoisonError::into_inner);
        match fate {
            None | Some(Fate::Pass) => client.write_all(&message)?,
            // *Ready for query*: what was asked is committed, or failed.
            Some(Fate::LastWord(state)) if message[0] == b'Z' => return client.write_all(&last_word(state)),
            Some(_) if message[0] == b'Z' => return Ok(()),
            Some(_) => {}
        }
    }
}

fn last_word(state: &str) -> Vec<u8> {
    let mut content = Vec::new();
    for field in ["SERROR", "VERROR", &format!("C{state}"), "Mserver connection lost"] {
        content.extend_from_slice(field.as_bytes());
        content.push(0);
    }
    content.push(0);
    let length = u32::try_from(content.len() + 4).expect("short");
    [&b"E"[..], &length.to_be_bytes(), &content].concat()
}

/// Reads a whole message, which has `prefix` bytes before its length.
fn message(from: &mut impl Read, prefix: usize) -> io::Result<Vec<u8>> {
    let mut message = vec![0; prefix + 4];
    from.read_exact(&mut message)?;
    let length = message[prefix..].try_into().map_or(0, u32::from_be_bytes) as usize;
    let content = length.checked_sub(4).ok_or(io::ErrorKind::InvalidData)?;
    message.resize(prefix + 4 + content, 0);
    from.read_exact(&mut message[prefix + 4..])?;
    Ok(message)
}

/// The text at the beginning, up to its zero byte.
fn text(content: &[u8]) -> &str {
    let end = content.iter().position(|byte| *byte == 0).unwrap_or(content.len());
    std::str::from_utf8(&content[..end]).unwrap_or_default()
}

fn after_text(content: &[u8]) -> &[u8] {
    content.get(text(content).len() + 1..).unwrap_or_default()
}
