//! PURE: a commented configuration for what was found on a machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::ledger::units::{Written, count};
use crate::ports::{Listed, PortFileFormat, QuotaPeriod, spec};

/// What was found on a machine.
pub(super) struct Surroundings {
    pub(super) host_name: String,
    /// Port files in their usual places, the most informative first.
    pub(super) files: Vec<FoundFile>,
    /// `None` if the sockets cannot be read.
    pub(super) listening: Option<BTreeSet<u16>>,
    /// `None` if the kernel does not list them.
    pub(super) devices: Option<Vec<Device>>,
}

pub(super) struct FoundFile {
    pub(super) format: PortFileFormat,
    pub(super) path: PathBuf,
    /// What the file lists, or why it cannot be read.
    pub(super) listed: Result<Listed, String>,
}

pub(super) struct Device {
    pub(super) name: String,
    /// Whether `auto` selects it.
    pub(super) is_auto: bool,
}

/// The text of the configuration. Everything in it that is not certain is a comment.
pub(super) fn draft(found: &Surroundings) -> String {
    let mut text = String::from(
        "# Created by `flow-agent init` from what it found on this machine. Omitted keys have their defaults; all \
         keys:\n# man flow-agent.toml. Test it with: flow-agent check\n\n",
    );
    line(&mut text, &format!("node = {}", quoted(&node_name(&found.host_name))));
    if let Some(day) = reset_day(&found.files) {
        line(&mut text, "# The quotas in the port files begin on this day of the month.");
        line(&mut text, &format!("month_start_day = {day}"));
    }
    interfaces(&mut text, found.devices.as_deref());
    ports(&mut text, found);
    users(&mut text, &found.files);
    text
}

fn interfaces(text: &mut String, devices: Option<&[Device]>) {
    text.push_str("\n[count]\n");
    let names = |auto: bool| {
        let devices = devices.unwrap_or_default().iter().filter(|device| device.is_auto == auto && device.name != "lo");
        devices.map(|device| device.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    match (devices, names(true).as_str()) {
        (None, _) => line(text, "# The list of devices could not be read from the kernel."),
        (Some(_), "") => line(text, "# No device carries a default route: name those that should be counted."),
        (Some(_), auto) => line(text, &format!("# \"auto\" is now: {auto}.")),
    }
    if !names(false).is_empty() {
        line(text, &format!("# Not counted: {}.", names(false)));
    }
    line(text, "interfaces = [\"auto\"]");
}

fn ports(text: &mut String, found: &Surroundings) {
    text.push_str("\n[ports]\n");
    let mut named = BTreeSet::new();
    let (mut taken, mut refused) = (String::new(), String::new());
    for file in &found.files {
        let entry = format!(
            "    {{ path = {}, format = {:?} }},",
            quoted(&file.path.display().to_string()),
            file.format.name()
        );
        match &file.listed {
            Ok(listed) => {
                let owners: BTreeSet<_> = listed.owners.values().flatten().collect();
                let (ports, owners) = (count(listed.owners.len(), "port"), count(owners.len(), "owner"));
                line(&mut taken, &format!("    # {ports}, {owners}."));
                for complaint in &listed.complaints {
                    line(&mut taken, &format!("    # {complaint}."));
                }
                let again: Vec<u16> = listed.owners.keys().copied().filter(|port| named.contains(port)).collect();
                if !again.is_empty() {
                    line(
                        &mut taken,
                        &format!("    # Already named by a file above, which takes precedence: {}.", shortened(again)),
                    );
                }
                named.extend(listed.owners.keys().copied());
                line(&mut taken, &entry);
            }
            Err(problem) => {
                line(&mut refused, &format!("    # {}.", problem.replace('\n', " ")));
                line(&mut refused, &format!("    #{}", entry.trim_start()));
            }
        }
    }
    if taken.is_empty() && refused.is_empty() {
        line(
            text,
            "# No panel or server was found in its usual place. docs/panels.md describes the supported port files.",
        );
    } else {
        line(text, "# If two files name a port, the first one decides who owns it.");
        line(text, "files = [");
        text.push_str(&taken);
        text.push_str(&refused);
        line(text, "]");
    }
    match &found.listening {
        None => line(text, "# The list of listening ports could not be read."),
        Some(listening) => {
            let others: Vec<u16> = listening.iter().copied().filter(|port| !named.contains(port)).collect();
            if taken.is_empty() {
                // Without any source there would be nothing to count.
                line(text, &format!("# Every port that a program listens on, now: {}.", shortened(others)));
                line(text, "listening = true");
            } else if !others.is_empty() {
                line(text, "# Programs listen on these ports as well; remove those that should not be counted.");
                line(text, &format!("#watch = [{}]", list(&others)));
            }
        }
    }
}

/// Adds the owners with what is known about them, for the reader to complete.
fn users(text: &mut String, files: &[FoundFile]) {
    let mut quotas: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for listed in files.iter().filter_map(|file| file.listed.as_ref().ok()) {
        for (port, owner) in listed.owners.iter().filter_map(|(port, owner)| Some((port, owner.as_deref()?))) {
            let quota = listed.details.get(port).and_then(|detail| detail.quota).map(|quota| quota.bytes);
            quotas.entry(owner).or_default().extend(quota);
        }
    }
    if quotas.is_empty() {
        return;
    }
    text.push_str(
        "\n# The owners that the files name. On the machine that mails the statements, give each an address; the \
         quotas are\n# those that the files state, per billing month.\n",
    );
    for (owner, quotas) in quotas {
        line(text, "#[[users]]");
        line(text, &format!("#name = {}", quoted(owner)));
        line(text, "#email = \"\"");
        // Several ports of one owner may each have a quota, and what they amount to together is not known.
        if let [bytes] = quotas.into_iter().collect::<Vec<_>>()[..] {
            line(text, &format!("#quota = \"{}\"", Written(bytes)));
        }
    }
}

/// The day of the month on which the quotas of all files begin, if they agree.
fn reset_day(files: &[FoundFile]) -> Option<u8> {
    let details = files.iter().filter_map(|file| file.listed.as_ref().ok()).flat_map(|listed| listed.details.values());
    let days: BTreeSet<u8> = details
        .filter_map(|detail| match detail.quota?.period {
            QuotaPeriod::Month { first_day } => first_day,
            QuotaPeriod::Unlimited => None,
        })
        .collect();
    match days.into_iter().collect::<Vec<_>>()[..] {
        [day @ 2..=28] => Some(day),
        _ => None,
    }
}

/// A valid name for a node that is as similar to the host's as possible.
fn node_name(host: &str) -> String {
    let name: String = host
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(63)
        .collect();
    if name.is_empty() { "node-1".to_owned() } else { name }
}

fn list(ports: &[u16]) -> String {
    let item = |part: &str| if part.contains('-') { format!("{part:?}") } else { part.to_owned() };
    let text = spec::text(ports.iter().copied());
    text.split(',').filter(|part| !part.is_empty()).map(item).collect::<Vec<_>>().join(", ")
}

fn shortened(ports: Vec<u16>) -> String {
    let mut text = spec::text(ports);
    if text.is_empty() {
        return "none".to_owned();
    }
    if text.len() > 60 {
        text.truncate(text[..60].rfind(',').unwrap_or(0));
        text += ",…";
    }
    text
}

/// Quotes a text for TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn line(text: &mut String, line: &str) {
    // A line break in a name would end the comment.
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    writeln!(text, "{line}").expect("writing to a String cannot fail");
}
