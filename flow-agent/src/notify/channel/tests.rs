use super::*;

#[test]
fn the_signature_is_that_of_openssl() {
    // printf '1790000000.{"a":1}' | openssl dgst -sha256 -hmac key
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
    let expected = "sha256=7a4d26944722100249410c8c7f2e76c3cc6e9735fcc98b39e44a122da5490ffc";
    assert_eq!(signature(&key, 1_790_000_000, br#"{"a":1}"#), expected);
}
