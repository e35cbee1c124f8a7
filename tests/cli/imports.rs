//! Checks every import between the modules of `flow-agent/src` against the table in CONTRIBUTING.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may import according to the table.
type Table = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_module_imports_what_the_table_does_not_allow() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let table = table(&fs::read_to_string(repository.join("CONTRIBUTING.md")).unwrap());
    let source = repository.join("flow-agent/src");
    let mut seen = BTreeSet::new();
    let mut breaches = Vec::new();
    for file in rust_files(&source) {
        let module = module_of(file.strip_prefix(&source).unwrap());
        // The root of the crate declares the modules, and `main` starts the command line.
        if module == "lib" || module == "main" {
            continue;
        }
        seen.insert(module.clone());
        let text = fs::read_to_string(&file).unwrap();
        breaches.extend(
            breaches_in(&table, &module, &text).into_iter().map(|breach| format!("{}: {breach}", file.display())),
        );
    }
    assert_eq!(breaches, Vec::<String>::new());
    let named: BTreeSet<String> = table.into_keys().filter(|name| !name.starts_with("flow-")).collect();
    assert_eq!(seen, named, "the table names exactly the modules that there are");
}

#[test]
fn an_import_against_the_table_is_found() {
    let table =
        table("| `ledger` | pure | nothing |\n| `render` | pure | `ledger` |\n| `store` | files | `ledger` |\n");
    assert!(breaches_in(&table, "render", "use crate::ledger::units;\nuse crate::render::table;\n").is_empty());
    assert!(breaches_in(&table, "render", "// see crate::store::disk\n").is_empty());
    assert_eq!(breaches_in(&table, "render", "use crate::store::disk;\n"), ["line 1: `render` may not import `store`"]);
    assert_eq!(
        breaches_in(&table, "ledger", "\nlet x = crate::store::y();\n"),
        ["line 2: `ledger` may not import `store`"]
    );
    let braces = breaches_in(&table, "ledger", "use crate::{\n    render::table,\n    store::{disk, lock},\n};\n");
    assert_eq!(braces, ["line 1: `ledger` may not import `render`", "line 1: `ledger` may not import `store`"]);
}

fn table(contributing: &str) -> Table {
    let code = |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').collect();
        let [name, _, imports] = cells[..] else { return None };
        let name = name.trim().strip_prefix('`')?.strip_suffix('`')?.to_owned();
        Some((name, code(imports)))
    };
    contributing.lines().filter(|line| line.starts_with("| `")).filter_map(row).collect()
}

/// `ledger` for `ledger/units.rs`, `config` for `config.rs`.
fn module_of(relative: &Path) -> String {
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

pub fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn breaches_in(table: &Table, module: &str, text: &str) -> Vec<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut breaches = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` in a macro and `other_crate::` are not the root of this crate.
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '$') {
            continue;
        }
        let line = 1 + code[..at].matches('\n').count();
        for imported in first_segments(&code[at + "crate::".len()..]) {
            // The unit tests of every module may use it; in a build for users it does not exist.
            let is_allowed = [module, "testing"].contains(&imported.as_str())
                || table.get(module).is_some_and(|allowed| allowed.contains(&imported));
            if !is_allowed {
                breaches.push(format!("line {line}: `{module}` may not import `{imported}`"));
            }
        }
    }
    breaches
}

/// The first segment of each path that begins `path`: one name, or those in a `{…}` group.
fn first_segments(path: &str) -> Vec<String> {
    let name = |path: &str| path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut depth = 0;
    let mut names = Vec::new();
    let mut item = String::new();
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(std::mem::take(&mut item)),
            other if depth == 0 => item.push(other),
            _ => {}
        }
    }
    names.push(item);
    names.iter().map(|item| name(item.trim())).filter(|name| !name.is_empty()).collect()
}
