use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::commands::check::finding::Status;

#[test]
fn a_password_that_everybody_may_read_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smtp-password");
    fs::File::create_new(&path).unwrap();
    let said = |mode: u32| {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        exposed(Section::Mail, &path)
    };
    for mode in [0o600, 0o640] {
        assert_eq!(said(mode), None, "{mode:o}");
    }
    for mode in [0o644, 0o604, 0o602] {
        let finding = said(mode).unwrap();
        assert_eq!((finding.section, finding.status), (Section::Mail, Status::Warn));
        assert_eq!(finding.help, Some(format!("chmod o-rwx {}", path.display())));
    }
    assert_eq!(exposed(Section::Fleet, &directory.path().join("gone")), None);
}
