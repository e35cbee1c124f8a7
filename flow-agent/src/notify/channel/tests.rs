use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::ledger::language::Language;

/// Opens a webhook with this template.
fn open(template: &str) -> Result<Channel, ChannelError> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("url"), "http://127.0.0.1:9/hook\n").unwrap();
    fs::set_permissions(path("url"), Permissions::from_mode(0o600)).unwrap();
    fs::write(path("template"), template).unwrap();
    Channel::open(&ChannelConfig {
        name: "hook".to_owned(),
        kind: ChannelKind::Webhook,
        url_file: path("url"),
        secret_file: None,
        events: std::collections::BTreeSet::new(),
        language: Language::English,
        template: Some(path("template")),
        ca_file: None,
    })
}

#[test]
fn a_template_is_tried_with_fields_that_have_a_value_and_with_fields_that_have_none() {
    open(r#"{ "used": {{ used_bytes }}, "gib": {{ used_bytes // 1073741824 if used_bytes is not none else 0 }} }"#)
        .unwrap();
    // A notice about a node has no figures, and nothing can be divided by them.
    let error = open(r#"{ "gib": {{ used_bytes // 1073741824 }} }"#).err().unwrap();
    assert!(matches!(error, ChannelError::TemplateOfNulls { .. }), "{error:?}");
    assert!(error.to_string().ends_with("cannot be used for a notice in which fields are `null`"), "{error}");
    assert!(error.help().unwrap().contains("`none`"));
    assert!(matches!(open("{ {{ nothing }} }").err().unwrap(), ChannelError::Template { .. }));
}

#[test]
fn the_signature_is_that_of_openssl() {
    // printf '1790000000.{"a":1}' | openssl dgst -sha256 -hmac key
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
    let expected = "sha256=7a4d26944722100249410c8c7f2e76c3cc6e9735fcc98b39e44a122da5490ffc";
    assert_eq!(signature(&key, 1_790_000_000, br#"{"a":1}"#), expected);
}
