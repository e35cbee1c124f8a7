//! Finds public types that share a name. Somebody who reads `Budget` or `View` in a signature must not have to look up
//! which one is meant.
//!
//! Only code that is built for users counts, as for `circles`: unit tests and `testing` are left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::circles::is_for_tests;
use crate::imports::rust_files;

/// Names that several files may use for a type of their own, and why.
const SHARED: [(&str, &str, &str); 2] = [
    ("flow-agent/src/commands", "Args", "the arguments of a command; `cli` names each by the command's module"),
    ("xtask/src", "Options", "the options of a task; `main` names each by the task's module"),
];

const CRATES: [&str; 3] = ["flow-common/src", "flow-agent/src", "xtask/src"];

#[test]
fn no_two_public_types_have_one_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for of_crate in CRATES {
        for file in rust_files(&root.join(of_crate)) {
            let path = file.strip_prefix(&root).unwrap().display().to_string();
            let segments: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
            if is_for_tests(&segments.join("::")) {
                continue;
            }
            for name in public_types(&fs::read_to_string(&file).unwrap()) {
                let is_shared = SHARED.iter().any(|(place, shared, _)| path.starts_with(place) && name == *shared);
                if !is_shared {
                    places.entry(name.to_owned()).or_default().push(path.clone());
                }
            }
        }
    }
    places.retain(|_, files| files.len() > 1);
    assert_eq!(places, BTreeMap::new(), "rename one by what it is");
}

#[test]
fn public_types_are_found_wherever_they_stand() {
    let text = "pub struct One;\n    pub enum Two {\npub(super) struct Hidden;\nstruct Private;\npub trait Three: Sized {\n\
                pub type Four<T> = T;\npub unsafe trait Five {}\n";
    assert_eq!(public_types(text).collect::<Vec<_>>(), ["One", "Two", "Three", "Four", "Five"]);
}

/// The public types that a file declares.
fn public_types(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let declared = line.trim_start().strip_prefix("pub ")?;
        let declared = declared.strip_prefix("unsafe ").unwrap_or(declared);
        let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
        let name = kinds.iter().find_map(|kind| declared.strip_prefix(kind))?;
        // `$name` in a macro is not a name yet.
        name.split(|character: char| !(character.is_alphanumeric() || character == '_'))
            .next()
            .filter(|n| !n.is_empty())
    })
}
