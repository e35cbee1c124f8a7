//! PURE: what to say about a node whose logs carry a former name.

/// A warning, because the main node takes logs under a former name for those of another node.
pub fn renamed(former: &str, name: &str) -> String {
    format!("this node was called `{former}` and is now called `{name}`: {}", remedy(former))
}

/// What the reader can do about it.
pub fn remedy(former: &str) -> String {
    format!(
        "add aliases = [{former:?}] to its entry in `[[nodes]]` of the main node, or set node = {former:?} in this \
         configuration to keep the former name"
    )
}
