//! The cost of a packet: datagrams that cross a veth pair and come back, timed on the CPU that does all the work.
//!
//! A veth pair delivers a packet on the CPU that sent it, and the kernel receives it before the sender's system call
//! returns. So a single thread that sends and receives in both directions bears the whole cost of a packet, whichever
//! task the kernel charges. Intervals in which that thread was not alone on its CPU are discarded, and the median of
//! the others is used, so that neither other processes nor interrupts are included.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::net::{AddressFamily, SocketType, bind, connect, ipproto, socket, sockopt};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::common::netns::{HOST4, PEER4, Pair, inside};

/// IP and UDP headers add 28 bytes.
const PAYLOAD: usize = 64;
/// Refills the caches after the previous subject.
const WARM_UP: Duration = Duration::from_millis(15);
const MEASURED: Duration = Duration::from_millis(40);
/// If no CPU is left alone for this long, the machine is not suitable for measurements.
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough to make reading the clock negligible, and short enough that few intervals are disturbed.
const STRETCH: Duration = Duration::from_micros(150);
const BURST: u128 = 16;
const STRETCHES: usize = 7;

/// A client of the peer, and services on ports of the host that answer it.
pub struct Exchange {
    client: UdpSocket,
    services: Vec<(UdpSocket, SocketAddr)>,
    turn: usize,
}

impl Exchange {
    /// Opens a service on each of `ports`, which are visited in this order by a client with its own port `client`.
    ///
    /// # Errors
    /// When a socket cannot be opened.
    pub fn open(pair: &Pair, ports: &[u16], client: u16) -> Result<Self> {
        let address = SocketAddr::from((PEER4, client));
        let client = inside(&pair.peer, || UdpSocket::bind(address))?;
        client.set_read_timeout(Some(PATIENCE))?;
        let service = |port: &u16| {
            let here = SocketAddr::from((HOST4, *port));
            Ok((serve(here, address).with_context(|| format!("failed to serve {here}"))?, here))
        };
        let services = inside(&pair.host, || ports.iter().map(service).collect::<Result<_>>())?;
        Ok(Self { client, services, turn: 0 })
    }

    /// Sends `packets` packets into the host and as many out of it, in bursts, as on a busy host.
    fn burst(&mut self, packets: usize) -> Result<()> {
        let mut payload = [b'x'; PAYLOAD];
        let turns = (self.turn..self.turn + packets).map(|turn| &self.services[turn % self.services.len()]);
        self.turn = (self.turn + packets) % self.services.len();
        for (_, address) in turns.clone() {
            self.client.send_to(&payload, address)?;
        }
        for (service, _) in turns.clone() {
            service.recv(&mut payload)?;
        }
        for (service, _) in turns.clone() {
            service.send(&payload)?;
        }
        for _ in turns {
            self.client.recv(&mut payload)?;
        }
        Ok(())
    }

    /// The nanoseconds of CPU time for one packet in and one out.
    fn cost(&mut self) -> Result<f64> {
        let begun_at = Instant::now();
        let mut warm = 0;
        while begun_at.elapsed() < WARM_UP {
            self.burst(1)?;
            warm += 1;
        }
        // For the slowest subjects an interval has only one packet, because a burst of them would hardly ever be left
        // alone.
        let packets = (STRETCH.as_nanos() * warm / begun_at.elapsed().as_nanos()).clamp(1, BURST) as usize;
        let mut costs = Vec::new();
        let begun_at = Instant::now();
        while begun_at.elapsed() < MEASURED || costs.len() < STRETCHES {
            let (switches, stretch) = (switches()?, Instant::now());
            self.burst(packets)?;
            let nanos = stretch.elapsed().as_nanos();
            if self::switches()? == switches {
                costs.push(nanos as f64 / packets as f64);
            }
            if begun_at.elapsed() > PATIENCE {
                bail!("too busy: this CPU was never left alone for {} us", nanos / 1_000);
            }
        }
        let middle = costs.len() / 2;
        Ok(*costs.select_nth_unstable_by(middle, f64::total_cmp).1)
    }
}

/// Measures each of `exchanges` on its own CPU, all at the same time. Returns the mean cost of one packet in and one
/// out, in nanoseconds.
///
/// # Errors
/// When there are not enough CPUs, or when they are never left alone.
pub fn measure(exchanges: &mut [Exchange]) -> Result<f64> {
    let cpus = cpus()?;
    if cpus.len() < exchanges.len() {
        bail!("{} CPUs are needed at once, and there are {}", exchanges.len(), cpus.len());
    }
    let number = exchanges.len() as f64;
    let costs = thread::scope(|scope| {
        let pinned = |(exchange, cpu): (&'_ mut Exchange, usize)| {
            let mut only = CpuSet::new();
            only.set(cpu);
            sched_setaffinity(None, &only)?;
            exchange.cost()
        };
        let threads: Vec<_> = exchanges.iter_mut().zip(cpus).map(|one| scope.spawn(move || pinned(one))).collect();
        let costs = threads.into_iter().map(|thread| thread.join().expect("measuring does not panic"));
        costs.collect::<Result<Vec<f64>>>()
    })?;
    Ok(costs.iter().sum::<f64>() / number)
}

/// The CPUs that this process may use.
///
/// # Errors
/// When the kernel cannot be asked.
pub fn cpus() -> Result<Vec<usize>> {
    let allowed = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect())
}

/// A socket at `here` that receives only from `client`, so that several clients can each have a service on the same
/// port.
fn serve(here: SocketAddr, client: SocketAddr) -> Result<UdpSocket> {
    let service = socket(AddressFamily::INET, SocketType::DGRAM, Some(ipproto::UDP))?;
    sockopt::set_socket_reuseport(&service, true)?;
    bind(&service, &here)?;
    connect(&service, &client)?;
    let service = UdpSocket::from(service);
    service.set_read_timeout(Some(PATIENCE))?;
    Ok(service)
}

/// How often this thread has been switched away from its CPU.
fn switches() -> Result<i64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel writes one `rusage` into a place of that size, and all zeros are a valid `rusage` as well.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        usage.assume_init()
    };
    Ok(usage.ru_nivcsw + usage.ru_nvcsw)
}
