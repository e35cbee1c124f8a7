//! Waking up when devices or routes change.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{RecvFlags, SocketFlags, recv};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use crate::backend::BackendError;

// include/uapi/linux/rtnetlink.h
const RTMGRP_LINK: u32 = 0x1;
const RTMGRP_TC: u32 = 0x8;
const RTMGRP_IPV4_ROUTE: u32 = 0x40;
const RTMGRP_IPV6_ROUTE: u32 = 0x400;

/// Tells when it is time for [`inspect`](crate::backend::Backend::inspect): devices that come, go, change or are renamed,
/// routes, qdiscs and filters, in the network namespace of the thread that made it.
pub struct InterfaceEvents {
    socket: AsyncFd<OwnedFd>,
    told_at: Option<Instant>,
}

/// One change causes many messages, and a router's table changes all the time: it is told so often at most.
const PAUSE: Duration = Duration::from_millis(250);

impl InterfaceEvents {
    /// Listens from now on; within a tokio runtime.
    ///
    /// # Errors
    /// When the kernel gives no such socket.
    pub fn listen() -> Result<Self, BackendError> {
        let groups = RTMGRP_LINK | RTMGRP_TC | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
        super::open(None, groups, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
            .and_then(|socket| {
                // SAFETY: the socket is owned by what is registered, so its number stays its own until that is dropped.
                unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }.map_err(io::Error::from)
            })
            .map(|socket| Self { socket, told_at: None })
            .map_err(|source| BackendError::Netlink { action: "listen for changed interfaces", source })
    }

    /// Waits until something changed since the last call. What changed is not told: look. Cancel-safe.
    ///
    /// # Errors
    /// When the socket breaks.
    pub async fn changed(&mut self) -> Result<(), BackendError> {
        self.wait().await.map_err(|source| BackendError::Netlink { action: "hear of changed interfaces", source })
    }

    async fn wait(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.socket.readable().await?;
            if let Some(told_at) = self.told_at {
                sleep_until(told_at + PAUSE).await;
            }
            if drain(ready.get_inner())? {
                self.told_at = Some(Instant::now());
                return Ok(());
            }
            ready.clear_ready();
        }
    }
}

/// Reads all that waits; whether there was anything.
fn drain(socket: &OwnedFd) -> io::Result<bool> {
    let mut any = false;
    // Only that there is a message matters, so one byte of each is enough.
    let mut byte = [0_u8; 1];
    loop {
        match recv(socket, byte.as_mut_slice(), RecvFlags::empty()) {
            Ok(_) => any = true,
            Err(rustix::io::Errno::AGAIN) => return Ok(any),
            // More changed than the socket could hold: a change all the same.
            Err(rustix::io::Errno::NOBUFS) => any = true,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
