use std::fs;

use super::*;

#[test]
fn the_advice_is_for_what_starts_services_here() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(ServiceManager::below(root.path()), ServiceManager::Unknown);
    fs::create_dir_all(root.path().join("sbin")).unwrap();
    fs::File::create_new(root.path().join("sbin/openrc-run")).unwrap();
    assert_eq!(ServiceManager::below(root.path()), ServiceManager::OpenRc);
    fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
    assert_eq!(ServiceManager::below(root.path()), ServiceManager::Systemd);
    for manager in [ServiceManager::OpenRc, ServiceManager::Unknown] {
        let advice = [manager.start(), manager.restart(), manager.log()].concat();
        assert!(!advice.contains("systemctl") && !advice.contains("journalctl"), "{advice}");
    }
}
