//! Real traffic between two namespaces: TCP uploads and downloads, and UDP datagrams with their echoes.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// What one customer's port has to transfer over each address family.
pub struct TrafficPlan {
    pub port: u16,
    pub upload_bytes: u64,
    pub download_bytes: u64,
    /// The number of datagrams. Each has 300 bytes, and is echoed.
    pub datagrams: u32,
}

const TIMEOUT: Duration = Duration::from_secs(20);

/// Serves every port of `plan` in the namespace `node`, and requests it from the namespace `main` at each address.
pub fn play(main: &str, node: &str, addresses: &[IpAddr], plan: &'static [TrafficPlan]) -> Result<()> {
    for port_plan in plan {
        let servers = inside(node, move || {
            let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port_plan.port));
            Ok((TcpListener::bind(any)?, UdpSocket::bind(any)?))
        })?;
        let (listener, socket) = servers;
        let count = addresses.len();
        let tcp = thread::spawn(move || serve(&listener, port_plan.download_bytes, count));
        let echoes = port_plan.datagrams * u32::try_from(count).expect("a few addresses");
        let udp = thread::spawn(move || echo(&socket, echoes));
        for address in addresses.iter().map(|ip| SocketAddr::from((*ip, port_plan.port))) {
            inside(main, move || ask(address, port_plan))?;
        }
        for server in [tcp, udp] {
            server.join().map_err(|_| anyhow!("a server of the demo panicked"))??;
        }
    }
    Ok(())
}

/// Runs `work` on a new thread in the namespace. Sockets stay in the namespace in which they were created.
fn inside<T: Send + 'static>(netns: &str, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let path = format!("/run/netns/{netns}");
    let file = File::open(&path).with_context(|| format!("failed to open {path}"))?;
    let thread = thread::spawn(move || {
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network))?;
        work()
    });
    thread.join().map_err(|_| anyhow!("a thread of the demo panicked"))?
}

fn serve(listener: &TcpListener, download_bytes: u64, connections: usize) -> Result<()> {
    for _ in 0..connections {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        std::io::copy(&mut stream, &mut std::io::sink())?;
        std::io::copy(&mut std::io::repeat(b'd').take(download_bytes), &mut stream)?;
    }
    Ok(())
}

fn echo(socket: &UdpSocket, datagrams: u32) -> Result<()> {
    socket.set_read_timeout(Some(TIMEOUT))?;
    let mut buffer = [0; 2_048];
    for _ in 0..datagrams {
        let (length, peer) = socket.recv_from(&mut buffer).context("a datagram did not arrive")?;
        socket.send_to(&buffer[..length], peer)?;
    }
    Ok(())
}

fn ask(server: SocketAddr, plan: &TrafficPlan) -> Result<()> {
    let mut stream =
        TcpStream::connect_timeout(&server, TIMEOUT).with_context(|| format!("failed to reach {server}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    std::io::copy(&mut std::io::repeat(b'u').take(plan.upload_bytes), &mut stream)?;
    stream.flush()?;
    stream.shutdown(Shutdown::Write)?;
    std::io::copy(&mut stream, &mut std::io::sink())?;

    let any = if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    let mut buffer = [0; 2_048];
    for _ in 0..plan.datagrams {
        socket.send_to(&[b'u'; 300], server)?;
        // One at a time, because a datagram lost to a full buffer would end the demo.
        socket.recv(&mut buffer).context("an echo did not arrive")?;
    }
    Ok(())
}
