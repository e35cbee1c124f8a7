//! What is done to the state directory of a running agent, and to the file system below it.

use std::fs;
use std::time::Duration;

use super::kind::Kind;
use super::scene::Scene;
use super::{Interference, Setting, row};
use crate::agent::files;
use crate::common::daemon::wait_until;
use crate::state_dir::remove_in_use;

/// Longer than the time between two inspections plus a short bucket.
const A_WHILE: Duration = Duration::from_secs(6);

fn everywhere(_: Kind) -> bool {
    true
}

/// The kinds with short buckets; the others have no log yet that could be cut.
fn with_a_log(kind: Kind) -> bool {
    kind.is_ebpf()
}

/// All rows about the state directory. The counters know what the files do not, so nothing is missing in the end.
pub fn catalogue() -> Vec<Interference> {
    let harmless = |name, applies, work| row(name, applies, work).harmless(everywhere);
    vec![
        harmless("cut the log", with_a_log, |scene| {
            scene.node.wait_for_buckets(2);
            let file = files(&scene.node.state_dir().join("hourly")).pop().unwrap();
            let length = fs::metadata(&file).unwrap().len();
            fs::File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
        }),
        harmless("remove the log", with_a_log, |scene| {
            scene.node.wait_for_buckets(2);
            fs::remove_file(files(&scene.node.state_dir().join("hourly")).pop().unwrap()).unwrap();
        }),
        harmless("remove the directory of logs", with_a_log, |scene| {
            scene.node.wait_for_buckets(2);
            fs::remove_dir_all(scene.node.state_dir().join("hourly")).unwrap();
        }),
        harmless("remove `instance`", everywhere, |scene| {
            let file = scene.node.state_dir().join("instance");
            let instance = fs::read_to_string(&file).unwrap();
            fs::remove_file(&file).unwrap();
            // Without it, no successor would find the counters.
            wait_until("it is made again", Duration::from_secs(10), || {
                fs::read_to_string(&file).is_ok_and(|made| made == instance)
            });
        }),
        harmless("remove the state directory", everywhere, |scene| {
            remove_in_use(&scene.node.state_dir());
        }),
        harmless("move the state directory away", everywhere, |scene| {
            fs::rename(scene.node.state_dir(), scene.node.path("aside")).unwrap();
        }),
        harmless("make the state directory read-only for a while", everywhere, |scene| {
            let state = scene.node.state_dir().display().to_string();
            scene.host(&format!("mount --bind -o ro {state} {state}"));
            scene.pass(A_WHILE);
            scene.host(&format!("umount --lazy {state}"));
        })
        .with(Setting::SmallDisk),
        harmless("fill the disk for a while", everywhere, |scene| {
            scene.disk.as_ref().expect("this setting has one").fill();
            scene.pass(A_WHILE);
            scene.disk.as_ref().expect("this setting has one").free();
        })
        .with(Setting::SmallDisk),
        harmless("unmount the state directory", everywhere, unmount_state).with(Setting::SmallDisk),
    ]
}

/// What was logged can no longer be reached, and is written again where the agent finds a directory.
fn unmount_state(scene: &mut Scene) {
    scene.host(&format!("umount --lazy {}", scene.node.state_dir().display()));
}
