//! Both variants of the real iptables, each installed as the one that the host uses, with and without ipsets.

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::netns::run;

/// One of the two kernel interfaces that iptables can use, installed as the one that this host uses.
pub struct Variant {
    pub name: &'static str,
    /// Whether the host has ipsets.
    pub has_ipset: bool,
    /// The directory with the programs under their usual names.
    programs: tempfile::TempDir,
}

impl Variant {
    /// Both variants, with and without ipsets. If they are not installed, prints that on stderr and returns none.
    pub fn all() -> Vec<Self> {
        let mut all = Self::both(false);
        if super::have_program("ipset", "the tests of ipsets") {
            all.extend(Self::both(true));
        }
        all
    }

    /// All of them, and nftables with a table of its own.
    pub fn every() -> Vec<Self> {
        let mut every = Self::all();
        every.extend(Self::native());
        every
    }

    /// A host that has `nft` and no iptables. If it is not installed, prints that on stderr and returns none.
    pub fn native() -> Option<Self> {
        if !super::have_program("nft", "the tests of nftables") {
            return None;
        }
        let programs = tempfile::Builder::new().prefix("flow-agent-nftables").tempdir().unwrap();
        symlink("/usr/sbin/nft", programs.path().join("nft")).unwrap();
        Some(Self { name: "native", has_ipset: false, programs })
    }

    /// Whether it counts with a table of nftables rather than by iptables.
    pub fn is_native(&self) -> bool {
        self.name == "native"
    }

    /// Both variants. If iptables is not installed, prints that on stderr and returns none.
    pub fn both(has_ipset: bool) -> Vec<Self> {
        if !super::have_program("xtables-nft-multi", "the tests of iptables") {
            return Vec::new();
        }
        ["nft", "legacy"].map(|name| Self::new(name, has_ipset)).into()
    }

    fn new(name: &'static str, has_ipset: bool) -> Self {
        let programs = tempfile::Builder::new().prefix("flow-agent-iptables").tempdir().unwrap();
        let variant = Self { name, has_ipset, programs };
        if has_ipset {
            symlink("/usr/sbin/ipset", variant.program("ipset")).unwrap();
        } else {
            // An agent also looks in the system's directories. This program, which it finds first, fails as on a kernel
            // without ipsets.
            variant.write_script("ipset", "#!/bin/sh\necho 'Kernel support protocol version missing' >&2; exit 1");
        }
        for family in ["iptables", "ip6tables"] {
            for job in ["save", "restore"] {
                variant.link(&format!("{family}-{job}"), name);
                for other in ["nft", "legacy"] {
                    variant.link(&format!("{family}-{other}-{job}"), other);
                }
            }
        }
        variant
    }

    fn link(&self, name: &str, variant: &str) {
        symlink(format!("/usr/sbin/xtables-{variant}-multi"), self.program(name)).unwrap();
    }

    /// The directory in which to look for the programs.
    pub fn path(&self) -> OsString {
        self.programs.path().into()
    }

    pub fn program(&self, name: &str) -> std::path::PathBuf {
        self.programs.path().join(name)
    }

