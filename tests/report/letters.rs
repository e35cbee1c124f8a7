//! Letters as other programs read them: Python's `email`, `html.parser` and `csv`.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::alone::Alone;
use crate::days::{month_of, moved, put};
use crate::stub::Stub;

/// Names that are plain text for us, but not for a spreadsheet, a browser or a file system.
const NAMES: [&str; 5] = ["张伟", "=cmd|'/C calc'!A0", "<script>alert(1)</script>", "../../etc/cron.d/x", "@SUM(A1)"];

/// Prints the headers, the tree of parts and the texts; the words, tags and attributes of the HTML; and the rows of the
/// CSV.
const SCRIPT: &str = r#"
import csv, email, email.policy, email.utils, html.parser, io, json, sys
raw = sys.stdin.buffer.read()
message = email.message_from_bytes(raw, policy=email.policy.default)

class Page(html.parser.HTMLParser):
    tags, attributes, words, in_title = set(), {}, "", False
    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            self.attributes.setdefault(name, []).append(value or "")
    def handle_data(self, data):
        self.words += data

def tree(part):
    kind = part.get_content_type()
    if part.is_multipart():
        return [kind, [tree(child) for child in part.iter_parts()]]
    return [kind, part.get_content_charset(), part.get_filename()]

page = Page()
page.feed(message.get_body(("html",)).get_content())
tables = [list(csv.reader(io.StringIO(part.get_content()), strict=True)) for part in message.iter_attachments()]
print(json.dumps({
    "headers": {name: str(value) for name, value in message.items()},
    "at": int(email.utils.parsedate_to_datetime(message["Date"]).timestamp()),
    "tree": tree(message), "defects": [str(defect) for part in message.walk() for defect in part.defects],
    "longest": max(len(line) for line in raw.split(b"\n")),
    "text": message.get_body(("plain",)).get_content(),
    "words": page.words, "tags": sorted(page.tags), "attributes": page.attributes, "tables": tables,
}))
"#;

