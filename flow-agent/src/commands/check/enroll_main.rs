//! `check --enroll-main KEYFILE`: on a node, lets the main node's key read `daily/` and nothing else. Every change is
//! shown before it is made.

mod key;
mod plan;
mod system;

use std::io;
use std::path::Path;

use anyhow::Context as _;

use crate::commands::output;
use crate::config::Config;
use crate::exit::{Code, Failure};
use plan::{EnrolStep, USER};

/// The arguments of the command line.
pub(super) struct Request<'a> {
    pub(super) key_file: &'a Path,
    /// The main node's addresses.
    pub(super) from: Option<&'a str>,
    /// Do not ask.
    pub(super) yes: bool,
}

/// # Errors
/// When the file holds no usable key (2), this is not root or sshd is missing (4), sshd does not accept its
/// configuration (3), or something cannot be written (5).
pub(super) fn enroll_main(config: &Config, request: &Request<'_>) -> Result<Code, Failure> {
    let line = key_line(request)?;
    system::require()?;
    system::check_way_to(&config.state_dir)?;
    let steps = plan::plan(&system::facts(&config.state_dir)?, &line);
    if steps.is_empty() {
        output::print("everything is already in place\n")?;
    } else {
        output::print(&shown(&steps, request.from.is_some()))?;
        if !request.yes && !agreed()? {
            output::print("nothing was changed\n")?;
            return Ok(Code::Incomplete);
        }
        for step in &steps {
            system::apply(step)?;
        }
    }
    for warning in system::put_in_force(&config.state_dir, &steps)? {
        output::complain(&format!("warning: {warning}"));
    }
    output::print(&next(config, &system::host_key()))?;
    Ok(Code::Done)
}

fn key_line(request: &Request<'_>) -> Result<String, Failure> {
    let path = request.key_file;
    let usage = |error: anyhow::Error| Failure::new(Code::Usage, error);
    let text = system::read(path).with_context(|| format!("failed to read the key file `{}`", path.display()));
    let line = key::admit(&text.map_err(usage)?, request.from);
    line.with_context(|| format!("the key in `{}` cannot be used", path.display())).map_err(|error| {
        usage(error).help("use the main node's public key, for example `/etc/flow-agent/id_ed25519.pub` from there")
    })
}

fn shown(steps: &[EnrolStep], has_from: bool) -> String {
    let steps: String = steps.iter().map(ToString::to_string).collect();
    let remark = match has_from {
        true => "",
        false => "The key will be accepted from any address; restrict it with `--from ADDRESS`.\n",
    };
    format!(
        "To let the main node's key read the daily logs as user `{USER}`, and nothing else:\n\n{steps}  sshd -t, then \
         reload sshd\n\n{remark}"
    )
}

fn agreed() -> Result<bool, Failure> {
    output::print("Make these changes? Type yes: ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("failed to read the answer")?;
    Ok(answer.trim() == "yes")
}

/// What remains to be done on the main node.
fn next(config: &Config, host_key: &str) -> String {
    format!(
        "\nIn the main node's configuration, with this node's address:\n\n    [[nodes]]\n    name = \"{}\"\n    host = \
         \"ADDRESS\"\n    user = \"{USER}\"\n    identity_file = \"/etc/flow-agent/id_ed25519\"\n    state_dir = \"/\"\n\nThen \
         run `flow-agent check --enroll {}` there. This node's host key is\n    {host_key}\n",
        config.node, config.node
    )
}
