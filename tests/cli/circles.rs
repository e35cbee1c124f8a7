//! Finds dependency cycles among the files of `flow-agent/src`: files that need each other, so that neither can be read
//! first.
//!
//! Only code that is built for users counts: comments, unit tests and `testing` are left out. A `mod` or `pub use` line
//! is not a dependency, but is followed to the file that defines the name. A module's own file and the files below it
//! are taken together; what they need of each other does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::imports::rust_files;

/// The cycles of files that are intended, and why.
const KNOWN: [(&[&str], &str); 0] = [];

/// The intended cycles among the children of a module, each taken with everything below it.
const KNOWN_CHILDREN: [(&str, &[&str], &str); 0] = [];

/// The source of each file by its module path, such as `backend::ebpf::start`; the crate's root is the empty path.
type Sources = BTreeMap<String, String>;
/// The dependencies of each file or module.
type Needs = BTreeMap<String, BTreeSet<String>>;

#[test]
fn files_form_no_circles_but_those_that_are_explained() {
    let circles = circles(&needs(&sources()));
    let known: BTreeSet<_> = KNOWN.iter().map(|(files, _)| set(files)).collect();
    assert_eq!(circles, known);
}

#[test]
fn modules_form_no_circles_at_any_level() {
    let needs = needs(&sources());
    for module in [String::new()].iter().chain(needs.keys()) {
        let known = KNOWN_CHILDREN.iter().filter(|(parent, ..)| parent == module);
        let known: BTreeSet<_> = known.map(|(_, children, _)| set(children)).collect();
        assert_eq!(circles(&of_children(module, &needs)), known, "in {module}");
    }
}

#[test]
fn a_circle_is_found_through_groups_renames_and_re_exports() {
    let sources = |files: &[(&str, &str)]| -> Sources {
        files.iter().map(|(path, text)| ((*path).to_owned(), without_tests(text))).collect()
    };
    let circle = |names: &[&str]| BTreeSet::from([set(names)]);
    let door = ("a", "mod b;\nmod c;\npub use c::{Thing, other};\n");
    let there = ("a::b", "use crate::a::Thing as Else;\n");
    assert_eq!(circles(&needs(&sources(&[door, there, ("a::c", "struct Thing;\n")]))), BTreeSet::new());
    let back = ("a::c", "fn x() { super::b::y() }\n");
    assert_eq!(circles(&needs(&sources(&[door, there, back]))), circle(&["a::b", "a::c"]));
    let group = ("a::c", "use super::{b::{self, Y}, d};\n");
    assert_eq!(circles(&needs(&sources(&[door, there, group]))), circle(&["a::b", "a::c"]));
    let through_the_door = ("a::b", "use super::super::a;\nfn y() { a::other() }\n");
    assert_eq!(circles(&needs(&sources(&[door, through_the_door, back]))), circle(&["a::b", "a::c"]));
    for not_needed in ["// super::b\n", "#[cfg(test)]\nmod tests {\n    use crate::a::b;\n}\n"] {
        assert_eq!(circles(&needs(&sources(&[door, there, ("a::c", not_needed)]))), BTreeSet::new());
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn sources() -> Sources {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flow-agent/src");
    let module = |file: &Path| {
        let relative = file.strip_prefix(&root).unwrap().with_extension("");
        let segments: Vec<&str> = relative.iter().map(|segment| segment.to_str().unwrap()).collect();
        if segments == ["lib"] { String::new() } else { segments.join("::") }
    };
    let files = rust_files(&root).into_iter().map(|file| (module(&file), file));
    let files = files.filter(|(path, _)| path != "main" && !is_for_tests(path));
    files.map(|(path, file)| (path, without_tests(&fs::read_to_string(file).unwrap()))).collect()
}

/// Whether a module is only built for unit tests.
pub fn is_for_tests(path: &str) -> bool {
    path.split("::").any(|segment| segment == "testing" || segment == "tests" || segment.ends_with("_tests"))
        || path.ends_with("::laws")
}

/// The code without comments, and without the unit tests at the end of a file.
fn without_tests(text: &str) -> String {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned()
}

fn needs(sources: &Sources) -> Needs {
    let exports: BTreeMap<&str, BTreeMap<String, String>> =
        sources.iter().map(|(path, text)| (path.as_str(), exported(path, text, sources))).collect();
    let needs_of = |path: &String, text: &String| {
        let named = used(path, text, sources).into_iter().filter_map(|named| file_of(&named, sources, &exports));
        named.filter(|file| !is_within(file, path) && !is_within(path, file)).collect()
    };
    sources.iter().map(|(path, text)| (path.clone(), needs_of(path, text))).collect()
}

/// Whether a path is the module itself or one below it.
fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The names that a module re-exports, with the full path of each.
fn exported(module: &str, text: &str, sources: &Sources) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (is_public, tree) in use_trees(text) {
        if is_public {
            names.extend(leaves(tree).into_iter().map(|(path, name)| (name, absolute(module, &path, sources))));
        }
    }
    names
}

/// The full path of everything that a file names, in a `use` or at the place of use.
fn used(module: &str, text: &str, sources: &Sources) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for child in children(text) {
        paths.extend(calls(text, child).map(|item| absolute(module, &format!("{child}::{item}"), sources)));
    }
    for (is_public, tree) in use_trees(text) {
        for (path, name) in leaves(tree).into_iter().filter(|_| !is_public) {
            let full = absolute(module, &path, sources);
            paths.extend(calls(text, &name).map(|item| format!("{full}::{item}")));
            paths.insert(full);
        }
    }
    for root in ["crate", "super"] {
        for (at, _) in text.match_indices(&format!("{root}::")) {
            if !text[..at].ends_with(|before: char| is_word(before) || before == ':' || before == '$') {
                let path: String = text[at..].chars().take_while(|c| is_word(*c) || *c == ':').collect();
                if !path.ends_with(':') {
                    paths.insert(absolute(module, &path, sources));
                }
            }
        }
    }
    paths
}

