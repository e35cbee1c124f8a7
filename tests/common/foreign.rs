//! Reads our files with other programs: jq and sha256sum.

use std::path::Path;
use std::process::Command;

/// Prints `line sha256 computed` for every seal. `sha256` covers the bytes of the lines right before the seal, as many
/// as it says, including newlines.
const SUMS: &str = r#"
set -eu -o pipefail
jq -Rr 'fromjson | select(.kind == "seal") | "\(input_line_number) \(.ports // .lines) \(.sha256)"' "$1" |
while read -r line count sealed; do
    computed=$(awk -v seal="$line" -v count="$count" 'NR >= seal - count && NR < seal' "$1" | sha256sum | cut -d' ' -f1)
    echo "$line $sealed $computed"
done
"#;

/// The line of every seal in `path`, with whether jq and sha256sum confirm its `sha256`.
pub fn seals(path: &Path) -> Vec<(usize, bool)> {
    let output = Command::new("bash").args(["-c", SUMS, "seals"]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let seal = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        (fields[0].parse().unwrap(), fields[1] == fields[2])
    };
    text.lines().map(seal).collect()
}

/// Fails unless every seal in `path` is right, and returns their number.
pub fn verify_seals(path: &Path) -> usize {
    let seals = seals(path);
    for (line, right) in &seals {
        assert!(right, "{}:{line}: jq and sha256sum find another sha256", path.display());
    }
    seals.len()
}
