//! EDGE kernel: closes TCP connections of ports that are cut.

use std::collections::BTreeSet;

use super::netlink;

/// The largest number of connections closed at once. Counting waits while they are closed, some 20 µs each.
const MOST: usize = 4_096;

/// Closes the TCP connections of these local ports with a reset to both ends, if the kernel supports it. Otherwise they
/// stay open, but none of their packets pass.
pub fn close(ports: &BTreeSet<u16>) {
    match netlink::close_connections(ports, MOST) {
        Ok(0) => {}
        Ok(connections) => {
            tracing::info!(connections, "closed connections of users who have used up their quota or expired");
        }
        Err(error) => tracing::debug!(%error, "connections of ports that are cut stay open without traffic"),
    }
}
