use super::*;

#[test]
fn all_former_names_are_advised_as_aliases() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        renamed(&names(&["a"]), "c"),
        "this node was called `a` and is now called `c`: add aliases = [\"a\"] to its entry in `[[nodes]]` of the main \
         node, or set node = \"a\" in this configuration to keep the former name"
    );
    assert_eq!(
        renamed(&names(&["a", "b"]), "c"),
        "this node was called `a`, then `b`, and is now called `c`: add aliases = [\"a\", \"b\"] to its entry in \
         `[[nodes]]` of the main node"
    );
}
