use super::*;

#[test]
fn a_refusal_is_found_deep_in_the_chain() {
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let inner = BackendError::Path { action: "mount", path: "/sys/fs/bpf".into(), source: denied };
    assert_eq!(inner.to_string(), "failed to mount /sys/fs/bpf");
    let outer = BackendError::Load { what: "programs".into(), source: Box::new(inner) };
    assert!(is_denied(&outer));
    let absent = io::Error::from(io::ErrorKind::NotFound);
    assert!(!is_denied(&BackendError::Load { what: "programs".into(), source: Box::new(absent) }));
}

#[test]
fn a_missing_interface_says_which_there_are() {
    let present = vec!["eth0".to_owned(), "wg0".to_owned()];
    let error = BackendError::NoSuchInterface { interface: "eth9".into(), present };
    assert_eq!(error.to_string(), "interface `eth9` does not exist");
    assert_eq!(error.help().unwrap(), "existing interfaces: eth0, wg0");
}

#[test]
fn nobody_is_told_to_raise_a_limit_that_is_at_its_ceiling() {
    let help = |max_ports| BackendError::TooManyPorts { wanted: 65_535, max_ports }.help().unwrap();
    assert_eq!(help(65_530), "watch fewer ports; count.max_ports cannot be raised above 65530");
    assert_eq!(help(65_529), "raise count.max_ports (at most 65530), or watch fewer ports");
}
