//! EDGE files: the ports on which something listens, in the network namespace of the calling thread.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::SocketAddr;

use procfs::ProcError;
use procfs::net::{TcpNetEntries, TcpState, UdpNetEntries, UdpState};

use super::ephemeral::Ephemeral;

/// Why the sockets cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the sockets in `{path}`")]
pub struct ListeningError {
    pub path: String,
    #[source]
    pub source: ProcError,
}

/// The ports of TCP sockets that listen, and of UDP sockets that are bound but not connected, each on an address that
/// can be reached from other machines. UDP ports in the ephemeral range are left out, because they belong to clients
/// that wait for a reply.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn listening(ephemeral: &Ephemeral) -> Result<BTreeSet<u16>, ListeningError> {
    let mut ports = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        let listeners = table_of::<TcpNetEntries>(table, "0A")?.0.into_iter();
        let listeners = listeners.filter(|socket| socket.state == TcpState::Listen);
        ports.extend(listeners.filter_map(|socket| reachable(socket.local_address)));
    }
    for table in ["udp", "udp6"] {
        let unconnected = table_of::<UdpNetEntries>(table, "07")?.0.into_iter();
        let unconnected = unconnected.filter(|socket| socket.state == UdpState::Close);
        let bound = unconnected.filter_map(|socket| reachable(socket.local_address));
        ports.extend(bound.filter(|port| !ephemeral.may_take(*port)));
    }
    Ok(ports)
}

fn reachable(local: SocketAddr) -> Option<u16> {
    (!local.ip().to_canonical().is_loopback() && local.port() != 0).then_some(local.port())
}

/// The sockets of `/proc/net/TABLE` in one state. Other lines are dropped while reading, because a busy server has a
/// few listeners among some hundred thousand connections. (`/proc/net` is that of the process; `thread-self` is that of
/// this thread.)
fn table_of<T: procfs::FromBufReadSI>(table: &str, state: &str) -> Result<T, ListeningError> {
    let path = format!("/proc/thread-self/net/{table}");
    let failed = |source| ListeningError { path: path.clone(), source };
    let text = match File::open(&path) {
        Ok(file) => lines_in_state(BufReader::new(file), state).map_err(|error| failed(ProcError::from(error)))?,
        // This kernel has no IPv6.
        Err(error) if error.kind() == ErrorKind::NotFound && table.ends_with('6') => "header\n".to_owned(),
        Err(error) => return Err(failed(ProcError::from(error))),
    };
    T::from_buf_read(text.as_bytes(), procfs::current_system_info()).map_err(failed)
}

fn lines_in_state(mut table: impl BufRead, state: &str) -> std::io::Result<String> {
    let (mut kept, mut line) = (String::new(), String::new());
    // Keep the header, which has no state.
    table.read_line(&mut kept)?;
    while table.read_line(&mut line)? > 0 {
        if line.split_ascii_whitespace().nth(3) == Some(state) {
            kept.push_str(&line);
        }
        line.clear();
    }
    Ok(kept)
}

#[cfg(test)]
mod tests;
