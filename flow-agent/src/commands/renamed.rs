//! PURE: what to say about a node whose logs carry former names.

/// A warning, because the main node takes logs under a former name for those of another node.
pub fn renamed(former: &[String], name: &str) -> String {
    format!("{}: {}", was_called(former, name), remedy(former))
}

/// What happened; `former` has all former names, the oldest first.
pub fn was_called(former: &[String], name: &str) -> String {
    let names = former.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", then ");
    let comma = if former.len() > 1 { "," } else { "" };
    format!("this node was called {names}{comma} and is now called `{name}`")
}

/// What the reader can do about it.
pub fn remedy(former: &[String]) -> String {
    let aliases = format!("add aliases = {former:?} to its entry in `[[nodes]]` of the main node");
    match former {
        [only] => format!("{aliases}, or set node = {only:?} in this configuration to keep the former name"),
        _ => aliases,
    }
}

#[cfg(test)]
mod tests;
