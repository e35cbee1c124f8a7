//! Counting by rules, with both variants of the real iptables.

mod adopt;
mod counted;
mod foreign;
mod ports;

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::process::Command;

use flow_agent::backend::{Backend, BackendError, Options, Started, iptables};
use flow_agent::clock;

use crate::common::netns::run;

/// One of the two kernel sides that iptables can speak to, as the one that this host uses.
pub struct Variant {
    pub name: &'static str,
    /// Holds the plain names of the programs.
    programs: tempfile::TempDir,
}

impl Variant {
    /// Both; nothing, and a word on stderr, where iptables is not installed.
    pub fn both() -> Vec<Self> {
        if !crate::common::have_program("xtables-nft-multi", "the tests of iptables") {
            return Vec::new();
        }
        ["nft", "legacy"].map(Self::new).into()
    }

    fn new(name: &'static str) -> Self {
        let programs = tempfile::Builder::new().prefix("flow-agent-iptables").tempdir().unwrap();
        for program in ["iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore"] {
            symlink(format!("/usr/sbin/xtables-{name}-multi"), programs.path().join(program)).unwrap();
        }
        Self { name, programs }
    }

    /// Where to look for the programs.
    pub fn path(&self) -> OsString {
        self.programs.path().into()
    }

    pub fn program(&self, name: &str) -> std::path::PathBuf {
        self.programs.path().join(name)
    }

    pub fn start(&self, options: &Options) -> Result<Started, BackendError> {
        iptables::start_with(options, &clock::now, &self.path())
    }

    /// Starts a successor of the agent whose counters these are, after it was killed.
    pub fn succeed(&self, killed: Box<dyn Backend>, options: &Options) -> Started {
        let known_epochs = [killed.identity().epoch].into();
        drop(killed);
        self.start(&Options { known_epochs, ..options.clone() }).unwrap()
    }

    /// Runs `iptables` or `ip6tables` of this variant in the calling thread's namespace; what it prints.
    pub fn iptables(&self, program: &str, arguments: &str) -> String {
        run(Command::new(format!("{program}-{}", self.name)).args(arguments.split_whitespace()))
    }

    /// Everything that `iptables-save` and `ip6tables-save` of both variants print, without the dates.
    pub fn everything() -> String {
        let mut text = String::new();
        for program in ["iptables-nft-save", "iptables-legacy-save", "ip6tables-nft-save", "ip6tables-legacy-save"] {
            let saved = run(&mut Command::new(program));
            text.extend(saved.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")));
        }
        text + &run(Command::new("nft").args(["list", "ruleset"]))
    }
}
