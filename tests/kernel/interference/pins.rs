//! What is done to the pins of eBPF, to bpffs, and to /run.

use std::fs;
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::kind::Kind;
use super::scene::Scene;
use super::{Interference, Setting, killed, row};
use crate::common::daemon::wait_until;
use crate::common::netns::inside;
use crate::uninstall::attached_by_tcx;

fn everywhere(_: Kind) -> bool {
    true
}

/// All rows about pins. A running agent keeps its maps and links open, so nothing is missed.
pub fn catalogue() -> Vec<Interference> {
    let harmless = |name, work| row(name, Kind::is_ebpf, work).harmless(everywhere);
    vec![
        harmless("unmount bpffs", |scene| unmount(&scene.pair.bpffs, UnmountFlags::DETACH).unwrap()),
        harmless("unmount bpffs and mount it anew", |scene| {
            unmount(&scene.pair.bpffs, UnmountFlags::DETACH).unwrap();
            mount_bpffs(scene);
        }),
        harmless("mount another bpffs over it", |scene| mount_bpffs(scene)),
        harmless("remove all pins", remove_pins),
        harmless("remove the attachments' pins", remove_links),
        harmless("remove the pin of one map", |scene| {
            let sets = fs::read_dir(scene.node.pins()).unwrap().map(|entry| entry.unwrap().path());
            let cells = sets.map(|set| set.join("CELLS")).find(|path| path.exists()).unwrap();
            fs::remove_file(cells).unwrap();
        }),
        killed("unmount bpffs and mount it anew, no agent there", Kind::is_ebpf, |scene| {
            unmount(&scene.pair.bpffs, UnmountFlags::DETACH).unwrap();
            // The links live until no mount namespace has the file system any more. Other cases make such namespaces
            // beside this one, and until they end, an agent would refuse to start beside links that are not its own.
            wait_until("the links are gone", Duration::from_secs(120), || {
                inside(&scene.pair.host, attached_by_tcx) == 0
            });
            mount_bpffs(scene);
        }),
        killed("remove all pins, no agent there", Kind::is_ebpf, remove_pins),
        killed("remove the attachments' pins, no agent there", Kind::is_ebpf, remove_links),
        row("remove the locks", everywhere, |scene| drop(scene.beside("rm /run/flow-agent/*.lock")))
            .harmless(everywhere)
            .with(Setting::OwnRun),
        row("remove /run/flow-agent", everywhere, |scene| drop(scene.beside("rm -r /run/flow-agent")))
            .harmless(everywhere)
            .with(Setting::OwnRun),
    ]
}

fn mount_bpffs(scene: &Scene) {
    mount("bpf", &scene.pair.bpffs, "bpf", MountFlags::empty(), c"mode=0700").unwrap();
}

fn remove_pins(scene: &mut Scene) {
    fs::remove_dir_all(scene.pair.bpffs.join("flow-agent")).unwrap();
}

fn remove_links(scene: &mut Scene) {
    fs::remove_dir_all(scene.node.pins().join("links")).unwrap();
}