    /// Removes a program.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.program(name)).unwrap();
    }

    /// Makes a program fail whenever its input contains `words`.
    pub fn refuse(&self, name: &str, words: &str) {
        let (family, job) = name.split_once('-').unwrap();
        self.refuse_one(name, words);
        self.refuse_one(&format!("{family}-{}-{job}", self.name), words);
    }

    /// Makes a program start a second late, as on an overloaded host.
    pub fn delay(&self, name: &str) {
        let (family, job) = name.split_once('-').unwrap();
        for name in [name.to_owned(), format!("{family}-{}-{job}", self.name)] {
            let real = std::fs::read_link(self.program(&name)).unwrap();
            self.remove(&name);
            self.write_script(&name, &format!("#!/bin/bash\nsleep 1\nexec -a {name} {} \"$@\"\n", real.display()));
        }
    }

    /// Makes a program kill its caller as soon as it has done its work.
    pub fn kill_the_caller_of(&self, name: &str) {
        if self.is_native() {
            self.remove(name);
            // A program that only lists does no work.
            let script = "#!/bin/bash\n/usr/sbin/nft \"$@\" && { [ \"$2\" != -f ] || kill -9 $PPID; }\n";
            return self.write_script(name, script);
        }
        let (family, job) = name.split_once('-').unwrap();
        for name in [name.to_owned(), format!("{family}-{}-{job}", self.name)] {
            let real = std::fs::read_link(self.program(&name)).unwrap();
            self.remove(&name);
            let run = format!("(exec -a {name} {} \"$@\")", real.display());
            self.write_script(&name, &format!("#!/bin/bash\n{run}\nkill -9 $PPID\n"));
        }
    }

    /// Makes a program work normally again.
    pub fn allow(&self, name: &str) {
        if self.is_native() {
            self.remove(name);
            return symlink("/usr/sbin/nft", self.program(name)).unwrap();
        }
        let (family, job) = name.split_once('-').unwrap();
        for name in [name.to_owned(), format!("{family}-{}-{job}", self.name)] {
            self.remove(&name);
            self.link(&name, self.name);
        }
    }

    fn refuse_one(&self, name: &str, words: &str) {
        let real = std::fs::read_link(self.program(name)).unwrap();
        self.remove(name);
        let script = format!(
            "#!/bin/bash\ninput=$(cat)\nif grep -q -e '{words}' <<< \"$input\"; then echo 'no such match' >&2; exit 2; fi\n\
             exec -a {name} {} \"$@\" <<< \"$input\"\n",
            real.display()
        );
        self.write_script(name, &script);
    }

    fn write_script(&self, name: &str, script: &str) {
        std::fs::write(self.program(name), script).unwrap();
        std::fs::set_permissions(self.program(name), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Runs `iptables` or `ip6tables` of this variant in the calling thread's namespace, and returns what it prints.
    pub fn iptables(&self, program: &str, arguments: &str) -> String {
        run(Command::new(format!("{program}-{}", self.name)).args(arguments.split_whitespace()))
    }

    /// Runs `iptables-restore` or `ip6tables-restore` of this variant in the calling thread's namespace.
    pub fn restore(&self, program: &str, arguments: &[&str], rules: &str) {
        let mut restore = Command::new(self.program(program));
        let mut child = restore.args(arguments).stdin(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), rules.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{program} failed");
    }

    /// Like `restore`, but it may be refused because the rules refer to an ipset that no longer exists.
    pub fn try_restore(&self, program: &str, arguments: &[&str], rules: &str) {
        let mut restore = Command::new(self.program(program));
        restore.args(arguments).stderr(std::process::Stdio::null());
        let mut child = restore.stdin(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), rules.as_bytes()).unwrap();
        child.wait().unwrap();
    }

    /// Everything that `iptables-save` and `ip6tables-save` of both variants print, without the dates, and the names of
    /// all ipsets.
    pub fn everything() -> String {
        let ipsets = Command::new("ipset").args(["list", "-name"]).output();
        let mut text = ipsets.map_or_else(|_| String::new(), |ipsets| String::from_utf8(ipsets.stdout).unwrap());
        for program in ["iptables-nft-save", "iptables-legacy-save", "ip6tables-nft-save", "ip6tables-legacy-save"] {
            let saved = run(&mut Command::new(program));
            let lines = saved.lines().filter(|line| !line.starts_with('#'));
            // Without the counters of built-in chains, because the kernel may send an ICMPv6 packet at any time.
            text.extend(lines.map(|line| format!("{}\n", line.split(" [").next().unwrap_or(line))));
        }
        text + &run(Command::new("nft").args(["list", "ruleset"]))
    }
}