fn read(letter: &str) -> Value {
    let mut python = Command::new("python3");
    python.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().unwrap();
    child.stdin.take().unwrap().write_all(letter.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "Python cannot read this letter:\n{letter}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn letters_are_what_they_say_to_every_reader() {
    let stub = Stub::start(&[]);
    let mut users = String::new();
    let mut moves = Vec::new();
    for (index, name) in (0_u16..).zip(NAMES) {
        let language = if index == 0 { "zh" } else { "en" };
        let port = 1_000 + index;
        users += &format!(
            "[[users]]\nname = {}\nports = [{port}]\nemail = \"u{index}@example.com\"\nlanguage = \"{language}\"\nquota = \"1 KiB\"\n",
            Value::from(name)
        );
        moves.push(moved(port, None, [1 + u64::from(index), 20, 300, 4_000]));
    }
    let price = "[report]\nprice = { per = \"KiB\", amount = \"0.10\", currency = \"CNY\" }\n";
    let alone = Alone::new(&format!("smtp+insecure://127.0.0.1:{}", stub.port), &format!("{users}{price}"));
    put(&alone.state_dir(), &alone.month, &month_of("alone", &alone.month, &moves));
    alone.report(&[]).with_code(0);
    let letter = |address: &str| {
        let taken: Vec<_> = stub.taken().into_iter().filter(|letter| letter.to == [address]).collect();
        assert_eq!(taken.len(), 1, "{address}");
        read(&taken[0].text)
    };
    let report = alone.state_dir().join("reports").join(alone.month.name());
    let report: Value = serde_json::from_str(&fs::read_to_string(report.join("report.json")).unwrap()).unwrap();
    let made_at = chrono::DateTime::parse_from_rfc3339(report["made_at"].as_str().unwrap()).unwrap();
    let days = u64::try_from(alone.month.days().count()).unwrap();
    let alternative = json!(["multipart/alternative", [["text/plain", "utf-8", null], ["text/html", "utf-8", null]]]);

    for (index, name) in (0..).zip(NAMES) {
        let letter = letter(&format!("u{index}@example.com"));
        let header = |name: &str| letter["headers"][name].as_str().unwrap_or_default().to_owned();
        assert_eq!((header("From"), header("To")), ("report@example.com".into(), format!("u{index}@example.com")));
        assert!(header("Subject").contains(name), "{letter:#}");
        assert_eq!((header("Auto-Submitted").as_str(), header("MIME-Version").as_str()), ("auto-generated", "1.0"));
        assert_eq!(header("Content-Language"), if index == 0 { "zh-CN" } else { "en" });
        assert_eq!(letter["at"], made_at.timestamp());
        // The hash covers the node and the user, so that no other letter has this id.
        let hash = Sha256::digest(format!("alone\0user\0{name}"));
        let hash: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let id = format!("<flow-agent.{}.r0.{hash}@example.com>", alone.month.name());
        assert_eq!(header("Message-ID"), id);
        assert_eq!((&letter["tree"], &letter["defects"]), (&alternative, &json!([])));
        // RFC 5322: a line has at most 998 bytes, without its end.
        assert!(letter["longest"].as_u64().unwrap() < 999);

        let bytes = days * (4_321 + index);
        for part in ["text", "words"] {
            let text = letter[part].as_str().unwrap();
            assert!(text.contains(name) && text.contains(&crate::month::thousands(bytes)), "{part} of {name}: {text}");
        }
        only_tables(&letter);
    }

    let summary = letter("ops@example.com");
    let name = format!("flow-agent-{}.csv", alone.month.name());
    assert_eq!(summary["tree"], json!(["multipart/mixed", [alternative, ["text/csv", "utf-8", name]]]));
    only_tables(&summary);
    let rows = summary["tables"][0].as_array().unwrap();
    let column = |name: &str| rows[0].as_array().unwrap().iter().position(|head| head == name).unwrap();
    // alice and bob, who moved nothing, and these users.
    assert_eq!(rows.len(), 1 + 2 + NAMES.len());
    for (index, name) in (0..).zip(NAMES) {
        let is_formula = name.starts_with(['=', '@']);
        let shown = if is_formula { format!("'{name}") } else { name.to_owned() };
        let row = rows.iter().find(|row| row[column("user")] == shown.as_str()).unwrap();
        let bytes = days * (4_321 + index);
        assert_eq!(row[column("billed_bytes")], bytes.to_string().as_str());
        assert_eq!(row[column("udp_out_bytes")], (days * 4_000).to_string().as_str());
        // In hundredths: ten per KiB, rounded half up.
        let hundredths = (bytes * 10 * 2 + 1_024) / (2 * 1_024);
        let amount = format!("{}.{:02}", hundredths / 100, hundredths % 100);
        assert_eq!((&row[column("amount")], &row[column("currency")]), (&amount.into(), &"CNY".into()));
    }
    for cell in rows.iter().flat_map(|row| row.as_array().unwrap()) {
        assert!(!cell.as_str().unwrap().starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell} is a formula");
    }
}

/// Asserts that the letter uses only what mail programs support, and nothing that loads something, runs, or depends on
/// a style sheet.
#[track_caller]
fn only_tables(letter: &Value) {
    let tags: Vec<&str> = letter["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    let known = ["b", "body", "br", "head", "html", "meta", "span", "table", "td", "th", "title", "tr"];
    assert!(tags.iter().all(|tag| known.contains(tag)), "{tags:?}");
    let attributes = letter["attributes"].as_object().unwrap();
    assert!(
        attributes.keys().all(|name| !name.starts_with("on") && !["src", "href", "class", "id"].contains(&&**name))
    );
    let styles = attributes["style"].as_array().unwrap();
    let outside = ["url(", "flex", "grid", "position", "float", "@", "expression", "var("];
    assert!(styles.iter().all(|style| outside.iter().all(|word| !style.as_str().unwrap().contains(word))));
}
