//! Section kernel: whether eBPF can count here, and with which hooks. Facts are read first and then judged.
#![expect(clippy::disallowed_methods, reason = "edge: kernel")]

use std::path::Path;

use super::finding::{Finding, Section};
use crate::backend::BackendChoice;
use crate::backend::host::{self, series};
use crate::backend::iptables::IptablesError;
use crate::backend::iptables::host::kept;
use crate::backend::nftables::{self, NftablesError};
use crate::backend::privileges::{FOR_EBPF, NET_ADMIN, Privileges, SYS_ADMIN};
use crate::backend::{BackendError, ebpf};
use crate::config::CountConfig;
use crate::errors::chain;
use crate::ledger::record::CountMode;

/// The first kernel series that is supported, with clsact, and the first with TCX.
const OLDEST: (u32, u32) = (5, 10);
const TCX: (u32, u32) = (6, 6);

/// `BPF_FS_MAGIC` of include/uapi/linux/magic.h.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// What the kernel says about itself and this process.
#[derive(Clone, Debug)]
struct Facts {
    release: String,
    privileges: Privileges,
    is_bpffs: bool,
    realtime: bool,
    jit: bool,
}

/// The findings about the kernel, for counting as `count` configures it.
pub(super) fn findings(count: &CountConfig, bpffs: &Path) -> Vec<Finding> {
    let facts = Facts::read(bpffs);
    let mut findings = judge(&facts, count.backend, bpffs);
    let needs_ip = match count.backend {
        BackendChoice::Auto | BackendChoice::Ebpf => None,
        BackendChoice::Nftables => Some(BackendError::from(NftablesError::WireBytes)),
        BackendChoice::Iptables => Some(BackendError::from(IptablesError::WireBytes)),
    };
    if let Some(error) = needs_ip.filter(|_| count.count == CountMode::Wire) {
        findings.push(Finding::error(Section::Kernel, &error).help(error.help()));
    }
    if count.backend == BackendChoice::Nftables {
        findings.push(match nftables::tried() {
            Ok(version) => Finding::ok(Section::Kernel, format!("{version}: counting with sets of nftables")),
            Err(error) => Finding::error(Section::Kernel, &error).help(error.help()),
        });
    }
    findings.extend(kept::unloadable().into_iter().map(|file| {
        let (what, help) = kept::warning(file);
        Finding::warn(Section::Kernel, what).help(help.to_owned())
    }));
    // If privileges are missing, a finding has said so already.
    if !count.backend.is_by_rules() && facts.privileges.missing(FOR_EBPF).is_empty() {
        findings.push(tried(count.backend, ebpf::probe(count.count, count.max_ports)));
    }
    findings
}

/// The finding about an attempt to load the programs without attaching them.
fn tried(backend: BackendChoice, outcome: Result<(), BackendError>) -> Finding {
    match outcome {
        Ok(()) => Finding::ok(Section::Kernel, "the eBPF programs load"),
        Err(error) if backend == BackendChoice::Auto => {
            let what = format!("{}; `auto` falls back to nftables or iptables", chain(&error));
            Finding::warn(Section::Kernel, what).help(error.help())
        }
        Err(error) => Finding::error(Section::Kernel, &error).help(error.help()),
    }
}

impl Facts {
    fn read(bpffs: &Path) -> Self {
        let content = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let magic = rustix::fs::statfs(bpffs).map(|found| u64::try_from(found.f_type).unwrap_or(0));
        Self {
            release: rustix::system::uname().release().to_string_lossy().into_owned(),
            privileges: Privileges::of_this_thread(),
            is_bpffs: magic == Ok(BPF_FS_MAGIC),
            realtime: host::is_realtime(),
            jit: content("/proc/sys/net/core/bpf_jit_enable").trim() != "0",
        }
    }
}

fn judge(facts: &Facts, backend: BackendChoice, bpffs: &Path) -> Vec<Finding> {
    let mut findings = vec![capabilities(facts, backend)];
    if !backend.is_by_rules() {
        findings.insert(0, release(facts, backend));
        findings.push(pins(facts, bpffs));
        if facts.realtime {
            let what = "a realtime kernel: counters use atomic additions, which cost a few ns per packet";
            findings.push(Finding::ok(Section::Kernel, what));
        }
        if !facts.jit {
            let finding = Finding::warn(Section::Kernel, "eBPF programs are interpreted, which makes them slow");
            findings.push(finding.help("sysctl -w net.core.bpf_jit_enable=1".to_owned()));
        }
    }
    findings
}

fn release(facts: &Facts, backend: BackendChoice) -> Finding {
    let found = &facts.release;
    match series(found) {
        Some(series) if series >= TCX => Finding::ok(Section::Kernel, format!("{found}: eBPF on TCX")),
        Some(series) if series >= OLDEST => Finding::ok(Section::Kernel, format!("{found}: eBPF on clsact")),
        Some(_) | None => {
            let what = format!("{found}: eBPF is supported from kernel {}.{}", OLDEST.0, OLDEST.1);
            let finding = match backend {
                BackendChoice::Ebpf => Finding::fail(Section::Kernel, what),
                BackendChoice::Auto | BackendChoice::Nftables | BackendChoice::Iptables => {
                    Finding::warn(Section::Kernel, what)
                }
            };
            finding.help("use --backend nftables or iptables, or a newer kernel".to_owned())
        }
    }
}

fn capabilities(facts: &Facts, backend: BackendChoice) -> Finding {
    let needed = if backend.is_by_rules() { &[NET_ADMIN][..] } else { &FOR_EBPF[..] };
    let missing = facts.privileges.missing(needed.iter().copied());
    if missing.is_empty() {
        return Finding::ok(Section::Kernel, "all capabilities that counting needs");
    }
    let names = missing.join(", ");
    let where_missing = if facts.privileges.of_the_machine {
        ""
    } else {
        " (this is a user namespace, but those of the host are needed)"
    };
    let what = format!("missing: {names}{where_missing}");
    if backend == BackendChoice::Auto && facts.privileges.has(NET_ADMIN) {
        return Finding::warn(Section::Kernel, format!("{what}; `auto` falls back to nftables or iptables"))
            .help("to count with eBPF, run as root or grant them".to_owned());
    }
    Finding::fail(Section::Kernel, what).help("run as root, or grant them".to_owned())
}

fn pins(facts: &Facts, bpffs: &Path) -> Finding {
    let place = bpffs.display();
    if facts.is_bpffs {
        return Finding::ok(Section::Kernel, format!("bpffs is mounted at `{place}`: counters outlive the agent"));
    }
    let what = format!("`{place}` is not a bpffs mount");
    match facts.privileges.has(SYS_ADMIN) {
        true => Finding::ok(Section::Kernel, format!("{what}: `run` mounts it")),
        false => Finding::warn(Section::Kernel, format!("{what}: counters are lost when the agent stops"))
            .help(format!("mount -t bpf -o mode=0700 bpf {place}")),
    }
}

#[cfg(test)]
mod tests;
