use anyhow::Context as _;

use super::*;

#[test]
fn a_failure_reads_top_down() {
    let error = Err::<(), _>(std::io::Error::other("operation not permitted")).context("failed to attach to `eth0`");
    let failure = Failure::new(Code::Kernel, error.unwrap_err()).help("run as root");
    assert_eq!(
        failure.render(),
        "error: failed to attach to `eth0`\n  caused by: operation not permitted\n  help: run as root"
    );
}
