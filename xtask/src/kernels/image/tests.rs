use super::*;

#[test]
fn a_member_is_as_the_kernel_documents_it() {
    let mut archive = Vec::new();
    member(&mut archive, 1, 0o100_755, b"init", b"hello").unwrap();
    let header = "070701000000010000 81ED 00000000 00000000 00000001 00000000 00000005 \
                      00000000 00000000 00000000 00000000 00000005 00000000";
    let mut expected = header.replace(' ', "").into_bytes();
    // 110 + 5 bytes need one more for a multiple of four, and 5 bytes of content need three more.
    expected.extend(b"init\0\0hello\0\0\0");
    assert_eq!(String::from_utf8(archive).unwrap(), String::from_utf8(expected).unwrap());
}

#[test]
fn a_file_comes_after_the_directories_that_lead_to_it() {
    let mut image = Image::default();
    image.text(Path::new("/a/b/c"), "text");
    image.directory(Path::new("/a/b"));
    let paths: Vec<&str> = image.0.keys().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(paths, ["/a", "/a/b", "/a/b/c"]);
    assert!(matches!(&image.0[Path::new("/a/b/c")], Entry::Text(text) if text == "text"));
}
