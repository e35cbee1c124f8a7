//! PURE: the port of a WireGuard interface, which all its peers share.

use serde_json::Value;

use super::{Format, FormatError, tree};
use crate::ports::{Claim, ListPosition, Listed};

/// Reads a file of `/etc/wireguard`.
pub struct WireGuard;

impl Format for WireGuard {
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        let text = tree::whole_lines(text)?;
        let (mut listed, mut in_interface, mut interfaces) = (Listed::default(), false, 0);
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.starts_with('[') {
                in_interface = line.eq_ignore_ascii_case("[interface]");
                interfaces += usize::from(in_interface);
                continue;
            }
            // Without a port the kernel picks one, and only this side initiates connections.
            let Some((key, value)) = line.split_once('=').filter(|_| in_interface) else { continue };
            let value = value.trim();
            if key.trim().eq_ignore_ascii_case("ListenPort") && value != "0" {
                let port = tree::port(&Value::String(value.to_owned())).map(|port| vec![port..=port]);
                listed.add_ranges(&ListPosition::Line(index + 1), port, &Claim::default());
            }
        }
        let expected = "a WireGuard configuration with an [Interface] section";
        if interfaces == 0 { Err(FormatError::Shape { expected, found: "no [Interface]" }) } else { Ok(listed) }
    }

    fn folder_extensions(&self) -> &'static [&'static str] {
        &["conf"]
    }
}
