//! Continuous traffic: datagrams from the peer to ports of the host, and from those ports to the peer.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::daemon::wait_until;
use super::netns::{HOST4, PEER4, Pair, inside};

/// The port to which the host's datagrams go.
const SINK: u16 = 9;

/// A flood in both directions over some ports, until it is stopped. Nobody answers and nothing is rejected, so that
/// only datagrams of these ports pass.
pub struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
    /// Bound, so that the kernel does not reject the datagrams.
    _sink: UdpSocket,
}

impl Flood {
    /// Begins the flood. The datagrams of each port have a length of their own: `100 + index` bytes of payload after 28
    /// bytes of headers.
    pub fn begin(pair: &Pair, ports: &[u16]) -> Self {
        let bind = |netns: &str, address| inside(netns, || UdpSocket::bind(address).unwrap());
        let host: Vec<UdpSocket> = ports.iter().map(|port| bind(&pair.host, (HOST4, *port))).collect();
        let peer = bind(&pair.peer, (PEER4, 0));
        let sink = bind(&pair.peer, (PEER4, SINK));
        let targets: Vec<SocketAddr> = ports.iter().map(|port| (HOST4, *port).into()).collect();
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = vec![
            run(&stop, &sent, move |index, payload| {
                let target = targets[index % targets.len()];
                peer.send_to(&payload[..100 + index % targets.len()], target).is_ok()
            }),
            run(&stop, &sent, move |index, payload| {
                let socket = &host[index % host.len()];
                socket.send_to(&payload[..100 + index % host.len()], (PEER4, SINK)).is_ok()
            }),
        ];
        Self { stop, sent, threads, _sink: sink }
    }

    /// Waits until `datagrams` more have been sent.
    pub fn pass(&self, datagrams: u64) {
        let goal = self.sent.load(Ordering::Relaxed) + datagrams;
        wait_until("the flood has passed", Duration::from_secs(60), || self.sent.load(Ordering::Relaxed) >= goal);
    }

    /// Ends it. The last datagrams may still be on their way within the kernel.
    pub fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn run(
    stop: &Arc<AtomicBool>,
    sent: &Arc<AtomicU64>,
    send: impl Fn(usize, &[u8]) -> bool + Send + 'static,
) -> JoinHandle<()> {
    let (stop, sent) = (Arc::clone(stop), Arc::clone(sent));
    std::thread::spawn(move || {
        let payload = [b'x'; 1_400];
        let mut index = 0;
        while !stop.load(Ordering::Relaxed) {
            // If the device had no room for it, it was not sent.
            if send(index, &payload) {
                sent.fetch_add(1, Ordering::Relaxed);
            }
            index += 1;
        }
    })
}
