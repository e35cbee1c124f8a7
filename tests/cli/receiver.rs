//! A receiver of webhooks: a real HTTP server that misbehaves as instructed, request by request.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The reaction to one request, after all of it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    Accept,
    /// Answers with status 500.
    Fail,
    /// Does not answer, for as long as the client waits.
    Hang,
    /// Closes the connection without an answer.
    Drop,
    /// Kills the process chosen by [`Receiver::aim_at`] before answering.
    Kill,
}

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    pub body: String,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).next()
    }
}

/// Listens on a port of its own until the test ends.
pub struct Receiver {
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    victim: Arc<Mutex<Option<u32>>>,
}

impl Receiver {
    /// Reacts to the first requests according to `reactions`, and accepts all later ones.
    pub fn start(reactions: &[Reaction]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let victim = Arc::new(Mutex::new(None));
        let (kept, shot, reactions) = (Arc::clone(&requests), Arc::clone(&victim), reactions.to_vec());
        std::thread::spawn(move || {
            let mut reactions = reactions.into_iter();
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let Some(request) = read(&mut stream) else { continue };
                kept.lock().unwrap().push(request);
                match reactions.next().unwrap_or(Reaction::Accept) {
                    Reaction::Accept => answer(&mut stream, "200 OK", "taken"),
                    Reaction::Fail => answer(&mut stream, "500 Internal Server Error", "out of order"),
                    // Until the client closes the connection.
                    Reaction::Hang => drop(stream.read(&mut [0; 1])),
                    Reaction::Drop => {}
                    Reaction::Kill => {
                        let pid = wait_for(&shot);
                        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
                        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                        drop(stream.read(&mut [0; 1]));
                    }
                }
            }
        });
        Self { port, requests, victim }
    }

    /// Chooses the process that [`Reaction::Kill`] kills.
    pub fn aim_at(&self, pid: u32) {
        *self.victim.lock().unwrap() = Some(pid);
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn wait_for(victim: &Mutex<Option<u32>>) -> u32 {
    loop {
        if let Some(pid) = *victim.lock().unwrap() {
            return pid;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn answer(stream: &mut TcpStream, status: &str, body: &str) {
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    // A client that was killed receives no answer.
    drop(stream.write_all(text.as_bytes()));
}

/// The head, and as many bytes of body as it announces; `None` if the client disconnected before.
fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let head_end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = head_end {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let request = Request { head, body: String::new() };
            let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8(bytes[end + 4..end + 4 + length].to_vec()).unwrap();
                return Some(Request { body, ..request });
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}
