//! `quota`: what the other ports notice while one port is flooded and has no budget, a budget far from its limit, or one
//! that is used up.
//!
//! The flood runs on one CPU and the other port is measured on another, as two queues of a network card would be. All
//! three hosts are flooded alike and measured in turn.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use flow_agent::ledger::limits::budget::{Limit, MonthlyQuota, UserBudget};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::common::netns::{HOST4, PEER4, Pair, inside};
use crate::exchange::cpus;
use crate::figures::{Bound, Column, Figures, Report};
use crate::rounds::{Series, Subject, interleave};
use crate::stand::Stand;

const FLOODED: u16 = 8388;
const OTHER: u16 = 443;
const ROUNDS: usize = 25;
const ROUND_TRIPS: usize = 20_000;
/// How long the throughput is measured in each round.
const TRANSFER: Duration = Duration::from_millis(150);
const PATIENCE: Duration = Duration::from_secs(5);

pub fn run(report: &mut Report) -> Result<()> {
    match cpus()?[..] {
        [quiet, .., busy] => measure(report, quiet, busy),
        _ => bail!("two CPUs are needed: one for the flood, and one to measure"),
    }
}

fn measure(report: &mut Report, quiet: usize, busy: usize) -> Result<()> {
    let limits =
        [("no budgets", None), ("a budget far from its limit", Some(1 << 60)), ("a budget that is used up", Some(1))];
    let hosts: Vec<(&str, RefCell<Host>)> = limits
        .into_iter()
        .map(|(name, limit)| Ok((name, RefCell::new(Host::make(limit, quiet, busy).context(name)?))))
        .collect::<Result<_>>()?;
    let by_host = |rounds, measure: fn(&mut Host) -> Result<f64>| {
        let subjects = hosts.iter().map(|(name, host)| Subject::new(*name, move || measure(&mut host.borrow_mut())));
        interleave(rounds, &mut subjects.collect::<Vec<_>>())
    };
    let median = by_host(ROUNDS, |host| host.round_trip(0.5))?;
    let slowest = by_host(ROUNDS, |host| host.round_trip(0.99))?;
    let rate = by_host(ROUNDS, Host::transfer)?;
    let column = |name, unit| Column { name, unit };
    let mut table = Figures::new(
        "quota",
        "another port, while one port is flooded with UDP by another CPU",
        &[
            column("round trip, median", "ns"),
            column("ratio", ""),
            column("round trip, 99th percentile", "ns"),
            column("ratio", ""),
            column("TCP", "Gbit/s"),
            column("ratio", ""),
        ],
    );
    for (at, (name, _)) in hosts.iter().enumerate() {
        let ratio = |all: &[Series]| (at > 0).then(|| all[at].over(&all[0]).spread());
        table.row(
            *name,
            [
                Some(median[at].spread()),
                ratio(&median),
                Some(slowest[at].spread()),
                ratio(&slowest),
                Some(rate[at].spread()),
                ratio(&rate),
            ],
        );
    }
    report.add(&table);
    for (at, (name, _)) in hosts.iter().enumerate().skip(1) {
        let goal = |what: &str| format!("quota: {what} of another port, {name}");
        report.goal(goal("round trip"), Bound::AtMost(1.05), median[at].over(&median[0]).spread().median);
        report.goal(goal("throughput"), Bound::AtLeast(0.95), rate[at].over(&rate[0]).spread().median);
    }
    hosts.into_iter().try_for_each(|(name, host)| host.into_inner().end().context(name))
}

/// A host with two watched ports, of which one is flooded.
struct Host {
    stand: Stand,
    limit: Option<u64>,
    flood: Flood,
    /// The CPU on which the other port is measured.
    cpu: usize,
    client: UdpSocket,
    service: UdpSocket,
    streams: (TcpStream, TcpStream),
}

impl Host {
    fn make(limit: Option<u64>, quiet: usize, busy: usize) -> Result<Self> {
        let mut stand = Stand::with_ebpf(flow_agent::backend::AttachPlace::Tcx, &[OTHER, FLOODED])?;
        stand.pair().know_each_other();
        if let Some(limit) = limit {
            let quota = Some(MonthlyQuota { limit: Limit::Both(limit), next: None });
            let ports = BTreeSet::from([FLOODED]);
            stand.enforce(&UserBudget { user: "acct-8388".into(), ports, quota, expires_at: None })?;
        }
        let pair = stand.pair();
        let at = |port| SocketAddr::from((HOST4, port));
        let client = inside(&pair.peer, || UdpSocket::bind((PEER4, 0)))?;
        let service = inside(&pair.host, || UdpSocket::bind(at(OTHER)))?;
        client.connect(at(OTHER))?;
        service.connect(client.local_addr()?)?;
        [&client, &service].into_iter().try_for_each(|socket| socket.set_read_timeout(Some(PATIENCE)))?;
        let listener = inside(&pair.host, || TcpListener::bind(at(OTHER)))?;
        let sender = inside(&pair.peer, || TcpStream::connect_timeout(&at(OTHER), PATIENCE))?;
        let streams = (sender, listener.accept()?.0);
        let flood = Flood::prepare(pair, busy)?;
        Ok(Self { stand, limit, flood, cpu: quiet, client, service, streams })
    }

