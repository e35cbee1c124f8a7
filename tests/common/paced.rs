//! Traffic at a steady pace: datagrams of both families in both directions, slow enough that none is lost.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::netns::{HOST4, HOST6, PEER4, PEER6, Pair, inside};

/// The port to which the host's datagrams go.
const SINK: u16 = 9;
const PAUSE: Duration = Duration::from_millis(4);
const PAYLOAD: [u8; 600] = [b'x'; 600];

/// The families of some traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    V4,
    V6,
    Both,
}

impl Families {
    fn addresses(self) -> &'static [(IpAddr, IpAddr)] {
        const BOTH: [(IpAddr, IpAddr); 2] = [(HOST4, PEER4), (HOST6, PEER6)];
        match self {
            Self::V4 => &BOTH[..1],
            Self::V6 => &BOTH[1..],
            Self::Both => &BOTH,
        }
    }
}

/// What the host sent and its own firewall dropped. It did not reach the wire, but passed every rule before the one
/// that dropped it. The kernel reports this to the sender as EPERM; with any other error, nothing was sent at all.
#[derive(Clone, Default)]
pub struct Refused(Arc<Mutex<ByFamilyAndPort>>);

/// IP bytes and packets, by family and port of the host.
pub type ByFamilyAndPort = BTreeMap<(u8, u16), (u64, u64)>;

impl Refused {
    /// Everything so far.
    pub fn read(&self) -> ByFamilyAndPort {
        self.0.lock().unwrap().clone()
    }

    fn add(&self, family: u8, port: u16, bytes: u64) {
        let mut sums = self.0.lock().unwrap();
        let sum = sums.entry((family, port)).or_default();
        *sum = (sum.0 + bytes, sum.1 + 1);
    }
}

/// Traffic that continues until it is stopped.
pub struct Paced {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Paced {
    /// Begins to send from the peer to `ports` of the host, and from these to the peer. The datagrams of each port have
    /// a length of their own. What the host's firewall drops is added to `refused`.
    pub fn begin(pair: &Pair, ports: &[u16], families: Families, refused: &Refused) -> Self {
        let mut flows: Vec<(UdpSocket, SocketAddr, usize, Option<u16>)> = Vec::new();
        let mut sinks = Vec::new();
        for (host, peer) in families.addresses() {
            let bind = |netns: &str, address: SocketAddr| inside(netns, || UdpSocket::bind(address).unwrap());
            let source = bind(&pair.peer, (*peer, 0).into());
            sinks.push(bind(&pair.peer, (*peer, SINK).into()));
            for (index, port) in ports.iter().enumerate() {
                let local = bind(&pair.host, (*host, *port).into());
                flows.push((source.try_clone().unwrap(), (*host, *port).into(), 500 + index, None));
                flows.push((local, (*peer, SINK).into(), 300 + index, Some(*port)));
            }
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, refused) = (Arc::clone(&stop), refused.clone());
        let thread = std::thread::spawn(move || {
            let _sinks = sinks;
            while !stopped.load(Ordering::Relaxed) {
                for (socket, to, length, from_host) in &flows {
                    let sent = socket.send_to(&PAYLOAD[..*length], to);
                    let is_refused = sent.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
                    if let Some(port) = from_host.filter(|_| is_refused) {
                        let (family, headers) = if to.is_ipv4() { (4, 28) } else { (6, 48) };
                        refused.add(family, port, *length as u64 + headers);
                    }
                }
                std::thread::sleep(PAUSE);
            }
        });
        Self { stop, thread: Some(thread) }
    }

    /// Stops the traffic.
    pub fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it was not ended before").join().unwrap();
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
