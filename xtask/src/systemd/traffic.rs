//! Real traffic between customers and the node: TCP in both directions at a steady rate, and datagrams.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::network::{NODE, Network};

/// The bytes that each end sends per [`BEAT`]: 2.5 MB/s in each direction, 5 MB/s in total.
const BEAT_BYTES: usize = 250_000;
const BEAT: Duration = Duration::from_millis(100);

/// Traffic that runs until it is stopped.
pub struct Traffic {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Traffic {
    /// Starts 5 MB/s of TCP, divided among the ports of `tcp`, and a few datagrams with their echoes on `udp`.
    ///
    /// # Errors
    /// When a port cannot be served or reached.
    pub fn start(network: &Network, tcp: &[u16], udp: u16) -> Result<Self> {
        let mut traffic = Self { over: Arc::default(), threads: Vec::new() };
        let beat_bytes = BEAT_BYTES / tcp.len().max(1);
        for port in tcp {
            let node = SocketAddr::new(NODE.parse()?, *port);
            let listener = inside(&network.node, move || Ok(TcpListener::bind(node)?))?;
            let client =
                inside(&network.peer, move || Ok(TcpStream::connect_timeout(&node, Duration::from_secs(30))?))?;
            let (server, _) = listener.accept()?;
            for end in [client, server] {
                let (over, reader) = (traffic.over.clone(), end.try_clone()?);
                traffic.threads.push(thread::spawn(move || send(end, beat_bytes, &over)));
                traffic.threads.push(thread::spawn(move || drain(reader)));
            }
        }
        let node = SocketAddr::new(NODE.parse()?, udp);
        let server = inside(&network.node, move || Ok(UdpSocket::bind(node)?))?;
        let client = inside(&network.peer, move || {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(node)?;
            Ok(socket)
        })?;
        for socket in [&server, &client] {
            socket.set_read_timeout(Some(BEAT))?;
        }
        let over = traffic.over.clone();
        traffic.threads.push(thread::spawn(move || ask(&client, &server, &over)));
        Ok(traffic)
    }

    /// Stops the traffic, and waits until both ends have received everything.
    ///
    /// # Errors
    /// When a connection has failed meanwhile.
    pub fn stop(mut self) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread
                .join()
                .map_err(|_| anyhow!("a thread of the traffic panicked"))?
                .context("the traffic was interrupted")?;
        }
        Ok(())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn send(mut stream: TcpStream, beat_bytes: usize, over: &AtomicBool) -> Result<()> {
    let bytes = vec![b'x'; beat_bytes];
    while !over.load(Ordering::Relaxed) {
        stream.write_all(&bytes)?;
        thread::sleep(BEAT);
    }
    Ok(stream.shutdown(std::net::Shutdown::Write)?)
}

fn drain(mut stream: TcpStream) -> Result<()> {
    let mut buffer = vec![0; 64 << 10];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

fn ask(client: &UdpSocket, server: &UdpSocket, over: &AtomicBool) -> Result<()> {
    let mut buffer = [0; 2_048];
    while !over.load(Ordering::Relaxed) {
        client.send(&[b'u'; 300])?;
        match server.recv_from(&mut buffer) {
            Ok((length, from)) => {
                server.send_to(&buffer[..length], from)?;
                client.recv(&mut buffer).context("an echo did not arrive")?;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
        thread::sleep(BEAT);
    }
    Ok(())
}

/// Runs `work` on a new thread in the namespace. Sockets stay in the namespace in which they were created.
///
/// # Errors
/// When there is no such namespace, or `work` fails.
pub fn inside<T: Send + 'static>(netns: &str, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let path = format!("/run/netns/{netns}");
    let file = File::open(&path).with_context(|| format!("failed to open {path}"))?;
    let thread = thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        work()
    });
    thread.join().map_err(|_| anyhow!("a thread of the traffic panicked"))?
}