    /// The nanoseconds that this share of the round trips do not exceed: a datagram in and its answer out.
    fn round_trip(&mut self, share: f64) -> Result<f64> {
        let (client, service) = (&self.client, &self.service);
        let mut nanos = self.flood.during(self.cpu, || {
            let mut payload = [b'x'; 64];
            let mut trip = || -> Result<f64> {
                let begun_at = Instant::now();
                client.send(&payload)?;
                service.recv(&mut payload)?;
                service.send(&payload)?;
                client.recv(&mut payload)?;
                Ok(begun_at.elapsed().as_nanos() as f64)
            };
            (0..ROUND_TRIPS).map(|_| trip()).collect::<Result<Vec<f64>>>()
        })?;
        let at = (share * (nanos.len() - 1) as f64) as usize;
        Ok(*nanos.select_nth_unstable_by(at, f64::total_cmp).1)
    }

    /// The Gbit/s of one connection.
    fn transfer(&mut self) -> Result<f64> {
        let (sender, receiver) = (&mut self.streams.0, &mut self.streams.1);
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        self.flood.during(self.cpu, || {
            let mut buffer = vec![b'x'; 256 * 1024];
            let (mut received, begun_at) = (0, Instant::now());
            // One thread does both, so that the figure does not depend on how two threads are scheduled.
            while begun_at.elapsed() < TRANSFER {
                ready(sender.write(&buffer))?;
                while let Some(read @ 1..) = ready(receiver.read(&mut buffer))? {
                    received += read;
                }
            }
            Ok(8e-9 * received as f64 / begun_at.elapsed().as_secs_f64())
        })
    }

    /// Ends the flood, and fails if it was not treated as the budget requires.
    fn end(mut self) -> Result<()> {
        let sent = self.flood.end();
        let reading = self.stand.read()?;
        let passed = reading.ports[&FLOODED].udp_in_packets;
        let refused: u64 = reading.blocked.iter().map(|(_, flow)| flow.in_packets).sum();
        ensure!(sent > 1_000, "the flood has sent only {sent} packets");
        let (expected_passed, expected_refused) = if self.limit == Some(1) { (0, sent) } else { (sent, 0) };
        ensure!(
            (passed, refused) == (expected_passed, expected_refused),
            "of {sent} packets of the flood {passed} passed and {refused} were refused"
        );
        Ok(())
    }
}

/// The result of a call on a socket that does not block; `None` if it would have.
fn ready(done: std::io::Result<usize>) -> Result<Option<usize>> {
    match done {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A thread that sends datagrams to [`FLOODED`] while it is asked to.
struct Flood {
    flows: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
    /// Nobody reads from it, but without it the host would answer each datagram with an error.
    _service: UdpSocket,
}

impl Flood {
    fn prepare(pair: &Pair, cpu: usize) -> Result<Self> {
        let to = SocketAddr::from((HOST4, FLOODED));
        let service = inside(&pair.host, || UdpSocket::bind(to))?;
        let client = inside(&pair.peer, || UdpSocket::bind((PEER4, 0)))?;
        let [flows, ends] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let sent = Arc::new(AtomicU64::new(0));
        let shared = (Arc::clone(&flows), Arc::clone(&ends), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            let (flows, ends, sent) = shared;
            let _ = pin(cpu);
            while !ends.load(Ordering::Relaxed) {
                if !flows.load(Ordering::Relaxed) {
                    thread::park_timeout(Duration::from_millis(10));
                } else if client.send_to(&[b'x'; 1_200], to).is_ok() {
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Self { flows, ends, sent, thread: Some(thread), _service: service })
    }

    /// The result of `work`, which is done on `cpu` during the flood.
    fn during<T: Send>(&self, cpu: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.flows.store(true, Ordering::Relaxed);
        self.thread.as_ref().context("the flood has ended")?.thread().unpark();
        let pinned = || {
            pin(cpu)?;
            thread::sleep(Duration::from_millis(5));
            work()
        };
        let result = thread::scope(|scope| scope.spawn(pinned).join().expect("measuring does not panic"));
        self.flows.store(false, Ordering::Relaxed);
        result
    }

    /// Returns how many datagrams were sent in all.
    fn end(&mut self) -> u64 {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.end();
    }
}

/// Keeps this thread on one CPU.
fn pin(cpu: usize) -> Result<()> {
    let mut only = CpuSet::new();
    only.set(cpu);
    Ok(sched_setaffinity(None, &only)?)
}
