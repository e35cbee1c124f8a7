//! Compares the rates that a running agent answers with those of the device.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{now, port};
use crate::agent::Node;
use crate::common::netns::{HOST4, Pair, WAN, inside};

/// The IP bytes that `WAN` of the host received.
fn taken_in(pair: &Pair) -> u64 {
    let text = inside(&pair.host, || std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
    let numbers = text.lines().find_map(|line| line.trim().strip_prefix("wan:")).unwrap();
    let numbers: Vec<u64> = numbers.split_whitespace().map(|number| number.parse().unwrap()).collect();
    numbers[0] - 14 * numbers[1]
}

/// A little more than 1 Gbit/s, in bytes a second.
const FLOOD: u64 = 140_000_000;

/// Sends to port 443 of the host over TCP at the rate of [`FLOOD`], in buffers as large as the kernel accepts.
fn flood(pair: &Pair, stop: &AtomicBool) {
    let listener = inside(&pair.host, || TcpListener::bind((HOST4, 443)).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (mut taker, _) = listener.accept().unwrap();
            let mut buffer = vec![0; 1 << 20];
            while taker.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {}
        });
        let mut sender = inside(&pair.peer, || TcpStream::connect((HOST4, 443)).unwrap());
        let (begun, mut sent, piece) = (Instant::now(), 0_u64, vec![b'x'; 256 << 10]);
        while !stop.load(Ordering::Relaxed) {
            if u128::from(sent) * 1_000 < u128::from(FLOOD) * begun.elapsed().as_millis() {
                sender.write_all(&piece).unwrap();
                sent += piece.len() as u64;
            } else {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
}

#[test]
fn the_rate_of_a_flood_is_that_of_the_device() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    node.start(&["--interface", WAN]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| flood(&pair, &stop));
        let mut seen: Vec<(Instant, u64)> = Vec::new();
        let mut last = None;
        // Ask once a second, as `top` does.
        for _ in 0..14 {
            seen.push((Instant::now(), taken_in(&pair)));
            last = port(&now(&node), 443).rate.in_10s.map(|rate| (rate, seen.len() - 1));
            std::thread::sleep(Duration::from_secs(1));
        }
        // Then compare `top` itself, over ten seconds.
        let before = (Instant::now(), taken_in(&pair));
        let top = node.command(&["top", "--by", "port", "--every", "10s", "--count", "2"]);
        let after = (Instant::now(), taken_in(&pair));
        stop.store(true, Ordering::Relaxed);
        let (rate, index) = last.expect("after ten seconds there is a rate over ten seconds");
        let (at, bytes) = seen[index];
        let age = |seen: &(Instant, u64)| (at - seen.0).as_secs_f64();
        let then = seen.iter().min_by(|a, b| (age(a) - 10.0).abs().total_cmp(&(age(b) - 10.0).abs())).unwrap();
        let expected = (bytes - then.1) as f64 / age(then);
        let off = (rate as f64 / expected - 1.0) * 100.0;
        println!("rate: {:.1} Mbit/s, by the device {:.1} Mbit/s, {off:+.3} %", rate as f64 * 8e-6, expected * 8e-6);
        let by_device = (after.1 - before.1) as f64 / (after.0 - before.0).as_secs_f64();
        println!("top ran while the device took in {:.1} Mbit/s", by_device * 8e-6);
        assert!(off.abs() < 2.0, "{rate} B/s instead of {expected} B/s");
        let shown = String::from_utf8(top.stdout).unwrap();
        let shown = shown.lines().nth(1).and_then(|line| line.split("  in ").nth(1)?.split("  ").next()).map(bits);
        let off = (shown.expect("top shows a rate") / (by_device * 8.0) - 1.0) * 100.0;
        println!("top is {off:+.3} % off");
        assert!(off.abs() < 2.0, "{shown:?} bit/s instead of {} bit/s", by_device * 8.0);
    });
    node.stop();
}

/// A rate such as `1.12 Gbit/s`, in bits a second.
fn bits(text: &str) -> f64 {
    let (number, unit) = text.split_once(' ').unwrap();
    let factor = match unit {
        "Gbit/s" => 1e9,
        "Mbit/s" => 1e6,
        _ => panic!("the flood is slower than it should be: {text}"),
    };
    number.parse::<f64>().unwrap() * factor
}
