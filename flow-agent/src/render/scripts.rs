//! The inline scripts of a template, for its Content-Security-Policy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The sources for `script-src`: the SHA-256 of every inline script in `template`, or `'none'` if there is none.
///
/// The template is hashed rather than the page, so that a script that gets into the page through a value is never
/// allowed. A script that the template itself fills in has another hash on the page, so browsers do not run it.
pub(super) fn sources(template: &str) -> String {
    // Browsers convert every line end to a line feed before hashing.
    let template = template.replace("\r\n", "\n").replace('\r', "\n");
    let hash = |script: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(script)));
    let hashes: Vec<String> = inline(&template).map(hash).collect();
    if hashes.is_empty() { "'none'".to_owned() } else { hashes.join(" ") }
}

/// The content of each `<script …>`.
fn inline(template: &str) -> impl Iterator<Item = &str> {
    template.split("<script").skip(1).filter_map(|rest| {
        let (_attributes, rest) = rest.split_once('>')?;
        rest.split_once("</script>").map(|(script, _)| script)
    })
}

#[cfg(test)]
mod tests;
