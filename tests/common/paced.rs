//! Traffic at a steady pace: datagrams of both families, both ways, few enough that none is lost on the way.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::netns::{HOST4, HOST6, PEER4, PEER6, Pair, inside};

/// Where the host's datagrams go.
const SINK: u16 = 9;
const PAUSE: Duration = Duration::from_millis(4);
const PAYLOAD: [u8; 600] = [b'x'; 600];

/// Which families something is about.
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

/// Traffic that goes on until it is stopped.
pub struct Paced {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Refused>>,
}

/// IP bytes by port of the host that it sent and its own firewall dropped: rules before that may have counted them.
pub type Refused = BTreeMap<u16, u64>;

impl Paced {
    /// Begins: from the peer to `ports` of the host, and from these to the peer. Every port has a length of its own.
    pub fn begin(pair: &Pair, ports: &[u16], families: Families) -> Self {
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
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let _sinks = sinks;
            let mut refused = Refused::new();
            while !stopped.load(Ordering::Relaxed) {
                for (socket, to, length, from_host) in &flows {
                    if let (Err(_), Some(port)) = (socket.send_to(&PAYLOAD[..*length], to), from_host) {
                        let headers = if to.is_ipv4() { 28 } else { 48 };
                        *refused.entry(*port).or_default() += *length as u64 + headers;
                    }
                }
                std::thread::sleep(PAUSE);
            }
            refused
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it; what was refused.
    pub fn end(mut self) -> Refused {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it was not ended before").join().unwrap()
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
