//! Tests an image in which the package was installed beforehand, at its first boot, on a machine without bpffs: nothing
//! may run before somebody enables it, and then it must count.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use super::deb::Deb;
use super::machine::Machine;
use super::network::Network;
use super::{node, rootfs};
use crate::process::{command, run};

/// Hides `/sys/fs/bpf`, as on a kernel without BPF, and keeps the control groups beside it.
const HIDE_BPF: &str = "\
    mkdir /run/groups
    mount --bind /sys/fs/cgroup /run/groups
    mount -t tmpfs tmpfs /sys/fs
    mkdir /sys/fs/cgroup
    mount --bind /run/groups /sys/fs/cgroup
    mount -o remount,ro,bind /sys/fs
    test ! -e /sys/fs/bpf";

/// Boots the image and checks the units.
///
/// # Errors
/// When something runs that nobody enabled, or when the agent does not start.
pub fn check(base: &Path, directory: &Path, deb: &Deb) -> Result<()> {
    let root = directory.join("image");
    rootfs::copy(base, &root)?;
    fs::copy(&deb.path, root.join("flow-agent.deb"))?;
    run(command("chroot", [root.as_os_str()]).args(["dpkg", "--install", "/flow-agent.deb"]))?;
    // This makes systemd treat the boot as the first one and set up all units according to the presets.
    fs::write(root.join("etc/machine-id"), "uninitialized\n")?;

    let network = Network::make()?;
    let mut machine = Machine::boot(&root, &network.node, false)?;
    for unit in ["flow-agent.service", "flow-agent-report.timer"] {
        let enabled = machine.attempt(&["systemctl", "is-enabled", unit])?;
        let enabled = String::from_utf8_lossy(&enabled.stdout).trim().to_owned();
        ensure!(enabled == "disabled", "at the first boot of an image {unit} is {enabled}");
        ensure!(machine.property(unit, "ActiveState")? == "inactive", "{unit} is running although nobody enabled it");
    }
    machine.run(&["sh", "-ec", HIDE_BPF])?;
    node::configure(&machine, "auto")?;
    node::write_mudb(&machine, &[8388])?;
    let started = machine.run(&["systemctl", "start", "flow-agent.service"]);
    let journal = machine.journal("flow-agent.service")?;
    started.map_err(|error| error.context(journal.clone()))?;
    ensure!(journal.contains("counting"), "it does not count without /sys/fs/bpf:\n{journal}");
    machine.power_off()
}
