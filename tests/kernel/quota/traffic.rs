//! Four senders to and from one port of the host, as fast as possible, and how much of it arrived.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::common::netns::{HOST4, PEER4, Pair, inside, run};

/// What a client asks the server to do: to receive or to send.
const TAKE: u8 = b't';
const SEND: u8 = b's';
/// The port to which the host's datagrams go.
const SINK: u16 = 9;
/// A socket that cannot send for this long checks whether it must stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// Rules after the classifiers: the IP bytes that arrived at a port of the host, and those that left it and reached the
/// peer.
pub struct Arrived<'a> {
    pair: &'a Pair,
    port: u16,
}

impl<'a> Arrived<'a> {
    pub fn install(pair: &'a Pair, port: u16) -> Self {
        for (netns, side) in [(&pair.host, "--dport"), (&pair.peer, "--sport")] {
            let rules: String =
                ["tcp", "udp"].iter().map(|protocol| format!("-A INPUT -p {protocol} {side} {port}\n")).collect();
            inside(netns, || {
                let mut restore = Command::new("iptables-restore");
                let mut child = restore.arg("--noflush").stdin(Stdio::piped()).spawn().unwrap();
                child.stdin.take().unwrap().write_all(format!("*filter\n{rules}COMMIT\n").as_bytes()).unwrap();
                assert!(child.wait().unwrap().success());
            });
        }
        Self { pair, port }
    }

    /// Bytes in and out.
    pub fn read(&self) -> (u64, u64) {
        let read = |netns: &str| {
            let saved = inside(netns, || run(Command::new("iptables-save").args(["-c", "-t", "filter"])));
            let end = format!("port {}", self.port);
            let rules =
                saved.lines().filter(|line| line.starts_with('[') && line.contains("INPUT") && line.ends_with(&end));
            let bytes = |line: &str| line.split([':', ']']).nth(1).unwrap().parse::<u64>().unwrap();
            rules.map(bytes).sum()
        };
        (read(&self.pair.host), read(&self.pair.peer))
    }

    /// Bytes in and out together.
    pub fn both(&self) -> u64 {
        let (incoming, outgoing) = self.read();
        incoming + outgoing
    }

    /// Waits until nothing has arrived for as long as `quiet`.
    pub fn settle(&self, quiet: Duration) -> u64 {
        let deadline = Instant::now() + Duration::from_secs(120);
        let (mut last, mut since) = (self.both(), Instant::now());
        while since.elapsed() < quiet {
            assert!(Instant::now() < deadline, "traffic goes on: {last} bytes");
            thread::sleep(Duration::from_millis(20));
            let now = self.both();
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        last
    }
}

/// The senders, until they are stopped: TCP and UDP, in and out.
pub struct Senders {
    stop: Arc<AtomicBool>,
    /// Datagrams that were sent to the port.
    sent: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Senders {
    pub fn begin(pair: &Pair, port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let host: SocketAddr = (HOST4, port).into();
        let mut threads = Vec::new();

        let listener = inside(&pair.host, || TcpListener::bind(host).unwrap());
        listener.set_nonblocking(true).unwrap();
        threads.push(spawn(&stop, move |stop| serve(&listener, stop)));
        for order in [TAKE, SEND] {
            let netns = pair.peer.clone();
            threads.push(spawn(&stop, move |stop| {
                while !is_set(stop) {
                    // After a reset, or if the port is cut, try again, as clients do.
                    let connected = inside(&netns, || TcpStream::connect_timeout(&host, PATIENCE));
                    match connected {
                        Ok(stream) => talk(stream, order, order == TAKE, stop),
                        Err(_) => thread::sleep(Duration::from_millis(5)),
                    }
                }
            }));
        }
        let bind = |netns: &str, at: (IpAddr, u16)| inside(netns, || UdpSocket::bind(at).unwrap());
        let (server, client, sink) =
            (bind(&pair.host, (HOST4, port)), bind(&pair.peer, (PEER4, 0)), bind(&pair.peer, (PEER4, SINK)));
        let counted = Arc::clone(&sent);
        threads.push(spawn(&stop, move |stop| {
            while !is_set(stop) {
                if client.send_to(&[b'x'; 1_200], host).is_ok() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        }));
        threads.push(spawn(&stop, move |stop| {
            // Kept open, so that the peer's kernel does not reject the datagrams.
            let _sink = sink;
            while !is_set(stop) {
                // If a packet is refused on its way out, the socket may report an error.
                let _ = server.send_to(&[b'x'; 1_200], (PEER4, SINK));
            }
        }));
        Self { stop, sent, threads }
    }

    /// Waits until this many more datagrams were sent, whether or not they arrived.
    pub fn pass(&self, datagrams: u64) {
        let goal = self.sent.load(Ordering::Relaxed) + datagrams;
        crate::common::daemon::wait_until("datagrams were sent", Duration::from_secs(60), || {
            self.sent.load(Ordering::Relaxed) >= goal
        });
    }

    pub fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

fn is_set(stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed)
}

fn spawn(stop: &Arc<AtomicBool>, work: impl FnOnce(&Arc<AtomicBool>) + Send + 'static) -> JoinHandle<()> {
    let stop = Arc::clone(stop);
    thread::spawn(move || work(&stop))
}

/// Does what each client asks.
fn serve(listener: &TcpListener, stop: &Arc<AtomicBool>) {
    let mut connections = Vec::new();
    while !is_set(stop) {
        match listener.accept() {
            Ok((mut stream, _)) => connections.push(spawn(stop, move |stop| {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
                let mut order = [0];
                if stream.read_exact(&mut order).is_ok() {
                    transfer(&mut stream, order[0] == SEND, stop);
                }
            })),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
    connections.into_iter().for_each(|connection| connection.join().unwrap());
}

fn talk(mut stream: TcpStream, order: u8, sends: bool, stop: &AtomicBool) {
    if stream.write_all(&[order]).is_ok() {
        transfer(&mut stream, sends, stop);
    }
}

/// Sends or receives until the end of the connection.
fn transfer(stream: &mut TcpStream, sends: bool, stop: &AtomicBool) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = vec![b'x'; 256 * 1024];
    while !is_set(stop) {
        let done = if sends { stream.write(&buffer) } else { stream.read(&mut buffer) };
        match done {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}
