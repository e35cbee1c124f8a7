//! The contents of a guest: the tests, the programs that they call, the kernel's modules, and the script that is its
//! `init`.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};

use super::image::Image;
use super::kernel::Kernel;
use super::suite::{Suite, TestPlan};

/// Programs of the host that `init.sh` and the tests call.
const PROGRAMS: &[&str] = &[
    "/bin/bash",
    "/bin/cat",
    "/bin/chmod",
    "/bin/dmesg",
    "/bin/grep",
    "/bin/ln",
    "/bin/mount",
    "/bin/sed",
    "/bin/sleep",
    "/bin/umount",
    "/bin/uname",
    "/sbin/ip",
    "/sbin/modprobe",
    "/sbin/sysctl",
    "/sbin/tc",
    "/usr/bin/cut",
    "/usr/bin/env",
    "/usr/bin/jq",
    "/usr/bin/nsenter",
    "/usr/bin/prlimit",
    "/usr/bin/setpriv",
    "/usr/bin/sha256sum",
    "/usr/bin/ss",
    "/usr/bin/strace",
    "/usr/bin/tail",
    "/usr/bin/unshare",
    "/usr/bin/wc",
    "/usr/bin/wg",
    "/usr/sbin/bpftool",
    "/usr/sbin/ip6tables",
    "/usr/sbin/ip6tables-legacy",
    "/usr/sbin/ip6tables-legacy-restore",
    "/usr/sbin/ip6tables-legacy-save",
    "/usr/sbin/ip6tables-nft",
    "/usr/sbin/ip6tables-nft-restore",
    "/usr/sbin/ip6tables-nft-save",
    "/usr/sbin/ip6tables-restore",
    "/usr/sbin/ip6tables-save",
    "/usr/sbin/ipset",
    "/usr/sbin/iptables",
    "/usr/sbin/iptables-legacy",
    "/usr/sbin/iptables-legacy-restore",
    "/usr/sbin/iptables-legacy-save",
    "/usr/sbin/iptables-nft",
    "/usr/sbin/iptables-nft-restore",
    "/usr/sbin/iptables-nft-save",
    "/usr/sbin/iptables-restore",
    "/usr/sbin/iptables-save",
    "/usr/sbin/nft",
];

/// Directories of plugins that the programs load by name.
const PLUGINS: &[&str] = &["/usr/lib/x86_64-linux-gnu/xtables"];

/// The directories with the modules for the tests' networks and packet filters, and with their dependencies.
const MODULES: &[&str] = &["kernel/arch", "kernel/crypto", "kernel/drivers/net", "kernel/lib", "kernel/net"];

/// Writes the initial root file system to `to`, for a guest that boots `kernel` and runs the tests of `plan`.
///
/// # Errors
/// When a program is missing, or a file cannot be read or written.
pub fn write(kernel: &Kernel, suite: &Suite, plan: &TestPlan, to: &Path) -> Result<()> {
    let mut image = Image::merged_usr();
    for directory in ["/dev", "/proc", "/root", "/run", "/sys", "/tmp", "/var/lib", "/etc"] {
        image.directory(Path::new(directory));
    }
    image.text(Path::new("/init"), include_str!("init.sh"));
    // The shell for `init`. With busybox as the shell, its own `ip` and `tc` would be used instead of the real ones.
    image.program(Path::new("/bin/dash"))?;
    image.link(Path::new("/usr/bin/sh"), Path::new("dash"));
    for program in PROGRAMS {
        image.program(Path::new(program))?;
    }
    for plugins in PLUGINS {
        image.copy_tree(Path::new(plugins), Path::new(plugins))?;
    }
    for (program, place) in [(&suite.tests, Path::new("/tests/kernel")), (&suite.agent, &suite.agent.built)] {
        image.libraries_of(&program.stripped)?;
        image.copy(&program.stripped, place);
    }
    for (list, names) in [("/tests/names", &plan.names), ("/tests/guarded", &plan.guarded)] {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        image.text(Path::new(list), names.join("\n"));
    }
    modules(&mut image, kernel)?;
    let file = File::create(to).with_context(|| format!("failed to create {}", to.display()))?;
    let mut file = BufWriter::new(file);
    image.write(&mut file)?;
    file.into_inner()?;
    Ok(())
}

fn modules(image: &mut Image, kernel: &Kernel) -> Result<()> {
    let place = Path::new("/usr/lib/modules").join(&kernel.release);
    for part in MODULES {
        image.copy_tree(&kernel.modules.join(part), &place.join(part))?;
    }
    for entry in kernel.modules.read_dir()? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("modules.") {
            image.copy(&entry.path(), &place.join(entry.file_name()));
        }
    }
    Ok(())
}
