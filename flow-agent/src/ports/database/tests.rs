//! Reads a panel's database while the panel writes, locks and replaces it.

use std::collections::BTreeSet;
use std::fs;

use tempfile::TempDir;

use super::*;
use crate::ports::PortFileFormat;
use crate::ports::formats;

/// The panel's own connection.
struct Panel {
    dir: TempDir,
    database: Connection,
}

impl Panel {
    fn new(journal_mode: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = Connection::open(dir.path().join("x-ui.db")).unwrap();
        database.pragma_update(None, "journal_mode", journal_mode).unwrap();
        // No patience: if anything blocks the panel, its write fails.
        database.busy_timeout(Duration::ZERO).unwrap();
        database
            .execute_batch("CREATE TABLE inbounds (id INTEGER PRIMARY KEY, port INTEGER, remark TEXT, settings TEXT)")
            .unwrap();
        Self { dir, database }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("x-ui.db")
    }

    fn add(&self, port: u16) {
        let settings = format!("{{\"clients\":[{{\"email\":\"user-{port}\"}}]}}");
        self.database
            .execute("INSERT INTO inbounds (port, remark, settings) VALUES (?1, 'r', ?2)", (port, settings))
            .unwrap();
    }

    fn ports(&self) -> Result<BTreeSet<u16>, Problem> {
        ports_of(&self.path())
    }
}

fn ports_of(path: &Path) -> Result<BTreeSet<u16>, Problem> {
    let tables = formats::of(PortFileFormat::ThreeXUi).tables().unwrap();
    let listed = read(path, tables)?.listed;
    for (port, owner) in &listed.owners {
        assert_eq!(owner.as_deref(), Some(format!("user-{port}").as_str()));
    }
    Ok(listed.owners.into_keys().collect())
}

#[test]
fn what_is_committed_is_seen_in_every_journal_mode() {
    for mode in ["wal", "delete", "truncate", "persist"] {
        let panel = Panel::new(mode);
        for (count, port) in (8_000..8_005).enumerate() {
            panel.add(port);
            let found = panel.ports().unwrap();
            assert!(found.len() == count + 1 && found.contains(&port), "{mode}: {found:?}");
        }
        if mode == "wal" {
            panel.database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            assert_eq!(panel.ports().unwrap().len(), 5);
        }
    }
}

#[test]
fn what_is_not_committed_is_never_seen() {
    // With a log, the last commit is read. Without one, the reader waits and then gives up, and the last good list
    // remains.
    let panel = Panel::new("wal");
    panel.add(8_000);
    panel.database.execute_batch("BEGIN EXCLUSIVE").unwrap();
    panel.add(8_001);
    assert_eq!(panel.ports().unwrap(), BTreeSet::from([8_000]));
    panel.database.execute_batch("ROLLBACK").unwrap();

    let panel = Panel::new("delete");
    panel.add(8_000);
    panel.database.execute_batch("PRAGMA cache_size = 1; BEGIN EXCLUSIVE").unwrap();
    for port in 8_001..9_500 {
        panel.add(port);
    }
    assert!(matches!(panel.ports(), Err(Problem::Busy)));
    panel.database.execute_batch("ROLLBACK").unwrap();
    assert_eq!(panel.ports().unwrap(), BTreeSet::from([8_000]));
}

#[test]
fn a_writer_without_any_patience_is_never_held_up_and_no_list_is_half() {
    for mode in ["wal", "delete", "persist"] {
        let panel = Panel::new(mode);
        panel.add(8_000);
        let path = panel.path();
        let reader = thread::spawn(move || {
            let mut seen = 0;
            loop {
                match ports_of(&path) {
                    Ok(ports) => {
                        // Every transaction adds two ports.
                        assert!(ports.len() % 2 == 1, "half a transaction: {} ports", ports.len());
                        assert!(ports.len() >= seen, "what was there is gone");
                        seen = ports.len();
                        if seen == 401 {
                            return;
                        }
                    }
                    // A transaction was open the whole time: the last good list remains.
                    Err(Problem::Busy) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
        for round in 0..200_u16 {
            panel.database.execute_batch("BEGIN IMMEDIATE").unwrap();
            panel.add(10_000 + round);
            panel.add(20_000 + round);
            panel.database.execute_batch("COMMIT").unwrap_or_else(|error| panic!("{mode}: held up: {error}"));
            if mode == "wal" && round % 50 == 49 {
                // A checkpoint that cannot finish reports that in its result, and is retried automatically.
                panel.database.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
            }
        }
        reader.join().unwrap();
    }
}

#[test]
fn a_database_that_is_replaced_or_damaged_is_read_anew_or_refused() {
    let (old, new) = (Panel::new("delete"), Panel::new("delete"));
    old.add(8_000);
    new.add(9_000);
    assert_eq!(old.ports().unwrap(), BTreeSet::from([8_000]));
    fs::rename(new.path(), old.path()).unwrap();
    assert_eq!(old.ports().unwrap(), BTreeSet::from([9_000]));
    let whole = fs::read(old.path()).unwrap();
    for bytes in [&b""[..], b"not a database", &whole[..whole.len() / 2], &whole[..50]] {
        fs::write(old.path(), bytes).unwrap();
        assert!(matches!(old.ports(), Err(Problem::Format(_))), "{} bytes", bytes.len());
    }
    fs::remove_file(old.path()).unwrap();
    assert!(matches!(old.ports(), Err(Problem::Io(_))));
}

#[test]
fn a_reader_that_may_not_write_beside_the_log_sees_what_is_in_it() {
    let panel = Panel::new("wal");
    panel.add(8_000);
    assert!(length(&beside(&panel.path(), "-wal")).unwrap() > 0);
    let before: BTreeSet<_> = fs::read_dir(panel.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(panel.ports().unwrap(), BTreeSet::from([8_000]));
    let after: BTreeSet<_> = fs::read_dir(panel.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(before, after, "nothing is left beside the panel's files");
}
