//! A relay between a node and ClickHouse that makes single inserts go wrong, by their numbers.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// ClickHouse inserts the rows, and the answer is 500.
    Status500,
    /// ClickHouse inserts the rows, and the connection ends without an answer.
    Dropped,
    /// ClickHouse inserts the rows, and the answer is 200 with an exception in its body.
    LateException,
    /// The connection ends in the middle of the body.
    CutBody,
    /// The answer is a login page.
    Foreign,
}

pub struct Relay {
    pub port: u16,
    /// The number of inserts that arrived.
    pub inserts: Arc<Mutex<usize>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Relays to `port`. The inserts with these numbers, counted from 1, go wrong.
    pub fn start(port: u16, faults: &[(usize, Fault)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let faults: BTreeMap<usize, Fault> = faults.iter().copied().collect();
        let inserts = Arc::new(Mutex::new(0));
        let ends = Arc::new(AtomicBool::new(false));
        let (counted, over) = (Arc::clone(&inserts), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                // Some tests have clients that disconnect in the middle.
                let _ = serve(stream.unwrap(), port, &faults, &counted);
            }
        });
        Self { port: own_port, inserts, ends, thread: Some(thread) }
    }

    pub fn section(&self) -> String {
        format!("[fleet]\nurl = \"http://127.0.0.1:{}\"\n", self.port)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Handles one request, after which the connection ends.
fn serve(
    mut client: TcpStream,
    port: u16,
    faults: &BTreeMap<usize, Fault>,
    inserts: &Mutex<usize>,
) -> std::io::Result<()> {
    let request = request(&mut client)?;
    let fault = request.starts_with(b"POST /?input_format").then(|| {
        let mut count = inserts.lock().unwrap();
        *count += 1;
        faults.get(&count).copied()
    });
    let fault = fault.flatten();
    if fault == Some(Fault::Foreign) {
        return reply(&mut client, "200 OK", "<html>Please log in</html>");
    }
    let mut engine = TcpStream::connect(("127.0.0.1", port))?;
    let sent = if fault == Some(Fault::CutBody) { &request[..request.len() - 20] } else { &request[..] };
    engine.write_all(sent)?;
    if fault == Some(Fault::CutBody) {
        return Ok(());
    }
    let mut answer = Vec::new();
    engine.read_to_end(&mut answer)?;
    match fault {
        None => client.write_all(&answer),
        Some(Fault::Status500) => reply(&mut client, "500 Internal Server Error", "Code: 241. DB::Exception: memory"),
        Some(Fault::LateException) => reply(&mut client, "200 OK", "\nCode: 241. DB::Exception: memory"),
        Some(Fault::Dropped | Fault::CutBody | Fault::Foreign) => Ok(()),
    }
}

fn reply(client: &mut TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// Reads a whole request, and adds a header that asks the server to close the connection after the answer.
fn request(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = client.read(&mut chunk)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&chunk[..read]);
        let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).map(|length| length.trim());
        let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        if bytes.len() >= head + 4 + length {
            let mut whole = bytes[..head].to_vec();
            whole.extend_from_slice(b"\r\nConnection: close");
            whole.extend_from_slice(&bytes[head..]);
            return Ok(whole);
        }
    }
}
