//! Checks the walk of a byte in CONTRIBUTING against the source: every file that it names exists and has the function.

use std::fs;
use std::path::Path;

#[test]
fn every_station_of_the_walk_of_a_byte_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    let section = text.split("### The walk of a byte").nth(1).unwrap().split("\n## ").next().unwrap();
    let stations: Vec<&str> = section.lines().filter(|line| line.contains(".rs` |")).collect();
    assert!(stations.len() >= 12, "{stations:?}");
    for station in stations {
        let columns: Vec<&str> = station.trim_matches('|').split('|').map(str::trim).collect();
        let [_, file, functions] = columns[..] else { panic!("{station}") };
        let file = file.trim_matches('`');
        let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        // What follows a semicolon is in another file.
        let functions = functions.split(';').next().unwrap();
        let names: Vec<&str> = functions.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{station}");
        for name in names {
            let is_defined = [format!("fn {name}("), format!("fn {name}<")].iter().any(|start| source.contains(start));
            assert!(is_defined, "{file} has no function {name}");
        }
    }
}
