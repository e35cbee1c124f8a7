//! A finished process: how long it took, and its peak memory.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often to read the peak memory until the process has ended. The kernel maintains the peak itself.
const ASK_EVERY: Duration = Duration::from_millis(2);

pub struct Measured {
    pub seconds: f64,
    pub peak_mib: f64,
    pub stdout: String,
}

impl Measured {
    /// Runs `command`, which must succeed.
    pub fn run(command: &mut Command) -> Result<Self> {
        let mut output = tempfile::tempfile()?;
        let begun_at = Instant::now();
        let mut child = command.stdout(Stdio::from(output.try_clone()?)).spawn()?;
        let mut peak_kib = 0;
        let status = loop {
            peak_kib = peak_kib.max(high_water_kib(child.id()).unwrap_or(0));
            match child.try_wait()? {
                Some(status) => break status,
                None => thread::sleep(ASK_EVERY),
            }
        };
        let seconds = begun_at.elapsed().as_secs_f64();
        let mut stdout = String::new();
        output.seek(SeekFrom::Start(0))?;
        output.read_to_string(&mut stdout).context("it printed no text")?;
        if !status.success() {
            bail!("{} failed: {status}\n{stdout}", command.get_program().display());
        }
        Ok(Self { seconds, peak_mib: f64::from(peak_kib) / 1024.0, stdout })
    }
}

/// The peak memory in KiB; `None` for a process that has ended.
fn high_water_kib(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
