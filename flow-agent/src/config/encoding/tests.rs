use super::*;

#[test]
fn what_spreadsheets_save_is_read() {
    let of = |bytes: &[u8]| decode(bytes).map(|decoded| (decoded.text, decoded.encoding));
    assert_eq!(of("张三,8388\n".as_bytes()), Ok(("张三,8388\n".to_owned(), None)));
    // 张三 in GBK; 镕 has a second byte below 0x80.
    let gbk = b"\xd5\xc5\xc8\xfd,8388\n\xe9F\xbb\xf9,1\n";
    assert_eq!(of(gbk), Ok(("张三,8388\n镕基,1\n".to_owned(), Some("gb18030"))));
    assert_eq!(of(b"\xff\xfea\0\x20\x5f\n\0"), Ok(("a张\n".to_owned(), Some("UTF-16LE"))));
    assert_eq!(of(b"\xfe\xff\0a\x5f\x20\0\n"), Ok(("a张\n".to_owned(), Some("UTF-16BE"))));
    // As `iconv` writes it, without a byte order mark.
    assert_eq!(of(b"a\0\x20\x5f\n\0"), Ok(("a张\n".to_owned(), Some("UTF-16LE"))));
    assert_eq!(of(b"\0a\x5f\x20\0\n"), Ok(("a张\n".to_owned(), Some("UTF-16BE"))));
}

#[test]
fn what_could_be_several_encodings_is_refused() {
    // In GB18030, "René" in Latin-1 would contain a Chinese character.
    assert_eq!(decode(b"Ren\xe9e,8388\n"), Err(NotText { valid_up_to: 3 }));
    // UTF-8 with one damaged byte.
    let mut damaged = "张三,李四,王五\n".as_bytes().to_vec();
    damaged[8] = b'x';
    assert!(decode(&damaged).is_err());
    // UTF-16 that was cut in the middle of a character.
    assert!(decode(b"\xff\xfea\0b").is_err());
}