/// The modules that a file declares.
fn children(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
}

/// What follows `name::`, wherever that begins a path.
fn calls<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let prefix = format!("{name}::");
    let found: Vec<usize> = text.match_indices(&prefix).map(|(at, _)| at).collect();
    found.into_iter().filter(|at| !text[..*at].ends_with(|before: char| is_word(before) || before == ':')).map(
        move |at| {
            let rest = &text[at + prefix.len()..];
            &rest[..rest.find(|c: char| !is_word(c)).unwrap_or(rest.len())]
        },
    )
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Every `use …;`, with whether it is public.
fn use_trees(text: &str) -> Vec<(bool, &str)> {
    let mut trees = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let before = text[..at].rsplit('\n').next().unwrap_or_default().trim();
        if before.is_empty() || before.starts_with("pub") {
            let tree = &text[at + "use ".len()..];
            trees.push((before.starts_with("pub"), &tree[..tree.find(';').unwrap_or_default()]));
        }
    }
    trees
}

/// Each path in a tree such as `a::{self, b as c}`, with the name under which it is used.
fn leaves(tree: &str) -> Vec<(String, String)> {
    let tree = tree.trim();
    let Some((prefix, group)) = tree.split_once('{') else {
        let (path, name) = tree.split_once(" as ").unwrap_or((tree, tree));
        let name = name.rsplit("::").next().unwrap_or_default();
        return vec![(path.trim().to_owned(), name.trim().to_owned())];
    };
    let group = group.strip_suffix('}').unwrap_or(group);
    let (mut depth, mut items) = (0, vec![String::new()]);
    for character in group.chars() {
        depth += i32::from(character == '{') - i32::from(character == '}');
        match character {
            ',' if depth == 0 => items.push(String::new()),
            other => items.last_mut().expect("there is a first").push(other),
        }
    }
    let items = items.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
    items
        .flat_map(|item| {
            if item == "self" { leaves(prefix.trim_end_matches(':')) } else { leaves(&format!("{prefix}{item}")) }
        })
        .collect()
}

/// A path relative to the crate's root.
fn absolute(module: &str, path: &str, sources: &Sources) -> String {
    let mut here: Vec<&str> = module.split("::").filter(|segment| !segment.is_empty()).collect();
    let mut rest: Vec<&str> = path.split("::").map(str::trim).collect();
    match rest[0] {
        "crate" => here.clear(),
        "self" | "super" => {
            while rest.first() == Some(&"super") {
                here.pop();
                rest.remove(0);
            }
        }
        // It is a child of this module, or another crate.
        first if !sources.contains_key(&[&here[..], &[first]].concat().join("::")) => return format!("::{path}"),
        _ => {}
    }
    let rest = rest.into_iter().filter(|segment| *segment != "crate" && *segment != "self");
    here.into_iter().chain(rest).collect::<Vec<_>>().join("::")
}

/// The file that defines the item with this full path; `None` if it belongs to another crate.
fn file_of(path: &str, sources: &Sources, exports: &BTreeMap<&str, BTreeMap<String, String>>) -> Option<String> {
    let segments: Vec<&str> = path.split("::").collect();
    let length = (0..=segments.len()).rev().find(|length| sources.contains_key(&segments[..*length].join("::")))?;
    if length == 0 {
        return None;
    }
    let module = segments[..length].join("::");
    let next = segments.get(length).and_then(|name| exports[module.as_str()].get(*name));
    match next {
        Some(next) if next != path => {
            let rest = segments[length + 1..].iter().fold(next.clone(), |path, segment| format!("{path}::{segment}"));
            file_of(&rest, sources, exports)
        }
        Some(_) | None => Some(module),
    }
}

/// The dependencies among the children of a module, each taken with everything below it.
fn of_children(module: &str, needs: &Needs) -> Needs {
    let child = |path: &str| -> Option<String> {
        let rest = path.strip_prefix(module)?;
        let rest = if module.is_empty() { rest } else { rest.strip_prefix("::")? };
        rest.split("::").next().filter(|child| !child.is_empty()).map(str::to_owned)
    };
    let mut children = Needs::new();
    for (from, to) in needs {
        if let Some(from) = child(from) {
            let to = to.iter().filter_map(|path| child(path)).filter(|to| *to != from).collect::<Vec<_>>();
            children.entry(from).or_default().extend(to);
        }
    }
    children
}

/// The largest sets in which each member needs every other, directly or indirectly.
fn circles(needs: &Needs) -> BTreeSet<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        needs.keys().map(|from| (from, everything_from(from, needs))).collect();
    let circle = |file: &String| -> BTreeSet<String> {
        reached[file].iter().filter(|other| reached[**other].contains(file)).map(|other| (*other).clone()).collect()
    };
    needs.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
}

fn everything_from<'a>(from: &'a String, needs: &'a Needs) -> BTreeSet<&'a String> {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        let more = needs.get_key_value(file).into_iter().flat_map(|(_, files)| files);
        next.extend(more.filter(|file| needs.contains_key(*file) && seen.insert(*file)));
    }
    seen
}
