//! An agent with a private `/run`, so that what is done there affects nobody else.

use std::path::PathBuf;
use std::process::Command;

use crate::agent::Node;
use crate::common::netns::Pair;

/// A private `/run`, in which only the bpffs of a pair is as it was.
pub struct OwnRun {
    bpffs: PathBuf,
    /// Where the bpffs is mounted while `/run` is covered. Removed when dropped.
    keep: tempfile::TempDir,
}

impl OwnRun {
    pub fn of(pair: &Pair) -> Self {
        let keep = tempfile::Builder::new().prefix("flow-agent-keep").tempdir().unwrap();
        Self { bpffs: pair.bpffs.clone(), keep }
    }

    /// The program and arguments under which an agent must be started.
    pub fn wrapper(&self) -> Vec<String> {
        let script = format!(
            "mount --bind {bpffs} {keep} && mount -t tmpfs none /run && mkdir -p {bpffs} && mount --bind {keep} {bpffs} \
             && exec \"$@\"",
            bpffs = self.bpffs.display(),
            keep = self.keep.path().display(),
        );
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
    }

    /// A command with the mounts and the network of the running agent.
    pub fn beside(&self, node: &Node, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--net", "--target", &node.pid().to_string(), "--"]).args(words);
        command
    }
}
