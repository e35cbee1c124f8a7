//! Notifications about changed devices and routes.

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

/// Reports when [`inspect`](crate::backend::Backend::inspect) should be called, because devices, routes, qdiscs or
/// filters have changed in the network namespace of the thread that created it.
pub struct InterfaceEvents {
    socket: AsyncFd<OwnedFd>,
    told_at: Option<Instant>,
}

/// The shortest time between two reports. One change causes many messages, and a router's table changes all the time.
const PAUSE: Duration = Duration::from_millis(250);

impl InterfaceEvents {
    /// Starts listening. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the kernel refuses such a socket.
    pub fn listen() -> Result<Self, BackendError> {
        let groups = RTMGRP_LINK | RTMGRP_TC | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
        super::open(None, groups, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
            .and_then(|socket| {
                // SAFETY: the registration owns the socket, so the descriptor stays valid until the registration is
                // dropped.
                unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }.map_err(io::Error::from)
            })
            .map(|socket| Self { socket, told_at: None })
            .map_err(|source| BackendError::Netlink { action: "listen for changed interfaces", source })
    }

    /// Waits until something has changed since the last call. The caller has to find out what. Cancel-safe.
    ///
    /// # Errors
    /// When reading the socket fails.
    pub async fn changed(&mut self) -> Result<(), BackendError> {
        self.wait().await.map_err(|source| BackendError::Netlink { action: "receive interface changes", source })
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

/// Reads all pending messages. Returns whether there were any.
fn drain(socket: &OwnedFd) -> io::Result<bool> {
    let mut any = false;
    // Only the existence of a message matters, so one byte of each is enough.
    let mut byte = [0_u8; 1];
    loop {
        match recv(socket, byte.as_mut_slice(), RecvFlags::empty()) {
            Ok(_) => any = true,
            Err(rustix::io::Errno::AGAIN) => return Ok(any),
            // There were more messages than the socket could hold, so something has changed.
            Err(rustix::io::Errno::NOBUFS) => any = true,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
